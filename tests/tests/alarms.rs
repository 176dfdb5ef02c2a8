//! Alarms (X8): stored warns of disks that fill up and of services that do not answer, by its log and by mail, once in
//! `msgalarmwarninginterval`.
#![allow(clippy::unwrap_used)]

use std::fs;

use black_box::instance::{run, wait_for};
use black_box::{Act, Halted, Instance, Setup, Step, StubMta};

/// Disks are looked at each second; services are not.
fn disks(threshold: &str) -> Setup {
    Setup::default()
        .set("alarm.diskavail.msgalarmstatinterval", "1")
        .set("alarm.diskavail.msgalarmthreshold", threshold)
        .set("alarm.serverresponse.msgalarmstatinterval", "0")
}

/// What counterutil says of the only disk there is, and of a service.
fn state(instance: &Instance, of: &str, counter: &str) -> i64 {
    let text = run(instance.tool("counterutil").args(["-o", "alarm", "-n", "1", "--json"]));
    let said: serde_json::Value = serde_json::from_str(&text).unwrap();
    let values = said["values"].as_object().unwrap();
    let found =
        values.iter().find(|(name, _)| name.starts_with(of) && name.ends_with(&format!(".{counter}")));
    found.map_or(0, |(_, value)| value.as_i64().unwrap())
}

/// Waits for a look that began after this call: the second one from now.
fn wait_for_looks(instance: &Instance, of: &str) {
    for _ in 0..2 {
        let last = state(instance, of, "timelastset");
        wait_for("another look", || (state(instance, of, "timelastset") > last).then_some(()));
    }
}

fn mails(instance: &Instance) -> u32 {
    instance.imap("postmaster").exists("INBOX")
}

/// The whole way, to the postmaster of this site: a threshold that is always crossed, one mail; the next one when a day has
/// passed, although stored was restarted often in between; and an end.
#[test]
fn one_mail_in_each_warning_interval_and_a_line_when_it_is_over() {
    let mut instance = disks("100").start();
    instance.wait_for_messages("postmaster", 1);
    wait_for_looks(&instance, "diskavail");
    for _ in 0..2 {
        instance.stop("store");
        instance.start_one("store");
        wait_for_looks(&instance, "diskavail");
    }
    instance.kill("store");
    instance.start_one("store");
    wait_for_looks(&instance, "diskavail");
    instance.wait_for_empty_queue();
    assert_eq!(mails(&instance), 1);
    assert_eq!(
        (state(&instance, "diskavail", "countwarningsent"), state(&instance, "diskavail", "warningstate")),
        (1, 1)
    );

    instance.stop("store");
    instance.set_environment("MAILBOAT_CLOCK_OFFSET", &(23 * 3600).to_string());
    instance.start_one("store");
    wait_for_looks(&instance, "diskavail");
    assert_eq!(state(&instance, "diskavail", "countwarningsent"), 1);
    instance.stop("store");
    instance.set_environment("MAILBOAT_CLOCK_OFFSET", &(25 * 3600).to_string());
    instance.start_one("store");
    instance.wait_for_messages("postmaster", 2);
    wait_for_looks(&instance, "diskavail");
    instance.wait_for_empty_queue();
    assert_eq!(mails(&instance), 2);

    assert_eq!(instance.log("store").matches("it is over").count(), 0);
    instance.set("alarm.diskavail.msgalarmthreshold", "0");
    instance.stop("store");
    instance.start_one("store");
    wait_for("the end", || (state(&instance, "diskavail", "warningstate") == 0).then_some(()));
    wait_for_looks(&instance, "diskavail");
    let log = instance.log("store");
    assert_eq!(log.matches(": it is over").count(), 1, "{log}");
    assert_eq!(log.matches("below the threshold of 100").count(), 2, "{log}");
    // The end is told by mail, once.
    instance.wait_for_messages("postmaster", 3);
    instance.stop("store");
    instance.start_one("store");
    wait_for_looks(&instance, "diskavail");
    instance.wait_for_empty_queue();
    assert_eq!(mails(&instance), 3);
    assert_eq!(state(&instance, "diskavail", "countwarningsent"), 2, "it is no warning");
    let mut imap = instance.imap("postmaster");
    imap.ok("SELECT INBOX");
    let over = imap.ok("FETCH 3 BODY.PEEK[]").join("\n");
    for part in [
        "To: postmaster@example.test",
        "Subject: Over: ALARM: ",
        "not below the threshold of 0 any more, it is over",
        "If it comes again before ",
    ] {
        assert!(over.contains(part), "{part}: {over}");
    }
    let text = imap.ok("FETCH 1 BODY.PEEK[]").join("\n");
    for part in [
        "From: postmaster@example.test",
        "To: postmaster@example.test",
        "Subject: ALARM: ",
        "Auto-Submitted: auto-generated",
        "Host: localhost",
        "Watched: percentage of disk space",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// What could never be is refused when it is set, and not when the first alarm is to be told.
#[test]
fn settings_of_alarms_are_judged_when_they_are_set() {
    let instance = Setup::default().create();
    for (name, value) in [
        ("alarm.msgalarmnoticercpt", "postmaster"),
        ("alarm.msgalarmnoticesender", "Ann <a@example.test>"),
        ("alarm.diskavail.msgalarmthreshold", "101"),
        ("alarm.diskavail.msgalarmthresholddirection", "2"),
    ] {
        let refused = instance.tool("configutil").args(["-o", name, "-v", value]).output().unwrap();
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains(name), "{name}: {said}");
    }
    run(instance.tool("configutil").args(["-o", "alarm.msgalarmnoticercpt", "-v", "ops@example.test"]));
}

/// Above the threshold nothing is said, and what there is to see is seen.
#[test]
fn a_disk_with_room_is_no_alarm() {
    let instance = disks("0").start();
    wait_for_looks(&instance, "diskavail");
    assert_eq!(state(&instance, "diskavail", "countoverthreshold"), 0);
    let current = state(&instance, "diskavail", "current");
    assert!((0..=100).contains(&current) && state(&instance, "diskavail", "high") >= current);
    assert!(!instance.log("store").contains("alarm diskavail"), "{}", instance.log("store"));
    assert_eq!(mails(&instance), 0);
}

/// A server of the parameters' choice, a template, and addresses; while nobody takes the mail it is not lost.
#[test]
fn mail_that_nobody_takes_is_tried_again_at_the_next_look() {
    let hub = StubMta::new().on(Step::Mail, &[Act::say("451 4.3.2 not now")]).start();
    let address = hub.address();
    let template = r#"From: Watch <%s>\nTo: %s\nSubject: %s\n\n%s has %u percent\n%s\n"#;
    let mut instance = disks("100")
        .set("alarm.msgalarmnoticehost", &address.ip().to_string())
        .set("alarm.msgalarmnoticeport", &address.port().to_string())
        .set("alarm.msgalarmnoticesender", "watch@site.test")
        .set("alarm.msgalarmnoticercpt", "ops@site.test")
        .set("alarm.msgalarmnoticetemplate", template)
        .set("alarm.diskavail.msgalarmdescription", "room for mail")
        .start();
    wait_for("three tries", || {
        (instance.log("store").matches("the next look tries again").count() >= 3).then_some(())
    });
    // While it is being sent it counts as sent.
    wait_for("what was not sent not to count", || {
        (state(&instance, "diskavail", "countwarningsent") == 0).then_some(())
    });
    hub.from_now_on(Step::Mail, &[Act::say("250 2.1.0 OK")]);
    let got = hub.wait_for(1);
    wait_for_looks(&instance, "diskavail");
    assert_eq!(hub.wait_for(1).len(), 1, "and once only");
    assert_eq!(
        (got[0].sender(), got[0].recipients()),
        ("watch@site.test".into(), vec!["ops@site.test".into()])
    );
    let text = got[0].text();
    assert!(
        text.contains("From: Watch <watch@site.test>") && text.contains("Subject: room for mail"),
        "{text}"
    );
    assert!(text.contains(" percent"), "{text}");
    // What was known is damaged: it is looked at anew, and nobody is kept from starting.
    instance.stop("store");
    fs::write(instance.path("counter/alarms"), b"\xff\x00 nonsense\n").unwrap();
    instance.start_one("store");
    assert_eq!(hub.wait_for(2).len(), 2);
    // So is the mail that it is over; nobody who was not warned gets one.
    instance.stop("store");
    instance.set("alarm.diskavail.msgalarmthreshold", "0");
    hub.from_now_on(Step::Mail, &[Act::say("451 4.3.2 not now")]);
    instance.start_one("store");
    wait_for("two tries", || (instance.log("store").matches(": no mail that ").count() >= 2).then_some(()));
    hub.from_now_on(Step::Mail, &[Act::say("250 2.1.0 OK")]);
    let text = hub.wait_for(3)[2].text();
    assert!(text.contains("Subject: Over: room for mail") && text.contains("it is over"), "{text}");
    wait_for_looks(&instance, "diskavail");
    assert_eq!(hub.wait_for(3).len(), 3, "and once only");
}

/// A service that is stopped in its tracks is above any threshold; one that goes on, and one that was ended, is not.
#[test]
fn a_service_that_does_not_answer_is_told_of_and_one_that_was_stopped_is_not() {
    let mut instance = Setup::default()
        .set("alarm.diskavail.msgalarmstatinterval", "0")
        .set("alarm.serverresponse.msgalarmstatinterval", "1")
        .set("alarm.serverresponse.msgalarmthreshold", "9")
        .start();
    wait_for_looks(&instance, "serverresponse.imap");
    let over = |instance: &Instance, service: &str| {
        state(instance, &format!("serverresponse.{service}"), "countoverthreshold")
    };
    for service in ["smtp", "imap", "pop"] {
        assert_eq!(over(&instance, service), 0, "{service}: {}", instance.log("store"));
    }
    let halted = Halted::new(instance.pid("imap").unwrap());
    // It is written down before it is told.
    let told = "alarm serverresponse: imap is 10, and does not answer";
    wait_for("the alarm", || instance.log("store").contains(told).then_some(()));
    assert!(over(&instance, "imap") >= 1, "by then there may have been another look");
    drop(halted);
    wait_for("the end", || instance.log("store").contains(": it is over").then_some(()));
    instance.wait_for_messages("postmaster", 2); // and that it is over
    instance.stop("pop");
    wait_for_looks(&instance, "serverresponse.imap");
    assert_eq!(over(&instance, "pop"), 0);
    let shown = run(instance.tool("counterutil").args(["-o", "serverresponse", "-n", "1"]));
    assert!(shown.contains("\nsmtp.responseTime [8 bytes]: "), "{shown}");
}

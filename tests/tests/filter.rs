//! The UBE filter (`config/filter.cfg`) from outside: what each action does to mail that was accepted, what rules see of it,
//! and what becomes of mail while the file is wrong.
#![allow(clippy::unwrap_used)]

use std::fs;

use black_box::instance::{SMTP, run, wait_for};
use black_box::{Instance, Setup, Smtp, StubDns};
use nix::sys::signal::Signal;

/// With these rules from the start.
fn with_rules(setup: Setup, rules: &str) -> Instance {
    let mut instance = setup.create();
    write(&instance, rules);
    instance.start_all();
    instance
}

fn instance(rules: &str) -> Instance {
    with_rules(Setup::default().users(&["alice", "bob", "carol"]), rules)
}

fn write(instance: &Instance, rules: &str) {
    fs::write(instance.path("config/filter.cfg"), rules).unwrap();
}

/// Has smtpd read the file again; what it refused.
fn refresh(instance: &Instance) -> String {
    let told = instance.path("run/smtp.refreshed");
    let refused = instance.path("run/smtp.refused");
    let _ = fs::remove_file(&told);
    let _ = fs::remove_file(&refused);
    instance.signal("smtp", Signal::SIGHUP);
    wait_for("the refresh", || told.exists().then_some(()));
    fs::read_to_string(refused).unwrap_or_default()
}

/// The subjects in a mailbox, once there are `count` messages.
fn subjects(instance: &Instance, user: &str, count: u32) -> Vec<String> {
    instance.wait_for_messages(user, count);
    let mut imap = instance.imap(user);
    imap.ok("SELECT INBOX");
    let subject = |number| {
        let lines = imap.ok(&format!("FETCH {number} (BODY.PEEK[HEADER.FIELDS (SUBJECT)])")).concat();
        let from = lines.find("Subject: ").unwrap() + 9;
        lines[from..].lines().next().unwrap().to_owned()
    };
    let mut all: Vec<String> = (1..=count).map(subject).collect();
    all.sort();
    all
}

/// A tool's exit code, and all that it said.
fn said(instance: &Instance, tool: &str, arguments: &[&str]) -> (i32, String) {
    let output = instance.tool(tool).args(arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn drop_exit_and_jump_say_who_gets_a_message() {
    let instance = instance(
        "# rules of the test\n\
         Subject \"^trusted\" EXIT\n\
         Subject:case \"SHOUT\" DROP\n\
         Subject \"gr(ü|ue)ße\" \\\n  JUMP greetings\n\
         Subject \"bulk\" DROP\n\
         Subject . EXIT\n\
         :Greetings Subject \"bulk\" EXIT\n\
         Subject . DROP\n",
    );
    for subject in [
        "trusted bulk SHOUT",
        "a shout",
        "a SHOUT",
        "more BULK mail",
        "=?iso-8859-1?q?Gr=FC=DFe_bulk?=",
        "=?iso-8859-1?q?Gr=FC=DFe?=",
        "folded\r\n bulk",
        "last",
    ] {
        instance.send("alice", subject);
    }
    instance.wait_for_empty_queue();
    let expected = ["=?iso-8859-1?q?Gr=FC=DFe_bulk?=", "a shout", "last", "trusted bulk SHOUT"];
    assert_eq!(subjects(&instance, "alice", 4), expected);
    let log = instance.log("smtp");
    assert!(
        log.contains("line 3 DROP") && log.contains("line 9 DROP") && log.contains("line 4 JUMP"),
        "{log}"
    );
    assert!(log.contains("from=<sender@example.org> client=client.example.org [127."), "{log}");
    assert!(!log.contains("panic"));
}

/// S193 with its table of names: each line of the envelope is seen, and nobody writes one of them as a header field.
#[test]
fn rules_see_the_envelope() {
    let instance = instance(
        "Auth-Sender \"^alice$\" COPY carol@example.test\n\
         Auth-Sender . EXIT\n\
         Host-From \"\\[127\\.[0-9.]+\\]$\" JUMP known\n\
         * . DROP\n\
         :known User-From \"^<bad@x\\.example>\" DROP\n\
         Channel-To \"^<bob@\" DROP\n\
         MTA-Hops \"^[3-9]$\" DROP\n\
         Message-Size \"^[0-9]{4,}$\" DROP\n\
         *:envonly \"secret-word\" DROP\n",
    );
    let mut smtp = instance.smtp();
    smtp.ok("EHLO client.example.org");
    let mut send = |from: &str, to: &[&str], text: &str| drop(smtp.send_message(from, to, text));
    send("bad@x.example", &["alice@example.test"], "Subject: 1 from\r\n\r\nx\r\n");
    send("good@x.example", &["alice@example.test", "bob@example.test"], "Subject: 2 to\r\n\r\nx\r\n");
    let hops = "Received: a\r\nReceived: b\r\nReceived: c\r\nSubject: 3 hops\r\n\r\nx\r\n";
    send("good@x.example", &["alice@example.test"], hops);
    let large = format!("Subject: 4 size\r\n\r\n{}", "0123456789\r\n".repeat(100));
    send("good@x.example", &["alice@example.test"], &large);
    let forged = "Auth-Sender: alice\r\nUser-From: <bad@x.example>\r\nSubject: 5 secret-word\r\n\r\nx\r\n";
    send("good@x.example", &["alice@example.test"], forged);
    let mut submission = instance.submission("alice");
    submission.send_message("alice@example.test", &["bob@example.test"], "Subject: 6 mine\r\n\r\nx\r\n");
    assert_eq!(subjects(&instance, "bob", 1), ["6 mine"]);
    assert_eq!(subjects(&instance, "carol", 1), ["6 mine"]);
    instance.wait_for_empty_queue();
    assert_eq!(subjects(&instance, "alice", 1), ["5 secret-word"]);
    let copy = instance.received("carol", 1);
    assert!(copy.contains("Return-Path: <>\r\n"), "{copy}");
    assert!(
        copy.contains("X-Envelope-From: <alice@example.test>\r\nX-Envelope-To: <bob@example.test>\r\n"),
        "{copy}"
    );
}

/// Who logged in is told; a stranger's sender may be forged, and gets no report.
#[test]
fn reject_makes_a_report_to_a_sender_who_is_not_forged() {
    let rules = "Subject spam REJECT \"No bulk mail \\\"here\\\".\"\n";
    let instance = instance(rules);
    let mut submission = instance.submission("alice");
    let to = ["bob@example.test", "carol@example.test"];
    submission.send_message("alice@example.test", &to, "Subject: my spam\r\n\r\nbody text\r\n");
    let report = instance.received("alice", 1);
    assert!(report.contains("No bulk mail \"here\".") && report.contains("Status: 5.7.1"), "{report}");
    assert!(report.contains("bob@example.test") && report.contains("carol@example.test"), "{report}");
    let mut smtp = instance.smtp();
    smtp.ok("EHLO client.example.org");
    for sender in ["alice@example.test", ""] {
        smtp.send_message(sender, &["bob@example.test"], "Subject: other spam\r\n\r\nx\r\n");
    }
    smtp.send_message("alice@example.test", &["bob@example.test"], "Subject: fine\r\n\r\nx\r\n");
    assert_eq!(subjects(&instance, "bob", 1), ["fine"]);
    instance.wait_for_empty_queue();
    instance.wait_for_messages("alice", 1);
    let log = instance.log("smtp");
    assert!(log.contains("dropped without a report: the sender may be forged"), "{log}");
    assert!(log.contains("dropped without a report: it has no sender"), "{log}");
}

/// As the parameter says; relaynetworks are the site's own.
#[test]
fn who_is_told_of_a_rejection_is_a_parameter() {
    let rules = "Subject spam REJECT no\n";
    let told = |name: &str, value: &str| {
        let instance = with_rules(Setup::default().set(name, value), rules);
        let mut smtp = instance.smtp();
        smtp.ok("EHLO client.example.org");
        smtp.send_message("alice@example.test", &["bob@example.test"], "Subject: spam\r\n\r\nx\r\n");
        let mut submission = instance.submission("bob");
        submission.send_message("bob@example.test", &["alice@example.test"], "Subject: spam\r\n\r\nx\r\n");
        instance.wait_for_queue("its end", || {
            let log = instance.log("smtp");
            (log.matches("line 1 REJECT").count() == 2).then_some(())
        });
        instance.wait_for_empty_queue();
        ["alice", "bob"].map(|user| instance.imap(user).exists("INBOX"))
    };
    assert_eq!(told("local.service.smtp.filter.bounce", "always"), [1, 1]);
    assert_eq!(told("local.service.smtp.filter.bounce", "never"), [0, 0]);
    assert_eq!(told("local.service.smtp.smtp-accept.relaynetworks", "127.0.0.0/8"), [1, 1]);
}

#[test]
fn a_sender_whose_spf_passes_is_told() {
    let dns = StubDns::with(&[("example.test", "TXT", 60, "v=spf1 ip4:127.77.0.1 -all")]);
    let setup = Setup::default()
        .set("service.smtp.dnsservers", &dns.parameter())
        .set("local.service.smtp.verification.spf", "yes")
        .set("local.service.smtp.verification.exempt", "192.0.2.1");
    let instance = with_rules(setup, "Subject spam REJECT no\n");
    let send = |address: [u8; 4], subject: &str| {
        let mut smtp = Smtp::open(instance.connect_from(address, SMTP));
        smtp.ok("EHLO mx.example.test");
        let forged = "Authentication-Results: localhost; spf=pass smtp.mailfrom=example.test\r\n";
        let text = format!("{forged}Subject: {subject}\r\n\r\nx\r\n");
        smtp.send_message("alice@example.test", &["bob@example.test"], &text);
    };
    send([127, 77, 0, 66], "spam of a stranger");
    send([127, 77, 0, 1], "spam of the domain");
    let report = instance.received("alice", 1);
    assert!(report.contains("spam of the domain"), "{report}");
    instance.wait_for_empty_queue();
    instance.wait_for_messages("alice", 1);
}

#[test]
fn what_is_held_waits_through_a_restart_until_it_is_released() {
    let mut instance = instance(":suspicious Subject odd HOLD\n");
    instance.send("alice", "odd one");
    instance.send("alice", "plain");
    assert_eq!(subjects(&instance, "alice", 1), ["plain"]);
    let held = || {
        let listed = run(instance.tool("mailq").arg("--json"));
        listed.contains("by filter.cfg, line 1 (:suspicious) HOLD").then_some(())
    };
    instance.wait_for_queue("the held one", held);
    instance.stop("smtp");
    instance.start_one("smtp");
    instance.send("alice", "second plain");
    assert_eq!(subjects(&instance, "alice", 2), ["plain", "second plain"]);
    run(instance.tool("msg-queue").args(["release", "--all"]));
    assert_eq!(subjects(&instance, "alice", 3), ["odd one", "plain", "second plain"]);
    instance.wait_for_empty_queue();
}

/// A file that is wrong changes nothing, and is told everywhere; without one nothing is filtered.
#[test]
fn a_wrong_file_is_refused_and_the_former_rules_stay() {
    let instance = instance("Subject spam DROP\n");
    write(&instance, "Subject ham DROP\nSubject ( DROP\nSubject x RUN prog\n");
    let refused = refresh(&instance);
    assert!(
        refused.contains("line 2: the expression \"(\" is wrong") && refused.contains("line 3: RUN"),
        "{refused}"
    );
    assert!(refused.contains("the former rules stay in force"), "{refused}");
    let (code, check) = said(&instance, "configutil", &["check"]);
    assert!(code == 1 && check.contains("filter.cfg line 2: the expression"), "{check}");
    instance.send("alice", "spam");
    instance.send("alice", "ham");
    assert_eq!(subjects(&instance, "alice", 1), ["ham"]);
    write(&instance, "Subject ham DROP\n");
    assert_eq!(refresh(&instance), "");
    instance.send("alice", "ham");
    instance.send("alice", "spam");
    assert_eq!(subjects(&instance, "alice", 2), ["ham", "spam"]);
    fs::remove_file(instance.path("config/filter.cfg")).unwrap();
    assert_eq!(refresh(&instance), "");
    instance.send("alice", "ham");
    assert_eq!(subjects(&instance, "alice", 3), ["ham", "ham", "spam"]);
    instance.wait_for_empty_queue();
}

/// At a start there are no former rules: mail is taken and waits, and is filtered when the file is right.
#[test]
fn mail_waits_while_the_rules_are_not_known() {
    let mut instance = instance("Subject spam FLY\n");
    instance.send("alice", "spam");
    instance.send("alice", "ham");
    let log = instance.log("smtp");
    assert!(log.contains("line 1: \"FLY\" is no action") && log.contains("mail is taken and waits"), "{log}");
    let waits = |instance: &Instance| {
        let count = fs::read_dir(instance.path("queue/control")).ok()?.count();
        (count == 2).then_some(())
    };
    instance.wait_for_queue("two that wait", || waits(&instance));
    instance.kill("smtp");
    instance.start_one("smtp");
    instance.wait_for_queue("two that wait", || waits(&instance));
    assert_eq!(instance.imap("alice").exists("INBOX"), 0);
    assert!(refresh(&instance).contains("mail goes on waiting"));
    // Whoever looks at the queue is told what it waits for.
    let why = "waits until config/filter.cfg is right and was refreshed: line 1: \"FLY\" is no action";
    let (_, list) = said(&instance, "mailq", &["-l"]);
    assert_eq!(list.matches(&format!("    ({why}")).count(), 2, "{list}");
    let (_, json) = said(&instance, "mailq", &["--json"]);
    for line in json.lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        let reason = object["recipients"][0]["delay_reason"].as_str().unwrap();
        assert!(reason.starts_with(why) && object["last_error"] == reason, "{line}");
    }
    let (_, detail) = said(&instance, "mailq", &["-d", "example.test"]);
    assert_eq!(detail.matches(&format!("  last: {why}")).count(), 2, "{detail}");
    write(&instance, "Subject spam DROP\n");
    assert_eq!(refresh(&instance), "");
    assert_eq!(subjects(&instance, "alice", 1), ["ham"]);
    instance.wait_for_empty_queue();
    assert!(!instance.path("run/filter.unknown").exists(), "nothing waits any more");
}

/// Copies and reports are this host's own mail, and not filtered: a copy causes no copy.
#[test]
fn what_this_host_makes_is_not_filtered() {
    let instance = instance(
        "* . COPY carol@example.test\nUser-From \"^<>\" DROP\nSubject spam REJECT no\n* . COPY nobody@example.test\n",
    );
    let mut submission = instance.submission("alice");
    submission.send_message("alice@example.test", &["bob@example.test"], "Subject: spam\r\n\r\nx\r\n");
    assert!(instance.received("alice", 1).contains("Status: 5.7.1"));
    assert_eq!(subjects(&instance, "carol", 1), ["spam"]);
    instance.wait_for_empty_queue();
    assert_eq!(instance.imap("carol").exists("INBOX"), 1);
}

/// Killed between two steps, nothing is lost or done half: dropped, rejected and held for all recipients, or copied at least once.
#[test]
fn a_kill_between_two_steps_changes_no_verdict() {
    let rules =
        "Subject . COPY carol@example.test\nSubject drop DROP\nSubject hold HOLD\nSubject reject REJECT no\n";
    for step in ["filter: copies queued", "filter: written down"] {
        for subject in ["drop", "hold", "reject", "pass"] {
            let setup =
                Setup::default().users(&["alice", "bob", "carol"]).environment("MAILBOAT_CRASH_AT", step);
            let mut instance = with_rules(setup, rules);
            let mut submission = instance.submission("alice");
            submission.ok("MAIL FROM:<alice@example.test>");
            for user in ["alice", "bob"] {
                submission.ok(&format!("RCPT TO:<{user}@example.test>"));
            }
            submission.ok("DATA");
            // It may be killed before the 250 is on its way: who filters does not wait for that.
            submission.wire.send(format!("Subject: {subject}\r\n\r\nx\r\n.\r\n").as_bytes());
            let status = instance.wait_for_end("smtp");
            assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{step}, {subject}");
            instance.set_environment("MAILBOAT_CRASH_AT", "");
            instance.start_one("smtp");
            // Its copy is there when the message was filtered; a later one of another kind shows that all was done.
            instance.send("bob", "drop behind it");
            let mut carol = instance.imap("carol");
            wait_for("copies", || (carol.exists("INBOX") >= 2).then_some(()));
            let control = instance.path("queue/control");
            let left = usize::from(subject == "hold");
            instance.wait_for_queue("what is held", || {
                (fs::read_dir(&control).ok()?.count() == left).then_some(())
            });
            let expected = match subject {
                "pass" => [1, 1],
                "reject" => [1, 0],
                _ => [0, 0],
            };
            let have = ["alice", "bob"].map(|user| instance.imap(user).exists("INBOX"));
            assert_eq!(have, expected, "{step}, {subject}");
            assert!(carol.exists("INBOX") <= 3, "{step}, {subject}");
        }
    }
}

/// What an administrator tries before a refresh.
#[test]
fn configutil_tells_which_rules_fire_on_a_message() {
    let instance = Setup::default().create();
    write(
        &instance,
        "Subject spam COPY bob@example.test\n:known Auth-Sender . EXIT\nChannel-To bob@ HOLD\nMTA-Hops ^1$ DROP\n",
    );
    let message = instance.path("message");
    fs::write(&message, "Received: x\r\nSubject: =?utf-8?q?sp=61m?=\r\n\r\nx\r\n").unwrap();
    let message = message.to_str().unwrap();
    let (code, text) = said(&instance, "configutil", &["filter"]);
    assert!(code == 0 && text.contains("4 rules"), "{text}");
    let (code, text) = said(&instance, "configutil", &["filter", message]);
    assert_eq!((code, text.as_str()), (0, "line 1 COPY <bob@example.test>\nline 4 DROP\ndropped\n"));
    let (_, text) = said(&instance, "configutil", &["filter", message, "--to", "bob@example.test"]);
    assert_eq!(text, "line 1 COPY <bob@example.test>\nline 3 HOLD\nheld\n");
    let (_, text) = said(&instance, "configutil", &["filter", message, "--user", "joe"]);
    assert_eq!(text, "line 1 COPY <bob@example.test>\nline 2 (:known) EXIT\ndelivered\n");
    // REJECT comes to what smtpd would do.
    write(&instance, "Subject spam REJECT no\n");
    instance.set("local.service.smtp.verification.spf", "yes");
    instance.set("local.service.smtp.verification.authservid", "mx.example.test");
    instance.set("local.service.smtp.smtp-accept.relaynetworks", "192.0.2.0/24");
    let rejected = |rest: &[&str]| said(&instance, "configutil", &[&["filter", message], rest].concat()).1;
    let untold = |why: &str| format!("line 1 REJECT \"no\"\ndropped without a report: {why}\n");
    let told = "line 1 REJECT \"no\"\nrejected: a report goes to <a@x.test>\n";
    let from = ["--from", "a@x.test"];
    assert_eq!(rejected(&[]), untold("it has no sender"));
    assert_eq!(rejected(&from), untold("the sender may be forged"));
    assert_eq!(rejected(&[&from[..], &["--user", "joe"]].concat()), told);
    assert_eq!(rejected(&[&from[..], &["--client", "pc [192.0.2.7]"]].concat()), told);
    let passed = "Authentication-Results: mx.example.test; spf=pass smtp.mailfrom=x.test\r\nSubject: spam\r\n\r\nx\r\n";
    fs::write(message, passed).unwrap();
    assert_eq!(rejected(&from), told);
    instance.set("local.service.smtp.filter.bounce", "never");
    assert_eq!(rejected(&from), untold("nobody is to be told"));
    let other = instance.path("other.cfg");
    fs::write(&other, "Subject x FLY\nHost-From \"\\[192\\.\" DROP\n").unwrap();
    let (code, text) = said(&instance, "configutil", &["filter", "--rules", other.to_str().unwrap()]);
    assert!(code == 1 && text.contains("other.cfg line 1: \"FLY\" is no action"), "{text}");
    fs::remove_file(instance.path("config/filter.cfg")).unwrap();
    let (code, text) = said(&instance, "configutil", &["filter"]);
    assert!(code == 0 && text.contains("mail is not filtered"), "{text}");
}

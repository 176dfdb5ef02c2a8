//! Mail filters (milters) from outside: what a scripted filter is told, what it may say and change, and what becomes of
//! mail when it fails.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::time::{Duration, Instant};

use black_box::instance::wait_for;
use black_box::stub_milter::{self, Answer, Script, StubMilter};
use black_box::{Instance, Setup, Smtp};

/// An instance whose mail goes past these filters.
fn setup(filters: &[&StubMilter]) -> Setup {
    let mut setup = Setup::default().users(&["alice", "bob", "carol"]);
    let mut names = Vec::new();
    for (number, filter) in filters.iter().enumerate() {
        let name = format!("stub{number}");
        setup = setup.set(&format!("local.service.smtp.milter.{name}.address"), filter.address());
        names.push(name);
    }
    setup.set("local.service.smtp.milters", &names.join(" "))
}

fn greeted(instance: &Instance) -> Smtp {
    let mut smtp = instance.smtp();
    smtp.ok("EHLO client.example.org");
    smtp
}

const MESSAGE: &str = "From: a@x.example\r\nSubject: one\r\n two\r\n\r\nhello\r\n";

/// The codes that a transaction gets: MAIL, RCPT, DATA, end of data.
fn codes(smtp: &mut Smtp) -> Vec<u16> {
    let mut codes = Vec::new();
    for line in ["MAIL FROM:<a@x.example>", "RCPT TO:<alice@example.test>", "DATA"] {
        let said = smtp.ask(line);
        codes.push(said[..3].parse().unwrap());
        if !said.starts_with(['2', '3']) {
            return codes;
        }
    }
    smtp.wire.send(format!("{MESSAGE}.\r\n").as_bytes());
    codes.push(smtp.reply()[..3].parse().unwrap());
    codes
}

fn one(script: Script) -> (StubMilter, Instance) {
    let filter = script.start();
    let instance = setup(&[&filter]).start();
    (filter, instance)
}

#[test]
fn a_filter_is_told_what_the_client_does() {
    let (filter, instance) = one(StubMilter::new().protocol(stub_milter::RCPT_REJECTED));
    let mut smtp = greeted(&instance);
    assert!(filter.told().is_empty(), "nothing is opened before it is needed");
    smtp.ok("MAIL FROM:<a@x.example> SIZE=60 BODY=8BITMIME");
    assert!(smtp.ask("RCPT TO:<nobody@example.test>").starts_with("550 5.1.1"));
    smtp.ok("RCPT TO:<alice@example.test> NOTIFY=NEVER");
    smtp.ok("DATA");
    smtp.wire.send(format!("{MESSAGE}.\r\n").as_bytes());
    let said = smtp.reply();
    assert!(said.starts_with("250"), "{said}");
    smtp.ok("MAIL FROM:<>");
    smtp.ok("RSET");
    assert!(smtp.ask("XYZZY").starts_with("500"));
    smtp.ok("QUIT");
    filter.wait_for("Q");
    let commands = filter.commands();
    assert!(commands[0].starts_with("C|localhost|4|") && commands[0].ends_with("|127.0.0.1"), "{commands:?}");
    let expected = [
        "H|client.example.org",
        "M|<a@x.example>|SIZE=60|BODY=8BITMIME",
        "R|<nobody@example.test>",
        "R|<alice@example.test>|NOTIFY=NEVER",
        "T",
        "L|From|a@x.example",
        "L|Subject|one\n two",
        "N",
        "B|hello\r\n",
        "E",
        "M|<>",
        "U|XYZZY",
        "Q",
    ];
    assert_eq!(commands[1..], expected);
    let id = said.split_whitespace().nth(2).unwrap();
    let value = |code, name| filter.macro_value(code, name);
    assert_eq!(value('E', "i").as_deref(), Some(id));
    assert_eq!(value('T', "i").as_deref(), Some(id));
    assert_eq!(value('C', "j").as_deref(), Some("localhost"));
    assert_eq!(value('C', "_").as_deref(), Some("localhost [127.0.0.1]"));
    assert_eq!(value('R', "{rcpt_mailer}").as_deref(), Some("local"));
    let told = filter.told();
    assert!(
        told.iter().any(|line| line.starts_with("D|R|") && line.contains("error") && line.contains("5.1.1"))
    );
}

#[test]
fn a_filter_knows_who_logged_in_and_that_it_is_submission() {
    let filter =
        StubMilter::new().wants_macros(2, "{auth_type} {auth_authen} {daemon_name} {client_addr}").start();
    let instance = setup(&[&filter]).start();
    let mut smtp = instance.submission("alice");
    smtp.send_message("alice@example.test", &["bob@example.test"], "Subject: x\r\n\r\ny\r\n");
    filter.wait_for("E");
    let value = |name| filter.macro_value('M', name);
    assert_eq!(value("{auth_authen}").as_deref(), Some("alice"));
    assert_eq!(value("{auth_type}").as_deref(), Some("PLAIN"));
    assert_eq!(value("{daemon_name}").as_deref(), Some("ORIGINATING"));
    assert_eq!(value("{client_addr}").as_deref(), Some("127.0.0.1"));
    // What submission adds is shown, too.
    assert!(
        filter.commands().iter().any(|line| line.starts_with("L|Message-ID|")),
        "{:?}",
        filter.commands()
    );
}

#[test]
fn everything_that_a_filter_may_change_is_changed() {
    let (_filter, instance) = one(StubMilter::new().on(
        'E',
        "",
        &[
            Answer::insert_header(0, "X-Top", "t"),
            Answer::insert_header(1, "X-Below", "b"),
            Answer::add_header("X-End", "e\n\tfolded"),
            Answer::change_header(1, "Subject", "other"),
            Answer::change_header(1, "X-New", "n"),
            Answer::change_header(1, "From", ""),
            Answer::change_sender("<changed@x.example>"),
            Answer::add_recipient("<bob@example.test>"),
            Answer::add_recipient_with("<carol@example.test>", "NOTIFY=NEVER"),
            Answer::delete_recipient("<alice@example.test>"),
            Answer::body("new\n"),
            Answer::plain('p'),
            Answer::body("body"),
            Answer::go_on(),
        ],
    ));
    assert_eq!(codes(&mut greeted(&instance)), [250, 250, 354, 250]);
    let text = instance.received("bob", 1);
    let begins =
        text.find("Return-Path: <changed@x.example>\r\nX-Top: t\r\nReceived: from client.example.org");
    assert!(begins.is_some(), "{text}");
    let end = "X-Below: b\r\nSubject: other\r\nX-End: e\r\n\tfolded\r\nX-New: n\r\n\r\nnew\r\nbody\r\n";
    assert!(text.contains(end), "{text}");
    assert!(!text.contains("From: a@x"), "{text}");
    instance.wait_for_messages("carol", 1);
    instance.wait_for_empty_queue();
    assert_eq!(instance.imap("alice").exists("INBOX"), 0);
}

#[test]
fn later_filters_see_what_earlier_ones_made_of_it() {
    let first = StubMilter::new()
        .on('E', "", &[Answer::add_header("X-First", "1"), Answer::body("made\r\n"), Answer::go_on()])
        .start();
    let second =
        StubMilter::new().on('E', "", &[Answer::change_header(1, "X-First", "2"), Answer::go_on()]).start();
    let instance = setup(&[&first, &second]).start();
    assert_eq!(codes(&mut greeted(&instance)), [250, 250, 354, 250]);
    let seen = second.commands();
    assert!(seen.contains(&"L|X-First|1".to_owned()) && seen.contains(&"B|made\r\n".to_owned()), "{seen:?}");
    assert!(instance.received("alice", 1).contains("X-First: 2\r\n\r\nmade\r\n"));
}

/// A filter that does this once at each step: in the first session at the first step, in the second at the next one.
fn at_each_step(steps: &str, answer: &Answer) -> Script {
    steps.chars().fold(StubMilter::new(), |script, step| script.once(step, "", std::slice::from_ref(answer)))
}

#[test]
fn each_refusal_at_each_stage_reaches_the_client() {
    for (answer, code) in [
        (Answer::plain('r'), 550),
        (Answer::plain('t'), 451),
        (Answer::refuse("554-5.7.1 no\r\n554 5.7.1 not at all"), 554),
        (Answer::plain('4'), 421),
    ] {
        let (_filter, instance) = one(at_each_step("CHMRTLNBE", &answer));
        for (step, place) in "CHMRTLNBE".chars().zip([0, 0, 0, 1, 2, 3, 3, 3, 3]) {
            let mut smtp = greeted(&instance);
            let said = codes(&mut smtp);
            assert_eq!((said.len(), said[place]), (place + 1, code), "{answer:?} to {step}: {said:?}");
            if code == 421 {
                assert!(smtp.wire.is_closed(), "{step}");
            } else if step == 'C' {
                assert_eq!(codes(&mut smtp), [code], "not this client");
            } else {
                smtp.ok("RSET");
            }
        }
        assert_eq!(codes(&mut greeted(&instance)), [250, 250, 354, 250]);
        if code == 554 {
            assert!(
                instance.logs().contains("refused with 554 5.7.1 no / not at all"),
                "{}",
                instance.logs()
            );
        }
    }
}

#[test]
fn commands_in_one_batch_are_answered_in_their_order() {
    let refuses = StubMilter::new()
        .on('R', "<bob@", &[Answer::Wait(Duration::from_millis(300)), Answer::refuse("550 5.7.1 not bob")])
        .start();
    let instance = setup(&[&refuses]).start();
    let mut smtp = greeted(&instance);
    let batch = "MAIL FROM:<a@x.example>\r\nRCPT TO:<bob@example.test>\r\nRCPT TO:<alice@example.test>\r\nRCPT TO:<nobody@example.test>\r\nDATA\r\n";
    smtp.wire.send(batch.as_bytes());
    let said: Vec<String> = (0..5).map(|_| smtp.reply()[..3].to_owned()).collect();
    assert_eq!(said, ["250", "550", "250", "550", "354"]);
    smtp.wire.send(format!("{MESSAGE}.\r\n").as_bytes());
    assert!(smtp.reply().starts_with("250"));
    instance.received("alice", 1);
    instance.wait_for_empty_queue();
    assert_eq!(instance.imap("bob").exists("INBOX"), 0);
}

#[test]
fn what_is_discarded_is_taken_and_gone_and_what_is_quarantined_waits() {
    let (_filter, instance) = one(at_each_step("MRTBE", &Answer::plain('d')));
    let mut smtp = greeted(&instance);
    for step in "MRTBE".chars() {
        assert_eq!(codes(&mut smtp), [250, 250, 354, 250], "{step}");
    }
    instance.wait_for_empty_queue();
    assert_eq!(instance.imap("alice").exists("INBOX"), 0);
    let (_filter, instance) =
        one(StubMilter::new().once('E', "", &[Answer::quarantine("odd"), Answer::go_on()]));
    let mut smtp = greeted(&instance);
    assert_eq!(codes(&mut smtp), [250, 250, 354, 250]);
    assert_eq!(codes(&mut smtp), [250, 250, 354, 250]);
    instance.wait_for_messages("alice", 1);
    let held = wait_for("the held message", || {
        let out = instance.tool("mailq").arg("--json").output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        (text.lines().count() == 1).then_some(text)
    });
    assert!(held.contains("odd"), "{held}");
}

#[test]
fn a_filter_that_dies_lets_nothing_pass_and_is_asked_again() {
    let garbage = Answer::Raw(b"\xff\xff\xff\xffgarbage".to_vec());
    let (_filter, instance) = one(at_each_step("CHMRTLNBE", &garbage));
    let mut smtp = greeted(&instance);
    for step in "CHMRTLNBE".chars() {
        let said = codes(&mut smtp);
        assert_eq!(said.last(), Some(&451), "{step}: {said:?}");
        smtp.ok("RSET");
    }
    assert!(fs::read_dir(instance.path("queue/messages")).unwrap().next().is_none());
    let log = instance.logs();
    assert!(log.contains("milter stub0 (inet:127.0.0.1:") && log.contains("impossible length"), "{log}");
    assert_eq!(codes(&mut smtp), [250, 250, 354, 250]);
    instance.received("alice", 1);
}

#[test]
fn the_default_action_is_the_administrator_s() {
    let dead = StubMilter::new().negotiates(&[Answer::Close]).start();
    for (action, expected) in [
        ("accept", vec![250, 250, 354, 250]),
        ("reject", vec![550]),
        ("quarantine", vec![250, 250, 354, 250]),
    ] {
        let instance = setup(&[&dead]).set("local.service.smtp.milter.stub0.defaultaction", action).start();
        assert_eq!(codes(&mut greeted(&instance)), expected, "{action}");
        if action == "accept" {
            instance.received("alice", 1);
        }
        if action == "quarantine" {
            let out = instance.tool("mailq").arg("--json").output().unwrap();
            let text = String::from_utf8_lossy(&out.stdout).into_owned();
            assert!(text.contains("milter stub0 is out of order"), "{text}");
        }
    }
}

#[test]
fn a_silent_filter_costs_its_time_limit_and_others_go_on() {
    for step in ['M', 'E'] {
        let silent = StubMilter::new().on(step, "<slow@", &[Answer::Silence]).on(
            'E',
            "",
            if step == 'E' {
                &[Answer::Silence]
            } else {
                const GO_ON: &[Answer] = &[Answer::Packet(b'c', Vec::new())];
                GO_ON
            },
        );
        let filter = silent.start();
        let instance = setup(&[&filter])
            .set("local.service.smtp.milter.stub0.commandtimeout", "1")
            .set("local.service.smtp.milter.stub0.messagetimeout", "1")
            .start();
        let began = Instant::now();
        let mut slow = greeted(&instance);
        if step == 'M' {
            slow.wire.send(b"MAIL FROM:<slow@x.example>\r\n");
        } else {
            for line in ["MAIL FROM:<slow@x.example>", "RCPT TO:<alice@example.test>", "DATA"] {
                slow.ok(line);
            }
            slow.wire.send(format!("{MESSAGE}.\r\n").as_bytes());
        }
        let mut other = greeted(&instance);
        other.ok("NOOP");
        assert!(slow.reply().starts_with("451 4.7.1"), "{step}");
        assert!(began.elapsed() >= Duration::from_millis(900), "{step}");
        assert!(instance.logs().contains("no answer in time"), "{}", instance.logs());
    }
}

#[test]
fn ports_may_have_different_filters() {
    let (mx, submission) = (StubMilter::new().start(), StubMilter::new().start());
    let setup = setup(&[&mx]).set("local.service.smtp.milter.other.address", submission.address());
    let instance = setup.set("local.service.smtp.submissionmilters", "other").start();
    assert_eq!(codes(&mut greeted(&instance)), [250, 250, 354, 250]);
    instance.submission("alice").send_message("alice@example.test", &["bob@example.test"], "\r\nx\r\n");
    assert_eq!((mx.connections(), submission.connections()), (1, 1));
    instance.set("local.service.smtp.submissionmilters", "none");
    instance.signal("smtp", nix::sys::signal::Signal::SIGHUP);
    wait_for("submission without filters", || {
        let before = submission.connections();
        instance.submission("alice").send_message("alice@example.test", &["bob@example.test"], "\r\nx\r\n");
        (submission.connections() == before).then_some(())
    });
}

#[test]
fn tls_is_told_and_lmtp_has_no_filters() {
    let filter = StubMilter::new().start();
    let port = 10_024;
    let instance = setup(&[&filter]).set("local.service.lmtp.port", &port.to_string()).start();
    let mut lmtp = Smtp::open(instance.connect(port));
    lmtp.ok("LHLO relay.example.org");
    lmtp.ok("MAIL FROM:<a@x.example>");
    lmtp.ok("RCPT TO:<alice@example.test>");
    lmtp.ok("DATA");
    lmtp.wire.send(format!("{MESSAGE}.\r\n").as_bytes());
    assert!(lmtp.reply().starts_with("250"));
    assert!(filter.told().is_empty(), "{:?}", filter.told());
    let mut smtp = greeted(&instance);
    smtp.ok("STARTTLS");
    let wire = smtp.wire.start_tls(&instance.path("config/certs/ca.pem"));
    let mut smtp = Smtp { wire, greeting: String::new() };
    smtp.ok("EHLO client.example.org");
    assert_eq!(codes(&mut smtp), [250, 250, 354, 250]);
    let value = |name| filter.macro_value('H', name).unwrap_or_default();
    assert!(
        value("{tls_version}").starts_with("TLSv1.") && value("{cipher_bits}").parse::<u32>().unwrap() >= 128
    );
}

#[test]
fn a_filter_without_an_address_is_a_mistake_that_is_told() {
    let instance = Setup::default().set("local.service.smtp.milters", "nowhere").create();
    let out = instance.refused_start("smtp");
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(text.contains("local.service.smtp.milter.nowhere.address is not set"), "{text}");
}

#[test]
fn chunks_are_filtered_as_data_is() {
    let (filter, instance) = one(StubMilter::new().once('T', "", &[Answer::plain('r')]));
    let mut smtp = greeted(&instance);
    for expected in ["550", "250"] {
        smtp.ok("MAIL FROM:<a@x.example>");
        smtp.ok("RCPT TO:<alice@example.test>");
        smtp.wire.send(format!("BDAT {} LAST\r\n{MESSAGE}", MESSAGE.len()).as_bytes());
        assert!(smtp.reply().starts_with(expected));
    }
    assert!(instance.received("alice", 1).contains("hello"));
    assert_eq!(filter.commands().iter().filter(|line| *line == "T").count(), 2);
}

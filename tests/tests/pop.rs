//! POP3 from outside (RFC 1939, 2449, 5034).
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use black_box::instance::POP;
use black_box::{Instance, Pop, Setup};

fn with_messages(count: u32) -> Instance {
    let instance = Instance::start();
    let mut imap = instance.imap("alice");
    for n in 1..=count {
        let message = format!("Subject: {n}\r\n\r\n{}\r\n", "x".repeat(n as usize));
        assert!(imap.append("INBOX", "", &message).starts_with("OK"));
    }
    instance
}

#[test]
fn a_maildrop_is_listed_read_and_emptied_at_quit_only() {
    let instance = with_messages(3);
    let mut pop = instance.pop("alice");
    assert_eq!(pop.ok("STAT"), "+OK 3 54");
    assert_eq!(pop.lines("LIST"), ["1 17", "2 18", "3 19"]);
    assert_eq!(pop.ok("LIST 2"), "+OK 2 18");
    assert_eq!(pop.lines("RETR 2"), ["Subject: 2", "", "xx"]);
    assert_eq!(pop.lines("TOP 3 0"), ["Subject: 3", ""]);
    let ids = pop.lines("UIDL");
    assert_eq!(ids.len(), 3);
    assert!(
        ids.iter().all(|line| line
            .split(' ')
            .nth(1)
            .unwrap()
            .bytes()
            .all(|byte| (0x21..=0x7e).contains(&byte)))
    );
    pop.ok("DELE 1");
    pop.refused("DELE 1");
    pop.refused("RETR 1");
    pop.refused("LIST 1");
    assert_eq!(pop.ok("STAT"), "+OK 2 37");
    assert_eq!(pop.lines("LIST"), ["2 18", "3 19"], "numbers stay");
    pop.ok("RSET");
    assert_eq!(pop.ok("STAT"), "+OK 3 54");
    pop.ok("DELE 2");
    drop(pop);
    let mut pop = again(&instance);
    assert_eq!(pop.ok("STAT"), "+OK 3 54", "without QUIT nothing is deleted");
    assert_eq!(pop.lines("UIDL"), ids, "the ids last");
    pop.ok("DELE 2");
    pop.ok("QUIT");
    assert!(pop.wire.is_closed());
    let mut pop = again(&instance);
    assert_eq!(pop.lines("UIDL"), [ids[0].clone(), ids[2].replacen('3', "2", 1)]);
    assert_eq!(instance.imap("alice").exists("INBOX"), 2);
}

/// The lock of the last session goes with its connection; that is noticed a moment later.
fn again(instance: &Instance) -> Pop {
    black_box::instance::wait_for("the maildrop", || {
        let mut pop = Pop::open(instance.connect(POP));
        pop.ok("USER alice");
        pop.ask("PASS alice-secret").starts_with("+OK").then_some(pop)
    })
}

#[test]
fn ids_survive_a_restart_and_a_reconstruct() {
    let mut instance = with_messages(2);
    let before = instance.pop("alice").lines("UIDL");
    instance.kill_all();
    instance.start_all();
    black_box::run(instance.tool("reconstruct").arg("user/alice/INBOX"));
    assert_eq!(again(&instance).lines("UIDL"), before);
}

#[test]
fn the_maildrop_is_for_one_session_and_imap_goes_on_beside_it() {
    let instance = with_messages(2);
    let mut first = instance.pop("alice");
    let mut second = Pop::open(instance.connect(POP));
    second.ok("USER alice");
    assert!(second.refused("PASS alice-secret").contains("[IN-USE]"));
    let mut imap = instance.imap("alice");
    imap.ok("SELECT INBOX");
    imap.ok("STORE 1 +FLAGS (\\Deleted)");
    imap.ok("EXPUNGE");
    assert_eq!(first.ok("STAT"), "+OK 2 35", "the numbers of the session are fixed");
    assert_eq!(first.lines("RETR 1")[0], "Subject: 1", "expunged elsewhere, still readable");
    first.ok("DELE 1");
    first.ok("DELE 2");
    first.ok("QUIT");
    assert_eq!(imap.exists("INBOX"), 0);
}

#[test]
fn what_is_offered_is_there() {
    let instance = Instance::start();
    let mut pop = Pop::open(instance.connect(POP));
    assert!(pop.greeting.starts_with("+OK localhost POP3 service (Mailboat "), "X10: {}", pop.greeting);
    let offered = pop.lines("CAPA");
    for one in [
        "TOP",
        "UIDL",
        "USER",
        "SASL PLAIN LOGIN",
        "PIPELINING",
        "RESP-CODES",
        "AUTH-RESP-CODE",
        "STLS",
        "EXPIRE NEVER",
    ] {
        assert!(offered.iter().any(|line| line == one), "{one} in {offered:?}");
    }
    assert!(offered.iter().any(|line| line.starts_with("IMPLEMENTATION Mailboat")));
    assert_eq!(pop.lines("AUTH"), ["PLAIN", "LOGIN"]);
    assert_eq!(pop.ask("AUTH PLAIN"), "+ ");
    pop.ok("AGFsaWNlAGFsaWNlLXNlY3JldA==");
    pop.refused("STLS");
    pop.refused("USER bob");
    let mut initial = Pop::open(instance.connect(POP));
    initial.ok("AUTH PLAIN AGJvYgBib2Itc2VjcmV0");
    assert_eq!(initial.ok("STAT"), "+OK 0 0");
    assert!(initial.lines("LIST").is_empty());
}

#[test]
fn pipelined_commands_are_answered_in_order() {
    let instance = with_messages(2);
    let mut pop = Pop::open(instance.connect(POP));
    pop.wire.send(b"USER alice\r\nPASS alice-secret\r\nSTAT\r\nDELE 1\r\nRETR 2\r\nNOOP\r\nQUIT\r\n");
    let answers: Vec<String> = (0..5).map(|_| pop.wire.line()).collect();
    assert!(answers.iter().all(|line| line.starts_with("+OK")), "{answers:?}");
    assert_eq!(answers[2], "+OK 2 35");
    let message: Vec<String> = (0..4).map(|_| pop.wire.line()).collect();
    assert_eq!(message, ["Subject: 2", "", "xx", "."]);
    assert!(pop.wire.line().starts_with("+OK") && pop.wire.line().starts_with("+OK"));
    assert!(pop.wire.is_closed());
    assert_eq!(instance.imap("alice").exists("INBOX"), 1);
}

#[test]
fn wrong_passwords_are_answered_late_and_all_alike() {
    let instance = Instance::start();
    for user in ["alice", "nobody"] {
        let mut pop = Pop::open(instance.connect(POP));
        pop.ok(&format!("USER {user}"));
        let begin = std::time::Instant::now();
        assert_eq!(pop.refused("PASS wrong"), "-ERR [AUTH] Wrong user name or password");
        assert!(begin.elapsed() >= Duration::from_secs(1));
    }
}

/// A large message, lines that begin with dots, one without an end, a maildrop of thousands.
#[test]
fn everything_arrives_byte_for_byte() {
    let instance = Instance::start();
    let mut imap = instance.imap("alice");
    let big = format!("Subject: big\r\n\r\n{}", ".dots\r\n..\r\n.\r\n".repeat(50_000));
    let unfinished = "Subject: no end\r\n\r\nlast line";
    let long = format!("Subject: long\r\n\r\n{}\r\n", "y".repeat(1_000_000));
    for message in [big.as_str(), unfinished, &long] {
        assert!(imap.append("INBOX", "", message).starts_with("OK"));
    }
    let mut pop = instance.pop("alice");
    assert_eq!(pop.lines("RETR 1").join("\r\n") + "\r\n", big);
    assert_eq!(pop.lines("RETR 2").join("\r\n"), unfinished);
    assert_eq!(pop.lines("RETR 3").join("\r\n") + "\r\n", long);
    assert_eq!(pop.lines("TOP 1 3"), ["Subject: big", "", ".dots", "..", "."]);
    let many = if black_box::quick() { 500 } else { 3000 };
    for n in 0..many {
        instance_append(&mut imap, n);
    }
    pop.ok("QUIT");
    let mut pop = instance.pop("alice");
    assert_eq!(pop.lines("UIDL").len(), many + 3);
    assert_eq!(pop.lines("LIST").len(), many + 3);
}

fn instance_append(imap: &mut black_box::Imap, n: usize) {
    assert!(imap.append("INBOX", "", &format!("Subject: {n}\r\n\r\n")).starts_with("OK"));
}

/// S109.
#[test]
fn a_user_kept_out_of_a_service_uses_the_others() {
    let instance = Setup::default().set("service.authcachettl", "0").start();
    black_box::run(instance.tool("dirutil").args([
        "change",
        "alice",
        "--set",
        "nsmsgDisallowAccess=pop,smtp",
    ]));
    black_box::instance::wait_for("the directory to be read again", || {
        let mut pop = Pop::open(instance.connect(POP));
        pop.ok("USER alice");
        pop.ask("PASS alice-secret").starts_with("-ERR [AUTH] This account may not use POP").then_some(())
    });
    instance.imap("alice").ok("NOOP");
    let mut smtp = black_box::Smtp::open(instance.connect(black_box::instance::SUBMISSION));
    smtp.ok("EHLO a.example");
    black_box::instance::wait_for("smtpd to read it again", || {
        smtp.ask("AUTH PLAIN AGFsaWNlAGFsaWNlLXNlY3JldA==").starts_with("535 5.7.1").then_some(())
    });
    let log = instance.log("pop");
    assert!(log.contains("] alice service not allowed (session "), "{log}");
}

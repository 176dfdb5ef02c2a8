//! Whatever popd announces in CAPA has a test here (RFC 2449, 3206, 5034, 6856), and CAPA announces nothing else; then the
//! faults that another server was found to have, and what IMAP sessions do to a maildrop and it to them.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use black_box::instance::{POP, POPS, wait_for};
use black_box::{Imap, Instance, Pop, Setup, Wire, run};

/// Each tag, and the function below or in pop.rs that shows it at work.
const TESTED: [&str; 12] = [
    "TOP",            // the_faults_of_another_server_are_not_ours
    "UIDL",           // unique_ids_outlive_a_restart_a_rebuilt_index_a_backup_and_a_move
    "PIPELINING",     // pop.rs::pipelined_commands_are_answered_in_order
    "RESP-CODES",     // every_response_code_comes_where_it_belongs
    "AUTH-RESP-CODE", // every_response_code_comes_where_it_belongs
    "UTF8",           // headers_in_utf8_are_for_who_says_so
    "LANG",           // languages_are_listed_and_chosen
    "EXPIRE",         // expire_is_what_the_ageing_rules_promise
    "LOGIN-DELAY",    // who_comes_too_soon_is_put_off_by_every_process_and_after_a_restart
    "USER",           // implementation_and_user_are_true
    "SASL",           // a_log_in_by_sasl_with_and_without_initial_response
    "STLS",           // stls_is_offered_until_it_cannot_be_used
];

fn stranger(instance: &Instance) -> Pop {
    Pop::open(instance.connect(POP))
}

/// The lock of the last session goes with its connection; that is noticed a moment later.
fn logged_in(instance: &Instance, user: &str) -> Pop {
    wait_for("the maildrop", || {
        let mut pop = stranger(instance);
        pop.ok(&format!("USER {user}"));
        pop.ask(&format!("PASS {user}-secret")).starts_with("+OK").then_some(pop)
    })
}

fn capabilities(pop: &mut Pop) -> Vec<String> {
    pop.lines("CAPA")
}

fn has(pop: &mut Pop, line: &str) -> bool {
    capabilities(pop).iter().any(|one| one == line)
}

fn append(imap: &mut Imap, message: &str) {
    assert!(imap.append("INBOX", "", message).starts_with("OK"), "{message}");
}

#[test]
fn nothing_is_announced_that_is_not_tested_here() {
    let instance = Setup::default().set("service.pop.popminpoll", "1").start();
    let tags = |lines: Vec<String>| -> Vec<String> {
        let mut tags: Vec<String> =
            lines.iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
        tags.sort();
        tags
    };
    let mut tested: Vec<String> = TESTED.iter().map(|tag| (*tag).to_owned()).collect();
    tested.push("IMPLEMENTATION".to_owned());
    tested.sort();
    assert_eq!(tags(capabilities(&mut stranger(&instance))), tested);
    tested.retain(|tag| tag != "STLS");
    assert_eq!(tags(capabilities(&mut instance.pop("alice"))), tested, "in the transaction state");
    assert_eq!(capabilities(&mut stranger(&instance)), capabilities(&mut stranger(&instance)));
}

#[test]
fn implementation_and_user_are_true() {
    let instance = Setup::default().set("service.pop.plaintextmincipher", "-1").start();
    let mut pop = stranger(&instance);
    let offered = capabilities(&mut pop);
    assert!(offered.iter().any(|line| line.starts_with("IMPLEMENTATION Mailboat-")), "{offered:?}");
    assert!(!offered.iter().any(|line| line == "USER" || line.contains("PLAIN")), "{offered:?}");
    assert!(pop.refused("USER alice").starts_with("-ERR [AUTH]"));
    let instance = Instance::start();
    let mut pop = stranger(&instance);
    assert!(has(&mut pop, "USER"));
    pop.ok("USER alice");
    pop.ok("PASS alice-secret");
    assert!(has(&mut pop, "USER"), "what is offered before the log-in is told after it too (RFC 2449 §5)");
}

#[test]
fn stls_is_offered_until_it_cannot_be_used() {
    let instance = Instance::start();
    let ca = instance.path("config/certs/ca.pem");
    let mut pop = stranger(&instance);
    assert!(has(&mut pop, "STLS"));
    pop.ok("STLS");
    let mut pop = Pop { wire: pop.wire.start_tls(&ca), greeting: String::new() };
    assert!(!has(&mut pop, "STLS"));
    pop.refused("STLS");
    pop.ok("USER alice");
    pop.ok("PASS alice-secret");
    assert!(!has(&mut Pop::over(Wire::tls(instance.connect(POPS), &ca)), "STLS"));
    let mut utf8 = stranger(&instance);
    utf8.ok("UTF8");
    assert!(!has(&mut utf8, "STLS"));
    utf8.refused("STLS"); // RFC 6856 §2.1: no STLS behind UTF8
    utf8.ok("USER alice");
}

#[test]
fn a_log_in_by_sasl_with_and_without_initial_response() {
    let instance = Instance::start();
    let plain = STANDARD.encode("\0alice\0alice-secret");
    let mut pop = stranger(&instance);
    assert!(has(&mut pop, "SASL PLAIN LOGIN"));
    pop.ok(&format!("AUTH PLAIN {plain}"));
    drop(pop);
    let mut pop = stranger(&instance);
    assert_eq!(pop.ask("AUTH PLAIN"), "+ ");
    wait_for("the maildrop", || {
        let answer = pop.ask(&plain);
        if answer.starts_with("-ERR [IN-USE]") {
            assert_eq!(pop.ask("AUTH PLAIN"), "+ ");
            return None;
        }
        assert!(answer.starts_with("+OK"), "{answer}");
        Some(())
    });
    let mut pop = stranger(&instance);
    assert_eq!(pop.ask("AUTH LOGIN"), "+ VXNlcm5hbWU6");
    assert_eq!(pop.ask(&STANDARD.encode("bob")), "+ UGFzc3dvcmQ6");
    pop.ok(&STANDARD.encode("bob-secret"));
    // RFC 5034 §4: an empty initial response is a `=`, which PLAIN cannot use.
    stranger(&instance).refused("AUTH PLAIN =");
}

/// service.pop.popminpoll: RFC 2449 §6.5 and §8.1.1.
#[test]
fn who_comes_too_soon_is_put_off_by_every_process_and_after_a_restart() {
    let mut instance = Setup::default()
        .set("service.pop.popminpoll", "3600")
        .set("service.pop.numprocesses", "3")
        .set("service.imap.numprocesses", "2")
        .start();
    assert!(has(&mut stranger(&instance), "LOGIN-DELAY 3600"));
    instance.pop("alice").ok("QUIT");
    let put_off = |instance: &Instance| {
        for _ in 0..12 {
            let mut pop = stranger(instance);
            pop.ok("USER alice");
            let answer = wait_for("another answer than [IN-USE]", || {
                let answer = pop.ask("PASS alice-secret");
                let busy = answer.starts_with("-ERR [IN-USE]");
                busy.then(|| pop.ok("USER alice"));
                (!busy).then_some(answer)
            });
            assert!(answer.starts_with("-ERR [LOGIN-DELAY] "), "{answer}");
            pop.refused("STAT");
            let mut pop = stranger(instance);
            let sasl = pop.ask(&format!("AUTH PLAIN {}", STANDARD.encode("\0alice\0alice-secret")));
            assert!(sasl.starts_with("-ERR [LOGIN-DELAY] ") || sasl.starts_with("-ERR [IN-USE]"), "{sasl}");
        }
    };
    put_off(&instance);
    instance.pop("bob").ok("STAT"); // each user for himself
    instance.imap("alice").ok("SELECT INBOX");
    // An administrator who acts for her.
    let mut admin = stranger(&instance);
    admin.ok(&format!("AUTH PLAIN {}", STANDARD.encode("alice\0admin\0admin-secret")));
    admin.ok("QUIT");
    instance.kill_all();
    instance.start_all();
    put_off(&instance);
    assert!(instance.log("pop").contains("less than 3600 seconds after the last log-in"));
    // When the time is over, or the parameter is; and being put off does not begin it anew.
    instance.set("service.pop.popminpoll", "6");
    instance.signal("pop", nix::sys::signal::Signal::SIGHUP);
    logged_in(&instance, "alice").ok("QUIT");
    let begun = Instant::now();
    logged_in(&instance, "alice").ok("QUIT");
    // Whole seconds are kept, and a log-in was a moment ago when it is answered.
    assert!(begun.elapsed() > Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn every_response_code_comes_where_it_belongs() {
    let instance = Instance::start();
    let mut first = instance.pop("alice");
    let mut second = stranger(&instance);
    second.ok("USER alice");
    assert!(second.refused("PASS alice-secret").starts_with("-ERR [IN-USE] "));
    second.ok("USER bob");
    assert!(second.refused("PASS nonsense").starts_with("-ERR [AUTH] "));
    let wrong = format!("AUTH PLAIN {}", STANDARD.encode("\0bob\0nonsense"));
    assert!(second.refused(&wrong).starts_with("-ERR [AUTH] "));
    // What has nothing to do with the credentials has no [AUTH]: the client would ask for another password.
    for line in ["AUTH NOSUCH", "AUTH PLAIN !", "PASS x", "STAT", "NONSENSE", "USER"] {
        assert!(!second.refused(line).contains('['), "{line}");
    }
    for line in ["RETR 9", "LIST 9", "DELE 9", "USER bob", "PASS x"] {
        assert!(!first.refused(line).contains('['), "{line}");
    }
    // [SYS/TEMP]: a message that cannot be read. Its file is gone, its record is not.
    append(&mut instance.imap("bob"), "Subject: x\r\n\r\nx\r\n");
    let folder = run(instance.tool("hashdir").arg("bob"));
    let folder = instance.path("store/partition/primary/=user").join(folder.trim()).join("=bob");
    let mut pop = logged_in(&instance, "bob");
    run(std::process::Command::new("find").arg(folder).args(["-name", "*.msg", "-delete"]));
    let said = pop.refused("RETR 1");
    assert!(said.starts_with("-ERR [SYS/TEMP] ") || said == "-ERR No such message", "{said}");
    assert!(pop.ok("STAT").starts_with("+OK 1 "));
}

#[test]
fn languages_are_listed_and_chosen() {
    let instance = Instance::start();
    let mut pop = stranger(&instance);
    assert_eq!(pop.lines("LANG"), ["i-default English", "en English"]);
    assert!(pop.ok("LANG en").starts_with("+OK en "));
    assert!(pop.ok("LANG *").starts_with("+OK i-default "));
    assert_eq!(pop.refused("LANG MUL"), "-ERR invalid language MUL");
    pop.refused("LANG en de");
    let mut pop = logged_in(&instance, "alice");
    assert!(pop.ok("LANG I-Default").starts_with("+OK i-default "), "in both states");
}

/// RFC 6856 §2.1: without UTF8 a header in UTF-8 comes as a surrogate (RFC 6858), with it as it is.
#[test]
fn headers_in_utf8_are_for_who_says_so() {
    let instance = Instance::start();
    let mut imap = instance.imap("alice");
    let strange =
        "From: J\u{fc}rgen <j\u{fc}rgen@a.test>\r\nSubject: Gr\u{fc}\u{df}e\r\nX-A: 1\r\n\r\nK\u{f6}rper\r\n";
    let large = format!("{strange}{}", "\u{e9}\u{e9}\u{e9}\r\n".repeat(40_000));
    let plain = "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\nK\u{f6}rper\r\n";
    for message in [strange, &large, plain] {
        append(&mut imap, message);
    }
    let mut pop = logged_in(&instance, "alice");
    let mut read = pop.lines("RETR 1");
    assert!(read[..3].iter().all(|line| line.is_ascii()), "{read:?}");
    assert!(read[0].starts_with("From: =?utf-8?"), "{read:?}");
    assert!(read[0].ends_with(" <invalid@internationalized-address.invalid>"), "{read:?}");
    assert_eq!(&read[1..], ["Subject: =?utf-8?B?R3LDvMOfZQ==?=", "X-A: 1", "", "K\u{f6}rper"]);
    assert_eq!(pop.lines("TOP 1 0"), &read[..4]);
    read.pop();
    assert_eq!(pop.lines("TOP 2 0"), read);
    assert_eq!(pop.lines("RETR 2").len(), 40_005);
    assert_eq!(pop.lines("RETR 3").join("\r\n") + "\r\n", plain, "bodies in UTF-8 are nobody's trouble");
    pop.refused("UTF8"); // too late
    pop.ok("QUIT");
    let mut pop = stranger(&instance);
    pop.ok("UTF8");
    pop.ok("USER alice");
    pop.ok("PASS alice-secret");
    assert_eq!(pop.lines("RETR 1").join("\r\n") + "\r\n", strange);
    assert_eq!(pop.lines("RETR 2").join("\r\n") + "\r\n", large);
    assert_eq!(pop.lines("RETR 3").join("\r\n") + "\r\n", plain);
}

#[test]
fn expire_is_what_the_ageing_rules_promise() {
    let instance = Instance::start();
    assert!(has(&mut stranger(&instance), "EXPIRE NEVER"));
    for (name, value) in [
        ("all.folderpattern", "*"),
        ("all.messagedays", "60"),
        ("bob.folderpattern", "user/bob/*"),
        ("bob.savedays", "14"),
    ] {
        instance.set(&format!("store.expirerule.{name}"), value);
    }
    instance.signal("pop", nix::sys::signal::Signal::SIGHUP);
    wait_for("the rules to be read", || has(&mut stranger(&instance), "EXPIRE 14 USER").then_some(()));
    assert!(has(&mut instance.pop("alice"), "EXPIRE 60"));
    assert!(has(&mut instance.pop("bob"), "EXPIRE 14"));
    instance.set("store.expirerule.bob.messagecount", "5");
    instance.signal("pop", nix::sys::signal::Signal::SIGHUP);
    wait_for("nothing to be promised", || {
        let offered = capabilities(&mut stranger(&instance));
        (!offered.iter().any(|line| line.starts_with("EXPIRE"))).then_some(())
    });
    assert!(has(&mut logged_in(&instance, "alice"), "EXPIRE 60"));
}

/// research/store.md 1.3: TOP counted lines from the start of the message, and `TOP n 0` gave everything; a first byte that is
/// a dot was not stuffed; announced octets were counted before CR was put in.
#[test]
fn the_faults_of_another_server_are_not_ours() {
    let instance = Instance::start();
    let mut imap = instance.imap("alice");
    append(&mut imap, "A: 1\r\nB: 2\r\nC: 3\r\n\r\none\r\ntwo\r\nthree\r\n");
    append(&mut imap, ".A: 1\r\n.\r\n\r\n.one\r\n");
    append(&mut imap, "A: 1\nB: 2\n\none\ntwo\r\nthree");
    append(&mut imap, "A: 1\r\n\r\n");
    append(&mut imap, "A: 1\r\n");
    let mut pop = logged_in(&instance, "alice");
    let head = ["A: 1", "B: 2", "C: 3", ""];
    assert_eq!(pop.lines("TOP 1 0"), head);
    assert_eq!(pop.lines("TOP 1 1"), [&head[..], &["one"]].concat());
    assert_eq!(pop.lines("TOP 1 2"), [&head[..], &["one", "two"]].concat());
    assert_eq!(pop.lines("TOP 1 9"), [&head[..], &["one", "two", "three"]].concat());
    assert_eq!(pop.lines("TOP 4 0"), ["A: 1", ""]);
    assert_eq!(pop.lines("TOP 5 0"), pop.lines("RETR 5"));
    pop.ok("RETR 2");
    let raw: Vec<String> = (0..5).map(|_| pop.wire.line()).collect();
    assert_eq!(raw, ["..A: 1", "..", "", "..one", "."], "stuffed from the first byte on");
    for number in 1..=5 {
        let listed = pop.ok(&format!("LIST {number}"));
        let said = pop.ok(&format!("RETR {number}"));
        let mut octets = 0;
        loop {
            match pop.wire.line().as_str() {
                "." => break,
                line => octets += line.strip_prefix('.').unwrap_or(line).len() + 2,
            }
        }
        // The last line of the third has no end of its own; it gets one on the wire.
        let announced = if number == 3 { octets - 2 } else { octets };
        assert_eq!(listed, format!("+OK {number} {announced}"), "LIST {number}");
        assert_eq!(said, format!("+OK {announced} octets"), "RETR {number}");
    }
}

#[test]
fn unique_ids_outlive_a_restart_a_rebuilt_index_a_backup_and_a_move() {
    let mut instance = Instance::start();
    let mut imap = instance.imap("alice");
    for number in 0..5 {
        append(&mut imap, &format!("Subject: {number}\r\n\r\nx\r\n"));
    }
    imap.ok("SELECT INBOX");
    imap.ok("STORE 2,5 +FLAGS (\\Deleted)");
    imap.ok("EXPUNGE");
    let ids = |instance: &Instance| logged_in(instance, "alice").lines("UIDL");
    let before = ids(&instance);
    assert_eq!(before.len(), 3);
    instance.kill_all();
    instance.start_all();
    assert_eq!(ids(&instance), before, "a restart");
    // Without its index the mailbox is made anew from its messages.
    let archive = instance.path("tmp/backup");
    run(instance.tool("imsbackup").arg("-f").arg(&archive).arg("user/alice"));
    instance.kill_all();
    let folder = run(instance.tool("hashdir").arg("alice"));
    let folder = instance.path("store/partition/primary/=user").join(folder.trim()).join("=alice");
    run(instance.tool("reconstruct").args(["-r", "user/alice"]));
    instance.start_all();
    assert_eq!(ids(&instance), before, "reconstruct -r");
    assert!(folder.exists());
    // Into another instance, as a move to another host does it.
    let other = Instance::start();
    run(other.tool("imsrestore").arg("-f").arg(&archive));
    assert_eq!(ids(&other), before, "a backup restored elsewhere");
    // What comes later has ids of its own.
    append(&mut other.imap("alice"), "Subject: later\r\n\r\nx\r\n");
    let after = ids(&other);
    assert_eq!(after[..3], before);
    assert!(before.iter().all(|line| line.split_once(' ').unwrap().1 != after[3].split_once(' ').unwrap().1));
}

/// A maildrop is what was there at the log-in; a mailbox that IMAP sessions have selected beside it goes on.
#[test]
fn imap_sessions_and_a_maildrop_share_the_inbox() {
    let instance = Instance::start();
    let mut imap = instance.imap("alice");
    for number in 1..=4 {
        append(&mut imap, &format!("Subject: {number}\r\n\r\nx\r\n"));
    }
    imap.ok("SELECT INBOX");
    let mut pop = logged_in(&instance, "alice");
    let listed = pop.lines("LIST");
    let ids = pop.lines("UIDL");
    imap.ok("STORE 2 +FLAGS (\\Deleted)");
    assert_eq!(imap.ok("EXPUNGE"), ["* 2 EXPUNGE"]);
    append(&mut imap, "Subject: 5\r\n\r\nx\r\n");
    assert_eq!(pop.lines("LIST"), listed, "neither what is gone nor what is new changes the numbers");
    assert_eq!(pop.lines("UIDL"), ids);
    assert_eq!(pop.lines("TOP 2 0"), ["Subject: 2", ""], "its file is there until stored cleans up");
    pop.refused("RETR 5");
    pop.ok("DELE 2"); // gone already
    pop.ok("DELE 3");
    assert_eq!(imap.ok("NOOP").iter().filter(|line| line.contains("EXPUNGE")).count(), 0, "not before QUIT");
    pop.ok("QUIT");
    assert_eq!(
        imap.ok("NOOP").iter().filter(|line| line.contains("EXPUNGE")).collect::<Vec<_>>(),
        ["* 2 EXPUNGE"]
    );
    let fetched = imap.ok("FETCH 1:* BODY.PEEK[HEADER.FIELDS (SUBJECT)]").concat();
    assert!(
        ["1", "4", "5"].iter().all(|number| fetched.contains(&format!("Subject: {number}"))),
        "{fetched}"
    );
    // RETR is no reading: \Seen is the IMAP client's.
    let mut pop = logged_in(&instance, "alice");
    assert_eq!(pop.lines("RETR 1")[0], "Subject: 1");
    pop.ok("QUIT");
    assert_eq!(imap.ok("SEARCH SEEN"), ["* SEARCH"]);
    // The mailbox goes away under the maildrop's feet: RENAME of INBOX takes the messages elsewhere (RFC 3501 §6.3.5).
    let mut pop = logged_in(&instance, "alice");
    imap.ok("UNSELECT");
    imap.ok("RENAME INBOX Old");
    let said = pop.ask("RETR 1");
    assert!(said.starts_with("+OK") || said == "-ERR No such message", "{said}");
    if said.starts_with("+OK") {
        while pop.wire.line() != "." {}
    }
    pop.ok("DELE 1");
    pop.ok("QUIT");
    assert_eq!(imap.exists("Old"), 3, "what was moved away is not deleted by its old number");
}

//! Bad input to popd: the POP row of research/store.md 4.3, each case named by its words there.
//!
//! After every case that leaves the connection open something is asked, so one answer too many or too few is found. A group
//! of cases ends with a look at all daemons: the same processes, hardly more memory, answering on every port.
//!
//! Left out: twenty wrong passwords, since the pauses before the fifth, which ends the connection, take half a minute (pop.rs
//! has the first). Elsewhere: `[LOGIN-DELAY]` for polling too fast, first lines with a dot, unique ids after restart and
//! reconstruct in pop_capabilities.rs; lines of 1 MB, messages without a last CRLF in pop.rs.
#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use black_box::instance::{POP, wait_for};
use black_box::{Instance, Pop, Setup, Upgrade, Vigil, run};

/// What a group of cases may leave behind in all daemons together.
const GROWTH_MAX_BYTES: u64 = 8 << 20;

const MESSAGE: &str = ".Subject: dots\r\nFrom: a@b.test\r\n\r\n.\r\n..x\r\n";

/// An instance in which alice has three messages.
fn instance() -> Instance {
    let instance = Instance::start();
    fill(&instance);
    instance
}

fn fill(instance: &Instance) {
    let mut imap = instance.imap("alice");
    for _ in 0..3 {
        assert!(imap.append("INBOX", "", MESSAGE).starts_with("OK"));
    }
}

fn stranger(instance: &Instance) -> Pop {
    Pop::open(instance.connect(POP))
}

/// The lock of the last session goes with its connection; that is noticed a moment later.
fn logged_in(instance: &Instance) -> Pop {
    wait_for("the maildrop", || {
        let mut pop = stranger(instance);
        pop.ok("USER alice");
        pop.ask("PASS alice-secret").starts_with("+OK").then_some(pop)
    })
}

/// Sends bytes as they are. As many lines must come as there are answers, each beginning with its answer; then nothing more,
/// but the end of the connection where the last answer is `close`.
fn says(pop: &mut Pop, case: &str, bytes: &[u8], answers: &[&str]) {
    pop.wire.send(bytes);
    for answer in answers {
        if *answer == "close" {
            assert!(pop.wire.is_closed(), "{case}: the connection goes on");
            return;
        }
        let line = pop.wire.line();
        assert!(line.starts_with(answer), "{case}: {line}, not {answer}");
    }
    assert!(pop.ask("CAPA").starts_with("+OK Capabilities"), "{case}");
    while pop.wire.line() != "." {}
}

/// Lines, and whether a stranger and a user get `-ERR` for them.
const LINES: &[(&str, bool, bool)] = &[
    ("", true, true),
    (" ", true, true),
    ("BOGUS", true, true),
    ("APOP alice c4c9334bac560ecc979e58001b3e22fb", true, true), // APOP/unknown
    ("STAT", true, false),
    ("LIST", true, false),
    ("UIDL", true, false),
    ("NOOP", true, false),
    ("RSET", true, false),
    ("RETR 1", true, false),
    ("TOP 1 0", true, false),
    ("DELE 3", true, false),
    ("PASS x", true, true),
    ("USER", true, true),
    ("USER bob", false, true),
    ("USER \u{0}", true, true),
    ("AUTH NOSUCH", true, true),
    ("AUTH PLAIN !!!", true, true),
    ("AUTH PLAIN =", true, true),
    ("AUTH PLAIN a b", true, true),
    ("RETR", true, true),
    ("RETR 0", true, true),
    ("RETR -1", true, true),
    ("RETR +1", true, true),
    ("RETR 4", true, true),
    ("RETR 4294967297", true, true),
    ("RETR 99999999999999999999999", true, true),
    ("RETR 0x1", true, true),
    ("RETR x", true, true),
    ("RETR 1 2", true, true),
    ("TOP 1", true, true), // TOP without 2nd argument
    ("TOP 1 -1", true, true),
    ("TOP 0 1", true, true),
    ("TOP 4 1", true, true),
    ("TOP x 1", true, true),
    ("TOP 1 1 1", true, true),
    ("LIST 0", true, true),
    ("LIST 4", true, true),
    ("UIDL -1", true, true),
    ("UIDL 4", true, true),
    ("DELE", true, true),
    ("DELE 0", true, true),
    ("DELE 4294967296", true, true),
    ("STAT 1", true, true),
    ("QUIT now", true, true),
    ("CAPA x", true, true),
    ("UTF8", false, true),
    ("UTF8 x", true, true),
    ("LANG xx", true, true),
    ("LANG en de", true, true),
];

#[test]
fn every_line_gets_its_answer() {
    let instance = instance();
    let vigil = Vigil::begin(&instance);
    for (text, stranger_errs, user_errs) in LINES {
        if *stranger_errs {
            says(&mut stranger(&instance), text, format!("{text}\r\n").as_bytes(), &["-ERR"]);
        }
        if *user_errs {
            says(&mut logged_in(&instance), text, format!("{text}\r\n").as_bytes(), &["-ERR"]);
        }
    }
    for (case, bytes) in [
        ("line > 255", &[&b"USER "[..], &[b'x'; 300], b"\r\n"].concat()[..]),
        ("line of 1 MB", &[&b"USER "[..], &vec![b'x'; 1 << 20], b"\r\n"].concat()),
        ("control bytes", b"USER a\x01\r\n"),
        ("a bare CR", b"USER a\rb\r\n"),
        ("no UTF-8", b"USER \xff\xfe\r\n"),
    ] {
        says(&mut stranger(&instance), case, bytes, &["-ERR"]);
    }
    let longest = format!("USER {}\r\n", "x".repeat(248)); // 255 with its CRLF (RFC 2449 §4)
    says(&mut stranger(&instance), "line of 255", longest.as_bytes(), &["+OK"]);
    says(&mut logged_in(&instance), "a bare LF does no harm", b"NOOP\n", &["+OK"]);
    assert_eq!(instance.imap("alice").exists("INBOX"), 3, "nothing was deleted");
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

#[test]
fn what_is_deleted_is_gone_for_this_session_and_comes_back_without_quit() {
    let instance = instance();
    let vigil = Vigil::begin(&instance);
    let mut pop = logged_in(&instance);
    pop.ok("DELE 2");
    for line in ["DELE 2", "RETR 2", "LIST 2", "UIDL 2", "TOP 2 0"] {
        pop.refused(line);
    }
    assert_eq!(pop.lines("TOP 1 0"), [".Subject: dots", "From: a@b.test", ""], "headers and the blank line");
    assert_eq!(pop.lines("TOP 1 4294967295").len(), 5);
    assert_eq!(pop.lines("RETR 3"), [".Subject: dots", "From: a@b.test", "", ".", "..x"]);
    drop(pop); // "drop without QUIT deletes nothing"
    let mut pop = logged_in(&instance);
    assert!(pop.ok("STAT").starts_with("+OK 3 "));
    let ids = pop.lines("UIDL");
    let is_id =
        |id: &str| (1..=70).contains(&id.len()) && id.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
    assert!(ids.iter().all(|line| is_id(line.split_once(' ').unwrap().1)), "{ids:?}");
    // "second session"
    let mut second = stranger(&instance);
    second.ok("USER alice");
    assert!(second.refused("PASS alice-secret").starts_with("-ERR [IN-USE]"));
    second.refused("STAT");
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

#[test]
fn broken_exchanges_end_and_leave_nobody_logged_in() {
    let instance = instance();
    let vigil = Vigil::begin(&instance);
    for (case, response, answers) in [
        ("*", "*\r\n".to_owned(), &["+ ", "-ERR"][..]),
        ("bad base64", "!!!\r\n".to_owned(), &["+ ", "-ERR"]),
        ("no PLAIN message", "YWxpY2U=\r\n".to_owned(), &["+ ", "-ERR"]),
        ("pipelined AUTH", "STAT\r\n".to_owned(), &["+ ", "-ERR"]), // a response, and none that is right
        ("1 MB response", format!("{}\r\n", "A".repeat(1 << 20)), &["+ ", "-ERR"]),
        ("somebody else", "Ym9iAGFsaWNlAGFsaWNlLXNlY3JldA==\r\n".to_owned(), &["+ ", "-ERR [AUTH]"]),
    ] {
        let mut pop = stranger(&instance);
        says(&mut pop, case, format!("AUTH PLAIN\r\n{response}").as_bytes(), answers);
        pop.refused("STAT");
    }
    let good = b"AUTH PLAIN\r\nAGFsaWNlAGFsaWNlLXNlY3JldA==\r\nSTAT\r\n";
    says(&mut stranger(&instance), "pipelined AUTH that is right", good, &["+ ", "+OK", "+OK 3 "]);
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

/// Wrong names and passwords, tricks among them, are answered alike; all at once, since each takes a second.
#[test]
fn nobody_is_let_in_by_a_trick() {
    let instance = instance();
    let vigil = Vigil::begin(&instance);
    std::thread::scope(|scope| {
        for (user, password) in [
            ("alice", "wrong"),
            ("nobody99", "alice-secret"),
            ("*", "alice-secret"),
            ("*)(uid=*))(|(uid=*", "alice-secret"),
            ("alice ", "alice-secret"),
        ] {
            let instance = &instance;
            scope.spawn(move || {
                let mut pop = stranger(instance);
                pop.ok(&format!("USER {user}"));
                assert_eq!(
                    pop.ask(&format!("PASS {password}")),
                    "-ERR [AUTH] Wrong user name or password",
                    "{user}"
                );
                pop.refused("STAT");
                pop.refused("PASS alice-secret"); // USER is to be said again
            });
        }
    });
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

#[test]
fn who_only_talks_nonsense_is_sent_away() {
    let instance = instance();
    let vigil = Vigil::begin(&instance);
    let mut pop = stranger(&instance);
    (0..24).for_each(|_| drop(pop.refused("BOGUS")));
    says(&mut pop, "25th bad command", b"BOGUS\r\n", &["-ERR", "close"]);
    let mut endless = stranger(&instance);
    let piece = vec![b'x'; 1 << 20];
    let sent = (0..64).take_while(|_| endless.wire.try_send(&piece)).count();
    assert!((16..64).contains(&sent), "{sent} MiB of one line were taken");
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

#[test]
fn nothing_behind_stls_is_run() {
    let instance = instance();
    let vigil = Vigil::begin(&instance);
    let upgrade = Upgrade {
        port: POP,
        before: None,
        ask: "STLS\r\n",
        go_ahead: "+OK Begin TLS",
        injected: "CAPA\r\n",
        after: "BOGUS\r\n",
        answer: "-ERR",
    };
    println!("plaintext behind it: {:?}", upgrade.inject(&instance));
    let mut pop = stranger(&instance);
    pop.ok("USER alice");
    pop.ok("STLS");
    let wire = pop.wire.start_tls(&instance.path("config/certs/ca.pem"));
    let mut pop = Pop { wire, greeting: String::new() };
    pop.refused("STLS"); // twice
    pop.refused("PASS alice-secret"); // USER was forgotten
    logged_in(&instance).refused("STLS"); // after login
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

/// "QUIT with disk error": either it says so and all are still there, or all are gone; a restart agrees.
#[test]
fn quit_on_a_full_disk_tells_the_truth() {
    let place = tempfile::tempdir().unwrap();
    run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=32m", "tmpfs"]).arg(place.path()));
    let _unmount = Unmount(place.path());
    let mut instance = Setup::default().inside(place.path()).start();
    fill(&instance);
    let mut pop = logged_in(&instance);
    (1..=3).for_each(|n| drop(pop.ok(&format!("DELE {n}"))));
    let filler = place.path().join("filler");
    let mut file = File::create(&filler).unwrap();
    for size in [1 << 16, 1 << 12, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
    let answer = pop.ask("QUIT");
    println!("QUIT on a full disk: {answer}");
    assert!(answer.starts_with("+OK") || answer.starts_with("-ERR [SYS/TEMP]"), "{answer}");
    let left = if answer.starts_with("+OK") { 0 } else { 3 };
    drop(file);
    fs::remove_file(&filler).unwrap();
    instance.kill_all();
    instance.start_all();
    assert_eq!(instance.imap("alice").exists("INBOX"), left, "{answer}");
    assert!(logged_in(&instance).ok("STAT").starts_with(&format!("+OK {left} ")));
}

struct Unmount<'a>(&'a Path);

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

//! Guesses are counted by all daemons of the host together, and no crash forgets or holds up anything; `guessutil` shows who
//! is slowed.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use black_box::instance::{IMAP, POP, SUBMISSION, run};
use black_box::{Imap, Instance, Pop, Setup, Smtp};

/// An instance whose clients on loopback are proxies, so that a test can come from anywhere.
fn setup() -> Setup {
    ["smtp", "imap", "pop"].iter().fold(Setup::default(), |setup, service| {
        setup
            .set(&format!("local.service.{service}.proxynetworks"), "127.0.0.0/8")
            .set(&format!("service.{service}.plaintextmincipher"), "0")
    })
}

/// What came of a log-in.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Came {
    In,
    Wrong,
    PutOff,
}

/// One log-in over a new connection from this address.
fn log_in(instance: &Instance, port: u16, from: &str, user: &str, password: &str) -> Came {
    let mut stream = instance.connect(port);
    stream.write_all(format!("PROXY TCP4 {from} 192.0.2.250 40000 25\r\n").as_bytes()).unwrap();
    let answer = match port {
        SUBMISSION => {
            let mut smtp = Smtp::open(stream);
            smtp.ok("EHLO client.example");
            smtp.ask(&format!("AUTH PLAIN {}", STANDARD.encode(format!("\0{user}\0{password}"))))
        }
        POP => {
            let mut pop = Pop::open(stream);
            pop.ok(&format!("USER {user}"));
            pop.ask(&format!("PASS {password}"))
        }
        _ => Imap::open(stream).command(&format!("LOGIN {user} {password}")).1,
    };
    match () {
        () if answer.contains("Too many wrong passwords") => Came::PutOff,
        () if answer.starts_with("535 5.7.8")
            || answer.starts_with("NO [AUTHENTICATIONFAILED]")
            || answer.starts_with("-ERR [AUTH]") =>
        {
            Came::Wrong
        }
        () if ["235", "OK", "+OK"].iter().any(|good| answer.starts_with(good)) => Came::In,
        () => panic!("{answer}"),
    }
}

/// Guesses at an account until one is put off, each at the next service and from another network. How many were looked at.
fn guess_until_put_off(instance: &Instance, user: &str) -> usize {
    for number in 0..40 {
        let port = [IMAP, POP, SUBMISSION][number % 3];
        if log_in(instance, port, &format!("198.18.{number}.1"), user, &format!("wrong{number}"))
            == Came::PutOff
        {
            return number;
        }
    }
    panic!("40 guesses were looked at");
}

/// Whoever guesses gets no further with several daemons than with one, and not with one that was restarted either. Who was
/// here before gets in all the while, at each of them.
#[test]
fn guesses_are_counted_across_daemons_and_restarts() {
    let mut instance = setup().set("service.guessaccountmax", "4").set("service.authcachettl", "0").start();
    assert_eq!(log_in(&instance, IMAP, "192.0.2.7", "bob", "bob-secret"), Came::In);
    let looked_at = guess_until_put_off(&instance, "bob");
    assert!((4..=9).contains(&looked_at), "{looked_at} of three daemons together");
    instance.kill_all(); // kill -9
    instance.start_all();
    for port in [IMAP, POP, SUBMISSION] {
        assert_eq!(log_in(&instance, port, "203.0.113.5", "bob", "bob-secret"), Came::PutOff, "{port}");
        assert_eq!(
            log_in(&instance, port, "192.0.2.9", "bob", "bob-secret"),
            Came::In,
            "his network: {port}"
        );
        assert_eq!(log_in(&instance, port, "203.0.113.5", "alice", "alice-secret"), Came::In, "{port}");
    }
    // Web mail is one more of them.
    instance.start_one("http");
    let answer = instance.http().try_sign_in("bob", "bob-secret", "");
    assert_eq!(answer.status, 429, "he was never on this host");
}

/// T1: one password tried at a thousand accounts from all over one /24, at two services. The accounts see one guess each; the
/// network has its turns, and no more.
#[test]
fn a_spray_over_a_thousand_accounts_from_one_network_is_bounded() {
    const ACCOUNTS: usize = 1000;
    let instance = setup()
        .set("service.guessnetworkmax", "20")
        .set("local.service.networkexempt", "0.0.0.0/0") // other limits are tested elsewhere
        .set("service.loginline", "100000")
        .set("service.imap.maxsessions", "2000")
        .set("service.pop.maxsessions", "2000")
        .start();
    let begin = Instant::now();
    let mut wires: Vec<_> = (0..ACCOUNTS)
        .map(|number| {
            let port = [IMAP, POP][number % 2];
            let mut stream = instance.connect(port);
            let (from, user) = (number % 250 + 1, format!("user{number}"));
            let header = format!("PROXY TCP4 192.0.2.{from} 192.0.2.250 40000 25\r\n");
            let said = STANDARD.encode(format!("\0{user}\0Summer2026"));
            let guess = match port {
                IMAP => format!("g LOGIN {user} Summer2026\r\n"),
                _ => format!("AUTH PLAIN {said}\r\n"),
            };
            stream.write_all((header + &guess).as_bytes()).unwrap();
            black_box::Wire::plain(stream)
        })
        .collect();
    let mut looked_at = 0;
    for wire in &mut wires {
        loop {
            let line = wire.line();
            let is_wrong =
                ["g NO [AUTHENTICATIONFAILED]", "-ERR [AUTH]"].iter().any(|wrong| line.starts_with(wrong));
            looked_at += usize::from(is_wrong);
            if is_wrong || line.contains("Too many wrong passwords") {
                break;
            }
        }
    }
    // Those that came before the first was found wrong have passed the first look, and meet the second.
    let turns = begin.elapsed().as_secs() as usize;
    assert!((20..=20 + 20 + turns).contains(&looked_at), "{looked_at} of {ACCOUNTS} in {turns} s");
    assert!(looked_at <= ACCOUNTS / 10, "{looked_at}");
    assert_eq!(log_in(&instance, IMAP, "203.0.113.5", "alice", "alice-secret"), Came::In, "from elsewhere");
}

/// A daemon that is killed while it counts leaves nothing that others would wait for.
#[test]
fn who_is_killed_while_it_counts_holds_up_nobody() {
    let mut instance = setup().set("service.authcachettl", "0").start();
    for round in 0..6 {
        let wires: Vec<_> = (0..40)
            .map(|number| {
                let mut stream = instance.connect(IMAP);
                let from = format!("PROXY TCP4 198.18.{number}.{} 192.0.2.250 40000 25\r\n", round + 1);
                stream.write_all(from.as_bytes()).unwrap();
                stream.write_all(format!("g LOGIN g{number} wrong{round}\r\n").as_bytes()).unwrap();
                stream
            })
            .collect();
        std::thread::sleep(Duration::from_millis(40 * round)); // paced: killed at another moment each time
        instance.kill("imap");
        let begin = Instant::now();
        assert_eq!(log_in(&instance, POP, "203.0.113.5", "alice", "alice-secret"), Came::In);
        instance.start_one("imap");
        assert_eq!(log_in(&instance, IMAP, "203.0.113.5", "bob", "bob-secret"), Came::In);
        assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
        drop(wires);
    }
    run(instance.tool("guessutil").args(["list", "--all"]));
}

/// What somebody wrote over the file keeps nobody out, and it is made anew.
#[test]
fn a_damaged_table_is_made_anew() {
    let mut instance = setup().start();
    let table = instance.path("run/guess.table");
    let length = std::fs::metadata(&table).unwrap().len();
    instance.kill_all();
    std::fs::write(&table, vec![0x5a; 100_000]).unwrap();
    instance.start_all();
    assert_eq!(log_in(&instance, POP, "203.0.113.5", "alice", "alice-secret"), Came::In);
    assert_eq!(std::fs::metadata(&table).unwrap().len(), length);
    assert!(!instance.logs().contains("by this process alone"), "{}", instance.logs());
}

/// list, allow, disallow, clear: at once, for daemons that run.
#[test]
fn guessutil_shows_allows_and_clears() {
    let instance = setup().set("service.guessaccountmax", "3").set("service.authcachettl", "0").start();
    let tool = |arguments: &[&str]| run(instance.tool("guessutil").args(arguments));
    assert_eq!(tool(&["list", "--all"]), "");
    guess_until_put_off(&instance, "bob");
    let list = tool(&["list"]);
    let line = list.strip_prefix("account bob ").unwrap_or_else(|| panic!("{list}"));
    assert!(line.contains(" of 3 slowed until 20") && line.contains(" next turn 20"), "{list}");
    assert_eq!(list.lines().count(), 1, "one guess from each network slows none of them: {list}");
    let json = tool(&["list", "--json", "--all"]);
    let objects: Vec<serde_json::Value> =
        json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&objects[0]["kind"], &objects[0]["who"]), (&"account".into(), &"bob".into()));
    assert!(objects.iter().any(|one| one["who"] == "198.18.0.0/24" && one["wrong"] == 1), "{json}");
    let bob = || log_in(&instance, IMAP, "203.0.113.5", "bob", "bob-secret");
    assert_eq!(bob(), Came::PutOff);
    tool(&["allow", "203.0.113.0/28", "--days", "1"]);
    assert!(tool(&["allowed"]).starts_with("203.0.113.0/28 until 20"));
    assert_eq!(bob(), Came::In);
    // Known from there now, so from elsewhere:
    let carol = |from: &str| log_in(&instance, POP, from, "bob", "bob-secret");
    assert_eq!(carol("203.0.114.1"), Came::PutOff);
    tool(&["disallow", "203.0.113.0/28"]);
    assert_eq!(tool(&["allowed"]), "");
    let twice = instance.tool("guessutil").args(["disallow", "203.0.113.0/28"]).output().unwrap();
    assert_eq!(twice.status.code(), Some(1), "{twice:?}");
    tool(&["allow", "bob"]);
    assert_eq!(carol("203.0.114.1"), Came::In);
    tool(&["disallow", "BOB"]);
    assert_eq!(carol("203.0.115.1"), Came::PutOff);
    assert_eq!(tool(&["clear", "bob"]), "forgot 1 count\n");
    let nothing = instance.tool("guessutil").args(["clear", "bob"]).output().unwrap();
    assert!(!nothing.status.success(), "{nothing:?}");
    // All names of a user are meant, whichever is said.
    assert_eq!(log_in(&instance, IMAP, "203.0.120.1", "bob@example.test", "wrong"), Came::Wrong);
    assert_eq!(tool(&["clear", "bob"]), "forgot 1 count\n");
    tool(&["allow", "bob"]);
    assert!(tool(&["allowed"]).contains("bob@example.test until "), "{}", tool(&["allowed"]));
    tool(&["disallow", "bob"]);
    assert_eq!(tool(&["allowed"]), "");
    assert_eq!(carol("203.0.115.1"), Came::In);
    tool(&["clear", "--all"]);
    assert_eq!(tool(&["list", "--all"]), "");
    for wrong in [&["clear"][..], &["allow"], &["allow", "192.0.2.0/33"], &["allow", "bob", "--days", "0"]] {
        let refused = instance.tool("guessutil").args(wrong).output().unwrap();
        assert!(!refused.status.success(), "{wrong:?}");
    }
}

/// A new size is the daemons' to take at their next start: until then guessutil works on the table that they have.
#[test]
fn guessutil_leaves_daemons_the_table_they_have() {
    let mut instance = setup().set("service.guessaccountmax", "3").set("service.authcachettl", "0").start();
    let table = instance.path("run/guess.table");
    let file = || std::fs::metadata(&table).map(|file| (file.ino(), file.len())).unwrap();
    let tool = |instance: &Instance, arguments: &[&str]| run(instance.tool("guessutil").args(arguments));
    guess_until_put_off(&instance, "bob");
    let before = file();
    instance.set("service.guesstablesize", "1000");
    assert!(tool(&instance, &["list"]).starts_with("account bob "));
    tool(&instance, &["allow", "203.0.113.0/28"]);
    assert_eq!(log_in(&instance, IMAP, "203.0.113.5", "bob", "bob-secret"), Came::In);
    assert_eq!(log_in(&instance, POP, "203.0.114.5", "bob", "bob-secret"), Came::PutOff);
    assert_eq!(tool(&instance, &["clear", "bob"]), "forgot 1 count\n");
    assert_eq!(log_in(&instance, POP, "203.0.114.5", "bob", "bob-secret"), Came::In);
    assert_eq!(file(), before);
    instance.kill_all();
    instance.start_all();
    assert!(file().1 < before.1, "the daemons make it");
}

/// What strangers call themselves does nothing to the terminal of who looks at it.
#[test]
fn a_name_of_a_stranger_is_shown_escaped() {
    let instance = setup().start();
    let mut pop = Pop::open({
        let mut stream = instance.connect(POP);
        stream.write_all(b"PROXY TCP4 198.18.0.1 192.0.2.250 40000 25\r\n").unwrap();
        stream
    });
    pop.wire.send(b"AUTH PLAIN ");
    pop.wire.send(STANDARD.encode("\0ev\u{1b}[2Jil\0x").as_bytes());
    pop.wire.send(b"\r\n");
    assert!(pop.wire.line().starts_with("-ERR [AUTH]"));
    let list = run(instance.tool("guessutil").args(["list", "--all"]));
    assert!(list.contains("account ev\\u{1b}[2jil 1 of 10") && !list.contains('\u{1b}'), "{list:?}");
}

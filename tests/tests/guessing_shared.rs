//! Guesses are counted by all daemons of the host together, and no crash forgets or holds up anything; `guessutil` shows who
//! is slowed.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use black_box::instance::{IMAP, POP, SUBMISSION, run, wait_for};
use black_box::scram::Scram;
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
///
/// The next turn is then a second further away than what is waited for, which a busy machine soon has used up. So one more guess
/// waits for its turn: the next one is twice as far away.
fn guess_until_put_off(instance: &Instance, user: &str) -> usize {
    let guess = |number: usize| {
        let port = [IMAP, POP, SUBMISSION][number % 3];
        let from = format!("198.{}.{}.1", 18 + number / 200, number % 200);
        log_in(instance, port, &from, user, &format!("wrong{number}"))
    };
    let looked_at = (0..40).find(|number| guess(*number) == Came::PutOff);
    let looked_at = looked_at.unwrap_or_else(|| panic!("40 guesses were looked at"));
    let mut number = looked_at;
    wait_for("one more turn", || {
        number += 1;
        (guess(number) == Came::Wrong).then_some(())
    });
    looked_at
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
    let lines: Vec<&str> = list.lines().collect();
    let [name, account] = lines[..] else { panic!("one guess from each network slows none of them: {list}") };
    for (line, begin) in [(name, "name bob "), (account, "account bob ")] {
        let line = line.strip_prefix(begin).unwrap_or_else(|| panic!("{list}"));
        assert!(line.contains(" of 3 slowed until 20") && line.contains(" next turn 20"), "{list}");
    }
    let json = tool(&["list", "--json", "--all"]);
    let objects: Vec<serde_json::Value> =
        json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&objects[0]["kind"], &objects[0]["who"]), (&"name".into(), &"bob".into()));
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
    let list = tool(&["list"]);
    assert!(
        list.lines().count() == 2 && list.lines().all(|line| line.contains(" bob ")),
        "still counted: {list}"
    );
    assert!(list.lines().all(|line| line.contains(" of 3 not slowed, allowed until 20")), "{list}");
    let json = tool(&["list", "--json"]);
    assert!(json.contains("\"allowedUntil\":\"20") && !json.contains("slowedUntil"), "{json}");
    tool(&["disallow", "BOB"]);
    assert_eq!(carol("203.0.115.1"), Came::PutOff);
    assert_eq!(tool(&["clear", "bob"]), "forgot 2 counts\n");
    let nothing = instance.tool("guessutil").args(["clear", "bob"]).output().unwrap();
    assert!(!nothing.status.success(), "{nothing:?}");
    // All names of a user are meant, whichever is said.
    assert_eq!(log_in(&instance, IMAP, "203.0.120.1", "bob@example.test", "wrong"), Came::Wrong);
    assert_eq!(tool(&["clear", "bob"]), "forgot 2 counts\n", "of the name, and of the user");
    tool(&["allow", "Bob@example.test"]);
    assert!(tool(&["allowed"]).starts_with("bob until "), "{}", tool(&["allowed"]));
    tool(&["disallow", "bob@example.test"]);
    assert_eq!(tool(&["allowed"]), "");
    assert_eq!(carol("203.0.115.1"), Came::In);
    tool(&["clear", "--all"]);
    assert_eq!(tool(&["list", "--all"]), "");
    for wrong in [
        &["clear"][..],
        &["allow"],
        &["allow", "192.0.2.0/33"],
        &["allow", "nobody.at.all"],
        &["allow", "bob", "--days", "0"],
        &["allow", "192.0.2.0/24", "0.0.0.0/0"],
        &["allow", "128.0.0.0/1"],
        &["allow", "::/0"],
    ] {
        let refused = instance.tool("guessutil").args(wrong).output().unwrap();
        assert!(!refused.status.success(), "{wrong:?}");
        if wrong.last().is_some_and(|last| last.ends_with("/0")) {
            let why = String::from_utf8_lossy(&refused.stderr);
            assert!(why.contains("set service.guessspacemax to 0"), "what to do instead: {why}");
        }
    }
    assert_eq!(tool(&["allowed"]), "", "of what is refused nothing is taken");
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
    assert!(tool(&instance, &["list"]).starts_with("name bob "));
    tool(&instance, &["allow", "203.0.113.0/28"]);
    assert_eq!(log_in(&instance, IMAP, "203.0.113.5", "bob", "bob-secret"), Came::In);
    assert_eq!(log_in(&instance, POP, "203.0.114.5", "bob", "bob-secret"), Came::PutOff);
    assert_eq!(tool(&instance, &["clear", "bob"]), "forgot 2 counts\n");
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
    assert!(
        list.contains("name ev\\u{1b}[2jil 1 of 10")
            && !list.contains("account ")
            && !list.contains('\u{1b}'),
        "{list:?}"
    );
}

/// Wrong passwords that count for the account, over all its names, and when it has its next turn.
fn account(instance: &Instance, uid: &str) -> (u64, String) {
    let json = run(instance.tool("guessutil").args(["list", "--all", "--json"]));
    let objects = json.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let found = objects.into_iter().find(|one| one["kind"] == "account" && one["who"] == uid);
    found.map_or((0, String::new()), |one| {
        (one["wrong"].as_u64().unwrap(), one["nextTurn"].as_str().unwrap_or_default().to_owned())
    })
}

/// Now, as guessutil writes it.
fn now() -> String {
    run(std::process::Command::new("date").args(["-u", "+%FT%TZ"])).trim().to_owned()
}

/// A log-in by SCRAM from this host with the right password.
fn scram(instance: &Instance, user: &str, password: &str) -> String {
    let mut stream = instance.connect(POP);
    stream.write_all(b"PROXY TCP4 127.0.0.1 192.0.2.250 40000 25\r\n").unwrap();
    let mut pop = Pop::open(stream);
    let mut scram = Scram::new("n,,", b"", user, password);
    let challenge = pop.ask(&format!("AUTH SCRAM-SHA-256 {}", scram.first()));
    let answer = pop.ask(&scram.last(challenge.strip_prefix("+ ").unwrap()));
    if answer.starts_with("+ ") { pop.ask("") } else { answer }
}

/// Whoever knows all names of a user has one user's guesses: those at any name, in any service, count for all. From outside it looks
/// like wrong passwords for names that have nothing to do with each other (T2). Who is known by one name is known by all.
#[test]
fn names_of_one_user_share_one_count_in_all_services() {
    const LIMIT: u64 = 3;
    const GUESSES: u64 = 8;
    let alias = |number: u64| format!("Robert{number}@example.test");
    let mut instance = setup()
        .set("service.guessaccountmax", &LIMIT.to_string())
        .set("service.authcachettl", "0")
        .set("service.passwordscheme", "SCRAM-SHA-256")
        .set("service.scramiterations", "4096")
        .set("service.saslmechanisms", "SCRAM-SHA-256 PLAIN LOGIN")
        .create();
    let mut change = instance.tool("dirutil");
    change.args(["change", "bob"]);
    for number in 0..9 {
        change.args(["--add", &format!("mailAlternateAddress={}", alias(number).to_lowercase())]);
    }
    run(&mut change);
    let mut password = instance.tool("dirutil");
    password.args(["password", "bob", "--password-stdin"]).stdin(std::process::Stdio::piped());
    let mut child = password.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"bob-secret\n").unwrap();
    assert!(child.wait().unwrap().success());
    instance.start_all();
    instance.start_one("http");
    assert_eq!(log_in(&instance, IMAP, "192.0.2.7", "bob", "bob-secret"), Came::In);
    for number in 0..GUESSES {
        let (_, next) = account(&instance, "bob");
        wait_for("the account's turn", || (now() > next).then_some(()));
        let (from, wrong) = (format!("198.18.{number}.1"), format!("wrong{number}"));
        match number % 4 {
            3 => assert_eq!(instance.http().try_sign_in(&alias(number), &wrong, "").status, 401),
            other => {
                let port = [IMAP, POP, SUBMISSION][other as usize];
                assert_eq!(log_in(&instance, port, &from, &alias(number), &wrong), Came::Wrong);
            }
        }
        assert_eq!(account(&instance, "bob").0, number + 1, "{}", instance.logs());
    }
    // The next turn is half a minute away. No name was guessed at so often that it would be put off, so nothing is.
    for (number, port) in [(8, IMAP), (0, POP), (1, SUBMISSION)] {
        let from = format!("203.0.113.{number}");
        assert_eq!(log_in(&instance, port, &from, &alias(number), "bob-secret"), Came::Wrong, "{port}");
    }
    assert_eq!(log_in(&instance, POP, "203.0.113.9", "BOB@example.test", "bob-secret"), Came::Wrong);
    assert_eq!(log_in(&instance, IMAP, "203.0.113.9", "bob", "bob-secret"), Came::Wrong);
    assert_eq!(instance.http().try_sign_in(&alias(2), "bob-secret", "").status, 401);
    let answer = scram(&instance, &alias(3), "bob-secret");
    assert!(answer.starts_with("-ERR [AUTH]"), "{answer}");
    assert_eq!(account(&instance, "bob").0, GUESSES, "what was not looked at says nothing of the account");
    for service in ["imap", "pop", "smtp", "http"] {
        let log = instance.log(service);
        let line = log.lines().find(|line| line.contains("login not looked at: ["));
        let line = line.unwrap_or_else(|| panic!("{service}: {log}"));
        assert!(line.ends_with(" too many wrong passwords by all names of bob"), "{line}");
    }
    let list = run(instance.tool("guessutil").arg("list"));
    assert!(list.starts_with(&format!("account bob {GUESSES} of {LIMIT} slowed until ")), "{list}");
    // He was here by his uid.
    assert_eq!(log_in(&instance, POP, "192.0.2.9", &alias(4), "bob-secret"), Came::In);
    assert_eq!(log_in(&instance, SUBMISSION, "192.0.2.9", "bob@example.test", "bob-secret"), Came::In);
    assert_eq!(log_in(&instance, IMAP, "203.0.114.1", "alice@example.test", "alice-secret"), Came::In);
    // Allowed by one name, he is by all.
    run(instance.tool("guessutil").args(["allow", &alias(5)]));
    assert_eq!(log_in(&instance, IMAP, "203.0.115.1", &alias(6), "bob-secret"), Came::In);
    run(instance.tool("guessutil").args(["disallow", &alias(7)]));
    assert_eq!(log_in(&instance, IMAP, "203.0.116.1", &alias(6), "bob-secret"), Came::Wrong);
    run(instance.tool("guessutil").args(["clear", &alias(1)]));
    assert_eq!(log_in(&instance, IMAP, "203.0.116.1", &alias(6), "bob-secret"), Came::In);
    assert!(scram(&instance, &alias(3), "bob-secret").starts_with("+OK"));
}

//! Users and strangers look the same (threat T2): no answer of any service tells whether an account is there, and neither does the work
//! that it costs. The work is counted at the directory, which a busy machine does not change, and not measured by the clock.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use black_box::instance::{IMAP, POP, SUBMISSION, wait_for};
use black_box::slapd::{BASE, BIND_DN, BIND_SECRET, Slapd};
use black_box::{Imap, Instance, Pop, Setup, Smtp, run};

fn setup() -> Setup {
    Setup::default().set("service.guessaccountmax", "1000") // nobody is slowed here
}

/// One way to say a wrong password, and all that is answered.
type Way = (&'static str, fn(&Instance, &str, &str) -> String);

fn smtp(instance: &Instance) -> Smtp {
    let mut smtp = Smtp::open(instance.connect(SUBMISSION));
    smtp.ok("EHLO client.example");
    smtp
}

fn plain(user: &str, password: &str) -> String {
    STANDARD.encode(format!("\0{user}\0{password}"))
}

const WAYS: [Way; 9] = [
    ("SMTP PLAIN", |instance, user, password| {
        smtp(instance).ask(&format!("AUTH PLAIN {}", plain(user, password)))
    }),
    ("SMTP PLAIN as another", |instance, user, password| {
        smtp(instance).ask(&format!("AUTH PLAIN {}", STANDARD.encode(format!("{user}\0{user}\0{password}"))))
    }),
    ("SMTP LOGIN", |instance, user, password| {
        let mut smtp = smtp(instance);
        let lines = ["AUTH LOGIN".to_owned(), STANDARD.encode(user), STANDARD.encode(password)];
        lines.map(|line| smtp.ask(&line)).join("\n")
    }),
    ("IMAP LOGIN", |instance, user, password| {
        let (lines, end) = Imap::open(instance.connect(IMAP)).command(&format!("LOGIN {user} {password}"));
        format!("{lines:?} {end}")
    }),
    ("IMAP PLAIN", |instance, user, password| {
        let command = format!("AUTHENTICATE PLAIN {}", plain(user, password));
        let (lines, end) = Imap::open(instance.connect(IMAP)).command(&command);
        format!("{lines:?} {end}")
    }),
    ("POP USER", |instance, user, password| {
        let mut pop = Pop::open(instance.connect(POP));
        [format!("USER {user}"), format!("PASS {password}")].map(|line| pop.ask(&line)).join("\n")
    }),
    ("POP PLAIN", |instance, user, password| {
        Pop::open(instance.connect(POP)).ask(&format!("AUTH PLAIN {}", plain(user, password)))
    }),
    ("web mail's page", |instance, user, password| {
        let answer = instance.http().try_sign_in(user, password, "");
        format!("{} {}", answer.status, answer.text())
    }),
    ("web mail's Basic", |instance, user, password| {
        let basic = STANDARD.encode(format!("{user}:{password}"));
        let answer = instance.http().get("/jmap/session", &format!("Authorization: Basic {basic}\r\n"));
        format!("{} {} {}", answer.status, answer.field("www-authenticate"), answer.text())
    }),
];

/// What is answered, without the name itself.
fn answer(instance: &Instance, way: &Way, user: &str, password: &str) -> String {
    way.1(instance, user, password).replace(user, "USER")
}

fn same_answers(instance: &Instance, names: &[&str]) {
    for way in &WAYS {
        let answers: Vec<String> =
            names.iter().map(|name| answer(instance, way, name, "wrong-password")).collect();
        assert!(answers.iter().all(|one| *one == answers[0]), "{}: {names:?} {answers:#?}", way.0);
        assert!(!answers[0].contains("alice"), "{}: {answers:?}", way.0);
    }
    let vrfy = |name: &str| smtp(instance).ask(&format!("VRFY {name}")).replace(name, "USER");
    assert_eq!(vrfy("alice"), vrfy("mallory"));
}

#[test]
fn users_and_strangers_hear_the_same() {
    let mut instance = setup().start();
    instance.start_one("http");
    // One who is there, nobody, one by address, nobody by address, one who may not use IMAP.
    run(instance.tool("dirutil").args(["change", "bob", "--set", "nsmsgDisallowAccess=imap"]));
    same_answers(&instance, &["alice", "mallory", "alice@example.test", "mallory@example.test", "bob"]);
}

/// Guesses at one name slow no other that can be seen, whether both are one user's or nobody's: else it would be told that they belong
/// together.
#[test]
fn guesses_at_one_name_are_not_told_by_another() {
    let mut instance = Setup::default().set("service.guessaccountmax", "3").start();
    instance.start_one("http");
    let seen = |way: &Way, user: &str| {
        let guess = |name: &str, number: usize| answer(&instance, way, name, &format!("wrong{number}"));
        let wrong = guess(user, 0);
        let put_off = (1..12).map(|number| guess(user, number)).find(|answer| *answer != wrong).unwrap();
        // A turn of that name is more than 15 seconds away.
        let begin = Instant::now();
        let other = guess(&format!("{user}@example.test"), 0);
        assert!(begin.elapsed() < Duration::from_secs(9), "{user}, {}: {:?}", way.0, begin.elapsed());
        assert_eq!(other, wrong, "{user}, {}", way.0);
        (wrong, put_off)
    };
    let seen = &seen;
    for way in [&WAYS[3], &WAYS[7]] {
        let seen = std::thread::scope(|scope| {
            let both = ["alice", "mallory"].map(|user| scope.spawn(move || seen(way, user)));
            both.map(|one| one.join().unwrap())
        });
        assert_eq!(seen[0], seen[1], "{}", way.0);
        run(instance.tool("guessutil").args(["clear", "--all"]));
    }
}

/// The same wrong password again: that the second try costs the directory nothing is no sign of a user. Four
/// tries are three passwords; a machine so busy that they are seconds apart gets other tries.
fn repeated_tries_cost_the_same(instance: &Instance, names: [&str; 2], binds: &dyn Fn() -> usize) {
    let costs = |turn: usize| {
        names.map(|name| {
            let before = binds();
            for password in ["once", "once", "behind"] {
                answer(instance, &WAYS[3], name, &format!("{password}{turn}"));
            }
            // That of the last one is in the log when no more comes of those before it.
            wait_for("the binds", || (binds() >= before + 2).then_some(()));
            answer(instance, &WAYS[3], name, &format!("last{turn}"));
            wait_for("the last bind", || (binds() >= before + 3).then_some(()));
            binds() - before
        })
    };
    let mut seen = Vec::new();
    while !seen.contains(&[3, 3]) {
        assert!(seen.len() < 10, "{seen:?}");
        seen.push(costs(seen.len()));
    }
}

/// With LDAP: as many searches and binds for the one as for the other, and the same texts.
#[test]
fn users_and_strangers_cost_the_directory_the_same() {
    let mut instance = setup().create();
    let exported = run(instance.tool("dirutil").arg("export"));
    fs::remove_file(instance.path("config/directory.ldif")).unwrap();
    let server = Slapd::start(&exported);
    instance.set("local.ugldaphost", &server.host());
    instance.set("local.ugldapuselocal", "yes");
    instance.set("local.ugldapbasedn", BASE);
    instance.set("local.ugldapbinddn", BIND_DN);
    instance.set("local.ugldapbindcred", "file:config/ldap.credential");
    let file = instance.path("config/ldap.credential");
    fs::write(&file, format!("{BIND_SECRET}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    instance.start_all();
    instance.start_one("http");
    let names = ["alice", "mallory"];
    same_answers(&instance, &names); // and every connection is there
    let asked = || {
        let log = server.log();
        let is_own = |line: &&str| {
            (line.contains(" SRCH base=") && line.contains(BASE))
                || (line.contains(" BIND dn=") && line.contains("method=128") && !line.contains(BIND_DN))
        };
        let kind = |line: &str| if line.contains(" SRCH ") { "search" } else { "bind" };
        log.lines().filter(is_own).map(kind).collect::<Vec<&str>>()
    };
    for (number, way) in WAYS.iter().enumerate() {
        let costs = names.map(|name| {
            let before = asked().len();
            answer(&instance, way, name, &format!("wrong{number}"));
            // The log is written by another process; what web mail notes for the owner comes behind the answer.
            wait_for("the bind", || asked()[before..].contains(&"bind").then_some(()));
            let binds = || asked()[before..].iter().filter(|kind| **kind == "bind").count();
            let searches = || asked()[before..].iter().filter(|kind| **kind == "search").count();
            let noted = if way.0.starts_with("web") { 2 } else { 1 };
            wait_for("the searches", || (searches() >= noted).then_some(()));
            (searches(), binds())
        });
        assert_eq!(costs[0], costs[1], "{}: searches and binds of {names:?}", way.0);
        assert_eq!(costs[0].1, 1, "{}: a password costs one bind", way.0);
    }
    let binds = || asked().into_iter().filter(|kind| *kind == "bind").count();
    repeated_tries_cost_the_same(&instance, names, &binds);
}

//! Strangers who guess passwords on many connections: they hold up nobody, and get no further with many than with one.
#![allow(clippy::unwrap_used)]

use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use black_box::instance::{IMAP, PATIENCE, POP, SUBMISSION, wait_for};
use black_box::{Imap, Instance, Pop, Setup, Smtp, Wire, run};

/// `AUTH PLAIN` of a user `g<number>` with a wrong password.
fn auth(number: usize) -> Vec<u8> {
    use base64::Engine;
    let said = format!("\0g{number}\0wrong");
    format!("AUTH PLAIN {}\r\n", base64::engine::general_purpose::STANDARD.encode(said)).into_bytes()
}

/// Connections on which one guess each was sent.
fn guessers(instance: &Instance, count: usize, port: u16, guess: impl Fn(usize) -> Vec<u8>) -> Vec<Wire> {
    let mut wires: Vec<Wire> = (0..count)
        .map(|_| match port {
            SUBMISSION => {
                let mut smtp = Smtp::open(instance.connect(port));
                smtp.ok("EHLO guesser.example");
                smtp.wire
            }
            POP => Pop::open(instance.connect(port)).wire,
            _ => Imap::open(instance.connect(port)).wire,
        })
        .collect();
    for (number, wire) in wires.iter_mut().enumerate() {
        wire.send(&guess(number));
    }
    wires
}

/// Asks again and again until all guesses are answered; how long it took, but for the slowest twentieth: a loaded machine is
/// slow now and then. Who is held up asks a few times only, and each of them counts.
fn usually(mut ask: impl FnMut(), guessers: Vec<Wire>, is_answer: fn(&str) -> bool) -> Duration {
    let (tell, told) = std::sync::mpsc::channel::<()>();
    let waiting = std::thread::spawn(move || {
        for mut wire in guessers {
            while !is_answer(&wire.line()) {}
        }
        drop(tell);
    });
    let mut times = Vec::new();
    // Not without a break: the processor is wanted for the answers.
    while told.recv_timeout(Duration::from_millis(5)) == Err(RecvTimeoutError::Timeout) {
        let begin = Instant::now();
        ask();
        times.push(begin.elapsed());
    }
    waiting.join().unwrap();
    times.sort();
    times.get(times.len() * 19 / 20).copied().unwrap_or_default()
}

/// Far above what a busy machine needs, far below what 300 hashes take.
const QUICK: Duration = Duration::from_millis(1500);

#[test]
fn three_hundred_guesses_hold_up_no_session_of_smtp() {
    let instance = Setup::default()
        .set("service.smtp.smtp-accept.minruncount", "4")
        .set("local.service.smtp.smtp-accept.maxidlecommands", "1000000") // NOOPs are counted
        .start();
    let mut smtp = instance.smtp();
    smtp.ok("EHLO a.example");
    let guessers = guessers(&instance, 300, SUBMISSION, auth);
    let longest = usually(|| drop(smtp.ok("NOOP")), guessers, |line| line.starts_with("535 5.7.8"));
    assert!(longest < QUICK, "a NOOP took {longest:?}");
    instance.send("alice", "afterwards");
}

#[test]
fn guesses_hold_up_no_session_of_imap_and_pop() {
    let instance =
        Setup::default().set("service.imap.maxthreads", "4").set("service.pop.maxthreads", "4").start();
    let mut imap = instance.imap("alice");
    imap.ok("SELECT INBOX");
    let many = guessers(&instance, 100, IMAP, |number| format!("g LOGIN g{number} wrong\r\n").into_bytes());
    let longest =
        usually(|| drop(imap.ok("NOOP")), many, |line| line.starts_with("g NO [AUTHENTICATIONFAILED]"));
    assert!(longest < QUICK, "a NOOP of IMAP took {longest:?}");
    let mut pop = instance.pop("alice");
    let many =
        guessers(&instance, 100, POP, |number| format!("USER g{number}\r\nPASS wrong\r\n").into_bytes());
    let longest = usually(|| drop(pop.ok("NOOP")), many, |line| line.starts_with("-ERR [AUTH] Wrong"));
    assert!(longest < QUICK, "a NOOP of POP took {longest:?}");
}

/// A directory that takes connections and never answers.
#[test]
fn a_directory_that_hangs_holds_up_no_session() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut instance = Setup::default()
        .set("service.imap.maxthreads", "4")
        .set("local.ugldaphost", &silent.local_addr().unwrap().to_string())
        .set("local.ugldapuselocal", "yes")
        .set("local.ugldapbasedn", "o=example")
        .set("local.ugldapsearchtimeout", "2")
        .create();
    for service in ["store", "imap"] {
        instance.start_one(service); // smtpd needs a directory to start
    }
    let mut imap = Imap::open(instance.connect(IMAP));
    let many = guessers(&instance, 40, IMAP, |number| format!("g LOGIN g{number} x\r\n").into_bytes());
    let longest = usually(|| drop(imap.ok("NOOP")), many, |line| line.starts_with("g NO [UNAVAILABLE]"));
    assert!(longest < QUICK, "a NOOP took {longest:?}");
    drop(silent);
}

/// The same account on many connections: a few guesses are looked at, the others are told to come later.
#[test]
fn an_account_is_not_guessed_faster_on_many_connections() {
    let instance = Setup::default().set("service.guessaccountmax", "3").start();
    for (port, put_off) in [
        (SUBMISSION, "454 4.7.0 Too many wrong passwords, try again later"),
        (IMAP, "g NO [UNAVAILABLE] Too many wrong passwords; try again later"),
        (POP, "-ERR [SYS/TEMP] Too many wrong passwords, try again later"),
    ] {
        let wires = guessers(&instance, 40, port, |number| match port {
            SUBMISSION => {
                use base64::Engine;
                let said = format!("\0bob\0wrong{number}");
                format!("AUTH PLAIN {}\r\n", base64::engine::general_purpose::STANDARD.encode(said))
                    .into_bytes()
            }
            IMAP => format!("g LOGIN bob wrong{number}\r\n").into_bytes(),
            _ => format!("USER bob\r\nPASS wrong{number}\r\n").into_bytes(),
        });
        let (tell, told) = std::sync::mpsc::channel();
        for mut wire in wires {
            let tell = tell.clone();
            std::thread::spawn(move || {
                while let Some(line) = wire.try_line() {
                    if !line.starts_with("+OK") && tell.send(line).is_err() {
                        return;
                    }
                }
            });
        }
        let mut looked_at = 0;
        while told.recv_timeout(PATIENCE).unwrap() != put_off {
            looked_at += 1;
            assert!(looked_at < 10, "so many were looked at before one was put off");
        }
    }
    // Nobody else has to wait for it.
    instance.imap("alice").ok("NOOP");
    let mut smtp = instance.submission("alice");
    smtp.ok("NOOP");
}

/// A user who was here before gets in, whoever guesses at the account meanwhile.
#[test]
fn a_user_who_was_here_before_is_not_locked_out() {
    let instance = Setup::default()
        .set("service.guessaccountmax", "3")
        .set("service.authcachettl", "0") // each log-in is checked
        .start();
    instance.imap("bob").ok("NOOP");
    let wires = guessers(&instance, 40, IMAP, |number| format!("g LOGIN bob wrong{number}\r\n").into_bytes());
    let begin = Instant::now();
    instance.imap("bob").ok("NOOP");
    assert!(begin.elapsed() < Duration::from_secs(50), "{:?}", begin.elapsed());
    drop(wires);
}

/// A full line is said so, and only after a while.
#[test]
fn who_finds_the_line_full_is_told_to_come_later() {
    let instance = Setup::default().set("service.loginline", "1").set("service.loginthreads", "1").start();
    let begin = Instant::now();
    let wires = guessers(&instance, 30, SUBMISSION, auth);
    let mut answers: Vec<String> = wires.into_iter().map(|mut wire| wire.line()).collect();
    answers.sort();
    answers.dedup();
    assert_eq!(
        answers,
        [
            "454 4.3.0 Too many log-ins at the moment, try again later",
            "535 5.7.8 Wrong user name or password"
        ]
    );
    assert!(begin.elapsed() >= Duration::from_secs(3));
}

/// `etc/fail2ban`: fail2ban itself, on the logs of all daemons. Names that are made to look like an address or like an end of
/// the line move nothing, and who had the right password is no guesser.
#[test]
fn fail2ban_finds_who_guesses_and_nobody_else() {
    let instance = Setup::default().create();
    run(instance.tool("dirutil").args(["change", "bob", "--set", "nsmsgDisallowAccess=imap"]));
    let mut instance = instance;
    instance.start_all();
    let names = ["alice", "nobody", "[192.0.2.9]", "x service not allowed (session 1)"];
    for name in names {
        let mut imap = Imap::open(instance.connect(IMAP));
        assert!(imap.command(&format!("LOGIN \"{name}\" wrong")).1.starts_with("NO"));
    }
    for (user, password) in [("bob", "bob-secret"), ("alice", "alice-secret")] {
        let mut imap = Imap::open(instance.connect(IMAP));
        imap.command(&format!("LOGIN {user} {password}"));
    }
    wait_for("the last log-in", || instance.log("imap").contains("login: [127.0.0.1] alice").then_some(()));
    assert!(instance.log("imap").contains("bob service not allowed"));
    let log = instance.path("imap.log");
    std::fs::write(&log, instance.log("imap")).unwrap();
    let filter = black_box::instance::top().join("etc/fail2ban/mailboat.conf");
    let output = std::process::Command::new("fail2ban-regex")
        .args([log, filter])
        .arg("--print-all-matched")
        .output()
        .expect("fail2ban-regex of the Debian package fail2ban (scripts/packages)");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains(&format!("Failregex: {} total", names.len())), "{text}");
}

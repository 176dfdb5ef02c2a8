//! LOGIN, AUTHENTICATE, STARTTLS and IDLE.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use black_box::instance::{IMAP, wait_for};
use black_box::{Imap, Setup, Upgrade, Vigil};
use nix::sys::signal::Signal;

use crate::{GROWTH_MAX_BYTES, instance, line, says, selected, stranger};

#[test]
fn broken_exchanges_end_and_leave_nobody_logged_in() {
    let instance = instance();
    let vigil = Vigil::begin(&instance);
    let plain = b"x AUTHENTICATE PLAIN\r\n";
    for (case, response, answers) in [
        ("AUTHENTICATE: *", &b"*\r\n"[..], &["+ ", "x BAD"][..]),
        ("AUTHENTICATE: bad base64", b"!!!\r\n", &["+ ", "x BAD"]),
        ("AUTHENTICATE: no PLAIN message", b"YWxpY2U=\r\n", &["+ ", "x BAD"]),
        ("AUTHENTICATE: empty", b"\r\n", &["+ ", "x BAD"]),
        // The command behind it is read as a response, and is none; it is never run.
        ("AUTHENTICATE: pipelined command bytes", b"y CAPABILITY\r\n", &["+ ", "x BAD"]),
    ] {
        says(&mut stranger(&instance), case, &[plain, response].concat(), answers);
    }
    let long = [&plain[..], "A".repeat(1 << 20).as_bytes(), b"\r\n"].concat();
    let answers = ["+ ", "x BAD [TOOBIG]", "* BYE", "close"];
    says(&mut stranger(&instance), "AUTHENTICATE: 1 MB line", &long, &answers);
    line(&mut stranger(&instance), "AUTHENTICATE PLAIN !!!", "x BAD");
    line(&mut stranger(&instance), "AUTHENTICATE PLAIN =", "x BAD");
    line(&mut stranger(&instance), "AUTHENTICATE X-NONE", "x NO [CANNOT]");
    line(&mut stranger(&instance), "AUTHENTICATE", "x BAD");
    line(&mut stranger(&instance), "SELECT INBOX", "x BAD");
    line(&mut stranger(&instance), "PROXYAUTH alice", "x BAD");
    let mut user = selected(&instance);
    line(&mut user, "LOGIN bob bob-secret", "x BAD");
    line(&mut user, "AUTHENTICATE PLAIN", "x BAD");
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

/// "wrong password: delay, same timing for unknown user". At the same time, since each takes a second.
#[test]
fn wrong_names_and_passwords_are_answered_alike() {
    let instance = instance();
    let vigil = Vigil::begin(&instance);
    std::thread::scope(|scope| {
        let plain = |text: &str| format!("AUTHENTICATE PLAIN {}", STANDARD.encode(text));
        for command in [
            "LOGIN alice wrong".to_owned(),
            "LOGIN nobody99 alice-secret".to_owned(),
            "LOGIN \"*)(uid=*))(|(uid=*\" alice-secret".to_owned(),
            "LOGIN \"\" \"\"".to_owned(),
            "LOGIN alice \"\u{ff}\"".to_owned(),
            plain("\0nobody99\0x"),
            plain("\0*\0alice-secret"),
        ] {
            let instance = &instance;
            scope.spawn(move || {
                let begun = Instant::now();
                line(&mut stranger(instance), &command, "x NO [AUTHENTICATIONFAILED]");
                let took = begun.elapsed();
                assert!(
                    (Duration::from_secs(1)..Duration::from_secs(50)).contains(&took),
                    "{command}: {took:?}"
                );
            });
        }
    });
    line(
        &mut stranger(&instance),
        &format!("AUTHENTICATE PLAIN {}", STANDARD.encode("bob\0alice\0alice-secret")),
        "x NO [NOPERM]",
    );
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

/// "LOGIN on plaintext"
#[test]
fn where_passwords_need_tls_log_in_is_neither_offered_nor_done() {
    let instance = Setup::default().set("service.imap.plaintextmincipher", "128").start();
    let mut imap = stranger(&instance);
    assert!(
        imap.greeting.contains(" LOGINDISABLED") && !imap.greeting.contains("AUTH="),
        "{}",
        imap.greeting
    );
    line(&mut imap, "LOGIN alice alice-secret", "x NO [PRIVACYREQUIRED]");
    line(&mut imap, "AUTHENTICATE PLAIN", "x NO [PRIVACYREQUIRED]");
    instance.set("service.imap.plaintextmincipher", "0");
    instance.signal("imap", Signal::SIGHUP);
    wait_for("the new value", || {
        stranger(&instance).command("LOGIN alice alice-secret").1.starts_with("OK").then_some(())
    });
}

#[test]
fn starttls_comes_once_and_alone() {
    let instance = instance();
    let vigil = Vigil::begin(&instance);
    let upgrade = Upgrade {
        port: IMAP,
        before: None,
        ask: "x STARTTLS\r\n",
        go_ahead: "x OK",
        injected: "y LOGOUT\r\n",
        after: "z NOOP\r\n",
        answer: "z OK",
    };
    println!("plaintext behind it: {:?}", upgrade.inject(&instance));

    let mut imap = stranger(&instance);
    imap.ok("STARTTLS");
    let wire = imap.wire.start_tls(&instance.path("config/certs/ca.pem"));
    let mut imap = Imap::resumed(wire);
    line(&mut imap, "STARTTLS", "x BAD"); // twice
    line(&mut selected(&instance), "STARTTLS", "x BAD"); // after login
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

/// "IDLE then anything but DONE"
#[test]
fn idle_ends_with_done_or_badly() {
    let instance = instance();
    let vigil = Vigil::begin(&instance);
    let mut user = selected(&instance);
    for other in ["y NOOP", "DONE IT", "", "IDLE", "x DONE", &"x".repeat(5000)] {
        says(&mut user, "IDLE then", format!("x IDLE\r\n{other}\r\n").as_bytes(), &["+ idling", "x BAD"]);
    }
    says(&mut user, "IDLE then done", b"x IDLE\r\ndone\r\n", &["+ idling", "x OK"]);
    says(&mut user, "DONE alone", b"DONE\r\n", &["DONE BAD"]);
    line(&mut stranger(&instance), "IDLE", "x BAD");
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

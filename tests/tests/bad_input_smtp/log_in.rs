//! AUTH and STARTTLS (RFC 4954, RFC 3207). Wrong passwords and their pauses are in smtp.rs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use black_box::instance::{SUBMISSION, wait_for};
use black_box::{Instance, Setup, Smtp, Upgrade, Vigil};
use nix::sys::signal::Signal;

use crate::Stage::{Connected, Greeted, InTransaction};
use crate::{GROWTH_MAX_BYTES, at, line, says};

fn blob(text: &str) -> String {
    STANDARD.encode(text)
}

#[test]
fn broken_exchanges_end_and_leave_nobody_logged_in() {
    let instance = Instance::start();
    let vigil = Vigil::begin(&instance);
    let good = blob("\0alice\0alice-secret");
    let huge = blob(&"x".repeat(75_000));
    for (case, steps) in [
        ("no mechanism", vec![("AUTH".to_owned(), "501 5.5.4")]),
        ("bad base64", vec![("AUTH PLAIN !!!".to_owned(), "501 5.5.2")]),
        ("bad base64, later", vec![("AUTH PLAIN".to_owned(), "334"), ("!!!".to_owned(), "501 5.5.2")]),
        // Not 535: it is no PLAIN message at all (RFC 4616 §2), so nobody's password was wrong.
        ("a NUL-less PLAIN blob", vec![(format!("AUTH PLAIN {}", blob("alice")), "501 5.5.2")]),
        // The line of the command has the limit of commands, that of the exchange its own (RFC 4954 §4).
        ("100 KiB blob", vec![(format!("AUTH PLAIN {huge}"), "500 5.5.2")]),
        ("100 KiB blob, later", vec![("AUTH PLAIN".to_owned(), "334"), (huge.clone(), "500 5.5.6")]),
        ("* cancel", vec![("AUTH LOGIN".to_owned(), "334"), ("*".to_owned(), "501 5.7.0")]),
        // Accepted as empty; an empty PLAIN message is none.
        ("= empty initial response", vec![("AUTH PLAIN =".to_owned(), "501 5.5.2")]),
        ("no such mechanism", vec![("AUTH X-NONE".to_owned(), "504 5.5.4")]),
    ] {
        let mut smtp = at(&instance, Greeted);
        for (text, answer) in steps {
            let reply = smtp.ask(&text);
            assert!(reply.starts_with(answer), "{case}: {reply}, not {answer}");
        }
        // A command is a command again, and nobody is logged in.
        assert!(smtp.ask("NOOP").starts_with("250"), "{case}");
        assert!(smtp.ask(&format!("AUTH PLAIN {good}")).starts_with("235"), "{case}");
        assert!(smtp.ask(&format!("AUTH PLAIN {good}")).starts_with("503 5.5.1"), "AUTH twice");
    }
    let mut smtp = at(&instance, Greeted);
    smtp.ok("AUTH LOGIN");
    says(&mut smtp, "bare LF in an exchange", b"YWxpY2U=\n", &["500 5.5.2"]);
    line(
        &instance,
        InTransaction,
        "AUTH inside a transaction",
        &format!("AUTH PLAIN {good}"),
        &["503 5.5.1"],
    );
    line(&instance, Connected, "AUTH before EHLO", &format!("AUTH PLAIN {good}"), &["503 5.5.1"]);
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

/// Each on its own connection, since a wrong password is answered late.
#[test]
fn nobody_is_let_in_by_a_trick() {
    let instance = Instance::start();
    let vigil = Vigil::begin(&instance);
    std::thread::scope(|scope| {
        for (case, text) in [
            ("AUTH PLAIN with authzid that is not authcid", "bob\0alice\0alice-secret"),
            ("Login user with LDAP metacharacters", "\0*)(uid=*))(|(uid=*\0alice-secret"),
            ("Login user *", "\0*\0alice-secret"),
            ("a password of another", "\0bob\0alice-secret"),
            ("a name with a line end", "\0alice\r\nbob\0alice-secret"),
        ] {
            let instance = &instance;
            scope.spawn(move || {
                line(instance, Greeted, case, &format!("AUTH PLAIN {}", blob(text)), &["535 5.7.8"]);
            });
        }
    });
    let log = instance.log("smtp");
    assert!(log.contains("badlogin") && !log.contains("alice-secret"), "a password is in the log");
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

#[test]
fn where_passwords_are_not_taken_auth_is_neither_offered_nor_done() {
    let instance = Setup::default().set("service.smtp.plaintextmincipher", "128").start();
    let vigil = Vigil::begin(&instance);
    let good = format!("AUTH PLAIN {}", blob("\0alice\0alice-secret"));
    let mut smtp = Smtp::open(instance.connect(SUBMISSION));
    assert!(!smtp.ok("EHLO a.test").contains("AUTH"), "AUTH before TLS when required");
    says(&mut smtp, "AUTH before TLS when required", format!("{good}\r\n").as_bytes(), &["538 5.7.11"]);
    assert!(smtp.ask("MAIL FROM:<alice@example.test>").starts_with("530 5.7.0"));
    instance.set("service.smtp.smtp-accept.doauth", "no");
    instance.signal("smtp", Signal::SIGHUP);
    wait_for("the new value", || {
        let mut smtp = at(&instance, Greeted);
        smtp.ask(&good).starts_with("502 5.5.1").then_some(()) // "AUTH not offered"
    });
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

/// "STARTTLS followed in the same segment by NOOP": closed, and nothing said in clear is ever run.
#[test]
fn nothing_behind_starttls_is_run() {
    let instance = Instance::start();
    let vigil = Vigil::begin(&instance);
    let ca = instance.path("config/certs/ca.pem");
    let upgrade = Upgrade {
        port: SUBMISSION,
        before: Some(("EHLO a.test\r\n", "250 ")),
        ask: "STARTTLS\r\n",
        go_ahead: "220 2.0.0",
        injected: "NOOP\r\n",
        after: "BOGUS\r\n",
        answer: "500",
    };
    println!("plaintext behind it: {:?}", upgrade.inject(&instance));

    line(&instance, Greeted, "STARTTLS x", "STARTTLS x", &["501 5.5.4"]);
    line(&instance, InTransaction, "STARTTLS inside a transaction", "STARTTLS", &["503 5.5.1"]);

    let mut smtp = at(&instance, Greeted);
    smtp.ok("STARTTLS");
    let mut smtp = Smtp { wire: smtp.wire.start_tls(&ca), greeting: String::new() };
    assert!(smtp.ask("MAIL FROM:<a@discard.test>").starts_with("503 5.5.1"), "EHLO was forgotten");
    smtp.ok("EHLO a.test");
    assert!(smtp.ask("STARTTLS").starts_with("503 5.5.1"), "STARTTLS twice");
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

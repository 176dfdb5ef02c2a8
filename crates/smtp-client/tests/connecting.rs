//! From an address to a session.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use black_box::{Act, Step, StubMta};
use common::{SHORT, SOON, open, peer, refused, send, settings, small, try_open};
use smtp_client::{Credentials, Kind, Offers, Peer, Session, Verify};

#[test]
fn a_session_greets_reads_the_offers_and_says_good_bye() {
    let stub = StubMta::new().offers(&["PIPELINING", "SIZE 1000", "DSN", "XMORE"]).start();
    let mut session = open(&stub);
    let expected =
        Offers { extended: true, pipelining: true, size: Some(1000), dsn: true, ..Offers::default() };
    assert_eq!(*session.offers(), expected);
    assert!(session.is_alive() && !session.is_tls());
    session.quit();
    let seen = stub.wait_until("the end", |seen| seen.open == 0);
    assert_eq!(seen.commands, ["EHLO client.example.test", "QUIT"]);
}

#[test]
fn a_host_where_nobody_listens_is_passed_over() {
    // A port that was free a moment ago would be another test's by now and then; nobody is given this one.
    let address = "127.0.0.1:1".parse().unwrap();
    let peer = Peer { host: "mx.example.test".into(), address };
    let refused = Session::connect(&peer, &settings(), Verify::None, None).err().unwrap();
    assert_eq!(refused.kind, Kind::Connect);
    assert!(refused.text.starts_with("mx.example.test[127.0.0.1]:1"), "{refused}");
}

/// S35
#[test]
fn a_host_that_does_not_greet_is_given_up_after_timeoutgreet() {
    let stub = StubMta::new().on(Step::Greeting, &[Act::Silence]).start();
    let mut settings = settings();
    settings.timeouts.greet = SHORT;
    let begun = Instant::now();
    let refused = refused(&stub, &settings);
    assert_eq!(refused.kind, Kind::Connect);
    assert!(refused.text.contains("time-out at its greeting"), "{refused}");
    assert!((SHORT..SOON).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    stub.wait_until("the end", |seen| seen.open == 0);
}

#[test]
fn a_host_that_drips_its_greeting_is_given_up_as_soon() {
    let greeting = b"220-x\r\n".repeat(1000);
    let stub = StubMta::new().on(Step::Greeting, &[Act::Drip(greeting, Duration::from_millis(30))]).start();
    let mut settings = settings();
    settings.timeouts.greet = SHORT;
    let begun = Instant::now();
    assert_eq!(refused(&stub, &settings).kind, Kind::Connect);
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

#[test]
fn greetings_are_sorted_by_what_the_caller_does() {
    let table = [
        ("421 4.3.2 busy", Kind::Later),
        ("451 4.7.1 greylisted", Kind::Later),
        ("554-no\n554 5.7.1 mail for you", Kind::Permanent),
        ("521 5.3.2 never any mail", Kind::Permanent), // RFC 7504
        ("556 never any mail", Kind::Permanent),
        ("354 go ahead", Kind::Connect),
        ("SSH-2.0-OpenSSH_9.2", Kind::Connect),
        ("220-a\n250 b", Kind::Connect),
    ];
    for (greeting, kind) in table {
        let stub = StubMta::new().on(Step::Greeting, &[Act::say(greeting)]).start();
        let refused = refused(&stub, &settings());
        assert_eq!(refused.kind, kind, "{greeting}");
        assert!(
            !refused.text.contains(['\r', '\n']) && refused.text.contains("mx.example.test["),
            "{refused}"
        );
    }
}

#[test]
fn a_reply_without_end_is_given_up() {
    let table = [b"220-x\r\n".repeat(100_000), b"220 ".iter().chain(&[b'x'; 100_000]).copied().collect()];
    for flood in table {
        let stub = StubMta::new().on(Step::Greeting, &[Act::Raw(flood)]).start();
        let refused = refused(&stub, &settings());
        assert_eq!(refused.kind, Kind::Connect);
        assert!(refused.text.contains("too long"), "{refused}");
    }
}

#[test]
fn who_does_not_know_ehlo_is_told_helo() {
    let stub = StubMta::new().once(Step::Hello, &[Act::say("502 5.5.1 EHLO?")]).start();
    let mut session = open(&stub);
    assert_eq!(*session.offers(), Offers::default());
    assert!(send(&mut session, &small(), &["b@y.example"]).reusable);
    let seen = stub.seen();
    assert_eq!(
        seen.commands[..3],
        ["EHLO client.example.test", "HELO client.example.test", "MAIL FROM:<a@x.example>"]
    );
    assert_eq!(seen.ahead_max, 0, "nothing flies without PIPELINING");
}

#[test]
fn refusals_of_ehlo_and_helo_are_sorted_like_greetings() {
    let later = StubMta::new().on(Step::Hello, &[Act::say("450 4.7.1 who are you")]).start();
    assert_eq!(refused(&later, &settings()).kind, Kind::Later);
    let never = StubMta::new().on(Step::Hello, &[Act::say("550 5.7.1 go away")]).start();
    assert_eq!(refused(&never, &settings()).kind, Kind::Permanent);
    let gone = StubMta::new().on(Step::Hello, &[Act::Close]).start();
    let refused = refused(&gone, &settings());
    assert_eq!(refused.kind, Kind::Connect);
    assert!(refused.text.contains("closed the connection at EHLO"), "{refused}");
}

#[test]
fn a_session_that_the_peer_has_left_is_not_alive() {
    let stub = StubMta::new()
        .on(Step::Content, &[Act::say("250 taken"), Act::say("421 enough"), Act::Close])
        .start();
    let mut session = open(&stub);
    let transaction = send(&mut session, &small(), &["b@y.example"]);
    assert_eq!(common::words(&transaction), ["ok"]);
    stub.wait_until("the end", |seen| seen.open == 0);
    assert!(!session.is_alive());
    let next = send(&mut session, &small(), &["b@y.example"]);
    assert_eq!((common::words(&next), next.reusable), (vec!["later 4.3.2".to_owned()], false));
}

fn alice() -> Option<Credentials> {
    Some(Credentials { user: "alice".into(), password: "geheim".into() })
}

#[test]
fn log_in_is_by_plain_or_by_login() {
    let table = [
        ("AUTH PLAIN LOGIN", vec!["AUTH PLAIN AGFsaWNlAGdlaGVpbQ=="]),
        ("AUTH CRAM-MD5 LOGIN", vec!["AUTH LOGIN", "YWxpY2U=", "Z2VoZWlt"]),
    ];
    for (offer, commands) in table {
        let stub = StubMta::new().offers(&[offer]).start();
        Session::connect(&peer(&stub), &settings(), Verify::None, alice()).unwrap().quit();
        assert_eq!(stub.seen().commands[1..], [commands, vec!["QUIT"]].concat(), "{offer}");
    }
}

#[test]
fn a_peer_that_does_not_know_us_refuses() {
    let stranger =
        StubMta::new().offers(&["AUTH PLAIN"]).on(Step::Auth, &[Act::say("535 5.7.8 who?")]).start();
    let refused = Session::connect(&peer(&stranger), &settings(), Verify::None, alice()).err().unwrap();
    assert_eq!(refused.kind, Kind::Auth);
    assert!(refused.text.contains("535 5.7.8 who?") && !refused.text.contains("geheim"), "{refused}");
    let without = StubMta::new().offers(&["AUTH GSSAPI"]).start();
    let refused = Session::connect(&peer(&without), &settings(), Verify::None, alice()).err().unwrap();
    assert_eq!(refused.kind, Kind::Auth);
}

/// The address is this machine's, written in a way that is not known as such.
#[test]
fn a_password_does_not_leave_in_the_clear() {
    let stub = StubMta::new().offers(&["AUTH PLAIN"]).start();
    let address = format!("[::ffff:127.0.0.1]:{}", stub.address().port()).parse().unwrap();
    let peer = Peer { host: "mx.example.test".into(), address };
    let refused = Session::connect(&peer, &settings(), Verify::None, alice()).err().unwrap();
    assert_eq!(refused.kind, Kind::Auth, "{refused}");
    let seen = stub.wait_until("the end", |seen| seen.open == 0);
    assert!(!seen.commands.iter().any(|line| line.starts_with("AUTH")), "{:?}", seen.commands);
    assert!(try_open(&stub, &settings()).is_ok());
}

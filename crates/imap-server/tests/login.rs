//! Before and at log-in.
#![allow(clippy::unwrap_used)]

mod common;

use common::Site;
use connection::{CloseReason, Event, TimeoutKind};

#[test]
fn the_greeting_tells_what_is_offered() {
    let site = Site::new();
    let greeting = site.client().take();
    assert!(greeting.starts_with("* OK [CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL+ SASL-IR "), "{greeting}");
    assert!(greeting.contains(" STARTTLS AUTH=PLAIN AUTH=LOGIN] mail.example.com IMAP4 service (Mailboat "));
}

#[test]
fn a_user_logs_in_and_out() {
    let site = Site::new();
    let mut client = site.client();
    client.take();
    let said = client.command("LOGIN {3+}\r\njoe \"joe\"");
    assert!(said.starts_with("t OK [CAPABILITY IMAP4rev1 "), "{said}");
    assert!(!said.contains(" AUTH=") && !said.contains("STARTTLS"), "{said}");
    assert_eq!(client.io.user.as_deref(), Some("joe"));
    assert!(client.refused("LOGIN joe joe").starts_with("t BAD"));
    assert!(client.refused("STARTTLS").starts_with("t BAD"));
    assert_eq!(client.command("LOGOUT"), "* BYE Logging out\r\nt OK LOGOUT completed\r\n");
    assert!(client.is_closed());
}

#[test]
fn sasl_works_with_and_without_initial_response() {
    let site = Site::new();
    assert!(site.client().say(b"t AUTHENTICATE PLAIN AGpvZQBqb2U=\r\n").contains("t OK"));
    let said = site.client().say(b"t AUTHENTICATE PLAIN\r\nAGpvZQBqb2U=\r\n");
    assert!(said.contains("\r\n+ \r\nt OK"), "{said}");
    let said = site.client().say(b"t AUTHENTICATE LOGIN\r\nam9l\r\nam9l\r\n");
    assert!(said.contains("+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\nt OK"), "{said}");
    let mut client = site.client();
    client.take();
    assert_eq!(client.say(b"t AUTHENTICATE PLAIN\r\n*\r\n"), "+ \r\nt BAD Authentication cancelled\r\n");
    assert!(client.say(b"t AUTHENTICATE PLAIN\r\n!!\r\n").contains("t BAD"));
    assert!(client.refused("AUTHENTICATE CRAM-MD5").starts_with("t NO"));
}

#[test]
fn wrong_passwords_are_answered_later_and_later_and_end_the_connection() {
    let site = Site::new();
    let mut client = site.client();
    client.take();
    for user in ["joe", "nobody", "joe", "joe"] {
        let end = client.refused(&format!("LOGIN {user} wrong"));
        assert!(end.starts_with("t NO [AUTHENTICATIONFAILED]"), "{end}");
    }
    let seconds: Vec<u64> = client.pauses.iter().map(|pause| pause.as_secs()).collect();
    assert_eq!(seconds, [1, 2, 4, 8]);
    let said = client.command("LOGIN joe wrong");
    assert!(said.contains("t NO") && said.contains("* BYE Too many wrong passwords"), "{said}");
    assert!(client.is_closed());
}

#[test]
fn who_may_not_use_imap_is_told_so() {
    let site = Site::new();
    assert!(site.client().refused("LOGIN locked locked").starts_with("t NO [CONTACTADMIN]"));
}

#[test]
fn passwords_do_not_travel_in_clear() {
    let site = Site::new();
    let mut client = site.client_from([192, 0, 2, 1]);
    let greeting = client.take();
    assert!(greeting.contains("LOGINDISABLED") && !greeting.contains("AUTH="), "{greeting}");
    assert!(client.refused("LOGIN joe joe").starts_with("t NO [PRIVACYREQUIRED]"));
    assert!(client.refused("AUTHENTICATE PLAIN AGpvZQBqb2U=").starts_with("t NO [PRIVACYREQUIRED]"));
    client.ok("STARTTLS");
    let capabilities = client.ok("CAPABILITY");
    assert!(capabilities.contains("AUTH=PLAIN") && !capabilities.contains("STARTTLS"), "{capabilities}");
    assert!(client.refused("STARTTLS").starts_with("t BAD"));
    client.ok("LOGIN joe joe");
}

#[test]
fn strangers_cannot_make_us_hold_much() {
    let site = Site::new();
    let mut client = site.client();
    client.take();
    assert_eq!(client.command("LOGIN {4097}"), "t NO [TOOBIG] Literal too long\r\n");
    assert!(client.command("LOGIN {4294967296}").starts_with("t BAD"));
    let thrown_away = format!("LOGIN {{5000+}}\r\n{}\r\nt NOOP", "x".repeat(5000));
    let said = client.command(&thrown_away);
    assert!(said.starts_with("t NO [TOOBIG]") && said.ends_with("t OK NOOP completed\r\n"), "{said}");
    let many = format!("LOGIN{}", " {1+}\r\nx".repeat(10_000));
    assert!(client.command(&many).starts_with("t BAD [TOOBIG]"));
    let said = client.command("LOGIN {2000000+}");
    assert_eq!(said, "* BYE [TOOBIG] Literal too long\r\n");
    assert!(client.is_closed());
    let mut client = site.client();
    client.take();
    let said = client.command(&format!("NOOP {}", "x".repeat(9000)));
    assert!(said.starts_with("t BAD [TOOBIG]") && client.is_closed(), "{said}");
}

#[test]
fn nonsense_is_bad_and_too_much_of_it_ends_the_connection() {
    let site = Site::new();
    let mut client = site.client();
    client.take();
    for line in ["", "   ", "+ NOOP", "a%b NOOP", "( NOOP"] {
        let said = client.say(format!("{line}\r\n").as_bytes());
        assert!(said.starts_with("* BAD "), "{line}: {said}");
    }
    for line in ["t", "t FOO", "t NOOP ((((", "t LOGIN \"a", "t SELECT INBOX"] {
        let said = client.say(format!("{line}\r\n").as_bytes());
        assert!(said.starts_with("t BAD "), "{line}: {said}");
    }
    for _ in 10..20 {
        client.refused("FOO");
    }
    let said = client.command("FOO");
    assert!(said.contains("t BAD") && said.contains("* BYE Too many bad commands"), "{said}");
    assert!(client.is_closed());
}

#[test]
fn silence_ends_a_session() {
    let site = Site::new();
    let mut stranger = site.client();
    assert!(stranger.io.deadline.is_some());
    stranger.event(Event::Timeout(TimeoutKind::Deadline));
    assert!(stranger.is_closed() && stranger.take().contains("* BYE Autologout"));
    let mut joe = site.user("joe");
    assert_eq!((joe.io.deadline, joe.io.idle_timeout.as_secs()), (None, 1800));
    joe.event(Event::Timeout(TimeoutKind::Idle));
    assert!(joe.is_closed() && joe.take().starts_with("* BYE Autologout"));
}

/// research/store.md 4.3: a client announces a literal and sends nothing.
#[test]
fn a_literal_that_never_comes_is_waited_for_a_minute() {
    let site = Site::new();
    let mut stranger = site.client();
    stranger.say(b"t LOGIN {5}\r\n");
    assert_eq!(stranger.io.idle_timeout.as_secs(), 60);
    stranger.event(Event::Timeout(TimeoutKind::Idle));
    assert!(stranger.is_closed() && stranger.take().contains("* BYE Autologout"));
    let mut joe = site.user("joe");
    joe.say(b"t SELECT {5}\r\n");
    assert_eq!(joe.io.idle_timeout.as_secs(), 1800);
    joe.event(Event::Timeout(TimeoutKind::Idle));
    assert!(joe.is_closed() && joe.take().contains("* BYE Autologout"));
}

#[test]
fn a_stopping_server_says_goodbye_after_what_is_under_way() {
    let site = Site::new();
    let mut joe = site.user("joe");
    joe.say(b"t APPEND INBOX {5+}\r\nabc");
    joe.event(Event::Draining);
    assert!(!joe.is_closed());
    let said = joe.say(b"de\r\n");
    assert!(said.contains("t OK [APPENDUID") && said.contains("* BYE Server shutting down"), "{said}");
    let mut amy = site.user("amy");
    amy.event(Event::Draining);
    assert!(amy.is_closed());
    site.user("amy").event(Event::Closed(CloseReason::Peer));
}

#[test]
fn an_administrator_becomes_a_user() {
    let site = Site::new();
    site.put("user/joe/INBOX", common::message("for joe").as_bytes());
    assert!(site.user("amy").refused("PROXYAUTH joe").starts_with("t NO [NOPERM]"));
    let mut admin = site.user("admin");
    assert!(admin.refused("PROXYAUTH nobody").starts_with("t NO"));
    admin.ok("PROXYAUTH joe");
    assert!(admin.ok("SELECT INBOX").contains("* 1 EXISTS"));
    assert!(admin.refused("SELECT user/amy/INBOX").starts_with("t NO [NONEXISTENT]"));
    let said =
        site.client().say(b"t AUTHENTICATE PLAIN am9lAGFkbWluAGFkbWlu\r\nu STATUS INBOX (MESSAGES)\r\n");
    assert!(said.contains("(MESSAGES 1)"), "{said}");
    let said = site.client().say(b"t AUTHENTICATE PLAIN am9lAGFteQBhbXk=\r\n");
    assert!(said.contains("t NO [NOPERM]"), "{said}");
}

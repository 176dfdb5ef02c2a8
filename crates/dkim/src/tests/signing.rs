//! What we sign verifies, and what is changed does not.

use proptest::prelude::*;

use super::{NOW, Zone, crlf, key};
use crate::{Algorithm, Outcome, Signing, sign, verify};

pub(super) const MESSAGE: &str = "\
Received: from a by b; now
From: Joe <joe@example.org>
To: a@b.example,
\tc@d.example
Subject: A  question
Date: Fri, 11 Jul 2003 21:00:37 -0700
Message-ID: <1@example.org>
X-Mailer: none

Hello,  world
 and more \t

";

const SIGNING: Signing = Signing { now: NOW, lifetime: None };

fn signed(message: &str, keys: &[crate::SigningKey]) -> String {
    let fields = sign(message.as_bytes(), keys, SIGNING).unwrap();
    String::from_utf8(fields).unwrap() + message
}

#[test]
fn a_message_signed_with_two_keys_verifies_with_both() {
    let keys =
        [key("Example.org", "R", Algorithm::RsaSha256), key("example.org", "e", Algorithm::Ed25519Sha256)];
    let text = signed(&crlf(MESSAGE), &keys);
    let checked = verify(text.as_bytes(), &Zone::of(&[&keys[0], &keys[1]]), NOW);
    let seen: Vec<_> =
        checked.iter().map(|one| (one.selector.as_str(), one.bits, one.result.clone())).collect();
    assert_eq!(seen, [("r", Some(2048), Outcome::Pass), ("e", Some(256), Outcome::Pass)]);
    assert!(
        text.lines().take_while(|line| !line.starts_with("Received")).all(|line| line.len() <= 78),
        "{text}"
    );
}

#[test]
fn fields_that_stand_once_cannot_be_added_and_others_can() {
    let key = [key("example.org", "s", Algorithm::Ed25519Sha256)];
    let text = signed(&crlf(MESSAGE), &key);
    let zone = Zone::of(&[&key[0]]);
    for (added, expected) in [
        ("From: Eve <eve@evil.example>", "fail"),
        ("Cc: x@y.example", "fail"),
        ("Reply-To: x@y.example", "fail"),
        ("Content-Type: text/html", "fail"),
        ("Subject: other", "fail"),
        ("Received: from x by y; now", "pass"),
        ("List-Id: <a.b.example>", "pass"),
        ("Authentication-Results: x; none", "pass"),
    ] {
        for place in [0, text.find("X-Mailer").unwrap()] {
            let (before, behind) = text.split_at(place);
            let changed = format!("{before}{added}\r\n{behind}");
            assert_eq!(
                verify(changed.as_bytes(), &zone, NOW)[0].result.name(),
                expected,
                "{added} at {place}"
            );
        }
    }
}

#[test]
fn what_cannot_be_signed_is_told() {
    let key = [key("example.org", "s", Algorithm::Ed25519Sha256)];
    for text in ["Subject: no author\r\n\r\n", &format!("From: a\r\n{}\r\n", "To: a\r\n".repeat(500))] {
        assert!(sign(text.as_bytes(), &key, SIGNING).is_err());
    }
    assert!(sign(b"From: a\r\n", &key, SIGNING).is_ok(), "without a body, or its empty line");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_message_verifies_as_it_was_signed(
        names in proptest::collection::vec("(from|To|SUBJECT|x-y|Sender|list-id|Received)", 0..8),
        values in proptest::collection::vec("[a-z\u{e4}<>:; \t]{0,20}(\r\n [a-z]{1,5})?", 8),
        body in "( |\t|a|bc|\r\n){0,40}",
    ) {
        let header: String = names.iter().zip(&values).map(|(name, value)| format!("{name}:{value}\r\n")).collect();
        let message = format!("From: a@example.org\r\n{header}\r\n{body}");
        let key = [key("example.org", "s", Algorithm::Ed25519Sha256)];
        let text = signed(&message, &key);
        prop_assert_eq!(&verify(text.as_bytes(), &Zone::of(&[&key[0]]), NOW)[0].result, &Outcome::Pass, "{}", text);
    }

    /// Any byte of what is signed, and of the signature, that becomes another that is not white space.
    #[test]
    fn any_changed_byte_fails(place in any::<prop::sample::Index>(), new in b'a'..=b'z') {
        let key = [key("example.org", "s", Algorithm::Ed25519Sha256)];
        let mut text = signed(&crlf(MESSAGE), &key).into_bytes();
        let header = std::str::from_utf8(&text).unwrap();
        let unsigned = [("\r\nReceived:", "\r\nFrom: "), ("X-Mailer", "\r\nHello")].map(|(from, to)| header.find(from).unwrap()..header.find(to).unwrap());
        let places: Vec<usize> = (0..text.len())
            .filter(|at| !unsigned.iter().any(|range| range.contains(at)))
            .filter(|at| !text[*at].is_ascii_whitespace() && !text[*at].eq_ignore_ascii_case(&new))
            .collect();
        let at = *place.get(&places);
        text[at] = new;
        let passes = verify(&text, &Zone::of(&[&key[0]]), NOW).iter().any(|one| one.result == Outcome::Pass);
        prop_assert!(!passes, "{}", String::from_utf8_lossy(&text));
    }
}

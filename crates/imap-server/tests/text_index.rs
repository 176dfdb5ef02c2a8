//! SEARCH with the index of words says what it says without.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use common::{Client, Site};
use message_store::{Mailbox, MailboxName, NewMessage, TextsIndexed};
use proptest::prelude::*;

fn mailbox(site: &Site) -> Arc<Mailbox> {
    site.store.ensure_user("joe").unwrap();
    site.store.open_mailbox(&MailboxName::parse("user/joe/INBOX").unwrap()).unwrap()
}

fn put(mailbox: &Arc<Mailbox>, messages: &[Vec<u8>]) {
    let complete: Vec<_> = messages
        .iter()
        .map(|message| {
            let mut incoming = mailbox.begin_append().unwrap();
            std::io::Write::write_all(&mut incoming, message).unwrap();
            (incoming.complete().unwrap(), NewMessage::default())
        })
        .collect();
    mailbox.append_all(&complete).unwrap();
}

fn index(mailbox: &Mailbox) -> TextsIndexed {
    mailbox.index_texts(1, &mut |_| true).unwrap()
}

fn folder(site: &Site) -> PathBuf {
    site.find("store.idx").with_file_name("store.fts")
}

fn segments(site: &Site) -> Vec<PathBuf> {
    fs::read_dir(folder(site)).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// A text in one of the ways that mail has it, from a few words so that hits are many.
fn part() -> impl Strategy<Value = Vec<u8>> {
    let words = proptest::sample::select(vec![
        "alpha",
        "beta",
        "alphabet",
        "Gr\u{fc}\u{df}e",
        "\u{39f}\u{394}\u{39f}\u{3a3}",
        "joe@example.com",
        "www.example.com",
        "2026-11-29",
        "\u{6f22}\u{5b57}\u{5b66}",
        "foo",
        "bar",
        "x-y",
        "...",
        "e",
        "",
    ]);
    let blanks = proptest::sample::select(vec![" ", "\r\n", ", ", ".", "--", "@", "\r\n> "]);
    let text = proptest::collection::vec((words, blanks), 0..10)
        .prop_map(|all| all.into_iter().flat_map(|(word, blank)| [word, blank]).collect::<String>());
    (text, 0..4).prop_map(|(text, way)| match way {
        0 => format!("Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n").into_bytes(),
        1 => {
            let lines: String = text.bytes().map(|byte| format!("={byte:02X}=\r\n")).collect();
            format!("Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{lines}\r\n")
                .into_bytes()
        }
        2 => {
            let head = "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\n";
            head.bytes().chain(text.chars().map(|one| u8::try_from(u32::from(one)).unwrap_or(b'?'))).collect()
        }
        _ => format!("Content-Type: application/octet-stream\r\n\r\n{text}\r\n").into_bytes(),
    })
}

fn messages(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Vec<u8>>> {
    let subject = proptest::sample::select(vec![
        "alpha beta",
        "=?utf-8?q?Gr=C3=BC=C3=9Fe?= foo",
        "bar",
        "=?utf-8?b?5ryi5a2X?=",
    ]);
    let one = (subject, proptest::collection::vec(part(), 1..4), any::<bool>()).prop_map(|(subject, parts, inner)| {
        let mut message = format!(
            "From: Joe <joe@example.com>\r\nSubject: {subject}\r\nContent-Type: multipart/mixed; boundary=zz\r\n\r\npreamble foo\r\n"
        )
        .into_bytes();
        for part in parts {
            message.extend_from_slice(b"--zz\r\n");
            if inner {
                message.extend_from_slice(b"Content-Type: message/rfc822\r\n\r\nSubject: inner beta\r\n");
            }
            message.extend_from_slice(&part);
        }
        message.extend_from_slice(b"--zz--\r\n");
        message
    });
    proptest::collection::vec(one, count)
}

const QUERIES: [&str; 31] = [
    "TEXT alpha",
    "BODY alpha",
    "BODY lphab",
    "TEXT \"alpha beta\"",
    "BODY \"foo bar\"",
    "BODY gr\u{fc}\u{df}e",
    "TEXT \u{3bf}\u{3b4}\u{3bf}\u{3c2}",
    "TEXT \u{3bf}\u{3b4}\u{3bf}\u{3c3}",
    "BODY \u{6f22}\u{5b57}",
    "BODY \u{5b57}\u{5b66}",
    "TEXT \u{6f22}\u{5b57}\u{5b66}",
    "TEXT example.com",
    "BODY joe@example",
    "TEXT \"subject: \"",
    "BODY \"subject: inner\"",
    "SUBJECT beta",
    "FROM joe@example.com",
    "HEADER Content-Type mixed",
    "NOT BODY foo",
    "OR BODY bar SUBJECT bar",
    "BODY e BODY foo NOT TEXT x-y",
    "TEXT preamble",
    "TEXT 29",
    "TEXT ...",
    "FUZZY TEXT alpah",
    "RETURN (RELEVANCY ALL) FUZZY BODY alphb",
    "RETURN (RELEVANCY ALL) FUZZY TEXT \"foo alpha\"",
    "RETURN (RELEVANCY ALL) FUZZY SUBJECT bta",
    "RETURN (RELEVANCY ALL) FUZZY (OR BODY exampel.com TEXT 2026-11-28) BODY e",
    "RETURN (RELEVANCY ALL) NOT FUZZY BODY betta",
    "BODY foo FUZZY TEXT preambel",
];

/// The answers to all queries, and to those that ask for words of these.
fn answers(joe: &mut Client, more: &[String]) -> Vec<String> {
    let mut ask = |query: &str| {
        let (key, text) = query.rsplit_once(' ').unwrap();
        let is_plain = query.is_ascii() || query.contains('"');
        let command = if is_plain {
            query.to_owned()
        } else {
            format!("CHARSET UTF-8 {key} {{{}+}}\r\n{text}", text.len())
        };
        format!("{query}: {}", joe.ok(&format!("UID SEARCH {command}")))
    };
    QUERIES.iter().copied().chain(more.iter().map(String::as_str)).map(&mut ask).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn the_same_is_found_with_an_index_and_without(
        first in messages(20..60),
        second in messages(1..40),
        gone in proptest::collection::vec(1u32..80, 0..30),
        parts in proptest::collection::vec("[a-fo.@ -]{1,4}", 1..10),
    ) {
        let site = Site::new();
        let mailbox = mailbox(&site);
        let more: Vec<String> = parts.iter().map(|part| format!("BODY \"{part}\"")).collect();
        put(&mailbox, &first);
        let mut joe = site.user("joe");
        joe.ok("SELECT INBOX");
        let without = answers(&mut joe, &more);
        prop_assert_eq!(index(&mailbox).messages, first.len() as u64);
        prop_assert_eq!(&answers(&mut joe, &more), &without);
        // More mail, of which the index knows only later, and messages that go.
        put(&mailbox, &second);
        let gone: Vec<String> = gone.iter().map(u32::to_string).collect();
        if !gone.is_empty() {
            joe.ok(&format!("UID STORE {} +FLAGS.SILENT (\\Deleted)", gone.join(",")));
            joe.ok("EXPUNGE");
        }
        joe.ok("NOOP");
        let with_some = answers(&mut joe, &more);
        index(&mailbox);
        let with_all = answers(&mut joe, &more);
        mailbox.remove_text_index().unwrap();
        let without = answers(&mut joe, &more);
        prop_assert_eq!(&with_some, &without);
        prop_assert_eq!(&with_all, &without);
    }
}

fn plain(number: u32) -> Vec<u8> {
    format!(
        "Subject: number {number}\r\n\r\nword{} of {}\r\n",
        number % 7,
        if number % 50 == 0 { "rare" } else { "many" }
    )
    .into_bytes()
}

fn joe_with(count: u32) -> (Site, Arc<Mailbox>, Client) {
    let site = Site::new();
    let mailbox = mailbox(&site);
    put(&mailbox, &(1..=count).map(plain).collect::<Vec<_>>());
    let mut joe = site.user("joe");
    joe.ok("SELECT INBOX");
    (site, mailbox, joe)
}

/// Messages whose files are gone: a search that looked at them would not find them, so what is found came from the index.
#[test]
fn a_search_for_a_word_opens_no_message_and_one_for_a_phrase_only_those_that_may_have_it() {
    let (site, mailbox, mut joe) = joe_with(300);
    let mut right =
        vec![joe.ok("SEARCH BODY rare"), joe.ok("SEARCH BODY word3"), joe.ok("SEARCH SUBJECT \"number 7\"")];
    assert_eq!(index(&mailbox).messages, 300);
    let inbox = folder(&site).parent().unwrap().to_owned();
    let file = |uid: u32| inbox.join(format!("{:02}/{uid}.msg", uid / 100 % 100));
    // The first messages of a segment are looked at before it is asked.
    for uid in 20..=300 {
        fs::remove_file(file(uid)).unwrap();
    }
    assert_eq!(joe.ok("SEARCH BODY rare"), right.remove(0));
    assert_eq!(joe.ok("SEARCH BODY word3"), right.remove(0));
    assert_eq!(joe.ok("SEARCH BODY \"of rare\""), "* SEARCH\r\n", "a phrase is looked for in the messages");
    assert_eq!(joe.ok("SEARCH SUBJECT \"number 7\""), right.remove(0), "headers are in the cache");
}

#[test]
fn segments_are_merged_and_forget_what_is_gone() {
    let (site, mailbox, mut joe) = joe_with(400);
    for round in 0..8 {
        put(&mailbox, &(0..5).map(|number| plain(1000 + round * 5 + number)).collect::<Vec<_>>());
        index(&mailbox);
    }
    assert_eq!(segments(&site).len(), 1, "{:?}", segments(&site));
    let found = joe.ok("SEARCH BODY rare");
    joe.ok("UID STORE 1:399 +FLAGS.SILENT (\\Deleted)");
    joe.ok("EXPUNGE");
    assert_ne!(joe.ok("SEARCH BODY rare"), found);
    assert_eq!(index(&mailbox).merged, 1);
    assert_eq!(segments(&site).len(), 1, "{:?}", segments(&site));
    let bytes = fs::read(&segments(&site)[0]).unwrap();
    let has = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    assert!(has(b"\n1004\n") && !has(b"\n123\n"), "words of what is gone are gone");
    let found = joe.ok("SEARCH SUBJECT 1004");
    mailbox.remove_text_index().unwrap();
    assert_eq!(joe.ok("SEARCH SUBJECT 1004"), found);
}

#[test]
fn a_damaged_segment_is_removed_and_makes_no_difference() {
    let (site, mailbox, mut joe) = joe_with(200);
    let right = [joe.ok("SEARCH BODY rare"), joe.ok("SEARCH NOT BODY word3")];
    index(&mailbox);
    let path = segments(&site).remove(0);
    let whole = fs::read(&path).unwrap();
    for place in [9, 70, 64 + 200 * 16 + 5, whole.len() - 3] {
        let mut bytes = whole.clone();
        bytes[place] ^= 4;
        let other = path.with_file_name("other");
        fs::write(&other, &bytes).unwrap();
        fs::rename(&other, &path).unwrap();
        assert_eq!([joe.ok("SEARCH BODY rare"), joe.ok("SEARCH NOT BODY word3")], right, "at {place}");
        assert!(!path.exists(), "at {place}");
        assert_eq!(index(&mailbox).messages, 200);
        assert_eq!(joe.ok("SEARCH BODY rare"), right[0]);
    }
}

/// As after a power cut that took messages back, but not the index that saw them.
#[test]
fn an_index_that_saw_other_messages_is_not_believed() {
    let (site, mailbox, _joe) = joe_with(100);
    index(&mailbox);
    let kept: Vec<(String, Vec<u8>)> = segments(&site)
        .iter()
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap()))
        .collect();
    let other = Site::new();
    let theirs = self::mailbox(&other);
    put(&theirs, &(1..=100).map(|number| plain(number + 1)).collect::<Vec<_>>());
    let mut joe = other.user("joe");
    joe.ok("SELECT INBOX");
    let right = joe.ok("SEARCH BODY rare");
    index(&theirs);
    for (name, mut bytes) in kept {
        // Even with the right owner.
        let own = fs::read(&segments(&other)[0]).unwrap();
        bytes[8..28].copy_from_slice(&own[8..28]);
        let crc = crc(&bytes[..60]).to_le_bytes();
        bytes[60..64].copy_from_slice(&crc);
        let folder = folder(&other);
        fs::write(folder.join("other"), &bytes).unwrap();
        fs::rename(folder.join("other"), folder.join(name)).unwrap();
    }
    let mut joe = other.user("joe");
    joe.ok("SELECT INBOX");
    assert_eq!(joe.ok("SEARCH BODY rare"), right);
    assert_eq!(segments(&other).len(), 0);
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

#[test]
fn the_pace_stops_the_work_and_nothing_is_lost() {
    let (site, mailbox, mut joe) = joe_with(300);
    let right = joe.ok("SEARCH BODY rare");
    let mut calls = 0;
    let done = mailbox
        .index_texts(1, &mut |_| {
            calls += 1;
            calls < 100
        })
        .unwrap();
    assert!(done.is_stopped && done.messages == 100);
    assert_eq!(joe.ok("SEARCH BODY rare"), right);
    assert_eq!(index(&mailbox).messages, 200);
    assert_eq!(segments(&site).len(), 2);
    assert_eq!(joe.ok("SEARCH BODY rare"), right);
    assert_eq!(mailbox.index_texts(1, &mut |_| true).unwrap(), TextsIndexed::default());
}

#[test]
fn reconstruct_removes_the_index() {
    let (site, mailbox, mut joe) = joe_with(50);
    let right = joe.ok("SEARCH BODY rare");
    index(&mailbox);
    site.store.reconstruct(&mailbox.name()).unwrap();
    assert!(mailbox.text_index().is_none());
    assert_eq!(joe.ok("SEARCH BODY rare"), right);
}

//! Content on its way.
#![allow(clippy::unwrap_used)]

mod common;

use black_box::{Act, Step, StubMta};
use common::{Message, SHORT, SOON, message, open, send, settings, small, try_open, words};
use proptest::prelude::*;

const B: &[&str] = &["b@y.example"];

fn large(megabytes: usize) -> Vec<u8> {
    b"Subject: large\r\n\r\n"
        .iter()
        .copied()
        .chain(b".one line of 33 bytes, its end.\r\n".repeat(megabytes << 15))
        .collect()
}

#[test]
fn dots_are_doubled_on_the_way_and_nothing_else() {
    let content = b"Subject: dots\r\n\r\n.\r\n..\r\n.a\r\na.\r\n\r\n.\r\n";
    let stub = StubMta::new().start();
    let mut session = open(&stub);
    assert_eq!(words(&send(&mut session, &message(content), B)), ["ok"]);
    assert_eq!(words(&send(&mut session, &message(b""), B)), ["ok"]);
    let received = stub.wait_for(2);
    assert_eq!(received[0].content, content);
    assert_eq!((received[1].content.as_slice(), received[1].chunks), (&b""[..], 0));
}

/// RFC 3030
#[test]
fn chunks_of_a_megabyte_are_used_where_they_are_taken() {
    let content = large(2);
    let stub = StubMta::new().offers(&["CHUNKING", "PIPELINING"]).start();
    let mut session = open(&stub);
    assert_eq!(words(&send(&mut session, &message(&content), B)), ["ok"]);
    assert_eq!(words(&send(&mut session, &message(b""), B)), ["ok"]);
    let received = stub.wait_for(2);
    assert_eq!((received[0].chunks, received[1].chunks), (3, 1));
    assert!(received[0].content == content);
    let bdats: Vec<String> =
        stub.seen().commands.into_iter().filter(|line| line.starts_with("BDAT")).collect();
    assert_eq!(bdats, ["BDAT 1048576", "BDAT 1048576", "BDAT 65554 LAST", "BDAT 0 LAST"]);
}

/// By DATA and by BDAT, with the size that both have together.
#[test]
fn fields_go_before_the_content() {
    for offers in [&["SIZE"][..], &["CHUNKING", "SIZE"]] {
        let stub = StubMta::new().offers(offers).start();
        let content = large(1);
        let before = Message { front: b"A: 1\r\n.B: 2\r\n", ..message(&content) };
        assert_eq!(words(&send(&mut open(&stub), &before, B)), ["ok"]);
        let received = &stub.wait_for(1)[0];
        assert!(received.content == [before.front, &content].concat());
        assert!(
            received.mail.ends_with(&format!(" SIZE={}", content.len() + before.front.len())),
            "{}",
            received.mail
        );
        assert_eq!(received.chunks > 0, offers.len() == 2);
    }
}

#[test]
fn the_same_large_message_goes_by_data_where_they_are_not() {
    let content = large(2);
    let stub = StubMta::new().start();
    assert_eq!(words(&send(&mut open(&stub), &message(&content), B)), ["ok"]);
    let received = stub.wait_for(1);
    assert!(received[0].content == content && received[0].chunks == 0);
}

#[test]
fn a_chunk_that_is_refused_ends_the_transaction() {
    let stub = StubMta::new()
        .offers(&["CHUNKING"])
        .once(Step::Content, &[Act::say("250 more")])
        .once(Step::Content, &[Act::say("552 5.3.4 enough")])
        .start();
    let mut session = open(&stub);
    let first = send(&mut session, &message(&large(3)), B);
    assert_eq!((words(&first), first.reusable), (vec!["failed 5.3.4".to_owned()], true));
    assert_eq!(words(&send(&mut session, &small(), B)), ["ok"]);
    let commands = stub.seen().commands;
    let place = commands.iter().position(|line| line == "RSET").unwrap();
    assert!(commands[place - 1].starts_with("BDAT"), "{commands:?}");
    assert_eq!(stub.seen().received.len(), 1);
}

#[test]
fn what_is_not_regular_is_mended_and_never_goes_in_chunks() {
    let stub = StubMta::new().offers(&["CHUNKING"]).start();
    let mut session = open(&stub);
    for content in ["a\n.\nb\r\n", "a\r.\rb\r\n", "a\r\n.\r\nb", "a\r\n\0.\r\nb\r\n", "a\r\nb\r"] {
        assert_eq!(words(&send(&mut session, &message(content.as_bytes()), B)), ["ok"], "{content:?}");
    }
    for received in stub.wait_for(5) {
        assert_eq!(received.chunks, 0);
        assert!(received.content.ends_with(b"b\r\n"), "{:?}", received.text());
        assert!(!received.text().replace("\r\n", "").contains(['\r', '\n', '\0']), "{:?}", received.text());
    }
}

/// No part of it may be taken for the whole.
#[test]
fn a_file_that_is_too_short_is_never_ended() {
    for offers in [&["PIPELINING"][..], &["CHUNKING"]] {
        let stub = StubMta::new().offers(offers).start();
        let mut short = message(&large(1));
        short.size += 10;
        let transaction = send(&mut open(&stub), &short, B);
        assert_eq!((words(&transaction), transaction.reusable), (vec!["later 4.3.0".to_owned()], false));
        assert_eq!(stub.wait_until("the end", |seen| seen.open == 0).received.len(), 0);
    }
}

/// It says why, stops reading and closes.
#[test]
fn a_refusal_before_the_end_of_the_content_counts() {
    let table = [
        ("552 5.3.4 too big", "failed 5.3.4"),
        ("452 4.3.1 full", "later 4.3.1"),
        ("421 bye", "later 4.3.2"),
    ];
    for (answer, expected) in table {
        let early = Act::Await("end.\r\n".into());
        let stub =
            StubMta::new().on(Step::Data, &[Act::say("354 go"), early, Act::say(answer), Act::Close]).start();
        let transaction = send(&mut open(&stub), &message(&large(16)), B);
        assert_eq!((words(&transaction), transaction.reusable), (vec![expected.to_owned()], false));
    }
}

#[test]
fn a_peer_that_reads_nothing_is_given_up() {
    let data = StubMta::new().on(Step::Data, &[Act::say("354 go"), Act::Silence]);
    let chunks = StubMta::new().offers(&["CHUNKING"]).on(Step::Rcpt, &[Act::say("250 ok"), Act::Silence]);
    for stub in [data.start(), chunks.start()] {
        let mut settings = settings();
        (settings.timeouts.data_send, settings.timeouts.data) = (SHORT, SHORT);
        let begun = std::time::Instant::now();
        let transaction = send(&mut try_open(&stub, &settings).unwrap(), &message(&large(16)), B);
        assert_eq!((words(&transaction), transaction.reusable), (vec!["later 4.4.2".to_owned()], false));
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Whatever lies in a file, the other side reads one message, with its lines.
    #[test]
    fn anything_arrives_as_exactly_one_message(bytes in proptest::collection::vec(prop_oneof![
        4 => Just(b"\r\n".to_vec()), 3 => Just(b".".to_vec()), 1 => Just(b"\r".to_vec()), 1 => Just(b"\n".to_vec()),
        2 => Just(b"MAIL".to_vec()), 1 => Just(b"\0".to_vec()), 1 => Just(vec![0xc3])], 0..40), chunking in any::<bool>())
    {
        let content = bytes.concat();
        let stub = StubMta::new().offers(if chunking { &["CHUNKING"] } else { &["PIPELINING"] }).start();
        let mut session = open(&stub);
        prop_assert_eq!(words(&send(&mut session, &message(&content), B)), ["ok"]);
        session.quit();
        let seen = stub.wait_until("the end", |seen| seen.open == 0);
        prop_assert_eq!(seen.received.len(), 1);
        prop_assert_eq!(seen.commands.iter().filter(|line| line.starts_with("MAIL")).count(), 1);
        let lines = |bytes: &[u8]| -> Vec<u8> {
            bytes.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n' | 0)).collect()
        };
        prop_assert_eq!(lines(&seen.received[0].content), lines(&content));
        let regular = content.is_empty() || content.ends_with(b"\r\n") && {
            let rest = String::from_utf8_lossy(&content).replace("\r\n", "");
            !rest.contains(['\r', '\n', '\0'])
        };
        if regular {
            prop_assert_eq!(&seen.received[0].content, &content);
        }
    }
}

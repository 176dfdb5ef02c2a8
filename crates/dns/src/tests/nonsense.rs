//! Answers made by nobody sane: they are passed over, and nothing panics.

use black_box::stub_dns::wire::{Asked, Kind, Reply, data, soa};
use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RecordType};
use proptest::prelude::*;

use crate::answer::Record;
use crate::exchange::read_answer;
use crate::reading;

const KINDS: [&str; 6] = ["A", "AAAA", "MX", "TXT", "TLSA", "PTR"];

fn asked(kind: RecordType) -> Message {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii("example.test.").unwrap(), kind));
    message
}

/// What the resolver does with bytes from a socket.
fn digest(bytes: &[u8], asked: &Message) {
    if let Some(answer) = read_answer(bytes, asked) {
        let query = &asked.queries[0];
        let _ = reading::read(&answer, query.name(), query.query_type());
    }
}

/// An answer of every kind of record to the question of `asked`.
fn full_answer(asked: &Message) -> Vec<u8> {
    let query = Asked::read(&asked.to_vec().unwrap()).unwrap();
    let mut reply = Reply::to(&query, 0, 0);
    let all = [
        ("CNAME", "end.test"),
        ("A", "192.0.2.1"),
        ("AAAA", "2001:db8::1"),
        ("MX", "10 mx.test"),
        ("TXT", "some text"),
        ("TLSA", "3 1 1 00ff"),
        ("PTR", "host.test"),
    ];
    for (owner, (kind, text)) in all.into_iter().flat_map(|one| [("example.test", one), ("end.test", one)]) {
        let kind = Kind::named(kind);
        if (owner, kind) != ("end.test", Kind::CNAME) {
            reply.answer(owner, kind, 300, &data(kind, text));
        }
    }
    reply.authority("", Kind::SOA, 60, &soa(60));
    reply.edns();
    reply.bytes().to_vec()
}

/// The question's own record between records of other names.
pub(super) fn answer_with_strangers() -> Message {
    let asked = asked(RecordType::A);
    let query = Asked::read(&asked.to_vec().unwrap()).unwrap();
    let mut reply = Reply::to(&query, 0, 0);
    let address = Kind::named("A");
    reply.answer("www.example.test", address, 1, &[192, 0, 2, 66]);
    reply.answer("example.test", address, 300, &[192, 0, 2, 1]);
    reply.answer("test", address, 1, &[192, 0, 2, 66]);
    reply.answer("test", Kind::CNAME, 1, &data(Kind::CNAME, "elsewhere.test"));
    read_answer(reply.bytes(), &asked).unwrap()
}

#[test]
fn an_answer_of_every_kind_is_read() {
    for kind in KINDS {
        let asked = asked(kind.parse().unwrap());
        let answer = read_answer(&full_answer(&asked), &asked).unwrap();
        let reading = reading::read(&answer, asked.queries[0].name(), kind.parse().unwrap());
        // The record, and the name that the alias leads to.
        let end = Record::Canonical("end.test".into());
        assert!(
            matches!(&reading, reading::Reading::Found(records, 300) if records.len() == 2 && records[1] == end),
            "{kind}: {reading:?}"
        );
    }
}

#[test]
fn an_answer_that_breaks_off_is_none() {
    let asked = asked(RecordType::MX);
    let whole = full_answer(&asked);
    for length in 0..whole.len() {
        assert!(read_answer(&whole[..length], &asked).is_none(), "{length} bytes of {}", whole.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn random_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..600), kind in 0..KINDS.len()) {
        let asked = asked(KINDS[kind].parse().unwrap());
        digest(&bytes, &asked);
        // The same behind the header and the question that are looked for.
        let question = asked.to_vec().unwrap();
        let shared = question.len().min(bytes.len());
        bytes[..shared].copy_from_slice(&question[..shared]);
        if let Some(flags) = bytes.get_mut(2) {
            *flags |= 0x80;
        }
        for count in [7, 9, 11] {
            if let Some(count) = bytes.get_mut(count) {
                *count = 20;
            }
        }
        digest(&bytes, &asked);
    }

    #[test]
    fn spoiled_answers_never_panic(
        kind in 0..KINDS.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        length in any::<prop::sample::Index>(),
    ) {
        let asked = asked(KINDS[kind].parse().unwrap());
        let mut bytes = full_answer(&asked);
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        bytes[..2].copy_from_slice(&7u16.to_be_bytes());
        digest(&bytes, &asked);
        bytes.truncate(length.index(bytes.len()));
        digest(&bytes, &asked);
    }
}

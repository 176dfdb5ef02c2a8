//! What a segment says is true: against the texts themselves.
#![allow(clippy::unwrap_used)]

use std::fs::File;

use proptest::prelude::*;
use text_index::{Builder, Merged, Owner, Query, Scope, Segment, Side, merge};

const OWNER: Owner = Owner { id: 7, stamp: 3 };

/// A document: its number, header texts, body texts.
#[derive(Clone, Debug)]
struct Document {
    number: u32,
    header: Vec<String>,
    body: Vec<String>,
}

impl Document {
    fn contains(&self, text: &str, scope: Scope) -> bool {
        let (header, body) = (self.header.iter(), self.body.iter());
        match scope {
            Scope::Header => header.into_iter().any(|one| one.contains(text)),
            Scope::Body => body.into_iter().any(|one| one.contains(text)),
            Scope::Both => header.chain(body).any(|one| one.contains(text)),
        }
    }
}

fn build(documents: &[Document]) -> Segment {
    let mut builder = Builder::new();
    for document in documents {
        builder.begin(document.number, u64::from(document.number) * 3);
        for text in &document.header {
            builder.text(Side::Header, text, false);
        }
        for text in &document.body {
            let middle = text.char_indices().nth(text.chars().count() / 2).map_or(0, |(at, _)| at);
            builder.text(Side::Body, &text[..middle], true);
            builder.text(Side::Body, &text[middle..], true);
            builder.end_text(Side::Body);
        }
    }
    let file = tempfile::tempfile().unwrap();
    builder.finish(file.try_clone().unwrap(), OWNER).unwrap();
    Segment::open(&file).unwrap()
}

fn merged(segments: &[&Segment], gone: &[u32]) -> Option<(Segment, File)> {
    let file = tempfile::tempfile().unwrap();
    let lives = |doc: &text_index::Doc| !gone.contains(&doc.number);
    match merge(segments, &lives, &file, &mut |_| true).unwrap() {
        Merged::Done(_) => Some((Segment::open(&file).unwrap(), file)),
        Merged::Empty => None,
        Merged::Stopped => panic!("nobody stopped it"),
    }
}

/// Every answer holds; a word has no `maybe` unless some document's words were left out.
fn check(segment: &Segment, documents: &[Document], text: &str, is_exact: bool) {
    for scope in [Scope::Header, Scope::Body, Scope::Both] {
        let Some(query) = Query::new(text, scope) else { continue };
        let answer = query.ask(segment).unwrap();
        assert_eq!(segment.docs() as usize, documents.len());
        for document in documents {
            let place = segment.place_of(document.number).unwrap();
            let is_there = document.contains(text, scope);
            let (yes, maybe) = (answer.yes.has(place), answer.maybe.has(place));
            assert!(!yes || is_there, "{text:?} is not in {document:?}");
            assert!(!is_there || yes || maybe, "{text:?} is in {document:?}");
            if is_exact {
                assert!(!maybe, "{text:?} could be said of {document:?}");
            }
        }
    }
}

fn text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        6 => "[a-c]{1,4}",
        1 => "[a-b]{1,2}[@._-][a-b]{1,2}",
        1 => "\u{e9}[a-b]{0,2}\u{df}",
        1 => "[\u{6f22}\u{5b57}\u{5b66}\u{304b}]{1,5}",
        1 => "[a-b]{250,262}",
    ];
    let blank = prop_oneof!["[ ,]{1,2}", "\r\n", "-- ", "[.@]"];
    proptest::collection::vec((word, blank), 0..12)
        .prop_map(|parts| parts.into_iter().flat_map(|(word, blank)| [word, blank]).collect())
}

fn documents() -> impl Strategy<Value = Vec<Document>> {
    let texts = || proptest::collection::vec(text(), 0..3);
    proptest::collection::vec((1u32..4, texts(), texts()), 1..14).prop_map(|all| {
        let mut number = 0;
        let mut one = |(gap, header, body)| {
            number += gap;
            Document { number, header, body }
        };
        all.into_iter().map(&mut one).collect()
    })
}

fn is_word(text: &str) -> bool {
    let mut words = text_index::Words::default();
    let mut found = Vec::new();
    words.push(text, &mut |word| found.push(word.to_owned()));
    words.end(&mut |word| found.push(word.to_owned()));
    found == [text]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn no_false_hit_and_no_miss(
        documents in documents(),
        wanted in proptest::collection::vec("[a-c\u{e9}\u{df}\u{6f22}\u{5b57}@. -]{1,5}", 1..20),
        cut in 0usize..14,
        gone in proptest::collection::vec(1u32..40, 0..6),
    ) {
        let whole = build(&documents);
        let has_long = documents.iter().any(|one| one.header.iter().chain(&one.body).any(|text| text.len() > 200));
        let (one, other) = documents.split_at(cut.min(documents.len()));
        let parts: Vec<Segment> = [one, other].iter().filter(|part| !part.is_empty()).map(|part| build(part)).collect();
        let parts: Vec<&Segment> = parts.iter().collect();
        let merged = merged(&parts, &gone);
        let left: Vec<Document> = documents.iter().filter(|one| !gone.contains(&one.number)).cloned().collect();
        prop_assert_eq!(merged.is_some(), !left.is_empty());
        // What is asked, and what is there.
        let there = documents.iter().flat_map(|one| one.header.iter().chain(&one.body)).take(4).cloned();
        for text in wanted.iter().cloned().chain(there) {
            let is_exact = is_word(&text) && !has_long;
            check(&whole, &documents, &text, is_exact);
            if let Some((merged, _)) = &merged {
                check(merged, &left, &text, is_exact);
            }
        }
    }
}

fn many(count: u32, text: impl Fn(u32) -> String) -> Vec<Document> {
    let one =
        |number| Document { number, header: vec![format!("subject: no {number}")], body: vec![text(number)] };
    (1..=count).map(one).collect()
}

#[test]
fn any_flipped_bit_is_damage_or_makes_no_difference() {
    let documents = many(40, |number| format!("word{} common", number % 7));
    let mut builder = Builder::new();
    for document in &documents {
        builder.begin(document.number, 5);
        builder.text(Side::Body, &document.body[0], false);
    }
    let file = tempfile::tempfile().unwrap();
    builder.finish(file.try_clone().unwrap(), OWNER).unwrap();
    let query = Query::new("word3", Scope::Both).unwrap();
    let right = query.ask(&Segment::open(&file).unwrap()).unwrap();
    use std::os::unix::fs::FileExt;
    let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        file.write_all_at(&bytes, 0).unwrap();
        let answer = Segment::open(&file).ok().map(|segment| query.ask(&segment));
        assert!(matches!(answer, None | Some(Err(_))), "bit {bit}: {}", answer == Some(Ok(right.clone())));
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    for length in 0..bytes.len() {
        file.set_len(0).unwrap();
        file.write_all_at(&bytes[..length], 0).unwrap();
        assert!(Segment::open(&file).is_err(), "cut to {length}");
    }
}

/// An index larger than a fifth of its texts loses words that one document only has, and says of whom.
#[test]
fn an_index_keeps_to_its_budget_and_stays_exact() {
    let noise = |number: u32| -> String {
        let mut state = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            format!("{state:016x} ")
        };
        (0..40).map(|_| next()).collect()
    };
    let text =
        |number: u32| if number % 3 == 0 { noise(number) } else { "one of few words there are ".repeat(30) };
    let documents = many(6000, text);
    let halves: Vec<Segment> = documents.chunks(3000).map(build).collect();
    let (segment, file) = merged(&halves.iter().collect::<Vec<_>>(), &[]).unwrap();
    let texts: usize = documents.iter().map(|one| one.header[0].len() + one.body[0].len()).sum();
    let bytes = file.metadata().unwrap().len() as usize;
    assert!(bytes <= texts / 5 + 1000, "{bytes} of {texts}");
    for wanted in ["few", "0", "ab12", &noise(3)[..16], "subject"] {
        check(&segment, &documents, wanted, false);
    }
    check(&segment, &documents[..], "words there", false);
    let answer = Query::new("few", Scope::Body).unwrap().ask(&segment).unwrap();
    assert_eq!(answer.yes.count(), 4000);
    assert!(answer.maybe.count() <= 2000);
}

#[test]
fn a_pace_ends_a_merge() {
    let documents = many(3000, |number| format!("word{number} other{number}"));
    let segment = build(&documents);
    let file = tempfile::tempfile().unwrap();
    let mut calls = 0;
    let stopped = merge(&[&segment], &|_| true, &file, &mut |_| {
        calls += 1;
        calls < 3
    });
    assert_eq!(stopped.unwrap(), Merged::Stopped);
    assert!(Segment::open(&file).is_err(), "half a segment is none");
}

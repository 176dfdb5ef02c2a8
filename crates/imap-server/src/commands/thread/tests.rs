//! Threads of messages that are given as their ids, references, subjects and dates.

use connection::Output;
use imap_wire::Algorithm;
use proptest::prelude::*;

use super::*;

/// Id, references, subject, date.
type Mail<'a> = (&'a str, &'a [&'a str], &'a str, i64);

/// What THREAD answers, with sequence numbers from 1.
fn threads(algorithm: Algorithm, mails: &[Mail<'_>]) -> String {
    let hasher = Hasher::default();
    let mut references = References::default();
    let mut found = Vec::new();
    for ((id, parents, subject, sent), number) in mails.iter().zip(1..) {
        let subject = subject_of(format!("Subject: {subject}\r\n\r\n").as_bytes(), &hasher);
        found.push(Found { number, sent: *sent, subject });
        let own = (!id.is_empty()).then(|| hasher.hash(id.as_bytes()));
        let parents: Vec<Hash> = parents.iter().map(|id| hasher.hash(id.as_bytes())).collect();
        references.add(own, &parents).unwrap();
    }
    written(forest(algorithm, &found, references), &found)
}

fn written(forest: Forest, found: &[Found]) -> String {
    let mut walk = Walk::new(forest);
    let mut text = Vec::new();
    loop {
        let mut out = Output::default();
        let progress = walk.tell(found, &mut out);
        text.extend_from_slice(&out.take_all().unwrap());
        if progress == Progress::Done {
            return String::from_utf8(text).unwrap().trim().to_owned();
        }
    }
}

fn by_references(mails: &[Mail<'_>]) -> String {
    threads(Algorithm::References, mails)
}

/// The forest of RFC 5256 §4: 3 has a reply 6, which has two, 4 and 44, each with more.
#[test]
fn a_thread_is_written_as_the_standard_shows() {
    let mut mails: Vec<Mail<'_>> = vec![("", &[], "", 0); 96];
    let mut put = |number: usize, id, references, sent| mails[number - 1] = (id, references, "", sent);
    put(2, "two", &[], 2);
    put(3, "three", &[], 3);
    put(6, "six", &["three"], 4);
    put(4, "four", &["three", "six"], 5);
    put(23, "tt", &["three", "six", "four"], 6);
    put(44, "ff", &["three", "six"], 7);
    put(7, "seven", &["ff"], 8);
    put(96, "ns", &["seven"], 9);
    let all = by_references(&mails);
    assert!(all.ends_with("(95)(2)(3 6 (4 23)(44 7 96))"), "{all}");
    assert_eq!(by_references(&[]), "");
}

#[test]
fn links_are_those_of_step_1() {
    for (mails, expected) in [
        // References in order, children by date, and messages that came before their parents.
        (
            &[("a", &[][..], "", 1), ("b", &["a"], "", 2), ("c", &["a", "b"], "", 3), ("d", &["a"], "", 4)][..],
            "(1 (2 3)(4))",
        ),
        (&[("c", &["a", "b"][..], "", 3), ("b", &["a"], "", 2), ("a", &[], "", 1)], "(3 2 1)"),
        (&[("a", &[][..], "", 30), ("b", &["a"], "", 20), ("c", &["a"], "", 10)], "(1 (3)(2))"),
        // A parent that is not there: with one child it is nothing, with two it holds them together.
        (&[("a", &["x"][..], "a", 1)], "(1)"),
        (&[("a", &["x"][..], "a", 1), ("b", &["x"], "b", 2)], "((1)(2))"),
        (&[("a", &["x", "y", "z"][..], "a", 1), ("b", &["x", "w"], "b", 2)], "((1)(2))"),
        (&[("a", &[][..], "a", 1), ("b", &["a", "x", "y"], "b", 2)], "(1 2)"),
        // What a message says itself counts more than what others say of it.
        (
            &[("a", &[][..], "a", 1), ("b", &[], "b", 2), ("d", &["a", "c"], "d", 3), ("c", &["b"], "c", 4)],
            "(1)(2 4 3)",
        ),
        (&[("a", &[][..], "a", 1), ("d", &["a", "c"], "d", 3), ("c", &[], "c", 4)], "(1)(3 2)"),
        // Nobody is his own forebear.
        (&[("a", &["b"][..], "", 1), ("b", &["a"], "", 2)], "(2 1)"),
        (&[("a", &["a"][..], "", 1)], "(1)"),
        (&[("a", &["b", "c", "b"][..], "", 1)], "(1)"),
        // The second message of an id is one without.
        (&[("a", &[][..], "a", 1), ("a", &[], "b", 2), ("c", &["a"], "c", 3)], "(1 3)(2)"),
        (&[("", &[][..], "a", 1), ("", &[], "b", 2)], "(1)(2)"),
    ] {
        assert_eq!(by_references(mails), expected, "{mails:?}");
    }
}

#[test]
fn subjects_bring_threads_together_as_in_step_5() {
    for (mails, expected) in [
        (&[("a", &[][..], "hello", 1), ("b", &[], "Re: HELLO", 2)][..], "(1 2)"),
        (&[("a", &[][..], "Re: hello", 1), ("b", &[], "hello", 2)], "(2 1)"),
        (&[("a", &[][..], "hello", 1), ("b", &[], "hello", 2)], "((1)(2))"),
        (&[("a", &[][..], "Re: hello", 1), ("b", &[], "Fwd: hello", 2)], "((1)(2))"),
        (&[("a", &[][..], "hello", 1), ("b", &[], "hello", 2), ("c", &[], "hello", 3)], "((1)(2)(3))"),
        (&[("a", &[][..], "", 1), ("b", &[], "Re:", 2)], "(1)(2)"), // empty ones do not
        (&[("a", &["x"][..], "Re: m", 1), ("b", &["x"], "Re: m", 2), ("c", &[], "m", 3)], "((1)(2)(3))"),
        (
            &[("a", &["x"][..], "m", 1), ("b", &["x"], "n", 3), ("c", &["y"], "m", 2), ("d", &["y"], "o", 4)],
            "((1)(3)(2)(4))",
        ),
        // Only roots: the thread subject of 3 is that of 2.
        (&[("a", &[][..], "one", 1), ("b", &[], "two", 2), ("c", &["b"], "one", 3)], "(1)(2 3)"),
        // A child of the merged thread keeps its own children.
        (
            &[("a", &[][..], "s", 1), ("b", &[], "Re: s", 2), ("c", &["b"], "t", 3), ("d", &["a"], "u", 4)],
            "(1 (2 3)(4))",
        ),
    ] {
        assert_eq!(by_references(mails), expected, "{mails:?}");
    }
}

#[test]
fn refs_knows_no_subjects_and_puts_the_newest_thread_last() {
    let mails: [Mail<'_>; 4] =
        [("a", &[], "s", 1), ("b", &[], "s", 50), ("c", &["a"], "s", 100), ("d", &[], "Re: s", 70)];
    assert_eq!(threads(Algorithm::Refs, &mails), "(2)(4)(1 3)");
    let mails: [Mail<'_>; 4] =
        [("a", &[], "", 9), ("b", &[], "", 3), ("c", &["b"], "", 9), ("d", &[], "", 9)];
    assert_eq!(threads(Algorithm::Refs, &mails), "(1)(2 3)(4)", "equal ones by their roots");
    assert_eq!(threads(Algorithm::Refs, &[("a", &["x"], "", 2), ("b", &["x"], "", 1)]), "((2)(1))");
}

#[test]
fn ordered_subject_makes_all_later_ones_children_of_the_first() {
    let mails: [Mail<'_>; 6] = [
        ("", &[], "a", 1),
        ("", &[], "b", 2),
        ("", &[], "Re: A", 4),
        ("", &[], "a", 3),
        ("", &[], "[list] b", 5),
        ("", &[], "a", 9),
    ];
    assert_eq!(threads(Algorithm::OrderedSubject, &mails), "(1 (4)(3)(6))(2 5)");
}

/// Deep and long threads need no deep stack and no long time, in whatever order they came.
#[test]
fn a_chain_of_two_hundred_thousand_is_a_chain() {
    const LENGTH: u32 = 200_000;
    let hash = |number: u32| [u64::from(number), 7];
    let found: Vec<Found> = (0..LENGTH)
        .map(|number| Found { number: number + 1, sent: 0, subject: Subject::default() })
        .collect();
    let mut forward = References::default();
    let mut backward = References::default();
    for number in 0..LENGTH {
        let parent: Vec<Hash> = number.checked_sub(1).map(hash).into_iter().collect();
        forward.add(Some(hash(number)), &parent).unwrap();
        let number = LENGTH - 1 - number;
        let parent: Vec<Hash> = number.checked_sub(1).map(hash).into_iter().collect();
        backward.add(Some(hash(number)), &parent).unwrap();
    }
    let written_forward = written(forest(Algorithm::References, &found, forward), &found);
    let chain: Vec<String> = (1..=LENGTH).map(|number| number.to_string()).collect();
    assert_eq!(written_forward, format!("({})", chain.join(" ")));
    let chain: Vec<String> = (1..=LENGTH).rev().map(|number| number.to_string()).collect();
    let written_backward = written(forest(Algorithm::References, &found, backward), &found);
    assert_eq!(written_backward, format!("({})", chain.join(" ")));
}

proptest! {
    #[test]
    fn each_message_is_there_once_and_parentheses_balance(
        mails in proptest::collection::vec(
            ("[a-f]?", proptest::collection::vec("[a-h]", 0..5), "(Re: )?[xyz]?", 0i64..5),
            0..25,
        ),
    ) {
        let references: Vec<Vec<&str>> =
            mails.iter().map(|mail| mail.1.iter().map(String::as_str).collect()).collect();
        let mails: Vec<Mail<'_>> = mails
            .iter()
            .zip(&references)
            .map(|(mail, references)| (mail.0.as_str(), references.as_slice(), mail.2.as_str(), mail.3))
            .collect();
        for algorithm in [Algorithm::OrderedSubject, Algorithm::References, Algorithm::Refs] {
            let text = threads(algorithm, &mails);
            let mut depth = 0;
            for byte in text.bytes() {
                depth += i32::from(byte == b'(') - i32::from(byte == b')');
                prop_assert!(depth > 0 || byte == b')', "{}", text);
            }
            prop_assert_eq!(depth, 0);
            let words = text.split(|c: char| !c.is_ascii_digit()).filter(|word| !word.is_empty());
            let mut numbers: Vec<usize> = words.map(|word| word.parse().unwrap()).collect();
            numbers.sort_unstable();
            prop_assert_eq!(numbers, (1..=mails.len()).collect::<Vec<_>>());
        }
    }
}

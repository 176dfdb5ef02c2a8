//! Hard messages, seen through IMAP: what ENVELOPE, BODY, BODYSTRUCTURE, BODY[...], SEARCH, SORT and THREAD say is what a
//! Dovecot says that the test starts, or the difference is listed in [`argued`] with its reason.
#![allow(clippy::unwrap_used)]

#[path = "exactness/argued.rs"]
mod argued;
#[path = "exactness/generated.rs"]
mod generated;
#[path = "exactness/headers.rs"]
mod headers;
#[path = "exactness/odd_bytes.rs"]
mod odd_bytes;
#[path = "exactness/queries.rs"]
mod queries;
#[path = "exactness/structures.rs"]
mod structures;

use std::collections::BTreeSet;

use black_box::{Dovecot, Imap, Instance, Value};

/// Sections that every message is asked for.
const SECTIONS: [&str; 14] = [
    "",
    "HEADER",
    "TEXT",
    "HEADER.FIELDS (Subject From)",
    "HEADER.FIELDS (DATE x-field-7 nothing)",
    "HEADER.FIELDS.NOT (Subject From To Received)",
    "1",
    "1.MIME",
    "1.HEADER",
    "1.TEXT",
    "2",
    "2.MIME",
    "1.1",
    "9",
];
/// Sections of one message at most.
const SECTIONS_MAX: usize = 60;

/// The messages by hand.
fn corpus() -> Vec<(String, Vec<u8>)> {
    let with_line_ends = |name: &str, text: &str| (name.to_owned(), text.replace('\n', "\r\n").into_bytes());
    let headers = headers::MESSAGES.iter().map(|(name, text)| with_line_ends(name, text));
    // Dovecot looks at no Content-* field but the type where MIME-Version is missing.
    let structures = structures::MESSAGES
        .iter()
        .map(|(name, text)| with_line_ends(name, &format!("MIME-Version: 1.0\n{text}")));
    let mut all: Vec<(String, Vec<u8>)> = headers.chain(structures).collect();
    all.extend(odd_bytes::messages());
    let names: BTreeSet<&String> = all.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), all.len(), "a name stands twice");
    all
}

/// The same mailbox in both.
struct Pair {
    ours: Imap,
    theirs: Imap,
    _instance: Instance,
    _dovecot: Dovecot,
}

impl Pair {
    fn with(messages: &[(String, Vec<u8>)]) -> Pair {
        let mut dovecot = Dovecot::start("sdbox:{mail}/%n", "");
        let instance = Instance::start();
        let (mut ours, mut theirs) = (instance.imap("alice"), dovecot.imap("alice"));
        for (number, (name, message)) in messages.iter().enumerate() {
            let arguments = format!("\"{:02}-Apr-2025 10:{:02}:00 +0000\" ", 10 + number % 19, number % 60);
            for imap in [&mut ours, &mut theirs] {
                let said = imap.append_bytes("INBOX", &arguments, message);
                assert!(said.starts_with("OK"), "{name}: {said}");
            }
        }
        ours.ok("SELECT INBOX");
        theirs.ok("SELECT INBOX");
        Pair { ours, theirs, _instance: instance, _dovecot: dovecot }
    }

    /// One item of one message from both.
    fn fetch(&mut self, number: usize, item: &str) -> (Value, Value) {
        let command = format!("FETCH {number} ({item})");
        (fetched(&mut self.ours, &command), fetched(&mut self.theirs, &command))
    }
}

fn fetched(imap: &mut Imap, command: &str) -> Value {
    let (responses, end) = imap.raw(command);
    assert!(end.starts_with("OK"), "{command}: {end}");
    let response = responses
        .iter()
        .find(|response| String::from_utf8_lossy(response).split(' ').nth(2) == Some("FETCH"))
        .unwrap_or_else(|| panic!("{command}: {responses:?}"));
    let mut items = Value::fetched(response).into_iter();
    items.find(|(name, _)| name != "FLAGS" && name != "UID").unwrap_or_else(|| panic!("{command}: no item")).1
}

/// The sections of all parts in a BODYSTRUCTURE (RFC 3501 §6.4.5).
fn sections(structure: &Value, path: &str, out: &mut Vec<String>) {
    let Value::List(fields) = structure else { panic!("{structure:?}") };
    let below = |number: usize| if path.is_empty() { number.to_string() } else { format!("{path}.{number}") };
    let children: Vec<&Value> = fields.iter().take_while(|field| matches!(field, Value::List(_))).collect();
    if children.is_empty() {
        out.push(below(1));
        inside(structure, &below(1), out);
    }
    for (place, child) in children.into_iter().enumerate() {
        let path = below(place + 1);
        out.extend([path.clone(), format!("{path}.MIME")]);
        if matches!(child, Value::List(fields) if matches!(fields.first(), Some(Value::List(_)))) {
            sections(child, &path, out);
        } else {
            inside(child, &path, out);
        }
    }
}

/// The message inside of a message/rfc822.
fn inside(part: &Value, path: &str, out: &mut Vec<String>) {
    let Value::List(fields) = part else { panic!("{part:?}") };
    if let (Some(Value::List(_)), Some(Value::List(_))) = (fields.get(7), fields.get(8)) {
        out.extend(["HEADER", "TEXT", "HEADER.FIELDS (Subject)"].map(|name| format!("{path}.{name}")));
        sections(&fields[8], path, out);
    }
}

/// Every difference between the two that `is_meant` does not know: message, item, both answers.
fn differences(
    pair: &mut Pair,
    messages: &[(String, Vec<u8>)],
    is_meant: impl Fn(&str, &Value, &Value) -> bool,
) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    let mut compare = |pair: &mut Pair, number: usize, item: &str| -> Value {
        let (ours, theirs) = pair.fetch(number, item);
        // RFC 3501 §4.5: what does not exist is NIL, and not a string of no bytes.
        let nothing = ours == Value::Atom("NIL".into()) && theirs == Value::Text(Vec::new());
        let is_meant = nothing && item.starts_with("BODY.PEEK[") || is_meant(item, &ours, &theirs);
        if ours != theirs && !is_meant {
            let both = format!("\n   ours {}\n theirs {}", shown(&ours), shown(&theirs));
            found.push((messages[number - 1].0.clone(), item.to_owned(), both));
        }
        theirs
    };
    for number in 1..=messages.len() {
        for item in ["ENVELOPE", "BODY", "RFC822.SIZE", "INTERNALDATE"] {
            compare(pair, number, item);
        }
        let structure = compare(pair, number, "BODYSTRUCTURE");
        let mut wanted: Vec<String> = SECTIONS.iter().map(|section| (*section).to_owned()).collect();
        sections(&structure, "", &mut wanted);
        wanted.truncate(SECTIONS_MAX);
        for section in wanted {
            compare(pair, number, &format!("BODY.PEEK[{section}]"));
        }
        for partial in ["<0.20>", "<10.5>", "<100000.5>"] {
            compare(pair, number, &format!("BODY.PEEK[]{partial}"));
        }
    }
    found
}

/// Its beginning.
fn shown(value: &Value) -> String {
    format!("{value:?}").chars().take(1500).collect()
}

#[test]
fn hard_messages_are_seen_as_dovecot_sees_them() {
    let messages = corpus();
    assert!(messages.len() >= 150, "{}", messages.len());
    let mut pair = Pair::with(&messages);
    let found = differences(&mut pair, &messages, |_, _, _| false);
    argued::judge(argued::ITEMS, &found);
}

#[test]
fn searches_sorts_and_threads_of_hard_messages_are_dovecots() {
    let messages = corpus();
    let mut pair = Pair::with(&messages);
    for (every, flag) in queries::FLAGS {
        let numbers: Vec<String> =
            (every..=messages.len()).step_by(every).map(|number| number.to_string()).collect();
        for imap in [&mut pair.ours, &mut pair.theirs] {
            imap.ok(&format!("STORE {} +FLAGS.SILENT ({flag})", numbers.join(",")));
        }
    }
    let mut found = Vec::new();
    for query in queries::SEARCHES {
        let ours = queries::search(&mut pair.ours, query);
        let theirs = queries::search(&mut pair.theirs, query);
        for (some, others, what) in [(&ours, &theirs, "only ours"), (&theirs, &ours, "only theirs")] {
            for number in some.iter().filter(|number| !others.contains(number)) {
                let name = messages[*number as usize - 1].0.clone();
                found.push((name, (*query).to_owned(), what.to_owned()));
            }
        }
    }
    let left_out: Vec<String> = (1..)
        .zip(&messages)
        .filter(|(_, (name, _))| argued::is_unsorted(name))
        .map(|(number, _): (usize, _)| number.to_string())
        .collect();
    for query in queries::ORDERS {
        let query = &format!("{query} NOT {}", left_out.join(","));
        let [ours, theirs] = [&mut pair.ours, &mut pair.theirs].map(|imap| imap.ok(query).pop().unwrap());
        if ours != theirs {
            let both = format!("\n   ours {ours}\n theirs {theirs}");
            found.push(("all".to_owned(), query.clone(), both));
        }
    }
    argued::judge(argued::QUERIES, &found);
}

/// Messages that are put together from pieces, other ones with every `MAILBOAT_SEED`.
#[test]
fn generated_messages_are_seen_as_dovecot_sees_them() {
    let seed = generated::seed();
    let count = if black_box::quick() { 150 } else { 1500 };
    println!("MAILBOAT_SEED={seed}");
    let messages = generated::messages(seed, count);
    let mut pair = Pair::with(&messages);
    let found = differences(&mut pair, &messages, argued::is_of_a_class);
    for (name, item, both) in found.iter().take(10) {
        let number: usize = name.parse().unwrap();
        println!("{name} {item}: {both}\n{}\n", messages[number].1.escape_ascii());
    }
    assert!(found.is_empty(), "seed {seed}: {} differences", found.len());
}

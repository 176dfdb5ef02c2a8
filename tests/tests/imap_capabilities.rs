//! The capabilities of imapd and the handbook's table of them are the same, and each has tests that know of it by name.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use black_box::instance::{IMAP, IMAPS, top};
use black_box::{Imap, Setup, Wire};

/// Name and tests of each capability in "What IMAP clients may use".
fn table() -> BTreeMap<String, Vec<String>> {
    let handbook = fs::read_to_string(top().join("docs/handbook.md")).unwrap();
    let chapter = handbook.split("\n## What IMAP clients may use\n").nth(1).unwrap();
    let chapter = chapter.split("\n## ").next().unwrap();
    let mut table = BTreeMap::new();
    for row in chapter.lines().filter(|line| line.starts_with("| ")).skip(2) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        assert_eq!(cells.len(), 4, "{row}");
        let tests: Vec<String> = cells[3].split(", ").map(|test| test.trim_matches('`').to_owned()).collect();
        for name in cells[0].split(", ") {
            assert!(table.insert(name.to_owned(), tests.clone()).is_none(), "{name} twice");
        }
    }
    table
}

/// The names in a CAPABILITY response. Limits are numbers, and an address one, of the installation; mechanisms are one row.
fn names(response: &str) -> BTreeSet<String> {
    let words = response.strip_prefix("* CAPABILITY ").unwrap().split(' ');
    let is_of_values = |name: &&str| ["APPENDLIMIT", "MESSAGELIMIT", "SAVELIMIT", "AUTH"].contains(name);
    words.map(|word| word.split('=').next().filter(is_of_values).unwrap_or(word).to_owned()).collect()
}

/// What is offered before a log-in in clear and inside TLS, and after it, when this parameter is set.
fn offered_with(parameter: &str, value: &str) -> BTreeSet<String> {
    let url = "https://mail.example.test/.well-known/jmap";
    let instance = Setup::default()
        .set("service.imap.jmapurl", url)
        .set("gen.accounturl", "https://mail.example.test/account?user=%u")
        .set("service.imap.plaintextmincipher", "128")
        .set(parameter, value)
        .start();
    let mut stranger = Imap::open(instance.connect(IMAP));
    let mut user = Imap::over(Wire::tls(instance.connect(IMAPS), &instance.path("config/certs/ca.pem")));
    let mut offered = [&mut stranger, &mut user].map(|one| one.ok("CAPABILITY").remove(0)).to_vec();
    user.ok("LOGIN alice alice-secret");
    offered.extend(user.ok("CAPABILITY"));
    offered.iter().flat_map(|response| names(response)).collect()
}

/// Whether it stands there by itself, not as a part of a longer word.
fn has_word(text: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    text.match_indices(name)
        .any(|(at, _)| !text[..at].ends_with(is_part) && !text[at + name.len()..].starts_with(is_part))
}

/// The handbook's table holds what is offered and nothing else, and names for each a file of tests that has it by its name.
#[test]
fn the_handbook_names_what_is_offered_and_its_tests() {
    // One of the two limits is there at a time (RFC 9738).
    let offered: BTreeSet<String> = ["service.imap.messagelimit", "service.imap.savelimit"]
        .into_iter()
        .flat_map(|limit| offered_with(limit, "1000"))
        .collect();
    let table = table();
    let written: BTreeSet<String> = table.keys().cloned().collect();
    assert_eq!(offered, written, "offered, and in the handbook");
    for (name, tests) in table {
        let of = |test: &String| {
            fs::read_to_string(top().join(test)).unwrap_or_else(|_| panic!("{name}: no {test}"))
        };
        let is_tried =
            |test| Some(of(test)).is_some_and(|text| text.contains("#[test]") && has_word(&text, &name));
        assert!(tests.iter().any(is_tried), "{name}: none of {tests:?} has it");
    }
}

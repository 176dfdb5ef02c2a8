//! The capabilities of imapd and the handbook's table of them are the same, and each names a test that knows of it.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use black_box::Setup;
use black_box::instance::top;

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

/// What is offered after log-in when this parameter is set. Limits are numbers, and an address one, of the installation.
fn offered_with(parameter: &str, value: &str) -> BTreeSet<String> {
    let url = "https://mail.example.test/.well-known/jmap";
    let instance = Setup::default().set("service.imap.jmapurl", url).set(parameter, value).start();
    let offered = instance.imap("alice").ok("CAPABILITY").remove(0);
    let words = offered.strip_prefix("* CAPABILITY ").unwrap().split(' ');
    let is_limit = |name: &&str| ["APPENDLIMIT", "MESSAGELIMIT", "SAVELIMIT"].contains(name);
    words.map(|word| word.split('=').next().filter(is_limit).unwrap_or(word).to_owned()).collect()
}

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
        for test in tests {
            let text = fs::read_to_string(top().join(&test)).unwrap_or_else(|_| panic!("{name}: no {test}"));
            assert!(text.contains("#[test]"), "{name}: {test} has no test");
        }
    }
}

//! A long search lets others have the account in between, and finds what they change meanwhile.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};

use common::Site;
use message_store::Flags;
use serde_json::{Value, json};

/// Large enough for a search through all of them to take several turns.
const MESSAGES: u32 = 700;
const BODY_LINES: usize = 400;

fn message(number: u32, word: &str) -> String {
    let line = "nothing of what is looked for stands in this line of the text\r\n".repeat(BODY_LINES);
    format!("From: {number}@example.org\r\nSubject: s{number}\r\n\r\n{line}{word} {number}\r\n")
}

fn found(site: &Site, sort: &str) -> Vec<String> {
    let sort = json!([{ "property": sort, "isAscending": true }]);
    // Another text each time would be another list; the same would be answered from the one that is kept.
    let answer = site.call("Email/query", json!({ "filter": { "body": "needle" }, "sort": sort }));
    answer["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_comes_goes_and_changes_during_a_search_is_in_its_answer_or_in_the_next() {
    let site = Site::new();
    for number in 0..MESSAGES {
        site.add("INBOX", &message(number, if number % 10 == 0 { "needle" } else { "straw" }));
    }
    assert_eq!(found(&site, "receivedAt").len(), 70);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let state = || site.call("Email/get", json!({ "ids": [] }))["state"].clone();
            let mut before: Value = state();
            for number in 0..60 {
                site.add("INBOX", &message(MESSAGES + number, "needle"));
                if number % 20 == 10 {
                    // A mailbox that comes and goes begins searches anew.
                    let name = format!("Passing{number}");
                    site.add_as(&name, &message(9000 + number, "needle"), Flags::NONE, &[], 1);
                    let path = message_store::MailboxName::parse(&format!("user/joe/{name}")).unwrap();
                    assert_ne!(state(), before);
                    site.store.delete(&path).unwrap();
                }
                let now = state();
                assert_ne!(now, before, "what came is seen while others search");
                before = now;
            }
            over.store(true, Ordering::SeqCst);
        });
        let mut number = 0;
        while !over.load(Ordering::SeqCst) {
            // A list of its own each time: nothing is kept of it.
            number += 1;
            let filter =
                json!({ "operator": "AND", "conditions": [{ "body": "needle" }, { "minSize": number }] });
            let sort = json!([{ "property": (["receivedAt", "subject", "from"][number % 3]) }]);
            let answer = site.call("Email/query", json!({ "filter": filter, "sort": sort }));
            let ids = answer["ids"].as_array().unwrap();
            assert!((70..=131).contains(&ids.len()), "{}", ids.len());
            let distinct: std::collections::HashSet<&str> = ids.iter().filter_map(Value::as_str).collect();
            assert_eq!(distinct.len(), ids.len(), "each once");
        }
    });
    for sort in ["receivedAt", "subject", "from"] {
        assert_eq!(found(&site, sort).len(), 130, "{sort}");
    }
}

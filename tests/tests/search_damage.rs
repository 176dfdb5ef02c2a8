//! A search over a mailbox with a message that cannot be read answers for all the others (RFC 9051 §6.4.4): the file of one was cut,
//! that of another is gone. Neither is a match, whatever is asked of its content; what the index knows of it is told as before.
//! The log has each of them once. A message that was expunged and removed meanwhile is no matter of the log.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use black_box::instance::wait_for;
use black_box::{Imap, Instance, run};
use serde_json::{Value, json};

/// Of six messages: the first is whole, the second cut, the third gone, the fourth expunged and gone, the others whole.
const CUT: u32 = 2;
const GONE: u32 = 3;
const EXPUNGED: u32 = 4;
const MESSAGES: u32 = 6;

fn file(instance: &Instance, uid: u32) -> PathBuf {
    let hash = run(instance.tool("hashdir").arg("alice"));
    let folder = instance.path("store/partition/primary/=user").join(hash.trim()).join("=alice");
    folder.join(format!("00/{uid}.msg"))
}

/// Longer than what is read at once, and than what the cache keeps of a header.
fn message(number: u32) -> String {
    let line = "and a line that everybody has\r\n".repeat(3000);
    format!("Subject: letter {number}\r\n\r\nwords of {number}\r\n{line}the end of it\r\n")
}

fn harmed() -> (Instance, Imap) {
    let instance = Instance::start();
    let mut alice = instance.imap("alice");
    for number in 1..=MESSAGES {
        assert!(alice.append("INBOX", "", &message(number)).starts_with("OK"));
    }
    alice.ok("SELECT INBOX");
    let mut other = instance.imap("alice");
    other.ok("SELECT INBOX");
    other.ok(&format!("UID STORE {EXPUNGED} +FLAGS (\\Deleted)"));
    other.ok("EXPUNGE");
    let cut = file(&instance, CUT);
    let half = fs::metadata(&cut).unwrap().len() / 2;
    fs::OpenOptions::new().write(true).open(&cut).unwrap().set_len(half).unwrap();
    fs::remove_file(file(&instance, GONE)).unwrap();
    fs::remove_file(file(&instance, EXPUNGED)).unwrap(); // stored does that in the end
    (instance, alice)
}

/// That one message is cut and another one gone, and nothing of the one that was expunged.
fn is_told_once(instance: &Instance, service: &str) {
    let told = |uid: u32| {
        let what = format!("message {uid} is left out of searches");
        instance.log(service).lines().filter(|line| line.contains(&what)).count()
    };
    wait_for("the log", || (told(CUT) > 0 && told(GONE) > 0).then_some(()));
    assert_eq!([CUT, GONE, EXPUNGED].map(told), [1, 1, 0]);
}

#[test]
fn imap_searches_answer_for_all_messages_that_can_be_read() {
    let (instance, mut alice) = harmed();
    for _ in 0..2 {
        for (command, expected) in [
            ("UID SEARCH BODY \"the end of it\"", "* SEARCH 1 5 6"),
            ("UID SEARCH TEXT \"the end of it\"", "* SEARCH 1 5 6"),
            // What is before the cut is half of a message, and is not looked at either.
            ("UID SEARCH BODY \"words of\"", "* SEARCH 1 5 6"),
            ("UID SEARCH NOT BODY \"words of 5\"", "* SEARCH 1 6"),
            ("UID SEARCH OR BODY \"words of 5\" UID 2", "* SEARCH 2 5"),
            ("UID SEARCH BODY \"words of 2\" UID 2", "* SEARCH"),
            ("UID SORT (REVERSE SUBJECT) UTF-8 BODY \"the end\"", "* SORT 6 5 1"),
            ("UID THREAD ORDEREDSUBJECT UTF-8 BODY \"the end\"", "* THREAD (1)(5)(6)"),
            ("UID SEARCH SUBJECT \"letter 2\"", "* SEARCH 2"),
            ("UID SEARCH SUBJECT \"letter 3\"", "* SEARCH 3"),
            ("UID SEARCH FUZZY BODY \"everybody\"", "* SEARCH 1 5 6"),
        ] {
            assert_eq!(alice.ok(command)[0], expected, "{command}"); // and that one was expunged
        }
        let returned = alice.ok("UID SEARCH RETURN (COUNT MIN MAX) BODY \"the end\"").remove(0);
        assert!(returned.ends_with("UID MIN 1 MAX 6 COUNT 3"), "{returned}");
    }
    is_told_once(&instance, "imap");
    // Half of it is still given out to nobody.
    assert!(alice.command("UID FETCH 2 (BODY.PEEK[])").1.starts_with("NO [SERVERBUG]"));
}

#[test]
fn jmap_queries_answer_for_all_messages_that_can_be_read() {
    let (mut instance, _alice) = harmed();
    instance.start_one("http");
    let fields = format!("Authorization: Basic {}\r\n", STANDARD.encode("alice:alice-secret"));
    let mut http = instance.http();
    let mut method = |name: &str, mut arguments: Value| -> Value {
        arguments["accountId"] = json!("alice");
        let using = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"];
        let body = json!({ "using": using, "methodCalls": [[name, arguments, "0"]] });
        let response = http.post_json("/jmap/api", &fields, &body.to_string()).json();
        assert_eq!(response["methodResponses"][0][0], json!(name), "{response}");
        response["methodResponses"][0][1].clone()
    };
    let mut subjects = |filter: Value| -> Vec<String> {
        let found = method("Email/query", json!({ "filter": filter }));
        let got = method("Email/get", json!({ "ids": found["ids"], "properties": ["subject"] }));
        let list = got["list"].as_array().unwrap().iter();
        let mut subjects: Vec<String> =
            list.map(|email| email["subject"].as_str().unwrap().replace("letter ", "")).collect();
        subjects.sort();
        subjects
    };
    for _ in 0..2 {
        for (filter, expected) in [
            (json!({ "body": "the end of it" }), &["1", "5", "6"][..]),
            (json!({ "text": "words of" }), &["1", "5", "6"]),
            (json!({ "operator": "NOT", "conditions": [{ "body": "words of 5" }] }), &["1", "6"]),
            (json!({ "subject": "letter 2" }), &["2"]),
        ] {
            assert_eq!(subjects(filter.clone()), expected, "{filter}");
        }
    }
    is_told_once(&instance, "http");
    // What cannot be determined is null (RFC 8621 §5.1), and that of the others is there.
    let found = method("Email/query", json!({ "filter": { "subject": "letter" } }));
    let snippets =
        method("SearchSnippet/get", json!({ "filter": { "text": "words" }, "emailIds": found["ids"] }));
    let previews = snippets["list"].as_array().unwrap().iter();
    let marked = previews.filter(|snippet| snippet["preview"].to_string().contains("<mark>words")).count();
    assert_eq!(marked, 3, "{snippets}");
}

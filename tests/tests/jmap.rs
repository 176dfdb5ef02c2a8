//! JMAP for mail against the whole suite: what comes by SMTP and what IMAP changes is seen, what JMAP changes is seen by IMAP,
//! and a client library of somebody else's reads and sends.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use black_box::instance::{HTTPS, PATIENCE, top};
use black_box::{Http, Instance, Setup, run};
use serde_json::{Value, json};

/// jmapc of PyPI, with what it needs.
const JMAPC: &str = "jmapc==0.4.0";

fn everything() -> Instance {
    let mut instance = Setup::default().start();
    instance.start_one("http");
    instance
}

/// One user's requests.
struct Jmap {
    http: Http,
    user: &'static str,
    fields: String,
}

impl Jmap {
    fn new(instance: &Instance, user: &'static str) -> Jmap {
        let password = STANDARD.encode(format!("{user}:{user}-secret"));
        Jmap { http: instance.http(), user, fields: format!("Authorization: Basic {password}\r\n") }
    }

    fn request(&mut self, calls: Value) -> Value {
        let body = json!({ "using": ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"], "methodCalls": calls });
        let response = self.http.post_json("/jmap/api", &self.fields, &body.to_string());
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()["methodResponses"].clone()
    }

    fn call(&mut self, name: &str, mut arguments: Value) -> Value {
        if arguments.get("accountId").is_none() {
            arguments["accountId"] = json!(self.user);
        }
        let responses = self.request(json!([[name, arguments, "0"]]));
        responses[0][1].clone()
    }

    fn state(&mut self) -> Value {
        self.call("Email/get", json!({ "ids": [] }))["state"].clone()
    }

    fn mailbox(&mut self, name: &str) -> String {
        let ids = self.call("Mailbox/query", json!({ "filter": { "name": name } }))["ids"].clone();
        ids[0].as_str().unwrap_or_else(|| panic!("no mailbox {name}")).to_owned()
    }

    /// The changes since a state, once there are any.
    fn changes(&mut self, since: &Value) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let changes = self.call("Email/changes", json!({ "sinceState": since }));
            if changes["newState"] != *since {
                return changes;
            }
            assert!(Instant::now() < end, "nothing changed");
            std::thread::sleep(Duration::from_millis(50)); // paced: asked again, as a client would
        }
    }
}

fn lists(changes: &Value) -> [usize; 3] {
    ["created", "updated", "destroyed"].map(|name| changes[name].as_array().map_or(9, Vec::len))
}

#[test]
fn mail_by_smtp_and_changes_by_imap_are_seen_and_told() {
    let instance = everything();
    let mut jmap = Jmap::new(&instance, "bob");
    let empty = jmap.state();
    instance.send("bob", "by SMTP");
    let came = jmap.changes(&empty);
    assert_eq!(lists(&came), [1, 0, 0], "{came}");
    let id = came["created"][0].clone();
    let email = jmap.call("Email/get", json!({ "ids": [id] }))["list"][0].clone();
    assert_eq!((&email["subject"], &email["keywords"]), (&json!("by SMTP"), &json!({})));
    let mut imap = instance.imap("bob");
    imap.ok("SELECT INBOX");
    let row = imap.ok("FETCH 1 (EMAILID THREADID)").join("");
    let (id_text, thread) = (id.as_str().unwrap(), email["threadId"].as_str().unwrap());
    assert!(
        row.contains(&format!("EMAILID ({id_text})")) && row.contains(&format!("THREADID ({thread})")),
        "{row}"
    );
    assert_eq!(imap.ok(&format!("SEARCH THREADID {thread}")), ["* SEARCH 1"]);
    imap.ok("STORE 1 +FLAGS (\\Flagged Work)");
    let marked = jmap.changes(&came["newState"]);
    assert_eq!(lists(&marked), [0, 1, 0], "{marked}");
    let keywords =
        jmap.call("Email/get", json!({ "ids": [id], "properties": ["keywords"] }))["list"][0]["keywords"]
            .clone();
    assert_eq!(keywords, json!({ "$flagged": true, "work": true }));
    jmap.call(
        "Email/set",
        json!({ "update": { id_text: { "keywords/$seen": true, "keywords/work": null } } }),
    );
    let flags = imap.ok("FETCH 1 FLAGS").join("");
    assert!(flags.contains("\\Seen") && flags.contains("\\Flagged") && !flags.contains("Work"), "{flags}");
    imap.ok("CREATE Archive");
    let archive = jmap.mailbox("Archive");
    jmap.call("Email/set", json!({ "update": { id_text: { "mailboxIds": { archive.as_str(): true } } } }));
    imap.ok("NOOP");
    assert_eq!(imap.ok("SEARCH ALL"), ["* SEARCH"]);
    imap.ok("SELECT Archive");
    let since = jmap.state();
    imap.ok("STORE 1 +FLAGS.SILENT (\\Deleted)");
    let hidden = jmap.changes(&since);
    assert_eq!(lists(&hidden), [0, 0, 1], "what is marked as deleted is not there: {hidden}");
    imap.ok("STORE 1 -FLAGS.SILENT (\\Deleted)");
    let back = jmap.changes(&hidden["newState"]);
    assert_eq!(lists(&back), [1, 0, 0], "{back}");
    imap.ok("STORE 1 +FLAGS.SILENT (\\Deleted)");
    imap.ok("EXPUNGE");
    assert_eq!(lists(&jmap.changes(&back["newState"])), [0, 0, 1]);
}

/// A state is good after a restart, and at another process.
#[test]
fn states_outlive_the_process() {
    let mut instance = Setup::default().set("service.http.numprocesses", "2").start();
    instance.start_one("http");
    let mut imap = instance.imap("alice");
    for number in 0..5 {
        assert!(imap.append("INBOX", "", &format!("Subject: {number}\r\n\r\n")).starts_with("OK"));
    }
    let since = Jmap::new(&instance, "alice").state();
    imap.ok("SELECT INBOX");
    imap.ok("STORE 1 +FLAGS (\\Seen)");
    imap.ok("STORE 2 +FLAGS (\\Deleted)");
    imap.ok("EXPUNGE");
    instance.kill("http");
    instance.start_one("http");
    for _ in 0..6 {
        let changes = Jmap::new(&instance, "alice").call("Email/changes", json!({ "sinceState": since }));
        assert_eq!(lists(&changes), [0, 1, 1], "{changes}");
    }
}

/// Each method answers with what it is for, or says by the standard's error why not.
#[test]
fn every_method_answers_over_http() {
    let instance = everything();
    let mut imap = instance.imap("alice");
    assert!(imap.append("INBOX", "", "Subject: one\r\nMessage-ID: <1@x>\r\n\r\nbody\r\n").starts_with("OK"));
    let mut jmap = Jmap::new(&instance, "alice");
    let id = jmap.call("Email/query", json!({}))["ids"][0].clone();
    let state = jmap.state();
    let boxes = jmap.call("Mailbox/get", json!({ "ids": null }))["state"].clone();
    let queried = jmap.call("Email/query", json!({ "calculateTotal": true }));
    assert_eq!(queried["total"], 1);
    let blob = id.as_str().unwrap().replacen('M', "G", 1);
    for (name, arguments, expected) in [
        ("Mailbox/changes", json!({ "sinceState": boxes }), "newState"),
        ("Mailbox/query", json!({}), "ids"),
        ("Mailbox/queryChanges", json!({ "sinceQueryState": "x" }), "cannotCalculateChanges"),
        ("Mailbox/set", json!({ "create": { "n": { "name": "New" } } }), "created"),
        ("Thread/get", json!({ "ids": [] }), "list"),
        ("Thread/changes", json!({ "sinceState": state }), "newState"),
        ("Email/changes", json!({ "sinceState": state }), "newState"),
        ("Email/queryChanges", json!({ "sinceQueryState": queried["queryState"] }), "newQueryState"),
        ("Email/set", json!({ "update": { id.as_str().unwrap(): { "keywords/x": true } } }), "updated"),
        ("Email/copy", json!({ "fromAccountId": "bob", "create": {} }), "fromAccountNotFound"),
        ("Email/import", json!({ "emails": {} }), "newState"),
        ("Email/parse", json!({ "blobIds": [blob] }), "parsed"),
        ("SearchSnippet/get", json!({ "filter": { "text": "body" }, "emailIds": [id] }), "list"),
        ("Blob/copy", json!({ "fromAccountId": "bob", "blobIds": [] }), "fromAccountNotFound"),
        ("Email/get", json!({ "ids": "x" }), "invalidArguments"),
        ("Email/get", json!({ "accountId": "bob", "ids": [] }), "accountNotFound"),
        ("Email/set", json!({ "ifInState": "x" }), "stateMismatch"),
        ("Email/query", json!({ "filter": { "x": 1 } }), "unsupportedFilter"),
        ("Email/query", json!({ "sort": [{ "property": "x" }] }), "unsupportedSort"),
        ("Email/query", json!({ "anchor": "x" }), "anchorNotFound"),
        ("Email/nothing", json!({}), "unknownMethod"),
    ] {
        let answer = jmap.call(name, arguments);
        assert!(answer["type"] == expected || answer.get(expected).is_some(), "{name} {expected}: {answer}");
    }
    let other = Jmap::new(&instance, "bob").call("Email/get", json!({ "ids": [id] }));
    assert_eq!(other["notFound"], json!([id]));
}

/// Where jmapc is, fetched once.
fn jmapc() -> PathBuf {
    let folder = top().join("target").join(JMAPC.replace("==", "-"));
    if !folder.join("jmapc").exists() {
        let new = tempfile::tempdir_in(top().join("target")).unwrap();
        run(Command::new("python3")
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-warn-conflicts",
                "--root-user-action=ignore",
                "--target",
            ])
            .arg(new.path())
            .arg(JMAPC));
        if std::fs::rename(new.path(), &folder).is_err() {
            assert!(folder.join("jmapc").exists(), "another test fetched it meanwhile");
        }
    }
    folder
}

#[test]
fn somebody_elses_library_reads_and_sends_mail() {
    let folder = jmapc();
    let instance = everything();
    let said = run(Command::new("python3")
        .env("PYTHONPATH", folder)
        .arg(top().join("tests/tests/jmap.py"))
        .arg(instance.address.to_string())
        .arg(HTTPS.to_string())
        .arg(instance.path("config/certs/ca.pem")));
    assert!(said.ends_with("all well\n"), "{said}");
}

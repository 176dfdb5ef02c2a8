//! What the API is given is data: it is no command of IMAP (W12), and another's password is not changed with it (W14).

use serde_json::{Value, json};

use black_box::http::Http;
use black_box::{Instance, Setup};

/// What has made a command of a name where somebody wrote one into the other.
const NAMES: [&str; 8] =
    ["x\" (MESSAGES)", "a\\\" b", "{5}", "{3+}", "(\\Deleted)", "* OK", "INBOX NIL", "%*"];
/// What cannot be a name at all.
const NO_NAMES: [&str; 4] =
    ["x\r\nt DELETE Kept\r\n", "x\nt2 DELETE Kept", "{4}\r\nKept\r\nt DELETE Kept", "x\u{0}y"];

fn with_imap() -> Instance {
    let mut instance = Setup::default().create();
    for service in ["store", "imap", "http"] {
        instance.start_one(service);
    }
    instance
}

fn call(http: &mut Http, session: &str, method: &str, arguments: Value) -> Value {
    let body = json!({
        "using": ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail", "urn:x-mailboat:jmap:account"],
        "methodCalls": [[method, arguments, "0"]],
    });
    let response = http.post_json("/jmap/api", session, &body.to_string());
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()["methodResponses"][0].clone()
}

/// W12: a name is stored as it is or refused, and what it holds is done to nothing.
#[test]
fn names_and_searches_of_the_api_are_no_commands_of_imap() {
    let instance = with_imap();
    let mut imap = instance.imap("alice");
    imap.ok("CREATE Kept");
    imap.append("Kept", "", "Subject: kept\r\n\r\nx\r\n");
    let mut http = instance.http();
    let alice = http.sign_in("alice", "alice-secret");
    for name in NAMES {
        let arguments = json!({ "accountId": "alice", "create": { "n": { "name": name } } });
        let said = call(&mut http, &alice, "Mailbox/set", arguments);
        if said[1]["created"]["n"]["id"].is_string() {
            let listed = call(&mut http, &alice, "Mailbox/get", json!({ "accountId": "alice", "ids": null }));
            let names: Vec<&Value> =
                listed[1]["list"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
            assert!(names.contains(&&json!(name)), "{name:?} is not in {names:?}");
        } else {
            assert_eq!(said[1]["notCreated"]["n"]["type"], "invalidProperties", "{name:?}: {said}");
        }
    }
    for name in NO_NAMES {
        let arguments = json!({ "accountId": "alice", "create": { "n": { "name": name } } });
        let said = call(&mut http, &alice, "Mailbox/set", arguments);
        assert_eq!(said[1]["notCreated"]["n"]["type"], "invalidProperties", "{name:?}: {said}");
    }
    let found = call(
        &mut http,
        &alice,
        "Email/query",
        json!({ "accountId": "alice", "filter": { "subject": "kept" } }),
    );
    assert_eq!(found[1]["ids"].as_array().unwrap().len(), 1, "{found}");
    let email = found[1]["ids"][0].as_str().unwrap().to_owned();
    for text in NAMES.iter().chain(&NO_NAMES) {
        for field in ["subject", "text", "from", "body"] {
            let filter = json!({ "accountId": "alice", "filter": { field: format!("zzz {text}") } });
            let said = call(&mut http, &alice, "Email/query", filter);
            let none = said[1]["ids"].as_array().is_none_or(Vec::is_empty);
            assert!(none, "{field} {text:?}: {said}");
        }
        let keyword = format!("keywords/{}", text.replace('~', "~0").replace('/', "~1"));
        let update = json!({ "accountId": "alice", "update": { email.as_str(): { keyword: true } } });
        let said = call(&mut http, &alice, "Email/set", update);
        assert_eq!(said[1]["notUpdated"][&email]["type"], "invalidProperties", "{text:?}: {said}");
    }
    assert_eq!(imap.exists("Kept"), 1);
    imap.ok("SELECT Kept");
    let flags = imap.ok("FETCH 1 (FLAGS)").join(" ");
    assert!(!flags.contains("Deleted") && !flags.contains("zzz"), "{flags}");
}

/// W14: the old password, the own account; nothing else changes one.
#[test]
fn a_password_is_changed_by_its_owner_who_knows_it() {
    let instance = with_imap();
    let mut http = instance.http();
    let alice = http.sign_in("alice", "alice-secret");
    let mut change = |fields: &str, account: &str, old: Value| {
        let arguments =
            json!({ "accountId": account, "oldPassword": old, "newPassword": "another-secret-1" });
        call(&mut http, fields, "Credential/set", arguments)
    };
    for (account, old) in [
        ("bob", json!("bob-secret")),
        ("bob", json!("alice-secret")),
        ("BOB", json!("bob-secret")),
        ("../bob", json!("bob-secret")),
        ("alice", json!("bob-secret")),
        ("alice", json!("")),
        ("alice", Value::Null),
        ("alice", json!(true)),
        ("alice", json!(["alice-secret"])),
    ] {
        let said = change(&alice, account, old.clone());
        assert_eq!(said[0], "error", "{account} with {old}: {said}");
    }
    instance.imap("alice"); // logs in by the password of the beginning
    instance.imap("bob");
    let said = change(&alice, "alice", json!("alice-secret"));
    assert_eq!(said[0], "Credential/set", "who knows it changes it: {said}");
    assert_eq!(instance.http().try_sign_in("alice", "alice-secret", "").status, 401);
    instance.http().sign_in("alice", "another-secret-1");
}

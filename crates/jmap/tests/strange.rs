//! Requests that make no sense: each is answered, and nothing breaks.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Site, message};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};

const METHODS: [&str; 18] = [
    "Core/echo",
    "Blob/copy",
    "Mailbox/get",
    "Mailbox/changes",
    "Mailbox/query",
    "Mailbox/queryChanges",
    "Mailbox/set",
    "Thread/get",
    "Thread/changes",
    "Email/get",
    "Email/changes",
    "Email/query",
    "Email/queryChanges",
    "Email/set",
    "Email/copy",
    "Email/import",
    "Email/parse",
    "SearchSnippet/get",
];

/// Names that mean something somewhere.
const NAMES: [&str; 64] = [
    "ids",
    "#ids",
    "properties",
    "bodyProperties",
    "filter",
    "sort",
    "operator",
    "conditions",
    "property",
    "isAscending",
    "keyword",
    "collation",
    "position",
    "anchor",
    "anchorOffset",
    "limit",
    "calculateTotal",
    "collapseThreads",
    "sinceState",
    "sinceQueryState",
    "maxChanges",
    "upToId",
    "create",
    "update",
    "destroy",
    "ifInState",
    "emails",
    "blobIds",
    "blobId",
    "mailboxIds",
    "keywords",
    "receivedAt",
    "keywords/$seen",
    "mailboxIds/x",
    "subject",
    "from",
    "to",
    "header:X-A",
    "header:From:asAddresses:all",
    "textBody",
    "htmlBody",
    "attachments",
    "bodyStructure",
    "bodyValues",
    "partId",
    "type",
    "subParts",
    "value",
    "name",
    "email",
    "parentId",
    "role",
    "sortOrder",
    "isSubscribed",
    "onDestroyRemoveEmails",
    "fetchAllBodyValues",
    "maxBodyValueBytes",
    "inMailbox",
    "text",
    "hasKeyword",
    "header",
    "before",
    "emailIds",
    "sortAsTree",
];

/// Texts that mean something somewhere; `@` and what follows is put in by the test.
const TEXTS: [&str; 24] = [
    "@email",
    "@mailbox",
    "@thread",
    "@blob",
    "@state",
    "@boxstate",
    "AND",
    "NOT",
    "receivedAt",
    "subject",
    "$seen",
    "text/plain",
    "multipart/mixed",
    "a\r\nX: y",
    "2020-01-01T00:00:00Z",
    "",
    "x",
    "hello",
    "\u{0}",
    "inbox",
    "header:Subject:asText",
    "bodyStructure",
    "preview",
    "#x",
];

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        prop_oneof![Just(0i64), Just(1), Just(-1), Just(i64::MAX), Just(i64::MIN), any::<i64>()]
            .prop_map(|n| json!(n)),
        proptest::sample::select(&TEXTS[..]).prop_map(|text| json!(text)),
        "\\PC{0,8}".prop_map(|text| json!(text)),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let name = prop_oneof![4 => proptest::sample::select(&NAMES[..]).prop_map(str::to_owned), 1 => proptest::sample::select(&TEXTS[..]).prop_map(str::to_owned)];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            proptest::collection::vec((name, inner), 0..5).prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Puts what there is in place of what stands for it.
fn real(value: Value, known: &Value) -> Value {
    let text = |text: String| match text
        .strip_prefix('@')
        .and_then(|name| known.get(name))
        .and_then(Value::as_str)
    {
        Some(real) => real.to_owned(),
        None => text,
    };
    match value {
        Value::String(one) => Value::String(text(one)),
        Value::Array(items) => items.into_iter().map(|item| real(item, known)).collect(),
        Value::Object(map) => {
            Value::Object(map.into_iter().map(|(name, value)| (text(name), real(value, known))).collect())
        }
        other => other,
    }
}

#[test]
fn nothing_that_is_asked_breaks_anything() {
    let site = Site::new();
    for number in 0..3 {
        site.add("INBOX", &message(number, "hello"));
    }
    let arguments = proptest::collection::vec((proptest::sample::select(&NAMES[..]), value()), 0..6);
    let calls = proptest::collection::vec((proptest::sample::select(&METHODS[..]), arguments), 1..6);
    let mut runner = TestRunner::new(Config { cases: 400, failure_persistence: None, ..Config::default() });
    let done = runner.run(&calls, |calls| {
        let first = site.call("Email/get", json!({ "ids": null, "properties": ["threadId", "blobId"] }));
        let known = json!({
            "email": first["list"][0]["id"], "thread": first["list"][0]["threadId"], "blob": first["list"][0]["blobId"],
            "mailbox": site.mailbox_id("INBOX"), "state": first["state"],
            "boxstate": site.call("Mailbox/get", json!({ "ids": [] }))["state"],
        });
        let count = calls.len();
        let calls: Vec<Value> = calls
            .into_iter()
            .map(|(method, arguments)| {
                let mut map: Map<String, Value> = arguments.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
                map.insert("accountId".into(), json!("joe"));
                json!([method, real(Value::Object(map), &known), "c"])
            })
            .collect();
        let response = site.request(Value::Array(calls));
        let responses = response["methodResponses"].as_array().unwrap();
        prop_assert_eq!(responses.len(), count);
        for one in responses.iter().filter(|one| one[0] == "error") {
            prop_assert!(one[1]["type"] != "serverFail", "{}", one);
        }
        if site.mailbox("INBOX").status().unwrap().exists < 3 {
            site.add("INBOX", &message(7, "again"));
        }
        Ok(())
    });
    done.unwrap();
}

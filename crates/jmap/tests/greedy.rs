//! Requests that are small and ask for much: what they cost is bounded.
#![allow(clippy::unwrap_used)]

mod common;

use common::Site;
use serde_json::{Value, json};

/// Each call refers to the whole of the one before, twenty times.
#[test]
fn results_of_results_do_not_grow_without_bounds() {
    let site = Site::new();
    let whole = |of: usize| json!({ "resultOf": of.to_string(), "name": "Core/echo", "path": "" });
    let mut calls = vec![json!(["Core/echo", { "text": "x".repeat(1000) }, "0"])];
    for call in 1..64 {
        let references = (0..20).map(|n| (format!("#{n}"), whole(call - 1)));
        calls.push(json!(["Core/echo", Value::Object(references.collect()), call.to_string()]));
    }
    let response = site.request(json!(calls));
    let size = response.to_string().len();
    assert!(size < 64 << 20, "{size}");
    let responses = response["methodResponses"].as_array().unwrap();
    assert_eq!(responses.len(), 64);
    assert_eq!(responses[1][1]["19"], responses[0][1], "what is small is answered");
    let kinds: Vec<&str> = responses.iter().filter_map(|one| one[1]["type"].as_str()).collect();
    assert_eq!(kinds[0], "requestTooLarge");
}

/// The same through a path of many values, none of which is large.
#[test]
fn a_star_does_not_make_much_of_little() {
    let site = Site::new();
    let star = |path: &str| json!({ "resultOf": "0", "name": "Core/echo", "path": path });
    let mut calls = vec![json!(["Core/echo", { "a": vec![json!({ "b": [[], []] }); 10_000] }, "0"])];
    for call in 1..64 {
        let path = if call % 2 == 0 { "/a/*/b" } else { "/a" };
        let references = (0..100).map(|n| (format!("#{n}"), star(path)));
        calls.push(json!(["Core/echo", Value::Object(references.collect()), call.to_string()]));
    }
    let response = site.request(json!(calls));
    for refused in &response["methodResponses"].as_array().unwrap()[1..] {
        assert_eq!(refused[1]["type"], "requestTooLarge");
    }
}

#[test]
fn a_request_of_many_small_values_is_refused() {
    let site = Site::new();
    let many = vec!["{\"a\":0}"; 200_000].join(",");
    let body = format!(
        "{{\"using\":[\"urn:ietf:params:jmap:core\"],\"methodCalls\":[[\"Core/echo\",{{\"a\":[{many}]}},\"0\"]]}}"
    );
    let problem = site.jmap.request(&Site::who("joe"), body.as_bytes()).unwrap_err();
    assert_eq!((problem.status, problem.limit), (400, Some("maxSizeRequest")));
}

/// Parts of one large message, each of them named by every call: it is read once, and there is an end to it.
#[test]
fn reading_parts_of_large_messages_has_an_end() {
    let site = Site::new();
    let inner = "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nx\r\n".repeat(100);
    let large = format!(
        "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: large\r\n\r\n{}\r\n",
        "x".repeat(10 << 20)
    );
    let outer = format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{inner}{large}--b--\r\n");
    let blob = site.upload(outer.as_bytes());
    let parse = |ids: Vec<String>| json!(["Email/parse", { "accountId": "joe", "blobIds": ids, "properties": ["subject"] }, "p"]);
    let small: Vec<String> = (0..100).map(|n| format!("{blob}_{}", 1 + 2 * n)).collect();
    let response = site.request(json!(vec![parse(small); 20]));
    for one in response["methodResponses"].as_array().unwrap() {
        assert_eq!(one[1]["parsed"].as_object().map(serde_json::Map::len), Some(100), "it was read for each");
    }
    let response = site.request(json!(vec![parse(vec![format!("{blob}_201")]); 64]));
    let all = response["methodResponses"].as_array().unwrap();
    assert_eq!(all[0][1]["parsed"][format!("{blob}_201")]["subject"], "large");
    assert_eq!(all[63][1]["type"], "requestTooLarge");
}

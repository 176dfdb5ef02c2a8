//! What a client reads: requests, mailboxes, emails, queries, blobs.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Site, message, strings};
use message_store::{FlagChange, Flags, How, UidSet};
use serde_json::{Value, json};

#[test]
fn calls_run_in_order_and_refer_to_one_another() {
    let site = Site::new();
    for number in 0..3 {
        site.add_as("INBOX", &message(number, "hello"), Flags::NONE, &[], i64::from(number) * 1_000_000_000);
    }
    let response = site.request(json!([
        ["Core/echo", { "hello": true, "high": 5 }, "b3ff"],
        ["Email/query", { "accountId": "joe", "calculateTotal": true, "limit": 2 }, "0"],
        ["Email/get", { "accountId": "joe", "properties": ["subject", "receivedAt"],
            "#ids": { "resultOf": "0", "name": "Email/query", "path": "/ids" } }, "1"],
        ["Email/get", { "accountId": "joe", "#ids": { "resultOf": "9", "name": "x", "path": "/" } }, "2"],
        ["Foo/get", { "accountId": "joe" }, "3"],
    ]));
    let responses = &response["methodResponses"];
    assert_eq!(responses[0], json!(["Core/echo", { "hello": true, "high": 5 }, "b3ff"]));
    assert_eq!(responses[1][1]["total"], 3);
    assert_eq!(responses[2][1]["list"][0]["receivedAt"], "1970-01-01T00:00:02Z");
    assert_eq!(responses[2][1]["list"][1]["subject"], "hello");
    assert_eq!(responses[3], json!(["error", responses[3][1], "2"]));
    assert_eq!(responses[3][1]["type"], "invalidResultReference");
    assert_eq!(responses[4][1]["type"], "unknownMethod");
    assert_eq!(response["sessionState"], site.jmap.session(&Site::who("joe"))["state"]);
}

#[test]
fn requests_that_are_none_are_problems() {
    let site = Site::new();
    let problem = |body: &[u8]| site.jmap.request(&Site::who("joe"), body).unwrap_err();
    assert_eq!(problem(b"{").kind, "urn:ietf:params:jmap:error:notJSON");
    assert_eq!(problem(b"{\"using\":[],\"using\":[]}").kind, "urn:ietf:params:jmap:error:notJSON");
    assert_eq!(problem(b"{}").kind, "urn:ietf:params:jmap:error:notRequest");
    let large = vec![b' '; jmap::limits::MAX_SIZE_REQUEST + 1];
    assert_eq!(problem(&large).to_json()["limit"], "maxSizeRequest");
}

#[test]
fn nobody_has_somebody_elses_account() {
    let site = Site::new();
    site.add("INBOX", &message(1, "secret"));
    let blob = strings(&site.call("Email/query", json!({}))["ids"])[0].replace('M', "G");
    assert!(site.download(&blob).is_some());
    assert_eq!(site.error("Email/get", json!({ "accountId": "amy", "ids": [] })), "accountNotFound");
    let id = site.ids(json!({}))[0].clone();
    let response = site.request_by("amy", json!([["Email/get", { "accountId": "amy", "ids": [id] }, "0"]]));
    assert_eq!(response["methodResponses"][0][1]["notFound"], json!([id]));
    assert_eq!(site.jmap.download(&Site::who("amy"), "amy", &blob).err().unwrap().status, 404);
    assert_eq!(site.jmap.download(&Site::who("amy"), "joe", &blob).err().unwrap().status, 404);
    assert_eq!(site.jmap.upload(&Site::who("amy"), "joe", "text/plain").err().unwrap().status, 404);
}

#[test]
fn mailboxes_are_a_tree_with_counts() {
    let site = Site::new();
    site.add("INBOX", &message(1, "a"));
    site.add_as("INBOX", &message(2, "b"), Flags::SEEN, &[], 0);
    site.add_as("INBOX", &message(3, "c"), Flags::DELETED, &[], 0);
    site.mailbox("Work/2002");
    let list = site.call("Mailbox/get", json!({ "ids": null }))["list"].as_array().unwrap().clone();
    let named = |name: &str| list.iter().find(|mailbox| mailbox["name"] == name).unwrap();
    let inbox = named("Inbox");
    assert_eq!((&inbox["role"], &inbox["parentId"]), (&json!("inbox"), &Value::Null));
    assert_eq!(
        (&inbox["totalEmails"], &inbox["unreadEmails"]),
        (&json!(2), &json!(1)),
        "\\Deleted is not there"
    );
    assert_eq!((&inbox["totalThreads"], &inbox["unreadThreads"]), (&json!(2), &json!(1)));
    assert_eq!(inbox["myRights"]["mayRename"], false);
    let (work, year) = (named("Work"), named("2002"));
    assert_eq!(year["parentId"], work["id"]);
    assert_eq!(work["myRights"]["mayAddItems"], false, "it only stands above another");
    assert_eq!(year["myRights"]["mayAddItems"], true);
}

#[test]
fn an_email_in_two_mailboxes_is_one() {
    let site = Site::new();
    site.add_as("INBOX", &message(1, "one"), Flags::SEEN, &["work"], 0);
    site.mailbox("INBOX").copy_to(&UidSet::all(), &site.mailbox("Other")).unwrap();
    let email = || {
        site.call("Email/get", json!({ "ids": null, "properties": ["mailboxIds", "keywords"] }))["list"]
            .clone()
    };
    let both = json!({ site.mailbox_id("INBOX"): true, site.mailbox_id("Other"): true });
    assert_eq!(email()[0]["mailboxIds"], both);
    assert_eq!(email()[0]["keywords"], json!({ "$seen": true, "work": true }));
    let change = FlagChange { how: How::Replace, flags: Flags::FLAGGED, keywords: &[] };
    site.mailbox("Other").change_flags(&UidSet::all(), change, None).unwrap();
    assert_eq!(
        email()[0]["keywords"],
        json!({ "$flagged": true, "work": true }),
        "it is unread where it is unread"
    );
    site.mailbox("INBOX").remove(&UidSet::all()).unwrap();
    assert_eq!(email()[0]["mailboxIds"], json!({ site.mailbox_id("Other"): true }));
    assert_eq!(email().as_array().unwrap().len(), 1);
}

#[test]
fn lists_are_mended_by_what_changes() {
    let site = Site::new();
    for number in 0..50 {
        site.add_as(
            "INBOX",
            &message(number, &format!("s{}", number % 7)),
            Flags::NONE,
            &[],
            i64::from(number) * 1_000_000_000,
        );
    }
    let queries = [
        json!({}),
        json!({ "filter": { "inMailbox": site.mailbox_id("INBOX"), "hasKeyword": "$flagged" } }),
        json!({ "filter": { "notKeyword": "$flagged" }, "sort": [{ "property": "subject" }, { "property": "receivedAt", "isAscending": false }] }),
        json!({ "sort": [{ "property": "hasKeyword", "keyword": "$flagged", "isAscending": false }, { "property": "receivedAt" }] }),
        json!({ "filter": { "subject": "s3" } }),
        json!({ "collapseThreads": true, "sort": [{ "property": "size" }] }),
    ];
    let ask = || queries.iter().map(|query| site.ids(query.clone())).collect::<Vec<_>>();
    ask();
    let inbox = site.mailbox("INBOX");
    for step in 0..6u32 {
        let change = FlagChange { how: How::Add, flags: Flags::FLAGGED, keywords: &[] };
        inbox.change_flags(&UidSet::from_ranges([step * 5 + 1..=step * 5 + 2]), change, None).unwrap();
        inbox.remove(&UidSet::single(step * 6 + 3)).unwrap();
        site.add_as(
            "INBOX",
            &message(100 + step, "s3"),
            Flags::NONE,
            &[],
            i64::from(step * 9) * 1_000_000_000 + 1,
        );
        let mended = ask();
        let fresh = Site::another(&site.folder, &site.store);
        for (query, list) in queries.iter().zip(&mended) {
            let mut arguments = query.clone();
            arguments["accountId"] = json!("joe");
            let body = json!({ "using": ["urn:ietf:params:jmap:mail"], "methodCalls": [["Email/query", arguments, "0"]] });
            let response = fresh.request(&Site::who("joe"), body.to_string().as_bytes()).unwrap();
            let response: Value = serde_json::from_slice(&response).unwrap();
            assert_eq!(
                &strings(&response["methodResponses"][0][1]["ids"]),
                list,
                "{query} after step {step}"
            );
        }
    }
}

#[test]
fn texts_are_found_with_and_without_the_index() {
    let site = Site::new();
    for number in 0..40 {
        let subject = if number % 10 == 3 { "Quarterly Report" } else { "lunch" };
        site.add_as("INBOX", &message(number, subject), Flags::NONE, &[], i64::from(number) * 1_000_000_000);
    }
    let found = |filter: Value| site.ids(json!({ "filter": filter })).len();
    let check = || {
        assert_eq!(found(json!({ "subject": "REPORT quarter" })), 4);
        assert_eq!(found(json!({ "subject": "\"quarterly report\"" })), 4);
        assert_eq!(found(json!({ "subject": "\"report quarterly\"" })), 0);
        assert_eq!(found(json!({ "body": "\"text 13\"" })), 1);
        assert_eq!(found(json!({ "from": "amy" })), 40);
        assert_eq!(found(json!({ "to": "amy" })), 0);
        assert_eq!(found(json!({ "text": "lunch", "body": "\"text 1\"" })), 10);
        assert_eq!(found(json!({ "header": ["X-None"] })), 0);
        assert_eq!(found(json!({ "header": ["message-id", "<7@"] })), 1);
        let not =
            json!({ "operator": "NOT", "conditions": [{ "subject": "report" }, { "body": "\"text 2\"" }] });
        assert_eq!(found(not), 26);
        assert_eq!(found(json!({ "hasAttachment": false })), 40);
    };
    check();
    site.mailbox("INBOX").index_texts(1, &mut |_| true).unwrap();
    let site = Site::in_folder(site.folder);
    let found = |filter: Value| site.ids(json!({ "filter": filter })).len();
    assert_eq!(found(json!({ "subject": "report quarter" })), 4);
    assert_eq!(found(json!({ "body": "\"text 13\"" })), 1);
    assert_eq!(found(json!({ "text": "lunch", "body": "\"text 1\"" })), 10);
}

#[test]
fn messages_are_told_in_all_their_properties() {
    let site = Site::new();
    let text = "From: \"Joe\" <joe@example.com>\r\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <m@x>\r\n\
        References: <r@x> <s@x>\r\nDate: Fri, 31 Oct 2014 14:12:00 +0800\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
        --b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Hello <b>you</b></p>\r\n\
        --b\r\nContent-Type: application/pdf; name=\"a.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\nYWJj\r\n--b--\r\n";
    site.add("INBOX", text);
    let email =
        site.call("Email/get", json!({ "ids": null, "fetchHTMLBodyValues": true }))["list"][0].clone();
    assert_eq!(email["subject"], "Grüße");
    assert_eq!(email["from"], json!([{ "name": "Joe", "email": "joe@example.com" }]));
    assert_eq!(email["messageId"], json!(["m@x"]));
    assert_eq!(email["references"], json!(["r@x", "s@x"]));
    assert_eq!(email["sentAt"], "2014-10-31T14:12:00+08:00");
    assert_eq!(email["size"], text.len());
    assert_eq!(email["hasAttachment"], true);
    assert_eq!(email["preview"], "Hello you");
    let part = email["htmlBody"][0]["partId"].as_str().unwrap();
    assert_eq!(email["bodyValues"][part]["value"], "<p>Hello <b>you</b></p>");
    let attachment = &email["attachments"][0];
    assert_eq!((&attachment["name"], &attachment["size"]), (&json!("a.pdf"), &json!(3)));
    assert_eq!(site.download(attachment["blobId"].as_str().unwrap()).unwrap(), b"abc");
    assert_eq!(site.download(email["blobId"].as_str().unwrap()).unwrap(), text.as_bytes());
    let structure = site.call(
        "Email/get",
        json!({ "ids": null, "properties": ["bodyStructure", "header:Subject"],
        "bodyProperties": ["type", "partId", "header:content-type"] }),
    )["list"][0]
        .clone();
    assert_eq!(structure["header:Subject"], " =?utf-8?Q?Gr=C3=BC=C3=9Fe?=");
    assert_eq!(structure["bodyStructure"]["partId"], Value::Null);
    assert_eq!(structure["bodyStructure"]["subParts"][0]["header:content-type"], " text/html; charset=utf-8");
    for wrong in [
        json!({ "properties": ["nonsense"] }),
        json!({ "properties": ["header:From:asDate"] }),
        json!({ "bodyProperties": ["x"] }),
        json!({ "ids": 1 }),
        json!({ "maxBodyValueBytes": -1 }),
    ] {
        assert_eq!(site.error("Email/get", wrong.clone()), "invalidArguments", "{wrong}");
    }
    let many: Vec<String> =
        (0..=jmap::limits::MAX_OBJECTS_IN_GET).map(|number| format!("M{number}")).collect();
    assert_eq!(site.error("Email/get", json!({ "ids": many })), "requestTooLarge");
}

#[test]
fn uploads_come_back_to_their_owner() {
    let site = Site::new();
    let blob = site.upload(b"some bytes");
    assert_eq!(site.download(&blob).unwrap(), b"some bytes");
    let other = Site::another(&site.folder, &site.store);
    assert_eq!(
        other.download(&Site::who("joe"), "joe", &blob).unwrap().size,
        10,
        "another process has it, too"
    );
    assert_eq!(site.jmap.download(&Site::who("amy"), "amy", &blob).err().unwrap().status, 404);
    let turns: Vec<_> = (0..jmap::limits::MAX_CONCURRENT_UPLOAD)
        .map(|_| site.jmap.upload(&Site::who("joe"), "joe", "a/b").unwrap())
        .collect();
    assert_eq!(
        site.jmap.upload(&Site::who("joe"), "joe", "a/b").err().unwrap().limit,
        Some("maxConcurrentUpload")
    );
    drop(turns);
    site.jmap.upload(&Site::who("joe"), "joe", "a/b").unwrap();
}

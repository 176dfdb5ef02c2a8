//! What a client changes, and how others hear of it.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{Site, message, strings};
use message_store::{FlagChange, Flags, How, MailboxName, UidSet};
use serde_json::{Value, json};

fn state(site: &Site) -> String {
    site.call("Email/get", json!({ "ids": [] }))["state"].as_str().unwrap().to_owned()
}

fn lists(changes: &Value) -> [usize; 3] {
    ["created", "updated", "destroyed"].map(|name| changes[name].as_array().unwrap().len())
}

#[test]
fn keywords_and_mailboxes_are_patched() {
    let site = Site::new();
    site.add("INBOX", &message(1, "one"));
    let (inbox, work) = (site.mailbox_id("INBOX"), site.mailbox_id("Work"));
    let id = site.ids(json!({}))[0].clone();
    let set = |patch: Value| site.call("Email/set", json!({ "update": { id.as_str(): patch } }));
    let email = || {
        site.call("Email/get", json!({ "ids": [id], "properties": ["keywords", "mailboxIds"] }))["list"][0]
            .clone()
    };
    assert_eq!(
        set(json!({ "keywords/$seen": true, "keywords/Work~1x": true }))["updated"],
        json!({ id.as_str(): null })
    );
    assert_eq!(email()["keywords"], json!({ "$seen": true, "work/x": true }));
    set(json!({ "keywords": { "$flagged": true } }));
    assert_eq!(email()["keywords"], json!({ "$flagged": true }));
    set(json!({ format!("mailboxIds/{work}"): true }));
    assert_eq!(email()["mailboxIds"], json!({ inbox.as_str(): true, work.as_str(): true }));
    set(json!({ "mailboxIds": { work.as_str(): true }, "keywords/$seen": true }));
    assert_eq!(email()["mailboxIds"], json!({ work.as_str(): true }));
    assert_eq!(email()["keywords"], json!({ "$flagged": true, "$seen": true }));
    assert_eq!(site.mailbox("INBOX").status().unwrap().exists, 0);
    set(json!({ "keywords/$flagged": null, "keywords/$seen": null, "id": id, "subject": null }));
    for (patch, kind) in [
        (json!({ "mailboxIds": {} }), "invalidProperties"),
        (json!({ format!("mailboxIds/{work}"): null }), "invalidProperties"),
        (json!({ "mailboxIds/Fx": true }), "invalidProperties"),
        (json!({ "keywords": {}, "keywords/a": true }), "invalidPatch"),
        (json!({ "keywords/a": false }), "invalidProperties"),
        (json!({ "subject": "x" }), "invalidProperties"),
        (json!({ "size": 1 }), "invalidProperties"),
        (json!({ "nonsense/x": true }), "invalidPatch"),
        (json!([]), "invalidPatch"),
    ] {
        assert_eq!(set(patch.clone())["notUpdated"][&id]["type"], kind, "{patch}");
    }
    let missing = format!("M{:032x}", 5);
    let response =
        site.call("Email/set", json!({ "update": { missing.as_str(): {} }, "destroy": [missing] }));
    assert_eq!(response["notUpdated"][&missing]["type"], "notFound");
    assert_eq!(response["notDestroyed"][&missing]["type"], "notFound");
    let both =
        site.call("Email/set", json!({ "update": { id.as_str(): { "keywords/a": true } }, "destroy": [id] }));
    assert_eq!(both["notUpdated"][&id]["type"], "willDestroy");
    assert_eq!(both["destroyed"], json!([id]));
    assert_eq!(site.error("Email/set", json!({ "ifInState": "x" })), "stateMismatch");
}

#[test]
fn a_thousand_are_moved_by_one_step_of_each_mailbox() {
    let site = Site::new();
    for number in 0..200 {
        site.add("INBOX", &message(number, "x"));
    }
    let (archive, before) =
        (site.mailbox_id("Archive"), site.mailbox("INBOX").status().unwrap().highest_modseq);
    let ids = site.ids(json!({}));
    let update: BTreeMap<&String, Value> = ids
        .iter()
        .map(|id| (id, json!({ "mailboxIds": { archive.as_str(): true }, "keywords/$seen": true })))
        .collect();
    let response = site.call("Email/set", json!({ "update": update }));
    assert_eq!(response["updated"].as_object().unwrap().len(), 200);
    assert_eq!(site.mailbox("Archive").status().unwrap().exists, 200);
    assert_eq!(site.mailbox("Archive").status().unwrap().unseen, 0);
    let after = site.mailbox("INBOX").status().unwrap().highest_modseq;
    assert!(after - before <= 2, "{before} {after}");
}

#[test]
fn drafts_are_made_as_they_were_meant() {
    let site = Site::new();
    let drafts = site.mailbox_id("Drafts");
    let picture = site.upload(&[0, 1, 2, 255, 254].repeat(1000));
    let file = site.upload(b"just text\n");
    let name = "Übersicht für das gesamte Jahr und darüber hinaus, mit allen Anlagen und Anhängen.txt";
    let email = json!({
        "mailboxIds": { drafts.as_str(): true },
        "keywords": { "$draft": true, "$seen": true },
        "from": [{ "name": "Jöe \"the\" X", "email": "joe@example.com" }],
        "to": [{ "email": "amy@example.com" }, { "name": "Unfinished, of course", "email": "un" }],
        "subject": "Grüße an alle, die das hier lesen, es ist ein langer Betreff \u{1f600}",
        "inReplyTo": ["a@b"], "references": ["a@b", "c@d"],
        "header:X-Custom": "value",
        "sentAt": "2020-02-29T12:00:00+02:00",
        "textBody": [{ "partId": "t" }],
        "htmlBody": [{ "partId": "h", "type": "text/html" }],
        "attachments": [
            { "blobId": picture, "type": "image/png", "cid": "pic@x", "disposition": "inline" },
            { "blobId": file, "type": "text/plain", "name": name, "charset": "utf-8" },
        ],
        "bodyValues": { "t": { "value": "Hello\nyöu \n-- \nFrom me" }, "h": { "value": "<p>Hellö <img src='cid:pic@x'></p>\n" } },
    });
    let response = site.call("Email/set", json!({ "create": { "d": email } }));
    let created = &response["created"]["d"];
    assert!(created["blobId"].is_string() && created["threadId"].is_string(), "{response}");
    let got = site.call("Email/get", json!({ "ids": [created["id"]], "fetchAllBodyValues": true,
        "properties": ["from", "to", "subject", "inReplyTo", "references", "header:x-custom:asText", "sentAt", "keywords", "threadId",
            "textBody", "htmlBody", "attachments", "bodyValues", "messageId", "size", "bodyStructure"] }))["list"][0].clone();
    for property in ["from", "subject", "inReplyTo", "references", "sentAt", "keywords"] {
        assert_eq!(got[property], email[property], "{property}");
    }
    assert_eq!(
        got["to"],
        json!([{ "name": null, "email": "amy@example.com" }, { "name": "Unfinished, of course", "email": "un" }])
    );
    assert_eq!(got["header:x-custom:asText"], "value");
    assert_eq!((&got["threadId"], &got["size"]), (&created["threadId"], &created["size"]));
    assert!(got["messageId"][0].as_str().unwrap().ends_with("@mail.example.com"));
    let value = |list: &str| got["bodyValues"][got[list][0]["partId"].as_str().unwrap()]["value"].clone();
    assert_eq!(value("textBody"), email["bodyValues"]["t"]["value"]);
    assert_eq!(value("htmlBody"), email["bodyValues"]["h"]["value"]);
    assert_eq!(got["attachments"][0]["cid"], "pic@x");
    assert_eq!(got["attachments"][1]["name"], name);
    assert_eq!(got["attachments"][1]["disposition"], "attachment");
    let bytes = |place: usize| site.download(got["attachments"][place]["blobId"].as_str().unwrap()).unwrap();
    assert_eq!(bytes(0), [0, 1, 2, 255, 254].repeat(1000));
    assert_eq!(bytes(1), b"just text\n");
    assert_eq!(got["bodyStructure"]["type"], "multipart/mixed");
    assert_eq!(got["bodyStructure"]["subParts"][0]["type"], "multipart/alternative");
    assert_eq!(got["bodyStructure"]["subParts"][0]["subParts"][1]["type"], "multipart/related");
    let raw = site.download(created["blobId"].as_str().unwrap()).unwrap();
    assert!(raw.is_ascii() && raw.split(|byte| *byte == b'\n').all(|line| line.len() <= 100));
    // What was made can be the attachment of another.
    let forward = json!({ "mailboxIds": { drafts.as_str(): true }, "subject": "Fwd",
        "bodyStructure": { "type": "multipart/mixed", "subParts": [
            { "partId": "1" }, { "blobId": created["blobId"], "type": "message/rfc822", "disposition": "attachment" }] },
        "bodyValues": { "1": { "value": "see" } } });
    let response = site.call("Email/set", json!({ "create": { "f": forward } }));
    let got = site.call("Email/get", json!({ "ids": [response["created"]["f"]["id"]] }))["list"][0].clone();
    let inner = got["attachments"][0]["blobId"].as_str().unwrap();
    assert_eq!(site.download(inner).unwrap(), raw);
    let parsed =
        site.call("Email/parse", json!({ "blobIds": [inner, "x", picture], "fetchTextBodyValues": true }));
    let within = &parsed["parsed"][inner];
    assert_eq!(within["subject"], email["subject"]);
    assert_eq!(parsed["notFound"], json!(["x"]));
    assert_eq!(parsed["notParsable"], json!([picture]));
    let attached = within["attachments"][1]["blobId"].as_str().unwrap();
    assert_eq!(site.download(attached).unwrap(), b"just text\n", "a part of a message inside has its blob");
}

#[test]
fn what_cannot_be_a_message_is_refused() {
    let site = Site::new();
    let inbox = site.mailbox_id("INBOX");
    let refused = |extra: Value| {
        let mut email = json!({ "mailboxIds": { inbox.as_str(): true } });
        for (name, value) in extra.as_object().unwrap() {
            email[name] = value.clone();
        }
        site.call("Email/set", json!({ "create": { "x": email } }))["notCreated"]["x"].clone()
    };
    for extra in [
        json!({ "mailboxIds": {} }),
        json!({ "mailboxIds": { "Fnone": true } }),
        json!({ "headers": [] }),
        json!({ "id": "M1" }),
        json!({ "subject": "a", "header:Subject": "b" }),
        json!({ "header:From:asDate": "x" }),
        json!({ "header:X-A": "a\r\nBcc: b@c" }),
        json!({ "header:Content-Type": "text/html" }),
        json!({ "header:a b": "x" }),
        json!({ "to": [{ "email": "a@b\r\nX: y" }] }),
        json!({ "textBody": [{ "partId": "1" }] }),
        json!({ "textBody": [{ "partId": "1" }, { "partId": "1" }], "bodyValues": { "1": { "value": "" } } }),
        json!({ "textBody": [{ "partId": "1", "type": "text/html" }], "bodyValues": { "1": { "value": "" } } }),
        json!({ "textBody": [{ "partId": "1", "charset": "utf-8" }], "bodyValues": { "1": { "value": "" } } }),
        json!({ "textBody": [{ "partId": "1", "header:Content-Transfer-Encoding": "8bit" }], "bodyValues": { "1": { "value": "" } } }),
        json!({ "textBody": [{ "partId": "1" }], "bodyValues": { "1": { "value": "", "isTruncated": true } } }),
        json!({ "bodyStructure": { "partId": "1" }, "textBody": [], "bodyValues": { "1": { "value": "" } } }),
        json!({ "bodyStructure": { "partId": "1", "blobId": "x" }, "bodyValues": { "1": { "value": "" } } }),
        json!({ "bodyStructure": { "type": "multipart/mixed" } }),
        json!({ "bodyStructure": { "partId": "1", "type": "text/plain\r\nX: y" }, "bodyValues": { "1": { "value": "" } } }),
        json!({ "bodyStructure": { "partId": "1", "cid": "a\r\nX: y" }, "bodyValues": { "1": { "value": "" } } }),
        json!({ "bodyStructure": { "partId": "1", "disposition": "a; x=y" }, "bodyValues": { "1": { "value": "" } } }),
        json!({ "keywords": { "a b": true } }),
        json!({ "receivedAt": "now" }),
    ] {
        assert_eq!(refused(extra.clone())["type"], "invalidProperties", "{extra}");
    }
    let missing = refused(json!({ "attachments": [{ "blobId": "U1" }, { "blobId": "U2" }] }));
    assert_eq!((&missing["type"], &missing["notFound"]), (&json!("blobNotFound"), &json!(["U1", "U2"])));
    assert_eq!(site.mailbox("INBOX").status().unwrap().exists, 0);
}

#[test]
fn messages_are_imported_once() {
    let site = Site::new();
    let (inbox, work) = (site.mailbox_id("INBOX"), site.mailbox_id("Work"));
    let text = "Received: from a; Mon, 28 Feb 2000 10:00:00 -0800\nSubject: lines of another kind\n\nbody\n";
    let blob = site.upload(text.as_bytes());
    let import = |blob: &str| {
        site.call(
            "Email/import",
            json!({ "emails": { "i": { "blobId": blob,
        "mailboxIds": { inbox.as_str(): true, work.as_str(): true }, "keywords": { "$flagged": true } } } }),
        )
    };
    let created = import(&blob)["created"]["i"].clone();
    let email = site.call("Email/get", json!({ "ids": [created["id"]] }))["list"][0].clone();
    assert_eq!(email["receivedAt"], "2000-02-28T18:00:00Z");
    assert_eq!(email["keywords"], json!({ "$flagged": true }));
    assert_eq!(email["mailboxIds"].as_object().unwrap().len(), 2);
    assert_eq!(
        site.download(email["blobId"].as_str().unwrap()).unwrap(),
        text.replace('\n', "\r\n").as_bytes()
    );
    let again = import(&blob)["notCreated"]["i"].clone();
    assert_eq!((&again["type"], &again["existingId"]), (&json!("alreadyExists"), &created["id"]));
    assert_eq!(import("U0")["notCreated"]["i"]["type"], "invalidProperties");
    assert_eq!(import(&site.upload(b"\x00\x01 no message"))["notCreated"]["i"]["type"], "invalidEmail");
}

#[test]
fn mailboxes_are_made_renamed_and_destroyed() {
    let site = Site::new();
    let set = |arguments: Value| site.call("Mailbox/set", arguments);
    let get = |id: &Value| site.call("Mailbox/get", json!({ "ids": [id] }))["list"][0].clone();
    let first = site.call("Mailbox/get", json!({ "ids": null }))["state"].clone();
    let made = set(json!({ "create": {
        "child": { "name": "Kind", "parentId": "#top", "sortOrder": 7 }, "top": { "name": "Ordner", "role": "archive", "isSubscribed": false } } }));
    let (top, child) = (made["created"]["top"]["id"].clone(), made["created"]["child"]["id"].clone());
    assert_eq!(get(&child)["parentId"], top, "{made}");
    assert_eq!((&get(&child)["sortOrder"], &get(&child)["isSubscribed"]), (&json!(7), &json!(true)));
    assert_eq!((&get(&top)["role"], &get(&top)["isSubscribed"]), (&json!("archive"), &json!(false)));
    let changes = site.call("Mailbox/changes", json!({ "sinceState": first }));
    assert_eq!(changes["created"].as_array().unwrap().len(), 2);
    assert_eq!(changes["updatedProperties"], Value::Null);
    let (top_id, child_id) = (top.as_str().unwrap(), child.as_str().unwrap());
    let renamed = set(
        json!({ "update": { child_id: { "name": "Enfant", "parentId": null }, top_id: { "role": "junk", "name": "Ordner" } } }),
    );
    assert_eq!(renamed["updated"].as_object().unwrap().len(), 2, "{renamed}");
    assert_eq!((&get(&child)["name"], &get(&child)["parentId"]), (&json!("Enfant"), &Value::Null));
    assert_eq!((&get(&child)["isSubscribed"], &get(&child)["sortOrder"]), (&json!(true), &json!(7)));
    assert_eq!(get(&top)["role"], "junk");
    let before = changes["newState"].clone();
    site.add("Enfant", &message(1, "x"));
    let state = site.call("Mailbox/changes", json!({ "sinceState": before }))["newState"].clone();
    site.add("Enfant", &message(2, "x"));
    let counts = site.call("Mailbox/changes", json!({ "sinceState": state }));
    assert_eq!(counts["updated"], json!([child]));
    assert_eq!(
        counts["updatedProperties"],
        json!(["totalEmails", "unreadEmails", "totalThreads", "unreadThreads"])
    );
    let inbox = site.mailbox_id("INBOX");
    for (arguments, list, id, kind) in [
        (json!({ "update": { top_id: { "parentId": top_id } } }), "notUpdated", top_id, "invalidProperties"),
        (json!({ "update": { top_id: { "name": "Enfant" } } }), "notUpdated", top_id, "invalidProperties"),
        (json!({ "update": { top_id: { "role": "inbox" } } }), "notUpdated", top_id, "invalidProperties"),
        (json!({ "update": { child_id: { "role": "junk" } } }), "notUpdated", child_id, "invalidProperties"),
        (json!({ "update": { top_id: { "totalEmails": 9 } } }), "notUpdated", top_id, "invalidProperties"),
        (json!({ "update": { top_id: { "name": "a/b" } } }), "notUpdated", top_id, "invalidProperties"),
        (json!({ "update": { inbox.as_str(): { "name": "x" } } }), "notUpdated", &inbox, "forbidden"),
        (json!({ "update": { "Fx": { "name": "x" } } }), "notUpdated", "Fx", "notFound"),
        (json!({ "create": { "n": { "name": "Ordner" } } }), "notCreated", "n", "invalidProperties"),
        (json!({ "create": { "n": { "name": "" } } }), "notCreated", "n", "invalidProperties"),
        (json!({ "create": { "n": { "name": "iNBOX" } } }), "notCreated", "n", "invalidProperties"),
        (
            json!({ "create": { "n": { "name": "x", "parentId": "#n" } } }),
            "notCreated",
            "n",
            "invalidProperties",
        ),
        (json!({ "destroy": [inbox] }), "notDestroyed", &inbox, "forbidden"),
        (json!({ "destroy": [child_id] }), "notDestroyed", child_id, "mailboxHasEmail"),
    ] {
        assert_eq!(set(arguments.clone())[list][id]["type"], kind, "{arguments}");
    }
    set(json!({ "update": { child_id: { "parentId": top_id } } }));
    assert_eq!(set(json!({ "destroy": [top_id] }))["notDestroyed"][top_id]["type"], "mailboxHasChild");
    let known = self::state(&site);
    let gone = set(json!({ "destroy": [top_id, child_id], "onDestroyRemoveEmails": true }));
    assert_eq!(gone["destroyed"], json!([child_id, top_id]));
    let changes = site.call("Email/changes", json!({ "sinceState": known }));
    assert_eq!(lists(&changes), [0, 0, 2], "who knew the mailbox hears what went with it");
    let elsewhere = Site::another(&site.folder, &site.store);
    let body = json!({ "using": ["urn:ietf:params:jmap:mail"], "methodCalls": [["Email/changes", { "accountId": "joe", "sinceState": known }, "0"]] });
    let response = elsewhere.request(&Site::who("joe"), body.to_string().as_bytes()).unwrap();
    let response: Value = serde_json::from_slice(&response).unwrap();
    assert_eq!(
        response["methodResponses"][0][1]["type"], "cannotCalculateChanges",
        "who does not know says so"
    );
}

#[test]
fn mailboxes_are_found_and_sorted() {
    let site = Site::new();
    for name in ["B", "B/z", "B/a", "A", "A/x"] {
        site.mailbox(name);
    }
    let query = |arguments: Value| {
        let ids = site.call("Mailbox/query", arguments)["ids"].clone();
        let list = site.call("Mailbox/get", json!({ "ids": null, "properties": ["name"] }))["list"].clone();
        let name = |id: &String| {
            list.as_array().unwrap().iter().find(|one| one["id"] == **id).unwrap()["name"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        strings(&ids).iter().map(name).collect::<Vec<_>>()
    };
    let by_name = json!([{ "property": "name" }]);
    assert_eq!(query(json!({ "sort": by_name })), ["A", "a", "B", "Inbox", "x", "z"]);
    assert_eq!(query(json!({ "sort": by_name, "sortAsTree": true })), ["A", "x", "B", "a", "z", "Inbox"]);
    let down = json!([{ "property": "name", "isAscending": false }]);
    assert_eq!(query(json!({ "sort": down, "sortAsTree": true })), ["Inbox", "B", "z", "a", "A", "x"]);
    assert_eq!(query(json!({ "filter": { "parentId": site.mailbox_id("B") }, "sort": by_name })), ["a", "z"]);
    assert_eq!(query(json!({ "filter": { "hasAnyRole": true } })), ["Inbox"]);
    let a =
        json!({ "operator": "OR", "conditions": [{ "name": "a" }, { "parentId": site.mailbox_id("A") }] });
    assert_eq!(query(json!({ "filter": a, "sort": by_name })), ["A", "a", "x"]);
    assert_eq!(query(json!({ "filter": a, "sort": by_name, "filterAsTree": true })), ["A", "x"]);
    assert_eq!(site.error("Mailbox/query", json!({ "filter": { "x": 1 } })), "unsupportedFilter");
    assert_eq!(site.error("Mailbox/query", json!({ "sort": [{ "property": "x" }] })), "unsupportedSort");
}

#[test]
fn conversations_are_threads() {
    let site = Site::new();
    let mail = |id: &str, header: &str, nanos: i64| {
        let text = format!("Message-ID: <{id}>\r\n{header}Subject: x\r\n\r\n{id}\r\n");
        site.add_as("INBOX", &text, Flags::NONE, &[], nanos);
    };
    mail("a@x", "", 1);
    mail("c@x", "References: <a@x> <b@x>\r\n", 3_000_000_000);
    mail("d@x", "", 4_000_000_000);
    let since = site.call("Thread/get", json!({ "ids": [] }))["state"].clone();
    let queried = site.call("Email/query", json!({ "collapseThreads": true, "calculateTotal": true }));
    assert_eq!(queried["total"], 2);
    mail("b@x", "In-Reply-To: <a@x>\r\n", 2_000_000_000);
    let emails =
        site.call("Email/get", json!({ "ids": null, "properties": ["threadId", "receivedAt"] }))["list"]
            .clone();
    let thread = emails
        .as_array()
        .unwrap()
        .iter()
        .find(|email| email["receivedAt"] == "1970-01-01T00:00:00Z")
        .unwrap()["threadId"]
        .clone();
    let list = site.call("Thread/get", json!({ "ids": [thread, "T0"] }));
    assert_eq!(list["list"][0]["emailIds"].as_array().unwrap().len(), 3);
    assert_eq!(list["notFound"], json!(["T0"]));
    let changes = site.call("Thread/changes", json!({ "sinceState": since }));
    assert_eq!((lists(&changes), &changes["updated"][0]), ([0, 1, 0], &thread));
    let update = site.call(
        "Email/queryChanges",
        json!({ "collapseThreads": true, "sinceQueryState": queried["queryState"], "calculateTotal": true }),
    );
    assert_eq!(update["total"], 2);
    assert_eq!(update["added"].as_array().unwrap().len(), 1);
    assert_eq!(update["removed"].as_array().unwrap().len(), 3);
    site.mailbox("INBOX").remove(&UidSet::from_ranges([3..=3])).unwrap();
    let changes = site.call("Thread/changes", json!({ "sinceState": changes["newState"] }));
    assert_eq!(lists(&changes), [0, 0, 1]);
    let some = |filter: Value| site.ids(json!({ "filter": filter })).len();
    let change = FlagChange { how: How::Add, flags: Flags::FLAGGED, keywords: &[] };
    site.mailbox("INBOX").change_flags(&UidSet::single(1), change, None).unwrap();
    assert_eq!(some(json!({ "someInThreadHaveKeyword": "$flagged" })), 3);
    assert_eq!(some(json!({ "allInThreadHaveKeyword": "$flagged" })), 0);
    assert_eq!(some(json!({ "noneInThreadHaveKeyword": "$flagged" })), 0);
}

/// What a client knows that only ever applies changes.
#[derive(Default)]
struct Client {
    state: String,
    known: BTreeSet<String>,
    list: Vec<String>,
    query_state: String,
}

fn query() -> Value {
    json!({ "filter": { "notKeyword": "$flagged" }, "sort": [{ "property": "size" }] })
}

impl Client {
    fn new(site: &Site) -> Client {
        let all = site.call("Email/get", json!({ "ids": null, "properties": ["id"] }));
        let listed = site.call("Email/query", query());
        Client {
            state: all["state"].as_str().unwrap().to_owned(),
            known: all["list"]
                .as_array()
                .unwrap()
                .iter()
                .map(|email| email["id"].as_str().unwrap().to_owned())
                .collect(),
            list: strings(&listed["ids"]),
            query_state: listed["queryState"].as_str().unwrap().to_owned(),
        }
    }

    fn follow(&mut self, site: &Site, most: usize) {
        loop {
            let changes = site.call("Email/changes", json!({ "sinceState": self.state, "maxChanges": most }));
            assert!(lists(&changes).iter().sum::<usize>() <= most);
            for id in strings(&changes["created"]) {
                assert!(self.known.insert(id.clone()), "{id} was known");
            }
            for id in strings(&changes["destroyed"]) {
                assert!(self.known.remove(&id), "{id} was not known");
            }
            for id in strings(&changes["updated"]) {
                assert!(self.known.contains(&id), "{id} was not known, and is not new");
            }
            self.state = changes["newState"].as_str().unwrap().to_owned();
            if changes["hasMoreChanges"] == false {
                break;
            }
        }
        let mut arguments = query();
        arguments["sinceQueryState"] = json!(self.query_state);
        let changes = site.call("Email/queryChanges", arguments);
        let removed = strings(&changes["removed"]);
        self.list.retain(|id| !removed.contains(id));
        for added in changes["added"].as_array().unwrap() {
            let index = usize::try_from(added["index"].as_u64().unwrap()).unwrap();
            self.list.insert(index, added["id"].as_str().unwrap().to_owned());
        }
        self.query_state = changes["newQueryState"].as_str().unwrap().to_owned();
    }
}

/// Random changes by the store's own calls, as another process makes them: a client that applies what /changes says knows at
/// the end what is there, however the changes are cut.
#[test]
fn changes_applied_to_what_was_known_are_what_is_there() {
    let seed: u64 =
        std::env::var("MAILBOAT_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_129);
    let mut random = seed;
    let mut next = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let site = Site::new();
    let names = ["INBOX", "A", "B"];
    for name in names {
        site.mailbox(name);
    }
    let mut clients = vec![(Client::new(&site), 0u64)];
    for step in 0..240u32 {
        let mailbox = site.mailbox(names[next(3) as usize]);
        let uid_next = mailbox.status().unwrap().uid_next;
        let uid = 1 + next(u64::from(uid_next)) as u32;
        let uids = UidSet::from_ranges([uid..=uid + next(3) as u32]);
        let other = site.mailbox(names[next(3) as usize]);
        match next(9) {
            0..=2 => {
                let _ = site.add(mailbox.name().leaf(), &message(step % 90, &"x".repeat(next(50) as usize)));
            }
            3 => drop(mailbox.remove(&uids).unwrap()),
            4 => drop(mailbox.copy_to(&uids, &other).unwrap()),
            5 => drop(mailbox.move_to(&uids, &other).unwrap()),
            kind => {
                let flags = [Flags::FLAGGED, Flags::SEEN, Flags::DELETED][kind as usize - 6];
                let how = if next(2) == 0 { How::Add } else { How::Remove };
                mailbox.change_flags(&uids, FlagChange { how, flags, keywords: &[] }, None).unwrap();
            }
        }
        if step % 60 == 30 {
            clients.push((Client::new(&site), 1 + next(6)));
        }
        for (client, pace) in &mut clients {
            if *pace == 0 || next(*pace + 3) == 0 {
                client.follow(&site, 1 + next(7) as usize);
                let fresh = Client::new(&site);
                assert_eq!(client.known, fresh.known, "seed {seed}, step {step}");
                assert_eq!(client.list, fresh.list, "seed {seed}, step {step}");
            }
        }
    }
}

#[test]
fn states_that_are_too_old_are_said_to_be() {
    let site = Site::new();
    site.add("INBOX", &message(1, "x"));
    site.add("INBOX", &message(2, "y"));
    let since = state(&site);
    site.mailbox("INBOX").remove(&UidSet::single(1)).unwrap();
    let changes = site.call("Email/changes", json!({ "sinceState": since }));
    assert_eq!(lists(&changes), [0, 0, 1]);
    site.store
        .reconstruct_as(
            &MailboxName::inbox("joe").unwrap(),
            message_store::Method { without_index: true, every_message: true },
            &mut |_, _| {},
        )
        .unwrap();
    let site = Site::in_folder(site.folder);
    assert_eq!(site.error("Email/changes", json!({ "sinceState": since })), "cannotCalculateChanges");
    for wrong in ["", "x", "AQ", "AgAA"] {
        assert_eq!(
            site.error("Email/changes", json!({ "sinceState": wrong })),
            "cannotCalculateChanges",
            "{wrong}"
        );
    }
    assert_eq!(
        site.error("Email/changes", json!({ "sinceState": since, "maxChanges": 0 })),
        "invalidArguments"
    );
    assert_eq!(site.error("Email/changes", json!({})), "invalidArguments");
}

#[test]
fn snippets_show_where_the_text_is() {
    let site = Site::new();
    site.add("INBOX", &message(1, "Quarterly <Report>"));
    let id = site.ids(json!({}))[0].clone();
    let snippets =
        site.call("SearchSnippet/get", json!({ "filter": { "text": "report 1" }, "emailIds": [id, "M0"] }));
    assert_eq!(snippets["list"][0]["subject"], "Quarterly &lt;<mark>Report</mark>&gt;");
    assert_eq!(
        snippets["list"][0]["preview"],
        "Text <mark>1</mark> of Quarterly &lt;<mark>Report</mark>&gt;."
    );
    assert_eq!(snippets["notFound"], json!(["M0"]));
    let none = site.call("SearchSnippet/get", json!({ "filter": { "from": "amy" }, "emailIds": [id] }));
    assert_eq!(none["list"][0], json!({ "emailId": id, "subject": null, "preview": null }));
}

#[test]
fn other_accounts_are_not_there_to_copy_from() {
    let site = Site::new();
    assert_eq!(
        site.error("Email/copy", json!({ "fromAccountId": "amy", "create": {} })),
        "fromAccountNotFound"
    );
    assert_eq!(site.error("Email/copy", json!({ "fromAccountId": "joe", "create": {} })), "invalidArguments");
    assert_eq!(
        site.error("Blob/copy", json!({ "fromAccountId": "amy", "blobIds": [] })),
        "fromAccountNotFound"
    );
}

#[test]
fn who_watches_is_woken_by_any_change() {
    let site = Site::new();
    site.mailbox("INBOX");
    let (sender, receiver) = std::sync::mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let states = || site.jmap.states(&Site::who("joe"), &["Email", "Mailbox"])["changed"]["joe"].clone();
    let before = states();
    let watch = site.jmap.watch(&Site::who("joe"), move || {
        let _ = sender.lock().unwrap().send(());
    });
    site.add("INBOX", &message(1, "x"));
    receiver.recv_timeout(std::time::Duration::from_secs(240)).unwrap();
    assert_ne!(states()["Email"], before["Email"]);
    assert_ne!(states()["Mailbox"], before["Mailbox"]);
    assert_eq!(states(), states());
    drop(watch);
}

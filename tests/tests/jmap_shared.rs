//! Mailboxes of others in JMAP (RFC 8620 §1.6.2, RFC 8621 §2, RFC 4314): accounts of their own, every right against every method,
//! changes, push, and \Seen that is each reader's own.
#![allow(clippy::unwrap_used)]

use std::sync::Barrier;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use black_box::instance::PATIENCE;
use black_box::{Http, Imap, Instance, Setup};
use serde_json::{Value, json};

const MESSAGE: &str = "From: amy@example.org\r\nSubject: lunch\r\n\r\nat noon?\r\n";

fn everything() -> Instance {
    let mut instance = Setup::default().users(&["alice", "bob", "carol"]).start();
    instance.start_one("http");
    instance
}

/// Bob's requests about one account.
struct Jmap {
    http: Http,
    fields: String,
}

impl Jmap {
    fn new(instance: &Instance, user: &str) -> Jmap {
        let password = STANDARD.encode(format!("{user}:{user}-secret"));
        Jmap { http: instance.http(), fields: format!("Authorization: Basic {password}\r\n") }
    }

    fn session(&mut self) -> Value {
        self.http.get("/jmap/session", &self.fields).json()
    }

    fn all(&mut self, name: &str, arguments: Value) -> Value {
        let using = [
            "urn:ietf:params:jmap:core",
            "urn:ietf:params:jmap:mail",
            "urn:ietf:params:jmap:quota",
            "urn:ietf:params:jmap:submission",
        ];
        let body = json!({ "using": using, "methodCalls": [[name, arguments, "0"]] });
        let response = self.http.post_json("/jmap/api", &self.fields, &body.to_string());
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()["methodResponses"].clone()
    }

    fn of(&mut self, account: &str, name: &str, mut arguments: Value) -> Value {
        arguments["accountId"] = json!(account);
        self.all(name, arguments)[0][1].clone()
    }

    /// By name, the id and the rights that are there.
    fn mailbox(&mut self, account: &str, name: &str) -> (String, Vec<String>) {
        let got = self.of(account, "Mailbox/get", json!({ "ids": null }));
        let found = got["list"].as_array().unwrap().iter().find(|one| one["name"] == name);
        let found = found.unwrap_or_else(|| panic!("no {name}: {got}"));
        let rights = found["myRights"].as_object().unwrap().iter().filter(|(_, may)| **may == json!(true));
        (found["id"].as_str().unwrap().into(), rights.map(|(name, _)| name.clone()).collect())
    }

    fn emails(&mut self, account: &str, mailbox: &str) -> Vec<String> {
        let found = self.of(account, "Email/query", json!({ "filter": { "inMailbox": mailbox } }));
        found["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
    }

    fn upload(&mut self, account: &str, bytes: &str) -> String {
        let fields = format!("{}Content-Type: message/rfc822\r\n", self.fields);
        let response = self.http.ask("POST", &format!("/jmap/upload/{account}"), &fields, bytes.as_bytes());
        assert_eq!(response.status, 201, "{}", response.text());
        assert_eq!(response.json()["accountId"], account);
        response.json()["blobId"].as_str().unwrap().to_owned()
    }
}

/// A mailbox of alice's with one message of its own, in which bob has these rights.
fn share(alice: &mut Imap, folder: &str, rights: &str) {
    alice.ok(&format!("CREATE {folder}"));
    let message = MESSAGE.replace("lunch", folder);
    assert!(alice.append(folder, "", &message).starts_with("OK"));
    alice.ok(&format!("SETACL {folder} bob \"{rights}\""));
}

fn refused(answer: &Value, list: &str, id: &str) -> bool {
    match answer[list][id]["type"].as_str() {
        Some("forbidden") => true,
        None => false,
        Some(other) => panic!("{other}: {answer}"),
    }
}

/// Every right, alone beside `l` and `r`, against every method: what it does not allow is refused, and nothing else.
#[test]
fn each_right_allows_what_it_is_for_and_nothing_else() {
    let instance = everything();
    let (mut alice, mut bob) = (instance.imap("alice"), Jmap::new(&instance, "bob"));
    assert!(bob.of("alice", "Mailbox/get", json!({ "ids": null }))["type"] == "accountNotFound");
    assert_eq!(bob.session()["accounts"].as_object().unwrap().len(), 1);
    alice.ok("CREATE Top");
    alice.ok("SETACL Top bob lk");
    for (letters, rights) in [
        ("", vec![]),
        ("s", vec!["maySetSeen"]),
        ("w", vec!["maySetKeywords"]),
        ("i", vec!["mayAddItems"]),
        ("p", vec!["maySubmit"]),
        ("k", vec!["mayCreateChild"]),
        ("x", vec!["mayDelete", "mayRename"]),
        ("t", vec![]),
        ("e", vec![]),
        ("te", vec!["mayRemoveItems"]),
        ("a", vec![]),
    ] {
        let folder = format!("M{letters}");
        share(&mut alice, &format!("Top/{folder}"), &format!("lr{letters}"));
        let (id, got) = bob.mailbox("alice", &folder);
        let mut expected = vec!["mayReadItems"];
        expected.extend(rights);
        expected.sort_unstable();
        let mut got: Vec<&str> = got.iter().map(String::as_str).collect();
        got.sort_unstable();
        assert_eq!(got, expected, "lr{letters}");
        let has = |right: &str| expected.contains(&right);

        let emails = bob.emails("alice", &id);
        let email = emails.first().unwrap_or_else(|| panic!("lr{letters}: nothing is read")).clone();
        let email = email.as_str();
        let mut patch = |patch: Value| {
            let answer = bob.of("alice", "Email/set", json!({ "update": { email: patch } }));
            !refused(&answer, "notUpdated", email)
        };
        assert_eq!(patch(json!({ "keywords/$seen": true })), has("maySetSeen"), "lr{letters}");
        assert_eq!(patch(json!({ "keywords/$flagged": true })), has("maySetKeywords"), "lr{letters}");
        assert_eq!(patch(json!({ "keywords/work": true })), has("maySetKeywords"), "lr{letters}");

        let new =
            json!({ "mailboxIds": { id.as_str(): true }, "subject": "made", "keywords": { "$seen": true } });
        let made = bob.of("alice", "Email/set", json!({ "create": { "new": new } }));
        assert_eq!(!refused(&made, "notCreated", "new"), has("mayAddItems"), "lr{letters}: {made}");
        let blob = bob.upload("alice", &format!("Subject: imported {letters}\r\n\r\nx\r\n"));
        let new = json!({ "blobId": blob, "mailboxIds": { id.as_str(): true } });
        let imported = bob.of("alice", "Email/import", json!({ "emails": { "new": new } }));
        assert_eq!(!refused(&imported, "notCreated", "new"), has("mayAddItems"), "lr{letters}: {imported}");
        let mut own = instance.imap("bob");
        assert!(own.append("INBOX", "", &format!("Subject: own {letters}\r\n\r\nx\r\n")).starts_with("OK"));
        let (inbox, _) = bob.mailbox("bob", "Inbox");
        let source = bob.emails("bob", &inbox)[0].clone();
        let new = json!({ "id": source, "mailboxIds": { id.as_str(): true } });
        let copied =
            bob.of("alice", "Email/copy", json!({ "fromAccountId": "bob", "create": { "new": new } }));
        assert_eq!(!refused(&copied, "notCreated", "new"), has("mayAddItems"), "lr{letters}: {copied}");

        let child = json!({ "name": "child", "parentId": id });
        let made = bob.of("alice", "Mailbox/set", json!({ "create": { "new": child } }));
        assert_eq!(!refused(&made, "notCreated", "new"), has("mayCreateChild"), "lr{letters}: {made}");
        if has("mayCreateChild") {
            let child = made["created"]["new"]["id"].clone();
            let gone = bob.of("alice", "Mailbox/set", json!({ "destroy": [child] }));
            assert!(refused(&gone, "notDestroyed", child.as_str().unwrap()), "its list is the parent's");
        }
        for patch in [json!({ "role": "archive" }), json!({ "parentId": null })] {
            let answer = bob.of("alice", "Mailbox/set", json!({ "update": { id.as_str(): patch } }));
            assert!(refused(&answer, "notUpdated", &id), "lr{letters}: {answer}");
        }
        let sorted = bob.of(
            "alice",
            "Mailbox/set",
            json!({ "update": { id.as_str(): { "sortOrder": 7, "isSubscribed": true } } }),
        );
        assert!(sorted["notUpdated"].is_null(), "what is the reader's own is: {sorted}");
        let renamed = json!({ "update": { id.as_str(): { "name": format!("R{letters}") } } });
        let renamed = bob.of("alice", "Mailbox/set", renamed);
        assert_eq!(!refused(&renamed, "notUpdated", &id), has("mayRename"), "lr{letters}: {renamed}");

        let moved = bob.of(
            "alice",
            "Email/set",
            json!({ "update": { email: { "mailboxIds": { bob_target(&mut alice).as_str(): true } } } }),
        );
        assert!(moved["updated"].is_null(), "into what bob does not see: {moved}");
        let gone = bob.of("alice", "Email/set", json!({ "destroy": [email] }));
        assert_eq!(!refused(&gone, "notDestroyed", email), has("mayRemoveItems"), "lr{letters}: {gone}");
        let gone = json!({ "destroy": [id], "onDestroyRemoveEmails": true });
        let gone = bob.of("alice", "Mailbox/set", gone);
        assert_eq!(!refused(&gone, "notDestroyed", &id), has("mayDelete"), "lr{letters}: {gone}");
    }
}

/// An id that stands for a mailbox of alice's that bob does not see.
fn bob_target(alice: &mut Imap) -> String {
    let row = alice.ok("STATUS INBOX (MAILBOXID)").join("");
    row.split_once("MAILBOXID (").unwrap().1.split(')').next().unwrap().to_owned()
}

/// `l` without `r`: there, and closed. `i` with it: what is dropped in is not seen.
#[test]
fn what_may_not_be_read_is_not_read_by_any_way() {
    let instance = everything();
    let (mut alice, mut bob) = (instance.imap("alice"), Jmap::new(&instance, "bob"));
    share(&mut alice, "Open", "lr");
    share(&mut alice, "Dropbox", "li");
    share(&mut alice, "Hidden", "rwite");
    let (dropbox, rights) = bob.mailbox("alice", "Dropbox");
    assert_eq!(rights, ["mayAddItems"]);
    assert_eq!(bob.emails("alice", &dropbox), Vec::<String>::new());
    let got = bob.of("alice", "Mailbox/get", json!({ "ids": null }));
    assert_eq!(got["list"].as_array().unwrap().len(), 2, "{got}");
    alice.ok("SELECT Dropbox");
    let row = alice.ok("FETCH 1 (EMAILID)").join("");
    let secret = row.split_once("EMAILID (").unwrap().1.split(')').next().unwrap().to_owned();
    let got = bob.of("alice", "Email/get", json!({ "ids": [secret] }));
    assert_eq!(got["notFound"], json!([secret]));
    let blob = format!("G{}", &secret[1..]);
    for path in [
        format!("/jmap/download/alice/{blob}/x?type=text/plain"),
        format!("/jmap/download/bob/{blob}/x?type=text/plain"),
        format!("/message/alice/{secret}"),
        format!("/message/bob/{secret}"),
        "/message/carol/x".to_owned(),
    ] {
        assert_eq!(bob.http.get(&path, &bob.fields.clone()).status, 404, "{path}");
    }
    let copied = bob.of("bob", "Blob/copy", json!({ "fromAccountId": "alice", "blobIds": [blob] }));
    assert_eq!(copied["notCopied"][&blob]["type"], "blobNotFound", "{copied}");
    let new = json!({ "mailboxIds": { dropbox.as_str(): true }, "subject": "dropped" });
    let made = bob.of("alice", "Email/set", json!({ "create": { "new": new } }));
    assert!(made["notCreated"].is_null(), "{made}");
    assert_eq!(bob.emails("alice", &dropbox), Vec::<String>::new());
    alice.ok("NOOP");
    assert_eq!(alice.ok("SEARCH SUBJECT dropped"), ["* SEARCH 2"]);
    // What an account of another's has is mail.
    for method in ["Quota/get", "Identity/get", "EmailSubmission/get"] {
        assert_eq!(
            bob.of("alice", method, json!({ "ids": null }))["type"],
            "accountNotSupportedByMethod",
            "{method}"
        );
        assert_eq!(bob.of("carol", method, json!({ "ids": null }))["type"], "accountNotFound", "{method}");
    }
}

/// The session object names accounts as rights come and go, and says so by its state; changes tell what came and went.
#[test]
fn rights_that_come_and_go_are_told() {
    let instance = everything();
    let (mut alice, mut bob) = (instance.imap("alice"), Jmap::new(&instance, "bob"));
    let before = bob.session();
    share(&mut alice, "Plans", "lr");
    let session = bob.session();
    assert_ne!(session["state"], before["state"]);
    let account = &session["accounts"]["alice"];
    assert_eq!((&account["isPersonal"], &account["isReadOnly"]), (&json!(false), &json!(true)), "{session}");
    assert!(account["accountCapabilities"]["urn:ietf:params:jmap:submission"].is_null());
    assert_eq!(session["primaryAccounts"]["urn:ietf:params:jmap:mail"], "bob");
    let (plans, _) = bob.mailbox("alice", "Plans");
    let state = bob.of("alice", "Email/get", json!({ "ids": [] }))["state"].clone();
    let mailboxes = bob.of("alice", "Mailbox/get", json!({ "ids": [] }))["state"].clone();
    assert!(alice.append("Plans", "", MESSAGE).starts_with("OK"));
    let came = bob.of("alice", "Email/changes", json!({ "sinceState": state }));
    assert_eq!(came["created"].as_array().map(Vec::len), Some(1), "{came}");
    alice.ok("SETACL Plans bob lrs");
    assert_eq!(bob.session()["accounts"]["alice"]["isReadOnly"], false);
    let changed = bob.of("alice", "Mailbox/changes", json!({ "sinceState": mailboxes }));
    assert_eq!(
        (&changed["updated"], &changed["updatedProperties"]),
        (&json!([plans]), &Value::Null),
        "{changed}"
    );
    alice.ok("SETACL Plans bob l");
    let gone = bob.of("alice", "Email/changes", json!({ "sinceState": came["newState"] }));
    assert_eq!(gone["destroyed"].as_array().map(Vec::len), Some(2), "{gone}");
    alice.ok("SETACL Plans bob lr");
    let back = bob.of("alice", "Email/changes", json!({ "sinceState": gone["newState"] }));
    assert_eq!(back["created"].as_array().map(Vec::len), Some(2), "{back}");
    alice.ok("DELETEACL Plans bob");
    assert_eq!(bob.of("alice", "Email/get", json!({ "ids": [] }))["type"], "accountNotFound");
    assert_eq!(bob.session()["accounts"].as_object().unwrap().len(), 1);
}

/// \Seen is each reader's own, the other keywords are everybody's; IMAP and JMAP say the same.
#[test]
fn what_one_reader_has_seen_another_has_not() {
    let instance = everything();
    let (mut alice, mut bob) = (instance.imap("alice"), Jmap::new(&instance, "bob"));
    share(&mut alice, "News", "lrsw");
    let (news, _) = bob.mailbox("alice", "News");
    let email = bob.emails("alice", &news)[0].clone();
    let email = email.as_str();
    let keywords = |jmap: &mut Jmap| {
        let got = jmap.of("alice", "Email/get", json!({ "ids": [email], "properties": ["keywords"] }));
        got["list"][0]["keywords"].clone()
    };
    let state = bob.of("alice", "Email/get", json!({ "ids": [] }))["state"].clone();
    let patch = json!({ "keywords/$seen": true, "keywords/$flagged": true });
    bob.of("alice", "Email/set", json!({ "update": { email: patch } }));
    assert_eq!(keywords(&mut bob), json!({ "$seen": true, "$flagged": true }));
    let mut owner = Jmap::new(&instance, "alice");
    assert_eq!(keywords(&mut owner), json!({ "$flagged": true }));
    let changed = bob.of("alice", "Email/changes", json!({ "sinceState": state }));
    assert_eq!(changed["updated"], json!([email]), "{changed}");
    let mut imap = instance.imap("bob");
    imap.ok("SELECT \"Shared Folders/User/alice/News\"");
    assert!(imap.ok("FETCH 1 FLAGS").join("").contains("\\Seen"));
    imap.ok("STORE 1 -FLAGS (\\Seen)");
    let unseen = bob.of("alice", "Email/changes", json!({ "sinceState": changed["newState"] }));
    assert_eq!(unseen["updated"], json!([email]), "{unseen}");
    assert_eq!(keywords(&mut bob), json!({ "$flagged": true }));
    alice.ok("SELECT News");
    alice.ok("STORE 1 +FLAGS (\\Seen)");
    assert_eq!(keywords(&mut bob), json!({ "$flagged": true }), "the owner's is not bob's");
    let counts = bob.of("alice", "Mailbox/get", json!({ "ids": [news] }))["list"][0].clone();
    assert_eq!((&counts["totalEmails"], &counts["unreadEmails"]), (&json!(1), &json!(1)));
}

/// From an account to another, with what the copy has of its own, and the original gone.
#[test]
fn emails_and_blobs_are_copied_between_accounts() {
    let instance = everything();
    let (mut alice, mut bob) = (instance.imap("alice"), Jmap::new(&instance, "bob"));
    share(&mut alice, "Team", "lrswite");
    let (team, _) = bob.mailbox("alice", "Team");
    let (inbox, _) = bob.mailbox("bob", "Inbox");
    let email = bob.emails("alice", &team)[0].clone();
    let same = json!({ "accountId": "bob", "fromAccountId": "bob", "create": { "new": {} } });
    assert_eq!(bob.all("Email/copy", same)[0][1]["type"], "invalidArguments");
    let unknown = json!({ "accountId": "bob", "fromAccountId": "carol", "create": { "new": {} } });
    assert_eq!(bob.all("Email/copy", unknown)[0][1]["type"], "fromAccountNotFound");
    let new =
        json!({ "id": email, "mailboxIds": { inbox.as_str(): true }, "keywords": { "$flagged": true } });
    let copy = json!({
        "accountId": "bob", "fromAccountId": "alice", "create": { "new": new }, "onSuccessDestroyOriginal": true,
    });
    let responses = bob.all("Email/copy", copy);
    assert!(responses[0][1]["created"]["new"]["id"].is_string(), "{responses}");
    assert_eq!((&responses[1][0], &responses[1][1]["destroyed"]), (&json!("Email/set"), &json!([email])));
    assert_eq!(bob.emails("alice", &team), Vec::<String>::new());
    assert_eq!(bob.emails("bob", &inbox), std::slice::from_ref(&email), "the same bytes are the same id");
    let got = bob.of("bob", "Email/get", json!({ "ids": [email], "properties": ["keywords", "blobId"] }));
    assert_eq!(got["list"][0]["keywords"], json!({ "$flagged": true }));
    let blob = got["list"][0]["blobId"].as_str().unwrap().to_owned();
    let copied = bob.of("alice", "Blob/copy", json!({ "fromAccountId": "bob", "blobIds": [blob, "Gx"] }));
    assert_eq!(copied["notCopied"]["Gx"]["type"], "blobNotFound", "{copied}");
    let new_blob = copied["copied"][&blob].as_str().unwrap().to_owned();
    let emails = json!({ "back": { "blobId": new_blob, "mailboxIds": { team.as_str(): true } } });
    let imported = bob.of("alice", "Email/import", json!({ "emails": emails }));
    assert_eq!(imported["created"]["back"]["id"], json!(email), "{imported}");
}

/// A folder of nobody's, and one whose parents are not seen.
#[test]
fn public_folders_are_an_account_and_hidden_levels_have_no_name_of_their_own() {
    let instance = everything();
    let (mut alice, mut bob) = (instance.imap("alice"), Jmap::new(&instance, "bob"));
    alice.ok("CREATE Projects");
    share(&mut alice, "Projects/Secret", "lr");
    black_box::run(instance.tool("mboxutil").args(["-c", "Board"]));
    let session = bob.session();
    assert_eq!(session["accounts"]["_public"]["name"], "Shared Folders", "{session}");
    let (board, rights) = bob.mailbox("_public", "Board");
    assert!(rights.contains(&"mayReadItems".to_owned()), "{rights:?}");
    assert_eq!(bob.emails("_public", &board), Vec::<String>::new());
    let got = bob.of("alice", "Mailbox/get", json!({ "ids": null }))["list"][0].clone();
    assert_eq!((&got["name"], &got["parentId"]), (&json!("Projects/Secret"), &Value::Null), "{got}");
}

/// Push is of all accounts, and of one that is given while the stream is open.
#[test]
fn push_tells_of_shared_accounts() {
    let instance = everything();
    let mut alice = instance.imap("alice");
    share(&mut alice, "Plans", "lr");
    let bob = Jmap::new(&instance, "bob");
    let mut events = instance.http();
    events.send("GET", "/jmap/events?types=Email&closeafter=no&ping=0", &bob.fields, b"");
    assert_eq!(events.head().status, 200);
    let mut wait = |what: &str, done: &dyn Fn(&Value) -> bool| {
        let end = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < end, "nothing of {what}");
            let text = String::from_utf8(events.chunk().expect("an event")).unwrap();
            let Some(data) = text.lines().find_map(|line| line.strip_prefix("data: ")) else { continue };
            let data: Value = serde_json::from_str(data).unwrap();
            if done(&data["changed"]) {
                return data["changed"].clone();
            }
        }
    };
    let first = wait("the beginning", &|changed| changed["alice"]["Email"].is_string());
    assert!(alice.append("Plans", "", MESSAGE).starts_with("OK"));
    let known = first["alice"]["Email"].clone();
    wait("new mail", &|changed| changed["alice"]["Email"].is_string() && changed["alice"]["Email"] != known);
    let mut carol = instance.imap("carol");
    carol.ok("CREATE Gifts");
    carol.ok("SETACL Gifts bob lr");
    let given = wait("what was given", &|changed| changed["carol"]["Email"].is_string());
    assert!(carol.append("Gifts", "", MESSAGE).starts_with("OK"));
    wait("mail in what was given", &|changed| {
        changed["carol"]["Email"].is_string() && changed["carol"]["Email"] != given["carol"]["Email"]
    });
}

/// Two users who share an account each take an email out of another one of its two mailboxes, at the same moment: one of them is
/// refused, as it would be with both requests from one user.
#[test]
fn two_users_do_not_take_an_email_out_of_both_its_mailboxes() {
    const ROUNDS: usize = 25;
    let instance = everything();
    let mut alice = instance.imap("alice");
    for folder in ["One", "Two"] {
        alice.ok(&format!("CREATE {folder}"));
        alice.ok(&format!("SETACL {folder} bob lrswipte"));
    }
    let mut users = [Jmap::new(&instance, "alice"), Jmap::new(&instance, "bob")];
    let folders = ["One", "Two"].map(|folder| users[1].mailbox("alice", folder).0);
    for round in 0..ROUNDS {
        let blob = users[0].upload("alice", &format!("Subject: round {round}\r\n\r\nx\r\n"));
        let both = json!({ folders[0].as_str(): true, folders[1].as_str(): true });
        let new = json!({ "new": { "blobId": blob, "mailboxIds": both } });
        let made = users[0].of("alice", "Email/import", json!({ "emails": new }));
        let email = made["created"]["new"]["id"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned();
        assert_eq!(users[1].emails("alice", &folders[1])[0], email, "bob sees it");
        let start = Barrier::new(users.len());
        let take = |user: &mut Jmap, folder: &str| {
            let patch = json!({ format!("mailboxIds/{folder}"): null });
            let update = json!({ "update": { email.as_str(): patch } });
            start.wait();
            user.of("alice", "Email/set", update)
        };
        let [one, two] = &mut users;
        let answers = std::thread::scope(|scope| {
            let other = scope.spawn(|| take(two, &folders[1]));
            [take(one, &folders[0]), other.join().unwrap()]
        });
        let done = answers.iter().filter(|one| one["updated"].get(&email).is_some()).count();
        assert_eq!(done, 1, "round {round}: {answers:?}");
        let got = users[0].of("alice", "Email/get", json!({ "ids": [email], "properties": ["mailboxIds"] }));
        assert_eq!(got["list"][0]["mailboxIds"].as_object().map(|is_in| is_in.len()), Some(1), "{got}");
        let gone = users[0].of("alice", "Email/set", json!({ "destroy": [email] }));
        assert_eq!(gone["destroyed"], json!([email]), "{gone}");
    }
}

/// A user may have the uid that is the account of nobody's folders; what that user shares does not take the account's place.
#[test]
fn a_user_cannot_be_taken_for_the_public_folders() {
    let mut instance = Setup::default().users(&["_public", "bob"]).start();
    instance.start_one("http");
    let (mut user, mut bob) = (instance.imap("_public"), Jmap::new(&instance, "bob"));
    share(&mut user, "Bait", "lr");
    assert_eq!(bob.session()["accounts"].as_object().unwrap().len(), 1, "there are no public folders");
    black_box::run(instance.tool("mboxutil").args(["-c", "Board"]));
    let session = bob.session();
    assert_eq!(session["accounts"]["_public"]["name"], "Shared Folders", "{session}");
    let got = bob.of("_public", "Mailbox/get", json!({ "ids": null }));
    let names: Vec<&Value> = got["list"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["Board"], "{got}");
}

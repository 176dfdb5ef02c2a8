//! The methods about the user's own account, over an embedded directory, and sending to a smtpd that says what a test wants.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};

use directory::{Authenticator, Directory, Embedded, Entry, Found, LogIns};
use jmap::{Jmap, Parts, Who};
use message_store::{Limits, MailboxName, NewMessage, Store, StoreLog, StoreSettings};
use serde_json::{Value, json};
use server_config::{Config, Instance};
use server_log::Log;
use tempfile::TempDir;

#[path = "account/submission.rs"]
mod submission;

/// joe's password is `secret-of-joe`. Its hash is one that takes no time: a request waits for the check for some seconds at most,
/// and all tests of a busy machine check at once.
const ENTRIES: &str = "version: 1

dn: uid=joe,o=x
objectClass: mailRecipient
objectClass: nsMessagingServerUser
uid: joe
cn: Joe User
mail: joe@example.com
mailAlternateAddress: j.user@example.com
mailAlternateAddress: @catchall.example
nswmExtendedUserPrefs: otherProgram=stays
userPassword: {SSHA}9rnO21e1GZARdMkLwIq6h7wYl8BzYWx0c2FsdA==

dn: uid=amy,o=x
objectClass: mailRecipient
uid: amy
cn: Amy Smith
mail: amy@example.com
";

struct Site {
    jmap: Jmap,
    store: Store,
    directory: Arc<dyn Directory>,
    folder: TempDir,
}

impl Site {
    fn new() -> Site {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("directory.ldif"), ENTRIES).unwrap();
        std::fs::create_dir(folder.path().join("run")).unwrap();
        let store = Store::open(StoreSettings::in_folder(folder.path()), StoreLog::discard()).unwrap();
        let path = folder.path().join("directory.ldif");
        let directory: Arc<dyn Directory> = Arc::new(Embedded::open(&path, Log::discard()).unwrap());
        let jmap = Site::another(&folder, &store, &directory);
        Site { jmap, store, directory, folder }
    }

    /// Another process.
    fn another(folder: &TempDir, store: &Store, directory: &Arc<dyn Directory>) -> Jmap {
        let config = Config::from_text("local.hostname = mail.example.com\n").unwrap();
        let instance = Instance::new(folder.path());
        let authenticator = Authenticator::new(Arc::clone(directory), &config);
        let parts = Parts {
            store: store.clone(),
            directory: Arc::clone(directory),
            log_ins: Arc::new(LogIns::new(authenticator, &config, &instance, &Log::discard()).unwrap()),
            config: Arc::new(config),
            instance,
            log: Log::discard(),
        };
        Jmap::new(&parts).unwrap()
    }

    fn entry(&self) -> Arc<Entry> {
        match self.directory.by_uid("joe").unwrap() {
            Found::One(entry) => entry,
            other => panic!("{other:?}"),
        }
    }

    /// What is remembered of joe's sending.
    fn record(&self) -> std::path::PathBuf {
        self.folder.path().join("store/webmail").join(base::hashdir::path("joe")).join("joe.sent")
    }

    fn who(&self) -> Who {
        let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Who { uid: "joe".into(), entry: self.entry(), peer, session: "test".into() }
    }

    fn call(&self, name: &str, arguments: Value) -> Value {
        self.call_to(&self.jmap, name, arguments)
    }

    fn call_to(&self, jmap: &Jmap, name: &str, mut arguments: Value) -> Value {
        arguments["accountId"] = json!("joe");
        let using = [
            "urn:ietf:params:jmap:core",
            "urn:ietf:params:jmap:mail",
            "urn:ietf:params:jmap:submission",
            "urn:ietf:params:jmap:vacationresponse",
            "urn:ietf:params:jmap:quota",
            "urn:x-mailboat:jmap:account",
        ];
        let body = json!({ "using": using, "methodCalls": [[name, arguments, "c"]] }).to_string();
        let answer = jmap.request(&self.who(), body.as_bytes()).unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        answer["methodResponses"][0][1].clone()
    }

    /// The only object of a type.
    fn single(&self, kind: &str) -> Value {
        self.call(&format!("{kind}/get"), json!({ "ids": null }))["list"][0].clone()
    }

    /// Why the only object of a type did not become this; nothing when it did.
    fn update(&self, kind: &str, mut arguments: Value, patch: Value) -> Option<String> {
        arguments["update"] = json!({ "singleton": patch });
        let answer = self.call(&format!("{kind}/set"), arguments);
        let is_done = answer["updated"].get("singleton").is_some();
        let why = answer["notUpdated"]["singleton"]["type"].as_str().map(str::to_owned);
        assert_ne!(is_done, why.is_some(), "{answer}");
        why
    }

    fn attribute(&self, name: &str) -> Vec<String> {
        self.entry().attributes.get(name).cloned().unwrap_or_default()
    }

    /// Puts a message into a mailbox; its email id.
    fn add(&self, message: &str) -> String {
        self.store.ensure_user("joe").unwrap();
        let before = self.emails();
        let mailbox = self.store.open_mailbox(&MailboxName::inbox("joe").unwrap()).unwrap();
        let mut incoming = mailbox.begin_append().unwrap();
        incoming.write_all(message.as_bytes()).unwrap();
        let new = NewMessage { flags: message_store::Flags::NONE, keywords: Vec::new(), internal_date_ns: 1 };
        incoming.finish(new).unwrap();
        let after = self.emails();
        after.into_iter().find(|id| !before.contains(id)).unwrap()
    }

    fn emails(&self) -> Vec<String> {
        let found = self.call("Email/query", json!({ "filter": null }));
        found["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
    }

    fn identity(&self) -> String {
        let found = self.call("Identity/get", json!({ "ids": null }));
        let list = found["list"].as_array().unwrap();
        let own = list.iter().find(|one| one["email"] == "joe@example.com").unwrap();
        own["id"].as_str().unwrap().to_owned()
    }
}

/// S119 to S125: each property is one value, and what others keep there stays.
#[test]
fn preferences_are_values_of_the_directory() {
    let site = Site::new();
    let before = site.single("Preferences");
    assert_eq!(
        (&before["draftFolder"], &before["sentFolder"], &before["viewSize"], &before["autoSign"]),
        (&json!("Drafts"), &json!("Sent"), &json!(100), &json!(false))
    );
    for (property, value, written) in [
        ("draftFolder", json!("Entwürfe"), "meDraftFolder=Entwürfe"),
        ("sentFolder", json!("Sent/2026"), "meSentFolder=Sent/2026"),
        ("autoSign", json!(true), "meAutoSign=true"),
        ("signature", json!("Joe\n<b>not bold</b> $5 ü"), "meSignature=Joe$<b>not bold</b> \\245 ü"),
        ("vCard", json!("BEGIN:VCARD\nEND:VCARD"), "vCard=BEGIN:VCARD$END:VCARD"),
        ("expungeOnExit", json!(true), "meExpungeOnExit=true"),
        ("viewSize", json!(30), "meViewSize=30"),
        ("theme", json!("dark"), "mailboat.theme=\"dark\""),
        ("imageSenders", json!(["a@b.c"]), "mailboat.imageSenders=[\"a@b.c\"]"),
    ] {
        let others: Vec<String> = site.attribute("nswmextendeduserprefs");
        assert_eq!(site.update("Preferences", json!({}), json!({ property: value })), None, "{property}");
        let now = site.attribute("nswmextendeduserprefs");
        assert!(now.contains(&written.to_owned()), "{now:?}");
        assert!(others.iter().all(|other| now.contains(other)) && now.len() == others.len() + 1, "{now:?}");
        assert_eq!(site.single("Preferences")[property], value);
    }
    assert_eq!(site.update("Preferences", json!({}), json!({ "theme": null, "signature": "" })), None);
    let now = site.attribute("nswmextendeduserprefs");
    assert!(!now.iter().any(|value| value.contains("theme") || value.contains("meSignature")), "{now:?}");
    assert_eq!(site.update("Preferences", json!({}), json!({ "language": "ja" })), None);
    assert_eq!(site.attribute("preferredlanguage"), ["ja"]);
}

#[test]
fn what_is_no_preference_is_refused_and_nothing_is_written() {
    let site = Site::new();
    let before = std::fs::read(site.folder.path().join("directory.ldif")).unwrap();
    let long = "x".repeat(40_000);
    for patch in [
        json!({ "viewSize": 0 }),
        json!({ "viewSize": -1 }),
        json!({ "viewSize": 1_000_000 }),
        json!({ "viewSize": "30" }),
        json!({ "autoSign": "yes" }),
        json!({ "signature": 1 }),
        json!({ "signature": long }),
        json!({ "draftFolder": "a//b" }),
        json!({ "draftFolder": "a\nb" }),
        json!({ "language": "not a tag" }),
        json!({ "With-Dash": 1 }),
        json!({ "theme": "dark", "viewSize": 0 }),
        json!({ "big": long }),
    ] {
        assert_eq!(
            site.update("Preferences", json!({}), patch.clone()).as_deref(),
            Some("invalidProperties"),
            "{patch}"
        );
    }
    let other = site.call("Preferences/set", json!({ "update": { "other": {} }, "destroy": ["singleton"] }));
    assert_eq!(other["notUpdated"]["other"]["type"], "notFound");
    assert_eq!(other["notDestroyed"]["singleton"]["type"], "singleton");
    let state = site.call("Preferences/get", json!({}))["state"].clone();
    let mismatch = site
        .call("Preferences/set", json!({ "ifInState": "x", "update": { "singleton": { "viewSize": 7 } } }));
    assert_eq!(mismatch["type"], "stateMismatch");
    assert_eq!(std::fs::read(site.folder.path().join("directory.ldif")).unwrap(), before);
    assert_eq!(site.call("Preferences/get", json!({}))["state"], state);
}

/// S126: in the user's language, where autoreply-handler finds it.
#[test]
fn a_vacation_is_written_in_the_users_language() {
    let site = Site::new();
    assert_eq!(site.update("Preferences", json!({}), json!({ "language": "ja" })), None);
    let patch = json!({
        "isEnabled": true, "textBody": "不在です。\nジョー", "subject": "不在",
        "fromDate": "2026-11-29T00:00:00Z", "toDate": "2026-12-24T12:00:00Z",
    });
    assert_eq!(site.update("VacationResponse", json!({}), patch), None);
    assert_eq!(site.attribute("mailautoreplymode"), ["vacation"]);
    assert_eq!(site.attribute("mailautoreplytext;lang-ja"), ["不在です。$ジョー"]);
    assert!(site.attribute("mailautoreplytext").is_empty());
    assert_eq!(site.attribute("vacationstartdate"), ["20261129000000Z"]);
    assert_eq!(site.attribute("vacationenddate"), ["20261224120000Z"]);
    let got = site.single("VacationResponse");
    assert_eq!((&got["textBody"], &got["subject"]), (&json!("不在です。\nジョー"), &json!("不在")));
    assert_eq!(got["toDate"], "2026-12-24T12:00:00Z");
    // One language more, one less.
    assert_eq!(
        site.update("VacationResponse", json!({}), json!({ "texts/": "Away", "texts/de": "Weg" })),
        None
    );
    assert_eq!(site.attribute("mailautoreplytext"), ["Away"]);
    assert_eq!(site.attribute("mailautoreplytext;lang-de"), ["Weg"]);
    assert_eq!(
        site.update("VacationResponse", json!({}), json!({ "texts/ja": null, "isEnabled": false })),
        None
    );
    assert!(
        site.attribute("mailautoreplytext;lang-ja").is_empty()
            && site.attribute("mailautoreplymode").is_empty()
    );
    assert_eq!(site.attribute("mailautoreplytext;lang-de"), ["Weg"]);
    for patch in [
        json!({ "toDate": "2026-11-28T00:00:00Z" }),
        json!({ "fromDate": "tomorrow" }),
        json!({ "htmlBody": "<p>x" }),
        json!({ "subject": "two\nlines" }),
        json!({ "texts": { "DE": "x" } }),
        json!({ "isEnabled": "yes" }),
        json!({ "other": 1 }),
    ] {
        let why = site.update("VacationResponse", json!({}), patch.clone());
        assert_eq!(why.as_deref(), Some("invalidProperties"), "{patch}");
    }
}

#[test]
fn a_forwarding_asks_for_the_password_and_keeps_the_rest() {
    let site = Site::new();
    let with = json!({ "password": "secret-of-joe" });
    let patch = json!({ "addresses": ["x@elsewhere.example", "X@elsewhere.example"], "keepCopy": false });
    for wrong in [json!({}), json!({ "password": "wrong" })] {
        assert_eq!(site.update("Forwarding", wrong, patch.clone()).as_deref(), Some("wrongPassword"));
    }
    assert!(site.entry().forward.is_empty());
    assert_eq!(site.update("Forwarding", with.clone(), patch), None);
    assert_eq!(site.entry().forward, ["x@elsewhere.example"]);
    assert!(!site.entry().delivery.mailbox);
    assert_eq!(site.update("Forwarding", with.clone(), json!({ "keepCopy": true })), None);
    assert!(site.entry().delivery.mailbox && !site.entry().forward.is_empty());
    for wrong in
        [json!(["joe@example.com"]), json!(["no address"]), json!("x@y.example"), json!(["a@b.c\r\nX"])]
    {
        let why = site.update("Forwarding", with.clone(), json!({ "addresses": wrong }));
        assert_eq!(why.as_deref(), Some("invalidProperties"), "{wrong}");
    }
    assert_eq!(site.update("Forwarding", with, json!({ "addresses": [], "keepCopy": false })), None);
    assert!(site.entry().forward.is_empty() && site.entry().delivery.mailbox, "the mail has to go somewhere");
}

#[test]
fn identities_are_ones_own_addresses() {
    let site = Site::new();
    let all = site.call("Identity/get", json!({ "ids": null }));
    let emails: Vec<&str> =
        all["list"].as_array().unwrap().iter().map(|one| one["email"].as_str().unwrap()).collect();
    assert!(
        emails.len() == 2 && emails.contains(&"joe@example.com") && emails.contains(&"j.user@example.com")
    );
    let state = all["state"].as_str().unwrap().to_owned();
    let id = site.identity();
    let patch = json!({ "textSignature": "Joe\nof Example", "htmlSignature": "<b>Joe</b>",
        "replyTo": [{ "name": "Office", "email": "office@example.com" }] });
    let done = site.call(
        "Identity/set",
        json!({ "update": { id.as_str(): patch }, "create": {
        "mine": { "email": "j.user@example.com", "name": "J. User" },
        "other": { "email": "amy@example.com" }, "all": { "email": "@catchall.example" },
    }, "destroy": [id] }),
    );
    assert!(done["updated"].get(&id).is_some(), "{done}");
    assert_eq!(done["notCreated"]["other"]["type"], "forbiddenFrom");
    assert_eq!(done["notCreated"]["all"]["type"], "forbiddenFrom");
    assert_eq!(done["notDestroyed"][&id]["type"], "forbidden");
    let mine = done["created"]["mine"]["id"].as_str().unwrap().to_owned();
    assert_eq!(
        site.single("Preferences")["signature"],
        "Joe\nof Example",
        "S121: one signature, wherever it is set"
    );
    let got = site.call("Identity/get", json!({ "ids": [id, mine] }))["list"].clone();
    assert_eq!(got[0]["textSignature"], "Joe\nof Example");
    assert_eq!(got[0]["replyTo"][0]["email"], "office@example.com");
    assert_eq!((&got[1]["name"], &got[1]["mayDelete"]), (&json!("J. User"), &json!(true)));
    let changes = site.call("Identity/changes", json!({ "sinceState": state }));
    assert_eq!(changes["created"], json!([mine]));
    assert!(changes["updated"].as_array().unwrap().contains(&json!(id)), "{changes}");
    let gone = site.call("Identity/set", json!({ "destroy": [mine] }));
    assert_eq!(gone["destroyed"], json!([mine]));
    let bad = json!({ "update": { id.as_str(): { "email": "amy@example.com" } } });
    assert_eq!(site.call("Identity/set", bad)["notUpdated"][&id]["type"], "invalidProperties");
}

#[test]
fn a_password_is_changed_by_who_knows_it() {
    let site = Site::new();
    let change =
        |old: &str, new: &str| site.call("Credential/set", json!({ "oldPassword": old, "newPassword": new }));
    assert_eq!(change("wrong-one", "another-secret")["type"], "wrongPassword");
    for bad in ["short", "secret-of-joe", "joe@example.com", " blanks around ", "with\ncontrol"] {
        assert_eq!(change("secret-of-joe", bad)["type"], "badPassword", "{bad}");
    }
    let who = site.who();
    assert!(!site.jmap.password_was_changed(&who));
    assert_eq!(change("secret-of-joe", "another-secret")["accountId"], "joe");
    assert!(site.jmap.password_was_changed(&who) && !site.jmap.password_was_changed(&who), "told once");
    assert!(site.directory.check_password(&site.entry(), "another-secret").unwrap());
    assert!(!site.directory.check_password(&site.entry(), "secret-of-joe").unwrap());
    assert_eq!(site.attribute("nswmextendeduserprefs"), ["otherProgram=stays"]);
}

#[test]
fn a_quota_is_told_when_there_is_one() {
    let site = Site::new();
    assert_eq!(site.call("Quota/get", json!({ "ids": null }))["list"], json!([]));
    let limits = Limits { bytes: Some(1_000_000), messages: Some(10) };
    site.add("From: joe@example.com\r\n\r\nx\r\n");
    site.store.set_limits("joe", limits, Limits::default()).unwrap();
    let got = site.call("Quota/get", json!({ "ids": null }));
    let of = |id: &str| got["list"].as_array().unwrap().iter().find(|one| one["id"] == id).unwrap().clone();
    assert_eq!((&of("count")["used"], &of("count")["hardLimit"]), (&json!(1), &json!(10)));
    assert_eq!((&of("octets")["hardLimit"], &of("octets")["scope"]), (&json!(1_000_000), &json!("account")));
    let state = got["state"].as_str().unwrap();
    assert_eq!(site.call("Quota/changes", json!({ "sinceState": state }))["updated"], json!([]));
    site.add("From: joe@example.com\r\n\r\ny\r\n");
    let changes = site.call("Quota/changes", json!({ "sinceState": state }));
    assert_eq!(changes["updated"], json!(["count", "octets"]));
    let query =
        site.call("Quota/query", json!({ "filter": { "resourceType": "octets" }, "calculateTotal": true }));
    assert_eq!((&query["ids"], &query["total"]), (&json!(["octets"]), &json!(1)));
}

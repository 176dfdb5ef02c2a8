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

/// The password of both is `secret-of-joe`.
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
userPassword: {SSHA}PASSWORD

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
        let hash = directory::password::hash("secret-of-joe").unwrap();
        std::fs::write(folder.path().join("directory.ldif"), ENTRIES.replace("{SSHA}PASSWORD", &hash))
            .unwrap();
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

type Answers = Arc<Mutex<Vec<(&'static str, String)>>>;

type Act = Box<dyn FnOnce() + Send>;

/// What smtpd was told, and what it says to lines that begin so; 250 otherwise.
struct Smtpd {
    said: Arc<Mutex<Vec<String>>>,
    answers: Answers,
    /// What happens, once, before it answers the end of data.
    before_end: Arc<Mutex<Option<Act>>>,
}

impl Smtpd {
    fn start(site: &Site) -> Smtpd {
        let listener = UnixListener::bind(site.folder.path().join("run/submission")).unwrap();
        let said: Arc<Mutex<Vec<String>>> = Arc::default();
        let answers: Answers = Arc::default();
        let smtpd = Smtpd { said: said.clone(), answers: answers.clone(), before_end: Arc::default() };
        let before_end = smtpd.before_end.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut reader = BufReader::new(stream.unwrap());
                let _ = reader.get_mut().write_all(b"220 hello\r\n");
                let mut in_data = false;
                loop {
                    let mut line = String::new();
                    if reader.read_line(&mut line).unwrap_or(0) == 0 {
                        break;
                    }
                    let line = line.trim_end().to_owned();
                    said.lock().unwrap().push(line.clone());
                    if in_data && line != "." {
                        continue;
                    }
                    in_data = line == "DATA";
                    if let Some(act) = before_end.lock().unwrap().take_if(|_| line == ".") {
                        act();
                    }
                    let scripted = answers
                        .lock()
                        .unwrap()
                        .iter()
                        .find(|(to, _)| line.starts_with(to))
                        .map(|(_, a)| a.clone());
                    let usual = match line.as_str() {
                        "DATA" => "354 go on".to_owned(),
                        "." => "250 2.0.0 Q1 accepted".to_owned(),
                        _ => "250 2.0.0 OK".to_owned(),
                    };
                    let answer = scripted.unwrap_or(usual);
                    if answer.is_empty()
                        || line == "QUIT"
                        || reader.get_mut().write_all(format!("{answer}\r\n").as_bytes()).is_err()
                    {
                        break; // it dies
                    }
                }
            }
        });
        smtpd
    }

    fn answer(&self, to: &'static str, with: &str) {
        let mut answers = self.answers.lock().unwrap();
        answers.retain(|(other, _)| *other != to);
        answers.push((to, with.to_owned()));
    }

    fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().drain(..).collect()
    }

    fn count(&self, line: &str) -> usize {
        self.said.lock().unwrap().iter().filter(|said| *said == line).count()
    }
}

const MESSAGE: &str = "From: Joe <joe@example.com>\r\nTo: Amy Smith <amy@example.com>\r\nBcc: hidden@example.com\r\nSubject: x\r\n\
    Message-ID: <1@x>\r\n\r\n.dot\r\n";

fn in_an_hour() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let hour = utc(now + 3600);
    format!("250 2.0.0 Q1 accepted, held until {hour}")
}

/// `UTCDate` of a second.
fn utc(second: u64) -> String {
    let days = i64::try_from(second / 86_400).unwrap();
    let (hour, minute, second) = (second / 3600 % 24, second / 60 % 60, second % 60);
    // Days to a date: the civil calendar, from 0000-03-01 on.
    let z = days + 719_468;
    let era = z / 146_097;
    let of_era = z - era * 146_097;
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

fn create(site: &Site, jmap: &Jmap, object: Value) -> Value {
    let mut object = object;
    if object.get("identityId").is_none() {
        object["identityId"] = json!(site.identity());
    }
    site.call_to(jmap, "EmailSubmission/set", json!({ "create": { "s": object } }))
}

#[test]
fn a_message_is_given_to_smtpd_as_its_user_and_without_bcc() {
    let site = Site::new();
    let smtpd = Smtpd::start(&site);
    smtpd.answer(".", &in_an_hour());
    let email = site.add(MESSAGE);
    let done = create(
        &site,
        &site.jmap,
        json!({ "emailId": email, "envelope": {
        "mailFrom": { "email": "joe@example.com", "parameters": { "HOLDFOR": "3600" } },
        "rcptTo": [{ "email": "amy@example.com" }, { "email": "hidden@example.com", "parameters": { "NOTIFY": "NEVER" } }],
    } }),
    );
    let made = &done["created"]["s"];
    assert_eq!(made["undoStatus"], "pending", "{done}");
    let id = made["id"].as_str().unwrap();
    let said = smtpd.said();
    assert!(said.contains(&"XCLIENT LOGIN=joe".to_owned()));
    let mail = said.iter().find(|line| line.starts_with("MAIL")).unwrap();
    assert_eq!(*mail, format!("MAIL FROM:<joe@example.com> BODY=8BITMIME ENVID={id} HOLDFOR=3600"));
    assert!(said.contains(&"RCPT TO:<hidden@example.com> NOTIFY=NEVER".to_owned()), "{said:?}");
    assert!(
        said.contains(&"..dot".to_owned()) && !said.iter().any(|line| line.starts_with("Bcc")),
        "{said:?}"
    );
    let got = site.call("EmailSubmission/get", json!({ "ids": [id] }))["list"][0].clone();
    assert_eq!((&got["emailId"], &got["undoStatus"]), (&json!(email), &json!("pending")));
    // Other properties of it are fixed, another user's are not there.
    let fixed =
        site.call("EmailSubmission/set", json!({ "update": { id: { "sendAt": "2000-01-01T00:00:00Z" } } }));
    assert_eq!(fixed["notUpdated"][id]["type"], "invalidProperties");
    // Who was written to is proposed.
    let people = site.call("Recipient/query", json!({ "text": "AMY" }))["list"].clone();
    assert_eq!(people, json!([{ "name": "Amy Smith", "email": "amy@example.com", "source": "own" }]));
    assert_eq!(site.call("Recipient/query", json!({ "text": "*" }))["list"], json!([]));
    let of_directory = site.call("Recipient/query", json!({ "text": "joe" }))["list"].clone();
    assert_eq!(of_directory[0]["source"], "directory");
    // Taken back: smtpd does it, or it is told that it is too late.
    smtpd.answer("XHELD", "250 2.0.0 queued");
    smtpd.answer("XUNDO", "554 5.5.1 too late");
    let cancel = |id: &str| {
        site.call("EmailSubmission/set", json!({ "update": { id: { "undoStatus": "canceled" } } }))
    };
    assert_eq!(cancel(id)["notUpdated"][id]["type"], "cannotUnsend");
    assert_eq!(site.call("EmailSubmission/get", json!({ "ids": [id] }))["list"][0]["undoStatus"], "final");
}

#[test]
fn what_is_taken_back_is_canceled_once_smtpd_says_so() {
    let site = Site::new();
    let smtpd = Smtpd::start(&site);
    smtpd.answer(".", &in_an_hour());
    let email = site.add(MESSAGE);
    let held = json!({ "emailId": email, "envelope": { "mailFrom": { "email": "joe@example.com", "parameters": { "HOLDFOR": "3600" } },
        "rcptTo": [{ "email": "amy@example.com" }] } });
    let before = site.call("EmailSubmission/get", json!({ "ids": null }))["state"].clone();
    let made = create(&site, &site.jmap, held.clone());
    let id = made["created"]["s"]["id"].as_str().unwrap().to_owned();
    // smtpd dies before its answer: nothing is claimed.
    smtpd.answer("XUNDO", "");
    let cancel = || {
        site.call("EmailSubmission/set", json!({ "update": { id.as_str(): { "undoStatus": "canceled" } } }))
    };
    assert_eq!(cancel()["notUpdated"][&id]["type"], "serverUnavailable");
    // It had done it: gone before its time, and it was this that asked.
    smtpd.answer("XUNDO", "550 5.1.1 none");
    smtpd.answer("XHELD", "550 5.1.1 none");
    assert!(cancel()["updated"].get(&id).is_some());
    assert_eq!(site.call("EmailSubmission/get", json!({ "ids": [id] }))["list"][0]["undoStatus"], "canceled");
    assert_eq!(cancel()["updated"].get(&id), Some(&Value::Null), "it is so already");
    let changes = site.call("EmailSubmission/changes", json!({ "sinceState": before }));
    assert_eq!(changes["created"], json!([id]));
    let query = json!({ "filter": { "undoStatus": "canceled", "emailIds": [email] }, "sort": [{ "property": "sentAt" }] });
    assert_eq!(site.call("EmailSubmission/query", query)["ids"], json!([id]));
    let gone = site.call("EmailSubmission/set", json!({ "destroy": [id] }));
    assert_eq!(gone["destroyed"], json!([id]));
    assert_eq!(site.call("EmailSubmission/get", json!({ "ids": [id] }))["notFound"], json!([id]));
}

/// The client's second attempt after smtpd, or this process, died: the message goes once.
#[test]
fn an_attempt_that_was_interrupted_is_not_repeated_blindly() {
    let site = Site::new();
    let smtpd = Smtpd::start(&site);
    let email = site.add(MESSAGE);
    let held = |seconds: &str| {
        json!({ "emailId": email, "envelope": {
        "mailFrom": { "email": "joe@example.com", "parameters": { "HOLDFOR": seconds } },
        "rcptTo": [{ "email": "amy@example.com" }] } })
    };
    // Killed behind the end of data: it may have it.
    smtpd.answer(".", "");
    let failed = create(&site, &site.jmap, held("3600"));
    assert_eq!(failed["notCreated"]["s"]["type"], "serverUnavailable", "{failed}");
    assert_eq!(site.call("EmailSubmission/get", json!({ "ids": null }))["list"], json!([]), "it is none yet");
    // It is at it still: nothing is known, and nothing sent.
    smtpd.answer("XHELD envid=", "451 4.3.0 being taken");
    smtpd.said();
    let failed = create(&site, &site.jmap, held("3600"));
    assert_eq!(failed["notCreated"]["s"]["type"], "serverUnavailable", "{failed}");
    assert_eq!(smtpd.count("DATA"), 0, "not again");
    // It had it: another process finds it, and sends nothing.
    let until = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 3000;
    smtpd.answer("XHELD envid=", &format!("250 2.0.0 held {until} Q7"));
    smtpd.said();
    let another = Site::another(&site.folder, &site.store, &site.directory);
    let made = create(&site, &another, held("3600"));
    assert_eq!(made["created"]["s"]["undoStatus"], "pending", "{made}");
    assert_eq!(smtpd.count("DATA"), 0, "not again");
    // The answer to that was lost: asked for again, it is the same, and it goes once.
    let again = create(&site, &site.jmap, held("3600"));
    assert_eq!(again["created"]["s"]["id"], made["created"]["s"]["id"], "{again}");
    assert_eq!(smtpd.count("DATA"), 0, "not again");
    // It had another not, and its time has not come: it is sent now.
    let failed = create(&site, &site.jmap, held("3601"));
    assert_eq!(failed["notCreated"]["s"]["type"], "serverUnavailable");
    smtpd.answer("XHELD envid=", "550 5.1.1 none");
    smtpd.answer(".", &in_an_hour());
    assert_eq!(create(&site, &site.jmap, held("3601"))["created"]["s"]["undoStatus"], "pending");
    // Nobody can know: it is said, and the next attempt is the user's decision.
    smtpd.answer(".", "");
    assert_eq!(create(&site, &site.jmap, held("0"))["notCreated"]["s"]["type"], "serverUnavailable");
    assert_eq!(create(&site, &site.jmap, held("0"))["notCreated"]["s"]["type"], "forbiddenToSend");
    smtpd.answer(".", "250 2.0.0 Q9 accepted");
    let sent = create(&site, &site.jmap, held("0"));
    assert_eq!(sent["created"]["s"]["undoStatus"], "final");
    // It went just now; to others, or once taken back, it goes again.
    smtpd.said();
    assert_eq!(create(&site, &site.jmap, held("0"))["created"]["s"]["id"], sent["created"]["s"]["id"]);
    assert_eq!(smtpd.count("DATA"), 0);
    let id = made["created"]["s"]["id"].as_str().unwrap();
    site.call("EmailSubmission/set", json!({ "update": { id: { "undoStatus": "canceled" } } }));
    let mut others = held("0");
    others["envelope"]["rcptTo"][0]["email"] = json!("bob@example.com");
    for object in [held("3600"), others] {
        let known = [&sent, &made].map(|one| one["created"]["s"]["id"].clone());
        let new = create(&site, &site.jmap, object)["created"]["s"]["id"].clone();
        assert!(new.is_string() && !known.contains(&new), "{new}");
    }
    assert_eq!(smtpd.count("DATA"), 2);
    // An upload goes once, too.
    let of_email = site.call("Email/get", json!({ "ids": [email], "properties": ["blobId"] }));
    let upload = || json!({ "blobId": of_email["list"][0]["blobId"], "envelope": held("0")["envelope"] });
    let [one, again] = [(); 2].map(|()| create(&site, &site.jmap, upload())["created"]["s"]["id"].clone());
    assert!(one.is_string() && one == again, "{one} {again}");
    assert_eq!(smtpd.count("DATA"), 3);
}

/// smtpd has it, and then the disk is at fault: "nothing was sent" would have the user send it twice.
#[test]
fn what_smtpd_has_taken_is_a_success_even_if_it_cannot_be_written_down() {
    let site = Site::new();
    let smtpd = Smtpd::start(&site);
    let email = site.add(MESSAGE);
    smtpd.answer(".", &in_an_hour());
    let record = site.record();
    let (place, aside) = (record.clone(), record.with_extension("aside"));
    *smtpd.before_end.lock().unwrap() = Some(Box::new(move || {
        std::fs::rename(&place, &aside).unwrap();
        std::fs::create_dir(&place).unwrap(); // cannot be read, by root neither
    }));
    let done = create(&site, &site.jmap, json!({ "emailId": email }));
    let made = &done["created"]["s"];
    assert_eq!(made["undoStatus"], "pending", "{done}");
    // The disk is mended: the record has it still as what was being sent, and smtpd is asked.
    std::fs::remove_dir(&record).unwrap();
    std::fs::rename(record.with_extension("aside"), &record).unwrap();
    let until = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 3000;
    smtpd.answer("XHELD envid=", &format!("250 2.0.0 held {until} Q1"));
    let again = create(&site, &site.jmap, json!({ "emailId": email }));
    assert_eq!(again["created"]["s"]["id"], made["id"], "{again}");
    assert_eq!(smtpd.count("DATA"), 1, "not again");
}

#[test]
fn what_may_not_be_sent_is_refused_as_the_standard_says() {
    let site = Site::new();
    let email = site.add(MESSAGE);
    let down = create(&site, &site.jmap, json!({ "emailId": email }));
    assert_eq!(down["notCreated"]["s"]["type"], "serverUnavailable", "smtpd does not run");
    let smtpd = Smtpd::start(&site);
    let refused = |object: Value| {
        create(&site, &site.jmap, object)["notCreated"]["s"]["type"].as_str().unwrap_or("sent").to_owned()
    };
    let to = |list: Value| json!({ "mailFrom": { "email": "joe@example.com" }, "rcptTo": list });
    let amy = json!([{ "email": "amy@example.com" }]);
    for (object, kind) in [
        (json!({ "emailId": "Mnone" }), "invalidProperties"),
        (json!({}), "invalidProperties"),
        (json!({ "emailId": email, "identityId": "none" }), "invalidProperties"),
        (json!({ "emailId": email, "undoStatus": "final" }), "invalidProperties"),
        (json!({ "emailId": email, "envelope": to(json!([])) }), "noRecipients"),
        (
            json!({ "emailId": email, "envelope": to(json!([{ "email": "no address" }])) }),
            "invalidRecipients",
        ),
        (
            json!({ "emailId": email, "envelope": to(json!([{ "email": "a@b.c>\r\nDATA" }])) }),
            "invalidRecipients",
        ),
        (
            json!({ "emailId": email, "envelope": { "mailFrom": { "email": "amy@example.com" }, "rcptTo": amy } }),
            "forbiddenMailFrom",
        ),
        (
            json!({ "emailId": email, "envelope": { "mailFrom": { "email": "joe@example.com", "parameters": { "AUTH": "x" } }, "rcptTo": amy } }),
            "invalidProperties",
        ),
    ] {
        assert_eq!(refused(object.clone()), kind, "{object}");
    }
    for (message, kind) in [
        ("From: amy@example.com\r\nTo: amy@example.com\r\nMessage-ID: <2@x>\r\n\r\nx\r\n", "forbiddenFrom"),
        ("From: joe@example.com, amy@example.com\r\nMessage-ID: <3@x>\r\n\r\nx\r\n", "invalidEmail"),
        ("To: amy@example.com\r\nMessage-ID: <4@x>\r\n\r\nx\r\n", "invalidEmail"),
        (
            "From: joe@example.com\r\nSender: amy@example.com\r\nMessage-ID: <5@x>\r\n\r\nx\r\n",
            "forbiddenFrom",
        ),
        (
            "Resent-From: amy@example.com\r\nFrom: joe@example.com\r\nMessage-ID: <6@x>\r\n\r\nx\r\n",
            "forbiddenFrom",
        ),
    ] {
        let id = site.add(message);
        assert_eq!(refused(json!({ "emailId": id, "envelope": to(amy.clone()) })), kind, "{message}");
    }
    assert_eq!(smtpd.count("DATA"), 0);
    for (to_line, with, kind) in [
        ("RCPT", "550 5.1.1 No such user here", "invalidRecipients"),
        ("RCPT", "452 4.5.3 Too many recipients", "tooManyRecipients"),
        ("RCPT", "451 4.3.0 later", "rateLimit"),
        ("MAIL", "552 5.3.4 too big", "tooLarge"),
        ("MAIL", "553 5.7.1 not yours", "forbiddenMailFrom"),
        ("MAIL", "501 5.5.4 too far ahead", "invalidProperties"),
        ("MAIL", "450 4.7.1 too fast", "rateLimit"),
        (".", "554 5.7.1 a filter says no", "invalidEmail"),
    ] {
        smtpd.answers.lock().unwrap().clear();
        smtpd.answer(to_line, with);
        assert_eq!(refused(json!({ "emailId": email })), kind, "{with}");
        assert_eq!(
            site.call("EmailSubmission/get", json!({ "ids": null }))["list"].as_array().unwrap().len(),
            0,
            "{with}"
        );
    }
    // What others wrote is passed on by whom the first Resent-From names (RFC 5322 §3.6.6).
    smtpd.answers.lock().unwrap().clear();
    let passed_on =
        "Resent-From: joe@example.com\r\nResent-From: amy@example.com\r\nFrom: eve@example.org\r\n";
    let id = site.add(&format!("{passed_on}Message-ID: <7@x>\r\n\r\nx\r\n"));
    assert_eq!(refused(json!({ "emailId": id, "envelope": to(amy.clone()) })), "sent");
}

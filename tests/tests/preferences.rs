//! What users prefer, in the directory, and what it does (S119 to S126): the same in every kind of
//! directory.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use black_box::directories::{self, Kind, Server};
use black_box::instance::{IMAP, SUBMISSION};
use black_box::{Imap, Instance, Setup, Smtp, WebClient, run};
use serde_json::{Value, json};

/// A running suite with web mail.
struct Site {
    instance: Instance,
    _server: Option<Server>,
}

fn start(kind: Kind, setup: Setup) -> Site {
    let site = directories::Site::start(kind, setup, |_| {});
    Site { instance: site.instance, _server: site.server }
}
impl Site {
    /// What send.msc answers to this form, sent by a session of alice's.
    fn send(&self, form: &[(&str, &str)]) -> String {
        let mut http = self.instance.http();
        let fields = "Content-Type: application/x-www-form-urlencoded\r\n";
        let response = http.ask("POST", "/login.msc", fields, b"user=alice&password=alice-secret");
        assert_eq!(response.status, 302, "{}", response.text());
        let sid = response.field("location").split_once("sid=").unwrap().1.to_owned();
        let encoded = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        let body: Vec<String> =
            form.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let response = http.ask("POST", &format!("/send.msc?sid={sid}"), fields, body.join("&").as_bytes());
        assert_eq!(response.status, 200, "{}", response.text());
        response.text()
    }

    /// The last message of a mailbox of alice's or bob's, with its line ends made plain.
    fn last(&self, user: &str, mailbox: &str) -> String {
        let mut imap = self.instance.imap(user);
        let count = imap.exists(mailbox);
        assert!(count > 0, "{mailbox} is empty");
        imap.ok(&format!("EXAMINE {mailbox}"));
        imap.ok(&format!("FETCH {count} BODY.PEEK[]")).join("\n").replace('\r', "")
    }

    fn wait_for(&self, user: &str, count: u32) {
        self.instance.wait_for_messages(user, count);
    }
}

fn special_use(instance: &Instance, mailbox: &str) -> String {
    instance.imap("alice").ok(&format!("LIST (SPECIAL-USE) \"\" \"{mailbox}\"")).join("\n")
}

/// S119, S123: mail of one's own goes where the preferences say; the mailbox is made, subscribed and marked.
fn own_mail_goes_where_the_preferences_say(kind: Kind) {
    let site = &start(kind, Setup::default());
    let mut alice = WebClient::sign_in(&site.instance, "alice");
    for (mailbox, mark) in [("Drafts", "\\Drafts"), ("Sent", "\\Sent"), ("Trash", "\\Trash")] {
        assert!(special_use(&site.instance, mailbox).contains(mark), "made at the first sign-in: {mailbox}");
    }
    alice.update("Preferences", json!({ "draftFolder": "Half done", "sentFolder": "Gone/Out" }));
    assert!(special_use(&site.instance, "Half done").contains("\\Drafts"));
    assert!(special_use(&site.instance, "Gone/Out").contains("\\Sent"));
    assert!(!special_use(&site.instance, "Drafts").contains("\\Drafts"), "one mailbox is for drafts");
    let said =
        site.send(&[("to", "bob@example.test"), ("subject", "a draft"), ("text", "x"), ("draft", "true")]);
    assert!(said.contains("draft=\"Half done\""), "{said}");
    assert!(site.last("alice", "\"Half done\"").contains("Subject: a draft"));
    let said = site.send(&[
        ("to", "bob@example.test"),
        ("subject", "hello bob"),
        ("text", "x"),
        ("bcc", "alice@example.test"),
    ]);
    assert!(said.contains("copy=\"Gone/Out\""), "{said}");
    site.wait_for("bob", 1);
    assert!(
        site.last("alice", "Gone/Out").contains("Bcc: alice@example.test"),
        "the copy tells whom it was for"
    );
    let got = site.last("bob", "INBOX");
    assert!(got.contains("Subject: hello bob") && !got.to_lowercase().contains("\nbcc:"), "{got}");
    let said =
        site.send(&[("to", "bob@example.test"), ("subject", "no copy"), ("text", "x"), ("copy", "false")]);
    assert!(said.contains("copy=null"), "{said}");
    assert_eq!(site.instance.imap("alice").exists("Gone/Out"), 1);
}

/// S120, S121, S122.
fn signature_and_card_go_along(kind: Kind) {
    let site = &start(kind, Setup::default());
    let mut alice = WebClient::sign_in(&site.instance, "alice");
    let card = "BEGIN:VCARD\nVERSION:3.0\nFN:Alice Ü\nEND:VCARD";
    alice.update("Preferences", json!({ "signature": "Alice\n<i>Wonderland</i> $1", "vCard": card }));
    let to = [("to", "bob@example.test"), ("text", "the text")];
    site.send(&[&to[..], &[("subject", "plain")]].concat());
    site.wait_for("bob", 1);
    assert!(!site.last("bob", "INBOX").contains("Wonderland"), "not asked for");
    alice.update("Preferences", json!({ "autoSign": true }));
    site.send(&[&to[..], &[("subject", "signed"), ("vcard", "true")]].concat());
    site.wait_for("bob", 2);
    let got = site.last("bob", "INBOX");
    assert!(got.contains("the text\n\n-- \nAlice\n<i>Wonderland</i> $1\n"), "{got}");
    let part = got.split_once("Content-Type: text/vcard").unwrap_or_else(|| panic!("{got}")).1;
    let base64: String =
        part.split_once("\n\n").unwrap().1.split("\n--").next().unwrap().split_whitespace().collect();
    assert_eq!(String::from_utf8(STANDARD.decode(base64).unwrap()).unwrap(), card.replace('\n', "\r\n"));
}

/// S124.
fn deleted_messages_go_at_sign_out_when_asked_for(kind: Kind) {
    let site = &start(kind, Setup::default());
    let count = |mailbox: &str| site.instance.imap("alice").exists(mailbox);
    let mut imap = site.instance.imap("alice");
    imap.ok("CREATE Other");
    for mailbox in ["INBOX", "Other"] {
        imap.append(mailbox, "(\\Deleted) ", "Subject: gone\r\n\r\nx\r\n");
        imap.append(mailbox, "", "Subject: stays\r\n\r\nx\r\n");
    }
    WebClient::sign_in(&site.instance, "alice").sign_out();
    assert_eq!((count("INBOX"), count("Other")), (2, 2), "it is not asked for");
    let mut alice = WebClient::sign_in(&site.instance, "alice");
    alice.update("Preferences", json!({ "expungeOnExit": true }));
    assert_eq!(count("INBOX"), 2, "not before the end");
    alice.sign_out();
    assert_eq!((count("INBOX"), count("Other")), (1, 1));
}

/// S125.
fn a_page_has_as_many_rows_as_the_user_wants(kind: Kind) {
    let site = &start(kind, Setup::default());
    let mut imap = site.instance.imap("alice");
    for n in 0..40 {
        imap.append("INBOX", "", &format!("Subject: number {n}\r\nMessage-ID: <{n}@x>\r\n\r\nx\r\n"));
    }
    let mut http = site.instance.http();
    let response = http.ask("POST", "/login.msc?user=alice&password=alice-secret", "", b"");
    let sid = response.field("location").split_once("sid=").unwrap().1.to_owned();
    let mut rows = |more: &str| {
        let text = http.get(&format!("/mbox.msc?sid={sid}&mbox=INBOX{more}"), "").text();
        let count =
            text.lines().find_map(|line| line.strip_prefix("count=")).unwrap_or_else(|| panic!("{text}"));
        (count.parse::<u32>().unwrap(), text.matches("number ").count())
    };
    assert_eq!(rows(""), (40, 40), "a hundred would fit");
    let mut alice = WebClient::sign_in(&site.instance, "alice");
    alice.update("Preferences", json!({ "viewSize": 30 }));
    assert_eq!(rows(""), (30, 30));
    assert_eq!(rows("&start=30"), (10, 10));
    assert_eq!(rows("&count=5"), (5, 5));
    assert_eq!(alice.single("Preferences")["viewSize"], 30);
}

/// S126: what is written in the web mail is what autoreply-handler answers, in the language and its charset.
fn an_answer_is_in_the_users_language(kind: Kind) {
    let site = &start(kind, Setup::default());
    let mut alice = WebClient::sign_in(&site.instance, "alice");
    alice.update("Preferences", json!({ "language": "ja" }));
    alice.update(
        "VacationResponse",
        json!({ "isEnabled": true, "textBody": "不在です。\n代金は$5です。", "subject": "不在のお知らせ" }),
    );
    let texts = alice.single("VacationResponse")["texts"].clone();
    assert_eq!(
        texts,
        json!({ "ja": "不在です。\n代金は$5です。" }),
        "written with the language, and without it not"
    );
    // The mta may have looked before.
    let mut smtp = site.instance.submission("bob");
    smtp.send_message(
        "bob@example.test",
        &["alice@example.test"],
        "Subject: are you there\r\nTo: alice@example.test\r\n\r\nx\r\n",
    );
    site.wait_for("alice", 1);
    site.wait_for("bob", 1);
    let answer = site.last("bob", "INBOX");
    assert!(answer.contains("Content-Language: ja"), "{answer}");
    let subject = answer.lines().find(|line| line.starts_with("Subject: ")).unwrap();
    assert!(subject.contains("=?"), "{subject}");
    let charset = answer.split_once("charset=").unwrap().1.split(['\n', ';']).next().unwrap().to_lowercase();
    assert!(["utf-8", "iso-2022-jp"].contains(&charset.trim_matches('"')), "{answer}");
    let body = answer.split_once("\n\n").unwrap().1.split("\n)").next().unwrap();
    let compact: String = body.split_whitespace().collect();
    let decoded = STANDARD.decode(&compact).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let text = decoded.unwrap_or_else(|_| body.to_owned());
    assert!(text.contains("不在です") || text.contains("\u{1b}$B") || text.contains("=E4=B8=8D"), "{answer}");
    // Switched off, nothing is answered.
    alice.update("VacationResponse", json!({ "isEnabled": false }));
    smtp.send_message(
        "bob@example.test",
        &["alice@example.test"],
        "Subject: again\r\nTo: alice@example.test\r\n\r\nx\r\n",
    );
    site.wait_for("alice", 2);
    site.instance.wait_for_empty_queue();
    assert_eq!(site.instance.imap("bob").exists("INBOX"), 1);
}

fn mail_is_forwarded_by_who_knows_the_password(kind: Kind) {
    let site = &start(kind, Setup::default());
    let mut alice = WebClient::sign_in(&site.instance, "alice");
    let patch = json!({ "singleton": { "addresses": ["bob@example.test"], "keepCopy": false } });
    let refused = alice.call("Forwarding/set", json!({ "update": patch }));
    assert_eq!(refused["notUpdated"]["singleton"]["type"], "wrongPassword", "{refused}");
    let done = alice.call("Forwarding/set", json!({ "update": patch, "password": "alice-secret" }));
    assert!(done["updated"].get("singleton").is_some(), "{done}");
    let mut smtp = site.instance.smtp();
    smtp.ok("EHLO client.test");
    smtp.send_message("x@elsewhere.test", &["alice@example.test"], "Subject: onward\r\n\r\nx\r\n");
    site.wait_for("bob", 1);
    assert_eq!(site.instance.imap("alice").exists("INBOX"), 0);
}

/// The session that changed the password goes on, others end; the new password opens everything at once.
fn a_password_is_changed_for_every_service(kind: Kind) {
    let site = &start(kind, Setup::default());
    let mut alice = WebClient::sign_in(&site.instance, "alice");
    let mut other = WebClient::sign_in(&site.instance, "alice");
    let change = |client: &mut WebClient, old: &str, new: &str| -> Value {
        client.call("Credential/set", json!({ "oldPassword": old, "newPassword": new }))
    };
    assert_eq!(change(&mut alice, "wrong-secret", "another-secret")["type"], "wrongPassword");
    let done = change(&mut alice, "alice-secret", "another-secret");
    assert_eq!(done["accountId"], "alice", "{done}");
    assert_eq!(alice.http.get("/auth/session", &alice.fields.clone()).status, 200, "it goes on");
    assert_eq!(other.http.get("/auth/sessions", &other.fields.clone()).status, 401, "it has ended");
    let mut imap = Imap::open(site.instance.connect(IMAP));
    assert!(imap.command("LOGIN alice another-secret").1.contains("OK"));
    let mut smtp = Smtp::open(site.instance.connect(SUBMISSION));
    smtp.log_in("alice", "another-secret");
    assert_eq!(site.instance.http().try_sign_in("alice", "alice-secret", "").status, 401);
}

/// Whoever the directory shows is proposed, and no text becomes a filter.
fn people_of_the_directory_are_proposed(kind: Kind) {
    let site = &start(kind, Setup::default());
    let mut alice = WebClient::sign_in(&site.instance, "alice");
    let found = |client: &mut WebClient, text: &str| {
        client.call("Recipient/query", json!({ "text": text }))["list"].clone()
    };
    assert_eq!(found(&mut alice, "bo")[0]["email"], "bob@example.test");
    for text in ["*", "b", "*)(uid=bob", "ob", "\\62\\6f"] {
        assert_eq!(found(&mut alice, text), json!([]), "{text}");
    }
}

black_box::in_every_directory! {
    own_mail_goes_where_the_preferences_say
    signature_and_card_go_along
    deleted_messages_go_at_sign_out_when_asked_for
    a_page_has_as_many_rows_as_the_user_wants
    an_answer_is_in_the_users_language
    mail_is_forwarded_by_who_knows_the_password
    a_password_is_changed_for_every_service
    people_of_the_directory_are_proposed
}

/// What others keep in the entry stays, to the value; the file's other entries to the byte.
#[test]
fn one_value_is_written_and_the_rest_of_the_file_stays() {
    let site = start(Kind::Embedded, Setup::default());
    let read = || {
        let mut text = String::new();
        fs::File::open(site.instance.path("config/directory.ldif"))
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        text
    };
    run(site.instance.tool("dirutil").args(["change", "alice", "--add", "nswmExtendedUserPrefs=other=1"]));
    let before = read();
    let mut alice = WebClient::sign_in(&site.instance, "alice");
    alice.update("Preferences", json!({ "viewSize": 30 }));
    let after = read();
    assert_eq!(after.replace("nswmExtendedUserPrefs: meViewSize=30\n", ""), before);
}

/// S123: who has no room left can send all the same, and is told that there is no copy.
#[test]
fn who_is_over_quota_sends_and_is_told() {
    let site = start(Kind::Embedded, Setup::default().set("store.quotaenforcement", "yes"));
    run(site.instance.tool("dirutil").args(["change", "alice", "--set", "mailQuota=2000"]));
    let mut smtp = site.instance.smtp();
    smtp.ok("EHLO client.test");
    let large = format!("Subject: large\r\n\r\n{}", "x\r\n".repeat(400));
    smtp.send_message("x@elsewhere.test", &["alice@example.test"], &large);
    site.wait_for("alice", 1);
    let said = site.send(&[("to", "bob@example.test"), ("subject", "full"), ("text", &"y".repeat(1500))]);
    assert!(said.contains("copy=\"overQuota\"") && said.contains("sent=\"S"), "{said}");
    site.wait_for("bob", 1);
    assert!(site.last("bob", "INBOX").contains("Subject: full"));
}

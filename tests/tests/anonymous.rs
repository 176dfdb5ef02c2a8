//! Who logs in as nobody in particular (RFC 4505) reads, in each protocol, and neither submits mail nor changes anything.
#![allow(clippy::unwrap_used)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use black_box::instance::{IMAP, POP, SMTP, SUBMISSION, SUBMISSIONS, WEB};
use black_box::{Imap, Instance, Pop, Setup, Smtp, Wire};
use serde_json::{Value, json};

const TRACE: &str = "c29tZWJvZHk="; // somebody

fn with_anonymous(mechanisms: &str) -> Setup {
    Setup::default().set("service.saslmechanisms", mechanisms).set("service.anonymoususer", "bob")
}

fn instance() -> Instance {
    with_anonymous("PLAIN ANONYMOUS").set("service.http.allowanonymouslogin", "yes").start()
}

/// A server that relayed for anybody would be an open relay.
#[test]
fn smtp_has_no_anonymous_and_relays_for_nobody() {
    for mechanisms in ["PLAIN ANONYMOUS", "ANONYMOUS"] {
        let instance = with_anonymous(mechanisms).start();
        for port in [SUBMISSIONS, SUBMISSION, SMTP] {
            let wire = match port {
                SUBMISSIONS => Wire::tls(instance.connect(port), &instance.path("config/certs/ca.pem")),
                _ => Wire::plain(instance.connect(port)),
            };
            let mut smtp = Smtp::over(wire);
            let offered = smtp.ok("EHLO client.example");
            assert!(!offered.contains("ANONYMOUS"), "{port}: {offered}");
            let refusal =
                if port == SUBMISSIONS || mechanisms.starts_with("PLAIN") { "504 5.5.4" } else { "538" };
            for asked in ["AUTH ANONYMOUS", "AUTH anonymous c29tZWJvZHk=", "AUTH ANONYMOUS ="] {
                let said = smtp.ask(asked);
                assert!(said.starts_with(refusal), "{port} {asked}: {said}");
            }
            let mail = smtp.ask("MAIL FROM:<bob@example.test>");
            let relayed = smtp.ask("RCPT TO:<x@elsewhere.invalid>");
            assert!(relayed.starts_with('5'), "{port}: {mail} {relayed}");
            assert_eq!(mail.starts_with("530"), port != SMTP, "{port}: {mail}");
        }
        assert!(!instance.log("smtp").contains(" ANONYMOUS"), "nobody was let in");
    }
}

/// What the account's owner sees of it.
fn as_its_owner_sees_it(instance: &Instance) -> Vec<String> {
    let mut owner = instance.imap("bob");
    let mut all = owner.ok("LIST \"\" *");
    all.extend(owner.ok("LSUB \"\" *"));
    for mailbox in ["INBOX", "Old"] {
        all.extend(owner.ok(&format!("GETACL {mailbox}")));
        all.extend(owner.ok(&format!("GETMETADATA {mailbox} /private/comment")));
        all.extend(owner.ok(&format!("EXAMINE {mailbox}")));
        all.extend(owner.ok("UID FETCH 1:* (FLAGS MODSEQ)"));
    }
    all.extend(
        owner
            .ok("SELECT \"Shared Folders/User/alice/Open\"")
            .into_iter()
            .filter(|line| line.contains("UNSEEN")),
    );
    all
}

fn fill(instance: &Instance) {
    let mut owner = instance.imap("bob");
    owner.ok("CREATE Old");
    for (mailbox, flags) in [("INBOX", "()"), ("INBOX", "(\\Deleted)"), ("Old", "()")] {
        let said = owner.append(mailbox, &format!("{flags} "), "Subject: for all\r\n\r\nText.\r\n");
        assert!(said.starts_with("OK"), "{said}");
    }
    owner.ok("SETACL Old alice lr");
    let mut alice = instance.imap("alice");
    alice.ok("CREATE Open");
    alice.ok("SETACL Open bob lrswipkxtea");
    assert!(alice.append("Open", "", "Subject: of alice\r\n\r\nText.\r\n").starts_with("OK"));
}

fn anybody_by_imap(instance: &Instance) -> Imap {
    let mut imap = Imap::open(instance.connect(IMAP));
    imap.ok(&format!("AUTHENTICATE ANONYMOUS {TRACE}"));
    imap
}

#[test]
fn imap_reads_and_changes_nothing() {
    let instance = instance();
    fill(&instance);
    let shared = "\"Shared Folders/User/alice/Open\"";
    let before = as_its_owner_sees_it(&instance);
    let mut imap = anybody_by_imap(&instance);
    let (_, selected) = imap.command("SELECT INBOX");
    assert!(selected.starts_with("OK [READ-ONLY]"), "{selected}");
    let fetched = imap.ok("FETCH 1:* (FLAGS BODY[])");
    assert!(
        fetched.len() == 2 && fetched[0].contains("for all") && !fetched[0].contains("\\Seen"),
        "{fetched:?}"
    );
    assert_eq!(imap.ok("MYRIGHTS INBOX"), ["* MYRIGHTS \"INBOX\" lr"]);
    assert_eq!(imap.ok(&format!("MYRIGHTS {shared}")), [format!("* MYRIGHTS {shared} lr")]);
    let changes = [
        "STORE 1 +FLAGS (\\Seen)",
        "UID STORE 1 +FLAGS (\\Deleted)",
        "EXPUNGE",
        "UID EXPUNGE 1:*",
        "COPY 1 Old",
        "MOVE 1 Old",
        "CREATE New",
        "DELETE Old",
        "RENAME Old New",
        "SUBSCRIBE Old",
        "UNSUBSCRIBE INBOX",
        "SETACL INBOX anyone lr",
        "SETACL Old alice +w",
        "DELETEACL Old alice",
        "SETQUOTA \"\" (STORAGE 1)",
        "SETMETADATA INBOX (/private/comment \"mine\")",
        "GENURLAUTH \"imap://bob@localhost/INBOX/;UID=1;URLAUTH=anonymous\" INTERNAL",
        "RESETKEY",
        "RESETKEY INBOX INTERNAL",
        "PROXYAUTH alice",
    ];
    for change in changes {
        let said = imap.refused(change);
        assert!(said.starts_with("NO [NOPERM]"), "{change}: {said}");
    }
    for mailbox in ["INBOX", "Old", shared] {
        let said = imap.append(mailbox, "", "Subject: mine\r\n\r\nText.\r\n");
        assert!(said.contains("NO [NOPERM]"), "{mailbox}: {said}");
    }
    imap.wire.send(b"r UID REPLACE 1 INBOX {4+}\r\ntext\r\n");
    let said = imap.until_tagged("r").1;
    assert!(said.starts_with("NO [NOPERM]"), "{said}");
    imap.ok("CLOSE"); // expunges nothing
    let (_, selected) = imap.command(&format!("SELECT {shared}"));
    assert!(selected.starts_with("OK [READ-ONLY]"), "{selected}");
    assert!(imap.ok("FETCH 1 BODY[]")[0].contains("of alice"));
    assert!(imap.refused("STORE 1 +FLAGS (\\Seen)").starts_with("NO [NOPERM]"));
    imap.ok("UNSELECT");
    imap.ok("NOOP");
    assert_eq!(before, as_its_owner_sees_it(&instance));
    // The account's own password does all that.
    let mut owner = instance.imap("bob");
    assert!(owner.command("SELECT INBOX").1.starts_with("OK [READ-WRITE]"));
    for change in changes.iter().filter(|change| !change.starts_with("SET") && !change.contains("PROXY")) {
        let (_, said) = owner.command(change);
        assert!(!said.starts_with("NO [NOPERM]"), "{change}: {said}");
    }
}

#[test]
fn pop_reads_and_deletes_nothing() {
    let instance = with_anonymous("PLAIN ANONYMOUS").set("service.pop.popminpoll", "10").start();
    fill(&instance);
    let before = as_its_owner_sees_it(&instance);
    let mut pop = Pop::open(instance.connect(POP));
    pop.ok(&format!("AUTH ANONYMOUS {TRACE}"));
    assert!(pop.lines("RETR 1").contains(&"Subject: for all".to_owned()));
    for number in [1, 2, 9] {
        let said = pop.refused(&format!("DELE {number}"));
        assert!(said.starts_with("-ERR [AUTH] "), "{said}");
    }
    pop.ok("RSET");
    assert!(pop.ok("STAT").starts_with("+OK 2 "));
    pop.ok("QUIT");
    assert!(pop.wire.is_closed());
    assert_eq!(before, as_its_owner_sees_it(&instance));
    // Its owner comes right behind, and deletes.
    let mut owner = Pop::open(instance.connect(POP));
    owner.ok("USER bob");
    owner.ok("PASS bob-secret");
    owner.ok("DELE 1");
}

/// Those who only read keep neither each other nor the owner out of the maildrop, and the owner does not keep them out.
#[test]
fn pop_sessions_of_anybody_lock_nothing() {
    let instance = with_anonymous("PLAIN ANONYMOUS").start();
    fill(&instance);
    let anybody = || {
        let mut pop = Pop::open(instance.connect(POP));
        pop.ok(&format!("AUTH ANONYMOUS {TRACE}"));
        pop
    };
    let (mut first, mut second) = (anybody(), anybody());
    let mut owner = Pop::open(instance.connect(POP));
    owner.ok("USER bob");
    owner.ok("PASS bob-secret");
    let mut third = anybody();
    let mut other = Pop::open(instance.connect(POP));
    other.ok("USER bob");
    assert!(other.refused("PASS bob-secret").starts_with("-ERR [IN-USE]"), "two owners");
    owner.ok("DELE 1");
    owner.ok("QUIT");
    for pop in [&mut first, &mut second, &mut third] {
        assert!(pop.ok("STAT").starts_with("+OK 2 "), "as it was at the log-in");
        assert!(!pop.lines("RETR 2").is_empty());
    }
    assert!(anybody().ok("STAT").starts_with("+OK 1 "));
}

#[test]
fn jmap_reads_and_changes_nothing() {
    let mut instance = instance();
    instance.start_one(WEB.0);
    fill(&instance);
    let fields = |user: &str| format!("Authorization: Basic {}\r\n", STANDARD.encode(user));
    let (anybody, owner) = (fields("anonymous:guest"), fields("bob:bob-secret"));
    let ask = |fields: &str, name: &str, arguments: Value| -> Value {
        let mut arguments = arguments;
        arguments["accountId"] = json!("bob");
        let using = ["core", "mail", "submission", "vacationresponse"];
        let mut using: Vec<String> = using.iter().map(|one| format!("urn:ietf:params:jmap:{one}")).collect();
        using.push("urn:x-mailboat:jmap:account".into());
        let body = json!({ "using": using, "methodCalls": [[name, arguments, "0"]] });
        let response = instance.http().post_json("/jmap/api", fields, &body.to_string());
        response.json()["methodResponses"][0].clone()
    };
    ask(&owner, "Mailbox/get", json!({ "ids": null })); // the folders of one's own are made
    let before = as_its_owner_sees_it(&instance);
    let session = |fields: &str| instance.http().get("/jmap/session", fields).json()["accounts"].clone();
    assert_eq!(session(&owner)["bob"]["isReadOnly"], false);
    for (account, of) in session(&anybody).as_object().unwrap() {
        assert_eq!(of["isReadOnly"], true, "{account}");
    }
    let mailboxes = ask(&anybody, "Mailbox/get", json!({ "ids": null }));
    let rights = &mailboxes[1]["list"][0]["myRights"];
    for (right, may) in rights.as_object().unwrap() {
        assert_eq!(*may, json!(right == "mayReadItems"), "{right}");
    }
    let found = ask(&anybody, "Email/query", json!({}));
    let email = found[1]["ids"][0].as_str().unwrap();
    let got = ask(&anybody, "Email/get", json!({ "ids": [email], "properties": ["subject", "blobId"] }));
    assert_eq!(got[1]["list"][0]["subject"], "for all");
    let blob = got[1]["list"][0]["blobId"].as_str().unwrap();
    let inbox = mailboxes[1]["list"].as_array().unwrap().iter().find(|one| one["role"] == "inbox").unwrap();
    let inbox = inbox["id"].as_str().unwrap();
    let places = json!({ inbox: true });
    let changes = [
        ("Email/set", json!({ "update": { email: { "keywords/$seen": true } } })),
        ("Email/set", json!({ "create": { "k": { "mailboxIds": places, "subject": "mine" } } })),
        ("Email/set", json!({ "destroy": [email] })),
        ("Mailbox/set", json!({ "create": { "k": { "name": "Mine" } } })),
        ("Mailbox/set", json!({ "update": { inbox: { "isSubscribed": false } } })),
        ("Email/import", json!({ "emails": { "k": { "blobId": blob, "mailboxIds": places } } })),
        (
            "Email/copy",
            json!({ "fromAccountId": "alice", "create": { "k": { "id": email, "mailboxIds": places } } }),
        ),
        ("Blob/copy", json!({ "fromAccountId": "alice", "blobIds": [blob] })),
        ("EmailSubmission/set", json!({})),
        ("AppPassword/get", json!({ "ids": null })),
        ("AppPassword/set", json!({})),
        ("SecondFactor/get", json!({ "ids": null })),
        ("SecondFactor/begin", json!({})),
        ("Credential/set", json!({})),
    ];
    for (name, arguments) in &changes {
        let answer = ask(&anybody, name, arguments.clone());
        assert_eq!(
            (&answer[0], &answer[1]["type"]),
            (&json!("error"), &json!("forbidden")),
            "{name}: {answer}"
        );
    }
    let upload = |fields: &str| {
        let fields = format!("{fields}Content-Type: text/plain\r\n");
        instance.http().ask("POST", "/jmap/upload/bob", &fields, b"Text.\r\n").status
    };
    assert_eq!(upload(&anybody), 403);
    assert_eq!(upload(&owner), 201);
    assert_eq!(before, as_its_owner_sees_it(&instance));
    for (name, arguments) in changes {
        let answer = ask(&owner, name, arguments);
        assert_ne!(answer[1]["type"], "forbidden", "{name}: {answer}");
    }
    assert_ne!(before, as_its_owner_sees_it(&instance));
}

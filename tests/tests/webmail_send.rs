//! Sending from the web mail: once, at its time or not at all, whatever dies meanwhile, by the rules of submission.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use black_box::{Act, Instance, Setup, Step, StubMta, WebClient, World, run};
use serde_json::{Value, json};

fn start(mut instance: Instance) -> Instance {
    instance.start_all();
    instance.start_one("http");
    instance
}

/// Puts a message into alice's drafts by IMAP; its id for JMAP.
fn draft(instance: &Instance, alice: &mut WebClient, subject: &str) -> String {
    let message = format!(
        "From: Alice <alice@example.test>\r\nTo: bob@example.test\r\nBcc: alice@example.test\r\nSubject: {subject}\r\n\
         Message-ID: <{subject}@example.test>\r\n\r\n.\r\ntext\r\n"
    );
    instance.imap("alice").append("Drafts", "(\\Draft \\Seen) ", &message);
    alice.newest()
}

/// Sends it to bob; the response to EmailSubmission/set.
fn submit(alice: &mut WebClient, email: &str, hold: &str) -> Value {
    let parameters = if hold.is_empty() { Value::Null } else { json!({ "HOLDFOR": hold }) };
    let object = json!({ "identityId": alice.identity(), "emailId": email, "envelope": {
        "mailFrom": { "email": "alice@example.test", "parameters": parameters },
        "rcptTo": [{ "email": "bob@example.test" }],
    } });
    alice.call("EmailSubmission/set", json!({ "create": { "s": object } }))
}

fn id(answer: &Value) -> String {
    answer["created"]["s"]["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

fn get(alice: &mut WebClient, id: &str) -> Value {
    alice.call("EmailSubmission/get", json!({ "ids": [id] }))["list"][0].clone()
}

fn in_queue(instance: &Instance) -> String {
    run(instance.tool("mailq").arg("-l"))
}

#[test]
fn a_message_goes_as_submitted_mail_does_and_its_bcc_stays_behind() {
    let instance = Setup::default().create();
    run(instance.tool("dkimutil").args(["create", "example.test", "s1"]));
    let instance = start(instance);
    let mut alice = WebClient::sign_in(&instance, "alice");
    let email = draft(&instance, &mut alice, "hello");
    let made = submit(&mut alice, &email, "");
    assert_eq!(made["created"]["s"]["undoStatus"], "final", "{made}");
    instance.wait_for_messages("bob", 1);
    let mut imap = instance.imap("bob");
    imap.ok("SELECT INBOX");
    let got = imap.ok("FETCH 1 BODY.PEEK[]").join("\n").replace('\r', "");
    assert!(got.contains("with ESMTPA id") && got.contains("\n\n.\ntext\n"), "{got}");
    assert!(got.contains("\nDKIM-Signature: ") && got.contains("d=example.test"), "signed: {got}");
    assert!(!got.contains("Bcc") && got.contains("Subject: hello"), "{got}");
    assert!(!got.contains(&format!("[{}]", instance.address)), "where the browser is, nobody is told: {got}");
}

/// Undo: what is taken back was sent to nobody, and what was sent cannot be.
#[test]
fn undo_is_exact() {
    let instance = start(Instance::start());
    let mut alice = WebClient::sign_in(&instance, "alice");
    let email = draft(&instance, &mut alice, "undone");
    let made = submit(&mut alice, &email, "3600");
    let undone = id(&made);
    assert_eq!(made["created"]["s"]["undoStatus"], "pending");
    assert!(in_queue(&instance).contains("held until"));
    assert_eq!(get(&mut alice, &undone)["deliveryStatus"]["bob@example.test"]["delivered"], "queued");
    // Nobody else's.
    let mut bob = WebClient::sign_in(&instance, "bob");
    let cancel = |client: &mut WebClient, id: &str| {
        client.call("EmailSubmission/set", json!({ "update": { id: { "undoStatus": "canceled" } } }))
    };
    assert_eq!(cancel(&mut bob, &undone)["notUpdated"][&undone]["type"], "notFound");
    assert!(cancel(&mut alice, &undone)["updated"].get(&undone).is_some());
    assert_eq!(get(&mut alice, &undone)["undoStatus"], "canceled");
    instance.wait_for_empty_queue();
    // One that has gone.
    let email = draft(&instance, &mut alice, "sent");
    let sent = id(&submit(&mut alice, &email, "1"));
    instance.wait_for_messages("bob", 1);
    assert_eq!(cancel(&mut alice, &sent)["notUpdated"][&sent]["type"], "cannotUnsend");
    assert_eq!(get(&mut alice, &sent)["undoStatus"], "final");
    assert_eq!(instance.imap("bob").exists("INBOX"), 1, "one of the two");
}

/// The page is closed, mshttpd killed, smtpd killed: it is sent at its time, and once.
#[test]
fn what_is_held_is_sent_once_whatever_dies_meanwhile() {
    let mut instance = start(Instance::start());
    let mut alice = WebClient::sign_in(&instance, "alice");
    let begun = Instant::now();
    let emails: Vec<String> = (0..3).map(|n| draft(&instance, &mut alice, &format!("held{n}"))).collect();
    let ids: Vec<String> = emails.iter().map(|email| id(&submit(&mut alice, email, "6"))).collect();
    instance.kill("http");
    instance.kill("smtp");
    instance.start_one("smtp");
    instance.start_one("http");
    let mut alice = alice.again(&instance);
    let (status, came) =
        (get(&mut alice, &ids[0])["undoStatus"].clone(), instance.imap("bob").exists("INBOX"));
    if begun.elapsed() < Duration::from_secs(5) {
        assert_eq!((status, came), (json!("pending"), 0), "both know of it still");
    }
    instance.wait_for_messages("bob", 3);
    assert!(begun.elapsed() > Duration::from_secs(5), "{:?}", begun.elapsed());
    instance.wait_for_empty_queue();
    assert_eq!(instance.imap("bob").exists("INBOX"), 3);
    assert_eq!(get(&mut alice, &ids[2])["undoStatus"], "final");
    let found = alice.call(
        "EmailSubmission/query",
        json!({ "filter": { "undoStatus": "final" }, "sort": [{ "property": "sentAt" }] }),
    );
    assert_eq!(found["ids"].as_array().unwrap().len(), 3, "{found}");
}

/// smtpd does not run: nothing is sent, it is said, and the next attempt sends it once.
#[test]
fn a_server_that_is_down_is_told_and_nothing_is_lost_or_doubled() {
    let mut instance = start(Instance::start());
    let mut alice = WebClient::sign_in(&instance, "alice");
    let email = draft(&instance, &mut alice, "later");
    instance.kill("smtp");
    let refused = submit(&mut alice, &email, "");
    assert_eq!(refused["notCreated"]["s"]["type"], "serverUnavailable", "{refused}");
    instance.start_one("smtp");
    let sent = id(&submit(&mut alice, &email, ""));
    // Its answer was lost: the browser asks again, and another process answers.
    instance.kill("http");
    instance.start_one("http");
    let mut alice = alice.again(&instance);
    assert_eq!(id(&submit(&mut alice, &email, "")), sent);
    instance.wait_for_messages("bob", 1);
    instance.wait_for_empty_queue();
    assert_eq!(instance.imap("bob").exists("INBOX"), 1);
}

#[test]
fn the_rules_of_submission_hold() {
    let world = World::new();
    let _refuses =
        world.served("refuses.test", StubMta::new().on(Step::Rcpt, &[Act::say("450 4.2.0 later\r\n")]));
    let mut instance = world
        .setup()
        .set("local.service.smtp.smtp-accept.maxfuturerelease", "100")
        .set("local.service.smtp.smtp-accept.maxrecipients", "3")
        .set("service.http.maxmessagesize", "2000")
        .create();
    instance.start_all();
    instance.start_one("http");
    let mut alice = WebClient::sign_in(&instance, "alice");
    let session = alice.http.get("/jmap/session", &alice.fields.clone()).json();
    let submission = &session["accounts"]["alice"]["accountCapabilities"]["urn:ietf:params:jmap:submission"];
    assert_eq!(submission["maxDelayedSend"], 100);
    let email = draft(&instance, &mut alice, "rules");
    assert_eq!(submit(&mut alice, &email, "101")["notCreated"]["s"]["type"], "invalidProperties");
    let large = draft(&instance, &mut alice, &"long".repeat(600));
    let refused = submit(&mut alice, &large, "")["notCreated"]["s"].clone();
    assert_eq!((&refused["type"], &refused["maxSize"]), (&json!("tooLarge"), &json!(2000)), "{refused}");
    let identity = alice.identity();
    let mut to = |rcpt: Value| {
        let object = json!({ "identityId": identity, "emailId": email, "envelope": {
            "mailFrom": { "email": "alice@example.test" }, "rcptTo": rcpt } });
        alice.call("EmailSubmission/set", json!({ "create": { "s": object } }))
    };
    let nobody = to(json!([{ "email": "bob@example.test" }, { "email": "nobody@example.test" }]));
    let refused = &nobody["notCreated"]["s"];
    assert_eq!(
        (&refused["type"], &refused["invalidRecipients"]),
        (&json!("invalidRecipients"), &json!(["nobody@example.test"]))
    );
    let many: Vec<Value> = (0..4).map(|n| json!({ "email": format!("x{n}@refuses.test") })).collect();
    assert_eq!(to(json!(many))["notCreated"]["s"]["type"], "tooManyRecipients");
    // To one who takes it later: it is queued, and that is told.
    let made = to(json!([{ "email": "x@refuses.test" }]));
    let deferred = id(&made);
    let waits = |alice: &mut WebClient| {
        get(alice, &deferred)["deliveryStatus"]["x@refuses.test"]["delivered"].clone()
    };
    instance.wait_for_queue("the deferred message", || {
        (waits(&mut WebClient::sign_in(&instance, "alice")) == "queued").then_some(())
    });
    assert_eq!(instance.imap("bob").exists("INBOX"), 0, "nobody of a message that was refused got it");
}

/// RFC 8621 §7.5: the Email/set behind a success, and none behind a failure.
#[test]
fn a_draft_becomes_a_sent_message_when_it_is_sent() {
    let instance = start(Instance::start());
    let mut alice = WebClient::sign_in(&instance, "alice");
    let mailboxes = alice.call("Mailbox/get", json!({ "ids": null }))["list"].clone();
    let of_role = |role: &str| {
        let found = mailboxes.as_array().unwrap().iter().find(|one| one["role"] == role).unwrap();
        found["id"].as_str().unwrap().to_owned()
    };
    let (drafts, sent) = (of_role("drafts"), of_role("sent"));
    let email = draft(&instance, &mut alice, "moves");
    let identity = alice.identity();
    let send = |alice: &mut WebClient, rcpt: &str, more: Value| {
        let mut arguments = json!({ "create": { "s": { "identityId": identity, "emailId": email, "envelope": {
            "mailFrom": { "email": "alice@example.test", "parameters": { "HOLDFOR": "3600" } }, "rcptTo": [{ "email": rcpt }] } } } });
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        alice.responses("EmailSubmission/set", arguments)
    };
    let moved = json!({ "onSuccessUpdateEmail": { "#s": {
        format!("mailboxIds/{drafts}"): null, format!("mailboxIds/{sent}"): true, "keywords/$draft": null } } });
    let failed = send(&mut alice, "nobody@example.test", moved.clone());
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!((instance.imap("alice").exists("Drafts"), instance.imap("alice").exists("Sent")), (1, 0));
    let done = send(&mut alice, "bob@example.test", moved);
    assert_eq!((done.len(), done[1].0.as_str()), (2, "Email/set"), "{done:?}");
    assert_eq!(done[1].1["updated"].get(&email), Some(&Value::Null), "{done:?}");
    assert_eq!((instance.imap("alice").exists("Drafts"), instance.imap("alice").exists("Sent")), (0, 1));
    // The email goes, and what was submitted is sent all the same.
    let submission = done[0].1["created"]["s"]["id"].as_str().unwrap().to_owned();
    let gone = alice.responses(
        "EmailSubmission/set",
        json!({ "destroy": [submission], "onSuccessDestroyEmail": [submission] }),
    );
    assert_eq!(gone[1].1["destroyed"], json!([email]), "{gone:?}");
    assert_eq!(instance.imap("alice").exists("Sent"), 0);
    let listed = run(instance.tool("mailq").args(["--json"]));
    let id = listed
        .split("\"queue_id\":\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .unwrap_or_else(|| panic!("{listed}"))
        .to_owned();
    run(instance.tool("msg-queue").args(["release", &id]));
    instance.wait_for_messages("bob", 1);
}

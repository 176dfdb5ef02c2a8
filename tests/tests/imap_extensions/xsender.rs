//! XSENDER: whose address the From is, told only of what a user submitted who had logged in with that address.

use black_box::{Setup, Smtp, run};

use super::*;

fn instance() -> Instance {
    Setup::default().users(&["alice", "bob"]).start()
}

/// Sends to bob; nothing of the envelope says who it was.
fn send(smtp: &mut Smtp, header: &str, subject: &str) {
    let text = format!("{header}Subject: {subject}\r\n\r\nx\r\n");
    smtp.send_message("alice@example.test", &["bob@example.test"], &text);
}

/// What is told of the messages of bob's selected mailbox, by subject.
fn told(bob: &mut Imap) -> std::collections::BTreeMap<String, String> {
    bob.ok("NOOP");
    let rows = bob.ok("FETCH 1:* (XSENDER BODY.PEEK[HEADER.FIELDS (SUBJECT)])").join("\n");
    let rows = rows.split("* ").skip(1).map(|row| {
        let sender = row.split_once("XSENDER \"").unwrap().1.split_once('"').unwrap().0;
        let subject = row.split_once("Subject: ").unwrap().1.lines().next().unwrap();
        (subject.trim().to_owned(), sender.to_owned())
    });
    rows.collect()
}

const ALICE: &str = "From: Alice <alice@example.test>\r\n";

#[test]
fn who_logged_in_and_wrote_in_their_own_name_is_told_and_nobody_else() {
    let instance = instance();
    let mut alice = instance.submission("alice");
    send(&mut alice, ALICE, "own");
    send(&mut alice, "From: Bob <bob@example.test>\r\n", "another's");
    send(&mut alice, "From: alice@example.test, bob@example.test\r\n", "two authors");
    send(&mut alice, &format!("From: Bob <bob@example.test>\r\n{ALICE}"), "two fields");
    // From outside: what the message says of itself is nothing.
    let mut outside = instance.smtp();
    outside.ok("EHLO client.example.org");
    send(&mut outside, ALICE, "forged");
    send(
        &mut outside,
        &format!(
            "Auth-Sender: alice\r\nXSENDER: alice@example.test\r\nX-Sender: alice@example.test\r\n{ALICE}"
        ),
        "forged with marks",
    );
    outside.ok("MAIL FROM:<alice@example.test> AUTH=alice@example.test");
    outside.ok("RCPT TO:<bob@example.test>");
    outside.ok("DATA");
    outside.ok(&format!("{ALICE}Subject: forged parameter\r\n\r\nx\r\n."));
    instance.wait_for_messages("bob", 7);
    let mut bob = instance.imap("bob");
    assert!(is_offered(&mut bob, "XSENDER"));
    bob.ok("SELECT INBOX");
    let told = told(&mut bob);
    let known: Vec<_> = told.iter().filter(|(_, sender)| !sender.is_empty()).collect();
    assert_eq!(known, [(&"own".to_owned(), &"alice@example.test".to_owned())]);
    assert_eq!(told.len(), 7, "{told:?}");
    all_bad(&mut bob, &["FETCH 1 XSENDERS", "FETCH 1 (XSENDER[1])"]);
    // As Thunderbird asks for a message.
    let row = bob.ok("UID FETCH 1 (XSENDER UID RFC822.SIZE BODY[])").remove(0);
    assert!(row.starts_with("* 1 FETCH (XSENDER \""), "{row}");
}

#[test]
fn it_goes_along_with_copies_and_survives_repairs_and_is_not_to_be_had_otherwise() {
    let mut instance = instance();
    send(&mut instance.submission("alice"), ALICE, "own");
    instance.wait_for_messages("bob", 1);
    let mut bob = instance.imap("bob");
    bob.ok("SELECT INBOX");
    let bytes = bob.ok("FETCH 1 BODY.PEEK[]").join("\r\n");
    let bytes = bytes.split_once("}\r\n").unwrap().1.strip_suffix(')').unwrap();
    bob.ok("CREATE Copies");
    bob.ok("CREATE Moved");
    bob.ok("STORE 1 FLAGS (\\Flagged work)");
    bob.ok("COPY 1 Copies");
    bob.ok("MOVE 1 Moved");
    // The very bytes, stored by a client, are a client's word.
    bob.ok("CREATE Stored");
    assert!(bob.append("Stored", "", bytes).starts_with("OK"));
    let senders = |bob: &mut Imap| {
        ["Copies", "Moved", "Stored"].map(|mailbox| {
            bob.ok(&format!("SELECT {mailbox}"));
            told(bob).remove("own").unwrap()
        })
    };
    let expected = ["alice@example.test", "alice@example.test", ""];
    assert_eq!(senders(&mut bob), expected);
    drop(bob);
    run(instance.tool("reconstruct").args(["-f", "user/bob/Copies"]));
    run(instance.tool("reconstruct").args(["-i", "user/bob/Moved"]));
    instance.stop("imap");
    instance.stop("store");
    instance.start_one("store");
    instance.start_one("imap");
    assert_eq!(senders(&mut instance.imap("bob")), expected);
}

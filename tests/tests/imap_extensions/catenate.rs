//! CATENATE (RFC 4469), URL-PARTIAL (RFC 5550 §5.7.1).

use super::*;

const TWO_PARTS: &str = "From: Amy <amy@example.org>\r\nSubject: picture\r\nMIME-Version: 1.0\r\n\
     Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nlook!\r\n--b\r\nContent-Type: image/png\r\n\
     Content-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n--b--\r\n";

/// Sends a command whose literals do not wait; the tagged response.
fn send(imap: &mut Imap, command: &str) -> String {
    imap.wire.send(format!("cat {command}\r\n").as_bytes());
    imap.until_tagged("cat").1
}

fn text(text: &str) -> String {
    format!("TEXT {{{}+}}\r\n{text}", text.len())
}

/// The whole message, as its FETCH response has it.
fn whole(imap: &mut Imap, uid: u32) -> String {
    imap.ok(&format!("UID FETCH {uid} BODY.PEEK[]")).join("\n")
}

/// An INBOX with a message of two parts, selected.
fn inbox() -> (Instance, Imap) {
    let (instance, mut imap) = mailbox_of(0);
    assert!(imap.append("INBOX", "", TWO_PARTS).starts_with("OK"));
    imap.ok("NOOP");
    (instance, imap)
}

#[test]
fn a_message_is_put_together_from_texts_and_what_is_there() {
    let (_instance, mut imap) = inbox();
    assert!(is_offered(&mut imap, "CATENATE") && is_offered(&mut imap, "URL-PARTIAL"));
    let command = format!(
        "APPEND INBOX (\\Draft $a) \"17-Jul-1996 02:44:25 -0700\" CATENATE ({} URL \"/INBOX/;UID=1/;SECTION=2.MIME\" \
         URL {{24+}}\r\n/inbox/;UID=1/;SECTION=2 {} URL /INBOX/;UID=1/;SECTION=1/;PARTIAL=1.3)",
        text("Subject: new\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n"),
        text("\r\n--c\r\n\r\n"),
    );
    let end = send(&mut imap, &command);
    assert!(end.starts_with("OK [APPENDUID ") && end.contains(" 2] "), "{end}");
    let expected = "Subject: new\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\
         Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n--c\r\n\r\nook";
    let got = whole(&mut imap, 2);
    assert!(got.contains(&format!("{{{}}}", expected.len())), "{got:?}");
    let row = imap.ok("UID FETCH 2 (FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[2])").pop().unwrap();
    assert!(
        row.contains("\\Draft") && row.contains("$a") && row.contains("17-Jul-1996 09:44:25 +0000"),
        "{row}"
    );
    assert!(row.contains(&format!("RFC822.SIZE {}", expected.len())) && row.contains("ook"), "{row}");
    for line in expected.split("\r\n").filter(|line| !line.is_empty()) {
        assert!(got.contains(line), "{line} in {got:?}");
    }
    // What was looked at has not become \Seen.
    assert!(!imap.ok("UID FETCH 1 FLAGS")[0].contains("\\Seen"));
    // The whole of a message, without any text; then three messages in one command.
    let validity = number_behind(&imap.ok("STATUS INBOX (UIDVALIDITY)"), "UIDVALIDITY ");
    let url = format!("URL /INBOX;UIDVALIDITY={validity}/;UID=1");
    assert!(send(&mut imap, &format!("APPEND INBOX CATENATE ({url})")).contains(" 3] "));
    let (first, copy) = (whole(&mut imap, 1), whole(&mut imap, 3));
    assert_eq!(first.split_once("BODY[]").unwrap().1, copy.split_once("BODY[]").unwrap().1);
    let three = format!(
        "APPEND INBOX CATENATE ({url}) (\\Seen) {{{0}+}}\r\n{MESSAGE} CATENATE ({1} {url})",
        MESSAGE.len(),
        text("X: y\r\n")
    );
    let end = send(&mut imap, &three);
    assert!(end.contains(" 4:6] "), "{end}");
    assert!(imap.ok("UID FETCH 5 (FLAGS ENVELOPE)")[0].contains("lunch"));
    assert!(whole(&mut imap, 6).contains("X: y"));
    // Fields of a header, and a range beyond the end.
    let fields = "APPEND INBOX CATENATE (URL \"/INBOX/;UID=1/;SECTION=HEADER.FIELDS%20(SUBJECT)\" \
                  URL /INBOX/;UID=1/;PARTIAL=5000.9)";
    assert!(send(&mut imap, fields).contains(" 7] "));
    assert!(whole(&mut imap, 7).contains("{20}"), "Subject: picture, and a blank line");
}

#[test]
fn literals_that_wait_are_invited_and_a_draft_takes_the_place_of_another() {
    let (_instance, mut imap) = inbox();
    imap.wire.send(b"w APPEND INBOX CATENATE (TEXT {6}\r\n");
    assert!(imap.response().starts_with('+'));
    imap.wire.send(b"A: b\r\n URL {14}\r\n");
    assert!(imap.response().starts_with('+'));
    imap.wire.send(b"/INBOX/;UID=1  TEXT {3}\r\n");
    let (_, end) = imap.until_tagged("w");
    assert!(end.starts_with("NO [BADURL /INBOX/;UID=1%20]"), "{end}");
    imap.wire.send(b"w APPEND INBOX CATENATE (TEXT {6}\r\n");
    assert!(imap.response().starts_with('+'));
    imap.wire.send(b"A: b\r\n URL {13}\r\n");
    assert!(imap.response().starts_with('+'));
    imap.wire.send(b"/INBOX/;UID=1 TEXT {3}\r\n");
    assert!(imap.response().starts_with('+'));
    imap.wire.send(b"end)\r\n");
    assert!(imap.until_tagged("w").1.contains(" 2] "));
    assert!(whole(&mut imap, 2).contains("A: b"));
    let (told, end) = {
        imap.wire
            .send(b"r UID REPLACE 2 INBOX CATENATE (URL /INBOX/;UID=2/;SECTION=HEADER TEXT {3+}\r\nnew)\r\n");
        imap.until_tagged("r")
    };
    assert!(end.starts_with("OK ") && told.iter().any(|line| line == "* 2 EXPUNGE"), "{told:?} {end}");
    assert_eq!(imap.ok("UID SEARCH ALL"), ["* SEARCH 1 3"]);
    assert!(whole(&mut imap, 3).contains("A: b"));
}

#[test]
fn urls_that_name_nothing_here_are_refused_alike() {
    let (instance, mut imap) = inbox();
    let mut bob = instance.imap("bob");
    fill(&mut bob, "INBOX", 1);
    imap.ok("CREATE Empty");
    let url = "Shared%20Folders/User/bob/INBOX/;UID=1";
    for bad in [
        "/INBOX/;UID=2",
        "/INBOX",
        "/INBOX;UIDVALIDITY=1/;UID=1",
        "/INBOX/;UID=1/;SECTION=3",
        "/INBOX/;UID=1/;SECTION=1.HEADER",
        "/INBOX/;UID=1/;PARTIAL=x",
        "/INBOX/;UID=1;URLAUTH=anonymous:INTERNAL:00112233445566778899aabbccddeeff",
        "/Empty/;UID=1",
        "/Nowhere/;UID=1",
        "/../INBOX/;UID=1",
        ";UID=1",
        "http://localhost/INBOX/;UID=1",
        "imap://other.example/INBOX/;UID=1",
        "imap://bob@localhost/INBOX/;UID=1",
        &format!("/{url}"),
    ] {
        let end = send(&mut imap, &format!("APPEND INBOX CATENATE ({} URL \"{bad}\")", text("A: b\r\n")));
        assert!(end.starts_with(&format!("NO [BADURL {bad}] ")), "{bad}: {end}");
        let end = send(&mut imap, &format!("APPEND INBOX CATENATE (URL \"{bad}\" {})", text("A: b\r\n")));
        assert!(end.starts_with(&format!("NO [BADURL {bad}] ")), "{bad}: {end}");
    }
    // With the right to read it is another matter, and without it again.
    bob.ok("SETACL INBOX alice lr");
    let shared = format!("APPEND INBOX CATENATE (URL \"/{url}\")");
    assert!(send(&mut imap, &shared).contains(" 2] "));
    bob.ok("SETACL INBOX alice l");
    assert!(send(&mut imap, &shared).starts_with("NO [BADURL "));
    // An expunged message is gone, though others may have it open.
    let mut other = another(&instance);
    other.ok("STORE 1 +FLAGS (\\Deleted)");
    other.ok("EXPUNGE");
    assert!(send(&mut imap, "APPEND INBOX CATENATE (URL /INBOX/;UID=1)").starts_with("NO [BADURL "));
    // A bracket does not end the response code.
    let end = send(&mut imap, "APPEND INBOX CATENATE (URL \"/a] b/;UID=1\")");
    assert!(end.starts_with("NO [BADURL /a%5D%20b/;UID=1] "), "{end}");
    assert_eq!((imap.exists("INBOX"), imap.exists("Empty")), (1, 0));
}

#[test]
fn what_is_too_much_or_nonsense_leaves_nothing() {
    let instance = black_box::Setup::default().set("service.imap.appendlimit", "1000").start();
    let mut imap = instance.imap("alice");
    let message = format!("Subject: x\r\n\r\n{}", "x".repeat(500));
    assert!(imap.append("INBOX", "", &message).starts_with("OK"));
    imap.ok("SELECT INBOX");
    let url = "URL /INBOX/;UID=1";
    for (command, answer) in [
        (format!("APPEND INBOX CATENATE ({url} {url})"), "NO [TOOBIG]"),
        (format!("APPEND INBOX CATENATE ({url} {})", text(&message)), "NO [TOOBIG]"),
        (format!("APPEND INBOX CATENATE ({} {url})", text(&message)), "NO [TOOBIG]"),
        (format!("APPEND INBOX CATENATE ({url}) CATENATE ({url})"), "NO [LIMIT]"),
        (
            format!("APPEND INBOX CATENATE ({})", ["URL /INBOX/;UID=1/;PARTIAL=1000"; 1001].join(" ")),
            "NO [LIMIT]",
        ),
        (format!("APPEND Nowhere CATENATE ({url})"), "NO [TRYCREATE]"),
        (format!("APPEND INBOX CATENATE ({})", text("a\0b")), "BAD "),
        (format!("APPEND INBOX CATENATE ({url}) {{0+}}\r\n"), "NO [CANNOT]"),
        (format!("APPEND INBOX CATENATE ({} UTF8 (~{{1+}}\r\nx))", text("a")), "BAD "),
        ("APPEND INBOX CATENATE ()".into(), "BAD "),
        ("APPEND INBOX CATENATE (URL)".into(), "BAD "),
        (format!("APPEND INBOX CATENATE ({url}"), "BAD "),
        (format!("APPEND INBOX CATENATE ({url}) x"), "BAD "),
        (format!("APPEND INBOX CATENATE ({}", text("a")), "BAD "),
        (format!("APPEND INBOX CATENATE ({} x)", text("a")), "BAD "),
        (format!("APPEND INBOX {url}"), "BAD "),
    ] {
        let end = send(&mut imap, &command);
        assert!(end.starts_with(answer), "{command}: {end}, not {answer}");
        imap.ok("NOOP");
    }
    // Arguments behind a text are bounded too: their number, and their length.
    let many = format!("APPEND INBOX CATENATE ({}{})", text("a"), " URL {0+}\r\n".repeat(1001));
    imap.wire.send(format!("cat {many}\r\n").as_bytes());
    let end = imap.until_tagged("cat").1;
    assert!(end.starts_with("BAD [TOOBIG]") || end.starts_with("NO [BADURL"), "{end}");
    let long = format!("APPEND INBOX CATENATE ({} URL {{70000+}}\r\n{})", text("a"), "x".repeat(70_000));
    assert!(send(&mut imap, &long).starts_with("NO [TOOBIG]"));
    assert_eq!(imap.exists("INBOX"), 1);
    // Nobody is logged in.
    let mut stranger = Imap::open(instance.connect(black_box::instance::IMAP));
    assert!(send(&mut stranger, &format!("APPEND INBOX CATENATE ({url})")).starts_with("BAD "));
}

//! 8-bit content for hosts that take it and for hosts that do not (RFC 6152).
#![allow(clippy::unwrap_used)]

use black_box::{Instance, StubMta, World};

fn send(instance: &Instance, to: &str, content: &str) {
    let mut smtp = instance.smtp();
    smtp.ok("EHLO client.example.org");
    smtp.ok("MAIL FROM:<alice@example.test> BODY=8BITMIME");
    smtp.ok(&format!("RCPT TO:<{to}>"));
    smtp.ok("DATA");
    smtp.ok(&format!("{content}\r\n."));
}

const LETTER: &str = "Subject: letter\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\
    Content-Transfer-Encoding: 8bit\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Transfer-Encoding: 8bit\r\n\r\nGrüße an alle, die dies lesen.\r\n--b\r\nContent-Type: application/x-thing\r\n\
    Content-Transfer-Encoding: 8bit\r\n\r\nüü\r\n--b--";

#[test]
fn a_host_of_7_bits_gets_each_part_encoded() {
    let world = World::new();
    let wide = world.served("wide.test", StubMta::new());
    let narrow = world.served("narrow.test", StubMta::new().offers(&["PIPELINING", "SIZE 100000"]));
    let instance = world.setup().start();
    send(&instance, "x@wide.test", LETTER);
    send(&instance, "x@narrow.test", LETTER);
    let as_it_is = &wide.wait_for(1)[0];
    assert!(as_it_is.mail.contains(" BODY=8BITMIME") && as_it_is.text().ends_with(&format!("{LETTER}\r\n")));
    let encoded = &narrow.wait_for(1)[0];
    assert!(!encoded.mail.contains("BODY="), "{encoded:?}");
    assert!(encoded.mail.contains(&format!("SIZE={}", encoded.size)), "of what is sent: {encoded:?}");
    assert!(encoded.content.is_ascii());
    let text = encoded.text();
    for part in [
        "Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 7bit\r\n\r\n--b\r\n",
        "charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe an alle, die dies lesen.\r\n--b",
        "x-thing\r\nContent-Transfer-Encoding: base64\r\n\r\nw7zDvA==\r\n--b--\r\n",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    instance.wait_for_empty_queue();
    assert!(!instance.log("smtp").contains("5.6.3"));
}

#[test]
fn what_cannot_be_encoded_comes_back() {
    let world = World::new();
    let narrow = world.served("narrow.test", StubMta::new().offers(&["PIPELINING"]));
    let instance = world.setup().start();
    send(&instance, "x@narrow.test", "Subject: Grüße\r\n\r\nplain");
    instance.wait_for_messages("alice", 1);
    let mut imap = instance.imap("alice");
    imap.ok("SELECT INBOX");
    let report = imap.ok("FETCH 1 BODY.PEEK[]").join("\n");
    assert!(report.contains("Status: 5.6.3"), "{report}");
    assert!(narrow.seen().received.is_empty());
}

/// A message in one chunk, after BODY=BINARYMIME; the reply.
fn send_binary(instance: &Instance, content: &[u8]) -> String {
    let mut smtp = instance.smtp();
    let offered = smtp.ok("EHLO client.example.org");
    assert!(offered.contains("BINARYMIME") && offered.contains("CHUNKING"), "{offered}");
    smtp.ok("MAIL FROM:<alice@example.test> BODY=BINARYMIME");
    smtp.ok("RCPT TO:<bob@example.test>");
    assert!(smtp.ask("DATA").starts_with("503 5.5.1"));
    smtp.wire.send(&[format!("BDAT {} LAST\r\n", content.len()).as_bytes(), content].concat());
    smtp.reply()
}

/// RFC 3030 §3: anything may come, and readers decode it to the same bytes; text stays text.
#[test]
fn binary_content_arrives_as_it_was() {
    use base64::Engine;
    let instance = black_box::Setup::default().start();
    let strange: Vec<u8> = (0..=255).chain(*b"\r\n.\r\n\n\n\r\r\0MAIL FROM:<x@y>\r\n").collect();
    let head = "Subject: binary\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\
        Content-Transfer-Encoding: binary\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\
        Content-Transfer-Encoding: binary\r\n\r\nGrüße\r\n--b\r\nContent-Type: application/octet-stream\r\n\
        Content-Transfer-Encoding: binary\r\n\r\n";
    let content = [head.as_bytes(), &strange, b"\r\n--b--\r\n"].concat();
    assert!(send_binary(&instance, &content).starts_with("250 2.0.0"));
    instance.wait_for_messages("bob", 1);
    let mut imap = instance.imap("bob");
    imap.ok("SELECT INBOX");
    let text = imap.ok("FETCH 1 (BODY.PEEK[1.MIME] BODY.PEEK[1])").join("\n");
    assert!(text.contains("Content-Transfer-Encoding: 8bit") && text.contains("Grüße"), "{text}");
    let part = imap.ok("FETCH 1 BODY.PEEK[2]").join("\n");
    let encoded: String =
        part.split_once("}\r\n").unwrap().1.split(')').next().unwrap().split_whitespace().collect();
    assert_eq!(base64::engine::general_purpose::STANDARD.decode(encoded).unwrap(), strange);
    // a NUL in a header has no encoding
    let reply = send_binary(&instance, b"Subject: a\0b\r\n\r\nx\r\n");
    assert!(reply.starts_with("554 5.6.3"), "{reply}");
    instance.wait_for_empty_queue();
}

//! Mail between this suite and Postfix, Exim and OpenSMTPD of Debian, both ways: as it was sent, under TLS, with what the
//! sender asked to be told, and with the reports of either side understood by the other.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;

use black_box::instance::wait_for;
use black_box::{Instance, Maker, Peer, Smtp, World, peer_dkim, run};

const DOMAIN: &str = "peer.test";

/// A peer, an instance, and the name server that the instance sees.
struct Both {
    peer: Peer,
    instance: Instance,
    _world: World,
}

/// An instance that knows a domain at which nothing listens yet.
fn alone() -> (World, SocketAddr, Instance) {
    let world = World::new();
    let address = world.domain(DOMAIN);
    let setup = world.setup().users(&["alice", "bob", "fred"]);
    let setup = setup.set("service.smtp.smtp-accept.maxmessagesize", "20000000");
    let mut instance = setup.set("service.smtp.deferredperiod", "3600").create();
    let mut tool = instance.tool("dirutil");
    tool.args(["change", "fred", "--set", "mailForwardingAddress=gone@example.test"]);
    run(tool.args(["--remove", "mailDeliveryOption"]));
    instance.start_all();
    (world, address, instance)
}

impl Both {
    fn start(maker: Maker) -> Both {
        let (world, address, instance) = alone();
        let peer = Peer::start(maker, DOMAIN, address, &instance);
        Both { peer, instance, _world: world }
    }

    /// The instance's SMTP port, greeted.
    fn smtp(&self) -> Smtp {
        let mut smtp = self.instance.smtp();
        smtp.ok("EHLO client.example.org");
        smtp
    }
}

/// The text of message `number` of a user here, line ends LF.
fn text(instance: &Instance, user: &str, number: u32) -> String {
    instance.wait_for_messages(user, number);
    let mut imap = instance.imap(user);
    imap.ok("SELECT INBOX");
    let response = imap.ok(&format!("FETCH {number} BODY.PEEK[]")).remove(0);
    let (head, rest) = response.split_once("}\r\n").unwrap();
    let length: usize = head.rsplit_once('{').unwrap().1.parse().unwrap();
    rest[..length].replace("\r\n", "\n")
}

/// A header, and a body of everything that a transport may spoil: dots, long lines, blanks at the end, characters of 8 bits;
/// and more of it, when it is to be large.
fn message(subject: &str, bytes: usize) -> String {
    let long = "0123456789 ".repeat(90) + "12345678"; // 998 octets (RFC 5321 §4.5.3.1.6)
    let mut text = format!(
        "From: Somebody <writer@example.org>\r\nTo: <somebody@peer.test>\r\nSubject: {subject}\r\n\
         Date: Fri, 28 Feb 2026 10:00:00 +0000\r\nMessage-ID: <{subject}@client.example.org>\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n.\r\n..\r\n.dot\r\n...\r\n\
         {long}\r\nblanks  \t\r\n\r\nGr\u{fc}\u{df}e \u{4f60}\u{597d}\r\nFrom here\r\n.\r\nend\r\n"
    );
    let mut number = 0;
    while text.len() < bytes {
        number += 1;
        text.push_str(&format!(".line {number} of many, {}\r\n", "\u{fc}x".repeat(number % 150)));
    }
    text
}

/// One transaction, `mail` and the recipients with their parameters.
fn send(smtp: &mut Smtp, mail: &str, recipients: &[&str], text: &str) {
    smtp.ok(&format!("MAIL FROM:{mail}"));
    for recipient in recipients {
        smtp.ok(&format!("RCPT TO:{recipient}"));
    }
    smtp.ok("DATA");
    let stuffed: String = text
        .split_inclusive('\n')
        .map(|line| if line.starts_with('.') { format!(".{line}") } else { line.to_owned() })
        .collect();
    smtp.wire.send(format!("{stuffed}.\r\n").as_bytes());
    let reply = smtp.reply();
    assert!(reply.starts_with("250"), "{reply}");
}

/// Byte for byte but for the line ends of the place where it lies: the body, and the fields that the client wrote.
fn is_as_sent(got: &str, sent: &str) {
    let sent = sent.replace("\r\n", "\n");
    let (header, body) = sent.split_once("\n\n").unwrap();
    let (got_header, got_body) = got.split_once("\n\n").unwrap();
    assert!(got_body == body, "{} octets are not as sent: {:.3000}", got_body.len(), got);
    for field in header.lines() {
        assert!(got_header.contains(field), "{field} in {got_header}");
    }
}

fn utf8(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// The first Received line of a message.
fn received(text: &str) -> &str {
    text.split("Received: ").nth(1).unwrap().split("\nReceived: ").next().unwrap()
}

const LARGE: usize = 5 << 20;

/// To three people there in one transaction, under TLS; and to two here. Then a large one each way.
fn flows_both_ways(maker: Maker) {
    let both = Both::start(maker);
    let out = ["<one@peer.test>", "<two@peer.test>", "<three@peer.test>"];
    let sent = message("there", 0);
    send(&mut both.smtp(), "<alice@example.test> BODY=8BITMIME", &out, &sent);
    for user in ["one", "two", "three"] {
        let got = utf8(both.peer.wait_for_message(user, 1));
        is_as_sent(&got, &sent);
        let received = received(&got).to_ascii_uppercase();
        // OpenSMTPD 6.8 cannot be a TLS server with OpenSSL 3 (its issues 1171 and 1239): it offers STARTTLS, and the
        // handshake fails. Then mail goes without (RFC 7435).
        let is_tls = received.contains("ESMTPS") || received.contains("TLS");
        assert!(is_tls || maker == Maker::OpenSmtpd, "under TLS: {received}");
    }
    let sent = message("back", 0);
    let home = ["<alice@example.test>", "<bob@example.test>"];
    send(&mut both.peer.smtp(), "<one@peer.test> BODY=8BITMIME", &home, &sent);
    for user in ["alice", "bob"] {
        let got = text(&both.instance, user, 1);
        is_as_sent(&got, &sent);
        assert!(got.starts_with("Return-Path: <one@peer.test>\n"), "{got}");
        assert!(received(&got).contains("with ESMTPS id "), "under TLS: {got}");
    }
    let sent = message("large-there", LARGE);
    send(&mut both.smtp(), "<alice@example.test> BODY=8BITMIME", &out[..1], &sent);
    is_as_sent(&utf8(both.peer.wait_for_message("one", 2)), &sent);
    let sent = message("large-back", LARGE);
    send(&mut both.peer.smtp(), "<one@peer.test> BODY=8BITMIME", &home[..1], &sent);
    is_as_sent(&text(&both.instance, "alice", 2), &sent);
    both.instance.wait_for_empty_queue();
    spoke_well(&both.peer);
}

/// What the peer's log says of the extensions that were used.
fn spoke_well(peer: &Peer) {
    // A connection is kept for a while before it ends and its line is written.
    let line = |parts: &[&str]| {
        wait_for(&format!("{parts:?} in the peer's log"), || {
            peer.log().lines().any(|line| parts.iter().all(|part| line.contains(part))).then_some(())
        });
    };
    match peer.maker {
        // K: CHUNKING was used, L: PIPELINING was, X: TLS.
        Maker::Exim => {
            line(&[" <= alice@example.test ", " L", " X=TLS1.3", " K "]);
            line(&[" => alice@example.test ", " L ", " X=TLS1.3", " K "]);
        }
        Maker::Postfix => {
            line(&["disconnect from ", " starttls=1 ", " bdat="]);
            line(&["TLS connection established to ", "TLSv1.3"]);
        }
        Maker::OpenSmtpd => line(&[" mta tls ", "TLSv1.3"]),
    }
}

/// A report, in lower case and without blanks behind its semicolons, so that one form serves all makers.
fn plain(report: &str) -> String {
    report.to_ascii_lowercase().replace("; ", ";").replace(": ", ":")
}

fn says(report: &str, parts: &[&str]) {
    let plain = plain(report);
    let kinds = ["message/delivery-status", "message/global-delivery-status"]; // RFC 6533 §4
    assert!(kinds.iter().any(|kind| plain.contains(&format!("content-type:{kind}\n"))), "{report}");
    for part in parts {
        assert!(plain.contains(part), "{part} in {report}");
    }
}

/// What the sender asks for goes to the other side and is done there; what either side reports reaches the sender.
fn reports_are_understood(maker: Maker) {
    let both = Both::start(maker);
    send(
        &mut both.smtp(),
        "<alice@example.test> RET=HDRS ENVID=QQ314",
        &["<one@peer.test> NOTIFY=SUCCESS ORCPT=rfc822;first.one@elsewhere.test"],
        &message("asked", 0),
    );
    both.peer.wait_for_message("one", 1);
    // OpenSMTPD tells neither in its report.
    let original = match maker {
        Maker::OpenSmtpd => ["", ""],
        _ => ["original-envelope-id:qq314", "original-recipient:rfc822;first.one@elsewhere.test"],
    };
    let report = text(&both.instance, "alice", 1);
    says(&report, &["action:delivered", "final-recipient:rfc822;one@peer.test"]);
    says(&report, &original);
    send(
        &mut both.peer.smtp(),
        "<one@peer.test> RET=FULL ENVID=AB159",
        &["<bob@example.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;first.bob@elsewhere.test"],
        &message("asked-there", 0),
    );
    both.instance.wait_for_messages("bob", 1);
    let report = utf8(both.peer.wait_for_message("one", 2));
    let original = "original-recipient:rfc822;first.bob@elsewhere.test";
    let delivered = [
        "action:delivered",
        "final-recipient:rfc822;bob@example.test",
        "original-envelope-id:ab159",
        original,
    ];
    says(&report, &delivered);
    // Refused in the dialogue: who has the message tells its sender.
    send(&mut both.smtp(), "<alice@example.test>", &["<nobody@peer.test>"], &message("refused", 0));
    let failed =
        ["action:failed", "final-recipient:rfc822;nobody@peer.test", "status:5.", "diagnostic-code:smtp;5"];
    says(&text(&both.instance, "alice", 2), &failed);
    send(
        &mut both.peer.smtp(),
        "<alice@example.test>",
        &["<gone@example.test>"],
        &message("refused-here", 0),
    );
    let failed = ["action:failed", "final-recipient:rfc822;gone@example.test", "status:5.", "no such user"];
    says(&text(&both.instance, "alice", 3), &failed);
    // Taken, and not to be delivered: our report goes there.
    send(&mut both.peer.smtp(), "<two@peer.test>", &["<fred@example.test>"], &message("lost", 0));
    let report = utf8(both.peer.wait_for_message("two", 1));
    let failed =
        ["action:failed", "final-recipient:rfc822;gone@example.test", "status:5.1.1", "subject:lost"];
    says(&report, &failed);
    both.instance.wait_for_empty_queue();
}

/// Addresses and header in UTF-8 go on as they are, and to who cannot take them they do not (RFC 6531 §3.1).
fn utf8_is_carried(maker: Maker) {
    let both = Both::start(maker);
    let unicode = |subject: &str| {
        let text = message(subject, 0)
            .replace("Somebody <writer@example.org>", "J\u{fc}rgen <j\u{fc}rgen@k\u{fc}che.test>");
        text.replacen("MIME-Version", "Comments: \u{4f60}\u{597d}\r\nMIME-Version", 1)
    };
    let sent = unicode("there");
    if maker == Maker::OpenSmtpd {
        // It does not offer SMTPUTF8.
        send(&mut both.smtp(), "<alice@example.test> SMTPUTF8 BODY=8BITMIME", &["<one@peer.test>"], &sent);
        says(&text(&both.instance, "alice", 1), &["action:failed", "one@peer.test", "status:5.6.9"]);
        assert!(both.peer.messages("one").is_empty());
        return;
    }
    let recipients = ["<one@peer.test>", "<two@peer.test>"];
    send(&mut both.smtp(), "<\u{e4}lice@example.test> SMTPUTF8 BODY=8BITMIME", &recipients, &sent);
    for user in ["one", "two"] {
        let got = utf8(both.peer.wait_for_message(user, 1));
        is_as_sent(&got, &sent);
        let (header, _) = got.split_once("\n\n").unwrap();
        assert!(header.contains("<\u{e4}lice@example.test>"), "the sender: {header}");
        assert!(received(&got).to_ascii_lowercase().contains("utf8"), "{got}");
    }
    let sent = unicode("back");
    send(
        &mut both.peer.smtp(),
        "<\u{f6}ne@peer.test> SMTPUTF8 BODY=8BITMIME",
        &["<bob@example.test>"],
        &sent,
    );
    let got = text(&both.instance, "bob", 1);
    is_as_sent(&got, &sent);
    assert!(got.starts_with("Return-Path: <\u{f6}ne@peer.test>\n"), "{got}");
    assert!(received(&got).contains("with UTF8SMTPS id "), "{got}");
}

/// What we sign arrives there as it was signed, and what comes from there is found as it was signed.
fn signatures_stay_whole(maker: Maker) {
    let world = World::new();
    let address = world.domain(DOMAIN);
    let setup = world.setup().set("local.service.smtp.verification.dkim", "yes");
    let setup = setup.set("local.service.smtp.verification.exempt", "192.0.2.0/24");
    let mut instance = setup.set("local.service.smtp.smtp-accept.relaynetworks", "192.0.2.0/24").create();
    let dkimutil = |arguments: &[&str]| run(instance.tool("dkimutil").args(arguments));
    let keys = dkimutil(&["create", "example.test", "r1"])
        + &dkimutil(&["create", "example.test", "e1", "--algorithm", "ed25519"]);
    let zone = peer_dkim::records(&keys);
    for (name, record) in &zone {
        world.dns.add(name, "TXT", 60, record);
    }
    instance.start_all();
    let peer = Peer::start(maker, DOMAIN, address, &instance);
    let sent = message("signed", 0).replace("Somebody <writer@example.org>", "Alice <alice@example.test>");
    let recipients = ["<one@peer.test>", "<two@peer.test>"];
    send(&mut instance.submission("alice"), "<alice@example.test> BODY=8BITMIME", &recipients, &sent);
    let got = utf8(peer.wait_for_message("two", 1));
    let verdicts = peer_dkim::look(got.replace('\n', "\r\n").as_bytes(), &zone);
    assert_eq!(verdicts, ["dkim example.test e1 pass", "dkim example.test r1 pass", "arc none"], "{got}");
    // The same comes back, as a mailing list would send it.
    let signed = &got[got.find("DKIM-Signature: ").unwrap()..];
    send(
        &mut peer.smtp(),
        "<list@peer.test> BODY=8BITMIME",
        &["<bob@example.test>"],
        &signed.replace('\n', "\r\n"),
    );
    let back = text(&instance, "bob", 1);
    let (header, _) = back.split_once("\n\n").unwrap();
    let results = header.split("Authentication-Results: ").nth(1).unwrap_or_else(|| panic!("{header}"));
    assert_eq!(results.matches("dkim=pass").count(), 2, "{header}");
}

/// Mail waits on either side until the other is there.
fn waits_for_the_other(maker: Maker) {
    let (world, address, mut instance) = alone();
    let mut smtp = instance.smtp();
    smtp.ok("EHLO client.example.org");
    let sent = message("early", 0);
    send(&mut smtp, "<alice@example.test>", &["<one@peer.test>"], &sent);
    wait_for("the message to be deferred", || {
        let queue = run(instance.tool("mailq").arg("-l"));
        (instance.log("smtp").contains("one@peer.test: deferred") && queue.contains("one@peer.test"))
            .then_some(())
    });
    instance.wait_for_empty_queue();
    let peer = Peer::start(maker, DOMAIN, address, &instance);
    run(instance.tool("msg-queue").args(["flush", "--all"]));
    is_as_sent(&utf8(peer.wait_for_message("one", 1)), &sent);
    instance.stop("smtp");
    let sent = message("late", 0);
    send(&mut peer.smtp(), "<one@peer.test>", &["<bob@example.test>"], &sent);
    wait_for("the peer to try in vain", || peer.log().contains("efused").then_some(()));
    instance.start_one("smtp");
    peer.flush();
    is_as_sent(&text(&instance, "bob", 1), &sent);
    drop(world);
}

#[test]
fn mail_flows_both_ways_between_postfix_and_us() {
    flows_both_ways(Maker::Postfix);
}

#[test]
fn mail_flows_both_ways_between_exim_and_us() {
    flows_both_ways(Maker::Exim);
}

#[test]
fn mail_flows_both_ways_between_opensmtpd_and_us() {
    flows_both_ways(Maker::OpenSmtpd);
}

#[test]
fn reports_are_understood_between_postfix_and_us() {
    reports_are_understood(Maker::Postfix);
}

#[test]
fn reports_are_understood_between_exim_and_us() {
    reports_are_understood(Maker::Exim);
}

#[test]
fn reports_are_understood_between_opensmtpd_and_us() {
    reports_are_understood(Maker::OpenSmtpd);
}

#[test]
fn mail_waits_until_postfix_or_we_are_there() {
    waits_for_the_other(Maker::Postfix);
}

#[test]
fn mail_waits_until_exim_or_we_are_there() {
    waits_for_the_other(Maker::Exim);
}

#[test]
fn mail_waits_until_opensmtpd_or_we_are_there() {
    waits_for_the_other(Maker::OpenSmtpd);
}

#[test]
fn utf8_is_carried_between_postfix_and_us() {
    utf8_is_carried(Maker::Postfix);
}

#[test]
fn utf8_is_carried_between_exim_and_us() {
    utf8_is_carried(Maker::Exim);
}

#[test]
fn utf8_is_carried_between_opensmtpd_and_us() {
    utf8_is_carried(Maker::OpenSmtpd);
}

#[test]
fn signatures_stay_whole_between_postfix_and_us() {
    signatures_stay_whole(Maker::Postfix);
}

#[test]
fn signatures_stay_whole_between_exim_and_us() {
    signatures_stay_whole(Maker::Exim);
}

#[test]
fn signatures_stay_whole_between_opensmtpd_and_us() {
    signatures_stay_whole(Maker::OpenSmtpd);
}

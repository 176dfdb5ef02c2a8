//! Mail of strangers is verified: SPF, DKIM, DMARC, the client's name, and one field that says what came of it.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use black_box::instance::{POP, SMTP, top, wait_for};
use black_box::stub_dns::Behaviour;
use black_box::{Instance, Pop, Setup, Smtp, StubDns, StubMta, World};
use nix::sys::signal::Signal;
use openssl::pkey::{PKey, Private};
use openssl::sha::sha256;
use openssl::sign::Signer;

/// A client from elsewhere: its records are in [`zone`].
const GOOD: [u8; 4] = [127, 77, 0, 1];
/// Another one, whom no domain knows.
const BAD: [u8; 4] = [127, 77, 0, 66];

fn from(instance: &Instance, address: [u8; 4]) -> Smtp {
    let mut smtp = Smtp::open(instance.connect_from(address, SMTP));
    smtp.ok("EHLO mx.good.test");
    smtp
}

fn zone() -> StubDns {
    StubDns::with(&[
        ("good.test", "TXT", 60, "v=spf1 ip4:127.77.0.1 -all"),
        ("mx.good.test", "A", 60, "127.77.0.1"),
        ("mx.good.test", "TXT", 60, "v=spf1 a -all"),
        ("1.0.77.127.in-addr.arpa", "PTR", 60, "mx.good.test"),
        ("66.0.77.127.in-addr.arpa", "PTR", 60, "mx.good.test"),
        ("soft.test", "TXT", 60, "v=spf1 ~all"),
        ("neutral.test", "TXT", 60, "v=spf1 ?all"),
        ("broken.test", "TXT", 60, "v=spf1 nonsense -all"),
        ("later.test", "TXT", 60, "v=spf1 include:circle.test -all"),
        ("circle.test", "CNAME", 60, "circle2.test"),
        ("circle2.test", "CNAME", 60, "circle.test"),
        ("silent.test", "A", 60, "127.77.0.9"),
        ("_dmarc.good.test", "TXT", 60, "v=DMARC1; p=reject"),
        ("_dmarc.quarantine.test", "TXT", 60, "v=DMARC1; p=quarantine"),
        ("_dmarc.trial.test", "TXT", 60, "v=DMARC1; p=reject; t=y"),
        ("_dmarc.later.test", "TXT", 60, "v=DMARC1; p=reject"),
    ])
}

/// Everything on; what comes from 127.0.0.0/8 is strange here, but for the exempt client.
fn setup(dns: &StubDns, dmarc: &str) -> Setup {
    Setup::default()
        .set("service.smtp.dnsservers", &dns.parameter())
        .set("local.service.smtp.verification.spf", "yes")
        .set("local.service.smtp.verification.dkim", "yes")
        .set("local.service.smtp.verification.arc", "yes")
        .set("local.service.smtp.verification.iprev", "yes")
        .set("local.service.smtp.verification.dmarc", dmarc)
        .set("local.service.smtp.verification.exempt", "127.77.0.200/32")
        .set("local.service.smtp.verification.authservid", "mx.example.test")
}

/// A transaction; the reply to the end of data.
fn send(smtp: &mut Smtp, sender: &str, text: &str) -> String {
    smtp.ok(&format!("MAIL FROM:<{sender}>"));
    smtp.ok("RCPT TO:<alice@example.test>");
    smtp.ok("DATA");
    smtp.wire.send(format!("{text}\r\n.\r\n").as_bytes());
    smtp.reply()
}

/// The text of alice's messages, oldest first, once there are so many.
fn mailbox(instance: &Instance, count: usize) -> Vec<String> {
    let open = || {
        let mut pop = Pop::open(instance.connect(POP));
        pop.ok("USER alice");
        pop.ok("PASS alice-secret");
        pop
    };
    let mut pop = wait_for("the messages", || {
        let mut pop = open();
        let there = pop.ok("STAT").starts_with(&format!("+OK {count} "));
        if !there {
            pop.ok("QUIT");
        }
        there.then_some(pop)
    });
    (1..=count).map(|number| pop.lines(&format!("RETR {number}")).join("\r\n")).collect()
}

/// The value of the field on top below Return-Path, unfolded.
fn results(message: &str) -> String {
    let mut lines = message.split("\r\n");
    assert!(lines.next().unwrap().starts_with("Return-Path:"), "{message}");
    let mut field = lines.next().unwrap().to_owned();
    for line in lines.take_while(|line| line.starts_with(['\t', ' '])) {
        field.push(' ');
        field.push_str(line.trim_start());
    }
    field.strip_prefix("Authentication-Results: ").unwrap_or_else(|| panic!("{message}")).to_owned()
}

/// Signs simple/simple with Ed25519 (RFC 8463); the key's record is put into `dns`.
fn signed(dns: &StubDns, domain: &str, message: &str) -> String {
    let key: PKey<Private> = PKey::generate_ed25519().unwrap();
    let public = STANDARD.encode(key.raw_public_key().unwrap());
    dns.add(&format!("s._domainkey.{domain}"), "TXT", 60, &format!("v=DKIM1; k=ed25519; p={public}"));
    let (header, body) = message.split_once("\r\n\r\n").unwrap();
    let body_hash = STANDARD.encode(sha256(format!("{}\r\n", body.trim_end_matches("\r\n")).as_bytes()));
    let from = header.split("\r\n").find(|line| line.starts_with("From:")).unwrap();
    let field = format!("DKIM-Signature: v=1; a=ed25519-sha256; d={domain}; s=s; h=From; bh={body_hash}; b=");
    let digest = sha256(format!("{from}\r\n{field}").as_bytes());
    let signature = Signer::new_without_digest(&key).unwrap().sign_oneshot_to_vec(&digest).unwrap();
    format!("{field}{}\r\n{message}", STANDARD.encode(signature))
}

#[test]
fn each_verdict_of_spf_is_said() {
    let dns = zone();
    let instance = setup(&dns, "report").start();
    let mut smtp = from(&instance, GOOD);
    let cases = [
        ("a@good.test", "spf=pass smtp.mailfrom=a@good.test"),
        ("a@soft.test", "spf=softfail smtp.mailfrom=a@soft.test"),
        ("a@neutral.test", "spf=neutral smtp.mailfrom=a@neutral.test"),
        ("a@silent.test", "spf=none smtp.mailfrom=a@silent.test"),
        ("a@broken.test", "spf=permerror reason=\"the policy of broken.test cannot be read\""),
        ("a@later.test", "spf=temperror reason="),
    ];
    for (sender, _) in cases {
        assert!(send(&mut smtp, sender, "From: x@other.test\r\n\r\nhello").starts_with("250"));
    }
    assert!(send(&mut smtp, "", "From: x@other.test\r\n\r\nhello").starts_with("250"));
    let mut bad = from(&instance, BAD);
    assert!(send(&mut bad, "a@good.test", "From: x@other.test\r\n\r\nhello").starts_with("250"));
    let messages = mailbox(&instance, cases.len() + 2);
    let by = |sender: &str, client: &str| {
        let start = format!("Return-Path: <{sender}>\r\n");
        let is_it =
            |message: &&String| message.starts_with(&start) && message.contains(&format!("([{client}])"));
        messages.iter().find(is_it).unwrap_or_else(|| panic!("{sender} {messages:?}"))
    };
    for (sender, expected) in &cases {
        let message = by(sender, "127.77.0.1");
        let said = results(message);
        assert!(
            said.starts_with("mx.example.test; iprev=pass (mx.good.test) policy.iprev=127.77.0.1; "),
            "{said}"
        );
        assert!(said.contains(expected), "{said}");
        assert!(said.contains("; spf=pass smtp.helo=mx.good.test; dkim=none; arc=none; "), "{said}");
        assert!(said.contains("; dmarc=none header.from=other.test"), "{said}");
        assert!(message.contains("\r\nReceived: from mx.good.test ([127.77.0.1])"), "{message}");
    }
    // RFC 7208 §2.4: the null sender has the identity of HELO.
    let said = results(by("", "127.77.0.1"));
    assert!(said.contains("; spf=pass smtp.helo=mx.good.test; dkim=none"), "{said}");
    assert!(!said.contains("smtp.mailfrom"), "{said}");
    let said = results(by("a@good.test", "127.77.0.66"));
    assert!(said.contains("iprev=fail policy.iprev=127.77.0.66"), "{said}");
    assert!(said.contains("spf=fail smtp.mailfrom=a@good.test"), "{said}");
    let log = instance.log("smtp");
    assert!(
        log.contains("from=<a@soft.test> client=[127.77.0.1] verified: iprev=pass spf=softfail"),
        "{log}"
    );
}

#[test]
fn signatures_count_for_their_domain_and_forged_results_go() {
    let dns = zone();
    let instance = setup(&dns, "reject").start();
    let mut smtp = from(&instance, BAD);
    let message = "From: Boss <boss@good.test>\r\nSubject: signed\r\n\r\nhello\r\n";
    let forged = "Authentication-Results: mx.example.test; dmarc=pass header.from=bank.test\r\n\
                  Authentication-Results: (ours) \"MX.example.test\" 1;\r\n spf=pass\r\n\
                  Authentication-Results: elsewhere.test; spf=pass smtp.mailfrom=kept.test\r\n";
    let good = format!("{forged}{}", signed(&dns, "good.test", message));
    assert!(send(&mut smtp, "a@soft.test", &good).starts_with("250"));
    let changed = signed(&dns, "neutral.test", message).replace("Boss", "Chef");
    let reply = send(&mut smtp, "a@soft.test", &changed);
    assert!(reply.starts_with("550 5.7.26 "), "{reply}");
    assert!(reply.contains("good.test"), "{reply}");
    let messages = mailbox(&instance, 1);
    let said = results(&messages[0]);
    assert!(
        said.contains("dkim=pass header.d=good.test header.s=s header.a=ed25519-sha256 header.b="),
        "{said}"
    );
    assert!(said.contains("dmarc=pass header.from=good.test polrec.p=reject"), "{said}");
    assert_eq!(messages[0].matches("Authentication-Results:").count(), 2, "{}", messages[0]);
    assert!(messages[0].contains("\r\nAuthentication-Results: elsewhere.test; spf=pass"), "{}", messages[0]);
    assert!(messages[0].trim_end().ends_with(&signed_end(&good)), "{}", messages[0]);
    let log = instance.log("smtp");
    assert!(log.contains("verification: refused with 550 5.7.26"), "{log}");
    assert!(fs::read_dir(instance.path("queue/messages")).unwrap().next().is_none());
}

/// What of a message stands behind the fields that pretend to be ours.
fn signed_end(message: &str) -> String {
    let at = message.find("Authentication-Results: elsewhere").unwrap();
    message[at..].trim_end().to_owned()
}

/// The policy of From's domain: only said, refused, or held until somebody looks.
#[test]
fn the_policy_of_the_author_is_applied_as_far_as_the_site_wants() {
    let dns = zone();
    let text = |domain: &str| format!("From: a@{domain}\r\n\r\nhello");
    for (dmarc, reject, quarantine, delivered) in
        [("report", "250", "250", 5), ("reject", "550", "250", 4), ("enforce", "550", "250", 2)]
    {
        let instance = setup(&dns, dmarc).start();
        let mut smtp = from(&instance, BAD);
        assert!(send(&mut smtp, "a@soft.test", &text("good.test")).starts_with(reject), "{dmarc}");
        // What is testing wants one level less, and what cannot be known is not held against the message.
        for domain in ["quarantine.test", "trial.test"] {
            assert!(
                send(&mut smtp, "a@soft.test", &text(domain)).starts_with(quarantine),
                "{dmarc} {domain}"
            );
        }
        assert!(send(&mut smtp, "a@later.test", &text("later.test")).starts_with("250"), "{dmarc}");
        assert!(send(&mut smtp, "a@soft.test", &text("soft.test")).starts_with("250"), "{dmarc}");
        let messages = mailbox(&instance, delivered);
        if dmarc == "report" {
            let failed = "dmarc=fail header.from=good.test polrec.p=reject";
            assert!(messages.iter().any(|message| results(message).contains(failed)), "{messages:?}");
        }
        assert!(messages.iter().any(|message| results(message).contains("dmarc=temperror")), "{dmarc}");
        if dmarc == "enforce" {
            let list =
                String::from_utf8(instance.tool("mailq").arg("--list").output().unwrap().stdout).unwrap();
            assert_eq!(list.matches("held").count(), 2, "{list}");
            black_box::run(instance.tool("msg-queue").args(["release", "--all"]));
            mailbox(&instance, 4);
        }
    }
}

/// A From of two domains passes only with both.
#[test]
fn several_authors_have_a_say_each() {
    let dns = zone();
    let instance = setup(&dns, "reject").start();
    let mut smtp = from(&instance, GOOD);
    let reply = send(&mut smtp, "a@soft.test", "From: a@soft.test, b@good.test\r\n\r\nhello");
    assert!(reply.starts_with("550 5.7.26"), "{reply}");
    let reply = send(&mut smtp, "a@soft.test", "From: a@soft.test\r\nFrom: b@good.test\r\n\r\nhello");
    assert!(reply.starts_with("550 5.7.26"), "{reply}");
    assert!(send(&mut smtp, "a@good.test", "From: a@soft.test, b@good.test\r\n\r\nhello").starts_with("250"));
    assert!(send(&mut smtp, "a@good.test", "Subject: nobody\r\n\r\nhello").starts_with("250"));
    let mut said: Vec<String> = mailbox(&instance, 2).iter().map(|message| results(message)).collect();
    said.sort_by_key(|said| said.contains("no From"));
    assert!(
        said[0].contains("dmarc=none header.from=soft.test; dmarc=pass header.from=good.test"),
        "{said:?}"
    );
    assert!(said[1].contains("dmarc=none reason=\"no From\""), "{said:?}");
}

/// Mail of ours is not verified: who logged in, relay networks, exempt clients. But nobody's results pass for ours (RFC 8601 §5).
#[test]
fn mail_of_our_own_is_left_alone() {
    let dns = zone();
    let instance = setup(&dns, "reject")
        .set("local.service.smtp.smtp-accept.relaynetworks", "127.77.0.201/32")
        .set("local.service.smtp.smtp-accept.ownaddressonly", "no")
        .start();
    let text = "Authentication-Results: mx.example.test; dmarc=pass\r\nAuthentication-Results: other.test; none\r\n\
        From: a@good.test\r\n\r\nhello";
    for last in [200, 201] {
        assert!(send(&mut from(&instance, [127, 77, 0, last]), "a@good.test", text).starts_with("250"));
    }
    let mut user = from(&instance, BAD);
    user.log_in("bob", "bob-secret");
    assert!(send(&mut user, "a@good.test", text).starts_with("250"));
    assert!(send(&mut from(&instance, BAD), "a@good.test", text).starts_with("550 5.7.26"));
    for message in mailbox(&instance, 3) {
        assert_eq!(message.matches("Authentication-Results:").count(), 1, "{message}");
        assert!(message.contains("Authentication-Results: other.test; none"), "{message}");
        assert!(!message.contains("spf="), "{message}");
        assert!(message.split("\r\n").nth(1).unwrap().starts_with("Received:"), "{message}");
    }
    assert_eq!(dns.queries().iter().filter(|query| query.name == "_dmarc.good.test").count(), 1);
}

/// doclientdnslookup: what the name of EHLO leads to is said, and refuses nobody.
#[test]
fn the_name_of_ehlo_is_looked_up_when_that_is_wanted() {
    let dns = zone();
    let instance = Setup::default()
        .set("service.smtp.dnsservers", &dns.parameter())
        .set("local.service.smtp.verification.exempt", "none")
        .set("local.service.smtp.verification.authservid", "mx.example.test")
        .set("service.smtp.doclientdnslookup", "yes")
        .start();
    let cases = [
        (GOOD, "mx.good.test", "pass"),
        (BAD, "mx.good.test", "fail"),
        (GOOD, "nobody.test", "fail"),
        (GOOD, "circle.test", "temperror"),
        (GOOD, "[127.77.0.1]", "pass"),
        (GOOD, "[127.77.0.2]", "fail"),
    ];
    for (number, (client, name, _)) in cases.iter().enumerate() {
        let mut smtp = from(&instance, *client);
        smtp.ok(&format!("EHLO {name}"));
        assert!(
            send(&mut smtp, &format!("s{number}@other.test"), "From: x@other.test\r\n\r\nhello")
                .starts_with("250")
        );
    }
    let messages = mailbox(&instance, cases.len());
    for (number, (_, name, verdict)) in cases.iter().enumerate() {
        let start = format!("Return-Path: <s{number}@other.test>\r\n");
        let message = messages.iter().find(|message| message.starts_with(&start)).unwrap();
        let said = results(message).replace('"', "");
        assert_eq!(said, format!("mx.example.test; x-helo={verdict} smtp.helo={name}"));
    }
    assert!(instance.log("smtp").contains("verified: x-helo=pass"));
    assert!(dns.queries().iter().all(|query| query.name != "_dmarc.other.test"));
}

/// A name server that says nothing costs the message its time and nobody else's; then the message is taken.
#[test]
fn silent_name_servers_hold_nobody_up() {
    let dns = zone();
    let instance = setup(&dns, "reject")
        .set("local.service.smtp.verification.timeout", "6")
        .set("service.smtp.dnstimeout", "3")
        .set("service.smtp.dnstries", "1")
        .set("service.smtp.smtp-accept.minruncount", "2")
        .start();
    dns.behave(Behaviour::Silent);
    let text = "From: a@good.test\r\n\r\nhello";
    let mut waiting: Vec<Smtp> = (0..20)
        .map(|_| {
            let mut smtp = from(&instance, BAD);
            smtp.ok("MAIL FROM:<a@good.test>");
            smtp.ok("RCPT TO:<alice@example.test>");
            smtp.ok("DATA");
            smtp.wire.send(format!("{text}\r\n.\r\n").as_bytes());
            smtp
        })
        .collect();
    wait_for("a question", || (!dns.queries().is_empty()).then_some(()));
    let since = Instant::now();
    let mut other = from(&instance, GOOD);
    other.ok("NOOP");
    assert!(since.elapsed() < Duration::from_secs(6), "another session waited {:?}", since.elapsed());
    for smtp in &mut waiting {
        assert!(smtp.reply().starts_with("250"));
        smtp.ok("NOOP");
    }
    // Six seconds and one look-up more, twice, since one network has sixteen threads; and a loaded machine.
    assert!(since.elapsed() < Duration::from_secs(60), "{:?}", since.elapsed());
    for message in mailbox(&instance, 20) {
        let said = results(&message);
        assert!(said.contains("spf=temperror") && said.contains("dmarc=temperror"), "{said}");
    }
}

/// What a forger brings, domains whose name servers say nothing, takes no time from the author's domain: what its policy
/// refuses is refused, and what it proves is proved.
#[test]
fn silent_domains_of_a_forger_do_not_hide_the_author_s_policy() {
    let dns = zone();
    dns.set_negative_ttl(0);
    dns.silence_below("slow.test");
    let instance = setup(&dns, "reject")
        .set("local.service.smtp.verification.timeout", "4")
        .set("service.smtp.dnstimeout", "1")
        .set("service.smtp.dnstries", "1")
        .start();
    let signature = |domain: &str| {
        format!(
            "DKIM-Signature: v=1; a=ed25519-sha256; d={domain}; s=s; h=From; bh={}; b=AAAA\r\n",
            STANDARD.encode([0; 32])
        )
    };
    let slow: String = (0..9).map(|number| signature(&format!("d{number}.slow.test"))).collect();
    let send_slowly = |sender: &str, text: &str| {
        let mut smtp = from(&instance, BAD);
        smtp.ok("EHLO b.slow.test");
        send(&mut smtp, sender, text)
    };
    let forged = "From: ceo@good.test\r\n\r\nhello";
    for (sender, text) in [
        ("x@a.slow.test", format!("{slow}{forged}")),
        // A signature that is not there, and SPF, of the author's domain itself.
        ("x@good.test", format!("{slow}{}{forged}", signature("good.test"))),
        ("x@a.slow.test", format!("{slow}From: x@c.slow.test, ceo@good.test\r\n\r\nhello")),
    ] {
        let reply = send_slowly(sender, &text);
        assert!(reply.starts_with("550 5.7.26"), "{sender} {text}: {reply}");
    }
    let true_one =
        format!("{slow}{}", signed(&dns, "good.test", "From: ceo@good.test\r\nSubject: x\r\n\r\nhello"));
    let reply = send_slowly("x@a.slow.test", &true_one);
    assert!(reply.starts_with("250"), "{reply}");
    assert!(mailbox(&instance, 1).iter().all(|message| results(message).contains("dmarc=pass")));
}

/// A message that is being looked at was not acknowledged: after a crash it is not there, and its sender has it. When smtpd
/// is only stopped, it is finished first.
#[test]
fn a_crash_while_a_message_is_looked_at_leaves_nothing_of_it() {
    let dns = zone();
    let mut instance = setup(&dns, "reject").set("local.service.smtp.verification.timeout", "3").start();
    dns.behave(Behaviour::Silent);
    let begin = |instance: &Instance| {
        dns.forget_queries();
        let mut smtp = from(instance, BAD);
        smtp.ok("MAIL FROM:<a@soft.test>");
        smtp.ok("RCPT TO:<alice@example.test>");
        smtp.ok("DATA");
        smtp.wire.send(format!("Subject: x\r\n\r\n{}\r\n.\r\n", "x".repeat(200_000)).as_bytes());
        wait_for("a question", || (!dns.queries().is_empty()).then_some(()));
        smtp
    };
    let _lost = begin(&instance);
    instance.kill("smtp");
    assert!(fs::read_dir(instance.path("queue/control")).unwrap().next().is_none());
    instance.start_one("smtp");
    assert!(fs::read_dir(instance.path("queue/messages")).unwrap().next().is_none());
    let mut kept = begin(&instance);
    instance.signal("smtp", Signal::SIGTERM);
    assert!(kept.reply().starts_with("250"));
    dns.behave(Behaviour::Normal);
    instance.stop("smtp");
    instance.start_one("smtp");
    assert_eq!(mailbox(&instance, 1).len(), 1);
}

/// What a client sends on without waiting is answered in order, and a message in chunks is verified like any other.
#[test]
fn commands_behind_a_message_wait_for_its_verdict() {
    let dns = zone();
    let instance = setup(&dns, "reject").start();
    let mut smtp = from(&instance, BAD);
    for (text, expected) in
        [("From: a@soft.test\r\n\r\nx\r\n", "250 "), ("From: a@good.test\r\n\r\nx\r\n", "550 5.7.26 ")]
    {
        smtp.ok("MAIL FROM:<a@soft.test>");
        smtp.ok("RCPT TO:<alice@example.test>");
        smtp.ok("DATA");
        smtp.wire.send(format!("{text}.\r\nNOOP\r\nRSET\r\n").as_bytes());
        assert!(smtp.reply().starts_with(expected), "{text}");
        assert!(smtp.reply().starts_with("250"));
        assert!(smtp.reply().starts_with("250"));
        let chunk = format!("BDAT {} LAST\r\n{text}", text.len());
        let group = "MAIL FROM:<a@soft.test>\r\nRCPT TO:<alice@example.test>\r\n";
        smtp.wire.send(format!("{group}{chunk}NOOP\r\n").as_bytes());
        assert!(smtp.reply().starts_with("250") && smtp.reply().starts_with("250"));
        assert!(smtp.reply().starts_with(expected), "{text}");
        assert!(smtp.reply().starts_with("250"));
    }
    for message in mailbox(&instance, 2) {
        assert!(results(&message).contains("dmarc=none"), "{message}");
    }
}

/// kill -9 while a message becomes a new file: nothing was said 250 to, nothing stays in the way, and the second time it
/// arrives once.
#[test]
fn a_crash_while_a_message_is_amended_leaves_nothing_in_the_way() {
    let dns = zone();
    let text = format!("From: a@good.test\r\n\r\n{}", "0123456789abcdef\r\n".repeat(10_000));
    for step in ["amend: old name removed", "amend: message rebuilt"] {
        let mut instance = setup(&dns, "report").environment("MAILBOAT_CRASH_AT", step).start();
        let mut smtp = from(&instance, GOOD);
        smtp.ok("MAIL FROM:<a@good.test>");
        smtp.ok("RCPT TO:<alice@example.test>");
        smtp.ok("DATA");
        smtp.wire.send(format!("{text}.\r\n").as_bytes());
        assert_eq!(smtp.wire.try_line(), None, "{step}");
        let status = instance.wait_for_end("smtp");
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{step}: {status}");
        instance.set_environment("MAILBOAT_CRASH_AT", "");
        instance.start_one("smtp");
        assert!(fs::read_dir(instance.path("queue/messages")).unwrap().next().is_none(), "{step}");
        assert!(
            send(&mut from(&instance, GOOD), "a@good.test", text.trim_end()).starts_with("250"),
            "{step}"
        );
        let message = mailbox(&instance, 1).remove(0);
        assert!(results(&message).contains("spf=pass"), "{step}");
        assert!(message.ends_with("0123456789abcdef"), "{step}");
    }
}

/// Above the size that stays in memory the message becomes a new file; its bytes are the same.
#[test]
fn a_large_message_arrives_byte_for_byte_below_its_results() {
    let dns = zone();
    let instance = setup(&dns, "report").set("service.smtp.smtp-accept.maxmessagesize", "20000000").start();
    let mut smtp = from(&instance, GOOD);
    let line = "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz\r\n";
    let body: String = (0..140_000).map(|number| format!("{number:06} {line}")).collect();
    let text =
        format!("From: a@good.test\r\nAuthentication-Results: mx.example.test; none\r\nX: y\r\n\r\n{body}");
    assert!(body.len() > 10 << 20);
    assert!(send(&mut smtp, "a@good.test", text.trim_end_matches("\r\n")).starts_with("250"));
    let message = mailbox(&instance, 1).remove(0);
    assert!(results(&message).contains("spf=pass"), "{}", results(&message));
    let (header, received) = message.split_once("\r\n\r\n").unwrap();
    assert!(received == body.trim_end_matches("\r\n"), "the body is another one");
    assert!(header.ends_with("\r\nFrom: a@good.test\r\nX: y"), "{header}");
}

/// Signatures without end, includes without end: few look-ups, and an answer.
#[test]
fn what_strangers_pile_up_is_bounded() {
    let dns = zone();
    for number in 0..100 {
        dns.add(&format!("d{number}.test"), "TXT", 60, &format!("v=spf1 include:d{}.test -all", number + 1));
    }
    let instance = setup(&dns, "report").start();
    let mut smtp = from(&instance, GOOD);
    let signatures: String = (0..1000)
        .map(|number| {
            format!("DKIM-Signature: v=1; a=rsa-sha256; d=x{number}.test; s=s; h=From; bh=AAAA; b=AAAA\r\n")
        })
        .collect();
    let forged = "Authentication-Results: mx.example.test; none\r\n".repeat(3000);
    dns.forget_queries();
    let since = Instant::now();
    let text = format!("{signatures}{forged}From: a@{}good.test\r\n\r\nhello", "a.".repeat(100));
    assert!(send(&mut smtp, "a@d0.test", &text).starts_with("250"));
    assert!(since.elapsed() < Duration::from_secs(50), "{:?}", since.elapsed());
    assert!(dns.queries().len() < 60, "{} look-ups", dns.queries().len());
    let message = mailbox(&instance, 1).remove(0);
    let said = results(&message);
    assert!(said.contains("spf=permerror"), "{said}");
    assert!(said.len() < 8192, "{} bytes of results", said.len());
    assert_eq!(message.matches("Authentication-Results:").count(), 1);
}

/// What is sent on begins with the results; Return-Path is for mailboxes.
#[test]
fn what_is_forwarded_has_its_results_on_top() {
    let world = World::new();
    world.dns.add("good.test", "TXT", 60, "v=spf1 ip4:127.77.0.1 -all");
    let remote = world.served("away.test", StubMta::new());
    let mut instance = setup(&world.dns, "report")
        .set("local.service.smtp.smtp-deliver.port", &world.port.to_string())
        .create();
    let mut tool = instance.tool("dirutil");
    tool.args(["change", "alice", "--remove", "mailDeliveryOption"]);
    black_box::run(tool.args(["--set", "mailForwardingAddress=a@away.test"]));
    instance.start_all();
    for body in ["short".to_owned(), "0123456789abcdef\r\n".repeat(10_000)] {
        let text =
            format!("Authentication-Results: mx.example.test; none\r\nFrom: a@good.test\r\n\r\n{body}");
        assert!(send(&mut from(&instance, GOOD), "a@good.test", text.trim_end()).starts_with("250"));
    }
    for message in remote.wait_for(2) {
        let text = message.text();
        assert!(text.starts_with("Authentication-Results: mx.example.test;\r\n\tiprev="), "{:.300}", text);
        assert_eq!(text.matches("Authentication-Results:").count(), 1, "{:.300}", text);
        assert!(!text.contains("Return-Path"), "{:.300}", text);
        assert!(
            text.contains("\r\nReceived: from mx.good.test")
                && text.contains("\r\nFrom: a@good.test\r\n\r\n")
        );
    }
}

/// The profile that the handbook names is complete by itself.
#[test]
fn the_profile_of_an_mx_switches_it_on() {
    let dns = zone();
    let mut instance = Setup::default()
        .set("service.smtp.dnsservers", &dns.parameter())
        .set("local.service.smtp.verification.exempt", "none")
        .create();
    black_box::run(instance.tool("configutil").arg("-i").arg(top().join("etc/profiles/mx.conf")));
    instance.start_all();
    assert!(send(&mut from(&instance, BAD), "a@good.test", "From: a@good.test\r\n\r\nx").starts_with("250"));
    let said = results(&mailbox(&instance, 1)[0]);
    for word in ["localhost; iprev=fail", "; spf=fail", "; dkim=none", "; arc=none", "; dmarc=fail"] {
        assert!(said.contains(word), "{said}");
    }
}

#[test]
fn it_is_off_until_it_is_wanted_and_can_be_switched_while_smtpd_runs() {
    let dns = zone();
    let instance = Setup::default()
        .set("service.smtp.dnsservers", &dns.parameter())
        .set("local.service.smtp.verification.exempt", "none")
        .start();
    let text = "Authentication-Results: localhost; none\r\nFrom: a@good.test\r\n\r\nhello";
    assert!(send(&mut from(&instance, BAD), "a@good.test", text).starts_with("250"));
    assert!(dns.queries().is_empty());
    instance.set("local.service.smtp.verification.dmarc", "reject");
    instance.signal("smtp", Signal::SIGHUP);
    wait_for("the new rule", || {
        send(&mut from(&instance, BAD), "a@good.test", text).starts_with("550 5.7.26").then_some(())
    });
}

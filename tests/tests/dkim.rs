//! DKIM: keys made by dkimutil, mail signed with them, and what python3-dkim makes of it.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use black_box::instance::wait_for;
use black_box::peer_dkim::{look, records};
use black_box::{Instance, Step, StubMta, World, run};
use nix::sys::signal::Signal;

fn dkimutil(instance: &Instance, arguments: &[&str]) -> String {
    run(instance.tool("dkimutil").args(arguments))
}

/// Exit status was not 0; what it said.
fn refused(instance: &Instance, arguments: &[&str]) -> String {
    let output = instance.tool("dkimutil").args(arguments).output().unwrap();
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn submit(instance: &Instance, user: &str, to: &str, header: &str) {
    let mut smtp = instance.submission(user);
    let text = format!("{header}To: {to}\r\nSubject: hello  you\r\n\r\n.dot\r\n two  words \r\n\r\n");
    smtp.send_message(&format!("{user}@example.test"), &[to], &text);
}

#[test]
fn submitted_mail_is_signed_with_both_keys_as_they_are_published() {
    let world = World::new();
    let mx = world.served("remote.test", StubMta::new());
    let mut instance = world.setup().create();
    let rsa = dkimutil(&instance, &["create", "Example.Test", "r1"]);
    let ed = dkimutil(&instance, &["create", "example.test", "e1", "--algorithm", "ed25519"]);
    let zone = records(&format!("{rsa}{ed}"));
    let names: Vec<&str> = zone.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["r1._domainkey.example.test", "e1._domainkey.example.test"]);
    assert_eq!(records(&dkimutil(&instance, &["show-dns", "example.test", "r1"])), zone[..1]);
    instance.start_all();
    submit(&instance, "alice", "x@remote.test", "From: Alice <alice@example.test>\r\n");
    let content = mx.wait_for(1)[0].content.clone();
    let verdicts = look(&content, &zone);
    assert_eq!(verdicts, ["dkim example.test e1 pass", "dkim example.test r1 pass", "arc none"]);
    let text = String::from_utf8(content).unwrap();
    assert!(text.starts_with("DKIM-Signature: "), "{text}");
    // Date and Message-ID, which the server added, are signed; a second From is not possible.
    for (from, to) in [
        ("\r\nDate: ", "\r\nDate: x"),
        ("\r\nSubject:", "\r\nFrom: eve@evil.test\r\nSubject:"),
        ("two", "too"),
    ] {
        let verdicts = look(text.replacen(from, to, 1).as_bytes(), &zone);
        assert_eq!(verdicts, ["dkim example.test e1 fail", "dkim example.test r1 fail", "arc none"], "{to}");
    }
    // Also in one's own mailbox, and by a relay network.
    submit(&instance, "alice", "bob@example.test", "");
    instance.wait_for_messages("bob", 1);
    let mut smtp = instance.smtp();
    smtp.ok("EHLO client.example.org");
    smtp.send_message("root@example.test", &["x@remote.test"], "From: root@host.example.test\r\n\r\nx\r\n");
    let verdicts = look(&mx.wait_for(2)[1].content, &zone);
    assert_eq!(
        verdicts,
        ["dkim example.test e1 pass", "dkim example.test r1 pass", "arc none"],
        "below a domain with a key"
    );
}

#[test]
fn what_has_no_key_and_what_strangers_send_is_not_signed() {
    let world = World::new();
    let mx = world.served("remote.test", StubMta::new());
    let mut instance = world
        .setup()
        .set("service.smtp.smtp-router.localmaildomains", "example.test second.test third.test")
        .set("local.service.smtp.dkim.signnetworks", "no")
        .create();
    dkimutil(&instance, &["create", "second.test"]);
    run(instance.tool("dirutil").args(["change", "bob", "--add", "mailAlternateAddress=bob@second.test"]));
    instance.start_all();
    let log = instance.log("smtp");
    let told: Vec<&str> = log.lines().filter(|line| line.contains("DKIM")).collect();
    assert_eq!(told.len(), 1, "{log}");
    assert!(
        told[0].contains("mail of second.test is signed; no key for example.test localhost third.test"),
        "{log}"
    );
    let mut smtp = instance.smtp();
    smtp.ok("EHLO client.example.org");
    smtp.send_message("a@second.test", &["x@remote.test"], "From: a@second.test\r\n\r\na network\r\n");
    submit(&instance, "alice", "x@remote.test", "From: alice@example.test\r\n");
    // She has no address there, so the domain does not vouch for her; nor does it for bob as somebody else.
    submit(&instance, "alice", "x@remote.test", "From: boss@second.test\r\n");
    submit(&instance, "bob", "x@remote.test", "From: boss@second.test\r\n");
    submit(&instance, "bob", "x@remote.test", "From: bob@second.test, boss@second.test\r\n");
    for message in mx.wait_for(5) {
        assert!(!message.text().contains("DKIM-Signature"), "{}", message.text());
    }
    submit(&instance, "bob", "x@remote.test", "From: Bob <bob@second.test>\r\n");
    assert!(mx.wait_for(6)[5].text().contains("DKIM-Signature"));
}

#[test]
fn a_key_that_others_may_read_is_refused_until_it_is_mended() {
    let world = World::new();
    let mx = world.served("remote.test", StubMta::new());
    let mut instance = world.setup().create();
    let zone = records(&dkimutil(&instance, &["create", "example.test", "k"]));
    let key = instance.path("config/dkim/example.test/k.key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(instance.path("config/dkim")).unwrap().permissions().mode() & 0o777, 0o700);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    instance.start_all();
    assert!(
        instance.log("smtp").contains("k.key: others may read it (mode 0644); say chmod 600"),
        "{}",
        instance.logs()
    );
    assert!(dkimutil(&instance, &["list"]).contains("others may read it"));
    submit(&instance, "alice", "x@remote.test", "From: alice@example.test\r\n");
    assert!(!mx.wait_for(1)[0].text().contains("DKIM-Signature"));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    instance.signal("smtp", Signal::SIGHUP);
    wait_for("the key", || instance.log("smtp").contains("mail of example.test is signed").then_some(()));
    submit(&instance, "alice", "x@remote.test", "From: alice@example.test\r\n");
    assert_eq!(look(&mx.wait_for(2)[1].content, &zone)[0], "dkim example.test k pass");
}

#[test]
fn a_key_is_checked_in_dns_and_changed_without_a_gap() {
    let world = World::new();
    let mx = world.served("remote.test", StubMta::new());
    let mut instance = world.setup().create();
    let first = records(&dkimutil(&instance, &["create", "example.test", "one"]));
    assert!(refused(&instance, &["create", "example.test", "one"]).contains("one.key is there already"));
    assert!(refused(&instance, &["check"]).contains("example.test one signs: it is not published"));
    world.dns.add(&first[0].0, "TXT", 60, &first[0].1);
    assert_eq!(dkimutil(&instance, &["check"]), "example.test one signs: published\n");
    instance.start_all();
    let said = dkimutil(&instance, &["rotate", "example.test", "two"]);
    let second = records(&said);
    assert!(said.contains("dkimutil activate example.test two"), "{said}");
    assert_eq!(
        dkimutil(&instance, &["list"]),
        "example.test one signs rsa 2048\nexample.test two next rsa 2048\n"
    );
    let early = refused(&instance, &["activate", "example.test", "two"]);
    assert!(early.contains("two._domainkey.example.test: it is not published"), "{early}");
    // Another key under its name, then the right one beside something else, then the right one.
    world.dns.add(&second[0].0, "TXT", 0, &first[0].1);
    assert!(refused(&instance, &["check", "example.test", "two"]).contains("another key is published there"));
    world.dns.add(&second[0].0, "TXT", 0, &second[0].1);
    assert!(refused(&instance, &["check"]).contains("2 records are published where there must be one"));
    world.dns.remove(&second[0].0);
    world.dns.add(&second[0].0, "TXT", 60, &second[0].1);
    dkimutil(&instance, &["activate", "example.test", "two"]);
    assert_eq!(
        dkimutil(&instance, &["list", "example.test"]),
        "example.test one old rsa 2048\nexample.test two signs rsa 2048\n"
    );
    instance.signal("smtp", Signal::SIGHUP);
    let count = |instance: &Instance| instance.log("smtp").matches("mail of example.test is signed").count();
    wait_for("the new key", || (count(&instance) == 2).then_some(()));
    submit(&instance, "alice", "x@remote.test", "From: alice@example.test\r\n");
    let all: Vec<(String, String)> = first.iter().chain(&second).cloned().collect();
    assert_eq!(look(&mx.wait_for(1)[0].content, &all)[0], "dkim example.test two pass");
    assert!(refused(&instance, &["delete", "example.test", "two"]).contains("signs mail"));
    dkimutil(&instance, &["delete", "example.test", "one"]);
    dkimutil(&instance, &["delete", "example.test", "two", "--force"]);
    assert!(!instance.path("config/dkim/example.test").exists());
    for (arguments, why) in [
        (&["create", "nodots"][..], "nodots is not the name of a domain"),
        (&["create", "../../etc.x"], "is not the name of a domain"),
        (&["create", "example.test", "../x"], "is no selector"),
        (&["create", "example.test", "x", "--bits", "512"], "512"),
        (&["show-dns", "example.test"], "example.test has no key: dkimutil create example.test"),
        (&["delete", "example.test", "x"], "example.test has no key x"),
    ] {
        let said = refused(&instance, arguments);
        assert!(said.contains(why), "{arguments:?}: {said}");
    }
}

#[test]
fn reports_and_answers_of_this_host_are_signed() {
    let world = World::new();
    let mx = world.served("remote.test", StubMta::new());
    let bad = world
        .served("bad.test", StubMta::new().on(Step::Rcpt, &[black_box::Act::say("550 5.1.1 no such user")]));
    let mut instance = world.setup().create();
    let zone = records(&dkimutil(&instance, &["create", "example.test", "k"]));
    let host = records(&dkimutil(&instance, &["create", "mail.example.test", "h", "--algorithm", "ed25519"]));
    instance.set("local.hostname", "mail.example.test");
    instance.start_all();
    // A report to a remote sender, full and large, so that it is put together in a file.
    let mut smtp = instance.smtp();
    smtp.ok("EHLO client.example.org");
    let text = format!("From: x@remote.test\r\n\r\n{}", "a line of the original\r\n".repeat(5000));
    smtp.send_message("x@remote.test", &["nobody@bad.test"], &text);
    let report = mx.wait_for(1)[0].clone();
    assert_eq!(report.sender(), "");
    assert!(report.text().contains("Final-Recipient: rfc822; nobody@bad.test"), "{}", report.text());
    assert_eq!(look(&report.content, &host)[0], "dkim mail.example.test h pass");
    drop(bad);
    // An answer is from who answers.
    run(instance.tool("dirutil").args([
        "change",
        "bob",
        "--set",
        "mailHost=mail.example.test",
        "--set",
        "mailAutoReplyMode=reply",
        "--set",
        "mailAutoReplyText=away",
    ]));
    smtp.send_message(
        "x@remote.test",
        &["bob@example.test"],
        "From: x@remote.test\r\nTo: bob@example.test\r\n\r\nhello\r\n",
    );
    let answer = mx.wait_for(2)[1].clone();
    assert_eq!(look(&answer.content, &zone)[0], "dkim example.test k pass", "{}", answer.text());
}

/// RFC 6376 §5.3: a host that takes 7 bits only gets another form of the message, and a signature of that.
#[test]
fn what_is_encoded_for_an_old_host_is_signed_as_it_goes() {
    let world = World::new();
    let mx = world.served("remote.test", StubMta::new().offers(&["SIZE"]));
    let mut instance = world.setup().create();
    let zone = records(&dkimutil(&instance, &["create", "example.test", "k"]));
    instance.start_all();
    let mut smtp = instance.submission("alice");
    smtp.ok("MAIL FROM:<alice@example.test> BODY=8BITMIME");
    smtp.ok("RCPT TO:<x@remote.test>");
    assert!(smtp.ask("DATA").starts_with("354"));
    let head = "From: alice@example.test\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
        Content-Transfer-Encoding: 8bit\r\n";
    smtp.wire.send(format!("{head}\r\nGr\u{fc}\u{df}e\r\n.\r\n").as_bytes());
    assert!(smtp.reply().starts_with("250"));
    let message = mx.wait_for(1)[0].clone();
    assert!(message.content.is_ascii(), "{}", message.text());
    assert_eq!(look(&message.content, &zone)[..2], ["dkim example.test k pass", "dkim example.test k fail"]);
}

/// A copy that a group changes is signed again, if it was ours before; a stranger's is not, whatever its From says.
#[test]
fn a_group_s_changed_copy_of_our_own_mail_is_signed_again() {
    let world = World::new();
    let mx = world.served("remote.test", StubMta::new());
    let mut instance =
        world.setup().set("local.service.smtp.smtp-accept.relaynetworks", "192.0.2.0/24").create();
    let zone = records(&dkimutil(&instance, &["create", "example.test", "k"]));
    let path = instance.path("config/directory.ldif");
    let group = "\ndn: cn=list,ou=Groups,o=example\nobjectClass: groupOfUniqueNames\nobjectClass: mailGroup\n\
         cn: list\nmail: list@example.test\nmgrpRFC822MailMember: x@remote.test\nmgrpAddHeader: Reply-To: list@example.test\n";
    fs::write(&path, fs::read_to_string(&path).unwrap() + group).unwrap();
    instance.start_all();
    submit(&instance, "alice", "list@example.test", "From: alice@example.test\r\n");
    let copy = mx.wait_for(1)[0].clone();
    assert!(copy.text().contains("Reply-To: list@example.test"), "{}", copy.text());
    assert_eq!(
        look(&copy.content, &zone)[..2],
        ["dkim example.test k pass", "dkim example.test k fail"],
        "{}",
        copy.text()
    );
    let mut smtp = instance.smtp();
    smtp.ok("EHLO client.example.org");
    smtp.send_message(
        "alice@example.test",
        &["list@example.test"],
        "From: alice@example.test\r\n\r\nforged\r\n",
    );
    assert!(!mx.wait_for(2)[1].text().contains("DKIM-Signature"));
}

//! Who gets a message: forwarding, groups, sub-addresses, catch-alls. Nobody's mail disappears.
#![allow(clippy::unwrap_used)]

use std::fs;

use black_box::instance::wait_for;
use black_box::{Instance, Setup, run};

fn dirutil(instance: &Instance, arguments: &[&str]) {
    run(instance.tool("dirutil").args(arguments));
}

fn forward_only(instance: &Instance, user: &str, to: &str) {
    let forward = format!("mailForwardingAddress={to}");
    dirutil(instance, &["change", user, "--set", &forward, "--remove", "mailDeliveryOption"]);
}

fn text_of_first(instance: &Instance, user: &str) -> String {
    let mut imap = instance.imap(user);
    imap.ok("SELECT INBOX");
    imap.ok("FETCH 1 BODY.PEEK[]").join("\n")
}

#[test]
fn forwarding_in_a_circle_is_told_to_the_sender() {
    let mut instance = Setup::default().users(&["alice", "bob", "carol"]).create();
    forward_only(&instance, "alice", "bob@example.test");
    forward_only(&instance, "bob", "alice@example.test");
    instance.start_all();
    // To one of them, and to both: each forwards to somebody who has it already, and who has not.
    for (count, to) in [(1, vec!["alice@example.test"]), (2, vec!["alice@example.test", "bob@example.test"])]
    {
        let mut smtp = instance.submission("carol");
        smtp.send_message("carol@example.test", &to, "Subject: circle\r\n\r\nx\r\n");
        instance.wait_for_messages("carol", count);
        instance.wait_for_empty_queue();
    }
    let text = text_of_first(&instance, "carol");
    assert!(text.contains("Status: 5.2.4") && text.contains("circle"), "{text}");
}

#[test]
fn groups_in_a_circle_and_groups_of_bare_names_lose_nothing() {
    let mut instance = Setup::default().users(&["alice", "bob", "carol"]).create();
    let ldif = instance.path("config/directory.ldif");
    let mut text = fs::read_to_string(&ldif).unwrap();
    let group = |name: &str, members: &[&str]| {
        let members: String =
            members.iter().map(|member| format!("mgrpRFC822MailMember: {member}\n")).collect();
        format!(
            "\ndn: cn={name},o=example\nobjectClass: mailGroup\ncn: {name}\nmail: {name}@example.test\n{members}"
        )
    };
    text.push_str(&group("staff", &["alice", "bob"]));
    text.push_str(&group("one", &["two@example.test"]));
    text.push_str(&group("two", &["one@example.test"]));
    fs::write(&ldif, text).unwrap();
    instance.start_all();
    let mut smtp = instance.submission("carol");
    smtp.send_message("carol@example.test", &["staff@example.test"], "Subject: staff\r\n\r\nx\r\n");
    instance.wait_for_messages("alice", 1);
    instance.wait_for_messages("bob", 1);
    smtp.send_message("carol@example.test", &["one@example.test"], "Subject: circle\r\n\r\nx\r\n");
    instance.wait_for_messages("carol", 1);
    instance.wait_for_empty_queue();
}

#[test]
fn two_who_forward_to_a_third_give_it_one_message() {
    let mut instance = Setup::default().users(&["alice", "bob", "carol"]).create();
    forward_only(&instance, "alice", "carol@example.test");
    forward_only(&instance, "bob", "alice@example.test");
    instance.start_all();
    let mut smtp = instance.submission("carol");
    let all = ["alice@example.test", "bob@example.test", "carol@example.test"];
    smtp.send_message("carol@example.test", &all, "Subject: once\r\n\r\nx\r\n");
    instance.wait_for_messages("carol", 1);
    instance.wait_for_empty_queue();
    assert_eq!(instance.imap("carol").exists("INBOX"), 1);
}

#[test]
fn a_sub_address_is_its_owners_before_it_is_anybodys() {
    let mut instance = Setup::default().create();
    dirutil(&instance, &["change", "bob", "--add", "mailAlternateAddress=@example.test"]);
    instance.start_all();
    let mut smtp = instance.smtp();
    smtp.ok("EHLO x.example.org");
    let to = ["alice+work@example.test", "postmaster@example.test", "unknown@example.test"];
    smtp.send_message("s@example.org", &to, "Subject: private\r\n\r\nx\r\n");
    instance.wait_for_empty_queue();
    for user in ["alice", "bob", "postmaster"] {
        instance.wait_for_messages(user, 1);
    }
}

/// S44, S46: with the hold bit alone, what would be nowhere is kept where an administrator finds it.
#[test]
fn what_is_held_is_kept() {
    let mut instance = Setup::default().set("service.smtp.error-handler.unknownacctsactions", "2").create();
    forward_only(&instance, "alice", "gone@example.test");
    instance.start_all();
    let mut smtp = instance.submission("bob");
    smtp.send_message("bob@example.test", &["alice@example.test"], "Subject: held\r\n\r\nx\r\n");
    instance.wait_for_empty_queue();
    let lost = instance.path("queue/lost+found");
    wait_for("the held message", || (fs::read_dir(&lost).unwrap().count() == 2).then_some(()));
    assert_eq!(instance.imap("bob").exists("INBOX"), 0);
}

/// `fallbacksearchmethod`: what is searched for an address that nobody has is what the sum says.
#[test]
fn an_address_that_nobody_has_is_searched_as_the_sum_says() {
    for (sum, uid, below) in [("4", false, false), ("1", true, true), ("2", false, true), ("3", true, true)] {
        let instance = Setup::default()
            .set("service.smtp.smtp-router.localmaildomains", "other.test mail.example.test")
            .set("service.smtp.smtp-router.fallbacksearchmethod", sum)
            .start();
        let mut smtp = instance.smtp();
        smtp.ok("EHLO client.example.org");
        smtp.ok("MAIL FROM:<s@example.org>");
        let mut takes = |address: &str| smtp.ask(&format!("RCPT TO:<{address}>")).starts_with("250");
        let wanted = [takes("bob@other.test"), takes("bob@mail.example.test"), takes("nobody@other.test")];
        assert_eq!(wanted, [uid, below, false], "{sum}");
        let count = u32::from(uid || below);
        if count > 0 {
            smtp.ok("DATA");
            smtp.ok("Subject: found\r\n\r\nx\r\n.");
            instance.wait_for_messages("bob", count);
        }
    }
}

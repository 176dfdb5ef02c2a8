//! dirutil, as an administrator types it: the mistakes that it notices, and what a change does to those who are logged in.
#![allow(clippy::unwrap_used)]

use std::process::Stdio;

use black_box::instance::{IMAP, POP, wait_for};
use black_box::{Imap, Instance, Pop, Setup};

fn tool(instance: &Instance, arguments: &[&str]) -> (bool, String) {
    let output = instance.tool("dirutil").args(arguments).stdin(Stdio::null()).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

fn ok(instance: &Instance, arguments: &[&str]) -> String {
    let (done, said) = tool(instance, arguments);
    assert!(done, "{arguments:?}: {said}");
    said
}

/// One clear line, and nothing is written.
fn refused(instance: &Instance, arguments: &[&str]) -> String {
    let file = instance.path("config/directory.ldif");
    let before = std::fs::read(&file).unwrap();
    let (done, said) = tool(instance, arguments);
    assert!(!done, "{arguments:?} was accepted: {said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert_eq!(std::fs::read(&file).unwrap(), before);
    said
}

#[test]
fn what_is_no_uid_or_address_or_is_taken_is_refused() {
    let instance = Setup::default().create();
    for (arguments, word) in [
        (&["add", "user", "dave@example.test"][..], "the uid would be 'dave'"),
        (&["add", "user", "dave smith"], "no uid"),
        (&["add", "user", "dave", "--mail", "dave"], "no address"),
        (&["add", "user", "Bob"], "is taken: uid=bob"),
        (&["add", "user", "dave", "--mail", "BOB@example.test"], "is taken: uid=bob"),
        (&["add", "group", "a b"], "no address"),
        (&["add", "group", "team", "--member", "niemand"], "no such user"),
        (&["change", "bob", "--set", "mail=alice@example.test"], "is taken: uid=alice"),
        (&["change", "bob", "--add", "mailAlternateAddress=alice"], "no address"),
        (&["change", "bob", "--set", "qatsch=1"], "no such attribute"),
        (&["change", "bob", "--set", "mailDeliveryOptin=mailbox"], "did you mean mailDeliveryOption?"),
        (
            &["add", "user", "frank", "--set", "mailDeliveryOption=mailbocks"],
            "none of: mailbox, native, program",
        ),
        (&["delete", "user", "nobody"], "no such user or group"),
    ] {
        let said = refused(&instance, arguments);
        assert!(said.contains(word), "{arguments:?}: {said}");
    }
    ok(&instance, &["change", "bob", "--set", "qatsch=1", "--force"]);
    ok(&instance, &["change", "bob", "--set", "mail=bob@example.test"]);
    assert!(ok(&instance, &["check"]).contains("qatsch: no such attribute"));
}

#[test]
fn users_and_groups_are_named_in_the_ways_one_tries() {
    let instance = Setup::default().create();
    ok(&instance, &["add", "group", "team", "--member", "bob", "carol@elsewhere.test"]);
    let shown = ok(&instance, &["show", "team"]);
    assert!(shown.contains("mgrpRFC822MailMember: bob@example.test"), "{shown}");
    assert!(ok(&instance, &["add", "group", "later", "--member", "eve@example.test"]).contains("nobody has"));
    let listed = ok(&instance, &["list"]);
    assert!(listed.lines().any(|line| line == "bob user bob@example.test"), "{listed}");
    assert!(listed.lines().any(|line| line == "team@example.test group team@example.test"), "{listed}");
    ok(&instance, &["delete", "group", "team"]);
    ok(&instance, &["change", "user", "bob", "--set", "cn=Bob Smith"]);
    ok(&instance, &["delete", "bob@example.test"]);
    assert!(!ok(&instance, &["list"]).contains("bob"));
}

/// S54: nobody deletes the only postmaster by a slip.
#[test]
fn the_postmaster_cannot_be_lost_by_a_slip() {
    let instance = Setup::default().create();
    for arguments in [
        &["delete", "postmaster"][..],
        &["change", "postmaster", "--set", "mail=master@example.test"],
        &["change", "postmaster", "--remove", "mail"],
    ] {
        let said = refused(&instance, arguments);
        assert!(said.contains("smtpd would not start") && said.contains("--force"), "{said}");
    }
    ok(&instance, &["delete", "postmaster", "--force"]);
    let refused_start = instance.refused_start("smtp");
    let said = String::from_utf8(refused_start.stderr).unwrap();
    assert!(said.contains("postmaster@example.test"), "{said}");
    ok(&instance, &["change", "bob", "--add", "mailAlternateAddress=postmaster@example.test"]);
    assert_eq!(ok(&instance, &["check"]), "OK\n");
}

/// A password that was changed lets nobody in any more, though the log-in was remembered (S127); nor does that of a user
/// who was deleted, when somebody else gets the name.
#[test]
fn a_log_in_ends_with_its_password_and_with_its_user() {
    let instance = Instance::start();
    let imap = |password: &str| {
        Imap::open(instance.connect(IMAP)).command(&format!("LOGIN bob {password}")).1.starts_with("OK")
    };
    let pop = |password: &str| {
        let mut pop = Pop::open(instance.connect(POP));
        pop.ok("USER bob");
        let done = pop.ask(&format!("PASS {password}")).starts_with("+OK");
        pop.ok("QUIT");
        done
    };
    assert!(imap("bob-secret") && pop("bob-secret"));
    let new = ok(&instance, &["password", "bob"]);
    let new = new.split_whitespace().nth(1).unwrap();
    wait_for("imapd to refuse the old password", || (!imap("bob-secret")).then_some(()));
    wait_for("popd to refuse the old password", || (!pop("bob-secret")).then_some(()));
    assert!(imap(new) && pop(new));
    ok(&instance, &["delete", "bob"]);
    wait_for("imapd to refuse the deleted user", || (!imap(new)).then_some(()));
    let other = ok(&instance, &["add", "user", "bob"]);
    let other = other.split_whitespace().nth(1).unwrap();
    wait_for("imapd to know the new user", || imap(other).then_some(()));
    assert!(!imap(new), "the former bob's password");
}

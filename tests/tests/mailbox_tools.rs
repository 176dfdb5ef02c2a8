//! mboxutil, deliver and reconstruct, as an administrator types them: names that nobody can see, users who are not there.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write;
use std::process::Stdio;

use black_box::{Instance, Setup};

fn tool(instance: &Instance, name: &str, arguments: &[&str], input: &str) -> (bool, String) {
    let mut command = instance.tool(name);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes()); // who refuses at once does not read
    let output = child.wait_with_output().unwrap();
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

fn ok(instance: &Instance, name: &str, arguments: &[&str], input: &str) -> String {
    let (done, said) = tool(instance, name, arguments, input);
    assert!(done, "{name} {arguments:?}: {said}");
    said
}

fn refused(instance: &Instance, name: &str, arguments: &[&str], input: &str) -> String {
    let (done, said) = tool(instance, name, arguments, input);
    assert!(!done, "{name} {arguments:?} was accepted: {said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

#[test]
fn mailboxes_are_made_where_somebody_can_see_them() {
    let instance = Setup::default().users(&["alice", "carol"]).create();
    ok(&instance, "mboxutil", &["-c", "user/carol/INBOX"], "");
    for (arguments, word) in [
        (&["-c", "user/carol/*"][..], "wildcards"),
        (&["-c", "user/carol/50%", "--force"], "wildcards"),
        (&["-c", "user/niemand/INBOX"], "there is no user niemand"),
        (&["-c", "carol"], "did you mean user/carol?"),
        (&["-c", "User/x"], "public folders are Shared Folders/..."),
        (&["-r", "user/carol", "user/karol"], "there is no user karol"),
    ] {
        let said = refused(&instance, "mboxutil", arguments, "");
        assert!(said.contains(word), "{arguments:?}: {said}");
    }
    assert_eq!(ok(&instance, "mboxutil", &["-l", "-s"], ""), "user/carol/INBOX\n");
    ok(&instance, "mboxutil", &["-c", "Projekte"], "");
    assert_eq!(ok(&instance, "mboxutil", &["-l", "-s"], ""), "Projekte\nuser/carol/INBOX\n");
}

#[test]
fn a_message_is_delivered_to_a_user_who_has_had_none_and_to_nobody_else() {
    let mut instance = Setup::default().create();
    instance.start_all();
    ok(&instance, "deliver", &["Bob"], "Subject: first\n\nx\n");
    instance.wait_for_messages("bob", 1);
    assert!(
        refused(&instance, "deliver", &["niemand"], "Subject: x\n\nx\n").contains("niemand: no such user")
    );
    assert!(refused(&instance, "deliver", &["bob"], "").contains("no message"));
    let missing = refused(&instance, "deliver", &["-m", "Work", "bob"], "Subject: x\n\nx\n");
    assert!(missing.contains("-c makes it"), "{missing}");
    ok(&instance, "deliver", &["-c", "-m", "Work", "bob"], "Subject: x\n\nx\n");
    // All recipients are looked at before the first gets it.
    refused(&instance, "deliver", &["bob", "niemand"], "Subject: x\n\nx\n");
    instance.wait_for_messages("bob", 1);
    assert!(tool(&instance, "reconstruct", &["bob"], "").1.contains("did you mean user/bob/INBOX?"));
}

#[test]
fn many_are_made_renamed_and_deleted_from_a_file_and_chosen_by_an_expression() {
    let instance = Setup::default().users(&["alice", "carol"]).create();
    let file = instance.path("names");
    let path = file.to_str().unwrap().to_owned();
    let write = |text: &str| fs::write(&file, text).unwrap();
    write("user/alice/A 1\nuser/alice/A 2\tprimary\n\nuser/niemand/X\nuser/carol/B\n");
    let (done, said) = tool(&instance, "mboxutil", &["-c", "-f", &path], "");
    assert!(
        !done && said.contains("there is no user niemand") && said.contains("1 of 4 lines failed"),
        "{said}"
    );
    write("user/alice/A 1\tuser/alice/C\n");
    ok(&instance, "mboxutil", &["-r", "-f", &path], "");
    let listed = |arguments: &[&str]| ok(&instance, "mboxutil", &[&["-l", "-s"], arguments].concat(), "");
    assert_eq!(listed(&["-P", "^user/alice/(A|C)"]), "user/alice/A 2\nuser/alice/C\n");
    assert_eq!(listed(&["-P", "B$"]), "user/carol/B\n");
    assert!(refused(&instance, "mboxutil", &["-l", "-P", "("], "").contains("(: "));
    assert!(ok(&instance, "mboxutil", &["-d", "-P", "alice/[AC]"], "").contains("deleted user/alice/C"));
    assert_eq!(listed(&["-p", "user/alice/*"]), "user/alice/INBOX\n");
    assert!(refused(&instance, "mboxutil", &["-d", "user/carol/B", "-P", "B"], "").contains("-d takes"));
    assert!(refused(&instance, "mboxutil", &["-d"], "").contains("with -f"));
    write("user/carol/B\n");
    ok(&instance, "mboxutil", &["-d", "-f", &path], "");
    assert_eq!(listed(&[]), "user/alice/INBOX\nuser/carol/INBOX\n");
}

#[test]
fn mailboxes_of_nobody_are_listed_and_can_be_deleted_from_the_list() {
    let mut instance = Setup::default().users(&["alice"]).create();
    for mailbox in ["user/alice/Work", "user/gone/Work"] {
        ok(&instance, "mboxutil", &["--force", "-c", mailbox], "");
    }
    assert_eq!(ok(&instance, "mboxutil", &["-o"], ""), "user/gone/INBOX\n");
    let list = instance.path("orphans");
    ok(&instance, "mboxutil", &["-o", "-w", list.to_str().unwrap()], "");
    ok(&instance, "mboxutil", &["-d", "-f", list.to_str().unwrap()], "");
    assert_eq!(ok(&instance, "mboxutil", &["-l", "-s"], ""), "user/alice/INBOX\nuser/alice/Work\n");
    // Who may what is shown beside where it is.
    instance.start_all();
    instance.imap("admin").ok("SETACL user/alice/Work anyone lr");
    let listed = ok(&instance, "mboxutil", &["-l", "-x"], "");
    assert!(listed.contains("=+Work  [anyone lr]"), "{listed}");
}

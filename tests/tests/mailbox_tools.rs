//! mboxutil, deliver and reconstruct, as an administrator types them: names that nobody can see, users who are not there.
#![allow(clippy::unwrap_used)]

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

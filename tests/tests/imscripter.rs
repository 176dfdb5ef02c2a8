//! imscripter on a running suite.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write;
use std::process::Stdio;

use black_box::Instance;
use black_box::instance::IMAP;

fn script(instance: &Instance, arguments: &[&str], input: &str) -> (bool, String) {
    let (host, port) = (instance.address.to_string(), IMAP.to_string());
    let mut command = instance.tool("imscripter");
    let uid = if arguments.contains(&"-u") { &[][..] } else { &["-u", "alice"] };
    command.args(["-s", &host, "-p", &port]).args(uid).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[test]
fn mailboxes_are_made_renamed_and_deleted_from_a_script() {
    let instance = Instance::start();
    let text =
        "# a comment\n\ncreate Work\ncreate \"My folder\"\nrename Work Entw\u{fc}rfe\ndelete \"My folder\"\n";
    let (done, said) = script(&instance, &["-x", "alice-secret"], text);
    assert!(done && said.contains("OK CREATE \"Work\""), "{said}");
    let listed = instance.imap("alice").ok("LIST \"\" *").concat();
    assert!(
        listed.contains("Entw&APw-rfe") && !listed.contains("folder") && !listed.contains("Work"),
        "{listed}"
    );
    // One command for each line of a file; what fails is said, the rest is done.
    let (names, password) = (instance.path("names"), instance.path("password"));
    fs::write(&names, "A\nA\nB/C\n").unwrap();
    fs::write(&password, "alice-secret\n").unwrap();
    let arguments =
        ["-c", "create", "-f", names.to_str().unwrap(), "--password-file", password.to_str().unwrap()];
    let (done, said) = script(&instance, &arguments, "");
    assert!(!done && said.contains("NO CREATE \"A\"") && said.contains("1 command failed"), "{said}");
    assert!(instance.imap("alice").ok("LIST \"\" *").concat().contains("B/C"));
    let (done, said) = script(&instance, &["-x", "alice-secret", "-v", "N"], "create D\n");
    assert!(done && said.is_empty(), "{said}");
}

#[test]
fn an_administrator_acts_for_a_user() {
    let instance = Instance::start();
    let (done, said) =
        script(&instance, &["-u", "admin", "-x", "admin-secret", "--acts-for", "bob"], "create Work\n");
    assert!(done, "{said}");
    assert!(instance.imap("bob").ok("LIST \"\" *").concat().contains("Work"));
    let (done, said) = script(&instance, &["-u", "admin", "-x", "admin-secret"], "create user/bob/Two\n");
    assert!(done, "{said}");
    assert!(instance.imap("bob").ok("LIST \"\" *").concat().contains("Two"), "{said}");
}

#[test]
fn what_is_wrong_is_said_by_line() {
    let instance = Instance::start();
    let (done, said) =
        script(&instance, &["-x", "alice-secret"], "create X\nwhat is this\nrename X\ncreate Y\n");
    assert!(
        !done && said.contains("line 2: what: no such command") && said.contains("line 3: rename takes 2"),
        "{said}"
    );
    assert!(said.contains("OK CREATE \"Y\"") && said.contains("2 commands failed"), "{said}");
    let (done, said) = script(&instance, &["-x", "wrong"], "create Z\n");
    assert!(!done && said.contains("the log-in was refused"), "{said}");
    let (done, said) = script(&instance, &[], "create Z\n");
    assert!(!done && said.contains("--password-file"), "{said}");
}

//! Shared mailboxes from outside: access control lists (RFC 4314, RFC 8440), names, inheritance, groups.
#![allow(clippy::unwrap_used)]

#[path = "imap_acl/crash.rs"]
mod crash;
#[path = "imap_acl/lists.rs"]
mod lists;
#[path = "imap_acl/matrix.rs"]
mod matrix;
#[path = "imap_acl/moved.rs"]
mod moved;
#[path = "imap_acl/seen.rs"]
mod seen;
#[path = "imap_acl/tools.rs"]
mod tools;

use black_box::{Imap, Instance};

const MESSAGE: &str = "From: amy@example.org\r\nSubject: lunch\r\n\r\nat noon?\r\n";

/// Makes a mailbox of alice's with one message, and gives bob rights there.
fn share(alice: &mut Imap, folder: &str, rights: &str) {
    alice.ok(&format!("CREATE {folder}"));
    assert!(alice.append(folder, "", MESSAGE).starts_with("OK"));
    alice.ok(&format!("SETACL {folder} bob \"{rights}\""));
}

/// What bob calls it.
fn name(folder: &str) -> String {
    format!("\"Shared Folders/User/alice/{folder}\"")
}

fn flags(imap: &mut Imap, mailbox: &str) -> String {
    imap.ok(&format!("EXAMINE {mailbox}"));
    let rows = imap.ok("FETCH 1:* (FLAGS)");
    imap.ok("UNSELECT");
    rows.join(" ")
}

/// Runs a tool that must succeed.
fn tool(instance: &Instance, name: &str, arguments: &[&str]) -> String {
    black_box::run(instance.tool(name).args(arguments))
}

//! imsimport: what was there is here, with flags, keywords, dates and UIDs; a later run takes what changed, whatever ended the
//! one before it.
#![allow(clippy::unwrap_used)]

#[path = "import/files.rs"]
mod files;
#[path = "import/hostile.rs"]
mod hostile;
#[path = "import/servers.rs"]
mod servers;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Output;

use black_box::{Imap, Instance};

/// Runs imsimport; whether it says that nothing differs, and what it says.
fn import(instance: &Instance, arguments: &[&str]) -> (bool, String) {
    let output: Output = instance.tool("imsimport").env("TZ", "UTC").args(arguments).output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.code().is_some_and(|code| code < 2), "{arguments:?}: {said}");
    (output.status.success(), said)
}

fn clean(instance: &Instance, arguments: &[&str]) -> String {
    let (is_clean, said) = import(instance, arguments);
    assert!(is_clean && said.contains("; 0 differences, 0 errors"), "{arguments:?}: {said}");
    said
}

fn differs(instance: &Instance, arguments: &[&str]) -> String {
    let (is_clean, said) = import(instance, arguments);
    assert!(!is_clean, "{arguments:?}: {said}");
    said
}

fn password_file(instance: &Instance, text: &str) -> PathBuf {
    let path = instance.path("passwords-of-the-source");
    fs::write(&path, text).unwrap();
    path
}

/// What a client sees of a message, flags sorted and without \Recent.
fn seen(response: &str) -> String {
    let (head, rest) = response.split_once("FLAGS (").unwrap();
    let (flags, rest) = rest.split_once(')').unwrap();
    let mut flags: Vec<&str> = flags.split(' ').filter(|flag| !["", "\\Recent"].contains(flag)).collect();
    flags.sort_unstable();
    let head = head.split_once("FETCH").unwrap().1;
    // Dovecot writes the day with a zero, we with a blank; both are right (RFC 3501 §9, date-day-fixed is ours).
    format!("{head}{flags:?}{}", rest.replace("INTERNALDATE \" ", "INTERNALDATE \"0"))
}

/// Every message of a mailbox, as a client sees it.
fn listing(imap: &mut Imap, mailbox: &str) -> Vec<String> {
    imap.ok(&format!("EXAMINE \"{mailbox}\""));
    let fetched = imap.ok("UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])");
    fetched.iter().filter(|line| line.contains(" FETCH (")).map(|line| seen(line)).collect()
}

/// UIDVALIDITY and the next UID.
fn numbers(imap: &mut Imap, mailbox: &str) -> Vec<String> {
    let selected = imap.ok(&format!("EXAMINE \"{mailbox}\""));
    let mut found: Vec<String> = selected
        .iter()
        .filter_map(|line| line.split_once('[')?.1.split_once(']').map(|(code, _)| code.to_owned()))
        .filter(|code| code.starts_with("UIDVALIDITY") || code.starts_with("UIDNEXT"))
        .collect();
    found.sort();
    found
}

/// Messages by subject, each with how often it is there.
fn subjects(imap: &mut Imap, mailbox: &str) -> BTreeMap<String, u32> {
    imap.ok(&format!("EXAMINE \"{mailbox}\""));
    let mut found = BTreeMap::new();
    for line in imap.ok("FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)])") {
        if let Some((_, subject)) = line.split_once("Subject: ") {
            *found.entry(subject.lines().next().unwrap().to_owned()).or_insert(0) += 1;
        }
    }
    found
}

/// Fills a mailbox with messages of all sorts, and gaps between the UIDs.
fn fill(imap: &mut Imap, mailbox: &str, count: u32) {
    for number in 1..=count {
        let flags = ["\\Flagged $Forwarded", "\\Seen", "", "\\Answered \\Draft Junk", "\\Deleted"]
            [number as usize % 5];
        let arguments =
            format!("({flags}) \"{:02}-Feb-2001 10:20:{:02} +0100\" ", 1 + number % 28, number % 60);
        let body = "line\r\n.\r\nFrom here\r\n".repeat(number as usize * 7 % 50);
        let message = format!("Subject: {mailbox} {number}\r\n\r\n{body}\r\n");
        assert!(imap.append(&format!("\"{mailbox}\""), &arguments, &message).starts_with("OK"));
    }
    imap.ok(&format!("SELECT \"{mailbox}\""));
    imap.ok("UID STORE 3 +FLAGS.SILENT (\\Deleted)");
    imap.ok("UID EXPUNGE 3");
    imap.ok("UNSELECT");
}

//! The extensions of IMAP from outside, one module for each: exact responses, refusals, nonsense, several sessions.
#![allow(clippy::unwrap_used)]

#[path = "imap_extensions/binary.rs"]
mod binary;
#[path = "imap_extensions/catenate.rs"]
mod catenate;
#[path = "imap_extensions/compress.rs"]
mod compress;
#[path = "imap_extensions/condstore.rs"]
mod condstore;
#[path = "imap_extensions/context.rs"]
mod context;
#[path = "imap_extensions/esearch.rs"]
mod esearch;
#[path = "imap_extensions/fuzzy.rs"]
mod fuzzy;
#[path = "imap_extensions/i18nlevel.rs"]
mod i18nlevel;
#[path = "imap_extensions/jmapaccess.rs"]
mod jmapaccess;
#[path = "imap_extensions/language.rs"]
mod language;
#[path = "imap_extensions/list.rs"]
mod list;
#[path = "imap_extensions/messagelimit.rs"]
mod messagelimit;
#[path = "imap_extensions/metadata.rs"]
mod metadata;
#[path = "imap_extensions/multiappend.rs"]
mod multiappend;
#[path = "imap_extensions/multisearch.rs"]
mod multisearch;
#[path = "imap_extensions/notify.rs"]
mod notify;
#[path = "imap_extensions/objectid.rs"]
mod objectid;
#[path = "imap_extensions/preview.rs"]
mod preview;
#[path = "imap_extensions/qresync.rs"]
mod qresync;
#[path = "imap_extensions/replace.rs"]
mod replace;
#[path = "imap_extensions/rev2.rs"]
mod rev2;
#[path = "imap_extensions/savedate.rs"]
mod savedate;
#[path = "imap_extensions/uidbatches.rs"]
mod uidbatches;
#[path = "imap_extensions/uidonly.rs"]
mod uidonly;
#[path = "imap_extensions/unauthenticate.rs"]
mod unauthenticate;
#[path = "imap_extensions/urlauth.rs"]
mod urlauth;
#[path = "imap_extensions/utf8.rs"]
mod utf8;
#[path = "imap_extensions/within.rs"]
mod within;
#[path = "imap_extensions/xsender.rs"]
mod xsender;
#[path = "imap_extensions/xserverinfo.rs"]
mod xserverinfo;

use black_box::{Imap, Instance};

const MESSAGE: &str =
    "From: Amy <amy@example.org>\r\nTo: alice@example.test\r\nSubject: lunch\r\n\r\nat noon?\r\n";

/// An instance whose alice has so many messages in her INBOX, and a session of hers that has it selected.
fn mailbox_of(count: u32) -> (Instance, Imap) {
    let instance = Instance::start();
    let mut imap = instance.imap("alice");
    fill(&mut imap, "INBOX", count);
    imap.ok("SELECT INBOX");
    (instance, imap)
}

fn fill(imap: &mut Imap, mailbox: &str, count: u32) {
    for _ in 0..count {
        assert!(imap.append(mailbox, "", MESSAGE).starts_with("OK"));
    }
}

/// Another session of alice, with INBOX selected.
fn another(instance: &Instance) -> Imap {
    let mut imap = instance.imap("alice");
    imap.ok("SELECT INBOX");
    imap
}

/// Every one of these commands is BAD, and the session goes on.
fn all_bad(imap: &mut Imap, commands: &[&str]) {
    for command in commands {
        let answer = imap.refused(command);
        assert!(answer.starts_with("BAD "), "{command}: {answer}");
        imap.ok("NOOP");
    }
}

/// Whether a name is among the capabilities after log-in.
fn is_offered(imap: &mut Imap, name: &str) -> bool {
    imap.ok("CAPABILITY")[0].split(' ').any(|word| word == name)
}

/// The number behind `word` in one of the responses.
fn number_behind(responses: &[String], word: &str) -> u64 {
    let text = responses.iter().find_map(|one| one.split_once(word)).unwrap_or_else(|| {
        panic!("no {word} in {responses:?}");
    });
    let digits: String =
        text.1.chars().skip_while(|c| *c == ' ' || *c == '(').take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

/// What HIGHESTMODSEQ is now, by STATUS in a session that has nothing selected.
fn highest_modseq(instance: &Instance) -> u64 {
    number_behind(&instance.imap("alice").ok("STATUS INBOX (HIGHESTMODSEQ)"), "HIGHESTMODSEQ ")
}

//! Bad input to imapd: the rows of research/store.md 4.3, each named by its words there, with the answer each must get.
//!
//! After every case that leaves the connection open NOOP is asked, so one response too many or too few is found. A group of
//! cases ends with a look at all daemons: the same processes, hardly more memory, answering on every port.
//!
//! Which row is tested where, those of other files and those that do not apply among them: docs/bad-input.md.
//!
//! UNCHANGEDSINCE 0, and what else is wrong with the words of extensions, is in imap_extensions.rs.
//! Elsewhere: over quota, in quota.rs; an announced literal that never comes, and silence, in crates/imap-server/tests/login.rs, since they take a
//! minute here; thousands of idle sessions in dispatch.rs; files damaged or compacted under a live reader in the tests of
//! message-store.
#![allow(clippy::unwrap_used)]

#[path = "bad_input_imap/bombs.rs"]
mod bombs;
#[path = "bad_input_imap/flood.rs"]
mod flood;
#[path = "bad_input_imap/literals.rs"]
mod literals;
#[path = "bad_input_imap/log_in.rs"]
mod log_in;
#[path = "bad_input_imap/mailboxes.rs"]
mod mailboxes;
#[path = "bad_input_imap/messages.rs"]
mod messages;
#[path = "bad_input_imap/words.rs"]
mod words;

use black_box::instance::IMAP;
use black_box::{Imap, Instance};

/// What a group of cases may leave behind in all daemons together.
const GROWTH_MAX_BYTES: u64 = 8 << 20;

const MESSAGE: &str = "From: Amy <amy@example.org>\r\nSubject: lunch\r\n\r\nat noon?\r\n";

/// An instance in which alice has one message.
fn instance() -> Instance {
    let instance = Instance::start();
    assert!(instance.imap("alice").append("INBOX", "", MESSAGE).starts_with("OK"));
    instance
}

fn stranger(instance: &Instance) -> Imap {
    Imap::open(instance.connect(IMAP))
}

/// Alice, with her INBOX selected.
fn selected(instance: &Instance) -> Imap {
    let mut imap = instance.imap("alice");
    imap.ok("SELECT INBOX");
    imap
}

/// Sends bytes as they are. As many responses as there are answers must come, each beginning with its answer; then nothing
/// more, but the end of the connection where the last answer is `close`.
fn says(imap: &mut Imap, case: &str, bytes: &[u8], answers: &[&str]) {
    imap.wire.send(bytes);
    for answer in answers {
        if *answer == "close" {
            assert!(imap.wire.is_closed(), "{case}: the connection goes on");
            return;
        }
        let mut response = imap.response();
        if response.starts_with("* OK [CLOSED]") {
            response = imap.response(); // RFC 7162 §3.2.11: a SELECT that fails has closed what was selected
        }
        assert!(response.starts_with(answer), "{case}: {response}, not {answer}");
    }
    imap.wire.send(b"z NOOP\r\n");
    let response = imap.response();
    assert!(response.starts_with("z OK"), "{case}: {response} behind it");
}

/// One line with the tag `x`.
fn line(imap: &mut Imap, command: &str, answer: &str) {
    says(imap, command, format!("x {command}\r\n").as_bytes(), &[answer]);
}

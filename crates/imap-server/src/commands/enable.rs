//! ENABLE: turns extensions on (RFC 5161).

use connection::Output;

use crate::answer;
use crate::state::{State, User};

/// `* ENABLED` with the names that are on now, of those asked for.
pub fn run(names: &[String], user: &User, state: &mut State, out: &mut Output) {
    let mut enabled: Vec<&str> = Vec::new();
    let mut is_new = false;
    for name in names {
        match name.as_str() {
            "CONDSTORE" => is_new |= user.enabled.enable_condstore(),
            "QRESYNC" => is_new |= user.enabled.enable_qresync(),
            "UIDONLY" => user.enabled.enable_uid_only(),
            "IMAP4REV2" => user.enabled.enable_rev2(),
            "UTF8=ACCEPT" => user.enabled.enable_utf8_accept(),
            _ => continue, // RFC 5161 §3.1: what is not known is ignored
        }
        let name = if name == "IMAP4REV2" { "IMAP4rev2" } else { name };
        if !enabled.contains(&name) {
            enabled.push(name);
        }
    }
    out.push(b"* ENABLED");
    for name in enabled {
        out.push(b" ");
        out.push(name.as_bytes());
    }
    out.push(b"\r\n");
    if let Some(view) = state.view().filter(|_| is_new) {
        answer::highest_modseq(out, view.highest_told());
    }
}

/// A command that has to do with modification sequences turns CONDSTORE on (RFC 7162 §3.1).
pub fn condstore(user: &User, state: &mut State, out: &mut Output) {
    if let (true, Some(view)) = (user.enabled.enable_condstore(), state.view()) {
        answer::highest_modseq(out, view.highest_told());
    }
}

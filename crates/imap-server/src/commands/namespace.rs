//! NAMESPACE: one's own mailboxes have no prefix; those of others and those of nobody have (RFC 2342; NMS: original.md 4.8).

use connection::Output;

use crate::names::{OTHERS, SHARED, Who};

pub fn run(who: Who<'_>, out: &mut Output) {
    let others = if who.is_admin { "user" } else { OTHERS };
    let line = format!("* NAMESPACE ((\"\" \"/\")) ((\"{others}/\" \"/\")) ((\"{SHARED}/\" \"/\"))\r\n");
    out.push(line.as_bytes());
}

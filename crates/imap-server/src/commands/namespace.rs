//! NAMESPACE: one's own mailboxes have no prefix; those of others, for administrators, begin with `user/` (RFC 2342).

use connection::Output;

use crate::names::Who;

pub fn run(who: Who<'_>, out: &mut Output) {
    let others: &[u8] = if who.is_admin { b"((\"user/\" \"/\"))" } else { b"NIL" };
    out.push(b"* NAMESPACE ((\"\" \"/\")) ");
    out.push(others);
    out.push(b" NIL\r\n");
}

//! ENABLE: turns extensions on (RFC 5161). None of those offered needs it, so nothing is ever enabled.

use connection::Output;

/// `* ENABLED` with the names that were turned on.
pub fn run(names: &[String], out: &mut Output) {
    const CAN_BE_ENABLED: [&str; 0] = [];
    out.push(b"* ENABLED");
    for name in names.iter().filter(|name| CAN_BE_ENABLED.contains(&name.as_str())) {
        out.push(b" ");
        out.push(name.as_bytes());
    }
    out.push(b"\r\n");
}

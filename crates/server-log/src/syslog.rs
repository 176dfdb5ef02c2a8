//! The system's log daemon over `/dev/log` (RFC 3164 form, facility mail).

use std::os::unix::net::UnixDatagram;

use crate::Level;

/// The socket where syslog daemons listen.
const SOCKET: &str = "/dev/log";
/// Facility "mail system" (RFC 3164 §4.1.1).
const FACILITY: u8 = 2;

/// Sends one line; without a daemon it is lost.
pub(crate) fn send(program: &str, level: Level, text: &str) {
    let Ok(socket) = UnixDatagram::unbound() else { return };
    let _ = socket.set_nonblocking(true);
    let _ = socket.send_to(datagram(program, level, text).as_bytes(), SOCKET);
}

fn datagram(program: &str, level: Level, text: &str) -> String {
    let severity = match level {
        Level::Critical => 2,
        Level::Error => 3,
        Level::Warning => 4,
        Level::Notice => 5,
        Level::Information => 6,
        Level::Debug => 7,
    };
    format!("<{}>{program}[{}]: {text}", FACILITY * 8 + severity, std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_has_priority_21() {
        assert!(datagram("smtpd", Level::Notice, "General Notice: x").starts_with("<21>smtpd["));
    }
}

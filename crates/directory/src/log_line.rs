//! The lines that every daemon logs for a log-in: one form, so that one rule of a log watcher takes them all.
//!
//! ```text
//! Account Notice: badlogin: [192.0.2.1] joe wrong user name or password (session 5)
//! Account Notice: login: [192.0.2.1] joe TLS (session 6)
//! ```
//! The address comes first: what a stranger calls himself cannot move it.

use std::fmt;
use std::net::IpAddr;

/// Characters of a name that are shown.
const NAME_CHARS_MAX: usize = 100;

/// Why a log-in failed that had a wrong password, or no such user: which is not told.
pub const WRONG: &str = "wrong user name or password";
/// Why a log-in failed that had the right password (S109).
pub const NOT_ALLOWED: &str = "service not allowed";
/// Why a log-in was put off without a look at its password.
pub const TOO_MANY_WAIT: &str = "put off: too many others wait";
pub const TOO_MANY_WRONG: &str = "put off: too many wrong passwords";

/// A log-in that failed.
pub struct BadLogIn<'a> {
    pub peer: IpAddr,
    /// As the client said it.
    pub login: &'a str,
    pub why: &'a str,
    /// The connection's number.
    pub session: u64,
}

/// A log-in that succeeded.
pub struct GoodLogIn<'a> {
    pub peer: IpAddr,
    pub uid: &'a str,
    pub encrypted: bool,
    pub session: u64,
}

impl fmt::Display for BadLogIn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name: String = self.login.chars().take(NAME_CHARS_MAX).collect();
        write!(f, "badlogin: [{}] {name} {} (session {})", self.peer.to_canonical(), self.why, self.session)
    }
}

impl fmt::Display for GoodLogIn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.encrypted { "TLS" } else { "plain" };
        write!(f, "login: [{}] {} {how} (session {})", self.peer.to_canonical(), self.uid, self.session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_stands_where_a_rule_looks_for_it() {
        let peer: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        let bad = BadLogIn { peer, login: "joe", why: WRONG, session: 5 };
        assert_eq!(bad.to_string(), "badlogin: [192.0.2.1] joe wrong user name or password (session 5)");
        let long = BadLogIn { login: &"x".repeat(5000), ..bad };
        assert!(long.to_string().len() < 200);
        let good = GoodLogIn { peer, uid: "joe", encrypted: true, session: 6 };
        assert_eq!(good.to_string(), "login: [192.0.2.1] joe TLS (session 6)");
    }
}

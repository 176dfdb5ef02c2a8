//! The lines that every daemon logs for a log-in: one form, so that one rule of a log watcher takes them all.
//!
//! ```text
//! Account Notice: badlogin: [192.0.2.1] joe wrong user name or password (session 5)
//! Account Notice: login: [192.0.2.1] joe TLS (session 6)
//! Account Notice: login put off: [192.0.2.1] joe too many others wait (session 7)
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
/// Why a log-in was put off without a look at its password. It says nothing against who tried.
pub const TOO_MANY_WAIT: &str = "too many others wait";
pub const TOO_MANY_WRONG: &str = "too many wrong passwords";

/// A log-in that failed.
pub struct BadLogIn<'a> {
    pub peer: IpAddr,
    /// As the client said it.
    pub login: &'a str,
    pub why: &'a str,
    /// The connection's number.
    pub session: u64,
}

/// A log-in whose password was not looked at: the fields are those of one that failed.
pub struct LogInPutOff<'a>(pub BadLogIn<'a>);

/// A log-in that succeeded.
pub struct GoodLogIn<'a> {
    pub peer: IpAddr,
    pub uid: &'a str,
    pub encrypted: bool,
    pub session: u64,
}

impl fmt::Display for BadLogIn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "badlogin: {}", self.rest())
    }
}

impl fmt::Display for LogInPutOff<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "login put off: {}", self.0.rest())
    }
}

impl BadLogIn<'_> {
    fn rest(&self) -> String {
        let name: String = self.login.chars().take(NAME_CHARS_MAX).collect();
        format!("[{}] {name} {} (session {})", self.peer.to_canonical(), self.why, self.session)
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
        let put_off = LogInPutOff(BadLogIn { why: TOO_MANY_WAIT, ..bad });
        let expected = "login put off: [192.0.2.1] joe too many others wait (session 5)";
        assert_eq!(put_off.to_string(), expected, "no rule for bad log-ins takes it for one");
        let long = BadLogIn { login: &"x".repeat(5000), ..bad };
        assert!(long.to_string().len() < 200);
        let good = GoodLogIn { peer, uid: "joe", encrypted: true, session: 6 };
        assert_eq!(good.to_string(), "login: [192.0.2.1] joe TLS (session 6)");
    }
}

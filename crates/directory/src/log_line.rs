//! The lines that every daemon logs for a log-in: one form, so that one rule of a log watcher takes them all.
//!
//! ```text
//! Account Notice: badlogin: [192.0.2.1] joe wrong user name or password (session 5)
//! Account Notice: login: [192.0.2.1] joe TLS (session 6) SCRAM-SHA-256
//! Account Notice: login: [192.0.2.1] joe TLS (session 6) PLAIN by admin
//! Account Notice: login put off: [192.0.2.1] joe too many others wait (session 7)
//! ```
//! The address comes first: what a stranger calls himself cannot move it.

use std::fmt;
use std::net::IpAddr;

use counters::Counter;
use server_log::{Action, Category, Log};

/// Characters of a name that are shown.
const NAME_CHARS_MAX: usize = 100;

/// Why a log-in failed that had a wrong password, or no such user: which is not told.
pub const WRONG: &str = "wrong user name or password";
/// The same, by SCRAM, of a user whose password is not stored for it. The client is not told.
pub const NO_KEYS: &str = "no password is stored for this mechanism";
/// The password is right, and the account has a second factor. The client is not told.
pub const NEEDS_APP_PASSWORD: &str =
    "right password, but the account has a second factor: an app password is wanted here";
/// SCRAM over TLS that somebody else ends (RFC 5802 §6).
pub const OTHER_BINDING: &str = "channel binding of another connection";
/// The client was not told of SCRAM with channel binding, which is offered (RFC 5802 §6).
pub const DOWNGRADE: &str = "offer of channel binding was hidden from the client";
/// Who wants to act for others, and may not.
pub const NO_DEPUTY: &str = "not an administrator, but wants to act as another user";
pub const DEPUTY_FROM_ELSEWHERE: &str = "may not act as another user from there (store.adminnetworks)";
pub const NOBODY_TO_ACT_FOR: &str = "wants to act as a user who does not exist";
pub const DEPUTY_FOR_ADMIN: &str = "may not act as another administrator";
/// By a token.
pub const OTHER_TOKEN: &str = "the token is another user's";
pub const NO_SUCH_ACCOUNT: &str = "there is no such account here";
/// By a password for one program.
pub const LIMITED: &str = "an app password acts for nobody else";
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

/// A password that was not looked at, while the client was told that it is wrong: too many were, by other names of the user.
pub(crate) struct NotLookedAt<'a> {
    pub peer: IpAddr,
    /// As the client said it.
    pub login: &'a str,
    pub user: &'a str,
}

impl fmt::Display for NotLookedAt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name: String = self.login.chars().take(NAME_CHARS_MAX).collect();
        let (peer, user) = (self.peer.to_canonical(), self.user);
        write!(f, "login not looked at: [{peer}] {name} {TOO_MANY_WRONG} by all names of {user}")
    }
}

/// A log-in that succeeded.
pub struct GoodLogIn<'a> {
    pub peer: IpAddr,
    pub uid: &'a str,
    pub encrypted: bool,
    pub session: u64,
    /// The mechanism, or the command.
    pub method: &'a str,
    /// The administrator who acts for the user.
    pub by: Option<&'a str>,
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

impl LogInPutOff<'_> {
    /// Into the log; the audit log has log-ins that were looked at.
    pub fn tell(&self, log: &Log) {
        counters::add(Counter::LogInsPutOff, 1);
        log.notice(Category::Account, format_args!("{self}"));
    }
}

impl BadLogIn<'_> {
    /// Into the log, and into the audit log. How many there are is bounded: guesses are put off.
    pub fn tell(&self, log: &Log) {
        counters::add(Counter::FailedLogIns, 1);
        log.notice(Category::Account, format_args!("{self}"));
        let (from, session) = (self.peer.to_canonical().to_string(), self.session.to_string());
        let name: String = self.login.chars().take(NAME_CHARS_MAX).collect();
        let fields = [
            ("result", "refused"),
            ("user", &name),
            ("from", &from),
            ("session", &session),
            ("reason", self.why),
        ];
        log.audit(Action::LogIn, &fields);
    }

    fn rest(&self) -> String {
        let name: String = self.login.chars().take(NAME_CHARS_MAX).collect();
        format!("[{}] {name} {} (session {})", self.peer.to_canonical(), self.why, self.session)
    }
}

impl GoodLogIn<'_> {
    /// Into the log, and into the audit log.
    pub fn tell(&self, log: &Log) {
        log.notice(Category::Account, format_args!("{self}"));
        self.audit(log);
    }

    /// Into the audit log; and it is counted.
    pub fn audit(&self, log: &Log) {
        counters::add(Counter::GoodLogIns, 1);
        let (from, session) = (self.peer.to_canonical().to_string(), self.session.to_string());
        let encrypted = if self.encrypted { "yes" } else { "no" };
        let mut fields = vec![("result", "ok"), ("user", self.uid)];
        fields.extend(self.by.map(|by| ("by", by)));
        fields.extend([
            ("from", from.as_str()),
            ("session", &session),
            ("tls", encrypted),
            ("method", self.method),
        ]);
        log.audit(Action::LogIn, &fields);
    }
}

impl fmt::Display for GoodLogIn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.encrypted { "TLS" } else { "plain" };
        let (peer, uid, session) = (self.peer.to_canonical(), self.uid, self.session);
        write!(f, "login: [{peer}] {uid} {how} (session {session}) {}", self.method)?;
        self.by.map_or(Ok(()), |by| write!(f, " by {by}"))
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
        let good =
            GoodLogIn { peer, uid: "joe", encrypted: true, session: 6, method: "PLAIN", by: Some("admin") };
        assert_eq!(good.to_string(), "login: [192.0.2.1] joe TLS (session 6) PLAIN by admin");
    }
}

//! Telling the server who we are: PLAIN (RFC 4616), with another's name to act for where it is wanted; LOGIN where the server
//! offers nothing else.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::error::{ImapError, Result};
use crate::response::Response;
use crate::session::{Session, finished, quoted};

#[derive(Clone)]
pub struct Credentials {
    /// As whom to act, when it is not the one whose password it is.
    pub acts_for: Option<String>,
    pub user: String,
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Session {
    /// Logs in.
    ///
    /// # Errors
    /// `Refused` when the server does not want us.
    pub fn log_in(&mut self, who: &Credentials) -> Result<()> {
        if self.is_preauthenticated {
            return Ok(());
        }
        match (self.can("AUTH=PLAIN"), &who.acts_for) {
            (true, _) => self.plain(who)?,
            (false, Some(_)) => {
                let text = "the server does not offer PLAIN, by which one acts for another".into();
                return Err(ImapError::Refused { command: "the log-in", text });
            }
            (false, None) => self.login(who)?,
        }
        self.ask_capabilities()
    }

    fn plain(&mut self, who: &Credentials) -> Result<()> {
        let acts_for = who.acts_for.as_deref().unwrap_or_default();
        let answer = STANDARD.encode(format!("{acts_for}\0{}\0{}", who.user, who.password));
        let tag = self.next_tag();
        if self.can("SASL-IR") {
            return self.exchange(&tag, &format!("{tag} AUTHENTICATE PLAIN {answer}"), &[]); // RFC 4959
        }
        self.exchange(&tag, &format!("{tag} AUTHENTICATE PLAIN"), &[answer.as_bytes()])
    }

    /// RFC 3501 §6.2.3; what cannot be quoted goes as literals.
    fn login(&mut self, who: &Credentials) -> Result<()> {
        let tag = self.next_tag();
        if self.can("LOGINDISABLED") {
            let text = "the server wants TLS first".into();
            return Err(ImapError::Refused { command: "the log-in", text });
        }
        match (quoted(&who.user), quoted(&who.password)) {
            (Some(user), Some(password)) => {
                self.exchange(&tag, &format!("{tag} LOGIN {user} {password}"), &[])
            }
            _ => {
                let user = format!("{} {{{}}}", who.user, who.password.len());
                let line = format!("{tag} LOGIN {{{}}}", who.user.len());
                self.exchange(&tag, &line, &[user.as_bytes(), who.password.as_bytes()])
            }
        }
    }

    /// Sends a line, and one of the answers whenever the server asks to go on.
    fn exchange(&mut self, tag: &str, line: &str, answers: &[&[u8]]) -> Result<()> {
        self.wire.write(format!("{line}\r\n").as_bytes())?;
        let mut answers = answers.iter();
        for _ in 0..1000 {
            let response = Response::read(&mut self.wire, &mut |_, _, _| Ok(false))?;
            if response.text.starts_with(b"+") {
                let answer = answers.next().copied().unwrap_or(b"*"); // RFC 3501 §6.2.2: cancelled
                self.wire.write(&[answer, b"\r\n"].concat())?;
            } else if let Some(done) = finished(&response, tag, "the log-in") {
                return done;
            }
        }
        Err(ImapError::TooBig("responses to a log-in"))
    }
}

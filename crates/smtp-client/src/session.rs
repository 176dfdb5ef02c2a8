//! A session that is open: asking, waiting for the answer, ending.

use std::time::{Duration, Instant};

use crate::wire::{Broken, Wire, moment};
use crate::{Offers, Outcome, Reply, Timeouts, TlsFault};

/// One connection to one host, past its greeting.
#[derive(Debug)]
pub struct Session {
    /// The peer for texts: `mx.example.org[192.0.2.1]`.
    pub(crate) peer: String,
    pub(crate) wire: Wire,
    pub(crate) offers: Offers,
    pub(crate) timeouts: Timeouts,
    pub(crate) lmtp: bool,
    /// The transaction before this one was not taken to its good end: RSET comes first.
    pub(crate) needs_reset: bool,
    /// Messages that were begun.
    pub(crate) messages: usize,
    pub(crate) ended: bool,
    /// The peer's certificate was proved.
    pub(crate) verified: bool,
    /// What was wrong with TLS and did not end the session.
    pub(crate) fault: Option<(TlsFault, String)>,
}

impl Session {
    /// What the peer can do, said under TLS when TLS is on.
    pub fn offers(&self) -> &Offers {
        &self.offers
    }

    /// Whether the peer is spoken to under TLS.
    pub fn is_tls(&self) -> bool {
        self.wire.ssl().is_some()
    }

    /// Whether the peer's certificate was proved, in the way that was asked for.
    pub fn is_verified(&self) -> bool {
        self.verified
    }

    /// What was wrong with TLS, where [`crate::Settings::lenient`] let it pass.
    pub fn fault(&self) -> Option<&(TlsFault, String)> {
        self.fault.as_ref()
    }

    /// Protocol and cipher, for the log.
    pub fn cipher(&self) -> Option<String> {
        let ssl = self.wire.ssl()?;
        let cipher = ssl.current_cipher().map_or("?", |cipher| cipher.name());
        Some(format!("{} {cipher}", ssl.version_str()))
    }

    /// Whether the session can be taken up again after it lay idle: the peer neither closed nor said 421.
    pub fn is_alive(&mut self) -> bool {
        !self.ended && self.wire.is_silent()
    }

    /// QUIT, and waits for the answer (RFC 5321 §4.1.1.10), whatever it is.
    pub fn quit(mut self) {
        if !self.ended {
            let _ = self.ask("QUIT", "QUIT", self.timeouts.quit);
        }
        self.wire.close();
    }

    /// Sends one command and reads its answer, both within `limit`.
    pub(crate) fn ask(&mut self, line: &str, step: &'static str, limit: Duration) -> Result<Reply, Broken> {
        self.expect_nothing(step)?;
        let until = moment(limit);
        self.wire.write(format!("{line}\r\n").as_bytes(), step, until)?;
        self.reply(step, until)
    }

    /// The next reply. A 421 ends the session, whatever was asked (RFC 5321 §3.8).
    pub(crate) fn reply(&mut self, step: &'static str, until: Instant) -> Result<Reply, Broken> {
        let reply = self.wire.read_reply(step, until)?;
        if reply.code() == 421 { Err(Broken::Ended(reply)) } else { Ok(reply) }
    }

    /// Before anything is asked, every answer has been taken: else answers would be matched to wrong questions.
    pub(crate) fn expect_nothing(&mut self, step: &'static str) -> Result<(), Broken> {
        if !self.wire.has_unread() {
            return Ok(());
        }
        let reply = self.reply(step, moment(Duration::from_secs(1)))?;
        Err(Broken::Unexpected(step, reply))
    }

    /// The outcome of a reply that is a refusal; nothing when it is none.
    pub(crate) fn refusal(&self, reply: &Reply) -> Option<Outcome> {
        let text = format!("{} said: {reply}", self.peer);
        match reply.code() / 100 {
            4 => Some(Outcome::Later { status: reply.status(), text }),
            5 => Some(Outcome::Failed { status: reply.status(), text }),
            _ => None,
        }
    }

    /// Nothing more is said.
    pub(crate) fn end(&mut self) {
        self.ended = true;
        self.wire.close();
    }
}

//! What was refused, in the log: who asks why mail did not come in is to find a line.
//!
//! A client that is refused again and again fills no disk: of one session the first few refusals have a line each, and the
//! others one for all of them.

use connection::Io;
use mail_queue::Recipient;
use server_log::Category;
use smtp_wire::{Address, Reply};

use crate::session::Session;

/// Refusals of one session that have a line of their own.
const TOLD_MAX: u32 = 20;

impl Session {
    /// Notes that MAIL, RCPT or a message was refused. `from` and `to` with their angle brackets; a `to` that is empty is
    /// left out. What only says that the client does not know the protocol (500 to 504) is none.
    pub(crate) fn note_refusal(&mut self, reply: &Reply, from: String, to: String, io: &Io) {
        if !self.settings.log_messages || !reply.is_refusal() || (500..=504).contains(&reply.code) {
            return;
        }
        self.refusals = self.refusals.saturating_add(1);
        if self.refusals > TOLD_MAX {
            return;
        }
        let user = self.user.as_ref().and_then(|user| user.uid.as_deref()).unwrap_or("-");
        let name = self.state.client().map_or("", |client| client.name.as_str());
        let to = if to.is_empty() { to } else { format!(" to={to}") };
        self.desk.log.notice(
            Category::Protocol,
            format_args!(
                "smtp-accept: refused with {reply}: from={from}{to} client={name} [{}] user={user}",
                io.peer.ip().to_canonical()
            ),
        );
    }

    /// The session ends: those that had no line.
    pub(crate) fn tell_untold_refusals(&mut self, io: &Io) {
        let untold = std::mem::take(&mut self.refusals).saturating_sub(TOLD_MAX);
        if untold > 0 {
            let peer = io.peer.ip().to_canonical();
            self.desk.log.notice(
                Category::Protocol,
                format_args!("smtp-accept: {untold} refusals more of client [{peer}] in one session"),
            );
        }
    }
}

/// An address as the log has it.
pub(crate) fn path(address: Option<&Address>) -> String {
    format!("<{}>", address.map(ToString::to_string).unwrap_or_default())
}

/// The recipients of a message: the first, and how many more.
pub(crate) fn all(recipients: &[Recipient]) -> String {
    match recipients {
        [] => String::new(),
        [one] => format!("<{}>", one.address),
        [first, more @ ..] => format!("<{}> and {} more", first.address, more.len()),
    }
}

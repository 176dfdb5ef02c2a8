//! How a session ends, and what the log says of it.

use connection::{CloseReason, Io, Next};
use message_store::StoreError;
use server_log::Category;

use super::{Doing, Session};
use crate::answer;
use crate::refusal::Refusal;
use crate::state::State;

/// The word for the log.
pub(super) fn of(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::Peer => "client closed the connection",
        CloseReason::Failed => "connection failed",
        CloseReason::Stalled => "client did not read its responses",
    }
}

impl Session {
    /// `* BYE`, and the end (RFC 3501 §7.1.5).
    pub(super) fn bye(&mut self, text: &str, reason: &str, io: &mut Io) -> Next {
        self.doing = Doing::Nothing;
        answer::tagged(&mut io.output, b"*", "BYE", "", text);
        self.log_end(reason, io);
        Next::Close
    }

    /// The index of the selected mailbox was damaged so that the session's numbers mean nothing any more. Whatever was answered
    /// would tell the client of messages that are gone, which are not: it comes again, and finds them by their UIDs.
    pub(super) fn leave_damaged_view(&mut self, io: &mut Io) -> Next {
        self.doing = Doing::Nothing;
        let text = "The selected mailbox was damaged and is repaired; please connect again";
        answer::tagged(&mut io.output, b"*", "BYE", "UNAVAILABLE", text);
        self.log_end("the index of the selected mailbox was damaged", io);
        Next::Close
    }

    /// The selected mailbox cannot be followed any more. When it is gone there is nothing left to be in step with.
    pub(super) fn lost_mailbox(&mut self, refusal: Refusal, tag: &[u8], io: &mut Io) -> Next {
        if let Refusal::Store(error) = &refusal {
            self.log_store_trouble(error, io);
            if matches!(error, StoreError::NotFound) {
                return self.bye("The selected mailbox was deleted", "mailbox deleted", io);
            }
        }
        if self.state.view().is_some_and(|view| view.is_out_of_step()) {
            return self.leave_damaged_view(io);
        }
        self.doing = Doing::Nothing;
        self.finish(tag, Err(refusal), io)
    }

    /// Trouble that an administrator should know of.
    pub(super) fn log_store_trouble(&self, error: &StoreError, io: &Io) {
        if !matches!(
            error,
            StoreError::Damaged(_) | StoreError::Fenced | StoreError::Io(_) | StoreError::NoSpace
        ) {
            return;
        }
        let (number, user) = (io.number, self.name());
        self.server.log.error(Category::Store, format_args!("session {number} user {user}: {error}"));
    }

    /// One line for the end of a session: who, how long it talked, why it ended.
    pub(super) fn log_end(&mut self, reason: &str, io: &Io) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let (number, user, peer) = (io.number, self.name(), io.peer.ip());
        let (received, sent) = (io.bytes_in, io.bytes_out.saturating_add(io.output.memory() as u64));
        let text = format_args!(
            "session {number} end: user {user} from {peer}, in {received}, out {sent}: {reason}"
        );
        match self.state {
            State::NotAuthenticated { .. } => self.server.log.information(Category::Network, text),
            _ => self.server.log.notice(Category::Account, text),
        }
    }

    fn name(&self) -> String {
        self.state.user().map_or_else(|| "-".to_owned(), |user| base::escape(&user.uid))
    }
}

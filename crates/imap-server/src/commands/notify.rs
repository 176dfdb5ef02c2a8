//! NOTIFY: what the client is told unasked from now on (RFC 5465 §3.1).
//!
//! The mailboxes are looked at once, some at a time; what changes from the beginning of that on is told.

use connection::{Io, Output};
use imap_wire::StatusItem;
use imap_wire::command::notify::{Events, Notify};

use super::{Done, News, Outcome, Progress, Running, not_now, status};
use crate::notify::Notified;
use crate::refusal::Refusal;
use crate::server::Server;
use crate::state::{State, User};

/// Mailboxes that are looked at before others have their turn.
const BATCH: usize = 50;

/// A NOTIFY under way.
pub struct Setting {
    notified: Box<Notified>,
    /// The next mailbox to be looked at.
    at: usize,
    tells_status: bool,
}

/// Begins to watch.
///
/// # Errors
/// An event that is not offered; more mailboxes than may be watched.
pub fn run(server: &Server, state: &State, asked: Notify, io: &Io) -> Result<Outcome, Refusal> {
    let Some(user) = state.user() else { return Err(not_now(state)) };
    let (notified, tells_status) = match asked {
        Notify::None => (Notified::none(io.waker()), false),
        Notify::Set(set) if set.has_unsupported => return Err(Refusal::BadEvent),
        Notify::Set(set) => {
            let tells_status = set.status;
            (Notified::watching(server, user.who(), set, io.waker())?, tells_status)
        }
    };
    Ok(super::running(Running::Notify(Setting { notified: Box::new(notified), at: 0, tells_status })))
}

impl Setting {
    /// Looks at some mailboxes, and tells their numbers if asked.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn step(
        &mut self,
        server: &Server,
        state: &mut State,
        out: &mut Output,
    ) -> Result<Progress, Refusal> {
        let selected = state.view().map(|view| view.mailbox.id());
        let Some(user) = state.user().cloned() else { return Err(not_now(state)) };
        self.notified.tell_closed(user.enabled.naming(), out);
        for _ in 0..BATCH {
            if out.is_full() {
                return Ok(Progress::More);
            }
            if !self.look(server, &user, selected, out)? {
                return Ok(Progress::Done);
            }
        }
        Ok(Progress::More)
    }

    /// The next mailbox; false when there is none.
    fn look(
        &mut self,
        server: &Server,
        user: &User,
        selected: Option<u128>,
        out: &mut Output,
    ) -> Result<bool, Refusal> {
        let Some((id, name, events)) = self.notified.take_up(self.at, server)? else { return Ok(false) };
        self.at += 1;
        if self.tells_status && events.has_any(Events::MESSAGES) && selected != Some(id) {
            let mut items = vec![StatusItem::Messages, StatusItem::UidNext, StatusItem::UidValidity];
            if events.contains(Events::FLAG_CHANGE) {
                items.push(StatusItem::HighestModSeq);
            }
            let append_bytes_max = server.settings().append_bytes_max;
            if let Ok(mailbox) = server.store.open_mailbox(&name) {
                let (called, naming) = (user.who().to_client(&name), user.enabled.naming());
                status::row(
                    &mailbox,
                    user.who().apart_in(&name),
                    &called,
                    naming,
                    &items,
                    append_bytes_max,
                    out,
                )?;
            }
        }
        Ok(true)
    }

    /// What is watched, and the end of the command: what has gathered in the selected mailbox is told with it (RFC 5465
    /// §3.1).
    pub fn end(self) -> (Box<Notified>, Done) {
        (self.notified, Done::new("NOTIFY completed").with(News::all()))
    }
}

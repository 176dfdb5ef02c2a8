//! What a client is told unasked after NOTIFY: between commands, in IDLE, and at the end of commands (RFC 5465 §3.1, §4).

use connection::{Io, Next};
use imap_wire::Command;
use message_store::StoreError;

use super::{Doing, Session};
use crate::announcement::Announcement;
use crate::answer;
use crate::commands::notify::Setting;
use crate::commands::{self, Done, Outcome, Progress};
use crate::notify::{Notified, Notifying, Own};
use crate::refusal::Refusal;
use crate::state::{Idling, State};

/// Looks in a row, each of which found something, before others have their turn.
const LOOKS_MAX: usize = 16;

/// Notices that are being told.
pub struct Unasked {
    notifying: Notifying,
    /// The IDLE that is under way.
    idling: Option<Box<Idling>>,
}

impl Session {
    /// Runs a command; what it changes is the client's own doing, and no news to it.
    pub(super) fn run(&mut self, command: Command, tag: &[u8], io: &mut Io) -> Result<Outcome, Refusal> {
        let own = match (&self.notified, self.state.user()) {
            (Some(_), Some(user)) => Some(Own::of(&command, user.who())),
            _ => None,
        };
        if matches!((&command, &own), (Command::Idle, Some(_))) {
            io.output.push(b"+ idling\r\n");
            let idling = Idling { tag: tag.into(), news: None, _watch: None, _watch_seen: None };
            let next = self.look_around(Some(Box::new(idling)), io);
            let doing = std::mem::replace(&mut self.doing, Doing::Nothing);
            return Ok(Outcome::Waiting(doing, next));
        }
        let becomes_other = matches!(command, Command::ProxyAuth(_));
        let outcome = commands::run(&self.server, &mut self.state, command, tag, io)?;
        if becomes_other {
            self.notified = None;
        }
        if let (Outcome::Done(_), Some(notified), Some(own)) = (&outcome, &mut self.notified, own) {
            notified.note_own(own);
        }
        Ok(outcome)
    }

    /// NOTIFY is done: its last response.
    pub(super) fn notified_by(&mut self, setting: Setting) -> Done {
        let (notified, done) = setting.end();
        self.notified = Some(notified);
        done
    }

    /// What is new in the selected mailbox at the end of a command, as far as the client wants to be told.
    pub(super) fn news_behind(&mut self, done: &Done) -> Result<Option<Announcement>, StoreError> {
        let (Some(news), Some(view)) = (&done.news, self.state.view()) else { return Ok(None) };
        match &mut self.notified {
            Some(notified) => notified.announce_behind(view, news, done.tells_modseq),
            None => view.announce(news.allowed, &news.told, news.with_uid),
        }
    }

    /// Something happened that the client may want to know; in the middle of a command it is looked at behind it.
    pub(super) fn woken_by_notice(&mut self, io: &mut Io) -> Next {
        match std::mem::replace(&mut self.doing, Doing::Nothing) {
            Doing::Nothing => self.look_around(None, io),
            Doing::Idling(idling) => self.look_around(Some(idling), io),
            other => {
                self.doing = other;
                Next::Same
            }
        }
    }

    /// Looks for what is to be told and tells it, until there is nothing or the output queue is full. Then the next command,
    /// or the end of IDLE, is waited for.
    pub(super) fn look_around(&mut self, idling: Option<Box<Idling>>, io: &mut Io) -> Next {
        let Some(mut notified) = self.notified.take() else { return self.rest(idling) };
        for _ in 0..LOOKS_MAX {
            let refreshed = self.server.refresh(&mut self.state, &mut io.output);
            let looked =
                refreshed.and_then(|()| notified.look(&self.server, &mut self.state, idling.is_some()));
            let told = match looked {
                Ok(None) => {
                    self.notified = Some(notified);
                    return self.rest(idling);
                }
                Ok(Some(mut notifying)) => {
                    self.step(&mut notified, &mut notifying, io).map(|progress| match progress {
                        Progress::Done => None,
                        Progress::More => Some(notifying),
                    })
                }
                Err(refusal) => Err(refusal),
            };
            match told {
                Ok(None) => {}
                Ok(Some(notifying)) => {
                    self.notified = Some(notified);
                    self.doing = Doing::Notifying(Box::new(Unasked { notifying, idling }));
                    return Next::Resume;
                }
                Err(refusal) => return self.give_up_notices(*notified, &refusal, idling, io),
            }
        }
        self.notified = Some(notified);
        self.doing = Doing::Notifying(Box::new(Unasked { notifying: Notifying::default(), idling }));
        Next::Resume
    }

    /// The output queue has room again.
    pub(super) fn tell_unasked(&mut self, unasked: Unasked, io: &mut Io) -> Next {
        let Unasked { mut notifying, idling } = unasked;
        let Some(mut notified) = self.notified.take() else { return self.rest(idling) };
        match self.step(&mut notified, &mut notifying, io) {
            Ok(progress) => {
                self.notified = Some(notified);
                if progress == Progress::Done {
                    return self.look_around(idling, io);
                }
                self.doing = Doing::Notifying(Box::new(Unasked { notifying, idling }));
                Next::Resume
            }
            Err(refusal) => self.give_up_notices(*notified, &refusal, idling, io),
        }
    }

    fn step(
        &mut self,
        notified: &mut Notified,
        notifying: &mut Notifying,
        io: &mut Io,
    ) -> Result<Progress, Refusal> {
        notified.step(notifying, &self.server, &mut self.state, &mut io.output)
    }

    /// The next command, or the end of IDLE.
    fn rest(&mut self, idling: Option<Box<Idling>>) -> Next {
        self.doing = idling.map_or(Doing::Nothing, Doing::Idling);
        Next::Line
    }

    /// Something cannot be read: without it the client could miss news, so it is told that there are no more (RFC 5465
    /// §5.8). The selected mailbox is gone: there is nothing to be in step with.
    fn give_up_notices(
        &mut self,
        notified: Notified,
        refusal: &Refusal,
        idling: Option<Box<Idling>>,
        io: &mut Io,
    ) -> Next {
        if let Refusal::Store(error) = refusal {
            self.log_store_trouble(error, io);
        }
        if let State::Selected { view, .. } = &self.state {
            if matches!(view.mailbox.status(), Err(StoreError::NotFound)) {
                return self.bye("The selected mailbox was deleted", "mailbox deleted", io);
            }
        }
        answer::tagged(&mut io.output, b"*", "OK", "NOTIFICATIONOVERFLOW", "Something cannot be watched now");
        self.notified = Some(Box::new(notified.silenced()));
        self.rest(idling)
    }
}

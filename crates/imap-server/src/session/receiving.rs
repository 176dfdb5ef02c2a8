//! From lines and literals to whole commands, and to what else a client sends: messages, SASL responses, DONE.

use connection::{Io, Next};
use imap_wire::{AppendHead, Literal};

use super::{Appending, Doing, STRANGER_TIMEOUT, Session};
use crate::answer;
use crate::commands::append::{Append, Old};
use crate::commands::{self, Done, News};
use crate::gathering::{Announced, DISCARD_BYTES_MAX, Gathering};
use crate::notify::Own;
use crate::refusal::Refusal;
use crate::state::State;

impl Session {
    /// One line, whatever it is for.
    pub(super) fn line(&mut self, line: &[u8], io: &mut Io) -> Next {
        match std::mem::replace(&mut self.doing, Doing::Nothing) {
            Doing::Nothing => match Literal::at_end(line) {
                None => self.execute(line, io),
                Some(_) => self.gather(Box::default(), line, io),
            },
            Doing::Gathering(gathering) => self.gather(gathering, line, io),
            Doing::Appending(appending) => self.append_ends(*appending, line, io),
            Doing::Authenticating(authenticating) => {
                let tag = authenticating.tag.clone();
                let outcome = authenticating.respond(&self.server, &mut self.state, line, io);
                if self.state.user().is_some() {
                    self.welcome(io);
                }
                self.after(&tag, outcome, io)
            }
            Doing::Idling(idling) if line.eq_ignore_ascii_case(b"DONE") => {
                self.finish(&idling.tag, Ok(Done::new("IDLE completed").with(News::all())), io)
            }
            Doing::Idling(idling) => self.finish(&idling.tag, Err(Refusal::Syntax("Expected DONE")), io),
            // No line is asked for in these.
            other @ (Doing::Checking(_)
            | Doing::Refusing(_)
            | Doing::Running(_)
            | Doing::Telling(_)
            | Doing::Notifying(_)) => {
                self.doing = other;
                Next::Same
            }
        }
    }

    /// A line was too long and was thrown away but for its `start`. Strangers are sent away for it.
    pub(super) fn line_too_long(&mut self, start: &[u8], io: &mut Io) -> Next {
        let tag = match std::mem::replace(&mut self.doing, Doing::Nothing) {
            Doing::Gathering(gathering) => tag_of(&gathering),
            Doing::Appending(appending) => appending.tag,
            Doing::Authenticating(authenticating) => authenticating.tag,
            Doing::Idling(idling) => idling.tag,
            Doing::Checking(checking) => checking.tag,
            Doing::Refusing(held) => held.tag,
            Doing::Nothing | Doing::Running(_) | Doing::Telling(_) | Doing::Notifying(_) => tag_at(start),
        };
        let next = self.finish(&tag, Err(Refusal::CommandTooBig), io);
        match self.state {
            State::NotAuthenticated { .. } => self.bye("Command line too long", "command line too long", io),
            _ => next,
        }
    }

    /// A piece of a literal.
    pub(super) fn content(&mut self, bytes: &[u8], last: bool) -> Next {
        match &mut self.doing {
            Doing::Gathering(gathering) => gathering.content(bytes),
            Doing::Appending(appending) => appending.append.receive(bytes),
            _ => {}
        }
        if last { Next::Line } else { Next::Same }
    }

    /// Adds a line to a command of several pieces.
    fn gather(&mut self, mut gathering: Box<Gathering>, line: &[u8], io: &mut Io) -> Next {
        let budget = self.budget();
        let Some(literal) = Literal::at_end(line) else {
            gathering.line(line, &budget);
            io.idle_timeout = self.patience();
            return match gathering.refusal.take() {
                Some(refusal) => self.finish(&tag_of(&gathering), Err(refusal), io),
                None => self.execute(&gathering.bytes, io),
            };
        };
        gathering.line(line, &budget);
        let is_append = imap_wire::command::append::is_meant(&gathering.bytes);
        if is_append && gathering.refusal.is_none() {
            match self.append_begins(&gathering.bytes, io) {
                Ok(None) => {}
                Ok(Some(append)) => {
                    let tag = tag_of(&gathering);
                    if literal.waits {
                        io.output.push(b"+ Ready for the message\r\n");
                    }
                    self.doing = Doing::Appending(Box::new(Appending { tag, append }));
                    return Next::Content(literal.size.unwrap_or(0).into());
                }
                Err(refusal) => gathering.refusal = Some(refusal),
            }
        }
        gathering.argument(literal, &budget);
        if matches!(gathering.refusal, Some(Refusal::LiteralTooBig)) && gathering.is_set_metadata() {
            gathering.refusal = Some(Refusal::MetadataTooLong(self.server.settings().metadata_bytes_max));
        }
        self.announced(gathering, literal, is_append, io)
    }

    fn announced(
        &mut self,
        mut gathering: Box<Gathering>,
        literal: Literal,
        is_append: bool,
        io: &mut Io,
    ) -> Next {
        let discard_max = match self.state {
            State::NotAuthenticated { .. } => DISCARD_BYTES_MAX,
            _ if is_append => self.server.settings().append_bytes_max.max(DISCARD_BYTES_MAX),
            _ => DISCARD_BYTES_MAX,
        };
        match gathering.announced(literal, discard_max) {
            Announced::Read { bytes, invite } => {
                if invite {
                    io.output.push(b"+ Ready for literal data\r\n");
                }
                if self.state.user().is_none() {
                    io.idle_timeout = STRANGER_TIMEOUT;
                }
                self.doing = Doing::Gathering(gathering);
                Next::Content(bytes)
            }
            Announced::Over => {
                io.idle_timeout = self.patience();
                let refusal = gathering.refusal.take().unwrap_or(Refusal::LiteralTooBig);
                self.finish(&tag_of(&gathering), Err(refusal), io)
            }
            Announced::GiveUp => self.bye("[TOOBIG] Literal too long", "literal too long", io),
        }
    }

    /// The message of an APPEND is announced at the end of `bytes`; nothing when it is an argument.
    fn append_begins(&mut self, bytes: &[u8], io: &mut Io) -> Result<Option<Append>, Refusal> {
        let Some(user) = self.state.user().cloned() else {
            return Err(commands::not_now(&self.state));
        };
        match imap_wire::command::append::parse(bytes, self.state.naming())? {
            AppendHead::Argument => Ok(None),
            AppendHead::Message(append) => {
                if append.replaces.is_some_and(|replaced| !replaced.uid) && user.enabled.uid_only() {
                    return Err(Refusal::UidRequired);
                }
                if append.message.utf8 && !user.enabled.utf8_accept() {
                    return Err(Refusal::NotNow("ENABLE UTF8=ACCEPT first")); // RFC 6855 §4
                }
                self.server.refresh(&mut self.state, &mut io.output)?;
                let size_max = self.server.settings().append_bytes_max;
                let old = match (append.replaces, self.state.view()) {
                    (None, _) => None,
                    (Some(replaces), Some(view)) => Some(Old::find(replaces, view)?),
                    (Some(_), None) => return Err(commands::not_now(&self.state)),
                };
                Append::begin(&self.server, user.who(), append, size_max, old).map(Some)
            }
        }
    }

    /// The line behind a message of an APPEND: empty, or another message is announced (RFC 3502).
    fn append_ends(&mut self, appending: Appending, line: &[u8], io: &mut Io) -> Next {
        let Appending { tag, append } = appending;
        let line = match line.strip_prefix(b")") {
            Some(rest) if append.is_utf8() => rest,
            None if append.is_utf8() => {
                return self.finish(&tag, Err(Refusal::Syntax("Expected ) behind the message")), io);
            }
            _ => line,
        };
        if line.is_empty() {
            let (is_replace, target) = (append.is_replace(), append.target());
            let done = append.finish().map(|code| {
                let mut done = Done::new("APPEND completed").with(News::all());
                if is_replace {
                    // RFC 8508 §3.1: before the EXPUNGE response.
                    answer::tagged(&mut io.output, b"*", "OK", &code, "Replacement stored");
                    (done.text, done.tells_modseq) = ("REPLACE completed", true);
                } else {
                    done.code = code;
                }
                done
            });
            if let (Ok(_), Some(notified)) = (&done, &mut self.notified) {
                notified.note_own(Own::filled(target));
            }
            return self.finish(&tag, done, io);
        }
        let Some(literal) = Literal::at_end(line) else {
            let refusal = Refusal::Syntax("Expected the end of the command behind the message");
            return self.finish(&tag, Err(refusal), io);
        };
        match append.next(line) {
            Ok(append) => {
                if literal.waits {
                    io.output.push(b"+ Ready for the message\r\n");
                }
                self.doing = Doing::Appending(Box::new(Appending { tag, append }));
                Next::Content(literal.size.unwrap_or(0).into())
            }
            Err(refusal) => {
                let start = [&tag[..], b" APPEND"].concat();
                self.announced(Box::new(Gathering::refused(start, refusal)), literal, true, io)
            }
        }
    }

    /// How long silence is borne between commands.
    fn patience(&self) -> std::time::Duration {
        match self.state {
            State::NotAuthenticated { .. } => super::LOGIN_TIMEOUT,
            _ => self.server.settings().idle_timeout,
        }
    }
}

fn tag_of(gathering: &Gathering) -> Box<[u8]> {
    tag_at(&gathering.bytes)
}

/// The tag that a command begins with; `*` when there is none (RFC 3501 §7.1.3).
fn tag_at(start: &[u8]) -> Box<[u8]> {
    imap_wire::head(start).map_or(b"*"[..].into(), |head| head.tag.into())
}

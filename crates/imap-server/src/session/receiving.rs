//! From lines and literals to whole commands, and to what else a client sends: messages, SASL responses, DONE.

use connection::{Io, Next};
use imap_wire::Literal;
use imap_wire::command::append::{Announced as Read, Then};

use super::{Appending, Doing, STRANGER_TIMEOUT, Session};
use crate::answer;
use crate::commands::append::{Append, Old};
use crate::commands::{self, Done, News};
use crate::gathering::{Announced, DISCARD_BYTES_MAX, Gathering};
use crate::notify::Own;
use crate::refusal::Refusal;
use crate::state::{State, User};

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
            Doing::Appending(appending) if appending.is_argument => appending.behind.extend_from_slice(bytes),
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
                    return self.receive_text(tag, append, literal, io);
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
                super::hide_secrets(&gathering.bytes, io);
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

    /// A text of an APPEND is announced at the end of `bytes`, or it is whole; nothing when an argument is announced.
    fn append_begins(&mut self, bytes: &[u8], io: &mut Io) -> Result<Option<Append>, Refusal> {
        let Some(user) = self.state.user().cloned() else {
            return Err(commands::not_now(&self.state));
        };
        if user.is_anybody {
            return Err(Refusal::NoPermission);
        }
        let append = match imap_wire::command::append::parse(bytes, self.state.naming())? {
            Read::Argument => return Ok(None),
            Read::Read(append) => append,
        };
        if append.replaces.is_some_and(|replaced| !replaced.uid) && user.enabled.uid_only() {
            return Err(Refusal::UidRequired);
        }
        may_be_utf8(append.piece.then, &user)?;
        self.server.refresh(&mut self.state, &mut io.output)?;
        let size_max = self.server.settings().append_bytes_max;
        let old = match (append.replaces, self.state.view()) {
            (None, _) => None,
            (Some(replaces), Some(view)) => Some(Old::find(replaces, view)?),
            (Some(_), None) => return Err(commands::not_now(&self.state)),
        };
        Append::begin(&self.server, user.who(), append, size_max, old).map(Some)
    }

    /// An APPEND without any text: all that it stores is in the store already.
    pub(super) fn append_whole(&mut self, tag: &[u8], bytes: &[u8], io: &mut Io) -> Next {
        match self.append_begins(bytes, io) {
            Ok(Some(append)) if append.then() == Then::End => self.append_done(tag, append, io),
            Ok(_) => self.finish(tag, Err(Refusal::Syntax("Expected the end of the command")), io),
            Err(refusal) => self.finish(tag, Err(refusal), io),
        }
    }

    fn receive_text(&mut self, tag: Box<[u8]>, append: Append, literal: Literal, io: &mut Io) -> Next {
        if literal.waits {
            io.output.push(b"+ Ready for the message\r\n");
        }
        let appending = Appending { tag, append, behind: Vec::new(), arguments: 0, is_argument: false };
        self.doing = Doing::Appending(Box::new(appending));
        Next::Content(literal.size.unwrap_or(0).into())
    }

    /// The line behind a text of an APPEND, or behind an argument there: the command is whole, or something is announced.
    fn append_ends(&mut self, mut appending: Appending, line: &[u8], io: &mut Io) -> Next {
        appending.behind.extend_from_slice(line);
        let literal = Literal::at_end(line);
        let goes_on = self.append_goes_on(&mut appending, literal);
        match (goes_on, literal) {
            (Ok(true), _) => {
                let Appending { tag, append, .. } = appending;
                match append.then() {
                    Then::Text(text) => self.receive_text(tag, append, text.literal, io),
                    Then::End => self.append_done(&tag, append, io),
                }
            }
            (Ok(false), Some(literal)) => {
                if literal.waits {
                    io.output.push(b"+ Ready for literal data\r\n");
                }
                self.doing = Doing::Appending(Box::new(appending));
                Next::Content(literal.size.unwrap_or(0).into())
            }
            (Ok(false), None) => self.finish(&appending.tag, Err(Refusal::Syntax("Expected a literal")), io),
            (Err(refusal), None) => self.finish(&appending.tag, Err(refusal), io),
            (Err(refusal), Some(literal)) => {
                let start = [&appending.tag[..], b" APPEND"].concat();
                self.announced(Box::new(Gathering::refused(start, refusal)), literal, true, io)
            }
        }
    }

    /// Whether the command goes on with a text, or is whole; false when an argument comes first.
    fn append_goes_on(
        &mut self,
        appending: &mut Appending,
        literal: Option<Literal>,
    ) -> Result<bool, Refusal> {
        let budget = self.budget();
        let user = self.state.user().cloned().ok_or_else(|| commands::not_now(&self.state))?;
        let announced = literal.and_then(|literal| literal.size).map_or(0, u64::from);
        if appending.behind.len() as u64 > budget.command_bytes_max {
            return Err(Refusal::CommandTooBig);
        }
        if appending.append.go_on(&self.server, user.who(), &appending.behind)? {
            return may_be_utf8(appending.append.then(), &user).map(|()| true);
        }
        appending.arguments = appending.arguments.saturating_add(1);
        appending.is_argument = true;
        appending.behind.extend_from_slice(b"\r\n");
        match literal.and_then(|literal| literal.size) {
            None => Err(Refusal::Syntax("Number of a literal out of range")),
            Some(_) if appending.arguments > budget.literals_max => Err(Refusal::CommandTooBig),
            Some(_) if announced > budget.literal_bytes_max => Err(Refusal::LiteralTooBig),
            Some(_) => Ok(false),
        }
    }

    /// All of an APPEND is there.
    fn append_done(&mut self, tag: &[u8], append: Append, io: &mut Io) -> Next {
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
        self.finish(tag, done, io)
    }

    /// How long silence is borne between commands.
    fn patience(&self) -> std::time::Duration {
        match self.state {
            State::NotAuthenticated { .. } => super::LOGIN_TIMEOUT,
            _ => self.server.settings().idle_timeout,
        }
    }
}

/// Whether the next text may come as `UTF8 (...)` (RFC 6855 §4).
fn may_be_utf8(then: Then, user: &User) -> Result<(), Refusal> {
    match then {
        Then::Text(text) if text.utf8 && !user.enabled.utf8_accept() => {
            Err(Refusal::NotNow("ENABLE UTF8=ACCEPT first"))
        }
        _ => Ok(()),
    }
}

fn tag_of(gathering: &Gathering) -> Box<[u8]> {
    tag_at(&gathering.bytes)
}

/// The tag that a command begins with; `*` when there is none (RFC 3501 §7.1.3).
fn tag_at(start: &[u8]) -> Box<[u8]> {
    imap_wire::head(start).map_or(b"*"[..].into(), |head| head.tag.into())
}

//! PreSMTPAccept: each command line of a session passes through a stack of plug-ins, with this server at the bottom (S189 to S192).
//!
//! The line waits in a thread of [`plugins::lines`], the session without one. What the stack defers is run as if it had come
//! from the client; the answer goes up again, and its effect waits until the stack has answered itself: content is only read
//! when the client hears 354. What no plug-in defers this server never hears of. A stack that fails is answered with 451
//! when it has no state yet, and ends the session with 421 when it has: what its plug-ins knew of the session is lost, and an
//! object made anew would let pass what the former refused.
//!
//! Content, the client's part of an AUTH exchange and lines that are none do not come here; LMTP and submission by daemons of
//! this host neither. BDAT does not, since it is not offered where there is a stack: plug-ins know DATA.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use connection::{Io, Next};
use plugins::lines::{Exchange, Lines, Question, Said};
use server_log::Category;
use smtp_wire::Reply;

use crate::commands;
use crate::filtering::path_text;
use crate::refusals;
use crate::replies;
use crate::session::{Answer, Session};
use crate::state::State;

/// Lines of a reply, and bytes of each.
const REPLY_LINES_MAX: usize = 100;
const REPLY_LINE_BYTES_MAX: usize = 500;
/// The code of a log-in that was right (RFC 4954 section 4).
const LOGGED_IN: u16 = 235;

/// The stack of one session, from its first line on.
pub(crate) struct Plugged {
    lines: Lines,
    /// What the other process knows the session by.
    session: u64,
    /// It has objects there.
    is_known: bool,
    /// A line under way.
    exchange: Option<Exchange>,
    line: Vec<u8>,
    /// This server is at a line that the stack deferred.
    pub below: bool,
    /// What it answered, until the stack has.
    answer: Option<Answer>,
    /// What was in the open transaction before the client's line: recipients, and what was looked up for them.
    before: Option<(usize, usize)>,
}

impl Plugged {
    fn new(lines: Lines) -> Plugged {
        Plugged {
            lines,
            session: fresh(),
            is_known: false,
            exchange: None,
            line: Vec::new(),
            below: false,
            answer: None,
            before: None,
        }
    }

    /// The stack is waited for.
    pub fn waits(&self) -> bool {
        self.exchange.is_some() && !self.below
    }

    /// How long at most: for a thread, and for the plug-ins.
    fn patience(&self) -> Duration {
        self.lines.timeout().saturating_mul(2).saturating_add(Duration::from_secs(5))
    }
}

impl Drop for Plugged {
    fn drop(&mut self) {
        // In this order: a line that was answered before it was given up has made its objects before they are to go.
        let exchange = self.exchange.take();
        if self.is_known || exchange.is_some() {
            drop(exchange);
            self.lines.forget(self.session);
        }
    }
}

fn fresh() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Whether the line is to pass through a stack.
pub(crate) fn concerns(session: &Session, line: &[u8], io: &Io) -> bool {
    session.settings.plugin_lines.is_some()
        && !session.is_lmtp(io)
        && !session.is_submission_local(io)
        && !line.get(..4).is_some_and(|verb| verb.eq_ignore_ascii_case(b"BDAT"))
}

/// Gives a line to the stack.
pub(crate) fn begin(session: &mut Session, line: &[u8], io: &mut Io) -> Next {
    let Some(lines) = session.settings.plugin_lines.clone() else { return Next::Same };
    if line.contains(&0) {
        return session.answer(Answer::Say(replies::unknown()), io); // a text of C would end there
    }
    let service = if session.is_submission(io) { "submission" } else { "smtp" };
    let mut properties = vec![
        ("ClientAddress", io.peer.ip().to_canonical().to_string()),
        ("Service", service.to_owned()),
        ("ServerName", session.settings.host_name.clone()),
    ];
    properties.extend(session.uid().map(|uid| ("User", uid.to_owned())));
    let before = session.state.transaction().map(|open| (open.recipients.len(), open.found.len()));
    let plugged = session.plugged.get_or_insert_with(|| Box::new(Plugged::new(lines)));
    plugged.before = before;
    let question =
        Question { session: plugged.session, is_first: !plugged.is_known, line: line.to_vec(), properties };
    let waker = io.waker();
    match plugged.lines.ask(question, Box::new(move || waker.wake())) {
        Some(exchange) => {
            plugged.exchange = Some(exchange);
            plugged.line = line.to_vec();
            Next::Pause(plugged.patience())
        }
        None => fail(session, "too many lines wait for plug-ins", io),
    }
}

/// The stack may have said something.
pub(crate) fn look(session: &mut Session, io: &mut Io) -> Option<Next> {
    let said = session.plugged.as_ref()?.exchange.as_ref()?.take()?;
    Some(match said {
        Said::Defer(line) => below(session, &line, io),
        Said::Answer(text, closes) => finish(session, &text, closes, io),
        Said::Lost => fail(session, "the process that knew the session has ended", io),
        Said::Failed(why) => fail(session, &why, io),
    })
}

/// The stack did not answer in time.
pub(crate) fn give_up(session: &mut Session, io: &mut Io) -> Next {
    fail(session, "no answer in time", io)
}

/// Runs a line that the stack deferred.
fn below(session: &mut Session, line: &[u8], io: &mut Io) -> Next {
    // A second line for one of the client: what the first would have begun to wait for is not waited for.
    let begun = session.plugged.as_mut().and_then(|plugged| plugged.answer.take());
    if begun.is_some() && matches!(session.state, State::InData { .. } | State::Authenticating { .. }) {
        session.state.reset();
    }
    if let Some(plugged) = &mut session.plugged {
        (plugged.below, plugged.is_known) = (true, true);
    }
    let answer = match session.state {
        // Between the two the session may have come to its end.
        State::Closing | State::TurnedAway => {
            Answer::Last(replies::shutting_down(&session.settings.host_name))
        }
        _ => commands::run_line(session, line, io),
    };
    session.answer(answer, io)
}

/// What the server answers below the stack goes up.
pub(crate) fn hold(session: &mut Session, answer: Answer, io: &mut Io) -> Next {
    let (reply, is_last) = match &answer {
        Answer::Say(reply) => (reply.clone(), reply.code == 421),
        Answer::Last(reply) => (reply.clone(), true),
        Answer::Content(reply) | Answer::StartTls(reply) => (reply.clone(), false),
        Answer::Wait(most) => return Next::Pause(*most),
        Answer::Later { reply, after, last } => {
            session.hold_back(reply.clone(), *last);
            return Next::Pause(*after);
        }
        Answer::Greet => return session.greet(io),
        Answer::Chunk(_) | Answer::Each(_) => return fail(session, "a line that cannot be deferred", io),
    };
    let Some(plugged) = &mut session.plugged else { return Next::Same };
    let encoded = reply.encode();
    if let Some(exchange) = &plugged.exchange {
        exchange.reply(encoded.strip_suffix(b"\r\n").unwrap_or(&encoded).to_vec(), is_last);
    }
    plugged.below = false;
    plugged.answer = Some(if is_last { Answer::Last(reply) } else { answer });
    Next::Pause(plugged.patience())
}

/// The stack has answered the client.
fn finish(session: &mut Session, text: &[u8], closes: bool, io: &mut Io) -> Next {
    let Some(plugged) = &mut session.plugged else { return Next::Same };
    plugged.is_known = true;
    let held = plugged.answer.take();
    let asked = match &held {
        Some(Answer::Content(reply) | Answer::Say(reply)) => reply.code,
        _ => 0,
    };
    let Some(reply) = reply(text).filter(|reply| reply.code / 100 != 3 || reply.code == asked) else {
        plugged.answer = held;
        return fail(session, "an answer that is no reply to this line", io);
    };
    plugged.exchange = None;
    let line = std::mem::take(&mut plugged.line);
    let answer = match held {
        _ if closes => Answer::Last(reply),
        Some(Answer::Last(_)) => Answer::Last(reply),
        Some(Answer::Content(_)) if reply.code == 354 => Answer::Content(reply),
        Some(Answer::StartTls(_)) if reply.code == 220 => Answer::StartTls(reply),
        // The server below knows who it is, and the client was told that it does not.
        Some(Answer::Say(said)) if said.code == LOGGED_IN && reply.is_refusal() => Answer::Last(reply),
        Some(Answer::Say(_)) if !reply.is_refusal() => Answer::Say(reply),
        Some(held) => {
            if let Some(plugged) = &mut session.plugged {
                plugged.answer = Some(held);
            }
            undo(session);
            Answer::Say(reply)
        }
        None => alone(session, reply, &line, io),
    };
    session.answer(answer, io)
}

/// The server has not heard of the line.
fn alone(session: &mut Session, reply: Reply, line: &[u8], io: &Io) -> Answer {
    if reply.is_refusal() {
        let from = session.state.transaction().map(|open| refusals::path(open.sender.as_ref()));
        session.note_refusal(&reply, from.unwrap_or_default(), path_text(line), io);
    }
    if session.talks_idly() {
        return Answer::Last(replies::too_much_idle_talk(&session.settings.host_name));
    }
    Answer::Say(reply)
}

/// What was answered does not come to the client, who hears a refusal: neither content nor the client's part of an AUTH follows,
/// and what the line brought is not in the transaction.
fn undo(session: &mut Session) {
    let Some(plugged) = &mut session.plugged else { return };
    if plugged.answer.take().is_none() {
        return;
    }
    match (&mut session.state, plugged.before) {
        (State::InTransaction { transaction, .. }, Some((recipients, found))) => {
            transaction.recipients.truncate(recipients);
            transaction.found.truncate(found);
        }
        (State::InTransaction { .. } | State::InData { .. } | State::Authenticating { .. }, _) => {
            session.state.reset();
        }
        _ => {}
    }
}

fn fail(session: &mut Session, why: &str, io: &mut Io) -> Next {
    session.desk.log.error(
        Category::Protocol,
        format_args!("smtp-accept: plug-ins: {why} [{}]", io.peer.ip().to_canonical()),
    );
    undo(session);
    let Some(plugged) = &mut session.plugged else { return Next::Same };
    (plugged.exchange, plugged.below, plugged.line) = (None, false, Vec::new());
    let answer = match plugged.is_known {
        true => Answer::Last(Reply::new(421, (4, 3, 0), "A plug-in of this server failed, try again later")),
        false => {
            plugged.lines.forget(plugged.session); // it may have got as far as its objects
            plugged.session = fresh();
            Answer::Say(Reply::new(451, (4, 3, 0), "A plug-in of this server failed, try again later"))
        }
    };
    session.answer(answer, io)
}

/// A reply as a plug-in writes it: lines of one code, in any line ends.
fn reply(text: &[u8]) -> Option<Reply> {
    let text = std::str::from_utf8(text).ok()?;
    let mut reply: Option<Reply> = None;
    for line in text.trim_end().lines() {
        let (code, rest) = line.split_at_checked(3)?;
        let is_code = code.bytes().all(|byte| byte.is_ascii_digit());
        let code = code.parse::<u16>().ok().filter(|code| is_code && (200..600).contains(code))?;
        let words = rest.strip_prefix([' ', '-']).unwrap_or(rest);
        let is_apart = rest.is_empty() || rest.len() > words.len();
        if !is_apart || words.len() > REPLY_LINE_BYTES_MAX || words.chars().any(char::is_control) {
            return None;
        }
        reply = Some(match reply {
            None => Reply::plain(code, words.to_owned()),
            Some(reply) if reply.code == code => reply.line(words.to_owned()),
            Some(_) => return None,
        });
    }
    reply.filter(|_| text.lines().count() <= REPLY_LINES_MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn said(text: &str) -> Option<String> {
        reply(text.as_bytes()).map(|reply| String::from_utf8(reply.encode()).unwrap())
    }

    #[test]
    fn a_plug_in_writes_replies() {
        assert_eq!(said("551 no").as_deref(), Some("551 no\r\n"));
        assert_eq!(said("551 5.7.1 no\r\n").as_deref(), Some("551 5.7.1 no\r\n"));
        assert_eq!(said("250-a\r\n250 b").as_deref(), Some("250-a\r\n250 b\r\n"));
        assert_eq!(said("250-a\n250-b\n").as_deref(), Some("250-a\r\n250 b\r\n"));
    }

    #[test]
    fn what_is_no_reply_is_none() {
        for text in [
            "",
            "no",
            "55",
            "551no",
            "999 x",
            "100 x",
            "250 a\r\n251 b",
            "250 a\tb",
            "+25 x",
            "250 a\r\n\r\nb",
        ] {
            assert_eq!(said(text), None, "{text:?}");
        }
        assert_eq!(reply(b"250 \xff"), None);
        assert_eq!(said(&"250-x\r\n".repeat(101)), None);
    }
}

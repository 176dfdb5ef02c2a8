//! One connection to one filter: what was agreed, and the exchange of commands and replies.

use std::time::{Duration, Instant};

use crate::Failure;
use crate::macros::{self, Macros};
use crate::message::{self, Changes, Message};
use crate::settings::Filter;
use crate::stream::Stream;
use crate::wire::options::{VERSION, VERSION_MIN};
use crate::wire::{Command, Options, Refusal, Reply, Stage, actions, protocol};

/// How often a filter may ask for the time limit of the end of a message to begin anew, as a multiple of the limit.
const PROGRESS_TIMES: u32 = 4;
/// Bytes of a piece of the body, by what was agreed (sendmail's `MILTER_CHUNK_SIZE`, `MILTER_MDS_256K`, `MILTER_MDS_1M`).
const PIECE_BYTES: usize = 65_535;
const PIECE_BYTES_256K: usize = 256 * 1024 - 1;
const PIECE_BYTES_1M: usize = (1 << 20) - 1;

/// What a filter made of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Continue,
    /// The filter has seen enough: of the message, or before one of the connection.
    Accept,
    Refuse(Refusal),
    Discard,
    /// The client is to be hung up on.
    Disconnect,
}

/// See the head of this file.
pub struct Conversation {
    stream: Stream,
    agreed: Options,
    /// The filter's last word was "continue" at the end of a message: only then it knows what to make of a new client on
    /// this connection (libmilter, `engine.c`: `ST_Q_NC` follows `ST_ENDM`).
    pub at_end: bool,
}

/// A step that may be left out, or left unanswered, by agreement.
struct Step {
    stage: Option<Stage>,
    left_out: u32,
    unanswered: u32,
}

fn step(command: &Command<'_>) -> Step {
    let (stage, left_out, unanswered) = match command {
        Command::Connect { .. } => (Some(Stage::Connect), protocol::NO_CONNECT, protocol::NR_CONNECT),
        Command::Helo(_) => (Some(Stage::Helo), protocol::NO_HELO, protocol::NR_HELO),
        Command::Mail(_) => (Some(Stage::Mail), protocol::NO_MAIL, protocol::NR_MAIL),
        Command::Rcpt(_) => (Some(Stage::Rcpt), protocol::NO_RCPT, protocol::NR_RCPT),
        Command::Data => (Some(Stage::Data), protocol::NO_DATA, protocol::NR_DATA),
        Command::Header { .. } => (None, protocol::NO_HEADERS, protocol::NR_HEADER),
        Command::EndOfHeader => {
            (Some(Stage::EndOfHeader), protocol::NO_END_OF_HEADER, protocol::NR_END_OF_HEADER)
        }
        Command::Body(_) => (None, protocol::NO_BODY, protocol::NR_BODY),
        Command::Unknown(_) => (None, protocol::NO_UNKNOWN, protocol::NR_UNKNOWN),
        Command::EndOfMessage => (Some(Stage::EndOfMessage), 0, 0),
        _ => (None, 0, 0),
    };
    Step { stage, left_out, unanswered }
}

fn after(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or(now)
}

impl Conversation {
    /// Connects to a filter and agrees on what both can do.
    ///
    /// # Errors
    /// It is not there, not in time, or wants what we do not have.
    pub fn open(filter: &Filter) -> Result<Conversation, Failure> {
        let mut stream = Stream::connect(&filter.endpoint, after(filter.connect_timeout))?;
        let offered = Options::offered();
        Command::Negotiate(offered.clone()).encode(&mut stream.out);
        let deadline = after(filter.command_timeout);
        stream.send(deadline)?;
        match stream.receive(deadline)? {
            Reply::Negotiate(agreed) => {
                check(&agreed, &offered)?;
                Ok(Conversation { stream, agreed, at_end: false })
            }
            other => Err(Failure::unexpected(&other, b'O')),
        }
    }

    /// The steps and habits that the filter chose.
    pub fn protocol(&self) -> u32 {
        self.agreed.protocol
    }

    /// Tells the filter one step of the conversation with the client and hears what it makes of it.
    ///
    /// # Errors
    /// The filter failed.
    pub fn tell(
        &mut self,
        command: &Command<'_>,
        macros: Macros<'_>,
        limit: Duration,
    ) -> Result<Answer, Failure> {
        self.at_end = false;
        let reply = self.exchange(command, macros, after(limit))?;
        verdict(reply, command)
    }

    /// One command; its reply, or "continue" where none is to come.
    fn exchange(
        &mut self,
        command: &Command<'_>,
        macros: Macros<'_>,
        deadline: Instant,
    ) -> Result<Reply, Failure> {
        let Step { stage, left_out, unanswered } = step(command);
        if let Some(stage) = stage {
            self.send_macros(command.code(), stage, macros); // even those of a step that is left out
        }
        if self.agreed.protocol & left_out != 0 {
            return Ok(Reply::Continue);
        }
        command.encode(&mut self.stream.out);
        if self.agreed.protocol & unanswered != 0 {
            self.stream.send_if_much(deadline)?;
            return Ok(Reply::Continue);
        }
        self.stream.send(deadline)?;
        loop {
            match self.stream.receive(deadline)? {
                Reply::Progress => {} // it has no more time for that before the end of a message
                reply => return Ok(reply),
            }
        }
    }

    fn send_macros(&mut self, of: u8, stage: Stage, macros: Macros<'_>) {
        let values = macros::values(&self.agreed, stage, macros);
        if !values.is_empty() {
            let values = values.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
            Command::Macros { of, values }.encode(&mut self.stream.out);
        }
    }

    /// Shows the filter a message: what it makes of it, and what it wants changed.
    ///
    /// # Errors
    /// The filter failed.
    pub fn show(
        &mut self,
        message: &Message<'_>,
        macros: Macros<'_>,
        limit: Duration,
    ) -> Result<(Answer, Changes), Failure> {
        self.at_end = false;
        let deadline = after(limit);
        for step in [Conversation::show_header, Conversation::show_body] {
            match step(self, message, macros, deadline)? {
                Answer::Continue => {}
                last => return Ok((last, Changes::default())),
            }
        }
        let (answer, changes) = self.end(message, macros, limit)?;
        self.at_end = answer == Answer::Continue;
        let keeps = matches!(answer, Answer::Continue | Answer::Accept);
        Ok((answer, if keeps { changes } else { Changes::default() }))
    }

    fn show_header(
        &mut self,
        message: &Message<'_>,
        macros: Macros<'_>,
        by: Instant,
    ) -> Result<Answer, Failure> {
        let shown = if self.agreed.protocol & protocol::NO_HEADERS == 0 { message.header } else { b"" };
        for (name, value) in message::fields(shown, self.leading_space()) {
            let command = Command::Header { name, value: &value };
            match verdict(self.exchange(&command, macros, by)?, &command)? {
                Answer::Continue => {}
                last => return Ok(last),
            }
        }
        let command = Command::EndOfHeader;
        verdict(self.exchange(&command, macros, by)?, &command)
    }

    fn leading_space(&self) -> bool {
        self.agreed.protocol & protocol::HEADER_LEADING_SPACE != 0
    }

    fn show_body(
        &mut self,
        message: &Message<'_>,
        macros: Macros<'_>,
        by: Instant,
    ) -> Result<Answer, Failure> {
        let shown = if self.agreed.protocol & protocol::NO_BODY == 0 { message.body } else { b"" };
        let size = match self.agreed.protocol {
            bits if bits & protocol::MDS_1M != 0 => PIECE_BYTES_1M,
            bits if bits & protocol::MDS_256K != 0 => PIECE_BYTES_256K,
            _ => PIECE_BYTES,
        };
        for piece in shown.chunks(size) {
            let command = Command::Body(piece);
            match self.exchange(&command, macros, by)? {
                Reply::Skip if self.agreed.protocol & protocol::SKIP != 0 => break,
                reply => match verdict(reply, &command)? {
                    Answer::Continue => {}
                    last => return Ok(last),
                },
            }
        }
        Ok(Answer::Continue)
    }

    /// The end of the message: changes, then the verdict.
    fn end(
        &mut self,
        message: &Message<'_>,
        macros: Macros<'_>,
        limit: Duration,
    ) -> Result<(Answer, Changes), Failure> {
        let command = Command::EndOfMessage;
        self.send_macros(command.code(), Stage::EndOfMessage, macros);
        command.encode(&mut self.stream.out);
        let (mut deadline, last) = (after(limit), after(limit.saturating_mul(PROGRESS_TIMES)));
        self.stream.send(deadline)?;
        let mut changes = Changes::default();
        loop {
            match self.stream.receive(deadline)? {
                Reply::Progress => deadline = after(limit).min(last),
                Reply::Change(change) => changes.push(change, message.body_bytes_max)?,
                reply => return Ok((verdict(reply, &command)?, changes.finish(self.leading_space()))),
            }
            if Instant::now() >= last {
                return Err(Failure::TimedOut); // it never stops
            }
        }
    }

    /// The message is not to be. Nothing is answered. Whether the connection can go on.
    pub fn abort(&mut self) -> bool {
        self.at_end = false;
        self.stream.send_now(&Command::Abort)
    }

    /// The end of the connection.
    pub fn quit(mut self) {
        self.stream.send_now(&Command::Quit);
    }

    /// This client is gone. Whether the connection can be used for another one.
    pub fn quit_client(&mut self) -> bool {
        self.at_end = false;
        self.stream.send_now(&Command::QuitNewConnection)
    }

    /// Whether the filter is still there and has said nothing unasked.
    pub fn is_quiet(&self) -> bool {
        self.stream.is_quiet()
    }
}

fn check(agreed: &Options, offered: &Options) -> Result<(), Failure> {
    if !(VERSION_MIN..=VERSION).contains(&agreed.version) {
        return Err(Failure::Negotiation("a version of the protocol that is not spoken here"));
    }
    if agreed.actions & !offered.actions != 0 {
        return Err(Failure::Negotiation("actions that were not offered"));
    }
    if agreed.protocol & !offered.protocol != 0 {
        return Err(Failure::Negotiation("protocol steps that were not offered"));
    }
    if !agreed.macros.is_empty() && offered.actions & actions::SET_MACROS == 0 {
        return Err(Failure::Negotiation("macros of its own"));
    }
    Ok(())
}

/// What a reply to a step means. The words of a plain refusal are ours, as sendmail and Postfix have them.
fn verdict(reply: Reply, command: &Command<'_>) -> Result<Answer, Failure> {
    let refuse = |code, status, text: &str| {
        Ok(Answer::Refuse(Refusal { code, status: Some(status), lines: vec![text.to_owned()] }))
    };
    match reply {
        Reply::Continue => Ok(Answer::Continue),
        Reply::Accept => Ok(Answer::Accept),
        Reply::Reject => refuse(550, (5, 7, 1), "Refused by a filter of this server"),
        Reply::TempFail => {
            refuse(451, (4, 7, 1), "Refused for now by a filter of this server, try again later")
        }
        Reply::Shutdown => refuse(421, (4, 7, 0), "A filter of this server ends the session"),
        Reply::Refuse(refusal) => Ok(Answer::Refuse(refusal)),
        Reply::ConnectionFails => Ok(Answer::Disconnect),
        // smfi documentation: of a message, not of a connection.
        Reply::Discard => match command {
            Command::Connect { .. } | Command::Helo(_) | Command::Unknown(_) => Ok(Answer::Continue),
            _ => Ok(Answer::Discard),
        },
        reply @ (Reply::Skip | Reply::Progress | Reply::Negotiate(_) | Reply::Change(_)) => {
            Err(Failure::unexpected(&reply, command.code()))
        }
    }
}

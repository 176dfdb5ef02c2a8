//! Why a session could not do what it was asked. Each `Display` is one clear line without the server's name.

use std::fmt;
use std::io;

#[derive(Debug)]
pub enum ImapError {
    /// No connection, or the name is not known.
    Unreachable(String),
    /// TLS is not there, or its certificate is not the server's.
    Tls(String),
    /// NO or BAD to a command, which is named; with the server's words.
    Refused {
        command: &'static str,
        text: String,
    },
    /// The server closed, or said BYE.
    Closed(String),
    TimedOut,
    /// What it said is no IMAP.
    Malformed(&'static str),
    /// More than the limit of this.
    TooBig(&'static str),
    /// Who asked could not take a message's bytes.
    Sink(io::Error),
    Io(io::Error),
}

pub type Result<T> = std::result::Result<T, ImapError>;

impl ImapError {
    /// Whether another session may do better: the conversation is at its end, or out of step.
    pub fn ends_session(&self) -> bool {
        !matches!(self, ImapError::Refused { .. })
    }
}

impl fmt::Display for ImapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImapError::Unreachable(why) => f.write_str(why),
            ImapError::Tls(why) => write!(f, "TLS: {why}"),
            ImapError::Refused { command, text } => {
                write!(f, "{command} was refused: {}", base::escape(text))
            }
            ImapError::Closed(text) if text.is_empty() => f.write_str("the server closed the connection"),
            ImapError::Closed(text) => write!(f, "the server said good-bye: {}", base::escape(text)),
            ImapError::TimedOut => f.write_str("time-out: the server says nothing"),
            ImapError::Malformed(what) => write!(f, "the server does not speak IMAP: {what}"),
            ImapError::TooBig(what) => write!(f, "limit reached: {what}"),
            ImapError::Sink(why) | ImapError::Io(why) => write!(f, "{why}"),
        }
    }
}

impl std::error::Error for ImapError {}

impl From<io::Error> for ImapError {
    fn from(why: io::Error) -> ImapError {
        match why.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => ImapError::TimedOut,
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionAborted => ImapError::Closed(String::new()),
            _ => ImapError::Io(why),
        }
    }
}

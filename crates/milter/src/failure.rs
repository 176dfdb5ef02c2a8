//! What can be wrong with a filter.

use std::fmt;
use std::io;

use crate::wire::{Malformed, Reply};

/// Why a filter is given up.
#[derive(Debug)]
pub enum Failure {
    Connect(io::Error),
    /// It took longer than it may.
    TimedOut,
    /// It took too long a moment ago; it is not asked for a while.
    Resting,
    Closed,
    Io(io::Error),
    Malformed(Malformed),
    /// A reply that does not belong here, to the command with this code.
    Unexpected {
        reply: &'static str,
        to: char,
    },
    /// Version, actions or steps that were not offered.
    Negotiation(&'static str),
    /// More modifications than a message may have.
    TooMuch(&'static str),
}

impl Failure {
    /// Whether the filter cost us time that the next one would lose, too.
    pub fn took_long(&self) -> bool {
        matches!(self, Failure::TimedOut)
    }

    pub(crate) fn unexpected(reply: &Reply, to: u8) -> Failure {
        let reply = match reply {
            Reply::Negotiate(_) => "options",
            Reply::Continue => "continue",
            Reply::Accept => "accept",
            Reply::Reject => "reject",
            Reply::TempFail => "tempfail",
            Reply::Discard => "discard",
            Reply::Skip => "skip",
            Reply::Progress => "progress",
            Reply::Shutdown => "shutdown",
            Reply::ConnectionFails => "connection failure",
            Reply::Refuse(_) => "a reply code",
            Reply::Change(_) => "a modification",
        };
        Failure::Unexpected { reply, to: char::from(to) }
    }
}

impl From<Malformed> for Failure {
    fn from(what: Malformed) -> Failure {
        Failure::Malformed(what)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Connect(why) => write!(f, "cannot connect: {why}"),
            Failure::TimedOut => f.write_str("no answer in time"),
            Failure::Resting => f.write_str("not asked, since it did not answer in time a moment ago"),
            Failure::Closed => f.write_str("the filter closed the connection"),
            Failure::Io(why) => write!(f, "connection lost: {why}"),
            Failure::Malformed(what) => write!(f, "it sent {what}"),
            Failure::Unexpected { reply, to } => write!(f, "it answered '{reply}' to command {to}"),
            Failure::Negotiation(what) => write!(f, "it wants {what}"),
            Failure::TooMuch(what) => write!(f, "it sent {what}"),
        }
    }
}

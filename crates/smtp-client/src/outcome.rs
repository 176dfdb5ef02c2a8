//! What became of a connection and of each recipient.

use std::fmt;

use crate::Reply;

/// What became of one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The peer has the message and answers for it.
    Delivered(Reply),
    /// Not now. `status` is `4.2.0` and the like (RFC 3463), `text` one line with the host and what it said.
    Later {
        /// RFC 3463.
        status: String,
        /// One line.
        text: String,
    },
    /// Never. As above, with `5.1.1` and the like.
    Failed {
        /// RFC 3463.
        status: String,
        /// One line.
        text: String,
    },
}

/// What became of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// One for each recipient, in their order.
    pub recipients: Vec<Outcome>,
    /// MAIL was refused: the sender, or we, not a recipient or the content.
    pub mail_refused: bool,
    /// Whether the session can take another message.
    pub reusable: bool,
}

/// Of what kind a refusal is: what the caller does about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Cannot connect, time-out, closed, not SMTP: try the next host.
    Connect,
    /// A 4xx to the greeting or to EHLO.
    Later,
    /// A 5xx to the greeting or to HELO (RFC 5321 §3.1, 521 and 556 of RFC 7504).
    Permanent,
    /// TLS is wanted, and not offered, or it failed.
    Tls,
    /// The peer does not know us, or we cannot show it who we are.
    Auth,
}

/// Why there is no session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What the caller does about it.
    pub kind: Kind,
    /// One line with the host and its reply.
    pub text: String,
    /// What was wrong with TLS, where [`Kind::Tls`] says that it was.
    pub fault: Option<TlsFault>,
}

impl Refused {
    pub(crate) fn new(kind: Kind, text: String) -> Refused {
        Refused { kind, text, fault: None }
    }
}

/// What was wrong with TLS, in the terms of RFC 8460 §4.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFault {
    /// `starttls-not-supported`
    NotOffered,
    /// `certificate-host-mismatch`
    HostMismatch,
    /// `certificate-expired`
    Expired,
    /// `certificate-not-trusted`
    NotTrusted,
    /// `validation-failure`
    Other,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Refused {}

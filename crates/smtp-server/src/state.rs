//! How far a session has come. A state owns what exists only while it lasts (RFC 5321 §4.1.4).

use directory::{Authentication, Found};
use mail_queue::{Hold, Recipient};
use smtp_wire::{Address, Ret};

use crate::inspection;
use crate::receiving::Receiving;

/// What the client called itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    pub name: String,
    /// EHLO and not HELO.
    pub extended: bool,
}

/// An open transaction: MAIL was accepted.
#[derive(Debug, Default)]
pub struct Transaction {
    /// Nothing for the null reverse-path.
    pub sender: Option<Address>,
    pub recipients: Vec<Recipient>,
    /// What was looked up for the recipients, for the stages behind (S56).
    pub found: Vec<(String, Found)>,
    pub envid: Option<String>,
    /// What the client said the message will have (RFC 1870 §6).
    pub size: u64,
    pub ret: Option<Ret>,
    /// Not to be sent before (RFC 4865).
    pub hold: Option<Hold>,
    /// MAIL had BODY=BINARYMIME (RFC 3030 §3).
    pub binary: bool,
    /// MAIL had SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// It is not to go on without TLS that proves the other host (RFC 8689).
    pub require_tls: bool,
    /// The content as far as BDAT has brought it.
    pub receiving: Option<Box<Receiving>>,
    /// Chunks so far that were hardly worth their command.
    pub small_chunks: u32,
}

/// Outside a transaction there is no envelope to misuse.
pub enum State {
    Connected,
    Greeted {
        client: Client,
    },
    InTransaction {
        client: Client,
        transaction: Box<Transaction>,
    },
    /// AUTH waits for the client's response.
    Authenticating {
        client: Client,
        authentication: Box<Authentication>,
    },
    /// A password is being checked; nothing is read meanwhile.
    Checking {
        client: Client,
        authentication: Box<Authentication>,
    },
    /// Content is being read behind DATA.
    InData {
        client: Client,
        transaction: Box<Transaction>,
        receiving: Box<Receiving>,
    },
    /// A chunk of BDAT is being read.
    InChunk {
        client: Client,
        transaction: Box<Transaction>,
        chunk: Chunk,
    },
    /// A message is whole and being inspected; nothing is read meanwhile.
    Inspecting {
        client: Client,
        inspecting: Box<Inspecting>,
    },
    /// The client is not let in; QUIT is waited for (X2).
    TurnedAway,
    /// A reply was said that ends the session.
    Closing,
}

/// A message whose inspection is waited for.
pub struct Inspecting {
    pub pending: inspection::Pending,
    /// Of its transaction.
    pub found: Vec<(String, Found)>,
}

/// A chunk of BDAT under way (RFC 3030 §2).
#[derive(Clone, Debug)]
pub struct Chunk {
    pub size: u64,
    pub last: bool,
    /// The chunk is read and thrown away, and this is said behind it.
    pub refused: Option<smtp_wire::Reply>,
}

impl State {
    /// What the client called itself, if it has.
    pub fn client(&self) -> Option<&Client> {
        match self {
            State::Connected | State::TurnedAway | State::Closing => None,
            State::Greeted { client }
            | State::InTransaction { client, .. }
            | State::Authenticating { client, .. }
            | State::Checking { client, .. }
            | State::InData { client, .. }
            | State::InChunk { client, .. }
            | State::Inspecting { client, .. } => Some(client),
        }
    }

    /// The open transaction, before its content.
    pub fn transaction(&self) -> Option<&Transaction> {
        match self {
            State::InTransaction { transaction, .. } => Some(transaction),
            _ => None,
        }
    }

    /// Whether a transaction is open that has SMTPUTF8.
    pub fn is_utf8(&self) -> bool {
        matches!(self, State::InTransaction { transaction, .. } if transaction.smtputf8)
    }

    /// Ends a transaction, if one is open, whatever it holds.
    pub fn reset(&mut self) {
        *self = match std::mem::replace(self, State::Closing) {
            State::InTransaction { client, .. }
            | State::InData { client, .. }
            | State::InChunk { client, .. }
            | State::Authenticating { client, .. }
            | State::Checking { client, .. }
            | State::Inspecting { client, .. } => State::Greeted { client },
            other => other,
        };
    }
}

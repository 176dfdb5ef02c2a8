//! What every test of the session begins with.
#![allow(dead_code, clippy::unwrap_used)]

use base::content::Content;

use std::io::Write;
use std::time::Duration;

use black_box::StubMta;
use smtp_client::{
    OutRecipient, Outcome, Outgoing, Peer, Refused, Session, Settings, Timeouts, TlsUse, Transaction, Verify,
};

/// Long enough for a busy machine.
pub const PATIENT: Duration = Duration::from_secs(200);
/// What a step that fails by its limit is given.
pub const SHORT: Duration = Duration::from_millis(300);
/// When such a step has failed, on a busy machine: before what is patient would have.
pub const SOON: Duration = Duration::from_secs(150);

pub fn settings() -> Settings {
    let timeouts = Timeouts {
        connect: PATIENT,
        greet: PATIENT,
        helo: PATIENT,
        mail: PATIENT,
        rcpt: PATIENT,
        data: PATIENT,
        data_send: PATIENT,
        data_dot: PATIENT,
        rset: PATIENT,
        quit: PATIENT,
    };
    Settings {
        helo_name: "client.example.test".into(),
        timeouts,
        tls: TlsUse::Never,
        lenient: false,
        source: None,
        lmtp: false,
        authorities: None,
    }
}

pub fn peer(stub: &StubMta) -> Peer {
    Peer { host: "mx.example.test".into(), address: stub.address() }
}

pub fn try_open(stub: &StubMta, settings: &Settings) -> Result<Session, Refused> {
    Session::connect(&peer(stub), settings, Verify::None, None)
}

pub fn open(stub: &StubMta) -> Session {
    try_open(stub, &settings()).unwrap()
}

pub fn refused(stub: &StubMta, settings: &Settings) -> Refused {
    try_open(stub, settings).err().unwrap()
}

/// What stands before the relayed form in each message file.
pub const LOCAL: &str = "Return-Path: <a@x.example>\r\n";

/// A message file with lines for local delivery at its front.
pub struct Message {
    pub content: Content,
    pub size: u64,
    pub eight_bit: bool,
    /// Fields that go before the content.
    pub front: &'static [u8],
}

pub fn message(content: &[u8]) -> Message {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(LOCAL.as_bytes()).unwrap();
    file.write_all(content).unwrap();
    Message {
        content: Content::File(file),
        size: (LOCAL.len() + content.len()) as u64,
        eight_bit: false,
        front: b"",
    }
}

pub fn small() -> Message {
    message(b"Subject: small\r\n\r\nbody\r\n")
}

pub fn send(session: &mut Session, message: &Message, addresses: &[&str]) -> Transaction {
    let recipients: Vec<OutRecipient<'_>> =
        addresses.iter().map(|address| OutRecipient { address, notify: None, orcpt: None }).collect();
    session.send(&Outgoing {
        sender: Some("a@x.example"),
        recipients: &recipients,
        envid: None,
        ret: None,
        front: message.front,
        content: &message.content,
        offset: LOCAL.len() as u64,
        size: message.size,
        eight_bit: message.eight_bit,
        utf8: false,
        require_tls: false,
    })
}

/// `ok`, or the status with what it means.
pub fn words(transaction: &Transaction) -> Vec<String> {
    let word = |outcome: &Outcome| match outcome {
        Outcome::Delivered(_) => "ok".to_owned(),
        Outcome::Later { status, .. } => format!("later {status}"),
        Outcome::Failed { status, .. } => format!("failed {status}"),
    };
    transaction.recipients.iter().map(word).collect()
}

/// The text of the first recipient's refusal.
pub fn text(transaction: &Transaction) -> &str {
    match &transaction.recipients[0] {
        Outcome::Delivered(_) => "",
        Outcome::Later { text, .. } | Outcome::Failed { text, .. } => text,
    }
}

//! Sending: what is given to smtpd, and what is remembered of it (RFC 8621 §7).
//!
//! smtpd alone writes to the queue, so a message is submitted to it by SMTP, on its socket for daemons of this host
//! ([`client`]), as the user who sends: the rules of submission, the filters and the signature are those of everybody's mail.
//! What can be taken back is held by smtpd (FUTURERELEASE), so it goes once, and at its time, whatever becomes of this process
//! or of the page that it was written in.
//!
//! Exactly once, step by step: (1) the record says "sending", durably; (2) smtpd takes the message, with the id of the
//! submission as its ENVID; (3) the record has the id in the queue. Killed before (2), nothing is sent. Killed between (2) and
//! (3), the client has no answer and tries again: whoever finds "sending" in the record, and nobody sending, asks smtpd for a
//! message with that ENVID that waits, and takes that for the answer ([`crate::methods::submission`]). If its time has come
//! meanwhile, it cannot be told whether there was one; the client is told so, once, instead of sending again.

pub mod client;
pub mod content;
pub mod record;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::personal::Personal;

/// What can be said with MAIL and RCPT, as EHLO would tell it (RFC 8621 §1.3.2).
pub fn extensions(personal: &Personal) -> Value {
    let most = personal.delayed_max.as_secs();
    match most {
        0 => json!({ "DSN": [] }),
        most => json!({ "FUTURERELEASE": [most.to_string()], "DSN": [] }),
    }
}

/// One address of an envelope with the parameters that go with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    pub email: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<(String, Option<String>)>,
}

/// Who sends, and to whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    pub mail_from: Address,
    pub rcpt_to: Vec<Address>,
}

impl Envelope {
    /// The domains of the recipients, each once.
    pub fn domains(&self) -> Vec<String> {
        let mut domains: Vec<String> = self
            .rcpt_to
            .iter()
            .filter_map(|one| one.email.rsplit_once('@'))
            .map(|(_, of)| of.to_lowercase())
            .collect();
        domains.sort();
        domains.dedup();
        domains
    }
}

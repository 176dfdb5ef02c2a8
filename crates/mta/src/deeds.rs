//! What deliveries outside of the store do to the host: run a program, write a user's mailbox.
//!
//! smtpd itself may do neither: it is confined to its own folders and starts nothing. A process apart, [`apart`], begun
//! before that, does it by order and by its own reading of the configuration: which programs, as whom, which folder. Where
//! nothing is confined the deed is done here.

use std::fs::File;
use std::time::Duration;

use server_log::Category;

use crate::apart::Apart;
use crate::local_settings::LocalSettings;
use crate::mta::Desk;
use crate::stages::prog_deliver::{self, Outcome};
use crate::stages::unix_deliver;
use crate::work::Facts;

/// One delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// A program of `shellpath` and its arguments.
    Program { words: Vec<String>, environment: Vec<(String, String)> },
    /// The mailbox of a user of this host, or `maildeliveryprogram`. `arrived` is in seconds since 1970.
    Native { uid: String, sender: Option<String>, arrived: i64, environment: Vec<(String, String)> },
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    pub outcome: Outcome,
    /// For the administrator, not for the sender.
    pub complaint: Option<String>,
}

impl Done {
    pub fn with(complaint: &str, outcome: Outcome) -> Done {
        Done { outcome, complaint: Some(complaint.to_owned()) }
    }
}

impl From<Outcome> for Done {
    fn from(outcome: Outcome) -> Done {
        Done { outcome, complaint: None }
    }
}

/// Who does deeds.
#[derive(Debug, Default)]
pub enum Doer {
    /// This process.
    #[default]
    Here,
    /// The process apart.
    Apart(Apart),
}

/// Has a deed done with the message of `facts`, and logs what the administrator should know.
pub fn order(desk: &Desk, facts: &Facts, module: &str, deed: &Deed, wanted: &dyn Fn() -> bool) -> Outcome {
    let message = match File::open(&facts.path) {
        Ok(message) => message,
        Err(why) => return Outcome::Later(format!("the message cannot be read: {why}")),
    };
    let done = match &desk.doer {
        Doer::Here => perform(&desk.settings.local, deed, &message, wanted),
        Doer::Apart(apart) => apart.order(deed, &message, wanted),
    };
    if let Some(complaint) = done.complaint {
        desk.log.error(Category::General, format_args!("{module}: {complaint}"));
    }
    done.outcome
}

/// Does it, in this process.
pub fn perform(settings: &LocalSettings, deed: &Deed, message: &File, wanted: &dyn Fn() -> bool) -> Done {
    let timeout: Duration = settings.programs.timeout;
    match deed {
        Deed::Program { words, environment } => {
            prog_deliver::perform(&settings.programs, words, environment, message, wanted)
        }
        Deed::Native { uid, sender, arrived, environment } => {
            let sender = sender.as_deref();
            unix_deliver::perform(
                &settings.native,
                uid,
                sender,
                *arrived,
                environment,
                message,
                wanted,
                timeout,
            )
        }
    }
}

/// Parts of a packet: each its length in four bytes and its bytes.
fn put(packet: &mut Vec<u8>, part: &str) {
    packet.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
    packet.extend(part.as_bytes());
}

fn parts(mut packet: &[u8]) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    while !packet.is_empty() {
        let (length, rest) = packet.split_first_chunk::<4>()?;
        let (part, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        parts.push(std::str::from_utf8(part).ok()?.to_owned());
        packet = rest;
    }
    Some(parts)
}

impl Deed {
    /// As it goes to the process apart.
    pub fn encode(&self) -> Vec<u8> {
        let mut packet = Vec::new();
        let (kind, environment, own): (_, _, Vec<String>) = match self {
            Deed::Program { words, environment } => ("program", environment, words.clone()),
            Deed::Native { uid, sender, arrived, environment } => {
                let mut own = vec![uid.clone(), arrived.to_string()];
                own.extend(sender.clone());
                ("native", environment, own)
            }
        };
        put(&mut packet, kind);
        put(&mut packet, &environment.len().to_string());
        for (name, value) in environment {
            put(&mut packet, name);
            put(&mut packet, value);
        }
        own.iter().for_each(|part| put(&mut packet, part));
        packet
    }

    /// Nothing: these bytes are none.
    pub fn decode(packet: &[u8]) -> Option<Deed> {
        let mut parts = parts(packet)?.into_iter();
        let kind = parts.next()?;
        let count: usize = parts.next()?.parse().ok()?;
        let mut environment = Vec::new();
        for _ in 0..count {
            environment.push((parts.next()?, parts.next()?));
        }
        match kind.as_str() {
            "program" => Some(Deed::Program { words: parts.collect(), environment }),
            "native" => {
                let (uid, arrived) = (parts.next()?, parts.next()?.parse().ok()?);
                Some(Deed::Native { uid, arrived, sender: parts.next(), environment })
            }
            _ => None,
        }
    }
}

/// The status codes of [`Outcome::Failed`].
const STATUSES: [&str; 9] = ["5.1.1", "5.1.2", "5.2.0", "5.3.0", "5.3.5", "5.5.0", "5.6.0", "5.7.0", "5.7.1"];

impl Done {
    pub fn encode(&self) -> Vec<u8> {
        let mut packet = Vec::new();
        let (kind, text) = match &self.outcome {
            Outcome::Delivered => ("", ""),
            Outcome::Later(text) => ("4", text.as_str()),
            Outcome::Failed(status, text) => (*status, text.as_str()),
        };
        put(&mut packet, kind);
        put(&mut packet, text);
        self.complaint.iter().for_each(|complaint| put(&mut packet, complaint));
        packet
    }

    pub fn decode(packet: &[u8]) -> Option<Done> {
        let mut parts = parts(packet)?.into_iter();
        let (kind, text) = (parts.next()?, parts.next()?);
        let outcome = match kind.as_str() {
            "" => Outcome::Delivered,
            "4" => Outcome::Later(text),
            status => {
                let known = STATUSES.iter().find(|known| **known == status);
                Outcome::Failed(known.copied().unwrap_or("5.3.0"), text)
            }
        };
        Some(Done { outcome, complaint: parts.next() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn deeds_and_what_came_of_them_arrive_as_they_were_sent(
            words in prop::collection::vec("\\PC{0,20}", 0..5),
            environment in prop::collection::vec(("[A-Z]{1,5}", "\\PC{0,9}"), 0..4),
            sender in prop::option::of("\\PC{0,20}"),
            arrived: i64,
            status in prop::sample::select(STATUSES.to_vec()),
            complaint in prop::option::of("\\PC{0,20}"),
        ) {
            let uid = words.first().cloned().unwrap_or_default();
            let program = Deed::Program { words, environment: environment.clone() };
            prop_assert_eq!(Deed::decode(&program.encode()), Some(program));
            let native = Deed::Native { uid: uid.clone(), sender, arrived, environment };
            prop_assert_eq!(Deed::decode(&native.encode()), Some(native));
            for outcome in [Outcome::Delivered, Outcome::Later(uid.clone()), Outcome::Failed(status, uid.clone())] {
                let done = Done { outcome, complaint: complaint.clone() };
                prop_assert_eq!(Done::decode(&done.encode()), Some(done));
            }
        }

        #[test]
        fn no_packet_is_too_strange(packet in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = (Deed::decode(&packet), Done::decode(&packet));
        }
    }
}

//! LMTP (RFC 2033): mail from a server that leaves the delivery into mailboxes to this one.
//!
//! 250 behind the content means, for each recipient, what LMTP promises: the message is in the mailbox, on stable storage.
//! So it goes there before the reply, without the queue. A recipient who is more than a mailbox (a group, a forwarding, a
//! program, an automatic answer) gets a place in the queue instead, and 250 means that it is durable there. What fails is said
//! to the client, whose message it stays; this host reports nothing of that.
//!
//! A crash before the reply leaves mailboxes that have the message, and a client that tries again: it comes twice, which RFC 2033
//! §5 leaves to happen. Two addresses of one mailbox in one transaction are one message.
//!
//! Who may connect is said by the socket's mode, or by `local.service.lmtp.networks`. The server in front has done what is to be
//! done about strangers: nothing is inspected, rewritten or asked for a log-in here.

use std::path::Path;

use connection::{Io, Next};
use directory::Found;
use mail_queue::{Envelope, Recipient};
use server_log::Category;
use smtp_wire::Reply;

use crate::listening::ROLE_LMTP;
use crate::receiving::Received;
use crate::replies;
use crate::session::{Answer, Session};
use crate::state::Client;

/// What became of one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the mailbox.
    Delivered,
    /// For good, with a status (RFC 3463).
    Failed { status: String, text: String },
    /// The client is to try again.
    Later { status: String, text: String },
    /// Nobody's mailbox alone: the queue's affair.
    Queue,
}

/// Puts a message that lies in this file into the mailboxes of its envelope's recipients; an outcome for each, in their order.
pub type Deliver = Box<dyn Fn(&Envelope, &Path) -> Vec<Outcome> + Send + Sync>;

/// A client of LMTP has connected.
pub fn greet(session: &mut Session, io: &mut Io) -> Next {
    let peer = io.peer.ip();
    let listed = session.settings.lmtp_networks.iter().any(|network| network.contains(peer));
    if io.role == ROLE_LMTP && !listed {
        let reply = replies::no_access(&session.settings.host_name);
        return session.answer(Answer::Last(reply), io);
    }
    let greeting = Reply::plain(220, session.settings.greeting("LMTP"));
    session.answer(Answer::Say(greeting), io)
}

impl Session {
    /// The content is whole: a reply for each recipient.
    pub(crate) fn hand_over(
        &mut self,
        client: &Client,
        mut received: Received,
        mut envelope: Envelope,
        found: Vec<(String, Found)>,
        io: &Io,
    ) -> Vec<Reply> {
        let recipients = std::mem::take(&mut envelope.recipients);
        let path = match received.message.settle() {
            Ok(path) => path,
            Err(why) => {
                self.desk.log.error(Category::General, format_args!("a message was not kept: {why}"));
                return vec![replies::queue_failed(&why); recipients.len()];
            }
        };
        let message = envelope.id.to_string();
        let directory = self.desk.log_ins.authenticator().directory();
        for (address, found) in &found {
            directory.keep(&message, address, found.clone());
        }
        envelope.recipients.clone_from(&recipients);
        let outcomes = (self.desk.deliver)(&envelope, &path);
        directory.forget(&message);
        if outcomes.contains(&Outcome::Delivered) {
            self.count_message();
        }
        self.tell(client, &envelope, &outcomes, received.content_bytes);
        // Those who have it already come along, so that a group finds them among the recipients and does not write to them
        // again; their mailboxes recognise the message.
        let stays = |at: usize| matches!(outcomes.get(at), Some(Outcome::Queue | Outcome::Delivered));
        envelope.recipients = match outcomes.contains(&Outcome::Queue) {
            true => recipients
                .iter()
                .enumerate()
                .filter(|(at, _)| stays(*at))
                .map(|(_, one)| one.clone())
                .collect(),
            false => Vec::new(),
        };
        let queued = match envelope.recipients.is_empty() {
            true => None, // the message's name in the queue goes; the mailboxes have theirs
            false => Some(self.commit(client, received, envelope, found, io)),
        };
        let at_once = |at: usize, one: &Recipient| match (outcomes.get(at), &queued) {
            (Some(Outcome::Queue), Some(reply)) => reply.clone(),
            (Some(outcome), _) => reply(outcome, &one.address),
            (None, _) => replies::queue_failed(&std::io::Error::other("no outcome").into()),
        };
        recipients.iter().enumerate().map(|(at, one)| at_once(at, one)).collect()
    }

    fn tell(&self, client: &Client, envelope: &Envelope, outcomes: &[Outcome], bytes: u64) {
        if !self.settings.log_messages {
            return;
        }
        let count = |wanted: fn(&Outcome) -> bool| outcomes.iter().filter(|one| wanted(one)).count();
        let delivered = count(|one| *one == Outcome::Delivered);
        let queued = count(|one| *one == Outcome::Queue);
        self.desk.log.notice(
            Category::Protocol,
            format_args!(
                "smtp-accept: {} from=<{}> size={bytes} recipients={} client={} lmtp delivered={delivered} queued={queued} refused={}",
                envelope.id,
                envelope.sender.as_deref().unwrap_or(""),
                outcomes.len(),
                client.name,
                outcomes.len() - delivered - queued
            ),
        );
    }
}

/// The reply for one recipient.
fn reply(outcome: &Outcome, address: &str) -> Reply {
    let (code, status, text) = match outcome {
        Outcome::Delivered | Outcome::Queue => (250, "2.1.5", "delivered"),
        Outcome::Failed { status, text } if matches!(status.as_str(), "5.2.2" | "5.2.3") => {
            (552, status.as_str(), text.as_str())
        }
        Outcome::Failed { status, text } => (550, status.as_str(), text.as_str()),
        Outcome::Later { status, text } if status == "4.2.2" => (452, status.as_str(), text.as_str()),
        Outcome::Later { status, text } => (451, status.as_str(), text.as_str()),
    };
    let mut parts = status.split('.').map(|part| part.parse::<u16>().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    let class = u8::try_from(next()).unwrap_or(5);
    Reply::new(code, (class, next(), next()), format!("<{address}> {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_has_its_reply() {
        let failed = |status: &str| Outcome::Failed { status: status.into(), text: "why".into() };
        let later = |status: &str| Outcome::Later { status: status.into(), text: "why".into() };
        for (outcome, said) in [
            (Outcome::Delivered, "250 2.1.5 <a@b> delivered\r\n"),
            (failed("5.1.1"), "550 5.1.1 <a@b> why\r\n"),
            (failed("5.2.2"), "552 5.2.2 <a@b> why\r\n"),
            (later("4.2.2"), "452 4.2.2 <a@b> why\r\n"),
            (later("4.3.0"), "451 4.3.0 <a@b> why\r\n"),
        ] {
            assert_eq!(reply(&outcome, "a@b").encode(), said.as_bytes());
        }
    }
}

//! The end of a content: envelope and message become a queue entry, and the client hears of it.

use std::collections::HashMap;

use connection::{Io, TlsState};
use directory::{Found, Kind};
use mail_queue::Envelope;
use server_log::Category;
use smtp_wire::{Decoder, Reply};

use crate::commands::ehlo::utc;
use crate::header::date;
use crate::inspection::{Case, Fate, Inspectors, Origin, Peer};
use crate::receiving::{Received, Receiving, Rewrite, Rules};
use crate::refusals;
use crate::replies;
use crate::rewrite::{self, Place, Style};
use crate::session::{Answer, Session};
use crate::state::{Client, Inspecting, State, Transaction};

impl Session {
    /// The protocol as Received names it (RFC 3848, RFC 6531 §4.3).
    fn protocol(&self, client: &Client, transaction: &Transaction, io: &Io) -> String {
        if !client.extended {
            return "SMTP".into();
        }
        let name = match (self.is_lmtp(io), transaction.smtputf8) {
            (true, true) => "UTF8LMTP",
            (true, false) => "LMTP",
            (false, true) => "UTF8SMTP",
            (false, false) => "ESMTP",
        };
        let tls = if io.tls.is_active() { "S" } else { "" };
        let user = if self.user.is_some() { "A" } else { "" };
        format!("{name}{tls}{user}")
    }

    /// Begins the message of a transaction.
    ///
    /// # Errors
    /// The reply that says why not.
    pub fn begin_content(
        &self,
        client: &Client,
        transaction: &Transaction,
        decoder: Decoder,
        io: &Io,
    ) -> Result<Receiving, Reply> {
        let ours = self.is_submission(io);
        let sender = transaction.sender.as_ref().map(ToString::to_string);
        let from = self.author().map(|user| user.mail.clone());
        let rules = Rules {
            size_max: self.settings.message_size_max,
            binary: transaction.binary,
            mends_line_ends: ours || self.author().is_some(),
            completes_header: ours.then(|| (self.settings.message_id_host.clone(), from)),
            rewrites_header: (ours || !self.is_stranger() && !self.is_lmtp(io))
                .then(|| self.rewriting(transaction))
                .flatten(),
        };
        let mut queue_id = String::new();
        let trace = |id: &str| {
            queue_id.push_str(id);
            (
                format!("Return-Path: <{}>\r\n", sender.as_deref().unwrap_or("")),
                self.received_line(client, transaction, id, io),
            )
        };
        let receiving = Receiving::begin(&self.desk.queue, rules, decoder, trace)
            .map_err(|why| replies::queue_failed(&why))?;
        self.filter_data(transaction, &queue_id, io)?;
        Ok(receiving)
    }

    /// What rewrites the header of one of ours, if anything is to be.
    fn rewriting(&self, transaction: &Transaction) -> Option<Rewrite> {
        let how = self.settings.rewriting;
        let by_log_in = self.author().is_some() && (how.from_by_log_in || how.sender_by_log_in);
        if how.style == Style::Never && !by_log_in {
            return None;
        }
        let (settings, desk, user) = (self.settings.clone(), self.desk.clone(), self.author().cloned());
        let name = |found: &Found| match found {
            Found::One(entry) if entry.kind == Kind::User => rewrite::common_name(entry),
            _ => None,
        };
        let known: HashMap<String, Option<String>> = transaction
            .found
            .iter()
            .map(|(address, found)| (base::idn::comparable(address), name(found)))
            .collect();
        Some(Box::new(move |header| {
            let default = settings.domains.default_domain();
            rewrite::rewrite(header, how, default, user.as_deref(), |address, place| {
                let (_, domain) = address.rsplit_once('@')?;
                if !settings.domains.contains(domain) {
                    return None;
                }
                if let Some(user) = user.as_deref().filter(|user| user.has_address(address)) {
                    return rewrite::common_name(user);
                }
                match known.get(&base::idn::comparable(address)) {
                    Some(name) => name.clone(),
                    // S32: the one look-up more. A directory that is down leaves the field as it is.
                    None if place == Place::From => desk
                        .log_ins
                        .authenticator()
                        .directory()
                        .by_address(address)
                        .ok()
                        .as_ref()
                        .and_then(name),
                    None => None,
                }
            })
        }))
    }

    /// The trace line (RFC 5321 §4.4). `for` only when there is one recipient, so that no Bcc is told (S86, S87), and only in
    /// ASCII: a header that needs no SMTPUTF8 is to stay one.
    fn received_line(&self, client: &Client, transaction: &Transaction, id: &str, io: &Io) -> String {
        let tls = match &io.tls {
            TlsState::Active { protocol, cipher, .. } => {
                format!("\r\n        (using {protocol} with cipher {cipher})")
            }
            _ => String::new(),
        };
        let recipient = match transaction.recipients.as_slice() {
            [one] => match base::idn::downgraded(&one.address) {
                Some(address) => format!("\r\n        for <{address}>"),
                None => String::new(),
            },
            _ => String::new(),
        };
        format!(
            "Received: from {} ([{}]){tls}\r\n        by {} (Mailboat {}) with {} id {id}{recipient};\r\n        {}\r\n",
            client.name,
            io.peer.ip().to_canonical(),
            self.settings.host_name,
            env!("CARGO_PKG_VERSION"),
            self.protocol(client, transaction, io),
            date(base::clock::unix_seconds())
        )
    }

    /// The content is whole: it is inspected, if somebody is to, and committed. The session is in the state in which it
    /// takes the next command, or waits for the inspection.
    pub fn conclude_content(
        &mut self,
        client: Client,
        transaction: Transaction,
        receiving: Receiving,
        is_chunked: bool,
        io: &mut Io,
    ) -> Answer {
        let received = match receiving.finish(is_chunked) {
            Ok(received) => received,
            Err(reply) => {
                self.state = State::Greeted { client };
                let from = refusals::path(transaction.sender.as_ref());
                self.note_refusal(&reply, from, refusals::all(&transaction.recipients), io);
                return match self.is_lmtp(io) {
                    true => Answer::Each(vec![reply; transaction.recipients.len()]),
                    false => Answer::Say(reply),
                };
            }
        };
        let inspectors = self.settings.inspectors.concerned(self.origin(io));
        let id = received.message.id().as_str();
        let inspectors = self.with_filters(inspectors, &transaction, id, io);
        let mut envelope = Envelope::new(received.message.id().clone());
        envelope.hops = received.hops;
        envelope.eight_bit = received.eight_bit;
        envelope.smtputf8 = transaction.smtputf8;
        envelope.require_tls = transaction.require_tls;
        envelope.protocol = self.protocol(&client, &transaction, io);
        envelope.host_from = format!("{} [{}]", client.name, io.peer.ip().to_canonical());
        envelope.auth_sender = self.user.as_ref().and_then(|user| user.uid.clone());
        envelope.envid = transaction.envid;
        envelope.ret = transaction.ret;
        if let Some(hold) = transaction.hold {
            envelope.hold_until(hold);
        }
        envelope.sender = transaction.sender.map(|sender| sender.to_string());
        envelope.recipients = transaction.recipients;
        if self.is_lmtp(io) {
            let replies = self.hand_over(&client, received, envelope, transaction.found, io);
            self.state = State::Greeted { client };
            return Answer::Each(replies);
        }
        if let Some(inspectors) = inspectors {
            let peer = self.peer(&client, io);
            let case = Box::new(Case { peer, received, envelope });
            return self.inspect(client, case, inspectors, transaction.found, io);
        }
        let reply = self.commit(&client, received, envelope, transaction.found, io);
        self.state = State::Greeted { client };
        Answer::Say(reply)
    }

    fn origin(&self, io: &Io) -> Origin {
        match self.author() {
            Some(_) => Origin::User,
            None if !self.is_stranger() => Origin::Network,
            None if self.is_submission(io) => Origin::Submission,
            None => Origin::Stranger,
        }
    }

    fn peer(&self, client: &Client, io: &Io) -> Peer {
        Peer {
            address: io.peer.ip(),
            helo: client.name.clone(),
            extended: client.extended,
            tls: io.tls.clone(),
            user: self.author().cloned(),
            origin: self.origin(io),
            session: io.number,
        }
    }

    /// The message goes to the inspectors; the session waits without a thread.
    fn inspect(
        &mut self,
        client: Client,
        case: Box<Case>,
        inspectors: Inspectors,
        found: Vec<(String, Found)>,
        io: &mut Io,
    ) -> Answer {
        io.deadline = None;
        match self.desk.inspection.push(case, inspectors, self.settings.inspection_limits, io.waker()) {
            Some(pending) => {
                let patience = pending.patience;
                let inspecting = Box::new(Inspecting { pending, found });
                self.state = State::Inspecting { client, inspecting };
                Answer::Wait(patience)
            }
            None => {
                self.state = State::Greeted { client };
                Answer::Say(replies::too_much_to_inspect())
            }
        }
    }

    /// The inspection may have ended; nothing when it has not.
    pub fn look_at_inspection(&mut self, io: &Io) -> Option<Answer> {
        let State::Inspecting { inspecting, .. } = &self.state else { return None };
        let (case, fate) = inspecting.pending.take()?;
        Some(self.inspected(*case, fate, io))
    }

    /// The inspection did not end in time. Its message goes; the client has it still.
    pub fn give_up_inspection(&mut self) -> Answer {
        self.desk.log.error(Category::General, format_args!("a message was not inspected in time"));
        self.state.reset();
        Answer::Say(replies::not_inspected())
    }

    fn inspected(&mut self, case: Case, fate: Fate, io: &Io) -> Answer {
        let State::Inspecting { client, inspecting } = std::mem::replace(&mut self.state, State::Closing)
        else {
            return Answer::Say(replies::bad_sequence("No content was expected"));
        };
        let Case { received, envelope, .. } = case;
        let reply = match fate {
            Fate::Commit => self.commit(&client, received, envelope, inspecting.found, io),
            Fate::Refuse(reply) => reply,
            Fate::Discard => {
                self.count_message();
                Reply::new(250, (2, 0, 0), format!("{} accepted", envelope.id))
            }
        };
        self.state = State::Greeted { client };
        Answer::Say(reply)
    }

    /// Commits what was received; the reply to the end of data. Only here 250 is said for a message that is kept.
    pub(crate) fn commit(
        &mut self,
        client: &Client,
        received: Received,
        mut envelope: Envelope,
        found: Vec<(String, Found)>,
        io: &Io,
    ) -> Reply {
        envelope.relay_offset = received.relay_offset;
        let directory = self.desk.log_ins.authenticator().directory();
        let message = envelope.id.to_string();
        for (address, found) in found {
            directory.keep(&message, &address, found);
        }
        let held = envelope.hold.as_ref().map(|hold| format!(", held until {}", utc(hold.until)));
        let held = held.unwrap_or_default();
        let (sender, count) = (envelope.sender.clone().unwrap_or_default(), envelope.recipients.len());
        match received.message.commit(envelope) {
            Ok(id) => {
                self.count_message();
                if self.settings.log_messages {
                    let user = self.user.as_ref().and_then(|user| user.uid.as_deref()).unwrap_or("-");
                    self.desk.log.notice(
                        Category::Protocol,
                        format_args!(
                            "smtp-accept: {id} from=<{sender}> size={} recipients={count} client={} [{}] user={user}",
                            received.content_bytes,
                            client.name,
                            io.peer.ip().to_canonical()
                        ),
                    );
                }
                let reply = Reply::new(250, (2, 0, 0), format!("{id} accepted{held}"));
                match self.verbose {
                    true => {
                        let bytes = received.content_bytes;
                        reply.line(format!("{bytes} bytes for {count} recipients are in the queue"))
                    }
                    false => reply,
                }
            }
            Err(why) => {
                directory.forget(&message);
                self.desk.log.error(Category::General, format_args!("a message was not queued: {why}"));
                replies::queue_failed(&why)
            }
        }
    }
}

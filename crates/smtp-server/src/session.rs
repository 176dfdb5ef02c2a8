//! The life of one SMTP connection: greeting, (line, command, reply)*, farewell.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::access::Verdict;
use base::network::Network;
use connection::{Event, Io, Next, Session as ConnectionSession, TimeoutKind};
use directory::Entry;
use server_log::Category;
use smtp_wire::{Address, Ending, Reply};

use crate::accept::Desk;
use crate::commands;
use crate::commands::held::UnderWay;
use crate::filtering::Filtering;
use crate::listening::{
    ROLE_LMTP, ROLE_LMTP_LOCAL, ROLE_SUBMISSION, ROLE_SUBMISSION_LOCAL, ROLE_SUBMISSIONS, service_of,
};
use crate::lmtp;
use crate::plugged::stack::{self, Plugged};
use crate::rates::{Origin, Passage, What};
use crate::refusals;
use crate::replies;
use crate::settings::Settings;
use crate::state::State;

/// How long a client that is not let in may take to say QUIT (X2).
const LEAVE_TIMEOUT: Duration = Duration::from_secs(10);
/// What it may say instead.
const LEAVE_COMMANDS_MAX: u32 = 10;
/// Bytes of a command line (RFC 5321 §4.5.3.1.4 asks for 512; extensions need more).
const COMMAND_BYTES_MAX: usize = 2048;
/// Bytes of a content that must come within each `timeoutdata`: who is slower holds a file of the queue for nothing.
const CONTENT_PACE_BYTES: usize = 1024;
/// Bytes of a line during AUTH (RFC 4954 §4).
pub const AUTH_BYTES_MAX: usize = sasl::LINE_BYTES_MAX;

/// One session.
pub struct Session {
    pub(crate) settings: Arc<Settings>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) state: State,
    /// Who logged in.
    pub(crate) user: Option<Arc<Entry>>,
    /// The client's network is one of ours: it may send anywhere.
    pub(crate) may_relay: bool,
    /// Messages accepted on this connection (S48).
    pub(crate) messages: u32,
    /// ONEX was said: the message after this many is the last.
    pub(crate) one_message: Option<u32>,
    /// VERB was said.
    pub(crate) verbose: bool,
    /// How the user logged in.
    pub(crate) mechanism: Option<&'static str>,
    /// The client may say XCLIENT; it stays so when it did.
    pub(crate) is_xclient_host: bool,
    /// The client's name, or that it has none, as XCLIENT told it.
    pub(crate) known_name: Option<Box<Option<String>>>,
    /// The message under way, as XHELD asks for it.
    pub(crate) under_way: Option<Box<UnderWay>>,
    /// The filters of this session, from the first MAIL on.
    pub(crate) filtering: Option<Box<Filtering>>,
    /// The stack of plug-ins of this session, from its first line on.
    pub(crate) plugged: Option<Box<Plugged>>,
    /// Log-ins that failed.
    pub(crate) failed_log_ins: u32,
    /// Refusals, of which the first few are logged one by one.
    pub(crate) refusals: u32,
    bad_commands: u32,
    /// Commands since the last message that bring none nearer.
    idle_talk: u32,
    /// Bytes of content since its time limit was renewed.
    paced: usize,
    /// Said when the pause is over; and whether the session ends then.
    held: Option<(Reply, bool)>,
}

/// What a command comes to.
pub enum Answer {
    Say(Reply),
    /// One reply for each recipient (RFC 2033 §4.2).
    Each(Vec<Reply>),
    /// And the session ends.
    Last(Reply),
    /// Said after a while, during which no thread is held.
    Later {
        reply: Reply,
        after: Duration,
        last: bool,
    },
    /// Said when its waker is used; for so long at most.
    Wait(Duration),
    /// Say this and read what follows as content.
    Content(Reply),
    /// Read so many bytes of a chunk; nothing is said yet.
    Chunk(u64),
    /// Say this and begin TLS.
    StartTls(Reply),
    /// The session begins anew, for another client.
    Greet,
}

fn contains(networks: &[Network], peer: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(peer))
}

impl Session {
    pub fn new(settings: Arc<Settings>, desk: Arc<Desk>, peer: IpAddr) -> Session {
        let may_relay = contains(&settings.relay_networks, peer);
        let is_xclient_host = contains(&settings.xclient_hosts, peer);
        Session {
            may_relay,
            settings,
            desk,
            state: State::Connected,
            user: None,
            messages: 0,
            one_message: None,
            verbose: false,
            mechanism: None,
            under_way: None,
            filtering: None,
            plugged: None,
            is_xclient_host,
            known_name: None,
            failed_log_ins: 0,
            refusals: 0,
            bad_commands: 0,
            idle_talk: 0,
            paced: 0,
            held: None,
        }
    }

    /// The client turned out to be another one.
    pub(crate) fn is_now_from(&mut self, peer: IpAddr) {
        self.may_relay = contains(&self.settings.relay_networks, peer);
        self.filtering = None;
    }

    /// Whether this is a submission listener (RFC 6409).
    pub(crate) fn is_submission(&self, io: &Io) -> bool {
        matches!(io.role, ROLE_SUBMISSION | ROLE_SUBMISSIONS | ROLE_SUBMISSION_LOCAL)
    }

    /// Whether the client is a daemon of this host that submits for its users.
    pub(crate) fn is_submission_local(&self, io: &Io) -> bool {
        io.role == ROLE_SUBMISSION_LOCAL
    }

    /// Whether this is a listener for LMTP (RFC 2033).
    pub(crate) fn is_lmtp(&self, io: &Io) -> bool {
        matches!(io.role, ROLE_LMTP | ROLE_LMTP_LOCAL)
    }

    /// Whether mail may be given here that is to be sent later (RFC 4865 §3).
    pub(crate) fn offers_future_release(&self, io: &Io) -> bool {
        self.is_submission(io) && !self.settings.future_release_max.is_zero()
    }

    /// Counts a command that brings no message nearer; whether it is one too many.
    pub(crate) fn talks_idly(&mut self) -> bool {
        self.idle_talk = self.idle_talk.saturating_add(1);
        self.idle_talk > self.settings.idle_commands_max
    }

    /// Messages that this connection may bring.
    pub(crate) fn messages_max(&self) -> u32 {
        self.one_message.map_or(self.settings.messages_max, |last| last.min(self.settings.messages_max))
    }

    /// Whether the client is nobody we know: it did not log in and does not come from one of our networks.
    pub(crate) fn is_stranger(&self) -> bool {
        self.user.is_none() && !self.may_relay
    }

    /// RFC 6409 §4.2: whoever submits names domains in full. One label is a domain only when it is ours.
    pub(crate) fn is_qualified(&self, address: &Address, io: &Io) -> bool {
        let domain = &address.domain;
        !self.is_submission(io)
            || domain.contains('.')
            || domain.starts_with('[')
            || !domain.is_ascii()
            || self.settings.domains.contains(domain)
    }

    /// Who writes what comes: who logged in, unless that is a mail server, which passes on what others wrote
    /// (`negativehostattr`).
    pub(crate) fn author(&self) -> Option<&Arc<Entry>> {
        let marks = &self.settings.client_attributes;
        let is_client =
            |user: &Entry| marks.is_empty() || marks.iter().any(|mark| user.attributes.contains_key(mark));
        self.user.as_ref().filter(|user| is_client(user))
    }

    /// The uid of who logged in.
    pub(crate) fn uid(&self) -> Option<&str> {
        self.user.as_ref().and_then(|user| user.uid.as_deref())
    }

    /// Counts what comes; why it may not pass now.
    pub(crate) fn keeps_rate(&self, what: What, io: &Io) -> Option<Reply> {
        let limits = &self.settings.rates;
        let uid = self.uid();
        let (origin, limits) = match uid {
            Some(uid) => (Origin::User(uid.to_lowercase()), limits.user),
            None if self.may_relay || self.is_lmtp(io) => return None,
            None if limits.exempt.iter().any(|network| network.contains(io.peer.ip())) => return None,
            None => (Origin::network(io.peer.ip()), limits.network),
        };
        let Passage::Refused { tell } = self.desk.rates.pass(origin, what, limits, Instant::now()) else {
            return None;
        };
        if tell {
            let (peer, user) = (io.peer.ip().to_canonical(), uid.unwrap_or("-"));
            self.desk.log.warning(
                Category::Protocol,
                format_args!("smtp-accept: too much mail in a minute: [{peer}] user={user}"),
            );
        }
        Some(replies::too_fast())
    }

    /// A message was accepted.
    pub(crate) fn count_message(&mut self) {
        self.messages = self.messages.saturating_add(1);
        self.idle_talk = 0;
    }

    fn say(&mut self, reply: &Reply, io: &mut Io) {
        io.output.push(&reply.encode());
    }

    /// Says an answer, counts it if it is a complaint, and tells what comes next.
    pub(crate) fn answer(&mut self, answer: Answer, io: &mut Io) -> Next {
        if self.plugged.as_ref().is_some_and(|plugged| plugged.below) {
            return stack::hold(self, answer, io);
        }
        match answer {
            Answer::Say(reply) if reply.code == 421 => self.answer(Answer::Last(reply), io),
            Answer::Say(reply) => {
                let complains = matches!(reply.code, 500..=504);
                self.say(&reply, io);
                if complains {
                    return self.count_bad_command(io);
                }
                self.next(io)
            }
            Answer::Each(replies) => {
                replies.iter().for_each(|reply| self.say(reply, io));
                self.next(io)
            }
            Answer::Last(reply) => {
                self.say(&reply, io);
                self.close(io)
            }
            Answer::Later { reply, after, last } => {
                self.hold_back(reply, last);
                Next::Pause(after)
            }
            Answer::Wait(most) => Next::Pause(most),
            Answer::Content(reply) => {
                self.say(&reply, io);
                self.renew_content_time(io);
                Next::Stream
            }
            Answer::Chunk(size) => {
                self.renew_content_time(io);
                Next::Content(size)
            }
            Answer::Greet => self.greet(io),
            Answer::StartTls(reply) => {
                self.say(&reply, io);
                Next::StartTls
            }
        }
    }

    /// Said when the pause is over; and whether the session ends then.
    pub(crate) fn hold_back(&mut self, reply: Reply, is_last: bool) {
        self.held = Some((reply, is_last));
    }

    fn next(&mut self, io: &mut Io) -> Next {
        if !matches!(self.state, State::InTransaction { .. }) {
            self.under_way = None; // it is in the queue, or will never be
        }
        let in_auth = matches!(self.state, State::Authenticating { .. });
        io.line_limit = if in_auth { AUTH_BYTES_MAX } else { COMMAND_BYTES_MAX };
        io.mask_input = in_auth;
        io.idle_timeout = self.settings.command_timeout;
        io.deadline = None;
        Next::Line
    }

    fn renew_content_time(&mut self, io: &mut Io) {
        self.paced = 0;
        io.idle_timeout = self.settings.data_timeout;
        io.deadline = Instant::now().checked_add(self.settings.data_timeout);
    }

    /// Content has come; a drop every now and then is not enough.
    fn keep_pace(&mut self, bytes: usize, io: &mut Io) {
        self.paced = self.paced.saturating_add(bytes);
        if self.paced >= CONTENT_PACE_BYTES {
            self.renew_content_time(io);
        }
    }

    fn close(&mut self, io: &Io) -> Next {
        self.tell_untold_refusals(io);
        self.state = State::Closing; // a message under way is dropped here, its file with it
        self.under_way = None;
        Next::Close
    }

    fn count_bad_command(&mut self, io: &mut Io) -> Next {
        self.bad_commands = self.bad_commands.saturating_add(1);
        if self.bad_commands >= self.settings.bad_commands_max {
            let reply = replies::too_many_errors(&self.settings.host_name);
            self.say(&reply, io);
            return self.close(io);
        }
        self.next(io)
    }

    pub(crate) fn greet(&mut self, io: &mut Io) -> Next {
        if self.is_lmtp(io) {
            return lmtp::greet(self, io);
        }
        if self.is_submission_local(io) {
            // Who may connect is said by the socket's mode; from where its users come is the daemon's affair.
            self.is_xclient_host = true;
            let greeting = Reply::plain(220, self.settings.greeting("ESMTP"));
            return self.answer(Answer::Say(greeting), io);
        }
        let service = service_of(io.role);
        let known = self.known_name.as_deref().map(Option::as_deref);
        match self.desk.clients.admits_known(&self.settings.clients, service, io.peer.ip(), known) {
            Verdict::Allowed => {
                let greeting = Reply::plain(220, self.settings.greeting("ESMTP"));
                self.answer(Answer::Say(greeting), io)
            }
            Verdict::Refused => {
                // RFC 5321 §3.1: after 554 the client is waited for, and only QUIT is answered.
                self.say(&replies::no_access(&self.settings.host_name), io);
                self.state = State::TurnedAway;
                io.line_limit = COMMAND_BYTES_MAX;
                io.deadline = Instant::now().checked_add(LEAVE_TIMEOUT);
                Next::Line
            }
            Verdict::RefusedForNow => {
                let reply = replies::no_access_now(&self.settings.host_name);
                self.answer(Answer::Last(reply), io)
            }
        }
    }

    /// A line of a client that is not let in.
    fn turn_away(&mut self, line: &[u8], io: &mut Io) -> Next {
        if line.trim_ascii().eq_ignore_ascii_case(b"QUIT") {
            let reply = replies::farewell(&self.settings.host_name);
            return self.answer(Answer::Last(reply), io);
        }
        self.say(&replies::bad_sequence("No access from your address, say QUIT"), io);
        self.bad_commands = self.bad_commands.saturating_add(1);
        if self.bad_commands >= LEAVE_COMMANDS_MAX { self.close(io) } else { Next::Line }
    }

    fn line(&mut self, line: &[u8], bare_lf: bool, io: &mut Io) -> Next {
        if matches!(self.state, State::TurnedAway) {
            return self.turn_away(line, io);
        }
        let in_auth = matches!(self.state, State::Authenticating { .. });
        if bare_lf {
            self.give_up_log_in();
            return self.answer(Answer::Say(replies::bare_line_feed()), io);
        }
        if !in_auth && stack::concerns(self, line, io) {
            return stack::begin(self, line, io);
        }
        let answer = if in_auth {
            commands::auth::respond(self, line, io)
        } else {
            commands::run_line(self, line, io)
        };
        self.answer(answer, io)
    }

    fn line_too_long(&mut self, io: &mut Io) -> Next {
        if matches!(self.state, State::TurnedAway) {
            return self.turn_away(b"", io);
        }
        let reply =
            if self.give_up_log_in() { replies::auth_line_too_long() } else { replies::line_too_long() };
        self.answer(Answer::Say(reply), io)
    }

    /// A refused line ends an exchange of AUTH (RFC 4954 §4): what comes next is a command again.
    fn give_up_log_in(&mut self) -> bool {
        let in_auth = matches!(self.state, State::Authenticating { .. });
        if in_auth {
            self.state.reset();
        }
        in_auth
    }

    /// Content behind DATA.
    fn data(&mut self, bytes: &[u8], io: &mut Io) -> Next {
        self.keep_pace(bytes.len(), io);
        let State::InData { receiving, transaction, .. } = &mut self.state else {
            return self.close(io);
        };
        match receiving.take(bytes) {
            Ending::Open if receiving.is_hopeless() => {
                let (sender, to) = (transaction.sender.clone(), refusals::all(&transaction.recipients));
                let reply = replies::too_big();
                self.note_refusal(&reply, refusals::path(sender.as_ref()), to, io);
                self.answer(Answer::Last(reply), io)
            }
            Ending::Open => Next::Stream,
            Ending::Closed(used) => {
                io.consumed(used);
                let answer = commands::data::end(self, io);
                self.answer(answer, io)
            }
        }
    }

    fn timeout(&mut self, kind: TimeoutKind, io: &mut Io) -> Next {
        match kind {
            TimeoutKind::Pause if matches!(self.state, State::Checking { .. }) => {
                let answer = commands::auth::give_up(self, io);
                self.answer(answer, io)
            }
            TimeoutKind::Pause if matches!(self.state, State::Inspecting { .. }) => {
                let answer = self.look_at_inspection(io).unwrap_or_else(|| self.give_up_inspection());
                self.answer(answer, io)
            }
            TimeoutKind::Pause if self.plugged.as_ref().is_some_and(|plugged| plugged.waits()) => {
                stack::look(self, io).unwrap_or_else(|| stack::give_up(self, io))
            }
            TimeoutKind::Pause => match self.held.take() {
                Some((reply, true)) => self.answer(Answer::Last(reply), io),
                Some((reply, false)) => self.answer(Answer::Say(reply), io),
                None => self.next(io),
            },
            TimeoutKind::Idle | TimeoutKind::Deadline => {
                let reply = replies::idle(&self.settings.host_name);
                self.answer(Answer::Last(reply), io)
            }
        }
    }

    /// The server stops: a message under way is finished, everybody else is sent away.
    fn drain(&mut self, io: &mut Io) -> Next {
        if matches!(self.state, State::InData { .. } | State::InChunk { .. } | State::Inspecting { .. }) {
            return Next::Same;
        }
        let reply = replies::shutting_down(&self.settings.host_name);
        self.answer(Answer::Last(reply), io)
    }
}

impl ConnectionSession for Session {
    fn on_event(&mut self, event: Event<'_>, io: &mut Io) -> Next {
        match event {
            Event::Opened => self.greet(io),
            Event::Line { line, bare_lf } => self.line(line, bare_lf, io),
            Event::LineTooLong { .. } => self.line_too_long(io),
            Event::Stream(bytes) => self.data(bytes, io),
            Event::Content { bytes, last } => {
                self.keep_pace(bytes.len(), io);
                match commands::bdat::piece(self, bytes, last, io) {
                    Some(answer) => self.answer(answer, io),
                    None => Next::Same,
                }
            }
            Event::TlsStarted => {
                // RFC 3207 §4.2: what was known before is to be forgotten.
                self.state = State::Connected;
                self.next(io)
            }
            Event::Timeout(kind) => self.timeout(kind, io),
            Event::Draining => self.drain(io),
            Event::Woken => match commands::auth::look(self, io).or_else(|| self.look_at_inspection(io)) {
                Some(answer) => self.answer(answer, io),
                None => stack::look(self, io).unwrap_or(Next::Same),
            },
            Event::Drained | Event::Garbled => Next::Same, // never asked for
            Event::Closed(_) => self.close(io),
        }
    }
}

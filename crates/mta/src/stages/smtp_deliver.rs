//! smtp-deliver: takes mail to other hosts.
//!
//! A thread takes a job of the site whose turn it is, connects, and sends what else waits for the same site over the same
//! connection. What happened to each recipient is written down at once, beside whoever works on the message; who must wait is deferred when all parts of the message
//! have come to an end.

use base::content::Content;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use counters::Counter;
use mail_queue::{Body, QueueId, Step, Success};
use server_log::Category;
use smtp_client::{OutRecipient, Outcome, Outgoing, Ret};

use crate::flight::Flight;
use crate::flow::Flow;
use crate::mta::Desk;
use crate::onward;
use crate::outbound::opening::{Connection, Refusal, open};
use crate::outbound::security::Wish;
use crate::outbound::tls_required;
use crate::signing;
use crate::timetable::pause_about;
use crate::work::{Deferral, Group, Work};

/// A larger message is not encoded for a host that takes 7 bits only: it is in memory meanwhile.
const ENCODED_BYTES_MAX: u64 = 32 << 20;
/// Messages over one connection, and how long it is used.
const MESSAGES_MAX: usize = 100;
const CONNECTION_MAX: Duration = Duration::from_secs(300);
/// How long a thread waits for something to do that came because all others were busy.
pub const IDLE: Duration = Duration::from_secs(10);
/// How long a connection waits for the next message.
const PATIENCE: Duration = Duration::from_millis(500);

struct To {
    address: String,
    notify: Option<String>,
    orcpt: Option<String>,
    wants_success: bool,
}

/// A part of a message: recipients that go to one site.
pub struct Job {
    pub flight: Arc<Flight>,
    pub group: Group,
    id: QueueId,
    sender: Option<String>,
    envid: Option<String>,
    ret: Option<Ret>,
    body: Body,
    offset: u64,
    eight_bit: bool,
    smtputf8: bool,
    require_tls: bool,
    to: Vec<To>,
    attempts: u32,
}

impl Job {
    /// What is sent is copied, so that the other parts of the message do not wait.
    pub fn new(desk: &Desk, flight: Arc<Flight>, work: &Work, group: Group) -> Job {
        let envelope = &work.entry.envelope;
        let sender = match group.onward {
            true => desk.onward.sender(&desk.settings.domains, envelope.sender.as_deref()),
            false => envelope.sender.clone(),
        };
        let of = |place: &usize| envelope.recipients.get(*place).map(|recipient| (*place, recipient));
        let to = group.places.iter().filter_map(of).map(|(place, recipient)| To {
            address: recipient.address.clone(),
            // RFC 3461 §6.1: what has the null sender is reported to nobody.
            notify: recipient.notify.clone().or_else(|| envelope.sender.is_none().then(|| "never".into())),
            orcpt: envelope.orcpt(place),
            wants_success: envelope.wants_success(place),
        });
        Job {
            to: to.collect(),
            id: envelope.id.clone(),
            sender,
            envid: envelope.envid.clone(),
            ret: envelope.ret,
            body: work.entry.body(),
            offset: envelope.relay_offset,
            eight_bit: envelope.eight_bit,
            smtputf8: envelope.smtputf8,
            require_tls: envelope.require_tls,
            attempts: envelope.attempts,
            flight,
            group,
        }
    }
}

/// What a job leaves when its attempt has ended: what became of those who have it or never will is recorded by then.
#[derive(Default)]
struct Sent {
    /// No host of the domain took the connection.
    unreachable: bool,
    /// A host took the message for somebody.
    taken: bool,
    /// No host took the connection, and nothing was said to any: what that is for everybody, not written down yet.
    turned_away: Option<Outcome>,
    /// Places of those who wait.
    waiting: Vec<usize>,
    /// Why, the last of them.
    why: String,
}

/// The outcomes of one transaction, by index in the job.
struct Outcomes<'a> {
    list: Vec<(usize, Outcome)>,
    relay: &'a str,
    /// The host sends reports itself (RFC 3461 §5.2.2).
    dsn: bool,
}

/// The life of one thread.
///
/// `idle`: how long it waits for something to do before it ends; without, for ever.
pub fn run(flow: &Arc<Flow>, idle: Option<Duration>) {
    while let Some((site, job)) = flow.sites.take(idle) {
        flow.send_with_more();
        let mut connection = None;
        let mut next = Some(job);
        while let Some(job) = next.take() {
            let sent = catch_unwind(AssertUnwindSafe(|| send(flow, &mut connection, &job)));
            let Ok(mut sent) = sent else {
                flow.desk.log.critical(
                    Category::General,
                    format_args!("smtp-deliver: panic; {} stays in the queue", job.id),
                );
                connection = None;
                job.flight.note(|work| work.delay("4.3.0 an internal error, see the log"));
                flow.part_done(&job.flight);
                continue;
            };
            let mut job = job;
            if let Some(outcome) = sent.turned_away.take() {
                match flow.sites.crowded(&site, job) {
                    Ok(()) => continue, // there is no connection: the site is left to the others
                    Err(back) => job = back,
                }
                sent.note(flow, &job, everybody(&job, &outcome));
            }
            if sent.unreachable && flow.desk.settings.remote.check_deferred {
                for other in flow.sites.unreachable(&site) {
                    let found = wait_too(flow, &other, &sent);
                    end(flow, &other, found);
                }
            }
            if sent.taken {
                flow.sites.succeeded(&site);
            }
            end(flow, &job, sent);
            if connection.is_some() {
                next = flow.sites.another(&site, PATIENCE);
            }
        }
        close(&mut connection);
        flow.sites.release(&site);
    }
}

fn close(connection: &mut Option<Connection>) {
    if let Some(Connection { session, .. }) = connection.take() {
        session.quit();
    }
}

/// A job of a site that was found to be unreachable for another.
fn wait_too(flow: &Flow, job: &Job, found: &Sent) -> Sent {
    let text = found.why.split_once(' ').map_or("", |(_, text)| text);
    let outcome = Outcome::Later { status: "4.4.1".into(), text: text.to_owned() };
    let mut sent = Sent { unreachable: true, ..Sent::default() };
    sent.note(flow, job, everybody(job, &outcome));
    sent
}

fn everybody(job: &Job, outcome: &Outcome) -> Outcomes<'static> {
    let list = (0..job.to.len()).map(|index| (index, outcome.clone())).collect();
    Outcomes { list, relay: "none", dsn: true }
}

/// The message and its size.
fn open_message(job: &Job) -> std::io::Result<(Content, u64)> {
    let content = job.body.open()?;
    let size = content.size()?;
    Ok((content, size))
}

/// One attempt for every recipient of the job. What became of those of one transaction is written down before the next
/// begins: the time between the other host's answer and the note of it, after which a crash makes it be sent again, is
/// as short as it can be.
fn send(flow: &Flow, connection: &mut Option<Connection>, job: &Job) -> Sent {
    let mut sent = Sent::default();
    let later = |status: &str, text: String| Outcome::Later { status: status.into(), text };
    let (content, size) = match open_message(job) {
        Ok(opened) => opened,
        Err(why) => {
            let outcome = later("4.3.0", format!("the message cannot be read: {why}"));
            sent.note(flow, job, everybody(job, &outcome));
            return sent;
        }
    };
    let mut front = Front::default();
    let indexes: Vec<usize> = (0..job.to.len()).collect();
    for part in indexes.chunks(flow.desk.settings.remote.recipients_max.max(1)) {
        let all = |outcome: &Outcome| part.iter().map(|index| (*index, outcome.clone())).collect();
        if sent.unreachable {
            let list = all(&later("4.4.2", "the host was lost".to_owned()));
            sent.note(flow, job, Outcomes { list, relay: "none", dsn: true });
            continue;
        }
        match connected(&flow.desk, connection, job, &content) {
            Ok(open) => {
                let encoded = encoded_for(&flow.desk, open, job, &content, size);
                let front = front.of(&flow.desk, job, &content, encoded.as_ref().map(|(made, _)| made));
                let mut transaction = match &encoded {
                    Some((made, size)) => {
                        let part = outgoing(job, part, front, made, *size);
                        open.session.send(&Outgoing { offset: 0, eight_bit: false, ..part.message() })
                    }
                    None => open.session.send(&outgoing(job, part, front, &content, size).message()),
                };
                base::crash::step("send: answered");
                open.messages += 1;
                open.excuse_missing_log_in(&flow.desk, &mut transaction);
                sent.taken |= transaction.recipients.iter().any(|one| matches!(one, Outcome::Delivered(_)));
                let list = part.iter().copied().zip(transaction.recipients).collect();
                let dsn = open.session.offers().dsn;
                sent.note(flow, job, Outcomes { list, relay: &open.relay, dsn });
                if !transaction.reusable {
                    *connection = None;
                }
            }
            Err(Refusal { outcome, unreachable, .. }) => {
                sent.unreachable = unreachable;
                if unreachable && part.len() == job.to.len() {
                    sent.turned_away = Some(outcome);
                    break;
                }
                sent.note(flow, job, Outcomes { list: all(&outcome), relay: "none", dsn: true });
            }
        }
    }
    // Other messages ask for what the destination publishes.
    if connection.as_ref().is_some_and(|open| open.relaxed) {
        close(connection);
    }
    sent
}

/// The message for a host that takes 7 bits only (RFC 6152 §3), with its size; nothing when it can go as it is, or cannot be put
/// so: then it comes back with 5.6.3.
fn encoded_for(
    desk: &Desk,
    open: &Connection,
    job: &Job,
    content: &Content,
    size: u64,
) -> Option<(Content, u64)> {
    if !job.eight_bit || open.session.offers().eight_bit {
        return None;
    }
    let length = size.checked_sub(job.offset).filter(|length| *length <= ENCODED_BYTES_MAX)?;
    let mut message = vec![0; usize::try_from(length).ok()?];
    content.read_exact_at(&mut message, job.offset).ok()?;
    let encoded = mail_format::seven_bit(&message)?;
    drop(message);
    let mut made = tempfile::tempfile_in(desk.queue.folder()).ok()?;
    made.write_all(&encoded).ok()?;
    Some((Content::File(made), encoded.len() as u64))
}

/// What is said of a job in one transaction.
struct Part<'a> {
    job: &'a Job,
    recipients: Vec<OutRecipient<'a>>,
    front: &'a [u8],
    content: &'a Content,
    size: u64,
}

/// The fields that go before the content: they are made once for the content as it is, and once as it is encoded.
#[derive(Default)]
struct Front([Option<Vec<u8>>; 2]);

impl Front {
    fn of(&mut self, desk: &Desk, job: &Job, content: &Content, encoded: Option<&Content>) -> &[u8] {
        let content = (content, job.offset);
        self.0[usize::from(encoded.is_some())].get_or_insert_with(|| match (job.group.onward, encoded) {
            (true, _) => onward::seal(desk, &job.id, content, encoded),
            (false, None) => Vec::new(),
            (false, Some(encoded)) => signing::encoded(desk, &job.id, content, encoded),
        })
    }
}

fn outgoing<'a>(job: &'a Job, part: &[usize], front: &'a [u8], content: &'a Content, size: u64) -> Part<'a> {
    let recipients = part.iter().filter_map(|index| job.to.get(*index)).map(|to| OutRecipient {
        address: &to.address,
        notify: to.notify.as_deref(),
        orcpt: to.orcpt.as_deref(),
    });
    Part { job, recipients: recipients.collect(), front, content, size }
}

impl Part<'_> {
    fn message(&self) -> Outgoing<'_> {
        let job = self.job;
        Outgoing {
            sender: job.sender.as_deref(),
            recipients: &self.recipients,
            envid: job.envid.as_deref(),
            ret: job.ret,
            front: self.front,
            content: self.content,
            offset: job.offset,
            size: self.size,
            eight_bit: job.eight_bit,
            utf8: job.smtputf8,
            require_tls: job.require_tls,
        }
    }
}

/// The connection that is there, when it is good for this job, or a new one.
fn connected<'a>(
    desk: &Desk,
    connection: &'a mut Option<Connection>,
    job: &Job,
    content: &Content,
) -> std::result::Result<&'a mut Connection, Refusal> {
    if connection.as_mut().is_some_and(|open| is_stale(open) || job.require_tls && !open.is_proved()) {
        close(connection);
    }
    if connection.is_none() {
        let wish = Wish { required: job.require_tls, relaxed: false };
        let opened = match open(desk, &job.group, wish) {
            Err(refusal)
                if refusal.untrusted && !job.require_tls && tls_required::says_no(content, job.offset) =>
            {
                open(desk, &job.group, Wish { relaxed: true, ..wish })
            }
            other => other,
        };
        *connection = Some(opened?);
    }
    connection.as_mut().ok_or_else(|| Refusal {
        outcome: Outcome::Later { status: "4.3.0".into(), text: "no connection".into() },
        unreachable: false,
        untrusted: false,
    })
}

fn is_stale(open: &mut Connection) -> bool {
    open.messages >= MESSAGES_MAX || open.since.elapsed() >= CONNECTION_MAX || !open.session.is_alive()
}

impl Sent {
    /// Writes down what became of these, for good, and notes who waits.
    fn note(&mut self, flow: &Flow, job: &Job, outcomes: Outcomes<'_>) {
        let mut steps = Vec::new();
        for (index, outcome) in outcomes.list {
            let (Some(place), Some(to)) = (job.group.places.get(index), job.to.get(index)) else { continue };
            match outcome {
                Outcome::Delivered(reply) => {
                    counters::add(Counter::Relayed, 1);
                    tell(flow, job, outcomes.relay, to, "sent", &reply.to_string());
                    // Its reports are the other host's, or RFC 3461 §5.2.2.
                    let step = match outcomes.dsn || !to.wants_success {
                        true => Step::Done,
                        false => Step::Succeeded {
                            success: Success::Relayed,
                            text: format!("given to {}, which sends no reports", outcomes.relay),
                        },
                    };
                    steps.push((*place, step));
                }
                Outcome::Failed { status, text } => {
                    tell(flow, job, outcomes.relay, to, "failed", &text);
                    steps.push((*place, Step::Failed { status, text }));
                }
                Outcome::Later { status, text } => {
                    tell(flow, job, outcomes.relay, to, "deferred", &text);
                    self.waiting.push(*place);
                    self.why = format!("{status} {text}");
                }
            }
        }
        if !steps.is_empty() {
            job.flight.record(steps);
            base::crash::step("send: written down");
        }
    }
}

fn tell(flow: &Flow, job: &Job, relay: &str, to: &To, status: &str, text: &str) {
    if flow.desk.settings.smtp_deliver.log {
        let (id, from) = (&job.id, job.sender.as_deref().unwrap_or(""));
        flow.desk.log.notice(
            Category::General,
            format_args!("SMTP-Deliver:{id}:{relay}:{from}:{}: {status} ({text})", to.address),
        );
    }
}

/// The job's attempt has ended: who waits does so until the next.
fn end(flow: &Flow, job: &Job, sent: Sent) {
    let Sent { waiting, why, unreachable, .. } = sent;
    if !waiting.is_empty() {
        let pause = pause_about(job.attempts, flow.desk.settings.deferred_period);
        let deferral = Deferral {
            domain: job.group.domain.clone(),
            places: waiting,
            next: base::clock::unix_seconds().saturating_add(pause),
            text: why,
            unreachable,
        };
        job.flight.note(move |work| work.deferrals.push(deferral));
    }
    flow.part_done(&job.flight);
}

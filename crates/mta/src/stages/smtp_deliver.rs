//! smtp-deliver: takes mail to other hosts.
//!
//! A thread takes a job of the site whose turn it is, connects, and sends what else waits for the same site over the same
//! connection. What happened to each recipient is recorded at once; who must wait is deferred when all parts of the message
//! have come to an end.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mail_queue::{QueueId, Step, Success};
use server_log::Category;
use smtp_client::{OutRecipient, Outcome, Outgoing, Ret};

use crate::flight::Flight;
use crate::flow::Flow;
use crate::mta::Desk;
use crate::outbound::opening::{Connection, Refusal, open};
use crate::outbound::security::Wish;
use crate::timetable::pause_about;
use crate::work::{Deferral, Group, Work};

/// Messages over one connection, and how long it is used.
const MESSAGES_MAX: usize = 100;
const CONNECTION_MAX: Duration = Duration::from_secs(300);
/// How long a connection waits for the next message.
const PATIENCE: Duration = Duration::from_millis(500);

struct To {
    address: String,
    notify: Option<String>,
    orcpt: Option<String>,
}

/// A part of a message: recipients that go to one site.
pub struct Job {
    pub flight: Arc<Flight>,
    pub group: Group,
    id: QueueId,
    sender: Option<String>,
    envid: Option<String>,
    ret: Option<Ret>,
    path: PathBuf,
    offset: u64,
    eight_bit: bool,
    smtputf8: bool,
    to: Vec<To>,
    attempts: u32,
}

impl Job {
    /// What is sent is copied, so that the other parts of the message do not wait.
    pub fn new(flight: Arc<Flight>, work: &Work, group: Group) -> Job {
        let envelope = &work.entry.envelope;
        let of = |place: &usize| envelope.recipients.get(*place).map(|recipient| (*place, recipient));
        let to = group.places.iter().filter_map(of).map(|(place, recipient)| To {
            address: recipient.address.clone(),
            // RFC 3461 §6.1: what has the null sender is reported to nobody.
            notify: recipient.notify.clone().or_else(|| envelope.sender.is_none().then(|| "never".into())),
            orcpt: envelope.orcpt(place),
        });
        Job {
            to: to.collect(),
            id: envelope.id.clone(),
            sender: envelope.sender.clone(),
            envid: envelope.envid.clone(),
            ret: envelope.ret,
            path: work.entry.message_path(),
            offset: envelope.relay_offset,
            eight_bit: envelope.eight_bit,
            smtputf8: envelope.smtputf8,
            attempts: envelope.attempts,
            flight,
            group,
        }
    }
}

/// What became of each recipient of a job, by its index in the group, and of the site.
struct Result {
    outcomes: Vec<(usize, Outcome)>,
    unreachable: bool,
    relay: String,
    /// Indexes of those that went to a host which does not offer DSN.
    without_dsn: Vec<usize>,
}

/// The life of one thread.
pub fn run(flow: &Flow) {
    while let Some((site, job)) = flow.sites.take() {
        let mut connection = None;
        let mut next = Some(job);
        while let Some(job) = next.take() {
            let sent = catch_unwind(AssertUnwindSafe(|| send(&flow.desk, &mut connection, &job)));
            let Ok(result) = sent else {
                flow.desk.log.critical(
                    Category::General,
                    format_args!("smtp-deliver: panic; {} stays in the queue", job.id),
                );
                connection = None;
                job.flight.note(|work| work.delay("4.3.0 an internal error, see the log"));
                flow.part_done(&job.flight);
                continue;
            };
            if result.unreachable {
                if flow.desk.settings.remote.check_deferred {
                    for other in flow.sites.unreachable(&site) {
                        let status = wait_too(&other, &result);
                        settle(flow, other, status);
                    }
                }
            } else {
                flow.sites.succeeded(&site);
            }
            settle(flow, job, result);
            if connection.is_some() {
                next = flow.sites.another(&site, PATIENCE);
            }
        }
        if let Some(Connection { session, .. }) = connection {
            session.quit();
        }
        flow.sites.release(&site);
    }
}

/// A job of a site that was found to be unreachable for another.
fn wait_too(job: &Job, found: &Result) -> Result {
    let text = found.outcomes.first().map_or("", |(_, outcome)| match outcome {
        Outcome::Later { text, .. } | Outcome::Failed { text, .. } => text,
        Outcome::Delivered(_) => "",
    });
    everybody(job, &Outcome::Later { status: "4.4.1".into(), text: text.to_owned() }, true)
}

fn everybody(job: &Job, outcome: &Outcome, unreachable: bool) -> Result {
    let outcomes = (0..job.to.len()).map(|index| (index, outcome.clone())).collect();
    Result { outcomes, unreachable, relay: "none".into(), without_dsn: Vec::new() }
}

/// One attempt for every recipient of the job.
fn send(desk: &Desk, connection: &mut Option<Connection>, job: &Job) -> Result {
    let later = |status: &str, text: String| Outcome::Later { status: status.into(), text };
    let file = match File::open(&job.path) {
        Ok(file) => file,
        Err(why) => {
            return everybody(job, &later("4.3.0", format!("the message cannot be read: {why}")), false);
        }
    };
    let size = match file.metadata() {
        Ok(meta) => meta.len(),
        Err(why) => {
            return everybody(job, &later("4.3.0", format!("the message cannot be read: {why}")), false);
        }
    };
    let mut result =
        Result { outcomes: Vec::new(), unreachable: false, relay: String::new(), without_dsn: Vec::new() };
    let indexes: Vec<usize> = (0..job.to.len()).collect();
    for part in indexes.chunks(desk.settings.remote.recipients_max.max(1)) {
        if result.unreachable {
            let text = "the host was lost".to_owned();
            result.outcomes.extend(part.iter().map(|index| (*index, later("4.4.2", text.clone()))));
            continue;
        }
        let stale = |open: &mut Connection| {
            open.messages >= MESSAGES_MAX
                || open.since.elapsed() >= CONNECTION_MAX
                || !open.session.is_alive()
        };
        if connection.as_mut().is_some_and(stale)
            && let Some(Connection { session, .. }) = connection.take()
        {
            session.quit();
        }
        if connection.is_none() {
            match open(desk, &job.group, Wish::default()) {
                Ok(opened) => *connection = Some(opened),
                Err(Refusal { outcome, unreachable, .. }) => {
                    result.unreachable = unreachable;
                    result.outcomes.extend(part.iter().map(|index| (*index, outcome.clone())));
                    continue;
                }
            }
        }
        let Some(open) = connection.as_mut() else { continue };
        let recipients: Vec<OutRecipient<'_>> = part
            .iter()
            .map(|index| &job.to[*index])
            .map(|to| OutRecipient {
                address: &to.address,
                notify: to.notify.as_deref(),
                orcpt: to.orcpt.as_deref(),
            })
            .collect();
        let transaction = open.session.send(&Outgoing {
            sender: job.sender.as_deref(),
            recipients: &recipients,
            envid: job.envid.as_deref(),
            ret: job.ret,
            file: &file,
            offset: job.offset,
            size,
            eight_bit: job.eight_bit,
            utf8: job.smtputf8,
            require_tls: false,
        });
        base::crash::step("send: answered");
        open.messages += 1;
        result.relay.clone_from(&open.relay);
        if !open.session.offers().dsn {
            result.without_dsn.extend(part);
        }
        if !transaction.reusable {
            *connection = None;
        }
        result.outcomes.extend(part.iter().copied().zip(transaction.recipients));
    }
    result
}

/// Writes down what happened, and who has to wait.
fn settle(flow: &Flow, job: Job, result: Result) {
    let Job { flight, group, id, sender, attempts, .. } = &job;
    let mut steps = Vec::new();
    let mut sent: Vec<usize> = Vec::new();
    let mut waiting: Vec<usize> = Vec::new();
    let mut why = String::new();
    let log = &flow.desk.log;
    let enabled = flow.desk.settings.smtp_deliver.log;
    let from = sender.as_deref().unwrap_or("");
    for (index, outcome) in result.outcomes {
        let (Some(place), Some(to)) = (group.places.get(index), job.to.get(index)) else { continue };
        let line = |status: &str, text: &str| {
            if enabled {
                log.notice(
                    Category::General,
                    format_args!(
                        "SMTP-Deliver:{id}:{}:{from}:{}: {status} ({text})",
                        result.relay, to.address
                    ),
                );
            }
        };
        match outcome {
            Outcome::Delivered(reply) => {
                line("sent", &reply.to_string());
                match result.without_dsn.contains(&index) {
                    true => sent.push(*place),
                    false => steps.push((*place, Step::Done)), // its reports are the other host's
                }
            }
            Outcome::Failed { status, text } => {
                line("failed", &text);
                steps.push((*place, Step::Failed { status, text }));
            }
            Outcome::Later { status, text } => {
                line("deferred", &text);
                waiting.push(*place);
                why = format!("{status} {text}");
            }
        }
    }
    let pause = pause_about(*attempts, flow.desk.settings.deferred_period);
    let (domain, unreachable, relay) = (group.domain.clone(), result.unreachable, result.relay);
    flight.note(move |work| {
        let mut steps = steps;
        // RFC 3461 §5.2.2
        let text = format!("given to {relay}, which sends no reports");
        let done = |place| (place, work.entry.envelope.succeeded(place, Success::Relayed, &text));
        steps.extend(sent.into_iter().map(done));
        if !steps.is_empty() {
            let _ = work.entry.record_all(steps); // not written down, it is sent again: SMTP allows that
            base::crash::step("send: written down");
        }
        if !waiting.is_empty() {
            work.deferrals.push(Deferral {
                domain,
                places: waiting,
                next: base::clock::unix_seconds().saturating_add(pause),
                text: why,
                unreachable,
            });
        }
    });
    flow.part_done(flight);
}

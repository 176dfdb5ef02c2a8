//! error-handler: what cannot be delivered is reported (RFC 3464), by the sums of `*actions` (S43 to S46).
//!
//! A report has the null sender, and none is made about a report: what cannot be reported to its sender goes to the
//! postmaster. The id of a report follows from what it tells of, so one that was made before a crash is not made again.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use directory::Found;
use mail_format::header::header_length;
use mail_format::report::{RecipientReport, Report};
use mail_queue::{Entry, Envelope, QueueError, Recipient, State, Step};
use server_log::Category;

use crate::autoreply::texts;
use crate::mta::Desk;
use crate::settings::Actions;
use crate::work::Work;

/// A larger original is reported by its header only.
const FULL_BYTES_MAX: u64 = 1 << 20;
/// Bytes of the original's header that a report shows.
const HEADER_BYTES_MAX: u64 = 64 * 1024;

/// Makes the reports that are due and says so in the envelope.
///
/// # Errors
/// A report cannot be queued; it is due the next time.
pub fn run(desk: &Desk, work: &mut Work) -> Result<(), QueueError> {
    let places = work.failed();
    let id = work.entry.envelope.id.clone();
    let mut to_sender = Vec::new();
    let mut to_postmaster = Vec::new();
    let mut held = Vec::new();
    for place in &places {
        let recipient = &work.entry.envelope.recipients[*place];
        let State::Failed { status, text } = &recipient.state else { continue };
        let actions = actions(desk, status);
        if actions.log() || desk.settings.error_handler.log {
            desk.log.notice(
                Category::Protocol,
                format_args!("error-handler: {id} to=<{}> status={status} {text}", recipient.address),
            );
        }
        let wants_reply = recipient.notify.as_deref().is_none_or(|notify| notify.contains("failure"));
        let has_sender = work.entry.envelope.sender.is_some();
        if actions.reply() && has_sender && wants_reply {
            to_sender.push(*place);
        }
        // An automatic answer that cannot be delivered is nobody's business (RFC 3834 §3.3).
        if !has_sender && recipient.notify.as_deref() == Some("never") {
            continue;
        }
        // A report that fails is nobody's but the postmaster's.
        if actions.postmaster() || !has_sender {
            to_postmaster.push(*place);
        } else if actions.hold() && !actions.reply() {
            held.push(recipient.address.clone());
        }
    }
    let postmaster = format!("postmaster@{}", desk.settings.domains.default_domain());
    if let Some(sender) = work.entry.envelope.sender.clone().filter(|_| !to_sender.is_empty()) {
        report(desk, &work.entry, &to_sender, &sender, None)?;
    }
    if !to_postmaster.is_empty() {
        let about_itself = to_postmaster.iter().any(|place| {
            let recipient = &work.entry.envelope.recipients[*place];
            recipient.address.eq_ignore_ascii_case(&postmaster)
        });
        if about_itself {
            // Not even the postmaster can be told: the message is kept where an administrator finds it.
            desk.log.critical(
                Category::General,
                format_args!("{id}: mail to the postmaster cannot be delivered"),
            );
            work.entry.keep_aside(&"mail to the postmaster cannot be delivered")?;
        } else {
            let subject = "Undelivered mail (copy for the postmaster)";
            report(desk, &work.entry, &to_postmaster, &postmaster, Some(subject))?;
        }
    }
    if !held.is_empty() {
        // The original did nothing for this bit. With no other, nothing would be left of the message.
        work.entry.keep_aside(&format_args!("not delivered to {}, and held", held.join(", ")))?;
    }
    let steps = places.into_iter().map(|place| (place, Step::Reported)).collect();
    // Not written down, the report is found there the next time; unless it has gone its way.
    let _ = work.entry.record_all(steps).and_then(|()| work.entry.sync());
    Ok(())
}

/// What is done about a failure of this status.
fn actions(desk: &Desk, status: &str) -> Actions {
    match status {
        "5.4.6" => desk.settings.hops_exceeded,
        "5.2.2" | "4.2.2" => desk.settings.quota_exceeded,
        "5.1.1" => desk.settings.unknown_account,
        _ => Actions(1 | 8),
    }
}

/// Queues one report about these recipients; one that is there already will do.
fn report(
    desk: &Desk,
    entry: &Entry,
    places: &[usize],
    to: &str,
    subject: Option<&str>,
) -> Result<(), QueueError> {
    let envelope = &entry.envelope;
    let cause = format!("{} {places:?} {to}", envelope.delivery_key());
    let mut message = match desk.queue.begin_caused(envelope.arrived(), &cause, &envelope.id) {
        Err(QueueError::AlreadyThere) => return Ok(()),
        other => other?,
    };
    let id = message.id().clone();
    let host = &desk.settings.host_name;
    let recipients: Vec<RecipientReport> =
        places.iter().filter_map(|place| recipient_report(&envelope.recipients[*place], envelope)).collect();
    let from = format!("MAILER-DAEMON@{host}");
    let (language, usual_subject, introduction) = words(desk, entry, to, subject.is_none())?;
    let now = base::clock::unix_seconds();
    let report = Report {
        reporting_host: host,
        from: &from,
        to,
        subject: subject.unwrap_or(usual_subject),
        id: id.as_str(),
        now,
        arrived: envelope.arrived(),
        envid: envelope.envid.as_deref(),
        introduction: &introduction,
        recipients: &recipients,
        language: &language,
    };
    let full = !envelope.headers_only && envelope.message_size <= FULL_BYTES_MAX;
    message.write_all(b"Return-Path: <>\r\n")?;
    let relay_offset = message.size();
    let received = format!(
        "Received: by {host} (Mailboat {}) id {id};\r\n\t{}\r\n",
        env!("CARGO_PKG_VERSION"),
        mail_format::format_date(now, 0)
    );
    message.write_all(received.as_bytes())?;
    message.write_all(report.head(full, envelope.eight_bit).as_bytes())?;
    copy_original(entry, full, &mut message)?;
    message.write_all(report.end().as_bytes())?;
    let mut about = Envelope::new(id);
    about.parent = Some(envelope.id.clone());
    about.relay_offset = relay_offset;
    about.eight_bit = true;
    about.protocol = "local".into();
    about.host_from = host.clone();
    about.recipients = vec![Recipient { address: to.to_owned(), ..Recipient::default() }];
    match message.commit(about) {
        Ok(_) | Err(QueueError::AlreadyThere) => Ok(()),
        Err(other) => Err(other),
    }
}

/// Language, subject and first lines for the reader at `to` (S88 to S91). The message says what its sender reads, not the
/// postmaster.
fn words(
    desk: &Desk,
    entry: &Entry,
    to: &str,
    is_sender: bool,
) -> Result<(String, &'static str, String), QueueError> {
    let mut header = Vec::new();
    if is_sender {
        copy_original(entry, false, &mut header)?;
    }
    // A directory that does not answer must not hold up a report.
    let reader = match desk.directory.by_address(to) {
        Ok(Found::One(reader)) => Some(reader),
        _ => None,
    };
    let languages = &desk.settings.local.languages;
    Ok(texts::report(&desk.settings.host_name, |has| languages.choose(&header, reader.as_deref(), to, has)))
}

fn recipient_report(recipient: &Recipient, envelope: &Envelope) -> Option<RecipientReport> {
    let State::Failed { status, text } = &recipient.state else { return None };
    // Who was reached by forwarding is told by the address that the sender knows, too.
    let asked = recipient.from.and_then(|number| envelope.recipients.get(number - 1));
    let original = recipient.orcpt.clone().or_else(|| asked.map(|asked| format!("rfc822;{}", asked.address)));
    Some(RecipientReport {
        final_recipient: recipient.address.clone(),
        original_recipient: original,
        action: "failed",
        status: status.clone(),
        diagnostic: text.clone(),
    })
}

/// The message as it would have been sent on, or its header.
fn copy_original(entry: &Entry, full: bool, to: &mut impl Write) -> io::Result<()> {
    let mut file = File::open(entry.message_path())?;
    file.seek(SeekFrom::Start(entry.envelope.relay_offset))?;
    if full {
        return io::copy(&mut file, to).map(drop);
    }
    let mut start = Vec::new();
    file.take(HEADER_BYTES_MAX).read_to_end(&mut start)?;
    let header = &start[..header_length(&start)];
    to.write_all(header)
}

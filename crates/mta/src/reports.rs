//! Delivery status notifications (RFC 3464): one message about recipients of another who share a state.
//!
//! The id of a report follows from what it tells of, so one that was made before a crash is not made again.

use std::io::{self, Read, Write};

use directory::Found;
use mail_format::header::header_length;
use mail_format::report::{RecipientReport, Report};
use mail_queue::{Entry, Envelope, QueueError, Recipient, State, Success};
use smtp_wire::{Ret, xtext};

use crate::autoreply::texts;
use crate::mta::Desk;
use crate::signing;

/// A larger original is reported by its header only.
const FULL_BYTES_MAX: u64 = 1 << 20;
/// Bytes of the original's header that a report shows.
const HEADER_BYTES_MAX: u64 = 64 * 1024;

/// What a report is about.
pub enum Kind {
    Failed,
    Succeeded,
    /// With the reason for each place: a status (RFC 3463) and what happened.
    Delayed(Vec<(usize, String)>),
}

impl Kind {
    /// The name of its words in `etc/autoreply`.
    fn words(&self) -> &'static str {
        match self {
            Kind::Failed => "report",
            Kind::Succeeded => "success",
            Kind::Delayed(_) => "delayed",
        }
    }
}

/// Queues one report about these recipients; one that is there already will do. Without a subject it is for the sender, in
/// his language.
///
/// # Errors
/// It is not in the queue.
pub fn report(
    desk: &Desk,
    entry: &Entry,
    kind: &Kind,
    places: &[usize],
    to: &str,
    subject: Option<&str>,
) -> Result<(), QueueError> {
    let envelope = &entry.envelope;
    let mut cause = format!("{} {places:?} {to}", envelope.delivery_key());
    if !matches!(kind, Kind::Failed) {
        cause.push_str(&format!(" {}", kind.words()));
    }
    let mut message = match desk.queue.begin_caused(envelope.arrived(), &cause, &envelope.id) {
        Err(QueueError::AlreadyThere) => return Ok(()),
        other => other?,
    };
    let id = message.id().clone();
    let host = &desk.settings.host_name;
    let recipients: Vec<RecipientReport> =
        places.iter().filter_map(|place| recipient_report(desk, envelope, kind, *place)).collect();
    let from = format!("MAILER-DAEMON@{host}");
    let (language, usual_subject, introduction) = words(desk, entry, kind, to, subject.is_none())?;
    let now = base::clock::unix_seconds();
    let envid = envelope.envid.as_deref().and_then(decoded);
    // With A-labels it may do without SMTPUTF8; the envelope keeps what the sender said.
    let shown_to = base::idn::downgraded(to).unwrap_or(to.into());
    let report = Report {
        reporting_host: host,
        from: &from,
        to: &shown_to,
        subject: subject.unwrap_or(usual_subject),
        id: id.as_str(),
        now,
        arrived: envelope.arrived(),
        envid: envid.as_deref(),
        hold: envelope.hold.as_ref().map(|hold| hold.request.as_str()),
        introduction: &introduction,
        recipients: &recipients,
        language: &language,
        utf8: envelope.smtputf8,
    };
    // RFC 3461 §4.3: RET is about failures; other reports have the header only.
    let full = matches!(kind, Kind::Failed)
        && envelope.ret != Some(Ret::Headers)
        && !envelope.require_tls // RFC 8689 §4.4: with the header only, and as the message itself
        && envelope.message_size <= FULL_BYTES_MAX;
    message.write_all(b"Return-Path: <>\r\n")?;
    let relay_offset = message.size();
    let received = format!(
        "Received: by {host} (Mailboat {}) id {id};\r\n\t{}\r\n",
        env!("CARGO_PKG_VERSION"),
        mail_format::format_date(now, 0)
    );
    message.write_all(received.as_bytes())?;
    let head = report.head(full, envelope.eight_bit);
    message.write_all(head.as_bytes())?;
    copy_original(entry, full, &mut message)?;
    message.write_all(report.end().as_bytes())?;
    signing::sign_own(desk, &mut message, relay_offset)?;
    let mut about = Envelope::new(id);
    about.parent = Some(envelope.id.clone());
    about.relay_offset = relay_offset;
    about.eight_bit = envelope.eight_bit || !head.is_ascii();
    about.smtputf8 = !shown_to.is_ascii();
    about.require_tls = envelope.require_tls;
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
    kind: &Kind,
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
    let choose = |has: &dyn Fn(&str) -> bool| languages.choose(&header, reader.as_deref(), to, has);
    Ok(texts::report(&desk.settings.host_name, kind.words(), choose))
}

fn recipient_report(desk: &Desk, envelope: &Envelope, kind: &Kind, place: usize) -> Option<RecipientReport> {
    let recipient = &envelope.recipients[place];
    let mut retry_until = None;
    let (action, status, diagnostic) = match (&recipient.state, kind) {
        (State::Failed { status, text }, Kind::Failed) => ("failed", status.clone(), text.clone()),
        (State::Succeeded { success, text }, Kind::Succeeded) => {
            // RFC 3463 §3.2: 2.1.5 is what an address alone can say.
            let status = if *success == Success::Delivered { "2.0.0" } else { "2.1.5" };
            let text = if text.is_empty() { success.word() } else { text };
            (success.word(), status.to_owned(), text.to_owned())
        }
        (State::Pending, Kind::Delayed(reasons)) => {
            let reason = reasons.iter().find(|(of, _)| *of == place).map_or("", |(_, reason)| reason);
            let limit = i64::try_from(desk.settings.ages.give_up.as_secs()).unwrap_or(i64::MAX);
            retry_until = Some(envelope.waits_since().saturating_add(limit));
            let (status, text) = status_of(reason);
            ("delayed", status.to_owned(), text.to_owned())
        }
        _ => return None,
    };
    Some(RecipientReport {
        final_recipient: recipient.address.clone(),
        final_field: typed(&recipient.address, envelope.smtputf8),
        original_recipient: envelope.orcpt(place).and_then(|orcpt| original(&orcpt, envelope.smtputf8)),
        action,
        status,
        diagnostic,
        retry_until,
    })
}

/// `4.4.1 no answer` as status and text; 4.0.0 when there is no status.
fn status_of(reason: &str) -> (&str, &str) {
    match reason.split_once(' ') {
        Some((status, text)) if status.starts_with("4.") && status.split('.').count() == 3 => (status, text),
        _ => ("4.0.0", reason),
    }
}

/// RFC 3461 §6.3: a report has what MAIL and RCPT gave without its xtext.
fn decoded(text: &str) -> Option<String> {
    String::from_utf8(xtext::decode(text)?).ok()
}

/// An original recipient as a report has it; `utf8`: the report may be in UTF-8.
fn original(orcpt: &str, utf8: bool) -> Option<String> {
    let (kind, address) = orcpt.split_once(';')?;
    if !kind.eq_ignore_ascii_case("utf-8") {
        return Some(format!("{kind};{}", decoded(address)?));
    }
    let address = xtext::decode_utf8(address)?;
    Some(if utf8 { format!("utf-8;{address}") } else { format!("utf-8;{}", xtext::encode_utf8(&address)) })
}

/// An address with its type (RFC 3464 §2.3.2, RFC 6533 §3).
fn typed(address: &str, utf8: bool) -> String {
    match (address.is_ascii(), utf8) {
        (true, _) => format!("rfc822; {address}"),
        (false, true) => format!("utf-8; {address}"),
        (false, false) => format!("utf-8; {}", xtext::encode_utf8(address)),
    }
}

/// The message as it would have been sent on, or its header; nothing of one that was removed from the queue.
fn copy_original(entry: &Entry, full: bool, to: &mut impl Write) -> io::Result<()> {
    let content = match entry.body().open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let mut original = content.from(entry.envelope.relay_offset);
    if full {
        return io::copy(&mut original, to).map(drop);
    }
    let mut start = Vec::new();
    original.take(HEADER_BYTES_MAX).read_to_end(&mut start)?;
    let header = &start[..header_length(&start)];
    to.write_all(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_mail_and_rcpt_gave_is_told_without_its_xtext() {
        assert_eq!(original("rfc822;a+2Bb@x.test", false).unwrap(), "rfc822;a+b@x.test");
        assert_eq!(original("rfc822;a+zz", false), None);
        assert_eq!(original(r"utf-8;\x{FC}@x.test", true).unwrap(), "utf-8;ü@x.test");
        assert_eq!(original("utf-8;ü@x.test", false).unwrap(), r"utf-8;\x{FC}@x.test");
        assert_eq!(typed("ü@x.test", false), r"utf-8; \x{FC}@x.test");
        assert_eq!(decoded("QQ+3D1").unwrap(), "QQ=1");
    }

    #[test]
    fn a_reason_begins_with_its_status_or_has_none() {
        assert_eq!(status_of("4.4.1 no answer"), ("4.4.1", "no answer"));
        assert_eq!(status_of("the disk is full"), ("4.0.0", "the disk is full"));
        assert_eq!(status_of("4. x"), ("4.0.0", "4. x"));
    }
}

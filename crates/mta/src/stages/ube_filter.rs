//! The UBE filter: what the site's rules say of a message that was accepted, before its recipients are looked at (S193).
//!
//! First the copies are queued, each under an id that follows from its cause; then one step is written down, which says what
//! becomes of the message for all its recipients; then that happens. A crash before the step asks the rules again and finds
//! the copies that are there (one that has gone its way meanwhile is made twice); behind it the rules are not asked again.
//! What this host makes itself (reports, answers, copies) has a cause in its envelope and is not filtered, nor is mail that
//! came by LMTP: another server has let it in.

use std::io::{self, Read, Write};

use mail_format::header::header_length;
use mail_queue::{Entry, Envelope, Filtered, Home, QueueError, Recipient, Step};
use server_log::Category;
use smtp_wire::Ret;
use ube_filter::{Control, HEADER_BYTES_MAX, Judgement, Mail, Origin, Verdict};

use crate::mta::Desk;
use crate::ube::InForce;
use crate::work::Work;

/// Bytes that are read at once.
const PIECE_BYTES: u64 = 64 * 1024;
/// Recipients that are named in a copy.
const NAMED_MAX: usize = 100;

/// Where a message goes from here.
pub enum Next {
    /// On its way: to its recipients' accounts.
    Accounts,
    /// Nobody is to get it: to the end of this attempt.
    End,
    /// It waits until it is released.
    Rest,
    /// The rules are not known, or a copy could not be made: it comes again, as it is.
    Later,
}

/// Asks the rules about a message that is new.
pub fn run(desk: &Desk, work: &mut Work) -> Next {
    let filter = match desk.filters.now() {
        InForce::Nothing => return Next::Accounts,
        _ if !is_new(&work.entry) => return Next::Accounts,
        InForce::Unknown => return Next::Later,
        InForce::Rules(filter) => filter,
    };
    let asked = header(&work.entry).map(|header| {
        let controls = controls(&work.entry.envelope);
        (filter.judge(&Mail { header: &header, controls }), header)
    });
    let copied = asked.map_err(QueueError::from).and_then(|(judgement, header)| {
        judgement.copies.iter().try_for_each(|to| copy(desk, &work.entry, to))?;
        Ok((judgement, header))
    });
    base::crash::step("filter: copies queued");
    match copied {
        Ok((judgement, header)) => act(desk, work, &judgement, &header),
        Err(why) => {
            let id = &work.entry.envelope.id;
            desk.log
                .error(Category::General, format_args!("ube-filter: {id}: {why}; tried again in a moment"));
            Next::Later
        }
    }
}

/// Whether it came from outside, and nothing was done with it yet.
fn is_new(entry: &Entry) -> bool {
    *entry.home() == Home::Control && entry.envelope.is_for_filter()
}

/// The header as it would be sent on, without more of the content than that takes.
fn header(entry: &Entry) -> io::Result<Vec<u8>> {
    let content = entry.body().open()?;
    let mut rest = content.from(entry.envelope.relay_offset);
    let mut start = Vec::new();
    loop {
        let read = rest.by_ref().take(PIECE_BYTES).read_to_end(&mut start)?;
        let length = header_length(&start);
        if length < start.len() || read == 0 || start.len() >= HEADER_BYTES_MAX {
            start.truncate(length);
            return Ok(start);
        }
    }
}

/// The lines that rules may name.
fn controls(envelope: &Envelope) -> Vec<(Control, String)> {
    let mut from = format!("<{}>", envelope.sender.as_deref().unwrap_or(""));
    let parameters = [
        (envelope.eight_bit, " BODY=8BITMIME"),
        (envelope.smtputf8, " SMTPUTF8"),
        (envelope.require_tls, " REQUIRETLS"),
        (envelope.ret == Some(Ret::Full), " RET=FULL"),
        (envelope.ret == Some(Ret::Headers), " RET=HDRS"),
    ];
    parameters.iter().filter(|(given, _)| *given).for_each(|(_, parameter)| from.push_str(parameter));
    let mut controls = vec![
        (Control::HostFrom, envelope.host_from.clone()),
        (Control::UserFrom, from),
        (Control::MtaHops, envelope.hops.to_string()),
        (Control::MessageSize, envelope.message_size.to_string()),
    ];
    controls.extend(envelope.auth_sender.iter().map(|uid| (Control::AuthSender, uid.clone())));
    let to = |one: &Recipient| (Control::ChannelTo, format!("<{}>", one.address));
    controls.extend(envelope.recipients.iter().map(to));
    controls
}

/// Queues a copy for this address; one that is there already will do. Its sender is nobody: that a copy failed is not for the
/// message's sender to hear, but for the postmaster.
fn copy(desk: &Desk, entry: &Entry, to: &str) -> Result<(), QueueError> {
    let envelope = &entry.envelope;
    let cause = format!("{} filter copy {to}", envelope.delivery_key());
    let mut message = match desk.queue.begin_caused(envelope.arrived(), &cause, &envelope.id) {
        Err(QueueError::AlreadyThere) => return Ok(()),
        other => other?,
    };
    message.write_all(b"Return-Path: <>\r\n")?;
    let mut about = Envelope::new(message.id().clone());
    about.relay_offset = message.size();
    let mut front = format!(
        "Received: by {} (Mailboat {}) id {};\r\n\t{}\r\nX-Envelope-From: <{}>\r\n",
        desk.settings.host_name,
        env!("CARGO_PKG_VERSION"),
        message.id(),
        mail_format::format_date(base::clock::unix_seconds(), 0),
        envelope.sender.as_deref().unwrap_or("")
    );
    for one in envelope.recipients.iter().take(NAMED_MAX) {
        front.push_str(&format!("X-Envelope-To: <{}>\r\n", one.address));
    }
    message.write_all(front.as_bytes())?;
    io::copy(&mut entry.body().open()?.from(envelope.relay_offset), &mut message)?;
    about.arrived_ns = envelope.arrived_ns;
    about.parent = Some(envelope.id.clone());
    about.hops = envelope.hops.saturating_add(1);
    about.eight_bit = envelope.eight_bit || !front.is_ascii();
    about.smtputf8 = envelope.smtputf8 || !front.is_ascii() || !to.is_ascii();
    about.require_tls = envelope.require_tls;
    about.protocol = "local".into();
    about.host_from = desk.settings.host_name.clone();
    about.recipients = vec![Recipient { address: to.to_owned(), ..Recipient::default() }];
    match message.commit(about) {
        Ok(_) | Err(QueueError::AlreadyThere) => Ok(()),
        Err(other) => Err(other),
    }
}

fn origin(envelope: &Envelope) -> Origin<'_> {
    Origin {
        has_sender: envelope.sender.is_some(),
        is_logged_in: envelope.auth_sender.is_some(),
        client: &envelope.host_from,
    }
}

/// Writes the verdict down, and says where it goes.
fn act(desk: &Desk, work: &mut Work, judgement: &Judgement, header: &[u8]) -> Next {
    let envelope = &work.entry.envelope;
    let told = match judgement.verdict {
        Verdict::Reject(_) => desk.filters.reports.tells(&origin(envelope), header),
        _ => Ok(()),
    };
    log(desk, envelope, judgement, told.err());
    let last = judgement.fired.last().map(ToString::to_string).unwrap_or_default();
    let filtered = match &judgement.verdict {
        Verdict::Pass => Filtered::Passed,
        Verdict::Hold => Filtered::Held(format!("by filter.cfg, {last}")),
        Verdict::Reject(text) if told.is_ok() => Filtered::Rejected(text.clone()),
        Verdict::Drop | Verdict::Reject(_) => Filtered::Dropped,
    };
    let next = match filtered {
        Filtered::Passed => Next::Accounts,
        Filtered::Held(_) => Next::Rest,
        Filtered::Dropped | Filtered::Rejected(_) => Next::End,
    };
    if let Err(why) = work.entry.record(0, Step::Filtered(filtered)) {
        // It is applied all the same, and after a restart the rules are asked again.
        let id = &work.entry.envelope.id;
        desk.log.error(Category::General, format_args!("ube-filter: {id}: cannot be written down: {why}"));
    }
    if matches!(next, Next::Rest) {
        let _ = work.entry.message_file(); // what waits is seen in the folders
    }
    base::crash::step("filter: written down");
    next
}

/// A line for each rule that fired.
fn log(desk: &Desk, envelope: &Envelope, judgement: &Judgement, untold: Option<&str>) {
    let sender = envelope.sender.as_deref().unwrap_or("");
    for fired in &judgement.fired {
        let untold = match untold {
            Some(why) if matches!(fired.action, ube_filter::Action::Reject(_)) => {
                format!("; dropped without a report: {why}")
            }
            _ => String::new(),
        };
        desk.log.notice(
            Category::Protocol,
            format_args!(
                "ube-filter: {} from=<{sender}> client={} {fired}{untold}",
                envelope.id, envelope.host_from
            ),
        );
    }
}

//! Copies for those who took a recipient's place and get another message: other header fields, another envelope sender.
//!
//! A message in the queue never changes, so the copy is a message of its own, with these recipients. First it is written
//! down in the envelope that they are to get one ([`MEMBER`]); then the copy is queued under an id that follows from its
//! cause; then each is `moved` there. A crash in between repeats the last two steps, and finds the copy or makes it again
//! as the same: same id and arrival, so that mailboxes know what they have (`docs/formats/queue.md`).
//!
//! A copy says by which addresses it came (`Through`), so that a circle of groups ends. Each has a Received line, so that
//! one over several hosts does, too (S44). Big groups get several copies, `service.smtp.smtp-router.maxrecipients` each.

use base::content::Content;
use std::io::{self, Read, Write};

use directory::{DirectoryError, Found, Kind};
use mail_format::header::{header_length, raw_fields};
use mail_queue::{Envelope, QueueError, QueueId, Recipient, Step};
use server_log::Category;

use crate::group_rules::{self, Rules};
use crate::mta::Desk;
use crate::signing;
use crate::stages::{account_handler, groups};
use crate::work::Work;

/// The way of a recipient who gets a copy, as the envelope has it.
pub const MEMBER: &str = "member";
/// Bytes in which a header must end: what smtp-accept takes, and what was put in front of it since.
pub const START_BYTES_MAX: u64 = 4 << 20;

/// What is different in a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Changes {
    /// Fields for its beginning, each with its end.
    front: String,
    remove: Vec<String>,
    /// Whether a first line with the group's password is taken out.
    hides_password: bool,
    /// Another envelope sender, in the place of one that is not null.
    sender: Option<String>,
}

/// Sends the copies that are written down and not made.
pub fn run(desk: &Desk, work: &mut Work) {
    let mut waiting: Vec<(usize, Vec<usize>)> = Vec::new();
    for place in work.entry.envelope.pending().filter(|place| is_member(work, *place)) {
        let from = work.entry.envelope.recipients[place].from.unwrap_or(0);
        match waiting.last_mut().filter(|(number, _)| *number == from) {
            Some((_, places)) => places.push(place),
            None => waiting.push((from, vec![place])),
        }
    }
    for (from, places) in waiting {
        let Some(origin) = from.checked_sub(1) else { continue };
        let changes = match changes(desk, work, origin) {
            Ok(changes) => changes,
            Err(why) => {
                work.delay(why.to_string());
                continue;
            }
        };
        for places in places.chunks(desk.settings.copy_recipients_max.max(1)) {
            if let Err(why) = send(desk, work, origin, places, &changes) {
                let id = &work.entry.envelope.id;
                desk.log.error(Category::General, format_args!("{id}: a copy cannot be queued: {why}"));
                work.delay(format!("a copy cannot be queued: {why}"));
                return;
            }
        }
    }
}

/// Whether the recipient at `place` gets a copy.
pub fn is_member(work: &Work, place: usize) -> bool {
    work.entry.envelope.recipients.get(place).is_some_and(|one| one.via.as_deref() == Some(MEMBER))
}

/// What the directory says now about the recipient whose place was taken.
fn changes(desk: &Desk, work: &Work, origin: usize) -> Result<Changes, DirectoryError> {
    let settings = &desk.settings;
    let address = &work.entry.envelope.recipients[origin].address;
    let mut changes = Changes::default();
    if settings.delivered_to {
        changes.front.push_str(&format!("Delivered-To: {address}\r\n"));
    }
    let Some((local, domain)) = address.rsplit_once('@') else { return Ok(changes) };
    let (Found::One(group), _) = account_handler::find(desk, work.entry.envelope.id.as_str(), local, domain)?
    else {
        return Ok(changes); // gone since; the copies that are written down go all the same
    };
    if group.kind != Kind::Group {
        return Ok(changes);
    }
    let rules = Rules::of(&group);
    if settings.resent_from && groups::is_clean(&group.mail) {
        // S37; RFC 5322 §3.6.6: who resends says when.
        let date = mail_format::format_date(work.entry.envelope.arrived(), 0);
        changes.front.push_str(&format!("Resent-Date: {date}\r\nResent-From: {}\r\n", group.mail));
    }
    rules.add.iter().for_each(|field| changes.front.push_str(&format!("{field}\r\n")));
    changes.remove = rules.remove;
    if !rules.passwords.is_empty() {
        changes.hides_password = true;
        changes.remove.push("Approved".into());
    }
    if let Some(errors_to) = rules.errors_to {
        changes.sender = groups::resolve(desk, &errors_to)?.into_iter().next();
    }
    Ok(changes)
}

fn send(
    desk: &Desk,
    work: &mut Work,
    origin: usize,
    places: &[usize],
    changes: &Changes,
) -> Result<(), QueueError> {
    let id = match make(desk, work, origin, places, changes) {
        Ok(id) => id,
        // Its name cannot be told from outside; the entry's own stands for it.
        Err(QueueError::AlreadyThere) => work.entry.envelope.id.clone(),
        Err(other) => return Err(other),
    };
    base::crash::step("copy: queued");
    let steps = places.iter().map(|place| (*place, Step::Moved(id.clone()))).collect();
    // Not written down, the copy is found there the next time, unless it has gone its way.
    let _ = work.entry.record_all(steps).and_then(|()| work.entry.sync());
    base::crash::step("copy: noted");
    Ok(())
}

/// Queues the copy for these places.
fn make(
    desk: &Desk,
    work: &Work,
    origin: usize,
    places: &[usize],
    changes: &Changes,
) -> Result<QueueId, QueueError> {
    let envelope = &work.entry.envelope;
    let cause = format!("{} copy {places:?}", envelope.delivery_key());
    let mut message = desk.queue.begin_caused(envelope.arrived(), &cause, &envelope.id)?;
    let mut about = Envelope::new(message.id().clone());
    // A failure of a member is the list's, when it says so; of a report nobody's (RFC 5321 §4.5.5).
    let sender = changes.sender.clone().filter(|_| envelope.sender.is_some());
    let is_list = sender.is_some();
    about.sender = sender.or_else(|| envelope.sender.clone());
    message.write_all(format!("Return-Path: <{}>\r\n", about.sender.as_deref().unwrap_or("")).as_bytes())?;
    about.relay_offset = message.size();
    let received = format!(
        "Received: by {} (Mailboat {}) id {};\r\n\t{}\r\n",
        desk.settings.host_name,
        env!("CARGO_PKG_VERSION"),
        message.id(),
        mail_format::format_date(base::clock::unix_seconds(), 0)
    );
    message.write_all(received.as_bytes())?;
    write_changed(&work.entry, changes, &mut message)?;
    signing::sign_again(desk, &work.entry, &mut message, about.relay_offset)?;
    about.arrived_ns = envelope.arrived_ns;
    about.parent = Some(envelope.id.clone());
    about.hops = envelope.hops.saturating_add(1);
    about.eight_bit = envelope.eight_bit;
    about.smtputf8 = envelope.smtputf8 || !changes.front.is_ascii();
    about.require_tls = envelope.require_tls;
    about.protocol = envelope.protocol.clone();
    about.host_from = envelope.host_from.clone();
    about.auth_sender = envelope.auth_sender.clone();
    about.through = work.ancestry(origin);
    if !is_list {
        about.envid = envelope.envid.clone();
        about.ret = envelope.ret;
    }
    about.recipients = places.iter().map(|place| recipient(envelope, *place, is_list)).collect();
    message.commit(about)
}

/// A list asks for reports itself and not for those its sender asked for (RFC 3461 §5.2.7.1).
fn recipient(envelope: &Envelope, place: usize, is_list: bool) -> Recipient {
    let one = &envelope.recipients[place];
    let mut recipient = Recipient { address: one.address.clone(), ..Recipient::default() };
    if !is_list {
        recipient.orcpt = envelope.orcpt(place);
        recipient.notify = one.notify.clone();
    }
    recipient
}

/// The message behind its Return-Path, changed.
fn write_changed(entry: &mail_queue::Entry, changes: &Changes, to: &mut impl Write) -> io::Result<()> {
    let (content, start) = open(entry)?;
    let header = &start[..header_length(&start)];
    to.write_all(changes.front.as_bytes())?;
    for field in raw_fields(header) {
        if !changes.remove.iter().any(|name| is_named(field, name)) {
            to.write_all(field)?;
        }
    }
    let mut at = header.len();
    if changes.hides_password {
        at += group_rules::approved_line(&start[at..]).unwrap_or(0);
    }
    let rest = entry.envelope.relay_offset.saturating_add(at as u64);
    io::copy(&mut content.from(rest), to).map(drop)
}

/// The message, and its beginning as it would be sent on.
///
/// # Errors
/// It cannot be read.
pub fn open(entry: &mail_queue::Entry) -> io::Result<(Content, Vec<u8>)> {
    let content = entry.body().open()?;
    let mut start = Vec::new();
    content.from(entry.envelope.relay_offset).take(START_BYTES_MAX).read_to_end(&mut start)?;
    Ok((content, start))
}

fn is_named(field: &[u8], name: &str) -> bool {
    let start = field.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()));
    start && field[name.len()..].trim_ascii_start().first() == Some(&b':')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_field_is_removed_with_its_folded_lines() {
        let header = b"A: b\r\n c\r\nReply-To : x\r\n\ty\r\nReply-Total: z\r\n\r\n";
        let kept: Vec<u8> =
            raw_fields(header).filter(|field| !is_named(field, "reply-to")).flatten().copied().collect();
        assert_eq!(kept, b"A: b\r\n c\r\nReply-Total: z\r\n\r\n");
    }

    proptest! {
        #[test]
        fn no_byte_of_a_header_is_lost(header in "[a-b: \r\n\t]{0,60}") {
            let all: Vec<u8> = raw_fields(header.as_bytes()).flatten().copied().collect();
            prop_assert_eq!(all, header.into_bytes());
        }
    }
}

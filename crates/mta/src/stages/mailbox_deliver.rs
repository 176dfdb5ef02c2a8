//! mailbox-deliver: a file, or a link of it, and a record in each recipient's mailbox, once whatever happens (S75, S157).

use base::content::Content;
use counters::Counter;
use directory::{Entry as Account, Found};
use mail_queue::{Envelope, Step, Success};
use message_store::{
    Delivered, DeliveryId, Flags, InMemory, Lent, Limits, LinkedMessage, MailboxName, Prepared, Source,
    StoreError,
};
use server_log::Category;

use crate::mta::Desk;
use crate::quota;
use crate::work::{Route, Work};

pub fn run(desk: &Desk, work: &mut Work) {
    let (routes, others): (Vec<_>, Vec<_>) = std::mem::take(&mut work.routes)
        .into_iter()
        .partition(|(_, route)| matches!(route, Route::Mailbox { .. }));
    work.routes = others;
    if routes.is_empty() {
        return;
    }
    let content = match work.entry.body().open() {
        Ok(content) => content,
        Err(why) => return work.delay(format!("the message cannot be read: {why}")),
    };
    // Computed once, for all recipients.
    let prepared = match &content {
        Content::Memory(bytes) => Ok(Prepared::of_bytes(bytes)),
        Content::File(file) => Prepared::of_file(file),
    };
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(why) => return work.delay(format!("the message cannot be read: {why}")),
    };
    let flags = marks(desk, &work.entry.envelope, &prepared);
    // Until all of them have it, the journal keeps what it may give back to them.
    let lent = work.entry.lend();
    let (path, in_memory);
    let source = match &content {
        Content::Memory(bytes) => {
            in_memory = InMemory::new(bytes);
            Source::Memory(&in_memory)
        }
        Content::File(_) => {
            // The mailbox has the same file, and keeps it when the queue has forgotten the message.
            if lent.is_none() {
                if let Err(why) = work.entry.make_message_durable() {
                    return work.delay(format!("the message cannot be synced: {why}"));
                }
            }
            path = work.entry.message_file();
            Source::File(&path)
        }
    };
    let mut steps = Vec::new();
    for (place, route) in routes {
        let Route::Mailbox { account, folder } = route else { continue };
        let Some(uid) = account.uid.as_deref() else {
            steps.push((place, failed("5.3.0", "the account has no uid".into())));
            continue;
        };
        let (envelope, entry) = (&work.entry.envelope, &work.entry);
        let sync = || entry.make_message_durable();
        let lent = lent.as_ref().map(|_| Lent { queue_id: envelope.id.as_str(), sync: &sync });
        let message = Message { envelope, source, lent, prepared: &prepared, flags };
        let delivered = deliver(desk, message, uid, &account, folder.as_deref());
        let id = &work.entry.envelope.id;
        match delivered {
            Ok(outcome) => {
                base::crash::step("deliver: in the mailbox");
                if desk.settings.mailbox_deliver.log {
                    let again =
                        if matches!(outcome, Delivered::AlreadyThere(_)) { " (was there)" } else { "" };
                    desk.log
                        .notice(Category::Protocol, format_args!("mailbox-deliver: {id} to={uid}{again}"));
                }
                steps.push((place, work.entry.envelope.succeeded(place, Success::Delivered, "")));
            }
            Err(StoreError::OverQuota) => steps.push((place, failed("5.2.2", "User quota exceeded".into()))),
            // What cannot be created is a slip in the configuration, which somebody will mend.
            Err(why @ StoreError::TooBig(_)) => {
                steps.push((place, failed("5.2.0", why.to_string())));
            }
            Err(why) => work.delay(format!("{uid}: {why}")),
        }
    }
    drop(lent); // a checkpoint may wait for it
    let all_done = steps.len() == work.entry.envelope.pending().count()
        && steps.iter().all(|(_, step)| *step == Step::Done)
        && !work.is_report_due();
    if all_done {
        // Nothing is written down when the entry goes at once: delivered again, it would be recognised.
        for (place, _) in steps {
            work.entry.envelope.recipients[place].state = mail_queue::State::Done;
        }
    } else {
        let _ = work.entry.record_all(steps); // what is not written down is done again and recognised
        base::crash::step("deliver: written down");
    }
}

/// What the store notes: whether the From of the message, as it is now, is an address of the user who submitted it. What cannot
/// be told is not known.
pub fn marks(desk: &Desk, envelope: &Envelope, prepared: &Prepared) -> Flags {
    let Some(uid) = &envelope.auth_sender else { return Flags::NONE };
    let Some(author) = prepared.header().and_then(mail_format::only_author) else { return Flags::NONE };
    match desk.directory.by_uid(uid) {
        Ok(Found::One(user)) if user.has_address(&author) => Flags::SENDER_KNOWN,
        _ => Flags::NONE,
    }
}

fn failed(status: &str, text: String) -> Step {
    Step::Failed { status: status.to_owned(), text }
}

/// What is delivered.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    pub envelope: &'a Envelope,
    pub source: Source<'a>,
    /// Nothing when the message does not stand in the journal.
    pub lent: Option<Lent<'a>>,
    /// Computed once, for all recipients.
    pub prepared: &'a Prepared,
    pub flags: Flags,
}

/// Into the mailbox of this user, or the folder of the sub-address where there is one.
///
/// # Errors
/// As the store's.
pub fn deliver(
    desk: &Desk,
    message: Message<'_>,
    uid: &str,
    account: &Account,
    folder: Option<&str>,
) -> Result<Delivered, StoreError> {
    let Message { envelope, source, lent, prepared, flags } = message;
    desk.store.ensure_user_in(uid, account.partition.as_deref())?;
    let inbox = MailboxName::inbox(uid)?;
    // user+folder goes to the folder where there is one; an accent may be typed in two ways (RFC 6532 §3.1).
    let mut name = inbox;
    for folder in folder.iter().flat_map(|folder| [(*folder).into(), base::idn::nfc(folder)]) {
        let Ok(named) = MailboxName::parse(&format!("user/{uid}/{folder}")) else { continue };
        if desk.store.exists(&named)? {
            name = named;
            break;
        }
    }
    let key = envelope.delivery_key();
    let message = LinkedMessage {
        source,
        lent,
        flags,
        internal_date_ns: envelope.arrived_ns,
        delivery: DeliveryId { queue_id: &key, recipient: uid },
        prepared,
        limits: Limits::default(),
    };
    let delivered = quota::deliver(desk, account, uid, &name, message)?;
    if matches!(delivered, Delivered::New(_)) {
        counters::add(Counter::Delivered, 1);
    }
    Ok(delivered)
}

//! SELECT, EXAMINE: opens a mailbox and says what is in it (RFC 3501 §6.3.1, §6.3.2).

use connection::Output;
use message_store::{Flags, MailboxName, Store, StoreError};

use crate::answer;
use crate::refusal::Refusal;
use crate::view::View;

/// The view of the mailbox, with the untagged responses written.
pub fn run(store: &Store, name: &MailboxName, read_only: bool, out: &mut Output) -> Result<View, Refusal> {
    let mailbox = match store.open_mailbox(name) {
        Ok(mailbox) => mailbox,
        Err(StoreError::NotFound) => return Err(Refusal::NoSuchMailbox),
        Err(error) => return Err(error.into()),
    };
    let view = View::open(mailbox, read_only)?;
    let status = view.mailbox.status()?;
    let keywords = view.mailbox.keywords();
    answer::flags_list(out, &keywords);
    answer::permanent_flags(out, &keywords, read_only);
    answer::number(out, view.exists(), b"EXISTS");
    answer::number(out, view.recent_count(), b"RECENT");
    if status.unseen > 0 {
        if let Some(sequence) = first_unseen(&view) {
            code(out, b"UNSEEN ", sequence, b"First unseen message");
        }
    }
    code(out, b"UIDVALIDITY ", view.mailbox.uid_validity(), b"UIDs are valid while this is");
    code(out, b"UIDNEXT ", status.uid_next, b"Next UID");
    Ok(view)
}

fn code(out: &mut Output, word: &[u8], number: u32, text: &[u8]) {
    out.push(b"* OK [");
    out.push(word);
    answer::digits(out, u64::from(number));
    out.push(b"] ");
    out.push(text);
    out.push(b"\r\n");
}

/// New mail is at the end, so the first unseen one is looked for from the start only as far as needed.
fn first_unseen(view: &View) -> Option<u32> {
    (1..=view.exists()).find(|&sequence| {
        view.record(sequence).is_some_and(|(_, record)| {
            !record.flags.contains(Flags::SEEN) && !record.flags.contains(Flags::EXPUNGED)
        })
    })
}

//! SELECT, EXAMINE: opens a mailbox and says what is in it (RFC 3501 §6.3.1, §6.3.2).

use connection::Output;
use imap_wire::{Resync, Select};
use message_store::{MailboxName, Rights, StoreError};

use super::fetch::Fetch;
use super::list;
use super::{Done, Outcome, Running, not_now};
use crate::answer;
use crate::names;
use crate::refusal::Refusal;
use crate::server::Server;
use crate::state::{State, User};
use crate::vanished;
use crate::view::View;

/// Selects a mailbox. One that was selected is not any more, whatever comes of it (RFC 3501 §6.3.1).
pub fn run(
    server: &Server,
    state: &mut State,
    asked: &Select,
    read_only: bool,
    out: &mut Output,
) -> Result<Outcome, Refusal> {
    if let (Some(user), true) = (state.user(), asked.qresync.is_some()) {
        if !user.enabled.qresync() {
            return Err(Refusal::NotNow("ENABLE QRESYNC first")); // RFC 7162 §3.2.5
        }
    }
    if state.view().is_some() {
        answer::tagged(out, b"*", "OK", "CLOSED", "Previous mailbox closed"); // RFC 7162 §3.2.11
    }
    state.unselect();
    let user = match state {
        State::Authenticated(user) => user.clone(),
        other => return Err(not_now(other)),
    };
    if asked.condstore {
        user.enabled.enable_condstore();
    }
    let name = server.named(user.who(), names::named(&asked.mailbox)?, Rights::READ)?;
    let view = open(server, &name, read_only || user.is_anybody, &user, out)?;
    super::quota::warn(server, &user, &name, out);
    let resync = match &asked.qresync {
        Some(resync) if resync.uid_validity == view.mailbox.uid_validity() => Some(missed(&view, resync)?),
        _ => None, // RFC 7162 §3.2.5.1: the client begins anew
    };
    let written = view.is_written();
    *state = State::Selected { user, view: Box::new(view) };
    let mut done = Done::new(if read_only { "EXAMINE completed" } else { "SELECT completed" });
    done.code = if written { "READ-WRITE" } else { "READ-ONLY" }.to_owned();
    Ok(match resync {
        Some(fetch) => super::running(Running::Resync(fetch, done)),
        None => Outcome::Done(done),
    })
}

/// What happened since the client was here.
fn missed(view: &View, resync: &Resync) -> Result<Fetch, Refusal> {
    let unchanged_until = vanished::unchanged_until(view, resync);
    Fetch::resync(view, &vanished::known(resync), resync.modseq, unchanged_until)
}

/// The view of the mailbox, with the untagged responses written.
fn open(
    server: &Server,
    name: &MailboxName,
    read_only: bool,
    user: &User,
    out: &mut Output,
) -> Result<View, Refusal> {
    let mailbox = match server.store.open_mailbox(name) {
        Ok(mailbox) => mailbox,
        Err(StoreError::NotFound) => return Err(Refusal::NoSuchMailbox),
        Err(error) => return Err(error.into()),
    };
    let rights = server.rights(user.who(), name)?;
    let seen = match user.who().sees_apart(name) {
        true => Some(mailbox.seen_by(&user.uid)?),
        false => None,
    };
    if let Some(seen) = seen.as_ref().filter(|_| !user.is_anybody) {
        seen.visited();
    }
    let is_apart = seen.is_some();
    let mut view = View::open(mailbox, read_only, rights, seen, user.enabled.clone())?;
    view.is_shared = !user.who().has_all(name);
    let status = view.opened;
    let keywords = view.mailbox.keywords();
    answer::flags_list(out, &keywords);
    answer::permanent_flags(out, &keywords, view.within());
    answer::number(out, view.exists(), b"EXISTS");
    let rev2 = user.enabled.rev2();
    if rev2 {
        let who = user.who();
        list::one(server, who, &who.to_client(name), None, out)?; // RFC 9051 §6.3.2
    } else {
        answer::number(out, view.recent_count(), b"RECENT");
    }
    if (status.unseen > 0 || is_apart) && !rev2 && !user.enabled.uid_only() {
        if let Some(sequence) = view.first_unseen() {
            code(out, b"UNSEEN ", u64::from(sequence), b"First unseen message");
        }
    }
    code(out, b"UIDVALIDITY ", u64::from(view.mailbox.uid_validity()), b"UIDs are valid while this is");
    code(out, b"UIDNEXT ", u64::from(status.uid_next), b"Next UID");
    code(out, b"HIGHESTMODSEQ ", view.highest_of(status.highest_modseq), b"Highest modseq"); // RFC 7162 §3.1.2.1
    let id = format!("MAILBOXID ({})", answer::mailbox_id(view.mailbox.id()));
    answer::tagged(out, b"*", "OK", &id, "Mailbox id"); // RFC 8474 §4.2
    answer::tagged(out, b"*", "OK", super::urlauth::MECHANISMS, "Mechanisms of URLs");
    Ok(view)
}

fn code(out: &mut Output, word: &[u8], number: u64, text: &[u8]) {
    out.push(b"* OK [");
    out.push(word);
    answer::digits(out, number);
    out.push(b"] ");
    out.push(text);
    out.push(b"\r\n");
}

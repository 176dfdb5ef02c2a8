//! COPY, MOVE and their UID forms (RFC 3501 §6.4.7, RFC 6851), with COPYUID (RFC 4315 §3).

use connection::Output;
use imap_wire::Selected;
use message_store::{Carry, Flags, Mailbox, Rights, StoreError, UidSet};

use super::{Done, News, Outcome, not_now};
use crate::answer;
use crate::flags;
use crate::message_limit;
use crate::names;
use crate::refusal::Refusal;
use crate::sequences;
use crate::server::Server;
use crate::state::State;

/// Whether the messages stay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Copy,
    Move,
}

/// Copies or moves, all or nothing. Of more messages than one command works on, MOVE moves the last; COPY is refused (RFC 9738).
pub fn run(
    server: &Server,
    state: &State,
    asked: &Selected,
    kind: Kind,
    out: &mut Output,
) -> Result<Outcome, Refusal> {
    let State::Selected { user, view } = state else { return Err(not_now(state)) };
    view.may(Rights::READ)?;
    let store = &server.store;
    let name = server.target(user.who(), names::named(&asked.to)?)?;
    let ranges = sequences::resolve(&asked.set, view, asked.uid)?;
    if kind == Kind::Move && view.is_read_only() {
        return Err(Refusal::ReadOnly);
    }
    if kind == Kind::Move {
        view.may(Rights::DELETE_MESSAGES | Rights::EXPUNGE)?; // RFC 6851 §4.4
    }
    let to = match store.open_mailbox(&name) {
        Err(StoreError::NotFound) => return Err(Refusal::TryCreate), // RFC 3501 §6.4.7
        other => other?,
    };
    store.room_in(&name)?;
    let settings = server.settings();
    let most = if kind == Kind::Copy { settings.saved_max } else { settings.messages_max };
    let (ranges, cut) = message_limit::bound(ranges, most, view);
    if let Some(cut) = cut.filter(|_| kind == Kind::Copy) {
        return Err(cut.refusal());
    }
    let uids: UidSet = view.uids(&ranges);
    let within = flags::within(server.rights(user.who(), &name)?);
    let target = user.who().apart_in(&name).map(|uid| to.seen_by(uid)).transpose()?;
    let source = view.apart.as_ref().map(|apart| apart.table().seen());
    // In the target \Seen is for all, or for this user.
    let flags = if target.is_some() { within.flags & !Flags::SEEN } else { within.flags };
    let carry = Carry { flags, keywords: within.keywords, seen: source };
    let seen_before: UidSet = ranges
        .iter()
        .cloned()
        .flatten()
        .filter_map(|sequence| view.record(sequence))
        .filter(|(_, record)| target.is_some() && record.flags.contains(Flags::SEEN))
        .map(|(_, record)| record.uid)
        .collect();
    let pairs = match kind {
        _ if uids.is_empty() => Vec::new(),
        Kind::Copy => view.mailbox.copy_with(&uids, &to, carry)?,
        Kind::Move => view.mailbox.move_with(&uids, &to, carry)?,
    };
    if let Some(target) = target.filter(|_| within.flags.contains(Flags::SEEN)) {
        let seen = pairs.iter().filter(|(from, _)| seen_before.contains(*from)).map(|(_, to)| *to).collect();
        // The messages are there: a client that is told NO now would copy them again.
        let _ = target.change(&seen, true);
    }
    let text = if kind == Kind::Copy { "COPY completed" } else { "MOVE completed" };
    let mut done = Done::new(text).with(News { with_uid: asked.uid, ..News::all() });
    done.cut = cut;
    let code = copyuid(&to, &pairs);
    if kind == Kind::Move && !code.is_empty() {
        // RFC 6851 §4.3: before the EXPUNGE responses.
        answer::tagged(out, b"*", "OK", &code, "Moved");
        done.tells_modseq = true;
    } else {
        done.code = code;
    }
    Ok(Outcome::Done(done))
}

/// `COPYUID 38505 304,319:320 3956:3958`; empty when no message was copied.
fn copyuid(to: &Mailbox, pairs: &[(u32, u32)]) -> String {
    if pairs.is_empty() {
        return String::new();
    }
    let from = answer::uid_set(pairs.iter().map(|(from, _)| *from));
    let into = answer::uid_set(pairs.iter().map(|(_, to)| *to));
    format!("COPYUID {} {from} {into}", to.uid_validity())
}

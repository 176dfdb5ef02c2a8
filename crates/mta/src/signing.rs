//! DKIM signatures on what this host writes itself: reports, answers, and copies whose header was changed.

use base::content::{Content, Whole};
use mail_queue::{Entry, IncomingMessage, Part, QueueError, QueueId};
use server_log::Category;

use crate::mta::Desk;

/// Signs a message that is about to be committed, whose Return-Path ends at `relay_offset`. Without a key for its author it
/// stays as it is, and so it does when it cannot be signed.
///
/// # Errors
/// The queue's; the message cannot be committed any more.
pub fn sign_own(desk: &Desk, message: &mut IncomingMessage, relay_offset: u64) -> Result<(), QueueError> {
    if !desk.settings.signs || desk.signer.keyring().is_empty() {
        return Ok(());
    }
    let size = message.size();
    let fields = match signatures(desk, &message.look()?, relay_offset) {
        Ok(fields) => fields,
        Err(why) => {
            desk.log.error(Category::Protocol, format_args!("{}: not signed: {why}", message.id()));
            None
        }
    };
    let Some(fields) = fields else { return Ok(()) };
    message.rebuild(&[Part::Kept(0..relay_offset), Part::New(fields), Part::Kept(relay_offset..size)])
}

fn signatures(desk: &Desk, whole: &Whole<'_>, relay_offset: u64) -> Result<Option<Vec<u8>>, dkim::SignError> {
    let text = behind(whole, relay_offset);
    let (header, body) = text.split_at(mail_format::header::header_length(text));
    desk.signer.signatures(header, body, now(), |_| true)
}

/// Signs a copy with another header than the message it was made of, when this host had signed that one and its signature
/// does not hold any more. What came from elsewhere is not signed, whatever its From says.
///
/// # Errors
/// As [`sign_own`].
pub fn sign_again(
    desk: &Desk,
    original: &Entry,
    message: &mut IncomingMessage,
    relay_offset: u64,
) -> Result<(), QueueError> {
    if !desk.settings.signs || desk.signer.keyring().is_empty() {
        return Ok(());
    }
    let content = original.body().open()?;
    if !desk.signer.vouches_for(behind(&content.whole()?, original.envelope.relay_offset), now()) {
        return Ok(());
    }
    let holds = desk.signer.vouches_for(behind(&message.look()?, relay_offset), now());
    if holds { Ok(()) } else { sign_own(desk, message, relay_offset) }
}

/// The signature of a message of ours that another host takes only in another encoding, which breaks the one it has. `content` is
/// its file, and where it begins in it. Empty when it is not ours.
pub fn encoded(desk: &Desk, id: &QueueId, content: (&Content, u64), encoded: &Content) -> Vec<u8> {
    if !desk.settings.signs || desk.signer.keyring().is_empty() {
        return Vec::new();
    }
    let sign = || {
        let (original, new) = (content.0.whole()?, encoded.whole()?);
        if !desk.signer.vouches_for(behind(&original, content.1), now()) {
            return Ok(None);
        }
        let (header, body) = new.split_at(mail_format::header::header_length(&new));
        desk.signer.signatures(header, body, now(), |_| true).map_err(std::io::Error::other)
    };
    sign()
        .unwrap_or_else(|why| {
            desk.log.error(Category::Protocol, format_args!("{id}: not signed again: {why}"));
            None
        })
        .unwrap_or_default()
}

fn behind(bytes: &[u8], offset: u64) -> &[u8] {
    usize::try_from(offset).ok().and_then(|at| bytes.get(at..)).unwrap_or_default()
}

fn now() -> u64 {
    base::clock::unix_seconds().unsigned_abs()
}

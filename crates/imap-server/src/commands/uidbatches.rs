//! UIDBATCHES: ranges of UIDs that cut a mailbox into parts of so many messages, the newest first (RFC 10022).

use connection::Output;
use imap_wire::command::uidbatches::UidBatches;

use crate::answer;
use crate::refusal::Refusal;
use crate::view::View;

/// Messages of one batch at least.
const SIZE_MIN: u32 = 500;
/// Messages that the batches asked for have at most, when a client names which.
const MESSAGES_MAX: u64 = 100_000;
/// Ranges of one response at most.
const RANGES_MAX: u32 = 10_000;

/// `* UIDBATCHES (TAG "A143") 215295:99696,99695:20351,20350:1`. The ranges leave no UID out: the last one ends at 1.
pub fn run(view: &View, asked: &UidBatches, tag: &[u8], out: &mut Output) -> Result<(), Refusal> {
    let size = asked.size;
    if size < SIZE_MIN {
        return Err(Refusal::TooFew);
    }
    let count = view.exists().div_ceil(size);
    let (from, to) = match asked.range {
        Some((from, to)) if from > to => return Err(Refusal::ClientBug("The batches are in reverse order")),
        Some((from, to)) if (u64::from(to - from) + 1) * u64::from(size) > MESSAGES_MAX => {
            return Err(Refusal::TooMany);
        }
        Some((from, to)) => (from, to.min(count)),
        None if count > RANGES_MAX => return Err(Refusal::TooMany),
        None => (1, count),
    };
    out.push(b"* UIDBATCHES (TAG \"");
    out.push(tag);
    out.push(b"\")");
    for batch in from..=to {
        let low = lowest(view, size, batch);
        let high = if batch == 1 { view.last_uid() } else { lowest(view, size, batch - 1).saturating_sub(1) };
        out.push(if batch == from { b" " } else { b"," });
        answer::digits(out, high.into());
        out.push(b":");
        answer::digits(out, low.into());
    }
    out.push(b"\r\n");
    Ok(())
}

/// The UID that a batch (from 1, the newest) goes down to.
fn lowest(view: &View, size: u32, batch: u32) -> u32 {
    let above = u64::from(size) * u64::from(batch);
    match u64::from(view.exists()).checked_sub(above) {
        Some(below @ 1..) => {
            let sequence = u32::try_from(below + 1).unwrap_or(u32::MAX);
            view.record(sequence).map_or(1, |(_, record)| record.uid)
        }
        _ => 1,
    }
}

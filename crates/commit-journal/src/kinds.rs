//! The first byte of a record says whose it is, since smtpd's one journal serves the queue and the store: what a mailbox was
//! delivered need not be written twice. What follows the byte is its owner's affair (`docs/formats/queue.md`, `store.md`),
//! but for where a message stands.

/// The queue has a message: its id 12, the length of the envelope 4, 1 when the message follows 1, envelope, message.
pub const ACCEPTED: u8 = 1;
/// The queue is done with a message.
pub const FINISHED: u8 = 2;
/// The queue's files of a message are on stable storage.
pub const LEFT: u8 = 3;
/// Steps of a message that the queue has no file of.
pub const STEPS: u8 = 4;
/// A mailbox has changed.
pub const CHANGED: u8 = 5;

/// Bytes of a queue id in a record.
pub const ID_BYTES: usize = 12;

/// Id and bytes of the message that the queue has by this record; nothing when it is another record, or without a message.
pub fn accepted_message(record: &[u8]) -> Option<(&[u8], &[u8])> {
    let (kind, rest) = record.split_first()?;
    let (id, rest) = rest.split_at_checked(ID_BYTES)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (has_message, rest) = rest.split_first()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (_, message) = rest.split_at_checked(length)?;
    (*kind == ACCEPTED && *has_message == 1).then_some((id, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_an_accepted_record_is_found_and_no_other() {
        let record = |kind: u8, has: u8| {
            let head = [&[kind][..], b"GPM7U00A.1B2", &3u32.to_le_bytes(), &[has]].concat();
            [&head[..], b"env", b"message"].concat()
        };
        let found = record(ACCEPTED, 1);
        assert_eq!(accepted_message(&found), Some((&b"GPM7U00A.1B2"[..], &b"message"[..])));
        assert_eq!(accepted_message(&record(ACCEPTED, 0)), None);
        assert_eq!(accepted_message(&record(FINISHED, 1)), None);
        for cut in 0..21 {
            assert_eq!(accepted_message(&found[..cut]), None, "{cut}");
        }
    }
}

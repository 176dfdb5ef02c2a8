//! The difference between a folder of the source and its mailbox, read anew from the store.

use message_store::{Flags, Mailbox, Record};

use super::report::Report;
use super::source::{Keywords, Listing, Marks, Message};
use super::state::State;

/// Where a message is, for who looks for it.
pub fn place(message: &Message) -> String {
    match message.uid {
        Some(uid) if message.key == uid.to_string() => format!("message {uid}"),
        _ => format!("message {}", base::escape(&message.key)),
    }
}

/// Flags and keywords of a record, by the numbers of `keywords`.
pub fn marks_of(record: &Record, names: &[String], keywords: &mut Keywords) -> Marks {
    let mut marks = Marks { flags: record.flags & Flags::SYSTEM, keywords: Vec::new() };
    let set = names.iter().enumerate().filter(|(bit, _)| record.keywords >> bit & 1 == 1);
    for (_, name) in set {
        if let Some(number) = keywords.number(name) {
            marks.add_keyword(number);
        }
    }
    marks
}

/// Counts and tells what is different.
///
/// # Errors
/// The mailbox cannot be read.
pub fn compare(
    mailbox: &Mailbox,
    listing: &Listing,
    state: &State,
    fits: &[bool],
    report: &mut Report,
) -> Result<(), String> {
    let told = |why: message_store::StoreError| format!("{}: {why}", mailbox.name());
    let reader = mailbox.reader().map_err(told)?;
    let names = mailbox.keywords();
    let mut keywords = listing.keywords.clone();
    report.messages += listing.messages.len() as u64;
    for message in &listing.messages {
        let Some(known) = state.known.get(&message.key) else { continue }; // told as failed, or as missing
        let Ok(slot) = reader.slot_of(known.uid) else {
            report.removed_here += 1;
            continue;
        };
        let record = reader.record(slot);
        if record.flags.contains(Flags::DAMAGED) {
            report.differ(&format!("{}: its record here is damaged; see reconstruct", place(message)));
            continue;
        }
        if record.is_expunged() {
            report.removed_here += 1;
            continue;
        }
        match reader.cold(slot) {
            Ok(cold) if cold.internal_date_ns.div_euclid(1_000_000_000) == message.date => {}
            Ok(_) => report.differ(&format!("{}: its date is another", place(message))),
            Err(why) => report.differ(&format!("{}: {why}", place(message))),
        }
        let mut wanted = message.marks.clone();
        wanted.keywords.retain(|one| fits.get(usize::from(*one)) == Some(&true));
        let here = marks_of(&record, &names, &mut keywords);
        if here != wanted {
            match record.modseq > known.modseq {
                true => report.changed_here += 1,
                false => report.differ(&format!("{}: its flags are others", place(message))),
            }
        } else if known.marks != message.marks {
            report.differ(&format!("{}: its flags were not noted", place(message)));
        }
    }
    Ok(())
}

//! `reconstruct -e`: what was expunged and whose file is still there comes back, as new messages.
//!
//! Under new UIDs: a client that was told that a UID is gone need not look for it again (RFC 7162 §3.2.10), and one that
//! only asks for what is new finds these. Flags, keywords and dates stay; \Deleted does not.

use std::collections::HashSet;

use crate::append::NewMessage;
use crate::mailbox::{Mailbox, Reader};
use crate::multiappend::Complete;
use crate::rebuild::files;
use crate::restore::Wanted;
use crate::{Flags, Result};

/// Messages of one transaction.
const BATCH: usize = 200;

impl Mailbox {
    /// How many came back. Interrupted, it may be done again: what is back is known by its file.
    ///
    /// # Errors
    /// What came back by then stays.
    pub fn unexpunge(&self) -> Result<usize> {
        let reader = self.reader()?;
        let doomed = self.restorable(&reader)?;
        let names = self.keywords();
        for batch in doomed.chunks(BATCH) {
            let mut coming: Vec<(Complete, NewMessage, Wanted)> = Vec::new();
            for slot in batch {
                coming.push(self.coming_back(&reader, *slot, &names)?);
            }
            self.restore_all(&coming, false)?;
            self.unlink(&mut batch.iter().map(|slot| reader.record(*slot).uid).collect())?;
        }
        Ok(doomed.len())
    }

    /// Slots of the expunged messages whose files are there, and no other message's.
    fn restorable(&self, reader: &Reader) -> Result<Vec<u32>> {
        let files = files(&self.folder)?;
        let inode = |uid: u32| files.get(&uid).map(|(_, inode)| *inode);
        let records = || (0..reader.slots()).map(|slot| (slot, reader.record(slot)));
        let kept: HashSet<u64> = records()
            .filter(|(_, record)| !record.is_expunged())
            .filter_map(|(_, record)| inode(record.uid))
            .collect();
        let is_gone = |flags: Flags| flags.contains(Flags::UNLINKED) || flags.contains(Flags::DAMAGED);
        Ok(records()
            .filter(|(_, record)| record.is_expunged() && !is_gone(record.flags))
            .filter(|(_, record)| inode(record.uid).is_some_and(|inode| !kept.contains(&inode)))
            .map(|(slot, _)| slot)
            .collect())
    }

    fn coming_back(
        &self,
        reader: &Reader,
        slot: u32,
        names: &[String],
    ) -> Result<(Complete, NewMessage, Wanted)> {
        let (record, cold) = (reader.record(slot), reader.cold(slot)?);
        let keywords = names.iter().enumerate().filter(|(bit, _)| record.keywords >> bit & 1 == 1);
        let message = NewMessage {
            flags: record.flags.of_message() & !Flags::DELETED,
            keywords: keywords.map(|(_, name)| name.clone()).collect(),
            internal_date_ns: cold.internal_date_ns,
        };
        Ok((self.link_from(self, record.uid)?, message, Wanted { uid: None, guid: cold.guid }))
    }
}

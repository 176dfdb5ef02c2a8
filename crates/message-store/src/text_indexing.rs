//! How the index of words is made, by stored only: behind the deliveries, which know nothing of it.
//!
//! Messages that no segment covers become a segment when there are enough of them; segments that are small are merged into
//! larger ones, and so are those of which most messages are gone. Nothing is synced: a segment that a power cut leaves
//! half-written does not verify, and is made again.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use mail_format::Structure;
use mail_format::searchable::{HEADER_BYTES_MAX, Stage, Text, Walk};
use os::lock::{Mode, OfdLock};
use os::map::FileMap;
use text_index::{Builder, Merged, Segment, Side, merge};

use crate::mailbox::{Mailbox, Reader, open_lock_file};
use crate::text_index::{Span, mark, open, spans};
use crate::{Result, StoreError};

/// Byte of the lock file that who makes the index holds.
const TEXTS_BYTE: u32 = 4;
/// Bytes that the words of a segment may take in memory while it is made.
const MEMORY_MAX: usize = 32 * 1024 * 1024;
/// Messages of a segment that is made of messages.
const BUILT_MAX: usize = 16_384;
/// Messages of a segment that is made of segments.
const MERGED_MAX: u32 = 131_072;
/// Segments of so many messages to so many are merged when there are as many in a row, and smaller ones between them with them.
const CLASSES: [(std::ops::Range<u32>, usize); 3] = [(0..2048, 8), (2048..16_384, 8), (16_384..65_536, 4)];
/// A file that is not a segment yet.
const NEW: &str = "new";

/// What was done to an index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextsIndexed {
    /// Messages whose words were taken in, and the bytes of their texts.
    pub messages: u64,
    pub text_bytes: u64,
    /// Segments that were made of others.
    pub merged: u32,
    /// The pace ended the work before it was done.
    pub is_stopped: bool,
}

/// Called with bytes that were read or written since the last time; false ends the work.
pub type Pace<'p> = dyn FnMut(u64) -> bool + 'p;

impl Mailbox {
    /// Brings the index of words up to date: whatever at least `messages_min` messages in a row no segment covers becomes one.
    /// Does nothing while another process is at it.
    ///
    /// # Errors
    /// The system's, damage of the mailbox. A damaged index is no error: it goes.
    pub fn index_texts(&self, messages_min: u32, pace: &mut Pace<'_>) -> Result<TextsIndexed> {
        let mut done = TextsIndexed::default();
        let folder = self.texts_folder();
        let (known, waste) = spans(&folder);
        let reader = self.reader()?;
        let gaps = gaps(&reader, &known);
        let is_due = gaps.iter().any(|gap| gap.len() >= messages_min.max(1) as usize);
        let exists = self.status()?.exists;
        let is_mostly_gone = known.iter().map(|span| u64::from(span.docs)).sum::<u64>()
            > 2 * u64::from(exists) + u64::from(messages_min);
        if !is_due && waste.is_empty() && !is_mostly_gone && next_merge(&known).is_none() {
            return Ok(done);
        }
        let lock_file = open_lock_file(&self.folder)?;
        let Some(_lock) = OfdLock::try_acquire(&lock_file, TEXTS_BYTE, Mode::Exclusive)? else {
            return Ok(done);
        };
        make(&folder)?;
        for path in spans(&folder).1 {
            let _ = fs::remove_file(path);
        }
        for gap in gaps.iter().filter(|gap| gap.len() >= messages_min.max(1) as usize) {
            self.index_gap(&reader, gap, pace, &mut done)?;
            if done.is_stopped {
                return Ok(done);
            }
        }
        while let Some(range) = next_merge(&spans(&folder).0) {
            let before = done.merged;
            self.merge_spans(&spans(&folder).0[range], pace, &mut done)?;
            if done.is_stopped || done.merged == before {
                return Ok(done);
            }
        }
        if is_mostly_gone {
            self.rewrite_sparse(pace, &mut done)?;
        }
        Ok(done)
    }

    /// Makes segments of messages that follow one another.
    fn index_gap(
        &self,
        reader: &Reader,
        gap: &[u32],
        pace: &mut Pace<'_>,
        done: &mut TextsIndexed,
    ) -> Result<()> {
        let mut builder = Builder::new();
        let mut first = None;
        for (place, slot) in gap.iter().enumerate() {
            let record = reader.record(*slot);
            first.get_or_insert(record.uid);
            let read = if record.is_expunged() { 0 } else { self.take_in(reader, *slot, &mut builder)? };
            let is_last = place + 1 == gap.len();
            let is_full = builder.memory() > MEMORY_MAX || builder.docs() >= BUILT_MAX;
            done.is_stopped = !pace(read);
            if is_last || is_full || done.is_stopped {
                let (from, last) = (first.take().unwrap_or(record.uid), record.uid);
                self.write_segment(std::mem::take(&mut builder), from, last, done)?;
            }
            if done.is_stopped {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Takes in one message; the bytes that were read. Of one that cannot be read nothing is known: a search looks at it, and
    /// says what is wrong.
    fn take_in(&self, reader: &Reader, slot: u32, builder: &mut Builder) -> Result<u64> {
        let cold = reader.cold(slot)?;
        let texts = (|| -> Result<_> {
            let cached = self.cached_of(&cold)?;
            let bytes = FileMap::open(&self.open_message_of(cold.uid, cold.size)?.file)?;
            let structure = Structure::decode(cached.structure_bytes());
            Ok((cached, bytes, structure.ok_or_else(|| self.damaged("the part table of a message"))?))
        })();
        builder.begin(cold.uid, mark(&cold));
        let Ok((cached, bytes, structure)) = texts else {
            builder.nothing_known();
            return Ok(0);
        };
        let header_end = u64::from(cold.header_size).min(HEADER_BYTES_MAX).min(bytes.len() as u64);
        let header = cached.header().unwrap_or(&bytes[..header_end as usize]);
        let read = |start: u64, end: u64| Ok(slice(&bytes, start, end).to_vec());
        let mut structure = Some(structure);
        let mut walk = Walk::new(true);
        let mut is_in_body = false;
        let mut wants_more = true;
        while !walk.is_over() && wants_more {
            let mut take = |text: Text<'_>| {
                if is_in_body && !matches!(text, Text::Body { is_first: false, .. }) {
                    builder.end_text(Side::Body);
                }
                is_in_body = matches!(text, Text::Body { .. });
                wants_more = match text {
                    Text::Addresses { value, .. } => builder.text(Side::Header, value, false),
                    Text::Header { name, value } | Text::PartHeader { name, value } => {
                        builder.text(Side::Header, &format!("{name}: {value}"), false)
                    }
                    Text::InnerHeader { name, value } => {
                        builder.text(Side::Body, &format!("{name}: {value}"), false)
                    }
                    Text::Body { piece, .. } => builder.text(Side::Body, piece, true),
                };
                wants_more
            };
            match (walk.stage(), structure.take()) {
                (Stage::Header, kept) => {
                    walk.header(header, &mut take);
                    structure = kept;
                }
                (Stage::Structure, Some(structure)) => walk.structure(structure),
                (Stage::Structure, None) => walk.stop(),
                _ => drop(walk.step(&read, &mut take)?),
            }
        }
        if is_in_body {
            builder.end_text(Side::Body);
        }
        if bytes.verify().is_err() {
            builder.nothing_known(); // it was cut meanwhile: zeros were read
        }
        Ok(bytes.len() as u64)
    }

    fn write_segment(&self, builder: Builder, first: u32, last: u32, done: &mut TextsIndexed) -> Result<()> {
        let docs = u32::try_from(builder.docs()).unwrap_or(u32::MAX);
        if docs == 0 {
            return Ok(());
        }
        let folder = self.texts_folder();
        let new = folder.join(NEW);
        let written = builder.finish(create(&new)?, self.owner())?;
        base::crash::step("text index: segment written");
        fs::rename(&new, folder.join(Span { first, last, docs }.name()))?;
        base::crash::step("text index: segment named");
        done.messages += u64::from(docs);
        done.text_bytes += written.text_bytes;
        Ok(())
    }

    /// One segment instead of these, of the messages that are still there.
    fn merge_spans(&self, inputs: &[Span], pace: &mut Pace<'_>, done: &mut TextsIndexed) -> Result<()> {
        let folder = self.texts_folder();
        let Some(segments) = self.open_all(&folder, inputs) else { return Ok(()) };
        let (Some(first), Some(last)) = (inputs.first(), inputs.last()) else { return Ok(()) };
        let reader = self.reader()?;
        let lives = |doc: &text_index::Doc| {
            reader.slot_of(doc.number).is_ok_and(|slot| !reader.record(slot).is_expunged())
        };
        let new = folder.join(NEW);
        let file = create(&new)?;
        let merged = match merge(&segments.iter().collect::<Vec<_>>(), &lives, &file, pace) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                // Which of them is damaged, nobody knows: all are made again.
                inputs
                    .iter()
                    .for_each(|span| self.remove_segment(&folder.join(span.name()), &error.to_string()));
                let _ = fs::remove_file(&new);
                return Ok(());
            }
            merged => merged?,
        };
        match merged {
            Merged::Stopped => done.is_stopped = true,
            Merged::Empty => remove_all(&folder, inputs, None),
            Merged::Done(written) => {
                base::crash::step("text index: segments merged");
                let span = Span { first: first.first, last: last.last, docs: written.docs };
                fs::rename(&new, folder.join(span.name()))?;
                base::crash::step("text index: merged segment named");
                remove_all(&folder, inputs, Some(span));
                done.merged += 1;
                return Ok(());
            }
        }
        let _ = fs::remove_file(&new);
        Ok(())
    }

    /// All of them; nothing when one cannot be believed, which is removed then.
    fn open_all(&self, folder: &Path, spans: &[Span]) -> Option<Vec<Segment>> {
        let mut segments = Vec::with_capacity(spans.len());
        for span in spans {
            let path = folder.join(span.name());
            match open(self, *span, &path) {
                Ok(opened) => segments.push(opened.segment),
                Err(why) => self.remove_segment(&path, &why),
            }
        }
        (segments.len() == spans.len()).then_some(segments)
    }

    /// Segments most of whose messages are gone are written anew.
    fn rewrite_sparse(&self, pace: &mut Pace<'_>, done: &mut TextsIndexed) -> Result<()> {
        let reader = self.reader()?;
        for span in spans(&self.texts_folder()).0 {
            let slot = |uid: u32| match reader.slot_of(uid) {
                Ok(slot) | Err(slot) => slot,
            };
            let end = span.last.checked_add(1).map_or(reader.slots(), slot);
            let live = (slot(span.first)..end).filter(|slot| !reader.record(*slot).is_expunged()).count();
            if (live as u64) * 2 < u64::from(span.docs) {
                self.merge_spans(&[span], pace, done)?;
            }
            if done.is_stopped {
                return Ok(());
            }
        }
        Ok(())
    }
}

fn slice(bytes: &[u8], start: u64, end: u64) -> &[u8] {
    let at = |place: u64| usize::try_from(place).unwrap_or(usize::MAX).min(bytes.len());
    &bytes[at(start)..at(end).max(at(start))]
}

fn make(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn remove_all(folder: &Path, spans: &[Span], but: Option<Span>) {
    for span in spans.iter().filter(|span| Some(**span) != but) {
        let _ = fs::remove_file(folder.join(span.name()));
    }
}

/// The slots of messages that are there and that no segment covers, run by run.
fn gaps(reader: &Reader, known: &[Span]) -> Vec<Vec<u32>> {
    let slot = |uid: u32| match reader.slot_of(uid) {
        Ok(slot) | Err(slot) => slot,
    };
    let mut from = 0;
    let mut gaps = Vec::new();
    let ends =
        known.iter().map(|span| (slot(span.first), span.last.checked_add(1).map_or(reader.slots(), slot)));
    for (to, next) in ends.chain([(reader.slots(), 0)]) {
        let gap: Vec<u32> = (from..to).filter(|slot| !reader.record(*slot).is_expunged()).collect();
        if !gap.is_empty() {
            gaps.push(gap);
        }
        from = next;
    }
    gaps
}

/// Segments in a row that should be one.
fn next_merge(spans: &[Span]) -> Option<std::ops::Range<usize>> {
    for (class, count) in CLASSES {
        let limit = class.end;
        let mut start = 0;
        for end in 0..=spans.len() {
            let run = &spans[start..end];
            let is_over = spans.get(end).is_none_or(|next| {
                next.docs >= limit || run.iter().map(|span| span.docs).sum::<u32>() + next.docs > MERGED_MAX
            });
            if !is_over {
                continue;
            }
            if run.iter().filter(|span| class.contains(&span.docs)).count() >= count {
                return Some(start..end);
            }
            start = if spans.get(end).is_some_and(|next| next.docs < limit) { end } else { end + 1 };
            start = start.min(spans.len());
        }
    }
    None
}

impl From<text_index::Damaged> for StoreError {
    fn from(damaged: text_index::Damaged) -> StoreError {
        StoreError::Damaged(damaged.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(docs: &[u32]) -> Vec<Span> {
        let mut next = 1;
        let mut one = |docs: &u32| {
            let span = Span { first: next, last: next + docs - 1, docs: *docs };
            next += docs;
            span
        };
        docs.iter().map(&mut one).collect()
    }

    #[test]
    fn small_segments_in_a_row_become_one() {
        assert_eq!(next_merge(&row(&[256; 7])), None);
        assert_eq!(next_merge(&row(&[256; 8])), Some(0..8));
        assert_eq!(next_merge(&row(&[&[4000][..], &[256; 9], &[70_000]].concat())), Some(1..10));
        assert_eq!(next_merge(&row(&[4000; 8])), Some(0..8));
        assert_eq!(next_merge(&row(&[&[20_000; 4][..], &[256; 3]].concat())), Some(0..7));
        assert_eq!(next_merge(&row(&[70_000; 9])), None);
    }

    /// However mail comes, the segments stay few, and each message is merged a few times only.
    #[test]
    fn a_million_messages_are_few_segments() {
        let (mut sizes, mut work) = (Vec::new(), 0u64);
        for _ in 0..1_000_000 / 256 {
            sizes.push(256);
            while let Some(range) = next_merge(&row(&sizes)) {
                let sum = sizes[range.clone()].iter().sum();
                work += u64::from(sum);
                sizes.splice(range, [sum]);
            }
            assert!(sizes.len() < 45, "{sizes:?}");
        }
        assert!(work < 5_000_000, "{work}");
    }
}

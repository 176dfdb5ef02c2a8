//! The index of the words of a mailbox's messages, as searches ask it (`docs/formats/text-index.md`).
//!
//! It is a folder of segments, each about a range of UIDs, made by stored behind the deliveries (`text_indexing.rs`). Nothing
//! else depends on it: what no segment knows of is looked at in the messages. A segment is believed only when it is of this
//! mailbox and its UIDVALIDITY, when it is whole, and when its messages have the content that it saw; else it is removed.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

pub use text_index::{Answer, Bits, Close, Like, Query, Scope, Words};
use text_index::{Damaged, Owner, Segment};

use crate::layout::TEXT_INDEX;
use crate::mailbox::Mailbox;
use crate::record::{Cold, Record};
use crate::{Result, Severity};

/// Of what segments hold: how words are cut and folded, and how they are written. A segment of another version is waste.
const VERSION: &str = ".4";

/// A segment's place, as its name says: `first-last-documents`, and the version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub first: u32,
    pub last: u32,
    pub docs: u32,
}

impl Span {
    pub fn name(&self) -> String {
        format!("{}-{}-{}{VERSION}", self.first, self.last, self.docs)
    }

    fn parse(name: &str) -> Option<Span> {
        let mut numbers = name.strip_suffix(VERSION)?.split('-').map(|number| number.parse().ok());
        let (first, last, docs) = (numbers.next()??, numbers.next()??, numbers.next()??);
        (numbers.next().is_none() && first <= last).then_some(Span { first, last, docs })
    }
}

/// The segments in the folder of an index, ascending and disjoint, and what lies beside them: segments that are within others
/// since a merge was interrupted, and files that nobody finished.
pub(crate) fn spans(folder: &Path) -> (Vec<Span>, Vec<PathBuf>) {
    let (mut spans, mut waste) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_name().to_str().and_then(Span::parse) {
            Some(span) => spans.push(span),
            None => waste.push(entry.path()),
        }
    }
    spans.sort_unstable_by_key(|span| (span.first, std::cmp::Reverse(span.last)));
    let mut end = None;
    spans.retain(|span| {
        let is_apart = end.is_none_or(|end| span.first > end);
        if is_apart {
            end = Some(span.last);
        } else {
            waste.push(folder.join(span.name()));
        }
        is_apart
    });
    (spans, waste)
}

/// The content of a message, as a segment remembers it.
pub(crate) fn mark(cold: &Cold) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&cold.guid[..8]);
    u64::from_le_bytes(bytes)
}

/// The index of a mailbox at one moment; all sessions share it.
pub struct TextIndex {
    segments: Vec<Arc<TextSegment>>,
}

impl TextIndex {
    /// The segment that covers this UID.
    pub fn at(&self, uid: u32) -> Option<&Arc<TextSegment>> {
        let after = self.segments.partition_point(|segment| segment.span.first <= uid);
        self.segments.get(after.checked_sub(1)?).filter(|segment| uid <= segment.span.last)
    }

    /// In the order of the UIDs.
    pub fn segments(&self) -> &[Arc<TextSegment>] {
        &self.segments
    }
}

/// What is kept of an index between two looks at its folder.
pub(crate) struct Seen {
    changed: SystemTime,
    generation: u64,
    index: Arc<TextIndex>,
}

pub(crate) type Texts = Mutex<Option<Seen>>;

/// One segment, opened when it is first asked.
pub struct TextSegment {
    span: Span,
    path: PathBuf,
    inode: u64,
    opened: OnceLock<Option<Opened>>,
    /// It was found to be damaged since it was opened.
    broken: OnceLock<()>,
}

impl TextSegment {
    /// UIDs from the first to the last that it covers.
    pub fn uids(&self) -> std::ops::RangeInclusive<u32> {
        self.span.first..=self.span.last
    }

    /// How many messages it knows.
    pub fn messages(&self) -> u32 {
        self.span.docs
    }

    /// Where the message is in the answers of this segment; nothing when the segment does not know it.
    pub fn place_of(&self, uid: u32) -> Option<u32> {
        self.segment()?.place_of(uid).ok()
    }

    /// Whether it knows every message that is there among those it covers.
    pub fn knows_all(&self) -> bool {
        self.opened.get().and_then(Option::as_ref).is_some_and(|opened| opened.knows_all)
    }

    /// The UID at a place of the answers.
    pub fn uid_at(&self, place: u32) -> Option<u32> {
        self.segment()?.doc(place).map(|doc| doc.number)
    }

    fn segment(&self) -> Option<&Segment> {
        self.opened.get()?.as_ref().filter(|_| self.broken.get().is_none()).map(|opened| &opened.segment)
    }

    /// What it says to a question; nothing when it cannot be believed, and is not there from now on.
    pub fn ask(&self, mailbox: &Mailbox, query: &Query) -> Option<Answer> {
        self.believed(mailbox, |segment| query.ask(segment))
    }

    /// The same about a word that messages may have in another form.
    pub fn ask_like(&self, mailbox: &Mailbox, like: &Like, scope: Scope) -> Option<Close> {
        self.believed(mailbox, |segment| like.ask(segment, scope))
    }

    fn believed<T>(
        &self,
        mailbox: &Mailbox,
        ask: impl FnOnce(&Segment) -> std::result::Result<T, Damaged>,
    ) -> Option<T> {
        self.opened.get_or_init(|| match open(mailbox, self.span, &self.path) {
            Ok(opened) => Some(opened),
            Err(why) => {
                mailbox.remove_segment(&self.path, &why);
                None
            }
        });
        match ask(self.segment()?) {
            Ok(answer) => Some(answer),
            Err(damaged) => {
                if self.broken.set(()).is_ok() {
                    mailbox.remove_segment(&self.path, &damaged.to_string());
                }
                None
            }
        }
    }
}

/// A segment that was compared with the mailbox.
pub(crate) struct Opened {
    pub segment: Segment,
    /// No message is among those it covers that it has not seen, nor a record that cannot be read and may be one.
    knows_all: bool,
}

/// Opens a segment and compares it with the mailbox; or why it is not to be believed.
pub(crate) fn open(mailbox: &Mailbox, span: Span, path: &Path) -> std::result::Result<Opened, String> {
    let text = |why: &dyn std::fmt::Display| why.to_string();
    let file = File::open(path).map_err(|why| text(&why))?;
    let segment = Segment::open(&file).map_err(|why| text(&why))?;
    if segment.owner() != mailbox.owner() || segment.docs() != span.docs {
        return Err("it is another mailbox's index of words".into());
    }
    let reader = mailbox.reader().map_err(|why| text(&why))?;
    let slot_from = |uid: u32| match reader.slot_of(uid) {
        Ok(slot) | Err(slot) => slot,
    };
    let end = span.last.checked_add(1).map_or(reader.slots(), slot_from);
    let mut knows_all = true;
    let mut docs = (0..segment.docs()).filter_map(|place| segment.doc(place)).peekable();
    for slot in slot_from(span.first)..end {
        let record = reader.record(slot);
        if record == Record::DAMAGED {
            knows_all = false;
            continue;
        }
        while docs.next_if(|doc| doc.number < record.uid).is_some() {} // removed for good
        match docs.next_if(|doc| doc.number == record.uid) {
            Some(doc) if !reader.cold(slot).is_ok_and(|cold| mark(&cold) == doc.mark) => {
                return Err(format!("the index of words saw another message {}", doc.number));
            }
            Some(_) => {}
            None => knows_all &= record.is_expunged(),
        }
    }
    Ok(Opened { segment, knows_all })
}

impl Mailbox {
    pub(crate) fn owner(&self) -> Owner {
        Owner { id: self.id, stamp: self.uid_validity() }
    }

    pub(crate) fn texts_folder(&self) -> PathBuf {
        self.folder.join(TEXT_INDEX)
    }

    /// The index of words as it is now; nothing when there is none, or when the settings are against it.
    pub fn text_index(&self) -> Option<Arc<TextIndex>> {
        if !self.shared.settings.text_index {
            return None;
        }
        let folder = self.texts_folder();
        let changed = fs::metadata(&folder).and_then(|meta| meta.modified()).ok()?;
        let generation = self.reader().ok()?.generation();
        let mut seen = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let before = seen.as_ref().filter(|seen| seen.generation == generation);
        if let Some(same) = before.filter(|seen| seen.changed == changed) {
            return Some(Arc::clone(&same.index));
        }
        let known = before.map_or(&[][..], |seen| &seen.index.segments);
        let one = |span: Span| {
            let new = TextSegment::new(span, &folder);
            let same = known.iter().find(|known| known.path == new.path && known.inode == new.inode);
            same.map_or_else(|| Arc::new(new), Arc::clone)
        };
        let index = Arc::new(TextIndex { segments: spans(&folder).0.into_iter().map(one).collect() });
        *seen = Some(Seen { changed, generation, index: Arc::clone(&index) });
        Some(index)
    }

    /// Removes the index of words; stored makes another when it may.
    ///
    /// # Errors
    /// The system's.
    pub fn remove_text_index(&self) -> Result<()> {
        self.forget_text_index();
        Ok(crate::deletion::remove(&self.texts_folder())?)
    }

    pub(crate) fn forget_text_index(&self) {
        *self.texts.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// A segment that cannot be believed goes.
    pub(crate) fn remove_segment(&self, path: &Path, why: &str) {
        // It may have been merged into another one meanwhile.
        if path.exists() {
            let text = format!("{}: {why}; the segment is removed", self.name());
            self.shared.log.write(Severity::Warning, &text);
            let _ = fs::remove_file(path);
        }
    }
}

impl TextSegment {
    fn new(span: Span, folder: &Path) -> TextSegment {
        let path = folder.join(span.name());
        let inode = fs::metadata(&path).map_or(0, |meta| meta.ino());
        TextSegment { span, path, inode, opened: OnceLock::new(), broken: OnceLock::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_within_others_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "1-100-90.4",
            "1-300-250.4",
            "101-300-160.4",
            "301-400-7.4",
            "new",
            "9-3-1.4",
            "1-2-3-4.4",
            "5-6.4",
            "401-500-9",
        ] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let (spans, waste) = spans(folder.path());
        let names: Vec<String> = spans.iter().map(Span::name).collect();
        assert_eq!(names, ["1-300-250.4", "301-400-7.4"]);
        assert_eq!(waste.len(), 7);
    }
}

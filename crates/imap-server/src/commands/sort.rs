//! SORT, UID SORT: which messages match, in what order (RFC 5256 §3, RFC 5957, RFC 5267 §3).
//!
//! Everything comes from the index and the cache; a message file is opened only for a header too long for the cache. Of each
//! message found a number or a text of at most [`column::KEY_BYTES_MAX`] is kept per criterion, in slices as SEARCH has them;
//! they are sorted at once, and written as the client takes them.

pub mod column;

use connection::Output;
use imap_wire::{Criterion, SortKey};
use message_store::UidSet;

use crate::answer;
use crate::commands::Progress;
use crate::commands::search::esearch::Gathered;
use crate::commands::search::matching::{Flow, Matching};
use crate::context::{Context, SORTED_MAX, Sorted};
use crate::refusal::Refusal;
use crate::view::View;
use column::Column;

/// Bytes of texts that one SORT may keep.
const TEXT_BYTES_MAX: usize = 128 * 1024 * 1024;

/// A SORT under way.
pub struct Sort {
    pub uid: bool,
    matching: Matching,
    criteria: Vec<Criterion>,
    columns: Vec<Column>,
    /// Sequence numbers of what was found, ascending until they are sorted.
    rows: Vec<u32>,
    stage: Stage,
    gathered: Option<Gathered>,
    /// How well each row matches, if that is to be told; in the order in which they were found.
    scores: Option<Scores>,
}

/// Sequence numbers, ascending, and their scores.
#[derive(Default)]
struct Scores(Vec<(u32, u8)>);

impl Scores {
    fn of(&self, sequence: u32) -> u8 {
        let place = self.0.binary_search_by_key(&sequence, |(sequence, _)| *sequence);
        place.map_or(0, |place| self.0[place].1)
    }
}

enum Stage {
    Finding,
    /// So many rows are written, or taken by the gathered result.
    Telling(usize),
}

impl Sort {
    /// # Errors
    /// As [`Matching::whole`].
    pub fn new(asked: imap_wire::Sort, view: &View, tag: &[u8], most: Option<u32>) -> Result<Sort, Refusal> {
        let gathered = asked.returned.map(|returned| {
            let mut gathered = Gathered::new(returned, asked.uid, tag);
            gathered.context = returned.update.then(|| Context {
                sorted: Some(Sorted { criteria: asked.criteria.clone(), uids: Vec::new() }),
                ..Context::new(tag, &asked.key, view)
            });
            gathered
        });
        let mut matching = Matching::whole(asked.charset, asked.key, view, most)?;
        let scores = asked.returned.filter(|returned| returned.relevancy).map(|_| Scores::default());
        matching.wants_scores |= scores.is_some();
        matching.wants_scores |= asked.criteria.iter().any(|one| one.key == SortKey::Relevancy);
        let columns = asked.criteria.iter().map(|criterion| Column::new(criterion.key)).collect();
        let (rows, stage) = (Vec::new(), Stage::Finding);
        Ok(Sort {
            uid: asked.uid,
            matching,
            criteria: asked.criteria,
            columns,
            rows,
            stage,
            gathered,
            scores,
        })
    }

    /// Whether the criteria have a modification sequence, which turns CONDSTORE on (RFC 7162 §3.1).
    pub fn asks_for_modseq(&self) -> bool {
        self.matching.asks_for_modseq()
    }

    /// How far it has come, while nothing is written.
    pub fn progress(&self, view: &View) -> Option<(u32, u32)> {
        matches!(self.stage, Stage::Finding).then(|| self.matching.progress(view))
    }

    /// Looks at the next slice, or writes until the queue is full. After NO, `$` is empty (RFC 5182 §2.1).
    pub fn step(&mut self, view: &mut View, out: &mut Output) -> Result<Progress, Refusal> {
        match self.stage {
            Stage::Finding => {
                let found = self.find(view).inspect_err(|_| {
                    if self.gathered.as_ref().is_some_and(Gathered::saves) {
                        view.save(UidSet::new());
                    }
                })?;
                if found == Progress::Done {
                    self.bound_context(out);
                    self.rows =
                        column::sorted(&self.criteria, &std::mem::take(&mut self.columns), &self.rows);
                    self.stage = Stage::Telling(0);
                }
                Ok(Progress::More)
            }
            Stage::Telling(_) if self.gathered.is_some() => self.gather(view, out),
            Stage::Telling(told) => Ok(self.tell(told, view, out)),
        }
    }

    fn find(&mut self, view: &View) -> Result<Progress, Refusal> {
        let (rows, columns, scores) = (&mut self.rows, &mut self.columns, &mut self.scores);
        let progress = self.matching.slice(view, |message| {
            for column in columns.iter_mut() {
                column.push(message)?;
            }
            rows.push(message.sequence);
            if let Some(scores) = scores {
                scores.0.push((message.sequence, message.score));
            }
            Ok(Flow::On)
        })?;
        if columns.iter().map(Column::text_bytes).sum::<usize>() > TEXT_BYTES_MAX {
            return Err(Refusal::Limit("Too much text to sort by; sort fewer messages"));
        }
        Ok(progress)
    }

    /// A result that is too long is not kept up to date (RFC 5267 §4.3.1).
    fn bound_context(&mut self, out: &mut Output) {
        let Some(gathered) = &mut self.gathered else { return };
        if self.rows.len() > SORTED_MAX {
            if let Some(context) = gathered.context.take() {
                let code = format!("NOUPDATE \"{}\"", String::from_utf8_lossy(&context.tag));
                answer::tagged(out, b"*", "NO", &code, "Too many messages to be kept in order");
            }
        }
    }

    /// With RETURN: the rows in their order, then the response.
    fn gather(&mut self, view: &mut View, out: &mut Output) -> Result<Progress, Refusal> {
        let Some(gathered) = &mut self.gathered else { return Ok(Progress::Done) };
        for sequence in std::mem::take(&mut self.rows) {
            if let Some((_, record)) = view.record(sequence) {
                let score = self.scores.as_ref().map_or(0, |scores| scores.of(sequence));
                gathered.found(if self.uid { record.uid } else { sequence }, &record, score);
            }
        }
        gathered.tell(view, self.matching.asks_for_modseq(), out)
    }

    /// `* SORT 2 84 882`
    fn tell(&mut self, told: usize, view: &View, out: &mut Output) -> Progress {
        if told == 0 {
            out.push(b"* SORT");
        }
        for (place, sequence) in self.rows.iter().enumerate().skip(told) {
            let number =
                if self.uid { view.record(*sequence).map(|(_, record)| record.uid) } else { Some(*sequence) };
            if let Some(number) = number {
                out.push(b" ");
                answer::digits(out, number.into());
            }
            if out.is_full() {
                self.stage = Stage::Telling(place + 1);
                return Progress::More;
            }
        }
        if let Some(modseq) = self.matching.modseq_told() {
            out.push(b" (MODSEQ ");
            answer::digits(out, modseq); // RFC 7162 §3.1.6
            out.push(b")");
        }
        out.push(b"\r\n");
        Progress::Done
    }
}

/// Whether a key is a text.
fn is_text(key: SortKey) -> bool {
    !matches!(key, SortKey::Arrival | SortKey::Date | SortKey::Relevancy | SortKey::Size)
}

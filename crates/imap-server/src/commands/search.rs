//! SEARCH, UID SEARCH: which messages match (RFC 3501 §6.4.4), with the keys of RFC 5032, RFC 6203, RFC 7162, RFC 8474, RFC 8514 and RFC 9738.
//!
//! `matching.rs` finds them. Numbers are written as they are found, so a result costs no memory; with RETURN they are
//! gathered first (`esearch.rs`).

pub(super) mod esearch;
pub(crate) mod matching;
pub(crate) mod message;

use connection::Output;
use message_store::UidSet;

use crate::answer;
use crate::commands::Progress;
use crate::context::Context;
use crate::message_limit::Cut;
use crate::names::Who;
use crate::refusal::Refusal;
use crate::view::View;
use esearch::Gathered;
use matching::{Flow, Matching};

/// A SEARCH under way.
pub struct Search {
    pub uid: bool,
    matching: Matching,
    begun: bool,
    /// With RETURN: what was found, to be told at the end.
    gathered: Option<Gathered>,
    /// Where it ends, when it is for more than `service.imap.messagelimit` messages.
    pub cut: Option<Cut>,
}

impl Search {
    /// # Errors
    /// As [`Matching::new`].
    pub fn new(
        asked: imap_wire::Search,
        view: &View,
        tag: &[u8],
        most: Option<u32>,
    ) -> Result<Search, Refusal> {
        let gathered = asked.returned.map(|returned| {
            let context = returned.update.then(|| Context::new(tag, &asked.key, view));
            let mut gathered = Gathered::new(returned, asked.uid, tag);
            gathered.context = context;
            gathered
        });
        let (mut matching, cut) = Matching::bounded(asked.charset, asked.key, view, most)?;
        matching.wants_scores = asked.returned.is_some_and(|returned| returned.relevancy);
        Ok(Search { uid: asked.uid, matching, begun: false, gathered, cut })
    }

    /// The same for ESEARCH, which says where it found what (RFC 7377 §2.1).
    ///
    /// # Errors
    /// As [`Matching::new`].
    pub fn in_selected(
        mut asked: imap_wire::Search,
        view: &View,
        who: Who<'_>,
        tag: &[u8],
        most: Option<u32>,
    ) -> Result<Search, Refusal> {
        asked.returned.get_or_insert(esearch::ALL);
        let mut search = Search::new(asked, view, tag, most)?;
        let name = view.mailbox.name();
        let place = |gathered: Gathered| {
            gathered.in_mailbox(&who.to_client(&name), who.naming, view.mailbox.uid_validity())
        };
        search.gathered = search.gathered.map(place);
        Ok(search)
    }

    /// Whether the criteria have a modification sequence, which turns CONDSTORE on (RFC 7162 §3.1).
    pub fn asks_for_modseq(&self) -> bool {
        self.matching.asks_for_modseq()
    }

    /// How far it has come, while no line is half written.
    pub fn progress(&self, view: &View) -> Option<(u32, u32)> {
        let is_telling = self.begun || self.gathered.as_ref().is_some_and(Gathered::is_telling);
        (!is_telling).then(|| self.matching.progress(view))
    }

    /// Looks at the next slice. After an error the line is complete.
    pub fn step(&mut self, view: &mut View, out: &mut Output) -> Result<Progress, Refusal> {
        if self.gathered.is_some() {
            return self.gather(view, out);
        }
        if out.is_full() {
            return Ok(Progress::More);
        }
        let (uid, begun) = (self.uid, &mut self.begun);
        let result = self.matching.slice(view, |message| {
            begin(begun, out);
            out.push(b" ");
            answer::digits(out, message.number(uid).into());
            Ok(if out.is_full() { Flow::Pause } else { Flow::On })
        });
        if !matches!(result, Ok(Progress::More)) {
            begin(&mut self.begun, out);
            if let Some(modseq) = self.matching.modseq_told() {
                out.push(b" (MODSEQ ");
                answer::digits(out, modseq);
                out.push(b")");
            }
            out.push(b"\r\n");
        }
        result
    }

    /// RFC 4731: nothing is said before everything is found. After NO, `$` is empty (RFC 5182 §2.1).
    fn gather(&mut self, view: &mut View, out: &mut Output) -> Result<Progress, Refusal> {
        let Some(gathered) = &mut self.gathered else { return Ok(Progress::Done) };
        if !gathered.is_enough() {
            let result = self.matching.slice(view, |message| {
                gathered.found(message.number(gathered.uid), &message.record, message.score);
                Ok(if gathered.is_enough() { Flow::Pause } else { Flow::On })
            });
            match result {
                Ok(Progress::More) if !gathered.is_enough() => return Ok(Progress::More),
                Ok(_) => {}
                Err(refusal) => {
                    if gathered.saves() {
                        view.save(UidSet::new());
                    }
                    return Err(refusal);
                }
            }
        }
        gathered.tell(view, self.matching.asks_for_modseq(), out)
    }
}

/// The line begins with the first message found, so that others can come before it.
fn begin(begun: &mut bool, out: &mut Output) {
    if !std::mem::replace(begun, true) {
        out.push(b"* SEARCH");
    }
}

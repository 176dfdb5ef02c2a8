//! What storecheck says: a line for each difference, and the sum; as text or as JSON.

use std::io::Write;

use base::json::quote;

use crate::site::{broken, count};

pub struct Report<'a> {
    out: &'a mut dyn Write,
    json: bool,
    verbose: bool,
    pub mailboxes: u64,
    pub messages: u64,
    pub entries: u64,
    pub without_record: u64,
    pub uncached: u64,
    notes: u64,
    differences: usize,
    unproven: usize,
}

impl<'a> Report<'a> {
    pub fn new(out: &'a mut dyn Write, json: bool, verbose: bool) -> Report<'a> {
        Report {
            out,
            json,
            verbose,
            mailboxes: 0,
            messages: 0,
            entries: 0,
            without_record: 0,
            uncached: 0,
            notes: 0,
            differences: 0,
            unproven: 0,
        }
    }

    /// `place` is a mailbox, or `queue` and an id; `repair` the command that mends it.
    pub fn difference(&mut self, place: &str, what: &str, repair: &str) -> Result<(), String> {
        self.differences += 1;
        let hint = if repair.is_empty() { String::new() } else { format!("; mend: {repair}") };
        let text = format!("{}: {}{hint}", base::escape(place), base::escape(what));
        self.line("difference", place, what, repair, &text)
    }

    /// What is made whole by itself.
    pub fn note(&mut self, place: &str, what: &str) -> Result<(), String> {
        self.notes += 1;
        if !self.verbose {
            return Ok(());
        }
        self.line("note", place, what, "", &format!("{}: note: {}", base::escape(place), base::escape(what)))
    }

    /// What could not be looked at: neither proven nor different.
    pub fn unproven(&mut self, place: &str, why: &str) -> Result<(), String> {
        self.unproven += 1;
        let text = format!("{}: not proven: {}", base::escape(place), base::escape(why));
        self.line("unproven", place, why, "", &text)
    }

    fn line(&mut self, kind: &str, place: &str, what: &str, repair: &str, text: &str) -> Result<(), String> {
        match self.json {
            true => writeln!(
                self.out,
                "{{\"kind\":{},\"place\":{},\"what\":{},\"repair\":{}}}",
                quote(kind),
                quote(place),
                quote(what),
                quote(repair)
            ),
            false => writeln!(self.out, "{text}"),
        }
        .map_err(broken)
    }

    /// The sum.
    ///
    /// # Errors
    /// There are differences, or something could not be looked at.
    pub fn end(self) -> Result<(), String> {
        let said = if self.json { self.json_sum() } else { self.sum() };
        writeln!(self.out, "{said}").map_err(broken)?;
        match (self.differences, self.unproven) {
            (0, 0) => Ok(()),
            (0, unproven) => Err(format!("{} not proven", count(unproven, "mailbox").replace("xs", "xes"))),
            (differences, _) => Err(count(differences, "difference")),
        }
    }

    fn sum(&self) -> String {
        let mut text = format!(
            "verified {} folders, {} messages, {} queue entries, {}",
            self.mailboxes,
            self.messages,
            self.entries,
            count(self.differences, "difference")
        );
        for (number, what) in [
            (self.without_record, "message files without a record"),
            (self.uncached, "messages without a cache record"),
            (self.notes, "notes (-v)"),
            (self.unproven as u64, "not proven"),
        ] {
            if number > 0 {
                text += &format!("; {number} {what}");
            }
        }
        text
    }

    fn json_sum(&self) -> String {
        format!(
            "{{\"kind\":\"sum\",\"folders\":{},\"messages\":{},\"queue_entries\":{},\"differences\":{},\"without_record\":{},\"uncached\":{},\"notes\":{},\"unproven\":{}}}",
            self.mailboxes,
            self.messages,
            self.entries,
            self.differences,
            self.without_record,
            self.uncached,
            self.notes,
            self.unproven
        )
    }
}

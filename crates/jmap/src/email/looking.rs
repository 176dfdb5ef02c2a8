//! Finding the emails that a filter lets pass: first by what is in memory, then by the index of words, then by the messages.

use std::sync::Arc;
use std::time::Instant;

use mail_format::Structure;
use mail_format::searchable::Stage;
use message_store::search::{Hints, Scan, Told};
use message_store::{Mailbox, StoreError};

use super::bodies::Bodies;
use super::body_part::BodyPart;
use super::filter::{Asked, Facts, ThreadAnswers};
use super::message;
use crate::account::{Email, Inner, NONE};
use crate::error::Result;

/// Finds out about emails one after the other.
pub struct Looking<'a> {
    account: &'a Inner,
    asked: &'a Asked,
    scan: Scan,
    /// Of the mailbox that was looked into last.
    hints: Option<(u16, Hints)>,
    has_attachment: Option<bool>,
    threads: ThreadAnswers,
}

/// How far a search has come, and what it has found, in no order.
pub struct Place {
    mailboxes: Vec<u16>,
    at: usize,
    slot: u32,
    found: Vec<u32>,
}

impl Place {
    /// The beginning.
    pub fn new(account: &Inner, asked: &Asked) -> Place {
        let mailboxes = match asked.filter.only_in() {
            Some(mailbox) => vec![mailbox],
            None => account.mailboxes().map(|(number, _)| number).collect(),
        };
        Place { mailboxes, at: 0, slot: 0, found: Vec::new() }
    }

    /// All that was found, each once.
    pub fn found(mut self) -> Vec<u32> {
        self.found.sort_unstable();
        self.found.dedup();
        self.found
    }
}

struct Known<'a> {
    threads: &'a ThreadAnswers,
    scan: &'a Scan,
    has_attachment: Option<bool>,
}

impl Facts for Known<'_> {
    fn threads(&self) -> &ThreadAnswers {
        self.threads
    }

    fn text(&self, needle: usize) -> Option<bool> {
        self.scan.fact(needle)
    }

    fn has_attachment(&self) -> Option<bool> {
        self.has_attachment
    }
}

impl<'a> Looking<'a> {
    pub fn new(account: &'a Inner, asked: &'a Asked) -> Looking<'a> {
        let scan = Scan::new(&asked.needles);
        Looking { account, asked, scan, hints: None, has_attachment: None, threads: ThreadAnswers::default() }
    }

    /// Looks on from where it is, until the time is over or there is no more; whether there is no more.
    ///
    /// # Errors
    /// The store's.
    pub fn go_on(&mut self, place: &mut Place, until: Option<Instant>) -> Result<bool> {
        while let Some(number) = place.mailboxes.get(place.at).copied() {
            if !self.in_mailbox(number, place, until)? {
                return Ok(false);
            }
            (place.at, place.slot) = (place.at + 1, 0);
        }
        Ok(true)
    }

    /// In the order of the UIDs, so that segments of the index are asked once. Whether all of it was looked at.
    fn in_mailbox(&mut self, number: u16, place: &mut Place, until: Option<Instant>) -> Result<bool> {
        let account = self.account;
        let Some(view) = account.mailbox(number) else { return Ok(true) };
        let mut looked_at = 0usize;
        for (slot, row) in view.messages_from(place.slot) {
            looked_at += 1;
            if looked_at % 64 == 0 && until.is_some_and(|until| Instant::now() >= until) {
                place.slot = slot;
                return Ok(false);
            }
            if self.is_skipped(number, row.uid) {
                continue;
            }
            let Some(email) = account.email(row.email) else { continue };
            // What is in several mailboxes is looked at in one.
            let is_elsewhere = account.rows(email).next().is_none_or(|(first, ..)| first != number);
            if is_elsewhere && self.asked.filter.only_in().is_none() {
                continue;
            }
            if self.passes(row.email, Some(number))? {
                place.found.push(row.email);
            }
        }
        Ok(true)
    }

    fn is_skipped(&mut self, number: u16, uid: u32) -> bool {
        let hints = self.hints.as_mut().filter(|(of, _)| *of == number);
        hints.is_some_and(|(_, hints)| hints.skip_from(uid).is_some())
    }

    /// Whether one email passes; `mailbox` is where it is looked at, if that matters.
    ///
    /// # Errors
    /// The store's.
    pub fn passes(&mut self, number: u32, mailbox: Option<u16>) -> Result<bool> {
        if number == NONE {
            return Ok(false);
        }
        let account = self.account;
        let Some(email) = account.email(number).filter(|email| account.is_there(email)) else {
            return Ok(false);
        };
        self.has_attachment = email.has_attachment.get().copied();
        if !self.asked.needles.is_empty() {
            self.scan.begin(&self.asked.needles);
        }
        let mut is_asked = false;
        loop {
            let known =
                Known { threads: &self.threads, scan: &self.scan, has_attachment: self.has_attachment };
            if let Some(passes) = self.asked.filter.passes(account, email, &known) {
                return Ok(passes);
            }
            let of_mailbox = |(number, ..): &(u16, _, _, _)| mailbox.is_none_or(|wanted| *number == wanted);
            let place = account.rows(email).find(of_mailbox).or_else(|| account.rows(email).next());
            let Some((number, slot, view, row)) = place else { return Ok(false) };
            let Some(store_mailbox) = &view.mailbox else { return Ok(false) };
            if !is_asked {
                is_asked = self.ask_index(number, store_mailbox, row.uid);
                continue;
            }
            if !self.learn(email, store_mailbox, slot, row.uid)? {
                return Ok(false); // it went away meanwhile
            }
        }
    }

    /// Asks the index of words; whether all is known that it knows.
    fn ask_index(&mut self, number: u16, mailbox: &message_store::Mailbox, uid: u32) -> bool {
        if self.asked.needles.is_empty() {
            return true;
        }
        if self.hints.as_ref().is_none_or(|(of, _)| *of != number) {
            self.hints = Some((number, Hints::new(&self.asked.needles, self.asked.filter.needed())));
        }
        match &mut self.hints {
            Some((_, hints)) => hints.tell(mailbox, uid, &mut self.scan) == Told::All,
            None => true,
        }
    }

    /// Takes a step in the message; false when it is gone, or cannot be read.
    fn learn(&mut self, email: &Email, mailbox: &Arc<Mailbox>, slot: u32, uid: u32) -> Result<bool> {
        let learned = self.step(email, mailbox, slot, uid);
        Ok(mailbox.readable(uid, learned)?.unwrap_or(false))
    }

    fn step(
        &mut self,
        email: &Email,
        mailbox: &Arc<Mailbox>,
        slot: u32,
        uid: u32,
    ) -> message_store::Result<bool> {
        let is_open = (0..self.asked.needles.len()).any(|needle| self.scan.fact(needle).is_none());
        if !is_open {
            self.has_attachment = Some(has_attachment(self.account, email)?);
            return Ok(true);
        }
        match self.scan.stage() {
            Stage::Header => match message::header(mailbox, slot, uid)? {
                Some(header) => self.scan.header(&header, &self.asked.needles),
                None => return Err(StoreError::NotFound),
            },
            Stage::Structure => match Structure::decode(mailbox.cached(slot)?.structure_bytes()) {
                Some(structure) => self.scan.structure(structure),
                None => return Err(StoreError::Damaged("its part table".into())),
            },
            Stage::PartHeader(..) | Stage::Part(..) | Stage::Body(..) | Stage::Over => {
                match message::file(mailbox, uid, email.size)? {
                    Some(file) => drop(self.scan.step(&file, &self.asked.needles)?),
                    None => return Err(StoreError::NotFound),
                }
            }
        }
        Ok(true)
    }
}

/// Whether an email has something to be downloaded. Of a message of one text, which most are, the cache tells it.
///
/// # Errors
/// The store's.
pub fn has_attachment(account: &Inner, email: &Email) -> message_store::Result<bool> {
    if let Some(has) = email.has_attachment.get() {
        return Ok(*has);
    }
    let has = look_for_attachment(account, email)?;
    Ok(*email.has_attachment.get_or_init(|| has))
}

fn look_for_attachment(account: &Inner, email: &Email) -> message_store::Result<bool> {
    for (_, slot, view, _) in account.rows(email) {
        let Some(Ok(cached)) = view.mailbox.as_ref().map(|mailbox| mailbox.cached(slot)) else { continue };
        let structure = cached.bodystructure().to_ascii_lowercase();
        let is_text =
            structure.starts_with(b"(\"text\" \"plain\"") || structure.starts_with(b"(\"text\" \"html\"");
        let word = b"\"attachment\"";
        if is_text && !structure.windows(word.len()).any(|part| part == word) {
            return Ok(false);
        }
        break;
    }
    let Some(message) = message::Copies::of(account, email).open()? else { return Ok(false) };
    let tree = BodyPart::tree(&message);
    Ok(Bodies::of(&tree).has_attachment())
}

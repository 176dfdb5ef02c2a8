//! Texts by which emails are sorted, read once from their headers: From, To and base subject.

use mail_format::{base_subject, casemap, decode_words, header_field, unfold};

use super::Inner;
use super::parallel::in_parallel;
use crate::email::addresses;

/// Bytes of a text that are compared.
const TEXT_BYTES_MAX: usize = 128;

/// What a text is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    From,
    To,
    Subject,
}

/// By email; empty as long as nobody asked for a sort by it.
#[derive(Default)]
pub struct Columns {
    texts: [Vec<Option<Box<[u8]>>>; 3],
}

impl Columns {
    pub fn text(&self, column: Column, email: u32) -> &[u8] {
        let text = self.texts[column as usize].get(email as usize).and_then(Option::as_ref);
        text.map_or(&[], |text| text)
    }

    /// Whether so many emails have been asked for; some may have none, being gone.
    pub fn covers(&self, column: Column, emails: usize) -> bool {
        self.texts[column as usize].len() >= emails
    }

    /// Whether so many emails have a text each.
    pub fn is_full(&self, column: Column, emails: usize) -> bool {
        let texts = &self.texts[column as usize];
        texts.len() >= emails && texts.iter().all(Option::is_some)
    }
}

impl Inner {
    /// The text of an email; nothing when it is known already, or the message is gone.
    pub fn missing_text(&self, column: Column, number: u32) -> Option<Box<[u8]>> {
        let known = self.columns.texts[column as usize].get(number as usize).is_some_and(Option::is_some);
        if known { None } else { self.column_text(column, number as usize) }
    }

    /// Takes texts of an epoch; reads what is missing still, which is little.
    pub fn fill_column(&mut self, column: Column, epoch: u64, mut texts: Vec<Option<Box<[u8]>>>) {
        if epoch != self.epoch {
            texts.clear();
        }
        texts.resize(self.emails.len(), None);
        let known = &mut self.columns.texts[column as usize];
        known.resize(texts.len(), None);
        for (place, text) in known.iter_mut().zip(texts) {
            if place.is_none() {
                *place = text;
            }
        }
        let known = &self.columns.texts[column as usize];
        let missing: Vec<usize> = (0..known.len()).filter(|number| known[*number].is_none()).collect();
        let found = in_parallel(missing.len(), |place| self.column_text(column, missing[place]));
        for (number, text) in missing.into_iter().zip(found) {
            self.columns.texts[column as usize][number] = text;
        }
    }

    fn column_text(&self, column: Column, number: usize) -> Option<Box<[u8]>> {
        let email = &self.emails[number];
        let (_, slot, view, row) = self.rows(email).next()?;
        let header = crate::email::message::header(view.mailbox.as_ref()?, slot, row.uid).ok()??;
        let text = match column {
            Column::From => first_address(&header, "From"),
            Column::To => first_address(&header, "To"),
            Column::Subject => {
                let subject = header_field(&header, "Subject").map(|value| decode_words(&unfold(value)));
                base_subject(&subject.unwrap_or_default()).text
            }
        };
        Some(casemap(&text, TEXT_BYTES_MAX).into())
    }
}

/// The name of the first address, or the address itself (RFC 8621 §4.4.2).
fn first_address(header: &[u8], name: &str) -> String {
    let first = header_field(header, name).and_then(|value| addresses::addresses(value).into_iter().next());
    first.map_or_else(String::new, |one| one.name.filter(|name| !name.is_empty()).unwrap_or(one.email))
}

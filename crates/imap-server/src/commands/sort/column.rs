//! One criterion's values of all messages found, and the order they make.

use std::cmp::Ordering;

use imap_wire::{Criterion, SortKey};
use mail_format::{Item, address_list, base_subject, casemap, decode_words, header_field, header_fields};

use super::is_text;
use crate::commands::search::message::Message;
use crate::refusal::Refusal;

/// Bytes of a text that count: texts that are alike so far are taken as equal.
pub const KEY_BYTES_MAX: usize = 256;

/// Values in the order of the messages found.
pub struct Column {
    key: SortKey,
    numbers: Vec<i64>,
    texts: Vec<u8>,
    /// Where each text ends.
    ends: Vec<usize>,
}

impl Column {
    pub fn new(key: SortKey) -> Column {
        Column { key, numbers: Vec::new(), texts: Vec::new(), ends: Vec::new() }
    }

    /// Bytes of all its texts.
    pub fn text_bytes(&self) -> usize {
        self.texts.len()
    }

    /// Takes the value of the next message. One that is gone has none: 0, or an empty text.
    pub fn push(&mut self, message: &mut Message<'_>) -> Result<(), Refusal> {
        match self.key {
            SortKey::Size => self.numbers.push(message.record.size.into()),
            SortKey::Arrival => self.numbers.push(message.arrival()?),
            SortKey::Date => self.numbers.push(message.sent()?),
            SortKey::Relevancy => self.numbers.push(-i64::from(message.score)), // the best first (RFC 6203 §6)
            key => {
                let text = message.header()?.map(|header| text_of(key, header)).unwrap_or_default();
                self.texts.extend_from_slice(&casemap(&text, KEY_BYTES_MAX));
                self.ends.push(self.texts.len());
            }
        }
        Ok(())
    }

    /// Of a message that is gone.
    pub fn push_nothing(&mut self) {
        if is_text(self.key) { self.ends.push(self.texts.len()) } else { self.numbers.push(0) }
    }

    fn text(&self, row: usize) -> &[u8] {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.texts[start..self.ends[row]]
    }

    /// A row of this against a row of another column of the same key.
    fn compare(&self, one: usize, of: &Column, other: usize) -> Ordering {
        if is_text(self.key) {
            self.text(one).cmp(of.text(other))
        } else {
            self.numbers[one].cmp(&of.numbers[other])
        }
    }

    /// A number that is smaller only if the value is: the value itself, or the beginning of a text.
    fn head(&self, row: usize) -> i64 {
        if !is_text(self.key) {
            return self.numbers[row];
        }
        let mut bytes = [0; 8];
        let text = self.text(row);
        let len = text.len().min(8);
        bytes[..len].copy_from_slice(&text[..len]);
        (u64::from_be_bytes(bytes) ^ (1 << 63)) as i64
    }
}

/// The rows by the criteria; what is equal stays in the order of the sequence numbers, REVERSE or not (RFC 5256 §3).
pub fn sorted(criteria: &[Criterion], columns: &[Column], rows: &[u32]) -> Vec<u32> {
    let head = |row: usize| match (criteria.first(), columns.first()) {
        (Some(criterion), Some(column)) if criterion.reverse => !column.head(row),
        (_, Some(column)) => column.head(row),
        _ => 0,
    };
    let mut order: Vec<(i64, u32)> = (0u32..).zip(rows).map(|(row, _)| (head(row as usize), row)).collect();
    order.sort_unstable_by(|one, other| {
        one.0
            .cmp(&other.0)
            .then_with(|| compare(criteria, columns, one.1 as usize, columns, other.1 as usize))
            .then(one.1.cmp(&other.1))
    });
    order.into_iter().map(|(_, row)| rows[row as usize]).collect()
}

/// A row of some columns against a row of others, which are of the same criteria.
pub fn compare(
    criteria: &[Criterion],
    columns: &[Column],
    one: usize,
    others: &[Column],
    other: usize,
) -> Ordering {
    for (criterion, (column, of)) in criteria.iter().zip(columns.iter().zip(others)) {
        let order = column.compare(one, of, other);
        if order.is_ne() {
            return if criterion.reverse { order.reverse() } else { order };
        }
    }
    Ordering::Equal
}

/// What a header has for this key.
fn text_of(key: SortKey, header: &[u8]) -> String {
    match key {
        SortKey::Cc => mailbox_of(first_address(header, "Cc")),
        SortKey::From => mailbox_of(first_address(header, "From")),
        SortKey::To => mailbox_of(first_address(header, "To")),
        SortKey::DisplayFrom => display_of(first_address(header, "From")),
        SortKey::DisplayTo => display_of(first_address(header, "To")),
        SortKey::Subject => header_field(header, "Subject")
            .map(|value| base_subject(&decode_words(value)).text)
            .unwrap_or_default(),
        SortKey::Arrival | SortKey::Date | SortKey::Relevancy | SortKey::Size => String::new(), // numbers
    }
}

/// The first element of an address list as ENVELOPE shows it.
fn first_address(header: &[u8], name: &str) -> Option<Item> {
    let fields = header_fields(header).filter(|(field, _)| field.eq_ignore_ascii_case(name.as_bytes()));
    let is_nothing = |item: &Item| matches!(item, Item::Mailbox { name: None, local, domain, .. } if local.is_empty() && domain.is_empty());
    fields.flat_map(|(_, value)| address_list(value)).find(|item| !is_nothing(item))
}

/// addr-mailbox (RFC 5256 §3): of a group, its name.
fn mailbox_of(address: Option<Item>) -> String {
    match address {
        Some(Item::Mailbox { local, .. } | Item::GroupStart(local)) => {
            String::from_utf8_lossy(&local).into_owned()
        }
        Some(Item::GroupEnd) | None => String::new(),
    }
}

/// The decoded display name, else mailbox@host, else the mailbox (RFC 5957 §3).
fn display_of(address: Option<Item>) -> String {
    let Some(Item::Mailbox { name, local, domain, .. }) = &address else { return mailbox_of(address) };
    let name = name.as_ref().map(|name| decode_words(name)).unwrap_or_default();
    if !name.is_empty() {
        return name;
    }
    let (local, domain) = (String::from_utf8_lossy(local), String::from_utf8_lossy(domain));
    if domain.is_empty() { local.into_owned() } else { format!("{local}@{domain}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(key: SortKey, values: &[String]) -> Column {
        let mut column = Column::new(key);
        for value in values {
            column.texts.extend_from_slice(value.as_bytes());
            column.ends.push(column.texts.len());
        }
        column
    }

    #[test]
    fn keys_are_taken_from_headers() {
        let header = b"From: =?utf-8?q?=C3=84nne?= <amy@example.org>, b@c\r\nTo: <>, Friends: joe@x;\r\nCC: \"Smith, J\" <Jim@y>\r\nSubject: Re: [list] =?utf-8?q?hi?= there\r\n\r\n";
        for (key, text) in [
            (SortKey::From, "amy"),
            (SortKey::DisplayFrom, "\u{c4}nne"),
            (SortKey::To, "Friends"),
            (SortKey::DisplayTo, "Friends"),
            (SortKey::Cc, "Jim"),
            (SortKey::Subject, "hi there"),
        ] {
            assert_eq!(text_of(key, header), text, "{key:?}");
            assert_eq!(text_of(key, b"X: y\r\n\r\n"), "", "{key:?}");
        }
        assert_eq!(text_of(SortKey::DisplayTo, b"To: joe@x\r\n\r\n"), "joe@x");
        assert_eq!(text_of(SortKey::DisplayTo, b"To: \"\" <joe@x>\r\n\r\n"), "joe@x");
        assert_eq!(text_of(SortKey::DisplayTo, b"To: joe\r\n\r\n"), "joe");
    }

    proptest! {
        /// A permutation; ordered by the criteria; equal ones by sequence number, in whatever direction.
        #[test]
        fn order_is_that_of_a_plain_stable_sort(
            values in proptest::collection::vec(("[a-c]{0,2}|aaaaaaaa[a\0]{0,2}", -2i64..2), 0..60),
            reverse_text in any::<bool>(),
            reverse_number in any::<bool>(),
            text_first in any::<bool>(),
        ) {
            let rows: Vec<u32> = (1..).step_by(3).take(values.len()).collect();
            let (names, numbers): (Vec<String>, Vec<i64>) = values.iter().cloned().unzip();
            let mut size = Column::new(SortKey::Size);
            size.numbers = numbers;
            let mut columns = vec![texts(SortKey::Subject, &names), size];
            let mut criteria = vec![
                Criterion { key: SortKey::Subject, reverse: reverse_text },
                Criterion { key: SortKey::Size, reverse: reverse_number },
            ];
            if !text_first {
                columns.reverse();
                criteria.reverse();
            }
            let mut expected: Vec<usize> = (0..values.len()).collect();
            expected.sort_by(|one, other| {
                let (one, other) = (&values[*one], &values[*other]);
                let turn = |order: Ordering, reverse: bool| if reverse { order.reverse() } else { order };
                let text = turn(one.0.as_bytes().cmp(other.0.as_bytes()), reverse_text);
                let number = turn(one.1.cmp(&other.1), reverse_number);
                if text_first { text.then(number) } else { number.then(text) }
            });
            let expected: Vec<u32> = expected.into_iter().map(|row| rows[row]).collect();
            prop_assert_eq!(sorted(&criteria, &columns, &rows), expected);
        }
    }
}

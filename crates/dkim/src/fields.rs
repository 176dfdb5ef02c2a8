//! The header of a message, field by field.

use std::collections::HashMap;

use mail_format::header::{header_length, raw_fields};

/// Bytes of a header at most that are looked at; that is what the accept module takes, and what it adds.
const HEADER_BYTES_MAX: usize = 2 << 20;
const FIELDS_MAX: usize = 20_000;

/// One field as it stands.
#[derive(Clone, Copy)]
pub(crate) struct Field<'m> {
    /// Name, colon and value with its folds, without the last line end.
    pub(crate) raw: &'m [u8],
    colon: usize,
}

impl<'m> Field<'m> {
    pub(crate) fn read(raw: &'m [u8]) -> Option<Field<'m>> {
        let raw = raw.strip_suffix(b"\n").unwrap_or(raw);
        let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
        let colon = memchr::memchr(b':', raw)?;
        let field = Field { raw, colon };
        let name = field.name();
        (!name.is_empty() && name.iter().all(u8::is_ascii_graphic)).then_some(field)
    }

    pub(crate) fn name(&self) -> &'m [u8] {
        self.raw[..self.colon].trim_ascii_end()
    }

    pub(crate) fn value(&self) -> &'m [u8] {
        &self.raw[self.colon + 1..]
    }

    /// Where the value begins in `raw`.
    pub(crate) fn value_at(&self) -> usize {
        self.colon + 1
    }

    pub(crate) fn is(&self, name: &str) -> bool {
        self.name().eq_ignore_ascii_case(name.as_bytes())
    }
}

/// All of them, top first, and the body behind.
pub(crate) struct Message<'m> {
    pub(crate) fields: Vec<Field<'m>>,
    pub(crate) body: &'m [u8],
    by_name: HashMap<Vec<u8>, Vec<usize>>,
}

impl<'m> Message<'m> {
    /// # Errors
    /// Why it is not looked at.
    pub(crate) fn read(message: &'m [u8]) -> Result<Message<'m>, &'static str> {
        let length = header_length(&message[..message.len().min(HEADER_BYTES_MAX + 1)]);
        if length > HEADER_BYTES_MAX {
            return Err("the header is too long");
        }
        let (header, body) = message.split_at(length);
        Message::of(header, body)
    }

    /// A message whose header, with or without its empty line, lies apart from its body.
    ///
    /// # Errors
    /// Why it is not looked at.
    pub(crate) fn of(header: &'m [u8], body: &'m [u8]) -> Result<Message<'m>, &'static str> {
        if header.len() > HEADER_BYTES_MAX {
            return Err("the header is too long");
        }
        let mut fields = Vec::new();
        let mut by_name: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
        for field in raw_fields(header).filter_map(Field::read) {
            if fields.len() >= FIELDS_MAX {
                return Err("the header has too many fields");
            }
            by_name.entry(field.name().to_ascii_lowercase()).or_default().push(fields.len());
            fields.push(field);
        }
        Ok(Message { fields, body, by_name })
    }

    /// The fields of this name, top first.
    pub(crate) fn named(&self, name: &str) -> impl DoubleEndedIterator<Item = (usize, Field<'m>)> {
        let places = self.by_name.get(name.to_ascii_lowercase().as_bytes());
        places.into_iter().flatten().filter_map(|place| Some((*place, *self.fields.get(*place)?)))
    }

    /// The fields that a list of names means: of each name the last one that has not been taken (RFC 6376 §5.4.2), and
    /// nothing where there is none. `without` is the signature's own.
    pub(crate) fn selected<'n>(
        &self,
        names: impl Iterator<Item = &'n [u8]>,
        without: Option<usize>,
    ) -> Vec<Field<'m>> {
        let mut left: HashMap<Vec<u8>, usize> = HashMap::new();
        let mut selected = Vec::new();
        for name in names {
            let name = name.to_ascii_lowercase();
            let Some(places) = self.by_name.get(&name) else { continue };
            let left = left.entry(name).or_insert(places.len());
            while *left > 0 {
                *left -= 1;
                let place = places[*left];
                if Some(place) != without {
                    selected.extend(self.fields.get(place));
                    break;
                }
            }
        }
        selected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_taken_from_the_bottom_and_absent_ones_are_nothing() {
        let text = b"A: 1\r\nB: 2\r\nno field\r\na : 3\r\n 4\r\nS: x\r\nA: 5\r\n\r\nbody\r\n";
        let message = Message::read(text).unwrap();
        assert_eq!((message.fields.len(), message.body), (5, &b"body\r\n"[..]));
        let names: [&[u8]; 6] = [b"a", b"A", b"x", b"b", b"a", b"a"];
        let raw = |without| -> Vec<&[u8]> {
            message.selected(names.into_iter(), without).iter().map(|field| field.raw).collect()
        };
        assert_eq!(raw(None), [&b"A: 5"[..], b"a : 3\r\n 4", b"B: 2", b"A: 1"]);
        assert_eq!(raw(Some(2)), [&b"A: 5"[..], b"A: 1", b"B: 2"]);
        assert_eq!(message.named("a").count(), 3);
    }

    #[test]
    fn a_header_without_end_is_not_looked_at() {
        assert!(Message::read(&vec![b'a'; HEADER_BYTES_MAX + 2]).is_err());
        assert!(Message::read("a:\r\n".repeat(FIELDS_MAX + 1).as_bytes()).is_err());
        assert!(Message::read(b"").is_ok_and(|message| message.fields.is_empty() && message.body.is_empty()));
    }
}

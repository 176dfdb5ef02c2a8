//! What an IMAP response says, however it is written: a string is the same quoted or as a literal.

use std::fmt;

/// One value of a response (RFC 3501 §4).
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// An atom or a number; NIL too.
    Atom(String),
    Text(Vec<u8>),
    List(Vec<Value>),
}

impl Value {
    /// The values of a response's bytes, one behind the other.
    ///
    /// # Panics
    /// When they are no values.
    pub fn all(bytes: &[u8]) -> Vec<Value> {
        let mut reader = Reader { bytes, at: 0 };
        let values = reader.until(None);
        assert_eq!(reader.at, bytes.len(), "{}", String::from_utf8_lossy(bytes));
        values
    }

    /// The items of a `* n FETCH (...)`: names and values.
    pub fn fetched(response: &[u8]) -> Vec<(String, Value)> {
        match Value::all(response).as_slice() {
            [_, _, Value::Atom(fetch), Value::List(items)] if fetch == "FETCH" => items
                .chunks(2)
                .map(|pair| match pair {
                    [Value::Atom(name), value] => (name.clone(), value.clone()),
                    other => panic!("{other:?}"),
                })
                .collect(),
            other => panic!("{other:?}"),
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Atom(atom) => f.write_str(atom),
            Value::Text(text) => write!(f, "\"{}\"", text.escape_ascii()),
            Value::List(values) => {
                f.write_str("(")?;
                for (place, value) in values.iter().enumerate() {
                    write!(f, "{}{value:?}", if place > 0 { " " } else { "" })?;
                }
                f.write_str(")")
            }
        }
    }
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn until(&mut self, end: Option<u8>) -> Vec<Value> {
        let mut values = Vec::new();
        while let Some(byte) = self.peek() {
            match byte {
                byte if Some(byte) == end => break,
                b' ' => self.at += 1,
                b'(' => {
                    self.at += 1;
                    values.push(Value::List(self.until(Some(b')'))));
                    assert_eq!(self.peek(), Some(b')'), "a list has no end");
                    self.at += 1;
                }
                b'"' => values.push(Value::Text(self.quoted())),
                b'{' => values.push(Value::Text(self.literal())),
                b')' => break,
                _ => values.push(Value::Atom(self.atom())),
            }
        }
        values
    }

    fn quoted(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        self.at += 1;
        loop {
            match self.peek().expect("a quoted string has no end") {
                b'"' => break,
                b'\\' => {
                    self.at += 1;
                    text.extend(self.peek());
                }
                byte => {
                    assert!(!matches!(byte, 0 | b'\r' | b'\n'), "a quoted string has a line end or a NUL");
                    text.push(byte);
                }
            }
            self.at += 1;
        }
        self.at += 1;
        text
    }

    fn literal(&mut self) -> Vec<u8> {
        let rest = &self.bytes[self.at + 1..];
        let end = rest.iter().position(|byte| *byte == b'}').expect("a literal has no size");
        let size: usize = std::str::from_utf8(&rest[..end]).unwrap().parse().unwrap();
        let text = rest[end + 3..end + 3 + size].to_vec();
        self.at += 1 + end + 3 + size;
        text
    }

    /// Brackets belong to it, with all that is in them: `BODY[HEADER.FIELDS (A B)]<0>`.
    fn atom(&mut self) -> String {
        let start = self.at;
        let mut bracket = false;
        while let Some(byte) = self.peek() {
            match byte {
                b'[' => bracket = true,
                b']' => bracket = false,
                b' ' | b'(' | b')' if !bracket => break,
                _ => {}
            }
            self.at += 1;
        }
        String::from_utf8_lossy(&self.bytes[start..self.at]).into_owned()
    }
}

//! What responses are made of: atoms, strings and lists in parentheses (RFC 3501 §4).

use crate::error::{ImapError, Result};

/// Lists inside lists at most.
const DEPTH_MAX: usize = 16;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Nil,
    /// Flags and numbers too.
    Atom(Vec<u8>),
    /// A quoted string or a literal.
    Text(Vec<u8>),
    List(Vec<Value>),
}

impl Value {
    /// The bytes of an atom or a string.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Atom(bytes) | Value::Text(bytes) => Some(bytes),
            Value::Nil | Value::List(_) => None,
        }
    }

    pub fn number(&self) -> Option<u64> {
        match self {
            Value::Atom(bytes) => std::str::from_utf8(bytes).ok()?.parse().ok(),
            _ => None,
        }
    }

    pub fn list(&self) -> Option<&[Value]> {
        match self {
            Value::List(values) => Some(values),
            _ => None,
        }
    }

    /// Whether it is this atom, in any case.
    pub fn is(&self, word: &str) -> bool {
        matches!(self, Value::Atom(bytes) if bytes.eq_ignore_ascii_case(word.as_bytes()))
    }
}

/// The values of a response. `{n}` in `text` stands for the next of `literals`.
///
/// # Errors
/// `Malformed`.
pub fn parse(text: &[u8], literals: Vec<Vec<u8>>) -> Result<Vec<Value>> {
    let mut parser = Parser { text, at: 0, literals: literals.into_iter() };
    let values = parser.values(0)?;
    if parser.at < text.len() { Err(ImapError::Malformed("a parenthesis too many")) } else { Ok(values) }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    literals: std::vec::IntoIter<Vec<u8>>,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Up to a closing parenthesis, which is left, or the end.
    fn values(&mut self, depth: usize) -> Result<Vec<Value>> {
        if depth > DEPTH_MAX {
            return Err(ImapError::TooBig("lists inside lists"));
        }
        let mut values = Vec::new();
        loop {
            match self.peek() {
                None | Some(b')') => return Ok(values),
                Some(b' ') => self.at += 1,
                Some(b'(') => {
                    self.at += 1;
                    let inner = self.values(depth + 1)?;
                    if self.peek() != Some(b')') {
                        return Err(ImapError::Malformed("a parenthesis is missing"));
                    }
                    self.at += 1;
                    values.push(Value::List(inner));
                }
                Some(b'"') => values.push(self.quoted()?),
                Some(b'{') => {
                    let end = memchr::memchr(b'}', &self.text[self.at..]);
                    self.at += end.ok_or(ImapError::Malformed("a brace"))? + 1;
                    let literal = self.literals.next().ok_or(ImapError::Malformed("a brace"))?;
                    values.push(Value::Text(literal));
                }
                Some(_) => values.push(self.atom()),
            }
        }
    }

    fn quoted(&mut self) -> Result<Value> {
        self.at += 1;
        let mut text = Vec::new();
        loop {
            match self.peek() {
                None => return Err(ImapError::Malformed("a quote is missing")),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Value::Text(text));
                }
                Some(b'\\') => {
                    self.at += 1;
                    text.extend(self.peek());
                    self.at += 1;
                }
                Some(byte) => {
                    text.push(byte);
                    self.at += 1;
                }
            }
        }
    }

    /// Anything up to a space or a parenthesis; those inside the brackets of `BODY[HEADER.FIELDS (DATE)]` belong to it.
    fn atom(&mut self) -> Value {
        let start = self.at;
        let has_section =
            self.text.get(start..start + 4).is_some_and(|word| word.eq_ignore_ascii_case(b"BODY"));
        let mut in_brackets = false;
        while let Some(byte) = self.peek() {
            match byte {
                b'[' if has_section => in_brackets = true,
                b']' => in_brackets = false,
                b' ' | b'(' | b')' if !in_brackets => break,
                _ => {}
            }
            self.at += 1;
        }
        let atom = &self.text[start..self.at];
        if atom.eq_ignore_ascii_case(b"NIL") { Value::Nil } else { Value::Atom(atom.to_vec()) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn atom(text: &str) -> Value {
        Value::Atom(text.into())
    }

    #[test]
    fn values_of_a_response() {
        let values = parse(br#"* LIST (\Noselect) "/" {3} NIL "a\"b""#, vec![b"x y".to_vec()]).unwrap();
        let list = Value::List(vec![atom("\\Noselect")]);
        let text = |text: &str| Value::Text(text.into());
        assert_eq!(values, [atom("*"), atom("LIST"), list, text("/"), text("x y"), Value::Nil, text("a\"b")]);
        let body = parse(b"BODY[HEADER.FIELDS (A B)] x", vec![]).unwrap();
        assert_eq!(body, [atom("BODY[HEADER.FIELDS (A B)]"), atom("x")]);
        for bad in [&b"(("[..], b")", b"\"x", b"{3}", b"{3"] {
            assert!(parse(bad, vec![]).is_err(), "{bad:?}");
        }
        assert!(parse(&b"(".repeat(10_000), vec![]).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(text in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse(&text, vec![b"x".to_vec()]);
        }
    }
}

//! Content-Type, Content-Disposition and their parameters (RFC 2045 §5.1, RFC 2183).

/// Parameters of one field at most.
const PARAMETERS_MAX: usize = 200;

/// A value with parameters: `text/plain; charset=utf-8`, `attachment; filename="a b"`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ContentType {
    /// `text`, or the only word of a disposition. As written.
    pub kind: Vec<u8>,
    /// `plain`; empty for a disposition.
    pub subtype: Vec<u8>,
    /// Name and value, unquoted, in order. What came in pieces is whole (RFC 2231 §3, §8): `name`, or `name*` when a piece of
    /// it is encoded, which it stays.
    pub parameters: Vec<(Vec<u8>, Vec<u8>)>,
}

impl ContentType {
    /// Reads a media type. Nothing when there is no `type/subtype`.
    pub fn parse(value: &[u8]) -> Option<ContentType> {
        let mut reader = Reader { bytes: value, at: 0 };
        let kind = reader.token()?;
        reader.expect(b'/')?;
        let subtype = reader.token()?;
        Some(ContentType { kind, subtype, parameters: joined(reader.parameters()) })
    }

    /// Reads a disposition: one word and parameters.
    pub fn parse_disposition(value: &[u8]) -> Option<ContentType> {
        let mut reader = Reader { bytes: value, at: 0 };
        let kind = reader.token()?;
        Some(ContentType { kind, subtype: Vec::new(), parameters: joined(reader.parameters()) })
    }

    /// `text/plain`, the default of RFC 2045 §5.2.
    pub fn text_plain() -> ContentType {
        ContentType { kind: b"text".to_vec(), subtype: b"plain".to_vec(), parameters: Vec::new() }
    }

    pub fn is(&self, kind: &str, subtype: &str) -> bool {
        self.kind.eq_ignore_ascii_case(kind.as_bytes())
            && self.subtype.eq_ignore_ascii_case(subtype.as_bytes())
    }

    pub fn is_kind(&self, kind: &str) -> bool {
        self.kind.eq_ignore_ascii_case(kind.as_bytes())
    }

    /// The value of a parameter, its name in any case.
    pub fn parameter(&self, name: &str) -> Option<&[u8]> {
        let found = self.parameters.iter().find(|(one, _)| one.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, value)| value.as_slice())
    }
}

/// The first word of a structured field, comments passed over: the name of a Content-Transfer-Encoding (RFC 2045 §6.1).
pub fn first_token(value: &[u8]) -> Option<Vec<u8>> {
    Reader { bytes: value, at: 0 }.token()
}

/// A list of language tags (RFC 3282).
pub fn languages(value: &[u8]) -> Vec<Vec<u8>> {
    let mut reader = Reader { bytes: value, at: 0 };
    let mut found = Vec::new();
    while let Some(tag) = reader.token() {
        found.push(tag);
        if found.len() >= PARAMETERS_MAX || reader.expect(b',').is_none() {
            break;
        }
    }
    found
}

/// Puts parameters in pieces together where no piece is missing; the others stay as they are.
fn joined(parameters: Vec<(Vec<u8>, Vec<u8>)>) -> Vec<(Vec<u8>, Vec<u8>)> {
    if !parameters.iter().any(|(name, _)| name.contains(&b'*')) {
        return parameters;
    }
    let mut whole: Vec<(Vec<u8>, Vec<u8>)> = Vec::with_capacity(parameters.len());
    let mut done: Vec<Vec<u8>> = Vec::new();
    for (name, value) in &parameters {
        match piece(name).filter(|(base, _, _)| !done.iter().any(|one| one.eq_ignore_ascii_case(base))) {
            Some((base, _, _)) => match together(&parameters, base) {
                Some(one) => {
                    done.push(base.to_vec());
                    whole.push(one);
                }
                None => whole.push((name.clone(), value.clone())),
            },
            None if piece(name).is_some() => {} // a further piece
            None => whole.push((name.clone(), value.clone())),
        }
    }
    whole
}

/// `base*3` or `base*3*`: base, number, and whether it is encoded.
fn piece(name: &[u8]) -> Option<(&[u8], usize, bool)> {
    let (name, is_encoded) = name.strip_suffix(b"*").map_or((name, false), |name| (name, true));
    let star = memchr::memrchr(b'*', name)?;
    let digits = std::str::from_utf8(&name[star + 1..]).ok()?;
    let is_number =
        digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    Some((&name[..star], digits.parse().ok().filter(|_| is_number)?, is_encoded))
        .filter(|(base, _, _)| !base.is_empty())
}

/// All pieces of `base`, when they are those from 0 on.
fn together(parameters: &[(Vec<u8>, Vec<u8>)], base: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut pieces: Vec<(usize, bool, &[u8])> = Vec::new();
    for (name, value) in parameters {
        match piece(name) {
            Some((own, number, is_encoded)) if own.eq_ignore_ascii_case(base) => {
                pieces.push((number, is_encoded, value));
            }
            _ => {}
        }
    }
    pieces.sort_by_key(|(number, _, _)| *number);
    if pieces.iter().enumerate().any(|(place, (number, _, _))| place != *number) {
        return None;
    }
    let any_encoded = pieces.iter().any(|(_, is_encoded, _)| *is_encoded);
    let mut value = Vec::new();
    for (_, is_encoded, text) in pieces {
        for byte in text {
            match byte {
                b'%' if any_encoded && !is_encoded => value.extend_from_slice(b"%25"),
                byte => value.push(*byte),
            }
        }
    }
    let mut name = base.to_vec();
    name.extend(any_encoded.then_some(b'*'));
    Some((name, value))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                b'(' => self.skip_comment(),
                _ => return,
            }
        }
    }

    fn skip_comment(&mut self) {
        let mut depth = 0usize;
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'\\' => self.at += 1,
                b'(' => depth += 1,
                b')' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        break;
                    }
                }
                _ => {}
            }
        }
        self.at = self.at.min(self.bytes.len());
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.skip_blanks();
        (self.peek() == Some(byte)).then(|| self.at += 1)
    }

    fn token(&mut self) -> Option<Vec<u8>> {
        self.skip_blanks();
        let rest = &self.bytes[self.at..];
        let is_end = |byte: &u8| {
            *byte <= b' '
                || matches!(
                    byte,
                    b'(' | b')'
                        | b'<'
                        | b'>'
                        | b'@'
                        | b','
                        | b';'
                        | b':'
                        | b'\\'
                        | b'"'
                        | b'/'
                        | b'['
                        | b']'
                        | b'?'
                        | b'='
                        | 0x7f
                )
        };
        let length = rest.iter().position(is_end).unwrap_or(rest.len());
        self.at += length;
        (length > 0).then(|| rest[..length].to_vec())
    }

    /// A quoted string, or everything up to the next `;` or blank: senders write `name=a/b` unquoted.
    fn value(&mut self) -> Vec<u8> {
        self.skip_blanks();
        if self.peek() == Some(b'"') {
            self.at += 1;
            let mut text = Vec::new();
            while let Some(byte) = self.peek() {
                self.at += 1;
                match byte {
                    b'"' => break,
                    b'\\' => {
                        text.extend(self.peek());
                        self.at += 1;
                    }
                    b'\r' | b'\n' => {}
                    byte => text.push(byte),
                }
            }
            self.at = self.at.min(self.bytes.len());
            return text;
        }
        let rest = &self.bytes[self.at..];
        let length = rest
            .iter()
            .position(|byte| matches!(byte, b';' | b' ' | b'\t' | b'\r' | b'\n' | b'('))
            .unwrap_or(rest.len());
        self.at += length;
        rest[..length].to_vec()
    }

    fn parameters(&mut self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut found = Vec::new();
        while found.len() < PARAMETERS_MAX {
            // Whatever stands before the next `;` is passed over.
            loop {
                self.skip_blanks();
                match self.peek() {
                    None => return found,
                    Some(b';') => break self.at += 1,
                    Some(b'"') => {
                        self.value();
                    }
                    Some(_) => self.at += 1,
                }
            }
            let Some(name) = self.token() else { continue };
            if self.expect(b'=').is_some() {
                let value = self.value();
                found.push((name, value));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn types_are_read_with_their_parameters() {
        let read = ContentType::parse(
            b" Text/HTML (comment) ; charset = \"utf\\-8\" ;;junk; name=a/b.txt; =x; title*0*=us-ascii'en'a",
        )
        .unwrap();
        assert!(read.is("text", "html"));
        assert_eq!(read.parameter("CHARSET"), Some(&b"utf-8"[..]));
        assert_eq!(read.parameter("name"), Some(&b"a/b.txt"[..]));
        assert_eq!(read.parameter("title*"), Some(&b"us-ascii'en'a"[..]));
        assert_eq!(read.parameters.len(), 3);
        assert_eq!(ContentType::parse(b"text"), None);
        assert_eq!(ContentType::parse(b"/plain"), None);
        let attachment = ContentType::parse_disposition(b"attachment;\r\n filename=\"a;b\"").unwrap();
        assert_eq!(attachment.parameter("filename"), Some(&b"a;b"[..]));
        assert_eq!(languages(b"en, de (German), fr"), [b"en".to_vec(), b"de".to_vec(), b"fr".to_vec()]);
    }

    /// The example of RFC 2231 §4.1, and what is no whole of pieces.
    #[test]
    fn pieces_of_a_parameter_are_put_together() {
        for (value, name, whole) in [
            (
                "a/b; title*0*=us-ascii'en'This%20is%20even%20more%20; title*1*=%2A%2A%2Afun%2A%2A%2A%20; title*2=\"isn't it!\"",
                "title*",
                Some("us-ascii'en'This%20is%20even%20more%20%2A%2A%2Afun%2A%2A%2A%20isn't it!"),
            ),
            ("a/b; URL*0=\"ftp://\"; url*1=\"cs.utk.edu\"", "url", Some("ftp://cs.utk.edu")),
            ("a/b; x*1=two; x*0=one", "x", Some("onetwo")),
            ("a/b; x*0*=''%41; x*1=5%", "x*", Some("''%415%25")),
            ("a/b; x*0=one; x*2=three", "x", None),
            ("a/b; x*0=one; x*2=three", "x*2", Some("three")),
            ("a/b; x*0=a; x*0=b", "x*0", Some("a")),
            ("a/b; x*00=a; *0=b", "x*00", Some("a")),
        ] {
            let read = ContentType::parse(value.as_bytes()).unwrap();
            assert_eq!(read.parameter(name), whole.map(str::as_bytes), "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_value_is_too_strange(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            ContentType::parse(&value);
            ContentType::parse_disposition(&value);
            languages(&value);
        }
    }
}

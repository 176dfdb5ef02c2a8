//! Canonicalization of header fields (RFC 6376 §3.4).

use crate::fields::Field;

/// `simple` tolerates nothing, `relaxed` changes of white space and of the case of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Canonical {
    Simple,
    Relaxed,
}

impl Canonical {
    pub(crate) fn from_name(name: &[u8]) -> Option<Canonical> {
        match name {
            b"simple" => Some(Canonical::Simple),
            b"relaxed" => Some(Canonical::Relaxed),
            _ => None,
        }
    }

    /// Adds a field and its line end.
    pub(crate) fn add_field(self, field: &Field<'_>, out: &mut Vec<u8>) {
        self.add(field.name(), field.raw, field.value(), out);
        out.extend_from_slice(b"\r\n");
    }

    /// Adds a signature's own field as it is signed: the value of `b=`, which stands at `span` of the field's value, is not
    /// there, nor is the line end (RFC 6376 §3.7).
    pub(crate) fn add_own(self, field: &Field<'_>, span: std::ops::Range<usize>, out: &mut Vec<u8>) {
        let at = field.value_at();
        let (before, behind) = (&field.raw[..at + span.start], &field.raw[at + span.end..]);
        let raw = [before, behind].concat();
        self.add(field.name(), &raw, &raw[at..], out);
    }

    fn add(self, name: &[u8], raw: &[u8], value: &[u8], out: &mut Vec<u8>) {
        match self {
            Canonical::Simple => out.extend_from_slice(raw),
            Canonical::Relaxed => {
                out.extend(name.iter().map(u8::to_ascii_lowercase));
                out.push(b':');
                add_relaxed(value, out);
            }
        }
    }
}

/// RFC 6376 §3.4.2: without folds, runs of white space are one space, and there is none at either end.
fn add_relaxed(value: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    let mut is_apart = false;
    let mut at = 0;
    while let Some(&byte) = value.get(at) {
        match byte {
            b' ' | b'\t' => is_apart = true,
            b'\n' => {}
            b'\r' if value.get(at + 1) == Some(&b'\n') => {}
            _ => {
                if is_apart && out.len() > start {
                    out.push(b' ');
                }
                is_apart = false;
                out.push(byte);
            }
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn canonical(how: Canonical, raw: &str) -> String {
        let mut out = Vec::new();
        how.add_field(&Field::read(raw.as_bytes()).unwrap(), &mut out);
        String::from_utf8(out).unwrap()
    }

    /// RFC 6376 §3.4.5, examples 1 and 2
    #[test]
    fn the_examples_of_the_standard() {
        assert_eq!(canonical(Canonical::Relaxed, "A: X\r\n"), "a:X\r\n");
        assert_eq!(canonical(Canonical::Relaxed, "B : Y\t\r\n\tZ  \r\n"), "b:Y Z\r\n");
        assert_eq!(canonical(Canonical::Simple, "A: X\r\n"), "A: X\r\n");
        assert_eq!(canonical(Canonical::Simple, "B : Y\t\r\n\tZ  \r\n"), "B : Y\t\r\n\tZ  \r\n");
    }

    #[test]
    fn relaxed_fields() {
        for (raw, expected) in [
            ("Subject:", "subject:\r\n"),
            ("Subject: \t ", "subject:\r\n"),
            ("SUBJECT:a", "subject:a\r\n"),
            ("Subject \t:  a  b ", "subject:a b\r\n"),
            ("Subject:\r\n a\r\n\tb", "subject:a b\r\n"),
            ("Subject: a\r\n \r\n b", "subject:a b\r\n"),
            ("X: a\u{a0}b", "x:a\u{a0}b\r\n"),
            ("X: a:b :c", "x:a:b :c\r\n"),
        ] {
            assert_eq!(canonical(Canonical::Relaxed, raw), expected, "{raw:?}");
        }
    }

    #[test]
    fn the_value_of_b_is_not_signed() {
        let field = Field::read(b"Sig: a=x; b= ab\r\n cd ; d=y\r\n").unwrap();
        let tags = crate::tags::Tags::read(field.value()).unwrap();
        for (how, expected) in
            [(Canonical::Simple, "Sig: a=x; b=; d=y"), (Canonical::Relaxed, "sig:a=x; b=; d=y")]
        {
            let mut out = Vec::new();
            how.add_own(&field, tags.span("b").unwrap(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    proptest! {
        #[test]
        fn relaxed_is_the_same_however_it_is_spaced(words in "[a-z:]{1,5}( [a-z:]{1,5}){0,5}", fold in "\r\n[ \t]{1,3}|[ \t]{1,3}") {
            let spaced = format!("X:{fold}{}{fold}", words.replace(' ', &fold));
            prop_assert_eq!(canonical(Canonical::Relaxed, &spaced), format!("x:{words}\r\n"));
        }
    }
}

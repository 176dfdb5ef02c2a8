//! Line ends of a message that comes in pieces: CR LF each (RFC 5322 §2.1), though a client sent LF alone.

use std::borrow::Cow;

/// Puts the CR that is missing before an LF. A CR without LF stays.
#[derive(Clone, Copy, Debug, Default)]
pub struct LineEnds {
    /// The last byte was CR.
    after_cr: bool,
}

impl LineEnds {
    /// The piece, itself where nothing is missing.
    pub fn mend<'p>(&mut self, piece: &'p [u8]) -> Cow<'p, [u8]> {
        let mut out = Vec::new();
        let mut done = 0;
        for at in memchr::memchr_iter(b'\n', piece) {
            let has_cr = if at == 0 { self.after_cr } else { piece[at - 1] == b'\r' };
            if !has_cr {
                out.extend_from_slice(&piece[done..at]);
                out.push(b'\r');
                done = at;
            }
        }
        self.after_cr = piece.last().map_or(self.after_cr, |last| *last == b'\r');
        if out.is_empty() {
            return Cow::Borrowed(piece);
        }
        out.extend_from_slice(&piece[done..]);
        Cow::Owned(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_lf_has_its_cr_however_the_message_is_cut(text in "(\r|\n|a|\r\n){0,40}", room in 1usize..9) {
            let mut ends = LineEnds::default();
            let whole: Vec<u8> = text.as_bytes().chunks(room).flat_map(|piece| ends.mend(piece).into_owned()).collect();
            let expected = text.replace("\r\n", "\n").replace('\n', "\r\n");
            prop_assert_eq!(String::from_utf8(whole).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_right_is_not_copied() {
        assert!(matches!(LineEnds::default().mend(b"a\r\nb\r\n"), Cow::Borrowed(_)));
        assert!(matches!(LineEnds::default().mend(b""), Cow::Borrowed(_)));
    }
}

//! Content-Transfer-Encodings undone piece by piece, for parts that should not lie in memory (RFC 2045 §6).

use crate::charset::{decode_base64, decode_quoted_printable};
use crate::content_type::first_token;

/// Of a line of quoted-printable without end, what is held back at most; RFC 2045 §6.7 has lines of 76.
const LINE_BYTES_MAX: usize = 4096;

/// The encodings that can be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferEncoding {
    /// 7bit, 8bit, binary, or none named.
    Identity,
    Base64,
    QuotedPrintable,
}

impl TransferEncoding {
    /// The encoding of this name, in any case, comments around it passed over; nothing for one that is not known
    /// (RFC 2045 §6.4).
    pub fn named(name: &str) -> Option<TransferEncoding> {
        let word = first_token(name.as_bytes()).unwrap_or_else(|| name.trim().as_bytes().to_vec());
        match String::from_utf8_lossy(&word).to_ascii_lowercase().as_str() {
            "" | "7bit" | "8bit" | "binary" => Some(TransferEncoding::Identity),
            "base64" => Some(TransferEncoding::Base64),
            "quoted-printable" => Some(TransferEncoding::QuotedPrintable),
            _ => None,
        }
    }
}

/// Takes a body in pieces of any size; what comes out is what [`crate::charset::decode_transfer`] makes of the whole, except
/// behind a line that is longer than 4 KiB and consists of blanks and `=`.
#[derive(Clone, Debug)]
pub struct Decoder {
    encoding: TransferEncoding,
    /// Digits without a whole group, or the beginning of a line.
    held: Vec<u8>,
    /// The padding of base64 was met: nothing follows.
    is_over: bool,
}

impl Decoder {
    pub fn new(encoding: TransferEncoding) -> Decoder {
        Decoder { encoding, held: Vec::new(), is_over: false }
    }

    /// Takes a piece; appends what can be said already.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        match self.encoding {
            TransferEncoding::Identity => out.extend_from_slice(piece),
            TransferEncoding::Base64 if self.is_over => {}
            TransferEncoding::Base64 => self.digits(piece, out),
            TransferEncoding::QuotedPrintable => self.lines(piece, out),
        }
    }

    /// The body is over: appends the rest.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let held = std::mem::take(&mut self.held);
        match self.encoding {
            TransferEncoding::Identity => {}
            TransferEncoding::Base64 => out.extend_from_slice(&decode_base64(&held)),
            TransferEncoding::QuotedPrintable => out.extend_from_slice(&decode_quoted_printable(&held)),
        }
    }

    fn digits(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let padding = memchr::memchr(b'=', piece);
        self.is_over = padding.is_some();
        let digits = &piece[..padding.unwrap_or(piece.len())];
        self.held
            .extend(digits.iter().filter(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')));
        let rest = self.held.split_off(self.held.len() - self.held.len() % 4);
        out.extend_from_slice(&decode_base64(&self.held));
        self.held = rest;
    }

    fn lines(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        self.held.extend_from_slice(piece);
        let mut whole = memchr::memrchr(b'\n', &self.held).map_or(0, |at| at + 1);
        if self.held.len() - whole > LINE_BYTES_MAX {
            // Blanks before a line end vanish, and `=` begins something: neither may be cut.
            let is_open = |at: &usize| matches!(self.held[*at], b' ' | b'\t' | b'\r' | b'\x0c' | b'=');
            let last = (whole..self.held.len()).rev().find(|at| !is_open(at)).map_or(whole, |at| at + 1);
            let encoded = (whole..last).rev().take(2).find(|at| self.held[*at] == b'=');
            let cut = encoded
                .map_or(last, |at| (whole..at).rev().find(|at| !is_open(at)).map_or(whole, |at| at + 1));
            whole = if cut > whole { cut } else { self.held.len() };
        }
        let rest = self.held.split_off(whole);
        out.extend_from_slice(&decode_quoted_printable(&self.held));
        self.held = rest;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::charset::decode_transfer;

    fn in_pieces(body: &[u8], name: &str, size: usize) -> Vec<u8> {
        let mut decoder = Decoder::new(TransferEncoding::named(name).unwrap());
        let mut out = Vec::new();
        for piece in body.chunks(size) {
            decoder.push(piece, &mut out);
        }
        decoder.finish(&mut out);
        out
    }

    #[test]
    fn names_are_known_in_any_case() {
        assert_eq!(TransferEncoding::named(" BASE64 "), Some(TransferEncoding::Base64));
        assert_eq!(TransferEncoding::named("8Bit"), Some(TransferEncoding::Identity));
        for unknown in ["x-uuencode", "base-64", "7 bit"] {
            assert_eq!(TransferEncoding::named(unknown), None);
        }
    }

    #[test]
    fn a_line_without_end_is_not_held() {
        let mut decoder = Decoder::new(TransferEncoding::QuotedPrintable);
        let mut out = Vec::new();
        for _ in 0..1000 {
            decoder.push(&b"a=20b=\t ".repeat(100), &mut out);
            assert!(decoder.held.len() <= 2 * LINE_BYTES_MAX);
        }
        for _ in 0..1000 {
            decoder.push(&[b'='; 1000], &mut out);
            assert!(decoder.held.len() <= 2 * LINE_BYTES_MAX);
        }
        decoder.finish(&mut out);
        assert!(out.starts_with(b"a b=\t a b"));
    }

    #[test]
    fn a_long_line_is_cut_where_it_does_no_harm() {
        for body in [b"a=41=3D==42 \t".repeat(2000), [b"=".repeat(3), b"4 =41x".repeat(3000)].concat()] {
            for size in [1, 7, 4095, 5000] {
                assert_eq!(
                    in_pieces(&body, "quoted-printable", size),
                    *decode_transfer(&body, "quoted-printable")
                );
            }
        }
    }

    proptest! {
        #[test]
        fn pieces_come_out_as_the_whole(
            body in "([A-Za-z0-9+/=]{0,9}[ \t]{0,3}(\r\n|\n|=\r\n|=|\r)?){0,30}",
            size in 1usize..40,
        ) {
            for name in ["base64", "quoted-printable", "8bit"] {
                prop_assert_eq!(in_pieces(body.as_bytes(), name, size), decode_transfer(body.as_bytes(), name).into_owned());
            }
        }
    }
}

//! Hashes of a body: canonicalized (RFC 6376 §3.4.3, §3.4.4), whole or up to a length (`l=`), for everybody who asks in one
//! reading.

use openssl::sha::Sha256;

use crate::canonical::Canonical;

/// What is canonicalized is handed to the hash in pieces of this size.
const PIECE: usize = 32 << 10;

pub(crate) type Digest = [u8; 32];

/// What somebody wants to know: the hash of so many bytes of the canonical body, or of all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) canonical: Canonical,
    pub(crate) limit: Option<u64>,
}

/// The hashes in the order of `wanted`; `None` where the body is shorter than the limit.
pub(crate) fn hashes(body: &[u8], wanted: &[Wanted]) -> Vec<Option<Digest>> {
    let mut all = vec![None; wanted.len()];
    for canonical in [Canonical::Simple, Canonical::Relaxed] {
        let ours = wanted.iter().enumerate().filter(|(_, one)| one.canonical == canonical);
        let asked: Vec<(Option<u64>, usize)> = ours.map(|(place, one)| (one.limit, place)).collect();
        if asked.is_empty() {
            continue;
        }
        let mut hash = Hash::new(&asked);
        match canonical {
            Canonical::Simple => simple(body, &mut hash),
            Canonical::Relaxed => relaxed(body, &mut hash),
        }
        for (place, digest) in hash.finish(&asked) {
            all[place] = Some(digest);
        }
    }
    all
}

/// A hash that remembers what it was at the limits.
struct Hash {
    state: Sha256,
    length: u64,
    /// Limits not yet reached, the nearest last, and who asked.
    ahead: Vec<(u64, usize)>,
    /// Whether somebody wants all of it.
    whole: bool,
    found: Vec<(usize, Digest)>,
    piece: Vec<u8>,
}

impl Hash {
    fn new(asked: &[(Option<u64>, usize)]) -> Hash {
        let mut ahead: Vec<(u64, usize)> =
            asked.iter().filter_map(|(limit, place)| limit.map(|limit| (limit, *place))).collect();
        ahead.sort_unstable_by(|one, other| other.cmp(one));
        let whole = asked.iter().any(|(limit, _)| limit.is_none());
        let piece = Vec::with_capacity(PIECE);
        Hash { state: Sha256::new(), length: 0, ahead, whole, found: Vec::new(), piece }
    }

    fn add(&mut self, bytes: &[u8]) {
        if self.piece.len() + bytes.len() > PIECE {
            self.flush();
        }
        match bytes.len() > PIECE {
            true => self.update(bytes),
            false => self.piece.extend_from_slice(bytes),
        }
    }

    fn flush(&mut self) {
        let mut piece = std::mem::take(&mut self.piece);
        self.update(&piece);
        piece.clear();
        self.piece = piece;
    }

    fn update(&mut self, mut bytes: &[u8]) {
        while let Some(&(limit, place)) = self.ahead.last() {
            let up_to = limit.saturating_sub(self.length);
            let Some(part) = usize::try_from(up_to).ok().and_then(|length| bytes.get(..length)) else {
                break;
            };
            self.feed(part);
            bytes = &bytes[part.len()..];
            self.found.push((place, self.state.clone().finish()));
            self.ahead.pop();
        }
        self.feed(bytes);
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        if self.whole || !self.ahead.is_empty() {
            self.state.update(bytes);
        }
    }

    fn finish(mut self, asked: &[(Option<u64>, usize)]) -> Vec<(usize, Digest)> {
        self.flush();
        let whole = self.state.finish();
        let all = asked.iter().filter(|(limit, _)| limit.is_none()).map(|(_, place)| (*place, whole));
        self.found.extend(all);
        self.found
    }
}

/// Without the empty lines at its end; an empty body is one empty line.
fn simple(body: &[u8], hash: &mut Hash) {
    let mut rest = body;
    while let Some(shorter) = rest.strip_suffix(b"\r\n") {
        rest = shorter;
    }
    hash.add(rest);
    hash.add(b"\r\n");
}

/// Also without white space at the ends of lines, and runs of it within are one space; an empty body stays empty.
fn relaxed(body: &[u8], hash: &mut Hash) {
    let mut rest = body;
    let mut empty_lines = 0_u64;
    while !rest.is_empty() {
        let (line, behind) = split_line(rest);
        rest = behind;
        let line = &line[..line.iter().rposition(|byte| !is_wsp(*byte)).map_or(0, |last| last + 1)];
        if line.is_empty() {
            empty_lines += 1;
            continue;
        }
        for _ in 0..std::mem::take(&mut empty_lines) {
            hash.add(b"\r\n");
        }
        add_line(line, hash);
        hash.add(b"\r\n");
    }
}

fn add_line(line: &[u8], hash: &mut Hash) {
    let mut rest = line;
    while let Some(at) = memchr::memchr2(b' ', b'\t', rest) {
        hash.add(&rest[..at]);
        hash.add(b" ");
        let behind = &rest[at..];
        let run = behind.iter().position(|byte| !is_wsp(*byte)).unwrap_or(behind.len());
        rest = &behind[run..];
    }
    hash.add(rest);
}

/// The first line without its CRLF, and what follows.
fn split_line(text: &[u8]) -> (&[u8], &[u8]) {
    let mut from = 0;
    while let Some(found) = memchr::memchr(b'\n', &text[from..]) {
        let at = from + found;
        if at > 0 && text[at - 1] == b'\r' {
            return (&text[..at - 1], &text[at + 1..]);
        }
        from = at + 1;
    }
    (text, &[])
}

fn is_wsp(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;
    use openssl::sha::sha256;
    use proptest::prelude::*;

    /// The canonical body, in the words of the standard and without regard to speed.
    fn plain(how: Canonical, body: &str) -> String {
        let mut lines: Vec<String> = body.split("\r\n").map(str::to_owned).collect();
        if how == Canonical::Relaxed {
            for line in &mut lines {
                let words =
                    line.split([' ', '\t']).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
                let indent = if line.starts_with([' ', '\t']) && !words.is_empty() { " " } else { "" };
                *line = format!("{indent}{words}");
            }
        }
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        if lines.is_empty() {
            return if how == Canonical::Simple { "\r\n".into() } else { String::new() };
        }
        lines.join("\r\n") + "\r\n"
    }

    fn one(how: Canonical, body: &str, limit: Option<u64>) -> Option<Digest> {
        hashes(body.as_bytes(), &[Wanted { canonical: how, limit }])[0]
    }

    /// RFC 6376 §3.4.5 and the lines before it
    #[test]
    fn the_examples_of_the_standard() {
        let body = " C \r\nD \t E\r\n\r\n\r\n";
        assert_eq!(one(Canonical::Relaxed, body, None), Some(sha256(b" C\r\nD E\r\n")));
        assert_eq!(one(Canonical::Simple, body, None), Some(sha256(b" C \r\nD \t E\r\n")));
        // §3.4.3 and §3.4.4 give the hashes of an empty body.
        let text = |digest: Option<Digest>| openssl::base64::encode_block(&digest.unwrap());
        assert_eq!(text(one(Canonical::Simple, "", None)), "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=");
        assert_eq!(text(one(Canonical::Relaxed, "", None)), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }

    #[test]
    fn bodies_and_their_canonical_forms() {
        for (body, simple, relaxed) in [
            ("a", "a\r\n", "a\r\n"),
            ("a\r\n\r\n", "a\r\n", "a\r\n"),
            ("\r\n\r\n", "\r\n", ""),
            (" \r\n\t\r\n", " \r\n\t\r\n", ""),
            ("a \r\n \r\n", "a \r\n \r\n", "a\r\n"),
            ("\r\na\r\n \r\nb", "\r\na\r\n \r\nb\r\n", "\r\na\r\n\r\nb\r\n"),
            ("a\nb \r\n", "a\nb \r\n", "a\nb\r\n"),
            ("a\r", "a\r\r\n", "a\r\r\n"),
            ("a\r \r\n", "a\r \r\n", "a\r\r\n"),
        ] {
            assert_eq!(one(Canonical::Simple, body, None), Some(sha256(simple.as_bytes())), "{body:?}");
            assert_eq!(one(Canonical::Relaxed, body, None), Some(sha256(relaxed.as_bytes())), "{body:?}");
        }
    }

    #[test]
    fn a_length_is_that_of_the_canonical_body() {
        assert_eq!(one(Canonical::Relaxed, "a  b\r\nc", Some(4)), Some(sha256(b"a b\r")));
        assert_eq!(one(Canonical::Relaxed, "a  b\r\nc", Some(0)), Some(sha256(b"")));
        assert_eq!(one(Canonical::Relaxed, "", Some(0)), Some(sha256(b"")));
        assert_eq!(one(Canonical::Relaxed, "a  b", Some(5)), Some(sha256(b"a b\r\n")));
        assert_eq!(one(Canonical::Relaxed, "a  b", Some(6)), None);
        assert_eq!(one(Canonical::Simple, "a", Some(u64::MAX)), None);
    }

    /// Whatever the pieces and the lengths: a long body with long lines, empty lines and limits all over.
    #[test]
    fn a_long_body_in_one_reading() {
        let mut body = "x".repeat(PIECE * 2 + 3) + "  \r\n";
        body.push_str(&"\r\n".repeat(PIECE));
        body.push_str(&"word \t word\r\n".repeat(10_000));
        for canonical in [Canonical::Simple, Canonical::Relaxed] {
            let expected = plain(canonical, &body);
            let limits = [None, Some(0), Some(PIECE as u64), Some(expected.len() as u64), Some(7), None];
            let wanted = limits.map(|limit| Wanted { canonical, limit });
            let found = hashes(body.as_bytes(), &wanted);
            for (limit, found) in limits.into_iter().zip(found) {
                let end = limit.map_or(expected.len(), |limit| limit as usize);
                assert_eq!(found, Some(sha256(&expected.as_bytes()[..end])), "{canonical:?} {limit:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_body_is_as_the_standard_says(body in "( |\t|a|b|\r\n|\r|\n){0,30}", limit in proptest::option::of(0u64..40)) {
            for canonical in [Canonical::Simple, Canonical::Relaxed] {
                let expected = plain(canonical, &body);
                let end = limit.map_or(expected.len(), |limit| limit as usize);
                let digest = expected.as_bytes().get(..end).map(sha256);
                prop_assert_eq!(one(canonical, &body, limit), digest, "{:?} {:?}", canonical, expected);
            }
        }
    }
}

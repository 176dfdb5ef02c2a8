//! The header of a message as it comes in: its hops are counted, and submission adds what is missing (RFC 6409 §8).

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Bytes of a header at most, folded lines and all.
pub const HEADER_BYTES_MAX: usize = 1 << 20;
/// Fields of a header at most, and bytes of one, folds and all: what ENVELOPE shows of a message is bounded.
const FIELDS_MAX: usize = 10_000;
const FIELD_BYTES_MAX: usize = 128 << 10;

/// The header, up to and with its empty line.
pub struct Header<'a>(pub &'a [u8]);

impl Header<'_> {
    /// How many fields of this name there are; names match in any case.
    pub fn count(&self, name: &str) -> u32 {
        let lines = self.0.split(|byte| *byte == b'\n');
        let is_field = |line: &&[u8]| {
            line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()))
                && line[name.len()..].trim_ascii_start().first() == Some(&b':')
        };
        u32::try_from(lines.filter(is_field).count()).unwrap_or(u32::MAX)
    }

    /// Whether fields and their lengths are within bounds.
    pub fn fits(&self) -> bool {
        let (mut fields, mut length) = (0, 0_usize);
        for line in self.0.split_inclusive(|byte| *byte == b'\n') {
            if line == b"\r\n" {
                break;
            }
            if !line.starts_with(b" ") && !line.starts_with(b"\t") {
                fields += 1;
                length = 0;
            }
            length += line.len();
            if fields > FIELDS_MAX || length > FIELD_BYTES_MAX {
                return false;
            }
        }
        true
    }

    pub fn has(&self, name: &str) -> bool {
        self.count(name) > 0
    }

    /// The lines a submission server adds in front (RFC 6409 §8.1, §8.3): Date, Message-ID, From.
    pub fn missing_fields(&self, id: &str, host: &str, from: Option<&str>) -> String {
        let mut lines = String::new();
        if !self.has("Date") {
            lines.push_str(&format!("Date: {}\r\n", date(base::clock::unix_seconds())));
        }
        if !self.has("Message-ID") {
            lines.push_str(&format!("Message-ID: <{id}@{host}>\r\n"));
        }
        if let (false, Some(from)) = (self.has("From"), from) {
            lines.push_str(&format!("From: <{from}>\r\n"));
        }
        lines
    }
}

/// Where the header of `content` ends: behind the first empty line.
pub fn end(content: &[u8], searched: usize) -> Option<usize> {
    if content.starts_with(b"\r\n") {
        return Some(2);
    }
    let from = searched.saturating_sub(3);
    memchr::memmem::find(&content[from..], b"\r\n\r\n").map(|at| from + at + 4)
}

/// Whether `content` begins with a header field, or with the empty line that ends a header, or holds nothing. If not, it
/// is all body: nothing of it may become part of the lines put in front of it.
pub fn is_at_start(content: &[u8]) -> bool {
    if content.is_empty() || content.starts_with(b"\r\n") {
        return true;
    }
    let name = content.iter().take_while(|byte| matches!(byte, 0x21..=0x7e) && **byte != b':').count();
    let behind = content[name..].iter().find(|byte| !matches!(byte, b' ' | b'\t'));
    name > 0 && behind == Some(&b':')
}

/// `date-time` (RFC 5322 §3.3), in this host's zone.
pub fn date(second: i64) -> String {
    let time = Timestamp::from_second(second).unwrap_or_default().to_zoned_datetime(TimeZone::system());
    time.strftime("%a, %d %b %Y %H:%M:%S %z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_in_any_case_and_not_inside_values() {
        let header =
            Header(b"Received: a\r\n\tReceived: b\r\nreceived : c\r\nX-Received: d\r\nReceivedX: e\r\n\r\n");
        assert_eq!(header.count("Received"), 2);
        assert!(!header.has("Date"));
        let added = header.missing_fields("ID", "host.example", Some("a@b.example"));
        assert!(added.starts_with("Date: ") && added.contains("\r\nMessage-ID: <ID@host.example>\r\n"));
        assert!(added.ends_with("From: <a@b.example>\r\n"));
        let whole = Header(b"DATE: x\r\nmessage-id: y\r\nfrom: z\r\n\r\n");
        assert_eq!(whole.missing_fields("ID", "h", Some("a@b")), "");
    }

    #[test]
    fn fields_without_number_or_end_do_not_fit() {
        assert!(Header(b"A: b\r\n c\r\nD: e\r\n\r\n").fits());
        assert!(Header(format!("{}\r\n", "X: y\r\n".repeat(FIELDS_MAX)).as_bytes()).fits());
        assert!(!Header("X: y\r\n".repeat(FIELDS_MAX + 1).as_bytes()).fits());
        let folded = format!("X: y\r\n{}", " z\r\n".repeat(FIELD_BYTES_MAX / 4));
        assert!(!Header(folded.as_bytes()).fits());
        assert!(!Header(&[b'x'; FIELD_BYTES_MAX + 1]).fits());
    }

    #[test]
    fn a_header_begins_with_a_field_or_not_at_all() {
        for header in ["", "\r\nbody", "A: b\r\n", "A :b", "X-1:"] {
            assert!(is_at_start(header.as_bytes()), "{header:?}");
        }
        for body in [" A: b\r\n", "hello world\r\nA: b\r\n", ":a", "hello\r\n", "A\r\n: b", "\u{e4}: b"] {
            assert!(!is_at_start(body.as_bytes()), "{body:?}");
        }
    }

    #[test]
    fn the_end_is_found_wherever_the_pieces_break() {
        let content = b"A: b\r\n\r\nbody\r\n\r\n";
        for searched in 0..8 {
            assert_eq!(end(content, searched), Some(8), "{searched}");
        }
        assert_eq!(end(b"\r\nbody", 0), Some(2));
        assert_eq!(end(b"A: b\r\n", 0), None);
    }

    #[test]
    fn a_date_has_the_form_of_rfc_5322() {
        let text = date(951_760_805);
        assert!(
            text.contains(" Feb 2000 ") && text.len() == "Mon, 28 Feb 2000 18:00:05 +0000".len(),
            "{text}"
        );
    }
}

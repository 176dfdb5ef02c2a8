//! Untagged responses as bytes, written straight to the output queue (RFC 3501 §7). No allocation per response.

use connection::Output;
use message_store::{Flags, Record};

const SYSTEM: [(Flags, &[u8]); 5] = [
    (Flags::ANSWERED, b"\\Answered"),
    (Flags::FLAGGED, b"\\Flagged"),
    (Flags::DELETED, b"\\Deleted"),
    (Flags::SEEN, b"\\Seen"),
    (Flags::DRAFT, b"\\Draft"),
];

/// Decimal digits of `number`.
pub fn digits(out: &mut Output, mut number: u64) {
    let mut buffer = [0u8; 20];
    let mut at = buffer.len();
    loop {
        at -= 1;
        buffer[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.push(&buffer[at..]);
}

/// `* 23 EXISTS`
pub fn number(out: &mut Output, number: u32, word: &[u8]) {
    out.push(b"* ");
    digits(out, u64::from(number));
    out.push(b" ");
    out.push(word);
    out.push(b"\r\n");
}

/// `(\Seen $Label1)`
pub fn flags(out: &mut Output, record: &Record, recent: bool, keywords: &[String]) {
    let mut separator: &[u8] = b"(";
    let mut empty = true;
    let mut put = |out: &mut Output, word: &[u8]| {
        out.push(separator);
        out.push(word);
        separator = b" ";
        empty = false;
    };
    for (flag, word) in SYSTEM {
        if record.flags.contains(flag) {
            put(out, word);
        }
    }
    if recent {
        put(out, b"\\Recent");
    }
    let mut bits = record.keywords;
    while bits != 0 {
        let bit = bits.trailing_zeros();
        bits &= bits - 1;
        if let Some(keyword) = keywords.get(bit as usize) {
            put(out, keyword.as_bytes());
        }
    }
    out.push(if empty { b"()" } else { b")" });
}

/// `* 7 FETCH (UID 12 FLAGS (\Seen))`
pub fn flags_update(
    out: &mut Output,
    sequence: u32,
    uid: Option<u32>,
    record: &Record,
    recent: bool,
    keywords: &[String],
) {
    out.push(b"* ");
    digits(out, u64::from(sequence));
    out.push(b" FETCH (");
    if let Some(uid) = uid {
        out.push(b"UID ");
        digits(out, u64::from(uid));
        out.push(b" ");
    }
    out.push(b"FLAGS ");
    flags(out, record, recent, keywords);
    out.push(b")\r\n");
}

/// `* FLAGS (...)`: everything a message of this mailbox can have.
pub fn flags_list(out: &mut Output, keywords: &[String]) {
    out.push(b"* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft");
    for keyword in keywords {
        out.push(b" ");
        out.push(keyword.as_bytes());
    }
    out.push(b")\r\n");
}

/// `* OK [PERMANENTFLAGS (...)]`; `\*` while keywords can be added (RFC 3501 §7.1).
pub fn permanent_flags(out: &mut Output, keywords: &[String], read_only: bool) {
    if read_only {
        out.push(b"* OK [PERMANENTFLAGS ()] Read-only mailbox\r\n");
        return;
    }
    out.push(b"* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft");
    for keyword in keywords {
        out.push(b" ");
        out.push(keyword.as_bytes());
    }
    if keywords.len() < KEYWORDS_MAX {
        out.push(b" \\*");
    }
    out.push(b")] Flags permitted\r\n");
}

/// Keywords of one mailbox at most (the store's 64 bits).
pub const KEYWORDS_MAX: usize = 64;

/// `"text"`, or a literal when it cannot be quoted.
pub fn string(out: &mut Output, text: &[u8]) {
    let quotable = text.len() <= 1024
        && text.iter().all(|&byte| byte < 0x80 && !matches!(byte, b'\r' | b'\n' | 0 | b'"' | b'\\'));
    if quotable {
        out.push(b"\"");
        out.push(text);
        out.push(b"\"");
    } else {
        literal_size(out, text.len() as u64);
        out.push(text);
    }
}

/// `{12}` CRLF
pub fn literal_size(out: &mut Output, size: u64) {
    out.push(b"{");
    digits(out, size);
    out.push(b"}\r\n");
}

/// Ranges of UIDs as RFC 4315 writes them: `4:7,12`.
pub fn uid_set(out: &mut Output, uids: impl Iterator<Item = u32>) {
    let mut open: Option<(u32, u32)> = None;
    let mut first = true;
    let mut close = |out: &mut Output, (low, high): (u32, u32)| {
        if !first {
            out.push(b",");
        }
        first = false;
        digits(out, u64::from(low));
        if high > low {
            out.push(b":");
            digits(out, u64::from(high));
        }
    };
    for uid in uids {
        open = match open {
            Some((low, high)) if high.checked_add(1) == Some(uid) => Some((low, uid)),
            Some(range) => {
                close(out, range);
                Some((uid, uid))
            }
            None => Some((uid, uid)),
        };
    }
    if let Some(range) = open {
        close(out, range);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uid_sets_are_written_as_ranges() {
        let mut out = Output::default();
        uid_set(&mut out, [1, 2, 3, 7, 9, 10].into_iter());
        assert_eq!(out.take_all().unwrap(), b"1:3,7,9:10");
    }

    #[test]
    fn flags_are_listed_with_keywords_and_recent() {
        let mut out = Output::default();
        let record = Record { uid: 3, flags: Flags::SEEN, modseq: 1, keywords: 0b10, size: 5 };
        let keywords = ["a".to_owned(), "$Junk".to_owned()];
        flags_update(&mut out, 2, Some(3), &record, true, &keywords);
        assert_eq!(out.take_all().unwrap(), b"* 2 FETCH (UID 3 FLAGS (\\Seen \\Recent $Junk))\r\n");
    }
}

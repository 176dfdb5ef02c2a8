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

/// A mailbox name, as a string in modified UTF-7.
pub fn name(out: &mut Output, name: &str) {
    out.push(&imap_wire::quote(imap_wire::utf7::encode(name).as_bytes()));
}

/// `{12}` CRLF
pub fn literal_size(out: &mut Output, size: u64) {
    out.push(b"{");
    digits(out, size);
    out.push(b"}\r\n");
}

/// `a1 OK [CODE] text`; `tag` is `*` for an untagged status response (RFC 3501 §7.1).
pub fn tagged(out: &mut Output, tag: &[u8], word: &str, code: &str, text: &str) {
    out.push(tag);
    out.push(b" ");
    out.push(word.as_bytes());
    if !code.is_empty() {
        out.push(b" [");
        out.push(code.as_bytes());
        out.push(b"]");
    }
    out.push(b" ");
    out.push(text.as_bytes());
    out.push(b"\r\n");
}

/// Ranges of UIDs as RFC 4315 writes them: `4:7,12`. The order is kept.
pub fn uid_set(uids: impl Iterator<Item = u32>) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for uid in uids {
        match ranges.last_mut() {
            Some((_, high)) if high.checked_add(1) == Some(uid) => *high = uid,
            _ => ranges.push((uid, uid)),
        }
    }
    let mut text = String::new();
    for (low, high) in ranges {
        let comma = if text.is_empty() { "" } else { "," };
        text.push_str(&if low == high { format!("{comma}{low}") } else { format!("{comma}{low}:{high}") });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uid_sets_are_written_as_ranges() {
        assert_eq!(uid_set([1, 2, 3, 7, 9, 10].into_iter()), "1:3,7,9:10");
        assert_eq!(uid_set([].into_iter()), "");
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

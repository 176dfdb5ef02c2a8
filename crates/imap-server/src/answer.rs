//! Untagged responses as bytes, written straight to the output queue (RFC 3501 §7). No allocation per response.

use connection::Output;
use imap_wire::Naming;
use message_store::{Flags, Record, Within};

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
    shown: Shown,
    record: &Record,
    recent: bool,
    keywords: &[String],
) {
    fetch_begins(out, sequence, record.uid, shown);
    if shown.uid {
        out.push(b"UID ");
        digits(out, u64::from(record.uid));
        out.push(b" ");
    }
    out.push(b"FLAGS ");
    flags(out, record, recent, keywords);
    if shown.modseq {
        out.push(b" ");
        modseq(out, record.modseq);
    }
    out.push(b")\r\n");
}

/// What stands beside the flags of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shown {
    pub uid: bool,
    /// RFC 7162 §3.1
    pub modseq: bool,
    /// The message is named by its UID (RFC 9586 §3.3).
    pub uid_only: bool,
}

/// `* 7 FETCH (`, or `* 12 UIDFETCH (` for who wants to hear of UIDs only.
pub fn fetch_begins(out: &mut Output, sequence: u32, uid: u32, shown: Shown) {
    out.push(b"* ");
    digits(out, u64::from(if shown.uid_only { uid } else { sequence }));
    out.push(if shown.uid_only { b" UIDFETCH (" } else { b" FETCH (" });
}

/// `MODSEQ (624140003)` (RFC 7162 §3.1.4.2)
pub fn modseq(out: &mut Output, modseq: u64) {
    out.push(b"MODSEQ (");
    digits(out, modseq);
    out.push(b")");
}

/// `* OK [HIGHESTMODSEQ 715194045007] Highest modseq` (RFC 7162 §3.1.2.1)
pub fn highest_modseq(out: &mut Output, modseq: u64) {
    tagged(out, b"*", "OK", &format!("HIGHESTMODSEQ {modseq}"), "Highest modseq");
}

/// The id of a mailbox: it stays over renames (RFC 8474 §4).
pub fn mailbox_id(id: u128) -> String {
    format!("F{id:032x}")
}

/// The id of a message: the same for the same bytes, in whichever mailbox (RFC 8474 §5.1).
pub fn email_id(guid: &[u8; 16]) -> String {
    format!("M{:032x}", u128::from_be_bytes(*guid))
}

/// The id of a conversation (RFC 8474 §5.2), which JMAP says alike.
pub fn thread_id(id: &[u8; 16]) -> String {
    format!("T{:032x}", u128::from_be_bytes(*id))
}

/// The inverse of [`email_id`].
pub fn guid_of(email_id: &str) -> Option<[u8; 16]> {
    object_id_of(email_id, 'M')
}

/// The inverse of [`thread_id`].
pub fn thread_of(thread_id: &str) -> Option<[u8; 16]> {
    object_id_of(thread_id, 'T')
}

fn object_id_of(id: &str, kind: char) -> Option<[u8; 16]> {
    let hex = id.strip_prefix(kind).filter(|hex| hex.len() == 32)?;
    let is_ours = hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    u128::from_str_radix(hex, 16).ok().filter(|_| is_ours).map(u128::to_be_bytes)
}

/// Ranges in a row, so many that a line stays short of 8 KiB.
pub const RANGES_PER_LINE: usize = 300;

/// `* VANISHED (EARLIER) 41,43:116` with at most [`RANGES_PER_LINE`] ranges (RFC 7162 §3.2.10).
pub fn vanished(out: &mut Output, ranges: &[std::ops::RangeInclusive<u32>], earlier: bool) {
    out.push(if earlier { b"* VANISHED (EARLIER) " } else { b"* VANISHED " });
    for (index, range) in ranges.iter().enumerate() {
        if index > 0 {
            out.push(b",");
        }
        self::range(out, range);
    }
    out.push(b"\r\n");
}

/// `7` or `7:9`
pub fn range(out: &mut Output, range: &std::ops::RangeInclusive<u32>) {
    digits(out, u64::from(*range.start()));
    if range.start() < range.end() {
        out.push(b":");
        digits(out, u64::from(*range.end()));
    }
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

/// `* OK [PERMANENTFLAGS (...)]`: those that may be changed; `\*` while keywords can be added (RFC 3501 §7.1).
pub fn permanent_flags(out: &mut Output, keywords: &[String], within: Within) {
    if within == Within::NOTHING {
        out.push(b"* OK [PERMANENTFLAGS ()] Read-only mailbox\r\n");
        return;
    }
    let system = SYSTEM.iter().filter(|(flag, _)| within.flags.contains(*flag)).map(|(_, word)| *word);
    let keywords_of = |within: Within| if within.keywords { keywords } else { &[] };
    let star = (within.keywords && keywords.len() < KEYWORDS_MAX).then_some(&b"\\*"[..]);
    let words = system.chain(keywords_of(within).iter().map(String::as_bytes)).chain(star);
    out.push(b"* OK [PERMANENTFLAGS (");
    for (index, word) in words.enumerate() {
        out.push(if index == 0 { b"" } else { b" " });
        out.push(word);
    }
    out.push(b")] Flags permitted\r\n");
}

/// Keywords of one mailbox at most (the store's 64 bits).
pub const KEYWORDS_MAX: usize = 64;

/// A mailbox name, as a string.
pub fn name(out: &mut Output, name: &str, naming: Naming) {
    out.push(&imap_wire::mailbox::written(name, naming));
}

/// ` ("OLDNAME" ("..."))` behind the name in a LIST response (RFC 9051 §6.3.9.7).
pub fn old_name(out: &mut Output, name: &str, naming: Naming) {
    out.push(b" (\"OLDNAME\" (");
    self::name(out, name, naming);
    out.push(b"))");
}

/// The name of an annotation (RFC 5464 §5).
pub fn entry(out: &mut Output, entry: &str) {
    if entry.bytes().all(imap_wire::words::is_astring_char) {
        out.push(entry.as_bytes());
    } else {
        out.push(&imap_wire::quote(entry.as_bytes()));
    }
}

/// A string, or a literal8 when it has NUL (RFC 5464 §5: `value = nstring / literal8`).
pub fn octets(out: &mut Output, bytes: &[u8]) {
    if bytes.contains(&0) {
        out.push(b"~");
        literal_size(out, bytes.len() as u64);
        out.push(bytes);
    } else {
        out.push(&imap_wire::quote(bytes));
    }
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
        flags_update(
            &mut out,
            2,
            Shown { uid: true, modseq: false, uid_only: false },
            &record,
            true,
            &keywords,
        );
        assert_eq!(out.take_all().unwrap(), b"* 2 FETCH (UID 3 FLAGS (\\Seen \\Recent $Junk))\r\n");
        flags_update(&mut out, 2, Shown { uid: false, modseq: true, uid_only: false }, &record, false, &[]);
        assert_eq!(out.take_all().unwrap(), b"* 2 FETCH (FLAGS (\\Seen) MODSEQ (1))\r\n");
        flags_update(&mut out, 2, Shown { uid: false, modseq: false, uid_only: true }, &record, false, &[]);
        assert_eq!(out.take_all().unwrap(), b"* 3 UIDFETCH (FLAGS (\\Seen))\r\n");
    }

    #[test]
    fn ids_are_read_as_they_are_written() {
        let guid = [7, 0, 255, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13];
        assert_eq!(guid_of(&email_id(&guid)), Some(guid));
        for foreign in ["", "M", "Mx", &email_id(&guid)[1..], &email_id(&guid).to_uppercase()] {
            assert_eq!(guid_of(foreign), None, "{foreign}");
        }
    }
}

//! Where the messages of an mbox are, what their own header says of them, and their bytes as they were before they came into
//! the file. Nothing is in memory but a line's beginning and the index.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use message_store::Flags;
use openssl::sha::Sha256;

use super::source::{Keywords, Listing, Marks, Message};

/// Bytes of a line that are looked at as one; longer lines go on in pieces.
const PIECE_BYTES: usize = 8192;
/// Messages of one file at most.
const MESSAGES_MAX: usize = 5_000_000;
/// Bytes of one header field that is ours to read.
const FIELD_BYTES_MAX: usize = 64 * 1024;
/// Fields that say what the mailbox says, and are no part of the message.
const OURS: [&str; 11] = [
    "status",
    "x-status",
    "x-keywords",
    "x-uid",
    "x-imap",
    "x-imapbase",
    "content-length",
    "x-mozilla-status",
    "x-mozilla-status2",
    "x-mozilla-keys",
    "x-uidl-mbox",
];

/// How `From ` lines of messages are kept apart from those between messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// From is quoted, >From is not
    Mboxo,
    /// From with any number of > in front is quoted
    Mboxrd,
    /// Content-Length, and quoted as mboxrd
    Mboxcl,
    /// Content-Length, nothing is quoted
    Mboxcl2,
}

impl Kind {
    fn has_lengths(self) -> bool {
        matches!(self, Kind::Mboxcl | Kind::Mboxcl2)
    }
}

/// Where a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Behind the From line.
    pub begin: u64,
    pub end: u64,
    /// Of the bytes of the message as it was, its lines ending as in the file.
    pub check: [u8; 16],
}

pub struct Scanned {
    pub parts: Vec<Part>,
    pub kind: Kind,
}

/// Lines, those that are long in pieces.
struct Lines<R> {
    reader: R,
    /// Behind the last piece.
    at: u64,
    piece: Vec<u8>,
    /// The piece is the beginning of a line.
    is_begin: bool,
    /// The piece is the end of a line.
    is_end: bool,
}

impl<R: BufRead> Lines<R> {
    fn new(reader: R, at: u64) -> Lines<R> {
        Lines { reader, at, piece: Vec::new(), is_begin: true, is_end: true }
    }

    /// False at the end.
    fn next(&mut self) -> io::Result<bool> {
        self.is_begin = self.is_end;
        self.piece.clear();
        let read = Read::take(&mut self.reader, PIECE_BYTES as u64).read_until(b'\n', &mut self.piece)?;
        self.at += read as u64;
        self.is_end = self.piece.last() == Some(&b'\n');
        Ok(read > 0)
    }

    /// Where the piece begins.
    fn begin(&self) -> u64 {
        self.at - self.piece.len() as u64
    }

    fn text(&self) -> &[u8] {
        let piece = self.piece.strip_suffix(b"\n").unwrap_or(&self.piece);
        piece.strip_suffix(b"\r").unwrap_or(piece)
    }

    fn is_blank(&self) -> bool {
        self.is_begin && self.is_end && self.text().is_empty()
    }

    /// The date of the From line that this is.
    fn from(&self) -> Option<i64> {
        if self.is_begin && self.is_end { from_line(self.text()) } else { None }
    }
}

impl<R: BufRead + Seek> Lines<R> {
    fn go_to(&mut self, at: u64) -> io::Result<()> {
        self.reader.seek(SeekFrom::Start(at))?;
        (self.at, self.is_end) = (at, true);
        Ok(())
    }
}

/// `From sender date`: seconds since 1970, when it is one.
pub fn from_line(line: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(line.strip_prefix(b"From ")?).ok()?;
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    // The sender may be missing, or have blanks: the date begins at the name of a day.
    let days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let at = words.iter().rposition(|word| days.contains(&word.trim_end_matches(',')))?;
    let date = words.get(at..)?;
    let seconds = mail_format::date(date.join(" ").as_bytes())?;
    let has_zone = date.iter().skip(1).any(|word| {
        word.starts_with(['+', '-']) || (word.len() <= 4 && word.chars().all(|c| c.is_ascii_uppercase()))
    });
    if has_zone { Some(seconds) } else { Some(local(seconds)) }
}

/// A time without a zone is of this system's.
fn local(seconds: i64) -> i64 {
    let Ok(stamp) = jiff::Timestamp::from_second(seconds) else { return seconds };
    let civil = jiff::tz::TimeZone::UTC.to_datetime(stamp);
    jiff::tz::TimeZone::system().to_timestamp(civil).map_or(seconds, |stamp| stamp.as_second())
}

/// What the header of a message says of the mailbox.
#[derive(Debug, Default)]
struct Own {
    marks: Marks,
    uid: Option<u32>,
    length: Option<u64>,
    /// `X-IMAP` or `X-IMAPbase`: UIDVALIDITY and the last UID.
    base: Option<(u32, u32)>,
    /// The message is none: mail programs keep their own data in it.
    is_internal: bool,
}

impl Own {
    fn field(&mut self, name: &str, value: &str, keywords: &mut Keywords) {
        match name {
            "status" if value.contains('R') => self.marks.flags |= Flags::SEEN,
            "x-status" => {
                for (letter, flag) in [
                    ('A', Flags::ANSWERED),
                    ('F', Flags::FLAGGED),
                    ('D', Flags::DELETED),
                    ('T', Flags::DRAFT),
                ] {
                    if value.contains(letter) {
                        self.marks.flags |= flag;
                    }
                }
            }
            "x-keywords" | "x-mozilla-keys" => {
                let numbers = value.split_ascii_whitespace().filter_map(|word| keywords.number(word));
                numbers.for_each(|number| self.marks.add_keyword(number));
            }
            "x-uid" => self.uid = value.trim().parse().ok().filter(|uid| *uid > 0),
            "content-length" => self.length = value.trim().parse().ok(),
            "x-imap" | "x-imapbase" => {
                self.is_internal |= name == "x-imap";
                let mut words = value.split_ascii_whitespace().map(str::parse);
                if let (Some(Ok(validity)), Some(Ok(last))) = (words.next(), words.next()) {
                    self.base = Some((validity, last));
                }
            }
            "x-mozilla-status" => self.mozilla(u32::from_str_radix(value.trim(), 16).unwrap_or(0), keywords),
            _ => {}
        }
    }

    /// nsMsgMessageFlags of Thunderbird.
    fn mozilla(&mut self, bits: u32, keywords: &mut Keywords) {
        for (bit, flag) in [(1, Flags::SEEN), (2, Flags::ANSWERED), (4, Flags::FLAGGED), (8, Flags::DELETED)]
        {
            if bits & bit != 0 {
                self.marks.flags |= flag;
            }
        }
        if let Some(number) = (bits & 0x1000 != 0).then(|| keywords.number("$Forwarded")).flatten() {
            self.marks.add_keyword(number);
        }
    }
}

/// Whether a line of a header is of the mailbox, and which field; lines that go on belong to the one before.
#[derive(Default)]
struct Header {
    name: String,
    value: String,
}

impl Header {
    /// What the line is: part of a field of the mailbox (true), or of the message.
    fn line(&mut self, text: &[u8], is_begin: bool, own: &mut Own, keywords: &mut Keywords) -> bool {
        let goes_on = !is_begin || text.first().is_some_and(|byte| matches!(byte, b' ' | b'\t'));
        if !goes_on {
            self.end(own, keywords);
            let name = text.split(|byte| *byte == b':').next().unwrap_or_default();
            let name = String::from_utf8_lossy(name).trim_end().to_ascii_lowercase();
            if OURS.contains(&name.as_str()) && text.contains(&b':') {
                self.name = name;
            }
        }
        if self.name.is_empty() {
            return false;
        }
        let skipped = if goes_on { 0 } else { text.iter().position(|byte| *byte == b':').unwrap_or(0) + 1 };
        if self.value.len() < FIELD_BYTES_MAX {
            self.value.push_str(&String::from_utf8_lossy(&text[skipped.min(text.len())..]));
        }
        true
    }

    fn end(&mut self, own: &mut Own, keywords: &mut Keywords) {
        if !self.name.is_empty() {
            own.field(&self.name, &self.value, keywords);
        }
        self.name.clear();
        self.value.clear();
    }
}

/// Finds all messages of a file.
///
/// # Errors
/// The system's; too many messages.
pub fn scan(file: &mut File, told: Option<Kind>, listing: &mut Listing) -> io::Result<Scanned> {
    let size = file.metadata()?.len();
    file.rewind()?;
    let lines = Lines::new(BufReader::with_capacity(64 * 1024, file.try_clone()?), 0);
    let mut scan = Scan { file, size, told, lines, bare_from: false, spots: Vec::new() };
    scan.all(listing)?;
    let by_length = scan.spots.iter().any(|spot| spot.by_length);
    let kind = told.unwrap_or(match (by_length, scan.bare_from) {
        (true, true) => Kind::Mboxcl2,
        (true, false) => Kind::Mboxcl,
        (false, _) => Kind::Mboxrd,
    });
    let spots = scan.spots;
    let parts = index(file, spots, kind, listing)?;
    Ok(Scanned { parts, kind })
}

/// A message, as far as the first reading tells.
struct Spot {
    begin: u64,
    end: u64,
    date: i64,
    own: Own,
    by_length: bool,
}

struct Scan<'a> {
    file: &'a File,
    size: u64,
    told: Option<Kind>,
    lines: Lines<BufReader<File>>,
    /// A message that ends by its length has a From line.
    bare_from: bool,
    spots: Vec<Spot>,
}

impl Scan<'_> {
    fn all(&mut self, listing: &mut Listing) -> io::Result<()> {
        let mut from = None;
        loop {
            let Some(date) = from.take() else {
                if !self.lines.next()? {
                    return Ok(());
                }
                if self.lines.is_blank() {
                    continue;
                }
                from = self.lines.from();
                if from.is_none() {
                    let (at, size) = (self.lines.begin(), self.size);
                    listing
                        .complaints
                        .push(format!("bytes {at} to {size}: there is no From line before them"));
                    return Ok(());
                }
                continue;
            };
            from = self.message(date, &mut listing.keywords)?;
            if self.spots.len() > MESSAGES_MAX {
                return Err(io::Error::other(format!("more than {MESSAGES_MAX} messages")));
            }
        }
    }

    /// Reads one message, whose From line was read. The date of the next From line, when that is read already.
    fn message(&mut self, date: i64, keywords: &mut Keywords) -> io::Result<Option<i64>> {
        let begin = self.lines.at;
        let (mut own, mut header) = (Own::default(), Header::default());
        let mut next = None;
        let mut has_body = false;
        while !has_body && next.is_none() && self.lines.next()? {
            next = self.lines.from();
            has_body = self.lines.is_blank();
            if !has_body && next.is_none() {
                header.line(self.lines.text(), self.lines.is_begin, &mut own, keywords);
            }
        }
        header.end(&mut own, keywords);
        let mut spot = Spot { begin, end: self.lines.at, date, own, by_length: false };
        if next.is_some() {
            spot.end = self.lines.begin();
        } else if has_body {
            match self.end_by_length(&spot) {
                Some(end) => self.pass_body(&mut spot, end)?,
                None => next = self.find_end(&mut spot)?,
            }
        }
        self.spots.push(spot);
        Ok(next)
    }

    /// The end that Content-Length tells, when it is one: there is nothing behind it, or a From line.
    fn end_by_length(&self, spot: &Spot) -> Option<u64> {
        if self.told.is_some_and(|kind| !kind.has_lengths()) {
            return None;
        }
        let end = self.lines.at.checked_add(spot.own.length?).filter(|end| *end <= self.size)?;
        let mut behind = [0; 1024];
        let read = std::os::unix::fs::FileExt::read_at(self.file, &mut behind, end).ok()?;
        let mut rest = &behind[..read];
        for _ in 0..2 {
            // The blank line before a From line, and the end of a last line that has none.
            rest = rest.strip_prefix(b"\n").or_else(|| rest.strip_prefix(b"\r\n")).unwrap_or(rest);
        }
        let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        (rest.is_empty() || from_line(line).is_some()).then_some(end)
    }

    fn pass_body(&mut self, spot: &mut Spot, end: u64) -> io::Result<()> {
        while self.lines.at < end && self.lines.next()? {
            self.bare_from |= self.lines.at <= end && self.lines.from().is_some();
        }
        (spot.end, spot.by_length) = (end, true);
        self.lines.go_to(end)
    }

    /// The end is before the next From line, whose date this is, or that of the file; one blank line is no part of it.
    fn find_end(&mut self, spot: &mut Spot) -> io::Result<Option<i64>> {
        let mut before_blank = None;
        while self.lines.next()? {
            if let Some(date) = self.lines.from() {
                spot.end = before_blank.unwrap_or(self.lines.begin());
                return Ok(Some(date));
            }
            before_blank = self.lines.is_blank().then(|| self.lines.begin());
        }
        spot.end = before_blank.unwrap_or(self.lines.at);
        Ok(None)
    }
}

/// Fills the listing: each message gets a key by its bytes.
fn index(file: &mut File, spots: Vec<Spot>, kind: Kind, listing: &mut Listing) -> io::Result<Vec<Part>> {
    let mut parts = Vec::new();
    let mut times: HashMap<[u8; 16], u32> = HashMap::new();
    let base = spots.first().and_then(|spot| spot.own.base);
    listing.uid_validity = base.map(|(validity, _)| validity).filter(|validity| *validity > 0);
    listing.uid_next = base.map_or(0, |(_, last)| last.saturating_add(1));
    let mut last_uid = 0;
    for spot in spots.into_iter().filter(|spot| !spot.own.is_internal) {
        let mut part = Part { begin: spot.begin, end: spot.end, check: [0; 16] };
        let mut size = 0;
        file.seek(SeekFrom::Start(part.begin))?;
        part.check = write_message(file, &part, kind, &mut |piece| {
            size += piece.len() as u64;
            Ok(())
        })?;
        let count = times.entry(part.check).or_insert(0);
        *count += 1;
        let mut key: String = base::hex::encode(&part.check);
        if *count > 1 {
            key.push_str(&format!(".{count}"));
        }
        let uid = spot.own.uid.filter(|uid| *uid > last_uid && listing.uid_validity.is_some());
        last_uid = uid.unwrap_or(last_uid);
        listing.messages.push(Message { key, uid, marks: spot.own.marks, date: spot.date, size });
        parts.push(part);
    }
    Ok(parts)
}

/// Writes a message as it was, from where the file stands on; the check of its bytes.
///
/// # Errors
/// The file's, and those of `write`.
pub fn write_message(
    file: &mut File,
    part: &Part,
    kind: Kind,
    write: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<[u8; 16]> {
    let length = part.end.saturating_sub(part.begin);
    let mut lines = Lines::new(BufReader::with_capacity(64 * 1024, file.take(length)), 0);
    let mut hash = Sha256::new();
    let (mut header, mut own, mut keywords) = (Header::default(), Own::default(), Keywords::default());
    let mut in_header = true;
    while lines.next()? {
        let mut piece = lines.piece.as_slice();
        if in_header {
            in_header = !lines.is_blank();
            if in_header && header.line(lines.text(), lines.is_begin, &mut own, &mut keywords) {
                continue;
            }
        } else if lines.is_begin && is_quoted(piece, kind) {
            piece = &piece[1..];
        }
        hash.update(piece);
        write(piece)?;
    }
    let mut check = [0; 16];
    check.copy_from_slice(&hash.finish()[..16]);
    Ok(check)
}

fn is_quoted(line: &[u8], kind: Kind) -> bool {
    let quotes = line.iter().take_while(|byte| **byte == b'>').count();
    let is_from = line[quotes..].starts_with(b"From ");
    match kind {
        Kind::Mboxo => is_from && quotes == 1,
        Kind::Mboxrd | Kind::Mboxcl => is_from && quotes > 0,
        Kind::Mboxcl2 => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(text: &str, told: Option<Kind>) -> (Vec<String>, Kind, Listing) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let mut listing = Listing::default();
        let scanned = scan(&mut file, told, &mut listing).unwrap();
        let messages = scanned.parts.iter().map(|part| {
            let mut bytes = Vec::new();
            file.seek(SeekFrom::Start(part.begin)).unwrap();
            write_message(&mut file, part, scanned.kind, &mut |piece| {
                bytes.extend_from_slice(piece);
                Ok(())
            })
            .unwrap();
            String::from_utf8(bytes).unwrap()
        });
        (messages.collect(), scanned.kind, listing)
    }

    const FROM: &str = "From a@b Thu Feb  1 10:20:30 2001 +0100\n";

    #[test]
    fn from_lines_as_they_are_met() {
        for (line, date) in [
            ("From a@b Thu Feb  1 10:20:30 2001 +0100", Some(981_019_230)),
            ("From a b c Thu Feb  1 09:20:30 UTC 2001", Some(981_019_230)),
            ("From - Thu Feb 01 09:20:30 2001 GMT", Some(981_019_230)),
            ("From here on it rains", None),
            ("From ", None),
            (">From a@b Thu Feb  1 10:20:30 2001 +0100", None),
        ] {
            assert_eq!(from_line(line.as_bytes()), date, "{line}");
        }
    }

    #[test]
    fn quoting_is_undone_by_kind() {
        let text = format!("{FROM}S: 1\n\n>From x\n>>From y\nFrom here\n\n{FROM}S: 2\n\nend\n");
        let (messages, kind, _) = read(&text, None);
        assert_eq!(kind, Kind::Mboxrd);
        assert_eq!(messages, ["S: 1\n\nFrom x\n>From y\nFrom here\n", "S: 2\n\nend\n"]);
        let (messages, ..) = read(&text, Some(Kind::Mboxo));
        assert_eq!(messages[0], "S: 1\n\nFrom x\n>>From y\nFrom here\n");
    }

    #[test]
    fn lengths_count_when_they_lead_somewhere() {
        let body = format!("{FROM}>From x\nno end");
        let text = format!("{FROM}S: 1\nContent-Length: {}\n\n{body}\n\n{FROM}S: 2\n\nx\n", body.len());
        let (messages, kind, _) = read(&text, None);
        assert_eq!(kind, Kind::Mboxcl2);
        assert_eq!(messages, [format!("S: 1\n\n{body}"), "S: 2\n\nx\n".into()]);
        // A length that leads nowhere is none; one is believed only by the kinds that have it.
        let wrong = text.replace("Length: ", "Length: 1");
        assert_eq!(read(&wrong, None).0.len(), 3);
        assert_eq!(read(&text, Some(Kind::Mboxrd)).0.len(), 3);
        let quoted = format!("{FROM}Content-Length: 8\n\n>From x\n\n{FROM}\n");
        let (messages, kind, _) = read(&quoted, None);
        assert_eq!((kind, messages[0].as_str()), (Kind::Mboxcl, "\nFrom x\n"));
    }

    #[test]
    fn what_the_mailbox_says_is_taken_and_taken_out() {
        let text = format!(
            "{FROM}Subject: DON'T DELETE THIS MESSAGE\nX-IMAP: 17 0000000009 Junk\nStatus: RO\n\nx\n\n\
             {FROM}Subject: 1\nStatus: RO\nX-Status: AF\nX-Keywords: Junk\n  $Label1\nX-UID: 4\nTo: x\n\ny\n\n\
             {FROM}X-UID: 4\nX-Mozilla-Status: 1001\n\nz\n\n{FROM}X-UID: 6\n"
        );
        let (messages, _, listing) = read(&text, None);
        assert_eq!(messages, ["Subject: 1\nTo: x\n\ny\n", "\nz\n", ""]);
        assert_eq!((listing.uid_validity, listing.uid_next), (Some(17), 10));
        let uids: Vec<Option<u32>> = listing.messages.iter().map(|message| message.uid).collect();
        assert_eq!(uids, [Some(4), None, Some(6)], "they ascend");
        assert_eq!(listing.keywords.names, ["Junk", "$Label1", "$Forwarded"]);
        let marks = &listing.messages[0].marks;
        assert_eq!(marks.flags, Flags::SEEN | Flags::ANSWERED | Flags::FLAGGED);
        assert_eq!(marks.keywords, [0, 1]);
        assert_eq!(listing.messages[1].marks.keywords, [2]);
    }

    #[test]
    fn nothing_is_lost_without_a_word() {
        let (messages, _, listing) = read("garbage\nmore\n", None);
        assert!(messages.is_empty());
        assert_eq!(listing.complaints, ["bytes 0 to 13: there is no From line before them"]);
        let (messages, _, listing) = read("\n\n", None);
        assert!(messages.is_empty() && listing.complaints.is_empty());
        // The same message twice has two keys, and stays two.
        let (_, _, listing) = read(&format!("{FROM}S: 1\n\nx\n\n").repeat(2), None);
        let keys: Vec<&str> = listing.messages.iter().map(|message| message.key.as_str()).collect();
        assert_eq!(keys.len(), 2);
        assert_eq!(keys[1], format!("{}.2", keys[0]));
    }

    proptest::proptest! {
        #[test]
        fn quoted_messages_come_back(lines in proptest::collection::vec("(From |>From |>>From |x)?[a-z ]{0,9}", 0..12)) {
            let body = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
            let quoted = lines.iter().map(|line| {
                let bare = line.trim_start_matches('>');
                if bare.starts_with("From ") { format!(">{line}\n") } else { format!("{line}\n") }
            });
            let text = format!("{FROM}S: 1\n\n{}\n", quoted.collect::<String>()).repeat(2);
            let (messages, ..) = read(&text, None);
            let message = format!("S: 1\n\n{body}");
            proptest::prop_assert_eq!(messages, vec![message.clone(), message]);
        }
    }
}

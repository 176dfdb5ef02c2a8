//! The message on its way in: its header in memory, bounded; its content in a temporary file, with regular line ends.
//!
//! What becomes of the header (RFC 5322, RFC 6409 §8): Bcc, Return-Path and the `From ` line of a mailbox file are taken
//! off; Date, Message-ID and From are added when they are missing.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use mail_queue::QueueId;
use smtp_wire::Address;

use super::arguments::Arguments;
use super::exit::{self, Failure};
use super::{Place, qualified};

/// Bytes of a header at most, with the addresses of Bcc. What remains is smtpd's to judge.
const HEADER_BYTES_MAX: usize = 4 << 20;
/// Bytes read at once.
const PIECE_BYTES: usize = 64 * 1024;

/// One field of the header, with its folded lines and line ends.
struct Field {
    name_length: usize,
    raw: Vec<u8>,
}

impl Field {
    fn is(&self, name: &str) -> bool {
        self.raw[..self.name_length].eq_ignore_ascii_case(name.as_bytes())
    }
}

/// A message that was read to its end.
pub struct Message {
    fields: Vec<Field>,
    /// Everything behind the header's empty line.
    content: File,
    content_bytes: u64,
    pub eight_bit: bool,
}

impl Message {
    /// Reads to the end, which is also a line with a dot alone when `dot_ends`.
    ///
    /// # Errors
    /// The input cannot be read, its header is too long, or there is no room for it.
    pub fn read(input: &mut dyn Read, dot_ends: bool) -> Result<Message, Failure> {
        let keeping = |why: std::io::Error| Failure::new(exit::TEMPFAIL, format!("a temporary file: {why}"));
        let content = tempfile::tempfile().map_err(keeping)?;
        let mut content = BufWriter::new(content);
        let mut message = (Vec::new(), 0_u64, false);
        let mut lines = LineEnds::new(dot_ends);
        let mut header = Some(HeaderReader::default());
        let (mut piece, mut regular) = (vec![0; PIECE_BYTES], Vec::with_capacity(PIECE_BYTES * 2));
        loop {
            let count = match input.read(&mut piece) {
                Ok(count) => count,
                Err(why) if why.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(why) => return Err(Failure::new(exit::NOINPUT, format!("standard input: {why}"))),
            };
            regular.clear();
            let ended = if count == 0 {
                lines.finish(&mut regular);
                true
            } else {
                lines.push(&piece[..count], &mut regular)
            };
            message.2 |= regular.iter().any(|byte| *byte >= 0x80);
            if let Some(mut reader) = header.take() {
                if let Some(rest) = reader.push(&regular, ended)? {
                    message.0 = reader.fields;
                    regular = rest;
                } else {
                    header = Some(reader);
                    regular.clear();
                }
            }
            message.1 = message.1.saturating_add(regular.len() as u64);
            content.write_all(&regular).map_err(keeping)?;
            if ended {
                break;
            }
        }
        let content = content.into_inner().map_err(|why| keeping(why.into_error()))?;
        Ok(Message { fields: message.0, content, content_bytes: message.1, eight_bit: message.2 })
    }

    /// The values of all fields with this name.
    pub fn values<'m>(&'m self, name: &'m str) -> impl Iterator<Item = &'m [u8]> {
        self.fields.iter().filter(move |field| field.is(name)).map(|field| {
            let behind = &field.raw[field.name_length..];
            let colon = behind.iter().position(|byte| *byte == b':').map_or(0, |at| at + 1);
            &behind[colon..]
        })
    }

    pub fn has(&self, name: &str) -> bool {
        self.values(name).next().is_some()
    }

    /// Makes the header whole, and takes off what others must not see.
    pub fn complete(&mut self, author: &Author, host: &str) {
        let hidden = ["Bcc", "Resent-Bcc", "Return-Path"];
        self.fields.retain(|field| !hidden.iter().any(|name| field.is(name)));
        if !self.has("Date") {
            self.add("Date", &date(base::clock::unix_seconds()));
        }
        if !self.has("From") {
            self.add("From", &author.mailbox());
        }
        if !self.has("Message-ID") {
            self.add("Message-ID", &format!("<{}.{}@{host}>", QueueId::next(), std::process::id()));
        }
    }

    fn add(&mut self, name: &str, value: &str) {
        let raw = format!("{name}: {value}\r\n").into_bytes();
        self.fields.push(Field { name_length: name.len(), raw });
    }

    /// Bytes of the whole.
    pub fn size(&self) -> u64 {
        let header: usize = self.fields.iter().map(|field| field.raw.len()).sum();
        (header as u64).saturating_add(2).saturating_add(self.content_bytes)
    }

    /// Gives the whole in pieces, each beginning where the last ended.
    ///
    /// # Errors
    /// The temporary file cannot be read, or what `take` says.
    pub fn pieces(&mut self, mut take: impl FnMut(&[u8]) -> Result<(), Failure>) -> Result<(), Failure> {
        for field in &self.fields {
            take(&field.raw)?;
        }
        take(b"\r\n")?;
        let reading = |why: std::io::Error| Failure::new(exit::TEMPFAIL, format!("a temporary file: {why}"));
        self.content.rewind().map_err(reading)?;
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            match self.content.read(&mut piece).map_err(reading)? {
                0 => return Ok(()),
                count => take(&piece[..count])?,
            }
        }
    }
}

/// Takes fields off the start of a message.
#[derive(Default)]
struct HeaderReader {
    fields: Vec<Field>,
    bytes: usize,
    /// What was read and is no whole line yet.
    pending: Vec<u8>,
    /// The first line was looked at.
    begun: bool,
}

impl HeaderReader {
    /// Takes regular lines; gives what stands behind the header once its end was seen.
    fn push(&mut self, regular: &[u8], is_last: bool) -> Result<Option<Vec<u8>>, Failure> {
        self.pending.extend_from_slice(regular);
        let mut at = 0;
        while let Some(end) = memchr::memchr(b'\n', &self.pending[at..]).map(|end| at + end + 1) {
            let line = &self.pending[at..end];
            let is_first = !std::mem::replace(&mut self.begun, true);
            if is_first && (line.starts_with(b"From ") || line.starts_with(b">From ")) {
                at = end; // the separator of a mailbox file
                continue;
            }
            if line == b"\r\n" {
                return Ok(Some(self.pending.split_off(end)));
            }
            let continues = matches!(line.first(), Some(b' ' | b'\t'));
            match (continues, self.fields.last_mut(), name_length(line)) {
                (true, Some(field), _) => field.raw.extend_from_slice(line),
                (false, _, Some(name_length)) => self.fields.push(Field { name_length, raw: line.to_vec() }),
                // No header line: the message begins without an empty line.
                _ => return Ok(Some(self.pending.split_off(at))),
            }
            self.bytes = self.bytes.saturating_add(line.len());
            at = end;
        }
        self.pending.drain(..at);
        if self.bytes.saturating_add(self.pending.len()) > HEADER_BYTES_MAX {
            let text = format!("the header has more than {HEADER_BYTES_MAX} bytes");
            return Err(Failure::new(exit::DATAERR, text));
        }
        Ok(is_last.then(Vec::new))
    }
}

/// `field-name = 1*ftext` before its colon (RFC 5322 §3.6.8).
fn name_length(line: &[u8]) -> Option<usize> {
    let colon = memchr::memchr(b':', line)?;
    let name = line[..colon].trim_ascii_end();
    (!name.is_empty() && name.iter().all(|byte| (33..=126).contains(byte))).then_some(name.len())
}

/// Makes every line end CRLF and finds the end, whatever the pieces.
struct LineEnds {
    dot_ends: bool,
    at_start: bool,
    /// CRs whose line feed may follow.
    cr: bool,
    /// A dot at the start of a line, not given out yet.
    dot: bool,
    ended: bool,
}

impl LineEnds {
    fn new(dot_ends: bool) -> LineEnds {
        LineEnds { dot_ends, at_start: true, cr: false, dot: false, ended: false }
    }

    /// Whether the line with the dot was seen; nothing more is taken then.
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> bool {
        let mut at = 0;
        while at < bytes.len() && !self.ended {
            let plain = !self.at_start && !self.cr && !self.dot;
            if plain {
                let run = memchr::memchr2(b'\r', b'\n', &bytes[at..]).unwrap_or(bytes.len() - at);
                out.extend_from_slice(&bytes[at..at + run]);
                at += run;
                if at == bytes.len() {
                    break;
                }
            }
            self.byte(bytes[at], out);
            at += 1;
        }
        self.ended
    }

    fn byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        match byte {
            b'\n' => self.line_end(out),
            b'\r' => self.cr = true,
            byte => {
                if self.cr {
                    self.line_end(out); // a CR alone is a line end too
                    if self.ended {
                        return;
                    }
                }
                if std::mem::take(&mut self.dot) {
                    out.push(b'.');
                } else if self.at_start && byte == b'.' && self.dot_ends {
                    self.dot = true;
                    self.at_start = false;
                    return;
                }
                out.push(byte);
                self.at_start = false;
            }
        }
    }

    fn line_end(&mut self, out: &mut Vec<u8>) {
        self.cr = false;
        if std::mem::take(&mut self.dot) {
            self.ended = true;
            return;
        }
        out.extend_from_slice(b"\r\n");
        self.at_start = true;
    }

    /// The input has ended: the last line gets its end.
    fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.ended && (self.cr || !self.at_start) {
            self.line_end(out);
        }
    }
}

/// Who sends.
pub struct Author {
    /// The reverse-path; nothing for the null one.
    pub sender: Option<Address>,
    /// For a From that is missing.
    from: Address,
    full_name: String,
}

impl Author {
    /// From the command line, else from the user who runs this.
    pub fn of(arguments: &Arguments, place: &Place) -> Result<Author, Failure> {
        let user = os::user::current();
        let login = user.as_ref().map_or("nobody", |user| user.name.as_str());
        let own = Address { local: login.to_owned(), domain: place.domain.to_ascii_lowercase() };
        let sender = match arguments.sender.as_deref().map(bare) {
            None => Some(own.clone()),
            Some("") => None,
            Some(text) => Some(qualified(text, &place.domain)?),
        };
        let from = sender.clone().unwrap_or(own);
        let named = arguments.full_name.clone().filter(|name| !name.trim().is_empty());
        // The full name of the user belongs to the user's own address.
        let of_user = user.filter(|_| arguments.sender.is_none()).map(|user| user.full_name);
        Ok(Author { sender, from, full_name: named.or(of_user).unwrap_or_default() })
    }

    fn mailbox(&self) -> String {
        let name = self.full_name.trim();
        if name.is_empty() {
            return self.from.to_string();
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || " !#$%&'*+-/=?^_`{|}~".contains(c);
        let phrase = if !name.is_ascii() || name.contains("=?") || name.contains(char::is_control) {
            mail_format::encode_words(name)
        } else if name.chars().all(is_plain) {
            name.to_owned()
        } else {
            format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
        };
        format!("{phrase} <{}>", self.from)
    }
}

/// An address without the angle brackets around it.
fn bare(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix('<').and_then(|text| text.strip_suffix('>')).unwrap_or(text).trim()
}

/// `date-time` (RFC 5322 §3.3), in this host's zone.
fn date(second: i64) -> String {
    let time = Timestamp::from_second(second).unwrap_or_default();
    mail_format::format_date(second, TimeZone::system().to_offset(time).seconds())
}

/// The name of this host as the system knows it.
pub fn system_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &[u8], dot_ends: bool) -> (Vec<String>, Vec<u8>) {
        let mut message =
            Message::read(&mut &text[..], dot_ends).unwrap_or_else(|why| panic!("{}", why.text));
        let fields =
            message.fields.iter().map(|field| String::from_utf8_lossy(&field.raw).into_owned()).collect();
        let mut whole = Vec::new();
        message
            .pieces(|piece| {
                whole.extend_from_slice(piece);
                Ok(())
            })
            .unwrap();
        assert_eq!(message.size(), whole.len() as u64);
        (fields, whole)
    }

    fn author(sender: Option<&str>, name: &str) -> Author {
        let address = |text: &str| Address::parse(text.as_bytes(), false, false).unwrap();
        Author {
            sender: sender.map(address),
            from: address(sender.unwrap_or("root@host.test")),
            full_name: name.to_owned(),
        }
    }

    #[test]
    fn header_and_content_are_told_apart_in_every_form() {
        let (fields, whole) = read(b"To: a\n  b\nSubject: c\n\nbody\n..\n", false);
        assert_eq!(fields, ["To: a\r\n  b\r\n", "Subject: c\r\n"]);
        assert_eq!(whole, b"To: a\r\n  b\r\nSubject: c\r\n\r\nbody\r\n..\r\n");
        assert_eq!(read(b"no header here\nat all", false).1, b"\r\nno header here\r\nat all\r\n");
        assert_eq!(read(b"From joe Mon Jan  1\nTo: a\n\nFrom joe\n", false).1, b"To: a\r\n\r\nFrom joe\r\n");
        assert_eq!(read(b"To: a\nbody at once\n", false).1, b"To: a\r\n\r\nbody at once\r\n");
        assert_eq!(read(b"To: a\n", false).1, b"To: a\r\n\r\n");
        assert_eq!(read(b"", false).1, b"\r\n");
        assert_eq!(read(b" folded at the start\n", false).1, b"\r\n folded at the start\r\n");
    }

    #[test]
    fn a_dot_alone_ends_the_message_unless_it_is_told_not_to() {
        assert_eq!(read(b"A: b\n\nx\n.\nnever\n", true).1, b"A: b\r\n\r\nx\r\n");
        assert_eq!(read(b"A: b\n\nx\n.\nmore\n", false).1, b"A: b\r\n\r\nx\r\n.\r\nmore\r\n");
        assert_eq!(read(b"A: b\n\n..\n.x\n.\r\nnever", true).1, b"A: b\r\n\r\n..\r\n.x\r\n");
        assert_eq!(read(b"A: b\n\n.", true).1, b"A: b\r\n\r\n");
        assert_eq!(read(b".\nnever", true).1, b"\r\n");
    }

    #[test]
    fn what_is_missing_is_added_and_what_is_hidden_goes() {
        let text = b"to: a\nBCC: secret@x,\n  other@x\nresent-bcc: more@x\nReturn-Path: <x>\n\nbody\n";
        let mut message = Message::read(&mut &text[..], false).unwrap_or_else(|why| panic!("{}", why.text));
        message.complete(&author(Some("joe@x.test"), "Joe \"J\" Doe"), "host.test");
        let names: Vec<&[u8]> = message.fields.iter().map(|field| &field.raw[..field.name_length]).collect();
        assert_eq!(names, [&b"to"[..], b"Date", b"From", b"Message-ID"]);
        assert_eq!(message.values("From").next(), Some(&b" \"Joe \\\"J\\\" Doe\" <joe@x.test>\r\n"[..]));
        let own = b"From: me\nDATE: now\nmessage-id: <1@x>\n\n";
        let mut message = Message::read(&mut &own[..], false).unwrap_or_else(|why| panic!("{}", why.text));
        message.complete(&author(None, ""), "host.test");
        assert_eq!(message.fields.len(), 3);
    }

    #[test]
    fn a_full_name_cannot_make_a_field_of_its_own() {
        let evil = author(Some("a@x.test"), "Joe\r\nBcc: all@x.test").mailbox();
        assert!(!evil.contains("\r\nBcc"), "{evil}");
        assert!(author(Some("a@x.test"), "Jürgen").mailbox().starts_with("=?utf-8?B?"));
        assert_eq!(author(Some("a@x.test"), " ").mailbox(), "a@x.test");
    }

    #[test]
    fn an_endless_header_is_refused_before_it_fills_the_memory() {
        let mut endless = std::io::repeat(b'x').take(1 << 30);
        let why = Message::read(&mut endless, false).err().unwrap();
        assert_eq!(why.code, exit::DATAERR);
        assert!(endless.limit() > (1 << 30) - (HEADER_BYTES_MAX as u64 + 2 * PIECE_BYTES as u64));
    }

    proptest! {
        /// However the input is cut and whatever is in it: only CRLF ends lines, and no text is lost.
        #[test]
        fn line_ends_are_regular_whatever_comes(text in "[a.\r\n]{0,40}", cut in 0usize..40) {
            let cut = cut.min(text.len());
            let mut pieces = (LineEnds::new(false), Vec::new());
            pieces.0.push(&text.as_bytes()[..cut], &mut pieces.1);
            pieces.0.push(&text.as_bytes()[cut..], &mut pieces.1);
            pieces.0.finish(&mut pieces.1);
            let mut whole = (LineEnds::new(false), Vec::new());
            whole.0.push(text.as_bytes(), &mut whole.1);
            whole.0.finish(&mut whole.1);
            prop_assert_eq!(&pieces.1, &whole.1);
            let made = String::from_utf8(pieces.1).unwrap();
            prop_assert!(!made.replace("\r\n", "").contains(['\r', '\n']));
            let letters = |text: &str| text.chars().filter(|c| *c == 'a' || *c == '.').collect::<String>();
            prop_assert_eq!(letters(&made), letters(&text));
        }
    }
}

//! `search = "SEARCH" [search-return-opts] [SP "CHARSET" SP astring] 1*(SP search-key)` (RFC 3501 §6.4.4), with the keys of
//! RFC 5032, RFC 6203, RFC 7162, RFC 8474, RFC 8514 and RFC 9738.

use crate::command::returned::{self, Returned};
use crate::cursor::{Cursor, Parsed};
use crate::date;
use crate::flags::SystemFlag;
use crate::sequence::{self, Bound, SequenceSet};
use crate::words;

/// NOT, OR and parentheses inside one another.
const DEPTH_MAX: usize = 32;
/// Keys of one command: each may have every message read.
const KEYS_MAX: usize = 1000;

/// What the texts of a search are written in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Charset {
    /// US-ASCII, UTF-8, or none named. Texts are UTF-8.
    Known,
    /// Anything else: BADCHARSET.
    Unknown,
}

/// Which messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Search {
    /// Whether UIDs are answered.
    pub uid: bool,
    pub charset: Charset,
    /// Whether it was named.
    pub names_charset: bool,
    /// With RETURN: what is answered in an ESEARCH response.
    pub returned: Option<Returned>,
    /// All of the keys given.
    pub key: Key,
}

/// A search key. Dates are days since 1970; texts are UTF-8 as written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Key {
    All,
    Set(SequenceSet),
    UidSet(SequenceSet),
    Flag(SystemFlag),
    Keyword(String),
    Recent,
    Before(i64),
    On(i64),
    Since(i64),
    SentBefore(i64),
    SentOn(i64),
    SentSince(i64),
    Larger(u32),
    Smaller(u32),
    /// Changed at this modification sequence or later (RFC 7162 §3.1.5).
    ModSeq(u64),
    /// Arrived so many seconds ago, or before that (RFC 5032).
    Older(u32),
    /// Arrived within so many seconds.
    Younger(u32),
    /// Came into this mailbox: days, as above (RFC 8514).
    SavedBefore(i64),
    SavedOn(i64),
    SavedSince(i64),
    SaveDateSupported,
    /// Ids as written (RFC 8474).
    EmailId(String),
    ThreadId(String),
    /// Field name and text; an empty text asks for the field itself.
    Header(String, String),
    Body(String),
    Text(String),
    /// RFC 6203 §3
    Fuzzy(Box<Key>),
    Not(Box<Key>),
    Or(Box<Key>, Box<Key>),
    And(Vec<Key>),
}

impl Key {
    /// Whether messages are named by numbers or by `$`, which mean what they mean when the command comes.
    pub fn has_sets(&self) -> bool {
        match self {
            Key::Set(_) => true,
            Key::UidSet(set) => set.0.iter().any(|(bound, _)| *bound == Bound::Saved),
            Key::Not(key) | Key::Fuzzy(key) => key.has_sets(),
            Key::Or(one, other) => one.has_sets() || other.has_sets(),
            Key::And(keys) => keys.iter().any(Key::has_sets),
            _ => false,
        }
    }

    /// Whether any of it is to be matched fuzzily, so that there is a relevancy (RFC 6203 §4).
    pub fn has_fuzzy(&self) -> bool {
        match self {
            Key::Fuzzy(_) => true,
            Key::Not(key) => key.has_fuzzy(),
            Key::Or(one, other) => one.has_fuzzy() || other.has_fuzzy(),
            Key::And(keys) => keys.iter().any(Key::has_fuzzy),
            _ => false,
        }
    }

    /// Whether a message is named by its number.
    pub fn has_numbers(&self) -> bool {
        match self {
            Key::Set(set) => set.0.iter().all(|(bound, _)| *bound != Bound::Saved),
            Key::Not(key) | Key::Fuzzy(key) => key.has_numbers(),
            Key::Or(one, other) => one.has_numbers() || other.has_numbers(),
            Key::And(keys) => keys.iter().any(Key::has_numbers),
            _ => false,
        }
    }
}

pub(super) fn arguments(cursor: &mut Cursor<'_>, uid: bool) -> Parsed<Search> {
    cursor.space()?;
    let start = cursor.clone();
    let returned = returned::option(cursor)?;
    let names_charset = cursor.keyword(b"CHARSET");
    let charset = if names_charset {
        cursor.space()?;
        charset(cursor)?
    } else {
        Charset::Known
    };
    let key = Reader { charset, depth: 0, keys: 0 }.all_of(cursor, true)?;
    if returned.is_some_and(|returned| returned.relevancy) && !key.has_fuzzy() {
        return start.error("RELEVANCY with FUZZY"); // RFC 6203 §4
    }
    Ok(Search { uid, charset, names_charset, returned, key })
}

/// `search-criteria = charset 1*(SP search-key)`, as SORT and THREAD have it: the charset must be named (RFC 5256 §5).
pub(super) fn criteria(cursor: &mut Cursor<'_>) -> Parsed<(Charset, Key)> {
    let charset = charset(cursor)?;
    let key = Reader { charset, depth: 0, keys: 0 }.all_of(cursor, true)?;
    Ok((charset, key))
}

/// The name of a charset and the space behind it.
fn charset(cursor: &mut Cursor<'_>) -> Parsed<Charset> {
    let name = words::astring(cursor)?.to_ascii_uppercase();
    cursor.space()?;
    let is_known = matches!(name.as_slice(), b"US-ASCII" | b"UTF-8");
    Ok(if is_known { Charset::Known } else { Charset::Unknown })
}

struct Reader {
    charset: Charset,
    depth: usize,
    keys: usize,
}

impl Reader {
    /// `search-key *(SP search-key)`, to the end of the command or a closing parenthesis.
    fn all_of(&mut self, cursor: &mut Cursor<'_>, outermost: bool) -> Parsed<Key> {
        let mut keys = vec![self.key(cursor)?];
        loop {
            if outermost && cursor.rest().iter().all(|byte| *byte == b' ') {
                break;
            }
            if !outermost && cursor.take(b')') {
                break;
            }
            cursor.space()?;
            keys.push(self.key(cursor)?);
        }
        Ok(if keys.len() == 1 { keys.swap_remove(0) } else { Key::And(keys) })
    }

    fn inner(&mut self, cursor: &mut Cursor<'_>) -> Parsed<Box<Key>> {
        cursor.space()?;
        self.key(cursor).map(Box::new)
    }

    /// `search-key`
    fn key(&mut self, cursor: &mut Cursor<'_>) -> Parsed<Key> {
        if self.depth == DEPTH_MAX {
            return cursor.error("search keys that are not nested so deep");
        }
        if self.keys == KEYS_MAX {
            return cursor.error("fewer search keys");
        }
        self.keys += 1;
        self.depth += 1;
        let key = match cursor.peek() {
            Some(b'(') => {
                cursor.skip(1);
                self.all_of(cursor, false)
            }
            Some(b'0'..=b'9' | b'*' | b'$') => sequence::sequence_set(cursor).map(Key::Set),
            _ => self.word(cursor),
        };
        self.depth -= 1;
        key
    }

    fn word(&mut self, cursor: &mut Cursor<'_>) -> Parsed<Key> {
        use SystemFlag::{Answered, Deleted, Draft, Flagged, Seen};
        let start = cursor.clone();
        let without = |key: Key| Key::Not(Box::new(key));
        let word = cursor.take_while(|byte| byte.is_ascii_alphanumeric()).to_ascii_uppercase();
        Ok(match word.as_slice() {
            b"ALL" => Key::All,
            b"ANSWERED" => Key::Flag(Answered),
            b"DELETED" => Key::Flag(Deleted),
            b"DRAFT" => Key::Flag(Draft),
            b"FLAGGED" => Key::Flag(Flagged),
            b"SEEN" => Key::Flag(Seen),
            b"UNANSWERED" => without(Key::Flag(Answered)),
            b"UNDELETED" => without(Key::Flag(Deleted)),
            b"UNDRAFT" => without(Key::Flag(Draft)),
            b"UNFLAGGED" => without(Key::Flag(Flagged)),
            b"UNSEEN" => without(Key::Flag(Seen)),
            b"RECENT" => Key::Recent,
            b"OLD" => without(Key::Recent),
            b"NEW" => Key::And(vec![Key::Recent, without(Key::Flag(Seen))]),
            b"KEYWORD" => Key::Keyword(keyword(cursor)?),
            b"UNKEYWORD" => without(Key::Keyword(keyword(cursor)?)),
            b"BEFORE" => Key::Before(day(cursor)?),
            b"ON" => Key::On(day(cursor)?),
            b"SINCE" => Key::Since(day(cursor)?),
            b"SENTBEFORE" => Key::SentBefore(day(cursor)?),
            b"SENTON" => Key::SentOn(day(cursor)?),
            b"SENTSINCE" => Key::SentSince(day(cursor)?),
            b"LARGER" => Key::Larger(size(cursor)?),
            b"SMALLER" => Key::Smaller(size(cursor)?),
            b"MODSEQ" => Key::ModSeq(modseq(cursor)?),
            b"OLDER" => Key::Older(interval(cursor)?),
            b"YOUNGER" => Key::Younger(interval(cursor)?),
            b"SAVEDBEFORE" => Key::SavedBefore(day(cursor)?),
            b"SAVEDON" => Key::SavedOn(day(cursor)?),
            b"SAVEDSINCE" => Key::SavedSince(day(cursor)?),
            b"SAVEDATESUPPORTED" => Key::SaveDateSupported,
            b"EMAILID" => Key::EmailId(object_id(cursor)?),
            b"THREADID" => Key::ThreadId(object_id(cursor)?),
            b"BCC" => self.field(cursor, "Bcc")?,
            b"CC" => self.field(cursor, "Cc")?,
            b"FROM" => self.field(cursor, "From")?,
            b"SUBJECT" => self.field(cursor, "Subject")?,
            b"TO" => self.field(cursor, "To")?,
            b"HEADER" => {
                cursor.space()?;
                let name = words::field_name(cursor)?;
                Key::Header(name, self.text(cursor)?)
            }
            b"BODY" => Key::Body(self.text(cursor)?),
            b"TEXT" => Key::Text(self.text(cursor)?),
            b"UID" => {
                cursor.space()?;
                Key::UidSet(sequence::sequence_set(cursor)?)
            }
            b"UIDAFTER" => {
                let uid = uid(cursor)?; // RFC 9738
                uid.checked_add(1).map_or_else(nothing, |next| uids(next, u32::MAX))
            }
            b"UIDBEFORE" => match uid(cursor)? {
                1 => nothing(),
                uid => uids(1, uid - 1),
            },
            b"FUZZY" => Key::Fuzzy(self.inner(cursor)?),
            b"NOT" => Key::Not(self.inner(cursor)?),
            b"OR" => Key::Or(self.inner(cursor)?, self.inner(cursor)?),
            _ => return start.error("a search key"),
        })
    }

    fn field(&self, cursor: &mut Cursor<'_>, name: &str) -> Parsed<Key> {
        Ok(Key::Header(name.to_owned(), self.text(cursor)?))
    }

    /// `SP astring` in the charset of the command.
    fn text(&self, cursor: &mut Cursor<'_>) -> Parsed<String> {
        cursor.space()?;
        let start = cursor.clone();
        let bytes = words::astring(cursor)?;
        match String::from_utf8(bytes) {
            Ok(text) => Ok(text),
            Err(_) if self.charset == Charset::Unknown => Ok(String::new()), // will be refused as a whole
            Err(_) => start.error("a text in UTF-8"),
        }
    }
}

/// `SP nz-number`: seconds (RFC 5032 §4).
fn interval(cursor: &mut Cursor<'_>) -> Parsed<u32> {
    cursor.space()?;
    cursor.nz_number()
}

/// `[SP entry-name SP entry-type-req] SP mod-sequence-valzer` (RFC 7162 §3.1.5). Modification sequences are kept for whole
/// messages, so the entry makes no difference (RFC 7162 §3.1.5, the note on per-message servers).
fn modseq(cursor: &mut Cursor<'_>) -> Parsed<u64> {
    cursor.space()?;
    if cursor.peek() == Some(b'"') {
        words::string(cursor)?;
        cursor.space()?;
        if !["priv", "shared", "all"].iter().any(|kind| cursor.keyword(kind.as_bytes())) {
            return cursor.error("priv, shared or all");
        }
        cursor.space()?;
    }
    cursor.number64()
}

/// `SP objectid = 1*255(ALPHA / DIGIT / "_" / "-")` (RFC 8474 §7).
fn object_id(cursor: &mut Cursor<'_>) -> Parsed<String> {
    cursor.space()?;
    let id = cursor.take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if id.is_empty() || id.len() > 255 {
        return cursor.error("an object id");
    }
    Ok(String::from_utf8_lossy(id).into_owned())
}

fn keyword(cursor: &mut Cursor<'_>) -> Parsed<String> {
    cursor.space()?;
    Ok(String::from_utf8_lossy(words::atom(cursor)?).into_owned())
}

fn day(cursor: &mut Cursor<'_>) -> Parsed<i64> {
    cursor.space()?;
    date::date(cursor)
}

/// `number64` (RFC 9051 §9). No message has more bytes than a `u32` can say.
fn size(cursor: &mut Cursor<'_>) -> Parsed<u32> {
    cursor.space()?;
    Ok(u32::try_from(cursor.number64()?).unwrap_or(u32::MAX))
}

/// `SP uniqueid`
fn uid(cursor: &mut Cursor<'_>) -> Parsed<u32> {
    cursor.space()?;
    cursor.nz_number()
}

/// These UIDs, whether they are there or not.
fn uids(from: u32, to: u32) -> Key {
    Key::UidSet(SequenceSet(vec![(Bound::Number(from), Bound::Number(to))]))
}

fn nothing() -> Key {
    Key::Not(Box::new(Key::All))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Parsed<Search> {
        arguments(&mut Cursor::new(text), false)
    }

    #[test]
    fn keys_are_read() {
        let key = read(b" OR FROM a (UNSEEN 1:3) NOT larger 10").unwrap().key;
        let set = SequenceSet(vec![(crate::Bound::Number(1), crate::Bound::Number(3))]);
        let unseen = Key::Not(Box::new(Key::Flag(SystemFlag::Seen)));
        let or = Key::Or(
            Box::new(Key::Header("From".into(), "a".into())),
            Box::new(Key::And(vec![unseen, Key::Set(set)])),
        );
        assert_eq!(key, Key::And(vec![or, Key::Not(Box::new(Key::Larger(10)))]));
        let uids = |from, to| Key::UidSet(SequenceSet(vec![(Bound::Number(from), Bound::Number(to))]));
        let none = Key::Not(Box::new(Key::All));
        assert_eq!(read(b" UIDAFTER 7").unwrap().key, uids(8, u32::MAX));
        assert_eq!(read(b" UIDBEFORE 7").unwrap().key, uids(1, 6));
        assert_eq!(read(b" UIDAFTER 4294967295").unwrap().key, none);
        assert_eq!(read(b" uidbefore 1").unwrap().key, none);
        for bad in [&b" UIDAFTER 0"[..], b" UIDAFTER *", b" UIDBEFORE 1:2", b" UIDBEFORE"] {
            assert!(read(bad).is_err());
        }
        assert_eq!(read(b" ON 2-Jan-1970").unwrap().key, Key::On(1));
        assert_eq!(read(b" HEADER X-A \"\"").unwrap().key, Key::Header("X-A".into(), String::new()));
        assert_eq!(read(b" CHARSET utf-8 TEXT {2}\r\n\xc3\xa9").unwrap().key, Key::Text("\u{e9}".into()));
    }

    #[test]
    fn an_unknown_charset_is_told_apart_from_nonsense() {
        assert_eq!(read(b" CHARSET X-FOO TEXT {1}\r\n\xff").unwrap().charset, Charset::Unknown);
        assert!(read(b" TEXT {1}\r\n\xff").is_err());
    }

    #[test]
    fn extensions_are_read() {
        let key = |text: &[u8]| arguments(&mut Cursor::new(text), false).unwrap().key;
        assert_eq!(key(b" MODSEQ 5"), Key::ModSeq(5));
        assert_eq!(key(b" modseq \"/flags/\\\\draft\" all 620162338"), Key::ModSeq(620_162_338));
        assert_eq!(key(b" (OLDER 3 YOUNGER 4)"), Key::And(vec![Key::Older(3), Key::Younger(4)]));
        assert_eq!(key(b" EMAILID M_1-a"), Key::EmailId("M_1-a".into()));
        assert_eq!(key(b" $"), Key::Set(SequenceSet(vec![(crate::Bound::Saved, crate::Bound::Saved)])));
        let search = arguments(&mut Cursor::new(b" RETURN (MIN SAVE) CHARSET UTF-8 ALL"), true).unwrap();
        let returned = search.returned.unwrap();
        assert!(returned.min && returned.save && !returned.all && !returned.count && !returned.max);
    }

    #[test]
    fn nonsense_is_refused() {
        let deep = format!(" {}ALL", "(".repeat(5000));
        let nots = format!(" {}ALL", "NOT ".repeat(100_000));
        let many = " SEEN".repeat(KEYS_MAX + 1);
        assert!(read(" SEEN".repeat(KEYS_MAX).as_bytes()).is_ok());
        for bad in [
            "",
            " ",
            " FOO",
            " (",
            " ()",
            " NOT",
            " OR ALL",
            " BEFORE 1-Foo-2000",
            " LARGER x",
            " HEADER a",
            " (ALL",
            " ALL)",
            " CHARSET",
            " RETURN (COUNTS) ALL",
            " RETURN COUNT ALL",
            " RETURN (COUNT)",
            " MODSEQ",
            " MODSEQ x",
            " MODSEQ -1",
            " MODSEQ 9223372036854775808",
            " MODSEQ /flags/\\seen all 1",
            " MODSEQ \"/flags/\\\\seen\" some 1",
            " OLDER 0",
            " YOUNGER 4294967296",
            " OLDER",
            " SAVEDON x",
            " EMAILID",
            " EMAILID a.b",
            " EMAILID (a)",
            " $,1",
            " 0",
            &deep,
            &nots,
            &many,
        ] {
            let mut cursor = Cursor::new(bad.as_bytes());
            let read = arguments(&mut cursor, false).and_then(|_| cursor.end());
            assert!(read.is_err(), "{}", &bad[..bad.len().min(40)]);
        }
    }
}

//! FETCH: what a mailbox holds, and the bytes of messages, which are never in memory as a whole.

use std::io;

use imap_wire::cursor::Cursor;
use imap_wire::date::date_time;

use crate::error::{ImapError, Result};
use crate::response::Response;
use crate::session::{Session, finished};
use crate::value::Value;
use crate::wire::Wire;

/// Messages of one mailbox at most.
const MESSAGES_MAX: usize = 5_000_000;
/// Responses beside those of the messages that were asked for.
const OTHERS_MAX: usize = 100_000;

/// What a message is, without its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    pub uid: u32,
    /// As written, `\Recent` too.
    pub flags: Vec<String>,
    /// Seconds since 1970.
    pub internal_date: Option<i64>,
    pub size: u64,
}

/// Takes the bytes of messages.
pub trait BodySink {
    /// # Errors
    /// The message cannot be taken; this ends the session.
    fn begin(&mut self, size: u64) -> io::Result<()>;
    /// # Errors
    /// As [`BodySink::begin`].
    fn piece(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// All of it was shown; the UID, if the server told it.
    ///
    /// # Errors
    /// As [`BodySink::begin`].
    fn end(&mut self, uid: Option<u32>) -> io::Result<()>;
}

/// Item names and values of a FETCH response: none when it is another one.
fn items(values: &[Value]) -> Option<&[Value]> {
    values.get(2).filter(|word| word.is("FETCH"))?;
    values.get(3)?.list()
}

fn item<'a>(items: &'a [Value], name: &str) -> Option<&'a Value> {
    items.chunks_exact(2).find(|pair| pair[0].is(name)).map(|pair| &pair[1])
}

fn uid_of(items: &[Value]) -> Option<u32> {
    u32::try_from(item(items, "UID")?.number()?).ok().filter(|uid| *uid > 0)
}

impl Fetched {
    fn of(items: &[Value]) -> Option<Fetched> {
        let text = |value: &Value| value.bytes().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let date = item(items, "INTERNALDATE")
            .and_then(Value::bytes)
            .and_then(|date| date_time(&mut Cursor::new(&[b"\"", date, b"\""].concat())).ok());
        Some(Fetched {
            uid: uid_of(items)?,
            flags: item(items, "FLAGS").and_then(Value::list)?.iter().filter_map(text).collect(),
            internal_date: date,
            size: item(items, "RFC822.SIZE").and_then(Value::number).unwrap_or(0),
        })
    }
}

impl Session {
    /// Shows what every message of the open mailbox is. Of one that the server names twice, the last word counts; the caller
    /// sees both. Messages without a UID are not shown, but counted in the result.
    ///
    /// # Errors
    /// As [`Session::run`]; `TooBig`.
    pub fn fetch_all(&mut self, mut see: impl FnMut(Fetched)) -> Result<usize> {
        let mut without_uid = 0;
        let mut seen = 0;
        self.fetch("UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)", MESSAGES_MAX, |response| {
            let values = response.values()?;
            let Some(items) = items(&values) else { return Ok(()) };
            seen += 1;
            match Fetched::of(items) {
                Some(fetched) => see(fetched),
                None if item(items, "INTERNALDATE").is_some() => without_uid += 1,
                None => {} // only flags that changed
            }
            Ok(())
        })?;
        Ok(without_uid)
    }

    fn fetch(
        &mut self,
        command: &str,
        max: usize,
        mut see: impl FnMut(Response) -> Result<()>,
    ) -> Result<()> {
        let tag = self.next_tag();
        self.wire.write(format!("{tag} {command}\r\n").as_bytes())?;
        for _ in 0..max.saturating_add(OTHERS_MAX) {
            let response = Response::read(&mut self.wire, &mut |_, _, _| Ok(false))?;
            if let Some(done) = finished(&response, &tag, "FETCH") {
                return done;
            }
            see(response)?;
        }
        Err(ImapError::TooBig("5,000,000 messages of a mailbox"))
    }

    /// The bytes of these messages, in the order in which the server likes to send them; those above `size_max` end the
    /// session. The server may leave some out.
    ///
    /// # Errors
    /// As [`Session::run`]; the sink's.
    pub fn fetch_bodies(&mut self, uids: &[u32], size_max: u64, sink: &mut dyn BodySink) -> Result<()> {
        let tag = self.next_tag();
        let set: Vec<String> = uids.iter().map(u32::to_string).collect();
        let command = format!("{tag} UID FETCH {} (UID BODY.PEEK[])\r\n", set.join(","));
        self.wire.write(command.as_bytes())?;
        for _ in 0..uids.len().saturating_add(OTHERS_MAX) {
            let mut taken = false;
            let response = Response::read(&mut self.wire, &mut |before, size, wire| {
                if taken || !announces_body(before) {
                    return Ok(false);
                }
                taken = true;
                stream(size, size_max, wire, sink).map(|()| true)
            })?;
            if let Some(done) = finished(&response, &tag, "FETCH") {
                return done;
            }
            let values = response.values()?;
            let Some(items) = items(&values) else { continue };
            match item(items, "BODY[]") {
                Some(_) if taken => sink.end(uid_of(items)).map_err(ImapError::Sink)?,
                Some(Value::Text(text)) => {
                    sink.begin(text.len() as u64).map_err(ImapError::Sink)?;
                    sink.piece(text).map_err(ImapError::Sink)?;
                    sink.end(uid_of(items)).map_err(ImapError::Sink)?;
                }
                None if taken => return Err(ImapError::Malformed("a message that is no item")),
                _ => {} // NIL, or flags that changed
            }
        }
        Err(ImapError::TooBig("responses to one FETCH"))
    }
}

fn announces_body(before: &[u8]) -> bool {
    before.starts_with(b"* ")
        && before
            .len()
            .checked_sub(b"BODY[] ".len())
            .is_some_and(|at| before[at..].eq_ignore_ascii_case(b"BODY[] "))
}

fn stream(size: u64, size_max: u64, wire: &mut Wire, sink: &mut dyn BodySink) -> Result<()> {
    if size > size_max {
        return Err(ImapError::TooBig("a message (--message-max)"));
    }
    sink.begin(size).map_err(ImapError::Sink)?;
    wire.literal(size, &mut |piece| sink.piece(piece).map_err(ImapError::Sink))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::value::parse;

    #[test]
    fn what_a_message_is() {
        let text = br#"* 3 FETCH (FLAGS (\Seen $Forwarded) INTERNALDATE " 1-Feb-2001 10:20:30 +0100" UID 7 RFC822.SIZE 44)"#;
        let values = parse(text, vec![]).unwrap();
        let fetched = Fetched::of(items(&values).unwrap()).unwrap();
        assert_eq!(fetched.flags, ["\\Seen", "$Forwarded"]);
        assert_eq!((fetched.uid, fetched.size, fetched.internal_date), (7, 44, Some(981_019_230)));
        for other in [&b"* 3 EXISTS"[..], b"* OK x", b"* 3 FETCH (UID 0 FLAGS ())", b"* 3 FETCH (UID 1)"] {
            let values = parse(other, vec![]).unwrap();
            assert!(items(&values).and_then(Fetched::of).is_none(), "{other:?}");
        }
    }

    #[test]
    fn only_a_body_is_streamed() {
        assert!(announces_body(b"* 1 FETCH (UID 7 body[] "));
        assert!(!announces_body(b"* LIST () NIL "));
        assert!(!announces_body(b"a1 OK BODY[] "));
    }
}

//! The conversation with smtpd on `run/submission`: XCLIENT names the user, then it is submission (RFC 6409), with XHELD and
//! XUNDO for what was accepted.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use smtp_wire::xtext;

use super::Envelope;

/// RFC 5321 §4.5.3.2: five minutes for a reply, ten for that to the end of data. smtpd is on this host: less will do, and the
/// user waits.
const REPLY_TIMEOUT: Duration = Duration::from_secs(60);
const DATA_END_TIMEOUT: Duration = Duration::from_secs(300);
const REPLY_BYTES_MAX: u64 = 256 * 1024;
/// Recipients sent at once (RFC 2920).
const RECIPIENTS_AT_ONCE: usize = 100;
const PIECE: usize = 64 * 1024;

/// Why a message was not taken.
#[derive(Debug, PartialEq, Eq)]
pub enum Trouble {
    /// smtpd does not run, or the connection broke: it does not have the message.
    Broken(String),
    /// The connection broke behind the end of data: it may have the message.
    Unknown(String),
    /// Refused: at MAIL or DATA, with the reply.
    Refused { at: At, code: u16, text: String },
    /// This process talks to smtpd as often as it may.
    Busy,
    /// Refused for these recipients; nothing was sent to the others either.
    Recipients(Vec<(String, u16, String)>),
}

/// Where in the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    Session,
    Mail,
    Data,
}

/// What smtpd has taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// In the queue.
    pub id: String,
    /// It waits until then, in seconds since 1970.
    pub until: Option<i64>,
}

/// Where a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Waits(i64),
    /// `pending`, `delivered`, `failed` or `ended`, of each recipient.
    Queued(Vec<(String, String)>),
    Gone,
}

/// The conversations of a process. Each takes a worker for as long as smtpd is slow, and the others are there for those who
/// read mail.
pub struct Conversations {
    socket: PathBuf,
    most: usize,
    open: Arc<AtomicUsize>,
}

/// One of the conversations that there may be, until it is dropped.
struct Turn(Arc<AtomicUsize>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Conversations {
    /// With smtpd on this socket, in a process of so many workers: fewer than half of them, but one.
    pub fn new(socket: PathBuf, workers: usize) -> Conversations {
        Conversations { socket, most: (workers.saturating_sub(1) / 2).max(1), open: Arc::default() }
    }

    /// # Errors
    /// [`Trouble::Busy`], at once; smtpd does not answer, or does not know the user.
    pub fn open(&self, uid: &str) -> Result<Conversation, Trouble> {
        let turn = Turn(Arc::clone(&self.open));
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.most {
            return Err(Trouble::Busy);
        }
        Conversation::open(&self.socket, uid, turn)
    }
}

/// One session, as one user.
pub struct Conversation {
    stream: BufReader<UnixStream>,
    _turn: Turn,
}

struct Reply {
    code: u16,
    lines: Vec<String>,
}

impl Reply {
    fn is(&self, class: u16) -> bool {
        self.code / 100 == class
    }

    fn refusal(self, at: At) -> Trouble {
        Trouble::Refused { at, code: self.code, text: self.lines.join(" ") }
    }
}

fn broken(why: &io::Error) -> Trouble {
    Trouble::Broken(why.to_string())
}

impl Conversation {
    fn open(socket: &Path, uid: &str, turn: Turn) -> Result<Conversation, Trouble> {
        let stream = UnixStream::connect(socket).map_err(|why| broken(&why))?;
        stream.set_write_timeout(Some(REPLY_TIMEOUT)).map_err(|why| broken(&why))?;
        let mut session = Conversation { stream: BufReader::new(stream), _turn: turn };
        session.timeout(REPLY_TIMEOUT)?;
        session.expect(None)?;
        session.expect(Some(&format!("XCLIENT LOGIN={}", xtext::encode(uid.as_bytes()))))?;
        session.expect(Some("EHLO localhost"))?;
        Ok(session)
    }

    /// Gives it to smtpd, for all of the recipients or for none.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub fn send(
        &mut self,
        envelope: &Envelope,
        envid: &str,
        is_utf8: bool,
        content: &mut dyn Read,
    ) -> Result<Accepted, Trouble> {
        let mut line = format!(
            "MAIL FROM:<{}> BODY=8BITMIME ENVID={}",
            envelope.mail_from.email,
            xtext::encode(envid.as_bytes())
        );
        if is_utf8 {
            line.push_str(" SMTPUTF8");
        }
        parameters(&mut line, &envelope.mail_from.parameters);
        let answer = self.ask(&line)?;
        if !answer.is(2) {
            return Err(answer.refusal(At::Mail));
        }
        let refused = self.recipients(envelope)?;
        if !refused.is_empty() {
            let _ = self.ask("RSET");
            return Err(Trouble::Recipients(refused));
        }
        let go_on = self.ask("DATA")?;
        if !go_on.is(3) {
            return Err(go_on.refusal(At::Data));
        }
        self.content(content)?;
        self.timeout(DATA_END_TIMEOUT)?;
        let answer = self.ask(".").map_err(|why| match why {
            Trouble::Broken(why) => Trouble::Unknown(why),
            other => other,
        })?;
        self.timeout(REPLY_TIMEOUT)?;
        accepted(answer)
    }

    fn recipients(&mut self, envelope: &Envelope) -> Result<Vec<(String, u16, String)>, Trouble> {
        let mut refused = Vec::new();
        for group in envelope.rcpt_to.chunks(RECIPIENTS_AT_ONCE) {
            let mut lines = String::new();
            for one in group {
                lines.push_str(&format!("RCPT TO:<{}>", one.email));
                parameters(&mut lines, &one.parameters);
                lines.push_str("\r\n");
            }
            self.write(lines.as_bytes())?;
            for one in group {
                let answer = self.reply()?;
                if answer.code == 421 {
                    return Err(answer.refusal(At::Mail));
                }
                if !answer.is(2) {
                    refused.push((one.email.clone(), answer.code, answer.lines.join(" ")));
                }
            }
        }
        Ok(refused)
    }

    /// The message with dots doubled, and a line end behind its last line.
    fn content(&mut self, content: &mut dyn Read) -> Result<(), Trouble> {
        let (mut line_start, mut piece, mut stuffed) = (true, vec![0; PIECE], Vec::new());
        loop {
            let count = match content.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => count,
                Err(why) if why.kind() == io::ErrorKind::Interrupted => continue,
                Err(why) => {
                    // Half a message must not become one: smtpd forgets it when the connection ends here.
                    let _ = self.stream.get_ref().shutdown(std::net::Shutdown::Both);
                    return Err(Trouble::Broken(format!("the message cannot be read: {why}")));
                }
            };
            stuffed.clear();
            smtp_wire::stuff(&piece[..count], &mut line_start, &mut stuffed);
            self.write(&stuffed)?;
        }
        if line_start { Ok(()) } else { self.write(b"\r\n") }
    }

    /// Where a message is that this user sent; deferred ones are found with these domains.
    ///
    /// # Errors
    /// [`Trouble`]
    pub fn place(&mut self, id: &str, domains: &[String]) -> Result<Place, Trouble> {
        let domains: String = domains.iter().take(16).map(|domain| format!(" {domain}")).collect();
        let answer = self.ask(&format!("XHELD {id}{domains}"))?;
        if !answer.is(2) {
            return if answer.code == 550 { Ok(Place::Gone) } else { Err(answer.refusal(At::Session)) };
        }
        let bare = |line: &String| line.strip_prefix("2.0.0 ").unwrap_or(line).to_owned();
        let lines: Vec<String> = answer.lines.iter().map(bare).collect();
        if let Some(until) = lines.first().and_then(|line| line.strip_prefix("held ")) {
            return Ok(Place::Waits(until.trim().parse().unwrap_or(i64::MAX)));
        }
        let recipients = lines.iter().skip(1).filter_map(|line| {
            let (word, address) = line.split_once(' ')?;
            Some((address.to_owned(), word.to_owned()))
        });
        Ok(Place::Queued(recipients.collect()))
    }

    /// The id in the queue of a message that waits, by its ENVID.
    ///
    /// # Errors
    /// [`Trouble`]
    pub fn waiting(&mut self, envid: &str) -> Result<Option<Accepted>, Trouble> {
        let answer = self.ask(&format!("XHELD envid={}", xtext::encode(envid.as_bytes())))?;
        match answer.code {
            250 => {
                let line = answer.lines.first().map(String::as_str).unwrap_or_default();
                let mut words = line.strip_prefix("2.0.0 held ").unwrap_or_default().split(' ');
                let until = words.next().and_then(|until| until.parse().ok());
                let id = words.next().filter(|id| !id.is_empty());
                Ok(id.map(|id| Accepted { id: id.to_owned(), until }))
            }
            550 => Ok(None),
            _ => Err(answer.refusal(At::Session)),
        }
    }

    /// Takes a message back that waits. Whether it is gone by this.
    ///
    /// # Errors
    /// [`Trouble`]
    pub fn undo(&mut self, id: &str) -> Result<bool, Trouble> {
        let answer = self.ask(&format!("XUNDO {id}"))?;
        match answer.code {
            250 => Ok(true),
            550 | 554 => Ok(false),
            _ => Err(answer.refusal(At::Session)),
        }
    }

    fn expect(&mut self, line: Option<&str>) -> Result<(), Trouble> {
        let answer = match line {
            Some(line) => self.ask(line)?,
            None => self.reply()?,
        };
        if answer.is(2) { Ok(()) } else { Err(answer.refusal(At::Session)) }
    }

    fn ask(&mut self, line: &str) -> Result<Reply, Trouble> {
        self.write(format!("{line}\r\n").as_bytes())?;
        self.reply()
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        self.stream.get_mut().write_all(bytes).map_err(|why| broken(&why))
    }

    fn timeout(&self, time: Duration) -> Result<(), Trouble> {
        self.stream.get_ref().set_read_timeout(Some(time)).map_err(|why| broken(&why))
    }

    fn reply(&mut self) -> Result<Reply, Trouble> {
        let (mut lines, mut room) = (Vec::new(), REPLY_BYTES_MAX);
        loop {
            let mut line = Vec::new();
            (&mut self.stream).take(room).read_until(b'\n', &mut line).map_err(|why| broken(&why))?;
            room = room.saturating_sub(line.len() as u64);
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            let code = text.get(..3).and_then(|code| code.parse::<u16>().ok());
            let Some(code) = code.filter(|_| line.last() == Some(&b'\n')) else {
                return Err(Trouble::Broken("smtpd closed the connection".into()));
            };
            lines.push(text.get(4..).unwrap_or("").to_owned());
            if text.as_bytes().get(3) != Some(&b'-') {
                return Ok(Reply { code, lines });
            }
        }
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        let _ = self.stream.get_mut().write_all(b"QUIT\r\n");
    }
}

/// Names and values were checked ([`super::content::parameters`]); values become xtext.
fn parameters(line: &mut String, parameters: &[(String, Option<String>)]) {
    for (name, value) in parameters {
        line.push(' ');
        line.push_str(name);
        if let Some(value) = value {
            line.push('=');
            line.push_str(value);
        }
    }
}

/// `2.0.0 <id> accepted, held until 2026-11-29T12:00:00Z`
fn accepted(answer: Reply) -> Result<Accepted, Trouble> {
    if !answer.is(2) {
        return Err(answer.refusal(At::Data));
    }
    let text = answer.lines.first().map(String::as_str).unwrap_or_default();
    let id = text.split(' ').nth(1).unwrap_or_default().to_owned();
    let until =
        text.split_once("held until ").and_then(|(_, until)| crate::personal::second_of(until.trim()));
    Ok(Accepted { id, until })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversations_never_take_half_of_the_workers() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let _silent = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for (workers, most) in [(1, 1), (2, 1), (4, 1), (5, 2), (250, 124)] {
            let all = Conversations::new(socket.clone(), workers);
            all.open.store(most, Ordering::Relaxed);
            assert_eq!(all.open("joe").err(), Some(Trouble::Busy), "{workers}");
            assert_eq!(all.open.load(Ordering::Relaxed), most, "who is refused does not count");
        }
        let all = Conversations::new(folder.path().join("nobody"), 1);
        for _ in 0..3 {
            assert!(
                matches!(all.open("joe").err(), Some(Trouble::Broken(_))),
                "one that is over does not count"
            );
        }
    }
}

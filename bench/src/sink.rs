//! A mail server that throws away what it takes, and checks it: each message must come once for each recipient, as it was
//! sent, behind the trace lines of who relayed it. The first that does not is refused and remembered.

use std::io::{BufRead, BufReader, Error, Result, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::workloads::message;

/// What every message of the load begins with.
const BEGIN: &[u8] = b"From: Load <load@example.org>\r\n";

struct Taken {
    /// How many recipients have it, by the number of the message.
    seen: Vec<usize>,
    /// Messages that somebody still waits for.
    missing: usize,
    fault: Option<String>,
}

pub struct Sink {
    taken: Mutex<Taken>,
    changed: Condvar,
    /// Of each message.
    bytes: usize,
    /// Of each message.
    recipients: usize,
}

impl Sink {
    /// Listens, and takes messages 0 to `messages` in threads that live until the program ends.
    pub fn listen(
        address: Option<SocketAddr>,
        messages: usize,
        bytes: usize,
        recipients: usize,
    ) -> Result<Arc<Sink>> {
        let listener = TcpListener::bind(address.ok_or_else(|| Error::other("--sink is missing"))?)?;
        let taken = Taken { seen: vec![0; messages], missing: messages, fault: None };
        let sink = Arc::new(Sink { taken: Mutex::new(taken), changed: Condvar::new(), bytes, recipients });
        let accepting = Arc::clone(&sink);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sink = Arc::clone(&accepting);
                // a connection that breaks off leaves its message to be sent again
                thread::spawn(move || sink.serve(stream));
            }
        });
        Ok(sink)
    }

    pub fn wait_for_all(&self, patience: Duration) -> Result<()> {
        let end = Instant::now() + patience;
        let mut taken = self.taken();
        while taken.missing > 0 && taken.fault.is_none() {
            let Some(left) = end.checked_duration_since(Instant::now()) else {
                return Err(Error::other(format!("{} messages did not reach the other host", taken.missing)));
            };
            taken = self.changed.wait_timeout(taken, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(taken);
        self.check()
    }

    /// Whether everything was right so far.
    pub fn check(&self) -> Result<()> {
        self.taken().fault.clone().map_or(Ok(()), |fault| Err(Error::other(fault)))
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream);
        let (mut line, mut recipients) = (Vec::new(), Vec::new());
        reader.get_mut().write_all(b"220 sink.relay.test ESMTP\r\n")?;
        loop {
            line.clear();
            if reader.read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            let command = String::from_utf8_lossy(&line).trim_end().to_ascii_uppercase();
            let reply: &[u8] = match command.get(..4).unwrap_or_default() {
                "EHLO" => b"250-sink.relay.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 10485760\r\n",
                "RCPT" => {
                    recipients.push(command);
                    b"250 recipient\r\n"
                }
                "DATA" => {
                    reader.get_mut().write_all(b"354 go on\r\n")?;
                    let text = content(&mut reader)?;
                    if self.take(&text, &std::mem::take(&mut recipients)) {
                        b"250 taken\r\n"
                    } else {
                        b"554 not what was sent\r\n"
                    }
                }
                "MAIL" | "RSET" => {
                    recipients.clear();
                    b"250 ok\r\n"
                }
                "HELO" | "NOOP" => b"250 ok\r\n",
                "QUIT" => return reader.get_mut().write_all(b"221 bye\r\n"),
                _ => b"500 unknown\r\n",
            };
            reader.get_mut().write_all(reply)?;
        }
    }

    fn take(&self, text: &[u8], recipients: &[String]) -> bool {
        let judged = judge(text, recipients, self.bytes);
        let mut taken = self.taken();
        let fault = match judged {
            Err(fault) => Some(fault),
            Ok(number) => match taken.seen.get(number).map(|seen| seen + recipients.len()) {
                None => Some(format!("the other host was sent message {number}, which was never sent")),
                Some(now) if now > self.recipients => {
                    Some(format!("the other host was sent message {number} twice"))
                }
                Some(now) => {
                    taken.seen[number] = now;
                    taken.missing -= usize::from(now == self.recipients);
                    None
                }
            },
        };
        let good = fault.is_none();
        taken.fault = taken.fault.take().or(fault);
        if taken.missing == 0 || !good {
            self.changed.notify_all();
        }
        good
    }
}

/// The number of a message that came as it was sent.
fn judge(text: &[u8], recipients: &[String], bytes: usize) -> std::result::Result<usize, String> {
    let right = |one: &String| one.starts_with("RCPT TO:<R") && one.contains("@RELAY.TEST>");
    if recipients.is_empty() || !recipients.iter().all(right) {
        return Err(format!("the other host was given wrong recipients: {recipients:?}"));
    }
    let begin = text.windows(BEGIN.len()).position(|part| part == BEGIN);
    let sent = &text[begin.ok_or("the other host was sent a message without its header")?..];
    let subject = String::from_utf8_lossy(sent)
        .lines()
        .find_map(|line| line.strip_prefix("Subject: message ")?.parse().ok());
    let number = subject.ok_or("the other host was sent a message without its subject")?;
    if sent == message(number, bytes) {
        Ok(number)
    } else {
        Err(format!("the other host was sent message {number} with other bytes"))
    }
}

/// What follows DATA, dots taken off (RFC 5321 §4.5.2).
fn content(reader: &mut BufReader<TcpStream>) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Err(Error::other("a message broke off"));
        }
        if line == b".\r\n" {
            return Ok(text);
        }
        text.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}

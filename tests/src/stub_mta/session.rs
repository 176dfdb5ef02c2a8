//! One connection of the stub.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Act, Received, Shared, Step};
use crate::instance::PATIENCE;

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// The client has gone, or is to be left.
struct Gone;

type Going<T> = Result<T, Gone>;

struct Connection<'a> {
    stream: Box<dyn Stream>,
    socket: TcpStream,
    input: Vec<u8>,
    shared: &'a Shared,
    message: Received,
}

/// Until one side closes.
pub(super) fn run(stream: TcpStream, shared: &Shared, number: usize) {
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let message = Received { connection: number, ..Received::default() };
    let socket = stream.try_clone().unwrap();
    let mut connection = Connection { stream: Box::new(stream), socket, input: Vec::new(), shared, message };
    let _ = connection.converse();
    let _ = connection.socket.shutdown(Shutdown::Both);
}

impl Connection<'_> {
    fn converse(&mut self) -> Going<()> {
        if self.shared.implicit {
            self.encrypt()?;
        }
        self.answer(Step::Greeting, "", "220 stub.example.test ESMTP")?;
        loop {
            let line = self.command()?;
            let verb = line.split([' ', ':']).next().unwrap_or("").to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" | "HELO" | "LHLO" => self.hello(&verb, &line)?,
                "STARTTLS" => self.start_tls(&line)?,
                "AUTH" => self.auth(&line)?,
                "MAIL" => {
                    if self.answer(Step::Mail, &line, "250 2.1.0 sender ok")? {
                        self.message.mail = line;
                    }
                }
                "RCPT" if self.message.mail.is_empty() => self.say("503 5.5.1 MAIL first")?,
                "RCPT" => {
                    if self.answer(Step::Rcpt, &line, "250 2.1.5 recipient ok")? {
                        self.message.rcpts.push(line);
                    }
                }
                "DATA" => self.data(&line)?,
                "BDAT" => self.chunk(&line)?,
                "RSET" => {
                    self.answer(Step::Reset, &line, "250 2.0.0 forgotten")?;
                    self.forget();
                }
                "QUIT" => {
                    self.answer(Step::Quit, &line, "221 2.0.0 bye")?;
                    return Ok(());
                }
                _ => {
                    self.answer(Step::Other, &line, "502 5.5.1 what?")?;
                }
            }
        }
    }

    fn hello(&mut self, verb: &str, line: &str) -> Going<()> {
        let mut usual = "250 stub.example.test".to_owned();
        if verb == "EHLO" && !self.shared.lmtp || verb == "LHLO" && self.shared.lmtp {
            let starttls = (self.shared.tls.is_some() && !self.message.tls).then(|| "STARTTLS".to_owned());
            let lines: Vec<String> = self.shared.offers.iter().cloned().chain(starttls).collect();
            for (at, keyword) in lines.iter().enumerate() {
                let mark = if at + 1 == lines.len() { ' ' } else { '-' };
                usual.push_str(&format!("\n250{mark}{keyword}"));
            }
            if !lines.is_empty() {
                usual.replace_range(3..4, "-");
            }
        } else if verb != "HELO" || self.shared.lmtp {
            usual = "500 5.5.1 what?".into();
        }
        if self.answer(Step::Hello, line, &usual)? {
            self.message.hello = line.split_once(' ').map_or("", |(_, name)| name).to_owned();
        }
        Ok(())
    }

    fn start_tls(&mut self, line: &str) -> Going<()> {
        if !self.answer(Step::StartTls, line, "220 2.0.0 go ahead")? {
            return Ok(());
        }
        self.encrypt()
    }

    fn encrypt(&mut self) -> Going<()> {
        let acceptor = self.shared.tls.as_ref().ok_or(Gone)?;
        let stream = acceptor.accept(self.socket.try_clone().unwrap()).map_err(|_| Gone)?;
        self.stream = Box::new(stream);
        self.input.clear();
        self.message.tls = true;
        Ok(())
    }

    fn auth(&mut self, line: &str) -> Going<()> {
        if line.to_ascii_uppercase().starts_with("AUTH LOGIN") {
            for challenge in ["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6"] {
                self.say(challenge)?;
                self.command()?;
            }
        }
        self.answer(Step::Auth, line, "235 2.7.0 welcome").map(|_| ())
    }

    fn data(&mut self, line: &str) -> Going<()> {
        let usual = if self.message.rcpts.is_empty() { "554 5.5.1 no recipients" } else { "354 go ahead" };
        if !self.answer(Step::Data, line, usual)? {
            return Ok(());
        }
        loop {
            let line = self.line()?;
            if line == b".\r\n" {
                break;
            }
            self.keep(line.strip_prefix(b".").unwrap_or(&line));
        }
        self.end_of_content()
    }

    fn chunk(&mut self, line: &str) -> Going<()> {
        let mut words = line.split(' ').skip(1);
        let mut left: usize = words.next().and_then(|word| word.parse().ok()).ok_or(Gone)?;
        let is_last = words.next().is_some();
        while left > 0 {
            if self.input.is_empty() {
                self.more()?;
            }
            let piece: Vec<u8> = self.input.drain(..left.min(self.input.len())).collect();
            self.keep(&piece);
            left -= piece.len();
        }
        self.message.chunks += 1;
        if is_last {
            return self.end_of_content();
        }
        if !self.answer(Step::Content, line, "250 2.0.0 more")? {
            self.forget();
        }
        Ok(())
    }

    fn keep(&mut self, piece: &[u8]) {
        self.message.size += piece.len();
        if !self.shared.discards {
            self.message.content.extend_from_slice(piece);
        }
    }

    fn end_of_content(&mut self) -> Going<()> {
        let lines = if self.shared.lmtp { self.message.rcpts.clone() } else { vec![String::new()] };
        for line in lines {
            self.decide(Step::Content, &line, "250 2.0.0 taken", |connection| {
                // Before the reply is out: who has the reply finds the message.
                let mut message = connection.message.clone();
                if connection.shared.lmtp {
                    message.rcpts = vec![line.clone()];
                }
                connection.shared.note(|seen| seen.received.push(message));
            })?;
        }
        self.forget();
        Ok(())
    }

    fn forget(&mut self) {
        let Received { hello, tls, connection, .. } = std::mem::take(&mut self.message);
        self.message = Received { hello, tls, connection, ..Received::default() };
    }

    /// Does what the rules say at this step, or says the usual thing. Whether the command was taken.
    fn answer(&mut self, step: Step, line: &str, usual: &str) -> Going<bool> {
        self.decide(step, line, usual, |_| ())
    }

    fn decide(&mut self, step: Step, line: &str, usual: &str, taken: impl Fn(&Self)) -> Going<bool> {
        let ahead = self.input.iter().filter(|byte| **byte == b'\n').count();
        self.shared.note(|seen| seen.ahead_max = seen.ahead_max.max(ahead));
        let acts = self.shared.acts(step, line).unwrap_or_else(|| vec![Act::say(usual)]);
        let mut positive = false;
        for act in acts {
            let said = match &act {
                Act::Say(text) => text.as_bytes().first().copied(),
                Act::Raw(bytes) | Act::Drip(bytes, _) => bytes.first().copied(),
                _ => None,
            };
            if matches!(said, Some(b'2' | b'3')) && !positive {
                positive = true;
                taken(self);
            }
            self.act(act)?;
        }
        Ok(positive)
    }

    fn act(&mut self, act: Act) -> Going<()> {
        match act {
            Act::Say(text) => self.say(&text),
            Act::Raw(bytes) => self.send(&bytes),
            Act::Drip(bytes, pause) => {
                for byte in bytes {
                    self.send(&[byte])?;
                    self.wait(pause)?;
                }
                Ok(())
            }
            Act::Wait(time) => self.wait(time),
            Act::Held => self.wait_unless(PATIENCE, &self.shared.released),
            Act::Await(text) => {
                while !self.input.windows(text.len()).any(|piece| piece == text.as_bytes()) {
                    self.more()?;
                }
                let ahead = self.input.iter().filter(|byte| **byte == b'\n').count();
                self.shared.note(|seen| seen.ahead_max = seen.ahead_max.max(ahead));
                Ok(())
            }
            Act::Silence => self.wait(PATIENCE).and(Err(Gone)),
            Act::Close => Err(Gone),
        }
    }

    /// So long, or until the stub ends or the client has closed.
    fn wait(&self, time: Duration) -> Going<()> {
        self.wait_unless(time, &AtomicBool::new(false))
    }

    /// The same, and not at all, or no longer, when this is set.
    fn wait_unless(&self, time: Duration, is_over: &AtomicBool) -> Going<()> {
        let until = Instant::now() + time;
        let mut seen = self.shared.seen();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || is_over.load(Ordering::SeqCst) {
                return Ok(());
            }
            if self.shared.stopping.load(Ordering::SeqCst) || self.is_left() {
                return Err(Gone);
            }
            seen = self.shared.changed.wait_timeout(seen, left.min(Duration::from_millis(20))).unwrap().0;
        }
    }

    fn is_left(&self) -> bool {
        let gone = PollFlags::from_bits_retain(nix::libc::POLLRDHUP); // nix has no name for it
        let mut polled = [PollFd::new(self.socket.as_fd(), gone)];
        poll(&mut polled, PollTimeout::ZERO).unwrap() > 0
    }

    fn say(&mut self, text: &str) -> Going<()> {
        self.send(format!("{}\r\n", text.replace('\n', "\r\n")).as_bytes())
    }

    fn send(&mut self, bytes: &[u8]) -> Going<()> {
        self.stream.write_all(bytes).and_then(|()| self.stream.flush()).map_err(|_| Gone)
    }

    fn command(&mut self) -> Going<String> {
        let line = String::from_utf8_lossy(&self.line()?).trim_end().to_owned();
        self.shared.note(|seen| seen.commands.push(line.clone()));
        Ok(line)
    }

    /// One line with its CRLF; a LF alone ends none.
    fn line(&mut self) -> Going<Vec<u8>> {
        let mut from = 0;
        loop {
            if let Some(at) = self.input[from..].windows(2).position(|pair| pair == b"\r\n") {
                return Ok(self.input.drain(..from + at + 2).collect());
            }
            from = self.input.len().saturating_sub(1);
            self.more()?;
        }
    }

    fn more(&mut self) -> Going<()> {
        let mut block = [0; 16 * 1024];
        match self.stream.read(&mut block) {
            Ok(0) | Err(_) => Err(Gone),
            Ok(read) => {
                self.input.extend_from_slice(&block[..read]);
                Ok(())
            }
        }
    }
}

//! The conversation with smtpd (RFC 5321, RFC 1870, RFC 2920, RFC 3461, RFC 6152).

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use smtp_wire::Address;

use super::exit::{self, Failure};
use super::message::Message;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// RFC 5321 §4.5.3.2: five minutes for a reply, ten for that to the end of data.
const REPLY_TIMEOUT: Duration = Duration::from_secs(300);
const DATA_END_TIMEOUT: Duration = Duration::from_secs(600);
/// Bytes of a reply at most, all its lines.
const REPLY_BYTES_MAX: u64 = 64 * 1024;
/// Recipients sent at once where the server takes that (RFC 2920): their replies fit into the socket's buffers.
const RECIPIENTS_AT_ONCE: usize = 100;

/// What the sender wants to be told (RFC 3461).
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    pub notify: Option<String>,
    pub ret: Option<String>,
    pub envid: Option<String>,
}

/// One session with smtpd, greeted.
pub struct Submission<'v> {
    stream: BufReader<TcpStream>,
    /// Where the conversation is shown.
    transcript: Option<&'v mut dyn Write>,
    /// The words of EHLO in upper case.
    offers: Vec<String>,
}

struct Reply {
    code: u16,
    /// All lines, without codes.
    lines: Vec<String>,
}

impl Reply {
    fn is(&self, class: u16) -> bool {
        self.code / 100 == class
    }

    fn text(&self) -> String {
        format!("{} {}", self.code, self.lines.join(" "))
    }

    /// What a refusal means to the caller. `of` says who is refused.
    fn failure(&self, of: Refused) -> Failure {
        let enhanced = self.lines.first().map_or("", String::as_str);
        let code = match (self.code, of) {
            (400..=499, _) => exit::TEMPFAIL,
            (550 | 551 | 553, Refused::Recipient) if !enhanced.starts_with("5.7") => exit::NOUSER,
            _ if enhanced.starts_with("5.7") => exit::NOPERM,
            (500..=599, _) => exit::UNAVAILABLE,
            _ => exit::PROTOCOL,
        };
        Failure::new(code, self.text())
    }
}

/// Whom a refusal concerns.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refused {
    Recipient,
    All,
}

impl<'v> Submission<'v> {
    /// Connects to the first address that answers, and says EHLO.
    ///
    /// # Errors
    /// Nobody answers (to be tried again), or the answer is not SMTP's.
    pub fn open(
        addresses: &[SocketAddr],
        host: &str,
        transcript: Option<&'v mut dyn Write>,
    ) -> Result<Submission<'v>, Failure> {
        let stream = connect(addresses)?;
        stream.set_write_timeout(Some(REPLY_TIMEOUT)).map_err(|why| broken(&why))?;
        let _ = stream.set_nodelay(true);
        let mut session = Submission { stream: BufReader::new(stream), transcript, offers: Vec::new() };
        session.timeout(REPLY_TIMEOUT)?;
        let greeting = session.reply()?;
        if !greeting.is(2) {
            return Err(greeting.failure(Refused::All));
        }
        let name = smtp_wire::address::domain(host).unwrap_or_else(|_| "localhost".into());
        let mut hello = session.ask(&format!("EHLO {name}"))?;
        if hello.is(5) {
            hello = session.ask(&format!("HELO {name}"))?;
        } else {
            session.offers = hello.lines.iter().skip(1).map(|line| line.to_ascii_uppercase()).collect();
        }
        if hello.is(2) { Ok(session) } else { Err(hello.failure(Refused::All)) }
    }

    fn offers(&self, word: &str) -> bool {
        self.offers.iter().any(|line| line.split(' ').next() == Some(word))
    }

    /// Sends the message to everybody; gives those who were refused. When the server takes only so many recipients at
    /// once (452), the others get a transaction of their own.
    ///
    /// # Errors
    /// Nobody gets it, or it is not known who does.
    pub fn send(
        &mut self,
        sender: Option<&Address>,
        recipients: &[Address],
        wishes: &Wishes,
        message: &mut Message,
    ) -> Result<Vec<(Address, Failure)>, Failure> {
        let mut refused = Vec::new();
        let mut rest = recipients.to_vec();
        while !rest.is_empty() {
            let utf8 = rest.iter().any(|one| !one.is_ascii());
            self.begin(sender, wishes, message.eight_bit, utf8, message.size())?;
            let answers = self.recipients(&rest, wishes)?;
            let accepted = answers.iter().filter(|answer| answer.is(2)).count();
            let mut later = Vec::new();
            for (recipient, answer) in rest.into_iter().zip(&answers) {
                if answer.code == 452 && accepted > 0 {
                    later.push(recipient); // RFC 5321 §4.5.3.1.10
                } else if !answer.is(2) {
                    refused.push((recipient, answer.failure(Refused::Recipient)));
                }
            }
            if accepted == 0 {
                self.ask("RSET")?;
                break;
            }
            self.content(message)?;
            rest = later;
        }
        Ok(refused)
    }

    /// Asks about each address, in order, and sends nothing.
    ///
    /// # Errors
    /// The server does not talk to us.
    pub fn verify(
        &mut self,
        sender: Option<&Address>,
        recipients: &[Address],
    ) -> Result<Vec<Result<(), Failure>>, Failure> {
        let utf8 = recipients.iter().any(|one| !one.is_ascii());
        self.begin(sender, &Wishes::default(), false, utf8, 0)?;
        let answers = self.recipients(recipients, &Wishes::default())?;
        self.ask("RSET")?;
        let told =
            |answer: Reply| if answer.is(2) { Ok(()) } else { Err(answer.failure(Refused::Recipient)) };
        Ok(answers.into_iter().map(told).collect())
    }

    fn begin(
        &mut self,
        sender: Option<&Address>,
        wishes: &Wishes,
        eight_bit: bool,
        utf8: bool,
        size: u64,
    ) -> Result<(), Failure> {
        let mut line = format!("MAIL FROM:<{}>", sender.map(ToString::to_string).unwrap_or_default());
        if size > 0 && self.offers("SIZE") {
            line.push_str(&format!(" SIZE={size}"));
        }
        if eight_bit && self.offers("8BITMIME") {
            line.push_str(" BODY=8BITMIME");
        }
        // RFC 6531 §3.4: said only where it is needed, since it narrows the way. A header in UTF-8 alone goes as 8-bit text does.
        if (utf8 || sender.is_some_and(|one| !one.is_ascii())) && self.offers("SMTPUTF8") {
            line.push_str(" SMTPUTF8");
        }
        if self.offers("DSN") {
            if let Some(ret) = &wishes.ret {
                line.push_str(&format!(" RET={}", word(ret, "-R")?));
            }
            if let Some(envid) = &wishes.envid {
                line.push_str(&format!(" ENVID={}", smtp_wire::xtext::encode(envid.as_bytes())));
            }
        }
        let answer = self.ask(&line)?;
        if answer.is(2) { Ok(()) } else { Err(answer.failure(Refused::All)) }
    }

    fn recipients(&mut self, recipients: &[Address], wishes: &Wishes) -> Result<Vec<Reply>, Failure> {
        let notify = match &wishes.notify {
            Some(notify) if self.offers("DSN") => format!(" NOTIFY={}", word(notify, "-N")?),
            _ => String::new(),
        };
        let at_once = if self.offers("PIPELINING") { RECIPIENTS_AT_ONCE } else { 1 };
        let mut answers = Vec::with_capacity(recipients.len());
        for group in recipients.chunks(at_once) {
            let lines: String = group.iter().map(|one| format!("RCPT TO:<{one}>{notify}\r\n")).collect();
            self.show(">>> ", &lines);
            self.write(lines.as_bytes())?;
            for _ in group {
                let answer = self.reply()?;
                if answer.code == 421 {
                    return Err(answer.failure(Refused::All));
                }
                answers.push(answer);
            }
        }
        Ok(answers)
    }

    fn content(&mut self, message: &mut Message) -> Result<(), Failure> {
        let go_on = self.ask("DATA")?;
        if !go_on.is(3) {
            return Err(go_on.failure(Refused::All));
        }
        let mut line_start = true;
        let mut stuffed = Vec::new();
        message.pieces(|piece| {
            stuffed.clear();
            smtp_wire::stuff(piece, &mut line_start, &mut stuffed);
            self.write(&stuffed)
        })?;
        self.timeout(DATA_END_TIMEOUT)?;
        // Every line of the message has its end.
        let answer = self.ask(".")?;
        self.timeout(REPLY_TIMEOUT)?;
        if answer.is(2) { Ok(()) } else { Err(answer.failure(Refused::All)) }
    }

    /// Takes leave; what is said now changes nothing.
    pub fn quit(&mut self) {
        if self.timeout(Duration::from_secs(5)).is_ok() {
            let _ = self.ask("QUIT");
        }
    }

    fn ask(&mut self, line: &str) -> Result<Reply, Failure> {
        self.show(">>> ", line);
        self.write(format!("{line}\r\n").as_bytes())?;
        self.reply()
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.stream.get_mut().write_all(bytes).map_err(|why| broken(&why))
    }

    fn timeout(&self, time: Duration) -> Result<(), Failure> {
        self.stream.get_ref().set_read_timeout(Some(time)).map_err(|why| broken(&why))
    }

    fn show(&mut self, mark: &str, text: &str) {
        if let Some(transcript) = &mut self.transcript {
            for line in text.lines() {
                let _ = writeln!(transcript, "{mark}{}", base::escape(line));
            }
        }
    }

    fn reply(&mut self) -> Result<Reply, Failure> {
        let mut lines = Vec::new();
        let mut room = REPLY_BYTES_MAX;
        loop {
            let mut line = Vec::new();
            (&mut self.stream).take(room).read_until(b'\n', &mut line).map_err(|why| broken(&why))?;
            room = room.saturating_sub(line.len() as u64);
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            if line.is_empty() && room > 0 {
                return Err(Failure::new(exit::TEMPFAIL, "the server closed the connection"));
            }
            let nonsense = || Failure::new(exit::PROTOCOL, format!("this is no SMTP reply: {text:.60}"));
            if line.last() != Some(&b'\n') {
                return Err(nonsense());
            }
            self.show("", &text);
            let code = text.get(..3).and_then(|code| code.parse::<u16>().ok()).filter(|code| *code >= 200);
            let (code, mark) = code.zip(Some(text.as_bytes().get(3))).ok_or_else(nonsense)?;
            lines.push(text.get(4..).unwrap_or("").to_owned());
            match mark {
                Some(b'-') => {}
                Some(b' ') | None => return Ok(Reply { code, lines }),
                Some(_) => return Err(nonsense()),
            }
        }
    }
}

/// A word of DSN goes on the wire as it is: nothing else may come with it.
fn word<'w>(value: &'w str, option: &str) -> Result<&'w str, Failure> {
    let legal = value.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b',') && !value.is_empty();
    if legal { Ok(value) } else { Err(Failure::new(exit::USAGE, format!("{option} {value}: no such word"))) }
}

fn broken(why: &io::Error) -> Failure {
    let text = match why.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "the server does not answer".to_owned(),
        _ => format!("the connection broke: {why}"),
    };
    Failure::new(exit::TEMPFAIL, text)
}

fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, Failure> {
    let mut failed = String::from("there is no address to submit to");
    for address in addresses {
        match TcpStream::connect_timeout(address, CONNECT_TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(why) => failed = format!("{address}: {why}"),
        }
    }
    Err(Failure::new(exit::TEMPFAIL, failed))
}

/// `-bs`: standard input and output speak SMTP with smtpd. Ends when smtpd closes.
///
/// # Errors
/// Nobody answers, or standard output is gone.
pub fn pass_through(addresses: &[SocketAddr], out: &mut dyn Write) -> Result<(), Failure> {
    let mut from_server = connect(addresses)?;
    let mut to_server = from_server.try_clone().map_err(|why| broken(&why))?;
    // It may still wait for input when the server has closed: then the process ends, and it with it.
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    let mut piece = [0; 8192];
    loop {
        match from_server.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                let written = out.write_all(&piece[..count]).and_then(|()| out.flush());
                written.map_err(|why| Failure::new(exit::IOERR, format!("standard output: {why}")))?;
            }
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            Err(why) => return Err(broken(&why)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(code: u16, text: &str) -> Reply {
        Reply { code, lines: vec![text.to_owned()] }
    }

    #[test]
    fn a_refusal_becomes_the_status_that_callers_expect() {
        for (code, text, of, status) in [
            (550, "5.1.1 No such user here", Refused::Recipient, exit::NOUSER),
            (550, "5.7.1 Relaying denied", Refused::Recipient, exit::NOPERM),
            (551, "User not local", Refused::Recipient, exit::NOUSER),
            (452, "4.3.1 Not enough room", Refused::All, exit::TEMPFAIL),
            (421, "4.3.2 stopping", Refused::All, exit::TEMPFAIL),
            (552, "5.3.4 too large", Refused::All, exit::UNAVAILABLE),
            (554, "5.4.6 loop", Refused::All, exit::UNAVAILABLE),
            (354, "go ahead", Refused::All, exit::PROTOCOL),
        ] {
            assert_eq!(reply(code, text).failure(of).code, status, "{code} {text}");
        }
    }

    #[test]
    fn a_word_for_the_wire_brings_nothing_else() {
        assert_eq!(word("success,failure", "-N"), Ok("success,failure"));
        for evil in ["", "never\r\nRCPT", "a b", "x=y"] {
            assert_eq!(word(evil, "-N").unwrap_err().code, exit::USAGE, "{evil}");
        }
    }
}

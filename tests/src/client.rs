//! Clients that say exactly what a test tells them to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use openssl::ssl::{SslConnector, SslMethod};

use crate::Certificate;

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// One connection, spoken to line by line.
pub struct Wire {
    stream: BufReader<Box<dyn Stream>>,
    socket: TcpStream,
    /// What binds an exchange to this TLS connection: `tls-exporter` (RFC 9266); nothing in clear.
    pub exporter: Vec<u8>,
}

impl Wire {
    /// Speaks plain text.
    pub fn plain(stream: TcpStream) -> Wire {
        let socket = stream.try_clone().unwrap();
        Wire { stream: BufReader::new(Box::new(stream)), socket, exporter: Vec::new() }
    }

    /// Shakes hands as "localhost", trusting the authority in `ca`.
    pub fn tls(stream: TcpStream, ca: &Path) -> Wire {
        Wire::tls_as(stream, ca, None)
    }

    /// The same with a certificate of the client's.
    pub fn tls_as(stream: TcpStream, ca: &Path, certificate: Option<&Certificate>) -> Wire {
        let socket = stream.try_clone().unwrap();
        let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
        connector.set_ca_file(ca).unwrap();
        if let Some(Certificate { leaf, key, .. }) = certificate {
            connector.set_certificate(leaf).unwrap();
            connector.set_private_key(key).unwrap();
        }
        let stream = connector.build().connect("localhost", stream).unwrap();
        let mut exporter = vec![0; 32];
        stream.ssl().export_keying_material(&mut exporter, "EXPORTER-Channel-Binding", None).unwrap();
        Wire { stream: BufReader::new(Box::new(stream)), socket, exporter }
    }

    /// Goes on under TLS after STARTTLS or STLS was answered.
    pub fn start_tls(self, ca: &Path) -> Wire {
        assert!(self.stream.buffer().is_empty(), "the server spoke in clear behind its go-ahead");
        Wire::tls(self.socket, ca)
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
        self.stream.get_mut().flush().unwrap();
    }

    /// Sends bytes; false when the peer has closed.
    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        let stream = self.stream.get_mut();
        stream.write_all(bytes).and_then(|()| stream.flush()).is_ok()
    }

    /// One line without its end; empty string and `false` at the end of the stream.
    pub fn try_line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        match self.stream.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => {
                while matches!(line.last(), Some(b'\r' | b'\n')) {
                    line.pop();
                }
                Some(String::from_utf8_lossy(&line).into_owned())
            }
        }
    }

    /// One line; the test fails when there is none.
    pub fn line(&mut self) -> String {
        self.try_line().expect("the server closed the connection")
    }

    /// The bytes of one line without CR LF; the test fails when there is none.
    pub fn line_bytes(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        let count = self.stream.read_until(b'\n', &mut line).unwrap();
        assert!(count > 0, "the server closed the connection");
        let end = line.strip_suffix(b"\r\n").map_or(line.len(), <[u8]>::len);
        line.truncate(end);
        line
    }

    /// Exactly so many bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Whether the peer closes without saying more.
    pub fn is_closed(&mut self) -> bool {
        self.try_line().is_none()
    }

    /// Whether something has come that was not read yet. Not for TLS, which sends more than lines.
    pub fn has_more(&self) -> bool {
        self.socket.set_nonblocking(true).unwrap();
        let came = self.socket.peek(&mut [0]).is_ok_and(|count| count > 0);
        self.socket.set_nonblocking(false).unwrap();
        came || !self.stream.buffer().is_empty()
    }

    /// The socket, for timeouts and shutdown.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }
}

/// An SMTP client.
pub struct Smtp {
    pub wire: Wire,
    /// The greeting.
    pub greeting: String,
}

impl Smtp {
    /// Reads the greeting.
    pub fn open(stream: TcpStream) -> Smtp {
        Smtp::over(Wire::plain(stream))
    }

    /// Reads the greeting on a wire that may be encrypted.
    pub fn over(mut wire: Wire) -> Smtp {
        let greeting = wire.line();
        Smtp { wire, greeting }
    }

    /// Reads one reply, its lines joined by newlines.
    pub fn reply(&mut self) -> String {
        let mut text = String::new();
        loop {
            let line = self.wire.line();
            text.push_str(&line);
            if line.as_bytes().get(3) != Some(&b'-') {
                return text;
            }
            text.push('\n');
        }
    }

    /// Sends a line and gives the reply.
    pub fn ask(&mut self, line: &str) -> String {
        self.wire.send(format!("{line}\r\n").as_bytes());
        self.reply()
    }

    /// Sends a line; the reply must be positive (2xx or 3xx).
    pub fn ok(&mut self, line: &str) -> String {
        let reply = self.ask(line);
        assert!(reply.starts_with(['2', '3']), "{line}: {reply}");
        reply
    }

    /// EHLO and AUTH PLAIN.
    pub fn log_in(&mut self, user: &str, password: &str) {
        self.ok("EHLO client.example.org");
        self.ok(&format!("AUTH PLAIN {}", STANDARD.encode(format!("\0{user}\0{password}"))));
    }

    /// One transaction; gives the reply to the end of data. `text` is dot-stuffed here.
    pub fn send_message(&mut self, from: &str, to: &[&str], text: &str) -> String {
        self.ok(&format!("MAIL FROM:<{from}>"));
        for recipient in to {
            self.ok(&format!("RCPT TO:<{recipient}>"));
        }
        self.ok("DATA");
        let stuffed = if text.starts_with('.') { format!(".{text}") } else { text.to_owned() };
        let stuffed = stuffed.replace("\r\n.", "\r\n..");
        let end = if stuffed.ends_with("\r\n") { ".\r\n" } else { "\r\n.\r\n" };
        self.wire.send(format!("{stuffed}{end}").as_bytes());
        let reply = self.reply();
        assert!(reply.starts_with("250"), "end of data: {reply}");
        reply
    }
}

/// An IMAP client.
pub struct Imap {
    pub wire: Wire,
    /// The greeting.
    pub greeting: String,
    number: u32,
}

impl Imap {
    /// Reads the greeting.
    pub fn open(stream: TcpStream) -> Imap {
        Imap::over(Wire::plain(stream))
    }

    /// Reads the greeting on a wire that may be encrypted.
    pub fn over(mut wire: Wire) -> Imap {
        let greeting = wire.line();
        Imap { wire, greeting, number: 0 }
    }

    /// On a wire that was greeted before, as after STARTTLS.
    pub fn resumed(wire: Wire) -> Imap {
        Imap { wire, greeting: String::new(), number: 0 }
    }

    /// One response line with its literals inlined (as `{n}` CRLF bytes).
    pub fn response(&mut self) -> String {
        let mut text = self.wire.line();
        while let Some(size) = literal_size(&text) {
            let bytes = self.wire.bytes(size);
            text.push_str("\r\n");
            text.push_str(&String::from_utf8_lossy(&bytes));
            text.push_str(&self.wire.line());
        }
        text
    }

    /// Sends a command with a fresh tag; the untagged responses and the tagged one without its tag.
    pub fn command(&mut self, command: &str) -> (Vec<String>, String) {
        self.number += 1;
        let tag = format!("t{}", self.number);
        self.wire.send(format!("{tag} {command}\r\n").as_bytes());
        self.until_tagged(&tag)
    }

    /// The number in the tag of the last command.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Reads until the tagged response.
    pub fn until_tagged(&mut self, tag: &str) -> (Vec<String>, String) {
        let mut untagged = Vec::new();
        loop {
            let response = self.response();
            match response.strip_prefix(tag) {
                Some(rest) if rest.starts_with(' ') => return (untagged, rest[1..].to_owned()),
                _ => untagged.push(response),
            }
        }
    }

    /// Sends a command that must end in OK; its untagged responses.
    pub fn ok(&mut self, command: &str) -> Vec<String> {
        let (untagged, end) = self.command(command);
        assert!(end.starts_with("OK"), "{command}: {end}");
        untagged
    }

    /// Sends a command that must not end in OK; the tagged response.
    pub fn refused(&mut self, command: &str) -> String {
        let (_, end) = self.command(command);
        assert!(!end.starts_with("OK"), "{command}: {end}");
        end
    }

    /// APPENDs a message; the tagged response.
    pub fn append(&mut self, mailbox: &str, arguments: &str, message: &str) -> String {
        self.number += 1;
        let tag = format!("t{}", self.number);
        self.wire.send(format!("{tag} APPEND {mailbox} {arguments}{{{}}}\r\n", message.len()).as_bytes());
        let go_on = self.response();
        if !go_on.starts_with('+') {
            return go_on;
        }
        self.wire.send(format!("{message}\r\n").as_bytes());
        self.until_tagged(&tag).1
    }

    /// The same for a message that is no text.
    pub fn append_bytes(&mut self, mailbox: &str, arguments: &str, message: &[u8]) -> String {
        self.number += 1;
        let tag = format!("t{}", self.number);
        self.wire.send(format!("{tag} APPEND {mailbox} {arguments}{{{}}}\r\n", message.len()).as_bytes());
        let go_on = self.response();
        if !go_on.starts_with('+') {
            return go_on;
        }
        self.wire.send(message);
        self.wire.send(b"\r\n");
        self.until_tagged(&tag).1
    }

    /// Sends a command; the bytes of its untagged responses, literals as they came, and the tagged one without its tag.
    pub fn raw(&mut self, command: &str) -> (Vec<Vec<u8>>, String) {
        self.number += 1;
        let tag = format!("t{}", self.number);
        self.wire.send(format!("{tag} {command}\r\n").as_bytes());
        let mut untagged = Vec::new();
        loop {
            let response = self.raw_response();
            match response.strip_prefix(tag.as_bytes()) {
                Some([b' ', rest @ ..]) => return (untagged, String::from_utf8_lossy(rest).into_owned()),
                _ => untagged.push(response),
            }
        }
    }

    /// One response, its last line end left out.
    fn raw_response(&mut self) -> Vec<u8> {
        let mut response = self.wire.line_bytes();
        loop {
            let end = String::from_utf8_lossy(&response[response.len().saturating_sub(24)..]).into_owned();
            let Some(size) = literal_size(&end) else { return response };
            response.extend_from_slice(b"\r\n");
            response.extend(self.wire.bytes(size));
            response.extend(self.wire.line_bytes());
        }
    }

    /// How many messages a mailbox holds, by STATUS.
    pub fn exists(&mut self, mailbox: &str) -> u32 {
        let status = self.ok(&format!("STATUS {mailbox} (MESSAGES)"));
        let line = status.iter().find(|line| line.starts_with("* STATUS")).unwrap();
        line.rsplit("MESSAGES ").next().unwrap().trim_end_matches(')').parse().unwrap()
    }
}

fn literal_size(line: &str) -> Option<usize> {
    line.strip_suffix('}')?.rsplit_once('{')?.1.parse().ok()
}

/// A POP client.
pub struct Pop {
    pub wire: Wire,
    /// The greeting.
    pub greeting: String,
}

impl Pop {
    /// Reads the greeting.
    pub fn open(stream: TcpStream) -> Pop {
        Pop::over(Wire::plain(stream))
    }

    /// Reads the greeting on a wire that may be encrypted.
    pub fn over(mut wire: Wire) -> Pop {
        let greeting = wire.line();
        Pop { wire, greeting }
    }

    /// Sends a line and gives the first line of the answer.
    pub fn ask(&mut self, line: &str) -> String {
        self.wire.send(format!("{line}\r\n").as_bytes());
        self.wire.line()
    }

    /// Sends a line that must be answered with +OK.
    pub fn ok(&mut self, line: &str) -> String {
        let answer = self.ask(line);
        assert!(answer.starts_with("+OK"), "{line}: {answer}");
        answer
    }

    /// Sends a line that must be answered with -ERR.
    pub fn refused(&mut self, line: &str) -> String {
        let answer = self.ask(line);
        assert!(answer.starts_with("-ERR"), "{line}: {answer}");
        answer
    }

    /// Sends a line with a multi-line answer; its lines, un-stuffed.
    pub fn lines(&mut self, line: &str) -> Vec<String> {
        self.ok(line);
        let mut lines = Vec::new();
        loop {
            let line = self.wire.line();
            if line == "." {
                return lines;
            }
            lines.push(line.strip_prefix('.').map_or(line.clone(), str::to_owned));
        }
    }
}

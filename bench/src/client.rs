//! A line client for SMTP, IMAP and POP that checks every answer.

use std::io::{BufRead, BufReader, Error, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use openssl::ssl::SslConnector;

/// How long any answer may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// A plain connection or one inside TLS.
trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

pub struct Client {
    reader: BufReader<Box<dyn Stream>>,
    tag: u32,
}

impl Client {
    /// Connects and reads the greeting.
    pub fn connect(address: Option<SocketAddr>) -> Result<Client> {
        Client::greeted(Box::new(socket(address)?))
    }

    /// The same inside TLS; the certificate must be that of `localhost`.
    pub fn connect_tls(address: Option<SocketAddr>, tls: &SslConnector) -> Result<Client> {
        let stream =
            tls.connect("localhost", socket(address)?).map_err(|error| Error::other(error.to_string()))?;
        Client::greeted(Box::new(stream))
    }

    fn greeted(stream: Box<dyn Stream>) -> Result<Client> {
        let mut client = Client { reader: BufReader::new(stream), tag: 0 };
        let greeting = client.line()?;
        if ["220", "* OK", "+OK"].iter().any(|good| greeting.starts_with(good)) {
            Ok(client)
        } else {
            Err(Error::other(format!("not welcome: {greeting}")))
        }
    }

    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    pub fn line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Err(Error::other("the server closed the connection"));
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    /// An SMTP reply that must begin with this code.
    pub fn smtp(&mut self, command: &[u8], code: &str) -> Result<()> {
        self.send(command)?;
        loop {
            let line = self.line()?;
            if !line.starts_with(code) {
                return Err(Error::other(format!("expected {code}: {line}")));
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(());
            }
        }
    }

    /// An IMAP command that must end in OK; its untagged lines, with literals cut out, and the literals' bytes.
    pub fn imap(&mut self, command: &str) -> Result<(Vec<String>, usize)> {
        self.tag += 1;
        let tag = format!("a{} ", self.tag);
        self.send(format!("{tag}{command}\r\n").as_bytes())?;
        self.tagged(&tag, command)
    }

    pub fn imap_append(&mut self, mailbox: &str, message: &[u8]) -> Result<()> {
        self.imap_append_all(mailbox, std::iter::once(message.to_vec()))
    }

    /// Several by one command, for servers with MULTIAPPEND (RFC 3502).
    pub fn imap_append_all(&mut self, mailbox: &str, messages: impl Iterator<Item = Vec<u8>>) -> Result<()> {
        self.tag += 1;
        let tag = format!("a{} ", self.tag);
        let mut command = format!("{tag}APPEND {mailbox}");
        for message in messages {
            self.send(format!("{command} {{{}}}\r\n", message.len()).as_bytes())?;
            command.clear();
            let line = self.line()?;
            if !line.starts_with('+') {
                return Err(Error::other(format!("APPEND: {line}")));
            }
            self.send(&message)?;
        }
        self.send(b"\r\n")?;
        self.tagged(&tag, "APPEND").map(|_| ())
    }

    /// The same without waiting for an invitation (RFC 7888, LITERAL+).
    pub fn imap_append_at_once(
        &mut self,
        mailbox: &str,
        messages: impl Iterator<Item = Vec<u8>>,
    ) -> Result<()> {
        self.tag += 1;
        let tag = format!("a{} ", self.tag);
        let mut command = format!("{tag}APPEND {mailbox}").into_bytes();
        for message in messages {
            command.extend(format!(" {{{}+}}\r\n", message.len()).into_bytes());
            command.extend(message);
        }
        command.extend(b"\r\n");
        self.send(&command)?;
        self.tagged(&tag, "APPEND").map(|_| ())
    }

    /// A command that must end in OK: how many of its lines have `what` in them. Nothing is kept.
    pub fn imap_count(&mut self, command: &str, what: &str) -> Result<usize> {
        self.tag += 1;
        let tag = format!("a{} ", self.tag);
        self.send(format!("{tag}{command}\r\n").as_bytes())?;
        let (mut found, mut line) = (0, Vec::new());
        loop {
            line.clear();
            if self.reader.read_until(b'\n', &mut line)? == 0 {
                return Err(Error::other("the server closed the connection"));
            }
            if let Some(end) = line.strip_prefix(tag.as_bytes()) {
                let end = String::from_utf8_lossy(end);
                return if end.starts_with("OK") {
                    Ok(found)
                } else {
                    Err(Error::other(format!("{command}: {end}")))
                };
            }
            let begins = &line[..line.len().min(24)];
            found += usize::from(begins.windows(what.len()).any(|part| part == what.as_bytes()));
        }
    }

    fn tagged(&mut self, tag: &str, command: &str) -> Result<(Vec<String>, usize)> {
        let (mut lines, mut literal_bytes) = (Vec::new(), 0);
        loop {
            let line = self.line()?;
            if let Some(end) = line.strip_prefix(tag) {
                if end.starts_with("OK") {
                    return Ok((lines, literal_bytes));
                }
                return Err(Error::other(format!("{command}: {end}")));
            }
            if let Some(size) = line.strip_suffix('}').and_then(|rest| rest.rsplit_once('{')) {
                let size: usize = size.1.parse().map_err(Error::other)?;
                let copied = std::io::copy(&mut (&mut self.reader).take(size as u64), &mut std::io::sink())?;
                literal_bytes += copied as usize;
            }
            lines.push(line);
        }
    }

    /// A POP command that must be answered with +OK.
    pub fn pop(&mut self, command: &str) -> Result<String> {
        self.send(format!("{command}\r\n").as_bytes())?;
        let line = self.line()?;
        if line.starts_with("+OK") { Ok(line) } else { Err(Error::other(format!("{command}: {line}"))) }
    }

    /// The lines of a multi-line POP answer: their number and bytes.
    pub fn pop_lines(&mut self) -> Result<(usize, usize)> {
        let (mut lines, mut bytes) = (0, 0);
        let mut line = Vec::new();
        loop {
            line.clear();
            if self.reader.read_until(b'\n', &mut line)? == 0 {
                return Err(Error::other("the server closed the connection"));
            }
            if line == b".\r\n" {
                return Ok((lines, bytes));
            }
            lines += 1;
            bytes += line.len();
        }
    }
}

fn socket(address: Option<SocketAddr>) -> Result<TcpStream> {
    let address = address.ok_or_else(|| Error::other("an address is missing"))?;
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

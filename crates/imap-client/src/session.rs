//! A session: greeting, TLS, commands one after the other.

use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::error::{ImapError, Result};
use crate::response::Response;
use crate::tls::{self, Encryption, Trust};
use crate::wire::Wire;

/// Untagged responses to one command that is not a FETCH, at most.
const UNTAGGED_MAX: usize = 200_000;
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Where a server is, and how it is spoken to.
#[derive(Clone, Debug)]
pub struct Server {
    pub host: String,
    pub port: u16,
    pub encryption: Encryption,
    pub trust: Trust,
    /// For one line, or one piece of a message.
    pub timeout: Duration,
}

pub struct Session {
    pub(crate) wire: Wire,
    number: u32,
    /// In upper case; those of the state that the session is in.
    capabilities: Vec<String>,
    /// The server says that we are logged in already.
    pub(crate) is_preauthenticated: bool,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("capabilities", &self.capabilities).finish_non_exhaustive()
    }
}

/// A quoted string (RFC 3501 §4.3); nothing when the text needs a literal.
pub fn quoted(text: &str) -> Option<String> {
    let plain = text.chars().all(|c| c.is_ascii() && !c.is_ascii_control());
    plain.then(|| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

impl Session {
    /// Connects, and comes to where a log-in is next.
    ///
    /// # Errors
    /// Nothing was sent that is secret.
    pub fn connect(server: &Server) -> Result<Session> {
        let wire = Wire::new(dial(server)?, server.timeout);
        let mut session = Session { wire, number: 0, capabilities: Vec::new(), is_preauthenticated: false };
        if server.encryption == Encryption::Implicit {
            session.wire.start_tls(tls::begin(&server.host, &server.trust)?)?;
        }
        session.greeting()?;
        if server.encryption == Encryption::StartTls {
            session.start_tls(server)?;
        }
        session.ask_capabilities()?;
        Ok(session)
    }

    fn greeting(&mut self) -> Result<()> {
        let greeting = Response::read(&mut self.wire, &mut |_, _, _| Ok(false))?;
        match greeting.status() {
            Some((word, _)) if word == "OK" => Ok(()),
            Some((word, _)) if word == "PREAUTH" => {
                self.is_preauthenticated = true;
                Ok(())
            }
            Some((_, text)) => Err(ImapError::Closed(text)),
            None => Err(ImapError::Malformed("its greeting")),
        }
    }

    /// RFC 3501 §6.2.1. What was said in the clear is forgotten.
    fn start_tls(&mut self, server: &Server) -> Result<()> {
        if self.is_preauthenticated {
            return Err(ImapError::Tls("the server logged us in before it".into()));
        }
        match self.run("STARTTLS", "STARTTLS", |_| Ok(())) {
            Err(ImapError::Refused { text, .. }) => {
                return Err(ImapError::Tls(format!("the server refuses it: {}", base::escape(&text))));
            }
            other => other?,
        }
        // Whoever is between can put responses here, which would be read as if said under TLS.
        if self.wire.has_unread() {
            return Err(ImapError::Tls("the server spoke in the clear behind its go-ahead".into()));
        }
        self.wire.start_tls(tls::begin(&server.host, &server.trust)?)
    }

    pub(crate) fn ask_capabilities(&mut self) -> Result<()> {
        let mut capabilities = Vec::new();
        self.run("CAPABILITY", "CAPABILITY", |response| {
            let text = String::from_utf8_lossy(&response.text).to_ascii_uppercase();
            if let Some(words) = text.strip_prefix("* CAPABILITY ") {
                capabilities = words.split(' ').map(str::to_owned).collect();
            }
            Ok(())
        })?;
        self.capabilities = capabilities;
        Ok(())
    }

    /// Whether the server says that it can do this.
    pub fn can(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|one| one.eq_ignore_ascii_case(capability))
    }

    pub fn is_encrypted(&self) -> bool {
        self.wire.is_encrypted()
    }

    pub(crate) fn next_tag(&mut self) -> String {
        self.number = self.number.wrapping_add(1);
        format!("a{}", self.number)
    }

    /// Sends a command and shows what is untagged; `name` is what an error calls it.
    ///
    /// # Errors
    /// `Refused` for NO and BAD.
    pub fn run(
        &mut self,
        name: &'static str,
        command: &str,
        mut see: impl FnMut(Response) -> Result<()>,
    ) -> Result<()> {
        let tag = self.next_tag();
        self.wire.write(format!("{tag} {command}\r\n").as_bytes())?;
        for _ in 0..UNTAGGED_MAX {
            let response = Response::read(&mut self.wire, &mut |_, _, _| Ok(false))?;
            if let Some(done) = finished(&response, &tag, name) {
                return done;
            }
            see(response)?;
        }
        Err(ImapError::TooBig("responses to one command"))
    }

    /// A mailbox name as an argument of a command.
    ///
    /// # Errors
    /// A name that no server can have.
    pub(crate) fn mailbox_argument(name: &str) -> Result<String> {
        quoted(name).ok_or(ImapError::Malformed("the name of a mailbox"))
    }

    /// Says good-bye; what the server has to say to that does not matter.
    pub fn leave(mut self) {
        let tag = self.next_tag();
        let _ = self.wire.write(format!("{tag} LOGOUT\r\n").as_bytes());
    }
}

/// What the tagged response of a command says; nothing when this is not it.
pub(crate) fn finished(response: &Response, tag: &str, command: &'static str) -> Option<Result<()>> {
    if let Some((word, text)) = response.status() {
        return (word == "BYE").then_some(Err(ImapError::Closed(text)));
    }
    let text = String::from_utf8_lossy(response.tagged(tag)?).into_owned();
    let (word, rest) = text.split_once(' ').unwrap_or((&text, ""));
    Some(match word.to_ascii_uppercase().as_str() {
        "OK" => Ok(()),
        "NO" | "BAD" => Err(ImapError::Refused { command, text: rest.to_owned() }),
        _ => Err(ImapError::Malformed("the end of a command")),
    })
}

fn dial(server: &Server) -> Result<TcpStream> {
    let name = base::escape(&server.host);
    let addresses = (server.host.as_str(), server.port)
        .to_socket_addrs()
        .map_err(|why| ImapError::Unreachable(format!("{name}: {why}")))?;
    let mut last = format!("{name}: it has no address");
    for address in addresses.take(ADDRESSES_MAX) {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(why) => last = format!("{address}: {why}"),
        }
    }
    Err(ImapError::Unreachable(last))
}

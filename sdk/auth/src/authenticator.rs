//! The server and the administrator, said once.

use std::fmt;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::{Connection, SignIn, imap, pop, web};

/// When the connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// From the first byte: ports 993, 995, 443.
    Tls,
    /// STARTTLS and STLS, without which nothing is said: ports 143, 110. Not for HTTP.
    StartTls,
    /// Never: to a server on this host, at a loopback address, only.
    Loopback,
}

/// Bytes of a name or a password.
const WORD_BYTES_MAX: usize = 1024;
const TIMEOUT: Duration = Duration::from_secs(30);

/// Where the server is, and who acts there for users. Overwritten when it is dropped.
#[derive(Clone)]
pub struct Authenticator {
    pub(crate) host: String,
    pub(crate) administrator: String,
    pub(crate) password: Password,
    /// Authorities whose certificates are believed; none: those of the system.
    pub(crate) authorities: Option<PathBuf>,
    pub(crate) timeout: Duration,
    /// What the addresses of the web mail begin with; none: the host and port that were asked.
    pub(crate) public_address: Option<String>,
}

/// Overwritten when it is dropped, and shown to nobody.
#[derive(Clone)]
pub(crate) struct Password(String);

impl Password {
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl Drop for Password {
    fn drop(&mut self) {
        wipe(&mut std::mem::take(&mut self.0).into_bytes());
    }
}

/// Overwrites what was secret.
pub(crate) fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    black_box(&bytes); // so that it is not optimised away
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Authenticator");
        shown.field("host", &self.host).field("administrator", &self.administrator).finish_non_exhaustive()
    }
}

impl Authenticator {
    /// `host`: a name, which the certificate must have, or an address. Nothing is connected yet.
    ///
    /// # Errors
    /// `Argument`: something is empty, too long (1024 bytes), or has control characters.
    pub fn new(host: &str, administrator: &str, password: &str) -> Result<Authenticator> {
        word("the host", host)?;
        word("the administrator's name", administrator)?;
        word("the password", password)?;
        Ok(Authenticator {
            host: host.to_owned(),
            administrator: administrator.to_owned(),
            password: Password(password.to_owned()),
            authorities: None,
            timeout: TIMEOUT,
            public_address: None,
        })
    }

    /// Believes the authorities in this file (PEM), and none of the system's.
    #[must_use]
    pub fn trusting(mut self, authorities: &Path) -> Authenticator {
        self.authorities = Some(authorities.to_owned());
        self
    }

    /// How long one log-in may take, and later one read or write of a connection. 30 seconds, if nothing is said.
    ///
    /// # Errors
    /// `Argument`: zero.
    pub fn timeout(mut self, timeout: Duration) -> Result<Authenticator> {
        if timeout.is_zero() {
            return Err(Error::argument("a time-out of nothing"));
        }
        self.timeout = timeout;
        Ok(self)
    }

    /// How browsers reach the web mail, `https://mail.example.org`, if not at the host and port that are asked for sign-ins.
    ///
    /// # Errors
    /// `Argument`: no `https://` or `http://`, or a path, or blanks.
    pub fn public_address(mut self, address: &str) -> Result<Authenticator> {
        word("the public address", address)?;
        let authority = ["https://", "http://"].iter().find_map(|scheme| address.strip_prefix(scheme));
        let fits = |text: &str| !text.is_empty() && !text.contains(['/', ' ', '?', '#', '@', '\\', '"', '<']);
        if !authority.is_some_and(fits) {
            return Err(Error::argument("the public address is https://HOST or https://HOST:PORT"));
        }
        self.public_address = Some(address.to_owned());
        Ok(self)
    }

    /// Logs `user` in over IMAP: by PLAIN with the user's name beside the administrator's (RFC 4616), or PROXYAUTH where the
    /// server does not offer PLAIN.
    ///
    /// # Errors
    /// See [`crate::Status`].
    pub fn imap(&self, port: u16, security: Security, user: &str) -> Result<Connection> {
        word("the user's name", user)?;
        imap::log_in(self, port, security, user)
    }

    /// Logs `user` in over POP, by PLAIN with the user's name beside the administrator's.
    ///
    /// # Errors
    /// As [`Authenticator::imap`].
    pub fn pop(&self, port: u16, security: Security, user: &str) -> Result<Connection> {
        word("the user's name", user)?;
        pop::log_in(self, port, security, user)
    }

    /// Has the web mail make an address that signs `user`'s browser in, once.
    ///
    /// # Errors
    /// As [`Authenticator::imap`].
    pub fn web(&self, port: u16, security: Security, user: &str) -> Result<SignIn> {
        word("the user's name", user)?;
        web::sign_in(self, port, security, user)
    }
}

fn word(what: &str, text: &str) -> Result<()> {
    if text.is_empty() || text.len() > WORD_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(Error::argument(&format!("{what} is empty, too long or not text")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_read_as_something_else_is_refused() {
        for (host, user, password) in [
            ("", "a", "b"),
            ("h", "", "b"),
            ("h", "a", ""),
            ("h", "a\0b", "c"),
            ("h\r\nx", "a", "b"),
            ("h", "a", "b\n"),
        ] {
            assert!(Authenticator::new(host, user, password).is_err(), "{host:?} {user:?}");
        }
        let good = Authenticator::new("h", "a", "sesame").unwrap();
        assert!(
            good.web(1, Security::Tls, "joe\r\n").is_err_and(|why| why.status == crate::Status::Argument)
        );
        assert!(!format!("{good:?}").contains("sesame"));
        for address in
            ["mail", "https://", "https://a/b", "https://a b", "ftp://a", "https://u@a", "https://a?b"]
        {
            assert!(good.clone().public_address(address).is_err(), "{address}");
        }
        assert!(good.clone().public_address("https://mail.example.org:8443").is_ok());
        assert!(good.timeout(Duration::ZERO).is_err());
    }
}

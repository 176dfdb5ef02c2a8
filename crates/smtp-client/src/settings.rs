//! What a session is opened with, as plain values.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use server_config::Config;
use server_config::parameters::{local, service_smtp};

use crate::Tlsa;

/// How long a connection may take to come about; the original has no parameter for it.
const CONNECT_MAX: Duration = Duration::from_secs(30);

/// How long each step may take (RFC 5321 §4.5.3.2), from its first byte to its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP.
    pub connect: Duration,
    /// The greeting (S35).
    pub greet: Duration,
    /// EHLO, HELO, STARTTLS, the TLS handshake, AUTH: each.
    pub helo: Duration,
    /// The answer to MAIL.
    pub mail: Duration,
    /// The answer to RCPT.
    pub rcpt: Duration,
    /// The answer to DATA, or to a BDAT that is not the last.
    pub data: Duration,
    /// The peer takes nothing of the content.
    pub data_send: Duration,
    /// The answer to the final dot.
    pub data_dot: Duration,
    /// The answer to RSET.
    pub rset: Duration,
    /// The answer to QUIT.
    pub quit: Duration,
}

impl Timeouts {
    /// `service.smtp.smtp-deliver.timeout*`.
    pub fn from_config(config: &Config) -> Timeouts {
        let greet = config.get(&service_smtp::DELIVER_TIMEOUT_GREET);
        Timeouts {
            connect: greet.min(CONNECT_MAX),
            greet,
            helo: config.get(&service_smtp::DELIVER_TIMEOUT_HELO),
            mail: config.get(&service_smtp::DELIVER_TIMEOUT_MAIL),
            rcpt: config.get(&service_smtp::DELIVER_TIMEOUT_RCPT),
            data: config.get(&service_smtp::DELIVER_TIMEOUT_DATA),
            data_send: config.get(&service_smtp::DELIVER_TIMEOUT_DATASEND),
            data_dot: config.get(&service_smtp::DELIVER_TIMEOUT_DATADOT),
            rset: config.get(&service_smtp::DELIVER_TIMEOUT_RSET),
            quit: config.get(&service_smtp::DELIVER_TIMEOUT_QUIT),
        }
    }
}

/// Whether STARTTLS is used (RFC 3207).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsUse {
    /// Not even when it is offered.
    Never,
    /// When it is offered. A handshake that fails ends the session; the caller may connect again with `Never`.
    Opportunistic,
    /// Without it nothing is sent.
    Required,
    /// From the first byte on, before the greeting (RFC 8314 §3.3): the way of port 465.
    Implicit,
}

/// What the peer's certificate must show. Anything but `None` makes TLS required.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verify {
    /// Nothing: encryption against those who only listen (RFC 7435).
    None,
    /// It is issued by an authority that is trusted here, for the peer's name.
    Name,
    /// The same, for one of these names; `.example.org` is any name below `example.org`.
    Names(Vec<String>),
    /// It fits one of these records (RFC 7672). When none of them is usable: as `None`, but TLS is required.
    Dane {
        /// Of the peer's port and name.
        records: Vec<Tlsa>,
        /// The names that a certificate may be for with usage 2 (§3.2.2), first the one the records belong to, which is
        /// asked for in the handshake (§8.1). Without any it is the peer's.
        names: Vec<String>,
    },
}

/// How sessions are opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The name given in EHLO.
    pub helo_name: String,
    /// Time limits.
    pub timeouts: Timeouts,
    /// Whether TLS is used.
    pub tls: TlsUse,
    /// What is wrong with TLS or the certificate does not end the session; [`crate::Session::fault`] tells of it.
    pub lenient: bool,
    /// The local address to connect from; the system chooses when there is none.
    pub source: Option<IpAddr>,
    /// LHLO, and one reply for each recipient after the content (RFC 2033).
    pub lmtp: bool,
    /// The authorities trusted for [`Verify::Name`] (PEM); the system's when there is none.
    pub authorities: Option<PathBuf>,
}

impl Settings {
    /// The time limits and the name of this host from the configuration; TLS when offered.
    pub fn from_config(config: &Config) -> Settings {
        let host = config.get(&local::HOST_NAME);
        Settings {
            helo_name: if host.is_empty() { "localhost".into() } else { host },
            timeouts: Timeouts::from_config(config),
            tls: TlsUse::Opportunistic,
            lenient: false,
            source: None,
            lmtp: false,
            authorities: None,
        }
    }
}

/// Whom to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its name: for texts, for TLS (SNI), and what the certificate must be for.
    pub host: String,
    /// Its address.
    pub address: SocketAddr,
}

impl fmt::Display for Peer {
    /// `mx.example.org[192.0.2.1]`, with the port when it is not 25.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.host, self.address.ip())?;
        if self.address.port() == 25 { Ok(()) } else { write!(f, ":{}", self.address.port()) }
    }
}

/// What is shown to a peer that asks who we are (RFC 4954).
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user's name there.
    pub user: String,
    /// The password. Sent only over TLS or to this machine itself.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials {{ user: {:?}, password: <secret> }}", self.user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_limits_are_the_parameters() {
        let text =
            "service.smtp.smtp-deliver.timeoutgreet = 12\nservice.smtp.smtp-deliver.timeoutdatadot = 77\n";
        let timeouts = Timeouts::from_config(&Config::from_text(text).unwrap());
        assert_eq!(timeouts.greet, Duration::from_secs(12));
        assert_eq!(timeouts.connect, Duration::from_secs(12));
        assert_eq!(timeouts.data_dot, Duration::from_secs(77));
        assert_eq!(timeouts.quit, Duration::from_secs(120));
    }

    #[test]
    fn a_password_is_not_printed() {
        let text = format!("{:?}", Credentials { user: "alice".into(), password: "geheim".into() });
        assert!(text.contains("alice") && !text.contains("geheim"));
    }
}

//! One connection to one server: TCP, TLS with a verified certificate, bind, search.
//!
//! A connection has one purpose for life. Those of [`Purpose::Searches`] are bound as the service and never bind as a user;
//! those of [`Purpose::PasswordChecks`] bind as one user after the other (RFC 4511 §4.2.1) and do nothing else. Referrals
//! and references are not followed. Whatever goes wrong is a [`Failure`]; nothing here waits longer than it was told.

use std::collections::HashSet;
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ldap3::asn1::StructureTag;
use ldap3::controls::{PagedResults, RawControl};
use ldap3::exop::PasswordModify;
use ldap3::{LdapConnAsync, LdapConnSettings, LdapError, LdapResult, Mod, Scope, SearchOptions, StdStream};
use native_tls::{Certificate, Protocol, TlsConnector};

use super::attributes::{self, Found};
use super::runtime::{Failure, Runtime};
use super::settings::{Server, Settings, Transport};
use crate::ldif::Record;

/// Silence on the line after which the system asks whether the server is there.
const KEEPALIVE_SECONDS: u64 = 60;
/// How long a good-bye may take.
const UNBIND_TIME: Duration = Duration::from_secs(1);
/// A server that keeps to the time limit of a search has so much more to say so: its refusal is no sign of its death.
const GRACE: Duration = Duration::from_secs(1);
/// LDAP result codes (RFC 4511 Appendix A).
const SUCCESS: u32 = 0;
const SIZE_LIMIT_EXCEEDED: u32 = 4;
pub const NO_SUCH_OBJECT: u32 = 32;
/// RFC 2696 §3.
const PAGED_RESULTS: &str = "1.2.840.113556.1.4.319";

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Searches,
    PasswordChecks,
}

/// Makes connections.
pub struct Connector {
    pub settings: Settings,
    runtime: Arc<Runtime>,
    tls: Option<TlsConnector>,
}

/// What to look for.
#[derive(Clone, Debug)]
pub struct Search {
    pub base: String,
    pub scope: Scope,
    pub filter: String,
    pub attributes: Vec<String>,
    /// Entries at most.
    pub size_max: usize,
    /// RFC 2696: where the former page ended; empty for the first one.
    pub page: Option<Vec<u8>>,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Answer<T = Found> {
    pub entries: Vec<T>,
    /// There are more than were asked for.
    pub cut: bool,
    /// Where the next page begins, if there is one.
    pub next_page: Option<Vec<u8>>,
    /// Continuation references, which are not followed.
    pub references: usize,
}

impl<T> Default for Answer<T> {
    fn default() -> Answer<T> {
        Answer { entries: Vec::new(), cut: false, next_page: None, references: 0 }
    }
}

impl Connector {
    /// # Errors
    /// The certificates of `local.ugldapcafile` cannot be used; no thread.
    pub fn new(settings: Settings) -> Result<Connector, String> {
        let tls = match settings.transport {
            Transport::Plain => None,
            Transport::StartTls | Transport::Tls => Some(tls(&settings)?),
        };
        let runtime = Runtime::start().map_err(|why| format!("LDAP thread: {why}"))?;
        Ok(Connector { settings, runtime: Arc::new(runtime), tls })
    }

    /// A connection that is ready for its purpose.
    ///
    /// # Errors
    /// Why not; the server is of no use for now.
    pub fn connect(&self, place: usize, purpose: Purpose) -> Result<Connection, Failure> {
        let server = &self.settings.servers[place];
        let limit = self.settings.connect_timeout;
        let stream = dial(server, limit).map_err(|why| Failure::Broken(why.to_string()))?;
        let start_tls = self.settings.transport == Transport::StartTls;
        let mut how = LdapConnSettings::new().set_starttls(start_tls).set_std_stream(StdStream::Tcp(stream));
        if let Some(tls) = &self.tls {
            how = how.set_connector(tls.clone());
        }
        let scheme = if self.settings.transport == Transport::Tls { "ldaps" } else { "ldap" };
        // The host of the URL is the name that the certificate must have.
        let url = format!("{scheme}://{}:{}", server.bracketed(), server.port);
        let ldap = self.runtime.run(limit, async move {
            let (driver, ldap) = LdapConnAsync::with_settings(how, &url).await.map_err(told)?;
            ldap3::tokio::spawn(async move { driver.drive().await });
            Ok(ldap)
        })?;
        let mut connection =
            Connection { ldap, runtime: Arc::clone(&self.runtime), place, last_used: Instant::now() };
        if purpose == Purpose::Searches {
            self.bind_as_service(&mut connection)?;
        }
        Ok(connection)
    }

    /// Anonymous searches bind too (RFC 4513 §5.1.1): a server that does not answer that is none.
    fn bind_as_service(&self, connection: &mut Connection) -> Result<(), Failure> {
        let (dn, credential) = match &self.settings.identity {
            None => (String::new(), String::new()),
            Some(identity) => {
                let secret = identity.credential.reveal();
                (identity.dn.clone(), secret.map_err(|why| Failure::Broken(why.to_string()))?)
            }
        };
        let result = connection.bind(&dn, &credential, self.settings.connect_timeout)?;
        if result.rc == SUCCESS {
            return Ok(());
        }
        let who = if dn.is_empty() { "anonymous bind" } else { dn.as_str() };
        Err(Failure::Refused { code: result.rc, text: format!("{who}: {}", reason(&result)) })
    }
}

/// TLS 1.2 or later, names and chains verified.
fn tls(settings: &Settings) -> Result<TlsConnector, String> {
    let mut builder = TlsConnector::builder();
    builder.min_protocol_version(Some(Protocol::Tlsv12));
    if let Some(path) = &settings.ca_file {
        let told = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
        let pem = std::fs::read(path).map_err(|why| told(&why))?;
        let authorities = Certificate::stack_from_pem(&pem).map_err(|why| told(&why))?;
        if authorities.is_empty() {
            return Err(told(&"there is no certificate in it"));
        }
        builder.disable_built_in_roots(true); // these and no others
        for authority in authorities {
            builder.add_root_certificate(authority);
        }
    }
    builder.build().map_err(|why| why.to_string())
}

/// A TCP connection to one of the addresses of the server. Names are resolved by the system.
fn dial(server: &Server, limit: Duration) -> io::Result<TcpStream> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in (server.host.as_str(), server.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, limit) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                os::net::set_keepalive(stream.as_fd(), KEEPALIVE_SECONDS)?;
                return Ok(stream);
            }
            Err(why) => failed = why,
        }
    }
    Err(failed)
}

fn told(why: LdapError) -> Failure {
    match why {
        LdapError::LdapResult { result } => Failure::Refused { code: result.rc, text: reason(&result) },
        other => Failure::Broken(other.to_string()),
    }
}

/// The server's own words, else the name of the code.
pub fn reason(result: &LdapResult) -> String {
    if result.text.is_empty() { result.to_string() } else { base::escape(&result.text) }
}

/// See the head of this file.
pub struct Connection {
    ldap: ldap3::Ldap,
    runtime: Arc<Runtime>,
    /// Which of the servers.
    pub place: usize,
    pub last_used: Instant,
}

impl Connection {
    /// Whether the server has closed it.
    pub fn is_closed(&mut self) -> bool {
        self.ldap.is_closed()
    }

    /// One simple bind; the result code tells what came of it.
    ///
    /// # Errors
    /// No answer.
    pub fn bind(&mut self, dn: &str, password: &str, limit: Duration) -> Result<LdapResult, Failure> {
        let (mut ldap, dn, password) = (self.ldap.clone(), dn.to_owned(), password.to_owned());
        self.runtime.run(limit, async move { ldap.simple_bind(&dn, &password).await.map_err(told) })
    }

    /// Modifies one entry, all of it or nothing (RFC 4511 §4.6); the result code tells what came of it.
    ///
    /// # Errors
    /// No answer.
    pub fn modify(
        &mut self,
        dn: &str,
        modifications: Vec<Mod<Vec<u8>>>,
        limit: Duration,
    ) -> Result<LdapResult, Failure> {
        let (mut ldap, dn) = (self.ldap.clone(), dn.to_owned());
        self.runtime.run(limit, async move { ldap.modify(&dn, modifications).await.map_err(told) })
    }

    /// A new password for whom this connection is bound as (RFC 3062 §2); the result code tells what came of it.
    ///
    /// # Errors
    /// No answer.
    pub fn modify_password(
        &mut self,
        present: &str,
        new: &str,
        limit: Duration,
    ) -> Result<LdapResult, Failure> {
        let (mut ldap, present, new) = (self.ldap.clone(), present.to_owned(), new.to_owned());
        self.runtime.run(limit, async move {
            let wanted = PasswordModify { user_id: None, old_pass: Some(&present), new_pass: Some(&new) };
            ldap.extended(wanted).await.map(|done| done.1).map_err(told)
        })
    }

    /// Whether the server still answers: the attributes of its root entry are asked for, and none wanted.
    pub fn answers(&mut self, limit: Duration) -> bool {
        let search = Search {
            base: String::new(),
            scope: Scope::Base,
            filter: "(objectClass=*)".into(),
            attributes: vec!["1.1".into()], // RFC 4511 §4.5.1.8: no attributes
            size_max: 1,
            page: None,
        };
        matches!(self.search(search, limit), Ok(_) | Err(Failure::Refused { .. }))
    }

    /// Runs a search; `size_max` holds whatever the server thinks of it.
    ///
    /// # Errors
    /// No answer, or a refusal. That there are more entries is neither: see [`Answer::cut`].
    pub fn search(&mut self, search: Search, limit: Duration) -> Result<Answer, Failure> {
        self.runtime.run(limit + GRACE, run_search(self.ldap.clone(), search, limit, attributes::decode))
    }

    /// As [`Connection::search`]; the entries are as they stand, passwords included.
    ///
    /// # Errors
    /// As [`Connection::search`].
    pub fn records(&mut self, search: Search, limit: Duration) -> Result<Answer<Record>, Failure> {
        self.runtime.run(limit + GRACE, run_search(self.ldap.clone(), search, limit, attributes::record))
    }

    /// Adds one entry (RFC 4511 §4.7); the result code tells what came of it.
    ///
    /// # Errors
    /// No answer.
    pub fn add(&mut self, record: &Record, limit: Duration) -> Result<LdapResult, Failure> {
        let mut values: Vec<(Vec<u8>, HashSet<Vec<u8>>)> = Vec::new();
        for (name, value) in &record.attributes {
            match values.iter_mut().find(|(have, _)| have.eq_ignore_ascii_case(name.as_bytes())) {
                Some((_, values)) => drop(values.insert(value.clone())),
                None => values.push((name.clone().into_bytes(), HashSet::from([value.clone()]))),
            }
        }
        let (mut ldap, dn) = (self.ldap.clone(), record.dn.clone());
        self.runtime.run(limit, async move { ldap.add(&dn, values).await.map_err(told) })
    }

    /// Deletes one entry (RFC 4511 §4.8); the result code tells what came of it.
    ///
    /// # Errors
    /// No answer.
    pub fn delete(&mut self, dn: &str, limit: Duration) -> Result<LdapResult, Failure> {
        let (mut ldap, dn) = (self.ldap.clone(), dn.to_owned());
        self.runtime.run(limit, async move { ldap.delete(&dn).await.map_err(told) })
    }

    /// Runs searches at the same time on this connection; the answers are in their order.
    ///
    /// # Errors
    /// The connection fails. A refusal is the answer of its search.
    pub fn search_all(
        &mut self,
        searches: Vec<Search>,
        limit: Duration,
    ) -> Result<Vec<Result<Answer, Failure>>, Failure> {
        let ldap = self.ldap.clone();
        self.runtime.run(limit + GRACE, async move {
            let started: Vec<_> = searches
                .into_iter()
                .map(|search| {
                    ldap3::tokio::spawn(run_search(ldap.clone(), search, limit, attributes::decode))
                })
                .collect();
            let mut answers = Vec::with_capacity(started.len());
            for one in started {
                match one.await.map_err(|why| Failure::Broken(why.to_string()))? {
                    Err(refused @ Failure::Refused { .. }) => answers.push(Err(refused)),
                    Err(why) => return Err(why),
                    Ok(answer) => answers.push(Ok(answer)),
                }
            }
            Ok(answers)
        })
    }
}

async fn run_search<T>(
    mut ldap: ldap3::Ldap,
    search: Search,
    limit: Duration,
    decode: fn(StructureTag) -> Option<T>,
) -> Result<Answer<T>, Failure> {
    let whole = |n: u64| i32::try_from(n).unwrap_or(i32::MAX);
    let size_max = whole(search.size_max as u64);
    let mut options = SearchOptions::new().timelimit(whole(limit.as_secs()));
    if let Some(cookie) = search.page {
        let control: RawControl = PagedResults { size: size_max, cookie }.into();
        ldap.with_controls(control);
    } else {
        options = options.sizelimit(size_max);
    }
    ldap.with_search_options(options);
    let mut stream = ldap
        .streaming_search(&search.base, search.scope, &search.filter, search.attributes)
        .await
        .map_err(told)?;
    let mut answer = Answer::default();
    while let Some(entry) = stream.next().await.map_err(told)? {
        if entry.is_ref() {
            answer.references += 1;
        } else if answer.entries.len() >= search.size_max {
            answer.cut = true; // the server does not keep to the limit
        } else if !entry.is_intermediate() {
            answer.entries.extend(decode(entry.0));
        }
    }
    let result = stream.finish().await;
    match result.rc {
        SUCCESS => {}
        SIZE_LIMIT_EXCEEDED => answer.cut = true,
        code => return Err(Failure::Refused { code, text: reason(&result) }),
    }
    let page = result.ctrls.iter().find(|control| control.1.ctype == PAGED_RESULTS);
    let cookie =
        page.and_then(|control| control.1.val.as_ref().map(|_| control.1.parse::<PagedResults>().cookie));
    answer.next_page = cookie.filter(|cookie| !cookie.is_empty());
    Ok(answer)
}

impl Drop for Connection {
    /// Says good-bye (RFC 4511 §4.3). It is gone when this returns: whoever counts connections counts right.
    fn drop(&mut self) {
        if !self.is_closed() {
            let mut ldap = self.ldap.clone();
            let _ = self.runtime.run(UNBIND_TIME, async move { ldap.unbind().await.map_err(told) });
        }
    }
}

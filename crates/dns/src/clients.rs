//! Who a client is by name, and whether the filters let it in (original.md 6.6).
//!
//! A name counts when it leads back to the address that has it; the owner of an address can call it anything. Nothing is
//! looked up for rules that name addresses only. A worker waits for a look-up, so they are short, and few at once: what is
//! one too many is not answered, which refuses for the time being where a name was needed to be let in.

use std::fmt;
use std::net::IpAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base::access::{Host, Rules, Service, Verdict, Visitor, user_verdict};
use counters::Counter;
use server_log::{Category, Log};

use crate::{DnsError, Resolver, Settings};

/// Names of one address that are looked at.
const NAMES_MAX: usize = 5;
/// Look-ups of clients at once.
const AT_ONCE_MAX: usize = 8;
/// How long one name server is waited for; a client waits for its greeting meanwhile.
const TIMEOUT_MAX: Duration = Duration::from_secs(2);

/// Finds the names of clients; one for all sessions of a process.
pub struct Clients {
    settings: Settings,
    log: Log,
    resolver: OnceLock<Resolver>,
    asking: AtomicUsize,
}

/// Why a user is not let in from where he is, although the password is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotFromHere {
    /// Another time it may be different.
    pub for_now: bool,
    why: String,
}

impl fmt::Display for NotFromHere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl Clients {
    /// Asks no name server before a rule needs a name.
    pub fn new(settings: Settings, log: Log) -> Clients {
        let settings = Settings { timeout: settings.timeout.min(TIMEOUT_MAX), tries: 1, ..settings };
        Clients { settings, log, resolver: OnceLock::new(), asking: AtomicUsize::new(0) }
    }

    /// `domainallowed` and `domainnotallowed` about a connection; a refusal is logged.
    pub fn admits(&self, rules: &Rules, service: Service, peer: IpAddr) -> Verdict {
        self.admits_known(rules, service, peer, None)
    }

    /// The same, for a client whose name is known from somebody who is trusted: one, or that it has none.
    pub fn admits_known(
        &self,
        rules: &Rules,
        service: Service,
        peer: IpAddr,
        known: Option<Option<&str>>,
    ) -> Verdict {
        let ask = |address: IpAddr| match known {
            Some(Some(name)) => Host::Named(vec![name.to_owned()]),
            Some(None) => Host::Unknown,
            None => self.host(address),
        };
        let verdict = rules.decide(&Visitor::new(service, peer, &ask));
        let peer = peer.to_canonical();
        if verdict != Verdict::Allowed {
            counters::add(Counter::FailedConnections, 1);
        }
        match (verdict, &rules.broken) {
            (Verdict::Allowed, _) => {}
            (_, Some(why)) => {
                self.log.error(Category::Network, format_args!("refused: [{peer}] {why}: nobody is let in"));
            }
            (Verdict::Refused, None) => {
                self.log
                    .notice(Category::Network, format_args!("refused: [{peer}] by the filters of clients"));
            }
            (Verdict::RefusedForNow, None) => {
                self.log.warning(
                    Category::Network,
                    format_args!("refused: [{peer}] its name cannot be looked up now"),
                );
            }
        }
        verdict
    }

    /// `mailAccessDomain` about a user who gave the right password (S136).
    ///
    /// # Errors
    /// The user may not use the service from there. A value that cannot be read lets nobody in.
    pub fn admits_user(&self, values: &[String], service: Service, peer: IpAddr) -> Result<(), NotFromHere> {
        let ask = |address: IpAddr| self.host(address);
        let no = |for_now: bool, why: String| Err(NotFromHere { for_now, why });
        match user_verdict(values, &Visitor::new(service, peer, &ask)) {
            Ok(Verdict::Allowed) => Ok(()),
            Ok(Verdict::Refused) => no(false, "not allowed from there (mailAccessDomain)".to_owned()),
            Ok(Verdict::RefusedForNow) => no(true, "the client's name cannot be looked up now".to_owned()),
            Err(why) => no(false, format!("mailAccessDomain cannot be read: {}", base::escape(&why))),
        }
    }

    /// The name of a client that leads back to its address; nothing when it has none, or nobody can tell now.
    pub fn name(&self, address: IpAddr) -> Option<String> {
        if address.is_loopback() {
            return Some("localhost".to_owned());
        }
        match self.host(address) {
            Host::Named(names) => names.into_iter().next(),
            _ => None,
        }
    }

    fn host(&self, address: IpAddr) -> Host {
        let before = self.asking.fetch_add(1, Ordering::Relaxed);
        let host = if before < AT_ONCE_MAX { self.look_up(address) } else { Host::Unanswered };
        self.asking.fetch_sub(1, Ordering::Relaxed);
        host
    }

    fn look_up(&self, address: IpAddr) -> Host {
        let resolver = self.resolver.get_or_init(|| Resolver::new(self.settings.clone(), self.log.clone()));
        let names = match resolver.ptr(address) {
            Ok(names) if !names.is_empty() => names,
            Ok(_) | Err(DnsError::NoSuchDomain | DnsError::NoData) => return Host::Unknown,
            Err(DnsError::Temporary(_)) => return Host::Unanswered,
        };
        let mut unanswered = false;
        let mut leads_back = |name: &String| match resolver.addresses(name) {
            Ok(found) => found.iter().any(|found| found.to_canonical() == address),
            Err(DnsError::Temporary(_)) => {
                unanswered = true;
                false
            }
            Err(_) => false,
        };
        let verified: Vec<String> =
            names.into_iter().take(NAMES_MAX).filter(|name| leads_back(name)).collect();
        match (verified.is_empty(), unanswered) {
            (false, _) => Host::Named(verified),
            (true, true) => Host::Unanswered,
            (true, false) => Host::Spoofer,
        }
    }
}

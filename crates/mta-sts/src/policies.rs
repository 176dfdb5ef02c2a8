//! Which policy holds for a domain now.

use std::collections::HashMap;
use std::fs::DirBuilder;
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::network::{Network, is_internal};

use crate::fetch::{self, Place};
use crate::kept::{self, Kept};
use crate::{Mode, Policy, record};

/// Domains that are remembered at once; what is on disk is read again.
const REMEMBERED_MAX: usize = 10_000;
/// Policies on disk at most.
const FILES_MAX: usize = 20_000;
/// Seconds after a fetch that failed before the next (RFC 8461 §3.3).
const RETRY_SECONDS: i64 = 300;

/// What an administrator decides.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder of the policies; made when it is not there.
    pub folder: PathBuf,
    /// 443, but in tests.
    pub port: u16,
    /// The authorities trusted beside the system's (PEM).
    pub authorities: Option<PathBuf>,
    /// What one fetch may take.
    pub limit: Duration,
    /// Internal networks in which policies may be fetched; elsewhere only addresses of the Internet are connected to, since
    /// the domain says which ([`base::network::is_internal`]).
    pub internal: Vec<Network>,
}

/// How names are looked up.
pub struct Lookups<'a> {
    /// TXT records; none when there are none or nobody can tell.
    pub txt: &'a dyn Fn(&str) -> Vec<Vec<u8>>,
    pub addresses: &'a dyn Fn(&str) -> Result<Vec<IpAddr>, String>,
}

/// Why a policy could not be fetched, in the terms of RFC 8460 §4.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `sts-policy-fetch-error`
    Fetch,
    /// `sts-policy-invalid`
    Invalid,
    /// `sts-webpki-invalid`
    WebPki,
}

/// What holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Never one of mode none.
    pub policy: Option<Arc<Policy>>,
    /// The fetch that was made for this question failed.
    pub fault: Option<(Fault, String)>,
}

/// What is remembered of a domain. Its lock is held while it is fetched for, so that others wait for that.
#[derive(Default)]
struct Slot {
    was_read: bool,
    kept: Option<(Kept, Arc<Policy>)>,
    /// Not fetched again before.
    retry: i64,
}

/// The policies of all domains.
pub struct Policies {
    settings: Settings,
    slots: Mutex<HashMap<String, Arc<Mutex<Slot>>>>,
    files: AtomicUsize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Policies {
    /// Throws away what does not hold any more.
    pub fn new(settings: Settings) -> Policies {
        let files = kept::sweep(&settings.folder, base::clock::unix_seconds());
        Policies { settings, slots: Mutex::default(), files: AtomicUsize::new(files) }
    }

    /// The policy of `domain`, which is in lower case.
    pub fn of(&self, domain: &str, lookups: &Lookups<'_>) -> Found {
        if kept::path(&self.settings.folder, domain).is_none() {
            return Found::default();
        }
        let slot = self.slot(domain);
        let mut slot = lock(&slot);
        let now = base::clock::unix_seconds();
        if !std::mem::replace(&mut slot.was_read, true) {
            slot.kept = self.read(domain);
        }
        slot.kept.take_if(|(kept, _)| !kept.is_good(now));
        let id = record::id(&(lookups.txt)(&format!("_mta-sts.{domain}")));
        let mut fault = None;
        // §5.1: without a record, what was kept goes on to hold.
        if let Some(id) = id {
            let is_known = slot.kept.as_ref().is_some_and(|(kept, _)| kept.id == id && !kept.is_old(now));
            if !is_known && now >= slot.retry {
                match self.fetch(domain, lookups) {
                    Ok(policy) => {
                        let kept = Kept { id, fetched: now, policy };
                        self.keep(domain, &kept);
                        slot.kept = Some(remembered(kept));
                        slot.retry = 0;
                    }
                    Err(why) => {
                        slot.retry = now.saturating_add(RETRY_SECONDS);
                        fault = Some(why);
                    }
                }
            }
        }
        let policy = slot.kept.as_ref().map(|(_, policy)| policy.clone());
        Found { policy: policy.filter(|policy| policy.mode != Mode::None), fault }
    }

    fn slot(&self, domain: &str) -> Arc<Mutex<Slot>> {
        let mut slots = lock(&self.slots);
        if slots.len() >= REMEMBERED_MAX && !slots.contains_key(domain) {
            slots.clear(); // who holds one goes on with it
        }
        slots.entry(domain.to_owned()).or_default().clone()
    }

    fn read(&self, domain: &str) -> Option<(Kept, Arc<Policy>)> {
        let path = kept::path(&self.settings.folder, domain)?;
        kept::read(&path, domain).map(remembered)
    }

    fn fetch(&self, domain: &str, lookups: &Lookups<'_>) -> Result<Policy, (Fault, String)> {
        let host = format!("mta-sts.{domain}");
        let told = |why: String| format!("the policy at {host}: {why}");
        let addresses = (lookups.addresses)(&host).map_err(|why| (Fault::Fetch, told(why)))?;
        let addresses: Vec<IpAddr> =
            addresses.into_iter().filter(|address| self.may_connect(*address)).collect();
        fetch::policy(&Place {
            host: &host,
            addresses,
            port: self.settings.port,
            authorities: self.settings.authorities.as_deref(),
            limit: self.settings.limit,
        })
        .map_err(|(fault, why)| (fault, told(why)))
    }

    fn may_connect(&self, address: IpAddr) -> bool {
        !is_internal(address) || self.settings.internal.iter().any(|network| network.contains(address))
    }

    /// A policy that cannot be written is one for this process alone.
    fn keep(&self, domain: &str, kept: &Kept) {
        let Some(path) = kept::path(&self.settings.folder, domain) else { return };
        let is_new = !path.exists();
        if is_new && self.files.load(Ordering::Relaxed) >= FILES_MAX {
            return;
        }
        let _ = DirBuilder::new().recursive(true).mode(0o700).create(&self.settings.folder);
        if kept::write(&path, domain, kept).is_ok() && is_new {
            self.files.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn remembered(kept: Kept) -> (Kept, Arc<Policy>) {
    let policy = Arc::new(kept.policy.clone());
    (kept, policy)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Whether something came to a listener of this host that a domain names as the host of its policy.
    fn is_knocked_at(internal: &str) -> (bool, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let policies = Policies::new(Settings {
            folder: folder.path().join("mta-sts"),
            port: listener.local_addr().unwrap().port(),
            authorities: None,
            limit: Duration::from_millis(300),
            internal: internal.split_whitespace().filter_map(Network::parse).collect(),
        });
        let record = |_: &str| vec![b"v=STSv1; id=1;".to_vec()];
        let addresses = |_: &str| Ok(vec![IpAddr::from([127, 0, 0, 1])]);
        let found = policies.of("scan.test", &Lookups { txt: &record, addresses: &addresses });
        (listener.accept().is_ok(), found.fault.unwrap().1)
    }

    #[test]
    fn hosts_inside_are_not_connected_to_because_a_domain_names_them() {
        let (knocked, why) = is_knocked_at("");
        assert!(!knocked && why.ends_with("it has no address of the Internet"), "{why}");
        assert!(is_knocked_at("127.0.0.0/8").0);
    }
}

//! The resolver against name servers that do and do not behave.

mod answers;
mod clients;
mod guide;
mod nonsense;
mod servers;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use black_box::StubDns;
use server_log::Log;

use crate::{DnsError, Mx, Resolver, Settings};

/// How long a server that answers may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a test waits for a server that does not. One that does has as long, and the machine may stand still meanwhile.
const TIMEOUT: Duration = Duration::from_secs(8);
/// Where nobody listens, by TCP or UDP: a port that was free a moment ago may be another test's, and nobody is given this one.
const CLOSED: &str = "127.0.0.1:1";

fn settings(stubs: &[&StubDns]) -> Settings {
    let servers = stubs.iter().map(|stub| stub.address()).collect();
    Settings { servers, trusted: Vec::new(), timeout: PATIENCE, tries: 1, cache_entries: Some(100) }
}

fn resolver(stubs: &[&StubDns]) -> Resolver {
    Resolver::new(settings(stubs), Log::discard())
}

/// For servers that do not answer; with a cache.
fn impatient(stubs: &[&StubDns]) -> Resolver {
    Resolver::new(Settings { timeout: TIMEOUT, ..settings(stubs) }, Log::discard())
}

/// Without a cache.
fn forgetful(stubs: &[&StubDns]) -> Resolver {
    Resolver::new(Settings { cache_entries: None, ..settings(stubs) }, Log::discard())
}

/// A resolver whose clock goes on only when it is told to.
fn timed(stubs: &[&StubDns]) -> (Resolver, Clock) {
    let clock = Clock(Arc::default());
    let (start, passed) = (Instant::now(), Arc::clone(&clock.0));
    let mut resolver = resolver(stubs);
    resolver.now = Box::new(move || start + Duration::from_secs(passed.load(Ordering::SeqCst)));
    (resolver, clock)
}

struct Clock(Arc<AtomicU64>);

impl Clock {
    fn pass(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

/// How often each server was asked this; a server that was not waited for may yet have to notice.
fn counts(stubs: [&StubDns; 2], name: &str, kind: &str, expected: [usize; 2]) {
    for (stub, expected) in stubs.into_iter().zip(expected) {
        stub.wait_for_queries(name, kind, expected);
        assert_eq!(stub.count(name, kind), expected, "{name} {kind}");
    }
}

fn hosts(list: Vec<Mx>) -> Vec<String> {
    list.into_iter().map(|mx| mx.host).collect()
}

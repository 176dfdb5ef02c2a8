//! A remote world for an instance: a name server, and mail servers that all listen on one port.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU8, Ordering};

use crate::stub_mta::Script;
use crate::{Setup, StubDns, StubMta};

/// See the head of this file.
pub struct World {
    /// Knows the hosts of this world.
    pub dns: StubDns,
    /// Where they listen.
    pub port: u16,
}

impl World {
    #[allow(clippy::new_without_default)]
    pub fn new() -> World {
        World { dns: StubDns::start(), port: port() }
    }

    /// Names a host; nothing listens there yet.
    pub fn host(&self, name: &str) -> SocketAddr {
        let address = crate::addresses::of_peer();
        self.dns.add(name, "A", 60, &address.to_string());
        SocketAddr::new(IpAddr::V4(address), self.port)
    }

    /// A domain with one host, `mx.` before its name, at which nothing listens yet.
    pub fn domain(&self, name: &str) -> SocketAddr {
        let mx = format!("mx.{name}");
        let address = self.host(&mx);
        self.dns.add(name, "MX", 60, &format!("10 {mx}"));
        address
    }

    /// The same, with a mail server.
    pub fn served(&self, name: &str, script: Script) -> StubMta {
        script.at(self.domain(name)).start()
    }

    /// An instance that sees this world, and may send into it.
    pub fn setup(&self) -> Setup {
        Setup::default()
            .set("service.smtp.dnsservers", &self.dns.parameter())
            .set("local.service.smtp.smtp-deliver.port", &self.port.to_string())
            .set("local.service.smtp.smtp-accept.relaynetworks", "127.0.0.0/8")
    }
}

/// A port of its own for each remote world, below those that the system gives to clients.
fn port() -> u16 {
    static NEXT: AtomicU8 = AtomicU8::new(0);
    let offset =
        std::process::id().wrapping_mul(37).wrapping_add(u32::from(NEXT.fetch_add(1, Ordering::Relaxed)));
    20_000 + (offset % 12_000) as u16
}

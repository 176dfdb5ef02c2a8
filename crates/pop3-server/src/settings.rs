//! What popd reads of the configuration, as plain values.

use std::time::Duration;

use base::access::{Rules, Service};
use directory::Deputies;
use message_store::ageing_rules::{self, Rule};
use server_config::Config;
use server_config::parameters::{local, service_pop};
use server_log::Log;

/// Role of the listener with TLS from the first byte, and of the other.
pub const ROLE_TLS: u16 = 995;
pub const ROLE_PLAIN: u16 = 110;

/// The service as the filters of clients call it.
pub fn service_of(role: u16) -> Service {
    if role == ROLE_TLS { Service::Pops } else { Service::Pop }
}

/// Settings of the sessions. Ports, threads and processes are the dispatcher's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub host_name: String,
    pub banner: String,
    pub idle_timeout: Duration,
    /// Bits of encryption that a plain-text log-in needs; 0 none, -1 never allowed.
    pub plaintext_min_cipher: Option<i64>,
    /// Who may act for others.
    pub deputies: Deputies,
    /// The ageing rules: what EXPIRE promises.
    pub ageing: Vec<Rule>,
    /// The least time between two log-ins of one user; zero is no limit.
    pub min_poll: Duration,
    /// Which clients are let in.
    pub clients: Rules,
}

impl Settings {
    pub fn from_config(config: &Config, log: &Log) -> Settings {
        Settings {
            host_name: config.get(&local::HOST_NAME),
            banner: config.get(&service_pop::BANNER),
            idle_timeout: config.get(&service_pop::IDLE_TIMEOUT),
            plaintext_min_cipher: config.get(&service_pop::PLAINTEXT_MIN_CIPHER),
            deputies: Deputies::from_config(config),
            ageing: ageing_rules::from_config(config, log),
            min_poll: config.get(&service_pop::POP_MIN_POLL),
            clients: server_config::access::rules(
                config,
                &service_pop::DOMAIN_ALLOWED,
                &service_pop::DOMAIN_NOT_ALLOWED,
            ),
        }
    }

    /// The text of the greeting (NMS: original.md 6.1).
    pub fn greeting(&self) -> String {
        self.banner
            .replace("%h", &self.host_name)
            .replace("%p", "POP3")
            .replace("%P", "Mailboat")
            .replace("%V", env!("CARGO_PKG_VERSION"))
    }
}

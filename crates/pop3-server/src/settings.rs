//! What popd reads of the configuration, as plain values.

use std::time::Duration;

use server_config::Config;
use server_config::parameters::{local, service_pop};

/// Settings of the sessions. Ports, threads and processes are the dispatcher's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub host_name: String,
    pub banner: String,
    pub idle_timeout: Duration,
    /// Bits of encryption that a plain-text log-in needs; 0 none, -1 never allowed.
    pub plaintext_min_cipher: Option<i64>,
}

impl Settings {
    pub fn from_config(config: &Config) -> Settings {
        Settings {
            host_name: config.get(&local::HOST_NAME),
            banner: config.get(&service_pop::BANNER),
            idle_timeout: config.get(&service_pop::IDLE_TIMEOUT),
            plaintext_min_cipher: config.get_set(&service_pop::PLAINTEXT_MIN_CIPHER),
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

//! What mshttpd reads of the configuration, as plain values.

use std::time::Duration;

use base::access::{Rules, Service};
use base::network::Network;
use directory::Deputies;
use http_wire::forwarded;
use server_config::Config;
use server_config::parameters::service_http;
use server_config::values::{Binding, ProxyFields};

use crate::web_sessions::Lifetime;

/// Role of the listener with TLS from the first byte, and of the other.
pub const ROLE_TLS: u16 = 443;
pub const ROLE_PLAIN: u16 = 80;

/// The service as the filters of clients call it.
pub fn service_of(is_secure: bool) -> Service {
    if is_secure { Service::Https } else { Service::Http }
}

/// Settings of the sessions. Ports, threads and processes are the dispatcher's.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub idle_timeout: Duration,
    /// A sign-in ends after so long without a request.
    /// Of a sign-in.
    pub session: Lifetime,
    /// Bits of encryption that a sign-in needs; 0 none, -1 never allowed; nothing: TLS, except on loopback.
    pub plaintext_min_cipher: Option<i64>,
    /// Zero: browsers are not told to come with TLS only.
    pub strict_transport: Duration,
    pub binding: Binding,
    pub trusted_proxies: Vec<Network>,
    /// What they write.
    pub proxy_fields: forwarded::Fields,
    pub user_sessions: usize,
    pub post_bytes_max: u64,
    /// Connections of a process.
    pub connections_max: usize,
    /// The port that a browser is sent to that came without TLS; zero: none.
    pub ssl_port: u16,
    /// Which clients are let in.
    pub clients: Rules,
    /// Who may sign in others.
    pub deputies: Deputies,
}

impl Settings {
    pub fn from_config(config: &Config) -> Settings {
        let count = |value: i64| u64::try_from(value).unwrap_or(0);
        let offers_tls = config.get(&service_http::SSL_USE_SSL) && config.get(&service_http::ENABLE_SSL_PORT);
        let ssl_port = config.get(&service_http::SSL_PORT);
        Settings {
            idle_timeout: config.get(&service_http::IDLE_TIMEOUT),
            session: Lifetime {
                idle: config.get(&service_http::SESSION_TIMEOUT),
                most: config.get(&service_http::SESSION_MAX_AGE),
            },
            plaintext_min_cipher: config.get(&service_http::PLAINTEXT_MIN_CIPHER),
            strict_transport: config.get(&service_http::STRICT_TRANSPORT),
            binding: config.get(&service_http::IP_SECURITY),
            trusted_proxies: config.get(&service_http::TRUSTED_PROXIES),
            proxy_fields: match config.get(&service_http::PROXY_HEADER) {
                ProxyFields::XForwarded => forwarded::Fields::XForwarded,
                ProxyFields::Forwarded => forwarded::Fields::Forwarded,
            },
            user_sessions: usize::try_from(config.get(&service_http::USER_SESSIONS)).unwrap_or(1),
            connections_max: usize::try_from(config.get(&service_http::MAX_SESSIONS)).unwrap_or(1),
            post_bytes_max: count(config.get(&service_http::MAX_POST_SIZE)),
            ssl_port: if offers_tls { ssl_port } else { 0 },
            clients: server_config::access::rules(
                config,
                &service_http::DOMAIN_ALLOWED,
                &service_http::DOMAIN_NOT_ALLOWED,
            ),
            deputies: Deputies::from_config(config),
        }
    }
}

//! What smtp-accept reads of the configuration, as plain values.

use std::sync::Arc;
use std::time::Duration;

use base::access::Rules;
use base::access::must_log_in::MustLogIn;
use base::network::Network;
use directory::{Deputies, LocalDomains};
use server_config::Config;
use server_config::parameters::milters;
use server_config::parameters::{local, service_smtp, service_smtp_modules};

use crate::inspection::{Inspectors, Limits};
use crate::rates::RateLimits;
use crate::rewrite::{Rewriting, Style};

/// Settings of the sessions. Ports and threads are in `listening`.
#[derive(Clone, Debug)]
pub struct Settings {
    pub host_name: String,
    pub banner: String,
    pub domains: LocalDomains,
    /// `maxmessagesize`, when `allowsize` is on (S34).
    pub message_size_max: Option<u64>,
    /// `relaynetworks`
    pub relay_networks: Vec<Network>,
    /// Who may say XCLIENT.
    pub xclient_hosts: Vec<Network>,
    /// Which clients are let in.
    pub clients: Rules,
    /// `authmaildomain` (S132)
    pub must_log_in: MustLogIn,
    pub recipients_max: usize,
    pub messages_max: u32,
    pub bad_commands_max: u32,
    /// Commands in a row that bring no message nearer.
    pub idle_commands_max: u32,
    pub command_timeout: Duration,
    pub data_timeout: Duration,
    pub allow_ehlo: bool,
    pub allow_help: bool,
    pub allow_chunking: bool,
    pub allow_smtputf8: bool,
    /// Mail in a minute, of networks and users.
    pub rates: RateLimits,
    /// `local.service.lmtp.networks`
    pub lmtp_networks: Vec<Network>,
    /// `maxfuturerelease`: how far ahead mail may be sent; 0 is not at all (RFC 4865).
    pub future_release_max: Duration,
    pub allow_vrfy: bool,
    pub allow_expn: bool,
    pub allow_onex: bool,
    pub allow_verb: bool,
    pub allow_etrn: bool,
    /// `dodsn`: NOTIFY, ORCPT, RET and ENVID (RFC 3461).
    pub do_dsn: bool,
    pub do_auth: bool,
    pub own_address_only: bool,
    /// `negativehostattr`: what entries of mail clients have; none: all that log in are mail clients.
    pub client_attributes: Vec<String>,
    /// `verifyrcpts`: whether RCPT asks the directory.
    pub verify_recipients: bool,
    /// Bits of encryption that AUTH needs; loopback needs none unless it is -1.
    pub plaintext_min_cipher: Option<i64>,
    /// Who may send for others.
    pub deputies: Deputies,
    /// Whether a line is logged for each message (S25).
    pub log_messages: bool,
    /// What Message-IDs that are added here end in: the host's name, or, with `hidehostname`, the domain.
    pub message_id_host: String,
    /// Of the headers of our own clients.
    pub rewriting: Rewriting,
    /// What looks at messages before they are committed; put in by who has more than the configuration.
    pub inspectors: Inspectors,
    /// Knows the rewritten senders that reports come back to; put in by who has the secret.
    pub srs: Option<Arc<srs::Srs>>,
    /// The stack of plug-ins that command lines pass through.
    pub plugin_lines: Option<plugins::lines::Lines>,
    pub inspection_limits: Limits,
    /// The filters (milters) of mail from other servers.
    pub filters: milter::Filters,
    /// Those of the submission ports.
    pub submission_filters: milter::Filters,
}

impl Settings {
    pub fn from_config(config: &Config) -> Settings {
        let count = |value: i64| usize::try_from(value).unwrap_or(1);
        let small = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
        let size = u64::try_from(config.get(&service_smtp::MAX_MESSAGE_SIZE)).unwrap_or(0);
        let domains = LocalDomains::from_config(config);
        let host = config.get(&local::HOST_NAME);
        let host = if host.is_empty() { system_name() } else { host };
        let hidden = config.get(&service_smtp_modules::HIDE_HOST_NAME);
        let (to, cc) = Rewriting::to_and_cc(&config.get(&service_smtp_modules::REWRITE_TO_CC));
        Settings {
            message_id_host: if hidden { domains.default_domain().to_owned() } else { host.clone() },
            rewriting: Rewriting {
                style: Style::named(&config.get(&service_smtp::REWRITE_STYLE)),
                to,
                cc,
                from_by_log_in: config.get(&service_smtp::REWRITE_FROM),
                sender_by_log_in: config.get(&service_smtp::REWRITE_SENDER),
            },
            inspectors: Inspectors::default(),
            filters: milter::Filters::default(),
            submission_filters: milter::Filters::default(),
            srs: None,
            plugin_lines: None,
            inspection_limits: Limits {
                threads: count(config.get(&service_smtp::INSPECTION_THREADS)),
                line: count(config.get(&service_smtp::INSPECTION_LINE)),
            },
            host_name: host,
            banner: config.get(&service_smtp::BANNER),
            domains,
            message_size_max: config.get(&service_smtp::ALLOW_SIZE).then_some(size),
            relay_networks: config.get(&service_smtp::RELAY_NETWORKS),
            xclient_hosts: config.get(&service_smtp::XCLIENT_HOSTS),
            clients: server_config::access::rules(
                config,
                &service_smtp_modules::DOMAIN_ALLOWED,
                &service_smtp_modules::DOMAIN_NOT_ALLOWED,
            ),
            must_log_in: server_config::access::must_log_in(config, &service_smtp::AUTH_MAIL_DOMAIN),
            recipients_max: count(config.get(&service_smtp::MAX_RECIPIENTS)),
            messages_max: small(config.get(&service_smtp::MAX_MESSAGES)),
            bad_commands_max: small(config.get(&service_smtp::MAX_BAD_COMMANDS)),
            idle_commands_max: small(config.get(&service_smtp::MAX_IDLE_COMMANDS)),
            command_timeout: config.get(&service_smtp::TIMEOUT_COMMAND),
            data_timeout: config.get(&service_smtp::TIMEOUT_DATA),
            allow_ehlo: config.get(&service_smtp::ALLOW_EHLO),
            allow_help: config.get(&service_smtp::ALLOW_HELP),
            allow_chunking: config.get(&service_smtp::ALLOW_BDAT),
            future_release_max: config.get(&service_smtp::MAX_FUTURE_RELEASE),
            lmtp_networks: config.get(&service_smtp_modules::LMTP_NETWORKS),
            rates: RateLimits::from_config(config),
            allow_smtputf8: config.get(&service_smtp::ALLOW_SMTPUTF8),
            allow_vrfy: config.get(&service_smtp::ALLOW_VRFY),
            allow_expn: config.get(&service_smtp::ALLOW_EXPN),
            allow_onex: config.get(&service_smtp::ALLOW_ONEX),
            allow_verb: config.get(&service_smtp::ALLOW_VERB),
            allow_etrn: config.get(&service_smtp::ALLOW_ETRN),
            do_dsn: config.get(&service_smtp_modules::DO_DSN),
            do_auth: config.get(&service_smtp::DO_AUTH),
            verify_recipients: config.get(&service_smtp_modules::VERIFY_RCPTS),
            own_address_only: config.get(&service_smtp::OWN_ADDRESS_ONLY),
            client_attributes: config.get(&service_smtp_modules::NEGATIVE_HOST_ATTR),
            deputies: Deputies::from_config(config),
            plaintext_min_cipher: config.get(&service_smtp::PLAINTEXT_MIN_CIPHER),
            log_messages: config.get(&service_smtp::SMTP_ACCEPT_LOG),
        }
    }

    /// The same with the filters (milters) that are configured.
    ///
    /// # Errors
    /// A filter has no address.
    pub fn with_filters(mut self, config: &Config) -> Result<Settings, String> {
        let names = config.get(&milters::FILTERS);
        self.filters = milter::Filters::new(milter::Filter::all(config, &names)?);
        self.submission_filters = match config.get(&milters::SUBMISSION_FILTERS).as_slice() {
            [] => self.filters.clone(),
            [none] if none.eq_ignore_ascii_case("none") => milter::Filters::default(),
            names => milter::Filters::new(milter::Filter::all(config, names)?),
        };
        Ok(self)
    }

    /// The greeting's text.
    pub fn greeting(&self, protocol: &str) -> String {
        self.banner
            .replace("%h", &self.host_name)
            .replace("%p", protocol)
            .replace("%P", "Mailboat")
            .replace("%V", env!("CARGO_PKG_VERSION"))
    }
}

fn system_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}

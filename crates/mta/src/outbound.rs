//! Connections to other hosts: which are tried, what is demanded of them, and as whom this host logs in.

mod counting;
pub mod credentials;
pub mod opening;
pub mod security;
pub mod tls_required;

use std::str::FromStr;

use base::next_hop::NextHop;
use base::pattern::Table;
use dns::Resolver;
use server_config::parameters::service_smtp_modules;
use server_config::{Config, Instance, SecretFile};
use server_log::{Category, Log};
use smtp_client::TlsUse;
use tls_report::Tally;

/// What sending needs beside the desk.
pub struct Outbound {
    pub resolver: Resolver,
    pub client: smtp_client::Settings,
    pub tls: TlsRules,
    /// Hosts that take all mail for others, in order.
    pub smart_hosts: Vec<NextHop>,
    /// The file of the log-ins.
    pub credentials: Option<SecretFile>,
    /// What destinations publish by MTA-STS; nothing when nobody asks.
    pub sts: Option<mta_sts::Policies>,
    /// Counts of how TLS went; nothing when they are not wanted.
    pub tally: Option<Tally>,
}

/// How much TLS the administrator asks for.
#[derive(Clone, Debug)]
pub struct TlsRules {
    pub usual: Level,
    /// Of single destinations.
    pub table: Table,
}

/// How much TLS a host must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Never.
    None,
    /// Where it is offered (RFC 7435).
    May,
    /// Always, whoever it is.
    Encrypt,
    /// As `May`, and what the destination publishes is enforced (RFC 7672, RFC 8461).
    Dane,
    /// With a certificate for the host's name.
    Verify,
    /// With a certificate for the destination's own name, or a name below it.
    Secure,
}

impl FromStr for Level {
    type Err = ();

    fn from_str(word: &str) -> Result<Level, ()> {
        Ok(match word.to_ascii_lowercase().as_str() {
            "none" => Level::None,
            "may" => Level::May,
            "encrypt" => Level::Encrypt,
            "dane" => Level::Dane,
            "verify" => Level::Verify,
            "secure" => Level::Secure,
            _ => return Err(()),
        })
    }
}

impl TlsRules {
    /// The level of a next hop that a row of the table names.
    pub fn named(&self, next_hop: &str) -> Option<Level> {
        self.table.first(next_hop).and_then(|word| word.parse().ok())
    }
}

impl Outbound {
    pub fn from_config(config: &Config, instance: &Instance, log: &Log) -> Outbound {
        let usual = config.get(&service_smtp_modules::TLS_LEVEL).parse().unwrap_or(Level::Dane);
        let file = |name: String| (!name.is_empty()).then(|| instance.root().join(name));
        let mut client = smtp_client::Settings::from_config(config);
        client.authorities = file(config.get(&service_smtp_modules::REMOTE_CA_FILE));
        let credentials = config.get(&service_smtp_modules::SMART_CREDENTIALS);
        let sts = mta_sts::Settings {
            folder: instance.mta_sts_dir(),
            port: config.get(&service_smtp_modules::MTA_STS_PORT),
            authorities: client.authorities.clone(),
            limit: config.get(&service_smtp_modules::MTA_STS_TIMEOUT),
            internal: config.get(&service_smtp_modules::MTA_STS_INTERNAL),
        };
        let wants_sts = config.get(&service_smtp_modules::MTA_STS);
        let tally =
            config.get(&service_smtp_modules::TLS_REPORT).then(|| Tally::open(instance.tls_reports_dir()));
        if let Some(Err(why)) = &tally {
            log.error(Category::General, format_args!("sessions are not counted for TLS reports: {why}"));
        }
        Outbound {
            resolver: Resolver::new(dns::Settings::from_config(config), log.clone()),
            client,
            tls: TlsRules { usual, table: config.get(&service_smtp_modules::TLS_POLICY) },
            smart_hosts: config.get(&service_smtp_modules::SMART_HOSTS),
            credentials: SecretFile::named(&credentials, instance).or_else(|| {
                file(credentials).map(|path| SecretFile { path, is_credential: false }) // a path alone
            }),
            sts: wants_sts.then(|| mta_sts::Policies::new(sts)),
            tally: tally.and_then(Result::ok),
        }
    }

    /// The settings of one session.
    pub fn settings(&self, tls: TlsUse, lenient: bool) -> smtp_client::Settings {
        smtp_client::Settings { tls, lenient, ..self.client.clone() }
    }
}

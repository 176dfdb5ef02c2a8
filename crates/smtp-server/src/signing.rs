//! DKIM signatures on mail of our own: the last inspector, so that nothing changes what is signed (RFC 6376 §5).

use std::sync::Arc;
use std::time::Duration;

use directory::{Entry, LocalDomains};
use dkim::{Keyring, Signer};
use mail_format::address::Item;
use server_config::parameters::service_smtp;
use server_config::{Config, Instance};
use server_log::{Category, Log};

use crate::inspection::{Amendment, Edit, Field, Inspected, Inspector, Origin};

/// A signature of the largest message takes a second or two on a busy host.
const PATIENCE: Duration = Duration::from_secs(60);
/// Domains that the line about them names.
const NAMED_MAX: usize = 10;

/// Signs mail of who logged in, and of `relaynetworks` where that is asked for.
pub struct Signing {
    signer: Arc<Signer>,
    networks: bool,
    /// `ownaddressonly`
    own_addresses_only: bool,
    log: Log,
}

impl Signing {
    /// Nothing, when mail is not to be signed.
    pub fn from_config(config: &Config, signer: Arc<Signer>, log: Log) -> Option<Signing> {
        config.get(&service_smtp::DKIM_SIGN).then(|| Signing {
            signer,
            networks: config.get(&service_smtp::DKIM_NETWORKS),
            own_addresses_only: config.get(&service_smtp::OWN_ADDRESS_ONLY),
            log,
        })
    }

    /// Whether the client may have this message signed: as what the user is, when a user sends from own addresses only. A
    /// signature makes From believed everywhere (DMARC).
    fn may(&self, message: &Inspected<'_>) -> bool {
        match message.peer.user.as_ref().filter(|_| self.own_addresses_only) {
            Some(user) => is_from(message.header, user),
            None => true,
        }
    }
}

/// Whether every author is this user.
fn is_from(header: &[u8], user: &Entry) -> bool {
    let mut authors = 0;
    for (name, value) in mail_format::header_fields(header) {
        if !name.eq_ignore_ascii_case(b"From") {
            continue;
        }
        for item in mail_format::address_list(value) {
            let Item::Mailbox { local, domain, .. } = item else { continue };
            let (Ok(local), Ok(domain)) = (String::from_utf8(local), String::from_utf8(domain)) else {
                return false;
            };
            let address = smtp_wire::Address { local, domain };
            if !user.has_address(&address.to_string()) {
                return false;
            }
            authors += 1;
        }
    }
    authors > 0
}

impl Inspector for Signing {
    fn name(&self) -> &str {
        "dkim"
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }

    fn concerns(&self, origin: Origin) -> bool {
        let is_ours = origin == Origin::User || (origin == Origin::Network && self.networks);
        is_ours && !self.signer.keyring().is_empty()
    }

    fn signs(&self) -> bool {
        true
    }

    /// Mail that cannot be signed goes without.
    fn inspect(&self, message: &Inspected<'_>) -> Amendment {
        let now = base::clock::unix_seconds().unsigned_abs();
        if !self.may(message) {
            let id = &message.envelope.id;
            self.log.notice(Category::Protocol, format_args!("{id}: not signed: From is not who logged in"));
            return Amendment::none();
        }
        let fields = match self.signer.signatures(message.header, message.body, now, |_| true) {
            Ok(fields) => fields.unwrap_or_default(),
            Err(why) => {
                let id = &message.envelope.id;
                self.log.error(Category::Protocol, format_args!("{id}: not signed: {why}"));
                return Amendment::none();
            }
        };
        // The first field stands on top in the end.
        let fields: Vec<&[u8]> = mail_format::header::raw_fields(&fields).collect();
        let edits = fields.into_iter().rev().filter_map(prepend).collect();
        Amendment { edits, ..Amendment::none() }
    }
}

fn prepend(raw: &[u8]) -> Option<Edit> {
    let colon = memchr::memchr(b':', raw)?;
    let name = std::str::from_utf8(&raw[..colon]).ok()?;
    Field::new(name, raw[colon + 1..].trim_ascii()).map(Edit::Prepend)
}

/// The keys that sign, as they are now. Each that cannot be used is logged, and once who has none.
pub fn load_keys(config: &Config, instance: &Instance, log: &Log) -> Keyring {
    let (keyring, faults) = Keyring::load(&instance.dkim_dir());
    for fault in faults {
        log.error(Category::General, format_args!("a DKIM key is not used: {fault}"));
    }
    if config.get(&service_smtp::DKIM_SIGN) {
        tell(&keyring, config, log);
    }
    keyring
}

/// One line: whose mail is signed, and which domains of ours have no key.
fn tell(keyring: &Keyring, config: &Config, log: &Log) {
    let below = config.get(&service_smtp::DKIM_BELOW);
    let domains = LocalDomains::from_config(config);
    let mut without: Vec<&str> =
        domains.names().filter(|name| keyring.of_domain(name, below).is_empty()).collect();
    without.sort_unstable();
    let with: Vec<&str> = keyring.domains().collect();
    log.notice(
        Category::General,
        format_args!("DKIM: mail of {} is signed; no key for {}", listed(&with), listed(&without)),
    );
}

fn listed(names: &[&str]) -> String {
    let shown = names.iter().take(NAMED_MAX).copied().collect::<Vec<_>>().join(" ");
    match names.len() {
        0 => "nobody".to_owned(),
        count if count > NAMED_MAX => format!("{shown} and {} more", count - NAMED_MAX),
        _ => shown,
    }
}

//! The rules of the UBE filter as they are in force (S193; `docs/formats/filter.md`).
//!
//! `config/filter.cfg` is read at the start and at each refresh. A file that is wrong changes nothing: the rules before it
//! stay in force. At a start there are none before it, and then mail is taken and waits in the queue until the file is
//! right, since what goes on unfiltered cannot be called back. Without a file nothing is filtered, and nothing is done.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use base::network::Network;
use mail_format::header::header_fields;
use mail_queue::Envelope;
use server_config::parameters::service_smtp;
use server_config::{Config, Instance};
use server_log::{Category, Log};
use ube_filter::Filter;

/// What is to be done with new mail.
#[derive(Clone)]
pub enum InForce {
    /// There is no file, or no rule in it.
    Nothing,
    Rules(Arc<Filter>),
    /// The file is wrong, and was from the start.
    Unknown,
}

/// When REJECT makes a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bounce {
    Verified,
    Always,
    Never,
}

/// The rules, and who is told of a rejection.
pub struct Filters {
    path: PathBuf,
    log: Log,
    in_force: RwLock<InForce>,
    bounce: Bounce,
    /// Whose mail is this site's own.
    networks: Vec<Network>,
    /// The name of this host in Authentication-Results, when it verifies SPF, so that nobody else's field has that name.
    authserv_id: Option<String>,
}

impl Filters {
    /// Reads the file. One that is wrong is told in the log.
    pub fn open(config: &Config, instance: &Instance, log: &Log) -> Filters {
        let id = config.get(&service_smtp::AUTHSERV_ID);
        let host = config.get(&server_config::parameters::local::HOST_NAME);
        let id = if id.trim().is_empty() { host } else { id.trim().to_owned() };
        let verifies =
            config.get(&service_smtp::VERIFY_SPF) || config.get(&service_smtp::VERIFY_DMARC) != "off";
        let filters = Filters {
            path: instance.filter_cfg(),
            log: log.clone(),
            in_force: RwLock::new(InForce::Nothing),
            bounce: match config.get(&service_smtp::FILTER_BOUNCE).as_str() {
                "always" => Bounce::Always,
                "never" => Bounce::Never,
                _ => Bounce::Verified,
            },
            networks: config.get(&service_smtp::RELAY_NETWORKS),
            authserv_id: verifies.then_some(id),
        };
        match filters.read() {
            Ok(read) => filters.put(read),
            Err(why) => {
                filters.complain(&why, "mail is taken and waits in the queue until the file is right");
                *filters.in_force.write().unwrap_or_else(PoisonError::into_inner) = InForce::Unknown;
            }
        }
        filters
    }

    /// Reads the file again.
    ///
    /// # Errors
    /// It is wrong, in a line: what counted before still does. The log has every mistake.
    pub fn reload(&self) -> Result<(), String> {
        match self.read() {
            Ok(read) => {
                self.put(read);
                Ok(())
            }
            Err(why) => {
                let stays = match self.now() {
                    InForce::Nothing => "mail is not filtered, as before",
                    InForce::Rules(_) => "the former rules stay in force",
                    InForce::Unknown => "mail goes on waiting in the queue",
                };
                self.complain(&why, stays);
                Err(format!("{}: {}; {stays}", self.path.display(), why.join("; ")))
            }
        }
    }

    pub fn now(&self) -> InForce {
        self.in_force.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The rules of the file; nothing when there is no file.
    ///
    /// # Errors
    /// A text for each mistake.
    fn read(&self) -> Result<Option<Filter>, Vec<String>> {
        Filter::read(&self.path).map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
    }

    fn put(&self, read: Option<Filter>) {
        let path = self.path.display();
        let (was, count) = (self.now(), read.as_ref().map_or(0, Filter::len));
        if read.is_some() || !matches!(was, InForce::Nothing) {
            self.log.notice(Category::General, format_args!("{path}: {count} rules are in force"));
        }
        let in_force = match read.filter(|filter| !filter.is_empty()) {
            Some(filter) => InForce::Rules(Arc::new(filter)),
            None => InForce::Nothing,
        };
        *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = in_force;
    }

    fn complain(&self, why: &[String], so: &str) {
        for one in why {
            self.log.error(Category::General, format_args!("{}: {one}", self.path.display()));
        }
        self.log.error(Category::General, format_args!("{}: {so}", self.path.display()));
    }

    /// Whether the sender of a message that is rejected is told, or why not. A report to a forged sender would be
    /// unsolicited mail itself (backscatter).
    ///
    /// # Errors
    /// Why not.
    pub fn tells(&self, envelope: &Envelope, header: &[u8]) -> Result<(), &'static str> {
        if envelope.sender.is_none() {
            return Err("it has no sender");
        }
        match self.bounce {
            Bounce::Always => Ok(()),
            Bounce::Never => Err("nobody is to be told"),
            Bounce::Verified if envelope.auth_sender.is_some() || self.is_own(&envelope.host_from) => Ok(()),
            Bounce::Verified if self.has_spf_pass(header) => Ok(()),
            Bounce::Verified => Err("the sender may be forged"),
        }
    }

    /// `name [address]`, and the address is of `relaynetworks`.
    fn is_own(&self, host_from: &str) -> bool {
        let address = host_from.rsplit_once('[').and_then(|(_, behind)| behind.strip_suffix(']'));
        let address = address.and_then(|address| address.parse::<IpAddr>().ok());
        address.is_some_and(|address| self.networks.iter().any(|network| network.contains(address)))
    }

    /// Whether this host found that the domain of the reverse-path lets the client send its mail (RFC 8601 §2.7.2).
    fn has_spf_pass(&self, header: &[u8]) -> bool {
        let Some(id) = &self.authserv_id else { return false };
        let mut fields =
            header_fields(header).filter(|(name, _)| name.eq_ignore_ascii_case(b"Authentication-Results"));
        fields.any(|(_, value)| says_spf_pass(&String::from_utf8_lossy(value), id))
    }
}

/// Reads `authserv-id *( ";" resinfo )` (RFC 8601 §2.2) as this host writes it. Quoted strings and comments are passed over:
/// others' words may stand in them.
fn says_spf_pass(value: &str, id: &str) -> bool {
    let mut plain = String::with_capacity(value.len());
    let (mut quoted, mut depth, mut escaped) = (false, 0_usize, false);
    for one in value.chars() {
        match one {
            _ if escaped => escaped = false,
            '\\' if quoted || depth > 0 => escaped = true,
            '"' if depth == 0 => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth = depth.saturating_sub(1),
            _ if quoted || depth > 0 => {}
            _ => plain.push(one),
        }
    }
    let mut parts = plain.split(';').map(str::trim);
    let ours = parts.next().is_some_and(|first| first.eq_ignore_ascii_case(id));
    ours && parts.any(|part| {
        let mut words = part.split_whitespace();
        words.next() == Some("spf=pass") && words.any(|word| word.starts_with("smtp.mailfrom="))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_what_this_host_found_of_the_reverse_path_counts() {
        let says = |value: &str| says_spf_pass(value, "mx.example.org");
        assert!(says(" mx.example.org;\r\n\tdkim=none;\r\n\tspf=pass smtp.mailfrom=a@x.example"));
        assert!(says(" MX.example.org; spf=pass (mx) reason=\"why\" smtp.mailfrom=x.example; dmarc=fail"));
        assert!(!says(" mx.evil.example; spf=pass smtp.mailfrom=x.example"));
        assert!(!says(" mx.example.org; spf=pass smtp.helo=x.example"));
        assert!(!says(" mx.example.org; spf=fail smtp.mailfrom=x.example; spf=pass smtp.helo=x"));
        assert!(!says(" mx.example.org; dkim=fail reason=\"; spf=pass smtp.mailfrom=x\""));
        assert!(!says(" mx.example.org; dkim=fail (; spf=pass smtp.mailfrom=x)"));
        assert!(!says(" mx.example.org; spf=passed smtp.mailfrom=x.example") && !says(""));
    }

    #[test]
    fn a_wrong_file_changes_nothing_and_at_the_start_everything_waits() {
        let folder = tempfile::tempdir().unwrap();
        let instance = Instance::new(folder.path());
        fs::create_dir(instance.config_dir()).unwrap();
        let open = || Filters::open(&Config::empty(), &instance, &Log::discard());
        let write = |text: &str| fs::write(instance.filter_cfg(), text).unwrap();
        let filters = open();
        assert!(matches!(filters.now(), InForce::Nothing));
        write("Subject x FLY");
        let why = filters.reload().unwrap_err();
        assert!(
            why.contains("filter.cfg: line 1: \"FLY\" is no action") && why.ends_with("as before"),
            "{why}"
        );
        assert!(matches!(filters.now(), InForce::Nothing));
        write("Subject x DROP");
        filters.reload().unwrap();
        write("Subject x DROP\n(");
        assert!(filters.reload().unwrap_err().ends_with("former rules stay in force"));
        assert!(matches!(filters.now(), InForce::Rules(filter) if filter.len() == 1));
        let fresh = open();
        assert!(matches!(fresh.now(), InForce::Unknown));
        assert!(fresh.reload().is_err() && matches!(fresh.now(), InForce::Unknown));
        fs::remove_file(instance.filter_cfg()).unwrap();
        fresh.reload().unwrap();
        assert!(matches!(fresh.now(), InForce::Nothing));
        fs::create_dir(instance.filter_cfg()).unwrap();
        assert!(filters.reload().is_err());
    }
}

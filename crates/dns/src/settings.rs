//! What an administrator decides.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use server_config::Config;
use server_config::parameters::{service_smtp, service_smtp_modules};

use crate::resolv_conf::{self, ResolvConf};

const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Plain values, read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Recursive name servers, in order. Without any, every look-up fails for the time being.
    pub servers: Vec<SocketAddr>,
    /// Servers across a network that are believed to have validated what they say they have, as those on this host are.
    pub trusted: Vec<IpAddr>,
    /// How long one server is waited for, each time it is asked.
    pub timeout: Duration,
    /// How often a server that does not answer is asked within one look-up; 0 counts as 1.
    pub tries: u32,
    /// Answers that are kept at most; `None`: none (S62).
    pub cache_entries: Option<usize>,
}

impl Settings {
    /// `service.smtp.dnsservers` names the servers; else `internalmxserverip` and then `externalmxserverip`; else
    /// `/etc/resolv.conf`.
    pub fn from_config(config: &Config) -> Settings {
        Settings::with_system(config, resolv_conf::read(Path::new(RESOLV_CONF)))
    }

    fn with_system(config: &Config, system: ResolvConf) -> Settings {
        let named = config.get(&service_smtp::DNS_SERVERS);
        // NMS: original.md's nsmsgCfgMTASMTPDeliver: internal first, both override resolv.conf.
        let inherited: Vec<SocketAddr> =
            [&service_smtp_modules::INTERNAL_MX, &service_smtp_modules::EXTERNAL_MX]
                .into_iter()
                .flat_map(|parameter| config.get(parameter))
                .collect();
        let servers = [named, inherited, system.servers].into_iter().find(|list| !list.is_empty());
        let timeout = config.get_set(&service_smtp::DNS_TIMEOUT).or(system.timeout);
        let tries = config.get_set(&service_smtp::DNS_TRIES).map(|tries| u32::try_from(tries).unwrap_or(1));
        let entries = usize::try_from(config.get(&service_smtp::DNS_CACHE_SIZE)).ok();
        Settings {
            servers: servers.unwrap_or_default(),
            trusted: config.get(&service_smtp_modules::DNS_TRUSTED).iter().map(SocketAddr::ip).collect(),
            timeout: timeout.unwrap_or_else(|| config.get(&service_smtp::DNS_TIMEOUT)),
            tries: tries.or(system.tries).unwrap_or(2),
            cache_entries: entries.filter(|entries| *entries > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        let system = ResolvConf {
            servers: vec!["192.0.2.9:53".parse().unwrap()],
            timeout: Some(Duration::from_secs(7)),
            tries: None,
        };
        Settings::with_system(&Config::from_text(text).unwrap(), system)
    }

    fn servers(text: &str) -> Vec<String> {
        settings(text).servers.iter().map(SocketAddr::to_string).collect()
    }

    #[test]
    fn what_is_named_comes_before_what_the_system_says() {
        let inherited = "service.smtp.smtp-deliver.externalmxserverip = 192.0.2.2\n\
                         service.smtp.smtp-deliver.internalmxserverip = 192.0.2.1\n";
        assert_eq!(servers(""), ["192.0.2.9:53"]);
        assert_eq!(servers(inherited), ["192.0.2.1:53", "192.0.2.2:53"]);
        let named = format!("{inherited}service.smtp.dnsservers = \"127.0.0.1:5353 [::1]:54 ::2\"");
        assert_eq!(servers(&named), ["127.0.0.1:5353", "[::1]:54", "[::2]:53"]);
    }

    #[test]
    fn the_system_s_patience_holds_until_ours_is_set() {
        assert_eq!((settings("").timeout, settings("").tries), (Duration::from_secs(7), 2));
        let set = settings("service.smtp.dnstimeout = 1\nservice.smtp.dnstries = 3");
        assert_eq!((set.timeout, set.tries), (Duration::from_secs(1), 3));
    }

    /// S62
    #[test]
    fn a_cache_size_of_minus_one_is_off() {
        assert_eq!(settings("").cache_entries, Some(1000));
        assert_eq!(settings("service.smtp.dnscachesize = 50").cache_entries, Some(50));
        assert_eq!(settings("service.smtp.dnscachesize = -1").cache_entries, None);
        assert_eq!(settings("service.smtp.dnscachesize = 0").cache_entries, None);
    }
}

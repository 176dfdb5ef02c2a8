//! The rules of who may connect, as the configuration has them.
//!
//! A value that cannot be read stops a daemon at its start, and a reload keeps the former one. Should one be in force all
//! the same, nobody is let in by it: a rule that was meant to keep somebody out is never taken for none.

use base::access::Rules;
use base::access::must_log_in::MustLogIn;

use crate::values::{AllowFilters, DenyFilters, Peers};
use crate::{Config, Parameter, Value};

/// `domainallowed` and `domainnotallowed` of a service.
pub fn rules(config: &Config, allowed: &Parameter<AllowFilters>, denied: &Parameter<DenyFilters>) -> Rules {
    let broken = why_unread(config, allowed).or_else(|| why_unread(config, denied));
    Rules { allowed: config.get(allowed), denied: config.get(denied), broken }
}

/// `authmaildomain`; everybody must log in when it cannot be read.
pub fn must_log_in(config: &Config, peers: &Parameter<Peers>) -> MustLogIn {
    if why_unread(config, peers).is_some() { MustLogIn::everybody() } else { config.get(peers) }
}

fn why_unread<T: Value>(config: &Config, parameter: &Parameter<T>) -> Option<String> {
    let why = parameter.parse(config.text(parameter.name)?).err()?;
    Some(format!("{}: {why}", parameter.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::{service_imap, service_smtp};
    use base::access::{Host, Service, Verdict, Visitor};

    fn config(name: &str, value: &str) -> Config {
        Config::from_text(&format!("{name} = {}\n", crate::config::quote(value))).unwrap()
    }

    fn verdict(config: &Config, address: &str) -> Verdict {
        let rules = rules(config, &service_imap::DOMAIN_ALLOWED, &service_imap::DOMAIN_NOT_ALLOWED);
        let ask = |_| Host::Unknown;
        rules.decide(&Visitor::new(Service::Imap, address.parse().unwrap(), &ask))
    }

    #[test]
    fn a_rule_that_cannot_be_read_lets_nobody_in() {
        let broken = config("service.imap.domainnotallowed", "imap:10.0");
        assert_eq!(verdict(&broken, "127.0.0.1"), Verdict::Refused);
        assert!(broken.check().unwrap_err().to_string().starts_with("service.imap.domainnotallowed: "));
        assert_eq!(verdict(&config("service.imap.domainallowed", "10."), "10.0.0.1"), Verdict::Allowed);
        assert_eq!(verdict(&Config::empty(), "10.0.0.1"), Verdict::Allowed);
    }

    #[test]
    fn everybody_must_log_in_when_the_list_cannot_be_read() {
        let peer = "2001:db8::1".parse().unwrap();
        let broken = config("service.smtp.authmaildomain", "mail.example.com");
        assert!(must_log_in(&broken, &service_smtp::AUTH_MAIL_DOMAIN).includes(peer));
        assert!(broken.check().is_err());
        assert!(!must_log_in(&Config::empty(), &service_smtp::AUTH_MAIL_DOMAIN).includes(peer));
    }

    /// The tab of a mask outlives the file.
    #[test]
    fn a_mask_behind_a_tab_comes_back_from_the_file() {
        let config = config("service.smtp.authmaildomain", "202.11.160.0\t255.255.240.0");
        let peers = must_log_in(&config, &service_smtp::AUTH_MAIL_DOMAIN);
        assert!(peers.includes("202.11.175.1".parse().unwrap()));
        assert!(!peers.includes("202.11.176.1".parse().unwrap()));
    }
}

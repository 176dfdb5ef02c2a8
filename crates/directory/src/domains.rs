//! Which domains are ours: `localmaildomains` of any length (S112), the host's own names, and the default domain.

use std::collections::HashSet;

use server_config::Config;
use server_config::parameters::{local, service_smtp, service_smtp_modules};

use crate::Fallback;

/// Longest pattern of `localmaildomains`; domains are not longer.
const DOMAIN_BYTES_MAX: usize = 255;

/// The domains in which an address that is not found is an unknown user.
#[derive(Clone, Debug, Default)]
pub struct LocalDomains {
    exact: HashSet<String>,
    /// Suffixes with their dot, from `*.example.org`.
    below: HashSet<String>,
    default: String,
    fallback: Fallback,
}

impl LocalDomains {
    /// From `service.smtp.smtp-router.localmaildomains`, `.domain`, `.defaultdomain` (S110, S111) and `local.hostname`.
    pub fn from_config(config: &Config) -> LocalDomains {
        let host = config.get(&local::HOST_NAME);
        let own = config.get(&service_smtp::DOMAIN);
        let default = config.get(&service_smtp::DEFAULT_DOMAIN);
        let listed = config.get(&service_smtp::LOCAL_MAIL_DOMAINS);
        let default = if default.is_empty() { host.clone() } else { default };
        let fallback = u8::try_from(config.get(&service_smtp_modules::FALLBACK_SEARCH)).unwrap_or(0);
        LocalDomains::new(listed.into_iter().chain([host, own, default.clone()]), &default)
            .falling_back(Fallback(fallback))
    }

    /// The same, with other searches for addresses that nobody has.
    pub fn falling_back(self, fallback: Fallback) -> LocalDomains {
        LocalDomains { fallback, ..self }
    }

    /// What is searched for an address that nobody has.
    pub fn fallback(&self) -> Fallback {
        self.fallback
    }

    /// `names` may be `*.example.org`: every domain below.
    pub fn new(names: impl IntoIterator<Item = String>, default: &str) -> LocalDomains {
        let mut domains = LocalDomains { default: base::idn::domain(default), ..LocalDomains::default() };
        for name in names {
            let name = name.trim().trim_end_matches('.');
            let (set, name) = match name.strip_prefix("*.") {
                Some(suffix) => (&mut domains.below, format!(".{}", base::idn::domain(suffix))),
                None => (&mut domains.exact, base::idn::domain(name)),
            };
            if !name.is_empty() && name.len() <= DOMAIN_BYTES_MAX {
                set.insert(name);
            }
        }
        domains
    }

    /// Whether mail for this domain is delivered here; U-labels and A-labels are the same (RFC 5890 §2.3.2.1).
    pub fn contains(&self, domain: &str) -> bool {
        let domain = base::idn::domain(domain);
        self.exact.contains(&domain)
            || domain.match_indices('.').any(|(at, _)| self.below.contains(&domain[at..]))
    }

    /// The domains that are named in full, in no order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.exact.iter().map(String::as_str)
    }

    /// The domain of addresses that have none.
    pub fn default_domain(&self) -> &str {
        &self.default
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_found_whole_or_below_a_star() {
        let domains = LocalDomains::new(["Example.ORG".into(), "*.corp.test".into()], "example.org");
        for (domain, ours) in [
            ("example.org", true),
            ("EXAMPLE.org", true),
            ("sub.example.org", false),
            ("a.corp.test", true),
            ("a.b.corp.test", true),
            ("corp.test", false),
            ("notcorp.test", false),
        ] {
            assert_eq!(domains.contains(domain), ours, "{domain}");
        }
    }

    #[test]
    fn both_forms_of_a_domain_in_another_script_are_the_same() {
        let names = ["München.test".to_owned(), "*.xn--bcher-kva.test".to_owned()];
        let domains = LocalDomains::new(names, "例え.test");
        for domain in ["münchen.test", "xn--mnchen-3ya.test", "a.Bücher.test", "a.xn--bcher-kva.test"] {
            assert!(domains.contains(domain), "{domain}");
        }
        assert!(!domains.contains("munchen.test") && !domains.contains("\u{fffd}.test"));
        assert_eq!(domains.default_domain(), "xn--r8jz45g.test");
    }

    /// S112.
    #[test]
    fn ten_thousand_domains_cost_no_more_than_one() {
        let names = (0..10_000).map(|n| format!("d{n}.example"));
        let domains = LocalDomains::new(names, "d0.example");
        // The quickest of many turns: in some of them the machine does something else.
        let turns = (0..20).map(|turn| {
            let begin = std::time::Instant::now();
            for n in (turn..10_000).step_by(2) {
                assert!(domains.contains(&format!("d{n}.example")));
            }
            begin.elapsed()
        });
        let quickest = turns.min().unwrap();
        assert!(quickest.as_millis() < 200, "{quickest:?} for 5,000");
    }
}

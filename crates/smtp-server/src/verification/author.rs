//! The domains of the From field (RFC 9989 §5.3.1).

use mail_format::{Item, address_list, header_fields};

/// Domains of one message that are asked about. RFC 9989 §11.5: several are a way around the policy of each, so each has a
/// say, and the strictest counts.
pub(super) const DOMAINS_MAX: usize = 5;

/// The domains, each once, in ASCII.
///
/// # Errors
/// Why there is none.
pub(super) fn domains(header: &[u8]) -> Result<Vec<String>, &'static str> {
    let mut found: Vec<String> = Vec::new();
    let mut seen = false;
    let from = header_fields(header).filter(|(name, _)| name.eq_ignore_ascii_case(b"From"));
    for (_, value) in from {
        seen = true;
        for item in address_list(value) {
            let Item::Mailbox { domain, .. } = item else { continue };
            let Some(domain) = std::str::from_utf8(&domain).ok().and_then(dns::ascii_name) else { continue };
            if !found.contains(&domain) && found.len() < DOMAINS_MAX {
                found.push(domain);
            }
        }
    }
    match (found.is_empty(), seen) {
        (false, _) => Ok(found),
        (true, true) => Err("no domain in From"),
        (true, false) => Err("no From"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_domain_of_every_from_has_a_say() {
        let of = |header: &str| domains(header.as_bytes());
        let list = |domains: &[&str]| Ok(domains.iter().map(|one| (*one).to_owned()).collect());
        assert_eq!(of("From: A <a@X.example>\r\n"), list(&["x.example"]));
        assert_eq!(of("from: \"b@y.example\" <a@x.example>\r\n"), list(&["x.example"]));
        assert_eq!(
            of("From: a@x.example, b@X.example\r\nFROM : c@y.example\r\n"),
            list(&["x.example", "y.example"])
        );
        assert_eq!(of("From: a@b\u{fc}cher.example\r\n"), list(&["xn--bcher-kva.example"]));
        assert_eq!(of("From: team: a@x.example;\r\n"), list(&["x.example"]));
        assert_eq!(of("From: nobody\r\n"), Err("no domain in From"));
        assert_eq!(of("Sender: a@x.example\r\n"), Err("no From"));
        let many = (0..1000).map(|number| format!("a@d{number}.example")).collect::<Vec<_>>().join(", ");
        assert_eq!(of(&format!("From: {many}\r\n")).unwrap().len(), DOMAINS_MAX);
    }
}

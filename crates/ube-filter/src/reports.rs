//! Who is told that a rule rejected a message: REJECT comes after the client was told that its mail is taken, so it is a report.

use std::net::IpAddr;

use base::network::Network;
use mail_format::header::header_fields;
use server_config::Config;
use server_config::parameters::{local, service_smtp};

/// When REJECT makes a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bounce {
    Verified,
    Always,
    Never,
}

/// Where a message came from, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The reverse-path is not empty.
    pub has_sender: bool,
    pub is_logged_in: bool,
    /// `name [address]`
    pub client: &'a str,
}

/// See the head of this file.
pub struct Reports {
    bounce: Bounce,
    /// Whose mail is this site's own.
    networks: Vec<Network>,
    /// The name of this host in Authentication-Results, when it verifies SPF, so that nobody else's field has that name.
    authserv_id: Option<String>,
}

impl Reports {
    pub fn from_config(config: &Config) -> Reports {
        let id = config.get(&service_smtp::AUTHSERV_ID);
        let host = config.get(&local::HOST_NAME);
        let id = if id.trim().is_empty() { host } else { id.trim().to_owned() };
        let verifies =
            config.get(&service_smtp::VERIFY_SPF) || config.get(&service_smtp::VERIFY_DMARC) != "off";
        Reports {
            bounce: match config.get(&service_smtp::FILTER_BOUNCE).as_str() {
                "always" => Bounce::Always,
                "never" => Bounce::Never,
                _ => Bounce::Verified,
            },
            networks: config.get(&service_smtp::RELAY_NETWORKS),
            authserv_id: verifies.then_some(id),
        }
    }

    /// Whether the sender of a message that is rejected is told, or why not. A report to a forged sender would be
    /// unsolicited mail itself (backscatter).
    ///
    /// # Errors
    /// Why not.
    pub fn tells(&self, origin: &Origin<'_>, header: &[u8]) -> Result<(), &'static str> {
        if !origin.has_sender {
            return Err("it has no sender");
        }
        match self.bounce {
            Bounce::Always => Ok(()),
            Bounce::Never => Err("nobody is to be told"),
            Bounce::Verified if origin.is_logged_in || self.is_own(origin.client) => Ok(()),
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
}

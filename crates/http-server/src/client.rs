//! Whose request it is: the client's address, whether it came encrypted, and from what page.

use std::net::IpAddr;

use base::network;
use connection::TlsState;
use http_wire::{Head, forwarded};
use server_config::values::Binding;

use crate::Settings;

/// What is known of the client of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    pub ip: IpAddr,
    /// The client's own connection has TLS, here or at a proxy that is trusted.
    pub is_secure: bool,
    /// A password may be said (`plaintextmincipher`).
    pub says_password: bool,
}

/// Of a request that came from `peer`. The word of trusted proxies is followed from the nearest on, up to the first that is
/// none of them.
pub fn of(head: &Head, peer: IpAddr, tls: &TlsState, settings: &Settings) -> Client {
    let is_trusted = |ip: IpAddr| settings.trusted_proxies.iter().any(|network| network.contains(ip));
    let bits = match tls {
        TlsState::Active { bits, .. } => Some(i64::from(*bits)),
        _ => None,
    };
    let (mut ip, mut is_secure) = (peer, bits.is_some());
    let by_proxy = is_trusted(peer);
    if by_proxy {
        for hop in forwarded::addresses(head, settings.proxy_fields) {
            // Who comes behind something unreadable is not known; the proxy that said so is.
            let Some(hop) = hop else { break };
            ip = hop;
            if !is_trusted(hop) {
                break;
            }
        }
        is_secure = forwarded::is_secure(head, settings.proxy_fields).unwrap_or(is_secure);
    }
    let ip = ip.to_canonical();
    let says_password = match settings.plaintext_min_cipher {
        None => is_secure || (ip.is_loopback() && !by_proxy),
        Some(0) => true,
        Some(least) if by_proxy => least > 0 && is_secure, // how many bits the proxy has, it does not say
        Some(least) => least > 0 && bits.is_some_and(|bits| bits >= least),
    };
    Client { ip, is_secure, says_password }
}

/// Whether a session that began at `then` may be used from `now` (S118).
pub fn is_bound(binding: Binding, then: IpAddr, now: IpAddr) -> bool {
    match binding {
        Binding::None => true,
        Binding::Subnet => network::prefix(then, 24, 64) == network::prefix(now, 24, 64),
        Binding::Address => then.to_canonical() == now.to_canonical(),
    }
}

/// Where a request comes from, as the browser says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// One of our pages.
    Ours,
    /// No page: an address that was typed, or a program.
    None,
    /// Another site's page.
    Foreign,
}

/// By `Sec-Fetch-Site` and `Origin`; a program says neither.
pub fn origin(head: &Head, client: Client) -> Origin {
    let said = head.all("origin").count() > 0;
    let ours = head.field("origin").is_some_and(|origin| is_own(origin, &head.host, client.is_secure));
    if said && !ours {
        return Origin::Foreign;
    }
    match head.field("sec-fetch-site") {
        Some("same-origin") => Origin::Ours,
        Some("none") => Origin::None,
        Some(_) => Origin::Foreign,
        None if head.all("sec-fetch-site").count() > 0 => Origin::Foreign,
        None if ours => Origin::Ours,
        None => Origin::None,
    }
}

/// Whether an origin is that of the host the request was for. Behind a proxy that ends TLS and does not say so the scheme
/// is not known; a page without encryption is never one of an encrypted site.
fn is_own(origin: &str, host: &str, is_secure: bool) -> bool {
    let (scheme, authority) = origin.split_once("://").unwrap_or_default();
    let usual = match scheme {
        "https" => ":443",
        "http" if !is_secure => ":80",
        _ => return false,
    };
    let bare = |text: &str| text.strip_suffix(usual).unwrap_or(text).to_ascii_lowercase();
    !host.is_empty() && bare(authority) == bare(host)
}

#[cfg(test)]
mod tests {
    use http_wire::head::parse;
    use server_config::Config;

    use super::*;

    fn head(fields: &str) -> Head {
        parse(format!("GET / HTTP/1.1\r\nHost: mail.test\r\n{fields}\r\n").as_bytes()).unwrap()
    }

    fn settings(text: &str) -> Settings {
        Settings::from_config(&Config::from_text(text).unwrap())
    }

    #[test]
    fn a_proxys_word_counts_if_it_is_trusted() {
        let trusting = settings("service.http.trustedproxies = 10.0.0.0/8\n");
        let of = |fields: &str, peer: &str, settings: &Settings| {
            let client = of(&head(fields), peer.parse().unwrap(), &TlsState::Unavailable, settings);
            (client.ip.to_string(), client.is_secure)
        };
        let said = "X-Forwarded-For: 6.6.6.6, 192.0.2.1, 10.0.0.2\r\nX-Forwarded-Proto: https\r\n";
        assert_eq!(of(said, "10.0.0.1", &trusting), ("192.0.2.1".into(), true));
        assert_eq!(of(said, "192.0.2.9", &trusting), ("192.0.2.9".into(), false), "it is no proxy of ours");
        assert_eq!(of(said, "10.0.0.1", &settings("")), ("10.0.0.1".into(), false));
        assert_eq!(
            of("X-Forwarded-For: 6.6.6.6, unknown, 10.0.0.2\r\n", "10.0.0.1", &trusting).0,
            "10.0.0.2"
        );
        assert_eq!(of("", "10.0.0.1", &trusting).0, "10.0.0.1");
    }

    /// A proxy writes one kind of fields, and hands on what the client wrote into the other.
    #[test]
    fn the_fields_that_the_proxy_does_not_write_are_not_looked_at() {
        let of = |fields: &str, more: &str| {
            let settings = settings(&format!("service.http.trustedproxies = 10.0.0.0/8\n{more}"));
            let client = of(&head(fields), "10.0.0.1".parse().unwrap(), &TlsState::Unavailable, &settings);
            (client.ip.to_string(), client.is_secure, client.says_password)
        };
        let forged = "Forwarded: for=10.1.2.3;proto=https, for=127.0.0.1;proto=https\r\n";
        let said = format!("{forged}X-Forwarded-For: 192.0.2.77\r\nX-Forwarded-Proto: http\r\n");
        assert_eq!(of(&said, ""), ("192.0.2.77".into(), false, false));
        assert_eq!(of(forged, ""), ("10.0.0.1".into(), false, false));
        let by_forwarded = "service.http.proxyheader = forwarded\n";
        let said = "Forwarded: for=6.6.6.6;proto=https, for=192.0.2.77;proto=http\r\n\
                    X-Forwarded-For: 10.1.2.3\r\nX-Forwarded-Proto: https\r\n";
        assert_eq!(of(said, by_forwarded), ("192.0.2.77".into(), false, false));
        let said = "X-Forwarded-For: 10.1.2.3\r\nX-Forwarded-Proto: https\r\n";
        assert_eq!(of(said, by_forwarded), ("10.0.0.1".into(), false, false));
    }

    #[test]
    fn a_password_is_said_encrypted_or_on_this_host() {
        let says = |text: &str, peer: &str, fields: &str, tls: &TlsState| {
            of(&head(fields), peer.parse().unwrap(), tls, &settings(text)).says_password
        };
        let (plain, tls) = (
            TlsState::Unavailable,
            TlsState::Active { protocol: "TLSv1.3", cipher: String::new(), bits: 128 },
        );
        assert!(says("", "127.0.0.1", "", &plain) && says("", "192.0.2.1", "", &tls));
        assert!(!says("", "192.0.2.1", "", &plain));
        assert!(says("service.http.plaintextmincipher = 0", "192.0.2.1", "", &plain));
        assert!(!says("service.http.plaintextmincipher = -1", "127.0.0.1", "", &tls));
        assert!(!says("service.http.plaintextmincipher = 256", "127.0.0.1", "", &tls));
        let proxy = "service.http.trustedproxies = 127.0.0.1";
        assert!(says(
            proxy,
            "127.0.0.1",
            "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n",
            &plain
        ));
        assert!(!says(
            proxy,
            "127.0.0.1",
            "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n",
            &plain
        ));
        assert!(!says(proxy, "127.0.0.1", "X-Forwarded-For: 192.0.2.1\r\n", &plain));
        assert!(!says(proxy, "127.0.0.1", "", &plain), "whose it is, the proxy does not say");
    }

    #[test]
    fn sessions_are_bound_as_far_as_is_set() {
        let bound =
            |binding, now: &str| is_bound(binding, "192.0.2.1".parse().unwrap(), now.parse().unwrap());
        for (now, address, subnet) in [
            ("192.0.2.1", true, true),
            ("::ffff:192.0.2.1", true, true),
            ("192.0.2.2", false, true),
            ("192.0.3.1", false, false),
        ] {
            assert_eq!(bound(Binding::Address, now), address, "{now}");
            assert_eq!(bound(Binding::Subnet, now), subnet, "{now}");
            assert!(bound(Binding::None, now));
        }
        let six = |now: &str| is_bound(Binding::Subnet, "2001:db8::1".parse().unwrap(), now.parse().unwrap());
        assert!(six("2001:db8::ffff:1") && !six("2001:db8:0:1::1"));
    }

    #[test]
    fn pages_of_others_are_told_apart() {
        let client = Client { ip: "127.0.0.1".parse().unwrap(), is_secure: true, says_password: true };
        let seen = |fields: &str| origin(&head(fields), client);
        for (fields, expected) in [
            ("", Origin::None),
            ("Sec-Fetch-Site: same-origin\r\n", Origin::Ours),
            ("Sec-Fetch-Site: none\r\n", Origin::None),
            ("Sec-Fetch-Site: same-site\r\n", Origin::Foreign),
            ("Sec-Fetch-Site: cross-site\r\n", Origin::Foreign),
            ("Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: none\r\n", Origin::Foreign),
            ("Origin: https://mail.test\r\n", Origin::Ours),
            ("Origin: https://mail.test:443\r\n", Origin::Ours),
            ("Origin: https://mail.test:444\r\n", Origin::Foreign),
            ("Origin: http://mail.test\r\n", Origin::Foreign),
            ("Origin: https://evil.test\r\n", Origin::Foreign),
            ("Origin: https://mail.test.evil.test\r\n", Origin::Foreign),
            ("Origin: null\r\n", Origin::Foreign),
            ("Origin: https://evil.test\r\nSec-Fetch-Site: same-origin\r\n", Origin::Foreign),
            ("Origin: https://mail.test\r\nOrigin: https://mail.test\r\n", Origin::Foreign),
        ] {
            assert_eq!(seen(fields), expected, "{fields}");
        }
        let plain = Client { is_secure: false, ..client };
        assert_eq!(origin(&head("Origin: http://mail.test\r\n"), plain), Origin::Ours);
    }
}

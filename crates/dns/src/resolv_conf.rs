//! `/etc/resolv.conf`, as far as a mail server needs it (resolv.conf(5)): name servers, `timeout` and `attempts`.
//!
//! Search lists are for people; mail has whole names. Lines that cannot be read are passed over, as the C library does.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::path::Path;
use std::time::Duration;

/// The C library takes three; more are of use here, without end they are not.
const SERVERS_MAX: usize = 16;
const PORT: u16 = 53;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResolvConf {
    pub(crate) servers: Vec<SocketAddr>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) tries: Option<u32>,
}

/// Reads the file; without it, or without a server in it, the name server is on this host.
pub(crate) fn read(path: &Path) -> ResolvConf {
    parse(&std::fs::read_to_string(path).unwrap_or_default())
}

fn parse(text: &str) -> ResolvConf {
    let mut found = ResolvConf { servers: Vec::new(), timeout: None, tries: None };
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => found.servers.extend(words.next().and_then(server)),
            Some("options") => words.for_each(|option| found.take_option(option)),
            _ => {}
        }
    }
    found.servers.truncate(SERVERS_MAX);
    if found.servers.is_empty() {
        found.servers.push(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), PORT));
    }
    found
}

impl ResolvConf {
    fn take_option(&mut self, option: &str) {
        match option.split_once(':').map(|(name, value)| (name, value.parse::<u32>())) {
            Some(("timeout", Ok(seconds))) => {
                self.timeout = Some(Duration::from_secs(u64::from(seconds.clamp(1, 30))));
            }
            Some(("attempts", Ok(tries))) => self.tries = Some(tries.clamp(1, 5)),
            _ => {}
        }
    }
}

fn server(word: &str) -> Option<SocketAddr> {
    let Some((address, zone)) = word.split_once('%') else {
        return word.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, PORT));
    };
    let address: Ipv6Addr = address.parse().ok()?;
    let zone = zone.parse().ok().or_else(|| interface_number(zone))?;
    Some(SocketAddrV6::new(address, PORT, 0, zone).into())
}

/// The number of the interface that a link-local address is reached by.
fn interface_number(name: &str) -> Option<u32> {
    let plain = !name.is_empty() && !name.contains('/') && !name.starts_with('.');
    let path = Path::new("/sys/class/net").join(plain.then_some(name)?).join("ifindex");
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_come_in_the_order_of_the_file() {
        let found = parse(
            "# comment\nsearch example.org\nnameserver 192.0.2.1\nnameserver 2001:db8::1 # text\nnameserver nonsense\n\
             nameserver fe80::1%lo\nnameserver fe80::2%7\noptions rotate timeout:3 attempts:4\n",
        );
        let shown: Vec<String> = found.servers.iter().map(SocketAddr::to_string).collect();
        assert_eq!(shown, ["192.0.2.1:53", "[2001:db8::1]:53", "[fe80::1%1]:53", "[fe80::2%7]:53"]);
        assert_eq!((found.timeout, found.tries), (Some(Duration::from_secs(3)), Some(4)));
    }

    #[test]
    fn a_file_without_servers_means_this_host() {
        let here = [SocketAddr::from(([127, 0, 0, 1], 53))];
        assert_eq!(parse("").servers, here);
        assert_eq!(read(Path::new("/nonexistent/resolv.conf")).servers, here);
    }

    #[test]
    fn the_list_has_an_end() {
        let text: String = (0..100).map(|n| format!("nameserver 192.0.2.{n}\n")).collect();
        assert_eq!(parse(&text).servers.len(), SERVERS_MAX);
    }
}

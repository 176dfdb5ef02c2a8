//! `/etc/hosts` (hosts(5)): names that this host knows without a name server.
//!
//! Only next hops that an administrator named are looked up here: a stranger's domain never gets an address of it.

use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

const HOSTS: &str = "/etc/hosts";
/// Bytes of it at most.
const BYTES_MAX: u64 = 1024 * 1024;

/// The addresses that `/etc/hosts` gives `name`, IPv4 first; nothing when it does not name it. The file is read each
/// time: it may be changed at any moment, and is small. `localhost` is this host, whatever is written (RFC 6761 §6.3).
#[must_use]
pub fn of_this_host(name: &str) -> Vec<IpAddr> {
    let mut text = String::new();
    // A file that cannot be read names nobody.
    let _ = File::open(Path::new(HOSTS)).and_then(|file| file.take(BYTES_MAX).read_to_string(&mut text));
    find(&text, name)
}

fn find(text: &str, name: &str) -> Vec<IpAddr> {
    let name = name.trim_end_matches('.');
    let mut found: Vec<IpAddr> = Vec::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
        let Some(Ok(address)) = words.next().map(str::parse) else { continue };
        if words.any(|word| word.trim_end_matches('.').eq_ignore_ascii_case(name))
            && !found.contains(&address)
        {
            found.push(address);
        }
    }
    if found.is_empty() && name.eq_ignore_ascii_case("localhost") {
        found = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    }
    found.sort_by_key(IpAddr::is_ipv6); // stable: else in the order of the file
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_addresses_of_every_line_that_names_it() {
        let text = "# 192.0.2.9 relay\n::1 localhost ip6-localhost\n127.0.0.1\tlocalhost\n2001:db8::2 relay.test\n\
                    192.0.2.2 Relay.test relay # old\nnonsense relay.test\n192.0.2.2 relay.test\n";
        let told = |name: &str| find(text, name).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(told("localhost"), ["127.0.0.1", "::1"]);
        assert_eq!(told("RELAY.test."), ["192.0.2.2", "2001:db8::2"]);
        assert_eq!(told("relay"), ["192.0.2.2"]);
        assert!(told("old").is_empty() && told("elsewhere.test").is_empty() && told("192.0.2.2").is_empty());
        assert_eq!(find("", "LocalHost").len(), 2, "without a line, too");
    }
}

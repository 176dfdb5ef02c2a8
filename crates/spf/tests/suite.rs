//! The published test suite of RFC 7208, against zones in memory.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dns::DnsError;
use spf::{Claim, Records, check};

#[derive(Default)]
struct Zone(BTreeMap<String, Vec<(String, Vec<u8>)>>);

impl Zone {
    /// The data of all records of a type, an alias followed: a name server ends circles.
    fn find(&self, name: &str, kind: &str) -> Result<Vec<Vec<u8>>, DnsError> {
        self.find_behind(name, kind, 0)
    }

    fn find_behind(&self, name: &str, kind: &str, aliases: u32) -> Result<Vec<Vec<u8>>, DnsError> {
        let name = name.trim_end_matches('.').to_lowercase();
        if name.starts_with("error.") {
            return Err(DnsError::Temporary("refused".into()));
        }
        let records = self.0.get(&name).ok_or(DnsError::NoSuchDomain)?;
        let mut found = Vec::new();
        for (its, data) in records {
            match its.as_str() {
                "TIMEOUT" if found.is_empty() => return Err(DnsError::Temporary("no answer".into())),
                "CNAME" if aliases > 8 => return Err(DnsError::Temporary("a circle".into())),
                "CNAME" => {
                    let target = std::str::from_utf8(data).unwrap();
                    found.extend(self.find_behind(target, kind, aliases + 1)?);
                }
                its if its == kind => found.push(data.clone()),
                _ => {}
            }
        }
        if found.is_empty() { Err(DnsError::NoData) } else { Ok(found) }
    }

    fn texts(&self, name: &str, kind: &str) -> Result<Vec<String>, DnsError> {
        Ok(self.find(name, kind)?.into_iter().map(|data| String::from_utf8(data).unwrap()).collect())
    }
}

impl Records for Zone {
    fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, DnsError> {
        self.find(name, "TXT")
    }
    fn ipv4(&self, name: &str) -> Result<Vec<Ipv4Addr>, DnsError> {
        Ok(self.texts(name, "A")?.iter().map(|text| text.parse().unwrap()).collect())
    }
    fn ipv6(&self, name: &str) -> Result<Vec<Ipv6Addr>, DnsError> {
        Ok(self.texts(name, "AAAA")?.iter().map(|text| text.parse().unwrap()).collect())
    }
    fn mx(&self, name: &str) -> Result<Vec<String>, DnsError> {
        let host = |text: &String| text.split(' ').nth(1).unwrap_or("").to_owned();
        Ok(self.texts(name, "MX")?.iter().map(host).collect())
    }
    fn ptr(&self, address: IpAddr) -> Result<Vec<String>, DnsError> {
        let name = match address {
            IpAddr::V4(address) => {
                let [a, b, c, d] = address.octets();
                format!("{d}.{c}.{b}.{a}.in-addr.arpa")
            }
            IpAddr::V6(address) => {
                let digits = format!("{:032x}", address.to_bits());
                let mut name: String = digits.chars().rev().flat_map(|digit| [digit, '.']).collect();
                name.push_str("ip6.arpa");
                name
            }
        };
        self.texts(&name, "PTR")
    }
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut pieces = text.split("\\x");
    out.extend_from_slice(pieces.next().unwrap().as_bytes());
    for piece in pieces {
        out.push(u8::from_str_radix(&piece[..2], 16).unwrap());
        out.extend_from_slice(&piece.as_bytes()[2..]);
    }
    out
}

struct Case<'a> {
    id: &'a str,
    address: IpAddr,
    helo: String,
    sender: String,
    results: Vec<&'a str>,
    explanation: String,
}

fn case(line: &str) -> Case<'_> {
    let words: Vec<&str> = line.split('|').map(str::trim).collect();
    let text = |at: usize| String::from_utf8(unescaped(words[at])).unwrap();
    Case {
        id: words[0],
        address: words[1].parse().unwrap(),
        helo: text(2),
        sender: text(3),
        results: words[4].split(' ').collect(),
        explanation: text(5),
    }
}

#[test]
fn every_case_of_the_published_suite() {
    let suite = include_str!("rfc7208/suite.txt");
    let (mut wrong, mut count) = (Vec::new(), 0);
    for scenario in suite.split("\nscenario ").skip(1) {
        let (title, body) = scenario.split_once('\n').unwrap();
        let mut zone = Zone::default();
        for line in body.lines().filter_map(|line| line.strip_prefix("zone ")) {
            let mut words = line.splitn(3, ' ');
            let (name, kind) = (words.next().unwrap(), words.next().unwrap());
            let data = unescaped(words.next().unwrap_or(""));
            let name = String::from_utf8(unescaped(name)).unwrap();
            zone.0.entry(name).or_default().push((kind.to_owned(), data));
        }
        for case in body.lines().filter_map(|line| line.strip_prefix("case ")).map(case) {
            count += 1;
            let claim = Claim {
                address: case.address,
                helo: &case.helo,
                sender: &case.sender,
                receiver: "receiver.example",
                now: 1_400_000_000,
            };
            let checked = check(&zone, &claim);
            let said = checked.explanation.as_deref().unwrap_or("DEFAULT");
            // The RFC has the digits of IPv6 addresses in lower case, the suite in upper case.
            let explained = case.explanation == "-" || case.explanation.eq_ignore_ascii_case(said);
            if !case.results.contains(&checked.verdict.name()) || !explained {
                wrong.push(format!(
                    "{title}: {}: {} ({:?}) instead of {:?} {}",
                    case.id, checked.verdict, checked, case.results, case.explanation
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(count, 203);
}

fn zone(records: &[(&str, &str, &str)]) -> Zone {
    let mut zone = Zone::default();
    for (name, kind, data) in records {
        zone.0.entry((*name).to_owned()).or_default().push(((*kind).to_owned(), data.as_bytes().to_vec()));
    }
    zone
}

fn verdict(zone: &Zone, address: &str, sender: &str) -> &'static str {
    let claim = Claim {
        address: address.parse().unwrap(),
        helo: "mx.client.example",
        sender,
        receiver: "us.example",
        now: 0,
    };
    check(zone, &claim).verdict.name()
}

/// A chain of includes ends at the eleventh, however long it is, and the look-ups with it.
#[test]
fn deep_includes_end() {
    struct Counted(Zone, std::cell::Cell<u32>);
    impl Records for Counted {
        fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, DnsError> {
            self.1.set(self.1.get() + 1);
            self.0.txt(name)
        }
        fn ipv4(&self, name: &str) -> Result<Vec<Ipv4Addr>, DnsError> {
            self.0.ipv4(name)
        }
        fn ipv6(&self, name: &str) -> Result<Vec<Ipv6Addr>, DnsError> {
            self.0.ipv6(name)
        }
        fn mx(&self, name: &str) -> Result<Vec<String>, DnsError> {
            self.0.mx(name)
        }
        fn ptr(&self, address: IpAddr) -> Result<Vec<String>, DnsError> {
            self.0.ptr(address)
        }
    }
    let mut deep = Zone::default();
    for number in 0..1000 {
        let record = format!("v=spf1 include:d{}.example -all", number + 1).into_bytes();
        deep.0.insert(format!("d{number}.example"), vec![("TXT".into(), record)]);
    }
    let deep = Counted(deep, std::cell::Cell::new(0));
    let claim = Claim {
        address: "192.0.2.1".parse().unwrap(),
        helo: "x.example",
        sender: "a@d0.example",
        receiver: "us.example",
        now: 0,
    };
    let checked = check(&deep, &claim);
    assert_eq!(checked.verdict.name(), "permerror");
    assert!(deep.1.get() <= 11, "{} look-ups", deep.1.get());
}

/// A host without an address of the client's kind is nothing unusual among mail exchangers.
#[test]
fn hosts_of_the_other_kind_do_not_count_as_void() {
    let zone = zone(&[
        ("x.example", "TXT", "v=spf1 mx -all"),
        ("x.example", "MX", "1 a.x.example"),
        ("x.example", "MX", "2 b.x.example"),
        ("x.example", "MX", "3 c.x.example"),
        ("x.example", "MX", "4 d.x.example"),
        ("a.x.example", "A", "192.0.2.1"),
        ("b.x.example", "A", "192.0.2.2"),
        ("c.x.example", "A", "192.0.2.3"),
        ("d.x.example", "AAAA", "2001:db8::4"),
    ]);
    assert_eq!(verdict(&zone, "2001:db8::4", "a@x.example"), "pass");
    assert_eq!(verdict(&zone, "2001:db8::5", "a@x.example"), "fail");
    assert_eq!(verdict(&zone, "::ffff:192.0.2.3", "a@x.example"), "pass");
}

/// What a domain says of its failures becomes part of a reply: one line, printable, short.
#[test]
fn an_explanation_cannot_forge_a_reply() {
    let long = "x".repeat(5000);
    let zone = zone(&[
        ("x.example", "TXT", "v=spf1 -all exp=e.x.example"),
        ("e.x.example", "TXT", "no%_for %{s} from %{c} at %{r} %{t}"),
        ("y.example", "TXT", "v=spf1 -all exp=e.y.example"),
        ("e.y.example", "TXT", "bad\r\n250 ok"),
        ("z.example", "TXT", "v=spf1 -all exp=e.z.example"),
        ("e.z.example", "TXT", &long),
    ]);
    let explained = |sender| {
        let claim = Claim {
            address: "192.0.2.1".parse().unwrap(),
            helo: "h.example",
            sender,
            receiver: "us.example",
            now: 7,
        };
        check(&zone, &claim).explanation
    };
    assert_eq!(
        explained("a@x.example").as_deref(),
        Some("no for a@x.example from 192.0.2.1 at us.example 7")
    );
    assert_eq!(explained("a@y.example"), None);
    assert_eq!(explained("a@z.example").map(|text| text.len()), Some(400));
}

/// RFC 8616 §4: domains beyond ASCII are looked up as A-labels; local parts beyond it match nothing.
#[test]
fn addresses_beyond_ascii() {
    let zone = zone(&[
        ("xn--bcher-kva.example", "TXT", "v=spf1 exists:%{l}.%{d} -all"),
        ("joe.xn--bcher-kva.example", "A", "127.0.0.2"),
        ("xn--jo-bja.xn--bcher-kva.example", "A", "127.0.0.2"),
    ]);
    assert_eq!(verdict(&zone, "192.0.2.1", "joe@b\u{fc}cher.example"), "pass");
    assert_eq!(verdict(&zone, "192.0.2.1", "jo\u{e9}@b\u{fc}cher.example"), "fail");
}

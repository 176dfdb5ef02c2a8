//! Who is never slowed: networks and accounts that an administrator named, each until a time of its own
//! (`run/guess.allow`, `docs/formats/guesses.md`).

use std::fs;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::Path;

use base::network::Network;

/// Lines of the list, and so the cost of a question.
pub const LINES_MAX: usize = 1000;
/// Bytes that are read of the file.
const BYTES_MAX: u64 = 2 * 1024 * 1024;
/// Bytes of an account's name.
const ACCOUNT_BYTES_MAX: usize = 1024;
/// Leading bits of the largest network that may be named: no registry ever gave more than a /8, or a /16 of IPv6, to one
/// organisation, so what is larger is a slip that favours everybody.
const BITS_4_MIN: u8 = 8;
const BITS_6_MIN: u8 = 16;

/// Who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Favoured {
    Network(Network),
    /// In lower case.
    Account(String),
}

impl Favoured {
    /// A network, or else the name of an account as users say it when they log in.
    ///
    /// # Errors
    /// It is neither; one line.
    pub fn parse(text: &str) -> Result<Favoured, String> {
        if let Some(network) = Network::parse(text) {
            return Ok(Favoured::Network(network));
        }
        let is_name = !text.is_empty()
            && text.len() <= ACCOUNT_BYTES_MAX
            && !text.contains(|c: char| c.is_whitespace() || c.is_control());
        if is_name && !text.contains('/') {
            return Ok(Favoured::Account(text.to_lowercase()));
        }
        Err(format!("{}: neither a network, such as 192.0.2.0/24, nor an account", base::escape(text)))
    }

    /// Whether it is a network so large that guessing would hardly be slowed any more.
    pub fn is_too_wide(&self) -> bool {
        match self {
            Favoured::Network(network) if network.is_ipv4() => network.bits() < BITS_4_MIN,
            Favoured::Network(network) => network.bits() < BITS_6_MIN,
            Favoured::Account(_) => false,
        }
    }
}

/// As it is parsed.
impl std::fmt::Display for Favoured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Favoured::Network(network) => write!(f, "{network}"),
            Favoured::Account(account) => f.write_str(account),
        }
    }
}

/// What it means for a log-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Favour {
    None,
    /// It is not slowed; wrong passwords count for where they come from.
    Account,
    /// It is not slowed, and nothing is counted.
    Network,
}

/// One line: who, and until when in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    pub whom: Favoured,
    pub until: i64,
}

/// The list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    pub lines: Vec<Allowance>,
}

impl Allowed {
    /// The list in this file; an empty one when there is none. Lines that cannot be read favour nobody, and are gone when it is
    /// written again.
    ///
    /// # Errors
    /// The system's.
    pub fn read(path: &Path) -> io::Result<Allowed> {
        let mut text = Vec::new();
        match fs::File::open(path) {
            Ok(file) => file.take(BYTES_MAX).read_to_end(&mut text)?,
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Allowed::default()),
            Err(why) => return Err(why),
        };
        let lines = String::from_utf8_lossy(&text).lines().filter_map(line).take(LINES_MAX).collect();
        Ok(Allowed { lines })
    }

    /// Writes it in the place of the former one.
    ///
    /// # Errors
    /// The system's.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut text = String::new();
        for Allowance { whom, until } in &self.lines {
            let kind = match whom {
                Favoured::Network(_) => "network",
                Favoured::Account(_) => "account",
            };
            text.push_str(&format!("{kind} {until} {whom}\n"));
        }
        base::replace::durable_replace(path, text.as_bytes(), 0o600)
    }

    /// Whether anybody is favoured by name.
    pub fn names_accounts(&self) -> bool {
        self.lines.iter().any(|line| matches!(line.whom, Favoured::Account(_)))
    }

    /// What a log-in by one of these names, in lower case, from this address may claim. `now` in seconds since 1970.
    pub fn favour(&self, peer: IpAddr, names: &[&str], now: i64) -> Favour {
        let mut found = Favour::None;
        for line in self.lines.iter().filter(|line| line.until > now) {
            match &line.whom {
                Favoured::Network(network) if network.contains(peer) => return Favour::Network,
                Favoured::Account(name) if names.contains(&name.as_str()) => found = Favour::Account,
                _ => {}
            }
        }
        found
    }
}

/// `network SECONDS 192.0.2.0/24` or `account SECONDS joe`
fn line(text: &str) -> Option<Allowance> {
    let mut words = text.splitn(3, ' ');
    let (kind, until, name) = (words.next()?, words.next()?.parse().ok()?, words.next()?);
    let whom = Favoured::parse(name).ok()?;
    let is_kind = match whom {
        Favoured::Network(_) => kind == "network",
        Favoured::Account(_) => kind == "account",
    };
    is_kind.then_some(Allowance { whom, until })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn favour(list: &Allowed, peer: &str, account: &str, now: i64) -> Favour {
        list.favour(peer.parse().unwrap(), &[account], now)
    }

    #[test]
    fn the_list_is_read_as_it_is_written_and_ends_line_by_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("guess.allow");
        assert_eq!(Allowed::read(&path).unwrap(), Allowed::default());
        let lines = [("192.0.2.0/24", 100), ("Joe@Example.org", 200), ("2001:db8::/32", 300)];
        let lines = lines.map(|(whom, until)| Allowance { whom: Favoured::parse(whom).unwrap(), until });
        let list = Allowed { lines: lines.to_vec() };
        list.write(&path).unwrap();
        assert_eq!(Allowed::read(&path).unwrap(), list);
        assert_eq!(favour(&list, "::ffff:192.0.2.9", "x", 99), Favour::Network);
        assert_eq!(favour(&list, "192.0.2.9", "x", 100), Favour::None);
        assert_eq!(favour(&list, "192.0.3.9", "joe@example.org", 199), Favour::Account);
        assert_eq!(favour(&list, "192.0.3.9", "joe", 199), Favour::None);
        fs::write(&path, "nonsense\naccount x y\nnetwork 500 joe\naccount 500 10.0.0.1\naccount 500 al\n")
            .unwrap();
        let read = Allowed::read(&path).unwrap();
        assert_eq!(read.lines.len(), 1, "what cannot be read favours nobody: {read:?}");
    }

    #[test]
    fn networks_of_nearly_all_are_too_wide() {
        for (whom, too_wide) in [
            ("0.0.0.0/0", true),
            ("::/0", true),
            ("10.0.0.0/7", true),
            ("10.0.0.0/8", false),
            ("2000::/3", true),
            ("2001::/15", true),
            ("2001::/16", false),
            ("192.0.2.9", false),
            ("joe", false),
        ] {
            assert_eq!(Favoured::parse(whom).unwrap().is_too_wide(), too_wide, "{whom}");
        }
    }

    #[test]
    fn neither_network_nor_account_is_said_so() {
        for wrong in ["", "a b", "192.0.2.0/33", "a\nb"] {
            assert!(Favoured::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}

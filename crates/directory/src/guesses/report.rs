//! What is counted, for an administrator to look at, and how it is forgotten.

use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::Ordering;

use base::network::{Network, of_client, of_site};

use super::allowed::{Allowed, Favoured};
use super::subject::{self, Subject};
use super::table::{Area, Table};
use super::{Guesses, millis};

/// What wrong passwords are counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    Address = 1,
    Network = 2,
    /// A name that was typed.
    Name = 3,
    /// An account, in a network where it logged in lately.
    KnownAccount = 4,
    /// A user, by whichever name.
    Account = 5,
}

impl Kind {
    pub fn from_number(number: u8) -> Option<Kind> {
        [Kind::Address, Kind::Network, Kind::Name, Kind::KnownAccount, Kind::Account]
            .into_iter()
            .find(|kind| *kind as u8 == number)
    }

    pub fn word(self) -> &'static str {
        match self {
            Kind::Address => "address",
            Kind::Network => "network",
            Kind::Name => "name",
            Kind::Account => "account",
            Kind::KnownAccount => "known",
        }
    }
}

/// What is counted for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    pub kind: Kind,
    /// A stranger may have written it. A network or an address is without its bits; of a known account the network, or `-` for
    /// this host, comes first.
    pub name: String,
    pub wrong: u32,
    pub max: u32,
    /// Until when it is slowed, and until when something of it is remembered; milliseconds since 1970.
    pub slowed_until: Option<u64>,
    pub remembered_until: u64,
    /// When its next log-in has a turn.
    pub next: u64,
}

impl Counted {
    /// As people write it: `192.0.2.0/24`.
    pub fn shown(&self) -> String {
        let net = |text: &str, bits_4: &str, bits_6: &str| match text.parse::<IpAddr>() {
            Ok(ip) if ip.is_ipv4() => format!("{text}{bits_4}"),
            Ok(_) => format!("{text}{bits_6}"),
            Err(_) => text.to_owned(),
        };
        match self.kind {
            Kind::Address => net(&self.name, "", "/64"),
            Kind::Network => net(&self.name, "/24", "/48"),
            Kind::Name | Kind::Account => self.name.clone(),
            Kind::KnownAccount => {
                let (from, account) = self.name.split_once(' ').unwrap_or(("-", &self.name));
                let from = if from == "-" { "this host".to_owned() } else { net(from, "/24", "/48") };
                format!("{account} from {from}")
            }
        }
    }
}

impl Counted {
    /// Until when, in seconds since 1970, it is not slowed whatever it counts, since the list favours it or all that it is part
    /// of. Of a user, each name is to stand in the list by itself.
    pub fn allowed_until(&self, list: &Allowed, now: i64) -> Option<i64> {
        let shown = self.shown();
        let (account, network) = match self.kind {
            Kind::Address | Kind::Network => (None, Some(shown.as_str())),
            Kind::Name | Kind::Account => (Some(shown.as_str()), None),
            Kind::KnownAccount => match shown.rsplit_once(" from ") {
                Some((account, from)) => (Some(account), Some(from)),
                None => (Some(shown.as_str()), None),
            },
        };
        let network = network.and_then(Network::parse);
        let favours = |whom: &Favoured| match whom {
            Favoured::Network(favoured) => network.is_some_and(|network| favoured.covers(&network)),
            Favoured::Account(favoured) => account == Some(favoured.as_str()),
        };
        let lines = list.lines.iter().filter(|line| line.until > now && favours(&line.whom));
        lines.map(|line| line.until).max()
    }
}

impl Guesses {
    /// Everything for which something counts now: the slowed first, then by kind and name.
    pub fn counted(&self, now: u64) -> Vec<Counted> {
        let mut found = Vec::new();
        for (key, name, slot) in self.table().named() {
            // Torn, or a slot that is another's by now.
            let Some((kind, name)) = subject::parse(&name, key, self.table().key) else { continue };
            let max = match kind {
                Kind::Address => self.limits.address_max,
                Kind::Network => self.limits.network_max,
                Kind::Name | Kind::Account | Kind::KnownAccount => self.limits.account_max,
            }
            .max(1);
            let wrong = self.wrong(slot, max, now);
            if wrong == 0 {
                continue;
            }
            let each = self.limits.one_forgotten_in(max);
            let remembered_until = self.table().first(slot).load(Ordering::Acquire);
            let below = remembered_until.saturating_sub(each.saturating_mul(u64::from(max - 1)));
            let slowed_until = (wrong >= max && millis(self.limits.space_max) > 0).then_some(below);
            let next = self.next(slot, now);
            found.push(Counted { kind, name, wrong, max, slowed_until, remembered_until, next });
        }
        found.sort_by(|a, b| {
            (a.slowed_until.is_none(), a.kind, &a.name).cmp(&(b.slowed_until.is_none(), b.kind, &b.name))
        });
        found
    }

    /// Forgets the wrong passwords of an address and its network, or of a name and the account with this uid, wherever they
    /// came from. How many counts.
    pub fn clear(&self, whom: &str) -> usize {
        let account = whom.to_lowercase();
        let plain = whom.split_once('/').map_or(whom, |(ip, _)| ip);
        let ip: Option<IpAddr> = plain.parse().ok().map(|ip: IpAddr| ip.to_canonical());
        let mut cleared = 0;
        let keys = match ip {
            Some(ip) => vec![Subject::Address(of_client(ip)), Subject::Network(of_site(ip))],
            None => vec![Subject::Name(&account), Subject::Account(&account)],
        };
        for key in keys.iter().map(|subject| subject.key(self.table().key)) {
            if let Some(slot) = self.table().find(Area::Counts, key) {
                self.table().clear(slot, key);
                cleared += 1;
            }
        }
        for (key, name, slot) in self.table().named().filter(|_| ip.is_none()) {
            let is_pair = name.kind == Kind::KnownAccount as u8;
            let text = String::from_utf8_lossy(&name.text);
            if is_pair && text.split_once(' ').is_some_and(|(_, of)| of == account) {
                self.table().clear(slot, key);
                cleared += 1;
            }
        }
        cleared
    }

    /// Forgets all wrong passwords; who is known stays known. How many counts.
    pub fn clear_all(&self) -> usize {
        let said: Vec<_> = self.table().taken(Area::Said).collect();
        let counts: Vec<_> = self.table().taken(Area::Counts).collect();
        for (key, slot) in said.iter().chain(&counts) {
            self.table().clear(*slot, *key);
        }
        counts.len()
    }

    /// Changes the list of who is never slowed; every process knows at its next log-in. For one administrator at a time: two
    /// at once wait for each other.
    ///
    /// # Errors
    /// The system's, or that of `change`; nothing was changed then. Or the table was damaged meanwhile: it was changed, and daemons
    /// that run may not know.
    pub fn change_allowed(
        &self,
        run_dir: &Path,
        change: impl FnOnce(&mut Allowed) -> Result<(), String>,
    ) -> Result<(), String> {
        let path = Guesses::allowed_file(run_dir);
        let told = |why: std::io::Error| format!("{}: {why}", path.display());
        let file = base::replace::lock_file(&run_dir.join("guess.lock")).map_err(told)?;
        let wait = std::time::Duration::from_secs(5);
        let _lock =
            os::lock::OfdLock::acquire(&std::sync::Arc::new(file), 1, os::lock::Mode::Exclusive, wait)
                .map_err(told)?;
        let mut list = Allowed::read(&path).map_err(told)?;
        let now = base::clock::unix_seconds();
        list.lines.retain(|line| line.until > now);
        change(&mut list)?;
        list.write(&path).map_err(told)?;
        self.table().next_generation();
        // A daemon that started meanwhile may have made another table, and have read the former list already.
        match Table::present(&Guesses::table_file(run_dir)) {
            Ok(Some(present)) => present.next_generation(),
            Ok(None) => {}
            Err(why) => return Err(format!("{}: {why}", Guesses::table_file(run_dir).display())),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::allowed::Allowance;
    use super::*;

    #[test]
    fn who_is_allowed_is_told_from_who_is_slowed() {
        let lines = [("198.51.100.0/22", 90), ("2001:db8::/40", 80), ("joe", 70), ("joe", 60)];
        let lines = lines.map(|(whom, until)| Allowance { whom: Favoured::parse(whom).unwrap(), until });
        let list = Allowed { lines: lines.to_vec() };
        let until = |kind, name: &str, now| {
            let name = name.to_owned();
            let (wrong, max, slowed_until, remembered_until, next) = (10, 10, Some(1), 1, 1);
            Counted { kind, name, wrong, max, slowed_until, remembered_until, next }.allowed_until(&list, now)
        };
        assert_eq!(until(Kind::Address, "198.51.100.7", 1), Some(90));
        assert_eq!(until(Kind::Network, "198.51.101.0", 1), Some(90));
        assert_eq!(until(Kind::Network, "198.51.101.0", 90), None, "it is over");
        assert_eq!(until(Kind::Network, "198.51.104.0", 1), None);
        assert_eq!(until(Kind::Address, "2001:db8:0:7::", 1), Some(80));
        assert_eq!(until(Kind::Name, "joe", 1), Some(70));
        assert_eq!(until(Kind::Account, "joe", 1), Some(70));
        assert_eq!(until(Kind::Account, "joe", 70), None);
        assert_eq!(until(Kind::Account, "198.51.100.7", 1), None, "a name is no address");
        assert_eq!(until(Kind::KnownAccount, "- joe", 1), Some(70));
        assert_eq!(until(Kind::KnownAccount, "198.51.100.0 ann", 1), Some(90));
        assert_eq!(until(Kind::KnownAccount, "203.0.113.0 ann", 1), None);
    }
}

//! `service.smtp.authmaildomain`: the peers that must log in before they send (S132 to S135; guide L709-723).
//!
//! Addresses only, separated by blanks. A part of an IPv4 address stands for all that begin like it as text, so `202.11`
//! is 202.11.x.x and 202.110.x.x, and `202.11.` the first alone. `!` exempts, and wins. A mask behind a tab is applied to
//! both sides before they are compared. Ours: `address/bits`, IPv6 addresses, and IPv6 groups up to a colon (`2001:db8:`).

use std::net::{IpAddr, Ipv4Addr};

use super::clients::octet;
use crate::network::Network;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Everybody,
    Prefix(String),
    Masked { address: u32, mask: u32 },
    Network(Network),
}

/// The whole list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MustLogIn {
    restricted: Vec<Item>,
    exempt: Vec<Item>,
}

impl MustLogIn {
    /// Every address.
    pub fn everybody() -> MustLogIn {
        MustLogIn { restricted: vec![Item::Everybody], exempt: Vec::new() }
    }

    /// # Errors
    /// The first item that is no address, as one clear clause.
    pub fn parse(text: &str) -> Result<MustLogIn, String> {
        let mut list = MustLogIn::default();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            let (word, behind) = rest.split_at(end);
            let (address, exempt) = word.strip_prefix('!').map_or((word, false), |address| (address, true));
            let (mask, behind) = match behind.strip_prefix('\t') {
                Some(behind) => {
                    let end = behind.find(char::is_whitespace).unwrap_or(behind.len());
                    (Some(&behind[..end]), &behind[end..])
                }
                None => (None, behind),
            };
            let item = match mask {
                None => plain(address).ok_or_else(|| format!("'{word}' is no address or part of one"))?,
                Some(mask) => masked(address, mask).ok_or_else(|| {
                    format!("'{word}' and, behind the tab, '{mask}' are no address and mask")
                })?,
            };
            if exempt {
                list.exempt.push(item)
            } else {
                list.restricted.push(item)
            }
            rest = behind.trim_start();
        }
        Ok(list)
    }

    /// Whether this peer must.
    pub fn includes(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        let text = peer.to_string();
        let meant = |items: &[Item]| {
            items.iter().any(|item| match (item, peer) {
                (Item::Prefix(prefix), IpAddr::V4(_)) => text.starts_with(prefix.as_str()),
                (Item::Everybody, _) => true,
                (Item::Masked { address, mask }, IpAddr::V4(peer)) => {
                    u32::from(peer) & mask == address & mask
                }
                (Item::Network(network), peer) => network.contains(peer),
                (Item::Prefix(_) | Item::Masked { .. }, IpAddr::V6(_)) => false,
            })
        };
        meant(&self.restricted) && !meant(&self.exempt)
    }
}

fn plain(word: &str) -> Option<Item> {
    if let Some(network) = Network::parse(word) {
        return Some(Item::Network(network));
    }
    if let Some(groups) = word.strip_suffix(':').filter(|groups| !groups.ends_with(':')) {
        let count = groups.split(':').count();
        let address = format!("{groups}::/{}", count.checked_mul(16)?);
        return Network::parse(&address).filter(|_| (1..8).contains(&count)).map(Item::Network);
    }
    partial(word).map(|_| Item::Prefix(word.to_owned()))
}

fn masked(address: &str, mask: &str) -> Option<Item> {
    Some(Item::Masked { address: partial(address)?.into(), mask: partial(mask)?.into() })
}

/// The octets that are there; those that are not are zero.
fn partial(word: &str) -> Option<Ipv4Addr> {
    let mut octets = [0u8; 4];
    let parts: Vec<&str> = word.strip_suffix('.').unwrap_or(word).split('.').collect();
    if parts.len() > 4 || (parts.len() == 4 && word.ends_with('.')) {
        return None;
    }
    for (place, part) in octets.iter_mut().zip(parts) {
        *place = octet(part)?;
    }
    Some(octets.into())
}

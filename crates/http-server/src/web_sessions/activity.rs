//! What was done with an account at the web mail, for its owner to look at: two short text files beside the sessions.
//!
//! What the owner did is in one, what strangers tried in the other, a line for each network of theirs: however often they try, they
//! move none of the owner's lines out, and one network's thousand tries are one line.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use base::network::of_site;

use super::record::short;
use super::{WebSessions, lock, user_key};

/// Bytes of the owner's file from which its older half is dropped.
const BYTES_MAX: u64 = 16 * 1024;
/// Networks whose tries are kept, those that tried last.
const NETWORKS_MAX: usize = 40;
/// How long the tries of a network are counted together after the last of them.
const TOGETHER_SECONDS: i64 = 30 * 86_400;
/// What is said of a sign-in with a wrong password.
const REFUSED: &str = "refused";

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// Seconds since 1970; of several, of the last one.
    pub at: i64,
    /// `signed-in`, `refused`, `signed-out`, `revoked`.
    pub what: String,
    pub peer: String,
    pub agent: String,
    /// How often.
    pub times: u64,
}

impl WebSessions {
    /// Notes a deed of the owner's.
    ///
    /// # Errors
    /// The system's.
    pub fn note(&self, uid: &str, what: &str, peer: IpAddr, agent: &str) -> io::Result<()> {
        let folder = self.root.join(user_key(uid));
        base::replace::private_folder(&folder)?;
        let path = folder.join("activity");
        let _lock = lock(&folder)?;
        cut(&path)?;
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
        let line = format!("{} {what} {peer} {}\n", base::clock::unix_seconds(), short(agent));
        file.write_all(line.as_bytes())
    }

    /// Notes that somebody said a wrong password. Of users that there are only: others could fill the disk.
    ///
    /// # Errors
    /// The system's.
    pub fn note_refusal(&self, uid: &str, peer: IpAddr, agent: &str) -> io::Result<()> {
        let folder = self.root.join(user_key(uid));
        base::replace::private_folder(&folder)?;
        let path = folder.join("refusals");
        let _lock = lock(&folder)?;
        let now = base::clock::unix_seconds();
        let mut refusals = refusals(&path);
        let network = of_site(peer);
        let is_same = |one: &Deed| {
            now.saturating_sub(one.at) < TOGETHER_SECONDS
                && one.peer.parse().is_ok_and(|other: IpAddr| of_site(other) == network)
        };
        let before = refusals.iter().position(is_same).map(|place| refusals.remove(place));
        let times = before.map_or(1, |before| before.times.saturating_add(1));
        let peer = peer.to_canonical().to_string();
        refusals.push(Deed { at: now, what: REFUSED.into(), peer, agent: short(agent), times });
        let first = refusals.len().saturating_sub(NETWORKS_MAX);
        let lines = refusals[first..].iter().map(|one| {
            let Deed { at, peer, agent, times, .. } = one;
            format!("{at} {times} {peer} {agent}\n")
        });
        replace(&folder, "refusals", &lines.collect::<String>())
    }

    /// The deeds that are still noted, the newest first.
    pub fn deeds(&self, uid: &str) -> Vec<Deed> {
        let folder = self.root.join(user_key(uid));
        let text = fs::read_to_string(folder.join("activity")).unwrap_or_default();
        let mut found: Vec<Deed> = text.lines().filter_map(deed).collect();
        found.extend(refusals(&folder.join("refusals")));
        found.sort_by_key(|deed| deed.at); // of one second in the order of the files
        found.reverse();
        found
    }
}

/// At most so many deeds, the newest first: what strangers tried takes no more than half of the places.
pub fn shown(deeds: Vec<Deed>, most: usize) -> Vec<Deed> {
    let strangers = deeds.iter().filter(|deed| deed.what == REFUSED).count();
    let owners = deeds.len().saturating_sub(strangers);
    let mut strangers_left = strangers.min((most / 2).max(most.saturating_sub(owners)));
    let mut owners_left = most.saturating_sub(strangers_left);
    let has_place = |deed: &Deed| {
        let left = if deed.what == REFUSED { &mut strangers_left } else { &mut owners_left };
        let has = *left > 0;
        *left = left.saturating_sub(1);
        has
    };
    deeds.into_iter().filter(has_place).collect()
}

fn deed(line: &str) -> Option<Deed> {
    let mut words = line.splitn(4, ' ');
    let mut next = || words.next().map(str::to_owned);
    let (at, what, peer) = (next()?.parse().ok()?, next()?, next()?);
    Some(Deed { at, what, peer, agent: next().unwrap_or_default(), times: 1 })
}

/// What strangers tried, the oldest first.
fn refusals(path: &Path) -> Vec<Deed> {
    let mut text = String::new();
    let Ok(file) = fs::File::open(path) else { return Vec::new() };
    let _ = file.take(BYTES_MAX * 4).read_to_string(&mut text); // damaged: what is readable of it
    let line = |line: &str| {
        let mut words = line.splitn(4, ' ');
        let (at, times, peer) = (words.next()?, words.next()?, words.next()?);
        let agent = words.next().unwrap_or_default().to_owned();
        let (at, times) = (at.parse().ok()?, times.parse().ok()?);
        Some(Deed { at, what: REFUSED.into(), peer: peer.to_owned(), agent, times })
    };
    text.lines().filter_map(line).collect()
}

/// Whole or not at all, and not synced: a count of strangers' tries is not worth a wait for the disk.
fn replace(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    let temporary = folder.join(format!("{name}.new"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    fs::rename(&temporary, folder.join(name))
}

/// Drops the older half of a file that is too long.
fn cut(path: &Path) -> io::Result<()> {
    if fs::metadata(path).map_or(0, |found| found.len()) < BYTES_MAX {
        return Ok(());
    }
    let text = fs::read_to_string(path)?;
    let half = text.len() / 2;
    let from = text.bytes().skip(half).position(|byte| byte == b'\n').map_or(text.len(), |at| half + at + 1);
    base::replace::durable_replace(path, &text.as_bytes()[from..], 0o600)
}

//! Guessing of passwords, slowed by where it comes from and whom it is about.
//!
//! Wrong passwords are counted by address (IPv4 /32, IPv6 /64), by network (/24, /48), by the name that was typed and by the
//! user whom it means, in a file that all daemons of the host share ([`table`]), bounded and forgetful. Below a limit nothing
//! happens. From it on, log-ins of that address, network or name have a turn each, with a space between two that doubles with
//! every further wrong password; who comes waits for the next turn, and is refused when that is too far away
//! ([`Guesses::arrive`]). How many connections a guesser has, and to how many daemons, makes no difference, and neither does
//! a restart.
//!
//! The count of the user holds over all of the user's names, and is not told from outside: a wait or a refusal at one name,
//! after guesses at another, would say that both are there and whose they are. So a password whose user has no turn is not
//! looked at and said to be wrong ([`Guesses::may_look`]), while what is seen depends on the name that was typed, whether it
//! is anybody's or not.
//!
//! Whoever logged in from this network lately is not touched by what others do there or do to the account: only by the
//! wrong passwords for this account from this network, and then waits a little and is never refused. This host itself is
//! no network: webmail and proxies bring everybody's log-ins. The same wrong password again, by a program that was not
//! told of a new one, is no further guess unless it comes quickly. Whom the administrator favours ([`allowed`]) is not slowed.

pub mod allowed;
mod report;
#[cfg(test)]
mod shared_tests;
mod subject;
mod table;
#[cfg(test)]
mod tests;

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use base::latest::Latest;
use base::network::{of_client, of_site};
use server_config::Config;
use server_config::parameters::service;

use allowed::{Allowed, Favour};
pub use report::{Counted, Kind};
use subject::Subject;
use table::{Area, Name, Slot, Table};

/// The first space between two turns; it doubles.
const SPACE_FIRST: Duration = Duration::from_secs(1);
/// Whose turn is further away is refused.
pub const WAIT_MAX: Duration = Duration::from_secs(15);
/// Longest wait of somebody who is known.
const KNOWN_WAIT_MAX: Duration = Duration::from_secs(5);
/// Wrong passwords that count above a limit: more would only take longer to be forgotten.
const ABOVE_MAX: u32 = 12;
/// A wrong password that was said already counts again when it comes within this time.
const REPEAT: Duration = Duration::from_secs(60);
/// Bits by which a wrong password is known again. So few tell nothing about it to who has the file.
const SAID_BITS: u32 = 12;
/// That somebody is known is written again when so much of its time has passed.
const KNOWN_AGAIN: Duration = Duration::from_secs(3600);
/// When a file is looked at again that could not be had.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// How often a turn is tried for while others take turns at the same moment.
const TRIES: usize = 16;

/// Milliseconds since 1970: the clock of everything here.
pub fn now() -> u64 {
    u64::try_from(base::clock::unix_nanos() / 1_000_000).unwrap_or(0)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// How much guessing is borne.
#[derive(Clone, Debug)]
pub struct Limits {
    pub address_max: u32,
    pub network_max: u32,
    pub account_max: u32,
    /// Longest space between two turns.
    pub space_max: Duration,
    /// Time after which as many wrong passwords as a limit has are forgotten, one after the other.
    pub remembered_for: Duration,
    /// How long a log-in makes its network a known one for the account.
    pub known_for: Duration,
    /// Entries of each table.
    pub entries_max: usize,
}

impl Limits {
    pub fn from_config(config: &Config) -> Limits {
        let small = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
        Limits {
            address_max: small(config.get(&service::GUESS_ADDRESS_MAX)),
            network_max: small(config.get(&service::GUESS_NETWORK_MAX)),
            account_max: small(config.get(&service::GUESS_ACCOUNT_MAX)),
            space_max: config.get(&service::GUESS_SPACE_MAX),
            remembered_for: config.get(&service::GUESS_TTL),
            known_for: config.get(&service::GUESS_KNOWN_TTL),
            entries_max: usize::try_from(config.get(&service::GUESS_TABLE_SIZE)).unwrap_or(0),
        }
    }

    fn of(&self, subject: &Subject<'_>) -> u32 {
        match subject {
            Subject::Address(_) => self.address_max,
            Subject::Network(_) => self.network_max,
            Subject::Name(_) | Subject::Account(_) | Subject::Pair(..) => self.account_max,
        }
        .max(1)
    }

    /// The time in which one wrong password is forgotten.
    fn one_forgotten_in(&self, max: u32) -> u64 {
        (millis(self.remembered_for) / u64::from(max.max(1))).max(1)
    }

    /// How far ahead the time can be at which everything is forgotten.
    fn most_above(&self, max: u32) -> u64 {
        self.one_forgotten_in(max).saturating_mul(u64::from(max.saturating_add(ABOVE_MAX)))
    }

    fn space(&self, wrong: u32, max: u32) -> u64 {
        let above = wrong.saturating_sub(max).min(ABOVE_MAX);
        millis(SPACE_FIRST.saturating_mul(1 << above).min(self.space_max))
    }
}

/// Who tries to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// Nothing on this host.
    place: Option<Place>,
    peer: IpAddr,
    /// As it was typed, in lower case.
    name: String,
    /// Keys of the tables: the name, and the name in this network.
    name_key: u64,
    name_pair: u64,
    /// Whom it means, when that is known and there is such a user.
    user: Option<User>,
    /// The name with this password; nothing when it is not known which it is.
    said: Option<u64>,
    favour: Favour,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct User {
    /// As [`crate::names::user_of`] has it.
    user: String,
    /// Keys of the tables: the user, and the user in this network.
    key: u64,
    pair: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    address: IpAddr,
    network: IpAddr,
    address_key: u64,
    network_key: u64,
}

impl Who {
    /// As it was typed, in lower case.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whom it means, if that is known.
    pub fn user(&self) -> Option<&str> {
        self.user.as_ref().map(|user| user.user.as_str())
    }

    /// The network, for whoever counts by it.
    pub fn network(&self) -> Option<u64> {
        self.place.map(|place| place.network_key)
    }

    fn of_pair(&self) -> Subject<'_> {
        Subject::Pair(self.user().unwrap_or(&self.name), self.place.map(|place| place.network))
    }

    fn pair(&self) -> u64 {
        self.user.as_ref().map_or(self.name_pair, |user| user.pair)
    }
}

/// The time in a word, and no later than it can be: after a clock was put back, or damage, it is brought back.
fn bounded(word: &AtomicU64, most: u64) -> u64 {
    let found = word.load(Ordering::Acquire);
    if found <= most {
        return found;
    }
    match word.compare_exchange(found, most, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => most,
        Err(other) => other.min(most),
    }
}

/// When a log-in has its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing slows it.
    Now,
    /// After this time, which may be none; the turn is taken for it.
    After(Duration),
    /// Too far away.
    Never,
}

/// Something that slows a log-in.
struct Slowing {
    slot: Slot,
    next: u64,
    /// Space to the turn after it.
    space: u64,
}

/// See the head of this file. Everything may be called by many threads, and by many processes over the same file.
pub struct Guesses {
    limits: Limits,
    /// Another one when the file was cut, or is another one.
    table: Latest<Table>,
    file: Option<Mutex<Watched>>,
    allowed: RwLock<Held>,
    allowed_path: Option<PathBuf>,
}

/// The file that is looked at again; held by who maps it anew.
struct Watched {
    path: PathBuf,
    /// Not before then: it could not be had.
    not_before: Option<Instant>,
}

/// The list of who is favoured, with the generation of the table that it was read for; none when it was not read yet.
#[derive(Default)]
struct Held {
    generation: Option<u64>,
    list: Arc<Allowed>,
}

impl Guesses {
    /// Of this process alone.
    pub fn own(limits: Limits) -> Guesses {
        let table = Table::own(limits.entries_max);
        Guesses::over(limits, table, None, None)
    }

    /// Shared by all processes with this `run/` folder.
    ///
    /// # Errors
    /// One line: its file can be neither used nor made.
    pub fn shared(limits: Limits, run_dir: &Path) -> Result<Guesses, String> {
        let path = Guesses::table_file(run_dir);
        let table =
            Table::open(&path, limits.entries_max).map_err(|why| format!("{}: {why}", path.display()))?;
        Ok(Guesses::over(limits, table, Some(path), Some(Guesses::allowed_file(run_dir))))
    }

    /// What the daemons share, for a tool: of whatever size it is, since they have it in memory. Before the first of them
    /// started nothing is counted; nothing is made.
    ///
    /// # Errors
    /// One line: the file is damaged or cannot be read.
    pub fn of_daemons(limits: Limits, run_dir: &Path) -> Result<Guesses, String> {
        let path = Guesses::table_file(run_dir);
        let table = match Table::present(&path) {
            Ok(found) => found.unwrap_or_else(|| Table::own(0)),
            Err(why) => return Err(format!("{}: {why}", path.display())),
        };
        Ok(Guesses::over(limits, table, None, Some(Guesses::allowed_file(run_dir))))
    }

    fn table_file(run_dir: &Path) -> PathBuf {
        run_dir.join("guess.table")
    }

    /// Where the list is of who is never slowed.
    pub fn allowed_file(run_dir: &Path) -> PathBuf {
        run_dir.join("guess.allow")
    }

    fn over(limits: Limits, table: Table, file: Option<PathBuf>, allowed_path: Option<PathBuf>) -> Guesses {
        let file = file.map(|path| Mutex::new(Watched { path, not_before: None }));
        let table = Latest::new(table);
        Guesses { limits, table, file, allowed: RwLock::default(), allowed_path }
    }

    fn table(&self) -> &Table {
        self.table.get()
    }

    /// Asked with each wrong password: whether the file that is in memory is still the one that the others have. If not, it is
    /// mapped anew, or made anew of what this process knows.
    fn look_at_file(&self) {
        let Some(Ok(mut file)) = self.file.as_ref().map(Mutex::try_lock) else { return };
        let is_too_soon = file.not_before.is_some_and(|moment| Instant::now() < moment);
        if is_too_soon || self.table().is_in_place(&file.path) {
            return;
        }
        let renewed = self.table().renewed(&file.path).map(|table| self.table.replace(table));
        if !matches!(renewed, Ok(Ok(()))) {
            file.not_before = Instant::now().checked_add(LOOK_AGAIN); // until then it is this process's own
        }
    }

    /// Who it is that says this password, or whatever else could be guessed; `None` when each is another one. Whom the name
    /// means is not known yet.
    pub fn who(&self, peer: IpAddr, login: &str, password: Option<&str>) -> Who {
        let (name, peer, hash) = (login.to_lowercase(), peer.to_canonical(), self.table().key);
        let place = (!peer.is_loopback()).then(|| {
            let (address, network) = (of_client(peer), of_site(peer));
            let (address_key, network_key) =
                (Subject::Address(address).key(hash), Subject::Network(network).key(hash));
            Place { address, network, address_key, network_key }
        });
        let said = password.map(|password| {
            let tag = hash.hash(&[b"password", name.as_bytes(), password.as_bytes()]) >> (64 - SAID_BITS);
            hash.hash(&[b"said", name.as_bytes(), &tag.to_le_bytes()])
        });
        let favour = self.favour(peer, &[&name]);
        let name_key = Subject::Name(&name).key(hash);
        let name_pair = Subject::Pair(&name, place.map(|place| place.network)).key(hash);
        Who { place, peer, name, name_key, name_pair, user: None, said, favour }
    }

    /// The same, of whom it is known by now which user the name means.
    pub fn of_user(&self, mut who: Who, user: &str) -> Who {
        let hash = self.table().key;
        who.favour = self.favour(who.peer, &[&who.name, user]);
        let pair = Subject::Pair(user, who.place.map(|place| place.network)).key(hash);
        who.user = Some(User { user: user.to_owned(), key: Subject::Account(user).key(hash), pair });
        who
    }

    fn favour(&self, peer: IpAddr, names: &[&str]) -> Favour {
        // What cannot be read favours nobody, and the next log-in reads it again.
        let Some(Ok(list)) = self.allowed_path.as_deref().map(|path| self.list(path)) else {
            return Favour::None;
        };
        if list.lines.is_empty() {
            Favour::None
        } else {
            list.favour(peer, names, base::clock::unix_seconds())
        }
    }

    /// The list of the present generation.
    fn list(&self, path: &Path) -> io::Result<Arc<Allowed>> {
        let generation = self.table().generation();
        {
            let held = self.allowed.read().unwrap_or_else(PoisonError::into_inner);
            if held.generation == Some(generation) {
                return Ok(held.list.clone());
            }
        }
        let list = Arc::new(Allowed::read(path)?);
        let mut held = self.allowed.write().unwrap_or_else(PoisonError::into_inner);
        // Not when it was changed while this was read: what is held may be newer.
        if self.table().generation() == generation {
            *held = Held { generation: Some(generation), list: list.clone() };
        }
        Ok(list)
    }

    /// Whether this account logged in from this network lately.
    pub fn is_known(&self, who: &Who, now: u64) -> bool {
        self.is_known_by(who.pair(), now)
    }

    fn is_known_by(&self, key: u64, now: u64) -> bool {
        let until =
            self.table().find(Area::Known, key).map(|slot| self.table().first(slot).load(Ordering::Acquire));
        // No more than the parameter says, if the clock was put back.
        until.is_some_and(|until| until.min(now.saturating_add(millis(self.limits.known_for))) > now)
    }

    /// Key of [`Area::Known`]: somebody is known in this network, or on this host.
    fn somebody(&self, who: &Who) -> u64 {
        self.table().key.hash(&[b"somebody", &who.network().unwrap_or(0).to_le_bytes()])
    }

    /// Whether it is put off, whomever the name means: then nobody need be asked who that is.
    pub fn is_put_off_anyway(&self, who: &Who, now: u64) -> bool {
        let by_name = || {
            let list = self.allowed_path.as_deref().map(|path| self.list(path));
            list.is_some_and(|list| list.is_ok_and(|list| list.names_accounts()))
        };
        if who.favour != Favour::None || self.is_known_by(self.somebody(who), now) || by_name() {
            return false;
        }
        self.slowing(who, now).iter().any(|one| one.next.saturating_sub(now) > millis(WAIT_MAX))
    }

    /// What a log-in can be seen to wait for, with its key.
    fn subjects<'w>(&self, who: &'w Who, now: u64) -> Vec<(Subject<'w>, u64)> {
        if self.is_known(who, now) {
            return vec![(who.of_pair(), who.pair())];
        }
        let mut subjects = Vec::with_capacity(4);
        if who.favour != Favour::Account {
            subjects.push((Subject::Name(&who.name), who.name_key));
        }
        if let Some(place) = who.place {
            subjects.push((Subject::Address(place.address), place.address_key));
            subjects.push((Subject::Network(place.network), place.network_key));
        }
        subjects
    }

    /// The user, where the wrong passwords for all of the names count.
    fn unseen_subject<'w>(&self, who: &'w Who, now: u64) -> Option<(Subject<'w>, u64)> {
        let user = who.user.as_ref()?;
        let counts = who.favour == Favour::None && !self.is_known(who, now);
        counts.then(|| (Subject::Account(&user.user), user.key))
    }

    /// Wrong passwords that count in a slot now.
    fn wrong(&self, slot: Slot, max: u32, now: u64) -> u32 {
        let each = self.limits.one_forgotten_in(max);
        let most = now.saturating_add(self.limits.most_above(max));
        let wrong = bounded(self.table().first(slot), most).saturating_sub(now).div_ceil(each);
        u32::try_from(wrong).unwrap_or(u32::MAX)
    }

    /// The next turn of a slot, which may be over.
    fn next(&self, slot: Slot, now: u64) -> u64 {
        let most = now.saturating_add(millis(WAIT_MAX)).saturating_add(millis(self.limits.space_max));
        bounded(self.table().second(slot), most)
    }

    fn slowing(&self, who: &Who, now: u64) -> Vec<Slowing> {
        let slowing = |(subject, key): (Subject<'_>, u64)| {
            let max = self.limits.of(&subject);
            let slot = self.table().find(Area::Counts, key)?;
            let wrong = self.wrong(slot, max, now);
            let next = self.next(slot, now);
            (wrong >= max).then(|| Slowing { slot, next, space: self.limits.space(wrong, max) })
        };
        self.subjects(who, now).into_iter().filter_map(slowing).collect()
    }

    /// A log-in asks for its turn. `After` takes the turn.
    pub fn arrive(&self, who: &Who, now: u64) -> Turn {
        if who.favour != Favour::None {
            return Turn::Now;
        }
        let known = self.is_known(who, now);
        for _ in 0..TRIES {
            let slowing = self.slowing(who, now);
            let Some(furthest) = slowing.iter().max_by_key(|one| one.next) else { return Turn::Now };
            let mut wait = furthest.next.saturating_sub(now);
            if known {
                wait = wait.min(millis(KNOWN_WAIT_MAX));
            } else if wait > millis(WAIT_MAX) {
                return Turn::Never;
            }
            let due = now.saturating_add(wait);
            // Whoever changes the furthest has the turn; the others follow.
            let (word, next) = (self.table().second(furthest.slot), due.saturating_add(furthest.space));
            if word.compare_exchange(furthest.next, next, Ordering::AcqRel, Ordering::Acquire).is_err() {
                continue;
            }
            for other in slowing.iter().filter(|other| other.slot != furthest.slot) {
                let word = self.table().second(other.slot);
                let _ = word.compare_exchange(
                    other.next,
                    due.saturating_add(other.space),
                    Ordering::AcqRel,
                    Ordering::Acquire,
                );
            }
            return Turn::After(Duration::from_millis(wait));
        }
        if known { Turn::After(KNOWN_WAIT_MAX) } else { Turn::Never }
    }

    /// A log-in whose turn has come: whether the user has one too, over all names. It is taken then. If not, its password is not
    /// looked at and is wrong.
    pub fn may_look(&self, who: &Who, now: u64) -> bool {
        let Some((subject, key)) = self.unseen_subject(who, now) else { return true };
        let Some(slot) = self.table().find(Area::Counts, key) else { return true };
        let max = self.limits.of(&subject);
        for _ in 0..TRIES {
            let (wrong, next) = (self.wrong(slot, max, now), self.next(slot, now));
            if wrong < max {
                return true;
            }
            // Turns of the only name that is guessed at are these too, but for what a busy machine takes to come here.
            if next > now.saturating_add(millis(SPACE_FIRST)) {
                return false;
            }
            let then = next.max(now).saturating_add(self.limits.space(wrong, max));
            if self
                .table()
                .second(slot)
                .compare_exchange(next, then, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
            {
                return true;
            }
        }
        false
    }

    /// The password was wrong.
    pub fn failed(&self, who: &Who, now: u64) {
        if who.favour == Favour::Network || self.was_said(who, now) {
            return;
        }
        let subjects = self.subjects(who, now).into_iter().chain(self.unseen_subject(who, now));
        self.count(subjects.collect(), now);
    }

    /// The password was not looked at, and said to be wrong: it counts where that is seen, as if it were.
    pub fn failed_unseen(&self, who: &Who, now: u64) {
        if who.favour != Favour::Network && !self.was_said(who, now) {
            self.count(self.subjects(who, now), now);
        }
    }

    fn count(&self, subjects: Vec<(Subject<'_>, u64)>, now: u64) {
        self.look_at_file();
        for (subject, key) in subjects {
            let Some(slot) = self.table().place(Area::Counts, key, || subject.name()) else { return };
            let max = self.limits.of(&subject);
            let each = self.limits.one_forgotten_in(max);
            let most = now.saturating_add(self.limits.most_above(max));
            let more = |level: u64| Some(level.max(now).saturating_add(each).min(most));
            let _ = self.table().first(slot).fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
            let wrong = self.wrong(slot, max, now);
            if wrong >= max {
                let next = self.next(slot, now).max(now.saturating_add(self.limits.space(wrong, max)));
                self.table().second(slot).fetch_max(next, Ordering::AcqRel);
            }
        }
    }

    /// Whether the same was said before, and not just now. It is noted.
    fn was_said(&self, who: &Who, now: u64) -> bool {
        let Some(said) = who.said else { return false };
        let Some(slot) = self.table().place(Area::Said, said, Name::none) else { return false };
        let before = self.table().first(slot).swap(now, Ordering::AcqRel);
        let ago = now.saturating_sub(before);
        before <= now && ago >= millis(REPEAT) && ago < millis(self.limits.remembered_for)
    }

    /// The password was right: this network is known for the user, and for the name until it is known again whose it is. When
    /// it is known already, it costs a few reads.
    pub fn succeeded(&self, who: &Who, now: u64) {
        let known_for = millis(self.limits.known_for);
        if known_for == 0 {
            return;
        }
        let (full, again) = (now.saturating_add(known_for), millis(KNOWN_AGAIN).min(known_for / 2));
        let is_fresh = |key: u64| {
            self.table().find(Area::Known, key).is_some_and(|slot| {
                let until = self.table().first(slot).load(Ordering::Acquire);
                until <= full && until.saturating_add(again) > full
            })
        };
        let user_pair = who.user.as_ref().map(|user| user.pair);
        let keys =
            [Some(self.somebody(who)), Some(who.name_pair), user_pair.filter(|pair| *pair != who.name_pair)];
        for key in keys.into_iter().flatten().filter(|key| !is_fresh(*key)) {
            if let Some(slot) = self.table().place(Area::Known, key, Name::none) {
                self.table().first(slot).store(full, Ordering::Release);
            }
        }
    }
}

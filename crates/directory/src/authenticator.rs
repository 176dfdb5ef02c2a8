//! Log-ins: the password, the service, and the cache of both (S127 to S130).
//!
//! A log-in that succeeded is remembered for `service.authcachettl` in this process, by user and a keyed hash of the
//! password, never the password. Another password asks the directory, so a new one works at once. The former one goes on
//! with LDAP until its entry in the cache ends (NMS); the embedded directory knows without being asked that an entry has
//! changed ([`Directory::edition`]), and a log-in ends with the password that it was for, or with the user. Whether the
//! user may still log in is read again every minute. A wrong password is remembered for a few seconds, so that a program
//! that repeats it costs nothing; a stranger's is as well ([`crate::strangers`]), so the time of a second try tells nobody apart.
//!
//! Passwords for one program ([`crate::app_passwords`]) are looked for first, since that takes microseconds; what the cache
//! knows of them is the entry only, so what they admit is looked at each time. A user with a second factor logs in to web
//! mail alone with the password itself; elsewhere it is refused, as a wrong one is.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use counters::Counter;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use sasl::Claim;
use sasl::scram::{Hash, Verifier};
use server_config::Config;
use server_config::parameters::service;

use crate::app_passwords::{self, Given};
use crate::strangers::{self, Strangers};
use crate::tokens::NoToken;
use crate::{Directory, Entry, Found, Mechanisms, Result, Service, by_login, log_line, password};

/// How old the status of a user may be.
const STATUS_AGE_MAX: Duration = Duration::from_secs(60);

/// What came of a log-in.
#[derive(Clone, Debug)]
pub enum LogIn {
    Accepted(Arc<Entry>),
    /// Unknown user or wrong password; which is not told.
    Refused,
    /// The password is right, and opens nothing here by itself: the account has a second factor, and other programs than web mail
    /// want an app password. The client is answered as with [`LogIn::Refused`], and it counts as that; the log says it.
    NeedsAppPassword,
    /// The password is right, the service is not allowed (S109).
    Disallowed,
    /// The directory does not answer; try later.
    Unavailable(String),
    /// Too many others wait ([`crate::LogIns`]); try later.
    Busy,
    /// Too many wrong passwords from there or for this account; try later. This one was not looked at.
    TooManyGuesses,
}

/// Who wants to log in by SCRAM.
pub(crate) struct Subject {
    pub entry: Option<Arc<Entry>>,
    pub verifier: Verifier,
    /// They are the entry's, and not made up.
    pub has_keys: bool,
}

/// What the directory said of a name just now.
#[derive(Clone)]
pub(crate) struct Looked {
    pub found: Found,
    /// Of the entry, as it was then.
    edition: Option<u64>,
}

type Mac = [u8; 32];

struct Remembered {
    entry: Arc<Entry>,
    right: Option<(Mac, Instant)>,
    wrong: Option<(Mac, Instant)>,
    status_read: Instant,
    /// Of the entry when the passwords were compared.
    edition: Option<u64>,
    /// Place in the order of use.
    used: u64,
}

#[derive(Default)]
struct Cache {
    by_login: HashMap<String, Remembered>,
    order: BTreeMap<u64, String>,
    clock: u64,
}

/// What servers ask who is there.
pub struct Authenticator {
    directory: Arc<dyn Directory>,
    cache: Mutex<Cache>,
    strangers: Strangers,
    key: Option<PKey<Private>>,
    time_to_live: Duration,
    entries_max: usize,
}

impl Authenticator {
    /// With the cache of `service.authcachettl` and `service.authcachesize`; a zero in either turns it off.
    pub fn new(directory: Arc<dyn Directory>, config: &Config) -> Authenticator {
        let entries = usize::try_from(config.get(&service::AUTH_CACHE_SIZE)).unwrap_or(0);
        Authenticator::with_cache(directory, config.get(&service::AUTH_CACHE_TTL), entries)
    }

    pub fn with_cache(
        directory: Arc<dyn Directory>,
        time_to_live: Duration,
        entries_max: usize,
    ) -> Authenticator {
        let mut key = [0u8; 32];
        let random = openssl::rand::rand_bytes(&mut key).is_ok();
        let key = random.then(|| PKey::hmac(&key).ok()).flatten();
        let usable = key.is_some() && !time_to_live.is_zero();
        Authenticator {
            directory,
            cache: Mutex::default(),
            strangers: Strangers::new(entries_max / 2),
            key,
            time_to_live,
            entries_max: if usable { entries_max } else { 0 },
        }
    }

    /// The directory behind it.
    pub fn directory(&self) -> &Arc<dyn Directory> {
        &self.directory
    }

    /// The answer that needs neither the directory nor a hash: the password is remembered as right.
    pub fn remembered(&self, service: Service, login: &str, password: &str, peer: IpAddr) -> Option<LogIn> {
        let name = login.to_lowercase();
        if let Some(given) = Given::from(password) {
            let name = of_program(&name, &given);
            if let Recall::Right(entry, true) = self.recall(&name, &self.mac(&name, password)?) {
                counters::add(Counter::CacheHits, 1);
                return by_program(&entry, service, &given, peer);
            }
        }
        match self.recall(&name, &self.mac(&name, password)?) {
            Recall::Right(entry, true) => {
                counters::add(Counter::CacheHits, 1);
                Some(by_password(entry, service))
            }
            _ => None,
        }
    }

    /// Asks the directory whom a name means.
    ///
    /// # Errors
    /// As the directory's.
    pub(crate) fn look(&self, login: &str) -> Result<Looked> {
        let found = by_login(self.directory.as_ref(), login)?;
        let edition = match &found {
            Found::One(entry) => self.directory.edition(entry),
            _ => None,
        };
        Ok(Looked { found, edition })
    }

    /// What was looked up already, or else is now.
    fn looked(&self, login: &str, looked: Option<&Looked>) -> Result<Looked> {
        looked.map_or_else(|| self.look(login), |looked| Ok(looked.clone()))
    }

    /// Checks a password. `login` is a uid or an address. Slow: sessions ask [`crate::LogIns`].
    pub fn log_in(&self, service: Service, login: &str, password: &str, peer: IpAddr) -> LogIn {
        self.log_in_looked(service, login, password, peer, None)
    }

    /// Takes as long as [`Authenticator::log_in`] of nobody, and lets nobody in.
    pub(crate) fn pretend(&self, login: &str, password: &str, looked: Option<&Looked>) -> LogIn {
        if let Err(why) = self.looked(login, looked) {
            return LogIn::Unavailable(why.to_string());
        }
        self.directory.check_nobody(password);
        LogIn::Refused
    }

    /// With what the directory said of `login` just now.
    pub(crate) fn log_in_looked(
        &self,
        service: Service,
        login: &str,
        password: &str,
        peer: IpAddr,
        looked: Option<&Looked>,
    ) -> LogIn {
        if let Some(given) = Given::from(password) {
            match self.entry_for_program(login, password, &given, looked) {
                Ok(Some(entry)) => {
                    if let Some(log_in) = by_program(&entry, service, &given, peer) {
                        return log_in;
                    }
                }
                Ok(None) => {}
                Err(why) => return LogIn::Unavailable(why.to_string()),
            }
        }
        match self.entry_of(login, password, looked) {
            Ok(None) => LogIn::Refused,
            Ok(Some(entry)) => by_password(entry, service),
            Err(why) => LogIn::Unavailable(why.to_string()),
        }
    }

    /// The user, as fresh as for another password. It is remembered when the password is one of the user's.
    fn entry_for_program(
        &self,
        login: &str,
        password: &str,
        given: &Given,
        looked: Option<&Looked>,
    ) -> Result<Option<Arc<Entry>>> {
        let name = login.to_lowercase();
        let key = of_program(&name, given);
        let mac = self.mac(&key, password);
        if let Some(Recall::Right(entry, true)) = mac.map(|mac| self.recall(&key, &mac)) {
            counters::add(Counter::CacheHits, 1);
            return Ok(Some(entry));
        }
        counters::add(Counter::CacheMisses, 1);
        let Looked { found: Found::One(entry), edition } = self.looked(&name, looked)? else {
            return Ok(None);
        };
        if let Some(mac) = mac.filter(|_| entry.app_passwords.iter().any(|one| one.is(given))) {
            self.remember(key, entry.clone(), edition, mac, true);
        }
        Ok(Some(entry))
    }

    /// Who wants to log in by SCRAM, and what the proof is checked with. Who is not there, or has no such keys, gets some
    /// of nobody's password. Slow: sessions ask [`crate::LogIns`].
    ///
    /// # Errors
    /// As the directory's.
    pub(crate) fn scram_keys(
        &self,
        mechanisms: &Mechanisms,
        login: &str,
        hash: Hash,
        looked: Option<&Looked>,
    ) -> Result<Subject> {
        let entry = match self.looked(login, looked)?.found {
            Found::One(entry) => Some(entry),
            _ => None,
        };
        let stored = self.directory.stored_passwords(entry.as_deref())?;
        let keys = password::scram_keys(&stored, hash);
        // Also for who has keys: it takes the same time.
        let named = entry.as_ref().and_then(|entry| entry.uid.as_deref()).unwrap_or(login);
        let made_up = mechanisms.made_up(hash, named);
        Ok(Subject { has_keys: keys.is_some(), verifier: keys.unwrap_or(made_up), entry })
    }

    /// What comes of a claim that is no password, and why not, for the log. Slow: sessions ask [`crate::LogIns`].
    pub(crate) fn believe(
        &self,
        mechanisms: &Mechanisms,
        service: Service,
        claim: &Claim,
        names: &[String],
        looked: Option<&Looked>,
    ) -> (LogIn, &'static str) {
        let login = match claim {
            Claim::Token { user, token } => {
                let Some(issuer) = mechanisms.issuer() else { return (LogIn::Refused, log_line::WRONG) };
                let login = match issuer.login_of(token.reveal(), base::clock::unix_seconds()) {
                    Ok(login) => login,
                    Err(NoToken::Bad(why)) => return (LogIn::Refused, why),
                    Err(NoToken::Keys(why)) => return (LogIn::Unavailable(why), ""),
                };
                let is_user = |entry: &Entry| user.is_empty() || entry.is_named(user);
                return self.admitted(service, self.look(&login), is_user, log_line::OTHER_TOKEN);
            }
            Claim::Digest { authcid, challenge, digest } => {
                let right = |entry: Option<&Entry>| -> Result<bool> {
                    let stored = self.directory.stored_passwords(entry)?;
                    Ok(password::is_digest_of(&stored, challenge, digest) && entry.is_some())
                };
                let looked = match self.looked(authcid, looked) {
                    Ok(looked) => looked,
                    Err(why) => return (LogIn::Unavailable(why.to_string()), ""),
                };
                let entry = match &looked.found {
                    Found::One(entry) => Some(entry.as_ref()),
                    _ => None,
                };
                return match right(entry) {
                    Err(why) => (LogIn::Unavailable(why.to_string()), ""),
                    Ok(false) => (LogIn::Refused, log_line::WRONG),
                    Ok(true) => {
                        let open = |entry: &Entry| entry.password_opens(service);
                        self.admitted(service, Ok(looked), open, log_line::NEEDS_APP_PASSWORD)
                    }
                };
            }
            Claim::External { .. } => {
                for name in names {
                    let looked = self.look(name);
                    if !matches!(looked, Ok(Looked { found: Found::Nobody | Found::Several(_), .. })) {
                        return self.admitted(service, looked, |_| true, log_line::WRONG);
                    }
                }
                return (LogIn::Refused, log_line::NO_SUCH_ACCOUNT);
            }
            Claim::Anonymous { .. } => match mechanisms.anonymous(service) {
                Some(uid) => uid,
                None => return (LogIn::Refused, log_line::WRONG),
            },
        };
        let (log_in, why) = self.admitted(service, self.look(login), |_| true, log_line::WRONG);
        (of_anybody(log_in), why)
    }

    /// Somebody who is believed to be who was `looked` up, if there is such a user who is `fit`.
    fn admitted(
        &self,
        service: Service,
        looked: Result<Looked>,
        fit: impl Fn(&Entry) -> bool,
        why: &'static str,
    ) -> (LogIn, &'static str) {
        match looked.map(|looked| looked.found) {
            Err(why) => (LogIn::Unavailable(why.to_string()), ""),
            Ok(Found::One(entry)) if !fit(&entry) => (LogIn::Refused, why),
            Ok(Found::One(entry)) if !entry.may_use(service) => (LogIn::Disallowed, ""),
            Ok(Found::One(entry)) => (LogIn::Accepted(entry), ""),
            Ok(_) => (LogIn::Refused, log_line::NO_SUCH_ACCOUNT),
        }
    }

    fn entry_of(&self, login: &str, password: &str, looked: Option<&Looked>) -> Result<Option<Arc<Entry>>> {
        let name = login.to_lowercase();
        let mac = self.mac(&name, password);
        if let Some(mac) = mac {
            let mut known = self.recall(&name, &mac);
            if matches!(known, Recall::Nothing) && self.is_repeating_stranger(&name, &mac, looked)? {
                known = Recall::Wrong;
            }
            let is_known = !matches!(known, Recall::Nothing);
            counters::add(if is_known { Counter::CacheHits } else { Counter::CacheMisses }, 1);
            match known {
                Recall::Right(entry, true) => return Ok(Some(entry)),
                Recall::Right(entry, false) => return self.read_status(&name, &entry, looked),
                Recall::Wrong => return Ok(None),
                Recall::Nothing => {}
            }
        }
        // The edition is read before the password is checked: a change meanwhile makes it an old one.
        let Looked { found: Found::One(entry), edition } = self.looked(login, looked)? else {
            self.directory.check_nobody(password);
            if let (Some(mac), Some(name)) = (mac, self.mac_of(&[&name])) {
                self.strangers.note(name, mac, Instant::now());
            }
            return Ok(None);
        };
        let right = self.directory.check_password(&entry, password)?;
        if let Some(mac) = mac {
            self.remember(name, entry.clone(), edition, mac, right);
        }
        Ok(right.then_some(entry))
    }

    /// Whether nobody of this name said the same a moment ago. A user who was made meanwhile is no stranger, where that costs
    /// nothing to know.
    fn is_repeating_stranger(&self, name: &str, mac: &Mac, looked: Option<&Looked>) -> Result<bool> {
        let is_last = |name: Mac| self.strangers.repeats(&name, mac, Instant::now());
        if !self.mac_of(&[name]).is_some_and(is_last) {
            return Ok(false);
        }
        let is_user = |looked: &Looked| matches!(looked.found, Found::One(_));
        match looked {
            Some(looked) => Ok(!is_user(looked)),
            None if self.directory.is_at_hand() => Ok(!is_user(&self.look(name)?)),
            None => Ok(true),
        }
    }

    fn mac(&self, name: &str, password: &str) -> Option<Mac> {
        self.mac_of(&[name, "\0", password])
    }

    /// Of the pieces as one text.
    fn mac_of(&self, pieces: &[&str]) -> Option<Mac> {
        if self.entries_max == 0 {
            return None;
        }
        let mut signer = Signer::new(MessageDigest::sha256(), self.key.as_ref()?).ok()?;
        for piece in pieces {
            signer.update(piece.as_bytes()).ok()?;
        }
        signer.sign_to_vec().ok()?.try_into().ok()
    }

    fn recall(&self, name: &str, mac: &Mac) -> Recall {
        let now = Instant::now();
        let known = self.cache.lock().unwrap_or_else(PoisonError::into_inner).entry(name);
        // Asked without the lock: the directory may be reading its file.
        let edition = known.and_then(|entry| self.directory.edition(&entry));
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.touch(name);
        let Some(remembered) = cache.by_login.get(name) else { return Recall::Nothing };
        if edition != remembered.edition {
            cache.forget(name);
            return Recall::Nothing;
        }
        let holds = |known: &Option<(Mac, Instant)>, age: Duration| {
            known.as_ref().is_some_and(|(known, since)| {
                now.duration_since(*since) < age && openssl::memcmp::eq(known, mac)
            })
        };
        if holds(&remembered.right, self.time_to_live) {
            let fresh = now.duration_since(remembered.status_read) < STATUS_AGE_MAX;
            return Recall::Right(remembered.entry.clone(), fresh);
        }
        if holds(&remembered.wrong, strangers::AGE_MAX) {
            return Recall::Wrong;
        }
        Recall::Nothing
    }

    /// The user as the directory has it now, the password being remembered. Gone or replaced: nothing.
    fn read_status(&self, name: &str, former: &Entry, looked: Option<&Looked>) -> Result<Option<Arc<Entry>>> {
        let found = self.looked(name, looked)?.found;
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        match found {
            Found::One(entry) if entry.dn == former.dn => {
                if let Some(remembered) = cache.by_login.get_mut(name) {
                    remembered.entry = entry.clone();
                    remembered.status_read = Instant::now();
                }
                Ok(Some(entry))
            }
            _ => {
                cache.forget(name);
                Ok(None)
            }
        }
    }

    fn remember(&self, name: String, entry: Arc<Entry>, edition: Option<u64>, mac: Mac, right: bool) {
        let now = Instant::now();
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        match cache.by_login.get_mut(&name) {
            Some(remembered) => {
                remembered.entry = entry;
                remembered.edition = edition;
                remembered.status_read = now;
                if right {
                    remembered.right = Some((mac, now));
                } else {
                    remembered.wrong = Some((mac, now));
                }
            }
            None => {
                let known = Some((mac, now));
                let (right, wrong) = if right { (known, None) } else { (None, known) };
                cache.clock += 1;
                let used = cache.clock;
                cache.order.insert(used, name.clone());
                let remembered = Remembered { entry, right, wrong, status_read: now, edition, used };
                cache.by_login.insert(name, remembered);
            }
        }
        while cache.by_login.len() > self.entries_max {
            let Some((_, oldest)) = cache.order.pop_first() else { break };
            cache.by_login.remove(&oldest);
        }
    }

    /// Forgets one user, or everybody.
    pub fn flush(&self, login: Option<&str>) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        match login {
            Some(login) => cache.forget(&login.to_lowercase()),
            None => {
                *cache = Cache::default();
                self.strangers.forget_all();
            }
        }
    }
}

/// The name under which the cache has it; no login has a NUL.
fn of_program(login: &str, given: &Given) -> String {
    format!("{login}\0{}", given.id())
}

/// What comes of a password for one program; nothing when it is none of the user's. One that is not for this service, not
/// from there, or over, is refused like a wrong one.
fn by_program(entry: &Arc<Entry>, service: Service, given: &Given, peer: IpAddr) -> Option<LogIn> {
    let known = entry.app_passwords.iter().find(|known| known.is(given))?;
    if !known.admits(service, peer, app_passwords::today()) {
        return Some(LogIn::Refused);
    }
    if !entry.may_use(service) {
        return Some(LogIn::Disallowed);
    }
    let mut limited = Entry::clone(entry);
    limited.limited = true;
    Some(LogIn::Accepted(Arc::new(limited)))
}

/// The same log-in, of who needed no password for it.
fn of_anybody(log_in: LogIn) -> LogIn {
    match log_in {
        LogIn::Accepted(entry) => {
            LogIn::Accepted(Arc::new(Entry { limited: true, anybody: true, ..Entry::clone(&entry) }))
        }
        other => other,
    }
}

/// What comes of the user's own password, which is right.
fn by_password(entry: Arc<Entry>, service: Service) -> LogIn {
    if !entry.password_opens(service) {
        return LogIn::NeedsAppPassword;
    }
    if entry.may_use(service) { LogIn::Accepted(entry) } else { LogIn::Disallowed }
}

enum Recall {
    /// And whether the status is fresh.
    Right(Arc<Entry>, bool),
    Wrong,
    Nothing,
}

impl Cache {
    /// Moves a name to the end of the order.
    fn touch(&mut self, name: &str) {
        let Some(remembered) = self.by_login.get_mut(name) else { return };
        self.clock += 1;
        if let Some(name) = self.order.remove(&remembered.used) {
            self.order.insert(self.clock, name);
        }
        remembered.used = self.clock;
    }

    fn entry(&self, name: &str) -> Option<Arc<Entry>> {
        self.by_login.get(name).map(|remembered| remembered.entry.clone())
    }

    fn forget(&mut self, name: &str) {
        if let Some(remembered) = self.by_login.remove(name) {
            self.order.remove(&remembered.used);
        }
    }
}

#[cfg(test)]
mod tests;

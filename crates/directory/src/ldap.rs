//! The directory of a site: one or several LDAP servers with the same entries.
//!
//! Users and groups are those of the object classes that the embedded directory has, and the answers are the same. A
//! password is checked by binding as the user, on a connection that does nothing else; an empty one is refused before
//! (RFC 4513 §5.1.2: the server would take it for an anonymous bind). Values become filters only by way of [`filter`].
//! No server, no answer in time, an answer that is cut: [`DirectoryError::Unavailable`], never "unknown". Entries are
//! kept for the message they were looked up for and no longer ([`kept`], S56).
//!
//! One file per idea: [`settings`] from the parameters, [`servers`] with fail-over (S176), [`pool`] (S33), [`connection`],
//! [`filter`], [`attributes`], [`members`] of groups, [`changes`] by users, [`timing`] of refusals,
//! the [`whole`] of it for who moves it.

mod attributes;
mod changes;
pub mod configuration;
mod connection;
mod filter;
mod kept;
mod members;
mod pool;
mod runtime;
mod servers;
mod settings;
mod timing;
pub(crate) mod url;
mod whole;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use ldap3::Scope;
use server_log::{Category, Log};

pub use settings::{Credential, Identity, Server, Settings, Transport};
pub use whole::Whole;

use connection::{Answer, Connector, Purpose, Search};
use filter::Filter;
use kept::Kept;
use pool::Pool;
use runtime::Failure;
use servers::Servers;
use timing::Refusals;

use crate::change::{ChangeError, Edit};
use crate::password::Schemes;
use crate::{Directory, DirectoryError, Entry, Found, Kind, Result};

/// Entries that a look-up reads: enough to see that there are several.
const LOOK_UP_MAX: usize = 10;
/// Entries of a page, when all users are listed.
const PAGE: usize = 500;
/// Longest uid or address that is looked up, in bytes.
const NAME_BYTES_MAX: usize = 1024;
/// A bind that the server refuses because of who it is for (RFC 4511 Appendix A): noSuchObject, invalidDNSyntax,
/// constraintViolation and unwillingToPerform (an account that is locked), inappropriateAuthentication (no password),
/// invalidCredentials, insufficientAccessRights.
const NOT_THIS_PASSWORD: [u32; 7] = [19, 32, 34, 48, 49, 50, 53];

/// See the head of this file.
pub struct LdapDirectory {
    servers: Arc<Servers>,
    pool: Pool,
    refusals: Refusals,
    kept: Kept,
    log: Log,
    told_of_references: AtomicBool,
}

impl LdapDirectory {
    /// Nothing is asked yet: a server that is down now may come later.
    ///
    /// # Errors
    /// The settings cannot be used: the file of certificates, one clear line.
    pub fn open(settings: Settings, log: Log) -> std::result::Result<LdapDirectory, String> {
        for warning in &settings.warnings {
            log.warning(Category::Ldap, format_args!("{warning}"));
        }
        let servers = Arc::new(Servers::new(Connector::new(settings)?, log.clone()));
        Ok(LdapDirectory {
            pool: Pool::new(Arc::clone(&servers)),
            servers,
            refusals: Refusals::default(),
            kept: Kept::default(),
            log,
            told_of_references: AtomicBool::new(false),
        })
    }

    /// Connections that are open now.
    pub fn open_connections(&self) -> usize {
        self.pool.open_connections()
    }

    fn settings(&self) -> &Settings {
        &self.servers.connector.settings
    }

    fn search(&self, filter: &Filter, size_max: usize) -> Search {
        Search {
            base: self.settings().base.clone(),
            scope: Scope::Subtree,
            filter: filter.to_string(),
            attributes: self.settings().attributes.clone(),
            size_max,
            page: None,
        }
    }

    fn note_references(&self, answer: &Answer) {
        if answer.references > 0 && !self.told_of_references.swap(true, Ordering::Relaxed) {
            let base = &self.settings().base;
            self.log.warning(
                Category::Ldap,
                format_args!("below {base} are references to other LDAP servers; they are not followed"),
            );
        }
    }

    /// The mail entries that a look-up finds, without members, and whether there are more.
    fn look_up(&self, filter: &Filter) -> Result<(Vec<Entry>, bool)> {
        let limit = self.settings().search_timeout;
        let answer = self.pool.with(Purpose::Searches, |connection| {
            connection.search(self.search(filter, LOOK_UP_MAX), limit)
        })?;
        self.note_references(&answer);
        let entries = answer.entries.into_iter();
        let entries = entries.filter_map(|found| Entry::from_attributes(&found.dn, found.attributes));
        Ok((entries.collect(), answer.cut))
    }

    fn found(&self, mut entries: Vec<Entry>) -> Result<Found> {
        match entries.len() {
            0 => Ok(Found::Nobody),
            1 => {
                let mut entry = entries.remove(0);
                members::add_members(&self.pool, self.settings(), &mut entry)?;
                Ok(Found::One(Arc::new(entry)))
            }
            several => Ok(Found::Several(several)),
        }
    }

    /// Whether the server takes `password` for the entry of this DN.
    fn bind(&self, dn: &str, password: &str) -> Result<bool> {
        let limit = self.settings().search_timeout;
        let result =
            self.pool.with(Purpose::PasswordChecks, |connection| connection.bind(dn, password, limit))?;
        match result.rc {
            0 => Ok(true),
            code if NOT_THIS_PASSWORD.contains(&code) => Ok(false),
            code => {
                let text = base::escape(&result.text);
                let why = Failure::Refused { code, text: format!("a password cannot be checked: {text}") };
                Err(DirectoryError::Unavailable(why.to_string()))
            }
        }
    }
}

/// Whether it can be somebody's name.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= NAME_BYTES_MAX
}

impl Directory for LdapDirectory {
    fn by_address(&self, address: &str) -> Result<Found> {
        if !is_name(address) {
            return Ok(Found::Nobody);
        }
        let (entries, cut) = self.look_up(&Filter::address(address))?;
        if cut {
            return Ok(Found::Several(entries.len()));
        }
        // The server's idea of equality is wider than ours (blanks), and the search asked for two things at once.
        let has =
            |entry: &Entry, wanted: &str| entry.addresses().any(|own| base::idn::comparable(own) == wanted);
        let address = base::idn::comparable(address);
        let (exact, others): (Vec<Entry>, Vec<Entry>) =
            entries.into_iter().partition(|entry| has(entry, &address));
        if !exact.is_empty() {
            return self.found(exact);
        }
        let domain = address.rfind('@').map_or("", |at| &address[at..]);
        self.found(others.into_iter().filter(|entry| has(entry, domain)).collect())
    }

    fn by_address_for(&self, message: &str, address: &str) -> Result<Found> {
        if let Some(found) = self.kept.find(message, address) {
            return Ok(found);
        }
        let found = self.by_address(address)?;
        self.kept.put(message, address, found.clone());
        Ok(found)
    }

    fn keep(&self, message: &str, address: &str, found: Found) {
        self.kept.put(message, address, found);
    }

    fn forget(&self, message: &str) {
        self.kept.forget(message);
    }

    fn addresses_at(&self, url: &str) -> Result<Vec<String>> {
        members::addresses_at(&self.pool, self.settings(), url)
    }

    fn by_uid(&self, uid: &str) -> Result<Found> {
        if !is_name(uid) {
            return Ok(Found::Nobody);
        }
        let (entries, cut) = self.look_up(&Filter::uid(uid))?;
        let uid = uid.to_lowercase();
        let is = |entry: &Entry| {
            entry.kind == Kind::User && entry.uid.as_deref().is_some_and(|own| own.to_lowercase() == uid)
        };
        if cut {
            return Ok(Found::Several(entries.len()));
        }
        self.found(entries.into_iter().filter(is).collect())
    }

    fn check_password(&self, entry: &Entry, password: &str) -> Result<bool> {
        if password.is_empty() || entry.dn.is_empty() {
            return Ok(false); // RFC 4513 §5.1.1, §5.1.2: neither would be a check
        }
        let begun = Instant::now();
        let right = self.bind(&entry.dn, password)?;
        if !right {
            self.refusals.remember(begun.elapsed());
        }
        Ok(right)
    }

    fn check_nobody(&self, password: &str) {
        if password.is_empty() {
            return;
        }
        let begun = Instant::now();
        // The way to the server and back is part of the time.
        let _ = self.bind(&format!("cn=mailboat-nobody,{}", self.settings().base), password);
        self.refusals.wait_like_one(begun);
    }

    /// One more search, of one entry; where the server shows nobody's password, nothing is found. For nobody the base is
    /// read: what is there is not asked for by name.
    fn stored_passwords(&self, entry: Option<&Entry>) -> Result<Vec<String>> {
        let base = entry.map_or(&self.settings().base, |entry| &entry.dn);
        let search = Search {
            base: base.clone(),
            scope: Scope::Base,
            filter: Filter::Present("objectClass").to_string(),
            attributes: ["userPassword", "authPassword"].map(str::to_owned).into(),
            size_max: 1,
            page: None,
        };
        let limit = self.settings().search_timeout;
        let answer =
            self.pool.with(Purpose::Searches, |connection| connection.records(search.clone(), limit))?;
        let found = answer.entries.into_iter().filter(|_| entry.is_some());
        Ok(found
            .flat_map(|found| found.attributes)
            .filter(|(name, _)| {
                crate::embedded::PASSWORDS.iter().any(|known| name.eq_ignore_ascii_case(known))
            })
            .filter_map(|(_, value)| String::from_utf8(value).ok())
            .collect())
    }

    /// The servers hash; here a check takes one of the connections, of which half are left to the searches of others.
    fn checks_at_once(&self) -> usize {
        (self.settings().pool_size / 2).max(1)
    }

    fn change(&self, entry: &Entry, edits: &[Edit]) -> std::result::Result<(), ChangeError> {
        changes::change(&self.pool, self.settings(), entry, edits)
    }

    fn change_password(
        &self,
        entry: &Entry,
        present: &str,
        new: &str,
        schemes: &Schemes,
    ) -> std::result::Result<(), ChangeError> {
        changes::change_password(&self.pool, self.settings(), entry, (present, new), schemes)
    }

    /// The server compares; what it finds is looked at again, since its idea of letters is its own.
    fn beginning_with(&self, text: &str, limit: usize) -> Result<Vec<Arc<Entry>>> {
        let text = text.trim();
        if !is_name(text) {
            return Ok(Vec::new());
        }
        let time = self.settings().search_timeout;
        let answer = self.pool.with(Purpose::Searches, |connection| {
            connection.search(self.search(&Filter::beginning_with(text), limit), time)
        })?;
        let entries = answer.entries.into_iter();
        let entries = entries.filter_map(|found| Entry::from_attributes(&found.dn, found.attributes));
        Ok(entries.take(limit).map(Arc::new).collect())
    }

    /// Reads every user each time, by pages: LDAP has no portable way to begin in the middle.
    fn users(&self, after: Option<&str>, limit: usize) -> Result<Vec<Arc<Entry>>> {
        let after = after.map(str::to_lowercase);
        let time = self.settings().search_timeout;
        self.pool.with(Purpose::Searches, |connection| {
            let mut first: BTreeMap<String, Arc<Entry>> = BTreeMap::new();
            let mut page = Some(Vec::new());
            while let Some(at) = page.take() {
                let search = Search { page: Some(at), ..self.search(&Filter::users(), PAGE) };
                let answer = connection.search(search, time)?;
                self.note_references(&answer);
                if answer.cut {
                    let text = "the server does not list all users: raise its size limit".into();
                    return Err(Failure::Refused { code: 4, text });
                }
                page = answer.next_page;
                for found in answer.entries {
                    let Some(entry) = Entry::from_attributes(&found.dn, found.attributes) else { continue };
                    let Some(uid) = entry.uid.as_deref().map(str::to_lowercase) else { continue };
                    let wanted = after.as_deref().is_none_or(|after| uid.as_str() > after);
                    if entry.kind == Kind::User && wanted {
                        first.entry(uid).or_insert_with(|| Arc::new(entry));
                    }
                    if first.len() > limit {
                        first.pop_last();
                    }
                }
            }
            Ok(first.into_values().collect())
        })
    }
}

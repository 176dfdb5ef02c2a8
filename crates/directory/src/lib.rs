//! Who exists and who may: users and groups, their addresses and passwords.
//!
//! One trait, [`Directory`], for every kind of directory: LDAP servers ([`ldap`]), and the embedded one ([`embedded`]), an
//! LDIF file with the object classes and attributes of the LDAP schema, which can be loaded into a real directory on the
//! day it is outgrown. [`LogIns`] is what sessions ask, without waiting; [`Authenticator`] behind it holds the cache of
//! log-ins.

pub mod app_passwords;
pub mod authentication;
pub mod authenticator;
pub mod change;
mod deputies;
pub mod domains;
mod dynamic;
pub mod edit;
pub mod embedded;
pub mod entry;
pub mod guesses;
pub mod identifier;
pub mod ldap;
pub mod ldif;
mod letters;
pub mod lines;
pub mod log_ins;
pub mod log_line;
pub mod mechanisms;
mod memberships;
mod names;
pub mod password;
pub mod preferences;
mod recipient;
pub mod recovery_codes;
pub mod schema;
pub mod second_factor;
mod site_secret;
mod strangers;
pub mod tokens;

use std::fmt;
use std::sync::Arc;

use server_config::parameters::{local, service_smtp_modules};
use server_config::{Config, Instance};
use server_log::Log;

pub use app_passwords::AppPassword;
pub use authentication::{Authentication, Progress, Verdict};
pub use authenticator::{Authenticator, LogIn};
pub use change::{ChangeError, Edit};
pub use deputies::{Deputies, NoDeputy};
pub use domains::LocalDomains;
pub use embedded::Embedded;
pub use entry::{DeliveryOptions, Entry, Kind, Service};
pub use ldap::LdapDirectory;
pub use log_ins::{Answer, Asked, LogIns, Pending};
pub use log_line::{BadLogIn, GoodLogIn, LogInPutOff};
pub use mechanisms::{Choice, Mechanisms, Safety};
pub use memberships::Memberships;
pub use recipient::{Fallback, Question, recipient};
pub use second_factor::{Code, SecondFactors};

/// What was found under an address or uid.
#[derive(Clone, Debug)]
pub enum Found {
    Nobody,
    One(Arc<Entry>),
    /// So many entries claim it: a mistake of the administrator's (S54 for the postmaster).
    Several(usize),
}

impl Found {
    /// Whether the address itself was found, and not only who takes everything of its domain.
    fn is_owner_of(&self, address: &str) -> bool {
        match self {
            Found::Nobody => false,
            Found::One(entry) => entry.has_address(address),
            Found::Several(_) => true,
        }
    }
}

/// Why there is no answer. It never means "unknown".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectoryError {
    /// Ask again later.
    Unavailable(String),
    /// The file of the embedded directory, or the settings of LDAP, cannot be used: somebody must mend them.
    Unusable(String),
}

impl fmt::Display for DirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DirectoryError::Unavailable(why) => write!(f, "the directory does not answer: {why}"),
            DirectoryError::Unusable(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for DirectoryError {}

pub type Result<T> = std::result::Result<T, DirectoryError>;

/// A source of users and groups. Calls may block; servers make them in workers.
pub trait Directory: Send + Sync {
    /// The user or group with this address, `mail` or `mailAlternateAddress`, in any case.
    fn by_address(&self, address: &str) -> Result<Found>;

    /// As [`Directory::by_address`], for a recipient of this message: each address is looked up once for a message, from
    /// [`Directory::keep`] to [`Directory::forget`] (S56). A directory whose look-ups cost nothing keeps nothing.
    ///
    /// # Errors
    /// As [`Directory::by_address`].
    fn by_address_for(&self, _message: &str, address: &str) -> Result<Found> {
        self.by_address(address)
    }

    /// Keeps what was found for an address of this message.
    fn keep(&self, _message: &str, _address: &str, _found: Found) {}

    /// The message needs no more look-ups.
    fn forget(&self, _message: &str) {}

    /// The addresses of the users and groups that an LDAP URL (RFC 4516) finds in this directory; one of another is an
    /// error.
    fn addresses_at(&self, _url: &str) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// The user with this uid, in any case.
    fn by_uid(&self, uid: &str) -> Result<Found>;

    /// Whether `password` is the entry's.
    fn check_password(&self, entry: &Entry, password: &str) -> Result<bool>;

    /// Takes as long as [`Directory::check_password`], for a user that does not exist.
    fn check_nobody(&self, password: &str);

    /// What is stored of an entry's password, as far as the directory shows it. For nobody it takes as long, and is nothing.
    ///
    /// # Errors
    /// As [`Directory::by_address`].
    fn stored_passwords(&self, _entry: Option<&Entry>) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// A number that is another one once the entry, or its password, is another or is gone; log-ins that were remembered
    /// end with it. `None`: it cannot be told without asking (LDAP), so they live as long as `service.authcachettl` says.
    fn edition(&self, _entry: &Entry) -> Option<u64> {
        None
    }

    /// Whether a look-up takes no longer than one in this process's memory.
    fn is_at_hand(&self) -> bool {
        false
    }

    /// How many passwords are worth checking at the same time: each may keep a processor busy.
    fn checks_at_once(&self) -> usize {
        password::slow_at_once()
    }

    /// Changes the entry of a user, as [`change`] has it. It is seen by the next look-up of this process.
    ///
    /// # Errors
    /// Nothing was changed then.
    fn change(&self, _entry: &Entry, _edits: &[Edit]) -> std::result::Result<(), ChangeError> {
        Err(ChangeError::Refused("this directory cannot be changed".into()))
    }

    /// A new password for a user who knows the present one.
    ///
    /// # Errors
    /// Nothing was changed then.
    fn change_password(
        &self,
        _entry: &Entry,
        _present: &str,
        _new: &str,
        _schemes: &password::Schemes,
    ) -> std::result::Result<(), ChangeError> {
        Err(ChangeError::Refused("passwords of this directory cannot be changed".into()))
    }

    /// Users and groups with an address whose name, address or uid begins so, in any case: at most `limit`, by name.
    ///
    /// # Errors
    /// As [`Directory::by_address`].
    fn beginning_with(&self, _text: &str, _limit: usize) -> Result<Vec<Arc<Entry>>> {
        Ok(Vec::new())
    }

    /// Users by uid, those after `after`, at most `limit`.
    fn users(&self, after: Option<&str>, limit: usize) -> Result<Vec<Arc<Entry>>>;
}

/// The user a person means who types `login`: a uid, or one of the user's addresses.
///
/// # Errors
/// As the directory's.
pub fn by_login(directory: &dyn Directory, login: &str) -> Result<Found> {
    match directory.by_uid(login)? {
        Found::Nobody if login.contains('@') => match directory.by_address(login)? {
            // Who takes the mail of a whole domain has not every name in it.
            Found::One(entry) if entry.kind == Kind::Group || !entry.has_address(login) => Ok(Found::Nobody),
            found => Ok(found),
        },
        found => Ok(found),
    }
}

/// The directory that the instance is configured for: LDAP when a host is set ([`ldap::Settings::from_config`]), else the
/// file.
///
/// # Errors
/// The file cannot be read, the settings of LDAP cannot be used; one clear line. LDAP servers that are down are no error.
pub fn open(config: &Config, instance: &Instance, log: &Log) -> Result<Arc<dyn Directory>> {
    let settings = ldap::Settings::from_config(config, instance).map_err(DirectoryError::Unusable)?;
    if let Some(settings) = settings {
        let directory = LdapDirectory::open(settings, log.clone()).map_err(DirectoryError::Unavailable)?;
        return Ok(Arc::new(directory));
    }
    let set = config.get(&local::DIRECTORY_LDIF);
    let path = if set.is_empty() { instance.directory_ldif() } else { instance.root().join(set) };
    let nested = config.get(&service_smtp_modules::NESTED_GROUPS);
    Ok(Arc::new(Embedded::open(&path, log.clone())?.nesting_groups(nested)))
}

//! Which stored passwords the other side can check.
//!
//! Whether an LDAP server knows a scheme cannot be read from it: OpenLDAP takes any text and compares what it does not
//! understand as if it were in clear, 389 Directory Server hashes it once more. So it is tried: an entry of no meaning
//! ([`TRIED`]) gets a password of chance, stored in that way, and the server is asked whether it takes it. The entry is
//! deleted again; what a crash leaves of it the next run deletes, and nobody knows its password.

use std::collections::HashMap;

use directory::edit::Attributes;
use directory::ldap::Whole;
use directory::ldif::Record;
use directory::password::{self, Schemes};

use super::is_password;
use crate::dirutil::make_password;

pub const PASSWORD: &str = "userPassword";
/// The entry that passwords are tried with, below the base.
const TRIED: &str = "mailboat-password-trial";
/// What a password in clear is hashed in: the first that the server knows.
const HASHES: [&str; 4] = ["{ARGON2}", "{PBKDF2-SHA512}10000$", "{SSHA512}", "{SSHA}"];

/// The passwords of an entry, as they are stored.
pub fn of(attributes: &Attributes) -> impl Iterator<Item = String> {
    let stored = attributes.iter().filter(|(name, _)| is_password(name));
    stored.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
}

/// A scheme, and the method where it has several.
fn way(stored: &str) -> Option<String> {
    let scheme = password::scheme(stored)?;
    let method = stored.split_once('}').map_or("", |(_, text)| text);
    let method = if scheme == "CRYPT" { method.split('$').nth(1).unwrap_or("") } else { "" };
    Some(if method.is_empty() { format!("{{{scheme}}}") } else { format!("{{{scheme}}}${method}$") })
}

fn is_clear(stored: &str) -> bool {
    ["{CLEAR}", "{CLEARTEXT}", "{PLAIN}"].contains(&way(stored).unwrap_or_default().as_str())
}

/// What a server was found to know.
pub struct Known {
    /// By way; none: it was not tried.
    ways: Option<HashMap<String, bool>>,
    /// How passwords in clear are hashed.
    hash: Option<&'static str>,
}

impl Known {
    /// For a run that writes nothing.
    pub fn untried() -> Known {
        Known { ways: None, hash: None }
    }

    /// Tries each way that one of these is stored in.
    ///
    /// # Errors
    /// The entry cannot be written, for another reason than its password.
    pub fn by_trying(server: &mut Whole, stored: impl Iterator<Item = String>) -> Result<Known, String> {
        let mut known = Known { ways: Some(HashMap::new()), hash: None };
        let mut clear = false;
        for stored in stored {
            let Some(way) = way(&stored) else { continue };
            clear |= is_clear(&stored);
            let ways = known.ways.get_or_insert_default();
            if !is_clear(&stored) && !ways.contains_key(&way) {
                let is_known = try_one(server, &stored)?;
                ways.insert(way, is_known);
            }
        }
        for like in HASHES.iter().filter(|_| clear) {
            if try_one(server, like)? {
                known.hash = Some(like);
                break;
            }
        }
        Ok(known)
    }

    /// The attributes as they go to the server, where `present` is the entry by now; `cannot` is told why nothing of the
    /// password goes along. Then one that is there is another one, from before a change or from elsewhere.
    ///
    /// # Errors
    /// A password cannot be hashed.
    pub fn outgoing(
        &self,
        mut attributes: Attributes,
        present: Option<&Record>,
        mut cannot: impl FnMut(String),
    ) -> Result<Attributes, String> {
        let Some(ways) = &self.ways else { return Ok(self.as_they_will_be(attributes, present)) };
        let stored: Vec<String> = of(&attributes).collect();
        attributes.retain(|(name, _)| !is_password(name));
        let there: Vec<String> = present.map(|record| of(&record.attributes).collect()).unwrap_or_default();
        let mut refused = String::new();
        let mut goes: Vec<String> = Vec::new();
        for stored in &stored {
            if is_clear(stored) {
                let secret = stored.split_once('}').map_or("", |(_, secret)| secret);
                // The same one is there, hashed with another salt.
                let same = there.iter().find(|there| password::verify(there, secret)).cloned();
                goes.extend(same.or_else(|| password::sample(self.hash?, secret)));
                continue;
            }
            match way(stored) {
                Some(way) if ways.get(&way) == Some(&true) => goes.push(stored.clone()),
                Some(way) => refused = format!("the server cannot check {way}"),
                None => refused = "it is stored in no known way".into(),
            }
        }
        if goes.is_empty() && !stored.is_empty() {
            cannot(if refused.is_empty() { "the server knows no hash of ours".into() } else { refused });
        }
        attributes.extend(goes.into_iter().map(|stored| (PASSWORD.to_owned(), stored.into_bytes())));
        Ok(attributes)
    }

    /// Without a trial: passwords are not compared.
    fn as_they_will_be(&self, mut attributes: Attributes, _present: Option<&Record>) -> Attributes {
        attributes.retain(|(name, _)| !is_password(name));
        attributes
    }
}

/// Whether the server takes a password that is stored as this one is.
fn try_one(server: &mut Whole, like: &str) -> Result<bool, String> {
    let secret = make_password()?;
    let Some(stored) = password::sample(like, &secret) else { return Ok(false) };
    let dn = format!("cn={TRIED},{}", server.base());
    server.delete(&dn)?;
    let pair = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
    let mut record = Record { dn: dn.clone(), attributes: Vec::new(), line: 0 };
    for class in ["top", "organizationalRole", "simpleSecurityObject"] {
        record.attributes.push(pair("objectClass", class));
    }
    record.attributes.extend([pair("cn", TRIED), pair(PASSWORD, &stored)]);
    server.add(&record)?;
    let taken = server.takes(&dn, &secret);
    server.delete(&dn)?;
    taken
}

/// The attributes as they come into the file, where `own` is the entry by now. What the server keeps in clear is hashed;
/// `cannot` is told of what cannot be checked here.
///
/// # Errors
/// A password cannot be hashed.
pub fn incoming(
    mut attributes: Attributes,
    own: Option<&Record>,
    schemes: &Schemes,
    mut cannot: impl FnMut(String),
) -> Result<Attributes, String> {
    let stored: Vec<String> = of(&attributes).collect();
    attributes.retain(|(name, _)| !is_password(name));
    let here: Vec<String> = own.map(|record| of(&record.attributes).collect()).unwrap_or_default();
    let mut come: Vec<String> = Vec::new();
    let mut refused = None;
    for stored in stored {
        let Some(way) = way(&stored) else {
            let same: Vec<String> =
                here.iter().filter(|here| password::verify(here, &stored)).cloned().collect();
            come.extend(if same.is_empty() { schemes.store(&stored)? } else { same });
            continue;
        };
        if is_clear(&stored) || way == "{SCRAM-SHA-256}" || way == "{SCRAM-SHA-1}" || is_checked(&stored) {
            come.push(stored);
        } else {
            refused = Some(format!("{way} is not checked here"));
        }
    }
    if come.is_empty() {
        let is_user = attributes.iter().any(|(name, _)| name.eq_ignore_ascii_case("uid"));
        let why =
            refused.or_else(|| (is_user && here.is_empty()).then(|| "the server shows none".to_owned()));
        why.into_iter().for_each(&mut cannot);
    }
    attributes.extend(come.into_iter().map(|stored| (PASSWORD.to_owned(), stored.into_bytes())));
    Ok(attributes)
}

/// Whether passwords that are stored so can be checked here.
fn is_checked(stored: &str) -> bool {
    password::sample(stored, "x").is_some_and(|made| password::verify(&made, "x"))
}

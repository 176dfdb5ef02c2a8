//! What users change in the entries of an LDAP server.
//!
//! Attributes are changed as the service (`local.ugldapbinddn`), which the server must let write them; one modification
//! says which values go and which come, so two who write at once do not undo each other. The password is changed as the
//! user: by the extended operation (RFC 3062), where the server hashes it and applies its rules; a server that has none gets
//! the attribute, hashed as `service.passwordscheme` says.

use std::collections::HashSet;

use ldap3::{LdapResult, Mod};

use super::NOT_THIS_PASSWORD;
use super::connection::{Connection, Purpose, reason};
use super::pool::Pool;
use super::runtime::Failure;
use super::settings::Settings;
use crate::Entry;
use crate::change::{self, ChangeError, Edit};
use crate::password::Schemes;

/// LDAP result codes (RFC 4511 Appendix A.1).
const PROTOCOL_ERROR: u32 = 2;
const UNAVAILABLE_CRITICAL_EXTENSION: u32 = 12;
const NO_SUCH_ATTRIBUTE: u32 = 16;
const UNDEFINED_ATTRIBUTE_TYPE: u32 = 17;
const ATTRIBUTE_OR_VALUE_EXISTS: u32 = 20;
const INSUFFICIENT_ACCESS_RIGHTS: u32 = 50;
const BUSY: u32 = 51;
const UNAVAILABLE: u32 = 52;
const OBJECT_CLASS_VIOLATION: u32 = 65;
/// A replica that takes no changes refers to who does (RFC 4511 §4.1.10); it is not followed.
const REFERRAL: u32 = 10;

type Done = Result<(), ChangeError>;

pub fn change(pool: &Pool, settings: &Settings, entry: &Entry, edits: &[Edit]) -> Done {
    change::admit(edits)?;
    let result = pool.with(Purpose::Searches, |connection| {
        connection.modify(&entry.dn, edits.iter().flat_map(modifications).collect(), settings.search_timeout)
    })?;
    match result.rc {
        UNDEFINED_ATTRIBUTE_TYPE | INSUFFICIENT_ACCESS_RIGHTS | OBJECT_CLASS_VIOLATION => {
            Err(ChangeError::Refused(may_not(&result, edits)))
        }
        _ => outcome(&result),
    }
}

/// For who can mend it: the server says what it misses, if at all, and not always of which attribute.
fn may_not(result: &LdapResult, edits: &[Edit]) -> String {
    let names: Vec<&str> = edits.iter().map(Edit::attribute).collect();
    let why = reason(result);
    format!("the directory refuses: {why}; it must know, and let be written: {}", names.join(", "))
}

pub fn change_password(
    pool: &Pool,
    settings: &Settings,
    entry: &Entry,
    (present, new): (&str, &str),
    schemes: &Schemes,
) -> Done {
    if present.is_empty() || new.is_empty() || entry.dn.is_empty() {
        return Err(ChangeError::WrongPassword); // RFC 4513 §5.1.2: to bind so would prove nothing
    }
    let limit = settings.search_timeout;
    let result = pool.with(Purpose::PasswordChecks, |connection| {
        let bound = connection.bind(&entry.dn, present, limit)?;
        if bound.rc != 0 {
            return Ok(Err(bound));
        }
        let changed = connection.modify_password(present, new, limit)?;
        match changed.rc {
            PROTOCOL_ERROR | UNAVAILABLE_CRITICAL_EXTENSION => {
                by_attribute(connection, entry, new, schemes, settings).map(Ok)
            }
            _ => Ok(Ok(changed)),
        }
    })?;
    match result {
        Ok(result) => outcome(&result),
        Err(bound) if NOT_THIS_PASSWORD.contains(&bound.rc) => Err(ChangeError::WrongPassword),
        Err(bound) => Err(ChangeError::Unavailable(reason(&bound))),
    }
}

/// RFC 4511 §4.4.1 and RFC 3062 §1: who does not know the operation says protocolError.
fn by_attribute(
    connection: &mut Connection,
    entry: &Entry,
    new: &str,
    schemes: &Schemes,
    settings: &Settings,
) -> Result<LdapResult, Failure> {
    let stored = schemes.store(new).map_err(|text| Failure::Refused { code: 80, text })?;
    let values = stored.into_iter().map(String::into_bytes).collect();
    let modification = Mod::Replace(b"userPassword".to_vec(), values);
    connection.modify(&entry.dn, vec![modification], settings.search_timeout)
}

fn modifications(edit: &Edit) -> Vec<Mod<Vec<u8>>> {
    let bytes =
        |values: &[String]| values.iter().map(|value| value.clone().into_bytes()).collect::<HashSet<_>>();
    let name = |attribute: &str| attribute.as_bytes().to_vec();
    match edit {
        Edit::Replace { attribute, values } => vec![Mod::Replace(name(attribute), bytes(values))],
        Edit::Swap { attribute, remove, add } => {
            let gone = (!remove.is_empty()).then(|| Mod::Delete(name(attribute), bytes(remove)));
            let new = (!add.is_empty()).then(|| Mod::Add(name(attribute), bytes(add)));
            gone.into_iter().chain(new).collect()
        }
    }
}

fn outcome(result: &LdapResult) -> Done {
    match result.rc {
        0 => Ok(()),
        NO_SUCH_ATTRIBUTE | ATTRIBUTE_OR_VALUE_EXISTS => Err(ChangeError::Stale),
        BUSY | UNAVAILABLE | REFERRAL => Err(ChangeError::Unavailable(reason(result))),
        _ => Err(ChangeError::Refused(format!("the directory refuses: {}", reason(result)))),
    }
}

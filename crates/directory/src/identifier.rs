//! The identifiers of access control lists (RFC 4314 §2) in their canonical form: a uid as the directory has it, `anyone`,
//! `group=` and the address of a group; with a `-` before it when it takes rights away.

use crate::{Directory, Found, Kind, Result, by_login};

/// Everybody who can log in.
const ANYONE: &str = "anyone";
/// Before the address of a group.
const GROUP: &str = "group=";

/// What an identifier stands for that somebody wrote: a user by uid or address, `anyone`, a group by any of its addresses.
/// `None` when there is no such user or group.
///
/// # Errors
/// As the directory's.
pub fn canonical(directory: &dyn Directory, identifier: &str) -> Result<Option<String>> {
    let (sign, name) = match identifier.strip_prefix('-') {
        Some(name) => ("-", name),
        None => ("", identifier),
    };
    if name.eq_ignore_ascii_case(ANYONE) {
        return Ok(Some(format!("{sign}{ANYONE}")));
    }
    let group = name.get(..GROUP.len()).filter(|start| start.eq_ignore_ascii_case(GROUP));
    let found = match group {
        Some(_) => directory.by_address(&name[GROUP.len()..])?,
        None => by_login(directory, name)?,
    };
    Ok(match found {
        Found::One(entry) if group.is_some() && entry.kind == Kind::Group => {
            Some(format!("{sign}{GROUP}{}", base::idn::comparable(&entry.mail)))
        }
        Found::One(entry) if group.is_none() => entry.uid.as_ref().map(|uid| format!("{sign}{uid}")),
        _ => None,
    })
}

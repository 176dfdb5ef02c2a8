//! `login = "LOGIN" SP userid SP password`, both astrings (RFC 3501 §6.2.3).

use crate::cursor::{Cursor, Parsed};
use crate::words;

/// Name and password as written; neither need be UTF-8.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// Who.
    pub user: Vec<u8>,
    /// Never printed.
    pub password: Vec<u8>,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").finish_non_exhaustive()
    }
}

pub(super) fn arguments(cursor: &mut Cursor<'_>) -> Parsed<Login> {
    cursor.space()?;
    let user = words::astring(cursor)?;
    cursor.space()?;
    Ok(Login { user, password: words::astring(cursor)? })
}

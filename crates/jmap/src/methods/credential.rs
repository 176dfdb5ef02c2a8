//! Credential/set (ours): another password, by who knows the present one. Arguments oldPassword and newPassword.

use directory::ChangeError;
use serde_json::{Value, json};
use server_log::{Action, Category};

use crate::arguments::Arguments;
use crate::error::{MethodError, Result};
use crate::personal::{self, Unconfirmed};
use crate::request::Call;

/// Characters of a new password at least, and bytes at most.
const CHARACTERS_MIN: usize = 8;
const BYTES_MAX: usize = 256;

/// # Errors
/// `wrongPassword`, `badPassword` with a reason for the user, `rateLimit`, `serverUnavailable`.
pub fn set(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let account = arguments.account(call.who)?;
    let old = arguments.required_string("oldPassword")?;
    let new = arguments.required_string("newPassword")?;
    let bad = |why: &str| Err(MethodError::new("badPassword", why));
    if new.chars().count() < CHARACTERS_MIN || new.len() > BYTES_MAX {
        return bad("A password has 8 characters at least, and 256 bytes at most");
    }
    if new.chars().any(char::is_control) || new.trim() != new {
        return bad("A password has no control characters, and no blanks at its ends");
    }
    if new == old || new.eq_ignore_ascii_case(&call.who.uid) || call.who.entry.has_address(&new) {
        return bad("It is the old password, or the name of the account");
    }
    call.confirm(&old).map_err(unconfirmed)?;
    let personal = &call.jmap.personal;
    let entry = personal::entry(call.jmap.directory.as_ref(), call.who)?;
    match call.jmap.directory.change_password(&entry, &old, &new, &personal.schemes) {
        Ok(()) => {}
        Err(ChangeError::WrongPassword) => return Err(unconfirmed(Unconfirmed::Wrong)),
        Err(ChangeError::Refused(why)) => return bad(&why),
        Err(why) => return Err(unconfirmed(Unconfirmed::Unavailable(why.to_string()))),
    }
    personal.note_change(call.who);
    let (uid, peer, session) = (&call.who.uid, call.who.peer, &call.who.session);
    call.jmap
        .log
        .notice(Category::Account, format_args!("{uid} [{peer}] session={session}: password changed"));
    call.audit(Action::Password, &[]);
    Ok(json!({ "accountId": account }))
}

fn unconfirmed(why: Unconfirmed) -> MethodError {
    match why {
        Unconfirmed::Limited => {
            MethodError::new("forbidden", "Not by an app password: sign in to the web mail")
        }
        Unconfirmed::Wrong => MethodError::new("wrongPassword", "The present password is another one"),
        Unconfirmed::AskedAlready => MethodError::new("rateLimit", "A request confirms a password once"),
        Unconfirmed::TooManyGuesses => {
            MethodError::new("rateLimit", "Too many wrong passwords; try again later")
        }
        Unconfirmed::Unavailable(_) => {
            MethodError::new("serverUnavailable", "Passwords cannot be changed just now; try again")
        }
    }
}

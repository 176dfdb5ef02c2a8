//! SecondFactor/get, /begin, /set and /renew (ours): a code beside the password, set up by the user.
//!
//! /begin makes a secret and keeps nothing: what the client is given as `pending` is the secret as the directory will store it,
//! sealed with the site's key for this user. /set takes it back with a first code, so that an app knows the secret, and the
//! password, and answers ten recovery codes, which are seen this once. /renew makes ten others, and the former ones are none any
//! more. Off again it goes with password and code, as at a sign-in. Who has lost the app says a recovery code; who has lost
//! these as well asks the administrator.

use directory::{ChangeError, Code, Edit, Entry, LogIn, preferences, recovery_codes};
use serde_json::{Value, json};
use server_log::{Action, Category};

use super::standard;
use crate::arguments::{Arguments, wrong};
use crate::error::{MethodError, Result};
use crate::personal::{self, Unconfirmed};
use crate::request::Call;

const ATTRIBUTE: &str = "mailTotpSecret";
/// Bytes of what a client brings back.
const PENDING_BYTES_MAX: usize = 256;

pub fn get(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let entry = personal::entry(call.jmap.directory.as_ref(), call.who)?;
    let left = entry.recovery_codes.len();
    let shown = json!({ "isOn": entry.second_factor.is_some(), "recoveryCodesLeft": left });
    let Value::Object(properties) = shown else {
        return Err(MethodError::new("serverFail", ""));
    };
    let objects = standard::singleton(properties);
    let state = standard::state_of(&objects);
    standard::get(call, arguments, &objects, &state, Some(&["isOn", "recoveryCodesLeft"]))
}

/// A new secret: as text, as an address for an app, and sealed.
///
/// # Errors
/// `forbidden`, `alreadyExists`, `serverFail`.
pub fn begin(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let account = arguments.account(call.who)?;
    not_limited(call)?;
    let entry = personal::entry(call.jmap.directory.as_ref(), call.who)?;
    if entry.second_factor.is_some() {
        return Err(MethodError::new("alreadyExists", "It is on already"));
    }
    let site = entry.mail.rsplit_once('@').map_or(call.jmap.host_name.as_str(), |(_, domain)| domain);
    let made = call.jmap.personal.factors.make(&call.who.uid, site).map_err(|why| failed(&why))?;
    Ok(json!({ "accountId": account, "secret": made.text, "url": made.url, "pending": made.sealed }))
}

/// On, with `pending`, or off; both with `code` and `password`.
///
/// # Errors
/// `wrongPassword`, `wrongCode`, `rateLimit`, `forbidden`, `alreadyExists`, `serverUnavailable`; `serverFail`: the directory refuses.
pub fn set(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let account = arguments.account(call.who)?;
    let is_on = match arguments.take("isOn") {
        Some(Value::Bool(is_on)) => is_on,
        _ => return Err(wrong("isOn", "a boolean")),
    };
    let (code, password) = (arguments.required_string("code")?, arguments.required_string("password")?);
    not_limited(call)?;
    let pending = if is_on { Some(arguments.required_string("pending")?) } else { None };
    call.confirm(&password).map_err(unconfirmed)?;
    let entry = personal::entry(call.jmap.directory.as_ref(), call.who)?;
    match &pending {
        Some(pending) => check_first(call, &entry, pending, &code)?,
        None => check(call, &entry, &code)?,
    }
    let (stored, shown) = if is_on { new_codes(call)? } else { (Vec::new(), Vec::new()) };
    let values: Vec<String> = pending.into_iter().collect();
    changing(call, &entry, |now| {
        let factor = Edit::replace(ATTRIBUTE, values.clone());
        // An entry without codes may be of a directory that does not know the attribute, and refuses even to take it away.
        let has_codes = is_on || !now.recovery_codes.is_empty();
        let codes = has_codes.then(|| recovery_codes::replaced_by(stored.clone()));
        [factor].into_iter().chain(codes).collect()
    })?;
    // Sign-ins without the factor end, all but this one, and what was remembered of the password is no more.
    call.jmap.personal.note_change(call.who);
    note(call, if is_on { "on" } else { "off" });
    let mut answer = json!({ "accountId": account, "isOn": is_on });
    if is_on {
        answer["recoveryCodes"] = json!(shown);
    }
    Ok(answer)
}

/// Ten recovery codes in place of those that are left; by `code` and `password`.
///
/// # Errors
/// As [`set`]; `notFound`: there is no second factor.
pub fn renew(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let account = arguments.account(call.who)?;
    let (code, password) = (arguments.required_string("code")?, arguments.required_string("password")?);
    not_limited(call)?;
    call.confirm(&password).map_err(unconfirmed)?;
    let entry = personal::entry(call.jmap.directory.as_ref(), call.who)?;
    check(call, &entry, &code)?;
    let (stored, shown) = new_codes(call)?;
    changing(call, &entry, |_| vec![recovery_codes::replaced_by(stored.clone())])?;
    note(call, "codes-renewed");
    Ok(json!({ "accountId": account, "recoveryCodes": shown }))
}

/// As the directory stores them, and as they are shown.
fn new_codes(call: &Call<'_>) -> Result<(Vec<String>, Vec<String>)> {
    let made = recovery_codes::make(&call.who.uid).map_err(|why| failed(&why))?;
    Ok((made.stored, made.shown))
}

/// Changes an entry whose factor is still the one that was decided of.
fn changing(call: &Call<'_>, decided: &Entry, edits: impl Fn(&Entry) -> Vec<Edit>) -> Result<()> {
    let done = preferences::changing(call.jmap.directory.as_ref(), &call.who.uid, |now| {
        match now.second_factor == decided.second_factor {
            true => Ok(edits(now)),
            false => Err(ChangeError::Refused("It was changed meanwhile; look again".into())),
        }
    });
    done.map_err(|why| match why {
        // Not `forbidden`: clients take that for the password.
        ChangeError::Refused(why) => {
            MethodError { kind: "serverFail", description: why.clone(), cause: Some(why) }
        }
        ChangeError::WrongPassword | ChangeError::Stale | ChangeError::Unavailable(_) => {
            MethodError::new("serverUnavailable", "The directory does not answer; try again")
        }
    })
}

fn note(call: &Call<'_>, what: &'static str) {
    let (uid, peer, session) = (&call.who.uid, call.who.peer, &call.who.session);
    let line = format_args!("{uid} [{peer}] session={session}: second factor {what}");
    call.jmap.log.notice(Category::Account, line);
    call.audit(Action::SecondFactor, &[("result", what)]);
}

fn not_limited(call: &Call<'_>) -> Result<()> {
    match call.who.entry.limited {
        true => Err(unconfirmed(Unconfirmed::Limited)),
        false => Ok(()),
    }
}

/// The first code of a secret that is not in the directory yet.
fn check_first(call: &Call<'_>, entry: &Entry, pending: &str, code: &str) -> Result<()> {
    if entry.second_factor.is_some() {
        return Err(MethodError::new("alreadyExists", "It is on already"));
    }
    if pending.len() > PENDING_BYTES_MAX {
        return Err(wrong("pending", "what SecondFactor/begin gave"));
    }
    let entry = Entry { second_factor: Some(pending.to_owned()), ..entry.clone() };
    match call.jmap.personal.factors.check(&entry, code) {
        Ok(Code::Right) => Ok(()),
        Ok(Code::Wrong | Code::Used) => Err(wrong_code()),
        Err(_) => Err(wrong("pending", "what SecondFactor/begin gave")),
    }
}

/// A code of the factor that is on; wrong ones count with those of sign-ins.
fn check(call: &Call<'_>, entry: &std::sync::Arc<Entry>, code: &str) -> Result<()> {
    if entry.second_factor.is_none() {
        return Err(MethodError::new("notFound", "It is off already"));
    }
    let personal = &call.jmap.personal;
    match personal.log_ins.check_code(&personal.factors, entry, &call.who.uid, code, call.who.peer) {
        LogIn::Accepted(_) => Ok(()),
        LogIn::TooManyGuesses => Err(unconfirmed(Unconfirmed::TooManyGuesses)),
        LogIn::Unavailable(why) => Err(failed(&why)),
        LogIn::Refused | LogIn::NeedsAppPassword | LogIn::Disallowed | LogIn::Busy => Err(wrong_code()),
    }
}

fn wrong_code() -> MethodError {
    MethodError::new("wrongCode", "The code is another one by now, or was used; wait for the next")
}

fn failed(why: &str) -> MethodError {
    MethodError {
        kind: "serverFail",
        description: "The second factor cannot be looked at; see the log".into(),
        cause: Some(why.to_owned()),
    }
}

fn unconfirmed(why: Unconfirmed) -> MethodError {
    match why {
        Unconfirmed::Limited => {
            MethodError::new("forbidden", "Not by an app password: sign in to the web mail")
        }
        Unconfirmed::Wrong => MethodError::new("wrongPassword", "The password is wrong"),
        Unconfirmed::AskedAlready => MethodError::new("rateLimit", "A request confirms a password once"),
        Unconfirmed::TooManyGuesses => MethodError::new("rateLimit", "Too many wrong ones; try again later"),
        Unconfirmed::Unavailable(_) => {
            MethodError::new("serverUnavailable", "Passwords cannot be checked just now; try again")
        }
    }
}

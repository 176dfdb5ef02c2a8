//! Which method is where, and which capability a client must name to use it (RFC 8620 §3.3).

mod app_password;
mod blob;
mod core;
mod credential;
pub mod email;
mod forwarding;
pub mod identity;
pub mod mailbox;
mod personal;
pub mod preferences;
mod quota;
mod recipient;
mod second_factor;
mod snippet;
mod standard;
pub mod submission;
mod thread;
mod vacation;

use serde_json::{Map, Value};

use crate::arguments::Arguments;
use crate::error::{MethodError, Result};
use crate::request::{Call, Responses};
use crate::session_object::{CORE, MAIL};

/// Runs one method call.
pub fn run(
    call: &mut Call<'_>,
    using: &[String],
    name: &str,
    arguments: Map<String, Value>,
) -> Result<Responses> {
    let mut arguments = Arguments(arguments);
    let capability = capability(name).filter(|needed| using.iter().any(|used| used == needed));
    if capability.is_none() {
        return Err(unknown());
    }
    if call.who.entry.anybody && !is_for_anybody(name) {
        return Err(MethodError::new("forbidden", "Not without a password of the account"));
    }
    let arguments = &mut arguments;
    let value = match name {
        "Core/echo" => core::echo(call, arguments)?,
        "Mailbox/get" => mailbox::get::run(call, arguments)?,
        "Email/get" => email::get::run(call, arguments)?,
        "Blob/copy" => blob::copy(call, arguments)?,
        "Mailbox/changes" => mailbox::changes::run(call, arguments)?,
        "Mailbox/query" => mailbox::query::run(call, arguments)?,
        "Mailbox/queryChanges" => mailbox::query::changes(call, arguments)?,
        "Mailbox/set" => mailbox::set::run(call, arguments)?,
        "Email/set" => email::set::run(call, arguments)?,
        "Email/copy" => return email::copy::run(call, arguments),
        "Email/import" => email::import::run(call, arguments)?,
        "Email/parse" => email::parse::run(call, arguments)?,
        "SearchSnippet/get" => snippet::get(call, arguments)?,
        "Email/changes" => email::changes::run(call, arguments)?,
        "Email/queryChanges" => email::query_changes::run(call, arguments)?,
        "Thread/get" => thread::get(call, arguments)?,
        "Thread/changes" => thread::changes(call, arguments)?,
        "Email/query" => email::query::run(call, arguments)?,
        _ => {
            own_only(call, arguments)?;
            return personal::run(call, name, arguments);
        }
    };
    Ok(vec![(name.to_owned(), value)])
}

/// Who came without a password (`service.http.allowanonymouslogin`) reads mail and settings; what guards the account is not shown.
fn is_for_anybody(name: &str) -> bool {
    let (of, verb) = name.split_once('/').unwrap_or_default();
    let is_guard = matches!(of, "Credential" | "AppPassword" | "SecondFactor");
    let is_reading = matches!(verb, "echo" | "get" | "changes" | "query" | "queryChanges" | "parse");
    is_reading && !is_guard
}

/// Accounts of others have mail and nothing else.
fn own_only(call: &Call<'_>, arguments: &Arguments) -> Result<()> {
    let asked = arguments.0.get("accountId").and_then(Value::as_str);
    match asked.filter(|asked| *asked != call.who.uid) {
        Some(other) if call.jmap.owner(call.who, other)?.is_some() => {
            Err(MethodError::new("accountNotSupportedByMethod", ""))
        }
        _ => Ok(()),
    }
}

/// The capability of the type that a method is about.
fn capability(name: &str) -> Option<&'static str> {
    match name.split_once('/')?.0 {
        "Core" | "Blob" => Some(CORE),
        "Mailbox" | "Thread" | "Email" | "SearchSnippet" => Some(MAIL),
        other => personal::capability(other),
    }
}

fn unknown() -> MethodError {
    MethodError::new("unknownMethod", "")
}

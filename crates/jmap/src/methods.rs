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

use memchr::memmem;
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

/// The types that guard the account: their methods take passwords and codes, and make new secrets. A method that does so
/// belongs to one of them, or its type belongs here.
const GUARDS: [&str; 3] = ["Credential", "AppPassword", "SecondFactor"];

/// Who came without a password (`service.http.allowanonymouslogin`) reads mail and settings; what guards the account is not shown.
fn is_for_anybody(name: &str) -> bool {
    let (of, verb) = name.split_once('/').unwrap_or_default();
    let is_reading = matches!(verb, "echo" | "get" | "changes" | "query" | "queryChanges" | "parse");
    is_reading && !GUARDS.contains(&of)
}

/// Whether a request (the body of RFC 8620 §3.3) may have a secret in it, or in its response: a method of a type that guards the
/// account is called, or it speaks of passwords. Too often rather than too seldom.
pub fn is_secret(body: &[u8]) -> bool {
    let words = || GUARDS.into_iter().chain(["assword"]);
    let names_one = |text: &[u8]| words().any(|word| memmem::find(text, word.as_bytes()).is_some());
    names_one(body) || memmem::find(body, ESCAPE).is_some() && names_one(&without_escapes(body))
}

/// Of a character of ASCII, or little more (RFC 8259 §7).
const ESCAPE: &[u8] = br"\u00";

/// The names in it as they are meant.
fn without_escapes(body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = memmem::find(rest, ESCAPE) {
        let (before, escape) = rest.split_at(at);
        plain.extend_from_slice(before);
        let digits = escape.get(ESCAPE.len()..ESCAPE.len() + 2).and_then(|two| std::str::from_utf8(two).ok());
        plain.extend(digits.and_then(|two| u8::from_str_radix(two, 16).ok()));
        rest = escape.get(ESCAPE.len() + 2..).unwrap_or_default();
    }
    plain.extend_from_slice(rest);
    plain
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_makes_or_takes_a_secret_is_known_by_its_methods() {
        for name in ["SecondFactor/begin", "AppPassword/set", "Credential/set", "SecondFactor/made-tomorrow"]
        {
            let body = format!(r#"{{"methodCalls":[["Core/echo",{{}},"0"],["{name}",{{}},"1"]]}}"#);
            assert!(is_secret(body.as_bytes()), "{body}");
            let (first, rest) = name.split_at(1);
            let letter = u32::from(first.as_bytes()[0]);
            assert!(is_secret(body.replace(name, &format!("\\u{letter:04x}{rest}")).as_bytes()), "{name}");
            assert!(is_secret(body.replace(name, &format!("\\u{letter:04X}{rest}")).as_bytes()), "{name}");
        }
        assert!(
            is_secret(br#"["Forwarding/set",{"password":"x"}]"#) && is_secret(br#"{"p\u0061ssword":"x"}"#)
        );
        for body in [&br#"["Email/get",{"ids":["a"]},"\u00e9\u2028"]"#[..], br"\u00", br"\u00zz\u004", b""] {
            assert!(!is_secret(body), "{}", String::from_utf8_lossy(body));
        }
    }

    /// Who is let in without a password learns nothing of what guards the account.
    #[test]
    fn what_guards_the_account_is_for_nobody_else() {
        for of in GUARDS {
            assert!(
                !is_for_anybody(&format!("{of}/get")) && capability(&format!("{of}/get")).is_some(),
                "{of}"
            );
        }
        assert!(is_for_anybody("Email/get") && !is_for_anybody("Email/set"));
    }
}

//! Email/copy (RFC 8621 §4.7): from one account of the user to another. Within an account, mailboxes are given to an email by
//! Email/set.

use serde_json::{Map, Value, json};

use super::set::{self, Outcome, state};
use crate::account::Account;
use crate::arguments::{Arguments, missing};
use crate::email::arrival::Destination;
use crate::email::creation;
use crate::email::keywords::Keywords;
use crate::email::message::Copies;
use crate::error::{MethodError, Result};
use crate::request::{Call, Responses};
use crate::set_error::SetError;
use crate::shares::Owner;
use crate::{ids, limits};

/// What a copy may have other than the original.
const SETTABLE: [&str; 3] = ["mailboxIds", "keywords", "receivedAt"];

pub fn run(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Responses> {
    let (from_id, from) = from_account(call, arguments)?;
    let account_id = call.mail_account(arguments)?;
    if from == call.owner {
        return Err(MethodError::invalid_arguments("The accounts are the same"));
    }
    let create = arguments.map("create")?;
    if create.is_empty() {
        return Err(missing("create"));
    }
    if create.len() > limits::MAX_OBJECTS_IN_SET {
        return Err(MethodError::new("requestTooLarge", "It copies too many at once"));
    }
    let destroys = arguments.flag("onSuccessDestroyOriginal")?;
    let destroy_if = arguments.string("destroyFromIfInState")?;
    let to = std::mem::replace(&mut call.owner, from.clone());
    let original = call.account()?;
    let from_state = state(call)?;
    call.owner = to.clone();
    let old_state = state(call)?;
    for (name, is) in [("ifFromInState", &from_state), ("ifInState", &old_state)] {
        if arguments.string(name)?.is_some_and(|expected| expected != *is) {
            return Err(MethodError::new("stateMismatch", ""));
        }
    }
    let (mut created, mut not_created, mut copied) = (Map::new(), Map::new(), Vec::new());
    for (creation_id, object) in create {
        match copy(call, &original, object) {
            Ok((email, source)) => {
                if let Some(id) = email["id"].as_str() {
                    call.note_created(&creation_id, id);
                }
                created.insert(creation_id, email);
                copied.push(source);
            }
            Err(error) => drop(not_created.insert(creation_id, error.0)),
        }
    }
    let or_null = |map: Map<String, Value>| if map.is_empty() { Value::Null } else { Value::Object(map) };
    let answer = json!({
        "fromAccountId": from_id,
        "accountId": account_id,
        "oldState": old_state,
        "newState": state(call)?,
        "created": or_null(created),
        "notCreated": or_null(not_created),
    });
    let mut responses = vec![("Email/copy".to_owned(), answer)];
    if destroys && !copied.is_empty() {
        call.owner = from;
        responses.push(destroy(call, &from_id, destroy_if, copied)?);
    }
    Ok(responses)
}

/// The account to copy from (RFC 8620 §5.4, §6.3).
///
/// # Errors
/// `invalidArguments`, `fromAccountNotFound`.
pub fn from_account(call: &Call<'_>, arguments: &mut Arguments) -> Result<(String, Owner)> {
    let id = arguments.required_string("fromAccountId")?;
    let owner = call.jmap.owner(call.who, &id)?;
    let owner = owner.ok_or_else(|| MethodError::new("fromAccountNotFound", ""))?;
    Ok((id, owner))
}

/// Copies one email; what is told of it, and the id of the original.
fn copy(
    call: &mut Call<'_>,
    original: &Account,
    object: Value,
) -> std::result::Result<(Value, String), SetError> {
    let failed = |error: MethodError| SetError::new(error.kind, &error.description);
    let Value::Object(mut object) = object else { return Err(SetError::properties(&[], "It is no object")) };
    let id = object.remove("id").and_then(|id| id.as_str().map(str::to_owned));
    let id = id.ok_or_else(|| SetError::properties(&["id"], "It is missing"))?;
    if let Some(other) = object.keys().find(|name| !SETTABLE.contains(&name.as_str())) {
        return Err(SetError::properties(&[other], "A copy has that of the original"));
    }
    let real = call.real_id(&id).unwrap_or(&id).to_owned();
    let guid = ids::email_of(&real).ok_or_else(SetError::not_found)?;
    let (copies, received_ns) = {
        let original = original.read();
        let (_, email) = original.email_of(&guid).ok_or_else(SetError::not_found)?;
        if !object.contains_key("keywords") {
            object.insert("keywords".into(), Keywords::of(&original, email).to_json());
        }
        (Copies::of(&original, email), email.received_ns)
    };
    let message = copies.open().map_err(|error| failed(error.into()))?.ok_or_else(SetError::not_found)?;
    let account = call.account().map_err(failed)?;
    let destination = Destination::read(call, &account.read(), &object, received_ns)?;
    let known = |guid: &[u8; 16]| account.read().email_of(guid).is_some();
    let (guid, size) = destination.take(known, |out| {
        out.write_all(&message.bytes)?;
        message.verify()
    })?;
    let thread = mail_format::thread_id(message.header(), &guid);
    Ok((creation::created(&guid, &thread, size), real))
}

/// The second response: what became of the originals.
fn destroy(
    call: &mut Call<'_>,
    account_id: &str,
    if_in_state: Option<String>,
    copied: Vec<String>,
) -> Result<(String, Value)> {
    let old_state = state(call)?;
    if if_in_state.is_some_and(|expected| expected != old_state) {
        return Ok(("error".to_owned(), json!({ "type": "stateMismatch" })));
    }
    let mut outcome = Outcome::default();
    set::destroy_all(call, copied, &mut outcome)?;
    Ok(("Email/set".to_owned(), outcome.response(account_id, &old_state, &state(call)?)))
}

//! Email/import (RFC 8621 §4.8).

use mail_format::{LineEnds, header_field, header_fields};
use serde_json::{Map, Value, json};

use super::set::state;
use crate::arguments::Arguments;
use crate::email::arrival::Destination;
use crate::email::creation;
use crate::error::{MethodError, Result};
use crate::limits;
use crate::request::Call;
use crate::set_error::SetError;

pub fn run(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let account_id = call.mail_account(arguments)?;
    let if_in_state = arguments.string("ifInState")?;
    let emails = arguments.map("emails")?;
    if emails.len() > limits::MAX_OBJECTS_IN_SET {
        return Err(MethodError::new("requestTooLarge", "It imports too many at once"));
    }
    let old_state = state(call)?;
    if if_in_state.is_some_and(|state| state != old_state) {
        return Err(MethodError::new("stateMismatch", ""));
    }
    let (mut created, mut not_created) = (Map::new(), Map::new());
    for (creation_id, object) in emails {
        match import(call, object) {
            Ok(email) => {
                if let Some(id) = email["id"].as_str() {
                    call.note_created(&creation_id, id);
                }
                created.insert(creation_id, email);
            }
            Err(error) => drop(not_created.insert(creation_id, error.0)),
        }
    }
    let or_null = |map: Map<String, Value>| if map.is_empty() { Value::Null } else { Value::Object(map) };
    Ok(json!({
        "accountId": account_id,
        "oldState": old_state,
        "newState": state(call)?,
        "created": or_null(created),
        "notCreated": or_null(not_created),
    }))
}

fn import(call: &mut Call<'_>, object: Value) -> std::result::Result<Value, SetError> {
    let failed = |error: MethodError| SetError::new(error.kind, &error.description);
    let Value::Object(mut object) = object else { return Err(SetError::properties(&[], "It is no object")) };
    let no_blob = || SetError::properties(&["blobId"], "There is no such blob");
    let blob_id =
        object.remove("blobId").and_then(|id| id.as_str().map(str::to_owned)).ok_or_else(no_blob)?;
    if let Some(unknown) = object.keys().find(|name| !creation::METADATA.contains(&name.as_str())) {
        return Err(SetError::properties(&[unknown], "It cannot be set"));
    }
    let message = call.work.borrow_mut().message(call.jmap, call.scope(), &blob_id, limits::MAX_SIZE_MESSAGE);
    let message = message.map_err(failed)?.ok_or_else(no_blob)?;
    let header = message.header();
    if header_fields(header).next().is_none() || message.bytes.contains(&0) {
        return Err(SetError::new("invalidEmail", "It is no message"));
    }
    let received = header_field(header, "Received")
        .and_then(|value| mail_format::date(value.rsplit(|byte| *byte == b';').next()?));
    let received =
        received.map_or_else(base::clock::unix_nanos, |second| second.saturating_mul(1_000_000_000));
    let account = call.account().map_err(failed)?;
    let destination = Destination::read(call, &account.read(), &object, received)?;
    let known = |guid: &[u8; 16]| account.read().email_of(guid).is_some();
    let (guid, size) = destination.take(known, |out| {
        let mut ends = LineEnds::default();
        message.bytes.chunks(64 * 1024).try_for_each(|piece| out.write_all(&ends.mend(piece)))
    })?;
    Ok(creation::created(&guid, &mail_format::thread_id(header, &guid), size))
}

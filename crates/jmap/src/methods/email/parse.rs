//! Email/parse (RFC 8621 §4.9).

use std::collections::HashSet;

use mail_format::header_fields;
use serde_json::{Map, Value, json};

use super::get::required_ids;
use crate::arguments::Arguments;
use crate::email::properties::Wanted;
use crate::error::Result;
use crate::ids::BlobId;
use crate::limits;
use crate::request::Call;

pub fn run(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let account_id = call.mail_account(arguments)?;
    let asked = required_ids(arguments, "blobIds")?;
    let wanted = Wanted::read(arguments, true)?;
    let (mut parsed, mut not_parsable, mut not_found) = (Map::new(), Vec::new(), Vec::new());
    let mut done = HashSet::new();
    for id in asked {
        if !done.insert(id.clone()) {
            continue;
        }
        let blob = match BlobId::parse(&id) {
            Some(blob) if call.work.borrow_mut().open(call.jmap, call.scope(), &id)?.is_some() => blob,
            _ => {
                not_found.push(id);
                continue;
            }
        };
        let is_message = call.work.borrow_mut().is_message(call.jmap, call.scope(), blob)?;
        let message = match is_message {
            true => call.work.borrow_mut().message(call.jmap, call.scope(), &id, limits::MAX_SIZE_MESSAGE)?,
            false => None,
        };
        match message.filter(|message| header_fields(message.header()).next().is_some()) {
            Some(message) => drop(parsed.insert(id, wanted.of_message(call, blob, &message)?)),
            None => not_parsable.push(id),
        }
    }
    let or_null = |ids: Vec<String>| if ids.is_empty() { Value::Null } else { json!(ids) };
    Ok(json!({
        "accountId": account_id,
        "parsed": if parsed.is_empty() { Value::Null } else { Value::Object(parsed) },
        "notParsable": or_null(not_parsable),
        "notFound": or_null(not_found),
    }))
}

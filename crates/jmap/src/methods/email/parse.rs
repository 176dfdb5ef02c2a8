//! Email/parse (RFC 8621 §4.9).

use std::collections::HashSet;

use mail_format::{PartKind, header_fields};
use serde_json::{Map, Value, json};

use super::get::required_ids;
use crate::arguments::Arguments;
use crate::email::properties::Wanted;
use crate::error::Result;
use crate::ids::BlobId;
use crate::request::Call;
use crate::{blob, limits};

pub fn run(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let account_id = arguments.account(call.who)?;
    let asked = required_ids(arguments, "blobIds")?;
    let wanted = Wanted::read(arguments, true)?;
    let (mut parsed, mut not_parsable, mut not_found) = (Map::new(), Vec::new(), Vec::new());
    let mut done = HashSet::new();
    for id in asked {
        if !done.insert(id.clone()) {
            continue;
        }
        let found = blob::open(call.jmap, call.who, &id)?;
        let (Some(blob), Some(found)) = (BlobId::parse(&id), found) else {
            not_found.push(id);
            continue;
        };
        drop(found);
        let message = match is_message(call, blob)? {
            true => blob::message(call.jmap, call.who, &id, limits::MAX_SIZE_MESSAGE)?,
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

/// Whether a part is a message that stands in the outer one as it is, so that its parts have blobs.
fn is_message(call: &Call<'_>, blob: BlobId) -> Result<bool> {
    let Some((outer, place)) = blob.outer() else { return Ok(true) };
    let outer = blob::message(call.jmap, call.who, &outer.to_string(), u64::MAX)?;
    let part = outer.as_ref().and_then(|outer| outer.structure.parts.get(place as usize));
    Ok(part.is_some_and(|part| part.kind == PartKind::Message))
}

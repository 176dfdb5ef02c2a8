//! Blob/copy (RFC 8620 §6.3): from one account of the user to another. A copy is what an upload is: it can be referred to for a
//! while.

use std::io;

use serde_json::{Map, Value, json};

use super::email::copy::from_account;
use super::email::get::required_ids;
use crate::arguments::Arguments;
use crate::error::{MethodError, Result};
use crate::request::Call;
use crate::set_error::SetError;
use crate::shares::Owner;

pub fn copy(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let (from_id, from) = from_account(call, arguments)?;
    let account_id = call.mail_account(arguments)?;
    if from == call.owner {
        return Err(MethodError::invalid_arguments("The accounts are the same"));
    }
    let asked = required_ids(arguments, "blobIds")?;
    let (mut copied, mut not_copied) = (Map::new(), Map::new());
    for id in asked {
        match copy_one(call, &from, &account_id, &id) {
            Ok(new) => drop(copied.insert(id, new)),
            Err(error) => drop(not_copied.insert(id, error.0)),
        }
    }
    let or_null = |map: Map<String, Value>| if map.is_empty() { Value::Null } else { Value::Object(map) };
    Ok(json!({
        "fromAccountId": from_id,
        "accountId": account_id,
        "copied": or_null(copied),
        "notCopied": or_null(not_copied),
    }))
}

fn copy_one(
    call: &mut Call<'_>,
    from: &Owner,
    account_id: &str,
    id: &str,
) -> std::result::Result<Value, SetError> {
    let to = std::mem::replace(&mut call.owner, from.clone());
    let found = call.work.borrow_mut().open(call.jmap, call.scope(), id);
    call.owner = to;
    let found = found.map_err(|error| SetError::new(error.kind, &error.description))?;
    let blob = found.ok_or_else(|| SetError::new("blobNotFound", "There is no such blob"))?;
    let refused = |problem: crate::Problem| SetError::new("overQuota", &problem.detail);
    let mut upload = call.jmap.upload(call.who, account_id, "application/octet-stream").map_err(refused)?;
    let size = blob.size;
    io::copy(&mut blob.content.reader(size), &mut upload).map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => SetError::new("tooLarge", "It is larger than what is uploaded"),
        _ => error.into(),
    })?;
    let finished = upload.finish().map_err(|_| SetError::new("serverFail", "It cannot be kept"))?;
    Ok(finished["blobId"].clone())
}

//! Quota/get, /changes, /query and /queryChanges (RFC 9425): how much the user's mailboxes hold, and may.
//!
//! There is a quota for octets and one for messages, where the administrator set one. What counts is the user's tree, as
//! IMAP's `QUOTA` has it.

use message_store::Quota;
use serde_json::{Map, Value, json};

use super::standard::{self, Objects};
use crate::arguments::{Arguments, wrong};
use crate::error::{MethodError, Result};
use crate::request::Call;

const PROPERTIES: [&str; 9] =
    ["resourceType", "used", "hardLimit", "scope", "name", "types", "warnLimit", "softLimit", "description"];

fn objects(quota: &Quota) -> Objects {
    let mut objects = Objects::new();
    for (id, resource, used, limit) in [
        ("octets", "octets", quota.usage.bytes, quota.limits.bytes),
        ("count", "count", quota.usage.messages, quota.limits.messages),
    ] {
        let Some(limit) = limit else { continue };
        let object = json!({
            "resourceType": resource, "used": used, "hardLimit": limit, "scope": "account", "name": id,
            "types": ["Mail"], "warnLimit": null, "softLimit": null, "description": null,
        });
        if let Value::Object(map) = object {
            objects.insert(id.to_owned(), map);
        }
    }
    objects
}

fn now(call: &Call<'_>) -> Result<Objects> {
    call.jmap.ensure(call.who)?;
    Ok(objects(&call.jmap.store.quota(&call.who.uid)?))
}

pub fn get(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let objects = now(call)?;
    standard::get(call, arguments, &objects, &standard::state_by_object(&objects), Some(&PROPERTIES))
}

/// Standard /changes; it is not told that it was `used` alone (`updatedProperties`).
pub fn changes(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let mut answer = standard::changes(call, arguments, &now(call)?)?;
    answer["updatedProperties"] = Value::Null;
    Ok(answer)
}

pub fn query(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let account = arguments.account(call.who)?;
    let objects = now(call)?;
    let filter = match arguments.take("filter") {
        None => Map::new(),
        Some(Value::Object(filter)) => filter,
        Some(_) => return Err(wrong("filter", "an object")),
    };
    let mut ids: Vec<&String> = Vec::new();
    for (id, object) in &objects {
        if matches(&filter, object)? {
            ids.push(id);
        }
    }
    if let Some(sort) = arguments.take("sort") {
        for comparator in sort.as_array().into_iter().flatten().rev() {
            let property = comparator["property"].as_str().unwrap_or_default();
            match property {
                "name" => ids.sort_by_key(|id| objects[*id]["name"].to_string()),
                "used" => ids.sort_by_key(|id| objects[*id]["used"].as_u64()),
                _ => return Err(MethodError::new("unsupportedSort", "")),
            }
            if comparator["isAscending"] == false {
                ids.reverse();
            }
        }
    }
    let position = usize::try_from(arguments.signed("position")?.unwrap_or(0)).unwrap_or(0);
    let limit = arguments.unsigned("limit")?.unwrap_or(u64::MAX);
    let total = ids.len();
    let ids: Vec<&String> =
        ids.into_iter().skip(position).take(usize::try_from(limit).unwrap_or(usize::MAX)).collect();
    let mut answer = json!({
        "accountId": account, "queryState": standard::state_of(&objects), "canCalculateChanges": false,
        "position": position, "ids": ids,
    });
    if arguments.flag("calculateTotal")? {
        answer["total"] = json!(total);
    }
    Ok(answer)
}

/// Nothing is kept of former answers.
pub fn query_changes(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    arguments.account(call.who)?;
    Err(MethodError::new("cannotCalculateChanges", ""))
}

fn matches(filter: &Map<String, Value>, object: &Map<String, Value>) -> Result<bool> {
    for (name, wanted) in filter {
        let is = match name.as_str() {
            "name" => {
                let text = wanted.as_str().ok_or_else(|| wrong("name", "a string"))?;
                object["name"].as_str().is_some_and(|name| name.contains(text))
            }
            "scope" => object["scope"] == *wanted,
            "resourceType" => object["resourceType"] == *wanted,
            "type" => object["types"].as_array().is_some_and(|types| types.contains(wanted)),
            _ => return Err(MethodError::new("unsupportedFilter", format!("{name} is no condition"))),
        };
        if !is {
            return Ok(false);
        }
    }
    Ok(true)
}

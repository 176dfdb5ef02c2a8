//! Email/get (RFC 8621 §4.2).

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::arguments::{Arguments, missing};
use crate::email::properties::Wanted;
use crate::error::{MethodError, Result};
use crate::request::Call;
use crate::state::EmailState;
use crate::{ids, limits};

pub fn run(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let account_id = call.mail_account(arguments)?;
    let asked = arguments.strings("ids")?;
    let wanted = Wanted::read(arguments, false)?;
    let too_many = || MethodError::new("requestTooLarge", "ids has too many");
    if asked.as_ref().is_some_and(|ids| ids.len() > limits::MAX_OBJECTS_IN_GET) {
        return Err(too_many());
    }
    let account = call.account()?;
    // What changes while the emails are read is told with the next state again.
    let state = EmailState::of(&account.read()).encode();
    let asked = match asked {
        Some(ids) => ids,
        None => {
            let account = account.read();
            let all: Vec<u32> = account.all().take(limits::MAX_OBJECTS_IN_GET + 1).collect();
            if all.len() > limits::MAX_OBJECTS_IN_GET {
                return Err(too_many());
            }
            all.iter()
                .filter_map(|number| account.email(*number))
                .map(|email| ids::email(&email.guid))
                .collect()
        }
    };
    let (mut list, mut not_found, mut done) = (Vec::new(), Vec::new(), HashSet::new());
    for id in asked {
        let id = call.real_id(&id).map_or_else(|| id.clone(), str::to_owned);
        if !done.insert(id.clone()) {
            continue;
        }
        let object = match ids::email_of(&id) {
            Some(guid) => wanted.of_email(call, &account, guid)?,
            None => None,
        };
        match object {
            Some(object) => list.push(object),
            None => not_found.push(id),
        }
    }
    Ok(json!({ "accountId": account_id, "state": state, "list": list, "notFound": not_found }))
}

/// The ids of a /get that must be given.
pub fn required_ids(arguments: &mut Arguments, name: &str) -> Result<Vec<String>> {
    let ids = arguments.strings(name)?.ok_or_else(|| missing(name))?;
    if ids.len() > limits::MAX_OBJECTS_IN_GET {
        return Err(MethodError::new("requestTooLarge", format!("{name} has too many")));
    }
    Ok(ids)
}

//! Thread/get and Thread/changes (RFC 8621 §3).

use std::collections::HashSet;

use serde_json::{Value, json};

use super::email::get::required_ids;
use crate::arguments::Arguments;
use crate::changes::{self, Type};
use crate::error::{MethodError, Result};
use crate::ids;
use crate::request::Call;
use crate::state::EmailState;

pub fn get(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let account_id = call.mail_account(arguments)?;
    let asked = required_ids(arguments, "ids")?;
    let properties = arguments.strings("properties")?.unwrap_or_else(|| vec!["id".into(), "emailIds".into()]);
    if let Some(unknown) = properties.iter().find(|name| !matches!(name.as_str(), "id" | "emailIds")) {
        return Err(MethodError::invalid_arguments(format!("There is no property {unknown}")));
    }
    let account = call.account()?;
    let account = account.with_threads();
    let (mut list, mut not_found, mut done) = (Vec::new(), Vec::new(), HashSet::new());
    for id in asked {
        if !done.insert(id.clone()) {
            continue;
        }
        let number = ids::thread_of(&id).and_then(|id| account.threads.as_ref()?.number(&id));
        let emails = number.map(|number| account.thread_emails(number)).unwrap_or_default();
        if emails.is_empty() {
            not_found.push(id);
            continue;
        }
        let emails: Vec<String> = emails
            .iter()
            .filter_map(|number| account.email(*number))
            .map(|email| ids::email(&email.guid))
            .collect();
        call.spend(emails.len() * 40)?;
        list.push(match properties.iter().any(|name| name == "emailIds") {
            true => json!({ "id": id, "emailIds": emails }),
            false => json!({ "id": id }),
        });
    }
    let state = EmailState::of(&account).encode();
    Ok(json!({ "accountId": account_id, "state": state, "list": list, "notFound": not_found }))
}

pub fn changes(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let account_id = call.mail_account(arguments)?;
    let account = call.account()?;
    let account = account.with_threads();
    changes::answer(&account, arguments, &account_id, Type::Thread)
}

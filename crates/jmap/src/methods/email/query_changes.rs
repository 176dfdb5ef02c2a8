//! Email/queryChanges (RFC 8621 §4.5, RFC 8620 §5.6).
//!
//! Emails that changed may have come, gone, or moved in the list. So all that changed are told as removed, and those that are
//! in the list now as added where they are, which is what the standard asks for of a filter or sort that can change. With
//! threads collapsed, the same for all emails of the threads that changed.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::query::Query;
use crate::account::Inner;
use crate::arguments::Arguments;
use crate::changes;
use crate::error::{MethodError, Result};
use crate::ids;
use crate::request::Call;
use crate::state::{EmailState, Known};

pub fn run(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let account_id = call.mail_account(arguments)?;
    let since = arguments.required_string("sinceQueryState")?;
    let query = Query::read(arguments)?;
    let most = changes::max_changes(arguments)?;
    let up_to = arguments.string("upToId")?;
    let calculate_total = arguments.flag("calculateTotal")?;
    let Some(Known::All(from)) = Known::decode(&since) else { return Err(changes::cannot()) };
    let account = call.account()?;
    let (account, view) = query.list(&account)?;
    let mut touched: BTreeSet<[u8; 16]> = changes::emails_since(&account, &from)?.into_keys().collect();
    if query.depends_on_threads(&account)? {
        add_threads(&account, &from, &mut touched)?;
    }
    let list = view.list();
    let last = up_to.as_deref().and_then(|id| {
        let (number, _) = account.email_of(&ids::email_of(call.real_id(id)?)?)?;
        list.iter().position(|one| *one == number)
    });
    let mut added = Vec::new();
    for (index, number) in list.iter().enumerate().take(last.map_or(usize::MAX, |last| last + 1)) {
        let Some(email) = account.email(*number) else { continue };
        if touched.contains(&email.guid) {
            added.push(json!({ "id": ids::email(&email.guid), "index": index }));
        }
    }
    if added.len() + touched.len() > most {
        return Err(MethodError::new("tooManyChanges", ""));
    }
    let removed: Vec<String> = touched.iter().map(ids::email).collect();
    let mut response = json!({
        "accountId": account_id,
        "oldQueryState": since,
        "newQueryState": EmailState::of(&account).encode(),
        "removed": removed,
        "added": added,
    });
    if calculate_total {
        response["total"] = json!(list.len());
    }
    Ok(response)
}

/// All emails, there or not, of the threads in which something changed.
fn add_threads(account: &Inner, from: &EmailState, touched: &mut BTreeSet<[u8; 16]>) -> Result<()> {
    let Some(threads) = &account.threads else { return Ok(()) };
    for id in changes::threads_touched(account, from)? {
        let emails = threads.number(&id).map_or(&[][..], |number| threads.emails(number));
        touched.extend(emails.iter().filter_map(|number| account.email(*number)).map(|email| email.guid));
    }
    Ok(())
}

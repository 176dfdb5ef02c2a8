//! Mailbox/changes (RFC 8621 §2.2).

use serde_json::{Value, json};

use super::get::COUNTS;
use crate::arguments::Arguments;
use crate::changes::{cannot, max_changes};
use crate::error::Result;
use crate::ids;
use crate::request::Call;
use crate::state::MailboxState;

pub fn run(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let account_id = call.mail_account(arguments)?;
    let since = arguments.required_string("sinceState")?;
    let most = max_changes(arguments)?;
    let before = MailboxState::decode(&since).ok_or_else(cannot)?;
    let account = call.account()?;
    let now = MailboxState::of(&account.read());
    let (mut created, mut updated, mut destroyed) = (Vec::new(), Vec::new(), Vec::new());
    let mut only_counts = true;
    // What fits in is told; the state that is told with it has the others as they were.
    let mut told = before.clone();
    for point in &now.0 {
        let room = created.len() + updated.len() + destroyed.len() < most;
        match before.point(point.id) {
            Some(known) if known == point => {}
            _ if !room => {}
            Some(known) => {
                only_counts &= known.properties == point.properties;
                updated.push(ids::mailbox(point.id));
                told.set(point.clone());
            }
            None => {
                created.push(ids::mailbox(point.id));
                told.set(point.clone());
            }
        }
    }
    for point in before.0.iter().filter(|point| now.point(point.id).is_none()) {
        if created.len() + updated.len() + destroyed.len() < most {
            destroyed.push(ids::mailbox(point.id));
            told.0.retain(|one| one.id != point.id);
        }
    }
    let updated_properties = (only_counts && !updated.is_empty()).then_some(COUNTS);
    Ok(json!({
        "accountId": account_id,
        "oldState": since,
        "newState": told.encode(),
        "hasMoreChanges": told != now,
        "created": created,
        "updated": updated,
        "destroyed": destroyed,
        "updatedProperties": updated_properties,
    }))
}

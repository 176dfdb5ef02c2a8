//! Mailbox/get (RFC 8621 §2.1).

use std::collections::HashSet;

use message_store::Rights;
use serde_json::{Map, Value, json};

use crate::account::{Inner, MailboxView};
use crate::arguments::Arguments;
use crate::error::{MethodError, Result};
use crate::request::Call;
use crate::state::MailboxState;
use crate::{ids, limits};

/// All properties.
pub const PROPERTIES: [&str; 11] = [
    "id",
    "name",
    "parentId",
    "role",
    "sortOrder",
    "totalEmails",
    "unreadEmails",
    "totalThreads",
    "unreadThreads",
    "myRights",
    "isSubscribed",
];
/// Those that change with every message.
pub const COUNTS: [&str; 4] = ["totalEmails", "unreadEmails", "totalThreads", "unreadThreads"];

pub fn run(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let account_id = call.mail_account(arguments)?;
    let asked = arguments.strings("ids")?;
    let properties = arguments.strings("properties")?;
    let properties = properties.unwrap_or_else(|| PROPERTIES.iter().map(|name| (*name).to_owned()).collect());
    if let Some(unknown) = properties.iter().find(|name| !PROPERTIES.contains(&name.as_str())) {
        return Err(MethodError::invalid_arguments(format!("There is no property {unknown}")));
    }
    if asked.as_ref().is_some_and(|ids| ids.len() > limits::MAX_OBJECTS_IN_GET) {
        return Err(MethodError::new("requestTooLarge", "ids has too many"));
    }
    let is_anybody = call.who.entry.anybody;
    let account = call.account()?;
    let needs_threads = properties.iter().any(|name| name.ends_with("Threads"));
    let account = if needs_threads { account.with_threads() } else { account.read() };
    let asked = match asked {
        Some(ids) => ids,
        None => account.mailboxes().map(|(_, view)| ids::mailbox(view.listed.id)).collect(),
    };
    let (mut list, mut not_found, mut done) = (Vec::new(), Vec::new(), HashSet::new());
    for id in asked {
        let id = call.real_id(&id).map_or_else(|| id.clone(), str::to_owned);
        if !done.insert(id.clone()) {
            continue;
        }
        match account.mailbox_named(&id) {
            Some((number, view)) => {
                let mut object = object(&account, number, view, &properties);
                if let (true, Some(Value::Object(rights))) = (is_anybody, object.get_mut("myRights")) {
                    rights
                        .iter_mut()
                        .filter(|(name, _)| *name != "mayReadItems")
                        .for_each(|(_, may)| *may = json!(false));
                }
                list.push(object);
            }
            None => not_found.push(id),
        }
    }
    let state = MailboxState::of(&account).encode();
    Ok(json!({ "accountId": account_id, "state": state, "list": list, "notFound": not_found }))
}

fn object(account: &Inner, number: u16, view: &MailboxView, properties: &[String]) -> Value {
    let mut map = Map::new();
    map.insert("id".into(), json!(ids::mailbox(view.listed.id)));
    for name in properties {
        map.insert(name.clone(), property(account, number, view, name));
    }
    Value::Object(map)
}

/// One property.
pub fn property(account: &Inner, number: u16, view: &MailboxView, name: &str) -> Value {
    match name {
        "id" => json!(ids::mailbox(view.listed.id)),
        "name" => json!(account.display_name(view)),
        "parentId" => json!(account.parent(view).map(|parent| ids::mailbox(parent.listed.id))),
        "role" => json!(account.role(number, view)),
        "sortOrder" => json!(view.sort_order),
        "totalEmails" => json!(account.total_emails(number)),
        "unreadEmails" => json!(account.unread_emails(number)),
        "totalThreads" => json!(account.total_threads(number)),
        "unreadThreads" => json!(account.unread_threads(number, view.role() == Some("trash"))),
        "myRights" => rights(view),
        "isSubscribed" => json!(view.is_subscribed),
        _ => Value::Null,
    }
}

/// MailboxRights (RFC 8621 §2).
fn rights(view: &MailboxView) -> Value {
    let is_real = view.mailbox.is_some();
    let may = |rights: Rights| view.rights.contains(rights);
    let is_inbox = view.listed.name.is_inbox();
    json!({
        "mayReadItems": may(Rights::LOOKUP | Rights::READ),
        "mayAddItems": is_real && may(Rights::INSERT),
        "mayRemoveItems": is_real && may(Rights::DELETE_MESSAGES | Rights::EXPUNGE),
        "maySetSeen": is_real && may(Rights::SEEN),
        "maySetKeywords": is_real && may(Rights::WRITE),
        "mayCreateChild": may(Rights::CREATE),
        "mayRename": !is_inbox && may(Rights::DELETE),
        "mayDelete": !is_inbox && may(Rights::DELETE),
        "maySubmit": is_real && may(Rights::POST),
    })
}

//! Forwarding/get and /set (ours): `mailForwardingAddress`, and whether the mailbox gets the mail, too (`mailDeliveryOption`).
//!
//! One object, {addresses, keepCopy}. Whoever sets it says the password again: who finds a browser open must not have the
//! mail sent on.

use directory::{Edit, Entry, preferences};
use serde_json::{Map, Value, json};
use server_log::{Action, Category};
use smtp_wire::Address;

use super::standard::{self, Objects, SINGLETON, Wanted};
use crate::arguments::Arguments;
use crate::error::Result;
use crate::personal;
use crate::request::Call;
use crate::set_error::SetError;

const PROPERTIES: [&str; 2] = ["addresses", "keepCopy"];
const ADDRESSES_MAX: usize = 20;

fn objects(entry: &Entry) -> Objects {
    let object = json!({ "addresses": entry.forward, "keepCopy": entry.delivery.mailbox });
    standard::singleton(if let Value::Object(map) = object { map } else { Map::new() })
}

pub fn get(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let objects = objects(&*personal::entry(call.jmap.directory.as_ref(), call.who)?);
    standard::get(call, arguments, &objects, &standard::state_of(&objects), Some(&PROPERTIES))
}

/// Standard /set, with the argument `password`.
pub fn set(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let before = objects(&*personal::entry(call.jmap.directory.as_ref(), call.who)?);
    let wanted = Wanted::read(call, arguments, &standard::state_of(&before))?;
    let password = arguments.string("password")?.unwrap_or_default();
    let (patch, mut done) = wanted.of_singleton();
    if let Some(patch) = patch {
        match update(call, &before[SINGLETON], patch, &password) {
            Ok(()) => drop(done.updated.insert(SINGLETON.into(), Value::Null)),
            Err(why) => drop(done.not_updated.insert(SINGLETON.into(), why.0)),
        }
    }
    let after = objects(&*personal::entry(call.jmap.directory.as_ref(), call.who)?);
    Ok(wanted.answer(done, &standard::state_of(&after)))
}

fn update(
    call: &mut Call<'_>,
    before: &Map<String, Value>,
    patch: &Value,
    password: &str,
) -> std::result::Result<(), SetError> {
    let after = standard::patched(before, patch)?;
    if let Some(name) = after.keys().find(|name| !PROPERTIES.contains(&name.as_str())) {
        return Err(SetError::properties(&[name], "There is no such property"));
    }
    let addresses = addresses(call, &after)?;
    let keep = standard::flag(&after, "keepCopy")? || addresses.is_empty();
    call.confirm(password)?;
    preferences::changing(call.jmap.directory.as_ref(), &call.who.uid, |entry| {
        let options = options(entry, keep, !addresses.is_empty());
        Ok(vec![
            Edit::replace("mailForwardingAddress", addresses.clone()),
            Edit::replace("mailDeliveryOption", options),
        ])
    })?;
    let who = call.who;
    let (uid, peer, session) = (&who.uid, who.peer, &who.session);
    let copy = if keep { "yes" } else { "no" };
    call.audit(Action::Forwarding, &[("to", &addresses.join(",")), ("copy", copy)]);
    let to = base::escape(&addresses.join(" "));
    call.jmap.log.notice(
        Category::Account,
        format_args!("{uid} [{peer}] session={session}: mail is forwarded to=<{to}> copy={keep}"),
    );
    Ok(())
}

/// The delivery options with the mailbox or without; programs and native mailboxes are the administrator's and stay. Without
/// any option and without forwarding the mailbox gets the mail (entry.rs), so it has to be said when there is forwarding.
fn options(entry: &Entry, keep: bool, forwards: bool) -> Vec<String> {
    let values = entry.attributes.get("maildeliveryoption").cloned().unwrap_or_default();
    let is_mailbox = |value: &String| value.trim().eq_ignore_ascii_case("mailbox");
    let mut stays: Vec<String> = values.iter().filter(|value| !is_mailbox(value)).cloned().collect();
    if keep && (forwards || !values.is_empty()) {
        stays.push("mailbox".into());
    }
    stays
}

fn addresses(call: &Call<'_>, after: &Map<String, Value>) -> std::result::Result<Vec<String>, SetError> {
    let wrong = |why: &str| SetError::properties(&["addresses"], why);
    let list = match after.get("addresses") {
        None | Some(Value::Null) => Vec::new(),
        Some(value) => {
            crate::arguments::strings(value.clone()).ok_or_else(|| wrong("It is no list of texts"))?
        }
    };
    if list.len() > ADDRESSES_MAX {
        return Err(wrong("There are too many addresses"));
    }
    let mut addresses: Vec<String> = Vec::new();
    for text in list {
        let address = Address::parse(text.trim().as_bytes(), false, true)
            .map_err(|_| wrong(&format!("{} is no address", base::escape(&text))))?
            .to_string();
        if call.who.entry.has_address(&address) {
            return Err(wrong(&format!("{address} is this account: the mail would turn in a circle")));
        }
        if !addresses.iter().any(|have| base::idn::same(have, &address)) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

//! Identity/get, /changes and /set (RFC 8621 §6): as whom the user may write.
//!
//! Each of the user's addresses is one, which cannot be removed; more with the same addresses can be made. What differs from the
//! directory's names is kept as JSON in `nswmExtendedUserPrefs`, `mailboat.identity.<id>` each. The text signature is `meSignature` (S121)
//! until an identity has its own; that of the primary address always is.

use directory::preferences::{self, OURS};
use directory::{Entry, lines};
use serde_json::{Map, Value, json};
use smtp_wire::Address;

use super::preferences as prefs;
use super::standard::{self, Objects, Wanted};
use crate::arguments::Arguments;
use crate::error::Result;
use crate::personal;
use crate::request::Call;
use crate::set_error::SetError;

const PROPERTIES: [&str; 7] =
    ["name", "email", "replyTo", "bcc", "textSignature", "htmlSignature", "mayDelete"];
/// What is kept of an identity.
const KEPT: [&str; 6] = ["name", "email", "replyTo", "bcc", "textSignature", "htmlSignature"];
const IDENTITIES_MAX: usize = 50;
const NAME_BYTES_MAX: usize = 300;
const SIGNATURE_BYTES_MAX: usize = 8 * 1024;
const ADDRESSES_MAX: usize = 20;

/// An identity as what it is needed for.
pub struct Identity {
    pub email: String,
}

/// The one with this id.
pub fn find(entry: &Entry, id: &str) -> Option<Identity> {
    let objects = objects(entry);
    let object = objects.get(id)?;
    Some(Identity { email: object.get("email").and_then(Value::as_str).unwrap_or_default().to_owned() })
}

/// The id of an address's own identity.
pub fn id_of(address: &str) -> String {
    let digest = openssl::sha::sha256(base::idn::comparable(address).as_bytes());
    format!("I{}", base::hex::encode(&digest[..8]))
}

fn key(id: &str) -> String {
    format!("{OURS}identity.{id}")
}

/// All of them, as the entry has them.
pub fn objects(entry: &Entry) -> Objects {
    let signature = prefs::of(entry).signature;
    let kept = kept(entry);
    let mut objects = Objects::new();
    // `@domain` takes mail for all of a domain, and nobody writes as it.
    for address in entry.addresses().filter(|address| !address.starts_with('@')) {
        let mut object = Map::new();
        object.insert("name".into(), json!(entry.name()));
        object.insert("replyTo".into(), Value::Null);
        object.insert("bcc".into(), Value::Null);
        object.insert("textSignature".into(), json!(signature));
        object.insert("htmlSignature".into(), json!(""));
        let id = id_of(address);
        object.extend(kept.get(&id).cloned().unwrap_or_default());
        if base::idn::same(address, &entry.mail) {
            object.insert("textSignature".into(), json!(signature));
        }
        object.insert("email".into(), json!(address));
        object.insert("mayDelete".into(), json!(false));
        objects.insert(id, object);
    }
    for (id, mut object) in kept {
        let email = object.get("email").and_then(Value::as_str).unwrap_or_default();
        if objects.contains_key(&id) || !entry.has_address(email) || objects.len() >= IDENTITIES_MAX {
            continue; // of an address that is the user's no more
        }
        object.insert("mayDelete".into(), json!(true));
        objects.insert(id, object);
    }
    objects
}

/// What is kept, by id.
fn kept(entry: &Entry) -> Objects {
    let all = preferences::beginning_with(entry, &key("")).into_iter();
    all.filter_map(|(name, value)| {
        let id = name.get(key("").len()..)?.to_owned();
        match serde_json::from_str(&value) {
            Ok(Value::Object(mut object)) if crate::ids::is_id(&id) => {
                object.retain(|name, _| KEPT.contains(&name.as_str()));
                Some((id, object))
            }
            _ => None,
        }
    })
    .collect()
}

pub fn get(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let objects = objects(&*personal::entry(call.jmap.directory.as_ref(), call.who)?);
    standard::get(call, arguments, &objects, &standard::state_by_object(&objects), Some(&PROPERTIES))
}

pub fn changes(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let objects = objects(&*personal::entry(call.jmap.directory.as_ref(), call.who)?);
    standard::changes(call, arguments, &objects)
}

pub fn set(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let entry = personal::entry(call.jmap.directory.as_ref(), call.who)?;
    let before = objects(&entry);
    let wanted = Wanted::read(call, arguments, &standard::state_by_object(&before))?;
    let mut done = standard::Done::default();
    for (creation, object) in &wanted.create {
        match create(call, &entry, before.len() + done.created.len(), object) {
            Ok((id, made)) => {
                call.note_created(creation, &id);
                done.created.insert(creation.clone(), made);
            }
            Err(why) => drop(done.not_created.insert(creation.clone(), why.0)),
        }
    }
    for (id, patch) in &wanted.update {
        let real = call.real_id(id).unwrap_or(id).to_owned();
        match update(call, &entry, &before, &real, patch) {
            Ok(()) => drop(done.updated.insert(id.clone(), Value::Null)),
            Err(why) => drop(done.not_updated.insert(id.clone(), why.0)),
        }
    }
    for id in &wanted.destroy {
        let real = call.real_id(id).unwrap_or(id).to_owned();
        match destroy(call, &before, &real) {
            Ok(()) => done.destroyed.push(id.clone()),
            Err(why) => drop(done.not_destroyed.insert(id.clone(), why.0)),
        }
    }
    let after = objects(&*personal::entry(call.jmap.directory.as_ref(), call.who)?);
    Ok(wanted.answer(done, &standard::state_by_object(&after)))
}

fn create(
    call: &Call<'_>,
    entry: &Entry,
    count: usize,
    object: &Value,
) -> std::result::Result<(String, Value), SetError> {
    let Value::Object(object) = object else { return Err(SetError::properties(&[], "It is no object")) };
    if count >= IDENTITIES_MAX {
        return Err(SetError::new("overQuota", "There are too many identities"));
    }
    let email = standard::text(object, "email", NAME_BYTES_MAX)?;
    if !entry.has_address(&email) || email.starts_with('@') {
        return Err(SetError::new("forbiddenFrom", "It is no address of this account"));
    }
    let mut kept = checked(object)?;
    kept.insert("email".into(), json!(email));
    let mut random = [0; 8];
    openssl::rand::rand_bytes(&mut random).map_err(|_| SetError::new("serverFail", "No random bytes"))?;
    let id = format!("J{}", base::hex::encode(&random));
    store(call, &id, &kept)?;
    // What the client did not say (RFC 8620 §5.3).
    let mut told = json!({ "id": id, "mayDelete": true });
    for name in KEPT.iter().filter(|name| !object.contains_key(**name)) {
        told[*name] = kept.get(*name).cloned().unwrap_or(Value::Null);
    }
    Ok((id, told))
}

fn update(
    call: &Call<'_>,
    entry: &Entry,
    before: &Objects,
    id: &str,
    patch: &Value,
) -> std::result::Result<(), SetError> {
    let object = before.get(id).ok_or_else(SetError::not_found)?;
    let after = standard::patched(object, patch)?;
    for fixed in ["email", "mayDelete"] {
        if after.get(fixed) != object.get(fixed) {
            return Err(SetError::properties(&[fixed], "It cannot be changed"));
        }
    }
    let mut kept = checked(&after)?;
    let email = object.get("email").and_then(Value::as_str).unwrap_or_default().to_owned();
    if base::idn::same(&email, &entry.mail) && id == id_of(&entry.mail) {
        if let Some(Value::String(text)) = kept.remove("textSignature") {
            let value = lines::written(&text);
            let value = (!value.trim().is_empty()).then_some(value.as_str());
            if after.get("textSignature") != object.get("textSignature") {
                preferences::set(call.jmap.directory.as_ref(), &call.who.uid, "meSignature", None, value)?;
            }
        }
    }
    kept.insert("email".into(), json!(email));
    store(call, id, &kept)
}

fn destroy(call: &Call<'_>, before: &Objects, id: &str) -> std::result::Result<(), SetError> {
    let object = before.get(id).ok_or_else(SetError::not_found)?;
    if object.get("mayDelete") != Some(&Value::Bool(true)) {
        return Err(SetError::forbidden("It is an address of the account"));
    }
    Ok(preferences::set(call.jmap.directory.as_ref(), &call.who.uid, &key(id), None, None)?)
}

fn store(call: &Call<'_>, id: &str, kept: &Map<String, Value>) -> std::result::Result<(), SetError> {
    let text = Value::Object(kept.clone()).to_string();
    Ok(preferences::set(call.jmap.directory.as_ref(), &call.who.uid, &key(id), None, Some(&text))?)
}

/// The properties that are kept, all of the right kind.
fn checked(object: &Map<String, Value>) -> std::result::Result<Map<String, Value>, SetError> {
    let known = |name: &str| PROPERTIES.contains(&name) || name == "id";
    if let Some(name) = object.keys().find(|name| !known(name)) {
        return Err(SetError::properties(&[name], "There is no such property"));
    }
    let name = standard::text(object, "name", NAME_BYTES_MAX)?;
    if name.chars().any(char::is_control) {
        return Err(SetError::properties(&["name"], "It is more than one line"));
    }
    let mut kept = Map::new();
    kept.insert("name".into(), json!(name));
    for signature in ["textSignature", "htmlSignature"] {
        kept.insert(signature.into(), json!(standard::text(object, signature, SIGNATURE_BYTES_MAX)?));
    }
    for list in ["replyTo", "bcc"] {
        kept.insert(list.into(), addresses(object, list)?);
    }
    Ok(kept)
}

/// `EmailAddress[]|null`
fn addresses(object: &Map<String, Value>, name: &str) -> std::result::Result<Value, SetError> {
    let wrong = || SetError::properties(&[name], "It is no list of addresses");
    let list = match object.get(name) {
        None | Some(Value::Null) => return Ok(Value::Null),
        Some(Value::Array(list)) if list.len() <= ADDRESSES_MAX => list,
        Some(_) => return Err(wrong()),
    };
    let mut addresses = Vec::new();
    for one in list {
        let email = one.get("email").and_then(Value::as_str).ok_or_else(wrong)?;
        Address::parse(email.as_bytes(), false, true).map_err(|_| wrong())?;
        let shown = match one.get("name") {
            None | Some(Value::Null) => Value::Null,
            Some(Value::String(text))
                if text.len() <= NAME_BYTES_MAX && !text.chars().any(char::is_control) =>
            {
                json!(text)
            }
            Some(_) => return Err(wrong()),
        };
        addresses.push(json!({ "name": shown, "email": email }));
    }
    Ok(if addresses.is_empty() { Value::Null } else { Value::Array(addresses) })
}

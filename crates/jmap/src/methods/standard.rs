//! /get, /changes and /set of types with few objects, which are made whole and compared whole (RFC 8620 §5.1 to §5.3).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::arguments::Arguments;
use crate::error::{MethodError, Result};
use crate::request::Call;
use crate::set_error::SetError;
use crate::{ids, limits};

/// The id of the only object of a type (RFC 8621 §8).
pub const SINGLETON: &str = "singleton";

/// Objects by id.
pub type Objects = BTreeMap<String, Map<String, Value>>;

/// What tells one content from another.
pub fn state_of(objects: &Objects) -> String {
    let text = serde_json::to_vec(objects).unwrap_or_default();
    let digest = openssl::sha::sha256(&text);
    let hex: String = base::hex::encode(&digest[..12]);
    format!("s{hex}")
}

/// One object as all there is.
pub fn singleton(properties: Map<String, Value>) -> Objects {
    Objects::from([(SINGLETON.to_owned(), properties)])
}

/// Standard /get, of objects that are all there. `known` are the properties that may be asked for beside `id`; an object
/// may have others.
///
/// # Errors
/// As the standard has it.
pub fn get(
    call: &mut Call<'_>,
    arguments: &mut Arguments,
    objects: &Objects,
    state: &str,
    known: Option<&[&str]>,
) -> Result<Value> {
    let account = arguments.account(call.who)?;
    let asked = arguments.strings("ids")?;
    let properties = arguments.strings("properties")?;
    if let (Some(known), Some(asked)) = (known, &properties) {
        if let Some(other) = asked.iter().find(|name| *name != "id" && !known.contains(&name.as_str())) {
            return Err(MethodError::invalid_arguments(format!("{other} is no property")));
        }
    }
    let asked = asked.unwrap_or_else(|| objects.keys().cloned().collect());
    if asked.len() > limits::MAX_OBJECTS_IN_GET {
        return Err(MethodError::new("requestTooLarge", ""));
    }
    let (mut list, mut not_found) = (Vec::new(), Vec::new());
    let mut seen = std::collections::HashSet::new();
    for id in asked.iter().filter(|id| seen.insert((*id).clone())) {
        match call.real_id(id).and_then(|id| Some((id, objects.get(id)?))) {
            None => not_found.push(id.clone()),
            Some((id, object)) => {
                let wanted = |name: &String| properties.as_ref().is_none_or(|asked| asked.contains(name));
                let mut shown: Map<String, Value> = object
                    .iter()
                    .filter(|(name, _)| wanted(name))
                    .map(|(n, v)| (n.clone(), v.clone()))
                    .collect();
                shown.insert("id".into(), json!(id));
                list.push(Value::Object(shown));
            }
        }
    }
    call.spend(list.iter().map(|one| one.to_string().len()).sum())?;
    Ok(json!({ "accountId": account, "state": state, "list": list, "notFound": not_found }))
}

/// The arguments of /set, checked against the state.
pub struct Wanted {
    pub account: String,
    pub create: Map<String, Value>,
    pub update: Map<String, Value>,
    pub destroy: Vec<String>,
    pub old_state: String,
}

/// What became of them.
#[derive(Default)]
pub struct Done {
    pub created: Map<String, Value>,
    pub updated: Map<String, Value>,
    pub destroyed: Vec<String>,
    pub not_created: Map<String, Value>,
    pub not_updated: Map<String, Value>,
    pub not_destroyed: Map<String, Value>,
}

impl Wanted {
    /// # Errors
    /// `stateMismatch`, `requestTooLarge`, `invalidArguments`.
    pub fn read(call: &Call<'_>, arguments: &mut Arguments, state: &str) -> Result<Wanted> {
        let account = arguments.account(call.who)?;
        if arguments.string("ifInState")?.is_some_and(|expected| expected != state) {
            return Err(MethodError::new("stateMismatch", ""));
        }
        let wanted = Wanted {
            account,
            create: arguments.map("create")?,
            update: arguments.map("update")?,
            destroy: arguments.strings("destroy")?.unwrap_or_default(),
            old_state: state.to_owned(),
        };
        if wanted.create.len() + wanted.update.len() + wanted.destroy.len() > limits::MAX_OBJECTS_IN_SET {
            return Err(MethodError::new("requestTooLarge", ""));
        }
        Ok(wanted)
    }

    /// Of a type with one object, what it is to become; the refusals of everything else.
    pub fn of_singleton(&self) -> (Option<&Value>, Done) {
        let mut done = Done::default();
        let single = || SetError::new("singleton", "There is only ever this one").0;
        for id in self.create.keys() {
            done.not_created.insert(id.clone(), single());
        }
        for id in &self.destroy {
            done.not_destroyed.insert(id.clone(), single());
        }
        for id in self.update.keys().filter(|id| *id != SINGLETON) {
            done.not_updated.insert(id.clone(), SetError::not_found().0);
        }
        (self.update.get(SINGLETON), done)
    }

    pub fn answer(self, done: Done, new_state: &str) -> Value {
        let some = |map: Map<String, Value>| if map.is_empty() { Value::Null } else { Value::Object(map) };
        json!({
            "accountId": self.account,
            "oldState": self.old_state,
            "newState": new_state,
            "created": some(done.created),
            "updated": some(done.updated),
            "destroyed": if done.destroyed.is_empty() { Value::Null } else { json!(done.destroyed) },
            "notCreated": some(done.not_created),
            "notUpdated": some(done.not_updated),
            "notDestroyed": some(done.not_destroyed),
        })
    }
}

/// The object after a patch (RFC 8620 §5.3). `null` takes a property back to what it is without a value.
///
/// # Errors
/// `invalidPatch`
pub fn patched(
    object: &Map<String, Value>,
    patch: &Value,
) -> std::result::Result<Map<String, Value>, SetError> {
    let invalid = || SetError::new("invalidPatch", "The patch does not fit the object");
    let Value::Object(patch) = patch else { return Err(invalid()) };
    let mut object = object.clone();
    for (path, value) in patch {
        let parts: Vec<String> =
            path.split('/').map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
        let overlaps = |other: &String| other.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
        if patch.keys().any(overlaps) {
            return Err(invalid());
        }
        let (last, above) = parts.split_last().ok_or_else(invalid)?;
        let mut place = &mut object;
        for part in above {
            place = place.get_mut(part).and_then(Value::as_object_mut).ok_or_else(invalid)?;
        }
        match value {
            Value::Null if !above.is_empty() => drop(place.remove(last)),
            value => drop(place.insert(last.clone(), value.clone())),
        }
    }
    Ok(object)
}

/// The state of a type whose objects are few: each id with a check of the object, so that /changes can be told by any process.
pub fn state_by_object(objects: &Objects) -> String {
    let one = |(id, object): (&String, &Map<String, Value>)| {
        format!("{id}.{:08x}", base::crc32(&serde_json::to_vec(object).unwrap_or_default()))
    };
    format!("v1{}", objects.iter().map(|pair| format!("!{}", one(pair))).collect::<String>())
}

/// Standard /changes, from such a state.
///
/// # Errors
/// `cannotCalculateChanges` when the state is none of ours.
pub fn changes(call: &Call<'_>, arguments: &mut Arguments, objects: &Objects) -> Result<Value> {
    let account = arguments.account(call.who)?;
    let since = arguments.required_string("sinceState")?;
    let _ = arguments.unsigned("maxChanges")?;
    let new_state = state_by_object(objects);
    let before = parse(&since).ok_or_else(|| MethodError::new("cannotCalculateChanges", ""))?;
    let now = parse(&new_state).unwrap_or_default();
    let created: Vec<&String> = now.keys().filter(|id| !before.contains_key(*id)).collect();
    let updated: Vec<&String> = now
        .iter()
        .filter(|(id, check)| before.get(*id).is_some_and(|had| had != *check))
        .map(|(id, _)| id)
        .collect();
    let destroyed: Vec<&String> = before.keys().filter(|id| !now.contains_key(*id)).collect();
    Ok(json!({
        "accountId": account, "oldState": since, "newState": new_state, "hasMoreChanges": false,
        "created": created, "updated": updated, "destroyed": destroyed,
    }))
}

fn parse(state: &str) -> Option<BTreeMap<String, String>> {
    let rest = state.strip_prefix("v1")?;
    if rest.is_empty() {
        return Some(BTreeMap::new());
    }
    let pairs = rest.strip_prefix('!')?.split('!').map(|pair| {
        let (id, check) = pair.split_once('.')?;
        ids::is_id(id).then(|| (id.to_owned(), check.to_owned()))
    });
    pairs.collect()
}

/// A property of an object that a client wants to set.
///
/// # Errors
/// `invalidProperties`
pub fn text(
    object: &Map<String, Value>,
    name: &str,
    bytes_max: usize,
) -> std::result::Result<String, SetError> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) if text.len() <= bytes_max && !text.contains('\0') => Ok(text.clone()),
        Some(Value::String(_)) => Err(SetError::properties(&[name], "The text is too long, or has a NUL")),
        Some(_) => Err(SetError::properties(&[name], "It is no text")),
    }
}

/// The same of a boolean.
///
/// # Errors
/// `invalidProperties`
pub fn flag(object: &Map<String, Value>, name: &str) -> std::result::Result<bool, SetError> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(SetError::properties(&[name], "It is neither true nor false")),
    }
}

impl From<directory::ChangeError> for SetError {
    fn from(why: directory::ChangeError) -> SetError {
        match why {
            directory::ChangeError::Refused(why) => SetError::forbidden(&why),
            directory::ChangeError::WrongPassword => SetError::new("wrongPassword", "The password is wrong"),
            directory::ChangeError::Stale | directory::ChangeError::Unavailable(_) => {
                SetError::new("serverUnavailable", "The directory does not answer; try again")
            }
        }
    }
}

impl From<crate::personal::Unconfirmed> for SetError {
    fn from(why: crate::personal::Unconfirmed) -> SetError {
        use crate::personal::Unconfirmed;
        match why {
            Unconfirmed::Limited => {
                SetError::new("forbidden", "Not by an app password: sign in to the web mail")
            }
            Unconfirmed::Wrong => SetError::new("wrongPassword", "The password is wrong"),
            Unconfirmed::AskedAlready => SetError::new("rateLimit", "A request confirms a password once"),
            Unconfirmed::TooManyGuesses => {
                SetError::new("rateLimit", "Too many wrong passwords; try again later")
            }
            Unconfirmed::Unavailable(_) => {
                SetError::new("serverUnavailable", "Passwords cannot be checked just now; try again")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        if let Value::Object(map) = value { map } else { Map::new() }
    }

    #[test]
    fn a_patch_changes_what_it_names() {
        let object = map(json!({ "a": 1, "texts": { "ja": "x", "de": "y" } }));
        let after = |patch: Value| patched(&object, &patch).map(Value::Object);
        assert_eq!(
            after(json!({ "a": null, "texts/ja": null, "texts/fr~1x": "z" })).unwrap(),
            json!({ "a": null, "texts": { "de": "y", "fr/x": "z" } })
        );
        for wrong in
            [json!(1), json!({ "no/x": 1 }), json!({ "a/x": 1 }), json!({ "texts": {}, "texts/ja": "x" })]
        {
            assert_eq!(after(wrong.clone()).unwrap_err().0["type"], "invalidPatch", "{wrong}");
        }
    }

    #[test]
    fn states_tell_what_changed_since() {
        let objects = |list: &[(&str, i64)]| -> Objects {
            list.iter().map(|(id, n)| ((*id).to_owned(), map(json!({ "n": n })))).collect()
        };
        let (before, now) =
            (objects(&[("a", 1), ("b", 1), ("c", 1)]), objects(&[("a", 1), ("b", 2), ("d", 1)]));
        let (old, new) = (parse(&state_by_object(&before)).unwrap(), parse(&state_by_object(&now)).unwrap());
        assert_eq!(old["a"], new["a"]);
        assert_ne!(old["b"], new["b"]);
        assert_eq!(parse(&state_by_object(&objects(&[]))), Some(BTreeMap::new()));
        for wrong in ["", "v2", "v1a", "v1!a", "v1!a b.0"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}

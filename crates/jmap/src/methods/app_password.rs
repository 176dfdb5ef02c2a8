//! AppPassword/get and /set (ours): passwords for one program each (`mailAppPassword`, `directory::app_passwords`).
//!
//! An object is {id, label, services, networks, created, expires}; days are `2026-11-29`, `expires` is the first on which it is
//! none any more, or null. Whoever makes one says the own password, and sees the new one once, as `password` of what was
//! created. Taking one back needs no password. None can be changed.

use base::network::Network;
use directory::app_passwords::{AppPassword, COUNT_MAX, date, today};
use directory::{ChangeError, Edit, Entry, Service, preferences};
use serde_json::{Map, Value, json};
use server_log::{Action, Category};

use super::standard::{self, Objects, Wanted};
use crate::arguments::Arguments;
use crate::error::Result;
use crate::personal;
use crate::request::Call;
use crate::set_error::SetError;

const ATTRIBUTE: &str = "mailAppPassword";
const PROPERTIES: [&str; 5] = ["label", "services", "networks", "created", "expires"];
/// What a client says of a new one.
const GIVEN: [&str; 4] = ["label", "services", "networks", "days"];
const LABEL_BYTES_MAX: usize = 240;
const NETWORKS_MAX: usize = 16;
/// A hundred years.
const DAYS_MAX: i64 = 36_500;

fn objects(entry: &Entry) -> Objects {
    let object = |one: &AppPassword| {
        let services: Vec<&str> = one.services.iter().map(|service| service.name()).collect();
        let networks: Vec<String> = one.networks.iter().map(ToString::to_string).collect();
        let shown = json!({
            "label": one.label, "services": services, "networks": networks,
            "created": date(one.created), "expires": one.expires.map(date),
        });
        if let Value::Object(map) = shown { map } else { Map::new() }
    };
    entry.app_passwords.iter().map(|one| (one.id.clone(), object(one))).collect()
}

pub fn get(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let objects = objects(&*personal::entry(call.jmap.directory.as_ref(), call.who)?);
    standard::get(call, arguments, &objects, &standard::state_of(&objects), Some(&PROPERTIES))
}

/// Standard /set, with the argument `password` for what is created.
pub fn set(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let before = objects(&*personal::entry(call.jmap.directory.as_ref(), call.who)?);
    let wanted = Wanted::read(call, arguments, &standard::state_of(&before))?;
    let password = arguments.string("password")?.unwrap_or_default();
    let mut done = standard::Done::default();
    if !wanted.create.is_empty() {
        let confirmed = call.confirm(&password).map_err(SetError::from);
        for (key, given) in &wanted.create {
            let made = confirmed.clone().and_then(|()| create(call, given));
            match made {
                Ok(made) => drop(done.created.insert(key.clone(), made)),
                Err(why) => drop(done.not_created.insert(key.clone(), why.0)),
            }
        }
    }
    for id in wanted.update.keys() {
        let why = if before.contains_key(id) {
            SetError::forbidden("An app password cannot be changed; make another")
        } else {
            SetError::not_found()
        };
        done.not_updated.insert(id.clone(), why.0);
    }
    for id in &wanted.destroy {
        match destroy(call, id) {
            Ok(()) => done.destroyed.push(id.clone()),
            Err(why) => drop(done.not_destroyed.insert(id.clone(), why.0)),
        }
    }
    let after = objects(&*personal::entry(call.jmap.directory.as_ref(), call.who)?);
    Ok(wanted.answer(done, &standard::state_of(&after)))
}

fn create(call: &Call<'_>, given: &Value) -> std::result::Result<Value, SetError> {
    let Value::Object(given) = given else {
        return Err(SetError::new("invalidProperties", "It is no object"));
    };
    if let Some(name) = given.keys().find(|name| !GIVEN.contains(&name.as_str())) {
        return Err(SetError::properties(&[name], "There is no such property"));
    }
    let label = standard::text(given, "label", LABEL_BYTES_MAX)?;
    let services = list(given, "services", Service::named)?;
    let networks = list(given, "networks", Network::parse)?;
    let today = today();
    let expires = match given.get("days") {
        None | Some(Value::Null) => None,
        Some(days) => {
            let days = days.as_i64().filter(|days| (1..=DAYS_MAX).contains(days));
            let days = days.ok_or_else(|| SetError::properties(&["days"], "It is no number of days"))?;
            Some(today.saturating_add(days))
        }
    };
    let made = AppPassword::make(&label, services, networks, today, expires);
    let (made, shown) = made.map_err(|why| SetError::properties(&["label"], &why))?;
    preferences::changing(call.jmap.directory.as_ref(), &call.who.uid, |entry| {
        if entry.app_passwords.len() >= COUNT_MAX {
            return Err(ChangeError::Refused(format!("There are {COUNT_MAX} already; take one back first")));
        }
        Ok(vec![Edit::Swap { attribute: ATTRIBUTE.into(), remove: Vec::new(), add: vec![made.to_value()] }])
    })?;
    note(call, "made", &made.id);
    Ok(
        json!({ "id": made.id, "password": shown, "created": date(made.created), "expires": made.expires.map(date) }),
    )
}

fn destroy(call: &Call<'_>, id: &str) -> std::result::Result<(), SetError> {
    if call.who.entry.limited {
        return Err(SetError::forbidden("Not by an app password: sign in to the web mail"));
    }
    let there = std::cell::Cell::new(false);
    preferences::changing(call.jmap.directory.as_ref(), &call.who.uid, |entry| {
        let one = entry.app_passwords.iter().find(|one| one.id == id);
        there.set(one.is_some());
        Ok(one
            .map(|one| Edit::Swap {
                attribute: ATTRIBUTE.into(),
                remove: vec![one.to_value()],
                add: Vec::new(),
            })
            .into_iter()
            .collect())
    })?;
    if !there.get() {
        return Err(SetError::not_found());
    }
    call.jmap.personal.forget(&call.who.uid);
    note(call, "taken back", id);
    Ok(())
}

fn note(call: &Call<'_>, what: &str, id: &str) {
    let (uid, peer, session) = (&call.who.uid, call.who.peer, &call.who.session);
    let result = if what == "made" { "made" } else { "removed" };
    call.audit(Action::AppPassword, &[("result", result), ("id", id)]);
    let id = base::escape(id);
    call.jmap.log.notice(
        Category::Account,
        format_args!("{uid} [{peer}] session={session}: app password {id} {what}"),
    );
}

fn list<T>(
    given: &Map<String, Value>,
    name: &str,
    read: impl Fn(&str) -> Option<T>,
) -> std::result::Result<Vec<T>, SetError> {
    let wrong = || SetError::properties(&[name], "It is no list of what it should be");
    let Some(value) = given.get(name).filter(|value| !value.is_null()) else { return Ok(Vec::new()) };
    let all = value.as_array().filter(|all| all.len() <= NETWORKS_MAX).ok_or_else(wrong)?;
    all.iter().map(|one| one.as_str().and_then(&read).ok_or_else(wrong)).collect()
}

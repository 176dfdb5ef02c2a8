//! Mailbox/set (RFC 8621 §2.5).

use std::collections::BTreeMap;

use message_store::{MailboxName, NewAnnotation, Rights, SpecialUse, StoreError};
use serde_json::{Map, Value, json};

use super::get::{PROPERTIES, property};
use crate::account::refresh::sort_order_entry;
use crate::account::{Inner, MailboxView};
use crate::arguments::Arguments;
use crate::error::{MethodError, Result};
use crate::limits;
use crate::methods::email::set::Outcome;
use crate::pointer::unescape;
use crate::request::Call;
use crate::set_error::SetError;
use crate::state::MailboxState;

/// Notes of one user beside the server: there is one for each mailbox with an order.
const NOTES_MAX: usize = 20_000;

type SetResult<T> = std::result::Result<T, SetError>;

pub fn run(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let account_id = call.mail_account(arguments)?;
    let if_in_state = arguments.string("ifInState")?;
    let (create, update) = (arguments.map("create")?, arguments.map("update")?);
    let destroy = arguments.strings("destroy")?.unwrap_or_default();
    let remove_emails = arguments.flag("onDestroyRemoveEmails")?;
    if create.len() + update.len() + destroy.len() > limits::MAX_OBJECTS_IN_SET {
        return Err(MethodError::new("requestTooLarge", "It sets too many objects at once"));
    }
    let old_state = state(call)?;
    if if_in_state.is_some_and(|state| state != old_state) {
        return Err(MethodError::new("stateMismatch", ""));
    }
    let mut outcome = Outcome::default();
    create_all(call, create, &mut outcome);
    update_all(call, update, &mut outcome);
    destroy_all(call, destroy, remove_emails, &mut outcome);
    Ok(outcome.response(&account_id, &old_state, &state(call)?))
}

fn state(call: &Call<'_>) -> Result<String> {
    let account = call.account()?;
    let account = account.read();
    Ok(MailboxState::of(&account).encode())
}

fn failed(error: MethodError) -> SetError {
    SetError::new(error.kind, &error.description)
}

/// Does something with the account as it is now.
fn with_account<T>(call: &Call<'_>, then: impl FnOnce(&Inner) -> SetResult<T>) -> SetResult<T> {
    let account = call.account().map_err(failed)?;
    let account = account.read();
    then(&account)
}

/// Those whose parent is made in the same call come behind it.
fn create_all(call: &mut Call<'_>, create: Map<String, Value>, outcome: &mut Outcome) {
    let mut waiting: BTreeMap<String, Value> = create.into_iter().collect();
    while !waiting.is_empty() {
        let parent = |object: &Value| {
            object
                .get("parentId")
                .and_then(Value::as_str)
                .and_then(|id| id.strip_prefix('#'))
                .map(str::to_owned)
        };
        let ready: Vec<String> = waiting
            .iter()
            .filter(|(id, object)| {
                parent(object).is_none_or(|parent| parent == **id || !waiting.contains_key(&parent))
            })
            .map(|(id, _)| id.clone())
            .collect();
        let ready = if ready.is_empty() { waiting.keys().cloned().collect() } else { ready };
        for creation_id in ready {
            let Some(object) = waiting.remove(&creation_id) else { continue };
            match create_one(call, object) {
                Ok(created) => {
                    if let Some(id) = created["id"].as_str() {
                        call.note_created(&creation_id, id);
                    }
                    outcome.created.insert(creation_id, created);
                }
                Err(error) => drop(outcome.not_created.insert(creation_id, error.0)),
            }
        }
    }
}

/// What a client says a mailbox is to be.
#[derive(Default)]
struct Wanted {
    name: Option<String>,
    parent: Option<Option<String>>,
    role: Option<Option<SpecialUse>>,
    sort_order: Option<u32>,
    is_subscribed: Option<bool>,
}

impl Wanted {
    /// Takes one property; false when it is none that can be set.
    fn take(&mut self, name: &str, value: &Value) -> SetResult<bool> {
        let wrong = |why: &str| Err(SetError::properties(&[name], why));
        match (name, value) {
            ("name", Value::String(text)) => self.name = Some(base::idn::nfc(text).into_owned()),
            ("parentId", Value::Null) => self.parent = Some(None),
            ("parentId", Value::String(id)) => self.parent = Some(Some(id.clone())),
            ("role", Value::Null) => self.role = Some(None),
            ("role", Value::String(role)) => match SpecialUse::parse(&format!("\\{role}")) {
                Some(special_use) if role.chars().all(|c| c.is_ascii_lowercase()) => {
                    self.role = Some(Some(special_use));
                }
                _ => return wrong("There is no such role, or no other mailbox can have it"),
            },
            ("sortOrder", value) => match value.as_u64().and_then(|order| u32::try_from(order).ok()) {
                Some(order) if order < 1 << 31 => self.sort_order = Some(order),
                None if value.is_null() => self.sort_order = Some(0),
                _ => return wrong("It is no number below 2^31"),
            },
            ("isSubscribed", Value::Bool(is_subscribed)) => self.is_subscribed = Some(*is_subscribed),
            ("name" | "parentId" | "role" | "isSubscribed", _) => return wrong("It has another type"),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The name in the store, below the parent or, without one, at the top.
    fn full_name(call: &Call<'_>, parent: Option<&MailboxView>, name: &str) -> SetResult<MailboxName> {
        let wrong = |why: &str| SetError::properties(&["name"], why);
        if name.is_empty() || name.len() > limits::MAX_SIZE_MAILBOX_NAME {
            return Err(wrong("It is empty or too long"));
        }
        if name.contains('/') || name.contains(char::is_control) {
            return Err(wrong("It has a slash or a control character"));
        }
        let full = match parent {
            Some(parent) => parent.listed.name.join(name),
            None => MailboxName::parse(&format!("{}{name}", call.scope().prefix())),
        };
        let full = full.map_err(|error| SetError::from(StoreError::from(error)))?;
        if full.is_inbox() {
            return Err(wrong("There is one of this name"));
        }
        Ok(full)
    }
}

fn create_one(call: &mut Call<'_>, object: Value) -> SetResult<Value> {
    let Value::Object(object) = object else { return Err(SetError::properties(&[], "It is no object")) };
    let mut wanted = Wanted::default();
    for (name, value) in &object {
        if !wanted.take(name, value)? {
            return Err(SetError::properties(&[name], "It cannot be set"));
        }
    }
    let name = wanted.name.as_deref().ok_or_else(|| SetError::properties(&["name"], "It is missing"))?;
    let full = with_account(call, |account| {
        let parent = match wanted.parent.as_ref().and_then(Option::as_ref) {
            None => None,
            Some(id) => Some(found(call, account, id, "parentId")?.1),
        };
        if parent.is_some_and(|parent| !parent.rights.contains(Rights::CREATE)) {
            return Err(SetError::forbidden("Nothing can be made below it"));
        }
        if wanted.role.flatten().is_some() {
            may_set_role(call)?;
        }
        is_free(account, wanted.role.flatten(), None)?;
        let full = Wanted::full_name(call, parent, name)?;
        may_create(call, &full)?;
        Ok(full)
    })?;
    call.jmap.store.create(&full, wanted.role.flatten())?;
    let is_subscribed = wanted.is_subscribed.unwrap_or(true);
    if is_subscribed {
        subscribe(call, &full, true)?;
    }
    with_account(call, |account| {
        let (number, view) = account.mailbox_by_name(&full).ok_or_else(SetError::not_found)?;
        if let Some(order) = wanted.sort_order.filter(|order| *order > 0) {
            set_sort_order(call, view.listed.id, Some(order))?;
        }
        let mut created = Map::new();
        for name in
            PROPERTIES.iter().filter(|name| !object.contains_key(**name) && !name.ends_with("Threads"))
        {
            created.insert((*name).to_owned(), property(account, number, view, name));
        }
        created.insert("totalThreads".into(), json!(0));
        created.insert("unreadThreads".into(), json!(0));
        Ok(Value::Object(created))
    })
}

/// Another's mailboxes are made only below one in which that is allowed: at their top by nobody else.
fn may_create(call: &Call<'_>, name: &MailboxName) -> SetResult<()> {
    if call.scope().is_own() || call.jmap.may_create(call.who, name)? {
        return Ok(());
    }
    Err(SetError::forbidden("Nothing can be made there"))
}

/// What a mailbox is for says its owner.
fn may_set_role(call: &Call<'_>) -> SetResult<()> {
    match call.scope().is_own() {
        true => Ok(()),
        false => Err(SetError::forbidden("Only its owner says what a mailbox is for")),
    }
}

/// The mailbox that a client means.
fn found<'a>(call: &Call<'_>, account: &'a Inner, id: &str, of: &str) -> SetResult<(u16, &'a MailboxView)> {
    let known = call.real_id(id).and_then(|id| account.mailbox_named(id));
    known.ok_or_else(|| SetError::properties(&[of], "There is no such mailbox"))
}

/// A role is one mailbox's.
fn is_free(account: &Inner, role: Option<SpecialUse>, except: Option<u16>) -> SetResult<()> {
    let Some(role) = role else { return Ok(()) };
    let mut others = account.mailboxes().filter(|(number, _)| Some(*number) != except);
    match others.any(|(_, view)| view.listed.special_use == Some(role)) {
        true => Err(SetError::properties(&["role"], "Another mailbox has this role")),
        false => Ok(()),
    }
}

/// What is tried again when the others are done: names and roles may have become free.
fn update_all(call: &mut Call<'_>, update: Map<String, Value>, outcome: &mut Outcome) {
    let mut waiting: Vec<(String, Value)> = update.into_iter().collect();
    loop {
        let mut refused = Vec::new();
        let count = waiting.len();
        for (id, patch) in waiting {
            match update_one(call, &id, &patch) {
                Ok(()) => drop(outcome.updated.insert(id, Value::Null)),
                Err(error) => refused.push((id, patch, error)),
            }
        }
        if refused.is_empty() || refused.len() == count {
            outcome.not_updated.extend(refused.into_iter().map(|(id, _, error)| (id, error.0)));
            return;
        }
        waiting = refused.into_iter().map(|(id, patch, _)| (id, patch)).collect();
    }
}

fn update_one(call: &Call<'_>, id: &str, patch: &Value) -> SetResult<()> {
    let Value::Object(patch) = patch else { return Err(SetError::new("invalidPatch", "It is no object")) };
    let mut wanted = Wanted::default();
    // Everything that can refuse speaks before anything changes.
    let plan = with_account(call, |account| {
        let known = call.real_id(id).and_then(|id| account.mailbox_named(id));
        let (number, view) = known.ok_or_else(SetError::not_found)?;
        for (path, value) in patch {
            let name = unescape(path);
            if name.contains('/') {
                return Err(SetError::new("invalidPatch", "The path leads nowhere"));
            }
            let is_same =
                PROPERTIES.contains(&name.as_str()) && property(account, number, view, &name) == *value;
            if !is_same && !wanted.take(&name, value)? {
                return Err(SetError::properties(&[&name], "It cannot be changed"));
            }
        }
        plan(call, account, number, view, &wanted)
    })?;
    if let Some(to) = &plan.to {
        call.jmap.store.rename(&plan.name, to)?;
        for (old, new) in &plan.subscribed {
            subscribe(call, old, false)?;
            subscribe(call, new, true)?;
        }
    }
    let name = plan.to.as_ref().unwrap_or(&plan.name);
    if let Some(role) = wanted.role {
        call.jmap.store.set_special_use(name, role)?;
        call.jmap.store.announce_names(name);
    }
    if let Some(is_subscribed) = wanted.is_subscribed {
        subscribe(call, name, is_subscribed)?;
    }
    if let Some(order) = wanted.sort_order {
        set_sort_order(call, plan.id, Some(order).filter(|order| *order > 0))?;
    }
    Ok(())
}

/// What an update comes to.
struct Update {
    id: u128,
    name: MailboxName,
    /// Its new name.
    to: Option<MailboxName>,
    /// Subscriptions that go along with the new name: they are by name.
    subscribed: Vec<(MailboxName, MailboxName)>,
}

fn plan(
    call: &Call<'_>,
    account: &Inner,
    number: u16,
    view: &MailboxView,
    wanted: &Wanted,
) -> SetResult<Update> {
    let name = view.listed.name.clone();
    let mut update = Update { id: view.listed.id, name: name.clone(), to: None, subscribed: Vec::new() };
    if wanted.role.is_some() {
        may_set_role(call)?;
        if name.is_inbox() || view.mailbox.is_none() {
            return Err(SetError::forbidden("The role of this mailbox cannot be changed"));
        }
        is_free(account, wanted.role.flatten(), Some(number))?;
    }
    if wanted.name.is_none() && wanted.parent.is_none() {
        return Ok(update);
    }
    if name.is_inbox() || !view.rights.contains(Rights::DELETE) {
        return Err(SetError::forbidden("The mailbox cannot be renamed"));
    }
    let above = name.visible_parent();
    if wanted.parent.is_none() && above.is_some_and(|above| account.mailbox_by_name(&above).is_none()) {
        return Err(SetError::forbidden("It is below a mailbox that you do not see"));
    }
    let parent = match &wanted.parent {
        None => account.parent(view),
        Some(None) => None,
        Some(Some(id)) => Some(found(call, account, id, "parentId")?.1),
    };
    if parent.is_some_and(|parent| !parent.rights.contains(Rights::CREATE)) {
        return Err(SetError::forbidden("Nothing can be made below that mailbox"));
    }
    if parent.is_some_and(|parent| parent.listed.name.tree_path().starts_with(&name.tree_path())) {
        return Err(SetError::properties(&["parentId"], "It would be below itself"));
    }
    let to = Wanted::full_name(call, parent, wanted.name.as_deref().unwrap_or(name.leaf()))?;
    if to == name {
        return Ok(update);
    }
    may_create(call, &to)?;
    if account.mailbox_by_name(&to).is_some() {
        return Err(SetError::properties(&["name"], "There is one of this name"));
    }
    for (_, one) in account.mailboxes().filter(|(_, one)| one.is_subscribed) {
        let old = &one.listed.name;
        let below =
            old.as_str().strip_prefix(name.as_str()).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        if let Some(below) = below {
            let new = MailboxName::parse(&format!("{to}{below}")).map_err(StoreError::from)?;
            update.subscribed.push((old.clone(), new));
        }
    }
    update.to = Some(to);
    Ok(update)
}

fn subscribe(call: &Call<'_>, name: &MailboxName, is_subscribed: bool) -> SetResult<()> {
    let (uid, own) = (&call.who.uid, call.scope().subscription(name));
    match is_subscribed {
        true => call.jmap.store.subscribe(uid, &own)?,
        false => call.jmap.store.unsubscribe(uid, &own)?,
    }
    Ok(())
}

fn set_sort_order(call: &Call<'_>, id: u128, order: Option<u32>) -> SetResult<()> {
    let value = order.map(|order| order.to_string().into_bytes());
    let note = NewAnnotation { entry: sort_order_entry(id), owner: call.who.uid.clone(), value };
    match call.jmap.store.annotate_server(&call.who.uid, &[note], NOTES_MAX) {
        Ok(()) => Ok(()),
        Err(message_store::AnnotateError::TooMany) => {
            Err(SetError::new("overQuota", "There are too many notes"))
        }
        Err(message_store::AnnotateError::Store(error)) => Err(error.into()),
    }
}

/// The deepest first: a mailbox may go with those below it.
fn destroy_all(call: &mut Call<'_>, destroy: Vec<String>, remove_emails: bool, outcome: &mut Outcome) {
    let depth = |id: &String| {
        let depth = with_account(call, |account| {
            let known = call.real_id(id).and_then(|id| account.mailbox_named(id));
            Ok(known.map_or(0, |(_, view)| view.listed.name.components().count()))
        });
        std::cmp::Reverse(depth.unwrap_or(0))
    };
    let mut destroy = destroy;
    destroy.sort_by_cached_key(depth);
    destroy.dedup();
    for id in destroy {
        match destroy_one(call, &id, remove_emails) {
            Ok(()) => outcome.destroyed.push(id),
            Err(error) => drop(outcome.not_destroyed.insert(id, error.0)),
        }
    }
}

fn destroy_one(call: &Call<'_>, id: &str, remove_emails: bool) -> SetResult<()> {
    let (mailbox_id, name) = with_account(call, |account| {
        let known = call.real_id(id).and_then(|id| account.mailbox_named(id));
        let (_, view) = known.ok_or_else(SetError::not_found)?;
        if view.listed.name.is_inbox() || !view.rights.contains(Rights::DELETE) {
            return Err(SetError::forbidden("The mailbox cannot be destroyed"));
        }
        if account.has_children(view) {
            return Err(SetError::new("mailboxHasChild", "There are mailboxes below it"));
        }
        // What the user may not read counts as well.
        let unread = view.mailbox.as_ref().filter(|_| !view.is_readable());
        let unread = unread.map(|mailbox| mailbox.status()).transpose()?.map_or(0, |status| status.exists);
        if (view.there > 0 || unread > 0) && !remove_emails {
            return Err(SetError::new("mailboxHasEmail", "There are emails in it"));
        }
        Ok((view.listed.id, view.listed.name.clone()))
    })?;
    call.jmap.store.delete(&name)?;
    subscribe(call, &name, false)?;
    set_sort_order(call, mailbox_id, None)
}

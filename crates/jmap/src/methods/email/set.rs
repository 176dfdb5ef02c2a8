//! Email/set (RFC 8621 §4.6).
//!
//! Updates that ask for the same of several emails are carried out together, mailbox by mailbox, so that a thousand messages
//! are marked or moved by one transaction of each mailbox. Flags come first, then copies, then removals: what is refused on the
//! way leaves an email in more places than was asked for, never in fewer.

use std::collections::{BTreeMap, HashMap, HashSet};

use message_store::{FlagChange, Flags, How, Rights, UidSet, Within};
use serde_json::{Map, Value, json};

use crate::account::{Account, Email, Inner, MailboxView, Target};
use crate::arguments::Arguments;
use crate::email::arrival::{self, Destination};
use crate::email::keywords::{self, Keywords};
use crate::email::properties::metadata;
use crate::email::{creation, writer};
use crate::error::{MethodError, Result};
use crate::pointer::unescape;
use crate::request::Call;
use crate::set_error::SetError;
use crate::state::EmailState;
use crate::submission::record::removing;
use crate::{ids, limits};

pub fn run(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let account_id = call.mail_account(arguments)?;
    let if_in_state = arguments.string("ifInState")?;
    let (create, update) = (arguments.map("create")?, arguments.map("update")?);
    let destroy = arguments.strings("destroy")?.unwrap_or_default();
    if create.len() + update.len() + destroy.len() > limits::MAX_OBJECTS_IN_SET {
        return Err(MethodError::new("requestTooLarge", "It sets too many objects at once"));
    }
    let old_state = state(call)?;
    if if_in_state.is_some_and(|state| state != old_state) {
        return Err(MethodError::new("stateMismatch", ""));
    }
    let mut outcome = Outcome::default();
    for (creation_id, object) in create {
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
    let doomed: HashSet<String> =
        destroy.iter().filter_map(|id| call.real_id(id)).map(str::to_owned).collect();
    update_all(call, update, &doomed, &mut outcome)?;
    destroy_all(call, destroy, &mut outcome)?;
    Ok(outcome.response(&account_id, &old_state, &state(call)?))
}

/// The state of emails now.
pub fn state(call: &Call<'_>) -> Result<String> {
    let account = call.account()?;
    let account = account.read();
    Ok(EmailState::of(&account).encode())
}

/// What came of each object.
#[derive(Default)]
pub struct Outcome {
    pub created: Map<String, Value>,
    pub not_created: Map<String, Value>,
    pub updated: Map<String, Value>,
    pub not_updated: Map<String, Value>,
    pub destroyed: Vec<String>,
    pub not_destroyed: Map<String, Value>,
}

impl Outcome {
    pub fn response(self, account_id: &str, old_state: &str, new_state: &str) -> Value {
        let or_null = |map: Map<String, Value>| if map.is_empty() { Value::Null } else { Value::Object(map) };
        json!({
            "accountId": account_id,
            "oldState": old_state,
            "newState": new_state,
            "created": or_null(self.created),
            "updated": or_null(self.updated),
            "destroyed": if self.destroyed.is_empty() { Value::Null } else { json!(self.destroyed) },
            "notCreated": or_null(self.not_created),
            "notUpdated": or_null(self.not_updated),
            "notDestroyed": or_null(self.not_destroyed),
        })
    }
}

type SetResult<T> = std::result::Result<T, SetError>;

fn failed(error: MethodError) -> SetError {
    SetError::new(error.kind, &error.description)
}

fn create_one(call: &mut Call<'_>, object: Value) -> SetResult<Value> {
    let Value::Object(object) = object else {
        return Err(SetError::properties(&[], "It is no object"));
    };
    if let Some(set) = object.keys().find(|name| creation::is_server_set(name)) {
        return Err(SetError::properties(&[set], "Only the server sets it"));
    }
    let now_ns = base::clock::unix_nanos();
    let account = call.account().map_err(failed)?;
    let destination = Destination::read(call, &account.read(), &object, now_ns)?;
    let creation = creation::read(call, object, now_ns.div_euclid(1_000_000_000))?;
    let known = |guid: &[u8; 16]| account.read().email_of(guid).is_some();
    let header: Vec<u8> = creation.header.iter().flat_map(|line| line.write().into_bytes()).collect();
    let write = |out: &mut dyn std::io::Write| writer::write(&creation.header, creation.root, out);
    let (guid, size) = destination.take(known, write)?;
    Ok(creation::created(&guid, &mail_format::thread_id(&header, &guid), size))
}

/// What an update asks of an email.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Wish {
    add: Vec<String>,
    remove: Vec<String>,
    into: Vec<u16>,
    out_of: Vec<u16>,
}

fn update_all(
    call: &mut Call<'_>,
    update: Map<String, Value>,
    doomed: &HashSet<String>,
    outcome: &mut Outcome,
) -> Result<()> {
    if update.is_empty() {
        return Ok(());
    }
    let account = call.account()?;
    let mut groups: BTreeMap<Wish, Vec<(String, [u8; 16])>> = BTreeMap::new();
    let mut seen = HashSet::new();
    {
        let account = account.read();
        for (id, patch) in update {
            let real = call.real_id(&id).map_or_else(|| id.clone(), str::to_owned);
            let wish = match ids::email_of(&real).and_then(|guid| account.email_of(&guid)) {
                None => Err(SetError::not_found()),
                Some(_) if doomed.contains(&real) => Err(SetError::new("willDestroy", "")),
                Some((_, email)) if !seen.insert(email.guid) => {
                    Err(SetError::new("invalidPatch", "The email is updated twice"))
                }
                Some((_, email)) => wish(call, &account, email, patch).map(|wish| (wish, email.guid)),
            };
            match wish {
                Ok((wish, guid)) => groups.entry(wish).or_default().push((id, guid)),
                Err(error) => drop(outcome.not_updated.insert(id, error.0)),
            }
        }
    }
    for (wish, mut emails) in groups {
        match fulfil(call, &account, &wish, &mut emails, outcome) {
            Ok(()) => {
                outcome.updated.extend(emails.into_iter().map(|(id, _)| (id, Value::Null)));
            }
            Err(error) => {
                outcome.not_updated.extend(emails.into_iter().map(|(id, _)| (id, error.0.clone())));
            }
        }
    }
    Ok(())
}

/// Does what is asked of some emails. What cannot be done by now is taken from them: two requests, each of which takes an email out
/// of one of its two mailboxes, must not leave it in none - whoever they are from: the turn is the account's, which others may share.
fn fulfil(
    call: &Call<'_>,
    account: &Account,
    wish: &Wish,
    emails: &mut Vec<(String, [u8; 16])>,
    outcome: &mut Outcome,
) -> SetResult<()> {
    let removing = || removing(&call.jmap.personal.folder, call.scope().account_id());
    let turn = (!wish.out_of.is_empty()).then(removing).transpose();
    let _turn = turn.map_err(|why| failed(why.into()))?;
    account.refresh(call.jmap, call.scope()).map_err(failed)?;
    let plan = {
        let account = account.read();
        emails.retain(|(id, guid)| match stays(&account, guid, wish) {
            Ok(()) => true,
            Err(why) => {
                outcome.not_updated.insert(id.clone(), why.0);
                false
            }
        });
        Plan::new(&account, emails, &wish.into)?
    };
    plan.carry_out(wish)
}

/// Whether an email is there, may be changed so, and is in a mailbox afterwards.
fn stays(account: &Inner, guid: &[u8; 16], wish: &Wish) -> SetResult<()> {
    let (_, email) = account.email_of(guid).ok_or_else(SetError::not_found)?;
    may(account, email, wish)?; // it has been asked before, but rights may have gone since
    let is_left = account.rows(email).any(|(number, ..)| !wish.out_of.contains(&number));
    if is_left || !wish.into.is_empty() {
        return Ok(());
    }
    Err(SetError::properties(&["mailboxIds"], "An email is in one mailbox at least"))
}

/// Reads a patch against what the email is (RFC 8620 §5.3).
fn wish(call: &Call<'_>, account: &Inner, email: &Email, patch: Value) -> SetResult<Wish> {
    let Value::Object(patch) = patch else { return Err(SetError::new("invalidPatch", "It is no object")) };
    let now = Keywords::of(account, email);
    let mut keywords = now.clone();
    let here: BTreeMap<u16, ()> = account.rows(email).map(|(number, ..)| (number, ())).collect();
    let mut mailboxes: Map<String, Value> = here
        .keys()
        .filter_map(|number| account.mailbox(*number))
        .map(|view| (ids::mailbox(view.listed.id), Value::Bool(true)))
        .collect();
    let whole = |name: &str| patch.contains_key(name);
    for (path, value) in &patch {
        match path.split_once('/') {
            None if path == "keywords" => {
                let empty = json!({});
                let value = if value.is_null() { &empty } else { value }; // the default
                keywords = Keywords::of_json(value)
                    .ok_or_else(|| SetError::properties(&["keywords"], "It is no set of keywords"))?;
            }
            None if path == "mailboxIds" => {
                mailboxes = value
                    .as_object()
                    .cloned()
                    .ok_or_else(|| SetError::properties(&["mailboxIds"], "It is no map"))?;
            }
            None => is_unchanged(account, email, path, value)?,
            Some((property @ ("keywords" | "mailboxIds"), _)) if whole(property) => {
                return Err(SetError::new("invalidPatch", "One path is the beginning of another"));
            }
            Some(("keywords", name)) => {
                let name = keywords::read(&unescape(name));
                let name = name.ok_or_else(|| SetError::properties(&["keywords"], "It is no keyword"))?;
                match value {
                    Value::Null => keywords.remove(&name),
                    Value::Bool(true) => keywords.add(&name),
                    _ => return Err(SetError::properties(&["keywords"], "A value is not true")),
                }
            }
            Some(("mailboxIds", id)) => {
                let id = unescape(id);
                let real = call.real_id(&id).unwrap_or(&id).to_owned();
                match value {
                    Value::Null => drop(mailboxes.remove(&real)),
                    Value::Bool(true) => drop(mailboxes.insert(real, Value::Bool(true))),
                    _ => return Err(SetError::properties(&["mailboxIds"], "A value is not true")),
                }
            }
            Some(_) => return Err(SetError::new("invalidPatch", "The path leads nowhere")),
        }
    }
    if keywords.are_too_many() {
        return Err(SetError::new("tooManyKeywords", "An email cannot have so many keywords"));
    }
    let wanted = arrival::mailboxes(call, account, Some(&Value::Object(mailboxes)))?;
    let mut wish = Wish {
        into: wanted.keys().copied().filter(|number| !here.contains_key(number)).collect(),
        out_of: here.keys().copied().filter(|number| !wanted.contains_key(number)).collect(),
        ..Wish::default()
    };
    (wish.add, wish.remove) = difference(&now, &keywords);
    may(account, email, &wish)?;
    Ok(wish)
}

/// Properties that never change may be there with the value that they have.
fn is_unchanged(account: &Inner, email: &Email, property: &str, value: &Value) -> SetResult<()> {
    let same = match property {
        "id" | "blobId" | "threadId" | "size" | "receivedAt" => match property {
            "blobId" => *value == json!(ids::BlobId::Message(email.guid).to_string()),
            _ => metadata(account, email, property) == *value,
        },
        _ => false,
    };
    if same { Ok(()) } else { Err(SetError::properties(&[property], "It cannot be changed")) }
}

/// The keywords that come, and those that go.
fn difference(now: &Keywords, wanted: &Keywords) -> (Vec<String>, Vec<String>) {
    let all = |keywords: &Keywords| -> Vec<String> {
        let map = keywords.to_json();
        map.as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default()
    };
    let (now, wanted) = (all(now), all(wanted));
    let add = wanted.iter().filter(|name| !now.contains(name)).cloned().collect();
    let remove = now.iter().filter(|name| !wanted.contains(name)).cloned().collect();
    (add, remove)
}

/// Whether the user has the rights for it, in all mailboxes concerned (RFC 8621 §2).
fn may(account: &Inner, email: &Email, wish: &Wish) -> SetResult<()> {
    let has = |number: &u16, rights: Rights| {
        account.mailbox(*number).is_some_and(|view| view.rights.contains(rights))
    };
    let here: Vec<u16> = account.rows(email).map(|(number, ..)| number).collect();
    let changed = || wish.add.iter().chain(&wish.remove);
    let may = wish.into.iter().all(|number| has(number, Rights::INSERT))
        && wish.out_of.iter().all(|number| has(number, Rights::DELETE_MESSAGES | Rights::EXPUNGE))
        && (!changed().any(|name| name == "$seen") || here.iter().all(|number| has(number, Rights::SEEN)))
        && (!changed().any(|name| name != "$seen") || here.iter().all(|number| has(number, Rights::WRITE)));
    if may { Ok(()) } else { Err(SetError::forbidden("The mailbox's access control list does not allow it")) }
}

/// Where the messages of some emails are, apart from the account: nobody waits for it while the store is at work.
struct Plan {
    mailboxes: BTreeMap<u16, Target>,
    places: BTreeMap<u16, UidSet>,
    /// One message of each email, to be copied or moved from.
    sources: BTreeMap<u16, UidSet>,
}

impl Plan {
    /// With the mailboxes that they are to go into.
    fn new(account: &Inner, emails: &[(String, [u8; 16])], into: &[u16]) -> SetResult<Plan> {
        let (mut places, mut sources): (HashMap<u16, Vec<u32>>, HashMap<u16, Vec<u32>>) = Default::default();
        for (_, guid) in emails {
            let Some((_, email)) = account.email_of(guid) else { continue };
            for (nth, (number, _, _, row)) in account.rows(email).enumerate() {
                places.entry(number).or_default().push(row.uid);
                if nth == 0 {
                    sources.entry(number).or_default().push(row.uid);
                }
            }
        }
        let sets = |uids: HashMap<u16, Vec<u32>>| {
            uids.into_iter()
                .map(|(number, uids)| (number, UidSet::from_ranges(uids.into_iter().map(|uid| uid..=uid))))
                .collect()
        };
        let mailbox = |number: &u16| {
            let found = account.mailbox(*number).and_then(MailboxView::target);
            found.map(|mailbox| (*number, mailbox)).ok_or_else(SetError::not_found)
        };
        let mailboxes = places.keys().chain(into).map(mailbox).collect::<SetResult<_>>()?;
        Ok(Plan { mailboxes, places: sets(places), sources: sets(sources) })
    }

    fn carry_out(mut self, wish: &Wish) -> SetResult<()> {
        let mailboxes = std::mem::take(&mut self.mailboxes);
        let mailbox = |number: u16| mailboxes.get(&number).ok_or_else(SetError::not_found);
        for (number, uids) in &self.places {
            let mailbox = mailbox(*number)?;
            change(mailbox, uids, How::Remove, &wish.remove)?;
            change(mailbox, uids, How::Add, &wish.add)?;
        }
        for (nth, into) in wish.into.iter().enumerate() {
            let target = mailbox(*into)?;
            let is_last = nth + 1 == wish.into.len();
            for (number, uids) in &self.sources {
                let source = mailbox(*number)?;
                // What leaves where it is copied from is moved: one step for both.
                let moves = is_last && wish.out_of.contains(number) && self.places.get(number) == Some(uids);
                source.put_into(uids, target, moves)?;
            }
        }
        if !wish.into.is_empty() {
            let sources = std::mem::take(&mut self.sources);
            for (number, uids) in sources {
                if wish.out_of.contains(&number) && self.places.get(&number) == Some(&uids) {
                    self.places.remove(&number);
                }
            }
        }
        for (number, uids) in &self.places {
            if wish.out_of.contains(number) {
                mailbox(*number)?.mailbox.remove(uids)?;
            }
        }
        Ok(())
    }
}

/// The system flags that JMAP knows.
const KNOWN: Flags = Flags(Flags::SEEN.0 | Flags::ANSWERED.0 | Flags::FLAGGED.0 | Flags::DRAFT.0);

fn change(target: &Target, uids: &UidSet, how: How, names: &[String]) -> SetResult<()> {
    if names.is_empty() {
        return Ok(());
    }
    let mut flags = Flags::NONE;
    let mut others = Vec::new();
    for name in names {
        match keywords::flag_of(name) {
            Some(flag) => flags |= flag,
            None => others.push(name.clone()),
        }
    }
    if target.is_apart() && flags.contains(Flags::SEEN) {
        target.mark_seen(uids, how == How::Add)?;
        flags = flags & !Flags::SEEN;
        if flags.is_empty() && others.is_empty() {
            return Ok(());
        }
    }
    let change = FlagChange { how, flags, keywords: &others };
    match target.mailbox.change_flags_within(uids, change, Within { flags: KNOWN, keywords: true }, None) {
        Ok(_) => Ok(()),
        Err(message_store::StoreError::TooBig(_)) => {
            Err(SetError::new("tooManyKeywords", "The mailbox knows as many keywords as it can"))
        }
        Err(error) => Err(error.into()),
    }
}

/// Destroys emails: all of their messages, mailbox by mailbox.
pub fn destroy_all(call: &mut Call<'_>, destroy: Vec<String>, outcome: &mut Outcome) -> Result<()> {
    if destroy.is_empty() {
        return Ok(());
    }
    let account = call.account()?;
    let mut emails: Vec<(String, [u8; 16])> = Vec::new();
    {
        let account = account.read();
        for id in destroy {
            let real = call.real_id(&id).map_or_else(|| id.clone(), str::to_owned);
            let found = ids::email_of(&real).and_then(|guid| account.email_of(&guid));
            let may = |email: &Email| {
                let needed = Rights::DELETE_MESSAGES | Rights::EXPUNGE;
                account.rows(email).all(|(_, _, view, _)| view.rights.contains(needed))
            };
            match found {
                Some((_, email)) if emails.iter().any(|(_, guid)| *guid == email.guid) => {}
                Some((_, email)) if may(email) => emails.push((id, email.guid)),
                Some(_) => drop(outcome.not_destroyed.insert(id, SetError::forbidden("").0)),
                None => drop(outcome.not_destroyed.insert(id, SetError::not_found().0)),
            }
        }
    }
    let plan = Plan::new(&account.read(), &emails, &[]);
    let carried_out = plan.and_then(|plan| {
        let wish = Wish { out_of: plan.places.keys().copied().collect(), ..Wish::default() };
        plan.carry_out(&wish)
    });
    match carried_out {
        Ok(()) => outcome.destroyed.extend(emails.into_iter().map(|(id, _)| id)),
        Err(error) => outcome.not_destroyed.extend(emails.into_iter().map(|(id, _)| (id, error.0.clone()))),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_and_what_goes() {
        let of = |value: Value| Keywords::of_json(&value).unwrap();
        let (add, remove) =
            difference(&of(json!({ "$seen": true, "a": true })), &of(json!({ "a": true, "$flagged": true })));
        assert_eq!((add, remove), (vec!["$flagged".to_owned()], vec!["$seen".to_owned()]));
    }
}

//! EmailSubmission (RFC 8621 §7): /get, /changes, /query, /queryChanges and /set.

pub mod create;
pub mod query;

use serde_json::{Map, Value, json};

use super::standard::{Done, Wanted};
use crate::arguments::Arguments;
use crate::error::{MethodError, Result};
use crate::personal::utc;
use crate::request::{Call, Responses};
use crate::session_object::MAIL;
use crate::set_error::SetError;
use crate::submission::client::{Conversation, Place};
use crate::submission::record::{OpenRecord, Record, Status, Submission, sending};

const PROPERTIES: [&str; 9] = [
    "identityId",
    "emailId",
    "threadId",
    "envelope",
    "sendAt",
    "undoStatus",
    "deliveryStatus",
    "dsnBlobIds",
    "mdnBlobIds",
];
/// How long it is remembered that an attempt to send was interrupted.
const SENDING_KEPT_SECONDS: i64 = 86_400;
/// Of messages that were sent longer ago, the queue is not asked for: it gives them up in less.
const ASKED_FOR_SECONDS: i64 = 8 * 86_400;

/// The user's record, with what time has done to it.
fn open(call: &Call<'_>) -> Result<OpenRecord> {
    let mut open = OpenRecord::take(&call.jmap.personal.folder, &call.who.uid)?;
    settle(&mut open.record);
    open.keep()?;
    Ok(open)
}

/// What waited for a time that has come is not to be taken back any more.
fn settle(record: &mut Record) {
    let now = base::clock::unix_seconds();
    // Nobody asked again about an attempt that was interrupted.
    let is_stale =
        |one: &Submission| one.status == Status::Sending && one.send_at < now - SENDING_KEPT_SECONDS;
    record.submissions.retain(|one| !is_stale(one));
    let due = |one: &Submission| one.status == Status::Pending && one.send_at <= now;
    let ids: Vec<String> =
        record.submissions.iter().filter(|one| due(one)).map(|one| one.id.clone()).collect();
    for id in ids {
        let number = record.next();
        if let Some(one) = record.find(&id) {
            (one.status, one.canceling, one.changed) = (Status::Final, false, number);
        }
    }
}

fn state(record: &Record) -> String {
    format!("n{}", record.number)
}

pub fn get(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let record = open(call)?.record;
    let wants_status =
        |properties: &Value| properties.as_array().is_none_or(|all| all.contains(&json!("deliveryStatus")));
    let wants_status = wants_status(arguments.0.get("properties").unwrap_or(&Value::Null));
    let asked = arguments.0.get("ids").and_then(Value::as_array).cloned();
    let is_asked = |id: &str| asked.as_ref().is_none_or(|all| all.iter().any(|one| one == id));
    let shown: Vec<&Submission> =
        record.submissions.iter().filter(|one| one.status != Status::Sending && is_asked(&one.id)).collect();
    let mut conversation = None;
    let mut objects = super::standard::Objects::new();
    for one in shown {
        let status = if wants_status { delivery_status(call, &mut conversation, one) } else { Value::Null };
        objects.insert(one.id.clone(), object(one, status));
    }
    super::standard::get(call, arguments, &objects, &state(&record), Some(&PROPERTIES))
}

fn object(one: &Submission, delivery_status: Value) -> Map<String, Value> {
    let address = |address: &crate::submission::Address| {
        let parameters: Map<String, Value> =
            address.parameters.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let parameters = if parameters.is_empty() { Value::Null } else { Value::Object(parameters) };
        json!({ "email": address.email, "parameters": parameters })
    };
    let envelope = &one.envelope;
    let object = json!({
        "identityId": one.identity,
        "emailId": one.email,
        "threadId": one.thread,
        "envelope": {
            "mailFrom": address(&envelope.mail_from),
            "rcptTo": envelope.rcpt_to.iter().map(address).collect::<Vec<_>>(),
        },
        "sendAt": utc(one.send_at),
        "undoStatus": one.status,
        "deliveryStatus": delivery_status,
        "dsnBlobIds": [],
        "mdnBlobIds": [],
    });
    if let Value::Object(map) = object { map } else { Map::new() }
}

/// What the queue knows of each recipient. What it does not have any more was handed on; how that ended, reports tell.
fn delivery_status(call: &Call<'_>, conversation: &mut Option<Conversation>, one: &Submission) -> Value {
    let age = base::clock::unix_seconds().saturating_sub(one.send_at);
    let Some(id) =
        one.queue_id.as_deref().filter(|_| one.status != Status::Canceled && age < ASKED_FOR_SECONDS)
    else {
        return Value::Null;
    };
    let personal = &call.jmap.personal;
    if conversation.is_none() {
        *conversation = personal.smtpd.open(&call.who.uid).ok();
    }
    let domains = one.envelope.domains();
    let place = conversation.as_mut().and_then(|session| session.place(id, &domains).ok());
    let Some(place) = place else {
        *conversation = None; // the next one begins anew
        return Value::Null;
    };
    let mut all = Map::new();
    for recipient in &one.envelope.rcpt_to {
        let word = match &place {
            Place::Waits(_) => "pending",
            Place::Gone => "ended",
            Place::Queued(list) => {
                let found = list.iter().find(|(address, _)| base::idn::same(address, &recipient.email));
                found.map_or("ended", |(_, word)| word.as_str())
            }
        };
        let (delivered, reply) = match word {
            "pending" => ("queued", "250 2.1.5 Accepted, it is in the queue"),
            "failed" => ("no", "550 5.0.0 It failed; see the report"),
            _ => ("unknown", "250 2.0.0 It was delivered or handed on"),
        };
        all.insert(
            recipient.email.clone(),
            json!({ "smtpReply": reply, "delivered": delivered, "displayed": "unknown" }),
        );
    }
    Value::Object(all)
}

pub fn changes(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let account = arguments.account(call.who)?;
    let since = arguments.required_string("sinceState")?;
    let most = arguments.unsigned("maxChanges")?;
    if most == Some(0) {
        return Err(MethodError::invalid_arguments("maxChanges is 0"));
    }
    let record = open(call)?.record;
    let cannot = || MethodError::new("cannotCalculateChanges", "");
    let from = since.strip_prefix('n').and_then(|number| number.parse::<u64>().ok()).ok_or_else(cannot)?;
    if from < record.forgotten || from > record.number {
        return Err(cannot());
    }
    let is_shown = |one: &&Submission| one.status != Status::Sending;
    let shown = record.submissions.iter().filter(is_shown);
    let news =
        shown.filter(|one| one.changed > from).map(|one| (one.changed, one.id.as_str(), one.created > from));
    let gone = record.destroyed.iter().filter(|(number, _)| *number > from);
    let mut events: Vec<(u64, &str, Option<bool>)> =
        news.map(|(number, id, is_new)| (number, id, Some(is_new))).collect();
    events.extend(gone.map(|(number, id)| (*number, id.as_str(), None)));
    events.sort_unstable_by_key(|(number, ..)| *number);
    let all = events.len();
    events.truncate(most.and_then(|most| usize::try_from(most).ok()).unwrap_or(all));
    let has_more = events.len() < all;
    let until = if has_more { events.last().map_or(from, |(number, ..)| *number) } else { record.number };
    let of = |wanted: Option<bool>| -> Vec<&str> {
        events.iter().filter(|(_, _, what)| *what == wanted).map(|(_, id, _)| *id).collect()
    };
    Ok(json!({
        "accountId": account, "oldState": since, "newState": format!("n{until}"), "hasMoreChanges": has_more,
        "created": of(Some(true)), "updated": of(Some(false)), "destroyed": of(None),
    }))
}

/// /set, and the implicit Email/set behind it (RFC 8621 §7.5).
pub fn set(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Responses> {
    let before = state(&open(call)?.record);
    let on_update = arguments.map("onSuccessUpdateEmail")?;
    let on_destroy = arguments.strings("onSuccessDestroyEmail")?.unwrap_or_default();
    let wanted = Wanted::read(call, arguments, &before)?;
    let personal = &call.jmap.personal;
    let turn = sending(&personal.folder, &call.who.uid)?;
    let mut done = Done::default();
    // The email of each that succeeded, by the id that the client may mean it by.
    let mut emails: Vec<(String, String)> = Vec::new();
    for (creation, object) in &wanted.create {
        match create::run(call, object) {
            Ok(made) => {
                call.note_created(creation, &made.id);
                emails.extend([
                    (format!("#{creation}"), made.email.clone()),
                    (made.id.clone(), made.email.clone()),
                ]);
                done.created.insert(creation.clone(), create::told(&made));
            }
            Err(why) => drop(done.not_created.insert(creation.clone(), why.0)),
        }
    }
    for (id, patch) in &wanted.update {
        match call
            .real_id(id)
            .map(str::to_owned)
            .ok_or_else(SetError::not_found)
            .and_then(|id| update(call, &id, patch))
        {
            Ok(email) => {
                emails.push((id.clone(), email));
                done.updated.insert(id.clone(), Value::Null);
            }
            Err(why) => drop(done.not_updated.insert(id.clone(), why.0)),
        }
    }
    for id in &wanted.destroy {
        let real = call.real_id(id).unwrap_or(id).to_owned();
        let mut open = open(call)?;
        let email =
            open.record.find(&real).filter(|one| one.status != Status::Sending).map(|one| one.email.clone());
        match email {
            Some(email) => {
                open.record.destroy(&real);
                open.save()?;
                emails.push((id.clone(), email));
                done.destroyed.push(id.clone());
            }
            None => drop(done.not_destroyed.insert(id.clone(), SetError::not_found().0)),
        }
    }
    drop(turn);
    // What was done is told, also when the record cannot be read any more: by the old state the client asks what is new.
    let after = open(call).map_or_else(|_| before.clone(), |open| state(&open.record));
    let account = wanted.account.clone();
    let mut responses = vec![("EmailSubmission/set".to_owned(), wanted.answer(done, &after))];
    responses.extend(implicit(call, &account, &emails, &on_update, &on_destroy));
    Ok(responses)
}

/// The Email/set for the emails of what succeeded; nothing when there is none to do.
fn implicit(
    call: &mut Call<'_>,
    account: &str,
    emails: &[(String, String)],
    on_update: &Map<String, Value>,
    on_destroy: &[String],
) -> Responses {
    let email_of = |id: &str| {
        let found = emails.iter().find(|(of, _)| of == id).map(|(_, email)| email.clone());
        found.filter(|email| !email.is_empty())
    };
    let update: Map<String, Value> =
        on_update.iter().filter_map(|(id, patch)| Some((email_of(id)?, patch.clone()))).collect();
    let destroy: Vec<String> = on_destroy.iter().filter_map(|id| email_of(id)).collect();
    if update.is_empty() && destroy.is_empty() {
        return Vec::new();
    }
    let arguments = json!({ "accountId": account, "update": update, "destroy": destroy });
    let Value::Object(arguments) = arguments else { return Vec::new() };
    match super::run(call, &[MAIL.to_owned()], "Email/set", arguments) {
        Ok(responses) => responses,
        Err(error) => vec![("error".to_owned(), Value::Object(error.to_json()))],
    }
}

/// The only change there is: `undoStatus` from pending to canceled. The email of the submission.
fn update(call: &Call<'_>, id: &str, patch: &Value) -> std::result::Result<String, SetError> {
    let failed = |why: &dyn std::fmt::Display| {
        call.jmap
            .log
            .error(server_log::Category::General, format_args!("a submission of {}: {why}", call.who.uid));
        SetError::new("serverFail", "It cannot be written down; try again")
    };
    let mut open = open(call).map_err(|why| failed(&why))?;
    let one =
        open.record.find(id).filter(|one| one.status != Status::Sending).ok_or_else(SetError::not_found)?;
    let after = super::standard::patched(&object(one, Value::Null), patch)?;
    let before = object(one, Value::Null);
    if let Some(name) =
        after.keys().find(|name| *name != "undoStatus" && after.get(*name) != before.get(*name))
    {
        return Err(SetError::properties(&[name], "It cannot be changed"));
    }
    let email = one.email.clone();
    let wanted = after.get("undoStatus");
    if wanted == before.get("undoStatus") {
        return Ok(email);
    }
    if wanted != Some(&json!("canceled")) {
        return Err(SetError::properties(&["undoStatus"], "It can become canceled only"));
    }
    let cannot = || SetError::new("cannotUnsend", "It is on its way already");
    let (Status::Pending, Some(queue_id)) = (one.status, one.queue_id.clone()) else { return Err(cannot()) };
    let was_canceling = std::mem::replace(&mut one.canceling, true);
    open.keep().map_err(|why| failed(&why))?;
    let asked = call
        .jmap
        .personal
        .smtpd
        .open(&call.who.uid)
        .and_then(|mut session| Ok((session.undo(&queue_id)?, session.place(&queue_id, &[])?)));
    let (undone, place) = asked.map_err(|why| {
        call.jmap
            .log
            .warning(server_log::Category::General, format_args!("smtpd does not undo {queue_id}: {why:?}"));
        SetError::new("serverUnavailable", "The mail server does not answer; try again")
    })?;
    let number = open.record.next();
    let one = open.record.find(id).ok_or_else(SetError::not_found)?;
    // Gone before its time, and not by this: an earlier attempt to take it back was interrupted behind smtpd's answer.
    let interrupted = was_canceling && place == Place::Gone && base::clock::unix_seconds() < one.send_at;
    let is_gone = undone || interrupted;
    one.canceling = false;
    one.changed = number;
    one.status = if is_gone { Status::Canceled } else { Status::Final };
    if !is_gone && matches!(place, Place::Waits(_)) {
        one.status = Status::Pending;
    }
    open.save().map_err(|why| failed(&why))?;
    if is_gone { Ok(email) } else { Err(cannot()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::submission::{Address, Envelope};

    #[test]
    fn what_waited_for_a_time_that_has_come_is_final_and_a_change() {
        let address = Address { email: "a@x.test".into(), parameters: Vec::new() };
        let mut record = Record::default();
        for (id, send_at) in [("past", 1), ("future", i64::MAX)] {
            record.push(Submission {
                id: id.into(),
                identity: "I".into(),
                email: "M".into(),
                upload: String::new(),
                thread: "T".into(),
                envelope: Envelope { mail_from: address.clone(), rcpt_to: vec![address.clone()] },
                send_at,
                status: Status::Pending,
                canceling: false,
                queue_id: Some("Q".into()),
                changed: 0,
                created: 0,
            });
        }
        let before = record.number;
        settle(&mut record);
        assert_eq!(record.find("past").unwrap().status, Status::Final);
        assert_eq!(record.find("past").unwrap().changed, before + 1);
        assert_eq!(record.find("future").unwrap().status, Status::Pending);
        settle(&mut record);
        assert_eq!(record.number, before + 1, "once");
    }
}

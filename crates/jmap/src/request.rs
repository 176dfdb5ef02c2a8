//! A request: its method calls in order, with references to earlier results and to what was created (RFC 8620 §3.3, §3.7).

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use server_log::Category;

use crate::account::Account;
use crate::arguments::Arguments;
use crate::blob::Work;
use crate::error::{MethodError, Result};
use crate::json::Unread;
use crate::personal::Unconfirmed;
use crate::pointer::Unresolved;
use crate::problem::Problem;
use crate::shares::{Owner, Scope};
use crate::{Jmap, Who, json, limits, methods, pointer, session_object};

/// One method call while it runs.
pub struct Call<'a> {
    pub jmap: &'a Jmap,
    pub who: &'a Who,
    /// Whose account the method is about.
    pub owner: Owner,
    /// Real ids by creation id, for the whole request.
    pub created: &'a mut HashMap<String, String>,
    /// Bytes that the request may still be answered with.
    pub room: &'a mut usize,
    /// What it may still read.
    pub work: &'a RefCell<Work>,
    /// Whether the request has had a password checked.
    pub has_confirmed: &'a mut bool,
}

impl Call<'_> {
    /// Whose mailboxes the method is about, and who asks.
    pub fn scope(&self) -> Scope<'_> {
        Scope { who: self.who, owner: &self.owner }
    }

    /// Takes `accountId`: the user's own account, or one with mailboxes of others; the method is about it from here on.
    ///
    /// # Errors
    /// `invalidArguments`, `accountNotFound`.
    pub fn mail_account(&mut self, arguments: &mut Arguments) -> Result<String> {
        let account = arguments.required_string("accountId")?;
        let owner = self.jmap.owner(self.who, &account)?;
        self.owner = owner.ok_or_else(|| MethodError::new("accountNotFound", ""))?;
        Ok(account)
    }

    /// The account's mail as it is now.
    ///
    /// # Errors
    /// The store's.
    pub fn account(&self) -> Result<Arc<Account>> {
        self.jmap.accounts.of(self.jmap, self.scope())
    }

    /// The user has changed this.
    pub fn audit(&self, action: server_log::Action, fields: &[(&str, &str)]) {
        let from = self.who.peer.to_string();
        let mut all = vec![("user", self.who.uid.as_str()), ("from", &from), ("web", &self.who.session)];
        all.extend(fields);
        self.jmap.log.audit(action, &all);
    }

    /// The id that a client means: `#x` is what was created as `x` (RFC 8620 §5.3).
    pub fn real_id<'i>(&'i self, id: &'i str) -> Option<&'i str> {
        match id.strip_prefix('#') {
            Some(creation) => self.created.get(creation).map(String::as_str),
            None => Some(id),
        }
    }

    /// Something was created.
    pub fn note_created(&mut self, creation: &str, id: &str) {
        if self.created.len() < limits::CREATED_IDS_MAX {
            self.created.insert(creation.to_owned(), id.to_owned());
        }
    }

    /// Whether this is the user's password ([`crate::personal::Personal::confirm`]); once in a request.
    ///
    /// # Errors
    /// See [`Unconfirmed`].
    pub fn confirm(&mut self, password: &str) -> std::result::Result<(), Unconfirmed> {
        if self.who.entry.limited {
            return Err(Unconfirmed::Limited);
        }
        if std::mem::replace(self.has_confirmed, true) {
            return Err(Unconfirmed::AskedAlready);
        }
        self.jmap.personal.confirm(self.who, password)
    }

    /// Counts what is answered.
    ///
    /// # Errors
    /// `requestTooLarge` when it is more than one request may be answered with.
    pub fn spend(&mut self, bytes: usize) -> Result<()> {
        *self.room = self.room.checked_sub(bytes).ok_or_else(too_large)?;
        Ok(())
    }
}

fn too_large() -> MethodError {
    MethodError::new("requestTooLarge", "The response would be too large; ask for less")
}

/// Responses of one method call: name and arguments.
pub type Responses = Vec<(String, Value)>;

pub fn run(jmap: &Jmap, who: &Who, body: &[u8]) -> std::result::Result<Vec<u8>, Problem> {
    if body.len() > limits::MAX_SIZE_REQUEST {
        return Err(Problem::limit("maxSizeRequest"));
    }
    let request = Request::read(json::read(body, limits::REQUEST_MEMORY_MAX).map_err(|why| match why {
        Unread::Wrong(why) => Problem::not_json(&why),
        Unread::TooLarge => Problem::limit("maxSizeRequest"),
    })?)?;
    let tells_created = request.created.is_some();
    let mut created = request.created.unwrap_or_default();
    let (mut room, mut has_confirmed) = (limits::RESPONSE_BYTES_MAX, false);
    let work = RefCell::default();
    let mut responses: Vec<Value> = Vec::new();
    for (name, arguments, id) in request.calls {
        let resolved = resolve(arguments, &responses, &mut room);
        let mut call = Call {
            jmap,
            who,
            owner: Owner::Own,
            created: &mut created,
            room: &mut room,
            work: &work,
            has_confirmed: &mut has_confirmed,
        };
        let answered =
            resolved.and_then(|arguments| methods::run(&mut call, &request.using, &name, arguments));
        match answered {
            Ok(several) => {
                responses.extend(several.into_iter().map(|(name, value)| json!([name, value, id])));
            }
            Err(error) => {
                if let Some(cause) = &error.cause {
                    let session = &who.session;
                    jmap.log
                        .warning(Category::Store, format_args!("{session}: {name} of {}: {cause}", who.uid));
                }
                responses.push(json!(["error", error.to_json(), id]));
            }
        }
    }
    let mut response = json!({
        "methodResponses": responses,
        "sessionState": session_object::state(jmap, who),
    });
    if tells_created {
        response["createdIds"] = json!(created);
    }
    serde_json::to_vec(&response).map_err(|error| Problem::internal(&error.to_string()))
}

struct Request {
    using: Vec<String>,
    calls: Vec<(String, Map<String, Value>, String)>,
    created: Option<HashMap<String, String>>,
}

impl Request {
    fn read(value: Value) -> std::result::Result<Request, Problem> {
        let Value::Object(mut map) = value else {
            return Err(Problem::not_request("The request is no object"));
        };
        let using = map.remove("using").and_then(strings);
        let using = using.ok_or_else(|| Problem::not_request("using is no list of strings"))?;
        if let Some(unknown) =
            using.iter().find(|name| !session_object::CAPABILITIES.contains(&name.as_str()))
        {
            return Err(Problem::unknown_capability(unknown));
        }
        let Some(Value::Array(calls)) = map.remove("methodCalls") else {
            return Err(Problem::not_request("methodCalls is no list"));
        };
        if calls.len() > limits::MAX_CALLS_IN_REQUEST {
            return Err(Problem::limit("maxCallsInRequest"));
        }
        let calls: Option<Vec<_>> = calls.into_iter().map(call).collect();
        let calls =
            calls.ok_or_else(|| Problem::not_request("A method call is not [name, arguments, id]"))?;
        let created = match map.remove("createdIds") {
            None | Some(Value::Null) => None,
            Some(Value::Object(ids)) if ids.len() <= limits::CREATED_IDS_MAX => {
                let pair = |(name, id): (String, Value)| Some((name, id.as_str()?.to_owned()));
                let ids: Option<HashMap<_, _>> = ids.into_iter().map(pair).collect();
                Some(ids.ok_or_else(|| Problem::not_request("createdIds has something that is no id"))?)
            }
            Some(_) => return Err(Problem::not_request("createdIds is no map of ids")),
        };
        Ok(Request { using, calls, created })
    }
}

fn strings(value: Value) -> Option<Vec<String>> {
    let Value::Array(items) = value else { return None };
    items.into_iter().map(|item| if let Value::String(text) = item { Some(text) } else { None }).collect()
}

fn call(value: Value) -> Option<(String, Map<String, Value>, String)> {
    let Value::Array(items) = value else { return None };
    let [name, arguments, id] = <[Value; 3]>::try_from(items).ok()?;
    match (name, arguments, id) {
        (Value::String(name), Value::Object(arguments), Value::String(id)) => Some((name, arguments, id)),
        _ => None,
    }
}

/// Puts the results of earlier calls in place of references to them (RFC 8620 §3.7); they are counted as what is answered,
/// since a method may answer with its arguments.
fn resolve(
    arguments: Map<String, Value>,
    responses: &[Value],
    room: &mut usize,
) -> Result<Map<String, Value>> {
    if !arguments.keys().any(|name| name.starts_with('#')) {
        return Ok(arguments);
    }
    let mut resolved = Map::new();
    for (name, value) in arguments {
        let (name, value) = match name.strip_prefix('#') {
            Some(plain) => (plain.to_owned(), referenced(&value, responses, room)?),
            None => (name, value),
        };
        if resolved.insert(name, value).is_some() {
            return Err(MethodError::invalid_arguments("An argument stands there and is referred to, too"));
        }
    }
    Ok(resolved)
}

fn referenced(reference: &Value, responses: &[Value], room: &mut usize) -> Result<Value> {
    let text = |name: &str| {
        let text = reference.get(name).and_then(Value::as_str);
        text.ok_or_else(|| MethodError::invalid_arguments(format!("A result reference has no {name}")))
    };
    let (of, name, path) = (text("resultOf")?, text("name")?, text("path")?);
    let failed = |why: &str| MethodError::new("invalidResultReference", why);
    let response = responses.iter().find(|response| response[2] == of);
    let response = response.ok_or_else(|| failed("No earlier call has this id"))?;
    if response[0] != name {
        return Err(failed("The response has another name"));
    }
    pointer::evaluate(&response[1], path, room).map_err(|why| match why {
        Unresolved::Nowhere => failed("The path leads nowhere"),
        Unresolved::TooLarge => too_large(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(value: Value) -> Map<String, Value> {
        if let Value::Object(map) = value { map } else { Map::new() }
    }

    /// The example of RFC 8620 §3.7.
    #[test]
    fn references_are_resolved_by_the_first_response_of_the_call() {
        let responses = [
            json!(["Foo/changes", { "created": ["f1", "f4"] }, "t0"]),
            json!(["Foo/other", { "created": ["no"] }, "t0"]),
        ];
        let ask = |reference: Value| {
            resolve(arguments(json!({ "accountId": "A1", "#ids": reference })), &responses, &mut 10_000)
        };
        let good = ask(json!({ "resultOf": "t0", "name": "Foo/changes", "path": "/created" })).unwrap();
        assert_eq!(Value::Object(good), json!({ "accountId": "A1", "ids": ["f1", "f4"] }));
        for (reference, kind) in [
            (
                json!({ "resultOf": "t1", "name": "Foo/changes", "path": "/created" }),
                "invalidResultReference",
            ),
            (json!({ "resultOf": "t0", "name": "Foo/other", "path": "/created" }), "invalidResultReference"),
            (json!({ "resultOf": "t0", "name": "Foo/changes", "path": "/x" }), "invalidResultReference"),
            (json!({ "resultOf": "t0", "name": "Foo/changes" }), "invalidArguments"),
            (json!("t0"), "invalidArguments"),
        ] {
            assert_eq!(ask(reference.clone()).unwrap_err().kind, kind, "{reference}");
        }
        let both =
            json!({ "ids": [], "#ids": { "resultOf": "t0", "name": "Foo/changes", "path": "/created" } });
        assert_eq!(resolve(arguments(both), &responses, &mut 10_000).unwrap_err().kind, "invalidArguments");
    }

    #[test]
    fn what_is_no_request_is_refused_as_the_standard_says() {
        let kind = |value: Value| Request::read(value).err().map(|problem| problem.kind);
        let not_request = Some("urn:ietf:params:jmap:error:notRequest");
        for wrong in [
            json!([]),
            json!({ "methodCalls": [] }),
            json!({ "using": [] }),
            json!({ "using": ["urn:ietf:params:jmap:core", 1], "methodCalls": [] }),
            json!({ "using": [], "methodCalls": [["Core/echo", {}]] }),
            json!({ "using": [], "methodCalls": [["Core/echo", [], "a"]] }),
            json!({ "using": [], "methodCalls": [["Core/echo", {}, 1]] }),
            json!({ "using": [], "methodCalls": [], "createdIds": { "a": 1 } }),
        ] {
            assert_eq!(kind(wrong.clone()), not_request, "{wrong}");
        }
        let unknown = json!({ "using": ["urn:x"], "methodCalls": [] });
        assert_eq!(kind(unknown), Some("urn:ietf:params:jmap:error:unknownCapability"));
        let many = vec![json!(["Core/echo", {}, "a"]); limits::MAX_CALLS_IN_REQUEST + 1];
        let problem = Request::read(json!({ "using": [], "methodCalls": many })).err().unwrap();
        assert_eq!(problem.limit, Some("maxCallsInRequest"));
        assert_eq!(kind(json!({ "using": [], "methodCalls": [] })), None);
    }
}

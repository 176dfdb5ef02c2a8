//! listfolders.msc: the user's mailboxes.

use std::collections::HashMap;

use jmap::Who;
use serde_json::{Value, json};

use super::{answer, ask_one, asker};
use crate::session::Desk;
use crate::{Request, Response};

/// Mailboxes one inside the other.
const DEPTH_MAX: usize = 30;

pub fn list(desk: &Desk, request: &Request) -> Response {
    let listed = || -> Result<Response, Response> {
        let all = all(desk, &asker(request)?)?;
        let row = |one: &Value| json!([one["path"], one["totalEmails"], one["unreadEmails"]]);
        Ok(answer(&[("count", json!(all.len()))], Some(("folders", all.iter().map(row).collect()))))
    };
    listed().unwrap_or_else(|refusal| refusal)
}

/// The mailboxes of JMAP, each with its `path`: names from the top, parted by `/`.
pub fn all(desk: &Desk, who: &Who) -> Result<Vec<Value>, Response> {
    let properties = ["id", "name", "parentId", "role", "totalEmails", "unreadEmails"];
    let found = ask_one(desk, who, "Mailbox/get", json!({ "ids": null, "properties": properties }))?;
    let list = found["list"].as_array().cloned().unwrap_or_default();
    let by_id: HashMap<String, Value> =
        list.iter().map(|one| (one["id"].as_str().unwrap_or_default().to_owned(), one.clone())).collect();
    let mut all: Vec<Value> = list
        .into_iter()
        .map(|mut one| {
            one["path"] = json!(path(&by_id, &one));
            one
        })
        .collect();
    all.sort_by_key(|one| (one["role"] != "inbox", one["path"].as_str().unwrap_or_default().to_owned()));
    Ok(all)
}

fn path(by_id: &HashMap<String, Value>, one: &Value) -> String {
    if one["role"] == "inbox" {
        return "INBOX".to_owned();
    }
    let mut names = vec![one["name"].as_str().unwrap_or_default().to_owned()];
    let mut above = &one["parentId"];
    while let Some(parent) = above.as_str().and_then(|id| by_id.get(id)).filter(|_| names.len() < DEPTH_MAX) {
        names.push(parent["name"].as_str().unwrap_or_default().to_owned());
        above = &parent["parentId"];
    }
    names.reverse();
    names.join("/")
}

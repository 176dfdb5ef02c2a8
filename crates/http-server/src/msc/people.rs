//! ldap.msc: people whose names or addresses begin so.

use serde_json::{Value, json};

use super::{answer, ask_one, asker, word, wrong};
use crate::session::Desk;
use crate::{Request, Response};

pub fn find(desk: &Desk, request: &Request) -> Response {
    let found = || -> Result<Response, Response> {
        let who = asker(request)?;
        let text = word(request, "query")
            .or_else(|| word(request, "text"))
            .ok_or_else(|| wrong("query is missing"))?;
        let found = ask_one(desk, &who, "Recipient/query", json!({ "text": text, "limit": 25 }))?;
        let list = found["list"].as_array().into_iter().flatten();
        let rows: Vec<Value> = list.map(|one| json!([one["name"], one["email"], one["source"]])).collect();
        Ok(answer(&[("count", json!(rows.len()))], Some(("people", rows))))
    };
    found().unwrap_or_else(|refusal| refusal)
}

//! mbox.msc: a page of a mailbox. Without `count` it has as many rows as `meViewSize` says (S125).

use serde_json::{Value, json};

use super::{answer, ask, asker, mailbox_named, word};
use crate::session::Desk;
use crate::{Request, Response};

const COUNT_MAX: u64 = 1000;

pub fn list(desk: &Desk, request: &Request) -> Response {
    page(desk, request).unwrap_or_else(|refusal| refusal)
}

fn page(desk: &Desk, request: &Request) -> Result<Response, Response> {
    let who = asker(request)?;
    let name = word(request, "mbox").unwrap_or_else(|| "INBOX".into());
    let mailbox = mailbox_named(desk, &who, &name)?;
    let number = |name: &str| word(request, name).and_then(|text| text.trim().parse::<u64>().ok());
    let start = number("start").unwrap_or(0);
    let count = number("count").unwrap_or_else(|| desk.jmap.preferences(&who).view_size).min(COUNT_MAX);
    let property = match word(request, "sortby").as_deref() {
        Some("date") => "sentAt",
        Some("from") => "from",
        Some("to") => "to",
        Some("subject") => "subject",
        Some("size") => "size",
        _ => "receivedAt",
    };
    let is_ascending = word(request, "sortorder").is_some_and(|order| order.eq_ignore_ascii_case("F"));
    let wanted = ["id", "keywords", "receivedAt", "from", "subject", "size", "hasAttachment"];
    let query = json!({
        "filter": { "inMailbox": mailbox["id"] },
        "sort": [{ "property": property, "isAscending": is_ascending }],
        "position": start, "limit": count,
    });
    let back = json!({ "resultOf": "0", "name": "Email/query", "path": "/ids" });
    let asked = vec![("Email/query", query), ("Email/get", json!({ "#ids": back, "properties": wanted }))];
    let found = ask(desk, &who, asked)?;
    let rows: Vec<Value> =
        found.get(1).and_then(|got| got["list"].as_array()).into_iter().flatten().map(row).collect();
    let total = mailbox["totalEmails"].as_u64().unwrap_or(0);
    let seen = total.saturating_sub(mailbox["unreadEmails"].as_u64().unwrap_or(0));
    Ok(answer(
        &[
            ("mbox", mailbox["path"].clone()),
            ("size", json!(total)),
            ("seen", json!(seen)),
            ("start", json!(start)),
            ("count", json!(rows.len())),
        ],
        Some(("messages", rows)),
    ))
}

/// `[uid, flags, received, from, address, subject, bytes, attachments]`
fn row(email: &Value) -> Value {
    let flags: Vec<&str> = email["keywords"]
        .as_object()
        .into_iter()
        .flat_map(|keywords| keywords.keys())
        .map(|keyword| keyword.trim_start_matches('$'))
        .collect();
    let from = &email["from"][0];
    json!([
        email["id"],
        flags.join(" "),
        email["receivedAt"],
        from["name"],
        from["email"],
        email["subject"],
        email["size"],
        email["hasAttachment"],
    ])
}

//! msg.msc: one message as text, or one of its parts.

use serde_json::{Value, json};

use super::{answer, ask_one, asker, refused, word, wrong};
use crate::response::Body;
use crate::session::Desk;
use crate::{Request, Response};

/// Bytes of text that are shown.
const TEXT_BYTES_MAX: u64 = 1 << 20;

pub fn show(desk: &Desk, request: &Request) -> Response {
    shown(desk, request).unwrap_or_else(|refusal| refusal)
}

fn shown(desk: &Desk, request: &Request) -> Result<Response, Response> {
    let who = asker(request)?;
    let uid = word(request, "uid").ok_or_else(|| wrong("uid is missing"))?;
    let properties = [
        "id",
        "keywords",
        "receivedAt",
        "sentAt",
        "from",
        "to",
        "cc",
        "bcc",
        "replyTo",
        "subject",
        "messageId",
        "size",
        "blobId",
        "textBody",
        "attachments",
        "bodyValues",
    ];
    let asked = json!({
        "ids": [uid], "properties": properties, "fetchTextBodyValues": true, "maxBodyValueBytes": TEXT_BYTES_MAX,
    });
    let found = ask_one(desk, &who, "Email/get", asked)?;
    let email = &found["list"][0];
    if email.is_null() {
        return Err(refused(404, &json!({ "type": "notFound", "description": "there is no such message" })));
    }
    match word(request, "part") {
        None => Ok(page(email)),
        Some(part) => {
            let parts =
                email["attachments"].as_array().into_iter().chain(email["textBody"].as_array()).flatten();
            let whole = Some(&email["blobId"]).filter(|_| part == "0");
            let blob =
                whole.or_else(|| parts.clone().find(|one| one["partId"] == *part).map(|one| &one["blobId"]));
            let blob = blob.and_then(Value::as_str).ok_or_else(|| wrong("there is no such part"))?;
            let blob =
                desk.jmap.download(&who, &who.uid, blob).map_err(|why| crate::routes::jmap::problem(&why))?;
            let size = blob.size;
            // Whatever it is, it is to be saved and never shown.
            let body = Body::Reader(blob.content.reader(size), size);
            Ok(Response::of(200, "application/octet-stream", body).with("Content-Disposition", "attachment"))
        }
    }
}

fn page(email: &Value) -> Response {
    let text: String = email["textBody"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|part| email["bodyValues"][part["partId"].as_str()?]["value"].as_str())
        .collect::<Vec<&str>>()
        .join("\n");
    let addresses = |name: &str| {
        let list = email[name].as_array().into_iter().flatten();
        Value::Array(list.map(|one| json!([one["name"], one["email"]])).collect())
    };
    let part = |one: &Value| json!([one["partId"], one["type"], one["name"], one["size"]]);
    let parts = email["attachments"].as_array().into_iter().flatten().map(part).collect();
    answer(
        &[
            ("uid", email["id"].clone()),
            ("subject", email["subject"].clone()),
            ("from", addresses("from")),
            ("to", addresses("to")),
            ("cc", addresses("cc")),
            ("replyto", addresses("replyTo")),
            ("date", email["sentAt"].clone()),
            ("received", email["receivedAt"].clone()),
            ("messageid", email["messageId"][0].clone()),
            ("size", email["size"].clone()),
            ("text", json!(text)),
        ],
        Some(("parts", parts)),
    )
}

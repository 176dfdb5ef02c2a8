//! send.msc: a message is written from a form and sent, or kept as a draft.
//!
//! ```text
//! from=        one of the user's addresses; the primary one
//! to=, cc=, bcc=, replyto=   lists as header fields have them
//! subject=, text=            UTF-8
//! draft=true   kept in meDraftFolder, not sent (S119); smtp=false as well
//! copy=false   no copy in meSentFolder (S123)
//! vcard=true   the user's vCard goes along (S122)
//! priority=    1 (highest) to 5
//! receipt=true a receipt is asked for (RFC 8098)
//! ```
//! With meAutoSign the signature is put below the text (S120, S121). The message is sent before the copy is made: when that does not
//! fit into the quota, the answer says so, and the message is sent all the same.

use std::io::Write;

use jmap::{Folder, Preferences, Who};
use mail_format::{EncodedText, Item, address_list, decode_words, encode_text, encode_words, format_date};
use serde_json::{Value, json};
use server_log::Category;

use super::{answer, ask_one, asker, refused, word, wrong};
use crate::session::Desk;
use crate::{Request, Response};

/// Bytes of a line of a vCard in base64 (RFC 2045 §6.8).
const BASE64_LINE: usize = 76;

pub fn run(desk: &Desk, request: &Request) -> Response {
    sent(desk, request).unwrap_or_else(|refusal| refusal)
}

fn sent(desk: &Desk, request: &Request) -> Result<Response, Response> {
    let who = asker(request)?;
    let preferences = desk.jmap.preferences(&who);
    let is = |name: &str, usual: bool| word(request, name).map_or(usual, |value| is_true(&value));
    let message = written(request, &who, &preferences)?;
    let keep = |folder: Folder| desk.jmap.keep(&who, folder, &message);
    if is("draft", false) || !is("smtp", true) {
        return match keep(Folder::Drafts) {
            Ok(()) => Ok(answer(&[("draft", json!(preferences.draft_folder))], None)),
            Err(message_store::StoreError::OverQuota) => Err(refused(
                413,
                &json!({ "type": "overQuota", "description": "the draft does not fit into the quota" }),
            )),
            Err(why) => Err(unkept(desk, &who, &why)),
        };
    }
    let id = submit(desk, &who, &message)?;
    let copy = match is("copy", true) {
        false => json!(null),
        true => match keep(Folder::Sent) {
            Ok(()) => json!(preferences.sent_folder),
            Err(message_store::StoreError::OverQuota) => json!("overQuota"),
            Err(why) => {
                unkept(desk, &who, &why);
                json!("failed")
            }
        },
    };
    Ok(answer(&[("sent", json!(id)), ("copy", copy)], None))
}

fn unkept(desk: &Desk, who: &Who, why: &message_store::StoreError) -> Response {
    desk.log.warning(Category::Store, format_args!("{}: mail of one's own is not kept: {why}", who.uid));
    refused(503, &json!({ "type": "serverFail", "description": "it cannot be kept; see the log" }))
}

/// Sends it; the id of the submission.
fn submit(desk: &Desk, who: &Who, message: &[u8]) -> Result<Value, Response> {
    let problem = |why: jmap::Problem| crate::routes::jmap::problem(&why);
    let mut upload = desk.jmap.upload(who, &who.uid, "message/rfc822").map_err(problem)?;
    upload.write_all(message).map_err(|_| refused(507, &json!({ "type": "tooLarge" })))?;
    let blob = upload.finish().map_err(problem)?["blobId"].clone();
    let identities = ask_one(desk, who, "Identity/get", json!({ "ids": null }))?;
    let all = identities["list"].as_array().into_iter().flatten();
    let own = all.filter(|one| one["mayDelete"] == json!(false));
    let primary = own.clone().find(|one| one["email"] == json!(who.entry.mail)).or(own.clone().next());
    let id = primary.map(|one| one["id"].clone()).unwrap_or_default();
    let arguments = json!({ "create": { "new": { "identityId": id, "blobId": blob } } });
    let answer = ask_one(desk, who, "EmailSubmission/set", arguments)?;
    match answer["created"]["new"]["id"].clone() {
        Value::Null => Err(refused(400, &answer["notCreated"]["new"])),
        id => Ok(id),
    }
}

fn is_true(value: &str) -> bool {
    ["true", "yes", "1", "on"].iter().any(|yes| value.trim().eq_ignore_ascii_case(yes))
}

/// The message. smtpd adds Message-ID and Date where they are missing; Date is set here, for the copy.
fn written(request: &Request, who: &Who, preferences: &Preferences) -> Result<Vec<u8>, Response> {
    let mut header = String::new();
    let from = word(request, "from").unwrap_or_else(|| who.entry.mail.clone());
    let from = addresses(&from).filter(|list| list.len() == 1).ok_or_else(|| wrong("from is no address"))?;
    let [(name, address)] = from.as_slice() else { return Err(wrong("from is no address")) };
    let name = if name.is_empty() { who.entry.name() } else { name };
    header.push_str(&format!("From: {}\r\n", shown(name, address)));
    let fields = [("To", "to"), ("Cc", "cc"), ("Bcc", "bcc"), ("Reply-To", "replyto")];
    for (field, parameter) in fields {
        let Some(text) = word(request, parameter) else { continue };
        let list = addresses(&text).ok_or_else(|| wrong(&format!("{parameter} is no list of addresses")))?;
        let list: Vec<String> = list.iter().map(|(name, address)| shown(name, address)).collect();
        header.push_str(&format!("{field}: {}\r\n", list.join(",\r\n ")));
    }
    let subject = word(request, "subject").unwrap_or_default();
    let subject: String = subject.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    header.push_str(&format!("Subject: {}\r\n", encode_words(&subject)));
    let now = base::clock::unix_seconds();
    header.push_str(&format!("Date: {}\r\n", format_date(now, 0)));
    let mut random = [0; 12];
    openssl::rand::rand_bytes(&mut random).map_err(|_| refused(503, &json!({ "type": "serverFail" })))?;
    let unique: String = base::hex::encode(&random);
    let domain = who.entry.mail.rsplit_once('@').map_or("localhost", |(_, domain)| domain);
    header
        .push_str(&format!("Message-ID: <{unique}@{}>\r\nMIME-Version: 1.0\r\n", base::idn::domain(domain)));
    if let Some(priority) =
        word(request, "priority").filter(|one| matches!(one.as_str(), "1" | "2" | "3" | "4" | "5"))
    {
        header.push_str(&format!("X-Priority: {priority}\r\n"));
    }
    if word(request, "receipt").is_some_and(|value| is_true(&value)) {
        header.push_str(&format!("Disposition-Notification-To: {address}\r\n"));
    }
    let vcard = word(request, "vcard").is_some_and(|value| is_true(&value)) && !preferences.v_card.is_empty();
    Ok(with_body(header, &text(request, preferences), vcard.then_some(preferences.v_card.as_str()), &unique))
}

/// The text, with the signature below it (RFC 3676 §4.3).
fn text(request: &Request, preferences: &Preferences) -> String {
    let text = super::value(request, "text").unwrap_or_default().replace("\r\n", "\n");
    match preferences.auto_sign && !preferences.signature.trim().is_empty() {
        true => format!("{}\n\n-- \n{}\n", text.trim_end(), preferences.signature),
        false => text,
    }
}

fn with_body(header: String, text: &str, vcard: Option<&str>, unique: &str) -> Vec<u8> {
    let EncodedText { charset, transfer_encoding, body } = encode_text(text);
    let part = format!(
        "Content-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: {transfer_encoding}\r\n\r\n{body}"
    );
    let Some(vcard) = vcard else { return (header + &part).into_bytes() };
    let encoded =
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, vcard.replace('\n', "\r\n"));
    let lines: Vec<&str> = encoded
        .as_bytes()
        .chunks(BASE64_LINE)
        .map(|line| std::str::from_utf8(line).unwrap_or_default())
        .collect();
    let boundary = format!("=_{unique}");
    format!(
        "{header}Content-Type: multipart/mixed; boundary=\"{boundary}\"\r\n\r\n--{boundary}\r\n{part}\r\n--{boundary}\r\n\
         Content-Type: text/vcard; charset=utf-8\r\nContent-Disposition: attachment; filename=\"card.vcf\"\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{}\r\n--{boundary}--\r\n",
        lines.join("\r\n")
    )
    .into_bytes()
}

/// Names and addresses of a list; nothing when something in it is none.
fn addresses(text: &str) -> Option<Vec<(String, String)>> {
    if text.chars().any(char::is_control) {
        return None;
    }
    let mut list = Vec::new();
    for item in address_list(text.as_bytes()) {
        let Item::Mailbox { name, local, domain, .. } = item else { return None };
        let address = format!("{}@{}", String::from_utf8(local).ok()?, String::from_utf8(domain).ok()?);
        let plain =
            address.contains('@') && !address.ends_with('@') && !address.contains([' ', '<', '>', '"', ',']);
        if !plain {
            return None;
        }
        list.push((name.map(|name| decode_words(&name)).unwrap_or_default(), address));
    }
    (!list.is_empty()).then_some(list)
}

/// `"Joe User" <joe@example.org>`
fn shown(name: &str, address: &str) -> String {
    let name: String = name.chars().filter(|c| !c.is_control()).collect();
    if name.trim().is_empty() {
        return address.to_owned();
    }
    let encoded = encode_words(&name);
    match encoded == name {
        true => format!("\"{}\" <{address}>", name.replace('\\', "\\\\").replace('"', "\\\"")),
        false => format!("{encoded} <{address}>"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_addresses_and_nothing_else() {
        let one = |text: &str| {
            addresses(text).map(|list| list.iter().map(|(n, a)| shown(n, a)).collect::<Vec<_>>())
        };
        assert_eq!(
            one("a@b.c, Jö <d@e.f>").unwrap(),
            ["a@b.c", "=?utf-8?B?SsO2?= <d@e.f>"].map(str::to_owned)
        );
        assert_eq!(one("\"A, \\\"B\\\"\" <a@b.c>").unwrap(), ["\"A, \\\"B\\\"\" <a@b.c>"]);
        for wrong in ["", "nobody", "a@", "a@b.c, x y", "\"a b\"@c.d", "a@b.c\r\nBcc: d@e.f", "all: a@b.c;"] {
            assert_eq!(one(wrong), None, "{wrong}");
        }
    }
}

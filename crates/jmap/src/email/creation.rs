//! An Email object as a client sends it to be created, checked, as the parts of the message that it becomes (RFC 8621 §4.6).

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use mail_format::content_type::ContentType;
use serde_json::{Map, Value, json};

use super::header_writer::{self, Line};
use super::headers::{Field, Form};
use super::writer::{Body, Part};
use crate::Jmap;
use crate::blob::Work;
use crate::ids;
use crate::limits;
use crate::request::Call;
use crate::set_error::SetError;
use crate::shares::Scope;

type Result<T> = std::result::Result<T, SetError>;

/// What is to be written.
pub struct Creation {
    pub header: Vec<Line>,
    pub root: Part,
}

/// Properties that are not of the message itself.
pub const METADATA: [&str; 3] = ["mailboxIds", "keywords", "receivedAt"];

/// Where fields stand in a message, as most programs write them.
const ORDER: [&str; 12] = [
    "date",
    "from",
    "sender",
    "reply-to",
    "to",
    "cc",
    "bcc",
    "subject",
    "message-id",
    "in-reply-to",
    "references",
    "",
];

struct Reader<'a> {
    jmap: &'a Jmap,
    scope: Scope<'a>,
    work: &'a RefCell<Work>,
    values: Map<String, Value>,
    parts: usize,
    attached: u64,
    /// Blobs that are not there.
    missing: BTreeSet<String>,
}

fn wrong(property: &str, why: &str) -> SetError {
    SetError::properties(&[property], why)
}

/// Reads an Email object.
///
/// # Errors
/// `invalidProperties`, `blobNotFound`, `tooLarge`.
pub fn read(call: &Call<'_>, mut object: Map<String, Value>, now: i64) -> Result<Creation> {
    let values = match object.remove("bodyValues") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(values)) => values,
        Some(_) => return Err(wrong("bodyValues", "It is no map")),
    };
    let (jmap, scope) = (call.jmap, call.scope());
    let mut reader =
        Reader { jmap, scope, work: call.work, values, parts: 0, attached: 0, missing: BTreeSet::new() };
    let structure = object.remove("bodyStructure").filter(|value| !value.is_null());
    let flat = ["textBody", "htmlBody", "attachments"].map(|name| (name, object.remove(name)));
    let flat = flat.map(|(name, value)| (name, value.filter(|value| !value.is_null())));
    let mut header = header(object)?;
    let root = match structure {
        Some(structure) => {
            if let Some((name, _)) = flat.iter().find(|(_, value)| value.is_some()) {
                return Err(wrong(name, "It cannot be given beside bodyStructure"));
            }
            reader.part(structure, "bodyStructure", 0)?
        }
        None => {
            let [text, html, attachments] = flat.map(|(_, value)| value);
            reader.flat(text, html, attachments)?
        }
    };
    let of_message = |name: &str| header.iter().any(|line| line.name.eq_ignore_ascii_case(name));
    if let Some(line) = root.lines.iter().find(|line| of_message(&line.name)) {
        return Err(wrong("bodyStructure", &format!("{} is given for the message, too", line.name)));
    }
    if !reader.missing.is_empty() {
        let missing: Vec<&String> = reader.missing.iter().collect();
        return Err(SetError::new("blobNotFound", "There are no such blobs").with("notFound", json!(missing)));
    }
    add_required(&mut header, call.jmap, now)?;
    let place = |line: &Line| {
        let name = line.name.to_ascii_lowercase();
        ORDER.iter().position(|one| *one == name).unwrap_or(ORDER.len())
    };
    header.sort_by_key(place);
    Ok(Creation { header, root })
}

/// The fields of the message; what is no header field is none of its properties.
fn header(object: Map<String, Value>) -> Result<Vec<Line>> {
    let mut header: BTreeMap<String, Vec<Line>> = BTreeMap::new();
    for (property, value) in object {
        if METADATA.contains(&property.as_str()) {
            continue;
        }
        let field = field(&property).ok_or_else(|| wrong(&property, "It cannot be set"))?;
        let name = field.name.to_ascii_lowercase();
        if name.starts_with("content-") || name == "mime-version" {
            return Err(wrong(&property, "It belongs to the parts of the body"));
        }
        if value.is_null() {
            continue;
        }
        let lines =
            header_writer::lines(&field, &value).ok_or_else(|| wrong(&property, "It cannot be written"))?;
        if header.insert(name, lines).is_some() {
            return Err(wrong(&property, "The field is given twice"));
        }
    }
    Ok(header.into_values().flatten().filter(|line| !line.value.is_empty()).collect())
}

fn field(property: &str) -> Option<Field> {
    Field::convenience(property).or_else(|| Field::parse(property))
}

/// Message-ID and Date, when the client gave none (RFC 8621 §4.6).
fn add_required(header: &mut Vec<Line>, jmap: &Jmap, now: i64) -> Result<()> {
    let has = |header: &[Line], name: &str| header.iter().any(|line| line.name.eq_ignore_ascii_case(name));
    if !has(header, "Date") {
        header.push(Line { name: "Date".into(), value: mail_format::format_date(now, 0) });
    }
    if !has(header, "Message-ID") {
        let mut random = [0; 16];
        openssl::rand::rand_bytes(&mut random)
            .map_err(|_| SetError::new("serverFail", "No random numbers"))?;
        let host = if jmap.host_name.is_empty() { "localhost" } else { &jmap.host_name };
        let value = format!("<{:032x}@{host}>", u128::from_be_bytes(random));
        header.push(Line { name: "Message-ID".into(), value });
    }
    Ok(())
}

impl Reader<'_> {
    /// Text and HTML as alternatives, pictures of the HTML related to it, attachments around (RFC 8621 §4.1.4 the other way
    /// round).
    fn flat(&mut self, text: Option<Value>, html: Option<Value>, attachments: Option<Value>) -> Result<Part> {
        let text = self.only(text, "textBody", "text/plain")?;
        let html = self.only(html, "htmlBody", "text/html")?;
        let attachments = match attachments {
            None => Vec::new(),
            Some(Value::Array(items)) => {
                items.into_iter().map(|item| self.part(item, "attachments", 0)).collect::<Result<Vec<_>>>()?
            }
            Some(_) => return Err(wrong("attachments", "It is no list")),
        };
        let is_related = |part: &Part| {
            html.is_some()
                && part.disposition.as_deref() == Some("inline")
                && part.lines.iter().any(|line| line.name.eq_ignore_ascii_case("Content-ID"))
        };
        let (related, attached): (Vec<Part>, Vec<Part>) = attachments.into_iter().partition(is_related);
        let html = html.map(|html| match related.is_empty() {
            true => html,
            false => container("related", std::iter::once(html).chain(related).collect()),
        });
        let body = match (text, html) {
            (Some(text), Some(html)) => Some(container("alternative", vec![text, html])),
            (text, html) => text.or(html),
        };
        Ok(match (body, attached.is_empty()) {
            (Some(body), true) => body,
            (None, true) => plain(String::new()),
            (body, false) => container("mixed", body.into_iter().chain(attached).collect()),
        })
    }

    /// The one part of textBody or htmlBody.
    fn only(&mut self, value: Option<Value>, property: &str, media_type: &str) -> Result<Option<Part>> {
        let Some(value) = value else { return Ok(None) };
        let Value::Array(mut items) = value else { return Err(wrong(property, "It is no list")) };
        let (Some(Value::Object(mut item)), true) = (items.pop(), items.is_empty()) else {
            return Err(wrong(property, "It must have exactly one part"));
        };
        if !item.contains_key("type")
            && !item.keys().any(|name| name.to_ascii_lowercase().starts_with("header:content-type"))
        {
            item.insert("type".into(), json!(media_type));
        }
        let part = self.part(Value::Object(item), property, 0)?;
        if part.media_type != media_type {
            return Err(wrong(property, &format!("Its part must be {media_type}")));
        }
        Ok(Some(part))
    }

    fn part(&mut self, value: Value, at: &str, depth: usize) -> Result<Part> {
        let Value::Object(mut map) = value else { return Err(wrong(at, "A part is no object")) };
        self.parts += 1;
        if self.parts > limits::CREATE_PARTS_MAX || depth > limits::CREATE_DEPTH_MAX {
            return Err(SetError::new("tooLarge", "It has too many parts"));
        }
        let mut text = |name: &str| match map.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if !text.contains(char::is_control) => Ok(Some(text)),
            Some(_) => Err(wrong(at, &format!("{name} of a part cannot be written"))),
        };
        let (part_id, blob_id) = (text("partId")?, text("blobId")?);
        let (media_type, charset) = (text("type")?, text("charset")?);
        let (disposition, name) = (text("disposition")?, text("name")?);
        let (cid, location) = (text("cid")?, text("location")?);
        let sub_parts = map.remove("subParts").filter(|value| !value.is_null());
        let language = map.remove("language").filter(|value| !value.is_null());
        let size = map.remove("size").filter(|value| !value.is_null());
        let mut lines = Vec::new();
        if let Some(cid) = &cid {
            let id = cid.trim_matches(['<', '>']);
            if id.is_empty() || id.contains(|c: char| c.is_whitespace() || "<>".contains(c)) || !id.is_ascii()
            {
                return Err(wrong(at, "cid of a part cannot be written"));
            }
            lines.push(Line { name: "Content-ID".into(), value: format!("<{id}>") });
        }
        if let Some(location) = location {
            lines.push(Line { name: "Content-Location".into(), value: location });
        }
        if let Some(language) = language {
            lines.push(Line {
                name: "Content-Language".into(),
                value: languages(&language)
                    .ok_or_else(|| wrong(at, "language of a part cannot be written"))?,
            });
        }
        let mut given = None;
        for (property, value) in map {
            let field = Field::parse(&property)
                .ok_or_else(|| wrong(at, &format!("A part cannot have {property}")))?;
            let found = header_writer::lines(&field, &value)
                .filter(|_| !field.name.eq_ignore_ascii_case("Content-Transfer-Encoding"));
            let found = found.ok_or_else(|| wrong(at, &format!("{property} of a part cannot be written")))?;
            if field.name.eq_ignore_ascii_case("Content-Type") && matches!(field.form, Form::Raw | Form::Text)
            {
                given = found.first().and_then(|line| ContentType::parse(line.value.as_bytes()));
                if given.is_none() || media_type.is_some() {
                    return Err(wrong(at, "The type of a part is no type, or is given twice"));
                }
                continue;
            }
            let is_twice = |line: &Line| line.name.eq_ignore_ascii_case(&field.name);
            let is_disposition = field.name.eq_ignore_ascii_case("Content-Disposition")
                && (disposition.is_some() || name.is_some());
            if lines.iter().any(is_twice) || is_disposition {
                return Err(wrong(at, &format!("{} of a part is given twice", field.name)));
            }
            lines.extend(found);
        }
        let (media_type, parameters) =
            media_type_of(media_type, given, part_id.is_some(), sub_parts.is_some())
                .ok_or_else(|| wrong(at, "The type of a part is no type"))?;
        let disposition = match disposition.map(|disposition| disposition.to_ascii_lowercase()) {
            Some(disposition) if !is_token(&disposition) => {
                return Err(wrong(at, "disposition of a part cannot be written"));
            }
            None if name.is_some() && depth == 0 && at == "attachments" => Some("attachment".to_owned()),
            disposition => disposition,
        };
        let is_multipart = media_type.starts_with("multipart/");
        let body = match (part_id, blob_id, sub_parts) {
            (None, None, Some(Value::Array(items))) if is_multipart && !items.is_empty() => Body::Parts(
                items.into_iter().map(|item| self.part(item, at, depth + 1)).collect::<Result<_>>()?,
            ),
            (Some(part_id), None, None) if !is_multipart && charset.is_none() && size.is_none() => {
                Body::Text(self.value(&part_id, at)?)
            }
            (None, Some(blob_id), None) if !is_multipart => self.blob(&blob_id, charset, &media_type)?,
            _ => {
                return Err(wrong(
                    at,
                    "A part has either partId, without charset and size, or blobId, or, of a multipart, subParts",
                ));
            }
        };
        Ok(Part { lines, media_type, parameters, disposition, name, body })
    }

    fn value(&self, part_id: &str, at: &str) -> Result<String> {
        let value = self.values.get(part_id).and_then(Value::as_object);
        let value = value.ok_or_else(|| wrong(at, "The partId of a part is not in bodyValues"))?;
        let is_set = |name: &str| !matches!(value.get(name), None | Some(Value::Null | Value::Bool(false)));
        match value.get("value") {
            Some(Value::String(text)) if !is_set("isEncodingProblem") && !is_set("isTruncated") => {
                Ok(text.clone())
            }
            _ => Err(wrong("bodyValues", "It has something that is no whole text")),
        }
    }

    fn blob(&mut self, id: &str, charset: Option<String>, media_type: &str) -> Result<Body> {
        let found = self.work.borrow_mut().open(self.jmap, self.scope, id);
        let found = found.map_err(|error| SetError::new(error.kind, &error.description))?;
        let charset = charset.filter(|_| media_type.starts_with("text/"));
        let Some(blob) = found else {
            self.missing.insert(id.to_owned());
            return Ok(Body::Text(String::new())); // which of them are missing is told, all of them
        };
        self.attached = self.attached.saturating_add(blob.size);
        if self.attached > limits::MAX_SIZE_ATTACHMENTS {
            return Err(SetError::new("tooLarge", "The attachments are too large together"));
        }
        Ok(Body::Blob { blob, charset })
    }
}

/// The type in lower case, and its parameters but for those that are the writer's.
fn media_type_of(
    named: Option<String>,
    given: Option<ContentType>,
    is_text: bool,
    has_parts: bool,
) -> Option<(String, Vec<(String, String)>)> {
    let Some(given) = given else {
        let default = if has_parts {
            "multipart/mixed"
        } else if is_text {
            "text/plain"
        } else {
            "application/octet-stream"
        };
        let media_type = named.unwrap_or_else(|| default.to_owned()).to_ascii_lowercase();
        let (kind, subtype) = media_type.split_once('/')?;
        return (is_token(kind) && is_token(subtype)).then(|| (media_type.clone(), Vec::new()));
    };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    let media_type = format!("{}/{}", text(&given.kind)?, text(&given.subtype)?).to_ascii_lowercase();
    let mut parameters = Vec::new();
    for (name, value) in &given.parameters {
        let name = text(name)?.to_ascii_lowercase();
        if name != "charset" && name != "boundary" {
            if !is_token(&name) || name.contains('*') {
                return None;
            }
            parameters.push((name, text(value)?));
        }
    }
    Some((media_type, parameters))
}

fn languages(value: &Value) -> Option<String> {
    let tags = value.as_array()?.iter().map(|tag| {
        let tag = tag.as_str()?;
        let is_tag = !tag.is_empty() && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        is_tag.then_some(tag)
    });
    Some(tags.collect::<Option<Vec<_>>>()?.join(", "))
}

/// RFC 2045 §5.1.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?=".contains(c))
}

fn container(kind: &str, parts: Vec<Part>) -> Part {
    Part {
        lines: Vec::new(),
        media_type: format!("multipart/{kind}"),
        parameters: Vec::new(),
        disposition: None,
        name: None,
        body: Body::Parts(parts),
    }
}

fn plain(text: String) -> Part {
    Part {
        lines: Vec::new(),
        media_type: "text/plain".into(),
        parameters: Vec::new(),
        disposition: None,
        name: None,
        body: Body::Text(text),
    }
}

/// The properties that only the server sets (RFC 8621 §4.1).
pub fn is_server_set(property: &str) -> bool {
    matches!(property, "id" | "blobId" | "threadId" | "size" | "hasAttachment" | "preview" | "headers")
}

/// What is answered about an email that was made.
pub fn created(guid: &[u8; 16], thread: &[u8; 16], size: u64) -> Value {
    json!({
        "id": ids::email(guid),
        "blobId": ids::BlobId::Message(*guid).to_string(),
        "threadId": ids::thread(thread),
        "size": size,
    })
}

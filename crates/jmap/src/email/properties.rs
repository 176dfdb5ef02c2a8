//! Which properties of emails are asked for, and the object that has them (RFC 8621 §4.2).

use mail_format::preview;
use serde_json::{Map, Value, json};

use super::bodies::Bodies;
use super::body_part::{BodyPart, PartProperties};
use super::content::BodyValue;
use super::headers::{self, Field};
use super::keywords::Keywords;
use super::message::{self, Message};
use crate::account::{Account, Email, Inner};
use crate::arguments::Arguments;
use crate::error::{MethodError, Result};
use crate::ids::{self, BlobId};
use crate::request::Call;

/// What is told of a message when nothing is asked for by name (RFC 8621 §4.9); of an email, [`METADATA`] stands before it (§4.2).
const DEFAULT_PARSED: [&str; 17] = [
    "messageId",
    "inReplyTo",
    "references",
    "sender",
    "from",
    "to",
    "cc",
    "bcc",
    "replyTo",
    "subject",
    "sentAt",
    "hasAttachment",
    "preview",
    "bodyValues",
    "textBody",
    "htmlBody",
    "attachments",
];
/// What is known of an email without a look at the message.
const METADATA: [&str; 7] = ["id", "blobId", "threadId", "mailboxIds", "keywords", "size", "receivedAt"];
/// What needs the whole message, beside what begins with `header:`.
const BODY: [&str; 8] = [
    "bodyStructure",
    "bodyValues",
    "textBody",
    "htmlBody",
    "attachments",
    "hasAttachment",
    "preview",
    "headers",
];

/// What the arguments ask for.
pub struct Wanted {
    names: Vec<(String, Option<Field>)>,
    parts: PartProperties,
    fetch_text: bool,
    fetch_html: bool,
    fetch_all: bool,
    bytes_max: usize,
}

/// The object a message becomes: of an email, or of a blob that is parsed.
pub enum Subject {
    /// By its guid, with what is known of it without its message.
    Email([u8; 16], Map<String, Value>),
    /// The message, and the blob that it is.
    Parsed(BlobId),
}

impl Wanted {
    /// # Errors
    /// `invalidArguments`: a property that does not exist, or a form that is not for that field.
    pub fn read(arguments: &mut Arguments, parsed: bool) -> Result<Wanted> {
        let of_email: &[&str] = if parsed { &[] } else { &METADATA };
        let default = || of_email.iter().chain(&DEFAULT_PARSED).map(|name| (*name).to_owned()).collect();
        let names = arguments.strings("properties")?.unwrap_or_else(default);
        let one = |name: String| match METADATA.contains(&name.as_str()) || BODY.contains(&name.as_str()) {
            true => Ok((name, None)),
            false => match Field::convenience(&name).or_else(|| Field::parse(&name)) {
                Some(field) => Ok((name, Some(field))),
                None => Err(MethodError::invalid_arguments(format!("There is no property {name}"))),
            },
        };
        let names = names.into_iter().map(one).collect::<Result<Vec<_>>>()?;
        let parts = PartProperties::parse(arguments.strings("bodyProperties")?);
        Ok(Wanted {
            names,
            parts: parts.ok_or_else(|| {
                MethodError::invalid_arguments("bodyProperties has one that does not exist")
            })?,
            fetch_text: arguments.flag("fetchTextBodyValues")?,
            fetch_html: arguments.flag("fetchHTMLBodyValues")?,
            fetch_all: arguments.flag("fetchAllBodyValues")?,
            bytes_max: arguments.unsigned("maxBodyValueBytes")?.map_or(0, |most| most as usize),
        })
    }

    fn has(&self, test: impl Fn(&str, Option<&Field>) -> bool) -> bool {
        self.names.iter().any(|(name, field)| test(name, field.as_ref()))
    }

    fn needs_message(&self) -> bool {
        self.has(|name, field| field.is_none() && BODY.contains(&name) && name != "headers")
    }

    fn needs_header(&self) -> bool {
        self.has(|name, field| field.is_some() || name == "headers")
    }

    /// The object of an email; nothing when its message is gone meanwhile.
    ///
    /// # Errors
    /// The store's; the answer is too large.
    pub fn of_email(&self, call: &mut Call<'_>, account: &Account, guid: [u8; 16]) -> Result<Option<Value>> {
        let (subject, copies) = {
            let account = account.read();
            let Some((_, email)) = account.email_of(&guid) else { return Ok(None) };
            let known = self.names.iter().filter(|(name, _)| METADATA.contains(&name.as_str()));
            let known = known.map(|(name, _)| (name.clone(), metadata(&account, email, name))).collect();
            (Subject::Email(guid, known), message::Copies::of(&account, email))
        };
        if self.needs_message() {
            let Some(message) = copies.open()? else { return Ok(None) };
            let object = self.object(call, &subject, message.header(), Some(&message))?;
            message.verify()?;
            return Ok(Some(object));
        }
        let header = match self.needs_header() {
            true => match copies.header()? {
                Some(header) => header,
                None => return Ok(None),
            },
            false => Vec::new(),
        };
        self.object(call, &subject, &header, None).map(Some)
    }

    /// The object of a message that is parsed (RFC 8621 §4.9).
    ///
    /// # Errors
    /// The answer is too large.
    pub fn of_message(&self, call: &mut Call<'_>, blob: BlobId, message: &Message) -> Result<Value> {
        self.object(call, &Subject::Parsed(blob), message.header(), Some(message))
    }

    fn object(
        &self,
        call: &mut Call<'_>,
        subject: &Subject,
        header: &[u8],
        message: Option<&Message>,
    ) -> Result<Value> {
        let mut map = Map::new();
        if let Subject::Email(guid, _) = subject {
            map.insert("id".into(), json!(ids::email(guid)));
        }
        let tree = message.filter(|_| self.needs_message()).map(BodyPart::tree);
        let bodies = tree.as_ref().map(Bodies::of);
        for (name, field) in &self.names {
            let value = match (field, name.as_str()) {
                (Some(field), _) => field.value(header),
                (None, "headers") => headers::all(header),
                (None, name) if METADATA.contains(&name) => subject.metadata(name, header, message),
                (None, name) => match (message, &tree, &bodies) {
                    (Some(message), Some(tree), Some(bodies)) => {
                        self.body(call, name, subject.blob(), message, tree, bodies)?
                    }
                    _ => Value::Null,
                },
            };
            call.spend(name.len() + size(&value))?;
            map.insert(name.clone(), value);
        }
        Ok(Value::Object(map))
    }

    fn body(
        &self,
        call: &mut Call<'_>,
        name: &str,
        blob: BlobId,
        message: &Message,
        tree: &BodyPart,
        bodies: &Bodies<'_>,
    ) -> Result<Value> {
        let list = |parts: &[&BodyPart]| -> Value {
            parts.iter().map(|part| part.to_json(message, blob, &self.parts, false)).collect()
        };
        Ok(match name {
            "bodyStructure" => tree.to_json(message, blob, &self.parts, true),
            "textBody" => list(&bodies.text),
            "htmlBody" => list(&bodies.html),
            "attachments" => list(&bodies.attachments),
            "hasAttachment" => json!(bodies.has_attachment()),
            "preview" => json!(preview_of(message)),
            "bodyValues" => self.values(call, message, tree, bodies)?,
            _ => Value::Null,
        })
    }

    fn values(
        &self,
        call: &mut Call<'_>,
        message: &Message,
        tree: &BodyPart,
        bodies: &Bodies<'_>,
    ) -> Result<Value> {
        let mut parts: Vec<&BodyPart> = Vec::new();
        if self.fetch_all {
            tree.walk(&mut |part| parts.push(part));
        }
        if self.fetch_text {
            parts.extend(&bodies.text);
        }
        if self.fetch_html {
            parts.extend(&bodies.html);
        }
        let mut map = Map::new();
        for part in parts.into_iter().filter(|part| part.is_text()) {
            let id = part.id();
            if map.contains_key(&id) {
                continue;
            }
            let value = BodyValue::of(message, part, self.bytes_max);
            if value.value.len() > *call.room {
                call.spend(usize::MAX)?;
            }
            map.insert(id, value.to_json());
        }
        Ok(Value::Object(map))
    }
}

impl Subject {
    fn blob(&self) -> BlobId {
        match self {
            Subject::Email(guid, _) => BlobId::Message(*guid),
            Subject::Parsed(blob) => *blob,
        }
    }

    fn metadata(&self, name: &str, header: &[u8], message: Option<&Message>) -> Value {
        match (self, name) {
            (_, "blobId") => json!(self.blob().to_string()),
            (Subject::Email(_, known), name) => known.get(name).cloned().unwrap_or(Value::Null),
            (Subject::Parsed(_), "size") => json!(message.map(|message| message.bytes.len())),
            (Subject::Parsed(_), "threadId") => {
                let id = mail_format::thread_id(header, &[0; 16]);
                json!((id != [0; 16]).then(|| ids::thread(&id))) // that of what has no id is not known before
            }
            _ => Value::Null,
        }
    }
}

/// A property of an email that is known without its message.
pub fn metadata(account: &Inner, email: &Email, name: &str) -> Value {
    match name {
        "id" => json!(ids::email(&email.guid)),
        "threadId" => json!(account.thread_id(email).map(|id| ids::thread(&id))),
        "mailboxIds" => {
            let ids =
                account.rows(email).map(|(_, _, view, _)| (ids::mailbox(view.listed.id), Value::Bool(true)));
            Value::Object(ids.collect())
        }
        "keywords" => Keywords::of(account, email).to_json(),
        "size" => json!(email.size),
        "receivedAt" => json!(headers::utc_date(email.received_ns.div_euclid(1_000_000_000))),
        _ => Value::Null,
    }
}

/// The beginning of the text.
pub fn preview_of(message: &Message) -> String {
    let read = |start, end| Ok::<_, std::convert::Infallible>(message.between(start, end).to_vec());
    let Ok(found) = preview::text_part(&message.structure, read);
    found.map_or_else(String::new, |part| {
        let (start, end) = part.body;
        part.preview(message.between(start, end.min(start.saturating_add(preview::PART_BYTES_MAX))))
    })
}

/// About how many bytes it takes.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 3,
        Value::Array(items) => items.iter().map(size).sum::<usize>() + 2,
        Value::Object(map) => map.iter().map(|(name, value)| name.len() + 4 + size(value)).sum::<usize>() + 2,
        _ => 6,
    }
}

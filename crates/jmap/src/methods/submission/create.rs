//! EmailSubmission/set, create: a message is checked, given to smtpd, and remembered.
//!
//! Beside what the standard has, `blobId` may stand in place of `emailId`: a message that was uploaded is sent without being in
//! the store, as when the quota is used up; and `sendAt` may be given, which is `HOLDUNTIL`.

use std::io::Read;

use serde_json::{Map, Value, json};
use server_log::Category;
use smtp_wire::Address as Parsed;

use super::super::standard;
use crate::methods::identity::{self, Identity};
use crate::personal::{self, second_of, utc};
use crate::request::Call;
use crate::session_object::MAIL;
use crate::set_error::SetError;
use crate::submission::client::{Accepted, At, Conversation, Trouble};
use crate::submission::content::{Content, Person, parameters};
use crate::submission::record::{OpenRecord, Record, Status, Submission};
use crate::submission::{Address, Envelope};

type Result<T> = std::result::Result<T, SetError>;

const PROPERTIES: [&str; 5] = ["identityId", "emailId", "blobId", "envelope", "sendAt"];

/// For so long after a message went, the same one to the same people is the client's second attempt at it.
const AGAIN_SECONDS: i64 = 600;

/// What is to be sent.
struct Message {
    /// Nothing for an upload.
    email: String,
    /// Nothing for an email.
    upload: String,
    thread: String,
    content: Content<Box<dyn Read + Send>>,
}

pub fn run(call: &mut Call<'_>, object: &Value) -> Result<Submission> {
    let Value::Object(object) = object else { return Err(SetError::properties(&[], "It is no object")) };
    if let Some(name) = object.keys().find(|name| !PROPERTIES.contains(&name.as_str())) {
        return Err(SetError::properties(&[name], "It cannot be set"));
    }
    let entry = personal::entry(call.jmap.directory.as_ref(), call.who)
        .map_err(|why| SetError::new(why.kind, &why.description))?;
    let identity_id = real(call, object, "identityId")?;
    let identity = identity_id.as_deref().and_then(|id| identity::find(&entry, id));
    let identity =
        identity.ok_or_else(|| SetError::properties(&["identityId"], "There is no such identity"))?;
    let message = message(call, object)?;
    check_from(&message.content, &entry)?;
    let envelope = envelope(call, object, &message.content, &identity, &entry)?;
    let send_at = release(&envelope, base::clock::unix_seconds());
    let new = Submission {
        id: new_id()?,
        identity: identity_id.unwrap_or_default(),
        email: message.email,
        upload: message.upload,
        thread: message.thread,
        envelope,
        send_at,
        status: Status::Sending,
        canceling: false,
        queue_id: None,
        changed: 0,
        created: 0,
    };
    send(call, new, message.content)
}

/// The submission as the client hears of it: what it did not say itself.
pub fn told(made: &Submission) -> Value {
    let shown = super::object(made, Value::Null);
    let mut told = json!({ "id": made.id });
    for name in ["threadId", "envelope", "sendAt", "undoStatus", "deliveryStatus", "dsnBlobIds", "mdnBlobIds"]
    {
        told[name] = shown.get(name).cloned().unwrap_or(Value::Null);
    }
    told
}

fn real(call: &Call<'_>, object: &Map<String, Value>, name: &str) -> Result<Option<String>> {
    let text = standard::text(object, name, 255)?;
    if text.is_empty() {
        return Ok(None);
    }
    let real = call.real_id(&text).map(str::to_owned);
    real.map(Some).ok_or_else(|| SetError::properties(&[name], "There is nothing with this id"))
}

fn message(call: &mut Call<'_>, object: &Map<String, Value>) -> Result<Message> {
    let no_email = || SetError::properties(&["emailId"], "There is no such email");
    let account = call.who.uid.clone();
    let (email, thread, blob_id) = match (real(call, object, "emailId")?, real(call, object, "blobId")?) {
        (Some(_), Some(_)) => return Err(SetError::properties(&["blobId"], "There is an emailId, too")),
        (None, None) => return Err(no_email()),
        (None, Some(blob)) => (String::new(), String::new(), blob),
        (Some(email), None) => {
            let asked = json!({ "accountId": account, "ids": [email], "properties": ["threadId", "blobId"] });
            let Value::Object(asked) = asked else { return Err(no_email()) };
            let found = crate::methods::run(call, &[MAIL.to_owned()], "Email/get", asked);
            let found = found.ok().and_then(|mut all| all.pop()).map(|(_, value)| value["list"][0].clone());
            let found = found.filter(|found| !found.is_null()).ok_or_else(no_email)?;
            let text = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
            (email, text("threadId"), text("blobId"))
        }
    };
    let property = if email.is_empty() { "blobId" } else { "emailId" };
    let missing = |_| SetError::properties(&[property], "There is nothing with this id");
    let blob = call.jmap.download(call.who, &account, &blob_id).map_err(missing)?;
    let most = call.jmap.personal.size_max;
    if blob.size > most {
        return Err(
            SetError::new("tooLarge", "It is larger than what is sent here").with("maxSize", json!(most))
        );
    }
    let content = Content::read(blob.content.reader(blob.size))
        .map_err(|_| invalid(&[], "The message cannot be read"))?;
    let upload = if email.is_empty() { blob_id } else { String::new() };
    Ok(Message { email, upload, thread, content })
}

fn invalid(properties: &[&str], why: &str) -> SetError {
    SetError::new("invalidEmail", why).with("properties", json!(properties))
}

/// From and Sender are the user's own addresses; or, of what others wrote and the user passes on as it is, the first Resent-From
/// (RFC 5322 §3.6.6: the fields of whoever sends again stand in front, those of the author stay).
fn check_from<R: std::io::Read>(content: &Content<R>, entry: &directory::Entry) -> Result<()> {
    let again: Vec<Person> = content.people("Resent-From").into_iter().take(1).collect();
    let from = if again.is_empty() { content.people("From") } else { again };
    let sender = content.people(if content.has("Resent-From") { "Resent-Sender" } else { "Sender" });
    if from.is_empty() {
        return Err(invalid(&["from"], "It has no author"));
    }
    if sender.len() > 1 || from.len() > 1 && sender.is_empty() {
        return Err(invalid(&["from", "sender"], "It is not clear who sends it")); // RFC 5322 §3.6.2
    }
    match from.iter().chain(&sender).find(|one| !entry.has_address(&one.email)) {
        Some(other) => Err(SetError::new(
            "forbiddenFrom",
            &format!("{} is no address of this account", base::escape(&other.email)),
        )),
        None => Ok(()),
    }
}

fn envelope<R: std::io::Read>(
    call: &Call<'_>,
    object: &Map<String, Value>,
    content: &Content<R>,
    identity: &Identity,
    entry: &directory::Entry,
) -> Result<Envelope> {
    let wrong = |why: &str| SetError::properties(&["envelope"], why);
    let mut envelope = match object.get("envelope") {
        None | Some(Value::Null) => generated(content, identity),
        Some(given) => {
            let rcpt_to =
                given.get("rcptTo").and_then(Value::as_array).ok_or_else(|| wrong("rcptTo is no list"))?;
            let address = |value: &Value, is_mail: bool| -> Result<Address> {
                let email = value.get("email").and_then(Value::as_str);
                let parameters = parameters(value.get("parameters"), is_mail).map_err(|name| {
                    wrong(&format!("The parameter {} cannot be sent", base::escape(&name)))
                })?;
                Ok(Address {
                    email: email.ok_or_else(|| wrong("An address has no email"))?.to_owned(),
                    parameters,
                })
            };
            let mail_from = given.get("mailFrom").ok_or_else(|| wrong("mailFrom is missing"))?;
            Envelope {
                mail_from: address(mail_from, true)?,
                rcpt_to: rcpt_to.iter().map(|one| address(one, false)).collect::<Result<_>>()?,
            }
        }
    };
    let date = standard::text(object, "sendAt", 40)?;
    if !date.is_empty() {
        let second = second_of(&date).ok_or_else(|| SetError::properties(&["sendAt"], "It is no UTCDate"))?;
        let holds = |name: &str| name.starts_with("HOLD");
        if envelope.mail_from.parameters.iter().any(|(name, _)| holds(name)) {
            return Err(SetError::properties(&["sendAt"], "The envelope says when, too"));
        }
        envelope.mail_from.parameters.push(("HOLDUNTIL".into(), Some(utc(second))));
    }
    if !entry.has_address(&envelope.mail_from.email) {
        let why = format!("{} is no address of this account", base::escape(&envelope.mail_from.email));
        return Err(SetError::new("forbiddenMailFrom", &why));
    }
    check_recipients(&mut envelope, call.jmap.personal.recipients_max)?;
    Ok(envelope)
}

/// RFC 8621 §7: what the header says, the identity's address where the header's is another.
fn generated<R: std::io::Read>(content: &Content<R>, identity: &Identity) -> Envelope {
    let first = content.people("Sender").into_iter().chain(content.people("From")).next();
    let email = first.map(|one| one.email).filter(|email| base::idn::same(email, &identity.email));
    let plain = |email: String| Address { email, parameters: Vec::new() };
    let all = ["To", "Cc", "Bcc"].iter().flat_map(|field| content.people(field));
    Envelope {
        mail_from: plain(email.unwrap_or_else(|| identity.email.clone())),
        rcpt_to: all.map(|one| plain(one.email)).collect(),
    }
}

/// Each once, well-formed, and not too many.
fn check_recipients(envelope: &mut Envelope, most: u64) -> Result<()> {
    let mut seen = std::collections::HashSet::new();
    envelope.rcpt_to.retain(|one| seen.insert(base::idn::comparable(&one.email)));
    if envelope.rcpt_to.is_empty() {
        return Err(SetError::new("noRecipients", "It goes to nobody"));
    }
    if envelope.rcpt_to.len() as u64 > most {
        return Err(
            SetError::new("tooManyRecipients", "It goes to too many").with("maxRecipients", json!(most))
        );
    }
    let wrong: Vec<&String> = envelope
        .rcpt_to
        .iter()
        .map(|one| &one.email)
        .filter(|email| Parsed::parse(email.as_bytes(), false, true).is_err())
        .collect();
    if wrong.is_empty() { Ok(()) } else { Err(recipients(&wrong, "An address is none")) }
}

fn recipients(which: &[&String], why: &str) -> SetError {
    SetError::new("invalidRecipients", why).with("invalidRecipients", json!(which))
}

/// When it is released, in seconds since 1970, as the envelope asks for.
fn release(envelope: &Envelope, now: i64) -> i64 {
    let value = |wanted: &str| {
        let found = envelope.mail_from.parameters.iter().find(|(name, _)| name == wanted);
        found.and_then(|(_, value)| value.as_deref())
    };
    match (value("HOLDFOR"), value("HOLDUNTIL")) {
        (Some(seconds), _) => now.saturating_add(seconds.parse().unwrap_or(0)),
        (None, Some(date)) => second_of(date).unwrap_or(now),
        (None, None) => now,
    }
}

fn new_id() -> Result<String> {
    let mut random = [0; 12];
    openssl::rand::rand_bytes(&mut random).map_err(|_| SetError::new("serverFail", "No random bytes"))?;
    Ok(format!("S{}", base::hex::encode(&random)))
}

/// The steps of [`crate::submission`]. The caller is the only one who sends for this user.
fn send(call: &Call<'_>, new: Submission, content: Content<Box<dyn Read + Send>>) -> Result<Submission> {
    let (personal, uid) = (&call.jmap.personal, &call.who.uid);
    let noted = |why: std::io::Error| {
        call.jmap.log.error(Category::General, format_args!("what {uid} sends is not written down: {why}"));
        SetError::new("serverFail", "It cannot be written down; nothing was sent")
    };
    let mut session = personal.smtpd.open(uid).map_err(|why| refused(call, why))?;
    let mut open = OpenRecord::take(&personal.folder, uid).map_err(noted)?;
    if let Some(former) = again(&open.record, &new) {
        return Ok(former.clone());
    }
    if let Some(former) = former(&mut open, &mut session, &new).map_err(|why| refused(call, why))? {
        open.save().map_err(noted)?;
        return former;
    }
    open.record.push(new.clone());
    open.save().map_err(noted)?; // the record is not held while smtpd works
    let everybody: Vec<Person> = ["To", "Cc", "Bcc"].iter().flat_map(|field| content.people(field)).collect();
    let addresses = || new.envelope.rcpt_to.iter().chain([&new.envelope.mail_from]);
    let is_utf8 = content.is_utf8() || addresses().any(|one| !one.email.is_ascii());
    let done = session.send(&new.envelope, &new.id, is_utf8, &mut content.submitted());
    match done {
        Ok(accepted) => {
            tell(call, &new, &accepted);
            // smtpd has it: whatever happens here, the client hears of a success.
            let made = note(call, &new, &accepted, everybody).unwrap_or_else(|why| {
                noted(why);
                None
            });
            Ok(made.unwrap_or_else(|| {
                let mut made = new;
                settle(&mut made, accepted);
                made
            }))
        }
        Err(why) => {
            // One that smtpd may have stays, and so does one that cannot be taken out: the next attempt asks smtpd.
            if !matches!(why, Trouble::Unknown(_)) {
                if let Err(why) = forget(call, &new.id) {
                    noted(why);
                }
            }
            Err(refused(call, why))
        }
    }
}

/// Writes down what smtpd has taken. The submission, unless it was destroyed meanwhile.
fn note(
    call: &Call<'_>,
    new: &Submission,
    accepted: &Accepted,
    people: Vec<Person>,
) -> std::io::Result<Option<Submission>> {
    let mut open = OpenRecord::take(&call.jmap.personal.folder, &call.who.uid)?;
    let number = open.record.next();
    if let Some(one) = open.record.find(&new.id) {
        settle(one, accepted.clone());
        (one.changed, one.created) = (number, number);
    }
    open.record.know(people);
    let made = open.record.find(&new.id).cloned();
    open.save()?;
    Ok(made)
}

fn forget(call: &Call<'_>, id: &str) -> std::io::Result<()> {
    let mut open = OpenRecord::take(&call.jmap.personal.folder, &call.who.uid)?;
    open.record.submissions.retain(|one| one.id != id);
    open.save()
}

fn settle(one: &mut Submission, accepted: Accepted) {
    let now = base::clock::unix_seconds();
    one.send_at = accepted.until.unwrap_or(now);
    one.status = if one.send_at > now { Status::Pending } else { Status::Final };
    one.queue_id = Some(accepted.id);
}

/// What the client asks for a second time because it did not hear the answer to the first: the same email, or the same upload, to the
/// same people in the same way, which waits or went just now.
fn again<'a>(record: &'a Record, new: &Submission) -> Option<&'a Submission> {
    let now = base::clock::unix_seconds();
    let is_recent = |one: &Submission| match one.status {
        Status::Pending => true,
        Status::Final => one.send_at > now - AGAIN_SECONDS,
        Status::Sending | Status::Canceled => false,
    };
    let is_it = |one: &&Submission| one.is_of(new) && is_recent(one);
    record.submissions.iter().rev().find(|one| is_it(one) && one.is_for(&new.envelope))
}

/// An attempt to send the same email that was interrupted. Nothing when there was none, or smtpd did not get it.
fn former(
    open: &mut OpenRecord,
    session: &mut Conversation,
    new: &Submission,
) -> std::result::Result<Option<Result<Submission>>, Trouble> {
    let is_it = |one: &&Submission| one.status == Status::Sending && one.is_of(new);
    let Some(found) = open.record.submissions.iter().find(is_it).cloned() else { return Ok(None) };
    if let Some(accepted) = session.waiting(&found.id)? {
        let number = open.record.next();
        let made = open.record.find(&found.id).map(|one| {
            settle(one, accepted);
            (one.changed, one.created) = (number, number);
            one.clone()
        });
        return Ok(made.map(Ok));
    }
    open.record.submissions.retain(|one| one.id != found.id);
    if found.send_at > base::clock::unix_seconds() {
        return Ok(None); // it would wait still
    }
    let why = "It is not known whether an earlier attempt to send this was completed. Look whether it has arrived; \
               to send it all the same, send it once more";
    Ok(Some(Err(SetError::new("forbiddenToSend", why))))
}

fn tell(call: &Call<'_>, new: &Submission, accepted: &Accepted) {
    let (uid, peer, session) = (&call.who.uid, call.who.peer, &call.who.session);
    call.jmap.log.notice(
        Category::Protocol,
        format_args!(
            "{uid} [{peer}] session={session}: sent {} from=<{}> recipients={}",
            accepted.id,
            base::escape(&new.envelope.mail_from.email),
            new.envelope.rcpt_to.len()
        ),
    );
}

/// smtpd's refusal in the words of the standard.
fn refused(call: &Call<'_>, why: Trouble) -> SetError {
    let personal = &call.jmap.personal;
    match why {
        Trouble::Busy => SetError::new(
            "serverUnavailable",
            "Too many others send mail just now; nothing was sent. Try again",
        ),
        Trouble::Broken(why) => {
            call.jmap
                .log
                .error(Category::General, format_args!("smtpd takes no mail of {}: {why}", call.who.uid));
            SetError::new(
                "serverUnavailable",
                "The mail server takes no mail just now; nothing was sent. Try again",
            )
        }
        Trouble::Unknown(why) => {
            call.jmap
                .log
                .error(Category::General, format_args!("smtpd was given mail of {}: {why}", call.who.uid));
            SetError::new("serverUnavailable", "The mail server broke off; try again")
        }
        // Of XHELD: an earlier attempt is not over, only its client is.
        Trouble::Refused { at: At::Session, code, .. } if code / 100 == 4 => SetError::new(
            "serverUnavailable",
            "An earlier attempt to send this is not over yet; try again in a moment",
        ),
        Trouble::Recipients(list) => {
            let too_many = list.iter().all(|(_, code, text)| *code == 452 && text.starts_with("4.5.3"));
            if too_many {
                let most = personal.recipients_max;
                return SetError::new("tooManyRecipients", "It goes to too many")
                    .with("maxRecipients", json!(most));
            }
            if let Some((_, _, text)) = list.iter().find(|(_, code, _)| *code / 100 == 4) {
                return SetError::new("rateLimit", text);
            }
            let which: Vec<&String> = list.iter().map(|(address, ..)| address).collect();
            let why = list.first().map_or("", |(_, _, text)| text.as_str());
            recipients(&which, why)
        }
        Trouble::Refused { code, text, .. } if code / 100 == 4 => SetError::new("rateLimit", &text),
        Trouble::Refused { at: At::Mail, code: 552, .. }
        | Trouble::Refused { at: At::Data, code: 552, .. } => {
            SetError::new("tooLarge", "It is larger than what is sent here")
                .with("maxSize", json!(personal.size_max))
        }
        Trouble::Refused { at: At::Mail, code: 553, text } => SetError::new("forbiddenMailFrom", &text),
        Trouble::Refused { at: At::Mail, code: 501 | 555, text } => {
            SetError::properties(&["envelope"], &text)
        }
        Trouble::Refused { at: At::Data, text, .. } => invalid(&[], &text),
        Trouble::Refused { text, .. } => SetError::new("forbiddenToSend", &text),
    }
}

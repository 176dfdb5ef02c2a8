//! Preferences/get and /set (ours): what the user prefers, as the directory has it (guide: LDAP attributes for WebMail; S119 to
//! S126).
//!
//! One object. Each property is one value of `nswmExtendedUserPrefs` and is written by itself; only what changes is written.
//! Properties that the original does not have are kept as JSON under `mailboat.<name>`.

use directory::preferences::{self as kept, OURS};
use directory::{ChangeError, Edit, Entry, lines};
use serde_json::{Map, Value, json};

use super::standard::{self, Done, Objects, SINGLETON, Wanted};
use crate::arguments::Arguments;
use crate::error::Result;
use crate::personal;
use crate::request::Call;
use crate::set_error::SetError;

/// The original's.
const DRAFT_FOLDER: &str = "meDraftFolder";
const SENT_FOLDER: &str = "meSentFolder";
const AUTO_SIGN: &str = "meAutoSign";
const SIGNATURE: &str = "meSignature";
const V_CARD: &str = "vCard";
const EXPUNGE_ON_EXIT: &str = "meExpungeOnExit";
const VIEW_SIZE: &str = "meViewSize";

/// Rows of a page, when nothing usable is set, and at most.
pub const VIEW_SIZE_USUAL: u64 = 100;
pub const VIEW_SIZE_MAX: u64 = 1000;
/// Bytes of a text, and of the JSON of a property of ours.
const TEXT_BYTES_MAX: usize = 24 * 1024;
const OURS_BYTES_MAX: usize = 8 * 1024;
/// Characters of the name of a property of ours.
const NAME_MAX: usize = 40;

/// What the user prefers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preferences {
    pub draft_folder: String,
    pub sent_folder: String,
    pub auto_sign: bool,
    pub signature: String,
    pub v_card: String,
    pub expunge_on_exit: bool,
    pub view_size: u64,
}

/// Whether the user has said which mailbox is for drafts, or for sent mail.
pub fn names_folder(entry: &Entry, is_drafts: bool) -> bool {
    let key = if is_drafts { DRAFT_FOLDER } else { SENT_FOLDER };
    kept::value(entry, key).is_some_and(|value| !value.trim().is_empty())
}

/// As the entry has it; what is not there, or is none, is as usual.
pub fn of(entry: &Entry) -> Preferences {
    let value = |key: &str| kept::value(entry, key).filter(|value| !value.trim().is_empty());
    let is_true = |key: &str| value(key).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"));
    let size = value(VIEW_SIZE).and_then(|value| value.trim().parse::<u64>().ok()).filter(|size| *size > 0);
    Preferences {
        draft_folder: value(DRAFT_FOLDER).unwrap_or_else(|| "Drafts".into()),
        sent_folder: value(SENT_FOLDER).unwrap_or_else(|| "Sent".into()),
        auto_sign: is_true(AUTO_SIGN),
        signature: value(SIGNATURE).map(|value| lines::read(&value)).unwrap_or_default(),
        v_card: value(V_CARD).map(|value| lines::read(&value)).unwrap_or_default(),
        expunge_on_exit: is_true(EXPUNGE_ON_EXIT),
        view_size: size.unwrap_or(VIEW_SIZE_USUAL).min(VIEW_SIZE_MAX),
    }
}

fn objects(entry: &Entry) -> Objects {
    let preferences = of(entry);
    let mut object = Map::new();
    for (name, value) in kept::beginning_with(entry, OURS) {
        let name = name.get(OURS.len()..).unwrap_or_default();
        if let (true, Ok(value)) = (is_ours(name), serde_json::from_str::<Value>(&value)) {
            object.insert(name.to_owned(), value);
        }
    }
    for (name, value) in [
        ("draftFolder", json!(preferences.draft_folder)),
        ("sentFolder", json!(preferences.sent_folder)),
        ("autoSign", json!(preferences.auto_sign)),
        ("signature", json!(preferences.signature)),
        ("vCard", json!(preferences.v_card)),
        ("expungeOnExit", json!(preferences.expunge_on_exit)),
        ("viewSize", json!(preferences.view_size)),
        ("language", json!(entry.language)),
    ] {
        object.insert(name.to_owned(), value);
    }
    standard::singleton(object)
}

/// Whether a property may be one of ours. Those with a dot are kept by other methods.
fn is_ours(name: &str) -> bool {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let others = ["id", "vacationSubject"];
    plain
        && (1..=NAME_MAX).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !others.contains(&name)
}

pub fn get(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let entry = personal::entry(call.jmap.directory.as_ref(), call.who)?;
    let objects = objects(&entry);
    standard::get(call, arguments, &objects, &standard::state_of(&objects), None)
}

pub fn set(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let entry = personal::entry(call.jmap.directory.as_ref(), call.who)?;
    let before = objects(&entry);
    let wanted = Wanted::read(call, arguments, &standard::state_of(&before))?;
    let (patch, mut done) = wanted.of_singleton();
    if let Some(patch) = patch {
        match update(call, &entry, &before[SINGLETON], patch) {
            Ok(()) => drop(done.updated.insert(SINGLETON.into(), Value::Null)),
            Err(why) => drop(done.not_updated.insert(SINGLETON.into(), why.0)),
        }
    }
    finish(call, wanted, done)
}

fn finish(call: &Call<'_>, wanted: Wanted, done: Done) -> Result<Value> {
    let entry = personal::entry(call.jmap.directory.as_ref(), call.who)?;
    Ok(wanted.answer(done, &standard::state_of(&objects(&entry))))
}

/// Checks everything, then writes what is another now, value by value. A crash in between leaves some of them written: each
/// means something by itself.
fn update(
    call: &Call<'_>,
    former: &Entry,
    before: &Map<String, Value>,
    patch: &Value,
) -> std::result::Result<(), SetError> {
    let after = standard::patched(before, patch)?;
    let mut changes: Vec<(String, Option<String>)> = Vec::new();
    let mut language = None;
    for (name, value) in &after {
        if before.get(name) == Some(value) {
            continue;
        }
        match name.as_str() {
            "language" => language = Some(checked_language(&after)?),
            name => changes.push(written(&after, name, value)?),
        }
    }
    let directory = call.jmap.directory.as_ref();
    if let Some(language) = language {
        let edit = Edit::replace("preferredLanguage", language.into_iter().collect());
        kept::changing(directory, &call.who.uid, |_| Ok(vec![edit.clone()]))?;
    }
    let entry =
        personal::entry(directory, call.who).map_err(|why| SetError::new(why.kind, &why.description))?;
    for (key, value) in changes {
        // Where a value in the user's language stands before the plain one, that is the one that is meant.
        let tag = entry.language.as_deref().and_then(directory::change::language);
        let tag = tag.filter(|tag| has_subtype(&entry, tag, &key));
        kept::set(directory, &call.who.uid, &key, tag.as_deref(), value.as_deref())?;
    }
    // The mailboxes are made, or marked, what the user wants them to be now.
    if let Ok(entry) = personal::entry(directory, call.who) {
        let (before, after) = (of(former), of(&entry));
        if (before.draft_folder, before.sent_folder) != (after.draft_folder, after.sent_folder) {
            call.jmap.prepare(&crate::Who { entry, ..call.who.clone() });
        }
    }
    Ok(())
}

fn has_subtype(entry: &Entry, tag: &str, key: &str) -> bool {
    let values = entry.attributes.get(&format!("nswmextendeduserprefs;lang-{tag}"));
    let is_it =
        |value: &String| value.split_once('=').is_some_and(|(have, _)| have.trim().eq_ignore_ascii_case(key));
    values.is_some_and(|values| values.iter().any(is_it))
}

fn checked_language(after: &Map<String, Value>) -> std::result::Result<Option<String>, SetError> {
    let text = standard::text(after, "language", 64)?;
    if text.is_empty() {
        return Ok(None);
    }
    let legal = directory::change::language(&text).is_some();
    legal.then_some(Some(text)).ok_or_else(|| SetError::properties(&["language"], "It is no language tag"))
}

/// The key and the value that stand for a property.
fn written(
    after: &Map<String, Value>,
    name: &str,
    value: &Value,
) -> std::result::Result<(String, Option<String>), SetError> {
    let some = |text: String| (!text.is_empty()).then_some(text);
    let wrong = |why: &str| SetError::properties(&[name], why);
    Ok(match name {
        "draftFolder" => (DRAFT_FOLDER.into(), some(folder(after, name)?)),
        "sentFolder" => (SENT_FOLDER.into(), some(folder(after, name)?)),
        "signature" => {
            (SIGNATURE.into(), some(lines::written(&standard::text(after, name, TEXT_BYTES_MAX)?)))
        }
        "vCard" => (V_CARD.into(), some(lines::written(&standard::text(after, name, TEXT_BYTES_MAX)?))),
        "autoSign" => (AUTO_SIGN.into(), Some(standard::flag(after, name)?.to_string())),
        "expungeOnExit" => (EXPUNGE_ON_EXIT.into(), Some(standard::flag(after, name)?.to_string())),
        "viewSize" => match value {
            Value::Null => (VIEW_SIZE.into(), None),
            value => {
                let size = value.as_u64().filter(|size| (1..=VIEW_SIZE_MAX).contains(size));
                let size =
                    size.ok_or_else(|| wrong(&format!("It is no number from 1 to {VIEW_SIZE_MAX}")))?;
                (VIEW_SIZE.into(), Some(size.to_string()))
            }
        },
        name if is_ours(name) => {
            let text = (!value.is_null()).then(|| value.to_string());
            if text.as_ref().is_some_and(|text| text.len() > OURS_BYTES_MAX || text.contains('\0')) {
                return Err(wrong("The value is too long"));
            }
            (format!("{OURS}{name}"), text)
        }
        _ => return Err(wrong("There is no such property")),
    })
}

/// The name of a mailbox below the user's others; `INBOX` is a mailbox, too.
fn folder(after: &Map<String, Value>, name: &str) -> std::result::Result<String, SetError> {
    let text = standard::text(after, name, 200)?;
    let wrong = || SetError::properties(&[name], "It is no name of a mailbox");
    if text.chars().any(char::is_control)
        || text.split('/').any(|level| level.trim().is_empty()) && !text.is_empty()
    {
        return Err(wrong());
    }
    Ok(text)
}

impl From<ChangeError> for crate::error::MethodError {
    fn from(why: ChangeError) -> crate::error::MethodError {
        crate::error::MethodError::new("serverUnavailable", why.to_string())
    }
}

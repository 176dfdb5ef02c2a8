//! Preferences of the web mail: `nswmExtendedUserPrefs`, one value `key=value` for each (guide: LDAP attributes for WebMail;
//! S119 to S126).
//!
//! A preference is read and written by itself. Keys that nobody here knows stay as they are, other programs' too. A key in a
//! language subtype (`nswmExtendedUserPrefs;lang-ja: meSignature=...`) counts before the plain one for a user whose
//! `preferredLanguage` it is.

use std::collections::BTreeMap;

use crate::change::{ChangeError, Edit, VALUE_BYTES_MAX, language};
use crate::{Directory, Entry, Found};

const ATTRIBUTE: &str = "nswmExtendedUserPrefs";
/// What keys of ours begin with that the original does not have.
pub const OURS: &str = "mailboat.";
/// The subject of answers in a vacation, in one line.
pub const VACATION_SUBJECT: &str = "mailboat.vacationSubject";
/// Bytes of all preferences of a user.
pub const BYTES_MAX: usize = 64 * 1024;
/// Bytes of a key at most.
const KEY_BYTES_MAX: usize = 64;
/// How often a change is decided anew because somebody else was faster.
const ATTEMPTS: usize = 8;

/// The value of a preference, for the user's language; keys are compared in any case.
pub fn value(entry: &Entry, key: &str) -> Option<String> {
    let wanted = entry.language.as_deref().and_then(language);
    let subtype = wanted.map(|wanted| attribute(Some(&wanted)));
    let names = subtype.into_iter().chain([attribute(None)]);
    names
        .flat_map(|name| values(entry, &name))
        .find_map(|(have, value)| have.eq_ignore_ascii_case(key).then(|| value.to_owned()))
}

/// All preferences whose keys begin so, in any case, without subtypes; the first one of a key counts.
pub fn beginning_with(entry: &Entry, prefix: &str) -> BTreeMap<String, String> {
    let name = attribute(None);
    let mut found = BTreeMap::new();
    for (key, value) in values(entry, &name) {
        if key.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)) {
            found.entry(key.to_owned()).or_insert_with(|| value.to_owned());
        }
    }
    found
}

/// Sets one preference, or takes it away; in one language when one is given.
///
/// # Errors
/// The key or value cannot be one, there is no more room, the directory refuses or does not answer.
pub fn set(
    directory: &dyn Directory,
    uid: &str,
    key: &str,
    lang: Option<&str>,
    new: Option<&str>,
) -> Result<(), ChangeError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if key.is_empty() || key.len() > KEY_BYTES_MAX || !key.bytes().all(legal) {
        return Err(ChangeError::Refused(format!("{}: no name of a preference", base::escape(key))));
    }
    let lang = match lang.map(|tag| language(tag).ok_or(tag)) {
        None => None,
        Some(Ok(tag)) => Some(tag),
        Some(Err(tag)) => {
            return Err(ChangeError::Refused(format!("{}: no language", base::escape(tag))));
        }
    };
    let name = attribute(lang.as_deref());
    let written = new.map(|value| format!("{key}={value}"));
    if written.as_ref().is_some_and(|written| written.len() > VALUE_BYTES_MAX || written.contains('\0')) {
        return Err(ChangeError::Refused(format!("{key}: longer than {VALUE_BYTES_MAX} bytes")));
    }
    changing(directory, uid, |entry| {
        let all = entry.attributes.get(&name.to_ascii_lowercase()).map_or(&[][..], Vec::as_slice);
        let is_it = |value: &&String| pair(value).is_some_and(|(have, _)| have.eq_ignore_ascii_case(key));
        let mut remove: Vec<String> = all.iter().filter(is_it).cloned().collect();
        let mut add: Vec<String> = written.iter().cloned().collect();
        if let Some(stays) = add.first().and_then(|new| remove.iter().position(|have| have == new)) {
            remove.remove(stays);
            add.clear();
        }
        if remove.is_empty() && add.is_empty() {
            return Ok(Vec::new());
        }
        let bytes = |values: &[String]| values.iter().map(String::len).sum::<usize>();
        let of_all = entry.attributes.iter().filter(|(name, _)| is_ours(name)).map(|(_, all)| bytes(all));
        if of_all.sum::<usize>() + bytes(&add) > BYTES_MAX + bytes(&remove) {
            return Err(ChangeError::Refused(format!("preferences take {BYTES_MAX} bytes at most")));
        }
        Ok(vec![Edit::Swap { attribute: name.clone(), remove, add }])
    })
}

/// Decides from the entry as it is, changes it, and begins anew when somebody else changed it meanwhile.
///
/// # Errors
/// What `decide` refuses, what the directory says; the user is gone.
pub fn changing(
    directory: &dyn Directory,
    uid: &str,
    decide: impl Fn(&Entry) -> Result<Vec<Edit>, ChangeError>,
) -> Result<(), ChangeError> {
    for _ in 0..ATTEMPTS {
        let Found::One(entry) = directory.by_uid(uid)? else {
            return Err(ChangeError::Refused("the account is not in the directory".into()));
        };
        let edits = decide(&entry)?;
        if edits.is_empty() {
            return Ok(());
        }
        match directory.change(&entry, &edits) {
            Err(ChangeError::Stale) => {}
            done => return done,
        }
    }
    Err(ChangeError::Unavailable("others change the same entry all the time".into()))
}

fn attribute(lang: Option<&str>) -> String {
    lang.map_or(ATTRIBUTE.to_owned(), |lang| format!("{ATTRIBUTE};lang-{lang}"))
}

fn is_ours(name: &str) -> bool {
    name.split(';').next().is_some_and(|name| name.eq_ignore_ascii_case(ATTRIBUTE))
}

fn values<'e>(entry: &'e Entry, name: &str) -> impl Iterator<Item = (&'e str, &'e str)> + use<'e> {
    entry.attributes.get(&name.to_ascii_lowercase()).into_iter().flatten().filter_map(|value| pair(value))
}

fn pair(value: &str) -> Option<(&str, &str)> {
    value.split_once('=').map(|(key, value)| (key.trim(), value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Embedded;
    use server_log::Log;
    use std::path::Path;

    const ENTRY: &str = "version: 1\n\ndn: uid=joe,o=x\nobjectClass: mailRecipient\nuid: joe\nmail: joe@x.test\n\
        preferredLanguage: ja\nnswmExtendedUserPrefs: other=kept\nnswmExtendedUserPrefs: meSignature=Joe\n\
        nswmExtendedUserPrefs;lang-ja: meSignature=JA\nnswmExtendedUserPrefs: no pair\n\n\
        dn: uid=ann,o=x\nobjectClass: mailRecipient\nuid: ann\nmail: ann@x.test\n";

    fn directory(folder: &Path) -> Embedded {
        let path = folder.join("directory.ldif");
        std::fs::write(&path, ENTRY).unwrap();
        Embedded::open(&path, Log::discard()).unwrap()
    }

    fn entry(directory: &Embedded) -> std::sync::Arc<Entry> {
        match directory.by_uid("joe").unwrap() {
            Found::One(entry) => entry,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_value_is_written_and_the_rest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let directory = directory(folder.path());
        let set = |key: &str, value| set(&directory, "joe", key, None, value);
        set("meViewSize", Some("30")).unwrap();
        assert_eq!(value(&entry(&directory), "MEVIEWSIZE").as_deref(), Some("30"), "seen at once");
        set("meViewSize", Some("40")).unwrap();
        set("meSignature", None).unwrap();
        set("meSignature", None).unwrap();
        let text = std::fs::read_to_string(folder.path().join("directory.ldif")).unwrap();
        let expected = ENTRY.replace("nswmExtendedUserPrefs: meSignature=Joe\n", "");
        let expected = expected.replace(
            "nswmExtendedUserPrefs: other",
            "nswmExtendedUserPrefs: meViewSize=40\nnswmExtendedUserPrefs: other",
        );
        assert_eq!(text, expected);
    }

    /// S126.
    #[test]
    fn the_users_language_counts_first() {
        let folder = tempfile::tempdir().unwrap();
        let directory = directory(folder.path());
        assert_eq!(value(&entry(&directory), "meSignature").as_deref(), Some("JA"));
        set(&directory, "joe", "meSignature", Some("ja"), None).unwrap();
        assert_eq!(value(&entry(&directory), "meSignature").as_deref(), Some("Joe"));
        set(&directory, "joe", "meSignature", Some("DE"), Some("de")).unwrap();
        assert_eq!(entry(&directory).attributes["nswmextendeduserprefs;lang-de"], ["meSignature=de"]);
    }

    #[test]
    fn what_is_no_preference_is_refused_and_there_is_an_end() {
        let folder = tempfile::tempdir().unwrap();
        let directory = directory(folder.path());
        let refused = |key: &str, value: &str| {
            matches!(set(&directory, "joe", key, None, Some(value)), Err(ChangeError::Refused(_)))
        };
        assert!(refused("", "x") && refused("a=b", "x") && refused("a", "\0"));
        assert!(refused("big", &"x".repeat(VALUE_BYTES_MAX)));
        let much = "x".repeat(VALUE_BYTES_MAX - 100);
        set(&directory, "joe", "a", None, Some(&much)).unwrap();
        set(&directory, "joe", "b", None, Some(&much)).unwrap();
        assert!(refused("c", &much));
        set(&directory, "joe", "b", None, Some(&much.replace('x', "y"))).unwrap();
        let nobody = set(&directory, "nobody", "a", None, Some("x"));
        assert!(matches!(nobody, Err(ChangeError::Refused(_))));
    }

    #[test]
    fn changes_at_once_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let directory = directory(folder.path());
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let directory = &directory;
                scope.spawn(move || {
                    for n in 0..5 {
                        set(directory, "joe", &format!("w{writer}n{n}"), None, Some("x")).unwrap();
                    }
                });
            }
        });
        let all = beginning_with(&entry(&directory), "w");
        assert_eq!(all.len(), 20, "{all:?}");
    }
}

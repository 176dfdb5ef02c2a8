//! Recovery codes: what stands for a code of the second factor ([`crate::second_factor`]) when the app is lost. Ten of them
//! are made when the factor is set up, shown once, and each is good once; new ones end the old ones.
//!
//! A value of the attribute (`mailRecoveryCode`) is one code that was not used yet: `{SHA256}` and, in base64, SHA-256 of the
//! lower-case uid, a NUL and the sixteen letters of the code. These 80 random bits need no slow hash, and the password stands
//! before them. To use one is to take its value out of the directory, by one modification that fails when it is not there
//! (RFC 4511 §4.6): so of all daemons, and of all hosts that write to the same server, one lets in. Two masters that replicate
//! to each other can each take the value out before they have heard of the other, and each let one in. A crash behind it costs
//! the code and lets nobody in.

use std::cell::Cell;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::{ChangeError, Directory, Edit, Entry, letters, preferences};

/// The attribute, in lower case.
pub const ATTRIBUTE: &str = "mailrecoverycode";
/// As it is written into directories.
const NAME: &str = "mailRecoveryCode";
/// How many are made at once, and how many an entry may have.
pub const COUNT: usize = 10;
const LENGTH: usize = 16;
const GROUP: usize = 4;
const HASH_BYTES: usize = 32;
const SCHEME: &str = "{SHA256}";

/// New ones.
pub struct NewCodes {
    /// Values of the attribute.
    pub stored: Vec<String>,
    /// To be shown once, `abcd-efgh-ijkl-mnop`.
    pub shown: Vec<String>,
}

/// What somebody typed, if it can be one.
pub struct Given(String);

impl Given {
    pub fn from(typed: &str) -> Option<Given> {
        letters::typed(typed, LENGTH).map(Given)
    }

    fn value(&self, uid: &str) -> String {
        let bound = format!("{}\0{}", uid.to_lowercase(), self.0);
        format!("{SCHEME}{}", STANDARD.encode(openssl::sha::sha256(bound.as_bytes())))
    }
}

/// Ten for a user.
///
/// # Errors
/// The system has no random bytes.
pub fn make(uid: &str) -> Result<NewCodes, String> {
    let mut made = NewCodes { stored: Vec::with_capacity(COUNT), shown: Vec::with_capacity(COUNT) };
    for _ in 0..COUNT {
        let given = Given(letters::random(LENGTH)?);
        made.shown.push(letters::grouped(&given.0, GROUP));
        made.stored.push(given.value(uid));
    }
    Ok(made)
}

/// Whether it is a value of the attribute. What is none admits nobody.
pub fn is_value(text: &str) -> bool {
    let hash = text.strip_prefix(SCHEME).and_then(|hash| STANDARD.decode(hash).ok());
    hash.is_some_and(|hash| hash.len() == HASH_BYTES)
}

/// These and no others for an entry; none: it has no more.
pub fn replaced_by(values: Vec<String>) -> Edit {
    Edit::replace(NAME, values)
}

/// Uses one up: how many are left, or nothing when it is none of the user's any more.
///
/// # Errors
/// What the directory says; nobody gets in then.
pub fn use_up(directory: &dyn Directory, uid: &str, given: &Given) -> Result<Option<usize>, ChangeError> {
    let left = Cell::new(None);
    preferences::changing(directory, uid, |entry| Ok(taking(entry, given, &left)))?;
    Ok(left.get())
}

fn taking(entry: &Entry, given: &Given, left: &Cell<Option<usize>>) -> Vec<Edit> {
    let value = entry.uid.as_deref().map(|uid| given.value(uid));
    let there = value.filter(|value| entry.recovery_codes.contains(value));
    left.set(there.as_ref().map(|_| entry.recovery_codes.len().saturating_sub(1)));
    there
        .map(|value| Edit::Swap { attribute: NAME.to_owned(), remove: vec![value], add: Vec::new() })
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Embedded;

    fn directory(folder: &std::path::Path, codes: &NewCodes) -> Embedded {
        let values: String =
            codes.stored.iter().map(|value| format!("mailRecoveryCode: {value}\n")).collect();
        let text = format!(
            "dn: uid=Joe,o=x\nobjectClass: mailRecipient\nuid: Joe\nmail: joe@x.test\n{values}\n\
             dn: uid=kim,o=x\nobjectClass: mailRecipient\nuid: kim\nmail: kim@x.test\n{values}\n"
        );
        let file = folder.join("directory.ldif");
        base::replace::durable_replace(&file, text.as_bytes(), 0o600).unwrap();
        Embedded::open(&file, server_log::Log::discard()).unwrap()
    }

    #[test]
    fn each_is_good_once_and_for_its_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let made = make("joe").unwrap();
        let directory = directory(folder.path(), &made);
        assert_eq!((made.shown.len(), made.shown[0].len(), made.shown[0].matches('-').count()), (10, 19, 3));
        let given = |typed: &str| Given::from(typed).unwrap();
        let first = given(&made.shown[0].to_uppercase().replace('-', " "));
        assert_eq!(use_up(&directory, "kim", &first), Ok(None), "joe's hash is nobody else's");
        assert_eq!(use_up(&directory, "joe", &first), Ok(Some(9)));
        assert_eq!(use_up(&directory, "joe", &first), Ok(None), "a code was good twice");
        assert_eq!(use_up(&directory, "joe", &given(&made.shown[1])), Ok(Some(8)));
        let text = std::fs::read_to_string(folder.path().join("directory.ldif")).unwrap();
        assert!(!made.shown.iter().any(|shown| text.contains(&shown.replace('-', ""))), "not stored");
    }

    /// Two that know the directory each for itself, as two daemons do.
    #[test]
    fn of_many_at_once_one_gets_in() {
        let folder = tempfile::tempdir().unwrap();
        let made = make("joe").unwrap();
        let _ = directory(folder.path(), &made);
        let open =
            || Embedded::open(&folder.path().join("directory.ldif"), server_log::Log::discard()).unwrap();
        let used = std::thread::scope(|scope| {
            let tries: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| use_up(&open(), "joe", &Given::from(&made.shown[3]).unwrap())))
                .collect();
            tries.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(used.iter().filter(|one| **one == Ok(Some(9))).count(), 1, "{used:?}");
        assert_eq!(used.iter().filter(|one| **one == Ok(None)).count(), 7, "{used:?}");
    }

    #[test]
    fn what_is_no_code_is_none() {
        for wrong in
            ["", "123456", "abcd-efgh-ijkl-mno", "abcd-efgh-ijkl-mno1", "abcdefghijklmnopq", "ääääääää"]
        {
            assert!(Given::from(wrong).is_none(), "{wrong}");
        }
        let made = make("joe").unwrap();
        assert!(made.stored.iter().all(|value| is_value(value)));
        for wrong in
            ["", "{SHA256}", "{SHA256}AAAA", &made.stored[0][8..], &made.stored[0].replace("256", "512")]
        {
            assert!(!is_value(wrong), "{wrong}");
        }
    }
}

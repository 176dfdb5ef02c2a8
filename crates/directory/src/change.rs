//! What users change about themselves: the attributes of their own entry that the web mail keeps (guide: LDAP attributes for
//! WebMail), and the password.
//!
//! A change names values and never an entry: what is not named stays, whoever put it there, and so do values that nobody
//! here understands. One call is one modification of the directory (RFC 4511 §4.6), all of it or nothing. Who takes a value
//! away that is not there any more is told so ([`ChangeError::Stale`]) and decides again from the entry as it is now.

use std::fmt;

use crate::ldif::Record;

/// Attributes that users may change of their own entries.
const OWN: [&str; 11] = [
    "mailAppPassword",
    "mailTotpSecret",
    "mailRecoveryCode",
    "nswmExtendedUserPrefs",
    "mailForwardingAddress",
    "mailDeliveryOption",
    "mailAutoReplyMode",
    "mailAutoReplyText",
    "vacationStartDate",
    "vacationEndDate",
    "preferredLanguage",
];
/// Bytes of one value at most.
pub const VALUE_BYTES_MAX: usize = 32 * 1024;
/// Bytes of a language tag at most.
const TAG_BYTES_MAX: usize = 35;

/// One change of one attribute; its name may have language subtypes (`mailAutoReplyText;lang-ja`, RFC 3866).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// These values and no others; without any the attribute goes. Subtypes are attributes of their own.
    Replace { attribute: String, values: Vec<String> },
    /// These values go, those come, the others stay. Each that goes must be there, none that comes.
    Swap { attribute: String, remove: Vec<String>, add: Vec<String> },
}

impl Edit {
    pub fn replace(attribute: impl Into<String>, values: Vec<String>) -> Edit {
        Edit::Replace { attribute: attribute.into(), values }
    }

    pub(crate) fn attribute(&self) -> &str {
        match self {
            Edit::Replace { attribute, .. } | Edit::Swap { attribute, .. } => attribute,
        }
    }

    fn new_values(&self) -> &[String] {
        match self {
            Edit::Replace { values, .. } => values,
            Edit::Swap { add, .. } => add,
        }
    }
}

/// Why nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeError {
    /// The entry is another one by now: look again.
    Stale,
    /// It is not allowed, or the value is none; one line for the user.
    Refused(String),
    /// The password that was given as the present one is not.
    WrongPassword,
    /// The directory does not answer; later.
    Unavailable(String),
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChangeError::Stale => f.write_str("the entry has changed meanwhile"),
            ChangeError::Refused(why) | ChangeError::Unavailable(why) => f.write_str(why),
            ChangeError::WrongPassword => f.write_str("the present password is another one"),
        }
    }
}

impl std::error::Error for ChangeError {}

impl From<crate::DirectoryError> for ChangeError {
    fn from(why: crate::DirectoryError) -> ChangeError {
        ChangeError::Unavailable(why.to_string())
    }
}

/// Whether users may do this to their own entries; both directories ask before anything else.
///
/// # Errors
/// The attribute is not theirs, or a value cannot be one.
pub fn admit(edits: &[Edit]) -> Result<(), ChangeError> {
    let refused = |why: String| Err(ChangeError::Refused(why));
    for edit in edits {
        let (name, options) = edit.attribute().split_once(';').unwrap_or((edit.attribute(), ""));
        if !OWN.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            return refused(format!("{} is not for users to change", base::escape(name)));
        }
        if !options.is_empty() && options.strip_prefix("lang-").is_none_or(|tag| language(tag).is_none()) {
            return refused(format!("{} is no language subtype", base::escape(options)));
        }
        for value in edit.new_values() {
            if value.trim().is_empty() || value.len() > VALUE_BYTES_MAX || value.contains('\0') {
                return refused(format!("{name}: a value is empty, or longer than {VALUE_BYTES_MAX} bytes"));
            }
            crate::schema::admit(name, value.as_bytes()).map_err(ChangeError::Refused)?;
        }
    }
    Ok(())
}

/// A language tag (RFC 5646) in lower case, as subtypes are written; nothing when it is none.
pub fn language(tag: &str) -> Option<String> {
    let tag = tag.trim();
    let legal = !tag.is_empty() && tag.len() <= TAG_BYTES_MAX && !tag.starts_with('-') && !tag.ends_with('-');
    let plain = tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (legal && plain).then(|| tag.to_ascii_lowercase())
}

/// The attributes of a record after these edits, in their order; what is not named stays to the byte.
///
/// # Errors
/// [`ChangeError::Stale`]
pub(crate) fn apply(record: &Record, edits: &[Edit]) -> Result<Vec<(String, Vec<u8>)>, ChangeError> {
    let mut attributes = record.attributes.clone();
    for edit in edits {
        let name = edit.attribute();
        let is_it = |have: &str| have.eq_ignore_ascii_case(name);
        let place = attributes.iter().position(|(have, _)| is_it(have)).unwrap_or(attributes.len());
        let new = match edit {
            Edit::Replace { values, .. } => {
                attributes.retain(|(have, _)| !is_it(have));
                values
            }
            Edit::Swap { remove, add, .. } => {
                for value in remove {
                    let at = attributes
                        .iter()
                        .position(|(have, bytes)| is_it(have) && bytes == value.as_bytes())
                        .ok_or(ChangeError::Stale)?;
                    attributes.remove(at);
                }
                let there = |value: &String| {
                    attributes.iter().any(|(have, bytes)| is_it(have) && bytes == value.as_bytes())
                };
                if add.iter().any(there) {
                    return Err(ChangeError::Stale);
                }
                add
            }
        };
        let new = new.iter().map(|value| (name.to_owned(), value.as_bytes().to_vec()));
        let place = place.min(attributes.len());
        attributes.splice(place..place, new);
    }
    Ok(attributes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let attributes =
            [("uid", "a"), ("pref", "x=1"), ("Pref", "y=2"), ("pref;lang-ja", "x=3"), ("cn", "A")];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
        Record { dn: "uid=a".into(), attributes: attributes.into(), line: 1 }
    }

    fn names(attributes: &[(String, Vec<u8>)]) -> Vec<String> {
        attributes.iter().map(|(name, value)| format!("{name}:{}", String::from_utf8_lossy(value))).collect()
    }

    #[test]
    fn a_swap_touches_its_values_and_nothing_else() {
        let swap = |remove: &str, add: &str| Edit::Swap {
            attribute: "pref".into(),
            remove: vec![remove.into()],
            add: vec![add.into()],
        };
        let done = apply(&record(), &[swap("y=2", "y=9")]).unwrap();
        assert_eq!(names(&done), ["uid:a", "pref:y=9", "pref:x=1", "pref;lang-ja:x=3", "cn:A"]);
        assert_eq!(apply(&record(), &[swap("x=2", "y=9")]), Err(ChangeError::Stale), "it is not there");
        assert_eq!(apply(&record(), &[swap("x=1", "y=2")]), Err(ChangeError::Stale), "it is there already");
    }

    #[test]
    fn subtypes_are_attributes_of_their_own() {
        let of = |attribute: &str, values: &[&str]| {
            let values = values.iter().map(|value| (*value).to_owned()).collect();
            names(&apply(&record(), &[Edit::replace(attribute, values)]).unwrap())
        };
        assert_eq!(of("PREF;LANG-JA", &[]), ["uid:a", "pref:x=1", "Pref:y=2", "cn:A"]);
        assert_eq!(of("pref", &["z"]), ["uid:a", "pref:z", "pref;lang-ja:x=3", "cn:A"]);
        assert_eq!(of("new", &["z"]).last().unwrap(), "new:z");
    }

    #[test]
    fn users_change_their_own_attributes_and_no_others() {
        let admits =
            |attribute: &str, value: &str| admit(&[Edit::replace(attribute, vec![value.into()])]).is_ok();
        assert!(admits("mailAutoReplyText;lang-ja", "hai"));
        assert!(admits("NSWMEXTENDEDUSERPREFS", "meViewSize=3"));
        assert!(admits("vacationStartDate", "20261129120000Z"));
        let long = "x".repeat(VALUE_BYTES_MAX + 1);
        for (attribute, value) in [
            ("userPassword", "x"),
            ("mail", "x@y.example"),
            ("mailQuota", "1"),
            ("mailAutoReplyText;binary", "x"),
            ("mailAutoReplyText;lang-", "x"),
            ("mailAutoReplyText;lang-a b", "x"),
            ("mailAutoReplyText", " "),
            ("mailAutoReplyText", "a\0b"),
            ("mailAutoReplyText", long.as_str()),
            ("mailAutoReplyMode", "always"),
            ("vacationEndDate", "soon"),
        ] {
            assert!(!admits(attribute, value), "{attribute}");
        }
    }
}

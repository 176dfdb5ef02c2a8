//! Keywords: the system flags under their names in JMAP, and all others (RFC 8621 §4.1.1).

use message_store::Flags;
use serde_json::{Map, Value};

use crate::account::{Email, Inner};
use crate::limits::KEYWORDS_MAX;

const SYSTEM: [(&str, Flags); 4] = [
    ("$seen", Flags::SEEN),
    ("$answered", Flags::ANSWERED),
    ("$flagged", Flags::FLAGGED),
    ("$draft", Flags::DRAFT),
];

/// The flag that a keyword in lower case is.
pub fn flag_of(keyword: &str) -> Option<Flags> {
    SYSTEM.iter().find(|(name, _)| *name == keyword).map(|(_, flag)| *flag)
}

/// A keyword as it is compared: in lower case. Nothing when it is none.
pub fn read(text: &str) -> Option<String> {
    let is_legal = |byte: u8| {
        (0x21..=0x7e).contains(&byte)
            && !matches!(byte, b'(' | b')' | b'{' | b']' | b'%' | b'*' | b'"' | b'\\')
    };
    // The store has room for 63 bytes.
    let is_keyword = (1..=63).contains(&text.len()) && text.bytes().all(is_legal);
    is_keyword.then(|| text.to_ascii_lowercase())
}

/// Flags and other keywords.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keywords {
    pub flags: Flags,
    /// In lower case, sorted.
    pub names: Vec<String>,
}

impl Keywords {
    /// `String[Boolean]`, each true.
    pub fn of_json(value: &Value) -> Option<Keywords> {
        let mut keywords = Keywords::default();
        for (name, is) in value.as_object()? {
            if *is != Value::Bool(true) {
                return None;
            }
            keywords.add(&read(name)?);
        }
        Some(keywords)
    }

    pub fn add(&mut self, keyword: &str) {
        match flag_of(keyword) {
            Some(flag) => self.flags |= flag,
            None => {
                if let Err(place) = self.names.binary_search_by(|one| one.as_str().cmp(keyword)) {
                    self.names.insert(place, keyword.to_owned());
                }
            }
        }
    }

    pub fn remove(&mut self, keyword: &str) {
        match flag_of(keyword) {
            Some(flag) => self.flags = self.flags & !flag,
            None => self.names.retain(|one| one != keyword),
        }
    }

    /// More than one message can have.
    pub fn are_too_many(&self) -> bool {
        self.names.len() > KEYWORDS_MAX
    }

    /// Of an email, all its messages considered.
    pub fn of(account: &Inner, email: &Email) -> Keywords {
        let mut keywords = Keywords::default();
        for (_, flag) in SYSTEM {
            if account.has_flag(email, flag) {
                keywords.flags |= flag;
            }
        }
        for (_, _, view, row) in account.rows(email) {
            for (bit, name) in view.keywords.iter().enumerate() {
                if row.keywords & (1u64 << bit.min(63)) != 0 {
                    keywords.add(name);
                }
            }
        }
        keywords
    }

    pub fn to_json(&self) -> Value {
        let mut map = Map::new();
        for (name, flag) in SYSTEM {
            if self.flags.contains(flag) {
                map.insert(name.to_owned(), Value::Bool(true));
            }
        }
        map.extend(self.names.iter().map(|name| (name.clone(), Value::Bool(true))));
        Value::Object(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keywords_are_read_in_any_case_and_told_in_lower() {
        let keywords =
            Keywords::of_json(&json!({ "$Seen": true, "Work": true, "work": true, "$Forwarded": true }));
        let keywords = keywords.unwrap();
        assert_eq!(keywords.flags, Flags::SEEN);
        assert_eq!(keywords.to_json(), json!({ "$seen": true, "work": true, "$forwarded": true }));
        for wrong in [
            json!({ "a b": true }),
            json!({ "a": false }),
            json!({ "": true }),
            json!([]),
            json!({ "é": true }),
            json!({ "\\Seen": true }),
            json!({"a]": true}),
        ] {
            assert_eq!(Keywords::of_json(&wrong), None, "{wrong}");
        }
    }
}

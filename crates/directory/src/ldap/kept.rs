//! What was found for messages under way (S56): each entry is looked up once for a message, whoever asks for it.
//!
//! Kept by message and by the name that was looked up, from the acceptance of a recipient to the end of the
//! account-handler's work, and never for another message. What would be too much is forgotten, the oldest message first:
//! it costs a search again and nothing else.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use crate::Found;

/// Entries of all messages.
const ENTRIES_MAX: usize = 50_000;

/// See the head of this file.
#[derive(Default)]
pub struct Kept {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    messages: HashMap<String, Message>,
    /// By age.
    order: BTreeMap<u64, String>,
    clock: u64,
    entries: usize,
}

#[derive(Default)]
struct Message {
    age: u64,
    found: HashMap<String, Found>,
}

impl Kept {
    pub fn put(&self, message: &str, name: &str, found: Found) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let clock = inner.clock;
        let is_new = !inner.messages.contains_key(message);
        if is_new {
            inner.clock += 1;
            inner.order.insert(clock, message.to_owned());
        }
        let of =
            inner.messages.entry(message.to_owned()).or_insert(Message { age: clock, ..Message::default() });
        let added = of.found.insert(name.to_lowercase(), found).is_none();
        inner.entries += usize::from(added);
        while inner.entries > ENTRIES_MAX {
            let Some((_, oldest)) = inner.order.pop_first() else { return };
            let forgotten = inner.messages.remove(&oldest).map_or(0, |message| message.found.len());
            inner.entries -= forgotten;
        }
    }

    pub fn find(&self, message: &str, name: &str) -> Option<Found> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.messages.get(message)?.found.get(&name.to_lowercase()).cloned()
    }

    pub fn forget(&self, message: &str) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gone) = inner.messages.remove(message) {
            inner.entries -= gone.found.len();
            inner.order.remove(&gone.age);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_kept_for_their_message_only_and_for_so_many() {
        let kept = Kept::default();
        kept.put("m1", "A@x.test", Found::Several(2));
        assert!(matches!(kept.find("m1", "a@X.test"), Some(Found::Several(2))));
        assert!(kept.find("m2", "a@x.test").is_none());
        kept.forget("m1");
        assert!(kept.find("m1", "a@x.test").is_none());
        kept.put("oldest", "a", Found::Nobody);
        for n in 0..ENTRIES_MAX {
            kept.put(&format!("m{}", n / 10), &n.to_string(), Found::Nobody);
            kept.put(&format!("m{}", n / 10), &n.to_string(), Found::Nobody);
        }
        assert!(kept.find("oldest", "a").is_none());
        assert!(kept.find("m0", "0").is_some());
        let inner = kept.inner.lock().unwrap();
        assert_eq!(inner.entries, ENTRIES_MAX);
        assert_eq!(inner.order.len(), inner.messages.len());
    }
}

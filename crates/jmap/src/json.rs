//! JSON as it is taken from strangers: I-JSON (RFC 7493), so no name twice in an object.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Bytes of memory that a value takes at the least, and an object that has a member (a node of its tree).
const VALUE_BYTES: usize = size_of::<Value>();
const OBJECT_BYTES: usize = 640;

/// Why a text was not read.
#[derive(Debug, PartialEq, Eq)]
pub enum Unread {
    /// It is no I-JSON.
    Wrong(String),
    /// It would take too much memory: a text of many small objects takes a hundred times its length.
    TooLarge,
}

/// Reads one text into so many bytes of memory at most. Nesting is bounded by serde_json (128).
///
/// # Errors
/// It is no I-JSON, or too large.
pub fn read(bytes: &[u8], memory_max: usize) -> Result<Value, Unread> {
    let room = Cell::new(Some(memory_max));
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Reader { room: &room }.deserialize(&mut deserializer);
    let value = value.and_then(|value| deserializer.end().map(|()| value));
    value.map_err(|error| match room.get() {
        None => Unread::TooLarge,
        Some(_) => Unread::Wrong(error.to_string()),
    })
}

/// Bytes that a value alone, without what is in it, takes in memory, or as text if that is more.
pub fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => VALUE_BYTES + text_weight(text),
        Value::Object(map) if !map.is_empty() => {
            OBJECT_BYTES + map.keys().map(|name| VALUE_BYTES + text_weight(name)).sum::<usize>()
        }
        _ => VALUE_BYTES,
    }
}

/// With what is in it.
pub fn whole_weight(value: &Value) -> usize {
    let within: usize = match value {
        Value::Array(items) => items.iter().map(whole_weight).sum(),
        Value::Object(map) => map.values().map(whole_weight).sum(),
        _ => 0,
    };
    weight(value) + within
}

/// A control character is written as six (RFC 8259 §7).
fn text_weight(text: &str) -> usize {
    text.bytes()
        .map(|byte| match byte {
            0..=31 => 6,
            b'"' | b'\\' => 2,
            _ => 1,
        })
        .sum()
}

#[derive(Clone, Copy)]
struct Reader<'r> {
    /// Bytes of memory that are left; nothing when they were not enough.
    room: &'r Cell<Option<usize>>,
}

impl Reader<'_> {
    fn spend<E: Error>(self, bytes: usize) -> Result<(), E> {
        self.room.set(self.room.get().and_then(|room| room.checked_sub(bytes)));
        self.room.get().map(drop).ok_or_else(|| E::custom("it takes too much memory"))
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.spend(VALUE_BYTES)?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("I-JSON")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number is not finite"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.spend(value.len())?;
        Ok(Value::from(value))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        self.spend(value.len())?;
        Ok(Value::from(value))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            all.push(item);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            self.spend(if map.is_empty() { OBJECT_BYTES } else { VALUE_BYTES } + name.len())?;
            let value = members.next_value_seed(self)?;
            if map.insert(name, value).is_some() {
                return Err(A::Error::custom("a name stands twice in an object")); // RFC 7493 §2.3
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_no_i_json_is_refused() {
        assert_eq!(
            read(b"{\"a\":[1,-2,1.5,\"x\",null,true]}", 10_000).unwrap(),
            json!({"a": [1, -2, 1.5, "x", null, true]})
        );
        for wrong in
            [&b"{\"a\":1,\"a\":2}"[..], b"[\"\xff\"]", b"[\"\\ud800\"]", b"{", b"[1] x", b"", b"[1e999]"]
        {
            let refused = read(wrong, 10_000);
            assert!(matches!(refused, Err(Unread::Wrong(_))), "{}", String::from_utf8_lossy(wrong));
        }
        let deep = [&b"["[..]; 100_000].concat();
        assert!(matches!(read(&deep, usize::MAX), Err(Unread::Wrong(_))));
    }

    /// A request of 10 MB would be one of 1 GB in memory.
    #[test]
    fn a_text_that_grows_in_memory_is_bounded() {
        let text = |item: &str| format!("[{}]", vec![item; 10_000].join(","));
        for (item, bytes) in [("{\"a\":0}", 6_000_000), ("[]", 300_000), ("\"aaaaaaaa\"", 390_000)] {
            let text = text(item);
            assert_eq!(read(text.as_bytes(), bytes), Err(Unread::TooLarge), "{item}");
            assert!(read(text.as_bytes(), bytes * 2).is_ok(), "{item}");
        }
    }

    #[test]
    fn what_a_value_weighs_is_never_less_than_its_text() {
        for value in [
            json!(null),
            json!("\u{1}\u{2}\"\\\u{1f}".repeat(100)),
            json!({ "\n".repeat(1000): [1, {}, { "a": "\t".repeat(100) }] }),
            json!(vec![f64::MIN_POSITIVE; 10]),
        ] {
            assert!(whole_weight(&value) >= value.to_string().len(), "{value}");
        }
    }
}

//! JSON pointers (RFC 6901), with `*` for every item of an array (RFC 8620 §3.7).

use serde_json::{Map, Value};

use crate::json;

/// Bytes of a path.
const PATH_BYTES_MAX: usize = 4096;

/// Why there is no value.
#[derive(Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// The path points to nothing.
    Nowhere,
    /// The value takes more room than is left.
    TooLarge,
}

type Result<T> = std::result::Result<T, Unresolved>;

/// A copy of the value that a path points to. What it takes in memory is taken from `room` before it is made, and
/// so is what it takes to come to it: references may be many, and to what references made.
///
/// # Errors
/// There is none, or it is too large.
pub fn evaluate(value: &Value, path: &str, room: &mut usize) -> Result<Value> {
    if path.is_empty() {
        return copy(value, room);
    }
    let path = path.strip_prefix('/').filter(|path| path.len() <= PATH_BYTES_MAX);
    let tokens: Vec<String> = path.ok_or(Unresolved::Nowhere)?.split('/').map(unescape).collect();
    follow(value, &tokens, room)
}

fn copy(value: &Value, room: &mut usize) -> Result<Value> {
    *room = room.checked_sub(json::weight(value)).ok_or(Unresolved::TooLarge)?;
    Ok(match value {
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| copy(item, room)).collect::<Result<_>>()?)
        }
        Value::Object(map) => {
            let member = |(name, value): (&String, &Value)| Ok((name.clone(), copy(value, room)?));
            Value::Object(map.iter().map(member).collect::<Result<Map<_, _>>>()?)
        }
        plain => plain.clone(),
    })
}

/// `~1` is `/`, `~0` is `~` (RFC 6901 §4).
pub fn unescape(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}

fn follow(value: &Value, tokens: &[String], room: &mut usize) -> Result<Value> {
    let Some((token, rest)) = tokens.split_first() else { return copy(value, room) };
    *room = room.checked_sub(size_of::<Value>()).ok_or(Unresolved::TooLarge)?;
    match value {
        Value::Object(map) => follow(map.get(token).ok_or(Unresolved::Nowhere)?, rest, room),
        Value::Array(items) if token == "*" => {
            let mut all = Vec::new();
            for item in items {
                match follow(item, rest, room)? {
                    Value::Array(several) => all.extend(several), // "the result is flattened"
                    one => all.push(one),
                }
            }
            Ok(Value::Array(all))
        }
        Value::Array(items) => {
            let item = index(token).and_then(|index| items.get(index));
            follow(item.ok_or(Unresolved::Nowhere)?, rest, room)
        }
        _ => Err(Unresolved::Nowhere),
    }
}

/// `array-index = %x30 / ( %x31-39 *(%x30-39) )` (RFC 6901 §4)
fn index(token: &str) -> Option<usize> {
    let is_plain =
        token.bytes().all(|byte| byte.is_ascii_digit()) && (token == "0" || !token.starts_with('0'));
    token.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn evaluate(value: &Value, path: &str) -> Option<Value> {
        super::evaluate(value, path, &mut 100_000).ok()
    }

    /// The document and the table of RFC 6901 §5.
    #[test]
    fn pointers_of_the_standard() {
        let document = json!({
            "foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, "k\"l": 6, " ": 7, "m~n": 8
        });
        for (path, value) in [
            ("", document.clone()),
            ("/foo", json!(["bar", "baz"])),
            ("/foo/0", json!("bar")),
            ("/", json!(0)),
            ("/a~1b", json!(1)),
            ("/c%d", json!(2)),
            ("/e^f", json!(3)),
            ("/g|h", json!(4)),
            ("/i\\j", json!(5)),
            ("/k\"l", json!(6)),
            ("/ ", json!(7)),
            ("/m~0n", json!(8)),
        ] {
            assert_eq!(evaluate(&document, path), Some(value), "{path}");
        }
        for path in ["foo", "/foo/2", "/foo/01", "/foo/-", "/foo/-1", "/foo/bar", "/x", "/foo/0/0", "/a/b"] {
            assert_eq!(evaluate(&document, path), None, "{path}");
        }
    }

    /// RFC 8620 §3.7.
    #[test]
    fn a_star_maps_and_flattens() {
        let document = json!({ "list": [
            { "emailIds": ["a", "b"], "id": "1" }, { "emailIds": [], "id": "2" }, { "emailIds": ["c"], "id": "3" } ] });
        assert_eq!(evaluate(&document, "/list/*/emailIds"), Some(json!(["a", "b", "c"])));
        assert_eq!(evaluate(&document, "/list/*/id"), Some(json!(["1", "2", "3"])));
        assert_eq!(evaluate(&document, "/list/*/nothing"), None);
        assert_eq!(evaluate(&json!([]), "/*/x"), Some(json!([])));
        assert_eq!(evaluate(&json!({ "*": 1 }), "/*"), Some(json!(1)), "a member may have this name");
    }

    #[test]
    fn what_is_copied_is_taken_from_the_room_before() {
        let document = json!({ "list": vec![json!({ "ids": ["x".repeat(1000), "y"], "none": [] }); 100] });
        for (path, least) in
            [("", 100_000), ("/list/*/ids", 100_000), ("/list/*/none", 3200), ("/list/0/ids", 1000)]
        {
            let mut room = 10_000_000;
            let value = super::evaluate(&document, path, &mut room).unwrap();
            let spent = 10_000_000 - room;
            assert!(spent >= least.max(value.to_string().len()), "{path}: {spent}");
            assert!(super::evaluate(&document, path, &mut spent.clone()).is_ok(), "{path}");
            assert_eq!(
                super::evaluate(&document, path, &mut (spent - 1)),
                Err(Unresolved::TooLarge),
                "{path}"
            );
        }
        let long = format!("/{}", "list".repeat(2000));
        assert_eq!(super::evaluate(&json!({ &long[1..]: 1 }), &long, &mut 100_000), Err(Unresolved::Nowhere));
    }
}

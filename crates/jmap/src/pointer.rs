//! JSON pointers (RFC 6901), with `*` for every item of an array (RFC 8620 §3.7).

use serde_json::Value;

/// Items that one reference may come to.
const ITEMS_MAX: usize = 100_000;

/// The value that a path points to; nothing when there is none.
pub fn evaluate(value: &Value, path: &str) -> Option<Value> {
    if path.is_empty() {
        return Some(value.clone());
    }
    let tokens: Vec<String> = path.strip_prefix('/')?.split('/').map(unescape).collect();
    follow(value, &tokens)
}

/// `~1` is `/`, `~0` is `~` (RFC 6901 §4).
pub fn unescape(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}

fn follow(value: &Value, tokens: &[String]) -> Option<Value> {
    let Some((token, rest)) = tokens.split_first() else { return Some(value.clone()) };
    match value {
        Value::Object(map) => follow(map.get(token)?, rest),
        Value::Array(items) if token == "*" => {
            let mut all = Vec::new();
            for item in items {
                match follow(item, rest)? {
                    Value::Array(several) => all.extend(several), // "the result is flattened"
                    one => all.push(one),
                }
                if all.len() > ITEMS_MAX {
                    return None;
                }
            }
            Some(Value::Array(all))
        }
        Value::Array(items) => follow(items.get(index(token)?)?, rest),
        _ => None,
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
}

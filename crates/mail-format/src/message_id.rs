//! Message ids in Message-ID, In-Reply-To and References (RFC 5322 §3.6.4), as threads compare them (RFC 5256 §3).

/// The ids of a field's value in order, without their angle brackets: what is no `<left@right>` is passed over. Quotes are
/// taken off, so that `<"a"@b>` is `<a@b>` (RFC 5256 §3, "REFERENCES"), and folds.
pub fn message_ids(value: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let mut rest = value;
    std::iter::from_fn(move || {
        loop {
            let start = memchr::memchr(b'<', rest)?;
            let (id, length) = id(&rest[start + 1..]);
            rest = &rest[start + 1 + length..];
            if id.is_some() {
                return id;
            }
        }
    })
}

/// What stands before the `>`, if it is an id, and how many bytes were read: a `<` is not, it may begin another.
fn id(bytes: &[u8]) -> (Option<Vec<u8>>, usize) {
    let mut id = Vec::new();
    let mut at_sign = None;
    let mut quoted = false;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'>' if !quoted => {
                let whole = at_sign.is_some_and(|at| at > 0 && at + 1 < id.len());
                return (whole.then_some(id), at + 1);
            }
            b'<' if !quoted => return (None, at),
            b'"' => quoted = !quoted,
            b'\\' if quoted => {
                at += 1;
                id.extend(bytes.get(at));
            }
            b' ' | b'\t' | b'\r' | b'\n' => {}
            byte => {
                if byte == b'@' && !quoted {
                    at_sign = Some(id.len());
                }
                id.push(byte);
            }
        }
        at += 1;
    }
    (None, bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ids(value: &str) -> Vec<String> {
        message_ids(value.as_bytes()).map(|id| String::from_utf8(id).unwrap()).collect()
    }

    #[test]
    fn ids_are_found_among_everything_else() {
        assert_eq!(ids(" <1@a> <2@b>\r\n\t<3@c>"), ["1@a", "2@b", "3@c"]);
        assert_eq!(ids("<1@a>,<2@b>"), ["1@a", "2@b"]);
        assert_eq!(ids("Joe's message of Monday <1@a> (was: <x>)"), ["1@a"]);
        // RFC 5256 §3: these two are the same.
        assert_eq!(ids("<\"01KF8JCEOCBS0045PS\"@xxx.yyy.com>"), ids("<01KF8JCEOCBS0045PS@xxx.yyy.com>"));
        assert_eq!(ids("<\"a\\\"<b>\"@c>"), ["a\"<b>@c"]);
        assert_eq!(ids("<1@\r\n a>"), ["1@a"]);
        assert_eq!(ids("<a <1@b>"), ["1@b"]);
        for none in ["", "<", "<>", "<a>", "<@a>", "<a@>", "a@b", "<a@b", "<\"a@b\">"] {
            assert!(ids(none).is_empty(), "{none}");
        }
    }

    proptest! {
        #[test]
        fn no_value_is_too_strange(value in "[<>@\"\\\\ab ]{0,80}") {
            for id in message_ids(value.as_bytes()) {
                prop_assert!(id.contains(&b'@'));
            }
        }
    }
}

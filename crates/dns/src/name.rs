//! Names as people write them become names as DNS has them.

/// RFC 1035 §2.3.4: 255 bytes on the wire are 253 characters.
const NAME_MAX: usize = 253;
const LABEL_MAX: usize = 63;

/// Lower case, ASCII (a UTF-8 name by UTS 46), no final dot; `None` when DNS can have no such host or service name.
pub fn to_ascii(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.len() > 4 * NAME_MAX {
        return None;
    }
    let ascii = if name.is_ascii() { name.to_ascii_lowercase() } else { idna::domain_to_ascii(name).ok()? };
    is_name(&ascii).then_some(ascii)
}

/// The same for names that only machines put together: labels may have any visible character (RFC 2181 §11), as the macros
/// of SPF make them of local parts.
pub(crate) fn to_query(name: &str) -> Option<String> {
    to_ascii(name).or_else(|| {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let fits = |label: &str| {
            (1..=LABEL_MAX).contains(&label.len()) && label.bytes().all(|byte| byte.is_ascii_graphic())
        };
        (name.len() <= NAME_MAX && name.split('.').all(fits)).then_some(name)
    })
}

fn is_name(name: &str) -> bool {
    name.len() <= NAME_MAX && name.split('.').all(is_label)
}

/// Letters, digits, hyphens, and the underscore of service names (RFC 8552).
fn is_label(label: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=LABEL_MAX).contains(&label.len()) && label.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::to_ascii;
    use proptest::prelude::*;

    #[test]
    fn case_and_the_final_dot_do_not_matter() {
        assert_eq!(to_ascii("Mail.Example.ORG.").as_deref(), Some("mail.example.org"));
        assert_eq!(to_ascii("_25._TCP.mx.example").as_deref(), Some("_25._tcp.mx.example"));
    }

    #[test]
    fn a_name_in_utf_8_becomes_punycode() {
        assert_eq!(to_ascii("Bücher.example").as_deref(), Some("xn--bcher-kva.example"));
        assert_eq!(to_ascii("例え。テスト").as_deref(), Some("xn--r8jz45g.xn--zckzah"));
    }

    #[test]
    fn machines_may_ask_for_more() {
        assert_eq!(super::to_query("A+b%c=d.Example.").as_deref(), Some("a+b%c=d.example"));
        for name in ["", "a..b", "a b.example", "b\u{fc}\0.example", "a\u{7f}.b"] {
            assert_eq!(super::to_query(name), None, "{name:?}");
        }
    }

    #[test]
    fn what_dns_cannot_have_is_refused() {
        let label_too_long = format!("{}.example", "a".repeat(64));
        let too_long = "a.".repeat(127) + "a";
        for name in ["", ".", "a..b", ".a", "a b", "a\0b", "a\\.b", "*.a", "a/b", "\u{fffd}.example"] {
            assert_eq!(to_ascii(name), None, "{name:?}");
        }
        assert_eq!(to_ascii(&label_too_long), None);
        assert_eq!(to_ascii(&too_long), None);
        assert!(to_ascii(&("a.".repeat(126) + "a")).is_some());
    }

    proptest! {
        #[test]
        fn what_comes_out_goes_in_again_unchanged(name in "\\PC{0,80}") {
            if let Some(ascii) = to_ascii(&name) {
                prop_assert_eq!(to_ascii(&ascii), Some(ascii));
            }
        }
    }
}

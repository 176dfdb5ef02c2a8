//! Domain names as SPF sees them.

/// Characters of a name (RFC 1035 §2.3.4).
const NAME_MAX: usize = 253;
const LABEL_MAX: usize = 63;

/// Whether this can be asked about at the start (§4.3): several labels, none empty or too long, no literal.
pub(crate) fn is_checkable(domain: &str) -> bool {
    let name = domain.strip_suffix('.').unwrap_or(domain);
    name.contains('.') && is_name(name) && !name.starts_with('[')
}

/// Whether DNS can have this name.
pub(crate) fn is_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.len() <= NAME_MAX && name.split('.').all(|label| (1..=LABEL_MAX).contains(&label.len()))
}

/// An expanded name, with labels taken from the left until it fits (§7.3).
pub(crate) fn shortened(name: &str) -> &str {
    let mut rest = name.strip_suffix('.').unwrap_or(name);
    while rest.len() > NAME_MAX {
        match rest.split_once('.') {
            Some((_, behind)) => rest = behind,
            None => break,
        }
    }
    rest
}

/// Whether `name` is `domain` or below it, in any case.
pub(crate) fn is_within(name: &str, domain: &str) -> bool {
    let (name, domain) = (name.trim_end_matches('.'), domain.trim_end_matches('.'));
    let Some(at) = name.len().checked_sub(domain.len()) else { return false };
    let ends = name.get(at..).is_some_and(|end| end.eq_ignore_ascii_case(domain));
    ends && (at == 0 || name.as_bytes().get(at - 1) == Some(&b'.'))
}

/// `toplabel` (§7.1): letters, digits and inner hyphens, not digits alone.
pub(crate) fn is_top_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    let inner = bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    let ends = bytes.first().zip(bytes.last()).is_some_and(|(first, last)| *first != b'-' && *last != b'-');
    inner && ends && !bytes.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_within_another_by_whole_labels() {
        assert!(is_within("Mail.Example.org", "example.ORG."));
        assert!(is_within("example.org", "example.org"));
        assert!(!is_within("badexample.org", "example.org"));
        assert!(!is_within("org", "example.org"));
    }

    #[test]
    fn a_name_too_long_loses_labels_on_the_left() {
        let long = format!("{}example.org", "abcd.".repeat(60));
        let short = shortened(&long);
        assert!(short.len() <= NAME_MAX && short.len() > NAME_MAX - 5 && long.ends_with(short));
        assert_eq!(shortened("a.b."), "a.b");
    }

    #[test]
    fn a_top_label_is_no_number_and_has_no_hyphen_outside() {
        for good in ["org", "xn--p1ai", "a1", "1a", "1-1"] {
            assert!(is_top_label(good), "{good}");
        }
        for bad in ["", "1", "-a", "a-", "a_b", "a/b"] {
            assert!(!is_top_label(bad), "{bad}");
        }
    }
}

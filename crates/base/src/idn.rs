//! Domains and addresses beyond ASCII: the one form by which they are compared (RFC 5890 §2.3.2.1, RFC 6531 §3.2).
//!
//! A domain is the same in U-labels (`münchen.example`) and in A-labels (`xn--mnchen-3ya.example`), in any case. A local part
//! is compared in lower case and in NFC (RFC 6532 §3.1): `é` typed as one character or as `e` with an accent behind it is one
//! mailbox. Nothing is folded further: `ß` is not `ss`, and look-alikes of other scripts are other letters. What is sent on
//! keeps the form in which it came.

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;

/// Bytes of a domain in U-labels at most: four for each of the 255 that its A-labels may have.
const DOMAIN_BYTES_MAX: usize = 4 * 255;

/// The domain in A-labels and lower case, by UTS 46; `None` when there is no such domain. ASCII is only put in lower case.
pub fn to_ascii(domain: &str) -> Option<String> {
    if domain.is_ascii() {
        return Some(domain.to_ascii_lowercase());
    }
    if domain.len() > DOMAIN_BYTES_MAX {
        return None;
    }
    idna::domain_to_ascii(domain).ok().filter(|ascii| !ascii.is_empty() && ascii.len() <= 255)
}

/// As [`to_ascii`]; what is no domain stays as it is, in lower case.
pub fn domain(domain: &str) -> String {
    to_ascii(domain).unwrap_or_else(|| domain.to_lowercase())
}

/// The form in which two addresses of the same mailbox are equal: see the head of this file. A bare local part, or
/// `@domain`, is taken alike.
pub fn comparable(address: &str) -> String {
    if address.is_ascii() {
        return address.to_ascii_lowercase();
    }
    let (local, at_domain) = address.split_at(address.rfind('@').unwrap_or(address.len()));
    let mut out = nfc(&nfc(local).to_lowercase()).into_owned();
    if let Some(name) = at_domain.strip_prefix('@') {
        out.push('@');
        out.push_str(&domain(name));
    }
    out
}

/// Whether two addresses are the same mailbox.
pub fn same(one: &str, other: &str) -> bool {
    if one.is_ascii() && other.is_ascii() {
        return one.eq_ignore_ascii_case(other);
    }
    comparable(one) == comparable(other)
}

/// The address with its domain in A-labels, when that makes it ASCII: so it can go to a host that knows nothing of SMTPUTF8.
pub fn downgraded(address: &str) -> Option<Cow<'_, str>> {
    if address.is_ascii() {
        return Some(Cow::Borrowed(address));
    }
    let (local, name) = address.rsplit_once('@')?;
    if !local.is_ascii() {
        return None;
    }
    Some(Cow::Owned(format!("{local}@{}", to_ascii(name)?)))
}

/// Every way in which the address may stand somewhere that compares letters: as it is, as [`comparable`] has it, and in
/// U-labels. One for an address that is ASCII in every form.
pub fn spellings(address: &str) -> Vec<String> {
    let mut all = vec![address.to_owned()];
    if !address.is_ascii() || address.contains("xn--") {
        let form = comparable(address);
        let (local, at_domain) = form.split_at(form.rfind('@').unwrap_or(form.len()));
        if let Some(name) = at_domain.strip_prefix('@') {
            all.push(format!("{local}@{}", idna::domain_to_unicode(name).0));
        }
        all.push(form);
        all.sort_unstable();
        all.dedup();
    }
    all
}

/// Normalization Form C of Unicode (UAX 15).
pub fn nfc(text: &str) -> Cow<'_, str> {
    ComposingNormalizerBorrowed::new_nfc().normalize(text)
}

/// Normalization Form KC: what looks and means the same has the same characters.
pub fn nfkc(text: &str) -> Cow<'_, str> {
    ComposingNormalizerBorrowed::new_nfkc().normalize(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_forms_of_a_domain_are_the_same() {
        for (one, other, equal) in [
            ("u@münchen.test", "U@XN--mnchen-3ya.Test", true),
            ("u@MÜNCHEN.test", "u@münchen.test", true),
            ("u@mu\u{308}nchen.test", "u@münchen.test", true),
            ("u@例え。テスト", "u@xn--r8jz45g.xn--zckzah", true),
            ("Jos\u{e9}@a.test", "jose\u{301}@A.test", true),
            ("JÜRGEN@a.test", "ju\u{308}rgen@a.test", true),
            ("u@munchen.test", "u@münchen.test", false),
            ("strasse@a.test", "straße@a.test", false),
            ("а@a.test", "a@a.test", false), // Cyrillic
            ("@münchen.test", "@xn--mnchen-3ya.test", true),
        ] {
            assert_eq!(same(one, other), equal, "{one} {other}");
        }
    }

    #[test]
    fn only_a_domain_can_be_downgraded() {
        assert_eq!(downgraded("u@münchen.test").as_deref(), Some("u@xn--mnchen-3ya.test"));
        assert_eq!(downgraded("u@a.test").as_deref(), Some("u@a.test"));
        assert_eq!(downgraded("ü@a.test"), None);
        assert_eq!(to_ascii("\u{fffd}.test"), None);
        assert_eq!(to_ascii(&"ü.".repeat(400)), None);
    }

    #[test]
    fn an_address_is_searched_in_each_of_its_forms() {
        assert_eq!(spellings("A@a.test"), ["A@a.test"]);
        let both = ["ü@münchen.test", "ü@xn--mnchen-3ya.test"];
        assert_eq!(spellings("ü@münchen.test"), both);
        assert_eq!(spellings("ü@xn--mnchen-3ya.test"), both);
        assert_eq!(spellings("@xn--mnchen-3ya.test"), ["@münchen.test", "@xn--mnchen-3ya.test"]);
        assert_eq!(spellings("u\u{308}@a.test"), ["u\u{308}@a.test", "ü@a.test"]);
    }

    proptest! {
        #[test]
        fn the_comparable_form_is_its_own(address in "\\PC{0,12}(@\\PC{0,12})?") {
            let form = comparable(&address);
            prop_assert_eq!(comparable(&form), form.clone());
            prop_assert!(same(&address, &form));
        }

        #[test]
        fn ascii_is_compared_as_ever(one in "[a-zA-Z@.-]{0,8}", other in "[a-zA-Z@.-]{0,8}") {
            prop_assert_eq!(same(&one, &other), one.eq_ignore_ascii_case(&other));
        }
    }
}

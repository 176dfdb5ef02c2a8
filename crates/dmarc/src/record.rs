//! The record as text (§4.7, §4.8).

use crate::Policy;

/// `psd`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SuffixFlag {
    /// `y`: below it are organizations.
    Suffix,
    /// `n`: it is an organization.
    Organization,
    #[default]
    Unsaid,
}

/// A policy record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) policy: Policy,
    /// `sp`
    pub(crate) subdomains: Option<Policy>,
    /// `np`
    pub(crate) nonexistent: Option<Policy>,
    pub(crate) suffix: SuffixFlag,
    pub(crate) strict_dkim: bool,
    pub(crate) strict_spf: bool,
    /// `t=y`
    pub(crate) is_testing: bool,
}

/// Whether a TXT record is a policy record: what is none is passed over (§4.10, step 2).
pub(crate) fn is_record(text: &[u8]) -> bool {
    let version = text.split(|byte| *byte == b';').next().unwrap_or_default();
    let Some(equals) = version.iter().position(|byte| *byte == b'=') else { return false };
    let (name, value) = version.split_at(equals);
    name.trim_ascii().eq_ignore_ascii_case(b"v") && value[1..].trim_ascii() == b"DMARC1"
}

impl Record {
    /// Reads a policy record; nothing when it is to count as none (§4.10.1): its policies make no sense and nobody is to be
    /// told.
    pub(crate) fn parse(text: &[u8]) -> Option<Record> {
        let text = String::from_utf8_lossy(text);
        let mut record = Record {
            policy: Policy::None,
            subdomains: None,
            nonexistent: None,
            suffix: SuffixFlag::default(),
            strict_dkim: false,
            strict_spf: false,
            is_testing: false,
        };
        let (mut broken, mut reports) = (false, false);
        let (mut testing, mut percent) = (None, None);
        for (name, value) in tags(&text) {
            let mut policy = || {
                let read = policy(value);
                broken |= read.is_none();
                read
            };
            match name.to_ascii_lowercase().as_str() {
                "p" => record.policy = policy().unwrap_or(Policy::None),
                "sp" => record.subdomains = policy(),
                "np" => record.nonexistent = policy(),
                "psd" => record.suffix = suffix(value),
                "adkim" => record.strict_dkim = value.eq_ignore_ascii_case("s"),
                "aspf" => record.strict_spf = value.eq_ignore_ascii_case("s"),
                "t" => testing = Some(value.eq_ignore_ascii_case("y")),
                "pct" => percent = value.parse::<u8>().ok(),
                "rua" => reports = value.split(',').any(|uri| is_uri(uri.trim())),
                _ => {}
            }
        }
        // Appendix A.6: `t` took the place of `pct`, which served to test at 0 and did not work in between.
        record.is_testing = testing.unwrap_or(percent == Some(0));
        match (broken, reports) {
            (false, _) => Some(record),
            (true, true) => {
                Some(Record { policy: Policy::None, subdomains: None, nonexistent: None, ..record })
            }
            (true, false) => None,
        }
    }
}

fn tags(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split(';')
        .skip(1)
        .filter_map(|tag| tag.split_once('='))
        .map(|(name, value)| (name.trim(), value.trim()))
}

fn policy(value: &str) -> Option<Policy> {
    [Policy::None, Policy::Quarantine, Policy::Reject]
        .into_iter()
        .find(|policy| policy.name().eq_ignore_ascii_case(value))
}

fn suffix(value: &str) -> SuffixFlag {
    match value {
        "y" | "Y" => SuffixFlag::Suffix,
        "n" | "N" => SuffixFlag::Organization,
        _ => SuffixFlag::Unsaid,
    }
}

/// A scheme and something behind it (RFC 3986 §3).
fn is_uri(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, rest)| {
        let starts = scheme.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
        let inner = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        starts && inner && !rest.is_empty()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> Option<Record> {
        is_record(text.as_bytes()).then(|| Record::parse(text.as_bytes())).flatten()
    }

    #[test]
    fn the_version_comes_first_and_exactly() {
        for good in ["v=DMARC1", "v=DMARC1;p=none", " v = DMARC1 ; p=none", "V=DMARC1;"] {
            assert!(is_record(good.as_bytes()), "{good}");
        }
        for bad in ["", "v=DMARC", "v=dmarc1; p=none", "v=DMARC10", "p=none; v=DMARC1", "v=spf1 -all"] {
            assert!(!is_record(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn tags_have_defaults_and_unknown_ones_are_passed_over() {
        let record =
            parsed("v=DMARC1; p=reject; SP=Quarantine; np=none; adkim=s; psd=n; x=y; fo=1; ;").unwrap();
        assert_eq!(record.policy, Policy::Reject);
        assert_eq!(record.subdomains, Some(Policy::Quarantine));
        assert_eq!(record.nonexistent, Some(Policy::None));
        assert_eq!(record.suffix, SuffixFlag::Organization);
        assert!(record.strict_dkim && !record.strict_spf && !record.is_testing);
        assert_eq!(parsed("v=DMARC1").unwrap().policy, Policy::None);
    }

    #[test]
    fn a_policy_that_makes_no_sense_counts_as_none_or_not_at_all() {
        assert_eq!(parsed("v=DMARC1; p=rejekt"), None);
        assert_eq!(parsed("v=DMARC1; p=reject; sp=nothing"), None);
        let told = parsed("v=DMARC1; p=reject; sp=nothing; rua=mailto:a@b.example").unwrap();
        assert_eq!((told.policy, told.subdomains), (Policy::None, None));
        assert_eq!(parsed("v=DMARC1; p=rejekt; rua=nobody"), None);
    }

    #[test]
    fn who_tests_says_so() {
        assert!(parsed("v=DMARC1; p=reject; t=y").unwrap().is_testing);
        assert!(parsed("v=DMARC1; p=reject; pct=0").unwrap().is_testing);
        assert!(!parsed("v=DMARC1; p=reject; pct=0; t=n").unwrap().is_testing);
        assert!(!parsed("v=DMARC1; p=reject; pct=50").unwrap().is_testing);
    }

    proptest! {
        #[test]
        fn no_text_is_too_much(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = is_record(&text);
            let _ = Record::parse(&text);
        }
    }
}

//! The record as text: terms, read as a whole before anything is looked up (§4.6.1, §12).

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::Verdict;
use crate::macros::MacroString;
use crate::network::{Lengths, length};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mechanism {
    All,
    Include(MacroString),
    A(Option<MacroString>, Lengths),
    Mx(Option<MacroString>, Lengths),
    Ptr(Option<MacroString>),
    Ip4(Ipv4Addr, u8),
    Ip6(Ipv6Addr, u8),
    Exists(MacroString),
}

/// A mechanism and what is said when it matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Directive {
    pub(crate) verdict: Verdict,
    pub(crate) mechanism: Mechanism,
    /// As it was written.
    pub(crate) text: String,
}

/// A policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) directives: Vec<Directive>,
    pub(crate) redirect: Option<MacroString>,
    pub(crate) explanation: Option<MacroString>,
}

/// Whether a TXT record is a policy (§4.5).
pub(crate) fn is_policy(text: &[u8]) -> bool {
    const VERSION: &[u8] = b"v=spf1";
    let starts = text.get(..VERSION.len()).is_some_and(|start| start.eq_ignore_ascii_case(VERSION));
    starts && matches!(text.get(VERSION.len()), None | Some(b' '))
}

impl Record {
    /// Reads a policy; nothing when anything in it is wrong.
    pub(crate) fn parse(text: &[u8]) -> Option<Record> {
        let text = std::str::from_utf8(text).ok().filter(|text| text.is_ascii())?;
        let mut record = Record::default();
        for term in text.split(' ').skip(1).filter(|term| !term.is_empty()) {
            match modifier(term) {
                Some((name, value)) if name.eq_ignore_ascii_case("redirect") => {
                    set(&mut record.redirect, MacroString::parse_domain(value)?)?;
                }
                Some((name, value)) if name.eq_ignore_ascii_case("exp") => {
                    set(&mut record.explanation, MacroString::parse_domain(value)?)?;
                }
                Some((_, value)) => {
                    MacroString::parse(value)?;
                }
                None => record.directives.push(directive(term)?),
            }
        }
        Some(record)
    }
}

/// §6: `redirect` and `exp` appear once at most.
fn set(slot: &mut Option<MacroString>, value: MacroString) -> Option<()> {
    match slot.replace(value) {
        None => Some(()),
        Some(_) => None,
    }
}

/// `name "=" value`, where the name comes before any other sign.
fn modifier(term: &str) -> Option<(&str, &str)> {
    let (name, value) = term.split_once('=')?;
    let starts = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    let rest = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    (starts && rest).then_some((name, value))
}

fn directive(term: &str) -> Option<Directive> {
    let (verdict, body) = match term.as_bytes().first()? {
        b'+' => (Verdict::Pass, &term[1..]),
        b'-' => (Verdict::Fail, &term[1..]),
        b'~' => (Verdict::SoftFail, &term[1..]),
        b'?' => (Verdict::Neutral, &term[1..]),
        _ => (Verdict::Pass, term),
    };
    let end = body.find([':', '/']).unwrap_or(body.len());
    let (name, rest) = body.split_at(end);
    Some(Directive {
        verdict,
        mechanism: mechanism(&name.to_ascii_lowercase(), rest)?,
        text: term.to_owned(),
    })
}

/// `rest` begins with `:` or `/`, or is empty.
fn mechanism(name: &str, rest: &str) -> Option<Mechanism> {
    let domain = || MacroString::parse_domain(rest.strip_prefix(':')?);
    let optional = |rest: &str| match rest {
        "" => Some(None),
        rest => MacroString::parse_domain(rest.strip_prefix(':')?).map(Some),
    };
    match name {
        "all" => rest.is_empty().then_some(Mechanism::All),
        "include" => Some(Mechanism::Include(domain()?)),
        "exists" => Some(Mechanism::Exists(domain()?)),
        "a" | "mx" => {
            let (rest, lengths) = dual_length(rest)?;
            let domain = optional(rest)?;
            Some(if name == "a" { Mechanism::A(domain, lengths) } else { Mechanism::Mx(domain, lengths) })
        }
        "ptr" => Some(Mechanism::Ptr(optional(rest)?)),
        "ip4" => {
            let (network, bits) = network(rest.strip_prefix(':')?, 32)?;
            Some(Mechanism::Ip4(network.parse().ok()?, bits))
        }
        "ip6" => {
            let (network, bits) = network(rest.strip_prefix(':')?, 128)?;
            Some(Mechanism::Ip6(network.parse().ok()?, bits))
        }
        _ => None,
    }
}

fn network(text: &str, max: u8) -> Option<(&str, u8)> {
    match text.split_once('/') {
        None => Some((text, max)),
        Some((network, bits)) => Some((network, length(bits, max)?)),
    }
}

/// Takes `dual-cidr-length` off the end.
fn dual_length(rest: &str) -> Option<(&str, Lengths)> {
    let mut lengths = Lengths::WHOLE;
    let mut rest = rest;
    if let Some((before, bits)) = rest.rsplit_once("//").filter(|(_, bits)| is_digits(bits)) {
        lengths.six = length(bits, 128)?;
        rest = before;
    }
    if let Some((before, bits)) = rest.rsplit_once('/').filter(|(_, bits)| is_digits(bits)) {
        lengths.four = length(bits, 32)?;
        rest = before;
    }
    Some((rest, lengths))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn policies_are_told_from_other_texts() {
        for text in ["v=spf1", "V=SPF1 -all", "v=spf1 "] {
            assert!(is_policy(text.as_bytes()), "{text}");
        }
        for text in ["v=spf10", "v=spf1-all", " v=spf1", "v=spf2.0/pra", ""] {
            assert!(!is_policy(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn terms_have_lengths_and_domains() {
        let record =
            Record::parse(b"v=spf1 a/24//64 mx:x.example//48  ?ip4:192.0.2.0/24 x.y=%{d} -all").unwrap();
        let mechanisms: Vec<&Mechanism> = record.directives.iter().map(|one| &one.mechanism).collect();
        let x = MacroString::parse("x.example");
        assert_eq!(
            mechanisms,
            [
                &Mechanism::A(None, Lengths { four: 24, six: 64 }),
                &Mechanism::Mx(x, Lengths { four: 32, six: 48 }),
                &Mechanism::Ip4([192, 0, 2, 0].into(), 24),
                &Mechanism::All,
            ]
        );
        assert_eq!(record.directives[2].verdict, Verdict::Neutral);
        for bad in
            ["a:", "all:x", "ip4", "ip4:1.2.3", "ip6:::1/129", "mx/", "a//", "redirect:a.b", "b", "=x", "+"]
        {
            assert_eq!(Record::parse(format!("v=spf1 {bad}").as_bytes()), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_much(text in "[ -~]{0,200}") {
            let _ = Record::parse(format!("v=spf1 {text}").as_bytes());
        }
    }
}

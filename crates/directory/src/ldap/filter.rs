//! Search filters (RFC 4515), built from typed parts: a value can never become syntax.

use std::fmt;

/// A filter. Attribute names are the program's own; values are anybody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    Equal(&'static str, String),
    /// The value begins so.
    Begins(&'static str, String),
    Present(&'static str),
    All(Vec<Filter>),
    Any(Vec<Filter>),
}

/// Classes of users (original.md 5.1, and the later name).
pub const USER_CLASSES: [&str; 3] = ["nsMessagingServerUser", "mailRecipient", "inetMailUser"];
/// Classes of groups.
pub const GROUP_CLASSES: [&str; 2] = ["mailGroup", "inetMailGroup"];

impl Filter {
    /// Whoever has this uid and may be a user.
    pub fn uid(uid: &str) -> Filter {
        Filter::All(vec![Filter::Equal("uid", uid.to_owned()), Filter::classes(&USER_CLASSES)])
    }

    /// Whatever may be a user or a group, with an address, a uid or a name that begins so.
    pub fn beginning_with(text: &str) -> Filter {
        let names = ["mail", "uid", "cn", "displayName", "givenName", "sn"];
        let names = names.map(|name| Filter::Begins(name, text.to_owned()));
        Filter::All(vec![Filter::Any(names.into()), Filter::mail_entry()])
    }

    /// Every user.
    pub fn users() -> Filter {
        Filter::All(vec![Filter::Present("uid"), Filter::classes(&USER_CLASSES)])
    }

    /// Whoever has this address, or takes everything of its domain (`@domain` as an address): both in one search. Beyond
    /// ASCII in each spelling, since a server compares letters and not mailboxes.
    pub fn address(address: &str) -> Filter {
        let domain = address.rfind('@').map(|at| &address[at..]);
        let addresses = [Some(address), domain.filter(|domain| *domain != address)];
        let named = addresses.into_iter().flatten().flat_map(base::idn::spellings).flat_map(|address| {
            ["mail", "mailAlternateAddress"].map(|name| Filter::Equal(name, address.clone()))
        });
        Filter::All(vec![Filter::Any(named.collect()), Filter::mail_entry()])
    }

    /// Whatever may be a user or a group.
    pub fn mail_entry() -> Filter {
        Filter::classes(&[USER_CLASSES.as_slice(), GROUP_CLASSES.as_slice()].concat())
    }

    fn classes(classes: &[&str]) -> Filter {
        Filter::Any(classes.iter().map(|class| Filter::Equal("objectClass", (*class).to_owned())).collect())
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, sign: char, parts: &[Filter]| {
            write!(f, "({sign}")?;
            parts.iter().try_for_each(|part| part.fmt(f))?;
            f.write_str(")")
        };
        match self {
            Filter::Equal(name, value) => {
                write!(f, "({name}=")?;
                value.bytes().try_for_each(|byte| escaped(f, byte))?;
                f.write_str(")")
            }
            Filter::Begins(name, value) => {
                write!(f, "({name}=")?;
                value.bytes().try_for_each(|byte| escaped(f, byte))?;
                f.write_str("*)")
            }
            Filter::Present(name) => write!(f, "({name}=*)"),
            Filter::All(parts) => list(f, '&', parts),
            Filter::Any(parts) => list(f, '|', parts),
        }
    }
}

/// RFC 4515 §3: the five that must be escaped, and whatever is not plain ASCII.
fn escaped(f: &mut fmt::Formatter<'_>, byte: u8) -> fmt::Result {
    match byte {
        b'*' | b'(' | b')' | b'\\' | 0..=0x1f | 0x7f.. => write!(f, "\\{byte:02x}"),
        plain => write!(f, "{}", char::from(plain)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn filters_are_those_of_the_object_classes() {
        let users =
            "(|(objectClass=nsMessagingServerUser)(objectClass=mailRecipient)(objectClass=inetMailUser))";
        assert_eq!(Filter::uid("joe").to_string(), format!("(&(uid=joe){users})"));
        let all = "(|(objectClass=nsMessagingServerUser)(objectClass=mailRecipient)(objectClass=inetMailUser)\
                   (objectClass=mailGroup)(objectClass=inetMailGroup))";
        assert_eq!(
            Filter::address("j@x.test").to_string(),
            format!(
                "(&(|(mail=j@x.test)(mailAlternateAddress=j@x.test)(mail=@x.test)(mailAlternateAddress=@x.test)){all})"
            )
        );
    }

    #[test]
    fn a_domain_in_another_script_is_searched_in_both_forms() {
        let both = Filter::address("j@xn--mnchen-3ya.test").to_string();
        assert!(
            both.contains("(mail=j@xn--mnchen-3ya.test)") && both.contains(r"(mail=@m\c3\bcnchen.test)"),
            "{both}"
        );
        assert_eq!(both, Filter::address("j@xn--mnchen-3ya.test").to_string());
    }

    #[test]
    fn a_value_stays_a_value() {
        let text = Filter::uid("*)(uid=*))(|(uid=*\\\0é").to_string();
        assert!(text.starts_with(r"(&(uid=\2a\29\28uid=\2a\29\29\28|\28uid=\2a\5c\00\c3\a9)(|"), "{text}");
    }

    /// The bytes of the one OCTET STRING in which the value arrives at the server, taken from the encoded filter.
    fn value_sent(filter: &str) -> Option<Vec<u8>> {
        use ldap3::asn1::{ASNTag, PL};
        let equality = ldap3::parse_filter(filter).ok()?.into_structure();
        let PL::C(parts) = equality.payload else { return None };
        match (equality.id, parts.into_iter().nth(1)?.payload) {
            (3, PL::P(value)) => Some(value), // equalityMatch
            _ => None,
        }
    }

    proptest! {
        #[test]
        fn any_text_is_one_equality_with_that_text(value in "\\PC{1,40}", odd in proptest::collection::vec(any::<char>(), 1..10)) {
            for value in [value, odd.into_iter().collect::<String>()] {
                let text = Filter::Equal("uid", value.clone()).to_string();
                prop_assert_eq!(value_sent(&text), Some(value.into_bytes()), "{}", text);
            }
        }
    }
}

//! LDAP URLs over the entries of the embedded directory: who a dynamic group (`memberURL`, `mgrpDeliverTo`) consists of.
//!
//! A filter is read once ([`Condition`], RFC 4515) and asked of each entry. Values match as the attributes of the mail
//! schema do: in any case, blanks at the ends and doubled ones not counted; `>=` and `<=` compare numbers as numbers. An
//! extensible match is refused, not guessed at.

use std::collections::BTreeMap;

use ldap3::Scope;
use ldap3::asn1::{ASNTag, PL, StructureTag};

use crate::embedded::normal_dn;
use crate::ldap::url::{self, LdapUrl};

/// Depth of a filter.
const DEPTH_MAX: usize = 32;
/// Attributes that hold the URLs of a group: Netscape's, and that of groupOfURLs.
pub const URL_ATTRIBUTES: [&str; 2] = ["mgrpdeliverto", "memberurl"];
/// URLs of one group.
pub const URLS_MAX: usize = 20;

/// Attributes by lower-case name.
type Attributes = BTreeMap<String, Vec<String>>;

/// A search, ready to be asked of entries.
#[derive(Debug)]
pub struct Query {
    base: String,
    scope: Scope,
    condition: Condition,
}

impl Query {
    /// # Errors
    /// What is wrong with the URL; it names a server: there is none to be asked.
    pub fn parse(text: &str) -> Result<Query, String> {
        let LdapUrl { host, base, scope, filter } = url::parse(text)?;
        if !host.is_empty() {
            return Err("it names another server, which is not asked".into());
        }
        let filter = ldap3::parse_filter(&filter).map_err(|()| "its filter cannot be read")?;
        let condition = Condition::of(filter.into_structure(), DEPTH_MAX)?;
        Ok(Query { base: normal_dn(&base), scope, condition })
    }

    /// Whether an entry is found. `dn` is in its normal form.
    pub fn finds(&self, dn: &str, attributes: &Attributes) -> bool {
        self.is_in_scope(dn) && self.condition.holds(attributes)
    }

    fn is_in_scope(&self, dn: &str) -> bool {
        if dn == self.base {
            return self.scope != Scope::OneLevel;
        }
        if self.base.is_empty() {
            return self.scope == Scope::Subtree;
        }
        let Some(above) = dn.strip_suffix(&self.base).and_then(|rest| rest.strip_suffix(',')) else {
            return false;
        };
        match self.scope {
            Scope::Base => false,
            Scope::OneLevel => !above.contains(','),
            Scope::Subtree => true,
        }
    }
}

/// A filter.
#[derive(Debug)]
enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Equal(String, String),
    Parts(String, Vec<Part>),
    AtLeast(String, String),
    AtMost(String, String),
    Present(String),
}

/// A part of a substring match.
#[derive(Debug)]
enum Part {
    Start(String),
    Inside(String),
    End(String),
}

impl Condition {
    /// RFC 4511 §4.5.1.7, as the parser gives it.
    fn of(tag: StructureTag, depth: usize) -> Result<Condition, String> {
        let malformed = || "its filter cannot be read".to_owned();
        if depth == 0 {
            return Err("its filter is too deep".into());
        }
        let id = tag.id;
        let parts = match tag.payload {
            PL::P(name) if id == 7 => return Ok(Condition::Present(name_of(&name))),
            PL::P(_) => return Err(malformed()),
            PL::C(parts) => parts,
        };
        match id {
            0 | 1 => {
                let all =
                    parts.into_iter().map(|part| Condition::of(part, depth - 1)).collect::<Result<_, _>>()?;
                Ok(if id == 0 { Condition::All(all) } else { Condition::Any(all) })
            }
            2 => {
                let inner = parts.into_iter().next().ok_or_else(malformed)?;
                Ok(Condition::Not(Box::new(Condition::of(inner, depth - 1)?)))
            }
            3 | 5 | 6 | 8 => {
                let mut values = parts.into_iter().filter_map(bytes_of);
                let (name, value) =
                    (values.next().ok_or_else(malformed)?, values.next().ok_or_else(malformed)?);
                let (name, value) = (name_of(&name), value_of(&value));
                Ok(match id {
                    5 => Condition::AtLeast(name, value),
                    6 => Condition::AtMost(name, value),
                    _ => Condition::Equal(name, value),
                })
            }
            4 => {
                let mut parts = parts.into_iter();
                let name = parts.next().and_then(bytes_of).ok_or_else(malformed)?;
                let PL::C(substrings) = parts.next().ok_or_else(malformed)?.payload else {
                    return Err(malformed());
                };
                let part = |tag: StructureTag| {
                    let id = tag.id;
                    let text = value_of(&bytes_of(tag)?);
                    match id {
                        0 => Some(Part::Start(text)),
                        1 => Some(Part::Inside(text)),
                        2 => Some(Part::End(text)),
                        _ => None,
                    }
                };
                let substrings =
                    substrings.into_iter().map(part).collect::<Option<_>>().ok_or_else(malformed)?;
                Ok(Condition::Parts(name_of(&name), substrings))
            }
            _ => Err("its filter has an extensible match, which is not known here".into()),
        }
    }

    fn holds(&self, attributes: &Attributes) -> bool {
        match self {
            Condition::All(parts) => parts.iter().all(|part| part.holds(attributes)),
            Condition::Any(parts) => parts.iter().any(|part| part.holds(attributes)),
            Condition::Not(part) => !part.holds(attributes),
            Condition::Present(name) => values(attributes, name).next().is_some(),
            Condition::Equal(name, wanted) => values(attributes, name).any(|value| value == *wanted),
            Condition::Parts(name, parts) => values(attributes, name).any(|value| has_parts(&value, parts)),
            Condition::AtLeast(name, limit) => {
                values(attributes, name).any(|value| order(&value, limit).is_ge())
            }
            Condition::AtMost(name, limit) => {
                values(attributes, name).any(|value| order(&value, limit).is_le())
            }
        }
    }
}

/// The values of an attribute and of its subtypes (RFC 4512 §2.5.2), as they are compared.
fn values<'a>(attributes: &'a Attributes, name: &'a str) -> impl Iterator<Item = String> + 'a {
    let is = move |have: &str| {
        have.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(';'))
    };
    let found = attributes.iter().filter(move |(have, _)| is(have));
    found.flat_map(|(_, values)| values.iter().map(|value| normal(value)))
}

fn order(one: &str, other: &str) -> std::cmp::Ordering {
    match (one.parse::<i64>(), other.parse::<i64>()) {
        (Ok(one), Ok(other)) => one.cmp(&other),
        _ => one.cmp(other),
    }
}

fn has_parts(value: &str, parts: &[Part]) -> bool {
    let mut rest = value;
    for part in parts {
        let behind = match part {
            Part::Start(text) => rest.strip_prefix(text.as_str()),
            Part::Inside(text) => rest.find(text.as_str()).map(|at| &rest[at + text.len()..]),
            Part::End(text) => rest.ends_with(text.as_str()).then_some(""),
        };
        match behind {
            Some(behind) => rest = behind,
            None => return false,
        }
    }
    true
}

/// Lower case, one blank where there are several, none at the ends (RFC 4518 §2.6.1).
fn normal(value: &str) -> String {
    let words: Vec<&str> = value.split_whitespace().collect();
    words.join(" ").to_lowercase()
}

fn bytes_of(tag: StructureTag) -> Option<Vec<u8>> {
    match tag.payload {
        PL::P(bytes) => Some(bytes),
        PL::C(_) => None,
    }
}

fn name_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).to_ascii_lowercase()
}

fn value_of(bytes: &[u8]) -> String {
    normal(&String::from_utf8_lossy(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry() -> Attributes {
        let pairs = [
            ("uid", "joe"),
            ("cn", "Joe  Q. User"),
            ("objectclass", "mailRecipient"),
            ("roomnumber", "117"),
            ("description;lang-fr", "Chef"),
            ("l", "San José"),
        ];
        pairs.iter().map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()])).collect()
    }

    #[test]
    fn filters_match_as_a_server_would() {
        for (filter, expected) in [
            ("(uid=JOE)", true),
            ("(uid=jo)", false),
            ("(cn=joe q. user)", true),
            ("(cn=j*q.*user)", true),
            ("(cn=*user)", true),
            ("(cn=*q*q*)", false),
            ("(cn=user*)", false),
            ("(roomNumber>=20)", true),
            ("(roomNumber<=20)", false),
            ("(description=chef)", true),
            ("(fax=*)", false),
            ("(l=san%20jos%C3%A9)", true),
            ("(!(uid=joe))", false),
            ("(%26(uid=joe)(!(fax=*)))", true),
            ("(|(uid=bob)(roomNumber=117))", true),
            ("(uid=\\6aoe)", true),
            ("", true),
        ] {
            let query = Query::parse(&format!("ldap:///o=x??sub?{filter}")).unwrap();
            assert_eq!(query.finds("uid=joe,o=x", &entry()), expected, "{filter}");
        }
    }

    #[test]
    fn the_scope_is_kept() {
        for (url, dn, expected) in [
            ("ldap:///o=X??sub", "o=x", true),
            ("ldap:///o=X??sub", "uid=a,ou=b,o=x", true),
            ("ldap:///o=x??sub", "uid=a,o=xx", false),
            ("ldap:///o=x??sub", "uid=a,zo=x", false),
            ("ldap:///o=x??one", "uid=a,o=x", true),
            ("ldap:///o=x??one", "uid=a,ou=b,o=x", false),
            ("ldap:///o=x??one", "o=x", false),
            ("ldap:///uid=a,%20o=x", "uid=a,o=x", true),
            ("ldap:///o=x", "uid=a,o=x", false),
            ("ldap:///??sub", "uid=a,o=x", true),
        ] {
            let query = Query::parse(url).unwrap();
            assert_eq!(query.finds(dn, &entry()), expected, "{url} {dn}");
        }
    }

    #[test]
    fn what_cannot_be_answered_is_refused() {
        assert!(Query::parse("ldap://other.test/o=x").unwrap_err().contains("server"));
        assert!(
            Query::parse("ldap:///o=x??sub?(uid:caseExactMatch:=joe)").unwrap_err().contains("extensible")
        );
        let deep = format!("ldap:///o=x??sub?{}(a=b){}", "(!".repeat(60), ")".repeat(60));
        assert!(Query::parse(&deep).is_err());
    }

    proptest! {
        #[test]
        fn no_filter_is_too_strange(text in "[()&|!=*<>~:a-c\\\\0-9 ]{0,40}") {
            if let Ok(query) = Query::parse(&format!("ldap:///o=x??sub?({text})")) {
                query.finds("uid=a,o=x", &entry());
            }
        }

        #[test]
        fn a_value_is_found_by_itself_and_by_its_parts(value in "[a-z]{2,12}") {
            let mut attributes = Attributes::new();
            attributes.insert("sn".into(), vec![value.clone()]);
            let (start, end) = value.split_at(1);
            for filter in [format!("(sn={value})"), format!("(sn={start}*{end})"), format!("(sn=*{end})")] {
                let query = Query::parse(&format!("ldap:///??sub?{filter}")).unwrap();
                prop_assert!(query.finds("uid=a", &attributes), "{}", filter);
            }
        }
    }
}

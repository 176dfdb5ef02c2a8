//! What is asked for of an entry, and how it becomes the attributes of [`crate::Entry`].
//!
//! The attributes of original.md 5.2 and 5.3 and the later names that are accepted on read, never `userPassword`: a
//! password is checked by the server. Subtypes (`mailAutoReplyText;lang-ja`) come with their attribute (RFC 4512 §2.5.2).

use std::collections::BTreeMap;

use ldap3::asn1::{PL, StructureTag};

use crate::ldif::Record;

/// Lower-case names, and their values.
pub type Attributes = BTreeMap<String, Vec<String>>;

/// Everything [`crate::Entry`] and its readers use.
pub const WANTED: &[&str] = &[
    "objectClass",
    "uid",
    "cn",
    "sn",
    "givenName",
    "displayName",
    "mail",
    "preferredLanguage",
    // mailRecipient, nsMessagingServerUser
    "mailAlternateAddress",
    "mailHost",
    "mailRoutingAddress",
    "mailDeliveryOption",
    "mailForwardingAddress",
    "mailProgramDeliveryInfo",
    "mailMessageStore",
    "mailQuota",
    "nsmsgNumMsgQuota",
    "mailAutoReplyMode",
    "mailAutoReplyText",
    "vacationStartDate",
    "vacationEndDate",
    "nsmsgDisallowAccess",
    "mailAccessDomain",
    "nswmExtendedUserPrefs",
    // of log-ins
    "mailAppPassword",
    "mailTotpSecret",
    "mailRecoveryCode",
    "multiLineDescription",
    // who native and program delivery run as
    "uidNumber",
    "gidNumber",
    "homeDirectory",
    // mailGroup
    "owner",
    "uniqueMember",
    "memberURL",
    "mgrpRFC822MailMember",
    "rfc822MailMember",
    "mgrpDeliverTo",
    "mgrpDeliverException",
    "mgrpAllowedBroadcaster",
    "mgrpAllowedDomain",
    "mgrpBroadcasterPolicy",
    "mailRequireAuth",
    "mgrpApprovePassword",
    "mgrpModerator",
    "mgrpMsgRejectAction",
    "mgrpMsgRejectText",
    "mgrpMsgMaxSize",
    "mgrpErrorsTo",
    "mgrpAddHeader",
    "mgrpRemoveHeader",
    "mgrpNoMatchAddrs",
    "mgrpNoDuplicateChecks",
    // later versions
    "mailUserStatus",
    "inetUserStatus",
    "mailAllowedServiceAccess",
    "mailMsgQuota",
    "mailAdminRole",
];

/// What tells whether an entry is a member, and its address.
pub const OF_A_MEMBER: &[&str] = &["objectClass", "uid", "mail"];

/// One entry of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub dn: String,
    pub attributes: Attributes,
}

/// `SearchResultEntry` (RFC 4511 §4.5.2). Values that are not UTF-8 are left out, as in the embedded directory; an entry
/// that is no entry, or whose DN is not UTF-8, is nothing.
pub fn decode(entry: StructureTag) -> Option<Found> {
    let mut parts = parts(entry)?.into_iter();
    let dn = text(parts.next()?)?;
    let mut attributes = Attributes::new();
    for attribute in self::parts(parts.next()?)? {
        let mut pair = self::parts(attribute)?.into_iter();
        let name = text(pair.next()?)?.to_ascii_lowercase();
        let values: Vec<String> = self::parts(pair.next()?)?.into_iter().filter_map(text).collect();
        if name != "userpassword" && !values.is_empty() {
            attributes.entry(name).or_default().extend(values);
        }
    }
    Some(Found { dn, attributes })
}

/// As [`decode`], with every value as it stands, passwords and what is not UTF-8 included; the line is 0.
pub fn record(entry: StructureTag) -> Option<Record> {
    let mut parts = parts(entry)?.into_iter();
    let dn = text(parts.next()?)?;
    let mut attributes = Vec::new();
    for attribute in self::parts(parts.next()?)? {
        let mut pair = self::parts(attribute)?.into_iter();
        let name = text(pair.next()?)?;
        let values = self::parts(pair.next()?)?.into_iter().filter_map(bytes);
        attributes.extend(values.map(|value| (name.clone(), value)));
    }
    Some(Record { dn, attributes, line: 0 })
}

fn bytes(tag: StructureTag) -> Option<Vec<u8>> {
    match tag.payload {
        PL::P(bytes) => Some(bytes),
        PL::C(_) => None,
    }
}

fn parts(tag: StructureTag) -> Option<Vec<StructureTag>> {
    match tag.payload {
        PL::C(parts) => Some(parts),
        PL::P(_) => None,
    }
}

fn text(tag: StructureTag) -> Option<String> {
    match tag.payload {
        PL::P(bytes) => String::from_utf8(bytes).ok(),
        PL::C(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ldap3::asn1::TagClass;

    fn octets(bytes: &[u8]) -> StructureTag {
        StructureTag { class: TagClass::Universal, id: 4, payload: PL::P(bytes.to_vec()) }
    }

    fn list(parts: Vec<StructureTag>) -> StructureTag {
        StructureTag { class: TagClass::Universal, id: 16, payload: PL::C(parts) }
    }

    fn attribute(name: &str, values: &[&[u8]]) -> StructureTag {
        list(vec![octets(name.as_bytes()), list(values.iter().map(|value| octets(value)).collect())])
    }

    #[test]
    fn names_are_lower_case_bytes_are_left_out_passwords_too() {
        let entry = list(vec![
            octets("uid=jö,o=x".as_bytes()),
            list(vec![
                attribute("UID", &["jö".as_bytes()]),
                attribute("mailAutoReplyText;lang-JA", &[b"hai"]),
                attribute("cn", &[b"\xff\xfe", b"J"]),
                attribute("userPassword", &[b"{CLEAR}secret"]),
            ]),
        ]);
        let found = decode(entry).unwrap();
        assert_eq!(found.dn, "uid=jö,o=x");
        assert_eq!(found.attributes["uid"], ["jö"]);
        assert_eq!(found.attributes["mailautoreplytext;lang-ja"], ["hai"]);
        assert_eq!(found.attributes["cn"], ["J"]);
        assert!(!found.attributes.contains_key("userpassword"));
    }

    #[test]
    fn what_is_no_entry_is_nothing() {
        for wrong in [
            octets(b"x"),
            list(vec![]),
            list(vec![octets(b"\xff"), list(vec![])]),
            list(vec![octets(b"o=x"), octets(b"x")]),
            list(vec![octets(b"o=x"), list(vec![list(vec![octets(b"uid")])])]),
        ] {
            assert_eq!(decode(wrong), None);
        }
    }

    #[test]
    fn passwords_are_never_asked_for() {
        assert!(!WANTED.iter().any(|name| name.eq_ignore_ascii_case("userPassword")));
    }
}

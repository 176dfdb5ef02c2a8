//! Attributes that an entry may have, and the values of those that have few: what an administrator mistypes is noticed
//! when it is written, not when mail bounces. The LDAP servers' schema is in `etc/ldap`.

use base::access::Filters;
use base::access::filter::Form;

use crate::ldif::Record;
use crate::{AppPassword, recovery_codes};

/// Of people, groups and containers in general (RFC 4519, RFC 2798, RFC 4524), beside the mail system's own.
const GENERAL: &[&str] = &[
    "objectClass",
    "cn",
    "sn",
    "givenName",
    "initials",
    "uid",
    "o",
    "ou",
    "dc",
    "c",
    "l",
    "st",
    "street",
    "title",
    "description",
    "multiLineDescription",
    "displayName",
    "mail",
    "userPassword",
    "authPassword",
    "telephoneNumber",
    "mobile",
    "pager",
    "homePhone",
    "homePostalAddress",
    "facsimileTelephoneNumber",
    "postalAddress",
    "postalCode",
    "postOfficeBox",
    "roomNumber",
    "employeeNumber",
    "employeeType",
    "departmentNumber",
    "businessCategory",
    "carLicense",
    "manager",
    "secretary",
    "owner",
    "member",
    "uniqueMember",
    "memberURL",
    "seeAlso",
    "labeledURI",
    "jpegPhoto",
    "photo",
    "audio",
    "preferredLanguage",
    "userCertificate",
    "userSMIMECertificate",
    "userPKCS12",
    "x500UniqueIdentifier",
    "uidNumber",
    "gidNumber",
    "homeDirectory",
    "loginShell",
    "gecos",
    "memberUid",
    "aci",
    "createTimestamp",
    "modifyTimestamp",
    "creatorsName",
    "modifiersName",
    "entryUUID",
    "entryCSN",
    "nsUniqueId",
];

/// The mail system's (original.md 5.2, 5.3; `etc/ldap/mailboat.schema`).
const MAIL: &[&str] = &[
    "mailAccessDomain",
    "mailAdminRole",
    "mailAllowedServiceAccess",
    "mailAlternateAddress",
    "mailAppPassword",
    "mailTotpSecret",
    "mailRecoveryCode",
    "mailAutoReplyMode",
    "mailAutoReplyText",
    "mailDeliveryOption",
    "mailForwardingAddress",
    "mailHost",
    "mailMessageStore",
    "mailMsgQuota",
    "mailProgramDeliveryInfo",
    "mailQuota",
    "mailRequireAuth",
    "mailRoutingAddress",
    "mailUserStatus",
    "inetUserStatus",
    "mgrpAddHeader",
    "mgrpAllowedBroadcaster",
    "mgrpAllowedDomain",
    "mgrpApprovePassword",
    "mgrpBroadcasterPolicy",
    "mgrpDeliverException",
    "mgrpDeliverTo",
    "mgrpErrorsTo",
    "mgrpModerator",
    "mgrpMsgMaxSize",
    "mgrpMsgRejectAction",
    "mgrpMsgRejectText",
    "mgrpNoDuplicateChecks",
    "mgrpNoMatchAddrs",
    "mgrpRemoveHeader",
    "mgrpRFC822MailMember",
    "rfc822MailMember",
    "nsmsgDisallowAccess",
    "nsmsgNumMsgQuota",
    "nswmExtendedUserPrefs",
    "vacationStartDate",
    "vacationEndDate",
];

/// Whether the mail system's own schema has this attribute; options (`;lang-ja`, RFC 4512 §2.5) do not count.
pub fn is_of_mail(attribute: &str) -> bool {
    let name = attribute.split(';').next().unwrap_or(attribute);
    MAIL.iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// Values of attributes that have few, in lower case.
const WORDS: &[(&str, &[&str])] = &[
    ("mailDeliveryOption", &["mailbox", "native", "program"]),
    ("mailAutoReplyMode", &["vacation", "reply", "echo"]),
    ("nsmsgDisallowAccess", &["pop", "imap", "smtp", "http", "pop3", "imap4"]),
    ("mailUserStatus", &["active", "inactive", "deleted", "disabled", "hold", "overquota"]),
    ("inetUserStatus", &["active", "inactive", "deleted", "disabled", "hold", "overquota"]),
    ("mgrpMsgRejectAction", &["reply", "bounce", "tomoderator"]),
];

const NUMBERS: &[&str] = &["mailQuota", "mailMsgQuota", "nsmsgNumMsgQuota", "mgrpMsgMaxSize"];

const DATES: &[&str] = &["vacationStartDate", "vacationEndDate"];

/// Generalized time (RFC 4517 §3.3.13), or a day alone.
fn is_date(text: &str) -> bool {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number = |from: usize, length: usize| text.get(from..from + length)?.parse::<u32>().ok();
    let two =
        |from: usize, most: u32| digits < from + 2 || number(from, 2).is_some_and(|number| number <= most);
    let (Some(year), Some(month), Some(day)) = (number(0, 4), number(4, 2), number(6, 2)) else {
        return false;
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return false,
    };
    let zone = text[digits..].trim_start_matches(['.', ',']).trim_start_matches(|c: char| c.is_ascii_digit());
    let is_offset = |zone: &str| {
        let hours = zone.strip_prefix(['+', '-']).unwrap_or("");
        matches!(hours.len(), 2 | 4) && hours.bytes().all(|byte| byte.is_ascii_digit())
    };
    [8, 10, 12, 14].contains(&digits)
        && (1..=days).contains(&day)
        && two(8, 23)
        && two(10, 59)
        && two(12, 60)
        && (zone.is_empty() || zone == "Z" || is_offset(zone))
}

fn all() -> impl Iterator<Item = &'static str> {
    GENERAL.iter().chain(MAIL).copied()
}

/// Refuses an attribute that nobody knows, with the nearest one, and a value that the attribute cannot have.
///
/// # Errors
/// One line.
pub fn admit(attribute: &str, value: &[u8]) -> Result<(), String> {
    let bare = attribute.split(';').next().unwrap_or(attribute); // `mailAutoReplyText;lang-ja`
    let Some(name) = all().find(|known| known.eq_ignore_ascii_case(bare)) else {
        let near = nearest(bare).map_or(String::new(), |near| format!("; did you mean {near}?"));
        return Err(format!("{}: no such attribute{near}", base::escape(attribute)));
    };
    let text = String::from_utf8_lossy(value);
    if let Some((_, words)) = WORDS.iter().find(|(of, _)| *of == name) {
        let parts = text.split(',').filter(|_| name == "nsmsgDisallowAccess");
        let given: Vec<&str> = if name == "nsmsgDisallowAccess" { parts.collect() } else { vec![&text] };
        for word in given {
            if !words.contains(&word.trim().to_ascii_lowercase().as_str()) {
                return Err(format!(
                    "{name}: '{}' is none of: {}",
                    base::escape(word.trim()),
                    words.join(", ")
                ));
            }
        }
    }
    if name == "mailAccessDomain" {
        Filters::parse(&text, Form::Whole).map_err(|why| format!("{name}: {}", base::escape(&why)))?;
    }
    if name == "mailAppPassword" && AppPassword::parse(&text).is_none() {
        return Err("mailAppPassword: it cannot be read; dirutil app-password makes one".into());
    }
    if name == "mailRecoveryCode" && !recovery_codes::is_value(&text) {
        return Err("mailRecoveryCode: it cannot be read; dirutil second-factor makes them".into());
    }
    if DATES.contains(&name) && !is_date(text.trim()) {
        let text = base::escape(&text);
        return Err(format!("{name}: '{text}' is no date such as 20260815 or 20260815120000Z"));
    }
    if NUMBERS.contains(&name) && text.trim().parse::<i64>().is_err() {
        return Err(format!("{name}: '{}' is not a whole number", base::escape(&text)));
    }
    Ok(())
}

/// What is doubtful in a record of the file.
pub fn doubts(record: &Record) -> Vec<String> {
    let is = |name: &str| record.attributes.iter().any(|(have, _)| have.eq_ignore_ascii_case(name));
    let has_class = |class: &str| {
        record.attributes.iter().any(|(name, value)| {
            name.eq_ignore_ascii_case("objectClass") && value.eq_ignore_ascii_case(class.as_bytes())
        })
    };
    let mut doubts: Vec<String> =
        record.attributes.iter().filter_map(|(name, value)| admit(name, value).err()).collect();
    let user =
        ["nsMessagingServerUser", "mailRecipient", "inetMailUser"].iter().any(|class| has_class(class));
    let group = ["mailGroup", "inetMailGroup"].iter().any(|class| has_class(class));
    if user && !group && !is("uid") {
        doubts.push(format!(
            "{} is a user without uid: it cannot log in and gets no mail",
            base::escape(&record.dn)
        ));
    }
    if (user || group) && !is("mail") {
        doubts.push(format!("{} has no mail address: it gets no mail", base::escape(&record.dn)));
    }
    doubts.extend(other_uid(record));
    doubts
}

/// The dn says one uid, the attributes another.
fn other_uid(record: &Record) -> Option<String> {
    let (name, of_dn) = record.dn.split(',').next()?.split_once('=')?;
    let mut uids = record.attributes.iter().filter(|(have, _)| have.eq_ignore_ascii_case("uid")).peekable();
    if !name.trim().eq_ignore_ascii_case("uid") || uids.peek().is_none() {
        return None;
    }
    let same = uids.any(|(_, value)| value.eq_ignore_ascii_case(of_dn.trim().as_bytes()));
    (!same).then(|| format!("the uid of {} is another one than its dn says", base::escape(&record.dn)))
}

fn nearest(name: &str) -> Option<&'static str> {
    if name.len() > 60 {
        return None;
    }
    let lower = name.to_ascii_lowercase();
    let scored = all().map(|known| (base::distance(&lower, &known.to_ascii_lowercase()), known));
    scored.min().filter(|(far, _)| far * 3 <= name.len().saturating_add(1)).map(|(_, near)| near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_misspelt_is_refused_with_what_was_meant() {
        for (name, value, word) in [
            ("mailDeliveryOptin", "mailbox", "did you mean mailDeliveryOption?"),
            ("uuid", "x", "did you mean uid?"),
            ("qatsch", "1", "no such attribute"),
            ("mailDeliveryOption", "mailbocks", "none of: mailbox, native, program"),
            ("nsmsgDisallowAccess", "pop,imp", "'imp' is none of"),
            ("mailQuota", "much", "not a whole number"),
            ("vacationEndDate", "31.12.2020", "no date such as 20260815"),
            ("vacationEndDate", "2026-08-15", "no date such as"),
            ("vacationStartDate", "20260230", "no date such as"),
            ("vacationStartDate", "soon", "no date such as"),
        ] {
            let why = admit(name, value.as_bytes()).unwrap_err();
            assert!(why.contains(word), "{why}");
        }
        for (name, value) in [
            ("MAILDELIVERYOPTION", "Mailbox"),
            ("nsmsgDisallowAccess", "pop, smtp"),
            ("mailAutoReplyText;lang-ja", "x"),
            ("vacationEndDate", "20260815"),
            ("vacationEndDate", "20280229120000Z"),
            ("vacationEndDate", "20260301120000.5+0200"),
        ] {
            admit(name, value.as_bytes()).unwrap();
        }
    }

    #[test]
    fn every_attribute_of_the_ldap_schema_is_known() {
        let schema = include_str!("../../../etc/ldap/mailboat.schema");
        let classes = schema.find("objectclass").unwrap();
        let names = schema[..classes].split("NAME '").skip(1).map(|rest| rest.split('\'').next().unwrap());
        for name in names {
            assert!(all().any(|known| known == name), "{name}");
        }
    }

    #[test]
    fn records_that_nobody_understands_are_told() {
        let record = |text: &str| crate::ldif::parse(text.as_bytes()).unwrap().remove(0);
        let good = "dn: uid=carol,o=x\nobjectClass: mailRecipient\nuid: Carol\nmail: c@x.test\n";
        assert!(doubts(&record(good)).is_empty());
        let uuid = doubts(&record(&good.replace("uid: C", "uuid: C")));
        assert!(uuid.len() == 2 && uuid[1].contains("a user without uid"), "{uuid:?}");
        assert!(doubts(&record(&good.replace("uid=carol", "uid=caroline")))[0].contains("another one"));
        assert!(doubts(&record(&good.replace("mail: c@x.test", "cn: c")))[0].contains("no mail address"));
    }
}

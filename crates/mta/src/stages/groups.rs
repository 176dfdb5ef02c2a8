//! Groups: whether one takes a message, and who gets it then (original.md 5.3; the rules are in [`crate::group_rules`]).
//!
//! Members take the group's place in the envelope, where whoever has the message already is left out. When the group
//! changes something of it they get a copy ([`copies`]); else, the message as it is.

use directory::{DirectoryError, Entry as Account, Found};
use mail_format::header::header_length;

use crate::group_rules::{self, Post, Refused, Rules};
use crate::mta::Desk;
use crate::stages::account_handler::{CHAIN_MAX, Stands, expand};
use crate::stages::copies;
use crate::work::Work;

/// Puts the members of a group, or its moderators, in the recipient's place.
pub fn run(desk: &Desk, work: &mut Work, place: usize, group: &Account) {
    if work.ancestry(place).len() > CHAIN_MAX {
        return work.fail(place, "5.2.4", "too many groups one inside the other");
    }
    let rules = Rules::of(group);
    match judge(desk, work, &rules) {
        Err(why) => return work.delay(why),
        Ok(Err(refused)) => return refuse(desk, work, place, &rules, refused),
        Ok(Ok(())) => {}
    }
    let members = rules.members(group);
    if members.is_empty() {
        return work.fail(place, "5.1.1", "the group has no members");
    }
    let settings = &desk.settings;
    let copied = rules.changes_message()
        || settings.resent_from
        || settings.delivered_to
        || members.len() > settings.copy_recipients_max;
    expand(desk, work, place, members, "", Stands::Group { copied });
}

fn judge(desk: &Desk, work: &Work, rules: &Rules) -> Result<Result<(), Refused>, String> {
    let told = |why: DirectoryError| why.to_string();
    let envelope = &work.entry.envelope;
    let mut senders = Vec::new();
    if rules.restricts() {
        senders.extend(envelope.sender.clone());
        // What came through a group that may write here was allowed there.
        senders.extend(envelope.through.iter().cloned());
        if let Some(uid) = &envelope.auth_sender
            && let Found::One(user) = desk.directory.by_uid(uid).map_err(told)?
        {
            senders.extend(user.addresses().map(str::to_owned));
        }
    }
    let password = match rules.passwords.is_empty() {
        true => None,
        false => {
            let (_, start) = copies::open(&work.entry).map_err(|why| why.to_string())?;
            let (header, body) = start.split_at(header_length(&start));
            group_rules::password_in(header, body)
        }
    };
    let post = Post {
        bytes: envelope.message_size.saturating_sub(envelope.relay_offset),
        senders: &senders,
        is_logged_in: envelope.auth_sender.is_some(),
        password: password.as_deref(),
    };
    rules.judge(&post, |value| resolve(desk, value)).map_err(told)
}

/// The moderators have it, if there are any and the group says so; else its sender hears why not.
fn refuse(desk: &Desk, work: &mut Work, place: usize, rules: &Rules, refused: Refused) {
    let mut moderators = Vec::new();
    for value in rules.moderators.iter().filter(|_| rules.to_moderator) {
        match resolve(desk, value) {
            Ok(found) => moderators.extend(found),
            Err(why) => return work.delay(why.to_string()),
        }
    }
    match moderators.is_empty() {
        true => work.fail(place, refused.status, refused.text),
        false => expand(desk, work, place, moderators, "", Stands::Group { copied: false }),
    }
}

/// The addresses that a value of a group's attribute stands for: an address with or without `mailto:`, an LDAP URL, a DN.
///
/// # Errors
/// As the directory's.
pub fn resolve(desk: &Desk, value: &str) -> Result<Vec<String>, DirectoryError> {
    let mut found = looked_up(desk, value.trim())?;
    found.retain(|address| is_clean(address));
    Ok(found)
}

/// Whether an address of the directory may stand in a header as it is.
pub fn is_clean(address: &str) -> bool {
    !address.is_empty() && !address.contains(|c: char| c.is_control() || matches!(c, '<' | '>' | ' '))
}

fn looked_up(desk: &Desk, value: &str) -> Result<Vec<String>, DirectoryError> {
    let starts =
        |scheme: &str| value.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    if starts("ldap://") || starts("ldaps://") {
        return desk.directory.addresses_at(value);
    }
    let address = group_rules::plain(value);
    match address.split_once('@') {
        // `cn=a@b,o=x` is a DN.
        Some((local, _)) if !local.contains('=') || starts("mailto:") => Ok(vec![address.to_owned()]),
        _ if value.contains('=') => desk.directory.addresses_at(&format!("ldap:///{}", url_encoded(value))),
        _ => Ok(vec![format!("{address}@{}", desk.settings.domains.default_domain())]),
    }
}

/// RFC 3986 §2.1, for what has a meaning in an LDAP URL.
fn url_encoded(dn: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"=,.-_+@".contains(&byte);
    dn.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_an_address_or_a_url_and_no_second_line() {
        assert!(is_clean("a@b.test") && !is_clean("a@b.test\r\nBcc: c") && !is_clean(""));
        assert_eq!(url_encoded("uid=joe, o=Ace?"), "uid=joe,%20o=Ace%3f");
    }
}

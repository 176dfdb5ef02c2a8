//! Whom an automatic answer must not go to (RFC 3834 §2): lists, machines, bounces, oneself.

use directory::Entry as Account;
use mail_format::address::{Item, address_list};
use mail_format::{decode_words, header_field, header_fields};

use crate::autoreply::vacation::Mode;

/// Fields of the answered message in which the account must be named, for who is away.
const RECIPIENT_FIELDS: [&str; 6] = ["To", "Cc", "Bcc", "Resent-To", "Resent-Cc", "Resent-Bcc"];
/// Fields that only lists write, beside `List-*` (RFC 2369, RFC 2919).
const LIST_FIELDS: [&str; 4] = ["Mailing-List", "X-Mailing-List", "X-BeenThere", "X-List"];
/// Whole local parts behind which nobody reads.
const MACHINES: [&str; 8] = [
    "mailer-daemon",
    "listserv",
    "majordomo",
    "mailman",
    "noreply",
    "no-reply",
    "donotreply",
    "do-not-reply",
];

/// Why no answer is sent.
pub type Reason = &'static str;

/// Whether a message of `sender` with this header may be answered for `account`.
///
/// # Errors
/// Why not.
pub fn check(account: &Account, mode: Mode, sender: &str, header: &[u8]) -> Result<(), Reason> {
    check_sender(account, sender)?;
    check_header(header)?;
    if mode == Mode::Vacation && !names(account, header) {
        return Err("the account is not named in To or Cc");
    }
    Ok(())
}

fn check_sender(account: &Account, sender: &str) -> Result<(), Reason> {
    let Some((local, _)) = sender.rsplit_once('@') else { return Err("the sender has no domain") };
    if sender.chars().any(|c| c.is_control() || c == '<' || c == '>') {
        return Err("the sender is no address");
    }
    if account.has_address(sender) {
        return Err("the sender is the account itself");
    }
    let local = local.trim_matches('"').to_ascii_lowercase();
    // RFC 3834 §2, and the forms in which lists sign what may bounce (VERP).
    let of_list = local.starts_with("owner-")
        || ["-owner", "-request", "-errors", "-bounce", "-bounces"].iter().any(|end| local.ends_with(end))
        || local.contains("-bounces+")
        || local.contains("-return-");
    if of_list || MACHINES.contains(&local.as_str()) {
        return Err("the sender is a list or a machine");
    }
    Ok(())
}

fn check_header(header: &[u8]) -> Result<(), Reason> {
    let value =
        |name: &str| header_field(header, name).map(|value| decode_words(value).trim().to_ascii_lowercase());
    let first_word =
        |value: String| value.split([';', '(', ' ', '\t']).next().map(str::to_owned).unwrap_or_default();
    if value("Auto-Submitted").map(first_word).is_some_and(|word| word != "no") {
        return Err("the message was sent by a machine");
    }
    if header_fields(header).any(|(name, _)| name.len() > 5 && name[..5].eq_ignore_ascii_case(b"list-"))
        || LIST_FIELDS.iter().any(|name| header_field(header, name).is_some())
    {
        return Err("the message came over a list");
    }
    let bulk = ["bulk", "list", "junk"];
    if value("Precedence").map(first_word).is_some_and(|word| bulk.contains(&word.as_str())) {
        return Err("the message is bulk mail");
    }
    // Exchange's way of asking for no answer.
    let asked = value("X-Auto-Response-Suppress").unwrap_or_default();
    if asked.split(',').any(|word| ["all", "oof", "autoreply"].contains(&word.trim())) {
        return Err("the sender asks for no answer");
    }
    if value("X-Spam-Flag").map(first_word).is_some_and(|word| word == "yes") {
        return Err("the message is marked as junk");
    }
    if value("Content-Type").is_some_and(|kind| kind.starts_with("multipart/report")) {
        return Err("the message is a report");
    }
    Ok(())
}

/// Whether one of the account's addresses stands in a recipient field.
fn names(account: &Account, header: &[u8]) -> bool {
    let mut values = header_fields(header)
        .filter(|(name, _)| RECIPIENT_FIELDS.iter().any(|field| name.eq_ignore_ascii_case(field.as_bytes())));
    values.any(|(_, value)| {
        address_list(value).iter().any(|item| match item {
            Item::Mailbox { local, domain, .. } => {
                let (local, domain) = (String::from_utf8_lossy(local), String::from_utf8_lossy(domain));
                let base = local.split('+').next().unwrap_or(&local); // a sub-address is the same person
                account.has_address(&format!("{local}@{domain}"))
                    || account.has_address(&format!("{base}@{domain}"))
            }
            _ => false,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ways::tests::account;
    use proptest::prelude::*;

    fn verdict(mode: Mode, sender: &str, header: &str) -> Result<(), Reason> {
        let alice = account(&[("mailalternateaddress", "a.smith@example.test")]);
        check(&alice, mode, sender, header.as_bytes())
    }

    #[test]
    fn a_person_who_wrote_to_the_account_is_answered() {
        for header in [
            "To: Alice <alice@EXAMPLE.test>\r\n\r\n",
            "To: x@a.example\r\nCc: y@a.example,\r\n \"A.\" <A.Smith@example.test>\r\n\r\n",
            "To: alice+lists@example.test\r\n",
            "Resent-To: alice@example.test\r\nAuto-Submitted: no\r\nPrecedence: normal\r\n",
        ] {
            assert_eq!(verdict(Mode::Vacation, "bob@example.org", header), Ok(()), "{header}");
        }
    }

    #[test]
    fn lists_machines_bounces_and_oneself_are_not() {
        for sender in [
            "owner-list@a.example",
            "List-Request@a.example",
            "list-bounces+bob=b.example@a.example",
            "MAILER-DAEMON@a.example",
            "noreply@a.example",
            "alice@example.test",
            "A.SMITH@example.test",
            "nodomain",
            "a>b@a.example",
        ] {
            assert!(verdict(Mode::Reply, sender, "To: alice@example.test\r\n").is_err(), "{sender}");
        }
        for field in [
            "Auto-Submitted: auto-replied",
            "Auto-Submitted: auto-generated (by us); owner=x",
            "auto-submitted:",
            "List-Id: <all.example.org>",
            "LIST-POST: <mailto:all@example.org>",
            "X-Mailing-List: all",
            "Precedence: Bulk",
            "Precedence: list (or so)",
            "X-Auto-Response-Suppress: DR, OOF",
            "X-Spam-Flag: YES",
            "Content-Type: multipart/report; report-type=delivery-status",
        ] {
            let header = format!("To: alice@example.test\r\n{field}\r\n\r\n");
            assert!(verdict(Mode::Echo, "bob@example.org", &header).is_err(), "{field}");
        }
    }

    #[test]
    fn who_is_away_answers_only_what_names_the_account() {
        let group = "To: everybody@example.test\r\n\r\nTo: alice@example.test\r\n";
        assert!(verdict(Mode::Vacation, "bob@example.org", group).is_err());
        assert_eq!(verdict(Mode::Reply, "bob@example.org", group), Ok(()));
    }

    proptest! {
        #[test]
        fn no_header_is_too_strange(header in proptest::collection::vec(any::<u8>(), 0..300), sender in "\\PC{0,40}") {
            let _ = check(&account(&[]), Mode::Vacation, &sender, &header);
        }
    }
}

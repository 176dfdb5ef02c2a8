//! The ways in which an account gets its mail: `mailDeliveryOption` and `mailAutoReplyMode` (original.md 5.2).
//!
//! An account with one way, its mailbox, is delivered to as it stands in the envelope. For any other each way becomes a
//! recipient of its own, so that what was done is not done again when something else failed.

use directory::Entry as Account;

use crate::autoreply::vacation;

/// One way, as it is written down in the envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    Mailbox,
    /// unix-deliver
    Native,
    /// prog-deliver, with the value of `mailProgramDeliveryInfo`; empty when there is none.
    Program(String),
    AutoReply,
}

impl Way {
    /// The form in the envelope.
    pub fn encode(&self) -> String {
        match self {
            Way::Mailbox => "mailbox".into(),
            Way::Native => "native".into(),
            Way::Program(command) => format!("program {command}"),
            Way::AutoReply => "autoreply".into(),
        }
    }

    /// Reads that form.
    pub fn decode(text: &str) -> Option<Way> {
        match text {
            "mailbox" => Some(Way::Mailbox),
            "native" => Some(Way::Native),
            "autoreply" => Some(Way::AutoReply),
            _ => text.strip_prefix("program ").map(|command| Way::Program(command.to_owned())),
        }
    }
}

/// Every way of an account for a message of this sender, now. Without any, the mail is forwarded only.
pub fn of(account: &Account, sender: Option<&str>, now: i64) -> Vec<Way> {
    let mut ways = Vec::new();
    if account.delivery.mailbox {
        ways.push(Way::Mailbox);
    }
    if account.delivery.native {
        ways.push(Way::Native);
    }
    ways.extend(programs(account));
    // RFC 3834 §2: nothing that has the null sender is answered. The other rules need the message.
    if sender.is_some() && vacation::is_answering(account, now) {
        ways.push(Way::AutoReply);
    }
    ways
}

/// The programs of an account, each once.
pub fn programs(account: &Account) -> Vec<Way> {
    if !account.delivery.program {
        return Vec::new();
    }
    let values = account.attributes.get("mailprogramdeliveryinfo");
    let mut found: Vec<Way> = Vec::new();
    for command in values.into_iter().flatten().map(|value| value.trim()).filter(|value| !value.is_empty()) {
        let way = Way::Program(command.to_owned());
        if !found.contains(&way) {
            found.push(way);
        }
    }
    if found.is_empty() {
        found.push(Way::Program(String::new()));
    }
    found
}

/// Whether somebody gets the message by it; an answer to it is no delivery.
pub fn delivers(way: &Way) -> bool {
    *way != Way::AutoReply
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// A user with these attributes beside those that make one.
    pub fn account(attributes: &[(&str, &str)]) -> Account {
        let own = [("objectclass", "mailRecipient"), ("uid", "alice"), ("mail", "alice@example.test")];
        let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in own.iter().chain(attributes) {
            all.entry((*name).to_owned()).or_default().push((*value).to_owned());
        }
        Account::from_attributes("uid=alice", all).unwrap()
    }

    #[test]
    fn every_option_is_a_way_of_its_own() {
        let all = account(&[
            ("maildeliveryoption", "mailbox"),
            ("maildeliveryoption", "native"),
            ("maildeliveryoption", "program"),
            ("mailprogramdeliveryinfo", "sort -x"),
            ("mailprogramdeliveryinfo", "sort -x"),
            ("mailprogramdeliveryinfo", "count"),
            ("mailautoreplymode", "reply"),
        ]);
        let programs = ["sort -x", "count"].map(|command| Way::Program(command.into()));
        let expected = [vec![Way::Mailbox, Way::Native], programs.to_vec(), vec![Way::AutoReply]].concat();
        assert_eq!(of(&all, Some("x@a.example"), 0), expected);
        assert_eq!(of(&all, None, 0), expected[..4], "the null sender gets no answer");
        for way in expected {
            assert_eq!(Way::decode(&way.encode()), Some(way));
        }
    }

    #[test]
    fn a_program_that_is_not_named_is_an_error_and_no_silence() {
        let unnamed = account(&[("maildeliveryoption", "program")]);
        assert_eq!(of(&unnamed, None, 0), [Way::Program(String::new())]);
        let not_asked = account(&[("mailprogramdeliveryinfo", "sort")]);
        assert_eq!(of(&not_asked, None, 0), [Way::Mailbox]);
        assert_eq!(Way::decode("pigeon"), None);
    }
}

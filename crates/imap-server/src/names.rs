//! What a client calls a mailbox against what the store calls it (NMS: original.md 4.2).
//!
//! `INBOX` is `user/<uid>/INBOX` and `Work/2002` is `user/<uid>/Work/2002`. Those of others are
//! `Shared Folders/User/<other>/...`, for an administrator of the store `user/<other>/...`; those of nobody
//! `Shared Folders/...`. Both ways to say it are understood from everybody.

use std::borrow::Cow;

use imap_wire::{Mailbox, Naming};
use message_store::MailboxName;

use crate::refusal::Refusal;

/// The name in an argument.
///
/// # Errors
/// It is the modified UTF-7 of no name, or no UTF-8: such a mailbox cannot exist (RFC 3501 §5.1.3).
pub fn named(mailbox: &Mailbox) -> Result<&str, Refusal> {
    match mailbox {
        Mailbox::Named(name) => Ok(name),
        Mailbox::Undecodable => Err(Refusal::Cannot("The mailbox name is not in the encoding of names")),
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    pub uid: &'a str,
    pub is_admin: bool,
    /// Nobody in particular: reads, whatever the account may do.
    pub is_anybody: bool,
    /// What names are written in, when something is told of them.
    pub naming: Naming,
}

/// What a client calls the mailboxes that are not the user's. // NMS: original.md 4.8
pub const SHARED: &str = "Shared Folders";
/// Those of other users: `Shared Folders/User/<uid>/...`; all others below [`SHARED`] belong to nobody.
pub const OTHERS: &str = "Shared Folders/User";

impl Who<'_> {
    /// Whether the user may do everything with a mailbox, there or not: its owner, and administrators.
    pub fn has_all(self, name: &MailboxName) -> bool {
        self.is_admin || name.owner() == Some(self.uid)
    }

    /// Whether the user has \Seen apart from others there: everybody but the owner, and administrators in the owner's place.
    pub fn sees_apart(self, name: &MailboxName) -> bool {
        name.owner().is_none() || !self.has_all(name)
    }

    /// The uid of a user who has \Seen apart there.
    pub fn apart_in(&self, name: &MailboxName) -> Option<&str> {
        self.sees_apart(name).then_some(self.uid)
    }

    /// The store's name of what the client calls `name` (UTF-8, its encoding undone). Whether the user may do anything with
    /// it is for [`crate::Server::may`] to say.
    ///
    /// # Errors
    /// The name is not legal, or can be nobody's.
    pub fn to_store(self, name: &str) -> Result<MailboxName, Refusal> {
        if name.starts_with('/') {
            return Err(Refusal::Cannot("A mailbox name cannot begin with a separator"));
        }
        if name.is_empty() {
            return Err(Refusal::Cannot("A mailbox name cannot be empty"));
        }
        let legal = |name: &str| MailboxName::parse(name).map_err(|error| Refusal::Store(error.into()));
        if name == "user" || name == SHARED || name == OTHERS {
            return Err(Refusal::NoSuchMailbox);
        }
        if name.starts_with("user/") {
            return legal(name);
        }
        match name.strip_prefix(SHARED).and_then(|rest| rest.strip_prefix('/')) {
            None => legal(&format!("user/{}/{name}", self.uid)),
            Some(rest) => match rest.strip_prefix("User/") {
                Some(of_user) => legal(&format!("user/{of_user}")),
                None if rest == "user" || rest.starts_with("user/") => Err(Refusal::NoSuchMailbox),
                None => legal(rest),
            },
        }
    }

    /// A name that is to be: in UTF-8 the client gets its composed form, and is told so (RFC 9755 §3, RFC 9051 §6.3.4).
    /// Modified UTF-7 is taken as it is.
    pub fn composed<'n>(self, name: &'n str) -> Cow<'n, str> {
        match self.naming {
            Naming::Utf8 => base::idn::nfc(name),
            Naming::ModifiedUtf7 => Cow::Borrowed(name),
        }
    }

    /// What the client calls this mailbox.
    pub fn to_client(self, name: &MailboxName) -> String {
        let full = name.as_str();
        let Some(of_user) = full.strip_prefix("user/") else { return format!("{SHARED}/{full}") };
        match of_user.strip_prefix(self.uid).and_then(|rest| rest.strip_prefix('/')) {
            // What would be taken for somebody else's has its whole name.
            Some(own) if !is_below(own, "user") && !is_below(own, SHARED) => own.to_owned(),
            Some(_) => full.to_owned(),
            None if self.is_admin => full.to_owned(),
            None => format!("{OTHERS}/{of_user}"),
        }
    }
}

/// Whether a name is a level or below it.
pub fn is_below(name: &str, level: &str) -> bool {
    name.strip_prefix(level).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Bytes of a LIST pattern: more than the longest name has.
pub const PATTERN_BYTES_MAX: usize = 6000;
/// What may be compared, in bytes of patterns times bytes of names, before others have their turn: some 10 ms.
pub const COST_MAX: usize = 20_000_000;

/// A LIST pattern. INBOX is the only name that matches in any case (RFC 3501 §5.1).
#[derive(Clone, Debug)]
pub struct Pattern {
    written: String,
    /// With its first level in upper case, when that is INBOX in another case.
    inbox: Option<String>,
}

impl Pattern {
    /// The pattern that a reference and a name with wildcards make together: one after the other.
    ///
    /// # Errors
    /// It is longer than any name.
    pub fn read(reference: &str, name: &str) -> Result<Pattern, Refusal> {
        if reference.len().saturating_add(name.len()) > PATTERN_BYTES_MAX {
            return Err(Refusal::Limit("The pattern is too long"));
        }
        Ok(Pattern::new(reference, name))
    }

    fn new(reference: &str, name: &str) -> Pattern {
        let written = format!("{reference}{name}");
        let inbox = written
            .get(..5)
            .filter(|start| start.eq_ignore_ascii_case("INBOX"))
            .map(|_| format!("INBOX{}", &written[5..]));
        Pattern { written, inbox }
    }

    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// What every name that matches begins with.
    pub fn fixed_start(&self) -> &str {
        self.written.split(['*', '%']).next().unwrap_or("")
    }

    /// What [`Pattern::matches`] costs at most.
    pub fn cost(&self, name: &str) -> usize {
        let patterns = 1 + usize::from(self.inbox.is_some());
        (patterns * self.written.len()).saturating_mul(name.len()).saturating_add(1000)
    }

    pub fn matches(&self, name: &str) -> bool {
        let of_inbox =
            name.strip_prefix("INBOX").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let inbox = self.inbox.as_ref().filter(|_| of_inbox);
        matches(&self.written, name) || inbox.is_some_and(|pattern| matches(pattern, name))
    }
}

/// Whether `name` matches a LIST pattern: `*` anything, `%` anything within one level (RFC 3501 §6.3.8).
/// Time is at most the length of the pattern and the square of that of the name: wildcards in a row count as one, and a
/// pattern that has used up the name is given up.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let mut reachable = vec![false; name.len() + 1];
    reachable[0] = true;
    let mut before = 0u8;
    for &byte in pattern {
        match byte {
            b'*' | b'%' => {
                if before == b'*' || before == byte {
                    continue; // `*%` and `**` are `*`
                }
                before = byte;
                for at in 0..name.len() {
                    if reachable[at] && (byte == b'*' || name[at] != b'/') {
                        reachable[at + 1] = true;
                    }
                }
            }
            _ => {
                before = 0;
                for at in (0..name.len()).rev() {
                    reachable[at + 1] = reachable[at] && name[at] == byte;
                }
                reachable[0] = false;
            }
        }
        if !reachable.contains(&true) {
            return false;
        }
    }
    reachable[name.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOE: Who<'_> = Who { uid: "joe", is_admin: false, is_anybody: false, naming: Naming::Utf8 };

    #[test]
    fn names_go_to_the_store_and_back() {
        for (client, store) in [("inbox", "user/joe/INBOX"), ("Work/2002", "user/joe/Work/2002")] {
            let name = JOE.to_store(client).unwrap();
            assert_eq!(name.as_str(), store);
        }
        let name = MailboxName::parse("user/joe/Work/2002").unwrap();
        assert_eq!(JOE.to_client(&name), "Work/2002");
        assert_eq!(Who { uid: "jo", is_admin: true, ..JOE }.to_client(&name), "user/joe/Work/2002");
    }

    #[test]
    fn names_of_others_and_of_nobody_go_to_the_store_and_back() {
        let admin = Who { is_admin: true, ..JOE };
        for (client, store, by_admin) in [
            ("Shared Folders/User/amy/Work", "user/amy/Work", "user/amy/Work"),
            ("Shared Folders/User/amy/INBOX", "user/amy/INBOX", "user/amy/INBOX"),
            ("Shared Folders/News/2002", "News/2002", "Shared Folders/News/2002"),
            ("Shared Folders/Users", "Users", "Shared Folders/Users"),
            ("user/joe/Shared Folders/x", "user/joe/Shared Folders/x", "user/joe/Shared Folders/x"),
            ("user/joe/user/x", "user/joe/user/x", "user/joe/user/x"),
        ] {
            let name = JOE.to_store(client).unwrap();
            assert_eq!(name.as_str(), store);
            assert_eq!((JOE.to_client(&name).as_str(), admin.to_client(&name).as_str()), (client, by_admin));
        }
        assert_eq!(JOE.to_store("Shared Folders/User/amy").unwrap().as_str(), "user/amy/INBOX");
        for nobodys in ["Shared Folders", "Shared Folders/User", "user", "Shared Folders/user/amy/Work"] {
            assert!(matches!(JOE.to_store(nobodys), Err(Refusal::NoSuchMailbox)), "{nobodys}");
        }
    }

    #[test]
    fn owners_and_administrators_have_all() {
        let name = |text| MailboxName::parse(text).unwrap();
        assert!(JOE.has_all(&name("user/joe/Work")) && !JOE.has_all(&name("user/joey/Work")));
        assert!(!JOE.has_all(&name("joe")) && Who { is_admin: true, ..JOE }.has_all(&name("News")));
    }

    #[test]
    fn hostile_names_are_refused() {
        for name in
            ["../x", "a/../b", "a//b", "/x", ".", "", "a/", &"x".repeat(256), &vec!["a"; 200].join("/")]
        {
            assert!(JOE.to_store(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn only_inbox_matches_in_any_case() {
        assert!(Pattern::new("", "inbox").matches("INBOX"));
        assert!(Pattern::new("in", "box/%").matches("INBOX/a"));
        assert!(Pattern::new("", "inbox*").matches("inboxes"));
        assert!(!Pattern::new("", "inboxes").matches("INBOXes"));
        assert!(!Pattern::new("", "work").matches("Work"));
    }

    #[test]
    fn patterns_match_as_the_standard_says_in_linear_time() {
        for (pattern, name, expected) in [
            ("*", "a/b", true),
            ("%", "a/b", false),
            ("%/%", "a/b", true),
            ("a*", "a", true),
            ("", "", true),
            ("a", "b", false),
            ("*b", "a/b", true),
            ("%b", "a/b", false),
            ("*%b", "a/b", true),
            ("%*b", "a/b", true),
            ("%%", "a/b", false),
            ("a%%/*%b", "a/b", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
        let begun = std::time::Instant::now();
        for pattern in ["%*", "a*", "*a", "%a", "%/"] {
            assert!(!matches(&(pattern.repeat(1_000_000) + "z"), &"a".repeat(255)));
        }
        // It takes a moment; tried every way it would take longer than anybody lives.
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{:?}", begun.elapsed());
    }
}

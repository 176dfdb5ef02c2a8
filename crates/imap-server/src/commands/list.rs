//! LIST: names by pattern, in pages of the mailbox list (RFC 3501 §6.3.8, RFC 3348, RFC 6154).

use connection::Output;
use message_store::{Listed, MailboxName, Store};

use crate::answer;
use crate::commands::Progress;
use crate::names::{COST_MAX, Pattern, Who};
use crate::refusal::Refusal;

/// Names that are read from the list at once.
const PAGE: usize = 100;

/// A LIST under way. The next page begins after the last name seen.
pub struct List {
    pattern: Pattern,
    after: Option<MailboxName>,
    prefix: String,
}

impl List {
    /// Own mailboxes, or, for a pattern that begins with `user/`, those of everybody when an administrator asks.
    pub fn new(pattern: Pattern, who: Who<'_>) -> List {
        let prefix = if who.is_admin && pattern.as_str().starts_with("user/") {
            "user/".to_owned()
        } else {
            format!("user/{}/", who.uid)
        };
        List { pattern, after: None, prefix }
    }

    /// Writes names until the queue is full.
    pub fn step(&mut self, store: &Store, who: Who<'_>, out: &mut Output) -> Result<Progress, Refusal> {
        if out.is_full() {
            return Ok(Progress::More);
        }
        let page = store.list(&self.prefix, self.after.as_ref(), PAGE)?;
        let last_page = page.len() < PAGE;
        let mut cost = 0;
        for listed in page {
            if out.is_full() || cost >= COST_MAX {
                return Ok(Progress::More); // the next page begins here
            }
            cost += self.pattern.cost(listed.name.as_str());
            self.name(store, &listed, who, out)?;
            self.after = Some(listed.name);
        }
        Ok(if last_page { Progress::Done } else { Progress::More })
    }

    fn name(&self, store: &Store, listed: &Listed, who: Who<'_>, out: &mut Output) -> Result<(), Refusal> {
        let everybody = self.prefix == "user/";
        let name = if everybody { listed.name.as_str() } else { who.to_client(&listed.name) };
        if !self.pattern.matches(name) {
            return Ok(());
        }
        let has_children = if listed.name.is_inbox() {
            // In the store all mailboxes of a user are below INBOX; for the client only INBOX/... are.
            listed.has_children && !store.list(&format!("{}/", listed.name.as_str()), None, 1)?.is_empty()
        } else {
            listed.has_children
        };
        out.push(b"* LIST (");
        out.push(if has_children { b"\\HasChildren" } else { b"\\HasNoChildren" });
        if !listed.selectable {
            out.push(b" \\Noselect");
        }
        if let Some(special_use) = listed.special_use {
            out.push(b" ");
            out.push(special_use.attribute().as_bytes());
        }
        out.push(b") \"/\" ");
        answer::name(out, name);
        out.push(b"\r\n");
        Ok(())
    }
}

/// An empty name asks for the separator and the root of the reference (RFC 3501 §6.3.8).
pub fn root(out: &mut Output) {
    out.push(b"* LIST (\\Noselect) \"/\" \"\"\r\n");
}

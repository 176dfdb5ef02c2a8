//! LIST, LSUB: names by pattern, in pages of the mailbox list (RFC 3501 §6.3.8, §6.3.9, RFC 3348, RFC 6154).

use connection::Output;
use message_store::{Listed, MailboxName, Store};

use crate::answer;
use crate::commands::fetch::Progress;
use crate::names::{self, Who};
use crate::refusal::Refusal;

/// Names that are read from the list at once.
const PAGE: usize = 500;

/// A LIST under way. The next page begins after the last name seen.
pub struct List {
    pub tag: Box<[u8]>,
    /// Reference and pattern joined, UTF-8; INBOX in upper case.
    pattern: String,
    after: Option<MailboxName>,
    prefix: String,
}

impl List {
    /// Own mailboxes, or, for a pattern that begins with `user/`, those of everybody when an administrator asks.
    pub fn new(tag: &[u8], reference: &str, pattern: &str, who: Who<'_>) -> List {
        let mut pattern = format!("{reference}{pattern}");
        if pattern.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("INBOX")) {
            pattern.replace_range(..5, "INBOX");
        }
        let prefix = if who.is_admin && pattern.starts_with("user/") {
            "user/".to_owned()
        } else {
            format!("user/{}/", who.uid)
        };
        List { tag: tag.into(), pattern, after: None, prefix }
    }

    /// Writes names until the queue is full. `encode` makes a name what is sent (modified UTF-7).
    pub fn step(
        &mut self,
        store: &Store,
        who: Who<'_>,
        encode: fn(&str) -> String,
        out: &mut Output,
    ) -> Result<Progress, Refusal> {
        loop {
            if out.is_full() {
                return Ok(Progress::More);
            }
            let page = store.list(&self.prefix, self.after.as_ref(), PAGE)?;
            let last_page = page.len() < PAGE;
            for listed in &page {
                self.name(listed, who, encode, out);
            }
            self.after = page.into_iter().next_back().map(|listed| listed.name);
            if last_page {
                return Ok(Progress::Done);
            }
        }
    }

    fn name(&self, listed: &Listed, who: Who<'_>, encode: fn(&str) -> String, out: &mut Output) {
        let everybody = self.prefix == "user/";
        let name = if everybody { listed.name.as_str() } else { who.to_client(&listed.name) };
        if !names::matches(&self.pattern, name) {
            return;
        }
        out.push(b"* LIST (");
        out.push(if listed.has_children { b"\\HasChildren" } else { b"\\HasNoChildren" });
        if !listed.selectable {
            out.push(b" \\Noselect");
        }
        if let Some(special_use) = listed.special_use {
            out.push(b" ");
            out.push(special_use.attribute().as_bytes());
        }
        out.push(b") \"/\" ");
        answer::string(out, encode(name).as_bytes());
        out.push(b"\r\n");
    }
}

/// LSUB: the subscribed names that match; with `%` also the levels above them, as \Noselect (RFC 3501 §6.3.9).
pub fn lsub(
    store: &Store,
    who: Who<'_>,
    pattern: &str,
    encode: fn(&str) -> String,
    out: &mut Output,
) -> Result<(), Refusal> {
    let subscribed = store.subscriptions(who.uid)?;
    let mut parents: Vec<&str> = Vec::new();
    for name in &subscribed {
        if names::matches(pattern, name) {
            lsub_row(out, "", &encode(name));
            continue;
        }
        if !pattern.ends_with('%') {
            continue;
        }
        for (at, _) in name.match_indices('/') {
            let parent = &name[..at];
            let known = parents.contains(&parent) || subscribed.iter().any(|one| one == parent);
            if !known && names::matches(pattern, parent) {
                parents.push(parent);
                lsub_row(out, "\\Noselect", &encode(parent));
            }
        }
    }
    Ok(())
}

fn lsub_row(out: &mut Output, attributes: &str, name: &str) {
    out.push(b"* LSUB (");
    out.push(attributes.as_bytes());
    out.push(b") \"/\" ");
    answer::string(out, name.as_bytes());
    out.push(b"\r\n");
}

//! The tree of the mailboxes, and how many emails and threads there are in each (RFC 8621 §2).

use message_store::MailboxName;

use super::{Email, Inner, MailboxView, NONE};

impl Inner {
    /// What the user calls a mailbox: the last level of its name; or, where levels above it are not seen, from those on.
    pub fn display_name<'v>(&self, view: &'v MailboxView) -> &'v str {
        let name = &view.listed.name;
        if name.is_inbox() {
            return "Inbox";
        }
        let above = self.parent(view).map(|parent| &parent.listed.name);
        let own = match (above, name.owner()) {
            (Some(above), _) if name.visible_parent().as_ref() != Some(above) => {
                name.as_str().strip_prefix(above.as_str())
            }
            (None, Some(owner)) if name.visible_parent().is_some() => {
                name.as_str().strip_prefix("user/").and_then(|rest| rest.strip_prefix(owner))
            }
            (None, None) => Some(name.as_str()),
            _ => None,
        };
        own.map_or(name.leaf(), |own| own.trim_start_matches('/'))
    }

    /// The mailbox of a name.
    pub fn mailbox_by_name(&self, name: &MailboxName) -> Option<(u16, &MailboxView)> {
        self.mailboxes().find(|(_, view)| view.listed.name == *name)
    }

    /// The nearest mailbox above; nothing at the top. Of others not every level is seen.
    pub fn parent(&self, view: &MailboxView) -> Option<&MailboxView> {
        let mut above = view.listed.name.visible_parent();
        while let Some(name) = above {
            if let Some((_, parent)) = self.mailbox_by_name(&name) {
                return Some(parent);
            }
            above = name.visible_parent();
        }
        None
    }

    /// Whether there are mailboxes below.
    pub fn has_children(&self, view: &MailboxView) -> bool {
        let name = view.listed.name.as_str();
        let is_below = |other: &str| other.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'));
        self.mailboxes().any(|(_, other)| is_below(other.listed.name.as_str()))
    }

    /// The role, which only one mailbox has: of several with one special use the first by name (RFC 8621 §2).
    pub fn role(&self, number: u16, view: &MailboxView) -> Option<&'static str> {
        let role = view.role()?;
        let with_role = self.mailboxes().filter(|(_, other)| other.role() == Some(role));
        let first = with_role.min_by(|(_, one), (_, other)| one.listed.name.cmp(&other.listed.name));
        first.filter(|(first, _)| *first == number).map(|_| role)
    }

    fn emails_in(&self, number: u16) -> impl Iterator<Item = (u32, &Email)> {
        let rows = self.mailbox(number).into_iter().flat_map(MailboxView::messages);
        rows.filter_map(move |(slot, row)| {
            let email = self.email(row.email)?;
            // The same message twice in one mailbox is one email.
            let first = self.rows(email).find(|(of, ..)| *of == number);
            (first.is_some_and(|(_, first, ..)| first == slot)).then_some((row.email, email))
        })
    }

    pub fn total_emails(&self, number: u16) -> usize {
        self.emails_in(number).count()
    }

    pub fn unread_emails(&self, number: u16) -> usize {
        self.emails_in(number).filter(|(_, email)| self.is_unread(email)).count()
    }

    /// Threads of which at least one email is in the mailbox.
    pub fn total_threads(&self, number: u16) -> usize {
        self.threads_in(number).len()
    }

    fn threads_in(&self, number: u16) -> Vec<u32> {
        let mut threads: Vec<u32> =
            self.emails_in(number).map(|(_, email)| email.thread).filter(|thread| *thread != NONE).collect();
        threads.sort_unstable();
        threads.dedup();
        threads
    }

    /// Of those, the ones with an unread email, in this mailbox or not. What is only in the trash counts for the trash alone,
    /// and nothing else counts there.
    pub fn unread_threads(&self, number: u16, is_trash: bool) -> usize {
        let trash = self.mailboxes().find(|(number, view)| self.role(*number, view) == Some("trash"));
        let trash = trash.map(|(number, _)| number);
        let counts = |email: &Email| {
            let mut rows = self.rows(email);
            match is_trash {
                true => rows.any(|(of, ..)| of == number),
                false => rows.any(|(of, ..)| Some(of) != trash),
            }
        };
        let Some(threads) = &self.threads else { return 0 };
        let has_unread = |thread: &u32| {
            let emails = threads.emails(*thread).iter().filter_map(|email| self.email(*email));
            let mut there = emails.filter(|email| self.is_there(email));
            there.any(|email| self.is_unread(email) && counts(email))
        };
        self.threads_in(number).iter().filter(|thread| has_unread(thread)).count()
    }
}

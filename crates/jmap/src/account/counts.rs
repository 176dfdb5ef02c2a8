//! The tree of the mailboxes, and how many emails and threads there are in each (RFC 8621 §2).

use message_store::MailboxName;

use super::{Email, Inner, MailboxView, NONE};

impl MailboxView {
    /// What the user calls it: the last level of its name.
    pub fn display_name(&self) -> &str {
        if self.listed.name.is_inbox() { "Inbox" } else { self.listed.name.leaf() }
    }
}

impl Inner {
    /// The mailbox of a name.
    pub fn mailbox_by_name(&self, name: &MailboxName) -> Option<(u16, &MailboxView)> {
        self.mailboxes().find(|(_, view)| view.listed.name == *name)
    }

    /// The mailbox above; nothing at the top.
    pub fn parent(&self, view: &MailboxView) -> Option<&MailboxView> {
        let above = view.listed.name.visible_parent()?;
        self.mailbox_by_name(&above).map(|(_, parent)| parent)
    }

    /// The mailboxes directly below.
    pub fn children<'i>(&'i self, view: &'i MailboxView) -> impl Iterator<Item = &'i MailboxView> {
        self.mailboxes()
            .map(|(_, child)| child)
            .filter(|child| child.listed.name.visible_parent().as_ref() == Some(&view.listed.name))
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

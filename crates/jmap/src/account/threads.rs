//! Which emails are one conversation. The id of a thread is a function of the message alone ([`mail_format::thread_id`]), so
//! it is found without a look at other messages, is the same for ever, and IMAP says the same (THREADID, RFC 8474).

use std::collections::HashMap;

use super::{Email, Inner, NONE};

/// All threads of an account.
#[derive(Default)]
pub struct Threads {
    numbers: HashMap<[u8; 16], u32>,
    /// By number: id and emails, of which some may be gone.
    all: Vec<([u8; 16], Vec<u32>)>,
}

impl Threads {
    pub fn id(&self, number: u32) -> Option<&[u8; 16]> {
        self.all.get(number as usize).map(|(id, _)| id)
    }

    pub fn number(&self, id: &[u8; 16]) -> Option<u32> {
        self.numbers.get(id).copied()
    }

    /// Emails that are or were in it.
    pub fn emails(&self, number: u32) -> &[u32] {
        self.all.get(number as usize).map_or(&[], |(_, emails)| emails)
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    fn add(&mut self, id: [u8; 16], email: u32) -> u32 {
        let next = self.all.len() as u32;
        let number = *self.numbers.entry(id).or_insert(next);
        if number == next {
            self.all.push((id, Vec::new()));
        }
        self.all[number as usize].1.push(email);
        number
    }
}

impl Inner {
    /// Takes the threads of emails by number, of an epoch; the headers of the others, which are few, are looked at.
    pub(super) fn find_threads(&mut self, epoch: u64, ids: Vec<Option<[u8; 16]>>) {
        if self.threads.is_some() {
            return;
        }
        self.threads = Some(Threads::default());
        if epoch == self.epoch {
            (0..).zip(ids).for_each(|(number, id)| self.put_into_thread(number, id));
        }
        (0..self.emails.len() as u32).for_each(|number| self.find_thread(number));
    }

    /// The threads of what is new, once threads are known at all.
    pub(super) fn note_threads(&mut self, emails: &[u32]) {
        if self.threads.is_some() {
            emails.iter().for_each(|number| self.find_thread(*number));
        }
    }

    fn find_thread(&mut self, number: u32) {
        let email = &self.emails[number as usize];
        if email.thread != NONE {
            return;
        }
        let id = self.thread_id(email);
        self.put_into_thread(number, id);
    }

    fn put_into_thread(&mut self, number: u32, id: Option<[u8; 16]>) {
        let Some(id) = id else { return };
        if let Some(threads) = self.threads.as_mut() {
            let thread = threads.add(id, number);
            self.emails[number as usize].thread = thread;
        }
    }

    /// The id of an email's thread; nothing when the message is gone.
    pub fn thread_id(&self, email: &Email) -> Option<[u8; 16]> {
        let known = self.threads.as_ref().and_then(|threads| threads.id(email.thread));
        if let Some(id) = known {
            return Some(*id);
        }
        let (_, slot, view, row) = self.rows(email).next()?;
        let header = crate::email::message::header(view.mailbox.as_ref()?, slot, row.uid).ok()??;
        Some(mail_format::thread_id(&header, &email.guid))
    }

    /// The emails of a thread that are there, oldest first (RFC 8621 §3); with [`Inner::threads`] only.
    pub fn thread_emails(&self, thread: u32) -> Vec<u32> {
        let Some(threads) = &self.threads else { return Vec::new() };
        let there = |number: &u32| self.email(*number).is_some_and(|email| self.is_there(email));
        let mut emails: Vec<u32> = threads.emails(thread).iter().copied().filter(there).collect();
        emails.sort_by_key(|number| self.email(*number).map(|email| (email.received_ns, email.guid)));
        emails.dedup();
        emails
    }
}

//! A running IMAP server as the source. A connection that breaks is made anew; a message that cannot be had twice is told, and
//! the others go on.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use imap_client::{BodySink, Credentials, Fetched, ImapError, ListedMailbox, Namespaces, Server, Session};
use message_store::{Flags, SpecialUse};

use super::source::{Folder, Folders, Keywords, Listing, Marks, Message, Source, Trouble};
use super::taker::Taker;

/// How often a connection is tried, and how long to wait in between.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(2);

pub struct Imap {
    server: Server,
    credentials: Credentials,
    size_max: u64,
    session: Option<Session>,
    /// The mailbox that is open, and its UIDVALIDITY.
    open: Option<(String, Option<u32>)>,
}

impl Imap {
    pub fn new(server: Server, credentials: Credentials, size_max: u64) -> Imap {
        Imap { server, credentials, size_max, session: None, open: None }
    }

    fn connect(&mut self) -> Result<&mut Session, ImapError> {
        if self.session.is_none() {
            let mut session = Session::connect(&self.server)?;
            session.log_in(&self.credentials)?;
            self.open = None;
            self.session = Some(session);
        }
        self.session.as_mut().ok_or(ImapError::Malformed("no session"))
    }

    /// Runs something, again on a new connection when the old one broke.
    fn persist<T>(
        &mut self,
        mut what: impl FnMut(&mut Session) -> Result<T, ImapError>,
    ) -> Result<T, ImapError> {
        for attempt in 1.. {
            let done = self.connect().and_then(&mut what);
            match done {
                Err(why) if why.ends_session() && attempt < ATTEMPTS => {
                    self.session = None;
                    std::thread::sleep(PAUSE);
                }
                other => return other,
            }
        }
        Err(ImapError::TimedOut)
    }

    fn told(&self, why: &ImapError) -> String {
        format!("{}: {why}", base::escape(&self.server.host))
    }

    /// Opens a mailbox that was listed before.
    fn reopen(&mut self, folder: &str, uid_validity: Option<u32>) -> Result<(), String> {
        let name = folder.to_owned();
        self.connect().map_err(|why| why.to_string())?;
        if self.open.as_ref().is_none_or(|(open, _)| *open != name) {
            let selected = self.persist(|session| session.examine(&name)).map_err(|why| why.to_string())?;
            self.open = Some((name, selected.uid_validity));
        }
        match &self.open {
            Some((_, now)) if *now == uid_validity => Ok(()),
            _ => Err("its UIDVALIDITY changed; run it again".into()),
        }
    }
}

impl Drop for Imap {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            session.leave();
        }
    }
}

/// Where the mailboxes of the user are among all names.
struct Own {
    /// What the personal ones begin with, longest first.
    personal: Vec<String>,
    others: Vec<String>,
}

impl Own {
    fn of(namespaces: &Namespaces, listed: &[ListedMailbox]) -> Own {
        let mut personal: Vec<String> = namespaces
            .personal
            .iter()
            .map(|(prefix, _)| prefix.clone())
            .filter(|prefix| !prefix.is_empty())
            .collect();
        if namespaces.personal.is_empty() {
            // A server that does not tell, and has everything below the INBOX.
            let below = listed.iter().filter(|one| !one.name.eq_ignore_ascii_case("INBOX")).map(|one| {
                let divider = one.divider?;
                let prefix = format!("INBOX{divider}");
                one.name
                    .get(..prefix.len())
                    .filter(|start| start.eq_ignore_ascii_case(&prefix))
                    .map(|_| prefix)
            });
            let below: Option<Vec<String>> = below.collect();
            personal.extend(below.unwrap_or_default().into_iter().next());
        }
        personal.sort_by_key(|prefix| std::cmp::Reverse(prefix.len()));
        let others = namespaces.others.iter().filter(|prefix| !prefix.is_empty()).cloned().collect();
        Own { personal, others }
    }

    /// Levels of the name here; nothing for what is not the user's.
    fn levels(&self, one: &ListedMailbox) -> Option<Vec<String>> {
        if one.name.eq_ignore_ascii_case("INBOX") {
            return Some(vec!["INBOX".into()]);
        }
        let own = self.personal.iter().find_map(|prefix| strip(&one.name, prefix));
        if own.is_none() && self.others.iter().any(|prefix| one.name.starts_with(prefix.as_str())) {
            return None;
        }
        let rest = own.unwrap_or(&one.name);
        let levels = match one.divider {
            Some(divider) => rest.split(divider).filter(|level| !level.is_empty()).map(decoded).collect(),
            None => vec![decoded(rest)],
        };
        Some(levels).filter(|levels: &Vec<String>| !levels.is_empty())
    }
}

/// A prefix that begins with INBOX is there in any case (RFC 3501 §5.1).
fn strip<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    let start = name.get(..prefix.len())?;
    let is_same = start == prefix || prefix.starts_with("INBOX") && start.eq_ignore_ascii_case(prefix);
    is_same.then(|| &name[prefix.len()..])
}

fn decoded(level: &str) -> String {
    imap_wire::utf7::decode(level.as_bytes()).unwrap_or_else(|| level.to_owned())
}

fn use_of(one: &ListedMailbox) -> Option<SpecialUse> {
    one.attributes.iter().find_map(|attribute| SpecialUse::parse(attribute))
}

impl Source for Imap {
    fn folders(&mut self) -> Result<Folders, String> {
        let asked =
            self.persist(|session| Ok((session.namespaces()?, session.list()?, session.subscribed()?)));
        let (namespaces, listed, subscribed) = asked.map_err(|why| self.told(&why))?;
        let own = Own::of(&namespaces, &listed);
        let mut found = Folders::default();
        for one in &listed {
            if one.has("\\Noselect") || one.has("\\NonExistent") {
                continue;
            }
            let Some(levels) = own.levels(one) else { continue };
            let estimate = self.persist(|session| session.count(&one.name));
            let estimate = match estimate {
                Err(why) if why.ends_session() => return Err(self.told(&why)),
                other => other.unwrap_or(0), // said when it is opened
            };
            found.folders.push(Folder { id: one.name.clone(), levels, special_use: use_of(one), estimate });
        }
        found.subscriptions = subscribed.iter().filter_map(|one| own.levels(one)).collect();
        Ok(found)
    }

    fn list(&mut self, folder: &Folder) -> Result<Listing, String> {
        let mut found: Vec<(Fetched, Marks)> = Vec::new();
        let mut keywords = Keywords::default();
        let asked = self.persist(|session| {
            found.clear();
            let selected = session.examine(&folder.id)?;
            let without_uid = session.fetch_all(|mut fetched| {
                let marks = marks(&std::mem::take(&mut fetched.flags), &mut keywords);
                found.push((fetched, marks));
            })?;
            Ok((selected, without_uid))
        });
        let (selected, without_uid) = asked.map_err(|why| self.told(&why))?;
        self.open = Some((folder.id.clone(), selected.uid_validity));
        found.reverse();
        found.sort_by_key(|(fetched, _)| fetched.uid); // stable: of two with one UID the last word counts
        found.dedup_by_key(|(fetched, _)| fetched.uid);
        let mut listing = Listing {
            uid_validity: selected.uid_validity,
            uid_next: selected.uid_next.unwrap_or(0),
            highest_modseq: selected.highest_modseq,
            keywords,
            ..Listing::default()
        };
        if without_uid > 0 || (found.len() as u64) < selected.exists {
            listing.complaints.push(format!(
                "the server has {} messages and tells of {}, and of {without_uid} without UIDs",
                selected.exists,
                found.len()
            ));
        }
        for (fetched, marks) in found {
            let (key, uid) = (fetched.uid.to_string(), Some(fetched.uid));
            let Some(date) = fetched.internal_date else {
                listing.complaints.push(format!("message {key}: it has no date"));
                continue;
            };
            listing.messages.push(Message { key, uid, marks, date, size: fetched.size });
        }
        Ok(listing)
    }

    fn read(
        &mut self,
        folder: &Folder,
        listing: &Listing,
        wanted: &[usize],
        taker: &mut Taker<'_>,
    ) -> Result<(), Trouble> {
        let index_of: HashMap<u32, usize> =
            wanted.iter().filter_map(|index| Some((listing.messages[*index].uid?, *index))).collect();
        let mut uids: Vec<u32> = index_of.keys().copied().collect();
        uids.sort_unstable();
        let mut failure = self.some(folder, listing, &uids, &index_of, taker)?;
        // What is missing is asked for one by one, so that a bad message does not take others with it.
        for uid in uids {
            let index = index_of[&uid];
            if taker.has(index) {
                continue;
            }
            if failure.is_some() || wanted.len() > 1 {
                failure = self.some(folder, listing, &[uid], &index_of, taker)?;
            }
            if !taker.has(index) {
                let why = failure.take().unwrap_or_else(|| "the server does not give it".into());
                taker.fail(index, why);
            }
        }
        Ok(())
    }
}

impl Imap {
    /// Asks for these; why not all of them came.
    fn some(
        &mut self,
        folder: &Folder,
        listing: &Listing,
        uids: &[u32],
        index_of: &HashMap<u32, usize>,
        taker: &mut Taker<'_>,
    ) -> Result<Option<String>, Trouble> {
        let reopened = self.reopen(&folder.id, listing.uid_validity);
        reopened.map_err(|why| Trouble::Source(format!("{}: {why}", base::escape(&self.server.host))))?;
        let size_max = self.size_max;
        let session = self.connect().map_err(|why| Trouble::Source(why.to_string()))?;
        let done = session.fetch_bodies(uids, size_max, &mut Sink { taker, index_of });
        taker.abort();
        match done {
            Ok(()) => Ok(None),
            Err(ImapError::Sink(why)) => Err(Trouble::Store(why.to_string())),
            Err(why) => {
                if why.ends_session() {
                    (self.session, self.open) = (None, None);
                }
                Ok(Some(why.to_string()))
            }
        }
    }
}

struct Sink<'a, 't> {
    taker: &'a mut Taker<'t>,
    index_of: &'a HashMap<u32, usize>,
}

impl BodySink for Sink<'_, '_> {
    fn begin(&mut self, _: u64) -> io::Result<()> {
        self.taker.begin()
    }

    fn piece(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.taker.write_lines(bytes) // servers that do not see to it are there
    }

    fn end(&mut self, uid: Option<u32>) -> io::Result<()> {
        match uid.and_then(|uid| self.index_of.get(&uid)).filter(|index| !self.taker.has(**index)) {
            Some(index) => self.taker.end(*index),
            None => {
                self.taker.abort(); // not asked for, or sent twice
                Ok(())
            }
        }
    }
}

fn marks(flags: &[String], keywords: &mut Keywords) -> Marks {
    let mut marks = Marks::default();
    for name in flags {
        match Flags::named(name) {
            Some(flag) => marks.flags |= flag,
            None if name.starts_with('\\') => {} // \Recent, which is nobody's
            None => {
                if let Some(number) = keywords.number(name) {
                    marks.add_keyword(number);
                }
            }
        }
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(name: &str, divider: char) -> ListedMailbox {
        ListedMailbox { name: name.into(), divider: Some(divider), attributes: Vec::new() }
    }

    #[test]
    fn names_lose_the_prefix_of_the_namespace() {
        let namespaces =
            Namespaces { personal: vec![("INBOX.".into(), Some('.'))], others: vec!["shared.".into()] };
        let own = Own::of(&namespaces, &[]);
        let levels = |name: &str| own.levels(&listed(name, '.')).map(|levels| levels.join("|"));
        assert_eq!(levels("inbox").as_deref(), Some("INBOX"));
        assert_eq!(levels("Inbox.Work.2002").as_deref(), Some("Work|2002"));
        assert_eq!(levels("INBOX.Entw&APw-rfe").as_deref(), Some("Entw\u{fc}rfe"));
        assert_eq!(levels("shared.x"), None);
        assert_eq!(levels("INBOX."), None);
    }

    #[test]
    fn a_server_that_tells_no_namespace_is_guessed() {
        let all = [listed("INBOX", '.'), listed("INBOX.Work", '.'), listed("INBOX.a/b", '.')];
        let own = Own::of(&Namespaces::default(), &all);
        assert_eq!(own.levels(&all[1]), Some(vec!["Work".into()]));
        assert_eq!(own.levels(&all[2]), Some(vec!["a/b".into()]));
        let mixed = [listed("INBOX.Work", '.'), listed("Other", '.')];
        let own = Own::of(&Namespaces::default(), &mixed);
        assert_eq!(own.levels(&mixed[0]), Some(vec!["INBOX".into(), "Work".into()]));
    }
}

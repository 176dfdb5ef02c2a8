//! An IMAP client that does by chance what clients do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use black_box::Instance;

use crate::ledger::{Ledger, Origin, Place};
use crate::session::{Flags, Kept, Session, code, numbers};
use crate::{MAILBOXES, Numbers};

/// So many messages are enough: from here on more are removed than made.
const ENOUGH: usize = 40;

pub struct Client<'i> {
    /// How many operations it did.
    pub done: usize,
    who: usize,
    instance: &'i Instance,
    ledger: &'i Ledger,
    numbers: Numbers,
    session: Session,
    /// A keyword that nobody else sets or clears, and where it is set or not, as acknowledged or seen first.
    keyword: String,
    mine: BTreeMap<Place, bool>,
    kept: BTreeMap<&'static str, Kept>,
    /// The last HIGHESTMODSEQ of each mailbox, over all sessions.
    modseq: BTreeMap<&'static str, u64>,
}

impl<'i> Client<'i> {
    pub fn new(who: usize, instance: &'i Instance, ledger: &'i Ledger, numbers: Numbers) -> Client<'i> {
        let mut session = Session::open(instance, who % 2 == 0, MAILBOXES[0], None);
        session.see();
        let (mine, kept, modseq) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let keyword = format!("k{who}");
        Client { done: 0, who, instance, ledger, numbers, session, keyword, mine, kept, modseq }
    }

    /// One operation, and what follows from it.
    pub fn act(&mut self) {
        let many = self.session.uids.len() > ENOUGH;
        match self.numbers.below(if many { 16 } else { 24 }) {
            0 | 1 => self.expunge(false),
            2 | 3 => self.expunge(true),
            4 | 5 => self.copy_or_move(true),
            6 | 7 => self.store(),
            8 => self.idle(),
            9 => self.come_again(true),
            10 => self.come_again(false),
            11 => self.search(),
            12..=14 => self.fetch_some(),
            15 | 16 => self.copy_or_move(false),
            _ => self.append(),
        }
        self.check_keyword();
        if self.numbers.below(3) > 0 {
            self.see();
        }
        self.done += 1;
    }

    fn mailbox(&self) -> &'static str {
        self.session.mailbox
    }

    /// Up to three messages that stand together, by their numbers, whose subjects are known to all.
    fn some(&mut self) -> Vec<(usize, u32)> {
        if self.session.uids.is_empty() {
            return Vec::new();
        }
        let first = self.numbers.below(self.session.uids.len());
        let count = 1 + self.numbers.below(3);
        let book = self.ledger.book();
        let known = |uid: &u32| book.subjects.contains_key(&(self.session.mailbox, *uid));
        let rows = self.session.uids.iter().enumerate().skip(first).take(count);
        rows.map_while(|(place, uid)| uid.filter(known).map(|uid| (place + 1, uid))).collect()
    }

    /// `UID verb uids` or `verb numbers`, by chance.
    fn addressed(&mut self, verb: &str, some: &[(usize, u32)]) -> String {
        let (first, last) = (some[0], some[some.len() - 1]);
        if self.numbers.below(2) == 0 {
            format!("{verb} {}:{}", first.0, last.0)
        } else {
            format!("UID {verb} {}", list(some.iter().map(|(_, uid)| *uid)))
        }
    }

    /// Asks for what is new, proves it, and learns the subjects that nobody saw yet.
    fn see(&mut self) {
        self.session.see();
        self.check_keyword();
        self.session.noop();
        let mailbox = self.mailbox();
        let unknown: Vec<u32> = {
            let book = self.ledger.book();
            let uids = self.session.uids.iter().flatten().copied();
            uids.filter(|uid| !book.subjects.contains_key(&(mailbox, *uid))).collect()
        };
        if !unknown.is_empty() {
            let set = list(unknown);
            self.session.command(&format!("UID FETCH {set} (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])"));
        }
        for (uid, subject) in std::mem::take(&mut self.session.subjects) {
            self.ledger.book().see((mailbox, uid), &subject);
        }
    }

    /// The own keyword is where it was acknowledged to be, and the messages that are gone are written down.
    fn check_keyword(&mut self) {
        let mailbox = self.mailbox();
        let mut differ = Vec::new();
        for (uid, flags) in &self.session.flags {
            let there = flags.contains(&self.keyword);
            if *self.mine.entry((mailbox, *uid)).or_insert(there) != there {
                differ.push(*uid);
            }
        }
        // Of one that is expunged already, the flags of before are told.
        self.session.miss(differ);
        self.ledger.book().gone.extend(self.session.gone.iter().map(|uid| (mailbox, *uid)));
        let before = self.modseq.entry(mailbox).or_insert(0);
        assert!(self.session.modseq >= *before, "HIGHESTMODSEQ was {before}; {}", self.session.trail());
        *before = self.session.modseq;
    }

    fn append(&mut self) {
        let subject = format!("append-{}-{}", self.who, self.done);
        let mailbox = MAILBOXES[self.numbers.below(MAILBOXES.len())];
        let set = self.numbers.below(2) == 0;
        let flags = if set { format!("({} \\Seen) ", self.keyword) } else { String::new() };
        let message = format!("Subject: {subject}\r\n\r\nbody\r\n");
        // The responses between are of no sequence numbers that a client could mistake: they are asked for by NOOP again.
        let imap = &mut self.session.imap;
        let literal = format!("APPEND {mailbox} {flags}{{{}+}}\r\n{message}", message.len());
        let (untagged, end) = imap.command(&literal);
        let (end, _) = self.session.take("APPEND", untagged, end);
        let words = code(&end, "APPENDUID").unwrap_or_else(|| panic!("{}", self.session.trail()));
        let place = (mailbox, words[1].parse().unwrap());
        let mut book = self.ledger.book();
        book.create(place, Origin::Appended(subject.clone()));
        book.see(place, &subject);
        drop(book);
        assert_eq!(*self.mine.entry(place).or_insert(set), set, "{place:?}");
    }

    fn store(&mut self) {
        let some = self.some();
        if some.is_empty() {
            return;
        }
        let set = self.numbers.below(2) == 0;
        let silent = if self.numbers.below(2) == 0 { ".SILENT" } else { "" };
        let sign = if set { '+' } else { '-' };
        let command = format!("{} {sign}FLAGS{silent} ({})", self.addressed("STORE", &some), self.keyword);
        let mailbox = self.mailbox();
        let before = self.session.flags.clone();
        let (end, _) = self.session.command(&command);
        for (_, uid) in &some {
            // What was told on the way may be from before; the last word is the acknowledgement.
            if end.starts_with("OK") {
                self.mine.insert((mailbox, *uid), set);
                if let Some(flags) = self.session.flags.get_mut(uid) {
                    if set {
                        flags.insert(self.keyword.clone())
                    } else {
                        flags.remove(&self.keyword)
                    };
                }
            } else if let Some(flags) = before.get(uid) {
                self.mine.remove(&(mailbox, *uid));
                self.session.flags.insert(*uid, flags.clone());
            }
        }
        if !end.starts_with("OK") {
            // Only because of a message that is gone.
            self.session.see();
            let uids = &self.session.uids;
            let all_there = some.iter().all(|(_, uid)| uids.contains(&Some(*uid)));
            assert!(!all_there, "{command} was refused; {}", self.session.trail());
        }
    }

    fn fetch_some(&mut self) {
        let some = self.some();
        if !some.is_empty() {
            let command = format!("{} (UID FLAGS)", self.addressed("FETCH", &some));
            self.session.told.clear();
            self.session.command(&command);
            let seen: BTreeSet<u32> = self.session.told.drain(..).map(|(uid, _)| uid).collect();
            self.session.miss(some.iter().map(|(_, uid)| *uid).filter(|uid| !seen.contains(uid)));
        }
    }

    /// What is found is in the own list; what is not, is told to be gone next time.
    fn search(&mut self) {
        let by_uid = self.numbers.below(2) == 0;
        let before: Vec<u32> = self.session.uids.iter().flatten().copied().collect();
        let (_, said) = self.session.command(if by_uid { "UID SEARCH ALL" } else { "SEARCH ALL" });
        let line = said.iter().find_map(|line| line.strip_prefix("* SEARCH")).unwrap_or_default();
        let line = line.split('(').next().unwrap();
        let found: Vec<u32> = line.split_whitespace().map(|word| word.parse().unwrap()).collect();
        let uids = &self.session.uids;
        if by_uid {
            let found: BTreeSet<u32> = found.into_iter().collect();
            self.session.miss(before.into_iter().filter(|uid| !found.contains(uid)));
        } else {
            assert!(found.iter().all(|n| (1..=uids.len() as u32).contains(n)), "{}", self.session.trail());
            let missed = uids.iter().enumerate().filter(|(place, _)| !found.contains(&(*place as u32 + 1)));
            let missed: Vec<u32> = missed.filter_map(|(_, uid)| *uid).collect();
            self.session.miss(missed);
        }
    }

    fn copy_or_move(&mut self, moves: bool) {
        let some = self.some();
        if some.is_empty() {
            return;
        }
        let source = self.mailbox();
        let target = if source == MAILBOXES[0] { MAILBOXES[1] } else { MAILBOXES[0] };
        let command = format!("{} {target}", self.addressed(if moves { "MOVE" } else { "COPY" }, &some));
        let (end, status) = self.session.command(&command);
        let copied = status.iter().chain([&end]).filter_map(|text| code(text, "COPYUID"));
        for words in copied {
            let (from, to) = (numbers(words[1]), numbers(words[2]));
            assert_eq!(from.len(), to.len(), "{}", self.session.trail());
            for (from, to) in from.into_iter().zip(to) {
                assert!(some.iter().any(|(_, uid)| *uid == from), "{}", self.session.trail());
                self.copied((source, from), (target, to), moves);
            }
        }
    }

    fn copied(&mut self, from: Place, to: Place, moves: bool) {
        if let Some(set) = self.mine.get(&from).copied() {
            assert_eq!(*self.mine.entry(to).or_insert(set), set, "{to:?} is a copy of {from:?}");
        }
        let mut book = self.ledger.book();
        book.create(to, Origin::Copied(from));
        if moves {
            book.take_away(from);
            let uids = &self.session.uids;
            assert!(!uids.contains(&Some(from.1)), "{from:?} was moved; {}", self.session.trail());
        }
    }

    /// Marks some and expunges: these, or all that are marked by anybody.
    fn expunge(&mut self, only_these: bool) {
        let some = self.some();
        if some.is_empty() {
            return;
        }
        let mailbox = self.mailbox();
        self.ledger.book().marked.extend(some.iter().map(|(_, uid)| (mailbox, *uid)));
        let set = list(some.iter().map(|(_, uid)| *uid));
        let (end, _) = self.session.command(&format!("UID STORE {set} +FLAGS.SILENT (\\Deleted)"));
        if !end.starts_with("OK") {
            return;
        }
        let command = if only_these { format!("UID EXPUNGE {set}") } else { "EXPUNGE".to_owned() };
        let (end, _) = self.session.command(&command);
        assert!(end.starts_with("OK"), "{}", self.session.trail());
        for (_, uid) in some {
            let uids = &self.session.uids;
            assert!(!uids.contains(&Some(uid)), "UID {uid} was expunged; {}", self.session.trail());
        }
    }

    fn idle(&mut self) {
        let imap = &mut self.session.imap;
        let tag = format!("i{}", self.done);
        imap.wire.send(format!("{tag} IDLE\r\n").as_bytes());
        let mut untagged = Vec::new();
        loop {
            match imap.response() {
                go_on if go_on.starts_with('+') => break,
                response => untagged.push(response),
            }
        }
        std::thread::sleep(Duration::from_millis(self.numbers.below(100) as u64)); // paced: the others act meanwhile
        imap.wire.send(b"DONE\r\n");
        let (more, end) = imap.until_tagged(&tag);
        untagged.extend(more);
        self.session.take("IDLE", untagged, end);
    }

    /// Selects another mailbox or the same, in this session or in another one.
    fn come_again(&mut self, connects: bool) {
        let kept = self.session.keep();
        // Only a list whose UIDs are all known can be taken up again.
        if self.session.uids.iter().all(Option::is_some) && kept.flags.len() == self.session.uids.len() {
            self.kept.insert(self.mailbox(), kept);
        }
        let mailbox = MAILBOXES[self.numbers.below(MAILBOXES.len())];
        let kept = self.kept.get(mailbox);
        if connects {
            self.session = Session::open(self.instance, self.session.qresync, mailbox, kept);
        } else {
            self.session.select(mailbox, kept);
        }
        self.see();
    }

    /// When all is quiet: what it kept and is told since is the last state, and so are its flags.
    pub fn prove(mut self, instance: &Instance, last: &BTreeMap<Place, (String, Flags)>) {
        for ((mailbox, uid), set) in &self.mine {
            let Some((_, flags)) = last.get(&(*mailbox, *uid)) else { continue };
            assert_eq!(flags.contains(&self.keyword), *set, "{} of {mailbox} {uid}", self.keyword);
        }
        self.session.see();
        self.come_again(false);
        for mailbox in MAILBOXES {
            let kept = self.kept.get(mailbox);
            let mut session = Session::open(instance, self.session.qresync, mailbox, kept);
            // With QRESYNC it knows all by now, but what is new when it asked for nothing new.
            let resynced = session.flags.clone();
            session.see();
            let there = last.iter().filter(|((one, _), _)| *one == mailbox);
            let there: BTreeMap<u32, Flags> =
                there.map(|((_, uid), (_, flags))| (*uid, flags.clone())).collect();
            assert!(resynced.iter().all(|(uid, flags)| there.get(uid) == Some(flags)), "{}", session.trail());
            assert_eq!(session.flags, there, "{}", session.trail());
        }
    }
}

fn list(uids: impl IntoIterator<Item = u32>) -> String {
    uids.into_iter().map(|uid| uid.to_string()).collect::<Vec<_>>().join(",")
}

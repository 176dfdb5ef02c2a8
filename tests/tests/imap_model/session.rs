//! What one session was told, applied as a strict client applies it.

use std::collections::{BTreeMap, BTreeSet};

use black_box::{Imap, Instance, Value};

pub type Flags = BTreeSet<String>;

/// A session with a mailbox selected, and its own list of messages.
pub struct Session {
    pub imap: Imap,
    pub qresync: bool,
    pub mailbox: &'static str,
    /// The UIDs by sequence number; none yet of those that only EXISTS told of. They are the last ones.
    pub uids: Vec<Option<u32>>,
    /// Of the messages in `uids`, as told last.
    pub flags: BTreeMap<u32, Flags>,
    pub validity: u32,
    /// The last HIGHESTMODSEQ.
    pub modseq: u64,
    /// The UIDs that were told to be gone.
    pub gone: BTreeSet<u32>,
    /// UIDs and flags in the order told since this was taken last.
    pub told: Vec<(u32, Flags)>,
    /// The subjects that were asked for.
    pub subjects: Vec<(u32, String)>,
    /// UIDNEXT when it was selected.
    next: u32,
    /// Below this UID all is known after a NOOP.
    complete: Option<u32>,
    known_below: u32,
    earlier: BTreeSet<u32>,
    /// UIDs that a command missed: they must be told to be gone next time.
    missed: BTreeSet<u32>,
    trail: Vec<String>,
}

/// What a client keeps of a mailbox until it comes again (RFC 7162 §3.2.5).
pub struct Kept {
    pub validity: u32,
    pub modseq: u64,
    pub flags: BTreeMap<u32, Flags>,
}

/// The numbers of a set like `1:3,5`, in the order written.
pub fn numbers(set: &str) -> Vec<u32> {
    let number = |text: &str| text.parse::<u32>().unwrap_or_else(|_| panic!("no number in {set}"));
    set.split(',')
        .flat_map(|part| match part.split_once(':') {
            Some((low, high)) => number(low).min(number(high))..=number(low).max(number(high)),
            None => number(part)..=number(part),
        })
        .collect()
}

/// The words behind a response code's name, when the response has it.
pub fn code<'t>(text: &'t str, name: &str) -> Option<Vec<&'t str>> {
    let (_, rest) = text.split_once(&format!("[{name} "))?;
    Some(rest.split(']').next()?.split(' ').collect())
}

impl Session {
    pub fn open(instance: &Instance, qresync: bool, mailbox: &'static str, kept: Option<&Kept>) -> Session {
        let mut imap = instance.imap("alice");
        if qresync {
            imap.ok("ENABLE QRESYNC");
        }
        let mut session = Session {
            imap,
            qresync,
            mailbox,
            uids: Vec::new(),
            flags: BTreeMap::new(),
            validity: 0,
            modseq: 0,
            gone: BTreeSet::new(),
            told: Vec::new(),
            subjects: Vec::new(),
            next: 0,
            complete: None,
            known_below: 0,
            earlier: BTreeSet::new(),
            missed: BTreeSet::new(),
            trail: Vec::new(),
        };
        session.select(mailbox, kept);
        session
    }

    /// SELECTs and no more, taking up what was kept when there is something.
    pub fn select(&mut self, mailbox: &'static str, kept: Option<&Kept>) {
        self.mailbox = mailbox;
        self.uids.clear();
        self.flags.clear();
        self.gone.clear();
        self.earlier.clear();
        self.missed.clear();
        self.modseq = 0;
        self.complete = None;
        self.known_below = 0;
        let Some(kept) = kept.filter(|_| self.qresync) else {
            self.command(&format!("SELECT {mailbox}"));
            return;
        };
        self.resync(mailbox, kept);
    }

    /// What was kept and what is told since is the whole state, in the moment of the SELECT.
    fn resync(&mut self, mailbox: &str, kept: &Kept) {
        let known: Vec<String> = kept.flags.keys().map(u32::to_string).collect();
        // With a set of known UIDs, nothing is told of others.
        let only_known = kept.modseq % 2 == 0 && !kept.flags.is_empty();
        let known = if only_known { format!(" {}", known.join(",")) } else { String::new() };
        self.told.clear();
        self.command(&format!("SELECT {mailbox} (QRESYNC ({} {}{known}))", kept.validity, kept.modseq));
        assert_eq!(self.validity, kept.validity, "UIDVALIDITY changed; {}", self.trail());
        assert!(self.modseq >= kept.modseq, "HIGHESTMODSEQ fell below {}; {}", kept.modseq, self.trail());
        let mut state = kept.flags.clone();
        state.retain(|uid, _| !self.earlier.contains(uid));
        let fetched: BTreeMap<u32, Flags> = self.told.drain(..).collect();
        // What was kept and did not change stands before all that is new.
        let same: Vec<u32> = state.keys().filter(|uid| !fetched.contains_key(uid)).copied().collect();
        let unknown = self.uids.iter().enumerate().filter(|(_, uid)| uid.is_none());
        let unknown: Vec<usize> = unknown.map(|(place, _)| place).collect();
        assert!(same.len() <= unknown.len(), "{same:?} did not vanish; {}", self.trail());
        for (uid, place) in same.into_iter().zip(unknown) {
            self.learn(place, uid);
        }
        for (uid, flags) in fetched {
            assert!(!self.earlier.contains(&uid), "UID {uid} vanished and is told of; {}", self.trail());
            state.insert(uid, flags);
        }
        self.flags = state;
        // Of one that was expunged in this moment nothing is told but that it is gone, next.
        self.complete = (!only_known).then_some(self.next);
    }

    pub fn keep(&self) -> Kept {
        Kept { validity: self.validity, modseq: self.modseq, flags: self.flags.clone() }
    }

    /// Sends a command and applies what it brings; the tagged response, and the text of the untagged status responses.
    pub fn command(&mut self, command: &str) -> (String, Vec<String>) {
        let (untagged, end) = self.imap.command(command);
        self.take(command, untagged, end)
    }

    /// Applies what a command brought.
    pub fn take(&mut self, command: &str, untagged: Vec<String>, end: String) -> (String, Vec<String>) {
        self.note(format!("> {command}"));
        let word = command.split(' ').next().unwrap();
        let may_expunge = !["FETCH", "STORE", "SEARCH"].contains(&word);
        let mut status = Vec::new();
        for response in untagged {
            self.note(response.clone());
            self.apply(&response, may_expunge);
            if response.starts_with("* OK") || response.starts_with("* SEARCH") {
                status.push(response);
            }
        }
        self.note(end.clone());
        self.codes(&end);
        assert!(!end.starts_with("BAD"), "{}", self.trail());
        (end, status)
    }

    fn note(&mut self, line: String) {
        if self.trail.len() > 60 {
            self.trail.drain(..20);
        }
        self.trail.push(line.chars().take(400).collect());
    }

    /// The last that was said, for who reads of a failure.
    pub fn trail(&self) -> String {
        format!("{} has {:?}:\n{}", self.mailbox, self.uids, self.trail.join("\n"))
    }

    fn codes(&mut self, text: &str) {
        if let Some(words) = code(text, "HIGHESTMODSEQ") {
            let modseq = words[0].parse().unwrap();
            assert!(modseq >= self.modseq, "HIGHESTMODSEQ fell from {}; {}", self.modseq, self.trail());
            self.modseq = modseq;
        }
        if let Some(words) = code(text, "UIDNEXT") {
            self.next = words[0].parse().unwrap();
        }
        if let Some(words) = code(text, "UIDVALIDITY") {
            self.validity = words[0].parse().unwrap();
        }
    }

    fn apply(&mut self, response: &str, may_expunge: bool) {
        let words: Vec<&str> = response.splitn(4, ' ').collect();
        match words[..] {
            ["*", "OK", ..] => self.codes(response),
            ["*", number, "EXISTS"] => {
                let count: usize = number.parse().unwrap();
                assert!(count >= self.uids.len(), "EXISTS shrank; {}", self.trail());
                self.uids.resize(count, None);
            }
            ["*", number, "EXPUNGE"] => {
                assert!(may_expunge && !self.qresync, "EXPUNGE is not allowed here; {}", self.trail());
                let place = self.place(number);
                self.forget(place);
            }
            ["*", "VANISHED", "(EARLIER)", set] => self.earlier.extend(numbers(set)),
            ["*", "VANISHED", set] => {
                assert!(may_expunge && self.qresync, "VANISHED is not allowed here; {}", self.trail());
                numbers(set).into_iter().for_each(|uid| self.vanish(uid));
            }
            ["*", number, "FETCH", _] => {
                let place = self.place(number);
                self.fetched(place, response);
            }
            ["*", "BYE", ..] | ["*", "BAD", ..] => panic!("{}", self.trail()),
            _ => {}
        }
    }

    fn place(&self, number: &str) -> usize {
        let number: usize = number.parse().unwrap();
        assert!((1..=self.uids.len()).contains(&number), "there is no message {number}; {}", self.trail());
        number - 1
    }

    fn forget(&mut self, place: usize) {
        if let Some(uid) = self.uids.remove(place) {
            self.flags.remove(&uid);
            self.gone.insert(uid);
        }
    }

    fn vanish(&mut self, uid: u32) {
        let known = self.uids.iter().position(|one| *one == Some(uid));
        // Else it is one of those of which no UID was told, as far as the others say.
        let above = self.uids.iter().position(|one| one.is_some_and(|other| other > uid));
        let below = self.uids.iter().rposition(|one| one.is_some_and(|other| other < uid));
        let between = below.map_or(0, |place| place + 1)..above.unwrap_or(self.uids.len());
        let place = known.or_else(|| between.rev().find(|place| self.uids[*place].is_none()));
        let place = place.unwrap_or_else(|| panic!("UID {uid} is not there to vanish; {}", self.trail()));
        self.forget(place);
        self.gone.insert(uid);
    }

    fn fetched(&mut self, place: usize, response: &str) {
        let items = Value::fetched(response.as_bytes());
        let mut flags = None;
        for (name, value) in items {
            match (name.as_str(), value) {
                ("UID", Value::Atom(uid)) => self.learn(place, uid.parse().unwrap()),
                ("FLAGS", Value::List(list)) => {
                    flags = Some(list.iter().map(|flag| format!("{flag:?}")).collect::<Flags>());
                }
                ("BODY[HEADER.FIELDS (SUBJECT)]", Value::Text(text)) => {
                    let text = String::from_utf8(text).unwrap();
                    let subject = text.trim().strip_prefix("Subject: ").unwrap_or(text.trim()).to_owned();
                    let uid = self.uids[place].expect("UID comes before BODY");
                    self.subjects.push((uid, subject));
                }
                _ => {}
            }
        }
        if let (Some(mut flags), Some(uid)) = (flags, self.uids[place]) {
            flags.remove("\\Recent");
            self.flags.insert(uid, flags.clone());
            self.told.push((uid, flags));
        }
    }

    /// The message at this place has this UID: the one it always had, above those before it and below those behind.
    fn learn(&mut self, place: usize, uid: u32) {
        match self.uids[place] {
            Some(known) => assert_eq!(known, uid, "message {} changed its UID; {}", place + 1, self.trail()),
            None => {
                let below = self.uids[..place].iter().flatten().max();
                let above = self.uids[place + 1..].iter().flatten().min();
                assert!(below.is_none_or(|other| *other < uid), "UIDs do not ascend; {}", self.trail());
                assert!(above.is_none_or(|other| *other > uid), "UIDs do not ascend; {}", self.trail());
                assert!(uid >= self.known_below, "QRESYNC left out UID {uid}; {}", self.trail());
                assert!(!self.gone.contains(&uid), "UID {uid} came back; {}", self.trail());
                self.uids[place] = Some(uid);
            }
        }
    }

    /// These must be told to be gone next time.
    pub fn miss(&mut self, uids: impl IntoIterator<Item = u32>) {
        self.missed.extend(uids);
    }

    /// Asks for what is new, and proves the own list: a FETCH of all says the same, but for those that are gone by then.
    pub fn see(&mut self) {
        self.noop();
        if self.uids.is_empty() {
            return;
        }
        self.told.clear();
        self.command("FETCH 1:* (UID FLAGS)");
        let seen: BTreeSet<u32> = self.told.drain(..).map(|(uid, _)| uid).collect();
        let missed: Vec<u32> =
            self.uids.iter().flatten().filter(|uid| !seen.contains(uid)).copied().collect();
        self.miss(missed);
        self.noop();
        let mut order: Vec<u32> = self.uids.iter().flatten().copied().collect();
        assert!(order.is_sorted(), "{}", self.trail());
        order.dedup();
        assert_eq!(order.len(), self.uids.iter().flatten().count(), "{}", self.trail());
    }

    /// What was missed is gone by now.
    pub fn noop(&mut self) {
        let (end, _) = self.command("NOOP");
        assert!(end.starts_with("OK"), "{}", self.trail());
        self.known_below = self.complete.take().unwrap_or(self.known_below);
        for uid in std::mem::take(&mut self.missed) {
            assert!(
                !self.uids.contains(&Some(uid)),
                "UID {uid} was missed or its flags were others, and it is there; {}",
                self.trail()
            );
        }
    }
}

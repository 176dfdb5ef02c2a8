//! Whatever of a mailbox's own files is deleted, cut or has a flipped bit: UIDs, UIDVALIDITY, flags and dates survive, as
//! far as one of the files that tell them does. A table of every combination, each against a fresh copy of the same store.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use commit_journal::{SyncLevel, SyncLevels};
use message_store::{
    FlagChange, Flags, How, Mailbox, MailboxName, Method, NewMessage, Store, StoreLog, StoreSettings, UidSet,
};

const MESSAGES: u32 = 30;

fn store(folder: &Path) -> Store {
    let settings = StoreSettings {
        sync: SyncLevels::all(SyncLevel::None),
        list_sync: false,
        ..StoreSettings::in_folder(folder)
    };
    Store::open(settings, StoreLog::discard()).unwrap()
}

fn inbox() -> MailboxName {
    MailboxName::inbox("joe").unwrap()
}

fn append(mailbox: &Arc<Mailbox>, date: i64) -> u32 {
    let mut incoming = mailbox.begin_append().unwrap();
    incoming.write_all(format!("Subject: {date}\r\n\r\nx\r\n").as_bytes()).unwrap();
    incoming.finish(NewMessage { internal_date_ns: date, ..NewMessage::default() }).unwrap().uid
}

fn flag(mailbox: &Mailbox, uid: u32, flags: Flags, keywords: &[&str]) {
    let keywords: Vec<String> = keywords.iter().map(|name| (*name).to_owned()).collect();
    let change = FlagChange { how: How::Add, flags, keywords: &keywords };
    mailbox.change_flags(&UidSet::single(uid), change, None).unwrap();
}

/// Flags, keywords by name, and date of each message.
type State = BTreeMap<u32, (u32, Vec<String>, i64)>;

fn state(mailbox: &Mailbox) -> State {
    let reader = mailbox.reader().unwrap();
    let names = mailbox.keywords();
    let mut state = State::new();
    for slot in 0..reader.slots() {
        let record = reader.record(slot);
        if !record.is_expunged() {
            let of = |bit: &usize| record.keywords >> bit & 1 == 1;
            let mut keywords: Vec<String> =
                (0..names.len()).filter(of).map(|bit| names[bit].clone()).collect();
            keywords.sort();
            let date = reader.cold(slot).unwrap().internal_date_ns;
            state.insert(record.uid, ((record.flags & Flags::SYSTEM).0, keywords, date));
        }
    }
    state
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Harm {
    None,
    Deleted,
    /// A bit, so many bytes from the middle on.
    Flipped,
    Truncated,
}

const HARMS: [Harm; 4] = [Harm::None, Harm::Deleted, Harm::Flipped, Harm::Truncated];

fn harm(path: &Path, harm: Harm) {
    match harm {
        Harm::None => {}
        Harm::Deleted => fs::remove_file(path).unwrap(),
        Harm::Flipped => flip(path, fs::metadata(path).unwrap().len() as usize / 2),
        Harm::Truncated => {
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        }
    }
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 4;
    fs::write(path, bytes).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let place = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &place),
            false => drop(fs::copy(entry.path(), place).unwrap()),
        }
    }
}

/// A store with one mailbox that was checkpointed, and changed since.
struct Original {
    folder: tempfile::TempDir,
    uid_validity: u32,
    /// As of the checkpoint, and as of now.
    then: State,
    now: State,
}

fn original() -> Original {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    store.ensure_user("joe").unwrap();
    let mailbox = store.open_mailbox(&inbox()).unwrap();
    (1..=MESSAGES).for_each(|uid| assert_eq!(append(&mailbox, i64::from(uid) * 1000), uid));
    (1..=MESSAGES).step_by(2).for_each(|uid| flag(&mailbox, uid, Flags::SEEN, &["$Work"]));
    flag(&mailbox, 4, Flags::DELETED, &[]);
    mailbox.expunge(None).unwrap();
    mailbox.checkpoint().unwrap();
    let then = state(&mailbox);
    (1..=MESSAGES)
        .step_by(3)
        .filter(|uid| *uid != 4)
        .for_each(|uid| flag(&mailbox, uid, Flags::FLAGGED, &["$Home"]));
    assert_eq!(append(&mailbox, 77), MESSAGES + 1);
    let now = state(&mailbox);
    Original { uid_validity: mailbox.uid_validity(), then, now, folder }
}

impl Original {
    /// A copy of the store, and the mailbox's folder in it.
    fn copied(&self) -> (tempfile::TempDir, PathBuf) {
        let other = tempfile::tempdir().unwrap();
        copy(self.folder.path(), other.path());
        let place = self.folder().strip_prefix(self.folder.path()).unwrap().to_owned();
        let folder = other.path().join(place);
        (other, folder)
    }

    fn folder(&self) -> PathBuf {
        store(self.folder.path()).folder_of(&inbox()).unwrap()
    }
}

fn reconstructed(folder: &Path, list_lost: bool) -> (State, u32) {
    let store = store(folder);
    if list_lost {
        store.rebuild_list(|_| {}).unwrap();
    }
    let done = store.reconstruct(&inbox()).unwrap();
    let mailbox = store.open_mailbox(&inbox()).unwrap();
    let state = state(&mailbox);
    assert_eq!(done.messages, state.len());
    assert!(append(&mailbox, 5) > MESSAGES + 1, "no UID is given twice");
    (state, mailbox.uid_validity())
}

#[test]
fn what_a_mailbox_is_survives_every_combination_of_damage_that_leaves_one_copy_of_it() {
    let original = original();
    let mut whole = 0;
    for number in 0..4usize.pow(3) * 2 {
        let of = |file: u32| HARMS[number / 2 / 4usize.pow(file) % 4];
        // What became of the cache changes nothing of what is looked at here, so it takes turns.
        let (index, log, copy, cache) = (of(0), of(1), of(2), HARMS[number % 7 % 4]);
        let list_lost = number % 2 == 1;
        let (other, folder) = original.copied();
        for (name, how) in
            [("store.idx", index), ("store.log", log), ("store.fl", copy), ("store.c00", cache)]
        {
            harm(&folder.join(name), how);
        }
        if list_lost {
            fs::remove_dir_all(other.path().join("store/mboxlist")).unwrap();
        }
        let case = format!("idx {index:?}, log {log:?}, fl {copy:?}, cache {cache:?}, list lost {list_lost}");
        let (state, uid_validity) = reconstructed(other.path(), list_lost);
        let mut uids: Vec<u32> = state.keys().copied().collect();
        if uids.contains(&4) {
            // Nobody knows any more that it was expunged, and its file is there.
            assert!(index != Harm::None && copy != Harm::None, "{case}");
            uids.retain(|uid| *uid != 4);
        }
        assert_eq!(uids, original.now.keys().copied().collect::<Vec<_>>(), "{case}");
        if [index, log, copy].contains(&Harm::None) || !list_lost {
            assert_eq!(uid_validity, original.uid_validity, "{case}");
        }
        if index == Harm::None || copy == Harm::None && log == Harm::None {
            assert_eq!(state, original.now, "{case}");
            whole += 1;
        } else if copy == Harm::None {
            for (uid, then) in &original.then {
                let is = &state[uid];
                assert!(is == then || *is == original.now[uid], "{case}: {uid}: {is:?}");
            }
        }
    }
    assert_eq!(whole, (4 * 4 + 3) * 2);
}

#[test]
fn a_flipped_bit_anywhere_in_the_index_changes_nothing() {
    const HOT: usize = 8192;
    const COLD: usize = HOT + 256 * 32;
    let original = original();
    let places = [8, 20, 60, 176, HOT + 4, HOT + 8 * 32 + 5, HOT + 29 * 32, COLD + 17, COLD + 90, 4097, 4165];
    for at in places {
        let (other, folder) = original.copied();
        flip(&folder.join("store.idx"), at);
        let (state, uid_validity) = reconstructed(other.path(), false);
        assert_eq!((state, uid_validity), (original.now.clone(), original.uid_validity), "byte {at}");
    }
}

#[test]
fn the_index_may_be_lost_again_and_again() {
    let original = original();
    let (other, folder) = original.copied();
    for turn in 0..4 {
        fs::remove_file(folder.join("store.idx")).unwrap();
        let store = store(other.path());
        let mailbox = store.open_mailbox(&inbox()).unwrap();
        assert_eq!(state(&mailbox), original.now, "turn {turn}");
        assert_eq!(mailbox.uid_validity(), original.uid_validity);
        if turn % 2 == 1 {
            mailbox.checkpoint().unwrap();
        }
    }
}

/// Checkpoint after checkpoint adds its log to the second copy, or writes it anew, and it is never behind.
#[test]
fn the_second_copy_is_whole_behind_every_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let path;
    {
        let store = store(folder.path());
        store.ensure_user("joe").unwrap();
        path = store.folder_of(&inbox()).unwrap();
        let mailbox = store.open_mailbox(&inbox()).unwrap();
        for round in 0..6 {
            let uid = append(&mailbox, round);
            flag(&mailbox, uid, Flags::FLAGGED, &[["$A", "$B", "$C"][round as usize % 3]]);
            if round > 1 {
                flag(&mailbox, uid - 1, Flags::DELETED, &[]);
                mailbox.expunge(None).unwrap();
                mailbox.clean_up(std::time::Duration::ZERO).unwrap();
            }
            mailbox.checkpoint().unwrap();
            if round == 3 {
                fs::remove_file(path.join("store.fl")).unwrap(); // the next is written from the index
            }
        }
    }
    let expected = state(&store(folder.path()).open_mailbox(&inbox()).unwrap());
    assert_eq!(expected.len(), 2);
    fs::remove_file(path.join("store.idx")).unwrap();
    let store = store(folder.path());
    assert_eq!(state(&store.open_mailbox(&inbox()).unwrap()), expected);
    let done =
        store.reconstruct_as(&inbox(), Method { without_index: true, every_message: true }, &mut |_, _| {});
    assert_eq!(done.unwrap().messages, 2);
    assert_eq!(state(&store.open_mailbox(&inbox()).unwrap()), expected);
}

#[test]
fn a_message_that_was_changed_by_hand_is_found_when_each_is_read() {
    let original = original();
    let (other, folder) = original.copied();
    let message = folder.join("00/7.msg");
    flip(&message, 9);
    let store = store(other.path());
    assert_eq!(store.reconstruct(&inbox()).unwrap().changed, 0, "its size is the same");
    let all = Method { every_message: true, ..Method::default() };
    let mut told = Vec::new();
    let done = store.reconstruct_as(&inbox(), all, &mut |done, of| told.push((done, of))).unwrap();
    assert_eq!((done.changed, done.added, done.messages), (1, 0, original.now.len()));
    assert_eq!(told.last(), Some(&(31, 31)), "expunged ones are looked at, too");
    assert_eq!(state(&store.open_mailbox(&inbox()).unwrap()), original.now, "flags stay");
    assert_eq!(store.reconstruct_as(&inbox(), all, &mut |_, _| {}).unwrap().changed, 0);
}

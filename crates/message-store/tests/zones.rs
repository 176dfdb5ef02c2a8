//! What the index tells of stretches of slots, over the life of a mailbox: changes of several processes, a map that is missing
//! or damaged, compaction, reconstruct.
#![allow(clippy::unwrap_used, clippy::single_range_in_vec_init)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use message_store::*;

/// Where the map is in `store.idx`: behind it are the keywords.
const MAP_AT: u64 = 512;
const MAP_BYTES: usize = 4096 - 512;
const BLOCK: u32 = 256;

fn store(folder: &Path) -> Store {
    let sync = commit_journal::SyncLevels::all(commit_journal::SyncLevel::None);
    let settings = StoreSettings { sync, list_sync: false, ..StoreSettings::in_folder(folder) };
    Store::open(settings, StoreLog::discard()).unwrap()
}

fn inbox() -> MailboxName {
    MailboxName::parse("user/joe").unwrap()
}

fn append(mailbox: &Arc<Mailbox>, flags: Flags) {
    let mut incoming = mailbox.begin_append().unwrap();
    incoming.write_all(b"Subject: s\r\n\r\nx\r\n").unwrap();
    incoming.finish(NewMessage { flags, ..NewMessage::default() }).unwrap();
}

/// 600 messages with \Seen: three blocks.
fn filled(folder: &Path) -> (Store, Arc<Mailbox>) {
    let store = store(folder);
    store.ensure_user("joe").unwrap();
    let mailbox = store.open_mailbox(&inbox()).unwrap();
    for _ in 0..600 {
        append(&mailbox, Flags::SEEN);
    }
    (store, mailbox)
}

fn flag(mailbox: &Mailbox, uid: u32, how: How, flags: Flags) {
    let change = FlagChange { how, flags, keywords: &[] };
    mailbox.change_flags(&[uid].into_iter().collect(), change, None).unwrap();
}

fn highest(mailbox: &Mailbox) -> u64 {
    mailbox.status().unwrap().highest_modseq
}

/// The index of the mailbox, wherever it is.
fn index_file(folder: &Path) -> PathBuf {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with("store.idx") {
                return path;
            }
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    panic!("no index");
}

fn with_map(folder: &Path, change: impl FnOnce(&mut [u8])) {
    let index = fs::OpenOptions::new().read(true).write(true).open(index_file(folder)).unwrap();
    let mut map = [0; MAP_BYTES];
    index.read_exact_at(&mut map, MAP_AT).unwrap();
    change(&mut map);
    index.write_all_at(&map, MAP_AT).unwrap();
}

#[test]
fn what_changed_is_found_by_another_process_without_a_look_at_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let (_one, here) = filled(folder.path());
    let other = store(folder.path());
    let there = other.open_mailbox(&inbox()).unwrap();
    let before = highest(&there);
    let changed = |since| there.reader().unwrap().slots_changed(since);
    assert_eq!(changed(before), []);
    flag(&here, 300, How::Add, Flags::FLAGGED);
    assert_eq!(changed(before), [BLOCK..2 * BLOCK]);
    append(&here, Flags::NONE);
    assert_eq!(changed(before), [BLOCK..601]);
    assert_eq!(changed(before + 1), [2 * BLOCK..601]);
    let reader = there.reader().unwrap();
    assert_eq!((reader.slots_with_holes(), reader.slots_with_unseen()), (vec![], vec![2 * BLOCK..601]));
    flag(&there, 601, How::Add, Flags::SEEN);
    flag(&there, 7, How::Add, Flags::DELETED);
    here.expunge(None).unwrap();
    let reader = here.reader().unwrap();
    assert_eq!((reader.slots_with_holes(), reader.slots_with_unseen()), (vec![0..BLOCK], vec![]));
    assert_eq!(changed(before + 3), [0..BLOCK]);
}

/// As an index of a version that had no map, and as one in which a bit is wrong.
#[test]
fn without_a_map_everything_may_have_changed_until_the_next_change_makes_one() {
    for spoil in [|map: &mut [u8]| map.fill(0), |map: &mut [u8]| map[30] ^= 4] {
        let folder = tempfile::tempdir().unwrap();
        let (_store, mailbox) = filled(folder.path());
        with_map(folder.path(), spoil);
        let now = highest(&mailbox);
        let reader = mailbox.reader().unwrap();
        assert_eq!(reader.slots_changed(now), [0..600]);
        assert_eq!(reader.slots_with_holes(), [0..600]);
        flag(&mailbox, 1, How::Add, Flags::FLAGGED);
        assert_eq!(reader.slots_changed(now), [0..BLOCK]);
        assert_eq!(reader.slots_with_holes(), []);
        assert_eq!(reader.slots_changed(now - 1), [0..BLOCK, 2 * BLOCK..600]);
    }
}

#[test]
fn compaction_and_reconstruct_bring_their_own_map() {
    let folder = tempfile::tempdir().unwrap();
    let (_store, mailbox) = filled(folder.path());
    mailbox.remove(&UidSet::from_ranges([1..=400])).unwrap();
    assert!(mailbox.clean_up(Duration::ZERO).unwrap().compacted);
    let now = highest(&mailbox);
    assert_eq!(mailbox.reader().unwrap().slots_with_holes(), []);
    assert_eq!(mailbox.reader().unwrap().slots_changed(now), []);
    flag(&mailbox, 401, How::Remove, Flags::SEEN);
    let reader = mailbox.reader().unwrap();
    assert_eq!((reader.slots(), reader.slots_with_unseen()), (200, vec![0..200]));
    mailbox.reconstruct().unwrap();
    let now = highest(&mailbox);
    let reader = mailbox.reader().unwrap();
    assert_eq!((reader.slots_with_unseen(), reader.slots_changed(now)), (vec![0..200], vec![]));
}

/// The map verifies, and tells another number than the records do.
#[test]
fn storecheck_holds_the_map_against_the_records() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _mailbox) = filled(folder.path());
    let check = || {
        let listed = store.list("", None, 10).unwrap();
        let found = store.verify(&listed[0], Depth::Records, &mut |_| {}).unwrap().unwrap();
        found.differences.into_iter().map(|fault| fault.what).collect::<Vec<_>>()
    };
    assert_eq!(check(), Vec::<String>::new());
    with_map(folder.path(), |map| {
        map[24 + 8] = 1;
        let crc = crc32fast::hash(&map[4..24 + 3 * 16]);
        map[..4].copy_from_slice(&crc.to_le_bytes());
    });
    assert_eq!(check(), ["the zone map does not tell what the records do"]);
}

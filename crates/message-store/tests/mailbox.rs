//! A mailbox against a plain model, through reopening, crashes, and other processes' eyes.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use message_store::*;
use proptest::prelude::*;

fn store(folder: &Path) -> Store {
    let settings = StoreSettings {
        sync: commit_journal::SyncLevels::all(commit_journal::SyncLevel::None),
        list_sync: false,
        ..StoreSettings::in_folder(folder)
    };
    Store::open(settings, StoreLog::discard()).unwrap()
}

fn inbox(store: &Store) -> Arc<Mailbox> {
    store.ensure_user("joe").unwrap();
    store.open_mailbox(&MailboxName::inbox("joe").unwrap()).unwrap()
}

fn append(mailbox: &Arc<Mailbox>, text: &str, flags: Flags, keywords: &[&str]) -> u32 {
    let mut incoming = mailbox.begin_append().unwrap();
    incoming.write_all(text.as_bytes()).unwrap();
    let keywords = keywords.iter().map(|one| (*one).to_owned()).collect();
    incoming.finish(NewMessage { flags, keywords, internal_date_ns: 5 }).unwrap().uid
}

/// UID to flags, keywords and text of everything that is there.
fn content(mailbox: &Mailbox) -> BTreeMap<u32, (u32, Vec<String>, String)> {
    let reader = mailbox.reader().unwrap();
    let names = mailbox.keywords();
    let mut all = BTreeMap::new();
    for slot in 0..reader.slots() {
        let record = reader.record(slot);
        if record.is_expunged() {
            continue;
        }
        let cold = reader.cold(slot).unwrap();
        assert_eq!((cold.uid, cold.size), (record.uid, record.size));
        let file = mailbox.open_message(record.uid).unwrap();
        assert_eq!(file.size, u64::from(record.size));
        let text = std::io::read_to_string(file.file.as_ref()).unwrap();
        let mut keywords: Vec<String> = names
            .iter()
            .enumerate()
            .filter(|(bit, _)| record.keywords >> bit & 1 == 1)
            .map(|(_, name)| name.clone())
            .collect();
        keywords.sort();
        let envelope = String::from_utf8(mailbox.cached(slot).unwrap().envelope().to_vec()).unwrap();
        let subject = text.lines().next().unwrap().trim_start_matches("Subject: ");
        assert!(envelope.contains(&format!("\"{subject}\"")), "{envelope} of {text}");
        all.insert(record.uid, (record.flags.0, keywords, text));
    }
    let status = mailbox.status().unwrap();
    assert_eq!(status.exists as usize, all.len());
    assert_eq!(status.unseen as usize, all.values().filter(|(flags, ..)| flags & 1 == 0).count());
    assert_eq!(status.deleted as usize, all.values().filter(|(flags, ..)| flags & 8 != 0).count());
    assert_eq!(status.size_bytes as usize, all.values().map(|(.., text)| text.len()).sum::<usize>());
    all
}

#[derive(Clone, Debug)]
enum Act {
    Append(u8, bool),
    Flags(u8, How, u8, bool),
    Expunge,
    CopyToSelf(u8),
    Move(u8),
    Reopen,
    Checkpoint,
    CleanUp,
    Reconstruct,
    Reboot,
    PowerCut(u64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let how = prop_oneof![Just(How::Add), Just(How::Remove), Just(How::Replace)];
    let one = prop_oneof![
        4 => (any::<u8>(), any::<bool>()).prop_map(|(flags, keyword)| Act::Append(flags, keyword)),
        4 => (any::<u8>(), how, any::<u8>(), any::<bool>()).prop_map(|(place, how, flags, keyword)| Act::Flags(place, how, flags, keyword)),
        1 => Just(Act::Expunge),
        1 => any::<u8>().prop_map(Act::CopyToSelf),
        1 => any::<u8>().prop_map(Act::Move),
        1 => Just(Act::Reopen),
        1 => Just(Act::Checkpoint),
        1 => Just(Act::CleanUp),
        1 => Just(Act::Reconstruct),
        1 => Just(Act::Reboot),
        2 => any::<u64>().prop_map(Act::PowerCut),
    ];
    proptest::collection::vec(one, 1..40)
}

/// As after a power cut: the index says it was written in another life of the system.
fn forget_boot(folder: &Path) {
    let path = folder.join("store.idx");
    let mut bytes = fs::read(&path).unwrap();
    bytes[8 + 104] ^= 0xff;
    let crc = base_crc(&bytes[8..8 + 168]);
    bytes[8 + 168..8 + 172].copy_from_slice(&crc.to_le_bytes());
    fs::write(&path, bytes).unwrap();
}

/// What of index and cache may be on the disk: each page of the index as it was at one of these moments since the last
/// checkpoint, each cache segment as long as it was at one of them. Log and message files are durable.
#[derive(Default)]
struct Disk {
    index: Vec<Vec<u8>>,
    cache: Vec<BTreeMap<String, u64>>,
}

impl Disk {
    /// A moment passed.
    fn look(&mut self, folder: &Path) {
        self.index.push(fs::read(folder.join("store.idx")).unwrap());
        let segments = fs::read_dir(folder).unwrap().flatten().filter_map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            name.starts_with("store.c").then(|| (name, entry.metadata().unwrap().len()))
        });
        self.cache.push(segments.collect());
    }

    /// The index was synced.
    fn forget(&mut self) {
        *self = Disk::default();
    }

    /// Leaves in the folder what a power cut may leave.
    fn cut(&mut self, folder: &Path, mut seed: u64) {
        const PAGE: usize = 4096;
        let mut roll = |count: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize % count
        };
        let now = self.index.last().unwrap();
        let mut mixed = Vec::new();
        for at in (0..now.len()).step_by(PAGE) {
            let then = &self.index[roll(self.index.len())];
            let mut page = then.get(at..).map_or(Vec::new(), |rest| rest[..rest.len().min(PAGE)].to_vec());
            page.resize(PAGE.min(now.len() - at), 0); // grown, not written
            mixed.extend(page);
        }
        fs::write(folder.join("store.idx"), mixed).unwrap();
        for name in self.cache.last().unwrap().keys() {
            let then = &self.cache[roll(self.cache.len())];
            let file = fs::OpenOptions::new().write(true).open(folder.join(name)).unwrap();
            file.set_len(then.get(name).copied().unwrap_or(0)).unwrap();
        }
        self.forget();
        self.look(folder);
    }
}

fn base_crc(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_mailbox_is_its_model_through_everything(acts in acts()) {
        let folder = tempfile::tempdir().unwrap();
        let mut current = store(folder.path());
        let mut mailbox = inbox(&current);
        let mut model: BTreeMap<u32, (u32, Vec<String>, String)> = BTreeMap::new();
        let mut next_uid = 1;
        let mut modseq = mailbox.status().unwrap().highest_modseq;
        let validity = mailbox.uid_validity();
        let place = current.folder_of(&MailboxName::inbox("joe").unwrap()).unwrap();
        let mut disk = Disk::default();
        disk.look(&place);
        for (number, act) in acts.into_iter().enumerate() {
            let chosen = |place: u8, model: &BTreeMap<u32, _>| model.keys().nth(usize::from(place) % model.len().max(1)).copied();
            match act {
                Act::Append(flags, keyword) => {
                    let text = format!("Subject: {number}\r\n\r\nbody {number}\r\n");
                    let keywords: &[&str] = if keyword { &["Work"] } else { &[] };
                    let uid = append(&mailbox, &text, Flags(u32::from(flags & 31)), keywords);
                    prop_assert!(uid >= next_uid);
                    next_uid = uid + 1;
                    model.insert(uid, (u32::from(flags & 31), keywords.iter().map(|one| (*one).to_owned()).collect(), text));
                }
                Act::Flags(place, how, flags, keyword) => {
                    let Some(uid) = chosen(place, &model) else { continue };
                    let keywords = if keyword { vec!["Later".to_owned()] } else { Vec::new() };
                    let flags = u32::from(flags & 31);
                    let change = FlagChange { how, flags: Flags(flags), keywords: &keywords };
                    let result = mailbox.change_flags(&UidSet::single(uid), change, None).unwrap();
                    let entry = model.get_mut(&uid).unwrap();
                    let before = entry.clone();
                    match how {
                        How::Add => { entry.0 |= flags; entry.1.extend(keywords); }
                        How::Remove => { entry.0 &= !flags; entry.1.retain(|one| !keywords.contains(one)); }
                        How::Replace => { entry.0 = flags; entry.1 = keywords; }
                    }
                    entry.1.sort();
                    entry.1.dedup();
                    prop_assert_eq!(result.changed.len(), usize::from(*entry != before));
                }
                Act::Expunge => {
                    let gone = mailbox.expunge(None).unwrap();
                    let expected: Vec<u32> = model.iter().filter(|(_, entry)| entry.0 & 8 != 0).map(|(uid, _)| *uid).collect();
                    prop_assert_eq!(&gone, &expected);
                    model.retain(|_, entry| entry.0 & 8 == 0);
                }
                Act::CopyToSelf(place) => {
                    let Some(uid) = chosen(place, &model) else { continue };
                    let copied = mailbox.copy_to(&UidSet::single(uid), &mailbox).unwrap();
                    prop_assert_eq!(copied[0].0, uid);
                    model.insert(copied[0].1, model[&uid].clone());
                    next_uid = copied[0].1 + 1;
                }
                Act::Move(place) => {
                    let Some(uid) = chosen(place, &model) else { continue };
                    let to = MailboxName::parse("user/joe/Archive").unwrap();
                    let _ = current.create(&to, None);
                    let to = current.open_mailbox(&to).unwrap();
                    let there = content(&to).len();
                    mailbox.move_to(&UidSet::single(uid), &to).unwrap();
                    prop_assert_eq!(content(&to).len(), there + 1);
                    model.remove(&uid);
                }
                Act::Reopen => {
                    drop(mailbox);
                    drop(current);
                    current = store(folder.path());
                    mailbox = inbox(&current);
                }
                Act::Checkpoint => {
                    mailbox.checkpoint().unwrap();
                    disk.forget();
                }
                Act::CleanUp => { mailbox.clean_up(Duration::ZERO).unwrap(); }
                Act::Reconstruct => {
                    let done = mailbox.reconstruct().unwrap();
                    prop_assert_eq!((done.messages, done.added, done.lost), (model.len(), 0, 0));
                    disk.forget();
                }
                Act::Reboot => {
                    drop(mailbox);
                    drop(current);
                    forget_boot(&place);
                    current = store(folder.path());
                    mailbox = inbox(&current);
                }
                Act::PowerCut(seed) => {
                    drop(mailbox);
                    drop(current);
                    disk.cut(&place, seed);
                    forget_boot(&place);
                    current = store(folder.path());
                    mailbox = inbox(&current);
                }
            }
            disk.look(&place);
            prop_assert_eq!(&content(&mailbox), &model);
            let now = mailbox.status().unwrap();
            prop_assert!(now.highest_modseq >= modseq, "a modseq was given out twice");
            prop_assert!(now.uid_next >= next_uid);
            modseq = now.highest_modseq;
            prop_assert_eq!(mailbox.uid_validity(), validity);
        }
    }
}

/// Whatever byte the log is cut at, what was committed before is there and the rest did not happen.
#[test]
fn a_log_cut_anywhere_loses_only_the_transaction_that_was_being_written() {
    let folder = tempfile::tempdir().unwrap();
    let place;
    {
        let store = store(folder.path());
        let mailbox = inbox(&store);
        append(&mailbox, "Subject: one\r\n\r\n1\r\n", Flags::NONE, &[]);
        place = store.folder_of(&mailbox.name()).unwrap();
    }
    let before_idx = fs::read(place.join("store.idx")).unwrap();
    let before_log = fs::read(place.join("store.log")).unwrap();
    {
        let store = store(folder.path());
        let mailbox = inbox(&store);
        let seen = FlagChange { how: How::Add, flags: Flags::SEEN, keywords: &["Work".to_owned()] };
        mailbox.change_flags(&UidSet::single(1), seen, None).unwrap();
    }
    let after_log = fs::read(place.join("store.log")).unwrap();
    for length in before_log.len()..=after_log.len() {
        // The index as before the change, as a power cut may leave it; the log as far as it came.
        fs::write(place.join("store.idx"), &before_idx).unwrap();
        fs::write(place.join("store.log"), &after_log[..length]).unwrap();
        let store = store(folder.path());
        let found = content(&inbox(&store));
        let happened = length == after_log.len();
        assert_eq!(found[&1].0, u32::from(happened), "cut at {length}");
        assert_eq!(found[&1].1.len(), usize::from(happened));
    }
}

#[test]
fn a_damaged_index_or_log_is_kept_aside_and_rebuilt_with_uids_flags_and_uidvalidity() {
    for what in [
        "store.idx gone",
        "store.log gone",
        "store.c00 gone",
        "index header",
        "index zero",
        "log header",
        "both headers",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (place, validity, expected);
        {
            let store = store(folder.path());
            let mailbox = inbox(&store);
            for n in 0..5 {
                append(&mailbox, &format!("Subject: {n}\r\n\r\nx\r\n"), Flags::FLAGGED, &["Work"]);
            }
            mailbox
                .change_flags(
                    &UidSet::single(2),
                    FlagChange { how: How::Add, flags: Flags::DELETED, keywords: &[] },
                    None,
                )
                .unwrap();
            mailbox.expunge(None).unwrap();
            place = store.folder_of(&mailbox.name()).unwrap();
            validity = mailbox.uid_validity();
            expected = content(&mailbox);
        }
        let damage = |name: &str, at: usize| {
            let mut bytes = fs::read(place.join(name)).unwrap();
            bytes[at] ^= 0x55;
            fs::write(place.join(name), bytes).unwrap();
        };
        match what {
            "index header" => damage("store.idx", 50),
            "index zero" => fs::write(place.join("store.idx"), vec![0; 40960]).unwrap(),
            "log header" => damage("store.log", 20),
            "both headers" => {
                damage("store.idx", 50);
                damage("store.log", 20);
            }
            gone => fs::remove_file(place.join(gone.split(' ').next().unwrap())).unwrap(),
        }
        let store = store(folder.path());
        let mailbox = inbox(&store);
        assert_eq!(content(&mailbox), expected, "{what}");
        assert_eq!(mailbox.uid_validity(), validity, "{what}");
        assert!(append(&mailbox, "Subject: new\r\n\r\n", Flags::NONE, &[]) >= 6, "{what}");
    }
}

#[test]
fn files_that_somebody_copied_in_become_messages_with_their_names_as_uids() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let mailbox = inbox(&store);
    append(&mailbox, "Subject: own\r\n\r\n", Flags::SEEN, &[]);
    let place = store.folder_of(&mailbox.name()).unwrap();
    fs::create_dir(place.join("03")).unwrap();
    fs::write(place.join("03/307.msg"), "Subject: restored\r\n\r\n").unwrap();
    fs::write(place.join("03/5.msg"), "in the wrong folder").unwrap();
    let done = store.reconstruct(&mailbox.name()).unwrap();
    assert_eq!((done.messages, done.added, done.lost), (2, 1, 0));
    let found = content(&mailbox);
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), [1, 307]);
    assert_eq!(found[&1].0, 1);
    assert_eq!(append(&mailbox, "Subject: later\r\n\r\n", Flags::NONE, &[]), 308);
    fs::remove_file(place.join("00/1.msg")).unwrap();
    assert_eq!(store.reconstruct(&mailbox.name()).unwrap().lost, 1);
    assert_eq!(mailbox.status().unwrap().exists, 2);
}

#[test]
fn a_delivery_happens_once_whatever_is_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let mailbox = inbox(&store);
    let path = folder.path().join("queued");
    fs::write(&path, "Return-Path: <a@b>\r\nSubject: x\r\n\r\ny\r\n").unwrap();
    let prepared = Prepared::of_file(&fs::File::open(&path).unwrap()).unwrap();
    let arrived =
        i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos())
            .unwrap();
    let deliver = |queue_id: &str| {
        mailbox
            .deliver(LinkedMessage {
                lent: None,
                source: message_store::Source::File(&path),
                flags: Flags::NONE,
                internal_date_ns: arrived,
                delivery: DeliveryId { queue_id, recipient: "joe" },
                prepared: &prepared,
                limits: message_store::Limits::default(),
            })
            .unwrap()
    };
    assert_eq!(deliver("A"), Delivered::New(1));
    for n in 0..100 {
        append(&mailbox, &format!("Subject: {n}\r\n\r\n"), Flags::NONE, &[]);
    }
    assert_eq!(deliver("A"), Delivered::AlreadyThere(1));
    assert_eq!(deliver("B"), Delivered::New(102));
    // The name was made and the transaction was not: the same message uses it.
    let place = store.folder_of(&mailbox.name()).unwrap();
    fs::hard_link(&path, place.join("01/103.msg")).unwrap();
    assert_eq!(deliver("C"), Delivered::New(103));
    // Somebody else's leftover is passed over, not overwritten.
    fs::write(place.join("01/104.msg"), "left over").unwrap();
    assert_eq!(deliver("D"), Delivered::New(105));
    assert_eq!(fs::read_to_string(place.join("01/104.msg")).unwrap(), "left over");
    use std::os::unix::fs::MetadataExt;
    assert_eq!(fs::metadata(&path).unwrap().nlink(), 5, "S157: one inode for all");
}

#[test]
fn unlinked_files_go_and_the_index_is_compacted_under_a_live_reader() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let mailbox = inbox(&store);
    for n in 0..400 {
        append(
            &mailbox,
            &format!("Subject: {n}\r\n\r\n"),
            if n < 300 { Flags::DELETED } else { Flags::NONE },
            &["Work"],
        );
    }
    let other = inbox(&self::store(folder.path()));
    let old = other.reader().unwrap();
    assert_eq!(mailbox.expunge(None).unwrap().len(), 300);
    let place = store.folder_of(&mailbox.name()).unwrap();
    assert!(place.join("00/1.msg").exists(), "S147: expunged, not unlinked");
    let done = mailbox.clean_up(Duration::from_secs(3600)).unwrap();
    assert_eq!((done.unlinked, done.compacted), (0, false), "S150: too young");
    let done = mailbox.clean_up(Duration::ZERO).unwrap();
    assert_eq!((done.unlinked, done.compacted), (300, true));
    assert!(!place.join("00/1.msg").exists());
    assert_eq!(content(&mailbox).len(), 100);
    assert_eq!(content(&other).len(), 100, "another process sees the new generation");
    assert_eq!(old.record(399).uid, 400, "who holds the old one goes on");
    assert_ne!(old.generation(), other.reader().unwrap().generation());
    assert_eq!(append(&other, "Subject: next\r\n\r\n", Flags::NONE, &[]), 401);
    assert_eq!(content(&mailbox).len(), 101);
}

#[test]
fn writers_in_many_threads_and_handles_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    inbox(&store(folder.path()));
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let folder = folder.path();
            scope.spawn(move || {
                // A store of its own: as another process would have it.
                let settings = StoreSettings { list_sync: false, ..StoreSettings::in_folder(folder) };
                let store = Store::open(settings, StoreLog::discard()).unwrap();
                let mailbox = store.open_mailbox(&MailboxName::inbox("joe").unwrap()).unwrap();
                for n in 0..50 {
                    let uid = append(&mailbox, &format!("Subject: {writer}-{n}\r\n\r\n"), Flags::NONE, &[]);
                    let change =
                        FlagChange { how: How::Add, flags: Flags::SEEN, keywords: &[format!("w{writer}")] };
                    assert_eq!(
                        mailbox.change_flags(&UidSet::single(uid), change, None).unwrap().changed,
                        [uid]
                    );
                }
            });
        }
        let folder = folder.path();
        scope.spawn(move || {
            let store = store(folder);
            let mailbox = store.open_mailbox(&MailboxName::inbox("joe").unwrap()).unwrap();
            let mut exists = 0;
            while exists < 200 {
                let reader = mailbox.reader().unwrap();
                for slot in 0..reader.slots() {
                    let record = reader.record(slot);
                    assert!(!record.flags.contains(Flags::DAMAGED), "slot {slot}");
                    assert!(slot == 0 || reader.record(slot - 1).uid < record.uid);
                }
                exists = mailbox.status().unwrap().exists;
                std::thread::yield_now();
            }
        });
    });
    let found = content(&inbox(&store(folder.path())));
    assert_eq!(found.len(), 200);
    assert!(found.values().all(|(flags, keywords, _)| *flags == 1 && keywords.len() == 1));
}

#[test]
fn limits_are_told_and_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let mailbox = inbox(&store);
    let uid = append(&mailbox, "Subject: x\r\n\r\n", Flags::NONE, &[]);
    for n in 0..64 {
        let change = FlagChange { how: How::Add, flags: Flags::NONE, keywords: &[format!("k{n}")] };
        mailbox.change_flags(&UidSet::single(uid), change, None).unwrap();
    }
    for name in ["k64".to_owned(), "x".repeat(64)] {
        let change = FlagChange { how: How::Add, flags: Flags::SEEN, keywords: &[name] };
        assert!(matches!(
            mailbox.change_flags(&UidSet::single(uid), change, None),
            Err(StoreError::TooBig(_))
        ));
    }
    assert_eq!(content(&mailbox)[&uid].0, 0);
    let since = mailbox.status().unwrap().highest_modseq - 1;
    let change = FlagChange { how: How::Add, flags: Flags::SEEN, keywords: &[] };
    assert_eq!(mailbox.change_flags(&UidSet::single(uid), change, Some(since)).unwrap().refused, [uid]);
    let lock = mailbox.lock_maildrop().unwrap();
    assert!(matches!(inbox(&self::store(folder.path())).lock_maildrop(), Err(StoreError::InUse)));
    drop(lock);
    mailbox.lock_maildrop().unwrap();
}

#[test]
fn recent_is_announced_to_one_session() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let mailbox = inbox(&store);
    assert!(mailbox.take_recent().unwrap().is_empty());
    append(&mailbox, "Subject: a\r\n\r\n", Flags::NONE, &[]);
    append(&mailbox, "Subject: b\r\n\r\n", Flags::NONE, &[]);
    assert_eq!(mailbox.status().unwrap().recent, 2);
    assert_eq!(mailbox.take_recent().unwrap(), 1..=2);
    assert!(mailbox.take_recent().unwrap().is_empty());
}

#[test]
fn a_thousand_messages_across_blocks_and_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    {
        let store = store(folder.path());
        let mailbox = inbox(&store);
        for n in 0..1000 {
            append(&mailbox, &format!("Subject: {n}\r\n\r\n"), Flags::NONE, &[]);
        }
        let seen = FlagChange { how: How::Add, flags: Flags::SEEN, keywords: &[] };
        assert_eq!(mailbox.change_flags(&UidSet::all(), seen, None).unwrap().changed.len(), 1000);
        for _ in 0..30 {
            for how in [How::Remove, How::Add] {
                mailbox.change_flags(&UidSet::all(), FlagChange { how, ..seen }, None).unwrap();
            }
        }
        let log = fs::metadata(store.folder_of(&mailbox.name()).unwrap().join("store.log")).unwrap().len();
        assert!(log < 2 << 20, "the log does not grow for ever: {log}");
    }
    let mailbox = inbox(&store(folder.path()));
    assert_eq!(content(&mailbox).len(), 1000);
    assert_eq!(mailbox.status().unwrap().unseen, 0);
}

/// A delivery that was killed after its link and before its record: done again it is there once, whatever was rebuilt
/// before or after (S75).
#[test]
fn an_interrupted_delivery_is_there_once_after_any_rebuild() {
    for rebuilt_before in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let mailbox = inbox(&store);
        let arrived = i64::try_from(
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos(),
        )
        .unwrap();
        let path = folder.path().join("queued");
        fs::write(&path, "Subject: queued\r\n\r\nx\r\n").unwrap();
        let prepared = Prepared::of_file(&fs::File::open(&path).unwrap()).unwrap();
        append(&mailbox, "Subject: one\r\n\r\n", Flags::NONE, &[]);
        let place = store.folder_of(&mailbox.name()).unwrap();
        fs::hard_link(&path, place.join("00/2.msg")).unwrap();
        if rebuilt_before {
            assert_eq!(store.reconstruct(&mailbox.name()).unwrap().added, 1);
        } else {
            append(&mailbox, "Subject: another took its turn\r\n\r\n", Flags::NONE, &[]);
        }
        let deliver = || {
            mailbox
                .deliver(LinkedMessage {
                    lent: None,
                    source: message_store::Source::File(&path),
                    flags: Flags::NONE,
                    internal_date_ns: arrived,
                    delivery: DeliveryId { queue_id: "Q", recipient: "joe" },
                    prepared: &prepared,
                    limits: message_store::Limits::default(),
                })
                .unwrap()
        };
        assert_eq!(deliver(), if rebuilt_before { Delivered::AlreadyThere(2) } else { Delivered::New(4) });
        let expected = mailbox.status().unwrap().exists;
        let done = store.reconstruct(&mailbox.name()).unwrap();
        assert_eq!((done.added, done.lost), (0, 0));
        assert_eq!(mailbox.status().unwrap().exists, expected);
        assert_eq!(expected, if rebuilt_before { 2 } else { 3 });
        assert!(matches!(deliver(), Delivered::AlreadyThere(_)));
    }
}

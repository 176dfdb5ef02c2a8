//! Quota roots: what is said is what is there, whoever changed it and whatever was interrupted.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use commit_journal::{SyncLevel, SyncLevels};
use message_store::{
    Admission, Delivered, DeliveryId, Flags, Limits, LinkedMessage, Mailbox, MailboxName, NewMessage,
    Prepared, Store, StoreError, StoreLog, StoreSettings, UidSet, Usage,
};
use proptest::prelude::*;

const KILO: u64 = 1024;
const HOUR: Duration = Duration::from_secs(3600);

/// Every call is another process, as far as the store can tell: nothing is shared but the files.
fn store(folder: &Path) -> Store {
    let mut settings = StoreSettings {
        sync: SyncLevels::all(SyncLevel::None),
        list_sync: false,
        ..StoreSettings::in_folder(folder)
    };
    settings.partitions.insert("second".into(), folder.join("store/partition/second"));
    Store::open(settings, StoreLog::discard()).unwrap()
}

fn name(text: &str) -> MailboxName {
    MailboxName::parse(text).unwrap()
}

fn text(bytes: u64) -> Vec<u8> {
    let head = b"Subject: q\r\n\r\n";
    let mut text = head.to_vec();
    text.resize(usize::try_from(bytes).unwrap().max(head.len()), b'x');
    text
}

fn append(store: &Store, mailbox: &str, bytes: u64) -> Result<u32, StoreError> {
    let mailbox: Arc<Mailbox> = store.open_mailbox(&name(mailbox))?;
    let mut incoming = mailbox.begin_append()?;
    incoming.write_all(&text(bytes))?;
    incoming.finish(NewMessage { internal_date_ns: 5, ..NewMessage::default() }).map(|appended| appended.uid)
}

/// What the headers of the mailboxes say, one by one.
fn counted(store: &Store, uid: &str) -> Usage {
    let mut sum = Usage::default();
    for listed in store.list(&format!("user/{uid}/"), None, 1000).unwrap().iter().filter(|one| one.selectable)
    {
        let status = store.open_mailbox(&listed.name).unwrap().status().unwrap();
        sum.messages += u64::from(status.exists);
        sum.bytes += status.size_bytes;
    }
    sum
}

fn said(store: &Store, uid: &str) -> Usage {
    store.quota(uid).unwrap().usage
}

fn assert_exact(store: &Store, users: &[&str]) {
    for uid in users {
        let inbox = MailboxName::inbox(uid).unwrap();
        if store.exists(&inbox).unwrap() {
            assert_eq!(said(store, uid), counted(store, uid), "{uid}");
            let done = store.recount(uid).unwrap();
            assert_eq!(
                (done.differences, done.mended, done.counted),
                (0, 0, counted(store, uid)),
                "{uid}: {done:?}"
            );
        }
    }
}

fn find(folder: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if entry.file_name() == name {
            found.push(path);
        } else if path.is_dir() {
            found.extend(find(&path, name));
        }
    }
    found
}

#[test]
fn appends_copies_moves_and_expunges_are_counted_by_every_process() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (store(folder.path()), store(folder.path()));
    one.ensure_user("joe").unwrap();
    one.create_in(&name("user/joe/Work"), None, "second").unwrap();
    assert_eq!(said(&one, "joe"), Usage::default());
    let uid = append(&other, "user/joe", 1000).unwrap();
    append(&other, "user/joe/Work", 500).unwrap();
    assert_eq!(said(&one, "joe"), Usage { messages: 2, bytes: 1500 });
    let inbox = one.open_mailbox(&name("user/joe")).unwrap();
    let work = other.open_mailbox(&name("user/joe/Work")).unwrap();
    inbox.copy_to(&UidSet::from_iter([uid]), &work).unwrap();
    assert_eq!(said(&other, "joe"), Usage { messages: 3, bytes: 2500 }, "a second link counts fully (S158)");
    inbox.move_to(&UidSet::from_iter([uid]), &work).unwrap();
    assert_eq!(said(&one, "joe"), Usage { messages: 3, bytes: 2500 });
    work.remove(&UidSet::all()).unwrap();
    assert_eq!(said(&one, "joe"), Usage::default());
    assert_exact(&one, &["joe"]);
}

#[test]
fn folders_that_are_deleted_renamed_and_given_to_others_are_counted_where_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (store(folder.path()), store(folder.path()));
    for uid in ["joe", "ann"] {
        one.ensure_user(uid).unwrap();
    }
    for mailbox in ["user/joe/A", "user/joe/A/B", "user/joe/C"] {
        one.create(&name(mailbox), None).unwrap();
        append(&one, mailbox, 1000).unwrap();
    }
    let held = other.open_mailbox(&name("user/joe/A/B")).unwrap();
    append(&other, "user/joe/A/B", 10_000).unwrap();
    assert_eq!(said(&one, "joe"), Usage { messages: 4, bytes: 13_000 });
    one.rename(&name("user/joe/A"), &name("user/joe/Z")).unwrap();
    assert_eq!(said(&other, "joe"), Usage { messages: 4, bytes: 13_000 });
    one.rename(&name("user/joe/Z"), &name("user/ann/A")).unwrap();
    assert_eq!(said(&other, "joe"), Usage { messages: 1, bytes: 1000 });
    assert_eq!(said(&other, "ann"), Usage { messages: 3, bytes: 12_000 });
    // Another process has it open, by its old name.
    let mut incoming = held.begin_append().unwrap();
    incoming.write_all(&text(100)).unwrap();
    incoming.finish(NewMessage::default()).unwrap();
    assert_eq!(said(&one, "joe"), Usage { messages: 1, bytes: 1000 });
    assert_eq!(said(&one, "ann"), Usage { messages: 4, bytes: 12_100 });
    one.delete(&name("user/ann/A/B")).unwrap();
    assert_eq!(said(&one, "ann"), Usage { messages: 1, bytes: 1000 });
    // The account gets another name, and another one gets the old name.
    one.rename(&name("user/ann"), &name("user/eva")).unwrap();
    one.ensure_user("ann").unwrap();
    append(&one, "user/ann", 7000).unwrap();
    append(&other, "user/eva", 30).unwrap();
    assert_eq!(said(&other, "ann"), Usage { messages: 1, bytes: 7000 });
    assert_eq!(said(&other, "eva"), Usage { messages: 2, bytes: 1030 });
    one.delete(&name("user/eva")).unwrap();
    assert_eq!(said(&one, "eva"), Usage::default());
    assert_exact(&other, &["joe", "ann"]);
}

/// The note is written before anything moves, and goes when all is done; what the crash left of the slots is set right by who
/// finds it.
#[test]
fn a_rename_to_another_user_that_was_interrupted_is_counted_when_it_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    for uid in ["joe", "ann"] {
        store.ensure_user(uid).unwrap();
    }
    store.create(&name("user/joe/A"), None).unwrap();
    append(&store, "user/joe/A", 1000).unwrap();
    assert_eq!(said(&store, "joe").messages, 1);
    let path = store.folder_of(&name("user/joe")).unwrap().join("store.use");
    let with_slot = fs::read(&path).unwrap();
    let id = store.open_mailbox(&name("user/joe/A")).unwrap().id();
    store.rename(&name("user/joe/A"), &name("user/ann/A")).unwrap();
    fs::write(&path, with_slot).unwrap();
    let note = folder.path().join(format!("store/mboxlist/rename-{id:032x}"));
    fs::write(&note, "1\nuser/joe/A\nuser/ann/A\n").unwrap();
    assert_eq!(said(&store, "joe").messages, 1);
    assert_eq!(store.finish_renames().unwrap(), 1);
    assert_eq!((said(&store, "joe").messages, said(&store, "ann").messages), (0, 1));
    assert_exact(&store, &["joe", "ann"]);
}

#[test]
fn limits_are_those_of_the_last_mail_and_an_administrators_until_the_directory_changes() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    store.ensure_user("joe").unwrap();
    let limit = |bytes| Limits { bytes: Some(bytes), messages: None };
    assert_eq!(store.mail_comes("joe", limit(4000), 1000, HOUR).unwrap(), Admission::Fits(limit(4000)));
    assert_eq!(store.quota("joe").unwrap().limits, limit(4000));
    store.set_limits("joe", Limits::default(), limit(4000)).unwrap();
    assert_eq!(store.quota("joe").unwrap().limits, Limits::default());
    assert_eq!(store.mail_comes("joe", limit(4000), 9000, HOUR).unwrap(), Admission::Fits(Limits::default()));
    assert_eq!(store.mail_comes("joe", limit(5000), 100, HOUR).unwrap(), Admission::Fits(limit(5000)));
    assert_eq!(store.mail_comes("joe", limit(5000), 5001, HOUR).unwrap(), Admission::InGrace);
    assert_ne!(store.quota("joe").unwrap().over_since, 0);
    assert_eq!(
        store.mail_comes("joe", limit(5000), 5001, Duration::ZERO).unwrap(),
        Admission::Full(limit(5000))
    );
    assert!(!store.would_fit("joe", limit(5000), 5001, Duration::ZERO).unwrap());
    assert!(store.would_fit("joe", limit(5000), 5001, HOUR).unwrap());
    assert_eq!(store.mail_comes("joe", limit(5000), 5000, HOUR).unwrap(), Admission::Fits(limit(5000)));
    assert_eq!(store.quota("joe").unwrap().over_since, 0, "it is not over any more");
}

#[test]
fn what_clients_add_must_fit_and_what_they_move_within_their_mailboxes_does() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    for uid in ["joe", "ann"] {
        store.ensure_user(uid).unwrap();
    }
    store.create(&name("user/joe/Work"), None).unwrap();
    store.mail_comes("joe", Limits { bytes: Some(10 * KILO), messages: Some(3) }, 0, HOUR).unwrap();
    let uid = append(&store, "user/joe", 6 * KILO).unwrap();
    assert!(matches!(append(&store, "user/joe/Work", 4 * KILO + 1), Err(StoreError::OverQuota)));
    append(&store, "user/joe/Work", 4 * KILO).unwrap();
    let (inbox, work, hers) = (
        store.open_mailbox(&name("user/joe")).unwrap(),
        store.open_mailbox(&name("user/joe/Work")).unwrap(),
        store.open_mailbox(&name("user/ann")).unwrap(),
    );
    let one = UidSet::from_iter([uid]);
    assert!(matches!(inbox.copy_to(&one, &work), Err(StoreError::OverQuota)));
    assert_eq!(work.status().unwrap().exists, 1);
    let moved = inbox.move_to(&one, &work).unwrap();
    assert_eq!(said(&store, "joe"), Usage { messages: 2, bytes: 10 * KILO });
    work.move_to(&UidSet::from_iter([moved[0].1]), &hers).unwrap();
    append(&store, "user/ann", 5 * KILO).unwrap();
    hers.move_to(&UidSet::from_iter([1, 2]), &work).map(drop).unwrap_err();
    assert_eq!(said(&store, "ann"), Usage { messages: 2, bytes: 11 * KILO }, "nothing of it happened");
    for _ in 0..2 {
        append(&store, "user/joe", 100).unwrap();
    }
    assert!(matches!(append(&store, "user/joe", 100), Err(StoreError::OverQuota)), "three messages");
    let mut incoming = inbox.begin_append().unwrap().beyond_quota();
    incoming.write_all(&text(50_000)).unwrap();
    incoming.finish(NewMessage::default()).unwrap();
    assert_exact(&store, &["joe", "ann"]);
    let leftover = find(folder.path(), "00").iter().flat_map(|path| fs::read_dir(path).unwrap()).count();
    let messages = said(&store, "joe").messages + said(&store, "ann").messages;
    // Expunged ones keep their files until the clean-up: the one that was moved twice.
    assert_eq!(leftover as u64, messages + 2, "what was refused leaves no file");
}

#[test]
fn a_delivery_within_limits_is_refused_once_and_one_that_was_done_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    store.ensure_user("joe").unwrap();
    let path = folder.path().join("message");
    fs::write(&path, text(3000)).unwrap();
    let prepared = Prepared::of_file(&fs::File::open(&path).unwrap()).unwrap();
    let deliver = |queue_id, bytes| {
        store.open_mailbox(&name("user/joe")).unwrap().deliver(LinkedMessage {
            lent: None,
            source: message_store::Source::File(&path),
            flags: Flags::NONE,
            internal_date_ns: 5,
            delivery: DeliveryId { queue_id, recipient: "joe" },
            prepared: &prepared,
            limits: Limits { bytes: Some(bytes), messages: None },
        })
    };
    assert_eq!(deliver("a", 3000).unwrap(), Delivered::New(1));
    assert!(matches!(deliver("b", 5999), Err(StoreError::OverQuota)));
    assert_eq!(deliver("a", 10).unwrap(), Delivered::AlreadyThere(1));
    assert_eq!(deliver("b", 6000).unwrap(), Delivered::New(2));
}

#[test]
fn the_file_is_made_anew_when_it_is_lost_damaged_or_older_than_storeds_start() {
    let folder = tempfile::tempdir().unwrap();
    let before = store(folder.path());
    before.ensure_user("joe").unwrap();
    for _ in 0..3 {
        append(&before, "user/joe", 1000).unwrap();
    }
    let path = find(folder.path(), "store.use").pop().unwrap();
    let should = Usage { messages: 3, bytes: 3000 };
    for damage in ["lost", "damaged", "old"] {
        match damage {
            "lost" => fs::remove_file(&path).unwrap(),
            "damaged" => fs::write(&path, vec![0x55; 4096]).unwrap(),
            _ => {
                // Counts of another start of stored, wrong ones.
                let mut bytes = fs::read(&path).unwrap();
                bytes[8] ^= 0xff;
                bytes[512 + 16] = 77;
                fs::write(&path, bytes).unwrap();
            }
        }
        let after = store(folder.path());
        assert_eq!(said(&after, "joe"), should, "{damage}");
        append(&after, "user/joe", 1).unwrap();
        after.open_mailbox(&name("user/joe")).unwrap().remove(&UidSet::from_iter(4..=9)).unwrap();
        assert_eq!(said(&after, "joe"), should, "{damage}");
        assert_exact(&after, &["joe"]);
    }
}

#[test]
fn reconstruct_and_a_rebuilt_list_leave_nothing_counted_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    store.ensure_user("joe").unwrap();
    store.create(&name("user/joe/Work"), None).unwrap();
    for mailbox in ["user/joe", "user/joe/Work"] {
        for _ in 0..3 {
            append(&store, mailbox, 1000).unwrap();
        }
    }
    let place = store.folder_of(&name("user/joe/Work")).unwrap();
    fs::remove_file(place.join("00/2.msg")).unwrap();
    store.reconstruct(&name("user/joe/Work")).unwrap();
    assert_eq!(said(&store, "joe"), Usage { messages: 5, bytes: 5000 });
    // A folder goes, and comes back, behind the store's back.
    let aside = folder.path().join("aside");
    fs::rename(&place, &aside).unwrap();
    store.rebuild_list(|_| {}).unwrap();
    assert_eq!(said(&store, "joe"), Usage { messages: 3, bytes: 3000 });
    fs::rename(&aside, &place).unwrap();
    store.rebuild_list(|_| {}).unwrap();
    assert_eq!(said(&store, "joe"), Usage { messages: 5, bytes: 5000 });
    assert_exact(&store, &["joe"]);
}

#[test]
fn many_at_once_lose_nothing_and_go_over_by_one_message_each_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let first = store(folder.path());
    first.ensure_user("joe").unwrap();
    for place in 0..4 {
        first.create(&name(&format!("user/joe/{place}")), None).unwrap();
    }
    first.mail_comes("joe", Limits { bytes: Some(100 * KILO), messages: None }, 0, HOUR).unwrap();
    std::thread::scope(|scope| {
        for place in 0..4 {
            let folder = folder.path();
            scope.spawn(move || {
                let store = store(folder);
                for _ in 0..60 {
                    match append(&store, &format!("user/joe/{place}"), KILO) {
                        Ok(_) | Err(StoreError::OverQuota) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
            });
        }
    });
    let used = said(&first, "joe").bytes;
    assert!((100 * KILO..=103 * KILO).contains(&used), "{used}");
    assert_exact(&first, &["joe"]);
}

#[derive(Clone, Debug)]
enum Step {
    Append(usize, u64),
    Copy(usize, usize, u32),
    Move(usize, usize, u32),
    Expunge(usize, u32),
    Delete(usize),
    Rename(usize, usize),
    /// A writer was killed: the header's sequence is odd, and what the slot says is of nobody.
    Interrupt(usize),
    StartStored,
}

const PLACES: [&str; 6] = ["user/joe", "user/joe/A", "user/joe/A/B", "user/ann", "user/ann/C", "Public/D"];

fn step() -> impl Strategy<Value = Step> {
    let place = || 0..PLACES.len();
    prop_oneof![
        5 => (place(), 20u64..5000).prop_map(|(at, bytes)| Step::Append(at, bytes)),
        2 => (place(), place(), 1u32..6).prop_map(|(from, to, uid)| Step::Copy(from, to, uid)),
        2 => (place(), place(), 1u32..6).prop_map(|(from, to, uid)| Step::Move(from, to, uid)),
        2 => (place(), 1u32..6).prop_map(|(at, uid)| Step::Expunge(at, uid)),
        1 => (1usize..3).prop_map(Step::Delete),
        2 => (place(), place()).prop_map(|(from, to)| Step::Rename(from, to)),
        1 => place().prop_map(Step::Interrupt),
        1 => Just(Step::StartStored),
    ]
}

fn take(step: &Step, store: &Store) -> Result<(), StoreError> {
    let open = |place: usize| store.open_mailbox(&name(PLACES[place]));
    match step {
        Step::Append(at, bytes) => {
            let at = name(PLACES[*at]);
            if !store.exists(&at)? {
                store.create(&at, None)?;
            }
            append(store, at.as_str(), *bytes).map(drop)
        }
        Step::Copy(from, to, uid) => open(*from)?.copy_to(&UidSet::from_iter([*uid]), &*open(*to)?).map(drop),
        Step::Move(from, to, uid) => open(*from)?.move_to(&UidSet::from_iter([*uid]), &*open(*to)?).map(drop),
        Step::Expunge(at, uid) => open(*at)?.remove(&UidSet::from_iter([*uid])).map(drop),
        Step::Delete(at) => store.delete(&name(PLACES[*at])),
        Step::Rename(from, to) => store.rename(&name(PLACES[*from]), &name(PLACES[*to])),
        Step::Interrupt(at) => {
            let path = store.folder_of(&name(PLACES[*at]))?;
            let index = path.join("store.idx");
            let bytes = fs::read(&index)?;
            use std::os::unix::fs::FileExt;
            let file = fs::OpenOptions::new().write(true).open(&index)?;
            file.write_all_at(&[bytes[0] | 1], 0)?;
            Ok(())
        }
        Step::StartStored => store.begin_recovery(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_by_whichever_process_what_is_said_is_what_is_there(
        steps in prop::collection::vec((step(), any::<bool>()), 1..40)
    ) {
        let folder = tempfile::tempdir().unwrap();
        let processes = [store(folder.path()), store(folder.path())];
        for (step, other) in &steps {
            let _ = take(step, &processes[usize::from(*other)]); // what cannot be done is not done
        }
        for uid in ["joe", "ann"] {
            if processes[0].exists(&MailboxName::inbox(uid).unwrap()).unwrap() {
                let said = processes[1].quota(uid).unwrap().usage;
                prop_assert_eq!(said, counted(&processes[0], uid), "{}: {:?}", uid, steps);
                let done = processes[0].recount(uid).unwrap();
                prop_assert_eq!(done.differences, 0, "{}: {:?}", uid, steps);
            }
        }
    }
}

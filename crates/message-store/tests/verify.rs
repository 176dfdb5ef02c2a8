//! Proving a store: nothing is found where nothing is wrong, whatever goes on meanwhile; every damage is found.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use commit_journal::{SyncLevel, SyncLevels};
use message_store::{
    Depth, FlagChange, Flags, How, Listed, Mailbox, MailboxName, NewMessage, Scope, Store, StoreLog,
    StoreSettings, UidSet, Verified,
};

const MESSAGES: u32 = 20;
const HOT: usize = 8192;
const COLD: usize = HOT + 256 * 32;

fn store(folder: &Path) -> Store {
    let settings = StoreSettings {
        sync: SyncLevels::all(SyncLevel::None),
        list_sync: false,
        ..StoreSettings::in_folder(folder)
    };
    Store::open(settings, StoreLog::discard()).unwrap()
}

fn name(text: &str) -> MailboxName {
    MailboxName::parse(text).unwrap()
}

fn append(mailbox: &Arc<Mailbox>, text: &str) -> u32 {
    let mut incoming = mailbox.begin_append().unwrap();
    incoming.write_all(format!("Subject: {text}\r\n\r\nx\r\n").as_bytes()).unwrap();
    incoming.finish(NewMessage { internal_date_ns: 5, ..NewMessage::default() }).unwrap().uid
}

fn flag(mailbox: &Mailbox, uid: u32, flags: Flags) {
    let change = FlagChange { how: How::Add, flags, keywords: &["$Work".to_owned()] };
    mailbox.change_flags(&UidSet::single(uid), change, None).unwrap();
}

fn all(store: &Store) -> Vec<Listed> {
    store.list("", None, 1000).unwrap().into_iter().filter(|listed| listed.selectable).collect()
}

fn verify(store: &Store, mailbox: &MailboxName, depth: Depth) -> Verified {
    let listed = all(store).into_iter().find(|listed| listed.name == *mailbox).unwrap();
    store.verify(&listed, depth, &mut |_| {}).unwrap().unwrap()
}

/// A store whose mailbox has been checkpointed, and changed since.
fn used(folder: &Path) -> (Store, Arc<Mailbox>) {
    let store = store(folder);
    store.ensure_user("joe").unwrap();
    let mailbox = store.open_mailbox(&name("user/joe")).unwrap();
    (1..=MESSAGES).for_each(|uid| assert_eq!(append(&mailbox, &uid.to_string()), uid));
    flag(&mailbox, 2, Flags::SEEN);
    mailbox.checkpoint().unwrap();
    flag(&mailbox, 3, Flags::DELETED);
    mailbox.expunge(None).unwrap();
    flag(&mailbox, 4, Flags::FLAGGED);
    store.quota("joe").unwrap(); // from here on the quota's slots are known to be right
    (store, mailbox)
}

#[test]
fn a_sound_store_has_no_differences() {
    let folder = tempfile::tempdir().unwrap();
    let (store, mailbox) = used(folder.path());
    store.subscribe("joe", "Work").unwrap();
    for depth in [Depth::Records, Depth::Contents] {
        let mut read = 0;
        let listed = &all(&store)[0];
        let found = store.verify(listed, depth, &mut |bytes| read += bytes).unwrap().unwrap();
        let expected = Verified { messages: u64::from(MESSAGES) - 1, ..Verified::default() };
        assert_eq!(found, expected);
        assert_eq!(read > 0, depth == Depth::Contents);
    }
    assert_eq!(store.verify_subscriptions(&name("user/joe")).unwrap(), None);
    let none = |name: &MailboxName, fault| panic!("{name}: {fault:?}");
    assert_eq!(store.verify_folders(&Scope::default(), none).unwrap(), 1);
    drop(mailbox);
    let again = self::store(folder.path());
    assert!(verify(&again, &name("user/joe"), Depth::Contents).differences.is_empty(), "another start");
}

/// Flips one bit after another in a file and holds that each is found.
fn flips(store: &Store, file: &Path, places: impl Iterator<Item = usize>) {
    let inbox = name("user/joe");
    let open = fs::OpenOptions::new().read(true).write(true).open(file).unwrap();
    let flip = |at: usize| {
        let mut byte = [0];
        open.read_exact_at(&mut byte, at as u64).unwrap();
        open.write_all_at(&[byte[0] ^ 8], at as u64).unwrap();
    };
    for at in places {
        flip(at);
        let found = verify(store, &inbox, Depth::Contents);
        assert!(!found.differences.is_empty(), "{} byte {at}: {found:?}", file.display());
        assert!(found.differences.iter().all(|fault| fault.repair.starts_with("reconstruct")), "{found:?}");
        flip(at);
    }
    assert_eq!(verify(store, &inbox, Depth::Contents).differences, []);
}

#[test]
fn a_flipped_bit_in_any_file_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _mailbox) = used(folder.path());
    let place = store.folder_of(&name("user/joe")).unwrap();
    let records = (0..MESSAGES as usize).flat_map(|slot| {
        (0..32)
            .step_by(3)
            .map(move |at| HOT + slot * 32 + at)
            .chain((0..92).step_by(7).map(move |at| COLD + slot * 96 + at))
    });
    flips(&store, &place.join("store.idx"), (8..180).step_by(5).chain([4096, 4097]).chain(records));
    let length = |file: &str| fs::metadata(place.join(file)).unwrap().len() as usize;
    flips(&store, &place.join("store.log"), (0..length("store.log")).step_by(9));
    flips(&store, &place.join("store.fl"), (0..length("store.fl")).step_by(37));
    flips(&store, &place.join("00/5.msg"), 0..length("00/5.msg"));
}

#[test]
fn what_is_missing_or_too_much_is_found_with_the_command_that_mends_it() {
    let folder = tempfile::tempdir().unwrap();
    let (store, mailbox) = used(folder.path());
    let inbox = name("user/joe");
    let place = store.folder_of(&inbox).unwrap();
    let one = |what: &str| {
        let found = verify(&store, &inbox, Depth::Records);
        let fault = found.differences.iter().find(|fault| fault.what.contains(what));
        fault.unwrap_or_else(|| panic!("{what}: {found:?}")).repair.clone()
    };
    let kept = fs::read(place.join("00/7.msg")).unwrap();
    fs::remove_file(place.join("00/7.msg")).unwrap();
    assert_eq!(one("UID 7: its file is missing"), "reconstruct 'user/joe/INBOX'");
    fs::write(place.join("00/7.msg"), b"x").unwrap();
    assert_eq!(one("UID 7: its file has 1 bytes"), "reconstruct 'user/joe/INBOX'");
    fs::write(place.join("00/7.msg"), &kept).unwrap();

    fs::write(place.join("00/90.msg"), &kept).unwrap();
    let found = verify(&store, &inbox, Depth::Records);
    assert_eq!((found.differences.len(), found.without_record), (0, 1));
    fs::hard_link(place.join("00/8.msg"), place.join("00/91.msg")).unwrap();
    assert_eq!(
        verify(&store, &inbox, Depth::Records).without_record,
        1,
        "a second link of a message is none"
    );

    let usage = fs::OpenOptions::new().write(true).open(place.join("store.use")).unwrap();
    usage.write_all_at(&[9], 512 + 16).unwrap();
    assert_eq!(one("the quota counts 9 messages"), "reconstruct -q joe");
    flag(&mailbox, 5, Flags::SEEN);

    store.subscribe("joe", "Work").unwrap();
    fs::write(place.join("store.sub"), b"subscriptions 1 00000000\nWork\n").unwrap();
    assert!(store.verify_subscriptions(&inbox).unwrap().is_some());

    let mut away = Vec::new();
    fs::create_dir_all(place.join("=+Old/00")).unwrap();
    fs::write(place.join("=+Old/00/1.msg"), &kept).unwrap();
    store
        .verify_folders(&Scope::default(), |name, fault| away.push((name.to_string(), fault.repair)))
        .unwrap();
    assert_eq!(away, [("user/joe/Old".to_owned(), "reconstruct -m".to_owned())]);
    store.create(&name("user/joe/Gone"), None).unwrap();
    fs::remove_dir_all(place.join("=+Gone")).unwrap();
    let found = verify(&store, &name("user/joe/Gone"), Depth::Records);
    assert_eq!(found.differences[0].repair, "reconstruct -m");
    assert_eq!(verify(&store, &inbox, Depth::Records).differences, [], "the others are as they were");
}

#[test]
fn what_sessions_do_meanwhile_is_no_difference() {
    let folder = tempfile::tempdir().unwrap();
    let (store, mailbox) = used(folder.path());
    let stop = AtomicBool::new(false);
    let goes_on = || !stop.load(Ordering::Relaxed);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            while goes_on() {
                let uid = append(&mailbox, "x");
                flag(&mailbox, uid, Flags::DELETED);
                append(&mailbox, "y");
                mailbox.expunge(None).unwrap();
                mailbox.clean_up(Duration::ZERO).unwrap();
                mailbox.checkpoint().unwrap();
            }
        });
        threads.spawn(|| {
            for number in 0.. {
                let (from, to) = (name(&format!("user/joe/A{number}")), name(&format!("user/joe/B{number}")));
                store.create(&from, None).unwrap();
                append(&store.open_mailbox(&from).unwrap(), "z");
                store.rename(&from, &to).unwrap();
                store.delete(&to).unwrap();
                if !goes_on() {
                    break;
                }
            }
        });
        let (mut looked, mut gone) = (0, 0);
        let begin = std::time::Instant::now();
        while looked < 60 && begin.elapsed() < Duration::from_secs(20) {
            for listed in all(&store) {
                match store.verify(&listed, Depth::Contents, &mut |_| {}) {
                    Ok(Some(found)) => assert_eq!(found.differences, [], "{}", listed.name),
                    Ok(None) => gone += 1,
                    Err(why) => panic!("{}: {why}", listed.name),
                }
                looked += 1;
            }
            let none = |name: &MailboxName, fault| panic!("{name}: {fault:?}");
            store.verify_folders(&Scope::default(), none).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        assert!(looked > gone);
    });
}

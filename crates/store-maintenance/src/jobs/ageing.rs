//! The nightly ageing: what the rules of `store.expirerule` say has to go is expunged (S115, S116). Mailboxes without a rule
//! are not opened. Files go with a later clean-up, when `store.cleanupage` has passed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use message_store::{Mailbox, MailboxName, Record, Store, StoreError, UidSet};
use server_log::{Category, Log};

use message_store::ageing_rules::{self as rules, Doomed, Message, Rule};

/// Names of one page of the list.
const PAGE: usize = 500;
/// Messages of one transaction: the mailbox is locked meanwhile.
const BATCH: usize = 1000;
/// Between two transactions, so that others get at the mailbox and the disk.
const PAUSE: Duration = Duration::from_millis(20);
const PROGRESS_EVERY: Duration = Duration::from_secs(60);

/// What a run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Mailboxes to which a rule applied.
    pub mailboxes: usize,
    pub expunged: usize,
    pub failed: usize,
}

/// Goes through every mailbox to which a rule applies, until `stop` says so.
pub fn run(store: &Store, rules: &[Rule], log: &Log, stop: &dyn Fn() -> bool) -> Done {
    let mut done = Done::default();
    if rules.is_empty() {
        return done;
    }
    let begin = Instant::now();
    let mut told = begin;
    let mut after: Option<MailboxName> = None;
    while let Ok(page) = store.list("", after.as_ref(), PAGE) {
        let Some(last) = page.last() else { break };
        after = Some(last.name.clone());
        for listed in page.iter().filter(|listed| listed.selectable) {
            let applying = rules::applying(rules, &listed.name);
            if applying.is_empty() {
                continue;
            }
            done.mailboxes += 1;
            match one(store, &listed.name, &applying, log, stop) {
                Ok(expunged) => done.expunged += expunged,
                Err(StoreError::NotFound) => {}
                Err(why) => {
                    done.failed += 1;
                    log.error(Category::Store, format_args!("{}: ageing: {why}", listed.name));
                }
            }
            if stop() {
                log.notice(Category::Store, format_args!("ageing interrupted"));
                return done;
            }
            if told.elapsed() >= PROGRESS_EVERY {
                told = Instant::now();
                let (mailboxes, expunged) = (done.mailboxes, done.expunged);
                let text = format_args!(
                    "ageing: {mailboxes} mailboxes, {expunged} messages so far; at {}",
                    listed.name
                );
                log.notice(Category::Store, text);
            }
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    let Done { mailboxes, expunged, failed } = done;
    let text = format_args!(
        "ageing: {mailboxes} mailboxes, {expunged} messages expunged, {failed} failed in {seconds:.1} s"
    );
    log.notice(Category::Store, text);
    done
}

/// How many messages were expunged.
fn one(
    store: &Store,
    name: &MailboxName,
    rules: &[&Rule],
    log: &Log,
    stop: &dyn Fn() -> bool,
) -> Result<usize, StoreError> {
    let mailbox = store.open_mailbox(name)?;
    let reader = mailbox.reader()?;
    let live = (0..reader.slots())
        .map(|slot| (slot, reader.record(slot)))
        .filter(|(_, record)| !record.is_expunged());
    // A message of which it is not known how old it is stays.
    let messages =
        live.filter_map(|(slot, record)| Some(Message::of(&record, &reader.cold(slot).ok()?))).collect();
    let now = base::clock::unix_nanos();
    let doomed = rules::doomed(rules, messages, now);
    remove(&mailbox, rules, &doomed, now, stop, &|| std::thread::sleep(PAUSE)).inspect(|expunged| {
        if *expunged > 0 {
            let names: Vec<&str> = rules.iter().map(|rule| rule.name.as_str()).collect();
            log.notice(
                Category::Store,
                format_args!("{name}: {expunged} messages aged out ({})", names.join(", ")),
            );
        }
    })
}

/// Expunges these in batches. Each message is looked at again under the mailbox's lock: somebody may have flagged it since.
fn remove(
    mailbox: &Mailbox,
    rules: &[&Rule],
    doomed: &[Doomed<'_>],
    now: i64,
    stop: &dyn Fn() -> bool,
    pause: &dyn Fn(),
) -> Result<usize, StoreError> {
    let mut expunged = 0;
    for (place, batch) in doomed.chunks(BATCH).enumerate() {
        if place > 0 {
            pause();
        }
        if stop() {
            break;
        }
        let of_uid: BTreeMap<u32, &Doomed<'_>> = batch.iter().map(|one| (one.message.uid, one)).collect();
        let goes = |record: &Record| {
            of_uid.get(&record.uid).is_some_and(|one| one.still_goes(rules, record.flags, now))
        };
        expunged += mailbox.remove_where(&of_uid.keys().copied().collect::<UidSet>(), goes)?.len();
    }
    Ok(expunged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use message_store::{FlagChange, Flags, How, NewMessage, StoreLog, StoreSettings};
    use server_config::Config;
    use std::io::Write;

    #[test]
    fn more_than_one_transaction_is_expunged_and_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let settings = StoreSettings {
            sync: commit_journal_levels(),
            list_sync: false,
            ..StoreSettings::in_folder(folder.path())
        };
        let store = Store::open(settings, StoreLog::discard()).unwrap();
        for user in ["bob", "joe"] {
            store.ensure_user(user).unwrap();
            let mailbox = store.open_mailbox(&MailboxName::inbox(user).unwrap()).unwrap();
            let complete: Vec<_> = (0..1500i64)
                .map(|number| {
                    let mut incoming = mailbox.begin_append().unwrap();
                    incoming.write_all(b"Subject: x\r\n\r\n").unwrap();
                    let message =
                        NewMessage { internal_date_ns: number, flags: Flags::NONE, ..NewMessage::default() };
                    (incoming.complete().unwrap(), message)
                })
                .collect();
            mailbox.append_all(&complete).unwrap();
        }
        let text =
            "store.expirerule.few.folderpattern = user/bob/*\nstore.expirerule.few.messagecount = 100\n";
        let rules = rules::from_config(&Config::from_text(text).unwrap(), &Log::discard());
        let done = run(&store, &rules, &Log::discard(), &|| false);
        assert_eq!(done, Done { mailboxes: 1, expunged: 1400, failed: 0 });
        let exists =
            |user| store.open_mailbox(&MailboxName::inbox(user).unwrap()).unwrap().status().unwrap().exists;
        assert_eq!((exists("bob"), exists("joe")), (100, 1500));
        assert_eq!(run(&store, &rules, &Log::discard(), &|| false).expunged, 0);
        assert_eq!(store.quota("bob").unwrap().usage.messages, 100);
    }

    /// What is flagged while older messages go is looked at again.
    #[test]
    fn what_changed_since_is_not_expunged() {
        let folder = tempfile::tempdir().unwrap();
        let settings = StoreSettings {
            sync: commit_journal_levels(),
            list_sync: false,
            ..StoreSettings::in_folder(folder.path())
        };
        let store = Store::open(settings, StoreLog::discard()).unwrap();
        for (criterion, user) in [("messagecount = 100", "bob"), ("messagedays = 1", "joe")] {
            store.ensure_user(user).unwrap();
            let mailbox = store.open_mailbox(&MailboxName::inbox(user).unwrap()).unwrap();
            let complete: Vec<_> = (0..1500)
                .map(|_| {
                    let mut incoming = mailbox.begin_append().unwrap();
                    incoming.write_all(b"Subject: x\r\n\r\n").unwrap();
                    (
                        incoming.complete().unwrap(),
                        NewMessage { internal_date_ns: 1, ..NewMessage::default() },
                    )
                })
                .collect();
            mailbox.append_all(&complete).unwrap();
            let text = format!(
                "store.expirerule.x.folderpattern = user/{user}/*\nstore.expirerule.x.flagged = no\n\
                 store.expirerule.x.{criterion}\n"
            );
            let rules = rules::from_config(&Config::from_text(&text).unwrap(), &Log::discard());
            let asked = std::cell::Cell::new(0);
            let flagging = || {
                asked.set(asked.get() + 1);
                if asked.get() == 2 {
                    let change = FlagChange { how: How::Add, flags: Flags::FLAGGED, keywords: &[] };
                    mailbox.change_flags(&UidSet::all(), change, None).unwrap();
                }
                false
            };
            let done = run(&store, &rules, &Log::discard(), &flagging);
            assert_eq!(done, Done { mailboxes: 1, expunged: BATCH, failed: 0 }, "{criterion}");
        }
    }

    fn commit_journal_levels() -> commit_journal::SyncLevels {
        commit_journal::SyncLevels::all(commit_journal::SyncLevel::None)
    }
}

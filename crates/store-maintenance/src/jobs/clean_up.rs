//! The nightly clean-up: files of messages expunged longer ago than `store.cleanupage` are unlinked, indexes compacted, logs
//! folded in (S146 to S150).

use std::time::{Duration, Instant};

use counters::Counter;
use message_store::{MailboxName, Store, StoreError};
use server_log::{Category, Log};

/// Names of one page of the list.
const PAGE: usize = 500;
/// A log of fewer bytes is left as it is.
const CHECKPOINT_BYTES_MIN: u64 = 64 * 1024;

/// What a run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    pub mailboxes: usize,
    pub unlinked: usize,
    pub compacted: usize,
    pub failed: usize,
}

/// Goes through every mailbox, until `stop` says so.
pub fn run(
    store: &Store,
    older_than: Duration,
    keeps_text_index: bool,
    log: &Log,
    stop: &dyn Fn() -> bool,
) -> Done {
    let begin = Instant::now();
    let mut done = Done::default();
    let mut after: Option<MailboxName> = None;
    while let Ok(page) = store.list("", after.as_ref(), PAGE) {
        let Some(last) = page.last() else { break };
        after = Some(last.name.clone());
        for listed in page.iter().filter(|listed| listed.selectable) {
            if stop() {
                log.notice(Category::Store, format_args!("clean-up interrupted"));
                return done;
            }
            match one(store, &listed.name, older_than, keeps_text_index, &mut done) {
                Ok(()) | Err(StoreError::NotFound) => {}
                Err(why) => {
                    done.failed += 1;
                    log.error(Category::Store, format_args!("{}: clean-up: {why}", listed.name));
                }
            }
        }
    }
    if let Err(why) = store.empty_trash() {
        log.error(Category::Store, format_args!("trash: {why}"));
    }
    counters::add(Counter::CleanUps, 1);
    counters::add(Counter::Unlinked, done.unlinked as u64);
    let seconds = begin.elapsed().as_secs_f64();
    log.notice(
        Category::Store,
        format_args!(
            "clean-up: {} mailboxes, {} messages unlinked, {} indexes compacted, {} failed in {seconds:.1} s ({:.0} messages/s)",
            done.mailboxes,
            done.unlinked,
            done.compacted,
            done.failed,
            done.unlinked as f64 / seconds.max(0.001)
        ),
    );
    done
}

fn one(
    store: &Store,
    name: &MailboxName,
    older_than: Duration,
    keeps_text_index: bool,
    done: &mut Done,
) -> Result<(), StoreError> {
    let mailbox = store.open_mailbox(name)?;
    done.mailboxes += 1;
    if !keeps_text_index {
        mailbox.remove_text_index()?;
    }
    let cleaned = mailbox.clean_up(older_than)?;
    done.unlinked += cleaned.unlinked;
    done.compacted += usize::from(cleaned.compacted);
    if mailbox.log_bytes()? > CHECKPOINT_BYTES_MIN {
        mailbox.checkpoint()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use message_store::{Flags, NewMessage, StoreLog, StoreSettings};
    use std::io::Write;

    #[test]
    fn what_was_expunged_goes_and_what_is_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(StoreSettings::in_folder(folder.path()), StoreLog::discard()).unwrap();
        for user in ["a", "b", "c"] {
            store.ensure_user(user).unwrap();
            let mailbox = store.open_mailbox(&MailboxName::inbox(user).unwrap()).unwrap();
            for flags in [Flags::DELETED, Flags::NONE] {
                let mut incoming = mailbox.begin_append().unwrap();
                incoming.write_all(b"Subject: x\r\n\r\n").unwrap();
                incoming.finish(NewMessage { flags, ..NewMessage::default() }).unwrap();
            }
            mailbox.expunge(None).unwrap();
        }
        let young = run(&store, Duration::from_secs(3600), true, &Log::discard(), &|| false);
        assert_eq!((young.mailboxes, young.unlinked), (3, 0));
        let inbox = store.open_mailbox(&MailboxName::inbox("a").unwrap()).unwrap();
        inbox.index_texts(1, &mut |_| true).unwrap();
        let old = run(&store, Duration::ZERO, true, &Log::discard(), &|| false);
        assert_eq!((old.unlinked, old.failed), (3, 0));
        assert_eq!(run(&store, Duration::ZERO, true, &Log::discard(), &|| true).mailboxes, 0);
        assert!(inbox.text_index().is_some());
        run(&store, Duration::ZERO, false, &Log::discard(), &|| false);
        assert!(inbox.text_index().is_none());
    }
}

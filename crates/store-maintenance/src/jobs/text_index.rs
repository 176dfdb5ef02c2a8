//! Keeps the indexes of words up to date, behind the deliveries: a thread of its own that gives way to all others, and reads
//! and writes no more than it may. Deliveries and sessions neither wait for it nor know of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use message_store::{Changed, Follower, MailboxName, Store, StoreError, TextsIndexed};
use server_config::Config;
use server_config::parameters::store;
use server_log::{Category, Log};

/// Names of one page of the list.
const PAGE: usize = 500;
/// Less nice than this is nobody.
const GIVES_WAY_BY: i32 = 19;
/// How long a change waits for others that come with it.
const GATHERING: Duration = Duration::from_millis(200);
/// Between two walks along the list of mailboxes; and so many times as long as one takes beside the work on indexes, which has its
/// own pace: what came during a long work is not left waiting for many times as long.
const REST: Duration = Duration::from_secs(2);
const REST_FACTOR: u32 = 10;
/// How soon the thread sees that it is to end.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// More threads than this for each processor want to run: the work goes slower.
const LOAD_MAX: f64 = 1.0;
const SLOWER: u64 = 4;
const LOAD_INTERVAL: Duration = Duration::from_secs(1);
/// Bytes that may be read at once.
const BURST_BYTES: u64 = 1024 * 1024;

/// Starts the thread; nothing when there are to be no indexes.
///
/// # Errors
/// One line: changes cannot be followed, or there are no more threads.
pub fn start(
    config: &Config,
    store: &Store,
    log: &Log,
    stopping: &Arc<AtomicBool>,
) -> Result<Option<JoinHandle<()>>, String> {
    if !config.get(&store::TEXT_INDEX) {
        return Ok(None);
    }
    let follower = store.follow().map_err(|why| format!("changes cannot be followed: {why}"))?;
    let work = Work {
        store: store.clone(),
        log: log.clone(),
        messages_min: u32::try_from(config.get(&store::TEXT_INDEX_MESSAGES)).unwrap_or(u32::MAX),
        rate: u64::try_from(config.get(&store::TEXT_INDEX_RATE)).unwrap_or(u64::MAX),
        stopping: Arc::clone(stopping),
    };
    let thread = thread::Builder::new().name("text-index".into()).spawn(move || work.run(follower));
    thread.map(Some).map_err(|why| why.to_string())
}

struct Work {
    store: Store,
    log: Log,
    messages_min: u32,
    /// Bytes in a second.
    rate: u64,
    stopping: Arc<AtomicBool>,
}

/// What one walk came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Done {
    mailboxes: usize,
    texts: TextsIndexed,
    /// Spent on indexes.
    working: Duration,
}

impl Work {
    fn run(&self, mut follower: Follower) {
        let _ = os::process::give_way(GIVES_WAY_BY); // slower if it may not be nice
        let mut due = Changed::Any; // what came while nobody followed
        let mut rest_until = Instant::now();
        while !self.stops() {
            match follower.wait(LOOK_INTERVAL) {
                Ok(true) => {
                    thread::sleep(GATHERING);
                    add(&mut due, follower.take());
                }
                Ok(false) => {}
                Err(why) => {
                    self.log.error(Category::Store, format_args!("index of words: {why}; it ends"));
                    return;
                }
            }
            if due == Changed::These(BTreeSet::new()) || Instant::now() < rest_until {
                continue;
            }
            let begin = Instant::now();
            let done = self.walk(&std::mem::replace(&mut due, Changed::These(BTreeSet::new())));
            self.tell(done, begin.elapsed());
            rest_until = Instant::now() + rest_after(begin.elapsed().saturating_sub(done.working));
        }
    }

    fn stops(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Goes through the mailboxes that changed.
    fn walk(&self, changed: &Changed) -> Done {
        let mut done = Done::default();
        let mut after: Option<MailboxName> = None;
        let mut pace = Pace::new(self.rate);
        while let Ok(page) = self.store.list("", after.as_ref(), PAGE) {
            let Some(last) = page.last() else { break };
            after = Some(last.name.clone());
            for listed in page.iter().filter(|listed| listed.selectable) {
                let is_due = match changed {
                    Changed::Any => true,
                    Changed::These(ids) => ids.contains(&listed.id),
                };
                if !is_due {
                    continue;
                }
                let begin = Instant::now();
                match self.one(&listed.name, &mut pace) {
                    Ok(texts) => done.add(texts, begin.elapsed()),
                    Err(StoreError::NotFound) => {}
                    Err(why) => {
                        let text = format_args!("{}: index of words: {why}", listed.name);
                        self.log.error(Category::Store, text);
                    }
                }
                if self.stops() {
                    return done;
                }
            }
        }
        done
    }

    fn one(&self, name: &MailboxName, pace: &mut Pace) -> Result<TextsIndexed, StoreError> {
        let mailbox = self.store.open_mailbox(name)?;
        mailbox.index_texts(self.messages_min, &mut |bytes| {
            pace.wait(bytes, || self.stops());
            !self.stops()
        })
    }

    fn tell(&self, done: Done, time: Duration) {
        let TextsIndexed { messages, text_bytes, merged, .. } = done.texts;
        if messages + u64::from(merged) == 0 {
            return;
        }
        let text = format_args!(
            "index of words: {messages} messages with {} KB of text in {} mailboxes, {merged} merges, in {:.1} s",
            text_bytes / 1024,
            done.mailboxes,
            time.as_secs_f64()
        );
        self.log.information(Category::Store, text);
    }
}

impl Done {
    /// What was done in a mailbox, in so much time; to find out that there is nothing to do is no work.
    fn add(&mut self, texts: TextsIndexed, time: Duration) {
        if texts.messages + u64::from(texts.merged) > 0 {
            self.mailboxes += 1;
            self.working += time;
        }
        self.texts.messages += texts.messages;
        self.texts.text_bytes += texts.text_bytes;
        self.texts.merged += texts.merged;
    }
}

/// The rest after a walk that took so long.
fn rest_after(walking: Duration) -> Duration {
    REST.max(walking.min(REST * 30) * REST_FACTOR)
}

fn add(due: &mut Changed, changed: Changed) {
    match (due, changed) {
        (Changed::These(due), Changed::These(changed)) => due.extend(changed),
        (due, Changed::Any) => *due = Changed::Any,
        (Changed::Any, _) => {}
    }
}

/// So many bytes in a second, fewer while others want to work.
struct Pace {
    rate: u64,
    /// Bytes of which the time was not waited yet.
    owed: u64,
    load_at: Option<Instant>,
    is_loaded: bool,
}

impl Pace {
    fn new(rate: u64) -> Pace {
        Pace { rate, owed: 0, load_at: None, is_loaded: false }
    }

    fn wait(&mut self, bytes: u64, stops: impl Fn() -> bool) {
        self.owed = self.owed.saturating_add(bytes);
        if self.owed < BURST_BYTES.min(self.rate / 8) {
            return;
        }
        if self.load_at.is_none_or(|at| at.elapsed() >= LOAD_INTERVAL) {
            self.load_at = Some(Instant::now());
            self.is_loaded = os::process::load() > LOAD_MAX;
        }
        let rate = if self.is_loaded { self.rate / SLOWER } else { self.rate };
        let mut time = Duration::from_millis(self.owed.saturating_mul(1000) / rate.max(1));
        self.owed = 0;
        while !time.is_zero() && !stops() {
            let piece = time.min(LOOK_INTERVAL);
            thread::sleep(piece);
            time -= piece;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use message_store::{NewMessage, StoreLog, StoreSettings};
    use std::io::Write;

    fn work(store: &Store, stopping: &Arc<AtomicBool>) -> Work {
        Work {
            store: store.clone(),
            log: Log::discard(),
            messages_min: 3,
            rate: u64::MAX,
            stopping: Arc::clone(stopping),
        }
    }

    fn put(store: &Store, user: &str, count: usize) -> Arc<message_store::Mailbox> {
        store.ensure_user(user).unwrap();
        let mailbox = store.open_mailbox(&MailboxName::inbox(user).unwrap()).unwrap();
        for _ in 0..count {
            let mut incoming = mailbox.begin_append().unwrap();
            incoming.write_all(b"Subject: x\r\n\r\nword\r\n").unwrap();
            incoming.finish(NewMessage::default()).unwrap();
        }
        mailbox
    }

    #[test]
    fn what_changed_is_indexed_and_few_messages_wait() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(StoreSettings::in_folder(folder.path()), StoreLog::discard()).unwrap();
        let work = work(&store, &Arc::default());
        let mut follower = store.follow().unwrap();
        put(&store, "amy", 4);
        let joe = put(&store, "joe", 2);
        let changed = follower.take();
        assert_eq!(work.walk(&changed).texts.messages, 4);
        assert_eq!(follower.take(), Changed::These(BTreeSet::new()), "an index is no change");
        put(&store, "joe", 1);
        assert_eq!(follower.take(), Changed::These([joe.id()].into()));
        assert_eq!(work.walk(&Changed::These(BTreeSet::new())).texts.messages, 0);
        let done = work.walk(&Changed::Any);
        assert_eq!(done.mailboxes, 1);
        assert_eq!(done.texts, TextsIndexed { messages: 3, text_bytes: 48, ..TextsIndexed::default() });
        assert!(!done.working.is_zero());
        assert_eq!(work.walk(&Changed::Any).working, Duration::ZERO, "nothing was to do");
    }

    #[test]
    fn a_long_walk_is_followed_by_a_longer_rest() {
        assert_eq!(rest_after(Duration::from_millis(10)), REST);
        assert_eq!(rest_after(Duration::from_secs(3)), Duration::from_secs(30));
        assert_eq!(rest_after(Duration::from_secs(3600)), Duration::from_secs(600));
    }

    #[test]
    fn more_notices_than_are_kept_make_all_due() {
        let mut due = Changed::These([1].into());
        add(&mut due, Changed::These([2].into()));
        assert_eq!(due, Changed::These([1, 2].into()));
        add(&mut due, Changed::Any);
        add(&mut due, Changed::These([3].into()));
        assert_eq!(due, Changed::Any);
    }

    #[test]
    fn the_pace_is_kept() {
        let mut pace = Pace::new(1_000_000);
        let begin = Instant::now();
        (0..30).for_each(|_| pace.wait(10_000, || false));
        assert!(begin.elapsed() >= Duration::from_millis(200), "{:?}", begin.elapsed());
        let begin = Instant::now();
        pace.wait(u64::MAX, || true);
        assert!(begin.elapsed() < Duration::from_secs(60), "it would be for ages");
    }
}

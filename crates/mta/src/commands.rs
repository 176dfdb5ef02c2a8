//! Commands of administrators, by files in `queue/commands` (`docs/formats/queue.md`): hold, release, requeue, delete,
//! expire, flush.
//!
//! An entry that rests is changed at once; one that is under way, when its attempt has ended. So every attempt begins and
//! ends here. A command's file is removed when all of it was done; a crash before that does it again, which is harmless.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mail_queue::{Command, Entry, Finder, Obeyed, Queue, QueueError, QueueId, State, Verb};
use os::notify::Notify;
use server_log::{Category, Log};

/// How often the folder is looked at besides when something comes into it.
const LOOK: Duration = Duration::from_secs(10);

/// Whether an attempt may begin.
pub enum Begin {
    /// It has begun: [`Commands::end`] must follow.
    Go(Box<Entry>),
    /// Another attempt of the same entry is under way, or it cannot be read now: later.
    Busy,
    /// It waits until it is released.
    Held,
    /// It was removed, or moved.
    Gone,
}

/// Where a message is, for who sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// It waits for the time that its sender chose, in seconds since 1970.
    Waits(i64),
    /// In the queue; each recipient and what became of it so far.
    Queued(Vec<(String, State)>),
    /// Not in the queue, or another user's.
    Gone,
    /// Taken back just now.
    Undone,
}

/// Where an entry is when its attempt has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest<'a> {
    /// Delivered, reported, or all of it split off.
    Gone,
    /// In the control folder, or that of a domain.
    At(Option<&'a str>),
}

/// A command file that was read.
struct Taken {
    path: PathBuf,
    by: String,
    /// Entries that it was not yet done to, and one for the reading itself.
    left: AtomicUsize,
}

#[derive(Default)]
struct Works {
    /// Entries under way.
    working: HashSet<QueueId>,
    /// What is to be done to them when they have come to rest.
    ordered: HashMap<QueueId, Vec<(Verb, Arc<Taken>)>>,
    /// Command files that are not done.
    taken: HashSet<PathBuf>,
}

/// Begins what an order made due.
pub type StartDue = Box<dyn Fn(&QueueId, Obeyed) + Send + Sync>;

/// What is ordered, and what is under way.
pub struct Commands {
    queue: Queue,
    log: Log,
    state: Mutex<Works>,
    stopping: AtomicBool,
}

impl Commands {
    pub fn new(queue: Queue, log: Log) -> Commands {
        Commands { queue, log, state: Mutex::default(), stopping: AtomicBool::new(false) }
    }

    fn lock(&self) -> MutexGuard<'_, Works> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An attempt wants to begin with this entry.
    pub fn begin(&self, mut entry: Entry) -> Begin {
        let mut state = self.lock();
        let id = entry.envelope.id.clone();
        if state.working.contains(&id) {
            return Begin::Busy;
        }
        if !entry.is_current() {
            entry = match entry.reload() {
                Ok(Some(entry)) => entry,
                Ok(None) | Err(QueueError::Damaged(_)) => return Begin::Gone, // the log has the latter
                Err(why) => {
                    self.log.error(Category::General, format_args!("{id}: {why}; tried again later"));
                    return Begin::Busy;
                }
            };
        }
        if entry.envelope.held {
            return Begin::Held;
        }
        state.working.insert(id);
        Begin::Go(Box::new(entry))
    }

    /// The attempt has ended, and everything about it is written down. What was ordered meanwhile is done, where the entry is:
    /// nothing is searched for it.
    pub fn end(&self, id: &QueueId, rest: Rest<'_>, start: &dyn Fn(&QueueId, Obeyed)) {
        let mut due = Vec::new();
        let mut orders = {
            let mut state = self.lock();
            state.working.remove(id);
            let orders = state.ordered.remove(id).unwrap_or_default();
            if let Rest::At(domain) = rest {
                let mut finder = Finder::new(&self.queue);
                for (verb, taken) in &orders {
                    due.push(self.obey(&mut finder, id, domain, *verb, taken));
                }
            }
            orders
        };
        for obeyed in due {
            start(id, obeyed);
        }
        for (_, taken) in orders.drain(..) {
            self.one_done(&taken);
        }
    }

    /// Does it to an entry at rest. The state is locked, so that no attempt begins meanwhile.
    fn obey(
        &self,
        finder: &mut Finder<'_>,
        id: &QueueId,
        seen: Option<&str>,
        verb: Verb,
        taken: &Taken,
    ) -> Obeyed {
        let outcome = match finder.find(id, seen) {
            Ok(Some(entry)) => entry.obey(verb).map(Some),
            Ok(None) => Ok(None),
            Err(why) => Err(why),
        };
        let (word, by) = (verb.word(), base::escape(&taken.by));
        match outcome {
            Ok(Some(obeyed)) => {
                self.log.notice(Category::General, format_args!("{id}: {word} by {by}"));
                obeyed
            }
            Ok(None) => Obeyed::Nothing, // delivered meanwhile
            Err(why) => {
                self.log.error(Category::General, format_args!("{id}: {word} by {by} failed: {why}"));
                Obeyed::Nothing
            }
        }
    }

    /// Takes a message back whose time, chosen by its sender, has not come. It is gone durably when this says so.
    ///
    /// # Errors
    /// The system's; it may be there or not then, and to ask again is harmless.
    pub fn undo(&self, id: &QueueId, uid: &str) -> io::Result<Whereabouts> {
        let state = self.lock(); // no attempt begins meanwhile
        let found = self.whereabouts_now(id, uid, &[])?;
        let (Whereabouts::Waits(_), Some(entry)) = found else { return Ok(found.0) };
        if state.working.contains(id) {
            return Ok(Whereabouts::Queued(Vec::new()));
        }
        entry.finish()?;
        drop(state);
        self.queue.make_durable()?;
        self.log.notice(Category::General, format_args!("{id}: undone by {}", base::escape(uid)));
        Ok(Whereabouts::Undone)
    }

    /// Where a message of this user is; deferred ones are looked for with these domains only.
    ///
    /// # Errors
    /// The system's.
    pub fn whereabouts(&self, id: &QueueId, uid: &str, domains: &[String]) -> io::Result<Whereabouts> {
        Ok(self.whereabouts_now(id, uid, domains)?.0)
    }

    /// A message of this user that waits, by its ENVID, and until when.
    ///
    /// # Errors
    /// The system's.
    pub fn waiting(&self, envid: &str, uid: &str) -> io::Result<Option<(QueueId, i64)>> {
        for id in self.queue.waiting_for_their_time() {
            let Some(entry) = self.queue.load(&id).map_err(other)? else { continue };
            let of_user =
                entry.envelope.auth_sender.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(uid));
            let is_it = of_user && entry.envelope.envid.as_deref() == Some(envid);
            if let (true, Some(hold)) = (is_it, &entry.envelope.hold) {
                return Ok(Some((id, hold.until)));
            }
        }
        Ok(None)
    }

    fn whereabouts_now(
        &self,
        id: &QueueId,
        uid: &str,
        domains: &[String],
    ) -> io::Result<(Whereabouts, Option<Entry>)> {
        let mut entry = self.queue.load(id).map_err(other)?;
        for domain in domains {
            if entry.is_none() {
                entry = self.queue.load_deferred(&base::idn::domain(domain), id).map_err(other)?;
            }
        }
        let is_theirs = |entry: &Entry| {
            entry.envelope.auth_sender.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(uid))
        };
        let Some(entry) = entry.filter(is_theirs) else { return Ok((Whereabouts::Gone, None)) };
        let envelope = &entry.envelope;
        let now = base::clock::unix_seconds();
        let place = match &envelope.hold {
            Some(hold) if envelope.waits_for_release(now) => Whereabouts::Waits(hold.until),
            _ => Whereabouts::Queued(
                envelope.recipients.iter().map(|one| (one.address.clone(), one.state.clone())).collect(),
            ),
        };
        Ok((place, Some(entry)))
    }

    fn one_done(&self, taken: &Taken) {
        if taken.left.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        let path = &taken.path;
        let done = self.queue.make_durable().and_then(|()| std::fs::remove_file(path));
        match done {
            Err(why) if why.kind() != io::ErrorKind::NotFound => {
                self.log.error(Category::General, format_args!("{}: {why}", path.display()));
            }
            _ => {}
        }
        self.lock().taken.remove(path);
    }

    /// Does every command that waits.
    fn take_all(&self, start: &StartDue) {
        let paths = match self.queue.commands() {
            Ok(paths) => paths,
            Err(why) => return self.log.error(Category::General, format_args!("queue/commands: {why}")),
        };
        for path in paths {
            if self.lock().taken.contains(&path) {
                continue;
            }
            match self.queue.read_command(&path) {
                Ok(Some(command)) => self.take(&path, command, start),
                Ok(None) => {}
                Err(why) => {
                    self.log.error(Category::General, format_args!("{}: {why}", path.display()));
                    // One that cannot even be put aside is left alone, and told once.
                    self.lock().taken.insert(path);
                }
            }
        }
    }

    fn take(&self, path: &Path, command: Command, start: &StartDue) {
        let Command { verb, by, entries } = command;
        self.log.notice(
            Category::General,
            format_args!("{} of {} messages by {}", verb.word(), entries.len(), base::escape(&by)),
        );
        let left = AtomicUsize::new(entries.len().saturating_add(1));
        let taken = Arc::new(Taken { path: path.to_owned(), by, left });
        self.lock().taken.insert(path.to_owned());
        let mut finder = Finder::new(&self.queue);
        for (id, seen) in entries {
            if self.stopping.load(Ordering::Relaxed) {
                return; // the file stays, and the next start does it
            }
            let obeyed = {
                let mut state = self.lock();
                if state.working.contains(&id) {
                    state.ordered.entry(id).or_default().push((verb, taken.clone()));
                    continue;
                }
                self.obey(&mut finder, &id, seen.as_deref(), verb, &taken)
            };
            start(&id, obeyed);
            self.one_done(&taken);
        }
        self.one_done(&taken);
    }

    /// Watches the folder from now on. What waits there is done first.
    ///
    /// # Errors
    /// The folder or the thread cannot be made.
    pub fn watch(self: &Arc<Self>, start: StartDue) -> io::Result<Watch> {
        self.queue.make_commands_folder()?;
        let (end, mut stop) = UnixStream::pair()?;
        stop.set_read_timeout(Some(LOOK))?;
        let commands = self.clone();
        let thread = thread::Builder::new().name("commands".into()).spawn(move || {
            let notify = Notify::on_folder(&commands.queue.commands_folder());
            if let Err(why) = &notify {
                let log = &commands.log;
                log.warning(
                    Category::General,
                    format_args!("queue/commands: {why}; looked at every {LOOK:?}"),
                );
            }
            while !commands.stopping.load(Ordering::Relaxed) {
                commands.take_all(&start);
                let waited = match &notify {
                    Ok(notify) => notify.wait_beside(stop.as_fd(), LOOK),
                    Err(_) => stop.read(&mut [0]).map(|_| true),
                };
                if waited.is_err() && notify.is_ok() {
                    thread::sleep(LOOK); // never in a circle without a pause
                }
            }
        })?;
        Ok(Watch { commands: self.clone(), end: Some(end), thread: Some(thread) })
    }
}

fn other(why: QueueError) -> io::Error {
    match why {
        QueueError::Io(why) => why,
        other => io::Error::other(other.to_string()),
    }
}

/// The watching thread; dropping it ends it.
pub struct Watch {
    commands: Arc<Commands>,
    end: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.commands.stopping.store(true, Ordering::Relaxed);
        self.end.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_queue::{Envelope, QueueSettings, Recipient};
    use std::io::Write;
    use std::sync::mpsc;

    /// For what must happen, on a machine that may stand still for a while.
    const PATIENCE: Duration = Duration::from_secs(240);

    fn queue(folder: &Path) -> Queue {
        let settings = QueueSettings::in_folder(folder);
        Queue::open(settings, Log::discard()).unwrap()
    }

    fn commit(queue: &Queue) -> QueueId {
        let mut incoming = queue.begin();
        incoming.write_all(b"Subject: x\r\n\r\nx\r\n").unwrap();
        let mut envelope = Envelope::new(QueueId::next());
        envelope.recipients = vec![Recipient { address: "x@down.test".into(), ..Recipient::default() }];
        incoming.commit(envelope).unwrap()
    }

    fn begin(commands: &Commands, queue: &Queue, id: &QueueId) -> Begin {
        commands.begin(queue.load(id).unwrap().unwrap())
    }

    /// An order for an entry under way waits for the end of its attempt, and so does the answer.
    #[test]
    fn what_is_under_way_is_changed_when_it_has_come_to_rest() {
        let folder = tempfile::tempdir().unwrap();
        let queue = queue(folder.path());
        let (away, resting) = (commit(&queue), commit(&queue));
        let commands = Arc::new(Commands::new(queue.clone(), Log::discard()));
        let stale = queue.load(&resting).unwrap().unwrap();
        assert!(matches!(begin(&commands, &queue, &away), Begin::Go(_)));
        assert!(matches!(begin(&commands, &queue, &away), Begin::Busy), "once at a time");
        let (told, started) = mpsc::channel();
        let told = Mutex::new(told);
        let start = move |id: &QueueId, obeyed| told.lock().unwrap().send((id.clone(), obeyed)).unwrap();
        let watch = commands.watch(Box::new(start)).unwrap();
        let entries = vec![(away.clone(), None), (resting.clone(), None)];
        let path = queue.submit(&Command { verb: Verb::Delete, by: "root".into(), entries }).unwrap();
        assert_eq!(started.recv_timeout(PATIENCE).unwrap(), (resting.clone(), Obeyed::Nothing));
        assert!(queue.load(&resting).unwrap().is_none(), "at rest: at once");
        assert!(queue.load(&away).unwrap().is_some() && path.exists(), "under way: not yet");
        assert!(matches!(commands.begin(stale), Begin::Gone));
        commands.end(&away, Rest::At(None), &|_, _| {});
        assert!(queue.load(&away).unwrap().is_none());
        // The order goes with its last entry, and the watch may have been telling of the other one still.
        let patience = std::time::Instant::now() + PATIENCE;
        while path.exists() {
            assert!(std::time::Instant::now() < patience, "the order is still there");
            thread::yield_now();
        }
        drop(watch);
    }

    /// An order is for the entry that was under way: when that is gone, no other is looked for.
    #[test]
    fn an_order_ends_with_the_entry_it_was_for() {
        let folder = tempfile::tempdir().unwrap();
        let queue = queue(folder.path());
        let id = commit(&queue);
        let commands = Arc::new(Commands::new(queue.clone(), Log::discard()));
        assert!(matches!(begin(&commands, &queue, &id), Begin::Go(_)));
        let watch = commands.watch(Box::new(|_, _| {})).unwrap();
        let entries = vec![(id.clone(), None)];
        let path = queue.submit(&Command { verb: Verb::Delete, by: "root".into(), entries }).unwrap();
        while !commands.lock().ordered.contains_key(&id) {
            thread::yield_now();
        }
        // One of the same name waits for a domain.
        queue.load(&id).unwrap().unwrap().defer("down.test").unwrap();
        commands.end(&id, Rest::Gone, &|_, _| {});
        assert!(queue.has_deferred("down.test") && !path.exists());
        drop(watch);
    }

    #[test]
    fn what_is_held_does_not_begin_until_it_is_released() {
        let folder = tempfile::tempdir().unwrap();
        let queue = queue(folder.path());
        let id = commit(&queue);
        let loaded = queue.load(&id).unwrap().unwrap();
        let hold = Command { verb: Verb::Hold, by: "root".into(), entries: vec![(id.clone(), None)] };
        let path = queue.submit(&hold).unwrap();
        let commands = Arc::new(Commands::new(queue.clone(), Log::discard()));
        let (told, started) = mpsc::channel();
        let told = Mutex::new(told);
        let start = move |_: &QueueId, obeyed| told.lock().unwrap().send(obeyed).unwrap();
        let watch = commands.watch(Box::new(start)).unwrap();
        // A command from before the start is done, too.
        assert_eq!(started.recv_timeout(PATIENCE).unwrap(), Obeyed::Nothing);
        assert!(matches!(commands.begin(loaded), Begin::Held), "though it was loaded before");
        let release = Command { verb: Verb::Release, ..hold };
        queue.submit(&release).unwrap();
        assert_eq!(started.recv_timeout(PATIENCE).unwrap(), Obeyed::Due);
        assert!(matches!(begin(&commands, &queue, &id), Begin::Go(_)));
        drop(watch);
        assert!(!path.exists());
    }
}

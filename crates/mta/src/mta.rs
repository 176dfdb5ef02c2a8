//! The stages put together.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use directory::Directory;
use mail_queue::{Obeyed, Queue, QueueError, QueueId, Step, Waiting};
use message_store::Store;
use server_log::{Category, Log};

use crate::commands::{Begin, Commands, Watch};
use crate::local::Local;
use crate::pool::Pool;
use crate::settings::Settings;
use crate::stages::{account_handler, error_handler, mailbox_deliver, smtp_router};
use crate::timetable::{Timetable, pause};
use crate::work::Work;

/// What every stage has access to.
pub struct Desk {
    pub settings: Settings,
    pub queue: Queue,
    pub store: Store,
    pub directory: Arc<dyn Directory>,
    pub log: Log,
}

struct Pools {
    account_handler: Arc<Pool<QueueId>>,
    smtp_router: Arc<Pool<Box<Work>>>,
    mailbox_deliver: Arc<Pool<Box<Work>>>,
    error_handler: Arc<Pool<Box<Work>>>,
    local: Local,
}

/// The running stages. Dropping it stops them.
pub struct Mta {
    pools: Arc<Pools>,
    timetable: Arc<Timetable>,
    clock: Option<JoinHandle<()>>,
    watch: Option<Watch>,
}

impl Mta {
    /// Starts all stages, with what waits in the queue, and takes what is committed from now on.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start(desk: Desk, waiting: Vec<Waiting>) -> io::Result<Mta> {
        let pools = Arc::new(Pools {
            account_handler: Pool::new(),
            smtp_router: Pool::new(),
            mailbox_deliver: Pool::new(),
            error_handler: Pool::new(),
            local: Local::default(),
        });
        let timetable = Arc::new(Timetable::default());
        let desk = Arc::new(desk);
        let commands = Arc::new(Commands::new(desk.queue.clone(), desk.log.clone()));
        let flow = Arc::new(Flow {
            desk: desk.clone(),
            pools: pools.clone(),
            timetable: timetable.clone(),
            commands: commands.clone(),
        });
        start_pools(&desk, &pools, &flow)?;
        for waiting in waiting {
            timetable.add(waiting.next_attempt, waiting.id);
        }
        let first = pools.clone();
        desk.queue.on_commit(move |id| first.account_handler.push(id.clone()));
        let (table, due) = (timetable.clone(), pools.clone());
        let clock = thread::Builder::new().name("timetable".into()).spawn(move || {
            while let Some(id) = table.next() {
                due.account_handler.push(id);
            }
        })?;
        let to = flow.clone();
        let watch = commands.watch(Box::new(move |id, obeyed| to.start_ordered(id, obeyed)))?;
        Ok(Mta { pools, timetable, clock: Some(clock), watch: Some(watch) })
    }
}

fn start_pools(desk: &Arc<Desk>, pools: &Arc<Pools>, flow: &Arc<Flow>) -> io::Result<()> {
    let panicked = |module: &'static str| {
        let log = desk.log.clone();
        move || {
            log.critical(Category::General, format_args!("{module}: panic; the message stays in the queue"))
        }
    };
    let settings = &desk.settings;
    let to = flow.clone();
    pools.local.start(desk, move |work| to.onward(work), |module| Box::new(panicked(module)))?;
    let to = flow.clone();
    pools.account_handler.start(
        "account-handler",
        settings.account_handler.threads,
        move |id| to.accounts(&id),
        panicked("account-handler"),
    )?;
    let to = flow.clone();
    pools.smtp_router.start(
        "smtp-router",
        settings.smtp_router.threads,
        move |work| to.route(work),
        panicked("smtp-router"),
    )?;
    let to = flow.clone();
    pools.mailbox_deliver.start(
        "mailbox-deliver",
        settings.mailbox_deliver.threads,
        move |work| to.deliver(work),
        panicked("mailbox-deliver"),
    )?;
    let to = flow.clone();
    pools.error_handler.start(
        "error-handler",
        settings.error_handler.threads,
        move |work| to.report(work),
        panicked("error-handler"),
    )
}

impl Drop for Mta {
    fn drop(&mut self) {
        self.watch.take();
        self.timetable.stop();
        if let Some(clock) = self.clock.take() {
            let _ = clock.join();
        }
        self.pools.account_handler.stop();
        self.pools.smtp_router.stop();
        self.pools.mailbox_deliver.stop();
        self.pools.local.stop();
        self.pools.error_handler.stop();
    }
}

/// From stage to stage.
struct Flow {
    desk: Arc<Desk>,
    pools: Arc<Pools>,
    timetable: Arc<Timetable>,
    commands: Arc<Commands>,
}

impl Flow {
    fn accounts(&self, id: &QueueId) {
        let entry = match self.desk.queue.load(id) {
            Ok(Some(entry)) => entry,
            Ok(None) => return,
            Err(QueueError::Damaged(_)) => return, // in lost+found, and in the log
            Err(why) => {
                self.desk.log.error(Category::General, format_args!("{id}: {why}; tried again later"));
                let later = base::clock::unix_seconds() + pause(0, self.desk.settings.deferred_period);
                return self.timetable.add(later, id.clone());
            }
        };
        let entry = match self.commands.begin(entry) {
            Begin::Go(entry) => *entry,
            Begin::Busy => return self.timetable.add(base::clock::unix_seconds() + 10, id.clone()),
            Begin::Held | Begin::Gone => return,
        };
        let mut work = Box::new(Work::new(entry));
        account_handler::run(&self.desk, &mut work);
        self.pools.smtp_router.push(work);
    }

    fn route(&self, mut work: Box<Work>) {
        smtp_router::run(&self.desk, &mut work);
        if work.routes.is_empty() {
            self.end_attempt(work);
        } else {
            self.pools.mailbox_deliver.push(work);
        }
    }

    fn deliver(&self, mut work: Box<Work>) {
        mailbox_deliver::run(&self.desk, &mut work);
        self.onward(work);
    }

    /// To the stages of this host's other ways, one after the other.
    fn onward(&self, work: Box<Work>) {
        if let Some(work) = self.pools.local.take(work) {
            self.end_attempt(work);
        }
    }

    /// Finished, failed, or to be tried again.
    fn end_attempt(&self, mut work: Box<Work>) {
        if work.entry.envelope.pending().next().is_some() {
            self.give_up_or_wait(&mut work);
        }
        if !work.failed().is_empty() {
            return self.pools.error_handler.push(work);
        }
        self.close(work);
    }

    fn give_up_or_wait(&self, work: &mut Work) {
        let text = work.delay.take().map_or_else(|| "not delivered yet".to_owned(), |delay| delay.text);
        let now = base::clock::unix_seconds();
        let envelope = &work.entry.envelope;
        let age = now.saturating_sub(envelope.arrived());
        let limit = i64::try_from(self.desk.settings.queue_time_max.as_secs()).unwrap_or(i64::MAX);
        if age >= limit {
            let places: Vec<usize> = envelope.pending().collect();
            for place in places {
                work.fail(place, "4.4.7", format!("given up after {} hours: {text}", age / 3600));
            }
            return;
        }
        let next = now.saturating_add(pause(envelope.attempts, self.desk.settings.deferred_period));
        self.desk.log.notice(
            Category::Protocol,
            format_args!("{}: {text}; tried again in {} s", envelope.id, next - now),
        );
        let _ = work.entry.record(0, Step::Attempt { next, text });
    }

    fn report(&self, mut work: Box<Work>) {
        if let Err(why) = error_handler::run(&self.desk, &mut work) {
            let id = &work.entry.envelope.id;
            self.desk.log.error(Category::General, format_args!("{id}: the report cannot be queued: {why}"));
            let next =
                base::clock::unix_seconds().saturating_add(pause(0, self.desk.settings.deferred_period));
            let _ = work.entry.record(0, Step::Attempt { next, text: why.to_string() });
        }
        self.close(work);
    }

    /// Nobody waits: the entry goes. Somebody does: it is tried again.
    fn close(&self, work: Box<Work>) {
        let envelope = &work.entry.envelope;
        let id = envelope.id.clone();
        if envelope.is_open() {
            self.timetable.add(envelope.next_attempt, id.clone());
            return self.commands.end(&id, &|id, obeyed| self.start_ordered(id, obeyed));
        }
        if let Err(why) = work.entry.finish() {
            self.desk
                .log
                .error(Category::General, format_args!("{id}: cannot be removed from the queue: {why}"));
        }
        self.commands.end(&id, &|id, obeyed| self.start_ordered(id, obeyed));
    }

    fn start_ordered(&self, id: &QueueId, obeyed: Obeyed) {
        match obeyed {
            Obeyed::Due => self.timetable.add(base::clock::unix_seconds(), id.clone()),
            Obeyed::Nothing | Obeyed::DueAt(_) => {}
        }
    }
}

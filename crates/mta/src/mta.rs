//! The stages put together.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use counters::Counter;
use directory::Directory;
use mail_queue::{Envelope, Queue, QueueId, Waiting};
use message_store::Store;
use server_log::{Category, Log};

use crate::commands::{Commands, Watch, Whereabouts};
use crate::deeds::Doer;
use crate::deferred::Deferred;
use crate::direct::{self, Direct};
use crate::flow::{Flow, Pools, Start};
use crate::onward::Onward;
use crate::outbound::Outbound;
use crate::settings::Settings;
use crate::sites::Sites;
use crate::stages::smtp_deliver;
use crate::timetable::{Due, Timetable};
use crate::ube::Filters;

/// What every stage has access to.
pub struct Desk {
    pub settings: Settings,
    pub queue: Queue,
    pub store: Store,
    pub directory: Arc<dyn Directory>,
    pub outbound: Outbound,
    /// What is done about mail that is forwarded.
    pub onward: Onward,
    /// Signs what this host writes itself.
    pub signer: Arc<dkim::Signer>,
    /// What is asked about new mail before anything else.
    pub filters: Filters,
    /// Of what deliveries do outside of the store.
    pub doer: Doer,
    pub log: Log,
}

/// The running stages. Dropping it stops them.
pub struct Mta {
    flow: Arc<Flow>,
    /// Until it is stopped.
    running: Mutex<Option<Running>>,
}

struct Running {
    clock: JoinHandle<()>,
    senders: Vec<JoinHandle<()>>,
    watch: Watch,
}

impl Mta {
    /// Starts all stages, with what waits in the queue, and takes what is committed from now on.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start(desk: Desk, waiting: Vec<Waiting>) -> io::Result<Mta> {
        let period = desk.settings.deferred_period;
        let flow = Arc::new(Flow {
            deferred: Deferred::new(desk.queue.clone(), desk.log.clone(), period, desk.settings.ages),
            sites: Sites::new(desk.settings.remote.connections_max, desk.settings.remote.threads),
            more_senders: Mutex::default(),
            commands: Arc::new(Commands::new(desk.queue.clone(), desk.log.clone())),
            desk: Arc::new(desk),
            pools: Pools::default(),
            timetable: Timetable::default(),
        });
        start_pools(&flow)?;
        let senders = start_senders(&flow)?;
        for waiting in waiting {
            flow.timetable.add(waiting.next_attempt, Due::Message(waiting.id));
        }
        // S84: what was deferred before is left alone for one period.
        let period = i64::try_from(period.as_secs()).unwrap_or(i64::MAX);
        flow.timetable.add(base::clock::unix_seconds().saturating_add(period), Due::Scan);
        flow.timetable.add(base::clock::unix_seconds(), Due::Sample);
        let first = flow.clone();
        flow.desk.queue.on_commit(move |id| first.pools.account_handler.push(Start::Message(id.clone())));
        let due = flow.clone();
        let clock = thread::Builder::new().name("timetable".into()).spawn(move || {
            while let Some(what) = due.timetable.next() {
                due.pools.account_handler.push(match what {
                    Due::Sample => {
                        sample(&due);
                        continue;
                    }
                    Due::Message(id) => Start::Message(id),
                    Due::Domain(domain) => Start::Domain(domain, false),
                    Due::Scan => Start::Scan,
                    Due::Reap => Start::Reap,
                });
            }
        })?;
        let ordered = flow.clone();
        let watch = flow.commands.watch(Box::new(move |id, obeyed| ordered.start_ordered(id, obeyed)))?;
        Ok(Mta { flow, running: Mutex::new(Some(Running { clock, senders, watch })) })
    }

    /// Puts a message that is not in the queue into the mailboxes of its recipients, see [`crate::direct`].
    pub fn deliver_now(&self, envelope: &Envelope, path: &Path) -> Vec<Direct> {
        direct::deliver(&self.flow.desk, envelope, path)
    }

    /// Where a message is that this user sent; see [`Commands::whereabouts`].
    ///
    /// # Errors
    /// The system's.
    pub fn whereabouts(&self, id: &QueueId, uid: &str, domains: &[String]) -> io::Result<Whereabouts> {
        self.flow.commands.whereabouts(id, uid, domains)
    }

    /// A message of this user that waits, by its ENVID; see [`Commands::waiting`].
    ///
    /// # Errors
    /// The system's.
    pub fn waiting(&self, envid: &str, uid: &str) -> io::Result<Option<(QueueId, i64)>> {
        self.flow.commands.waiting(envid, uid)
    }

    /// Takes back a message that this user sent; see [`Commands::undo`].
    ///
    /// # Errors
    /// The system's.
    pub fn undo(&self, id: &QueueId, uid: &str) -> io::Result<Whereabouts> {
        self.flow.commands.undo(id, uid)
    }

    /// Reads the rules of the UBE filter again; see [`Filters::reload`].
    ///
    /// # Errors
    /// They are wrong; what counted before still does.
    pub fn reload_filters(&self) -> Result<(), String> {
        self.flow.desk.filters.reload()
    }

    /// What is under way is brought to its end, the rest stays in the queue. Nothing is done any more when this returns.
    pub fn stop(&self) {
        let Some(running) = self.running.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return;
        };
        drop(running.watch);
        self.flow.timetable.stop();
        let _ = running.clock.join();
        self.flow.pools.account_handler.stop();
        self.flow.pools.smtp_router.stop();
        self.flow.pools.mailbox_deliver.stop();
        self.flow.pools.local.stop();
        self.flow.sites.stop();
        let more =
            std::mem::take(&mut *self.flow.more_senders.lock().unwrap_or_else(PoisonError::into_inner));
        for sender in running.senders.into_iter().chain(more) {
            let _ = sender.join();
        }
        self.flow.pools.error_handler.stop();
    }

    /// Tries everything that waits for this domain now (ETRN, processq).
    pub fn flush(&self, domain: &str) {
        self.flow.pools.account_handler.push(Start::Domain(base::idn::domain(domain), true));
    }
}

/// How long the queue is now, and when the next look is.
fn sample(flow: &Flow) {
    let queue = &flow.desk.queue;
    let now = base::clock::unix_seconds();
    counters::set(Counter::QueueLength, queue.depth() as u64);
    counters::set(Counter::QueueParked, queue.parked_count() as u64);
    counters::set(Counter::QueueDeferred, flow.deferred.waiting() as u64);
    counters::set(Counter::QueueSampled, u64::try_from(now).unwrap_or(0));
    let period = i64::try_from(flow.desk.settings.sample_period.as_secs()).unwrap_or(i64::MAX);
    flow.timetable.add(now.saturating_add(period), Due::Sample);
}

/// smtp-deliver has no line of its own: its threads take what [`Sites`] says. These are always there; more come and go.
fn start_senders(flow: &Arc<Flow>) -> io::Result<Vec<JoinHandle<()>>> {
    let (threads, _) = flow.desk.settings.remote.threads;
    (1..=threads)
        .map(|number| {
            let flow = flow.clone();
            let name = format!("smtp-deliver-{number}");
            thread::Builder::new().name(name).spawn(move || smtp_deliver::run(&flow, None))
        })
        .collect()
}

fn start_pools(flow: &Arc<Flow>) -> io::Result<()> {
    let (desk, pools) = (&flow.desk, &flow.pools);
    let panicked = |module: &'static str| {
        let log = desk.log.clone();
        move || {
            log.critical(Category::General, format_args!("{module}: panic; the message stays in the queue"))
        }
    };
    let settings = &desk.settings;
    let to = flow.clone();
    pools.local.start(desk, move |flight| to.onward(flight), |module| Box::new(panicked(module)))?;
    let to = flow.clone();
    pools.account_handler.start(
        "account-handler",
        settings.account_handler.threads,
        move |start| to.begin(start),
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
    pools.mailbox_deliver.start_up_to(
        "mailbox-deliver",
        (settings.mailbox_deliver.threads, settings.mailbox_deliver_most),
        move |flight| to.deliver(flight),
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
        self.stop();
    }
}

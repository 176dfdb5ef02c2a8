//! smtpd from its configuration to a running service.
//!
//! Everything is looked at before the ports open: the queue (S82, S83), the store, the directory and its one postmaster
//! (S54).

use std::io;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use connection::{Io, Session};
use directory::{Authenticator, Directory, Found, LocalDomains, LogIns};
use dispatcher::daemon::{self, Program, Site};
use dispatcher::privileges;
use dispatcher::{Refreshed, Service};
use dkim::Signer;
use mail_queue::{Queue, QueueId, QueueSettings, State};
use message_store::{Store, StoreLog, StoreSettings};
use mta::Mta;
use mta::apart::{self, Apart};
use mta::commands::Whereabouts;
use mta::deeds::Doer;
use mta::direct::Direct;
use mta::mta::Desk;
use mta::onward::Onward;
use mta::outbound::Outbound;
use mta::ube::Filters;
use server_config::parameters::service_smtp;
use server_config::{Config, Instance};
use server_log::{Category, Log};
use smtp_server::commands::held;
use smtp_server::lmtp::Outcome;
use smtp_server::{Accept, Settings, signing};
use srs::Srs;

use crate::inspectors::inspectors;
use crate::plugin_host::{self, Plugged};

const PROGRAM: Program = Program {
    service: "smtp",
    name: "smtpd",
    about: "accepts, routes and delivers mail",
    before: Some(start_apart),
};

/// Begun while there still are rights, used when the service is built.
static APART: Mutex<Option<Apart>> = Mutex::new(None);

/// Between two questions to a directory that does not answer at start.
const DIRECTORY_RETRY: Duration = Duration::from_millis(500);

/// Runs smtpd from its arguments to its end; or, told so, the process that delivers outside of the store for it.
pub fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == apart::ARGUMENT) {
        return apart::main(arguments);
    }
    let queue: Arc<OnceLock<Queue>> = Arc::default();
    let asked = queue.clone();
    daemon::main(PROGRAM, |site| smtp_server::listening(site, asked), |site| service(site, &queue))
}

/// What needs rights that smtpd will not have: plug-ins have a process of their own; a secret of SRS is made in the configuration's
/// folder; and where smtpd confines itself, deliveries outside of the store are another process's.
fn start_apart(instance: &Instance, config: &Config) -> Result<(), String> {
    plugin_host::start(instance, config)?;
    mta::onward::prepare(config, instance)?;
    if privileges::confines(config)? {
        *APART.lock().unwrap_or_else(PoisonError::into_inner) = Some(Apart::start(instance)?);
    }
    Ok(())
}

/// The accept module, and the stages that live as long as it does.
struct Smtpd {
    accept: Accept,
    mta: Arc<Mta>,
    queue: Queue,
    refreshed: Refreshed,
}

impl Service for Smtpd {
    fn open_session(&self, io: &Io) -> Box<dyn Session> {
        self.accept.open_session(io)
    }

    /// The stages first, since they write to the queue to their end; then files are all there is.
    fn stop(&self) {
        self.mta.stop();
        self.queue.close();
    }

    fn reload(&self) {
        self.accept.reload();
        if let Err(why) = self.mta.reload_filters() {
            self.refreshed.refused(&why);
        }
    }
}

fn service(site: &Arc<Site>, shared: &OnceLock<Queue>) -> Result<Arc<dyn Service>, String> {
    let config = site.config.now();
    let keyring = signing::load_keys(&config, &site.instance, &site.log);
    let signer = Arc::new(Signer::new(keyring, config.get(&service_smtp::DKIM_BELOW)));
    let onward = Onward::from_config(&config, &site.instance)?;
    let srs = onward.srs.clone();
    plugin_host::watch(&site.log).map_err(|why| format!("threads: {why}"))?;
    let plugged = Plugged::of(&site.instance, &config, &site.log);
    let accept_settings = accepting(&config, site, &plugged, &signer, &srs)?;
    let directory =
        directory::open(&config, &site.instance, &site.log).map_err(|why| format!("directory: {why}"))?;
    let domains = LocalDomains::from_config(&config);
    check_postmaster(directory.as_ref(), &domains, &site.log)?;
    let store = Store::open(StoreSettings::from_config(&config, &site.instance), StoreLog::to(&site.log))
        .map_err(|why| format!("store: {why}"))?;
    let queue = Queue::open(QueueSettings::from_config(&config, &site.instance), site.log.clone())
        .map_err(|why| format!("queue: {why}"))?;
    queue.recover(|| store.sync_partitions()).map_err(|why| format!("queue/journal: {why}"))?;
    let checked = queue
        .check(|done, of| {
            site.log.notice(Category::General, format_args!("queue check: {done} of {of} entries"));
        })
        .map_err(|why| format!("queue: {why}"))?;
    site.log.notice(
        Category::General,
        format_args!(
            "queue check: {} waiting, {} finished, {} set aside",
            checked.waiting.len(),
            checked.finished,
            checked.set_aside
        ),
    );
    let partitions = store.partition_folders().map_err(|why| format!("store: {why}"))?;
    queue.begin_journal(partitions);
    if let Some(journal) = queue.shared_journal() {
        store.use_journal(journal);
    }
    let _ = shared.set(queue.clone());
    let settings = mta::Settings::from_config(&config);
    let outbound = Outbound::from_config(&config, &site.instance, &site.log);
    let (of_quota, mailboxes) = (settings.clone(), store.clone());
    let doer = match APART.lock().unwrap_or_else(PoisonError::into_inner).take() {
        Some(apart) => {
            site.log.notice(Category::General, format_args!("{}", apart.told()?));
            apart.watch(site.log.clone()).map_err(|why| format!("threads: {why}"))?;
            Doer::Apart(apart)
        }
        None => Doer::Here,
    };
    let desk = Desk {
        settings,
        outbound,
        queue: queue.clone(),
        store,
        directory: directory.clone(),
        onward,
        signer: signer.clone(),
        filters: Filters::open(&config, &site.instance, &site.log),
        doer,
        log: site.log.clone(),
    };
    let mta = Arc::new(Mta::start(desk, checked.waiting).map_err(|why| format!("threads: {why}"))?);
    let asked = Arc::downgrade(&mta);
    let delivers = Arc::downgrade(&mta);
    let asked_about = Arc::downgrade(&mta);
    let kept = queue.clone();
    let reread = site.clone();
    let accept = Accept::new(
        accept_settings,
        queue,
        LogIns::new(Authenticator::new(directory, &config), &config, &site.instance, &site.log)?,
        dns::Clients::new(dns::Settings::from_config(&config), site.log.clone()),
        Box::new(move |domain| {
            if let Some(mta) = asked.upgrade() {
                mta.flush(domain);
            }
        }),
        Box::new(move |entry, size| mta::quota::has_room(&of_quota, &mailboxes, entry, size)),
        Box::new(move |envelope, path| {
            delivers
                .upgrade()
                .map_or_else(Vec::new, |mta| mta.deliver_now(envelope, path))
                .into_iter()
                .map(outcome)
                .collect()
        }),
        Box::new(Sent(asked_about)),
        site.log.clone(),
        Box::new(move || {
            let config = reread.read_again()?;
            let settings = plugin_host::check(&reread, &config)
                .and_then(|()| accepting(&config, &reread, &plugged, &signer, &srs))
                .inspect_err(|why| {
                    reread.log.error(Category::General, format_args!("{why}; the former settings stay"))
                })
                .ok()?;
            signer.replace(signing::load_keys(&config, &reread.instance, &reread.log));
            Some(settings)
        }),
    );
    let refreshed = Refreshed::new(&site.instance.run_dir(), PROGRAM.service);
    Ok(Arc::new(Smtpd { accept, mta, queue: kept, refreshed }))
}

/// What the accept module goes by.
///
/// # Errors
/// A filter (milter) has no address.
fn accepting(
    config: &Config,
    site: &Site,
    plugged: &Plugged,
    signer: &Arc<Signer>,
    srs: &Option<Arc<Srs>>,
) -> Result<Settings, String> {
    let settings = Settings::from_config(config).with_filters(config)?;
    let post_accept = plugged.post_accept(&settings);
    let inspectors = inspectors(config, site, &settings.host_name, post_accept, signer);
    let plugin_lines = plugged.lines.clone();
    // What knows the commands of old does not know this one.
    let allow_chunking = settings.allow_chunking && plugin_lines.is_none();
    Ok(Settings { inspectors, srs: srs.clone(), plugin_lines, allow_chunking, ..settings })
}

/// What the stages say, in the words of the accept module: neither knows the other.
fn outcome(direct: Direct) -> Outcome {
    match direct {
        Direct::Delivered => Outcome::Delivered,
        Direct::Failed(status, text) => Outcome::Failed { status: status.into(), text },
        Direct::Later(status, text) => Outcome::Later { status: status.into(), text },
        Direct::Queue => Outcome::Queue,
    }
}

/// What knows of mail that was accepted, for the accept module: neither knows the other.
struct Sent(Weak<Mta>);

impl held::Accepted for Sent {
    fn whereabouts(&self, id: &QueueId, uid: &str, domains: &[String]) -> io::Result<held::Whereabouts> {
        self.mta()?.whereabouts(id, uid, domains).map(place)
    }

    fn undo(&self, id: &QueueId, uid: &str) -> io::Result<held::Whereabouts> {
        self.mta()?.undo(id, uid).map(place)
    }

    fn waiting(&self, envid: &str, uid: &str) -> io::Result<Option<(QueueId, i64)>> {
        self.mta()?.waiting(envid, uid)
    }
}

impl Sent {
    fn mta(&self) -> io::Result<Arc<Mta>> {
        self.0.upgrade().ok_or_else(|| io::Error::other("smtpd stops"))
    }
}

/// The same of where a message is.
fn place(found: Whereabouts) -> held::Whereabouts {
    let progress = |state| match state {
        State::Pending => held::Progress::Pending,
        State::Done | State::Succeeded { .. } => held::Progress::Delivered,
        State::Failed { .. } => held::Progress::Failed,
        State::Reported => held::Progress::Ended,
    };
    match found {
        Whereabouts::Waits(until) => held::Whereabouts::Waits(until),
        Whereabouts::Gone => held::Whereabouts::Gone,
        Whereabouts::Undone => held::Whereabouts::Undone,
        Whereabouts::Queued(all) => held::Whereabouts::Queued(
            all.into_iter().map(|(address, state)| (address, progress(state))).collect(),
        ),
    }
}

/// S54: without a postmaster nobody would hear of trouble; with two it is not clear who. An LDAP server that does not
/// answer is waited for: after a power cut everything starts at once.
fn check_postmaster(directory: &dyn Directory, domains: &LocalDomains, log: &Log) -> Result<(), String> {
    if domains.default_domain().is_empty() {
        return Err(
            "neither service.smtp.domain nor local.hostname is set: nobody can be the postmaster".into()
        );
    }
    let address = format!("postmaster@{}", domains.default_domain());
    let mut told = String::new();
    loop {
        match directory.by_address(&address) {
            Ok(Found::One(_)) => return Ok(()),
            Ok(Found::Nobody) => {
                return Err(format!(
                    "nobody has the address {address}: exactly one entry must (dirutil add user postmaster)"
                ));
            }
            Ok(Found::Several(count)) => {
                return Err(format!("{count} entries have the address {address}: exactly one must"));
            }
            Err(why) => {
                let why = why.to_string();
                if why != told {
                    log.error(Category::Ldap, format_args!("{why}; smtpd waits for it"));
                    told = why;
                }
                std::thread::sleep(DIRECTORY_RETRY);
            }
        }
    }
}

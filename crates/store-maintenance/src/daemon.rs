//! stored from its arguments to its end.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use dispatcher::Refreshed;
use dispatcher::daemon::{Program, Site, begin, sole};
use dispatcher::privileges::Starts;
use message_store::{Store, StoreLog, StoreSettings, Wait, ageing_rules};
use server_config::parameters::store;
use server_log::Category;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::jobs::{ageing, alarms, certificate, clean_up, mailbox_list, recovery, stale_readers, text_index};
use crate::timetable::Nightly;

const PROGRAM: Program =
    Program { service: "store", name: "stored", about: "keeps the message store", before: None };
/// Between two looks at the timetable.
const LOOK_INTERVAL: Duration = Duration::from_secs(20);

/// What the command line asks for.
#[derive(Default)]
struct Arguments {
    instance: Option<PathBuf>,
    /// `-t`: only tell, by the exit status, whether the store is ready.
    tell: bool,
    /// `-1`: recovery, ageing and one clean-up, then the end.
    once: bool,
    /// `--try-privileges`: a folder that is none of ours.
    outside: Option<PathBuf>,
}

/// Runs stored.
pub fn main() -> ExitCode {
    let arguments = match arguments(std::env::args_os().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => return ExitCode::SUCCESS,
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "stored: {why}");
            return ExitCode::from(2);
        }
    };
    if arguments.tell {
        return tell(arguments.instance);
    }
    if let Some(outside) = &arguments.outside {
        return try_privileges(&arguments, outside);
    }
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "stored: {}", base::escape(&why));
            ExitCode::from(1)
        }
    }
}

fn arguments(given: impl Iterator<Item = OsString>) -> Result<Option<Arguments>, String> {
    let mut found = Arguments::default();
    let mut given = given;
    while let Some(argument) = given.next() {
        match argument.to_str().unwrap_or("") {
            "--instance" => found.instance = Some(given.next().ok_or("--instance needs a folder")?.into()),
            "--try-privileges" => {
                found.outside = Some(given.next().ok_or("--try-privileges needs a folder")?.into());
            }
            "-t" => found.tell = true,
            "-1" => found.once = true,
            "-d" => {} // NMS: to run as a daemon, which the supervisor sees to
            "--version" | "-V" => {
                let _ = writeln!(std::io::stdout(), "stored {}", env!("CARGO_PKG_VERSION"));
                return Ok(None);
            }
            "--help" | "-h" => {
                let _ = writeln!(
                    std::io::stdout(),
                    "stored: {}\n\nusage: stored [--instance DIR] [-t | -1 | --try-privileges DIR]\n\n  -t  exit with 0 when the store is ready, 1 when not\n  -1  recover, age and clean up once, and end\n  --try-privileges DIR  confine itself, try what it must not do, with DIR as a foreign folder, and say what came of it",
                    PROGRAM.about
                );
                return Ok(None);
            }
            other => match other.strip_prefix("--instance=") {
                Some(folder) => found.instance = Some(folder.into()),
                None => {
                    return Err(format!("unknown argument {}", base::escape(&argument.to_string_lossy())));
                }
            },
        }
    }
    Ok(Some(found))
}

fn tell(instance: Option<PathBuf>) -> ExitCode {
    let ready = server_config::Instance::find(instance.as_deref())
        .is_some_and(|instance| message_store::is_ready(&instance.run_dir()));
    let _ = writeln!(std::io::stdout(), "{}", if ready { "ready" } else { "not ready" });
    if ready { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

fn try_privileges(arguments: &Arguments, outside: &Path) -> ExitCode {
    match begin(PROGRAM, arguments.instance.clone()) {
        Ok(site) => site.try_privileges(outside),
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "stored: {}", base::escape(&why));
            ExitCode::from(1)
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let site = Arc::new(begin(PROGRAM, arguments.instance.clone())?);
    let critical = |why: String| {
        site.log.critical(Category::General, format_args!("{why}"));
        why
    };
    let _sole = sole(&site).map_err(critical)?;
    let bound = if arguments.once { None } else { certificate::bind(&site).map_err(critical)? };
    site.confine(Starts::Nothing).map_err(critical)?;
    site.count();
    let stopping = Arc::new(AtomicBool::new(false));
    let signals = listen(stopping.clone()).map_err(critical)?;
    let settings =
        StoreSettings { wait: Wait::No, ..StoreSettings::from_config(&site.config.now(), &site.instance) };
    let store = Store::open(settings, StoreLog::to(&site.log))
        .map_err(|why| critical(format!("the store cannot be opened: {why}")))?;
    store.begin_recovery().map_err(|why| critical(why.to_string()))?;
    let version = env!("CARGO_PKG_VERSION");
    site.log.notice(Category::General, format_args!("stored {version} starting, recovering the store"));
    recovery::run(&store, &site.log).map_err(critical)?;
    if let Ok(Some(partition)) = store.partition_of_a_lost_list() {
        let text = format_args!(
            "the mailbox list knows no user's mailbox, and partition {partition} has some: see reconstruct -m"
        );
        site.log.error(Category::Store, text);
    }
    if arguments.once {
        nightly_work(&site, &store, &stopping);
        return Ok(());
    }
    store.set_ready().map_err(|why| critical(why.to_string()))?;
    let pid_file = site.instance.run_dir().join("store.pid");
    let pid = format!("{}\n", std::process::id());
    base::replace::durable_replace(&pid_file, pid.as_bytes(), 0o644)
        .map_err(|why| critical(why.to_string()))?;
    site.log.notice(Category::General, format_args!("the store is ready"));
    let list_folder = site.instance.mboxlist_dir();
    mailbox_list::read_ahead(&site.config.now(), &list_folder, &site.log);
    if let Err(why) = mailbox_list::watch(&site.config.now(), &list_folder, &store, &site.log) {
        site.log.warning(Category::Store, format_args!("dead readers are looked for every 20 s only: {why}"));
    }
    let indexing = text_index::start(&site.config.now(), &store, &site.log, &stopping).map_err(critical)?;
    certificate::start(&site, bound, &stopping);
    alarms::start(&site, &stopping);
    serve(&site, &store, &signals, &stopping);
    stopping.store(true, Ordering::Relaxed);
    if let Some(thread) = indexing {
        let _ = thread.join();
    }
    let _ = std::fs::remove_file(&pid_file);
    store.clear_ready().map_err(|why| critical(why.to_string()))?;
    site.log.notice(Category::General, format_args!("stored stopped"));
    Ok(())
}

/// Ageing, then clean-up.
fn nightly_work(site: &Site, store: &Store, stopping: &AtomicBool) {
    let config = site.config.now();
    let stop = || stopping.load(Ordering::Relaxed);
    ageing::run(store, &ageing_rules::from_config(&config, &site.log), &site.log, &stop);
    if !stop() {
        let keeps_text_index = config.get(&store::TEXT_INDEX);
        clean_up::run(store, config.get(&store::CLEANUP_AGE), keeps_text_index, &site.log, &stop);
    }
}

fn serve(site: &Site, store: &Store, signals: &mpsc::Receiver<i32>, stopping: &AtomicBool) {
    let mut nightly = Nightly::default();
    loop {
        stale_readers::run(store, &site.log);
        let hour = site.config.now().get(&store::EXPIRE_START);
        if nightly.is_due(base::clock::unix_seconds(), hour) {
            nightly_work(site, store, stopping);
        }
        match signals.recv_timeout(LOOK_INTERVAL) {
            Ok(SIGHUP) => {
                site.log.reopen();
                site.read_again();
                Refreshed::new(&site.instance.run_dir(), PROGRAM.service).done();
            }
            Ok(_) | Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if stopping.load(Ordering::Relaxed) {
            return;
        }
    }
}

/// Signals as messages; the flag is for what takes long.
fn listen(stopping: Arc<AtomicBool>) -> Result<mpsc::Receiver<i32>, String> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(|why| why.to_string())?;
    let (tell, told) = mpsc::channel();
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for signal in signals.forever() {
                if signal != SIGHUP {
                    stopping.store(true, Ordering::Relaxed);
                }
                if tell.send(signal).is_err() {
                    return;
                }
            }
        })
        .map_err(|why| why.to_string())?;
    Ok(told)
}

//! The verbs of msg-queue: which messages are meant, and who does it.
//!
//! Whoever holds `run/smtp.lock` owns the queue. When smtpd does, a command file is put into `queue/commands` and is done
//! when it is gone; when smtpd ends meanwhile, the command is taken back and done here. Else the lock is held while the
//! queue is changed, so that smtpd cannot start in between.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use mail_queue::{Command, Envelope, Finder, Queue, QueueId, QueueSettings, Survey, Verb};

use crate::selection::{Selection, id};
use crate::site::{Site, broken};

/// How long smtpd is waited for; it goes on behind this.
const PATIENCE: Duration = Duration::from_secs(60);
/// Messages of one command file at most.
const TOGETHER: usize = 100_000;
/// Between two looks whether it was done.
const LOOK: Duration = Duration::from_millis(20);

/// Which messages.
#[derive(Args)]
pub struct Targets {
    /// These messages
    #[arg(value_name = "ID", value_parser = id)]
    ids: Vec<QueueId>,
    /// Every message of the queue
    #[arg(long)]
    all: bool,
    /// Tell which messages are meant, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    selection: Selection,
}

impl Targets {
    /// What `sendmail -q` and processq mean.
    pub fn of(selection: Selection) -> Targets {
        Targets { ids: Vec::new(), all: selection.is_everything(), dry_run: false, selection }
    }
}

/// Messages with the domain in whose folder they were seen.
type Meant = Vec<(QueueId, Option<String>)>;

pub fn run(site: &Site, verb: Verb, targets: &Targets, out: &mut dyn Write) -> Result<(), String> {
    let mut selection = targets.selection.clone();
    selection.id.extend(targets.ids.iter().cloned());
    if selection.is_everything() && !targets.all {
        return Err("name messages, give filters, or --all".into());
    }
    if !targets.dry_run {
        recover(site)?;
    }
    let (meant, seen) = meant(&site.instance.queue_dir(), &selection, verb)?;
    let missing = selection.id.iter().find(|id| !seen.contains(id));
    if let Some(id) = missing.filter(|_| is_by_id_only(&selection)) {
        return Err(format!("{id} is not in the queue"));
    }
    let plural = if meant.len() == 1 { "" } else { "s" };
    if targets.dry_run {
        for (id, _) in &meant {
            writeln!(out, "{id}").map_err(broken)?;
        }
        return writeln!(out, "would {} {} message{plural}", verb.word(), meant.len()).map_err(broken);
    }
    let count = meant.len();
    for together in meant.chunks(TOGETHER) {
        carry_out(site, verb, together)?;
    }
    writeln!(out, "{}: {count} message{plural}", verb.word()).map_err(broken)
}

/// What the journal of a smtpd that was killed holds becomes files, before they are looked at; a running one has them.
fn recover(site: &Site) -> Result<(), String> {
    let Some(_held) = smtpd_lock(&site.instance.run_dir().join("smtp.lock"))? else { return Ok(()) };
    let settings = QueueSettings::from_config(&site.config, &site.instance);
    let queue = Queue::open(settings, site.log.clone()).map_err(|why| format!("queue: {why}"))?;
    recover_from(site, &queue)
}

/// The mailboxes have first what the journal holds of them, when stored does not run and has seen to it.
fn recover_from(site: &Site, queue: &Queue) -> Result<(), String> {
    let store = || site.store().map_err(io::Error::other)?.sync_partitions();
    queue.recover(store).map(drop).map_err(|why| format!("queue/journal: {why}"))
}

fn is_by_id_only(selection: &Selection) -> bool {
    let ids_only = Selection { id: selection.id.clone(), ..Selection::default() };
    let without = Selection { id: Vec::new(), ..selection.clone() };
    !ids_only.is_everything() && without.is_everything()
}

/// The messages to which the verb does something, and which of those named by id there are.
fn meant(queue: &Path, selection: &Selection, verb: Verb) -> Result<(Meant, HashSet<QueueId>), String> {
    let (mut meant, mut seen, mut buffer) = (Vec::new(), HashSet::new(), Vec::new());
    for folder in Survey::of(queue) {
        let folder = folder.map_err(|why| why.to_string())?;
        let domain = folder.domain().map(str::to_owned);
        selection.each(&folder, &mut buffer, |id, envelope| {
            if !selection.id.is_empty() {
                seen.insert(id.clone());
            }
            // What is damaged is smtpd's to set aside.
            if envelope.is_ok_and(|envelope| concerns(verb, &envelope)) {
                meant.push((id.clone(), domain.clone()));
            }
            Ok(())
        })?;
    }
    Ok((meant, seen))
}

fn concerns(verb: Verb, envelope: &Envelope) -> bool {
    let waits = envelope.waits_for_release(base::clock::unix_seconds());
    match verb {
        Verb::Hold => !envelope.held,
        Verb::Flush => !envelope.held && !waits,
        Verb::Release => envelope.held || waits,
        Verb::Requeue | Verb::Delete | Verb::Expire => true,
    }
}

fn carry_out(site: &Site, verb: Verb, meant: &[(QueueId, Option<String>)]) -> Result<(), String> {
    let settings = QueueSettings::from_config(&site.config, &site.instance);
    let queue = Queue::open(settings, site.log.clone()).map_err(|why| format!("queue: {why}"))?;
    let lock = site.instance.run_dir().join("smtp.lock");
    if let Some(_held) = smtpd_lock(&lock)? {
        return here(site, &queue, verb, meant);
    }
    let by = os::user::current().map_or_else(|| "unknown".to_owned(), |user| user.name);
    let command = Command { verb, by, entries: meant.to_vec() };
    let path = queue.submit(&command).map_err(|why| format!("queue/commands: {why}"))?;
    let begin = Instant::now();
    while path.exists() {
        if begin.elapsed() > PATIENCE {
            return Err("smtpd has not done it yet; it will, as long as it runs".into());
        }
        if let Some(_held) = smtpd_lock(&lock)? {
            // It ended meanwhile. What it did already is done again, which is harmless.
            let _ = fs::remove_file(&path);
            return here(site, &queue, verb, meant);
        }
        std::thread::sleep(LOOK);
    }
    let name = path.file_name().unwrap_or_default();
    if site.instance.queue_dir().join("lost+found").join(name).exists() {
        return Err("smtpd did not understand the command; it is in queue/lost+found".into());
    }
    Ok(())
}

/// Whether a smtpd holds the queue of this instance.
pub fn smtpd_runs(site: &Site) -> Result<bool, String> {
    Ok(smtpd_lock(&site.instance.run_dir().join("smtp.lock"))?.is_none())
}

/// The lock of a running smtpd, when none runs.
fn smtpd_lock(path: &Path) -> Result<Option<File>, String> {
    let told = |why: std::io::Error| format!("{}: {why}", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(told)?;
    }
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path).map_err(told)?;
    #[allow(clippy::incompatible_msrv)]
    Ok(file.try_lock().is_ok().then_some(file))
}

fn here(site: &Site, queue: &Queue, verb: Verb, meant: &[(QueueId, Option<String>)]) -> Result<(), String> {
    // What was removed must not come back from the journal of a smtpd that was killed.
    recover_from(site, queue)?;
    let mut finder = Finder::new(queue);
    let mut failed: Vec<String> = Vec::new();
    for (id, domain) in meant {
        let outcome = match finder.find(id, domain.as_deref()) {
            Ok(Some(entry)) => entry.obey(verb).map(drop),
            Ok(None) => Ok(()), // it went meanwhile
            Err(why) => Err(why),
        };
        if let Err(why) = outcome {
            failed.push(format!("{id}: {why}"));
        }
    }
    queue.make_durable().map_err(|why| format!("queue: {why}"))?;
    match failed.len() {
        0 => Ok(()),
        1 => Err(failed.remove(0)),
        many => Err(format!("{}; and {} more failed", failed[0], many - 1)),
    }
}

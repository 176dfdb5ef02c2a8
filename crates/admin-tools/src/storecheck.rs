//! storecheck: proves the store, and the queue's links, while everything runs; changes nothing.

mod queue;
mod report;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{CommandFactory, Parser};
use message_store::{Depth, Listed, MailboxName, Scope, Store, Verified};

use crate::site::{Site, run_tool};
use report::Report;

/// Names of one page of the list.
const PAGE: usize = 1000;
/// What is read of a message that is not: its records and the name of its file.
const RECORD_COST_BYTES: u64 = 512;

#[derive(Parser)]
#[command(
    name = "storecheck",
    version,
    about = "Proves the store: every mailbox, the mailbox list, quotas, subscriptions and the queue's links, while everything runs"
)]
struct Arguments {
    /// The instance; else CONFIGROOT names its config folder
    #[arg(long)]
    instance: Option<PathBuf>,
    /// Read every message: its bytes against its record, its cache and the second copy of the records
    #[arg(short, long)]
    contents: bool,
    /// Only this partition
    #[arg(short, value_name = "PARTITION")]
    partition: Option<String>,
    /// Only this user's mailboxes; may be given several times
    #[arg(short, value_name = "USER", conflicts_with = "partition")]
    user: Vec<String>,
    /// Read at most so many MiB a second
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Say how far it is every so many seconds, to standard error
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "5", value_parser = clap::value_parser!(u32).range(1..))]
    progress: Option<u32>,
    /// One JSON object a line
    #[arg(short, long)]
    json: bool,
    /// Message files that no record names are differences, too
    #[arg(long)]
    strict: bool,
    /// Say also what an interruption left, which is made whole by itself
    #[arg(short)]
    verbose: bool,
    /// Mailboxes; without any, the whole store and the queue
    #[arg(conflicts_with_all = ["partition", "user"])]
    mailboxes: Vec<String>,
}

/// The command line, for the generated documents.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the tool; the result is the exit code: 1 when there are differences.
pub fn run(arguments: impl IntoIterator<Item = OsString>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    run_tool("storecheck", arguments, out, err, work)
}

fn work(arguments: Arguments, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), String> {
    let site = Site::open(arguments.instance.as_deref(), "storecheck")?;
    let store = site.store()?;
    let mut report = Report::new(out, arguments.json, arguments.verbose);
    let mut check = Check {
        store: &store,
        depth: if arguments.contents { Depth::Contents } else { Depth::Records },
        strict: arguments.strict,
        partition: arguments.partition.as_deref(),
        pace: Pace::new(arguments.rate, arguments.progress),
        err,
    };
    if !arguments.mailboxes.is_empty() {
        check.named(&arguments.mailboxes, &mut report)?;
    } else if !arguments.user.is_empty() {
        for user in &arguments.user {
            check.user(user, &mut report)?;
        }
    } else {
        check.everything(&mut report)?;
        if arguments.partition.is_none() {
            queue::check(&site.instance.queue_dir(), &mut report)?;
        }
    }
    report.end()
}

struct Check<'a> {
    store: &'a Store,
    depth: Depth,
    strict: bool,
    partition: Option<&'a str>,
    pace: Pace,
    err: &'a mut dyn Write,
}

impl Check<'_> {
    fn named(&mut self, names: &[String], report: &mut Report<'_>) -> Result<(), String> {
        for text in names {
            let name = MailboxName::parse(text).map_err(|why| format!("{}: {why}", base::escape(text)))?;
            let listed = self.store.listed(&name).map_err(|why| why.to_string())?;
            let listed = listed
                .ok_or_else(|| format!("{name} does not exist (reconstruct -m adds what is on disk)"))?;
            self.mailbox(&listed, report)?;
        }
        Ok(())
    }

    fn user(&mut self, user: &str, report: &mut Report<'_>) -> Result<(), String> {
        let inbox = MailboxName::inbox(user).map_err(|why| format!("{}: {why}", base::escape(user)))?;
        if !self.store.exists(&inbox).map_err(|why| why.to_string())? {
            return Err(format!("{}: there is no {inbox}", base::escape(user)));
        }
        self.below(&format!("user/{user}/"), report)?;
        self.folders(&Scope { partition: None, user: Some(user.to_owned()) }, report)
    }

    fn everything(&mut self, report: &mut Report<'_>) -> Result<(), String> {
        if self.pace.progress.is_some() {
            self.pace.mailboxes = self.count()?;
        }
        self.below("", report)?;
        self.folders(&Scope { partition: self.partition.map(str::to_owned), user: None }, report)
    }

    /// How many mailboxes there are, for the time left.
    fn count(&self) -> Result<u64, String> {
        let (mut after, mut count) = (None, 0);
        loop {
            let page = self.store.list("", after.as_ref(), PAGE).map_err(|why| why.to_string())?;
            let Some(last) = page.last() else { return Ok(count) };
            count += page.iter().filter(|listed| listed.selectable).count() as u64;
            after = Some(last.name.clone());
        }
    }

    fn below(&mut self, prefix: &str, report: &mut Report<'_>) -> Result<(), String> {
        let mut after = None;
        loop {
            let page = self.store.list(prefix, after.as_ref(), PAGE).map_err(|why| why.to_string())?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.name.clone());
            let partition = self.partition;
            let is_meant = |listed: &&Listed| partition.is_none_or(|one| one == listed.partition);
            for listed in page.iter().filter(|listed| listed.selectable).filter(is_meant) {
                self.mailbox(listed, report)?;
            }
        }
    }

    fn mailbox(&mut self, listed: &Listed, report: &mut Report<'_>) -> Result<(), String> {
        let pace = &mut self.pace;
        let found = self.store.verify(listed, self.depth, &mut |bytes| pace.read(bytes));
        match found {
            Ok(Some(found)) => {
                self.pace.done(found.messages);
                self.tell(listed, &found, report)?;
                if listed.name.is_inbox() {
                    self.subscriptions(listed, report)?;
                }
            }
            Ok(None) => {} // deleted or renamed meanwhile
            Err(why) => report.unproven(&listed.name.to_string(), &why.to_string())?,
        }
        self.pace.tell(self.err)
    }

    fn tell(&self, listed: &Listed, found: &Verified, report: &mut Report<'_>) -> Result<(), String> {
        let name = listed.name.to_string();
        report.mailboxes += 1;
        report.messages += found.messages;
        report.without_record += found.without_record;
        report.uncached += found.uncached;
        for note in &found.notes {
            report.note(&name, note)?;
        }
        for fault in &found.differences {
            report.difference(&name, &fault.what, &fault.repair)?;
        }
        if found.without_record > 0 {
            let what = format!("message files that no record names: {}", found.without_record);
            match self.strict {
                true => report.difference(&name, &what, &format!("reconstruct '{name}'"))?,
                false => report.note(&name, &what)?,
            }
        }
        Ok(())
    }

    fn subscriptions(&self, listed: &Listed, report: &mut Report<'_>) -> Result<(), String> {
        match self.store.verify_subscriptions(&listed.name) {
            Ok(Some(fault)) => report.difference(&listed.name.to_string(), &fault.what, &fault.repair),
            _ => Ok(()), // the mailbox has gone meanwhile
        }
    }

    /// What is on disk and not in the list.
    fn folders(&self, scope: &Scope, report: &mut Report<'_>) -> Result<(), String> {
        let mut found = BTreeSet::new();
        self.store
            .verify_folders(scope, |name, fault| {
                found.insert((name.to_string(), fault.what, fault.repair));
            })
            .map_err(|why| why.to_string())?;
        found.iter().try_for_each(|(name, what, repair)| report.difference(name, what, repair))
    }
}

/// Bounds what is read a second, and says how far it is.
struct Pace {
    begin: Instant,
    rate: Option<f64>,
    bytes: u64,
    progress: Option<Duration>,
    told: Instant,
    /// In the whole store.
    mailboxes: u64,
    mailboxes_done: u64,
    messages: u64,
}

impl Pace {
    fn new(rate_mib: Option<u32>, progress: Option<u32>) -> Pace {
        Pace {
            begin: Instant::now(),
            rate: rate_mib.map(|mib| f64::from(mib) * f64::from(1 << 20)),
            bytes: 0,
            progress: progress.map(|seconds| Duration::from_secs(u64::from(seconds))),
            told: Instant::now(),
            mailboxes: 0,
            mailboxes_done: 0,
            messages: 0,
        }
    }

    fn read(&mut self, bytes: u64) {
        self.bytes += bytes;
        let Some(rate) = self.rate else { return };
        let due = Duration::from_secs_f64(self.bytes as f64 / rate);
        if let Some(early) = due.checked_sub(self.begin.elapsed()) {
            std::thread::sleep(early);
        }
    }

    fn done(&mut self, messages: u64) {
        self.mailboxes_done += 1;
        self.messages += messages;
        self.read(messages * RECORD_COST_BYTES);
    }

    fn tell(&mut self, err: &mut dyn Write) -> Result<(), String> {
        if self.progress.is_none_or(|every| self.told.elapsed() < every) {
            return Ok(());
        }
        self.told = Instant::now();
        let seconds = self.begin.elapsed().as_secs_f64().max(0.001);
        let left = (self.mailboxes.saturating_sub(self.mailboxes_done)) as f64 * seconds
            / (self.mailboxes_done.max(1)) as f64;
        let of = if self.mailboxes > 0 { format!(" of {}", self.mailboxes) } else { String::new() };
        let left = if self.mailboxes > 0 { format!(", {left:.0} s left") } else { String::new() };
        let rate = self.messages as f64 / seconds;
        writeln!(
            err,
            "{}{of} mailboxes, {} messages, {rate:.0} messages/s{left}",
            self.mailboxes_done, self.messages
        )
        .map_err(crate::site::broken)
    }
}

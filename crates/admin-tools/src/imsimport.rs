//! imsimport: takes over mailboxes from a Maildir, mbox files or a running IMAP server, with flags, keywords, dates and, where it
//! can be, UIDs. It is run again until nothing differs: a later run takes what is new and what changed, whatever ended the one
//! before it.

pub(crate) mod beneath;
mod compare;
mod folder;
mod imap;
mod maildir;
mod mbox;
mod mbox_scan;
mod names;
mod progress;
mod report;
mod source;
mod state;
pub(crate) mod taker;
mod user;
mod where_from;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use clap::{CommandFactory, Parser};
use directory::{Directory, Found};

use crate::site::{Site, broken, run_tool};
use folder::Run;
use mbox_scan::Kind;
use names::Wishes;
use progress::Progress;
use report::Report;
use user::Job;
use where_from::{Access, WhereFrom};

/// Between two lines of progress.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);
/// Users at a time, at most.
const JOBS_MAX: u16 = 64;

#[derive(Parser)]
#[command(
    name = "imsimport",
    version,
    about = "Takes over mailboxes from a Maildir, mbox files or an IMAP server; run again, it takes what is new"
)]
struct Arguments {
    /// The instance; else CONFIGROOT names its config folder
    #[arg(long)]
    instance: Option<PathBuf>,
    /// Change nothing: only say what differs, with status 1 when anything does
    #[arg(short = 'n')]
    look: bool,
    /// A file of lines USER SOURCE [SOURCE]..., between tabs when there are blanks in a path
    #[arg(long, value_name = "FILE", conflicts_with = "user")]
    list: Option<PathBuf>,
    /// Users at a time
    #[arg(short, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=i64::from(JOBS_MAX)))]
    jobs: u16,
    /// Expunge here what came once and is not at the source any more, unless it was touched here since
    #[arg(long)]
    expunge: bool,
    /// Add this to the next UID of mailboxes that have the source's UIDVALIDITY: with the last run before mail comes here
    #[arg(long, value_name = "NUMBER", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=1_000_000_000))]
    uid_gap: u32,
    /// Only folders of this name, as the client sees it (* any, % within a level); may be given several times
    #[arg(long, value_name = "PATTERN")]
    only: Vec<String>,
    /// No folders of this name; may be given several times
    #[arg(long, value_name = "PATTERN")]
    except: Vec<String>,
    /// Another name for a folder and what is below it; may be given several times
    #[arg(long, value_name = "OLD=NEW")]
    rename: Vec<String>,
    /// The kind of mbox files; else it is found out, file by file
    #[arg(long, value_name = "KIND")]
    mbox: Option<Kind>,
    /// IMAP: longer messages are not taken, but told
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 30)]
    message_max: u64,
    /// IMAP: a file of lines NAME:PASSWORD, names as the server knows them
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// IMAP: log in with this name and its password, to act for each user (PLAIN)
    #[arg(long, value_name = "NAME")]
    admin: Option<String>,
    /// IMAP: believe certificates of these authorities, instead of the system's
    #[arg(long, value_name = "FILE", conflicts_with = "any_certificate")]
    ca: Option<PathBuf>,
    /// IMAP: believe any certificate
    #[arg(long)]
    any_certificate: bool,
    /// IMAP: with imap://, no TLS; passwords and mail go in the clear
    #[arg(long)]
    no_tls: bool,
    /// IMAP: seconds for a line, or a piece of a message
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    /// Also for users who are not in the directory
    #[arg(long)]
    force: bool,
    /// 0: only what is wrong and the sum; 1: each user; 2: each folder
    #[arg(short, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=2))]
    verbosity: u8,
    /// Whose mailboxes they become
    user: Option<String>,
    /// maildir:PATH, mbox:PATH (a file is the INBOX, a folder has folders), imaps://[NAME@]HOST[:PORT], imap://...; %u is the user
    sources: Vec<String>,
}

/// The command line, for the generated documents.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the tool; the result is the exit code: 0 when nothing differs.
pub fn run(arguments: impl IntoIterator<Item = OsString>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    run_tool("imsimport", arguments, out, err, work)
}

fn work(arguments: Arguments, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), String> {
    // Before the rights are given up: list and passwords are the administrator's.
    let wanted = wanted(&arguments)?;
    let access = access(&arguments)?;
    let renamed = arguments.rename.iter().map(|text| Wishes::rename(text)).collect::<Result<_, _>>()?;
    let wishes = Wishes { only: arguments.only.clone(), except: arguments.except.clone(), renamed };
    let site = Site::open(arguments.instance.as_deref(), "imsimport")?;
    // What users own can be read, and what is made is the server's.
    server_config::server_user::become_it_and_read_all(&site.config)?;
    let store = site.store()?;
    let mut report = Report::default();
    let mut jobs = Vec::new();
    let directory =
        directory::open(&site.config, &site.instance, &site.log).map_err(|why| why.to_string())?;
    for (uid, sources) in wanted {
        match job(&*directory, &uid, sources, arguments.force) {
            Ok(job) => jobs.push(job),
            Err(why) => {
                report.fail(why.clone());
                writeln!(err, "imsimport: {}: {why}", base::escape(&uid)).map_err(broken)?;
            }
        }
    }
    let progress = Progress::begin(jobs.len());
    let run = Run {
        store: &store,
        state_folder: state::folder(&site.instance.store_dir()),
        look: arguments.look,
        expunge: arguments.expunge,
        uid_gap: arguments.uid_gap,
        progress: &progress,
    };
    let workers = Workers { run: &run, access: &access, wishes: &wishes, jobs: Mutex::new(jobs) };
    let stopped = workers.all(&arguments, &mut report, out, err)?;
    writeln!(out, "{}", report.text()).map_err(broken)?;
    if let Some(why) = stopped {
        return Err(why);
    }
    match report.is_clean() {
        true => Ok(()),
        false => Err("not everything is here as it is there; run it again, or see above".into()),
    }
}

/// Users and where their mail is.
fn wanted(arguments: &Arguments) -> Result<Vec<(String, Vec<WhereFrom>)>, String> {
    let one = |uid: &str, sources: &[&str]| {
        if sources.is_empty() {
            return Err(format!("{}: no source; see --help", base::escape(uid)));
        }
        let sources =
            sources.iter().map(|text| WhereFrom::parse(text, uid)).collect::<Result<Vec<_>, _>>()?;
        Ok((uid.to_owned(), sources))
    };
    let Some(path) = &arguments.list else {
        let uid = arguments.user.as_deref().ok_or("name a user and a source, or a --list; see --help")?;
        let sources: Vec<&str> = arguments.sources.iter().map(String::as_str).collect();
        return Ok(vec![one(uid, &sources)?]);
    };
    let text = std::fs::read_to_string(path).map_err(|why| format!("{}: {why}", path.display()))?;
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let words: Vec<&str> = match line.contains('\t') {
            true => line.split('\t').filter(|word| !word.is_empty()).collect(),
            false => line.split_whitespace().collect(),
        };
        let (uid, sources) = words.split_first().ok_or("an empty line")?;
        found.push(one(uid, sources).map_err(|why| format!("{}:{number}: {why}", path.display()))?);
    }
    Ok(found)
}

fn access(arguments: &Arguments) -> Result<Access, String> {
    let passwords = match &arguments.password_file {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|why| format!("{}: {why}", path.display()))?;
            text.lines()
                .filter_map(|line| line.split_once(':'))
                .map(|(name, password)| (name.into(), password.into()))
                .collect()
        }
        None => Default::default(),
    };
    let trust = match (&arguments.ca, arguments.any_certificate) {
        (_, true) => imap_client::Trust::Anybody,
        (Some(file), _) => imap_client::Trust::File(file.clone()),
        (None, _) => imap_client::Trust::System,
    };
    Ok(Access {
        passwords,
        admin: arguments.admin.clone(),
        trust,
        no_tls: arguments.no_tls,
        timeout: Duration::from_secs(arguments.timeout),
        message_max: arguments.message_max.min(u64::from(u32::MAX) - 1),
        mbox: arguments.mbox,
    })
}

fn job(directory: &dyn Directory, uid: &str, sources: Vec<WhereFrom>, force: bool) -> Result<Job, String> {
    match directory.by_uid(uid).map_err(|why| why.to_string())? {
        Found::One(entry) => Ok(Job {
            uid: entry.uid.clone().unwrap_or_else(|| uid.to_owned()),
            partition: entry.partition.clone().unwrap_or_default(),
            sources,
        }),
        Found::Nobody if force => Ok(Job { uid: uid.to_owned(), partition: String::new(), sources }),
        Found::Nobody => Err("there is no such user (--force takes the mail all the same)".into()),
        Found::Several(count) => Err(format!("{count} entries have this uid")),
    }
}

/// What a worker says.
pub enum Said {
    /// What is wrong, with the user.
    Wrong(String),
    /// From this verbosity on.
    Done(u8, String),
    /// The counts of a user.
    Counts(Box<Report>),
    /// Nothing can go on.
    Stop(String),
}

struct Workers<'a> {
    run: &'a Run<'a>,
    access: &'a Access,
    wishes: &'a Wishes,
    jobs: Mutex<Vec<Job>>,
}

impl Workers<'_> {
    /// Works through all users; why it had to stop.
    fn all(
        &self,
        arguments: &Arguments,
        report: &mut Report,
        out: &mut dyn Write,
        err: &mut dyn Write,
    ) -> Result<Option<String>, String> {
        let (sender, receiver) = channel();
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).reverse(); // taken from the end
        let mut stopped = None;
        std::thread::scope(|scope| {
            for _ in 0..arguments.jobs {
                let sender = sender.clone();
                scope.spawn(move || self.work(&sender));
            }
            drop(sender);
            let mut told = Instant::now();
            loop {
                if told.elapsed() >= PROGRESS_EVERY {
                    told = Instant::now();
                    writeln!(err, "imsimport: {}", self.run.progress.line()).map_err(broken)?;
                }
                match receiver.recv_timeout(PROGRESS_EVERY.saturating_sub(told.elapsed())) {
                    Ok(Said::Wrong(text)) => writeln!(err, "imsimport: {text}").map_err(broken)?,
                    Ok(Said::Done(from, text)) if arguments.verbosity >= from => {
                        writeln!(out, "{text}").map_err(broken)?;
                    }
                    Ok(Said::Done(..)) => {}
                    Ok(Said::Counts(one)) => report.add(&one),
                    Ok(Said::Stop(why)) => {
                        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clear();
                        stopped = Some(why);
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return Ok(()),
                }
            }
        })
        .map(|()| stopped)
    }

    fn work(&self, say: &Sender<Said>) {
        loop {
            let next = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(job) = next else { return };
            self.run.progress.user_begins();
            user::bring(self.run, self.access, self.wishes, &job, say);
            self.run.progress.user_ends();
        }
    }
}

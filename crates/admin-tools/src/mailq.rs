//! mailq: what is in the queue, with smtpd running or not (S76).
//!
//! The active queue and the deferred domains are read folder by folder and told as they are read, so that a queue of any
//! length needs no memory to speak of. Nothing is changed.

mod detail;
mod json;
mod list;
mod shape;
mod summary;

use std::ffi::OsString;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use clap::{ArgGroup, CommandFactory, Parser};
use mail_queue::{Envelope, Folder, QueueId, State, Survey};
use server_config::Instance;

use crate::selection::Selection;
use crate::site::{Site, broken, run_tool};

#[derive(Parser)]
#[command(
    name = "mailq",
    version,
    about = "Counts what is queued, by domain, or lists it",
    after_help = "What is to become of messages (try now, hold, delete, return) is msg-queue's affair.",
    group = ArgGroup::new("form").args(["list", "detail", "json", "shape", "all"])
)]
struct Arguments {
    /// The instance; else CONFIGROOT names its config folder
    #[arg(long)]
    instance: Option<PathBuf>,
    /// List every message with its recipients
    #[arg(short, long)]
    list: bool,
    /// All that is known about these messages, or about the messages for these domains
    #[arg(short, long, num_args = 1.., value_name = "DOMAIN|ID")]
    detail: Vec<String>,
    /// Tell how many of each domain are in the active queue, besides those that wait for another attempt
    #[arg(short, long)]
    all: bool,
    /// One JSON object a line for each message, with the field names of postqueue -j and more
    #[arg(short, long)]
    json: bool,
    /// A table of domains by age, in minutes
    #[arg(long)]
    shape: bool,
    #[command(flatten)]
    selection: Selection,
}

/// The command line, for the generated documents.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the tool; the result is the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    run_tool("mailq", arguments, out, err, work)
}

fn work(arguments: Arguments, out: &mut dyn Write, _: &mut dyn Write) -> Result<(), String> {
    let site = Site::open(arguments.instance.as_deref(), "mailq")?;
    site.act_as_server()?;
    let queue = Queue { folder: site.instance.queue_dir(), unfiltered: unfiltered(&site.instance) };
    let mut out = BufWriter::new(out);
    let selection = &arguments.selection;
    if !arguments.detail.is_empty() {
        detail::tell(&queue, selection, &arguments.detail, &mut out)?;
    } else if arguments.list {
        list::tell(&queue, selection, &mut out)?;
    } else if arguments.json {
        json::tell(&queue, selection, &mut out)?;
    } else if arguments.shape {
        shape::tell(&queue, selection, &mut out)?;
    } else {
        summary::tell(&queue.folder, selection, arguments.all, &mut out)?;
    }
    out.flush().map_err(broken)
}

pub(crate) use detail::entry as tell_entry;

/// What is looked at.
struct Queue {
    folder: PathBuf,
    /// Why new mail waits for the rules of the UBE filter, while it does.
    unfiltered: Option<String>,
}

impl Queue {
    /// The envelope, with why it waits when that is known and does not stand there: for rules that smtpd has not.
    fn told(&self, folder: &Folder, mut envelope: Envelope) -> Envelope {
        let why = self.unfiltered.as_ref().filter(|_| folder.domain().is_none() && !envelope.held);
        if let Some(why) = why.filter(|_| envelope.last_error.is_empty() && envelope.is_for_filter()) {
            envelope.last_error = why.clone();
        }
        envelope
    }
}

fn unfiltered(instance: &Instance) -> Option<String> {
    let why = std::fs::read_to_string(ube_filter::unknown_file(&instance.run_dir())).ok()?;
    Some(format!("waits until config/filter.cfg is right and was refreshed: {}", why.trim()))
}

/// What `take` is told: where the entry is, its id, and its envelope or why it is none.
type Take<'t> = &'t mut dyn FnMut(&Folder, &QueueId, Result<Envelope, String>) -> Result<(), String>;

/// Goes through all entries that are meant.
fn each(queue: &Queue, selection: &Selection, take: Take<'_>) -> Result<(), String> {
    let mut buffer = Vec::new();
    for folder in Survey::of(&queue.folder) {
        let folder = folder.map_err(|why| why.to_string())?;
        selection.each(&folder, &mut buffer, |id, envelope| {
            take(&folder, id, envelope.map(|envelope| queue.told(&folder, envelope)))
        })?;
    }
    Ok(())
}

/// When it goes, if its sender chose a time that has not come.
fn release(envelope: &Envelope) -> Option<String> {
    let until = envelope.hold.as_ref()?.until;
    let waits = envelope.waits_for_release(base::clock::unix_seconds());
    waits.then(|| mail_format::format_date(until, 0))
}

/// The domains an entry waits for: that of its folder, or those of its recipients.
fn domains(folder: &Folder, envelope: &Envelope) -> Vec<String> {
    if let Some(domain) = folder.domain() {
        return vec![domain.to_owned()];
    }
    let mut domains: Vec<String> = crate::selection::waiting(envelope)
        .map(|recipient| base::idn::domain(crate::selection::domain_of(&recipient.address)))
        .collect();
    domains.sort_unstable();
    domains.dedup();
    domains
}

/// What has become of a recipient, for people.
fn state(state: &State) -> String {
    match state {
        State::Pending => "waiting".into(),
        State::Done => "delivered".into(),
        State::Failed { status, text } => format!("failed {status} {}", base::escape(text)),
        State::Succeeded { success, .. } => format!("{}, to be reported", success.word()),
        State::Reported => "reported".into(),
    }
}

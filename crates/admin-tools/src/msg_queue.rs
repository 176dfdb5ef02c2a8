//! msg-queue: looks into messages of the queue, and changes what is to become of them.
//!
//! The verbs have the same outcome whether smtpd runs or not: while it runs it is asked by a command file, else the queue
//! is changed under smtpd's lock (`docs/formats/queue.md`).

pub(crate) mod change;
mod show;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use clap::{CommandFactory, Parser, Subcommand};
use mail_queue::{QueueId, Verb};

use crate::selection::id;
use crate::site::{Site, run_tool};

#[derive(Parser)]
#[command(name = "msg-queue", version, about = "Shows and changes messages of the queue")]
struct Arguments {
    /// The instance; else CONFIGROOT names its config folder
    #[arg(long, global = true)]
    instance: Option<PathBuf>,
    #[command(subcommand)]
    job: Job,
}

#[derive(Subcommand)]
enum Job {
    /// Show a message: what is known about it and its header, or one of the forms below
    Show {
        #[arg(value_name = "ID", value_parser = id)]
        id: QueueId,
        #[command(flatten)]
        form: show::Form,
    },
    /// Leave messages alone until they are released
    Hold(change::Targets),
    /// Let messages that are held go on
    Release(change::Targets),
    /// Begin anew with messages: back to the active queue, as if they had just come
    Requeue(change::Targets),
    /// Remove messages; nobody is told
    Delete(change::Targets),
    /// Give messages up now, with a report to their senders
    Expire(change::Targets),
    /// Try messages now
    Flush(change::Targets),
}

/// The command line, for the generated documents.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the tool; the result is the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    run_tool("msg-queue", arguments, out, err, work)
}

fn work(arguments: Arguments, out: &mut dyn Write, _: &mut dyn Write) -> Result<(), String> {
    let site = Site::open(arguments.instance.as_deref(), "msg-queue")?;
    site.act_as_server()?;
    let (verb, targets) = match &arguments.job {
        Job::Show { id, form } => return show::tell(&site.instance.queue_dir(), id, form, out),
        Job::Hold(targets) => (Verb::Hold, targets),
        Job::Release(targets) => (Verb::Release, targets),
        Job::Requeue(targets) => (Verb::Requeue, targets),
        Job::Delete(targets) => (Verb::Delete, targets),
        Job::Expire(targets) => (Verb::Expire, targets),
        Job::Flush(targets) => (Verb::Flush, targets),
    };
    change::run(&site, verb, targets, out)
}

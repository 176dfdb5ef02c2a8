//! msg-queue: looks into messages of the queue.

mod show;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use clap::{CommandFactory, Parser, Subcommand};
use mail_queue::QueueId;

use crate::site::{Site, run_tool};

#[derive(Parser)]
#[command(name = "msg-queue", version, about = "Shows and changes messages of the queue")]
struct Arguments {
    /// The instance; else CONFIGROOT names its config folder
    #[arg(long, global = true)]
    instance: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Show a message: what is known about it and its header, or one of the forms below
    Show {
        #[arg(value_name = "ID", value_parser = id)]
        id: QueueId,
        #[command(flatten)]
        form: show::Form,
    },
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
    match arguments.verb {
        Verb::Show { id, form } => show::tell(&site.instance.queue_dir(), &id, &form, out),
    }
}

fn id(text: &str) -> Result<QueueId, String> {
    QueueId::parse(text).ok_or_else(|| "an id looks like GPM7U00A.1B2".into())
}

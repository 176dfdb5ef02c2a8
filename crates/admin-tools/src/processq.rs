//! processq: has a running smtpd try the queue now, all of it or that of some domains.
//!
//! // NMS: the original's tool asks the running server, and fails when there is none; what it prints is not known. It is
//! `msg-queue flush` with that difference.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use clap::{CommandFactory, Parser};
use mail_queue::Verb;

use crate::msg_queue::change::{self, Targets};
use crate::selection::Selection;
use crate::site::{Site, run_tool};

#[derive(Parser)]
#[command(name = "processq", version, about = "Has smtpd try what is queued now")]
struct Arguments {
    /// The instance; else CONFIGROOT names its config folder
    #[arg(long)]
    instance: Option<PathBuf>,
    /// Only what waits for these domains; * stands for any text
    domains: Vec<String>,
}

/// The command line, for the generated documents.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the tool; the result is the exit code: 1 when smtpd does not run.
pub fn run(arguments: impl IntoIterator<Item = OsString>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    run_tool("processq", arguments, out, err, |arguments: Arguments, out, _| {
        let site = Site::open(arguments.instance.as_deref(), "processq")?;
        site.act_as_server()?;
        if !change::smtpd_runs(&site)? {
            return Err("smtpd does not run".into());
        }
        let selection = Selection { domain: arguments.domains, ..Selection::default() };
        change::run(&site, Verb::Flush, &Targets::of(selection), out)
    })
}

//! mailq: what is in the queue, with smtpd running or not (S76).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser};
use mail_queue::{Envelope, State};

use crate::site::{Site, broken, run_tool};

/// Folders below `deferred` at most.
const DEPTH_MAX: usize = 8;

#[derive(Parser)]
#[command(name = "mailq", version, about = "Counts what is queued, by domain, or lists it")]
struct Arguments {
    /// The instance; else CONFIGROOT names its config folder
    #[arg(long)]
    instance: Option<PathBuf>,
    /// List every message with its recipients
    #[arg(short, long)]
    list: bool,
    /// All that is known about these messages
    #[arg(short, long, num_args = 1.., value_name = "ID")]
    detail: Vec<String>,
}

/// The command line, for the generated documents.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the tool; the result is the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    run_tool("mailq", arguments, out, err, work)
}

/// An envelope file, read without changing anything.
struct Queued {
    path: PathBuf,
    envelope: Result<Envelope, String>,
}

fn work(arguments: Arguments, out: &mut dyn Write, _: &mut dyn Write) -> Result<(), String> {
    let site = Site::open(arguments.instance.as_deref(), "mailq")?;
    let queue = site.instance.queue_dir();
    let mut all = Vec::new();
    collect(&queue.join("control"), 0, &mut all)?;
    collect(&queue.join("deferred"), 0, &mut all)?;
    all.sort_by(|one, other| one.path.file_name().cmp(&other.path.file_name()));
    if !arguments.detail.is_empty() {
        return detail(&arguments.detail, &all, out);
    }
    if arguments.list { list(&all, out) } else { summary(&queue, &all, out) }
}

fn collect(folder: &Path, depth: usize, all: &mut Vec<Queued>) -> Result<(), String> {
    let entries = match fs::read_dir(folder) {
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(|why| format!("{}: {why}", folder.display()))?,
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() && depth < DEPTH_MAX {
            collect(&path, depth + 1, all)?;
        } else if entry.file_name().to_string_lossy().starts_with("env-") {
            // One that cannot be read was delivered while we looked.
            if let Ok(bytes) = fs::read(&path) {
                let envelope = Envelope::decode(&bytes).map_err(|why| why.to_string());
                all.push(Queued { path, envelope });
            }
        }
    }
    Ok(())
}

/// Envelopes for each domain of recipients that wait.
fn summary(queue: &Path, all: &[Queued], out: &mut dyn Write) -> Result<(), String> {
    let mut domains: BTreeMap<&str, usize> = BTreeMap::new();
    let mut damaged = 0;
    for queued in all {
        match &queued.envelope {
            Ok(envelope) => {
                let mut of_this: Vec<&str> = envelope
                    .recipients
                    .iter()
                    .filter(|recipient| recipient.state == State::Pending)
                    .map(|recipient| recipient.address.rsplit_once('@').map_or("", |(_, domain)| domain))
                    .collect();
                of_this.sort_unstable();
                of_this.dedup();
                for domain in of_this {
                    *domains.entry(domain).or_default() += 1;
                }
            }
            Err(_) => damaged += 1,
        }
    }
    if all.is_empty() {
        writeln!(out, "Mail queue is empty.").map_err(broken)?;
    } else {
        writeln!(out, "  Queued Destination\n  ------ -----------").map_err(broken)?;
    }
    for (domain, count) in &domains {
        writeln!(out, "{count:>8} {domain}").map_err(broken)?;
    }
    if damaged > 0 {
        writeln!(out, "{damaged:>8} damaged, to be set aside by smtpd").map_err(broken)?;
    }
    let lost = fs::read_dir(queue.join("lost+found")).map_or(0, |entries| entries.count());
    if lost > 0 {
        writeln!(out, "{lost:>8} files in queue/lost+found").map_err(broken)?;
    }
    Ok(())
}

fn list(all: &[Queued], out: &mut dyn Write) -> Result<(), String> {
    for queued in all {
        let name = queued.path.file_name().unwrap_or_default().to_string_lossy();
        match &queued.envelope {
            Err(why) => writeln!(out, "{name}: {why}").map_err(broken)?,
            Ok(envelope) => {
                let sender = base::escape(envelope.sender.as_deref().unwrap_or(""));
                let age = base::clock::unix_seconds().saturating_sub(envelope.arrived());
                let (id, size) = (&envelope.id, envelope.message_size);
                writeln!(out, "{id} {size:>9} bytes {age:>7} s  <{sender}>").map_err(broken)?;
                for recipient in envelope.recipients.iter().filter(|one| one.state != State::Done) {
                    writeln!(out, "    <{}>  {}", base::escape(&recipient.address), state(&recipient.state))
                        .map_err(broken)?;
                }
                if !envelope.last_error.is_empty() {
                    writeln!(out, "    ({})", base::escape(&envelope.last_error)).map_err(broken)?;
                }
            }
        }
    }
    writeln!(out, "{} in the queue", all.len()).map_err(broken)
}

fn state(state: &State) -> String {
    match state {
        State::Pending => "waiting".into(),
        State::Done => "delivered".into(),
        State::Failed { status, text } => format!("failed {status} {}", base::escape(text)),
        State::Reported => "failed, reported".into(),
    }
}

/// S74: the attributes of a control file.
fn detail(ids: &[String], all: &[Queued], out: &mut dyn Write) -> Result<(), String> {
    for id in ids {
        let name = format!("env-{id}");
        let queued = all
            .iter()
            .find(|queued| queued.path.file_name().is_some_and(|file| file.to_string_lossy() == name))
            .ok_or_else(|| format!("{id} is not in the queue"))?;
        let envelope = queued.envelope.as_ref().map_err(|why| format!("{id}: {why}"))?;
        writeln!(out, "{}", queued.path.display()).map_err(broken)?;
        writeln!(
            out,
            "  sender <{}> from {}\n  arrived {} s ago, {} bytes, {} attempts, next in {} s",
            base::escape(envelope.sender.as_deref().unwrap_or("")),
            base::escape(&envelope.host_from),
            base::clock::unix_seconds().saturating_sub(envelope.arrived()),
            envelope.message_size,
            envelope.attempts,
            envelope.next_attempt.saturating_sub(base::clock::unix_seconds()).max(0)
        )
        .map_err(broken)?;
        for recipient in &envelope.recipients {
            writeln!(out, "  <{}> {}", base::escape(&recipient.address), state(&recipient.state))
                .map_err(broken)?;
        }
        if !envelope.last_error.is_empty() {
            writeln!(out, "  last: {}", base::escape(&envelope.last_error)).map_err(broken)?;
        }
    }
    Ok(())
}

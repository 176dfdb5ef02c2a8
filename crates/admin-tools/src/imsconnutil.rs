//! imsconnutil: who uses the mailboxes (original.md 3; NMS: the later product's option letters).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser};
use message_store::last_access::{self, SERVICES, Times};
use server_config::parameters::local;

use crate::site::{Site, broken, run_tool};

/// Bytes of a file of uids.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Columns of a moment, and what stands for none.
const MOMENT_COLUMNS: usize = 20;
const NEVER: &str = "-";

#[derive(Parser)]
#[command(
    name = "imsconnutil",
    version,
    about = "Tells when users last logged in or out, by IMAP, POP and HTTP, if local.enablelastaccess is on"
)]
struct Arguments {
    /// The instance; else CONFIGROOT names its config folder
    #[arg(long)]
    instance: Option<PathBuf>,
    /// A line for each user: the uid, and when the last access was, exact to the minute; - is never
    #[arg(short = 'a', long = "last-access", required = true)]
    last_access: bool,
    /// Only this user; may be given several times
    #[arg(short, long = "user", value_name = "UID")]
    users: Vec<String>,
    /// Only the users in this file, one uid a line
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Only this service
    #[arg(short, long, value_name = "SERVICE", value_parser = SERVICES)]
    service: Option<String>,
    /// An object a line: uid, and seconds since 1970 of each service
    #[arg(long)]
    json: bool,
}

/// The command line, for the generated documents.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the tool; the result is the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    run_tool("imsconnutil", arguments, out, err, work)
}

fn work(arguments: Arguments, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), String> {
    let site = Site::open(arguments.instance.as_deref(), "imsconnutil")?;
    let mut wanted = arguments.users.clone();
    if let Some(file) = &arguments.file {
        wanted.extend(uids(file)?); // who asks may read it, which the server's user perhaps may not
    }
    site.act_as_server()?;
    let is_picked = !arguments.users.is_empty() || arguments.file.is_some();
    let root = site.instance.last_access_dir();
    let told = |why: std::io::Error| format!("{}: {why}", root.display());
    let mut found: BTreeMap<String, Times> = if is_picked {
        let with_times = |uid: String| {
            let times = last_access::of_user(&root, &uid);
            (uid, times)
        };
        wanted.into_iter().map(with_times).collect()
    } else {
        last_access::of_all(&root).map_err(told)?
    };
    let columns: Vec<usize> = (0..SERVICES.len())
        .filter(|number| arguments.service.as_ref().is_none_or(|service| service == SERVICES[*number]))
        .collect();
    // Of all, those who were there; of some, what was asked.
    found.retain(|_, times| is_picked || columns.iter().any(|number| times[*number].is_some()));
    if !site.config.get(&local::LAST_ACCESS) {
        let _ =
            writeln!(err, "imsconnutil: local.enablelastaccess is off: nothing is added to what was kept");
    }
    if arguments.json {
        return found
            .iter()
            .try_for_each(|(uid, times)| writeln!(out, "{}", object(uid, times, &columns)).map_err(broken));
    }
    table(&found, &columns, out).map_err(broken)
}

/// One uid a line; empty lines are none.
fn uids(file: &Path) -> Result<Vec<String>, String> {
    let told = |why: std::io::Error| format!("{}: {why}", file.display());
    let mut text = String::new();
    let opened = fs::File::open(file).map_err(told)?;
    opened.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(told)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("{}: it is longer than {FILE_BYTES_MAX} bytes", file.display()));
    }
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// `2026-11-29T22:20:40Z            -                    alice`: the uid stands last, however long it is.
fn table(found: &BTreeMap<String, Times>, columns: &[usize], out: &mut dyn Write) -> std::io::Result<()> {
    let mut line = |cells: &[String], uid: &str| {
        let cells: String = cells.iter().map(|cell| format!("{cell:<MOMENT_COLUMNS$} ")).collect();
        writeln!(out, "{cells}{uid}")
    };
    let heads: Vec<String> = columns.iter().map(|number| SERVICES[*number].to_uppercase()).collect();
    line(&heads, "UID")?;
    for (uid, times) in found {
        let cells: Vec<String> =
            columns.iter().map(|number| times[*number].map_or(NEVER.to_owned(), moment)).collect();
        line(&cells, &base::escape(uid))?;
    }
    Ok(())
}

/// As in `2026-11-29T22:20:40Z`
fn moment(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap_or_default().to_string()
}

fn object(uid: &str, times: &Times, columns: &[usize]) -> String {
    let of_service = |number: &usize| {
        let seconds = times[*number].map_or("null".to_owned(), |seconds| seconds.to_string());
        format!(",\"{}\":{seconds}", SERVICES[*number])
    };
    let services: String = columns.iter().map(of_service).collect();
    format!("{{\"uid\":{}{services}}}", base::json::quote(uid))
}

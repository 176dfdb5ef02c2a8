//! `msg-queue show`: one message, for people or as it is.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

use clap::Args;
use mail_queue::{Envelope, EnvelopeError, Folder, QueueId, Survey};

use crate::mailq::tell_entry;
use crate::site::broken;

/// Bytes of a header shown at most; smtpd takes no longer ones.
const HEADER_BYTES_MAX: u64 = 1 << 20;

/// What is shown.
#[derive(Args)]
#[group(multiple = false)]
pub struct Form {
    /// The envelope file as it is
    #[arg(long)]
    envelope: bool,
    /// The message's header only
    #[arg(long)]
    headers: bool,
    /// The message as it is, byte by byte
    #[arg(long)]
    raw: bool,
}

pub fn tell(queue: &Path, id: &QueueId, form: &Form, out: &mut dyn Write) -> Result<(), String> {
    let folder = find(queue, id)?.ok_or_else(|| format!("{id} is not in the queue"))?;
    if form.envelope {
        let mut file = open(&folder.envelope_path(id), id)?;
        return io::copy(&mut file, out).map(drop).map_err(broken);
    }
    if form.raw {
        let mut file = open(&folder.message_path(id), id)?;
        return io::copy(&mut file, out).map(drop).map_err(broken);
    }
    if !form.headers {
        match read(&folder, id)? {
            Ok(envelope) => tell_entry(&folder, id, &envelope, out).map_err(broken)?,
            Err(why) => writeln!(out, "{}\n  {why}", folder.envelope_path(id).display()).map_err(broken)?,
        }
        writeln!(out).map_err(broken)?;
    }
    header(open(&folder.message_path(id), id)?, out).map_err(broken)
}

/// The folder that holds this entry.
fn find(queue: &Path, id: &QueueId) -> Result<Option<Folder>, String> {
    for folder in Survey::of(queue) {
        let folder = folder.map_err(|why| why.to_string())?;
        if folder.contains(id) {
            return Ok(Some(folder));
        }
    }
    Ok(None)
}

fn read(folder: &Folder, id: &QueueId) -> Result<Result<Envelope, EnvelopeError>, String> {
    let read = folder.read(id, &mut Vec::new()).map_err(|why| why.to_string())?;
    read.ok_or_else(|| format!("{id} has just left the queue"))
}

fn open(path: &Path, id: &QueueId) -> Result<File, String> {
    File::open(path).map_err(|why| match why.kind() {
        io::ErrorKind::NotFound => format!("{id} has just left the queue, or {} is lost", path.display()),
        _ => format!("{}: {why}", path.display()),
    })
}

/// The lines up to the empty one, harmless for a terminal.
fn header(file: File, out: &mut dyn Write) -> io::Result<()> {
    let mut lines = BufReader::new(file.take(HEADER_BYTES_MAX));
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            break;
        }
        let (tab, rest) = text.strip_prefix('\t').map_or(("", text), |rest| ("\t", rest));
        writeln!(out, "{tab}{}", base::escape(rest))?;
        line.clear();
    }
    Ok(())
}

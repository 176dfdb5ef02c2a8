//! upgrade: takes over the mailboxes of a 3.x store, file by file: a file is converted; with -r it is removed when that worked;
//! then comes the next (S194, guide L1067-1069). Where 3.x kept what inside its store is documented nowhere; a folder for each
//! user, folders in it, and a file for each message whose name begins with its number (`17.`, `17.msg`) are taken.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::Metadata;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{CommandFactory, Parser};
use message_store::{Mailbox, MailboxName, NewMessage, Store, StoreError, Wanted};

use crate::imsimport::beneath::Folder;
use crate::imsimport::taker::Taker;
use crate::site::{Site, broken, run_tool};

/// Folders inside folders at most.
const DEPTH_MAX: usize = 16;
/// Bytes in which the first line of a message must end.
const FIRST_LINE_MAX: usize = 8192;

#[derive(Parser)]
#[command(name = "upgrade", version, about = "Takes over the messages of a 3.x store, file by file")]
struct Arguments {
    /// The instance; else CONFIGROOT names its config folder
    #[arg(long)]
    instance: Option<PathBuf>,
    /// Remove each file when its message is here
    #[arg(short)]
    remove: bool,
    /// Also for users who are not in the directory
    #[arg(long)]
    force: bool,
    /// The folder that has a folder for each user
    store: PathBuf,
    /// Only these users
    users: Vec<String>,
}

/// The command line, for the generated documents.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the tool; the result is the exit code: 1 when a file could not be converted or removed.
pub fn run(arguments: impl IntoIterator<Item = OsString>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    run_tool("upgrade", arguments, out, err, work)
}

fn work(arguments: Arguments, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), String> {
    let site = Site::open(arguments.instance.as_deref(), "upgrade")?;
    match arguments.remove {
        true => server_config::server_user::become_it_and_remove(&site.config)?,
        false => server_config::server_user::become_it_and_read_all(&site.config)?,
    }
    let store = site.store()?;
    let told = |why: io::Error| format!("{}: {why}", arguments.store.display());
    let root = Folder::named(&arguments.store).map_err(told)?;
    let mut run =
        Run { store: &store, remove: arguments.remove, err, converted: 0, there: 0, removed: 0, failed: 0 };
    for uid in sorted(&root).map_err(told)? {
        let Ok(folder) = root.folder(&uid) else { continue };
        let Some(uid) = uid
            .to_str()
            .filter(|uid| arguments.users.is_empty() || arguments.users.iter().any(|one| one == uid))
        else {
            continue;
        };
        let known = match site.user(uid)? {
            Some(entry) => {
                Some((entry.uid.clone().unwrap_or_else(|| uid.to_owned()), entry.partition.clone()))
            }
            None if arguments.force => Some((uid.to_owned(), None)),
            None => None,
        };
        match known {
            Some((uid, partition)) => {
                store.ensure_user_in(&uid, partition.as_deref()).map_err(|why| format!("{uid}: {why}"))?;
                run.folder(&folder, &arguments.store.join(&uid), &format!("user/{uid}"), 0)?;
            }
            None => {
                run.wrong(&format!("{}: there is no such user; nothing of it is touched", base::escape(uid)))?
            }
        }
    }
    let (converted, there, removed, failed) = (run.converted, run.there, run.removed, run.failed);
    writeln!(
        out,
        "{converted} files converted, {there} were here already, {removed} removed, {failed} errors"
    )
    .map_err(broken)?;
    match failed {
        0 => Ok(()),
        _ => Err("what is named above stays where it was".into()),
    }
}

/// Names in a folder: numbers by their value, then the rest.
fn sorted(folder: &Folder) -> io::Result<Vec<OsString>> {
    let mut names = folder.entries()?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    names.sort_by_key(|name| (number_of(name).unwrap_or(u32::MAX), name.clone()));
    Ok(names)
}

/// `17.`, `17.msg`, `17`
fn number_of(name: &OsStr) -> Option<u32> {
    let text = name.to_str()?;
    let digits = text.split_once('.').map_or(text, |(digits, _)| digits);
    digits.parse().ok().filter(|number| *number > 0 && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

struct Run<'a> {
    store: &'a Store,
    remove: bool,
    err: &'a mut dyn Write,
    converted: u64,
    there: u64,
    removed: u64,
    failed: u64,
}

/// A mailbox that files come into.
struct Target {
    mailbox: Arc<Mailbox>,
    /// How many messages of these bytes no file stands for yet.
    there: HashMap<[u8; 16], u32>,
}

/// Why a file is not converted.
enum Why {
    /// This one.
    File(String),
    /// Any other would not be, either.
    Store(StoreError),
}

impl Run<'_> {
    fn wrong(&mut self, text: &str) -> Result<(), String> {
        self.failed += 1;
        writeln!(self.err, "upgrade: {text}").map_err(broken)
    }

    fn folder(
        &mut self,
        folder: &Folder,
        path: &std::path::Path,
        name: &str,
        depth: usize,
    ) -> Result<(), String> {
        let label = |name: &OsStr| base::escape(&path.join(name).to_string_lossy());
        let names = match sorted(folder) {
            Ok(names) => names,
            Err(why) => return self.wrong(&format!("{}: {why}", base::escape(&path.to_string_lossy()))),
        };
        let mut target = None;
        for file in &names {
            if number_of(file).is_none() {
                continue;
            }
            if target.is_none() {
                target = Some(self.target(name)?);
            }
            let Some(target) = &mut target else { continue };
            match self.file(folder, file, target) {
                Ok(()) => {}
                Err(Why::File(why)) => self.wrong(&format!("{}: {why}", label(file)))?,
                Err(Why::Store(why)) => {
                    return Err(format!("{}: {why}; run it again when that is mended", label(file)));
                }
            }
        }
        for below in names.iter().filter(|name| number_of(name).is_none()) {
            let (Ok(inner), Some(level)) = (folder.folder(below), below.to_str()) else { continue };
            if depth < DEPTH_MAX {
                self.folder(&inner, &path.join(below), &format!("{name}/{level}"), depth + 1)?;
            }
        }
        Ok(())
    }

    fn target(&self, name: &str) -> Result<Target, String> {
        let told = |why: StoreError| format!("{}: {why}", base::escape(name));
        let name = MailboxName::parse(name).map_err(|why| format!("{}: {why}", base::escape(name)))?;
        match self.store.create(&name, None) {
            Ok(()) | Err(StoreError::AlreadyExists) => {}
            Err(why) => return Err(told(why)),
        }
        let mailbox = self.store.open_mailbox(&name).map_err(told)?;
        let reader = mailbox.reader().map_err(told)?;
        let mut there = HashMap::new();
        for slot in (0..reader.slots()).filter(|slot| !reader.record(*slot).is_expunged()) {
            if let Ok(cold) = reader.cold(slot) {
                *there.entry(cold.guid).or_insert(0) += 1;
            }
        }
        Ok(Target { mailbox, there })
    }

    /// Converts one file, and removes it when that is wanted and its message is durable.
    fn file(&mut self, folder: &Folder, name: &OsStr, target: &mut Target) -> Result<(), Why> {
        let told = |why: io::Error| Why::File(why.to_string());
        let before = folder.look(name).map_err(told)?;
        let mut taker = Taker::new(&target.mailbox);
        let read = read_message(folder, name, &mut taker);
        if let Some(why) = taker.broken.take() {
            return Err(Why::Store(why));
        }
        read.map_err(told)?;
        let taken = taker.taken.pop().ok_or_else(|| Why::File("it cannot be read".into()))?;
        let is_there = target.there.get_mut(&taken.guid).filter(|count| **count > 0);
        if let Some(count) = is_there {
            *count -= 1; // a run before this one brought it
            self.there += 1;
        } else {
            let internal_date_ns = before.mtime().saturating_mul(1_000_000_000);
            let new = NewMessage { internal_date_ns, ..NewMessage::default() };
            let wanted = Wanted { uid: number_of(name), guid: taken.guid };
            target.mailbox.restore_all(&[(taken.complete, new, wanted)], false).map_err(Why::Store)?;
            self.converted += 1;
        }
        if self.remove {
            let now = folder.look(name).map_err(told)?;
            if stamp(&now) != stamp(&before) {
                return Err(Why::File("it changed meanwhile, and is not removed".into()));
            }
            folder
                .remove(name)
                .map_err(|why| Why::File(format!("it is converted, but not removed: {why}")))?;
            self.removed += 1;
        }
        Ok(())
    }
}

fn stamp(meta: &Metadata) -> (u64, u64, i64, i64) {
    (meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec())
}

fn read_message(folder: &Folder, name: &OsStr, taker: &mut Taker<'_>) -> io::Result<()> {
    let mut file = folder.file(name)?;
    let mut piece = vec![0; 64 * 1024];
    taker.begin()?;
    let mut is_first = true;
    loop {
        let read = match file.read(&mut piece) {
            Err(why) if why.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        if is_first && !begins_a_message(&piece[..read]) {
            return Err(io::Error::other("it does not begin as a message does"));
        }
        is_first = false;
        if read == 0 {
            return taker.end(0);
        }
        taker.write_lines(&piece[..read])?;
    }
}

/// Whether there is a header field in the first line (RFC 5322 §2.2).
fn begins_a_message(bytes: &[u8]) -> bool {
    let line =
        bytes[..bytes.len().min(FIRST_LINE_MAX)].split(|byte| *byte == b'\n').next().unwrap_or_default();
    let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
    name.len() < line.len() && !name.is_empty() && name.iter().all(|byte| (33..=126).contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_message_and_what_number_it_has() {
        for (name, number) in [
            ("17.", Some(17)),
            ("17.msg", Some(17)),
            ("17", Some(17)),
            ("0.", None),
            ("+1.", None),
            ("cyrus.index", None),
        ] {
            assert_eq!(number_of(OsStr::new(name)), number, "{name}");
        }
        assert!(begins_a_message(b"Received: x\nSubject: y\n"));
        for bad in [&b""[..], b"\n", b"\0\0: x\n", b"no field\nSubject: x\n", b": x"] {
            assert!(!begins_a_message(bad), "{bad:?}");
        }
    }
}

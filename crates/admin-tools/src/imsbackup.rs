//! imsbackup: writes a store, a partition, a user, a folder or a message into a stream (original.md 3.11). The store may be in
//! use: each mailbox is taken as it is at one moment, and its messages never change.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{CommandFactory, Parser};
use message_store::{Acl, Flags, Listed, Mailbox, MailboxName, NewAnnotation, Record, Store, StoreError};

use crate::backup::Progress;
use crate::backup::item::{Begin, End, Item, MailboxItem, MessageItem, Reader, User, VERSION};
use crate::backup::selection::Selection;
use crate::backup::writer::StreamWriter;
use crate::site::{Site, broken};

/// Names of one page of the list.
const PAGE: usize = 1000;
/// Bytes of an entry's record of what its readers have seen; a thousand readers have some 100 KiB.
const SEEN_BYTES_MAX: usize = 2 << 20;
/// Files with several names that are remembered at most; further ones are written with each name.
const SHARED_MAX: usize = 1 << 20;

#[derive(Parser)]
#[command(name = "imsbackup", version, about = "Writes mailboxes into a backup stream, a tar archive")]
struct Arguments {
    /// The instance; else CONFIGROOT names its config folder
    #[arg(long)]
    instance: Option<PathBuf>,
    /// Where it goes: a file, a device, or - for standard output
    #[arg(short, value_name = "DEVICE")]
    file: PathBuf,
    /// Blocks of 512 bytes in one write
    #[arg(short, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=2048))]
    blocking: u16,
    /// Only messages that came into their mailbox since then (YYYYMMDD or YYYYMMDD:HHMMSS, local time)
    #[arg(short, value_name = "DATE")]
    date: Option<String>,
    /// A file of names, one a line
    #[arg(short, value_name = "FILE")]
    users: Option<PathBuf>,
    /// From so many links on, a message that is in several mailboxes is written once
    #[arg(short = 'm', value_name = "LINKS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(2..))]
    links: u64,
    /// Ignore links: write each message in full, in each mailbox
    #[arg(short = 'i')]
    ignore_links: bool,
    /// Name the mailboxes as they are written
    #[arg(short)]
    verbose: bool,
    /// What to write: / (all), /primary, /primary/user/joe, /primary/user/joe/Work, user/joe/Work/7.msg
    names: Vec<String>,
}

/// The command line, for the generated documents.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the tool; the result is the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    crate::site::run_tool("imsbackup", arguments, out, err, work)
}

fn work(arguments: Arguments, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), String> {
    let since = arguments.date.as_deref().map(seconds_of).transpose()?;
    let selections = selections(&arguments.names, arguments.users.as_deref())?;
    let site = Site::open(arguments.instance.as_deref(), "imsbackup")?;
    if arguments.file == Path::new("-") {
        let store = site.store()?;
        return back_up(&store, &arguments, &selections, since, out, err);
    }
    // Before the rights are given up: the backup is the administrator's. What it held is gone only when there is something
    // to be written instead.
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&arguments.file);
    let file = file.map_err(|why| format!("{}: {why}", arguments.file.display()))?;
    let store = site.store()?;
    if !has_any(&store, &selections)? {
        return Err(format!("nothing has this name; {} is as it was", arguments.file.display()));
    }
    let is_regular = file.metadata().is_ok_and(|meta| meta.is_file());
    if is_regular {
        file.set_len(0).map_err(|why| cannot_write(&why))?;
    }
    let mut device = &file;
    back_up(&store, &arguments, &selections, since, &mut device, err)?;
    if is_regular { file.sync_all().map_err(|why| cannot_write(&why)) } else { Ok(()) }
}

/// Pages of the mailboxes of the list among which what is selected is.
fn pages(
    store: &Store,
    selections: &[Selection],
    mut each: impl FnMut(&Listed) -> Result<bool, String>,
) -> Result<(), String> {
    // One selection: only its part of the list. Several: each mailbox once, whatever names it.
    let prefix = match selections {
        [only] => only.prefix().to_owned(),
        _ => String::new(),
    };
    let mut after: Option<MailboxName> = None;
    loop {
        let page = store.list(&prefix, after.as_ref(), PAGE).map_err(|why| why.to_string())?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.name.clone());
        for listed in page.iter().filter(|listed| listed.selectable) {
            let name = listed.name.as_str();
            let is_meant = selections.iter().any(|one| one.has_mailbox(&listed.partition, name));
            if is_meant && !each(listed)? {
                return Ok(());
            }
        }
    }
}

/// Whether there is a mailbox to be written.
fn has_any(store: &Store, selections: &[Selection]) -> Result<bool, String> {
    let mut found = false;
    pages(store, selections, |_| {
        found = true;
        Ok(false)
    })?;
    Ok(found)
}

/// What is named, by hand and in a file of names; at least something.
///
/// # Errors
/// The file cannot be read; nothing is named.
pub fn selections(names: &[String], file: Option<&Path>) -> Result<Vec<Selection>, String> {
    let mut all: Vec<Selection> = names.iter().map(|name| Selection::parse(name)).collect();
    if let Some(file) = file {
        let text = std::fs::read_to_string(file).map_err(|why| format!("{}: {why}", file.display()))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        all.extend(lines.map(|line| match line.contains('/') {
            true => Selection::parse(line),
            false => Selection::parse(&format!("user/{line}")),
        }));
    }
    if all.is_empty() {
        Err("name what is meant: / is everything, /primary/user/joe a user".into())
    } else {
        Ok(all)
    }
}

/// `YYYYMMDD` or `YYYYMMDD:HHMMSS` in seconds since 1970.
fn seconds_of(date: &str) -> Result<i64, String> {
    let with_time = if date.contains(':') { date.to_owned() } else { format!("{date}:000000") };
    let wrong = |_| format!("{}: not YYYYMMDD or YYYYMMDD:HHMMSS", base::escape(date));
    let civil = jiff::civil::DateTime::strptime("%Y%m%d:%H%M%S", &with_time).map_err(wrong)?;
    Ok(jiff::tz::TimeZone::system().to_timestamp(civil).map_err(wrong)?.as_second())
}

fn cannot_write(why: &io::Error) -> String {
    format!("the backup cannot be written and is not whole: {why}")
}

fn back_up<'a>(
    store: &'a Store,
    arguments: &'a Arguments,
    selections: &'a [Selection],
    since: Option<i64>,
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
) -> Result<(), String> {
    let record_bytes = usize::from(arguments.blocking) * 512;
    let device = BufWriter::with_capacity(record_bytes, out);
    let writer = StreamWriter::new(device, record_bytes).map_err(|why| cannot_write(&why))?;
    let links = if arguments.ignore_links { u64::MAX } else { arguments.links };
    let mut run = Run {
        store,
        writer,
        selections,
        since_ns: since.map(|seconds| seconds.saturating_mul(1_000_000_000)),
        links,
        shared: HashMap::new(),
        owner: None,
        verbose: arguments.verbose,
        progress: Progress::begin(),
        failed: 0,
        err,
    };
    let begin = Begin { version: VERSION, created: base::clock::unix_seconds(), since };
    run.writer.item(&Item::Begin(begin), None).map_err(|why| cannot_write(&why))?;
    run.all()?;
    let end = End { mailboxes: run.progress.mailboxes, messages: run.progress.messages };
    run.writer.item(&Item::End(end), None).map_err(|why| cannot_write(&why))?;
    run.finish()
}

/// A file that has several names.
struct SharedFile {
    /// Where its bytes are in the stream.
    path: String,
    guid: [u8; 16],
    /// Names that were not met yet.
    left: u64,
}

struct Run<'a> {
    store: &'a Store,
    writer: StreamWriter<BufWriter<&'a mut dyn Write>>,
    selections: &'a [Selection],
    since_ns: Option<i64>,
    links: u64,
    /// By device and inode.
    shared: HashMap<(u64, u64), SharedFile>,
    /// Whose mailboxes are being written.
    owner: Option<String>,
    verbose: bool,
    progress: Progress,
    failed: u64,
    err: &'a mut dyn Write,
}

impl Run<'_> {
    fn say(&mut self, text: &str) -> Result<(), String> {
        writeln!(self.err, "imsbackup: {text}").map_err(broken)
    }

    fn all(&mut self) -> Result<(), String> {
        let (store, selections) = (self.store, self.selections);
        pages(store, selections, |listed| self.one(listed).map(|()| true))?;
        match self.progress.mailboxes {
            0 => Err("nothing has this name; the backup is empty".into()),
            _ => Ok(()),
        }
    }

    fn one(&mut self, listed: &Listed) -> Result<(), String> {
        let opened = self.store.open_mailbox(&listed.name);
        let mailbox = match opened {
            Ok(mailbox) => mailbox,
            Err(StoreError::NotFound) => return Ok(()), // deleted meanwhile
            Err(why) => {
                self.failed += 1;
                return self.say(&format!("{}: {why}", listed.name));
            }
        };
        self.user_of(listed)?;
        if let Err(why) = self.mailbox(listed, &mailbox) {
            match why {
                Trouble::Store(StoreError::NotFound) => return Ok(()),
                Trouble::Store(why) => {
                    self.failed += 1;
                    return self.say(&format!("{}: {why}", listed.name));
                }
                Trouble::Stream(why) => return Err(cannot_write(&why)),
            }
        }
        if self.verbose {
            self.say(listed.name.as_str())?;
        }
        Ok(())
    }

    /// Once for each user of whom everything is wanted.
    fn user_of(&mut self, listed: &Listed) -> Result<(), String> {
        let Some(owner) = listed.name.owner() else { return Ok(()) };
        if self.owner.as_deref() == Some(owner)
            || !self.selections.iter().any(|one| one.has_user(&listed.partition, owner))
        {
            return Ok(());
        }
        self.owner = Some(owner.to_owned());
        let told = self.store.limits(owner).and_then(|limits| {
            Ok((limits, self.store.subscriptions(owner)?, self.store.user_annotations(owner)?))
        });
        match told {
            Ok((limits, subscriptions, annotations)) => {
                let user = User {
                    uid: owner.to_owned(),
                    partition: listed.partition.clone(),
                    bytes: limits.bytes,
                    messages: limits.messages,
                    subscriptions,
                    annotations: NewAnnotation::all_of(&annotations),
                };
                self.writer.item(&Item::User(user), None).map_err(|why| cannot_write(&why))
            }
            Err(why) => {
                self.failed += 1;
                self.say(&format!("{owner}: subscriptions, annotations and quota: {why}"))
            }
        }
    }

    /// Who has \Seen apart, those who were here lately first; who does not fit into the entry is told of.
    fn readers(&mut self, listed: &Listed, mailbox: &Arc<Mailbox>) -> Result<Vec<Reader>, Trouble> {
        let mut visitors = match mailbox.visitors() {
            Ok(visitors) => visitors,
            Err(why) => {
                self.complain(listed.name.as_str(), &format!("what its readers have seen: {why}"))?;
                Vec::new()
            }
        };
        visitors.sort_by_key(|visitor| std::cmp::Reverse(visitor.last));
        let (mut readers, mut bytes, mut left_out) = (Vec::new(), 0, 0);
        for visitor in visitors {
            match mailbox.seen_by(&visitor.uid).and_then(|by| by.table()) {
                Ok(table) if table.seen().is_empty() => {}
                Ok(table) => {
                    let reader = Reader { uid: visitor.uid, seen: table.seen().clone() };
                    let length = reader.line().len() + 1;
                    if reader.uid.chars().any(char::is_control) || bytes + length > SEEN_BYTES_MAX {
                        left_out += 1;
                        continue;
                    }
                    bytes += length;
                    readers.push(reader);
                }
                Err(why) => {
                    let text = format!("what {} has seen: {why}", base::escape(&visitor.uid));
                    self.complain(listed.name.as_str(), &text)?;
                }
            }
        }
        if left_out > 0 {
            let text = format!("there are too many readers; what {left_out} have seen is left out");
            self.complain(listed.name.as_str(), &text)?;
        }
        Ok(readers)
    }

    fn mailbox(&mut self, listed: &Listed, mailbox: &Arc<Mailbox>) -> Result<(), Trouble> {
        let status = mailbox.status()?; // before the records: the next UID is not too high
        let reader = mailbox.reader()?;
        let annotations = match mailbox.annotations() {
            Ok(annotations) => NewAnnotation::all_of(&annotations),
            Err(why) => {
                self.complain(listed.name.as_str(), &format!("annotations: {why}; see reconstruct"))?;
                Vec::new()
            }
        };
        let item = MailboxItem {
            name: listed.name.to_string(),
            partition: listed.partition.clone(),
            uid_validity: mailbox.uid_validity(),
            uid_next: status.uid_next,
            highest_modseq: status.highest_modseq,
            special_use: listed.special_use.map_or("", |special| special.attribute()).to_owned(),
            annotations,
            acl: match self.store.acl(&listed.name) {
                Ok(acl) => Some(acl),
                Err(why) => {
                    let text = format!("access control list: {why}; see reconstruct");
                    self.complain(listed.name.as_str(), &text)?;
                    Some(Acl::default()) // nobody is given what is not known
                }
            },
            seen: self.readers(listed, mailbox)?,
        };
        self.writer.item(&Item::Mailbox(item.clone()), None).map_err(Trouble::Stream)?;
        self.progress.mailboxes += 1;
        let keywords = mailbox.keywords();
        for slot in 0..reader.slots() {
            let record = reader.record(slot);
            if record.flags.contains(Flags::DAMAGED) {
                self.complain(&item.name, "a record does not verify; see reconstruct")?;
                continue;
            }
            let wanted = |one: &Selection| one.has_message(&item.partition, &item.name, record.uid);
            if record.is_expunged() || !self.selections.iter().any(wanted) {
                continue;
            }
            let cold = match reader.cold(slot) {
                Ok(cold) => cold,
                Err(why) => {
                    self.complain(&format!("{}: {}", item.name, record.uid), &why.to_string())?;
                    continue;
                }
            };
            if self.since_ns.is_some_and(|since| cold.save_date_ns < since) {
                continue;
            }
            let names = (0..64).filter(|bit| record.keywords >> bit & 1 == 1);
            let message = MessageItem {
                mailbox: item.name.clone(),
                partition: item.partition.clone(),
                uid_validity: item.uid_validity,
                uid: record.uid,
                guid: cold.guid,
                flags: record.flags & Flags::SYSTEM,
                keywords: names.filter_map(|bit: usize| keywords.get(bit).cloned()).collect(),
                internal_date_ns: cold.internal_date_ns,
                ..MessageItem::default()
            };
            self.message(mailbox, message, &reader.record(slot))?;
        }
        Ok(())
    }

    fn complain(&mut self, name: &str, why: &str) -> Result<(), Trouble> {
        self.failed += 1;
        self.say(&format!("{name}: {why}")).map_err(|why| Trouble::Stream(io::Error::other(why)))
    }

    fn message(&mut self, mailbox: &Mailbox, mut message: MessageItem, now: &Record) -> Result<(), Trouble> {
        let label = format!("{}: {}", message.mailbox, message.uid);
        let opened = match mailbox.open_message_of(message.uid, now.size) {
            Ok(opened) => opened,
            Err(StoreError::NotFound) if now.is_expunged() => return Ok(()),
            Err(why) => return self.complain(&label, &format!("its file: {why}")),
        };
        let meta = opened.file.metadata().map_err(StoreError::from)?;
        message.size = opened.size;
        message.links = meta.nlink();
        let key = (meta.dev(), meta.ino());
        if let Some(path) = self.met_before(key, &message) {
            message.by_reference = true;
            self.count(&message);
            return self.writer.item(&Item::Message(message), Some(&path)).map_err(Trouble::Stream);
        }
        let guid = guid_of(&opened.file).map_err(StoreError::from)?;
        if guid != message.guid {
            self.complain(&label, "its bytes are not those that were stored; they are written as they are")?;
            message.guid = guid;
        }
        if message.links >= self.links && self.shared.len() < SHARED_MAX {
            let path = Item::Message(message.clone()).path();
            self.shared.insert(key, SharedFile { path, guid, left: message.links - 1 });
        } else {
            message.links = 1; // nobody refers to it
        }
        self.count(&message);
        let size = message.size;
        self.writer.message(&Item::Message(message), size, &mut &*opened.file).map_err(Trouble::Stream)
    }

    /// Where the bytes of this very file are in the stream already.
    fn met_before(&mut self, key: (u64, u64), message: &MessageItem) -> Option<String> {
        let shared = self.shared.get_mut(&key).filter(|shared| shared.guid == message.guid)?;
        let path = shared.path.clone();
        shared.left = shared.left.saturating_sub(1);
        if shared.left == 0 {
            self.shared.remove(&key);
        }
        Some(path)
    }

    fn count(&mut self, message: &MessageItem) {
        self.progress.messages += 1;
        self.progress.bytes += message.size;
        if let Some(line) = self.progress.due() {
            let _ = self.say(&line);
        }
    }

    fn finish(mut self) -> Result<(), String> {
        let line = self.progress.line();
        let failed = self.failed;
        let written = self.writer.written();
        self.say(&format!("{line}; {:.1} MB written", written as f64 / 1e6))?;
        self.writer.finish().map_err(|why| cannot_write(&why))?;
        if failed > 0 {
            Err(format!("{failed} things could not be taken as they should; see above"))
        } else {
            Ok(())
        }
    }
}

enum Trouble {
    /// This mailbox.
    Store(StoreError),
    /// Everything.
    Stream(io::Error),
}

impl From<StoreError> for Trouble {
    fn from(why: StoreError) -> Trouble {
        Trouble::Store(why)
    }
}

/// The first 16 bytes of the SHA-256 of a file that does not change; it is left at its beginning.
fn guid_of(file: &File) -> io::Result<[u8; 16]> {
    use std::os::unix::fs::FileExt;
    let mut hash = openssl::sha::Sha256::new();
    let (mut piece, mut at) = (vec![0; 64 * 1024], 0);
    loop {
        let read = file.read_at(&mut piece, at)?;
        if read == 0 {
            break;
        }
        hash.update(&piece[..read]);
        at += read as u64;
    }
    let mut guid = [0; 16];
    guid.copy_from_slice(&hash.finish()[..16]);
    Ok(guid)
}

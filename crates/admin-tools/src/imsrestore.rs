//! imsrestore: brings back what imsbackup wrote: all of a stream, a user, a folder, a message; under another name if wanted
//! (original.md 3.11). What is there already is not doubled, so it can be run again, whatever ended it.

mod bring;
mod kept;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser};

use crate::backup::Progress;
use crate::backup::item::{End, Item, MessageItem, VERSION, flag_names};
use crate::backup::reader::{Found, StreamReader};
use crate::backup::selection::{Rename, Selection};
use crate::imsbackup::selections;
use crate::site::{Site, broken, run_tool};
use bring::{Bring, Outcome};
use kept::Kept;

#[derive(Parser)]
#[command(name = "imsrestore", version, about = "Brings mailboxes back from a backup stream")]
struct Arguments {
    /// The instance; else CONFIGROOT names its config folder
    #[arg(long)]
    instance: Option<PathBuf>,
    /// Where the stream is: a file, a device, or - for standard input
    #[arg(short, value_name = "DEVICE")]
    file: PathBuf,
    /// Blocks of 512 bytes in one read
    #[arg(short, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=2048))]
    blocking: u16,
    /// Only list what is in the stream
    #[arg(short = 't', conflicts_with_all = ["look", "verify"])]
    contents: bool,
    /// Only say what would be done
    #[arg(short = 'n', conflicts_with = "verify")]
    look: bool,
    /// Only verify: every entry and the bytes of every message
    #[arg(long)]
    verify: bool,
    /// Do not look at what is there already: every message comes in once more
    #[arg(short)]
    ignore: bool,
    /// Only as far as the quota goes; else messages come in beyond it
    #[arg(long)]
    within_quota: bool,
    /// Add this to the next UID of mailboxes that have their old UIDVALIDITY, for mail that came after the backup and is lost.
    /// Else: 100000 where the mailbox has given no UID away beyond the backup's; 0 with each but the last of several streams
    #[arg(long, value_name = "NUMBER")]
    uid_gap: Option<u32>,
    /// A file of lines OLD=NEW: users, or mailboxes with what is below them
    #[arg(short = 'm', value_name = "FILE")]
    names_changed: Option<PathBuf>,
    /// The name that what is meant gets (with one name)
    #[arg(long, value_name = "MAILBOX", conflicts_with = "names_changed")]
    to: Option<String>,
    /// A file of names, one a line
    #[arg(short, value_name = "FILE")]
    users: Option<PathBuf>,
    /// 0: only what is wrong; 1: each mailbox; 2: each message
    #[arg(short, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=2))]
    verbosity: u8,
    /// What is meant: / or nothing (all), /primary/user/joe, /primary/user/joe/Work, user/joe/Work/7.msg
    names: Vec<String>,
}

/// The command line, for the generated documents.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the tool; the result is the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    run_tool("imsrestore", arguments, out, err, work)
}

fn work(arguments: Arguments, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), String> {
    let wanted = match arguments.names.is_empty() && arguments.users.is_none() {
        true => vec![Selection::parse("/")],
        false => selections(&arguments.names, arguments.users.as_deref())?,
    };
    let renames = renames(&arguments, &wanted)?;
    // Before the rights are given up: the backup is the administrator's.
    let is_pipe = arguments.file == Path::new("-");
    let file = if is_pipe { None } else { Some(open(&arguments.file)?) };
    let seekable = file.as_ref().filter(|file| file.metadata().is_ok_and(|meta| meta.is_file()));
    let kept = match seekable {
        Some(file) => Kept::in_stream(file.try_clone().map_err(|why| why.to_string())?),
        None => Kept::spooled().map_err(|why| format!("a temporary file: {why}"))?,
    };
    let input: Box<dyn Read> = match file {
        Some(file) => Box::new(file),
        None => Box::new(io::stdin()),
    };
    let reader = StreamReader::new(BufReader::with_capacity(usize::from(arguments.blocking) * 512, input));
    let bring = match arguments.contents || arguments.verify {
        true => None,
        false => {
            let site = Site::open(arguments.instance.as_deref(), "imsrestore")?;
            Some(Bring::new(site.store()?, &arguments, renames))
        }
    };
    let progress = Progress::begin();
    let mut run =
        Run { arguments: &arguments, wanted, reader, kept, bring, progress, sums: Sums::default(), out, err };
    run.all()?;
    run.finish()
}

fn open(path: &Path) -> Result<File, String> {
    File::open(path).map_err(|why| format!("{}: {why}", path.display()))
}

fn renames(arguments: &Arguments, wanted: &[Selection]) -> Result<Vec<Rename>, String> {
    if let Some(new) = &arguments.to {
        return match wanted {
            [one] if !Rename::of(one, new).is_empty() => Ok(Rename::of(one, new)),
            _ => Err("--to takes one name of a user, a mailbox or a message".into()),
        };
    }
    let Some(path) = &arguments.names_changed else { return Ok(Vec::new()) };
    let text = std::fs::read_to_string(path).map_err(|why| format!("{}: {why}", path.display()))?;
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| {
            Rename::parse(line)
                .ok_or_else(|| format!("{}: not OLD=NEW: {}", path.display(), base::escape(line)))
        })
        .collect()
}

/// What came of the messages.
#[derive(Default)]
struct Sums {
    seen: End,
    restored: u64,
    new_uids: u64,
    there: u64,
    failed: u64,
    has_end: bool,
}

struct Run<'a> {
    arguments: &'a Arguments,
    wanted: Vec<Selection>,
    reader: StreamReader<BufReader<Box<dyn Read>>>,
    /// Bytes to which later entries may refer.
    kept: Kept,
    /// Nothing when the store is not touched.
    bring: Option<Bring<'a>>,
    progress: Progress,
    sums: Sums,
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
}

impl Run<'_> {
    fn wrong(&mut self, text: &str) -> Result<(), String> {
        self.sums.failed += 1;
        writeln!(self.err, "imsrestore: {text}").map_err(broken)
    }

    fn say(&mut self, verbosity: u8, text: &str) -> Result<(), String> {
        if self.arguments.verbosity < verbosity {
            return Ok(());
        }
        writeln!(self.out, "{text}").map_err(broken)
    }

    fn all(&mut self) -> Result<(), String> {
        let mut is_first = true;
        loop {
            let found = self.reader.next().map_err(|why| format!("the stream cannot be read: {why}"))?;
            match found {
                Found::Item(Item::Begin(begin)) if begin.version > VERSION => {
                    return Err(format!(
                        "the stream is of version {}, this imsrestore of {VERSION}",
                        begin.version
                    ));
                }
                Found::Item(Item::End(end)) => return self.end(end),
                Found::Item(item) => self.item(item)?,
                Found::Damage(what) if is_first => {
                    return Err(format!("this is no stream of imsbackup, or its beginning is lost: {what}"));
                }
                Found::Damage(what) => self.wrong(&format!("the stream is damaged: {what}"))?,
                Found::Cut if is_first => return Err("the stream is empty".into()),
                Found::Cut => return self.wrong("the stream is cut off: its end mark is missing"),
            }
            is_first = false;
        }
    }

    fn end(&mut self, end: End) -> Result<(), String> {
        self.sums.has_end = true;
        if end.messages == self.sums.seen.messages && end.mailboxes == self.sums.seen.mailboxes {
            return Ok(());
        }
        let (all, seen) = (end.messages, self.sums.seen.messages);
        self.wrong(&format!(
            "of {all} messages and {} mailboxes of the stream {seen} and {} were found",
            end.mailboxes, self.sums.seen.mailboxes
        ))
    }

    fn item(&mut self, item: Item) -> Result<(), String> {
        match item {
            Item::User(user) => {
                if !self.wanted.iter().any(|one| one.has_user(&user.partition, &user.uid)) {
                    return Ok(());
                }
                if self.arguments.contents {
                    return self.say(0, &format!("user {}", base::escape(&user.uid)));
                }
                if let Some(bring) = &mut self.bring {
                    bring.user(user);
                }
                Ok(())
            }
            Item::Mailbox(mailbox) => {
                self.sums.seen.mailboxes += 1;
                if !self.wanted.iter().any(|one| one.has_mailbox(&mailbox.partition, &mailbox.name)) {
                    return Ok(());
                }
                self.progress.mailboxes += 1;
                if self.arguments.contents {
                    return self.say(0, &format!("mailbox {}", base::escape(&mailbox.name)));
                }
                let Some(bring) = &mut self.bring else { return Ok(()) };
                let told = bring.mailbox(mailbox);
                self.take(told)
            }
            Item::Message(message) => self.message(message),
            Item::Begin(_) | Item::End(_) => Ok(()),
        }
    }

    fn message(&mut self, message: MessageItem) -> Result<(), String> {
        self.sums.seen.messages += 1;
        let is_wanted =
            self.wanted.iter().any(|one| one.has_message(&message.partition, &message.mailbox, message.uid));
        let name = format!("{}/{}.msg", message.mailbox, message.uid);
        if is_wanted {
            self.progress.messages += 1;
            self.progress.bytes += message.size;
        }
        if let Some(line) = self.progress.due() {
            writeln!(self.err, "imsrestore: {line}").map_err(broken)?;
        }
        if self.arguments.contents {
            if is_wanted {
                let line =
                    format!("{:>10} {} {}", message.size, base::escape(&name), flag_names(message.flags));
                self.say(0, line.trim_end())?;
            }
            return Ok(());
        }
        let is_writing = self.bring.is_some() && !self.arguments.look;
        if !is_wanted || !is_writing {
            self.pass(&message, &name)?;
        }
        if !is_wanted {
            return Ok(());
        }
        let Some(bring) = &mut self.bring else { return self.say(2, &base::escape(&name)) };
        let told = bring.message(message, &mut self.reader, &mut self.kept);
        self.take(told)
    }

    /// The bytes of a message that are not restored: verified, and kept when others may refer to them.
    fn pass(&mut self, message: &MessageItem, name: &str) -> Result<(), String> {
        let told = self.kept.pass(message, &mut self.reader).map_err(|why| format!("the stream: {why}"))?;
        told.map_or(Ok(()), |why| self.wrong(&format!("{}: {why}", base::escape(name))))
    }

    fn take(&mut self, told: Result<Vec<Outcome>, String>) -> Result<(), String> {
        for outcome in told? {
            match outcome {
                Outcome::Said(text) => self.say(1, &text)?,
                Outcome::Restored { name, uid, kept_uid } => {
                    self.sums.restored += 1;
                    self.sums.new_uids += u64::from(!kept_uid);
                    self.say(2, &format!("restored {} as {uid}", base::escape(&name)))?;
                }
                Outcome::WouldRestore(name) => {
                    self.sums.restored += 1;
                    self.say(2, &format!("would restore {}", base::escape(&name)))?;
                }
                Outcome::There(name) => {
                    self.sums.there += 1;
                    self.say(2, &format!("is there {}", base::escape(&name)))?;
                }
                Outcome::Failed(text) => self.wrong(&text)?,
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(), String> {
        if let Some(mut bring) = self.bring.take() {
            let told = bring.finish();
            self.take(told)?;
        }
        let sums = &self.sums;
        let text = match (self.arguments.contents, self.arguments.verify, self.arguments.look) {
            (true, ..) => format!("{} messages", self.progress.messages),
            (_, true, _) => format!("{}, {} errors", self.progress.line(), sums.failed),
            (.., true) => format!("{} messages would be restored, {} are there", sums.restored, sums.there),
            _ => format!(
                "{} messages restored ({} with new UIDs), {} were there, {} errors",
                sums.restored, sums.new_uids, sums.there, sums.failed
            ),
        };
        self.say(0, &text)?;
        let nothing = self.progress.mailboxes == 0 && self.progress.messages == 0;
        match self.sums.failed {
            0 if nothing => Err("nothing in the stream has this name".into()),
            0 => Ok(()),
            1 => Err("1 error; see above".into()),
            failed => Err(format!("{failed} errors; see above")),
        }
    }
}

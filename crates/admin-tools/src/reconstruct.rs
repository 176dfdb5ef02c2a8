//! reconstruct: mailboxes and the mailbox list made anew from the message files (original.md 3.5, S159 to S173).

mod orphans;
mod progress;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use clap::{CommandFactory, Parser};
use message_store::{Depth, Difference, MailboxName, Method, Reconstructed, Scope, Store, StoreError};

use crate::site::{Site, broken, count, run_tool};

const PAGE: usize = 1000;

#[derive(Parser)]
#[command(
    name = "reconstruct",
    version,
    about = "Makes mailboxes, or the mailbox list, anew from the message files"
)]
struct Arguments {
    /// The instance; else CONFIGROOT names its config folder
    #[arg(long)]
    instance: Option<PathBuf>,
    /// With everything below; without a mailbox, the whole store
    #[arg(short)]
    recursive: bool,
    /// The mailbox list: adds what is on disk, drops what is not
    #[arg(short, conflicts_with = "recursive")]
    mailbox_list: bool,
    /// What users have, for their quotas: counted anew, of everybody or of users that are named (as quotacheck -s)
    #[arg(short = 'q', conflicts_with_all = ["recursive", "mailbox_list", "look"])]
    quota: bool,
    /// Only compare records and files, and say what is not right
    #[arg(short = 'n', conflicts_with = "mailbox_list")]
    look: bool,
    /// Everything anew though it looks sound, each message being read: what was changed by hand is found
    #[arg(short, conflicts_with_all = ["mailbox_list", "quota", "look"])]
    force: bool,
    /// First bring back what was expunged and is not removed yet, as new messages
    #[arg(short = 'e', conflicts_with_all = ["mailbox_list", "quota", "look"])]
    expunged: bool,
    /// Do not believe the index: what it says comes from its second copy and the log
    #[arg(short = 'i', conflicts_with_all = ["mailbox_list", "quota", "look"])]
    index: bool,
    /// With -m: only this partition
    #[arg(short, requires = "mailbox_list", value_name = "PARTITION")]
    partition: Option<String>,
    /// With -m: only this user's mailboxes
    #[arg(short, requires = "mailbox_list", value_name = "USER")]
    user: Option<String>,
    /// Orphans: accounts with mailboxes that the directory does not have; each as the command that deletes it
    #[arg(short, conflicts_with_all = ["recursive", "mailbox_list", "quota", "look", "force", "expunged", "index", "mailboxes"])]
    orphans: bool,
    /// With -o: write the commands into this file, to be run by sh
    #[arg(short, requires = "orphans", value_name = "FILE")]
    delete_file: Option<PathBuf>,
    /// Mailboxes: user/joe/INBOX, user/joe/Work
    mailboxes: Vec<String>,
}

/// The command line, for the generated documents.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the tool; the result is the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    run_tool("reconstruct", arguments, out, err, work)
}

fn work(arguments: Arguments, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), String> {
    if arguments.orphans {
        return orphans::find(arguments.instance.as_deref(), arguments.delete_file.as_deref(), out);
    }
    if arguments.mailboxes.is_empty() && !arguments.recursive && !arguments.mailbox_list && !arguments.quota {
        return Err("name a mailbox, or give -r for the whole store, or -m for the mailbox list".into());
    }
    let store = Site::open(arguments.instance.as_deref(), "reconstruct")?.store()?;
    if arguments.quota {
        let users = arguments.mailboxes.iter().map(|name| name.trim_start_matches("user/").to_owned());
        return crate::quotacheck::all(&store, &users.collect::<Vec<String>>(), out);
    }
    if arguments.mailbox_list {
        let scope = Scope { partition: arguments.partition, user: arguments.user };
        return mailbox_list(&store, &scope, out);
    }
    let method = Method { without_index: arguments.index, every_message: arguments.force };
    let mut run = Run { look: arguments.look, expunged: arguments.expunged, method, ..Run::new(&store) };
    if arguments.mailboxes.is_empty() {
        run.progress.mailboxes = run.count()?;
        run.below("", out, err)?;
    }
    for text in &arguments.mailboxes {
        let name = MailboxName::parse(text).map_err(|why| format!("{}: {why}", base::escape(text)))?;
        if arguments.recursive && !arguments.look {
            // Folders that somebody put there are taken up first (S184).
            let told = store.adopt_below(&name, |difference| {
                let _ = tell(difference, out);
            });
            told.map_err(|why| format!("{name}: {why}"))?;
        }
        run.one(&name, out, err)?;
        if arguments.recursive {
            let prefix = match name.owner().filter(|_| name.is_inbox()) {
                Some(owner) => format!("user/{owner}/"),
                None => format!("{name}/"),
            };
            run.below(&prefix, out, err)?;
        }
    }
    run.summary(out)
}

fn tell(difference: &Difference, out: &mut dyn Write) -> std::io::Result<()> {
    match difference {
        Difference::Added(name) => writeln!(out, "added {name}"),
        Difference::Removed(name) => writeln!(out, "removed {name}: its folder is gone"),
        Difference::Access(name) => writeln!(out, "rights {name}: as in its folder"),
    }
}

/// What became of a mailbox, and what of its files could not be trusted.
fn told(name: &MailboxName, done: &Reconstructed, out: &mut dyn Write) -> std::io::Result<()> {
    let changed = if done.changed > 0 { format!(", {} changed", done.changed) } else { String::new() };
    writeln!(
        out,
        "{name}: {} messages, {} without a record, {} lost{changed}",
        done.messages, done.added, done.lost
    )?;
    done.doubts.iter().try_for_each(|doubt| writeln!(out, "{name}: not trusted: {}", base::escape(doubt)))
}

fn mailbox_list(store: &Store, scope: &Scope, out: &mut dyn Write) -> Result<(), String> {
    let done = store
        .rebuild_list_of(scope, |difference| {
            let _ = tell(difference, out);
        })
        .map_err(|why| why.to_string())?;
    writeln!(
        out,
        "{} mailboxes on disk, {} added to the list, {} removed from it",
        done.found, done.added, done.without_folder
    )
    .map_err(broken)?;
    match done.away {
        0 => Ok(()),
        away => Err(format!(
            "{away} mailboxes stay in the list although they have no folder: there is nothing at all in their partition. Is it mounted? What is gone for good goes by mboxutil -d"
        )),
    }
}

struct Run<'s> {
    store: &'s Store,
    look: bool,
    expunged: bool,
    method: Method,
    progress: progress::Progress,
    mailboxes: usize,
    messages: usize,
    added: usize,
    lost: usize,
    failed: usize,
    done: std::collections::BTreeSet<String>,
}

impl<'s> Run<'s> {
    fn new(store: &'s Store) -> Run<'s> {
        Run {
            store,
            look: false,
            expunged: false,
            method: Method::default(),
            progress: progress::Progress::new(),
            mailboxes: 0,
            messages: 0,
            added: 0,
            lost: 0,
            failed: 0,
            done: std::collections::BTreeSet::new(),
        }
    }

    fn one(&mut self, name: &MailboxName, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), String> {
        if !self.done.insert(name.to_string()) {
            return Ok(());
        }
        self.mailboxes += 1;
        if self.look {
            return self.inspect(name, out);
        }
        match self.reconstruct(name, out, err) {
            Ok(done) => {
                self.messages += done.messages;
                self.added += done.added;
                self.lost += done.lost;
                self.progress.done(name, done.messages, err);
                told(name, &done, out).map_err(broken)
            }
            // S167: the list is authoritative.
            Err(StoreError::NotFound) => {
                let inbox = MailboxName::inbox(name.as_str()).ok().filter(|_| name.owner().is_none());
                match inbox.filter(|inbox| self.store.exists(inbox).unwrap_or(false)) {
                    Some(inbox) => Err(format!("{name} does not exist; did you mean {inbox}?")),
                    None => Err(format!("{name} does not exist (reconstruct -m adds what is on disk)")),
                }
            }
            Err(why) => Err(format!("{name}: {why}")),
        }
    }

    /// One mailbox; one that is sound is left as it is, unless more is asked for.
    fn reconstruct(
        &mut self,
        name: &MailboxName,
        out: &mut dyn Write,
        err: &mut dyn Write,
    ) -> Result<Reconstructed, StoreError> {
        if self.expunged {
            let back = self.store.open_mailbox(name)?.unexpunge()?;
            let _ = writeln!(out, "{name}: {} brought back", count(back, "expunged message"));
        }
        if self.method == Method::default() {
            let listed = self.store.listed(name)?.ok_or(StoreError::NotFound)?;
            let found = self.store.verify(&listed, Depth::Records, &mut |_| {})?;
            if let Some(found) = found.filter(|found| found.is_sound()) {
                self.store.mend_beside(name)?;
                let messages = usize::try_from(found.messages).unwrap_or(usize::MAX);
                return Ok(Reconstructed { messages, ..Reconstructed::default() });
            }
        }
        let progress = &mut self.progress;
        self.store.reconstruct_as(name, self.method, &mut |done, of| progress.tell(name, done, of, err))
    }

    /// How many mailboxes there are, for the time left.
    fn count(&self) -> Result<usize, String> {
        let (mut after, mut count) = (None, 0);
        loop {
            let page = self.store.list("", after.as_ref(), PAGE).map_err(|why| why.to_string())?;
            let Some(last) = page.last() else { return Ok(count) };
            count += page.iter().filter(|listed| listed.selectable).count();
            after = Some(last.name.clone());
        }
    }

    fn inspect(&mut self, name: &MailboxName, out: &mut dyn Write) -> Result<(), String> {
        let found = self.store.open_mailbox(name).and_then(|mailbox| mailbox.inspect());
        let found = found.map_err(|why| format!("{name}: {why}"))?;
        self.messages += found.messages;
        self.added += found.without_record;
        self.lost += found.without_file;
        if found.is_sound() {
            return writeln!(out, "{name}: {}", count(found.messages, "message")).map_err(broken);
        }
        self.failed += 1;
        writeln!(
            out,
            "{name}: {} right, {} damaged, {} without a record, {} without their file: reconstruct {name}",
            count(found.messages, "message"),
            found.damaged,
            found.without_record,
            found.without_file
        )
        .map_err(broken)
    }

    fn below(&mut self, prefix: &str, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), String> {
        let mut after: Option<MailboxName> = None;
        loop {
            let page = self.store.list(prefix, after.as_ref(), PAGE).map_err(|why| why.to_string())?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.name.clone());
            for listed in page.iter().filter(|listed| listed.selectable) {
                if let Err(why) = self.one(&listed.name, out, err) {
                    self.failed += 1; // the others still are
                    writeln!(err, "reconstruct: {why}").map_err(broken)?;
                }
            }
        }
    }

    fn summary(&self, out: &mut dyn Write) -> Result<(), String> {
        writeln!(
            out,
            "{}, {}, {} without a record, {} lost, {} failed in {:.1} s",
            if self.mailboxes == 1 {
                "1 mailbox".to_owned()
            } else {
                format!("{} mailboxes", self.mailboxes)
            },
            count(self.messages, "message"),
            self.added,
            self.lost,
            self.failed,
            self.progress.seconds()
        )
        .map_err(broken)?;
        if self.failed > 0 {
            let what = if self.look { "are not right" } else { "could not be reconstructed" };
            Err(format!("{} mailboxes {what}", self.failed))
        } else {
            Ok(())
        }
    }
}

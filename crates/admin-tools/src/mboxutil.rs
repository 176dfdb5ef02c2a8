//! mboxutil: lists, makes, deletes and renames mailboxes (original.md 3.4).

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser};
use message_store::{Listed, MailboxName, Store};
use server_log::Action;

use crate::audit::{self, Auditor};
use crate::quotacheck;
use crate::site::{Site, broken, run_tool};

/// Names of one page of the list.
const PAGE: usize = 1000;

#[derive(Parser)]
#[command(name = "mboxutil", version, about = "Lists, makes, deletes and renames mailboxes")]
#[command(group = clap::ArgGroup::new("job").required(true).args(["list", "create", "delete", "rename", "usage", "orphans"]))]
struct Arguments {
    /// The instance; else CONFIGROOT names its config folder
    #[arg(long)]
    instance: Option<PathBuf>,
    /// List mailboxes: messages, kilobytes, name
    #[arg(short)]
    list: bool,
    /// With -l and -d: an IMAP pattern (* any, % within a level)
    #[arg(short, value_name = "PATTERN")]
    pattern: Option<String>,
    /// With -l and -d: a regular expression that is somewhere in the name
    #[arg(short = 'P', value_name = "REGEX", conflicts_with = "pattern")]
    regex: Option<String>,
    /// With -c, -d and -r: a file with what is to be made, deleted or renamed, one a line; a tab between two names
    #[arg(short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// With -l: also the folder on disk, and who else may what
    #[arg(short = 'x')]
    paths: bool,
    /// With -l: names only
    #[arg(short = 's')]
    short: bool,
    /// Make a mailbox, in this partition if one is named: MAILBOX [PARTITION], or -f
    #[arg(short, num_args = 0..=2, value_names = ["MAILBOX", "PARTITION"])]
    create: Option<Vec<String>>,
    /// Delete a mailbox; a user's INBOX with everything below it; with -p or -P all that match, with -f those of a file
    #[arg(short, num_args = 0..=1, default_missing_value = "", value_name = "MAILBOX")]
    delete: Option<String>,
    /// Rename a mailbox and all below it; from one user's INBOX to another's name the account; or -f
    #[arg(short, num_args = 0..=2, value_names = ["OLD", "NEW"])]
    rename: Option<Vec<String>>,
    /// List the INBOX of each user who is not in the directory; -d -f deletes what is in such a list
    #[arg(short)]
    orphans: bool,
    /// With -o: write the list to this file
    #[arg(short, value_name = "FILE", requires = "orphans")]
    write: Option<PathBuf>,
    /// Show the quota and what is used of it, of one user or of all: KB allowed and used, percent, messages and their quota
    #[arg(short, num_args = 0..=1, default_missing_value = "", value_name = "USER")]
    usage: Option<String>,
    /// With -c and -r: also where no user can see it
    #[arg(long)]
    force: bool,
}

/// The command line, for the generated documents.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the tool; the result is the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    run_tool("mboxutil", arguments, out, err, work)
}

fn name(text: &str) -> Result<MailboxName, String> {
    MailboxName::parse(text).map_err(|why| format!("{}: {why}", base::escape(text)))
}

/// The name of a mailbox that is to be made: no wildcard in it, which no client could say (RFC 3501 §5.1); below `user/`
/// there is such a user, elsewhere it is a public folder whose name nobody takes for something else.
fn new_name(site: &Site, text: &str, force: bool) -> Result<MailboxName, String> {
    let mailbox = name(text)?;
    if text.contains(['*', '%']) {
        return Err(format!("{mailbox}: * and % are wildcards, and cannot be in the name of a mailbox"));
    }
    if force {
        return Ok(mailbox);
    }
    let Some(owner) = mailbox.owner() else {
        let first = mailbox.as_str().split('/').next().unwrap_or("");
        return match first {
            "User" | "user" | "Shared Folders" => Err(format!(
                "{mailbox}: clients could not say its name: public folders are Shared Folders/... there, those of users \
                 Shared Folders/User/... (--force makes it all the same)"
            )),
            _ if matches!(site.user(first), Ok(Some(_))) => Err(format!(
                "{mailbox}: did you mean user/{mailbox}? (--force makes the public folder all the same)"
            )),
            _ => Ok(mailbox),
        };
    };
    match site.user(owner) {
        Ok(Some(_)) => Ok(mailbox),
        Ok(None) => Err(format!("{mailbox}: there is no user {owner} (--force makes it all the same)")),
        Err(why) => Err(format!("{mailbox}: {why} (--force makes it all the same)")),
    }
}

fn work(arguments: Arguments, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), String> {
    let began_as = os::process::own_uid();
    let site = Site::open(arguments.instance.as_deref(), "mboxutil")?;
    // Before the rights are given up: files of names are the administrator's.
    let lines = arguments.file.as_deref().map(lines_of).transpose()?;
    let list = arguments.write.as_deref().map(private_file).transpose()?;
    let store = site.store()?;
    if let Some(uid) = &arguments.usage {
        return usage(&store, uid, out);
    }
    if arguments.orphans {
        return orphans(&site, &store, list, out);
    }
    let job = Job { site: &site, store: &store, force: arguments.force };
    let changes = arguments.create.is_some() || arguments.rename.is_some() || arguments.delete.is_some();
    let auditor = changes.then(|| Auditor::open(&site.instance, &site.config, "mboxutil", began_as));
    let mut done = |entry: audit::Entry, err: &mut dyn Write| {
        auditor.iter().for_each(|auditor| auditor.note(&entry, err));
    };
    match (&arguments.create, &arguments.rename, &arguments.delete) {
        (Some(words), ..) => each_job(words, lines, err, |words| job.create(words), &mut done),
        (_, Some(words), _) => each_job(words, lines, err, |words| job.rename(words), &mut done),
        (.., Some(mailbox)) => match (wanted(&arguments)?, mailbox.is_empty()) {
            (Some(wanted), true) => delete_matching(&store, &wanted, out, err, &mut done),
            (None, true) => each_job(&[], lines, err, |words| job.delete(words), &mut done),
            (None, false) => {
                let words = std::slice::from_ref(mailbox);
                each_job(words, lines, err, |words| job.delete(words), &mut done)
            }
            (Some(_), false) => Err("-d takes a mailbox, or -p PATTERN, -P REGEX or -f FILE".into()),
        },
        (None, None, None) => {
            if lines.is_some() {
                return Err("-f goes with -c, -d and -r".into());
            }
            if !arguments.short && std::io::IsTerminal::is_terminal(&std::io::stdout()) {
                writeln!(out, "{:>9} {:>9} mailbox", "messages", "KB").map_err(broken)?;
            }
            let wanted = wanted(&arguments)?;
            each(&store, wanted.as_ref(), |listed| show(&store, &arguments, listed, out))
        }
    }
}

/// Which names are meant.
enum Wanted {
    Pattern(String),
    Regex(regex_lite::Regex),
}

impl Wanted {
    fn has(&self, name: &MailboxName) -> bool {
        match self {
            Wanted::Pattern(pattern) => name.matches(pattern.strip_prefix('/').unwrap_or(pattern)),
            Wanted::Regex(regex) => regex.is_match(name.as_str()),
        }
    }
}

fn wanted(arguments: &Arguments) -> Result<Option<Wanted>, String> {
    match (&arguments.pattern, &arguments.regex) {
        (Some(pattern), _) => Ok(Some(Wanted::Pattern(pattern.clone()))),
        (None, Some(regex)) => regex_lite::Regex::new(regex)
            .map(|regex| Some(Wanted::Regex(regex)))
            .map_err(|why| format!("{}: {why}", base::escape(regex))),
        (None, None) => Ok(None),
    }
}

/// Lines of a file of names: one name, or two between which a tab stands.
fn lines_of(path: &Path) -> Result<Vec<Vec<String>>, String> {
    let text = std::fs::read_to_string(path).map_err(|why| format!("{}: {why}", path.display()))?;
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    Ok(lines.map(|line| line.split('\t').map(|word| word.trim().to_owned()).collect()).collect())
}

fn private_file(path: &Path) -> Result<File, String> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.map_err(|why| format!("{}: {why}", path.display()))
}

/// What the audit log is told of something that was done.
type Done<'d> = &'d mut dyn FnMut(audit::Entry, &mut dyn Write);

/// `mailbox` and what else there is to say of it, in the order of `docs/formats/audit.md`.
fn entry(result: &str, mailbox: &MailboxName, more: Option<(&'static str, String)>) -> audit::Entry {
    let mut fields = vec![("result", result.to_owned()), ("mailbox", mailbox.as_str().to_owned())];
    fields.extend(more);
    (Action::Mailbox, fields)
}

/// Does one thing, or one for each line of the file; what fails is said, and the rest is done.
fn each_job(
    words: &[String],
    lines: Option<Vec<Vec<String>>>,
    err: &mut dyn Write,
    does: impl Fn(&[String]) -> Result<audit::Entry, String>,
    done: Done<'_>,
) -> Result<(), String> {
    let lines = match (words.is_empty(), lines) {
        (false, None) => {
            done(does(words)?, err);
            return Ok(());
        }
        (true, Some(lines)) => lines,
        _ => return Err("name one mailbox, or a file with -f".into()),
    };
    let mut failed = 0;
    for line in &lines {
        match does(line) {
            Ok(entry) => done(entry, err),
            Err(why) => {
                failed += 1;
                writeln!(err, "mboxutil: {why}").map_err(broken)?;
            }
        }
    }
    if failed == 0 { Ok(()) } else { Err(format!("{failed} of {} lines failed", lines.len())) }
}

struct Job<'a> {
    site: &'a Site,
    store: &'a Store,
    force: bool,
}

impl Job<'_> {
    fn create(&self, words: &[String]) -> Result<audit::Entry, String> {
        let (mailbox, partition) = match words {
            [mailbox] => (mailbox, None),
            [mailbox, partition] => (mailbox, Some(partition)),
            _ => return Err("-c takes a mailbox, and perhaps a partition".into()),
        };
        let mailbox = new_name(self.site, mailbox, self.force)?;
        let made = match partition {
            Some(partition) => self.store.create_in(&mailbox, None, partition),
            None => self.store.create(&mailbox, None),
        };
        made.map_err(|why| format!("{mailbox}: {why}"))?;
        Ok(entry("created", &mailbox, partition.map(|partition| ("partition", partition.clone()))))
    }

    fn rename(&self, words: &[String]) -> Result<audit::Entry, String> {
        let [old, new] = words else { return Err("-r takes the old and the new name".into()) };
        let (old, new) = (name(old)?, new_name(self.site, new, self.force)?);
        self.store.rename(&old, &new).map_err(|why| format!("{old}: {why}"))?;
        Ok(entry("renamed", &old, Some(("to", new.as_str().to_owned()))))
    }

    fn delete(&self, words: &[String]) -> Result<audit::Entry, String> {
        let [mailbox] = words else { return Err("-d takes one mailbox".into()) };
        let mailbox = name(mailbox)?;
        self.store.delete(&mailbox).map_err(|why| format!("{mailbox}: {why}"))?;
        Ok(entry("deleted", &mailbox, None))
    }
}

fn delete_matching(
    store: &Store,
    wanted: &Wanted,
    out: &mut dyn Write,
    err: &mut dyn Write,
    done: Done<'_>,
) -> Result<(), String> {
    let mut matching: Vec<MailboxName> = Vec::new();
    each(store, Some(wanted), |listed| {
        matching.push(listed.name.clone());
        Ok(())
    })?;
    for mailbox in matching.iter().rev() {
        if store.exists(mailbox).unwrap_or(false) {
            store.delete(mailbox).map_err(|why| format!("{mailbox}: {why}"))?;
            done(entry("deleted", mailbox, None), err);
            writeln!(out, "deleted {mailbox}").map_err(broken)?;
        }
    }
    Ok(())
}

/// Nobody is an orphan because the directory cannot be asked: then nothing is listed.
fn orphans(site: &Site, store: &Store, file: Option<File>, out: &mut dyn Write) -> Result<(), String> {
    let mut found = String::new();
    quotacheck::each_user(store, |uid| {
        let entry = site.user(uid).map_err(|why| format!("{}: the directory: {why}", base::escape(uid)))?;
        if entry.is_none() {
            found.push_str(&format!("user/{uid}/INBOX\n"));
        }
        Ok(())
    })?;
    match file {
        Some(mut file) => file.write_all(found.as_bytes()).and_then(|()| file.sync_all()).map_err(broken),
        None => out.write_all(found.as_bytes()).map_err(broken),
    }
}

fn usage(store: &Store, uid: &str, out: &mut dyn Write) -> Result<(), String> {
    if std::io::IsTerminal::is_terminal(&std::io::stdout()) {
        writeln!(out, "{}", quotacheck::HEAD).map_err(broken)?;
    }
    let mut one = |uid: &str| {
        let quota = store.quota(uid).map_err(|why| format!("{}: {why}", base::escape(uid)))?;
        quotacheck::show(uid, &quota, out)
    };
    if uid.is_empty() {
        return quotacheck::each_user(store, one);
    }
    let inbox = MailboxName::inbox(uid).map_err(|why| format!("{}: {why}", base::escape(uid)))?;
    match store.exists(&inbox).map_err(|why| why.to_string())? {
        true => one(uid),
        false => Err(format!("{}: there is no {inbox}", base::escape(uid))),
    }
}

fn each(
    store: &Store,
    wanted: Option<&Wanted>,
    mut look: impl FnMut(&Listed) -> Result<(), String>,
) -> Result<(), String> {
    let mut after: Option<MailboxName> = None;
    loop {
        let page = store.list("", after.as_ref(), PAGE).map_err(|why| why.to_string())?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.name.clone());
        for listed in page.iter().filter(|listed| listed.selectable) {
            if wanted.is_none_or(|wanted| wanted.has(&listed.name)) {
                look(listed)?;
            }
        }
    }
}

fn show(store: &Store, arguments: &Arguments, listed: &Listed, out: &mut dyn Write) -> Result<(), String> {
    let shown = base::escape(listed.name.as_str());
    if arguments.short {
        return writeln!(out, "{shown}").map_err(broken);
    }
    let status = store.open_mailbox(&listed.name).and_then(|mailbox| mailbox.status());
    let folder = if arguments.paths { place_and_rights(store, &listed.name) } else { String::new() };
    match status {
        Ok(status) => {
            let kilobytes = status.size_bytes.div_ceil(1024);
            writeln!(out, "{:>9} {kilobytes:>9} {shown}{folder}", status.exists).map_err(broken)
        }
        Err(why) => writeln!(out, "{:>9} {:>9} {shown}{folder}  ({why})", "-", "-").map_err(broken),
    }
}

/// Where it is, and in brackets who else may what.
fn place_and_rights(store: &Store, name: &MailboxName) -> String {
    let mut text = store.folder_of(name).map(|path| format!("  {}", path.display())).unwrap_or_default();
    match store.acl(name) {
        Ok(acl) if acl.is_empty() => {}
        Ok(acl) => {
            let entries = acl.entries().map(|(who, rights)| format!("{} {rights}", base::escape(who)));
            text.push_str(&format!("  [{}]", entries.collect::<Vec<_>>().join(", ")));
        }
        Err(why) => text.push_str(&format!("  (access control list: {why})")),
    }
    text
}

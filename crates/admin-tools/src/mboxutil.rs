//! mboxutil: lists, makes, deletes and renames mailboxes (original.md 3.4).

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use clap::{CommandFactory, Parser};
use message_store::{Listed, MailboxName, Store};

use crate::quotacheck;
use crate::site::{Site, broken, run_tool};

/// Names of one page of the list.
const PAGE: usize = 1000;

#[derive(Parser)]
#[command(name = "mboxutil", version, about = "Lists, makes, deletes and renames mailboxes")]
#[command(group = clap::ArgGroup::new("job").required(true).args(["list", "create", "delete", "rename", "usage"]))]
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
    /// With -l: also the folder on disk
    #[arg(short = 'x')]
    paths: bool,
    /// With -l: names only
    #[arg(short = 's')]
    short: bool,
    /// Make a mailbox, in this partition if one is named: MAILBOX [PARTITION]
    #[arg(short, num_args = 1..=2, value_names = ["MAILBOX", "PARTITION"])]
    create: Vec<String>,
    /// Delete a mailbox; a user's INBOX with everything below it; with -p all that match
    #[arg(short, num_args = 0..=1, default_missing_value = "", value_name = "MAILBOX")]
    delete: Option<String>,
    /// Rename a mailbox and all below it
    #[arg(short, num_args = 2, value_names = ["OLD", "NEW"])]
    rename: Vec<String>,
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

fn work(arguments: Arguments, out: &mut dyn Write, _: &mut dyn Write) -> Result<(), String> {
    let site = Site::open(arguments.instance.as_deref(), "mboxutil")?;
    let store = site.store()?;
    if let Some(mailbox) = arguments.create.first() {
        let mailbox = new_name(&site, mailbox, arguments.force)?;
        let made = match arguments.create.get(1) {
            Some(partition) => store.create_in(&mailbox, None, partition),
            None => store.create(&mailbox, None),
        };
        return made.map_err(|why| format!("{mailbox}: {why}"));
    }
    if let [old, new] = arguments.rename.as_slice() {
        let (old, new) = (name(old)?, new_name(&site, new, arguments.force)?);
        return store.rename(&old, &new).map_err(|why| format!("{old}: {why}"));
    }
    if let Some(uid) = &arguments.usage {
        return usage(&store, uid, out);
    }
    match (&arguments.delete, &arguments.pattern) {
        (Some(mailbox), None) if !mailbox.is_empty() => {
            let mailbox = name(mailbox)?;
            store.delete(&mailbox).map_err(|why| format!("{mailbox}: {why}"))
        }
        (Some(mailbox), Some(pattern)) if mailbox.is_empty() => {
            let mut matching: Vec<MailboxName> = Vec::new();
            each(&store, Some(pattern), |listed| {
                matching.push(listed.name.clone());
                Ok(())
            })?;
            for mailbox in matching.iter().rev() {
                if store.exists(mailbox).unwrap_or(false) {
                    store.delete(mailbox).map_err(|why| format!("{mailbox}: {why}"))?;
                    writeln!(out, "deleted {mailbox}").map_err(broken)?;
                }
            }
            Ok(())
        }
        (Some(_), _) => Err("-d takes a mailbox, or -p PATTERN".into()),
        (None, pattern) => {
            if !arguments.short && std::io::IsTerminal::is_terminal(&std::io::stdout()) {
                writeln!(out, "{:>9} {:>9} mailbox", "messages", "KB").map_err(broken)?;
            }
            each(&store, pattern.as_deref(), |listed| show(&store, &arguments, listed, out))
        }
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
    pattern: Option<&str>,
    mut look: impl FnMut(&Listed) -> Result<(), String>,
) -> Result<(), String> {
    let pattern = pattern.map(|pattern| pattern.strip_prefix('/').unwrap_or(pattern));
    let mut after: Option<MailboxName> = None;
    loop {
        let page = store.list("", after.as_ref(), PAGE).map_err(|why| why.to_string())?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.name.clone());
        for listed in page.iter().filter(|listed| listed.selectable) {
            if pattern.is_none_or(|pattern| listed.name.matches(pattern)) {
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
    let folder = if arguments.paths {
        store.folder_of(&listed.name).map(|path| format!("  {}", path.display())).unwrap_or_default()
    } else {
        String::new()
    };
    match status {
        Ok(status) => {
            let kilobytes = status.size_bytes.div_ceil(1024);
            writeln!(out, "{:>9} {kilobytes:>9} {shown}{folder}", status.exists).map_err(broken)
        }
        Err(why) => writeln!(out, "{:>9} {:>9} {shown}{folder}  ({why})", "-", "-").map_err(broken),
    }
}

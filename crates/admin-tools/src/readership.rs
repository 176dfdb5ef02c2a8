//! readership: who reads shared folders, and who may (original.md 3.8).

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::{CommandFactory, Parser};
use message_store::{Acl, Listed, MailboxName, Rights, Store, StoreError};
use server_log::Action;

use crate::site::{Site, broken, count, run_tool};

/// Names of one page of the list.
const PAGE: usize = 1000;
const DAY: u64 = 86_400;
const MONTH: u64 = 30 * DAY;

#[derive(Parser)]
#[command(
    name = "readership",
    version,
    about = "Tells how many read each shared folder, sets who may, and forgets who reads no more"
)]
struct Arguments {
    /// The instance; else CONFIGROOT names its config folder
    #[arg(long)]
    instance: Option<PathBuf>,
    /// Who has selected a folder within so many days is a reader of it
    #[arg(short, value_name = "DAYS", default_value_t = 30)]
    days: u64,
    /// Forget what those have seen who have not selected a folder for so many months of 30 days
    #[arg(short, value_name = "MONTHS")]
    purge: Option<u64>,
    /// Also each reader, when last, and who may do what
    #[arg(short)]
    list: bool,
    /// Give somebody rights on a folder: lrs instead of what there is, +w beside it, -w without it, "" none. The identifier
    /// is a user, anyone, or group=ADDRESS; with - before it, rights are taken away
    #[arg(
        short,
        num_args = 3,
        value_names = ["FOLDER", "IDENTIFIER", "RIGHTS"],
        allow_hyphen_values = true,
        conflicts_with_all = ["purge", "list"]
    )]
    set: Vec<String>,
    /// Only these folders: News, user/joe/Work
    folders: Vec<String>,
}

/// The command line, for the generated documents.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the tool; the result is the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    run_tool("readership", arguments, out, err, work)
}

fn work(arguments: Arguments, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), String> {
    let began_as = os::process::own_uid();
    let site = Site::open(arguments.instance.as_deref(), "readership")?;
    let store = site.store()?;
    if let [folder, identifier, rights] = arguments.set.as_slice() {
        let line = set(&site, &store, &name(folder)?, identifier, rights, out)?;
        crate::audit::note(&site.instance, &site.config, "readership", began_as, &[line], err);
        return Ok(());
    }
    let now = SystemTime::now();
    let before =
        |seconds: u64| now.checked_sub(Duration::from_secs(seconds)).unwrap_or(SystemTime::UNIX_EPOCH);
    let report = Report {
        store: &store,
        since: before(arguments.days.saturating_mul(DAY)),
        purge: arguments.purge.map(|months| before(months.saturating_mul(MONTH))),
        list: arguments.list,
    };
    if !arguments.folders.is_empty() {
        return arguments.folders.iter().try_for_each(|folder| report.one(&name(folder)?, true, out));
    }
    let mut after: Option<MailboxName> = None;
    loop {
        let page = store.list("", after.as_ref(), PAGE).map_err(|why| why.to_string())?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.name.clone());
        for Listed { name, .. } in page.iter().filter(|listed| listed.selectable) {
            report.one(name, false, out)?;
        }
    }
}

fn name(text: &str) -> Result<MailboxName, String> {
    MailboxName::parse(text).map_err(|why| format!("{}: {why}", base::escape(text)))
}

struct Report<'s> {
    store: &'s Store,
    /// Who was here since then is a reader.
    since: SystemTime,
    /// Who was not here since then is forgotten.
    purge: Option<SystemTime>,
    list: bool,
}

impl Report<'_> {
    /// One line; nothing of a mailbox that is not shared and that nobody but its owner reads, unless it was asked for.
    fn one(&self, name: &MailboxName, is_asked_for: bool, out: &mut dyn Write) -> Result<(), String> {
        let told = |why: StoreError| format!("{name}: {why}");
        let acl = self.store.acl(name).map_err(told)?;
        let is_shared = name.owner().is_none() || !acl.is_empty();
        let mailbox = match self.store.open_mailbox(name) {
            Err(StoreError::NotFound) if !is_asked_for => return Ok(()), // deleted meanwhile
            other => other.map_err(told)?,
        };
        let visitors = mailbox.visitors().map_err(told)?;
        if !is_shared && visitors.is_empty() && !is_asked_for {
            return Ok(());
        }
        if let Some(before) = self.purge {
            let forgotten = mailbox.forget_visitors(before).map_err(told)?;
            return match forgotten {
                0 => Ok(()),
                some => writeln!(out, "{}: {} forgotten", shown(name), count(some, "reader")).map_err(broken),
            };
        }
        let status = mailbox.status().map_err(told)?;
        let readers = visitors.iter().filter(|visitor| visitor.last >= self.since).count();
        let kilobytes = status.size_bytes.div_ceil(1024);
        writeln!(out, "{readers:>9} {kilobytes:>9} {}", shown(name)).map_err(broken)?;
        if !self.list {
            return Ok(());
        }
        for visitor in visitors {
            let days = visitor.last.elapsed().map_or(0, |age| age.as_secs() / DAY);
            let uid = base::escape(&visitor.uid);
            writeln!(out, "          read by {uid}, {} ago", count(days as usize, "day")).map_err(broken)?;
        }
        for (identifier, rights) in acl.entries() {
            writeln!(out, "          {} {rights}", base::escape(identifier)).map_err(broken)?;
        }
        Ok(())
    }
}

fn shown(name: &MailboxName) -> String {
    base::escape(name.as_str())
}

fn set(
    site: &Site,
    store: &Store,
    name: &MailboxName,
    identifier: &str,
    rights: &str,
    out: &mut dyn Write,
) -> Result<crate::audit::Entry, String> {
    let letters = rights.strip_prefix(['+', '-']).unwrap_or(rights);
    let asked = Rights::parse(letters.as_bytes())
        .ok_or(format!("{}: the rights are l r s w i p k x t e a", base::escape(rights)))?;
    let directory =
        directory::open(&site.config, &site.instance, &site.log).map_err(|why| why.to_string())?;
    let known =
        directory::identifier::canonical(directory.as_ref(), identifier).map_err(|why| why.to_string())?;
    let takes = rights.starts_with('-') || letters.is_empty();
    let identifier = match known {
        Some(known) => known,
        None if takes => identifier.to_owned(), // of somebody who is not in the directory any more
        None => return Err(format!("{}: there is no such user or group", base::escape(identifier))),
    };
    if name.owner().is_some_and(|owner| identifier.trim_start_matches('-') == owner) {
        return Err(format!("{}: the owner has all rights", base::escape(&identifier)));
    }
    let becomes = |old: Rights| match rights.as_bytes().first() {
        Some(b'+') => old | asked,
        Some(b'-') => old & !asked,
        _ => asked,
    };
    let changed = store.change_acl(name, |acl: &mut Acl| {
        let rights = becomes(acl.of(&identifier));
        Ok(acl.set(&identifier, rights)?)
    });
    let acl = changed.map_err(|why| format!("{name}: {why}"))?;
    let (whom, now) = (base::escape(&identifier), acl.of(&identifier));
    writeln!(
        out,
        "{}: {whom} {}",
        shown(name),
        if now.is_empty() { "has none".into() } else { now.to_string() }
    )
    .map_err(broken)?;
    let fields =
        vec![("mailbox", name.as_str().to_owned()), ("identifier", identifier), ("rights", now.to_string())];
    Ok((Action::AccessControl, fields))
}

//! quotacheck: counts what users have, message by message's record, and says where something else was said
//! (original.md 3.7).

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use clap::{CommandFactory, Parser};
use message_store::{MailboxName, Quota, Store, StoreError};

use crate::site::{Site, broken, count, run_tool};

/// Names of one page of the list.
const PAGE: usize = 1000;

#[derive(Parser)]
#[command(
    name = "quotacheck",
    version,
    about = "Counts what users have, sets right what was counted wrong, and shows how full their quotas are"
)]
struct Arguments {
    /// The instance; else CONFIGROOT names its config folder
    #[arg(long)]
    instance: Option<PathBuf>,
    /// This user; may be given several times
    #[arg(short, value_name = "USER")]
    user: Vec<String>,
    /// Show only who uses so many percent of the quota, or more
    #[arg(short, value_name = "PERCENT")]
    percent: Option<u64>,
    /// Show nobody, only what was counted wrong and the sum
    #[arg(short = 's', conflicts_with = "percent")]
    summary: bool,
    /// Users; without any, everybody
    users: Vec<String>,
}

/// The command line, for the generated documents.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the tool; the result is the exit code: 1 when something was counted wrong.
pub fn run(arguments: impl IntoIterator<Item = OsString>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    run_tool("quotacheck", arguments, out, err, work)
}

#[derive(Default)]
struct Sum {
    users: usize,
    mailboxes: usize,
    mended: usize,
    differences: usize,
}

fn work(arguments: Arguments, out: &mut dyn Write, _: &mut dyn Write) -> Result<(), String> {
    let store = Site::open(arguments.instance.as_deref(), "quotacheck")?.store()?;
    if !arguments.summary && std::io::IsTerminal::is_terminal(&std::io::stdout()) {
        writeln!(out, "{HEAD}").map_err(broken)?;
    }
    let named = [arguments.user.as_slice(), &arguments.users].concat();
    let shown = Shown { percent: arguments.percent, nobody: arguments.summary };
    count_all(&store, &named, shown, out)
}

/// Who is shown.
#[derive(Clone, Copy)]
struct Shown {
    percent: Option<u64>,
    nobody: bool,
}

/// Counts these users, or everybody, and shows the sum: `reconstruct -q`.
///
/// # Errors
/// Something was counted wrong; it is right now.
pub fn all(store: &Store, users: &[String], out: &mut dyn Write) -> Result<(), String> {
    count_all(store, users, Shown { percent: None, nobody: true }, out)
}

fn count_all(store: &Store, named: &[String], shown: Shown, out: &mut dyn Write) -> Result<(), String> {
    let mut sum = Sum::default();
    if named.is_empty() {
        each_user(store, |uid| check(store, shown, uid, &mut sum, out))?;
    }
    for uid in named {
        let inbox = MailboxName::inbox(uid).map_err(|why| format!("{}: {why}", base::escape(uid)))?;
        if !store.exists(&inbox).map_err(|why| why.to_string())? {
            return Err(format!("{}: there is no {inbox}", base::escape(uid)));
        }
        check(store, shown, uid, &mut sum, out)?;
    }
    let (users, mailboxes) = (count(sum.users, "user"), count(sum.mailboxes, "mailbox").replace("xs", "xes"));
    let found = count(sum.differences, "difference");
    writeln!(out, "{users}, {mailboxes}, {} mended, {found}", sum.mended).map_err(broken)?;
    if sum.differences > 0 { Err(format!("{found}; set right")) } else { Ok(()) }
}

fn check(store: &Store, shown: Shown, uid: &str, sum: &mut Sum, out: &mut dyn Write) -> Result<(), String> {
    let told = |why: StoreError| format!("{}: {why}", base::escape(uid));
    let done = store.recount(uid).map_err(told)?;
    sum.users += 1;
    sum.mailboxes += done.mailboxes;
    sum.mended += done.mended;
    sum.differences += done.differences;
    if done.differences > 0 {
        let (said, counted) = (done.said, done.counted);
        let text = format!(
            "{}: {}: {} messages and {} bytes were counted, there are {} and {}",
            base::escape(uid),
            count(done.differences, "difference"),
            said.messages,
            said.bytes,
            counted.messages,
            counted.bytes
        );
        writeln!(out, "{text}").map_err(broken)?;
    }
    let quota = store.quota(uid).map_err(told)?;
    let is_shown = shown.percent.is_none_or(|least| quota.percent().is_some_and(|percent| percent >= least));
    if shown.nobody || !is_shown { Ok(()) } else { show(uid, &quota, out) }
}

/// Every user with an INBOX.
///
/// # Errors
/// The list cannot be read; what `look` says.
pub fn each_user(store: &Store, mut look: impl FnMut(&str) -> Result<(), String>) -> Result<(), String> {
    let mut after: Option<MailboxName> = None;
    loop {
        let page = store.list("user/", after.as_ref(), PAGE).map_err(|why| why.to_string())?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.name.clone());
        for listed in page.iter().filter(|listed| listed.selectable && listed.name.is_inbox()) {
            if let Some(uid) = listed.name.owner() {
                look(uid)?;
            }
        }
    }
}

/// The columns of [`show`].
pub const HEAD: &str = " quota KB   used KB    %  messages     quota  user";

/// One user's line.
///
/// # Errors
/// It cannot be written.
pub fn show(uid: &str, quota: &Quota, out: &mut dyn Write) -> Result<(), String> {
    let limit = |limit: Option<u64>| limit.map_or_else(|| "-".to_owned(), |limit| limit.to_string());
    let percent = quota.percent().map_or_else(|| "-".to_owned(), |percent| percent.to_string());
    let over = if quota.over_since != 0 && quota.limits.exceeded_by(quota.usage) {
        let hours = base::clock::unix_seconds().saturating_sub(quota.over_since) / 3600;
        format!("  (over its quota for {hours} hours)")
    } else {
        String::new()
    };
    writeln!(
        out,
        "{:>9} {:>9} {percent:>4} {:>9} {:>9}  {}{over}",
        limit(quota.limits.bytes.map(|bytes| bytes.div_ceil(1024))),
        quota.usage.bytes.div_ceil(1024),
        quota.usage.messages,
        limit(quota.limits.messages),
        base::escape(uid),
    )
    .map_err(broken)
}

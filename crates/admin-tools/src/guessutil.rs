//! guessutil: who guesses passwords and is slowed for it, on this host (`docs/formats/guesses.md`): list, allow, clear.
//!
//! What it says holds for all daemons at once, whether they run or not; none has to be told.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use base::json::quote;
use clap::{CommandFactory, Parser, Subcommand};
use directory::guesses::allowed::{Allowance, Allowed, Favoured, LINES_MAX};
use directory::guesses::{self, Counted, Guesses, Limits};
use directory::{Entry, Found, by_login};

use crate::site::{Site, broken, count, run_tool};

const DAY_SECONDS: i64 = 86_400;

#[derive(Parser)]
#[command(name = "guessutil", version, about = "Who guesses passwords, and is slowed for it")]
struct Arguments {
    /// The instance; else CONFIGROOT names its config folder
    #[arg(long, global = true)]
    instance: Option<PathBuf>,
    #[command(subcommand)]
    job: Job,
}

#[derive(Subcommand)]
enum Job {
    /// Who is slowed: address, network, typed name, account over all its names, or account where it is known; wrong
    /// passwords, until when, the next turn; or until when it is allowed
    List {
        /// Those too who had wrong passwords and are not slowed
        #[arg(long)]
        all: bool,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Never slows log-ins from a network, or to an account that is in the directory, until its end
    Allow {
        /// As 192.0.2.0/24, 2001:db8::/32 or joe
        #[arg(required = true)]
        whom: Vec<String>,
        /// Days until it ends; given again, they count from now
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(i64).range(1..=3650))]
        days: i64,
    },
    /// Ends that before its time
    Disallow {
        #[arg(required = true)]
        whom: Vec<String>,
    },
    /// Which networks and accounts are never slowed, and until when
    Allowed,
    /// Forgets the wrong passwords of an address and its network, or those for an account and all its names
    Clear {
        /// As 192.0.2.7, 2001:db8::1 or joe
        #[arg(required_unless_present = "all")]
        whom: Vec<String>,
        /// Everybody's
        #[arg(long, conflicts_with = "whom")]
        all: bool,
    },
}

/// The command line, for the generated documents.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the tool; the result is the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    run_tool("guessutil", arguments, out, err, work)
}

fn work(arguments: Arguments, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), String> {
    let site = Site::open(arguments.instance.as_deref(), "guessutil")?;
    site.act_as_server()?;
    let run_dir = site.instance.run_dir();
    let guesses = Guesses::of_daemons(Limits::from_config(&site.config), &run_dir)?;
    match arguments.job {
        Job::List { all, json } => {
            let allowed = Allowed::read(&Guesses::allowed_file(&run_dir)).map_err(broken)?;
            let allowed = with_all_names(&site, allowed, err);
            list(&guesses, &allowed, all, json, out)
        }
        Job::Allow { whom, days } => {
            let meant = meant(&site, &whom, err);
            if let Some(nobody) = meant.iter().find(|one| one.is_nobody) {
                let name = base::escape(&nobody.names[0]);
                return Err(format!(
                    "{name}: neither a network, such as 192.0.2.0/24, nor a user or an address"
                ));
            }
            let whom = parsed(meant.iter().map(|one| &one.names[0]))?;
            if let Some(wide) = whom.iter().find(|whom| whom.is_too_wide()) {
                return Err(format!(
                    "{wide}: nothing is allowed that is larger than a /8, or a /16 of IPv6: it would end the guard against \
                     guessing for nearly everybody. Name the networks that are yours; to switch the guard off for all, set \
                     service.guessspacemax to 0 and restart"
                ));
            }
            let until = base::clock::unix_seconds().saturating_add(days.saturating_mul(DAY_SECONDS));
            guesses.change_allowed(&run_dir, |list| allow(list, whom, until))
        }
        Job::Disallow { whom } => {
            let meant = meant(&site, &whom, err);
            let names: Result<Vec<_>, String> = meant.iter().map(|one| parsed(&one.names)).collect();
            let names = names?;
            guesses.change_allowed(&run_dir, |list| disallow(list, &names))
        }
        Job::Allowed => {
            let now = base::clock::unix_seconds();
            let list = Allowed::read(&Guesses::allowed_file(&run_dir)).map_err(broken)?;
            list.lines.iter().filter(|line| line.until > now).try_for_each(|line| {
                writeln!(out, "{} until {}", line.whom, second(line.until)).map_err(broken)
            })
        }
        Job::Clear { whom, all } => {
            let cleared = match all {
                true => guesses.clear_all(),
                false => {
                    let meant = meant(&site, &whom, err);
                    meant.iter().flat_map(|one| &one.names).map(|name| guesses.clear(name)).sum()
                }
            };
            if cleared == 0 && !all {
                return Err(format!("nothing is counted of {}", base::escape(&whom.join(", "))));
            }
            writeln!(out, "forgot {}", count(cleared, "count")).map_err(broken)
        }
    }
}

/// One of those whom a command names.
struct Meant {
    /// Never empty. Of a user the uid first, in lower case, and then whatever else of the user's may be typed: guesses are
    /// counted by the user and by the name that was typed.
    names: Vec<String>,
    /// The directory was asked, and has no such user.
    is_nobody: bool,
}

/// Who is meant: users by any of their names, each once.
fn meant(site: &Site, whom: &[String], err: &mut dyn Write) -> Vec<Meant> {
    let is_account = |name: &String| {
        matches!(Favoured::parse(name), Ok(Favoured::Account(_))) && name.parse::<std::net::IpAddr>().is_err()
    };
    let mut directory = None;
    if whom.iter().any(is_account) {
        match directory::open(&site.config, &site.instance, &site.log) {
            Ok(opened) => directory = Some(opened),
            Err(why) => told(err, &why),
        }
    }
    let mut all: Vec<Meant> = Vec::new();
    for name in whom {
        let (mut names, mut is_nobody) = (vec![name.to_lowercase()], false);
        if let Some(directory) = directory.as_ref().filter(|_| is_account(name)) {
            match by_login(directory.as_ref(), name) {
                Ok(Found::One(entry)) => names = names_of(&entry),
                Ok(Found::Nobody) => is_nobody = true,
                Ok(Found::Several(_)) => {}
                Err(why) => told(err, &why),
            }
        }
        if !all.iter().any(|one| one.names == names) {
            all.push(Meant { names, is_nobody });
        }
    }
    all
}

fn told(err: &mut dyn Write, why: &directory::DirectoryError) {
    let _ = writeln!(err, "guessutil: {why}; other names of the same users are left as they are");
}

fn names_of(entry: &Entry) -> Vec<String> {
    let addresses = entry.alternate.iter().filter(|address| !address.starts_with('@'));
    let mut names: Vec<String> = Vec::new();
    for name in entry.uid.iter().chain([&entry.mail]).chain(addresses).map(|name| name.to_lowercase()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn parsed<'n>(whom: impl IntoIterator<Item = &'n String>) -> Result<Vec<Favoured>, String> {
    whom.into_iter().map(|whom| Favoured::parse(whom)).collect()
}

fn allow(list: &mut Allowed, whom: Vec<Favoured>, until: i64) -> Result<(), String> {
    list.lines.retain(|line| !whom.contains(&line.whom));
    list.lines.extend(whom.into_iter().map(|whom| Allowance { whom, until }));
    if list.lines.len() > LINES_MAX {
        return Err(format!("more than {LINES_MAX} are allowed: end some, or name larger networks"));
    }
    Ok(())
}

/// Ends it for each of these, by all names.
fn disallow(list: &mut Allowed, each: &[Vec<Favoured>]) -> Result<(), String> {
    for names in each {
        if !list.lines.iter().any(|line| names.contains(&line.whom)) {
            let whom = names.first().map(ToString::to_string).unwrap_or_default();
            return Err(format!("{}: is not allowed anyway", base::escape(&whom)));
        }
    }
    list.lines.retain(|line| !each.iter().flatten().any(|whom| *whom == line.whom));
    Ok(())
}

/// The same list, with a line for each name of the users in it: what is counted for a typed name does not say whose it is.
fn with_all_names(site: &Site, mut allowed: Allowed, err: &mut dyn Write) -> Allowed {
    let account = |line: &Allowance| match &line.whom {
        Favoured::Account(account) => Some((account.clone(), line.until)),
        Favoured::Network(_) => None,
    };
    let accounts: Vec<(String, i64)> = allowed.lines.iter().filter_map(account).collect();
    let names: Vec<String> = accounts.iter().map(|(account, _)| account.clone()).collect();
    for user in meant(site, &names, err) {
        let until =
            accounts.iter().filter(|(account, _)| user.names.contains(account)).map(|(_, until)| *until);
        let Some(until) = until.max() else { continue };
        let line = |name| Allowance { whom: Favoured::Account(name), until };
        allowed.lines.extend(user.names.into_iter().map(line));
    }
    allowed
}

fn list(
    guesses: &Guesses,
    allowed: &Allowed,
    all: bool,
    as_json: bool,
    out: &mut dyn Write,
) -> Result<(), String> {
    let counted = guesses.counted(guesses::now());
    let now = base::clock::unix_seconds();
    for one in counted.iter().filter(|one| all || one.slowed_until.is_some()) {
        let allowed_until = one.allowed_until(allowed, now);
        let line = if as_json { object(one, allowed_until) } else { line(one, allowed_until) };
        writeln!(out, "{line}").map_err(broken)?;
    }
    Ok(())
}

/// Milliseconds since 1970 as people and programs read them (RFC 3339, whole seconds).
fn moment(millis: i64) -> String {
    jiff::Timestamp::from_second(millis.div_euclid(1000)).unwrap_or_default().to_string()
}

fn signed(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}

/// A time of the list of who is allowed, which is in seconds.
fn second(seconds: i64) -> String {
    moment(seconds.saturating_mul(1000))
}

/// `network 192.0.2.0/24 61 of 50 slowed until 2026-11-29T22:20:40Z next turn 2026-11-29T21:50:11Z`
fn line(one: &Counted, allowed_until: Option<i64>) -> String {
    let (kind, who) = (one.kind.word(), base::escape(&one.shown()));
    let begin = format!("{kind} {who} {} of {}", one.wrong, one.max);
    match (allowed_until, one.slowed_until) {
        (Some(until), _) => format!("{begin} not slowed, allowed until {}", second(until)),
        (None, Some(until)) => {
            format!("{begin} slowed until {} next turn {}", moment(signed(until)), moment(signed(one.next)))
        }
        (None, None) => format!("{begin} remembered until {}", moment(signed(one.remembered_until))),
    }
}

fn object(one: &Counted, allowed_until: Option<i64>) -> String {
    let time = |millis: u64| quote(&moment(signed(millis)));
    let state = match (allowed_until, one.slowed_until) {
        (Some(until), _) => format!(",\"allowedUntil\":{}", quote(&second(until))),
        (None, Some(until)) => {
            format!(",\"slowedUntil\":{},\"nextTurn\":{}", time(until), time(one.next))
        }
        (None, None) => String::new(),
    };
    let (kind, who, remembered) = (quote(one.kind.word()), quote(&one.shown()), time(one.remembered_until));
    let (wrong, max) = (one.wrong, one.max);
    format!(
        "{{\"kind\":{kind},\"who\":{who},\"wrong\":{wrong},\"limit\":{max},\"rememberedUntil\":{remembered}{state}}}"
    )
}

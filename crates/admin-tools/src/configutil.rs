//! configutil: lists, reads, sets, explains and checks parameters.

use crate::central::Central;
use clap::{CommandFactory, Parser, Subcommand};
use directory::ldap::configuration::Scale;
use server_config::central::may_come;
use server_config::config::{canonical, quote};
use server_config::{Config, ConfigError, Instance, edit};
use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

#[derive(Parser)]
#[command(
    name = "configutil",
    version,
    disable_version_flag = true,
    about = "Lists, reads and sets parameters",
    after_help = "Without arguments: what is set. `configutil explain` lists all parameters there are, `configutil explain maxsessions` those with that in their names."
)]
struct Arguments {
    /// The instance; else CONFIGROOT names its config folder
    #[arg(long)]
    instance: Option<PathBuf>,
    /// The parameter to print or set
    #[arg(short, value_name = "NAME")]
    option: Option<String>,
    /// The value to set; "" clears
    #[arg(short, requires = "option", allow_hyphen_values = true)]
    value: Option<String>,
    /// List what begins with this
    #[arg(short)]
    prefix: Option<String>,
    /// Also list empty values
    #[arg(short)]
    empty: bool,
    /// Only the local file, where there is a configuration directory
    #[arg(short)]
    local: bool,
    /// Set it for all servers of the configuration directory (local.ldapconfigdn), not for this one
    #[arg(long, conflicts_with_all = ["local", "file"])]
    shared: bool,
    /// Mark what a refresh re-reads
    #[arg(short)]
    mark: bool,
    /// Set name=value lines from this file; - is standard input
    #[arg(short, num_args = 0..=1, default_missing_value = "-", value_name = "FILE")]
    input: Option<PathBuf>,
    /// Another configuration file
    #[arg(short)]
    file: Option<PathBuf>,
    /// Print the version
    #[arg(short = 'V', long, action = clap::ArgAction::Version)]
    version: Option<bool>,
    #[command(subcommand)]
    job: Option<Job>,
}

#[derive(Subcommand)]
enum Job {
    /// Say all that is known about one parameter; list those whose names hold this, or all
    Explain {
        /// A name, or a part of one
        #[arg(default_value = "")]
        name: String,
    },
    /// Check every value that is set, the directory file and the certificate; with -f that file alone
    Check,
    /// Check the rules of the UBE filter (config/filter.cfg), and say which of them fire on a message
    Filter(crate::filter::Asked),
    /// List what differs from the default
    Diff,
    /// Write the reference, the man pages and the completions to a folder
    #[command(hide = true)]
    Docs { folder: PathBuf },
}

/// The note of when a configuration utility last ran; listed only when it is asked for.
const LAST_FETCH: &str = "local.lastconfigfetch";

/// Runs the tool; the result is the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(stop) => return say(&hinted(stop), out, err),
    };
    finish(work(&arguments, out, err), "configutil", err)
}

/// `configutil NAME` and `configutil set NAME VALUE` are what one tries first.
fn hinted(mut stop: clap::Error) -> clap::Error {
    use clap::error::{ContextKind, ContextValue, ErrorKind};
    if matches!(stop.kind(), ErrorKind::InvalidSubcommand | ErrorKind::UnknownArgument) {
        let hint = "a value is read with `configutil -o NAME`, set with `configutil -o NAME -v VALUE`";
        stop.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![hint.into()]));
    }
    stop
}

pub(crate) fn say(stop: &clap::Error, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let _ = if stop.use_stderr() { write!(err, "{stop}") } else { write!(out, "{stop}") };
    if stop.use_stderr() { 2 } else { 0 }
}

pub(crate) fn finish(done: Result<(), String>, tool: &str, err: &mut dyn Write) -> u8 {
    match done {
        Ok(()) => 0,
        Err(why) => {
            for line in why.lines() {
                let _ = writeln!(err, "{tool}: {line}");
            }
            1
        }
    }
}

/// The command line, for the generated documents.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// All that is known about one parameter.
fn explain(entry: &dyn server_config::Entry) -> String {
    let default = if entry.default().is_empty() { "unset".to_owned() } else { quote(entry.default()) };
    let lowest = if entry.raises() { "; a lower value counts as the lowest" } else { "" };
    format!(
        "{}\n  {}\n  default:      {default}\n  allowed:      {}{lowest}\n  takes effect: {}\n  read by:      {}\n  status:       {}\n",
        entry.name(),
        entry.about(),
        entry.allowed(),
        entry.effect(),
        entry.readers(),
        entry.status()
    )
}

fn told(why: &ConfigError) -> String {
    why.to_string()
}

pub(crate) fn file_of(instance: Option<&Path>) -> Result<PathBuf, String> {
    Ok(Instance::open(instance)?.local_conf())
}

/// Sets `changes` and notes when a configuration utility last ran.
pub(crate) fn set(path: &Path, mut changes: Vec<(String, String)>) -> Result<(), String> {
    changes.push((LAST_FETCH.into(), base::clock::unix_seconds().to_string()));
    edit::set(path, &changes).map_err(|why| told(&why))
}

/// What to do about a name that is no parameter's.
fn explain_several(part: &str, out: &mut dyn Write) -> Result<(), String> {
    let mut count = 0;
    for entry in server_config::containing(part) {
        writeln!(out, "{}  {}", entry.name(), entry.about()).map_err(|why| why.to_string())?;
        count += 1;
    }
    if count > 0 {
        return Ok(());
    }
    let near = match server_config::near(part).as_slice() {
        [] => String::new(),
        names => format!("; did you mean {}?", names.join(" or ")),
    };
    Err(format!("{part}: no such parameter{near}"))
}

/// What one who has set values must know beside "OK SET"; on standard error, for programs read the other.
fn notices(place: &Place, before: &Config, changes: &[(String, String)], err: &mut dyn Write) {
    let mut note = |text: String| {
        let _ = writeln!(err, "configutil: {text}");
    };
    let changed: Vec<_> = changes
        .iter()
        .filter_map(|(name, value)| Some((server_config::find(name)?, name, value)))
        .filter(|(_, name, value)| before.text(&canonical(name)).unwrap_or("") != value.as_str())
        .collect();
    for (entry, name, value) in &changed {
        let lowest = entry.range().0;
        if entry.raises() && value.trim().parse::<i64>().is_ok_and(|given| given < lowest) {
            note(format!("{name}: {value} counts as {lowest}, the lowest value there is"));
        }
        match entry.status() {
            server_config::Status::Ignored(_) | server_config::Status::NotYet(_) => {
                note(format!("{name}: {}", entry.status()));
            }
            _ if value.is_empty() => {
                let default = if entry.default().is_empty() { "unset" } else { entry.default() };
                note(format!("{name}: back to its default, {default}"));
            }
            _ => {}
        }
    }
    let (mut restart, mut refresh) = (Vec::new(), Vec::new());
    for (entry, name, _) in
        changed.iter().filter(|(entry, ..)| entry.status() == server_config::Status::Active)
    {
        let list = if entry.effect() == server_config::Effect::Restart { &mut restart } else { &mut refresh };
        list.push(name.as_str());
    }
    for (names, when) in
        [(refresh, "at a refresh: refresh-msg"), (restart, "at a restart: stop-msg, start-msg")]
    {
        match names.as_slice() {
            [] => {}
            [name] => note(format!("{name} takes effect {when}")),
            [.., _] => note(format!("{} of these take effect {when}", names.len())),
        }
    }
    if let Ok(config) = place.config() {
        let findings = crate::check::parameters(&config);
        findings.errors.into_iter().for_each(|why| note(format!("{}: {why}", place.path.display())));
        if changes.iter().any(|(name, _)| canonical(name).starts_with("service.acme.")) {
            let instance = place.path.parent().and_then(Path::parent).map(Instance::new);
            let errors = instance.map(|instance| acme::Settings::judge(&instance, &config).0);
            errors.into_iter().flatten().for_each(|why| note(format!("{}: {why}", place.path.display())));
        }
        if place.central.is_some() {
            overruled(&config, changes).into_iter().for_each(note);
        }
    }
}

/// What was set and does not count: the local file's, or this server's entry's, where the other wins.
pub(crate) fn overruled(config: &Config, changes: &[(String, String)]) -> Vec<String> {
    let other = |(name, value): &(String, String)| {
        let in_force = config.text(&canonical(name)).unwrap_or("");
        (!value.is_empty() && in_force != value.as_str()).then(|| {
            format!("{name}: {} stays in force, what is set nearer to this server or in the directory counts before it", quote(in_force))
        })
    };
    changes.iter().filter_map(other).collect()
}

fn check(arguments: &Arguments, config: &Config, out: &mut dyn Write) -> Result<(), String> {
    let findings = match arguments.file {
        Some(_) => crate::check::parameters(config),
        None => crate::check::whole(&Instance::open(arguments.instance.as_deref())?, config),
    };
    for warning in &findings.warnings {
        writeln!(out, "warning: {warning}").map_err(|why| why.to_string())?;
    }
    if findings.errors.is_empty() {
        return writeln!(out, "OK").map_err(|why| why.to_string());
    }
    Err(findings.errors.join("\n"))
}

fn work(arguments: &Arguments, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), String> {
    let broken = |why: std::io::Error| why.to_string();
    if let Some(Job::Explain { name }) = &arguments.job {
        return match server_config::find(name) {
            Some(entry) => write!(out, "{}", explain(entry)).map_err(broken),
            None => explain_several(name, out),
        };
    }
    if let Some(Job::Filter(asked)) = &arguments.job {
        return crate::filter::run(asked, arguments.instance.as_deref(), out);
    }
    if let Some(Job::Docs { folder }) = &arguments.job {
        return crate::docs::write_to(folder).map_err(|why| format!("{}: {why}", folder.display()));
    }
    let changes = changes(arguments)?;
    let place = Place::of(arguments, changes.as_deref(), err)?;
    if let Some(changes) = changes {
        return put(&place, changes, out, err);
    }
    let config = place.config()?;
    if let Some(Job::Check) = &arguments.job {
        return check(arguments, &config, out);
    }
    if arguments.job.is_none() {
        set(&place.path, Vec::new())?;
    }
    if let Some(name) = &arguments.option {
        let canonical = canonical(name);
        let known = server_config::find(&canonical);
        let value = config.text(&canonical).or_else(|| known.map(|entry| entry.default()));
        let unknown = || told(&ConfigError::Unknown(name.clone(), server_config::nearest(name)));
        return writeln!(out, "{}", value.ok_or_else(unknown)?).map_err(broken);
    }
    for (name, value) in config.iter() {
        let entry = server_config::find(name);
        if name == LAST_FETCH && arguments.prefix.as_ref().is_none_or(|prefix| prefix.is_empty()) {
            continue; // it notes that this run was, and nobody sets it
        }
        let same = arguments.job.is_some() && entry.is_some_and(|entry| entry.default() == value);
        let other = arguments.prefix.as_ref().is_some_and(|prefix| !name.starts_with(prefix.as_str()));
        if same || other || (value.is_empty() && !arguments.empty) {
            continue;
        }
        let restart = entry.is_none_or(|entry| entry.effect() == server_config::Effect::Restart);
        let mark = match (arguments.mark, restart) {
            (false, _) => "",
            (true, true) => " [NOT REFRESHABLE]",
            (true, false) => " [REFRESHABLE]",
        };
        writeln!(out, "{name} = {}{mark}", quote(value)).map_err(broken)?;
    }
    Ok(())
}

/// What is to be set, all of it admitted; nothing when it is a run that only reads.
fn changes(arguments: &Arguments) -> Result<Option<Vec<(String, String)>>, String> {
    if let Some(input) = &arguments.input {
        let mut text = String::new();
        if input == Path::new("-") {
            std::io::stdin().read_to_string(&mut text).map_err(|why| why.to_string())?;
        } else {
            text = std::fs::read_to_string(input).map_err(|why| format!("{}: {why}", input.display()))?;
        }
        return batch(&text).map(Some).map_err(|why| format!("{why}; nothing was set"));
    }
    let (Some(name), Some(value)) = (&arguments.option, &arguments.value) else { return Ok(None) };
    edit::admit(name, value).map_err(|why| told(&why))?;
    Ok(Some(vec![(name.clone(), value.clone())]))
}

/// The settings of a text, all of them admitted, else the line that is wrong.
fn batch(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut changes = Vec::new();
    for one in Config::lines(text) {
        let (line, name, value) = one.map_err(|why| told(&why))?;
        edit::admit(&name, &value).map_err(|why| format!("line {line}: {why}"))?;
        changes.push((name, value));
    }
    Ok(changes)
}

fn put(
    place: &Place,
    changes: Vec<(String, String)>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<(), String> {
    let before = place.config()?;
    // What is for all servers may be another value here.
    if place.scale == Scale::Own {
        crate::check::judge(&before, &changes)?;
    }
    place.put(&changes)?;
    writeln!(out, "OK SET").map_err(|why| why.to_string())?;
    notices(place, &before, &changes, err);
    crate::audit::configuration(&place.path, &changes, "configutil", err);
    Ok(())
}

/// Where a run reads and sets: a file, and the configuration directory if there is one and it was not left out.
struct Place {
    path: PathBuf,
    /// The directory with the instance that has its copy.
    central: Option<(Central, Instance)>,
    scale: Scale,
}

impl Place {
    fn of(
        arguments: &Arguments,
        changes: Option<&[(String, String)]>,
        err: &mut dyn Write,
    ) -> Result<Place, String> {
        let scale = if arguments.shared { Scale::Shared } else { Scale::Own };
        if let Some(path) = arguments.file.clone() {
            return Ok(Place { path, central: None, scale });
        }
        let instance = Instance::open(arguments.instance.as_deref())?;
        let path = instance.local_conf();
        if arguments.local {
            return Ok(Place { path, central: None, scale });
        }
        let central = Central::of(&instance).and_then(|central| {
            central.map_or(Ok(None), |central| central.renew("configutil", err).map(|()| Some(central)))
        });
        // How the directory is reached must be settable while it cannot be.
        let is_local = |changes: &[(String, String)]| {
            changes.iter().all(|(name, _)| !may_come(&canonical(name))) && !changes.is_empty()
        };
        let central = match central {
            Err(why) if changes.is_some_and(is_local) => {
                let _ = writeln!(err, "configutil: {why}");
                None
            }
            other => other?,
        };
        if central.is_none() && arguments.shared {
            return Err("there is no configuration directory: local.ldaphost is not set".into());
        }
        Ok(Place { path, central: central.map(|central| (central, instance)), scale })
    }

    /// What is in force, or what stands in the file, unchecked.
    fn config(&self) -> Result<Config, String> {
        let read = match &self.central {
            Some((_, instance)) => server_config::central::in_force(instance),
            None => Config::read(&self.path),
        };
        read.map_err(|why| told(&why))
    }

    /// The directory's first: if it refuses, nothing is set anywhere.
    fn put(&self, changes: &[(String, String)]) -> Result<(), String> {
        let Some((central, _)) = &self.central else { return set(&self.path, changes.to_vec()) };
        let is_theirs = |(name, _): &&(String, String)| may_come(&canonical(name));
        let (theirs, ours): (Vec<_>, Vec<_>) = changes.iter().partition(is_theirs);
        if self.scale == Scale::Shared
            && let Some((name, _)) = ours.first()
        {
            return Err(format!("{name} counts in the local file only; nothing was set"));
        }
        if !theirs.is_empty() {
            central.set(self.scale, &theirs.into_iter().cloned().collect::<Vec<_>>())?;
        }
        set(&self.path, ours.into_iter().cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(folder: &Path, rest: &[&str]) -> (u8, String) {
        let conf = folder.join("local.conf");
        let mut all = vec![OsString::from("configutil"), "-f".into(), conf.into()];
        all.extend(rest.iter().map(OsString::from));
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = run(all, &mut out, &mut err);
        if code != 0 {
            out.extend(err);
        }
        (code, String::from_utf8(out).unwrap())
    }

    #[test]
    fn the_relay_settings_are_accepted_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let modules = [
            ("smtp-deliver", "130"),
            ("smtp-accept", "140"),
            ("smtp-router", "50"),
            ("account-handler", "40"),
            ("error-handler", "3"),
            ("mailbox-deliver", "1"),
            ("unix-deliver", "1"),
            ("prog-deliver", "1"),
            ("autoreply-handler", "1"),
        ];
        let mut all: Vec<(String, &str)> =
            modules.iter().map(|(module, n)| (format!("service.smtp.{module}.minruncount"), *n)).collect();
        for name in
            ["service.http.enable", "service.imap.enable", "service.pop.enable", "service.ldapmemcache"]
        {
            all.push((name.into(), "no"));
        }
        all.push(("service.smtp.smtp-deliver.timeoutgreet".into(), "30"));
        all.push(("service.smtp.dnscachesize".into(), "-1"));
        for (name, value) in &all {
            assert_eq!(tool(folder.path(), &["-o", name, "-v", value]), (0, "OK SET\n".into()), "{name}");
            assert_eq!(tool(folder.path(), &["-o", name]), (0, format!("{value}\n")));
        }
        assert_eq!(tool(folder.path(), &["-o", "service.imap.enabel", "-v", "no"]).0, 1);
    }
}

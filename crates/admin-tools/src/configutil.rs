//! configutil: lists, reads, sets, explains and checks parameters.

use clap::{CommandFactory, Parser, Subcommand};
use server_config::config::quote;
use server_config::{Config, ConfigError, Instance, edit};
use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

#[derive(Parser)]
#[command(
    name = "configutil",
    version,
    disable_version_flag = true,
    about = "Lists, reads and sets parameters"
)]
struct Arguments {
    /// The instance; else CONFIGROOT names its config folder
    #[arg(long)]
    instance: Option<PathBuf>,
    /// The parameter to print or set
    #[arg(short)]
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
    /// Only the local file (there is no other)
    #[arg(short)]
    local: bool,
    /// Mark what a refresh re-reads
    #[arg(short)]
    mark: bool,
    /// Set name=value lines from this file; - is standard input
    #[arg(short, num_args = 0..=1, default_missing_value = "-")]
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
    /// Say all that is known about one parameter
    Explain { name: String },
    /// Check every value that is set
    Check,
    /// List what differs from the default
    Diff,
    /// Write the reference, the man pages and the completions to a folder
    #[command(hide = true)]
    Docs { folder: PathBuf },
}

/// Runs the tool; the result is the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(stop) => return say(&stop, out, err),
    };
    finish(work(&arguments, out), "configutil", err)
}

pub(crate) fn say(stop: &clap::Error, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let _ = if stop.use_stderr() { write!(err, "{stop}") } else { write!(out, "{stop}") };
    if stop.use_stderr() { 2 } else { 0 }
}

pub(crate) fn finish(done: Result<(), String>, tool: &str, err: &mut dyn Write) -> u8 {
    match done {
        Ok(()) => 0,
        Err(why) => {
            let _ = writeln!(err, "{tool}: {why}");
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
    let instance = Instance::find(instance).ok_or("name the instance with --instance DIR or CONFIGROOT")?;
    Ok(instance.local_conf())
}

/// Sets `changes` and notes when a configuration utility last ran.
pub(crate) fn set(path: &Path, mut changes: Vec<(String, String)>) -> Result<(), String> {
    changes.push(("local.lastconfigfetch".into(), base::clock::unix_seconds().to_string()));
    edit::set(path, &changes).map_err(|why| told(&why))
}

fn work(arguments: &Arguments, out: &mut dyn Write) -> Result<(), String> {
    let broken = |why: std::io::Error| why.to_string();
    if let Some(Job::Explain { name }) = &arguments.job {
        let near =
            || server_config::nearest(name).map_or(String::new(), |near| format!("; did you mean {near}?"));
        let entry =
            server_config::find(name).ok_or_else(|| format!("{name}: no such parameter{}", near()))?;
        return write!(out, "{}", explain(entry)).map_err(broken);
    }
    if let Some(Job::Docs { folder }) = &arguments.job {
        return crate::docs::write_to(folder).map_err(|why| format!("{}: {why}", folder.display()));
    }
    let path = arguments.file.clone().map_or_else(|| file_of(arguments.instance.as_deref()), Ok)?;
    if let Some(input) = &arguments.input {
        let mut text = String::new();
        if input == Path::new("-") {
            std::io::stdin().read_to_string(&mut text).map_err(broken)?;
        } else {
            text = std::fs::read_to_string(input).map_err(|why| format!("{}: {why}", input.display()))?;
        }
        let batch = Config::from_text(&text).map_err(|why| told(&why))?;
        let changes: Vec<_> = batch.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        for (name, value) in &changes {
            edit::admit(name, value).map_err(|why| told(&why))?;
        }
        set(&path, changes)?;
        return writeln!(out, "OK SET").map_err(broken);
    }
    if let (Some(name), Some(value)) = (&arguments.option, &arguments.value) {
        edit::admit(name, value).map_err(|why| told(&why))?;
        set(&path, vec![(name.clone(), value.clone())])?;
        return writeln!(out, "OK SET").map_err(broken);
    }
    let config = Config::read(&path).map_err(|why| told(&why))?;
    match &arguments.job {
        Some(Job::Check) => {
            config.check().map_err(|why| told(&why))?;
            for unknown in config.unknown() {
                // A name forced in by setconf that resembles none of ours belongs to something else.
                if matches!(unknown, ConfigError::Unknown(_, Some(_))) {
                    return Err(told(&unknown));
                }
                writeln!(out, "{unknown}").map_err(broken)?;
            }
            return writeln!(out, "OK").map_err(broken);
        }
        None => set(&path, Vec::new())?,
        Some(_) => {}
    }
    if let Some(name) = &arguments.option {
        let name = server_config::config::canonical(name);
        let value = config.text(&name).or_else(|| server_config::find(&name).map(|entry| entry.default()));
        return writeln!(out, "{}", value.ok_or_else(|| format!("{name}: no such parameter"))?)
            .map_err(broken);
    }
    for (name, value) in config.iter() {
        let entry = server_config::find(name);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(folder: &Path, rest: &[&str]) -> (u8, String) {
        let conf = folder.join("local.conf");
        let mut all = vec![OsString::from("configutil"), "-f".into(), conf.into()];
        all.extend(rest.iter().map(OsString::from));
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = run(all, &mut out, &mut err);
        out.extend(err);
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

//! getconf: prints one local option, or all.

use clap::{CommandFactory, Parser};
use server_config::{Config, config};
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

#[derive(Parser)]
#[command(name = "getconf", version, about = "Prints options of the local file")]
struct Arguments {
    /// The instance; else CONFIGROOT names its config folder
    #[arg(long)]
    instance: Option<PathBuf>,
    name: Option<String>,
}

/// The command line, for the generated documents.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the tool; the result is the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(stop) => return crate::configutil::say(&stop, out, err),
    };
    crate::configutil::finish(work(&arguments, out), "getconf", err)
}

fn work(arguments: &Arguments, out: &mut dyn Write) -> Result<(), String> {
    let path = crate::configutil::file_of(arguments.instance.as_deref())?;
    let set = Config::read(&path).map_err(|why| why.to_string())?;
    crate::configutil::set(&path, Vec::new())?;
    if let Some(name) = &arguments.name {
        let value = set.text(&config::canonical(name)).ok_or_else(|| format!("{name}: not set"))?;
        return writeln!(out, "{value}").map_err(|why| why.to_string());
    }
    for (name, value) in set.iter() {
        writeln!(out, "{name} = {}", config::quote(value)).map_err(|why| why.to_string())?;
    }
    Ok(())
}

//! setconf: sets or clears one option, with --force also one that nobody knows, or a port that another service has.

use clap::{CommandFactory, Parser};
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

#[derive(Parser)]
#[command(name = "setconf", version, about = "Sets or clears one option of the local file")]
struct Arguments {
    /// The instance; else CONFIGROOT names its config folder
    #[arg(long)]
    instance: Option<PathBuf>,
    /// Set a name that is unknown, or a port that another service has
    #[arg(long)]
    force: bool,
    name: String,
    /// The value; "" clears
    #[arg(allow_hyphen_values = true)]
    value: String,
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
    let done = work(arguments, err);
    crate::configutil::finish(done, "setconf", err)
}

fn work(arguments: Arguments, err: &mut dyn Write) -> Result<(), String> {
    match server_config::edit::admit(&arguments.name, &arguments.value) {
        Err(server_config::ConfigError::Unknown(..)) if arguments.force => {}
        other => other.map_err(|why| why.to_string())?,
    }
    let path = crate::configutil::file_of(arguments.instance.as_deref())?;
    let changes = vec![(arguments.name, arguments.value)];
    if !arguments.force {
        let before = server_config::Config::read(&path).map_err(|why| why.to_string())?;
        crate::check::judge(&before, &changes)?;
    }
    crate::configutil::set(&path, changes.clone())?;
    crate::audit::configuration(&path, &changes, "setconf", err);
    // The directory may say something else; it is not asked here, its copy knows.
    let instance = server_config::Instance::open(arguments.instance.as_deref())?;
    if let Ok(config) = server_config::central::in_force(&instance) {
        for why in crate::configutil::overruled(&config, &changes) {
            let _ = writeln!(err, "setconf: {why}");
        }
    }
    Ok(())
}

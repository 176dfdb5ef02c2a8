//! hashdir: the two levels under which a user's mailboxes or a domain's deferred mail lie (S78).

use std::ffi::OsString;
use std::io::Write;

use clap::{CommandFactory, Parser};

use crate::site::{broken, run_tool};

#[derive(Parser)]
#[command(name = "hashdir", version, about = "Prints the hash folders of users or domains")]
struct Arguments {
    /// Append the name of the user's own folder
    #[arg(short)]
    account: bool,
    /// Read names from standard input, one a line
    #[arg(short)]
    interactive: bool,
    /// Users or domains
    #[arg(required_unless_present = "interactive")]
    names: Vec<String>,
}

/// The command line, for the generated documents.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the tool; the result is the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    run_tool("hashdir", arguments, out, err, |arguments: Arguments, out, _| {
        for name in &arguments.names {
            answer(name, arguments.account, out)?;
        }
        if arguments.interactive {
            for line in std::io::stdin().lines() {
                answer(line.map_err(broken)?.trim(), arguments.account, out)?;
            }
        }
        Ok(())
    })
}

fn answer(name: &str, account: bool, out: &mut dyn Write) -> Result<(), String> {
    let folder = if account { message_store::folder_name(name).unwrap_or_default() } else { String::new() };
    writeln!(out, "{}/{folder}", base::hashdir::path(name)).map_err(broken)
}

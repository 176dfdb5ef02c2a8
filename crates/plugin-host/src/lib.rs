//! The process that loads plug-ins and calls them, so that smtpd has no foreign code in it.
//!
//! smtpd starts it before it confines itself, with a socket as its standard input, and it ends when smtpd does. It is two
//! processes: a parent that holds the listening socket `run/plugins.sock` and starts a child again when that has died
//! ([`parent`]); and the child, which confines itself, loads the libraries and serves ([`serve`]). Those who connect
//! while there is no child wait in the socket's queue, with their own time limit. All that touches memory of
//! plug-ins is in [`ffi`].

mod ffi;
mod messages;
mod parent;
mod serve;
mod stacks;
mod watch;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use server_config::Instance;

/// The argument that makes it the child; the parent's process id and the instance follow.
const SERVE: &str = "--serve";

/// Runs the parent or the child.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let texts: Vec<&str> = arguments.iter().filter_map(|one| one.to_str()).collect();
    match (texts.as_slice(), arguments.last()) {
        (["--version" | "-V"], _) => {
            let _ = writeln!(std::io::stdout(), "pluginhost {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        ([SERVE, parent, _], Some(root)) => {
            serve::main(parent.parse().unwrap_or(0), &Instance::new(PathBuf::from(root)))
        }
        ([root], _) if !root.starts_with('-') => parent::main(&Instance::new(PathBuf::from(root))),
        _ => {
            let _ = writeln!(
                std::io::stderr(),
                "pluginhost: calls the plug-ins of config/plugins.cfg; smtpd starts it by itself"
            );
            ExitCode::from(2)
        }
    }
}

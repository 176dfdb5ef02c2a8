//! Trying, in a daemon that has confined itself, what it must not be able to do: `--try-privileges`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, ExitCode};

/// Tries everything and prints a line for each: what, and `refused` or `allowed`. The exit status is 0 when all was refused.
///
/// In `outside`, a folder that is none of the instance's, there is a file `secret`, and a file `port` with the number of a
/// port of this host that takes connections.
pub fn all(outside: &Path, out: &mut dyn Write) -> ExitCode {
    let port = fs::read_to_string(outside.join("port"));
    // Where the folder cannot be read the number is not known, and port 1 is as foreign.
    let port: u16 = port.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(1);
    let tries: [(&str, io::Result<()>); 10] = [
        ("read a foreign file", fs::read(outside.join("secret")).map(drop)),
        ("list a foreign folder", fs::read_dir(outside).map(drop)),
        ("write a foreign file", File::options().append(true).open(outside.join("secret")).map(drop)),
        ("make a file elsewhere", File::create(outside.join("made")).map(drop)),
        ("run a program", Command::new("/bin/true").status().map(drop)),
        ("listen on a port", TcpListener::bind(("127.0.0.1", 0)).map(drop)),
        ("connect to a foreign port", connect(port)),
        ("become root", os::privileges::become_root()),
        ("look into memory", os::privileges::look_into_memory()),
        ("unshare", os::privileges::unshare()),
    ];
    let mut all_refused = true;
    for (what, tried) in tries {
        all_refused &= tried.is_err();
        let said = match tried {
            Ok(()) => "allowed".to_owned(),
            Err(why) => format!("refused: {why}"),
        };
        let _ = writeln!(out, "{what}: {said}");
    }
    if all_refused { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What nobody listens on is connected to in principle.
fn connect(port: u16) -> io::Result<()> {
    match TcpStream::connect(("127.0.0.1", port)) {
        Err(why) if why.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        other => other.map(drop),
    }
}

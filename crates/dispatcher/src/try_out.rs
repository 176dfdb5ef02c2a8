//! Trying, in a daemon that has confined itself, what it must not be able to do: `--try-privileges`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::str::FromStr;

/// Tries everything and prints a line for each: what, and `refused` or `allowed`; whether all was refused. Lines that begin
/// with `own: ` are about what only some processes do with the system, and what is this one's `business` by name; they do
/// not count. `who` stands before each line.
///
/// In `outside`, a folder that is none of the instance's, there is a file `secret`, a file `port` with the number of a
/// port of this host that takes connections, and a file `victim` with that of a process.
pub fn all(outside: &Path, business: &[&str], who: &str, out: &mut dyn Write) -> bool {
    // Where the folder cannot be read the numbers are not known, and port 1 and the parent are as foreign.
    let port: u16 = number(&outside.join("port")).unwrap_or(1);
    let victim: i32 = number(&outside.join("victim")).unwrap_or_else(os::process::parent);
    let mut tries: Vec<(&str, io::Result<()>)> = vec![
        ("read a foreign file", fs::read(outside.join("secret")).map(drop)),
        ("list a foreign folder", fs::read_dir(outside).map(drop)),
        ("write a foreign file", File::options().append(true).open(outside.join("secret")).map(drop)),
        ("make a file elsewhere", File::create(outside.join("made")).map(drop)),
        ("open another's memory", File::open(format!("/proc/{victim}/mem")).map(drop)),
        ("run a program", Command::new("/bin/true").status().map(drop)),
        ("listen on a port", TcpListener::bind(("127.0.0.1", 0)).map(drop)),
        ("connect to a foreign port", connect(port)),
    ];
    tries.extend(os::trespass::all(victim));
    let is_own = |what: &str| business.contains(&what);
    let all_refused = tries.iter().all(|(what, tried)| tried.is_err() || is_own(what));
    let tries = tries.into_iter().map(|(what, tried)| (if is_own(what) { "own: " } else { "" }, what, tried));
    let own = os::trespass::deeds().into_iter().map(|(what, tried)| ("own: ", what, tried));
    for (mark, what, tried) in tries.chain(own) {
        let said = match tried {
            Ok(()) => "allowed".to_owned(),
            Err(why) => format!("refused: {why}"),
        };
        let _ = writeln!(out, "{who}{mark}{what}: {said}");
    }
    all_refused
}

fn number<N: FromStr>(file: &Path) -> Option<N> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// What nobody listens on is connected to in principle.
fn connect(port: u16) -> io::Result<()> {
    match TcpStream::connect(("127.0.0.1", port)) {
        Err(why) if why.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        other => other.map(drop),
    }
}

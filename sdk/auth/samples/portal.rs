//! A portal that knows who its user is opens the user's mail.
//!
//! ```text
//! authsdk-sample imap|pop|web HOST PORT tls|starttls|loopback ADMINISTRATOR USER [AUTHORITIES.PEM]
//! ```
//! The administrator's password is the first line of standard input. Prints how many messages there are, or the address to
//! send the browser to. Ends with the status.

use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::ExitCode;

use mailboat_auth::{Authenticator, Connection, Error, Security};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut password = String::new();
    if words.len() < 6 || io::stdin().read_line(&mut password).is_err() {
        eprintln!(
            "usage: authsdk-sample imap|pop|web HOST PORT tls|starttls|loopback ADMINISTRATOR USER [AUTHORITIES]"
        );
        return ExitCode::from(64);
    }
    match run(&words, password.trim_end_matches(['\r', '\n'])) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("authsdk-sample: {why}");
            ExitCode::from(why.status as u8)
        }
    }
}

fn run(words: &[String], password: &str) -> Result<String, Error> {
    let (service, host, administrator, user) = (words[0].as_str(), &words[1], &words[4], &words[5]);
    let port = words[2].parse().unwrap_or(0);
    let security = match words[3].as_str() {
        "tls" => Security::Tls,
        "starttls" => Security::StartTls,
        _ => Security::Loopback,
    };
    let mut server = Authenticator::new(host, administrator, password)?;
    if let Some(authorities) = words.get(6) {
        server = server.trusting(Path::new(authorities));
    }
    match service {
        "web" => Ok(server.web(port, security, user)?.address),
        "pop" => ask(server.pop(port, security, user)?, "STAT", "+OK"),
        _ => ask(server.imap(port, security, user)?, "a STATUS INBOX (MESSAGES)", "* STATUS"),
    }
}

/// Says a command, and gives the line of its answer that begins so.
fn ask(mut connection: Connection, command: &str, wanted: &str) -> Result<String, Error> {
    connection.write_all(format!("{command}\r\n").as_bytes())?;
    for line in BufReader::new(connection).lines() {
        let line = line?;
        if line.starts_with(wanted) {
            return Ok(line);
        }
    }
    Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())
}

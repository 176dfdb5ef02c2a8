//! imscripter: operations on mailboxes of an IMAP server, from a script or for each line of a file (original.md 3.12).

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{CommandFactory, Parser};
use imap_client::{Credentials, Encryption, ImapError, Server, Session, Trust, quoted};

use crate::site::{broken, run_tool};

/// What is shown when nobody says: errors, responses that are no OK, and the ends of commands.
const VERBOSITY: &str = "EBbo";
/// Bytes of one line of a script.
const LINE_BYTES_MAX: u64 = 64 * 1024;

#[derive(Parser)]
#[command(
    name = "imscripter",
    version,
    about = "Makes, deletes and renames mailboxes of an IMAP server, and changes who may use them, from a script"
)]
#[command(
    after_help = "Commands, one a line: create MAILBOX, delete MAILBOX, rename OLD NEW [PARTITION], getacl MAILBOX, \
                        setacl MAILBOX USER RIGHTS, deleteacl MAILBOX USER. Names with blanks stand in double quotes; \
                        lines that begin with # are none."
)]
struct Arguments {
    /// The script; with -c, lines of arguments for that command. Without it, standard input
    #[arg(short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// This command, with each line of the file
    #[arg(short, value_name = "COMMAND")]
    command: Option<String>,
    /// The server
    #[arg(short, default_value = "localhost")]
    server: String,
    /// Its port
    #[arg(short, default_value_t = 143)]
    port: u16,
    /// Who logs in
    #[arg(short)]
    uid: String,
    /// The password; others can see it in the list of processes
    #[arg(short = 'x', value_name = "PASSWORD", conflicts_with = "password_file")]
    password: Option<String>,
    /// A file whose first line is the password
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Act for this user (PLAIN)
    #[arg(long, value_name = "USER")]
    acts_for: Option<String>,
    /// What to show: E errors, C commands of the script, c commands of IMAP, B and O untagged responses that are NO or BAD, and
    /// others, b and o ends that are NO or BAD, and OK, A all, N nothing
    #[arg(short, value_name = "LETTERS", default_value = VERBOSITY)]
    verbosity: String,
    /// Believe certificates of these authorities, instead of the system's
    #[arg(long, value_name = "FILE", conflicts_with = "any_certificate")]
    ca: Option<PathBuf>,
    /// Believe any certificate
    #[arg(long)]
    any_certificate: bool,
    /// No TLS; on this host there is none anyway
    #[arg(long)]
    no_tls: bool,
}

/// The command line, for the generated documents.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the tool; the result is the exit code: 1 when a command of the script failed.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    input: &mut dyn Read,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> u8 {
    run_tool("imscripter", arguments, out, err, |arguments, out, err| work(&arguments, input, out, err))
}

fn work(
    arguments: &Arguments,
    input: &mut dyn Read,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<(), String> {
    let password = password(arguments)?;
    let mut script: Box<dyn BufRead + '_> = match &arguments.file {
        Some(path) => {
            let file = std::fs::File::open(path).map_err(|why| format!("{}: {why}", path.display()))?;
            Box::new(BufReader::new(file))
        }
        None => Box::new(BufReader::new(input)),
    };
    let told = |why: ImapError| format!("{}: {why}", base::escape(&arguments.server));
    let mut session = Session::connect(&server(arguments)).map_err(told)?;
    let acts_for = arguments.acts_for.clone();
    session.log_in(&Credentials { acts_for, user: arguments.uid.clone(), password }).map_err(told)?;
    let mut failed = 0u64;
    let mut line = Vec::new();
    for number in 1u64.. {
        let read = read_line(&mut *script, &mut line).map_err(|why| why.to_string())?;
        let text = String::from_utf8_lossy(&line);
        let text = text.trim();
        let mut show = Show { letters: &arguments.verbosity, out };
        let done = match read {
            Line::End => break,
            Line::Whole if text.is_empty() || text.starts_with('#') => continue,
            Line::TooLong => Err(format!("it has more than {LINE_BYTES_MAX} bytes; nothing of it was done")),
            Line::Whole => {
                show.line('C', text)?;
                imap_command(arguments.command.as_deref(), text)
                    .and_then(|(name, command)| perform(&mut session, name, &command, &mut show))
            }
        };
        match done {
            Ok(true) => {}
            Ok(false) => failed += 1,
            Err(why) => {
                failed += 1;
                if shows(&arguments.verbosity, 'E') {
                    writeln!(err, "imscripter: line {number}: {why}").map_err(broken)?;
                }
            }
        }
    }
    session.leave();
    match failed {
        0 => Ok(()),
        1 => Err("1 command failed".into()),
        count => Err(format!("{count} commands failed")),
    }
}

/// What was read of the script.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    End,
    Whole,
    /// More than a line may have: it was passed over, to its end.
    TooLong,
}

/// Reads a line, with its end if it has one; of one that is too long nothing is kept.
///
/// # Errors
/// The system's.
fn read_line(script: &mut dyn BufRead, line: &mut Vec<u8>) -> std::io::Result<Line> {
    line.clear();
    if Read::take(&mut *script, LINE_BYTES_MAX + 1).read_until(b'\n', line)? == 0 {
        return Ok(Line::End);
    }
    let is_ended = line.last() == Some(&b'\n');
    if line.len() as u64 <= LINE_BYTES_MAX {
        return Ok(Line::Whole);
    }
    line.clear();
    if !is_ended {
        script.skip_until(b'\n')?;
    }
    Ok(Line::TooLong)
}

fn password(arguments: &Arguments) -> Result<String, String> {
    match (&arguments.password, &arguments.password_file) {
        (Some(password), _) => Ok(password.clone()),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path).map_err(|why| format!("{}: {why}", path.display()))?;
            text.lines().next().map(str::to_owned).ok_or_else(|| format!("{}: it is empty", path.display()))
        }
        (None, None) => Err("give the password with --password-file".into()),
    }
}

fn server(arguments: &Arguments) -> Server {
    let host = &arguments.server;
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let trust = match (&arguments.ca, arguments.any_certificate) {
        (_, true) => Trust::Anybody,
        (Some(file), _) => Trust::File(file.clone()),
        (None, _) => Trust::System,
    };
    let wants_tls = arguments.ca.is_some() || arguments.any_certificate;
    let encryption = match arguments.no_tls || is_here && !wants_tls {
        true => Encryption::Never,
        false => Encryption::StartTls,
    };
    Server { host: host.clone(), port: arguments.port, encryption, trust, timeout: Duration::from_secs(60) }
}

/// What is shown, by letters.
struct Show<'a> {
    letters: &'a str,
    out: &'a mut dyn Write,
}

fn shows(letters: &str, letter: char) -> bool {
    letters.contains('A') || letters.contains(letter)
}

impl Show<'_> {
    fn line(&mut self, letter: char, text: &str) -> Result<(), String> {
        if shows(self.letters, letter) {
            writeln!(self.out, "{}", base::escape(text)).map_err(broken)?;
        }
        Ok(())
    }
}

/// Whether the server did it.
fn perform(
    session: &mut Session,
    name: &'static str,
    command: &str,
    show: &mut Show<'_>,
) -> Result<bool, String> {
    show.line('c', command)?;
    let mut untagged = Vec::new();
    let done = session.run(name, command, |response| {
        untagged.push(String::from_utf8_lossy(&response.text).into_owned());
        Ok(())
    });
    for text in untagged {
        let is_refusal = text.starts_with("* NO") || text.starts_with("* BAD");
        // What was asked for is the answer: it is always shown, unless nothing is.
        let is_answer = text.to_ascii_uppercase().starts_with("* ACL ");
        match (is_refusal, is_answer) {
            (true, _) => show.line('B', &text)?,
            (_, true) if !show.letters.contains('N') => {
                writeln!(show.out, "{}", base::escape(&text)).map_err(broken)?;
            }
            _ => show.line('O', &text)?,
        }
    }
    match done {
        Ok(()) => show.line('o', &format!("OK {command}")).map(|()| true),
        Err(ImapError::Refused { text, .. }) => {
            show.line('b', &format!("NO {command}: {text}")).map(|()| false)
        }
        Err(why) => Err(why.to_string()),
    }
}

/// The command of IMAP that a line of the script means, and its name.
fn imap_command(fixed: Option<&str>, line: &str) -> Result<(&'static str, String), String> {
    let mut words = words(line)?;
    let verb = match fixed {
        Some(verb) => verb.to_owned(),
        None => words.remove(0),
    };
    /// Verbs, and how many arguments they take.
    const VERBS: [(&str, &str, usize, usize); 6] = [
        ("create", "CREATE", 1, 2),
        ("delete", "DELETE", 1, 1),
        ("rename", "RENAME", 2, 3),
        ("getacl", "GETACL", 1, 1),
        ("setacl", "SETACL", 3, 3),
        ("deleteacl", "DELETEACL", 2, 2),
    ];
    let found = VERBS.iter().find(|(name, ..)| name.eq_ignore_ascii_case(&verb));
    let (_, name, least, most) = found.ok_or_else(|| format!("{}: no such command", base::escape(&verb)))?;
    if !(*least..=*most).contains(&words.len()) {
        return Err(format!("{verb} takes {least} to {most} arguments"));
    }
    let mailboxes = if *name == "RENAME" { 2 } else { 1 };
    let mut command = (*name).to_owned();
    for (place, word) in words.iter().enumerate() {
        let wire = if place < mailboxes { imap_wire::utf7::encode(word) } else { word.clone() };
        let argument = quoted(&wire).ok_or_else(|| format!("{}: not an argument", base::escape(word)))?;
        command.push(' ');
        command.push_str(&argument);
    }
    Ok((name, command))
}

/// Words between blanks; in double quotes, with \ before " and \.
fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = line.chars().peekable();
    while let Some(first) = rest.next_if(|c| !c.is_whitespace()).or_else(|| {
        while rest.next_if(|c| c.is_whitespace()).is_some() {}
        rest.next()
    }) {
        let mut word = String::new();
        if first == '"' {
            loop {
                match rest.next() {
                    None => return Err("a quote is missing".into()),
                    Some('"') => break,
                    Some('\\') => word.extend(rest.next()),
                    Some(c) => word.push(c),
                }
            }
        } else {
            word.push(first);
            while let Some(c) = rest.next_if(|c| !c.is_whitespace()) {
                word.push(c);
            }
        }
        words.push(word);
    }
    if words.is_empty() { Err("there is nothing in it".into()) } else { Ok(words) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_is_refused_whole() {
        let most = LINE_BYTES_MAX as usize;
        let fits = format!("{}\n", "a".repeat(most - 1));
        let long = "b".repeat(most);
        let script = format!("{fits}{long}\n{long} delete Work\ncreate Work\n{long}c");
        let (mut script, mut line) = (script.as_bytes(), Vec::new());
        let mut next = || {
            let read = read_line(&mut script, &mut line).unwrap();
            (read, String::from_utf8(line.clone()).unwrap())
        };
        assert_eq!(next(), (Line::Whole, fits));
        assert_eq!(next(), (Line::TooLong, String::new()), "its line's end is its own");
        assert_eq!(next(), (Line::TooLong, String::new()), "its rest is no command");
        assert_eq!(next(), (Line::Whole, "create Work\n".to_owned()));
        assert_eq!(next(), (Line::TooLong, String::new()));
        assert_eq!(next(), (Line::End, String::new()));
    }

    #[test]
    fn lines_become_commands() {
        let command = |fixed, line| imap_command(fixed, line).map(|(_, command)| command);
        assert_eq!(command(None, "create  Work").unwrap(), "CREATE \"Work\"");
        assert_eq!(
            command(None, "RENAME \"a \\\"b\" Entw\u{fc}rfe p2").unwrap(),
            "RENAME \"a \\\"b\" \"Entw&APw-rfe\" \"p2\""
        );
        assert_eq!(command(Some("setacl"), "Work anyone lrs").unwrap(), "SETACL \"Work\" \"anyone\" \"lrs\"");
        for (fixed, bad) in
            [(None, "create"), (None, "expunge x"), (Some("delete"), "a b"), (None, "create \"x")]
        {
            assert!(command(fixed, bad).is_err(), "{bad}");
        }
    }
}

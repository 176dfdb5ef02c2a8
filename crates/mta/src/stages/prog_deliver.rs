//! prog-deliver: the programs of `mailProgramDeliveryInfo` (X5), never through a shell, never as root.
//!
//! A program comes from the folder `service.smtp.prog-deliver.shellpath` and is given the message as it stands in the
//! mailboxes, Return-Path first, with line feeds. Its status says what became of it, by sysexits; what it said goes into
//! the report. What is done is written down at once, so that a program runs again only when the system stopped between
//! its end and that line.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::Duration;

use directory::Entry as Account;
use mail_queue::Success;
use os::run::{End, Limits, Program, Ran};
use server_log::Category;

use crate::deeds::{self, Deed, Done};
use crate::flight::Flight;
use crate::local_form::{FromStart, LineFeeds};
use crate::local_settings::Programs;
use crate::mta::Desk;
use crate::trusted::{self, Refusal};
use crate::ways::Way;
use crate::work::{Facts, Work};

/// Bytes of a program's output that are kept.
const OUTPUT_BYTES_MAX: usize = 4096;
/// Lines of it that the sender is shown.
const OUTPUT_LINES_MAX: usize = 5;
/// Words of a command at most.
const WORDS_MAX: usize = 100;
/// What a program may use.
const MEMORY_BYTES_MAX: u64 = 2 << 30;
const FILE_BYTES_MAX: u64 = 4 << 30;
const OPEN_FILES_MAX: u64 = 256;
/// Processes of the user as whom programs run, when that is not our own.
const PROCESSES_MAX: u64 = 512;

/// What became of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Delivered,
    /// Not now, and why.
    Later(String),
    /// For good: status and text of the report.
    Failed(&'static str, String),
}

/// Runs the programs of this message, one after the other, without holding it meanwhile. When `wanted` says no, the rest
/// stays for the next start.
pub fn run(desk: &Desk, flight: &Flight, wanted: &dyn Fn() -> bool) {
    let taken = flight.with(|work| (work.facts(), work.take_local(|way| matches!(way, Way::Program(_)))));
    let Some((facts, errands)) = taken else { return };
    for (place, account, way) in errands {
        let Way::Program(command) = way else { continue };
        if !wanted() {
            return;
        }
        let outcome = deliver(desk, &facts, &account, &command, wanted);
        if desk.settings.local.prog_deliver.log {
            log(desk, &facts, "prog-deliver", &account, &outcome);
        }
        flight.with(|work| settle(work, place, outcome));
    }
}

/// Writes down what became of a delivery.
pub fn settle(work: &mut Work, place: usize, outcome: Outcome) {
    match outcome {
        Outcome::Delivered => work.succeed(place, Success::Delivered, ""),
        Outcome::Later(text) => work.delay(text),
        Outcome::Failed(status, text) => work.fail(place, status, text),
    }
}

/// The module's line for a message (S25).
pub fn log(desk: &Desk, facts: &Facts, module: &str, account: &Account, outcome: &Outcome) {
    let id = &facts.id;
    let uid = account.uid.as_deref().unwrap_or(&account.mail);
    let said = match outcome {
        Outcome::Delivered => "delivered",
        Outcome::Later(text) | Outcome::Failed(_, text) => text,
    };
    desk.log.notice(Category::Protocol, format_args!("{module}: {id} to={uid} {said}"));
}

fn deliver(
    desk: &Desk,
    facts: &Facts,
    account: &Account,
    command: &str,
    wanted: &dyn Fn() -> bool,
) -> Outcome {
    let words = match split(command) {
        Ok(words) => words,
        Err(why) => return Outcome::Failed("5.3.5", format!("the account's program cannot be read: {why}")),
    };
    if words.is_empty() {
        return Outcome::Failed("5.3.5", "program delivery is asked for, but no program is named".into());
    }
    let environment = environment(facts, account);
    deeds::order(desk, facts, "prog-deliver", &Deed::Program { words, environment }, wanted)
}

/// A program of `shellpath`, with the message on its standard input.
pub fn perform(
    settings: &Programs,
    words: &[String],
    environment: &[(String, String)],
    message: &File,
    wanted: &dyn Fn() -> bool,
) -> Done {
    let Some((name, arguments)) = words.split_first() else {
        return Outcome::Failed("5.3.5", "no program is named".into()).into();
    };
    let Some(folder) = &settings.folder else {
        let outcome = Outcome::Failed("5.3.5", "this server runs no programs".into());
        return Done::with("service.smtp.prog-deliver.shellpath names no folder; no program is run", outcome);
    };
    let path = match trusted::program(folder, name) {
        Ok(path) => path,
        Err(Refusal::Name(why)) => {
            let told = "the account's program is not one that this server runs";
            return Done::with(&why, Outcome::Failed("5.7.1", told.into()));
        }
        Err(Refusal::Untrusted(why)) => {
            let told = "the program is not one that may be run now";
            return Done::with(&format!("not run: {why}"), Outcome::Later(told.into()));
        }
    };
    let run =
        Run { path: &path, arguments, environment, identity: settings.identity, timeout: settings.timeout };
    execute(&run, message, true, wanted)
}

/// A program that was looked at.
pub struct Run<'a> {
    pub path: &'a Path,
    pub arguments: &'a [String],
    pub environment: &'a [(String, String)],
    /// uid and gid; used by root only.
    pub identity: (u32, u32),
    pub timeout: Duration,
}

/// As it is run: with its user's identity, its environment and its limits.
///
/// # Errors
/// It would be root's, and is not run.
pub fn prepared(run: &Run) -> Result<Program, Done> {
    let is_root = os::process::own_uid() == 0;
    if is_root && (run.identity.0 == 0 || run.identity.1 == 0) {
        let complaint = format!("{}: not run as root", run.path.display());
        return Err(Done::with(&complaint, Outcome::Later("programs are not run as root".into())));
    }
    // The rest may come from an smtpd that somebody took over: only names that mean nothing to a loader or a shell, and
    // harmless values.
    let known = |name: &str| ADDRESSES.contains(&name);
    let told = run.environment.iter().filter(|(name, _)| known(name));
    let environment = OURS
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .chain(told.map(|(name, value)| (name.into(), harmless(value).into())))
        .collect();
    Ok(Program {
        path: run.path.to_owned(),
        arguments: run.arguments.iter().map(Into::into).collect(),
        environment,
        folder: "/".into(),
        identity: is_root.then_some(run.identity),
        limits: Limits {
            cpu_seconds: run.timeout.as_secs().max(1),
            memory_bytes: MEMORY_BYTES_MAX,
            file_bytes: FILE_BYTES_MAX,
            open_files: OPEN_FILES_MAX,
            processes: is_root.then_some(PROCESSES_MAX),
        },
        timeout: run.timeout,
        output_bytes_max: OUTPUT_BYTES_MAX,
    })
}

/// Runs it with the message and judges how it ended.
pub fn execute(run: &Run, message: &File, line_feeds: bool, wanted: &dyn Fn() -> bool) -> Done {
    let program = match prepared(run) {
        Ok(program) => program,
        Err(refused) => return refused,
    };
    let mut bytes = BufReader::new(FromStart::of(message));
    let ran = if line_feeds {
        os::run::run(&program, &mut LineFeeds::new(bytes), wanted)
    } else {
        os::run::run(&program, &mut bytes, wanted)
    };
    let name = run.path.file_name().unwrap_or(run.path.as_os_str()).to_string_lossy();
    match ran {
        Ok(ran) => judge(&name, &ran).into(),
        Err(why) => Outcome::Later(format!("{name} cannot be run: {why}")).into(),
    }
}

/// What a program's end means: sysexits, as sendmail and Postfix read them.
fn judge(name: &str, ran: &Ran) -> Outcome {
    let said = first_lines(&ran.output);
    let told = |how: String| if said.is_empty() { how } else { format!("{how}: {said}") };
    let status = match ran.end {
        End::TimedOut => return Outcome::Later(told(format!("{name} took too long and was ended"))),
        End::Unwanted => return Outcome::Later(format!("{name} was ended because smtpd stops")),
        End::Exit(status) => status,
    };
    let Some(code) = status.code() else {
        return Outcome::Later(told(format!("{name} was ended by a signal ({status})")));
    };
    let failed = |status| Outcome::Failed(status, told(format!("{name} ended with {code}")));
    match code {
        0 => Outcome::Delivered,
        71 | 74 | 75 => Outcome::Later(told(format!("{name} asks to try again later ({code})"))), // EX_OSERR, _IOERR, _TEMPFAIL
        65 => failed("5.6.0"), // EX_DATAERR
        67 => failed("5.1.1"), // EX_NOUSER
        68 => failed("5.1.2"), // EX_NOHOST
        73 => failed("5.2.0"), // EX_CANTCREAT
        76 => failed("5.5.0"), // EX_PROTOCOL
        77 => failed("5.7.0"), // EX_NOPERM
        78 => failed("5.3.5"), // EX_CONFIG
        _ => failed("5.3.0"),
    }
}

/// The beginning of what a program said, in one line.
fn first_lines(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).take(OUTPUT_LINES_MAX);
    let joined = lines.collect::<Vec<_>>().join(" / ");
    joined.chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect()
}

/// What every program finds in its environment.
const OURS: [(&str, &str); 4] =
    [("PATH", "/usr/local/bin:/usr/bin:/bin"), ("HOME", "/"), ("SHELL", "/bin/sh"), ("LANG", "C")];
/// What else it finds there.
const ADDRESSES: [&str; 5] = ["USER", "LOGNAME", "SENDER", "RECIPIENT", "QUEUE_ID"];

/// The values of [`ADDRESSES`] for a delivery. They are a stranger's words: see [`harmless`].
pub fn environment(facts: &Facts, account: &Account) -> Vec<(String, String)> {
    let uid = account.uid.as_deref().unwrap_or("");
    let sender = facts.sender.as_deref().unwrap_or("");
    let values = [uid, uid, sender, &account.mail, facts.id.as_str()];
    ADDRESSES.iter().zip(values).map(|(name, value)| ((*name).to_owned(), harmless(value))).collect()
}

/// Characters that mean something to shells and programs become `_`, and so does a `-` in front.
pub fn harmless(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "!@%-_=+:,./".contains(c);
    let safe: String = text.chars().map(|c| if allowed(c) { c } else { '_' }).collect();
    match safe.strip_prefix('-') {
        Some(rest) => format!("_{rest}"),
        None => safe,
    }
}

/// The words of a command: blanks part them, double quotes hold them together, `\24` is `$` and `\5c` is `\`, as the
/// directory writes them. Nothing else has a meaning.
fn split(command: &str) -> Result<Vec<String>, &'static str> {
    let mut words: Vec<String> = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quoted = false;
    let mut rest = command.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            b' ' | b'\t' if !quoted => end_word(&mut words, word.take())?,
            b'\\' => {
                let digits = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
                let value = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                word.get_or_insert_default().push(value.ok_or("a \\ needs two hexadecimal digits")?);
                rest = &tail[2..];
            }
            byte => word.get_or_insert_default().push(byte),
        }
    }
    if quoted {
        return Err("a quote is not closed");
    }
    end_word(&mut words, word)?;
    Ok(words)
}

fn end_word(words: &mut Vec<String>, word: Option<Vec<u8>>) -> Result<(), &'static str> {
    let Some(word) = word else { return Ok(()) };
    let word = String::from_utf8(word).map_err(|_| "it is not UTF-8")?;
    if word.contains('\0') {
        return Err("it holds a NUL");
    }
    if words.len() >= WORDS_MAX {
        return Err("it has too many words");
    }
    words.push(word);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    fn ended(code: i32, output: &str) -> Outcome {
        let end = End::Exit(ExitStatus::from_raw(code << 8));
        judge("sort", &Ran { end, output: output.as_bytes().to_vec() })
    }

    #[test]
    fn the_status_says_what_became_of_the_message() {
        assert_eq!(ended(0, "chatter"), Outcome::Delivered);
        for code in [71, 74, 75] {
            assert!(matches!(ended(code, ""), Outcome::Later(_)), "{code}");
        }
        for (code, status) in [(1, "5.3.0"), (64, "5.3.0"), (67, "5.1.1"), (77, "5.7.0"), (127, "5.3.0")] {
            assert!(matches!(ended(code, ""), Outcome::Failed(one, _) if one == status), "{code}");
        }
        let told = ended(1, "\x1b[31mfirst\r\n\r\nsecond\n3\n4\n5\n6\n");
        assert_eq!(
            told,
            Outcome::Failed("5.3.0", "sort ended with 1:  [31mfirst / second / 3 / 4 / 5".into())
        );
        let killed = Ran { end: End::Exit(ExitStatus::from_raw(9)), output: Vec::new() };
        assert!(matches!(judge("sort", &killed), Outcome::Later(_)));
        assert!(matches!(judge("sort", &Ran { end: End::TimedOut, ..killed }), Outcome::Later(_)));
    }

    #[test]
    fn a_command_is_words_and_nothing_of_a_shell() {
        let words = |command: &str| split(command).unwrap();
        assert_eq!(words("sort -x  $(id);`id`|sh"), ["sort", "-x", "$(id);`id`|sh"]);
        assert_eq!(words(r#"sort "two words" a"b c"d """#), ["sort", "two words", "ab cd", ""]);
        assert_eq!(words(r"sort \24HOME \5c \22"), ["sort", "$HOME", "\\", "\""]);
        assert_eq!(words("  "), [""; 0]);
        for wrong in
            [r"sort \", r"sort \2", r"sort \zz", "sort \"open", r"sort \00", r"sort \ff", &"x ".repeat(101)]
        {
            assert!(split(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_address_in_the_environment_is_harmless() {
        assert_eq!(harmless("-froot@a.example"), "_froot@a.example");
        assert_eq!(harmless("\"a;$(id)\n\"@b.example"), "_a___id___@b.example");
        assert_eq!(harmless("bob+x=y@a.example"), "bob+x=y@a.example");
    }

    proptest! {
        #[test]
        fn no_command_is_too_strange(command in "\\PC{0,60}|[\\\\\"a $0-9\t]{0,40}") {
            let _ = split(&command);
        }
    }
}

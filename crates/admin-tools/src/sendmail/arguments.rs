//! The command line of sendmail, with what other sendmails accept and this one has no use for.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Parser};

#[derive(Parser)]
#[command(
    name = "sendmail",
    version,
    about = "Submits a message from standard input to the smtpd of this host",
    after_help = "Exit statuses are those of sysexits: 0 taken for every recipient, 64 wrong command line, 65 wrong \
                  message or address, 67 no such user, 69 refused, 75 try again, 77 not allowed, 78 wrong configuration.",
    args_override_self = true,
    disable_help_flag = true,
    disable_version_flag = true
)]
pub struct Arguments {
    /// The instance; else CONFIGROOT names its config folder; else the one in /var/lib/mailboat
    #[arg(long)]
    pub instance: Option<PathBuf>,
    /// Take the recipients from To, Cc and Bcc, besides those named; Bcc is removed in any case
    #[arg(short = 't')]
    pub from_header: bool,
    /// A line with a dot alone does not end the message (also -oi)
    #[arg(short = 'i')]
    ignore_dots: bool,
    /// The sender of the envelope; <> for none
    #[arg(short = 'f', visible_short_alias = 'r', value_name = "ADDRESS", allow_hyphen_values = true)]
    pub sender: Option<String>,
    /// The sender's full name, when the message has no From
    #[arg(short = 'F', value_name = "NAME", allow_hyphen_values = true)]
    pub full_name: Option<String>,
    /// What to do: m submit (the default), s speak SMTP, p show the queue, v verify addresses, i nothing (newaliases)
    #[arg(short = 'b', value_name = "MODE", default_value = "m")]
    mode: String,
    /// Show the conversation with smtpd; with -bp, every message
    #[arg(short = 'v')]
    pub verbose: bool,
    /// When to report: never, or of success,failure,delay (RFC 3461), if smtpd offers it
    #[arg(short = 'N', value_name = "WHEN")]
    pub notify: Option<String>,
    /// How much of the message comes back in a report: full or hdrs (RFC 3461), if smtpd offers it
    #[arg(short = 'R', value_name = "HOW")]
    pub ret: Option<String>,
    /// The envelope id for reports (RFC 3461), if smtpd offers it
    #[arg(short = 'V', value_name = "ENVID")]
    pub envelope_id: Option<String>,
    /// An option of other sendmails: i counts, the others are accepted and without effect
    #[arg(short = 'o', value_name = "OPTION", action = ArgAction::Append)]
    options: Vec<String>,
    /// An option of other sendmails: IgnoreDots counts, the others are accepted and without effect
    #[arg(short = 'O', value_name = "OPTION=VALUE", action = ArgAction::Append)]
    long_options: Vec<String>,
    /// Accepted and without effect: body type, hop count, protocol, error mode, tag, log file, configuration, class
    #[arg(short = 'B', short_aliases = ['h', 'p', 'e', 'L', 'X', 'C', 'A'], value_name = "VALUE", hide = true)]
    _with_value: Option<String>,
    /// Accepted and without effect
    #[arg(short = 'm', short_aliases = ['n', 'U', 'G', 's', 'x'], hide = true)]
    _flag: bool,
    /// Accepted and without effect (debugging)
    #[arg(short = 'd', num_args = 0..=1, require_equals = true, default_missing_value = "", hide = true)]
    _debug: Option<String>,
    /// Try what is queued now, or of it: -qI the id that follows, -qR or -qS recipients or senders with this text
    #[arg(short = 'q', num_args = 0..=1, require_equals = true, default_missing_value = "", value_name = "WHAT")]
    pub queue_run: Option<String>,
    /// The same as -bi
    #[arg(short = 'I', hide = true)]
    new_aliases: bool,
    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
    /// Print version
    #[arg(long, action = ArgAction::Version)]
    version: Option<bool>,
    /// Recipients
    pub recipients: Vec<String>,
}

impl Arguments {
    /// The letter of `-b`.
    pub fn mode(&self) -> &str {
        if self.new_aliases { "i" } else { &self.mode }
    }

    /// Whether a line with a dot alone is a line like any other.
    pub fn dots_are_text(&self) -> bool {
        let long = |option: &String| {
            option.split_once('=').is_some_and(|(name, value)| {
                name.eq_ignore_ascii_case("IgnoreDots") && !value.to_ascii_lowercase().starts_with(['f', 'n'])
            })
        };
        self.ignore_dots
            || self.options.iter().any(|option| option.starts_with('i'))
            || self.long_options.iter().any(long)
    }
}

/// Options whose value may stand in the next word.
const TAKES_VALUE: &str = "frFbNRVoOBhpeLXCA";

/// The command line as clap reads it: called as mailq or newaliases this is `-bp` or `-bi`, and the optional values
/// of `-d` and `-q`, which can only be attached, are marked as such.
pub fn prepared(given: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut given = given.into_iter();
    let called = given.next().unwrap_or_else(|| "sendmail".into());
    let name = PathBuf::from(&called).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut line = vec![called];
    match name.as_str() {
        "mailq" => line.push("-bp".into()),
        "newaliases" => line.push("-bi".into()),
        _ => {}
    }
    let mut is_value = false;
    let mut only_words = false;
    for word in given {
        let text = word.to_str().unwrap_or("");
        let is_option = !is_value && !only_words && text.len() > 1 && text.starts_with('-');
        only_words |= is_option && text == "--";
        let mut letters = text.chars().skip(1);
        is_value = is_option
            && (text == "--instance"
                || letters.next().is_some_and(|letter| TAKES_VALUE.contains(letter))
                    && letters.next().is_none());
        let attached =
            text.get(..2).filter(|option| is_option && text.len() > 2 && ["-d", "-q"].contains(option));
        match attached {
            Some(option) => line.push(format!("{option}={}", &text[2..]).into()),
            None => line.push(word),
        }
    }
    line
}

/// What is wrong, in one line.
pub fn first_line(stop: &clap::Error) -> String {
    let text = stop.to_string();
    let line = text.lines().next().unwrap_or("the command line is wrong");
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Arguments, String> {
        let line = prepared(words.iter().map(OsString::from));
        Arguments::try_parse_from(line).map_err(|stop| first_line(&stop))
    }

    #[test]
    fn the_callers_of_sendmail_are_understood() {
        // Debian's cron, bsd-mailx, mutt, git send-email, PHP.
        let cron = read(&["sendmail", "-i", "-FCronDaemon", "-B8BITMIME", "-oem", "root"]).unwrap();
        assert_eq!((cron.full_name.as_deref(), cron.dots_are_text()), (Some("CronDaemon"), true));
        assert_eq!(cron.recipients, ["root"]);
        let mailx = read(&["sendmail", "-i", "-r", "a@x", "--", "-odd@x", "b@x"]).unwrap();
        assert_eq!((mailx.sender.as_deref(), mailx.recipients.len()), (Some("a@x"), 2));
        assert!(read(&["sendmail", "-oem", "-oi", "-f", "a@x", "--", "b@x"]).unwrap().dots_are_text());
        assert_eq!(read(&["sendmail", "-t", "-i", "-fa@x"]).unwrap().sender.as_deref(), Some("a@x"));
        assert!(read(&["sendmail", "-ti"]).unwrap().from_header);
        assert_eq!(read(&["sendmail", "-f", "", "b@x"]).unwrap().sender.as_deref(), Some(""));
    }

    #[test]
    fn an_option_may_come_twice_and_an_unknown_one_is_told_in_a_line() {
        let twice =
            read(&["sendmail", "-i", "-i", "-f", "a@x", "-f", "b@x", "-d0.1", "-O", "IgnoreDots=True"]);
        assert_eq!(twice.unwrap().sender.as_deref(), Some("b@x"));
        let wrong = read(&["sendmail", "--frobnicate"]).err().unwrap();
        assert!(wrong.contains("--frobnicate") && !wrong.contains('\n'), "{wrong}");
    }

    #[test]
    fn its_other_names_are_its_other_modes() {
        assert_eq!(read(&["/usr/bin/mailq"]).unwrap().mode(), "p");
        assert_eq!(read(&["newaliases"]).unwrap().mode(), "i");
        assert_eq!(read(&["sendmail", "-bs"]).unwrap().mode(), "s");
        assert_eq!(read(&["sendmail", "-f", "-dash@x", "b"]).unwrap().sender.as_deref(), Some("-dash@x"));
    }
}

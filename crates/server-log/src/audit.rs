//! The audit log: who came in, who acted for whom, who changed what. One line each in `log/audit/audit`, by all daemons and
//! tools of an instance; the form is in `docs/formats/audit.md`, and others read it: words are added, never changed.
//!
//! It has its own limits (`logfile.audit.*`), keeps a line whatever level is logged, and says so when it cannot.

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;

use server_config::{Config, Instance};

use crate::drain::Destination;
use crate::{Category, Level, Log, LogSettings};

/// The service's name in `logfile.<service>.*` and in `log/`.
const SERVICE: &str = "audit";
/// What is kept unless it is set: a year and more of it.
const FILE_BYTES: u64 = 16 << 20;
const TOTAL_BYTES: u64 = 1 << 30;
const FILES: usize = 1000;
const EXPIRY_SECONDS: i64 = 400 * 86400;
const ROLLOVER_SECONDS: i64 = 30 * 86400;
/// Bytes of a value that are shown.
const VALUE_BYTES_MAX: usize = 1000;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    LogIn,
    /// Who logged in is taken for a mail server, which may send as anybody (`service.smtp.negativehostattr`).
    MailServer,
    /// An address was made that signs a user in once.
    OneTimeSignIn,
    /// Sign-ins of the web mail were ended from afar.
    Revocation,
    /// A parameter was set or cleared.
    Configuration,
    /// A user or group was added, changed or deleted by a tool.
    Entry,
    Password,
    AppPassword,
    SecondFactor,
    Forwarding,
    Vacation,
    AccessControl,
    /// A mailbox was made, renamed or deleted by an administrator.
    Mailbox,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Action::LogIn => "log-in",
            Action::MailServer => "mail-server",
            Action::OneTimeSignIn => "one-time-sign-in",
            Action::Revocation => "revocation",
            Action::Configuration => "configuration",
            Action::Entry => "entry",
            Action::Password => "password",
            Action::AppPassword => "app-password",
            Action::SecondFactor => "second-factor",
            Action::Forwarding => "forwarding",
            Action::Vacation => "vacation",
            Action::AccessControl => "access-control",
            Action::Mailbox => "mailbox",
        }
    }
}

impl LogSettings {
    /// The `logfile.audit.*` parameters; what is not set is longer here than for others.
    pub fn of_audit(config: &Config, instance: &Instance) -> LogSettings {
        let set = |name: &str| config.text(&format!("logfile.{SERVICE}.{name}")).is_some();
        let mut settings = LogSettings::from_config(config, instance, SERVICE);
        settings.level = Level::Notice;
        if !set("maxlogfilesize") {
            settings.max_file_bytes = FILE_BYTES;
        }
        if !set("maxlogsize") {
            settings.max_total_bytes = TOTAL_BYTES;
        }
        if !set("maxlogfiles") {
            settings.max_files = FILES;
        }
        if !set("expirytime") {
            settings.expiry_seconds = EXPIRY_SECONDS;
        }
        if !set("rollovertime") {
            settings.rollover_seconds = ROLLOVER_SECONDS;
        }
        settings
    }
}

impl Log {
    /// The same log, with the audit log beside it.
    ///
    /// # Errors
    /// Its folder or file cannot be made or opened.
    pub fn with_audit(self, program: &str, settings: LogSettings) -> io::Result<Log> {
        let audit = if settings.syslog {
            Destination::syslog(program, settings.level)
        } else {
            Destination::file(SERVICE, program, settings)?
        };
        Ok(Log { audit: Some(Arc::new(audit)), ..self })
    }

    /// Writes one line: the action, then `name=value` for each field. Without an audit log, as in tests, nothing.
    pub fn audit(&self, action: Action, fields: &[(&str, &str)]) {
        let Some(audit) = &self.audit else { return };
        let line = line(action, fields);
        if let Err(why) = audit.write(Category::Account.name(), Level::Notice, &line) {
            self.critical(Category::General, format_args!("the audit log cannot be written: {why}: {line}"));
        }
    }

    /// As [`Log::configure`].
    pub fn configure_audit(&self, settings: LogSettings) {
        if let Some(audit) = &self.audit {
            audit.configure(settings);
        }
    }
}

fn line(action: Action, fields: &[(&str, &str)]) -> String {
    let mut line = action.name().to_owned();
    for (name, value) in fields {
        let _ = write!(line, " {name}={}", encode(value));
    }
    line
}

/// A value without blanks, controls, or anything that changes how other text is shown: those are `%XX`, byte by byte of UTF-8
/// (RFC 3986 §2.1), and so is `%`. A value that is too long ends in `%...`, which is no encoding of anything.
fn encode(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        if text.len() > VALUE_BYTES_MAX {
            text.push_str("%...");
            break;
        }
        let is_plain =
            c.is_ascii_graphic() && !matches!(c, '%' | '\\' | '"') || !c.is_ascii() && c.is_alphanumeric();
        if is_plain {
            text.push(c);
        } else {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn settings(folder: &std::path::Path, text: &str) -> LogSettings {
        LogSettings::of_audit(&Config::from_text(text).unwrap(), &Instance::new(folder))
    }

    /// T22: what strangers call themselves.
    #[test]
    fn no_name_forges_a_line_or_a_field() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::discard().with_audit("imapd", settings(folder.path(), "")).unwrap();
        let evil = "joe\r\n[01/Jan/2026] h imapd[1]: Account Notice: log-in result=ok user=admin";
        log.audit(Action::LogIn, &[("result", "refused"), ("user", evil)]);
        log.audit(Action::LogIn, &[("user", "a result=ok"), ("from", "::1")]);
        log.audit(
            Action::LogIn,
            &[("user", "\u{1b}[2K\u{202e}\u{2066}\u{2028}\u{85}\u{feff}\u{200b}%41\\\"")],
        );
        let text = fs::read_to_string(folder.path().join("log/audit/audit")).unwrap();
        assert_eq!(text.lines().count(), 4, "{text}");
        assert!(text.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)), "{text}");
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert!(
            lines[0]
                .contains(": Account Notice: log-in result=refused user=joe%0D%0A[01/Jan/2026]%20h%20imapd")
        );
        assert!(lines[1].ends_with(": log-in user=a%20result=ok from=::1"), "{text}");
        assert!(
            lines[2].contains("user=%1B[2K%E2%80%AE%E2%81%A6%E2%80%A8%C2%85%EF%BB%BF%E2%80%8B%2541%5C%22"),
            "{text}"
        );
    }

    #[test]
    fn letters_of_all_languages_stay_and_long_values_end() {
        assert_eq!(encode("jos\u{e9}@\u{4f8b}.test"), "jos\u{e9}@\u{4f8b}.test");
        let long = encode(&"x".repeat(5000));
        assert!(long.len() < 1010 && long.ends_with("x%..."));
        assert_eq!(encode(""), "");
    }

    #[test]
    fn it_is_kept_for_longer_unless_it_is_said_how_long() {
        let folder = tempfile::tempdir().unwrap();
        let usual = settings(folder.path(), "logfile.audit.loglevel = Critical\n");
        assert_eq!((usual.expiry_seconds, usual.level), (EXPIRY_SECONDS, Level::Notice));
        let set = settings(folder.path(), "logfile.audit.expirytime = 3600\nlogfile.audit.maxlogfiles = 2\n");
        assert_eq!((set.expiry_seconds, set.max_files), (3600, 2));
        assert_eq!(set.max_total_bytes, TOTAL_BYTES);
    }

    #[test]
    fn a_line_that_cannot_be_written_stands_in_the_other_log() {
        let folder = tempfile::tempdir().unwrap();
        let own =
            LogSettings::from_config(&Config::from_text("").unwrap(), &Instance::new(folder.path()), "imap");
        let short = LogSettings { min_free_bytes: u64::MAX, ..settings(folder.path(), "") };
        let log = Log::open("imap", "imapd", own).unwrap().with_audit("imapd", short).unwrap();
        log.audit(Action::Password, &[("user", "joe")]);
        let text = fs::read_to_string(folder.path().join("log/imap/imap")).unwrap();
        assert!(text.contains("General Critical: the audit log cannot be written: "), "{text}");
        assert!(text.ends_with(": password user=joe\n"), "{text}");
    }
}

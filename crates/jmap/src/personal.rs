//! What the methods about the user's own account share: who checks passwords, where the user's files are, how mail is sent.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use directory::password::Schemes;
use directory::{Answer, Asked, Directory, Entry, Found, LogIn, LogIns, SecondFactors, Service};
use sasl::Secret;
use server_config::Config;
use server_config::parameters::{service_http, service_smtp};

use crate::error::{MethodError, Result};
use crate::submission::client::Conversations;
use crate::{Parts, Who};

/// How long the check of a password is waited for, by a worker.
const CHECK_MAX: Duration = Duration::from_secs(5);

/// See the head of this file.
pub struct Personal {
    pub log_ins: Arc<LogIns>,
    pub factors: SecondFactors,
    /// Sessions that have changed their user's password, and were not told yet.
    changed: Mutex<HashSet<(String, String)>>,
    pub schemes: Schemes,
    /// One file for each user who has sent something ([`crate::submission::record`]).
    pub folder: PathBuf,
    /// With smtpd, where it takes mail of users.
    pub smtpd: Conversations,
    /// How far ahead mail may be sent.
    pub delayed_max: Duration,
    /// Bytes of a message that is sent.
    pub size_max: u64,
    pub recipients_max: u64,
}

/// Why a password does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unconfirmed {
    /// This is a log-in by a password for one program, or of no one in particular: it changes nothing that a password guards.
    Limited,
    Wrong,
    /// The request has asked already: one of many asks would keep a worker for long.
    AskedAlready,
    TooManyGuesses,
    Unavailable(String),
}

impl Personal {
    pub fn new(parts: &Parts) -> Personal {
        let (config, instance) = (&parts.config, &parts.instance);
        let number = |value: i64| u64::try_from(value).unwrap_or(0);
        let workers = usize::try_from(config.get(&service_http::MAX_THREADS)).unwrap_or(1);
        Personal {
            changed: Mutex::default(),
            log_ins: Arc::clone(&parts.log_ins),
            factors: SecondFactors::new(instance),
            schemes: Schemes::from_config(config),
            folder: instance.store_dir().join("webmail"),
            smtpd: Conversations::new(instance.submission_socket(), workers),
            delayed_max: config.get(&service_smtp::MAX_FUTURE_RELEASE),
            size_max: size_max(config),
            recipients_max: number(config.get(&service_smtp::MAX_RECIPIENTS)),
        }
    }

    /// The user's password is another one.
    pub fn note_change(&self, who: &Who) {
        self.forget(&who.uid);
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        changed.insert((who.uid.clone(), who.session.clone()));
    }

    /// What was remembered of the user's log-ins is no more.
    pub fn forget(&self, uid: &str) {
        self.log_ins.authenticator().flush(Some(uid));
    }

    pub fn took_change(&self, who: &Who) -> bool {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        changed.remove(&(who.uid.clone(), who.session.clone()))
    }

    /// Whether this is the user's password. Wrong ones count with those of log-ins: a session that was stolen is no way to
    /// guess faster.
    pub fn confirm(&self, who: &Who, password: &str) -> std::result::Result<(), Unconfirmed> {
        if who.entry.limited {
            return Err(Unconfirmed::Limited);
        }
        let asked = Asked {
            service: Service::Http,
            login: who.uid.clone(),
            password: Secret::new(password.to_owned()),
            peer: who.peer,
        };
        let (tell, told) = mpsc::channel();
        let answer = self.log_ins.ask(asked, move || {
            let _ = tell.send(());
        });
        let log_in = match answer {
            Answer::Now(log_in) => Some(log_in),
            Answer::Later(pending) => {
                let _ = told.recv_timeout(CHECK_MAX);
                pending.take()
            }
        };
        match log_in {
            // A password for one program is not the user's own.
            Some(LogIn::Accepted(entry)) if entry.limited => Err(Unconfirmed::Wrong),
            Some(LogIn::Accepted(_) | LogIn::Disallowed) => Ok(()),
            Some(LogIn::Refused | LogIn::NeedsAppPassword) => Err(Unconfirmed::Wrong),
            Some(LogIn::TooManyGuesses) => Err(Unconfirmed::TooManyGuesses),
            Some(LogIn::Unavailable(why)) => Err(Unconfirmed::Unavailable(why)),
            Some(LogIn::Busy) | None => Err(Unconfirmed::Unavailable("too many others log in".into())),
        }
    }
}

/// Of a message that is sent: what smtpd takes, or less.
fn size_max(config: &Config) -> u64 {
    let bytes = |value: i64| u64::try_from(value).ok().filter(|bytes| *bytes > 0).unwrap_or(u64::MAX);
    let of_smtpd = match config.get(&service_smtp::ALLOW_SIZE) {
        true => bytes(config.get(&service_smtp::MAX_MESSAGE_SIZE)),
        false => u64::MAX,
    };
    of_smtpd.min(bytes(config.get(&service_http::HTTP_MAX_MESSAGE)))
}

/// The user's entry as it is now.
///
/// # Errors
/// `serverUnavailable` when the directory does not answer, `forbidden` when the user is gone.
pub fn entry(directory: &dyn Directory, who: &Who) -> Result<Arc<Entry>> {
    match directory.by_uid(&who.uid) {
        Ok(Found::One(entry)) => Ok(entry),
        Ok(_) => Err(MethodError::new("forbidden", "The account is not in the directory any more")),
        Err(_) => Err(MethodError::new("serverUnavailable", "The directory does not answer; try again")),
    }
}

/// A date as JMAP writes it (RFC 8620 §1.4), from seconds since 1970.
pub fn utc(second: i64) -> String {
    let time = jiff::Timestamp::from_second(second).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The inverse of [`utc`]: a `UTCDate`, whose fraction is cut off.
pub fn second_of(date: &str) -> Option<i64> {
    let is_utc = date.ends_with('Z') && date.len() >= 20 && date.as_bytes().get(10) == Some(&b'T');
    is_utc.then(|| date.parse::<jiff::Timestamp>().ok()).flatten().map(|time| time.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_standard() {
        assert_eq!(utc(1_772_272_800), "2026-02-28T10:00:00Z");
        assert_eq!(second_of("2026-02-28T10:00:00Z"), Some(1_772_272_800));
        assert_eq!(second_of("2026-02-28T10:00:00.5Z"), Some(1_772_272_800));
        for wrong in
            ["", "2026-02-28", "2026-02-28T10:00:00", "2026-02-28T10:00:00+01:00", "2026-02-30T10:00:00Z"]
        {
            assert_eq!(second_of(wrong), None, "{wrong}");
        }
    }
}

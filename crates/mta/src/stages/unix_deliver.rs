//! unix-deliver: native delivery (X5), the mailbox that a user of this host has outside of the store.
//!
//! The message is appended to `<uid>` in `local.service.smtp.unix-deliver.mailspool`. When
//! `service.smtp.unix-deliver.maildeliveryprogram` names a program, that gets the message instead, with the uid as its
//! argument (NMS: the original always did so).

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::deeds::{self, Deed, Done};
use crate::flight::Flight;
use crate::local_form::{FromStart, LineFeeds};
use crate::local_settings::Native;
use crate::mbox::{Appended, Mbox};
use crate::mta::Desk;
use crate::stages::prog_deliver::{Outcome, Run, environment, execute, harmless, log, settle};
use crate::trusted::{self, Refusal};
use crate::ways::Way;

/// Delivers to every native mailbox of this message, without holding it meanwhile. When `wanted` says no, the rest stays
/// for the next start.
pub fn run(desk: &Desk, flight: &Flight, wanted: &dyn Fn() -> bool) {
    let taken = flight.with(|work| (work.facts(), work.take_local(|way| *way == Way::Native)));
    let Some((facts, errands)) = taken else { return };
    for (place, account, _) in errands {
        if !wanted() {
            return;
        }
        let uid = account.uid.as_deref().unwrap_or("");
        let deed = Deed::Native {
            uid: uid.to_owned(),
            sender: facts.sender.clone(),
            arrived: facts.arrived,
            environment: environment(&facts, &account),
        };
        let outcome = deeds::order(desk, &facts, "unix-deliver", &deed, wanted);
        if desk.settings.local.unix_deliver.log {
            log(desk, &facts, "unix-deliver", &account, &outcome);
        }
        flight.with(|work| settle(work, place, outcome));
    }
}

/// The mailbox of `uid`, or `maildeliveryprogram` for it.
#[allow(clippy::too_many_arguments)] // each is one fact about one delivery
pub fn perform(
    settings: &Native,
    uid: &str,
    sender: Option<&str>,
    arrived: i64,
    environment: &[(String, String)],
    message: &File,
    wanted: &dyn Fn() -> bool,
    timeout: Duration,
) -> Done {
    match &settings.program {
        Some(program) => hand_over(settings, program, uid, sender, environment, message, wanted, timeout),
        None => append(settings, uid, &from_line(sender, arrived), message).into(),
    }
}

fn append(settings: &Native, uid: &str, from_line: &str, message: &File) -> Outcome {
    // Who a mailbox belongs to that is made here; nobody but root can give it away.
    let owner = if os::process::own_uid() == 0 {
        match os::user::numbers_of(uid) {
            Ok(Some((0, _))) => {
                return Outcome::Failed("5.7.1", "root has no mailbox outside of the store".into());
            }
            Ok(Some(owner)) => Some(owner),
            Ok(None) => return Outcome::Failed("5.1.1", format!("this host has no user {uid}")),
            Err(why) => return Outcome::Later(format!("the users of this host cannot be read: {why}")),
        }
    } else {
        None
    };
    let mbox = Mbox { folder: &settings.spool, name: uid, owner, from_line: from_line.to_owned() };
    let open = || -> io::Result<LineFeeds<BufReader<FromStart>>> {
        Ok(LineFeeds::new(BufReader::new(FromStart::of(message))))
    };
    match mbox.append(&open) {
        Ok(Appended::New | Appended::Before) => Outcome::Delivered,
        Err(why) => Outcome::Later(format!("{}/{uid}: {why}", mbox.folder.display())),
    }
}

/// `From alice@example.org Fri Feb 28 10:00:00 2026`, the same whenever it is made.
fn from_line(sender: Option<&str>, arrived: i64) -> String {
    let sender: String = sender
        .unwrap_or("MAILER-DAEMON")
        .chars()
        .map(|c| if c.is_whitespace() || c.is_control() { '_' } else { c })
        .collect();
    let moment = Timestamp::from_second(arrived).unwrap_or_default().to_zoned_datetime(TimeZone::UTC);
    format!("From {sender} {}", moment.strftime("%a %b %e %H:%M:%S %Y"))
}

#[allow(clippy::too_many_arguments)] // each is one fact about one run
fn hand_over(
    settings: &Native,
    program: &Path,
    uid: &str,
    sender: Option<&str>,
    environment: &[(String, String)],
    message: &File,
    wanted: &dyn Fn() -> bool,
    timeout: Duration,
) -> Done {
    let path: PathBuf = match (program.parent(), program.file_name().and_then(|name| name.to_str())) {
        (Some(folder), Some(name)) if program.is_absolute() => match trusted::program(folder, name) {
            Ok(path) => path,
            Err(Refusal::Name(why) | Refusal::Untrusted(why)) => return Outcome::Later(why).into(),
        },
        _ => {
            let program = program.display();
            return Outcome::Later(format!("maildeliveryprogram {program} is no whole path")).into();
        }
    };
    if harmless(uid) != uid || uid.is_empty() {
        return Outcome::Failed("5.1.1", "the account's uid is no name of a user of this host".into()).into();
    }
    let mut arguments = vec![uid.to_owned()];
    if settings.needs_sender {
        arguments.push(harmless(sender.unwrap_or("MAILER-DAEMON")));
    }
    let run = Run { path: &path, arguments: &arguments, environment, identity: settings.identity, timeout };
    execute(&run, message, settings.strips_cr, wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_from_line_is_that_of_mbox_files() {
        assert_eq!(
            from_line(Some("bob@a.example"), 1_772_272_800),
            "From bob@a.example Sat Feb 28 10:00:00 2026"
        );
        assert_eq!(from_line(None, 0), "From MAILER-DAEMON Thu Jan  1 00:00:00 1970");
        assert!(from_line(Some("\"a b\nFrom c\"@d"), 0).starts_with("From \"a_b_From_c\"@d Thu"));
    }
}

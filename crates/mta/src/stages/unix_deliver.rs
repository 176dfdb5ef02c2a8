//! unix-deliver: native delivery (X5), the mailbox that a user of this host has outside of the store.
//!
//! The message is appended to `<uid>` in `local.service.smtp.unix-deliver.mailspool`. When
//! `service.smtp.unix-deliver.maildeliveryprogram` names a program, that gets the message instead, with the uid as its
//! argument (NMS: the original always did so).

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use directory::Entry as Account;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::flight::Flight;
use crate::local_form::LineFeeds;
use crate::mbox::{Appended, Mbox};
use crate::mta::Desk;
use crate::stages::prog_deliver::{Outcome, execute, harmless, log, settle};
use crate::trusted::{self, Refusal};
use crate::ways::Way;
use crate::work::Facts;

/// Who a mailbox belongs to that smtpd makes when it is not root.
type Owner = Option<(u32, u32)>;

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
        let outcome = match &desk.settings.local.native.program {
            Some(program) => hand_over(desk, &facts, &account, program, uid, wanted),
            None => append(desk, &facts, uid),
        };
        if desk.settings.local.unix_deliver.log {
            log(desk, &facts, "unix-deliver", &account, &outcome);
        }
        flight.with(|work| settle(work, place, outcome));
    }
}

fn append(desk: &Desk, facts: &Facts, uid: &str) -> Outcome {
    let owner: Owner = if os::process::own_uid() == 0 {
        match os::user::numbers_of(uid) {
            Ok(Some(owner)) => Some(owner),
            Ok(None) => return Outcome::Failed("5.1.1", format!("this host has no user {uid}")),
            Err(why) => return Outcome::Later(format!("the users of this host cannot be read: {why}")),
        }
    } else {
        None
    };
    let mbox = Mbox {
        folder: &desk.settings.local.native.spool,
        name: uid,
        owner,
        from_line: from_line(facts.sender.as_deref(), facts.arrived),
    };
    let open = || -> io::Result<LineFeeds<BufReader<File>>> {
        Ok(LineFeeds::new(BufReader::new(File::open(&facts.path)?)))
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

fn hand_over(
    desk: &Desk,
    facts: &Facts,
    account: &Account,
    program: &Path,
    uid: &str,
    wanted: &dyn Fn() -> bool,
) -> Outcome {
    let settings = &desk.settings.local.native;
    let path: PathBuf = match (program.parent(), program.file_name().and_then(|name| name.to_str())) {
        (Some(folder), Some(name)) if program.is_absolute() => match trusted::program(folder, name) {
            Ok(path) => path,
            Err(Refusal::Name(why) | Refusal::Untrusted(why)) => return Outcome::Later(why),
        },
        _ => return Outcome::Later(format!("maildeliveryprogram {} is no whole path", program.display())),
    };
    if harmless(uid) != uid || uid.is_empty() {
        return Outcome::Failed("5.1.1", "the account's uid is no name of a user of this host".into());
    }
    let sender = harmless(facts.sender.as_deref().unwrap_or("MAILER-DAEMON"));
    let arguments: &[&str] = if settings.needs_sender { &[uid, &sender] } else { &[uid] };
    execute(desk, facts, account, &path, arguments, settings.identity, settings.strips_cr, wanted)
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

//! RCPT TO: adds one recipient to the open transaction (RFC 5321 §4.1.1.3).

use connection::Io;
use directory::{DirectoryError, Found, Question};
use mail_queue::Recipient;
use smtp_wire::{Address, Notify, RcptParameters, Reply};
use srs::Srs;

use crate::rates::What;
use crate::replies;
use crate::session::Session;
use crate::state::State;

/// What was looked up, and what was found.
pub(crate) type LookUps = Vec<(String, Found)>;

pub fn run(session: &mut Session, recipient: Address, parameters: RcptParameters, io: &Io) -> Reply {
    let lmtp = session.is_lmtp(io);
    let State::InTransaction { transaction, .. } = &session.state else {
        return replies::bad_sequence("Say MAIL first");
    };
    if transaction.receiving.is_some() {
        return replies::bad_sequence("The message has begun"); // RFC 3030 §2
    }
    if transaction.recipients.len() >= session.settings.recipients_max {
        return Reply::new(452, (4, 5, 3), "Too many recipients"); // RFC 5321 §4.5.3.1.10: 452, not 552
    }
    if (lmtp || !session.settings.do_dsn) && (parameters.notify.is_some() || parameters.orcpt.is_some()) {
        return replies::no_such_parameter();
    }
    let recipient = recipient.qualified(session.settings.domains.default_domain());
    if !session.is_qualified(&recipient, io) {
        return Reply::new(554, (5, 1, 2), "The domain is not fully qualified");
    }
    let (size, is_report) = (transaction.size, transaction.sender.is_none());
    let found = match check(session, &recipient, size, lmtp, is_report) {
        Ok(found) => found,
        Err(refusal) => return refusal,
    };
    if let Some(refusal) = session.keeps_rate(What::Recipient, io) {
        return refusal;
    }
    let added = Recipient {
        address: recipient.to_string(),
        orcpt: parameters.orcpt,
        notify: parameters.notify.map(notify_words),
        ..Recipient::default()
    };
    if let State::InTransaction { transaction, .. } = &mut session.state {
        transaction.found.extend(found);
        transaction.recipients.push(added);
    }
    Reply::new(250, (2, 1, 5), "Recipient accepted")
}

/// As the queue keeps it.
pub(crate) fn notify_words(notify: Notify) -> String {
    let words = [(notify.success, "success"), (notify.failure, "failure"), (notify.delay, "delay")];
    let wanted: Vec<&str> = words.iter().filter(|(wanted, _)| *wanted).map(|(_, word)| *word).collect();
    if wanted.is_empty() { "never".to_owned() } else { wanted.join(",") }
}

/// Who may be written to: everybody who is here, by anybody; everybody else, by who logged in or
/// comes from a network that may (`relaynetworks`). By LMTP only who is here: it is a delivery.
fn check(
    session: &Session,
    recipient: &Address,
    size: u64,
    lmtp: bool,
    is_report: bool,
) -> Result<LookUps, Reply> {
    if let Some(srs) = session.settings.srs.as_ref()
        && srs.is_meant(&recipient.local, &recipient.domain)
    {
        return rewritten(srs, recipient, is_report);
    }
    if !session.settings.domains.contains(&recipient.domain) {
        return match session.user {
            _ if lmtp => Err(Reply::new(550, (5, 1, 2), "Not a domain of this host")),
            Some(_) => Ok(LookUps::new()),
            None if session.may_relay => Ok(LookUps::new()),
            None => Err(Reply::new(550, (5, 7, 1), "Relaying denied")),
        };
    }
    if !session.settings.verify_recipients && !lmtp {
        return Ok(LookUps::new()); // the account-handler finds out
    }
    let mut look_ups = LookUps::new();
    match find(session, recipient, &mut look_ups) {
        // RFC 5321 §4.2.3: 552; RFC 3463 §3.3: X.2.2
        Ok(Found::One(entry)) if !(session.desk.has_room)(&entry, size) => {
            Err(Reply::new(552, (5, 2, 2), "User quota exceeded"))
        }
        Ok(Found::One(_)) => Ok(look_ups),
        Ok(Found::Nobody) => Err(Reply::new(550, (5, 1, 1), "No such user here")),
        // The administrator's mistake, not the sender's.
        Ok(Found::Several(_)) => {
            Err(Reply::new(451, (4, 3, 5), "The address is ambiguous here, try again later"))
        }
        Err(_) => Err(replies::directory_down()),
    }
}

/// The sender of mail that was forwarded here (SRS): reports about it come back, and nothing else.
fn rewritten(srs: &Srs, recipient: &Address, is_report: bool) -> Result<LookUps, Reply> {
    let now = base::clock::unix_seconds().unsigned_abs();
    match srs.original(&recipient.local, now) {
        Err(why) => Err(Reply::new(550, (5, 1, 1), format!("This is {why}"))),
        Ok(_) if !is_report => {
            Err(Reply::new(550, (5, 7, 1), "This address takes reports only (MAIL FROM:<>)"))
        }
        Ok(_) => Ok(LookUps::new()),
    }
}

/// The entry of an address; what was looked up is added to `look_ups`.
pub(crate) fn find(
    session: &Session,
    recipient: &Address,
    look_ups: &mut LookUps,
) -> Result<Found, DirectoryError> {
    let log_ins = &session.desk.log_ins;
    let directory = log_ins.authenticator().directory();
    directory::recipient(&recipient.local, &recipient.domain, &session.settings.domains, |question| {
        let address = match question {
            Question::Address(address) => address,
            Question::Uid(uid) => return directory.by_uid(uid),
        };
        let found = directory.by_address(address)?;
        look_ups.push((address.to_owned(), found.clone()));
        Ok(found)
    })
    .map(|(found, _)| found)
}

//! autoreply-handler: vacation, reply and echo (X4), by the rules of RFC 3834.
//!
//! An answer has the null sender, so nothing answers it, and nobody is told when it cannot be delivered. Its id follows
//! from what it answers: made again after a crash, it is found in the queue. Whether a sender was answered already is
//! remembered on disk, before the answer is made.

use base::content::Content;
use std::io::{self, Read, Write};

use directory::preferences::{self, VACATION_SUBJECT};
use directory::{Entry as Account, Found};
use mail_format::header::header_length;
use mail_queue::{Envelope, IncomingMessage, QueueError, Recipient, Step};
use server_log::Category;

use crate::autoreply::message::{Answer, Original, one_line, subject_of};
use crate::autoreply::remembered::{ANSWERS_A_DAY_MAX, Measure, Remembered};
use crate::autoreply::rules;
use crate::autoreply::texts::words;
use crate::autoreply::vacation::{Mode, is_answering, window};
use crate::mta::Desk;
use crate::signing;
use crate::ways::Way;
use crate::work::Work;

/// Bytes of a header that the rules look at.
const HEADER_BYTES_MAX: u64 = 256 * 1024;
/// A larger message is echoed by its header only.
const ECHO_BYTES_MAX: u64 = 1 << 20;
/// An answer that cannot be made for so long is not worth making.
const ANSWER_AGE_MAX: i64 = 86_400;
const DAY: i64 = 86_400;

/// Why there is no answer this time.
enum Trouble {
    Queue(QueueError),
    Other(String),
}

impl From<io::Error> for Trouble {
    fn from(why: io::Error) -> Trouble {
        Trouble::Queue(why.into())
    }
}

impl From<QueueError> for Trouble {
    fn from(why: QueueError) -> Trouble {
        Trouble::Queue(why)
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Trouble::Queue(why) => write!(f, "{why}"),
            Trouble::Other(why) => f.write_str(why),
        }
    }
}

/// Answers for every account of this message that answers by itself.
pub fn run(desk: &Desk, remembered: &Remembered, work: &mut Work) {
    for (place, account, _) in work.take_local(|way| *way == Way::AutoReply) {
        let id = work.entry.envelope.id.clone();
        let uid = account.uid.as_deref().unwrap_or(&account.mail);
        let outcome = answer(desk, remembered, work, &account);
        match &outcome {
            Ok(said) if desk.settings.local.autoreply_handler.log => {
                desk.log.notice(Category::Protocol, format_args!("autoreply-handler: {id} for={uid} {said}"))
            }
            Ok(_) => {}
            Err(why) => {
                let age = base::clock::unix_seconds().saturating_sub(work.entry.envelope.arrived());
                if age < ANSWER_AGE_MAX {
                    work.delay(format!("the answer for {uid} cannot be made: {why}"));
                    continue;
                }
                desk.log.error(
                    Category::General,
                    format_args!("autoreply-handler: {id} for={uid} not answered: {why}"),
                );
            }
        }
        let _ = work.entry.record(place, Step::Done); // not written down, it is found in the queue the next time
    }
}

/// Makes the answer, if one is due; what was done about it, for the log.
fn answer(desk: &Desk, remembered: &Remembered, work: &Work, account: &Account) -> Result<String, Trouble> {
    let envelope = &work.entry.envelope;
    let now = base::clock::unix_seconds();
    let Some(sender) = envelope.sender.as_deref() else { return Ok("no answer: the null sender".into()) };
    let Some(mode) = Mode::of(account).filter(|_| is_answering(account, now)) else {
        return Ok("no answer: not asked for any longer".into());
    };
    let content = work.entry.body().open()?;
    let header = read_header(&content, envelope.relay_offset)?;
    if let Err(reason) = rules::check(account, mode, sender, &header) {
        return Ok(format!("no answer to=<{sender}>: {reason}"));
    }
    let uid = account.uid.as_deref().unwrap_or(&account.mail);
    let measure = measure(desk, account, mode);
    if !remembered.decide(uid, sender, &envelope.delivery_key(), now, measure)? {
        return Ok(format!("no answer to=<{sender}>: answered before"));
    }
    let reader = match desk.directory.by_address(sender).map_err(|why| Trouble::Other(why.to_string()))? {
        Found::One(reader) => Some(reader),
        Found::Nobody | Found::Several(_) => None,
    };
    let local = &desk.settings.local;
    let words = words(account, mode, &local.site_texts, &subject_of(&header), |has| {
        local.languages.choose(&header, reader.as_deref(), sender, has)
    });
    let cause = format!("{} answer {uid}", envelope.delivery_key());
    let message = match desk.queue.begin_caused(envelope.arrived(), &cause, &envelope.id) {
        Err(QueueError::AlreadyThere) => return Ok(format!("{} to=<{sender}> (was there)", mode.name())),
        other => other?,
    };
    let id = message.id().clone();
    let said = format!("{} to=<{sender}> language={}", mode.name(), words.language.as_deref().unwrap_or("-"));
    let subject = (mode == Mode::Vacation).then(|| preferences::value(account, VACATION_SUBJECT)).flatten();
    let subject = subject.map(|subject| one_line(&subject));
    let answer = Answer {
        subject: subject.as_deref().filter(|subject| !subject.trim().is_empty()),
        host: &desk.settings.host_name,
        name: account.attributes.get("cn").and_then(|values| values.first()).map_or("", String::as_str),
        from: &account.mail,
        to: sender,
        id: id.as_str(),
        now,
        header: &header,
        words: &words,
    };
    let echo = (mode == Mode::Echo).then_some(&content);
    queue(desk, &answer, message, envelope, echo)?;
    Ok(format!("{said} answer={id}"))
}

fn measure(desk: &Desk, account: &Account, mode: Mode) -> Measure {
    match mode {
        Mode::Vacation => Measure {
            most: 1,
            seconds: i64::try_from(desk.settings.local.vacation_period.as_secs()).unwrap_or(i64::MAX),
            since: window(account).0.unwrap_or(i64::MIN),
        },
        Mode::Reply | Mode::Echo => Measure { most: ANSWERS_A_DAY_MAX, seconds: DAY, since: i64::MIN },
    }
}

fn read_header(content: &Content, from: u64) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    content.from(from).take(HEADER_BYTES_MAX).read_to_end(&mut start)?;
    start.truncate(header_length(&start));
    Ok(start)
}

/// Puts the answer into the queue, with the message when it is an echo.
fn queue(
    desk: &Desk,
    answer: &Answer<'_>,
    mut message: IncomingMessage,
    about: &Envelope,
    echo: Option<&Content>,
) -> Result<(), QueueError> {
    message.write_all(b"Return-Path: <>\r\n")?;
    let id = message.id().clone();
    let mut envelope = Envelope::new(id.clone());
    envelope.parent = Some(about.id.clone());
    envelope.require_tls = about.require_tls; // what it tells of what it answers is to be kept from others, too
    envelope.relay_offset = message.size();
    let received = format!(
        "Received: by {} (Mailboat {}) id {id};\r\n\t{}\r\n",
        answer.host,
        env!("CARGO_PKG_VERSION"),
        mail_format::format_date(answer.now, 0)
    );
    message.write_all(received.as_bytes())?;
    envelope.smtputf8 = !answer.to.is_ascii() || !answer.from.is_ascii();
    match echo {
        None => {
            let head = answer.head(None);
            envelope.eight_bit = !head.is_ascii();
            message.write_all(head.as_bytes())?;
        }
        Some(content) => {
            let whole = about.message_size <= ECHO_BYTES_MAX;
            let original = Original { whole, eight_bit: about.eight_bit };
            let head = answer.head(Some(original));
            message.write_all(head.as_bytes())?;
            if whole {
                io::copy(&mut content.from(about.relay_offset), &mut message)?;
            } else {
                message.write_all(answer.header)?;
            }
            message.write_all(answer.end().as_bytes())?;
            envelope.eight_bit = about.eight_bit || !head.is_ascii();
            envelope.smtputf8 |= about.smtputf8;
        }
    }
    envelope.protocol = "local".into();
    envelope.host_from = answer.host.to_owned();
    // Whoever forged the sender does not make the postmaster read about it.
    let notify = Some("never".to_owned());
    envelope.recipients = vec![Recipient { address: answer.to.to_owned(), notify, ..Recipient::default() }];
    signing::sign_own(desk, &mut message, envelope.relay_offset)?;
    message.commit(envelope).map(drop)
}

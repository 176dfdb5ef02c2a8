//! What a user has sent: one file for each user, bounded (docs/formats/webmail.md).
//!
//! ```text
//! webmail 1 <CRC-32 of what follows, 8 hex digits>
//! <JSON of Record>
//! ```
//! It is replaced as a whole, durably, under the lock of a file beside it. One that is damaged is put aside: what is lost with
//! it is what can be shown of former submissions, and no mail.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use os::lock::{Mode, OfdLock};
use serde::{Deserialize, Serialize};

use super::content::Person;
use super::{Address, Envelope};

/// Submissions that are remembered.
const SUBMISSIONS_MAX: usize = 200;
/// Ids of destroyed ones, for /changes.
const DESTROYED_MAX: usize = 500;
/// People who were written to.
const PEOPLE_MAX: usize = 1000;
/// How long a lock of a user's is waited for: who waits is a worker, of which there are so many.
const LOCK_WAIT: Duration = Duration::from_secs(4);
/// Of one message.
const PEOPLE_OF_ONE_MAX: usize = 50;
/// Recipients of one submission that are remembered.
const RECIPIENTS_KEPT: usize = 1000;
/// Bytes of all recipients that are remembered; beyond it only a few of each submission are, the oldest first.
const RECIPIENT_BYTES_MAX: usize = 4 << 20;
const RECIPIENTS_FEW: usize = 5;
const NAME_CHARACTERS_MAX: usize = 100;

/// How far a submission is (RFC 8621 §7, undoStatus).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is being given to smtpd, or was when the process ended.
    Sending,
    Pending,
    Final,
    Canceled,
}

/// An EmailSubmission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    pub id: String,
    pub identity: String,
    /// Empty: of no email in the store.
    pub email: String,
    /// The id of the upload, when it is of none. Whoever asks a second time names the same.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub upload: String,
    pub thread: String,
    pub envelope: Envelope,
    /// Seconds since 1970.
    pub send_at: i64,
    pub status: Status,
    /// It was to be taken back when the process ended.
    #[serde(default)]
    pub canceling: bool,
    /// In smtpd's queue.
    pub queue_id: Option<String>,
    /// The record's number at its last change, and at its making.
    pub changed: u64,
    pub created: u64,
}

impl Submission {
    /// Whether it is of the same email, or of the same upload.
    pub fn is_of(&self, other: &Submission) -> bool {
        let same = |ours: &str, theirs: &str| !ours.is_empty() && ours == theirs;
        same(&self.email, &other.email) || same(&self.upload, &other.upload)
    }

    /// Whether this is its envelope, as far as it is remembered.
    pub fn is_for(&self, envelope: &Envelope) -> bool {
        let kept = &envelope.rcpt_to[..envelope.rcpt_to.len().min(RECIPIENTS_KEPT)];
        self.envelope.mail_from == envelope.mail_from && self.envelope.rcpt_to == kept
    }
}

/// Somebody who was written to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    pub name: String,
    pub email: String,
}

/// All that is remembered of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Grows with each change.
    pub number: u64,
    /// Oldest first.
    pub submissions: Vec<Submission>,
    /// With the number at which each went.
    pub destroyed: Vec<(u64, String)>,
    /// What went before this number is not known any more.
    pub forgotten: u64,
    /// Who was written to last is the last.
    pub people: Vec<Known>,
}

impl Record {
    pub fn find(&mut self, id: &str) -> Option<&mut Submission> {
        self.submissions.iter_mut().find(|one| one.id == id)
    }

    /// The number of a change.
    pub fn next(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// A new one; the oldest that are over make room.
    pub fn push(&mut self, mut new: Submission) {
        let number = self.next();
        (new.changed, new.created) = (number, number);
        new.envelope.rcpt_to.truncate(RECIPIENTS_KEPT);
        self.submissions.push(new);
        while self.submissions.len() > SUBMISSIONS_MAX {
            let over = |one: &Submission| matches!(one.status, Status::Final | Status::Canceled);
            let place = self.submissions.iter().position(over).unwrap_or(0);
            let id = self.submissions[place].id.clone();
            self.destroy(&id);
        }
        self.forget_recipients();
    }

    /// Keeps the record small: who else a submission went to is only shown, those that are over are cut first.
    fn forget_recipients(&mut self) {
        let bytes = |one: &Submission| one.envelope.rcpt_to.iter().map(recipient_bytes).sum::<usize>();
        let mut all: usize = self.submissions.iter().map(bytes).sum();
        let over = |one: &Submission| matches!(one.status, Status::Final | Status::Canceled);
        for is_over in [true, false] {
            for one in self.submissions.iter_mut().filter(|one| over(one) == is_over) {
                if all <= RECIPIENT_BYTES_MAX {
                    return;
                }
                all -= bytes(one);
                one.envelope.rcpt_to.truncate(RECIPIENTS_FEW);
                all += bytes(one);
            }
        }
    }

    /// Whether there was one.
    pub fn destroy(&mut self, id: &str) -> bool {
        let Some(place) = self.submissions.iter().position(|one| one.id == id) else { return false };
        self.submissions.remove(place);
        let number = self.next();
        self.destroyed.push((number, id.to_owned()));
        if self.destroyed.len() > DESTROYED_MAX {
            self.forgotten = self.destroyed.remove(0).0;
        }
        true
    }

    /// Remembers who was written to.
    pub fn know(&mut self, people: impl IntoIterator<Item = Person>) {
        for person in people.into_iter().take(PEOPLE_OF_ONE_MAX) {
            let name: String =
                person.name.chars().filter(|c| !c.is_control()).take(NAME_CHARACTERS_MAX).collect();
            let former = self.people.iter().position(|known| base::idn::same(&known.email, &person.email));
            let former = former.map(|place| self.people.remove(place).name);
            let name = if name.is_empty() { former.unwrap_or_default() } else { name };
            self.people.push(Known { name, email: person.email });
        }
        let beyond = self.people.len().saturating_sub(PEOPLE_MAX);
        self.people.drain(..beyond);
    }
}

fn recipient_bytes(address: &Address) -> usize {
    let parameter =
        |(name, value): &(String, Option<String>)| name.len() + value.as_ref().map_or(0, String::len);
    address.email.len() + address.parameters.iter().map(parameter).sum::<usize>()
}

/// The record of a user, which nobody else changes meanwhile.
pub struct OpenRecord {
    path: PathBuf,
    _lock: OfdLock,
    pub record: Record,
    before: Record,
}

impl OpenRecord {
    /// # Errors
    /// `TimedOut` when another one has it for seconds; the system's.
    pub fn take(folder: &Path, uid: &str) -> io::Result<OpenRecord> {
        let path = place(folder, uid)?;
        let lock = locked(&path.with_extension("lock"))?;
        let record = read(&path)?;
        Ok(OpenRecord { path, _lock: lock, before: record.clone(), record })
    }

    /// Writes it, if it is another one.
    ///
    /// # Errors
    /// The system's; the former one stays.
    pub fn save(mut self) -> io::Result<()> {
        self.keep()
    }

    /// The same, and it stays open.
    ///
    /// # Errors
    /// The system's; the former one stays.
    pub fn keep(&mut self) -> io::Result<()> {
        if self.record == self.before {
            return Ok(());
        }
        let json = serde_json::to_string(&self.record).map_err(io::Error::other)?;
        let text = format!("webmail 1 {:08x}\n{json}", base::crc32(json.as_bytes()));
        base::replace::durable_replace(&self.path, text.as_bytes(), 0o600)?;
        self.before = self.record.clone();
        Ok(())
    }
}

/// Only one request of a user sends at a time, in whatever process: who has this knows that nobody else is about to.
///
/// # Errors
/// `TimedOut` when another one has it for seconds; the system's.
pub fn sending(folder: &Path, uid: &str) -> io::Result<OfdLock> {
    locked(&place(folder, uid)?.with_extension("sending"))
}

/// Only one request takes emails out of an account's mailboxes at a time, whoever's it is and in whatever process: what it sees
/// meanwhile of the mailboxes that an email is in, no other request changes.
///
/// # Errors
/// `TimedOut` when another one has it for seconds; the system's.
pub fn removing(folder: &Path, account: &str) -> io::Result<OfdLock> {
    locked(&place(folder, account)?.with_extension("removing"))
}

fn locked(path: &Path) -> io::Result<OfdLock> {
    let file = Arc::new(base::replace::lock_file(path)?);
    OfdLock::acquire(&file, 0, Mode::Exclusive, LOCK_WAIT)
}

/// The file of a user; its folder is there.
fn place(folder: &Path, uid: &str) -> io::Result<PathBuf> {
    let folder = folder.join(base::hashdir::path(uid));
    DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    Ok(folder.join(format!("{}.sent", escaped(uid))))
}

/// A name that stays in its folder, the same for a uid in any case.
fn escaped(uid: &str) -> String {
    let lower = uid.to_lowercase();
    lower
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
            other => format!("%{other:02x}"),
        })
        .collect()
}

fn read(path: &Path) -> io::Result<Record> {
    // However large it is, it was written here: refusing it would forget what waits.
    let text = match fs::read(path) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Record::default()),
        read => read?,
    };
    match decode(&text) {
        Some(record) => Ok(record),
        None => set_aside(path),
    }
}

fn decode(text: &[u8]) -> Option<Record> {
    let at = text.iter().position(|byte| *byte == b'\n')?;
    let (head, json) = text.split_at(at);
    let check = std::str::from_utf8(head).ok()?.strip_prefix("webmail 1 ")?;
    let json = &json[1..];
    (u32::from_str_radix(check, 16).ok()? == base::crc32(json))
        .then(|| serde_json::from_slice(json).ok())
        .flatten()
}

fn set_aside(path: &Path) -> io::Result<Record> {
    fs::rename(path, path.with_extension("damaged"))?;
    Ok(Record::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn submission(id: &str, status: Status) -> Submission {
        let address = Address { email: "a@x.test".into(), parameters: Vec::new() };
        Submission {
            id: id.into(),
            identity: "I".into(),
            email: "M".into(),
            upload: String::new(),
            thread: "T".into(),
            envelope: Envelope { mail_from: address.clone(), rcpt_to: vec![address] },
            send_at: 1,
            status,
            canceling: false,
            queue_id: None,
            changed: 0,
            created: 0,
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written_and_a_damaged_one_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let mut open = OpenRecord::take(folder.path(), "Al/ice..").unwrap();
        open.record.push(submission("S1", Status::Pending));
        open.record.know([Person { name: "B".into(), email: "b@x.test".into() }]);
        let record = open.record.clone();
        open.save().unwrap();
        assert_eq!(OpenRecord::take(folder.path(), "al/ICE..").unwrap().record, record);
        let path = place(folder.path(), "al/ice..").unwrap();
        assert!(path.starts_with(folder.path()) && path.file_name().unwrap() == "al%2fice%2e%2e.sent");
        let mut text = fs::read(&path).unwrap();
        *text.last_mut().unwrap() ^= 1;
        fs::write(&path, text).unwrap();
        assert_eq!(OpenRecord::take(folder.path(), "al/ice..").unwrap().record, Record::default());
        assert!(path.with_extension("damaged").exists());
    }

    #[test]
    fn it_is_bounded_and_what_waits_stays() {
        let mut record = Record::default();
        record.push(submission("waits", Status::Pending));
        for n in 0..SUBMISSIONS_MAX + 5 {
            record.push(submission(&format!("S{n}"), Status::Final));
        }
        assert_eq!(record.submissions.len(), SUBMISSIONS_MAX);
        assert!(record.find("waits").is_some() && record.find("S0").is_none());
        for n in 0..PEOPLE_MAX + 10 {
            record.know([Person { name: format!("P{n}"), email: format!("p{n}@x.test") }]);
        }
        record.know([Person { name: String::new(), email: "P20@x.test".into() }]);
        assert_eq!(record.people.len(), PEOPLE_MAX);
        assert_eq!(record.people.last().unwrap().name, "P20", "the name that was known stays");
    }

    /// What waits can still be taken back when much was sent to many.
    #[test]
    fn many_recipients_do_not_make_it_too_large_to_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let many = |n: usize, status: Status| {
            let mut one = submission(&format!("S{n}"), status);
            let email = |r: usize| format!("{}{r}@{}.test", "a".repeat(60), "d".repeat(180));
            one.envelope.rcpt_to =
                (0..1000).map(|r| Address { email: email(r), parameters: Vec::new() }).collect();
            one
        };
        for n in 0..60 {
            let mut open = OpenRecord::take(folder.path(), "bob").unwrap();
            assert_eq!(open.record.submissions.len(), n);
            open.record.push(many(n, if n % 4 == 0 { Status::Final } else { Status::Pending }));
            open.save().unwrap();
        }
        let path = place(folder.path(), "bob").unwrap();
        assert!(fs::metadata(&path).unwrap().len() < 8 << 20);
        let open = OpenRecord::take(folder.path(), "bob").unwrap();
        assert_eq!((open.record.submissions.len(), open.record.number), (60, 60));
        let kept = |n: usize| open.record.submissions[n].envelope.rcpt_to.len();
        assert_eq!((kept(0), kept(1), kept(59)), (RECIPIENTS_FEW, RECIPIENTS_FEW, 1000));
        drop(open);
        // One of a former version, which was larger.
        let mut open = OpenRecord::take(folder.path(), "amy").unwrap();
        open.record.submissions = (0..60).map(|n| many(n, Status::Pending)).collect();
        open.save().unwrap();
        assert_eq!(OpenRecord::take(folder.path(), "amy").unwrap().record.submissions.len(), 60);
    }
}

//! The deferred queue: entries that wait for another host, in a folder for each domain (S77 to S80).
//!
//! ```text
//! deferred/SMTP-Deliver/xx/yy/<domain>/env-<id>      xx/yy is hashdir(domain)
//! deferred/SMTP-Deliver/xx/yy/<domain>/aa/bb/<id>    aa/bb is hashdir(id)
//! ```
//! An entry all of whose recipients wait for one domain moves there as it is; of others, a part is split off: an entry of
//! its own, whose message is another link of the same file. The order of the steps, with the crash between every two,
//! stands in `docs/formats/queue.md`.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base::crash;
use commit_journal::{SyncLevel, sync_file, sync_folder};
use counters::Counter;
use server_log::Category;

use crate::entry::{Entry, Home};
use crate::queue::{Queue, QueueError, move_aside};
use crate::{Envelope, QueueId, State, Step};

/// Longest name of a domain's folder. Longer ones are cut, and told apart by a number; the address is in the envelope.
const FOLDER_NAME_MAX: usize = 200;
/// How often a folder is made again that somebody removed because it was empty.
const FOLDER_TRIES: usize = 20;
/// Age from which a message without an envelope is not one that is being moved.
const REAP_SECONDS: i64 = 600;
/// Domains of one message that are looked at for parts that were split off.
const NOTED_DOMAINS_MAX: usize = 1000;

impl Queue {
    /// The folder of a domain's deferred entries, whether it exists or not.
    pub fn deferred_folder(&self, domain: &str) -> PathBuf {
        let domain = domain.to_ascii_lowercase();
        self.shared.deferred.join(base::hashdir::path(&domain)).join(folder_name(&domain))
    }

    pub(crate) fn deferred_message_path(&self, domain: &str, id: &QueueId) -> PathBuf {
        self.deferred_folder(domain).join(base::hashdir::path(id.as_str())).join(id.as_str())
    }

    /// The entry of this id that waits for `domain`.
    ///
    /// # Errors
    /// As [`Queue::load`].
    pub fn load_deferred(&self, domain: &str, id: &QueueId) -> Result<Option<Entry>, QueueError> {
        Entry::load(self.clone(), id, Home::Deferred(domain.to_ascii_lowercase()))
    }

    /// The ids that wait for `domain`, oldest first; none when nothing does.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn deferred_ids(&self, domain: &str) -> io::Result<Vec<QueueId>> {
        ids_in(&self.deferred_folder(domain))
    }

    /// Whether anything waits for `domain`.
    pub fn has_deferred(&self, domain: &str) -> bool {
        let is_envelope = |entry: io::Result<fs::DirEntry>| {
            entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("env-"))
        };
        fs::read_dir(self.deferred_folder(domain)).is_ok_and(|mut entries| entries.any(is_envelope))
    }

    /// Calls `each` for every domain that has a folder. A name that was cut is read from an envelope inside.
    ///
    /// # Errors
    /// A folder cannot be read.
    pub fn deferred_domains(&self, mut each: impl FnMut(String)) -> io::Result<()> {
        for first in folders(&self.shared.deferred)? {
            for second in folders(&first)? {
                for folder in folders(&second)? {
                    if let Some(domain) = domain_of(self, &folder) {
                        each(domain);
                    }
                }
            }
        }
        Ok(())
    }

    /// The entry into which these recipients were split off before, if a crash came between that and the note of it.
    pub fn split_before(&self, envelope: &Envelope, places: &[usize], domain: &str) -> Option<QueueId> {
        let id = split_id(envelope, places, domain);
        let bytes = fs::read(self.deferred_folder(domain).join(id.envelope_name())).ok()?;
        // A torn one was never noted, and its recipients are still here. One of the same name may be another's child.
        let root = envelope.parent.as_ref().unwrap_or(&envelope.id);
        Envelope::decode(&bytes)
            .is_ok_and(|child| child.id == id && child.parent.as_ref() == Some(root))
            .then_some(id)
    }

    /// The folders of the messages that wait for `domain`, each a part of what [`Queue::reap_deferred`] looks at.
    ///
    /// # Errors
    /// A folder cannot be read.
    pub fn message_folders(&self, domain: &str) -> io::Result<Vec<PathBuf>> {
        let above = folders(&self.deferred_folder(domain))?;
        Ok(above.iter().map(|first| folders(first)).collect::<io::Result<Vec<_>>>()?.concat())
    }

    /// Removes what interrupted moves left in a folder of messages for `domain`: those that no envelope names. Whose only link
    /// it is goes to lost+found. Returns how many there were.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn reap_deferred(&self, domain: &str, folder: &Path) -> io::Result<usize> {
        self.reap_at(domain, folder, base::clock::unix_seconds())
    }

    fn reap_at(&self, domain: &str, folder: &Path, now: i64) -> io::Result<usize> {
        let top = self.deferred_folder(domain);
        let mut found = 0;
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0), // empty meanwhile
            other => other?,
        };
        for entry in entries {
            let entry = entry?;
            let id = entry.file_name().to_str().and_then(QueueId::parse);
            let named = id.is_some_and(|id| top.join(id.envelope_name()).exists());
            let meta = match entry.metadata() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other?,
            };
            // One that is being moved just now is young: a new link changes the time.
            let old = now.saturating_sub(meta.ctime()) > REAP_SECONDS;
            if named || !old || !meta.is_file() {
                continue;
            }
            found += 1;
            if meta.nlink() > 1 {
                fs::remove_file(entry.path())?;
            } else if move_aside(&entry.path(), &self.shared.lost) {
                let name = entry.file_name();
                self.shared.log.warning(
                    Category::General,
                    format_args!(
                        "{}: no envelope of {domain} belongs to it; put into queue/lost+found",
                        name.to_string_lossy()
                    ),
                );
            }
            self.remove_empty_folders(domain, &entry.path());
        }
        Ok(found)
    }

    /// Makes a folder and those above, durably, and does `act` in it; again when it was removed in between.
    fn in_folder<T>(
        &self,
        folder: &Path,
        level: SyncLevel,
        act: impl Fn() -> io::Result<T>,
    ) -> io::Result<T> {
        for _ in 0..FOLDER_TRIES {
            if !folder.is_dir() {
                DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
                for above in folder.ancestors().skip(1) {
                    sync_folder(above, level)?;
                    if above == self.shared.deferred {
                        break;
                    }
                }
            }
            match act() {
                Err(error) if error.kind() == io::ErrorKind::NotFound && !folder.is_dir() => {}
                other => return other,
            }
        }
        Err(io::Error::other("the folder of the domain is removed again and again"))
    }

    pub(crate) fn remove_empty_folders(&self, domain: &str, message: &Path) {
        let top = self.deferred_folder(domain);
        for folder in message.ancestors().skip(1).take_while(|folder| folder.starts_with(&top)) {
            if fs::remove_dir(folder).is_err() {
                return; // in use, or gone
            }
        }
    }

    fn link_message(&self, from: &Path, to: &Path) -> io::Result<()> {
        let level = self.shared.settings.message_sync;
        let folder = to.parent().unwrap_or(to);
        self.in_folder(folder, level, || match fs::hard_link(from, to) {
            // By an attempt that was interrupted; else the name is another message's.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_same(from, to)? => Ok(()),
            other => other,
        })?;
        sync_folder(folder, level)
    }
}

impl Entry {
    /// Moves the whole entry to the folder of `domain`: everybody who is left waits for it.
    ///
    /// # Errors
    /// It is where it was.
    pub fn defer(&mut self, domain: &str) -> io::Result<()> {
        let domain = domain.to_ascii_lowercase();
        if self.home == Home::Deferred(domain.clone()) {
            return Ok(());
        }
        self.leave_journal()?;
        let new = Home::Deferred(domain.clone());
        let queue = self.queue.clone();
        let id = &self.envelope.id;
        let (old_message, new_message) = (self.message_file(), queue.message_in(&new, id));
        let (old_envelope, new_envelope) = (queue.envelope_in(&self.home, id), queue.envelope_in(&new, id));
        queue.link_message(&old_message, &new_message)?;
        crash::step("defer: message linked");
        let (level, folder) = (queue.shared.settings.envelope_sync, queue.deferred_folder(&domain));
        queue.in_folder(&folder, level, || fs::rename(&old_envelope, &new_envelope))?;
        crash::step("defer: envelope moved");
        let was_control = self.home == Home::Control;
        let before = std::mem::replace(&mut self.home, new);
        if was_control {
            queue.gone();
        }
        // It has moved. The old name goes only when the new one stays; left, it goes at the next start.
        let gone = sync_folder(&folder, level)
            .and_then(|()| sync_folder(&queue.shared.control, level))
            .and_then(|()| fs::remove_file(&old_message));
        if let Err(why) = gone {
            queue.shared.log.warning(Category::General, format_args!("{}: {why}", old_message.display()));
        }
        crash::step("defer: old name removed");
        if let Home::Deferred(domain) = before {
            queue.remove_empty_folders(&domain, &old_message);
        }
        Ok(())
    }

    /// Splits these recipients off into an entry of their own that waits for `domain` until `next`.
    ///
    /// # Errors
    /// They are where they were; doing it again finds what was done.
    pub fn split(
        &mut self,
        places: &[usize],
        domain: &str,
        next: i64,
        text: &str,
    ) -> Result<QueueId, QueueError> {
        let queue = self.queue.clone();
        let settings = &queue.shared.settings;
        if let Some(id) = queue.split_before(&self.envelope, places, domain) {
            self.note_split(places, &id)?;
            return Ok(id);
        }
        let id = split_id(&self.envelope, places, domain);
        let home = Home::Deferred(domain.to_ascii_lowercase());
        self.file()?;
        // Those of this domain who have it already must not be forgotten: the id follows from who is left.
        self.sync()?;
        crash::step("split: parent synced");
        self.make_message_durable()?;
        queue.link_message(&self.message_file(), &queue.message_in(&home, &id))?;
        crash::step("split: message linked");
        let mut child = self.envelope.clone();
        child.parent = Some(child.parent.unwrap_or_else(|| self.envelope.id.clone()));
        child.id = id.clone();
        child.recipients = places.iter().filter_map(|place| self.as_asked(*place)).collect();
        let now = base::clock::unix_seconds();
        counters::add(Counter::Deferred, 1);
        let text = child.encode() + &Step::Attempt { next, text: text.to_owned() }.encode(0, now);
        let (path, folder) = (queue.envelope_in(&home, &id), queue.deferred_folder(domain));
        // It gets its name when it is whole: whoever looks through the folder meanwhile would find it damaged.
        let temporary = folder.join(format!("new-{id}"));
        let file = queue.in_folder(&folder, settings.envelope_sync, || {
            // One that is there is of an attempt that was interrupted.
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)
        })?;
        crash::step("split: envelope begun");
        (&file).write_all(text.as_bytes())?;
        sync_file(&file, settings.envelope_sync)?;
        crash::step("split: envelope synced");
        fs::rename(&temporary, &path)?;
        sync_folder(&folder, settings.envelope_sync)?;
        crash::step("split: envelope named");
        self.note_split(places, &id)?;
        crash::step("split: noted");
        Ok(id)
    }

    /// Notes what was split off before a crash that came before the note. At start, before any part can be sent and gone.
    ///
    /// # Errors
    /// It could not be written.
    pub fn note_splits(&mut self) -> io::Result<()> {
        let mut groups: Vec<(String, Vec<usize>)> = Vec::new();
        for place in self.envelope.pending() {
            let Some((_, domain)) = self.envelope.recipients[place].address.rsplit_once('@') else {
                continue;
            };
            let domain = base::idn::domain(domain);
            match groups.iter().position(|(name, _)| *name == domain) {
                Some(at) => groups[at].1.push(place),
                None if groups.len() < NOTED_DOMAINS_MAX => groups.push((domain, vec![place])),
                None => {}
            }
        }
        for (domain, places) in groups {
            if let Some(id) = self.queue.split_before(&self.envelope, &places, &domain) {
                self.note_split(&places, &id)?;
            }
        }
        Ok(())
    }

    /// Says durably that these recipients are in the entry `id` now.
    ///
    /// # Errors
    /// It could not be written; the child is found by [`Queue::split_before`] the next time.
    pub fn note_split(&mut self, places: &[usize], id: &QueueId) -> io::Result<()> {
        self.record_all(places.iter().map(|place| (*place, Step::Moved(id.clone()))).collect())?;
        self.sync()
    }

    /// A recipient as an entry of its own has it: what it was made from is told as the original recipient (RFC 3461 §4.2).
    fn as_asked(&self, place: usize) -> Option<crate::Recipient> {
        let recipients = &self.envelope.recipients;
        let mut recipient = recipients.get(place)?.clone();
        recipient.orcpt = self.envelope.orcpt(place);
        recipient.from = None;
        recipient.state = State::Pending;
        Some(recipient)
    }
}

pub(crate) fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    let (one, other) = (fs::metadata(one)?, fs::metadata(other)?);
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}

fn split_id(envelope: &Envelope, places: &[usize], domain: &str) -> QueueId {
    let cause = format!("{} {} {places:?}", envelope.delivery_key(), domain.to_ascii_lowercase());
    QueueId::derived(envelope.arrived(), &cause)
}

fn folder_name(domain: &str) -> String {
    let mut name = String::with_capacity(domain.len());
    for byte in domain.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(byte)),
            b'.' if !name.is_empty() => name.push('.'),
            _ => name.push_str(&format!("%{byte:02x}")),
        }
    }
    if name.len() > FOLDER_NAME_MAX {
        name.truncate(FOLDER_NAME_MAX);
        name.push_str(&format!("~{:08x}", base::crc32(domain.as_bytes())));
    }
    name
}

/// The domain of a folder: its name, or where that was cut, the domain of the first recipient that is inside.
fn domain_of(queue: &Queue, folder: &Path) -> Option<String> {
    let name = folder.file_name()?.to_str()?;
    let domain = if name.contains('~') {
        let id = ids_in(folder).ok()?.into_iter().next()?;
        let bytes = fs::read(folder.join(id.envelope_name())).ok()?;
        let envelope = Envelope::decode(&bytes).ok()?;
        base::idn::domain(envelope.recipients.last()?.address.rsplit_once('@')?.1)
    } else {
        crate::escape::unescape(name)?
    };
    (queue.deferred_folder(&domain) == folder).then_some(domain)
}

fn ids_in(folder: &Path) -> io::Result<Vec<QueueId>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut ids: Vec<QueueId> = entries
        .filter_map(|entry| QueueId::parse(entry.ok()?.file_name().to_str()?.strip_prefix("env-")?))
        .collect();
    ids.sort();
    Ok(ids)
}

fn folders(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    Ok(entries
        .filter_map(|entry| entry.ok().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())))
        .map(|entry| entry.path())
        .collect())
}

#[cfg(test)]
mod tests {
    use server_log::Log;

    use super::*;
    use crate::{QueueSettings, Recipient};

    fn queue(folder: &Path) -> Queue {
        let settings = QueueSettings {
            envelope_sync: SyncLevel::Data,
            message_sync: SyncLevel::Data,
            ..QueueSettings::in_folder(folder)
        };
        Queue::open(settings, Log::discard()).unwrap()
    }

    fn commit(queue: &Queue, recipients: &[&str]) -> QueueId {
        let mut incoming = queue.begin();
        incoming.write_all(b"Subject: x\r\n\r\nx\r\n").unwrap();
        let mut envelope = Envelope::new(QueueId::next());
        envelope.sender = Some("a@here.test".into());
        envelope.recipients = recipients
            .iter()
            .map(|address| Recipient { address: (*address).into(), ..Recipient::default() })
            .collect();
        incoming.commit(envelope).unwrap()
    }

    /// S77, S78, S79: both files move, and hashdir finds them.
    #[test]
    fn a_whole_entry_moves_and_comes_to_its_end_there() {
        let folder = tempfile::tempdir().unwrap();
        let queue = queue(folder.path());
        let id = commit(&queue, &["x@Down.test"]);
        let mut entry = queue.load(&id).unwrap().unwrap();
        entry.record(0, Step::Attempt { next: 7, text: "4.4.1 refused".into() }).unwrap();
        entry.defer("Down.test").unwrap();
        assert_eq!(queue.depth(), 0);
        assert!(!queue.message_path(&id).exists() && !queue.envelope_path(&id).exists());
        let place = folder.path().join("deferred/SMTP-Deliver").join(base::hashdir::path("down.test"));
        assert!(place.join("down.test").join(format!("env-{id}")).exists());
        let message = place.join("down.test").join(base::hashdir::path(id.as_str())).join(id.as_str());
        assert_eq!(fs::metadata(&message).unwrap().nlink(), 1);
        assert_eq!(queue.deferred_ids("DOWN.test").unwrap(), std::slice::from_ref(&id));
        let mut domains = Vec::new();
        queue.deferred_domains(|domain| domains.push(domain)).unwrap();
        assert_eq!(domains, ["down.test"]);
        let mut entry = queue.load_deferred("down.test", &id).unwrap().unwrap();
        assert_eq!((entry.envelope.next_attempt, entry.envelope.last_error.as_str()), (7, "4.4.1 refused"));
        entry.record(0, Step::Done).unwrap();
        entry.finish().unwrap();
        assert!(!place.join("down.test").exists(), "empty folders go");
    }

    #[test]
    fn a_part_is_split_off_once_whatever_is_interrupted() {
        let folder = tempfile::tempdir().unwrap();
        let queue = queue(folder.path());
        let id = commit(&queue, &["a@here.test", "b@down.test", "c@other.test"]);
        let mut entry = queue.load(&id).unwrap().unwrap();
        assert_eq!(queue.split_before(&entry.envelope, &[1], "down.test"), None);
        let child = entry.split(&[1], "down.test", 99, "4.4.1 refused").unwrap();
        assert_eq!(entry.envelope.pending().collect::<Vec<_>>(), [0, 2]);
        // The crash came before the note in the parent: it is found by what it was made from.
        let text = fs::read_to_string(queue.envelope_path(&id)).unwrap();
        let without: String =
            text.lines().filter(|line| !line.starts_with("moved")).map(|line| format!("{line}\n")).collect();
        fs::write(queue.envelope_path(&id), without).unwrap();
        let mut again = queue.load(&id).unwrap().unwrap();
        assert_eq!(queue.split_before(&again.envelope, &[1], "down.test"), Some(child.clone()));
        fs::write(queue.deferred_folder("down.test").join(child.envelope_name()), "Mailboat-Env").unwrap();
        assert_eq!(queue.split_before(&again.envelope, &[1], "down.test"), None, "a torn one does not count");
        assert_eq!(again.split(&[1], "down.test", 99, "4.4.1 refused").unwrap(), child);
        assert_eq!(queue.deferred_ids("down.test").unwrap(), std::slice::from_ref(&child));
        let waiting = queue.load_deferred("down.test", &child).unwrap().unwrap();
        assert_eq!(waiting.envelope.recipients.len(), 1);
        assert_eq!(waiting.envelope.recipients[0].address, "b@down.test");
        assert_eq!((waiting.envelope.next_attempt, waiting.envelope.parent.clone()), (99, Some(id.clone())));
        assert_eq!(fs::read(waiting.message_file()).unwrap(), b"Subject: x\r\n\r\nx\r\n");
        drop(again.finish());
        waiting.finish().unwrap();
        assert_eq!(fs::read_dir(folder.path().join("messages")).unwrap().count(), 0);
    }

    /// A crash between the steps of a move leaves what the next start or the next attempt makes whole.
    #[test]
    fn a_move_that_was_interrupted_loses_and_doubles_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let queue = queue(folder.path());
        // The link was made, the envelope did not move.
        let id = commit(&queue, &["x@down.test"]);
        let entry = queue.load(&id).unwrap().unwrap();
        queue.link_message(&entry.message_file(), &queue.deferred_message_path("down.test", &id)).unwrap();
        drop(entry);
        assert_eq!(queue.check(|_, _| {}).unwrap().waiting.len(), 1);
        let mut entry = queue.load(&id).unwrap().unwrap();
        // The envelope moved, the old name of the message did not go.
        let old = queue.message_path(&id);
        fs::hard_link(&old, folder.path().join("kept")).unwrap();
        entry.defer("down.test").unwrap();
        fs::rename(folder.path().join("kept"), &old).unwrap();
        let checked = queue.check(|_, _| {}).unwrap();
        assert_eq!((checked.waiting.len(), checked.finished, checked.set_aside), (0, 1, 0));
        assert!(!old.exists());
        let waiting = queue.load_deferred("down.test", &id).unwrap().unwrap();
        assert_eq!(fs::metadata(waiting.message_file()).unwrap().nlink(), 1);
    }

    /// Links that an interrupted move left go, and the only file of a message is kept; what is young is left alone.
    #[test]
    fn what_no_envelope_names_is_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let queue = queue(folder.path());
        let (away, here) = (commit(&queue, &["x@down.test"]), commit(&queue, &["x@down.test"]));
        queue.load(&away).unwrap().unwrap().defer("down.test").unwrap();
        let link = queue.deferred_message_path("down.test", &here);
        queue.link_message(&queue.message_path(&here), &link).unwrap();
        let lonely = queue.deferred_message_path("down.test", &QueueId::parse("GPM7U00A.1B2").unwrap());
        fs::create_dir_all(lonely.parent().unwrap()).unwrap();
        fs::write(&lonely, "Subject: x").unwrap();
        let reap = |now| -> usize {
            let folders = queue.message_folders("down.test").unwrap();
            folders.iter().map(|folder| queue.reap_at("down.test", folder, now).unwrap()).sum()
        };
        let now = base::clock::unix_seconds();
        assert_eq!(reap(now), 0, "they may be on their way");
        assert_eq!(reap(now + REAP_SECONDS + 60), 2);
        assert!(!link.exists() && queue.message_path(&here).exists() && !lonely.exists());
        assert!(queue.deferred_message_path("down.test", &away).exists());
        assert_eq!(fs::read_dir(folder.path().join("lost+found")).unwrap().count(), 1);
    }

    #[test]
    fn any_domain_has_a_folder_of_its_own_below_the_queue() {
        let folder = tempfile::tempdir().unwrap();
        let queue = queue(folder.path());
        let long = format!("{}.test", "a".repeat(240));
        let mut found: Vec<String> = Vec::new();
        let domains = ["..", "../../etc", "[127.0.0.1]", "münchen.test", "%41.test", long.as_str()];
        for domain in domains {
            let id = commit(&queue, &[&format!("x@{domain}")]);
            queue.load(&id).unwrap().unwrap().defer(domain).unwrap();
            let place = queue.deferred_folder(domain);
            assert!(place.canonicalize().unwrap().starts_with(folder.path().canonicalize().unwrap()));
            assert!(queue.has_deferred(domain) && queue.load_deferred(domain, &id).unwrap().is_some());
        }
        queue.deferred_domains(|domain| found.push(domain)).unwrap();
        found.sort();
        let mut expected = domains.map(str::to_owned);
        expected.sort();
        assert_eq!(found, expected);
    }
}

//! The comparison of control and messages before anything is taken (S82, S83).

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use server_log::Category;

use crate::queue::{Queue, move_aside};
use crate::{QueueError, QueueId};

/// Entries looked at between two calls of `progress`.
const PROGRESS_EVERY: usize = 5000;

/// An entry that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub id: QueueId,
    /// Not before this second.
    pub next_attempt: i64,
}

/// What the comparison found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Oldest first.
    pub waiting: Vec<Waiting>,
    /// Finished; removed.
    pub finished: usize,
    /// Put into lost+found.
    pub set_aside: usize,
}

impl Queue {
    /// Compares control and messages, as the table of states in `docs/formats/queue.md` says. `progress` is told from
    /// time to time how many of how many were looked at.
    ///
    /// # Errors
    /// A folder cannot be read.
    pub fn check(&self, mut progress: impl FnMut(usize, usize)) -> io::Result<Checked> {
        let mut checked = Checked::default();
        let ids = self.ids()?;
        self.set_depth(ids.len());
        let known: HashSet<&QueueId> = ids.iter().collect();
        for (number, id) in ids.iter().enumerate() {
            self.check_one(id, &mut checked)?;
            if number % PROGRESS_EVERY == PROGRESS_EVERY - 1 {
                progress(number + 1, ids.len());
            }
        }
        for entry in fs::read_dir(&self.shared.messages)? {
            let entry = entry?;
            let id = entry.file_name().to_str().and_then(QueueId::parse);
            if !id.as_ref().is_some_and(|id| known.contains(id)) {
                self.check_orphan(&entry, &mut checked);
            }
        }
        for entry in fs::read_dir(&self.shared.control)? {
            let entry = entry?;
            let name = entry.file_name();
            let called = |prefix| name.to_str()?.strip_prefix(prefix).and_then(QueueId::parse);
            if called("new-").is_some_and(|id| known.contains(&id)) {
                fs::remove_file(entry.path())?; // the journal had the whole of it
            } else if called("env-").is_none() {
                self.set_stranger_aside(&entry, &mut checked);
            }
        }
        Ok(checked)
    }

    fn check_one(&self, id: &QueueId, checked: &mut Checked) -> io::Result<()> {
        let mut entry = match self.load(id) {
            Ok(Some(entry)) => entry,
            Ok(None) => return Ok(()),
            Err(QueueError::Damaged(_)) => {
                checked.set_aside += 1;
                return Ok(());
            }
            Err(QueueError::Io(error)) => return Err(error),
            Err(other) => return Err(io::Error::other(other.to_string())),
        };
        entry.note_splits()?;
        if !entry.envelope.is_open() {
            entry.finish()?;
            checked.finished += 1;
            return Ok(());
        }
        // Whether its message is there is seen when it is tried: its sender is told then.
        let next_attempt = entry.envelope.next_attempt;
        self.park(id, entry.envelope.waits_for_release(base::clock::unix_seconds()));
        checked.waiting.push(Waiting { id: id.clone(), next_attempt });
        Ok(())
    }

    /// A message that no envelope names.
    fn check_orphan(&self, entry: &fs::DirEntry, checked: &mut Checked) {
        if entry.metadata().is_ok_and(|meta| meta.is_file() && meta.nlink() > 1) {
            // Mailboxes have the file: it was delivered, and the end was interrupted.
            let _ = fs::remove_file(entry.path());
            checked.finished += 1;
        } else {
            self.set_stranger_aside(entry, checked);
        }
    }

    fn set_stranger_aside(&self, entry: &fs::DirEntry, checked: &mut Checked) {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if move_aside(&entry.path(), &self.shared.lost) {
            checked.set_aside += 1;
            self.shared.log.warning(
                Category::General,
                format_args!("{name}: nothing in the queue belongs to it; put into queue/lost+found"),
            );
        } else {
            self.shared.log.error(
                Category::General,
                format_args!("{name}: nothing in the queue belongs to it, and it cannot be moved"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::Path;
    use std::time::Instant;

    use server_log::Log;

    use super::*;
    use crate::envelope::tests::sample;
    use crate::{QueueSettings, State, Step};

    fn queue(folder: &Path) -> Queue {
        let settings = QueueSettings::in_folder(folder);
        Queue::open(settings, Log::discard()).unwrap()
    }

    fn commit(queue: &Queue, text: &[u8]) -> QueueId {
        let mut incoming = queue.begin();
        incoming.write_all(text).unwrap();
        incoming.commit(sample()).unwrap()
    }

    fn names(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_committed_message_waits_and_a_dropped_one_is_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let queue = queue(folder.path());
        let id = commit(&queue, b"hello");
        drop(queue.begin());
        let checked = queue.check(|_, _| {}).unwrap();
        assert_eq!(
            checked,
            Checked { waiting: vec![Waiting { id: id.clone(), next_attempt: 0 }], ..Checked::default() }
        );
        assert_eq!((names(&queue.shared.messages), queue.depth()), (1, 1));
        let mut entry = queue.load(&id).unwrap().unwrap();
        entry.record_all(vec![(0, Step::Done), (1, Step::Done)]).unwrap();
        assert!(!queue.load(&id).unwrap().unwrap().envelope.is_open());
        entry.finish().unwrap();
        assert_eq!((names(&queue.shared.control), names(&queue.shared.messages), queue.depth()), (0, 0, 0));
    }

    /// RFC 4865. They would slow new connections down (S49) though nothing can be done about them.
    #[test]
    fn what_waits_for_its_time_does_not_count_as_work() {
        let folder = tempfile::tempdir().unwrap();
        let queue = queue(folder.path());
        commit(&queue, b"now");
        let mut envelope = sample();
        envelope.hold_until(crate::Hold { until: i64::MAX, request: "for;1".into() });
        let mut incoming = queue.begin();
        incoming.write_all(b"later").unwrap();
        let id = incoming.commit(envelope).unwrap();
        assert_eq!(queue.depth(), 1, "from the beginning");
        queue.park(&id, true);
        queue.park(&id, true);
        assert_eq!(queue.depth(), 1);
        let again = Queue::open(queue.shared.settings.clone(), Log::discard()).unwrap();
        assert_eq!(again.check(|_, _| {}).unwrap().waiting.len(), 2);
        assert_eq!(again.depth(), 1);
        again.load(&id).unwrap().unwrap().finish().unwrap();
        assert_eq!(again.depth(), 1);
    }

    /// The table of states: each row, made by hand (S82).
    #[test]
    fn every_row_of_the_table_of_states_ends_as_it_says() {
        let folder = tempfile::tempdir().unwrap();
        let queue = queue(folder.path());
        let good = commit(&queue, b"good");
        let torn = commit(&queue, b"torn");
        let missing = commit(&queue, b"missing");
        let short = commit(&queue, b"short");
        let finished = commit(&queue, b"finished");
        let linked = commit(&queue, b"linked");
        let alone = commit(&queue, b"alone");
        fs::write(queue.envelope_path(&torn), &sample().encode().as_bytes()[..100]).unwrap();
        fs::remove_file(queue.message_path(&missing)).unwrap();
        fs::write(queue.message_path(&short), b"shor").unwrap();
        let mut entry = queue.load(&finished).unwrap().unwrap();
        entry.record_all(vec![(0, Step::Done), (1, Step::Done)]).unwrap();
        drop(entry);
        fs::hard_link(queue.message_path(&linked), folder.path().join("mailbox")).unwrap();
        fs::remove_file(queue.envelope_path(&linked)).unwrap();
        fs::remove_file(queue.envelope_path(&alone)).unwrap();
        fs::write(queue.shared.control.join("env-nonsense"), b"").unwrap();
        let checked = queue.check(|_, _| {}).unwrap();
        assert_eq!(
            checked.waiting.iter().map(|waiting| &waiting.id).collect::<Vec<_>>(),
            [&good, &missing, &short]
        );
        assert_eq!((checked.finished, checked.set_aside), (2, 3));
        assert_eq!((names(&queue.shared.control), names(&queue.shared.messages)), (3, 2));
        // torn: both files; alone: the message; the nonsense.
        assert_eq!(names(&queue.shared.lost), 4);
        for (id, says) in [(&good, None), (&missing, Some("missing")), (&short, Some("4 bytes instead of 5"))]
        {
            let entry = queue.load(id).unwrap().unwrap();
            let damage = entry.damage().unwrap();
            assert_eq!(damage.is_some(), says.is_some());
            if let (Some(damage), Some(says)) = (damage, says) {
                assert!(damage.contains(says), "{damage}");
                entry.keep_aside(&damage).unwrap();
                entry.finish().unwrap();
            }
        }
        // missing: the envelope; short: both.
        assert_eq!((names(&queue.shared.control), names(&queue.shared.lost)), (1, 7));
        assert_eq!(queue.check(|_, _| {}).unwrap().set_aside, 0, "a second look finds nothing more");
    }

    /// Whatever byte a crash cuts an envelope at: the message is whole or set aside, and the steps done are known.
    #[test]
    fn an_envelope_cut_anywhere_is_whole_or_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let queue = queue(folder.path());
        let id = commit(&queue, b"x");
        let head = fs::metadata(queue.envelope_path(&id)).unwrap().len() as usize;
        let mut entry = queue.load(&id).unwrap().unwrap();
        entry.record(0, Step::Done).unwrap();
        entry.record(1, Step::Failed { status: "5.1.1".into(), text: "gone".into() }).unwrap();
        let whole = fs::read(queue.envelope_path(&id)).unwrap();
        for length in (0..whole.len()).rev() {
            fs::write(queue.message_path(&id), b"x").unwrap();
            fs::write(queue.envelope_path(&id), &whole[..length]).unwrap();
            let checked = queue.check(|_, _| {}).unwrap();
            if length < head {
                assert_eq!((checked.waiting.len(), checked.set_aside), (0, 1), "cut at {length}");
            } else {
                assert_eq!((checked.waiting.len(), checked.set_aside), (1, 0), "cut at {length}");
                let envelope = queue.load(&id).unwrap().unwrap().envelope;
                assert_eq!(envelope.recipients[1].state, State::Pending, "cut at {length}");
            }
        }
    }

    /// S80, S83: the check of a large queue takes seconds.
    #[test]
    fn a_large_queue_is_checked_in_seconds() {
        let folder = tempfile::tempdir().unwrap();
        let queue = queue(folder.path());
        let count = 5000;
        for _ in 0..count {
            commit(&queue, b"Subject: x\r\n\r\nx\r\n");
        }
        let begin = Instant::now();
        let mut told = 0;
        let checked = queue.check(|done, _| told = done).unwrap();
        assert_eq!((checked.waiting.len(), told), (count, count));
        eprintln!("{count} entries checked in {:?}", begin.elapsed());
        // It takes a second, and a machine may stand still meanwhile; if it grew with the square it would be minutes.
        assert!(begin.elapsed().as_secs() < 60);
    }

    /// A torn step is cut off, and what is recorded behind it counts.
    #[test]
    fn a_torn_step_does_not_hide_those_that_follow() {
        let folder = tempfile::tempdir().unwrap();
        let queue = queue(folder.path());
        let id = commit(&queue, b"x");
        let mut file = fs::OpenOptions::new().append(true).open(queue.envelope_path(&id)).unwrap();
        file.write_all(b"attempt 0 5 4.3.0 disk fu").unwrap();
        let mut entry = queue.load(&id).unwrap().unwrap();
        assert_eq!(entry.envelope.attempts, 0);
        assert!(entry.is_current());
        entry.record(0, Step::Done).unwrap();
        entry.record(1, Step::Attempt { next: 9, text: "later".into() }).unwrap();
        let read = queue.load(&id).unwrap().unwrap().envelope;
        assert_eq!((read.recipients[0].state.clone(), read.next_attempt), (State::Done, 9));
    }

    #[test]
    fn a_report_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let queue = queue(folder.path());
        let about = commit(&queue, b"failed");
        let make = |about: &QueueId| -> Result<QueueId, QueueError> {
            let mut incoming = queue.begin_caused(7, "cause", about)?;
            incoming.write_all(b"report").unwrap();
            let mut envelope = sample();
            envelope.parent = Some(about.clone());
            incoming.commit(envelope)
        };
        let id = make(&about).unwrap();
        assert_eq!(id.as_str().as_bytes()[6], b'Z', "no message that comes in has such a name");
        assert!(matches!(make(&about), Err(QueueError::AlreadyThere)));
        // The same name for another cause is no reason to say nothing.
        let other = commit(&queue, b"failed too");
        assert_ne!(make(&other).unwrap(), id);
        assert_eq!(queue.depth(), 4);
    }

    /// Two whose names are the same, made at the same time: the second has another name, and none is lost.
    #[test]
    fn a_report_in_the_making_keeps_its_name_to_itself() {
        let folder = tempfile::tempdir().unwrap();
        let queue = queue(folder.path());
        let (one, other) = (commit(&queue, b"failed"), commit(&queue, b"failed too"));
        let mut first = queue.begin_caused(7, "cause", &one).unwrap();
        first.write_all(b"the first").unwrap();
        let mut second = queue.begin_caused(7, "cause", &other).unwrap();
        second.write_all(b"the second").unwrap();
        for (incoming, about, text) in [(first, &one, "the first"), (second, &other, "the second")] {
            let mut envelope = sample();
            envelope.parent = Some(about.clone());
            let id = incoming.commit(envelope).unwrap();
            assert_eq!(fs::read_to_string(queue.message_path(&id)).unwrap(), text);
        }
        assert_eq!(queue.check(|_, _| {}).unwrap().set_aside, 0);
        assert_eq!(queue.depth(), 4);
    }

    /// What a crash left behind the journal's record, and before the name, is no second envelope.
    #[test]
    fn an_envelope_without_its_name_does_not_stay() {
        let folder = tempfile::tempdir().unwrap();
        let queue = queue(folder.path());
        let id = commit(&queue, b"x");
        fs::write(folder.path().join(format!("control/new-{id}")), "Mailboat").unwrap();
        fs::write(folder.path().join("control/new-GPM7U00A.1B2"), "Mailboat").unwrap();
        fs::write(folder.path().join("messages/GPM7U00A.1B2"), "Subject: x").unwrap();
        let checked = queue.check(|_, _| {}).unwrap();
        assert_eq!((checked.waiting.len(), checked.set_aside), (1, 2), "both files of the other one");
        assert_eq!(fs::read_dir(folder.path().join("control")).unwrap().count(), 1);
    }
}

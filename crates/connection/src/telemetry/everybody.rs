//! Records of everybody (`local.SERVICE.forcetelemetry`): one flat folder that never holds more than its bounds.
//!
//! Each process counts what it has added since it last looked. Before its share of an eighth of a bound is used up it looks
//! at the folder and removes the oldest files until seven eighths are left, so all processes together stay below the
//! bound, but for what was just written: bytes count once they are in the file, at most one file's share (a hundredth of
//! the bound) for each connection that writes at that moment. A record that is still written is among the youngest; if it goes nevertheless, its connection
//! records no more. Where the oldest cannot be removed, nothing new is begun.
//!
//! Nothing here is durable, and nothing has to be: a crash leaves files that the next look counts.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use super::{Bounds, create};

/// Of a uid in the name of a file, which has 255 bytes at most.
const UID_BYTES: usize = 180;

pub struct Everybody {
    bounds: Bounds,
    /// What this process may add between two looks.
    share: Amount,
    added_files: AtomicU64,
    added_bytes: AtomicU64,
    /// The last look could not make room.
    is_full: AtomicBool,
    looking: Mutex<()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Amount {
    files: u64,
    bytes: u64,
}

/// A record that is there.
struct Record {
    changed: SystemTime,
    /// The last part of its name: of files that changed within one tick of the clock, the lower one is older.
    number: u64,
    bytes: u64,
    path: PathBuf,
}

impl Everybody {
    pub fn new(bounds: Bounds, processes: usize) -> Everybody {
        let parts = 8 * u64::try_from(processes).unwrap_or(1).max(1);
        let share = Amount { files: (bounds.files_max / parts).max(1), bytes: bounds.bytes_max / parts };
        Everybody {
            bounds,
            share,
            added_files: AtomicU64::new(u64::MAX / 2), // before the first file is looked what is there
            added_bytes: AtomicU64::new(0),
            is_full: AtomicBool::new(false),
            looking: Mutex::new(()),
        }
    }

    /// Most bytes of one file.
    pub fn file_max(&self) -> u64 {
        self.bounds.bytes_max / 100
    }

    /// A new file for a connection of `uid`, if there is room.
    pub fn create(&self, uid: &str) -> Option<PathBuf> {
        if self.added_files.fetch_add(1, Ordering::Relaxed) >= self.share.files {
            self.look();
        }
        if self.is_full.load(Ordering::Relaxed) {
            return None;
        }
        create(&self.bounds.folder, &format!("{}.", in_file_name(uid))).ok()
    }

    /// So many bytes were written.
    pub fn grew(&self, bytes: u64) {
        if self.added_bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) > self.share.bytes {
            self.look();
        }
    }

    /// Makes room, unless another thread does already.
    fn look(&self) {
        let Ok(_alone) = self.looking.try_lock() else { return };
        self.added_files.store(1, Ordering::Relaxed); // the one that is about to be made
        self.added_bytes.store(0, Ordering::Relaxed);
        let _ = DirBuilder::new().mode(0o700).recursive(true).create(&self.bounds.folder);
        self.is_full.store(!self.make_room(), Ordering::Relaxed);
    }

    /// Whether seven eighths or less are left.
    fn make_room(&self) -> bool {
        let mut records = self.records();
        records.sort_unstable_by_key(|record| (record.changed, record.number));
        let left = |max: u64| max - max / 8;
        let keep = Amount { files: left(self.bounds.files_max), bytes: left(self.bounds.bytes_max) };
        let mut here =
            Amount { files: records.len() as u64, bytes: records.iter().map(|record| record.bytes).sum() };
        for record in records {
            if here.files < keep.files && here.bytes <= keep.bytes {
                break;
            }
            if fs::remove_file(&record.path).is_ok() || !record.path.exists() {
                here.files -= 1;
                here.bytes -= record.bytes;
            }
        }
        here.files <= keep.files && here.bytes <= keep.bytes
    }

    /// The files that are records; what else somebody keeps here is left alone.
    fn records(&self) -> Vec<Record> {
        let Ok(entries) = fs::read_dir(&self.bounds.folder) else { return Vec::new() };
        entries
            .flatten()
            .filter_map(|entry| {
                let number = number_of(&entry.file_name().to_string_lossy())?;
                let known = entry.metadata().ok().filter(fs::Metadata::is_file)?;
                Some(Record {
                    changed: known.modified().ok()?,
                    number,
                    bytes: known.len(),
                    path: entry.path(),
                })
            })
            .collect()
    }
}

/// The number of a record, whose name ends in pid, time and number.
fn number_of(name: &str) -> Option<u64> {
    let mut parts = name.rsplit('.');
    let mut next = || parts.next()?.parse::<u64>().ok();
    let (number, _time, _pid) = (next()?, next()?, next()?);
    parts.next().map(|_uid| number)
}

/// The uid as the beginning of a file's name: other bytes than those that are harmless there are `_`, a long one is cut.
fn in_file_name(uid: &str) -> String {
    let mut name: String = uid
        .chars()
        .enumerate()
        .map(|(at, c)| if c == '/' || c.is_control() || (at == 0 && c == '.') { '_' } else { c })
        .collect();
    while name.len() > UID_BYTES {
        name.pop();
    }
    name
}

#[cfg(test)]
mod tests {
    use super::super::{Recording, Telemetry};
    use super::*;
    use std::path::Path;

    fn telemetry(root: &Path, files_max: u64, bytes_max: u64) -> Telemetry {
        let bounds = Bounds { folder: root.join("all"), files_max, bytes_max };
        Telemetry::new(Recording { root: root.join("telemetry"), everybody: Some(bounds) }, 1)
    }

    fn names(root: &Path) -> Vec<String> {
        let entries = fs::read_dir(root.join("all")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn size(root: &Path) -> u64 {
        fs::read_dir(root.join("all")).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
    }

    #[test]
    fn everybody_has_a_file_and_who_was_asked_for_has_it_in_the_folder_made_for_it() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("telemetry/joe")).unwrap();
        let telemetry = telemetry(root.path(), 100, 1_000_000);
        for uid in ["joe", "ann", "../etc", "x@example.org", &"ü".repeat(200)] {
            telemetry.open(uid).unwrap().received(b"NOOP");
        }
        let names = names(root.path());
        assert_eq!(names.len(), 4, "{names:?}");
        for start in ["ann.", "_./etc.".replace('/', "_").as_str(), "x@example.org.", "üüü"] {
            assert!(names.iter().any(|name| name.starts_with(start)), "{start} {names:?}");
        }
        assert_eq!(fs::read_dir(root.path().join("telemetry/joe")).unwrap().count(), 1);
    }

    #[test]
    fn there_are_never_more_files_than_the_bound_and_the_oldest_go() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("all")).unwrap();
        fs::write(root.path().join("all/notes.txt"), "not a record").unwrap();
        let telemetry = telemetry(root.path(), 16, 1_000_000);
        for number in 0..100 {
            telemetry.open(&format!("u{number}")).unwrap().received(b"NOOP");
            assert!(names(root.path()).len() <= 16 + 1, "{number}");
        }
        let names = names(root.path());
        assert!(names.iter().any(|name| name.starts_with("u99.")), "{names:?}");
        assert!(!names.iter().any(|name| name.starts_with("u1.")), "{names:?}");
        assert!(names.iter().any(|name| name == "notes.txt"));
    }

    #[test]
    fn neither_one_file_nor_all_grow_beyond_their_bounds() {
        let root = tempfile::tempdir().unwrap();
        let telemetry = telemetry(root.path(), 1_000, 100_000);
        for number in 0..200 {
            let mut tap = telemetry.open(&format!("u{number}")).unwrap();
            for _ in 0..40 {
                tap.sent(&[b'x'; 60]);
            }
            assert!(size(root.path()) <= 100_000, "{number}");
        }
        for entry in fs::read_dir(root.path().join("all")).unwrap() {
            let text = fs::read(entry.unwrap().path()).unwrap();
            assert!(text.len() <= 1_000 && text.ends_with(super::super::FULL), "{}", text.len());
        }
        assert!(size(root.path()) > 50_000, "what is young is kept");
    }

    #[test]
    fn several_processes_stay_below_the_bound_together() {
        let root = tempfile::tempdir().unwrap();
        let bounds = || Bounds { folder: root.path().join("all"), files_max: 64, bytes_max: 1_000_000 };
        let recording = || Recording { root: root.path().join("telemetry"), everybody: Some(bounds()) };
        let processes: Vec<Telemetry> = (0..4).map(|_| Telemetry::new(recording(), 4)).collect();
        for number in 0..200 {
            processes[number % 4].open("joe").unwrap();
            assert!(names(root.path()).len() <= 64, "{number}");
        }
    }

    #[test]
    fn where_no_room_can_be_made_nothing_is_begun() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("all"), "a file where the folder should be").unwrap();
        assert!(telemetry(root.path(), 16, 1_000).open("joe").is_none());
    }

    #[test]
    fn a_record_ends_in_three_numbers() {
        assert_eq!((number_of("joe.12.34.5"), number_of("a.b.12.34.56")), (Some(5), Some(56)));
        for other in ["12.34.5", "joe.12.x.5", "joe", "joe.12.34.x", ""] {
            assert_eq!(number_of(other), None, "{other}");
        }
    }

    /// A clock that ticks seldom: the order in which a folder is read says nothing of age.
    #[test]
    fn of_files_of_one_tick_those_that_were_made_first_go() {
        let root = tempfile::tempdir().unwrap();
        let bounds = Bounds { folder: root.path().join("all"), files_max: 16, bytes_max: 1_000_000 };
        fs::create_dir_all(&bounds.folder).unwrap();
        let tick = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_790_000_000);
        for number in (1..=40).rev() {
            let file = fs::File::create(bounds.folder.join(format!("joe.7.1790000000.{number}"))).unwrap();
            file.set_modified(tick).unwrap();
        }
        assert!(Everybody::new(bounds, 1).make_room());
        let mut left: Vec<u64> = names(root.path()).iter().filter_map(|name| number_of(name)).collect();
        left.sort_unstable();
        assert_eq!(left, (28..=40).collect::<Vec<u64>>());
    }
}

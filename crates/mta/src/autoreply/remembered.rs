//! Who was answered when: `queue/autoreply/xx/yy/<uid>`, a line for each answer, with its CRC-32.
//!
//! ```text
//! 1772272801 GPM7U00A.1B2%201772272800123456789 bob@example.org #a1b2c3d4
//! ```
//! The second, the message that was answered, the sender. A line is written and synced before the answer is made: a
//! crash in between repeats the message, which finds its own line and goes on. What does not verify did not happen. The
//! file is written anew, without what is too old, when it has twice the lines that it may have.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Answers that are remembered for one account; the oldest are forgotten first.
const LINES_MAX: usize = 5000;
/// Bytes of a sender's address at most; a longer one is told by its beginning.
const SENDER_BYTES_MAX: usize = 320;
/// How much one sender may be answered where every message is: a loop that no other rule recognised ends there.
pub const ANSWERS_A_DAY_MAX: usize = 100;
/// Bytes read of a file at most. More than we write.
const FILE_BYTES_MAX: u64 = 8 << 20;

/// How often one sender is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    /// So many times,
    pub most: usize,
    /// in so many seconds,
    pub seconds: i64,
    /// counted from this second on: the beginning of the vacation.
    pub since: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    second: i64,
    key: String,
    sender: String,
}

/// The memory of all accounts. One process writes it.
pub struct Remembered {
    folder: PathBuf,
    /// One decision at a time: two messages of a sender do not both find him new.
    deciding: Mutex<()>,
}

impl Remembered {
    pub fn new(folder: &Path) -> Remembered {
        Remembered { folder: folder.to_owned(), deciding: Mutex::new(()) }
    }

    /// Whether the message `key` of `sender` is to be answered for `uid` now. If so, that is written down.
    ///
    /// # Errors
    /// The file cannot be read or written; nobody is answered then.
    pub fn decide(&self, uid: &str, sender: &str, key: &str, now: i64, measure: Measure) -> io::Result<bool> {
        let _one = self.deciding.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.folder.join(base::hashdir::path(uid)).join(file_name(uid));
        let text = read(&path)?;
        let lines: Vec<Line> = text.lines().map_while(decode).collect();
        let sender = cut(&sender.to_lowercase());
        let counts = |line: &&Line| {
            line.sender == sender
                && line.second >= measure.since
                && now.saturating_sub(line.second) < measure.seconds
        };
        if lines.iter().any(|line| line.key == key && line.sender == sender) {
            return Ok(true); // begun before a crash
        }
        if lines.iter().filter(counts).count() >= measure.most {
            return Ok(false);
        }
        let new = Line { second: now, key: key.to_owned(), sender };
        let whole = lines.iter().map(encode).map(|line| line.len()).sum::<usize>() == text.len();
        if lines.len() >= 2 * LINES_MAX || !whole {
            rewrite(&path, lines, new, now.saturating_sub(measure.seconds))?;
        } else {
            append(&path, &encode(&new))?;
        }
        Ok(true)
    }
}

/// Keeps each sender's lines that still count, the newest ones when there are too many.
fn rewrite(path: &Path, mut lines: Vec<Line>, new: Line, oldest: i64) -> io::Result<()> {
    lines.retain(|line| line.second > oldest);
    lines.push(new);
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let mut kept: Vec<&Line> = lines
        .iter()
        .rev()
        .filter(|line| {
            let count = seen.entry(&line.sender).or_default();
            *count += 1;
            *count <= ANSWERS_A_DAY_MAX
        })
        .take(LINES_MAX)
        .collect();
    kept.reverse();
    let text: String = kept.into_iter().map(encode).collect();
    base::replace::durable_replace(path, text.as_bytes(), 0o600)
}

fn append(path: &Path, line: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let is_new = !path.exists();
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    file.write_all(line.as_bytes())?;
    os::file::fdatasync(&file)?;
    if is_new {
        for above in folder.ancestors().take(3) {
            os::file::sync_dir(above)?;
        }
    }
    Ok(())
}

fn read(path: &Path) -> io::Result<String> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(error),
        Ok(data) if data.len() > FILE_BYTES_MAX => return Ok(String::new()), // not ours: written anew
        Ok(_) => {}
    }
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}

fn encode(line: &Line) -> String {
    let text = format!("{} {} {}", line.second, escape(&line.key), escape(&line.sender));
    let crc = base::crc32(text.as_bytes());
    format!("{text} #{crc:08x}\n")
}

fn decode(line: &str) -> Option<Line> {
    let (text, crc) = line.rsplit_once(" #")?;
    if crc.len() != 8 || u32::from_str_radix(crc, 16).ok()? != base::crc32(text.as_bytes()) {
        return None;
    }
    let mut words = text.split(' ');
    let second = words.next()?.parse().ok()?;
    Some(Line { second, key: unescape(words.next()?)?, sender: unescape(words.next()?)? })
}

/// Blanks, control characters, `%` and `/` as `%XX`; so a line has its words, and a name stays in its folder.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || c.is_whitespace() || c == '%' || c == '/' {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                safe.push_str(&format!("%{byte:02X}"));
            }
        } else {
            safe.push(c);
        }
    }
    safe
}

fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            bytes.push(base::hex::decode::<1>(std::str::from_utf8(tail.get(..2)?).ok()?)?[0]);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

/// The account's file; never `.`, `..` or a hidden one, and short enough for any file system.
fn file_name(uid: &str) -> String {
    let name = format!("={}", escape(uid));
    if name.len() <= 200 {
        return name;
    }
    let end = (0..=200).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
    format!("{}~{:08x}", &name[..end], base::crc32(uid.as_bytes()))
}

fn cut(sender: &str) -> String {
    let most = sender.len().min(SENDER_BYTES_MAX);
    let end = (0..=most).rev().find(|at| sender.is_char_boundary(*at)).unwrap_or(0);
    sender[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WEEK: Measure = Measure { most: 1, seconds: 7 * 86_400, since: 0 };

    fn memory() -> (tempfile::TempDir, Remembered) {
        let folder = tempfile::tempdir().unwrap();
        let memory = Remembered::new(&folder.path().join("autoreply"));
        (folder, memory)
    }

    fn only_file(memory: &Remembered, uid: &str) -> PathBuf {
        memory.folder.join(base::hashdir::path(uid)).join(file_name(uid))
    }

    #[test]
    fn a_sender_is_answered_once_in_a_period_and_another_one_too() {
        let (_folder, memory) = memory();
        let decide = |sender: &str, key: &str, now| memory.decide("alice", sender, key, now, WEEK).unwrap();
        assert!(decide("bob@a.example", "1", 1000));
        assert!(!decide("BOB@a.example", "2", 1001));
        assert!(decide("carol@a.example", "3", 1002));
        assert!(!decide("bob@a.example", "4", 1000 + WEEK.seconds - 1));
        assert!(decide("bob@a.example", "5", 1000 + WEEK.seconds));
        assert!(memory.decide("dave", "bob@a.example", "6", 1003, WEEK).unwrap(), "each account by itself");
    }

    #[test]
    fn a_message_that_is_repeated_after_a_crash_is_answered_again() {
        let (_folder, memory) = memory();
        assert!(memory.decide("alice", "bob@a.example", "K 1", 1000, WEEK).unwrap());
        assert!(memory.decide("alice", "bob@a.example", "K 1", 1005, WEEK).unwrap());
        assert!(!memory.decide("alice", "bob@a.example", "K 2", 1006, WEEK).unwrap());
    }

    #[test]
    fn a_new_vacation_begins_without_memories() {
        let (_folder, memory) = memory();
        assert!(memory.decide("alice", "bob@a.example", "1", 1000, WEEK).unwrap());
        let later = Measure { since: 2000, ..WEEK };
        assert!(memory.decide("alice", "bob@a.example", "2", 2000, later).unwrap());
        assert!(!memory.decide("alice", "bob@a.example", "3", 2001, later).unwrap());
    }

    #[test]
    fn a_torn_line_is_forgotten_and_the_next_one_is_not() {
        let (_folder, memory) = memory();
        assert!(memory.decide("alice", "bob@a.example", "1", 1000, WEEK).unwrap());
        assert!(memory.decide("alice", "carol@a.example", "2", 1000, WEEK).unwrap());
        let path = only_file(&memory, "alice");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, &text[..text.len() - 5]).unwrap();
        assert!(memory.decide("alice", "dave@a.example", "3", 1001, WEEK).unwrap());
        assert!(
            !memory.decide("alice", "dave@a.example", "4", 1002, WEEK).unwrap(),
            "it stands behind the torn one"
        );
        assert!(!memory.decide("alice", "bob@a.example", "5", 1002, WEEK).unwrap());
        assert!(memory.decide("alice", "carol@a.example", "6", 1002, WEEK).unwrap());
    }

    #[test]
    fn a_file_does_not_grow_without_end() {
        let (_folder, memory) = memory();
        let path = only_file(&memory, "alice");
        let line = |n: usize| Line { second: 1000, key: "k".into(), sender: format!("s{n}@a.example") };
        let text: String = (0..2 * LINES_MAX).map(|n| encode(&line(n))).collect();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        assert!(memory.decide("alice", "new@a.example", "k2", 1001, WEEK).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), LINES_MAX);
        assert!(!memory.decide("alice", "new@a.example", "k3", 1002, WEEK).unwrap());
        assert!(!memory.decide("alice", &line(2 * LINES_MAX - 1).sender, "k3", 1002, WEEK).unwrap());
    }

    #[test]
    fn a_name_stays_in_its_folder() {
        for uid in ["../../etc/passwd", "..", "a/b", &"long".repeat(100)] {
            let name = file_name(uid);
            assert!(name.starts_with('=') && !name.contains('/') && name.len() < 255, "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_line_is_read_as_it_was_written(second: i64, key in "\\PC{0,40}", sender in ".{0,60}") {
            let line = Line { second, key, sender };
            let text = encode(&line);
            prop_assert_eq!(text.lines().count(), 1);
            prop_assert_eq!(decode(text.trim_end_matches('\n')), Some(line));
        }
    }
}

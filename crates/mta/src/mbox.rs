//! Mailboxes of the host's own kind: one file, messages one behind the other (mboxrd).
//!
//! Written under a dot-lock and an fcntl lock, synced, and truncated back when something fails. A message that is there
//! already, because a crash came between its writing and the note of it, is recognised by its bytes and not written
//! again; half of one at the end is replaced.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use os::file::{How, create_whole, give_to, open_in, remove_in};
use os::lock::{Mode, OfdLock};

/// How long another program may hold a lock before the delivery is put off.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// Age of a dot-lock that its maker forgot.
const LOCK_AGE_MAX: i64 = 600;
/// How much may have been appended behind a message that is looked for.
const SEARCH_BYTES: u64 = 1 << 20;
/// Bytes searched at once.
const WINDOW_BYTES: usize = 1 << 20;

/// A place for messages.
pub struct Mbox<'a> {
    pub folder: &'a Path,
    /// The file in it.
    pub name: &'a str,
    /// Who the file belongs to; nothing for who we are.
    pub owner: Option<(u32, u32)>,
    /// Of the message that is appended, without its end. It must be the same when the delivery is repeated.
    pub from_line: String,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    New,
    /// It was there, whole.
    Before,
}

impl Mbox<'_> {
    /// Appends the message that `open` opens at its beginning, with line feeds.
    ///
    /// # Errors
    /// The file is as it was.
    pub fn append<R: Read>(&self, open: &dyn Fn() -> io::Result<R>) -> io::Result<Appended> {
        let is_lock = self.name.ends_with(".lock");
        if self.name.is_empty() || self.name.starts_with('.') || self.name.contains('/') || is_lock {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no name of a mailbox"));
        }
        let folder = File::open(self.folder)?;
        check_folder(&folder)?;
        let _dot_lock = DotLock::take(&folder, self.name)?;
        let file = Arc::new(open_in(&folder, self.name.as_ref(), How::Write { mode: 0o600 })?);
        self.check_file(&file)?;
        let _lock = OfdLock::acquire(&file, 0, Mode::Exclusive, LOCK_WAIT)?;
        let end = file.metadata()?.len();
        let length = Rendered::new(open()?, &self.from_line).length()?;
        let begin = match self.find(&file, end, length, open)? {
            Found::Whole => {
                os::file::fsync(&file)?;
                return Ok(Appended::Before);
            }
            Found::Torn(at) => at,
            Found::Nothing => end,
        };
        if begin < end {
            file.set_len(begin)?;
        }
        let written = self.write(&file, begin, open);
        if let Err(why) = written {
            file.set_len(begin)?;
            os::file::fsync(&file)?;
            return Err(why);
        }
        folder.sync_all()?;
        Ok(Appended::New)
    }

    fn write<R: Read>(&self, file: &File, begin: u64, open: &dyn Fn() -> io::Result<R>) -> io::Result<()> {
        (&*file).seek(SeekFrom::Start(begin))?;
        let mut out = BufWriter::with_capacity(64 * 1024, file);
        // What another program left without its last line or its empty one must not swallow our From line.
        let mut last = [0; 2];
        if begin >= 2 {
            file.read_exact_at(&mut last, begin - 2)?;
        }
        match (begin, last) {
            (0, _) | (_, [b'\n', b'\n']) => {}
            (_, [_, b'\n']) => out.write_all(b"\n")?,
            _ => out.write_all(b"\n\n")?,
        }
        io::copy(&mut Rendered::new(open()?, &self.from_line), &mut out)?;
        out.flush()?;
        os::file::fsync(file)
    }

    /// Not a link to somewhere else, not another user's.
    fn check_file(&self, file: &File) -> io::Result<()> {
        let data = file.metadata()?;
        let refused = |why: &str| Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        if !data.is_file() || data.nlink() != 1 {
            return refused("not a regular file of one name");
        }
        match self.owner {
            // Just made by us as root, or as empty as that.
            Some((uid, gid)) if data.uid() == 0 && data.len() == 0 && uid != 0 => give_to(file, uid, gid),
            Some((uid, _)) if data.uid() != uid => refused("it belongs to another user"),
            None if data.uid() != os::process::own_uid() => refused("it belongs to another user"),
            _ => Ok(()),
        }
    }

    /// The message among the last ones of the file.
    fn find<R: Read>(
        &self,
        file: &File,
        end: u64,
        length: u64,
        open: &dyn Fn() -> io::Result<R>,
    ) -> io::Result<Found> {
        let from = end.saturating_sub(length.saturating_add(SEARCH_BYTES));
        let line = format!("{}\n", self.from_line);
        let mut places = occurrences(file, from, end, line.as_bytes())?;
        places.extend(torn_line(file, end, line.as_bytes())?);
        for at in places {
            let mut there = At { file, at, end };
            match compare(&mut Rendered::new(open()?, &self.from_line), &mut there)? {
                Compared::Same => return Ok(Found::Whole),
                Compared::Ended => return Ok(Found::Torn(at)),
                Compared::Other => {}
            }
        }
        Ok(Found::Nothing)
    }
}

enum Found {
    Whole,
    /// Its beginning, up to the end of the file.
    Torn(u64),
    Nothing,
}

/// Only its owner and those who are trusted with all mailboxes can rename in it.
fn check_folder(folder: &File) -> io::Result<()> {
    let data = folder.metadata()?;
    let mode = data.permissions().mode();
    let trusted = data.uid() == 0 || data.uid() == os::process::own_uid();
    if !data.is_dir() || !trusted || (mode & 0o002 != 0 && mode & 0o1000 == 0) {
        let why = "the folder of native mailboxes can be changed by others";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    Ok(())
}

/// Where lines like this one begin between `from` and `end`.
fn occurrences(file: &File, from: u64, end: u64, line: &[u8]) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    let mut window = Vec::new();
    let mut at = from.saturating_sub(1); // the line end before
    while at < end {
        let size = usize::try_from(end - at).unwrap_or(usize::MAX).min(WINDOW_BYTES);
        window.resize(size, 0);
        file.read_exact_at(&mut window, at)?;
        for place in memchr::memmem::find_iter(&window, line) {
            let begins = if place == 0 { at == 0 } else { window[place - 1] == b'\n' };
            if begins {
                found.push(at + place as u64);
            }
        }
        if size < WINDOW_BYTES {
            break;
        }
        at += (WINDOW_BYTES - line.len()) as u64; // one that lies across two windows
    }
    found.dedup();
    Ok(found)
}

/// The beginning of the last line, when that is not whole and begins like `line`.
fn torn_line(file: &File, end: u64, line: &[u8]) -> io::Result<Option<u64>> {
    let mut tail = vec![0; usize::try_from(end).unwrap_or(usize::MAX).min(line.len())];
    let from = end - tail.len() as u64;
    file.read_exact_at(&mut tail, from)?;
    let begin = match memchr::memrchr(b'\n', &tail) {
        Some(at) => at + 1,
        None if from == 0 => 0,
        None => return Ok(None),
    };
    let last = &tail[begin..];
    Ok((!last.is_empty() && last.len() < line.len() && line.starts_with(last)).then_some(from + begin as u64))
}

/// A part of a file, read without its position.
struct At<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl Read for At<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(out.len());
        let count = self.file.read_at(&mut out[..left], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Compared {
    /// What is there begins with all that is wanted.
    Same,
    /// What is there ended first.
    Ended,
    Other,
}

fn compare(wanted: &mut impl Read, there: &mut impl Read) -> io::Result<Compared> {
    let (mut wanted, mut there) = (BufReader::new(wanted), BufReader::new(there));
    loop {
        let (one, other) = (wanted.fill_buf()?, there.fill_buf()?);
        if one.is_empty() {
            return Ok(Compared::Same);
        }
        if other.is_empty() {
            return Ok(Compared::Ended);
        }
        let length = one.len().min(other.len());
        if one[..length] != other[..length] {
            return Ok(Compared::Other);
        }
        wanted.consume(length);
        there.consume(length);
    }
}

/// A message as it stands in a file: its From line, lines that look like one quoted, an empty line behind it.
struct Rendered<R> {
    message: BufReader<R>,
    /// Read and not given out yet.
    ready: Vec<u8>,
    given: usize,
    ended: bool,
}

impl<R: Read> Rendered<R> {
    fn new(message: R, from_line: &str) -> Rendered<R> {
        let ready = format!("{from_line}\n").into_bytes();
        Rendered { message: BufReader::new(message), ready, given: 0, ended: false }
    }

    fn length(mut self) -> io::Result<u64> {
        io::copy(&mut self, &mut io::sink())
    }

    /// The next line; of a very long one the next piece.
    fn next(&mut self) -> io::Result<()> {
        let was_whole = self.ready.last() == Some(&b'\n');
        self.ready.clear();
        self.given = 0;
        (&mut self.message).take(64 * 1024).read_until(b'\n', &mut self.ready)?;
        if self.ready.is_empty() {
            self.ended = true;
            self.ready.extend_from_slice(if was_whole { b"\n" } else { b"\n\n" });
        } else if was_whole && is_from_line(&self.ready) {
            self.ready.insert(0, b'>');
        }
        Ok(())
    }
}

/// `^>*From `
fn is_from_line(line: &[u8]) -> bool {
    let quotes = line.iter().take_while(|byte| **byte == b'>').count();
    line[quotes..].starts_with(b"From ")
}

impl<R: Read> Read for Rendered<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.given == self.ready.len() {
            if self.ended {
                return Ok(0);
            }
            self.next()?;
        }
        let length = (self.ready.len() - self.given).min(out.len());
        out[..length].copy_from_slice(&self.ready[self.given..self.given + length]);
        self.given += length;
        Ok(length)
    }
}

/// `<name>.lock`, as mail programs have always done it; removed when it is dropped.
struct DotLock<'a> {
    folder: &'a File,
    name: OsString,
}

impl<'a> DotLock<'a> {
    fn take(folder: &'a File, mailbox: &str) -> io::Result<DotLock<'a>> {
        let name = OsString::from(format!("{mailbox}.lock"));
        let give_up = Instant::now() + LOCK_WAIT;
        let mut pause = Duration::from_millis(2);
        loop {
            match create_whole(folder, &name, 0o644, std::process::id().to_string().as_bytes()) {
                Ok(()) => return Ok(DotLock { folder, name }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
            if is_forgotten(folder, &name) {
                let _ = remove_in(folder, &name);
            } else if Instant::now() >= give_up {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "locked by another program"));
            } else {
                thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(200));
            }
        }
    }
}

/// Older than any delivery takes, or of a process of this host that is no more (as a killed smtpd leaves it).
fn is_forgotten(folder: &File, name: &OsString) -> bool {
    let Ok(mut file) = open_in(folder, name, How::Read) else { return false };
    let Ok(data) = file.metadata() else { return false };
    let age = base::clock::unix_seconds().saturating_sub(data.mtime());
    let mut text = String::new();
    let read = (&mut file).take(20).read_to_string(&mut text);
    // Some programs write no number, or 0.
    let pid = read.ok().and_then(|_| text.trim().parse::<u32>().ok()).filter(|pid| *pid > 0);
    age > LOCK_AGE_MAX || pid.is_some_and(|pid| !os::process::is_running(pid))
}

impl Drop for DotLock<'_> {
    fn drop(&mut self) {
        let _ = remove_in(self.folder, &self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    const FROM: &str = "From bob@a.example Sat Feb 28 10:00:00 2026";

    fn append(folder: &Path, message: &str) -> io::Result<Appended> {
        let mbox = Mbox { folder, name: "alice", owner: None, from_line: FROM.into() };
        mbox.append(&|| Ok(message.as_bytes()))
    }

    fn content(folder: &Path) -> String {
        fs::read_to_string(folder.join("alice")).unwrap()
    }

    #[test]
    fn messages_stand_one_behind_the_other_and_from_lines_are_quoted() {
        let folder = tempfile::tempdir().unwrap();
        append(folder.path(), "Subject: a\n\nFrom x\n>From y\nFromage\n>>From").unwrap();
        append(folder.path(), "Subject: b\n\nb\n").unwrap();
        assert_eq!(
            content(folder.path()),
            format!(
                "{FROM}\nSubject: a\n\n>From x\n>>From y\nFromage\n>>From\n\n{FROM}\nSubject: b\n\nb\n\n"
            )
        );
        assert_eq!(fs::metadata(folder.path().join("alice")).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the lock is gone");
    }

    #[test]
    fn a_repeated_delivery_finds_its_message_even_behind_another_one() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(append(folder.path(), "Subject: a\n\na\n").unwrap(), Appended::New);
        assert_eq!(append(folder.path(), "Subject: b\n\nb\n").unwrap(), Appended::New);
        assert_eq!(append(folder.path(), "Subject: a\n\na\n").unwrap(), Appended::Before);
        assert_eq!(content(folder.path()).matches(FROM).count(), 2);
    }

    /// Cut anywhere, as a crash may: the repeated delivery leaves one whole message, and what was before it.
    #[test]
    fn half_a_message_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        append(folder.path(), "Subject: before\n\nx\n").unwrap();
        let before = content(folder.path());
        append(folder.path(), "Subject: a\n\nlong\nFrom body\n").unwrap();
        let whole = content(folder.path());
        for length in before.len() + 1..whole.len() {
            fs::write(folder.path().join("alice"), &whole[..length]).unwrap();
            append(folder.path(), "Subject: a\n\nlong\nFrom body\n").unwrap();
            assert_eq!(content(folder.path()), whole, "cut at {length}");
        }
    }

    #[test]
    fn a_file_without_its_last_line_end_is_mended_first() {
        let folder = tempfile::tempdir().unwrap();
        for (there, expected) in [("x", "x\n\nFrom "), ("x\n", "x\n\nFrom "), ("x\n\n", "x\n\nFrom ")] {
            fs::write(folder.path().join("alice"), there).unwrap();
            append(folder.path(), "Subject: a\n\na\n").unwrap();
            assert!(content(folder.path()).starts_with(expected), "{there:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_whole_leaves_the_file_as_it_was() {
        struct Fails(usize);
        impl Read for Fails {
            fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
                self.0 = self.0.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
                out.fill(b'x');
                Ok(out.len())
            }
        }
        let folder = tempfile::tempdir().unwrap();
        append(folder.path(), "Subject: a\n\na\n").unwrap();
        let before = content(folder.path());
        let mbox = Mbox { folder: folder.path(), name: "alice", owner: None, from_line: FROM.into() };
        let file = File::options().read(true).write(true).open(folder.path().join("alice")).unwrap();
        assert!(mbox.write(&file, before.len() as u64, &|| Ok(Fails(40))).is_err());
        assert!(mbox.append(&|| Ok(Fails(40))).is_err());
        file.set_len(before.len() as u64).unwrap();
        assert_eq!(content(folder.path()), before);
    }

    #[test]
    fn links_other_names_and_open_folders_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let alice = folder.path().join("alice");
        std::os::unix::fs::symlink("/dev/null", &alice).unwrap();
        assert!(append(folder.path(), "x").is_err());
        fs::remove_file(&alice).unwrap();
        fs::write(folder.path().join("other"), "").unwrap();
        fs::hard_link(folder.path().join("other"), &alice).unwrap();
        assert!(append(folder.path(), "x").is_err());
        fs::remove_file(&alice).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(append(folder.path(), "x").is_err());
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        assert!(append(folder.path(), "x").is_ok());
        for name in ["", "..", "a/b", "bob.lock", ".hidden"] {
            let mbox = Mbox { folder: folder.path(), name, owner: None, from_line: FROM.into() };
            assert!(mbox.append(&|| Ok(&b"x"[..])).is_err(), "{name}");
        }
    }

    #[test]
    fn a_lock_of_a_dead_process_is_broken_and_one_of_the_living_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join("alice.lock");
        fs::write(&lock, u32::MAX.to_string()).unwrap();
        append(folder.path(), "Subject: a\n\na\n").unwrap();
        fs::write(&lock, std::process::id().to_string()).unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| append(folder.path(), "Subject: b\n\nb\n"));
            fs::remove_file(&lock).unwrap();
            assert_eq!(waiting.join().unwrap().unwrap(), Appended::New);
        });
        // One without a number is honoured until it is old.
        let opened = File::open(folder.path()).unwrap();
        for content in ["", "0"] {
            fs::write(&lock, content).unwrap();
            assert!(!is_forgotten(&opened, &"alice.lock".into()));
            let file = File::options().write(true).open(&lock).unwrap();
            file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
            assert!(is_forgotten(&opened, &"alice.lock".into()));
        }
    }

    proptest! {
        #[test]
        fn quoting_can_be_undone(body in "(>|From |a|\n| ){0,40}") {
            let rendered = {
                let mut text = String::new();
                Rendered::new(body.as_bytes(), FROM).read_to_string(&mut text).unwrap();
                text
            };
            let inner = rendered.strip_prefix(&format!("{FROM}\n")).unwrap();
            prop_assert!(!inner.lines().any(|line| line.starts_with("From ")));
            let undone: String = inner
                .split_inclusive('\n')
                .map(|line| if is_from_line(line.as_bytes()) { &line[1..] } else { line })
                .collect();
            let end = if body.is_empty() || body.ends_with('\n') { "\n" } else { "\n\n" };
            prop_assert_eq!(undone, format!("{body}{end}"));
        }
    }
}

//! What came already: a file for each mailbox and the folder that its messages come from, `store/import/<mailbox>-<source>`.
//!
//! Lines, each a message: its key, the UID here, the modification sequence number when it was last set here, and what the
//! source said of its flags then. The last line of a key counts; a line is written when its message is in the mailbox. So
//! who was killed left at most one batch in the mailbox without lines, which the next run knows by the bytes. A line that
//! is cut, or makes no sense, is passed over.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use message_store::{Flags, Mailbox};
use os::lock::{Mode, OfdLock};

use super::source::{Keywords, Marks};

/// What is known of a message that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pub uid: u32,
    pub modseq: u64,
    /// As the source had them.
    pub marks: Marks,
}

pub struct State {
    pub known: HashMap<String, Known>,
    /// Nothing when the run changes nothing.
    file: Option<BufWriter<File>>,
    _lock: Option<OfdLock>,
}

/// The folder of these files.
pub fn folder(store: &Path) -> PathBuf {
    store.join("import")
}

fn path_of(folder: &Path, mailbox: &Mailbox, source: &str) -> PathBuf {
    let hash = openssl::sha::sha256(source.as_bytes());
    let hex: String = base::hex::encode(&hash[..8]);
    folder.join(format!("{:032x}-{hex}", mailbox.id()))
}

impl State {
    /// What is known of what came into `mailbox` from `source`, which names a folder and its UIDVALIDITY. `look`: nothing is
    /// to change.
    ///
    /// # Errors
    /// One line: the file cannot be read or made, or another import is at it.
    pub fn open(
        folder: &Path,
        mailbox: &Mailbox,
        source: &str,
        keywords: &mut Keywords,
        look: bool,
    ) -> Result<State, String> {
        let path = path_of(folder, mailbox, source);
        let told = |why: io::Error| format!("{}: {why}", path.display());
        if look {
            let known = match File::open(&path) {
                Ok(file) => read(file, keywords).map_err(told)?.0,
                Err(why) if why.kind() == io::ErrorKind::NotFound => HashMap::new(),
                Err(why) => return Err(told(why)),
            };
            return Ok(State { known, file: None, _lock: None });
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(told)?;
        let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path);
        let file = file.map_err(told)?;
        let shared = std::sync::Arc::new(file.try_clone().map_err(told)?);
        let lock = OfdLock::try_acquire(&shared, 0, Mode::Exclusive).map_err(told)?;
        let lock = lock.ok_or_else(|| "another import into it is running".to_owned())?;
        let (known, is_whole) = read(file.try_clone().map_err(told)?, keywords).map_err(told)?;
        let mut file = BufWriter::new(file);
        let begin = if is_whole { "" } else { "\n" };
        if known.is_empty() {
            writeln!(file, "{begin}mailboat-import\t1\t{}", base::escape(source)).map_err(told)?;
        } else {
            write!(file, "{begin}").map_err(told)?;
        }
        Ok(State { known, file: Some(file), _lock: Some(lock) })
    }

    /// Notes one message.
    ///
    /// # Errors
    /// The file's.
    pub fn set(&mut self, key: &str, known: Known, keywords: &Keywords) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            let names: Vec<&str> = known
                .marks
                .keywords
                .iter()
                .filter_map(|one| keywords.names.get(usize::from(*one)))
                .map(String::as_str)
                .collect();
            let (uid, modseq, flags) = (known.uid, known.modseq, known.marks.flags.0);
            writeln!(file, "{key}\t{uid}\t{modseq}\t{flags}\t{}", names.join(" "))?;
        }
        self.known.insert(key.to_owned(), known);
        Ok(())
    }

    /// The source does not have it any more, and neither do we.
    ///
    /// # Errors
    /// The file's.
    pub fn forget(&mut self, key: &str) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            writeln!(file, "{key}\t-")?;
        }
        self.known.remove(key);
        Ok(())
    }

    /// The system has what was noted.
    ///
    /// # Errors
    /// The file's.
    pub fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }

    /// The disk has it.
    ///
    /// # Errors
    /// The file's.
    pub fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        self.file.as_ref().map_or(Ok(()), |file| file.get_ref().sync_data())
    }
}

/// What the file says, and whether it ends with a whole line.
fn read(file: File, keywords: &mut Keywords) -> io::Result<(HashMap<String, Known>, bool)> {
    let mut known = HashMap::new();
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok((known, true));
        }
        let Some(whole) = line.strip_suffix(b"\n") else { return Ok((known, false)) };
        let Ok(text) = std::str::from_utf8(whole) else { continue };
        match text.split_once('\t') {
            Some((key, "-")) => {
                known.remove(key);
            }
            Some((key, rest)) => {
                if let Some(one) = parse(rest, keywords) {
                    known.insert(key.to_owned(), one);
                }
            }
            None => {}
        }
    }
}

fn parse(rest: &str, keywords: &mut Keywords) -> Option<Known> {
    let mut fields = rest.split('\t');
    let uid = fields.next()?.parse().ok()?;
    let modseq = fields.next()?.parse().ok()?;
    let mut marks = Marks { flags: Flags(fields.next()?.parse().ok()?) & Flags::SYSTEM, ..Marks::default() };
    for name in fields.next()?.split(' ').filter(|name| !name.is_empty()) {
        if let Some(number) = keywords.number(name) {
            marks.add_keyword(number);
        }
    }
    Some(Known { uid, modseq, marks })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> (HashMap<String, Known>, bool) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        read(file, &mut Keywords::default()).unwrap()
    }

    #[test]
    fn the_last_line_counts_and_a_torn_one_does_not() {
        let (known, is_whole) = read_text(
            "mailboat-import\t1\tx\na\t1\t5\t1\t\nb\t2\t5\t0\tX Y\na\t1\t9\t3\t\nb\t-\nc\t3\t5\t0\t",
        );
        assert!(!is_whole, "the next line begins anew");
        assert_eq!(known.len(), 1, "{known:?}");
        assert_eq!(
            known["a"],
            Known { uid: 1, modseq: 9, marks: Marks { flags: Flags(3), keywords: vec![] } }
        );
        assert_eq!(read_text("a\tx\t1\t1\t\n\0\0\0\n").0.len(), 0);
    }
}

//! Files as one archive, which is made while it is sent (PKWARE APPNOTE.TXT 4.3): stored as they are, for what is attached to
//! mail is mostly compressed already; names in UTF-8 (general purpose bit 11). Each file is read twice, once for its checksum,
//! so that its size and checksum stand before it: not every program reads an archive in which they come after a stored file.
//!
//! A message is smaller than what needs the forms of 64 bit; what is not gets no archive.

use std::collections::{HashSet, VecDeque};
use std::io::{self, Cursor, Read};

use http_wire::disposition::file_name;

/// Bytes that are read at once.
const PIECE: usize = 64 * 1024;
/// Files and bytes from which the forms of 64 bit would be needed (4.4.1.4).
const FILES_MAX: usize = 0xffff - 1;
const BYTES_MAX: u64 = 0xffff_ffff - 1;
/// Version that is needed to read it: 2.0; and of who made it, on a file system with DOS attributes.
const VERSION: u16 = 20;
const UTF8_NAME: u16 = 1 << 11;
const LOCAL: u32 = 0x0403_4b50;
const ENTRY: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
/// Names that Windows has for devices, whatever comes behind a dot.
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "com", "lpt"];

/// A file that can be read more than once.
pub trait Source: Send {
    /// Bytes.
    fn size(&self) -> u64;
    fn reader(&self) -> Box<dyn Read + Send>;
}

impl Source for jmap::Attachment {
    fn size(&self) -> u64 {
        self.size
    }

    fn reader(&self) -> Box<dyn Read + Send> {
        jmap::Attachment::reader(self)
    }
}

/// The archive, to be read once.
pub struct Archive {
    /// What comes next: heads, and files between them.
    parts: VecDeque<Box<dyn Read + Send>>,
    left: u64,
}

impl Archive {
    /// Of files with names that may be anything. `date`: seconds since 1970.
    ///
    /// # Errors
    /// A file cannot be read; `None` when they are too many or too large.
    pub fn new<S: Source>(files: &[(String, S)], date: Option<i64>) -> io::Result<Option<Archive>> {
        let bytes: u64 = files.iter().map(|(name, file)| file.size() + 2 * name.len() as u64 + 200).sum();
        if files.len() > FILES_MAX || bytes > BYTES_MAX {
            return Ok(None);
        }
        let stamp = date.map_or(EPOCH, stamp);
        let mut parts: VecDeque<Box<dyn Read + Send>> = VecDeque::new();
        let (mut directory, mut offset, mut used) = (Vec::new(), 0, Names::default());
        for (name, file) in files {
            let name = used.unique(safe(name));
            let common = common(&name, file.size() as u32, checksum(file)?, stamp);
            let local = [&LOCAL.to_le_bytes()[..], &common, name.as_bytes()].concat();
            let local_bytes = local.len() as u64;
            parts.push_back(Box::new(Cursor::new(local)));
            parts.push_back(Box::new(Exactly { reader: file.reader(), left: file.size() }));
            directory.extend(entry(&common, &name, offset as u32));
            offset += local_bytes + file.size();
        }
        let size = directory.len() as u32;
        directory.extend(end(files.len() as u16, size, offset as u32));
        let left = offset + directory.len() as u64;
        parts.push_back(Box::new(Cursor::new(directory)));
        Ok(Some(Archive { parts, left }))
    }

    /// Bytes that are still to come.
    pub fn size(&self) -> u64 {
        self.left
    }
}

impl Read for Archive {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while let Some(part) = self.parts.front_mut() {
            let count = part.read(bytes)?;
            self.left = self.left.saturating_sub(count as u64);
            if count > 0 || bytes.is_empty() {
                return Ok(count);
            }
            self.parts.pop_front();
        }
        Ok(0)
    }
}

/// So many bytes; fewer are an error, for heads behind them would be read as theirs.
struct Exactly {
    reader: Box<dyn Read + Send>,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = (&mut self.reader).take(self.left).read(bytes)?;
        if count == 0 && self.left > 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= count as u64;
        Ok(count)
    }
}

/// CRC-32 (4.4.7).
fn checksum<S: Source>(file: &S) -> io::Result<u32> {
    let mut reader = Exactly { reader: file.reader(), left: file.size() };
    let (mut hasher, mut piece) = (crc32fast::Hasher::new(), vec![0; PIECE]);
    loop {
        match reader.read(&mut piece)? {
            0 => return Ok(hasher.finalize()),
            count => hasher.update(&piece[..count]),
        }
    }
}

/// What the head before a file and its entry in the directory both have: version needed to length of the extra field (4.3.7).
fn common(name: &str, size: u32, checksum: u32, (time, day): (u16, u16)) -> Vec<u8> {
    let mut out = Vec::with_capacity(26);
    for short in [VERSION, UTF8_NAME, 0, time, day] {
        out.extend(short.to_le_bytes());
    }
    for long in [checksum, size, size] {
        out.extend(long.to_le_bytes());
    }
    out.extend((name.len() as u16).to_le_bytes());
    out.extend(0u16.to_le_bytes());
    out
}

/// An entry of the directory (4.3.12).
fn entry(common: &[u8], name: &str, offset: u32) -> Vec<u8> {
    let mut out = [&ENTRY.to_le_bytes()[..], &VERSION.to_le_bytes(), common].concat();
    out.extend([0; 10]); // comment, disk, attributes
    out.extend(offset.to_le_bytes());
    out.extend(name.as_bytes());
    out
}

/// The end of the directory (4.3.16).
fn end(files: u16, size: u32, offset: u32) -> Vec<u8> {
    let mut out = END.to_le_bytes().to_vec();
    for short in [0, 0, files, files] {
        out.extend(short.to_le_bytes());
    }
    for long in [size, offset] {
        out.extend(long.to_le_bytes());
    }
    out.extend([0; 2]); // comment
    out
}

/// The first of January 1980, with which the clock of the format begins.
const EPOCH: (u16, u16) = (0, (1 << 5) | 1);

/// Time and day as MS-DOS has them (4.4.6), in UTC.
fn stamp(seconds: i64) -> (u16, u16) {
    let (year, month, day) = mail_format::date::civil(seconds.div_euclid(86_400));
    if !(1980..=2107).contains(&year) {
        return EPOCH;
    }
    let second = seconds.rem_euclid(86_400);
    let time = ((second / 3600) << 11) | ((second / 60 % 60) << 5) | (second % 60 / 2);
    (time as u16, (((year - 1980) << 9) | (month << 5) | day) as u16)
}

/// A name that stays in the folder, is shown as it is, and is no device.
fn safe(name: &str) -> String {
    let name = file_name(name);
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_lowercase();
    let is_device = DEVICES.iter().any(|device| {
        stem.strip_prefix(device).is_some_and(|rest| match rest.as_bytes() {
            [] => !matches!(*device, "com" | "lpt"),
            [digit] => matches!(*device, "com" | "lpt") && digit.is_ascii_digit(),
            _ => false,
        })
    });
    if is_device { format!("_{name}") } else { name }
}

/// Those that are taken, without capitals: file systems may not tell these apart.
#[derive(Default)]
struct Names {
    taken: HashSet<String>,
    /// The last that was put behind a name; each once, so that no choice of names makes many tries.
    number: usize,
}

impl Names {
    /// With a number, if there is one of that name.
    fn unique(&mut self, name: String) -> String {
        let (stem, extension) = match name.rfind('.') {
            Some(dot) if dot > 0 => name.split_at(dot),
            _ => (name.as_str(), ""),
        };
        let mut candidate = name.clone();
        while !self.taken.insert(candidate.to_lowercase()) {
            self.number += 1;
            candidate = format!("{stem} ({}){extension}", self.number + 1);
        }
        candidate
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    struct Bytes(Vec<u8>, u64);

    impl Source for Bytes {
        fn size(&self) -> u64 {
            self.1
        }

        fn reader(&self) -> Box<dyn Read + Send> {
            Box::new(Cursor::new(self.0.clone()))
        }
    }

    fn made(files: &[(&str, &[u8])], date: Option<i64>) -> Vec<u8> {
        let files: Vec<(String, Bytes)> = files
            .iter()
            .map(|(name, bytes)| ((*name).to_owned(), Bytes(bytes.to_vec(), bytes.len() as u64)))
            .collect();
        let mut archive = Archive::new(&files, date).unwrap().unwrap();
        let size = archive.size();
        let mut bytes = Vec::new();
        archive.read_to_end(&mut bytes).unwrap();
        assert_eq!(size, bytes.len() as u64);
        assert_eq!(archive.size(), 0);
        bytes
    }

    /// What Python makes of it: names, sizes, dates, after it has checked every checksum.
    fn read_by_python(bytes: &[u8]) -> String {
        let script = "import sys, zipfile, io\nz = zipfile.ZipFile(io.BytesIO(sys.stdin.buffer.read()))\nassert z.testzip() is None\nfor i in z.infolist(): print(i.filename, len(z.read(i)), *i.date_time)";
        let mut python = Command::new("python3")
            .args(["-X", "utf8", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut python.stdin.take().unwrap(), bytes).unwrap();
        let out = python.wait_with_output().unwrap();
        assert!(out.status.success());
        String::from_utf8(out.stdout).unwrap()
    }

    #[test]
    fn another_program_reads_it() {
        let large = vec![7; 300_000];
        let bytes =
            made(&[("a.txt", b"one"), ("Größe 日本.bin", &large), ("empty", b"")], Some(1_767_268_923));
        let said = read_by_python(&bytes);
        let day = "2026 1 1 12 2 2"; // two seconds are the finest that the format has
        assert_eq!(said, format!("a.txt 3 {day}\nGröße 日本.bin 300000 {day}\nempty 0 {day}\n"));
        assert!(read_by_python(&made(&[], None)).is_empty());
        assert_eq!(read_by_python(&made(&[("x", b"y")], Some(-1))), "x 1 1980 1 1 0 0 0\n");
    }

    #[test]
    fn names_stay_in_the_folder_and_are_told_apart() {
        let names = [
            "../../etc/passwd",
            "..\\x\\y.exe",
            "Passwd",
            "passwd",
            "CON.txt",
            "com1",
            "console",
            "a\u{202e}gpj.exe",
            "",
            "a\nb",
            ".",
        ];
        let files: Vec<(&str, &[u8])> = names.iter().map(|name| (*name, &b""[..])).collect();
        let said = read_by_python(&made(&files, None));
        let kept: Vec<&str> =
            said.lines().map(|line| line.strip_suffix(" 0 1980 1 1 0 0 0").unwrap()).collect();
        let wanted = [
            "passwd",
            "y.exe",
            "Passwd (2)",
            "passwd (3)",
            "_CON.txt",
            "_com1",
            "console",
            "agpj.exe",
            "download",
            "a_b",
            "download (4)",
        ];
        assert_eq!(kept, wanted);
    }

    #[test]
    fn a_file_that_is_shorter_than_it_says_ends_it_and_one_too_large_has_none() {
        let short = [("a".to_owned(), Bytes(b"ab".to_vec(), 3))];
        assert_eq!(Archive::new(&short, None).err().unwrap().kind(), io::ErrorKind::UnexpectedEof);
        let long = [("a".to_owned(), Bytes(b"abcd".to_vec(), 3))];
        let mut bytes = Vec::new();
        Archive::new(&long, None).unwrap().unwrap().read_to_end(&mut bytes).unwrap();
        assert_eq!(read_by_python(&bytes), "a 3 1980 1 1 0 0 0\n");
        let large = [("a".to_owned(), Bytes(Vec::new(), BYTES_MAX))];
        assert!(Archive::new(&large, None).unwrap().is_none());
    }
}

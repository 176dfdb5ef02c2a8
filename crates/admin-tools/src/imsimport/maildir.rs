//! A Maildir (cr.yp.to/proto/maildir.html), with folders below it as Maildir++ (`.Work.2002`) or as plain folders has them; UIDs
//! from dovecot-uidlist or courierimapuiddb, keywords from dovecot-keywords. The internal date of a message is the time of its
//! file, as Dovecot and Courier have it.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use message_store::Flags;

use super::beneath::Folder as Beneath;
use super::source::{Folder, Folders, Keywords, Listing, Marks, Message, Source, Trouble, use_of_name};
use super::taker::Taker;

/// Folders inside folders at most.
const DEPTH_MAX: usize = 16;
/// Folders of one user at most.
const FOLDERS_MAX: usize = 100_000;
/// Messages of one folder at most.
const MESSAGES_MAX: usize = 5_000_000;
/// A line of the files with UIDs, keywords and subscriptions.
const LINE_BYTES_MAX: usize = 4096;

pub struct Maildir {
    path: PathBuf,
    root: Beneath,
    /// File names of the folder that was listed last, by index: where they are, and what they are called.
    files: Vec<(&'static str, OsString)>,
    listed: String,
}

/// The folders that a Maildir has.
const PARTS: [&str; 2] = ["cur", "new"];

impl Maildir {
    /// # Errors
    /// One line: there is none.
    pub fn open(path: &Path) -> Result<Maildir, String> {
        let told = |why: io::Error| format!("{}: {why}", path.display());
        let root = Beneath::named(path).map_err(told)?;
        if let Err(why) = root.folder(OsStr::new("cur")) {
            return Err(format!("{}: no Maildir: cur: {why}", path.display()));
        }
        Ok(Maildir { path: path.to_owned(), root, files: Vec::new(), listed: String::new() })
    }

    fn at(&self, folder: &Folder) -> io::Result<Beneath> {
        let mut at = self.root.again()?;
        for level in folder.id.split('/').filter(|level| !level.is_empty()) {
            at = at.folder(OsStr::new(level))?;
        }
        Ok(at)
    }

    fn label(&self, folder: &Folder) -> String {
        let path = if folder.id.is_empty() { self.path.clone() } else { self.path.join(&folder.id) };
        base::escape(&path.to_string_lossy())
    }

    /// Subfolders with a dot in front (Maildir++).
    fn dotted(&self, found: &mut Folders) -> io::Result<()> {
        for entry in self.root.entries()? {
            let name = entry?.file_name();
            let Some(rest) = name.to_str().and_then(|name| name.strip_prefix('.')) else { continue };
            if rest.is_empty() || rest == "." || !is_maildir(&self.root, &name) {
                continue;
            }
            let levels = rest.split('.').map(decoded).collect();
            self.add(found, &name.to_string_lossy(), levels);
        }
        Ok(())
    }

    /// Plain subfolders.
    fn plain(&self, at: &Beneath, id: &str, levels: &[String], found: &mut Folders) -> io::Result<()> {
        if levels.len() >= DEPTH_MAX {
            return Ok(());
        }
        for entry in at.entries()? {
            let name = entry?.file_name();
            let Some(text) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
            if matches!(text, "cur" | "new" | "tmp") {
                continue;
            }
            let Ok(below) = at.folder(&name) else { continue };
            let id = if id.is_empty() { text.to_owned() } else { format!("{id}/{text}") };
            let levels: Vec<String> = levels.iter().cloned().chain([decoded(text)]).collect();
            if is_maildir(at, &name) {
                self.add(found, &id, levels.clone());
            }
            self.plain(&below, &id, &levels, found)?;
        }
        Ok(())
    }

    fn add(&self, found: &mut Folders, id: &str, levels: Vec<String>) {
        if found.folders.len() >= FOLDERS_MAX {
            return;
        }
        let mut folder = Folder { id: id.to_owned(), special_use: use_of_name(&levels), levels, estimate: 0 };
        folder.estimate = self.at(&folder).map_or(0, |at| count(&at));
        found.folders.push(folder);
    }

    fn subscriptions(&self, is_dotted: bool) -> Vec<Vec<String>> {
        let read = |name: &str| lines(&self.root, name).unwrap_or_default();
        let mut names = read("subscriptions");
        if let Some(divided) =
            names.first().is_some_and(|first| first.starts_with("V\t")).then(|| names.split_off(1))
        {
            // Dovecot, version 2: levels between tabs.
            return divided
                .iter()
                .filter(|line| !line.is_empty())
                .map(|line| line.split('\t').map(decoded).collect())
                .collect();
        }
        names.extend(read("courierimapsubscribed"));
        let divider = if is_dotted { '.' } else { '/' };
        let levels = |name: &String| -> Vec<String> {
            let name = name.strip_prefix("INBOX.").unwrap_or(name);
            name.split(divider).map(decoded).collect()
        };
        names.iter().filter(|name| !name.is_empty()).map(levels).collect()
    }
}

impl Source for Maildir {
    fn folders(&mut self) -> Result<Folders, String> {
        let told = |why: io::Error| format!("{}: {why}", self.path.display());
        let mut found = Folders::default();
        self.add(&mut found, "", vec!["INBOX".into()]);
        self.dotted(&mut found).map_err(told)?;
        let is_dotted = found.folders.len() > 1;
        if !is_dotted {
            self.plain(&self.root, "", &[], &mut found).map_err(told)?;
        }
        if found.folders.len() >= FOLDERS_MAX {
            found.complaints.push(format!("{}: more than {FOLDERS_MAX} folders", self.path.display()));
        }
        found.subscriptions = self.subscriptions(is_dotted);
        Ok(found)
    }

    fn list(&mut self, folder: &Folder) -> Result<Listing, String> {
        let label = self.label(folder);
        let told = |why: io::Error| format!("{label}: {why}");
        let at = self.at(folder).map_err(told)?;
        let mut listing = Listing::default();
        let uids = uids(&at, &mut listing).map_err(told)?;
        let letters = letters(&at, &mut listing.keywords);
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        for part in PARTS {
            let inner = at.folder(OsStr::new(part)).map_err(|why| format!("{label}/{part}: {why}"))?;
            for entry in inner.entries().map_err(told)? {
                let name = entry.map_err(told)?.file_name();
                if name.as_bytes().starts_with(b".") {
                    continue;
                }
                match one(&inner, &name, part == "cur", &uids, &letters, &mut listing.keywords) {
                    Ok(message) if seen.insert(message.key.clone()) => found.push((message, part, name)),
                    Ok(_) => {} // it moved from new to cur under our eyes
                    Err(why) if why.kind() == io::ErrorKind::NotFound => {
                        let text = format!("{label}/{part}: a file was renamed meanwhile; run it again");
                        listing.complaints.push(text);
                    }
                    Err(why) => {
                        let name = base::escape(&name.to_string_lossy());
                        listing.complaints.push(format!("{label}/{part}/{name}: {why}"));
                    }
                }
                if found.len() > MESSAGES_MAX {
                    return Err(format!("{label}: more than {MESSAGES_MAX} messages"));
                }
            }
        }
        // Those without a UID come last, as they would get the next ones.
        found.sort_by(|(a, ..), (b, ..)| {
            let order = |one: &Message| (one.uid.unwrap_or(u32::MAX), one.date);
            order(a).cmp(&order(b)).then_with(|| a.key.cmp(&b.key))
        });
        self.files.clear();
        for (message, part, name) in found {
            self.files.push((part, name));
            listing.messages.push(message);
        }
        self.listed = folder.id.clone();
        Ok(listing)
    }

    fn read(
        &mut self,
        folder: &Folder,
        _: &Listing,
        wanted: &[usize],
        taker: &mut Taker<'_>,
    ) -> Result<(), Trouble> {
        let label = self.label(folder);
        let at = self.at(folder).map_err(|why| Trouble::Source(format!("{label}: {why}")))?;
        for index in wanted {
            let Some((part, name)) = self.files.get(*index).filter(|_| self.listed == folder.id) else {
                continue;
            };
            match opened(&at, part, name) {
                Ok(file) => read_file(file, *index, taker)?,
                Err(why) => taker.fail(*index, why.to_string()),
            }
        }
        Ok(())
    }
}

/// The file of a message, though its flags changed since, and with them its name.
fn opened(at: &Beneath, part: &str, name: &OsStr) -> io::Result<File> {
    let found = at.folder(OsStr::new(part))?.file(name);
    match found {
        Err(why) if why.kind() == io::ErrorKind::NotFound => {}
        other => return other,
    }
    let base = base_of(name.as_bytes());
    for part in PARTS {
        let inner = at.folder(OsStr::new(part))?;
        for entry in inner.entries()? {
            let name = entry?.file_name();
            if base_of(name.as_bytes()) == base {
                return inner.file(&name);
            }
        }
    }
    Err(io::Error::other("it was removed meanwhile"))
}

fn read_file(mut file: File, index: usize, taker: &mut Taker<'_>) -> Result<(), Trouble> {
    let store = |why: io::Error| Trouble::Store(why.to_string());
    taker.begin().map_err(store)?;
    let mut piece = vec![0; 64 * 1024];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return taker.end(index).map_err(store),
            Ok(read) => taker.write_lines(&piece[..read]).map_err(store)?,
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            Err(why) => {
                taker.fail(index, why.to_string());
                return Ok(());
            }
        }
    }
}

fn is_maildir(at: &Beneath, name: &OsStr) -> bool {
    at.folder(name).is_ok_and(|below| below.folder(OsStr::new("cur")).is_ok())
}

fn count(at: &Beneath) -> u64 {
    let parts = PARTS.iter().filter_map(|part| at.folder(OsStr::new(part)).ok()?.entries().ok());
    parts.map(|entries| entries.count() as u64).sum()
}

/// A level as IMAP spells it, or in UTF-8.
fn decoded(level: &str) -> String {
    imap_wire::utf7::decode(level.as_bytes()).unwrap_or_else(|| level.to_owned())
}

/// The name without flags: it stays as long as the message does.
fn base_of(name: &[u8]) -> &[u8] {
    memchr::memchr(b':', name).map_or(name, |at| &name[..at])
}

fn key_of(base: &[u8]) -> String {
    base::escape(&String::from_utf8_lossy(base))
}

/// One message, by its name.
fn one(
    at: &Beneath,
    name: &OsStr,
    has_flags: bool,
    uids: &HashMap<String, u32>,
    letters: &HashMap<u8, u16>,
    keywords: &mut Keywords,
) -> io::Result<Message> {
    let meta = at.look(name)?;
    let bytes = name.as_bytes();
    let key = key_of(base_of(bytes));
    let flags =
        memchr::memmem::find(bytes, b":2,").filter(|_| has_flags).map_or(&b""[..], |at| &bytes[at + 3..]);
    let marks = marks(flags, letters, keywords);
    Ok(Message { uid: uids.get(&key).copied(), key, marks, date: meta.mtime(), size: meta.len() })
}

/// The letters behind `:2,`.
fn marks(flags: &[u8], letters: &HashMap<u8, u16>, keywords: &mut Keywords) -> Marks {
    let mut marks = Marks::default();
    // Some write further fields behind a comma.
    for letter in flags.iter().take_while(|letter| **letter != b',') {
        match letter {
            b'D' => marks.flags |= Flags::DRAFT,
            b'F' => marks.flags |= Flags::FLAGGED,
            b'R' => marks.flags |= Flags::ANSWERED,
            b'S' => marks.flags |= Flags::SEEN,
            b'T' => marks.flags |= Flags::DELETED,
            b'P' => {
                if let Some(number) = keywords.number("$Forwarded") {
                    marks.add_keyword(number);
                }
            }
            letter => {
                if let Some(number) = letters.get(letter) {
                    marks.add_keyword(*number);
                }
            }
        }
    }
    marks
}

/// Lines of a small file; none when it is not there.
fn lines(at: &Beneath, name: &str) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    each_line(at, name, |line| found.push(line.to_owned()))?;
    Ok(found)
}

fn each_line(at: &Beneath, name: &str, mut see: impl FnMut(&str)) -> io::Result<()> {
    let file = match at.file(OsStr::new(name)) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        line.clear();
        if Read::take(&mut reader, LINE_BYTES_MAX as u64).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        see(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']));
    }
}

/// UIDs by key; UIDVALIDITY and the next UID go into the listing.
fn uids(at: &Beneath, listing: &mut Listing) -> io::Result<HashMap<String, u32>> {
    let mut uids = HashMap::new();
    for name in ["dovecot-uidlist", "courierimapuiddb"] {
        let mut is_head = true;
        each_line(at, name, |line| {
            if std::mem::take(&mut is_head) {
                let (validity, next) = uid_head(line);
                listing.uid_validity = validity;
                listing.uid_next = next.unwrap_or(0);
            } else if let Some((uid, key)) = uid_line(line) {
                uids.insert(key, uid);
            }
        })?;
        if listing.uid_validity.is_some() {
            return Ok(uids);
        }
    }
    Ok(HashMap::new()) // UIDs mean nothing without it
}

/// `3 V1275660208 N25022 G3085..` or `1 1275660208 25022`
fn uid_head(line: &str) -> (Option<u32>, Option<u32>) {
    let mut words = line.split(' ');
    let number = |word: Option<&str>| word?.parse::<u32>().ok().filter(|number| *number > 0);
    match words.next() {
        Some("3") => {
            let rest: Vec<&str> = words.collect();
            let named = |letter| rest.iter().find_map(|word| number(word.strip_prefix(letter)));
            (named('V'), named('N'))
        }
        Some("1") => (number(words.next()), number(words.next())),
        _ => (None, None),
    }
}

/// `25006 :1276528487.M364837P9451.kurkku,S=1355,W=1394:2,` with `W1394`-like fields before the colon, or `25006 name`
fn uid_line(line: &str) -> Option<(u32, String)> {
    let (uid, rest) = line.split_once(' ')?;
    let name = match rest.split_once(':') {
        Some((fields, name)) if fields.is_empty() || fields.ends_with(' ') => name,
        _ => rest,
    };
    let uid = uid.parse().ok().filter(|uid| *uid > 0)?;
    Some((uid, key_of(base_of(name.as_bytes()))))
}

/// `0 $Forwarded` is the letter a.
fn letters(at: &Beneath, keywords: &mut Keywords) -> HashMap<u8, u16> {
    let mut letters = HashMap::new();
    let _ = each_line(at, "dovecot-keywords", |line| {
        let number = line.split_once(' ').and_then(|(number, name)| Some((number.parse::<u8>().ok()?, name)));
        if let Some((number, name)) = number.filter(|(number, _)| *number < 26) {
            if let Some(keyword) = keywords.number(name) {
                letters.insert(b'a' + number, keyword);
            }
        }
    });
    letters
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_flags_and_keywords() {
        let mut keywords = Keywords::default();
        let letters = HashMap::from([(b'a', keywords.number("Junk").unwrap())]);
        let found = marks(b"FSTaz,x=D", &letters, &mut keywords);
        assert_eq!(found.flags, Flags::FLAGGED | Flags::SEEN | Flags::DELETED);
        assert_eq!(found.keywords, [0]);
        let passed = marks(b"P", &letters, &mut keywords);
        assert_eq!(keywords.names[usize::from(passed.keywords[0])], "$Forwarded");
        assert_eq!(base_of(b"12.M3.host,S=4:2,S"), b"12.M3.host,S=4");
    }

    #[test]
    fn uid_lists_of_both_kinds() {
        assert_eq!(
            uid_head("3 V1275660208 N25022 G3085f01b7f11094c501100008c4a11c1"),
            (Some(1_275_660_208), Some(25022))
        );
        assert_eq!(uid_head("1 17 5"), (Some(17), Some(5)));
        assert_eq!(uid_head("2 17 5"), (None, None));
        assert_eq!(uid_line("7 W1394 S9 :12.M3.host,S=4:2,S"), Some((7, "12.M3.host,S=4".into())));
        assert_eq!(uid_line("7 :12.M3.host"), Some((7, "12.M3.host".into())));
        assert_eq!(uid_line("7 12.M3.host:2,"), Some((7, "12.M3.host".into())));
        assert_eq!(uid_line("x"), None);
        assert_eq!(uid_line("0 :x"), None);
    }
}

//! Files of the mbox format (RFC 4155, and as it really is): messages behind lines `From sender date`.
//!
//! The kinds differ in how a line of a message that begins with `From ` is kept apart, and in who says where a message ends:
//!
//! | kind | end | `From ` in a message |
//! | --- | --- | --- |
//! | mboxo | the next From line | `>From `; `>From ` was that, or itself |
//! | mboxrd | the next From line | any number of `>` and `From ` get one more `>` |
//! | mboxcl | Content-Length | as mboxrd |
//! | mboxcl2 | Content-Length | as it is |
//!
//! Without being told, a message whose Content-Length leads to a From line or the end of the file ends there; a file in which
//! such a message has a bare `From ` line is mboxcl2; everything else is read as mboxrd, which reads mboxo too but for lines
//! with several `>`. Status, X-Status, X-Keywords, X-UID and their relatives become flags, keywords and UIDs, and are left out
//! of the message, as Dovecot and UW IMAP do.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::beneath::{Folder as Beneath, named_file};
use super::mbox_scan::{Kind, Scanned, scan, write_message};
use super::source::{Folder, Folders, Listing, Source, Trouble, use_of_name};
use super::taker::Taker;

/// Folders inside folders at most.
const DEPTH_MAX: usize = 16;
/// Files of one source at most.
const FILES_MAX: usize = 100_000;
/// Bytes of a message, as the progress guesses before a file was read.
const BYTES_GUESSED: u64 = 20_000;

pub struct Mbox {
    path: PathBuf,
    /// Nothing: the path is one file, the INBOX.
    root: Option<Beneath>,
    kind: Option<Kind>,
    /// Of the folder that was listed last.
    scanned: Option<(String, File, Scanned)>,
}

impl Mbox {
    /// # Errors
    /// One line: there is nothing.
    pub fn open(path: &Path, kind: Option<Kind>) -> Result<Mbox, String> {
        let told = |why: io::Error| format!("{}: {why}", path.display());
        let is_folder = std::fs::metadata(path).map_err(told)?.is_dir();
        let root = if is_folder { Some(Beneath::named(path).map_err(told)?) } else { None };
        Ok(Mbox { path: path.to_owned(), root, kind, scanned: None })
    }

    fn file(&self, folder: &Folder) -> io::Result<File> {
        let Some(root) = &self.root else { return named_file(&self.path) };
        let mut at = root.again()?;
        let mut levels: Vec<&str> = folder.id.split('/').collect();
        let name = levels.pop().unwrap_or_default();
        for level in levels {
            at = at.folder(OsStr::new(level))?;
        }
        at.file(OsStr::new(name))
    }

    fn label(&self, folder: &Folder) -> String {
        let path = if folder.id.is_empty() { self.path.clone() } else { self.path.join(&folder.id) };
        base::escape(&path.to_string_lossy())
    }

    fn below(&self, at: &Beneath, id: &str, levels: &[String], found: &mut Folders) -> io::Result<()> {
        let mut names: Vec<_> = at.entries()?.collect::<io::Result<Vec<_>>>()?;
        names.sort_by_key(std::fs::DirEntry::file_name);
        for entry in names {
            let name = entry.file_name();
            let Some(text) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
            // Thunderbird keeps the folders below Work in Work.sbd, and indexes in files .msf.
            let level = text.strip_suffix(".sbd").unwrap_or(text);
            let level = imap_wire::utf7::decode(level.as_bytes()).unwrap_or_else(|| level.to_owned());
            let id = if id.is_empty() { text.to_owned() } else { format!("{id}/{text}") };
            let levels: Vec<String> = levels.iter().cloned().chain([level]).collect();
            if let Ok(below) = at.folder(&name) {
                if levels.len() < DEPTH_MAX {
                    self.below(&below, &id, &levels, found)?;
                }
            } else if found.folders.len() < FILES_MAX {
                match at.file(&name).and_then(looks_like_one) {
                    Ok(Some(bytes)) => self.add(found, id, levels, bytes),
                    Ok(None) => {} // an index, a list, anything else
                    Err(why) => found.complaints.push(format!("{}: {why}", base::escape(&id))),
                }
            }
        }
        Ok(())
    }

    fn add(&self, found: &mut Folders, id: String, levels: Vec<String>, bytes: u64) {
        let is_inbox = matches!(levels.as_slice(), [only] if only.eq_ignore_ascii_case("INBOX"));
        let levels = if is_inbox { vec!["INBOX".into()] } else { levels };
        found.subscriptions.push(levels.clone()); // mbox knows none: all are shown
        let special_use = use_of_name(&levels);
        found.folders.push(Folder { id, levels, special_use, estimate: bytes / BYTES_GUESSED });
    }
}

/// The size of a file that is an mbox, or empty.
fn looks_like_one(mut file: File) -> io::Result<Option<u64>> {
    let size = file.metadata()?.len();
    let mut begin = [0; 5];
    match file.read_exact(&mut begin) {
        Err(why) if why.kind() == io::ErrorKind::UnexpectedEof => Ok((size == 0).then_some(0)),
        Err(why) => Err(why),
        Ok(()) => Ok((&begin == b"From ").then_some(size)),
    }
}

impl Source for Mbox {
    fn folders(&mut self) -> Result<Folders, String> {
        let told = |why: io::Error| format!("{}: {why}", self.path.display());
        let mut found = Folders::default();
        match &self.root {
            Some(root) => self.below(root, "", &[], &mut found).map_err(told)?,
            None => {
                let bytes =
                    named_file(&self.path).and_then(|file| Ok(file.metadata()?.len())).map_err(told)?;
                self.add(&mut found, String::new(), vec!["INBOX".into()], bytes);
            }
        }
        Ok(found)
    }

    fn list(&mut self, folder: &Folder) -> Result<Listing, String> {
        let label = self.label(folder);
        let told = |why: io::Error| format!("{label}: {why}");
        let mut file = self.file(folder).map_err(told)?;
        let stamp = |file: &File| file.metadata().map(|meta| (meta.len(), meta.mtime(), meta.mtime_nsec()));
        let before = stamp(&file).map_err(told)?;
        let mut listing = Listing::default();
        let scanned = scan(&mut file, self.kind, &mut listing).map_err(told)?;
        listing.complaints.iter_mut().for_each(|text| *text = format!("{label}: {text}"));
        if stamp(&file).map_err(told)? != before {
            listing.complaints.push(format!("{label}: it changed while it was read; run it again"));
        }
        self.scanned = Some((folder.id.clone(), file, scanned));
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
        let Some((_, file, scanned)) = self.scanned.as_mut().filter(|(id, ..)| *id == folder.id) else {
            return Err(Trouble::Source(format!("{label}: it was not listed")));
        };
        for index in wanted {
            let Some(part) = scanned.parts.get(*index) else { continue };
            let store = |why: io::Error| Trouble::Store(why.to_string());
            if let Err(why) = file.seek(SeekFrom::Start(part.begin)) {
                taker.fail(*index, why.to_string());
                continue;
            }
            taker.begin().map_err(store)?;
            let done = write_message(file, part, scanned.kind, &mut |piece| taker.write_lines(piece));
            match done {
                Ok(guid) if guid == part.check => taker.end(*index).map_err(store)?,
                Ok(_) => taker.fail(*index, format!("{label}: it changed meanwhile; run it again")),
                Err(why) if taker.broken.is_some() => return Err(store(why)),
                Err(why) => taker.fail(*index, why.to_string()),
            }
        }
        Ok(())
    }
}

//! The whole queue as tools see it, with smtpd running or not: folder by folder, oldest entry first.
//!
//! Nothing is changed and nothing locked. An entry costs twelve bytes while its folder is looked at, and its envelope is
//! read by whoever wants it, so that a hundred thousand entries need no memory to speak of. The active queue comes first:
//! an entry that is deferred meanwhile may be seen twice, but is not missed.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::envelope::BYTES_MAX;
use crate::escape::unescape;
use crate::{Envelope, EnvelopeError, QueueId};

/// Bytes of an id.
const ID_LENGTH: usize = 12;
/// Levels between `deferred` and a domain's folder: module, two of hashdir.
const DOMAIN_DEPTH: usize = 4;

/// One folder of envelopes.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// The message files' folder; for a domain's folder they are two hash levels below.
    messages: PathBuf,
    domain: Option<String>,
    ids: Vec<[u8; ID_LENGTH]>,
    /// Files called `env-` and no id.
    pub strangers: usize,
}

impl Folder {
    /// The domain whose mail waits here; nothing for the active queue.
    pub fn domain(&self) -> Option<&str> {
        self.domain.as_deref()
    }

    /// Envelope files.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Oldest first.
    pub fn ids(&self) -> impl Iterator<Item = QueueId> + '_ {
        self.ids.iter().filter_map(|id| QueueId::parse(std::str::from_utf8(id).ok()?))
    }

    pub fn contains(&self, id: &QueueId) -> bool {
        compact(id.as_str()).is_some_and(|id| self.ids.binary_search(&id).is_ok())
    }

    pub fn envelope_path(&self, id: &QueueId) -> PathBuf {
        self.path.join(id.envelope_name())
    }

    pub fn message_path(&self, id: &QueueId) -> PathBuf {
        match self.domain {
            Some(_) => self.messages.join(base::hashdir::path(id.as_str())).join(id.as_str()),
            None => self.messages.join(id.as_str()),
        }
    }

    /// The envelope as it stands; nothing when it has gone meanwhile. `buffer` is room that is used again.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(
        &self,
        id: &QueueId,
        buffer: &mut Vec<u8>,
    ) -> io::Result<Option<Result<Envelope, EnvelopeError>>> {
        let path = self.envelope_path(id);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(why) => return Err(with_path(&path, &why)),
        };
        buffer.clear();
        file.take(BYTES_MAX).read_to_end(buffer).map_err(|why| with_path(&path, &why))?;
        let envelope = Envelope::decode(buffer).and_then(|envelope| {
            if envelope.id == *id { Ok(envelope) } else { Err(EnvelopeError::Line("Id")) }
        });
        Ok(Some(envelope))
    }
}

/// Goes through the queue's folders: the active queue, then each domain that has deferred mail.
pub struct Survey {
    queue: PathBuf,
    control_seen: bool,
    /// Folders to be looked at, the next one last, each with its depth below `deferred`.
    stack: Vec<(PathBuf, usize)>,
}

impl Survey {
    /// `queue` is the instance's queue folder.
    pub fn of(queue: &Path) -> Survey {
        let stack = vec![(queue.join("deferred"), 0)];
        Survey { queue: queue.to_owned(), control_seen: false, stack }
    }

    fn folder(&self, path: PathBuf, domain: Option<String>) -> io::Result<Folder> {
        let messages = if domain.is_some() { path.clone() } else { self.queue.join("messages") };
        let mut folder = Folder { path, messages, domain, ids: Vec::new(), strangers: 0 };
        for entry in entries(&folder.path)? {
            let name = entry.map_err(|why| with_path(&folder.path, &why))?.file_name();
            let Some(id) = name.to_str().and_then(|name| name.strip_prefix("env-")) else { continue };
            match QueueId::parse(id).and_then(|id| compact(id.as_str())) {
                Some(id) => folder.ids.push(id),
                None => folder.strangers += 1,
            }
        }
        folder.ids.sort_unstable();
        Ok(folder)
    }

    /// The name of the folder is the domain's, escaped; where it was cut, an envelope inside tells the domain.
    fn domain_folder(&self, path: PathBuf) -> io::Result<Folder> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let domain = unescape(&name).unwrap_or_else(|| name.clone());
        let mut folder = self.folder(path, Some(domain))?;
        let first = if name.contains('~') { folder.ids().next() } else { None };
        if let Some(id) = first {
            let read = folder.read(&id, &mut Vec::new())?.and_then(Result::ok);
            let address = read.and_then(|envelope| envelope.recipients.last().map(|one| one.address.clone()));
            if let Some((_, domain)) = address.as_deref().and_then(|address| address.rsplit_once('@')) {
                folder.domain = Some(domain.to_ascii_lowercase());
            }
        }
        Ok(folder)
    }

    /// Puts the folders below on the stack, so that they come in the order of their names.
    fn descend(&mut self, path: &Path, depth: usize) -> io::Result<()> {
        let mut below = Vec::new();
        for entry in entries(path)? {
            let entry = entry.map_err(|why| with_path(path, &why))?;
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                below.push(entry.path());
            }
        }
        below.sort_unstable_by(|one, other| other.cmp(one));
        self.stack.extend(below.into_iter().map(|path| (path, depth + 1)));
        Ok(())
    }
}

impl Iterator for Survey {
    type Item = io::Result<Folder>;

    fn next(&mut self) -> Option<io::Result<Folder>> {
        if !std::mem::replace(&mut self.control_seen, true) {
            return Some(self.folder(self.queue.join("control"), None));
        }
        loop {
            let (path, depth) = self.stack.pop()?;
            if depth == DOMAIN_DEPTH {
                return Some(self.domain_folder(path));
            }
            if let Err(why) = self.descend(&path, depth) {
                return Some(Err(why));
            }
        }
    }
}

/// What is in a folder; nothing when there is no such folder.
fn entries(path: &Path) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>>> {
    match fs::read_dir(path) {
        Ok(entries) => Ok(Some(entries).into_iter().flatten()),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None.into_iter().flatten()),
        Err(why) => Err(with_path(path, &why)),
    }
}

fn compact(id: &str) -> Option<[u8; ID_LENGTH]> {
    id.as_bytes().try_into().ok()
}

fn with_path(path: &Path, why: &io::Error) -> io::Error {
    io::Error::new(why.kind(), format!("{}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::tests::sample;

    fn put(folder: &Path, id: &str) {
        let mut envelope = sample();
        envelope.id = QueueId::parse(id).unwrap();
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join(format!("env-{id}")), envelope.encode()).unwrap();
    }

    #[test]
    fn control_and_every_deferred_domain_are_seen_once_in_order() {
        let root = tempfile::tempdir().unwrap();
        let queue = root.path();
        let domain =
            |name: &str| queue.join("deferred/SMTP-Deliver").join(base::hashdir::path(name)).join(name);
        put(&queue.join("control"), "GPM7U002.000");
        put(&queue.join("control"), "GPM7U001.000");
        fs::write(queue.join("control/env-strange"), "").unwrap();
        put(&domain("a.test"), "GPM7U003.000");
        put(&domain("b.test"), "GPM7U004.000");
        fs::create_dir_all(domain("a.test").join("0a/0b")).unwrap();
        fs::write(domain("a.test").join("0a/0b/env-GPM7U009.000"), "a message file's place").unwrap();
        let folders: Vec<Folder> = Survey::of(queue).map(|folder| folder.unwrap()).collect();
        assert_eq!(folders.len(), 3);
        let ids: Vec<String> = folders[0].ids().map(|id| id.to_string()).collect();
        assert_eq!((ids, folders[0].strangers), (vec!["GPM7U001.000".into(), "GPM7U002.000".into()], 1));
        let id = QueueId::parse("GPM7U003.000").unwrap();
        let a = folders.iter().find(|folder| folder.domain() == Some("a.test")).unwrap();
        assert!(a.len() == 1 && a.contains(&id) && !folders[0].contains(&id));
        assert_eq!(
            a.message_path(&id),
            domain("a.test").join(base::hashdir::path("GPM7U003.000")).join("GPM7U003.000")
        );
        assert_eq!(a.read(&id, &mut Vec::new()).unwrap().unwrap().unwrap().id, id);
        fs::remove_file(a.envelope_path(&id)).unwrap();
        assert!(a.read(&id, &mut Vec::new()).unwrap().is_none());
    }

    #[test]
    fn a_queue_that_was_never_used_is_empty_and_damage_is_told() {
        let root = tempfile::tempdir().unwrap();
        assert!(Survey::of(root.path()).all(|folder| folder.unwrap().is_empty()));
        let control = root.path().join("control");
        put(&control, "GPM7U001.000");
        fs::rename(control.join("env-GPM7U001.000"), control.join("env-GPM7U002.000")).unwrap();
        let folder = Survey::of(root.path()).next().unwrap().unwrap();
        let id = QueueId::parse("GPM7U002.000").unwrap();
        assert_eq!(folder.read(&id, &mut Vec::new()).unwrap(), Some(Err(EnvelopeError::Line("Id"))));
    }
}

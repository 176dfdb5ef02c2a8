//! Uploads: files of each user, in `local.tmpdir` (S131), until they are a day old or there are too many.
//!
//! `jmap/<first 16 bytes of the SHA-256 of the uid>/<number>` is a whole upload; it has `.new` behind its name until then. All
//! processes find it by its name. Nothing here is synced: what a crash takes is sent again.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use openssl::sha::sha256;
use serde_json::{Value, json};

use crate::ids::BlobId;
use crate::limits::MAX_SIZE_UPLOAD;
use crate::{Problem, Turn};

/// How long an upload is kept; RFC 8620 §6.1 has an hour as the least.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// Uploads of one user, and their bytes.
const FILES_MAX: usize = 1000;
const BYTES_MAX: u64 = 10 * MAX_SIZE_UPLOAD;
/// RFC 8620 §6.1: a file is not removed within an hour, however many there are.
const KEPT_SURELY: Duration = Duration::from_secs(3600);
const UNFINISHED: &str = "new";

pub struct Uploads {
    folder: PathBuf,
}

/// One upload under way. Dropped before [`Upload::finish`], nothing happened.
pub struct Upload {
    path: PathBuf,
    file: File,
    id: u128,
    account: String,
    media_type: String,
    written: u64,
    /// What the user has room for.
    room: u64,
    _turn: Turn,
}

impl Uploads {
    pub fn open(folder: PathBuf) -> io::Result<Uploads> {
        make_folder(&folder)?;
        Ok(Uploads { folder })
    }

    fn folder_of(&self, uid: &str) -> PathBuf {
        let digest = sha256(uid.as_bytes());
        let name: String = base::hex::encode(&digest[..16]);
        self.folder.join(name)
    }

    pub(crate) fn begin(
        &self,
        uid: &str,
        account: &str,
        media_type: &str,
        turn: Turn,
    ) -> Result<Upload, Problem> {
        let internal = |error: io::Error| Problem::internal(&format!("an upload cannot be kept: {error}"));
        let folder = self.folder_of(uid);
        make_folder(&folder).map_err(internal)?;
        let used = sweep(&folder, SystemTime::now()).map_err(internal)?;
        let Some(room) = BYTES_MAX.checked_sub(used.bytes).filter(|_| used.files < FILES_MAX) else {
            return Err(Problem::over_quota("There are too many uploads; they are forgotten after an hour"));
        };
        let mut random = [0; 16];
        openssl::rand::rand_bytes(&mut random).map_err(|error| Problem::internal(&error.to_string()))?;
        let id = u128::from_be_bytes(random);
        let path = folder.join(format!("{id:032x}.{UNFINISHED}"));
        let file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(internal)?;
        Ok(Upload {
            path,
            file,
            id,
            account: account.to_owned(),
            media_type: media_type.to_owned(),
            written: 0,
            room,
            _turn: turn,
        })
    }

    /// The file of an upload of this user.
    ///
    /// # Errors
    /// The system's.
    pub fn find(&self, uid: &str, id: u128) -> io::Result<Option<Arc<File>>> {
        match File::open(self.folder_of(uid).join(format!("{id:032x}"))) {
            Ok(file) => Ok(Some(Arc::new(file))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Upload {
    /// The upload is whole: the response of RFC 8620 §6.1.
    ///
    /// # Errors
    /// It cannot be kept.
    pub fn finish(mut self) -> Result<Value, Problem> {
        let whole = self.path.with_extension("");
        fs::rename(&self.path, &whole).map_err(|error| Problem::internal(&error.to_string()))?;
        self.path = PathBuf::new();
        Ok(json!({
            "accountId": self.account,
            "blobId": BlobId::Upload(self.id).to_string(),
            "type": self.media_type,
            "size": self.written,
        }))
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.written.saturating_add(bytes.len() as u64);
        if written > MAX_SIZE_UPLOAD || written > self.room {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.file.write_all(bytes)?;
        self.written = written;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

struct Used {
    files: usize,
    bytes: u64,
}

/// Removes what is too old, and of what is too much the oldest; what is left.
fn sweep(folder: &Path, now: SystemTime) -> io::Result<Used> {
    let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(meta) = entry.metadata() else { continue }; // another process swept it
        files.push((meta.modified()?, meta.len(), entry.path()));
    }
    files.sort();
    let mut used = Used { files: files.len(), bytes: files.iter().map(|(_, bytes, _)| bytes).sum() };
    for (time, bytes, path) in files {
        let age = now.duration_since(time).unwrap_or_default();
        let is_too_much = used.files >= FILES_MAX || used.bytes.saturating_add(MAX_SIZE_UPLOAD) > BYTES_MAX;
        if age < KEPT && !(is_too_much && age >= KEPT_SURELY) {
            continue;
        }
        if fs::remove_file(&path).is_ok() {
            used.files = used.files.saturating_sub(1);
            used.bytes = used.bytes.saturating_sub(bytes);
        }
    }
    Ok(used)
}

fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

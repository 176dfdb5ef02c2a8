//! The file of secrets: one a line. The first signs; the others are of before, and still recognised. postsrsd's has the
//! same form.

use std::fmt;
use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use base64::Engine;

const FILE_BYTES_MAX: u64 = 64 << 10;
/// Random bytes of a secret that is made up.
const MADE_BYTES: usize = 24;

/// At least one.
#[derive(Clone)]
pub struct Secrets(Vec<Vec<u8>>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

/// Why there are none; one line that names the file.
#[derive(Debug)]
pub struct SecretsFault {
    path: PathBuf,
    why: String,
}

impl fmt::Display for SecretsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.why)
    }
}
impl std::error::Error for SecretsFault {}

impl Secrets {
    /// One secret for each line of `text` that is not blank.
    pub fn from_text(text: &str) -> Option<Secrets> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let secrets: Vec<Vec<u8>> = lines.map(|line| line.as_bytes().to_vec()).collect();
        (!secrets.is_empty()).then_some(Secrets(secrets))
    }

    /// Reads the file; makes it, with one secret, when it is not there.
    ///
    /// # Errors
    /// It cannot be read or made, others may read it, or it is empty.
    pub fn load_or_make(path: &Path) -> Result<Secrets, SecretsFault> {
        let fault = |why: String| SecretsFault { path: path.to_owned(), why };
        match fs::metadata(path) {
            Ok(meta) if !meta.is_file() => return Err(fault("it is not a file".into())),
            Ok(_) => {}
            Err(why) if why.kind() == ErrorKind::NotFound => {
                make(path).map_err(|why| fault(why.to_string()))?;
            }
            Err(why) => return Err(fault(why.to_string())),
        }
        let text = read(path).map_err(fault)?;
        Secrets::from_text(&text).ok_or_else(|| fault("there is no secret in it".into()))
    }

    pub(crate) fn first(&self) -> &[u8] {
        self.0.first().map_or(&[], Vec::as_slice)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(Vec::as_slice)
    }
}

fn make(path: &Path) -> std::io::Result<()> {
    let mut random = [0; MADE_BYTES];
    openssl::rand::rand_bytes(&mut random)?;
    let line = base64::engine::general_purpose::STANDARD.encode(random) + "\n";
    base::replace::durable_replace(path, line.as_bytes(), 0o600)
}

fn read(path: &Path) -> Result<String, String> {
    let file = fs::File::open(path).map_err(|why| why.to_string())?;
    let meta = file.metadata().map_err(|why| why.to_string())?;
    if meta.mode() & 0o077 != 0 {
        return Err(format!("others may read it (mode {:04o}); say chmod 600", meta.mode() & 0o7777));
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(|why| why.to_string())?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_made_once_and_read_by_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let made = Secrets::load_or_make(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(Secrets::load_or_make(&path).unwrap().first(), made.first());
        assert_eq!(made.first().len(), 32);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let told = Secrets::load_or_make(&path).unwrap_err().to_string();
        assert!(told.contains("others may read it (mode 0640)"), "{told}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "\n \n").unwrap();
        assert!(Secrets::load_or_make(&path).unwrap_err().to_string().contains("no secret"));
        assert!(Secrets::load_or_make(folder.path()).is_err());
    }
}

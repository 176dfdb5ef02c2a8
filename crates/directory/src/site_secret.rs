//! Secrets of the site in files of their own (`store/scram.secret`, `store/totp.key`): 32 bytes of chance, mode 0600.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Bytes of a secret.
pub const BYTES: usize = 32;

/// The secret in this file.
///
/// # Errors
/// It cannot be read, or is too short; one line.
pub fn load(path: &Path) -> Result<Vec<u8>, String> {
    whole(fs::read(path).map_err(|why| told(path, &why))?, path)
}

/// The secret in this file; made if it is not there.
///
/// # Errors
/// As [`load`]; it cannot be made.
pub fn load_or_make(path: &Path) -> Result<Vec<u8>, String> {
    match fs::read(path) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => {
            make(path).map_err(|why| told(path, &why))?;
            load(path)
        }
        Err(why) => Err(told(path, &why)),
        Ok(secret) => whole(secret, path),
    }
}

fn told(path: &Path, why: &io::Error) -> String {
    format!("{}: {why}", path.display())
}

fn whole(secret: Vec<u8>, path: &Path) -> Result<Vec<u8>, String> {
    if secret.len() >= BYTES {
        return Ok(secret);
    }
    Err(format!("{}: shorter than {BYTES} bytes; remove it, and another is made", path.display()))
}

/// Written aside and linked: of processes that start at once one is first, and no crash leaves half of it.
fn make(path: &Path) -> io::Result<()> {
    let mut secret = [0; BYTES];
    openssl::rand::rand_bytes(&mut secret).map_err(io::Error::other)?;
    let aside = path.with_extension(format!("secret.{}", std::process::id()));
    let _ = fs::remove_file(&aside); // of a process that crashed here
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    let linked = file.write_all(&secret).and_then(|()| file.sync_all()).and_then(|()| {
        match fs::hard_link(&aside, path) {
            Err(why) if why.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        }
    });
    let _ = fs::remove_file(&aside);
    linked?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

//! Which certificates there are: files, read into keys and names.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use openssl::pkey::Id;
use openssl::x509::X509;

use server_config::parameters::encryption;
use server_config::{Config, Instance};

use super::{TlsError, reason};

/// Further pairs at most: each costs a context.
const PAIRS_MAX: usize = 1_000;

/// Where certificates and keys are, and what TLS 1.2 is spoken with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificates {
    /// Shown to who asks for no name, or for one that nobody has: chain (PEM) and key (PEM).
    pub usual: (PathBuf, PathBuf),
    /// A folder with more: each `NAME.crt` with its `NAME.key`, and each subfolder with a `fullchain.pem` and a
    /// `privkey.pem`, as certbot makes them. They are shown to who asks for one of their names (SNI, RFC 6066 §3).
    pub more: Option<PathBuf>,
    /// Authorities (PEM) whose certificates clients may show.
    pub clients: Option<PathBuf>,
    /// What TLS 1.2 is spoken with, in OpenSSL's words.
    pub ciphers: String,
}

/// A pair alone, with the usual ciphers.
impl From<(PathBuf, PathBuf)> for Certificates {
    fn from(usual: (PathBuf, PathBuf)) -> Certificates {
        Certificates { usual, more: None, clients: None, ciphers: encryption::CIPHERS.default.to_owned() }
    }
}

/// A certificate, its key and what is said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub chain: PathBuf,
    pub key: PathBuf,
    /// What the authority says of it (OCSP, RFC 6960, DER), beside the chain: `NAME.ocsp`.
    pub ocsp: PathBuf,
    /// In lower case; the first label may be `*`.
    pub names: Vec<String>,
    pub kind: Id,
}

impl Certificates {
    /// `local.encryption.*`; nothing when there is no certificate.
    pub fn from_config(instance: &Instance, config: &Config) -> Option<Certificates> {
        let usual = instance.certificate(config)?;
        let clients = config.get(&encryption::CLIENT_AUTHORITIES);
        Some(Certificates {
            usual,
            more: Some(instance.root().join(config.get(&encryption::CERTIFICATES))),
            clients: (!clients.is_empty()).then(|| instance.root().join(clients)),
            ciphers: config.get(&encryption::CIPHERS),
        })
    }

    /// All files that are read.
    pub fn files(&self) -> Vec<PathBuf> {
        self.state().into_iter().map(|(file, _)| file).collect()
    }

    /// The usual pair first.
    ///
    /// # Errors
    /// A file that cannot be read or used is named.
    pub(super) fn pairs(&self) -> Result<Vec<Pair>, TlsError> {
        let mut found = vec![Pair::open(&self.usual.0, &self.usual.1)?];
        for (chain, key) in self.further()? {
            if chain != self.usual.0 {
                found.push(Pair::open(&chain, &key)?);
            }
        }
        Ok(found)
    }

    fn further(&self) -> Result<Vec<(PathBuf, PathBuf)>, TlsError> {
        let Some(folder) = &self.more else { return Ok(Vec::new()) };
        let listed = match fs::read_dir(folder) {
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(|why| TlsError::of(folder, why.to_string()))?,
        };
        let mut pairs: Vec<(PathBuf, PathBuf)> = Vec::new();
        for path in listed.flatten().map(|entry| entry.path()) {
            let pair = if path.extension().is_some_and(|ending| ending == "crt") {
                (path.clone(), path.with_extension("key"))
            } else {
                (path.join("fullchain.pem"), path.join("privkey.pem"))
            };
            if pair.0.is_file() && pair.1.exists() {
                pairs.push(pair);
            }
        }
        if pairs.len() > PAIRS_MAX {
            return Err(TlsError::of(folder, format!("more than {PAIRS_MAX} certificates")));
        }
        pairs.sort();
        Ok(pairs)
    }

    /// What changes when one of the files does: what is there, when it was written, how long it is.
    pub(super) fn state(&self) -> Vec<(PathBuf, Option<(SystemTime, u64)>)> {
        let pairs = std::iter::once(self.usual.clone()).chain(self.further().unwrap_or_default());
        let files = pairs.flat_map(|(chain, key)| [chain.with_extension("ocsp"), chain, key]);
        files
            .chain(self.clients.clone())
            .map(|file| {
                let data = fs::metadata(&file).ok();
                let state = data.and_then(|data| Some((data.modified().ok()?, data.len())));
                (file, state)
            })
            .collect()
    }
}

impl Pair {
    fn open(chain: &Path, key: &Path) -> Result<Pair, TlsError> {
        let text = read(chain)?;
        let certificate = X509::from_pem(&text).map_err(|why| TlsError::of(chain, reason(&why)))?;
        read(key)?;
        refuse_open(key)?;
        let alternatives = certificate.subject_alt_names();
        let names =
            alternatives.iter().flatten().filter_map(|one| one.dnsname()).map(str::to_ascii_lowercase);
        let kind = certificate.public_key().map_err(|why| TlsError::of(chain, reason(&why)))?.id();
        let ocsp = chain.with_extension("ocsp");
        Ok(Pair { chain: chain.to_owned(), key: key.to_owned(), ocsp, names: names.collect(), kind })
    }

    /// Whether the certificate is for this name.
    pub fn is_for(&self, name: &str) -> bool {
        self.names.iter().any(|shown| base::host_name::fits(shown, name))
    }
}

/// The library would say "system lib" and not why. A folder can be opened, and not read.
fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    let mut bytes = Vec::new();
    let opened = File::open(file).and_then(|mut opened| opened.read_to_end(&mut bytes));
    opened.map_err(|why| TlsError::of(file, why.to_string()))?;
    Ok(bytes)
}

/// A key that everybody may read is nobody's secret.
fn refuse_open(key: &Path) -> Result<(), TlsError> {
    let data = fs::metadata(key).map_err(|why| TlsError::of(key, why.to_string()))?;
    let mode = data.permissions().mode() & 0o777;
    if mode & 0o007 == 0 {
        return Ok(());
    }
    Err(TlsError::of(key, format!("its mode is {mode:o}: everybody may use this key; chmod 640 it, or less")))
}

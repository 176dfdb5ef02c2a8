//! The site's private keys: `config/dkim/<domain>/<selector>.key`, in PEM, readable by nobody but their owner
//! (`docs/formats/dkim.md`).

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use openssl::error::ErrorStack;
use openssl::pkey::{PKey, PKeyRef, Private};
use openssl::rsa::Rsa;

use crate::algorithm::Algorithm;

/// The ending of keys that sign.
pub const ACTIVE: &str = "key";
/// A key file at most; RSA-8192 in PEM has 6.5 KiB.
const FILE_BYTES_MAX: u64 = 64 << 10;
/// Keys of one domain that sign: signatures of one message.
const KEYS_MAX: usize = 4;
/// Domains above that of an address that are asked for a key.
const ABOVE_MAX: usize = 10;

/// A private key of a domain, and where its public half is published.
#[derive(Clone)]
pub struct SigningKey {
    domain: String,
    selector: String,
    algorithm: Algorithm,
    key: PKey<Private>,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}._domainkey.{} ({})", self.selector, self.domain, self.algorithm)
    }
}

/// Why a key is not used; one line that names the file.
#[derive(Debug)]
pub struct KeyFault {
    pub path: PathBuf,
    pub why: String,
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.why)
    }
}
impl std::error::Error for KeyFault {}

impl SigningKey {
    /// `None`: the key is of no type that signs mail.
    pub fn new(domain: &str, selector: &str, key: PKey<Private>) -> Option<SigningKey> {
        let algorithm = Algorithm::of_key(&key)?;
        Some(SigningKey { domain: domain.to_lowercase(), selector: selector.to_lowercase(), algorithm, key })
    }

    /// A new key: RSA of `bits`, or Ed25519.
    ///
    /// # Errors
    /// The library's.
    pub fn generate(
        domain: &str,
        selector: &str,
        algorithm: Algorithm,
        bits: u32,
    ) -> Result<SigningKey, ErrorStack> {
        let key = match algorithm {
            Algorithm::Ed25519Sha256 => PKey::generate_ed25519()?,
            Algorithm::RsaSha256 | Algorithm::RsaSha1 => PKey::from_rsa(Rsa::generate(bits)?)?,
        };
        SigningKey::new(domain, selector, key).ok_or_else(ErrorStack::get)
    }

    /// Reads the key of `path`.
    ///
    /// # Errors
    /// It cannot be read, others may read it, or it is no such key.
    pub fn load(path: &Path, domain: &str, selector: &str) -> Result<SigningKey, KeyFault> {
        let fault = |why: String| KeyFault { path: path.to_owned(), why };
        let text = read_private(path).map_err(fault)?;
        let key =
            PKey::private_key_from_pem(&text).map_err(|_| fault("it is no private key in PEM".into()))?;
        let made = SigningKey::new(domain, selector, key);
        let key = made.ok_or_else(|| fault("it is neither an RSA nor an Ed25519 key".into()))?;
        match key.algorithm == Algorithm::RsaSha256 && key.key.bits() < 1024 {
            true => Err(fault(format!("{} bits are too few: nobody accepts it (RFC 8301)", key.key.bits()))),
            false => Ok(key),
        }
    }

    pub fn domain(&self) -> &str {
        &self.domain
    }
    pub fn selector(&self) -> &str {
        &self.selector
    }
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
    pub fn bits(&self) -> u32 {
        self.key.bits()
    }
    pub(crate) fn private(&self) -> &PKeyRef<Private> {
        &self.key
    }

    /// The private key in PEM (PKCS #8).
    ///
    /// # Errors
    /// The library's.
    pub fn to_pem(&self) -> Result<Vec<u8>, ErrorStack> {
        self.key.private_key_to_pem_pkcs8()
    }

    /// The name at which the public key is published.
    pub fn record_name(&self) -> String {
        format!("{}._domainkey.{}", self.selector, self.domain)
    }

    /// What is published there: a TXT record (RFC 6376 §3.6.1, RFC 8463 §4).
    ///
    /// # Errors
    /// The library's.
    pub fn record(&self) -> Result<String, ErrorStack> {
        use base64::Engine;
        let public = match self.algorithm {
            Algorithm::Ed25519Sha256 => self.key.raw_public_key()?,
            Algorithm::RsaSha256 | Algorithm::RsaSha1 => self.key.public_key_to_der()?,
        };
        let public = base64::engine::general_purpose::STANDARD.encode(public);
        Ok(format!("v=DKIM1; k={}; p={public}", self.algorithm.key_type()))
    }

    /// Whether a published record holds this key, in a form that verifies its signatures.
    pub fn is_published_as(&self, record: &[u8]) -> Result<(), String> {
        let found = crate::key_record::read(record, self.algorithm);
        match found {
            Ok(found) if found.key.public_eq(&self.key) => Ok(()),
            Ok(_) => Err("another key is published there".into()),
            Err(outcome) => Err(outcome.reason().to_owned()),
        }
    }
}

/// A file's content, if nobody but its owner may read it.
fn read_private(path: &Path) -> Result<Vec<u8>, String> {
    let text = |why: std::io::Error| why.to_string();
    if !fs::metadata(path).map_err(text)?.is_file() {
        return Err("it is not a file".into()); // a FIFO would be waited for
    }
    let file = fs::File::open(path).map_err(text)?;
    let meta = file.metadata().map_err(text)?;
    if meta.mode() & 0o077 != 0 {
        return Err(format!("others may read it (mode {:04o}); say chmod 600", meta.mode() & 0o7777));
    }
    let mut content = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut content).map_err(text)?;
    Ok(content)
}

/// All keys that sign, by domain.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    by_domain: BTreeMap<String, Vec<SigningKey>>,
}

impl Keyring {
    /// The keys below `folder`, which need not exist, and what is wrong with the others.
    pub fn load(folder: &Path) -> (Keyring, Vec<KeyFault>) {
        let mut keyring = Keyring::default();
        let mut faults = Vec::new();
        for (domain, path) in entries(folder, &mut faults) {
            if !path.is_dir() {
                continue;
            }
            for (name, path) in entries(&path, &mut faults) {
                let Some((selector, ACTIVE)) = name.rsplit_once('.') else { continue };
                match SigningKey::load(&path, &domain, selector) {
                    Ok(key) => keyring.add(key, path, &mut faults),
                    Err(fault) => faults.push(fault),
                }
            }
        }
        (keyring, faults)
    }

    fn add(&mut self, key: SigningKey, path: PathBuf, faults: &mut Vec<KeyFault>) {
        let keys = self.by_domain.entry(key.domain.clone()).or_default();
        match keys.len() < KEYS_MAX {
            true => keys.push(key),
            false => {
                faults.push(KeyFault { path, why: format!("{KEYS_MAX} keys of the domain sign already") })
            }
        }
    }

    /// The keys that sign for `domain`; with `above` those of the nearest domain above it that has some.
    pub fn of_domain(&self, domain: &str, above: bool) -> &[SigningKey] {
        let domain = domain.trim_end_matches('.').to_lowercase();
        let parents = std::iter::successors(Some(domain.as_str()), |name| {
            name.split_once('.').map(|(_, rest)| rest).filter(|rest| rest.contains('.'))
        });
        let asked = if above { ABOVE_MAX } else { 1 };
        parents.take(asked).find_map(|name| self.by_domain.get(name)).map_or(&[], Vec::as_slice)
    }

    pub fn is_empty(&self) -> bool {
        self.by_domain.is_empty()
    }

    /// The domains that have keys, in order.
    pub fn domains(&self) -> impl Iterator<Item = &str> {
        self.by_domain.keys().map(String::as_str)
    }
}

/// Names and paths in a folder, in order; none of a folder that is not there.
fn entries(folder: &Path, faults: &mut Vec<KeyFault>) -> Vec<(String, PathBuf)> {
    let read = match fs::read_dir(folder) {
        Ok(read) => read,
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(why) => {
            faults.push(KeyFault { path: folder.to_owned(), why: why.to_string() });
            return Vec::new();
        }
    };
    let named = |entry: fs::DirEntry| Some((entry.file_name().into_string().ok()?, entry.path()));
    let mut found: Vec<(String, PathBuf)> = read.flatten().filter_map(named).collect();
    found.retain(|(name, _)| !name.starts_with('.'));
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn put(folder: &Path, name: &str, content: &[u8], mode: u32) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn pem() -> Vec<u8> {
        SigningKey::generate("d", "s", Algorithm::Ed25519Sha256, 0).unwrap().to_pem().unwrap()
    }

    #[test]
    fn keys_that_others_may_read_and_what_is_none_are_told_and_not_used() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "Example.org/a.key", &pem(), 0o600);
        put(folder.path(), "example.org/b.key", &pem(), 0o640);
        put(folder.path(), "example.org/c.key", b"nonsense", 0o600);
        put(folder.path(), "example.org/d.old", &pem(), 0o600);
        put(folder.path(), "example.org/e.f.key", &pem(), 0o400);
        fs::create_dir(folder.path().join("example.org/g.key")).unwrap();
        put(folder.path(), "README", b"", 0o644);
        let (keyring, faults) = Keyring::load(folder.path());
        let selectors: Vec<&str> =
            keyring.of_domain("EXAMPLE.org", false).iter().map(SigningKey::selector).collect();
        assert_eq!(selectors, ["a", "e.f"]);
        let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[0].contains("b.key: others may read it (mode 0640)"), "{told:?}");
        assert!(told[1].contains("c.key: it is no private key"), "{told:?}");
        assert!(told[2].contains("g.key: it is not a file"), "{told:?}");
        assert!(Keyring::load(&folder.path().join("none")).0.is_empty());
    }

    #[test]
    fn domains_above_are_asked_only_when_they_may_be() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "example.org/a.key", &pem(), 0o600);
        put(folder.path(), "b.example.org/b.key", &pem(), 0o600);
        put(folder.path(), "org/c.key", &pem(), 0o600);
        let (keyring, _) = Keyring::load(folder.path());
        let of = |domain: &str, above| {
            keyring.of_domain(domain, above).first().map_or("", |key| key.domain.as_str()).to_owned()
        };
        assert_eq!(
            (of("x.example.org", true), of("x.example.org", false)),
            ("example.org".into(), String::new())
        );
        assert_eq!(of("x.y.b.example.org", true), "b.example.org");
        assert_eq!(of("other.org", true), "", "a name without a dot above is nobody's");
        assert_eq!(of("xexample.org", true), "");
    }

    #[test]
    fn no_more_than_four_keys_of_a_domain_sign() {
        let folder = tempfile::tempdir().unwrap();
        for n in 0..5 {
            put(folder.path(), &format!("example.org/s{n}.key"), &pem(), 0o600);
        }
        let (keyring, faults) = Keyring::load(folder.path());
        assert_eq!((keyring.of_domain("example.org", false).len(), faults.len()), (KEYS_MAX, 1));
    }
}

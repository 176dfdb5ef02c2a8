//! The certificate and its key, where the daemons look for them.
//!
//! ```text
//! config/certs/server.key -> acme/current/privkey.pem        by links, once and for all
//! config/certs/server.crt -> acme/current/fullchain.pem
//! config/certs/acme/current -> 3                             one rename changes both files at once
//! config/certs/acme/3/  fullchain.pem  privkey.pem  directory  names
//! ```
//! The folders with numbers never change once `current` has named them. When the links are made, `current` names a copy of the
//! pair that was there: whatever happens between two steps, the two files fit each other.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use base::replace::{durable_replace, private_folder};
use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl::x509::X509;

const CHAIN: &str = "fullchain.pem";
const KEY: &str = "privkey.pem";
/// The URL of the directory that it was ordered from.
const DIRECTORY: &str = "directory";
/// The names that were asked for, sorted, one a line: an authority may add others.
const NAMES: &str = "names";
const CURRENT: &str = "current";
/// Folders with numbers that are kept: the one in use, and the one before; and all that were not ordered.
const KEPT: usize = 2;

/// Where they are.
pub struct Place<'a> {
    /// `config/certs/acme`
    pub folder: &'a Path,
    pub chain: &'a Path,
    pub key: &'a Path,
}

/// What is known of a certificate in use. Seconds are since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// In lower case, sorted.
    pub names: Vec<String>,
    pub issuer: String,
    pub serial: String,
    /// The public key, DER.
    pub public: Vec<u8>,
    pub begins: i64,
    pub ends: i64,
    /// Whether the key is the certificate's.
    pub fits: bool,
    /// Where it was ordered, if it was.
    pub directory: Option<String>,
    /// The names that were asked for, sorted, if that is known.
    pub ordered: Option<Vec<String>>,
    /// 0 to 255, always the same for this certificate.
    pub chance: u8,
}

/// What was asked for, and of whom.
pub struct Ordered<'a> {
    /// The URL of the directory.
    pub directory: &'a str,
    pub names: &'a [String],
}

/// Chain (PEM) and key.
pub struct Pair {
    pub chain: Vec<u8>,
    pub key: PKey<Private>,
}

impl Place<'_> {
    /// What the daemons show now; nothing when there is no certificate, or none that can be read.
    pub fn installed(&self) -> Option<Installed> {
        let mut found = Installed::of(&fs::read(self.chain).ok()?).ok()?;
        found.fits = read_key(self.key).is_some_and(|key| found.fits(&key));
        if self.is_ours() {
            let said = |file| fs::read_to_string(self.folder.join(CURRENT).join(file)).ok();
            found.directory = said(DIRECTORY).map(|text| text.trim().to_owned());
            found.ordered = said(NAMES).map(|text| text.lines().map(str::to_owned).collect());
        }
        Some(found)
    }

    /// Whether the daemons show this certificate already.
    pub fn shows(&self, pair: &Pair) -> bool {
        let now = fs::read(self.chain).ok().and_then(|chain| Installed::of(&chain).ok());
        Installed::of(&pair.chain).is_ok_and(|one| Some(one) == now)
    }

    /// The key in use, if it was ours already.
    pub fn key(&self) -> Option<PKey<Private>> {
        if self.is_ours() { read_key(self.key) } else { None }
    }

    /// Whether both are our links.
    fn is_ours(&self) -> bool {
        [(self.chain, CHAIN), (self.key, KEY)].into_iter().all(|(path, name)| {
            let target = fs::read_link(path).ok();
            target.is_some_and(|target| target == self.target(path, name))
        })
    }

    /// What the link at `path` says: relative where it stands beside us, so that an instance can be moved.
    fn target(&self, path: &Path, name: &str) -> PathBuf {
        let beside = path.parent() == self.folder.parent();
        let folder = self.folder.file_name().filter(|_| beside).map_or(self.folder, Path::new);
        folder.join(CURRENT).join(name)
    }

    /// Makes our folder, and makes sure that the links can be made: before an authority is asked for anything.
    ///
    /// # Errors
    /// One line.
    pub fn prepare(&self) -> Result<(), String> {
        let told = |path: &Path, why: io::Error| format!("{}: {why}", path.display());
        private_folder(self.folder).map_err(|why| told(self.folder, why))?;
        if self.is_ours() {
            return Ok(());
        }
        for path in [self.chain, self.key] {
            let folder = path.parent().unwrap_or(Path::new("."));
            let probe = folder.join(format!(".acme.{}.new", std::process::id()));
            let tried = File::create(&probe).and_then(|_| fs::remove_file(&probe));
            tried.map_err(|why| told(folder, why))?;
        }
        Ok(())
    }

    /// Puts a pair into use. Every step is durable before the next.
    ///
    /// # Errors
    /// One line. What was in use before still is.
    pub fn install(&self, pair: &Pair, order: &Ordered<'_>) -> Result<(), String> {
        let told = |why: io::Error| format!("{}: {why}", self.folder.display());
        if !self.is_ours() {
            if let Some(present) = self.present() {
                let copy = self.version(&present, None).map_err(told)?;
                self.name(&copy).map_err(told)?;
                base::crash::step("acme: pair copied");
                self.link().map_err(told)?;
            }
        }
        let version = self.version(pair, Some(order)).map_err(told)?;
        base::crash::step("acme: pair written");
        // What an authority said of the former one (OCSP) is not true of this one.
        let _ = fs::remove_file(self.chain.with_extension("ocsp"));
        self.name(&version).map_err(told)?;
        base::crash::step("acme: pair named");
        if !self.is_ours() {
            self.link().map_err(told)?;
        }
        self.prune();
        Ok(())
    }

    /// The pair in use, if it is one.
    fn present(&self) -> Option<Pair> {
        let chain = fs::read(self.chain).ok()?;
        let key = read_key(self.key)?;
        Installed::of(&chain).ok()?.fits(&key).then_some(Pair { chain, key })
    }

    /// A new folder with this pair; its name.
    fn version(&self, pair: &Pair, order: Option<&Ordered<'_>>) -> io::Result<String> {
        private_folder(self.folder)?;
        let name = self.versions().last().map_or(1, |last| last + 1).to_string();
        let folder = self.folder.join(&name);
        private_folder(&folder)?;
        if let Some(Ordered { directory, names }) = order {
            // First: a pair without it is the administrator's own.
            durable_replace(&folder.join(DIRECTORY), format!("{directory}\n").as_bytes(), 0o644)?;
            let mut names = names.to_vec();
            names.sort();
            durable_replace(&folder.join(NAMES), format!("{}\n", names.join("\n")).as_bytes(), 0o644)?;
        }
        let key = pair.key.private_key_to_pem_pkcs8().map_err(io::Error::other)?;
        durable_replace(&folder.join(KEY), &key, 0o600)?;
        durable_replace(&folder.join(CHAIN), &pair.chain, 0o644)?;
        File::open(self.folder)?.sync_all()?;
        Ok(name)
    }

    fn versions(&self) -> Vec<u64> {
        let names = fs::read_dir(self.folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let mut numbers: Vec<u64> = names.filter_map(|name| name.to_str()?.parse().ok()).collect();
        numbers.sort_unstable();
        numbers
    }

    fn name(&self, version: &str) -> io::Result<()> {
        replace_by_link(&self.folder.join(CURRENT), Path::new(version))
    }

    /// Both files become links. The key first: without a certificate nobody looks for a key.
    fn link(&self) -> io::Result<()> {
        replace_by_link(self.key, &self.target(self.key, KEY))?;
        base::crash::step("acme: key linked");
        replace_by_link(self.chain, &self.target(self.chain, CHAIN))
    }

    fn prune(&self) {
        let current = fs::read_link(self.folder.join(CURRENT)).unwrap_or_default();
        // A whole pair that was not ordered is the administrator's, and may be nowhere else.
        let is_ours = |version: &u64| {
            let folder = self.folder.join(version.to_string());
            folder.join(DIRECTORY).exists() || !folder.join(CHAIN).exists()
        };
        let versions: Vec<u64> = self.versions().into_iter().filter(is_ours).collect();
        for old in versions.iter().rev().skip(KEPT).map(u64::to_string) {
            if current != Path::new(&old) {
                let _ = fs::remove_dir_all(self.folder.join(old));
            }
        }
    }
}

fn replace_by_link(path: &Path, target: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = folder.join(format!(".{name}.{}.new", std::process::id()));
    let _ = fs::remove_file(&new);
    symlink(target, &new)?;
    fs::rename(&new, path)?;
    File::open(folder)?.sync_all()
}

pub(crate) fn read_key(file: &Path) -> Option<PKey<Private>> {
    PKey::private_key_from_pem(&fs::read(file).ok()?).ok()
}

impl Installed {
    /// What a chain's first certificate says.
    ///
    /// # Errors
    /// One clause: there is none in it.
    pub(crate) fn of(chain: &[u8]) -> Result<Installed, String> {
        let all = X509::stack_from_pem(chain).map_err(|_| "it is no certificate")?;
        let leaf = all.first().ok_or("it is no certificate")?;
        Installed::leaf(leaf).map_err(|_| "its certificate cannot be read".into())
    }

    fn leaf(leaf: &X509) -> Result<Installed, ErrorStack> {
        let alternatives = leaf.subject_alt_names();
        let names = alternatives.iter().flatten().filter_map(|one| one.dnsname());
        let mut names: Vec<String> = names.map(str::to_ascii_lowercase).collect();
        names.sort();
        let issuer = leaf.issuer_name().entries().filter_map(|entry| entry.data().to_string().ok());
        let digest = leaf.digest(openssl::hash::MessageDigest::sha256())?;
        Ok(Installed {
            names,
            issuer: issuer.collect::<Vec<_>>().join(", "),
            serial: leaf.serial_number().to_bn()?.to_hex_str()?.to_string(),
            begins: seconds(leaf.not_before())?,
            ends: seconds(leaf.not_after())?,
            public: leaf.public_key()?.public_key_to_der()?,
            fits: false,
            directory: None,
            ordered: None,
            chance: digest[0],
        })
    }

    /// Whether this is the key that it was issued for.
    pub(crate) fn fits(&self, key: &PKey<Private>) -> bool {
        key.public_key_to_der().is_ok_and(|public| public == self.public)
    }
}

fn seconds(time: &Asn1TimeRef) -> Result<i64, ErrorStack> {
    let since = Asn1Time::from_unix(0)?.diff(time)?;
    Ok(i64::from(since.days) * 86_400 + i64::from(since.secs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::new_key;
    use openssl::hash::MessageDigest;
    use std::os::unix::fs::PermissionsExt;

    fn issue(name: &str) -> Pair {
        let key = new_key().unwrap();
        let mut builder = X509::builder().unwrap();
        builder.set_version(2).unwrap();
        builder.set_pubkey(&key).unwrap();
        builder.set_not_before(&Asn1Time::from_unix(1_000_000).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::from_unix(1_000_000 + 90 * 86_400).unwrap()).unwrap();
        let names = openssl::x509::extension::SubjectAlternativeName::new()
            .dns(name)
            .build(&builder.x509v3_context(None, None))
            .unwrap();
        builder.append_extension(names).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        Pair { chain: builder.build().to_pem().unwrap(), key }
    }

    #[test]
    fn a_pair_takes_the_place_of_files_and_the_next_that_of_its_links() {
        let top = tempfile::tempdir().unwrap();
        let (folder, chain, key) =
            (top.path().join("acme"), top.path().join("server.crt"), top.path().join("server.key"));
        let place = Place { folder: &folder, chain: &chain, key: &key };
        let own = issue("own.test");
        fs::write(&chain, &own.chain).unwrap();
        fs::write(&key, own.key.private_key_to_pem_pkcs8().unwrap()).unwrap();
        place.prepare().unwrap();
        let before = place.installed().unwrap();
        assert!(before.fits && before.directory.is_none(), "{before:?}");
        assert_eq!((before.begins, before.ends), (1_000_000, 1_000_000 + 90 * 86_400));
        assert!(place.key().is_none());
        for (number, name) in ["a.test", "b.test", "c.test"].into_iter().enumerate() {
            let names = [name.to_owned(), "asked.test".to_owned()];
            place.install(&issue(name), &Ordered { directory: "https://ca.test/", names: &names }).unwrap();
            let now = place.installed().unwrap();
            assert_eq!(now.names, [name]);
            assert!(now.fits && place.key().is_some());
            assert_eq!(now.directory.as_deref(), Some("https://ca.test/"));
            let mut asked = names.to_vec();
            asked.sort();
            assert_eq!(now.ordered, Some(asked));
            let current = (number + 2).to_string();
            assert_eq!(fs::read_link(folder.join("current")).unwrap(), Path::new(&current));
        }
        assert_eq!(place.versions(), [1, 3, 4], "the administrator's own is kept");
        assert_eq!(fs::read(folder.join("1/fullchain.pem")).unwrap(), own.chain);
        assert_eq!(fs::read_link(&key).unwrap(), Path::new("acme/current/privkey.pem"));
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        // Somebody puts a certificate of his own there: it is none of ours until the next is ordered.
        fs::remove_file(&chain).unwrap();
        fs::write(&chain, &own.chain).unwrap();
        assert!(!place.installed().unwrap().fits);
        place.install(&issue("d.test"), &Ordered { directory: "x", names: &[] }).unwrap();
        assert!(place.installed().unwrap().fits);
    }

    #[test]
    fn where_there_is_no_certificate_the_first_is_put() {
        let top = tempfile::tempdir().unwrap();
        let (folder, elsewhere) = (top.path().join("acme"), top.path().join("elsewhere"));
        fs::create_dir(&elsewhere).unwrap();
        let (chain, key) = (elsewhere.join("x.crt"), elsewhere.join("x.key"));
        let place = Place { folder: &folder, chain: &chain, key: &key };
        place.prepare().unwrap();
        assert_eq!(place.installed(), None);
        place.install(&issue("a.test"), &Ordered { directory: "x", names: &[] }).unwrap();
        assert!(place.installed().unwrap().fits);
        assert!(fs::read_link(&chain).unwrap().is_absolute());
        let nowhere = top.path().join("none/y.crt");
        let wrong = Place { chain: &nowhere, ..place };
        assert!(wrong.prepare().unwrap_err().contains("none"));
    }
}

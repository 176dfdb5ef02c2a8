//! The files of the keys.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use dkim::SigningKey;

use crate::site::Site;

/// What a file's ending says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Signs,
    Next,
    Old,
}

impl State {
    const ALL: [State; 3] = [State::Signs, State::Next, State::Old];

    pub fn word(self) -> &'static str {
        match self {
            State::Signs => "signs",
            State::Next => "next",
            State::Old => "old",
        }
    }

    fn ending(self) -> &'static str {
        match self {
            State::Signs => dkim::ACTIVE,
            State::Next => "next",
            State::Old => "old",
        }
    }
}

/// One key as it lies there.
#[derive(Clone, Debug)]
pub struct KeyFile {
    pub domain: String,
    pub selector: String,
    pub state: State,
    pub path: PathBuf,
}

impl KeyFile {
    pub fn is(&self, domain: &str, selector: &str) -> bool {
        self.domain == domain && self.selector == selector
    }

    pub fn load(&self) -> Result<SigningKey, String> {
        SigningKey::load(&self.path, &self.domain, &self.selector).map_err(|why| why.to_string())
    }

    /// Takes another ending.
    pub fn turn_into(&self, state: State) -> Result<(), String> {
        let to = self.path.with_file_name(format!("{}.{}", self.selector, state.ending()));
        let told = |why: std::io::Error| format!("{}: {why}", to.display());
        fs::rename(&self.path, &to).map_err(told)?;
        sync_parent(&to).map_err(told)
    }

    pub fn remove(&self) -> Result<(), String> {
        let told = |why: std::io::Error| format!("{}: {why}", self.path.display());
        fs::remove_file(&self.path).map_err(told)?;
        sync_parent(&self.path).map_err(told)?;
        if let Some(folder) = self.path.parent() {
            let _ = fs::remove_dir(folder); // stays when there are others
        }
        Ok(())
    }
}

fn sync_parent(path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), os::file::sync_dir)
}

/// Every key below `root`, in order.
pub fn all(root: &Path) -> Result<Vec<KeyFile>, String> {
    let mut found = Vec::new();
    for (domain, folder) in names(root)? {
        if !folder.is_dir() {
            continue;
        }
        for (name, path) in names(&folder)? {
            let state = |ending: &str| State::ALL.into_iter().find(|state| state.ending() == ending);
            if let Some((selector, state)) =
                name.rsplit_once('.').and_then(|(selector, ending)| Some((selector, state(ending)?)))
            {
                let (domain, selector) = (domain.to_lowercase(), selector.to_lowercase());
                found.push(KeyFile { domain, selector, state, path });
            }
        }
    }
    Ok(found)
}

fn names(folder: &Path) -> Result<Vec<(String, PathBuf)>, String> {
    let read = match fs::read_dir(folder) {
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(why) => return Err(format!("{}: {why}", folder.display())),
        Ok(read) => read,
    };
    let named = |entry: fs::DirEntry| Some((entry.file_name().into_string().ok()?, entry.path()));
    let mut found: Vec<(String, PathBuf)> = read.flatten().filter_map(named).collect();
    found.retain(|(name, _)| !name.starts_with('.'));
    found.sort();
    Ok(found)
}

/// The keys that are meant.
///
/// # Errors
/// There is none.
pub fn some(root: &Path, domain: Option<&str>, selector: Option<&str>) -> Result<Vec<KeyFile>, String> {
    let domain = domain.map(domain_name).transpose()?;
    let selector = selector.map(selector_name).transpose()?;
    let mut keys = all(root)?;
    keys.retain(|key| {
        domain.as_ref().is_none_or(|domain| key.domain == *domain)
            && selector.as_ref().is_none_or(|selector| key.selector == *selector)
    });
    match (keys.is_empty(), domain, selector) {
        (false, ..) => Ok(keys),
        (true, Some(domain), Some(selector)) => Err(format!("{domain} has no key {selector}")),
        (true, Some(domain), None) => Err(format!("{domain} has no key: dkimutil create {domain}")),
        (true, None, _) => Err("there is no key: dkimutil create DOMAIN".into()),
    }
}

/// # Errors
/// There is none.
pub fn one(root: &Path, domain: &str, selector: &str) -> Result<KeyFile, String> {
    some(root, Some(domain), Some(selector))?.into_iter().next().ok_or_else(|| "there is no key".to_owned())
}

/// Lower case, in the letters of DNS.
///
/// # Errors
/// DNS can have no such name.
pub fn domain_name(name: &str) -> Result<String, String> {
    dns::ascii_name(name)
        .filter(|name| name.contains('.'))
        .ok_or_else(|| format!("{} is not the name of a domain", base::escape(name)))
}

/// # Errors
/// DNS can have no such name.
pub fn selector_name(name: &str) -> Result<String, String> {
    dns::ascii_name(name).ok_or_else(|| {
        format!("{} is no selector: letters, digits and hyphens, as in names of hosts", base::escape(name))
    })
}

/// Writes a new key that nobody else may read. It belongs to whom the configuration belongs to, so that smtpd can read it
/// when root ran the tool.
///
/// # Errors
/// The system's.
pub fn write(site: &Site, key: &SigningKey, state: State) -> Result<KeyFile, String> {
    let folder = site.instance.dkim_dir().join(key.domain());
    let told = |path: &Path, why: std::io::Error| format!("{}: {why}", path.display());
    let owner = fs::metadata(site.instance.config_dir()).map_err(|why| told(&folder, why))?;
    for made in [site.instance.dkim_dir(), folder.clone()] {
        match fs::DirBuilder::new().mode(0o700).create(&made) {
            Ok(()) => give(&made, &owner).map_err(|why| told(&made, why))?,
            Err(why) if why.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(why) => return Err(told(&made, why)),
        }
    }
    let path = folder.join(format!("{}.{}", key.selector(), state.ending()));
    let pem = key.to_pem().map_err(|why| format!("OpenSSL: {why}"))?;
    base::replace::durable_replace(&path, &pem, 0o600).map_err(|why| told(&path, why))?;
    give(&path, &owner).map_err(|why| told(&path, why))?;
    Ok(KeyFile { domain: key.domain().into(), selector: key.selector().into(), state, path })
}

fn give(path: &Path, owner: &fs::Metadata) -> std::io::Result<()> {
    let now = fs::metadata(path)?;
    match (now.uid(), now.gid()) == (owner.uid(), owner.gid()) || now.uid() == owner.uid() {
        true => Ok(()),
        false => std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid())),
    }
}

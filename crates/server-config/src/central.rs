//! Configuration that several servers share: it stands in an LDAP server, and a copy of it beside `config/local.conf`.
//!
//! As the original had it (original.md 1.0): whatever does not begin with `local.` may come from there; the local file is
//! what reaches the directory, and what stands in when the directory says nothing of a name. Daemons read the copy and
//! never ask the directory, so they start and refresh without it; `configutil` renews the copy at each of its runs, and
//! `start-msg` and `refresh-msg` run it first. Format: `docs/formats/configuration.md`.

use std::path::{Path, PathBuf};

use crate::config::quote;
use crate::parameters::directory;
use crate::{Config, ConfigError, Instance};

/// The usual name of the copy; the original's.
const COPY: &str = "configdb";

/// Whether there is a configuration directory.
pub fn is_used(local: &Config) -> bool {
    !local.get(&directory::CONFIG_LDAP_HOST).trim().is_empty()
}

/// Whether a name may come from the directory.
pub fn may_come(name: &str) -> bool {
    !name.starts_with("local.")
}

/// Where the copy is: a name in `config`, where every daemon may read.
///
/// # Errors
/// `local.ldapcachefile` is a path.
pub fn copy_of(instance: &Instance, local: &Config) -> Result<PathBuf, ConfigError> {
    let set = local.get(&directory::CONFIG_LDAP_CACHE_FILE);
    let name = if set.is_empty() { COPY } else { set.as_str() };
    if name.contains('/') || matches!(name, "." | ".." | "local.conf") {
        let why = format!(
            "{} is not the name of a file in {}",
            base::escape(name),
            instance.config_dir().display()
        );
        return Err(ConfigError::Value(directory::CONFIG_LDAP_CACHE_FILE.name.into(), why));
    }
    Ok(instance.config_dir().join(name))
}

/// What is in force: the local file, and over it the copy, unless `local.ldapuselocal` turns that round.
///
/// # Errors
/// A file cannot be read or has a broken line; there is no copy yet, and nobody knows what would be in it.
pub fn in_force(instance: &Instance) -> Result<Config, ConfigError> {
    let path = instance.local_conf();
    let local = Config::read(&path)?;
    if !is_used(&local) {
        return Ok(local);
    }
    let copy = copy_of(instance, &local)?;
    if !copy.exists() {
        let why = "the copy of the configuration directory is not there; run configutil while the directory answers";
        return Err(ConfigError::Value(copy.display().to_string(), why.into()));
    }
    let shared = Config::read(&copy)?;
    Ok(merged(local, &shared))
}

/// `local` with what `shared` says.
pub fn merged(local: Config, shared: &Config) -> Config {
    let local_wins = local.get(&directory::CONFIG_LDAP_USE_LOCAL);
    let mut all = local;
    for (name, value) in shared.iter().filter(|(name, _)| may_come(name)) {
        if !(local_wins && all.text(name).is_some()) {
            all.put(name, value);
        }
    }
    all
}

/// Who fetches and keeps holds this meanwhile, so that what was fetched first is never kept last.
///
/// # Errors
/// The system's.
pub fn renewing(copy: &Path) -> Result<std::fs::File, ConfigError> {
    let told = |why| ConfigError::Read(copy.display().to_string(), why);
    let lock = base::replace::lock_file(&copy.with_extension("lock")).map_err(told)?;
    #[allow(clippy::incompatible_msrv)]
    lock.lock().map_err(told)?;
    Ok(lock)
}

/// Writes the copy when it is another one: whether it was.
///
/// # Errors
/// The system's; the former copy is unchanged then.
pub fn keep(copy: &Path, from: &str, shared: &Config) -> Result<bool, ConfigError> {
    let mut text = format!(
        "# A copy of what the configuration directory says ({from}).\n\
         # configutil writes it at each of its runs: a change made here is lost.\n"
    );
    for (name, value) in shared.iter() {
        text.push_str(&format!("{name} = {}\n", quote(value)));
    }
    if std::fs::read_to_string(copy).is_ok_and(|former| former == text) {
        return Ok(false);
    }
    base::replace::durable_replace(copy, text.as_bytes(), 0o640)
        .map_err(|why| ConfigError::Read(copy.display().to_string(), why))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        Config::from_text(text).unwrap()
    }

    #[test]
    fn the_directory_wins_unless_the_local_file_is_to_and_never_over_local_names() {
        let shared =
            config("service.imap.port = 1143\nlocal.hostname = elsewhere.example\nservice.pop.port = 1110");
        let local = "local.ldaphost = ldap.example\nservice.imap.port = 2143\nlocal.hostname = here.example\n\
                     service.smtp.port = 2525\n";
        let all = merged(config(local), &shared);
        assert_eq!(all.text("service.imap.port"), Some("1143"));
        assert_eq!(all.text("service.pop.port"), Some("1110"));
        assert_eq!(all.text("service.smtp.port"), Some("2525"), "the directory says nothing of it");
        assert_eq!(all.text("local.hostname"), Some("here.example"));
        let all = merged(config(&format!("{local}local.ldapuselocal = yes")), &shared);
        assert_eq!(all.text("service.imap.port"), Some("2143"));
        assert_eq!(all.text("service.pop.port"), Some("1110"));
    }

    #[test]
    fn without_a_copy_nobody_starts_and_with_one_the_directory_is_not_needed() {
        let folder = tempfile::tempdir().unwrap();
        let instance = Instance::new(folder.path());
        std::fs::create_dir(instance.config_dir()).unwrap();
        std::fs::write(instance.local_conf(), "local.ldaphost = ldap.example\n").unwrap();
        assert!(Config::load(&instance).unwrap_err().to_string().contains("is not there"));
        let copy = copy_of(&instance, &Config::empty()).unwrap();
        let shared = config("service.imap.banner = \"a \\\"b\\\" # c\"\nservice.pop.maxthreads = 9");
        assert!(keep(&copy, "ldap.example", &shared).unwrap());
        assert!(!keep(&copy, "ldap.example", &shared).unwrap(), "nothing is new");
        let all = Config::load(&instance).unwrap();
        assert_eq!(all.text("service.imap.banner"), Some("a \"b\" # c"));
        assert_eq!(all.text("service.pop.maxthreads"), Some("9"));
        std::fs::write(&copy, "service.pop.maxthreads = many\n").unwrap();
        assert!(Config::load(&instance).unwrap_err().to_string().contains("service.pop.maxthreads"));
    }

    #[test]
    fn the_copy_is_in_the_config_folder() {
        let instance = Instance::new("/instance");
        for bad in ["/etc/passwd", "../x", "..", "local.conf"] {
            let local = config(&format!("local.ldapcachefile = {bad}"));
            assert!(copy_of(&instance, &local).is_err(), "{bad}");
        }
    }
}

//! The folder names of one instance; nothing else in the suite spells them.

use std::path::{Path, PathBuf};

use crate::Config;
use crate::parameters::{encryption, local};

/// The number of all formats in an instance together (`docs/formats/README.md`): raised when one changes so that an earlier program
/// would take it for damage.
pub const FORMAT: u32 = 1;

/// One installed instance: its root folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    root: PathBuf,
}

impl Instance {
    /// The instance under `root`.
    pub fn new(root: impl Into<PathBuf>) -> Instance {
        Instance { root: root.into() }
    }

    /// What `--instance DIR` named, else the folder above the one that `CONFIGROOT` names.
    pub fn find(named: Option<&Path>) -> Option<Instance> {
        if let Some(root) = named {
            return Some(Instance::new(root));
        }
        let config = PathBuf::from(std::env::var_os("CONFIGROOT").filter(|value| !value.is_empty())?);
        let parent =
            config.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Some(Instance::new(parent))
    }

    /// As [`Instance::find`], and there is an instance.
    ///
    /// # Errors
    /// One line: nothing is named, or what is named is no instance, or may not be read.
    pub fn open(named: Option<&Path>) -> Result<Instance, String> {
        let instance = Instance::find(named)
            .ok_or("which instance? Give --instance DIR or set CONFIGROOT to its config folder")?;
        let conf = instance.local_conf();
        let why = match std::fs::metadata(&conf) {
            Ok(_) => return instance.refuse_later().map(|()| instance),
            Err(why) => why,
        };
        if why.kind() != std::io::ErrorKind::NotFound {
            return Err(format!("{}: {why}", conf.display()));
        }
        let root = instance.root.display();
        let by_environment = named.is_none().then(|| std::env::var_os("CONFIGROOT")).flatten();
        let Some(set) = by_environment.map(PathBuf::from) else {
            return Err(format!("{root} is not an instance: it has no config/local.conf"));
        };
        let shown = set.display();
        let inside = set.join("config");
        if inside.join("local.conf").exists() {
            let inside = inside.display();
            return Err(format!(
                "CONFIGROOT={shown} is not an instance's config folder; did you mean {inside}?"
            ));
        }
        Err(format!(
            "CONFIGROOT={shown} names the config folder of an instance, but {root} is not an instance: it has no config/local.conf"
        ))
    }

    /// What a later version has written would look damaged to this one, and be mended.
    fn refuse_later(&self) -> Result<(), String> {
        // Who may not read it may touch nothing here; without a number it is of before there were any.
        let text = std::fs::read_to_string(self.mark()).unwrap_or_default();
        let Some(said) = text.lines().find_map(|line| line.strip_prefix("format ")) else { return Ok(()) };
        let root = self.root.display();
        match said.trim().parse::<u32>() {
            Ok(number) if number <= FORMAT => Ok(()),
            Ok(number) => Err(format!(
                "{root} was written by a later version (its format is {number}, this version knows {FORMAT}): nothing is touched; run the later version, or restore a backup of before"
            )),
            Err(_) => Err(format!("{}: 'format {}' is no number", self.mark().display(), base::escape(said))),
        }
    }

    /// What [`Instance::mark`] says.
    pub fn mark_text() -> String {
        format!("This folder is an instance of Mailboat, made by msg-setup.\nformat {FORMAT}\n")
    }

    /// Certificate chain and key: the configured ones, else `config/certs/server.crt` and `.key` when they exist.
    pub fn certificate(&self, config: &Config) -> Option<(PathBuf, PathBuf)> {
        let named =
            !config.get(&encryption::CERTIFICATE).is_empty() || !config.get(&encryption::KEY).is_empty();
        let (chain, key) = self.certificate_place(config);
        (named || chain.exists()).then_some((chain, key))
    }

    /// Where they are, or would be.
    pub fn certificate_place(&self, config: &Config) -> (PathBuf, PathBuf) {
        let place = |set: String, usual: &str| {
            if set.is_empty() { self.certs_dir().join(usual) } else { self.root.join(set) }
        };
        let (chain, key) = (config.get(&encryption::CERTIFICATE), config.get(&encryption::KEY));
        (place(chain, "server.crt"), place(key, "server.key"))
    }

    /// The folder of certificate or key, if it is not for such files alone: who may write there, as who orders certificates must,
    /// could put anything in the place of the configuration, or of what others keep.
    pub fn certificate_among_others(&self, config: &Config) -> Option<PathBuf> {
        let set = config.get(&local::DIRECTORY_LDIF);
        let directory = if set.is_empty() { self.directory_ldif() } else { self.root.join(set) };
        let mut others = vec![self.config_dir(), self.dkim_dir(), self.store_dir(), self.run_dir()];
        others.extend([self.queue_dir(), self.root.join("log"), self.mta_sts_dir(), self.tls_reports_dir()]);
        others.push(self.last_access_dir());
        others.extend(directory.parent().map(Path::to_owned));
        let real = |folder: &Path| folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let is_shared = |folder: &PathBuf| {
            let found = real(folder);
            let is_unclear = found.components().any(|part| part == std::path::Component::ParentDir);
            is_unclear || others.iter().any(|other| real(other).starts_with(&found))
        };
        let (chain, key) = self.certificate_place(config);
        [chain, key].iter().filter_map(|file| file.parent().map(Path::to_owned)).find(is_shared)
    }

    pub fn root(&self) -> &Path {
        &self.root
    }
    /// The file that says that the folder is an instance, and nobody's home: msg-setup makes it first.
    pub fn mark(&self) -> PathBuf {
        self.root.join(".mailboat-instance")
    }
    pub fn config_dir(&self) -> PathBuf {
        self.root.join("config")
    }
    pub fn local_conf(&self) -> PathBuf {
        self.config_dir().join("local.conf")
    }
    pub fn directory_ldif(&self) -> PathBuf {
        self.config_dir().join("directory.ldif")
    }
    /// The rules of the UBE filter.
    pub fn filter_cfg(&self) -> PathBuf {
        self.config_dir().join("filter.cfg")
    }
    pub fn certs_dir(&self) -> PathBuf {
        self.config_dir().join("certs")
    }
    /// What was ordered by ACME: account keys, certificates, how orders went.
    pub fn acme_dir(&self) -> PathBuf {
        self.certs_dir().join("acme")
    }
    /// What is answered to an authority that asks whether a name is ours, a file for each token.
    pub fn acme_challenges_dir(&self) -> PathBuf {
        self.run_dir().join("acme-challenges")
    }
    /// What SCRAM makes up keys of, for those who have none. Where every daemon may write.
    pub fn scram_secret(&self) -> PathBuf {
        self.store_dir().join("scram.secret")
    }
    /// What secrets of second factors are sealed with (`crates/directory/src/second_factor.rs`).
    pub fn totp_key(&self) -> PathBuf {
        self.store_dir().join("totp.key")
    }
    /// The keys that sign mail: `<domain>/<selector>.key`.
    pub fn dkim_dir(&self) -> PathBuf {
        self.config_dir().join("dkim")
    }
    pub fn log_dir(&self, service: &str) -> PathBuf {
        self.root.join("log").join(service)
    }
    pub fn telemetry_dir(&self, service: &str) -> PathBuf {
        self.log_dir(service).join("telemetry")
    }
    /// Of those who are recorded because everybody is.
    pub fn force_telemetry_dir(&self, service: &str) -> PathBuf {
        self.log_dir(service).join("forcetelemetry")
    }
    pub fn queue_dir(&self) -> PathBuf {
        self.root.join("queue")
    }
    /// The policies of MTA-STS.
    pub fn mta_sts_dir(&self) -> PathBuf {
        self.root.join("mta-sts")
    }
    /// What is counted for TLS reports.
    pub fn tls_reports_dir(&self) -> PathBuf {
        self.root.join("tls-reports")
    }
    pub fn store_dir(&self) -> PathBuf {
        self.root.join("store")
    }
    pub fn mboxlist_dir(&self) -> PathBuf {
        self.store_dir().join("mboxlist")
    }
    /// When users were last at each service.
    pub fn last_access_dir(&self) -> PathBuf {
        self.root.join("last-access")
    }
    /// What daemons count, and what the alarms know.
    pub fn counter_dir(&self) -> PathBuf {
        self.root.join("counter")
    }
    pub fn run_dir(&self) -> PathBuf {
        self.root.join("run")
    }
    pub fn tmp_dir(&self) -> PathBuf {
        self.root.join("tmp")
    }
    /// The Unix socket by which daemons of this host submit mail for their users.
    pub fn submission_socket(&self) -> PathBuf {
        self.run_dir().join("submission")
    }
    /// Where scratch files go: `local.tmpdir`, else `tmp` (S131).
    pub fn scratch_dir(&self, config: &Config) -> PathBuf {
        let set = config.get(&local::TMP_DIR);
        if set.is_empty() { self.tmp_dir() } else { self.root.join(set) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_in_a_folder_of_its_own_or_among_others() {
        let top = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(top.path().join("config/certs")).unwrap();
        std::fs::create_dir_all(top.path().join("data")).unwrap();
        let instance = Instance::new(top.path());
        let among = |text: &str| instance.certificate_among_others(&Config::from_text(text).unwrap());
        assert_eq!(among(""), None);
        for own in ["config/certs/own.crt", "config/own/x.crt", "/etc/mailboat-certs/x.crt"] {
            assert_eq!(among(&format!("local.encryption.certificate = {own}\n")), None, "{own}");
        }
        for shared in [
            "config/x.crt",
            "x.crt",
            "/x.crt",
            "store/x.crt",
            "config/dkim/x.crt",
            "config/certs/../x.crt",
            "config/none/../x.crt",
        ] {
            assert!(among(&format!("local.encryption.certificate = {shared}\n")).is_some(), "{shared}");
            assert!(among(&format!("local.encryption.key = {shared}\n")).is_some(), "{shared}");
        }
        let beside = "local.encryption.key = data/x.key\nlocal.directory.ldif = data/users.ldif\n";
        assert_eq!(among(beside), Some(top.path().join("data")));
    }

    #[test]
    fn what_is_no_instance_is_told_and_what_may_not_be_read_is_something_else() {
        let folder = tempfile::tempdir().unwrap();
        let why = Instance::open(Some(folder.path())).unwrap_err();
        assert!(why.contains("is not an instance: it has no config/local.conf"), "{why}");
        std::fs::write(folder.path().join("config"), "a file").unwrap();
        let why = Instance::open(Some(folder.path())).unwrap_err();
        assert!(why.contains("Not a directory"), "{why}");
        std::fs::remove_file(folder.path().join("config")).unwrap();
        std::fs::create_dir(folder.path().join("config")).unwrap();
        std::fs::write(folder.path().join("config/local.conf"), "").unwrap();
        assert!(Instance::open(Some(folder.path())).is_ok());
    }
}

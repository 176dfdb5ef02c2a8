//! The folder names of one instance; nothing else in the suite spells them.

use std::path::{Path, PathBuf};

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
    pub fn certs_dir(&self) -> PathBuf {
        self.config_dir().join("certs")
    }
    pub fn log_dir(&self, service: &str) -> PathBuf {
        self.root.join("log").join(service)
    }
    pub fn telemetry_dir(&self, service: &str) -> PathBuf {
        self.log_dir(service).join("telemetry")
    }
    pub fn queue_dir(&self) -> PathBuf {
        self.root.join("queue")
    }
    pub fn store_dir(&self) -> PathBuf {
        self.root.join("store")
    }
    pub fn mboxlist_dir(&self) -> PathBuf {
        self.store_dir().join("mboxlist")
    }
    pub fn run_dir(&self) -> PathBuf {
        self.root.join("run")
    }
    pub fn tmp_dir(&self) -> PathBuf {
        self.root.join("tmp")
    }
}

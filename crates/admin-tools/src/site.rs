//! What the tools that work on an instance have in common.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use directory::{Entry, Found};
use message_store::{Store, StoreLog, StoreSettings, Wait};
use server_config::{Config, Instance};
use server_log::Log;

/// The instance, and its configuration.
pub struct Site {
    pub instance: Instance,
    pub config: Config,
    pub log: Log,
}

impl Site {
    /// # Errors
    /// No instance is named, or its configuration is wrong: one line.
    pub fn open(named: Option<&Path>, program: &str) -> Result<Site, String> {
        let instance = Instance::open(named)?;
        let config = Config::load(&instance).map_err(|why| why.to_string())?;
        Ok(Site { instance, config, log: Log::to_stderr(program) })
    }

    /// Root becomes `local.serveruid`, so that what the tool makes in store and queue is the daemons'.
    ///
    /// # Errors
    /// One line: there is no such user.
    pub fn act_as_server(&self) -> Result<(), String> {
        server_config::server_user::become_it(&self.config)
    }

    /// The store, whether stored runs or not.
    ///
    /// # Errors
    /// As the store's.
    pub fn store(&self) -> Result<Store, String> {
        self.act_as_server()?;
        let settings =
            StoreSettings { wait: Wait::No, ..StoreSettings::from_config(&self.config, &self.instance) };
        Store::open(settings, StoreLog::to(&self.log)).map_err(|why| format!("store: {why}"))
    }

    /// The user with this uid; `None` when there is none.
    ///
    /// # Errors
    /// The directory cannot be asked, or several have the uid.
    pub fn user(&self, uid: &str) -> Result<Option<Arc<Entry>>, String> {
        let directory =
            directory::open(&self.config, &self.instance, &self.log).map_err(|why| why.to_string())?;
        match directory.by_uid(uid).map_err(|why| why.to_string())? {
            Found::One(entry) => Ok(Some(entry)),
            Found::Nobody => Ok(None),
            Found::Several(count) => Err(format!("{count} entries have the uid {}", base::escape(uid))),
        }
    }

    /// The file of the embedded directory.
    pub fn directory_file(&self) -> PathBuf {
        let set = self.config.get(&server_config::parameters::local::DIRECTORY_LDIF);
        if set.is_empty() { self.instance.directory_ldif() } else { self.instance.root().join(set) }
    }
}

/// Parses, runs, and turns what came of it into an exit status: 0, 1 for a refusal, 2 for misuse.
pub fn run_tool<A: clap::Parser>(
    name: &str,
    arguments: impl IntoIterator<Item = OsString>,
    out: &mut dyn Write,
    err: &mut dyn Write,
    work: impl FnOnce(A, &mut dyn Write, &mut dyn Write) -> Result<(), String>,
) -> u8 {
    let arguments = match A::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(stop) => return crate::configutil::say(&stop, out, err),
    };
    let done = work(arguments, out, err);
    crate::configutil::finish(done, name, err)
}

/// `1 message`, `2 messages`.
pub fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// A write to standard output that failed: the reader has gone.
pub fn broken(why: std::io::Error) -> String {
    why.to_string()
}

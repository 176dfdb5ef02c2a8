//! What the configuration utilities do where the configuration stands in an LDAP server: renew the copy, set in the directory.

use std::io::Write;
use std::path::Path;

use directory::ldap::configuration::{Configuration, ConfigurationError, Fetched, Scale};
use server_config::{Config, Instance, central};

/// The configuration directory of an instance, and the name that messages have.
pub struct Central {
    configuration: Configuration,
    copy: std::path::PathBuf,
}

impl Central {
    /// Nothing where all configuration is local.
    ///
    /// # Errors
    /// How the directory is reached is set wrongly: one line.
    pub fn of(instance: &Instance) -> Result<Option<Central>, String> {
        let local = Config::read(&instance.local_conf()).map_err(|why| why.to_string())?;
        let Some(configuration) = Configuration::from_config(&local, instance)? else { return Ok(None) };
        let copy = central::copy_of(instance, &local).map_err(|why| why.to_string())?;
        Ok(Some(Central { configuration, copy }))
    }

    /// Renews the copy; a directory that is away or says nonsense leaves the former one in force, and is told.
    ///
    /// # Errors
    /// There is no former one, or the copy cannot be written.
    pub fn renew(&self, tool: &str, err: &mut dyn Write) -> Result<(), String> {
        let _lock = central::renewing(&self.copy).map_err(|why| why.to_string())?;
        match self.configuration.fetch() {
            Ok(fetched) => {
                for warning in &fetched.warnings {
                    let _ = writeln!(err, "{tool}: {warning}");
                }
                self.keep(&fetched)
            }
            Err(why) if !self.copy.exists() => Err(format!("{why}; there is no copy of it yet")),
            Err(why) => {
                let _ = writeln!(err, "{tool}: {why}; its copy of {} is in force", age_of(&self.copy));
                Ok(())
            }
        }
    }

    fn keep(&self, fetched: &Fetched) -> Result<(), String> {
        central::keep(&self.copy, &fetched.from, &fetched.config).map(drop).map_err(|why| why.to_string())
    }

    /// Sets in the directory, and renews the copy.
    ///
    /// # Errors
    /// Nothing was set: no server answers, or it refuses.
    pub fn set(&self, scale: Scale, changes: &[(String, String)]) -> Result<(), String> {
        let hint = |why: ConfigurationError| match why {
            ConfigurationError::Unavailable(_) => {
                format!("{why}; nothing was set (-l sets in the local file alone)")
            }
            ConfigurationError::Refused(_) => format!("{why}; nothing was set"),
        };
        self.configuration.set(scale, changes).map_err(hint)?;
        let _lock = central::renewing(&self.copy).map_err(|why| why.to_string())?;
        let fetched = self.configuration.fetch().map_err(|why| format!("it is set, but {why}"))?;
        self.keep(&fetched)
    }
}

/// When the copy was written, as a date.
fn age_of(copy: &Path) -> String {
    let written = std::fs::metadata(copy).and_then(|metadata| metadata.modified()).ok();
    let stamp = written.and_then(|time| jiff::Timestamp::try_from(time).ok());
    stamp.map_or_else(|| "unknown date".into(), |stamp| stamp.strftime("%F %H:%M UTC").to_string())
}

//! What imapd reads of the configuration, as plain values.

use std::time::Duration;

use server_config::Config;
use server_config::parameters::{local, service_imap, store};

/// Settings of the sessions. Ports, threads and processes are the dispatcher's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `local.hostname`, for the greeting; empty is the system's name.
    pub host_name: String,
    /// `service.imap.banner`: `%h` host, `%p` protocol, `%P` product, `%V` version.
    pub banner: String,
    /// `service.imap.idletimeout`
    pub idle_timeout: Duration,
    /// `service.imap.plaintextmincipher`: bits of encryption a plain-text log-in needs; 0 none, -1 never allowed.
    pub plaintext_min_cipher: i64,
    /// `store.admins`: uids.
    pub admins: Vec<String>,
}

impl Settings {
    pub fn from_config(config: &Config) -> Settings {
        Settings {
            host_name: config.get(&local::HOST_NAME),
            banner: config.get(&service_imap::BANNER),
            idle_timeout: config.get(&service_imap::IDLE_TIMEOUT),
            plaintext_min_cipher: config.get(&service_imap::PLAINTEXT_MIN_CIPHER),
            admins: config.get(&store::ADMINS),
        }
    }

    /// The text of the greeting (NMS: original.md 6.1).
    pub fn greeting(&self) -> String {
        self.banner
            .replace("%h", &self.host_name)
            .replace("%p", "IMAP4")
            .replace("%P", "Mailboat")
            .replace("%V", env!("CARGO_PKG_VERSION"))
    }

    pub fn is_admin(&self, uid: &str) -> bool {
        self.admins.iter().any(|admin| admin == uid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greeting_has_the_form_of_the_original() {
        let config = Config::from_text("local.hostname = mail.example.com\n").unwrap();
        let settings = Settings::from_config(&config);
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(settings.greeting(), format!("mail.example.com IMAP4 service (Mailboat {version})"));
        assert_eq!(settings.idle_timeout, Duration::from_secs(1800));
        assert!(!settings.is_admin("joe"));
    }
}

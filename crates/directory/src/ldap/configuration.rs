//! The configuration that several servers share, in entries of an LDAP server (`server_config::central` reads the copy).
//!
//! Up to three entries, the later over the earlier: `local.ldapconfigdn` for everybody, `local.ldapisiedn` for an
//! installation, `local.ldapsiedn` for this server. Each has the attribute `mailServerSetting`, one value for a setting,
//! written as a line of `config/local.conf`. Whoever fetches takes all of it or nothing: an entry that is not there, or a
//! value that does not fit, leaves the former copy in force. A change names the value that goes and the one that comes, so two
//! who write at once do not undo each other.

use std::cell::RefCell;
use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use ldap3::{Mod, Scope};
use server_config::config::{canonical, quote};
use server_config::parameters::{directory, local};
use server_config::{Config, Instance, Parameter, central, edit, values};

use super::connection::{Connection, Connector, Purpose, Search, reason};
use super::settings::{Credential, Identity, PORT, Server, Settings, TLS_PORT, Transport};

/// The attribute, one setting a value.
const SETTING: &str = "mailServerSetting";
/// LDAP result codes (RFC 4511 Appendix A.1).
const NO_SUCH_ATTRIBUTE: u32 = 16;
const ATTRIBUTE_OR_VALUE_EXISTS: u32 = 20;
/// Attempts at a change while others change the same.
const ATTEMPTS: usize = 5;

/// Which entry a change is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// This server's, or the narrowest there is.
    Own,
    /// Everybody's: `local.ldapconfigdn`.
    Shared,
}

/// Where the configuration is.
pub struct Configuration {
    settings: Settings,
    /// From everybody's to this server's; at least one.
    entries: Vec<String>,
    /// Of the last answer: a tool that reads, sets and reads again asks over one connection.
    connection: RefCell<Option<Connection>>,
}

/// What the directory says.
#[derive(Debug)]
pub struct Fetched {
    pub config: Config,
    /// The server that said so, for the copy's heading.
    pub from: String,
    /// What was left out, a line each.
    pub warnings: Vec<String>,
}

/// Why there is no answer, or no change.
#[derive(Debug, PartialEq, Eq)]
pub enum ConfigurationError {
    /// No server answers.
    Unavailable(String),
    /// It answers, and what it says cannot be used, or it refuses.
    Refused(String),
}

impl std::fmt::Display for ConfigurationError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ConfigurationError::Unavailable(why) | ConfigurationError::Refused(why) => {
                write!(f, "configuration directory: {why}")
            }
        }
    }
}
impl std::error::Error for ConfigurationError {}

type Result<T> = std::result::Result<T, ConfigurationError>;

impl Configuration {
    /// As `config` (the local file) says; nothing when there is no configuration directory.
    ///
    /// # Errors
    /// A parameter that cannot be used, in one line.
    pub fn from_config(
        config: &Config,
        instance: &Instance,
    ) -> std::result::Result<Option<Configuration>, String> {
        if !central::is_used(config) {
            return Ok(None);
        }
        let base = config.get(&directory::CONFIG_LDAP_BASE_DN);
        let named = |parameter: &Parameter<values::Text>| {
            Some(config.get(parameter)).filter(|dn| !dn.is_empty()).map(|dn| below(&dn, &base))
        };
        let entries: Vec<String> = [
            &directory::CONFIG_LDAP_CONFIG_DN,
            &directory::CONFIG_LDAP_ISIE_DN,
            &directory::CONFIG_LDAP_SIE_DN,
        ]
        .into_iter()
        .filter_map(named)
        .collect();
        if entries.is_empty() {
            return Err("local.ldaphost is set, and no entry: local.ldapconfigdn, local.ldapisiedn or local.ldapsiedn".into());
        }
        let credential = config.get(&directory::CONFIG_LDAP_SIE_CRED);
        let identity = match (named(&directory::CONFIG_LDAP_SIE_DN), credential.is_empty()) {
            (_, true) => None,
            (None, false) => return Err("local.ldapsiecred is set, local.ldapsiedn is not".into()),
            (Some(dn), false) => Some(Identity { dn, credential: Credential::parse(&credential, instance) }),
        };
        let tls = config.get(&directory::CONFIG_LDAP_USE_SSL);
        let usual = if tls { TLS_PORT } else { PORT };
        let port = match config.get(&directory::CONFIG_LDAP_PORT).as_str() {
            "" => usual,
            text => text.parse().ok().filter(|port| *port != 0).ok_or("local.ldapport is no port")?,
        };
        let hosts = config.get(&directory::CONFIG_LDAP_HOST);
        let servers: Vec<Server> = hosts
            .split_whitespace()
            .map(|host| Server::parse(host, port))
            .collect::<std::result::Result<_, _>>()?;
        let in_clear = identity.is_some() && !tls && !servers.iter().all(Server::is_this_host);
        let warnings =
            in_clear.then(|| "the password of local.ldapsiedn goes in clear: set local.ldapusessl".into());
        let ca_file = Some(config.get(&local::UG_LDAP_CA_FILE)).filter(|path| !path.is_empty());
        let settings = Settings {
            servers,
            base: String::new(),
            identity,
            transport: if tls { Transport::Tls } else { Transport::Plain },
            ca_file: ca_file.map(|path| -> PathBuf { instance.root().join(path) }),
            pool_size: 1,
            connect_timeout: config.get(&local::UG_LDAP_CONNECT_TIMEOUT),
            search_timeout: config.get(&local::UG_LDAP_SEARCH_TIMEOUT),
            nested_groups: false,
            attributes: vec![SETTING.into()],
            warnings: warnings.into_iter().collect(),
        };
        Ok(Some(Configuration { settings, entries, connection: RefCell::new(None) }))
    }

    /// Reads the entries.
    ///
    /// # Errors
    /// No server answers; an entry is not there or may not be read; a value does not fit.
    pub fn fetch(&self) -> Result<Fetched> {
        self.with_a_server(|connection, server, limit| {
            let mut fetched = Fetched {
                config: Config::empty(),
                from: server.to_string(),
                warnings: self.settings.warnings.clone(),
            };
            for dn in &self.entries {
                for value in values_of(connection, dn, limit)? {
                    take(&mut fetched, dn, &value)?;
                }
            }
            Ok(fetched)
        })
    }

    /// Sets all `changes` at once; an empty value takes the setting out of the entry. Gives the entry.
    ///
    /// # Errors
    /// No server answers; it refuses.
    pub fn set(&self, scale: Scale, changes: &[(String, String)]) -> Result<String> {
        let dn = match scale {
            Scale::Own => self.entries.last(),
            Scale::Shared => self.entries.first(),
        };
        let dn = dn.cloned().unwrap_or_default();
        self.with_a_server(|connection, _, limit| {
            for _ in 0..ATTEMPTS {
                let modifications = modifications(&values_of(connection, &dn, limit)?, changes);
                if modifications.is_empty() {
                    return Ok(());
                }
                let done = connection.modify(&dn, modifications, limit).map_err(failed)?;
                match done.rc {
                    0 => return Ok(()),
                    NO_SUCH_ATTRIBUTE | ATTRIBUTE_OR_VALUE_EXISTS => {} // somebody else was quicker: look again
                    _ => return Err(ConfigurationError::Refused(format!("{dn}: {}", reason(&done)))),
                }
            }
            Err(ConfigurationError::Refused(format!("{dn}: others change it all the time")))
        })?;
        Ok(dn)
    }

    /// Asks the server that answered before, else one after the other; an answer, whatever it is, is the last. What is asked
    /// may be asked twice: a connection that was kept can have been closed.
    fn with_a_server<T>(&self, ask: impl Fn(&mut Connection, &Server, Duration) -> Result<T>) -> Result<T> {
        if let Some(mut connection) = self.connection.take() {
            let server = &self.settings.servers[connection.place];
            let done = ask(&mut connection, server, self.settings.search_timeout);
            if !matches!(done, Err(ConfigurationError::Unavailable(_))) {
                self.connection.replace(Some(connection));
                return done;
            }
        }
        let connector = Connector::new(self.settings.clone()).map_err(ConfigurationError::Refused)?;
        let mut whys = Vec::new();
        for (place, server) in self.settings.servers.iter().enumerate() {
            let done = connector.connect(place, Purpose::Searches).map_err(failed).map(|mut connection| {
                (ask(&mut connection, server, self.settings.search_timeout), connection)
            });
            match done {
                Err(ConfigurationError::Unavailable(why))
                | Ok((Err(ConfigurationError::Unavailable(why)), _)) => whys.push(format!("{server}: {why}")),
                Err(other) => return Err(other),
                Ok((answer, connection)) => {
                    self.connection.replace(Some(connection));
                    return answer;
                }
            }
        }
        Err(ConfigurationError::Unavailable(whys.join("; ")))
    }
}

/// A name without its end is one below `local.ldapbasedn`.
fn below(dn: &str, base: &str) -> String {
    let is_whole = base.is_empty() || dn.to_ascii_lowercase().ends_with(&base.to_ascii_lowercase());
    if is_whole { dn.to_owned() } else { format!("{dn},{base}") }
}

fn failed(why: super::runtime::Failure) -> ConfigurationError {
    match why {
        super::runtime::Failure::Refused { .. } => ConfigurationError::Refused(why.to_string()),
        _ => ConfigurationError::Unavailable(why.to_string()),
    }
}

fn values_of(connection: &mut Connection, dn: &str, limit: Duration) -> Result<Vec<String>> {
    let search = Search {
        base: dn.to_owned(),
        scope: Scope::Base,
        filter: "(objectClass=*)".into(),
        attributes: vec![SETTING.into()],
        size_max: 1,
        page: None,
    };
    let answer = connection.search(search, limit).map_err(|why| match failed(why) {
        ConfigurationError::Refused(why) => ConfigurationError::Refused(format!("{dn}: {why}")),
        other => other,
    })?;
    // A server that hides what may not be read says that there is nothing: to go on would be to unset everything.
    let found = answer.entries.into_iter().next();
    let mut found = found.ok_or_else(|| {
        ConfigurationError::Refused(format!("{dn}: there is no such entry, or it may not be read"))
    })?;
    Ok(found.attributes.remove(&SETTING.to_ascii_lowercase()).unwrap_or_default())
}

/// Adds one value of an entry to what is fetched.
fn take(fetched: &mut Fetched, dn: &str, value: &str) -> Result<()> {
    let wrong =
        |why: String| ConfigurationError::Refused(format!("{dn}: {SETTING} {}: {why}", base::escape(value)));
    let one = Config::from_text(value).map_err(|why| wrong(why.to_string()))?;
    for (name, value) in one.iter() {
        if !central::may_come(name) {
            fetched.warnings.push(format!("{dn}: {name} counts in the local file only"));
            continue;
        }
        match edit::admit(name, value) {
            Ok(()) => {}
            Err(why @ server_config::ConfigError::Unknown(..)) => {
                fetched.warnings.push(format!("{dn}: {why}"))
            }
            Err(why) => return Err(wrong(why.to_string())),
        }
        fetched.config.put(name, value);
    }
    Ok(())
}

/// What makes the settings of `changes` those of an entry that has the values `present`.
fn modifications(present: &[String], changes: &[(String, String)]) -> Vec<Mod<Vec<u8>>> {
    let (mut gone, mut new) = (HashSet::new(), HashSet::new());
    for (at, (name, value)) in changes.iter().enumerate() {
        let name = canonical(name);
        if changes[at + 1..].iter().any(|(later, _)| canonical(later) == name) {
            continue;
        }
        let line = format!("{name} = {}", quote(value));
        let stays = |text: &str| !value.is_empty() && text == line;
        let is_it =
            |text: &&String| text.split_once('=').is_some_and(|(have, _)| canonical(have.trim()) == name);
        gone.extend(
            present.iter().filter(is_it).filter(|text| !stays(text)).map(|text| text.clone().into_bytes()),
        );
        if !value.is_empty() && !present.contains(&line) {
            new.insert(line.into_bytes());
        }
    }
    let attribute = || SETTING.as_bytes().to_vec();
    let gone = (!gone.is_empty()).then(|| Mod::Delete(attribute(), gone));
    let new = (!new.is_empty()).then(|| Mod::Add(attribute(), new));
    gone.into_iter().chain(new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_names_what_goes_and_what_comes() {
        let present =
            ["service.imap.port = 143", "SERVICE.POP.PORT=110", "service.smtp.port = 25"].map(str::to_owned);
        let change = |name: &str, value: &str| modifications(&present, &[(name.into(), value.into())]);
        assert_eq!(change("service.imap.port", "143"), []);
        let set = |text: &str| HashSet::from([text.as_bytes().to_vec()]);
        let attribute = || SETTING.as_bytes().to_vec();
        assert_eq!(
            change("service.pop.port", "1110"),
            [
                Mod::Delete(attribute(), set("SERVICE.POP.PORT=110")),
                Mod::Add(attribute(), set("service.pop.port = 1110"))
            ]
        );
        assert_eq!(
            change("service.smtp.port", ""),
            [Mod::Delete(attribute(), set("service.smtp.port = 25"))]
        );
        assert_eq!(change("service.http.port", ""), []);
        let twice = [
            ("service.http.port".to_owned(), "1".to_owned()),
            ("service.http.port".to_owned(), "2".to_owned()),
        ];
        assert_eq!(modifications(&[], &twice), [Mod::Add(attribute(), set("service.http.port = 2"))]);
    }

    #[test]
    fn a_value_that_does_not_fit_is_no_configuration_and_a_local_name_is_left_out() {
        let mut fetched = Fetched { config: Config::empty(), from: String::new(), warnings: Vec::new() };
        take(&mut fetched, "cn=x", "service.pop.maxthreads = 9").unwrap();
        take(&mut fetched, "cn=x", "local.hostname = elsewhere").unwrap();
        take(&mut fetched, "cn=x", "site.of.somebody = 1").unwrap();
        assert_eq!(fetched.config.text("local.hostname"), None);
        assert_eq!(fetched.warnings.len(), 2);
        for bad in ["service.pop.maxthreads = many", "nonsense"] {
            assert!(matches!(take(&mut fetched, "cn=x", bad), Err(ConfigurationError::Refused(_))), "{bad}");
        }
    }

    #[test]
    fn names_are_completed_and_half_a_setting_is_refused() {
        assert_eq!(below("cn=config", "o=x"), "cn=config,o=x");
        assert_eq!(below("cn=config,O=x", "o=X"), "cn=config,O=x");
        let instance = Instance::new("/nowhere");
        let of = |text: &str| Configuration::from_config(&Config::from_text(text).unwrap(), &instance);
        assert!(of("").unwrap().is_none());
        assert!(of("local.ldaphost = h").is_err());
        assert!(of("local.ldaphost = h\nlocal.ldapconfigdn = \"cn=c\"\nlocal.ldapsiecred = x").is_err());
        assert!(of("local.ldaphost = h\nlocal.ldapconfigdn = \"cn=c\"\nlocal.ldapport = 0").is_err());
        let plain = "local.ldapsiedn = \"cn=s\"\nlocal.ldapsiecred = x\nlocal.ldaphost = ";
        let warned = |text: &str| !of(text).unwrap().unwrap().settings.warnings.is_empty();
        assert!(warned(&format!("{plain}ldap.example")), "the password goes in clear");
        assert!(!warned(&format!("{plain}127.0.0.1")));
        assert!(!warned(&format!("{plain}ldap.example\nlocal.ldapusessl = yes")));
        assert!(!warned("local.ldaphost = h\nlocal.ldapconfigdn = \"cn=c\""), "nobody logs in");
    }
}

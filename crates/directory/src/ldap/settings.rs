//! Where the directory is and how it is asked: `local.ugldap*`, else `service.ldap*`.
//!
//! NMS: `local.ugldapuselocal` chooses between the two groups, and the list of hosts counts only with it (guide, Directory
//! Server failover). A local value that is not set is the central one. With no host in either group there is no LDAP.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use server_config::parameters::{directory, local, service_http, service_smtp, service_smtp_modules};
use server_config::{Config, Instance, SecretFile};

use super::attributes;

/// The usual ports of LDAP and of LDAP inside TLS.
pub(super) const PORT: u16 = 389;
pub(super) const TLS_PORT: u16 = 636;

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Name or address; an IPv6 address without brackets.
    pub host: String,
    pub port: u16,
}

/// How connections are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Plain,
    /// RFC 4511 §4.14.
    StartTls,
    /// TLS from the first byte (`ldaps`).
    Tls,
}

/// A password, or where it is: `file:PATH`, `cred:NAME` (systemd), `env:NAME` (a file is read at each connection, so that it can be changed). Never shown.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    Text(String),
    File(PathBuf),
}

/// Who searches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub dn: String,
    pub credential: Credential,
}

/// Everything [`super::LdapDirectory`] is made with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// In the order in which they are preferred; at least one.
    pub servers: Vec<Server>,
    pub base: String,
    /// None: anonymous.
    pub identity: Option<Identity>,
    pub transport: Transport,
    /// The authorities whose certificates are believed; none: the system's.
    pub ca_file: Option<PathBuf>,
    /// Connections at most (S33).
    pub pool_size: usize,
    /// For a connection to be made, TLS and bind included.
    pub connect_timeout: Duration,
    /// For one search or password check; also how long a caller waits for a free connection.
    pub search_timeout: Duration,
    /// Whether groups are members of dynamic groups.
    pub nested_groups: bool,
    /// What is read of each entry.
    pub attributes: Vec<String>,
    /// What the administrator should hear at start.
    pub warnings: Vec<String>,
}

impl Settings {
    /// The settings, or nothing when no host is set.
    ///
    /// # Errors
    /// A value that cannot be used, in one line.
    pub fn from_config(config: &Config, instance: &Instance) -> Result<Option<Settings>, String> {
        let Some(source) = Source::choose(config) else { return Ok(None) };
        let tls = source.use_ssl(config);
        let start_tls = config.get(&local::UG_LDAP_STARTTLS);
        let transport = match (tls, start_tls) {
            (true, true) => {
                return Err("ldapusessl and local.ugldapstarttls exclude each other: set one to no".into());
            }
            (true, false) => Transport::Tls,
            (false, true) => Transport::StartTls,
            (false, false) => Transport::Plain,
        };
        let port = source.port(config).unwrap_or(if tls { TLS_PORT } else { PORT });
        let servers: Vec<Server> =
            source.hosts.iter().map(|host| Server::parse(host, port)).collect::<Result<_, _>>()?;
        if transport != Transport::Plain && servers.iter().any(|server| server.host.contains(':')) {
            return Err(
                "a certificate is checked against a host name: name the LDAP server, not its IPv6 address"
                    .into(),
            );
        }
        let base = source.text(config, &local::UG_LDAP_BASE_DN, &directory::LDAP_BASE_DN);
        if base.is_empty() {
            return Err("local.ugldapbasedn is not set: where do searches begin?".into());
        }
        let ca_file = config.get(&local::UG_LDAP_CA_FILE);
        let mut warnings = source.warnings.clone();
        if transport == Transport::Plain && !servers.iter().all(Server::is_this_host) {
            warnings.push(
                "passwords go to the LDAP server in clear: set local.ugldapusessl or local.ugldapstarttls"
                    .into(),
            );
        }
        Ok(Some(Settings {
            servers,
            base,
            identity: source.identity(config, instance)?,
            transport,
            ca_file: (!ca_file.is_empty()).then(|| instance.root().join(ca_file)),
            pool_size: usize::try_from(config.get(&service_smtp::LDAP_POOL_SIZE)).unwrap_or(1).max(1),
            connect_timeout: config.get(&local::UG_LDAP_CONNECT_TIMEOUT),
            search_timeout: config.get(&local::UG_LDAP_SEARCH_TIMEOUT),
            nested_groups: config.get(&service_smtp_modules::NESTED_GROUPS),
            attributes: wanted([
                config.get(&service_http::EXTRA_LDAP_ATTRS),
                config.get(&service_smtp_modules::NEGATIVE_HOST_ATTR),
            ]),
            warnings,
        }))
    }
}

/// The attributes that are asked for, with those of the configuration.
fn wanted(extra: [Vec<String>; 2]) -> Vec<String> {
    attributes::WANTED.iter().map(|name| (*name).to_owned()).chain(extra.into_iter().flatten()).collect()
}

/// Which group of parameters counts.
struct Source {
    local: bool,
    hosts: Vec<String>,
    warnings: Vec<String>,
}

impl Source {
    fn choose(config: &Config) -> Option<Source> {
        let ours = config.get(&local::UG_LDAP_HOST);
        let shared = config.get(&directory::LDAP_HOST);
        let use_local = config.get(&local::UG_LDAP_USE_LOCAL);
        let mut warnings = Vec::new();
        let (local, mut hosts) = match (use_local, ours.is_empty(), shared.is_empty()) {
            (_, true, true) => return None,
            (true, false, _) => (true, ours),
            (true, true, false) => (true, shared),
            (false, _, false) => {
                if !ours.is_empty() {
                    warnings.push("service.ldaphost counts: local.ugldapuselocal is no".into());
                }
                (false, shared)
            }
            (false, false, true) => (true, ours),
        };
        if !use_local && local && hosts.len() > 1 {
            warnings.push("only the first of local.ugldaphost counts: local.ugldapuselocal is no".into()); // NMS
            hosts.truncate(1);
        }
        Some(Source { local, hosts, warnings })
    }

    fn text(
        &self,
        config: &Config,
        ours: &server_config::Parameter<server_config::values::Text>,
        shared: &server_config::Parameter<server_config::values::Text>,
    ) -> String {
        let ours = config.get(ours);
        if self.local && !ours.is_empty() { ours } else { config.get(shared) }
    }

    fn use_ssl(&self, config: &Config) -> bool {
        let ours = self.local.then(|| config.get_set(&local::UG_LDAP_USE_SSL)).flatten();
        ours.unwrap_or_else(|| config.get(&directory::LDAP_USE_SSL))
    }

    fn port(&self, config: &Config) -> Option<u16> {
        let ours = self.local.then(|| config.get_set(&local::UG_LDAP_PORT)).flatten();
        ours.or_else(|| config.get_set(&directory::LDAP_PORT))
    }

    fn identity(&self, config: &Config, instance: &Instance) -> Result<Option<Identity>, String> {
        let dn = self.text(config, &local::UG_LDAP_BIND_DN, &directory::LDAP_BIND_DN);
        let credential = self.text(config, &local::UG_LDAP_BIND_CRED, &directory::LDAP_BIND_CRED);
        match (dn.is_empty(), credential.is_empty()) {
            (true, _) => Ok(None),
            // RFC 4513 §5.1.2: the server would take such a bind for an anonymous one.
            (false, true) => Err("local.ugldapbinddn is set, local.ugldapbindcred is not".into()),
            (false, false) => Ok(Some(Identity { dn, credential: Credential::parse(&credential, instance) })),
        }
    }
}

impl Server {
    /// `host`, `host:port`, an IPv6 address, `[address]:port`.
    ///
    /// # Errors
    /// It is none of these.
    pub fn parse(text: &str, port: u16) -> Result<Server, String> {
        let wrong = || format!("'{}' is not a host of an LDAP server", base::escape(text));
        if text.parse::<std::net::Ipv6Addr>().is_ok() {
            return Ok(Server { host: text.to_owned(), port });
        }
        let (host, after) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']').ok_or_else(wrong)?;
                host.parse::<std::net::Ipv6Addr>().map_err(|_| wrong())?;
                (host, after)
            }
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        let port = match after.strip_prefix(':') {
            Some(digits) => digits.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?,
            None if after.is_empty() => port,
            None => return Err(wrong()),
        };
        let legal =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'%');
        if host.is_empty() || !host.bytes().all(legal) {
            return Err(wrong());
        }
        Ok(Server { host: host.to_owned(), port })
    }

    /// For a URL.
    pub fn bracketed(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }

    pub(super) fn is_this_host(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost")
            || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.bracketed(), self.port)
    }
}

impl Credential {
    /// The text of `local.ugldapbindcred`, and of what is given in its place.
    pub fn parse(text: &str, instance: &Instance) -> Credential {
        if let Some(file) = SecretFile::named(text, instance) {
            return Credential::File(file.path);
        }
        match text.strip_prefix("env:") {
            Some(name) => Credential::Text(std::env::var(name).unwrap_or_default()),
            None => Credential::Text(text.to_owned()),
        }
    }

    /// The password. A line end behind it in a file does not count.
    ///
    /// # Errors
    /// The file cannot be read, everybody may read it, or it is empty: that would be no bind at all (RFC 4513 §5.1.2).
    pub fn reveal(&self) -> io::Result<String> {
        match self {
            Credential::Text(text) => Ok(text.clone()),
            Credential::File(path) => {
                let told = |why: io::Error| io::Error::new(why.kind(), format!("{}: {why}", path.display()));
                let text = std::fs::read_to_string(path).map_err(told)?;
                let mode = std::fs::metadata(path).map_err(told)?.permissions().mode() & 0o777;
                if mode & 0o007 != 0 {
                    let text = format!(
                        "{}: its mode is {mode:o}, everybody may use it; chmod 640 it, or less",
                        path.display()
                    );
                    return Err(io::Error::other(text));
                }
                let text = text.trim_end_matches(['\r', '\n']);
                if text.is_empty() {
                    return Err(io::Error::other(format!("{} is empty", path.display())));
                }
                Ok(text.to_owned())
            }
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credential::Text(_) => "(a password)",
            Credential::File(_) => "(a file)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(lines: &[&str]) -> Result<Option<Settings>, String> {
        let folder = tempfile::tempdir().unwrap();
        let instance = Instance::new(folder.path());
        Settings::from_config(&Config::from_text(&lines.join("\n")).unwrap(), &instance)
    }

    fn hosts(lines: &[&str]) -> Vec<String> {
        settings(lines).unwrap().unwrap().servers.iter().map(ToString::to_string).collect()
    }

    const BASE: &str = "local.ugldapbasedn = \"o=x\"";

    #[test]
    fn without_a_host_there_is_no_ldap() {
        assert!(settings(&[]).unwrap().is_none());
        assert!(settings(&[BASE, "local.ugldapuselocal = yes"]).unwrap().is_none());
    }

    /// S176: the list counts with `local.ugldapuselocal`.
    #[test]
    fn uselocal_chooses_the_group_and_makes_the_list_count() {
        let both = "local.ugldaphost = \"ldap01.x ldap02.x:1389\"";
        assert_eq!(hosts(&[BASE, both, "local.ugldapuselocal = yes"]), ["ldap01.x:389", "ldap02.x:1389"]);
        let one = settings(&[BASE, both]).unwrap().unwrap();
        assert_eq!(one.servers.len(), 1);
        assert!(one.warnings.iter().any(|line| line.contains("only the first")), "{:?}", one.warnings);
        let shared = ["service.ldaphost = central.x", "service.ldapbasedn = \"o=y\""];
        assert_eq!(hosts(&[&[both, BASE], &shared[..]].concat()), ["central.x:389"]);
        let local = settings(&[&[both, "local.ugldapuselocal = yes"], &shared[..]].concat());
        let local = local.unwrap().unwrap();
        assert_eq!(
            (local.servers.len(), local.base.as_str()),
            (2, "o=y"),
            "what is not set is the central value"
        );
    }

    #[test]
    fn hosts_ports_and_transports() {
        let yes = "local.ugldapuselocal = yes";
        let host = "local.ugldaphost = \"a [::1]:99 ::2 127.0.0.1\"";
        assert_eq!(hosts(&[BASE, yes, host]), ["a:389", "[::1]:99", "[::2]:389", "127.0.0.1:389"]);
        assert!(
            settings(&[BASE, yes, host, "local.ugldapusessl = yes"]).unwrap_err().contains("certificate")
        );
        let tls = ["local.ugldaphost = \"a 127.0.0.1:99\"", "local.ugldapusessl = yes"];
        assert_eq!(hosts(&[&[BASE, yes], &tls[..]].concat()), ["a:636", "127.0.0.1:99"]);
        assert_eq!(hosts(&[BASE, "local.ugldaphost = a", "local.ugldapport = 1389"]), ["a:1389"]);
        for bad in ["a:", "a:0", "a:70000", "ldap://a", "[::1", "[::1]x", "[a]:1", "a/b", ":389"] {
            let line = format!("local.ugldaphost = \"{bad}\"");
            assert!(settings(&[BASE, yes, &line]).is_err(), "{bad}");
        }
        let tls = ["local.ugldapusessl = yes", "local.ugldapstarttls = yes"];
        assert!(
            settings(&[&[BASE, "local.ugldaphost = a"], &tls[..]].concat()).unwrap_err().contains("exclude")
        );
        assert!(settings(&["local.ugldaphost = a"]).unwrap_err().contains("basedn"));
    }

    #[test]
    fn a_credential_is_not_shown_and_never_empty() {
        let host = "local.ugldaphost = localhost";
        let who = "local.ugldapbinddn = \"cn=mail,o=x\"";
        assert!(settings(&[BASE, host, who]).unwrap_err().contains("bindcred"));
        let text = settings(&[BASE, host, who, "local.ugldapbindcred = hush-hush"]).unwrap().unwrap();
        assert!(!format!("{text:?}").contains("hush"));
        assert!(text.warnings.is_empty(), "{:?}", text.warnings);
        assert_eq!(text.identity.unwrap().credential.reveal().unwrap(), "hush-hush");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cred");
        std::fs::write(&path, "from a file\r\n").unwrap();
        let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        mode(0o644);
        let open = Credential::File(path.clone()).reveal().unwrap_err().to_string();
        assert!(open.contains("its mode is 644"), "{open}");
        mode(0o640);
        assert_eq!(Credential::File(path.clone()).reveal().unwrap(), "from a file");
        std::fs::write(&path, "\n").unwrap();
        assert!(Credential::File(path).reveal().is_err());
    }

    #[test]
    fn passwords_in_clear_over_the_network_are_warned_of() {
        let clear = settings(&[BASE, "local.ugldaphost = ldap.x"]).unwrap().unwrap();
        assert!(clear.warnings.iter().any(|line| line.contains("in clear")));
        let start = settings(&[BASE, "local.ugldaphost = ldap.x", "local.ugldapstarttls = yes"]);
        assert!(start.unwrap().unwrap().warnings.is_empty());
    }
}

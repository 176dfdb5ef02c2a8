//! What a daemon may do once it has begun: become the server's user, then nothing that it has no business with.
//!
//! Layers, each said in the log: the user (`local.serveruid`), no capabilities, no gain of rights by starting programs,
//! no look into the process by others, files and ports by Landlock, system calls by seccomp.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use connection::Certificates;
use os::sandbox::{Enforced, Reach};
use os::syscalls::Deed;
use server_config::parameters::{
    directory, general, local, service_acme, service_http, service_imap, service_pop, service_smtp,
    service_smtp_modules, store,
};
use server_config::{Config, Instance, server_user};
use server_log::{Category, LogSettings};

use crate::daemon::Site;

/// What a process starts later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Starts {
    Nothing,
    /// Its own program: the parent of worker processes.
    Itself,
}

/// How much a process gives up: `local.sandbox`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Off,
    /// What the kernel has.
    BestEffort,
    Require,
}

impl Level {
    pub fn from_config(config: &Config) -> Level {
        match config.get(&local::SANDBOX).as_str() {
            "off" => Level::Off,
            "require" => Level::Require,
            _ => Level::BestEffort,
        }
    }

    /// What the log says of files and ports.
    ///
    /// # Errors
    /// One line: all of it is required, and the kernel has not all.
    pub fn files(self, enforced: Enforced) -> Result<String, String> {
        if self == Level::Require && enforced != Enforced::Fully {
            return Err(format!("local.sandbox is require, and this kernel enforces it {enforced}"));
        }
        Ok(format!("files and ports {enforced} confined"))
    }

    /// What the log says of system calls: `told` of the count, when they are limited.
    ///
    /// # Errors
    /// One line: it is required, and they are not.
    pub fn calls(
        self,
        limited: io::Result<usize>,
        told: impl FnOnce(usize) -> String,
    ) -> Result<String, String> {
        match limited {
            Ok(count) => Ok(told(count)),
            Err(why) if self == Level::Require => Err(format!("privileges: system calls: {why}")),
            Err(why) => Ok(format!("system calls not limited ({why})")),
        }
    }
}

/// Folders of the system that any program reads: settings, libraries, certificates, time zones, what the kernel tells.
const SYSTEM: [&str; 8] = ["/etc", "/usr", "/lib", "/lib64", "/opt", "/proc", "/sys", "/dev/urandom"];
/// The loaders that the kernel starts programs through.
const LOADERS: [&str; 2] = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"];

/// Whether daemons give up anything: then they cannot start programs or write outside of their folders later.
///
/// # Errors
/// As [`server_user::numbers`].
pub fn confines(config: &Config) -> Result<bool, String> {
    let changes_user = os::process::own_uid() == 0 && server_user::numbers(config)?.is_some();
    Ok(changes_user || Level::from_config(config) != Level::Off)
}

pub(crate) fn confine(site: &Site, starts: Starts) -> Result<(), String> {
    let config = site.config.now();
    let (level, is_root) = (Level::from_config(&config), os::process::own_uid() == 0);
    let user = os::user::current().map_or_else(|| os::process::own_uid().to_string(), |user| user.name);
    let failed = |what: &str, why: io::Error| format!("privileges: {what}: {why}");
    if is_root && level == Level::Require {
        return Err("local.sandbox is require, and local.serveruid is not set: it would run as root".into());
    }
    if is_root {
        site.log.warning(Category::General, format_args!("It runs as root: local.serveruid is not set"));
    } else {
        os::privileges::give_up_capabilities().map_err(|why| failed("capabilities", why))?;
    }
    os::privileges::leave_no_core().map_err(|why| failed("the limit of cores", why))?;
    if site.began_as_root {
        os::privileges::hide_memory().map_err(|why| failed("the process's memory", why))?;
    }
    let enforced = if level == Level::Off {
        "not confined (local.sandbox)".to_owned()
    } else {
        os::privileges::gain_no_more().map_err(|why| failed("gain of rights", why))?;
        let files = level.files(os::sandbox::confine(&reach(site, &config, starts))?)?;
        let limited = os::syscalls::limit(&deeds(site, &config, starts));
        let calls = level.calls(limited, |count| {
            format!("system calls limited to the {count} of {}", site.program.name)
        })?;
        format!("no gain of rights, {files}, {calls}")
    };
    let capabilities = if is_root { "those of root" } else { "none" };
    site.log.notice(
        Category::General,
        format_args!("Privileges: user {user}, capabilities {capabilities}, {enforced}"),
    );
    Ok(())
}

/// What a daemon does with the system that not all do.
fn deeds(site: &Site, config: &Config, starts: Starts) -> Vec<Deed> {
    let mut deeds = match site.program.service {
        "smtp" => vec![Deed::Serves, Deed::WatchesFiles, Deed::SetsModes], // commands to the queue; local sockets
        "imap" | "http" => vec![Deed::Serves, Deed::WatchesFiles],         // sessions are told of new mail
        "pop" => vec![Deed::Serves],
        // The port for authorities, and the link by which a new certificate is found.
        "store" if orders_certificates(&site.instance, config) => {
            vec![Deed::WatchesFiles, Deed::Serves, Deed::MakesLinks]
        }
        _ => vec![Deed::WatchesFiles],
    };
    deeds.extend((starts == Starts::Itself).then_some(Deed::StartsPrograms));
    deeds
}

/// Whether stored orders certificates: it has names, and a place of its own for them.
fn orders_certificates(instance: &Instance, config: &Config) -> bool {
    !config.get(&service_acme::NAMES).is_empty() && instance.certificate_among_others(config).is_none()
}

/// What a daemon has business with. What is configured by a path of its own may be read; what is only set at a later
/// refresh is out of reach until the next start.
fn reach(site: &Site, config: &Config, starts: Starts) -> Reach {
    let (instance, service) = (&site.instance, site.program.service);
    let mut read: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
    // Not the queue, for who has no business with it.
    read.push(if service == "smtp" { instance.root().to_owned() } else { instance.config_dir() });
    if service == "store" {
        read.push(instance.queue_dir().join("journal")); // smtpd's changes of mailboxes stand in it
    }
    read.extend(std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from));
    read.extend(config.get(&local::SANDBOX_READ).iter().map(PathBuf::from));
    read.extend(config.iter().filter_map(|(_, value)| named_path(instance, value)));
    let certificates = Certificates::from_config(instance, config);
    read.extend(certificates.iter().filter_map(|all| all.more.clone()));
    let pair = certificates.iter().flat_map(Certificates::files);
    let linked = pair.chain([PathBuf::from("/etc/resolv.conf")]);
    // Their folders, where links lead: a renewed certificate is another file there.
    read.extend(linked.filter_map(|file| file.canonicalize().ok()?.parent().map(Path::to_owned)));
    let mut write = vec![
        instance.store_dir(),
        instance.run_dir(),
        instance.counter_dir(),
        instance.tmp_dir(),
        LogSettings::from_config(config, instance, service).folder,
        LogSettings::of_audit(config, instance).folder,
        instance.log_dir("store"),
        PathBuf::from("/dev/null"),
    ];
    write.extend(partitions(instance, config));
    // What was kept goes with the user, whether more is kept or not.
    let last_access = instance.last_access_dir();
    if service != "smtp" && (config.get(&local::LAST_ACCESS) || last_access.exists()) {
        write.push(last_access);
    }
    if service == "smtp" {
        write.extend([instance.queue_dir(), instance.mta_sts_dir(), instance.tls_reports_dir()]);
    }
    if service == "http" {
        write.push(instance.scratch_dir(config));
        // Users change their own entries: a new file in the place of the embedded directory's, beside its lock.
        if config.get(&local::UG_LDAP_HOST).is_empty() && config.get(&directory::LDAP_HOST).is_empty() {
            let set = config.get(&local::DIRECTORY_LDIF);
            let file = if set.is_empty() { instance.directory_ldif() } else { instance.root().join(set) };
            write.extend(file.parent().map(Path::to_owned));
        }
    }
    let orders_certificates = service == "store" && orders_certificates(instance, config);
    if orders_certificates {
        // Where they are put, and the links by which they are found.
        let (chain, key) = instance.certificate_place(config);
        write.extend([instance.acme_dir()]);
        write.extend([chain, key].iter().filter_map(|file| file.parent().map(Path::to_owned)));
        let authorities = config.get(&service_acme::CA_FILE);
        read.extend((!authorities.is_empty()).then(|| instance.root().join(authorities)));
    }
    let socket = config.get(&service_smtp_modules::LMTP_SOCKET);
    if service == "smtp" && !socket.is_empty() {
        write.extend(instance.root().join(socket).parent().map(Path::to_owned));
    }
    for folder in &write {
        if folder.starts_with(instance.root()) {
            // A rule needs the folder; whoever would make it later could not.
            let private = [
                instance.mta_sts_dir(),
                instance.tls_reports_dir(),
                instance.acme_dir(),
                instance.counter_dir(),
                instance.last_access_dir(),
            ];
            let is_private = private.contains(folder);
            let mode = if is_private { 0o700 } else { 0o777 };
            let _ = DirBuilder::new().recursive(true).mode(mode).create(folder);
        }
    }
    let execute = match starts {
        Starts::Nothing => Vec::new(),
        Starts::Itself => {
            std::env::current_exe().ok().into_iter().chain(LOADERS.iter().map(PathBuf::from)).collect()
        }
    };
    let mut connect = (service != "smtp").then(|| ports_of_others(config, service));
    if let Some(ports) = connect.as_mut().filter(|_| orders_certificates) {
        ports.push(config.get(&service_acme::DIRECTORY).port);
    }
    let bind = if service == "smtp" { vec![0] } else { Vec::new() }; // 0: a source address for a connection
    Reach { read, write, execute, bind, connect }
}

/// The path that a value is, or behind `file:`.
fn named_path(instance: &Instance, value: &str) -> Option<PathBuf> {
    let by_file = value.strip_prefix("file:");
    let path = by_file.unwrap_or(value).trim();
    let is_path = by_file.is_some() || path.starts_with('/');
    (is_path && path.len() > 1).then(|| instance.root().join(path))
}

fn partitions<'a>(instance: &'a Instance, config: &'a Config) -> impl Iterator<Item = PathBuf> + 'a {
    let names = config.iter().filter_map(|(name, _)| {
        name.strip_prefix("store.partition.")?.strip_suffix(".path").map(str::to_owned)
    });
    names.map(|name| instance.root().join(config.get_in(&store::PARTITION_PATH, &name)))
}

/// Of the services that stored asks for an answer, and of the mail server that takes its warnings.
fn ports_of_alarms(config: &Config) -> impl Iterator<Item = u16> {
    let services = [
        config.get(&service_smtp::PORT),
        config.get(&service_smtp::SUBMISSION_PORT),
        config.get(&service_imap::PORT),
        config.get(&service_imap::SSL_PORT),
        config.get(&service_pop::PORT),
        config.get(&service_pop::SSL_PORT),
        config.get(&service_http::PORT),
        config.get(&service_http::SSL_PORT),
    ];
    services.into_iter().chain([config.get(&general::ALARM_PORT)]).filter(|port| *port != 0)
}

/// Where daemons that send no mail connect to: the servers of the directory and, for names of clients, of DNS. The web mail
/// also fetches pictures that messages name, when a user wants to see them.
fn ports_of_others(config: &Config, service: &str) -> Vec<u16> {
    let mut ports = vec![53, 389, 636, config.get(&local::UG_LDAP_PORT), config.get(&directory::LDAP_PORT)];
    let hosts = [config.get(&local::UG_LDAP_HOST), config.get(&directory::LDAP_HOST)];
    ports.extend(hosts.iter().flatten().filter_map(|host| host.rsplit_once(':')?.1.parse::<u16>().ok()));
    let servers = [
        config.get(&service_smtp::DNS_SERVERS),
        config.get(&service_smtp_modules::INTERNAL_MX),
        config.get(&service_smtp_modules::EXTERNAL_MX),
    ];
    ports.extend(servers.iter().flatten().map(std::net::SocketAddr::port));
    if service == "http" {
        ports.extend([80, 443]);
    }
    if service == "store" {
        ports.extend(ports_of_alarms(config));
    }
    ports.sort_unstable();
    ports.dedup();
    ports
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_required_and_cannot_be_had_is_an_error_and_else_it_is_told() {
        let refused = || Err(io::Error::other("no seccomp"));
        let told = |count| format!("{count} calls");
        let why = Level::Require.calls(refused(), told).unwrap_err();
        assert_eq!(why, "privileges: system calls: no seccomp");
        let said = Level::BestEffort.calls(refused(), told).unwrap();
        assert_eq!(said, "system calls not limited (no seccomp)");
        assert_eq!(Level::Require.calls(Ok(7), told), Ok("7 calls".into()));
        let why = Level::Require.files(Enforced::Partly).unwrap_err();
        assert!(why.ends_with("enforces it in part"), "{why}");
        assert_eq!(Level::BestEffort.files(Enforced::Not), Ok("files and ports not confined".into()));
        assert!(Level::Require.files(Enforced::Fully).is_ok());
    }
}

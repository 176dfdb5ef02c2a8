//! What the main function of every listening daemon does around its sessions.
//!
//! ```text
//! daemon::main(&Program { service: "imap", name: "imapd", about: "..", before: None }, settings, service)
//! ```
//! reads the arguments, finds the instance, checks the configuration, opens the log, keeps a second copy out, binds,
//! builds the service and serves. Whatever is wrong is one line on standard error and in the log, and exit status 1.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use connection::Certificates;
use connection::telemetry::{Bounds, Recording};
use server_config::parameters::{local, service};
use server_config::{Config, Effect, Instance, Live, Parameter, Status, Switch, server_user};
use server_log::{Category, Log, LogSettings};

use crate::privileges::{self, Starts};
use crate::try_out;
use crate::{Refreshed, Role, Service, Settings, serve, supervise};

/// The environment variable in which the supervisor says how the former process ended: `41 ended with status 139`.
const FORMER_END: &str = "MAILBOAT_FORMER_END";

/// See [`Program::before`].
pub type Before = fn(&Instance, &Config) -> Result<(), String>;

/// Which daemon this is.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// As in `run/<service>.pid`: "imap".
    pub service: &'static str,
    /// "imapd"
    pub name: &'static str,
    /// One line for `--help`.
    pub about: &'static str,
    /// What is done with the rights that it was started with, before they are given up.
    pub before: Option<Before>,
}

/// What a daemon knows once it has begun.
pub struct Site {
    pub program: Program,
    pub instance: Instance,
    /// The configuration in force; replaced by [`Site::read_again`].
    pub config: Live,
    pub log: Log,
    /// The configuration that it began with: what takes effect at a restart is still this one's.
    first: Arc<Config>,
    /// Root started it, whoever it is now.
    pub began_as_root: bool,
}

impl Site {
    /// Reads the configuration again (SIGHUP). A broken one is logged and the former stays in force: `None`.
    pub fn read_again(&self) -> Option<Arc<Config>> {
        match Config::load(&self.instance) {
            Ok(config) => {
                self.log.configure(LogSettings::from_config(&config, &self.instance, self.program.service));
                self.log.configure_audit(LogSettings::of_audit(&config, &self.instance));
                self.tell_restarts(&config);
                self.config.replace(config);
                self.log.notice(Category::General, format_args!("Configuration read again"));
                Some(self.config.now())
            }
            Err(why) => {
                let text = format!("{why}; the former configuration stays in force");
                self.log.error(Category::General, format_args!("{text}"));
                Refreshed::new(&self.instance.run_dir(), self.program.service).refused(&text);
                None
            }
        }
    }

    /// What has changed since the start and waits for the next one: a line each in the log and for refresh-msg.
    fn tell_restarts(&self, config: &Config) {
        let waiting = waiting(&self.first, config, self.program.name);
        for name in &waiting {
            self.log.notice(Category::General, format_args!("{name} takes effect at a restart"));
        }
        Refreshed::new(&self.instance.run_dir(), self.program.service).waiting(&waiting);
    }

    /// The configured certificates, else `config/certs/server.crt` and `.key` when they exist, with those beside them.
    pub fn certificate(&self) -> Option<Certificates> {
        Certificates::from_config(&self.instance, &self.config.now())
    }

    /// Whose sessions are recorded: those that the administrator made a folder for, and everybody's if `force` says so.
    pub fn recording(&self, force: &Parameter<Switch>) -> Recording {
        let config = self.config.now();
        let everybody = config.get(force).then(|| Bounds {
            folder: self.instance.force_telemetry_dir(self.program.service),
            files_max: u64::try_from(config.get(&local::FORCE_TELEMETRY_FILES)).unwrap_or(0),
            bytes_max: u64::try_from(config.get(&local::FORCE_TELEMETRY_SIZE)).unwrap_or(0),
        });
        Recording { root: self.instance.telemetry_dir(self.program.service), everybody }
    }

    /// The addresses of `service.listenaddr` (S117): a host name or a number; unset is every address of the host.
    ///
    /// # Errors
    /// The name cannot be resolved.
    pub fn listen_addresses(&self) -> Result<Vec<IpAddr>, String> {
        listen_addresses(&self.config.now())
    }

    /// Each address with `port`; none when the port is 0.
    ///
    /// # Errors
    /// As [`Site::listen_addresses`].
    pub fn sockets(&self, port: u16) -> Result<Vec<SocketAddr>, String> {
        if port == 0 {
            return Ok(Vec::new());
        }
        Ok(self.listen_addresses()?.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
    }

    /// Gives up what the rest of this process's life does not need, as `local.sandbox` says, and logs what is in force.
    /// Before there are threads; when everything that needs rights is open.
    ///
    /// # Errors
    /// One line: `local.sandbox` is `require`, and something cannot be had.
    pub fn confine(&self, starts: Starts) -> Result<(), String> {
        privileges::confine(self, starts)
    }

    /// `--try-privileges`: confines this process and tries what it must not be able to do ([`try_out::all`]).
    pub fn try_privileges(&self, outside: &Path) -> ExitCode {
        match self.confine(Starts::Nothing) {
            Ok(()) if try_out::all(outside, &[], "", &mut std::io::stdout()) => ExitCode::SUCCESS,
            Ok(()) => ExitCode::FAILURE,
            Err(why) => self.refuse(&why),
        }
    }

    /// What this process counts is seen by others from now on; where that cannot be, it goes on all the same.
    pub fn count(&self) {
        match counters::attach(&self.instance.counter_dir(), self.program.service) {
            Ok(None) => {}
            Ok(Some(told)) => self.log.warning(Category::General, format_args!("{told}")),
            Err(why) => {
                let text = format!("what this process counts is not seen by counterutil: {why}");
                self.log.warning(Category::General, format_args!("{text}"));
            }
        }
    }

    fn refuse(&self, why: &str) -> ExitCode {
        self.log.critical(Category::General, format_args!("{why}"));
        refuse(self.program, why)
    }
}

/// Runs a daemon from its arguments to its end. `settings` says how it listens; `service` builds what answers, when the
/// ports are bound and before they listen (so a long start-up check keeps them closed, S83), in each worker if there are
/// several.
pub fn main(
    program: Program,
    settings: impl FnOnce(&Site) -> Result<Settings, String>,
    service: impl FnOnce(&Arc<Site>) -> Result<Arc<dyn Service>, String>,
) -> ExitCode {
    os::memory::give_back_large_blocks();
    let Arguments { instance, outside } = match arguments(program, std::env::args_os().skip(1)) {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    // Who only tries what it must not do starts nothing that belongs to the daemon, which may be running.
    let program = Program { before: program.before.filter(|_| outside.is_none()), ..program };
    let site = match begin(program, instance) {
        Ok(site) => Arc::new(site),
        Err(why) => return refuse(program, &why),
    };
    if let Some(outside) = outside {
        return site.try_privileges(&outside);
    }
    match run(&site, settings, service) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => site.refuse(&why),
    }
}

fn run(
    site: &Arc<Site>,
    settings: impl FnOnce(&Site) -> Result<Settings, String>,
    service: impl FnOnce(&Arc<Site>) -> Result<Arc<dyn Service>, String>,
) -> Result<(), String> {
    let settings = settings(site)?;
    if settings.listeners.is_empty() {
        return Err("every port is 0: there is nothing to listen on".into());
    }
    let is_worker = os::net::worker_number().is_some();
    let _sole = if is_worker { None } else { Some(sole(site)?) };
    let is_parent = !is_worker && settings.processes > 1;
    let bound = || site.confine(if is_parent { Starts::Itself } else { Starts::Nothing });
    let listeners = match supervise(&settings, &site.log, bound).map_err(|why| why.to_string())? {
        Role::Done => return Ok(()),
        Role::Serve(listeners) => listeners,
    };
    site.count();
    // The ports are bound and refuse until it is there (S83).
    let service = service(site)?;
    let name = site.program.name;
    let version = env!("CARGO_PKG_VERSION");
    site.log.notice(Category::General, format_args!("{name} {version} starting"));
    let served = serve(listeners, settings, service, site.log.clone()).map_err(|why| why.to_string());
    if served.is_ok() {
        site.log.notice(Category::General, format_args!("{name} stopped"));
    }
    served
}

/// What the command line says.
#[derive(Default)]
struct Arguments {
    instance: Option<PathBuf>,
    /// `--try-privileges`: a folder that is none of ours.
    outside: Option<PathBuf>,
}

fn arguments(program: Program, given: impl Iterator<Item = OsString>) -> Result<Arguments, ExitCode> {
    let mut given = given;
    let mut found = Arguments::default();
    while let Some(argument) = given.next() {
        match argument.to_str() {
            Some("--instance") => match given.next() {
                Some(folder) => found.instance = Some(PathBuf::from(folder)),
                None => return Err(misuse(program, "--instance needs a folder")),
            },
            Some("--try-privileges") => match given.next() {
                Some(outside) => found.outside = Some(PathBuf::from(outside)),
                None => return Err(misuse(program, "--try-privileges needs a folder")),
            },
            Some("--version" | "-V") => {
                let _ = writeln!(std::io::stdout(), "{} {}", program.name, env!("CARGO_PKG_VERSION"));
                return Err(ExitCode::SUCCESS);
            }
            Some("--help" | "-h") => {
                let _ = writeln!(
                    std::io::stdout(),
                    "{}: {}\n\nusage: {} [--instance DIR]\n\n  --instance DIR          the instance; else CONFIGROOT names its config folder\n  --try-privileges DIR    confine itself, try what it must not do, with DIR as a foreign folder, and say what came of it\n  --version               print the version",
                    program.name,
                    program.about,
                    program.name
                );
                return Err(ExitCode::SUCCESS);
            }
            Some(other) if other.starts_with("--instance=") => {
                found.instance = Some(PathBuf::from(&other["--instance=".len()..]));
            }
            _ => {
                return Err(misuse(
                    program,
                    &format!("unknown argument {}", base::escape(&argument.to_string_lossy())),
                ));
            }
        }
    }
    Ok(found)
}

fn misuse(program: Program, why: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{}: {why}", program.name);
    ExitCode::from(2)
}

fn refuse(program: Program, why: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{}: {}", program.name, base::escape(why));
    ExitCode::from(1)
}

/// Instance, configuration and log of a program: also for stored, which does not listen.
///
/// # Errors
/// One line: no instance, a wrong value, a log that cannot be opened.
pub fn begin(program: Program, instance: Option<PathBuf>) -> Result<Site, String> {
    let instance = Instance::open(instance.as_deref())?;
    let config = Config::load(&instance).map_err(|why| why.to_string())?;
    let began_as_root = os::process::own_uid() == 0;
    if let Some(before) = program.before {
        before(&instance, &config)?;
    }
    server_user::become_it(&config)?; // what is made from now on is that user's
    let settings = LogSettings::from_config(&config, &instance, program.service);
    let folder = settings.folder.clone();
    let log = Log::open(program.service, program.name, settings)
        .map_err(|why| format!("the log in {} cannot be opened: {why}", folder.display()))?;
    let log = log
        .with_audit(program.name, LogSettings::of_audit(&config, &instance))
        .map_err(|why| format!("the audit log cannot be opened: {why}"))?;
    note_former_end(program, &log);
    let config = Live::new(config);
    let first = config.now();
    Ok(Site { program, instance, config, log, first, began_as_root })
}

/// Parameters that `program` reads at its start only, and that are others now.
fn waiting(first: &Config, now: &Config, program: &str) -> Vec<String> {
    let names: BTreeSet<&str> = first.iter().chain(now.iter()).map(|(name, _)| name).collect();
    let waits = |name: &&str| {
        let Some(entry) = server_config::find(name) else { return false };
        let value = |config: &Config| config.text(name).unwrap_or(entry.default()).to_owned();
        let is_reader = entry.readers() == "all daemons"
            || entry.readers().split([',', ' ']).any(|reader| reader.trim() == program);
        entry.effect() == Effect::Restart
            && entry.status() == Status::Active
            && is_reader
            && value(first) != value(now)
    };
    names.into_iter().filter(waits).map(str::to_owned).collect()
}

/// What the supervisor knows of the process before this one: how it ended, when it was not asked to.
fn note_former_end(program: Program, log: &Log) {
    let Some(ended) = std::env::var_os(FORMER_END).filter(|ended| !ended.is_empty()) else { return };
    if os::net::worker_number().is_none() {
        let (name, ended) = (program.name, ended.to_string_lossy());
        log.error(Category::General, format_args!("{name} was started again: the former process {ended}"));
    }
}

/// See [`Site::listen_addresses`].
///
/// # Errors
/// The name cannot be resolved.
pub fn listen_addresses(config: &Config) -> Result<Vec<IpAddr>, String> {
    let named = config.get(&service::LISTEN_ADDRESS);
    let named = named.trim();
    if named.is_empty() {
        let mut all = vec![IpAddr::V4(Ipv4Addr::UNSPECIFIED)];
        if Path::new("/proc/net/if_inet6").exists() {
            all.push(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        }
        return Ok(all);
    }
    let found = (named, 0u16)
        .to_socket_addrs()
        .map_err(|why| format!("service.listenaddr: cannot resolve '{named}': {why}"))?;
    let mut addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}

/// The lock that keeps a second copy of this service out of the instance, as long as the value lives. The kernel frees
/// it when the process ends, however it ends.
///
/// # Errors
/// Another copy runs.
pub fn sole(site: &Site) -> Result<File, String> {
    let run = site.instance.run_dir();
    let path = run.join(format!("{}.lock", site.program.service));
    let told = |why: std::io::Error| format!("{}: {why}", path.display());
    std::fs::create_dir_all(&run).map_err(told)?;
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path).map_err(told)?;
    #[allow(clippy::incompatible_msrv)]
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(_) => Err(format!("{} runs already on this instance", site.program.name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEST: Program = Program { service: "imap", name: "imapd", about: "test", before: None };

    fn instance(conf: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("config")).unwrap();
        std::fs::write(folder.path().join("config/local.conf"), conf).unwrap();
        let root = folder.path().to_owned();
        (folder, root)
    }

    #[test]
    fn a_wrong_value_is_one_clear_line() {
        let (_folder, root) = instance("service.imap.maxthreads = many\n");
        let why = begin(TEST, Some(root)).err().unwrap();
        assert!(why.contains("service.imap.maxthreads") && !why.contains('\n'), "{why}");
        let nowhere = begin(TEST, Some(PathBuf::from("nowhere"))).err().unwrap();
        assert!(nowhere.contains("not an instance"), "{nowhere}");
    }

    #[test]
    fn a_second_copy_is_kept_out_until_the_first_has_ended() {
        let (_folder, root) = instance("");
        let site = begin(TEST, Some(root)).unwrap();
        let first = sole(&site).unwrap();
        assert!(sole(&site).unwrap_err().contains("runs already"));
        drop(first);
        assert!(sole(&site).is_ok());
    }

    #[test]
    fn a_broken_configuration_leaves_the_former_in_force() {
        let (_folder, root) = instance("service.imap.maxthreads = 7\n");
        let site = begin(TEST, Some(root.clone())).unwrap();
        std::fs::write(root.join("config/local.conf"), "service.imap.maxthreads = x\n").unwrap();
        assert!(site.read_again().is_none());
        let threads =
            |site: &Site| site.config.now().get(&server_config::parameters::service_imap::MAX_THREADS);
        assert_eq!(threads(&site), 7);
        std::fs::write(root.join("config/local.conf"), "service.imap.maxthreads = 8\n").unwrap();
        assert!(site.read_again().is_some());
        assert_eq!(threads(&site), 8);
    }

    #[test]
    fn addresses_come_from_the_name_or_are_all() {
        let (_folder, root) = instance("service.listenaddr = 127.0.0.2\n");
        let site = begin(TEST, Some(root)).unwrap();
        assert_eq!(site.sockets(143).unwrap(), ["127.0.0.2:143".parse().unwrap()]);
        assert!(site.sockets(0).unwrap().is_empty());
        let (_folder, root) = instance("");
        let all = begin(TEST, Some(root)).unwrap().listen_addresses().unwrap();
        assert!(all.contains(&IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
        // A label of more than 63 letters: nobody's name server is asked, and none can know it.
        let (_folder, root) = instance(&format!("service.listenaddr = {}.invalid\n", "x".repeat(64)));
        assert!(
            begin(TEST, Some(root)).unwrap().listen_addresses().unwrap_err().contains("service.listenaddr")
        );
    }

    #[test]
    fn what_waits_for_a_restart_is_what_this_daemon_reads_then_and_is_another_value() {
        let config = |text: &str| Config::from_text(text).unwrap();
        let first =
            config("service.imap.port = 143\nservice.imap.maxsessions = 5\nservice.pop.port = 1110\n");
        let now = config(
            "local.hostname = mail.example.org\nservice.imap.port = 143\nservice.imap.maxsessions = 6\n\
             service.imap.idletimeout = 31\nlocal.service.smtp.smtp-deliver.smarthosts = relay.test\n",
        );
        assert_eq!(waiting(&first, &now, "imapd"), ["local.hostname", "service.imap.maxsessions"]);
        let smtp = ["local.hostname", "local.service.smtp.smtp-deliver.smarthosts"];
        assert_eq!(waiting(&first, &now, "smtpd"), smtp);
        assert_eq!(
            waiting(&first, &now, "popd"),
            ["local.hostname", "service.pop.port"],
            "back to its default"
        );
        assert!(waiting(&first, &first, "imapd").is_empty());
    }
}

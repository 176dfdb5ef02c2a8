//! The process that runs plug-ins: started when `config/plugins.cfg` has lines, and asked by the accept module.

use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dispatcher::Refreshed;
use dispatcher::daemon::Site;
use plugins::lines::Lines;
use plugins::{Host, Plugins, Stage, host};
use server_config::parameters::service_smtp_modules;
use server_config::{Config, Instance};
use server_log::{Category, Log};
use smtp_server::Settings;
use smtp_server::inspection::Inspector;
use smtp_server::plugged::PostAccept;

/// Beside this program.
const PROGRAM: &str = "pluginhost";
/// How long plug-ins may take to be loaded, beside the time that they have for a message.
const LOADED_MAX: Duration = Duration::from_secs(30);
/// Bytes of what is told about it.
const LINE_BYTES_MAX: u64 = 8192;

/// What runs. It is what there was at start: a library cannot be taken out of a process.
static RUNNING: Mutex<Option<Running>> = Mutex::new(None);

struct Running {
    /// The process ends when this closes, and it closes when the process ends.
    control: UnixStream,
    plugins: Plugins,
}

/// Starts the process, if there are plug-ins, and waits until they are loaded.
///
/// # Errors
/// One line: the file or a library is refused, or a plug-in does not begin.
pub fn start(instance: &Instance, config: &Config) -> Result<(), String> {
    let plugins = Plugins::load(instance, config)?;
    if plugins.lines.is_empty() {
        return Ok(());
    }
    let told = |why: std::io::Error| format!("{PROGRAM} cannot be started: {why}");
    let (control, theirs) = UnixStream::pair().map_err(told)?;
    let own = std::env::current_exe().map_err(told)?;
    let child = Command::new(own.with_file_name(PROGRAM))
        .arg(std::path::absolute(instance.root()).map_err(told)?)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .process_group(0) // a terminal's interrupt is smtpd's to obey
        .spawn()
        .map_err(told)?;
    drop(child); // it is never waited for: it ends after us
    control.set_read_timeout(Some(LOADED_MAX + host::timeout(config))).map_err(told)?;
    let mut line = String::new();
    BufReader::new((&control).take(LINE_BYTES_MAX)).read_line(&mut line).map_err(told)?;
    match line.trim_end() {
        "ok" => {
            let running = Running { control, plugins };
            *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = Some(running);
            Ok(())
        }
        "" => Err(format!("{PROGRAM} ended when it was started")),
        why => Err(why.to_owned()),
    }
}

/// Has smtpd end when the process has ended before ([`mta::apart::end_with`]).
///
/// # Errors
/// A thread cannot be started.
pub fn watch(log: &Log) -> std::io::Result<()> {
    match &*RUNNING.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(running) => mta::apart::end_with(running.control.try_clone()?.into(), PROGRAM, log.clone()),
        None => Ok(()),
    }
}

/// Looks at `plugins.cfg` at a refresh: other plug-ins are called from the next start on.
///
/// # Errors
/// One line: they would not be.
pub fn check(site: &Site, config: &Config) -> Result<(), String> {
    let refreshed = Refreshed::new(&site.instance.run_dir(), site.program.service);
    let plugins = Plugins::load(&site.instance, config).inspect_err(|why| refreshed.refused(why))?;
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    if running.as_ref().map_or(!plugins.lines.is_empty(), |running| running.plugins != plugins) {
        site.log.notice(Category::General, format_args!("plugins.cfg takes effect at a restart"));
    }
    Ok(())
}

/// The plug-ins as the accept module asks them.
pub struct Plugged {
    /// The stack of PreSMTPAccept.
    pub lines: Option<Lines>,
    post_accept: Option<Arc<Host>>,
    folder: PathBuf,
    log: Log,
}

impl Plugged {
    pub fn of(instance: &Instance, config: &Config, log: &Log) -> Plugged {
        let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let has = |stage| running.as_ref().is_some_and(|running| running.plugins.has(stage));
        let threads = usize::try_from(config.get(&service_smtp_modules::PLUGINS_THREADS)).unwrap_or(1);
        Plugged {
            lines: has(Stage::PreSmtpAccept).then(|| Lines::new(Host::new(instance, config), threads)),
            post_accept: has(Stage::PostSmtpAccept).then(|| Arc::new(Host::new(instance, config))),
            folder: host::folder(instance),
            log: log.clone(),
        }
    }

    /// Those of PostSMTPAccept.
    pub fn post_accept(&self, settings: &Settings) -> Option<Arc<dyn Inspector>> {
        let host = self.post_accept.clone()?;
        let (folder, log) = (self.folder.clone(), self.log.clone());
        Some(Arc::new(PostAccept::new(host, folder, settings.message_size_max, log)))
    }
}

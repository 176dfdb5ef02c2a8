//! The parent: keeps a child that serves.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use os::lock::{Mode, OfdLock};
use plugins::host;
use server_config::{Config, Instance, server_user};

use crate::SERVE;

/// Connections that wait while there is no child.
const BACKLOG: i32 = 128;
/// Between the end of a child and the next: the first pause, and the longest.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How long the process of an smtpd that was killed may take to end.
const FORMER_WAIT: Duration = Duration::from_secs(10);
/// A child that served for so long is worth a new start at once.
const GOOD: Duration = Duration::from_secs(60);

/// Runs until smtpd ends. It tells smtpd one line: `ok`, or why the first child does not serve.
pub fn main(instance: &Instance) -> ExitCode {
    let Ok(control) = std::io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from) else {
        return ExitCode::FAILURE;
    };
    let said = begin(instance).and_then(|(listener, sole)| Ok((start(instance, &listener)?, listener, sole)));
    let line = said.as_ref().map_or_else(|why| why.replace('\n', " "), |_| "ok".to_owned());
    let told = (&control).write_all(format!("{line}\n").as_bytes());
    let (Ok((child, listener, _sole)), Ok(())) = (said, told) else { return ExitCode::FAILURE };
    let started = thread::Builder::new().name("smtpd".into()).spawn(move || {
        // smtpd says nothing: what comes is its end.
        let _ = (&control).read(&mut [0]);
        std::process::exit(0);
    });
    if started.is_err() {
        return ExitCode::FAILURE;
    }
    keep(instance, &listener, child)
}

fn begin(instance: &Instance) -> Result<(UnixListener, OfdLock), String> {
    let config = Config::load(instance).map_err(|why| why.to_string())?;
    if os::process::own_uid() == 0 {
        server_user::become_it(&config)?;
    }
    os::privileges::gain_no_more().map_err(|why| format!("gain of rights: {why}"))?;
    os::privileges::leave_no_core().map_err(|why| format!("the limit of cores: {why}"))?;
    let sole = sole(instance)?; // before anything of another one is touched
    make_folder(&host::folder(instance))?;
    let path = host::socket(instance);
    let listener = os::net::listen_local(&path, 0o600, BACKLOG);
    Ok((listener.map_err(|why| format!("{}: {why}", path.display()))?, sole))
}

/// The right to be the one of this instance. The former may still be about to end.
fn sole(instance: &Instance) -> Result<OfdLock, String> {
    let path = instance.run_dir().join("plugins.lock");
    let told = |why: std::io::Error| format!("{}: {why}", path.display());
    std::fs::create_dir_all(instance.run_dir()).map_err(told)?;
    let mut options = OpenOptions::new();
    let file = options.create(true).truncate(false).write(true).mode(0o600).open(&path).map_err(told)?;
    OfdLock::acquire(&Arc::new(file), 0, Mode::Exclusive, FORMER_WAIT)
        .map_err(|_| "another smtpd has the plug-ins of this instance running".to_owned())
}

/// The folder of messages, without what was left there when everything stopped.
fn make_folder(folder: &Path) -> Result<(), String> {
    let told = |why: std::io::Error| format!("{}: {why}", folder.display());
    match std::fs::remove_dir_all(folder) {
        Err(why) if why.kind() != std::io::ErrorKind::NotFound => return Err(told(why)),
        _ => {}
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(told)
}

/// Starts a child and waits until it serves.
fn start(instance: &Instance, listener: &UnixListener) -> Result<Child, String> {
    let told = |why: std::io::Error| format!("pluginhost cannot be started: {why}");
    let listener: OwnedFd = listener.try_clone().map_err(told)?.into();
    let mut child = Command::new(Path::new("/proc/self/exe"))
        .arg(SERVE)
        .arg(std::process::id().to_string())
        .arg(instance.root())
        .stdin(Stdio::from(listener))
        .stdout(Stdio::piped())
        .spawn()
        .map_err(told)?;
    let mut line = String::new();
    if let Some(output) = child.stdout.take() {
        let _ = BufReader::new(output.take(4096)).read_line(&mut line);
    }
    match line.trim_end() {
        "ok" => Ok(child),
        why => {
            let _ = child.kill();
            let _ = child.wait();
            let why = if why.is_empty() { "a plug-in ended the process while it was loaded" } else { why };
            Err(format!("plug-ins: {why}"))
        }
    }
}

/// Starts another child whenever one has ended.
fn keep(instance: &Instance, listener: &UnixListener, first: Child) -> ExitCode {
    let (mut child, mut since, mut pause) = (Some(first), Instant::now(), PAUSE_MIN);
    loop {
        if let Some(child) = &mut child {
            let _ = child.wait();
        }
        if since.elapsed() > GOOD {
            pause = PAUSE_MIN;
        }
        thread::sleep(pause);
        pause = pause.saturating_mul(2).min(PAUSE_MAX);
        since = Instant::now();
        child = start(instance, listener).ok(); // why not is in the log
    }
}

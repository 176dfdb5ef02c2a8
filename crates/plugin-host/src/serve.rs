//! The child: confines itself, loads the libraries, answers smtpd, a thread for each connection.

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use dispatcher::privileges::Level;
use os::sandbox::Reach;
use plugins::wire::Frame;
use plugins::{Plugins, Stage, host};
use server_config::parameters::local;
use server_config::{Config, Instance};
use server_log::{Category, Log, LogSettings};

use crate::ffi::{self, MessageModule, ProtocolModule};
use crate::messages;
use crate::stacks::Stacks;
use crate::watch::Watch;

/// As in `log/pluginhost`.
const NAME: &str = "pluginhost";
/// smtpd needs far fewer.
const CONNECTIONS_MAX: usize = 2000;
/// Folders of the system that libraries and their data are in.
const SYSTEM: [&str; 8] = ["/etc", "/usr", "/lib", "/lib64", "/opt", "/proc", "/sys", "/dev/urandom"];

/// What all connections share.
pub struct Desk {
    pub messages: Vec<MessageModule>,
    pub stacks: Stacks,
    pub watch: Watch,
}

/// Serves until the parent ends.
pub fn main(parent: u32, instance: &Instance) -> ExitCode {
    match begin(parent, instance) {
        Ok((desk, listener)) => {
            let mut output = std::io::stdout();
            if output.write_all(b"ok\n").and_then(|()| output.flush()).is_err() {
                return ExitCode::FAILURE;
            }
            serve(&Arc::new(desk), &listener)
        }
        Err(why) => {
            let _ = writeln!(std::io::stdout(), "{}", why.replace('\n', " "));
            ExitCode::FAILURE
        }
    }
}

fn begin(parent: u32, instance: &Instance) -> Result<(Desk, UnixListener), String> {
    os::process::end_with_parent(parent).map_err(|why| why.to_string())?;
    let listener = std::io::stdin().as_fd().try_clone_to_owned().map_err(|why| why.to_string())?;
    let config = Config::load(instance).map_err(|why| why.to_string())?;
    let log = Log::open(NAME, NAME, LogSettings::from_config(&config, instance, NAME))
        .map_err(|why| format!("its log: {why}"))?;
    let told = load(instance, &config, &log);
    if let Err(why) = &told {
        log.critical(Category::General, format_args!("{why}"));
    }
    Ok((told?, listener.into()))
}

/// What a plug-in does while it is loaded it does confined, too.
fn load(instance: &Instance, config: &Config, log: &Log) -> Result<Desk, String> {
    let plugins = Plugins::load(instance, config)?;
    let level = Level::from_config(config);
    if os::process::own_uid() != 0 {
        os::privileges::give_up_capabilities().map_err(|why| format!("capabilities: {why}"))?;
    }
    let mut enforced = "not confined (local.sandbox)".to_owned();
    if level != Level::Off {
        os::privileges::gain_no_more().map_err(|why| format!("gain of rights: {why}"))?;
        let confined = os::sandbox::confine(&reach(instance, config, &plugins))
            .map_err(|why| format!("files: {why}"))?;
        enforced = format!("no gain of rights, {}", level.files(confined)?);
    }
    ffi::serve_plugins(config.clone(), log.clone());
    let watch = Watch::begin(host::timeout(config), log.clone()).map_err(|why| format!("threads: {why}"))?;
    let (mut messages, mut stack): (Vec<MessageModule>, Vec<ProtocolModule>) = (Vec::new(), Vec::new());
    for line in &plugins.lines {
        for library in &line.libraries {
            let call = watch.call();
            match line.stage {
                Stage::PreSmtpAccept => stack.push(ProtocolModule::load(library, line)?),
                Stage::PostSmtpAccept => messages.push(MessageModule::load(library, line)?),
            }
            drop(call);
            log.notice(Category::General, format_args!("{}: loaded {}", line.stage, library.display()));
        }
    }
    if level != Level::Off {
        let limited = os::syscalls::limit(&[os::syscalls::Deed::Serves]);
        let calls = level.calls(limited, |count| format!("system calls limited to the {count} of {NAME}"))?;
        enforced = format!("{enforced}, {calls}");
    }
    log.notice(Category::General, format_args!("Privileges of {NAME}: {enforced}"));
    Ok(Desk { messages, stacks: Stacks::new(stack), watch })
}

/// The libraries, and messages while they are looked at: neither the store nor the queue, nor the configuration with its keys.
fn reach(instance: &Instance, config: &Config, plugins: &Plugins) -> Reach {
    let mut read: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
    read.push(instance.root().join("plugins"));
    read.extend(plugins.lines.iter().flat_map(|line| line.libraries.iter().cloned()));
    read.extend(config.get(&local::SANDBOX_READ).iter().map(PathBuf::from));
    let log = LogSettings::from_config(config, instance, NAME).folder;
    let write = vec![host::folder(instance), log, PathBuf::from("/dev/null")];
    Reach { read, write, execute: Vec::new(), bind: Vec::new(), connect: None }
}

fn serve(desk: &Arc<Desk>, listener: &UnixListener) -> ExitCode {
    let count = Arc::new(AtomicUsize::new(0));
    loop {
        let Ok((stream, _)) = listener.accept() else {
            thread::sleep(std::time::Duration::from_millis(50)); // too many files; it passes
            continue;
        };
        if count.load(Ordering::Relaxed) >= CONNECTIONS_MAX {
            continue;
        }
        count.fetch_add(1, Ordering::Relaxed);
        let (desk, counted) = (desk.clone(), count.clone());
        let started = thread::Builder::new().name("connection".into()).spawn(move || {
            let _ = converse(&desk, stream); // its end, or nonsense: the connection closes
            counted.fetch_sub(1, Ordering::Relaxed);
        });
        if started.is_err() {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn converse(desk: &Desk, mut stream: UnixStream) -> std::io::Result<()> {
    loop {
        let frame = Frame::read(&mut stream)?;
        match frame.kind {
            b'M' => messages::show(desk, &frame).write(&mut stream)?,
            b'L' => desk.stacks.line(desk, &frame, &mut stream)?.write(&mut stream)?,
            b'F' => desk.stacks.forget(desk, frame.text(0).parse().unwrap_or(0)),
            _ => return Err(std::io::ErrorKind::InvalidData.into()),
        }
    }
}

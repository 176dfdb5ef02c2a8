//! The process apart: it does the deeds of deliveries outside of the store for an smtpd that may not.
//!
//! smtpd starts it before it becomes the server's user and confines itself, with one end of a socket as its standard
//! input. It keeps root's rights to become somebody else and to write in others' folders, and no other ([`confinement`]),
//! and says so in its first packet; smtpd logs that, for this process writes in no folder of the server's user. An order is one
//! packet with the message's descriptor and a socket for the answer; when that closes, the deed is not wanted any longer.
//! It ends when smtpd does, however that was, and what it runs ends with it.

mod confinement;
mod self_test;

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use dispatcher::privileges::Level;
use os::passing;
use server_config::{Config, Instance, server_user};
use server_log::{Category, Log};

use crate::deeds::{Deed, Done, perform};
use crate::local_settings::LocalSettings;
use crate::stages::prog_deliver::Outcome;

/// The argument that makes smtpd this process.
pub const ARGUMENT: &str = "--deliveries-apart";
/// An order or an answer, in bytes.
const PACKET_BYTES_MAX: usize = 64 * 1024;
/// Deeds at once; more wait in the socket.
const DEEDS_MAX: usize = 256;
/// How often it is asked whether an ordered deed is still wanted.
const ASK_INTERVAL: Duration = Duration::from_millis(200);
/// How long it may take to begin.
const BEGIN_MAX: Duration = Duration::from_secs(60);
/// The argument behind the instance that makes it try what it must not be able to do, with a folder that is none of ours.
const TRY: &str = "--try-privileges";
/// The same in a program that it runs for a user.
const TRY_AS_PROGRAM: &str = "--try-as-program";
/// signal(7)
const SIGTERM: i32 = 15;
/// One wait of the watch; it is told at once all the same.
const WATCH_INTERVAL: Duration = Duration::from_secs(60);

/// Ends smtpd, with a line in the log, when the process at the other end of the socket, which says nothing there, has ended
/// before: it cannot be begun again without the rights that were given up, and whoever supervises smtpd starts both anew.
///
/// # Errors
/// A thread cannot be started.
pub fn end_with(control: OwnedFd, what: &'static str, log: Log) -> std::io::Result<()> {
    thread::Builder::new().name("apart-watch".into()).spawn(move || {
        while !passing::wait(&control, WATCH_INTERVAL).unwrap_or(true) {}
        log.critical(Category::General, format_args!("{what} has ended; smtpd ends, to be started again"));
        let _ = os::process::kill(std::process::id(), SIGTERM);
    })?;
    Ok(())
}

/// smtpd's side.
#[derive(Debug)]
pub struct Apart {
    control: OwnedFd,
}

impl Apart {
    /// Starts the process.
    ///
    /// # Errors
    /// The system's, in one line.
    pub fn start(instance: &Instance) -> Result<Apart, String> {
        let told = |why: std::io::Error| format!("the process for deliveries apart cannot be started: {why}");
        let (control, theirs) = passing::pair().map_err(told)?;
        let program = std::env::current_exe().map_err(told)?;
        let root = std::path::absolute(instance.root()).map_err(told)?;
        let child = Command::new(program)
            .arg0("smtpd")
            .arg(ARGUMENT)
            .arg(root)
            .stdin(Stdio::from(theirs))
            .process_group(0) // a terminal's interrupt is smtpd's to obey
            .spawn()
            .map_err(told)?;
        drop(child); // it is never waited for: it ends after us
        Ok(Apart { control })
    }

    /// What it says of itself when it has begun: which layers are in force. To be asked once, before [`Apart::watch`].
    ///
    /// # Errors
    /// One line: it has ended, or what `local.sandbox` requires cannot be had.
    pub fn told(&self) -> Result<String, String> {
        let ended = || "the process for deliveries apart does not begin".to_owned();
        let begun =
            passing::receive_within(&self.control, PACKET_BYTES_MAX, BEGIN_MAX).map_err(|_| ended())?;
        let (packet, _) = begun.ok_or_else(ended)?;
        confinement::decode(&packet)
    }

    /// See [`end_with`].
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn watch(&self, log: Log) -> std::io::Result<()> {
        end_with(self.control.try_clone()?, "the process for deliveries apart", log)
    }

    /// Orders a deed and waits for what came of it.
    pub fn order(&self, deed: &Deed, message: &File, wanted: &dyn Fn() -> bool) -> Done {
        let packet = deed.encode();
        if packet.len() > PACKET_BYTES_MAX {
            return Outcome::Failed("5.3.5", "the account's program has too long a command".into()).into();
        }
        match self.try_order(&packet, message, wanted) {
            Ok(done) => done,
            Err(why) => {
                let outcome = Outcome::Later("the delivery could not be made now".into());
                Done::with(&format!("the process for deliveries apart does not answer: {why}"), outcome)
            }
        }
    }

    fn try_order(&self, packet: &[u8], message: &File, wanted: &dyn Fn() -> bool) -> std::io::Result<Done> {
        let (answer, theirs) = passing::pair()?;
        passing::send(&self.control, packet, &[message.as_fd(), theirs.as_fd()])?;
        drop(theirs);
        while !passing::wait(&answer, ASK_INTERVAL)? {
            if !wanted() {
                return Ok(Outcome::Later("it was ended because smtpd stops".into()).into());
            }
        }
        let ended = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        let (packet, _) = passing::receive(&answer, PACKET_BYTES_MAX)?.ok_or_else(ended)?;
        Done::decode(&packet).ok_or_else(ended)
    }
}

/// Runs the process apart until smtpd ends, or its self-test; `arguments` are those behind [`ARGUMENT`].
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.collect();
    let (instance, asked) = match arguments.as_slice() {
        [instance] => (instance, None),
        [instance, what, outside] => (instance, Some((what.to_str(), Path::new(outside)))),
        _ => return ExitCode::from(2),
    };
    if let Some((Some(TRY_AS_PROGRAM), outside)) = asked {
        return self_test::as_program(outside);
    }
    if os::privileges::leave_no_core().is_err() {
        return ExitCode::FAILURE;
    }
    let instance = Instance::new(Path::new(instance));
    let (settings, confined) = begin(&instance);
    match asked {
        None => {
            // An smtpd that is gone already is met at the first order.
            let _ = passing::send(std::io::stdin(), &confinement::encode(&confined), &[]);
            if confined.is_err() {
                return ExitCode::FAILURE;
            }
            serve_all(&Arc::new(settings))
        }
        Some((Some(TRY), outside)) => self_test::main(&instance, settings, confined, outside),
        Some(_) => ExitCode::from(2),
    }
}

/// What it goes by, or why it does nothing; and the layers that are in force, or why it ends.
fn begin(instance: &Instance) -> (Result<LocalSettings, String>, Result<String, String>) {
    let trusted = trusted(instance);
    let level = trusted.as_ref().map_or(Level::BestEffort, Level::from_config);
    let confined = confinement::confine(level);
    (trusted.map(|config| LocalSettings::from_config(&config)), confined)
}

/// The configuration, when it is root's where that matters.
fn trusted(instance: &Instance) -> Result<Config, String> {
    let config = Config::load(instance).map_err(|why| why.to_string())?;
    if os::process::own_uid() == 0 && server_user::numbers(&config)?.is_some() {
        check_owner(&instance.local_conf())?;
    }
    Ok(config)
}

/// Root does nothing by what the server's user could have written: an smtpd that was taken over would be root with it.
fn check_owner(path: &Path) -> Result<(), String> {
    let data = std::fs::metadata(path).map_err(|why| format!("{}: {why}", path.display()))?;
    if data.uid() == 0 && data.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(format!(
        "{} must belong to root and be writable by nobody else; until then no program is run and no native mailbox is written",
        path.display()
    ))
}

fn serve_all(settings: &Arc<Result<LocalSettings, String>>) -> ExitCode {
    let control = std::io::stdin();
    let busy: Arc<(Mutex<usize>, Condvar)> = Arc::default();
    loop {
        match passing::receive(&control, PACKET_BYTES_MAX) {
            Ok(Some((packet, descriptors))) => {
                take_seat(&busy);
                let (settings, seat) = (settings.clone(), busy.clone());
                // Without a thread the answer's socket closes, and the sender tries again.
                let _ = thread::Builder::new().name("deed".into()).spawn(move || {
                    serve(&settings, &packet, descriptors);
                    leave_seat(&seat);
                });
            }
            Ok(None) => return ExitCode::SUCCESS,
            Err(why) if why.kind() == std::io::ErrorKind::InvalidData => {}
            Err(_) => return ExitCode::FAILURE,
        }
    }
}

fn take_seat(busy: &(Mutex<usize>, Condvar)) {
    let seats = busy.0.lock().unwrap_or_else(PoisonError::into_inner);
    let full = |count: &mut usize| *count >= DEEDS_MAX;
    *busy.1.wait_while(seats, full).unwrap_or_else(PoisonError::into_inner) += 1;
}

fn leave_seat(busy: &(Mutex<usize>, Condvar)) {
    *busy.0.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
    busy.1.notify_one();
}

fn serve(settings: &Result<LocalSettings, String>, packet: &[u8], descriptors: Vec<OwnedFd>) {
    let Ok([message, answer]) = <[OwnedFd; 2]>::try_from(descriptors) else { return };
    let Some(deed) = Deed::decode(packet) else { return };
    // Nothing is ever sent to us there: it is readable when the other end is closed.
    let wanted = || !passing::wait(&answer, Duration::ZERO).unwrap_or(true);
    let done = match settings {
        Ok(settings) => perform(settings, &deed, &File::from(message), &wanted),
        Err(why) => Done::with(why, Outcome::Later("the delivery could not be made now".into())),
    };
    let _ = passing::send(&answer, &done.encode(), &[]);
}

//! Processes: limits, signals, workers that inherit sockets.

use std::ffi::OsString;
use std::io;
use std::os::fd::RawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

use crate::net::{LISTEN_FDS_START, WORKER_VARIABLE};

/// Raises the limit of open files to what the administrator allows; returns it.
///
/// # Errors
/// The system refuses.
pub fn raise_file_limit() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}

/// The user as whom we act (its effective number); 0 is root.
pub fn own_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// The number of the process that started this one.
pub fn parent() -> i32 {
    nix::unistd::getppid().as_raw()
}

/// Whether a process with this number exists (a zombie does).
pub fn is_running(pid: u32) -> bool {
    let Ok(pid) = i32::try_from(pid) else { return false };
    if pid <= 0 {
        return false;
    }
    !matches!(signal::kill(Pid::from_raw(pid), None), Err(Errno::ESRCH))
}

/// Sends a signal by its number (`libc`'s: 15 is SIGTERM).
///
/// # Errors
/// No such process, no right, or no such signal.
pub fn kill(pid: u32, number: i32) -> io::Result<()> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
    let pid = i32::try_from(pid).ok().filter(|pid| *pid > 0).ok_or_else(invalid)?;
    let signal = Signal::try_from(number)?;
    Ok(signal::kill(Pid::from_raw(pid), signal)?)
}

/// Has this process killed when the thread that started it ends, however that was.
///
/// # Errors
/// The system's; or that has ended already.
pub fn end_with_parent(parent: u32) -> io::Result<()> {
    nix::sys::prctl::set_pdeathsig(Some(Signal::SIGKILL))?;
    let now = u32::try_from(nix::unistd::getppid().as_raw()).unwrap_or(0);
    if now == parent { Ok(()) } else { Err(io::Error::other("the parent has ended")) }
}

/// Starts `program` as worker `number` with `listeners` as its descriptors from 3 on (`LISTEN_FDS`). The worker gets
/// SIGTERM when the calling thread ends, so it does not outlive its parent.
///
/// # Errors
/// The process cannot be started.
pub fn spawn_with_listeners(
    program: &Path,
    arguments: &[OsString],
    listeners: &[RawFd],
    number: usize,
) -> io::Result<Child> {
    let mut command = Command::new(program);
    command.args(arguments);
    command.env("LISTEN_FDS", listeners.len().to_string());
    command.env(WORKER_VARIABLE, number.to_string());
    command.env_remove("LISTEN_PID").env_remove("LISTEN_FDNAMES");
    let mut descriptors = listeners.to_vec();
    let parent = nix::unistd::getpid();
    // SAFETY: between fork and exec only async-signal-safe calls are made (fcntl, dup2, prctl, getppid, _exit), on
    // memory that was allocated before.
    unsafe {
        command.pre_exec(move || {
            die_with(parent)?;
            pass(&mut descriptors)
        });
    }
    command.spawn()
}

/// The calling thread, and no other, gives way to those that are less nice by so much (nice(2); Linux has it for each
/// thread).
///
/// # Errors
/// Whatever the system says; the thread goes on as before.
pub fn give_way(by: i32) -> io::Result<()> {
    // SAFETY: plain system calls on numbers; 0 is the calling thread.
    let done = unsafe {
        let nice = libc::getpriority(libc::PRIO_PROCESS, 0);
        libc::setpriority(libc::PRIO_PROCESS, 0, nice.saturating_add(by).min(19))
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// How many threads wanted to run in the last minute, on average, for each processor (sysinfo(2)); 0 when the system does
/// not say.
pub fn load() -> f64 {
    // SAFETY: all zeros is a value of this plain structure, and the call fills it in.
    let (done, info) = unsafe {
        let mut info: libc::sysinfo = std::mem::zeroed();
        (libc::sysinfo(&mut info), info)
    };
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    if done == 0 { info.loads[0] as f64 / 65_536.0 / processors as f64 } else { 0.0 }
}

/// In the child: asks for SIGTERM at the parent's death.
fn die_with(parent: Pid) -> io::Result<()> {
    nix::sys::prctl::set_pdeathsig(Some(Signal::SIGTERM))?;
    if nix::unistd::getppid() != parent {
        return Err(io::Error::from_raw_os_error(libc::ESRCH)); // it died in between
    }
    Ok(())
}

/// In the child: moves the descriptors to 3, 4, 5 .. without close-on-exec.
fn pass(descriptors: &mut [RawFd]) -> io::Result<()> {
    let past = LISTEN_FDS_START + descriptors.len() as RawFd;
    for fd in descriptors.iter_mut() {
        // SAFETY: plain system call on a number; an error is reported.
        *fd = unsafe { libc::fcntl(*fd, libc::F_DUPFD_CLOEXEC, past) };
        if *fd < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    for (target, fd) in (LISTEN_FDS_START..past).zip(descriptors.iter()) {
        // SAFETY: as above; the source was duplicated above every target.
        if unsafe { libc::dup2(*fd, target) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net;
    use std::net::SocketAddr;

    #[test]
    fn the_file_limit_is_at_its_ceiling_after_raising() {
        let limit = raise_file_limit().unwrap();
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap().0, limit);
    }

    #[test]
    fn this_process_runs_and_number_zero_does_not() {
        assert!(is_running(std::process::id()));
        assert!(!is_running(0));
        assert!(!is_running(u32::MAX));
        assert!(kill(0, 15).is_err());
    }

    #[test]
    fn a_worker_sees_its_listeners_from_descriptor_three() {
        let listener = net::listen(SocketAddr::from(([127, 0, 0, 1], 0)), 4).unwrap();
        let script = "test \"$LISTEN_FDS\" = 1 && test \"$MAILBOAT_WORKER\" = 7 && readlink /proc/self/fd/3 | grep -q socket";
        let arguments = [OsString::from("-c"), OsString::from(script)];
        let listeners = net::raw(std::slice::from_ref(&listener));
        let mut child = spawn_with_listeners(Path::new("/bin/sh"), &arguments, &listeners, 7).unwrap();
        assert!(child.wait().unwrap().success());
    }

    #[test]
    fn one_thread_gives_way_and_no_other() {
        // SAFETY: plain system call on numbers.
        let nice = || unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
        let before = nice();
        let other = std::thread::spawn(move || {
            give_way(3).unwrap();
            nice()
        });
        assert_eq!(other.join().unwrap(), (before + 3).min(19));
        assert_eq!(nice(), before);
    }
}

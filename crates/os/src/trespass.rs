//! What a program that was taken over would try with the system: each try says whether it was refused.
//!
//! They are for the self-test of confined daemons. Where nothing is confined they do no harm: what would change the system
//! is called with arguments that it takes for wrong, but only after it has let the caller in.

use std::io;

use libc::c_long;
use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::signal::kill;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork};

/// Tries everything. `victim` is a process of nobody's concern; it is stopped for a moment if that is not refused.
pub fn all(victim: i32) -> Vec<(&'static str, io::Result<()>)> {
    let (pid, own) = (Pid::from_raw(victim), nix::unistd::getpid().as_raw());
    vec![
        ("start a process", start_process()),
        ("attach to a process", attach(pid)),
        ("seize a process", seize(pid)),
        ("look into memory", look_into(own, true)),
        ("look into another's memory", look_into(victim, false)),
        ("signal a process", kill(pid, None).map_err(io::Error::from)),
        ("become root", crate::privileges::become_root()),
        ("unshare", crate::privileges::unshare()),
        ("mount", called(libc::SYS_mount, [0; 5])),
        ("read keys", called(libc::SYS_keyctl, [KEYCTL_GET_KEYRING_ID, SESSION_KEYRING, 0, 0, 0])),
        ("load a program into the kernel", called(libc::SYS_bpf, [0; 5])),
        ("load a module into the kernel", called(libc::SYS_delete_module, [0; 5])),
        ("set up a ring of orders", called(libc::SYS_io_uring_setup, [0; 5])),
        ("set the clock", called(libc::SYS_clock_settime, [0; 5])),
        ("make a socket of another family", called(libc::SYS_socket, [ALGORITHMS, STREAM, 0, 0, 0])),
        ("enter a namespace", called(libc::SYS_setns, [NO_DESCRIPTOR, 0, 0, 0, 0])),
        ("make a process in a namespace", called(libc::SYS_clone, [NO_PROCESS, 0, 0, 0, 0])),
        ("change the root folder", called(libc::SYS_chroot, [0; 5])),
        ("end swapping", called(libc::SYS_swapoff, [0; 5])),
        ("count the kernel's events", called(libc::SYS_perf_event_open, [0; 5])),
        ("open a file by its handle", called(libc::SYS_open_by_handle_at, [NO_DESCRIPTOR, 0, 0, 0, 0])),
        ("hold up page faults", called(libc::SYS_userfaultfd, [-1, 0, 0, 0, 0])),
        ("type into a terminal", called(libc::SYS_ioctl, [NO_DESCRIPTOR, TYPE_A_BYTE, 0, 0, 0])),
    ]
}

/// Tries the calls that some daemons have and others have not ([`crate::syscalls::Deed`]); nothing comes of them.
pub fn deeds() -> Vec<(&'static str, io::Result<()>)> {
    vec![
        ("listen", called(libc::SYS_listen, [NO_DESCRIPTOR, 1, 0, 0, 0])),
        ("watch files", called(libc::SYS_inotify_rm_watch, [NO_DESCRIPTOR, 0, 0, 0, 0])),
        ("set a mode", called(libc::SYS_fchmodat, [NO_DESCRIPTOR, 0, 0, 0, 0])),
        ("make a link", called(libc::SYS_symlinkat, [0, NO_DESCRIPTOR, 0, 0, 0])),
        ("execute", called(libc::SYS_execve, [0; 5])),
    ]
}

/// linux/keyctl.h
const KEYCTL_GET_KEYRING_ID: c_long = 0;
/// linux/keyctl.h: `KEY_SPEC_SESSION_KEYRING`, -3.
const SESSION_KEYRING: c_long = -3;
/// `AF_ALG`, the kernel's ciphers; `SOCK_SEQPACKET`.
const ALGORITHMS: c_long = 38;
const STREAM: c_long = 5;
const NO_DESCRIPTOR: c_long = -1;
/// Flags of clone(2) that contradict each other: `CLONE_NEWUSER` and `CLONE_FS`.
const NO_PROCESS: c_long = 0x1000_0000 | 0x200;
/// `TIOCSTI`
const TYPE_A_BYTE: c_long = 0x5412;

/// Refused is what EPERM answers; any other error is the call's own, so it could be made.
fn called(number: c_long, arguments: [c_long; 5]) -> io::Result<()> {
    let [a, b, c, d, e] = arguments;
    // SAFETY: the pointers among the arguments are null, which the kernel answers with an error; no memory of ours is
    // read or written. A socket or watch that it made would stay open until this process ends, soon.
    let done = unsafe { libc::syscall(number, a, b, c, d, e) };
    match Errno::last() {
        Errno::EPERM if done < 0 => Err(Errno::EPERM.into()),
        _ => Ok(()),
    }
}

fn start_process() -> io::Result<()> {
    // SAFETY: the child does nothing but end, by a call that is async-signal-safe.
    match unsafe { fork() }? {
        // SAFETY: as above.
        ForkResult::Child => unsafe { libc::_exit(0) },
        ForkResult::Parent { child } => Ok(waitpid(child, None).map(drop)?),
    }
}

/// `PTRACE_ATTACH`; the process is let go at once.
fn attach(pid: Pid) -> io::Result<()> {
    ptrace::attach(pid)?;
    let _ = waitpid(pid, None);
    Ok(ptrace::detach(pid, None)?)
}

/// `PTRACE_SEIZE`; the process goes on, and is let go when this one ends.
fn seize(pid: Pid) -> io::Result<()> {
    Ok(ptrace::seize(pid, ptrace::Options::empty())?)
}

/// Tries to read memory of a process, as who spies on another one does; of this one, only a limit of system calls
/// ([`crate::syscalls`]) forbids it. Of another it asks for what is nowhere, which is an error of its own.
fn look_into(pid: i32, is_own: bool) -> io::Result<()> {
    let (secret, mut seen) = (*b"secret", [0u8; 6]);
    let place = if is_own { secret.as_ptr().cast_mut().cast() } else { std::ptr::null_mut() };
    let from = libc::iovec { iov_base: place, iov_len: secret.len() };
    let to = libc::iovec { iov_base: seen.as_mut_ptr().cast(), iov_len: seen.len() };
    // SAFETY: one piece is read into `seen`, which is as long as `secret`; both live until the call is over.
    let read = unsafe { libc::process_vm_readv(pid, &raw const to, 1, &raw const from, 1, 0) };
    match Errno::last() {
        _ if read >= 0 => Ok(()),
        Errno::EFAULT if !is_own => Ok(()),
        why => Err(why.into()),
    }
}

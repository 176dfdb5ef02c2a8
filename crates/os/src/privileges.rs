//! Giving up what root may do, for good.
//!
//! All of this counts for the calling thread and what it starts; so it is done before there are other threads.

use std::io;

use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

/// linux/capability.h: version 3, two words of each set.
const CAPABILITY_VERSION: u32 = 0x2008_0522;
/// `CAP_NET_BIND_SERVICE`
const BIND_LOW_PORTS: u32 = 1 << 10;
/// `CAP_DAC_OVERRIDE`
const WRITE_ALL: u32 = 1 << 1;
/// `CAP_DAC_READ_SEARCH`
const READ_ALL: u32 = 1 << 2;

#[repr(C)]
struct Header {
    version: u32,
    pid: libc::c_int,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Words {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Root becomes `uid` with `gid` alone, and keeps of its rights only the one to ports below 1024, until
/// [`give_up_capabilities`].
///
/// # Errors
/// The system's; this process is then somebody in between and must end.
pub fn become_user(uid: u32, gid: u32) -> io::Result<()> {
    become_with(uid, gid, BIND_LOW_PORTS)
}

/// Root becomes `uid` with `gid` alone, and keeps of its rights only the one to read any file and any folder.
///
/// # Errors
/// As [`become_user`].
pub fn become_reader(uid: u32, gid: u32) -> io::Result<()> {
    become_with(uid, gid, READ_ALL)
}

/// Root becomes `uid` with `gid` alone, and keeps of its rights only those to read any file and to remove it.
///
/// # Errors
/// As [`become_user`].
pub fn become_remover(uid: u32, gid: u32) -> io::Result<()> {
    become_with(uid, gid, READ_ALL | WRITE_ALL)
}

fn become_with(uid: u32, gid: u32, kept: u32) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    setgroups(&[gid])?;
    nix::sys::prctl::set_keepcaps(true)?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)?;
    nix::sys::prctl::set_keepcaps(false)?;
    set_capabilities(kept & held()?.permitted)?; // in a container root has less
    if become_root().is_ok() {
        return Err(io::Error::other("root could be had back"));
    }
    Ok(())
}

/// Tries to be root again.
///
/// # Errors
/// As it should be.
pub fn become_root() -> io::Result<()> {
    let root = Uid::from_raw(0);
    Ok(setresuid(root, root, root)?)
}

/// What a process needs that runs programs as their users and writes native mailboxes: to give a new mailbox to its user, to
/// write in those of others, to end what it runs, and to become others. Bits and names of linux/capability.h.
const FOR_DELIVERIES: [(u32, &str); 5] =
    [(0, "chown"), (1, "dac_override"), (5, "kill"), (6, "setgid"), (7, "setuid")];

/// Root keeps the rights for deliveries, of those that it has, and no other; it has no supplementary groups any more, if it may
/// leave them. What it starts as root gets no more back. The names of those that were kept, and whether the groups were left.
///
/// # Errors
/// The system's.
pub fn keep_for_deliveries() -> io::Result<(Vec<&'static str>, bool)> {
    let wanted = FOR_DELIVERIES.iter().fold(0, |all, (bit, _)| all | 1 << bit);
    let has_left_groups = leave_groups()?;
    bound_capabilities(wanted)?;
    set_capabilities(wanted & held()?.permitted)?; // in a container root has less
    let kept = held()?.permitted;
    let kept = FOR_DELIVERIES.iter().filter(|(bit, _)| kept & 1 << bit != 0).map(|(_, name)| *name);
    Ok((kept.collect(), has_left_groups))
}

/// Whether no supplementary group is left. Who may not leave them (root of a container) may not become a user either.
fn leave_groups() -> io::Result<bool> {
    if nix::unistd::getgroups()?.is_empty() {
        return Ok(true);
    }
    match setgroups(&[]) {
        Ok(()) => Ok(true),
        Err(nix::errno::Errno::EPERM) => Ok(false),
        Err(why) => Err(why.into()),
    }
}

/// No more than `wanted` can be had by executing programs as root or set-user-id. Who may not set the bound (a service
/// manager did, or a container) keeps the one there is.
fn bound_capabilities(wanted: u32) -> io::Result<()> {
    for bit in (0..64u8).filter(|bit| *bit >= 32 || wanted & 1 << bit == 0) {
        // SAFETY: the call takes numbers.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(bit)) } != 0 {
            let why = io::Error::last_os_error();
            return match why.raw_os_error() {
                Some(libc::EPERM | libc::EINVAL) => Ok(()), // EINVAL: there are no more
                _ => Err(why),
            };
        }
    }
    Ok(())
}

/// No capability is left, effective or permitted.
///
/// # Errors
/// The system's.
pub fn give_up_capabilities() -> io::Result<()> {
    set_capabilities(0)
}

fn set_capabilities(set: u32) -> io::Result<()> {
    let header = Header { version: CAPABILITY_VERSION, pid: 0 };
    let words = [Words { effective: set, permitted: set, inheritable: 0 }, Words::default()];
    // SAFETY: the kernel reads one header and, in this version, two words of each set, and writes nothing.
    let done = unsafe { libc::syscall(libc::SYS_capset, &raw const header, words.as_ptr()) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The first word of each set.
fn held() -> io::Result<Words> {
    let header = Header { version: CAPABILITY_VERSION, pid: 0 };
    let mut words = [Words::default(); 2];
    // SAFETY: the kernel reads the header and writes two words of each set, for which there is room.
    let done = unsafe { libc::syscall(libc::SYS_capget, &raw const header, words.as_mut_ptr()) };
    if done == 0 { Ok(words[0]) } else { Err(io::Error::last_os_error()) }
}

/// No program that is started can gain rights (setuid, file capabilities).
///
/// # Errors
/// The system's.
pub fn gain_no_more() -> io::Result<()> {
    Ok(nix::sys::prctl::set_no_new_privs()?)
}

/// Nobody of the same user may look into this process, and it leaves no core.
///
/// # Errors
/// The system's.
pub fn hide_memory() -> io::Result<()> {
    Ok(nix::sys::prctl::set_dumpable(false)?)
}

/// This process, and what it starts, writes no core when it crashes: passwords are in its memory.
///
/// # Errors
/// The system's.
pub fn leave_no_core() -> io::Result<()> {
    use nix::sys::resource::{Resource, setrlimit};
    Ok(setrlimit(Resource::RLIMIT_CORE, 0, 0)?)
}

/// Tries unshare(2), the way into namespaces of one's own where the kernel's less tried parts are; of the working folder,
/// which anybody may who may call it at all.
///
/// # Errors
/// As it should be.
pub fn unshare() -> io::Result<()> {
    // SAFETY: the call changes only whether this thread's working folder is its own.
    let done = unsafe { libc::unshare(libc::CLONE_FS) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

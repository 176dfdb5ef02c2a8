//! Which system calls a process may make (seccomp). It counts for all threads of the process and what they start, and is
//! never taken back.
//!
//! There is a list for each daemon: what all of them need, and what it says that it does beside ([`Deed`]). The lists were
//! drawn up by reading and by strace(1) of the daemons under their tests; beside that stand the forms that other versions of
//! the C library and of OpenSSL use for the same.
//!
//! What is not listed is answered with EPERM, so a new version of the C library that tries something newer falls back or
//! fails with an error that is told, instead of dying; and the kernel's audit log has a line for it, where it keeps one. What
//! does not exist in this list's time (a newer kernel's calls) is refused like the rest: that is the point of a list of what
//! is allowed. Who runs programs for users has a list of another kind: [`programs`].

pub mod programs;

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Is, SeccompCondition as Condition,
    SeccompFilter, SeccompRule, TargetArch,
};

/// What a process does that not every one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It accepts connections.
    Serves,
    /// It is told when files change.
    WatchesFiles,
    /// It says by the mode of a file, its local socket, who may use it.
    SetsModes,
    /// It makes symbolic links.
    MakesLinks,
    /// It starts programs and looks after them.
    StartsPrograms,
}

impl Deed {
    fn calls(self) -> &'static [libc::c_long] {
        match self {
            Deed::Serves => &[libc::SYS_listen, libc::SYS_accept, libc::SYS_accept4],
            Deed::WatchesFiles => {
                &[libc::SYS_inotify_init1, libc::SYS_inotify_add_watch, libc::SYS_inotify_rm_watch]
            }
            #[cfg(target_arch = "x86_64")]
            Deed::SetsModes => &[libc::SYS_chmod, libc::SYS_fchmodat],
            #[cfg(not(target_arch = "x86_64"))]
            Deed::SetsModes => &[libc::SYS_fchmodat],
            #[cfg(target_arch = "x86_64")]
            Deed::MakesLinks => &[libc::SYS_symlink, libc::SYS_symlinkat],
            #[cfg(not(target_arch = "x86_64"))]
            Deed::MakesLinks => &[libc::SYS_symlinkat],
            Deed::StartsPrograms => PROGRAMS,
        }
    }
}

/// Files, within what Landlock and the user's rights leave.
const FILES: &[libc::c_long] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_preadv,
    libc::SYS_pwritev,
    libc::SYS_preadv2,
    libc::SYS_pwritev2,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_newfstatat,
    libc::SYS_fstat,
    libc::SYS_statx,
    libc::SYS_lseek,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_getdents64,
    libc::SYS_readlinkat,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_fchmod,
    libc::SYS_fchown,
    libc::SYS_utimensat,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_syncfs,
    libc::SYS_fadvise64,
    libc::SYS_copy_file_range,
    libc::SYS_sendfile,
    libc::SYS_flock,
    libc::SYS_fcntl,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_getcwd,
];

/// Memory, threads, time, and what a process may know and set of itself.
const ITSELF: &[libc::c_long] = &[
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_msync,
    libc::SYS_brk,
    libc::SYS_membarrier,
    libc::SYS_rseq,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_futex_waitv,
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getcpu,
    libc::SYS_getpriority,
    libc::SYS_gettid,
    libc::SYS_getppid,
    libc::SYS_getpid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getgroups,
    libc::SYS_getresuid,
    libc::SYS_getresgid,
    libc::SYS_capget,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_prctl,
    libc::SYS_getrusage,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
];

/// Sockets, but for making and accepting them, and waiting.
const SOCKETS: &[libc::c_long] = &[
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_setsockopt,
    libc::SYS_getsockopt,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_shutdown,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_eventfd2,
    libc::SYS_pipe2,
];

/// The older forms of the calls above, which the processor still has.
#[cfg(target_arch = "x86_64")]
const OLDER: &[libc::c_long] = &[
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_link,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_epoll_create,
    libc::SYS_epoll_wait,
    libc::SYS_eventfd,
    libc::SYS_time,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[libc::c_long] = &[38]; // renameat(2), by which the C library renames there; `libc` has no name for it

/// For who starts programs. These give up rights themselves, by the calls that only take away: a worker process begins with
/// its parent's list.
const PROGRAMS: &[libc::c_long] = &[
    libc::SYS_kill,
    libc::SYS_tgkill,
    libc::SYS_prlimit64,
    libc::SYS_set_tid_address,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_arch_prctl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_dup2,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
    libc::SYS_rt_sigsuspend,
    libc::SYS_chdir,
    libc::SYS_umask,
    libc::SYS_execve,
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_setsid,
    libc::SYS_setpgid,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_send_signal,
    libc::SYS_capset,
    libc::SYS_landlock_create_ruleset,
    libc::SYS_landlock_add_rule,
    libc::SYS_landlock_restrict_self,
    libc::SYS_seccomp,
];

/// The families of sockets that may be made. Netlink, of addresses and routes alone, is how the C library asks which
/// addresses this host has before it looks up a name.
const FAMILIES: [libc::c_int; 3] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6];

/// What may be asked of an open file or socket (ioctl(2)): to block or not, to be closed by execve(2), how much can be read,
/// whether it is a terminal (`TCGETS2` in newer C libraries), and the number and name of a network interface.
const ASKED: [u64; 9] = [0x5421, 0x5451, 0x5450, 0x541b, 0x5401, 0x802c_542a, 0x5413, 0x8933, 0x8910];

/// The flags of clone(2) that make namespaces, where the kernel's less tried parts are.
const NAMESPACES: libc::c_int = libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Limits this process, with all its threads, to what all need and what `deeds` need, and says how many calls that are.
/// Rights must not be gained any more ([`crate::privileges::gain_no_more`]).
///
/// # Errors
/// The kernel has no seccomp, or refused; not all is limited then.
pub fn limit(deeds: &[Deed]) -> io::Result<usize> {
    let told = |why: seccompiler::BackendError| io::Error::other(why.to_string());
    // It goes first: the other one forbids installing. Of two errors the later filter's would be answered, so that one
    // lets clone3(2) pass.
    install(&without_clone3().map_err(told)?, 0)?;
    let rules = rules(deeds).map_err(told)?;
    let calls = rules.len();
    let program = compile(rules, libc::EPERM, Outside::IsRefused).map_err(told)?;
    // Before Linux 4.14 what is refused was not logged.
    install(&program, libc::SECCOMP_FILTER_FLAG_LOG).or_else(|_| install(&program, 0))?;
    Ok(calls)
}

/// What a filter does with calls that its rules do not name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outside {
    IsRefused,
    IsAllowed,
}

fn compile(rules: Rules, errno: i32, outside: Outside) -> Result<BpfProgram, seccompiler::BackendError> {
    let refused = SeccompAction::Errno(errno.unsigned_abs());
    let (mismatch, matched) = match outside {
        Outside::IsRefused => (refused, SeccompAction::Allow),
        Outside::IsAllowed => (SeccompAction::Allow, refused),
    };
    let architecture: TargetArch = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, mismatch, matched, architecture)?.try_into()
}

/// clone3(2) hands its flags over in memory, where no filter sees them; the C library falls back to clone(2) when there is
/// no such call.
fn without_clone3() -> Result<BpfProgram, seccompiler::BackendError> {
    compile(BTreeMap::from([(libc::SYS_clone3, Vec::new())]), libc::ENOSYS, Outside::IsAllowed)
}

fn rules(deeds: &[Deed]) -> Result<Rules, seccompiler::BackendError> {
    let mut rules = conditional()?;
    let all = [FILES, ITSELF, SOCKETS, OLDER].concat();
    for call in all.iter().chain(deeds.iter().flat_map(|deed| deed.calls())) {
        rules.insert(*call, Vec::new()); // whatever the arguments
    }
    rules.insert(libc::SYS_clone3, Vec::new()); // to be answered by `without_clone3`
    rules.insert(libc::SYS_clone, vec![processes(deeds.contains(&Deed::StartsPrograms))?]);
    Ok(rules)
}

/// The calls that are allowed with some arguments only. What it may do to a process, it may do to itself.
fn conditional() -> Result<Rules, seccompiler::BackendError> {
    let mut rules: Rules = BTreeMap::new();
    let is = |argument: u8, value: u64| Condition::new(argument, Length::Dword, Is::Eq, value);
    let family = |family: libc::c_int| is(0, u64::from(family.unsigned_abs()));
    let mut families = Vec::new();
    for each in FAMILIES {
        families.push(SeccompRule::new(vec![family(each)?])?);
    }
    families.push(SeccompRule::new(vec![family(libc::AF_NETLINK)?, is(2, 0)?])?); // NETLINK_ROUTE
    rules.insert(libc::SYS_socket, families);
    rules.insert(libc::SYS_socketpair, vec![SeccompRule::new(vec![family(libc::AF_UNIX)?])?]);
    let asked = ASKED.iter().map(|what| SeccompRule::new(vec![is(1, *what)?]));
    rules.insert(libc::SYS_ioctl, asked.collect::<Result<_, _>>()?);
    let own = u64::from(std::process::id());
    for call in [libc::SYS_kill, libc::SYS_tgkill] {
        rules.insert(call, vec![SeccompRule::new(vec![is(0, own)?])?]);
    }
    let limits = [SeccompRule::new(vec![is(0, 0)?])?, SeccompRule::new(vec![is(0, own)?])?];
    rules.insert(libc::SYS_prlimit64, limits.into());
    rules.insert(libc::SYS_setpriority, vec![SeccompRule::new(vec![is(0, 0)?, is(1, 0)?])?]); // this thread
    Ok(rules)
}

/// What clone(2) may make: threads, or processes too; no namespaces.
fn processes(too: bool) -> Result<SeccompRule, seccompiler::BackendError> {
    let flag = |flags: libc::c_int| u64::from(flags.unsigned_abs());
    let (seen, wanted) = match too {
        true => (flag(NAMESPACES), 0),
        false => (flag(NAMESPACES | libc::CLONE_THREAD), flag(libc::CLONE_THREAD)),
    };
    SeccompRule::new(vec![Condition::new(0, Length::Qword, Is::MaskedEq(seen), wanted)?])
}

/// All threads get the filter, or none.
fn install(program: &BpfProgram, flags: libc::c_ulong) -> io::Result<()> {
    set(program, flags | libc::SECCOMP_FILTER_FLAG_TSYNC)
}

/// This thread gets the filter.
fn set(program: &BpfProgram, flags: libc::c_ulong) -> io::Result<()> {
    let count = u16::try_from(program.len()).map_err(|_| io::Error::other("the filter is too long"))?;
    let program = libc::sock_fprog { len: count, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: the kernel reads `len` instructions, which are laid out as its own, and writes nothing; they live until the
    // call is over.
    let done =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    match done {
        0 => Ok(()),
        thread if thread > 0 => Err(io::Error::other(format!("thread {thread} has another filter"))),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ALL: [Deed; 5] =
        [Deed::Serves, Deed::WatchesFiles, Deed::SetsModes, Deed::MakesLinks, Deed::StartsPrograms];

    /// The kernel takes 4096 instructions (BPF_MAXINSNS), and each costs time at each call.
    #[test]
    fn the_filters_are_small() {
        for deeds in [&ALL[..0], &ALL] {
            let program = compile(rules(deeds).unwrap(), libc::EPERM, Outside::IsRefused).unwrap();
            assert!(program.len() < 1_200, "{} instructions", program.len());
        }
    }

    /// What a deed needs, nobody has who does not do it; and nobody has what no daemon has any business with.
    #[test]
    fn each_deed_has_its_calls_alone() {
        let without = |deed: Deed| {
            let others: Vec<Deed> = ALL.into_iter().filter(|other| *other != deed).collect();
            rules(&others).unwrap()
        };
        for deed in ALL {
            let (with, without) = (rules(&[deed]).unwrap(), without(deed));
            for call in deed.calls() {
                assert!(with[call].is_empty(), "{deed:?} {call}: whatever the arguments");
                let limited = without.get(call).is_none_or(|rules| !rules.is_empty());
                assert!(limited, "{deed:?} {call}");
            }
        }
        let foreign = [
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_mount,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_keyctl,
            libc::SYS_bpf,
            libc::SYS_io_uring_setup,
            libc::SYS_perf_event_open,
            libc::SYS_init_module,
            libc::SYS_clock_settime,
            libc::SYS_setuid,
            libc::SYS_memfd_create,
        ];
        let all = rules(&ALL).unwrap();
        assert!(foreign.iter().all(|call| !all.contains_key(call)));
        // What the C library does not do without.
        let needed =
            [libc::SYS_getrandom, libc::SYS_rseq, libc::SYS_clone, libc::SYS_futex_waitv, libc::SYS_statx];
        let least = rules(&[]).unwrap();
        assert!(needed.iter().all(|call| least.contains_key(call)));
    }
}

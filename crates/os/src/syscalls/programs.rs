//! The calls that are refused to a process which runs programs for users, and to those programs: they inherit it, and
//! nobody takes it back.
//!
//! A list of what is refused and not of what is allowed, for nobody knows what a user's program needs: what changes the
//! system, what looks into others' processes, and the parts of the kernel that are tried least. The groups are those of
//! systemd.exec(5), "System Call Filtering"; changing identity is not among them, which is the process's business and
//! nothing to who has no rights. They are answered with EPERM, and the kernel's audit log has a line for it, where it
//! keeps one. Calls that are newer than the list, and the x32 forms of all, are answered as a kernel does that has none: with
//! ENOSYS, on which programs take the older way. Programs for another processor (32 bits) are ended at their first call.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompCmpArgLen as Length, SeccompCmpOp as Is, SeccompCondition as Condition, SeccompRule,
    sock_filter,
};

use super::{FAMILIES, NAMESPACES, Outside, Rules, compile, install, without_clone3};

/// Refused whatever the arguments.
const REFUSED: &[&[libc::c_long]] = &[
    LOOKING,
    MOUNTS,
    MODULES,
    CLOCKS,
    KEYS,
    RINGS,
    SYSTEM,
    PROCESSOR,
    // Namespaces; see also clone(2) below.
    &[libc::SYS_unshare, libc::SYS_setns],
];

/// @debug, and others' memory and descriptors.
const LOOKING: &[libc::c_long] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_perf_event_open,
    libc::SYS_lookup_dcookie,
];

/// @mount, @swap
const MOUNTS: &[libc::c_long] = &[
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_open_tree,
    OPEN_TREE_ATTR,
    libc::SYS_move_mount,
    libc::SYS_mount_setattr,
    libc::SYS_swapon,
    libc::SYS_swapoff,
];
/// open_tree_attr(2), the same on all processors; `libc` has no name for it.
const OPEN_TREE_ATTR: libc::c_long = 467;

/// @module, @reboot, and programs in the kernel.
const MODULES: &[libc::c_long] = &[
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_bpf,
];

/// @clock
const CLOCKS: &[libc::c_long] =
    &[libc::SYS_clock_settime, libc::SYS_settimeofday, libc::SYS_clock_adjtime, libc::SYS_adjtimex];

/// @keyring
const KEYS: &[libc::c_long] = &[libc::SYS_add_key, libc::SYS_request_key, libc::SYS_keyctl];

/// Orders to the kernel out of a filter's sight, and page faults in a program's hands, which hold the kernel up where
/// who attacks it wants.
const RINGS: &[libc::c_long] =
    &[libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register, libc::SYS_userfaultfd];

/// @privileged, but for identity and owners.
const SYSTEM: &[libc::c_long] = &[
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_fanotify_init,
    libc::SYS_open_by_handle_at,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_nfsservctl,
];

/// @raw-io, @cpu-emulation, @obsolete
#[cfg(target_arch = "x86_64")]
const PROCESSOR: &[libc::c_long] = &[
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
    libc::SYS_ustat,
    libc::SYS__sysctl,
];
#[cfg(not(target_arch = "x86_64"))]
const PROCESSOR: &[libc::c_long] = &[];

/// The last call that was looked at (Linux 6.19); numbers are the same on all processors there.
const LAST: u32 = 470;

/// `TIOCSTI` and `TIOCLINUX`: typing into a terminal in its user's place, root's perhaps who started the server.
const TYPED: [u64; 2] = [0x5412, 0x541c];

/// Refuses them to this process, with all its threads, and to all that it starts, and says how many calls that are (some
/// of them with some arguments only). Rights must not be gained any more ([`crate::privileges::gain_no_more`]).
///
/// # Errors
/// The kernel has no seccomp, or refused; not all is refused then.
pub fn limit() -> io::Result<usize> {
    let (filter, calls) = refusing()?;
    install(&without_clone3().map_err(told)?, 0)?;
    install(&without_newer_than(LAST), 0)?;
    install(&filter, libc::SECCOMP_FILTER_FLAG_LOG).or_else(|_| install(&filter, 0))?;
    Ok(calls)
}

fn told(why: seccompiler::BackendError) -> io::Error {
    io::Error::other(why.to_string())
}

fn refusing() -> io::Result<(BpfProgram, usize)> {
    let rules = rules().map_err(told)?;
    let calls = rules.len();
    Ok((compile(rules, libc::EPERM, Outside::IsAllowed).map_err(told)?, calls))
}

fn rules() -> Result<Rules, seccompiler::BackendError> {
    let mut rules: Rules = BTreeMap::new();
    for call in REFUSED.iter().copied().flatten() {
        rules.insert(*call, Vec::new());
    }
    let flags = (0..32).map(|bit| 1 << bit).filter(|flag| NAMESPACES & flag != 0);
    let with = |flag: libc::c_int| {
        let flag = u64::from(flag.unsigned_abs());
        SeccompRule::new(vec![Condition::new(0, Length::Qword, Is::MaskedEq(flag), flag)?])
    };
    rules.insert(libc::SYS_clone, flags.map(with).collect::<Result<_, _>>()?);
    rules.insert(libc::SYS_socket, foreign_sockets()?);
    rules.insert(libc::SYS_socketpair, foreign_sockets()?);
    let typed =
        TYPED.iter().map(|what| SeccompRule::new(vec![Condition::new(1, Length::Dword, Is::Eq, *what)?]));
    rules.insert(libc::SYS_ioctl, typed.collect::<Result<_, _>>()?);
    Ok(rules)
}

/// Those of no family that daemons have either: the rest of the kernel's protocols is loaded as modules when it is asked for.
fn foreign_sockets() -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let number = |family: libc::c_int| u64::from(family.unsigned_abs());
    let is_not = |family| Condition::new(0, Length::Dword, Is::Ne, number(family));
    let mut others = vec![is_not(libc::AF_NETLINK)?];
    for family in FAMILIES {
        others.push(is_not(family)?);
    }
    let netlink = Condition::new(0, Length::Dword, Is::Eq, number(libc::AF_NETLINK))?;
    let not_of_routes = Condition::new(2, Length::Dword, Is::Ne, 0)?; // NETLINK_ROUTE
    Ok(vec![SeccompRule::new(others)?, SeccompRule::new(vec![netlink, not_of_routes])?])
}

/// Whatever has a higher number is answered with ENOSYS. `seccompiler` knows no ranges of calls.
fn without_newer_than(last: u32) -> BpfProgram {
    const LOAD_WORD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS; of seccomp_data, whose first word is the call's number
    const JUMP_IF_GREATER: u16 = 0x25; // BPF_JMP | BPF_JGT | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    let plain = |code, k| sock_filter { code, jt: 0, jf: 0, k };
    vec![
        plain(LOAD_WORD, 0),
        sock_filter { code: JUMP_IF_GREATER, jt: 0, jf: 1, k: last },
        plain(RETURN, libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs()),
        plain(RETURN, libc::SECCOMP_RET_ALLOW),
    ]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::syscalls::set;
    use nix::errno::Errno;

    /// A call, its arguments, and what it answers.
    type Try = (libc::c_long, [libc::c_long; 3], Errno);

    /// The first that was answered otherwise, with its answer, in a thread of its own behind `filters`.
    fn first_wrong(filters: &[BpfProgram], tries: &[Try]) -> Option<(Try, Errno)> {
        let behind_them = || {
            nix::sys::prctl::set_no_new_privs().unwrap();
            filters.iter().for_each(|filter| set(filter, 0).unwrap());
            tries.iter().find_map(|(call, [a, b, c], wanted)| {
                // SAFETY: no pointer among the arguments but null; the answers are errors.
                let done = unsafe { libc::syscall(*call, *a, *b, *c, 0, 0) };
                let answer = if done < 0 { Errno::last() } else { Errno::from_raw(0) };
                (answer != *wanted).then_some(((*call, [*a, *b, *c], *wanted), answer))
            })
        };
        std::thread::scope(|scope| scope.spawn(behind_them).join().unwrap())
    }

    /// Without the list these are answered otherwise, even to who has no rights: by EFAULT, EBADF or EINVAL.
    #[test]
    fn what_programs_have_no_business_with_is_refused_and_the_rest_is_not() {
        let filters = [without_clone3().unwrap(), without_newer_than(LAST), refusing().unwrap().0];
        let clone = |flags: libc::c_int| (libc::SYS_clone, [libc::c_long::from(flags), 0, 0]);
        let with = |(call, arguments), answer| (call, arguments, answer);
        let tries = [
            (libc::SYS_mount, [0; 3], Errno::EPERM),
            (libc::SYS_unshare, [libc::CLONE_FS.into(), 0, 0], Errno::EPERM),
            (libc::SYS_setns, [-1, 0, 0], Errno::EPERM),
            (libc::SYS_process_vm_readv, [0; 3], Errno::EPERM),
            (libc::SYS_ptrace, [-1, 0, 0], Errno::EPERM),
            (libc::SYS_keyctl, [-1, 0, 0], Errno::EPERM),
            (libc::SYS_ioctl, [-1, 0x5412, 0], Errno::EPERM),
            // The upper half of the word is nothing to the kernel.
            (libc::SYS_ioctl, [-1, 0x1_0000_5412, 0], Errno::EPERM),
            (libc::SYS_ioctl, [-1, 0x5413, 0], Errno::EBADF),
            // No process comes of them: both together are no valid flags.
            with(clone(libc::CLONE_NEWUSER | libc::CLONE_FS), Errno::EPERM),
            with(clone(libc::CLONE_NEWNS | libc::CLONE_FS), Errno::EPERM),
            with(clone(libc::CLONE_THREAD), Errno::EINVAL),
            (libc::SYS_clone3, [0; 3], Errno::ENOSYS),
            (libc::SYS_socket, [libc::AF_ALG.into(), 5, 0], Errno::EPERM),
            (libc::SYS_socket, [libc::AF_NETLINK.into(), 3, 9], Errno::EPERM),
            (libc::SYS_socket, [libc::AF_UNIX.into(), 99, 0], Errno::EINVAL),
            (libc::SYS_socket, [libc::AF_INET.into(), 99, 0], Errno::EINVAL),
            (libc::SYS_socketpair, [libc::AF_VSOCK.into(), 1, 0], Errno::EPERM),
            (libc::SYS_openat, [-1, 0, 0], Errno::EFAULT),
            (libc::SYS_execve, [0; 3], Errno::EFAULT),
            (libc::SYS_mknodat, [-1, 0, 0], Errno::EFAULT),
        ];
        assert_eq!(first_wrong(&filters, &tries), None);
    }

    #[test]
    fn what_is_newer_is_not_there() {
        let (random, nothing) = (libc::SYS_getrandom, [0, 0, -1]);
        let before = u32::try_from(random).unwrap() - 1;
        assert_eq!(first_wrong(&[without_newer_than(before)], &[(random, nothing, Errno::ENOSYS)]), None);
        assert_eq!(first_wrong(&[without_newer_than(before + 1)], &[(random, nothing, Errno::EINVAL)]), None);
        assert!(REFUSED.iter().copied().flatten().all(|call| *call <= LAST.into()));
    }

    /// What a process must be able to do that becomes a user and runs a program for them.
    #[test]
    fn a_process_can_become_a_user_and_run_their_program() {
        let rules = rules().unwrap();
        let needed = [
            libc::SYS_setuid,
            libc::SYS_setgid,
            libc::SYS_setgroups,
            libc::SYS_setresuid,
            libc::SYS_fchown,
            libc::SYS_kill,
            libc::SYS_pidfd_open,
            libc::SYS_execve,
            libc::SYS_prlimit64,
            libc::SYS_prctl,
            libc::SYS_seccomp,
            libc::SYS_memfd_create,
            libc::SYS_personality,
        ];
        assert!(needed.iter().all(|call| !rules.contains_key(call)));
    }
}

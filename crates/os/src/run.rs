//! Running a program that is not trusted: input, bounded output, limits, and an end for it and all its children.
//!
//! The program gets a process group, a clean environment and no descriptors but its standard ones; it dies with the
//! thread that called [`run`]. Whatever is left of its group is killed when it ends or when its time is over. What
//! calls `setsid` leaves the group and is not found.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

/// Bytes handed to the program in one write.
const CHUNK_BYTES: usize = 64 * 1024;
/// How often a waiting caller is asked whether it still wants the program.
const ASK_INTERVAL: Duration = Duration::from_millis(200);

/// What a program may use; more ends in an error or a signal of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub cpu_seconds: u64,
    /// What each process may write to: heap and private mappings. Space that is only reserved does not count.
    pub memory_bytes: u64,
    /// Of each file that it writes.
    pub file_bytes: u64,
    pub open_files: u64,
    /// Processes of the program's user; nothing for no limit.
    pub processes: Option<u64>,
}

/// A program to be run.
#[derive(Clone, Debug)]
pub struct Program {
    pub path: PathBuf,
    /// Behind its name.
    pub arguments: Vec<OsString>,
    /// All there is.
    pub environment: Vec<(OsString, OsString)>,
    pub folder: PathBuf,
    /// uid and gid; supplementary groups are dropped. Nothing to stay who we are.
    pub identity: Option<(u32, u32)>,
    pub limits: Limits,
    pub timeout: Duration,
    /// What is kept of the output; the rest is read and forgotten.
    pub output_bytes_max: usize,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Exit(ExitStatus),
    /// Its time was over, and it was killed.
    TimedOut,
    /// The caller did not want it any longer, and it was killed.
    Unwanted,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    pub end: End,
    /// The first bytes of its standard output and error.
    pub output: Vec<u8>,
}

/// Runs a program to its end with `input` on its standard input. A program that does not read all of it is none the
/// worse for it. `wanted` is asked now and then while it runs.
///
/// # Errors
/// It cannot be started, or the input cannot be read (the program is killed then).
pub fn run(program: &Program, input: &mut dyn Read, wanted: &dyn Fn() -> bool) -> io::Result<Ran> {
    let (their_input, our_input) = pipe()?;
    let (our_output, their_output) = pipe()?;
    set_nonblocking(&our_input)?;
    set_nonblocking(&our_output)?;
    let child = spawn(program, their_input, their_output)?;
    let pid = i32::try_from(child.id()).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut running = Running { pid: Pid::from_raw(pid), child, reaped: false };
    let exited = pid_descriptor(running.pid)?;
    let deadline = Instant::now() + program.timeout;
    let mut feed = Feed { pipe: Some(our_input), chunk: Vec::new(), sent: 0 };
    let mut output = Output { pipe: Some(our_output), kept: Vec::new(), most: program.output_bytes_max };
    let end = loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break End::TimedOut;
        }
        if !wanted() {
            break End::Unwanted;
        }
        let ready = wait(&exited, &feed, &output, left.min(ASK_INTERVAL))?;
        if ready.output {
            output.take()?;
        }
        if ready.input {
            feed.give(input)?;
        }
        if ready.exited {
            break End::Exit(running.reap()?);
        }
    };
    running.end();
    output.take()?;
    Ok(Ran { end, output: output.kept })
}

/// A child that does not outlive its scope.
struct Running {
    pid: Pid,
    child: Child,
    reaped: bool,
}

impl Running {
    /// Kills what is left of the group while its number is still taken, then takes the status.
    fn reap(&mut self) -> io::Result<ExitStatus> {
        let _ = signal::killpg(self.pid, Signal::SIGKILL);
        self.reaped = true;
        self.child.wait()
    }

    fn end(&mut self) {
        if !self.reaped {
            let _ = self.reap();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// The reading end and the writing end.
fn pipe() -> io::Result<(File, File)> {
    let (reading, writing) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    Ok((reading.into(), writing.into()))
}

fn spawn(program: &Program, input: File, output: File) -> io::Result<Child> {
    let mut command = Command::new(&program.path);
    command.args(&program.arguments).env_clear().current_dir(&program.folder).process_group(0);
    command.envs(program.environment.iter().map(|(name, value)| (name, value)));
    command.stdin(input).stderr(Stdio::from(output.try_clone()?)).stdout(output);
    if let Some((uid, gid)) = program.identity {
        command.uid(uid).gid(gid); // with a uid, std drops the supplementary groups of root
    }
    let limits = program.limits;
    let parent = nix::unistd::getpid();
    // SAFETY: between fork and exec only async-signal-safe calls are made (setrlimit, umask, close_range, prctl,
    // getppid), on values that were copied before.
    unsafe {
        command.pre_exec(move || confine(limits, parent));
    }
    command.spawn()
}

/// In the child, behind the change of identity.
fn confine(limits: Limits, parent: Pid) -> io::Result<()> {
    use nix::sys::resource::{Resource, setrlimit};
    let mut wanted = [
        (Resource::RLIMIT_CPU, Some(limits.cpu_seconds)),
        (Resource::RLIMIT_DATA, Some(limits.memory_bytes)),
        (Resource::RLIMIT_FSIZE, Some(limits.file_bytes)),
        (Resource::RLIMIT_NOFILE, Some(limits.open_files)),
        (Resource::RLIMIT_NPROC, limits.processes),
        (Resource::RLIMIT_CORE, Some(0)),
    ];
    for (resource, most) in &mut wanted {
        if let Some(most) = *most {
            // What the administrator set lower stays.
            let (_, hard) = nix::sys::resource::getrlimit(*resource)?;
            setrlimit(*resource, most.min(hard), most.min(hard))?;
        }
    }
    // SAFETY: plain system calls on numbers. close_range only marks; a kernel without it has descriptors that were
    // opened close-on-exec already.
    unsafe {
        libc::umask(0o077);
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
    }
    nix::sys::prctl::set_pdeathsig(Some(Signal::SIGKILL))?;
    if nix::unistd::getppid() != parent {
        return Err(io::Error::from_raw_os_error(libc::ESRCH)); // it died in between
    }
    Ok(())
}

/// A descriptor that is readable when the process has ended.
fn pid_descriptor(pid: Pid) -> io::Result<OwnedFd> {
    // SAFETY: the call takes numbers and returns a new descriptor, close-on-exec, or an error.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
    let fd = i32::try_from(fd).map_err(|_| io::ErrorKind::InvalidData)?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was just opened, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn set_nonblocking(pipe: &impl AsFd) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(pipe, FcntlArg::F_GETFL)?);
    fcntl(pipe, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

#[derive(Default)]
struct Ready {
    exited: bool,
    input: bool,
    output: bool,
}

fn wait(exited: &OwnedFd, feed: &Feed, output: &Output, longest: Duration) -> io::Result<Ready> {
    let mut watched = vec![PollFd::new(exited.as_fd(), PollFlags::POLLIN)];
    let descriptors = [
        feed.pipe.as_ref().map(|pipe| (pipe.as_fd(), PollFlags::POLLOUT)),
        output.pipe.as_ref().map(|pipe| (pipe.as_fd(), PollFlags::POLLIN)),
    ];
    watched.extend(descriptors.into_iter().flatten().map(|(fd, events)| PollFd::new(fd, events)));
    let milliseconds = u16::try_from(longest.as_millis()).unwrap_or(u16::MAX).max(1);
    match poll(&mut watched, PollTimeout::from(milliseconds)) {
        Ok(_) => {}
        Err(Errno::EINTR) => return Ok(Ready::default()),
        Err(error) => return Err(error.into()),
    }
    let any = |fd: i32| watched.iter().any(|one| one.as_fd().as_raw_fd() == fd && one.any() == Some(true));
    Ok(Ready {
        exited: any(exited.as_raw_fd()),
        input: feed.pipe.as_ref().is_some_and(|pipe| any(pipe.as_raw_fd())),
        output: output.pipe.as_ref().is_some_and(|pipe| any(pipe.as_raw_fd())),
    })
}

/// What the program is still to be given.
struct Feed {
    pipe: Option<File>,
    chunk: Vec<u8>,
    sent: usize,
}

impl Feed {
    /// As much as fits now. At the end of the input, or when nobody reads any more, the pipe is closed.
    fn give(&mut self, input: &mut dyn Read) -> io::Result<()> {
        while let Some(pipe) = self.pipe.as_mut() {
            if self.sent == self.chunk.len() {
                self.chunk.resize(CHUNK_BYTES, 0);
                let length = input.read(&mut self.chunk)?;
                self.chunk.truncate(length);
                self.sent = 0;
                if length == 0 {
                    self.pipe = None;
                    return Ok(());
                }
            }
            match pipe.write(&self.chunk[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.pipe = None,
            }
        }
        Ok(())
    }
}

/// What the program says.
struct Output {
    pipe: Option<File>,
    kept: Vec<u8>,
    most: usize,
}

impl Output {
    /// What there is now; one pipe full at most, so that the time is looked at again.
    fn take(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        for _ in 0..16 {
            let Some(pipe) = self.pipe.as_mut() else { return Ok(()) };
            match pipe.read(&mut buffer) {
                Ok(0) => self.pipe = None,
                Ok(count) => {
                    let room = self.most.saturating_sub(self.kept.len());
                    self.kept.extend_from_slice(&buffer[..count.min(room)]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Program {
        Program {
            path: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: vec![("WHO".into(), "us".into())],
            folder: "/".into(),
            identity: None,
            limits: Limits {
                cpu_seconds: 5,
                memory_bytes: 1 << 30,
                file_bytes: 1 << 20,
                open_files: 32,
                processes: None,
            },
            timeout: Duration::from_secs(300), // only what hangs takes so long, on a busy machine too
            output_bytes_max: 100,
        }
    }

    fn code(ran: &Ran) -> Option<i32> {
        match ran.end {
            End::Exit(status) => status.code(),
            _ => None,
        }
    }

    fn output(ran: &Ran) -> String {
        String::from_utf8_lossy(&ran.output).into_owned()
    }

    #[test]
    fn a_program_reads_its_input_and_its_output_and_status_come_back() {
        let input = vec![b'x'; 300_000];
        let ran = run(&shell("wc -c; echo oops >&2; exit 75"), &mut &input[..], &|| true).unwrap();
        assert_eq!((code(&ran), output(&ran)), (Some(75), "300000\noops\n".into()));
    }

    #[test]
    fn a_program_that_does_not_read_and_one_that_talks_without_end_do_not_hang() {
        let input = vec![b'x'; 300_000];
        assert_eq!(code(&run(&shell("exec true"), &mut &input[..], &|| true).unwrap()), Some(0));
        let ran = run(&shell("head -c 1000000 /dev/zero"), &mut &b""[..], &|| true).unwrap();
        assert_eq!((code(&ran), ran.output.len()), (Some(0), 100));
    }

    #[test]
    fn the_environment_and_the_descriptors_are_clean_and_the_limits_hold() {
        let kept = std::fs::File::open("/dev/null").unwrap();
        // Of a number that nothing in the child opens by itself, whatever other tests have open.
        // SAFETY: a plain system call; the copy is closed below by its owner.
        let leak = unsafe { OwnedFd::from_raw_fd(libc::fcntl(kept.as_raw_fd(), libc::F_DUPFD, 100)) };
        let script = format!(
            "env | grep -v -e ^PWD -e ^SHLVL -e ^_; ls /proc/self/fd | grep -x {}; ulimit -n; ulimit -c; umask",
            leak.as_raw_fd()
        );
        let ran = run(&shell(&script), &mut &b""[..], &|| true).unwrap();
        assert_eq!(output(&ran), "WHO=us\n32\n0\n0077\n");
    }

    #[test]
    fn memory_is_bounded() {
        let mut program = shell("exec awk 'BEGIN { s = sprintf(\"%200000000d\", 1); print length(s) }'");
        program.limits.memory_bytes = 64 << 20;
        assert_ne!(code(&run(&program, &mut &b""[..], &|| true).unwrap()), Some(0));
        program.limits.memory_bytes = 2 << 30;
        assert_eq!(code(&run(&program, &mut &b""[..], &|| true).unwrap()), Some(0));
    }

    #[test]
    fn a_file_does_not_grow_beyond_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("big");
        let script = format!("exec head -c 3000000 /dev/zero > {}", path.display());
        let ran = run(&shell(&script), &mut &b""[..], &|| true).unwrap();
        assert_ne!(code(&ran), Some(0));
        assert_eq!(std::fs::metadata(path).unwrap().len(), 1 << 20);
    }

    #[test]
    fn at_the_time_out_the_whole_group_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let pids = folder.path().join("pids");
        let script = format!("sleep 600 & echo $! > {0}; echo $$ >> {0}; wait", pids.display());
        let mut program = shell(&script);
        program.timeout = Duration::from_millis(500);
        let mut started = String::new();
        // On a busy machine its time may be over before it has begun: the next try has twice as long.
        while started.lines().count() < 2 {
            assert!(program.timeout < Duration::from_secs(100), "it does not start: {started:?}");
            let ran = run(&program, &mut &b""[..], &|| true).unwrap();
            assert_eq!(ran.end, End::TimedOut);
            started = std::fs::read_to_string(&pids).unwrap_or_default();
            program.timeout *= 2;
        }
        for pid in started.lines() {
            wait_until_gone(pid);
        }
    }

    #[test]
    fn what_a_program_leaves_behind_is_killed_when_it_ends() {
        let ran = run(&shell("sleep 600 & echo $!"), &mut &b""[..], &|| true).unwrap();
        assert_eq!(code(&ran), Some(0));
        wait_until_gone(output(&ran).trim());
    }

    #[test]
    fn a_program_that_is_not_wanted_any_longer_is_killed() {
        let ran = run(&shell("sleep 600"), &mut &b""[..], &|| false).unwrap();
        assert_eq!(ran.end, End::Unwanted);
    }

    #[test]
    fn root_becomes_somebody_else_without_groups() {
        if !nix::unistd::geteuid().is_root() {
            return; // only root can
        }
        let mut program = shell("id -u; id -g; id -G");
        program.identity = Some((1, 2));
        assert_eq!(output(&run(&program, &mut &b""[..], &|| true).unwrap()), "1\n2\n2\n");
    }

    /// Killed at once, it may be a zombie of the system's first process for a moment.
    fn wait_until_gone(pid: &str) {
        let status = format!("/proc/{pid}/stat");
        let give_up = Instant::now() + Duration::from_secs(60);
        loop {
            match std::fs::read_to_string(&status) {
                Ok(text) if !text.contains(") Z") => assert!(Instant::now() < give_up, "{pid} lives"),
                _ => return,
            }
            std::thread::yield_now();
        }
    }
}

//! strace on one of our daemons: which system calls it made, when each began, and when it had ended.
//!
//! Under `strace -f` a call that another thread interrupts is written twice: where it begins (`<unfinished ...>`) and where
//! it ends (`<... fdatasync resumed>`). Only a call that has *ended* with 0 has made anything durable, so order is asked
//! of ends and beginnings, never of lines.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Instance;
use crate::instance::wait_for;

/// What makes files durable and is waited for.
const SYNCS: [&str; 2] = ["fdatasync", "fsync"];
/// What makes files durable, what gives and takes names, and what is said to clients.
const CALLS: &str = "trace=fdatasync,fsync,sync_file_range,write,sendto,writev,pwrite64,link,linkat,rename,renameat,renameat2,unlink,unlinkat";

/// strace attached to one process and all its threads.
pub struct Trace {
    child: Child,
    /// It tells of each new thread; were nobody there to listen, SIGPIPE would end it.
    _errors: BufReader<ChildStderr>,
    output: PathBuf,
}

/// One system call.
#[derive(Clone, Debug)]
pub struct Call {
    pub name: String,
    /// Its arguments; descriptors with their paths.
    pub text: String,
    /// Place in the trace where it began.
    pub begun: usize,
    /// Place where it had ended; nothing when the trace ended before.
    pub ended: Option<usize>,
    pub result: Option<i64>,
}

impl Call {
    /// It had ended well before the other one began.
    pub fn is_before(&self, other: &Call) -> bool {
        self.result.is_some_and(|result| result >= 0) && self.ended.is_some_and(|ended| ended < other.begun)
    }

    /// Whether it is this call and all of these stand in its arguments.
    pub fn is(&self, name: &str, parts: &[&str]) -> bool {
        self.name == name && parts.iter().all(|part| self.text.contains(part))
    }

    /// Whether it says this to a client.
    pub fn says(&self, text: &str) -> bool {
        ["write", "sendto", "writev"].contains(&self.name.as_str())
            && self.text.contains(text)
            && !self.text.contains("/log/")
    }
}

impl Trace {
    /// Attaches; returns when everything from now on is seen.
    pub fn of(instance: &Instance, service: &str) -> Trace {
        Trace::attach_to(instance, service, &[])
    }

    /// As [`Trace::of`]; each sync takes so much longer, as on a disk whose syncs are slow beside all else.
    pub fn with_slow_syncs(instance: &Instance, service: &str, more: Duration) -> Trace {
        let inject = format!("inject=fdatasync,fsync,syncfs:delay_enter={}", more.as_micros());
        Trace::attach_to(instance, service, &["-e", &inject])
    }

    /// Who waits for a sync shares it with all who came while another was under way: so few syncs do it once they are slow enough
    /// for the others to come meanwhile, however loaded the machine. `changes` makes its changes and returns when they are done.
    ///
    /// # Panics
    /// When it is never less than a sync for so many changes: whoever syncs for each change does it at every speed.
    pub fn prove_shared_syncs(
        instance: &Instance,
        service: &str,
        (changes, for_each): (usize, usize),
        mut change: impl FnMut(),
    ) -> Vec<Call> {
        let mut counts = Vec::new();
        for delay in [30, 100, 300, 1000].map(Duration::from_millis) {
            let trace = Trace::with_slow_syncs(instance, service, delay);
            change();
            let calls = trace.calls();
            let syncs = calls.iter().filter(|call| SYNCS.contains(&call.name.as_str())).count();
            eprintln!("{syncs} syncs for {changes} changes, each {delay:?} slower");
            if syncs > 0 && syncs * for_each < changes {
                return calls;
            }
            counts.push(syncs);
        }
        panic!("{counts:?} syncs for {changes} changes");
    }

    fn attach_to(instance: &Instance, service: &str, options: &[&str]) -> Trace {
        let pid = instance.pid(service).unwrap();
        let output = instance.root.with_extension(format!("{service}.strace"));
        // A thread that began while the others were being attached to is not seen: then once more.
        wait_for("strace to see every thread", || {
            let trace = Trace::attach(pid, &output, options);
            sees_every_thread(pid).then_some(trace)
        })
    }

    fn attach(pid: u32, output: &Path, options: &[&str]) -> Trace {
        let mut child = Command::new("strace")
            .args(["-f", "-y", "-s", "200", "-e", CALLS])
            .args(options)
            .arg("-o")
            .arg(output)
            .args(["-p", &pid.to_string()])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // "strace: Process N attached": only then does it see anything.
        let mut said = String::new();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        errors.read_line(&mut said).unwrap();
        assert!(said.contains("attached"), "{said}");
        Trace { child, _errors: errors, output: output.to_owned() }
    }

    /// Detaches; the calls in the order in which they began.
    pub fn calls(self) -> Vec<Call> {
        let output = self.output.clone();
        drop(self);
        parse(&fs::read_to_string(output).unwrap())
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.child.id() as i32), Signal::SIGINT);
        let _ = self.child.wait();
    }
}

fn sees_every_thread(pid: u32) -> bool {
    fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten().all(|task| {
        let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
        // A thread that has ended meanwhile has no status.
        status.lines().all(|line| line.strip_prefix("TracerPid:").is_none_or(|tracer| tracer.trim() != "0"))
    })
}

fn parse(text: &str) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    let mut open: HashMap<&str, usize> = HashMap::new();
    for (place, line) in text.lines().enumerate() {
        let Some((pid, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        if let Some(resumed) = rest.strip_prefix("<... ") {
            let Some(at) = open.remove(pid) else { continue };
            let more = resumed.split_once("resumed>").map_or("", |(_, more)| more);
            calls[at].text.push_str(more);
            calls[at].ended = Some(place);
            calls[at].result = result_of(more);
        } else if let Some((name, arguments)) = rest.split_once('(') {
            let is_open = arguments.ends_with("<unfinished ...>");
            if is_open {
                open.insert(pid, calls.len());
            }
            calls.push(Call {
                name: name.to_owned(),
                text: arguments.to_owned(),
                begun: place,
                ended: (!is_open).then_some(place),
                result: if is_open { None } else { result_of(arguments) },
            });
        }
    }
    calls
}

/// `...) = 0`
fn result_of(text: &str) -> Option<i64> {
    text.rsplit_once(" = ")?.1.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_ends_where_it_is_resumed() {
        let calls = parse(
            "7 fdatasync(3</a/store.log> <unfinished ...>\n8 write(5<socket:[1]>, \"250 ok\", 6) = 6\n7 <... fdatasync resumed>) = 0\n8 sendto(5, \"OK\", 2) = 2\n",
        );
        assert_eq!((calls[0].begun, calls[0].ended, calls[0].result), (0, Some(2), Some(0)));
        assert!(!calls[0].is_before(&calls[1]), "begun before, ended behind");
        assert!(calls[0].is_before(&calls[2]));
        assert!(calls[1].says("250 ") && calls[0].is("fdatasync", &["/store.log"]));
    }
}

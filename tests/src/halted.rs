//! A process that hangs as its peers see one: alive, and it does nothing.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

/// A process that is stopped until this is dropped.
pub struct Halted(u32);

impl Halted {
    /// Stops the process and waits until none of its threads runs: the signal only asks for it, and a thread on another
    /// processor may answer meanwhile.
    pub fn new(process: u32) -> Self {
        assert!(signal("-STOP", process), "process {process} is there");
        let give_up = Instant::now() + Duration::from_secs(60);
        while threads(process).iter().any(|state| !matches!(state, 'T' | 'Z')) {
            assert!(Instant::now() < give_up, "process {process} does not stop");
            std::thread::yield_now();
        }
        Self(process)
    }
}

impl Drop for Halted {
    fn drop(&mut self) {
        let _ = signal("-CONT", self.0);
    }
}

fn signal(name: &str, process: u32) -> bool {
    Command::new("kill").args([name, &process.to_string()]).status().unwrap().success()
}

/// The states of a process's threads, as proc(5) has them.
fn threads(process: u32) -> Vec<char> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let stats = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("stat")).ok());
    stats.filter_map(|stat| stat.rsplit_once(") ")?.1.chars().next()).collect()
}

//! Whether the daemons come through a test unharmed: the same processes, within a bound of memory, and answering.

use std::collections::BTreeSet;
use std::fs;

use crate::instance::{DAEMONS, IMAP, POP, SMTP};
use crate::{Imap, Instance, Pop, Smtp};

/// What an instance was like before a test did its worst.
pub struct Vigil {
    processes: BTreeSet<u32>,
    resident_bytes: u64,
}

impl Vigil {
    /// Looks at the instance, which has served something on every port already.
    pub fn begin(instance: &Instance) -> Vigil {
        answers(instance);
        let processes = processes(instance);
        let resident_bytes = resident_bytes(&processes);
        Vigil { processes, resident_bytes }
    }

    /// The same processes still answer, and hold at most so many bytes more, all together.
    pub fn end(&self, instance: &Instance, growth_max: u64) {
        answers(instance);
        let processes = processes(instance);
        assert_eq!(processes, self.processes, "a daemon or a worker of one was restarted");
        let growth = resident_bytes(&processes).saturating_sub(self.resident_bytes);
        println!("{growth} bytes more than before");
        assert!(growth <= growth_max, "{growth} bytes more than before, {growth_max} are allowed");
    }
}

/// Every service does something useful on a fresh connection.
fn answers(instance: &Instance) {
    let mut smtp = Smtp::open(instance.connect(SMTP));
    smtp.ok("EHLO client.example.org");
    smtp.ok("MAIL FROM:<s@example.org>");
    smtp.ok("RCPT TO:<postmaster>");
    smtp.ok("QUIT");
    let mut imap = Imap::open(instance.connect(IMAP));
    imap.ok("LOGIN postmaster postmaster-secret");
    imap.ok("SELECT INBOX");
    imap.ok("LOGOUT");
    let mut pop = Pop::open(instance.connect(POP));
    pop.ok("USER admin");
    pop.ok("PASS admin-secret");
    pop.ok("STAT");
    pop.ok("QUIT");
}

/// The daemons and their worker processes.
fn processes(instance: &Instance) -> BTreeSet<u32> {
    let mut all = BTreeSet::new();
    for (service, _) in DAEMONS {
        let pid = instance.pid(service).unwrap();
        let workers = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        all.insert(pid);
        all.extend(workers.split_whitespace().map(|worker| worker.parse::<u32>().unwrap()));
    }
    all
}

fn resident_bytes(processes: &BTreeSet<u32>) -> u64 {
    processes.iter().map(|pid| resident(*pid)).sum()
}

/// Private and shared anonymous memory of a process; its mapped files do not count, since the store maps what it reads.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("RssAnon:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|text| text.parse().ok());
    kibibytes.unwrap_or(0_u64) * 1024
}

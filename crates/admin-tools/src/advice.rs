//! What the Tuning Guide warns of, as lines of `configutil check`: nothing here keeps the suite from starting.

use std::fs;
use std::path::Path;

use server_config::parameters::{service, service_http, service_imap, service_pop, service_smtp};
use server_config::{Config, Instance};

/// Above so many control files the throttle no longer protects delivery (S53).
const THROTTLE_MOST: i64 = 20_000;
/// Threads that a user must be allowed at least (S16).
const THREADS_LEAST: u64 = 1024;

/// Of the parameters alone, on a machine with so many processors.
pub fn on_parameters(config: &Config, processors: usize) -> Vec<String> {
    let mut lines = Vec::new();
    if config.get(&service_smtp::THROTTLE_THRESHOLD).is_some_and(|threshold| threshold > THROTTLE_MOST) {
        lines.push(format!(
            "{} is above {THROTTLE_MOST}: mail comes in faster than it can be delivered",
            service_smtp::THROTTLE_THRESHOLD.name
        ));
    }
    if config.get(&service::LDAP_MEM_CACHE) {
        lines.push(format!("{} is set, and nothing uses it: leave it off", service::LDAP_MEM_CACHE.name));
    }
    for parameter in [&service_imap::NUM_PROCESSES, &service_pop::NUM_PROCESSES, &service_http::NUM_PROCESSES]
    {
        let count = config.get(parameter);
        if usize::try_from(count).is_ok_and(|count| count > processors) {
            lines.push(format!(
                "{} is {count} on {processors} processors: each process has caches and connections of its own",
                parameter.name
            ));
        }
    }
    lines
}

/// Of the machine: mounts (S14) and limits (S16).
pub fn on_machine(instance: &Instance) -> Vec<String> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let mut lines = Vec::new();
    for folder in [instance.queue_dir(), instance.store_dir()] {
        lines.extend(slow_mount(&mounts, &folder.canonicalize().unwrap_or(folder)));
    }
    lines.extend(few_threads(&limits));
    lines
}

/// A file system that writes the time of each reading.
fn slow_mount(mounts: &str, folder: &Path) -> Option<String> {
    let mounted =
        |line: &&str| line.split(' ').nth(1).is_some_and(|place| folder.starts_with(unescape(place)));
    let line =
        mounts.lines().filter(mounted).max_by_key(|line| line.split(' ').nth(1).map_or(0, str::len))?;
    let options = line.split(' ').nth(3)?;
    let writes = options.split(',').any(|option| option == "strictatime")
        || !options.split(',').any(|option| matches!(option, "noatime" | "relatime" | "ro"));
    writes.then(|| {
        format!("{}: mounted without noatime, so that reading mail writes to the disk", folder.display())
    })
}

/// `\040` is a blank.
fn unescape(place: &str) -> String {
    place.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
}

fn few_threads(limits: &str) -> Option<String> {
    let line = limits.lines().find(|line| line.starts_with("Max processes"))?;
    let soft: u64 = line.split_whitespace().nth(2)?.parse().ok()?; // "unlimited" is enough
    (soft < THREADS_LEAST).then(|| {
        format!("this user may have {soft} threads (ulimit -u): the daemons want {THREADS_LEAST} and more")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(text: &str) -> Vec<String> {
        on_parameters(&Config::from_text(text).unwrap(), 2)
    }

    /// S53, S96, S101
    #[test]
    fn what_the_guide_warns_of_is_said_and_nothing_else() {
        assert!(advice("").is_empty());
        assert!(
            advice("local.service.smtp.throttlethreshold = 20000\nservice.imap.numprocesses = 2").is_empty()
        );
        for (text, part) in [
            ("local.service.smtp.throttlethreshold = 20001", "throttlethreshold is above 20000"),
            ("service.ldapmemcache = yes", "nothing uses it"),
            ("service.imap.numprocesses = 3", "is 3 on 2 processors"),
            ("service.pop.numprocesses = 9", "service.pop.numprocesses is 9"),
        ] {
            let lines = advice(text);
            assert!(lines.len() == 1 && lines[0].contains(part), "{text}: {lines:?}");
        }
    }

    /// S14
    #[test]
    fn a_mount_that_notes_each_reading_is_told() {
        let mounts = "/dev/a / ext4 rw,relatime 0 0\n/dev/b /var/mail\\040box ext4 rw 0 0\n/dev/c /q ext4 rw,strictatime 0 0\n/dev/d /n xfs rw,noatime 0 0\n";
        for (folder, told) in
            [("/srv", false), ("/var/mail box/x", true), ("/q/queue", true), ("/n/store", false)]
        {
            assert_eq!(slow_mount(mounts, Path::new(folder)).is_some(), told, "{folder}");
        }
    }

    /// S16
    #[test]
    fn a_limit_of_256_threads_is_told() {
        let limits = |soft: &str| {
            format!("Limit  Soft  Hard  Units\nMax processes             {soft}    unlimited   processes\n")
        };
        assert!(few_threads(&limits("256")).is_some());
        assert!(few_threads(&limits("4096")).is_none() && few_threads(&limits("unlimited")).is_none());
    }
}

//! When the deferred messages of a domain are tried again (S47, S84; guide L357-359, L510).
//!
//! A domain is tried as a whole. One message goes first; when no host takes the connection, the others are left alone and
//! the domain waits longer than the last time; only those whose age asks for something are gone through. When one does, the rest follows. What was deferred before this process
//! began is found by a scan, one `deferredperiod` after the start and then every `deferredperiod`.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mail_queue::{Entry, Envelope, Queue, QueueError, QueueId};
use server_log::{Category, Log};

use crate::ages::Ages;
use crate::timetable::{Due, Timetable, pause_about};

/// Messages of a domain under way at once, when it takes them.
const TOGETHER: usize = 50;
/// How long it is looked at a time for what interrupted moves left; every second, so a tenth of one thread.
const REAP_TIME: Duration = Duration::from_millis(100);
/// Domains remembered only because somebody asked about them; more are read from disk again.
const REMEMBERED_MAX: usize = 100_000;

/// How the reason begins of mail that waits for the domain and not for itself: a status of the network (RFC 3463 §3.5).
const UNREACHABLE: &str = "4.4.";

struct Run {
    rest: VecDeque<QueueId>,
    outstanding: usize,
    reached: bool,
    /// No host took the connection: nothing more is sent in this run.
    lost: bool,
    /// The earliest second at which one of those that stay is due.
    next: i64,
    /// All, due or not.
    all: bool,
}

struct Wait {
    due: i64,
    failures: u32,
    /// The hosts could not be reached the last time.
    down: bool,
    run: Option<Run>,
    /// Asked for while a run was on.
    again: bool,
}

/// The domains with deferred mail.
pub struct Deferred {
    queue: Queue,
    log: Log,
    period: Duration,
    ages: Ages,
    domains: Mutex<HashMap<String, Wait>>,
    reap: Mutex<Reap>,
}

/// Where it is still to be looked for what interrupted moves left.
#[derive(Default)]
struct Reap {
    /// Of the first domain.
    folders: Vec<PathBuf>,
    domains: VecDeque<String>,
}

/// How an attempt of a deferred message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// No host took the connection.
    pub unreachable: bool,
    /// When it is due again; nothing when it is gone.
    pub next: Option<i64>,
}

impl Deferred {
    pub fn new(queue: Queue, log: Log, period: Duration, ages: Ages) -> Deferred {
        Deferred { queue, log, period, ages, domains: Mutex::default(), reap: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Wait>> {
        self.domains.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether mail for this domain waits because its hosts cannot be reached, so that more may wait with it (S47).
    pub fn is_down(&self, domain: &str) -> bool {
        let mut domains = self.lock();
        if let Some(wait) = domains.get(domain) {
            return wait.down;
        }
        let down = self.was_down(domain);
        if down && domains.len() < REMEMBERED_MAX {
            // The scan will find it; until then it is known.
            let wait = Wait { due: i64::MAX, failures: 0, down, run: None, again: false };
            domains.insert(domain.to_owned(), wait);
        }
        down
    }

    /// What the disk says of a domain that was deferred by an earlier process.
    fn was_down(&self, domain: &str) -> bool {
        let Ok(ids) = self.queue.deferred_ids(domain) else { return false };
        let Some(id) = ids.first() else { return false };
        let entry = self.queue.load_deferred(domain, id).ok().flatten();
        entry.is_some_and(|entry| entry.envelope.last_error.starts_with(UNREACHABLE))
    }

    /// Whether the domain was found dead in the run that is on.
    pub fn is_lost(&self, domain: &str) -> bool {
        self.lock().get(domain).and_then(|wait| wait.run.as_ref()).is_some_and(|run| run.lost)
    }

    /// A message was deferred.
    pub fn added(&self, domain: &str, next: i64, unreachable: bool, table: &Timetable) {
        let mut domains = self.lock();
        let wait = domains.entry(domain.to_owned()).or_insert_with(|| Wait {
            due: i64::MAX,
            failures: 0,
            down: false,
            run: None,
            again: false,
        });
        wait.down |= unreachable;
        if let Some(run) = &mut wait.run {
            run.next = run.next.min(next);
        } else if next < wait.due {
            wait.due = next;
            table.add(next, Due::Domain(domain.to_owned()));
        }
    }

    /// What is due of the domain is tried from this second on, whatever the domain waits for.
    pub fn hasten(&self, domain: &str, second: i64, table: &Timetable) {
        let mut domains = self.lock();
        let wait = domains.entry(domain.to_owned()).or_insert_with(|| Wait {
            due: second,
            failures: 0,
            down: false,
            run: None,
            again: false,
        });
        match &mut wait.run {
            // Those that are due then, and not all of the domain.
            Some(run) => run.next = run.next.min(second),
            None => {
                wait.due = second;
                table.add(second, Due::Domain(domain.to_owned()));
            }
        }
    }

    /// Domains whose mail waits, as far as they are known by now.
    pub fn waiting(&self) -> usize {
        self.lock().len()
    }

    /// When mail that waits with others for a domain that is down is due: with them.
    pub fn due(&self, domain: &str) -> Option<i64> {
        self.lock().get(domain).map(|wait| wait.due).filter(|due| *due != i64::MAX)
    }

    /// Tries everything of this domain now, whatever it waits for (ETRN, processq, flush).
    pub fn flush(&self, domain: &str, table: &Timetable, start: &dyn Fn(Entry)) {
        let domain = domain.to_ascii_lowercase();
        self.begin(&domain, true, table, start);
    }

    /// The domain's time may have come: `start` is given what is due.
    pub fn begin(&self, domain: &str, all: bool, table: &Timetable, start: &dyn Fn(Entry)) {
        let now = base::clock::unix_seconds();
        let ids = match self.queue.deferred_ids(domain) {
            Ok(ids) => ids,
            Err(why) => {
                self.log.error(Category::General, format_args!("deferred mail for {domain}: {why}"));
                return;
            }
        };
        {
            let mut domains = self.lock();
            if ids.is_empty() {
                if domains.get(domain).is_some_and(|wait| wait.run.is_none()) {
                    domains.remove(domain);
                }
                return;
            }
            let wait = domains.entry(domain.to_owned()).or_insert_with(|| Wait {
                due: now,
                failures: 0,
                down: false,
                run: None,
                again: false,
            });
            if wait.run.is_some() {
                wait.again |= all;
                return;
            }
            let all = std::mem::take(&mut wait.again) || all;
            if wait.due > now && !all {
                return; // it was put off meanwhile
            }
            let rest = ids.into();
            wait.run = Some(Run { rest, outstanding: 0, reached: false, lost: false, next: i64::MAX, all });
        }
        self.go_on(domain, table, start);
    }

    /// A message that [`Deferred::begin`] gave out has come to the end of its attempt.
    pub fn ended(&self, domain: &str, how: Ended, table: &Timetable, start: &dyn Fn(Entry)) {
        {
            let mut domains = self.lock();
            let Some(wait) = domains.get_mut(domain) else { return };
            let Some(run) = &mut wait.run else { return };
            run.outstanding = run.outstanding.saturating_sub(1);
            if how.unreachable {
                if !std::mem::replace(&mut run.lost, true) {
                    wait.failures = wait.failures.saturating_add(1);
                    let pause = pause_about(wait.failures, self.period);
                    run.next = base::clock::unix_seconds().saturating_add(pause);
                }
                wait.down = true;
            } else {
                run.reached = true;
                wait.failures = 0;
                wait.down = false;
                run.next = run.next.min(how.next.unwrap_or(i64::MAX));
            }
        }
        self.go_on(domain, table, start);
    }

    /// A message that [`Deferred::begin`] gave out was not tried: it is held, gone, or busy until `next`. That says nothing
    /// about the domain.
    pub fn passed_over(&self, domain: &str, next: Option<i64>, table: &Timetable, start: &dyn Fn(Entry)) {
        if let Some(run) = self.lock().get_mut(domain).and_then(|wait| wait.run.as_mut()) {
            run.outstanding = run.outstanding.saturating_sub(1);
            run.next = run.next.min(next.unwrap_or(i64::MAX));
        }
        self.go_on(domain, table, start);
    }

    /// Gives out what there is room for; ends the run when nothing is left.
    fn go_on(&self, domain: &str, table: &Timetable, start: &dyn Fn(Entry)) {
        while let Some(id) = self.next_id(domain) {
            if self.is_lost(domain) && !self.ages.may_be_due(id.second(), base::clock::unix_seconds()) {
                self.not_given_out(domain);
                continue;
            }
            match self.queue.load_deferred(domain, &id) {
                Ok(Some(entry)) if self.is_due(domain, &entry.envelope) => start(entry),
                Ok(_) | Err(QueueError::Damaged(_)) => self.not_given_out(domain),
                Err(why) => {
                    self.log.error(Category::General, format_args!("{id}: {why}; tried again later"));
                    self.not_given_out(domain);
                }
            }
        }
        self.end_run(domain, table);
    }

    fn next_id(&self, domain: &str) -> Option<QueueId> {
        let mut domains = self.lock();
        let run = domains.get_mut(domain)?.run.as_mut()?;
        let room = if run.reached || run.lost { TOGETHER } else { 1 };
        if run.outstanding >= room {
            return None;
        }
        let id = run.rest.pop_front()?;
        run.outstanding += 1;
        Some(id)
    }

    /// What waits because the domain could not be reached is due with the domain; another message by its own time.
    fn is_due(&self, domain: &str, envelope: &Envelope) -> bool {
        let mut domains = self.lock();
        let Some(run) = domains.get_mut(domain).and_then(|wait| wait.run.as_mut()) else { return false };
        if run.lost {
            return self.ages.is_due(envelope, base::clock::unix_seconds()); // a report, and no attempt
        }
        if run.all || envelope.last_error.starts_with(UNREACHABLE) {
            return true;
        }
        let due = envelope.next_attempt <= base::clock::unix_seconds();
        if !due {
            run.next = run.next.min(envelope.next_attempt);
        }
        due
    }

    fn not_given_out(&self, domain: &str) {
        if let Some(run) = self.lock().get_mut(domain).and_then(|wait| wait.run.as_mut()) {
            run.outstanding = run.outstanding.saturating_sub(1);
        }
    }

    fn end_run(&self, domain: &str, table: &Timetable) {
        let mut domains = self.lock();
        let Some(wait) = domains.get_mut(domain) else { return };
        let Some(run) = wait.run.take_if(|run| run.outstanding == 0 && run.rest.is_empty()) else { return };
        let again = wait.again;
        if run.next == i64::MAX && !again && !self.queue.has_deferred(domain) {
            domains.remove(domain);
            return;
        }
        let now = base::clock::unix_seconds();
        let period = i64::try_from(self.period.as_secs()).unwrap_or(i64::MAX);
        wait.due = if again { now } else { run.next.min(now.saturating_add(period)) };
        table.add(wait.due, Due::Domain(domain.to_owned()));
    }

    fn reap_lock(&self) -> MutexGuard<'_, Reap> {
        self.reap.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks for a moment for what interrupted moves left, and goes on a second later where it stopped: a million messages
    /// hold up no thread of the first stage.
    pub fn reap(&self, table: &Timetable) {
        self.reap_for(REAP_TIME, table);
    }

    fn reap_for(&self, time: Duration, table: &Timetable) {
        let end = Instant::now() + time;
        let complain = |domain: &str, why: &dyn std::fmt::Display| {
            self.log.error(Category::General, format_args!("deferred mail for {domain}: {why}"));
        };
        let mut reap = self.reap_lock();
        loop {
            let Reap { folders, domains } = &mut *reap;
            if let Some(folder) = folders.pop() {
                let Some(domain) = domains.front() else { continue };
                if let Err(why) = self.queue.reap_deferred(domain, &folder) {
                    complain(domain, &why);
                }
                if folders.is_empty() {
                    domains.pop_front();
                }
            } else {
                let Some(domain) = domains.front() else { return };
                match self.queue.message_folders(domain) {
                    Ok(found) => *folders = found,
                    Err(why) => complain(domain, &why),
                }
                if folders.is_empty() {
                    domains.pop_front();
                }
            }
            if Instant::now() >= end && !(reap.folders.is_empty() && reap.domains.is_empty()) {
                return table.add(base::clock::unix_seconds() + 1, Due::Reap);
            }
        }
    }

    /// Looks at the whole deferred queue: what no process of ours put there is due now.
    pub fn scan(&self, table: &Timetable) {
        let now = base::clock::unix_seconds();
        let mut seen = VecDeque::new();
        let found = self.queue.deferred_domains(|domain| {
            seen.push_back(domain.clone());
            let mut domains = self.lock();
            let wait = domains.entry(domain.clone()).or_insert_with(|| Wait {
                due: i64::MAX,
                failures: 0,
                down: false,
                run: None,
                again: false,
            });
            if wait.due == i64::MAX && wait.run.is_none() {
                wait.due = now;
                wait.again = true; // all of it
                table.add(now, Due::Domain(domain));
            }
        });
        if let Err(why) = found {
            self.log.error(Category::General, format_args!("the deferred queue cannot be read: {why}"));
        }
        let mut reap = self.reap_lock();
        if reap.folders.is_empty() && reap.domains.is_empty() && !seen.is_empty() {
            reap.domains = seen; // else the last scan is still at it
            table.add(now, Due::Reap);
        }
        drop(reap);
        table.add(now.saturating_add(i64::try_from(self.period.as_secs()).unwrap_or(i64::MAX)), Due::Scan);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use mail_queue::{QueueSettings, Recipient};

    use super::*;

    #[test]
    fn the_look_for_what_was_left_stops_and_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let settings = QueueSettings::in_folder(folder.path());
        let queue = Queue::open(settings, Log::discard()).unwrap();
        for number in 0..6 {
            let mut incoming = queue.begin();
            incoming.write_all(b"Subject: x\r\n\r\nx\r\n").unwrap();
            let mut envelope = Envelope::new(QueueId::next());
            let address = format!("x@down{}.test", number % 3);
            envelope.recipients = vec![Recipient { address, ..Recipient::default() }];
            let id = incoming.commit(envelope).unwrap();
            queue.load(&id).unwrap().unwrap().defer(&format!("down{}.test", number % 3)).unwrap();
        }
        let ages = Ages { give_up: Duration::from_secs(3600), warn: None };
        let deferred = Deferred::new(queue, Log::discard(), Duration::from_secs(3600), ages);
        let table = Timetable::default();
        deferred.scan(&table);
        deferred.scan(&table);
        assert_eq!(deferred.reap_lock().domains.len(), 3, "once at a time");
        let mut turns = 0;
        while !deferred.reap_lock().domains.is_empty() {
            deferred.reap_for(Duration::ZERO, &table);
            turns += 1;
        }
        assert_eq!(turns, 9, "three domains, and two folders in each");
        assert!(deferred.reap_lock().folders.is_empty());
    }
}

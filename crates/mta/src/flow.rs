//! The way of a message from stage to stage, and what becomes of it at the end of an attempt.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use mail_queue::{Entry, Obeyed, QueueError, QueueId, Step};
use server_log::Category;

use crate::commands::{Begin, Commands, Rest};
use crate::deferred::{Deferred, Ended};
use crate::flight::Flight;
use crate::local::Local;
use crate::mta::Desk;
use crate::pool::Pool;
use crate::sites::{Full, Sites};
use crate::stages::smtp_deliver::Job;
use crate::stages::ube_filter::{self, Next};
use crate::stages::{account_handler, error_handler, mailbox_deliver, smtp_deliver, smtp_router};
use crate::timetable::{Due, Timetable, pause};
use crate::work::{Deferral, Group, Work};

/// Seconds after which what found no room comes again, unless it found none in the line of a site.
const POSTPONED_SECONDS: i64 = 10;
/// Seconds after which a message comes again that made a stage panic.
const PANIC_SECONDS: i64 = 600;
/// Messages that wait for the router, for a mailbox or for a report, at most. The others are names in the first stage's line, a few bytes
/// each, until there is room: a long queue takes no memory to speak of.
const LINE_MAX: usize = 1000;

/// What senders are told of a message that was removed from the queue, or cut.
const TEXT_LOST: &str = "the text of the message was lost in the queue";

/// What the first stage begins with.
pub enum Start {
    /// A message of the control folder.
    Message(QueueId),
    /// A deferred message whose turn it is.
    Entry(Box<Entry>),
    /// The deferred messages of a domain; all of them, or those that are due.
    Domain(String, bool),
    /// A look at the whole deferred queue.
    Scan,
    /// A look for what interrupted moves left there.
    Reap,
}

/// The lines in front of the stages.
pub struct Pools {
    pub account_handler: Arc<Pool<Start>>,
    pub smtp_router: Arc<Pool<Box<Work>>>,
    pub mailbox_deliver: Arc<Pool<Arc<Flight>>>,
    pub error_handler: Arc<Pool<Box<Work>>>,
    pub local: Local,
}

impl Default for Pools {
    fn default() -> Pools {
        Pools {
            account_handler: Pool::new(),
            smtp_router: Pool::new(),
            mailbox_deliver: Pool::new(),
            error_handler: Pool::new(),
            local: Local::default(),
        }
    }
}

/// From stage to stage.
pub struct Flow {
    pub desk: Arc<Desk>,
    pub sites: Sites<Job>,
    /// Threads of smtp-deliver that came when all others were busy.
    pub more_senders: Mutex<Vec<JoinHandle<()>>>,
    pub pools: Pools,
    pub timetable: Timetable,
    pub deferred: Deferred,
    pub commands: Arc<Commands>,
}

impl Flow {
    /// The first stage.
    pub fn begin(&self, start: Start) {
        let give_out = |entry: Entry| self.pools.account_handler.push(Start::Entry(Box::new(entry)));
        self.pools.smtp_router.wait_for_room(LINE_MAX);
        self.pools.mailbox_deliver.wait_for_room(LINE_MAX);
        self.pools.error_handler.wait_for_room(LINE_MAX);
        match start {
            Start::Message(id) => self.load(&id),
            Start::Entry(entry) => self.accounts(*entry),
            Start::Domain(domain, true) => self.deferred.flush(&domain, &self.timetable, &give_out),
            Start::Domain(domain, false) => {
                self.deferred.begin(&domain, false, &self.timetable, &give_out);
            }
            Start::Scan => self.deferred.scan(&self.timetable),
            Start::Reap => self.deferred.reap(&self.timetable),
        }
    }

    fn load(&self, id: &QueueId) {
        match self.desk.queue.load(id) {
            Ok(Some(entry)) if !self.parks(&entry) => self.accounts(entry),
            Ok(Some(_)) => {}
            Ok(None) | Err(QueueError::Damaged(_)) => {} // gone; or in lost+found, and in the log
            Err(why) => {
                self.desk.log.error(Category::General, format_args!("{id}: {why}; tried again later"));
                let later = base::clock::unix_seconds() + pause(0, self.desk.settings.deferred_period);
                self.timetable.add(later, Due::Message(id.clone()));
            }
        }
    }

    /// Whether the time that its sender chose has not come (RFC 4865); then it comes again.
    fn parks(&self, entry: &Entry) -> bool {
        let envelope = &entry.envelope;
        let waits = envelope.waits_for_release(base::clock::unix_seconds());
        if envelope.hold.is_some() {
            self.desk.queue.park(&envelope.id, waits);
        }
        if waits {
            self.timetable.add(envelope.next_attempt, Due::Message(envelope.id.clone()));
        }
        waits
    }

    fn accounts(&self, entry: Entry) {
        let (id, domain) = (entry.envelope.id.clone(), entry.deferred_domain().map(str::to_owned));
        let (entry, next) = match self.commands.begin(entry) {
            Begin::Go(entry) => (Some(*entry), None),
            Begin::Busy => (None, Some(base::clock::unix_seconds() + POSTPONED_SECONDS)),
            Begin::Held | Begin::Gone => (None, None),
        };
        let Some(entry) = entry else {
            return match (domain, next) {
                (Some(domain), next) => {
                    let give_out =
                        |entry: Entry| self.pools.account_handler.push(Start::Entry(Box::new(entry)));
                    self.deferred.passed_over(&domain, next, &self.timetable, &give_out);
                }
                (None, Some(next)) => self.timetable.add(next, Due::Message(id)),
                (None, None) => {}
            };
        };
        self.guarded("account-handler", &id, domain, || {
            let mut work = Box::new(Work::new(entry));
            match work.entry.damage() {
                Ok(None) => {}
                Ok(Some(why)) => return self.lost(work, why),
                Err(why) => work.delay(format!("the message: {why}")),
            }
            match ube_filter::run(&self.desk, &mut work) {
                Next::Accounts => {}
                Next::End => return self.end_attempt(work),
                Next::Rest => return self.rest(&work),
                Next::Later => {
                    let later = base::clock::unix_seconds().saturating_add(POSTPONED_SECONDS);
                    self.rest(&work);
                    return self.timetable.add(later, Due::Message(work.entry.envelope.id.clone()));
                }
            }
            account_handler::run(&self.desk, &mut work);
            self.pools.smtp_router.push(work);
        });
    }

    /// It stays in the control folder as it is.
    fn rest(&self, work: &Work) {
        let id = &work.entry.envelope.id;
        self.commands.end(id, Rest::At(None), &|id, obeyed| self.start_ordered(id, obeyed));
    }

    /// The text of a message is gone: all who wait have failed, and the sender is told. The envelope, and what there is, is kept.
    fn lost(&self, mut work: Box<Work>, why: String) {
        if let Err(why) = work.entry.note_splits() {
            work.delay(format!("the envelope cannot be written: {why}"));
            return self.close(work); // whoever has an entry of his own has not failed
        }
        let pending: Vec<usize> = work.entry.envelope.pending().collect();
        for place in pending {
            work.fail(place, "5.3.0", format!("{TEXT_LOST}: {why}"));
        }
        // Who failed before, and is not told of: the report will show no original.
        for place in work.failed() {
            let mail_queue::State::Failed { status, text } =
                work.entry.envelope.recipients[place].state.clone()
            else {
                continue;
            };
            if !text.contains(TEXT_LOST) {
                work.fail(place, &status, format!("{text}; {TEXT_LOST}: {why}"));
            }
        }
        work.damage = Some(why);
        self.end_attempt(work);
    }

    /// Does a step of a message. When it panics, the message stays in the queue and comes again later.
    fn guarded(&self, module: &str, id: &QueueId, domain: Option<String>, act: impl FnOnce()) {
        if catch_unwind(AssertUnwindSafe(act)).is_ok() {
            return;
        }
        self.desk.log.critical(
            Category::General,
            format_args!("{module}: panic; the message {id} stays in the queue"),
        );
        let next = base::clock::unix_seconds().saturating_add(PANIC_SECONDS);
        let rest = Rest::At(domain.as_deref());
        self.commands.end(id, rest, &|id, obeyed| self.start_ordered(id, obeyed));
        match domain {
            Some(domain) => self.ended(&domain, Ended { unreachable: false, next: Some(next) }),
            None => self.timetable.add(next, Due::Message(id.clone())),
        }
    }

    pub fn route(self: &Arc<Self>, work: Box<Work>) {
        let id = work.entry.envelope.id.clone();
        let domain = work.entry.deferred_domain().map(str::to_owned);
        self.guarded("smtp-router", &id, domain, || self.route_it(work));
    }

    fn route_it(self: &Arc<Self>, mut work: Box<Work>) {
        let mut groups = smtp_router::run(&self.desk, &mut work);
        groups.retain(|group| !self.waits_already(&mut work, group));
        let local = !work.routes.is_empty();
        let parts = groups.len() + usize::from(local);
        if parts == 0 {
            return self.end_attempt(work);
        }
        let flight = Arc::new(Flight::new(work, parts));
        let jobs = flight.with(|work| {
            groups.into_iter().map(|group| Job::new(&self.desk, flight.clone(), work, group)).collect()
        });
        let jobs: Vec<Job> = jobs.unwrap_or_default();
        if local {
            self.pools.mailbox_deliver.push(flight);
        }
        for job in jobs {
            let site = job.group.site().to_owned();
            if let Err(Full { job, pause }) = self.sites.push(&site, job) {
                job.flight.note(move |work| work.postpone(pause));
                self.part_done(&job.flight);
            }
            self.send_with_more();
        }
    }

    /// One thread more for smtp-deliver, when a site waits and all are busy.
    pub fn send_with_more(self: &Arc<Self>) {
        if !self.sites.wants_thread() {
            return;
        }
        let flow = self.clone();
        let begun = thread::Builder::new()
            .name("smtp-deliver+".into())
            .spawn(move || smtp_deliver::run(&flow, Some(smtp_deliver::IDLE)));
        match begun {
            Ok(thread) => {
                let mut more = self.more_senders.lock().unwrap_or_else(PoisonError::into_inner);
                more.retain(|thread| !thread.is_finished());
                more.push(thread);
            }
            Err(why) => {
                self.sites.thread_failed();
                self.desk
                    .log
                    .error(Category::General, format_args!("smtp-deliver: no further thread: {why}"));
            }
        }
    }

    /// Whether these recipients are not tried now: split off before a crash, or of a domain for which others wait (S47).
    fn waits_already(&self, work: &mut Work, group: &Group) -> bool {
        let queue = &self.desk.queue;
        if let Some(id) = queue.split_before(&work.entry.envelope, &group.places, &group.domain) {
            let _ = work.entry.note_split(&group.places, &id); // else it is found again the next time
            return true;
        }
        if let Some(home) = work.entry.deferred_domain() {
            let is_lost = home == group.domain && self.deferred.is_lost(home);
            if is_lost {
                work.deferrals.push(self.waits_on(work, group));
            }
            return is_lost; // else it is its turn
        }
        let remote = &self.desk.settings.remote;
        let down = remote.check_deferred && self.deferred.is_down(&group.domain);
        if !down && !remote.always_queue {
            return false;
        }
        let period = i64::try_from(self.desk.settings.deferred_period.as_secs()).unwrap_or(i64::MAX);
        let later = base::clock::unix_seconds().saturating_add(period);
        let (next, text) = if down {
            (self.deferred.due(&group.domain).unwrap_or(later), "4.4.1 waits with other mail for this domain")
        } else {
            (later, "4.4.0 remote mail is queued until it is asked for")
        };
        work.deferrals.push(Deferral {
            domain: group.domain.clone(),
            places: group.places.clone(),
            next,
            text: text.to_owned(),
            unreachable: down,
        });
        true
    }

    /// The wait of one whose domain another message has just found dead.
    fn waits_on(&self, work: &Work, group: &Group) -> Deferral {
        let last = &work.entry.envelope.last_error;
        let text =
            if last.starts_with("4.4.") { last } else { "4.4.1 waits with other mail for this domain" };
        Deferral {
            domain: group.domain.clone(),
            places: group.places.clone(),
            next: base::clock::unix_seconds().saturating_add(POSTPONED_SECONDS),
            text: text.to_owned(),
            unreachable: true,
        }
    }

    pub fn deliver(&self, flight: Arc<Flight>) {
        flight.step("mailbox-deliver", &self.desk.log, |work| mailbox_deliver::run(&self.desk, work));
        self.onward(flight);
    }

    /// To the stages of this host's other ways, one after the other.
    pub fn onward(&self, flight: Arc<Flight>) {
        if let Some(flight) = self.pools.local.take(flight) {
            self.part_done(&flight);
        }
    }

    /// One part of a message came to its end.
    pub fn part_done(&self, flight: &Flight) {
        if let Some(work) = flight.part_done() {
            self.end_attempt(work);
        }
    }

    /// Finished, failed, or to be tried again.
    fn end_attempt(&self, mut work: Box<Work>) {
        if work.entry.envelope.pending().next().is_some() {
            self.give_up(&mut work);
            self.warn(&mut work);
        }
        if work.is_report_due() || !work.warnings.is_empty() {
            return self.pools.error_handler.push(work);
        }
        self.close(work);
    }

    /// Who waited for too long has failed (X1).
    fn give_up(&self, work: &mut Work) {
        let now = base::clock::unix_seconds();
        let age = now.saturating_sub(work.entry.envelope.arrived());
        if !self.desk.settings.ages.is_over(&work.entry.envelope, now) {
            return;
        }
        let pending: Vec<usize> = work.entry.envelope.pending().collect();
        for place in pending {
            let text = work.why_waiting(place);
            work.fail(place, "4.4.7", format!("given up after {} hours: {text}", age / 3600));
        }
    }

    /// Whose sender should know that they wait.
    fn warn(&self, work: &mut Work) {
        let now = base::clock::unix_seconds();
        let places = self.desk.settings.ages.warned_of(&work.entry.envelope, now);
        work.warnings = places.into_iter().map(|place| (place, work.why_waiting(place))).collect();
    }

    pub fn report(&self, work: Box<Work>) {
        let id = work.entry.envelope.id.clone();
        let domain = work.entry.deferred_domain().map(str::to_owned);
        self.guarded("error-handler", &id, domain, || self.report_it(work));
    }

    fn report_it(&self, mut work: Box<Work>) {
        if let Err(why) = error_handler::run(&self.desk, &mut work) {
            let id = &work.entry.envelope.id;
            self.desk.log.error(Category::General, format_args!("{id}: the report cannot be queued: {why}"));
            work.delay(format!("the report cannot be queued: {why}"));
        }
        self.close(work);
    }

    /// Nobody waits: the entry goes. Somebody does: it is tried again, here or from the deferred queue.
    fn close(&self, mut work: Box<Work>) {
        let id = work.entry.envelope.id.clone();
        let domain = work.entry.deferred_domain().map(str::to_owned);
        let here = |deferral: &&Deferral| Some(&deferral.domain) == domain.as_ref();
        let unreachable = work.deferrals.iter().find(here).is_some_and(|deferral| deferral.unreachable);
        let next = if work.entry.envelope.is_open() { self.keep(&mut work) } else { None };
        let rests = work.entry.deferred_domain().map(str::to_owned);
        let mut rest = Rest::At(rests.as_deref());
        let kept = match work.damage.take().filter(|_| !work.entry.envelope.is_open()) {
            Some(why) => work.entry.keep_aside(&why),
            None => Ok(()),
        };
        if !work.entry.envelope.is_open() {
            match kept.and_then(|()| work.entry.finish()) {
                Ok(()) => rest = Rest::Gone,
                Err(why) => self
                    .desk
                    .log
                    .error(Category::General, format_args!("{id}: cannot be removed from the queue: {why}")),
            }
        }
        self.commands.end(&id, rest, &|id, obeyed| self.start_ordered(id, obeyed));
        if let Some(domain) = domain {
            self.ended(&domain, Ended { unreachable, next });
        }
    }

    fn ended(&self, domain: &str, how: Ended) {
        let give_out = |entry: Entry| self.pools.account_handler.push(Start::Entry(Box::new(entry)));
        self.deferred.ended(domain, how, &self.timetable, &give_out);
    }

    /// What an administrator's command made due.
    pub fn start_ordered(&self, id: &QueueId, obeyed: Obeyed) {
        let now = base::clock::unix_seconds();
        match obeyed {
            Obeyed::Due => self.timetable.add(now, Due::Message(id.clone())),
            Obeyed::DueAt(domain) => self.deferred.hasten(&domain.to_ascii_lowercase(), now, &self.timetable),
            Obeyed::Nothing => {}
        }
    }

    /// Puts who still waits where they wait, and says when an entry that was deferred before is due again.
    fn keep(&self, work: &mut Work) -> Option<i64> {
        let open = work.entry.envelope.pending().count();
        let is_report_due = work.is_report_due();
        let mut deferrals = std::mem::take(&mut work.deferrals);
        for deferral in &mut deferrals {
            let recipients = &work.entry.envelope.recipients;
            deferral.places.retain(|place| {
                recipients.get(*place).is_some_and(|one| one.state == mail_queue::State::Pending)
            });
        }
        deferrals.retain(|deferral| !deferral.places.is_empty());
        let home = work.entry.deferred_domain().map(str::to_owned);
        for deferral in deferrals {
            let alone = deferral.places.len() == open && !is_report_due;
            if home.as_deref() == Some(deferral.domain.as_str()) {
                let (next, text) = (deferral.next, deferral.text);
                let _ = work.entry.record(0, Step::Attempt { next, text });
                base::crash::step("retry: written down");
                return Some(next);
            }
            if let Err(why) = self.put_off(work, &deferral, alone) {
                let id = &work.entry.envelope.id;
                self.desk.log.error(Category::General, format_args!("{id}: cannot be deferred: {why}"));
                work.delay(deferral.text);
                continue;
            }
            self.deferred.added(&deferral.domain, deferral.next, deferral.unreachable, &self.timetable);
            if alone {
                return None;
            }
        }
        if !work.entry.envelope.is_open() {
            return None; // all were split off
        }
        Some(self.wait_here(work, home.is_some()))
    }

    fn put_off(&self, work: &mut Work, deferral: &Deferral, alone: bool) -> Result<(), QueueError> {
        if alone && work.entry.deferred_domain().is_none() {
            let (next, text) = (deferral.next, deferral.text.clone());
            work.entry.record(0, Step::Attempt { next, text })?;
            base::crash::step("defer: written down");
            return Ok(work.entry.defer(&deferral.domain)?);
        }
        work.entry.split(&deferral.places, &deferral.domain, deferral.next, &deferral.text).map(drop)
    }

    /// Waits where it is: for the disk, the directory, a mailbox that is full, or for room.
    fn wait_here(&self, work: &mut Work, is_deferred: bool) -> i64 {
        let now = base::clock::unix_seconds();
        let id = work.entry.envelope.id.clone();
        let next = if let Some(delay) = work.delay.take() {
            let pause = pause(work.entry.envelope.attempts, self.desk.settings.deferred_period);
            let next = now.saturating_add(pause);
            self.desk
                .log
                .notice(Category::Protocol, format_args!("{id}: {}; tried again in {pause} s", delay.text));
            let _ = work.entry.record(0, Step::Attempt { next, text: delay.text });
            next
        } else {
            let pause = work
                .postponed
                .map_or(POSTPONED_SECONDS, |pause| i64::try_from(pause.as_secs()).unwrap_or(i64::MAX));
            now.saturating_add(pause)
        };
        if !is_deferred {
            self.timetable.add(next, Due::Message(id));
        }
        next
    }
}

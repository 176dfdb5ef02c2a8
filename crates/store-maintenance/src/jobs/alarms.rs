//! Alarms: stored looks at the disks that mail is on and at how soon the services answer, each at its interval, and warns by
//! a line in its log and by mail. (// NMS: `alarm.*`, original.md 1.7.)
//!
//! It is done in a thread of its own, which is there when something is watched: a disk may fill up while the nightly
//! clean-up is at work, and a service that does not answer must not hold up the store. What is known is kept in `counter/alarms`
//! (`counters::alarms`), so that a restart warns nobody again.
//!
//! A warning is written down before its mail is handed over. When nobody takes the mail, that is undone, and the next look
//! warns again. Killed in between, the mail may or may not be on its way: it is not sent twice, and the line is in the log.
//! Who was warned by mail gets one, in the same way, when it is over.

mod disks;
mod notice;
mod responses;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use counters::alarms::{self, WATCHED_MAX, Watched};
use dispatcher::daemon::Site;
use server_config::Config;
use server_config::parameters::general;
use server_log::{Category, Log};

use notice::Notice;

/// Between two looks at the clock.
const TURN: Duration = Duration::from_millis(500);
/// How long the first look waits for smtpd, which is started behind stored and takes the mail.
const SMTPD_WAIT: Duration = Duration::from_secs(60);

/// What was seen of one thing at one look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// As in `counter/alarms`: no blanks.
    pub instance: String,
    /// Percent, or seconds.
    pub value: u64,
    /// It is beyond any threshold: a service that does not answer at all.
    pub is_lost: bool,
}

/// One of the alarms.
struct Alarm {
    name: &'static str,
    description: String,
    /// Seconds between two looks.
    interval: i64,
    rule: Rule,
    look: fn(&Site, &Config, u64) -> Vec<Seen>,
}

/// When it warns.
#[derive(Clone, Copy, Debug)]
struct Rule {
    threshold: u64,
    /// -1 below the threshold, 1 above, 0 never.
    direction: i64,
    /// The least time between two warnings, in seconds.
    warning_interval: i64,
}

impl Rule {
    fn is_beyond(&self, seen: &Seen) -> bool {
        match self.direction {
            ..0 => seen.value < self.threshold,
            0 => false,
            1.. => seen.is_lost || seen.value > self.threshold,
        }
    }
}

impl Rule {
    /// On which side of the threshold it warns.
    fn side(&self) -> &'static str {
        if self.direction < 0 { "below" } else { "above" }
    }
}

/// Those whose interval is not 0.
fn alarms(config: &Config) -> Vec<Alarm> {
    let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let threshold = |number: i64| u64::try_from(number).unwrap_or(0);
    let all = [
        Alarm {
            name: "diskavail",
            description: config.get(&general::DISK_DESCRIPTION),
            interval: seconds(config.get(&general::DISK_INTERVAL)),
            rule: Rule {
                threshold: threshold(config.get(&general::DISK_THRESHOLD)),
                direction: config.get(&general::DISK_DIRECTION),
                warning_interval: seconds(config.get(&general::DISK_WARNING)),
            },
            look: disks::look,
        },
        Alarm {
            name: "serverresponse",
            description: config.get(&general::RESPONSE_DESCRIPTION),
            interval: seconds(config.get(&general::RESPONSE_INTERVAL)),
            rule: Rule {
                threshold: threshold(config.get(&general::RESPONSE_THRESHOLD)),
                direction: config.get(&general::RESPONSE_DIRECTION),
                warning_interval: seconds(config.get(&general::RESPONSE_WARNING)),
            },
            look: responses::look,
        },
    ];
    all.into_iter().filter(|alarm| alarm.interval > 0).collect()
}

/// Starts the thread, if something is to be watched.
pub fn start(site: &Arc<Site>, stopping: &Arc<AtomicBool>) {
    let alarms = alarms(&site.config.now());
    if alarms.is_empty() {
        return;
    }
    let mut watch = Watch { site: site.clone(), stopping: stopping.clone(), known: Vec::new() };
    let thread = thread::Builder::new().name("alarms".into()).spawn(move || watch.run(&alarms));
    if let Err(why) = thread {
        site.log.error(Category::General, format_args!("alarms: nothing is watched: {why}"));
    }
}

struct Watch {
    site: Arc<Site>,
    stopping: Arc<AtomicBool>,
    known: Vec<Watched>,
}

impl Watch {
    fn run(&mut self, alarms: &[Alarm]) {
        let folder = self.site.instance.counter_dir();
        self.known = alarms::read(&folder).unwrap_or_else(|why| {
            self.log().error(Category::General, format_args!("alarms: what was known is not: {why}"));
            Vec::new()
        });
        self.wait_for_smtpd();
        while !self.stops() {
            let now = base::clock::unix_seconds();
            for alarm in alarms {
                if self.is_due(alarm, now) {
                    self.look(alarm);
                }
            }
            thread::sleep(TURN);
        }
    }

    fn log(&self) -> &Log {
        &self.site.log
    }

    fn stops(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Else the first warning after a boot would find nobody.
    fn wait_for_smtpd(&self) {
        let pid = self.site.instance.run_dir().join("smtp.pid");
        let end = Instant::now() + SMTPD_WAIT;
        while !pid.exists() && Instant::now() < end && !self.stops() {
            thread::sleep(TURN);
        }
    }

    /// Whether the last look was long enough ago; also when the clock was put back since.
    fn is_due(&self, alarm: &Alarm, now: i64) -> bool {
        let last = self.known.iter().filter(|one| one.alarm == alarm.name).map(|one| one.set).max();
        last.is_none_or(|last| last > now || now.saturating_sub(last) >= alarm.interval)
    }

    fn look(&mut self, alarm: &Alarm) {
        let config = self.site.config.now();
        let seen = (alarm.look)(&self.site, &config, alarm.rule.threshold);
        let now = base::clock::unix_seconds();
        for one in &seen {
            let event = note(self.place(alarm.name, &one.instance), one, &alarm.rule, now);
            self.keep();
            match event {
                Event::Nothing => {}
                Event::Over => self.tell_end(alarm, one),
                Event::Warn { former, told } => self.warn(alarm, one, former, told),
            }
            self.mail_end(alarm, &one.instance, now);
        }
        self.leave_out(alarm, &seen, now);
        self.keep();
    }

    /// What is known of it; new, when nothing is.
    fn place(&mut self, alarm: &str, instance: &str) -> &mut Watched {
        let at = self.known.iter().position(|one| one.alarm == alarm && one.instance == instance);
        let at = at.unwrap_or_else(|| {
            self.known.truncate(WATCHED_MAX - 1);
            let (alarm, instance) = (alarm.to_owned(), instance.to_owned());
            self.known.push(Watched { alarm, instance, low: u64::MAX, ..Watched::default() });
            self.known.len() - 1
        });
        &mut self.known[at]
    }

    fn keep(&self) {
        if let Err(why) = alarms::write(&self.site.instance.counter_dir(), &self.known) {
            self.log().error(Category::General, format_args!("alarms: what is known is not kept: {why}"));
        }
    }

    fn tell_end(&self, alarm: &Alarm, seen: &Seen) {
        let (name, instance, value) = (alarm.name, &seen.instance, seen.value);
        let text = format_args!("alarm {name}: {instance} is {value}: it is over");
        self.log().notice(Category::General, text);
    }

    /// The mail that it is over, to whom a mail had warned. When nobody takes it, the next look tries again, until a warning would be
    /// due again.
    fn mail_end(&mut self, alarm: &Alarm, instance: &str, now: i64) {
        let known = self.place(alarm.name, instance);
        if known.is_over || !known.is_told {
            return;
        }
        known.is_told = false;
        let (value, watched) = (known.current, known.set == now);
        let again = known.last_warning.saturating_add(alarm.rule.warning_interval);
        self.keep();
        let Rule { threshold, .. } = alarm.rule;
        let side = alarm.rule.side();
        let body = match watched {
            true => {
                format!("{instance} is {value}: not {side} the threshold of {threshold} any more, it is over")
            }
            false => format!("{instance} is not watched any more: it is over"),
        };
        let (name, description) = (alarm.name, alarm.description.as_str());
        let notice = Notice { alarm: name, description, instance, value, body: &body, over: Some(again) };
        if let Err(why) = notice.send(&self.site, &self.site.config.now()) {
            let (goes_on, then) =
                if now < again { (true, "the next look tries again") } else { (false, "none will be sent") };
            let text = format_args!("alarm {name}: no mail that {instance} is over, {then}: {why}");
            self.log().error(Category::General, text);
            self.place(name, instance).is_told = goes_on;
            self.keep();
        }
    }

    /// `former` is when it had been warned of before, `told` whether an end of that was still to be told.
    fn warn(&mut self, alarm: &Alarm, seen: &Seen, former: i64, told: bool) {
        let threshold = alarm.rule.threshold;
        let side = alarm.rule.side();
        let state = if seen.is_lost { ", and does not answer" } else { "" };
        let (name, instance, value) = (alarm.name, &seen.instance, seen.value);
        let body = format!("{instance} is {value}{state}: {side} the threshold of {threshold}");
        let text = format_args!("alarm {name}: {body} ({})", alarm.description);
        self.log().warning(Category::General, text);
        let config = self.site.config.now();
        let description = alarm.description.as_str();
        let notice = Notice { alarm: name, description, instance, value, body: &body, over: None };
        match notice.send(&self.site, &config) {
            Ok(()) => {}
            Err(why) => {
                let text =
                    format_args!("alarm {name}: no mail about {instance}, the next look tries again: {why}");
                self.log().error(Category::General, text);
                let known = self.place(name, instance);
                known.last_warning = former;
                known.warned = known.warned.saturating_sub(1);
                known.is_told = told;
                self.keep();
            }
        }
    }

    /// What is not watched any more, a service that was stopped, a partition that is gone, is beyond nothing.
    fn leave_out(&mut self, alarm: &Alarm, seen: &[Seen], now: i64) {
        let is_seen = |one: &Watched| seen.iter().any(|seen| seen.instance == one.instance);
        for one in self.known.iter_mut().filter(|one| one.alarm == alarm.name) {
            if one.is_over && !is_seen(one) {
                (one.is_over, one.changed) = (false, now);
                let (name, instance) = (alarm.name, &one.instance);
                let text = format_args!("alarm {name}: {instance} is not watched any more: it is over");
                self.site.log.notice(Category::General, text);
            }
        }
        let of_alarm = self.known.iter().filter(|one| one.alarm == alarm.name && !is_seen(one));
        let gone: Vec<String> = of_alarm.map(|one| one.instance.clone()).collect();
        gone.iter().for_each(|instance| self.mail_end(alarm, instance, now));
    }
}

/// What is to be done about what was seen.
#[derive(Debug, PartialEq, Eq)]
enum Event {
    Nothing,
    /// It is not beyond the threshold any more.
    Over,
    /// `former`: when it was warned of before; `told`: by a mail whose end is still to be told.
    Warn {
        former: i64,
        told: bool,
    },
}

/// Takes down what was seen; a warning counts as sent.
fn note(known: &mut Watched, seen: &Seen, rule: &Rule, now: i64) -> Event {
    (known.current, known.set) = (seen.value, now);
    (known.low, known.high) = (known.low.min(seen.value), known.high.max(seen.value));
    let (was, is) = (known.is_over, rule.is_beyond(seen));
    if was != is {
        (known.is_over, known.changed) = (is, now);
        known.over = known.over.saturating_add(u64::from(is));
    }
    // One that is still to come is of a clock that was put back.
    let last = known.last_warning.min(now);
    let is_due = known.last_warning == 0 || now.saturating_sub(last) >= rule.warning_interval;
    match (was, is) {
        (true, false) => Event::Over,
        (_, true) if is_due => {
            known.last_warning = now;
            known.warned = known.warned.saturating_add(1);
            let told = std::mem::replace(&mut known.is_told, true);
            Event::Warn { former: last, told }
        }
        _ => {
            known.last_warning = last;
            Event::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_SECONDS: i64 = 3600;
    const RULE: Rule = Rule { threshold: 10, direction: -1, warning_interval: 24 * HOUR_SECONDS };

    fn seen(value: u64) -> Seen {
        Seen { instance: "primary".into(), value, is_lost: false }
    }

    #[test]
    fn it_warns_at_the_threshold_once_in_its_interval_and_says_when_it_is_over() {
        let mut known = Watched { low: u64::MAX, ..Watched::default() };
        let start = 1_764_500_000;
        let mut at =
            |hours: i64, value: u64| note(&mut known, &seen(value), &RULE, start + hours * HOUR_SECONDS);
        assert_eq!(at(0, 10), Event::Nothing, "at the threshold");
        assert_eq!(at(1, 9), Event::Warn { former: 0, told: false });
        assert_eq!(at(2, 8), Event::Nothing);
        assert_eq!(at(3, 50), Event::Over);
        assert_eq!(at(4, 50), Event::Nothing);
        assert_eq!(at(5, 9), Event::Nothing, "again within a day");
        assert_eq!(at(24, 9), Event::Nothing);
        assert_eq!(at(25, 9), Event::Warn { former: start + HOUR_SECONDS, told: true });
        assert_eq!(at(10, 9), Event::Nothing, "the clock was put back");
        assert_eq!(at(34, 9), Event::Warn { former: start + 10 * HOUR_SECONDS, told: true });
        assert_eq!((known.low, known.high, known.over, known.warned), (8, 50, 2, 3));
    }

    #[test]
    fn directions_are_below_above_and_never() {
        let rule = |direction| Rule { direction, ..RULE };
        for (direction, below, equal, above) in
            [(-1, true, false, false), (1, false, false, true), (0, false, false, false)]
        {
            let is = |value| rule(direction).is_beyond(&seen(value));
            assert_eq!((is(9), is(10), is(11)), (below, equal, above), "{direction}");
        }
        let lost = Seen { is_lost: true, ..seen(1) };
        assert!(rule(1).is_beyond(&lost) && !rule(0).is_beyond(&lost));
    }

    #[test]
    fn the_defaults_are_those_of_the_original_and_an_interval_of_0_is_off() {
        let all = alarms(&Config::from_text("").unwrap());
        let numbers: Vec<_> =
            all.iter().map(|one| (one.name, one.interval, one.rule.threshold, one.rule.direction)).collect();
        assert_eq!(numbers, [("diskavail", 3600, 10, -1), ("serverresponse", 600, 10, 1)]);
        let off = "alarm.diskavail.msgalarmstatinterval = 0\nalarm.serverresponse.msgalarmstatinterval = 0\n";
        assert!(alarms(&Config::from_text(off).unwrap()).is_empty());
    }
}

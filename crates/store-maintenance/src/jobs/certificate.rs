//! Has the certificate ordered and renewed by ACME, in a thread of its own: the authority is slow, and the store waits for nobody.
//! When the process ends the thread is left where it is, as by a crash; what it had ordered goes on at the next start.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use acme::{Bound, Challenges, Outcome, Settings, Wish};
use dispatcher::daemon::Site;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use server_config::parameters::{service_acme, service_http};
use server_log::Category;

/// Between two looks, which read a file or two.
const LOOK_MAX: Duration = Duration::from_secs(60);
/// How long mshttpd is waited for, which is started behind stored and answers the authority.
const ANSWERER_WAIT: Duration = Duration::from_secs(30);
/// How soon the thread sees that it is to end.
const STOP_INTERVAL: Duration = Duration::from_millis(500);

/// Binds `service.acme.port`, while that is allowed.
///
/// # Errors
/// One line.
pub fn bind(site: &Site) -> Result<Option<Bound>, String> {
    let port = site.config.now().get(&service_acme::PORT);
    if port == 0 || site.config.now().get(&service_acme::NAMES).is_empty() {
        return Ok(None);
    }
    let addresses: Vec<SocketAddr> = site.sockets(port)?;
    Bound::at(&addresses).map(Some).map_err(|why| format!("service.acme.port: {why}"))
}

/// Starts the thread, if there is something to order. A configuration with which nothing can be ordered is told, and keeps
/// nobody from the store.
pub fn start(site: &Arc<Site>, bound: Option<Bound>, stopping: &Arc<AtomicBool>) {
    let told = |why: String| site.log.error(Category::General, format_args!("ACME: {why}"));
    if let Some(bound) = bound {
        let challenges = Challenges::new(&site.instance.acme_challenges_dir());
        if let Err(why) = bound.answer(&challenges) {
            told(format!("service.acme.port: {why}"));
        }
    }
    match Settings::from_config(&site.instance, &site.config.now()) {
        Err(why) => told(why),
        Ok(None) => {}
        Ok(Some(_)) => {
            let work = Work { site: site.clone(), stopping: stopping.clone() };
            let thread = thread::Builder::new().name("acme".into()).spawn(move || work.run());
            if let Err(why) = thread {
                told(why.to_string());
            }
        }
    }
}

struct Work {
    site: Arc<Site>,
    stopping: Arc<AtomicBool>,
}

impl Work {
    fn run(&self) {
        self.wait_for_answerer();
        let mut told = None;
        while !self.stops() {
            // Names and directory are those of the start (the sandbox is made for them); the rest is read again.
            let next = match Settings::from_config(&self.site.instance, &self.site.config.now()) {
                Ok(Some(settings)) => {
                    let outcome = acme::renew(&settings, Wish::Due, Duration::ZERO, &|| self.stops());
                    self.tell(&outcome, &mut told);
                    next(&outcome)
                }
                _ => i64::MAX, // told at the start, or by the tools
            };
            let left = u64::try_from(next.saturating_sub(base::clock::unix_seconds())).unwrap_or(0);
            self.sleep(Duration::from_secs(left.max(1)).min(LOOK_MAX));
        }
    }

    fn stops(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    fn sleep(&self, time: Duration) {
        let end = Instant::now() + time;
        while !self.stops() && Instant::now() < end {
            thread::sleep(STOP_INTERVAL.min(end.saturating_duration_since(Instant::now())));
        }
    }

    /// Else the first order of a new host would fail, and be waited for.
    fn wait_for_answerer(&self) {
        let config = self.site.config.now();
        let is_ours = config.get(&service_acme::PORT) != 0;
        let pid = self.site.instance.run_dir().join("http.pid");
        let end = Instant::now() + ANSWERER_WAIT;
        while !is_ours && config.get(&service_http::ENABLE) && !is_alive(&pid) && Instant::now() < end {
            self.sleep(STOP_INTERVAL);
            if self.stops() {
                return;
            }
        }
    }

    /// What is new is told once.
    fn tell(&self, outcome: &Outcome, told: &mut Option<Outcome>) {
        let log = &self.site.log;
        let is_new = told.as_ref() != Some(outcome);
        match outcome {
            Outcome::NotDue { .. } | Outcome::Busy => {}
            Outcome::Issued(found) => log.notice(
                Category::General,
                format_args!(
                    "ACME: a new certificate for {} is in use, until {}",
                    found.names.join(" "),
                    local(found.ends)
                ),
            ),
            Outcome::Failed { why, next } => log.error(
                Category::General,
                format_args!(
                    "ACME: no new certificate: {why}. The present one stays in use; next attempt {}",
                    local(*next)
                ),
            ),
            Outcome::Waits { until, why } if is_new => log.warning(
                Category::General,
                format_args!(
                    "ACME: a certificate is due, and is not ordered before {}: {why}",
                    local(*until)
                ),
            ),
            Outcome::Waits { .. } => {}
        }
        *told = Some(outcome.clone());
    }
}

/// When it is to be looked again.
fn next(outcome: &Outcome) -> i64 {
    match outcome {
        Outcome::NotDue { at } => *at,
        Outcome::Waits { until, .. } => *until,
        Outcome::Failed { next, .. } => *next,
        Outcome::Issued(_) | Outcome::Busy => 0,
    }
}

/// Whether the process of a pid file is there; a file that a former one left says nothing.
fn is_alive(file: &Path) -> bool {
    let pid = std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse::<u32>().ok());
    pid.is_some_and(|pid| Path::new("/proc").join(pid.to_string()).exists())
}

fn local(second: i64) -> String {
    let at = Timestamp::from_second(second).unwrap_or_default().to_zoned_datetime(TimeZone::system());
    at.strftime("%Y-%m-%d %H:%M:%S %z").to_string()
}

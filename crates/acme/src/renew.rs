//! Whether a certificate is due, and what comes of ordering it. One at a time on an instance, whoever wants it: who finds the lock
//! free looks again what is due.

use std::sync::Arc;
use std::time::Duration;

use os::lock::{Mode, OfdLock};

use crate::Settings;
use crate::client::Error;
use crate::order::{self, Caller};
use crate::pair::{Installed, Ordered, Pair, Place};
use crate::state::State;

/// Of a certificate's life, in percent: hosts that got theirs together do not come back together.
const SPREAD_PERCENT: i64 = 3;
/// Before the next look, when not even the state can be written.
const BROKEN_WAIT: i64 = 3_600;

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// What is due, when the time has come for another attempt.
    Due,
    /// What is due, whatever failed before.
    Now,
    /// A new certificate, due or not.
    Another,
}

/// What came of it. Seconds are since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It will be then.
    NotDue { at: i64 },
    /// It is due, and nobody asks before then.
    Waits { until: i64, why: String },
    /// Somebody else is at it.
    Busy,
    /// It is in use.
    Issued(Installed),
    /// What was in use before still is.
    Failed { why: String, next: i64 },
}

/// What there is to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub installed: Option<Installed>,
    /// When a new one is due, and why if that is now.
    pub due: (i64, &'static str),
    pub state: State,
    /// When one may be ordered by itself.
    pub next: i64,
}

/// # Errors
/// The state cannot be read: one line.
pub fn status(settings: &Settings, now: i64) -> Result<Status, String> {
    let installed = place(settings).installed();
    let mut state = State::read(&settings.folder).map_err(|why| told(settings, &why))?;
    state.want(&wanted(settings));
    let due = due(settings, installed.as_ref(), now);
    // One that was broken off is taken up, however many there were.
    let sends = !order::is_pending(settings);
    let order_at = if sends { state.may_order_at(now, settings.orders_max) } else { now };
    let free = state.may_try_at(now).max(order_at);
    Ok(Status { installed, due, next: due.0.max(free), state })
}

/// Orders what is wanted, waiting for others to finish for so long.
pub fn renew(settings: &Settings, wish: Wish, wait: Duration, stop: &dyn Fn() -> bool) -> Outcome {
    match try_renew(settings, wish, wait, stop) {
        Ok(outcome) => outcome,
        Err(why) => Outcome::Failed { why, next: base::clock::unix_seconds() + BROKEN_WAIT },
    }
}

fn try_renew(
    settings: &Settings,
    wish: Wish,
    wait: Duration,
    stop: &dyn Fn() -> bool,
) -> Result<Outcome, String> {
    if wish == Wish::Due
        && let Some(outcome) = nothing_to_do(settings, wish)?
    {
        return Ok(outcome); // without a lock: so it is nearly always
    }
    place(settings).prepare()?;
    let file = base::replace::lock_file(&settings.folder.join("lock")).map_err(|why| told(settings, &why))?;
    let _lock = match OfdLock::acquire(&Arc::new(file), 0, Mode::Exclusive, wait) {
        Ok(lock) => lock,
        Err(why) if why.kind() == std::io::ErrorKind::TimedOut => return Ok(Outcome::Busy),
        Err(why) => return Err(told(settings, &why)),
    };
    match nothing_to_do(settings, wish)? {
        Some(outcome) => Ok(outcome),
        None => attempt(settings, stop),
    }
}

fn nothing_to_do(settings: &Settings, wish: Wish) -> Result<Option<Outcome>, String> {
    let now = base::clock::unix_seconds();
    let Status { due, state, .. } = status(settings, now)?;
    if wish != Wish::Another && due.0 > now {
        return Ok(Some(Outcome::NotDue { at: due.0 }));
    }
    let until = if wish == Wish::Due { state.may_try_at(now) } else { now };
    if until > now {
        return Ok(Some(Outcome::Waits { until, why: state.error }));
    }
    let until = state.may_order_at(now, settings.orders_max);
    if until > now && !order::is_pending(settings) {
        return Ok(Some(Outcome::Waits { until, why: too_many(settings) }));
    }
    Ok(None)
}

fn too_many(settings: &Settings) -> String {
    format!("{} orders within 24 hours (service.acme.ordersmax)", settings.orders_max)
}

/// With the lock.
fn attempt(settings: &Settings, stop: &dyn Fn() -> bool) -> Result<Outcome, String> {
    let place = place(settings);
    let written = |state: &State| state.write(&settings.folder).map_err(|why| told(settings, &why));
    let before = status(settings, base::clock::unix_seconds())?.state;
    // As if it had failed: so it has if nobody comes back from here.
    let mut state = before.clone();
    state.failed(base::clock::unix_seconds(), "it was broken off", None, chance());
    written(&state)?;
    let mut may_order = || {
        let now = base::clock::unix_seconds();
        let until = state.may_order_at(now, settings.orders_max);
        if until > now {
            let wait = Duration::from_secs(u64::try_from(until - now).unwrap_or(0));
            return Err(Error { retry_after: Some(wait), ..Error::new(too_many(settings)) });
        }
        state.ordered(now);
        written(&state).map_err(Error::new)
    };
    let obtained = if settings.agrees {
        obtain_another(settings, &place, &mut Caller { may_order: &mut may_order, stop })
    } else {
        Err(Error::new("service.acme.agreetos is not yes: nothing is ordered (msg-acme terms)"))
    };
    let installed = obtained.and_then(|pair| {
        base::crash::step("acme: certificate obtained");
        let order = Ordered { directory: &settings.directory.to_string(), names: &settings.names };
        place.install(&pair, &order).map_err(Error::new)
    });
    // Of the attempt itself, as if it had not been told to have failed.
    let mut state = State { orders: state.orders, ..before };
    let now = base::clock::unix_seconds();
    match installed {
        Ok(()) => {
            let found = place.installed().ok_or("the certificate cannot be read back")?;
            state.went_well(now, found.ends - found.begins);
            written(&state)?;
            order::forget(settings);
            Ok(Outcome::Issued(found))
        }
        Err(why) => {
            state.failed(now, &why.why, why.retry_after, chance());
            written(&state)?;
            Ok(Outcome::Failed { why: why.why, next: state.next })
        }
    }
}

/// A certificate that is not in use. One that is comes of an order that was broken off when its pair was in use, before that was
/// noted: it is over, and the next is made.
fn obtain_another(settings: &Settings, place: &Place<'_>, caller: &mut Caller<'_>) -> Result<Pair, Error> {
    let reused = || if settings.reuse_key { place.key() } else { None };
    let pair = order::obtain(settings, reused(), caller)?;
    if !place.shows(&pair) {
        return Ok(pair);
    }
    order::forget(settings);
    order::obtain(settings, reused(), caller)
}

/// When a new certificate is due, and why if it is now.
fn due(settings: &Settings, installed: Option<&Installed>, now: i64) -> (i64, &'static str) {
    let Some(found) = installed else { return (now, "there is none") };
    let mut names = settings.names.clone();
    names.sort();
    if found.directory.is_none() {
        return (now, "the present one was not ordered here");
    }
    if !found.fits {
        return (now, "the present one does not fit its key");
    }
    if found.directory.as_deref() != Some(settings.directory.to_string().as_str()) {
        return (now, "the present one is from another directory");
    }
    // What was asked for, not what came: an authority that adds a name would be asked for another each time.
    let lacks = names.iter().any(|name| !found.names.contains(name));
    if lacks || *found.ordered.as_ref().unwrap_or(&found.names) != names {
        return (now, "the names are others");
    }
    let life = found.ends - found.begins;
    let early = life * SPREAD_PERCENT / 100 * i64::from(found.chance) / 255;
    let at = found.ends - life * settings.renew_percent / 100 - early;
    (at, if at <= now { "the present one is near its end" } else { "" })
}

/// What failures are about: when one of these is another, a new attempt may go well.
fn wanted(settings: &Settings) -> String {
    let Settings { directory, names, contact, agrees, authorities, external, port, .. } = settings;
    let (names, contact) = (names.join(" "), contact.join(" "));
    let authorities = authorities.as_ref().map_or("-".into(), |file| file.display().to_string());
    let external = external.as_ref().map_or("-", |(kid, _)| kid);
    format!("{directory} | {names} | {contact} | {agrees} | {authorities} | {external} | {port}")
}

fn place(settings: &Settings) -> Place<'_> {
    Place { folder: &settings.folder, chain: &settings.place.0, key: &settings.place.1 }
}

fn told(settings: &Settings, why: &std::io::Error) -> String {
    format!("{}: {why}", settings.folder.display())
}

fn chance() -> u8 {
    let mut byte = [0];
    let _ = openssl::rand::rand_bytes(&mut byte);
    byte[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use server_config::{Config, Instance};

    fn settings(root: &std::path::Path, more: &str) -> Settings {
        let text = format!(
            "service.acme.names = b.test a.test\nservice.acme.directory = https://127.0.0.1:1/d\n{more}"
        );
        Settings::from_config(&Instance::new(root), &Config::from_text(&text).unwrap()).unwrap().unwrap()
    }

    fn installed() -> Installed {
        Installed {
            names: vec!["a.test".into(), "b.test".into()],
            issuer: String::new(),
            serial: String::new(),
            public: Vec::new(),
            begins: 0,
            ends: 90_000,
            fits: true,
            directory: Some("https://127.0.0.1:1/d".into()),
            ordered: Some(vec!["a.test".into(), "b.test".into()]),
            chance: 0,
        }
    }

    #[test]
    fn a_certificate_is_due_when_a_third_of_its_life_is_left_or_something_is_another() {
        let settings = settings(std::path::Path::new("/i"), "");
        let due = |found: &Installed| super::due(&settings, Some(found), 10);
        assert_eq!(due(&installed()), (60_300, ""));
        assert_eq!(due(&Installed { chance: 255, ..installed() }), (60_300 - 2_700, ""));
        let more = vec!["a.test".to_owned(), "b.test".into(), "www.b.test".into()];
        let added = Installed { names: more.clone(), ..installed() };
        assert_eq!(due(&added), (60_300, ""), "the authority added a name");
        for (found, why) in [
            (Installed { directory: None, ..installed() }, "not ordered here"),
            (Installed { directory: Some("https://other.test/".into()), ..installed() }, "another directory"),
            (Installed { names: vec!["a.test".into()], ..installed() }, "others"),
            (Installed { ordered: Some(vec!["a.test".into()]), ..installed() }, "others"),
            (Installed { names: more.clone(), ordered: None, ..installed() }, "others"),
            (Installed { fits: false, ..installed() }, "fit"),
            (Installed { begins: -90_000, ends: 10, ..installed() }, "end"),
        ] {
            let (at, said) = due(&found);
            assert!(at <= 10 && said.contains(why), "{said}");
        }
        assert_eq!(super::due(&settings, None, 10).0, 10);
    }

    #[test]
    fn an_authority_that_is_away_is_asked_once_and_then_waited_for() {
        let top = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(top.path().join("config/certs")).unwrap();
        let settings = settings(top.path(), "service.acme.agreetos = yes\n");
        let go = |wish| renew(&settings, wish, Duration::ZERO, &|| false);
        let Outcome::Failed { why, next } = go(Wish::Due) else { panic!("an order without an authority") };
        assert!(why.contains("127.0.0.1:1"), "{why}");
        assert_eq!(go(Wish::Due), Outcome::Waits { until: next, why: why.clone() });
        let Outcome::Failed { next: later, .. } = go(Wish::Now) else { panic!("by hand it is tried") };
        assert!(later > next + 60);
        let kept = status(&settings, base::clock::unix_seconds()).unwrap();
        assert_eq!((kept.state.failures, kept.state.error, kept.state.orders.len()), (2, why, 0));
        let file = base::replace::lock_file(&settings.folder.join("lock")).unwrap();
        let _held = OfdLock::try_acquire(&Arc::new(file), 0, Mode::Exclusive).unwrap().unwrap();
        assert_eq!(go(Wish::Now), Outcome::Busy);
    }

    #[test]
    fn what_was_broken_off_is_taken_up_however_many_orders_there_were() {
        let top = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(top.path().join("config/certs")).unwrap();
        let settings = settings(top.path(), "service.acme.agreetos = yes\nservice.acme.ordersmax = 1\n");
        let now = base::clock::unix_seconds();
        place(&settings).prepare().unwrap();
        let state = State { wanted: wanted(&settings), orders: vec![now], ..State::default() };
        state.write(&settings.folder).unwrap();
        let go = || renew(&settings, Wish::Now, Duration::ZERO, &|| false);
        assert!(matches!(go(), Outcome::Waits { until, .. } if until > now + 80_000));
        let note = serde_json::json!({
            "format": "Mailboat ACME order 1",
            "order": "https://127.0.0.1:1/order",
            "directory": settings.directory.to_string(),
            "names": settings.names,
            "made": now,
        });
        std::fs::write(settings.folder.join("order.json"), note.to_string()).unwrap();
        std::fs::write(settings.folder.join("order.key"), "a key").unwrap();
        assert_eq!(status(&settings, now).unwrap().next, now);
        let Outcome::Failed { why, .. } = go() else { panic!("it was not taken up") };
        assert!(why.contains("127.0.0.1:1"), "{why}");
    }

    #[test]
    fn without_consent_nobody_is_asked() {
        let top = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(top.path().join("config/certs")).unwrap();
        let settings = settings(top.path(), "");
        let Outcome::Failed { why, .. } = renew(&settings, Wish::Due, Duration::ZERO, &|| false) else {
            panic!("it was asked");
        };
        assert!(why.contains("agreetos"), "{why}");
        assert_eq!(std::fs::read_dir(&settings.folder).unwrap().count(), 2, "lock and state, and no account");
    }
}

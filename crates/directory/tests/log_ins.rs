//! Log-ins over a directory that is slow on purpose.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::time::{Duration, Instant};

use directory::guesses::Limits;
use directory::log_ins::LogInSettings;
use directory::{
    Answer, Asked, Authenticator, Directory, Entry, Found, LogIn, LogIns, Mechanisms, Pending, Result,
    Service,
};
use sasl::Secret;

/// Everybody exists, and the password is the uid. Checks wait while the gate is shut.
#[derive(Default)]
struct Gate {
    /// Whether it is open, and whose passwords were checked.
    state: Mutex<(bool, Vec<String>)>,
    changed: Condvar,
}

impl Gate {
    fn open(&self) {
        self.state.lock().unwrap().0 = true;
        self.changed.notify_all();
    }

    fn shut(&self) {
        self.state.lock().unwrap().0 = false;
    }

    fn checked(&self) -> Vec<String> {
        self.state.lock().unwrap().1.clone()
    }

    /// Waits until so many checks were begun.
    fn wait_for(&self, count: usize) {
        let state = self.state.lock().unwrap();
        let limit = Duration::from_secs(60);
        let waited = self.changed.wait_timeout_while(state, limit, |state| state.1.len() < count).unwrap();
        assert!(!waited.1.timed_out(), "no {count} checks: {:?}", waited.0.1);
    }
}

impl Directory for Gate {
    fn by_address(&self, _address: &str) -> Result<Found> {
        Ok(Found::Nobody)
    }
    fn by_uid(&self, uid: &str) -> Result<Found> {
        let attributes = BTreeMap::from([
            ("objectclass".to_owned(), vec!["mailRecipient".to_owned()]),
            ("uid".to_owned(), vec![uid.to_owned()]),
            ("mail".to_owned(), vec![format!("{uid}@x.test")]),
        ]);
        let entry = Entry::from_attributes(&format!("uid={uid}"), attributes);
        Ok(entry.map_or(Found::Nobody, |entry| Found::One(Arc::new(entry))))
    }
    fn check_password(&self, entry: &Entry, password: &str) -> Result<bool> {
        let uid = entry.uid.clone().unwrap_or_default();
        assert!(uid != "panic", "expected in this test");
        let mut state = self.state.lock().unwrap();
        state.1.push(uid.clone());
        self.changed.notify_all();
        let _open = self.changed.wait_while(state, |state| !state.0).unwrap();
        Ok(uid == password)
    }
    fn check_nobody(&self, _password: &str) {}
    fn users(&self, _after: Option<&str>, _limit: usize) -> Result<Vec<Arc<Entry>>> {
        Ok(Vec::new())
    }
}

struct Desk {
    gate: Arc<Gate>,
    log_ins: LogIns,
    tell: mpsc::Sender<()>,
    told: mpsc::Receiver<()>,
}

fn desk(threads: usize, line_max: usize) -> Desk {
    let gate = Arc::new(Gate::default());
    let limits = Limits {
        address_max: 5,
        network_max: 50,
        account_max: 1000,
        space_max: Duration::from_secs(120),
        remembered_for: Duration::from_secs(3600),
        known_for: Duration::from_secs(3600),
        entries_max: 1000,
    };
    let settings =
        LogInSettings { threads: Some(threads), line_max, limits, mechanisms: Mechanisms::default() };
    let authenticator = Authenticator::with_cache(gate.clone(), Duration::ZERO, 0);
    let (tell, told) = mpsc::channel();
    Desk { gate, log_ins: LogIns::with(authenticator, settings), tell, told }
}

impl Desk {
    fn ask(&self, login: &str, password: &str, peer: [u8; 4]) -> Answer {
        let asked = Asked {
            service: Service::Imap,
            login: login.to_owned(),
            password: Secret::new(password.to_owned()),
            peer: IpAddr::from(peer),
        };
        let tell = self.tell.clone();
        self.log_ins.ask(asked, move || tell.send(()).unwrap_or_default())
    }

    fn later(&self, login: &str, password: &str, peer: [u8; 4]) -> Pending {
        match self.ask(login, password, peer) {
            Answer::Later(pending) => pending,
            Answer::Now(log_in) => panic!("{login}: {log_in:?}"),
        }
    }

    fn wait(&self) {
        self.told.recv_timeout(Duration::from_secs(60)).unwrap();
    }
}

const HERE: [u8; 4] = [127, 0, 0, 1];

#[test]
fn nobody_waits_for_a_directory_that_does_not_answer() {
    let desk = desk(2, 100);
    let begin = Instant::now();
    let pending: Vec<Pending> =
        (0..100).map(|number| desk.later(&format!("u{number}"), "wrong", HERE)).collect();
    assert!(begin.elapsed() < Duration::from_secs(20), "asking took {:?}", begin.elapsed());
    desk.gate.wait_for(2);
    assert!(pending.iter().all(|pending| pending.take().is_none()));
    assert_eq!(desk.gate.checked().len(), 2, "two threads and no more");
    desk.gate.open();
    for _ in 0..100 {
        desk.wait();
    }
    assert!(pending.iter().all(|pending| matches!(pending.take(), Some(LogIn::Refused))));
}

#[test]
fn the_line_is_bounded_and_one_network_has_a_quarter_of_it() {
    let desk = desk(1, 20);
    let first = desk.later("first", "x", HERE);
    desk.gate.wait_for(1); // it is being checked and no longer waits
    let mut waiting: Vec<Pending> =
        (0..5).map(|number| desk.later(&format!("u{number}"), "x", [192, 0, 2, number])).collect();
    assert!(matches!(desk.ask("u", "x", [192, 0, 2, 9]), Answer::Now(LogIn::Busy)));
    waiting.extend((0..15).map(|number| desk.later(&format!("v{number}"), "x", [10, number, 0, 1])));
    assert!(matches!(desk.ask("u", "x", [10, 99, 0, 1]), Answer::Now(LogIn::Busy)));
    desk.gate.open();
    for _ in 0..21 {
        desk.wait();
    }
    waiting.push(first);
    assert!(waiting.iter().all(|pending| matches!(pending.take(), Some(LogIn::Refused))));
    desk.later("u", "x", [192, 0, 2, 9]);
}

#[test]
fn who_is_known_goes_first_and_who_is_gone_is_not_checked() {
    let desk = desk(1, 20);
    desk.gate.open();
    let alice = desk.later("alice", "alice", [192, 0, 2, 1]);
    desk.wait();
    assert!(matches!(alice.take(), Some(LogIn::Accepted(_))));
    desk.gate.shut();
    let _first = desk.later("first", "x", HERE);
    desk.gate.wait_for(2);
    let gone = desk.later("gone", "x", HERE);
    let _stranger = desk.later("stranger", "x", HERE);
    let _alice = desk.later("alice", "alice", [192, 0, 2, 77]);
    drop(gone);
    desk.gate.open();
    for _ in 0..3 {
        desk.wait();
    }
    assert_eq!(desk.gate.checked(), ["alice", "first", "alice", "stranger"]);
}

/// On as many connections as a guesser likes: what was admitted before the others were found wrong is looked at again.
#[test]
fn a_burst_of_guesses_is_checked_no_faster_than_one_after_the_other() {
    let desk = desk(1, 1000);
    let pending: Vec<Pending> =
        (0..200).map(|number| desk.later(&format!("u{number}"), "x", [192, 0, 2, 1])).collect();
    desk.gate.open();
    for _ in 0..150 {
        desk.wait();
    }
    let checked = desk.gate.checked().len();
    assert!((5..=10).contains(&checked), "{checked} of 200 were checked");
    let put_off =
        pending.iter().filter(|pending| matches!(pending.take(), Some(LogIn::TooManyGuesses))).count();
    assert!(put_off >= 140, "{put_off}");
    assert!(matches!(desk.ask("u", "x", [192, 0, 2, 1]), Answer::Now(LogIn::TooManyGuesses)));
    let _bob = desk.later("bob", "bob", [192, 0, 3, 1]); // and nobody else has to wait for it
    desk.gate.wait_for(checked + 1);
}

#[test]
fn a_check_that_panics_is_an_answer_too() {
    let desk = desk(1, 10);
    desk.gate.open();
    let pending = desk.later("panic", "x", HERE);
    desk.wait();
    assert!(matches!(pending.take(), Some(LogIn::Unavailable(_))));
    let pending = desk.later("alice", "alice", HERE);
    desk.wait();
    assert!(matches!(pending.take(), Some(LogIn::Accepted(_))));
}

#[test]
fn what_is_remembered_is_answered_at_once() {
    let gate = Arc::new(Gate::default());
    gate.open();
    let config = server_config::Config::from_text("local.hostname = a.test\n").unwrap();
    let settings = LogInSettings::from_config(&config, &server_config::Instance::new("/nowhere")).unwrap();
    let authenticator = Authenticator::with_cache(gate.clone(), Duration::from_secs(900), 10);
    let (tell, told) = mpsc::channel();
    let desk = Desk { gate, log_ins: LogIns::with(authenticator, settings), tell, told };
    let pending = desk.later("alice", "alice", HERE);
    desk.wait();
    assert!(matches!(pending.take(), Some(LogIn::Accepted(_))));
    assert!(matches!(desk.ask("alice", "alice", HERE), Answer::Now(LogIn::Accepted(_))));
    assert_eq!(desk.gate.checked().len(), 1);
}

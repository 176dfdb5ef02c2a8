use super::*;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
use crate::DirectoryError;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts what it is asked; everybody's password is the uid.
#[derive(Default)]
struct Counting {
    searches: AtomicUsize,
    checks: AtomicUsize,
    down: std::sync::atomic::AtomicBool,
}

impl Directory for Counting {
    fn by_address(&self, _address: &str) -> Result<Found> {
        Ok(Found::Nobody)
    }
    fn by_uid(&self, uid: &str) -> Result<Found> {
        if self.down.load(Ordering::Relaxed) {
            return Err(DirectoryError::Unavailable("down".into()));
        }
        self.searches.fetch_add(1, Ordering::Relaxed);
        if uid.starts_with("no") {
            return Ok(Found::Nobody);
        }
        let text = format!("{uid}@x.test");
        let mut attributes = BTreeMap::from([
            ("objectclass".to_owned(), vec!["mailRecipient".to_owned()]),
            ("uid".to_owned(), vec![uid.to_owned()]),
            ("mail".to_owned(), vec![text]),
        ]);
        if uid == "barred" {
            attributes.insert("nsmsgdisallowaccess".into(), vec!["imap".into()]);
        }
        Ok(Entry::from_attributes(uid, attributes).map_or(Found::Nobody, |entry| Found::One(Arc::new(entry))))
    }
    fn check_password(&self, entry: &Entry, password: &str) -> Result<bool> {
        self.checks.fetch_add(1, Ordering::Relaxed);
        Ok(entry.uid.as_deref() == Some(password))
    }
    fn check_nobody(&self, _password: &str) {
        self.checks.fetch_add(1, Ordering::Relaxed);
    }
    fn users(&self, _after: Option<&str>, _limit: usize) -> Result<Vec<Arc<Entry>>> {
        Ok(Vec::new())
    }
}

fn counting(ttl: u64, size: usize) -> (Arc<Counting>, Authenticator) {
    let directory = Arc::new(Counting::default());
    (directory.clone(), Authenticator::with_cache(directory, Duration::from_secs(ttl), size))
}

fn accepted(log_in: LogIn) -> bool {
    matches!(log_in, LogIn::Accepted(_))
}

/// S127: the second log-in within the time asks nobody.
#[test]
fn a_second_log_in_asks_nobody() {
    let (directory, who) = counting(900, 10);
    assert!(accepted(who.log_in(Service::Imap, "joe", "joe", HERE)));
    assert!(
        accepted(who.log_in(Service::Pop, "JOE", "joe", HERE))
            || who.log_in(Service::Pop, "joe", "joe", HERE).is_in()
    );
    let asked = directory.searches.load(Ordering::Relaxed);
    assert!(accepted(who.log_in(Service::Imap, "joe", "joe", HERE)));
    assert_eq!(directory.searches.load(Ordering::Relaxed), asked);
    let (directory, off) = counting(0, 10);
    off.log_in(Service::Imap, "joe", "joe", HERE);
    off.log_in(Service::Imap, "joe", "joe", HERE);
    assert_eq!(directory.searches.load(Ordering::Relaxed), 2, "a time of 0 is off");
}

impl LogIn {
    fn is_in(&self) -> bool {
        matches!(self, LogIn::Accepted(_))
    }
}

/// S130: a size of two, three users in turn: the searches go on.
#[test]
fn the_least_recently_used_is_forgotten() {
    let (directory, who) = counting(900, 2);
    for _ in 0..3 {
        for user in ["a", "b", "c"] {
            assert!(accepted(who.log_in(Service::Imap, user, user, HERE)));
        }
    }
    assert_eq!(directory.searches.load(Ordering::Relaxed), 9);
    let before = directory.searches.load(Ordering::Relaxed);
    for user in ["c", "b", "c", "b"] {
        who.log_in(Service::Imap, user, user, HERE);
    }
    assert_eq!(directory.searches.load(Ordering::Relaxed), before, "b and c are the two");
}

/// The embedded directory: a changed password and a deleted user end what was remembered; a user of the same name who
/// comes later is somebody else.
#[test]
fn a_log_in_ends_with_the_password_it_was_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("directory.ldif");
    let carol = |more: &str| {
        let text = format!(
            "dn: uid=carol,o=x\nobjectClass: mailRecipient\nuid: carol\nmail: carol@x.test\n{more}\n\ndn: uid=dave,o=x\nobjectClass: mailRecipient\nuid: dave\nmail: dave@x.test\nuserPassword: {{CLEAR}}dave\n"
        );
        base::replace::durable_replace(&path, text.as_bytes(), 0o600).unwrap();
    };
    carol("userPassword: {CLEAR}first");
    let directory = Arc::new(crate::Embedded::open(&path, server_log::Log::discard()).unwrap());
    let who = Authenticator::with_cache(directory, Duration::from_secs(900), 10);
    let log_in = |password: &str| who.log_in(Service::Imap, "carol", password, HERE);
    let waited_for = |condition: &dyn Fn() -> bool| {
        let give_up = Instant::now() + Duration::from_secs(60);
        while !condition() {
            assert!(Instant::now() < give_up);
            std::thread::yield_now();
        }
    };
    assert!(accepted(log_in("first")) && accepted(who.log_in(Service::Pop, "dave", "dave", HERE)));
    assert!(matches!(log_in("second"), LogIn::Refused));
    carol("userPassword: {CLEAR}second");
    waited_for(&|| matches!(log_in("first"), LogIn::Refused));
    assert!(accepted(log_in("second")), "what was wrong a moment ago is right now");
    carol("userPassword: {CLEAR}second\nnsmsgDisallowAccess: imap");
    waited_for(&|| matches!(log_in("second"), LogIn::Disallowed));
    base::replace::durable_replace(&path, b"dn: o=x\no: x\n", 0o600).unwrap();
    waited_for(&|| matches!(log_in("second"), LogIn::Refused));
    carol("userPassword: {CLEAR}third");
    waited_for(&|| accepted(log_in("third")));
    assert!(matches!(log_in("second"), LogIn::Refused));
}

#[test]
fn another_password_asks_and_a_repeated_wrong_one_does_not() {
    let (directory, who) = counting(900, 10);
    assert!(accepted(who.log_in(Service::Imap, "joe", "joe", HERE)));
    for _ in 0..5 {
        assert!(matches!(who.log_in(Service::Imap, "joe", "guess", HERE), LogIn::Refused));
    }
    assert_eq!(directory.checks.load(Ordering::Relaxed), 2);
    assert!(accepted(who.log_in(Service::Imap, "joe", "joe", HERE)), "the right one is still known");
    assert_eq!(directory.checks.load(Ordering::Relaxed), 2);
}

/// A second try tells no more than a first one: hashes and searches of a user and of a stranger are the same in number.
#[test]
fn a_repeated_wrong_password_costs_a_stranger_what_it_costs_a_user() {
    let cost = |login: &str, cached: usize| {
        let (directory, who) = counting(900, cached);
        let steps = ["x", "x", "x", "y", "y", "x", "z"].map(|password| {
            assert!(matches!(who.log_in(Service::Imap, login, password, HERE), LogIn::Refused));
            (directory.searches.load(Ordering::Relaxed), directory.checks.load(Ordering::Relaxed))
        });
        steps.map(|(searches, checks)| (searches - usize::from(login.starts_with("no")), checks))
    };
    let checks = |steps: [(usize, usize); 7]| steps.map(|(_, checks)| checks);
    assert_eq!(checks(cost("joe", 10)), [1, 1, 1, 2, 2, 3, 4]);
    assert_eq!(checks(cost("nobody", 10)), checks(cost("joe", 10)));
    assert_eq!(checks(cost("nobody", 0)), checks(cost("joe", 0)), "without the cache");
    assert_eq!(checks(cost("joe", 0)), [1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn unknown_users_cost_a_check_and_a_directory_that_is_down_is_no_refusal() {
    let (directory, who) = counting(900, 10);
    assert!(matches!(who.log_in(Service::Imap, "nobody", "x", HERE), LogIn::Refused));
    assert_eq!(directory.checks.load(Ordering::Relaxed), 1);
    assert!(matches!(who.log_in(Service::Imap, "barred", "barred", HERE), LogIn::Disallowed));
    assert!(accepted(who.log_in(Service::Pop, "barred", "barred", HERE)));
    directory.down.store(true, Ordering::Relaxed);
    assert!(matches!(who.log_in(Service::Imap, "joe", "joe", HERE), LogIn::Unavailable(_)));
}

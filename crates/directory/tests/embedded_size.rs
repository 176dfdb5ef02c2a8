//! The embedded directory with a hundred thousand users: reading it, asking it, changing one entry here and by another
//! process. Prints what each costs; the bounds are of the processor's time, since the clock goes on while others have it.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use directory::{Directory, Edit, Embedded, Found, edit};
use server_log::Log;

const USERS: usize = 100_000;

fn file(users: usize) -> String {
    let mut text = String::from("version: 1\n\n");
    for n in 0..users {
        let _ = write!(
            text,
            "dn: uid=u{n},ou=People,o=x.test\nobjectClass: top\nobjectClass: person\nobjectClass: inetOrgPerson\n\
             objectClass: mailRecipient\nobjectClass: nsMessagingServerUser\nuid: u{n}\ncn: User {n}\nsn: User\n\
             mail: u{n}@x.test\nmailAlternateAddress: user.{n}@x.test\nmailDeliveryOption: mailbox\n\
             userPassword: {{ARGON2}}$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNo\n\n"
        );
    }
    text
}

/// What this thread had of a processor: user and system time in hundredths of a second (proc(5), fields 14 and 15).
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    let fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
    Duration::from_millis(fields.skip(11).take(2).map(|field| field.parse::<u64>().unwrap() * 10).sum())
}

fn one(directory: &Embedded, uid: &str) -> std::sync::Arc<directory::Entry> {
    match directory.by_uid(uid).unwrap() {
        Found::One(entry) => entry,
        other => panic!("{uid}: {other:?}"),
    }
}

/// dirutil, and users of the web mail in two processes, at once: nothing is lost, and everybody sees all of it.
#[test]
fn who_changes_it_at_once_loses_nothing() {
    const ROUNDS: usize = 12;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("directory.ldif");
    std::fs::write(&path, file(8)).unwrap();
    let processes = [0, 1].map(|_| Embedded::open(&path, Log::discard()).unwrap());
    let pref = |n: usize| format!("meViewSize={n}");
    std::thread::scope(|scope| {
        for user in 0..4 {
            let process = &processes[user % 2];
            scope.spawn(move || {
                for n in 0..ROUNDS {
                    let entry = one(process, &format!("u{user}"));
                    let remove = if n == 0 { Vec::new() } else { vec![pref(n - 1)] };
                    let attribute = "nswmExtendedUserPrefs".to_owned();
                    process.change(&entry, &[Edit::Swap { attribute, remove, add: vec![pref(n)] }]).unwrap();
                }
            });
        }
        let path = &path;
        scope.spawn(move || {
            for n in 0..ROUNDS {
                let dn = format!("uid=new{n},o=x.test");
                let pairs =
                    [("objectClass", "mailRecipient"), ("uid", &dn[4..dn.len() - 9]), ("mail", "n@x.test")];
                let attributes = pairs.map(|(name, value)| {
                    (name.to_owned(), value.replace("n@", &format!("n{n}@")).into_bytes())
                });
                let added = edit::Change::Add { dn: &dn, attributes: attributes.into() };
                edit::change(path, |_| Ok(added)).unwrap();
            }
        });
    });
    assert_eq!(edit::read(&path).unwrap().len(), 8 + ROUNDS);
    for process in &processes {
        let give_up = Instant::now() + Duration::from_secs(60);
        let sees = |user: &str| matches!(process.by_uid(user), Ok(Found::One(_)));
        let prefs = |user: usize| {
            one(process, &format!("u{user}")).attributes.get("nswmextendeduserprefs")
                == Some(&vec![pref(ROUNDS - 1)])
        };
        while !(0..ROUNDS).all(|n| sees(&format!("new{n}"))) || !(0..4).all(prefs) {
            assert!(Instant::now() < give_up, "it does not see everything");
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_hundred_thousand_users_are_read_asked_and_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("directory.ldif");
    std::fs::write(&path, file(USERS)).unwrap();
    let timed = |what: &str, most: Duration, work: &mut dyn FnMut()| {
        let (begun, before) = (Instant::now(), processor_time());
        work();
        let (took, worked) = (begun.elapsed(), processor_time() - before);
        println!("{what}: {worked:?} of a processor in {took:?}");
        assert!(worked < most, "{what}: {worked:?} of a processor in {took:?}");
    };
    let mut here = None;
    timed("load", Duration::from_secs(60), &mut || {
        here = Some(Embedded::open(&path, Log::discard()).unwrap());
    });
    let here = here.unwrap();
    let elsewhere = Embedded::open(&path, Log::discard()).unwrap();
    timed("10,000 look-ups", Duration::from_secs(10), &mut || {
        for n in (0..USERS).step_by(10) {
            assert!(matches!(here.by_address(&format!("User.{n}@X.test")).unwrap(), Found::One(_)));
        }
    });
    let entry = one(&here, "u50000");
    timed("one change", Duration::from_secs(30), &mut || {
        let value = vec!["meViewSize=30".to_owned()];
        here.change(&entry, &[Edit::replace("nswmExtendedUserPrefs", value)]).unwrap();
    });
    assert_eq!(one(&here, "u50000").attributes["nswmextendeduserprefs"], ["meViewSize=30"]);
    timed("seen by another process", Duration::from_secs(30), &mut || {
        let give_up = Instant::now() + Duration::from_secs(300);
        while !one(&elsewhere, "u50000").attributes.contains_key("nswmextendeduserprefs") {
            assert!(Instant::now() < give_up, "it does not see it");
            std::thread::sleep(Duration::from_millis(5)); // paced: a look costs a search
        }
    });
}

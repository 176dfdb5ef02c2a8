//! Several clients at one mailbox, by IMAP in two processes, POP and SMTP, checked against a model.
//!
//! Each IMAP client does by chance what clients do, and applies what it is told to a list of its own, strictly: numbers that
//! mean another message, an EXPUNGE where none may come (RFC 9051 §7.5.1, RFC 7162 §3.2.10), an EXISTS that shrinks, UIDs
//! that do not ascend or come back, a HIGHESTMODSEQ that falls, all fail at once. What was acknowledged is written into a
//! ledger that all share, and in the end no message is lost, doubled or come back, and each has the flags that were
//! acknowledged. `MAILBOAT_SEED` repeats the choices, though not the moments.
#![allow(clippy::unwrap_used)]

#[path = "imap_model/client.rs"]
mod client;
#[path = "imap_model/ledger.rs"]
mod ledger;
#[path = "imap_model/others.rs"]
mod others;
#[path = "imap_model/session.rs"]
mod session;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use black_box::instance::PATIENCE;
use black_box::{Instance, Setup, quick};

use client::Client;
use ledger::{Ledger, Place};
use session::{Flags, Session};

const MAILBOXES: [&str; 2] = ["INBOX", "Work"];
const CLIENTS: usize = 6;

/// Numbers by chance, the same for the same seed.
pub struct Numbers(u64);

impl Numbers {
    /// A number below the limit, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % limit as u64) as usize
    }
}

/// Operations that are needed to have seen something.
const OPERATIONS_MIN: usize = 20 * CLIENTS + 1;

/// When all have to end: after some time, and when enough was done (a loaded machine needs longer), or as soon as one failed.
pub struct End {
    at: Instant,
    done: AtomicUsize,
    failed: AtomicBool,
}

impl End {
    pub fn is_reached(&self) -> bool {
        let late = Instant::now().saturating_duration_since(self.at);
        let is_enough = self.done.load(Ordering::Relaxed) >= OPERATIONS_MIN || late > PATIENCE;
        (late > Duration::ZERO && is_enough) || self.failed.load(Ordering::Relaxed)
    }
}

struct Watch<'e>(&'e End);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.failed.store(true, Ordering::Relaxed);
        }
    }
}

fn seed() -> u64 {
    std::env::var("MAILBOAT_SEED").map_or_else(
        |_| std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs(),
        |text| text.parse().unwrap(),
    )
}

#[test]
fn what_every_client_sees_and_what_is_left_is_what_the_model_says() {
    let seed = seed();
    println!("MAILBOAT_SEED={seed}");
    let instance = Setup::default().set("service.imap.numprocesses", "2").start();
    instance.imap("alice").ok("CREATE Work");
    let ledger = Ledger::default();
    let time = Duration::from_secs(if quick() { 8 } else { 40 });
    let end = End { at: Instant::now() + time, done: AtomicUsize::new(0), failed: AtomicBool::new(false) };
    let clients = run_all(&instance, &ledger, &end, seed);
    instance.wait_for_empty_queue();
    let last = last_state(&instance, &ledger);
    let done: usize = clients.iter().map(|client| client.done).sum();
    println!("{done} operations, {} messages created, {} left", ledger.book().subjects.len(), last.len());
    assert!(done >= OPERATIONS_MIN, "only {done} operations");
    ledger.book().prove(&last);
    for client in clients {
        client.prove(&instance, &last);
    }
    instance.prove();
}

/// All at once until the end; the IMAP clients, logged out.
fn run_all<'i>(instance: &'i Instance, ledger: &'i Ledger, end: &End, seed: u64) -> Vec<Client<'i>> {
    std::thread::scope(|scope| {
        let numbers = |who: usize| Numbers(seed.wrapping_mul(1000).wrapping_add(who as u64));
        scope.spawn(move || {
            let _watch = Watch(end);
            others::deliver(instance, ledger, end, numbers(100));
        });
        scope.spawn(move || {
            let _watch = Watch(end);
            others::pop(instance, ledger, end, numbers(101));
        });
        let clients: Vec<_> = (0..CLIENTS)
            .map(|who| {
                scope.spawn(move || {
                    let _watch = Watch(end);
                    let mut client = Client::new(who, instance, ledger, numbers(who));
                    while !end.is_reached() {
                        client.act();
                        end.done.fetch_add(1, Ordering::Relaxed);
                    }
                    client
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    })
}

/// The subject and the flags of all that is there when everything is quiet, as a new session sees it.
fn last_state(instance: &Instance, ledger: &Ledger) -> BTreeMap<Place, (String, Flags)> {
    let mut last = BTreeMap::new();
    for mailbox in MAILBOXES {
        let mut session = Session::open(instance, false, mailbox, None);
        session.see();
        session.command("UID FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])");
        for (uid, subject) in std::mem::take(&mut session.subjects) {
            ledger.book().see((mailbox, uid), &subject);
            last.insert((mailbox, uid), (subject, session.flags[&uid].clone()));
        }
        assert_eq!(session.uids.len(), session.flags.len(), "{}", session.trail());
    }
    last
}

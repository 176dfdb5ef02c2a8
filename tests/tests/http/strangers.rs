//! Who guesses passwords, and who is slow.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use black_box::instance::wait_for;
use black_box::{Http, Setup, quick};

use super::requests::web;

/// W18: forty connections that guess are slowed together, and nobody else is.
#[test]
fn guessers_are_slowed_and_nobody_else() {
    let mut instance = Setup::default()
        .set("service.http.trustedproxies", "127.0.0.0/8")
        .set("service.guessaddressmax", "3")
        .set("service.guessaccountmax", "3")
        .set("service.http.maxthreads", "2")
        .create();
    instance.start_web();
    let from = |address: &str| format!("X-Forwarded-For: {address}\r\nX-Forwarded-Proto: https\r\n");
    instance.http().try_sign_in("alice", "alice-secret", &from("198.51.100.7"));
    let looked_at = AtomicUsize::new(0);
    let (begun, least) = (Instant::now(), Duration::from_secs(6));
    let owners_are_done = AtomicBool::new(false);
    let goes_on = || begun.elapsed() < least || !owners_are_done.load(Ordering::Relaxed);
    std::thread::scope(|scope| {
        for number in 0..40 {
            let (instance, looked_at, from, goes_on) = (&instance, &looked_at, &from, &goes_on);
            scope.spawn(move || {
                let mut round = 0;
                while goes_on() {
                    round += 1;
                    let mut http = instance.http();
                    let body = format!(r#"{{"user":"alice","password":"guess {number} {round}"}}"#);
                    let fields = format!("Content-Type: application/json\r\n{}", from("203.0.113.9"));
                    http.send("POST", "/auth/sign-in", &fields, body.as_bytes());
                    http.wire.socket().set_read_timeout(Some(Duration::from_millis(100))).unwrap();
                    wait_for("an answer", || (http.wire.has_more() || !goes_on()).then_some(()));
                    let Some(line) = http.wire.try_line() else { break };
                    looked_at.fetch_add(usize::from(line.contains(" 401 ")), Ordering::Relaxed);
                    assert!(line.contains(" 401 ") || line.contains(" 429 "), "{line}");
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..3 {
                let begun = Instant::now();
                assert_eq!(
                    instance.http().try_sign_in("bob", "bob-secret", &from("198.51.100.1")).status,
                    200
                );
                let known = instance.http().try_sign_in("alice", "alice-secret", &from("198.51.100.7"));
                assert_eq!(known.status, 200, "the owner is kept out by guessers: {}", known.text());
                assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
            }
            owners_are_done.store(true, Ordering::Relaxed);
        });
    });
    let (looked_at, seconds) = (looked_at.load(Ordering::Relaxed) as u64, begun.elapsed().as_secs());
    assert!(
        (1..=2 * seconds).contains(&looked_at),
        "{looked_at} guesses were looked at in {seconds} seconds"
    );
}

/// Connections on which nobody signs in, heads and bodies that do not come: each has its minute. It takes one.
#[test]
fn who_is_slow_has_a_minute() {
    if quick() {
        return;
    }
    let instance = web();
    let begun = Instant::now();
    let patient = |http: Http| {
        http.wire.socket().set_read_timeout(Some(Duration::from_secs(90))).unwrap();
        http
    };
    let mut silent = patient(instance.http());
    let mut half = patient(instance.http());
    half.wire.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n");
    let mut body = patient(instance.http());
    body.wire.send(b"POST /auth/sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{");
    let session = instance.http().sign_in("alice", "alice-secret");
    let mut known = instance.http();
    assert_eq!(known.get("/auth/session", &session).status, 200);
    assert_eq!(half.response().status, 408);
    assert_eq!(body.response().status, 408);
    assert!(silent.wire.is_closed());
    assert!(begun.elapsed() > Duration::from_secs(50), "{:?}", begun.elapsed());
    assert_eq!(known.get("/auth/session", &session).status, 200, "who has signed in has idletimeout");
}

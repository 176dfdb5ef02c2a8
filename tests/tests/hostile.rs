//! Hostile connections of several kinds at imapd and popd at once: memory stays in bounds, good clients are served as before,
//! nobody is restarted. `scripts/bench-scale` does the same with 9,000 of them, in a release build.
#![allow(clippy::unwrap_used)]

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use black_box::instance::{IMAP, IMAPS, POP, POPS};
use black_box::{Imap, Instance, Setup, Vigil, quick};

/// What each hostile connection may cost, whatever it does: a buffer of commands and a bounded queue of answers.
const BYTES_EACH_MAX: u64 = 64 << 10;
/// What a good client may wait on a machine that others use, too: ten times what it waits when all is quiet, or this.
const WAIT_MAX: Duration = Duration::from_secs(2);
const GOOD: usize = 40;
/// A handshake has a minute; a loaded machine may need that for all that is done here.
const HANDSHAKE_MAX: Duration = Duration::from_secs(60);

/// Where it connects, what it says at once, and what it says without end while the other side takes it.
struct Kind {
    name: &'static str,
    port: u16,
    /// Lines that are answered before the rest is sent.
    begin: &'static [&'static str],
    then: &'static [u8],
    /// So often; more than one is a flood whose answers nobody reads.
    times: usize,
}

/// Half a record of a TLS handshake (RFC 8446 §5.1).
const HALF_HANDSHAKE: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03half of a random number";

const KINDS: [Kind; 11] = [
    Kind { name: "silent, IMAP", port: IMAP, begin: &[], then: b"", times: 1 },
    Kind { name: "silent, POP", port: POP, begin: &[], then: b"", times: 1 },
    Kind { name: "half a handshake, IMAP", port: IMAPS, begin: &[], then: HALF_HANDSHAKE, times: 1 },
    Kind { name: "half a handshake, POP", port: POPS, begin: &[], then: HALF_HANDSHAKE, times: 1 },
    Kind { name: "half a line, IMAP", port: IMAP, begin: &[], then: b"a LOGIN al", times: 1 },
    Kind { name: "half a line, POP", port: POP, begin: &[], then: b"USER al", times: 1 },
    Kind { name: "a slow literal", port: IMAP, begin: &["a LOGIN {4000}"], then: b"x", times: 1 },
    Kind { name: "half an exchange", port: POP, begin: &["AUTH PLAIN"], then: b"x", times: 1 },
    Kind {
        name: "a giant literal",
        port: IMAP,
        begin: &[],
        then: b"a LOGIN {1000000+}\r\nyyyyyyyyyyyyyyyyyyyyyyyy",
        times: 1,
    },
    Kind {
        name: "a flood, IMAP",
        port: IMAP,
        begin: &[],
        then: b"a CAPABILITY\r\na NOOP\r\n",
        times: 100_000,
    },
    Kind { name: "a flood, POP", port: POP, begin: &[], then: b"CAPA\r\nNOOP\r\n", times: 100_000 },
];

impl Kind {
    fn open(&self, instance: &Instance) -> TcpStream {
        let mut stream = instance.connect(self.port);
        if ![IMAPS, POPS].contains(&self.port) {
            line(&mut stream);
        }
        for begin in self.begin {
            stream.write_all(format!("{begin}\r\n").as_bytes()).unwrap();
            assert!(line(&mut stream).starts_with('+'), "{}", self.name);
        }
        stream.set_nonblocking(true).unwrap();
        push(&mut stream, &self.then.repeat(self.times), self.name);
        stream
    }
}

fn line(stream: &mut TcpStream) -> String {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while line.last() != Some(&b'\n') {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "closed");
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap()
}

/// As much as is taken without waiting long.
fn push(stream: &mut TcpStream, bytes: &[u8], name: &str) {
    let (mut sent, mut patience) = (0, 10);
    while sent < bytes.len() && patience > 0 {
        match stream.write(&bytes[sent..]) {
            Ok(more) => sent += more,
            Err(why) if why.kind() == ErrorKind::WouldBlock => {
                patience -= 1;
                std::thread::sleep(Duration::from_millis(1)); // paced: how much is taken is not told
            }
            Err(why) => panic!("{name}: {why}"),
        }
    }
}

/// Each good client in turn, three times: how long the slowest but a hundredth waited.
fn serve(good: &mut [Imap], pop: &mut black_box::Pop) -> Duration {
    let mut waits = Vec::new();
    for _ in 0..3 {
        for imap in good.iter_mut() {
            let begin = Instant::now();
            assert_eq!(imap.ok("FETCH 1 (FLAGS BODY.PEEK[])").len(), 1);
            waits.push(begin.elapsed());
            let begin = Instant::now();
            assert!(pop.ok("LIST 1").starts_with("+OK 1 "));
            waits.push(begin.elapsed());
        }
    }
    waits.sort_unstable();
    waits[waits.len() * 99 / 100]
}

#[test]
fn hostile_clients_by_the_thousand_cost_little_and_hold_nobody_up() {
    let count = if quick() { 660 } else { 2200 };
    let most = (count + 500).to_string();
    let instance =
        Setup::default().set("service.imap.maxsessions", &most).set("service.pop.maxsessions", &most).start();
    let mut good: Vec<Imap> = (0..GOOD).map(|_| instance.imap("alice")).collect();
    assert!(good[0].append("INBOX", "", "Subject: x\r\n\r\nx\r\n").starts_with("OK"));
    good.iter_mut().for_each(|imap| drop(imap.ok("SELECT INBOX")));
    let mut pop = instance.pop("alice");
    let before = serve(&mut good, &mut pop);
    let vigil = Vigil::begin(&instance);
    let open = |number: usize| (Instant::now(), KINDS[number % KINDS.len()].open(&instance));
    let mut hostile: Vec<(Instant, TcpStream)> = (0..count).map(open).collect();
    let during = serve(&mut good, &mut pop);
    // Those that are slow go on a little, and those that flood, too.
    for (number, (_, stream)) in hostile.iter_mut().enumerate() {
        let kind = &KINDS[number % KINDS.len()];
        let more: &[u8] = if kind.times > 1 { b"a NOOP\r\n" } else { b"x" };
        if !kind.then.is_empty() && kind.then != HALF_HANDSHAKE {
            push(stream, more, kind.name);
        }
    }
    let after = serve(&mut good, &mut pop);
    println!("{count} hostile connections: {before:?} before, {during:?} and {after:?} beside them");
    assert!(during.max(after) < WAIT_MAX.max(before * 10), "{before:?}, {during:?}, {after:?}");
    // New ones are let in, all are in the same processes, and memory has not grown by more than is allowed.
    vigil.end(&instance, count as u64 * BYTES_EACH_MAX);
    // No one who only waits was thrown out to make room.
    for ((begun, stream), kind) in hostile.iter_mut().zip(KINDS.iter().cycle()) {
        let said = stream.read(&mut [0; 16]);
        let is_open = said.as_ref().is_ok_and(|count| *count > 0)
            || said.as_ref().is_err_and(|why| why.kind() == ErrorKind::WouldBlock);
        let is_over = kind.then == HALF_HANDSHAKE && begun.elapsed() >= HANDSHAKE_MAX;
        assert!(is_open || is_over, "{}: {said:?}", kind.name);
    }
    drop(hostile);
    serve(&mut good, &mut pop);
}

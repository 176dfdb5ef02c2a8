//! Garbage on every port: random bytes, and dialogues that were cut, turned round and peppered.
//!
//! The numbers come from a seed that is printed, so a failure can be repeated: `MAILBOAT_TEST_SEED=...`. All daemons must
//! answer properly afterwards, be the same processes as before, and hold hardly more memory. Every connection must end
//! soon after its client has said its last word.
#![allow(clippy::unwrap_used)]

use std::io::Read;
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use black_box::instance::{IMAP, IMAPS, POP, POPS, SMTP, SUBMISSION, SUBMISSIONS};
use black_box::{Instance, Vigil, Wire, quick};

const SEED_DEFAULT: u64 = 20_261_125;
/// What all daemons together may hold more than before.
const GROWTH_MAX_BYTES: u64 = 32 << 20;

/// Who is held up by the pause behind a wrong password does not hold up the others.
const CLIENTS_PER_PORT: u64 = 4;

/// SplitMix64: enough for garbage.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `bound`.
    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

/// What a protocol is made of, good and bad.
const SMTP_WORDS: &[&str] = &[
    "EHLO a.test\r\n",
    "HELO a\r\n",
    "MAIL FROM:<a@b.test>",
    "MAIL FROM:<>\r\n",
    "RCPT TO:<alice@example.test>\r\n",
    "RCPT TO:<",
    ">\r\n",
    "DATA\r\n",
    "BDAT 10\r\n",
    "BDAT 0 LAST\r\n",
    "BDAT 5 LAST\r\nhello",
    ".\r\n",
    "\r\n.\r\n",
    "..",
    "Subject: x\r\n",
    "RSET\r\n",
    "NOOP\r\n",
    "HELP\r\n",
    "VRFY a\r\n",
    "QUIT\r\n",
    "STARTTLS\r\n",
    "AUTH LOGIN\r\n",
    "AUTH PLAIN AGFsaWNlAGFsaWNlLXNlY3JldA==\r\n",
    "*\r\n",
    "SIZE=1",
    " BODY=8BITMIME",
    "\"",
    "@",
    "[IPv6:::1]",
    " NOTIFY=NEVER",
];
const IMAP_WORDS: &[&str] = &[
    "a ",
    "b ",
    "LOGIN alice alice-secret\r\n",
    "SELECT INBOX\r\n",
    "EXAMINE \"INBOX\"\r\n",
    "FETCH 1:* ",
    "(FLAGS UID)\r\n",
    "BODY[1.2.HEADER.FIELDS (",
    "BODY.PEEK[]<0.10>\r\n",
    "ENVELOPE\r\n",
    "BODYSTRUCTURE\r\n",
    "STORE 1 +FLAGS (",
    "\\Seen)\r\n",
    "SEARCH ",
    "NOT ",
    "OR ",
    "TEXT ",
    "ALL\r\n",
    "UID ",
    "COPY 1 x\r\n",
    "MOVE 1 x\r\n",
    "CREATE x\r\n",
    "DELETE x\r\n",
    "RENAME x y\r\n",
    "LIST \"\" %\r\n",
    "LIST \"\" *\r\n",
    "STATUS INBOX (MESSAGES)\r\n",
    "APPEND INBOX {5}\r\n",
    "APPEND INBOX (\\Seen) {5+}\r\na: b\n\r\n",
    "{3+}\r\nabc",
    "{100}\r\n",
    "~{3+}\r\n\0\0\0",
    "IDLE\r\n",
    "DONE\r\n",
    "EXPUNGE\r\n",
    "CLOSE\r\n",
    "STARTTLS\r\n",
    "AUTHENTICATE PLAIN\r\n",
    "AGFsaWNlAGFsaWNlLXNlY3JldA==\r\n",
    "ENABLE X\r\n",
    "ID NIL\r\n",
    "CAPABILITY\r\n",
    "NOOP\r\n",
    "LOGOUT\r\n",
    "(",
    ")",
    "\"",
    "\\",
    "*",
    ",",
    ":",
    "&AAA-",
    "4294967295",
    "\r\n",
];
const POP_WORDS: &[&str] = &[
    "USER alice\r\n",
    "PASS alice-secret\r\n",
    "STAT\r\n",
    "LIST\r\n",
    "LIST 1\r\n",
    "UIDL\r\n",
    "RETR 1\r\n",
    "RETR ",
    "TOP 1 0\r\n",
    "TOP 1 ",
    "DELE 1\r\n",
    "RSET\r\n",
    "NOOP\r\n",
    "CAPA\r\n",
    "AUTH\r\n",
    "AUTH PLAIN\r\n",
    "AGFsaWNlAGFsaWNlLXNlY3JldA==\r\n",
    "*\r\n",
    "STLS\r\n",
    "QUIT\r\n",
    "APOP a b\r\n",
    "4294967295\r\n",
    "-1\r\n",
    " ",
    "\r\n",
];
/// What is thrown in between.
const PEPPER: &[&[u8]] = &[
    b"\0",
    b"\r",
    b"\n",
    b"\r\r\n",
    b"\n.\n",
    b"\xff\xfe",
    b"\xc3",
    b"\t",
    b"\x7f",
    b"\x1b[2J",
    b"%n%s",
    b"\r\n\r\n",
    b"{",
    b"}",
];
/// The beginning of a TLS handshake, for ports that speak in clear, and of other protocols.
const STRANGERS: &[&[u8]] = &[
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"SSH-2.0-x\r\n",
    b"\x80\x2e\x01\x03\x01",
    b"\x00\x00\x00\x85\xffSMBr",
];

fn words(port: u16) -> &'static [&'static str] {
    match port {
        IMAP | IMAPS => IMAP_WORDS,
        POP | POPS => POP_WORDS,
        _ => SMTP_WORDS,
    }
}

/// What one client says.
fn garbage(dice: &mut Dice, port: u16) -> Vec<u8> {
    let mut said = Vec::new();
    match dice.below(8) {
        0 => {
            let count = dice.below(3000);
            said = dice.bytes(count);
        }
        1 => {
            said.extend_from_slice(dice.one(STRANGERS));
            let count = dice.below(600);
            said.extend(dice.bytes(count));
        }
        2 => {
            // One piece without end.
            let piece = dice.one(words(port)).as_bytes();
            said = piece.repeat(1 + dice.below(40_000) / piece.len());
        }
        _ => {
            for _ in 0..1 + dice.below(60) {
                said.extend_from_slice(dice.one(words(port)).as_bytes());
                if dice.below(6) == 0 {
                    said.extend_from_slice(dice.one(PEPPER));
                }
            }
        }
    }
    for _ in 0..dice.below(4) {
        let (from, to) = (dice.below(said.len()), dice.below(said.len()));
        match dice.below(3) {
            0 if from < said.len() => said[from] ^= 1 << dice.below(8),
            1 if from < to => drop(said.drain(from..to)),
            2 if from < to => said.extend_from_within(from..to),
            _ => {}
        }
    }
    said.truncate(128 * 1024);
    said
}

/// Says it, in pieces of odd sizes, and listens until the server hangs up.
fn pester(dice: &mut Dice, stream: TcpStream, port: u16) {
    let said = garbage(dice, port);
    let listener = stream.try_clone().unwrap();
    let reader = std::thread::spawn(move || drain(listener));
    let mut wire = Wire::plain(stream);
    for piece in said.chunks(1 + dice.below(said.len().max(1))) {
        if !wire.try_send(piece) {
            break;
        }
    }
    if dice.below(4) > 0 {
        let _ = wire.socket().shutdown(Shutdown::Write);
        let ended = reader.join().unwrap();
        assert!(
            ended,
            "port {port} holds a connection whose client is gone; it said {:?}",
            String::from_utf8_lossy(&said)
        );
    } else {
        let _ = wire.socket().shutdown(Shutdown::Both); // gone without a word
        let _ = reader.join();
    }
}

/// Reads everything; whether the end came in time.
fn drain(mut stream: TcpStream) -> bool {
    let mut room = [0; 16 * 1024];
    loop {
        match stream.read(&mut room) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}

/// The same inside TLS, where bytes reach the session as they are.
fn pester_inside(dice: &mut Dice, stream: TcpStream, port: u16, ca: &Path) {
    let said = garbage(dice, port);
    let mut wire = Wire::tls(stream, ca);
    wire.socket().set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    for piece in said.chunks(1 + dice.below(said.len().max(1))) {
        if !wire.try_send(piece) {
            return;
        }
        let _ = wire.try_line();
    }
}

#[test]
fn garbage_on_every_port_harms_nobody() {
    let seed =
        std::env::var("MAILBOAT_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(SEED_DEFAULT);
    println!("MAILBOAT_TEST_SEED={seed}");
    let instance = Instance::start();
    for subject in ["one", "two", "three"] {
        let message = format!("From: a@b.test\r\nSubject: {subject}\r\n\r\n.\r\nx\r\n");
        assert!(instance.imap("alice").append("INBOX", "", &message).starts_with("OK"));
    }
    let vigil = Vigil::begin(&instance);
    let ca = instance.path("config/certs/ca.pem");
    // A minute of it; or a few rounds.
    let end = Instant::now() + Duration::from_secs(60);
    let goes_on = |round: u64| if quick() { round < 20 } else { Instant::now() < end };
    std::thread::scope(|scope| {
        for port in [SMTP, SUBMISSION, SUBMISSIONS, IMAP, IMAPS, POP, POPS] {
            for client in 0..CLIENTS_PER_PORT {
                let (instance, ca) = (&instance, &ca);
                scope.spawn(move || {
                    let mut dice = Dice(seed ^ u64::from(port) << 32 ^ client);
                    let implicit_tls = [SUBMISSIONS, IMAPS, POPS].contains(&port);
                    for round in (0..).take_while(|round| goes_on(*round)) {
                        if implicit_tls && round % 2 == 0 {
                            pester_inside(&mut dice, instance.connect(port), port, ca);
                        } else {
                            pester(&mut dice, instance.connect(port), port);
                        }
                    }
                });
            }
        }
    });
    instance.wait_for_empty_queue();
    vigil.end(&instance, GROWTH_MAX_BYTES);
    instance.send("bob", "after all that");
    instance.wait_for_messages("bob", 1);
}

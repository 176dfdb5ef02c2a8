//! Clients that are slow by the thousand hold nobody up.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use black_box::instance::{PATIENCE, SMTP};
use black_box::{Setup, Smtp, Vigil, Wire, quick};

/// How far a slow client gets before it is slow.
const PLACES: [&str; 4] = [
    "EH",
    "EHLO slow.example\r\nMAIL FROM:<s@slow.example>\r\nRC",
    "EHLO slow.example\r\nMAIL FROM:<s@slow.example>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\nSubject: sl",
    "EHLO slow.example\r\nMAIL FROM:<s@slow.example>\r\nRCPT TO:<bob@example.test>\r\nBDAT 5000\r\nSubject: sl",
];

/// A thousand and more clients that stop in the middle of a command, of a content or of a chunk, and send a byte now and
/// then; good ones are served meanwhile, each of their messages in seconds.
#[test]
fn slow_clients_by_the_thousand_do_not_hold_up_good_ones() {
    let instance = Setup::default().start();
    let vigil = Vigil::begin(&instance);
    let count = if quick() { 1000 } else { 3000 };
    let mut slow: Vec<TcpStream> = (0..count)
        .map(|number| {
            let mut smtp = Smtp::over(Wire::plain(instance.connect(SMTP)));
            let text = PLACES[number % PLACES.len()];
            // The commands are answered one by one: what flies along with DATA would be its content.
            for line in text.split_inclusive("\r\n").filter(|line| line.ends_with("\r\n")) {
                smtp.wire.send(line.as_bytes());
                if !line.starts_with("BDAT") && !line.starts_with("Subject") {
                    assert!(smtp.reply().starts_with(['2', '3']), "{line}");
                }
            }
            let rest = text.rsplit("\r\n").next().unwrap();
            smtp.wire.send(rest.as_bytes());
            smtp.wire.socket().try_clone().unwrap()
        })
        .collect();
    let mut slowest = Duration::ZERO;
    for number in 0..20 {
        for client in slow.iter_mut().skip(number).step_by(20) {
            client.write_all(b"x").unwrap();
        }
        let begin = Instant::now();
        instance.send("alice", &format!("quick {number}"));
        slowest = slowest.max(begin.elapsed());
    }
    instance.wait_for_messages("alice", 20);
    eprintln!("{count} slow clients: the slowest of 20 messages took {slowest:?}");
    assert!(slowest < PATIENCE / 6, "{slowest:?}");
    // Nobody was thrown out to make room.
    for client in &mut slow {
        client.set_nonblocking(true).unwrap();
        let said = client.read(&mut [0; 100]);
        assert!(
            said.is_err_and(|why| why.kind() == std::io::ErrorKind::WouldBlock),
            "a slow client was sent away"
        );
    }
    drop(slow);
    // At most 16 KiB each (and what the buffers of the others took).
    vigil.end(&instance, count as u64 * 16 * 1024);
}

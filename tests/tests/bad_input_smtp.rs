//! Bad input to smtpd: the cases of research/mta.md 2.5, each named as there, with the answer each must get.
//!
//! After every case that leaves the connection open NOOP is asked, so one reply too many or too few is found. A group of
//! cases ends with a look at all daemons: the same processes, hardly more memory, answering on every port.
//!
//! Left out, since what they are about is not built yet:
//! * STARTTLS+NOOP injected (no TLS offered): every instance has a certificate here; the case with TLS is in `log_in`.
//! * AUTH 10 wrong passwords on ten connections: see guessing.rs.
//! * TLS session ticket of 465 offered on 25: both ports are one process with one certificate.
//! * MTA-STS policies, MX records, answers of remote servers: see relay.rs, outbound_tls.rs and interop.rs.
//!
//! Not of the accept side, and tested elsewhere or not at all: disk full and crashes (crash.rs), reports that cannot be
//! delivered and addresses that forward to each other (queue.rs), local parts into a program (local_delivery.rs; here they
//! are addresses of nobody), long queues at start (queue_load.rs), clocks that jump back (ids do not, see mail-queue), 10,000
//! idle connections (dispatch.rs holds some, slow_clients.rs a thousand).
#![allow(clippy::unwrap_used)]

#[path = "bad_input_smtp/addresses.rs"]
mod addresses;
#[path = "bad_input_smtp/chunks.rs"]
mod chunks;
#[path = "bad_input_smtp/commands.rs"]
mod commands;
#[path = "bad_input_smtp/content.rs"]
mod content;
#[path = "bad_input_smtp/log_in.rs"]
mod log_in;
#[path = "bad_input_smtp/order.rs"]
mod order;

use black_box::{Instance, Smtp};

/// What a group of cases may leave behind in all daemons together.
const GROWTH_MAX_BYTES: u64 = 8 << 20;

/// How far the conversation has come before the case begins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Connected,
    Greeted,
    InTransaction,
    WithRecipient,
}

/// A conversation at this stage.
fn at(instance: &Instance, stage: Stage) -> Smtp {
    let mut smtp = instance.smtp();
    for (needed, line) in [
        (Stage::Greeted, "EHLO client.example.org"),
        (Stage::InTransaction, "MAIL FROM:<a@discard.test>"),
        (Stage::WithRecipient, "RCPT TO:<alice@example.test>"),
    ] {
        if stage >= needed {
            smtp.ok(line);
        }
    }
    smtp
}

/// Sends bytes as they are. As many replies as there are answers must come, each beginning with its answer; then nothing
/// more, but the end of the connection where the last answer is `close`.
fn says(smtp: &mut Smtp, case: &str, bytes: &[u8], answers: &[&str]) {
    smtp.wire.send(bytes);
    for answer in answers {
        if *answer == "close" {
            assert!(smtp.wire.is_closed(), "{case}: the connection goes on");
            return;
        }
        let reply = smtp.reply();
        assert!(reply.starts_with(answer), "{case}: {reply}, not {answer}");
    }
    let reply = smtp.ask("NOOP");
    assert!(reply.starts_with("250 2.0.0"), "{case}: {reply} behind it");
}

/// One line on a fresh connection.
fn line(instance: &Instance, stage: Stage, case: &str, line: &str, answers: &[&str]) {
    says(&mut at(instance, stage), case, format!("{line}\r\n").as_bytes(), answers);
}

/// The catalogue's host and user as they are called here.
fn here(text: &str) -> String {
    text.replace("mta.test", "example.test").replace("u1", "alice")
}

//! Bad input to smtpd: the cases of research/mta.md 2.5, each named as there, with the answer each must get.
//!
//! After every case that leaves the connection open NOOP is asked, so one reply too many or too few is found. A group of
//! cases ends with a look at all daemons: the same processes, hardly more memory, answering on every port.
//!
//! Tested elsewhere, since they need another stage:
//! * AUTH, ten wrong passwords on ten connections: guessing.rs.
//! * MTA-STS policies that are too long, redirect, or come with a wrong certificate: crates/mta-sts; those that are enforced and
//!   kept for their age: outbound_tls.rs.
//! * MX records and answers of remote servers: relay.rs, interop.rs, crates/smtp-client, crates/dns.
//! * A full disk: crash.rs. Crashes: crash.rs at random moments, crash_steps.rs behind each step, power_cut.rs with what was
//!   not synced gone, durability.rs.
//! * Reports that cannot be delivered, addresses that forward to each other: queue.rs, accounts.rs.
//! * Local parts into a program: local_delivery.rs; here they are addresses of nobody.
//! * Long queues at start: queue_load.rs. Thousands of slow and idle connections: slow_clients.rs, dispatch.rs.
//! * Mail filters that hang, answer nonsense or refuse: milter.rs. Mail that is changed on its way: verification.rs.
//!
//! Not tested:
//! * STARTTLS+NOOP injected where no TLS is offered: every instance has a certificate; the case with TLS is in `log_in`.
//! * TLS session ticket of 465 offered on 25: both ports are one process with one certificate, so it may be taken.
//! * Clocks that jump back: of ids it is known that they do not (mail-queue), of the whole it is not.
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

//! Log-ins, and look-ups of recipients: what a directory costs. User k has the password `pw-u<k>`.

use std::io::{Error, Result};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::{pause, per_client, say, say_latencies, together};
use crate::Plan;
use crate::client::Client;

/// Recipients that are named before the answers are read.
const AT_ONCE: usize = 20;

/// `messages` log-ins by `clients` at a time, each of the next of `users` users, on a connection of its own.
fn log_ins(plan: &Plan, log_in: impl Fn(usize) -> Result<()> + Sync) -> Result<()> {
    let next = AtomicUsize::new(0);
    pause("prepared")?;
    let begin = Instant::now();
    let latencies = together(plan.clients, |_| {
        let mut latencies = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= plan.messages {
                return Ok(latencies);
            }
            let begin = Instant::now();
            log_in(plan.first + number % plan.users)?;
            latencies.push(begin.elapsed());
        }
    })?;
    let elapsed = begin.elapsed();
    pause("worked")?;
    let latencies: Vec<Duration> = latencies.into_iter().flatten().collect();
    if latencies.len() != plan.messages {
        return Err(Error::other(format!("{} of {} log-ins", latencies.len(), plan.messages)));
    }
    say("done", latencies.len() as f64);
    say("log_ins_per_second", latencies.len() as f64 / elapsed.as_secs_f64());
    say_latencies(latencies);
    Ok(())
}

/// IMAP: connect, LOGIN, LOGOUT.
pub fn imap(plan: &Plan) -> Result<()> {
    log_ins(plan, |user| {
        let mut client = Client::connect(plan.imap)?;
        client.imap(&format!("LOGIN u{user} pw-u{user}"))?;
        client.imap("LOGOUT").map(|_| ())
    })
}

/// POP: connect, USER, PASS, QUIT.
pub fn pop(plan: &Plan) -> Result<()> {
    log_ins(plan, |user| {
        let mut client = Client::connect(plan.pop)?;
        client.pop(&format!("USER u{user}"))?;
        client.pop(&format!("PASS pw-u{user}"))?;
        client.pop("QUIT").map(|_| ())
    })
}

/// `messages` recipients in all, by `clients` SMTP sessions at a time: each is looked up once, and none gets mail.
pub fn recipients(plan: &Plan) -> Result<()> {
    pause("prepared")?;
    let begin = Instant::now();
    let each = per_client(plan).next_multiple_of(AT_ONCE);
    together(plan.clients, |number| {
        let mut client = Client::connect(plan.smtp)?;
        client.smtp(b"EHLO load.example.org\r\n", "250")?;
        for from in (0..each).step_by(AT_ONCE) {
            client.smtp(b"MAIL FROM:<load@example.org>\r\n", "250")?;
            let user = |one: usize| plan.first + (number * each + from + one) % plan.users;
            let lines: String =
                (0..AT_ONCE).map(|one| format!("RCPT TO:<u{}@{}>\r\n", user(one), plan.domain)).collect();
            client.send(lines.as_bytes())?;
            for _ in 0..AT_ONCE {
                client.smtp(b"", "250")?;
            }
            client.smtp(b"RSET\r\n", "250")?;
        }
        client.smtp(b"QUIT\r\n", "221")
    })?;
    let elapsed = begin.elapsed();
    pause("worked")?;
    say("recipients_per_second", (each * plan.clients) as f64 / elapsed.as_secs_f64());
    Ok(())
}

//! Mail by SMTP: into mailboxes, and through to another host.

use std::io::{Error, Result};
use std::thread;
use std::time::{Duration, Instant};

use super::{DELIVERY_MAX, count, log_in, message, pause, per_client, say, say_latencies, together};
use crate::Plan;
use crate::client::Client;
use crate::sink::Sink;

/// The share of one client, on one connection; how long each message took from MAIL to its 250.
fn send(plan: &Plan, number: usize, recipients: &[String]) -> Result<Vec<Duration>> {
    let mut client = Client::connect(plan.smtp)?;
    client.smtp(b"EHLO load.example.org\r\n", "250")?;
    let mut latencies = Vec::new();
    for each in 0..per_client(plan) {
        let mut text = message(number * per_client(plan) + each, plan.bytes);
        text.extend(b".\r\n");
        let start = Instant::now();
        client.smtp(b"MAIL FROM:<load@example.org>\r\n", "250")?;
        for recipient in recipients {
            client.smtp(format!("RCPT TO:<{recipient}>\r\n").as_bytes(), "250")?;
        }
        client.smtp(b"DATA\r\n", "354")?;
        client.smtp(&text, "250")?;
        latencies.push(start.elapsed());
    }
    client.smtp(b"QUIT\r\n", "221")?;
    Ok(latencies)
}

/// The local users that client `number` writes to: itself, and with `--recipients` those that follow it, in a circle, so
/// that each mailbox gets the same.
fn neighbours(plan: &Plan, number: usize) -> Vec<String> {
    (0..plan.recipients)
        .map(|each| {
            format!("u{}@{}", plan.first + (number + each) % plan.clients.max(plan.recipients), plan.domain)
        })
        .collect()
}

pub fn smtp(plan: &Plan) -> Result<()> {
    let mailboxes = plan.clients.max(plan.recipients);
    let each = per_client(plan) * plan.clients * plan.recipients / mailboxes;
    let mut watchers = together(mailboxes, |number| log_in(plan, number))?;
    let mut before = Vec::new();
    for watcher in &mut watchers {
        before.push(count(watcher)?);
    }
    pause("prepared")?;
    let begin = Instant::now();
    let latencies = together(plan.clients, |number| send(plan, number, &neighbours(plan, number)))?;
    let accepted = begin.elapsed();
    for (watcher, before) in watchers.iter_mut().zip(&before) {
        while count(watcher)? < before + each {
            if begin.elapsed() > DELIVERY_MAX {
                return Err(Error::other("messages are missing in a mailbox"));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
    let delivered = begin.elapsed();
    pause("worked")?;
    for (watcher, before) in watchers.iter_mut().zip(&before) {
        if count(watcher)? != before + each {
            return Err(Error::other("a message came twice"));
        }
    }
    let sent = (per_client(plan) * plan.clients) as f64;
    say("done", sent);
    say("accepted_per_second", sent / accepted.as_secs_f64());
    say("delivered_per_second", sent / delivered.as_secs_f64());
    say_latencies(latencies.concat());
    Ok(())
}

pub fn relay(plan: &Plan) -> Result<()> {
    let sink = Sink::listen(plan.sink, per_client(plan) * plan.clients, plan.bytes, plan.recipients)?;
    pause("prepared")?;
    let begin = Instant::now();
    let latencies = together(plan.clients, |number| {
        let recipients: Vec<_> =
            (0..plan.recipients).map(|each| format!("r{each}-{number}@relay.test")).collect();
        send(plan, number, &recipients)
    })?;
    let accepted = begin.elapsed();
    sink.wait_for_all(DELIVERY_MAX)?;
    let relayed = begin.elapsed();
    pause("worked")?;
    sink.check()?;
    let sent = (per_client(plan) * plan.clients) as f64;
    say("done", sent);
    say("accepted_per_second", sent / accepted.as_secs_f64());
    say("relayed_per_second", sent / relayed.as_secs_f64());
    say_latencies(latencies.concat());
    Ok(())
}

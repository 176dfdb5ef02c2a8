//! POP: a program that leaves its messages on the server, and one that takes them away.

use std::io::{Error, Result};
use std::time::{Duration, Instant};

use super::{count, message, pause, per_client, say, say_latencies, together};
use crate::Plan;
use crate::client::Client;

pub fn log_in(plan: &Plan, number: usize) -> Result<Client> {
    let mut client = Client::connect(plan.pop)?;
    let user = plan.first + number;
    client.pop(&format!("USER u{user}"))?;
    client.pop(&format!("PASS pw-u{user}"))?;
    Ok(client)
}

/// RETR, with how long it took.
fn retrieve(client: &mut Client, each: usize, bytes: usize) -> Result<Duration> {
    let start = Instant::now();
    client.pop(&format!("RETR {each}"))?;
    if client.pop_lines()?.1 < bytes - 2 {
        return Err(Error::other("a message came without its text"));
    }
    Ok(start.elapsed())
}

/// The number in the answer to STAT.
fn messages(client: &mut Client) -> Result<usize> {
    let line = client.pop("STAT")?;
    let number = line.split_ascii_whitespace().nth(1).and_then(|number| number.parse().ok());
    number.ok_or_else(|| Error::other(format!("STAT: {line}")))
}

pub fn pop(plan: &Plan) -> Result<()> {
    pause("prepared")?;
    let begin = Instant::now();
    let latencies = together(plan.clients, |number| {
        let mut latencies = Vec::new();
        for _ in 0..plan.passes {
            let mut client = log_in(plan, number)?;
            let messages = messages(&mut client)?;
            client.pop("UIDL")?;
            if client.pop_lines()?.0 != messages || messages == 0 {
                return Err(Error::other("UIDL and STAT differ, or nothing is there"));
            }
            for each in 1..=messages {
                latencies.push(retrieve(&mut client, each, plan.bytes)?);
            }
            client.pop("QUIT")?;
        }
        Ok(latencies)
    })?;
    let elapsed = begin.elapsed();
    pause("worked")?;
    let latencies = latencies.concat();
    say("done", latencies.len() as f64);
    say("retrieved_per_second", latencies.len() as f64 / elapsed.as_secs_f64());
    say_latencies(latencies);
    Ok(())
}

/// Takes everything that is in the mailboxes; at least `messages` of all clients together.
pub fn pop_delete(plan: &Plan) -> Result<()> {
    together(plan.clients, |number| {
        let mut client = super::log_in(plan, number)?;
        for each in 0..per_client(plan) {
            client.imap_append("INBOX", &message(each, plan.bytes))?;
        }
        client.imap("LOGOUT")
    })?;
    pause("prepared")?;
    let begin = Instant::now();
    let latencies = together(plan.clients, |number| {
        let mut latencies = Vec::new();
        let mut client = log_in(plan, number)?;
        let messages = messages(&mut client)?;
        if messages < per_client(plan) {
            return Err(Error::other("messages are missing after APPEND"));
        }
        for each in 1..=messages {
            latencies.push(retrieve(&mut client, each, plan.bytes)?);
            client.pop(&format!("DELE {each}"))?;
        }
        client.pop("QUIT")?;
        Ok(latencies)
    })?;
    let elapsed = begin.elapsed();
    pause("worked")?;
    for number in 0..plan.clients {
        if count(&mut super::log_in(plan, number)?)? != 0 {
            return Err(Error::other("deleted messages are still there"));
        }
    }
    let latencies = latencies.concat();
    say("done", latencies.len() as f64);
    say("taken_per_second", latencies.len() as f64 / elapsed.as_secs_f64());
    say_latencies(latencies);
    Ok(())
}

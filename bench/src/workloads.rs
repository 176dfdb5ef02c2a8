//! The workloads. Each checks that the work was really done: counts of messages and bytes.

pub mod hostile;
pub mod idle;
pub mod imap;
pub mod logins;
pub mod pop;
pub mod scale;
pub mod smtp;
pub mod wake;

use std::io::{Error, Result, Write};
use std::thread;
use std::time::{Duration, Instant};

use crate::Plan;
use crate::client::Client;

/// How long the last message may take to its mailbox, or to the other host.
const DELIVERY_MAX: Duration = Duration::from_secs(120);

/// A message of this size; bytes beyond the header are lines of text.
pub fn message(number: usize, bytes: usize) -> Vec<u8> {
    let mut text = format!(
        "From: Load <load@example.org>\r\nTo: User <user@example.test>\r\nSubject: message {number}\r\n\
         Date: Wed, 25 Nov 2026 12:00:00 +0000\r\nMessage-ID: <{number}@load.example.org>\r\n\r\n"
    )
    .into_bytes();
    while text.len() + 2 < bytes {
        let more = (bytes - text.len() - 2).min(72);
        text.extend(std::iter::repeat_n(b'x', more));
        text.extend(b"\r\n");
    }
    text
}

/// A message as people write them, for searches and threads: about a kilobyte of words of which few are frequent, four messages
/// to a conversation, times in no order. One in ten thousand has the word `needle` in it.
pub fn letter(number: usize) -> Vec<u8> {
    let mut state = number as u64 ^ 0x9e37_79b9_7f4a_7c15;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let root = number - number % 4;
    let (day, hour, second) = (1 + random(28), random(24), random(60));
    let reply = if number == root { "" } else { "Re: " };
    let mut text = format!(
        "From: Load {} <load{}@example.org>\r\nTo: User <user@example.test>\r\nSubject: {reply}about {root}\r\n\
         Date: {day:02} Nov 2026 {hour:02}:00:{second:02} +0000\r\nMessage-ID: <{number}@load.example.org>\r\n",
        number % 97,
        number % 97
    );
    if number != root {
        text.push_str(&format!("References: <{root}@load.example.org>\r\n"));
    }
    text.push_str("\r\n");
    let mut column = 0;
    if number % 10_000 == 17 {
        text.push_str("needle ");
    }
    while text.len() < 1024 {
        // Products of two make small numbers frequent.
        let word = random(300) * random(300);
        let letters = "bcdfghjklmnprstvaeiou".as_bytes();
        let mut rest = word;
        for place in 0..3 + (word % 5) as usize {
            let some = if place % 2 == 0 { &letters[..16] } else { &letters[16..] };
            text.push(char::from(some[(rest % some.len() as u64) as usize]));
            rest = rest / 7 + word % 11;
        }
        column += 1;
        text.push_str(if column % 12 == 0 { "\r\n" } else { " " });
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// Runs `work(client number)` in a thread for each client; the first error.
fn together<T: Send>(clients: usize, work: impl Fn(usize) -> Result<T> + Sync) -> Result<Vec<T>> {
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..clients).map(|number| scope.spawn(move || work(number))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(Error::other("a client failed"))))
            .collect()
    })
}

fn per_client(plan: &Plan) -> usize {
    plan.messages / plan.clients
}

fn log_in(plan: &Plan, number: usize) -> Result<Client> {
    let mut client = Client::connect(plan.imap)?;
    let user = plan.first + number;
    client.imap(&format!("LOGIN u{user} pw-u{user}"))?;
    Ok(client)
}

/// Messages in INBOX.
fn count(client: &mut Client) -> Result<usize> {
    let (lines, _) = client.imap("STATUS INBOX (MESSAGES)")?;
    let found = lines.iter().find_map(|line| {
        let rest = &line[line.find("MESSAGES ")? + 9..];
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    });
    found.ok_or_else(|| Error::other("no count in the answer to STATUS"))
}

/// Says how far it is, and waits until the caller has looked.
fn pause(step: &str) -> Result<()> {
    println!("{step}");
    std::io::stdout().flush()?;
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

fn say(name: &str, value: f64) {
    println!("{name} {value:.3}");
}

fn say_latencies(mut latencies: Vec<Duration>) {
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    if !latencies.is_empty() {
        say("p50_ms", at(0.5));
        say("p95_ms", at(0.95));
        say("p99_ms", at(0.99));
    }
}

pub fn disk(plan: &Plan) -> Result<()> {
    let folder = plan.folder.as_ref().ok_or_else(|| Error::other("--folder is missing"))?;
    let begin = Instant::now();
    together(plan.clients, |number| {
        for each in 0..per_client(plan) {
            let mut file = std::fs::File::create(folder.join(format!("{number}-{each}")))?;
            file.write_all(&message(each, plan.bytes))?;
            file.sync_data()?;
        }
        Ok(())
    })?;
    say("files_per_second", (per_client(plan) * plan.clients) as f64 / begin.elapsed().as_secs_f64());
    Ok(())
}

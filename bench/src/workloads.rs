//! The workloads. Each checks that the work was really done: counts of messages and bytes.

use std::io::{Error, Read, Result, Write};
use std::thread;
use std::time::{Duration, Instant};

use crate::Plan;
use crate::client::Client;

/// How long the last message may take to its mailbox.
const DELIVERY_MAX: Duration = Duration::from_secs(120);

/// A message of this size; bytes beyond the header are lines of text.
fn message(number: usize, bytes: usize) -> Vec<u8> {
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
    client.imap(&format!("LOGIN u{number} pw-u{number}"))?;
    Ok(client)
}

fn count(client: &mut Client) -> Result<usize> {
    let (lines, _) = client.imap("STATUS INBOX (MESSAGES)")?;
    let found = lines.iter().find_map(|line| {
        let rest = &line[line.find("MESSAGES ")? + 9..];
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    });
    found.ok_or_else(|| Error::other("no count in the answer to STATUS"))
}

fn say(name: &str, value: f64) {
    println!("{name} {value:.3}");
}

fn say_latencies(mut latencies: Vec<Duration>) {
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    if !latencies.is_empty() {
        say("p50_ms", at(0.5));
        say("p99_ms", at(0.99));
    }
}

pub fn smtp(plan: &Plan) -> Result<()> {
    let mut watchers = together(plan.clients, |number| log_in(plan, number))?;
    let mut before = Vec::new();
    for watcher in &mut watchers {
        before.push(count(watcher)?);
    }
    let begin = Instant::now();
    let latencies = together(plan.clients, |number| {
        let mut client = Client::connect(plan.smtp)?;
        client.smtp(b"EHLO load.example.org\r\n", "250")?;
        let mut latencies = Vec::new();
        for each in 0..per_client(plan) {
            let start = Instant::now();
            client.smtp(b"MAIL FROM:<load@example.org>\r\n", "250")?;
            client.smtp(format!("RCPT TO:<u{number}@{}>\r\n", plan.domain).as_bytes(), "250")?;
            client.smtp(b"DATA\r\n", "354")?;
            let mut text = message(each, plan.bytes);
            text.extend(b".\r\n");
            client.smtp(&text, "250")?;
            latencies.push(start.elapsed());
        }
        client.smtp(b"QUIT\r\n", "221")?;
        Ok(latencies)
    })?;
    let accepted = begin.elapsed();
    for (watcher, before) in watchers.iter_mut().zip(before) {
        while count(watcher)? < before + per_client(plan) {
            if begin.elapsed() > DELIVERY_MAX {
                return Err(Error::other("messages are missing in a mailbox"));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
    let sent = (per_client(plan) * plan.clients) as f64;
    say("done", sent);
    say("accepted_per_second", sent / accepted.as_secs_f64());
    say("delivered_per_second", sent / begin.elapsed().as_secs_f64());
    say_latencies(latencies.concat());
    Ok(())
}

pub fn append(plan: &Plan) -> Result<()> {
    let begin = Instant::now();
    let latencies = together(plan.clients, |number| {
        let mut client = log_in(plan, number)?;
        let before = count(&mut client)?;
        let mut latencies = Vec::new();
        for each in 0..per_client(plan) {
            let start = Instant::now();
            client.imap_append("INBOX", &message(each, plan.bytes))?;
            latencies.push(start.elapsed());
        }
        if count(&mut client)? != before + per_client(plan) {
            return Err(Error::other("messages are missing after APPEND"));
        }
        Ok(latencies)
    })?;
    say("done", (per_client(plan) * plan.clients) as f64);
    say("appended_per_second", (per_client(plan) * plan.clients) as f64 / begin.elapsed().as_secs_f64());
    say_latencies(latencies.concat());
    Ok(())
}

pub fn imap(plan: &Plan) -> Result<()> {
    let begin = Instant::now();
    let latencies = together(plan.clients, |number| {
        let mut latencies = Vec::new();
        let mut timed = |client: &mut Client, command: &str| {
            let start = Instant::now();
            let answer = client.imap(command)?;
            latencies.push(start.elapsed());
            Ok::<_, Error>(answer)
        };
        for _ in 0..5 {
            let mut client = log_in(plan, number)?;
            timed(&mut client, "SELECT INBOX")?;
            let (lines, _) = timed(&mut client, "FETCH 1:* (UID FLAGS RFC822.SIZE ENVELOPE)")?;
            let messages = lines.iter().filter(|line| line.contains(" FETCH ")).count();
            if messages == 0 {
                return Err(Error::other("the mailbox is empty"));
            }
            for each in (1..=messages).step_by(2) {
                if timed(&mut client, &format!("FETCH {each} BODY.PEEK[]"))?.1 < 100 {
                    return Err(Error::other("a message came without its text"));
                }
                timed(&mut client, &format!("STORE {each} +FLAGS.SILENT (\\Seen)"))?;
            }
            timed(&mut client, "STATUS INBOX (MESSAGES UNSEEN)")?;
            timed(&mut client, "NOOP")?;
            client.imap("LOGOUT")?;
        }
        Ok(latencies)
    })?;
    let latencies = latencies.concat();
    say("done", latencies.len() as f64);
    say("commands_per_second", latencies.len() as f64 / begin.elapsed().as_secs_f64());
    say_latencies(latencies);
    Ok(())
}

pub fn pop(plan: &Plan) -> Result<()> {
    let begin = Instant::now();
    let read = together(plan.clients, |number| {
        let mut read = 0;
        for _ in 0..5 {
            let mut client = Client::connect(plan.pop)?;
            client.pop(&format!("USER u{number}"))?;
            client.pop(&format!("PASS pw-u{number}"))?;
            client.pop("STAT")?;
            client.pop("UIDL")?;
            let (messages, _) = client.pop_lines()?;
            for each in 1..=messages {
                client.pop(&format!("RETR {each}"))?;
                if client.pop_lines()?.1 < 100 {
                    return Err(Error::other("a message came without its text"));
                }
            }
            client.pop("QUIT")?;
            read += messages;
        }
        Ok(read)
    })?;
    let read = read.iter().sum::<usize>() as f64;
    say("done", read);
    say("retrieved_per_second", read / begin.elapsed().as_secs_f64());
    Ok(())
}

/// `messages` sessions of the users in turn.
pub fn idle(plan: &Plan) -> Result<()> {
    let mut sessions = Vec::new();
    let begin = Instant::now();
    for number in 0..plan.messages {
        let mut client = log_in(plan, number % plan.clients)?;
        client.imap("SELECT INBOX")?;
        client.send(b"i IDLE\r\n")?;
        if !client.line()?.starts_with('+') {
            return Err(Error::other("IDLE was refused"));
        }
        sessions.push(client);
    }
    say("opened_per_second", plan.messages as f64 / begin.elapsed().as_secs_f64());
    println!("ready");
    std::io::stdout().flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

pub fn large(plan: &Plan) -> Result<()> {
    let owner = plan.clients;
    together(plan.clients, |number| {
        let mut client = log_in(plan, owner)?;
        for each in 0..per_client(plan) {
            client.imap_append("INBOX", &message(number * per_client(plan) + each, 1024))?;
        }
        Ok(())
    })?;
    let mut client = log_in(plan, owner)?;
    let messages = count(&mut client)?;
    if messages < plan.messages {
        return Err(Error::other("messages are missing in the large mailbox"));
    }
    say("done", plan.messages as f64);
    let commands = [
        ("select_ms", "SELECT INBOX"),
        ("flags_ms", "FETCH 1:* FLAGS"),
        ("envelope_ms", "FETCH 1:* ENVELOPE"),
    ];
    for (name, command) in commands {
        let begin = Instant::now();
        let (lines, _) = client.imap(command)?;
        say(name, begin.elapsed().as_secs_f64() * 1e3);
        let fetched = lines.iter().filter(|line| line.contains(" FETCH ")).count();
        if command.starts_with("FETCH") && fetched != messages {
            return Err(Error::other(format!("{command}: {fetched} of {messages}")));
        }
    }
    Ok(())
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

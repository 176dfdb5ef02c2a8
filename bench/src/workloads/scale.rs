//! A mailbox of very many small messages: what the commands cost that clients give when they open one.
//!
//! Each measured part stands between the steps `begin NAME` and `end NAME`, at which the caller looks at the server's CPU time.

use std::io::{Error, Result};
use std::time::Instant;

use super::{count, log_in, pause, per_client, say, together};
use crate::Plan;
use crate::client::Client;

/// Messages of one APPEND.
const TOGETHER: usize = 100;
/// For how many of the messages ENVELOPE is asked.
const ENVELOPES: usize = 100_000;
/// How often what takes a moment only is done; the median counts.
const TIMES: usize = 21;
/// How many of the messages one EXPUNGE takes away.
const EXPUNGED: usize = 1000;

/// A reply to the one four before it, times in no order.
fn small(number: usize) -> Vec<u8> {
    let mixed = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    let (day, hour, minute) = (1 + mixed % 28, mixed / 28 % 24, mixed / 700 % 60);
    let (root, sender) = (number - number % 4, number % 97);
    let mut text = format!(
        "From: Load {sender} <load{sender}@example.org>\r\nTo: User <user@example.test>\r\nSubject: about {root}\r\n\
         Date: {day:02} Nov 2026 {hour:02}:{minute:02}:00 +0000\r\nMessage-ID: <{number}@load.example.org>\r\n"
    );
    if number != root {
        text.push_str(&format!("References: <{root}@load.example.org>\r\n"));
    }
    text.push_str("\r\nshort\r\n");
    text.into_bytes()
}

/// One part, looked at from both sides.
fn part<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    pause(&format!("begin {name}"))?;
    let begin = Instant::now();
    let done = work()?;
    let elapsed = begin.elapsed();
    pause(&format!("end {name}"))?;
    say(&format!("{name}_ms"), elapsed.as_secs_f64() * 1e3);
    Ok(done)
}

/// The same often: `NAME_ms` is the median of one, the steps are around all.
fn often(name: &str, mut work: impl FnMut(usize) -> Result<std::time::Duration>) -> Result<()> {
    pause(&format!("begin {name}"))?;
    let mut all = (0..TIMES).map(&mut work).collect::<Result<Vec<_>>>()?;
    pause(&format!("end {name}"))?;
    all.sort_unstable();
    say(&format!("{name}_ms"), all[TIMES / 2].as_secs_f64() * 1e3);
    say(&format!("{name}_times"), TIMES as f64);
    Ok(())
}

/// Fills, and measures: the owner is the user behind those of the other workloads.
pub fn scale(plan: &Plan) -> Result<()> {
    let owner = plan.clients;
    let before = count(&mut log_in(plan, owner)?)?;
    let messages = per_client(plan) * plan.clients;
    part("fill", || fill(plan, owner))?;
    // The caller starts the server anew here: what a process knows of the mailbox is gone.
    pause("restart")?;
    let mut client = log_in(plan, owner)?;
    if count(&mut client)? != before + messages {
        return Err(Error::other(format!("{} messages in the large mailbox", count(&mut client)?)));
    }
    let all = before + messages;
    part("select_first", || client.imap("SELECT INBOX"))?;
    often("select", |_| {
        client.imap("UNSELECT")?;
        timed(&mut client, "SELECT INBOX").map(|(_, took)| took)
    })?;
    part("flags", || fetched(&mut client, "UID FETCH 1:* (UID FLAGS)", all))?;
    let some = all.min(ENVELOPES);
    say("envelopes", some as f64);
    for name in ["envelope_first", "envelope_second"] {
        part(name, || fetched(&mut client, &format!("FETCH 1:{some} ENVELOPE"), some))?;
    }
    often("flag", |time| {
        let number = all / (TIMES + 1) * (time + 1);
        timed(&mut client, &format!("STORE {number} +FLAGS (\\Flagged)")).map(|(_, took)| took)
    })?;
    resynchronize(plan, owner)?;
    for name in ["sort_first", "sort"] {
        let lines = part(name, || client.imap("SORT (DATE) UTF-8 ALL"))?.0;
        let sorted = lines.iter().find(|line| line.starts_with("* SORT"));
        let sorted = sorted.map_or(0, |line| line.split(' ').count() - 2);
        if sorted != all {
            return Err(Error::other(format!("SORT: {sorted} of {all}")));
        }
    }
    for name in ["thread_first", "thread"] {
        let lines = part(name, || client.imap("THREAD REFERENCES UTF-8 ALL"))?.0;
        let threads = lines.iter().find(|line| line.starts_with("* THREAD"));
        // One opens for each group of four at least.
        if threads.map_or(0, |line| line.matches('(').count()) < messages / 4 {
            return Err(Error::other("THREAD: messages are missing"));
        }
    }
    drop(client);
    miss_expunges(plan, owner, all)?;
    expunge(plan, owner)
}

/// By all clients at once, each by commands with many messages.
fn fill(plan: &Plan, owner: usize) -> Result<()> {
    together(plan.clients, |number| {
        let mut client = log_in(plan, owner)?;
        let own: Vec<usize> = (number * per_client(plan)..(number + 1) * per_client(plan)).collect();
        for some in own.chunks(TOGETHER) {
            client.imap_append_at_once("INBOX", some.iter().map(|each| small(*each)))?;
        }
        Ok(())
    })
    .map(|_| ())
}

fn timed(client: &mut Client, command: &str) -> Result<(Vec<String>, std::time::Duration)> {
    let begin = Instant::now();
    let (lines, _) = client.imap(command)?;
    Ok((lines, begin.elapsed()))
}

/// What the answer to a SELECT says of the mailbox.
fn value(lines: &[String], name: &str) -> Result<u64> {
    let found = lines
        .iter()
        .find_map(|line| line.split(&format!("[{name} ")).nth(1)?.split(']').next()?.parse().ok());
    found.ok_or_else(|| Error::other(format!("SELECT without {name}")))
}

/// A FETCH that must answer for so many; the lines are counted and not kept.
fn fetched(client: &mut Client, command: &str, messages: usize) -> Result<()> {
    let found = client.imap_count(command, " FETCH ")?;
    if found != messages { Err(Error::other(format!("{command}: {found} of {messages}"))) } else { Ok(()) }
}

/// A client that was away while ten messages changed comes back (RFC 7162 §3.2.5), again and again.
fn resynchronize(plan: &Plan, owner: usize) -> Result<()> {
    let mut client = log_in(plan, owner)?;
    client.imap("ENABLE QRESYNC")?;
    client.imap("SELECT INBOX")?;
    client.imap("STORE 11:20 -FLAGS.SILENT (\\Answered)")?; // of an earlier run
    let (mut lines, _) = client.imap("SELECT INBOX")?;
    let validity: u64 = value(&lines, "UIDVALIDITY")?;
    often("qresync", |time| {
        let modseq: u64 = value(&lines, "HIGHESTMODSEQ")?;
        let sign = if time % 2 == 0 { '+' } else { '-' };
        client.imap(&format!("STORE 11:20 {sign}FLAGS.SILENT (\\Answered)"))?;
        client.imap("UNSELECT")?;
        let (answer, took) = timed(&mut client, &format!("SELECT INBOX (QRESYNC ({validity} {modseq}))"))?;
        let changed = answer.iter().filter(|line| line.contains(" FETCH ")).count();
        lines = answer;
        if changed != 10 { Err(Error::other(format!("QRESYNC told of {changed} of 10"))) } else { Ok(took) }
    })
}

/// The same, of ten messages all over the mailbox that were expunged (RFC 7162 §3.2.10.1).
fn miss_expunges(plan: &Plan, owner: usize, all: usize) -> Result<()> {
    let mut client = log_in(plan, owner)?;
    client.imap("ENABLE QRESYNC")?;
    let (mut lines, _) = client.imap("SELECT INBOX")?;
    let validity = value(&lines, "UIDVALIDITY")?;
    often("vanished", |time| {
        let modseq = value(&lines, "HIGHESTMODSEQ")?;
        let left = all - 10 * time;
        let some: Vec<String> = (1..=10).map(|place| (left / 11 * place).to_string()).collect();
        client.imap(&format!("STORE {} +FLAGS.SILENT (\\Deleted)", some.join(",")))?;
        client.imap("EXPUNGE")?;
        client.imap("UNSELECT")?;
        let (answer, took) = timed(&mut client, &format!("SELECT INBOX (QRESYNC ({validity} {modseq}))"))?;
        let gone = answer
            .iter()
            .filter_map(|line| line.strip_prefix("* VANISHED (EARLIER) "))
            .flat_map(|uids| uids.split(','));
        let gone = gone.count();
        lines = answer;
        if gone != 10 {
            Err(Error::other(format!("QRESYNC told of {gone} of 10 expunges")))
        } else {
            Ok(took)
        }
    })
}

/// As many side by side as one cleans up at a time.
fn expunge(plan: &Plan, owner: usize) -> Result<()> {
    let mut client = log_in(plan, owner)?;
    let before = count(&mut client)?;
    client.imap("SELECT INBOX")?;
    let expunged = before.min(EXPUNGED);
    client.imap(&format!("STORE 1:{expunged} +FLAGS.SILENT (\\Deleted)"))?;
    part("expunge", || client.imap("EXPUNGE"))?;
    say("expunged", expunged as f64);
    let left = count(&mut client)?;
    if left != before - expunged {
        return Err(Error::other(format!("EXPUNGE left {left} of {before} messages, {expunged} were to go")));
    }
    Ok(())
}

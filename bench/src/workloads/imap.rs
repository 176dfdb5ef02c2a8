//! IMAP: APPEND, the commands of a mail program, a mailbox of many messages.

use std::io::{Error, Result};
use std::time::Instant;

use super::{count, letter, log_in, message, pause, per_client, say, say_latencies, together};
use crate::Plan;
use crate::client::Client;

/// One user after the other, so that no mailbox is made by two sessions at once, which not every server survives.
pub fn warm(plan: &Plan) -> Result<()> {
    for number in 0..plan.clients {
        let mut client = log_in(plan, number)?;
        client.imap("SELECT INBOX")?;
        client.imap_append("INBOX", &message(number, plan.bytes))?;
        if count(&mut client)? != 1 {
            return Err(Error::other("a new mailbox does not hold its first message"));
        }
        client.imap("LOGOUT")?;
        let mut client = super::pop::log_in(plan, number)?;
        client.pop("QUIT")?;
    }
    Ok(())
}

pub fn append(plan: &Plan) -> Result<()> {
    let mut clients = Vec::new();
    for client in together(plan.clients, |number| log_in(plan, number))? {
        clients.push(std::sync::Mutex::new(client));
    }
    pause("prepared")?;
    let begin = Instant::now();
    let latencies = together(plan.clients, |number| {
        let mut client = clients[number].lock().map_err(|_| Error::other("a client failed"))?;
        let before = count(&mut client)?;
        let mut latencies = Vec::new();
        for each in 0..per_client(plan) {
            let text = message(each, plan.bytes);
            let start = Instant::now();
            client.imap_append("INBOX", &text)?;
            latencies.push(start.elapsed());
        }
        if count(&mut client)? != before + per_client(plan) {
            return Err(Error::other("messages are missing after APPEND"));
        }
        Ok(latencies)
    })?;
    let elapsed = begin.elapsed();
    pause("worked")?;
    say("done", (per_client(plan) * plan.clients) as f64);
    say("appended_per_second", (per_client(plan) * plan.clients) as f64 / elapsed.as_secs_f64());
    say_latencies(latencies.concat());
    Ok(())
}

pub fn imap(plan: &Plan) -> Result<()> {
    pause("prepared")?;
    let begin = Instant::now();
    let latencies = together(plan.clients, |number| {
        let mut latencies = Vec::new();
        let mut timed = |client: &mut Client, command: &str| {
            let start = Instant::now();
            let answer = client.imap(command)?;
            latencies.push(start.elapsed());
            Ok::<_, Error>(answer)
        };
        for _ in 0..plan.passes {
            let mut client = log_in(plan, number)?;
            timed(&mut client, "SELECT INBOX")?;
            let (lines, _) = timed(&mut client, "FETCH 1:* (UID FLAGS RFC822.SIZE ENVELOPE)")?;
            let messages = lines.iter().filter(|line| line.contains(" FETCH ")).count();
            if messages == 0 {
                return Err(Error::other("the mailbox is empty"));
            }
            for each in (1..=messages).step_by(2) {
                if timed(&mut client, &format!("FETCH {each} BODY.PEEK[]"))?.1 < plan.bytes - 2 {
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
    let elapsed = begin.elapsed();
    pause("worked")?;
    let latencies = latencies.concat();
    say("done", latencies.len() as f64);
    say("commands_per_second", latencies.len() as f64 / elapsed.as_secs_f64());
    say_latencies(latencies);
    Ok(())
}

pub fn large(plan: &Plan) -> Result<()> {
    let owner = plan.clients;
    let mut client = log_in(plan, owner)?;
    let before = count(&mut client)?;
    pause("prepared")?;
    let filled = if plan.filled { 0 } else { fill(plan, owner)? };
    pause("worked")?;
    let messages = count(&mut client)?;
    if messages != before + filled || messages < plan.messages {
        return Err(Error::other(format!("{messages} messages in the large mailbox")));
    }
    say("done", (per_client(plan) * plan.clients) as f64);
    let mut timed = |name: &str, command: &str| {
        let begin = Instant::now();
        let (lines, _) = client.imap(command)?;
        say(name, begin.elapsed().as_secs_f64() * 1e3);
        Ok::<Vec<String>, Error>(lines)
    };
    timed("select_ms", "SELECT INBOX")?;
    for (name, command) in [("flags_ms", "FETCH 1:* FLAGS"), ("envelope_ms", "FETCH 1:* ENVELOPE")] {
        let fetched = timed(name, command)?.iter().filter(|line| line.contains(" FETCH ")).count();
        if fetched != messages {
            return Err(Error::other(format!("{command}: {fetched} of {messages}")));
        }
    }
    timed("flag_ms", &format!("STORE {} +FLAGS (\\Flagged)", messages / 2 + 1))?;
    let sorted = timed("sort_ms", "SORT (DATE) UTF-8 ALL")?;
    let sorted =
        sorted.iter().find(|line| line.starts_with("* SORT")).map_or(0, |line| line.split(' ').count() - 2);
    if sorted != messages {
        return Err(Error::other(format!("SORT: {sorted} of {messages}")));
    }
    timed("thread_ms", "THREAD REFERENCES UTF-8 ALL")?;
    let needles = own_needles(per_client(plan) * plan.clients);
    let found = timed("search_ms", "SEARCH BODY needle")?;
    let found =
        found.iter().find(|line| line.starts_with("* SEARCH")).map_or(0, |line| line.split(' ').count() - 2);
    if found != needles {
        return Err(Error::other(format!("SEARCH: {found} of {needles}")));
    }
    resynchronize(plan, owner)?;
    let mut client = log_in(plan, owner)?;
    client.imap("SELECT INBOX")?;
    client.imap(&format!("STORE 1:{} +FLAGS.SILENT (\\Deleted)", messages.min(1000)))?;
    let begin = Instant::now();
    client.imap("EXPUNGE")?;
    say("expunge_ms", begin.elapsed().as_secs_f64() * 1e3);
    Ok(())
}

/// The letters, put into the mailbox as fast as the server can, since that is not measured; how many.
fn fill(plan: &Plan, owner: usize) -> Result<usize> {
    together(plan.clients, |number| {
        let mut client = log_in(plan, owner)?;
        let (lines, _) = client.imap("CAPABILITY")?;
        let together = if lines.iter().any(|line| line.contains("MULTIAPPEND")) { 100 } else { 1 };
        let own: Vec<usize> = (number * per_client(plan)..(number + 1) * per_client(plan)).collect();
        for some in own.chunks(together) {
            client.imap_append_all("INBOX", some.iter().map(|each| letter(*each)))?;
        }
        Ok(own.len())
    })
    .map(|filled| filled.iter().sum())
}

/// The same letters as files.
pub fn letters(plan: &Plan) -> Result<()> {
    let folder = plan.folder.as_ref().ok_or_else(|| Error::other("--folder is missing"))?;
    (0..plan.messages).try_for_each(|each| std::fs::write(folder.join(each.to_string()), letter(each)))
}

/// How many of the first letters have the word in them.
fn own_needles(letters: usize) -> usize {
    (letters + 10_000 - 18) / 10_000
}

/// A client that was away while ten messages changed comes back (RFC 7162 §3.2.5).
fn resynchronize(plan: &Plan, owner: usize) -> Result<()> {
    let mut client = log_in(plan, owner)?;
    client.imap("ENABLE QRESYNC")?;
    let (lines, _) = client.imap("SELECT INBOX")?;
    let value = |name: &str| {
        let line =
            lines.iter().find_map(|line| line.split(&format!("[{name} ")).nth(1)?.split(']').next())?;
        Some(line.to_owned())
    };
    let (Some(validity), Some(modseq)) = (value("UIDVALIDITY"), value("HIGHESTMODSEQ")) else {
        return Err(Error::other("SELECT without UIDVALIDITY and HIGHESTMODSEQ"));
    };
    client.imap("STORE 11:20 +FLAGS.SILENT (\\Answered)")?;
    client.imap("UNSELECT")?;
    let begin = Instant::now();
    let (lines, _) = client.imap(&format!("SELECT INBOX (QRESYNC ({validity} {modseq}))"))?;
    say("qresync_ms", begin.elapsed().as_secs_f64() * 1e3);
    let changed = lines.iter().filter(|line| line.contains(" FETCH ")).count();
    if changed != 10 { Err(Error::other(format!("QRESYNC told of {changed} of 10"))) } else { Ok(()) }
}

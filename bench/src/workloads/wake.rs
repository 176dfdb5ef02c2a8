//! How soon those hear of new mail who wait for it, while many wait.

use std::io::{Error, Result};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::idle::select_and_idle;
use super::{log_in, message, pause, say, say_latencies};
use crate::Plan;
use crate::client::Client;

/// How long a notice may take before the run fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// Opens `messages` idle sessions of the users in turn; then appends to each user's mailbox, time after time, and takes the time
/// from the answer to APPEND until the session that watches has heard of it. Of each user one session watches; the
/// others are told as well, and nobody reads that.
pub fn wake(plan: &Plan) -> Result<()> {
    let mut writers =
        (0..plan.clients).map(|number| log_in(plan, number)).collect::<Result<Vec<Client>>>()?;
    let open = |number: usize| select_and_idle(log_in(plan, number % plan.clients)?);
    let idle = (plan.clients..plan.messages).map(open).collect::<Result<Vec<Client>>>()?;
    let (sender, heard) = mpsc::channel();
    for number in 0..plan.clients {
        let mut watcher = open(number)?;
        let sender = sender.clone();
        std::thread::spawn(move || {
            while let Ok(line) = watcher.line() {
                if line.ends_with(" EXISTS") && sender.send((number, Instant::now())).is_err() {
                    return;
                }
            }
        });
    }
    pause("begin wake")?;
    let mut latencies = Vec::new();
    for _ in 0..plan.passes {
        for (number, writer) in writers.iter_mut().enumerate() {
            writer.imap_append("INBOX", &message(number, 1024))?;
            let appended = Instant::now();
            let (who, at) = heard.recv_timeout(PATIENCE).map_err(Error::other)?;
            if who != number {
                return Err(Error::other(format!("user {who} was told of the mail of user {number}")));
            }
            // From the answer on: what is heard earlier has taken no time.
            latencies.push(at.saturating_duration_since(appended));
        }
    }
    pause("end wake")?;
    say("idle", (idle.len() + plan.clients) as f64);
    say("wake_times", latencies.len() as f64);
    say_latencies(latencies);
    Ok(())
}

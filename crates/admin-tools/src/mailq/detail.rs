//! All that is known about some messages: the attributes of a control file (S74).

use std::io::Write;

use mail_queue::{Envelope, Folder, QueueId, Survey};

use crate::selection::Selection;
use crate::site::broken;

/// `named` are ids or domains.
pub fn tell(
    queue: &super::Queue,
    selection: &Selection,
    named: &[String],
    out: &mut dyn Write,
) -> Result<(), String> {
    let mut found = vec![false; named.len()];
    let mut buffer = Vec::new();
    for folder in Survey::of(&queue.folder) {
        let folder = folder.map_err(|why| why.to_string())?;
        selection.each(&folder, &mut buffer, |id, envelope| {
            let domains =
                envelope.as_ref().map_or_else(|_| Vec::new(), |envelope| super::domains(&folder, envelope));
            let is_meant = |name: &String| {
                name == id.as_str() || domains.iter().any(|domain| *domain == base::idn::domain(name))
            };
            let mut meant = false;
            for (name, found) in named.iter().zip(&mut found) {
                if is_meant(name) {
                    *found = true;
                    meant = true;
                }
            }
            match envelope {
                Ok(envelope) if meant => {
                    entry(&folder, id, &queue.told(&folder, envelope), out).map_err(broken)
                }
                Err(why) if meant => {
                    writeln!(out, "{}\n  {why}", folder.envelope_path(id).display()).map_err(broken)
                }
                _ => Ok(()),
            }
        })?;
    }
    match named.iter().zip(found).find(|(_, found)| !found) {
        Some((name, _)) if QueueId::parse(name).is_some() => Err(format!("{name} is not in the queue")),
        Some((name, _)) => Err(format!("nothing in the queue waits for {}", base::escape(name))),
        None => Ok(()),
    }
}

/// One message.
pub fn entry(folder: &Folder, id: &QueueId, envelope: &Envelope, out: &mut dyn Write) -> std::io::Result<()> {
    let now = base::clock::unix_seconds();
    writeln!(out, "{}", folder.envelope_path(id).display())?;
    writeln!(
        out,
        "  sender <{}> from {}",
        base::escape(envelope.sender.as_deref().unwrap_or("")),
        base::escape(&envelope.host_from),
    )?;
    if let Some(user) = &envelope.auth_sender {
        writeln!(out, "  logged in as {}", base::escape(user))?;
    }
    writeln!(
        out,
        "  arrived {} s ago, {} bytes, {}, next in {} s",
        now.saturating_sub(envelope.arrived()),
        envelope.message_size,
        crate::site::count(usize::try_from(envelope.attempts).unwrap_or(usize::MAX), "attempt"),
        envelope.next_attempt.saturating_sub(now).max(0)
    )?;
    if let Some(until) = super::release(envelope) {
        writeln!(out, "  held until {until}, as its sender wanted")?;
    }
    if envelope.held {
        writeln!(out, "  held until it is released")?;
    }
    for recipient in &envelope.recipients {
        writeln!(out, "  <{}> {}", base::escape(&recipient.address), super::state(&recipient.state))?;
    }
    if !envelope.last_error.is_empty() {
        writeln!(out, "  last: {}", base::escape(&envelope.last_error))?;
    }
    Ok(())
}

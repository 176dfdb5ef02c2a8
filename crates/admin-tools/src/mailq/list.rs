//! One paragraph for each message.

use std::io::Write;

use mail_queue::State;

use crate::selection::Selection;
use crate::site::broken;

pub fn tell(queue: &super::Queue, selection: &Selection, out: &mut dyn Write) -> Result<(), String> {
    let now = base::clock::unix_seconds();
    let mut count = 0_usize;
    super::each(queue, selection, &mut |folder, id, envelope| {
        count += 1;
        let envelope = match envelope {
            Ok(envelope) => envelope,
            Err(why) => return writeln!(out, "env-{id}: {why}").map_err(broken),
        };
        let sender = base::escape(envelope.sender.as_deref().unwrap_or(""));
        let age = now.saturating_sub(envelope.arrived());
        let held = match super::release(&envelope) {
            _ if envelope.held => "  held".to_owned(),
            Some(until) => format!("  held until {until}"),
            None => String::new(),
        };
        let waits = folder
            .domain()
            .map_or(String::new(), |domain| format!("  deferred for {}", base::escape(domain)));
        writeln!(out, "{id} {:>9} bytes {age:>7} s  <{sender}>{waits}{held}", envelope.message_size)
            .map_err(broken)?;
        for recipient in envelope.recipients.iter().filter(|one| one.state != State::Done) {
            let (address, state) = (base::escape(&recipient.address), super::state(&recipient.state));
            writeln!(out, "    <{address}>  {state}").map_err(broken)?;
        }
        if envelope.last_error.is_empty() {
            return Ok(());
        }
        writeln!(out, "    ({})", base::escape(&envelope.last_error)).map_err(broken)
    })?;
    writeln!(out, "{count} in the queue").map_err(broken)
}

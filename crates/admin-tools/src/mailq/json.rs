//! One JSON object a line: the fields of Postfix's `postqueue -j`, and more behind them.
//!
//! As there, `sender` is `MAILER-DAEMON` for reports, `recipients` are those that wait, and `delay_reason` stands with a
//! recipient that was tried. `queue_name` is `active`, `deferred`, `hold` or `corrupt`.

use std::fmt::Write as _;
use std::io::Write;

use base::json::quote;
use mail_queue::{Envelope, Folder, QueueId, State};

use crate::selection::{Selection, waiting};
use crate::site::broken;

pub fn tell(queue: &super::Queue, selection: &Selection, out: &mut dyn Write) -> Result<(), String> {
    let now = base::clock::unix_seconds();
    super::each(queue, selection, &mut |folder, id, envelope| {
        let line = match envelope {
            Ok(envelope) => object(folder, id, &envelope, now),
            Err(why) => format!(
                "{{\"queue_name\":\"corrupt\",\"queue_id\":{},\"path\":{},\"error\":{}}}",
                quote(id.as_str()),
                quote(&folder.envelope_path(id).to_string_lossy()),
                quote(&why)
            ),
        };
        writeln!(out, "{line}").map_err(broken)
    })
}

fn queue_name(folder: &Folder, envelope: &Envelope, now: i64) -> &'static str {
    match envelope.held || envelope.waits_for_release(now) {
        true => "hold",
        false if folder.domain().is_some() || envelope.next_attempt > now => "deferred",
        false => "active",
    }
}

/// Given up by `msg-queue expire`; the report is due.
fn is_expired(envelope: &Envelope) -> bool {
    waiting(envelope)
        .any(|one| matches!(&one.state, State::Failed { text, .. } if text == mail_queue::EXPIRED))
}

fn object(folder: &Folder, id: &QueueId, envelope: &Envelope, now: i64) -> String {
    let mut text = String::with_capacity(512);
    let optional = |value: Option<&str>| value.map_or_else(|| "null".to_owned(), quote);
    let _ = write!(
        text,
        "{{\"queue_name\":\"{}\",\"queue_id\":{},\"arrival_time\":{},\"message_size\":{},\"forced_expire\":{},\"sender\":{},\"recipients\":[",
        queue_name(folder, envelope, now),
        quote(id.as_str()),
        envelope.arrived(),
        envelope.message_size,
        is_expired(envelope),
        quote(envelope.sender.as_deref().unwrap_or("MAILER-DAEMON")),
    );
    for (number, recipient) in waiting(envelope).enumerate() {
        let comma = if number > 0 { "," } else { "" };
        let _ = write!(text, "{comma}{{\"address\":{}", quote(&recipient.address));
        match &recipient.state {
            State::Failed { status, text: why } => {
                let reason = format!("{status} {why}");
                let _ = write!(text, ",\"delay_reason\":{},\"state\":\"failed\"}}", quote(&reason));
            }
            _ if envelope.last_error.is_empty() => text.push_str(",\"state\":\"waiting\"}"),
            _ => {
                let _ =
                    write!(text, ",\"delay_reason\":{},\"state\":\"waiting\"}}", quote(&envelope.last_error));
            }
        }
    }
    let _ = write!(
        text,
        "],\"domain\":{},\"attempts\":{},\"next_attempt\":{},\"last_error\":{},\"client\":{},\"protocol\":{},\"user\":{},\"envid\":{},\"hold_until\":{},\"path\":{},\"message_path\":{}}}",
        optional(folder.domain()),
        envelope.attempts,
        envelope.next_attempt,
        quote(&envelope.last_error),
        quote(&envelope.host_from),
        quote(&envelope.protocol),
        optional(envelope.auth_sender.as_deref()),
        optional(envelope.envid.as_deref()),
        envelope.hold.as_ref().map_or_else(|| "null".to_owned(), |hold| hold.until.to_string()),
        quote(&folder.envelope_path(id).to_string_lossy()),
        quote(&folder.message_path(id).to_string_lossy()),
    );
    text
}

//! error-handler: who is told what became of a message. Failures by the sums of `*actions` (S43 to S46), success and delay
//! by what the sender asked for (RFC 3461 §5.2).
//!
//! A report has the null sender, and none is made about a report: a failure that cannot be reported to its sender goes to
//! the postmaster. Recipients who share a state share a report.

use mail_queue::{QueueError, State, Step};
use server_log::Category;

use crate::mta::Desk;
use crate::reports::{Kind, report};
use crate::settings::Actions;
use crate::work::Work;

/// Makes the reports that are due and says so in the envelope.
///
/// # Errors
/// A report cannot be queued; it is due the next time.
pub fn run(desk: &Desk, work: &mut Work) -> Result<(), QueueError> {
    // The id of a report follows from what is told. It must not be told otherwise after a power cut.
    work.entry.sync()?;
    base::crash::step("bounce: due");
    failures(desk, work)?;
    successes(desk, work)?;
    delays(desk, work)
}

fn failures(desk: &Desk, work: &mut Work) -> Result<(), QueueError> {
    let places = work.failed();
    if places.is_empty() {
        return Ok(());
    }
    let id = work.entry.envelope.id.clone();
    let mut to_sender = Vec::new();
    let mut to_postmaster = Vec::new();
    let mut held = Vec::new();
    for place in &places {
        let recipient = &work.entry.envelope.recipients[*place];
        let State::Failed { status, text } = &recipient.state else { continue };
        let actions = actions(desk, status);
        if actions.log() || desk.settings.error_handler.log {
            desk.log.notice(
                Category::Protocol,
                format_args!("error-handler: {id} to=<{}> status={status} {text}", recipient.address),
            );
        }
        let wants_reply = recipient.asks_for("failure").unwrap_or(true);
        let has_sender = work.entry.envelope.sender.is_some();
        if actions.reply() && has_sender && wants_reply {
            to_sender.push(*place);
        }
        // An automatic answer that cannot be delivered is nobody's business (RFC 3834 §3.3).
        if !has_sender && recipient.notify.as_deref() == Some("never") {
            continue;
        }
        // A report that fails is nobody's but the postmaster's.
        if actions.postmaster() || !has_sender {
            to_postmaster.push(*place);
        } else if actions.hold() && !actions.reply() {
            held.push(recipient.address.clone());
        }
    }
    let postmaster = format!("postmaster@{}", desk.settings.domains.default_domain());
    if let Some(sender) = work.entry.envelope.sender.clone().filter(|_| !to_sender.is_empty()) {
        report(desk, &work.entry, &Kind::Failed, &to_sender, &sender, None)?;
    }
    if !to_postmaster.is_empty() {
        let about_itself = to_postmaster.iter().any(|place| {
            let recipient = &work.entry.envelope.recipients[*place];
            recipient.address.eq_ignore_ascii_case(&postmaster)
        });
        if about_itself {
            // Not even the postmaster can be told: the message is kept where an administrator finds it.
            desk.log.critical(
                Category::General,
                format_args!("{id}: mail to the postmaster cannot be delivered"),
            );
            work.entry.keep_aside(&"mail to the postmaster cannot be delivered")?;
        } else {
            let subject = "Undelivered mail (copy for the postmaster)";
            report(desk, &work.entry, &Kind::Failed, &to_postmaster, &postmaster, Some(subject))?;
        }
    }
    if !held.is_empty() {
        // The original did nothing for this bit. With no other, nothing would be left of the message.
        work.entry.keep_aside(&format_args!("not delivered to {}, and held", held.join(", ")))?;
    }
    note(work, places, &Step::Reported);
    Ok(())
}

/// Who asked to be told that somebody has it (RFC 3461 §5.2.2, §5.2.3, §5.2.7.3).
fn successes(desk: &Desk, work: &mut Work) -> Result<(), QueueError> {
    let places = work.succeeded();
    if let Some(sender) = work.entry.envelope.sender.clone().filter(|_| !places.is_empty()) {
        report(desk, &work.entry, &Kind::Succeeded, &places, &sender, None)?;
    }
    note(work, places, &Step::Reported);
    Ok(())
}

/// Who waits for so long that the sender should know (RFC 3461 §5.2.5). He is told once.
fn delays(desk: &Desk, work: &mut Work) -> Result<(), QueueError> {
    let delays = std::mem::take(&mut work.warnings);
    let places: Vec<usize> = delays.iter().map(|(place, _)| *place).collect();
    if let Some(sender) = work.entry.envelope.sender.clone().filter(|_| !places.is_empty()) {
        report(desk, &work.entry, &Kind::Delayed(delays), &places, &sender, None)?;
    }
    note(work, places, &Step::Warned);
    Ok(())
}

/// Says durably that the report is there. Not written down, it is found there the next time; unless it has gone its way.
fn note(work: &mut Work, places: Vec<usize>, step: &Step) {
    if !places.is_empty() {
        base::crash::step("bounce: queued");
        let steps = places.into_iter().map(|place| (place, step.clone())).collect();
        let _ = work.entry.record_all(steps).and_then(|()| work.entry.sync());
        base::crash::step("bounce: noted");
    }
}

/// What is done about a failure of this status.
fn actions(desk: &Desk, status: &str) -> Actions {
    match status {
        "5.4.6" => desk.settings.hops_exceeded,
        "5.2.2" | "4.2.2" => desk.settings.quota_exceeded,
        "5.1.1" => desk.settings.unknown_account,
        _ => Actions(1 | 8),
    }
}

//! The steps that are appended to an envelope as it goes its way.

use crate::QueueId;
use crate::envelope::{Envelope, Recipient, State, Success, in_angles};
use crate::escape::{escape, unescape};

/// Recipients of one envelope at most, expansions included: a group that contains itself ends here.
pub const RECIPIENTS_MAX: usize = 200_000;

/// Who takes a recipient's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub address: String,
    /// By which way; what the mta understands.
    pub via: Option<String>,
}

/// What the site's rules said of a message before anything else was done with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filtered {
    Passed,
    /// Nobody gets it, and nobody is told.
    Dropped,
    /// It waits until it is released; why.
    Held(String),
    /// All who wait have failed: a report with this text is due.
    Rejected(String),
}

/// One step. Its recipient is given by place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The recipient has it.
    Done,
    /// The recipient stands for these addresses, which are new recipients.
    Expanded(Vec<String>),
    /// As `Expanded`, with the way of each: a mailbox and a program of one account fail and are repeated apart.
    Ways(Vec<Target>),
    /// As `Ways`, and the sender is to be told of it instead of what becomes of each (RFC 3461 §5.2.7.3).
    Group(Vec<Target>),
    /// The recipient has it, and the sender wants to know.
    Succeeded {
        success: Success,
        text: String,
    },
    /// For good.
    Failed {
        status: String,
        text: String,
    },
    /// The report of the failure, or the success, is in the queue.
    Reported,
    /// The report of the delay is in the queue.
    Warned,
    /// Waits in the deferred queue now, under this id.
    Moved(QueueId),
    /// Tried, and not again before this second. Concerns the whole envelope.
    Attempt {
        next: i64,
        text: String,
    },
    /// Not tried until it is released. Concerns the whole envelope, as do those below.
    Held,
    Released,
    /// May be tried from this second on, whatever the last attempt said.
    Due(i64),
    /// The same, and as if it had never been tried.
    Requeued(i64),
    /// The rules were asked, and are not asked again.
    Filtered(Filtered),
}

impl Step {
    /// The line for the recipient at `place` (from 0), with its end.
    pub fn encode(&self, place: usize, now: i64) -> String {
        let number = place + 1;
        let line = match self {
            Step::Done => format!("done {number} {now}"),
            Step::Expanded(addresses) => {
                let list: String =
                    addresses.iter().map(|address| format!(" <{}>", escape(address))).collect();
                format!("expanded {number} {now}{list}")
            }
            Step::Ways(targets) => {
                let list: String = targets.iter().map(encode_target).collect();
                format!("ways {number} {now}{list}")
            }
            Step::Group(targets) => {
                let list: String = targets.iter().map(encode_target).collect();
                format!("group {number} {now}{list}")
            }
            Step::Succeeded { success, text } => {
                format!("succeeded {number} {now} {} {}", success.word(), escape(text))
            }
            Step::Failed { status, text } => format!("failed {number} {now} {status} {}", escape(text)),
            Step::Reported => format!("reported {number} {now}"),
            Step::Warned => format!("warned {number} {now}"),
            Step::Moved(id) => format!("moved {number} {now} {id}"),
            Step::Attempt { next, text } => format!("attempt 0 {next} {}", escape(text)),
            Step::Held => format!("held 0 {now}"),
            Step::Released => format!("released 0 {now}"),
            Step::Due(second) => format!("due 0 {second}"),
            Step::Requeued(second) => format!("requeued 0 {second}"),
            Step::Filtered(filtered) => match filtered {
                Filtered::Passed => format!("filtered 0 {now} passed"),
                Filtered::Dropped => format!("filtered 0 {now} dropped"),
                Filtered::Held(text) => format!("filtered 0 {now} held {}", escape(text)),
                Filtered::Rejected(text) => format!("filtered 0 {now} rejected {}", escape(text)),
            },
        };
        let crc = base::crc32(line.as_bytes());
        format!("{line} #{crc:08x}\n")
    }

    fn decode(line: &str) -> Option<(usize, Step)> {
        let (line, crc) = line.rsplit_once(" #")?;
        if crc.len() != 8 || u32::from_str_radix(crc, 16).ok()? != base::crc32(line.as_bytes()) {
            return None;
        }
        let mut words = line.splitn(4, ' ');
        let (word, number, second) = (words.next()?, words.next()?, words.next()?);
        let rest = words.next().unwrap_or("");
        let number: usize = number.parse().ok()?;
        let second: i64 = second.parse().ok()?;
        let step = match word {
            "done" => Step::Done,
            "expanded" => Step::Expanded(addresses(rest)?),
            "ways" => Step::Ways(targets(rest)?),
            "group" => Step::Group(targets(rest)?),
            "succeeded" => {
                let (success, text) = rest.split_once(' ').unwrap_or((rest, ""));
                Step::Succeeded { success: Success::of(success)?, text: unescape(text)? }
            }
            "failed" => {
                let (status, text) = rest.split_once(' ').unwrap_or((rest, ""));
                Step::Failed { status: status.to_owned(), text: unescape(text)? }
            }
            "reported" => Step::Reported,
            "warned" => Step::Warned,
            "moved" => Step::Moved(QueueId::parse(rest)?),
            "attempt" => return Some((0, Step::Attempt { next: second, text: unescape(rest)? })),
            "held" => return Some((0, Step::Held)),
            "released" => return Some((0, Step::Released)),
            "due" => return Some((0, Step::Due(second))),
            "requeued" => return Some((0, Step::Requeued(second))),
            "filtered" => {
                let (word, text) = rest.split_once(' ').unwrap_or((rest, ""));
                let filtered = match word {
                    "passed" => Filtered::Passed,
                    "dropped" => Filtered::Dropped,
                    "held" => Filtered::Held(unescape(text)?),
                    "rejected" => Filtered::Rejected(unescape(text)?),
                    _ => return None,
                };
                return Some((0, Step::Filtered(filtered)));
            }
            _ => return None,
        };
        Some((number.checked_sub(1)?, step))
    }
}

fn addresses(mut rest: &str) -> Option<Vec<String>> {
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (address, behind) = in_angles(rest)?;
        found.push(unescape(address)?);
        rest = behind.strip_prefix(' ').unwrap_or(behind);
    }
    Some(found)
}

/// ` <address>`, or ` <address>;way` with the blanks of the way escaped, too.
fn encode_target(target: &Target) -> String {
    let via = target.via.as_deref().map(|via| format!(";{}", escape(via).replace(' ', "%20")));
    format!(" <{}>{}", escape(&target.address), via.unwrap_or_default())
}

fn targets(mut rest: &str) -> Option<Vec<Target>> {
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (address, behind) = in_angles(rest)?;
        let (via, next) = behind.split_once(' ').unwrap_or((behind, ""));
        let via = match via.strip_prefix(';') {
            Some(via) => Some(unescape(via)?),
            None if via.is_empty() => None,
            None => return None,
        };
        found.push(Target { address: unescape(address)?, via });
        rest = next;
    }
    Some(found)
}

/// The steps behind the end mark, up to the first that does not verify.
pub fn read_steps(bytes: &[u8]) -> impl Iterator<Item = (usize, Step)> + '_ {
    bytes
        .split_inclusive(|byte| *byte == b'\n')
        .map_while(|line| Step::decode(std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?))
}

/// Bytes of the steps up to the first that does not verify.
pub fn whole_steps_length(bytes: &[u8]) -> usize {
    let whole = |line: &&[u8]| {
        line.strip_suffix(b"\n").and_then(|line| Step::decode(std::str::from_utf8(line).ok()?)).is_some()
    };
    bytes.split_inclusive(|byte| *byte == b'\n').take_while(whole).map(<[u8]>::len).sum()
}

/// Changes the envelope as the step says. A step that does not fit changes nothing.
pub fn apply(envelope: &mut Envelope, place: usize, step: Step) {
    let Some(step) = apply_to_whole(envelope, step) else { return };
    let Some(recipient) = envelope.recipients.get_mut(place) else { return };
    match step {
        Step::Done | Step::Moved(_) => recipient.state = State::Done,
        Step::Failed { status, text } => recipient.state = State::Failed { status, text },
        Step::Succeeded { success, text } => recipient.state = State::Succeeded { success, text },
        Step::Reported => recipient.state = State::Reported,
        Step::Warned => recipient.warned = true,
        Step::Expanded(addresses) => {
            let targets = addresses.into_iter().map(|address| Target { address, via: None }).collect();
            replace(envelope, place, targets, false);
        }
        Step::Ways(targets) => replace(envelope, place, targets, false),
        Step::Group(targets) => replace(envelope, place, targets, true),
        _ => {}
    }
}

/// Puts new recipients behind the others; the one they stand for is done, or a report says what became of it (`is_told`).
/// Nothing changes when there are too many. Success is asked of the first of them, or of none: the sender knows one address
/// and is told once.
fn replace(envelope: &mut Envelope, place: usize, targets: Vec<Target>, is_told: bool) {
    if envelope.recipients.len().saturating_add(targets.len()) > RECIPIENTS_MAX {
        return;
    }
    let recipient = &mut envelope.recipients[place];
    recipient.state = match is_told {
        true => State::Succeeded { success: Success::Expanded, text: String::new() },
        false => State::Done,
    };
    recipient.expanded = true;
    let (orcpt, notify, warned) = (recipient.orcpt.clone(), recipient.notify.clone(), recipient.warned);
    let rest = notify.as_deref().map(without_success);
    envelope.recipients.extend(targets.into_iter().enumerate().map(|(at, target)| Recipient {
        address: target.address,
        orcpt: orcpt.clone(),
        notify: if at == 0 && !is_told { notify.clone() } else { rest.clone() },
        state: State::Pending,
        expanded: false,
        from: Some(place + 1),
        via: target.via,
        warned,
    }));
}

/// `success,delay` without its first word; `never` when nothing is left.
fn without_success(notify: &str) -> String {
    let left: Vec<&str> = notify.split(',').filter(|word| *word != "success").collect();
    if left.is_empty() { "never".to_owned() } else { left.join(",") }
}

/// Changes what concerns the whole envelope; gives back a step that concerns a recipient.
fn apply_to_whole(envelope: &mut Envelope, step: Step) -> Option<Step> {
    match step {
        Step::Attempt { next, text } => {
            envelope.attempts = envelope.attempts.saturating_add(1);
            envelope.next_attempt = next;
            envelope.last_error = text;
        }
        Step::Held => envelope.held = true,
        Step::Released => envelope.held = false,
        Step::Due(second) => envelope.next_attempt = second,
        Step::Requeued(second) => {
            envelope.next_attempt = second;
            envelope.attempts = 0;
            envelope.held = false;
        }
        Step::Filtered(filtered) => apply_filtered(envelope, filtered),
        of_recipient => return Some(of_recipient),
    }
    None
}

/// One line of the file says what becomes of all recipients, so no crash leaves some of them another way.
fn apply_filtered(envelope: &mut Envelope, filtered: Filtered) {
    envelope.filtered = true;
    let state = match filtered {
        Filtered::Passed => return,
        Filtered::Held(text) => {
            envelope.held = true;
            envelope.last_error = text;
            return;
        }
        Filtered::Dropped => State::Done,
        Filtered::Rejected(text) => State::Failed { status: "5.7.1".to_owned(), text },
    };
    let waiting = envelope.recipients.iter_mut().filter(|one| one.state == State::Pending);
    waiting.for_each(|one| one.state = state.clone());
}

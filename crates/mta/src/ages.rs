//! What the age of a message brings: a word to its sender (RFC 3461 §5.2.5), and its end (X1).

use std::time::Duration;

use mail_queue::{Envelope, Recipient, State};

use crate::ways::Way;

/// From which age on.
#[derive(Clone, Copy, Debug)]
pub struct Ages {
    /// `maxqueuetime`
    pub give_up: Duration,
    /// `delaywarning`; nothing when nobody is warned.
    pub warn: Option<Duration>,
}

impl Ages {
    /// Who still waits has failed.
    pub fn is_over(self, envelope: &Envelope, now: i64) -> bool {
        is_past(envelope, self.give_up, now)
    }

    /// Those whose sender is to be told that they wait.
    pub fn warned_of(self, envelope: &Envelope, now: i64) -> Vec<usize> {
        let is_late = self.warn.is_some_and(|limit| is_past(envelope, limit, now));
        if !is_late || envelope.sender.is_none() {
            return Vec::new();
        }
        let recipients = envelope.recipients.iter().enumerate();
        recipients.filter(|(_, one)| is_to_be_warned_of(one)).map(|(place, _)| place).collect()
    }

    /// Whether there is something to do about this message though its domain cannot be reached.
    pub fn is_due(self, envelope: &Envelope, now: i64) -> bool {
        self.is_over(envelope, now) || !self.warned_of(envelope, now).is_empty()
    }

    /// The same, of a message that arrived at this second or somewhat later, before it is looked at.
    pub fn may_be_due(self, second: i64, now: i64) -> bool {
        let first = self.warn.map_or(self.give_up, |warn| warn.min(self.give_up));
        now.saturating_sub(second) >= i64::try_from(first.as_secs()).unwrap_or(i64::MAX)
    }
}

fn is_past(envelope: &Envelope, limit: Duration, now: i64) -> bool {
    let limit = i64::try_from(limit.as_secs()).unwrap_or(i64::MAX);
    now.saturating_sub(envelope.waits_since()) >= limit
}

/// Once, and only who did not say that he does not want to know. An automatic answer is nobody's message.
fn is_to_be_warned_of(recipient: &Recipient) -> bool {
    recipient.state == State::Pending
        && !recipient.warned
        && recipient.asks_for("delay").unwrap_or(true)
        && recipient.via.as_deref() != Some(&*Way::AutoReply.encode())
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_queue::QueueId;

    #[test]
    fn a_sender_is_told_once_of_those_he_asked_about() {
        let ages = Ages { give_up: Duration::from_secs(100), warn: Some(Duration::from_secs(10)) };
        let mut envelope = Envelope::new(QueueId::next());
        envelope.sender = Some("a@x.test".into());
        let asked = [None, Some("never"), Some("failure"), Some("success,delay"), None, None];
        envelope.recipients = asked
            .iter()
            .map(|notify| Recipient { notify: notify.map(str::to_owned), ..Recipient::default() })
            .collect();
        envelope.recipients[4].warned = true;
        envelope.recipients[5].via = Some("autoreply".into());
        let now = envelope.arrived();
        assert!(ages.warned_of(&envelope, now + 9).is_empty() && !ages.is_due(&envelope, now + 9));
        assert_eq!(ages.warned_of(&envelope, now + 10), [0, 3]);
        assert!(ages.is_due(&envelope, now + 10) && !ages.is_over(&envelope, now + 99));
        assert!(ages.is_over(&envelope, now + 100));
        assert!(ages.may_be_due(now, now + 10) && !ages.may_be_due(now, now + 9));
        envelope.sender = None;
        assert!(ages.warned_of(&envelope, now + 10).is_empty(), "nobody is told of a report");
        envelope.sender = Some("a@x.test".into());
        let never = Ages { warn: None, ..ages };
        assert!(never.warned_of(&envelope, now + 10).is_empty());
    }
}

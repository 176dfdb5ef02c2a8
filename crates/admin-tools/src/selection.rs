//! Which messages of the queue are meant: the filters that mailq and msg-queue have in common.
//!
//! Values of one filter are alternatives; different filters must all hold. Texts match whole, in any case, and `*` stands
//! for any text.

use clap::Args;
use mail_queue::{Envelope, Folder, QueueId, State};

/// The filters.
#[derive(Args, Clone, Debug, Default)]
pub struct Selection {
    /// Only messages that wait for this domain; * stands for any text, here and below
    #[arg(long, value_name = "DOMAIN")]
    pub domain: Vec<String>,
    /// Only messages from this sender; <> is the sender of reports
    #[arg(long, value_name = "ADDRESS")]
    pub sender: Vec<String>,
    /// Only messages that wait for this recipient
    #[arg(long, value_name = "ADDRESS")]
    pub recipient: Vec<String>,
    /// Only messages older than this: seconds, or 5m, 2h, 3d
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub older_than: Option<i64>,
    /// Only messages larger than this: bytes, or 10k, 5M
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub larger_than: Option<u64>,
    /// Only these messages
    #[arg(long, value_name = "ID", value_parser = id)]
    pub id: Vec<QueueId>,
}

impl Selection {
    /// Whether everything is meant.
    pub fn is_everything(&self) -> bool {
        self.id.is_empty() && !self.needs_envelope()
    }

    fn needs_envelope(&self) -> bool {
        !(self.domain.is_empty() && self.sender.is_empty() && self.recipient.is_empty())
            || self.older_than.is_some()
            || self.larger_than.is_some()
    }

    /// The entries of a folder that may be meant, oldest first.
    pub fn candidates(&self, folder: &Folder) -> Vec<QueueId> {
        let mut ids: Vec<QueueId> = self.id.iter().filter(|id| folder.contains(id)).cloned().collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Goes through the entries of a folder that are meant; a damaged one counts when it is meant by its id, or when
    /// everything is.
    ///
    /// # Errors
    /// A file cannot be read, or what `take` says.
    pub fn each(
        &self,
        folder: &Folder,
        buffer: &mut Vec<u8>,
        mut take: impl FnMut(&QueueId, Result<Envelope, String>) -> Result<(), String>,
    ) -> Result<(), String> {
        let now = base::clock::unix_seconds();
        let mut look = |id: &QueueId| -> Result<(), String> {
            match folder.read(id, buffer).map_err(|why| why.to_string())? {
                None => Ok(()), // delivered while we looked
                Some(Ok(envelope)) if self.takes(folder.domain(), &envelope, now) => take(id, Ok(envelope)),
                Some(Err(why)) if !self.needs_envelope() => take(id, Err(why.to_string())),
                Some(_) => Ok(()),
            }
        };
        if self.id.is_empty() {
            folder.ids().try_for_each(|id| look(&id))
        } else {
            self.candidates(folder).iter().try_for_each(look)
        }
    }

    fn takes(&self, folder_domain: Option<&str>, envelope: &Envelope, now: i64) -> bool {
        // An address, or a domain, as it stands there or in the form by which it is compared.
        let any = |patterns: &[String], text: &str| {
            let form = base::idn::comparable(text);
            patterns.is_empty()
                || patterns.iter().any(|one| {
                    matches(one, text) || !one.is_ascii() && matches(&base::idn::comparable(one), &form)
                })
        };
        let any_domain = |patterns: &[String], name: &str| {
            let name = base::idn::domain(name);
            patterns.is_empty() || patterns.iter().any(|one| matches(&base::idn::domain(one), &name))
        };
        let sender = envelope.sender.as_deref().unwrap_or("");
        let from = any(&self.sender, sender)
            || envelope.sender.is_none() && self.sender.iter().any(|pattern| pattern == "<>");
        let to = self.recipient.is_empty()
            || waiting(envelope).any(|recipient| any(&self.recipient, &recipient.address));
        let domain = self.domain.is_empty()
            || folder_domain.is_some_and(|domain| any_domain(&self.domain, domain))
            || folder_domain.is_none()
                && waiting(envelope).any(|recipient| any_domain(&self.domain, domain_of(&recipient.address)));
        from && to
            && domain
            && self.older_than.is_none_or(|age| now.saturating_sub(envelope.arrived()) > age)
            && self.larger_than.is_none_or(|size| envelope.message_size > size)
    }
}

/// Recipients that are not done with.
pub fn waiting(envelope: &Envelope) -> impl Iterator<Item = &mail_queue::Recipient> {
    let open = |state: &State| matches!(state, State::Pending | State::Failed { .. });
    envelope.recipients.iter().filter(move |recipient| open(&recipient.state))
}

/// What stands behind the last `@`.
pub fn domain_of(address: &str) -> &str {
    address.rsplit_once('@').map_or("", |(_, domain)| domain)
}

/// Whether `text` has the form of `pattern`, in any case. Linear: the last `*` is what is gone back to.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.to_lowercase(), text.to_lowercase());
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            p += 1;
            t += 1;
        } else if let Some((at, from)) = star {
            star = Some((at, from + 1));
            p = at + 1;
            t = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

fn scaled(text: &str, units: &[(char, u64)]) -> Option<u64> {
    let last = text.chars().last()?;
    let unit = units.iter().find(|(letter, _)| *letter == last);
    let number = unit.map_or(text, |_| &text[..text.len() - 1]);
    number.parse::<u64>().ok()?.checked_mul(unit.map_or(1, |(_, factor)| *factor))
}

fn age(text: &str) -> Result<i64, String> {
    scaled(text, &[('s', 1), ('m', 60), ('h', 3600), ('d', 86_400), ('w', 604_800)])
        .and_then(|seconds| i64::try_from(seconds).ok())
        .ok_or_else(|| "an age is a number of seconds, or one with m, h, d or w".into())
}

fn size(text: &str) -> Result<u64, String> {
    scaled(text, &[('k', 1 << 10), ('K', 1 << 10), ('m', 1 << 20), ('M', 1 << 20), ('G', 1 << 30)])
        .ok_or_else(|| "a size is a number of bytes, or one with k, M or G".into())
}

/// A queue id of a command line.
pub fn id(text: &str) -> Result<QueueId, String> {
    QueueId::parse(text).ok_or_else(|| "an id looks like GPM7U00A.1B2".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_queue::Recipient;
    use proptest::prelude::*;

    fn envelope() -> Envelope {
        let mut envelope = Envelope::new(QueueId::parse("GPM7U00A.1B2").unwrap());
        envelope.arrived_ns = 1_000 * 1_000_000_000;
        envelope.message_size = 5000;
        envelope.sender = Some("Alice@Example.org".into());
        let recipient =
            |address: &str, state| Recipient { address: address.into(), state, ..Recipient::default() };
        envelope.recipients =
            vec![recipient("bob@a.test", State::Pending), recipient("carol@b.test", State::Done)];
        envelope
    }

    #[test]
    fn each_filter_takes_what_it_names_and_all_must_hold() {
        let all = Selection::default();
        assert!(all.is_everything() && all.takes(None, &envelope(), 1000));
        let takes = |change: &dyn Fn(&mut Selection)| {
            let mut selection = Selection::default();
            change(&mut selection);
            selection.takes(None, &envelope(), 1061)
        };
        assert!(takes(&|s| s.domain = vec!["x.test".into(), "A.TEST".into()]));
        assert!(!takes(&|s| s.domain = vec!["b.test".into()]), "carol has it already");
        assert!(takes(&|s| s.sender = vec!["*@example.org".into()]));
        assert!(!takes(&|s| s.sender = vec!["<>".into()]));
        assert!(takes(&|s| s.recipient = vec!["b*@*".into()]));
        assert!(takes(&|s| s.older_than = Some(60)) && !takes(&|s| s.older_than = Some(61)));
        assert!(takes(&|s| s.larger_than = Some(4999)) && !takes(&|s| s.larger_than = Some(5000)));
        assert!(!takes(&|s| {
            s.domain = vec!["a.test".into()];
            s.sender = vec!["nobody".into()];
        }));
        let mut report = envelope();
        report.sender = None;
        assert!(Selection { sender: vec!["<>".into()], ..Selection::default() }.takes(None, &report, 0));
        let deferred = Selection { domain: vec!["b.test".into()], ..Selection::default() };
        assert!(deferred.takes(Some("b.test"), &envelope(), 0), "the folder says whom it waits for");
    }

    #[test]
    fn ages_and_sizes_have_units() {
        assert_eq!(
            [age("90"), age("5m"), age("2h"), age("3d")].map(Result::unwrap),
            [90, 300, 7200, 259_200]
        );
        assert_eq!([size("10"), size("10k"), size("5M")].map(Result::unwrap), [10, 10_240, 5 << 20]);
        for wrong in ["", "m", "-1", "1x", "99999999999999999999", "9999999999999999999w"] {
            assert!(age(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_pattern_matches_what_its_stars_can_become(parts in proptest::collection::vec("[ab]{0,3}", 1..5), fill in "[abc]{0,4}") {
            prop_assert!(matches(&parts.join("*"), &parts.join(&fill)));
            let longer = parts.join(&fill) + "x";
            let open_end = parts.len() > 1 && parts.last().is_some_and(String::is_empty);
            prop_assert_eq!(matches(&parts.join("*"), &longer), open_end);
        }
    }
}

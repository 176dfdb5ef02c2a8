//! The end of a message as one filter sees it: an inspection among others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mail_queue::Recipient;
use milter::{Change, Changes, Filter, Message};
use server_log::{Category, Log};
use smtp_wire::{Address, RcptParameters};

use super::{facts::Facts, reply};
use crate::accept::Desk;
use crate::commands::rcpt::notify_words;
use crate::inspection::{Amendment, Edit, Field, Inspected, Inspector, Origin, Verdict};
use crate::replies;
use crate::settings::Settings;

/// How often the time of a message is needed at most: to show it once, and four times while the filter reports progress.
const LIMITS: u32 = 5;
/// A body that a filter puts in the place of another one, when messages have no limit.
const BODY_BYTES_MAX: usize = 256 << 20;

/// See the head of this file.
pub(super) struct FilterInspector {
    at: usize,
    name: String,
    patience: Duration,
    session: Arc<Mutex<milter::Session>>,
    facts: Arc<Facts>,
    body_bytes_max: usize,
    default_domain: String,
    log: Log,
}

impl FilterInspector {
    /// For the filter at a place of the session's list.
    pub fn at(
        at: usize,
        filter: &Filter,
        session: Arc<Mutex<milter::Session>>,
        facts: Arc<Facts>,
        settings: &Settings,
        desk: &Desk,
    ) -> Arc<dyn Inspector> {
        let size = settings.message_size_max.and_then(|size| usize::try_from(size).ok());
        Arc::new(FilterInspector {
            at,
            name: format!("milter {}", filter.name),
            patience: filter.message_timeout.saturating_mul(LIMITS).saturating_add(Duration::from_secs(1)),
            session,
            facts,
            body_bytes_max: size.unwrap_or(BODY_BYTES_MAX),
            default_domain: settings.domains.default_domain().to_owned(),
            log: desk.log.clone(),
        })
    }
}

impl Inspector for FilterInspector {
    fn name(&self) -> &str {
        &self.name
    }

    fn patience(&self) -> Duration {
        self.patience
    }

    /// Of the listener alone, which was looked at.
    fn concerns(&self, _: Origin) -> bool {
        true
    }

    fn inspect(&self, message: &Inspected<'_>) -> Amendment {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if session.discards() {
            return Amendment::verdict(Verdict::Discard("a filter said so before".into()));
        }
        let shown =
            Message { header: message.header, body: message.body, body_bytes_max: self.body_bytes_max };
        let shown = session.show(self.at, &shown, &|name| self.facts.value(name));
        drop(session);
        match shown.verdict {
            milter::Verdict::Continue => {}
            milter::Verdict::Refuse(refusal) => return Amendment::verdict(Verdict::Refuse(reply(refusal))),
            milter::Verdict::Discard => return Amendment::verdict(Verdict::Discard(self.name.clone())),
            milter::Verdict::Disconnect => {
                return Amendment::verdict(Verdict::Refuse(replies::filter_hangs_up()));
            }
        }
        let mut amendment = self.amendment(shown.changes, message);
        if shown.hold {
            amendment.verdict = Verdict::Quarantine(format!("{} is out of order", self.name));
        }
        amendment
    }
}

impl FilterInspector {
    fn amendment(&self, changes: Changes, message: &Inspected<'_>) -> Amendment {
        let mut amendment = Amendment { body: changes.body, ..Amendment::none() };
        let separator = if changes.leading_space { ":" } else { ": " };
        let mut counts = Counts::new(message.header);
        for change in changes.list {
            match change {
                Change::AddHeader { name, value } => {
                    let field = field(&name, separator, &value);
                    amendment.edits.extend(field.map(|field| counts.added(&name, Edit::Append(field))));
                }
                Change::InsertHeader { place, name, value } => {
                    let below = usize::try_from(place).unwrap_or(usize::MAX).checked_sub(1);
                    let edit = |field: Field| match below {
                        None => Edit::Prepend(field),
                        Some(at) => Edit::Insert(at, field),
                    };
                    let field = field(&name, separator, &value);
                    amendment.edits.extend(field.map(|field| counts.added(&name, edit(field))));
                }
                Change::ChangeHeader { nth, name, value } if value.is_empty() => {
                    amendment.edits.extend(counts.removed(&name, nth));
                }
                Change::ChangeHeader { nth, name, value } => {
                    let field = field(&name, separator, &value);
                    amendment.edits.extend(field.map(|field| counts.changed(&name, nth, field)));
                }
                Change::Sender { path, .. } => {
                    if let Some(sender) = self.sender(&path) {
                        amendment.sender = Some(sender);
                    }
                }
                Change::AddRecipient { path, arguments } => {
                    amendment.added_recipients.extend(self.recipient(&path, &arguments));
                }
                Change::DeleteRecipient(path) => {
                    let address = self.address(&path).map(|address| address.to_string());
                    amendment.deleted_recipients.extend(address);
                }
                Change::Quarantine(why) => {
                    amendment.verdict = Verdict::Quarantine(String::from_utf8_lossy(&why).into_owned());
                }
                Change::Body(_) => {} // it is not in the list
            }
        }
        amendment
    }

    fn sender(&self, path: &[u8]) -> Option<Option<String>> {
        if inside(path).is_empty() {
            return Some(None);
        }
        self.address(path).map(|address| Some(address.to_string()))
    }

    fn recipient(&self, path: &[u8], arguments: &[u8]) -> Option<Recipient> {
        let address = self.address(path)?.to_string();
        let parameters = match smtp_wire::parameters::rcpt(arguments, true) {
            Ok(parameters) => parameters,
            Err(_) => {
                self.complain("parameters of a recipient", arguments);
                RcptParameters::default()
            }
        };
        let notify = parameters.notify.map(notify_words);
        Some(Recipient { address, orcpt: parameters.orcpt, notify, ..Recipient::default() })
    }

    fn address(&self, path: &[u8]) -> Option<Address> {
        match Address::parse(inside(path), true, true) {
            Ok(address) => Some(address.qualified(&self.default_domain)),
            Err(_) => {
                self.complain("an address", path);
                None
            }
        }
    }

    fn complain(&self, what: &str, text: &[u8]) {
        let text = String::from_utf8_lossy(text).chars().take(200).collect::<String>();
        let text = format!("{}: {what} that is none, and is left out: {text}", self.name);
        self.log.warning(Category::Protocol, format_args!("{}", base::escape(&text)));
    }
}

fn inside(path: &[u8]) -> &[u8] {
    let path = path.trim_ascii();
    path.strip_prefix(b"<").and_then(|path| path.strip_suffix(b">")).unwrap_or(path)
}

fn field(name: &[u8], separator: &'static str, value: &[u8]) -> Option<Field> {
    Field::with_separator(std::str::from_utf8(name).ok()?, separator, value)
}

/// How many fields of each name there are, while changes are gathered: one that is changed and is not there is added
/// (sendmail, Postfix).
struct Counts<'a> {
    header: &'a [u8],
    known: HashMap<Vec<u8>, usize>,
}

impl<'a> Counts<'a> {
    fn new(header: &'a [u8]) -> Counts<'a> {
        Counts { header, known: HashMap::new() }
    }

    fn of(&mut self, name: &[u8]) -> &mut usize {
        let header = self.header;
        self.known.entry(name.to_ascii_lowercase()).or_insert_with(|| {
            let name = std::str::from_utf8(name).unwrap_or_default();
            usize::try_from(crate::header::Header(header).count(name)).unwrap_or(usize::MAX)
        })
    }

    fn added(&mut self, name: &[u8], edit: Edit) -> Edit {
        *self.of(name) += 1;
        edit
    }

    fn changed(&mut self, name: &[u8], nth: u32, field: Field) -> Edit {
        let nth = usize::try_from(nth).unwrap_or(usize::MAX).max(1);
        if nth > *self.of(name) {
            return self.added(name, Edit::Append(field));
        }
        Edit::Replace { nth, field }
    }

    fn removed(&mut self, name: &[u8], nth: u32) -> Option<Edit> {
        let nth = usize::try_from(nth).unwrap_or(usize::MAX).max(1);
        let count = self.of(name);
        if nth > *count {
            return None;
        }
        *count -= 1;
        Some(Edit::Remove { name: String::from_utf8_lossy(name).into_owned(), nth })
    }
}

//! One message on its way through the stages.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use directory::Entry as Account;
use mail_queue::{Entry, QueueId, State, Step, Success};

use crate::ways::Way;

/// Where a recipient's copy goes.
#[derive(Clone, Debug)]
pub enum Route {
    /// A user's mailbox; the sub-address, if there was one.
    Mailbox { account: Arc<Account>, folder: Option<String> },
    /// Another way of an account on this host.
    Local { account: Arc<Account>, way: Way },
    /// Not of our domains: the router's to say.
    Elsewhere,
}

/// Recipients of one domain that go to one next hop together (S55).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub domain: String,
    /// The hosts it goes to instead of the domain's own, from `hostrewrites` or `smarthosts`, separated by blanks.
    pub hub: Option<String>,
    /// They took another's place, and what goes to them is sealed or has another sender (`onward`).
    pub onward: bool,
    pub places: Vec<usize>,
}

impl Group {
    /// What takes turns and has a window of connections.
    pub fn site(&self) -> &str {
        self.hub.as_deref().unwrap_or(&self.domain)
    }
}

/// Recipients that wait for another host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deferral {
    pub domain: String,
    pub places: Vec<usize>,
    /// Not before this second.
    pub next: i64,
    /// A status (RFC 3463) and what happened.
    pub text: String,
    /// No host of the domain took the connection: others need not try (S47).
    pub unreachable: bool,
}

/// Why a recipient is still waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delay {
    pub text: String,
}

/// What a delivery that may take long needs to know of a message, so that it need not hold it meanwhile.
#[derive(Clone, Debug)]
pub struct Facts {
    pub id: QueueId,
    pub path: PathBuf,
    pub sender: Option<String>,
    /// Seconds since 1970.
    pub arrived: i64,
}

/// A message and what is known about its recipients in this attempt.
pub struct Work {
    pub entry: Entry,
    /// By place in the envelope.
    pub routes: Vec<(usize, Route)>,
    /// The last reason to try again.
    pub delay: Option<Delay>,
    pub deferrals: Vec<Deferral>,
    /// How long it stays away at least because it found no room in a line.
    pub postponed: Option<Duration>,
    /// Places whose sender is to be told that they wait, and why they do.
    pub warnings: Vec<(usize, String)>,
    /// Why its message cannot be sent on or shown: it was removed from the queue, or cut.
    pub damage: Option<String>,
}

impl Work {
    pub fn new(entry: Entry) -> Work {
        Work {
            entry,
            routes: Vec::new(),
            delay: None,
            deferrals: Vec::new(),
            postponed: None,
            warnings: Vec::new(),
            damage: None,
        }
    }

    /// For good: a report follows. What cannot be written down now happens again.
    pub fn fail(&mut self, place: usize, status: &str, text: impl Into<String>) {
        let _ = self.entry.record(place, Step::Failed { status: status.to_owned(), text: text.into() });
    }

    /// Not now.
    pub fn delay(&mut self, text: impl Into<String>) {
        self.delay = Some(Delay { text: text.into() });
    }

    /// It found no room in the line of a site.
    pub fn postpone(&mut self, pause: Duration) {
        self.postponed = Some(self.postponed.map_or(pause, |other| other.min(pause)));
    }

    /// The last reason why a recipient waits.
    pub fn why_waiting(&self, place: usize) -> String {
        let deferral = self.deferrals.iter().find(|deferral| deferral.places.contains(&place));
        match (deferral, &self.delay) {
            (Some(deferral), _) => deferral.text.clone(),
            (None, Some(delay)) => delay.text.clone(),
            (None, None) => "not delivered yet".to_owned(),
        }
    }

    /// Takes the routes that one of the local stages goes.
    pub fn take_local(&mut self, wanted: impl Fn(&Way) -> bool) -> Vec<(usize, Arc<Account>, Way)> {
        let (taken, left) = std::mem::take(&mut self.routes)
            .into_iter()
            .partition(|(_, route)| matches!(route, Route::Local { way, .. } if wanted(way)));
        self.routes = left;
        let taken: Vec<(usize, Route)> = taken;
        taken
            .into_iter()
            .filter_map(|(place, route)| match route {
                Route::Local { account, way } => Some((place, account, way)),
                _ => None,
            })
            .collect()
    }

    pub fn facts(&self) -> Facts {
        let envelope = &self.entry.envelope;
        Facts {
            id: envelope.id.clone(),
            path: self.entry.message_file(),
            sender: envelope.sender.clone(),
            arrived: envelope.arrived(),
        }
    }

    /// The way that was written down for a recipient.
    pub fn way(&self, place: usize) -> Option<Way> {
        self.entry.envelope.recipients[place].via.as_deref().and_then(Way::decode)
    }

    /// The recipient has it; the last word about him, unless the sender asked to be told.
    pub fn succeed(&mut self, place: usize, success: Success, text: &str) {
        let step = self.entry.envelope.succeeded(place, success, text);
        let _ = self.entry.record(place, step);
    }

    /// Whether somebody is to be told that one failed or succeeded.
    pub fn is_report_due(&self) -> bool {
        self.entry.envelope.recipients.iter().any(mail_queue::Recipient::is_report_due)
    }

    /// Recipients whose failure is to be reported.
    pub fn failed(&self) -> Vec<usize> {
        self.places(|state| matches!(state, State::Failed { .. }))
    }

    /// Recipients whose success is to be reported.
    pub fn succeeded(&self) -> Vec<usize> {
        self.places(|state| matches!(state, State::Succeeded { .. }))
    }

    fn places(&self, wanted: impl Fn(&State) -> bool) -> Vec<usize> {
        let recipients = self.entry.envelope.recipients.iter().enumerate();
        recipients.filter(|(_, recipient)| wanted(&recipient.state)).map(|(place, _)| place).collect()
    }

    /// Whether somebody has the message by this recipient, or will, or its sender is told that nobody does. Not so for one
    /// whose place was taken by nobody.
    pub fn is_served(&self, place: usize) -> bool {
        let recipients = &self.entry.envelope.recipients;
        match recipients.get(place) {
            None => false,
            Some(one) if !one.expanded => true,
            // Those who took its place come behind it, so this ends.
            Some(_) => {
                let mut behind = recipients.iter().enumerate().skip(place + 1);
                behind.any(|(at, one)| one.from == Some(place + 1) && self.is_served(at))
            }
        }
    }

    /// The addresses a recipient was made from, itself first; those by which the message came here as a copy last.
    pub fn ancestry(&self, place: usize) -> Vec<String> {
        let recipients = &self.entry.envelope.recipients;
        let mut addresses = Vec::new();
        let mut at = Some(place);
        while let Some(recipient) = at.and_then(|place| recipients.get(place)) {
            addresses.push(recipient.address.clone());
            // Numbers only go back, so this ends.
            let above = recipient.from.and_then(|number| number.checked_sub(1));
            at = above.filter(|above| at.is_some_and(|place| *above < place));
        }
        addresses.extend(self.entry.envelope.through.iter().cloned());
        addresses
    }
}

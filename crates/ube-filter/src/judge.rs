//! A message before the rules.

use mail_format::header::header_fields;
use mail_format::words::decode_words;

use crate::action::Action;
use crate::rule::{Field, Filter, Rule};
use crate::{HEADER_BYTES_MAX, VALUE_BYTES_MAX};

/// The lines of an envelope that rules may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Control {
    /// The client: `name [address]`.
    HostFrom,
    /// `<reverse-path>`, and behind it the parameters of MAIL that count further on.
    UserFrom,
    /// `<forward-path>`, one for each recipient.
    ChannelTo,
    /// Received fields that came with it.
    MtaHops,
    /// Bytes of the message.
    MessageSize,
    /// The uid of who logged in; there is none of a stranger.
    AuthSender,
}

impl Control {
    const ALL: [(Control, &'static str); 6] = [
        (Control::HostFrom, "Host-From"),
        (Control::UserFrom, "User-From"),
        (Control::ChannelTo, "Channel-To"),
        (Control::MtaHops, "MTA-Hops"),
        (Control::MessageSize, "Message-Size"),
        (Control::AuthSender, "Auth-Sender"),
    ];

    /// The one of this name, in any case.
    pub fn named(name: &str) -> Option<Control> {
        Control::ALL.into_iter().find(|(_, own)| own.eq_ignore_ascii_case(name)).map(|(control, _)| control)
    }

    pub(crate) fn names() -> String {
        Control::ALL.map(|(_, name)| name).join(", ")
    }
}

/// What is known of a message.
#[derive(Clone, Debug, Default)]
pub struct Mail<'m> {
    /// Its header as it stands.
    pub header: &'m [u8],
    pub controls: Vec<(Control, String)>,
}

/// What is to become of a message at the end of the walk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    #[default]
    Pass,
    Drop,
    Hold,
    /// With the text that its sender is told.
    Reject(String),
}

/// A rule that fired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fired {
    /// In the file, from 1.
    pub line: usize,
    pub label: Option<String>,
    pub action: Action,
}

impl std::fmt::Display for Fired {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}", self.line)?;
        if let Some(label) = &self.label {
            write!(f, " (:{label})")?;
        }
        write!(f, " {}", self.action.word())?;
        match &self.action {
            Action::Copy(address) => write!(f, " <{address}>"),
            Action::Reject(text) => write!(f, " {text:?}"),
            _ => Ok(()),
        }
    }
}

/// Which rules fired, and what comes of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    pub fired: Vec<Fired>,
    /// Who gets a copy, each address once.
    pub copies: Vec<String>,
    pub verdict: Verdict,
}

impl Filter {
    /// Walks along the rules from top to bottom.
    pub fn judge(&self, mail: &Mail<'_>) -> Judgement {
        let mut values = Values { mail, header: None };
        let mut judgement = Judgement::default();
        let mut place = 0;
        while let Some(rule) = self.rules.get(place) {
            place += 1;
            if !values.any_matches(rule) {
                continue;
            }
            let Rule { line, label, action, .. } = rule;
            judgement.fired.push(Fired { line: *line, label: label.clone(), action: action.clone() });
            match action {
                Action::Jump(there) => place = *there,
                Action::Copy(to) if judgement.copies.contains(to) => {}
                Action::Copy(to) => judgement.copies.push(to.clone()),
                Action::Drop => judgement.verdict = Verdict::Drop,
                Action::Hold => judgement.verdict = Verdict::Hold,
                Action::Reject(text) => judgement.verdict = Verdict::Reject(text.clone()),
                Action::Exit => {}
            }
            if matches!(action, Action::Drop | Action::Hold | Action::Reject(_) | Action::Exit) {
                break;
            }
        }
        judgement
    }
}

struct Values<'m> {
    mail: &'m Mail<'m>,
    /// Decoded when the first rule asks for a field: names in lower case.
    header: Option<Vec<(String, String)>>,
}

impl Values<'_> {
    fn any_matches(&mut self, rule: &Rule) -> bool {
        let fits = |value: &String| rule.criterion.is_match(value);
        let mut controls = self.mail.controls.iter();
        match &rule.field {
            Field::Control(control) => controls.any(|(one, value)| one == control && fits(value)),
            Field::AnyControl => controls.any(|(_, value)| fits(value)),
            Field::Header(name) => self.header().iter().any(|(one, value)| one == name && fits(value)),
            Field::Any => {
                controls.any(|(_, value)| fits(value)) || self.header().iter().any(|(_, value)| fits(value))
            }
        }
    }

    fn header(&mut self) -> &[(String, String)] {
        let header = self.mail.header;
        let header = &header[..header.len().min(HEADER_BYTES_MAX)];
        self.header.get_or_insert_with(|| header_fields(header).map(decoded).collect())
    }
}

/// A field without folds and encoded words. A value that is not decodable stays as it is, one that is too long is cut.
fn decoded((name, value): (&[u8], &[u8])) -> (String, String) {
    let mut text = decode_words(&value[..value.len().min(VALUE_BYTES_MAX)]);
    let end = (0..=VALUE_BYTES_MAX.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text.truncate(end.unwrap_or(0));
    (String::from_utf8_lossy(name).to_ascii_lowercase(), text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

//! What is known about one parameter.

use crate::values::Value;
use std::marker::PhantomData;

/// When a changed value is obeyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Now,
    NextConnection,
    Restart,
}

impl std::fmt::Display for Effect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Effect::Now => "at a refresh, at once",
            Effect::NextConnection => "at a refresh, for new connections",
            Effect::Restart => "at a restart",
        })
    }
}

/// Whether this version obeys the parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Active,
    /// Accepted, and without effect for this reason.
    Ignored(&'static str),
    /// Accepted; a later feature will read it.
    NotYet(&'static str),
    /// Another spelling of this name.
    Alias(&'static str),
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Status::Active => f.write_str("active"),
            Status::Ignored(why) => write!(f, "accepted and ignored: {why}"),
            Status::NotYet(what) => write!(f, "accepted; {what} will read it when that is built"),
            Status::Alias(of) => write!(f, "another spelling of {of}"),
        }
    }
}

/// One parameter. A `*` in the name stands for one part, as in `logfile.*.loglevel`.
pub struct Parameter<T> {
    pub name: &'static str,
    pub default: &'static str,
    pub range: (i64, i64),
    /// A value below the range is taken as the lowest one (with a warning), as the idle timeouts do.
    pub raise: bool,
    pub effect: Effect,
    pub status: Status,
    pub readers: &'static str,
    pub about: &'static str,
    pub kind: PhantomData<fn() -> T>,
}

/// A parameter without its type.
pub trait Entry: Sync {
    fn name(&self) -> &'static str;
    fn default(&self) -> &'static str;
    fn kind(&self) -> &'static str;
    fn range(&self) -> (i64, i64);
    /// Whether a value below the range counts as its lowest.
    fn raises(&self) -> bool;
    fn effect(&self) -> Effect;
    fn status(&self) -> Status;
    fn readers(&self) -> &'static str;
    fn about(&self) -> &'static str;
    /// The values that are allowed, in words.
    fn allowed(&self) -> String {
        let (low, high) = self.range();
        match (self.kind(), low, high) {
            ("text", ..) => "any text".into(),
            ("list", ..) => "items separated by blanks".into(),
            ("address of a filter", ..) => "inet:PORT@HOST, inet6:PORT@HOST or unix:/PATH".into(),
            ("mail address", ..) => "local@domain, or nothing".into(),
            ("name servers", ..) => "addresses separated by blanks".into(),
            ("networks", ..) => "networks (address or address/bits) separated by blanks, or none".into(),
            ("domain patterns", ..) => "patterns separated by blanks: *, ?, !, &&, ||, parentheses".into(),
            ("pattern:host table", ..) => "pattern:host, separated by $".into(),
            ("attributes separated by blanks", ..) => "names of attributes separated by blanks".into(),
            (kind, 0, 0 | 1) if kind == "yes or no" || kind.starts_with("one of") => kind.into(),
            // What has a form of its own and no range.
            (kind, 0, 0) => kind.into(),
            (kind, low, i64::MAX) => format!("{kind}, at least {low}"),
            (kind, low, high) => format!("{kind}, {low} to {high}"),
        }
    }
    /// # Errors
    /// What is wrong with `text` as a value.
    fn check(&self, text: &str) -> Result<(), String>;
    /// Whether `name` is this one, in any case, or of this family.
    fn matches(&self, name: &str) -> bool {
        let mut pattern = self.name().split('.');
        let mut parts = name.split('.');
        loop {
            match (pattern.next(), parts.next()) {
                (None, None) => return true,
                (Some("*"), Some(part)) if !part.is_empty() => {}
                (Some(a), Some(b)) if a.eq_ignore_ascii_case(b) => {}
                _ => return false,
            }
        }
    }
}

impl<T: Value> Parameter<T> {
    /// # Errors
    /// What is wrong with `text` as a value.
    pub fn parse(&self, text: &str) -> Result<T::Out, String> {
        let raised = self
            .raise
            .then(|| text.trim().parse::<i64>().ok())
            .flatten()
            .filter(|n| (0..self.range.0).contains(n));
        match raised {
            Some(_) => T::parse(&self.range.0.to_string(), self.range),
            None => T::parse(text, self.range),
        }
    }
}

impl<T: Value> Entry for Parameter<T> {
    fn name(&self) -> &'static str {
        self.name
    }
    fn default(&self) -> &'static str {
        self.default
    }
    fn kind(&self) -> &'static str {
        T::KIND
    }
    fn range(&self) -> (i64, i64) {
        self.range
    }
    fn raises(&self) -> bool {
        self.raise
    }
    fn effect(&self) -> Effect {
        self.effect
    }
    fn status(&self) -> Status {
        self.status
    }
    fn readers(&self) -> &'static str {
        self.readers
    }
    fn about(&self) -> &'static str {
        self.about
    }
    fn check(&self, text: &str) -> Result<(), String> {
        if text.is_empty() { Ok(()) } else { self.parse(text).map(|_| ()) }
    }
}

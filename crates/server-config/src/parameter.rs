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
    fn effect(&self) -> Effect;
    fn status(&self) -> Status;
    fn readers(&self) -> &'static str;
    fn about(&self) -> &'static str;
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

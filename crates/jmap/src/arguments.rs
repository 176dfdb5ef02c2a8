//! Arguments of a method call: typed, or `invalidArguments` (RFC 8620 §3.6.2).

use serde_json::{Map, Value};

use crate::Who;
use crate::error::{MethodError, Result};

/// The largest number that JSON keeps everywhere (RFC 8620 §1.3).
pub const NUMBER_MAX: u64 = (1 << 53) - 1;

/// The arguments that were not taken yet.
pub struct Arguments(pub Map<String, Value>);

impl Arguments {
    /// The value; nothing when it is not there, or null.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    /// Checks that the account is the user's own.
    ///
    /// # Errors
    /// `invalidArguments`, `accountNotFound`.
    pub fn account(&mut self, who: &Who) -> Result<String> {
        let account = self.string("accountId")?.ok_or_else(|| missing("accountId"))?;
        if account == who.uid { Ok(account) } else { Err(MethodError::new("accountNotFound", "")) }
    }

    pub fn string(&mut self, name: &str) -> Result<Option<String>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong(name, "a string")),
        }
    }

    pub fn required_string(&mut self, name: &str) -> Result<String> {
        self.string(name)?.ok_or_else(|| missing(name))
    }

    pub fn flag(&mut self, name: &str) -> Result<bool> {
        match self.take(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(_) => Err(wrong(name, "a boolean")),
        }
    }

    pub fn unsigned(&mut self, name: &str) -> Result<Option<u64>> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => {
                let number = value.as_u64().filter(|number| *number <= NUMBER_MAX);
                number.map(Some).ok_or_else(|| wrong(name, "an unsigned integer"))
            }
        }
    }

    pub fn signed(&mut self, name: &str) -> Result<Option<i64>> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => {
                let number = value.as_i64().filter(|number| number.unsigned_abs() <= NUMBER_MAX);
                number.map(Some).ok_or_else(|| wrong(name, "an integer"))
            }
        }
    }

    pub fn strings(&mut self, name: &str) -> Result<Option<Vec<String>>> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => strings(value).map(Some).ok_or_else(|| wrong(name, "a list of strings")),
        }
    }

    /// `Id[X]`
    pub fn map(&mut self, name: &str) -> Result<Map<String, Value>> {
        match self.take(name) {
            None => Ok(Map::new()),
            Some(Value::Object(map)) => Ok(map),
            Some(_) => Err(wrong(name, "a map")),
        }
    }
}

/// The strings of a list.
pub fn strings(value: Value) -> Option<Vec<String>> {
    let Value::Array(items) = value else { return None };
    items.into_iter().map(|item| if let Value::String(text) = item { Some(text) } else { None }).collect()
}

pub fn missing(name: &str) -> MethodError {
    MethodError::invalid_arguments(format!("{name} is missing"))
}

pub fn wrong(name: &str, kind: &str) -> MethodError {
    MethodError::invalid_arguments(format!("{name} is not {kind}"))
}

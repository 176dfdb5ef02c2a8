//! Core/echo (RFC 8620 §4).

use serde_json::Value;

use crate::arguments::Arguments;

/// The arguments as they came.
pub fn echo(arguments: &mut Arguments) -> Value {
    Value::Object(std::mem::take(&mut arguments.0))
}

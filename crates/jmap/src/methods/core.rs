//! Core/echo (RFC 8620 §4).

use serde_json::Value;

use crate::arguments::Arguments;
use crate::error::Result;
use crate::json;
use crate::request::Call;

/// The arguments as they came.
///
/// # Errors
/// `requestTooLarge`: they are more than is answered.
pub fn echo(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let value = Value::Object(std::mem::take(&mut arguments.0));
    call.spend(json::whole_weight(&value))?;
    Ok(value)
}

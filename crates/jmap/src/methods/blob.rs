//! Blob/copy (RFC 8620 §6.3): from one account to another, of which a user has only one.

use serde_json::Value;

use super::email::copy::from_another;
use crate::arguments::Arguments;
use crate::error::Result;
use crate::request::Call;

pub fn copy(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let account = arguments.account(call.who)?;
    Err(from_another(arguments, &account)?)
}

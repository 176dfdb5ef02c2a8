//! Email/copy (RFC 8621 §4.7). Emails are copied from one account to another, and a user has one: so it always says that there
//! is no such other account. Within the account, mailboxes are given to an email by Email/set.

use serde_json::Value;

use crate::arguments::Arguments;
use crate::error::{MethodError, Result};
use crate::request::Call;

pub fn run(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let account = arguments.account(call.who)?;
    Err(from_another(arguments, &account)?)
}

/// Why nothing can be copied (RFC 8620 §5.4, §6.3).
pub fn from_another(arguments: &mut Arguments, account: &str) -> Result<MethodError> {
    let from = arguments.required_string("fromAccountId")?;
    Ok(match from == account {
        true => MethodError::invalid_arguments("The accounts are the same"),
        false => MethodError::new("fromAccountNotFound", ""),
    })
}

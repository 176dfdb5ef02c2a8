//! Email/changes (RFC 8621 §4.3).

use serde_json::Value;

use crate::arguments::Arguments;
use crate::changes::{self, Type};
use crate::error::Result;
use crate::request::Call;

pub fn run(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let account_id = call.mail_account(arguments)?;
    let account = call.account()?;
    let account = account.read();
    changes::answer(&account, arguments, &account_id, Type::Email)
}

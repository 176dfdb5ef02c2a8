//! The methods about the user's own account, and which capability each needs.

use serde_json::Value;

use super::{
    app_password, credential, forwarding, identity, preferences, quota, recipient, second_factor, submission,
    vacation,
};
use crate::arguments::Arguments;
use crate::error::{MethodError, Result};
use crate::request::{Call, Responses};
use crate::session_object::{ACCOUNT, QUOTA, SUBMISSION, VACATION};

pub fn run(call: &mut Call<'_>, name: &str, arguments: &mut Arguments) -> Result<Responses> {
    let value: Value = match name {
        "Preferences/get" => preferences::get(call, arguments)?,
        "Preferences/set" => preferences::set(call, arguments)?,
        "Forwarding/get" => forwarding::get(call, arguments)?,
        "Forwarding/set" => forwarding::set(call, arguments)?,
        "Credential/set" => credential::set(call, arguments)?,
        "SecondFactor/get" => second_factor::get(call, arguments)?,
        "SecondFactor/begin" => second_factor::begin(call, arguments)?,
        "SecondFactor/set" => second_factor::set(call, arguments)?,
        "SecondFactor/renew" => second_factor::renew(call, arguments)?,
        "AppPassword/get" => app_password::get(call, arguments)?,
        "AppPassword/set" => app_password::set(call, arguments)?,
        "Recipient/query" => recipient::query(call, arguments)?,
        "VacationResponse/get" => vacation::get(call, arguments)?,
        "VacationResponse/set" => vacation::set(call, arguments)?,
        "Identity/get" => identity::get(call, arguments)?,
        "Identity/changes" => identity::changes(call, arguments)?,
        "Identity/set" => identity::set(call, arguments)?,
        "EmailSubmission/get" => submission::get(call, arguments)?,
        "EmailSubmission/changes" => submission::changes(call, arguments)?,
        "EmailSubmission/query" => submission::query::run(call, arguments)?,
        "EmailSubmission/queryChanges" => submission::query::changes(call, arguments)?,
        "EmailSubmission/set" => return submission::set(call, arguments),
        "Quota/get" => quota::get(call, arguments)?,
        "Quota/changes" => quota::changes(call, arguments)?,
        "Quota/query" => quota::query(call, arguments)?,
        "Quota/queryChanges" => quota::query_changes(call, arguments)?,
        _ => return Err(MethodError::new("unknownMethod", "")),
    };
    Ok(vec![(name.to_owned(), value)])
}

/// The capability of a type.
pub fn capability(kind: &str) -> Option<&'static str> {
    match kind {
        "Identity" | "EmailSubmission" => Some(SUBMISSION),
        "VacationResponse" => Some(VACATION),
        "Quota" => Some(QUOTA),
        "Preferences" | "Forwarding" | "Credential" | "AppPassword" | "SecondFactor" | "Recipient" => {
            Some(ACCOUNT)
        }
        _ => None,
    }
}

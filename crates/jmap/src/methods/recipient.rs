//! Recipient/query (ours): whom the user may mean who types this: people who were written to, and the directory's.
//!
//! Arguments: text, limit. The answer has a list of {name, email, source}, source being `own` or `directory`, own ones first.
//! The text never becomes part of a filter as it is, and the directory is asked for so many and no more.

use serde_json::{Value, json};

use crate::arguments::Arguments;
use crate::error::{MethodError, Result};
use crate::request::Call;
use crate::submission::record::OpenRecord;

const LIMIT_USUAL: u64 = 10;
const LIMIT_MAX: u64 = 25;
/// Characters that a name has to begin with before the directory is asked: nobody leafs through it by single letters.
const DIRECTORY_CHARACTERS_MIN: usize = 2;
const TEXT_BYTES_MAX: usize = 100;

pub fn query(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let account = arguments.account(call.who)?;
    let text = arguments.required_string("text")?.trim().to_lowercase();
    let limit =
        usize::try_from(arguments.unsigned("limit")?.unwrap_or(LIMIT_USUAL).min(LIMIT_MAX)).unwrap_or(0);
    let mut list: Vec<Value> = Vec::new();
    let mut emails: Vec<String> = Vec::new();
    if !text.is_empty() && text.len() <= TEXT_BYTES_MAX {
        for (name, email) in own(call, &text)?.into_iter().chain(of_directory(call, &text, limit)?) {
            let (source, email) = email;
            if list.len() < limit && !emails.iter().any(|have| base::idn::same(have, &email)) {
                list.push(json!({ "name": name, "email": email, "source": source }));
                emails.push(email);
            }
        }
    }
    call.spend(list.iter().map(|one| one.to_string().len()).sum())?;
    Ok(json!({ "accountId": account, "list": list }))
}

type Candidate = (String, (&'static str, String));

/// Who was written to last comes first.
fn own(call: &Call<'_>, text: &str) -> Result<Vec<Candidate>> {
    let open = OpenRecord::take(&call.jmap.personal.folder, &call.who.uid)?;
    let begins = |value: &str| {
        let value = value.to_lowercase();
        value.starts_with(text)
            || value
                .match_indices([' ', '-', '.', '@'])
                .any(|(at, mark)| value[at + mark.len()..].starts_with(text))
    };
    let known = open.record.people.iter().rev().filter(|one| begins(&one.name) || begins(&one.email));
    Ok(known.map(|one| (one.name.clone(), ("own", one.email.clone()))).collect())
}

fn of_directory(call: &Call<'_>, text: &str, limit: usize) -> Result<Vec<Candidate>> {
    if text.chars().count() < DIRECTORY_CHARACTERS_MIN {
        return Ok(Vec::new());
    }
    let found = call.jmap.directory.beginning_with(text, limit);
    let found = found
        .map_err(|_| MethodError::new("serverUnavailable", "The directory does not answer; try again"))?;
    Ok(found.iter().map(|entry| (entry.name().to_owned(), ("directory", entry.mail.clone()))).collect())
}

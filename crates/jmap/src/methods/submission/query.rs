//! EmailSubmission/query and /queryChanges (RFC 8621 §7.3, §7.4).

use std::cmp::Ordering;

use serde_json::{Value, json};

use crate::arguments::{Arguments, strings, wrong};
use crate::error::{MethodError, Result};
use crate::limits;
use crate::personal::second_of;
use crate::request::Call;
use crate::submission::record::{Status, Submission};

pub fn run(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let account = arguments.account(call.who)?;
    let record = super::open(call)?.record;
    let filter = arguments.take("filter").unwrap_or(Value::Null);
    let mut found: Vec<&Submission> = Vec::new();
    for one in record.submissions.iter().filter(|one| one.status != Status::Sending) {
        let mut left = limits::FILTER_PARTS_MAX;
        if matches(one, &filter, 0, &mut left)? {
            found.push(one);
        }
    }
    if let Some(sort) = arguments.take("sort") {
        let comparators = sort.as_array().cloned().ok_or_else(|| wrong("sort", "a list"))?;
        let orders = comparators.iter().map(comparator).collect::<Result<Vec<Order>>>()?;
        found.sort_by(|a, b| {
            let differ = orders.iter().map(|(compare, ascending)| {
                let order = compare(a, b);
                if *ascending { order } else { order.reverse() }
            });
            differ.fold(Ordering::Equal, Ordering::then)
        });
    }
    let ids: Vec<&str> = found.iter().map(|one| one.id.as_str()).collect();
    let (position, limit) = window(arguments, &ids)?;
    let shown: Vec<&str> = ids.iter().skip(position).take(limit).copied().collect();
    let mut answer = json!({
        "accountId": account, "queryState": super::state(&record), "canCalculateChanges": false,
        "position": position, "ids": shown,
    });
    if arguments.flag("calculateTotal")? {
        answer["total"] = json!(ids.len());
    }
    Ok(answer)
}

/// Nothing is kept of former answers.
pub fn changes(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    arguments.account(call.who)?;
    Err(MethodError::new("cannotCalculateChanges", ""))
}

/// RFC 8620 §5.5: where the answer begins, and how long it is at most.
fn window(arguments: &mut Arguments, ids: &[&str]) -> Result<(usize, usize)> {
    let anchor = arguments.string("anchor")?;
    let offset = arguments.signed("anchorOffset")?.unwrap_or(0);
    let position = arguments.signed("position")?.unwrap_or(0);
    let limit = arguments.unsigned("limit")?.and_then(|limit| usize::try_from(limit).ok());
    let count = i64::try_from(ids.len()).unwrap_or(i64::MAX);
    let from = match anchor {
        Some(anchor) => {
            let place = ids.iter().position(|id| *id == anchor);
            let place = place.ok_or_else(|| MethodError::new("anchorNotFound", ""))?;
            i64::try_from(place).unwrap_or(0).saturating_add(offset)
        }
        None if position < 0 => count.saturating_add(position),
        None => position,
    };
    Ok((usize::try_from(from.max(0)).unwrap_or(usize::MAX), limit.unwrap_or(usize::MAX)))
}

type Order = (fn(&Submission, &Submission) -> Ordering, bool);

fn comparator(value: &Value) -> Result<Order> {
    let compare: fn(&Submission, &Submission) -> Ordering = match value["property"].as_str() {
        Some("emailId") => |a, b| a.email.cmp(&b.email),
        Some("threadId") => |a, b| a.thread.cmp(&b.thread),
        // RFC 8621 says sentAt, and means sendAt.
        Some("sentAt" | "sendAt") => |a, b| a.send_at.cmp(&b.send_at),
        _ => return Err(MethodError::new("unsupportedSort", "")),
    };
    Ok((compare, value["isAscending"] != json!(false)))
}

fn matches(one: &Submission, filter: &Value, depth: usize, left: &mut usize) -> Result<bool> {
    let Value::Object(map) = filter else {
        return if filter.is_null() { Ok(true) } else { Err(wrong("filter", "an object")) };
    };
    *left = left.checked_sub(1).ok_or_else(|| MethodError::new("unsupportedFilter", "It is too long"))?;
    if depth > limits::FILTER_DEPTH_MAX {
        return Err(MethodError::new("unsupportedFilter", "It is too deep"));
    }
    if let Some(operator) = map.get("operator") {
        let conditions = map.get("conditions").and_then(Value::as_array);
        let conditions = conditions.ok_or_else(|| wrong("conditions", "a list"))?;
        let (mut all, mut any) = (true, false);
        for condition in conditions {
            let is = matches(one, condition, depth + 1, left)?;
            (all, any) = (all && is, any || is);
        }
        return match operator.as_str() {
            Some("AND") => Ok(all),
            Some("OR") => Ok(any),
            Some("NOT") => Ok(!any),
            _ => Err(wrong("operator", "AND, OR or NOT")),
        };
    }
    for (name, wanted) in map {
        let list = || strings(wanted.clone()).ok_or_else(|| wrong(name, "a list of ids"));
        let date = || wanted.as_str().and_then(second_of).ok_or_else(|| wrong(name, "a UTCDate"));
        let is = match name.as_str() {
            "identityIds" => list()?.contains(&one.identity),
            "emailIds" => list()?.contains(&one.email),
            "threadIds" => list()?.contains(&one.thread),
            "undoStatus" => json!(one.status) == *wanted,
            "before" => one.send_at < date()?,
            "after" => one.send_at >= date()?,
            _ => return Err(MethodError::new("unsupportedFilter", format!("{name} is no condition"))),
        };
        if !is {
            return Ok(false);
        }
    }
    Ok(true)
}

//! Mailbox/query and Mailbox/queryChanges (RFC 8621 §2.3, §2.4).

use std::cmp::Ordering;
use std::collections::HashSet;

use mail_format::casemap;
use serde_json::{Map, Value, json};

use crate::account::{Inner, MailboxView};
use crate::arguments::Arguments;
use crate::changes::cannot;
use crate::error::{MethodError, Result};
use crate::ids;
use crate::limits;
use crate::methods::email::query::Window;
use crate::request::Call;
use crate::session_object::COLLATION;
use crate::state::MailboxState;

/// Bytes of a name that are compared.
const NAME_BYTES_MAX: usize = 256;

pub fn run(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let account_id = call.mail_account(arguments)?;
    let filter = arguments.take("filter");
    let sort = Sort::read(arguments.take("sort"))?;
    let (sort_as_tree, filter_as_tree) = (arguments.flag("sortAsTree")?, arguments.flag("filterAsTree")?);
    let window = Window::read(arguments)?;
    let account = call.account()?;
    let account = account.read();
    let mut parts = 0;
    let mut found: Vec<(u16, &MailboxView)> = Vec::new();
    for (number, view) in account.mailboxes() {
        if passes(&account, (number, view), filter.as_ref(), 0, &mut parts)? {
            found.push((number, view));
        }
        parts = 0;
    }
    if filter_as_tree {
        let there: HashSet<u16> = found.iter().map(|(number, _)| *number).collect();
        found.retain(|(_, view)| ancestors(&account, view).iter().all(|(number, _)| there.contains(number)));
    }
    match sort_as_tree {
        true => found.sort_by_cached_key(|(_, view)| TreeKey::of(&account, &sort, view)),
        false => found.sort_by(|(_, one), (_, other)| sort.compare(&account, one, other)),
    }
    let ids: Vec<String> = found.iter().map(|(_, view)| ids::mailbox(view.listed.id)).collect();
    let place = |id: &str| ids.iter().position(|one| Some(one.as_str()) == call.real_id(id));
    let (start, end) = window.of(ids.len(), place)?;
    let mut response = json!({
        "accountId": account_id,
        "queryState": MailboxState::of(&account).encode(),
        "canCalculateChanges": false,
        "position": start,
        "ids": ids[start..end],
    });
    window.finish(&mut response, ids.len());
    Ok(response)
}

/// The list is short, and told anew at little cost.
pub fn changes(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    call.mail_account(arguments)?;
    arguments.required_string("sinceQueryState")?;
    Err(cannot())
}

fn invalid(why: &str) -> MethodError {
    MethodError::invalid_arguments(format!("filter: {why}"))
}

fn passes(
    account: &Inner,
    mailbox: (u16, &MailboxView),
    filter: Option<&Value>,
    depth: usize,
    parts: &mut usize,
) -> Result<bool> {
    let Some(filter) = filter else { return Ok(true) };
    *parts += 1;
    if depth > limits::FILTER_DEPTH_MAX || *parts > limits::FILTER_PARTS_MAX {
        return Err(MethodError::new("unsupportedFilter", "It has too many conditions"));
    }
    let map = filter.as_object().ok_or_else(|| invalid("it is no object"))?;
    let Some(operator) = map.get("operator") else { return conditions(account, mailbox, map) };
    let inner = map.get("conditions").and_then(Value::as_array);
    let inner = inner.ok_or_else(|| invalid("an operator has no conditions"))?;
    let mut results = Vec::with_capacity(inner.len());
    for condition in inner {
        results.push(passes(account, mailbox, Some(condition), depth + 1, parts)?);
    }
    match operator.as_str() {
        Some("AND") => Ok(results.iter().all(|passes| *passes)),
        Some("OR") => Ok(results.iter().any(|passes| *passes)),
        Some("NOT") => Ok(!results.iter().any(|passes| *passes)),
        _ => Err(invalid("the operator is none of AND, OR, NOT")),
    }
}

fn conditions(
    account: &Inner,
    (number, view): (u16, &MailboxView),
    map: &Map<String, Value>,
) -> Result<bool> {
    let mut all = true;
    for (name, value) in map {
        let wrong = || invalid(&format!("{name} has another type"));
        all &= match name.as_str() {
            "parentId" => {
                let parent = account.parent(view).map(|parent| ids::mailbox(parent.listed.id));
                if !(value.is_null() || value.is_string()) {
                    return Err(wrong());
                }
                parent.as_deref() == value.as_str()
            }
            "name" => {
                let text = value.as_str().ok_or_else(wrong)?;
                mail_format::fold(account.display_name(view)).contains(&mail_format::fold(text))
            }
            "role" => {
                if !(value.is_null() || value.is_string()) {
                    return Err(wrong());
                }
                account.role(number, view) == value.as_str()
            }
            "hasAnyRole" => account.role(number, view).is_some() == value.as_bool().ok_or_else(wrong)?,
            "isSubscribed" => view.is_subscribed == value.as_bool().ok_or_else(wrong)?,
            _ => return Err(MethodError::new("unsupportedFilter", format!("There is no condition {name}"))),
        };
    }
    Ok(all)
}

/// The mailboxes above, the nearest first.
fn ancestors<'a>(account: &'a Inner, view: &MailboxView) -> Vec<(u16, &'a MailboxView)> {
    let mut above = Vec::new();
    let mut next = view.listed.name.visible_parent();
    while let Some(name) = next {
        above.extend(account.mailbox_by_name(&name)); // of others not every level is seen
        next = name.visible_parent();
    }
    above
}

/// Comparators, and whether each ascends.
struct Sort(Vec<(ByWhat, bool)>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum ByWhat {
    SortOrder,
    Name,
}

impl Sort {
    fn read(value: Option<Value>) -> Result<Sort> {
        let items = match value {
            None => Vec::new(),
            Some(Value::Array(items)) if items.len() <= limits::COMPARATORS_MAX => items,
            Some(_) => return Err(MethodError::invalid_arguments("sort: it is no short list")),
        };
        let one = |item: &Value| {
            let by = match item.get("property").and_then(Value::as_str) {
                Some("sortOrder") => ByWhat::SortOrder,
                Some("name") => ByWhat::Name,
                Some(_) => return Err(MethodError::new("unsupportedSort", "It cannot be sorted by this")),
                None => return Err(MethodError::invalid_arguments("sort: a comparator has no property")),
            };
            let collation = item.get("collation").filter(|value| !value.is_null());
            if collation.is_some_and(|collation| collation.as_str() != Some(COLLATION)) {
                return Err(MethodError::new("unsupportedSort", "The collation is not known"));
            }
            match item.get("isAscending") {
                None | Some(Value::Null) => Ok((by, true)),
                Some(Value::Bool(is_ascending)) => Ok((by, *is_ascending)),
                Some(_) => Err(MethodError::invalid_arguments("sort: isAscending is no boolean")),
            }
        };
        items.iter().map(one).collect::<Result<Vec<_>>>().map(Sort)
    }

    fn compare(&self, account: &Inner, one: &MailboxView, other: &MailboxView) -> Ordering {
        for (by, is_ascending) in &self.0 {
            let order = match by {
                ByWhat::SortOrder => one.sort_order.cmp(&other.sort_order),
                ByWhat::Name => key(account, one).cmp(&key(account, other)),
            };
            if order.is_ne() {
                return if *is_ascending { order } else { order.reverse() };
            }
        }
        one.listed.name.cmp(&other.listed.name)
    }
}

fn key(account: &Inner, view: &MailboxView) -> Vec<u8> {
    casemap(account.display_name(view), NAME_BYTES_MAX)
}

/// The way from the top to a mailbox, each level as the comparators see it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct TreeKey(Vec<Vec<Vec<u8>>>);

impl TreeKey {
    fn of(account: &Inner, sort: &Sort, view: &MailboxView) -> TreeKey {
        let mut above = ancestors(account, view);
        above.reverse();
        let levels = above.into_iter().map(|(_, view)| view).chain(std::iter::once(view));
        TreeKey(levels.map(|view| sort.level(account, view)).collect())
    }
}

impl Sort {
    /// Bytes that compare as the comparators do, for siblings.
    fn level(&self, account: &Inner, view: &MailboxView) -> Vec<Vec<u8>> {
        let mut keys: Vec<Vec<u8>> = Vec::new();
        for (by, is_ascending) in &self.0 {
            let bytes = match by {
                ByWhat::SortOrder => view.sort_order.to_be_bytes().to_vec(),
                ByWhat::Name => key(account, view),
            };
            keys.push(match is_ascending {
                true => bytes,
                // Inverted, and closed by what is greater than all, so that a longer one comes first.
                false => bytes.iter().map(|byte| !byte).chain([0xff]).collect(),
            });
        }
        keys.push(view.listed.name.as_str().as_bytes().to_vec());
        keys
    }
}

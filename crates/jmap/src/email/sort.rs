//! In which order a query's emails come (RFC 8621 §4.4.2).

use std::cmp::Ordering;

use serde_json::Value;

use super::filter::ThreadAnswers;
use super::keywords;
use crate::account::columns::Column;
use crate::account::{Email, Inner};
use crate::error::{MethodError, Result};
use crate::limits;
use crate::session_object::COLLATION;

/// emailQuerySortOptions.
pub const OPTIONS: [&str; 9] = [
    "receivedAt",
    "size",
    "from",
    "to",
    "subject",
    "sentAt",
    "hasKeyword",
    "allInThreadHaveKeyword",
    "someInThreadHaveKeyword",
];

/// What two emails are compared by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Property {
    Received,
    Size,
    Text(Column),
    Sent,
    Keyword(String),
    AllInThread(String),
    SomeInThread(String),
}

/// Comparators in order, and whether each ascends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sort(Vec<(Property, bool)>);

impl Sort {
    /// Without any, newest first.
    ///
    /// # Errors
    /// `invalidArguments`, `unsupportedSort`.
    pub fn read(value: Option<Value>) -> Result<Sort> {
        let invalid = |why: &str| MethodError::invalid_arguments(format!("sort: {why}"));
        let unsupported = |why: &str| MethodError::new("unsupportedSort", why);
        let items = match value {
            None => Vec::new(),
            Some(Value::Array(items)) => items,
            Some(_) => return Err(invalid("it is no list")),
        };
        if items.len() > limits::COMPARATORS_MAX {
            return Err(unsupported("It has too many comparators"));
        }
        let mut comparators = Vec::new();
        for item in items {
            let Value::Object(map) = item else { return Err(invalid("a comparator is no object")) };
            let property = map.get("property").and_then(Value::as_str);
            let property = property.ok_or_else(|| invalid("a comparator has no property"))?;
            let is_ascending = match map.get("isAscending") {
                None | Some(Value::Null) => true,
                Some(value) => value.as_bool().ok_or_else(|| invalid("isAscending is no boolean"))?,
            };
            if let Some(collation) = map.get("collation").filter(|value| !value.is_null()) {
                if collation.as_str() != Some(COLLATION) {
                    return Err(unsupported("The collation is not known"));
                }
            }
            let keyword = || {
                let keyword = map.get("keyword").and_then(Value::as_str).and_then(keywords::read);
                keyword.ok_or_else(|| invalid("a comparator has no keyword"))
            };
            let property = match property {
                "receivedAt" => Property::Received,
                "size" => Property::Size,
                "from" => Property::Text(Column::From),
                "to" => Property::Text(Column::To),
                "subject" => Property::Text(Column::Subject),
                "sentAt" => Property::Sent,
                "hasKeyword" => Property::Keyword(keyword()?),
                "allInThreadHaveKeyword" => Property::AllInThread(keyword()?),
                "someInThreadHaveKeyword" => Property::SomeInThread(keyword()?),
                _ => return Err(unsupported("It cannot be sorted by this")),
            };
            comparators.push((property, is_ascending));
        }
        if comparators.is_empty() {
            comparators.push((Property::Received, false));
        }
        Ok(Sort(comparators))
    }

    pub fn needs_threads(&self) -> bool {
        let of_threads =
            |property: &Property| matches!(property, Property::AllInThread(_) | Property::SomeInThread(_));
        self.0.iter().any(|(property, _)| of_threads(property))
    }

    /// Texts that must have been read.
    pub fn columns(&self) -> impl Iterator<Item = Column> + '_ {
        self.0.iter().filter_map(|(property, _)| match property {
            Property::Text(column) => Some(*column),
            _ => None,
        })
    }

    /// The order of two emails; never equal for two different ones. What is the same in all comparators is in the order, or
    /// the reverse, in which it came.
    pub fn compare(&self, account: &Inner, threads: &ThreadAnswers, one: u32, other: u32) -> Ordering {
        let (Some(a), Some(b)) = (account.email(one), account.email(other)) else { return one.cmp(&other) };
        for (property, is_ascending) in &self.0 {
            let order = property.compare(account, threads, (one, a), (other, b));
            if order.is_ne() {
                return if *is_ascending { order } else { order.reverse() };
            }
        }
        let order = (a.received_ns, a.guid).cmp(&(b.received_ns, b.guid));
        if self.0.first().is_some_and(|(_, is_ascending)| *is_ascending) { order } else { order.reverse() }
    }

    /// Sorts emails.
    pub fn sort(&self, account: &Inner, emails: &mut [u32]) {
        if self.0.len() == 1 && self.0[0].0 == Property::Received {
            // The common one, without a look at each email for each comparison.
            let mut keys: Vec<(i64, [u8; 16], u32)> = emails
                .iter()
                .filter_map(|number| {
                    account.email(*number).map(|email| (email.received_ns, email.guid, *number))
                })
                .collect();
            keys.sort_unstable();
            if !self.0[0].1 {
                keys.reverse();
            }
            emails.iter_mut().zip(keys).for_each(|(place, (_, _, number))| *place = number);
            return;
        }
        let threads = ThreadAnswers::default();
        emails.sort_unstable_by(|one, other| self.compare(account, &threads, *one, *other));
    }
}

impl Property {
    fn compare(
        &self,
        account: &Inner,
        threads: &ThreadAnswers,
        (one, a): (u32, &Email),
        (other, b): (u32, &Email),
    ) -> Ordering {
        let second = |email: &Email| email.received_ns.div_euclid(1_000_000_000);
        match self {
            Property::Received => second(a).cmp(&second(b)),
            Property::Size => a.size.cmp(&b.size),
            Property::Sent => a.sent.cmp(&b.sent),
            Property::Text(column) => {
                account.columns.text(*column, one).cmp(account.columns.text(*column, other))
            }
            Property::Keyword(keyword) => {
                account.has_keyword(a, keyword).cmp(&account.has_keyword(b, keyword))
            }
            Property::AllInThread(keyword) => {
                threads.has(account, a, keyword, true).cmp(&threads.has(account, b, keyword, true))
            }
            Property::SomeInThread(keyword) => {
                threads.has(account, a, keyword, false).cmp(&threads.has(account, b, keyword, false))
            }
        }
    }
}

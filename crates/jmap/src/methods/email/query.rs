//! Email/query (RFC 8621 §4.4, RFC 8620 §5.5).

use std::sync::{Arc, PoisonError, RwLockReadGuard};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::account::views::{MENDED_MAX, View};
use crate::account::{Account, Inner};
use crate::arguments::Arguments;
use crate::email::filter::{self, ThreadAnswers};
use crate::email::looking::{Looking, Place};
use crate::email::sort::Sort;
use crate::error::{MethodError, Result};
use crate::request::Call;
use crate::state::EmailState;
use crate::{ids, limits};

/// How long a search holds the account before others have their turn.
const SLICE: Duration = Duration::from_millis(50);
/// How often a search begins anew because mailboxes came or went meanwhile, before it lets nobody in.
const ATTEMPTS_MAX: usize = 3;

/// The account, while it is looked at.
pub type Reading<'a> = RwLockReadGuard<'a, Inner>;

/// What is asked for, as the list that answers it is kept under.
pub struct Query {
    pub filter: Option<Value>,
    pub sort: Sort,
    pub collapse: bool,
    key: String,
}

impl Query {
    /// # Errors
    /// `invalidArguments`, `unsupportedSort`.
    pub fn read(arguments: &mut Arguments) -> Result<Query> {
        let filter = arguments.take("filter");
        let sort = arguments.take("sort");
        let collapse = arguments.flag("collapseThreads")?;
        let key = json!([filter, sort, collapse]).to_string();
        Ok(Query { filter, sort: Sort::read(sort)?, collapse, key })
    }

    /// The list as it is now, and the account that it is of. The list is kept from call to call and mended by what changed.
    ///
    /// # Errors
    /// The filter cannot be understood; the store's.
    pub fn list<'a>(&self, account: &'a Account) -> Result<(Reading<'a>, View)> {
        for _ in 0..ATTEMPTS_MAX {
            if let Some(done) = self.attempt(account, Some(SLICE))? {
                return Ok(done);
            }
        }
        self.attempt(account, None)?.ok_or_else(|| MethodError::new("serverUnavailable", "Try again"))
    }

    /// Nothing when the account changed too much meanwhile; not without a `slice`, during which nothing changes.
    fn attempt<'a>(
        &self,
        account: &'a Account,
        slice: Option<Duration>,
    ) -> Result<Option<(Reading<'a>, View)>> {
        let needs_threads = self.depends_on_threads(&account.read())?;
        let mut inner = if needs_threads { account.with_threads() } else { account.read() };
        let kept = inner.views.lock().unwrap_or_else(PoisonError::into_inner).take(&self.key);
        if kept.as_ref().is_none_or(|view| view.version != inner.version)
            && self.sort.columns().next().is_some()
        {
            drop(inner);
            self.sort.columns().for_each(|column| account.fill_column(column));
            inner = account.read();
        }
        let kept = match kept {
            Some(view) if view.version == inner.version => Some(view),
            Some(view) => self.mended(&inner, view)?,
            None => None,
        };
        let view = match kept {
            Some(view) => view,
            None => {
                let (now, made) = self.make(account, inner, slice)?;
                inner = now;
                let Some(view) = made else { return Ok(None) };
                view
            }
        };
        let is_unknown = |column| !inner.columns.covers(column, inner.emails.len());
        if (needs_threads && inner.threads.is_none()) || self.sort.columns().any(is_unknown) {
            return Ok(None); // what came meanwhile is not in order
        }
        inner.views.lock().unwrap_or_else(PoisonError::into_inner).keep(self.key.clone(), view.clone());
        Ok(Some((inner, view)))
    }

    /// A new list. Messages are looked at piece by piece: others have the account in between, and what they change is mended.
    fn make<'a>(
        &self,
        account: &'a Account,
        mut inner: Reading<'a>,
        slice: Option<Duration>,
    ) -> Result<(Reading<'a>, Option<View>)> {
        let asked = filter::read(&inner, self.filter.clone())?;
        let (epoch, version) = (inner.epoch, inner.version);
        let mut place = Place::new(&inner, &asked);
        while !Looking::new(&inner, &asked).go_on(&mut place, slice.map(|slice| Instant::now() + slice))? {
            drop(inner);
            inner = account.read();
            if inner.epoch != epoch {
                return Ok((inner, None));
            }
        }
        let mut all = place.found();
        self.sort.sort(&inner, &mut all);
        let view = View { version, all: Arc::new(all), collapsed: None };
        let view = if version == inner.version {
            Some(self.finished(&inner, view.all))
        } else {
            self.mended(&inner, view)?
        };
        Ok((inner, view))
    }

    fn finished(&self, account: &Inner, all: Arc<Vec<u32>>) -> View {
        let collapsed = self.collapse.then(|| Arc::new(account.collapse(&all)));
        View { version: account.version, all, collapsed }
    }

    fn mended(&self, account: &Inner, view: View) -> Result<Option<View>> {
        Ok(self.mend(account, view)?.map(|all| self.finished(account, Arc::new(all))))
    }

    /// Whether what becomes of an email depends on others of its thread.
    ///
    /// # Errors
    /// The filter cannot be understood.
    pub fn depends_on_threads(&self, account: &Inner) -> Result<bool> {
        let asked = filter::read(account, self.filter.clone())?;
        Ok(self.collapse || self.sort.needs_threads() || asked.filter.needs_threads())
    }

    /// Takes out what changed and puts it in where it belongs now; nothing when that would be more work than a new list.
    fn mend(&self, account: &Inner, view: View) -> Result<Option<Vec<u32>>> {
        let asked = filter::read(account, self.filter.clone())?;
        let Some(mut changed) = account.changed_since(view.version) else { return Ok(None) };
        if self.sort.needs_threads() || asked.filter.needs_threads() {
            changed = with_their_threads(account, &changed);
        }
        if changed.len() > MENDED_MAX {
            return Ok(None);
        }
        drop(view.collapsed);
        let mut all = Arc::try_unwrap(view.all).unwrap_or_else(|shared| (*shared).clone());
        all.retain(|number| changed.binary_search(number).is_err());
        let (mut looking, threads) = (Looking::new(account, &asked), ThreadAnswers::default());
        for number in changed {
            if looking.passes(number, None)? {
                let place =
                    all.partition_point(|one| self.sort.compare(account, &threads, *one, number).is_lt());
                all.insert(place, number);
            }
        }
        Ok(Some(all))
    }
}

/// With all emails that are in a thread with one of them.
pub fn with_their_threads(account: &Inner, emails: &[u32]) -> Vec<u32> {
    let Some(threads) = &account.threads else { return emails.to_vec() };
    let mut all: Vec<u32> = emails.to_vec();
    for number in emails {
        if let Some(email) = account.email(*number) {
            all.extend_from_slice(threads.emails(email.thread));
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}

pub fn run(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let account_id = call.mail_account(arguments)?;
    let query = Query::read(arguments)?;
    let window = Window::read(arguments)?;
    let account = call.account()?;
    let (account, view) = query.list(&account)?;
    let list = view.list();
    let place = |id: &str| {
        let id = call.real_id(id)?;
        let (number, _) = account.email_of(&ids::email_of(id)?)?;
        list.iter().position(|one| *one == number)
    };
    let (start, end) = window.of(list.len(), place)?;
    let ids: Vec<String> = list[start..end]
        .iter()
        .filter_map(|number| account.email(*number))
        .map(|email| ids::email(&email.guid))
        .collect();
    let mut response = json!({
        "accountId": account_id,
        "queryState": EmailState::of(&account).encode(),
        "canCalculateChanges": true,
        "position": start,
        "ids": ids,
    });
    window.finish(&mut response, list.len());
    Ok(response)
}

/// Which part of a list is asked for (RFC 8620 §5.5).
pub struct Window {
    position: i64,
    anchor: Option<String>,
    anchor_offset: i64,
    limit: Option<u64>,
    calculate_total: bool,
}

impl Window {
    /// # Errors
    /// `invalidArguments`.
    pub fn read(arguments: &mut Arguments) -> Result<Window> {
        Ok(Window {
            position: arguments.signed("position")?.unwrap_or(0),
            anchor: arguments.string("anchor")?,
            anchor_offset: arguments.signed("anchorOffset")?.unwrap_or(0),
            limit: arguments.unsigned("limit")?,
            calculate_total: arguments.flag("calculateTotal")?,
        })
    }

    /// From where to where, in a list of so many.
    ///
    /// # Errors
    /// `anchorNotFound`.
    pub fn of(&self, count: usize, place: impl Fn(&str) -> Option<usize>) -> Result<(usize, usize)> {
        let count_signed = i64::try_from(count).unwrap_or(i64::MAX);
        let start = match &self.anchor {
            Some(anchor) => {
                let place = place(anchor).ok_or_else(|| MethodError::new("anchorNotFound", ""))?;
                i64::try_from(place).unwrap_or(i64::MAX).saturating_add(self.anchor_offset)
            }
            None if self.position < 0 => count_signed.saturating_add(self.position),
            None => self.position,
        };
        let start = usize::try_from(start.clamp(0, count_signed)).unwrap_or(count);
        Ok((start, start.saturating_add(self.most()).min(count)))
    }

    fn most(&self) -> usize {
        let asked = self.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(limits::QUERY_IDS_MAX);
        asked.min(limits::QUERY_IDS_MAX)
    }

    /// What is told of the whole list.
    pub fn finish(&self, response: &mut Value, count: usize) {
        if self.calculate_total {
            response["total"] = json!(count);
        }
        // "The limit enforced by the server", when it is another than was asked for.
        if self.limit.is_none_or(|limit| limit > limits::QUERY_IDS_MAX as u64) {
            response["limit"] = json!(limits::QUERY_IDS_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(value: Value, count: usize) -> Result<(usize, usize)> {
        let Value::Object(map) = value else { panic!() };
        let window = Window::read(&mut Arguments(map))?;
        window.of(count, |anchor| anchor.parse().ok().filter(|place| *place < count))
    }

    #[test]
    fn windows_are_cut_as_the_standard_says() {
        for (value, count, expected) in [
            (json!({}), 10, (0, 10)),
            (json!({ "position": 3, "limit": 4 }), 10, (3, 7)),
            (json!({ "position": -3 }), 10, (7, 10)),
            (json!({ "position": -30 }), 10, (0, 10)),
            (json!({ "position": 30 }), 10, (10, 10)),
            (json!({ "anchor": "5", "limit": 2 }), 10, (5, 7)),
            (json!({ "anchor": "5", "anchorOffset": -10, "position": 9 }), 10, (0, 10)),
            (json!({ "anchor": "5", "anchorOffset": 2 }), 10, (7, 10)),
            (json!({ "limit": 0 }), 10, (0, 0)),
            (json!({ "limit": 1_000_000 }), 20_000, (0, limits::QUERY_IDS_MAX)),
        ] {
            assert_eq!(window(value.clone(), count), Ok(expected), "{value}");
        }
        assert_eq!(window(json!({ "anchor": "x" }), 10).unwrap_err().kind, "anchorNotFound");
        assert_eq!(window(json!({ "limit": -1 }), 10).unwrap_err().kind, "invalidArguments");
        assert_eq!(window(json!({ "position": 1.5 }), 10).unwrap_err().kind, "invalidArguments");
    }
}

//! Which emails a query is about (RFC 8621 §4.4.1).

use std::cell::RefCell;
use std::collections::HashMap;

use message_store::search::{Needle, Within};
use serde_json::{Map, Value};

use super::keywords;
use crate::account::{Email, Inner};
use crate::error::{MethodError, Result};
use crate::limits;

/// A condition about one email.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    And(Vec<Filter>),
    Or(Vec<Filter>),
    /// None of them.
    Not(Vec<Filter>),
    InMailbox(u16),
    /// In a mailbox that is not among these.
    InOtherThan(Vec<u16>),
    /// receivedAt in nanoseconds: before, or from then on.
    Before(i64),
    After(i64),
    /// At least, or below.
    MinSize(u64),
    MaxSize(u64),
    Keyword(String),
    AllInThread(String),
    SomeInThread(String),
    HasAttachment(bool),
    /// The needle of this number.
    Text(usize),
}

/// A filter, and the texts that it looks for.
#[derive(Clone, Debug)]
pub struct Asked {
    pub filter: Filter,
    pub needles: Vec<Needle>,
}

/// By thread, and whether all of its emails are to have the keyword.
type OfKeyword = HashMap<(u32, bool), bool>;

/// Which large threads have which keywords, found out once for a query.
#[derive(Default)]
pub struct ThreadAnswers(RefCell<HashMap<String, OfKeyword>>);

/// Emails of a thread from which on its answer is remembered; of smaller ones it is quicker found out again, and the memory
/// of answers stays small.
const LARGE_THREAD: usize = 64;

impl ThreadAnswers {
    /// [`Inner::thread_has`], of one state of the account.
    pub fn has(&self, account: &Inner, email: &Email, keyword: &str, all: bool) -> bool {
        let emails = account.threads.as_ref().map_or(0, |threads| threads.emails(email.thread).len());
        if emails < LARGE_THREAD {
            return account.thread_has(email, keyword, all);
        }
        let key = (email.thread, all);
        if let Some(has) = self.0.borrow().get(keyword).and_then(|threads| threads.get(&key)) {
            return *has;
        }
        let has = account.thread_has(email, keyword, all);
        self.0.borrow_mut().entry(keyword.to_owned()).or_default().insert(key, has);
        has
    }
}

/// What is known of an email's content.
pub trait Facts {
    fn threads(&self) -> &ThreadAnswers;
    fn text(&self, needle: usize) -> Option<bool>;
    fn has_attachment(&self) -> Option<bool>;
}

/// Reads a filter; nothing means all.
///
/// # Errors
/// `invalidArguments`, `unsupportedFilter`.
pub fn read(account: &Inner, value: Option<Value>) -> Result<Asked> {
    let mut reader = Reader { account, needles: Vec::new(), parts: 0 };
    let filter = match value {
        None => Filter::And(Vec::new()),
        Some(value) => reader.filter(value, 0)?,
    };
    Ok(Asked { filter, needles: reader.needles })
}

struct Reader<'a> {
    account: &'a Inner,
    needles: Vec<Needle>,
    parts: usize,
}

fn invalid(why: &str) -> MethodError {
    MethodError::invalid_arguments(format!("filter: {why}"))
}

fn unsupported(why: &str) -> MethodError {
    MethodError::new("unsupportedFilter", why)
}

impl Reader<'_> {
    fn filter(&mut self, value: Value, depth: usize) -> Result<Filter> {
        self.count()?;
        if depth > limits::FILTER_DEPTH_MAX {
            return Err(unsupported("The operators are too deep"));
        }
        let Value::Object(mut map) = value else { return Err(invalid("it is no object")) };
        let Some(operator) = map.remove("operator") else { return self.conditions(map) };
        let Some(Value::Array(conditions)) = map.remove("conditions") else {
            return Err(invalid("an operator has no conditions"));
        };
        let mut filters = Vec::with_capacity(conditions.len().min(limits::FILTER_PARTS_MAX));
        for condition in conditions {
            filters.push(self.filter(condition, depth + 1)?);
        }
        match operator.as_str() {
            Some("AND") => Ok(Filter::And(filters)),
            Some("OR") => Ok(Filter::Or(filters)),
            Some("NOT") => Ok(Filter::Not(filters)),
            _ => Err(invalid("the operator is none of AND, OR, NOT")),
        }
    }

    fn count(&mut self) -> Result<()> {
        self.parts += 1;
        if self.parts > limits::FILTER_PARTS_MAX {
            return Err(unsupported("It has too many conditions"));
        }
        Ok(())
    }

    /// All of them must hold.
    fn conditions(&mut self, map: Map<String, Value>) -> Result<Filter> {
        let mut all = Vec::with_capacity(map.len());
        for (name, value) in map {
            self.count()?;
            all.push(self.condition(&name, value)?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Filter::And(all) })
    }

    fn condition(&mut self, name: &str, value: Value) -> Result<Filter> {
        let wrong = || invalid(&format!("{name} has another type"));
        let text = || value.as_str().map(str::to_owned).ok_or_else(wrong);
        let number = || value.as_u64().ok_or_else(wrong);
        let keyword = || value.as_str().and_then(keywords::read).ok_or_else(wrong);
        let date = || value.as_str().and_then(utc_nanos).ok_or_else(wrong);
        let none = |filter| Filter::Not(vec![filter]);
        Ok(match name {
            "inMailbox" => match self.account.mailbox_named(value.as_str().ok_or_else(wrong)?) {
                Some((mailbox, _)) => Filter::InMailbox(mailbox),
                None => Filter::Or(Vec::new()),
            },
            "inMailboxOtherThan" => {
                let ids = value.as_array().ok_or_else(wrong)?;
                let mut others = Vec::new();
                for id in ids {
                    let known = self.account.mailbox_named(id.as_str().ok_or_else(wrong)?);
                    others.extend(known.map(|(mailbox, _)| mailbox));
                }
                Filter::InOtherThan(others)
            }
            "before" => Filter::Before(date()?),
            "after" => Filter::After(date()?),
            "minSize" => Filter::MinSize(number()?),
            "maxSize" => Filter::MaxSize(number()?),
            "allInThreadHaveKeyword" => Filter::AllInThread(keyword()?),
            "someInThreadHaveKeyword" => Filter::SomeInThread(keyword()?),
            "noneInThreadHaveKeyword" => none(Filter::SomeInThread(keyword()?)),
            "hasKeyword" => Filter::Keyword(keyword()?),
            "notKeyword" => none(Filter::Keyword(keyword()?)),
            "hasAttachment" => Filter::HasAttachment(value.as_bool().ok_or_else(wrong)?),
            "text" => self.texts(&Within::Message, &text()?)?,
            "body" => self.texts(&Within::Body, &text()?)?,
            "from" | "to" | "cc" | "bcc" | "subject" => self.texts(&Within::Field(name.into()), &text()?)?,
            "header" => {
                let items =
                    value.as_array().filter(|items| (1..=2).contains(&items.len())).ok_or_else(wrong)?;
                let name = items[0].as_str().ok_or_else(wrong)?;
                let text = items.get(1).map_or(Some(""), Value::as_str).ok_or_else(wrong)?;
                let within = Within::Field(name.to_ascii_lowercase());
                // Of an empty text only the field is asked for.
                if text.trim().is_empty() { self.needle(within, "")? } else { self.texts(&within, text)? }
            }
            _ => return Err(unsupported(&format!("There is no condition {name}"))),
        })
    }

    /// Words, each of which must be there, and phrases in quotes (RFC 8621 §4.4.1).
    fn texts(&mut self, within: &Within, text: &str) -> Result<Filter> {
        let mut all = Vec::new();
        for token in tokens(text) {
            all.push(self.needle(within.clone(), &token)?);
        }
        Ok(Filter::And(all))
    }

    fn needle(&mut self, within: Within, text: &str) -> Result<Filter> {
        let needle = Needle { within, text: mail_format::fold(text), like: None };
        if let Some(known) = self.needles.iter().position(|known| *known == needle) {
            return Ok(Filter::Text(known));
        }
        if self.needles.len() >= limits::FILTER_TEXTS_MAX {
            return Err(unsupported("It looks for too many texts"));
        }
        self.needles.push(needle);
        Ok(Filter::Text(self.needles.len() - 1))
    }
}

/// The words and phrases of a text that is looked for. A quote that is not closed is a character as others.
pub fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut word = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        if matches!(c, '"' | '\'') && word.is_empty() {
            if let Some((phrase, behind)) = phrase(after, c) {
                tokens.push(phrase);
                rest = behind;
                continue;
            }
        }
        rest = after;
        if c.is_whitespace() {
            tokens.push(std::mem::take(&mut word));
        } else {
            word.push(c);
        }
    }
    tokens.push(word);
    tokens.retain(|token| !token.is_empty());
    tokens
}

/// What stands before the closing quote, with `\` before quotes and itself taken off, and what follows.
fn phrase(text: &str, quote: char) -> Option<(String, &str)> {
    let mut phrase = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.clone().next() {
                Some((_, next @ ('"' | '\'' | '\\'))) => {
                    phrase.push(next);
                    chars.next();
                }
                _ => phrase.push(c),
            },
            c if c == quote => return Some((phrase, &text[at + c.len_utf8()..])),
            c => phrase.push(c),
        }
    }
    None
}

/// Nanoseconds since 1970 of a `UTCDate` (RFC 8620 §1.4).
pub fn utc_nanos(text: &str) -> Option<i64> {
    let bytes = text.strip_suffix('Z')?;
    let (date, time) = bytes.split_once('T')?;
    let number = |text: &str, digits: usize| -> Option<i64> {
        (text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
    };
    let mut date = date.split('-');
    let (year, month, day) = (number(date.next()?, 4)?, number(date.next()?, 2)?, number(date.next()?, 2)?);
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut time = time.split(':');
    let (hour, minute, second) =
        (number(time.next()?, 2)?, number(time.next()?, 2)?, number(time.next()?, 2)?);
    let is_fraction = fraction.len() <= 9 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let is_legal = (1..=12).contains(&month) && hour < 24 && minute < 60 && second <= 60 && is_fraction;
    if date.next().is_some() || time.next().is_some() || !is_legal {
        return None;
    }
    let days = mail_format::date::days_of(year, month, day)?;
    let nanos: i64 = format!("{fraction:0<9}").parse().ok()?;
    (days * 86_400 + hour * 3600 + minute * 60 + second).checked_mul(1_000_000_000)?.checked_add(nanos)
}

impl Filter {
    /// Whether an email passes, if that can be said of what is known.
    pub fn passes(&self, account: &Inner, email: &Email, facts: &dyn Facts) -> Option<bool> {
        Some(match self {
            Filter::And(filters) => return all(filters, true, account, email, facts),
            Filter::Or(filters) => return all(filters, false, account, email, facts).map(|none| !none),
            Filter::Not(filters) => return all(filters, false, account, email, facts),
            Filter::InMailbox(mailbox) => account.rows(email).any(|(number, ..)| number == *mailbox),
            Filter::InOtherThan(others) => account.rows(email).any(|(number, ..)| !others.contains(&number)),
            Filter::Before(nanos) => seconds(email.received_ns) < *nanos,
            Filter::After(nanos) => seconds(email.received_ns) >= *nanos,
            Filter::MinSize(size) => u64::from(email.size) >= *size,
            Filter::MaxSize(size) => u64::from(email.size) < *size,
            Filter::Keyword(keyword) => account.has_keyword(email, keyword),
            Filter::AllInThread(keyword) => facts.threads().has(account, email, keyword, true),
            Filter::SomeInThread(keyword) => facts.threads().has(account, email, keyword, false),
            Filter::HasAttachment(wanted) => return facts.has_attachment().map(|has| has == *wanted),
            Filter::Text(needle) => return facts.text(*needle),
        })
    }

    fn any(&self, test: &dyn Fn(&Filter) -> bool) -> bool {
        match self {
            Filter::And(filters) | Filter::Or(filters) | Filter::Not(filters) => {
                filters.iter().any(|filter| filter.any(test))
            }
            filter => test(filter),
        }
    }

    /// Whether it asks about other emails of the thread.
    pub fn needs_threads(&self) -> bool {
        self.any(&|filter| matches!(filter, Filter::AllInThread(_) | Filter::SomeInThread(_)))
    }

    /// The one mailbox outside of which nothing passes, if there is one.
    pub fn only_in(&self) -> Option<u16> {
        match self {
            Filter::InMailbox(mailbox) => Some(*mailbox),
            Filter::And(filters) => filters.iter().find_map(Filter::only_in),
            _ => None,
        }
    }

    /// The needles without which nothing passes.
    pub fn needed(&self) -> Vec<usize> {
        match self {
            Filter::Text(needle) => vec![*needle],
            Filter::And(filters) => filters.iter().flat_map(Filter::needed).collect(),
            _ => Vec::new(),
        }
    }
}

/// receivedAt has no fractions of a second where it is told, so they do not count where it is asked for.
fn seconds(nanos: i64) -> i64 {
    nanos.div_euclid(1_000_000_000).saturating_mul(1_000_000_000)
}

/// Whether all of them are so.
fn all(filters: &[Filter], so: bool, account: &Inner, email: &Email, facts: &dyn Facts) -> Option<bool> {
    let mut is_unknown = false;
    for filter in filters {
        match filter.passes(account, email, facts) {
            Some(passes) if passes != so => return Some(false),
            Some(_) => {}
            None => is_unknown = true,
        }
    }
    (!is_unknown).then_some(true)
}

impl Inner {
    /// Whether all emails of this one's thread, or any, have a keyword.
    pub fn thread_has(&self, email: &Email, keyword: &str, all: bool) -> bool {
        let Some(threads) = self.threads.as_ref().filter(|_| email.thread != crate::account::NONE) else {
            return self.has_keyword(email, keyword);
        };
        let emails = threads.emails(email.thread).iter().filter_map(|number| self.email(*number));
        let mut there = emails.filter(|email| self.is_there(email));
        match all {
            true => there.all(|email| self.has_keyword(email, keyword)),
            false => there.any(|email| self.has_keyword(email, keyword)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_and_phrases() {
        for (text, expected) in [
            ("", vec![]),
            (" a  b ", vec!["a", "b"]),
            ("\"a b\" c", vec!["a b", "c"]),
            ("'it''s \\' x'", vec!["it", "s ' x"]),
            ("don't", vec!["don't"]),
            ("\"open a", vec!["\"open", "a"]),
            ("\"a\\\\b\\n\"", vec!["a\\b\\n"]),
            ("\"\"", vec![]),
        ] {
            assert_eq!(tokens(text), expected, "{text}");
        }
    }

    #[test]
    fn dates_are_of_one_form() {
        assert_eq!(utc_nanos("1970-01-02T00:00:01Z"), Some(86_401_000_000_000));
        assert_eq!(utc_nanos("1970-01-01T00:00:00.5Z"), Some(500_000_000));
        for wrong in [
            "",
            "1970-01-01",
            "1970-01-01T00:00:00",
            "1970-13-01T00:00:00Z",
            "1970-02-30T00:00:00Z",
            "1970-1-1T0:0:0Z",
            "1970-01-01T00:00:00+01:00",
            "+970-01-01T00:00:00Z",
            "1970-01-01T00:00:00.xZ",
            "9999999-01-01T00:00:00Z",
        ] {
            assert_eq!(utc_nanos(wrong), None, "{wrong}");
        }
    }

    #[derive(Default)]
    struct Nothing(ThreadAnswers);

    impl Facts for Nothing {
        fn threads(&self) -> &ThreadAnswers {
            &self.0
        }
        fn text(&self, _: usize) -> Option<bool> {
            None
        }
        fn has_attachment(&self) -> Option<bool> {
            None
        }
    }

    #[test]
    fn what_cannot_be_asked_is_refused_and_limits_hold() {
        let account = Inner::default();
        let kind = |value: Value| read(&account, Some(value)).err().map(|error| error.kind);
        for (value, expected) in [
            (json!([]), "invalidArguments"),
            (json!({ "operator": "XOR", "conditions": [] }), "invalidArguments"),
            (json!({ "operator": "AND" }), "invalidArguments"),
            (json!({ "nonsense": 1 }), "unsupportedFilter"),
            (json!({ "minSize": -1 }), "invalidArguments"),
            (json!({ "before": "yesterday" }), "invalidArguments"),
            (json!({ "header": [] }), "invalidArguments"),
            (json!({ "hasKeyword": "a b" }), "invalidArguments"),
            (json!({ "text": (0..60).map(|n| format!("w{n} ")).collect::<String>() }), "unsupportedFilter"),
            (json!({ "operator": "AND", "conditions": vec![json!({}); 300] }), "unsupportedFilter"),
        ] {
            assert_eq!(kind(value.clone()), Some(expected), "{value}");
        }
        let mut deep = json!({});
        for _ in 0..30 {
            deep = json!({ "operator": "NOT", "conditions": [deep] });
        }
        assert_eq!(kind(deep), Some("unsupportedFilter"));
    }

    #[test]
    fn what_is_known_decides_before_what_is_not() {
        let (account, facts) = (Inner::default(), Nothing::default());
        let email = Email {
            guid: [0; 16],
            received_ns: 1_500_000_000,
            sent: 0,
            size: 100,
            thread: crate::account::NONE,
            places: crate::account::Places::default(),
            has_attachment: std::sync::OnceLock::new(),
        };
        let passes =
            |value: Value| read(&account, Some(value)).unwrap().filter.passes(&account, &email, &facts);
        let any = |conditions: Value| json!({ "operator": "OR", "conditions": conditions });
        assert_eq!(passes(json!({})), Some(true));
        assert_eq!(passes(json!({ "text": "x" })), None);
        assert_eq!(passes(json!({ "text": "x", "minSize": 101 })), Some(false));
        assert_eq!(passes(any(json!([{ "text": "x" }, { "minSize": 100 }]))), Some(true));
        assert_eq!(passes(any(json!([]))), Some(false));
        assert_eq!(passes(any(json!([{ "text": "x" }, { "maxSize": 100 }]))), None);
        assert_eq!(
            passes(json!({ "operator": "NOT", "conditions": [{ "minSize": 101 }, { "maxSize": 100 }] })),
            Some(true)
        );
        assert_eq!(
            passes(json!({ "operator": "NOT", "conditions": [{ "text": "x" }, { "minSize": 1 }] })),
            Some(false)
        );
        assert_eq!(
            passes(json!({ "before": "1970-01-01T00:00:02Z", "after": "1970-01-01T00:00:01Z" })),
            Some(true)
        );
        assert_eq!(passes(json!({ "after": "1970-01-01T00:00:01.2Z" })), Some(false));
        assert_eq!(passes(json!({ "inMailbox": "Fx" })), Some(false));
    }
}

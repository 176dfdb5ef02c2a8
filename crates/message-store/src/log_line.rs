//! Where the store's warnings go.
use std::sync::Arc;

use server_log::{Category, Log};

/// How much an administrator should care.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    Error,
    Warning,
    Notice,
}

type Sink = dyn Fn(Severity, &str) + Send + Sync;

/// A sink for log lines of the store. The server crates make one from their log.
#[derive(Clone)]
pub struct StoreLog(Arc<Sink>);

impl StoreLog {
    pub fn new(sink: impl Fn(Severity, &str) + Send + Sync + 'static) -> StoreLog {
        StoreLog(Arc::new(sink))
    }

    /// Into a service's log.
    pub fn to(log: &Log) -> StoreLog {
        let log = log.clone();
        StoreLog::new(move |severity, text| match severity {
            Severity::Error => log.error(Category::Store, format_args!("{text}")),
            Severity::Warning => log.warning(Category::Store, format_args!("{text}")),
            Severity::Notice => log.notice(Category::Store, format_args!("{text}")),
        })
    }

    /// For tests and tools that do not care.
    pub fn discard() -> StoreLog {
        StoreLog::new(|_, _| {})
    }

    pub fn write(&self, severity: Severity, text: &str) {
        (self.0)(severity, text);
    }
}

//! Listeners, event loop, worker threads, worker processes, drain and reload. It has never heard of a protocol.

mod settings;

pub use settings::{AcceptDelay, Listener, Service, Settings, TlsMode};

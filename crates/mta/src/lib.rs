//! What becomes of a message once it is in the queue: accounts, routing, delivery, reports.
//!
//! Each stage has its own pool of worker threads, as many as its `minruncount` says (S11, S24), and its file in
//! [`stages`]. A message goes through them as one piece of [`work::Work`]; what happened is recorded in its envelope, so that
//! after a crash it goes on where it was, and a step that is done again does no harm.
//!
//! The parts of a message, local mailboxes here, one host there, are on their way at the same time ([`flight`]). What
//! another host does not take now goes to the deferred queue and comes back by its domain ([`deferred`]).

pub mod ages;
pub mod apart;
pub mod autoreply;
pub mod commands;
pub mod deeds;
pub mod deferred;
pub mod direct;
pub mod flight;
pub mod flow;
pub mod group_rules;
pub mod local;
pub mod local_form;
pub mod local_settings;
pub mod mbox;
pub mod mta;
pub mod onward;
pub mod outbound;
pub mod pool;
pub mod quota;
pub mod reports;
pub mod settings;
pub mod signing;
pub mod sites;
pub mod stages;
pub mod timetable;
pub mod trusted;
pub mod ube;
pub mod ways;
pub mod work;

pub use mta::Mta;
pub use settings::Settings;

//! Sessions with other hosts, counted by day, by destination and by how TLS went, and the report about them that RFC 8460
//! defines.
//!
//! Counting is [`Tally::note`]: no disk, no waiting. Some seconds later the day's file is written anew, and once more at
//! the end; a crash costs these seconds of counts and nothing else. What strangers can make grow has limits.
//!
//! It has never heard of SMTP: what a session was, and what failed, it is told in the words of the standard.

mod day;
mod report;
mod tally;

pub use day::{Day, Failed, PolicyType};
pub use report::{About, report};
pub use tally::{Noted, Tally};

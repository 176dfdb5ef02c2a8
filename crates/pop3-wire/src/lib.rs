//! The words of POP3: command lines in, answers out (RFC 1939, 2449, 5034). Knows no connection and no maildrop.

pub mod answer;
pub mod command;
pub mod stuffing;

pub use command::{Command, LINE_BYTES_MAX, SyntaxError, parse};

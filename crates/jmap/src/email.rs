//! Emails: reading what they consist of, finding them, making them.

pub mod addresses;
pub mod arrival;
pub mod attachments;
pub mod bodies;
pub mod body_part;
pub mod content;
pub mod creation;
pub mod filter;
pub mod header_writer;
pub mod headers;
pub mod keywords;
pub mod looking;
pub mod message;
pub mod parts;
pub mod properties;
pub mod sort;
pub mod writer;

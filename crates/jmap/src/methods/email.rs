//! The methods of RFC 8621 §4.

pub mod get;
pub mod query;

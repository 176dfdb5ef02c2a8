//! The methods of RFC 8621 §2.

pub mod get;

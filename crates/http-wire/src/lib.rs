//! HTTP/1.1 as text (RFC 9110, RFC 9112): what a client sends becomes typed requests, what we answer becomes bytes, and what
//! others answer us is read.
//!
//! Never heard of a connection, a file or a user. What two programs could read in two ways is refused, so that nothing can
//! be smuggled past a proxy: a request is understood in one way or not at all.

pub mod answer;
pub mod bad;
pub mod chunked;
pub mod cookie;
pub mod date;
pub mod disposition;
pub mod forwarded;
pub mod head;
pub mod negotiate;
pub mod range;
pub mod reader;
pub mod response;
pub mod status;
pub mod target;

pub use bad::Bad;
pub use head::{Framing, Head, Method};
pub use reader::{Reader, Step};

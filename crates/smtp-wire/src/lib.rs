//! The words of SMTP: commands, addresses, replies and the form of content on the wire.
//!
//! Bytes in, values out. Knows no connection, no file and no configuration; limits are arguments (RFC 5321).

pub mod address;
pub mod command;
pub mod content;
pub mod parameters;
pub mod reply;
pub mod xclient;
pub mod xtext;

pub use address::Address;
pub use command::{Command, Held, Node, parse};
pub use content::{Decoder, Ending, Faults, stuff};
pub use parameters::{Body, Hold, MailParameters, Notify, RcptParameters, Ret};
pub use reply::Reply;

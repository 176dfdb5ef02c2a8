//! Plug-ins of the site (S186 to S192): which there are, and the conversation with the process that runs them.
//!
//! A plug-in is code of others, so none runs in a process of ours that has mail in its hands: `pluginhost` loads them, and is
//! asked over a Unix socket ([`wire`]), with a time limit. One that hangs, crashes or talks nonsense costs an error
//! that the client tries again after, and nothing else. Without `config/plugins.cfg` nothing of this exists.
//!
//! * [`file`] holds `config/plugins.cfg`.
//! * [`wire`] holds the frames.
//! * [`host`] holds connections to the process, and the two things that it is asked.
//! * [`lines`] holds the threads that command lines wait in while plug-ins look at them.

pub mod file;
pub mod host;
pub mod lines;
pub mod wire;

pub use file::{Line, Plugins, Stage};
pub use host::{Host, Message, Rewritten};

//! Listeners, event loop, worker threads, worker processes, drain and reload. It has never heard of a protocol.
//!
//! A daemon calls [`supervise`] and, if it is told to, [`serve`].

mod crowd;
pub mod daemon;
mod pool;
pub mod privileges;
mod refreshed;
mod serve;
mod settings;
mod shared;
mod slot;
mod sockets;
mod supervise;
pub mod try_out;
mod wheel;

pub use crowd::CrowdLimits;
pub use refreshed::Refreshed;
pub use serve::{Running, serve, start};
pub use settings::{AcceptDelay, Listener, LocalListener, Service, Settings, TlsMode};
pub use supervise::{Listeners, Role, StartError, supervise};

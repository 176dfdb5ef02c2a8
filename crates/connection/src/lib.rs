//! One accepted socket: TLS, bounded lines and literals, output queue, telemetry tap.
//!
//! A connection has never heard of a verb. It turns bytes into [`Event`]s, hands them to a [`Session`] and
//! does what the returned [`Next`] says. All socket I/O is here; a session only appends to [`Io::output`].

mod channel_binding;
mod client_certificate;
pub mod compression;
pub mod driver;
mod input;
pub mod output;
pub mod proxy;
pub mod session;
pub mod telemetry;
mod tls;
mod transport;

pub use channel_binding::ChannelBindings;
pub use client_certificate::ClientCertificate;
pub use driver::{Access, Accessed, Admission, Admit, Connection, Environment, Outcome, Scratch};
pub use output::Output;
pub use session::{CloseReason, Event, Io, Next, Session, TimeoutKind, TlsState, WakeTarget, Waker};
pub use telemetry::Telemetry;
pub use tls::{Certificates, Tls, TlsError};

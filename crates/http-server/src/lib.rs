//! HTTP sessions: the web mail, JMAP, and what belongs to both (RFC 9110, RFC 9112).
//!
//! `router.rs` is the table of all addresses; each has its function in `routes/` or a module of its own. A function is given
//! a whole [`Request`] and gives a [`Response`]; it knows no connection.

mod archive;
pub mod aside;
pub mod assets;
pub mod attachment;
pub mod client;
pub mod daemon;
pub mod frame;
pub mod image_proxy;
pub mod load;
pub mod msc;
pub mod proxy_sign_in;
pub mod raster;
pub mod refusals;
mod request;
pub mod response;
pub mod router;
pub mod routes;
pub mod session;
pub mod settings;
mod sign_in;
pub mod tickets;
pub mod visitor;
pub mod web_sessions;

pub use request::Request;
pub use response::{Body, Policy, Response};
pub use session::{Desk, HttpService};
pub use settings::Settings;
pub use visitor::Visitor;

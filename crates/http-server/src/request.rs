//! A request as the functions of `routes/` see it: whole, and from somebody who may ask.

use std::sync::Arc;

use http_wire::Head;

use crate::client::Client;
use crate::{Settings, Visitor};

/// See the module.
pub struct Request {
    pub head: Head,
    /// What stands in the place of each `{...}` of the route, decoded.
    pub parameters: Vec<String>,
    pub body: Vec<u8>,
    pub client: Client,
    /// Who has signed in; always there on routes for [`crate::router::Access::Visitor`].
    pub visitor: Option<Arc<Visitor>>,
    pub settings: Arc<Settings>,
    /// Of the connection, for logs.
    pub number: u64,
}

impl Request {
    /// The `n`th parameter of the path; empty when the route has fewer.
    pub fn parameter(&self, n: usize) -> &str {
        self.parameters.get(n).map_or("", String::as_str)
    }

    /// A value of the query.
    pub fn query(&self, name: &str) -> Option<String> {
        self.head.target.value(name)
    }
}

//! Why one object of a /set, /copy or /import is refused (RFC 8620 §5.3).

use message_store::StoreError;
use serde_json::{Value, json};

/// A SetError.
#[derive(Clone, Debug, PartialEq)]
pub struct SetError(pub Value);

impl SetError {
    pub fn new(kind: &str, description: &str) -> SetError {
        SetError(json!({ "type": kind, "description": description }))
    }

    /// `invalidProperties`, which says which.
    pub fn properties(properties: &[&str], description: &str) -> SetError {
        SetError(json!({ "type": "invalidProperties", "properties": properties, "description": description }))
    }

    pub fn not_found() -> SetError {
        SetError(json!({ "type": "notFound" }))
    }

    pub fn forbidden(description: &str) -> SetError {
        SetError::new("forbidden", description)
    }

    pub fn with(mut self, name: &str, value: Value) -> SetError {
        self.0[name] = value;
        self
    }
}

impl From<StoreError> for SetError {
    fn from(error: StoreError) -> SetError {
        match error {
            StoreError::OverQuota => SetError::new("overQuota", "It does not fit into the quota"),
            StoreError::NotFound => SetError::not_found(),
            StoreError::TooBig(what) => SetError::new("tooLarge", what),
            StoreError::AlreadyExists => SetError::properties(&["name"], "There is one of this name"),
            StoreError::CannotCreate(why) => SetError::properties(&["name"], why),
            StoreError::InUse | StoreError::NotReady(_) => {
                SetError::new("rateLimit", "The mailbox is in use; try again")
            }
            StoreError::NoSpace => SetError::new("overQuota", "No space is left on the server"),
            StoreError::Damaged(_) | StoreError::Fenced | StoreError::Io(_) => {
                SetError::new("serverFail", "The store cannot do it; see the log")
            }
        }
    }
}

impl From<std::io::Error> for SetError {
    fn from(error: std::io::Error) -> SetError {
        StoreError::from(error).into()
    }
}

//! Why a method call is refused (RFC 8620 §3.6.2).

use message_store::StoreError;
use serde_json::{Map, Value, json};

/// A method-level error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodError {
    pub kind: &'static str,
    pub description: String,
    /// For the log, and for nobody else: what of the server's did not work.
    pub cause: Option<String>,
}

pub type Result<T> = std::result::Result<T, MethodError>;

impl MethodError {
    pub fn new(kind: &'static str, description: impl Into<String>) -> MethodError {
        MethodError { kind, description: description.into(), cause: None }
    }

    pub fn invalid_arguments(description: impl Into<String>) -> MethodError {
        MethodError::new("invalidArguments", description)
    }

    pub fn to_json(&self) -> Map<String, Value> {
        let mut map = Map::new();
        map.insert("type".into(), json!(self.kind));
        if !self.description.is_empty() {
            map.insert("description".into(), json!(self.description));
        }
        map
    }
}

/// What the store says is nobody's fault who asks: nothing of a system's message is told to a client.
impl From<StoreError> for MethodError {
    fn from(error: StoreError) -> MethodError {
        let (kind, description) = match &error {
            StoreError::InUse | StoreError::NotReady(_) => {
                ("serverUnavailable", "The mailbox is in use; try again")
            }
            StoreError::NotFound => ("serverPartialFail", "Something went away meanwhile; synchronise again"),
            StoreError::NoSpace => ("serverUnavailable", "No space is left on the server"),
            StoreError::OverQuota => ("serverFail", "It does not fit into the quota"),
            StoreError::TooBig(what) => ("serverFail", *what),
            StoreError::AlreadyExists
            | StoreError::CannotCreate(_)
            | StoreError::Damaged(_)
            | StoreError::Fenced
            | StoreError::Io(_) => ("serverFail", "The store cannot do it; see the log"),
        };
        MethodError { kind, description: description.to_owned(), cause: Some(error.to_string()) }
    }
}

impl From<std::io::Error> for MethodError {
    fn from(error: std::io::Error) -> MethodError {
        if error.kind() == std::io::ErrorKind::TimedOut {
            return MethodError::new(
                "serverUnavailable",
                "Another request of this account is at work; try again",
            );
        }
        StoreError::from(error).into()
    }
}

impl std::fmt::Display for MethodError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.kind, self.description)
    }
}

//! How far a session has come (RFC 1939 §3). A state owns what exists only while it lasts.

use directory::Authentication;

use crate::maildrop::Maildrop;

pub enum State {
    /// USER may have been said.
    Authorization {
        user: Option<String>,
    },
    /// AUTH waits for the client's response.
    Authenticating {
        authentication: Box<Authentication>,
    },
    /// A password is being checked; nothing is read meanwhile.
    Checking {
        authentication: Box<Authentication>,
    },
    Transaction {
        uid: String,
        maildrop: Box<Maildrop>,
    },
    Closing,
}

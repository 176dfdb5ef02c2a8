//! How far a session has come (RFC 1939 §3). A state owns what exists only while it lasts.

use directory::Pending;
use sasl::Exchange;

use crate::maildrop::Maildrop;

pub enum State {
    /// USER may have been said.
    Authorization {
        user: Option<String>,
    },
    /// AUTH waits for the client's response.
    Authenticating {
        exchange: Exchange,
    },
    /// A password is being checked; nothing is read meanwhile.
    Checking {
        user: String,
        pending: Pending,
    },
    Transaction {
        uid: String,
        maildrop: Box<Maildrop>,
    },
    Closing,
}

//! How far a session has come (RFC 3501 §3). A state owns what exists only while it lasts: without a user there are
//! no mailbox names, without a selected mailbox there are no messages.

use std::sync::Arc;

use message_store::Watch;

use crate::announcement::Announcement;
use crate::names::Who;
use crate::view::View;

/// The states of RFC 3501 §3. The fourth, logout, has no value: the connection is closing.
pub enum State {
    NotAuthenticated {
        /// Wrong passwords on this connection.
        failures: u32,
    },
    Authenticated(Arc<User>),
    Selected {
        user: Arc<User>,
        view: Box<View>,
    },
}

/// Who is logged in.
#[derive(Debug, PartialEq, Eq)]
pub struct User {
    pub uid: String,
    pub is_admin: bool,
    /// The administrator who became this user with PROXYAUTH.
    pub proxied_by: Option<String>,
}

impl User {
    pub fn who(&self) -> Who<'_> {
        Who { uid: &self.uid, is_admin: self.is_admin }
    }
}

impl State {
    /// The user, once there is one.
    pub fn user(&self) -> Option<&Arc<User>> {
        match self {
            State::NotAuthenticated { .. } => None,
            State::Authenticated(user) | State::Selected { user, .. } => Some(user),
        }
    }

    /// The selected mailbox, if one is.
    pub fn view(&mut self) -> Option<&mut View> {
        match self {
            State::Selected { view, .. } => Some(view),
            _ => None,
        }
    }

    /// No mailbox is selected any more.
    pub fn unselect(&mut self) {
        if let State::Selected { user, .. } = self {
            *self = State::Authenticated(user.clone());
        }
    }
}

/// An IDLE under way.
pub struct Idling {
    pub tag: Box<[u8]>,
    /// What is not told yet.
    pub news: Option<Announcement>,
    /// Wakes the session when the mailbox changes; nothing is watched when none is selected.
    pub _watch: Option<Watch>,
}

//! How far a session has come (RFC 3501 §3). A state owns what exists only while it lasts: without a user there are
//! no mailbox names, without a selected mailbox there are no messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use imap_wire::Naming;
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
#[derive(Debug)]
pub struct User {
    pub uid: String,
    pub is_admin: bool,
    /// The administrator who became this user with PROXYAUTH.
    pub proxied_by: Option<String>,
    /// Whether the credential of this log-in opens the same mail by JMAP, and nothing more than that is seen here (RFC 9698 §3).
    pub has_jmap: bool,
    /// Nobody in particular, who needed no password: reads, and changes nothing.
    pub is_anybody: bool,
    pub enabled: Enabled,
}

/// Extensions that change what is told, from when the client asked for them (RFC 5161, RFC 7162 §3.1, §3.2.3). User and
/// view of one session share it; it outlives both.
#[derive(Clone, Debug, Default)]
pub struct Enabled(Arc<AtomicU8>);

impl Enabled {
    const CONDSTORE: u8 = 1;
    const QRESYNC: u8 = 2;
    const WARNED: u8 = 4;
    const UTF8_ACCEPT: u8 = 8;
    const REV2: u8 = 16;
    const UID_ONLY: u8 = 32;

    /// Whether changes of flags are told with their modification sequences.
    pub fn condstore(&self) -> bool {
        self.0.load(Ordering::Relaxed) & Self::CONDSTORE != 0
    }

    /// Whether expunges are told as VANISHED.
    pub fn qresync(&self) -> bool {
        self.0.load(Ordering::Relaxed) & Self::QRESYNC != 0
    }

    /// What mailbox names are written in.
    pub fn naming(&self) -> Naming {
        if self.utf8_accept() || self.rev2() { Naming::Utf8 } else { Naming::ModifiedUtf7 }
    }

    /// Whether UTF8=ACCEPT was enabled (RFC 9755 §3).
    pub fn utf8_accept(&self) -> bool {
        self.0.load(Ordering::Relaxed) & Self::UTF8_ACCEPT != 0
    }

    /// Whether the client speaks IMAP4rev2 (RFC 9051 Appendix A).
    pub fn rev2(&self) -> bool {
        self.0.load(Ordering::Relaxed) & Self::REV2 != 0
    }

    /// Whether messages have UIDs only, and no numbers (RFC 9586).
    pub fn uid_only(&self) -> bool {
        self.0.load(Ordering::Relaxed) & Self::UID_ONLY != 0
    }

    pub fn enable_uid_only(&self) {
        self.0.fetch_or(Self::UID_ONLY, Ordering::Relaxed);
    }

    pub fn enable_rev2(&self) {
        self.0.fetch_or(Self::REV2, Ordering::Relaxed);
    }

    pub fn enable_utf8_accept(&self) {
        self.0.fetch_or(Self::UTF8_ACCEPT, Ordering::Relaxed);
    }

    /// Whether the user was told in this session that the quota is nearly used up.
    pub fn is_warned(&self) -> bool {
        self.0.load(Ordering::Relaxed) & Self::WARNED != 0
    }

    pub fn set_warned(&self) {
        self.0.fetch_or(Self::WARNED, Ordering::Relaxed);
    }

    /// Turns CONDSTORE on; whether it was off.
    pub fn enable_condstore(&self) -> bool {
        self.0.fetch_or(Self::CONDSTORE, Ordering::Relaxed) & Self::CONDSTORE == 0
    }

    /// Turns QRESYNC on, and CONDSTORE with it (RFC 7162 §3.2.3); whether CONDSTORE was off.
    pub fn enable_qresync(&self) -> bool {
        self.0.fetch_or(Self::QRESYNC, Ordering::Relaxed);
        self.enable_condstore()
    }
}

impl User {
    pub fn who(&self) -> Who<'_> {
        Who {
            uid: &self.uid,
            is_admin: self.is_admin,
            is_anybody: self.is_anybody,
            naming: self.enabled.naming(),
        }
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

    /// What mailbox names are written in.
    pub fn naming(&self) -> Naming {
        self.user().map_or(Naming::default(), |user| user.enabled.naming())
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
    /// The same for what the user has seen, of who has that apart.
    pub _watch_seen: Option<Watch>,
}

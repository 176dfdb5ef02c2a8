//! What all sessions of an imapd process share, and the dispatcher's way in.

use std::sync::{Arc, PoisonError, RwLock};

use connection::Io;
use directory::{LogIns, Memberships};
use dispatcher::Service;
use message_store::Store;
use server_log::Log;

use crate::session::Session;
use crate::settings::Settings;

/// Reads the settings anew; nothing when that is not possible, which is in the log then.
pub type Reload = Box<dyn Fn() -> Option<Settings> + Send + Sync>;

/// Shared by all sessions.
pub struct Server {
    pub store: Store,
    pub log_ins: LogIns,
    pub clients: dns::Clients,
    pub log: Log,
    /// Who is in which group.
    pub memberships: Memberships,
    settings: RwLock<Arc<Settings>>,
    reload: Reload,
}

impl Server {
    pub fn new(
        settings: Settings,
        store: Store,
        log_ins: LogIns,
        clients: dns::Clients,
        log: Log,
        reload: Reload,
    ) -> Server {
        let memberships = Memberships::default();
        Server {
            store,
            log_ins,
            clients,
            log,
            memberships,
            settings: RwLock::new(Arc::new(settings)),
            reload,
        }
    }

    /// The settings of this moment.
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The service as the dispatcher knows it.
pub struct ImapService(pub Arc<Server>);

impl Service for ImapService {
    fn open_session(&self, _io: &Io) -> Box<dyn connection::Session> {
        Box::new(Session::new(self.0.clone()))
    }

    fn reload(&self) {
        if let Some(settings) = (self.0.reload)() {
            *self.0.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
        }
    }

    fn stop(&self) {
        self.0.store.close_journal();
    }
}

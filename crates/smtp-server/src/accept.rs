//! The service: what all sessions share.

use std::sync::{Arc, PoisonError, RwLock};

use connection::{Io, Session as ConnectionSession};
use directory::{Entry, LogIns};
use dispatcher::Service;
use mail_queue::Queue;
use server_log::Log;

use crate::Settings;
use crate::commands::etrn::{Flush, Turns};
use crate::commands::held::{Accepted, UnderWayList};
use crate::inspection::InspectionLine;
use crate::lmtp::Deliver;
use crate::rates::Rates;
use crate::session::Session;

/// Gives new settings after SIGHUP, or nothing when they are broken.
pub type Reread = Box<dyn Fn() -> Option<Settings> + Send + Sync>;

/// Whether mail of this size for this account would be taken by its mailbox.
pub type HasRoom = Box<dyn Fn(&Entry, u64) -> bool + Send + Sync>;

/// What every session has access to.
pub struct Desk {
    pub queue: Queue,
    pub log_ins: LogIns,
    pub clients: dns::Clients,
    /// Mail that ETRN asks for.
    pub turns: Turns,
    pub inspection: InspectionLine,
    pub has_room: HasRoom,
    pub rates: Rates,
    /// Into mailboxes, for LMTP.
    pub deliver: Deliver,
    /// What becomes of messages that were accepted, for who submits for users of this host.
    pub accepted: Box<dyn Accepted>,
    /// What they are giving just now.
    pub under_way: UnderWayList,
    pub log: Log,
}

/// The accept module.
pub struct Accept {
    desk: Arc<Desk>,
    settings: RwLock<Arc<Settings>>,
    reread: Reread,
}

impl Accept {
    /// `flush` tries what waits for a domain; `deliver` puts a message into mailboxes at once; `accepted` knows what becomes of mail.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        settings: Settings,
        queue: Queue,
        log_ins: LogIns,
        clients: dns::Clients,
        flush: Flush,
        has_room: HasRoom,
        deliver: Deliver,
        accepted: Box<dyn Accepted>,
        log: Log,
        reread: Reread,
    ) -> Accept {
        let inspection = InspectionLine::new(log.clone());
        let turns = Turns::new(flush);
        let rates = Rates::default();
        let desk = Arc::new(Desk {
            queue,
            log_ins,
            clients,
            turns,
            inspection,
            has_room,
            rates,
            deliver,
            accepted,
            under_way: UnderWayList::default(),
            log,
        });
        Accept { desk, settings: RwLock::new(Arc::new(settings)), reread }
    }
}

impl Service for Accept {
    fn open_session(&self, io: &Io) -> Box<dyn ConnectionSession> {
        let settings = self.settings.read().unwrap_or_else(PoisonError::into_inner).clone();
        Box::new(Session::new(settings, self.desk.clone(), io.peer.ip()))
    }

    fn reload(&self) {
        if let Some(settings) = (self.reread)() {
            *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
            self.desk.log_ins.authenticator().flush(None);
        }
    }
}

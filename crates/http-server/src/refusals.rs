//! Sign-ins with a wrong password, noted for the owner of the account: whose account it is the directory says, which may take
//! its time, so a thread of its own asks it and no worker waits. What comes faster than that is not noted; the log has it.

use std::net::IpAddr;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};

use directory::{Directory, Found};
use server_log::{Category, Log};

use crate::web_sessions::WebSessions;

/// What may wait.
const LINE_MAX: usize = 100;

struct Refusal {
    login: String,
    peer: IpAddr,
    agent: String,
}

/// See the module.
pub struct Refusals {
    directory: Arc<dyn Directory>,
    sessions: WebSessions,
    log: Log,
    /// The thread is started by the first refusal.
    line: OnceLock<SyncSender<Refusal>>,
}

impl Refusals {
    pub fn new(directory: Arc<dyn Directory>, sessions: WebSessions, log: Log) -> Refusals {
        Refusals { directory, sessions, log, line: OnceLock::new() }
    }

    /// Has a refusal noted.
    pub fn note(&self, login: &str, peer: IpAddr, agent: &str) {
        let refusal = Refusal { login: login.to_owned(), peer, agent: agent.to_owned() };
        let _ = self.line.get_or_init(|| self.start()).try_send(refusal); // full: see the module
    }

    fn start(&self) -> SyncSender<Refusal> {
        let (line, refusals) = sync_channel::<Refusal>(LINE_MAX);
        let (directory, sessions, log) = (self.directory.clone(), self.sessions.clone(), self.log.clone());
        let work = move || {
            for Refusal { login, peer, agent } in refusals {
                let Ok(Found::One(entry)) = directory::by_login(directory.as_ref(), &login) else { continue };
                let Some(uid) = &entry.uid else { continue };
                if let Err(why) = sessions.note_refusal(uid, peer, &agent) {
                    log.warning(Category::Account, format_args!("{uid}: {why}"));
                }
            }
        };
        if let Err(why) = std::thread::Builder::new().name("refusals".into()).spawn(work) {
            self.log.warning(Category::Account, format_args!("refused sign-ins are not noted: {why}"));
        }
        line
    }
}

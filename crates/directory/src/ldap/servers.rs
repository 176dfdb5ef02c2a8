//! The list of servers: which of them are up, and the return to the first one (S176).
//!
//! Whoever finds a server dead says so; the others stop using it at once. While any is down, one thread tries those that
//! are, so that no caller waits for a dead server, and calls back the better one when it answers. A change is one line of
//! the log. The states are a process's own.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use server_log::{Category, Log};

use super::connection::{Connector, Purpose};
use super::runtime::Failure;

/// Between two attempts to reach what is down: from the first, doubled, to the last.
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_LAST: Duration = Duration::from_secs(4);

/// The servers, in the order of preference.
pub struct Servers {
    pub connector: Connector,
    state: Mutex<State>,
    log: Log,
}

struct State {
    /// Why each one is down; none: it is up as far as is known.
    down: Vec<Option<String>>,
    /// Whether the thread that tries is there.
    trying: bool,
}

impl Servers {
    pub fn new(connector: Connector, log: Log) -> Servers {
        let down = vec![None; connector.settings.servers.len()];
        Servers { connector, state: Mutex::new(State { down, trying: false }), log }
    }

    /// The best one that is up.
    ///
    /// # Errors
    /// None is: why not, for each.
    pub fn best(&self) -> Result<usize, String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.down.iter().position(Option::is_none).ok_or_else(|| {
            let whys = state.down.iter().zip(&self.connector.settings.servers);
            let whys: Vec<String> =
                whys.map(|(why, server)| format!("{server}: {}", why.as_deref().unwrap_or(""))).collect();
            whys.join("; ")
        })
    }

    /// Takes a server out of use until it answers again.
    pub fn mark_down(self: &Arc<Servers>, place: usize, why: &Failure) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.down[place].is_some() {
            return;
        }
        state.down[place] = Some(why.to_string());
        let server = &self.connector.settings.servers[place];
        let instead = state.down.iter().position(Option::is_none);
        match instead.map(|next| &self.connector.settings.servers[next]) {
            Some(next) => self
                .log
                .error(Category::Ldap, format_args!("LDAP server {server}: {why}; {next} is used instead")),
            None => self.log.error(
                Category::Ldap,
                format_args!("LDAP server {server}: {why}; no server is left, look-ups fail for now"),
            ),
        }
        if state.trying {
            return;
        }
        let weak = Arc::downgrade(self);
        let started = thread::Builder::new().name("ldap-retry".into()).spawn(move || retry(&weak));
        match started {
            Ok(_) => state.trying = true,
            // Without the thread nobody would call it back: better slow than never.
            Err(_) => state.down[place] = None,
        }
    }

    /// Tries what is down; whether anything still is.
    fn try_those_down(&self) -> bool {
        let down: Vec<usize> = {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            (0..state.down.len()).filter(|place| state.down[*place].is_some()).collect()
        };
        for place in down {
            let tried = self.connector.connect(place, Purpose::Searches);
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            match tried {
                Ok(_) => {
                    state.down[place] = None;
                    let server = &self.connector.settings.servers[place];
                    self.log.notice(Category::Ldap, format_args!("LDAP server {server} answers again"));
                }
                Err(why) => state.down[place] = Some(why.to_string()),
            }
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.trying = state.down.iter().any(Option::is_some);
        state.trying
    }
}

/// The thread: until all are up, or the directory is closed.
fn retry(servers: &Weak<Servers>) {
    let mut wait = RETRY_FIRST;
    loop {
        thread::sleep(wait);
        match servers.upgrade() {
            Some(servers) if servers.try_those_down() => wait = (wait * 2).min(RETRY_LAST),
            _ => return,
        }
    }
}

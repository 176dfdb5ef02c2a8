//! The life of one POP3 connection: greeting, (line, command, answer)*, farewell.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base::access::Verdict;
use connection::{Event, Io, Next, Session as ConnectionSession, TimeoutKind};
use directory::LogIns;
use dispatcher::Service;
use message_store::Store;
use pop3_wire::{LINE_BYTES_MAX, answer};
use server_log::{Category, Log};

use crate::commands::{self, Listing, Sending};
use crate::settings::{Settings, service_of};
use crate::state::State;

/// Lines that are no command before the connection is closed.
const BAD_COMMANDS_MAX: u32 = 25;

/// Gives new settings after SIGHUP, or nothing when they are broken.
pub type Reread = Box<dyn Fn() -> Option<Settings> + Send + Sync>;

/// What all sessions share.
pub struct Desk {
    pub store: Store,
    pub log_ins: LogIns,
    pub clients: dns::Clients,
    pub log: Log,
}

/// The service for the dispatcher.
pub struct PopService {
    desk: Arc<Desk>,
    settings: RwLock<Arc<Settings>>,
    reread: Reread,
}

impl PopService {
    pub fn new(desk: Desk, settings: Settings, reread: Reread) -> PopService {
        PopService { desk: Arc::new(desk), settings: RwLock::new(Arc::new(settings)), reread }
    }
}

impl Service for PopService {
    fn open_session(&self, _io: &Io) -> Box<dyn ConnectionSession> {
        let settings = self.settings.read().unwrap_or_else(PoisonError::into_inner).clone();
        Box::new(Session::new(settings, self.desk.clone()))
    }

    fn reload(&self) {
        if let Some(settings) = (self.reread)() {
            *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
            self.desk.log_ins.authenticator().flush(None);
        }
    }

    fn stop(&self) {
        self.desk.store.close_journal();
    }
}

/// An answer that is longer than the output queue, and where it is.
pub enum More {
    Listing(Listing),
    Message(Box<Sending>),
}

/// One session.
pub struct Session {
    pub(crate) settings: Arc<Settings>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) state: State,
    pub(crate) more: Option<More>,
    pub(crate) failed_log_ins: u32,
    /// UTF8 was said (RFC 6856 §2.1).
    pub(crate) utf8: bool,
    bad_commands: u32,
    /// Said when the pause is over, and whether the session ends then.
    held: Option<(&'static str, bool)>,
}

/// What a command comes to.
pub enum Outcome {
    /// The answer is queued; the next line.
    Done,
    /// More of the answer follows when there is room.
    More,
    Last,
    StartTls,
    /// `-ERR text` after a while, during which no thread is held.
    Later {
        text: &'static str,
        after: Duration,
        last: bool,
    },
    /// It goes on when its waker is used; for so long at most.
    Wait(Duration),
}

impl Session {
    pub fn new(settings: Arc<Settings>, desk: Arc<Desk>) -> Session {
        Session {
            settings,
            desk,
            state: State::Authorization { user: None },
            more: None,
            failed_log_ins: 0,
            utf8: false,
            bad_commands: 0,
            held: None,
        }
    }

    fn next(&mut self, outcome: Outcome, io: &mut Io) -> Next {
        match outcome {
            Outcome::Done => {
                let in_auth = matches!(self.state, State::Authenticating { .. });
                io.mask_input = !matches!(self.state, State::Transaction { .. });
                io.line_limit = if in_auth { sasl::LINE_BYTES_MAX } else { LINE_BYTES_MAX };
                io.idle_timeout = self.settings.idle_timeout;
                Next::Line
            }
            Outcome::More => Next::Resume,
            Outcome::Last => {
                self.state = State::Closing;
                Next::Close
            }
            Outcome::StartTls => Next::StartTls,
            Outcome::Wait(most) => Next::Pause(most),
            Outcome::Later { text, after, last } => {
                self.held = Some((text, last));
                Next::Pause(after)
            }
        }
    }

    fn greet(&mut self, io: &mut Io) -> Next {
        let service = service_of(io.role);
        let refusal = match self.desk.clients.admits(&self.settings.clients, service, io.peer.ip()) {
            Verdict::Allowed => {
                io.output.push(&answer::ok(&self.settings.greeting()));
                return self.next(Outcome::Done, io);
            }
            Verdict::Refused => "No access from your address",
            Verdict::RefusedForNow => "[SYS/TEMP] The name of your address cannot be looked up now",
        };
        io.output.push(&answer::err(refusal));
        self.next(Outcome::Last, io)
    }

    fn line(&mut self, line: &[u8], io: &mut Io) -> Next {
        let outcome = if matches!(self.state, State::Authenticating { .. }) {
            commands::auth::respond(self, line, io)
        } else {
            match pop3_wire::parse(line) {
                Ok(command) => commands::run(self, command, io),
                Err(error) => return self.complain(error.0, io),
            }
        };
        self.next(outcome, io)
    }

    /// It ends an exchange of AUTH (RFC 5034 §4): what comes next is a command again.
    fn line_too_long(&mut self, io: &mut Io) -> Next {
        if matches!(self.state, State::Authenticating { .. }) {
            self.state = State::Authorization { user: None };
        }
        self.complain("The line is too long", io)
    }

    fn complain(&mut self, text: &str, io: &mut Io) -> Next {
        io.output.push(&answer::err(text));
        self.bad_commands = self.bad_commands.saturating_add(1);
        let outcome = if self.bad_commands >= BAD_COMMANDS_MAX { Outcome::Last } else { Outcome::Done };
        self.next(outcome, io)
    }

    fn timeout(&mut self, kind: TimeoutKind, io: &mut Io) -> Next {
        if kind == TimeoutKind::Pause && matches!(self.state, State::Checking { .. }) {
            let outcome = commands::user::give_up(self, io);
            return self.next(outcome, io);
        }
        if kind == TimeoutKind::Pause {
            let (text, last) = self.held.take().unwrap_or(("", false));
            io.output.push(&answer::err(text));
            return self.next(if last { Outcome::Last } else { Outcome::Done }, io);
        }
        // RFC 1939 §3: the connection is closed without removing any message.
        io.output.push(&answer::err("[SYS/TEMP] Idle for too long, nothing was deleted"));
        self.next(Outcome::Last, io)
    }

    /// The session is over without QUIT: nothing is deleted.
    fn log_end(&self, io: &Io, how: &str) {
        if let State::Transaction { uid, maildrop } = &self.state {
            self.desk.log.notice(
                Category::Account,
                format_args!(
                    "session {} end: user {uid} from {}, retrieved {}, deleted 0, in {}, out {}: {how}",
                    io.number,
                    io.peer.ip().to_canonical(),
                    maildrop.retrieved,
                    io.bytes_in,
                    io.bytes_out
                ),
            );
        }
    }
}

impl ConnectionSession for Session {
    fn on_event(&mut self, event: Event<'_>, io: &mut Io) -> Next {
        match event {
            Event::Opened => self.greet(io),
            Event::Line { line, .. } => self.line(line, io), // RFC 1939 asks for CR LF; a bare LF is harmless here
            Event::LineTooLong { .. } => self.line_too_long(io),
            Event::Drained => {
                let outcome = commands::go_on(self, io);
                self.next(outcome, io)
            }
            Event::TlsStarted => {
                self.state = State::Authorization { user: None }; // RFC 2595 §4
                self.next(Outcome::Done, io)
            }
            Event::Timeout(kind) => self.timeout(kind, io),
            Event::Draining => {
                io.output.push(&answer::err("[SYS/TEMP] The server is stopping, nothing was deleted"));
                self.log_end(io, "server is stopping");
                self.next(Outcome::Last, io)
            }
            Event::Closed(reason) => {
                self.log_end(io, &format!("{reason:?}"));
                Next::Close
            }
            Event::Woken => match commands::user::look(self, io) {
                Some(outcome) => self.next(outcome, io),
                None => Next::Same,
            },
            Event::Content { .. } | Event::Stream(_) | Event::Garbled => Next::Same, // never asked for
        }
    }
}

//! The life of one connection: greeting, (command, responses)*, farewell (RFC 3501 §2.2).
//!
//! Between two commands a session is a small value: no buffer, no descriptor, no thread. What it is in the middle of
//! is its [`Doing`].

mod ending;
mod notifying;
mod receiving;

use std::sync::Arc;
use std::time::{Duration, Instant};

use base::access::Verdict;
use connection::telemetry::MASKED;
use connection::{Event, Io, Next, TimeoutKind};
use directory::Progress as LogInProgress;

use crate::announcement::Announcement;
use crate::answer;
use crate::commands::append::Append;
use crate::commands::login::{HeldBack, LoggingIn};
use crate::commands::{self, Done, Outcome, Progress, Running};
use crate::gathering::{Budget, Gathering};
use crate::notify::Notified;
use crate::refusal::Refusal;
use crate::server::Server;
use crate::settings::service_of;
use crate::state::{Idling, State};

pub use notifying::Unasked;

/// Bad commands before log-in, and in a row after it, from which a client is sent away.
const BAD_COMMANDS_MAX: u32 = 20;
/// Time to log in.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(180);
/// Silence in the middle of a command before log-in.
const STRANGER_TIMEOUT: Duration = Duration::from_secs(60);

/// What a session is in the middle of.
pub enum Doing {
    /// It waits for a command.
    Nothing,
    /// A command whose literals are being received.
    Gathering(Box<Gathering>),
    /// The message of an APPEND is being received, then the end of its line.
    Appending(Box<Appending>),
    /// The client's next response.
    Authenticating(Box<LoggingIn>),
    /// A password is being checked.
    Checking(Box<LoggingIn>),
    /// A log-in is refused; the answer is held back.
    Refusing(Box<HeldBack>),
    Idling(Box<Idling>),
    /// A command goes on when the output queue has room.
    Running(Box<UnderWay>),
    /// A command is done; what is new is being told before its tagged response.
    Telling(Box<Telling>),
    /// What the client wants to be told unasked is being told.
    Notifying(Box<Unasked>),
}

/// An APPEND that receives its message.
pub struct Appending {
    tag: Box<[u8]>,
    append: Append,
    /// What stands behind the last text so far.
    behind: Vec<u8>,
    /// Arguments of the command that came as literals behind the first text.
    arguments: u32,
    /// Such a one is being received, not a text.
    is_argument: bool,
}

/// A command that goes on.
pub struct UnderWay {
    tag: Box<[u8]>,
    running: Running,
    /// When the client last heard of it, or sent it.
    heard: Instant,
}

/// A command that is done but for its last response.
pub struct Telling {
    tag: Box<[u8]>,
    done: Done,
    news: Announcement,
}

/// One IMAP session.
pub struct Session {
    server: Arc<Server>,
    state: State,
    doing: Doing,
    /// After NOTIFY.
    notified: Option<Box<Notified>>,
    bad_commands: u32,
    /// The server is stopping: say goodbye after the present command.
    closing: bool,
    /// The end was logged.
    ended: bool,
}

impl connection::Session for Session {
    fn on_event(&mut self, event: Event<'_>, io: &mut Io) -> Next {
        io.records_itself = false;
        io.mask_input = matches!(self.doing, Doing::Authenticating(_));
        if let (Doing::Gathering(gathering), Event::Line { .. } | Event::Content { .. }) =
            (&self.doing, &event)
        {
            hide_secrets(&gathering.bytes, io);
        }
        match event {
            Event::Opened => self.greet(io),
            Event::Line { line, .. } => self.line(line, io),
            Event::LineTooLong { start } => self.line_too_long(start, io),
            Event::Content { bytes, last } => self.content(bytes, last),
            Event::Stream(_) => Next::Line, // never asked for
            Event::Drained => self.go_on(io),
            Event::TlsStarted => {
                // RFC 3501 §6.2.1: what was said in clear is forgotten.
                self.state = State::NotAuthenticated { failures: 0 };
                Next::Line
            }
            Event::Garbled => self.bye("What was sent is no DEFLATE stream", "compressed data damaged", io),
            Event::Woken => self.woken(io),
            Event::Timeout(kind) => self.timeout(kind, io),
            Event::Draining => self.draining(io),
            Event::Closed(reason) => {
                self.log_end(ending::of(reason), io);
                Next::Close
            }
        }
    }
}

/// Of a command with credentials in it, a password or what authorizes a URL, telemetry shows the verb instead of the piece that has
/// just come. `bytes`: the command as far as it is there.
fn hide_secrets(bytes: &[u8], io: &mut Io) {
    const VERBS: [&str; 3] = ["LOGIN", "AUTHENTICATE", "URLFETCH"];
    let head = imap_wire::head(bytes).ok().filter(|head| VERBS.iter().any(|verb| head.is(verb)));
    if let Some(head) = head.filter(|_| !io.records_itself) {
        io.records_itself = true; // until the next piece
        io.record(&[head.tag, b" ", head.verb, b" ", MASKED, b"\r\n"].concat());
    }
}

impl Session {
    pub fn new(server: Arc<Server>) -> Session {
        Session {
            server,
            state: State::NotAuthenticated { failures: 0 },
            doing: Doing::Nothing,
            notified: None,
            bad_commands: 0,
            closing: false,
            ended: false,
        }
    }

    fn budget(&self) -> Budget {
        match self.state {
            State::NotAuthenticated { .. } => Budget::BEFORE_LOGIN,
            _ => Budget::AFTER_LOGIN,
        }
    }

    fn greet(&mut self, io: &mut Io) -> Next {
        let settings = self.server.settings();
        match self.server.clients.admits(&settings.clients, service_of(io.role), io.peer.ip()) {
            Verdict::Allowed => {}
            Verdict::Refused => return self.bye("No access from your address", "client refused", io),
            Verdict::RefusedForNow => {
                return self.bye("The name of your address cannot be looked up now", "client refused", io);
            }
        }
        limit_stranger(io);
        let capabilities = commands::capability::list(&self.state, &self.server, io);
        let greeting = format!("* OK [CAPABILITY {capabilities}] {}\r\n", settings.greeting());
        io.output.push(greeting.as_bytes());
        Next::Line
    }

    /// Runs one whole command.
    fn execute(&mut self, bytes: &[u8], io: &mut Io) -> Next {
        let head = match imap_wire::head(bytes) {
            Ok(head) => head,
            Err(error) => return self.finish(b"*", Err(error.into()), io),
        };
        hide_secrets(bytes, io);
        let was_authenticated = self.state.user().is_some();
        let outcome = match imap_wire::parse(bytes, &head, self.state.naming()) {
            Ok(command) => self.run(command, head.tag, io),
            Err(_) if imap_wire::command::append::is_meant(bytes) => {
                return self.append_whole(head.tag, bytes, io);
            }
            Err(error) => Err(error.into()),
        };
        if !was_authenticated && self.state.user().is_some() {
            self.welcome(io);
        }
        self.after(head.tag, outcome, io)
    }

    fn after(&mut self, tag: &[u8], outcome: Result<Outcome, Refusal>, io: &mut Io) -> Next {
        match outcome {
            Ok(Outcome::Done(done)) => self.finish(tag, Ok(done), io),
            Ok(Outcome::Running(running)) => {
                let (tag, running, heard) = (tag.into(), *running, Instant::now());
                self.doing = Doing::Running(Box::new(UnderWay { tag, running, heard }));
                self.go_on(io)
            }
            Ok(Outcome::Waiting(doing, next)) => {
                self.doing = doing;
                next
            }
            Ok(Outcome::LoggedOut) => {
                answer::tagged(&mut io.output, tag, "OK", "", "LOGOUT completed");
                self.log_end("logged out", io);
                Next::Close
            }
            Ok(Outcome::Unauthenticated) => {
                self.forget(io);
                let capabilities = commands::capability::list(&self.state, &self.server, io);
                let code = format!("CAPABILITY {capabilities}");
                answer::tagged(&mut io.output, tag, "OK", &code, "UNAUTHENTICATE completed");
                self.next_command(io)
            }
            Ok(Outcome::StartTls) => {
                answer::tagged(&mut io.output, tag, "OK", "", "Begin TLS negotiation now");
                Next::StartTls
            }
            Ok(Outcome::Compress(level)) => {
                answer::tagged(&mut io.output, tag, "OK", "", "DEFLATE active");
                Next::Compress(level)
            }
            Err(refusal) => self.finish(tag, Err(refusal), io),
        }
    }

    /// The limits of a user instead of those of a stranger.
    fn welcome(&mut self, io: &mut Io) {
        io.line_limit = Budget::AFTER_LOGIN.line_bytes_max;
        io.idle_timeout = self.server.settings().idle_timeout;
        io.deadline = None;
        io.mask_input = false;
        self.bad_commands = 0;
    }

    /// The user is forgotten, with the selected mailbox and what was enabled (RFC 8437 §2); TLS stays.
    fn forget(&mut self, io: &mut Io) {
        self.log_end("unauthenticated", io);
        self.ended = false;
        self.state = State::NotAuthenticated { failures: 0 };
        self.notified = None;
        io.forget_user();
        limit_stranger(io);
    }

    /// More of what is under way.
    fn go_on(&mut self, io: &mut Io) -> Next {
        match std::mem::replace(&mut self.doing, Doing::Nothing) {
            Doing::Running(mut under_way) => {
                io.mask_output |= matches!(under_way.running, Running::UrlFetch(_)); // it says the URLs again
                let result = under_way.running.step(&self.server, &mut self.state, &mut io.output);
                if matches!(result, Ok(Progress::More)) {
                    self.tell_progress(&mut under_way, io);
                    self.doing = Doing::Running(under_way);
                    return Next::Resume;
                }
                let UnderWay { tag, running, .. } = *under_way;
                let done = result.and_then(|_| match running {
                    Running::Notify(setting) => Ok(self.notified_by(setting)),
                    running => running.end(),
                });
                self.finish(&tag, done, io)
            }
            Doing::Telling(telling) => self.tell(*telling, io),
            Doing::Notifying(unasked) => self.tell_unasked(*unasked, io),
            Doing::Idling(mut idling) => {
                let next = commands::idle::tell(&mut idling, &mut self.state, io);
                self.doing = Doing::Idling(idling);
                next
            }
            other => {
                self.doing = other;
                Next::Line
            }
        }
    }

    /// A client that waits for long hears that its command is not forgotten (RFC 9585).
    fn tell_progress(&mut self, under_way: &mut UnderWay, io: &mut Io) {
        let now = Instant::now();
        let interval = self.server.settings().progress_interval;
        let is_due = interval.is_some_and(|interval| now.duration_since(under_way.heard) >= interval);
        if is_due && under_way.running.tell_progress(&under_way.tag, &mut self.state, &mut io.output) {
            under_way.heard = now;
        }
    }

    /// Ends a command: announces what is new, then writes the tagged response (`*` when there was no tag).
    fn finish(&mut self, tag: &[u8], result: Result<Done, Refusal>, io: &mut Io) -> Next {
        let news = match &result {
            Ok(done) => self.news_behind(done),
            Err(_) => Ok(None),
        };
        if self.state.view().is_some_and(|view| view.is_out_of_step()) {
            return self.leave_damaged_view(io);
        }
        match result {
            Ok(done) => match news {
                Ok(None) => self.ended_well(tag, &done, io),
                Ok(Some(news)) => self.tell(Telling { tag: tag.into(), done, news }, io),
                Err(error) => self.lost_mailbox(error.into(), tag, io),
            },
            Err(refusal) => {
                if let Refusal::Store(error) = &refusal {
                    self.log_store_trouble(error, io);
                }
                let (word, code, text) = refusal.response();
                answer::tagged(&mut io.output, tag, word, &code, &text);
                self.bad_commands = if refusal.is_bad() { self.bad_commands.saturating_add(1) } else { 0 };
                if self.bad_commands > BAD_COMMANDS_MAX {
                    return self.bye("Too many bad commands", "too many bad commands", io);
                }
                self.next_command(io)
            }
        }
    }

    fn tell(&mut self, mut telling: Telling, io: &mut Io) -> Next {
        if let Some(view) = self.state.view() {
            if telling.news.step(view, &mut io.output) == Progress::More {
                self.doing = Doing::Telling(Box::new(telling));
                return Next::Resume;
            }
        }
        self.ended_well(&telling.tag, &telling.done, io)
    }

    fn ended_well(&mut self, tag: &[u8], done: &Done, io: &mut Io) -> Next {
        if self.state.user().is_some() {
            self.bad_commands = 0;
        }
        let highest = match self.state.view() {
            Some(view) if done.tells_modseq && view.enabled().condstore() => Some(view.highest_told()),
            _ => None,
        };
        let mut code = match highest {
            Some(highest) => format!("HIGHESTMODSEQ {highest}"),
            None => done.code.clone(),
        };
        if let Some(cut) = done.cut {
            if code.is_empty() {
                code = cut.code();
            } else {
                let text = "Only the last of the messages were worked on";
                answer::tagged(&mut io.output, b"*", "NO", &cut.code(), text);
            }
        }
        answer::tagged(&mut io.output, tag, "OK", &code, done.text);
        self.next_command(io)
    }

    fn next_command(&mut self, io: &mut Io) -> Next {
        if self.closing {
            return self.bye("Server shutting down", "server stopped", io);
        }
        self.look_around(None, io)
    }

    /// The answer to a log-in is there.
    fn checked(&mut self, progress: LogInProgress, io: &mut Io) -> Next {
        let Doing::Checking(checking) = std::mem::replace(&mut self.doing, Doing::Nothing) else {
            return Next::Line;
        };
        let tag = checking.tag.clone();
        let outcome = checking.proceed(&self.server, &mut self.state, progress, io);
        if self.state.user().is_some() {
            self.welcome(io);
        }
        self.after(&tag, outcome, io)
    }

    /// A log-in is answered, or something happened to the mailbox that an idle client watches.
    fn woken(&mut self, io: &mut Io) -> Next {
        if let Doing::Checking(checking) = &mut self.doing {
            return match checking.look(&self.server, io) {
                Some(progress) => self.checked(progress, io),
                None => Next::Same,
            };
        }
        if self.notified.is_some() {
            return self.woken_by_notice(io);
        }
        let Doing::Idling(idling) = &mut self.doing else { return Next::Same };
        if idling.news.is_some() {
            return Next::Same; // there is more to come, and then another look
        }
        let refreshed = self.server.refresh(&mut self.state, &mut io.output);
        let Some(view) = self.state.view() else { return Next::Same };
        match refreshed.and_then(|()| commands::idle::look(view)) {
            Ok(news) => {
                idling.news = news;
                commands::idle::tell(idling, &mut self.state, io)
            }
            Err(refusal) => {
                let tag = idling.tag.clone();
                self.lost_mailbox(refusal, &tag, io)
            }
        }
    }

    fn timeout(&mut self, kind: TimeoutKind, io: &mut Io) -> Next {
        match kind {
            TimeoutKind::Pause => {
                if let Doing::Checking(checking) = &self.doing {
                    let verdict = checking.authentication.give_up();
                    return self.checked(LogInProgress::Done(verdict), io);
                }
                let Doing::Refusing(held) = std::mem::replace(&mut self.doing, Doing::Nothing) else {
                    return Next::Line;
                };
                let next = self.finish(&held.tag, Err(held.refusal), io);
                match self.state {
                    State::NotAuthenticated { failures } if failures >= commands::login::FAILURES_MAX => {
                        self.bye("Too many wrong passwords", "too many wrong passwords", io)
                    }
                    _ => next,
                }
            }
            TimeoutKind::Deadline if self.state.user().is_some() => Next::Same,
            TimeoutKind::Idle | TimeoutKind::Deadline => {
                self.bye("Autologout; idle for too long", "idle for too long", io)
            }
        }
    }

    fn draining(&mut self, io: &mut Io) -> Next {
        if matches!(self.doing, Doing::Running(_) | Doing::Telling(_) | Doing::Appending(_)) {
            self.closing = true;
            return Next::Same;
        }
        self.bye("Server shutting down", "server stopped", io)
    }
}

/// The limits of a connection on which nobody is logged in.
fn limit_stranger(io: &mut Io) {
    io.line_limit = Budget::BEFORE_LOGIN.line_bytes_max;
    io.idle_timeout = LOGIN_TIMEOUT;
    io.deadline = Instant::now().checked_add(LOGIN_TIMEOUT);
}

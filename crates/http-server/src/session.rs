//! The life of one HTTP connection: (head, admission, body, response)*, each whole before the next is read.
//!
//! ```text
//! Idle -> head -> LoggingIn (a password is checked, no thread waits) -> Receiving the body -> Working aside -> Sending -> Idle
//! ```
//! Whatever a request has is boxed and gone when it is answered: a connection that is kept alive costs its own size.

mod admission;
mod sending;

use std::io::Read;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use connection::{Event, Io, Next, Session as ConnectionSession, TimeoutKind};
use counters::Counter;
use directory::{Authentication, Choice, LogIns, Progress, Safety, SecondFactors, authentication};
use dispatcher::Service;
use http_wire::response::{LAST_CHUNK, Length, chunk};
use http_wire::{Bad, Reader, Step, response};
use jmap::Jmap;
use message_store::{LastAccess, Store};
use server_log::{Category, Log};

use crate::aside::{Aside, Pending};
use crate::image_proxy::ImageProxy;
use crate::load::{Counted, Load, Room};
use crate::refusals::Refusals;
use crate::router::{Route, Run, Sink};
use crate::routes::events::{self, Events, Stream, Streams};
use crate::sign_in::{self, Concluded};
use crate::tickets::Tickets;
use crate::visitor::Entries;
use crate::web_sessions::WebSessions;
use crate::{Request, Response, Settings, proxy_sign_in};

/// Silence after which a connection ends on which nobody has signed in.
const STRANGER_TIMEOUT: Duration = Duration::from_secs(60);
/// A head, and a body's next piece, come within this time.
const PIECE_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of a body that a second is given for, beyond [`PIECE_TIMEOUT`].
const BODY_BYTES_A_SECOND: u64 = 4096;
/// How long work for other hosts may take.
const ASIDE_MAX: Duration = Duration::from_secs(60);
/// Failed sign-ins of a connection before it is closed.
const FAILURES_MAX: u32 = 5;

/// Gives new settings after SIGHUP, or nothing when they are broken.
pub type Reread = Box<dyn Fn() -> Option<Settings> + Send + Sync>;

/// What all sessions share.
pub struct Desk {
    pub store: Store,
    pub log_ins: Arc<LogIns>,
    pub clients: dns::Clients,
    pub sessions: WebSessions,
    pub refusals: Refusals,
    pub tickets: Tickets,
    pub entries: Entries,
    pub aside: Aside,
    pub jmap: Jmap,
    /// Nothing: images of other hosts are not shown.
    pub images: Option<ImageProxy>,
    pub factors: SecondFactors,
    pub streams: Streams,
    /// What is answered to authorities that issue certificates.
    pub challenges: acme::Challenges,
    pub load: Arc<Load>,
    /// Nothing: it is not kept. Connections tell of whom they know; this is for sign-ins, after which others come.
    pub last_access: Option<LastAccess>,
    pub log: Log,
}

/// The service for the dispatcher.
pub struct HttpService {
    desk: Arc<Desk>,
    settings: RwLock<Arc<Settings>>,
    reread: Reread,
}

impl HttpService {
    pub fn new(desk: Desk, settings: Settings, reread: Reread) -> HttpService {
        HttpService { desk: Arc::new(desk), settings: RwLock::new(Arc::new(settings)), reread }
    }
}

impl Service for HttpService {
    fn open_session(&self, io: &Io) -> Box<dyn ConnectionSession> {
        let settings = self.settings.read().unwrap_or_else(PoisonError::into_inner).clone();
        Box::new(Session::new(settings, self.desk.clone(), io))
    }

    fn reload(&self) {
        if let Some(settings) = (self.reread)() {
            *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
            self.desk.log_ins.authenticator().flush(None);
            self.desk.entries.forget();
        }
    }

    fn stop(&self) {
        self.desk.store.close_journal();
    }
}

/// A request under way.
pub(crate) struct Exchange {
    pub route: &'static Route,
    pub request: Request,
    /// Of an upload.
    pub sink: Option<Box<dyn Sink>>,
    pub received: u64,
    /// Of a body in memory.
    pub room: Room,
    pub keep_alive: bool,
    pub expects_continue: bool,
}

/// What is sent of a body that is read as it is sent.
pub(crate) struct Sending {
    reader: Box<dyn Read + Send>,
    left: u64,
    keep_alive: bool,
    /// Not for telemetry.
    is_secret: bool,
}

/// How far the present request has come.
pub(crate) enum State {
    /// Between requests, or in a head.
    Idle,
    /// Name and password are being checked; nothing is read meanwhile.
    LoggingIn(Box<(Exchange, Authentication)>),
    /// The body comes in.
    Receiving(Box<Exchange>),
    /// A refusal is answered when its pause is over.
    Held(Box<(Exchange, Response)>),
    /// Others make the response.
    Waiting(Box<(Exchange, Pending)>),
    Sending(Box<Sending>),
    /// Push; it goes on until the client goes.
    Events(Box<Stream>),
    Closing,
}

/// One connection's session.
pub struct Session {
    pub(crate) settings: Arc<Settings>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) state: State,
    reader: Reader,
    /// Whose connection it is; `Io::peer` is the client's address while a proxy that is trusted says so.
    pub(crate) peer: std::net::SocketAddr,
    /// The last client that the rules let in.
    pub(crate) admitted: Option<std::net::IpAddr>,
    pub(crate) failures: u32,
    /// Somebody has signed in here.
    pub(crate) is_known: bool,
    draining: bool,
    _counted: Counted,
}

impl Session {
    pub fn new(settings: Arc<Settings>, desk: Arc<Desk>, io: &Io) -> Session {
        Session {
            _counted: desk.load.connection(),
            settings,
            desk,
            state: State::Idle,
            reader: Reader::default(),
            peer: io.peer,
            admitted: None,
            failures: 0,
            is_known: false,
            draining: false,
        }
    }

    /// The next request, or the end.
    pub(crate) fn idle(&mut self, keep_alive: bool, io: &mut Io) -> Next {
        io.deadline = None;
        if !keep_alive || self.draining {
            self.state = State::Closing;
            return Next::Close;
        }
        self.state = State::Idle;
        io.line_limit = self.reader.line_limit();
        io.idle_timeout = if self.is_known { self.settings.idle_timeout } else { STRANGER_TIMEOUT };
        Next::Line
    }

    fn line(&mut self, line: &[u8], bare_lf: bool, io: &mut Io) -> Next {
        if self.reader.is_idle() {
            io.deadline = Instant::now().checked_add(PIECE_TIMEOUT);
            io.idle_timeout = PIECE_TIMEOUT;
        }
        match self.reader.line(line, bare_lf) {
            Ok(step) => self.step(step, io),
            Err(bad) => self.bad(bad, io),
        }
    }

    /// Goes on reading as the reader says.
    pub(crate) fn step(&mut self, step: Step, io: &mut Io) -> Next {
        io.line_limit = self.reader.line_limit();
        match step {
            Step::Line => Next::Line,
            Step::Head(head) => {
                let raw = admission::recorded(self.reader.raw_head());
                io.deadline = None;
                self.admit(*head, raw, io)
            }
            Step::Content(count) => {
                let State::Receiving(exchange) = &self.state else { return Next::Close };
                if exchange.is_too_long(count, &self.settings) {
                    return self.bad(Bad::LongBody, io);
                }
                let seconds = PIECE_TIMEOUT.as_secs().saturating_add(count / BODY_BYTES_A_SECOND);
                io.deadline = Instant::now().checked_add(Duration::from_secs(seconds));
                Next::Content(count)
            }
            Step::End => self.run(io),
        }
    }

    /// Admitted: the body follows, if there is one.
    pub(crate) fn receive(&mut self, mut exchange: Box<Exchange>, io: &mut Io) -> Next {
        if let Run::Upload(begin) = exchange.route.run {
            match begin(&self.desk, &exchange.request) {
                Ok(sink) => exchange.sink = Some(sink),
                Err(refusal) => return self.answer_early(&exchange, refusal, io),
            }
        }
        if exchange.expects_continue {
            io.output.push(response::CONTINUE);
        }
        self.state = State::Receiving(exchange);
        let step = self.reader.body();
        self.step(step, io)
    }

    fn content(&mut self, bytes: &[u8], last: bool, io: &mut Io) -> Next {
        let State::Receiving(exchange) = &mut self.state else { return Next::Close };
        exchange.received = exchange.received.saturating_add(bytes.len() as u64);
        match &mut exchange.sink {
            None if exchange.room.take(bytes.len() as u64) => exchange.request.body.extend_from_slice(bytes),
            None => {
                let refusal = Response::plain_problem(503, "too much at the moment, try again later");
                return self.break_off(refusal.with("Retry-After", "5"), io);
            }
            Some(sink) => {
                if let Err(refusal) = sink.write(bytes) {
                    return self.break_off(refusal, io);
                }
            }
        }
        if !last {
            return Next::Same;
        }
        let step = self.reader.content_read();
        self.step(step, io)
    }

    /// The rest of the body is not wanted.
    fn break_off(&mut self, refusal: Response, io: &mut Io) -> Next {
        let State::Receiving(exchange) = std::mem::replace(&mut self.state, State::Idle) else {
            return Next::Close;
        };
        self.answer_early(&exchange, refusal, io)
    }

    /// The request is whole.
    fn run(&mut self, io: &mut Io) -> Next {
        counters::add(Counter::Commands, 1);
        io.deadline = None;
        let State::Receiving(mut exchange) = std::mem::replace(&mut self.state, State::Idle) else {
            return Next::Close;
        };
        io.record(&admission::recorded_body(&exchange));
        if let Some(refusal) = admission::refuse_body(&exchange) {
            return self.answer(&exchange, refusal, io);
        }
        match exchange.route.run {
            Run::Here(answer) => {
                let response = answer(&self.desk, &exchange.request);
                self.answer(&exchange, response, io)
            }
            Run::Upload(_) => {
                let response =
                    exchange.sink.take().map_or_else(|| Response::empty(500), |sink| sink.finish());
                self.answer(&exchange, response, io)
            }
            Run::Aside(answer) => self.run_aside(exchange, answer, io),
            Run::Events => self.open_events(&exchange, io),
            Run::SignIn => match sign_in::said(&exchange.request) {
                Some(said) => self.log_in(exchange, said, "WEB", io),
                None => {
                    let wrong = Response::problem(400, "syntax", "user and password are wanted");
                    self.answer(&exchange, wrong, io)
                }
            },
        }
    }

    fn run_aside(&mut self, exchange: Box<Exchange>, answer: crate::router::Answer, io: &mut Io) -> Next {
        let (desk, waker) = (self.desk.clone(), io.waker());
        let mut exchange = exchange;
        let request = exchange.take_request();
        let uid = request.visitor.as_ref().map_or_else(String::new, |visitor| visitor.uid.clone());
        let pending = self.desk.aside.ask(&uid, move || answer(&desk, &request), move || waker.wake());
        match pending {
            Some(pending) => {
                self.state = State::Waiting(Box::new((*exchange, pending)));
                Next::Pause(ASIDE_MAX)
            }
            None => {
                let busy = Response::plain_problem(503, "too much at the moment, try again later");
                self.answer(&exchange, busy.with("Retry-After", "5"), io)
            }
        }
    }

    /// Begins a body that does not end by itself. HTTP/1.0 has no chunks to tell its end by.
    fn open_events(&mut self, exchange: &Exchange, io: &mut Io) -> Next {
        if !exchange.request.head.is_1_1 {
            return self.answer(exchange, Response::plain_problem(505, "events need HTTP/1.1"), io);
        }
        match events::open(&self.desk, &exchange.request, io.waker()) {
            Err(refusal) => self.answer(exchange, refusal, io),
            Ok((stream, events)) => {
                let head = Response::empty(200)
                    .with("Content-Type", "text/event-stream; charset=utf-8")
                    .with("X-Accel-Buffering", "no"); // what some proxies need to hear
                let fields = head.all_fields(Some(exchange.request.client), &self.settings);
                let fields: Vec<(&str, &str)> =
                    fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
                io.output.push(&response::head(200, &fields, Length::Chunked, exchange.keep_alive));
                io.idle_timeout = stream.silence();
                self.state = State::Events(Box::new(stream));
                match self.say(events, io) {
                    Next::Same => Next::Stream, // whatever the client says now ends it
                    other => other,
                }
            }
        }
    }

    fn say(&mut self, events: Events, io: &mut Io) -> Next {
        io.output.push(&chunk(events.text.as_bytes()));
        if !events.last && !self.draining {
            return Next::Same;
        }
        io.output.push(LAST_CHUNK);
        self.idle(false, io)
    }

    /// Has a password checked; goes on when it is.
    pub(crate) fn log_in(
        &mut self,
        exchange: Box<Exchange>,
        said: sign_in::Said,
        method: &'static str,
        io: &mut Io,
    ) -> Next {
        io.forget_user(); // nobody is recorded as somebody else
        let (log_ins, service) = (&self.desk.log_ins, directory::Service::Http);
        let (authentication, progress) =
            Authentication::by_password(log_ins, service, method, said.login, said.password, io);
        self.proceed(exchange, authentication, progress, io)
    }

    /// The same with a token of an issuer (RFC 6750), as OAUTHBEARER has it, if that is offered.
    pub(crate) fn log_in_by_token(&mut self, exchange: Box<Exchange>, token: &str, io: &mut Io) -> Next {
        io.forget_user();
        let safety = authentication::safety(io, exchange.request.client.says_password);
        let safety = Safety { encrypted: safety.encrypted || exchange.request.client.is_secure, ..safety };
        let mechanism =
            match self.desk.log_ins.mechanisms().named(directory::Service::Http, "OAUTHBEARER", safety) {
                Choice::Offered(mechanism) => mechanism,
                _ => return self.answer_early(&exchange, sign_in::challenge(sign_in::wanted()), io),
            };
        let initial = sign_in::token_response(token);
        let (log_ins, service) = (&self.desk.log_ins, directory::Service::Http);
        let (authentication, progress) =
            Authentication::begin(log_ins, service, mechanism, Some(initial.as_bytes()), io);
        self.proceed(exchange, authentication, progress, io)
    }

    fn proceed(
        &mut self,
        exchange: Box<Exchange>,
        mut authentication: Authentication,
        progress: Progress,
        io: &mut Io,
    ) -> Next {
        // A token that is not good is told by a challenge, which wants an empty answer (RFC 7628 §3.2.3).
        let progress = match progress {
            Progress::Challenge(_) => authentication.respond(&self.desk.log_ins, b"AQ==", io),
            progress => progress,
        };
        let verdict = match progress {
            Progress::Wait => {
                self.state = State::LoggingIn(Box::new((*exchange, authentication)));
                return Next::Pause(directory::log_ins::ANSWER_MAX);
            }
            Progress::Done(verdict) => verdict,
            Progress::Challenge(_) | Progress::Cancelled | Progress::Syntax => authentication.give_up(),
        };
        let is_page = matches!(exchange.route.run, Run::SignIn);
        let concluded =
            sign_in::concluded(&self.desk, verdict, self.failures, is_page, &exchange.request, io);
        match concluded {
            Concluded::In(visitor) if is_page => {
                self.is_known = true;
                let response = sign_in::begin(&self.desk, visitor, &exchange.request);
                self.answer(&exchange, response, io)
            }
            Concluded::InFor(visitor, by) => {
                let response = proxy_sign_in::begin(&self.desk, visitor, &by, &exchange.request);
                self.answer(&exchange, response, io)
            }
            Concluded::In(visitor) => self.let_in(exchange, visitor, io),
            Concluded::Refused(response, pause) => {
                self.failures = self.failures.saturating_add(u32::from(!pause.is_zero()));
                if pause.is_zero() {
                    return self.refuse(&exchange, response, io);
                }
                self.state = State::Held(Box::new((*exchange, response)));
                Next::Pause(pause)
            }
        }
    }

    /// A refusal of a sign-in: of its own request the body is read, of others it is not.
    fn refuse(&mut self, exchange: &Exchange, response: Response, io: &mut Io) -> Next {
        if matches!(exchange.route.run, Run::SignIn) && self.failures < FAILURES_MAX {
            return self.answer(exchange, response, io);
        }
        self.answer_early(exchange, response, io)
    }

    fn woken(&mut self, io: &mut Io) -> Next {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::LoggingIn(mut both) => match both.1.look(&self.desk.log_ins, io) {
                Some(progress) => {
                    let (exchange, authentication) = *both;
                    self.proceed(Box::new(exchange), authentication, progress, io)
                }
                None => {
                    self.state = State::LoggingIn(both);
                    Next::Same
                }
            },
            State::Waiting(both) => match both.1.take() {
                Some(response) => self.answer(&both.0, response, io),
                None => {
                    self.state = State::Waiting(both);
                    Next::Same
                }
            },
            State::Events(mut stream) => {
                let events = stream.look(&self.desk);
                self.state = State::Events(stream);
                events.map_or(Next::Same, |events| self.say(events, io))
            }
            other => {
                self.state = other;
                Next::Same
            }
        }
    }

    fn timeout(&mut self, kind: TimeoutKind, io: &mut Io) -> Next {
        match (kind, std::mem::replace(&mut self.state, State::Closing)) {
            (TimeoutKind::Pause, State::LoggingIn(both)) => {
                let (exchange, authentication) = *both;
                let progress = Progress::Done(authentication.give_up());
                self.proceed(Box::new(exchange), authentication, progress, io)
            }
            (TimeoutKind::Pause, State::Held(both)) => {
                let (exchange, response) = *both;
                self.refuse(&exchange, response, io)
            }
            (TimeoutKind::Pause, State::Waiting(both)) => {
                let late = Response::plain_problem(504, "it took too long");
                self.answer(&both.0, late, io)
            }
            (_, State::Idle) if self.reader.is_idle() => Next::Close, // a silent client is not told anything
            (_, State::Sending(_)) => Next::Close,
            (_, State::Events(stream)) => {
                let events = stream.silent(&self.desk);
                self.state = State::Events(stream);
                self.say(events, io)
            }
            _ => {
                let late = Response::plain_problem(408, "the request did not come in time");
                self.push(None, late, false, false, io)
            }
        }
    }

    /// What cannot be understood ends the connection: nobody knows where the next request begins.
    fn bad(&mut self, bad: Bad, io: &mut Io) -> Next {
        self.desk.log.information(
            Category::Protocol,
            format_args!("bad request from {}: {bad} (session {})", io.peer.ip().to_canonical(), io.number),
        );
        let response = Response::plain_problem(bad.status(), &bad.to_string());
        self.push(None, response, false, false, io)
    }
}

impl ConnectionSession for Session {
    fn on_event(&mut self, event: Event<'_>, io: &mut Io) -> Next {
        match event {
            Event::Opened => {
                io.records_itself = true;
                self.idle(true, io)
            }
            Event::Line { line, bare_lf } => self.line(line, bare_lf, io),
            Event::LineTooLong { .. } => self.bad(self.reader.line_too_long(), io),
            Event::Content { bytes, last } => self.content(bytes, last, io),
            Event::Drained => self.go_on(io),
            Event::Woken => self.woken(io),
            Event::Timeout(kind) => self.timeout(kind, io),
            Event::Draining => {
                self.draining = true;
                match &self.state {
                    State::Idle if self.reader.is_idle() => Next::Close,
                    State::Events(_) => self.say(Events { text: String::new(), last: true }, io),
                    _ => Next::Same,
                }
            }
            Event::Closed(_) => Next::Close,
            Event::Stream(_) => Next::Close, // a client that listens to events has nothing to say
            Event::TlsStarted | Event::Garbled => Next::Same, // never asked for
        }
    }
}

//! A connection that a proxy made for its client: the header comes first, then admission, and only then a session.

use std::time::Duration;

use mio::net::TcpStream;

use super::{Connection, Environment, Flow, Outcome, Phase};
use crate::driver::READABLE;
use crate::proxy::{self, Header, Progress};
use crate::transport::Step;
use crate::{CloseReason, Event, Io, Next, Session};

use std::sync::Arc;

/// How long a proxy may take for its header.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes read at once.
const PIECE_BYTES: usize = 512;

/// Decides about a connection once its client is known: [`Io::peer`] and [`Io::local`] are what the proxy said. It is told
/// what was wrong when there was no good header.
pub type Admit = Box<dyn FnOnce(&mut Io, Result<(), &'static str>) -> Admission + Send>;

/// What is decided.
pub enum Admission {
    Session(Box<dyn Session>),
    /// The connection is closed with these words, which may be none.
    Closed(&'static str),
}

/// What is known of a header.
pub(super) struct Preface {
    bytes: Vec<u8>,
    admit: Admit,
    implicit_tls: bool,
}

/// Stands in the place of a session that is not open yet.
struct Unopened;

impl Session for Unopened {
    fn on_event(&mut self, _: Event<'_>, _: &mut Io) -> Next {
        Next::Close
    }
}

impl Connection {
    /// A connection that was just accepted from a proxy.
    pub fn behind_proxy(
        socket: TcpStream,
        io: Io,
        admit: Admit,
        environment: Arc<Environment>,
        implicit_tls: bool,
    ) -> Connection {
        let mut connection = Connection::new(socket, io, Box::new(Unopened), environment, false);
        connection.phase = Phase::Preface(connection.now);
        connection.preface = Some(Box::new(Preface { bytes: Vec::new(), admit, implicit_tls }));
        connection
    }

    /// Reads on in the header, no further than it goes.
    pub(super) fn read_preface(&mut self) -> Flow {
        let Some(preface) = &mut self.preface else { return self.end(CloseReason::Failed) };
        let more = match proxy::read(&preface.bytes) {
            Progress::More(more) => more,
            Progress::Whole(header) => return self.admit(header),
            Progress::Wrong(why) => return self.refuse_preface(why),
        };
        if self.read_wait != 0 && self.ready & self.read_wait == 0 {
            return Flow::Stop(Outcome::Wait);
        }
        let mut piece = [0; PIECE_BYTES];
        match self.transport.read(&mut piece[..more.min(PIECE_BYTES)]) {
            Step::Done { count, all } => {
                preface.bytes.extend_from_slice(&piece[..count]);
                self.read_wait = 0;
                if all && !self.hangup {
                    self.read_wait = READABLE;
                    self.ready &= !READABLE;
                }
                Flow::Go
            }
            Step::Wait(bit) => {
                self.read_wait = bit;
                self.ready &= !bit;
                Flow::Stop(Outcome::Wait)
            }
            // A proxy that only looks whether we are there.
            Step::Eof if preface.bytes.is_empty() => self.end(CloseReason::Peer),
            Step::Eof => self.refuse_preface("a PROXY header that is cut off"),
            Step::Failed => self.end(CloseReason::Failed),
        }
    }

    fn admit(&mut self, header: Header) -> Flow {
        if let Header::Proxied { source, destination } = header {
            (self.io.peer, self.io.local) = (source, destination);
        }
        // What came behind the header makes no new edge.
        (self.read_wait, self.ready) = (0, self.ready | READABLE);
        self.conclude_preface(Ok(()))
    }

    pub(super) fn refuse_preface(&mut self, why: &'static str) -> Flow {
        self.conclude_preface(Err(why))
    }

    fn conclude_preface(&mut self, outcome: Result<(), &'static str>) -> Flow {
        let Some(preface) = self.preface.take() else { return self.end(CloseReason::Failed) };
        let Preface { admit, implicit_tls, .. } = *preface;
        self.active = self.now;
        match admit(&mut self.io, outcome) {
            Admission::Session(session) => {
                self.session = session;
                self.phase = Phase::Opening;
                if implicit_tls {
                    self.begin_tls();
                }
            }
            Admission::Closed(words) => {
                if !implicit_tls {
                    self.io.output.push(words.as_bytes());
                }
                self.phase = Phase::Close;
            }
        }
        Flow::Go
    }
}

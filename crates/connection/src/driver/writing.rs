//! Sending what is queued, and what waits for its being sent: more output, a handshake, the end.

use crate::telemetry::MASKED;
use std::time::Duration;

use counters::Counter;

use super::{Connection, Flow, Outcome, Phase};
use crate::compression::Compression;
use crate::driver::READABLE;
use crate::transport::Step;
use crate::{CloseReason, Event, TlsState};

/// How long a peer that is still sending is listened to after the end, so that it can read our last words.
const LINGER: Duration = Duration::from_secs(2);
/// Bytes of such a peer that are read and forgotten.
const LINGER_MAX_BYTES: usize = 1024 * 1024;

/// How far sending came.
enum Flushed {
    /// Everything is sent.
    All,
    /// The peer must read first.
    Blocked,
    /// Others have their turn first.
    TurnOver,
}

impl Connection {
    fn flush(&mut self) -> Result<Flushed, CloseReason> {
        while !self.is_all_sent() {
            if self.write_wait != 0 && self.ready & self.write_wait == 0 {
                return Ok(Flushed::Blocked);
            }
            match self.write()? {
                Step::Done { .. } => {
                    self.write_wait = 0;
                    self.progress = self.now;
                }
                Step::Wait(bit) => {
                    if self.write_wait == 0 {
                        self.progress = std::time::Instant::now();
                    }
                    self.write_wait = bit;
                    self.ready &= !bit;
                }
                Step::Eof | Step::Failed => return Err(CloseReason::Failed),
            }
            if self.moved() >= self.turn_ends_at && !self.is_all_sent() && self.write_wait == 0 {
                return Ok(Flushed::TurnOver);
            }
        }
        Ok(Flushed::All)
    }

    /// Writes what is first, once.
    fn write(&mut self) -> Result<Step, CloseReason> {
        let Some(compression) = &mut self.compression else {
            let piece = self.io.output.front().map_err(|_| CloseReason::Failed)?;
            let step = self.transport.write(piece);
            if let Step::Done { count, .. } = step {
                if let Some(tap) = &mut self.tap {
                    tap.sent(if self.io.mask_output { MASKED } else { &piece[..count.min(piece.len())] });
                }
                self.io.output.sent(count);
                self.io.mask_output &= !self.io.output.is_empty();
                self.io.bytes_out = self.io.bytes_out.saturating_add(count as u64);
            }
            return Ok(step);
        };
        if compression.packed().is_empty() {
            let piece = self.io.output.front().map_err(|_| CloseReason::Failed)?;
            compression.pack(piece);
            if let Some(tap) = &mut self.tap {
                tap.sent(if self.io.mask_output { MASKED } else { piece });
            }
            let count = piece.len();
            self.io.output.sent(count);
            self.io.mask_output &= !self.io.output.is_empty();
            self.io.bytes_out = self.io.bytes_out.saturating_add(count as u64);
        }
        let step = self.transport.write(compression.packed());
        if let Step::Done { count, .. } = step {
            compression.sent(count);
        }
        Ok(step)
    }

    /// Sends until there is room for answers. `Some`: there is none, or the connection is over.
    pub(super) fn make_room(&mut self) -> Option<Flow> {
        match self.flush() {
            Ok(Flushed::All) => None,
            Ok(Flushed::Blocked) if self.io.output.is_full() => Some(Flow::Stop(Outcome::Wait)),
            Ok(Flushed::Blocked) => None,
            Ok(Flushed::TurnOver) => Some(Flow::Stop(Outcome::Again)),
            Err(reason) => Some(self.end(reason)),
        }
    }

    /// Sends everything. `Some`: not everything could be sent, or the connection is over.
    fn send_all(&mut self) -> Option<Flow> {
        match self.flush() {
            Ok(Flushed::All) => None,
            Ok(Flushed::Blocked) => Some(Flow::Stop(Outcome::Wait)),
            Ok(Flushed::TurnOver) => Some(Flow::Stop(Outcome::Again)),
            Err(reason) => Some(self.end(reason)),
        }
    }

    /// The session has more to say as soon as there is room.
    pub(super) fn resume(&mut self) -> Flow {
        if self.io.output.is_full() || self.turn_is_over() {
            if let Some(flow) = self.make_room() {
                return flow;
            }
            if self.turn_is_over() {
                return Flow::Stop(Outcome::Again);
            }
        }
        self.event(Event::Drained, false)
    }

    pub(super) fn pause(&mut self) -> Flow {
        self.send_all().unwrap_or(Flow::Stop(Outcome::Wait))
    }

    /// The go-ahead is sent in clear, then the handshake begins. What the peer sent before it is never run under TLS
    /// (RFC 3207 §6).
    pub(super) fn start_tls(&mut self) -> Flow {
        if let Some(flow) = self.send_all() {
            return flow;
        }
        let context = self.environment.tls.context().filter(|_| self.io.tls == TlsState::Available);
        let unread = self.compression.as_ref().is_some_and(|compression| compression.has_more());
        let (Some(context), true) = (context, self.input.is_empty() && !unread) else {
            return self.end(CloseReason::Failed);
        };
        self.input.clear();
        if !self.transport.start_tls(&context) {
            return self.end(CloseReason::Failed);
        }
        self.write_wait = 0;
        self.phase = Phase::Handshake { since: self.now, first: false };
        Flow::Go
    }

    /// The go-ahead is sent as it is. What came behind the command is taken as compressed: a client that does not wait
    /// for the go-ahead can mean nothing else (RFC 4978 §3 has it wait).
    pub(super) fn compress(&mut self, level: u8) -> Flow {
        if let Some(flow) = self.send_all() {
            return flow;
        }
        if self.compression.is_some() || !(1..=9).contains(&level) {
            return self.end(CloseReason::Failed);
        }
        let received = self.input.waiting().to_vec();
        self.input.clear();
        self.io.is_compressed = true;
        self.compression = Some(Box::new(Compression::new(level, received)));
        self.phase = Phase::Input;
        Flow::Go
    }

    pub(super) fn handshake(&mut self, first: bool) -> Flow {
        if self.read_wait != 0 && self.ready & self.read_wait == 0 {
            return Flow::Stop(Outcome::Wait);
        }
        match self.transport.handshake() {
            Step::Done { .. } => {
                counters::add(Counter::TlsSessions, 1);
                self.read_wait = 0;
                self.io.tls = self.transport.tls_state();
                self.io.channel_bindings = self.transport.channel_bindings();
                self.io.client_certificate = self.transport.client_certificate();
                self.event(if first { Event::Opened } else { Event::TlsStarted }, false)
            }
            Step::Wait(bit) => {
                self.read_wait = bit;
                self.ready &= !bit;
                Flow::Stop(Outcome::Wait)
            }
            Step::Eof => {
                counters::add(Counter::TlsFailures, 1);
                self.end(CloseReason::Peer)
            }
            Step::Failed => {
                counters::add(Counter::TlsFailures, 1);
                self.end(CloseReason::Failed)
            }
        }
    }

    /// Sends what is queued and ends. A socket closed with unread input resets the connection, which may destroy our
    /// last words on their way; a peer that is still sending is listened to for a while.
    pub(super) fn close(&mut self) -> Flow {
        if let Some(flow) = self.send_all() {
            return flow;
        }
        let mut room = [0; 4096];
        let sending = self.ready & READABLE != 0
            && !self.eof
            && matches!(self.transport.read_raw(&mut room), Step::Done { .. });
        self.transport.shutdown(sending);
        if !sending {
            return Flow::Stop(Outcome::Finished);
        }
        self.phase = Phase::Linger(self.now.checked_add(LINGER).unwrap_or(self.now));
        Flow::Go
    }

    pub(super) fn linger(&mut self) -> Flow {
        let mut room = [0; 4096];
        while self.ready & READABLE != 0 && self.lingered < LINGER_MAX_BYTES {
            match self.transport.read_raw(&mut room) {
                Step::Done { count, .. } => self.lingered += count,
                Step::Wait(_) => self.ready &= !READABLE,
                Step::Eof | Step::Failed => return Flow::Stop(Outcome::Finished),
            }
        }
        Flow::Stop(if self.lingered < LINGER_MAX_BYTES { Outcome::Wait } else { Outcome::Finished })
    }
}

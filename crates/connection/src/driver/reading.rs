//! From received bytes to the session's events.

use super::{Connection, Flow, Outcome, Want};
use crate::driver::READABLE;
use crate::input::Line;
use crate::telemetry::MASKED;
use crate::transport::Step;
use crate::{CloseReason, Event};

/// Bytes that a session may leave unused of a stream before the connection is given up.
const STREAM_LEFT_MAX_BYTES: usize = 1024 * 1024;

impl Connection {
    /// Hands the next input to the session, or reads more.
    pub(super) fn input(&mut self) -> Flow {
        if self.io.output.is_full() || self.turn_is_over() {
            if let Some(flow) = self.make_room() {
                return flow;
            }
            if self.turn_is_over() {
                return Flow::Stop(Outcome::Again);
            }
        }
        match self.want {
            Want::Line => match self.input.next_line(self.io.line_limit) {
                Line::Found { start, end, bare_lf } => return self.line(start, end, bare_lf),
                Line::TooLong => {
                    let start = self.input.take_start();
                    return self.event(Event::LineTooLong { start: &start }, false);
                }
                Line::Endless => return self.end(CloseReason::Failed),
                Line::Incomplete => {}
            },
            Want::Content(left) if left == 0 || !self.input.is_empty() => return self.content(left),
            Want::Stream(seen) if self.input.len() > seen => return self.stream(),
            Want::Stream(seen) if seen > STREAM_LEFT_MAX_BYTES => return self.end(CloseReason::Failed),
            _ => {}
        }
        if let Some(flow) = self.make_room() {
            return flow;
        }
        self.read()
    }

    fn line(&mut self, start: usize, end: usize, bare_lf: bool) -> Flow {
        self.io.more_input = self.input.has_line();
        let masked = self.io.mask_input;
        let line = self.input.slice(start, end);
        let next = self.session.on_event(Event::Line { line, bare_lf }, &mut self.io);
        if let Some(tap) = self.tap.as_mut().filter(|_| !self.io.records_itself) {
            tap.received(if masked || self.io.mask_input { MASKED } else { line });
        }
        self.apply(next, false)
    }

    fn content(&mut self, left: u64) -> Flow {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(self.input.len());
        let left = left - count as u64;
        let (start, end) = self.input.take(count);
        self.want = if left == 0 { Want::Line } else { Want::Content(left) };
        self.io.more_input = left == 0 && self.input.has_line();
        let masked = self.io.mask_input;
        let bytes = self.input.slice(start, end);
        let next = self.session.on_event(Event::Content { bytes, last: left == 0 }, &mut self.io);
        if let Some(tap) = self.tap.as_mut().filter(|_| !self.io.records_itself) {
            tap.received(if masked || self.io.mask_input { MASKED } else { bytes });
        }
        self.apply(next, false)
    }

    fn stream(&mut self) -> Flow {
        let bytes = self.input.waiting();
        self.io.more_input = false;
        self.io.expect_consumption(bytes.len());
        let masked = self.io.mask_input;
        let next = self.session.on_event(Event::Stream(bytes), &mut self.io);
        let used = self.io.taken().min(bytes.len());
        if let Some(tap) = self.tap.as_mut().filter(|_| !self.io.records_itself) {
            tap.received(if masked || self.io.mask_input { MASKED } else { &bytes[..used] });
        }
        self.input.take(used);
        self.want = Want::Stream(self.input.len());
        self.apply(next, false)
    }

    fn read(&mut self) -> Flow {
        if self.compression.as_ref().is_some_and(|compression| compression.has_more()) {
            return self.unpack();
        }
        if self.eof {
            // What is queued is still sent to a peer that only closed its own direction.
            return if self.is_all_sent() { self.end(CloseReason::Peer) } else { Flow::Stop(Outcome::Wait) };
        }
        if self.read_wait != 0 && self.ready & self.read_wait == 0 {
            return Flow::Stop(Outcome::Wait);
        }
        match self.receive() {
            Step::Done { all, .. } => {
                self.active = self.now;
                self.read_wait = 0;
                if all && !self.hangup {
                    // The socket is drained; the next byte makes a new edge. Saves the read that would find nothing.
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
            Step::Eof => {
                self.eof = true;
                Flow::Go
            }
            Step::Failed => self.end(CloseReason::Failed),
        }
    }

    /// Reads once.
    fn receive(&mut self) -> Step {
        let Some(compression) = &mut self.compression else {
            let step = self.transport.read(self.input.room());
            if let Step::Done { count, .. } = step {
                self.received(count);
            }
            return step;
        };
        let step = self.transport.read(compression.room());
        compression.filled(if let Step::Done { count, .. } = step { count } else { 0 });
        step
    }

    fn received(&mut self, count: usize) {
        self.input.filled(count);
        self.io.bytes_in = self.io.bytes_in.saturating_add(count as u64);
    }

    /// Decompresses what was received, as much as there is room for.
    fn unpack(&mut self) -> Flow {
        let Some(compression) = &mut self.compression else { return Flow::Go };
        match compression.unpack(self.input.room()) {
            Ok(count) => {
                self.received(count);
                Flow::Go
            }
            Err(_) => self.event(Event::Garbled, false),
        }
    }
}

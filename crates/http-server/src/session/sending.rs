//! From a response to bytes: its head, and its body in pieces as the client takes them.

use std::io::{self, Cursor, Read};

use connection::{Io, Next};
use http_wire::response::{self, Length};
use http_wire::{Framing, Method};
use server_log::Category;

use super::{Exchange, Sending, Session, State, admission};
use crate::client::Client;
use crate::load::Unsent;
use crate::response::Body;
use crate::routes::jmap::unread;
use crate::{Response, proxy_sign_in};

/// What is read of a body at once.
const PIECE: usize = 32 * 1024;
/// Bytes of a body that are queued whole: what the queue of any connection may hold.
const QUEUED_MAX: usize = 64 * 1024;

/// A body in memory. It counts until it is sent, and so does its request.
struct Held {
    bytes: Cursor<Vec<u8>>,
    _unsent: Unsent,
    _turn: Option<Box<jmap::Turn>>,
}

impl Read for Held {
    fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        self.bytes.read(piece)
    }
}

impl Session {
    /// The answer to a request that was read whole.
    pub(super) fn answer(&mut self, exchange: &Exchange, response: Response, io: &mut Io) -> Next {
        self.answer_as(exchange, response, exchange.keep_alive, io)
    }

    /// The answer to a request whose body was not read; what comes next on the connection could be that body.
    pub(super) fn answer_early(&mut self, exchange: &Exchange, response: Response, io: &mut Io) -> Next {
        let has_none = exchange.request.head.framing == Framing::None;
        if has_none && !self.reader.is_idle() {
            self.reader.body();
        }
        self.answer_as(exchange, response, exchange.keep_alive && has_none, io)
    }

    fn answer_as(&mut self, exchange: &Exchange, response: Response, keep_alive: bool, io: &mut Io) -> Next {
        let response = self.held(exchange, response);
        let head = &exchange.request.head;
        self.desk.log.information(
            Category::Protocol,
            format_args!(
                "request: [{}] {} {} {} {} (session {})",
                exchange.request.client.ip,
                exchange.request.visitor.as_ref().map_or("-", |visitor| &visitor.uid),
                head.method.name(),
                proxy_sign_in::shown(&head.target.path),
                response.status,
                io.number
            ),
        );
        io.mask_output |= admission::is_secret(exchange, &response);
        let is_head = head.method == Method::Head;
        self.push(Some(exchange.request.client), response, is_head, keep_alive, io)
    }

    /// The response with a body that counts while it is in memory; a refusal when there is too much of that.
    fn held(&self, exchange: &Exchange, mut response: Response) -> Response {
        let bytes = match std::mem::replace(&mut response.body, Body::Empty) {
            Body::Bytes(bytes) if bytes.len() > QUEUED_MAX => bytes,
            body => return Response { body, ..response },
        };
        let length = bytes.len() as u64;
        let uid = exchange.request.visitor.as_ref().map_or("", |visitor| &visitor.uid);
        let Some(unsent) = self.desk.load.unsent(uid, length) else { return unread() };
        let held = Held { bytes: Cursor::new(bytes), _unsent: unsent, _turn: response.turn.take() };
        Response { body: Body::Reader(Box::new(held), length), ..response }
    }

    /// Queues a response. `is_head`: the body is not sent.
    pub(super) fn push(
        &mut self,
        client: Option<Client>,
        response: Response,
        is_head: bool,
        keep_alive: bool,
        io: &mut Io,
    ) -> Next {
        let keep_alive =
            keep_alive && !self.draining && !self.desk.load.is_crowded(self.settings.connections_max);
        let fields = response.all_fields(client, &self.settings);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let length = match response.status {
            204 | 304 => Length::None,
            _ => Length::Known(response.body.length()),
        };
        io.output.push(&response::head(response.status, &fields, length, keep_alive));
        if is_head || length == Length::None {
            return self.idle(keep_alive, io);
        }
        match response.body {
            Body::Empty => {}
            Body::Static(bytes) => io.output.push(bytes),
            Body::Bytes(bytes) => io.output.push(&bytes),
            Body::File(file, from, length) => io.output.push_file(file, from, length),
            Body::Reader(reader, left) => {
                self.state =
                    State::Sending(Box::new(Sending { reader, left, keep_alive, is_secret: io.mask_output }));
                return self.go_on(io);
            }
        }
        self.idle(keep_alive, io)
    }

    /// More of a body that is read as it is sent.
    pub(super) fn go_on(&mut self, io: &mut Io) -> Next {
        let State::Sending(sending) = &mut self.state else { return self.idle(false, io) };
        io.mask_output |= sending.is_secret;
        let mut piece = [0; PIECE];
        while sending.left > 0 && !io.output.is_full() {
            let want = usize::try_from(sending.left).unwrap_or(PIECE).min(PIECE);
            match sending.reader.read(&mut piece[..want]) {
                Ok(count) if count > 0 => {
                    io.output.push(&piece[..count]);
                    sending.left -= count as u64;
                }
                ended => {
                    // The client was told a length: only the end of the connection says that it is not whole.
                    let why = ended.err().map_or_else(|| "it ended early".to_owned(), |why| why.to_string());
                    self.desk.log.error(
                        Category::Store,
                        format_args!("a body cannot be read to its end: {why} (session {})", io.number),
                    );
                    return self.idle(false, io);
                }
            }
        }
        if sending.left > 0 {
            return Next::Resume;
        }
        let keep_alive = sending.keep_alive;
        self.idle(keep_alive, io)
    }
}

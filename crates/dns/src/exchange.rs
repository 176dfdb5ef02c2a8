//! One question to one name server: a datagram, and a connection when the answer does not fit (RFC 1035 §4.2, RFC 7766).
//!
//! Each query has a port and an id of its own that nobody can foresee, and a connected socket, so that only the server
//! itself is heard. What has another id or another question is not the answer and is not listened to (RFC 5452 §9).

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};

use crate::random;

/// What goes through everywhere in one piece (RFC 9715 §3).
const PAYLOAD: u16 = 1232;

/// Asks `server`.
///
/// # Errors
/// There was no answer within `timeout`, counted anew for the connection after a cut answer.
pub(crate) fn ask(server: SocketAddr, query: &Query, timeout: Duration) -> io::Result<Message> {
    let answer = ask_in_one_way(server, query, timeout, true)?;
    if answer.edns.is_none()
        && matches!(answer.metadata.response_code, ResponseCode::FormErr | ResponseCode::NotImp)
    {
        // RFC 6891 §6.2.2: it does not know EDNS.
        return ask_in_one_way(server, query, timeout, false);
    }
    Ok(answer)
}

fn ask_in_one_way(server: SocketAddr, query: &Query, timeout: Duration, edns: bool) -> io::Result<Message> {
    let message = question(random::number()?, query, edns);
    let bytes = message.to_vec().map_err(io::Error::other)?;
    match by_datagram(server, &message, &bytes, Instant::now() + timeout)? {
        Datagram::Answer(answer) => Ok(answer),
        Datagram::Cut => by_connection(server, &message, &bytes, Instant::now() + timeout),
    }
}

fn question(id: u16, query: &Query, edns: bool) -> Message {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    // RFC 6840 §5.7: tell me whether you validated, without the signatures.
    message.metadata.authentic_data = true;
    message.add_query(query.clone());
    if edns {
        let mut option = Edns::new();
        option.set_max_payload(PAYLOAD);
        message.set_edns(option);
    }
    message
}

enum Datagram {
    Answer(Message),
    /// There is more than fits (TC).
    Cut,
}

fn by_datagram(server: SocketAddr, asked: &Message, bytes: &[u8], end: Instant) -> io::Result<Datagram> {
    let any = match server {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(server)?;
    socket.send(bytes)?;
    let mut buffer = [0; 4096];
    loop {
        socket.set_read_timeout(Some(left(end)?))?;
        match socket.recv(&mut buffer) {
            Ok(length) => {
                let bytes = buffer.get(..length).unwrap_or_default();
                if is_cut(bytes, asked) {
                    return Ok(Datagram::Cut);
                }
                if let Some(answer) = read_answer(bytes, asked) {
                    return Ok(Datagram::Answer(answer));
                }
            }
            Err(why) if why.kind() == ErrorKind::Interrupted => {}
            Err(why) => return Err(in_our_words(why)),
        }
    }
}

fn by_connection(server: SocketAddr, asked: &Message, bytes: &[u8], end: Instant) -> io::Result<Message> {
    let mut stream = TcpStream::connect_timeout(&server, left(end)?).map_err(in_our_words)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(left(end)?))?;
    let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), bytes].concat()).map_err(in_our_words)?;
    let mut length = [0; 2];
    read_whole(&mut stream, &mut length, end)?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    read_whole(&mut stream, &mut answer, end)?;
    read_answer(&answer, asked)
        .ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "an answer to something else"))
}

/// Fills `buffer` before `end`, however slowly the bytes come.
fn read_whole(stream: &mut TcpStream, buffer: &mut [u8], end: Instant) -> io::Result<()> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        stream.set_read_timeout(Some(left(end)?))?;
        match stream.read(rest) {
            Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, "connection closed")),
            Ok(length) => filled = filled.saturating_add(length),
            Err(why) if why.kind() == ErrorKind::Interrupted => {}
            Err(why) => return Err(in_our_words(why)),
        }
    }
    Ok(())
}

/// The message, if it is one and answers `asked`.
pub(crate) fn read_answer(bytes: &[u8], asked: &Message) -> Option<Message> {
    if !has_the_id(bytes, asked) {
        return None;
    }
    let answer = Message::from_vec(bytes).ok()?;
    let head = &answer.metadata;
    let of_its_kind = head.message_type == MessageType::Response && head.op_code == OpCode::Query;
    // A server that did not understand the question may leave it out; nothing else is believed without it.
    let told = matches!(head.response_code, ResponseCode::NoError | ResponseCode::NXDomain);
    let to_us = answer.queries == asked.queries || (answer.queries.is_empty() && !told);
    (of_its_kind && to_us).then_some(answer)
}

/// Whether the answer was cut; the rest of one that was may be cut anywhere, so it is not read.
fn is_cut(bytes: &[u8], asked: &Message) -> bool {
    const RESPONSE_AND_TRUNCATED: u8 = 0x82;
    let flags = bytes.get(2).copied().unwrap_or(0);
    has_the_id(bytes, asked) && flags & RESPONSE_AND_TRUNCATED == RESPONSE_AND_TRUNCATED
}

fn has_the_id(bytes: &[u8], asked: &Message) -> bool {
    bytes.first_chunk::<2>().is_some_and(|id| u16::from_be_bytes(*id) == asked.metadata.id)
}

fn left(end: Instant) -> io::Result<Duration> {
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::Error::new(ErrorKind::TimedOut, "no answer")) } else { Ok(left) }
}

fn in_our_words(why: io::Error) -> io::Error {
    match why.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => io::Error::new(ErrorKind::TimedOut, "no answer"),
        ErrorKind::ConnectionRefused => io::Error::new(ErrorKind::ConnectionRefused, "no server there"),
        _ => why,
    }
}

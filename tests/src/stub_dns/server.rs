//! The sockets of the stub, and what is answered.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;

use super::wire::{self, AUTHENTIC, Asked, Kind, Reply, TRUNCATED};
use super::{Behaviour, Query, Shared, State};

const FORMERR: u16 = 1;
const SERVFAIL: u16 = 2;
const NXDOMAIN: u16 = 3;
const REFUSED: u16 = 5;

/// A running name server.
pub struct StubDns {
    address: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl StubDns {
    /// A server without records on a free port of `address`.
    pub fn start_at(address: IpAddr) -> StubDns {
        let (tcp, udp) = sockets(address);
        let address = udp.local_addr().unwrap();
        let shared = Arc::new(Shared::new());
        let by_udp = Arc::clone(&shared);
        let by_tcp = Arc::clone(&shared);
        let threads = vec![
            std::thread::spawn(move || serve_udp(&udp, &by_udp)),
            std::thread::spawn(move || serve_tcp(&tcp, &by_tcp)),
        ];
        StubDns { address, shared, threads }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }
}

impl Drop for StubDns {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        let waker = UdpSocket::bind((self.address.ip(), 0)).unwrap();
        let _ = waker.send_to(&[], self.address);
        let _ = TcpStream::connect(self.address);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// One port for both; another program may hold it for one of them, so it is tried again.
fn sockets(address: IpAddr) -> (TcpListener, UdpSocket) {
    loop {
        let tcp = TcpListener::bind((address, 0)).unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()) {
            return (tcp, udp);
        }
    }
}

fn serve_udp(socket: &UdpSocket, shared: &Shared) {
    let mut buffer = [0; 4096];
    loop {
        let received = socket.recv_from(&mut buffer);
        if shared.lock().ended {
            return;
        }
        // An error is the news that the port of an earlier answer is closed.
        let Ok((length, from)) = received else { continue };
        if let Some(reply) = respond(&buffer[..length], from, false, shared) {
            let _ = socket.send_to(&reply, from);
        }
    }
}

fn serve_tcp(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        let state = shared.lock();
        if state.ended {
            return;
        }
        if state.behaviour == Behaviour::TruncatedWithoutTcp {
            continue;
        }
        drop(state);
        let shared = Arc::clone(shared);
        if let Ok(stream) = stream {
            std::thread::spawn(move || serve_stream(stream, &shared));
        }
    }
}

/// Until the other side closes.
fn serve_stream(mut stream: TcpStream, shared: &Shared) -> Option<()> {
    let from = stream.peer_addr().ok()?;
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length).ok()?;
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut message).ok()?;
        if let Some(reply) = respond(&message, from, true, shared) {
            let length = u16::try_from(reply.len()).unwrap().to_be_bytes();
            stream.write_all(&[&length[..], &reply].concat()).ok()?;
        }
    }
}

/// Notes the query and makes the reply that the behaviour asks for.
fn respond(message: &[u8], from: SocketAddr, tcp: bool, shared: &Shared) -> Option<Vec<u8>> {
    let asked = Asked::read(message)?;
    // The reply is made before the query is noted: what a test changes when it sees the query is for the next one.
    let reply = reply(&asked, tcp, &shared.lock());
    let edns = asked.payload.is_some();
    let kind = asked.kind.name();
    shared.note(Query { name: asked.name, kind, tcp, edns, id: asked.id, from });
    reply
}

fn is_below(name: &str, above: &[String]) -> bool {
    above.iter().any(|above| name.strip_suffix(above.as_str()).is_some_and(|rest| rest.ends_with('.')))
}

fn reply(asked: &Asked, tcp: bool, state: &State) -> Option<Vec<u8>> {
    let refusal = |code| Some(Reply::to(asked, 0, code).bytes().to_vec());
    match state.behaviour {
        _ if state.failing.contains(&asked.name) => refusal(SERVFAIL),
        Behaviour::Silent => None,
        _ if is_below(&asked.name, &state.silent_below) => None,
        Behaviour::ServFail => refusal(SERVFAIL),
        Behaviour::Refused => refusal(REFUSED),
        Behaviour::WithoutEdns if asked.payload.is_some() => {
            let mut head = Reply::to(asked, 0, FORMERR).bytes()[..12].to_vec();
            head[5] = 0; // no question
            Some(head)
        }
        Behaviour::Truncated | Behaviour::TruncatedWithoutTcp if !tcp => {
            Some(Reply::to(asked, TRUNCATED, 0).bytes().to_vec())
        }
        Behaviour::Garbage => Some(asked.id.to_be_bytes().iter().copied().chain([0x81; 40]).collect()),
        Behaviour::Referral => {
            let mut reply = Reply::to(asked, 0, 0);
            reply.authority("test", Kind::NS, 60, &wire::name("ns.test"));
            Some(reply.bytes().to_vec())
        }
        Behaviour::WrongId => {
            let mut reply = answer(asked, state);
            reply.set_id(asked.id.wrapping_add(1));
            Some(reply.bytes().to_vec())
        }
        Behaviour::WrongQuestion => {
            let mut other = Asked::read(&asked.bytes)?;
            let place = other.bytes.len() - 4;
            other.bytes[place - 2] ^= 1; // the last letter of the name, or its length if that is one
            Some(answer(&other, state).bytes().to_vec())
        }
        _ => Some(fitting(asked, answer(asked, state), tcp)),
    }
}

/// The reply, or the mark that it was cut where it does not fit a datagram.
fn fitting(asked: &Asked, reply: Reply, tcp: bool) -> Vec<u8> {
    let room = if tcp { 65535 } else { usize::from(asked.payload.unwrap_or(512).max(512)) };
    if reply.bytes().len() <= room {
        reply.bytes().to_vec()
    } else {
        Reply::to(asked, TRUNCATED, 0).bytes().to_vec()
    }
}

fn answer(asked: &Asked, state: &State) -> Reply {
    let authentic = if state.validates && asked.flags & AUTHENTIC != 0 { AUTHENTIC } else { 0 };
    let mut name = asked.name.clone();
    let mut records = Vec::new();
    let mut found = true;
    // Aliases in a circle are all given, and nothing more.
    for _ in 0..=state.records.len() {
        let here = state.records.get(&name).map(Vec::as_slice).unwrap_or_default();
        let alias = here.iter().find(|record| record.kind == Kind::CNAME && asked.kind != Kind::CNAME);
        let Some(alias) = alias else {
            let matching: Vec<_> = here.iter().filter(|record| record.kind == asked.kind).collect();
            found = !matching.is_empty();
            records.extend(matching.into_iter().map(|record| (name.clone(), record.clone())));
            break;
        };
        records.push((name.clone(), alias.clone()));
        if state.behaviour == Behaviour::BareAliases {
            break;
        }
        name = text(&alias.data);
    }
    let known = found || exists(&name, state);
    let mut reply = Reply::to(asked, authentic, if known { 0 } else { NXDOMAIN });
    for (owner, record) in records {
        reply.answer(&owner, record.kind, record.ttl, &record.data);
    }
    if !found && state.behaviour != Behaviour::WithoutSoa {
        reply.authority("", Kind::SOA, state.negative_ttl.max(1) * 2, &wire::soa(state.negative_ttl));
    }
    if asked.payload.is_some() {
        reply.edns();
    }
    reply
}

/// Whether a record has this name or one below it.
fn exists(name: &str, state: &State) -> bool {
    let below = format!(".{name}");
    state.records.keys().any(|known| known == name || known.ends_with(&below))
}

/// A name on the wire as text.
fn text(mut name: &[u8]) -> String {
    let mut labels = Vec::new();
    while let Some((&length, rest)) = name.split_first().filter(|(length, _)| **length > 0) {
        let (label, rest) = rest.split_at(usize::from(length));
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        name = rest;
    }
    labels.join(".")
}

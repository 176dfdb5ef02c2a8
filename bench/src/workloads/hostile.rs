//! Connections that want to cost something, by the thousand, and clients that are served meanwhile.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::{log_in, pause, say, together};
use crate::Plan;
use crate::client::Client;

/// Threads that speak for the good ones.
const SPEAKERS: usize = 8;
/// How long is measured each time.
const TIME: Duration = Duration::from_secs(10);
/// What one that floods sends at most.
const FLOOD_BYTES: usize = 4 << 20;

/// What a hostile connection does.
#[derive(Clone, Copy)]
enum Kind {
    /// Nothing at all.
    Silent,
    /// Half a record of a TLS handshake.
    HalfHandshake,
    /// Half a line, and a byte more now and then.
    HalfLine,
    /// Announces a literal, waits for the invitation, and sends a byte now and then.
    SlowLiteral,
    /// A literal as large as is thrown away, in part.
    GiantLiteral,
    /// Commands without end, whose answers nobody reads.
    Flood,
}

const KINDS: [Kind; 6] =
    [Kind::Silent, Kind::HalfHandshake, Kind::HalfLine, Kind::SlowLiteral, Kind::GiantLiteral, Kind::Flood];

struct Protocol {
    plain: SocketAddr,
    tls: Option<SocketAddr>,
    half_line: &'static str,
    literal: &'static str,
    giant: &'static str,
    flood: &'static str,
}

const IMAP: [&str; 4] =
    ["a LOGIN somebo", "a LOGIN {4000}\r\n", "a LOGIN {1000000+}\r\n", "a CAPABILITY\r\na NOOP\r\n"];
/// POP has no literals: an exchange of SASL that waits, and a line without end, stand for them.
const POP: [&str; 4] = ["USER somebo", "AUTH PLAIN\r\n", "USER ", "CAPA\r\nNOOP\r\n"];

fn begin(protocol: &Protocol, kind: Kind) -> Result<TcpStream> {
    let address = match kind {
        Kind::HalfHandshake => protocol.tls.unwrap_or(protocol.plain),
        _ => protocol.plain,
    };
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    if !matches!(kind, Kind::HalfHandshake) {
        greeting(&mut stream)?;
    }
    match kind {
        Kind::Silent => {}
        // RFC 8446 §5.1: a record of type handshake, of 512 bytes, of which the first 40 come.
        Kind::HalfHandshake => {
            let mut half = vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
            half.resize(40, 0x55);
            stream.write_all(&half)?;
        }
        Kind::HalfLine => stream.write_all(protocol.half_line.as_bytes())?,
        Kind::SlowLiteral => {
            stream.write_all(protocol.literal.as_bytes())?;
            greeting(&mut stream)?; // the invitation
            stream.write_all(b"x")?;
        }
        Kind::GiantLiteral => {
            stream.write_all(protocol.giant.as_bytes())?;
            push(&mut stream, &vec![b'y'; 200_000])?;
        }
        Kind::Flood => {
            push(&mut stream, protocol.flood.repeat(FLOOD_BYTES / protocol.flood.len()).as_bytes())?
        }
    }
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// One line.
fn greeting(stream: &mut TcpStream) -> Result<()> {
    let mut byte = [0];
    while byte[0] != b'\n' {
        if stream.read(&mut byte)? == 0 {
            return Err(Error::other("a hostile connection was closed at once"));
        }
    }
    Ok(())
}

/// As much as the other side takes without waiting; a close is no error.
fn push(stream: &mut TcpStream, bytes: &[u8]) -> Result<()> {
    stream.set_nonblocking(true)?;
    let mut sent = 0;
    let mut patience = 20;
    while sent < bytes.len() && patience > 0 {
        match stream.write(&bytes[sent..]) {
            Ok(more) => sent += more,
            Err(why) if why.kind() == ErrorKind::WouldBlock => {
                patience -= 1;
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(_) => return Ok(()),
        }
    }
    Ok(())
}

/// Each of the good ones in turn, for a while: how long a command took.
fn speak(good: &[std::sync::Mutex<Client>], imap: bool, hostile: &[TcpStream]) -> Result<Vec<Duration>> {
    let end = Instant::now() + TIME;
    let taken = together(SPEAKERS + 1, |speaker| {
        let mut latencies = Vec::new();
        let mut turn = speaker;
        while Instant::now() < end {
            if speaker == SPEAKERS {
                // Those that are slow go on a little.
                for mut slow in hostile.iter().step_by(7) {
                    let _ = slow.write(b"x");
                }
                std::thread::sleep(Duration::from_secs(1));
                continue;
            }
            let mut client = good[turn % good.len()].lock().map_err(|_| Error::other("a client failed"))?;
            let begin = Instant::now();
            if imap {
                client.imap("FETCH 1 (FLAGS BODY.PEEK[])")?;
            } else {
                client.pop("LIST 1")?;
            }
            latencies.push(begin.elapsed());
            turn += SPEAKERS;
            drop(client);
            std::thread::sleep(Duration::from_millis(2)); // 4,000 commands a second at most
        }
        Ok(latencies)
    })?;
    Ok(taken.concat())
}

/// `clients` are good, `messages` are hostile, of all kinds or of `kind`. With `pop` it is POP that they speak.
pub fn hostile(plan: &Plan, pop: bool) -> Result<()> {
    let missing = || Error::other("an address is missing");
    let [half_line, literal, giant, flood] = if pop { POP } else { IMAP };
    let (plain, tls) = if pop { (plan.pop, None) } else { (plan.imap, plan.imaps) };
    let protocol = Protocol { plain: plain.ok_or_else(missing)?, tls, half_line, literal, giant, flood };
    let users = plan.users;
    let good = (0..plan.clients)
        .map(|number| {
            if pop {
                // Of a maildrop one session at a time.
                return if number < users { super::pop::log_in(plan, number) } else { greeted(plan) };
            }
            let mut client = log_in(plan, number % users)?;
            client.imap("SELECT INBOX")?;
            Ok(client)
        })
        .collect::<Result<Vec<Client>>>()?;
    let speaking = if pop { users.min(good.len()) } else { good.len() };
    let good: Vec<_> = good.into_iter().map(std::sync::Mutex::new).collect();
    let shares = |name: &str, mut taken: Vec<Duration>| {
        taken.sort_unstable();
        for (share, said) in [(0.5, "p50"), (0.99, "p99"), (1.0, "max")] {
            let at = taken[((taken.len() - 1) as f64 * share) as usize];
            say(&format!("{name}_{said}_ms"), at.as_secs_f64() * 1e3);
        }
    };
    shares("before", speak(&good[..speaking], !pop, &[])?);
    let kinds: Vec<Kind> = match plan.kind {
        Some(kind) => vec![*KINDS.get(kind).ok_or_else(|| Error::other("there is no such kind"))?],
        None => KINDS.to_vec(),
    };
    pause("begin hostile")?;
    let began = Instant::now();
    let hostile = (0..plan.messages)
        .map(|number| begin(&protocol, kinds[number % kinds.len()]))
        .collect::<Result<Vec<TcpStream>>>()?;
    say("hostile_opened_s", began.elapsed().as_secs_f64());
    shares("during", speak(&good[..speaking], !pop, &hostile)?);
    pause("end hostile")?;
    say("hostile", hostile.len() as f64);
    Ok(())
}

/// One that is welcome, and does not log in.
fn greeted(plan: &Plan) -> Result<Client> {
    Client::connect(plan.pop)
}

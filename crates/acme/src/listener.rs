//! A port on which nothing is answered but challenges, for hosts whose port 80 is not mshttpd's.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use base::timed_stream::TimedStream;

use crate::challenge::{Challenges, PATH};

/// From the first byte of a request to the last of its answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests at once; who comes beyond is turned away.
const REQUESTS_MAX: usize = 32;
/// Bytes of a request.
const HEAD_MAX: usize = 4 << 10;
const BACKLOG: i32 = 64;
/// After an error of the socket, such as too many open files.
const REST: Duration = Duration::from_secs(1);

/// Ports that are bound, while one may: nobody is answered yet.
pub struct Bound(Vec<TcpListener>);

impl Bound {
    /// # Errors
    /// The address is in use, or the port is not ours to have.
    pub fn at(addresses: &[SocketAddr]) -> io::Result<Bound> {
        let bind = |address: &SocketAddr| {
            os::net::bind(*address).map_err(|why| io::Error::new(why.kind(), format!("{address}: {why}")))
        };
        addresses.iter().map(bind).collect::<io::Result<_>>().map(Bound)
    }

    /// Answers from now on, to the end of the process.
    ///
    /// # Errors
    /// The system's.
    pub fn answer(self, challenges: &Challenges) -> io::Result<()> {
        let requests = Arc::new(AtomicUsize::new(0));
        for listener in self.0 {
            os::net::start_listening(listener.as_fd(), BACKLOG)?;
            listener.set_nonblocking(false)?;
            let (challenges, requests) = (challenges.clone(), requests.clone());
            thread::Builder::new()
                .name("acme-port".into())
                .spawn(move || serve(&listener, &challenges, &requests))?;
        }
        Ok(())
    }
}

fn serve(listener: &TcpListener, challenges: &Challenges, requests: &Arc<AtomicUsize>) {
    loop {
        let Ok((tcp, _)) = listener.accept() else {
            thread::sleep(REST);
            continue;
        };
        if requests.fetch_add(1, Ordering::Relaxed) >= REQUESTS_MAX {
            requests.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let (challenges, counted) = (challenges.clone(), requests.clone());
        let begun = thread::Builder::new().name("acme-answer".into()).spawn(move || {
            let _ = answer(tcp, &challenges); // who has gone is not told
            counted.fetch_sub(1, Ordering::Relaxed);
        });
        if begun.is_err() {
            requests.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn answer(tcp: TcpStream, challenges: &Challenges) -> io::Result<()> {
    let mut stream = TimedStream { tcp, until: Instant::now() + REQUEST_TIMEOUT };
    let mut head = Vec::new();
    let mut block = [0; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut block)? {
            0 => return Ok(()),
            read => head.extend_from_slice(&block[..read]),
        }
        if head.len() > HEAD_MAX {
            return stream.write_all(&response("431 Request Header Fields Too Large", ""));
        }
    }
    let found = token(&head).and_then(|token| challenges.answer(token));
    stream.write_all(&match found {
        Some(text) => response("200 OK", &text),
        None => response("404 Not Found", ""),
    })
}

/// Of `GET /.well-known/acme-challenge/TOKEN HTTP/1.1`.
fn token(head: &[u8]) -> Option<&str> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    (words.next()? == "GET").then_some(())?;
    words.next()?.strip_prefix(PATH)
}

fn response(status: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/octet-stream\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_answered_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let challenges = Challenges::new(folder.path());
        challenges.put("tok-1", "tok-1.thumb").unwrap();
        let bound = Bound::at(&["127.0.0.1:0".parse().unwrap()]).unwrap();
        let free = bound.0[0].local_addr().unwrap();
        assert!(TcpStream::connect(free).is_err(), "it is bound and does not listen");
        bound.answer(&challenges).unwrap();
        let ask = |request: &str| {
            let mut stream = TcpStream::connect(free).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let mut said = String::new();
            stream.read_to_string(&mut said).unwrap();
            said
        };
        let said = ask("GET /.well-known/acme-challenge/tok-1 HTTP/1.1\r\nHost: a.test\r\n\r\n");
        assert!(said.starts_with("HTTP/1.1 200") && said.ends_with("\r\n\r\ntok-1.thumb"), "{said}");
        for other in [
            "GET /.well-known/acme-challenge/tok-2 HTTP/1.1\r\n\r\n",
            "GET /.well-known/acme-challenge/../x HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "POST /.well-known/acme-challenge/tok-1 HTTP/1.1\r\n\r\n",
            "\r\n\r\n",
        ] {
            assert!(ask(other).starts_with("HTTP/1.1 404"), "{other}");
        }
        assert!(Bound::at(&[free]).is_err());
    }
}

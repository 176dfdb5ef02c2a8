//! A web server for tests: one answer to every request, over TLS, as bytes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::Certificate;

struct Shared {
    answer: Mutex<Vec<u8>>,
    requests: Mutex<Vec<String>>,
    stopping: AtomicBool,
}

/// A server that runs, until it is dropped.
pub struct StubHttps {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl StubHttps {
    /// Gives this text, as text/plain, to whoever asks.
    pub fn start(address: SocketAddr, certificate: &Certificate, text: &str) -> StubHttps {
        let listener = TcpListener::bind(address).unwrap();
        let shared = Arc::new(Shared {
            answer: Mutex::new(plain(text)),
            requests: Mutex::default(),
            stopping: AtomicBool::new(false),
        });
        let acceptor = certificate.acceptor();
        let thread = std::thread::spawn({
            let shared = shared.clone();
            move || {
                while let Ok((tcp, _)) = listener.accept() {
                    if shared.stopping.load(Ordering::SeqCst) {
                        return;
                    }
                    tcp.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                    if let Ok(stream) = acceptor.accept(tcp) {
                        serve(stream, &shared);
                    }
                }
            }
        });
        StubHttps { address, shared, thread: Some(thread) }
    }

    /// From now on these bytes, header and all.
    pub fn say(&self, answer: &str) {
        *self.shared.answer.lock().unwrap() = answer.as_bytes().to_vec();
    }

    /// From now on this text.
    pub fn give(&self, text: &str) {
        *self.shared.answer.lock().unwrap() = plain(text);
    }

    /// The first line of each request, and its Host.
    pub fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }
}

/// In two chunks.
fn plain(text: &str) -> Vec<u8> {
    let (first, second) = text.split_at(text.len() / 2);
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n\
         {:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
        first.len(),
        second.len()
    )
    .into_bytes()
}

fn serve(mut stream: impl Read + Write, shared: &Shared) {
    let mut request = Vec::new();
    let mut block = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut block) {
            Ok(read @ 1..) => request.extend_from_slice(&block[..read]),
            _ => return,
        }
    }
    let text = String::from_utf8_lossy(&request).into_owned();
    let host = text.lines().find(|line| line.starts_with("Host:")).unwrap_or_default();
    let line = format!("{} {host}", text.lines().next().unwrap_or_default());
    shared.requests.lock().unwrap().push(line);
    let answer = shared.answer.lock().unwrap().clone();
    let _ = stream.write_all(&answer).and_then(|()| stream.flush());
}

impl Drop for StubHttps {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

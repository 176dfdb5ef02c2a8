//! Bytes in clear behind STARTTLS or STLS, which whoever sits between client and server could put there (CVE-2011-0411): the
//! server forgets them, or hangs up, and runs them never.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use openssl::ssl::{SslConnector, SslMethod, SslStream};

use crate::Instance;

/// Long enough for a loaded machine; who says nothing for so long has not closed.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a protocol begins TLS, and what tells commands apart by their answers.
pub struct Upgrade {
    pub port: u16,
    /// What comes before, and is answered with one reply whose last line begins so.
    pub before: Option<(&'static str, &'static str)>,
    /// The command that asks for TLS, with its line end, and the beginning of its answer.
    pub ask: &'static str,
    pub go_ahead: &'static str,
    /// The command in clear.
    pub injected: &'static str,
    /// A command under TLS, and its whole answer's beginning, which is none of the other's.
    pub after: &'static str,
    pub answer: &'static str,
}

/// When the command in clear is sent.
#[derive(Clone, Copy, Debug)]
enum When {
    SameSegment,
    NextSegment,
    BehindTheGoAhead,
}

/// What became of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Became {
    /// The server hung up.
    Closed,
    /// There is TLS, and the command in clear has no answer.
    Forgotten,
}

impl Upgrade {
    /// What becomes of a command in the segment of the one that asks for TLS, in the next, and behind the answer.
    pub fn inject(&self, instance: &Instance) -> [Became; 3] {
        [When::SameSegment, When::NextSegment, When::BehindTheGoAhead]
            .map(|when| self.inject_at(instance, when))
    }

    fn inject_at(&self, instance: &Instance, when: When) -> Became {
        let mut socket = instance.connect(self.port);
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        line(&mut socket).expect("a greeting");
        if let Some((before, last)) = self.before {
            socket.write_all(before.as_bytes()).unwrap();
            while !line(&mut socket).expect("an answer").starts_with(last) {}
        }
        match when {
            When::SameSegment => {
                let both = format!("{}{}", self.ask, self.injected);
                socket.write_all(both.as_bytes()).unwrap();
            }
            _ => socket.write_all(self.ask.as_bytes()).unwrap(),
        }
        if let When::NextSegment = when {
            socket.write_all(self.injected.as_bytes()).unwrap();
        }
        match line(&mut socket) {
            Some(said) => assert!(said.starts_with(self.go_ahead), "{when:?}: {said}"),
            None => return Became::Closed,
        }
        if let When::BehindTheGoAhead = when {
            socket.write_all(self.injected.as_bytes()).unwrap();
        }
        self.under_tls(instance, socket, when)
    }

    fn under_tls(&self, instance: &Instance, mut socket: TcpStream, when: When) -> Became {
        let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
        connector.set_ca_file(instance.path("config/certs/ca.pem")).unwrap();
        let Ok(mut stream) = connector.build().connect("localhost", socket.try_clone().unwrap()) else {
            let _ = socket.shutdown(Shutdown::Write);
            let mut rest = Vec::new();
            match socket.read_to_end(&mut rest) {
                Err(error) if is_late(&error) => panic!("{when:?}: neither TLS nor the end"),
                _ => {}
            }
            let said = String::from_utf8_lossy(&rest);
            assert!(!said.contains(self.answer), "{when:?}: {said}");
            return Became::Closed;
        };
        stream.write_all(self.after.as_bytes()).unwrap();
        let said = line_of(&mut stream);
        assert!(
            said.starts_with(self.answer),
            "{when:?}: what was said in clear is answered under TLS: {said}"
        );
        Became::Forgotten
    }
}

fn is_late(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// One line, read byte by byte, since TLS may begin behind it; nothing at the end. Silence is no end.
fn line(socket: &mut TcpStream) -> Option<String> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    loop {
        match socket.read(&mut byte) {
            Ok(0) => return None,
            Ok(_) if byte[0] == b'\n' => return Some(String::from_utf8_lossy(&line).trim_end().to_owned()),
            Ok(_) => line.push(byte[0]),
            Err(error) if is_late(&error) => panic!("the server is silent"),
            Err(_) => return None,
        }
    }
}

fn line_of(stream: &mut SslStream<TcpStream>) -> String {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while !line.ends_with(b"\n") {
        stream.read_exact(&mut byte).expect("an answer under TLS");
        line.push(byte[0]);
    }
    String::from_utf8_lossy(&line).trim_end().to_owned()
}

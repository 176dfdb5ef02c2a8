//! The dispatcher with a session that echoes lines, over real sockets.
#![allow(clippy::unwrap_used)] // a test may

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use connection::{Event, Io, Next, Session, TimeoutKind, Waker};
use dispatcher::{CrowdLimits, Listener, Running, Service, Settings, TlsMode, start};
use openssl::asn1::Asn1Time;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::ssl::{SslConnector, SslMethod, SslStream, SslVerifyMode};
use openssl::x509::{X509, X509NameBuilder};
use server_log::Log;

struct Echo {
    wakers: mpsc::Sender<Waker>,
    /// Left to say of a long answer.
    long: usize,
}

struct EchoService {
    wakers: Mutex<mpsc::Sender<Waker>>,
}

impl Service for EchoService {
    fn open_session(&self, _io: &Io) -> Box<dyn Session> {
        Box::new(Echo { wakers: self.wakers.lock().unwrap().clone(), long: 0 })
    }
}

impl Session for Echo {
    fn on_event(&mut self, event: Event<'_>, io: &mut Io) -> Next {
        match event {
            Event::Opened => {
                io.line_limit = 100;
                say(io, if io.tls.is_active() { "hello tls" } else { "hello" })
            }
            Event::TlsStarted => Next::Line,
            Event::Line { line, bare_lf } => self.line(&String::from_utf8_lossy(line), bare_lf, io),
            Event::LineTooLong { .. } => say(io, "too long"),
            Event::Content { bytes, last } => {
                io.output.push(bytes);
                if last { say(io, "") } else { Next::Same }
            }
            Event::Drained => self.more(io),
            Event::Woken => {
                say(io, "woken");
                Next::Same
            }
            Event::Timeout(TimeoutKind::Pause) => say(io, "paused"),
            Event::Timeout(_) | Event::Draining => {
                say(io, "bye");
                Next::Close
            }
            Event::Garbled => {
                say(io, "garbled");
                Next::Close
            }
            Event::Stream(_) | Event::Closed(_) => Next::Close,
        }
    }
}

impl Echo {
    fn line(&mut self, line: &str, bare_lf: bool, io: &mut Io) -> Next {
        let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "content" => Next::Content(argument.parse().unwrap()),
            "long" => {
                self.long = argument.parse().unwrap();
                self.more(io)
            }
            "starttls" => {
                say(io, "go ahead");
                Next::StartTls
            }
            "compress" => {
                say(io, "go ahead");
                Next::Compress(6)
            }
            "pause" => Next::Pause(Duration::from_millis(argument.parse().unwrap())),
            "idle" => {
                io.idle_timeout = Duration::from_millis(argument.parse().unwrap());
                say(io, "ok")
            }
            "waker" => {
                self.wakers.send(io.waker()).unwrap();
                say(io, "ok")
            }
            "panic" => panic!("asked to"),
            "quit" => {
                say(io, "bye");
                Next::Close
            }
            _ if bare_lf => say(io, &format!("bare {line}")),
            _ => say(io, line),
        }
    }

    fn more(&mut self, io: &mut Io) -> Next {
        while self.long > 0 && !io.output.is_full() {
            io.output.push(&[b'x'; 1000]);
            self.long = self.long.saturating_sub(1000);
        }
        assert!(io.output.memory() < 200_000, "bounded");
        if self.long > 0 { Next::Resume } else { say(io, " end") }
    }
}

fn say(io: &mut Io, text: &str) -> Next {
    io.output.push(text.as_bytes());
    io.output.push(b"\r\n");
    Next::Line
}

struct Setup {
    server: Running,
    wakers: mpsc::Receiver<Waker>,
    _folder: tempfile::TempDir,
}

fn certificate(folder: &std::path::Path) -> (PathBuf, PathBuf) {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "localhost").unwrap();
    let name = name.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    let files = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&files.0, builder.build().to_pem().unwrap()).unwrap();
    std::fs::write(&files.1, key.private_key_to_pem_pkcs8().unwrap()).unwrap();
    std::fs::set_permissions(&files.1, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    files
}

fn set_up(change: impl FnOnce(&mut Settings)) -> Setup {
    let folder = tempfile::tempdir().unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut settings = Settings {
        local: Vec::new(),
        service: "echo",
        program: "echod",
        listeners: vec![
            Listener { address, tls: TlsMode::StartTls, role: 1 },
            Listener { address, tls: TlsMode::Implicit, role: 2 },
        ],
        max_threads: 4,
        max_sessions: None,
        processes: 1,
        thread_name: "echo",
        fixed_threads: false,
        certificate: Some(certificate(folder.path()).into()),
        telemetry: None,
        accessed: None,
        run_dir: folder.path().to_owned(),
        crowd: CrowdLimits::default(),
        too_many: "too many\r\n",
        accept_delay: None,
        alpn: None,
        stall_timeout: Duration::from_secs(30),
        proxies: Vec::new(),
        drain_timeout: Duration::from_secs(60),
    };
    change(&mut settings);
    let (sender, wakers) = mpsc::channel();
    let service = Arc::new(EchoService { wakers: Mutex::new(sender) });
    Setup { server: start(settings, service, Log::discard()).unwrap(), wakers, _folder: folder }
}

fn connect(setup: &Setup) -> BufReader<TcpStream> {
    let mut client = connect_silently(setup, 0);
    assert_eq!(read_line(&mut client), "hello");
    client
}

fn connect_silently(setup: &Setup, listener: usize) -> BufReader<TcpStream> {
    let socket = TcpStream::connect(setup.server.address(listener)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    BufReader::new(socket)
}

fn read_line(client: &mut impl BufRead) -> String {
    let mut line = String::new();
    client.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

fn send(client: &mut BufReader<TcpStream>, text: &str) {
    client.get_mut().write_all(text.as_bytes()).unwrap();
}

fn ask(client: &mut BufReader<TcpStream>, line: &str) -> String {
    send(client, &format!("{line}\r\n"));
    read_line(client)
}

fn tls(socket: TcpStream) -> BufReader<SslStream<TcpStream>> {
    let mut builder = SslConnector::builder(SslMethod::tls_client()).unwrap();
    builder.set_verify(SslVerifyMode::NONE);
    let mut config = builder.build().configure().unwrap();
    config.set_verify_hostname(false);
    BufReader::new(config.connect("localhost", socket).unwrap())
}

#[test]
fn two_thousand_pipelined_commands_are_answered_in_order() {
    let setup = set_up(|_| {});
    let mut client = connect(&setup);
    let text: String = (0..2000).map(|n| format!("n{n}\r\n")).collect();
    send(&mut client, &text);
    for n in 0..2000 {
        assert_eq!(read_line(&mut client), format!("n{n}"));
    }
}

#[test]
fn content_and_lines_may_be_cut_anywhere() {
    let setup = set_up(|_| {});
    let mut client = connect(&setup);
    client.get_ref().set_nodelay(true).unwrap();
    for byte in b"content 5\r\na\r\nbccontent 0\r\nbare\nend\r\n" {
        client.get_mut().write_all(&[*byte]).unwrap();
    }
    for expected in ["a", "bc", "", "bare bare", "end"] {
        assert_eq!(read_line(&mut client), expected);
    }
}

#[test]
fn a_long_answer_waits_for_its_reader_in_bounded_memory() {
    let setup = set_up(|_| {});
    let mut slow = connect(&setup);
    send(&mut slow, "long 20000000\r\n");
    let mut other = connect(&setup);
    assert_eq!(ask(&mut other, "still served"), "still served");
    let line = read_line(&mut slow);
    assert_eq!(line.len(), 20_000_004);
    assert_eq!(ask(&mut slow, "again"), "again");
}

#[test]
fn starttls_works_and_the_session_goes_on_under_it() {
    let setup = set_up(|_| {});
    let mut client = connect(&setup);
    assert_eq!(ask(&mut client, "starttls"), "go ahead");
    let mut client = tls(client.into_inner());
    let text: String = (0..500).map(|n| format!("n{n}\r\n")).collect();
    client.get_mut().write_all(text.as_bytes()).unwrap();
    for n in 0..500 {
        assert_eq!(read_line(&mut client), format!("n{n}"));
    }
    client.get_mut().write_all(b"long 1000000\r\n").unwrap();
    assert_eq!(read_line(&mut client).len(), 1_000_004);
    client.get_mut().write_all(b"quit\r\n").unwrap();
    assert_eq!(read_line(&mut client), "bye");
    assert_eq!(client.read(&mut [0; 1]).unwrap(), 0, "close_notify, then the end");
}

#[test]
fn plain_text_behind_starttls_closes_the_connection() {
    let setup = set_up(|_| {});
    let mut client = connect(&setup);
    send(&mut client, "starttls\r\ninjected\r\n");
    let mut rest = String::new();
    let _ = client.read_to_string(&mut rest); // a reset is as good
    assert!(!rest.contains("injected"), "{rest}");
}

#[test]
fn implicit_tls_greets_after_the_handshake() {
    let setup = set_up(|_| {});
    let mut client = tls(connect_silently(&setup, 1).into_inner());
    assert_eq!(read_line(&mut client), "hello tls");
}

#[test]
fn silence_ends_a_session_after_its_idle_time() {
    let setup = set_up(|_| {});
    let mut client = connect(&setup);
    let since = Instant::now();
    assert_eq!(ask(&mut client, "idle 100"), "ok");
    assert_eq!(read_line(&mut client), "bye");
    assert!(since.elapsed() >= Duration::from_millis(90));
    assert_eq!(read_line(&mut client), "");
}

#[test]
fn a_pause_holds_no_thread_and_keeps_what_was_sent_meanwhile() {
    let setup = set_up(|settings| settings.max_threads = 1);
    let (mut for_long, mut paused) = (connect(&setup), connect(&setup));
    send(&mut for_long, "pause 3600000\r\nafter\r\n"); // longer than anybody waits here
    send(&mut paused, "pause 300\r\nafter\r\n");
    let mut other = connect(&setup);
    assert_eq!(ask(&mut other, "free"), "free");
    assert_eq!(read_line(&mut paused), "paused");
    assert_eq!(read_line(&mut paused), "after");
    setup.server.drain();
    assert_eq!(read_line(&mut for_long), "bye", "it was in its pause still");
}

#[test]
fn a_waker_wakes_an_idle_session_and_is_harmless_after_its_end() {
    let setup = set_up(|_| {});
    let mut client = connect(&setup);
    assert_eq!(ask(&mut client, "waker"), "ok");
    let waker = setup.wakers.recv().unwrap();
    waker.wake();
    assert_eq!(read_line(&mut client), "woken");
    assert_eq!(ask(&mut client, "quit"), "bye");
    assert_eq!(read_line(&mut client), "");
    waker.wake();
    let mut next = connect(&setup);
    assert_eq!(ask(&mut next, "mine"), "mine");
}

#[test]
fn above_max_sessions_there_is_no_banner_until_a_slot_is_free() {
    let setup = set_up(|settings| settings.max_sessions = Some(2));
    let mut first = connect(&setup);
    let _second = connect(&setup);
    let mut third = connect_silently(&setup, 0);
    third.get_ref().set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let error = third.get_mut().read(&mut [0; 1]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
    third.get_ref().set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    assert_eq!(ask(&mut first, "quit"), "bye");
    assert_eq!(read_line(&mut third), "hello");
}

#[test]
fn two_hundred_idle_sessions_share_two_threads() {
    let setup = set_up(|settings| (settings.max_threads, settings.fixed_threads) = (2, true));
    let mut clients: Vec<_> = (0..200).map(|_| connect(&setup)).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        assert_eq!(ask(client, &format!("n{n}")), format!("n{n}"));
    }
    assert_eq!(setup.server.threads(), 2);
}

#[test]
fn an_overlong_line_is_reported_once_and_the_session_goes_on() {
    let setup = set_up(|_| {});
    let mut client = connect(&setup);
    send(&mut client, &"x".repeat(1_000_000));
    assert_eq!(ask(&mut client, "x"), "too long");
    assert_eq!(ask(&mut client, "fine"), "fine");
}

#[test]
fn a_panic_ends_its_own_connection_only() {
    let setup = set_up(|_| {});
    let mut bystander = connect(&setup);
    let mut client = connect(&setup);
    send(&mut client, "panic\r\n");
    let mut rest = Vec::new();
    let _ = client.read_to_end(&mut rest);
    assert!(rest.is_empty());
    assert_eq!(ask(&mut bystander, "alive"), "alive");
}

#[test]
fn a_drain_says_goodbye_to_every_session_and_refuses_new_ones() {
    // On an address of its own: the port is free behind the end, and on 127.0.0.1 another test may get it.
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let setup = set_up(|settings| settings.listeners[0].address.set_ip([127, 77, high, low].into()));
    let address = setup.server.address(0);
    let mut clients: Vec<_> = (0..10).map(|_| connect(&setup)).collect();
    setup.server.drain();
    for client in &mut clients {
        assert_eq!(read_line(client), "bye");
        assert_eq!(read_line(client), "");
    }
    setup.server.stop();
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_peer_that_reads_nothing_is_given_up() {
    let setup = set_up(|settings| {
        settings.stall_timeout = Duration::from_millis(200);
        settings.max_sessions = Some(1);
    });
    let mut stalled = connect(&setup);
    send(&mut stalled, "long 50000000\r\n");
    let mut next = connect_silently(&setup, 0);
    assert_eq!(read_line(&mut next), "hello");
}

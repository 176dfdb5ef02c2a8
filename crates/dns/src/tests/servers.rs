//! Servers that do not answer, or do so badly: the next one is asked.

use super::*;
use black_box::stub_dns::Behaviour;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

/// Both on one port: one that is free for streams may be another program's for datagrams.
fn sockets() -> (TcpListener, UdpSocket) {
    loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        if let Ok(datagrams) = UdpSocket::bind(listener.local_addr().unwrap()) {
            return (listener, datagrams);
        }
    }
}

fn bad_then_good(behaviour: Behaviour) -> (StubDns, StubDns) {
    let records = [("example.test", "MX", 300, "10 mx.test")];
    let bad = StubDns::with(&[("example.test", "MX", 300, "10 forged.test")]);
    bad.behave(behaviour);
    (bad, StubDns::with(&records))
}

#[test]
fn a_server_that_fails_is_passed_over_at_once() {
    for behaviour in [Behaviour::ServFail, Behaviour::Refused, Behaviour::Referral] {
        let (bad, good) = bad_then_good(behaviour);
        let start = Instant::now();
        assert_eq!(
            hosts(forgetful(&[&bad, &good]).mx("example.test").unwrap()),
            ["mx.test"],
            "{behaviour:?}"
        );
        assert!(start.elapsed() < PATIENCE, "{behaviour:?} was waited for");
        assert_eq!(bad.count("example.test", "MX"), 1);
    }
}

#[test]
fn an_answer_to_something_else_is_not_listened_to() {
    let try_one = |behaviour| {
        let (bad, good) = bad_then_good(behaviour);
        let start = Instant::now();
        let list = impatient(&[&bad, &good]).mx("example.test").unwrap();
        assert_eq!(hosts(list), ["mx.test"], "{behaviour:?}");
        assert!((TIMEOUT..PATIENCE).contains(&start.elapsed()), "{behaviour:?}: {:?}", start.elapsed());
        counts([&bad, &good], "example.test", "MX", [1, 1]);
    };
    std::thread::scope(|scope| {
        for behaviour in [Behaviour::Silent, Behaviour::WrongId, Behaviour::WrongQuestion, Behaviour::Garbage]
        {
            scope.spawn(move || try_one(behaviour));
        }
    });
}

/// The true answer is heard after a forged one.
#[test]
fn forged_answers_do_not_end_the_wait() {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let servers = vec![socket.local_addr().unwrap()];
    let resolver = Resolver::new(Settings { servers, ..settings(&[]) }, Log::discard());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut buffer = [0; 512];
            let (length, from) = socket.recv_from(&mut buffer).unwrap();
            // NXDOMAIN with a SOA record, after the same under the next id and after rubbish.
            let end = buffer[..length].windows(5).position(|bytes| bytes == [0, 0, 15, 0, 1]).unwrap() + 5;
            let mut reply = buffer[..end].to_vec();
            reply[2..12].copy_from_slice(&[0x81, 0x83, 0, 1, 0, 0, 0, 1, 0, 0]);
            reply.extend([0, 0, 6, 0, 1, 0, 0, 0, 9, 0, 22, 0, 0]);
            reply.extend([0; 16].iter().chain(&[0, 0, 0, 9]));
            let mut forged = reply.clone();
            forged[1] ^= 1;
            socket.send_to(b"x", from).unwrap();
            socket.send_to(&forged[..7], from).unwrap();
            forged[3] = 0x80;
            socket.send_to(&forged, from).unwrap();
            socket.send_to(&reply, from).unwrap();
        });
        assert_eq!(resolver.mx("example.test"), Err(DnsError::NoSuchDomain));
    });
}

#[test]
fn a_closed_port_costs_no_time() {
    let closed = CLOSED.parse().unwrap();
    let good = StubDns::with(&[("example.test", "A", 300, "192.0.2.1")]);
    let servers = vec![closed, good.address()];
    let resolver = Resolver::new(Settings { servers, ..settings(&[]) }, Log::discard());
    let start = Instant::now();
    assert_eq!(resolver.addresses("example.test").unwrap().len(), 1);
    assert!(start.elapsed() < PATIENCE);
}

#[test]
fn nobody_who_answers_is_a_temporary_failure_with_each_reason() {
    let (silent, failing) = (StubDns::start(), StubDns::start());
    silent.behave(Behaviour::Silent);
    failing.behave(Behaviour::ServFail);
    let resolver = Resolver::new(
        Settings { tries: 2, timeout: TIMEOUT, ..settings(&[&silent, &failing]) },
        Log::discard(),
    );
    let start = Instant::now();
    let Err(DnsError::Temporary(why)) = resolver.mx("example.test") else { panic!() };
    assert!(start.elapsed() >= TIMEOUT * 2);
    let silence = format!("{}: no answer", silent.address());
    assert!(why.contains("example.test. MX") && why.contains(&silence), "{why}");
    assert!(why.contains(&format!("{}: Server Failure", failing.address())), "{why}");
    counts([&silent, &failing], "example.test", "MX", [2, 1]);
}

#[test]
fn without_a_server_everything_is_a_temporary_failure() {
    let resolver = resolver(&[]);
    assert_eq!(
        resolver.mx("example.test"),
        Err(DnsError::Temporary("there is no name server to ask".into()))
    );
}

#[test]
fn a_cut_answer_is_fetched_by_a_connection() {
    let (stub, other) = bad_then_good(Behaviour::Truncated);
    assert_eq!(hosts(resolver(&[&stub, &other]).mx("example.test").unwrap()), ["forged.test"]);
    let ways: Vec<bool> = stub.queries().iter().map(|query| query.tcp).collect();
    assert_eq!(ways, [false, true]);
    assert_eq!(other.queries(), []);
}

#[test]
fn an_answer_of_five_thousand_bytes_comes_whole() {
    let text = "x".repeat(5000);
    let stub = StubDns::with(&[("example.test", "TXT", 300, &text)]);
    assert_eq!(resolver(&[&stub]).txt("example.test").unwrap(), [text.into_bytes()]);
}

#[test]
fn a_cut_answer_that_cannot_be_fetched_is_no_answer() {
    let (bad, good) = bad_then_good(Behaviour::TruncatedWithoutTcp);
    assert_eq!(hosts(forgetful(&[&bad, &good]).mx("example.test").unwrap()), ["mx.test"]);
}

/// A connection on which a byte comes now and then does not hold a thread.
#[test]
fn the_time_limit_covers_a_connection_as_a_whole() {
    let (listener, datagrams) = sockets();
    let address = listener.local_addr().unwrap();
    let resolver =
        Resolver::new(Settings { servers: vec![address], timeout: TIMEOUT, ..settings(&[]) }, Log::discard());
    let start = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut buffer = [0; 512];
            let (length, from) = datagrams.recv_from(&mut buffer).unwrap();
            buffer[2..4].copy_from_slice(&[0x83, 0x80]);
            datagrams.send_to(&buffer[..length], from).unwrap();
            let (mut stream, _) = listener.accept().unwrap();
            // The length of a message that never comes; then wait until the other side gives up.
            std::io::Write::write_all(&mut stream, &[1, 0, 7]).unwrap();
            let _ = stream.read_to_end(&mut Vec::new());
        });
        assert!(matches!(resolver.mx("example.test"), Err(DnsError::Temporary(_))));
    });
    assert!(start.elapsed() < PATIENCE);
}

/// RFC 6891 §6.2.2
#[test]
fn a_server_that_does_not_know_edns_is_asked_without() {
    let (old, other) = bad_then_good(Behaviour::WithoutEdns);
    assert_eq!(hosts(resolver(&[&old, &other]).mx("example.test").unwrap()), ["forged.test"]);
    let edns: Vec<bool> = old.queries().iter().map(|query| query.edns).collect();
    assert_eq!(edns, [true, false]);
}

/// RFC 5452 §9: both the id and the port are new each time.
#[test]
fn nobody_can_foresee_the_next_query() {
    let stub = StubDns::with(&[("example.test", "MX", 300, "10 mx.test")]);
    let resolver = forgetful(&[&stub]);
    for _ in 0..64 {
        resolver.mx("example.test").unwrap();
    }
    let queries = stub.queries();
    let ids: std::collections::BTreeSet<u16> = queries.iter().map(|query| query.id).collect();
    let ports: std::collections::BTreeSet<u16> = queries.iter().map(|query| query.from.port()).collect();
    assert!(ids.len() > 56 && ports.len() > 32, "{} ids, {} ports", ids.len(), ports.len());
    assert!(!queries.windows(2).all(|two| two[1].id == two[0].id.wrapping_add(1)));
}

/// A name server over IPv6.
#[test]
fn a_server_may_have_an_ipv6_address() {
    if UdpSocket::bind("[::1]:0").is_err() {
        return; // the machine has no IPv6
    }
    let stub = StubDns::start_at("::1".parse().unwrap());
    stub.add("example.test", "AAAA", 300, "2001:db8::1");
    assert_eq!(resolver(&[&stub]).addresses("example.test").unwrap().len(), 1);
}

/// A server that cuts an answer in the middle of a record.
#[test]
fn a_cut_answer_need_not_be_whole_to_be_known_as_cut() {
    let (listener, datagrams) = sockets();
    let address = listener.local_addr().unwrap();
    let resolver = Resolver::new(Settings { servers: vec![address], ..settings(&[]) }, Log::discard());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut buffer = [0; 512];
            let (_, from) = datagrams.recv_from(&mut buffer).unwrap();
            buffer[2..8].copy_from_slice(&[0x83, 0x80, 0, 1, 0, 9]);
            datagrams.send_to(&buffer[..20], from).unwrap();
            drop(listener.accept().unwrap());
        });
        let Err(DnsError::Temporary(why)) = resolver.mx("example.test") else { panic!() };
        assert!(why.ends_with("connection closed") || why.contains("reset"), "{why}");
    });
}

/// S60: the administrator can find out why the order changed.
#[test]
fn a_demotion_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let instance = server_config::Instance::new(folder.path());
    let config = server_config::Config::from_text("logfile.smtp.loglevel = Information").unwrap();
    let settings_of_log = server_log::LogSettings::from_config(&config, &instance, "smtp");
    let log = Log::open("smtp", "smtpd", settings_of_log).unwrap();
    let closed = CLOSED.parse().unwrap();
    let good = StubDns::with(&[("example.test", "A", 300, "192.0.2.1")]);
    let servers = vec![closed, good.address()];
    let resolver = Resolver::new(Settings { servers, ..settings(&[]) }, log);
    assert_eq!(resolver.addresses("example.test").unwrap().len(), 1);
    let text = std::fs::read_to_string(instance.log_dir("smtp").join("smtp")).unwrap();
    let line = format!("Network Information: name server {closed} is put last: no server there\n");
    assert!(text.contains(&line), "{text}");
}

/// Who has less time than a server is given is told when it is over, whether it asks itself or waits for who does.
#[test]
fn a_look_up_ends_when_the_time_of_who_asks_is_over() {
    let silent = StubDns::with(&[]);
    silent.behave(Behaviour::Silent);
    let resolver = resolver(&[&silent]);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let start = Instant::now();
                let found = resolver.addresses_until("example.test", start + TIMEOUT);
                assert!(matches!(found, Err(DnsError::Temporary(_))), "{found:?}");
                assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
            });
        }
    });
    let over = resolver.addresses_until("other.test", Instant::now());
    assert!(matches!(over, Err(DnsError::Temporary(_))), "{over:?}");
    assert_eq!(silent.count("other.test", "A"), 0);
}

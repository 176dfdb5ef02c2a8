//! Connections that a proxy makes for its clients (PROXY protocol): who they are, and what is no header.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use black_box::instance::{IMAP, IMAPS, POP, SMTP, SUBMISSION};
use black_box::{Imap, Instance, Pop, Setup, Smtp, Wire};

/// An instance whose clients on loopback are proxies.
fn setup() -> Setup {
    ["smtp", "imap", "pop"].iter().fold(Setup::default(), |setup, service| {
        setup.set(&format!("local.service.{service}.proxynetworks"), "127.0.0.0/8")
    })
}

/// Version 2 for a client with this IPv4 address.
fn v2(address: [u8; 4]) -> Vec<u8> {
    header(1, 0x11, &[&address[..], &[192, 0, 2, 250, 0x9c, 0x40, 0, 25], &[4, 0, 3, 1, 2, 3]].concat())
}

fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n".as_slice(), &[0x20 | command, family], &length, rest].concat()
}

fn proxied(instance: &Instance, port: u16, header: &[u8]) -> TcpStream {
    let mut stream = instance.connect(port);
    stream.write_all(header).unwrap();
    stream
}

/// X12: who is not on this host says a password inside TLS only, whatever the password is.
#[test]
fn off_this_host_a_password_is_said_inside_tls_only() {
    let instance = setup().start();
    let ca = instance.path("config/certs/server.crt");
    let from = v2([192, 0, 2, 7]);
    let plain = "AHB3AA=="; // what it says is not looked at
    let mut imap = Imap::open(proxied(&instance, IMAP, &from));
    let offered = imap.ok("CAPABILITY").join(" ");
    assert!(offered.contains("LOGINDISABLED") && !offered.contains("AUTH="), "{offered}");
    for command in ["LOGIN alice alice-secret".to_owned(), format!("AUTHENTICATE PLAIN {plain}")] {
        let answer = imap.command(&command).1;
        assert!(answer.starts_with("NO") && !answer.contains("AUTHENTICATIONFAILED"), "{answer}");
    }
    let mut pop = Pop::open(proxied(&instance, POP, &from));
    let offered = pop.lines("CAPA").join(" ");
    assert!(!offered.contains("USER") && !offered.contains("SASL"), "{offered}");
    pop.refused("USER alice");
    pop.refused(&format!("AUTH PLAIN {plain}"));
    for port in [SMTP, SUBMISSION] {
        let mut smtp = Smtp::open(proxied(&instance, port, &from));
        assert!(!smtp.ok("EHLO client.example.org").contains("AUTH"), "{port}");
        assert!(smtp.ask(&format!("AUTH PLAIN {plain}")).starts_with('5'), "{port}");
    }
    // The same clients, once the line is safe.
    imap.ok("STARTTLS");
    let mut imap = Imap::resumed(imap.wire.start_tls(&ca));
    imap.ok("LOGIN alice alice-secret");
    pop.ok("STLS");
    let mut pop = Pop { wire: pop.wire.start_tls(&ca), greeting: pop.greeting };
    pop.ok("USER alice");
    pop.ok("PASS alice-secret");
}

#[test]
fn the_client_is_who_the_proxy_says() {
    let instance = setup().start();
    for (header, address) in [
        (v2([192, 0, 2, 1]), "192.0.2.1"),
        (b"PROXY TCP4 192.0.2.2 192.0.2.250 40000 25\r\n".to_vec(), "192.0.2.2"),
        (b"PROXY TCP6 2001:db8::3 2001:db8::250 40000 25\r\n".to_vec(), "2001:db8::3"),
        (header(0, 0, b"skipped"), "127.0.0.1"),
        (header(1, 0, b""), "127.0.0.1"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
    ] {
        let mut smtp = Smtp::open(proxied(&instance, SMTP, &header));
        smtp.ok("EHLO client.example.org");
        smtp.send_message("a@x.example", &["alice@example.test"], "Subject: x\r\n\r\ny\r\n");
        let line = format!("client=client.example.org [{address}]");
        assert!(instance.log("smtp").contains(&line), "{line} in {}", instance.log("smtp"));
    }
    let mut imap = Imap::open(proxied(&instance, IMAP, &v2([192, 0, 2, 4])));
    imap.refused("LOGIN alice wrong"); // and off loopback in plain text
    let mut pop = Pop::open(proxied(&instance, POP, &v2([192, 0, 2, 5])));
    pop.ok("CAPA");
    // TLS follows at once, in the same packets.
    let stream = proxied(&instance, IMAPS, &v2([192, 0, 2, 6]));
    let mut imap = Imap::over(Wire::tls(stream, &instance.path("config/certs/server.crt")));
    imap.ok("LOGIN alice alice-secret");
    assert!(instance.log("imap").contains("192.0.2.6"), "{}", instance.log("imap"));
}

#[test]
fn a_header_may_come_slowly_and_nothing_is_said_before_it() {
    let instance = setup().start();
    let mut stream = instance.connect(SMTP);
    let mut all = v2([192, 0, 2, 1]);
    all.extend_from_slice(b"NOOP\r\n");
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut byte = [0];
    assert!(stream.peek(&mut byte).is_err(), "no banner yet");
    stream.set_read_timeout(None).unwrap();
    stream.set_nodelay(true).unwrap();
    for piece in all.chunks(3) {
        stream.write_all(piece).unwrap();
        std::thread::sleep(Duration::from_millis(5)); // paced: pieces in packets of their own // paced: a header that comes in pieces
    }
    let mut smtp = Smtp::open(stream);
    assert!(smtp.greeting.starts_with("220"));
    assert!(smtp.reply().starts_with("250"), "what came behind it is run");
}

#[test]
fn what_is_no_header_is_closed_with_a_line_in_the_log() {
    let instance = setup().start();
    for wrong in
        [b"EHLO client.example.org\r\n".to_vec(), header(1, 0x11, b"short"), header(7, 0x11, &[0; 12])]
    {
        let mut wire = Wire::plain(proxied(&instance, SMTP, &wrong));
        assert_eq!(wire.try_line(), None, "{wrong:?}");
    }
    let log = instance.log("smtp");
    for why in ["no PROXY header", "without its addresses", "unknown command"] {
        assert!(log.contains(&format!("refused: [127.0.0.1] {why}")) || log.contains(why), "{why} in {log}");
    }
    let began = Instant::now();
    let mut silent = Wire::plain(instance.connect(POP));
    assert_eq!(silent.try_line(), None);
    assert!(began.elapsed() >= Duration::from_secs(9) && began.elapsed() < Duration::from_secs(60));
    assert!(instance.log("pop").contains("no PROXY header in time"), "{}", instance.log("pop"));
}

#[test]
fn from_others_a_header_is_garbage() {
    let instance = Setup::default().set("local.service.smtp.proxynetworks", "192.0.2.0/24").start();
    let mut smtp = instance.smtp();
    assert!(smtp.ask("PROXY TCP4 192.0.2.1 192.0.2.250 40000 25").starts_with("500"));
    smtp.ok("EHLO client.example.org");
    smtp.send_message("a@x.example", &["alice@example.test"], "\r\ny\r\n");
    assert!(instance.log("smtp").contains("[127.0.0.1]"));
}

#[test]
fn limits_and_filters_are_about_the_client_and_not_about_the_proxy() {
    let instance = setup()
        .set("local.service.networkconnections", "2")
        .set("service.smtp.domainnotallowed", "192.0.2.66")
        .start();
    let open = |address| Smtp::open(proxied(&instance, SMTP, &v2(address)));
    let (first, second) = (open([192, 0, 2, 1]), open([192, 0, 2, 1]));
    assert!(first.greeting.starts_with("220") && second.greeting.starts_with("220"));
    assert!(open([192, 0, 2, 1]).greeting.starts_with("421 4.7.0 Too many connections"));
    let others: Vec<Smtp> = (2..7).map(|number| open([192, 0, 2, number])).collect();
    assert!(others.iter().all(|smtp| smtp.greeting.starts_with("220")), "others are not concerned");
    drop(first);
    black_box::instance::wait_for("a place again", || {
        open([192, 0, 2, 1]).greeting.starts_with("220").then_some(())
    });
    assert!(open([192, 0, 2, 66]).greeting.starts_with("554"), "not allowed from there");
    let log = instance.log("smtp");
    assert!(log.contains("refused: [192.0.2.1] too many connections"), "{log}");
}

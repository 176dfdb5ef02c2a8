//! How soon the services of this host answer a connection, in seconds, one after another. Who was stopped has no pid file and
//! is not missed; who died has one.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use base::network::Network;
use dispatcher::daemon::Site;
use server_config::Config;
use server_config::parameters::{service, service_http, service_imap, service_pop, service_smtp};

use super::Seen;

/// The longest that one answer is waited for, and the shortest.
const WAIT_MAX: u64 = 60;
const WAIT_MIN: u64 = 5;

/// Where a service answers.
struct Door {
    service: &'static str,
    port: u16,
    /// TLS comes first there, and nobody speaks it here: to be accepted is the answer.
    is_tls: bool,
    /// What is said first to hear something.
    asks: &'static str,
    /// What is said then.
    leaves: &'static str,
}

pub(super) fn look(site: &Site, config: &Config, threshold: u64) -> Vec<Seen> {
    let wait = Duration::from_secs(threshold.saturating_add(1).clamp(WAIT_MIN, WAIT_MAX));
    let address = dispatcher::daemon::listen_addresses(config).ok().and_then(|all| all.first().copied());
    let address = address.filter(|ip| !ip.is_unspecified()).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let run = site.instance.run_dir();
    let runs = |door: &Door| run.join(format!("{}.pid", door.service)).exists();
    doors(config).into_iter().filter(runs).map(|door| ask(&door, address, config, wait)).collect()
}

/// One for each service that listens: the port in clear, where there is one.
fn doors(config: &Config) -> Vec<Door> {
    let http = ("HEAD / HTTP/1.0\r\nHost: localhost\r\n\r\n", "");
    let kinds = [
        (
            "smtp",
            [config.get(&service_smtp::PORT), config.get(&service_smtp::SUBMISSION_PORT)],
            0,
            ("", "QUIT\r\n"),
        ),
        (
            "imap",
            [config.get(&service_imap::PORT), 0],
            tls(config.get(&service_imap::ENABLE_SSL_PORT), config.get(&service_imap::SSL_PORT)),
            ("", "a LOGOUT\r\n"),
        ),
        (
            "pop",
            [config.get(&service_pop::PORT), 0],
            tls(config.get(&service_pop::ENABLE_SSL_PORT), config.get(&service_pop::SSL_PORT)),
            ("", "QUIT\r\n"),
        ),
        (
            "http",
            [config.get(&service_http::PORT), 0],
            tls(config.get(&service_http::ENABLE_SSL_PORT), config.get(&service_http::SSL_PORT)),
            http,
        ),
    ];
    let door = |(service, clear, tls, (asks, leaves)): (&'static str, [u16; 2], u16, _)| {
        let in_clear = clear.into_iter().find(|port| *port != 0);
        let port = in_clear.or((tls != 0).then_some(tls))?;
        Some(Door { service, port, is_tls: in_clear.is_none(), asks, leaves })
    };
    kinds.into_iter().filter_map(door).collect()
}

fn tls(enabled: bool, port: u16) -> u16 {
    if enabled { port } else { 0 }
}

fn ask(door: &Door, address: IpAddr, config: &Config, wait: Duration) -> Seen {
    let begun = Instant::now();
    let answered = answer(door, SocketAddr::new(address, door.port), config, wait);
    let took = if answered.is_ok() { begun.elapsed() } else { wait };
    Seen { instance: door.service.to_owned(), value: took.as_secs(), is_lost: answered.is_err() }
}

/// Whatever it says is an answer, a refusal too.
fn answer(door: &Door, address: SocketAddr, config: &Config, wait: Duration) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, wait)?;
    if door.is_tls {
        return Ok(());
    }
    stream.set_read_timeout(Some(wait))?;
    stream.set_write_timeout(Some(wait))?;
    let proxies: Vec<Network> = config.get_in(&service::PROXY_NETWORKS, door.service);
    let own = stream.local_addr()?.ip();
    if proxies.iter().any(|network| network.contains(own)) {
        stream.write_all(b"PROXY UNKNOWN\r\n")?; // it speaks for itself
    }
    stream.write_all(door.asks.as_bytes())?;
    let mut first = [0; 1024];
    if stream.read(&mut first)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let _ = stream.write_all(door.leaves.as_bytes());
    let _ = stream.shutdown(Shutdown::Write);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn door(port: u16) -> Door {
        Door { service: "pop", port, is_tls: false, asks: "", leaves: "QUIT\r\n" }
    }

    #[test]
    fn who_is_silent_or_not_there_is_lost_and_who_speaks_is_not() {
        let config = Config::from_text("").unwrap();
        let home = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let listener = TcpListener::bind((home, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let silent = ask(&door(port), home, &config, Duration::from_millis(200));
        assert!(silent.is_lost);
        let speaker = std::thread::spawn(move || {
            drop(listener.accept()); // of before
            listener.accept().unwrap().0.write_all(b"+OK\r\n").unwrap();
        });
        let spoke = ask(&door(port), home, &config, Duration::from_secs(30));
        assert!(!spoke.is_lost && spoke.value < 30);
        speaker.join().unwrap();
        let kept = os::net::bind((home, 0).into()).unwrap();
        let port = kept.local_addr().unwrap().port();
        assert!(ask(&door(port), home, &config, Duration::from_secs(60)).is_lost, "nobody listens there");
    }

    #[test]
    fn the_port_in_clear_is_asked_and_that_of_tls_where_there_is_no_other() {
        let text = "service.imap.port = 0\nservice.imap.enablesslport = yes\nservice.pop.port = 0\nservice.smtp.port = 0\n";
        let found = doors(&Config::from_text(text).unwrap());
        let found: Vec<_> = found.iter().map(|door| (door.service, door.port, door.is_tls)).collect();
        assert_eq!(found, [("smtp", 587, false), ("imap", 993, true), ("http", 80, false)]);
    }
}

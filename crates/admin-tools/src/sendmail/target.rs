//! Where sendmail submits (S93, S94), looked up at each run (S95).
//!
//! // NMS: guide L541 to L550. Port: `local.service.sendmail.port`, `service.smtp.port`, smtp/tcp of services(5), 25.
//! Address: `local.service.sendmail.listenaddr`, `service.listenaddr`, localhost.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;

use server_config::Config;
use server_config::parameters::{local, service, service_smtp};

use super::exit::{self, Failure};

const SERVICES: &str = "/etc/services";
/// The port of SMTP (RFC 5321 §4.5.4.2).
const SMTP: u16 = 25;

/// The addresses to try, in order.
///
/// # Errors
/// The host has none.
pub fn addresses(config: &Config) -> Result<Vec<SocketAddr>, Failure> {
    let (host, port) = (host(config), port(config, Path::new(SERVICES)));
    let found: Vec<SocketAddr> = (host.as_str(), port)
        .to_socket_addrs()
        .map_err(|why| Failure::new(exit::NOHOST, format!("{host}: {why}")))?
        .collect();
    if found.is_empty() {
        return Err(Failure::new(exit::NOHOST, format!("{host} has no address")));
    }
    Ok(found)
}

fn host(config: &Config) -> String {
    let set = [config.get(&local::SENDMAIL_ADDR), config.get(&service::LISTEN_ADDRESS)];
    set.into_iter().find(|host| !host.is_empty()).unwrap_or_else(|| "localhost".into())
}

fn port(config: &Config, services: &Path) -> u16 {
    let own = config.get(&local::SENDMAIL_PORT);
    // A port of 0 means that smtpd does not listen for other servers: it says nothing about where it does.
    let of_smtpd = config.get_set(&service_smtp::PORT).filter(|port| *port != 0);
    own.or(of_smtpd).or_else(|| of_services(services)).unwrap_or(SMTP)
}

/// The port of smtp/tcp, by its name or an alias.
fn of_services(path: &Path) -> Option<u16> {
    let text = std::fs::read(path).ok()?;
    String::from_utf8_lossy(&text).lines().find_map(|line| {
        let mut words = line.split('#').next().unwrap_or("").split_whitespace();
        let (name, port) = (words.next()?, words.next()?);
        let port = port.strip_suffix("/tcp")?;
        (name == "smtp" || words.any(|alias| alias == "smtp")).then(|| port.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S93: one after the other is taken away.
    #[test]
    fn the_port_comes_from_the_first_of_four_that_says_one() {
        let folder = tempfile::tempdir().unwrap();
        let services = folder.path().join("services");
        std::fs::write(&services, "# smtp 7/tcp\nsmtps 465/tcp\nsmtp\t\t26/udp\nsmtp 2600/tcp mail # x\n")
            .unwrap();
        let config = |text: &str| Config::from_text(text).unwrap();
        let both = "local.service.sendmail.port = 2400\nservice.smtp.port = 2500\n";
        assert_eq!(port(&config(both), &services), 2400);
        assert_eq!(port(&config("service.smtp.port = 2500\n"), &services), 2500);
        assert_eq!(port(&config("service.smtp.port = 0\n"), &services), 2600);
        assert_eq!(port(&config(""), &services), 2600);
        std::fs::write(&services, "mail 2700/tcp smtp\n").unwrap();
        assert_eq!(port(&config(""), &services), 2700);
        std::fs::write(&services, "smtp 99999/tcp\nsmtp\n").unwrap();
        assert_eq!(port(&config(""), &services), 25);
        assert_eq!(port(&config(""), &folder.path().join("none")), 25);
    }

    /// S94.
    #[test]
    fn the_host_comes_from_the_first_of_three_that_says_one() {
        let config = |text: &str| Config::from_text(text).unwrap();
        let both = "local.service.sendmail.listenaddr = 127.0.0.3\nservice.listenaddr = 127.0.0.2\n";
        assert_eq!(host(&config(both)), "127.0.0.3");
        assert_eq!(host(&config("service.listenaddr = 127.0.0.2\n")), "127.0.0.2");
        assert_eq!(host(&config("")), "localhost");
    }
}

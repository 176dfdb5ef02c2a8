//! Where a helper service listens: a TCP port of a host or a Unix socket.

use std::fmt;
use std::path::PathBuf;

/// Bytes of the path of a Unix socket (unix(7): 108 with the final NUL).
const PATH_BYTES_MAX: usize = 107;

/// An address as sendmail and Postfix write those of milters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `inet:PORT@HOST` or `inet:HOST:PORT`: an IPv4 address, or a name, of which the IPv4 addresses count.
    Inet { host: String, port: u16 },
    /// `inet6:PORT@HOST` or `inet6:[HOST]:PORT`: the same with IPv6.
    Inet6 { host: String, port: u16 },
    /// `unix:/PATH` or `local:/PATH`
    Unix(PathBuf),
}

impl Endpoint {
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Endpoint, String> {
        let forms = "inet:PORT@HOST, inet:HOST:PORT, inet6:PORT@HOST, inet6:[HOST]:PORT or unix:/PATH";
        let wrong = || format!("'{text}' is not {forms}");
        let (kind, rest) = text.trim().split_once(':').ok_or_else(wrong)?;
        match kind.to_ascii_lowercase().as_str() {
            "unix" | "local" if rest.len() > PATH_BYTES_MAX => {
                Err(format!("the path of a socket has {PATH_BYTES_MAX} bytes at most"))
            }
            "unix" | "local" if rest.starts_with('/') => Ok(Endpoint::Unix(PathBuf::from(rest))),
            "inet" => host_and_port(rest).map(|(host, port)| Endpoint::Inet { host, port }).ok_or_else(wrong),
            "inet6" => {
                host_and_port(rest).map(|(host, port)| Endpoint::Inet6 { host, port }).ok_or_else(wrong)
            }
            _ => Err(wrong()),
        }
    }
}

fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = match text.split_once('@') {
        Some((port, host)) => (host, port),
        None => text.rsplit_once(':')?,
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:%".contains(&byte);
    let port = port.parse::<u16>().ok().filter(|port| *port != 0)?;
    (!host.is_empty() && host.bytes().all(good)).then(|| (host.to_owned(), port))
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Inet { host, port } => write!(f, "inet:{host}:{port}"),
            Endpoint::Inet6 { host, port } => write!(f, "inet6:[{host}]:{port}"),
            Endpoint::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_writing_a_port_are_understood() {
        for (text, shown) in [
            ("inet:8891@localhost", "inet:localhost:8891"),
            ("inet:127.0.0.1:8891", "inet:127.0.0.1:8891"),
            ("INET:8891@127.0.0.1", "inet:127.0.0.1:8891"),
            ("inet6:8891@::1", "inet6:[::1]:8891"),
            ("inet6:[::1]:8891", "inet6:[::1]:8891"),
            ("unix:/run/a.sock", "unix:/run/a.sock"),
            ("local:/run/a.sock", "unix:/run/a.sock"),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap().to_string(), shown, "{text}");
        }
        let long = format!("unix:/{}", "a".repeat(PATH_BYTES_MAX));
        let wrong = [
            "",
            "localhost:8891",
            "inet:",
            "inet:0@a",
            "inet:a",
            "inet:x@a",
            "inet:99999@a",
            "unix:a",
            "inet:1@a b",
            &long,
        ];
        for wrong in wrong {
            assert!(Endpoint::parse(wrong).is_err(), "{wrong}");
        }
    }
}

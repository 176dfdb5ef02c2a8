//! One GET of one policy over HTTPS (RFC 8461 §3.3): the certificate is one for `mta-sts.<domain>` from a trusted
//! authority, no redirection is followed, and all of it comes before a moment.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use http_client::{Call, Failure, Safety};
use http_wire::answer::Answer;

use crate::Policy;
use crate::policies::Fault;

/// Bytes of a policy at most; RFC 8461 §3.3 suggests 64 KiB.
const BODY_BYTES_MAX: u64 = 64 * 1024;
/// Addresses of the policy's host that are tried.
const ADDRESSES_MAX: usize = 3;

/// Where a policy is fetched from.
pub(crate) struct Place<'a> {
    /// `mta-sts.<domain>`
    pub host: &'a str,
    /// Those that may be connected to.
    pub addresses: Vec<IpAddr>,
    pub port: u16,
    pub authorities: Option<&'a Path>,
    /// From the first packet to the last byte.
    pub limit: Duration,
}

/// # Errors
/// Of which kind, and one clause.
pub(crate) fn policy(place: &Place<'_>) -> Result<Policy, (Fault, String)> {
    let until = Instant::now() + place.limit;
    let mut last = (Fault::Fetch, "it has no address of the Internet".to_owned());
    for address in place.addresses.iter().take(ADDRESSES_MAX) {
        match get(place, SocketAddr::new(*address, place.port), until) {
            Ok(text) => return Policy::parse(&text).map_err(|why| (Fault::Invalid, why)),
            Err(why) => last = why,
        }
    }
    Err(last)
}

fn get(place: &Place<'_>, address: SocketAddr, until: Instant) -> Result<String, (Fault, String)> {
    let failed = |why: String| (Fault::Fetch, why);
    let port = if place.port == 443 { String::new() } else { format!(":{}", place.port) };
    let request = format!(
        "GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: {}{port}\r\nUser-Agent: Mailboat\r\nAccept: text/plain\r\n\
         Connection: close\r\n\r\n",
        place.host
    );
    let safety = Safety::Tls { name: place.host, authorities: place.authorities };
    let call = Call { address, safety, until, body_bytes_max: BODY_BYTES_MAX };
    let answer = call.send(request.as_bytes()).map_err(|why| {
        let fault = if matches!(why, Failure::Certificate(_)) { Fault::WebPki } else { Fault::Fetch };
        (fault, why.to_string())
    })?;
    judge(&answer).map_err(failed)?;
    String::from_utf8(answer.body).map_err(|_| (Fault::Invalid, "it is not text".into()))
}

/// A 200 of type text/plain (RFC 8461 §3.2). No other status is good, redirections neither (§3.3).
fn judge(answer: &Answer) -> Result<(), String> {
    if answer.status != 200 {
        return Err(format!("status {}", answer.status));
    }
    if answer.media_type().as_deref() != Some("text/plain") {
        return Err("it is not text/plain".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_200_of_plain_text_is_a_policy() {
        let judge = |head: &str| {
            let text = format!("HTTP/1.1 {head}\r\nContent-Length: 1\r\n\r\nx");
            super::judge(&http_wire::answer::read(&mut text.as_bytes(), "GET", BODY_BYTES_MAX).unwrap())
        };
        assert_eq!(judge("200 OK\r\nContent-Type: Text/Plain; charset=utf-8"), Ok(()));
        for (head, why) in [
            ("301 Moved\r\nContent-Type: text/plain\r\nLocation: https://x/", "status 301"),
            ("404 No\r\nContent-Type: text/plain", "status 404"),
            ("200 OK\r\nContent-Type: text/html", "text/plain"),
            ("200 OK\r\nX: y", "text/plain"),
        ] {
            assert!(judge(head).unwrap_err().contains(why), "{head}");
        }
    }
}

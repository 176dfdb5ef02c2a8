//! Images of other hosts, fetched for a reader who wants to see them: the sender learns neither the reader's address nor their
//! browser, nor more than that the mail is read.
//!
//! Only addresses that this host made are fetched (a message authentication code over user and URL), only from port 80 and
//! 443 of addresses of the Internet that are not this host's own, and the address that was looked at is the one connected to; each redirection begins
//! anew. Nothing is sent but the request: no cookie, no referrer. What comes back is passed on if it is a raster image by its
//! own bytes, under that type. Fetching is done aside (`aside.rs`): it holds no worker.

mod address;

use std::fs;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use base::network::Network;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dns::Resolver;
use http_client::{Call, Failure, Safety};
use http_wire::answer::Answer;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;

use address::{Host, Url};

use crate::response::Cache;
use crate::session::Desk;
use crate::{Body, Request, Response, raster};

/// From the first look-up to the last byte, redirections included.
const TIME_MAX: Duration = Duration::from_secs(15);
const REDIRECTS_MAX: usize = 4;
/// Bytes of an image.
const BODY_BYTES_MAX: u64 = 10 << 20;
/// Addresses of a host that are tried.
const ADDRESSES_MAX: usize = 2;
/// How long a browser keeps an image.
const KEPT_SECONDS: u32 = 24 * 3600;
/// Bytes of the code in an address.
const CODE_BYTES: usize = 16;

/// See the module.
pub struct ImageProxy {
    key: Vec<u8>,
    resolver: Resolver,
    /// Internal networks that may be asked all the same.
    admitted: Vec<Network>,
}

impl ImageProxy {
    /// `run_dir` keeps the key, so that all processes have the same and a page outlives a restart.
    ///
    /// # Errors
    /// The system's.
    pub fn open(run_dir: &Path, resolver: Resolver, admitted: Vec<Network>) -> io::Result<ImageProxy> {
        Ok(ImageProxy { key: key(&run_dir.join("image-proxy.key"))?, resolver, admitted })
    }

    /// The address on this host from which a user is given the image at `url`. None: such a URL is not fetched.
    pub fn address(&self, uid: &str, url: &str) -> Option<String> {
        Url::parse(url)?;
        let name = URL_SAFE_NO_PAD.encode(url);
        let own = format!("/image/{}/{name}", self.code(uid, url)?);
        (own.len() <= address::URL_BYTES_MAX).then_some(own)
    }

    fn code(&self, uid: &str, url: &str) -> Option<String> {
        let made = PKey::hmac(&self.key).and_then(|key| {
            let mut signer = Signer::new(MessageDigest::sha256(), &key)?;
            signer.update(uid.as_bytes())?;
            signer.update(&[0])?;
            signer.update(url.as_bytes())?;
            signer.sign_to_vec()
        });
        made.ok().map(|code| base::hex::encode(&code[..CODE_BYTES]))
    }

    /// The image, by its own type.
    fn fetch(&self, url: Url) -> Result<(&'static str, Vec<u8>), &'static str> {
        let until = Instant::now() + TIME_MAX;
        let mut url = url;
        for _ in 0..=REDIRECTS_MAX {
            let answer = self.get(&url, until)?;
            match (answer.status, answer.field("location")) {
                (301 | 302 | 303 | 307 | 308, Some(location)) => {
                    url = url.follow(location).ok_or("it leads where nothing is fetched")?;
                }
                (200, _) => {
                    let kind = raster::kind(&answer.body).ok_or("it is no image")?;
                    return if raster::is_bomb(&answer.body) {
                        Err("it has too many pixels")
                    } else {
                        Ok((kind, answer.body))
                    };
                }
                _ => return Err("there is no image"),
            }
        }
        Err("it leads on and on")
    }

    fn get(&self, url: &Url, until: Instant) -> Result<Answer, &'static str> {
        let addresses = match &url.host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => {
                self.resolver.addresses_until(name, until).map_err(|_| "its host is not known")?
            }
        };
        let mut last = "its host has no address of the Internet";
        let own = os::net::own_addresses().map_err(|_| "it is not known which addresses are this host's")?;
        let admitted = |address: &IpAddr| self.admits(*address, &own);
        for address in addresses.into_iter().filter(admitted).take(ADDRESSES_MAX) {
            match get_from(url, SocketAddr::new(address.to_canonical(), url.port), until) {
                Ok(answer) => return Ok(answer),
                Err(why) => last = why,
            }
        }
        Err(last)
    }

    /// `own`: the addresses of this host, on which services may listen that are for nobody else, whatever network they are of.
    fn admits(&self, address: IpAddr, own: &[IpAddr]) -> bool {
        let address = address.to_canonical();
        let is_outside = address::is_outside(address) && !own.contains(&address);
        is_outside || self.admitted.iter().any(|network| network.contains(address))
    }
}

/// `GET /image/{code}/{url}`
pub fn image(desk: &Desk, request: &Request) -> Response {
    let (Some(proxy), Some(visitor)) = (&desk.images, &request.visitor) else { return none() };
    let bytes = URL_SAFE_NO_PAD.decode(request.parameter(1)).unwrap_or_default();
    let Ok(text) = String::from_utf8(bytes) else { return none() };
    let code = proxy.code(&visitor.uid, &text).unwrap_or_default();
    let given = request.parameter(0);
    if code.len() != given.len() || !openssl::memcmp::eq(code.as_bytes(), given.as_bytes()) {
        return none();
    }
    let Some(url) = Url::parse(&text) else { return none() };
    match proxy.fetch(url) {
        Ok((kind, bytes)) => Response::of(200, kind, Body::Bytes(bytes)).cache(Cache::Private(KEPT_SECONDS)),
        Err(why) => Response::plain_problem(502, why),
    }
}

fn none() -> Response {
    Response::plain_problem(404, "there is no such image")
}

fn get_from(url: &Url, address: SocketAddr, until: Instant) -> Result<Answer, &'static str> {
    let name = match &url.host {
        Host::Name(name) => name.clone(),
        Host::Address(address) => address.to_string(),
    };
    let safety = if url.is_tls { Safety::Tls { name: &name, authorities: None } } else { Safety::Plain };
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: Mailboat\r\nAccept: image/avif,image/webp,image/png,image/jpeg,image/gif\r\n\
         Accept-Encoding: identity\r\nConnection: close\r\n\r\n",
        url.target,
        url.host_field()
    );
    let call = Call { address, safety, until, body_bytes_max: BODY_BYTES_MAX };
    call.send(request.as_bytes()).map_err(|why| match why {
        Failure::Certificate(_) => "its host cannot prove who it is",
        Failure::Other(_) => "its host gives no answer that can be used",
    })
}

/// The key in a file that all processes share; made by whoever comes first.
fn key(path: &Path) -> io::Result<Vec<u8>> {
    if let Ok(bytes) = fs::read(path) {
        if bytes.len() == 32 {
            return Ok(bytes);
        }
        fs::remove_file(path)?; // cut off by a crash
    }
    let mut bytes = vec![0; 32];
    openssl::rand::rand_bytes(&mut bytes).map_err(io::Error::other)?;
    let new = path.with_extension(format!("new.{}", std::process::id()));
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&bytes)?;
    let linked = fs::hard_link(&new, path);
    fs::remove_file(&new)?;
    match linked {
        Err(why) if why.kind() != io::ErrorKind::AlreadyExists => Err(why),
        _ => fs::read(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_is_asked_for_nothing_unless_its_network_is_admitted() {
        let folder = tempfile::tempdir().unwrap();
        let resolver = || {
            let settings = dns::Settings {
                servers: Vec::new(),
                trusted: Vec::new(),
                timeout: TIME_MAX,
                tries: 1,
                cache_entries: None,
            };
            Resolver::new(settings, server_log::Log::discard())
        };
        let proxy = |admitted: &[&str]| {
            let admitted = admitted.iter().map(|network| Network::parse(network).unwrap()).collect();
            ImageProxy::open(folder.path(), resolver(), admitted).unwrap()
        };
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let own = [address("8.8.4.4"), address("2a00::5")];
        let strict = proxy(&[]);
        for (one, is_asked) in [
            ("8.8.8.8", true),
            ("8.8.4.4", false),
            ("::ffff:8.8.4.4", false),
            ("2a00::5", false),
            ("2a00::6", true),
            ("127.0.0.1", false),
        ] {
            assert_eq!(strict.admits(address(one), &own), is_asked, "{one}");
        }
        assert!(proxy(&["8.8.4.0/24"]).admits(address("8.8.4.4"), &own));
        let found = os::net::own_addresses().unwrap();
        assert!(found.contains(&address("127.0.0.1")), "{found:?}");
    }
}

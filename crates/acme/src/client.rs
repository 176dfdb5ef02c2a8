//! The conversation with an authority (RFC 8555 §6, §7.1 to §7.3): its directory, nonces, the account, signed requests.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use base::https_url::HttpsUrl;
use http_client::{Call, Safety};
use http_wire::answer::Answer;
use serde_json::{Value, json};

use crate::Settings;
use crate::jose::{AccountKey, binding, new_key};
use crate::pair;

/// For one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Addresses of the authority that are tried.
const ADDRESSES_MAX: usize = 4;
/// Bytes of an answer: a chain of certificates is the longest.
const BODY_BYTES_MAX: u64 = 256 << 10;
/// How often a request is sent again with another nonce (RFC 8555 §6.5).
const NONCES_MAX: usize = 12;
const PROBLEM: &str = "urn:ietf:params:acme:error:";

/// Why something could not be had, in one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Error {
    pub why: String,
    /// What the authority calls it, without what all names of errors begin with; nothing: it did not say.
    pub kind: Option<String>,
    /// How long it wants to be left alone.
    pub retry_after: Option<Duration>,
}

impl Error {
    pub fn new(why: impl Into<String>) -> Error {
        Error { why: why.into(), ..Error::default() }
    }
}

impl From<openssl::error::ErrorStack> for Error {
    fn from(why: openssl::error::ErrorStack) -> Error {
        Error::new(why.to_string())
    }
}

/// What an authority offers (RFC 8555 §7.1.1).
pub struct Directory {
    new_nonce: HttpsUrl,
    new_account: HttpsUrl,
    new_order: HttpsUrl,
    /// Where its terms of service are.
    pub terms: Option<String>,
    wants_external: bool,
}

/// An account at an authority.
pub struct Client<'a> {
    settings: &'a Settings,
    directory: Directory,
    key: AccountKey,
    nonce: Option<String>,
    /// Its URL, which stands in requests from then on.
    account: Option<String>,
}

impl Directory {
    /// # Errors
    /// The authority cannot be reached, or does not say what it offers.
    pub fn read(settings: &Settings) -> Result<Directory, Error> {
        let answer = send(settings, &settings.directory, "GET", "")?;
        refuse(&answer)?;
        let read = object(&answer)?;
        let url = |name: &str| url(settings, &read[name]);
        Ok(Directory {
            new_nonce: url("newNonce")?,
            new_account: url("newAccount")?,
            new_order: url("newOrder")?,
            terms: read["meta"]["termsOfService"].as_str().map(base::escape),
            wants_external: read["meta"]["externalAccountRequired"] == true,
        })
    }
}

impl<'a> Client<'a> {
    /// Opens the account, and makes it if there is none.
    ///
    /// # Errors
    /// The authority's refusal, or why it cannot be asked.
    pub fn open(settings: &'a Settings) -> Result<Client<'a>, Error> {
        let directory = Directory::read(settings)?;
        if directory.wants_external && settings.external.is_none() {
            return Err(Error::new("the authority wants an external account: service.acme.eabkid"));
        }
        let key = account_key(settings)?;
        let mut client = Client { settings, directory, key, nonce: None, account: None };
        client.log_in()?;
        Ok(client)
    }

    /// RFC 8555 §7.3: the same request finds the account that this key has already.
    fn log_in(&mut self) -> Result<(), Error> {
        let url = self.directory.new_account.clone();
        let contact: Vec<String> =
            self.settings.contact.iter().map(|address| format!("mailto:{address}")).collect();
        let mut wish = json!({"termsOfServiceAgreed": self.settings.agrees, "contact": contact});
        if let Some((kid, key)) = &self.settings.external {
            wish["externalAccountBinding"] = binding(&self.key.jwk()?, kid, key, &url.to_string())?;
        }
        let answer = self.post(&url, Some(&wish))?;
        let account =
            answer.field("location").ok_or_else(|| Error::new("the account has no URL"))?.to_owned();
        let known = object(&answer)?;
        if known["status"].as_str().is_some_and(|status| status != "valid") {
            return Err(Error::new("the account is closed"));
        }
        self.account = Some(account.clone());
        // RFC 8555 §7.3.2; who keeps no contacts shows none.
        let differs = known["contact"].as_array().is_some_and(|_| known["contact"] != json!(contact));
        if answer.status == 200 && differs {
            self.post(&url_of(self.settings, &account)?, Some(&json!({"contact": contact})))?;
        }
        Ok(())
    }

    /// A new order for these names; its URL.
    pub fn order(&mut self) -> Result<String, Error> {
        let identifiers: Vec<Value> =
            self.settings.names.iter().map(|name| json!({"type": "dns", "value": name})).collect();
        let url = self.directory.new_order.clone();
        let answer = self.post(&url, Some(&json!({"identifiers": identifiers})))?;
        answer.field("location").map(str::to_owned).ok_or_else(|| Error::new("the order has no URL"))
    }

    /// What is at a URL of the authority's (POST-as-GET, RFC 8555 §6.3), and how long to wait before it is asked again.
    pub fn fetch(&mut self, url: &str) -> Result<(Value, Option<Duration>), Error> {
        let answer = self.post(&url_of(self.settings, url)?, None)?;
        Ok((object(&answer)?, retry_after(&answer)))
    }

    /// A chain of certificates (RFC 8555 §7.4.2).
    pub fn fetch_chain(&mut self, url: &str) -> Result<Vec<u8>, Error> {
        Ok(self.post(&url_of(self.settings, url)?, None)?.body)
    }

    /// Tells something: that a challenge can be answered, that an order is to be finalized.
    pub fn tell(&mut self, url: &str, what: &Value) -> Result<(), Error> {
        self.post(&url_of(self.settings, url)?, Some(what)).map(drop)
    }

    /// Token, and what is to be answered to who asks for it (RFC 8555 §8.1).
    pub fn authorization(&self, token: &str) -> Result<String, Error> {
        Ok(format!("{token}.{}", self.key.thumbprint()?))
    }

    fn post(&mut self, url: &HttpsUrl, payload: Option<&Value>) -> Result<Answer, Error> {
        let mut last = None;
        for _ in 0..NONCES_MAX {
            let nonce = match self.nonce.take() {
                Some(nonce) => nonce,
                None => self.new_nonce()?,
            };
            let mut protected = json!({"alg": "ES256", "nonce": nonce, "url": url.to_string()});
            match &self.account {
                Some(account) => protected["kid"] = json!(account),
                None => protected["jwk"] = self.key.jwk()?,
            }
            let answer = send(self.settings, url, "POST", &self.key.sign(&protected, payload)?)?;
            self.nonce = nonce_of(&answer);
            match refuse(&answer) {
                Ok(()) => return Ok(answer),
                Err(why) if why.kind.as_deref() == Some("badNonce") => last = Some(why),
                Err(why) => return Err(why),
            }
        }
        Err(last.unwrap_or_else(|| Error::new("no nonce is good")))
    }

    fn new_nonce(&mut self) -> Result<String, Error> {
        let answer = send(self.settings, &self.directory.new_nonce, "HEAD", "")?;
        nonce_of(&answer).ok_or_else(|| Error::new("the authority gives no nonce"))
    }
}

/// The account's key for this authority, made if there is none; one for each host that we ever asked.
fn account_key(settings: &Settings) -> Result<AccountKey, Error> {
    let file = account_file(settings);
    let told = |why: std::io::Error| Error::new(format!("{}: {why}", file.display()));
    if file.exists() {
        let key =
            pair::read_key(&file).ok_or_else(|| Error::new(format!("{}: it is no key", file.display())))?;
        return AccountKey::new(&key).map_err(Error::new);
    }
    let key = new_key()?;
    base::replace::durable_replace(&file, &key.private_key_to_pem_pkcs8()?, 0o600).map_err(told)?;
    AccountKey::new(&key).map_err(Error::new)
}

/// Where the account's key is.
pub fn account_file(settings: &Settings) -> PathBuf {
    let host = settings.directory.host.replace(':', "_");
    let port = settings.directory.port;
    settings.folder.join(if port == 443 {
        format!("account-{host}.key")
    } else {
        format!("account-{host}-{port}.key")
    })
}

/// A URL that the authority names. It stays at the port of the directory, beyond which a confined daemon cannot go.
fn url(settings: &Settings, value: &Value) -> Result<HttpsUrl, Error> {
    url_of(settings, value.as_str().unwrap_or(""))
}

fn url_of(settings: &Settings, text: &str) -> Result<HttpsUrl, Error> {
    let url = HttpsUrl::parse(text).map_err(|why| Error::new(format!("what the authority names, {why}")))?;
    if url.port != settings.directory.port {
        return Err(Error::new(format!(
            "the authority names {}, on another port than its directory",
            base::escape(text)
        )));
    }
    Ok(url)
}

fn send(settings: &Settings, url: &HttpsUrl, method: &str, body: &str) -> Result<Answer, Error> {
    let told = |why: &dyn std::fmt::Display| Error::new(format!("{}: {why}", url.authority()));
    let kind = if body.is_empty() {
        String::new()
    } else {
        format!("Content-Type: application/jose+json\r\nContent-Length: {}\r\n", body.len())
    };
    let request = format!(
        "{method} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: Mailboat/{}\r\nAccept-Language: en\r\nConnection: close\r\n{kind}\r\n{body}",
        url.target,
        url.authority(),
        env!("CARGO_PKG_VERSION")
    );
    let until = Instant::now() + REQUEST_TIMEOUT;
    let addresses = (url.host.as_str(), url.port).to_socket_addrs().map_err(|why| told(&why))?;
    let mut last = told(&"it has no address");
    for address in addresses.take(ADDRESSES_MAX).collect::<Vec<SocketAddr>>() {
        let authorities = settings.authorities.as_deref();
        let safety = Safety::Tls { name: &url.host, authorities };
        match (Call { address, safety, until, body_bytes_max: BODY_BYTES_MAX }).send(request.as_bytes()) {
            Ok(answer) => return Ok(answer),
            Err(why) => last = told(&why),
        }
    }
    Err(last)
}

fn nonce_of(answer: &Answer) -> Option<String> {
    let nonce = answer.field("replay-nonce")?;
    let is_one = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (!nonce.is_empty() && nonce.bytes().all(is_one)).then(|| nonce.to_owned()) // RFC 8555 §6.5.1
}

/// What is not 2xx, as the authority explains it (RFC 8555 §6.7, RFC 9457).
fn refuse(answer: &Answer) -> Result<(), Error> {
    if (200..300).contains(&answer.status) {
        return Ok(());
    }
    let problem = object(answer).unwrap_or_default();
    Err(Error {
        retry_after: retry_after(answer),
        ..explained(&problem, &format!("status {}", answer.status))
    })
}

/// A problem document, with what is said about single names.
pub fn explained(problem: &Value, otherwise: &str) -> Error {
    let kind = problem["type"].as_str().map(|kind| base::escape(kind.strip_prefix(PROBLEM).unwrap_or(kind)));
    let mut texts: Vec<String> = problem["detail"].as_str().map(base::escape).into_iter().collect();
    for one in problem["subproblems"].as_array().into_iter().flatten().take(5) {
        let name = one["identifier"]["value"].as_str().unwrap_or("?");
        texts.push(format!(
            "{}: {}",
            base::escape(name),
            base::escape(one["detail"].as_str().unwrap_or("?"))
        ));
    }
    if texts.is_empty() {
        texts.push(otherwise.to_owned());
    }
    let text: String = texts.join("; ").chars().take(1_000).collect();
    let why = kind.as_ref().map_or_else(|| text.clone(), |kind| format!("{kind}: {text}"));
    Error { why, kind, retry_after: None }
}

/// Seconds, or a date (RFC 9110 §10.2.3).
fn retry_after(answer: &Answer) -> Option<Duration> {
    let text = answer.field("retry-after")?;
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_second();
    let seconds = date.saturating_sub(base::clock::unix_seconds());
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

fn object(answer: &Answer) -> Result<Value, Error> {
    let read: Value =
        serde_json::from_slice(&answer.body).map_err(|_| Error::new("the authority's answer is not JSON"))?;
    if read.is_object() { Ok(read) } else { Err(Error::new("the authority's answer is not JSON")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(fields: &[(&str, &str)], status: u16, body: &str) -> Answer {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Answer { status, fields, body: body.as_bytes().to_vec() }
    }

    #[test]
    fn a_refusal_is_explained_in_one_line() {
        let body = r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too\nmany","subproblems":[
            {"type":"x","detail":"no","identifier":{"type":"dns","value":"a.test"}}]}"#;
        let why = refuse(&answer(&[("retry-after", "120")], 429, body)).unwrap_err();
        assert_eq!(why.why, "rateLimited: too\\nmany; a.test: no");
        assert_eq!(why.kind.as_deref(), Some("rateLimited"));
        assert_eq!(why.retry_after, Some(Duration::from_secs(120)));
        assert_eq!(refuse(&answer(&[], 503, "<html>")).unwrap_err().why, "status 503");
        assert!(refuse(&answer(&[], 201, "")).is_ok());
    }

    #[test]
    fn a_date_is_as_good_as_seconds() {
        let past = retry_after(&answer(&[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")], 200, ""));
        assert_eq!(past, Some(Duration::ZERO));
        assert_eq!(retry_after(&answer(&[("retry-after", "soon")], 200, "")), None);
    }

    #[test]
    fn a_nonce_is_one_or_none() {
        assert_eq!(nonce_of(&answer(&[("replay-nonce", "aZ0-_")], 200, "")).as_deref(), Some("aZ0-_"));
        for wrong in ["", "a b", "a\"", "a="] {
            assert_eq!(nonce_of(&answer(&[("replay-nonce", wrong)], 200, "")), None);
        }
    }
}

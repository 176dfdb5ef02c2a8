//! One order, from its beginning to the certificate (RFC 8555 §7.4, §7.5). How far it has come the authority knows: after each
//! step it is asked, so an order that was broken off goes on where it stood.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::stack::Stack;
use openssl::x509::X509ReqBuilder;
use openssl::x509::extension::SubjectAlternativeName;
use serde_json::{Value, json};

use crate::Settings;
use crate::challenge::Answers;
use crate::client::{Client, Error, explained};
use crate::jose::{encode, new_key};
use crate::pair::{self, Installed, Pair};

/// For all of it; what takes longer goes on at the next attempt.
const ORDER_TIMEOUT: Duration = Duration::from_secs(600);
/// Between two questions, unless the authority asks for more.
const POLL_FIRST: Duration = Duration::from_millis(500);
const POLL_MAX: Duration = Duration::from_secs(15);
/// How soon a wait is over when we are to end.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// Seconds after which an order that was broken off is not taken up again.
const PENDING_FOR: i64 = 86_400;
const FORMAT: &str = "Mailboat ACME order 1";

/// What an order asks of who has it made.
pub struct Caller<'a> {
    /// Asked before an order is sent: it counts.
    pub may_order: &'a mut dyn FnMut() -> Result<(), Error>,
    pub stop: &'a dyn Fn() -> bool,
}

/// The certificate, and its key. `reused`: the key that it is to have; else it gets a new one.
///
/// # Errors
/// The authority's refusal, or why it cannot be asked.
pub fn obtain(
    settings: &Settings,
    reused: Option<PKey<Private>>,
    caller: &mut Caller<'_>,
) -> Result<Pair, Error> {
    let mut client = Client::open(settings)?;
    let (order, key) = match resume(settings, &mut client)? {
        Some(found) => found,
        None => begin(settings, &mut client, reused, caller)?,
    };
    let mut answers = Answers::new(&settings.challenges);
    let walked = walk(settings, &mut client, &mut answers, &order, &key, caller.stop);
    drop(answers);
    let pair = walked.inspect_err(|why| {
        if why.kind.is_some() && why.kind.as_deref() != Some("rateLimited") {
            forget(settings); // it was refused: the next is another one
        }
    })?;
    verify(settings, &pair).inspect_err(|_| forget(settings))?;
    Ok(pair)
}

/// What was obtained is in use, or of no use: nothing is to be taken up.
pub fn forget(settings: &Settings) {
    let _ = fs::remove_file(note(settings));
    let _ = fs::remove_file(key_file(settings));
}

/// Whether an order was broken off that may be taken up: that sends none.
pub fn is_pending(settings: &Settings) -> bool {
    noted(settings).is_some() && key_file(settings).exists()
}

fn note(settings: &Settings) -> PathBuf {
    settings.folder.join("order.json")
}

fn key_file(settings: &Settings) -> PathBuf {
    settings.folder.join("order.key")
}

fn begin(
    settings: &Settings,
    client: &mut Client<'_>,
    reused: Option<PKey<Private>>,
    caller: &mut Caller<'_>,
) -> Result<(String, PKey<Private>), Error> {
    let told = |why: io::Error| Error::new(format!("{}: {why}", settings.folder.display()));
    forget(settings);
    let key = match reused {
        Some(key) => key,
        None => new_key()?,
    };
    base::replace::durable_replace(&key_file(settings), &key.private_key_to_pem_pkcs8()?, 0o600)
        .map_err(told)?;
    (caller.may_order)()?;
    base::crash::step("acme: order counted");
    let url = client.order()?;
    let text = json!({
        "format": FORMAT,
        "order": url,
        "directory": settings.directory.to_string(),
        "names": settings.names,
        "made": base::clock::unix_seconds(),
    });
    base::replace::durable_replace(&note(settings), format!("{text:#}\n").as_bytes(), 0o600).map_err(told)?;
    base::crash::step("acme: order noted");
    Ok((url, key))
}

/// The order that was broken off, if it is for the same names, is not old, and the authority still knows it.
fn resume(settings: &Settings, client: &mut Client<'_>) -> Result<Option<(String, PKey<Private>)>, Error> {
    let Some(url) = noted(settings) else { return Ok(None) };
    let Some(key) = pair::read_key(&key_file(settings)) else { return Ok(None) };
    match client.fetch(&url) {
        Ok((order, _)) if order["status"] != "invalid" => Ok(Some((url, key))),
        Ok(_) => Ok(None),
        Err(why) if why.kind.is_some() && why.retry_after.is_none() => Ok(None),
        Err(why) => Err(why),
    }
}

fn noted(settings: &Settings) -> Option<String> {
    let read: Value = serde_json::from_slice(&fs::read(note(settings)).ok()?).ok()?;
    let age = base::clock::unix_seconds() - read["made"].as_i64()?;
    let is_same = read["format"] == FORMAT
        && read["directory"] == settings.directory.to_string()
        && read["names"] == json!(settings.names);
    (is_same && (0..PENDING_FOR).contains(&age)).then(|| read["order"].as_str().map(str::to_owned)).flatten()
}

/// RFC 8555 §7.1.6: from each status to the next.
fn walk(
    settings: &Settings,
    client: &mut Client<'_>,
    answers: &mut Answers,
    url: &str,
    key: &PKey<Private>,
    stop: &dyn Fn() -> bool,
) -> Result<Pair, Error> {
    let mut patience = Patience { until: Instant::now() + ORDER_TIMEOUT, pause: POLL_FIRST, stop };
    let mut is_final = false;
    loop {
        let (order, asked) = client.fetch(url)?;
        match order["status"].as_str().unwrap_or("") {
            "pending" => {
                for authorization in order["authorizations"].as_array().into_iter().flatten() {
                    authorize(client, answers, authorization.as_str().unwrap_or(""), &mut patience)?;
                }
                patience.wait(asked)?;
            }
            "ready" if !is_final => {
                let request = json!({"csr": encode(request(&settings.names, key)?)});
                client.tell(order["finalize"].as_str().unwrap_or(""), &request)?;
                is_final = true;
                base::crash::step("acme: order finalized");
            }
            "ready" | "processing" => patience.wait(asked)?,
            "valid" => {
                let chain = client.fetch_chain(order["certificate"].as_str().unwrap_or(""))?;
                return Ok(Pair { chain, key: key.clone() });
            }
            "invalid" => {
                let why = explained(&order["error"], "the order is invalid");
                return Err(Error {
                    kind: why.kind.or(Some("invalid".into())),
                    why: why.why,
                    ..Error::default()
                });
            }
            other => return Err(Error::new(format!("the order has the status '{}'", base::escape(other)))),
        }
    }
}

/// RFC 8555 §7.5.1: one name, by http-01.
fn authorize(
    client: &mut Client<'_>,
    answers: &mut Answers,
    url: &str,
    patience: &mut Patience<'_>,
) -> Result<(), Error> {
    let mut is_told = false;
    loop {
        let (found, asked) = client.fetch(url)?;
        let name = base::escape(found["identifier"]["value"].as_str().unwrap_or("?"));
        let all = found["challenges"].as_array();
        let Some(challenge) = all.into_iter().flatten().find(|one| one["type"] == "http-01") else {
            return Err(Error::new(format!("{name}: the authority does not offer http-01")));
        };
        match found["status"].as_str().unwrap_or("") {
            "valid" => return Ok(()),
            "pending" if !is_told && challenge["status"] != "processing" => {
                let token = challenge["token"].as_str().unwrap_or("");
                let answer = client.authorization(token)?;
                answers.put(token, &answer).map_err(|why| Error::new(format!("challenge: {why}")))?;
                base::crash::step("acme: challenge put");
                client.tell(challenge["url"].as_str().unwrap_or(""), &json!({}))?;
                is_told = true;
            }
            "pending" => {
                // After a restart the authority may be asking already.
                if let Some(token) = challenge["token"].as_str().filter(|_| !is_told) {
                    let answer = client.authorization(token)?;
                    answers.put(token, &answer).map_err(|why| Error::new(format!("challenge: {why}")))?;
                }
                patience.wait(asked)?;
            }
            _ => {
                let why = explained(&challenge["error"], "its challenge failed");
                let kind = why.kind.or(Some("invalid".into()));
                return Err(Error { why: format!("{name}: {}", why.why), kind, ..Error::default() });
            }
        }
    }
}

/// What is waited, together.
struct Patience<'a> {
    until: Instant,
    pause: Duration,
    stop: &'a dyn Fn() -> bool,
}

impl Patience<'_> {
    /// As long as the authority asked for, else a little longer each time.
    fn wait(&mut self, asked: Option<Duration>) -> Result<(), Error> {
        let pause = asked.unwrap_or(self.pause).max(POLL_FIRST);
        self.pause = (self.pause * 2).min(POLL_MAX);
        let end = Instant::now() + pause.min(ORDER_TIMEOUT * 2);
        if end > self.until {
            let why = "the authority is not done yet; the order goes on later";
            return Err(Error { why: why.into(), retry_after: asked, ..Error::default() });
        }
        while Instant::now() < end {
            if (self.stop)() {
                return Err(Error::new("it was to end; the order goes on later"));
            }
            thread::sleep(LOOK_INTERVAL.min(end.saturating_duration_since(Instant::now())));
        }
        Ok(())
    }
}

/// What is to be signed (RFC 2986, DER): the names, in no subject.
fn request(names: &[String], key: &PKey<Private>) -> Result<Vec<u8>, Error> {
    let mut builder = X509ReqBuilder::new()?;
    builder.set_version(0)?;
    builder.set_pubkey(key)?;
    let mut alternatives = SubjectAlternativeName::new();
    for name in names {
        alternatives.dns(name);
    }
    let mut extensions = Stack::new()?;
    extensions.push(alternatives.build(&builder.x509v3_context(None))?)?;
    builder.add_extensions(&extensions)?;
    builder.sign(key, MessageDigest::sha256())?;
    Ok(builder.build().to_der()?)
}

/// What came is for the names, for our key, and not over: else what is in use is better.
fn verify(settings: &Settings, pair: &Pair) -> Result<(), Error> {
    let said = |why: &str| Error::new(format!("what the authority issued is not used: {why}"));
    let issued = Installed::of(&pair.chain).map_err(|why| said(&why))?;
    if !issued.fits(&pair.key) {
        return Err(said("it is for another key"));
    }
    if let Some(name) = settings.names.iter().find(|name| !issued.names.contains(name)) {
        return Err(said(&format!("it is not for {name}")));
    }
    if issued.ends <= base::clock::unix_seconds() {
        return Err(said("it is over (or this host's clock is wrong)"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use openssl::x509::X509Req;

    #[test]
    fn a_request_has_the_names_and_the_key() {
        let key = new_key().unwrap();
        let der = request(&["a.test".into(), "b.test".into()], &key).unwrap();
        let read = X509Req::from_der(&der).unwrap();
        assert!(read.verify(&key).unwrap());
        let text = String::from_utf8(read.to_text().unwrap()).unwrap();
        assert!(text.contains("DNS:a.test, DNS:b.test"), "{text}");
    }

    #[test]
    fn waiting_ends_when_we_are_to_end_and_when_it_takes_too_long() {
        let now = Instant::now();
        let mut patience = Patience { until: now + ORDER_TIMEOUT, pause: POLL_FIRST, stop: &|| true };
        assert!(patience.wait(None).unwrap_err().why.contains("to end"));
        let mut patience = Patience { until: now + ORDER_TIMEOUT, pause: POLL_FIRST, stop: &|| false };
        let long = Duration::from_secs(3_600);
        assert_eq!(patience.wait(Some(long)).unwrap_err().retry_after, Some(long));
        patience.wait(None).unwrap();
        assert_eq!(patience.pause, POLL_FIRST * 4);
    }
}

//! A look-up: the servers in turn, aliases followed, until somebody knows.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use hickory_proto::op::Query;
use hickory_proto::rr::{Name, RecordType};
use server_log::{Category, Log};

use crate::answer::{Negative, Record};
use crate::cache::Outcome;
use crate::exchange;
use crate::reading::{self, ALIASES_MAX, Reading};
use crate::servers::{Order, Servers};

/// However long a zone says: a day, and three hours for "there is none" (RFC 2308 §5).
const LIFE_MAX: u32 = 86_400;
const NEGATIVE_LIFE_MAX: u32 = 10_800;

/// Whom to ask, and how patiently.
pub(crate) struct Asker {
    pub(crate) servers: Servers,
    /// Believed about validation, beside those on this host.
    pub(crate) trusted: Vec<IpAddr>,
    pub(crate) timeout: Duration,
    pub(crate) tries: u32,
    pub(crate) log: Log,
}

/// What one server said, and whether it may be believed that it validated it.
struct Said {
    reading: Reading,
    secure: bool,
}

impl Asker {
    /// Looks `name` up, until then if a time is given.
    ///
    /// # Errors
    /// Nobody could tell; the text says why.
    pub(crate) fn look_up(
        &self,
        name: Name,
        kind: RecordType,
        order: Order,
        until: Option<Instant>,
    ) -> Result<Outcome, String> {
        let mut asked = name;
        let mut secure = true;
        let mut ttl = LIFE_MAX;
        let mut aliases = 0usize;
        loop {
            let said = self.ask_servers(&asked, kind, order, until)?;
            secure &= said.secure;
            match said.reading {
                Reading::Found(mut records, its_ttl) => {
                    let is_named = records.iter().any(|record| matches!(record, Record::Canonical(_)));
                    if aliases > 0 && !is_named {
                        records.push(Record::Canonical(reading::text(&asked)));
                    }
                    return Ok(outcome(Ok(records), secure, ttl.min(its_ttl)));
                }
                Reading::None(negative, its_ttl) => {
                    let ttl = ttl.min(its_ttl.unwrap_or(0)).min(NEGATIVE_LIFE_MAX);
                    return Ok(outcome(Err(negative), secure, ttl));
                }
                Reading::Alias(target, its_ttl, more) => {
                    aliases = aliases.saturating_add(more);
                    if aliases > ALIASES_MAX {
                        break;
                    }
                    ttl = ttl.min(its_ttl);
                    asked = target;
                }
                Reading::Circle => break,
                Reading::Useless(why) => return Err(why),
            }
        }
        Err(format!("the aliases (CNAME) of {asked} lead in a circle or too far"))
    }

    /// Asks server after server; those that did not answer, again, as often as there are tries.
    fn ask_servers(
        &self,
        name: &Name,
        kind: RecordType,
        order: Order,
        until: Option<Instant>,
    ) -> Result<Said, String> {
        let query = Query::query(name.clone(), kind);
        let mut unanswered = self.servers.in_order(order);
        let mut reasons = Reasons::default();
        // "There is none" without a SOA record is believed only if nobody knows better.
        let mut doubtful = None;
        for _ in 0..self.tries.max(1) {
            let mut silent = Vec::new();
            for server in unanswered {
                let Some(timeout) = self.patience(until) else {
                    return Err(format!("{name}: the time for it is over"));
                };
                match exchange::ask(server, &query, timeout) {
                    // Who was given less than the usual time is not to blame.
                    Err(why) if timeout < self.timeout => reasons.note(server, why.to_string()),
                    Err(why) => {
                        if self.servers.was_silent(order, server) {
                            self.log.information(
                                Category::Network,
                                format_args!("name server {server} is put last: {why}"),
                            );
                        }
                        reasons.note(server, why.to_string());
                        silent.push(server);
                    }
                    Ok(message) => {
                        let secure = message.metadata.authentic_data && is_trusted(server, &self.trusted);
                        match reading::read(&message, name, kind) {
                            Reading::Useless(why) => reasons.note(server, why),
                            Reading::None(negative, None) => doubtful = doubtful.or(Some((negative, secure))),
                            reading => return Ok(Said { reading, secure }),
                        }
                    }
                }
            }
            if silent.is_empty() || doubtful.is_some() {
                break;
            }
            unanswered = silent;
        }
        match doubtful {
            Some((negative, secure)) => Ok(Said { reading: Reading::None(negative, None), secure }),
            None => Err(reasons.told(name, kind)),
        }
    }

    /// How long one server is waited for; nothing when the time is over.
    fn patience(&self, until: Option<Instant>) -> Option<Duration> {
        let Some(until) = until else { return Some(self.timeout) };
        let left = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
        left.map(|left| left.min(self.timeout))
    }
}

/// Between this host and itself nobody can set the AD bit of an answer (RFC 4035 §4.9.3); on the way to others the
/// administrator says so.
fn is_trusted(server: SocketAddr, trusted: &[IpAddr]) -> bool {
    let server = server.ip().to_canonical();
    server.is_loopback() || trusted.iter().any(|one| one.to_canonical() == server)
}

fn outcome(result: Result<Vec<Record>, Negative>, secure: bool, ttl: u32) -> Outcome {
    Outcome { result, secure, life: Duration::from_secs(u64::from(ttl)), failed: Vec::new() }
}

/// What each server did instead of answering; the last word of each.
#[derive(Default)]
struct Reasons(Vec<(SocketAddr, String)>);

impl Reasons {
    fn note(&mut self, server: SocketAddr, why: String) {
        self.0.retain(|(one, _)| *one != server);
        self.0.push((server, why));
    }

    fn told(&self, name: &Name, kind: RecordType) -> String {
        if self.0.is_empty() {
            return "there is no name server to ask".to_owned();
        }
        let each: Vec<String> = self.0.iter().map(|(server, why)| format!("{server}: {why}")).collect();
        format!("the look-up of {name} {kind} failed: {}", each.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::is_trusted;

    #[test]
    fn a_server_across_a_network_is_not_believed_to_have_validated() {
        for (server, trusted) in [
            ("127.0.0.53:53", true),
            ("[::1]:53", true),
            ("[::ffff:127.0.0.1]:53", true),
            ("192.0.2.1:53", false),
            ("[2001:db8::1]:53", false),
        ] {
            assert_eq!(is_trusted(server.parse().unwrap(), &[]), trusted, "{server}");
        }
        let named = ["192.0.2.1".parse().unwrap()];
        assert!(is_trusted("192.0.2.1:53".parse().unwrap(), &named));
        assert!(!is_trusted("192.0.2.2:53".parse().unwrap(), &named));
    }
}

//! What the file of a session holds: lines of a name and a value, the last one a checksum of the others.

use std::net::IpAddr;

const FIRST: &str = "mailboat-web-session 1";
/// Characters of a browser's name that are kept.
const AGENT_CHARS_MAX: usize = 200;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub uid: String,
    /// Seconds since 1970 of the sign-in.
    pub begun: i64,
    /// Where it was signed in from.
    pub peer: IpAddr,
    /// What the browser called itself, without what could end a line.
    pub agent: String,
    /// See `password_mark`.
    pub password: String,
}

impl Record {
    pub fn new(uid: &str, begun: i64, peer: IpAddr, agent: &str, password: String) -> Record {
        Record { uid: uid.to_owned(), begun, peer, agent: short(agent), password }
    }

    pub fn encode(&self) -> String {
        let Record { uid, begun, peer, agent, password } = self;
        let text =
            format!("{FIRST}\nuid {uid}\nbegun {begun}\npeer {peer}\nagent {agent}\npassword {password}\n");
        format!("{text}crc {:08x}\n", base::crc32(text.as_bytes()))
    }

    /// Nothing when anything is not as it should be.
    pub fn decode(text: &str) -> Option<Record> {
        let (body, sum) = text.split_at(text.rfind("crc ")?);
        let sum = u32::from_str_radix(sum.strip_prefix("crc ")?.strip_suffix('\n')?, 16).ok()?;
        if base::crc32(body.as_bytes()) != sum {
            return None;
        }
        let mut lines = body.lines();
        let mut value = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned);
        value("mailboat-web-session").filter(|version| version == "1")?;
        Some(Record {
            uid: value("uid")?,
            begun: value("begun")?.parse().ok()?,
            peer: value("peer")?.parse().ok()?,
            agent: value("agent")?,
            password: value("password")?,
        })
    }
}

/// A browser's name, as it may stand in a line.
pub fn short(agent: &str) -> String {
    agent
        .chars()
        .filter(|c| !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}'))
        .take(AGENT_CHARS_MAX)
        .collect()
}

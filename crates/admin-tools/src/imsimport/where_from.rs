//! Where a user's mail is, as the administrator says it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use imap_client::{Credentials, Encryption, Server, Trust};

use super::imap::Imap;
use super::maildir::Maildir;
use super::mbox::Mbox;
use super::mbox_scan::Kind;
use super::source::Source;

const IMAP_PORT: u16 = 143;
const IMAPS_PORT: u16 = 993;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhereFrom {
    Maildir(PathBuf),
    Mbox(PathBuf),
    Imap { name: String, host: String, port: u16, implicit_tls: bool },
}

/// How servers are spoken to.
pub struct Access {
    pub passwords: HashMap<String, String>,
    pub admin: Option<String>,
    pub trust: Trust,
    pub no_tls: bool,
    pub timeout: Duration,
    pub message_max: u64,
    pub mbox: Option<Kind>,
}

impl WhereFrom {
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str, uid: &str) -> Result<WhereFrom, String> {
        let text = text.replace("%u", uid);
        let wrong = || {
            let forms = "maildir:PATH, mbox:PATH, imaps://[NAME@]HOST[:PORT] or imap://[NAME@]HOST[:PORT]";
            format!("{}: not {forms}", base::escape(&text))
        };
        let (kind, rest) = text.split_once(':').filter(|(_, rest)| !rest.is_empty()).ok_or_else(wrong)?;
        match kind {
            "maildir" => Ok(WhereFrom::Maildir(rest.into())),
            "mbox" => Ok(WhereFrom::Mbox(rest.into())),
            "imap" | "imaps" => {
                let rest = rest.strip_prefix("//").ok_or_else(wrong)?.trim_end_matches('/');
                let implicit_tls = kind == "imaps";
                let usual = if implicit_tls { IMAPS_PORT } else { IMAP_PORT };
                let (name, place) = rest.rsplit_once('@').unwrap_or((uid, rest));
                let (host, port) = host_and_port(place, usual).ok_or_else(wrong)?;
                Ok(WhereFrom::Imap { name: name.to_owned(), host, port, implicit_tls })
            }
            _ => Err(wrong()),
        }
    }

    /// What names it in the notes of what came.
    pub fn identity(&self) -> String {
        match self {
            WhereFrom::Maildir(path) => format!("maildir:{}", path.display()),
            WhereFrom::Mbox(path) => format!("mbox:{}", path.display()),
            WhereFrom::Imap { name, host, port, .. } => format!("imap://{name}@{host}:{port}"),
        }
    }

    /// # Errors
    /// One line: there is none, or no password.
    pub fn open(&self, access: &Access) -> Result<Box<dyn Source>, String> {
        match self {
            WhereFrom::Maildir(path) => Ok(Box::new(Maildir::open(path)?)),
            WhereFrom::Mbox(path) => Ok(Box::new(Mbox::open(path, access.mbox)?)),
            WhereFrom::Imap { name, host, port, implicit_tls } => {
                let user = access.admin.as_ref().unwrap_or(name);
                let password = access.passwords.get(user).cloned().ok_or_else(|| {
                    format!("{}: its password is not in --password-file", base::escape(user))
                })?;
                let acts_for = access.admin.is_some().then(|| name.clone());
                let encryption = match (implicit_tls, access.no_tls) {
                    (true, _) => Encryption::Implicit,
                    (false, false) => Encryption::StartTls,
                    (false, true) => Encryption::Never,
                };
                let server = Server {
                    host: host.clone(),
                    port: *port,
                    encryption,
                    trust: access.trust.clone(),
                    timeout: access.timeout,
                };
                let credentials = Credentials { acts_for, user: user.clone(), password };
                Ok(Box::new(Imap::new(server, credentials, access.message_max)))
            }
        }
    }
}

fn host_and_port(place: &str, usual: u16) -> Option<(String, u16)> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            (host, rest.strip_prefix(':'))
        }
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    let port = port.map_or(Some(usual), |port| port.parse().ok())?;
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn places_of_mail() {
        let parse = |text: &str| WhereFrom::parse(text, "joe");
        assert_eq!(parse("maildir:/var/mail/%u").unwrap(), WhereFrom::Maildir("/var/mail/joe".into()));
        let imap = |name: &str, host: &str, port, implicit_tls| WhereFrom::Imap {
            name: name.into(),
            host: host.into(),
            port,
            implicit_tls,
        };
        assert_eq!(parse("imaps://old.example").unwrap(), imap("joe", "old.example", 993, true));
        assert_eq!(
            parse("imap://%u@example.org@old:1143/").unwrap(),
            imap("joe@example.org", "old", 1143, false)
        );
        assert_eq!(parse("imap://[::1]:144").unwrap(), imap("joe", "::1", 144, false));
        for bad in ["", "x", "maildir:", "imap:host", "imap://", "imap://h:x", "pop://h", "imap://[::1"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}

//! GENURLAUTH, RESETKEY, URLFETCH: URLs that let others read a message, or a part of one (RFC 4467; RFC 5524).
//!
//! A user makes URLs of what the user may read, with a key that the store keeps ([`message_store::Store::authorize_url`]). Who
//! fetches one is given what its maker may read at that moment, and learns nothing of what is wrong with a URL: the answer is
//! NIL. `submit+joe` is for administrators of the store, who may act for joe by the rules of PROXYAUTH.

mod part;

use std::net::IpAddr;

use connection::{Io, Output};
use directory::{Found, NoDeputy, Service};
use imap_wire::{Access, Authorized, ResetKey, Rump, UrlFetch, UrlItem};
use message_store::{Rights, StoreError};

use super::fetch::Decoded;
use crate::commands::Progress;
use crate::names::{self, Who};
use crate::refusal::Refusal;
use crate::server::Server;
use crate::state::User;
use crate::urls::{self, Content};

/// The mechanism that there is (RFC 4467 §2.4.1).
const INTERNAL: &str = "INTERNAL";

/// `* OK [URLMECH INTERNAL] ...` behind SELECT and EXAMINE (RFC 4467 §8).
pub const MECHANISMS: &str = "URLMECH INTERNAL";

/// `* GENURLAUTH "imap://joe@example.com/INBOX/;uid=20;urlauth=anonymous:INTERNAL:01..."`
///
/// # Errors
/// BAD when one of them is none of the user's (RFC 4467 §7); then no URL is made.
pub fn generate(server: &Server, user: &User, rumps: &[Rump], out: &mut Output) -> Result<(), Refusal> {
    let mut asked = Vec::with_capacity(rumps.len());
    for rump in rumps {
        if rump.mechanism != INTERNAL {
            return Err(Refusal::Syntax("The only mechanism is INTERNAL"));
        }
        asked.push((rump, mailbox_of(server, user.who(), rump)?));
    }
    let mut line = b"* GENURLAUTH".to_vec();
    for (rump, mailbox) in asked {
        let token = server.store.authorize_url(&user.uid, mailbox, &rump.url)?;
        let url = [rump.url.as_slice(), b":", INTERNAL.as_bytes(), b":", token.as_bytes()].concat();
        line.push(b' ');
        line.extend_from_slice(&imap_wire::quote(&url));
    }
    out.push(&line);
    out.push(b"\r\n");
    Ok(())
}

/// The id of the mailbox of a URL that the user may have authorized.
fn mailbox_of(server: &Server, who: Who<'_>, rump: &Rump) -> Result<u128, Refusal> {
    let bad =
        || Refusal::Syntax("Not a URL of a message that you may read here, with you as its user and URLAUTH");
    let read = Authorized::read(&rump.url).filter(|read| read.verifier.is_none()).ok_or_else(bad)?;
    if !urls::is_here(server, who, &read.url) {
        return Err(bad());
    }
    match urls::mailbox(server, who, &read.url) {
        Ok(Some(mailbox)) => Ok(mailbox.id()),
        Err(refusal) if urls::is_trouble(&refusal) => Err(refusal),
        _ => Err(bad()),
    }
}

/// The code of the tagged response.
///
/// # Errors
/// A mailbox that the user does not see, a mechanism that there is not.
pub fn reset(server: &Server, user: &User, asked: Option<&ResetKey>) -> Result<&'static str, Refusal> {
    let Some(asked) = asked else {
        server.store.reset_url_keys(&user.uid, None)?;
        return Ok("");
    };
    if asked.mechanisms.iter().any(|mechanism| mechanism != INTERNAL) {
        return Err(Refusal::Cannot("The only mechanism is INTERNAL"));
    }
    // Who may not read it any more may still have made URLs.
    let name = server.named(user.who(), names::named(&asked.mailbox)?, Rights::LOOKUP)?;
    let mailbox = server.store.open_mailbox(&name)?;
    server.store.reset_url_keys(&user.uid, Some(mailbox.id()))?;
    Ok(MECHANISMS)
}

/// A URLFETCH under way.
pub struct Fetching {
    urls: Vec<UrlFetch>,
    peer: IpAddr,
    /// URLs that are answered.
    told: usize,
    /// Items that are written of the present one; nothing: not even the URL is.
    items: Option<usize>,
    content: Option<Content>,
    /// An item half written.
    decoded: Option<Box<Decoded>>,
    /// What could not be read.
    pub trouble: Option<Refusal>,
}

impl Fetching {
    pub fn new(urls: Vec<UrlFetch>, io: &Io) -> Fetching {
        let peer = io.peer.ip();
        Fetching { urls, peer, told: 0, items: None, content: None, decoded: None, trouble: None }
    }

    /// Writes until the queue is full, one response for each URL.
    pub fn step(&mut self, server: &Server, user: &User, out: &mut Output) -> Progress {
        loop {
            if out.is_full() {
                return Progress::More;
            }
            if let Some(decoded) = &mut self.decoded {
                match decoded.step(out) {
                    Ok(Progress::More) => return Progress::More,
                    Ok(Progress::Done) => {}
                    Err(refusal) => self.trouble = Some(refusal),
                }
                self.decoded = None;
                self.ended(out);
                continue;
            }
            let Some(url) = self.urls.get(self.told) else { return Progress::Done };
            let Some(written) = self.items else {
                self.content = self.look(server, user, url).unwrap_or_else(|refusal| {
                    self.trouble = Some(refusal);
                    None
                });
                out.push(b"* URLFETCH ");
                out.push(&imap_wire::quote(&self.urls[self.told].url));
                self.items = Some(0);
                continue;
            };
            let item = match url.items.get(written) {
                Some(item) => *item,
                None if url.items.is_empty() && written == 0 => UrlItem::Body,
                None => {
                    out.push(b"\r\n");
                    (self.items, self.content) = (None, None);
                    self.told += 1;
                    continue;
                }
            };
            self.item(item, out);
        }
    }

    /// Writes an item, or begins it.
    fn item(&mut self, item: UrlItem, out: &mut Output) {
        out.push(b" ");
        if self.is_extended() {
            out.push(b"(");
            out.push(item.name().as_bytes());
            out.push(b" ");
        }
        let url = self.urls.get(self.told).map(|url| url.url.as_slice()).unwrap_or_default();
        match (&self.content, item) {
            (None, _) => out.push(b"NIL"),
            (Some(content), UrlItem::Body) => content.write(out),
            (Some(content), UrlItem::Binary) if content.is_made() => content.write(out),
            (Some(content), UrlItem::Binary) => match content.decoded() {
                Ok(Some(decoded)) => {
                    self.decoded = Some(Box::new(decoded));
                    return;
                }
                Ok(None) => out.push(b"NIL"), // RFC 5524 §5: it cannot be decoded
                Err(refusal) => {
                    self.trouble = Some(refusal);
                    out.push(b"NIL");
                }
            },
            (Some(content), UrlItem::BodyPartStructure) => {
                let path = Authorized::read(url).map(|read| read.url.section.part).unwrap_or_default();
                let of_part = content.structure().and_then(|whole| part::of(whole, &path));
                out.push(of_part.unwrap_or(b"NIL"));
            }
        }
        self.ended(out);
    }

    /// An item is written.
    fn ended(&mut self, out: &mut Output) {
        if self.is_extended() {
            out.push(b")");
        }
        self.items = self.items.map(|items| items + 1);
    }

    fn is_extended(&self) -> bool {
        self.urls.get(self.told).is_some_and(|url| !url.items.is_empty())
    }

    /// What the URL names, for who has proved to be let (RFC 4467 §6).
    fn look(&self, server: &Server, user: &User, asked: &UrlFetch) -> Result<Option<Content>, Refusal> {
        let Some(read) = Authorized::read(&asked.url) else { return Ok(None) };
        let (Some(owner), Some(verifier)) = (read.url.user(), &read.verifier) else { return Ok(None) };
        let now = base::clock::unix_nanos().div_euclid(1_000_000_000);
        if read.expire.is_some_and(|expire| expire <= now) || verifier.mechanism != INTERNAL {
            return Ok(None);
        }
        if !self.may_use(server, user, &read.access)? {
            return Ok(None);
        }
        let is_admin = server.settings().is_admin(owner);
        let who = Who { uid: owner, is_admin, is_anybody: false, naming: user.who().naming };
        if !urls::is_here(server, who, &read.url) {
            return Ok(None);
        }
        let mailbox = match urls::mailbox(server, who, &read.url) {
            Err(refusal) if urls::is_trouble(&refusal) => return Err(refusal),
            other => other.ok().flatten(),
        };
        let id = mailbox.as_ref().map_or(0, |mailbox| mailbox.id());
        let is_good = server.store.is_authorized_url(owner, id, read.rump, &verifier.token)?;
        let Some(mailbox) = mailbox.filter(|_| is_good) else { return Ok(None) };
        if !is_served(server, owner)? {
            return Ok(None);
        }
        let with_structure = asked.items.contains(&UrlItem::BodyPartStructure);
        match urls::in_mailbox(&mailbox, &read.url, with_structure) {
            Err(Refusal::Store(StoreError::NotFound)) => Ok(None),
            other => other,
        }
    }

    /// Whether the URL is for who is logged in (RFC 4467 §3).
    fn may_use(&self, server: &Server, user: &User, access: &Access) -> Result<bool, Refusal> {
        match access {
            Access::Anonymous => Ok(true),
            Access::AuthUser => Ok(!user.uid.eq_ignore_ascii_case(&server.settings().anonymous_user)),
            Access::User(name) => Ok(*name == user.uid),
            Access::Submit(_) if user.proxied_by.is_some() => Ok(false),
            Access::Submit(name) => {
                let directory = server.log_ins.authenticator().directory();
                let deputies = &server.settings().deputies;
                match deputies.act_for(directory.as_ref(), Service::Imap, &user.uid, name, self.peer) {
                    Ok(_) => Ok(true),
                    Err(NoDeputy::Unavailable(_)) => Err(Refusal::Unavailable),
                    Err(_) => Ok(false),
                }
            }
        }
    }
}

/// Whether the maker of a URL is a user still, and may use IMAP.
fn is_served(server: &Server, uid: &str) -> Result<bool, Refusal> {
    match server.log_ins.authenticator().directory().by_uid(uid) {
        Ok(Found::One(entry)) => Ok(entry.may_use(Service::Imap)),
        Ok(_) => Ok(false),
        Err(_) => Err(Refusal::Unavailable),
    }
}

//! GETMETADATA and SETMETADATA: annotations of mailboxes and of the server (RFC 5464).
//!
//! What is below `/private` is each user's own, what is below `/shared` everybody's who sees the mailbox. Two entries are
//! computed: `/private/specialuse` is what the mailbox is for (RFC 6154 §5.4), `/shared/admin` of the server says how to
//! reach its administrator.

use connection::Output;
use imap_wire::Naming;
use imap_wire::command::metadata::{Depth, GetMetadata, SetMetadata};
use message_store::{
    AnnotateError, Annotations, MailboxName, NewAnnotation, Rights, SpecialUse, Store, StoreError,
};

use super::{Done, News, Outcome};
use crate::answer;
use crate::names::{self, Who};
use crate::refusal::Refusal;
use crate::server::Server;
use crate::settings::Settings;
use crate::state::User;

const SPECIAL_USE: &str = "/private/specialuse";
const ADMIN: &str = "/shared/admin";

/// A value, and the name under which it is told.
type Told<'a> = (String, Option<Vec<u8>>);

/// What annotations are of.
enum Place {
    Mailbox(MailboxName),
    Server,
}

/// All that one user may see in one place.
struct Seen<'u> {
    uid: &'u str,
    /// The mailbox's, or the server's.
    shared: Annotations,
    /// Of the server: the user's own notes are in a file apart.
    own: Option<Annotations>,
    /// Entry and value.
    computed: Vec<(&'static str, Option<String>)>,
}

/// RFC 5464 §3.3: `l`, and any of `r`, `s`, `w`, `i`, `p`.
pub fn may_use(rights: Rights) -> bool {
    let any = Rights::READ | Rights::SEEN | Rights::WRITE | Rights::INSERT | Rights::POST;
    rights.contains(Rights::LOOKUP) && rights.has_any(any)
}

impl Place {
    /// The empty name is the server's (RFC 5464 §4.1).
    fn of(server: &Server, user: &User, mailbox: &imap_wire::Mailbox) -> Result<Place, Refusal> {
        let name = match names::named(mailbox)? {
            "" => return Ok(Place::Server),
            name => server.named(user.who(), name, Rights::LOOKUP)?,
        };
        match may_use(server.rights(user.who(), &name)?) {
            true => Ok(Place::Mailbox(name)),
            false => Err(Refusal::NoPermission),
        }
    }

    fn look<'u>(&self, server: &Server, user: &'u User) -> Result<Seen<'u>, Refusal> {
        match self {
            Place::Server => Seen::of_server(server, &user.uid),
            Place::Mailbox(name) => Seen::of_mailbox(&server.store, name, user.who()),
        }
    }
}

impl<'u> Seen<'u> {
    fn of_server(server: &Server, uid: &'u str) -> Result<Seen<'u>, Refusal> {
        let admin = Some(server.settings().admin_url.clone()).filter(|url| !url.is_empty());
        let (shared, own) = (server.store.server_annotations()?, server.store.user_annotations(uid)?);
        Ok(Seen { uid, shared, own: Some(own), computed: vec![(ADMIN, admin)] })
    }

    fn of_mailbox(store: &Store, name: &MailboxName, who: Who<'u>) -> Result<Seen<'u>, Refusal> {
        // What it is for is the owner's affair, as in LIST.
        let special_use = store.special_use(name)?.filter(|_| who.has_all(name));
        let special_use = special_use.map(|one| one.attribute().to_owned());
        let shared = store.open_mailbox(name)?.annotations()?;
        Ok(Seen { uid: who.uid, shared, own: None, computed: vec![(SPECIAL_USE, special_use)] })
    }

    fn computed(&self, entry: &str) -> Option<&Option<String>> {
        self.computed.iter().find(|(name, _)| name.eq_ignore_ascii_case(entry)).map(|(_, value)| value)
    }

    fn value(&self, entry: &str) -> Option<Vec<u8>> {
        if let Some(value) = self.computed(entry) {
            return value.clone().map(String::into_bytes);
        }
        let value = match (is_private(entry), &self.own) {
            (true, Some(own)) => own.get(self.uid, entry),
            (true, None) => self.shared.get(self.uid, entry),
            (false, _) => self.shared.get("", entry),
        };
        value.map(<[u8]>::to_vec)
    }

    /// Every entry with a value, ascending.
    fn entries(&self) -> Vec<String> {
        let files = [Some(&self.shared), self.own.as_ref()];
        let stored = files.into_iter().flatten().flat_map(Annotations::all);
        let visible = stored.map(|(one, _)| one).filter(|one| one.owner.is_empty() || one.owner == self.uid);
        let computed = self.computed.iter().filter(|(_, value)| value.is_some());
        let mut names: Vec<String> = visible
            .map(|one| one.entry.clone())
            .filter(|entry| self.computed(entry).is_none())
            .chain(computed.map(|(entry, _)| (*entry).to_owned()))
            .collect();
        names.sort_by_key(|name| name.to_ascii_lowercase());
        names
    }

    /// What is asked for; with a depth only what there is, else NIL for an entry without a value.
    fn asked(&self, entries: &[String], depth: Depth) -> Vec<Told<'_>> {
        if depth == Depth::Zero {
            return entries.iter().map(|entry| (entry.clone(), self.value(entry))).collect();
        }
        let is_meant = |name: &str| entries.iter().any(|entry| is_within(name, entry, depth));
        let names = self.entries().into_iter().filter(|name| is_meant(name));
        names.map(|name| (name.clone(), self.value(&name))).collect()
    }
}

fn is_private(entry: &str) -> bool {
    entry.get(..9).is_some_and(|start| start.eq_ignore_ascii_case("/private/"))
        || entry.eq_ignore_ascii_case("/private")
}

/// Whether `name` is `entry`, or below it by so much (RFC 5464 §4.2.2).
fn is_within(name: &str, entry: &str, depth: Depth) -> bool {
    let (name, entry) = (name.to_ascii_lowercase(), entry.to_ascii_lowercase());
    match name.strip_prefix(entry.as_str()) {
        Some("") => true,
        Some(rest) => match (rest.strip_prefix('/'), depth) {
            (Some(below), Depth::One) => !below.contains('/'),
            (Some(_), Depth::Infinity) => true,
            _ => false,
        },
        None => false,
    }
}

/// `* METADATA "INBOX" (/private/comment "My own comment")`
pub fn get(server: &Server, user: &User, asked: &GetMetadata, out: &mut Output) -> Result<Outcome, Refusal> {
    let place = Place::of(server, user, &asked.mailbox)?;
    let seen = place.look(server, user).map_err(no_such)?;
    let mut longest = None;
    let mut told = seen.asked(&asked.entries, asked.depth);
    told.retain(|(_, value)| {
        let length = value.as_ref().map_or(0, Vec::len) as u64;
        let fits = asked.size_max.is_none_or(|most| length <= u64::from(most));
        if !fits {
            longest = longest.max(Some(length));
        }
        fits
    });
    row(out, names::named(&asked.mailbox)?, user.enabled.naming(), &told);
    let mut done = Done::new("GETMETADATA completed").with(News::all());
    if let Some(longest) = longest {
        done.code = format!("METADATA LONGENTRIES {longest}"); // RFC 5464 §4.2.1
    }
    Ok(Outcome::Done(done))
}

/// Of one mailbox in LIST; nothing when its annotations cannot be told (RFC 9590 §3).
pub fn listed(
    store: &Store,
    who: Who<'_>,
    (name, called): (&MailboxName, &str),
    entries: &[String],
    out: &mut Output,
) -> Result<(), Refusal> {
    match Seen::of_mailbox(store, name, who) {
        Ok(seen) => row(out, called, who.naming, &seen.asked(entries, Depth::Zero)),
        Err(Refusal::Store(StoreError::NotFound)) => {}
        Err(other) => return Err(other),
    }
    Ok(())
}

fn row(out: &mut Output, mailbox: &str, naming: Naming, told: &[Told<'_>]) {
    if told.is_empty() {
        return;
    }
    out.push(b"* METADATA ");
    answer::name(out, mailbox, naming);
    for (place, (entry, value)) in told.iter().enumerate() {
        out.push(if place == 0 { b" (" } else { b" " });
        answer::entry(out, entry);
        out.push(b" ");
        match value {
            Some(value) => answer::octets(out, value),
            None => out.push(b"NIL"),
        }
    }
    out.push(b")\r\n");
}

/// Sets and removes entries, all or none (RFC 5464 §4.3).
pub fn set(server: &Server, user: &User, asked: &SetMetadata) -> Result<Outcome, Refusal> {
    let place = Place::of(server, user, &asked.mailbox)?;
    let settings = server.settings();
    let mut special_use = None;
    let mut changes = Vec::new();
    for (entry, value) in &asked.values {
        check_name(entry)?;
        let is_special_use = entry.eq_ignore_ascii_case(SPECIAL_USE);
        match &place {
            // What a mailbox is for is its owner's affair; what all are told, theirs who may change it.
            Place::Mailbox(name) if is_special_use => {
                if !user.who().has_all(name) {
                    return Err(Refusal::NoPermission);
                }
                special_use = Some(parse_special_use(value.as_deref())?);
            }
            Place::Mailbox(name)
                if !is_private(entry) && !server.rights(user.who(), name)?.contains(Rights::WRITE) =>
            {
                return Err(Refusal::NoPermission);
            }
            Place::Server if entry.eq_ignore_ascii_case(ADMIN) => return Err(Refusal::NoPermission),
            // What all are told is the administrators' affair.
            Place::Server if !is_private(entry) && !user.is_admin => return Err(Refusal::NoPermission),
            _ => changes.push(annotation(user, entry, value.as_deref(), &settings)?),
        }
    }
    let each_max = settings.metadata_entries_max;
    match place {
        Place::Server => server.store.annotate_server(&user.uid, &changes, each_max).map_err(refused)?,
        Place::Mailbox(name) => {
            let mailbox = server.store.open_mailbox(&name).map_err(|error| no_such(error.into()))?;
            if !changes.is_empty() {
                mailbox.annotate(&changes, each_max).map_err(refused)?;
            }
            if let Some(special_use) = special_use {
                server.store.set_special_use(&name, special_use)?;
            }
        }
    }
    super::done_with_news("SETMETADATA completed")
}

/// A name has two levels at least, a vendor's four (RFC 5464 §3.2).
fn check_name(entry: &str) -> Result<(), Refusal> {
    let levels = entry.matches('/').count();
    let is_vendors = entry.split('/').nth(2).is_some_and(|level| level.eq_ignore_ascii_case("vendor"));
    if levels < if is_vendors { 4 } else { 2 } {
        return Err(Refusal::Syntax("The name of the entry has too few levels"));
    }
    Ok(())
}

fn annotation(
    user: &User,
    entry: &str,
    value: Option<&[u8]>,
    settings: &Settings,
) -> Result<NewAnnotation, Refusal> {
    if value.is_some_and(|value| value.len() as u64 > settings.metadata_bytes_max) {
        return Err(Refusal::MetadataTooLong(settings.metadata_bytes_max));
    }
    let owner = if is_private(entry) { user.uid.clone() } else { String::new() };
    Ok(NewAnnotation { entry: entry.to_owned(), owner, value: value.map(<[u8]>::to_vec) })
}

/// One use of a mailbox; several, or one that is not known, are refused (RFC 6154 §5.4).
fn parse_special_use(value: Option<&[u8]>) -> Result<Option<SpecialUse>, Refusal> {
    let text = String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
    let mut words = text.split_ascii_whitespace();
    match (words.next(), words.next()) {
        (None, _) => Ok(None),
        (Some(one), None) => SpecialUse::parse(one).map(Some).ok_or(Refusal::UseAttr),
        _ => Err(Refusal::UseAttr),
    }
}

fn refused(error: AnnotateError) -> Refusal {
    match error {
        AnnotateError::TooMany => Refusal::MetadataTooMany,
        AnnotateError::Store(error) => no_such(error.into()),
    }
}

fn no_such(refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::Store(StoreError::NotFound) => Refusal::NoSuchMailbox,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_levels_below() {
        for (name, depth, expected) in [
            ("/shared/A", Depth::Zero, true),
            ("/shared/a/b", Depth::Zero, false),
            ("/shared/a/b", Depth::One, true),
            ("/shared/a/b/c", Depth::One, false),
            ("/shared/a/b/c", Depth::Infinity, true),
            ("/shared/ab", Depth::Infinity, false),
            ("/shared", Depth::Infinity, false),
        ] {
            assert_eq!(is_within(name, "/Shared/a", depth), expected, "{name} {depth:?}");
        }
    }

    #[test]
    fn names_have_levels_enough() {
        for (entry, legal) in [
            ("/shared", false),
            ("/shared/comment", true),
            ("/private/vendor", false),
            ("/private/vendor/x", false),
            ("/private/vendor/x/y", true),
        ] {
            assert_eq!(check_name(entry).is_ok(), legal, "{entry}");
        }
        assert!(is_private("/PRIVATE/x") && is_private("/private") && !is_private("/privates/x"));
    }
}

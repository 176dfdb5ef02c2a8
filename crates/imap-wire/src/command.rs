//! One whole command, literals in place, to one typed value (RFC 3501 §9 and the extensions named at each rule).
//!
//! The bytes are the lines of the command without the last CRLF: `a1 LOGIN {3}` CRLF `joe {6}` CRLF `secret`.
//! APPEND is the exception: its message never lies in memory, so [`append::parse`] reads what stands before it.

pub mod acl;
pub mod append;
pub mod authenticate;
pub mod create;
pub mod esearch;
pub mod fetch;
pub mod filter;
pub mod id;
pub mod language;
pub mod list;
pub mod login;
pub mod metadata;
pub mod notify;
pub mod partial;
pub mod quota;
pub mod returned;
pub mod search;
pub mod select;
pub mod sort;
pub mod status;
pub mod store;
pub mod thread;
pub mod uidbatches;
pub mod urlauth;
pub mod xserverinfo;

use crate::cursor::{Cursor, Parsed, SyntaxError};
use crate::mailbox::{self, Mailbox, Naming};
use crate::sequence::{self, SequenceSet};
use crate::words;

/// What a client wants. `uid`: the set holds UIDs, and UIDs are answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    Capability,
    Noop,
    Logout,
    /// RFC 8437
    Unauthenticate,
    /// Field names and values (RFC 2971); empty for NIL.
    Id(Vec<(String, Option<String>)>),
    /// Names of extensions in upper case (RFC 5161).
    Enable(Vec<String>),
    StartTls,
    /// RFC 4978 §3; the mechanism in upper case.
    Compress(String),
    Authenticate(authenticate::Authenticate),
    Login(login::Login),
    /// `PROXYAUTH user`: an administrator becomes somebody else. // NMS: original.md 6.2
    ProxyAuth(Vec<u8>),
    Select(select::Select),
    Examine(select::Select),
    Create(create::Create),
    Delete(Mailbox),
    Rename(Mailbox, Mailbox),
    Subscribe(Mailbox),
    Unsubscribe(Mailbox),
    List(list::List),
    Lsub(list::List),
    Status(status::Status),
    Namespace,
    /// RFC 9698 §4.
    GetJmapAccess,
    /// RFC 9208 §4.1.1; the quota root.
    GetQuota(String),
    /// RFC 9208 §4.1.2
    GetQuotaRoot(Mailbox),
    /// RFC 9208 §4.1.3
    SetQuota(quota::SetQuota),
    /// RFC 5464
    GetMetadata(metadata::GetMetadata),
    /// RFC 5464
    SetMetadata(metadata::SetMetadata),
    /// RFC 4314 §3
    SetAcl(acl::SetAcl),
    DeleteAcl(acl::OfIdentifier),
    GetAcl(Mailbox),
    ListRights(acl::OfIdentifier),
    MyRights(Mailbox),
    /// RFC 5465
    Notify(notify::Notify),
    /// `NETSCAPE`: the page of the account. // NMS: original.md 6
    Netscape,
    /// Names of pages, in upper case. // NMS: original.md 6
    XServerInfo(Vec<String>),
    XMailboxInfo(xserverinfo::XMailboxInfo),
    Idle,
    Check,
    Close,
    Unselect,
    /// With a set: UID EXPUNGE (RFC 4315 §2.1).
    Expunge(Option<SequenceSet>),
    Search(search::Search),
    /// RFC 7377
    ESearch(esearch::ESearch),
    /// RFC 5256
    Sort(sort::Sort),
    Thread(thread::Thread),
    Fetch(fetch::Fetch),
    Store(store::Store),
    /// Language ranges (RFC 5255 §3.2).
    Language(Vec<String>),
    /// Tags of searches (RFC 5267 §4.3.5).
    CancelUpdate(Vec<Vec<u8>>),
    /// RFC 10022
    UidBatches(uidbatches::UidBatches),
    /// RFC 4467
    GenUrlAuth(Vec<urlauth::Rump>),
    ResetKey(Option<urlauth::ResetKey>),
    UrlFetch(Vec<urlauth::UrlFetch>),
    Copy(Selected),
    /// RFC 6851
    Move(Selected),
}

impl Command {
    /// Whether a message is named by its number, or will be in the answer (RFC 9586 §3.1). `$` names none.
    pub fn has_numbers(&self) -> bool {
        match self {
            Command::Fetch(fetch) => !fetch.uid,
            Command::Store(store) => !store.uid,
            Command::Copy(selected) | Command::Move(selected) => !selected.uid,
            Command::Search(search) => !search.uid || search.key.has_numbers(),
            Command::ESearch(esearch) => esearch.search.key.has_numbers(),
            Command::Sort(sort) => !sort.uid || sort.key.has_numbers(),
            Command::Thread(thread) => !thread.uid || thread.key.has_numbers(),
            _ => false,
        }
    }

    /// Whether it changes what is in the store: mailboxes, messages, their flags, rights, annotations, subscriptions, keys of
    /// URLs. SELECT and EXAMINE do not, but what follows them may. APPEND is none of these commands.
    ///
    /// Exhaustive on purpose: a new command does not compile until it has its place.
    pub fn changes_something(&self) -> bool {
        match self {
            Command::Create(_)
            | Command::Delete(_)
            | Command::Rename(..)
            | Command::Subscribe(_)
            | Command::Unsubscribe(_)
            | Command::SetQuota(_)
            | Command::SetMetadata(_)
            | Command::SetAcl(_)
            | Command::DeleteAcl(_)
            | Command::Expunge(_)
            | Command::Store(_)
            | Command::GenUrlAuth(_)
            | Command::ResetKey(_)
            | Command::Copy(_)
            | Command::Move(_) => true,
            Command::Capability
            | Command::Noop
            | Command::Logout
            | Command::Unauthenticate
            | Command::Id(_)
            | Command::Enable(_)
            | Command::StartTls
            | Command::Compress(_)
            | Command::Authenticate(_)
            | Command::Login(_)
            | Command::ProxyAuth(_)
            | Command::Select(_)
            | Command::Examine(_)
            | Command::List(_)
            | Command::Lsub(_)
            | Command::Status(_)
            | Command::Namespace
            | Command::GetJmapAccess
            | Command::GetQuota(_)
            | Command::GetQuotaRoot(_)
            | Command::GetMetadata(_)
            | Command::GetAcl(_)
            | Command::ListRights(_)
            | Command::MyRights(_)
            | Command::Notify(_)
            | Command::Netscape
            | Command::XServerInfo(_)
            | Command::XMailboxInfo(_)
            | Command::Idle
            | Command::Check
            | Command::Close
            | Command::Unselect
            | Command::Search(_)
            | Command::ESearch(_)
            | Command::Sort(_)
            | Command::Thread(_)
            | Command::Fetch(_)
            | Command::Language(_)
            | Command::CancelUpdate(_)
            | Command::UidBatches(_)
            | Command::UrlFetch(_) => false,
        }
    }
}

/// Messages, and the mailbox they go to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Selected {
    /// Whether `set` holds UIDs.
    pub uid: bool,
    /// Which messages.
    pub set: SequenceSet,
    /// Where to.
    pub to: Mailbox,
}

/// Tag and verb of a command; the rest may be anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head<'a> {
    /// What the tagged response begins with.
    pub tag: &'a [u8],
    /// As written, in any case; empty when the tag stands alone.
    pub verb: &'a [u8],
    /// Where the arguments begin, the space before them included.
    pub arguments: usize,
}

impl Head<'_> {
    /// Whether the verb is `word`, in any case.
    pub fn is(&self, word: &str) -> bool {
        self.verb.eq_ignore_ascii_case(word.as_bytes())
    }
}

/// The beginning of a command line.
///
/// # Errors
/// There is no tag: the response cannot have one.
pub fn head(line: &[u8]) -> Parsed<Head<'_>> {
    let mut cursor = Cursor::new(line);
    let tag = words::tag(&mut cursor)?;
    let verb = if cursor.take(b' ') { cursor.take_while(words::is_atom_char) } else { b"" };
    Ok(Head { tag, verb, arguments: cursor.offset })
}

/// The command that begins with `head`; `naming`: what its mailbox names are written in.
///
/// # Errors
/// The verb is not known, or its arguments are not what the grammar says.
pub fn parse(bytes: &[u8], head: &Head<'_>, naming: Naming) -> Result<Command, SyntaxError> {
    let mut cursor = Cursor::of(bytes, naming);
    cursor.offset = head.arguments;
    let command = command(&mut cursor, head)?;
    cursor.end()?;
    Ok(command)
}

fn command(cursor: &mut Cursor<'_>, head: &Head<'_>) -> Parsed<Command> {
    let verb = head.verb.to_ascii_uppercase();
    Ok(match verb.as_slice() {
        b"CAPABILITY" => Command::Capability,
        b"NOOP" => Command::Noop,
        b"LOGOUT" => Command::Logout,
        b"UNAUTHENTICATE" => Command::Unauthenticate,
        b"ID" => Command::Id(id::arguments(cursor)?),
        b"ENABLE" => Command::Enable(enable(cursor)?),
        b"STARTTLS" => Command::StartTls,
        b"COMPRESS" => {
            cursor.space()?;
            Command::Compress(String::from_utf8_lossy(words::atom(cursor)?).to_ascii_uppercase())
        }
        b"AUTHENTICATE" => Command::Authenticate(authenticate::arguments(cursor)?),
        b"LOGIN" => Command::Login(login::arguments(cursor)?),
        b"PROXYAUTH" => {
            cursor.space()?;
            Command::ProxyAuth(words::astring(cursor)?)
        }
        b"SELECT" => Command::Select(select::arguments(cursor)?),
        b"EXAMINE" => Command::Examine(select::arguments(cursor)?),
        b"CREATE" => Command::Create(create::arguments(cursor)?),
        b"DELETE" => Command::Delete(one_mailbox(cursor)?),
        b"RENAME" => Command::Rename(one_mailbox(cursor)?, one_mailbox(cursor)?),
        b"SUBSCRIBE" => Command::Subscribe(one_mailbox(cursor)?),
        b"UNSUBSCRIBE" => Command::Unsubscribe(one_mailbox(cursor)?),
        b"LIST" => Command::List(list::arguments(cursor)?),
        b"LSUB" => Command::Lsub(list::plain(cursor)?),
        b"STATUS" => Command::Status(status::arguments(cursor)?),
        b"NAMESPACE" => Command::Namespace,
        b"GETJMAPACCESS" => Command::GetJmapAccess,
        b"GETQUOTA" => Command::GetQuota(quota::root(cursor)?),
        b"GETQUOTAROOT" => Command::GetQuotaRoot(one_mailbox(cursor)?),
        b"SETQUOTA" => Command::SetQuota(quota::set(cursor)?),
        b"GETMETADATA" => Command::GetMetadata(metadata::get(cursor)?),
        b"SETMETADATA" => Command::SetMetadata(metadata::set(cursor)?),
        b"LANGUAGE" => Command::Language(language::arguments(cursor)?),
        b"CANCELUPDATE" => Command::CancelUpdate(tags(cursor)?),
        b"UIDBATCHES" => Command::UidBatches(uidbatches::arguments(cursor)?),
        b"GENURLAUTH" => Command::GenUrlAuth(urlauth::generate(cursor)?),
        b"RESETKEY" => Command::ResetKey(urlauth::reset(cursor)?),
        b"URLFETCH" => Command::UrlFetch(urlauth::fetch(cursor)?),
        b"SETACL" => Command::SetAcl(acl::set(cursor)?),
        b"DELETEACL" => Command::DeleteAcl(acl::of_identifier(cursor)?),
        b"GETACL" => Command::GetAcl(one_mailbox(cursor)?),
        b"LISTRIGHTS" => Command::ListRights(acl::of_identifier(cursor)?),
        b"MYRIGHTS" => Command::MyRights(one_mailbox(cursor)?),
        b"NETSCAPE" => Command::Netscape,
        b"XSERVERINFO" => Command::XServerInfo(xserverinfo::names(cursor)?),
        b"XMAILBOXINFO" => Command::XMailboxInfo(xserverinfo::of_mailbox(cursor)?),
        b"NOTIFY" => Command::Notify(notify::arguments(cursor)?),
        b"IDLE" => Command::Idle,
        b"CHECK" => Command::Check,
        b"CLOSE" => Command::Close,
        b"UNSELECT" => Command::Unselect,
        b"EXPUNGE" => Command::Expunge(None),
        b"UID" => uid(cursor)?,
        b"ESEARCH" => Command::ESearch(esearch::arguments(cursor)?),
        _ => of_messages(cursor, &verb, false, head.tag.len().saturating_add(1))?,
    })
}

/// `uid = "UID" SP (copy / fetch / search / store / move / expunge)` (RFC 3501 §6.4.8, RFC 4315, RFC 6851)
fn uid(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    cursor.space()?;
    let place = cursor.offset;
    let verb = cursor.take_while(words::is_atom_char).to_ascii_uppercase();
    if verb == b"EXPUNGE" {
        cursor.space()?;
        return Ok(Command::Expunge(Some(sequence::sequence_set(cursor)?)));
    }
    of_messages(cursor, &verb, true, place)
}

/// The commands that have a UID form.
fn of_messages(cursor: &mut Cursor<'_>, verb: &[u8], uid: bool, place: usize) -> Parsed<Command> {
    Ok(match verb {
        b"FETCH" => Command::Fetch(fetch::arguments(cursor, uid)?),
        b"STORE" => Command::Store(store::arguments(cursor, uid)?),
        b"SEARCH" => Command::Search(search::arguments(cursor, uid)?),
        b"SORT" => Command::Sort(sort::arguments(cursor, uid)?),
        b"THREAD" => Command::Thread(thread::arguments(cursor, uid)?),
        b"COPY" => Command::Copy(selected(cursor, uid)?),
        b"MOVE" => Command::Move(selected(cursor, uid)?),
        _ => return Err(SyntaxError { offset: place, expected: "a known command" }),
    })
}

/// `copy = "COPY" SP sequence-set SP mailbox`
fn selected(cursor: &mut Cursor<'_>, uid: bool) -> Parsed<Selected> {
    cursor.space()?;
    let set = sequence::sequence_set(cursor)?;
    Ok(Selected { uid, set, to: one_mailbox(cursor)? })
}

/// `SP mailbox`
fn one_mailbox(cursor: &mut Cursor<'_>) -> Parsed<Mailbox> {
    cursor.space()?;
    mailbox::mailbox(cursor)
}

/// `"CANCELUPDATE" 1*(SP quoted)` (RFC 5267 §5)
fn tags(cursor: &mut Cursor<'_>) -> Parsed<Vec<Vec<u8>>> {
    let mut tags = Vec::new();
    while tags.is_empty() || cursor.rest().len() > 1 {
        cursor.space()?;
        tags.push(words::string(cursor)?);
    }
    Ok(tags)
}

/// `enable = "ENABLE" 1*(SP capability)`
fn enable(cursor: &mut Cursor<'_>) -> Parsed<Vec<String>> {
    let mut names = Vec::new();
    while names.is_empty() || (cursor.rest().len() > 1 && cursor.peek() == Some(b' ')) {
        cursor.space()?;
        names.push(String::from_utf8_lossy(words::atom(cursor)?).to_ascii_uppercase());
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(line: &[u8]) -> Result<Command, SyntaxError> {
        parse(line, &head(line)?, Naming::ModifiedUtf7)
    }

    #[test]
    fn verbs_are_known_in_any_case() {
        assert_eq!(read(b"a nOOp"), Ok(Command::Noop));
        assert!(matches!(read(b"a SELECT inbox "), Ok(Command::Select(select)) if select.qresync.is_none()));
        assert_eq!(read(b"a ENABLE condstore X"), Ok(Command::Enable(vec!["CONDSTORE".into(), "X".into()])));
        assert!(matches!(read(b"a uid expunge 1:*"), Ok(Command::Expunge(Some(_)))));
        assert!(matches!(read(b"a UID MOVE 1 \"a b\""), Ok(Command::Move(Selected { uid: true, .. }))));
        let two = read(b"a RENAME {1}\r\nx {1+}\r\ny").unwrap();
        assert_eq!(two, Command::Rename(Mailbox::Named("x".into()), Mailbox::Named("y".into())));
    }

    #[test]
    fn nonsense_is_refused_with_its_place() {
        assert_eq!(read(b"a FOO").unwrap_err(), SyntaxError { offset: 2, expected: "a known command" });
        assert_eq!(read(b"a UID FOO").unwrap_err().offset, 6);
        for bad in [
            &b"a"[..],
            b"a ",
            b"a NOOP ((((",
            b"a  NOOP",
            b"a SELECT",
            b"a SELECT a b",
            b"a UID NOOP",
            b"a NOOP {3}",
            b"a CREATE \xc3\xa9",
            b"a EXPUNGE 1",
            b"a UNAUTHENTICATE x",
            b"a COMPRESS",
            b"a CANCELUPDATE",
            b"a CANCELUPDATE B01",
            b"a CANCELUPDATE \"B01\" B02",
            b"a COMPRESS DEFLATE 9",
            b"a REPLACE 1 x \"message\"",
        ] {
            assert!(read(bad).is_err(), "{:?}", String::from_utf8_lossy(bad));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = read(&bytes);
        }

        #[test]
        fn no_text_makes_it_panic(
            verb in "(UID )?(FETCH|STORE|SEARCH|SORT|THREAD|COPY|LOGIN|LIST|STATUS|CREATE|ID|AUTHENTICATE)",
            rest in "[ -~]{0,10}([ ()\\[\\]{}<>\"\\\\*%,:.0-9A-Za-z\r\n+-]{0,60})",
        ) {
            let line = format!("a {verb} {rest}");
            let _ = read(line.as_bytes());
            let _ = append::parse(line.as_bytes(), Naming::Utf8);
        }
    }
}

//! Why a command is not done, and the tagged response each reason becomes (RFC 3501 §7.1, RFC 5530).

use std::borrow::Cow;

use imap_wire::SyntaxError;
use imap_wire::command::notify::Events;
use message_store::StoreError;

use crate::message_limit;

/// Whose fault: syntax is BAD, refusals and transient trouble are NO with a code, damage is NO [SERVERBUG].
#[derive(Debug)]
pub enum Refusal {
    /// The client wrote nonsense; what is wrong with it.
    Syntax(&'static str),
    /// The grammar was not followed.
    Grammar(SyntaxError),
    /// Not in this state.
    NotNow(&'static str),
    /// More than a limit: `BAD [TOOBIG]`.
    CommandTooBig,
    /// One argument is over its limit.
    LiteralTooBig,
    PrivacyRequired,
    WrongPassword,
    Disallowed,
    /// The directory does not answer.
    Unavailable,
    TooManyLogIns,
    TooManyGuesses,
    NoSuchMailbox,
    NoSuchRoot,
    /// The name, or the place, cannot be used.
    Cannot(&'static str),
    NoPermission,
    /// `store.sharewithanyone` is not set.
    NoAnyone,
    ReadOnly,
    TryCreate,
    BadCharset,
    /// Too many keywords or too much of something the administrator limits.
    Limit(&'static str),
    MessageTooBig,
    /// More messages than one command works on, and the lowest UID that it would have come to (RFC 9738).
    MessageLimit {
        most: u32,
        lowest: Option<u32>,
    },
    /// A URL names nothing that the user may read here (RFC 4469 §4); as it can be said.
    BadUrl(String),
    /// NUL in a message (RFC 3516 §4.4).
    UnknownCte,
    /// A part cannot be decoded (RFC 3516 §4.3).
    UnknownEncoding,
    /// A special use that is not offered (RFC 6154 §3).
    UseAttr,
    /// An authentication mechanism that is not offered.
    Mechanism,
    /// A number of a message where UIDs only are used (RFC 9586 §3.1).
    UidRequired,
    /// Batches that are too small, or too many of them (RFC 10022).
    TooFew,
    TooMany,
    ClientBug(&'static str),
    /// RFC 4978 §3
    CompressionActive,
    /// The value of an annotation is longer than so many bytes (RFC 5464 §4.3).
    MetadataTooLong(u64),
    /// There are annotations enough.
    MetadataTooMany,
    /// An event that is not offered (RFC 5465 §3.1).
    BadEvent,
    /// More mailboxes than one session may watch (RFC 5465 §3.1).
    NotificationOverflow,
    ExpungeIssued,
    Cancelled,
    Store(StoreError),
}

impl From<SyntaxError> for Refusal {
    fn from(error: SyntaxError) -> Refusal {
        Refusal::Grammar(error)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        Refusal::Store(error)
    }
}

impl Refusal {
    /// Status word, response code and text of the tagged response.
    pub fn response(&self) -> (&'static str, Cow<'static, str>, Cow<'static, str>) {
        let (word, code, text) = match self {
            Refusal::Grammar(error) => return ("BAD", Cow::Borrowed(""), Cow::Owned(error.to_string())),
            Refusal::MetadataTooLong(most) => {
                let code = Cow::Owned(format!("METADATA MAXSIZE {most}"));
                return ("NO", code, Cow::Borrowed("The value of an annotation is too long"));
            }
            Refusal::MessageLimit { most, lowest } => {
                let code = Cow::Owned(message_limit::code(*most, *lowest));
                return ("NO", code, Cow::Borrowed("Too many messages for one command; name fewer"));
            }
            Refusal::BadUrl(url) => {
                let code = Cow::Owned(format!("BADURL {url}"));
                return ("NO", code, Cow::Borrowed("The URL names no message here, or no part of one"));
            }
            Refusal::BadEvent => {
                let code = Cow::Owned(format!("BADEVENT ({})", Events::NAMES));
                return ("NO", code, Cow::Borrowed("Such events are not offered"));
            }
            Refusal::NotificationOverflow => {
                ("NO", "NOTIFICATIONOVERFLOW", "These are more mailboxes than may be watched")
            }
            Refusal::MetadataTooMany => ("NO", "METADATA TOOMANY", "There are annotations enough"),
            Refusal::Syntax(text) | Refusal::NotNow(text) => ("BAD", "", *text),
            Refusal::CommandTooBig => ("BAD", "TOOBIG", "Command too long"),
            Refusal::LiteralTooBig => ("NO", "TOOBIG", "Literal too long"),
            Refusal::PrivacyRequired => ("NO", "PRIVACYREQUIRED", "Use TLS to log in with a password"),
            Refusal::WrongPassword => ("NO", "AUTHENTICATIONFAILED", "Wrong user name or password"),
            Refusal::Disallowed => ("NO", "CONTACTADMIN", "This service is not enabled for you"),
            Refusal::Unavailable => ("NO", "UNAVAILABLE", "The directory does not answer; try again later"),
            Refusal::TooManyLogIns => {
                ("NO", "UNAVAILABLE", "Too many log-ins at the moment; try again later")
            }
            Refusal::TooManyGuesses => ("NO", "UNAVAILABLE", "Too many wrong passwords; try again later"),
            Refusal::NoSuchMailbox => ("NO", "NONEXISTENT", "No such mailbox"),
            Refusal::NoSuchRoot => ("NO", "NONEXISTENT", "No such quota root"),
            Refusal::Cannot(text) => ("NO", "CANNOT", *text),
            Refusal::NoPermission => ("NO", "NOPERM", "Not permitted"),
            Refusal::NoAnyone => ("NO", "NOPERM", "Only administrators give rights to anyone"),
            Refusal::ReadOnly => ("NO", "READ-ONLY", "The mailbox is selected read-only"),
            Refusal::TryCreate => ("NO", "TRYCREATE", "No such mailbox; create it first"),
            Refusal::BadCharset => ("NO", "BADCHARSET (US-ASCII UTF-8)", "Unknown charset"),
            Refusal::Limit(text) => ("NO", "LIMIT", *text),
            Refusal::MessageTooBig => ("NO", "TOOBIG", "The message is too big"),
            Refusal::UnknownCte => ("NO", "UNKNOWN-CTE", "A message with NUL cannot be stored"),
            Refusal::UnknownEncoding => ("NO", "UNKNOWN-CTE", "The transfer encoding of a part is not known"),
            Refusal::UseAttr => ("NO", "USEATTR", "No such special use"),
            Refusal::Mechanism => ("NO", "CANNOT", "No such authentication mechanism"),
            Refusal::UidRequired => ("BAD", "UIDREQUIRED", "Messages have no numbers after ENABLE UIDONLY"),
            Refusal::TooFew => ("NO", "TOOFEW", "A batch has at least 500 messages"),
            Refusal::TooMany => ("NO", "TOOMANY", "Too many batches; ask for fewer, or larger ones"),
            Refusal::ClientBug(text) => ("BAD", "CLIENTBUG", *text),
            Refusal::CompressionActive => ("NO", "COMPRESSIONACTIVE", "DEFLATE is active already"),
            Refusal::ExpungeIssued => ("NO", "EXPUNGEISSUED", "Some of the messages no longer exist"),
            Refusal::Cancelled => ("BAD", "", "Authentication cancelled"),
            Refusal::Store(error) => of_store(error),
        };
        (word, Cow::Borrowed(code), Cow::Borrowed(text))
    }

    /// Whether the client is at fault; a client that does so too often is sent away.
    pub fn is_bad(&self) -> bool {
        self.response().0 == "BAD"
    }
}

fn of_store(error: &StoreError) -> (&'static str, &'static str, &'static str) {
    match error {
        StoreError::NotFound => ("NO", "NONEXISTENT", "No such mailbox"),
        StoreError::AlreadyExists => ("NO", "ALREADYEXISTS", "The mailbox exists already"),
        StoreError::CannotCreate(reason) => ("NO", "CANNOT", reason),
        StoreError::TooBig(limit) => ("NO", "LIMIT", limit),
        StoreError::OverQuota => ("NO", "OVERQUOTA", "Quota exceeded"),
        StoreError::InUse => ("NO", "INUSE", "The mailbox is busy; try again"),
        StoreError::NoSpace => ("NO", "UNAVAILABLE", "No space left"),
        StoreError::NotReady(_) => ("NO", "UNAVAILABLE", "The store is not ready; try again later"),
        StoreError::Damaged(_) => ("NO", "SERVERBUG", "Stored data is damaged; the administrator was told"),
        StoreError::Fenced => ("NO", "UNAVAILABLE", "The disk failed; the mailbox takes no changes now"),
        StoreError::Io(_) => ("NO", "UNAVAILABLE", "The store cannot be read; try again later"),
    }
}

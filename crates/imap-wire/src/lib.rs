//! The IMAP protocol as text: bytes to typed command, typed values to the bytes of responses (RFC 3501).
//!
//! Knows no connection, no file and no user. What is written into a response goes through [`utf7`], [`date`] and
//! [`quote`]; what comes from a client goes through [`literal`] (where does the command end?), [`head`] and [`parse`].

pub mod command;
pub mod cursor;
pub mod date;
pub mod flags;
pub mod literal;
pub mod mailbox;
pub mod sequence;
pub mod url;
pub mod utf7;
pub mod words;

pub use command::append::Append;
pub use command::esearch::{ESearch, Source};
pub use command::fetch::{Binary, Item as FetchItem, Section, SectionText};
pub use command::partial::Partial;
pub use command::returned::Returned;
pub use command::search::{Charset, Key as SearchKey, Search};
pub use command::select::{Resync, Select};
pub use command::sort::{Criterion, Sort, SortKey};
pub use command::status::Item as StatusItem;
pub use command::store::{How, Store};
pub use command::thread::{Algorithm, Thread};
pub use command::urlauth::{ResetKey, Rump, UrlFetch, UrlItem};
pub use command::{Command, Head, Selected, head, parse};
pub use cursor::{Cursor, SyntaxError};
pub use flags::{FlagList, SystemFlag};
pub use literal::Literal;
pub use mailbox::{Mailbox, Naming};
pub use sequence::{Bound, SequenceSet};
pub use url::{Access, Authorized, Url};
pub use words::{quote, quote_utf8};

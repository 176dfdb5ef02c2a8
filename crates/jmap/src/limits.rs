//! What one client may ask for (RFC 8620 §2, the core capability), and what else a client could make grow.

/// Bytes of an upload.
pub const MAX_SIZE_UPLOAD: u64 = 50_000_000;
/// Uploads of one user at once.
pub const MAX_CONCURRENT_UPLOAD: usize = 8;
/// Bytes of a request's body.
pub const MAX_SIZE_REQUEST: usize = 10_000_000;
/// Bytes that its values may take in memory.
pub const REQUEST_MEMORY_MAX: usize = 64 * 1024 * 1024;
/// Requests of one user at once, in one process.
pub const MAX_CONCURRENT_REQUESTS: usize = 16;
pub const MAX_CALLS_IN_REQUEST: usize = 64;
pub const MAX_OBJECTS_IN_GET: usize = 1000;
pub const MAX_OBJECTS_IN_SET: usize = 1000;

/// Ids that a query answers with at most; more are asked for by another position.
pub const QUERY_IDS_MAX: usize = 5000;
/// Conditions and operators of one filter.
pub const FILTER_PARTS_MAX: usize = 200;
/// Operators inside operators.
pub const FILTER_DEPTH_MAX: usize = 20;
/// Texts that one filter looks for.
pub const FILTER_TEXTS_MAX: usize = 50;
/// Comparators of one sort.
pub const COMPARATORS_MAX: usize = 8;
/// Bytes of what one request answers and of what its result references copy, after which no more is fetched.
pub const RESPONSE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of messages and parts that one request has parsed, imported or attached by their blobs.
pub const WORK_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Ids of one answer of /changes.
pub const CHANGES_MAX: usize = 5000;
/// Creation ids that one request may bring along or make.
pub const CREATED_IDS_MAX: usize = 10_000;
/// Bytes of a message that is made of an Email object.
pub const MAX_SIZE_MESSAGE: u64 = 50_000_000;
/// Of all attachments of an Email that is created (RFC 8621 §1.3.1).
pub const MAX_SIZE_ATTACHMENTS: u64 = 50_000_000;
/// Mailboxes that one Email may be in.
pub const MAX_MAILBOXES_PER_EMAIL: usize = 100;
/// Levels of mailboxes below one another.
pub const MAX_MAILBOX_DEPTH: usize = mailbox_depth();
/// Bytes of a mailbox's name.
pub const MAX_SIZE_MAILBOX_NAME: usize = 200;
/// Keywords of one Email.
pub const KEYWORDS_MAX: usize = 64;
/// Body parts of an Email that is created, and how deep.
pub const CREATE_PARTS_MAX: usize = 1000;
pub const CREATE_DEPTH_MAX: usize = 20;

/// What the store's names allow, below `user/<uid>`.
const fn mailbox_depth() -> usize {
    18
}

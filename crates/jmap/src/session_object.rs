//! The session object: who the user is, what there is and within which limits (RFC 8620 §2, RFC 8621 §1.3).

use message_store::Rights;
use serde_json::{Map, Value, json};

use crate::shares::{Owner, Scope};
use crate::{Jmap, Who, limits};

pub const CORE: &str = "urn:ietf:params:jmap:core";
pub const MAIL: &str = "urn:ietf:params:jmap:mail";
pub const SUBMISSION: &str = "urn:ietf:params:jmap:submission";
pub const VACATION: &str = "urn:ietf:params:jmap:vacationresponse";
/// RFC 9425 §2.
pub const QUOTA: &str = "urn:ietf:params:jmap:quota";
/// Ours: preferences, forwarding, recipients, passwords.
pub const ACCOUNT: &str = "urn:x-mailboat:jmap:account";

/// What `using` may name.
pub const CAPABILITIES: [&str; 6] = [CORE, MAIL, SUBMISSION, VACATION, QUOTA, ACCOUNT];

/// Sorting by text is by i;unicode-casemap (RFC 5051), which is the only one (RFC 8620 §2, collationAlgorithms).
pub const COLLATION: &str = "i;unicode-casemap";

pub fn session(jmap: &Jmap, who: &Who) -> Value {
    let core = json!({
        "maxSizeUpload": limits::MAX_SIZE_UPLOAD,
        "maxConcurrentUpload": limits::MAX_CONCURRENT_UPLOAD,
        "maxSizeRequest": limits::MAX_SIZE_REQUEST,
        "maxConcurrentRequests": limits::MAX_CONCURRENT_REQUESTS,
        "maxCallsInRequest": limits::MAX_CALLS_IN_REQUEST,
        "maxObjectsInGet": limits::MAX_OBJECTS_IN_GET,
        "maxObjectsInSet": limits::MAX_OBJECTS_IN_SET,
        "collationAlgorithms": [COLLATION],
    });
    let mail = json!({
        "maxMailboxesPerEmail": limits::MAX_MAILBOXES_PER_EMAIL,
        "maxMailboxDepth": limits::MAX_MAILBOX_DEPTH,
        "maxSizeMailboxName": limits::MAX_SIZE_MAILBOX_NAME,
        "maxSizeAttachmentsPerEmail": limits::MAX_SIZE_ATTACHMENTS,
        "emailQuerySortOptions": crate::email::sort::OPTIONS,
        "mayCreateTopLevelMailbox": !who.entry.anybody,
    });
    let submission = json!({
        "maxDelayedSend": jmap.personal.delayed_max.as_secs(),
        "submissionExtensions": crate::submission::extensions(&jmap.personal),
    });
    let uid = &who.uid;
    let mut accounts = Map::new();
    accounts.insert(
        uid.clone(),
        json!({
            "name": who.entry.mail,
            "isPersonal": true,
            "isReadOnly": who.entry.anybody,
            "accountCapabilities": {
                CORE: {}, MAIL: mail, SUBMISSION: submission, VACATION: {}, QUOTA: {}, ACCOUNT: {},
            },
        }),
    );
    let mut of_others = mail.clone();
    of_others["mayCreateTopLevelMailbox"] = json!(false);
    let owners = jmap.owners(who).unwrap_or_default();
    for owner in &owners {
        let scope = Scope { who, owner };
        if accounts.contains_key(scope.account_id()) {
            continue;
        }
        let shared = json!({
            "name": jmap.name_of(owner),
            "isPersonal": false,
            "isReadOnly": who.entry.anybody || is_read_only(jmap, scope),
            "accountCapabilities": { CORE: {}, MAIL: of_others },
        });
        accounts.insert(scope.account_id().to_owned(), shared);
    }
    json!({
        "capabilities": { CORE: core, MAIL: {}, SUBMISSION: {}, VACATION: {}, QUOTA: {}, ACCOUNT: {} },
        "accounts": accounts,
        "primaryAccounts": {
            CORE: uid, MAIL: uid, SUBMISSION: uid, VACATION: uid, QUOTA: uid, ACCOUNT: uid,
        },
        "username": uid,
        "apiUrl": "/jmap/api",
        "downloadUrl": "/jmap/download/{accountId}/{blobId}/{name}?type={type}",
        "uploadUrl": "/jmap/upload/{accountId}",
        "eventSourceUrl": "/jmap/events?types={types}&closeafter={closeafter}&ping={ping}",
        "state": state_with(who, &owners),
    })
}

/// Whether nothing of it can be changed, in any mailbox (RFC 8620 §2).
fn is_read_only(jmap: &Jmap, scope: Scope<'_>) -> bool {
    let writes = Rights::ALL & !(Rights::LOOKUP | Rights::READ | Rights::POST);
    let given = jmap.given_of(scope.who, scope.owner).unwrap_or_default();
    !given.iter().any(|one| one.rights.has_any(writes))
}

/// Changes when the session object does (RFC 8620 §2).
pub fn state(jmap: &Jmap, who: &Who) -> String {
    state_with(who, &jmap.owners_kept(who))
}

fn state_with(who: &Who, owners: &[Owner]) -> String {
    let mut text = format!("{}\0{}\0{}", env!("CARGO_PKG_VERSION"), who.uid, who.entry.mail);
    for owner in owners {
        text.push('\0');
        text.push_str(Scope { who, owner }.account_id());
    }
    format!("{:08x}", base::crc32(text.as_bytes()))
}

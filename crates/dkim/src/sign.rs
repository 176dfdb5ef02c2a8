//! Signs messages: relaxed/relaxed, with the fields that may stand once signed once more than they are there, so that none can
//! be added (RFC 6376 §5, §8.15).

use std::fmt;

use base64::Engine;
use openssl::error::ErrorStack;
use openssl::sha::sha256;

use crate::body::{self, Digest, Wanted};
use crate::canonical::Canonical;
use crate::fields::{Field, Message};
use crate::keyring::SigningKey;

/// Fields that stand at most once, whether they are there or not; nobody may add one (RFC 6376 §5.4.1, §8.15).
const ONCE: [&str; 12] = [
    "From",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Message-ID",
    "Reply-To",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
];
/// Fields that are signed as they are there; lists and forwarders may add theirs.
const PRESENT: [&str; 16] = [
    "Sender",
    "Resent-Date",
    "Resent-From",
    "Resent-To",
    "Resent-Cc",
    "Resent-Message-ID",
    "List-Id",
    "List-Help",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "List-Subscribe",
    "List-Post",
    "List-Owner",
    "List-Archive",
    "Auto-Submitted",
    "Content-Disposition",
];
/// Fields that are signed, and of one name; a message that has more is not signed at all.
const NAMES_MAX: usize = 200;
const SAME_NAME_MAX: usize = 50;
/// Columns of a line of ours.
const LINE: usize = 76;

/// When a signature is made, and for how long it counts.
#[derive(Clone, Copy, Debug)]
pub struct Signing {
    /// Seconds since 1970.
    pub now: u64,
    /// Seconds; `None`: for ever.
    pub lifetime: Option<u64>,
}

/// Why a message was not signed.
#[derive(Debug)]
pub enum SignError {
    Message(&'static str),
    Library(ErrorStack),
}

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SignError::Message(why) => f.write_str(why),
            SignError::Library(why) => write!(f, "OpenSSL: {why}"),
        }
    }
}
impl std::error::Error for SignError {}

impl From<ErrorStack> for SignError {
    fn from(why: ErrorStack) -> SignError {
        SignError::Library(why)
    }
}

/// DKIM-Signature fields to put in front of `message`, one for each key, each with its line end. The body is read once.
///
/// # Errors
/// The message cannot be signed, or the library fails.
pub fn sign(message: &[u8], keys: &[SigningKey], signing: Signing) -> Result<Vec<u8>, SignError> {
    let message = Message::read(message).map_err(SignError::Message)?;
    sign_message(&message, keys, signing)
}

/// The same of a message that is read already.
///
/// # Errors
/// As [`sign`].
pub(crate) fn sign_message(
    message: &Message<'_>,
    keys: &[SigningKey],
    signing: Signing,
) -> Result<Vec<u8>, SignError> {
    if message.named("from").next().is_none() {
        return Err(SignError::Message("it has no From")); // RFC 6376 §5.4: which must be signed
    }
    let names = names(message, false)?;
    let body_hash = body_hash(message);
    let mut fields = Vec::new();
    for key in keys {
        let head = "DKIM-Signature: v=1; ";
        let expires = signing.lifetime.map(|lifetime| signing.now.saturating_add(lifetime));
        let field = signed_field(head, message, &names, &body_hash, key, signing.now, expires)?;
        fields.extend_from_slice(field.as_bytes());
    }
    Ok(fields)
}

pub(crate) fn body_hash(message: &Message<'_>) -> Digest {
    let wanted = Wanted { canonical: Canonical::Relaxed, limit: None };
    body::hashes(message.body, &[wanted]).first().copied().flatten().unwrap_or_default()
}

/// The names to sign, in order, each as often as it is to be selected. A seal also covers the DKIM signatures.
///
/// # Errors
/// There would be too many.
pub(crate) fn names(message: &Message<'_>, is_seal: bool) -> Result<Vec<&'static str>, SignError> {
    let count = |name: &str| message.named(name).take(SAME_NAME_MAX + 1).count();
    let once = ONCE.iter().flat_map(|name| std::iter::repeat_n(*name, count(name) + 1));
    let signatures = is_seal.then_some("DKIM-Signature");
    let present = PRESENT.iter().copied().chain(signatures);
    let present = present.flat_map(|name| std::iter::repeat_n(name, count(name)));
    let names: Vec<&str> = once.chain(present).collect();
    let most = names.iter().map(|name| count(name)).max().unwrap_or(0);
    match names.len() > NAMES_MAX || most > SAME_NAME_MAX {
        true => Err(SignError::Message("it has too many fields that would have to be signed")),
        false => Ok(names),
    }
}

/// A signature of the header fields `names` and of a body, with its line end.
pub(crate) fn signed_field(
    head: &str,
    message: &Message<'_>,
    names: &[&str],
    body_hash: &Digest,
    key: &SigningKey,
    now: u64,
    expires: Option<u64>,
) -> Result<String, SignError> {
    let expires = expires.map_or(String::new(), |expires| format!(" x={expires};"));
    let mut text = format!(
        "{head}a={}; c=relaxed/relaxed;\r\n\td={}; s={};\r\n\tt={now};{expires}\r\n\th=",
        key.algorithm(),
        key.domain(),
        key.selector()
    );
    fold(
        names.iter().enumerate().map(|(at, name)| match at + 1 == names.len() {
            true => format!("{name};"),
            false => format!("{name}:"),
        }),
        11,
        &mut text,
    );
    text.push_str(&format!(
        "\r\n\tbh={};\r\n\tb=",
        base64::engine::general_purpose::STANDARD.encode(body_hash)
    ));
    let own = Field::read(text.as_bytes()).ok_or(SignError::Message("our own field cannot be read"))?;
    let mut signed = Vec::new();
    for field in message.selected(names.iter().map(|name| name.as_bytes()), None) {
        Canonical::Relaxed.add_field(&field, &mut signed);
    }
    let end = own.value().len();
    Canonical::Relaxed.add_own(&own, end..end, &mut signed);
    with_signature(&text, &sha256(&signed), key)
}

/// A field that ends in `b=`, with the signature and the line end.
pub(crate) fn with_signature(text: &str, hash: &Digest, key: &SigningKey) -> Result<String, SignError> {
    let signature = key.algorithm().sign(key.private(), hash)?;
    let signature = base64::engine::general_purpose::STANDARD.encode(signature);
    let mut text = text.to_owned();
    // Base64 is ASCII; pieces of it may be folded anywhere.
    let pieces =
        signature.as_bytes().chunks(LINE - 12).map(|piece| String::from_utf8_lossy(piece).into_owned());
    fold(pieces, 11, &mut text);
    text.push_str("\r\n");
    Ok(text)
}

/// Adds the pieces, with line ends between them where a line would become too long.
fn fold(pieces: impl Iterator<Item = String>, mut column: usize, text: &mut String) {
    for piece in pieces {
        if column > 11 && column + piece.len() > LINE {
            text.push_str("\r\n\t ");
            column = 10;
        }
        column += piece.len();
        text.push_str(&piece);
    }
}

//! The parameters of MAIL and RCPT: SIZE (RFC 1870), BODY (RFC 6152), SMTPUTF8 (RFC 6531), AUTH (RFC 4954 §5),
//! RET, ENVID, NOTIFY and ORCPT (RFC 3461 §4). Each at most once, each strictly of its form.

use crate::command::CommandError;
use crate::xtext;

const ENVID_MAX: usize = 100;
const ORCPT_MAX: usize = 500;

/// BODY= of RFC 6152.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Body {
    /// `7BIT`, also when nothing was said.
    #[default]
    SevenBit,
    /// `8BITMIME`.
    EightBitMime,
}

/// RET= of RFC 3461 §4.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ret {
    /// The whole message.
    Full,
    /// Its header.
    Headers,
}

/// NOTIFY= of RFC 3461 §4.1. All false: NEVER.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notify {
    /// On success.
    pub success: bool,
    /// On failure.
    pub failure: bool,
    /// On delay.
    pub delay: bool,
}

/// What was said after MAIL's path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailParameters {
    /// Declared size in bytes.
    pub size: Option<u64>,
    /// Declared form of the body.
    pub body: Option<Body>,
    /// SMTPUTF8 was said.
    pub smtputf8: bool,
    /// Whom the peer says to have authenticated, decoded; `<>` stays as it is.
    pub auth: Option<String>,
    /// What a report is to contain.
    pub ret: Option<Ret>,
    /// Envelope id as xtext, checked.
    pub envid: Option<String>,
}

/// What was said after RCPT's path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RcptParameters {
    /// When to report; `None` when nothing was said.
    pub notify: Option<Notify>,
    /// Original recipient, `type;xtext` or `utf-8;` with the forms of RFC 6533 §3, checked.
    pub orcpt: Option<String>,
}

fn pieces(text: &[u8]) -> Result<Vec<(String, Option<&str>)>, CommandError> {
    let text = std::str::from_utf8(text).map_err(|_| CommandError::Value("not UTF-8"))?;
    let mut all: Vec<(String, Option<&str>)> = Vec::new();
    for piece in text.split(' ').filter(|p| !p.is_empty()) {
        let (name, value) = match piece.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (piece, None),
        };
        let name = name.to_ascii_uppercase();
        if all.iter().any(|(other, _)| *other == name) {
            return Err(CommandError::Value("parameter given twice"));
        }
        all.push((name, value));
    }
    Ok(all)
}

/// Reads the parameters of MAIL.
///
/// # Errors
/// [`CommandError::Parameter`] for an unknown one, [`CommandError::Value`] for a bad value,
/// [`CommandError::TooBig`] for a size beyond all numbers.
pub fn mail(text: &[u8]) -> Result<MailParameters, CommandError> {
    let mut out = MailParameters::default();
    for (name, value) in pieces(text)? {
        match (name.as_str(), value) {
            ("SIZE", Some(value)) => out.size = Some(number(value)?),
            ("BODY", Some(value)) => out.body = Some(body(value)?),
            ("SMTPUTF8", None) => out.smtputf8 = true,
            ("AUTH", Some(value)) => out.auth = Some(text_of(value, 500)?),
            ("RET", Some(value)) if value.eq_ignore_ascii_case("FULL") => out.ret = Some(Ret::Full),
            ("RET", Some(value)) if value.eq_ignore_ascii_case("HDRS") => out.ret = Some(Ret::Headers),
            ("ENVID", Some(value)) => {
                text_of(value, ENVID_MAX)?;
                out.envid = Some(value.to_owned());
            }
            ("SIZE" | "BODY" | "SMTPUTF8" | "AUTH" | "RET" | "ENVID", _) => {
                return Err(CommandError::Value("bad parameter value"));
            }
            _ => return Err(CommandError::Parameter),
        }
    }
    Ok(out)
}

/// Reads the parameters of RCPT. `utf8` says that the transaction has SMTPUTF8: an ORCPT may then be UTF-8 as it is.
///
/// # Errors
/// As [`mail`].
pub fn rcpt(text: &[u8], utf8: bool) -> Result<RcptParameters, CommandError> {
    let mut out = RcptParameters::default();
    for (name, value) in pieces(text)? {
        match (name.as_str(), value) {
            ("NOTIFY", Some(value)) => out.notify = Some(notify(value)?),
            ("ORCPT", Some(value)) => {
                let (kind, address) = value.split_once(';').ok_or(CommandError::Value("bad ORCPT"))?;
                if kind.is_empty() || !kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
                    return Err(CommandError::Value("bad ORCPT"));
                }
                let address = match kind.eq_ignore_ascii_case("utf-8") {
                    true if address.len() > ORCPT_MAX => None,
                    true => xtext::decode_utf8(address).filter(|_| utf8 || address.is_ascii()),
                    false => Some(text_of(address, ORCPT_MAX)?),
                };
                if address.is_none_or(|address| address.is_empty()) {
                    return Err(CommandError::Value("bad ORCPT"));
                }
                out.orcpt = Some(value.to_owned());
            }
            ("NOTIFY" | "ORCPT", _) => return Err(CommandError::Value("bad parameter value")),
            _ => return Err(CommandError::Parameter),
        }
    }
    Ok(out)
}

fn number(value: &str) -> Result<u64, CommandError> {
    if value.is_empty() || !value.bytes().all(|b| b.is_ascii_digit()) {
        return Err(CommandError::Value("bad number"));
    }
    value.parse().map_err(|_| CommandError::TooBig)
}

fn body(value: &str) -> Result<Body, CommandError> {
    match value.to_ascii_uppercase().as_str() {
        "7BIT" => Ok(Body::SevenBit),
        "8BITMIME" => Ok(Body::EightBitMime),
        _ => Err(CommandError::Value("bad BODY")),
    }
}

/// Decodes xtext that must be printable ASCII when decoded: control bytes would reach a report (RFC 3461 §4.4).
fn text_of(value: &str, limit: usize) -> Result<String, CommandError> {
    let bad = CommandError::Value("bad xtext");
    if value.len() > limit {
        return Err(bad);
    }
    let bytes = xtext::decode(value).ok_or(bad)?;
    if bytes.iter().any(|b| *b < 0x20 || *b >= 0x7f) {
        return Err(bad);
    }
    String::from_utf8(bytes).map_err(|_| bad)
}

fn notify(value: &str) -> Result<Notify, CommandError> {
    if value.eq_ignore_ascii_case("NEVER") {
        return Ok(Notify::default());
    }
    let mut out = Notify::default();
    for word in value.split(',') {
        let flag = match word.to_ascii_uppercase().as_str() {
            "SUCCESS" => &mut out.success,
            "FAILURE" => &mut out.failure,
            "DELAY" => &mut out.delay,
            _ => return Err(CommandError::Value("bad NOTIFY")),
        };
        if std::mem::replace(flag, true) {
            return Err(CommandError::Value("bad NOTIFY"));
        }
    }
    Ok(out)
}

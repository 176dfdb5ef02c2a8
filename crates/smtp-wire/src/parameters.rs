//! The parameters of MAIL and RCPT: SIZE (RFC 1870), BODY (RFC 6152), SMTPUTF8 (RFC 6531), AUTH (RFC 4954 §5),
//! RET, ENVID, NOTIFY and ORCPT (RFC 3461 §4). Each at most once, each strictly of its form.

use crate::command::CommandError;
use crate::xtext;

const ENVID_MAX: usize = 100;
const ORCPT_MAX: usize = 500;

/// BODY= of RFC 6152 and RFC 3030.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Body {
    /// `7BIT`, also when nothing was said.
    #[default]
    SevenBit,
    /// `8BITMIME`.
    EightBitMime,
    /// `BINARYMIME` (RFC 3030 §3).
    Binary,
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

/// HOLDFOR and HOLDUNTIL of RFC 4865 §4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// So many seconds from now on.
    For(u32),
    /// Until a second since 1970; and the words in which it was given.
    Until(i64, String),
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
    /// Not to be sent before.
    pub hold: Option<Hold>,
    /// REQUIRETLS was said (RFC 8689 §2).
    pub require_tls: bool,
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
            ("REQUIRETLS", None) => out.require_tls = true,
            ("AUTH", Some(value)) => out.auth = Some(text_of(value, 500)?),
            ("RET", Some(value)) if value.eq_ignore_ascii_case("FULL") => out.ret = Some(Ret::Full),
            ("RET", Some(value)) if value.eq_ignore_ascii_case("HDRS") => out.ret = Some(Ret::Headers),
            ("ENVID", Some(value)) => {
                text_of(value, ENVID_MAX)?;
                out.envid = Some(value.to_owned());
            }
            // RFC 4865 §4: one of the two, once.
            ("HOLDFOR" | "HOLDUNTIL", _) if out.hold.is_some() => {
                return Err(CommandError::Value("parameter given twice"));
            }
            ("HOLDFOR", Some(value)) => out.hold = Some(hold_for(value)?),
            ("HOLDUNTIL", Some(value)) => {
                let second = date_time(value).ok_or(CommandError::Value("bad date and time"))?;
                out.hold = Some(Hold::Until(second, value.to_ascii_uppercase()));
            }
            ("HOLDFOR" | "HOLDUNTIL", None) => return Err(CommandError::Value("bad parameter value")),
            ("SIZE" | "BODY" | "SMTPUTF8" | "REQUIRETLS" | "AUTH" | "RET" | "ENVID", _) => {
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

/// `future-release-interval = 1*9DIGIT` (RFC 4865 §4)
fn hold_for(value: &str) -> Result<Hold, CommandError> {
    let digits = (1..=9).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = value.parse().ok().filter(|_| digits);
    seconds.map(Hold::For).ok_or(CommandError::Value("bad interval"))
}

/// `date-time` of RFC 3339 §5.6 in seconds since 1970; fractions of a second are dropped.
fn date_time(text: &str) -> Option<i64> {
    let part = |from: usize, to: usize| {
        let digits = text.get(from..to).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        digits.parse::<i64>().ok()
    };
    let sign = |at: usize, wanted: &str| text.get(at..at + 1).filter(|c| c.eq_ignore_ascii_case(wanted));
    for (at, wanted) in [(4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":")] {
        sign(at, wanted)?;
    }
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days).contains(&day) || hour > 23 || minute > 59 || second > 60 || year < 1970 {
        return None;
    }
    let mut at = 19;
    if sign(at, ".").is_some() {
        let digits = text[at + 1..].bytes().take_while(u8::is_ascii_digit).count();
        at += 1 + digits;
        (digits > 0).then_some(())?;
    }
    let offset = match text.get(at..at + 1)? {
        "Z" | "z" if text.len() == at + 1 => 0,
        way @ ("+" | "-") if text.len() == at + 6 => {
            sign(at + 3, ":")?;
            let (hours, minutes) = (part(at + 1, at + 3)?, part(at + 4, at + 6)?);
            let seconds = (hours * 60 + minutes) * 60;
            (hours < 24 && minutes < 60).then_some(if way == "+" { seconds } else { -seconds })?
        }
        _ => return None,
    };
    // Days since 1970 with years that begin in March, so that the day of a leap year comes last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second - offset)
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
        "BINARYMIME" => Ok(Body::Binary),
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hold(text: &str) -> Option<Hold> {
        mail(text.as_bytes()).ok()?.hold
    }

    #[test]
    fn a_time_for_release_is_an_interval_or_a_date() {
        assert_eq!(hold("HOLDFOR=30"), Some(Hold::For(30)));
        assert_eq!(hold("holdfor=999999999"), Some(Hold::For(999_999_999)));
        for (text, second) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:30:59z", 951_827_459),
            ("2026-11-29t12:00:00+01:30", 1_795_948_200),
            ("2026-11-29T12:00:00.75-00:00", 1_795_953_600),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
        ] {
            assert_eq!(date_time(text), Some(second), "{text}");
        }
        for bad in [
            "HOLDFOR=",
            "HOLDFOR=1000000000",
            "HOLDFOR=-1",
            "HOLDFOR",
            "HOLDUNTIL",
            "HOLDUNTIL=tomorrow",
            "HOLDUNTIL=2026-02-29T00:00:00Z",
            "HOLDUNTIL=2026-13-01T00:00:00Z",
            "HOLDUNTIL=2026-01-01T24:00:00Z",
            "HOLDUNTIL=2026-01-01T00:00:00",
            "HOLDUNTIL=2026-01-01T00:00:00.Z",
            "HOLDUNTIL=2026-01-01T00:00:00+1",
            "HOLDUNTIL=2026-01-01T00:00:00Zx",
            "HOLDFOR=1 HOLDFOR=1",
            "HOLDFOR=1 HOLDUNTIL=2026-01-01T00:00:00Z",
            "HOLDUNTIL=2026-01-0ÿT00:00:00Z",
        ] {
            assert!(mail(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange_for_a_date(text in "\\PC{0,30}", nearly in "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}[Z+.-][0-9:]{0,5}") {
            let _ = date_time(&text);
            let _ = date_time(&nearly);
        }
    }
}

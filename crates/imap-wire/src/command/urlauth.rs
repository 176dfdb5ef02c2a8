//! GENURLAUTH, RESETKEY, URLFETCH (RFC 4467 §9), with the parameters of URLAUTH=BINARY (RFC 5524 §5).

use crate::cursor::{Cursor, Parsed};
use crate::mailbox::{self, Mailbox};
use crate::words;

/// URLs of one command.
pub const URLS_MAX: usize = 100;

/// `url-rump SP mechanism`: a URL that is to be authorized.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rump {
    /// As written.
    pub url: Vec<u8>,
    /// In upper case.
    pub mechanism: String,
}

/// A URL that is to be fetched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UrlFetch {
    /// As written.
    pub url: Vec<u8>,
    /// In parentheses (RFC 5524 §3.1), with at least one item: each is answered in parentheses of its own.
    pub items: Vec<UrlItem>,
}

/// What is asked of a URL (RFC 5524 §3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UrlItem {
    /// The bytes as they are.
    Body,
    /// Without their transfer encoding.
    Binary,
    BodyPartStructure,
}

impl UrlItem {
    pub fn name(self) -> &'static str {
        match self {
            UrlItem::Body => "BODY",
            UrlItem::Binary => "BINARY",
            UrlItem::BodyPartStructure => "BODYPARTSTRUCTURE",
        }
    }
}

/// A mailbox and mechanisms in upper case; nothing: all mailboxes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResetKey {
    pub mailbox: Mailbox,
    pub mechanisms: Vec<String>,
}

/// `genurlauth = "GENURLAUTH" 1*(SP url-rump SP mechanism)`
pub(super) fn generate(cursor: &mut Cursor<'_>) -> Parsed<Vec<Rump>> {
    let mut rumps = Vec::new();
    while rumps.is_empty() || has_more(cursor) {
        check_count(cursor, rumps.len())?;
        cursor.space()?;
        let url = words::astring(cursor)?;
        cursor.space()?;
        rumps.push(Rump { url, mechanism: mechanism(cursor)? });
    }
    Ok(rumps)
}

/// `resetkey = "RESETKEY" [SP mailbox *(SP mechanism)]`
pub(super) fn reset(cursor: &mut Cursor<'_>) -> Parsed<Option<ResetKey>> {
    if !has_more(cursor) {
        return Ok(None);
    }
    cursor.space()?;
    let mailbox = mailbox::mailbox(cursor)?;
    let mut mechanisms = Vec::new();
    while has_more(cursor) {
        cursor.space()?;
        mechanisms.push(mechanism(cursor)?);
    }
    Ok(Some(ResetKey { mailbox, mechanisms }))
}

/// `urlfetch = "URLFETCH" 1*(SP (url-full / "(" url-full *(SP url-fetch-param) ")"))`
pub(super) fn fetch(cursor: &mut Cursor<'_>) -> Parsed<Vec<UrlFetch>> {
    let mut urls = Vec::new();
    while urls.is_empty() || has_more(cursor) {
        check_count(cursor, urls.len())?;
        cursor.space()?;
        let is_extended = cursor.take(b'(');
        let url = words::astring(cursor)?;
        let mut items = Vec::new();
        while is_extended && !cursor.take(b')') {
            cursor.space()?;
            item(cursor, &mut items)?;
        }
        urls.push(UrlFetch { url, items });
    }
    Ok(urls)
}

/// RFC 5524 §3.1: none twice, and not both BINARY and BODY.
fn item(cursor: &mut Cursor<'_>, items: &mut Vec<UrlItem>) -> Parsed<()> {
    let known = [UrlItem::BodyPartStructure, UrlItem::Binary, UrlItem::Body];
    let start = cursor.clone();
    let Some(item) = known.into_iter().find(|item| cursor.keyword(item.name().as_bytes())) else {
        return cursor.error("BODY, BINARY or BODYPARTSTRUCTURE");
    };
    let is_content = |item: &UrlItem| *item != UrlItem::BodyPartStructure;
    if items.contains(&item) || (is_content(&item) && items.iter().any(is_content)) {
        return start.error("each item once, and BODY or BINARY");
    }
    items.push(item);
    Ok(())
}

fn check_count(cursor: &Cursor<'_>, count: usize) -> Parsed<()> {
    if count < URLS_MAX { Ok(()) } else { cursor.error("at most 100 URLs") }
}

/// `mechanism = "INTERNAL" / 1*(ALPHA / DIGIT / "-" / ".")`
fn mechanism(cursor: &mut Cursor<'_>) -> Parsed<String> {
    let name = cursor.take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
    if name.is_empty() {
        return cursor.error("a mechanism such as INTERNAL");
    }
    Ok(String::from_utf8_lossy(name).to_ascii_uppercase())
}

/// A space at the end of the command is no argument.
fn has_more(cursor: &Cursor<'_>) -> bool {
    cursor.rest().len() > 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cursor::SyntaxError;

    fn whole<T>(text: &str, read: fn(&mut Cursor<'_>) -> Parsed<T>) -> Result<T, SyntaxError> {
        let mut cursor = Cursor::new(text.as_bytes());
        let value = read(&mut cursor)?;
        cursor.end().map(|()| value)
    }

    #[test]
    fn the_three_commands_are_read() {
        let rumps = whole(" \"imap://a/\" INTERNAL x xsample.1", generate).unwrap();
        let of = |url: &str, mechanism: &str| Rump { url: url.into(), mechanism: mechanism.into() };
        assert_eq!(rumps, [of("imap://a/", "INTERNAL"), of("x", "XSAMPLE.1")]);
        assert_eq!(whole("", reset), Ok(None));
        let one = whole(" INBOX internal XSAMPLE", reset).unwrap().unwrap();
        assert_eq!(one.mechanisms, ["INTERNAL", "XSAMPLE"]);
        let urls = whole(" a (b) ({1+}\r\nc binary BODYPARTSTRUCTURE) (d body)", fetch).unwrap();
        let items: Vec<&[UrlItem]> = urls.iter().map(|url| url.items.as_slice()).collect();
        let binary = [UrlItem::Binary, UrlItem::BodyPartStructure];
        assert_eq!(items, [&[][..], &[], &binary, &[UrlItem::Body]]);
        assert_eq!(urls[2].url, b"c");
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["", " a", " a INTERNAL b", " a \"INTERNAL\"", " (a) INTERNAL", "  a INTERNAL"] {
            assert!(whole(bad, generate).is_err(), "{bad}");
        }
        for bad in [" INBOX  x", " INBOX (x)", " INBOX x,y"] {
            assert!(whole(bad, reset).is_err(), "{bad}");
        }
        for bad in
            ["", " ()", " (a", " (a BODY BODY)", " (a BODY BINARY)", " (a BODY[])", " (a (BODY))", " a BODY)"]
        {
            assert!(whole(bad, fetch).is_err(), "{bad}");
        }
        assert!(whole(&" a".repeat(URLS_MAX), fetch).is_ok());
        assert!(whole(&" a".repeat(URLS_MAX + 1), fetch).is_err());
    }
}

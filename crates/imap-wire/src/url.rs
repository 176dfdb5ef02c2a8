//! IMAP URLs that name a message or a part of it (RFC 5092 §11).
//!
//! `imapurl = "imap://" iserver "/" imessagepart`, `imessagepart = imailbox-ref iuid [isection] [ipartial]`, or the same without
//! the server: `/INBOX;UIDVALIDITY=785799047/;UID=113330/;SECTION=1.5.9/;PARTIAL=0.1024`. URLs of mailboxes and searches are
//! none of these, nor are those that lack a mailbox.
//!
//! Behind an absolute one may stand who may use it until when, and what proves it (RFC 4467 §3): `iurlauth = [";EXPIRE="
//! date-time] ";URLAUTH=" access [":" mechanism ":" token]`, for [`Authorized`] only.

use std::fmt::Write as _;

use crate::command::fetch::{self, Section};
use crate::cursor::{Cursor, decimal};
use crate::date::rfc3339;

/// Bytes of a URL: more than the longest name has, percent-encoded.
pub const URL_BYTES_MAX: usize = 16 * 1024;

/// A message, or a part of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Url {
    /// Of an absolute URL; one without is of the server it is given to.
    pub server: Option<Server>,
    /// In UTF-8, as it is in the URL.
    pub mailbox: String,
    pub uid_validity: Option<u32>,
    pub uid: u32,
    /// The whole message when the URL names none; `partial` is that of the URL, from the first byte, to the end when it names
    /// no length.
    pub section: Section,
}

/// A URL with an authorization in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Authorized<'u> {
    /// Its server is there, and names a user.
    pub url: Url,
    /// Seconds since 1970.
    pub expire: Option<i64>,
    pub access: Access,
    /// What the token is made of: all before the mechanism.
    pub rump: &'u [u8],
    /// Nothing: it is to be authorized.
    pub verifier: Option<Verifier>,
}

/// Who may use a URL (RFC 4467 §3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Access {
    /// Who submits messages on behalf of this user.
    Submit(String),
    /// This user.
    User(String),
    /// Who is logged in as a user.
    AuthUser,
    Anonymous,
}

/// `":" uauth-mechanism ":" enc-urlauth`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verifier {
    /// In upper case.
    pub mechanism: String,
    /// Hexadecimal digits in lower case, 32 or more.
    pub token: String,
}

impl<'u> Authorized<'u> {
    /// Reads a URL; nothing when it is no absolute URL of a message with a user and an authorization.
    pub fn read(bytes: &'u [u8]) -> Option<Authorized<'u>> {
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= URL_BYTES_MAX)?;
        let (before, authorization) = text.rsplit_once(';')?;
        let (plain, expire) =
            match before.rsplit_once(';').map(|(plain, last)| (plain, strip(last, "EXPIRE="))) {
                Some((plain, Some(moment))) => (plain, Some(rfc3339(moment)?)),
                _ => (before, None),
            };
        let authorization = strip(authorization, "URLAUTH=")?;
        let (access, verifier) = match authorization.split_once(':') {
            None => (authorization, None),
            Some((access, verifier)) => (access, Some(Verifier::read(verifier)?)),
        };
        let rump = &bytes[..text.len() - authorization.len() + access.len()];
        let access = Access::read(access)?;
        let url = Url::read(plain.as_bytes()).filter(|url| url.user().is_some())?;
        Some(Authorized { url, expire, access, rump, verifier })
    }
}

impl Access {
    fn read(text: &str) -> Option<Access> {
        if text.eq_ignore_ascii_case("anonymous") {
            return Some(Access::Anonymous);
        }
        if text.eq_ignore_ascii_case("authuser") {
            return Some(Access::AuthUser);
        }
        if let Some(user) = strip(text, "user+") {
            return decoded(user, b"&=").map(Access::User);
        }
        strip(text, "submit+").and_then(|user| decoded(user, b"&=")).map(Access::Submit)
    }
}

impl Verifier {
    fn read(text: &str) -> Option<Verifier> {
        let (mechanism, token) = text.split_once(':')?;
        let is_mechanism = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        let is_good = !mechanism.is_empty()
            && mechanism.bytes().all(is_mechanism)
            && token.len() >= 32
            && token.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_good.then(|| Verifier {
            mechanism: mechanism.to_ascii_uppercase(),
            token: token.to_ascii_lowercase(),
        })
    }
}

/// `iserver = [iuserinfo "@"] host [ ":" port ]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Server {
    pub user: Option<String>,
    /// As written.
    pub host: String,
    pub port: Option<u16>,
}

impl Url {
    /// Reads a URL; nothing when it is no URL of a message.
    pub fn read(bytes: &[u8]) -> Option<Url> {
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= URL_BYTES_MAX)?;
        let (server, path) = match strip(text, "imap://") {
            None => (None, text.strip_prefix('/')?),
            Some(rest) => {
                let (server, path) = rest.split_once('/')?;
                (Some(Server::read(server)?), path)
            }
        };
        let (mailbox, parameters) = path.split_once(';')?;
        let mut parameters = Parameters { slash: mailbox.ends_with('/'), rest: Some(parameters) };
        let mailbox = decoded(mailbox.strip_suffix('/').unwrap_or(mailbox), b":@/&=")?;
        let uid_validity = match parameters.take("UIDVALIDITY", false)? {
            Some(value) => Some(nz_number(value)?),
            None => None,
        };
        let uid = nz_number(parameters.take("UID", true)??)?;
        let spec = match parameters.take("SECTION", true)? {
            Some(value) => decoded(value, b":@/&=")?,
            None => String::new(),
        };
        let mut section = section(&spec)?;
        if let Some(range) = parameters.take("PARTIAL", true)? {
            section.partial = Some(partial(range)?);
        }
        let is_whole = parameters.rest.is_none() && !parameters.slash;
        is_whole.then_some(Url { server, mailbox, uid_validity, uid, section })
    }
}

impl Url {
    /// The user in whose place it is to be used.
    pub fn user(&self) -> Option<&str> {
        self.server.as_ref()?.user.as_deref()
    }
}

impl Server {
    fn read(text: &str) -> Option<Server> {
        let (user, place) = match text.split_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, text),
        };
        // How to log in (`;AUTH=`) means nothing where one is logged in.
        let user = match user
            .map(|user| user.split_once(';').map_or((user, None), |(user, auth)| (user, Some(auth))))
        {
            None => None,
            Some((user, auth)) => {
                if auth.is_some_and(|auth| strip(auth, "AUTH=").is_none_or(str::is_empty)) {
                    return None;
                }
                if user.is_empty() { None } else { Some(decoded(user, b"&=")?) }
            }
        };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port.parse().ok()?)),
            _ => (place, None),
        };
        (!host.is_empty()).then(|| Server { user, host: host.to_owned(), port })
    }
}

/// What stands behind the mailbox: `NAME=value` with a `;` before each but the first, and a `/` before that where the grammar
/// says so.
struct Parameters<'a> {
    /// Whether there is a slash before the next one.
    slash: bool,
    rest: Option<&'a str>,
}

impl<'a> Parameters<'a> {
    /// The value of the next parameter if it has this name: `Some(None)` when it is another, nothing when it breaks the grammar.
    fn take(&mut self, name: &str, slash: bool) -> Option<Option<&'a str>> {
        let Some(rest) = self.rest else { return Some(None) };
        let (this, after) = rest.split_once(';').map_or((rest, None), |(this, after)| (this, Some(after)));
        let value = strip(this, name).and_then(|value| value.strip_prefix('='));
        let Some(value) = value else { return Some(None) };
        if self.slash != slash {
            return None;
        }
        let stripped = value.strip_suffix('/').filter(|_| after.is_some());
        self.slash = stripped.is_some();
        self.rest = after;
        Some(Some(stripped.unwrap_or(value)))
    }
}

/// What stands behind `prefix`, in any case.
fn strip<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let start = text.get(..prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

/// `nz-number`
fn nz_number(text: &str) -> Option<u32> {
    let mut cursor = Cursor::new(text.as_bytes());
    let number = cursor.nz_number().ok()?;
    cursor.is_at_end().then_some(number)
}

/// `partial-range = number ["." nz-number]`
fn partial(text: &str) -> Option<(u32, u32)> {
    match text.split_once('.') {
        None => Some((decimal(text.as_bytes())?, u32::MAX)),
        Some((origin, count)) => Some((decimal(origin.as_bytes())?, nz_number(count)?)),
    }
}

/// `section-spec`; empty is the whole message.
fn section(spec: &str) -> Option<Section> {
    let written = format!("[{spec}]");
    let mut cursor = Cursor::new(written.as_bytes());
    let section = fetch::section(&mut cursor, true).ok()?;
    (cursor.is_at_end() && section.partial.is_none()).then_some(section)
}

/// `1*uchar` and what else is allowed, decoded; UTF-8 without control characters.
fn decoded(text: &str, also: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => base::hex::digit(rest.next()?)? << 4 | base::hex::digit(rest.next()?)?,
            byte if is_plain(byte) || also.contains(&byte) => byte,
            _ => return None,
        });
    }
    let text = String::from_utf8(bytes).ok()?;
    (!text.is_empty() && !text.contains(char::is_control)).then_some(text)
}

/// `unreserved / sub-delims-sh`
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$'()*+,".contains(&byte)
}

/// A URL as it can stand in a response code: what a client may have sent that cannot stand there is percent-encoded
/// (`url-resp-text`, RFC 4469 §5 with its errata 2002 and 4046).
pub fn in_response_code(url: &[u8]) -> String {
    let mut text = String::with_capacity(url.len());
    for &byte in &url[..url.len().min(URL_BYTES_MAX)] {
        match byte {
            0x21..=0x7e if byte != b']' => text.push(char::from(byte)),
            _ => {
                let _ = write!(text, "%{byte:02X}"); // a String takes all
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::command::fetch::SectionText;

    fn read(text: &str) -> Option<Url> {
        Url::read(text.as_bytes())
    }

    #[test]
    fn the_parts_of_a_url_are_told_apart() {
        let url = read("/INBOX;UIDVALIDITY=785799047/;UID=113330/;SECTION=1.5.9/;PARTIAL=10.1024").unwrap();
        assert_eq!((url.mailbox.as_str(), url.uid_validity, url.uid), ("INBOX", Some(785_799_047), 113_330));
        assert_eq!((url.section.part, url.section.partial), (vec![1, 5, 9], Some((10, 1024))));
        assert_eq!(url.server, None);
        let url = read("/Work/2002/;uid=1").unwrap();
        assert_eq!((url.mailbox.as_str(), url.section.text), ("Work/2002", SectionText::All));
        assert_eq!(read("/Entw%C3%BCrfe%20&co/;UID=1").unwrap().mailbox, "Entwürfe &co");
        assert_eq!(read("/x/;UID=1/;PARTIAL=7").unwrap().section.partial, Some((7, u32::MAX)));
        let fields = read("/x/;UID=1/;SECTION=2.HEADER.FIELDS%20(To%20From)").unwrap().section;
        assert_eq!(fields.text, SectionText::Fields(vec!["To".into(), "From".into()]));
        assert_eq!(read("/x/;UID=1/;Section=header").unwrap().section.text, SectionText::Header);
        let server = |text: &str| read(text).unwrap().server.unwrap();
        let full = Server { user: Some("fred@x".into()), host: "mail.example".into(), port: Some(143) };
        assert_eq!(server("imap://fred%40x;AUTH=*@mail.example:143/INBOX/;UID=20"), full);
        let least = Server { user: None, host: "[::1]".into(), port: None };
        assert_eq!(server("IMAP://[::1]/INBOX/;UID=20"), least);
        assert_eq!(server("imap://;AUTH=PLAIN@[::1]/INBOX/;UID=20"), least);
    }

    #[test]
    fn what_is_no_url_of_a_message_is_refused() {
        for bad in [
            "",
            "/",
            "INBOX/;UID=1",
            "/INBOX",
            "/INBOX/",
            "/;UID=1",
            "//;UID=1",
            "/INBOX;UID=1",
            "/INBOX/;UIDVALIDITY=1/;UID=1",
            "/INBOX;UIDVALIDITY=1;UID=1",
            "/INBOX;UIDVALIDITY=0/;UID=1",
            "/INBOX/;UID=0",
            "/INBOX/;UID=01",
            "/INBOX/;UID=4294967296",
            "/INBOX/;UID=1/",
            "/INBOX/;UID=1;SECTION=1",
            "/INBOX/;UID=1/;SECTION=",
            "/INBOX/;UID=1/;SECTION=1.x",
            "/INBOX/;UID=1/;SECTION=MIME",
            "/INBOX/;UID=1/;SECTION=1%5D<0.5>",
            "/INBOX/;UID=1/;PARTIAL=",
            "/INBOX/;UID=1/;PARTIAL=1.0",
            "/INBOX/;UID=1/;PARTIAL=1.",
            "/INBOX/;UID=1/;PARTIAL=1/;SECTION=1",
            "/INBOX/;UID=1/;UID=1",
            "/INBOX/;UID=1;URLAUTH=anonymous",
            "/INBOX/;UID=1?TEXT",
            "/IN BOX/;UID=1",
            "/IN%0ABOX/;UID=1",
            "/IN%FFBOX/;UID=1",
            "/IN%4/;UID=1",
            "/IN%+1BOX/;UID=1",
            "http://x/INBOX/;UID=1",
            "imap:///INBOX/;UID=1",
            "imap://x",
            "imap://x:y/INBOX/;UID=1",
            "imap://a;b@x/INBOX/;UID=1",
            "imap://a;AUTH=@x/INBOX/;UID=1",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(read(&format!("/{}/;UID=1", "x".repeat(URL_BYTES_MAX))), None);
    }

    #[test]
    fn an_authorization_is_told_from_the_url() {
        let rump = "imap://joe@example.com/INBOX/;uid=20/;section=1.2;EXPIRE=1996-12-19T16:39:57-08:00;urlauth=submit+f%2Bd";
        let full = format!("{rump}:internal:91354A473744909de610943775f92038");
        let read = Authorized::read(full.as_bytes()).unwrap();
        assert_eq!((read.rump, read.expire), (rump.as_bytes(), Some(851_042_397)));
        assert_eq!((read.access, read.url.user()), (Access::Submit("f+d".into()), Some("joe")));
        assert_eq!((read.url.section.part, read.url.uid), (vec![1, 2], 20));
        let verifier = read.verifier.unwrap();
        assert_eq!(
            (verifier.mechanism.as_str(), verifier.token.as_str()),
            ("INTERNAL", "91354a473744909de610943775f92038")
        );
        let read = Authorized::read(rump.as_bytes()).unwrap();
        assert_eq!((read.rump, read.verifier), (rump.as_bytes(), None));
        for (text, access) in [
            ("anonymous", Access::Anonymous),
            ("AuthUser", Access::AuthUser),
            ("user+joe", Access::User("joe".into())),
        ] {
            let text = format!("imap://joe@x/INBOX;UIDVALIDITY=7/;UID=20/;PARTIAL=0.9;URLAUTH={text}");
            assert_eq!(Authorized::read(text.as_bytes()).map(|read| read.access), Some(access), "{text}");
        }
    }

    #[test]
    fn what_is_no_authorized_url_is_refused() {
        let token = "91354a473744909de610943775f92038";
        for bad in [
            "".to_owned(),
            "imap://joe@x/INBOX/;UID=20".into(),
            "/INBOX/;UID=20;URLAUTH=anonymous".into(),
            "imap://x/INBOX/;UID=20;URLAUTH=anonymous".into(),
            "imap://;AUTH=*@x/INBOX/;UID=20;URLAUTH=anonymous".into(),
            "imap://joe@x/INBOX/;UID=20/;URLAUTH=anonymous".into(),
            "imap://joe@x/INBOX/;UID=20;URLAUTH=".into(),
            "imap://joe@x/INBOX/;UID=20;URLAUTH=everybody".into(),
            "imap://joe@x/INBOX/;UID=20;URLAUTH=user+".into(),
            "imap://joe@x/INBOX/;UID=20;URLAUTH=submit".into(),
            "imap://joe@x/INBOX/;UID=20;URLAUTH=anonymous;EXPIRE=1996-12-19T16:39:57Z".into(),
            "imap://joe@x/INBOX/;UID=20;EXPIRE=tomorrow;URLAUTH=anonymous".into(),
            "imap://joe@x/INBOX/;UID=20;EXPIRE=;URLAUTH=anonymous".into(),
            "imap://joe@x/INBOX;URLAUTH=anonymous".into(),
            "imap://joe@x/;URLAUTH=anonymous".into(),
            "imap://joe@x/INBOX?TEXT;URLAUTH=anonymous".into(),
            format!("imap://joe@x/INBOX/;UID=20;URLAUTH=anonymous:{token}"),
            format!("imap://joe@x/INBOX/;UID=20;URLAUTH=anonymous::{token}"),
            format!("imap://joe@x/INBOX/;UID=20;URLAUTH=anonymous:INTERNAL:{}", &token[1..]),
            format!("imap://joe@x/INBOX/;UID=20;URLAUTH=anonymous:INTERNAL:{token}x"),
            format!("imap://joe@x/INBOX/;UID=20;URLAUTH=anonymous:IN_TERNAL:{token}"),
            format!("imap://joe@x/INBOX/;UID=20;URLAUTH=anonymous:INTERNAL:{token}:"),
        ] {
            assert_eq!(Authorized::read(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_response_code_is_not_ended_by_a_url() {
        assert_eq!(in_response_code(b"/a b]\r\n\xff/;UID=1"), "/a%20b%5D%0D%0A%FF/;UID=1");
    }

    fn encoded(text: &str) -> String {
        let byte = |byte: u8| match byte {
            byte if is_plain(byte) || byte == b'/' => char::from(byte).to_string(),
            byte => format!("%{byte:02x}"),
        };
        text.bytes().map(byte).collect()
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            mailbox in "[a-zA-Z ;&%?#é漢]{1,20}(/[a-z;=]{1,5}){0,3}",
            uid in 1u32..,
            uid_validity in proptest::option::of(1u32..),
            part in proptest::collection::vec(1u32.., 0..5),
            range in proptest::option::of((any::<u32>(), 1u32..)),
        ) {
            let mut text = format!("/{}", encoded(&mailbox));
            if let Some(number) = uid_validity {
                text.push_str(&format!(";UIDVALIDITY={number}"));
            }
            text.push_str(&format!("/;UID={uid}"));
            if !part.is_empty() {
                let numbers: Vec<String> = part.iter().map(u32::to_string).collect();
                text.push_str(&format!("/;SECTION={}", numbers.join(".")));
            }
            if let Some((origin, count)) = range {
                text.push_str(&format!("/;PARTIAL={origin}.{count}"));
            }
            let url = read(&text);
            prop_assert!(url.is_some(), "{}", text);
            let url = url.unwrap();
            prop_assert_eq!(url.mailbox, mailbox);
            prop_assert_eq!((url.uid, url.uid_validity), (uid, uid_validity));
            prop_assert_eq!((url.section.part, url.section.partial), (part, range));
            let absolute = read(&format!("imap://joe@mail.example{text}"));
            prop_assert_eq!(absolute.unwrap().server.unwrap().host, "mail.example");
        }

        #[test]
        fn no_bytes_make_it_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
            text in "(imap://)?[a-z@:;/\\[\\]]{0,10}/[a-z%0-9;=/\\PC]{0,10}(/;(UID|SECTION|PARTIAL)=[0-9.%A-Z\\[\\]<>(]{0,8}){0,3}",
        ) {
            let _ = (Url::read(&bytes), Authorized::read(&bytes));
            let _ = read(&text);
            let _ = Authorized::read(format!("{text};EXPIRE=1996-12-19T16:39:57Z;URLAUTH={text}").as_bytes());
            prop_assert!(in_response_code(&bytes).bytes().all(|byte| (0x21..=0x7e).contains(&byte) && byte != b']'));
        }
    }
}

//! Header rewriting for our own clients: names for addresses (`smtprewritestyle`, S31), From and Sender of who logged in
//! (S38, S39).
//!
//! It is done while the message comes in, before it is committed. What others send passes as it is: a signature (DKIM)
//! would not survive. Only what is plainly an address is changed; whatever has a name, a comment or a form of its own stays
//! to the byte, but for a domain that is missing. The costs are one look-up for From (S32), and none when it is who logged
//! in; To and Cc know whom RCPT looked up.

use std::ops::Range;

use directory::Entry;
use mail_format::header::raw_fields;
use mail_format::{Item, address_list, encode_words};

/// `smtprewritestyle`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Nothing is changed.
    Never,
    /// Addresses get the domain that they lack.
    None,
    /// `"Joe User" <joe@example.org>`
    Quoted,
    /// `joe@example.org (Joe User)`
    Comment,
}

impl Style {
    pub fn named(name: &str) -> Style {
        match name {
            "never" => Style::Never,
            "none" => Style::None,
            "comment" => Style::Comment,
            _ => Style::Quoted,
        }
    }

    /// An address with the name of its owner.
    fn written(self, address: &str, name: Option<&str>) -> String {
        let Some(name) = name.map(str::trim).filter(|name| !name.is_empty()) else {
            return address.to_owned();
        };
        let encoded = encode_words(name);
        let is_plain = encoded == name;
        let escaped = |special: &[char]| {
            let parts =
                name.chars().map(|c| if special.contains(&c) { format!("\\{c}") } else { c.to_string() });
            parts.collect::<String>()
        };
        match self {
            Style::Never | Style::None => address.to_owned(),
            // RFC 2047 §5: no encoded word inside quotes.
            Style::Quoted if is_plain => format!("\"{}\" <{address}>", escaped(&['"', '\\'])),
            Style::Quoted => format!("{encoded} <{address}>"),
            Style::Comment if is_plain => format!("{address} ({})", escaped(&['(', ')', '\\'])),
            Style::Comment => format!("{address} ({encoded})"),
        }
    }
}

/// What is rewritten.
#[derive(Clone, Copy, Debug)]
pub struct Rewriting {
    pub style: Style,
    /// `rewritetocc`
    pub to: bool,
    pub cc: bool,
    /// `dorewritefromusingauth`
    pub from_by_log_in: bool,
    /// `dorewritesenderusingauth`
    pub sender_by_log_in: bool,
}

impl Rewriting {
    /// `rewritetocc`: two words, yes or no in one way or another; what is not said is yes.
    pub fn to_and_cc(words: &str) -> (bool, bool) {
        let mut words = words
            .split(',')
            .map(|word| !["false", "no", "0", "off"].iter().any(|no| word.trim().eq_ignore_ascii_case(no)));
        (words.next().unwrap_or(true), words.next().unwrap_or(true))
    }
}

/// Which field an address stands in, for the look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    From,
    ToOrCc,
}

/// The header with its fields rewritten; nothing when nothing is to be changed. `name_of` gives the name of the owner of an
/// address.
pub fn rewrite(
    header: &[u8],
    how: Rewriting,
    default_domain: &str,
    user: Option<&Entry>,
    mut name_of: impl FnMut(&str, Place) -> Option<String>,
) -> Option<Vec<u8>> {
    let mut new = Vec::with_capacity(header.len() + 256);
    let mut is_changed = false;
    let (mut from_seen, mut sender_seen, mut from_is_users) = (false, false, false);
    for field in raw_fields(header) {
        let Some((name, value)) = parts(field) else {
            // The end: what a log-in says and the client did not.
            if let (Some(user), true, true, false, false) =
                (user, how.sender_by_log_in, from_seen, sender_seen, from_is_users)
            {
                new.extend_from_slice(format!("Sender: {}\r\n", of_user(how.style, user)).as_bytes());
                is_changed = true;
            }
            new.extend_from_slice(field);
            continue;
        };
        let mut changed = None;
        if name.eq_ignore_ascii_case(b"From") {
            let own = user.is_some_and(|user| is_users(value, user, default_domain));
            from_is_users = own || (user.is_some() && how.from_by_log_in);
            from_seen = true;
            changed = match user.filter(|_| how.from_by_log_in && !own) {
                Some(user) => Some(format!(" {}", of_user(how.style, user)).into_bytes()),
                None => restyled(value, how.style, default_domain, |address| name_of(address, Place::From)),
            };
        } else if name.eq_ignore_ascii_case(b"Sender") {
            sender_seen = true;
            let forged = |user: &&Entry| how.sender_by_log_in && !is_users(value, user, default_domain);
            changed = user.filter(forged).map(|user| format!(" {}", of_user(how.style, user)).into_bytes());
        } else if (how.to && name.eq_ignore_ascii_case(b"To")) || (how.cc && name.eq_ignore_ascii_case(b"Cc"))
        {
            changed = restyled(value, how.style, default_domain, |address| name_of(address, Place::ToOrCc));
        }
        match changed {
            Some(value) => {
                new.extend_from_slice(name);
                new.push(b':');
                new.extend_from_slice(&value);
                new.extend_from_slice(b"\r\n");
                is_changed = true;
            }
            None => new.extend_from_slice(field),
        }
    }
    is_changed.then_some(new)
}

/// Name and value of a field, without its line end; nothing for the empty line and what is no field.
fn parts(field: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', field)?;
    let name = field[..colon].trim_ascii_end();
    let value = field[colon + 1..].strip_suffix(b"\r\n").unwrap_or(&field[colon + 1..]);
    (!name.is_empty()).then_some((name, value))
}

/// The name that the directory has for somebody.
pub fn common_name(entry: &Entry) -> Option<String> {
    entry.attributes.get("cn").and_then(|names| names.first()).cloned()
}

fn of_user(style: Style, user: &Entry) -> String {
    style.written(&user.mail, common_name(user).as_deref())
}

/// Whether the addresses of a value are the user's.
fn is_users(value: &[u8], user: &Entry, default_domain: &str) -> bool {
    let mut any = false;
    for item in address_list(value) {
        let Item::Mailbox { local, domain, .. } = item else { continue };
        let domain = if domain.is_empty() { default_domain.as_bytes().to_vec() } else { domain };
        let address = [local, domain].map(|part| String::from_utf8_lossy(&part).into_owned()).join("@");
        if !user.has_address(&address) {
            return false;
        }
        any = true;
    }
    any
}

/// A list of addresses in this style; nothing when it is so already.
fn restyled(
    value: &[u8],
    style: Style,
    default_domain: &str,
    mut name_of: impl FnMut(&str) -> Option<String>,
) -> Option<Vec<u8>> {
    if style == Style::Never {
        return None;
    }
    let mut new = Vec::new();
    let mut written = 0;
    for element in elements(value) {
        let Some((span, text)) = new_element(value, element, style, default_domain, &mut name_of) else {
            continue;
        };
        new.extend_from_slice(&value[written..span.start]);
        new.extend_from_slice(text.as_bytes());
        written = span.end;
    }
    if written == 0 {
        return None;
    }
    new.extend_from_slice(&value[written..]);
    Some(new)
}

/// What stands for one element, and in place of which bytes.
fn new_element(
    value: &[u8],
    element: Range<usize>,
    style: Style,
    default_domain: &str,
    name_of: &mut impl FnMut(&str) -> Option<String>,
) -> Option<(Range<usize>, String)> {
    let text = &value[element.clone()];
    let start = element.start + (text.len() - text.trim_ascii_start().len());
    let text = text.trim_ascii();
    let end = start + text.len();
    if let Some(inner) = text.strip_prefix(b"<").and_then(|text| text.strip_suffix(b">")) {
        let address = address(inner, default_domain)?;
        let name = if matches!(style, Style::None) { None } else { name_of(&address) };
        let has_domain = inner.contains(&b'@');
        return match name {
            Some(name) => Some((start..end, style.written(&address, Some(&name)))),
            None if has_domain => None,
            None => Some((start..end, format!("<{address}>"))),
        };
    }
    if text.ends_with(b">") {
        // It has a name: the address may lack its domain.
        let open = memchr::memrchr(b'<', text)? + 1;
        let inner = &text[open..text.len() - 1];
        let address = address(inner, default_domain).filter(|_| !inner.contains(&b'@'))?;
        return Some((start + open..end - 1, address));
    }
    let address = address(text, default_domain)?;
    let name = if matches!(style, Style::None) { None } else { name_of(&address) };
    let new = style.written(&address, name.as_deref());
    (new.as_bytes() != text).then_some((start..end, new))
}

/// What is plainly an address (dot-atoms, RFC 5322 §3.4.1), with a domain.
fn address(text: &[u8], default_domain: &str) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let is_atom = |part: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte);
        part.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(plain))
    };
    match text.split_once('@') {
        Some((local, domain)) => (is_atom(local) && is_atom(domain)).then(|| text.to_owned()),
        None => (is_atom(text) && !default_domain.is_empty()).then(|| format!("{text}@{default_domain}")),
    }
}

/// The elements of an address list, without the names of groups (RFC 5322 §3.4).
fn elements(value: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let (mut start, mut quoted, mut angle, mut bracket, mut depth) = (0, false, false, false, 0_usize);
    let mut at = 0;
    while at < value.len() {
        let is_open = !quoted && depth == 0;
        match value[at] {
            b'\\' if quoted || depth > 0 => at += 1,
            b'"' if depth == 0 => quoted = !quoted,
            b'(' if !quoted => depth += 1,
            b')' if !quoted => depth = depth.saturating_sub(1),
            b'<' if is_open => angle = true,
            b'>' if is_open => angle = false,
            b'[' if is_open => bracket = true,
            b']' if is_open => bracket = false,
            b':' if is_open && !angle && !bracket => start = at + 1,
            b',' | b';' if is_open && !angle && !bracket => {
                found.push(start..at);
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    if !quoted && depth == 0 && !angle && !bracket {
        found.push(start..value.len());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn how(style: Style) -> Rewriting {
        Rewriting { style, to: true, cc: true, from_by_log_in: false, sender_by_log_in: false }
    }

    fn name_of(address: &str, _: Place) -> Option<String> {
        match address {
            "joe@dom.test" => Some("Joe \"J\" (User)".into()),
            "zoe@dom.test" => Some("Zoé".into()),
            _ => None,
        }
    }

    fn one(value: &str, style: Style) -> String {
        let header = format!("X: joe\r\nFrom: {value}\r\nSubject: joe\r\n\r\n");
        let new = rewrite(header.as_bytes(), how(style), "dom.test", None, name_of);
        let new = String::from_utf8(new.unwrap_or_else(|| header.into_bytes())).unwrap();
        let new = new.strip_prefix("X: joe\r\nFrom: ").unwrap();
        new.strip_suffix("\r\nSubject: joe\r\n\r\n").unwrap().to_owned()
    }

    /// S31
    #[test]
    fn addresses_in_four_styles() {
        let quoted = "\"Joe \\\"J\\\" (User)\" <joe@dom.test>";
        let comment = "joe@dom.test (Joe \"J\" \\(User\\))";
        for (value, none, in_quotes, in_comment) in [
            ("joe", "joe@dom.test", quoted, comment),
            ("joe@dom.test", "joe@dom.test", quoted, comment),
            ("<joe>", "<joe@dom.test>", quoted, comment),
            ("<joe@dom.test>", "<joe@dom.test>", quoted, comment),
            ("Other <joe>", "Other <joe@dom.test>", "Other <joe@dom.test>", "Other <joe@dom.test>"),
            ("x@else.test", "x@else.test", "x@else.test", "x@else.test"),
            ("who", "who@dom.test", "who@dom.test", "who@dom.test"),
            (
                "zoe",
                "zoe@dom.test",
                "=?utf-8?B?Wm/DqQ==?= <zoe@dom.test>",
                "zoe@dom.test (=?utf-8?B?Wm/DqQ==?=)",
            ),
        ] {
            assert_eq!(one(value, Style::Never), value);
            assert_eq!(one(value, Style::None), none);
            assert_eq!(one(value, Style::Quoted), in_quotes);
            assert_eq!(one(value, Style::Comment), in_comment);
        }
    }

    #[test]
    fn what_has_a_form_of_its_own_stays_to_the_byte() {
        for value in [
            "joe@dom.test (Joe)",
            "\"joe, who\" <x@[IPv6:::1]>",
            "\"joe\"@dom.test",
            "joe who",
            "<>",
            "(joe",
            "\"joe",
            "joe@dom.test@x",
            "<@a.test:joe@dom.test>",
            "=?x?Q?a?= <joe@dom.test>,\r\n\tZ <z@y.test>",
            "undisclosed-recipients:;",
        ] {
            assert_eq!(one(value, Style::Quoted), value);
        }
        assert_eq!(one("friends: joe, x@y.test;", Style::None), "friends: joe@dom.test, x@y.test;");
        assert_eq!(one("a,\r\n b ,c", Style::None), "a@dom.test,\r\n b@dom.test ,c@dom.test");
    }

    fn alice() -> Entry {
        let pairs =
            [("objectclass", "mailRecipient"), ("uid", "alice"), ("mail", "alice@dom.test"), ("cn", "Alice")];
        let attributes: BTreeMap<String, Vec<String>> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()])).collect();
        Entry::from_attributes("uid=alice", attributes).unwrap()
    }

    /// S38, S39
    #[test]
    fn from_and_sender_are_who_logged_in() {
        let (forged, own) = ("From: Boss <boss@dom.test>", "From: \"A.\" <Alice@dom.test>");
        let alice_is = |field: &str| format!("{field}: \"Alice\" <alice@dom.test>");
        let sender = "Sender: x@y.test";
        for (from, sender_too, lines, expected) in [
            (true, false, vec![forged], vec![alice_is("From")]),
            (true, true, vec![forged], vec![alice_is("From")]),
            (true, true, vec![own], vec![own.to_owned()]),
            (false, true, vec![forged], vec![forged.to_owned(), alice_is("Sender")]),
            (false, true, vec![forged, sender], vec![forged.to_owned(), alice_is("Sender")]),
            (false, true, vec![own], vec![own.to_owned()]),
            (false, true, vec![own, sender], vec![own.to_owned(), alice_is("Sender")]),
            (false, false, vec![forged, sender], vec![forged.to_owned(), sender.to_owned()]),
        ] {
            let how = Rewriting { from_by_log_in: from, sender_by_log_in: sender_too, ..how(Style::Quoted) };
            let header = format!("{}\r\n\r\n", lines.join("\r\n"));
            let new = rewrite(header.as_bytes(), how, "dom.test", Some(&alice()), |_, _| None);
            let new = new.unwrap_or_else(|| header.clone().into_bytes());
            let expected = format!("{}\r\n\r\n", expected.join("\r\n"));
            assert_eq!(String::from_utf8(new).unwrap(), expected, "{from} {sender_too} {header}");
        }
    }

    #[test]
    fn to_and_cc_are_switched_apart() {
        let header = b"To: joe\r\nCC: joe\r\n\r\n";
        for (words, expected) in [
            ("True, True", Some("To: joe@d\r\nCC: joe@d\r\n\r\n")),
            ("true,FALSE", Some("To: joe@d\r\nCC: joe\r\n\r\n")),
            ("no", Some("To: joe\r\nCC: joe@d\r\n\r\n")),
            ("no, no", None),
        ] {
            let (to, cc) = Rewriting::to_and_cc(words);
            let new = rewrite(header, Rewriting { to, cc, ..how(Style::None) }, "d", None, |_, _| None);
            assert_eq!(new.map(|new| String::from_utf8(new).unwrap()).as_deref(), expected, "{words}");
        }
    }

    proptest! {
        #[test]
        fn what_is_rewritten_once_is_rewritten(value in "[a-z@<>,;:()\"\\\\ .]{0,40}") {
            let once = one(&value, Style::None);
            prop_assert_eq!(one(&once, Style::None), once);
        }
    }
}

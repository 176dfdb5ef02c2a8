//! ENVELOPE, BODY and BODYSTRUCTURE, ready to send (RFC 3501 §7.4.2). Where the standard leaves room, the answer is
//! Dovecot's, since that is what clients are tested with.

use crate::address::{Item, address_list};
use crate::content_type::{ContentType, first_token, languages};
use crate::header::{header_field, header_fields, unfold};
use crate::quoting::{push_nstring, push_string};
use crate::structure::{Part, PartKind, Structure, content_type};

/// What stands for the domain an address lacks: NIL would make it a group.
const NO_DOMAIN: &[u8] = b"MISSING_DOMAIN";
/// What stands for the local part an address lacks.
const NO_MAILBOX: &[u8] = b"MISSING_MAILBOX";

/// `(date subject from sender reply-to to cc bcc in-reply-to message-id)` of this header.
pub fn envelope(header: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    push_envelope(&mut out, header);
    out
}

fn push_envelope(out: &mut Vec<u8>, header: &[u8]) {
    let text = |name: &str| header_field(header, name).map(unfold);
    let from = addresses(header, "From");
    // An absent or empty Sender or Reply-To is From's (RFC 3501 §7.4.2).
    let or_from = |name: &str| {
        let own = addresses(header, name);
        if own == b"NIL" { from.clone() } else { own }
    };
    out.push(b'(');
    push_nstring(out, text("Date").as_deref());
    out.push(b' ');
    push_nstring(out, text("Subject").as_deref());
    for list in [
        from.clone(),
        or_from("Sender"),
        or_from("Reply-To"),
        addresses(header, "To"),
        addresses(header, "Cc"),
        addresses(header, "Bcc"),
    ] {
        out.push(b' ');
        out.extend_from_slice(&list);
    }
    out.push(b' ');
    push_nstring(out, text("In-Reply-To").as_deref());
    out.push(b' ');
    push_nstring(out, text("Message-ID").as_deref());
    out.push(b')');
}

/// The addresses of all fields of this name; NIL when there is none.
fn addresses(header: &[u8], name: &str) -> Vec<u8> {
    let mut list = Vec::new();
    for (field, value) in header_fields(header) {
        if field.eq_ignore_ascii_case(name.as_bytes()) {
            for item in address_list(value) {
                push_address(&mut list, &item);
            }
        }
    }
    if list.is_empty() {
        return b"NIL".to_vec();
    }
    let mut out = Vec::with_capacity(list.len() + 2);
    out.push(b'(');
    out.append(&mut list);
    out.push(b')');
    out
}

fn push_address(out: &mut Vec<u8>, item: &Item) {
    let or =
        |text: &[u8], missing: &'static [u8]| if text.is_empty() { missing.to_vec() } else { text.to_vec() };
    let (name, route, local, domain) = match item {
        Item::GroupStart(name) => (None, None, Some(name.clone()), None),
        Item::GroupEnd => (None, None, None, None),
        Item::Mailbox { name, route, local, domain } => {
            if local.is_empty() && domain.is_empty() && name.is_none() {
                return; // `<>`
            }
            let (local, domain) = (or(local, NO_MAILBOX), or(domain, NO_DOMAIN));
            (name.clone(), route.clone(), Some(local), Some(domain))
        }
    };
    out.push(b'(');
    for (at, text) in [name, route, local, domain].iter().enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        push_nstring(out, text.as_deref());
    }
    out.push(b')');
}

impl Structure {
    /// ENVELOPE of the message.
    pub fn envelope(&self, message: &[u8]) -> Vec<u8> {
        envelope(header_of(&self.parts[0], message))
    }

    /// BODY: without extension data.
    pub fn body(&self, message: &[u8]) -> Vec<u8> {
        self.rendered(message, false)
    }

    /// BODYSTRUCTURE.
    pub fn bodystructure(&self, message: &[u8]) -> Vec<u8> {
        self.rendered(message, true)
    }

    fn rendered(&self, message: &[u8], extended: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        self.push_part(&mut out, message, 0, extended);
        out
    }

    fn push_part(&self, out: &mut Vec<u8>, message: &[u8], place: usize, extended: bool) {
        let part = &self.parts[place];
        let header = header_of(part, message);
        let kind = content_type(header, part.in_digest);
        out.push(b'(');
        if part.kind == PartKind::Multipart {
            for child in self.children(place) {
                self.push_part(out, message, child, extended);
            }
            out.push(b' ');
            push_string(out, &kind.subtype);
            if extended {
                out.push(b' ');
                push_parameters(out, &kind.parameters);
                push_extension(out, header);
            }
        } else {
            self.push_single(out, message, place, header, kind, extended);
            if extended {
                out.push(b' ');
                push_nstring(out, header_field(header, "Content-MD5").map(unfold).as_deref());
                push_extension(out, header);
            }
        }
        out.push(b')');
    }

    fn push_single(
        &self,
        out: &mut Vec<u8>,
        message: &[u8],
        place: usize,
        header: &[u8],
        mut kind: ContentType,
        extended: bool,
    ) {
        let part = &self.parts[place];
        let is_text = kind.is_kind("text");
        if is_text && kind.parameter("charset").is_none() {
            kind.parameters.push((b"charset".to_vec(), b"us-ascii".to_vec())); // RFC 2045 §5.2
        }
        if part.kind == PartKind::Leaf && (kind.is_kind("multipart") || kind.is("message", "rfc822")) {
            // Too deep, cut off or without a boundary: what it says it is cannot be shown.
            kind = ContentType {
                kind: b"application".to_vec(),
                subtype: b"octet-stream".to_vec(),
                parameters: Vec::new(),
            };
        }
        push_string(out, &kind.kind);
        out.push(b' ');
        push_string(out, &kind.subtype);
        out.push(b' ');
        push_parameters(out, &kind.parameters);
        let text = |name: &str| header_field(header, name).map(unfold);
        for name in ["Content-ID", "Content-Description"] {
            out.push(b' ');
            push_nstring(out, text(name).as_deref());
        }
        out.push(b' ');
        let encoding = text("Content-Transfer-Encoding").and_then(|value| first_token(&value));
        push_string(out, encoding.as_deref().unwrap_or(b"7bit"));
        out.extend_from_slice(format!(" {}", part.body_end - part.body_start).as_bytes());
        if part.kind == PartKind::Message {
            if let Some(inner) = self.parts.get(place + 1) {
                out.push(b' ');
                push_envelope(out, header_of(inner, message));
                out.push(b' ');
                self.push_part(out, message, place + 1, extended);
            }
        }
        if is_text || part.kind == PartKind::Message {
            out.extend_from_slice(format!(" {}", part.lines).as_bytes());
        }
    }
}

fn header_of<'m>(part: &Part, message: &'m [u8]) -> &'m [u8] {
    let (start, end) = (part.header_start as usize, part.body_start as usize);
    message.get(start..end.min(message.len())).unwrap_or(&[])
}

fn push_parameters(out: &mut Vec<u8>, parameters: &[(Vec<u8>, Vec<u8>)]) {
    if parameters.is_empty() {
        return out.extend_from_slice(b"NIL");
    }
    out.push(b'(');
    for (at, (name, value)) in parameters.iter().enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        push_string(out, name);
        out.push(b' ');
        push_string(out, value);
    }
    out.push(b')');
}

/// Disposition, language, location.
fn push_extension(out: &mut Vec<u8>, header: &[u8]) {
    let text = |name: &str| header_field(header, name).map(unfold);
    out.push(b' ');
    match text("Content-Disposition").and_then(|value| ContentType::parse_disposition(&value)) {
        Some(disposition) => {
            out.push(b'(');
            push_string(out, &disposition.kind);
            out.push(b' ');
            push_parameters(out, &disposition.parameters);
            out.push(b')');
        }
        None => out.extend_from_slice(b"NIL"),
    }
    out.push(b' ');
    let tags = text("Content-Language").map(|value| languages(&value)).unwrap_or_default();
    match tags.as_slice() {
        [] => out.extend_from_slice(b"NIL"),
        tags => {
            out.push(b'(');
            for (at, tag) in tags.iter().enumerate() {
                if at > 0 {
                    out.push(b' ');
                }
                push_string(out, tag);
            }
            out.push(b')');
        }
    }
    out.push(b' ');
    push_nstring(out, text("Content-Location").as_deref());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan;
    use proptest::prelude::*;

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    /// The message of RFC 3501 §8.
    #[test]
    fn the_example_of_the_standard_is_met() {
        let message = b"Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\nFrom: Terry Gray <gray@cac.washington.edu>\r\nSubject: IMAP4rev1 WG mtg summary and minutes\r\nTo: imap@cac.washington.edu\r\ncc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r\nMessage-Id: <B27397-0100000@cac.washington.edu>\r\nMIME-Version: 1.0\r\nContent-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n\r\nline\r\n";
        let structure = scan(message);
        assert_eq!(
            text(structure.envelope(message)),
            "(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" \"IMAP4rev1 WG mtg summary and minutes\" ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) ((NIL NIL \"imap\" \"cac.washington.edu\")) ((NIL NIL \"minutes\" \"CNRI.Reston.VA.US\")(\"John Klensin\" NIL \"KLENSIN\" \"MIT.EDU\")) NIL NIL \"<B27397-0100000@cac.washington.edu>\")"
        );
        assert_eq!(
            text(structure.body(message)),
            "(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7bit\" 6 1)"
        );
    }

    #[test]
    fn multiparts_and_messages_are_shown_with_their_extensions() {
        let message = b"Content-Type: multipart/mixed; boundary=x\r\nContent-Language: de, en\r\n\r\n--x\r\n\r\nhi\r\n--x\r\nContent-Type: image/png; name=\"a b.png\"\r\nContent-Transfer-Encoding: BASE64\r\nContent-ID: <1@x>\r\nContent-Disposition: attachment; filename=a.png\r\n\r\nAAAA\r\n--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\ntext\r\n--x--\r\n";
        let structure = scan(message);
        assert_eq!(
            text(structure.bodystructure(message)),
            "((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 2 0 NIL NIL NIL NIL)(\"image\" \"png\" (\"name\" \"a b.png\") \"<1@x>\" NIL \"BASE64\" 4 NIL (\"attachment\" (\"filename\" \"a.png\")) NIL NIL)(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 19 (NIL \"in\" NIL NIL NIL NIL NIL NIL NIL NIL) (\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 4 0 NIL NIL NIL NIL) 2 NIL NIL NIL NIL) \"mixed\" (\"boundary\" \"x\") NIL (\"de\" \"en\") NIL)"
        );
    }

    #[test]
    fn groups_missing_parts_and_strange_bytes() {
        let header = b"From: A: b@c;\r\nTo: undisclosed-recipients:;\r\nCc: joe\r\nSubject:\r\nBcc: <>\r\nIn-Reply-To: caf\xe9\r\n\r\n";
        let shown = envelope(header);
        let expected: &[u8] = b"(NIL \"\" ((NIL NIL \"A\" NIL)(NIL NIL \"b\" \"c\")(NIL NIL NIL NIL)) ((NIL NIL \"A\" NIL)(NIL NIL \"b\" \"c\")(NIL NIL NIL NIL)) ((NIL NIL \"A\" NIL)(NIL NIL \"b\" \"c\")(NIL NIL NIL NIL)) ((NIL NIL \"undisclosed-recipients\" NIL)(NIL NIL NIL NIL)) ((NIL NIL \"joe\" \"MISSING_DOMAIN\")) NIL {4}\r\ncaf\xe9 NIL)";
        assert_eq!(shown, expected, "{}", String::from_utf8_lossy(&shown));
    }

    proptest! {
        #[test]
        fn every_message_is_shown_in_balance(message in proptest::collection::vec(any::<u8>(), 0..300)) {
            let structure = scan(&message);
            for shown in [structure.envelope(&message), structure.body(&message), structure.bodystructure(&message)] {
                prop_assert!(shown.starts_with(b"(") && shown.ends_with(b")"));
                prop_assert!(!shown.contains(&0));
            }
        }
    }
}

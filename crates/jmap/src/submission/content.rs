//! A message as it is submitted: its header without Bcc, and what the header says of sender and recipients.

use std::io::{self, Cursor, Read};

use mail_format::header::{header_length, raw_fields};
use mail_format::{Item, address_list, decode_words, header_fields, unfold};

/// Bytes of a header.
const HEADER_BYTES_MAX: u64 = 1 << 20;
/// Parameters that clients may send with MAIL and RCPT (RFC 4865, RFC 3461). What else smtpd offers follows from the message.
const MAIL_PARAMETERS: [&str; 3] = ["HOLDFOR", "HOLDUNTIL", "RET"];
const RCPT_PARAMETERS: [&str; 1] = ["NOTIFY"];

/// What stands in a header of somebody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub name: String,
    pub email: String,
}

/// A message with its header read.
pub struct Content<R> {
    header: Vec<u8>,
    /// Of what follows the header, what was read with it.
    begun: Vec<u8>,
    rest: R,
}

impl<R: Read> Content<R> {
    /// # Errors
    /// It cannot be read, or its header has no end within reason.
    pub fn read(mut rest: R) -> io::Result<Content<R>> {
        let mut start = Vec::new();
        (&mut rest).take(HEADER_BYTES_MAX).read_to_end(&mut start)?;
        let length = header_length(&start);
        if length == start.len() && start.len() as u64 == HEADER_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the header is too long"));
        }
        let begun = start.split_off(length);
        Ok(Content { header: start, begun, rest })
    }

    /// Who is named in the fields of this name, in their order.
    pub fn people(&self, field: &str) -> Vec<Person> {
        people(&self.header, field)
    }

    pub fn has(&self, field: &str) -> bool {
        header_fields(&self.header).any(|(name, _)| name.eq_ignore_ascii_case(field.as_bytes()))
    }

    /// Whether the header is beyond ASCII (RFC 6532), which asks for SMTPUTF8.
    pub fn is_utf8(&self) -> bool {
        !self.header.is_ascii()
    }

    /// The bytes to submit: RFC 8621 §7.5 has every Bcc field removed.
    pub fn submitted(self) -> impl Read {
        let is_bcc = |field: &&[u8]| {
            let name = field.split(|byte| *byte == b':').next().unwrap_or_default().trim_ascii();
            ["bcc", "resent-bcc"].iter().any(|bcc| name.eq_ignore_ascii_case(bcc.as_bytes()))
        };
        let header: Vec<u8> =
            raw_fields(&self.header).filter(|field| !is_bcc(field)).flatten().copied().collect();
        Cursor::new(header).chain(Cursor::new(self.begun)).chain(self.rest)
    }
}

fn people(header: &[u8], field: &str) -> Vec<Person> {
    let mut people = Vec::new();
    for (name, value) in header_fields(header) {
        if !name.eq_ignore_ascii_case(field.as_bytes()) {
            continue;
        }
        for item in address_list(&unfold(value)) {
            let Item::Mailbox { name, local, domain, .. } = item else { continue };
            let name = name.map(|name| decode_words(&name)).unwrap_or_default();
            people.push(Person { name, email: email(&local, &domain) });
        }
    }
    people
}

/// As MAIL and RCPT write it: a local part that is no dot-atom is quoted (RFC 5321 §4.1.2).
fn email(local: &[u8], domain: &[u8]) -> String {
    let local = String::from_utf8_lossy(local);
    let plain = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    let is_atom = !local.is_empty() && local.chars().all(plain) && !local.split('.').any(str::is_empty);
    let local = match is_atom {
        true => local.into_owned(),
        false => format!("\"{}\"", local.replace('\\', "\\\\").replace('"', "\\\"")),
    };
    format!("{local}@{}", String::from_utf8_lossy(domain))
}

/// The parameters of a MAIL or RCPT, checked: known names, values that bring nothing else with them.
///
/// # Errors
/// The name of the one that cannot be sent.
pub fn parameters(
    given: Option<&serde_json::Value>,
    is_mail: bool,
) -> Result<Vec<(String, Option<String>)>, String> {
    let known: &[&str] = if is_mail { &MAIL_PARAMETERS } else { &RCPT_PARAMETERS };
    let map = match given {
        None | Some(serde_json::Value::Null) => return Ok(Vec::new()),
        Some(serde_json::Value::Object(map)) => map,
        Some(_) => return Err("parameters".into()),
    };
    let mut parameters = Vec::new();
    for (name, value) in map {
        let upper = name.to_ascii_uppercase();
        // RFC 8621 §7: the server may put its own ENVID in place of the client's.
        if is_mail && upper == "ENVID" {
            continue;
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b':' | b',' | b'.');
        let value = value.as_str().filter(|value| !value.is_empty() && value.bytes().all(plain));
        let value = value.filter(|_| known.contains(&upper.as_str())).ok_or_else(|| name.clone())?;
        parameters.push((upper, Some(value.to_owned())));
    }
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const MESSAGE: &[u8] = b"From: A <a@x.test>\r\nTo: =?utf-8?q?B=C3=A9?= <b@x.test>, c@x.test\r\nBCC : d@x.test,\r\n e@x.test\r\n\
        Cc: \"f g\"@x.test\r\nbcc: h@x.test\r\nSubject: Bcc: no\r\n\r\nBcc: body\r\n";

    #[test]
    fn bcc_goes_and_nothing_else() {
        let content = Content::read(MESSAGE).unwrap();
        let emails =
            |field: &str| -> Vec<String> { content.people(field).into_iter().map(|one| one.email).collect() };
        assert_eq!(emails("to"), ["b@x.test", "c@x.test"]);
        assert_eq!(emails("Bcc"), ["d@x.test", "e@x.test", "h@x.test"]);
        assert_eq!(emails("Cc"), ["\"f g\"@x.test"]);
        assert_eq!(content.people("To")[0].name, "Bé");
        assert!(!content.is_utf8() && content.has("subject") && !content.has("sender"));
        let mut sent = String::new();
        content.submitted().read_to_string(&mut sent).unwrap();
        let text = String::from_utf8_lossy(MESSAGE);
        let expected = text.replace("BCC : d@x.test,\r\n e@x.test\r\n", "").replace("bcc: h@x.test\r\n", "");
        assert_eq!(sent, expected);
    }

    #[test]
    fn a_header_without_an_end_is_refused() {
        let endless = b"X: y\r\n".repeat(200_000);
        assert!(Content::read(&endless[..]).is_err());
        assert!(Content::read(&b"From: a@x.test"[..]).is_ok());
    }

    #[test]
    fn a_parameter_brings_nothing_else_along() {
        let mail = |value: serde_json::Value| parameters(Some(&value), true);
        let hold = mail(json!({ "holdfor": "30", "ENVID": "x y" })).unwrap();
        assert_eq!(hold, [("HOLDFOR".to_owned(), Some("30".to_owned()))]);
        for wrong in [
            json!({ "HOLDFOR": "30 BODY=BINARYMIME" }),
            json!({ "HOLDFOR": "30\r\nRCPT" }),
            json!({ "HOLDFOR": null }),
            json!({ "HOLDFOR": 30 }),
            json!({ "AUTH": "x" }),
            json!([]),
        ] {
            assert!(mail(wrong.clone()).is_err(), "{wrong}");
        }
        assert!(parameters(Some(&json!({ "HOLDFOR": "3" })), false).is_err());
        assert_eq!(parameters(None, false), Ok(Vec::new()));
    }
}

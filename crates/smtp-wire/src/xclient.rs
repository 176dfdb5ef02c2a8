//! The attributes of XCLIENT (Postfix, `XCLIENT_README`): who a trusted client says that its own client is.

use std::net::{IpAddr, Ipv6Addr};

use crate::xtext;

/// What an EHLO reply says of it.
pub const KEYWORD: &str = "XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT";

/// Characters of a name (RFC 1035 §2.3.4), and of what HELO and LOGIN say.
const TEXT_MAX: usize = 255;

/// What was said of each attribute. The inner nothing is `[UNAVAILABLE]` or `[TEMPUNAVAIL]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct XClient {
    /// The client's name that leads back to its address.
    pub name: Option<Option<String>>,
    pub address: Option<Option<IpAddr>>,
    pub port: Option<Option<u16>>,
    /// ESMTP and not SMTP.
    pub extended: Option<bool>,
    pub helo: Option<Option<String>>,
    /// Who logged in.
    pub login: Option<Option<String>>,
    /// Where the client connected to.
    pub destination: Option<Option<IpAddr>>,
    pub destination_port: Option<Option<u16>>,
}

/// Reads what stands behind XCLIENT: `NAME=value`, one or more, values as xtext, names in any case and each once. Nothing
/// when it is not so.
pub fn parse(text: &[u8]) -> Option<XClient> {
    let mut said = XClient::default();
    let mut words = std::str::from_utf8(text).ok()?.split(' ').filter(|word| !word.is_empty()).peekable();
    words.peek()?;
    for word in words {
        let (name, value) = word.split_once('=')?;
        let value = String::from_utf8(xtext::decode(value)?).ok()?;
        let is_new = match name.to_ascii_uppercase().as_str() {
            "NAME" => said.name.replace(known(&value, host)?).is_none(),
            "ADDR" => said.address.replace(known(&value, address)?).is_none(),
            "PORT" => said.port.replace(known(&value, port)?).is_none(),
            "PROTO" => said.extended.replace(extended(&value)?).is_none(),
            "HELO" => said.helo.replace(known(&value, printable)?).is_none(),
            "LOGIN" => said.login.replace(known(&value, printable)?).is_none(),
            "DESTADDR" => said.destination.replace(known(&value, address)?).is_none(),
            "DESTPORT" => said.destination_port.replace(known(&value, port)?).is_none(),
            _ => return None,
        };
        if !is_new {
            return None;
        }
    }
    Some(said)
}

fn known<T>(value: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<Option<T>> {
    if ["[UNAVAILABLE]", "[TEMPUNAVAIL]"].iter().any(|word| word.eq_ignore_ascii_case(value)) {
        return Some(None);
    }
    read(value).map(Some)
}

fn host(value: &str) -> Option<String> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let fits = (1..=TEXT_MAX).contains(&value.len()) && value.bytes().all(good);
    fits.then(|| value.to_ascii_lowercase())
}

/// IPv6 has `IPV6:` in front.
fn address(value: &str) -> Option<IpAddr> {
    match value.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPV6:") => value[5..].parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => value.parse().ok(),
    }
}

fn port(value: &str) -> Option<u16> {
    value.parse().ok().filter(|_| value.bytes().all(|byte| byte.is_ascii_digit()))
}

fn extended(value: &str) -> Option<bool> {
    match value.to_ascii_uppercase().as_str() {
        "ESMTP" => Some(true),
        "SMTP" => Some(false),
        _ => None,
    }
}

fn printable(value: &str) -> Option<String> {
    let fits = (1..=TEXT_MAX).contains(&value.len()) && value.bytes().all(|byte| matches!(byte, 0x21..=0x7e));
    fits.then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_attribute_is_read_once() {
        let said = parse(
            b"NAME=Client.example addr=IPV6:2001:db8::1 PORT=25 PROTO=esmtp HELO=a+2Bb LOGIN=[UNAVAILABLE]",
        )
        .unwrap();
        assert_eq!(said.name, Some(Some("client.example".into())));
        assert_eq!(said.address, Some(Some("2001:db8::1".parse().unwrap())));
        assert_eq!((said.port, said.extended), (Some(Some(25)), Some(true)));
        assert_eq!((said.helo, said.login), (Some(Some("a+b".into())), Some(None)));
        assert_eq!((said.destination, said.destination_port), (None, None));
        let said = parse(b" ADDR=192.0.2.1  NAME=[tempunavail] DESTADDR=192.0.2.2 DESTPORT=587").unwrap();
        assert_eq!((said.address, said.name), (Some(Some([192, 0, 2, 1].into())), Some(None)));
        assert_eq!(said.destination_port, Some(Some(587)));
    }

    #[test]
    fn what_is_not_so_is_refused() {
        for wrong in [
            "",
            "NAME",
            "NAME=",
            "NAME=a b",
            "NAME=a+20b",
            "NAME=a+0d+0ab",
            "ADDR=192.0.2",
            "ADDR=client.example",
            "PORT=+25",
            "PORT=70000",
            "PROTO=LMTP",
            "HELO=a+0A",
            "OTHER=x",
            "ADDR=192.0.2.1 ADDR=192.0.2.2",
            "LOGIN=[UNAVAILABLE",
            "ADDR=IPV6:192.0.2.1",
        ] {
            let said = parse(wrong.as_bytes());
            assert!(said.is_none() || wrong == "LOGIN=[UNAVAILABLE", "{wrong}: {said:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&text);
            let _ = parse(&[b"NAME=".as_slice(), &text].concat());
        }
    }
}

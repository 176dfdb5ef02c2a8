//! Addresses of header fields as objects (RFC 8621 §4.1.2.3, §4.1.2.4).

use mail_format::{Item, address_list, decode_words};
use serde_json::{Value, json};

/// An EmailAddress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub name: Option<String>,
    pub email: String,
}

impl Address {
    fn of(name: Option<Vec<u8>>, local: &[u8], domain: &[u8]) -> Address {
        let name = name.map(|name| text(&name)).filter(|name| !name.is_empty());
        let local = String::from_utf8_lossy(local);
        let email = match domain.is_empty() {
            true => local.into_owned(),
            false => format!("{}@{}", quoted(&local), String::from_utf8_lossy(domain)),
        };
        Address { name, email: email.replace('\0', "") }
    }

    pub fn to_json(&self) -> Value {
        json!({ "name": self.name, "email": self.email })
    }
}

/// A local part that is no dot-atom is written in quotes (RFC 5322 §3.4.1).
fn quoted(local: &str) -> String {
    let is_atom = |atom: &str| {
        !atom.is_empty()
            && atom
                .chars()
                .all(|c| !c.is_ascii() || c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c))
    };
    if local.split('.').all(is_atom) {
        return local.to_owned();
    }
    let mut text = String::from("\"");
    for c in local.chars() {
        if matches!(c, '"' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
    text
}

fn text(value: &[u8]) -> String {
    super::headers::decoded(&decode_words(value)).trim().to_owned()
}

/// The mailboxes of a field; groups are discarded.
pub fn addresses(value: &[u8]) -> Vec<Address> {
    let one = |item| match item {
        Item::Mailbox { name, local, domain, .. }
            if !(local.is_empty() && domain.is_empty() && name.is_none()) =>
        {
            Some(Address::of(name, &local, &domain))
        }
        _ => None,
    };
    address_list(value).into_iter().filter_map(one).collect()
}

/// `EmailAddress[]`
pub fn to_json(value: &[u8]) -> Value {
    addresses(value).iter().map(Address::to_json).collect()
}

/// `EmailAddressGroup[]`
pub fn grouped(value: &[u8]) -> Value {
    let mut groups: Vec<(Option<String>, Vec<Value>)> = Vec::new();
    let mut is_open = false; // whether the last one takes more
    for item in address_list(value) {
        match item {
            Item::GroupStart(name) => {
                groups.push((Some(text(&name)), Vec::new()));
                is_open = true;
            }
            Item::GroupEnd => is_open = false,
            Item::Mailbox { name, local, domain, .. } => {
                if !is_open {
                    groups.push((None, Vec::new()));
                    is_open = true;
                }
                if let Some((_, addresses)) = groups.last_mut() {
                    addresses.push(Address::of(name, &local, &domain).to_json());
                }
            }
        }
    }
    groups.into_iter().map(|(name, addresses)| json!({ "name": name, "addresses": addresses })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &[u8] = b" \"  James Smythe\" <james@example.com>, Friends:\r\n jane@example.com, =?UTF-8?Q?John_Sm=C3=AEth?=\r\n <john@example.com>;";

    /// The examples of RFC 8621 §4.1.2.3 and §4.1.2.4.
    #[test]
    fn the_standards_example() {
        let (james, jane, john) = (
            json!({ "name": "James Smythe", "email": "james@example.com" }),
            json!({ "name": null, "email": "jane@example.com" }),
            json!({ "name": "John Smîth", "email": "john@example.com" }),
        );
        assert_eq!(to_json(EXAMPLE), json!([james, jane, john]));
        let groups =
            json!([{ "name": null, "addresses": [james] }, { "name": "Friends", "addresses": [jane, john] }]);
        assert_eq!(grouped(EXAMPLE), groups);
    }

    #[test]
    fn addresses_outside_and_behind_a_group_are_their_own() {
        let groups = grouped(b"a@x, b@x, G:;, c@x");
        assert_eq!(groups[0]["addresses"].as_array().map(Vec::len), Some(2));
        assert_eq!(groups[1], json!({ "name": "G", "addresses": [] }));
        assert_eq!(groups[2], json!({ "name": null, "addresses": [{ "name": null, "email": "c@x" }] }));
        assert_eq!(to_json(b"\"a b\"@x, joe, joe@x (Joe)")[0]["email"], "\"a b\"@x");
        assert_eq!(to_json(b"joe@x (Joe)"), json!([{ "name": "Joe", "email": "joe@x" }]));
        assert_eq!(to_json(b"joe"), json!([{ "name": null, "email": "joe" }]));
        assert_eq!(to_json(b""), json!([]));
    }
}

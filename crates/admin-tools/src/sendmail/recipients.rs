//! Who gets the message: words of the command line, or the fields of the header (`-t`).

use std::collections::HashSet;

use mail_format::{Item, address_list};
use smtp_wire::Address;

use super::exit::{self, Failure};
use super::message::Message;
use super::qualified;

/// Recipients of one message at most.
const RECIPIENTS_MAX: usize = 100_000;

/// The recipients of the command line; one word may hold several, with or without names.
///
/// # Errors
/// One of them is no address.
pub fn of_words(words: &[String], domain: &str) -> Result<Vec<Address>, Failure> {
    let mut named = Vec::new();
    for word in words {
        let before = named.len();
        let is_line = !word.contains(char::is_control);
        if is_line {
            add(word.as_bytes(), domain, &mut named)?;
        }
        if named.len() == before && !(is_line && word.trim().is_empty()) {
            return Err(Failure::new(exit::DATAERR, format!("{word}: not an address")));
        }
    }
    Ok(without_repeats(named))
}

/// Adds the recipients of the header. When the message was resent, the fields of that count (RFC 5322 §3.6.6).
///
/// # Errors
/// One of them is no address.
pub fn of_header(message: &Message, domain: &str, named: &mut Vec<Address>) -> Result<(), Failure> {
    const RESENT: [&str; 3] = ["Resent-To", "Resent-Cc", "Resent-Bcc"];
    const FIRST: [&str; 3] = ["To", "Cc", "Bcc"];
    let fields = if RESENT.iter().any(|name| message.has(name)) { RESENT } else { FIRST };
    for name in fields {
        for value in message.values(name) {
            add(value, domain, named)?;
        }
    }
    *named = without_repeats(std::mem::take(named));
    Ok(())
}

fn add(list: &[u8], domain: &str, named: &mut Vec<Address>) -> Result<(), Failure> {
    for item in address_list(list) {
        let Item::Mailbox { local, domain: of, .. } = item else { continue };
        if named.len() >= RECIPIENTS_MAX {
            return Err(Failure::new(exit::DATAERR, format!("more than {RECIPIENTS_MAX} recipients")));
        }
        named.push(address(&local, &of, domain)?);
    }
    Ok(())
}

/// The parts are unquoted: written out and read again, they are a legal address or none.
fn address(local: &[u8], of: &[u8], domain: &str) -> Result<Address, Failure> {
    let text = |part: &[u8]| {
        let read = std::str::from_utf8(part).map(str::to_owned);
        read.map_err(|_| Failure::new(exit::DATAERR, "an address is not in UTF-8"))
    };
    let written = Address { local: text(local)?, domain: text(of)? }.to_string();
    qualified(&written, domain)
}

fn without_repeats(named: Vec<Address>) -> Vec<Address> {
    let mut seen = HashSet::new();
    named.into_iter().filter(|address| seen.insert(address.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Result<Vec<String>, Failure> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Ok(of_words(&words, "Home.Test")?.iter().map(ToString::to_string).collect())
    }

    fn header(text: &str) -> Vec<String> {
        let message = Message::read(&mut text.as_bytes(), false).unwrap_or_else(|why| panic!("{}", why.text));
        let mut named = Vec::new();
        of_header(&message, "home.test", &mut named).unwrap();
        named.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn words_are_addresses_lists_or_local_names() {
        assert_eq!(
            words(&["root", "a@X.test, Bob <b@x.test>", "a@x.test"]).unwrap(),
            ["root@home.test", "a@x.test", "b@x.test"]
        );
        assert_eq!(words(&["jürgen@MÜNCHEN.test"]).unwrap(), ["jürgen@münchen.test"]);
        for wrong in ["a b@x..test", "<>", "jürgen@x..test", "a@x.test\r\nDATA"] {
            assert_eq!(words(&[wrong]).map_err(|why| why.code), Err(exit::DATAERR), "{wrong}");
        }
    }

    #[test]
    fn to_cc_and_bcc_count_or_else_their_resent_relatives() {
        let text = "To: \"A, B\" <ab@x.test>,\n c@x.test\nCC: team: d@x.test, e;\nBcc: f@x.test, ab@x.test\n\nTo: g@x\n";
        assert_eq!(header(text), ["ab@x.test", "c@x.test", "d@x.test", "e@home.test", "f@x.test"]);
        assert_eq!(header("To: a@x.test\nResent-Bcc: b@x.test\n\n"), ["b@x.test"]);
        assert!(header("Subject: nobody\n\n").is_empty());
    }
}

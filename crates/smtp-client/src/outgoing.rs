//! What is to be sent, and what can be said about it before anything is: the peer's limits and extensions.

use std::borrow::Cow;

use base::content::Content;
use smtp_wire::{Address, Ret, xtext};

use crate::{Offers, Outcome};

/// Bytes of a header that are looked at for characters above 127.
const HEADER_BYTES_MAX: u64 = 1 << 20;

/// One message for recipients of one destination.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The reverse-path; nothing for the null one.
    pub sender: Option<&'a str>,
    /// The forward-paths.
    pub recipients: &'a [OutRecipient<'a>],
    /// ENVID as MAIL gave it: xtext.
    pub envid: Option<&'a str>,
    /// RET as MAIL gave it.
    pub ret: Option<Ret>,
    /// Header fields that go before the content, each with its CRLF; ASCII.
    pub front: &'a [u8],
    /// The message: CRLF line ends, dots as they are.
    pub content: &'a Content,
    /// Where in it begins what is sent.
    pub offset: u64,
    /// The size of the message.
    pub size: u64,
    /// The content has bytes above 127.
    pub eight_bit: bool,
    /// It came with SMTPUTF8.
    pub utf8: bool,
    /// It came with REQUIRETLS (RFC 8689); whether TLS proves enough is the caller's to know.
    pub require_tls: bool,
}

/// One recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutRecipient<'a> {
    /// `local@domain`, as SMTP writes it.
    pub address: &'a str,
    /// NOTIFY as RCPT gave it: `never`, or of `success,failure,delay`.
    pub notify: Option<&'a str>,
    /// ORCPT as RCPT gave it: `rfc822;xtext`.
    pub orcpt: Option<&'a str>,
}

/// Why a message cannot go to this peer at all, or a recipient cannot.
struct Obstacle {
    status: &'static str,
    text: String,
}

impl From<Obstacle> for Outcome {
    fn from(obstacle: Obstacle) -> Outcome {
        if obstacle.status.starts_with('5') {
            Outcome::Failed { status: obstacle.status.into(), text: obstacle.text }
        } else {
            Outcome::Later { status: obstacle.status.into(), text: obstacle.text }
        }
    }
}

/// The lines of an envelope, and who is already answered for.
pub(crate) struct Plan {
    /// MAIL, without its CRLF.
    pub mail: String,
    /// RCPT of each recipient, without its CRLF; nothing where there is an outcome.
    pub rcpts: Vec<Option<String>>,
    /// What is known without asking.
    pub outcomes: Vec<Option<Outcome>>,
    /// MAIL was refused.
    pub mail_refused: bool,
}

impl Plan {
    /// Everything that can refuse speaks here, before the first command.
    pub fn of(message: &Outgoing<'_>, offers: &Offers, peer: &str) -> Plan {
        let length = message.size.saturating_sub(message.offset).saturating_add(message.front.len() as u64);
        let mut plan = Plan {
            mail: String::new(),
            rcpts: Vec::with_capacity(message.recipients.len()),
            outcomes: Vec::with_capacity(message.recipients.len()),
            mail_refused: false,
        };
        match mail(message, length, offers, peer) {
            Ok(line) => plan.mail = line,
            Err(obstacle) => {
                let outcome = Outcome::from(obstacle);
                plan.rcpts.resize(message.recipients.len(), None);
                plan.outcomes.resize(message.recipients.len(), Some(outcome));
                return plan;
            }
        }
        for recipient in message.recipients {
            match rcpt(recipient, offers, peer) {
                Ok(line) => {
                    plan.rcpts.push(Some(line));
                    plan.outcomes.push(None);
                }
                Err(obstacle) => {
                    plan.rcpts.push(None);
                    plan.outcomes.push(Some(obstacle.into()));
                }
            }
        }
        plan
    }
}

fn mail(message: &Outgoing<'_>, length: u64, offers: &Offers, peer: &str) -> Result<String, Obstacle> {
    if message.offset > message.size {
        return Err(Obstacle {
            status: "4.3.0",
            text: "the message file is shorter than it should be".into(),
        });
    }
    let sender = message.sender.unwrap_or("");
    if !sender.is_empty() && !is_path(sender) {
        return Err(Obstacle { status: "5.1.7", text: "the sender is no address".into() });
    }
    let sender = told(sender, offers, peer)?;
    // RFC 1870 §6.1; a limit of nought is none.
    if let Some(limit) = offers.size.filter(|limit| *limit > 0 && length > *limit) {
        let text = format!("the message has {length} bytes, {peer} takes {limit}");
        return Err(Obstacle { status: "5.3.4", text });
    }
    if message.eight_bit && !offers.eight_bit {
        let text = format!("the message has 8-bit content, which {peer} does not take");
        return Err(Obstacle { status: "5.6.3", text });
    }
    let in_envelope = !sender.is_ascii() || message.recipients.iter().any(|other| !other.address.is_ascii());
    if !offers.smtp_utf8 && message.utf8 && !has_ascii_header(message) {
        let text = format!("the message needs SMTPUTF8, which {peer} does not have");
        return Err(Obstacle { status: "5.6.9", text }); // RFC 6531 §3.5
    }
    let mut line = format!("MAIL FROM:<{sender}>");
    if offers.size.is_some() {
        line.push_str(&format!(" SIZE={length}"));
    }
    if offers.eight_bit && message.eight_bit {
        line.push_str(" BODY=8BITMIME");
    }
    if offers.smtp_utf8 && (message.utf8 || in_envelope) {
        line.push_str(" SMTPUTF8");
    }
    // RFC 8689 §4.2.1
    if message.require_tls && !offers.require_tls {
        let text = format!("the message came with REQUIRETLS, which {peer} does not have");
        return Err(Obstacle { status: "5.7.30", text });
    }
    if message.require_tls {
        line.push_str(" REQUIRETLS");
    }
    if offers.dsn {
        match message.ret {
            Some(Ret::Full) => line.push_str(" RET=FULL"),
            Some(Ret::Headers) => line.push_str(" RET=HDRS"),
            None => {}
        }
        if let Some(envid) = message.envid.filter(|envid| xtext::decode(envid).is_some()) {
            line.push_str(&format!(" ENVID={envid}"));
        }
    }
    Ok(line)
}

fn rcpt(recipient: &OutRecipient<'_>, offers: &Offers, peer: &str) -> Result<String, Obstacle> {
    let address = recipient.address;
    if !is_path(address) {
        return Err(Obstacle { status: "5.1.3", text: "the recipient is no address".into() });
    }
    let mut line = format!("RCPT TO:<{}>", told(address, offers, peer)?);
    if offers.dsn {
        if let Some(notify) = recipient.notify.filter(|notify| is_notify(notify)) {
            line.push_str(&format!(" NOTIFY={}", notify.to_ascii_uppercase()));
        }
        if let Some(orcpt) = recipient.orcpt.and_then(|orcpt| as_orcpt(orcpt, offers.smtp_utf8)) {
            line.push_str(&format!(" ORCPT={orcpt}"));
        }
    }
    Ok(line)
}

/// The address as this peer understands it: as it is, or, where there is no SMTPUTF8, with its domain in A-labels. A local part
/// has no such form (RFC 6531 §3.2).
fn told<'a>(address: &'a str, offers: &Offers, peer: &str) -> Result<Cow<'a, str>, Obstacle> {
    if offers.smtp_utf8 {
        return Ok(Cow::Borrowed(address));
    }
    base::idn::downgraded(address).ok_or_else(|| Obstacle {
        status: "5.6.7",
        text: format!("the address {address} needs SMTPUTF8, which {peer} does not have"),
    })
}

/// Nothing that was stored is written on the wire unread: an address with a line end would be a command.
fn is_path(address: &str) -> bool {
    Address::parse(address.as_bytes(), false, true).is_ok()
}

fn is_notify(notify: &str) -> bool {
    smtp_wire::parameters::rcpt(format!("NOTIFY={notify}").as_bytes(), false).is_ok()
}

/// An original recipient in the form that this peer takes (RFC 6533 §3): in ASCII, if it has to be.
fn as_orcpt(orcpt: &str, utf8: bool) -> Option<Cow<'_, str>> {
    if orcpt.contains(' ') || smtp_wire::parameters::rcpt(format!("ORCPT={orcpt}").as_bytes(), true).is_err()
    {
        return None;
    }
    if utf8 || orcpt.is_ascii() {
        return Some(Cow::Borrowed(orcpt));
    }
    let (kind, address) = orcpt.split_once(';')?;
    Some(Cow::Owned(format!("{kind};{}", xtext::encode_utf8(&xtext::decode_utf8(address)?))))
}

/// Many clients say SMTPUTF8 with every message (RFC 6531 §3.4 asks for it only where it is needed): one with an
/// ASCII header goes anywhere.
fn has_ascii_header(message: &Outgoing<'_>) -> bool {
    let (mut block, mut at, mut last) = ([0; 4096], message.offset, 0);
    let end = message.size.min(message.offset.saturating_add(HEADER_BYTES_MAX));
    while at < end {
        let Ok(read @ 1..) = message.content.read_at(&mut block, at) else { return false };
        for byte in block[..read].iter().copied().filter(|byte| *byte != b'\r') {
            if byte == b'\n' && last == b'\n' {
                return true;
            }
            if !byte.is_ascii() {
                return false;
            }
            last = byte;
        }
        at += read as u64;
    }
    at >= message.size
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(
        change: impl FnOnce(&mut Outgoing<'_>),
        offers: &Offers,
        content: &str,
        addresses: &[&str],
    ) -> Plan {
        let bytes = Content::Memory(content.as_bytes().into());
        let recipients: Vec<OutRecipient<'_>> = addresses
            .iter()
            .map(|address| OutRecipient { address, notify: Some("success"), orcpt: Some("rfc822;o+2Bx@y") })
            .collect();
        let mut message = Outgoing {
            sender: Some("a@x.example"),
            recipients: &recipients,
            envid: Some("id1"),
            ret: Some(Ret::Headers),
            front: b"",
            content: &bytes,
            offset: 3,
            size: content.len() as u64,
            eight_bit: false,
            utf8: false,
            require_tls: false,
        };
        change(&mut message);
        Plan::of(&message, offers, "mx")
    }

    fn status(plan: &Plan, place: usize) -> &str {
        match &plan.outcomes[place] {
            Some(Outcome::Failed { status, .. } | Outcome::Later { status, .. }) => status,
            _ => "",
        }
    }

    #[test]
    fn only_what_the_peer_offers_is_said() {
        let bare = plan(|_| {}, &Offers::default(), "xx\n\nbody", &["b@y.example"]);
        assert_eq!(bare.mail, "MAIL FROM:<a@x.example>");
        assert_eq!(bare.rcpts[0].as_deref(), Some("RCPT TO:<b@y.example>"));
        let all = Offers { size: Some(0), eight_bit: true, dsn: true, smtp_utf8: true, ..Offers::default() };
        let full = plan(|m| (m.eight_bit, m.utf8) = (true, true), &all, "xx\n\nbody", &["b@y.example"]);
        assert_eq!(full.mail, "MAIL FROM:<a@x.example> SIZE=5 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=id1");
        assert_eq!(
            full.rcpts[0].as_deref(),
            Some("RCPT TO:<b@y.example> NOTIFY=SUCCESS ORCPT=rfc822;o+2Bx@y")
        );
        assert_eq!(plan(|m| m.sender = None, &Offers::default(), "", &[]).outcomes.len(), 0);
    }

    #[test]
    fn a_message_that_is_too_big_or_too_wide_fails_unsent() {
        let small = Offers { size: Some(4), ..Offers::default() };
        assert_eq!(status(&plan(|_| {}, &small, "xx\n\nbody", &["b@y.example"]), 0), "5.3.4");
        let wide = plan(|m| m.eight_bit = true, &Offers::default(), "xx\n\nbody", &["b@y.example"]);
        assert_eq!(status(&wide, 0), "5.6.3");
        assert!(wide.rcpts[0].is_none());
    }

    #[test]
    fn utf8_fails_only_where_it_is_needed() {
        let none = Offers::default();
        let mixed = plan(|_| {}, &none, "xx\n\nbody", &["b@y.example", "jürgen@y.example"]);
        assert_eq!((status(&mixed, 0), status(&mixed, 1)), ("", "5.6.7"));
        assert_eq!(
            status(&plan(|m| m.sender = Some("ü@x.example"), &none, "xx\n\n", &["b@y.example"]), 0),
            "5.6.7"
        );
        let ascii = "xx\nSubject: a\r\n\r\nü";
        assert_eq!(status(&plan(|m| m.utf8 = true, &none, ascii, &["b@y.example"]), 0), "");
        let wide = "xx\nSubject: ü\r\n\r\na";
        assert_eq!(status(&plan(|m| m.utf8 = true, &none, wide, &["b@y.example"]), 0), "5.6.9");
        let domain =
            plan(|m| m.sender = Some("a@ü.example"), &none, "xx\n\n", &["b@münchen.example", "ä@y.example"]);
        assert_eq!(domain.mail, "MAIL FROM:<a@xn--tda.example>");
        assert_eq!(domain.rcpts[0].as_deref(), Some("RCPT TO:<b@xn--mnchen-3ya.example>"));
        assert_eq!(status(&domain, 1), "5.6.7");
        let able = Offers { smtp_utf8: true, ..Offers::default() };
        assert!(plan(|_| {}, &able, "xx\n\n", &["jürgen@y.example"]).mail.ends_with("> SMTPUTF8"));
    }

    #[test]
    fn an_original_recipient_is_told_in_the_form_that_the_peer_takes() {
        assert_eq!(as_orcpt("utf-8;ü@y", true).as_deref(), Some("utf-8;ü@y"));
        assert_eq!(as_orcpt("utf-8;ü@y", false).as_deref(), Some(r"utf-8;\x{FC}@y"));
        assert_eq!(as_orcpt("rfc822;o+2Bx@y", false).as_deref(), Some("rfc822;o+2Bx@y"));
        assert_eq!(as_orcpt("rfc822;ü@y", true), None);
        assert_eq!(as_orcpt("utf-8;a\r\nRSET", true), None);
    }

    #[test]
    fn nothing_stored_becomes_a_command() {
        for bad in ["b@y.example>\r\nRSET", "b@y\r\n", "b", "", "b@y.example> NOTIFY=NEVER"] {
            assert_eq!(status(&plan(|_| {}, &Offers::default(), "xx\n", &[bad]), 0), "5.1.3", "{bad:?}");
        }
        let sender = plan(|m| m.sender = Some("a@x\r\nQUIT"), &Offers::default(), "xx\n", &["b@y.example"]);
        assert_eq!(status(&sender, 0), "5.1.7");
        let dsn = Offers { dsn: true, ..Offers::default() };
        let envid = plan(|m| m.envid = Some("a\r\nb"), &dsn, "xx\n", &["b@y.example"]);
        assert_eq!(envid.mail, "MAIL FROM:<a@x.example> RET=HDRS");
    }
}

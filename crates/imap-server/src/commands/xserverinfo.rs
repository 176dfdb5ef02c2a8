//! NETSCAPE, XSERVERINFO, XMAILBOXINFO: where pages about a user's account and mailboxes are, for the clients of the
//! original's family, which have menus for them. // NMS: original.md 6
//!
//! What is answered when a page is not there is NIL. The form is what those clients read.

use connection::Output;
use imap_wire::command::xserverinfo::XMailboxInfo;
use message_store::Rights;

use crate::answer;
use crate::names;
use crate::refusal::Refusal;
use crate::server::Server;
use crate::settings::Pages;
use crate::state::User;

impl Pages {
    /// Whether there is any: else the capabilities are not announced.
    pub fn is_empty(&self) -> bool {
        [&self.account, &self.lists, &self.filters, &self.folder].iter().all(|url| url.is_empty())
    }
}

/// `* ACCOUNT-URL "https://..."`
pub fn netscape(server: &Server, user: &User, out: &mut Output) {
    if let Some(url) = filled(&server.settings().pages.account, &user.uid, "") {
        out.push(b"* ACCOUNT-URL ");
        out.push(&imap_wire::quote(url.as_bytes()));
        out.push(b"\r\n");
    }
}

/// `* XSERVERINFO MANAGEACCOUNTURL "https://..." MANAGELISTSURL NIL`; a name that is not known is left out.
pub fn of_server(server: &Server, user: &User, names: &[String], out: &mut Output) {
    let pages = server.settings().pages.clone();
    out.push(b"* XSERVERINFO");
    for name in names {
        let url = match name.as_str() {
            "MANAGEACCOUNTURL" => &pages.account,
            "MANAGELISTSURL" => &pages.lists,
            "MANAGEFILTERSURL" => &pages.filters,
            _ => continue,
        };
        value(out, name, filled(url, &user.uid, "").as_deref());
    }
    out.push(b"\r\n");
}

/// `* XMAILBOXINFO "Work" MANAGEURL "https://..." POSTURL NIL`: no mailbox has an address of its own to post to.
///
/// # Errors
/// The user does not see such a mailbox.
pub fn of_mailbox(
    server: &Server,
    user: &User,
    asked: &XMailboxInfo,
    out: &mut Output,
) -> Result<(), Refusal> {
    let called = names::named(&asked.mailbox)?;
    let name = server.named(user.who(), called, Rights::LOOKUP)?;
    if !server.store.exists(&name)? {
        return Err(Refusal::NoSuchMailbox);
    }
    out.push(b"* XMAILBOXINFO ");
    answer::name(out, called, user.enabled.naming());
    for word in &asked.names {
        match word.as_str() {
            "MANAGEURL" => {
                let url = filled(&server.settings().pages.folder, &user.uid, called);
                value(out, word, url.as_deref());
            }
            "POSTURL" => value(out, word, None),
            _ => {}
        }
    }
    out.push(b"\r\n");
    Ok(())
}

fn value(out: &mut Output, name: &str, url: Option<&str>) {
    out.push(b" ");
    out.push(name.as_bytes());
    out.push(b" ");
    match url {
        Some(url) => out.push(&imap_wire::quote(url.as_bytes())),
        None => out.push(b"NIL"),
    }
}

/// The URL with `%u` (the user) and `%m` (the mailbox as the client calls it) filled in; nothing when it is not set.
fn filled(url: &str, uid: &str, mailbox: &str) -> Option<String> {
    let mut parts = url.split('%');
    let mut filled = parts.next().filter(|_| !url.is_empty())?.to_owned();
    for part in parts {
        match part.chars().next() {
            Some('u') => filled.push_str(&encoded(uid)),
            Some('m') => filled.push_str(&encoded(mailbox)),
            _ => {
                filled.push('%');
                filled.push_str(part);
                continue;
            }
        }
        filled.push_str(&part[1..]);
    }
    Some(filled)
}

/// RFC 3986 §2.1: everything but unreserved characters.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_filled_in_so_that_they_stay_one_part_of_a_url() {
        let url = |text: &str| filled(text, "jo e", "Work/ä&x=1").unwrap();
        assert_eq!(url("https://x/%u?m=%m"), "https://x/jo%20e?m=Work%2F%C3%A4%26x%3D1");
        assert_eq!(url("https://x/a%20b%"), "https://x/a%20b%");
        assert_eq!(filled("", "joe", ""), None);
    }
}

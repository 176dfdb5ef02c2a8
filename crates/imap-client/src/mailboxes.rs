//! Which mailboxes there are, and what one says of itself when it is opened.

use crate::error::{ImapError, Result};
use crate::response::{Response, code_number};
use crate::session::Session;
use crate::value::Value;

/// Mailboxes of one user at most.
const MAILBOXES_MAX: usize = 100_000;

/// A mailbox of LIST or LSUB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedMailbox {
    /// As on the wire.
    pub name: String,
    /// Divides levels; nothing: there are none.
    pub divider: Option<char>,
    /// `\Noselect`, `\Sent`, as written.
    pub attributes: Vec<String>,
}

impl ListedMailbox {
    pub fn has(&self, attribute: &str) -> bool {
        self.attributes.iter().any(|one| one.eq_ignore_ascii_case(attribute))
    }

    fn of(values: &[Value]) -> Option<ListedMailbox> {
        let text = |value: &Value| value.bytes().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        Some(ListedMailbox {
            attributes: values.first()?.list()?.iter().filter_map(text).collect(),
            divider: values.get(1)?.bytes().and_then(|bytes| bytes.first().copied()).map(char::from),
            name: text(values.get(2)?)?,
        })
    }
}

/// What a mailbox says when it is opened. A server may leave out any of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selected {
    pub exists: u64,
    pub uid_validity: Option<u32>,
    pub uid_next: Option<u32>,
    /// 0: not told.
    pub highest_modseq: u64,
}

impl Session {
    /// All mailboxes, with their special use where the server tells it (RFC 6154).
    ///
    /// # Errors
    /// As [`Session::run`]; `TooBig`.
    pub fn list(&mut self) -> Result<Vec<ListedMailbox>> {
        let with_use = self.can("SPECIAL-USE") && self.can("LIST-EXTENDED");
        let command = if with_use { "LIST \"\" \"*\" RETURN (SPECIAL-USE)" } else { "LIST \"\" \"*\"" };
        match self.listed("LIST", command) {
            Err(ImapError::Refused { .. }) if with_use => self.listed("LIST", "LIST \"\" \"*\""),
            other => other,
        }
    }

    /// The mailboxes that are subscribed to.
    ///
    /// # Errors
    /// As [`Session::list`].
    pub fn subscribed(&mut self) -> Result<Vec<ListedMailbox>> {
        self.listed("LSUB", "LSUB \"\" \"*\"")
    }

    fn listed(&mut self, word: &'static str, command: &str) -> Result<Vec<ListedMailbox>> {
        let mut found: Vec<ListedMailbox> = Vec::new();
        self.run(word, command, |response| {
            let is_meant = response
                .text
                .get(2..2 + word.len())
                .is_some_and(|name| name.eq_ignore_ascii_case(word.as_bytes()));
            if !is_meant {
                return Ok(());
            }
            let values = response.values()?;
            let listed = values.get(2..).and_then(ListedMailbox::of);
            found.push(listed.ok_or(ImapError::Malformed("its list of mailboxes"))?);
            if found.len() > MAILBOXES_MAX { Err(ImapError::TooBig("100,000 mailboxes")) } else { Ok(()) }
        })?;
        Ok(found)
    }

    /// How many messages a mailbox has, without opening it.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn count(&mut self, mailbox: &str) -> Result<u64> {
        let argument = Session::mailbox_argument(mailbox)?;
        let mut messages = 0;
        self.run("STATUS", &format!("STATUS {argument} (MESSAGES)"), |response| {
            let values = response.values()?;
            if values.get(1).is_some_and(|word| word.is("STATUS")) {
                let told = values.get(3).and_then(Value::list).unwrap_or_default();
                messages = told.get(1).and_then(Value::number).unwrap_or(0);
            }
            Ok(())
        })?;
        Ok(messages)
    }

    /// Opens a mailbox to read; nothing in it changes.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn examine(&mut self, mailbox: &str) -> Result<Selected> {
        let argument = Session::mailbox_argument(mailbox)?;
        let mut selected = Selected::default();
        self.run("EXAMINE", &format!("EXAMINE {argument}"), |response| {
            selected.learn(&response);
            Ok(())
        })?;
        Ok(selected)
    }
}

impl Selected {
    fn learn(&mut self, response: &Response) {
        if let Some((_, text)) = response.status() {
            let code = |name| code_number(&text, name).and_then(|number| u32::try_from(number).ok());
            self.uid_validity = code("UIDVALIDITY").filter(|number| *number > 0).or(self.uid_validity);
            self.uid_next = code("UIDNEXT").or(self.uid_next);
            self.highest_modseq = code_number(&text, "HIGHESTMODSEQ").unwrap_or(self.highest_modseq);
            return;
        }
        let text = String::from_utf8_lossy(&response.text);
        let mut words = text.split(' ').skip(1);
        if let (Some(number), Some(word)) = (words.next(), words.next()) {
            if word.eq_ignore_ascii_case("EXISTS") {
                self.exists = number.parse().unwrap_or(0);
            }
        }
    }
}

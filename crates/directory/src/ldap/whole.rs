//! All entries of an LDAP server, for who moves them: read as they stand, added, changed one by one.
//!
//! One connection to the first server that answers, bound as who may write; another to try passwords. Nothing here is used by
//! daemons. Every call says what went wrong in one line and changes nothing then.

use std::collections::HashSet;

use ldap3::{LdapResult, Mod, Scope};

use super::connection::{Connection, Connector, NO_SUCH_OBJECT, Purpose, Search, reason};
use super::runtime::Failure;
use super::settings::Settings;
use super::{NOT_THIS_PASSWORD, PAGE};
use crate::ldif::Record;

/// LDAP result codes (RFC 4511 Appendix A.1).
const SUCCESS: u32 = 0;
const ENTRY_ALREADY_EXISTS: u32 = 68;

/// See the head of this file.
pub struct Whole {
    connector: Connector,
    connection: Connection,
    place: usize,
}

impl Whole {
    /// # Errors
    /// No server answers, or the name and password are refused.
    pub fn open(settings: Settings) -> Result<Whole, String> {
        let connector = Connector::new(settings)?;
        let mut why = String::from("there is no server");
        for (place, server) in connector.settings.servers.iter().enumerate() {
            match connector.connect(place, Purpose::Searches) {
                Ok(connection) => return Ok(Whole { connector, connection, place }),
                Err(failure) => why = format!("{server}: {failure}"),
            }
        }
        Err(why)
    }

    /// Where all entries are below.
    pub fn base(&self) -> &str {
        &self.connector.settings.base
    }

    /// Every entry, passwords included as far as they are shown; none when the base is not there.
    ///
    /// # Errors
    /// The server shows less than all.
    pub fn read(&mut self) -> Result<Vec<Record>, String> {
        let limit = self.connector.settings.search_timeout;
        let (mut records, mut page) = (Vec::new(), Some(Vec::new()));
        while let Some(at) = page.take() {
            let search = Search {
                base: self.base().to_owned(),
                scope: Scope::Subtree,
                filter: "(objectClass=*)".into(),
                attributes: vec!["*".into()],
                size_max: PAGE,
                page: Some(at),
            };
            let answer = match self.connection.records(search, limit) {
                Err(Failure::Refused { code: NO_SUCH_OBJECT, .. }) => return Ok(records),
                answer => answer.map_err(|why| why.to_string())?,
            };
            if answer.cut {
                return Err("the server does not show all entries: raise its size limit".into());
            }
            records.extend(answer.entries);
            page = answer.next_page;
        }
        Ok(records)
    }

    /// Adds an entry; false when it is there already.
    ///
    /// # Errors
    /// The server's words.
    pub fn add(&mut self, record: &Record) -> Result<bool, String> {
        let result = self.connection.add(record, self.connector.settings.search_timeout);
        match result.map_err(|why| why.to_string())? {
            LdapResult { rc: SUCCESS, .. } => Ok(true),
            LdapResult { rc: ENTRY_ALREADY_EXISTS, .. } => Ok(false),
            refused => Err(format!("{}: {}", base::escape(&record.dn), words(&refused))),
        }
    }

    /// These values for these attributes of an entry, in place of what is there; other attributes stay.
    ///
    /// # Errors
    /// The server's words.
    pub fn replace(&mut self, dn: &str, attributes: &[(String, Vec<Vec<u8>>)]) -> Result<(), String> {
        let modifications = attributes.iter().map(|(name, values)| {
            Mod::Replace(name.clone().into_bytes(), values.iter().cloned().collect::<HashSet<_>>())
        });
        let limit = self.connector.settings.search_timeout;
        let result =
            self.connection.modify(dn, modifications.collect(), limit).map_err(|why| why.to_string())?;
        if result.rc == SUCCESS { Ok(()) } else { Err(format!("{}: {}", base::escape(dn), words(&result))) }
    }

    /// Deletes an entry; one that is not there is no error.
    ///
    /// # Errors
    /// The server's words.
    pub fn delete(&mut self, dn: &str) -> Result<(), String> {
        let result = self.connection.delete(dn, self.connector.settings.search_timeout);
        let result = result.map_err(|why| why.to_string())?;
        let gone = [SUCCESS, NO_SUCH_OBJECT].contains(&result.rc);
        if gone { Ok(()) } else { Err(format!("{}: {}", base::escape(dn), words(&result))) }
    }

    /// Whether the server takes this password for the entry.
    ///
    /// # Errors
    /// No answer.
    pub fn takes(&self, dn: &str, password: &str) -> Result<bool, String> {
        let told = |why: Failure| why.to_string();
        let mut connection = self.connector.connect(self.place, Purpose::PasswordChecks).map_err(told)?;
        let result = connection.bind(dn, password, self.connector.settings.search_timeout).map_err(told)?;
        match result.rc {
            SUCCESS => Ok(true),
            code if NOT_THIS_PASSWORD.contains(&code) => Ok(false),
            _ => Err(words(&result)),
        }
    }
}

fn words(result: &LdapResult) -> String {
    format!("{} (LDAP result {})", reason(result).trim(), result.rc)
}

//! Who is in a group: members named by DN, and those that the searches of a dynamic group find.
//!
//! Addresses (`mgrpRFC822MailMember`) are in [`Entry::members`] already; here the rest is added, so that a group from LDAP
//! looks like one from the embedded directory. A member that is not there, or has no address, is left out. A group that
//! cannot be read whole is no answer: half a list is not delivered to as if it were all of it.

use std::collections::HashSet;

use ldap3::Scope;

use super::attributes::OF_A_MEMBER;
use super::connection::{Answer, Connection, NO_SUCH_OBJECT, Purpose, Search};
use super::filter::Filter;
use super::pool::Pool;
use super::runtime::Failure;
use super::settings::Settings;
use super::url::{self, LdapUrl};
use crate::dynamic::{URL_ATTRIBUTES, URLS_MAX};
use crate::{DirectoryError, Entry, Kind, Result};

/// Members of one group.
const MEMBERS_MAX: usize = 100_000;
/// Members named by DN that are read at the same time on one connection.
const AT_ONCE: usize = 64;
/// Entries of a page of a dynamic group's search.
const PAGE: usize = 500;

/// Adds to `group.members`. Users are left as they are.
///
/// # Errors
/// As the directory's; the group is too big, or one of its URLs cannot be used.
pub fn add_members(pool: &Pool, settings: &Settings, group: &mut Entry) -> Result<()> {
    if group.kind != Kind::Group {
        return Ok(());
    }
    let told =
        |why: String| DirectoryError::Unavailable(format!("group {}: {why}", base::escape(&group.mail)));
    let values = |name: &str| group.attributes.get(name).map_or(&[][..], Vec::as_slice);
    let dns = values("uniquemember").to_vec();
    let urls: Vec<LdapUrl> = URL_ATTRIBUTES
        .iter()
        .flat_map(|name| values(name))
        .map(|text| usable(text, settings).map_err(|why| told(format!("{}: {why}", base::escape(text)))))
        .collect::<Result<_>>()?;
    if urls.len() > URLS_MAX || dns.len() > MEMBERS_MAX {
        return Err(told("it has too many members".into()));
    }
    let mut found = Vec::new();
    for dns in dns.chunks(AT_ONCE) {
        found.extend(pool.with(Purpose::Searches, |connection| named(connection, settings, dns))?);
    }
    for url in &urls {
        let members = pool.with(Purpose::Searches, |connection| searched(connection, settings, url))?;
        found.extend(members);
        if found.len() > MEMBERS_MAX {
            return Err(told("it has too many members".into()));
        }
    }
    let mut have: HashSet<String> =
        group.members.iter().map(|address| base::idn::comparable(address)).collect();
    group.members.extend(found.into_iter().filter(|address| have.insert(base::idn::comparable(address))));
    Ok(())
}

/// The addresses of the users and groups that a URL finds.
///
/// # Errors
/// As the directory's; the URL cannot be used, or finds too much.
pub fn addresses_at(pool: &Pool, settings: &Settings, text: &str) -> Result<Vec<String>> {
    let told = |why: String| DirectoryError::Unavailable(format!("{}: {why}", base::escape(text)));
    let url = usable(text, settings).map_err(told)?;
    let found = pool.with(Purpose::Searches, |connection| searched(connection, settings, &url))?;
    match found.len() {
        0..=MEMBERS_MAX => Ok(found),
        _ => Err(told("it finds too many".into())),
    }
}

/// A URL of this directory. Another server is not asked.
fn usable(text: &str, settings: &Settings) -> std::result::Result<LdapUrl, String> {
    let url = url::parse(text)?;
    let ours = |server: &super::settings::Server| {
        url.host.eq_ignore_ascii_case(&server.to_string())
            || url.host.eq_ignore_ascii_case(&server.bracketed())
    };
    if url.host.is_empty() || settings.servers.iter().any(ours) {
        Ok(url)
    } else {
        Err("it names another server, which is not asked".into())
    }
}

/// The addresses of entries named by DN.
fn named(
    connection: &mut Connection,
    settings: &Settings,
    dns: &[String],
) -> std::result::Result<Vec<String>, Failure> {
    let searches = dns.iter().map(|dn| search(dn, Scope::Base, Filter::mail_entry().to_string(), 1, None));
    let mut addresses = Vec::new();
    for answer in connection.search_all(searches.collect(), settings.search_timeout)? {
        match answer {
            Ok(answer) => addresses.extend(addresses_in(answer, true)),
            // Gone since it was made a member, or no DN at all (invalidDNSyntax).
            Err(Failure::Refused { code: NO_SUCH_OBJECT | 34, .. }) => {}
            Err(why) => return Err(why),
        }
    }
    Ok(addresses)
}

/// The addresses of what a dynamic group's search finds.
fn searched(
    connection: &mut Connection,
    settings: &Settings,
    url: &LdapUrl,
) -> std::result::Result<Vec<String>, Failure> {
    let base = if url.base.is_empty() { &settings.base } else { &url.base };
    let filter = format!("(&{}{})", Filter::mail_entry(), url.filter);
    let mut addresses = Vec::new();
    let mut page = Vec::new();
    loop {
        let search = search(base, url.scope, filter.clone(), PAGE, Some(page));
        let mut answer = connection.search(search, settings.search_timeout)?;
        let next = answer.next_page.take();
        if answer.cut {
            let text = "the server does not tell all members of a dynamic group".into();
            return Err(Failure::Refused { code: 4, text });
        }
        addresses.extend(addresses_in(answer, settings.nested_groups));
        match next {
            Some(next) if addresses.len() <= MEMBERS_MAX => page = next,
            _ => return Ok(addresses),
        }
    }
}

fn search(base: &str, scope: Scope, filter: String, size_max: usize, page: Option<Vec<u8>>) -> Search {
    let attributes = OF_A_MEMBER.iter().map(|name| (*name).to_owned()).collect();
    Search { base: base.to_owned(), scope, filter, attributes, size_max, page }
}

fn addresses_in(answer: Answer, groups: bool) -> Vec<String> {
    let entries =
        answer.entries.into_iter().filter_map(|found| Entry::from_attributes(&found.dn, found.attributes));
    entries.filter(|entry| groups || entry.kind == Kind::User).map(|entry| entry.mail).collect()
}

//! Who may act for others: PLAIN with an authorization identity (S129), PROXYAUTH (S140). // NMS: guide lines 695, 739-752
//!
//! The administrators of `store.admins`, from the networks of `store.adminnetworks`, with their own password, for users who
//! are no administrators themselves. What the user may not use, nobody uses for the user (`nsmsgDisallowAccess`).

use std::net::IpAddr;
use std::sync::Arc;

use base::network::Network;
use server_config::Config;
use server_config::parameters::store;

use crate::{Directory, Entry, Found, Service, by_login, log_line};

/// Administrators, and from where they may act for others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deputies {
    admins: Vec<String>,
    networks: Vec<Network>,
}

/// Why somebody does not act for somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoDeputy {
    /// Not this one, or not from there, or not for this user; the text is for the log.
    NotPermitted(&'static str),
    NoSuchUser,
    /// The user may not use the service (S109).
    Disallowed,
    Unavailable(String),
}

impl Deputies {
    pub fn from_config(config: &Config) -> Deputies {
        Deputies { admins: config.get(&store::ADMINS), networks: config.get(&store::ADMIN_NETWORKS) }
    }

    /// Whether this uid is an administrator's.
    pub fn is_admin(&self, uid: &str) -> bool {
        self.admins.iter().any(|admin| admin.eq_ignore_ascii_case(uid))
    }

    /// The user `name`, for `by` to act for. Asks the directory.
    ///
    /// # Errors
    /// See [`NoDeputy`]. Who is refused does not learn who exists.
    pub fn act_for(
        &self,
        directory: &dyn Directory,
        service: Service,
        by: &str,
        name: &str,
        peer: IpAddr,
    ) -> Result<Arc<Entry>, NoDeputy> {
        if !self.is_admin(by) {
            return Err(NoDeputy::NotPermitted(log_line::NO_DEPUTY));
        }
        if !self.networks.iter().any(|network| network.contains(peer.to_canonical())) {
            return Err(NoDeputy::NotPermitted(log_line::DEPUTY_FROM_ELSEWHERE));
        }
        let entry = match by_login(directory, name) {
            Ok(Found::One(entry)) => entry,
            Ok(_) => return Err(NoDeputy::NoSuchUser),
            Err(why) => return Err(NoDeputy::Unavailable(why.to_string())),
        };
        match &entry.uid {
            None => Err(NoDeputy::NoSuchUser),
            Some(uid) if self.is_admin(uid) => Err(NoDeputy::NotPermitted(log_line::DEPUTY_FOR_ADMIN)),
            Some(_) if !entry.may_use(service) => Err(NoDeputy::Disallowed),
            Some(_) => Ok(entry),
        }
    }
}

impl Entry {
    /// Whether a name that was said is the user's own: the uid, or an address.
    pub fn is_named(&self, name: &str) -> bool {
        self.uid.as_deref().is_some_and(|uid| uid.eq_ignore_ascii_case(name)) || self.has_address(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn administrators_act_for_users_from_where_they_may() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("directory.ldif");
        let user = |uid: &str, more: &str| {
            format!(
                "dn: uid={uid},o=x\nobjectClass: mailRecipient\nuid: {uid}\nmail: {uid}@x.test\n{more}\n\n"
            )
        };
        let text =
            [user("boss", ""), user("root", ""), user("joe", ""), user("kim", "nsmsgDisallowAccess: imap")];
        std::fs::write(&path, text.concat()).unwrap();
        let directory = crate::Embedded::open(&path, server_log::Log::discard()).unwrap();
        let text = "store.admins = boss root\nstore.adminnetworks = 192.0.2.0/24 2001:db8::/32\n";
        let deputies = Deputies::from_config(&Config::from_text(text).unwrap());
        let act = |by: &str, name: &str, peer: &str| {
            let entry = deputies.act_for(&directory, Service::Imap, by, name, peer.parse().unwrap());
            entry.map(|entry| entry.uid.clone().unwrap())
        };
        let no = |why| Err(NoDeputy::NotPermitted(why));
        assert_eq!(act("boss", "joe", "192.0.2.7"), Ok("joe".into()));
        assert_eq!(act("Boss", "JOE@x.test", "::ffff:192.0.2.7"), Ok("joe".into()));
        assert_eq!(act("joe", "kim", "192.0.2.7"), no(log_line::NO_DEPUTY));
        assert_eq!(act("boss", "joe", "127.0.0.1"), no(log_line::DEPUTY_FROM_ELSEWHERE));
        assert_eq!(act("boss", "nobody", "127.0.0.1"), no(log_line::DEPUTY_FROM_ELSEWHERE));
        assert_eq!(act("boss", "root", "192.0.2.7"), no(log_line::DEPUTY_FOR_ADMIN));
        assert_eq!(act("boss", "nobody", "2001:db8::1"), Err(NoDeputy::NoSuchUser));
        assert_eq!(act("boss", "kim", "192.0.2.7"), Err(NoDeputy::Disallowed));
        let standard = Deputies::from_config(&Config::from_text("store.admins = boss\n").unwrap());
        let near = standard.act_for(&directory, Service::Imap, "boss", "joe", [127, 0, 0, 1].into());
        assert!(near.is_ok(), "this host, if nothing else is said");
        assert!(standard.act_for(&directory, Service::Imap, "boss", "joe", [192, 0, 2, 7].into()).is_err());
    }
}

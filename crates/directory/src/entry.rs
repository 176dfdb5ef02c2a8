//! A user or a group, as the mail system sees it. Attributes: original.md 5.2 and 5.3.

use std::collections::BTreeMap;

use crate::{AppPassword, app_passwords, recovery_codes, second_factor};

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    User,
    Group,
}

/// A service a user may be kept out of (`nsmsgDisallowAccess`, S109).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Pop,
    Imap,
    Smtp,
    Http,
}

impl Service {
    /// The service of this name, in any case.
    pub fn named(name: &str) -> Option<Service> {
        match name.trim().to_ascii_lowercase().as_str() {
            "pop" | "pop3" => Some(Service::Pop),
            "imap" | "imap4" => Some(Service::Imap),
            "smtp" => Some(Service::Smtp),
            "http" => Some(Service::Http),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Service::Pop => "pop",
            Service::Imap => "imap",
            Service::Smtp => "smtp",
            Service::Http => "http",
        }
    }
}

/// `mailDeliveryOption`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct DeliveryOptions {
    pub mailbox: bool,
    pub native: bool,
    pub program: bool,
}

/// A user or a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub dn: String,
    pub kind: Kind,
    /// Of a user always there; as it is written in the directory, and the name of the user's mailboxes.
    pub uid: Option<String>,
    /// The primary address.
    pub mail: String,
    pub alternate: Vec<String>,
    pub mail_host: Option<String>,
    pub delivery: DeliveryOptions,
    pub forward: Vec<String>,
    pub disallowed: Vec<Service>,
    /// `mailUserStatus` is active or not there.
    pub active: bool,
    /// `mailQuota`, as it is written.
    pub quota_bytes: Option<i64>,
    /// `mailMsgQuota`, or `nsmsgNumMsgQuota` of NMS 4.
    pub quota_messages: Option<i64>,
    /// `mailMessageStore`: the partition of the INBOX.
    pub partition: Option<String>,
    /// Of a group: the addresses of its members, those named by dn included.
    pub members: Vec<String>,
    pub language: Option<String>,
    /// `mailAppPassword`: those that can be read, [`crate::app_passwords::COUNT_MAX`] at most.
    pub app_passwords: Vec<AppPassword>,
    /// `mailTotpSecret`, sealed: the password alone opens nothing, see [`crate::second_factor`].
    pub second_factor: Option<String>,
    /// `mailRecoveryCode`: hashes of those that were not used yet, see [`crate::recovery_codes`].
    pub recovery_codes: Vec<String>,
    /// This is of a log-in by a password for one program: it acts for nobody else and changes no credentials.
    pub limited: bool,
    /// This is of a log-in that needed no password (RFC 4505): it reads, and changes nothing. Such a one is [`Entry::limited`], too.
    pub anybody: bool,
    /// Everything, by lower-case name, subtypes included (`mailautoreplytext;lang-ja`); passwords left out.
    pub attributes: BTreeMap<String, Vec<String>>,
}

impl Entry {
    /// The mail entry in these attributes; nothing when they are no user and no group with an address.
    pub fn from_attributes(dn: &str, attributes: BTreeMap<String, Vec<String>>) -> Option<Entry> {
        let first = |name: &str| attributes.get(name).and_then(|values| values.first()).cloned();
        let all = |name: &str| attributes.get(name).cloned().unwrap_or_default();
        let number = |name: &str| first(name).and_then(|value| value.trim().parse().ok());
        let classes: Vec<String> =
            all("objectclass").iter().map(|class| class.to_ascii_lowercase()).collect();
        let is = |class: &str| classes.iter().any(|have| have == class);
        let uid = first("uid").filter(|uid| !uid.is_empty());
        let user_class = is("nsmessagingserveruser") || is("mailrecipient") || is("inetmailuser");
        let kind = if is("mailgroup") || is("inetmailgroup") {
            Kind::Group
        } else if uid.is_some() && user_class {
            Kind::User
        } else {
            return None;
        };
        let forward: Vec<String> = all("mailforwardingaddress");
        let options = all("maildeliveryoption");
        let option = |name: &str| options.iter().any(|option| option.trim().eq_ignore_ascii_case(name));
        let delivery = DeliveryOptions {
            // Without any option and without forwarding, mail goes to the mailbox.
            mailbox: option("mailbox") || (options.is_empty() && forward.is_empty()),
            native: option("native"),
            program: option("program"),
        };
        let status = |name: &str| first(name).is_none_or(|status| status.eq_ignore_ascii_case("active"));
        let written = [all("mgrprfc822mailmember"), all("rfc822mailmember")].concat();
        let members = written.iter().map(|member| member_address(member).to_owned()).collect();
        Some(Entry {
            dn: dn.to_owned(),
            kind,
            mail: first("mail").filter(|mail| mail.contains('@'))?,
            alternate: all("mailalternateaddress"),
            mail_host: first("mailhost"),
            delivery,
            forward,
            disallowed: all("nsmsgdisallowaccess")
                .iter()
                .flat_map(|value| value.split(','))
                .filter_map(Service::named)
                .collect(),
            active: status("mailuserstatus") && status("inetuserstatus"),
            quota_bytes: number("mailquota"),
            quota_messages: number("mailmsgquota").or_else(|| number("nsmsgnummsgquota")),
            partition: first("mailmessagestore").filter(|name| !name.is_empty()),
            members,
            language: first("preferredlanguage"),
            uid,
            app_passwords: all(app_passwords::ATTRIBUTE)
                .iter()
                .filter_map(|value| AppPassword::parse(value))
                .take(app_passwords::COUNT_MAX)
                .collect(),
            second_factor: first(second_factor::ATTRIBUTE),
            recovery_codes: all(recovery_codes::ATTRIBUTE)
                .into_iter()
                .filter(|value| recovery_codes::is_value(value))
                .take(recovery_codes::COUNT)
                .collect(),
            limited: false,
            anybody: false,
            attributes: attributes.into_iter().filter(|(name, _)| !is_secret(name)).collect(),
        })
    }

    /// Whether the user may use the service.
    pub fn may_use(&self, service: Service) -> bool {
        self.active && !self.disallowed.contains(&service)
    }

    /// Whether the password itself logs in: with a second factor only to web mail, which asks for the code, too.
    pub fn password_opens(&self, service: Service) -> bool {
        self.second_factor.is_none() || service == Service::Http
    }

    /// `mailAccessDomain`: from where the user may use what (S136).
    pub fn access_domains(&self) -> &[String] {
        self.attributes.get("mailaccessdomain").map_or(&[], Vec::as_slice)
    }

    /// All addresses: the primary one first.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.mail.as_str()).chain(self.alternate.iter().map(String::as_str))
    }

    /// The name that people know it by.
    pub fn name(&self) -> &str {
        let first = |name: &str| self.attributes.get(name).and_then(|values| values.first());
        first("displayname").or_else(|| first("cn")).map_or("", String::as_str)
    }

    /// Whether a word of its names, an address or the uid begins so; in lower case. Nothing begins with nothing.
    pub fn begins_with(&self, text: &str) -> bool {
        let names = ["cn", "displayname", "givenname", "sn"];
        let names = names.iter().filter_map(|name| self.attributes.get(*name)).flatten();
        let begins = |value: &str| {
            let value = value.to_lowercase();
            value.starts_with(text)
                || value
                    .match_indices([' ', '-'])
                    .any(|(at, blank)| value[at + blank.len()..].starts_with(text))
        };
        !text.is_empty()
            && (names.map(String::as_str).any(begins)
                || self
                    .addresses()
                    .chain(self.uid.as_deref())
                    .any(|name| name.to_lowercase().starts_with(text)))
    }

    /// Whether one of the entry's addresses is this one, as [`base::idn::same`] says.
    pub fn has_address(&self, address: &str) -> bool {
        self.addresses().any(|own| base::idn::same(own, address))
    }
}

/// Whether an attribute (in lower case) is one of credentials, which only this crate looks at.
pub fn is_secret(name: &str) -> bool {
    crate::embedded::PASSWORDS.contains(&name)
        || [app_passwords::ATTRIBUTE, second_factor::ATTRIBUTE, recovery_codes::ATTRIBUTE].contains(&name)
}

/// The address of `joe@example.org%Joe User`, as the original writes members whose name it knows.
fn member_address(member: &str) -> &str {
    let member = member.trim();
    let named = member.find('@').and_then(|at| member[at..].find('%').map(|behind| at + behind));
    named.map_or(member, |end| member[..end].trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(lines: &[(&str, &str)]) -> Option<Entry> {
        let mut attributes: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in lines {
            attributes.entry((*name).to_owned()).or_default().push((*value).to_owned());
        }
        Entry::from_attributes("uid=x", attributes)
    }

    #[test]
    fn delivery_goes_to_the_mailbox_unless_something_else_is_said() {
        let user = [("objectclass", "mailRecipient"), ("uid", "x"), ("mail", "x@a.example")];
        assert!(entry(&user).unwrap().delivery.mailbox);
        let forward = [&user[..], &[("mailforwardingaddress", "y@a.example")]].concat();
        assert!(!entry(&forward).unwrap().delivery.mailbox);
        let both = [&forward[..], &[("maildeliveryoption", "Mailbox")]].concat();
        assert!(entry(&both).unwrap().delivery.mailbox);
    }

    /// S109: several values, or one with commas.
    #[test]
    fn disallowed_services_and_inactive_users_are_kept_out() {
        let user = [("objectclass", "nsMessagingServerUser"), ("uid", "x"), ("mail", "x@a.example")];
        let some =
            [&user[..], &[("nsmsgdisallowaccess", "pop, http"), ("nsmsgdisallowaccess", "smtp")]].concat();
        let some = entry(&some).unwrap();
        assert!(some.may_use(Service::Imap));
        assert!(![Service::Pop, Service::Smtp, Service::Http].iter().any(|service| some.may_use(*service)));
        let inactive = [&user[..], &[("mailuserstatus", "inactive")]].concat();
        assert!(!entry(&inactive).unwrap().may_use(Service::Imap));
    }

    #[test]
    fn members_may_carry_their_names() {
        for (written, address) in [
            ("joe@a.example%Joe User", "joe@a.example"),
            (" joe@a.example ", "joe@a.example"),
            ("joe%b@a.example", "joe%b@a.example"),
            ("joe", "joe"),
        ] {
            let group =
                [("objectclass", "mailGroup"), ("mail", "g@a.example"), ("mgrprfc822mailmember", written)];
            assert_eq!(entry(&group).unwrap().members, [address]);
        }
    }

    #[test]
    fn what_is_no_mail_entry_is_none() {
        assert!(entry(&[("objectclass", "person"), ("uid", "x"), ("mail", "x@a.example")]).is_none());
        assert!(entry(&[("objectclass", "mailRecipient"), ("uid", "x")]).is_none());
        assert!(entry(&[("objectclass", "mailGroup"), ("mail", "all@a.example")]).is_some());
    }
}

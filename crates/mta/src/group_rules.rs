//! What a group says about the mail it takes and passes on: its `mgrp*` attributes (original.md 5.3), as plain values.
//!
//! The order is the original's: size, allowed senders, log-in, password; then the moderator has what was refused, if
//! `mgrpMsgRejectAction` says so. A sender is allowed by an address (`mgrpAllowedBroadcaster`) or by a domain
//! (`mgrpAllowedDomain`); with neither, everybody is. Moderators always are, since they pass on what others wrote. Who
//! knows the password (`mgrpApprovePassword`, in an `Approved:` field or first line) needs no other leave.

use directory::{Entry as Account, password};
use mail_format::header_field;

/// Bytes of a first line that may hold a password.
const APPROVED_LINE_MAX: usize = 512;

/// The rules of one group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Bytes of the message.
    pub size_max: Option<u64>,
    /// Addresses, `mailto:` or `ldap:` URLs, or DNs, as they are written.
    pub broadcasters: Vec<String>,
    pub domains: Vec<String>,
    pub needs_log_in: bool,
    pub needs_password: bool,
    pub passwords: Vec<String>,
    pub moderators: Vec<String>,
    /// Whether a refused message goes to the moderators.
    pub to_moderator: bool,
    pub reject_text: Option<String>,
    /// Who is told what cannot be delivered to members.
    pub errors_to: Option<String>,
    /// Whole fields, without their line end.
    pub add: Vec<String>,
    /// Names of fields.
    pub remove: Vec<String>,
    /// Addresses that are no members, whatever else says so.
    pub except: Vec<String>,
}

/// A message as the rules see it.
#[derive(Clone, Copy, Debug)]
pub struct Post<'a> {
    pub bytes: u64,
    /// Whoever may be meant as its sender; empty for the null sender.
    pub senders: &'a [String],
    pub is_logged_in: bool,
    pub password: Option<&'a str>,
}

/// Why a group does not take a message: a status (RFC 3463) and what its sender should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub status: &'static str,
    pub text: String,
}

impl Rules {
    pub fn of(group: &Account) -> Rules {
        let all = |name: &str| -> Vec<String> {
            let values = group.attributes.get(name).into_iter().flatten();
            values.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty()).collect()
        };
        let first = |name: &str| all(name).into_iter().next();
        let is = |value: &str, words: &[&str]| words.iter().any(|word| value.eq_ignore_ascii_case(word));
        let policies = all("mgrpbroadcasterpolicy");
        let policy =
            |words: &[&str]| policies.iter().flat_map(|one| one.split([',', ' '])).any(|one| is(one, words));
        let (broadcasters, domains) = (all("mgrpallowedbroadcaster"), all("mgrpalloweddomain"));
        let passwords = all("mgrpapprovepassword");
        let needs_log_in = all("mailrequireauth").iter().any(|value| is(value, &["yes", "true", "1"]))
            || policy(&["AUTH_REQ", "SMTP_AUTH_REQUIRED", "AUTH_REQUIRED"]);
        // A password beside no other rule is the rule.
        let alone = !passwords.is_empty() && broadcasters.is_empty() && domains.is_empty() && !needs_log_in;
        Rules {
            size_max: first("mgrpmsgmaxsize").and_then(|bytes| bytes.parse().ok()).filter(|bytes| *bytes > 0),
            needs_password: alone || policy(&["PASSWD_REQ", "PASSWORD_REQUIRED"]),
            needs_log_in,
            passwords,
            broadcasters,
            domains,
            moderators: all("mgrpmoderator"),
            to_moderator: all("mgrpmsgrejectaction").iter().any(|action| is(action, &["toModerator"])),
            reject_text: first("mgrpmsgrejecttext").map(|text| text.replace('$', " ")),
            errors_to: first("mgrperrorsto"),
            add: all("mgrpaddheader")
                .iter()
                .flat_map(|lines| lines.split('$'))
                .filter_map(whole_field)
                .collect(),
            remove: all("mgrpremoveheader")
                .iter()
                .flat_map(|names| names.split([',', '$']))
                .map(|name| name.trim().trim_end_matches(':').to_owned())
                // A loop could not be seen without it.
                .filter(|name| !name.is_empty() && !is(name, &["Received"]))
                .collect(),
            except: all("mgrpdeliverexception").iter().map(|one| plain(one).to_owned()).collect(),
        }
    }

    /// Whether senders must be looked at.
    pub fn restricts(&self) -> bool {
        let open = self.broadcasters.is_empty() && self.domains.is_empty();
        !open || self.needs_log_in || self.needs_password
    }

    /// Whether the message may be passed on. `resolve` gives the addresses that a value stands for.
    ///
    /// # Errors
    /// Of `resolve`.
    pub fn judge<E>(
        &self,
        post: &Post<'_>,
        mut resolve: impl FnMut(&str) -> Result<Vec<String>, E>,
    ) -> Result<Result<(), Refused>, E> {
        let refused = |status, text: &str| {
            let text = self.reject_text.clone().unwrap_or_else(|| text.to_owned());
            Ok(Err(Refused { status, text }))
        };
        if self.size_max.is_some_and(|max| post.bytes > max) {
            return refused("5.2.3", "the message is larger than the group takes");
        }
        let mut names_sender = |values: &[String]| -> Result<bool, E> {
            for value in values {
                let found = resolve(value)?;
                if found.iter().any(|one| post.senders.iter().any(|sender| sender.eq_ignore_ascii_case(one)))
                {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        if !self.restricts() || self.knows_password(post.password) || names_sender(&self.moderators)? {
            return Ok(Ok(()));
        }
        let open = self.broadcasters.is_empty() && self.domains.is_empty();
        if !open && !self.is_in_domain(post) && !names_sender(&self.broadcasters)? {
            return refused("5.7.2", "you may not write to this group");
        }
        if self.needs_log_in && !post.is_logged_in {
            return refused("5.7.2", "the group takes messages of users who logged in only");
        }
        if self.needs_password {
            return refused("5.7.2", "the group takes messages with its password only");
        }
        Ok(Ok(()))
    }

    fn is_in_domain(&self, post: &Post<'_>) -> bool {
        post.senders.iter().filter_map(|sender| sender.rsplit_once('@')).any(|(_, domain)| {
            let domain = base::idn::domain(domain);
            self.domains.iter().any(|allowed| {
                let allowed = base::idn::domain(allowed.trim_start_matches("*."));
                domain.strip_suffix(&allowed).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            })
        })
    }

    fn knows_password(&self, given: Option<&str>) -> bool {
        let is = |stored: &String, given: &str| match stored.starts_with('{') {
            true => password::verify(stored, given),
            false => stored == given,
        };
        given.is_some_and(|given| self.passwords.iter().any(|stored| is(stored, given)))
    }

    /// The members that are none by `mgrpDeliverException` left out.
    pub fn members(&self, group: &Account) -> Vec<String> {
        let is_member = |address: &&String| !self.except.iter().any(|one| base::idn::same(one, address));
        group.members.iter().filter(is_member).cloned().collect()
    }

    /// Whether the message is another one for the members.
    pub fn changes_message(&self) -> bool {
        self.errors_to.is_some()
            || !self.add.is_empty()
            || !self.remove.is_empty()
            || !self.passwords.is_empty()
    }
}

/// A header field that may stand in a header as it is.
fn whole_field(line: &str) -> Option<String> {
    let line = line.trim();
    let (name, _) = line.split_once(':')?;
    let named = !name.is_empty() && name.bytes().all(|byte| matches!(byte, 0x21..=0x7e));
    (named && !line.contains(['\r', '\n'])).then(|| line.to_owned())
}

/// An address without the `mailto:` in front of it.
pub fn plain(value: &str) -> &str {
    let value = value.trim();
    let scheme = value.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("mailto:"));
    scheme.map_or(value, |_| value[7..].split('?').next().unwrap_or("").trim())
}

/// The password that a message brings: of an `Approved:` field, or of a first line that looks like one.
pub fn password_in(header: &[u8], body: &[u8]) -> Option<String> {
    let value = match header_field(header, "Approved") {
        Some(value) => value,
        None => &body[b"Approved:".len()..approved_line(body)?],
    };
    Some(String::from_utf8_lossy(value).trim().to_owned()).filter(|password| !password.is_empty())
}

/// Bytes of the body's first line with its end, when it is an `Approved:` line.
pub fn approved_line(body: &[u8]) -> Option<usize> {
    let start = &body[..body.len().min(APPROVED_LINE_MAX)];
    let is = start.get(..9).is_some_and(|start| start.eq_ignore_ascii_case(b"Approved:"));
    let end = memchr::memchr(b'\n', start).map(|at| at + 1);
    end.or((body.len() == start.len()).then_some(body.len())).filter(|_| is)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    fn rules(attributes: &[(&str, &str)]) -> Rules {
        let own = [("objectclass", "mailGroup"), ("mail", "g@example.test")];
        let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in own.iter().chain(attributes) {
            all.entry((*name).to_owned()).or_default().push((*value).to_owned());
        }
        Rules::of(&Account::from_attributes("cn=g", all).unwrap())
    }

    fn judge(
        rules: &Rules,
        sender: &str,
        is_logged_in: bool,
        password: Option<&str>,
    ) -> Option<&'static str> {
        let senders = [sender.to_owned()];
        let post = Post { bytes: 500, senders: &senders, is_logged_in, password };
        let resolve = |value: &str| Ok::<_, Infallible>(vec![plain(value).to_owned()]);
        let Ok(verdict) = rules.judge(&post, resolve);
        verdict.err().map(|refused| refused.status)
    }

    #[test]
    fn who_may_write_to_a_group() {
        let broadcaster = ("mgrpallowedbroadcaster", "MAILTO:boss@a.test");
        let domain = ("mgrpalloweddomain", "airius.com");
        let policy = ("mgrpbroadcasterpolicy", "AUTH_REQ");
        let moderator = ("mgrpmoderator", "mailto:mod@a.test");
        for (attributes, sender, log_in, expected) in [
            (vec![], "x@a.test", false, None),
            (vec![("mgrpmsgmaxsize", "500")], "x@a.test", false, None),
            (vec![("mgrpmsgmaxsize", "499")], "x@a.test", true, Some("5.2.3")),
            (vec![broadcaster], "BOSS@a.test", false, None),
            (vec![broadcaster], "x@a.test", true, Some("5.7.2")),
            (vec![broadcaster], "", false, Some("5.7.2")),
            (vec![domain], "x@airius.com", false, None),
            (vec![domain], "x@de.Airius.com", false, None),
            (vec![domain], "x@notairius.com", false, Some("5.7.2")),
            (vec![domain, broadcaster], "boss@a.test", false, None),
            (vec![policy], "x@a.test", false, Some("5.7.2")),
            (vec![policy], "x@a.test", true, None),
            (vec![("mailrequireauth", "yes")], "x@a.test", false, Some("5.7.2")),
            (vec![broadcaster, policy], "boss@a.test", false, Some("5.7.2")),
            (vec![broadcaster, moderator], "mod@a.test", false, None),
        ] {
            assert_eq!(judge(&rules(&attributes), sender, log_in, None), expected, "{attributes:?} {sender}");
        }
    }

    #[test]
    fn the_password_opens_a_group() {
        let alone = rules(&[("mgrpapprovepassword", "sesame")]);
        assert_eq!(judge(&alone, "x@a.test", true, None), Some("5.7.2"));
        assert_eq!(judge(&alone, "x@a.test", false, Some("sesame")), None);
        assert_eq!(judge(&alone, "x@a.test", false, Some("Sesame")), Some("5.7.2"));
        let beside = rules(&[("mgrpapprovepassword", "{CLEAR}sesame"), ("mgrpalloweddomain", "b.test")]);
        assert_eq!(judge(&beside, "x@b.test", false, None), None);
        assert_eq!(judge(&beside, "x@a.test", false, Some("sesame")), None);
        assert_eq!(judge(&beside, "x@a.test", false, Some("{CLEAR}sesame")), Some("5.7.2"));
        for (header, body, expected) in [
            ("Approved: sesame\r\n\r\n", "x", Some("sesame")),
            ("A: b\r\n\r\n", "approved:sesame \r\nx", Some("sesame")),
            ("A: b\r\n\r\n", "Approved: sesame", Some("sesame")),
            ("A: b\r\n\r\n", "x\r\nApproved: sesame\r\n", None),
            ("A: b\r\n\r\n", "Approved:\r\n", None),
            ("A: b\r\n\r\n", "Appro", None),
        ] {
            assert_eq!(
                password_in(header.as_bytes(), body.as_bytes()).as_deref(),
                expected,
                "{header} {body}"
            );
        }
    }

    #[test]
    fn fields_are_added_and_removed_only_when_they_are_fields() {
        let rules = rules(&[
            ("mgrpaddheader", "X-List: staff$Precedence: list"),
            ("mgrpaddheader", "no field"),
            ("mgrpaddheader", "X: y\r\nBcc: z"),
            ("mgrpremoveheader", "Reply-To: , Received"),
            ("mgrpmsgrejecttext", "Not$you"),
            ("mgrpdeliverexception", "mailto:a@a.test"),
        ]);
        assert_eq!(rules.add, ["X-List: staff", "Precedence: list"]);
        assert_eq!(rules.remove, ["Reply-To"]);
        assert_eq!(rules.reject_text.as_deref(), Some("Not you"));
        assert_eq!(rules.except, ["a@a.test"]);
    }
}

//! Mail against the quota of who gets it: whether there is room, and the notice to a user whose quota is exceeded (X7).
//!
//! The limits are the directory's as of this mail (S113), or an administrator's. Over them, mail is taken for the grace
//! period, then refused: at RCPT where that says the same as the error-handler would, else by a report.

use std::io::Write;
use std::time::Duration;

use directory::Entry as Account;
use mail_format::{EncodedText, encode_text, encode_words, format_date};
use message_store::{
    Admission, Delivered, Flags, Limits, LinkedMessage, MailboxName, NewMessage, Quota, QuotaPolicy, Store,
    StoreError,
};
use server_config::Config;
use server_config::parameters::store;
use server_log::Category;

use crate::autoreply::language::{LAST, Languages, tag};
use crate::autoreply::texts::built_in;
use crate::mta::Desk;
use crate::settings::Settings;

/// Fields of a notice that a site's text cannot say.
const OWN_FIELDS: [&str; 9] = [
    "date",
    "message-id",
    "to",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "auto-submitted",
    "return-path",
    "received",
];

/// What the configuration says of notices.
#[derive(Clone, Debug, Default)]
pub struct Notices {
    /// `store.quotanotification`
    pub is_on: bool,
    /// `store.quotaexceededmsginterval`
    pub interval: Duration,
    /// `store.quotaexceededmsg`, by language.
    texts: Vec<(String, String)>,
}

impl Notices {
    /// A text without a language is in the site's.
    pub fn from_config(config: &Config, site_language: &str) -> Notices {
        let mut texts = Vec::new();
        let lines = |value: &str| value.replace("\r\n", "\n").replace('$', "\n");
        let plain = config.get(&store::QUOTA_MESSAGE);
        if !plain.is_empty() {
            texts.push((site_language.to_owned(), lines(&plain)));
        }
        let marked = format!("{};lang-", store::QUOTA_MESSAGE.name);
        for (name, value) in config.iter() {
            if let Some(language) = name.to_ascii_lowercase().strip_prefix(&marked).and_then(tag) {
                texts.push((language, lines(value)));
            }
        }
        Notices {
            is_on: config.get(&store::QUOTA_NOTIFICATION),
            interval: config.get(&store::QUOTA_MESSAGE_INTERVAL),
            texts,
        }
    }

    /// Fields and text for an account, filled in: the site's, else the built-in ones.
    fn words(
        &self,
        languages: &Languages,
        account: &Account,
        quota: &Quota,
    ) -> (String, Vec<(String, String)>, String) {
        let of_site =
            |language: &str| self.texts.iter().rev().find(|(one, _)| one == language).map(|(_, text)| text);
        let has = |language: &str| of_site(language).is_some() || built_in(language, "quota").is_some();
        let language = languages.choose(b"", Some(account), &account.mail, has);
        let fill = |text: &str| fill(text, account, quota);
        if let Some(text) = of_site(&language) {
            let (fields, text) = fields_of(text);
            let filled = fields.into_iter().map(|(name, value)| (name.to_owned(), fill(value)));
            let fields = filled.collect();
            return (language, fields, fill(text));
        }
        let section = |name: &str| built_in(&language, name).or(built_in(LAST, name)).unwrap_or_default();
        let subject = ("Subject".to_owned(), fill(section("quota-subject")));
        (language.clone(), vec![subject], fill(section("quota")))
    }

    /// The notice as a message.
    fn message(&self, settings: &Settings, account: &Account, quota: &Quota, now: i64) -> String {
        let (language, mut fields, text) = self.words(&settings.local.languages, account, quota);
        let has = |fields: &[(String, String)], name: &str| {
            fields.iter().any(|(one, _)| one.eq_ignore_ascii_case(name))
        };
        if !has(&fields, "From") {
            let postmaster = format!("Mail Administrator <postmaster@{}>", settings.domains.default_domain());
            fields.insert(0, ("From".to_owned(), postmaster));
        }
        if !has(&fields, "Subject") {
            fields
                .push(("Subject".to_owned(), built_in(LAST, "quota-subject").unwrap_or_default().to_owned()));
        }
        let mut message = format!("Return-Path: <>\r\nDate: {}\r\n", format_date(now, 0));
        for (name, value) in &fields {
            let value = if value.is_ascii() { value.clone() } else { encode_words(value) };
            message.push_str(&format!("{name}: {value}\r\n"));
        }
        let EncodedText { charset, transfer_encoding, body } = encode_text(&text);
        message.push_str(&format!(
            "To: <{}>\r\nMessage-ID: <quota-{now}-{}@{}>\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n\
             Content-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: {transfer_encoding}\r\n\
             Content-Language: {language}\r\n\r\n{body}",
            account.mail,
            std::process::id(),
            settings.host_name,
        ));
        message
    }
}

/// A site's text: header fields, an empty line, the text (original.md 1.4). What does not begin with fields is text.
fn fields_of(text: &str) -> (Vec<(&str, &str)>, &str) {
    let mut fields = Vec::new();
    let mut rest = text;
    while let Some((line, behind)) = rest.split_once('\n') {
        if line.trim().is_empty() {
            return (fields, behind);
        }
        let field = line.split_once(':').filter(|(name, _)| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()) && name.len() < 80
        });
        let Some((name, value)) = field else { break };
        if !OWN_FIELDS.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            fields.push((name, value.trim()));
        }
        rest = behind;
    }
    (Vec::new(), text)
}

fn fill(text: &str, account: &Account, quota: &Quota) -> String {
    let name = account.attributes.get("cn").and_then(|values| values.first()).unwrap_or(&account.mail);
    let is_bytes =
        quota.limits.bytes.is_some_and(|limit| quota.usage.bytes > limit) || quota.limits.messages.is_none();
    let (used, allowed) = if is_bytes {
        let kilobytes = |bytes: u64| format!("{} KB", bytes.div_ceil(1024));
        (kilobytes(quota.usage.bytes), kilobytes(quota.limits.bytes.unwrap_or(0)))
    } else {
        (quota.usage.messages.to_string(), quota.limits.messages.unwrap_or(0).to_string())
    };
    let values = [("%n", name.as_str()), ("%a", &account.mail), ("%u", &used), ("%l", &allowed)];
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        let known = values.iter().find(|(mark, _)| rest.starts_with(mark));
        let (put, skip) = known.map_or(("%", 1), |(_, value)| (value, 2));
        filled.extend(put.chars().map(|c| if c.is_control() { ' ' } else { c }));
        rest = &rest[skip..];
    }
    filled + rest
}

/// What the directory and the site allow this account.
fn limits(policy: &QuotaPolicy, account: &Account) -> Limits {
    policy.limits(account.quota_bytes, account.quota_messages)
}

/// Delivers if there is room, or the grace period is not over. The same delivery again is no second one.
///
/// # Errors
/// `OverQuota`; those of [`message_store::Mailbox::deliver`].
pub fn deliver(
    desk: &Desk,
    account: &Account,
    uid: &str,
    name: &MailboxName,
    message: LinkedMessage<'_>,
) -> Result<Delivered, StoreError> {
    let policy = &desk.settings.quota;
    let mailbox = desk.store.open_mailbox(name)?;
    let size = message.prepared.size();
    let allowed = limits(policy, account);
    let mut told = false;
    for _ in 0..3 {
        let admission = desk.store.mail_comes(uid, allowed, size, policy.grace)?;
        let within = match admission {
            Admission::Fits(limits) | Admission::Full(limits) if policy.enforce => limits,
            _ => Limits::default(),
        };
        let delivered = mailbox.deliver(LinkedMessage { limits: within, ..message });
        if !matches!(admission, Admission::Fits(_)) && !told {
            told = true;
            if matches!(admission, Admission::InGrace) && delivered.is_ok() {
                let id = message.delivery.queue_id;
                desk.log.notice(
                    Category::Store,
                    format_args!("{id}: {} is over quota: taken in the grace period", base::escape(uid)),
                );
            }
            notify(desk, account, uid);
        }
        match delivered {
            // Somebody else was faster: what becomes of mail that is over is decided once more.
            Err(StoreError::OverQuota) if matches!(admission, Admission::Fits(_)) => {}
            other => return other,
        }
    }
    Err(StoreError::OverQuota)
}

/// Whether a recipient's mail would be taken, for who asks before there is a message: no only where it is certain, and where
/// it is the same to the sender as the report would be.
pub fn has_room(settings: &Settings, store: &Store, account: &Account, size: u64) -> bool {
    let policy = &settings.quota;
    let actions = settings.quota_exceeded;
    let host = account.mail_host.as_deref().unwrap_or("");
    let is_here = host.is_empty() || host.eq_ignore_ascii_case(&settings.host_name);
    let only_mailbox = account.kind == directory::Kind::User
        && account.delivery.mailbox
        && !account.delivery.native
        && !account.delivery.program
        && account.forward.is_empty();
    let Some(uid) = account.uid.as_deref() else { return true };
    if !policy.enforce
        || !is_here
        || !only_mailbox
        || !actions.reply()
        || actions.postmaster()
        || actions.hold()
    {
        return true;
    }
    store.would_fit(uid, limits(policy, account), size, policy.grace).unwrap_or(true)
}

/// Puts the notice into the INBOX, if it is time: beyond the quota, and not counted as mail that came.
fn notify(desk: &Desk, account: &Account, uid: &str) {
    let notices = &desk.settings.quota_notices;
    if !notices.is_on {
        return;
    }
    let put = || -> Result<(), StoreError> {
        if !desk.store.take_notice(uid, notices.interval)? {
            return Ok(());
        }
        let quota = desk.store.quota(uid)?;
        let message = notices.message(&desk.settings, account, &quota, base::clock::unix_seconds());
        let inbox = desk.store.open_mailbox(&MailboxName::inbox(uid)?)?;
        let mut incoming = inbox.begin_append()?.beyond_quota();
        incoming.write_all(message.as_bytes())?;
        let internal_date_ns = base::clock::unix_nanos();
        let put =
            incoming.finish(NewMessage { flags: Flags::NONE, internal_date_ns, ..NewMessage::default() });
        if put.is_err() {
            desk.store.give_notice_back(uid)?;
        }
        put.map(drop)
    };
    if let Err(why) = put() {
        desk.log.error(Category::Store, format_args!("{uid}: the notice of the quota: {why}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ways::tests::account;
    use message_store::Usage;

    const FULL: Quota = Quota {
        limits: Limits { bytes: Some(2048), messages: None },
        usage: Usage { bytes: 3000, messages: 4 },
        over_since: 1,
    };

    fn settings() -> Settings {
        let text = "local.hostname = mail.example.test\n";
        Settings::from_config(&Config::from_text(text).unwrap())
    }

    #[test]
    fn the_notice_is_in_the_users_language() {
        let french = account(&[("preferredlanguage", "fr"), ("cn", "Alice")]);
        let message = Notices::default().message(&settings(), &french, &FULL, 951_760_800);
        let header = &message[..message.find("\r\n\r\n").unwrap()];
        for field in [
            "From: Mail Administrator <postmaster@mail.example.test>",
            "To: <alice@example.test>",
            "Auto-Submitted: auto-generated",
            "Content-Language: fr",
            "Return-Path: <>",
        ] {
            assert!(header.contains(field), "{field} in {header}");
        }
        let (_, _, text) = Notices::default().words(&Languages::default(), &french, &FULL);
        assert!(
            text.starts_with("Alice (alice@example.test), vos")
                && text.contains("3 KB")
                && text.contains("2 KB")
        );
    }

    #[test]
    fn the_sites_text_has_fields_and_text_and_cannot_say_everything() {
        let config = Config::from_text(
            "store.quotaexceededmsg = \"From: Help <help@example.test>$Subject: Full: %u$To: x$$Dear %n,$100%% of %l.\"\n\
             store.quotaexceededmsg;lang-nl = \"Vol.\"\n",
        )
        .unwrap();
        let notices = Notices::from_config(&config, "en");
        let message = notices.message(&settings(), &account(&[("cn", "Al\r\nBcc: x")]), &FULL, 1);
        assert!(message.contains(
            "\r\nFrom: Help <help@example.test>\r\nSubject: Full: 3 KB\r\nTo: <alice@example.test>\r\n"
        ));
        assert!(message.contains("\r\n\r\nDear Al  Bcc: x,\r\n100%% of 2 KB."), "{message}");
        let dutch = notices.message(&settings(), &account(&[("preferredlanguage", "nl")]), &FULL, 1);
        assert!(dutch.contains("Content-Language: nl\r\n\r\nVol."), "{dutch}");
    }

    #[test]
    fn counts_are_told_when_it_is_they_that_are_exceeded() {
        let quota = Quota {
            limits: Limits { bytes: Some(1 << 20), messages: Some(3) },
            usage: Usage { bytes: 3000, messages: 4 },
            over_since: 1,
        };
        assert_eq!(fill("%u/%l %", &account(&[]), &quota), "4/3 %");
    }
}

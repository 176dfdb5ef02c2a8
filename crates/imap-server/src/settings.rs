//! What imapd reads of the configuration, as plain values.

use std::net::IpAddr;
use std::time::Duration;

use base::access::{Rules, Service};
use base::https_url::HttpsUrl;
use connection::{Io, TlsState};
use directory::{Deputies, Safety, authentication};
use message_store::QuotaPolicy;
use server_config::Config;
use server_config::parameters::{general, local, service, service_http, service_imap, store};

/// Role of the listener with TLS from the first byte, and of the other.
pub const ROLE_TLS: u16 = 993;
pub const ROLE_PLAIN: u16 = 143;

/// The service as the filters of clients call it.
pub fn service_of(role: u16) -> Service {
    if role == ROLE_TLS { Service::Imaps } else { Service::Imap }
}

/// Settings of the sessions. Ports, threads and processes are the dispatcher's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `local.hostname`, for the greeting; empty is the system's name.
    pub host_name: String,
    /// `service.imap.banner`: `%h` host, `%p` protocol, `%P` product, `%V` version.
    pub banner: String,
    /// `service.imap.idletimeout`
    pub idle_timeout: Duration,
    /// `service.imap.plaintextmincipher`, if it is set.
    pub plaintext_min_cipher: Option<i64>,
    /// `service.imap.appendlimit`: bytes of one APPENDed message.
    pub append_bytes_max: u64,
    /// `service.imap.messagelimit`: messages that one command works on; nothing is no limit.
    pub messages_max: Option<u32>,
    /// Messages of one COPY or APPEND: the same, or `service.imap.savelimit`.
    pub saved_max: Option<u32>,
    /// `service.imap.progressinterval`: how often a client hears of a command that takes long; nothing is never.
    pub progress_interval: Option<Duration>,
    /// `service.imap.compresslevel`: of COMPRESS=DEFLATE; 0 is never.
    pub compress_level: u8,
    /// `service.imap.metadatamaxsize`: bytes of the value of one annotation.
    pub metadata_bytes_max: u64,
    /// `service.imap.metadatamaxentries`: annotations of one owner in one place.
    pub metadata_entries_max: usize,
    /// `service.imap.notifymaxmailboxes`: mailboxes that one session may watch with NOTIFY.
    pub notify_mailboxes_max: usize,
    /// `store.sharewithanyone`: whether users may give rights to `anyone`; administrators always may.
    pub share_with_anyone: bool,
    /// Pages about accounts and mailboxes.
    pub pages: Pages,
    /// `service.imap.maxmailboxes`: names of one user.
    pub mailboxes_max: usize,
    /// `service.imap.adminurl`: how to reach the administrator; may be empty.
    pub admin_url: String,
    /// `service.imap.jmapurl`: of the same mail by JMAP, where the web mail is on; `None` otherwise.
    pub jmap_url: Option<String>,
    /// Quotas: default limits, and when to warn.
    pub quota: QuotaPolicy,
    /// Administrators, who may act for others.
    pub deputies: Deputies,
    /// `service.anonymoususer`: the account of who logs in as nobody; empty when there is none.
    pub anonymous_user: String,
    /// Which clients are let in.
    pub clients: Rules,
}

/// URLs that clients of the original's family ask for; empty ones are not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pages {
    /// `gen.accounturl`
    pub account: String,
    /// `gen.listurl`
    pub lists: String,
    /// `gen.filterurl`
    pub filters: String,
    /// `gen.folderurl`
    pub folder: String,
}

impl Settings {
    pub fn from_config(config: &Config) -> Settings {
        let messages_max = limit(config.get(&service_imap::MESSAGE_LIMIT));
        Settings {
            host_name: config.get(&local::HOST_NAME),
            banner: config.get(&service_imap::BANNER),
            idle_timeout: config.get(&service_imap::IDLE_TIMEOUT),
            plaintext_min_cipher: config.get(&service_imap::PLAINTEXT_MIN_CIPHER),
            append_bytes_max: u64::try_from(config.get(&service_imap::APPEND_LIMIT)).unwrap_or(0),
            messages_max,
            saved_max: messages_max.or_else(|| limit(config.get(&service_imap::SAVE_LIMIT))),
            progress_interval: Some(config.get(&service_imap::PROGRESS_INTERVAL))
                .filter(|time| !time.is_zero()),
            compress_level: u8::try_from(config.get(&service_imap::COMPRESS_LEVEL)).unwrap_or(0),
            metadata_bytes_max: u64::try_from(config.get(&service_imap::METADATA_MAX_SIZE)).unwrap_or(0),
            metadata_entries_max: usize::try_from(config.get(&service_imap::METADATA_MAX_ENTRIES))
                .unwrap_or(0),
            notify_mailboxes_max: usize::try_from(config.get(&service_imap::NOTIFY_MAX_MAILBOXES))
                .unwrap_or(0),
            share_with_anyone: config.get(&store::SHARE_WITH_ANYONE),
            pages: Pages {
                account: config.get(&general::ACCOUNT_URL),
                lists: config.get(&general::LIST_URL),
                filters: config.get(&general::FILTER_URL),
                folder: config.get(&general::FOLDER_URL),
            },
            mailboxes_max: usize::try_from(config.get(&service_imap::MAX_MAILBOXES)).unwrap_or(0),
            admin_url: config.get(&service_imap::ADMIN_URL),
            jmap_url: Some(config.get(&service_imap::JMAP_URL))
                .filter(|url| config.get(&service_http::ENABLE) && HttpsUrl::parse(url).is_ok()),
            quota: QuotaPolicy::from_config(config),
            deputies: Deputies::from_config(config),
            anonymous_user: config.get(&service::ANONYMOUS_USER),
            clients: server_config::access::rules(
                config,
                &service_imap::DOMAIN_ALLOWED,
                &service_imap::DOMAIN_NOT_ALLOWED,
            ),
        }
    }

    /// The text of the greeting (NMS: original.md 6.1).
    pub fn greeting(&self) -> String {
        self.banner
            .replace("%h", &self.host_name)
            .replace("%p", "IMAP4")
            .replace("%P", "Mailboat")
            .replace("%V", env!("CARGO_PKG_VERSION"))
    }

    pub fn is_admin(&self, uid: &str) -> bool {
        self.deputies.is_admin(uid)
    }

    /// What a client's connection is safe for.
    pub fn safety(&self, io: &Io) -> Safety {
        authentication::safety(io, self.allows_password(&io.tls, io.peer.ip()))
    }

    /// Whether a password may come over this connection. Unset: under TLS, or from this host; 0: always; -1: never;
    /// else under TLS with at least so many secret bits. // NMS: plaintextmincipher
    pub fn allows_password(&self, tls: &TlsState, peer: IpAddr) -> bool {
        let bits = match tls {
            TlsState::Active { bits, .. } => Some(*bits),
            _ => None,
        };
        match self.plaintext_min_cipher {
            None => bits.is_some() || peer.to_canonical().is_loopback(),
            Some(0) => true,
            Some(least) => u32::try_from(least).is_ok_and(|least| bits.is_some_and(|bits| bits >= least)),
        }
    }
}

/// 0 is none.
fn limit(count: i64) -> Option<u32> {
    u32::try_from(count).ok().filter(|count| *count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greeting_has_the_form_of_the_original() {
        let config = Config::from_text("local.hostname = mail.example.com\n").unwrap();
        let settings = Settings::from_config(&config);
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(settings.greeting(), format!("mail.example.com IMAP4 service (Mailboat {version})"));
        assert_eq!(settings.idle_timeout, Duration::from_secs(1800));
        assert!(!settings.is_admin("joe"));
    }

    #[test]
    fn passwords_need_tls_or_this_host_unless_the_administrator_says_otherwise() {
        let tls = TlsState::Active { protocol: "TLSv1.3", cipher: "x".into(), bits: 128 };
        let (near, far) = (IpAddr::from([127, 0, 0, 9]), IpAddr::from([192, 0, 2, 1]));
        for (set, plain_near, plain_far, under_tls) in [
            ("", true, false, true),
            ("0", true, true, true),
            ("128", false, false, true),
            ("256", false, false, false),
            ("-1", false, false, false),
        ] {
            let text = format!("service.imap.plaintextmincipher = {set}\n");
            let settings = Settings::from_config(&Config::from_text(&text).unwrap());
            assert_eq!(settings.allows_password(&TlsState::Available, near), plain_near, "{set}");
            assert_eq!(settings.allows_password(&TlsState::Available, far), plain_far, "{set}");
            assert_eq!(settings.allows_password(&tls, far), under_tls, "{set}");
        }
    }
}

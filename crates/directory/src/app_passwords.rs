//! Passwords for one program of a user each (`mailAppPassword`): made by us and shown once, limited to services and
//! networks, taken back one by one. Whoever has one acts for nobody else and changes no credentials ([`Entry::limited`]).
//!
//! A value of the attribute is `ID SERVICES NETWORKS CREATED EXPIRES HASH LABEL`, apart by blanks, a label last:
//! `k3x9q imap,smtp * 20261129 - {SHA256}FNjX... Phone`. Services and networks are lists with commas, `*` is every one;
//! days are UTC, `-` is never. The password is five letters, its ID, and 25 more of 32 each. These 125 random bits need no
//! slow hash: nobody tries 2^125. So a look takes microseconds, and the hash is SHA-256 over ID and secret.
//!
//! [`Entry::limited`]: crate::Entry::limited

use std::net::IpAddr;

use base::network::Network;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use jiff::Span;
use jiff::civil::Date;

use crate::Service;
use crate::letters;

/// The attribute, in lower case.
pub const ATTRIBUTE: &str = "mailapppassword";
/// How many a user may have; of more the first are looked at.
pub const COUNT_MAX: usize = 50;
/// Characters of a label.
pub const LABEL_MAX: usize = 60;
/// To the year 9999.
const DAYS_MAX: i64 = 2_932_896;
const ID_LENGTH: usize = 5;
const LENGTH: usize = 30;

/// One of them, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppPassword {
    pub id: String,
    /// Empty: all.
    pub services: Vec<Service>,
    /// Empty: from everywhere.
    pub networks: Vec<Network>,
    /// Days since 1970.
    pub created: i64,
    /// The first day on which it is none any more.
    pub expires: Option<i64>,
    pub label: String,
    hash: Vec<u8>,
}

/// What somebody typed, if it can be one.
#[derive(Clone)]
pub struct Given(String);

impl Given {
    pub fn from(typed: &str) -> Option<Given> {
        letters::typed(typed, LENGTH).map(Given)
    }

    /// Which one it says to be; no secret.
    pub fn id(&self) -> &str {
        &self.0[..ID_LENGTH]
    }

    fn hash(&self) -> Vec<u8> {
        openssl::sha::sha256(self.0.as_bytes()).to_vec()
    }
}

impl AppPassword {
    /// A new one, and the password to be shown once.
    ///
    /// # Errors
    /// The label is empty, too long or has control characters; the system has no random bytes.
    pub fn make(
        label: &str,
        services: Vec<Service>,
        networks: Vec<Network>,
        today: i64,
        expires: Option<i64>,
    ) -> Result<(AppPassword, String), String> {
        let label = label.trim();
        if label.is_empty() || label.chars().count() > LABEL_MAX || label.chars().any(char::is_control) {
            return Err(format!("a label is 1 to {LABEL_MAX} characters without control characters"));
        }
        let given = Given(letters::random(LENGTH)?);
        let made = AppPassword {
            id: given.id().to_owned(),
            services,
            networks,
            created: today,
            expires,
            label: label.to_owned(),
            hash: given.hash(),
        };
        Ok((made, letters::grouped(&given.0, ID_LENGTH)))
    }

    /// A value of the attribute; nothing when it is none of ours. What cannot be read admits nobody.
    pub fn parse(value: &str) -> Option<AppPassword> {
        let mut words = value.splitn(7, ' ');
        let mut word = || words.next().filter(|word| !word.is_empty());
        let (id, services, networks) = (word()?, word()?, word()?);
        let (created, expires, hash, label) = (word()?, word()?, word()?, word()?);
        let all = |list: &str| list == "*";
        let services = if all(services) {
            Vec::new()
        } else {
            services.split(',').map(Service::named).collect::<Option<Vec<_>>>()?
        };
        let networks = if all(networks) {
            Vec::new()
        } else {
            networks.split(',').map(Network::parse).collect::<Option<Vec<_>>>()?
        };
        let hash = STANDARD.decode(hash.strip_prefix("{SHA256}")?).ok().filter(|hash| hash.len() == 32)?;
        let expires = if expires == "-" { None } else { Some(day_number(expires)?) };
        let created = day_number(created)?;
        let label = label.to_owned();
        Some(AppPassword { id: id.to_owned(), services, networks, created, expires, label, hash })
    }

    /// The value of the attribute.
    pub fn to_value(&self) -> String {
        let list = |words: Vec<String>| if words.is_empty() { "*".to_owned() } else { words.join(",") };
        format!(
            "{} {} {} {} {} {{SHA256}}{} {}",
            self.id,
            list(self.services.iter().map(|service| service.name().to_owned()).collect()),
            list(self.networks.iter().map(ToString::to_string).collect()),
            day_text(self.created),
            self.expires.map_or("-".to_owned(), day_text),
            STANDARD.encode(&self.hash),
            self.label
        )
    }

    /// Whether this is the password, in a time that does not tell where it differs.
    pub fn is(&self, given: &Given) -> bool {
        openssl::memcmp::eq(&self.hash, &given.hash())
    }

    /// Whether it may be used for this, from there, today (days since 1970).
    pub fn admits(&self, service: Service, peer: IpAddr, today: i64) -> bool {
        let peer = peer.to_canonical();
        (self.services.is_empty() || self.services.contains(&service))
            && (self.networks.is_empty() || self.networks.iter().any(|network| network.contains(peer)))
            && self.expires.is_none_or(|expires| today < expires)
    }
}

/// Days since 1970, now.
pub fn today() -> i64 {
    base::clock::unix_seconds().div_euclid(86_400)
}

/// The first day, 1970-01-01.
const EPOCH: Date = jiff::civil::date(1970, 1, 1);

fn calendar(days: i64) -> Date {
    EPOCH.saturating_add(Span::new().days(days.clamp(0, DAYS_MAX)))
}

/// `20261129` of days since 1970.
fn day_text(days: i64) -> String {
    calendar(days).strftime("%Y%m%d").to_string()
}

/// `2026-11-29` of days since 1970.
pub fn date(days: i64) -> String {
    calendar(days).to_string()
}

/// Days since 1970 of `20261129`; nothing of what is no day.
fn day_number(text: &str) -> Option<i64> {
    let is_day = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
    let date = Date::strptime("%Y%m%d", text).ok().filter(|_| is_day)?;
    Some(i64::from(date.since((jiff::Unit::Day, EPOCH)).ok()?.get_days()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    #[test]
    fn what_is_shown_is_right_and_nothing_else_is() {
        let (made, shown) = AppPassword::make(" Phone ", vec![], vec![], 20_000, None).unwrap();
        assert_eq!((shown.len(), shown.matches('-').count(), made.label.as_str()), (35, 5, "Phone"));
        let stored = AppPassword::parse(&made.to_value()).unwrap();
        assert_eq!(stored, made);
        assert!(!made.to_value().contains(&shown[6..]), "the secret is not stored");
        let given = |text: &str| Given::from(text).is_some_and(|given| stored.is(&given));
        assert!(
            given(&shown) && given(&shown.replace('-', "").to_uppercase()) && given(&shown.replace('-', " "))
        );
        let last = if shown.ends_with('a') { "b" } else { "a" };
        assert!(!given(&format!("{}{last}", &shown[..34])));
        for other in ["", "secret", &shown[1..], &"a".repeat(10_000), "ääääääääääääääääääääääääääääää"]
        {
            assert!(Given::from(other).is_none(), "{other}");
        }
        let (_, second) = AppPassword::make("x", vec![], vec![], 20_000, None).unwrap();
        assert!(!given(&second));
        assert!(AppPassword::make("a\nb", vec![], vec![], 0, None).is_err());
    }

    #[test]
    fn its_limits_are_services_networks_and_the_last_day() {
        let net = Network::parse("192.0.2.0/24").unwrap();
        let services = vec![Service::Imap, Service::Smtp];
        let (made, _) = AppPassword::make("x y", services, vec![net], 20_000, Some(20_010)).unwrap();
        let made = AppPassword::parse(&made.to_value()).unwrap();
        assert_eq!(made.label, "x y");
        assert!(made.admits(Service::Imap, HERE, 20_009) && made.admits(Service::Smtp, HERE, 20_000));
        assert!(!made.admits(Service::Imap, HERE, 20_010), "expired");
        assert!(!made.admits(Service::Pop, HERE, 20_000));
        assert!(!made.admits(Service::Imap, [198, 51, 100, 1].into(), 20_000));
        assert!(made.admits(Service::Imap, "::ffff:192.0.2.9".parse().unwrap(), 20_000));
    }

    #[test]
    fn what_cannot_be_read_is_none() {
        let good = "k3x9q imap * 20261129 - {SHA256}FNjXFNjXFNjXFNjXFNjXFNjXFNjXFNjXFNjXFNjXFNg= Phone";
        assert!(AppPassword::parse(good).is_some());
        for (from, to) in [
            ("imap", "imp"),
            ("*", "10.x"),
            ("20261129", "20260231"),
            (" - ", " soon "),
            ("{SHA256}", "{MD5}"),
            ("FNg=", "FN=="),
            (" Phone", ""),
            ("imap *", "imap  *"),
        ] {
            assert!(AppPassword::parse(&good.replace(from, to)).is_none(), "{from} {to}");
        }
    }

    #[test]
    fn days_are_the_calendars() {
        for (days, text) in [
            (0, "19700101"),
            (59, "19700301"),
            (11_016, "20000229"),
            (20_786, "20261129"),
            (20_787, "20261130"),
        ] {
            assert_eq!((day_text(days).as_str(), day_number(text)), (text, Some(days)));
        }
        assert!((0..60_000).all(|day| day_number(&day_text(day)) == Some(day)));
    }
}

//! The types of values; the unit is the type.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use base::access::Filters;
use base::access::filter::Form;
use base::access::must_log_in::MustLogIn;
use base::endpoint::Endpoint;
use base::https_url::HttpsUrl;
use base::network::Network;
use base::next_hop::NextHop;
use base::pattern::{Pattern, Table};

/// How the text of a value becomes what the program uses.
pub trait Value {
    /// What `Config::get` returns.
    type Out;
    /// The unit or kind, for people.
    const KIND: &'static str;
    /// # Errors
    /// What is wrong with the text, as one clear clause.
    fn parse(text: &str, range: (i64, i64)) -> Result<Self::Out, String>;
}

fn number(text: &str, (low, high): (i64, i64)) -> Result<i64, String> {
    let value: i64 = text.trim().parse().map_err(|_| format!("'{text}' is not a whole number"))?;
    if (low..=high).contains(&value) {
        return Ok(value);
    }
    if high == i64::MAX {
        Err(format!("{value} is out of range: at least {low}"))
    } else {
        Err(format!("{value} is out of range: {low} to {high}"))
    }
}

macro_rules! numeric {
    ($name:ident, $kind:literal, $out:ty, $make:expr) => {
        #[doc = concat!("A number of ", $kind, ".")]
        pub struct $name;
        impl Value for $name {
            type Out = $out;
            const KIND: &'static str = $kind;
            fn parse(text: &str, range: (i64, i64)) -> Result<$out, String> {
                let make: fn(i64) -> $out = $make;
                number(text, range).map(make)
            }
        }
    };
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

numeric!(Count, "items", i64, |n| n);
numeric!(Bytes, "bytes", i64, |n| n);
numeric!(Port, "port", u16, |n| u16::try_from(n).unwrap_or(0));
numeric!(Microseconds, "microseconds", Duration, |n| Duration::from_micros(unsigned(n)));
numeric!(Seconds, "seconds", Duration, |n| Duration::from_secs(unsigned(n)));
numeric!(Minutes, "minutes", Duration, |n| Duration::from_secs(unsigned(n).saturating_mul(60)));
numeric!(Hours, "hours", Duration, |n| Duration::from_secs(unsigned(n).saturating_mul(3600)));
numeric!(Days, "days", Duration, |n| Duration::from_secs(unsigned(n).saturating_mul(86400)));

/// A number of items that may be unset: what then holds is not stored (S52).
pub struct OptionalCount;
impl Value for OptionalCount {
    type Out = Option<i64>;
    const KIND: &'static str = "items or unset";
    fn parse(text: &str, range: (i64, i64)) -> Result<Option<i64>, String> {
        if text.is_empty() { Ok(None) } else { number(text, range).map(Some) }
    }
}

/// A port that may be unset: another parameter says it then.
pub struct OptionalPort;
impl Value for OptionalPort {
    type Out = Option<u16>;
    const KIND: &'static str = "port or unset";
    fn parse(text: &str, range: (i64, i64)) -> Result<Option<u16>, String> {
        if text.is_empty() { Ok(None) } else { number(text, range).map(|port| u16::try_from(port).ok()) }
    }
}

/// `yes` or `no`.
pub struct Switch;
impl Value for Switch {
    type Out = bool;
    const KIND: &'static str = "yes or no";
    fn parse(text: &str, _: (i64, i64)) -> Result<bool, String> {
        match text.trim().to_ascii_lowercase().as_str() {
            "yes" | "on" | "true" | "1" => Ok(true),
            "no" | "off" | "false" | "0" => Ok(false),
            _ => Err(format!("'{text}' is neither yes nor no")),
        }
    }
}

/// How far a session is bound to an address (S118).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    None,
    /// To the network of a customer or a small site: IPv4 /24, IPv6 /64.
    Subnet,
    Address,
}

/// `yes`, `no` or `subnet`.
pub struct IpSecurity;
impl Value for IpSecurity {
    type Out = Binding;
    const KIND: &'static str = "yes, no or subnet";
    fn parse(text: &str, range: (i64, i64)) -> Result<Binding, String> {
        if text.trim().eq_ignore_ascii_case("subnet") {
            return Ok(Binding::Subnet);
        }
        let bound =
            Switch::parse(text, range).map_err(|_| format!("'{text}' is none of yes, no and subnet"))?;
        Ok(if bound { Binding::Address } else { Binding::None })
    }
}

/// The fields in which a proxy says whose request it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyFields {
    /// `X-Forwarded-For`, `X-Forwarded-Proto`
    XForwarded,
    /// `Forwarded` (RFC 7239)
    Forwarded,
}

/// `x-forwarded` or `forwarded`.
pub struct ProxyHeader;
impl Value for ProxyHeader {
    type Out = ProxyFields;
    const KIND: &'static str = "x-forwarded or forwarded";
    fn parse(text: &str, _: (i64, i64)) -> Result<ProxyFields, String> {
        match text.trim().to_ascii_lowercase().as_str() {
            "x-forwarded" => Ok(ProxyFields::XForwarded),
            "forwarded" => Ok(ProxyFields::Forwarded),
            _ => Err(format!("'{text}' is neither x-forwarded nor forwarded")),
        }
    }
}

/// Any text; the empty text means unset.
pub struct Text;
impl Value for Text {
    type Out = String;
    const KIND: &'static str = "text";
    fn parse(text: &str, _: (i64, i64)) -> Result<String, String> {
        Ok(text.to_owned())
    }
}

/// `https://host[:port]/path`
pub struct Https;
impl Value for Https {
    type Out = HttpsUrl;
    const KIND: &'static str = "URL (https)";
    fn parse(text: &str, _: (i64, i64)) -> Result<HttpsUrl, String> {
        HttpsUrl::parse(text.trim())
    }
}

/// The name of a host; the empty text means unset.
pub struct HostName;
impl Value for HostName {
    type Out = String;
    const KIND: &'static str = "host name";
    fn parse(text: &str, _: (i64, i64)) -> Result<String, String> {
        let bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '@' | '/' | '<' | '>' | '"');
        if text.contains(bad) || text.len() > 255 {
            return Err(format!("'{text}' is no host name"));
        }
        Ok(text.to_owned())
    }
}

/// Items separated by blanks.
pub struct List;
impl Value for List {
    type Out = Vec<String>;
    const KIND: &'static str = "list";
    fn parse(text: &str, _: (i64, i64)) -> Result<Vec<String>, String> {
        Ok(text.split_whitespace().map(str::to_owned).collect())
    }
}

/// Names of attributes of the directory separated by blanks (RFC 4512 §2.5); lower case. Never of a password: it is not read.
pub struct AttributeNames;
impl Value for AttributeNames {
    type Out = Vec<String>;
    const KIND: &'static str = "attributes separated by blanks";
    fn parse(text: &str, _: (i64, i64)) -> Result<Vec<String>, String> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b';' | b'.');
        let names = text.split_whitespace().map(|name| {
            if !name.bytes().all(legal) {
                return Err(format!("{name} is no name of an attribute"));
            }
            if name.eq_ignore_ascii_case("userPassword") {
                return Err("passwords are not read".into());
            }
            Ok(name.to_ascii_lowercase())
        });
        names.collect()
    }
}

/// Addresses of name servers separated by blanks: `192.0.2.1`, `192.0.2.1:5353`, `2001:db8::1`, `[2001:db8::1]:5353`.
pub struct NameServers;
impl Value for NameServers {
    type Out = Vec<SocketAddr>;
    const KIND: &'static str = "name servers";
    fn parse(text: &str, _: (i64, i64)) -> Result<Vec<SocketAddr>, String> {
        text.split_whitespace().map(name_server).collect()
    }
}

fn name_server(word: &str) -> Result<SocketAddr, String> {
    let bare = word.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(word);
    match bare.parse::<IpAddr>() {
        Ok(address) => Ok(SocketAddr::new(address, 53)),
        Err(_) => word
            .parse::<SocketAddr>()
            .ok()
            .filter(|server| server.port() != 0)
            .ok_or_else(|| format!("'{word}' is not the address of a name server")),
    }
}

/// Somebody's address, `local@domain`, or nothing.
pub struct MailAddress;
impl Value for MailAddress {
    type Out = String;
    const KIND: &'static str = "mail address";
    fn parse(text: &str, _: (i64, i64)) -> Result<String, String> {
        let text = text.trim();
        let is_part = |c: char| !c.is_whitespace() && !c.is_control() && !"<>(),;:\"[]\\".contains(c);
        let is_address = text.rsplit_once('@').is_some_and(|(local, domain)| {
            let labels = domain.split('.').all(|label| !label.is_empty() && !label.contains('@'));
            !local.is_empty() && !local.contains('@') && labels && text.chars().all(is_part)
        });
        match is_address || text.is_empty() {
            true => Ok(text.to_owned()),
            false => Err(format!("'{}' is not a mail address, local@domain", base::escape(text))),
        }
    }
}

/// Patterns of domains, separated by blanks (S71, S72).
pub struct Patterns;
impl Value for Patterns {
    type Out = Vec<Pattern>;
    const KIND: &'static str = "domain patterns";
    fn parse(text: &str, _: (i64, i64)) -> Result<Vec<Pattern>, String> {
        Pattern::parse_list(text).map_err(|why| why.to_string())
    }
}

/// `pattern:host` items separated by `$`.
pub struct HostTable;
impl Value for HostTable {
    type Out = Table;
    const KIND: &'static str = "pattern:host table";
    fn parse(text: &str, _: (i64, i64)) -> Result<Table, String> {
        let table = Table::parse(text)?;
        table.values().try_for_each(|host| NextHop::parse(host).map(drop))?;
        Ok(table)
    }
}

/// Next hops separated by blanks: `host`, `[host]`, `host:port`, `[host]:port`.
pub struct NextHops;
impl Value for NextHops {
    type Out = Vec<NextHop>;
    const KIND: &'static str = "hosts";
    fn parse(text: &str, _: (i64, i64)) -> Result<Vec<NextHop>, String> {
        text.split_whitespace().map(NextHop::parse).collect()
    }
}

/// `pattern:level` items separated by `$`.
pub struct TlsTable;
impl Value for TlsTable {
    type Out = Table;
    const KIND: &'static str = "pattern:level table";
    fn parse(text: &str, _: (i64, i64)) -> Result<Table, String> {
        let table = Table::parse(text)?;
        table.values().try_for_each(|level| TlsLevel::parse(level, (0, 0)).map(drop))?;
        Ok(table)
    }
}

/// Addresses and networks, `192.0.2.0/24 2001:db8::/32 127.0.0.1`, separated by blanks; `none` for no client at all, since an
/// empty value is the default.
pub struct Networks;
impl Value for Networks {
    type Out = Vec<Network>;
    const KIND: &'static str = "networks";
    fn parse(text: &str, _: (i64, i64)) -> Result<Vec<Network>, String> {
        let item = |item: &str| {
            Network::parse(item)
                .ok_or_else(|| format!("'{item}' is no address and no network (address/bits)"))
        };
        match text.trim() {
            "none" => Ok(Vec::new()),
            text => text.split_whitespace().map(item).collect(),
        }
    }
}

/// Peers that must log in before they send (S132 to S135).
pub struct Peers;
impl Value for Peers {
    type Out = MustLogIn;
    const KIND: &'static str = "addresses and parts of addresses";
    fn parse(text: &str, _: (i64, i64)) -> Result<MustLogIn, String> {
        MustLogIn::parse(text)
    }
}

/// Where a mail filter listens: `inet:8891@127.0.0.1`, `unix:/run/filter.sock`.
pub struct MilterAddress;
impl Value for MilterAddress {
    type Out = Option<Endpoint>;
    const KIND: &'static str = "address of a filter";
    fn parse(text: &str, _: (i64, i64)) -> Result<Option<Endpoint>, String> {
        if text.is_empty() { Ok(None) } else { Endpoint::parse(text).map(Some) }
    }
}

/// Filters of the clients that are let in: `10. .example.com` or `imap:10.$+imaps:ALL`.
pub struct AllowFilters;
impl Value for AllowFilters {
    type Out = Filters;
    const KIND: &'static str = "filters of clients";
    fn parse(text: &str, _: (i64, i64)) -> Result<Filters, String> {
        Filters::parse(text, Form::Allowing)
    }
}

/// Filters of the clients that are turned away.
pub struct DenyFilters;
impl Value for DenyFilters {
    type Out = Filters;
    const KIND: &'static str = "filters of clients";
    fn parse(text: &str, _: (i64, i64)) -> Result<Filters, String> {
        Filters::parse(text, Form::Denying)
    }
}

macro_rules! choice {
    ($name:ident, $kind:literal, [$($word:literal),*]) => {
        #[doc = concat!($kind, ", in any case; the value is the word as listed.")]
        pub struct $name;
        impl Value for $name {
            type Out = String;
            const KIND: &'static str = $kind;
            fn parse(text: &str, _: (i64, i64)) -> Result<String, String> {
                [$($word),*]
                    .into_iter()
                    .find(|word| word.eq_ignore_ascii_case(text.trim()))
                    .map(str::to_owned)
                    .ok_or_else(|| format!("'{text}' is not {}", $kind))
            }
        }
    };
}

choice!(
    LogLevel,
    "one of Critical, Error, Warning, Notice, Information, Debug",
    ["Critical", "Error", "Warning", "Notice", "Information", "Informational", "Debug"]
);
choice!(
    TlsLevel,
    "one of none, may, encrypt, dane, verify, secure",
    ["none", "may", "encrypt", "dane", "verify", "secure"]
);
choice!(DmarcAction, "one of off, report, reject, enforce", ["off", "report", "reject", "enforce"]);
choice!(FilterBounce, "one of verified, always, never", ["verified", "always", "never"]);
choice!(SandboxLevel, "one of require, best-effort, off", ["require", "best-effort", "off"]);
choice!(LogType, "one of file, syslog", ["file", "syslog"]);
choice!(LogFormat, "one of text, json", ["text", "json"]);
choice!(
    MilterAction,
    "one of accept, tempfail, reject, quarantine",
    ["accept", "tempfail", "reject", "quarantine"]
);
choice!(RewriteStyle, "one of never, none, quoted, comment", ["never", "none", "quoted", "comment"]);

macro_rules! words {
    ($name:ident, $kind:literal, [$($word:literal),*]) => {
        #[doc = concat!($kind, ", in any case, separated by blanks; the values are the words as listed.")]
        pub struct $name;
        impl Value for $name {
            type Out = Vec<String>;
            const KIND: &'static str = $kind;
            fn parse(text: &str, _: (i64, i64)) -> Result<Vec<String>, String> {
                let known = [$($word),*];
                let item = |item: &str| {
                    let word = known.into_iter().find(|word| word.eq_ignore_ascii_case(item));
                    word.map(str::to_owned).ok_or_else(|| format!("'{item}' is none of: {}", known.join(", ")))
                };
                text.split_whitespace().map(item).collect()
            }
        }
    };
}

words!(
    SaslMechanisms,
    "names of SASL mechanisms",
    [
        "SCRAM-SHA-256",
        "SCRAM-SHA-1",
        "EXTERNAL",
        "OAUTHBEARER",
        "XOAUTH2",
        "PLAIN",
        "LOGIN",
        "CRAM-MD5",
        "ANONYMOUS"
    ]
);
words!(PasswordSchemes, "schemes of stored passwords", ["ARGON2", "SCRAM-SHA-256", "SCRAM-SHA-1"]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_network_has_a_word_since_an_empty_value_is_the_default() {
        assert_eq!(Networks::parse("none", (0, 0)).unwrap(), []);
        assert_eq!(Networks::parse("192.0.2.1 ::1/128", (0, 0)).unwrap().len(), 2);
        assert!(Networks::parse("none 192.0.2.1", (0, 0)).is_err(), "one or the other");
        for address in ["", "postmaster@site.test", "wächter+alarm@x.test", "o'hara@x"] {
            assert_eq!(MailAddress::parse(address, (0, 0)).unwrap(), address);
        }
        for no in ["postmaster", "@x", "a@", "a b@x", "a@x..y", "a@b@c", "Ann <a@x>", "a@x, b@x", "a@x\u{7}"]
        {
            assert!(MailAddress::parse(no, (0, 0)).is_err(), "{no}");
        }
    }

    /// Some name them beside those that the suite reads of itself; a password is none of them.
    #[test]
    fn attributes_are_named_without_passwords() {
        let names = AttributeNames::parse(" roomNumber  cn;lang-de 2.5.4.12 ", (0, 0)).unwrap();
        assert_eq!(names, ["roomnumber", "cn;lang-de", "2.5.4.12"]);
        for wrong in ["cn userPassword", "USERPASSWORD", "a*", "a)(b", "straße"] {
            assert!(AttributeNames::parse(wrong, (0, 0)).is_err(), "{wrong}");
        }
        let config = crate::Config::from_text("service.http.extrauserldapattrs = cn userPassword\n").unwrap();
        assert!(config.check().is_err(), "every parameter of such names is held to it");
    }

    #[test]
    fn a_name_server_has_an_address_and_may_have_a_port() {
        let servers =
            NameServers::parse("192.0.2.1 192.0.2.1:54 2001:db8::1 [2001:db8::1] [::1]:55", (0, 0)).unwrap();
        let shown: Vec<String> = servers.iter().map(SocketAddr::to_string).collect();
        let expected = ["192.0.2.1:53", "192.0.2.1:54", "[2001:db8::1]:53", "[2001:db8::1]:53", "[::1]:55"];
        assert_eq!(shown, expected);
        for wrong in ["ns.example.org", "192.0.2.1:0", "192.0.2.1:99999", "[::1", "192.0.2.1,192.0.2.2"] {
            assert!(NameServers::parse(wrong, (0, 0)).is_err(), "{wrong}");
        }
    }
}

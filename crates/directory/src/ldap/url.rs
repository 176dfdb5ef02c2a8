//! LDAP URLs (RFC 4516), as dynamic groups hold them: `ldap:///base?attributes?scope?filter`.

use ldap3::Scope;

/// Longest URL that is read.
const BYTES_MAX: usize = 8192;

/// Where to search, and for what.
#[derive(Clone, Debug, PartialEq)]
pub struct LdapUrl {
    /// Host and port as written; empty: this directory.
    pub host: String,
    pub base: String,
    pub scope: Scope,
    pub filter: String,
}

/// # Errors
/// What is wrong with it.
pub fn parse(url: &str) -> Result<LdapUrl, String> {
    if url.len() > BYTES_MAX {
        return Err("it is too long".into());
    }
    let scheme_end = url.find("://").ok_or("it is no ldap:// URL")?;
    if !["ldap", "ldaps"].iter().any(|scheme| url[..scheme_end].eq_ignore_ascii_case(scheme)) {
        return Err("it is no ldap:// URL".into());
    }
    let rest = &url[scheme_end + 3..];
    let (host, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let mut parts = rest.split('?');
    let base = decoded(parts.next().unwrap_or(""))?;
    let _attributes = parts.next(); // the address is what is wanted, whatever stands here
    let scope = match parts.next().unwrap_or("").to_ascii_lowercase().as_str() {
        "" | "base" => Scope::Base,
        "one" => Scope::OneLevel,
        "sub" => Scope::Subtree,
        _ => return Err("its scope is none of base, one and sub".into()),
    };
    let filter = decoded(parts.next().unwrap_or(""))?;
    let filter = if filter.is_empty() { "(objectClass=*)".to_owned() } else { filter };
    let filter = if filter.starts_with('(') { filter } else { format!("({filter})") };
    if ldap3::parse_filter(&filter).is_err() {
        return Err("its filter cannot be read".into());
    }
    // RFC 4516 §2: an extension that must be understood is not.
    if parts.next().is_some_and(|extensions| extensions.split(',').any(|one| one.starts_with('!'))) {
        return Err("it has an extension that is not known".into());
    }
    Ok(LdapUrl { host: decoded(host)?, base, scope, filter })
}

/// RFC 3986 §2.1.
fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(base::hex::digit);
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err("a % is not followed by two digits".into());
        };
        bytes.push(high << 4 | low);
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_parts_and_their_defaults() {
        assert_eq!(
            parse("ldap:///ou=People,o=Ace%20Industry?mail?sub?(&(objectClass=person)(l=San%20Jos%C3%A9))")
                .unwrap(),
            LdapUrl {
                host: String::new(),
                base: "ou=People,o=Ace Industry".into(),
                scope: Scope::Subtree,
                filter: "(&(objectClass=person)(l=San José))".into()
            }
        );
        let short = parse("LDAP://other.test:1389/o=x").unwrap();
        assert_eq!((short.host.as_str(), short.scope), ("other.test:1389", Scope::Base));
        assert_eq!(short.filter, "(objectClass=*)");
        assert_eq!(parse("ldap:///o=x??one?l=Bonn").unwrap().filter, "(l=Bonn)");
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (url, word) in [
            ("mailto:joe", "ldap"),
            ("http:///o=x", "ldap"),
            ("ldap:///o=x??all", "scope"),
            ("ldap:///o=x??sub?((x", "filter"),
            ("ldap:///o=%x", "%"),
            ("ldap:///o=%ff", "UTF-8"),
            ("ldap:///o=x????!bindname=cn=x", "extension"),
        ] {
            let why = parse(url).unwrap_err();
            assert!(why.contains(word), "{url}: {why}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "\\PC{0,60}", tail in "[?%/()=&|a-f0-9]{0,40}") {
            let _ = parse(&text);
            let _ = parse(&format!("ldap://{tail}"));
            let _ = parse(&format!("ldap:///o=x{tail}"));
        }
    }
}

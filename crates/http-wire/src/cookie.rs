//! Cookies of a request (RFC 6265 §5.4), and those that are set.

use crate::Head;

/// The value of a cookie. A name that is there more than once has none: somebody else may have set the other one
/// (RFC 6265 §8.6).
pub fn value<'a>(head: &'a Head, name: &str) -> Option<&'a str> {
    let mut found = head
        .all("cookie")
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(have, _)| have.trim() == name)
        .map(|(_, value)| value.trim());
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

/// `Set-Cookie` for a session's cookie: not for scripts, not for requests of other sites, for the whole host. It ends with
/// the browser, or at once when the value is empty.
pub fn set(name: &str, value: &str, secure: bool) -> String {
    let mut text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict");
    if secure {
        text.push_str("; Secure");
    }
    if value.is_empty() {
        text.push_str("; Max-Age=0");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::parse;

    #[test]
    fn a_cookie_is_found_once_or_not_at_all() {
        let head =
            |cookies: &str| parse(format!("GET / HTTP/1.1\r\nHost: h\r\n{cookies}\r\n").as_bytes()).unwrap();
        for (cookies, expected) in [
            ("Cookie: a=1; s=2\r\n", Some("2")),
            ("Cookie: s=2;a=1\r\n", Some("2")),
            ("Cookie: s=a=b\r\n", Some("a=b")),
            ("Cookie: xs=2\r\n", None),
            ("Cookie: s=2; s=3\r\n", None),
            ("Cookie: s=2\r\nCookie: s=2\r\n", None),
            ("", None),
        ] {
            assert_eq!(value(&head(cookies), "s"), expected, "{cookies}");
        }
    }

    #[test]
    fn a_cookie_is_set_for_this_host_alone() {
        assert_eq!(set("__Host-x", "v", true), "__Host-x=v; Path=/; HttpOnly; SameSite=Strict; Secure");
        assert_eq!(set("x", "", false), "x=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    }
}

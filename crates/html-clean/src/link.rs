//! Addresses that a message may name: what they become, or that they are left out.

/// Bytes of an address.
pub const ADDRESS_BYTES_MAX: usize = 8 << 10;
/// Bytes of an image inside an address (`data:`).
pub const DATA_BYTES_MAX: usize = 2 << 20;

/// What an image is loaded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    /// An `http:` or `https:` URL of another host.
    Remote(&'a str),
    /// A part of the same message, by its Content-ID without brackets (RFC 2392).
    Inline(&'a str),
}

/// What an address of an image is.
pub enum Image {
    Remote(String),
    Inline(String),
    /// A raster image inside the address, written anew.
    Data(String),
}

/// The URL that a link may lead to, written anew: http, https and mailto only. None for every other.
pub fn target(text: &str) -> Option<String> {
    let text = stripped(text, ADDRESS_BYTES_MAX)?;
    if let Some(web) = web(&text) {
        return Some(web);
    }
    let rest = after_scheme(&text, "mailto")?;
    Some(format!("mailto:{}", escaped(rest)))
}

/// The name that a link inside the message leads to (`#name`), if it is one.
pub fn fragment(text: &str) -> Option<&str> {
    text.trim_matches(|one: char| one.is_ascii_whitespace()).strip_prefix('#').filter(|name| !name.is_empty())
}

/// What an image's address means. None for what is no image of a kind that is shown.
pub fn image(text: &str) -> Option<Image> {
    let text = stripped(text, DATA_BYTES_MAX)?;
    if let Some(rest) = after_scheme(&text, "data") {
        return raster(rest).map(Image::Data);
    }
    if text.len() > ADDRESS_BYTES_MAX {
        return None;
    }
    if let Some(id) = after_scheme(&text, "cid") {
        return Some(Image::Inline(unescaped(id)));
    }
    match text.strip_prefix("//") {
        Some(host) => web(&format!("https://{host}")).map(Image::Remote),
        None => web(&text).map(Image::Remote),
    }
}

/// Without what browsers leave out of a URL before they read it (the URL standard, section 4.4).
fn stripped(text: &str, most: usize) -> Option<String> {
    if text.len() > most {
        return None;
    }
    let text = text.trim_matches(|one: char| one <= ' ');
    Some(text.chars().filter(|one| !matches!(one, '\t' | '\n' | '\r')).collect())
}

fn after_scheme<'a>(text: &'a str, scheme: &str) -> Option<&'a str> {
    let (before, rest) = text.split_once(':')?;
    before.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// An http or https URL, written as browsers read it: any number of slashes of either kind stands before the host.
fn web(text: &str) -> Option<String> {
    let (scheme, rest) = match (after_scheme(text, "https"), after_scheme(text, "http")) {
        (Some(rest), _) => ("https", rest),
        (None, Some(rest)) => ("http", rest),
        (None, None) => return None,
    };
    let rest = rest.trim_start_matches(['/', '\\']);
    let host_end = rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len());
    if host_end == 0 {
        return None;
    }
    Some(format!("{scheme}://{}", escaped(rest)))
}

/// Percent-escapes for what has no place in a URL; letters of other scripts stay, browsers write them as they need.
fn escaped(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for one in text.chars() {
        match one {
            '\\' => written.push('/'),
            ' ' | '"' | '<' | '>' | '`' | '\'' | '{' | '}' | '^' | '|' | '\0'..='\x1f' | '\x7f' => {
                written.push_str(&format!("%{:02X}", u32::from(one)));
            }
            _ if is_invisible(one) => {}
            _ => written.push(one),
        }
    }
    written
}

/// Marks of writing direction and other characters that show nothing: in an address they only deceive.
fn is_invisible(one: char) -> bool {
    matches!(one, '\u{80}'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{ffff}' | '\u{e0000}'..='\u{e0fff}')
}

fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let digits = behind.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match digits.filter(|_| *first == b'%').and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `image/png;base64,...` and its like: raster images only, since SVG is a document. Blanks inside are left out.
fn raster(rest: &str) -> Option<String> {
    let (head, body) = rest.split_once(',')?;
    let mut words = head.split(';').map(str::trim);
    let kind = words.next()?.to_ascii_lowercase();
    let known =
        ["image/png", "image/gif", "image/jpeg", "image/jpg", "image/webp", "image/avif", "image/bmp"];
    if !known.contains(&kind.as_str()) || !words.any(|word| word.eq_ignore_ascii_case("base64")) {
        return None;
    }
    let body: String = unescaped(body).chars().filter(|one| !one.is_ascii_whitespace()).collect();
    is_base64(&body).then(|| format!("data:{kind};base64,{body}"))
}

/// Whether these are characters of base64 (RFC 4648 section 4), with what fills it up.
fn is_base64(text: &str) -> bool {
    let data = text.trim_end_matches('=');
    !data.is_empty()
        && text.len() - data.len() <= 2
        && data.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

/// Whether what a rewriter gave is an address on the own host that needs no escape anywhere: in an attribute, in url().
pub fn is_own(address: &str) -> bool {
    address.starts_with('/')
        && !address.starts_with("//")
        && address.len() <= ADDRESS_BYTES_MAX
        && address.bytes().all(|byte| {
            byte.is_ascii_alphanumeric()
                || matches!(
                    byte,
                    b'/' | b'-' | b'.' | b'_' | b'~' | b'%' | b'?' | b'=' | b'&' | b':' | b',' | b'@'
                )
        })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_the_web_and_to_mail_only() {
        assert_eq!(target(" https://a.test/b c?d=\"e\"#f ").unwrap(), "https://a.test/b%20c?d=%22e%22#f");
        assert_eq!(target("HTTP:\\\\a.test\\b").unwrap(), "http://a.test/b");
        assert_eq!(target("ht\ttps:/\n/a.test").unwrap(), "https://a.test");
        assert_eq!(target("mailto:a@b?subject=x y").unwrap(), "mailto:a@b?subject=x%20y");
        for refused in [
            "javascript:alert(1)",
            "\u{1}java\tscript:alert(1)",
            "data:text/html,x",
            "vbscript:x",
            "file:///etc/passwd",
            "//a.test",
            "/a",
            "a",
            "",
            "http:",
            "https:///?",
            "blob:https://a.test/x",
            "about:blank",
            "view-source:http://a.test",
        ] {
            assert_eq!(target(refused), None, "{refused}");
        }
    }

    #[test]
    fn images_are_remote_inline_or_raster() {
        assert!(matches!(image("//a.test/b"), Some(Image::Remote(url)) if url == "https://a.test/b"));
        assert!(matches!(image("CID:a%40b"), Some(Image::Inline(id)) if id == "a@b"));
        assert!(
            matches!(image("data:IMAGE/PNG;base64,aG k="), Some(Image::Data(url)) if url == "data:image/png;base64,aGk=")
        );
        for refused in [
            "data:image/svg+xml;base64,aGk=",
            "data:image/png,a",
            "data:text/html;base64,aGk=",
            "data:image/png;base64,a\"b",
            "a.png",
            "blob:x",
        ] {
            assert!(image(refused).is_none(), "{refused}");
        }
    }

    #[test]
    fn an_own_address_needs_no_escape() {
        assert!(is_own("/image/00ff/aHR0cA?x=1&y=2"));
        for refused in
            ["//a.test", "http://a.test", "/a b", "/a\"", "/a'", "/a)", "/a<", "", "/\u{e4}", "/a;b"]
        {
            assert!(!is_own(refused), "{refused}");
        }
    }
}

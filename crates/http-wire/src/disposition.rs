//! `Content-Disposition` of a download (RFC 6266, RFC 8187).

use crate::target::encode;

/// Characters of a file's name at most.
const NAME_CHARS_MAX: usize = 200;

/// `attachment` with a name for the file, in both forms. What has no business in a file's name becomes `_`.
pub fn attachment(name: &str) -> String {
    let name = file_name(name);
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii() && c != '"' && c != '\\' && c != '%' { c } else { '_' })
        .collect();
    if plain == name {
        return format!("attachment; filename=\"{plain}\"");
    }
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", encode(&name))
}

/// A name that is no path, no hidden file and has nothing that turns or hides text (Unicode category Cf of directions).
pub fn file_name(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let turns = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    let clean: String = name
        .chars()
        .filter(|c| !turns(*c))
        .map(|c| if c.is_control() || matches!(c, ':' | '*' | '?' | '"' | '<' | '>' | '|') { '_' } else { c })
        .take(NAME_CHARS_MAX)
        .collect();
    let clean = clean.trim().trim_start_matches('.').trim_end_matches('.');
    if clean.is_empty() { "download".to_owned() } else { clean.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_field() {
        for (name, expected) in [
            ("a.txt", "attachment; filename=\"a.txt\""),
            ("../../etc/passwd", "attachment; filename=\"passwd\""),
            ("a\r\nSet-Cookie: x=1", "attachment; filename=\"a__Set-Cookie_ x=1\""),
            ("a\"; x=\"b", "attachment; filename=\"a_; x=_b\""),
            ("", "attachment; filename=\"download\""),
            ("...", "attachment; filename=\"download\""),
            ("\u{202e}gpj.exe", "attachment; filename=\"gpj.exe\""),
            ("gr\u{fc}n.pdf", "attachment; filename=\"gr_n.pdf\"; filename*=UTF-8''gr%C3%BCn.pdf"),
            ("100%.txt", "attachment; filename=\"100_.txt\"; filename*=UTF-8''100%25.txt"),
        ] {
            assert_eq!(attachment(name), expected, "{name}");
        }
        assert!(attachment(&"x".repeat(5000)).len() < 300);
    }
}

//! The header field `TLS-Required: No` (RFC 8689 §5): its sender would rather have it arrive than be kept from others, whatever
//! the destination publishes about TLS. Looked for only when that stands in the way.

use base::content::Content;

/// Bytes of a header that are looked at.
const HEADER_BYTES_MAX: usize = 256 * 1024;

/// Whether the message that begins at `offset` says so.
pub fn says_no(content: &Content, offset: u64) -> bool {
    let mut header = Vec::new();
    let mut block = [0; 8192];
    while header.len() < HEADER_BYTES_MAX {
        let Ok(read @ 1..) = content.read_at(&mut block, offset.saturating_add(header.len() as u64)) else {
            break;
        };
        header.extend_from_slice(&block[..read]);
        if let Some(end) = memchr::memmem::find(&header, b"\r\n\r\n") {
            header.truncate(end);
            break;
        }
    }
    header_says_no(&header)
}

/// The field stands once, with this one value (§5).
fn header_says_no(header: &[u8]) -> bool {
    let text = String::from_utf8_lossy(header);
    let fields = text.split("\r\n").filter_map(|line| line.split_once(':'));
    let mut values = fields
        .filter(|(name, _)| name.trim_end().eq_ignore_ascii_case("TLS-Required"))
        .map(|(_, value)| value.trim());
    values.next().is_some_and(|value| value.eq_ignore_ascii_case("no")) && values.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_says_it_once_and_in_the_header() {
        for (text, expected) in [
            ("Subject: s\r\nTLS-Required: No\r\n\r\nbody\r\n", true),
            ("tls-required:no\r\n\r\n", true),
            ("TLS-Required: Yes\r\n\r\n", false),
            ("TLS-Required: No\r\nTLS-Required: No\r\n\r\n", false),
            ("Subject: s\r\n TLS-Required: No\r\n\r\n", false),
            ("Subject: s\r\n\r\nTLS-Required: No\r\n", false),
            ("", false),
        ] {
            let content = Content::Memory(format!("xxxx{text}").into_bytes().into());
            assert_eq!(says_no(&content, 4), expected, "{text}");
        }
    }
}

//! Header fields as they stand (RFC 5322 §2.2).

/// The fields of a header in order: name, and value with its folds, without the last line end. Ends at the empty line.
/// A line that is no field and no continuation is passed over.
pub fn header_fields(header: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = header;
    std::iter::from_fn(move || {
        loop {
            let end = field_end(rest)?;
            let (field, after) = rest.split_at(end);
            rest = after;
            let line = trim_line_end(field);
            let colon = memchr::memchr(b':', line);
            if let Some((name, value)) = colon.and_then(|at| Some((name(&line[..at])?, &line[at + 1..]))) {
                return Some((name, value));
            }
        }
    })
}

/// The value of the first field of this name, in any case.
pub fn header_field<'h>(header: &'h [u8], name: &str) -> Option<&'h [u8]> {
    header_fields(header).find(|(one, _)| one.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
}

/// The fields of a header with their folded lines and line ends, whatever they are, and the empty line: every byte of it.
pub fn raw_fields(header: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = header;
    std::iter::from_fn(move || {
        let mut end = 0;
        while end < rest.len() {
            end = memchr::memchr(b'\n', &rest[end..]).map_or(rest.len(), |at| end + at + 1);
            if !matches!(rest.get(end), Some(b' ' | b'\t')) {
                break;
            }
        }
        let (field, behind) = rest.split_at(end);
        rest = behind;
        (!field.is_empty()).then_some(field)
    })
}

/// Bytes of the first field with its continuations; nothing at the empty line or the end.
fn field_end(rest: &[u8]) -> Option<usize> {
    if rest.is_empty() || rest.starts_with(b"\r\n") || rest.starts_with(b"\n") {
        return None;
    }
    let mut end = 0;
    loop {
        end = memchr::memchr(b'\n', &rest[end..]).map_or(rest.len(), |at| end + at + 1);
        if !matches!(rest.get(end), Some(b' ' | b'\t')) {
            return Some(end);
        }
    }
}

fn trim_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// `field-name = 1*ftext`, with the blanks before the colon that old senders put.
fn name(bytes: &[u8]) -> Option<&[u8]> {
    let name = bytes.trim_ascii_end();
    let legal = !name.is_empty() && name.iter().all(|byte| (33..=126).contains(byte));
    legal.then_some(name)
}

/// The value without its folds and the blanks around it (RFC 5322 §2.2.3).
pub fn unfold(value: &[u8]) -> Vec<u8> {
    value.trim_ascii().iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect()
}

/// Where the header of `message` ends: behind its empty line, or at the end.
pub fn header_length(message: &[u8]) -> usize {
    let mut at = 0;
    loop {
        let rest = &message[at..];
        if rest.starts_with(b"\r\n") {
            return at + 2;
        }
        if rest.starts_with(b"\n") {
            return at + 1;
        }
        match memchr::memchr(b'\n', rest) {
            Some(end) => at += end + 1,
            None => return message.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_folds_and_end_at_the_empty_line() {
        let header = b"From: a\r\nnonsense\r\nSubject : long\r\n  folded\r\nX:\r\n\r\nBody: no\r\n";
        let fields: Vec<_> = header_fields(header).collect();
        assert_eq!(fields, [(&b"From"[..], &b" a"[..]), (b"Subject", b" long\r\n  folded"), (b"X", b"")]);
        assert_eq!(unfold(header_field(header, "SUBJECT").unwrap()), b"long  folded");
        assert_eq!(header_length(header), header.len() - 10);
        assert_eq!(header_length(b"a: b\n\nc"), 6);
        assert_eq!(header_length(b"a: b"), 4);
    }
}

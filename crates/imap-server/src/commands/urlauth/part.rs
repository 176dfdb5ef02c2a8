//! BODYPARTSTRUCTURE: what BODYSTRUCTURE says of one part (RFC 5524 §3.1).

/// Where message/rfc822 has the structure of the message inside (RFC 3501 §9 `body-type-msg`).
const INSIDE: usize = 8;

/// The structure of the part of this path, in that of its message; nothing when there is no such part. The path means what it
/// means in `BODY[1.2]`: in what has no parts, 1 is its own body.
pub fn of<'s>(structure: &'s [u8], path: &[u32]) -> Option<&'s [u8]> {
    let mut container = Some(structure);
    let mut found = structure;
    for number in path {
        let inside = container?;
        let number = usize::try_from(number.checked_sub(1)?).ok()?;
        found = match is_multipart(inside) {
            true => elements(inside).take_while(|element| element.starts_with(b"(")).nth(number)?,
            false if number == 0 => inside,
            false => return None,
        };
        container = if is_multipart(found) { Some(found) } else { message_inside(found) };
    }
    found.starts_with(b"(").then_some(found)
}

fn is_multipart(list: &[u8]) -> bool {
    list.starts_with(b"((")
}

fn message_inside(list: &[u8]) -> Option<&[u8]> {
    let is = |place: usize, name: &[u8]| {
        elements(list).nth(place).is_some_and(|element| element.eq_ignore_ascii_case(name))
    };
    let is_message = is(0, b"\"message\"") && (is(1, b"\"rfc822\"") || is(1, b"\"global\""));
    elements(list).nth(INSIDE).filter(|inside| is_message && inside.starts_with(b"("))
}

/// The elements of a list in parentheses.
fn elements(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = list.get(1..).unwrap_or_default();
    std::iter::from_fn(move || {
        rest = rest.trim_ascii_start();
        let length = length(rest)?;
        let element;
        (element, rest) = rest.split_at(length);
        Some(element)
    })
}

/// Bytes of the element that comes next; nothing at the end of its list.
fn length(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    let mut depth = 0usize;
    loop {
        match text.get(at)? {
            b'(' => (at, depth) = (at + 1, depth + 1),
            b')' => (at, depth) = (at + 1, depth.checked_sub(1)?),
            b'"' => {
                at += 1;
                while *text.get(at)? != b'"' {
                    at += if text[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            b'{' => {
                let end = at + memchr::memchr(b'\n', text.get(at..)?)? + 1;
                let digits = text.get(at + 1..end.checked_sub(3)?)?;
                at = end.checked_add(std::str::from_utf8(digits).ok()?.parse().ok()?)?;
            }
            b' ' => at += 1,
            _ => {
                let is_end = |byte: &u8| matches!(byte, b' ' | b')' | b'(');
                at += text[at..].iter().position(is_end).unwrap_or(text.len() - at).max(1);
            }
        }
        if depth == 0 {
            return (at <= text.len()).then_some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MESSAGE: &[u8] = b"From: a\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\none\r\n--x\r\n\
        Content-Type: image/png; name=\"a (\\\" b\"\r\n\r\ntwo\r\n--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: \xe4(\r\n\
        Content-Type: multipart/alternative; boundary=y\r\n\r\n--y\r\n\r\nin\r\n--y\r\nContent-Type: text/html\r\n\r\n<p>\r\n--y--\r\n\
        --x\r\nContent-Type: message/rfc822\r\n\r\nSubject: simple\r\n\r\nbody\r\n--x--\r\n";

    fn shown(path: &[u32]) -> Option<String> {
        let whole = mail_format::scan(MESSAGE).bodystructure(MESSAGE);
        of(&whole, path).map(|part| String::from_utf8_lossy(part).into_owned())
    }

    #[test]
    fn parts_are_those_of_fetch() {
        for (path, start) in [
            (&[][..], "((\"text\" \"plain\""),
            (&[1], "(\"text\" \"plain\""),
            (&[2], "(\"image\" \"png\" (\"name\" \"a (\\\" b\")"),
            (&[3], "(\"message\" \"rfc822\""),
            (&[3, 1], "(\"text\" \"plain\""),
            (&[3, 2], "(\"text\" \"html\""),
            (&[4, 1], "(\"text\" \"plain\""),
        ] {
            let part = shown(path).unwrap();
            assert!(part.to_lowercase().starts_with(start), "{path:?}: {part}");
            assert!(part.ends_with(')'));
        }
        for none in [&[0][..], &[5], &[1, 1], &[3, 3], &[4, 2], &[4, 1, 1]] {
            assert_eq!(shown(none), None, "{none:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_too_strange(bytes in "[()\" {}0-9\\\\\r\na]{0,40}", path in proptest::collection::vec(0u32..4, 0..4)) {
            let _ = of(bytes.as_bytes(), &path);
        }

        /// There is a structure exactly where there is a part.
        #[test]
        fn paths_mean_what_they_mean_elsewhere(path in proptest::collection::vec(0u32..6, 1..4)) {
            let structure = mail_format::scan(MESSAGE);
            prop_assert_eq!(shown(&path).is_some(), structure.part(&path).is_some());
        }
    }
}

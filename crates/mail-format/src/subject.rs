//! The base subject (RFC 5256 §2.1): what is left when replies, forwards and list tags are taken off.

/// The base subject of a decoded subject.
pub fn base_subject(subject: &str) -> String {
    let mut text: String = subject.split_whitespace().collect::<Vec<_>>().join(" ");
    loop {
        let before = text.len();
        text = without_trailer(&text).to_owned();
        loop {
            let shorter =
                without_leader(&text).or_else(|| without_blob_before_more(&text)).map(str::to_owned);
            match shorter {
                Some(shorter) => text = shorter,
                None => break,
            }
        }
        if let Some(inner) = inside_forward(&text) {
            text = inner.to_owned();
        } else if text.len() == before {
            return text;
        }
    }
}

/// `subj-trailer = "(fwd)" / WSP`
fn without_trailer(text: &str) -> &str {
    let mut text = text.trim_end();
    while text.len() >= 5
        && text.is_char_boundary(text.len() - 5)
        && text[text.len() - 5..].eq_ignore_ascii_case("(fwd)")
    {
        text = text[..text.len() - 5].trim_end();
    }
    text
}

/// `subj-leader = (*subj-blob subj-refwd) / WSP`
fn without_leader(text: &str) -> Option<&str> {
    let trimmed = text.trim_start();
    if trimmed.len() < text.len() {
        return Some(trimmed);
    }
    let mut rest = text;
    while let Some(after) = blob(rest) {
        rest = after;
    }
    let word = ["re", "fwd", "fw"]
        .iter()
        .find(|word| rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)))?;
    let mut rest = rest[word.len()..].trim_start();
    if let Some(after) = blob(rest) {
        rest = after;
    }
    rest.strip_prefix(':')
}

/// `subj-blob = "[" *BLOBCHAR "]" *WSP`
fn blob(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('[')?;
    let end = inner.find(['[', ']'])?;
    inner[end..].strip_prefix(']').map(str::trim_start)
}

/// A blob in front is taken off when something is left behind it.
fn without_blob_before_more(text: &str) -> Option<&str> {
    blob(text).filter(|rest| !rest.is_empty())
}

/// `subj-fwd = "[fwd:" subject "]"`
fn inside_forward(text: &str) -> Option<&str> {
    let start = text.get(..5)?;
    if !start.eq_ignore_ascii_case("[fwd:") {
        return None;
    }
    text[5..].strip_suffix(']')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn replies_and_forwards_come_off() {
        for (subject, base) in [
            ("Re: hello", "hello"),
            ("RE:  Fwd : [list] Re[2]: hello (fwd) ", "hello"),
            ("[Fwd: [list] Re: hello]", "hello"),
            ("[list]", "[list]"),
            ("[a] [b] c", "c"),
            ("Remember: this", "Remember: this"),
            ("Re:", ""),
            ("hello\t  world", "hello world"),
            ("Re [x]: y", "y"),
        ] {
            assert_eq!(base_subject(subject), base, "{subject}");
        }
    }

    proptest! {
        #[test]
        fn no_subject_is_too_strange(subject in "[\\[\\]: RFrefwd()ä]{0,60}|\\PC{0,60}") {
            let base = base_subject(&subject);
            prop_assert_eq!(base_subject(&base), base);
        }
    }
}

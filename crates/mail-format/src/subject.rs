//! The base subject (RFC 5256 §2.1): what is left when replies, forwards and list tags are taken off. In time that grows
//! with the length only, whatever a stranger writes.

/// What a subject is about.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct BaseSubject {
    pub text: String,
    /// Whether "Re:", "Fwd:", "(fwd)" or "[fwd: ...]" came off on the way (RFC 5256 §2.1, the last paragraph).
    pub is_reply_or_forward: bool,
}

/// The base subject of a decoded subject. The numbers are the steps of RFC 5256 §2.1.
pub fn base_subject(subject: &str) -> BaseSubject {
    let words = subject.split([' ', '\t', '\r', '\n']).filter(|word| !word.is_empty());
    let spaced = words.collect::<Vec<_>>().join(" "); // (1)
    let mut text = spaced.as_str();
    let mut is_reply_or_forward = false;
    loop {
        let shorter = without_trailer(text); // (2)
        is_reply_or_forward |= shorter.len() < text.trim_end_matches(' ').len();
        text = shorter;
        loop {
            if let Some(shorter) = without_leader(text) {
                is_reply_or_forward |= !text.starts_with(' ');
                text = shorter; // (3)
                continue;
            }
            let shorter = without_blobs(text); // (4), all of them at once: none of them leads to a leader
            if shorter.len() == text.len() {
                break; // (5)
            }
            text = shorter;
        }
        match inside_forward(text) {
            Some(inner) => (text, is_reply_or_forward) = (inner, true), // (6)
            None => return BaseSubject { text: text.to_owned(), is_reply_or_forward },
        }
    }
}

/// `subj-trailer = "(fwd)" / WSP`
fn without_trailer(text: &str) -> &str {
    let mut text = text.trim_end_matches(' ');
    while text.len() >= 5
        && text.is_char_boundary(text.len() - 5)
        && text[text.len() - 5..].eq_ignore_ascii_case("(fwd)")
    {
        text = text[..text.len() - 5].trim_end_matches(' ');
    }
    text
}

/// `subj-leader = (*subj-blob subj-refwd) / WSP`, where `subj-refwd = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":"`
fn without_leader(text: &str) -> Option<&str> {
    if text.starts_with(' ') {
        return Some(text.trim_start_matches(' '));
    }
    let mut rest = text;
    while let Some(after) = blob(rest) {
        rest = after;
    }
    let word = ["re", "fwd", "fw"]
        .iter()
        .find(|word| rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)))?;
    let mut rest = rest[word.len()..].trim_start_matches(' ');
    if let Some(after) = blob(rest) {
        rest = after;
    }
    rest.strip_prefix(':')
}

/// `subj-blob = "[" *BLOBCHAR "]" *WSP`, where a BLOBCHAR is anything but a bracket
fn blob(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('[')?;
    let end = inner.find(['[', ']'])?;
    inner[end..].strip_prefix(']').map(|rest| rest.trim_start_matches(' '))
}

/// Blobs in front are taken off as long as something is left behind them.
fn without_blobs(text: &str) -> &str {
    let mut text = text;
    while let Some(rest) = blob(text).filter(|rest| !rest.is_empty()) {
        text = rest;
    }
    text
}

/// `subj-fwd = subj-fwd-hdr subject subj-fwd-trl`: `"[fwd:" subject "]"`
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
        for (subject, base, is_reply_or_forward) in [
            ("Re: hello", "hello", true),
            ("RE:  Fwd : [list] Re[2]: hello (fwd) ", "hello", true),
            ("[Fwd: [list] Re: hello]", "hello", true),
            ("[fwd: hello]", "hello", true),
            ("hello (FWD) (fwd)", "hello", true),
            ("[list]", "[list]", false),
            ("[a] [b] c", "c", false),
            ("[a][b]", "[b]", false),
            ("[a] [b] Re: c", "c", true),
            ("Remember: this", "Remember: this", false),
            ("Re:", "", true),
            ("", "", false),
            (" \t ", "", false),
            ("hello\t  world ", "hello world", false),
            ("hello\r\n world", "hello world", false),
            ("Re [x]: y", "y", true),
            ("Re [x] [z]: y", "Re [x] [z]: y", false),
            ("Fw: y", "y", true),
            ("[unclosed Re: y", "[unclosed Re: y", false),
            ("Re\u{a0}: y", "Re\u{a0}: y", false), // no WSP (RFC 5234): part of the text
            ("AW: hallo", "AW: hallo", false),
        ] {
            let expected = BaseSubject { text: base.to_owned(), is_reply_or_forward };
            assert_eq!(base_subject(subject), expected, "{subject}");
        }
    }

    /// Many blobs that lead nowhere, many leaders: each character is looked at a bounded number of times.
    #[test]
    fn long_nonsense_takes_little_time() {
        let begun = std::time::Instant::now();
        for piece in ["[a]", "re:", "[a]re", "(fwd)", "[fwd:", "re [", "[[", "]"] {
            let subject = piece.repeat(1_000_000 / piece.len());
            base_subject(&subject);
            base_subject(&format!("{subject} x"));
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(60));
    }

    proptest! {
        #[test]
        fn no_subject_is_too_strange(subject in "[\\[\\]: RFrefwd()ä]{0,60}|\\PC{0,60}") {
            let base = base_subject(&subject);
            let again = base_subject(&base.text);
            prop_assert_eq!(again.text, base.text);
        }
    }
}

//! Passwords in the form that both ends hash (SASLprep, RFC 4013 §2.1 and §2.2).
//!
//! What SASLprep would refuse stays as it is: the client that sends it does the same, and a site's password is not ours to
//! forbid.

use crate::Secret;

/// Blanks that become one of ASCII (RFC 3454 C.1.2), and characters that are dropped (B.1).
pub(crate) fn prepared(password: &str) -> Secret {
    if password.is_ascii() {
        return Secret::new(password.to_owned());
    }
    let mapped: String = password
        .chars()
        .filter(|c| !is_dropped(*c))
        .map(|c| match c {
            '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200b}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => ' ',
            other => other,
        })
        .collect();
    let mapped = Secret::new(mapped);
    Secret::new(base::idn::nfkc(mapped.reveal()).into_owned())
}

fn is_dropped(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{1806}'
            | '\u{180b}'..='\u{180d}'
            | '\u{200c}'
            | '\u{200d}'
            | '\u{2060}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4013 §3.
    #[test]
    fn the_examples_of_the_rfc() {
        for (given, expected) in [
            ("I\u{ad}X", "IX"),
            ("user", "user"),
            ("USER", "USER"),
            ("\u{aa}", "a"),
            ("\u{2168}", "IX"),
            ("a\u{a0}b", "a b"),
        ] {
            assert_eq!(prepared(given).reveal(), expected, "{given:?}");
        }
    }
}

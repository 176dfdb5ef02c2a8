//! Secrets that people type: random letters and digits of base32 in lower case (RFC 4648 section 6), shown in groups.

use std::fmt::Write;

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// So many at random, five bits each.
///
/// # Errors
/// The system has no random bytes.
pub fn random(length: usize) -> Result<String, String> {
    let mut random = vec![0; length];
    openssl::rand::rand_bytes(&mut random).map_err(|why| why.to_string())?;
    Ok(random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect())
}

/// With a hyphen between groups of so many.
pub fn grouped(letters: &str, group: usize) -> String {
    let mut text = String::with_capacity(letters.len() + letters.len() / group);
    for (place, letter) in letters.chars().enumerate() {
        let hyphen = if place > 0 && place % group == 0 { "-" } else { "" };
        let _ = write!(text, "{hyphen}{letter}");
    }
    text
}

/// What somebody typed, if it can be so many of them: blanks and hyphens do not count, nor does case.
pub fn typed(typed: &str, length: usize) -> Option<String> {
    if typed.len() > 2 * length {
        return None;
    }
    let text: String = typed.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    let text = text.to_ascii_lowercase();
    (text.len() == length && text.bytes().all(|byte| ALPHABET.contains(&byte))).then_some(text)
}

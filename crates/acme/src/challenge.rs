//! The answers to http-01 (RFC 8555 §8.3): a file for each token, in a folder that every daemon reads.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The path under which the authority asks, before the token.
pub const PATH: &str = "/.well-known/acme-challenge/";
/// Bytes of a token, which has at least 128 bits in base64url (RFC 8555 §8.3).
const TOKEN_MAX: usize = 200;
/// Bytes of an answer: token, point, thumbprint.
const ANSWER_MAX: u64 = 512;

/// The folder.
#[derive(Clone, Debug)]
pub struct Challenges(PathBuf);

impl Challenges {
    pub fn new(folder: &Path) -> Challenges {
        Challenges(folder.to_owned())
    }

    /// What is answered to who asks for this token, which may be anything.
    pub fn answer(&self, token: &str) -> Option<String> {
        let file = self.file(token)?;
        let is_short = fs::metadata(&file).is_ok_and(|data| data.is_file() && data.len() <= ANSWER_MAX);
        is_short.then(|| fs::read_to_string(file).ok()).flatten()
    }

    /// # Errors
    /// The token is none, or the system's.
    pub fn put(&self, token: &str, answer: &str) -> io::Result<()> {
        let file = self.file(token).ok_or_else(|| io::Error::other("the challenge has no token"))?;
        fs::create_dir_all(&self.0)?;
        base::replace::durable_replace(&file, answer.as_bytes(), 0o644)
    }

    /// Removes them all.
    pub fn clear(&self) {
        for entry in fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let _ = fs::remove_file(entry.path());
        }
    }

    fn file(&self, token: &str) -> Option<PathBuf> {
        let is_one = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let is_token = (1..=TOKEN_MAX).contains(&token.len()) && token.bytes().all(is_one);
        is_token.then(|| self.0.join(token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_answered_while_it_is_there_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let challenges = Challenges::new(&folder.path().join("challenges"));
        fs::write(folder.path().join("secret"), "x").unwrap();
        assert_eq!(challenges.answer("aB3-_"), None);
        challenges.put("aB3-_", "aB3-_.thumb").unwrap();
        assert_eq!(challenges.answer("aB3-_").as_deref(), Some("aB3-_.thumb"));
        for other in ["", ".", "..", "../secret", "a/b", "aB3-_.1.new", "%2e", "a\0"] {
            assert_eq!(challenges.answer(other), None, "{other}");
            assert!(challenges.put(other, "x").is_err(), "{other}");
        }
        challenges.clear();
        assert_eq!(challenges.answer("aB3-_"), None);
    }
}

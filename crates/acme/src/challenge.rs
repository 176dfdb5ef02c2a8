//! The answers to http-01 (RFC 8555 §8.3): a file for each token, in a folder that every daemon reads.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The path under which the authority asks, before the token.
pub const PATH: &str = "/.well-known/acme-challenge/";
/// Bytes of a token, which has at least 128 bits in base64url (RFC 8555 §8.3).
const TOKEN_MAX: usize = 200;
/// Bytes of an answer: token, point, thumbprint.
const ANSWER_MAX: u64 = 512;

/// After so long a token is nobody's: an order puts its own again each time it is taken up, and gives up long before.
const LEFT_BEHIND: Duration = Duration::from_secs(3_600);

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

    /// Removes what no order can be waiting for any more: a process that was killed left it.
    fn sweep(&self) {
        for entry in fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let written = entry.metadata().and_then(|data| data.modified()).ok();
            if written.and_then(|at| at.elapsed().ok()).is_some_and(|age| age > LEFT_BEHIND) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn file(&self, token: &str) -> Option<PathBuf> {
        let is_one = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let is_token = (1..=TOKEN_MAX).contains(&token.len()) && token.bytes().all(is_one);
        is_token.then(|| self.0.join(token))
    }
}

/// The answers of one order. They go with it; those of another, such as a trial beside it, stay.
pub(crate) struct Answers {
    challenges: Challenges,
    tokens: Vec<String>,
}

impl Answers {
    pub(crate) fn new(folder: &Path) -> Answers {
        Answers { challenges: Challenges::new(folder), tokens: Vec::new() }
    }

    /// # Errors
    /// Those of [`Challenges::put`].
    pub(crate) fn put(&mut self, token: &str, answer: &str) -> io::Result<()> {
        self.tokens.push(token.to_owned());
        self.challenges.put(token, answer)
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        for file in self.tokens.iter().filter_map(|token| self.challenges.file(token)) {
            let _ = fs::remove_file(file);
        }
        self.challenges.sweep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_takes_its_own_answers_away_and_what_is_nobodys() {
        let folder = tempfile::tempdir().unwrap();
        let challenges = Challenges::new(folder.path());
        let (mut trial, mut order) = (Answers::new(folder.path()), Answers::new(folder.path()));
        trial.put("trial", "trial.thumb").unwrap();
        order.put("order", "order.thumb").unwrap();
        challenges.put("killed", "killed.thumb").unwrap();
        let file = fs::File::options().write(true).open(folder.path().join("killed")).unwrap();
        file.set_modified(std::time::SystemTime::now() - LEFT_BEHIND * 2).unwrap();
        drop(trial);
        assert_eq!(challenges.answer("order").as_deref(), Some("order.thumb"));
        assert_eq!((challenges.answer("trial"), challenges.answer("killed")), (None, None));
        drop(order);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

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
    }
}

//! Which mailbox a folder of the source becomes, and which folders are meant.

use std::collections::BTreeSet;

use message_store::MailboxName;

/// Bytes of one level that a folder on disk surely takes, encoded.
const LEVEL_BYTES_MAX: usize = 80;

/// What the administrator said about folders. Names are the client's: `Work/2002`.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// Patterns; none: all.
    pub only: Vec<String>,
    pub except: Vec<String>,
    /// Old and new names, with what is below.
    pub renamed: Vec<(String, String)>,
}

impl Wishes {
    /// `OLD=NEW`.
    ///
    /// # Errors
    /// Which text is none.
    pub fn rename(text: &str) -> Result<(String, String), String> {
        match text.split_once('=') {
            Some((old, new)) if !old.is_empty() && !new.is_empty() => Ok((old.to_owned(), new.to_owned())),
            _ => Err(format!("{}: not OLD=NEW", base::escape(text))),
        }
    }

    /// The name that a folder is to have; nothing when it is not to come.
    pub fn apply(&self, levels: &[String]) -> Option<String> {
        let name = levels.join("/");
        let matches = |pattern: &String| MailboxName::parse(&name).is_ok_and(|name| name.matches(pattern));
        if !self.only.is_empty() && !self.only.iter().any(matches) || self.except.iter().any(matches) {
            return None;
        }
        for (old, new) in &self.renamed {
            match name.strip_prefix(old.as_str()) {
                Some("") => return Some(new.clone()),
                Some(rest) if rest.starts_with('/') => return Some(format!("{new}{rest}")),
                _ => {}
            }
        }
        Some(name)
    }
}

/// Levels that a mailbox here can have: what cannot be in a name becomes `_`.
pub fn legal(levels: &[String]) -> Vec<String> {
    levels.iter().map(|level| legal_level(level)).collect()
}

fn legal_level(level: &str) -> String {
    let mut new: String =
        level.chars().map(|c| if c.is_control() || matches!(c, '/' | '*' | '%') { '_' } else { c }).collect();
    while new.len() > LEVEL_BYTES_MAX {
        new.pop();
    }
    if matches!(new.as_str(), "" | "." | "..") { "_".into() } else { new }
}

/// Gives each name once: of several folders that would be one mailbox, the later ones get a number.
#[derive(Debug, Default)]
pub struct Unique {
    given: BTreeSet<String>,
}

impl Unique {
    pub fn give(&mut self, levels: Vec<String>) -> Vec<String> {
        let mut new = levels.clone();
        for number in 2u32.. {
            if self.given.insert(new.join("/")) {
                break;
            }
            if let (Some(last), Some(old)) = (new.last_mut(), levels.last()) {
                *last = format!("{old}-{number}");
            }
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(text: &str) -> Vec<String> {
        text.split('|').map(str::to_owned).collect()
    }

    #[test]
    fn names_become_legal_and_stay_apart() {
        assert_eq!(legal(&levels("a/b|50%|..||x\u{7}")), ["a_b", "50_", "_", "_", "x_"]);
        assert!(MailboxName::parse(&legal(&["\u{e4}".repeat(300)]).join("/")).is_ok());
        let mut unique = Unique::default();
        let mut give = |text: &str| unique.give(levels(text)).join("/");
        assert_eq!([give("A"), give("A"), give("A|B"), give("A")], ["A", "A-2", "A/B", "A-3"]);
    }

    #[test]
    fn wishes_choose_and_rename() {
        let wishes = Wishes {
            only: vec!["W*".into(), "INBOX".into()],
            except: vec!["Work/%".into()],
            renamed: vec![("Work".into(), "Old/Work".into())],
        };
        let apply = |text: &str| wishes.apply(&levels(text));
        assert_eq!(apply("Work").as_deref(), Some("Old/Work"));
        assert_eq!(apply("Work|x"), None);
        assert_eq!(apply("Work|x|y").as_deref(), Some("Old/Work/x/y"));
        assert_eq!(apply("Workshop").as_deref(), Some("Workshop"));
        assert_eq!(apply("Other"), None);
        assert!(Wishes::rename("a=b").is_ok() && Wishes::rename("a=").is_err());
    }
}

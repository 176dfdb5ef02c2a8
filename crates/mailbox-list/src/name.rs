//! Mailbox names: canonical, UTF-8, levels separated by `/`: `user/<uid>/INBOX`, `user/<uid>/Work/2002`, `Public/News`.
//!
//! A value of [`MailboxName`] is always legal: no empty component, no `.` or `..`, no control byte, at most
//! [`COMPONENT_BYTES_MAX`] bytes a component and [`LEVELS_MAX`] levels. `INBOX` is written in upper case wherever it
//! stands directly below a user, however it was given; `user/<uid>` is the INBOX of that user (NMS: guide L843, L870).

use std::fmt;

/// Bytes of one component at most.
pub const COMPONENT_BYTES_MAX: usize = 255;
/// Levels at most, `user` and the uid included.
pub const LEVELS_MAX: usize = 20;

/// The name of a mailbox. Shape and rules: see the head of this file.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct MailboxName(String);

/// Why a text is no mailbox name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NameError {
    Empty,
    EmptyComponent,
    DotComponent,
    ControlByte,
    ComponentTooLong,
    TooManyLevels,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NameError::Empty => "a mailbox name cannot be empty",
            NameError::EmptyComponent => "a mailbox name cannot have an empty level",
            NameError::DotComponent => "a level of a mailbox name cannot be . or ..",
            NameError::ControlByte => "a mailbox name cannot have control characters",
            NameError::ComponentTooLong => "a level of a mailbox name is longer than 255 bytes",
            NameError::TooManyLevels => "a mailbox name has more than 20 levels",
        })
    }
}

impl std::error::Error for NameError {}

impl MailboxName {
    /// The canonical form of `text`; a leading `/` is allowed (`/user/jdoe`).
    ///
    /// # Errors
    /// The rule that `text` breaks.
    pub fn parse(text: &str) -> Result<MailboxName, NameError> {
        let text = text.strip_prefix('/').unwrap_or(text);
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        let mut components: Vec<&str> = text.split('/').collect();
        for component in &components {
            check_component(component)?;
        }
        if components[0] == "user" && components.len() >= 2 {
            if components.len() == 2 {
                components.push("INBOX");
            } else if components[2].eq_ignore_ascii_case("INBOX") {
                components[2] = "INBOX";
            }
        }
        if components.len() > LEVELS_MAX {
            return Err(NameError::TooManyLevels);
        }
        Ok(MailboxName(components.join("/")))
    }

    /// `user/<uid>/INBOX`.
    ///
    /// # Errors
    /// `uid` is no legal component.
    pub fn inbox(uid: &str) -> Result<MailboxName, NameError> {
        check_component(uid)?;
        Ok(MailboxName(format!("user/{uid}/INBOX")))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// The uid whose mailbox this is; nothing for a public one.
    pub fn owner(&self) -> Option<&str> {
        let mut components = self.0.split('/');
        match (components.next(), components.next()) {
            (Some("user"), Some(uid)) => Some(uid),
            _ => None,
        }
    }

    /// Whether this is some user's INBOX itself.
    pub fn is_inbox(&self) -> bool {
        let components: Vec<&str> = self.0.split('/').take(4).collect();
        matches!(components[..], ["user", _, "INBOX"])
    }

    /// The name one level up; nothing at the top. The parent of `user/x/Work` is `user/x/INBOX`, the user's root.
    pub fn parent(&self) -> Option<MailboxName> {
        if self.is_inbox() {
            return None;
        }
        let (parent, _) = self.0.rsplit_once('/')?;
        MailboxName::parse(parent).ok()
    }

    /// The name one level up as clients see the names: nothing above a user's INBOX and top folders.
    pub fn visible_parent(&self) -> Option<MailboxName> {
        let is_top = self.owner().is_some() && self.components().count() <= 3;
        if is_top { None } else { self.parent() }
    }

    /// The last component.
    pub fn leaf(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The mailbox `component` below this one. Below `user/x/INBOX` that is `user/x/INBOX/<component>`.
    ///
    /// # Errors
    /// `component` is not legal, or there would be too many levels.
    pub fn join(&self, component: &str) -> Result<MailboxName, NameError> {
        check_component(component)?;
        MailboxName::parse(&format!("{}/{component}", self.0))
    }

    /// Where the mailbox stands in the tree of the list and of the file system: the components, where a user's INBOX
    /// is the user's node itself.
    pub fn tree_path(&self) -> Vec<&str> {
        let mut components: Vec<&str> = self.0.split('/').collect();
        if self.is_inbox() {
            components.pop();
        }
        components
    }

    /// Whether a pattern stands for this name: `*` any text, `%` any without `/` (RFC 3501 §6.3.8). In time that grows with
    /// the product of the lengths.
    pub fn matches(&self, pattern: &str) -> bool {
        matches(pattern, &self.0)
    }

    /// The inverse of [`MailboxName::tree_path`].
    ///
    /// # Errors
    /// The rule that the components break.
    pub fn from_tree_path(components: &[&str]) -> Result<MailboxName, NameError> {
        MailboxName::parse(&components.join("/"))
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let mut reachable = vec![false; name.len() + 1];
    reachable[0] = true;
    for c in pattern.chars() {
        let mut next = vec![false; name.len() + 1];
        match c {
            '*' | '%' => {
                let mut open = false;
                for at in 0..=name.len() {
                    open |= reachable[at];
                    next[at] = open;
                    if c == '%' && name.get(at) == Some(&'/') {
                        open = false;
                    }
                }
            }
            c => {
                for at in 0..name.len() {
                    next[at + 1] = reachable[at] && name[at] == c;
                }
            }
        }
        reachable = next;
    }
    reachable[name.len()]
}

fn check_component(component: &str) -> Result<(), NameError> {
    match component {
        "" => return Err(NameError::EmptyComponent),
        "." | ".." => return Err(NameError::DotComponent),
        _ => {}
    }
    if component.contains('/') {
        return Err(NameError::EmptyComponent);
    }
    if component.chars().any(char::is_control) {
        return Err(NameError::ControlByte);
    }
    if component.len() > COMPONENT_BYTES_MAX {
        return Err(NameError::ComponentTooLong);
    }
    Ok(())
}

impl fmt::Display for MailboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Hierarchical: a mailbox comes directly before those below it, a user's INBOX before the user's other folders.
impl Ord for MailboxName {
    fn cmp(&self, other: &MailboxName) -> std::cmp::Ordering {
        self.tree_path().cmp(&other.tree_path())
    }
}

impl PartialOrd for MailboxName {
    fn partial_cmp(&self, other: &MailboxName) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_imaps() {
        for (pattern, name, yes) in [
            ("*", "user/joe/INBOX", true),
            ("user/joe/%", "user/joe/INBOX", true),
            ("user/joe/%", "user/joe/A/B", false),
            ("user/%/INBOX", "user/joe/INBOX", true),
            ("user/%", "user/joe/INBOX", false),
            ("*A*", "user/joe/A/B", true),
            ("", "x", false),
        ] {
            assert_eq!(MailboxName::parse(name).unwrap().matches(pattern), yes, "{pattern} {name}");
        }
        let begin = std::time::Instant::now();
        assert!(!matches(&("*%".repeat(1000) + "b"), &"a/".repeat(200)));
        assert!(begin.elapsed().as_secs() < 60, "who tries every way never ends");
    }

    #[test]
    fn spellings_of_an_inbox_are_one_name() {
        for text in ["user/joe", "/user/joe", "user/joe/inbox", "user/joe/InBox"] {
            let name = MailboxName::parse(text).unwrap();
            assert_eq!(name.as_str(), "user/joe/INBOX");
            assert!(name.is_inbox());
            assert_eq!(name.tree_path(), ["user", "joe"]);
        }
        assert!(!MailboxName::parse("user/joe/INBOX/x").unwrap().is_inbox());
    }

    #[test]
    fn hostile_names_are_refused() {
        let long = "x".repeat(256);
        let deep = vec!["a"; 21].join("/");
        for text in ["", "/", "//", "a//b", "../x", "a/../b", ".", "a/\u{1}", "a/\0", "a/", &long, &deep] {
            assert!(MailboxName::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_order_is_hierarchical_with_the_inbox_first() {
        let mut names: Vec<MailboxName> =
            ["user/b", "user/a/Zoo", "user/a/Aaa/x", "user/a/Aaa!", "user/a", "user/a/Aaa"]
                .iter()
                .map(|text| MailboxName::parse(text).unwrap())
                .collect();
        names.sort();
        let names: Vec<&str> = names.iter().map(MailboxName::as_str).collect();
        assert_eq!(
            names,
            ["user/a/INBOX", "user/a/Aaa", "user/a/Aaa/x", "user/a/Aaa!", "user/a/Zoo", "user/b/INBOX"]
        );
    }
}

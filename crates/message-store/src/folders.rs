//! Where a mailbox is: `=user/xx/yy/=<uid>/=Name` below its partition. The rules are in `docs/formats/store-tree.md`.
//!
//! No user input reaches a path unencoded: every level begins with `=`, `/` cannot be in one, and `.` is escaped.

use std::path::{Path, PathBuf};

use mailbox_list::MailboxName;

/// Bytes of a name on disk at most (NAME_MAX).
const NAME_BYTES_MAX: usize = 255;

/// A level's name on disk; nothing when it would be too long for the file system.
pub fn encode(component: &str) -> Option<String> {
    let mut name = String::with_capacity(component.len() + 2);
    name.push('=');
    for c in component.chars() {
        match c {
            'A'..='Z' => {
                name.push('+');
                name.push(c);
            }
            '.' => name.push_str("%d"),
            '%' => name.push_str("%p"),
            '=' => name.push_str("%e"),
            '+' => name.push_str("%s"),
            c => name.push(c),
        }
    }
    (name.len() <= NAME_BYTES_MAX).then_some(name)
}

/// The level that a name on disk stands for. `+=Main 1996` of the guide's recipe is accepted (S185).
pub fn decode(name: &str) -> Option<String> {
    let rest = name.strip_prefix('=').or_else(|| name.strip_prefix("+="))?;
    let mut component = String::with_capacity(rest.len());
    let mut chars = rest.chars();
    while let Some(c) = chars.next() {
        match c {
            '+' => component.push(chars.next().filter(char::is_ascii_uppercase)?),
            '%' => component.push(match chars.next()? {
                'd' => '.',
                'p' => '%',
                'e' => '=',
                's' => '+',
                _ => return None,
            }),
            c => component.push(c),
        }
    }
    (!component.is_empty()).then_some(component)
}

/// The folder of a mailbox in a partition; nothing when a level is too long.
pub fn folder(partition: &Path, name: &MailboxName) -> Option<PathBuf> {
    let levels = name.tree_path();
    let mut path = partition.to_owned();
    for (depth, level) in levels.iter().enumerate() {
        if depth == 1 && levels[0] == "user" {
            path.push(base::hashdir::path(level)); // S78: users are spread
        }
        path.push(encode(level)?);
    }
    Some(path)
}

/// The inverse of [`folder`]; nothing when it is no mailbox's.
pub fn name(partition: &Path, folder: &Path) -> Option<MailboxName> {
    let inside = folder.strip_prefix(partition).ok()?.to_str()?;
    let parts: Vec<&str> = inside.split('/').collect();
    let (first, rest) = match parts.as_slice() {
        ["=user", _, _, of_user @ ..] if !of_user.is_empty() => (Some("user".to_owned()), of_user),
        ["=user", ..] => return None, // above the users' own
        public => (None, public),
    };
    let levels = first.into_iter().map(Some).chain(rest.iter().map(|one| decode(one)));
    let levels: Vec<String> = levels.collect::<Option<_>>()?;
    let levels: Vec<&str> = levels.iter().map(String::as_str).collect();
    MailboxName::from_tree_path(&levels).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn named(text: &str) -> MailboxName {
        MailboxName::parse(text).unwrap()
    }

    #[test]
    fn folders_have_the_form_of_the_guide() {
        let place = |text: &str| folder(Path::new("/p"), &named(text)).unwrap().display().to_string();
        let hash = base::hashdir::path("mack1");
        assert_eq!(place("user/mack1"), format!("/p/=user/{hash}/=mack1"));
        assert_eq!(place("user/mack1/Work/2002"), format!("/p/=user/{hash}/=mack1/=+Work/=2002"));
        assert_eq!(place("Public/a.b"), "/p/=+Public/=a%db");
        for text in ["user/mack1/INBOX", "user/mack1/Work/2002", "Public/a.b", "=user"] {
            assert_eq!(name(Path::new("/p"), Path::new(&place(text))), Some(named(text)));
        }
        for other in
            ["/q/=+Public", "/p", "/p/=user", "/p/=user/00/00", "/p/=+Public/00", "/p/=a (deleted)/x"]
        {
            assert_eq!(name(Path::new("/p"), Path::new(other)), None, "{other}");
        }
    }

    #[test]
    fn the_recipes_spelling_is_accepted() {
        assert_eq!(decode("+=Main 1996").as_deref(), Some("Main 1996"));
        assert_eq!(decode("=+Main 1996").as_deref(), Some("Main 1996"));
        for wrong in ["Main", "", "=", "=%x", "=+a", "00", "store.idx"] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn every_name_survives_the_disk(component in "[^/\\x00-\\x1f\\x7f]{1,60}") {
            let encoded = encode(&component).unwrap();
            prop_assert!(encoded.starts_with('=') && !encoded.contains('/') && !encoded.contains('.'));
            prop_assert_eq!(decode(&encoded), Some(component));
        }
    }
}

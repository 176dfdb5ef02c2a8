//! Which part of a store or of a stream is meant: `/`, `/primary`, `/primary/user/joe`, `/primary/user/joe/Work`,
//! `/primary/user/joe/Work/7.msg` (original.md 3.11); without the partition `user/joe/Work`.

/// Of a path as the administrator gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Nothing: all of them.
    partition: Option<String>,
    /// A mailbox and what is below it, or `user/<uid>`; empty for all.
    mailbox: String,
    uid: Option<u32>,
    /// What it may mean as well: a public folder.
    or: Option<Box<Selection>>,
}

impl Selection {
    /// The first level is a partition, unless it is `user`. Without a slash before it, it may be a public folder, too.
    pub fn parse(path: &str) -> Selection {
        let mut levels: Vec<String> =
            path.split('/').filter(|level| !level.is_empty()).map(str::to_owned).collect();
        match levels.first() {
            Some(first) if first != "user" => {
                let or = (!path.starts_with('/')).then(|| Box::new(Selection::of(None, levels.clone())));
                let partition = Some(levels.remove(0));
                Selection { or, ..Selection::of(partition, levels) }
            }
            _ => Selection::of(None, levels),
        }
    }

    fn of(partition: Option<String>, mut levels: Vec<String>) -> Selection {
        let uid = levels
            .last()
            .filter(|_| levels.len() > 1)
            .and_then(|last| last.strip_suffix(".msg")?.parse().ok());
        if uid.is_some() {
            levels.pop();
        }
        if levels.first().is_some_and(|first| first == "user") {
            if let Some(inbox) = levels.get_mut(2).filter(|level| level.eq_ignore_ascii_case("INBOX")) {
                *inbox = "INBOX".into(); // RFC 3501 §5.1
            }
        }
        Selection { partition, mailbox: levels.join("/"), uid, or: None }
    }

    pub fn has_mailbox(&self, partition: &str, mailbox: &str) -> bool {
        let has = self.has_partition(partition) && is_below(mailbox, &self.mailbox);
        has || self.or.as_ref().is_some_and(|or| or.has_mailbox(partition, mailbox))
    }

    fn has_partition(&self, partition: &str) -> bool {
        self.partition.as_deref().is_none_or(|one| one == partition)
    }

    pub fn has_message(&self, partition: &str, mailbox: &str, uid: u32) -> bool {
        let has = match self.uid {
            Some(only) => only == uid && mailbox == self.mailbox,
            None => is_below(mailbox, &self.mailbox),
        };
        has && self.has_partition(partition)
            || self.or.as_ref().is_some_and(|or| or.has_message(partition, mailbox, uid))
    }

    /// Whether all of a user is meant, whose mailboxes are in this partition: subscriptions and quota too.
    pub fn has_user(&self, partition: &str, uid: &str) -> bool {
        self.has_partition(partition) && is_below(&format!("user/{uid}"), &self.mailbox)
    }

    /// What the names of all that is meant begin with.
    pub fn prefix(&self) -> &str {
        if self.or.is_some() { "" } else { &self.mailbox }
    }
}

/// Whether a name is `top` or below it.
fn is_below(name: &str, top: &str) -> bool {
    top.is_empty() || name.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// `old` and what is below it become `new`.
pub struct Rename {
    old: String,
    new: String,
}

impl Rename {
    /// `OLD=NEW`, of two users or two mailboxes.
    pub fn parse(line: &str) -> Option<Rename> {
        let (old, new) = line.split_once('=')?;
        let name = |text: &str| {
            let text = text.trim().trim_matches('/');
            if text.contains('/') { text.to_owned() } else { format!("user/{text}") }
        };
        let rename = Rename { old: name(old), new: name(new) };
        (rename.old != "user/" && rename.new != "user/").then_some(rename)
    }

    /// What is selected gets another name; none when that is more than a user, a mailbox or a message.
    pub fn of(selection: &Selection, new: &str) -> Vec<Rename> {
        let meant = selection.or.as_deref().into_iter().chain([selection]);
        let old = meant.map(|one| one.mailbox.clone()).filter(|old| !old.is_empty());
        old.map(|old| Rename { old, new: new.trim_matches('/').to_owned() }).collect()
    }

    /// Nothing when the name is another.
    pub fn apply(&self, mailbox: &str) -> Option<String> {
        is_below(mailbox, &self.old).then(|| format!("{}{}", self.new, &mailbox[self.old.len()..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_original_select_what_they_name() {
        let has =
            |path: &str, mailbox: &str, uid: u32| Selection::parse(path).has_message("primary", mailbox, uid);
        for path in [
            "/",
            "/primary",
            "/primary/user",
            "/primary/user/joe",
            "user/joe",
            "/user/joe/Work",
            "user/joe/Work/7.msg",
        ] {
            assert!(has(path, "user/joe/Work", 7), "{path}");
        }
        for path in
            ["/other", "/primary/user/jo", "user/joe/INBOX", "user/joe/Work/8.msg", "/primary/user/joe/Wor"]
        {
            assert!(!has(path, "user/joe/Work", 7), "{path}");
        }
        assert!(has("/primary/user/joe/inbox", "user/joe/INBOX", 1));
        assert!(has("/primary/user/joe/Work", "user/joe/Work/2002", 1), "with what is below");
        assert!(!has("/primary/user/joe/Work/7.msg", "user/joe/Work/2002", 7));
        assert!(has("/primary/Public/News", "Public/News", 1));
        for path in ["Public", "Public/News", "Public/News/7.msg", "primary/Public", "primary"] {
            assert!(has(path, "Public/News", 7), "{path}");
        }
        for path in ["/Public", "News", "Public/New", "Public/News/8.msg", "other/Public"] {
            assert!(!has(path, "Public/News", 7), "{path}");
        }
        assert!(!has("Public", "user/joe/Work", 7) && !Selection::parse("Public").has_user("primary", "joe"));
        let other = Rename::of(&Selection::parse("Public/News"), "Old");
        assert_eq!(other.iter().find_map(|one| one.apply("Public/News/2002")).as_deref(), Some("Old/2002"));
        assert!(Rename::of(&Selection::parse("/"), "Old").is_empty());
        assert!(Selection::parse("/primary/user/joe").has_user("primary", "joe"));
        assert!(!Selection::parse("/primary/user/joe/Work").has_user("primary", "joe"), "only a folder");
        assert!(!Selection::parse("/primary/user/joe").has_user("primary", "joey"));
    }

    #[test]
    fn names_are_changed_by_levels() {
        let users = Rename::parse("joe=ann\n").unwrap();
        assert_eq!(users.apply("user/joe/INBOX").as_deref(), Some("user/ann/INBOX"));
        assert_eq!(users.apply("user/joey/INBOX"), None);
        let folder = Rename::parse("user/joe/INBOX = user/joe/restored").unwrap();
        assert_eq!(folder.apply("user/joe/INBOX").as_deref(), Some("user/joe/restored"));
        assert_eq!(folder.apply("user/joe/INBOX2"), None);
        assert!(Rename::parse("joe").is_none() && Rename::parse("=ann").is_none());
    }
}

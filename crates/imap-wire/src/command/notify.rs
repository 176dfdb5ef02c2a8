//! `notify = "NOTIFY" SP ("SET" [SP "STATUS"] SP event-groups / "NONE")` (RFC 5465 §8).

use crate::command::fetch::{self, Item};
use crate::command::filter::{self, Filter, NAMES_MAX};
use crate::cursor::{Cursor, Parsed};
use crate::words;

/// Groups of one command.
const GROUPS_MAX: usize = 100;

/// What a client wants to be told unasked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notify {
    /// Nothing any more.
    None,
    Set(Set),
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Set {
    /// Numbers of the mailboxes are told at once.
    pub status: bool,
    /// Of whichever mailbox is selected; nothing: no events of its messages.
    pub selected: Option<Selected>,
    pub groups: Vec<Group>,
    /// An event was named that is not known, or not offered: the command is refused (RFC 5465 §3.1).
    pub has_unsupported: bool,
}

/// `(SELECTED (...))` or `(SELECTED-DELAYED (...))`
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Selected {
    /// Expunges wait for a command that may tell them.
    pub is_delayed: bool,
    pub events: Events,
    /// What is told of each new message.
    pub fetch: Vec<Item>,
}

/// `(SUBTREE Lists (...))`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    pub filter: Filter,
    pub events: Events,
}

/// A set of events (RFC 5465 §5).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Events(u8);

impl Events {
    pub const NONE: Events = Events(0);
    /// MessageNew and MessageExpunge: one is not without the other.
    pub const MESSAGES: Events = Events(1);
    pub const FLAG_CHANGE: Events = Events(2);
    pub const MAILBOX_NAME: Events = Events(4);
    pub const SUBSCRIPTION_CHANGE: Events = Events(8);
    pub const MAILBOX_METADATA_CHANGE: Events = Events(16);
    pub const SERVER_METADATA_CHANGE: Events = Events(32);
    /// For BADEVENT: all that there are here. AnnotationChange is of RFC 5257, which is not offered.
    pub const NAMES: &str = "MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange MailboxMetadataChange ServerMetadataChange";

    pub fn contains(self, other: Events) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether one of them is in the set.
    pub fn has_any(self, other: Events) -> bool {
        self.0 & other.0 != 0
    }

    pub fn with(self, other: Events) -> Events {
        Events(self.0 | other.0)
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

pub(super) fn arguments(cursor: &mut Cursor<'_>) -> Parsed<Notify> {
    cursor.space()?;
    if cursor.keyword(b"NONE") {
        return Ok(Notify::None);
    }
    if !cursor.keyword(b"SET") {
        return cursor.error("SET or NONE");
    }
    cursor.space()?;
    let mut set = Set::default();
    if cursor.keyword(b"STATUS") {
        set.status = true;
        cursor.space()?;
    }
    let mut left = NAMES_MAX;
    loop {
        group(cursor, &mut set, &mut left)?;
        if cursor.rest().len() < 2 {
            return Ok(Notify::Set(set));
        }
        cursor.space()?;
    }
}

/// `event-group = "(" filter-mailboxes SP events ")"`
fn group(cursor: &mut Cursor<'_>, set: &mut Set, left: &mut usize) -> Parsed<()> {
    let start = cursor.clone();
    cursor.expect(b'(', "a group of events")?;
    if set.groups.len() == GROUPS_MAX {
        return start.error("fewer groups");
    }
    // The longer word first: a hyphen ends a keyword.
    let is_delayed = cursor.keyword(b"SELECTED-DELAYED");
    if is_delayed || cursor.keyword(b"SELECTED") {
        cursor.space()?;
        let mut selected = Selected { is_delayed, ..Selected::default() };
        selected.events = events(cursor, Some(&mut selected.fetch), &mut set.has_unsupported)?;
        let of_messages = Events::MESSAGES.with(Events::FLAG_CHANGE);
        if !of_messages.contains(selected.events) {
            return start.error("only events of messages for the selected mailbox"); // RFC 5465 §6.1
        }
        if set.selected.replace(selected).is_some() {
            return start.error("SELECTED or SELECTED-DELAYED once");
        }
    } else {
        let filter = filter::filter(cursor, left)?;
        cursor.space()?;
        let events = events(cursor, None, &mut set.has_unsupported)?;
        set.groups.push(Group { filter, events });
    }
    cursor.expect(b')', "the end of a group of events")
}

/// `events = ("(" event *(SP event) ")") / "NONE"`; what is fetched of new messages goes to `fetched`, if it may be asked for.
fn events(
    cursor: &mut Cursor<'_>,
    mut fetched: Option<&mut Vec<Item>>,
    has_unsupported: &mut bool,
) -> Parsed<Events> {
    if cursor.keyword(b"NONE") {
        return Ok(Events::NONE);
    }
    let start = cursor.clone();
    cursor.expect(b'(', "a list of events")?;
    let (mut events, mut is_new, mut is_expunge, mut is_annotation) = (Events::NONE, false, false, false);
    loop {
        let event = words::atom(cursor).or_else(|_| cursor.error("an event"))?;
        match event.to_ascii_uppercase().as_slice() {
            b"MESSAGENEW" => {
                is_new = true;
                if cursor.rest().starts_with(b" (") {
                    let Some(items) = fetched.as_deref_mut() else {
                        return cursor.error("no items to fetch but for the selected mailbox");
                    };
                    cursor.skip(1);
                    *items = fetch::list(cursor)?;
                }
            }
            b"MESSAGEEXPUNGE" => is_expunge = true,
            b"FLAGCHANGE" => events = events.with(Events::FLAG_CHANGE),
            b"ANNOTATIONCHANGE" => is_annotation = true,
            b"MAILBOXNAME" => events = events.with(Events::MAILBOX_NAME),
            b"SUBSCRIPTIONCHANGE" => events = events.with(Events::SUBSCRIPTION_CHANGE),
            b"MAILBOXMETADATACHANGE" => events = events.with(Events::MAILBOX_METADATA_CHANGE),
            b"SERVERMETADATACHANGE" => events = events.with(Events::SERVER_METADATA_CHANGE),
            _ => *has_unsupported = true,
        }
        if cursor.take(b')') {
            break;
        }
        cursor.space()?;
    }
    // RFC 5465 §5
    let needs_both = is_new || is_expunge || is_annotation || events.contains(Events::FLAG_CHANGE);
    if needs_both && !(is_new && is_expunge) {
        return start.error("both MessageNew and MessageExpunge");
    }
    *has_unsupported |= is_annotation;
    Ok(if needs_both { events.with(Events::MESSAGES) } else { events })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mailbox::Mailbox;

    fn read(text: &str) -> Parsed<Notify> {
        let mut cursor = Cursor::new(text.as_bytes());
        let notify = arguments(&mut cursor)?;
        cursor.end()?;
        Ok(notify)
    }

    fn set(text: &str) -> Set {
        match read(text) {
            Ok(Notify::Set(set)) => set,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn groups_and_events_are_read() {
        assert_eq!(read(" none"), Ok(Notify::None));
        let all = set(
            " set status (selected-delayed (MessageNew (uid body.peek[header.fields (from to)]) MessageExpunge FlagChange)) \
             (subtree (Lists \"a b\") (messagenew MESSAGEEXPUNGE)) (mailboxes INBOX (MailboxName SubscriptionChange)) \
             (personal NONE) (inboxes (MailboxMetadataChange)) (subscribed (ServerMetadataChange))",
        );
        let selected = all.selected.unwrap();
        assert!(all.status && selected.is_delayed && !all.has_unsupported);
        assert_eq!(selected.fetch.len(), 2);
        assert_eq!(selected.events, Events::MESSAGES.with(Events::FLAG_CHANGE));
        let filters: Vec<_> = all.groups.iter().map(|group| &group.filter).collect();
        let named = |name: &str| Mailbox::Named(name.into());
        assert_eq!(
            filters,
            [
                &Filter::Subtree(vec![named("Lists"), named("a b")]),
                &Filter::Mailboxes(vec![named("INBOX")]),
                &Filter::Personal,
                &Filter::Inboxes,
                &Filter::Subscribed
            ]
        );
        assert_eq!(all.groups[1].events, Events::MAILBOX_NAME.with(Events::SUBSCRIPTION_CHANGE));
        assert!(all.groups[2].events.is_empty());
        let one = &set(" SET (Subtree-One a (MailboxName))").groups[0];
        assert_eq!(one.filter, Filter::SubtreeOne(vec![named("a")]));
        assert!(!set(" SET (selected NONE)").selected.unwrap().is_delayed);
    }

    #[test]
    fn what_is_not_offered_is_no_nonsense() {
        for text in [
            " SET (personal (FooChange))",
            " SET (selected (MessageNew MessageExpunge AnnotationChange))",
            " SET (personal (MessageNew MessageExpunge AnnotationChange FlagChange))",
        ] {
            assert!(set(text).has_unsupported, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let names = (0..=NAMES_MAX).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        let groups = " (personal NONE)".repeat(GROUPS_MAX + 1);
        for bad in [
            "",
            " ",
            " SET",
            " SET STATUS",
            " NONE x",
            " SET (personal)",
            " SET (personal ())",
            " SET personal NONE",
            " SET (personal MessageNew)",
            " SET (personal (MessageNew))",
            " SET (personal (MessageExpunge))",
            " SET (personal (FlagChange))",
            " SET (personal (AnnotationChange))",
            " SET (personal (MessageNew (uid) MessageExpunge))",
            " SET (selected (MailboxName))",
            " SET (selected NONE) (selected-delayed NONE)",
            " SET (selected (MessageNew () MessageExpunge))",
            " SET (subtree (MessageNew MessageExpunge))",
            " SET (mailboxes () NONE)",
            " SET (everything NONE)",
            " SET (personal NONE",
            " SET  (personal NONE)",
            &format!(" SET (mailboxes ({names}) NONE)"),
            &format!(" SET{groups}"),
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(
            text in " (SET|NONE)( STATUS)?( ?\\(?(selected|selected-delayed|personal|subtree a|mailboxes \\(a)?\\)? ?\\(?(MessageNew|\\(UID\\)|MessageExpunge|FlagChange|X|NONE| )?\\)?\\)?){0,6}"
        ) {
            let _ = read(&text);
        }
    }
}

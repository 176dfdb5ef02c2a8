//! Ageing rules: which messages of a mailbox have to go (original.md 4.6, S115, S116).
//!
//! A rule is `store.expirerule.<name>.<criterion>`. Rules that match the same mailbox combine: what any of them removes goes.
//! When one of them is exclusive, only the exclusive ones count. Every rule looks at one mailbox at a time: there is no
//! limit across several mailboxes of a user.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::{Cold, Flags, MailboxName, Record};
use server_config::Config;
use server_config::parameters::store;
use server_log::{Category, Log};

/// What a flag of a message means to a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Flag {
    #[default]
    Ignored,
    /// Without it the rule removes nothing.
    And,
    /// With it the rule removes the message, whatever else.
    Or,
}

/// One rule. Nothing, or 0, is no criterion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    pub name: String,
    pattern: String,
    is_exclusive: bool,
    arrived: Option<Duration>,
    saved: Option<Duration>,
    count: Option<usize>,
    bytes: Option<u64>,
    /// Larger ones, after so long in the mailbox.
    large: Option<(u64, Duration)>,
    seen: Flag,
    deleted: Flag,
    keeps_flagged: bool,
}

/// What is looked at of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    pub uid: u32,
    pub flags: Flags,
    pub size: u64,
    pub arrived_ns: i64,
    pub saved_ns: i64,
}

impl Message {
    pub fn of(record: &Record, cold: &Cold) -> Message {
        Message {
            uid: record.uid,
            flags: record.flags,
            size: u64::from(record.size),
            arrived_ns: cold.internal_date_ns,
            saved_ns: cold.save_date_ns,
        }
    }
}

/// How long the rules leave a message that is neither read nor marked by anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stay {
    /// No rule removes it.
    Forever,
    /// At least so long.
    For(Duration),
    /// It may go at any time: a rule goes by the number or the size of messages, or removes what was read.
    Unsure,
}

/// What these rules together promise. What a user marks as deleted is no matter of theirs.
pub fn stay(rules: &[&Rule]) -> Stay {
    let mut shortest: Option<Duration> = None;
    for rule in rules.iter().filter(|rule| rule.deleted != Flag::And) {
        if rule.count.is_some() || rule.bytes.is_some() || rule.seen == Flag::Or {
            return Stay::Unsure;
        }
        let ages = [rule.arrived, rule.saved, rule.large.map(|(_, age)| age)];
        shortest = ages.into_iter().flatten().chain(shortest).min();
    }
    match shortest {
        None => Stay::Forever,
        Some(age) if age.is_zero() => Stay::Unsure, // large ones may go at once
        Some(age) => Stay::For(age),
    }
}

/// The rules of the configuration. While one of them is wrong there are none: it may have been the one that protects.
pub fn from_config(config: &Config, log: &Log) -> Vec<Rule> {
    const PREFIX: &str = "store.expirerule.";
    let set = config
        .iter()
        .filter_map(|(name, _)| name.strip_prefix(PREFIX)?.rsplit_once('.').map(|(rule, _)| rule));
    let names: BTreeSet<&str> = set.collect();
    let mut rules = Vec::new();
    let mut wrong = false;
    for name in names {
        match rule(config, name) {
            Ok(rule) => rules.push(rule),
            Err(why) => {
                wrong = true;
                let text = format!("ageing: {PREFIX}{name}: {why}; nothing is aged until it is mended");
                log.error(Category::Store, format_args!("{text}"));
            }
        }
    }
    if wrong { Vec::new() } else { rules }
}

fn rule(config: &Config, name: &str) -> Result<Rule, &'static str> {
    let pattern = config.get_in(&store::RULE_PATTERN, name);
    let pattern = pattern.strip_prefix('/').unwrap_or(&pattern);
    if pattern.is_empty() {
        return Err("it has no folderpattern");
    }
    // `user/bob` is bob's INBOX, as everywhere.
    let pattern = match MailboxName::parse(pattern) {
        Ok(plain) if !pattern.contains(['*', '%']) => plain.to_string(),
        _ => pattern.to_owned(),
    };
    let age = |age: Duration| Some(age).filter(|age| !age.is_zero());
    let number = |number: i64| u64::try_from(number).ok().filter(|number| *number > 0);
    let flag = |text: String| match text.trim().to_ascii_lowercase().as_str() {
        "" => Ok(Flag::Ignored),
        "and" => Ok(Flag::And),
        "or" => Ok(Flag::Or),
        _ => Err("seen and deleted are and, or, or not set"),
    };
    let keeps_flagged = match config.get_in(&store::RULE_FLAGGED, name).trim() {
        "" => false,
        "no" => true,
        _ => return Err("flagged is no, or not set"),
    };
    let count = number(config.get_in(&store::RULE_MESSAGE_COUNT, name));
    let large = number(config.get_in(&store::RULE_MESSAGE_SIZE, name));
    Ok(Rule {
        name: name.to_owned(),
        pattern,
        is_exclusive: config.get_in(&store::RULE_EXCLUSIVE, name),
        arrived: age(config.get_in(&store::RULE_MESSAGE_DAYS, name)),
        saved: age(config.get_in(&store::RULE_SAVE_DAYS, name)),
        count: count.map(|count| usize::try_from(count).unwrap_or(usize::MAX)),
        bytes: number(config.get_in(&store::RULE_FOLDER_SIZE, name)),
        large: large.map(|size| (size, config.get_in(&store::RULE_MESSAGE_SIZE_DAYS, name))),
        seen: flag(config.get_in(&store::RULE_SEEN, name))?,
        deleted: flag(config.get_in(&store::RULE_DELETED, name))?,
        keeps_flagged,
    })
}

/// Those of the rules that apply to a mailbox.
pub fn applying<'r>(rules: &'r [Rule], name: &MailboxName) -> Vec<&'r Rule> {
    let mut found: Vec<&Rule> = rules.iter().filter(|rule| name.matches(&rule.pattern)).collect();
    if found.iter().any(|rule| rule.is_exclusive) {
        found.retain(|rule| rule.is_exclusive);
    }
    found.retain(|rule| rule.removes_anything());
    found
}

impl Rule {
    fn removes_anything(&self) -> bool {
        let or = self.seen == Flag::Or || self.deleted == Flag::Or;
        or || self.arrived.is_some()
            || self.saved.is_some()
            || self.count.is_some()
            || self.bytes.is_some()
            || self.large.is_some()
    }

    /// Whether the rule may remove the message at all.
    fn may(&self, message: &Message) -> bool {
        let has = |flag| message.flags.contains(flag);
        !(self.keeps_flagged && has(Flags::FLAGGED)
            || self.seen == Flag::And && !has(Flags::SEEN)
            || self.deleted == Flag::And && !has(Flags::DELETED))
    }

    /// Whether the message has to go by itself, whatever else is in the mailbox.
    fn is_over(&self, message: &Message, now_ns: i64) -> bool {
        let older = |since: i64, age: Duration| {
            now_ns.saturating_sub(since) > i64::try_from(age.as_nanos()).unwrap_or(i64::MAX)
        };
        let has = |flag, is: Flag| is == Flag::Or && message.flags.contains(flag);
        self.arrived.is_some_and(|age| older(message.arrived_ns, age))
            || self.saved.is_some_and(|age| older(message.saved_ns, age))
            || self.large.is_some_and(|(size, age)| message.size > size && older(message.saved_ns, age))
            || has(Flags::SEEN, self.seen)
            || has(Flags::DELETED, self.deleted)
    }
}

/// A message that has to go.
#[derive(Clone, Copy, Debug)]
pub struct Doomed<'r> {
    pub message: Message,
    /// The rule by whose `messagecount` or `foldersizebytes` it goes; else it goes by itself.
    beyond: Option<&'r Rule>,
}

impl Doomed<'_> {
    /// Whether it has to go with the flags that it has now.
    pub fn still_goes(&self, rules: &[&Rule], flags: Flags, now_ns: i64) -> bool {
        let message = Message { flags, ..self.message };
        match self.beyond {
            Some(rule) => rule.may(&message),
            None => goes_by_itself(rules, &message, now_ns),
        }
    }
}

fn goes_by_itself(rules: &[&Rule], message: &Message, now_ns: i64) -> bool {
    rules.iter().any(|rule| rule.may(message) && rule.is_over(message, now_ns))
}

/// The messages that have to go; `messages` are all that are in the mailbox.
pub fn doomed<'r>(rules: &[&'r Rule], messages: Vec<Message>, now_ns: i64) -> Vec<Doomed<'r>> {
    let (gone, mut left): (Vec<Message>, Vec<Message>) =
        messages.into_iter().partition(|message| goes_by_itself(rules, message, now_ns));
    let mut all: Vec<Doomed<'_>> = gone.into_iter().map(|message| Doomed { message, beyond: None }).collect();
    if rules.iter().any(|rule| rule.count.is_some() || rule.bytes.is_some()) {
        left.sort_unstable_by_key(|message| (message.arrived_ns, message.uid));
    }
    for rule in rules {
        let (mut count, mut bytes) = (left.len(), left.iter().map(|message| message.size).sum::<u64>());
        let (most, size) = (rule.count.unwrap_or(usize::MAX), rule.bytes.unwrap_or(u64::MAX));
        left.retain(|message| {
            let goes = (count > most || bytes > size) && rule.may(message);
            if goes {
                (count, bytes) = (count - 1, bytes - message.size);
                all.push(Doomed { message: *message, beyond: Some(rule) });
            }
            !goes
        });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Their UIDs.
    fn doomed(rules: &[&Rule], messages: Vec<Message>, now_ns: i64) -> Vec<u32> {
        super::doomed(rules, messages, now_ns).iter().map(|one| one.message.uid).collect()
    }

    const DAY: i64 = 86_400 * 1_000_000_000;
    const NOW: i64 = 1000 * DAY;

    fn rules(text: &str) -> Vec<Rule> {
        from_config(&Config::from_text(text).unwrap(), &Log::discard())
    }

    fn name(text: &str) -> MailboxName {
        MailboxName::parse(text).unwrap()
    }

    fn message(uid: u32, days: i64, size: u64, flags: Flags) -> Message {
        Message { uid, flags, size, arrived_ns: NOW - days * DAY, saved_ns: NOW - days * DAY }
    }

    fn goes(rule: &str, messages: &[Message]) -> Vec<u32> {
        let text: String = rule
            .split(' ')
            .map(|part| {
                let (criterion, value) = part.split_once('=').unwrap();
                format!("store.expirerule.r.{criterion} = {value}\n")
            })
            .collect();
        let rules = rules(&format!("store.expirerule.r.folderpattern = *\n{text}"));
        let mut uids = doomed(&applying(&rules, &name("user/bob/A")), messages.to_vec(), NOW);
        uids.sort_unstable();
        uids
    }

    #[test]
    fn each_criterion_removes_what_it_says() {
        let all = [
            message(1, 30, 100, Flags::SEEN),
            message(2, 20, 5000, Flags::FLAGGED),
            message(3, 10, 100, Flags::DELETED),
            message(4, 1, 5000, Flags::SEEN | Flags::FLAGGED),
        ];
        for (rule, gone) in [
            ("messagedays=15", &[1, 2][..]),
            ("messagedays=20", &[1]),
            ("savedays=5", &[1, 2, 3]),
            ("messagecount=3", &[1]),
            ("messagecount=4", &[]),
            ("foldersizebytes=5100", &[1, 2]),
            ("messagesize=1000", &[2, 4]),
            ("messagesize=1000 messagesizedays=7", &[2]),
            ("messagedays=5 seen=and", &[1]),
            ("messagedays=15 seen=or", &[1, 2, 4]),
            ("deleted=or", &[3]),
            ("messagecount=2 deleted=and", &[3]),
            ("messagedays=15 flagged=no", &[1]),
            ("messagecount=1 flagged=no", &[1, 3]),
            ("messagedays=25 messagecount=2", &[1, 2]),
            ("exclusive=yes", &[]),
        ] {
            assert_eq!(goes(rule, &all), gone, "{rule}");
        }
    }

    #[test]
    fn what_is_promised_is_the_least_that_any_rule_leaves() {
        let day = |days: u64| Stay::For(Duration::from_secs(days * 86_400));
        for (text, promised) in [
            ("", Stay::Forever),
            ("exclusive=yes", Stay::Forever),
            ("messagedays=30", day(30)),
            ("messagedays=30 savedays=7", day(7)),
            ("messagedays=30 seen=and flagged=no", day(30)),
            ("messagedays=30 messagesize=1000 messagesizedays=3", day(3)),
            ("messagesize=1000", Stay::Unsure),
            ("messagedays=30 messagecount=5", Stay::Unsure),
            ("foldersizebytes=5", Stay::Unsure),
            ("seen=or", Stay::Unsure),
            ("deleted=or", Stay::Forever),
            ("messagedays=2 deleted=and", Stay::Forever),
        ] {
            let criteria = text.split(' ').filter_map(|one| one.split_once('='));
            let text: String =
                criteria.map(|(name, value)| format!("store.expirerule.r.{name} = {value}\n")).collect();
            let rules = rules(&format!("store.expirerule.r.folderpattern = *\n{text}"));
            assert_eq!(stay(&applying(&rules, &name("user/bob/INBOX"))), promised, "{text}");
        }
    }

    #[test]
    fn the_oldest_go_first_though_they_came_last() {
        let moved = [message(1, 1, 10, Flags::NONE), message(2, 300, 10, Flags::NONE)];
        assert_eq!(goes("messagecount=1", &moved), [2]);
    }

    #[test]
    fn an_exclusive_rule_alone_applies_and_others_combine() {
        let right = "store.expirerule.all.folderpattern = *\nstore.expirerule.all.messagedays = 100\n\
             store.expirerule.trash.folderpattern = user/%/Trash\nstore.expirerule.trash.messagedays = 7\n\
             store.expirerule.boss.folderpattern = /user/boss/*\nstore.expirerule.boss.exclusive = yes\n\
             store.expirerule.inbox.folderpattern = user/bob\nstore.expirerule.inbox.messagecount = 5\n";
        // One that is wrong may be the one that protects: then nothing is removed.
        for wrong in [
            "store.expirerule.nowhere.messagedays = 1\n",
            "store.expirerule.wrong.folderpattern = *\nstore.expirerule.wrong.seen = maybe\n",
            "store.expirerule.boss.flagged = yes\n",
        ] {
            assert_eq!(rules(&format!("{right}{wrong}")), [], "{wrong}");
        }
        let rules = rules(right);
        let names = |mailbox: &str| -> Vec<String> {
            applying(&rules, &name(mailbox)).iter().map(|rule| rule.name.clone()).collect()
        };
        assert_eq!(names("user/bob/Trash"), ["all", "trash"]);
        assert_eq!(names("user/bob/INBOX"), ["all", "inbox"]);
        assert_eq!(names("user/boss/Trash"), Vec::<String>::new());
        let two = [message(1, 50, 1, Flags::NONE), message(2, 3, 1, Flags::NONE)];
        assert_eq!(doomed(&applying(&rules, &name("user/bob/Trash")), two.to_vec(), NOW), [1]);
        assert!(doomed(&applying(&rules, &name("user/bob/Sent")), two.to_vec(), NOW).is_empty());
    }

    proptest! {
        #[test]
        fn limits_hold_and_nothing_younger_goes_before_something_older(
            days in prop::collection::vec((0i64..400, 1u64..1000), 0..60),
            count in 1usize..40,
            bytes in 1u64..20_000,
        ) {
            let messages: Vec<Message> = days.iter().enumerate()
                .map(|(place, (days, size))| message(place as u32 + 1, *days, *size, Flags::NONE)).collect();
            let gone = goes(&format!("messagecount={count} foldersizebytes={bytes}"), &messages);
            let left: Vec<&Message> = messages.iter().filter(|message| !gone.contains(&message.uid)).collect();
            prop_assert!(left.len() <= count && left.iter().map(|message| message.size).sum::<u64>() <= bytes);
            let oldest_left = left.iter().map(|message| message.arrived_ns).min().unwrap_or(i64::MAX);
            prop_assert!(messages.iter().filter(|one| gone.contains(&one.uid)).all(|one| one.arrived_ns <= oldest_left));
        }
    }
}

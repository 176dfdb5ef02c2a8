//! The items of a stream, and how they are told in pax records. The table is in `docs/formats/backup.md`.

use message_store::{Acl, Flags, NewAnnotation, Rights, UidSet};
use openssl::base64::{decode_block, encode_block};

pub const VERSION: u32 = 1;
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    Begin(Begin),
    User(User),
    Mailbox(MailboxItem),
    Message(MessageItem),
    End(End),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begin {
    pub version: u32,
    /// Seconds since 1970.
    pub created: i64,
    /// Messages that came into their mailbox since then, seconds since 1970; all when there is none.
    pub since: Option<i64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    pub uid: String,
    pub partition: String,
    /// Of the quota; nothing is unlimited.
    pub bytes: Option<u64>,
    pub messages: Option<u64>,
    pub subscriptions: Vec<String>,
    /// What the user notes about the server.
    pub annotations: Vec<NewAnnotation>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailboxItem {
    pub name: String,
    pub partition: String,
    pub uid_validity: u32,
    pub uid_next: u32,
    pub highest_modseq: u64,
    /// As IMAP spells it; empty for none.
    pub special_use: String,
    pub annotations: Vec<NewAnnotation>,
    /// Nothing when it is not known: streams of before there were any.
    pub acl: Option<Acl>,
    /// Who has \Seen apart, and what each has seen; none without any.
    pub seen: Vec<Reader>,
}

/// A user who has \Seen apart in a mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reader {
    pub uid: String,
    pub seen: UidSet,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageItem {
    pub mailbox: String,
    pub partition: String,
    pub uid_validity: u32,
    pub uid: u32,
    /// The first 16 bytes of the SHA-256 of its bytes.
    pub guid: [u8; 16],
    pub size: u64,
    pub flags: Flags,
    pub keywords: Vec<String>,
    pub internal_date_ns: i64,
    /// Names that the file had; from 2 on others may refer to its bytes.
    pub links: u64,
    /// The bytes came with an earlier message of the same guid.
    pub by_reference: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct End {
    pub mailboxes: u64,
    pub messages: u64,
}

/// Keys and values in the order in which they are written.
pub type Pairs = Vec<(&'static str, String)>;

impl Item {
    /// Where it is in the archive: `primary/user/joe/INBOX/7.msg`.
    pub fn path(&self) -> String {
        match self {
            Item::Begin(_) => "mailboat-backup".into(),
            Item::User(user) => format!("{}/user/{}/", user.partition, user.uid),
            Item::Mailbox(mailbox) => format!("{}/{}/", mailbox.partition, mailbox.name),
            Item::Message(one) => format!("{}/{}/{}.msg", one.partition, one.mailbox, one.uid),
            Item::End(_) => "mailboat-backup-end".into(),
        }
    }

    pub fn pairs(&self) -> Pairs {
        match self {
            Item::Begin(begin) => {
                let mut pairs = vec![
                    ("kind", "begin".to_owned()),
                    ("version", begin.version.to_string()),
                    ("created", begin.created.to_string()),
                ];
                pairs.extend(begin.since.map(|since| ("since", since.to_string())));
                pairs
            }
            Item::User(user) => {
                let mut pairs = vec![
                    ("kind", "user".to_owned()),
                    ("user", user.uid.clone()),
                    ("partition", user.partition.clone()),
                ];
                pairs.extend(user.bytes.map(|bytes| ("quotabytes", bytes.to_string())));
                pairs.extend(user.messages.map(|messages| ("quotamessages", messages.to_string())));
                pairs.push(("subscriptions", user.subscriptions.join("\n")));
                pairs.extend(annotation_lines(&user.annotations));
                pairs
            }
            Item::Mailbox(mailbox) => {
                let mut pairs = vec![
                    ("kind", "mailbox".to_owned()),
                    ("mailbox", mailbox.name.clone()),
                    ("partition", mailbox.partition.clone()),
                    ("uidvalidity", mailbox.uid_validity.to_string()),
                    ("uidnext", mailbox.uid_next.to_string()),
                    ("modseq", mailbox.highest_modseq.to_string()),
                    ("specialuse", mailbox.special_use.clone()),
                ];
                pairs.extend(annotation_lines(&mailbox.annotations));
                pairs.extend(mailbox.acl.as_ref().map(|acl| ("acl", acl_lines(acl))));
                if !mailbox.seen.is_empty() {
                    let lines: Vec<String> = mailbox.seen.iter().map(Reader::line).collect();
                    pairs.push(("seen", lines.join("\n")));
                }
                pairs
            }
            Item::Message(one) => vec![
                ("kind", "message".to_owned()),
                ("mailbox", one.mailbox.clone()),
                ("partition", one.partition.clone()),
                ("uidvalidity", one.uid_validity.to_string()),
                ("uid", one.uid.to_string()),
                ("guid", base::hex::encode(&one.guid)),
                ("size", one.size.to_string()),
                ("flags", flag_names(one.flags)),
                ("keywords", one.keywords.join(" ")),
                ("date", one.internal_date_ns.to_string()),
                ("links", one.links.to_string()),
                ("reference", if one.by_reference { "yes" } else { "no" }.to_owned()),
            ],
            Item::End(end) => vec![
                ("kind", "end".to_owned()),
                ("mailboxes", end.mailboxes.to_string()),
                ("messages", end.messages.to_string()),
            ],
        }
    }

    /// The inverse of [`Item::pairs`]; keys that are not known are passed over. Nothing when something is missing or wrong.
    pub fn of<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Option<Item> {
        let text = |key: &str| get(key).map(str::to_owned);
        let list = |key: &str, by: char| -> Option<Vec<String>> {
            Some(get(key)?.split(by).filter(|one| !one.is_empty()).map(str::to_owned).collect())
        };
        Some(match get("kind")? {
            "begin" => Item::Begin(Begin {
                version: number(get("version"))?,
                created: number(get("created"))?,
                since: optional(get("since"))?,
            }),
            "user" => Item::User(User {
                uid: text("user")?,
                partition: text("partition")?,
                bytes: optional(get("quotabytes"))?,
                messages: optional(get("quotamessages"))?,
                subscriptions: list("subscriptions", '\n')?,
                annotations: annotations(get("annotations"))?,
            }),
            "mailbox" => Item::Mailbox(MailboxItem {
                name: text("mailbox")?,
                partition: text("partition")?,
                uid_validity: number(get("uidvalidity"))?,
                uid_next: number(get("uidnext"))?,
                highest_modseq: number(get("modseq"))?,
                special_use: text("specialuse")?,
                annotations: annotations(get("annotations"))?,
                acl: match get("acl") {
                    None => None,
                    Some(lines) => Some(acl(lines)?),
                },
                seen: get("seen").unwrap_or_default().lines().map(Reader::of).collect::<Option<_>>()?,
            }),
            "message" => Item::Message(MessageItem {
                mailbox: text("mailbox")?,
                partition: text("partition")?,
                uid_validity: number(get("uidvalidity"))?,
                uid: number(get("uid"))?,
                guid: base::hex::decode(get("guid")?)?,
                size: number(get("size"))?,
                flags: flags(get("flags")?)?,
                keywords: list("keywords", ' ')?,
                internal_date_ns: number(get("date"))?,
                links: number(get("links"))?,
                by_reference: get("reference")? == "yes",
            }),
            "end" => {
                Item::End(End { mailboxes: number(get("mailboxes"))?, messages: number(get("messages"))? })
            }
            _ => return None,
        })
    }
}

fn number<T: std::str::FromStr>(text: Option<&str>) -> Option<T> {
    text?.parse().ok()
}

/// Absent is fine, wrong is not.
fn optional<T: std::str::FromStr>(text: Option<&str>) -> Option<Option<T>> {
    match text {
        None => Some(None),
        Some(text) => Some(Some(text.parse().ok()?)),
    }
}

/// One a line: owner, entry, value in base64, tabs between; no record when there are none.
fn annotation_lines(annotations: &[NewAnnotation]) -> Option<(&'static str, String)> {
    let line = |one: &NewAnnotation| {
        Some(format!("{}\t{}\t{}", one.owner, one.entry, encode_block(one.value.as_deref()?)))
    };
    let lines: Vec<String> = annotations.iter().filter_map(line).collect();
    if lines.is_empty() { None } else { Some(("annotations", lines.join("\n"))) }
}

fn annotations(text: Option<&str>) -> Option<Vec<NewAnnotation>> {
    let of = |line: &str| {
        let mut fields = line.split('\t').map(str::to_owned);
        let (owner, entry) = (fields.next()?, fields.next()?);
        Some(NewAnnotation { owner, entry, value: Some(decode_block(&fields.next()?).ok()?) })
    };
    text.unwrap_or_default().lines().map(of).collect()
}

/// One a line: rights, a blank, identifier.
fn acl_lines(acl: &Acl) -> String {
    let lines: Vec<String> =
        acl.entries().map(|(identifier, rights)| format!("{rights} {identifier}")).collect();
    lines.join("\n")
}

fn acl(lines: &str) -> Option<Acl> {
    lines.lines().try_fold(Acl::default(), |mut acl, line| {
        let (rights, identifier) = line.split_once(' ')?;
        acl.set(identifier, Rights::parse(rights.as_bytes())?).ok()?;
        Some(acl)
    })
}

impl Reader {
    /// The uid, a tab, UIDs as IMAP writes them: `bob\t1:4,9`.
    pub fn line(&self) -> String {
        let ranges: Vec<String> = self
            .seen
            .ranges()
            .iter()
            .map(|range| match range.start() == range.end() {
                true => range.start().to_string(),
                false => format!("{}:{}", range.start(), range.end()),
            })
            .collect();
        format!("{}\t{}", self.uid, ranges.join(","))
    }

    fn of(line: &str) -> Option<Reader> {
        let (uid, set) = line.split_once('\t').filter(|(uid, _)| !uid.is_empty())?;
        let ranges: Option<Vec<_>> = set
            .split(',')
            .map(|range| {
                let (first, last) = range.split_once(':').unwrap_or((range, range));
                let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
                (0 < first && first <= last).then_some(first..=last)
            })
            .collect();
        Some(Reader { uid: uid.to_owned(), seen: UidSet::from_ranges(ranges?) })
    }
}

/// `\Seen \Flagged`
pub fn flag_names(flags: Flags) -> String {
    let names: Vec<&str> =
        Flags::NAMES.iter().filter(|(_, flag)| flags.contains(*flag)).map(|(name, _)| *name).collect();
    names.join(" ")
}

fn flags(text: &str) -> Option<Flags> {
    text.split_ascii_whitespace().try_fold(Flags::NONE, |flags, one| Some(flags | Flags::named(one)?))
}

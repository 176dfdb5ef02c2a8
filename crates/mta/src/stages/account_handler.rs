//! account-handler: who a recipient is. Users, alternate addresses, forwarding, nobody; groups are in [`groups`].
//!
//! Forwarding and groups make new recipients in the same envelope, recorded before they are delivered to. A user that
//! forwards and keeps a copy is among the new ones again; whoever is met a second time on the way is delivered to
//! directly, so that forwarding in a circle ends in a mailbox. The ways of an account that has several (a mailbox and a
//! program, a vacation) become recipients of their own likewise.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use directory::{DirectoryError, Entry as Account, Found, Kind, Question};
use mail_queue::{Step, Target};
use server_log::Category;
use srs::NotOurs;

use crate::mta::Desk;
use crate::stages::{copies, groups};
use crate::ways::{self, Way};
use crate::work::{Route, Work};

/// Forwardings and groups one behind the other at most.
pub const CHAIN_MAX: usize = 20;

/// Resolves every recipient that waits, those that come up on the way included.
pub fn run(desk: &Desk, work: &mut Work) {
    if work.entry.envelope.hops >= desk.settings.hops_max {
        let places: Vec<usize> = work.entry.envelope.pending().collect();
        for place in places {
            work.fail(place, "5.4.6", "too many hops: the message is in a loop"); // S44
        }
        return;
    }
    let mut place = 0;
    while place < work.entry.envelope.recipients.len() {
        if work.entry.envelope.recipients[place].state == mail_queue::State::Pending {
            resolve(desk, work, place);
        }
        place += 1;
    }
    copies::run(desk, work);
    desk.directory.forget(work.entry.envelope.id.as_str()); // S56
    if desk.settings.account_handler.log {
        let envelope = &work.entry.envelope;
        desk.log.notice(
            Category::Protocol,
            format_args!("account-handler: {} recipients={}", envelope.id, envelope.recipients.len()),
        );
    }
}

fn resolve(desk: &Desk, work: &mut Work, place: usize) {
    if copies::is_member(work, place) {
        return; // gets a copy when all are known
    }
    let address = work.entry.envelope.recipients[place].address.clone();
    let Some((local, domain)) = address.rsplit_once('@') else {
        return work.fail(place, "5.1.3", "the address has no domain");
    };
    let remote = || desk.settings.remote_domains.iter().any(|pattern| pattern.matches(domain));
    if !desk.settings.domains.contains(domain) || remote() {
        return work.routes.push((place, Route::Elsewhere));
    }
    if let Some(original) = desk.onward.original(local, domain) {
        return rewritten(desk, work, place, original);
    }
    match find(desk, work.entry.envelope.id.as_str(), local, domain) {
        Err(why) => work.delay(why.to_string()),
        Ok((Found::Nobody, _)) if work.way(place) == Some(Way::AutoReply) => {
            let _ = work.entry.record(place, Step::Done); // who is gone answers nobody
        }
        Ok((Found::Nobody, _)) => work.fail(place, "5.1.1", "no such user here"),
        Ok((Found::Several(count), _)) => {
            work.delay(format!("{address} is the address of {count} entries of the directory"));
        }
        Ok((Found::One(account), folder)) => match account.kind {
            Kind::Group => groups::run(desk, work, place, &account),
            Kind::User => user(desk, work, place, account, folder),
        },
    }
}

/// A report comes back to a sender whose mail was forwarded here (SRS); nothing but reports does.
fn rewritten(desk: &Desk, work: &mut Work, place: usize, original: Result<String, NotOurs>) {
    match original {
        Err(why) => work.fail(place, "5.1.1", why.to_string()),
        Ok(_) if work.entry.envelope.sender.is_some() => {
            work.fail(place, "5.7.1", "the address takes reports only");
        }
        Ok(address) => expand(desk, work, place, vec![address], "", Stands::Forwarding),
    }
}

/// The entry of an address, and the sub-address when it has one.
///
/// # Errors
/// As the directory's.
pub fn find(
    desk: &Desk,
    message: &str,
    local: &str,
    domain: &str,
) -> Result<(Found, Option<String>), DirectoryError> {
    directory::recipient(local, domain, &desk.settings.domains, |question| match question {
        Question::Address(address) => desk.directory.by_address_for(message, address),
        Question::Uid(uid) => desk.directory.by_uid(uid),
    })
}

fn user(desk: &Desk, work: &mut Work, place: usize, account: Arc<Account>, folder: Option<String>) {
    if !account.active {
        return work.fail(place, "5.2.1", "the mailbox is disabled");
    }
    let host = account.mail_host.as_deref().unwrap_or("");
    if !host.is_empty() && !host.eq_ignore_ascii_case(&desk.settings.host_name) {
        return hosted_elsewhere(desk, work, place, &account, host);
    }
    if let Some(way) = work.way(place) {
        return take(desk, work, place, account, folder, way);
    }
    let ancestry = work.ancestry(place);
    let met_before = ancestry[1..].iter().any(|address| account.has_address(address));
    let ways = ways::of(&account, work.entry.envelope.sender.as_deref(), base::clock::unix_seconds());
    let only_mailbox = ways.iter().all(|way| *way == Way::Mailbox);
    if !account.forward.is_empty() && !met_before {
        if ancestry.len() > CHAIN_MAX {
            return work.fail(place, "5.2.4", "too many forwardings one behind the other");
        }
        if !only_mailbox {
            return split(desk, work, place, &account.forward, ways, &account);
        }
        let mut to = account.forward.clone();
        if account.delivery.mailbox {
            to.insert(0, account.mail.clone());
        }
        return expand(desk, work, place, to, &account.mail, Stands::Forwarding);
    }
    if !ways.iter().any(ways::delivers) {
        return work.fail(place, "5.2.4", "the forwardings go in a circle");
    }
    if only_mailbox {
        return work.routes.push((place, Route::Mailbox { account, folder }));
    }
    split(desk, work, place, &[], ways, &account);
}

/// A way that was written down in an earlier attempt, or just now.
fn take(desk: &Desk, work: &mut Work, place: usize, account: Arc<Account>, folder: Option<String>, way: Way) {
    if way == Way::Mailbox {
        return work.routes.push((place, Route::Mailbox { account, folder }));
    }
    let programs = ways::programs(&account);
    if matches!(way, Way::Program(_)) && !programs.contains(&way) {
        // Another command stands in the directory now: mended, perhaps because this one failed.
        return match programs.is_empty() {
            true => work.fail(place, "5.2.1", "the account's program was taken away"),
            false => split(desk, work, place, &[], programs, &account),
        };
    }
    work.routes.push((place, Route::Local { account, way }));
}

/// Puts forward addresses and ways in a recipient's place, but for what is among the recipients already.
fn split(desk: &Desk, work: &mut Work, place: usize, forward: &[String], ways: Vec<Way>, account: &Account) {
    let recipients = &work.entry.envelope.recipients;
    let unmet = unmet(desk, work, place, forward.to_vec(), "");
    let mut targets: Vec<Target> = Vec::new();
    for way in ways {
        // A mailbox keeps the sub-address; of the others two addresses of one user are the same.
        let address = match way {
            Way::Mailbox => recipients[place].address.clone(),
            _ => account.mail.clone(),
        };
        let via = Some(way.encode());
        let there = |one: &mail_queue::Recipient| one.via == via && base::idn::same(&one.address, &address);
        if !recipients.iter().any(there) {
            targets.push(Target { address, via });
        }
    }
    targets.extend(self::targets(work, unmet.new, desk.settings.delivered_to));
    // What is no delivery comes last: the first answers for the address that the sender knows (RFC 3461 §5.2.7).
    let answer = Way::AutoReply.encode();
    let is_answer = |target: &Target| target.via.as_ref() == Some(&answer);
    targets.sort_by_key(is_answer);
    let own =
        targets.first().is_some_and(|first| first.via.as_deref().is_some_and(|via| via != copies::MEMBER));
    let alone = targets.iter().filter(|target| !is_answer(target)).count() == 1;
    let wanted = targets.len();
    let step = if own || alone { Step::Ways(targets) } else { told(work, place, targets) };
    replace(work, place, step, wanted);
}

/// Others take a recipient's place; a sender who asked for reports on success is told so.
fn told(work: &Work, place: usize, targets: Vec<Target>) -> Step {
    match work.entry.envelope.wants_success(place) {
        true => Step::Group(targets),
        false if targets.iter().all(|target| target.via.is_none()) => {
            Step::Expanded(targets.into_iter().map(|target| target.address).collect())
        }
        false => Step::Ways(targets),
    }
}

/// The mailbox is on another host of ours: the address is made one of that host, by `enveloperewritemethod`.
fn hosted_elsewhere(desk: &Desk, work: &mut Work, place: usize, account: &Account, host: &str) {
    if work.ancestry(place).len() > CHAIN_MAX {
        return work.fail(place, "5.2.4", "too many forwardings one behind the other");
    }
    let method = desk.settings.envelope_rewrite;
    let routing = account.attributes.get(&desk.settings.routing_attribute);
    let routing = routing.and_then(|values| values.first()).filter(|_| method & 4 != 0);
    let address = work.entry.envelope.recipients[place].address.clone();
    let local = address.rsplit_once('@').map_or(address.as_str(), |(local, _)| local);
    let to = match (routing, account.uid.as_deref()) {
        (Some(routing), _) => routing.to_owned(),
        (None, Some(uid)) if method & 2 != 0 => format!("{uid}@{host}"),
        _ => format!("{local}@{host}"),
    };
    if base::idn::same(&to, &address) || desk.settings.domains.contains(host) {
        // It would come back to us: the router's to say where it goes.
        return work.routes.push((place, Route::Elsewhere));
    }
    expand(desk, work, place, vec![to], "", Stands::Forwarding);
}

/// What an address stands for others by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    Forwarding,
    /// A group; whether its members get a copy.
    Group {
        copied: bool,
    },
}

/// Puts addresses in a recipient's place. Those that have the message already are left out, but for `own`. One address, or
/// `own` among them, answers for the one that the sender knows; a group does not (RFC 3461 §5.2.7).
pub fn expand(desk: &Desk, work: &mut Work, place: usize, to: Vec<String>, own: &str, stands: Stands) {
    let unmet = unmet(desk, work, place, to, own);
    if unmet.new.is_empty() && !unmet.others {
        // Nobody would have it, and nobody would know.
        return work.fail(place, "5.2.4", "the forwardings or groups go in a circle");
    }
    let wanted = unmet.new.len();
    let is_group = stands != Stands::Forwarding;
    let copied = stands == Stands::Group { copied: true } || (!is_group && desk.settings.delivered_to);
    let answers = !is_group && (wanted == 1 || unmet.new.iter().any(|one| base::idn::same(one, own)));
    let targets = targets(work, unmet.new, copied);
    let step = if answers { Step::Ways(targets) } else { told(work, place, targets) };
    replace(work, place, step, wanted);
}

/// Who takes a place, with a copy or not. Who was written to, and whose place was taken by nobody, is met again in this envelope
/// only, so that nothing is done twice.
fn targets(work: &Work, addresses: Vec<String>, copied: bool) -> Vec<Target> {
    let known = by_address(work);
    let via = |address: &str| {
        (copied && !known.contains_key(&base::idn::comparable(address))).then(|| copies::MEMBER.to_owned())
    };
    addresses.into_iter().map(|address| Target { via: via(&address), address }).collect()
}

/// The places of each address, in the form by which addresses are compared.
fn by_address(work: &Work) -> HashMap<String, Vec<usize>> {
    let mut places: HashMap<String, Vec<usize>> = HashMap::new();
    for (place, recipient) in work.entry.envelope.recipients.iter().enumerate() {
        places.entry(base::idn::comparable(&recipient.address)).or_default().push(place);
    }
    places
}

/// What is left of the addresses that are to take a recipient's place.
struct Unmet {
    new: Vec<String>,
    /// Some have the message, or will, without this.
    others: bool,
}

/// The addresses that are no recipients yet, and `own`. One without a domain is in the default one. One that the recipient
/// was made from is left out: it would go in a circle.
fn unmet(desk: &Desk, work: &Work, place: usize, to: Vec<String>, own: &str) -> Unmet {
    let lower = |address: &String| base::idn::comparable(address);
    let ancestry: HashSet<String> = work.ancestry(place).iter().map(lower).collect();
    let there = by_address(work);
    let mut seen = HashSet::new();
    let mut unmet = Unmet { new: Vec::new(), others: false };
    for mut address in to {
        if !address.contains('@') {
            address = format!("{}@{}", address.trim(), desk.settings.domains.default_domain());
        }
        let key = lower(&address);
        if seen.contains(&key) {
            continue;
        }
        if own.is_empty() || !base::idn::same(&address, own) {
            if ancestry.contains(&key) {
                continue;
            }
            if there.get(&key).is_some_and(|places| places.iter().any(|place| work.is_served(*place))) {
                unmet.others = true;
                continue;
            }
        }
        seen.insert(key);
        unmet.new.push(address);
    }
    unmet
}

/// Records that `wanted` new recipients take a place.
fn replace(work: &mut Work, place: usize, step: Step, wanted: usize) {
    let before = work.entry.envelope.recipients.len();
    let recorded = work.entry.record(place, step);
    base::crash::step("expand: written down");
    if work.entry.envelope.recipients.len() < before + wanted {
        return work.fail(place, "5.3.4", "too many recipients");
    }
    if let Err(why) = recorded {
        // Delivering to those who are not written down could happen twice; nobody gets it until they are.
        work.entry.envelope.recipients.truncate(before);
        work.entry.envelope.recipients[place].state = mail_queue::State::Pending;
        work.entry.envelope.recipients[place].expanded = false;
        work.delay(why.to_string());
    }
}

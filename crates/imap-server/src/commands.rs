//! The commands: which is legal when, and the exhaustive match that runs it. One file per verb, UID forms with theirs.

pub mod acl;
pub mod append;
pub mod authenticate;
pub mod cancelupdate;
pub mod capability;
pub mod compress;
pub mod copy;
pub mod create;
pub mod delete;
pub mod enable;
pub mod esearch;
pub mod expunge;
pub mod fetch;
pub mod id;
pub mod idle;
pub mod language;
pub mod list;
pub mod login;
pub mod lsub;
pub mod metadata;
pub mod namespace;
pub mod notify;
pub mod proxyauth;
pub mod quota;
pub mod rename;
pub mod search;
pub mod select;
pub mod sort;
pub mod status;
pub mod store;
pub mod thread;
pub mod uidbatches;
pub mod urlauth;
pub mod xserverinfo;

mod running;

use std::sync::Arc;

use connection::{Io, Next, TlsState};
use counters::Counter;
use imap_wire::{Command, FetchItem, Returned, SortKey};
use message_store::Rights;

use crate::message_limit::Cut;
use crate::names::{self, Pattern};
use crate::refusal::Refusal;
use crate::server::Server;
use crate::session::Doing;
use crate::state::{State, User};
use crate::view::{Allowed, Told, View};

pub use running::{Progress, Running};

/// What a command has come to.
pub enum Outcome {
    /// It is done: `OK`.
    Done(Done),
    /// It goes on whenever the output queue has room.
    Running(Box<Running>),
    /// The session waits for something else than a command.
    Waiting(Doing, Next),
    /// BYE was said.
    LoggedOut,
    /// Nobody is logged in any more.
    Unauthenticated,
    StartTls,
    /// Everything behind the response is compressed at this level.
    Compress(u8),
}

/// A tagged OK, and what may be announced before it.
pub struct Done {
    /// Response code without its brackets; empty for none.
    pub code: String,
    pub text: &'static str,
    pub news: Option<News>,
    /// Messages were expunged: who watches modification sequences is told the highest (RFC 7162 §3.2.7).
    pub tells_modseq: bool,
    /// It was not done for all messages (RFC 9738).
    pub cut: Option<Cut>,
}

/// What of the selected mailbox may be announced, and how.
pub struct News {
    pub allowed: Allowed,
    pub with_uid: bool,
    pub told: Told,
}

impl News {
    /// Everything.
    pub fn all() -> News {
        News { allowed: Allowed::All, with_uid: false, told: Told::new() }
    }

    /// Behind FETCH, STORE or SEARCH: nothing that renumbers, unless it was a UID command (RFC 3501 §7.4.1).
    pub fn behind(uid: bool, told: Told) -> News {
        News { allowed: if uid { Allowed::All } else { Allowed::NoExpunge }, with_uid: uid, told }
    }
}

impl Done {
    /// Without code or news.
    pub fn new(text: &'static str) -> Done {
        Done { code: String::new(), text, news: None, tells_modseq: false, cut: None }
    }

    pub fn with(mut self, news: News) -> Done {
        self.news = Some(news);
        self
    }
}

/// The command does not fit the state.
pub fn not_now(state: &State) -> Refusal {
    Refusal::NotNow(match state {
        State::NotAuthenticated { .. } => "Log in first",
        State::Authenticated(_) => "Select a mailbox first",
        State::Selected { .. } => "You are logged in already",
    })
}

fn user(state: &State) -> Result<Arc<User>, Refusal> {
    state.user().cloned().ok_or_else(|| not_now(state))
}

/// The selected mailbox, which the user may read still.
fn view(state: &mut State) -> Result<&mut View, Refusal> {
    let view = selected(state)?;
    view.may(Rights::READ)?;
    Ok(view)
}

fn selected(state: &mut State) -> Result<&mut View, Refusal> {
    match state {
        State::Selected { view, .. } => Ok(view),
        other => Err(not_now(other)),
    }
}

fn before_login(state: &State) -> Result<(), Refusal> {
    match state {
        State::NotAuthenticated { .. } => Ok(()),
        _ => Err(Refusal::NotNow("You are logged in already")),
    }
}

/// A command that goes on whenever there is room.
fn running(running: Running) -> Outcome {
    Outcome::Running(Box::new(running))
}

fn done(text: &'static str) -> Result<Outcome, Refusal> {
    Ok(Outcome::Done(Done::new(text)))
}

fn done_with_news(text: &'static str) -> Result<Outcome, Refusal> {
    Ok(Outcome::Done(Done::new(text).with(News::all())))
}

/// Runs a command. Untagged responses go to the output queue; the tagged one is the caller's.
///
/// # Errors
/// Why it is not done. Nothing has changed then, unless the command says otherwise.
pub fn run(
    server: &Arc<Server>,
    state: &mut State,
    command: Command,
    tag: &[u8],
    io: &mut Io,
) -> Result<Outcome, Refusal> {
    counters::add(Counter::Commands, 1);
    let store = &server.store;
    let most = server.settings().messages_max;
    if command.has_numbers() && state.user().is_some_and(|user| user.enabled.uid_only()) {
        return Err(Refusal::UidRequired);
    }
    if command.changes_something() && state.user().is_some_and(|user| user.is_anybody) {
        return Err(Refusal::NoPermission);
    }
    server.refresh(state, &mut io.output)?;
    match command {
        Command::Capability => {
            capability::run(state, server, io);
            done("CAPABILITY completed")
        }
        Command::Noop => done_with_news("NOOP completed"),
        Command::Logout => {
            io.output.push(b"* BYE Logging out\r\n");
            Ok(Outcome::LoggedOut)
        }
        Command::Unauthenticate => {
            user(state)?;
            Ok(Outcome::Unauthenticated)
        }
        Command::Id(fields) => {
            id::run(server, &fields, io);
            done("ID completed")
        }
        Command::Enable(names) => {
            let user = user(state)?;
            enable::run(&names, &user, state, &mut io.output);
            done("ENABLE completed")
        }
        Command::StartTls => {
            before_login(state)?;
            match io.tls {
                TlsState::Available => Ok(Outcome::StartTls),
                TlsState::Active { .. } => Err(Refusal::NotNow("TLS is active already")),
                TlsState::Unavailable => Err(Refusal::NotNow("TLS is not available")),
            }
        }
        Command::Compress(mechanism) => {
            user(state)?;
            compress::run(&mechanism, server.settings().compress_level, io)
        }
        Command::Authenticate(asked) => {
            before_login(state)?;
            authenticate::run(server, state, asked, tag, io)
        }
        Command::Login(asked) => {
            before_login(state)?;
            login::run(server, state, &asked, tag, io)
        }
        Command::ProxyAuth(name) => {
            let user = user(state)?;
            proxyauth::run(server, state, &user, &name, io)
        }
        Command::Select(mailbox) => select::run(server, state, &mailbox, false, &mut io.output),
        Command::Examine(mailbox) => select::run(server, state, &mailbox, true, &mut io.output),
        Command::Create(asked) => {
            let code = create::run(server, user(state)?.who(), &asked, &mut io.output)?;
            Ok(Outcome::Done(Done { code, ..Done::new("CREATE completed").with(News::all()) }))
        }
        Command::Delete(mailbox) => {
            let deleted = delete::run(server, user(state)?.who(), names::named(&mailbox)?)?;
            if state.view().is_some_and(|view| view.mailbox.name() == deleted) {
                state.unselect(); // there is nothing left to look at
            }
            done_with_news("DELETE completed")
        }
        Command::Rename(from, to) => {
            let (from, to) = (names::named(&from)?, names::named(&to)?);
            rename::run(server, user(state)?.who(), from, to, &mut io.output)?;
            done_with_news("RENAME completed")
        }
        Command::Subscribe(mailbox) => {
            lsub::change(server, user(state)?.who(), names::named(&mailbox)?, true)?;
            done_with_news("SUBSCRIBE completed")
        }
        Command::Unsubscribe(mailbox) => {
            lsub::change(server, user(state)?.who(), names::named(&mailbox)?, false)?;
            done_with_news("UNSUBSCRIBE completed")
        }
        Command::List(asked) => {
            let user = user(state)?;
            if is_root(&asked) {
                list::root(&mut io.output);
                return done_with_news("LIST completed");
            }
            if asked.returns.status.contains(&imap_wire::StatusItem::HighestModSeq) {
                enable::condstore(&user, state, &mut io.output);
            }
            let patterns = patterns(&asked)?;
            let append_bytes_max = server.settings().append_bytes_max;
            let list = list::List::new(store, user.who(), patterns, &asked, append_bytes_max)?;
            Ok(running(Running::List(list)))
        }
        Command::Lsub(asked) => {
            let user = user(state)?;
            match patterns(&asked)?.pop() {
                Some(pattern) => {
                    let lsub = lsub::Lsub::new(store, user.who(), pattern)?;
                    Ok(running(Running::Lsub(lsub)))
                }
                None => done_with_news("LSUB completed"), // no such name exists
            }
        }
        Command::Status(asked) => {
            let user = user(state)?;
            let append_bytes_max = server.settings().append_bytes_max;
            status::run(server, user.who(), &asked, append_bytes_max, &mut io.output)?;
            if asked.items.contains(&imap_wire::StatusItem::HighestModSeq) {
                enable::condstore(&user, state, &mut io.output);
            }
            done_with_news("STATUS completed")
        }
        Command::Namespace => {
            namespace::run(user(state)?.who(), &mut io.output);
            done_with_news("NAMESPACE completed")
        }
        Command::GetJmapAccess => {
            let user = user(state)?;
            let url = server.settings().jmap_url.clone().filter(|_| user.has_jmap);
            let url = url.ok_or(Refusal::Cannot("No JMAP for this log-in"))?;
            io.output.push(b"* JMAPACCESS ");
            io.output.push(&imap_wire::quote(url.as_bytes()));
            io.output.push(b"\r\n");
            done_with_news("GETJMAPACCESS completed")
        }
        Command::GetQuota(root) => {
            quota::get(store, user(state)?.who(), &root, &mut io.output)?;
            done_with_news("GETQUOTA completed")
        }
        Command::GetQuotaRoot(mailbox) => {
            quota::get_root(server, user(state)?.who(), names::named(&mailbox)?, &mut io.output)?;
            done_with_news("GETQUOTAROOT completed")
        }
        Command::SetQuota(asked) => {
            let user = user(state)?;
            quota::set(server, &user, &asked, &mut io.output)?;
            done_with_news("SETQUOTA completed")
        }
        Command::GetMetadata(asked) => {
            let user = user(state)?;
            metadata::get(server, &user, &asked, &mut io.output)
        }
        Command::SetMetadata(asked) => {
            let user = user(state)?;
            metadata::set(server, &user, &asked)
        }
        Command::GenUrlAuth(rumps) => {
            urlauth::generate(server, &*user(state)?, &rumps, &mut io.output)?;
            io.mask_output = true; // who has such a URL reads what it names
            done_with_news("GENURLAUTH completed")
        }
        Command::ResetKey(asked) => {
            let code = urlauth::reset(server, &*user(state)?, asked.as_ref())?.to_owned();
            Ok(Outcome::Done(Done { code, ..Done::new("RESETKEY completed").with(News::all()) }))
        }
        Command::UrlFetch(urls) => {
            user(state)?;
            Ok(running(Running::UrlFetch(urlauth::Fetching::new(urls, io))))
        }
        Command::SetAcl(asked) => {
            let user = user(state)?;
            acl::set(server, &user, &asked)?;
            done_with_news("SETACL completed")
        }
        Command::DeleteAcl(asked) => {
            let user = user(state)?;
            acl::delete(server, &user, &asked)?;
            done_with_news("DELETEACL completed")
        }
        Command::GetAcl(mailbox) => {
            acl::get(server, user(state)?.who(), names::named(&mailbox)?, &mut io.output)?;
            done_with_news("GETACL completed")
        }
        Command::ListRights(asked) => {
            acl::list_rights(server, user(state)?.who(), &asked, &mut io.output)?;
            done_with_news("LISTRIGHTS completed")
        }
        Command::MyRights(mailbox) => {
            acl::my_rights(server, user(state)?.who(), names::named(&mailbox)?, &mut io.output)?;
            done_with_news("MYRIGHTS completed")
        }
        Command::Notify(asked) => notify::run(server, state, asked, io),
        Command::Netscape => {
            let user = user(state)?;
            xserverinfo::netscape(server, &user, &mut io.output);
            done_with_news("NETSCAPE completed")
        }
        Command::XServerInfo(names) => {
            let user = user(state)?;
            xserverinfo::of_server(server, &user, &names, &mut io.output);
            done_with_news("XSERVERINFO completed")
        }
        Command::XMailboxInfo(asked) => {
            let user = user(state)?;
            xserverinfo::of_mailbox(server, &user, &asked, &mut io.output)?;
            done_with_news("XMAILBOXINFO completed")
        }
        Command::Idle => {
            user(state)?;
            idle::run(store, state, tag, io)
        }
        Command::Check => {
            view(state)?;
            done_with_news("CHECK completed") // every change is durable when it is answered
        }
        Command::Close => {
            let highest = expunge::on_close(selected(state)?)?;
            state.unselect();
            let mut done = Done::new("CLOSE completed");
            done.code = highest.map_or_else(String::new, |highest| format!("HIGHESTMODSEQ {highest}"));
            Ok(Outcome::Done(done))
        }
        Command::Unselect => {
            selected(state)?;
            state.unselect();
            done("UNSELECT completed")
        }
        Command::Expunge(uids) => {
            let (tells_modseq, cut) = expunge::run(view(state)?, uids.as_ref(), most)?;
            Ok(Outcome::Done(Done { tells_modseq, cut, ..Done::new("EXPUNGE completed").with(News::all()) }))
        }
        Command::Search(mut asked) => {
            let user = user(state)?;
            if user.enabled.rev2() {
                asked.returned.get_or_insert(Returned { all: true, ..Returned::default() }); // RFC 9051 §6.4.4
            }
            if asked.names_charset && user.enabled.utf8_accept() {
                return Err(Refusal::Syntax("Texts are UTF-8 after ENABLE UTF8=ACCEPT")); // RFC 9755 §3
            }
            let saves = asked.returned.is_some_and(|returned| returned.save);
            let view = view(state)?;
            if let Some(returned) = &mut asked.returned {
                let is_whole = most.is_none_or(|most| view.exists() <= most);
                let is_possible = asked.uid && !asked.key.has_sets() && is_whole;
                cancelupdate::check(returned, tag, is_possible, view, &mut io.output)?;
            }
            let search = search::Search::new(asked, view, tag, most).inspect_err(|refusal| {
                if saves && !refusal.is_bad() {
                    view.save(Default::default()); // RFC 5182 §2.1
                }
            })?;
            if search.asks_for_modseq() {
                enable::condstore(&user, state, &mut io.output);
            }
            Ok(running(Running::Search(search)))
        }
        Command::Language(ranges) => {
            language::run(&ranges, &mut io.output)?;
            done("LANGUAGE completed")
        }
        Command::CancelUpdate(tags) => {
            cancelupdate::run(view(state)?, &tags)?;
            done_with_news("CANCELUPDATE completed")
        }
        Command::ESearch(asked) => esearch::run(server, state, asked, tag, &mut io.output),
        Command::Sort(mut asked) => {
            let user = user(state)?;
            let saves = asked.returned.is_some_and(|returned| returned.save);
            let view = view(state)?;
            if let Some(returned) = &mut asked.returned {
                let is_whole = most.is_none_or(|most| view.exists() <= most);
                let is_possible = asked.uid && !asked.key.has_sets() && is_whole;
                // How well a message matches is not known of it later.
                let by_score = asked.criteria.iter().any(|one| one.key == SortKey::Relevancy);
                cancelupdate::check(returned, tag, is_possible && !by_score, view, &mut io.output)?;
            }
            let sort = sort::Sort::new(asked, view, tag, most).inspect_err(|refusal| {
                if saves && !refusal.is_bad() {
                    view.save(Default::default()); // RFC 5182 §2.1
                }
            })?;
            if sort.asks_for_modseq() {
                enable::condstore(&user, state, &mut io.output);
            }
            Ok(running(Running::Sort(sort)))
        }
        Command::Thread(asked) => {
            let user = user(state)?;
            let thread = thread::Thread::new(asked, view(state)?, most)?;
            if thread.asks_for_modseq() {
                enable::condstore(&user, state, &mut io.output);
            }
            Ok(running(Running::Thread(thread)))
        }
        Command::Fetch(asked) => {
            let user = user(state)?;
            if asked.vanished && !user.enabled.qresync() {
                return Err(Refusal::NotNow("ENABLE QRESYNC first")); // RFC 7162 §3.2.6
            }
            let wants_modseq = asked.changed_since.is_some() || asked.items.contains(&FetchItem::ModSeq);
            let fetch = fetch::Fetch::new(asked, view(state)?, most)?;
            if wants_modseq {
                enable::condstore(&user, state, &mut io.output);
            }
            Ok(running(Running::Fetch(fetch)))
        }
        Command::UidBatches(asked) => {
            uidbatches::run(view(state)?, &asked, tag, &mut io.output)?;
            Ok(Outcome::Done(Done::new("UIDBATCHES completed").with(News::behind(true, Vec::new()))))
        }
        Command::Store(asked) => {
            let user = user(state)?;
            let wants_modseq = asked.unchanged_since.is_some();
            let store = store::StoreFlags::new(asked, view(state)?, most)?;
            if wants_modseq {
                enable::condstore(&user, state, &mut io.output);
            }
            Ok(running(Running::Store(store)))
        }
        Command::Copy(asked) => copy::run(server, state, &asked, copy::Kind::Copy, &mut io.output),
        Command::Move(asked) => copy::run(server, state, &asked, copy::Kind::Move, &mut io.output),
    }
}

/// An empty name behind any reference asks for the separator (RFC 3501 §6.3.8), but in the extended form (RFC 5258 §3).
fn is_root(asked: &imap_wire::command::list::List) -> bool {
    let is_empty = |pattern: &imap_wire::Mailbox| names::named(pattern).is_ok_and(str::is_empty);
    !asked.is_extended && asked.patterns.iter().all(is_empty)
}

/// The patterns; one that is the modified UTF-7 of no name is left out, as is an empty one in the extended form.
fn patterns(asked: &imap_wire::command::list::List) -> Result<Vec<Pattern>, Refusal> {
    let Ok(reference) = names::named(&asked.reference) else { return Ok(Vec::new()) };
    let names = asked.patterns.iter().filter_map(|pattern| names::named(pattern).ok());
    names
        .filter(|name| !asked.is_extended || !name.is_empty())
        .map(|name| Pattern::read(reference, name))
        .collect()
}

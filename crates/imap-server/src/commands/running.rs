//! Commands that go on when the output queue has drained.

use connection::Output;

use super::esearch::ESearch;
use super::fetch::Fetch;
use super::list::List;
use super::lsub::Lsub;
use super::notify::Setting;
use super::search::Search;
use super::sort::Sort;
use super::store::StoreFlags;
use super::thread::Thread;
use super::urlauth::Fetching;
use super::{Done, News};
use crate::answer;
use crate::refusal::Refusal;
use crate::server::Server;
use crate::state::State;

/// Whether a command came to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    More,
    Done,
}

/// A command under way.
pub enum Running {
    Fetch(Fetch),
    Search(Search),
    /// In several mailboxes.
    ESearch(Box<ESearch>),
    Sort(Sort),
    Thread(Thread),
    Store(StoreFlags),
    List(List),
    Lsub(Lsub),
    Notify(Setting),
    UrlFetch(Fetching),
    /// SELECT with QRESYNC: what the client has missed, then the code of the tagged response.
    Resync(Fetch, Done),
}

impl Running {
    /// Does the next piece.
    ///
    /// # Errors
    /// The command ends with this refusal.
    pub fn step(
        &mut self,
        server: &Server,
        state: &mut State,
        out: &mut Output,
    ) -> Result<Progress, Refusal> {
        match (self, state) {
            (Running::List(list), state) => match state.user() {
                Some(user) => list.step(server, user.who(), out),
                None => Err(super::not_now(state)),
            },
            (Running::ESearch(search), state) => match state.user() {
                Some(user) => search.step(server, user, out),
                None => Err(super::not_now(state)),
            },
            (Running::UrlFetch(fetching), state) => match state.user() {
                Some(user) => Ok(fetching.step(server, user, out)),
                None => Err(super::not_now(state)),
            },
            (Running::Lsub(lsub), state) => Ok(lsub.step(state.naming(), out)),
            (Running::Notify(setting), state) => setting.step(server, state, out),
            (Running::Fetch(fetch), State::Selected { view, .. }) => fetch.step(view, out),
            (Running::Resync(fetch, _), State::Selected { view, .. }) => fetch.step(view, out),
            (Running::Search(search), State::Selected { view, .. }) => search.step(view, out),
            (Running::Sort(sort), State::Selected { view, .. }) => sort.step(view, out),
            (Running::Thread(thread), State::Selected { view, .. }) => thread.step(view, out),
            (Running::Store(store), State::Selected { view, .. }) => store.step(view, out),
            (_, state) => Err(super::not_now(state)),
        }
    }

    /// `* OK [INPROGRESS ("A001" 175 1000)] Still at it`, between two responses (RFC 9585 §4). False: one is half written, or
    /// the command is none that takes long.
    pub fn tell_progress(&self, tag: &[u8], state: &mut State, out: &mut Output) -> bool {
        let Some(view) = state.view() else { return false };
        let progress = match self {
            Running::Search(search) => search.progress(view),
            Running::Sort(sort) => sort.progress(view),
            Running::Thread(thread) => thread.progress(view),
            _ => None,
        };
        let Some((done, goal)) = progress.filter(|(_, goal)| *goal > 0) else { return false };
        let tag = String::from_utf8_lossy(tag);
        let code = format!("INPROGRESS (\"{tag}\" {done} {goal})");
        answer::tagged(out, b"*", "OK", &code, "Still at it");
        true
    }

    /// What the tagged response says after the last piece.
    ///
    /// # Errors
    /// Some of it could not be done.
    pub fn end(self) -> Result<Done, Refusal> {
        Ok(match self {
            Running::Fetch(fetch) => {
                if let Some(trouble) = fetch.trouble {
                    return Err(trouble);
                }
                if fetch.missing {
                    return Err(Refusal::ExpungeIssued);
                }
                let news = News::behind(fetch.uid, fetch.told);
                Done { cut: fetch.cut, ..Done::new("FETCH completed").with(news) }
            }
            Running::Search(search) => {
                let news = News::behind(search.uid, Vec::new());
                Done { cut: search.cut, ..Done::new("SEARCH completed").with(news) }
            }
            Running::ESearch(_) => Done::new("ESEARCH completed").with(News::all()),
            Running::Sort(sort) => Done::new("SORT completed").with(News::behind(sort.uid, Vec::new())),
            Running::Thread(thread) => {
                Done::new("THREAD completed").with(News::behind(thread.uid, Vec::new()))
            }
            Running::Lsub(_) => Done::new("LSUB completed").with(News::all()),
            Running::Store(store) => {
                let code = store.modified();
                let text = if code.is_empty() { "STORE completed" } else { "Some messages had changed" };
                Done { code, cut: store.cut, ..Done::new(text).with(News::behind(store.uid, store.told)) }
            }
            Running::Resync(_, done) => done,
            Running::Notify(setting) => setting.end().1, // the session takes what is watched
            Running::UrlFetch(Fetching { trouble: Some(trouble), .. }) => return Err(trouble),
            Running::UrlFetch(_) => Done::new("URLFETCH completed").with(News::all()),
            Running::List(_) => Done::new("LIST completed").with(News::all()),
        })
    }
}

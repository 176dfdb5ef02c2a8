//! IDLE: changes are told as they happen (RFC 2177).
//!
//! The watch is set before the first look, so that nothing falls between them.

use connection::{Io, Next};
use message_store::Store;

use super::{News, Outcome, Progress};
use crate::announcement::Announcement;
use crate::refusal::Refusal;
use crate::session::Doing;
use crate::state::{Idling, State};
use crate::view::View;

pub fn run(store: &Store, state: &mut State, tag: &[u8], io: &mut Io) -> Result<Outcome, Refusal> {
    let mut idling = Idling { tag: tag.into(), news: None, _watch: None, _watch_seen: None };
    if let Some(view) = state.view() {
        let waker = io.waker();
        idling._watch = Some(store.watch(&view.mailbox, Box::new(move || waker.wake())));
        if let Some(apart) = &view.apart {
            let waker = io.waker();
            idling._watch_seen = Some(store.watch_seen(&apart.by, Box::new(move || waker.wake())));
        }
        idling.news = look(view)?;
    }
    io.output.push(b"+ idling\r\n");
    let next = tell(&mut idling, state, io);
    Ok(Outcome::Waiting(Doing::Idling(Box::new(idling)), next))
}

/// What is new in the mailbox.
pub fn look(view: &mut View) -> Result<Option<Announcement>, Refusal> {
    let news = News::all();
    Ok(view.announce(news.allowed, &news.told, news.with_uid)?)
}

/// Tells what is new, in pieces; then DONE is waited for.
pub fn tell(idling: &mut Idling, state: &mut State, io: &mut Io) -> Next {
    if let (Some(news), Some(view)) = (&mut idling.news, state.view()) {
        if news.step(view, &mut io.output) == Progress::More {
            return Next::Resume;
        }
    }
    idling.news = None;
    Next::Line
}

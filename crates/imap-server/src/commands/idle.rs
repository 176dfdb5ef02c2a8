//! IDLE: changes are told as they happen (RFC 2177).
//!
//! The watch is set before the first look, so that nothing falls between them.

use connection::{Io, Next};
use message_store::Store;

use super::{News, Outcome};
use crate::refusal::Refusal;
use crate::session::Doing;
use crate::state::{Idling, State};

pub fn run(store: &Store, state: &mut State, tag: &[u8], io: &mut Io) -> Result<Outcome, Refusal> {
    let mut watch = None;
    if let Some(view) = state.view() {
        let waker = io.waker();
        watch = Some(store.watch(&view.mailbox, Box::new(move || waker.wake())));
        io.output.push(b"+ idling\r\n");
        let news = News::all();
        view.announce(news.allowed, &news.told, news.with_uid, &mut io.output)?;
    } else {
        io.output.push(b"+ idling\r\n");
    }
    Ok(Outcome::Waiting(Doing::Idling(Box::new(Idling { tag: tag.into(), _watch: watch })), Next::Line))
}

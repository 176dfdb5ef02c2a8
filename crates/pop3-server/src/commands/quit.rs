//! QUIT: in the transaction state, what was marked is removed, durably, before `+OK` (RFC 1939 §6).

use connection::Io;
use pop3_wire::answer;
use server_log::Category;

use crate::session::{Outcome, Session};
use crate::state::State;

pub fn run(session: &mut Session, io: &mut Io) -> Outcome {
    let state = std::mem::replace(&mut session.state, State::Closing);
    let State::Transaction { uid, maildrop } = state else {
        io.output.push(&answer::ok("Goodbye"));
        return Outcome::Last;
    };
    let (said, deleted) = match maildrop.update() {
        Ok(count) => (answer::ok("Goodbye"), count),
        Err(why) => {
            session.desk.log.error(Category::Store, format_args!("{uid}: nothing was deleted: {why}"));
            (answer::err("[SYS/TEMP] Messages could not be deleted; all are still there"), 0)
        }
    };
    io.output.push(&said);
    session.desk.log.notice(
        Category::Account,
        format_args!(
            "session {} end: user {uid} from {}, retrieved {}, deleted {deleted}, in {}, out {}: logged out",
            io.number,
            io.peer.ip().to_canonical(),
            maildrop.retrieved,
            io.bytes_in,
            io.bytes_out
        ),
    );
    Outcome::Last
}

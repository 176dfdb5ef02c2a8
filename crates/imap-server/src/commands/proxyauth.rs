//! PROXYAUTH: an administrator of the store becomes a user, without the user's password. // NMS: guide lines 739-752

use std::sync::Arc;

use connection::Io;
use directory::{BadLogIn, NoDeputy, Service, log_line};

use super::{Outcome, done, login};
use crate::refusal::Refusal;
use crate::server::Server;
use crate::state::{State, User};

pub fn run(
    server: &Server,
    state: &mut State,
    user: &User,
    name: &[u8],
    io: &mut Io,
) -> Result<Outcome, Refusal> {
    let admin = match &user.proxied_by {
        Some(admin) => admin,
        None if user.is_admin => &user.uid,
        None => return Err(Refusal::NoPermission),
    };
    let name = std::str::from_utf8(name).map_err(|_| Refusal::Cannot("No such user"))?;
    let enabled = user.enabled.clone();
    let user = User { enabled, ..become_user(server, admin, name, "PROXYAUTH", io)? };
    *state = State::Authenticated(Arc::new(user));
    done("PROXYAUTH completed")
}

/// The user `name`, on behalf of an administrator.
///
/// # Errors
/// See [`directory::NoDeputy`]; the user may not come in from there.
pub fn become_user(
    server: &Server,
    admin: &str,
    name: &str,
    method: &'static str,
    io: &Io,
) -> Result<User, Refusal> {
    let directory = server.log_ins.authenticator().directory();
    let (deputies, peer) = (&server.settings().deputies, io.peer.ip());
    let refused = |why: &str| {
        let line = BadLogIn { peer, login: admin, why, session: io.number };
        line.tell(&server.log);
    };
    match deputies.act_for(directory.as_ref(), Service::Imap, admin, name, peer) {
        Ok(entry) => login::admit(server, &entry, Some(admin), method, io),
        Err(NoDeputy::NotPermitted(why)) => {
            refused(why);
            Err(Refusal::NoPermission)
        }
        Err(NoDeputy::NoSuchUser) => {
            refused(log_line::NOBODY_TO_ACT_FOR);
            Err(Refusal::Cannot("No such user"))
        }
        Err(NoDeputy::Disallowed) => {
            refused(log_line::NOT_ALLOWED);
            Err(Refusal::Disallowed)
        }
        Err(NoDeputy::Unavailable(why)) => {
            refused(&why);
            Err(Refusal::Unavailable)
        }
    }
}

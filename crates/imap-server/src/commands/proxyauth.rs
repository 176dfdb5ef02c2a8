//! PROXYAUTH: an administrator of the store becomes a user, without the user's password. // NMS: guide lines 739-752

use std::sync::Arc;

use connection::Io;
use directory::Found;
use server_log::Category;

use super::{Outcome, done};
use crate::refusal::Refusal;
use crate::server::Server;
use crate::state::{Enabled, State, User};

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
    let user = User { enabled, ..become_user(server, admin, name, io)? };
    *state = State::Authenticated(Arc::new(user));
    done("PROXYAUTH completed")
}

/// The user `name`, on behalf of an administrator.
pub fn become_user(server: &Server, admin: &str, name: &str, io: &Io) -> Result<User, Refusal> {
    let entry = match server.log_ins.authenticator().directory().by_uid(name) {
        Ok(Found::One(entry)) => entry,
        Ok(_) => return Err(Refusal::Cannot("No such user")),
        Err(_) => return Err(Refusal::Unavailable),
    };
    let Some(uid) = entry.uid.clone() else { return Err(Refusal::Cannot("No such user")) };
    server.store.ensure_user_in(&uid, entry.partition.as_deref())?;
    super::login::first_limits(server, &uid, &entry)?;
    let (number, peer) = (io.number, io.peer.ip());
    let (shown, by) = (base::escape(&uid), base::escape(admin));
    let text = format_args!("session {number} PROXYAUTH: user {shown} by {by} from {peer}");
    server.log.notice(Category::Account, text);
    let is_admin = server.settings().is_admin(&uid);
    Ok(User { is_admin, uid, proxied_by: Some(admin.to_owned()), enabled: Enabled::default() })
}

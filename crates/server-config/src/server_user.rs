//! As whom daemons and tools of an instance act when root starts them.

use crate::Config;
use crate::parameters::local;

/// Root becomes `local.serveruid`, if that is set; anybody else stays. Ports below 1024 can still be bound then.
///
/// # Errors
/// One line: there is no such user, or the system refuses.
pub fn become_it(config: &Config) -> Result<(), String> {
    become_by(config, os::privileges::become_user)
}

/// As [`become_it`], for a tool that reads what belongs to others: root keeps the right to read everything, and no other.
///
/// # Errors
/// As [`become_it`].
pub fn become_it_and_read_all(config: &Config) -> Result<(), String> {
    become_by(config, os::privileges::become_reader)
}

/// As [`become_it_and_read_all`], for a tool that also removes what it read.
///
/// # Errors
/// As [`become_it`].
pub fn become_it_and_remove(config: &Config) -> Result<(), String> {
    become_by(config, os::privileges::become_remover)
}

fn become_by(config: &Config, become_user: fn(u32, u32) -> std::io::Result<()>) -> Result<(), String> {
    if os::process::own_uid() != 0 {
        return Ok(());
    }
    let Some((uid, gid)) = numbers(config)? else { return Ok(()) };
    become_user(uid, gid).map_err(|why| format!("local.serveruid: cannot become {uid}:{gid}: {why}"))
}

/// Numbers of `local.serveruid` and `local.servergid`; nothing when they are not set.
///
/// # Errors
/// One line: no such user or group, or root.
pub fn numbers(config: &Config) -> Result<Option<(u32, u32)>, String> {
    let (user, group) = (config.get(&local::SERVERUID), config.get(&local::SERVERGID));
    let (user, group) = (user.trim(), group.trim());
    if user.is_empty() {
        return if group.is_empty() {
            Ok(None)
        } else {
            Err("local.servergid is set and local.serveruid is not".into())
        };
    }
    let known = os::user::numbers_of(user).map_err(|why| format!("local.serveruid: {why}"))?;
    let (uid, usual) = match (known, user.parse::<u32>()) {
        (Some((uid, gid)), _) => (uid, Some(gid)),
        (None, Ok(uid)) => (uid, None),
        (None, Err(_)) => return Err(format!("local.serveruid: there is no user {}", base::escape(user))),
    };
    let gid =
        match (os::user::group_number_of(group).map_err(|why| format!("local.servergid: {why}"))?, usual) {
            (Some(gid), _) => gid,
            (None, Some(usual)) if group.is_empty() => usual,
            (None, _) if group.is_empty() => {
                return Err(format!("local.servergid must be set: {uid} is nobody's number"));
            }
            (None, _) => return Err(format!("local.servergid: there is no group {}", base::escape(group))),
        };
    if uid == 0 || gid == 0 {
        return Err("local.serveruid and local.servergid cannot be root; leave them unset".into());
    }
    Ok(Some((uid, gid)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_is_named_or_numbered_and_is_not_root() {
        let numbers = |text: &str| numbers(&Config::from_text(text).unwrap());
        assert_eq!(numbers(""), Ok(None));
        let daemon = numbers("local.serveruid = daemon\n").unwrap().unwrap();
        assert_ne!(daemon.0, 0);
        assert_eq!(numbers("local.serveruid = 4711\nlocal.servergid = 4712\n"), Ok(Some((4711, 4712))));
        assert_eq!(numbers("local.serveruid = daemon\nlocal.servergid = 4712\n"), Ok(Some((daemon.0, 4712))));
        for (wrong, said) in [
            ("local.serveruid = nosuchuser\n", "no user nosuchuser"),
            ("local.serveruid = 4711\n", "local.servergid must be set"),
            ("local.serveruid = daemon\nlocal.servergid = nosuchgroup\n", "no group nosuchgroup"),
            ("local.servergid = daemon\n", "local.serveruid is not"),
            ("local.serveruid = root\n", "cannot be root"),
            ("local.serveruid = 0\nlocal.servergid = 0\n", "cannot be root"),
        ] {
            assert!(numbers(wrong).unwrap_err().contains(said), "{wrong}");
        }
    }
}

//! What the process apart gives up, and so what the programs that it runs can never have.
//!
//! Its rights are those that it needs (`os::privileges::keep_for_deliveries`), and a program has none of them, for it is
//! another user's. Rights cannot be gained, and system calls that nobody needs to deliver mail are refused
//! (`os::syscalls::programs`). Files and ports stay open: a program inherits what confines this process, and may go wherever its
//! user may; nobody else knows where that is. And to this process, which can become anybody, files would be no hindrance.

use dispatcher::privileges::Level;

/// Confines this process, which has no other threads yet, and says which layers are in force.
///
/// # Errors
/// One line: rights cannot be given up, or `level` requires what cannot be had.
pub fn confine(level: Level) -> Result<String, String> {
    let failed = |what: &str, why: std::io::Error| format!("privileges of deliveries apart: {what}: {why}");
    let mut rights = "capabilities none".to_owned();
    let user = os::user::current().map_or_else(|| os::process::own_uid().to_string(), |user| user.name);
    if os::process::own_uid() == 0 {
        let (kept, has_left_groups) =
            os::privileges::keep_for_deliveries().map_err(|why| failed("capabilities", why))?;
        if !has_left_groups && level == Level::Require {
            return Err(failed("groups", std::io::ErrorKind::PermissionDenied.into()));
        }
        os::privileges::hide_memory().map_err(|why| failed("the process's memory", why))?;
        let groups =
            if has_left_groups { "no further groups" } else { "groups as they were (not permitted)" };
        rights = format!("capabilities {}, {groups}", kept.join(" "));
    } else {
        os::privileges::give_up_capabilities().map_err(|why| failed("capabilities", why))?;
    }
    let enforced = if level == Level::Off {
        "not confined (local.sandbox)".to_owned()
    } else {
        os::privileges::gain_no_more().map_err(|why| failed("gain of rights", why))?;
        let refused = |count| format!("{count} system calls refused");
        let calls = level.calls(os::syscalls::programs::limit(), refused)?;
        format!("no gain of rights, {calls}")
    };
    Ok(format!("Privileges of deliveries apart: user {user}, {rights}, {enforced}"))
}

/// As it goes to smtpd.
pub fn encode(confined: &Result<String, String>) -> Vec<u8> {
    let (mark, text) = match confined {
        Ok(text) => ('+', text),
        Err(why) => ('-', why),
    };
    format!("{mark}{text}").into_bytes()
}

/// As it was at the other end.
///
/// # Errors
/// What it says; or these bytes are none.
pub fn decode(packet: &[u8]) -> Result<String, String> {
    let text = String::from_utf8_lossy(packet);
    match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(text), _) => Ok(text.to_owned()),
        (_, Some(why)) => Err(why.to_owned()),
        _ => Err("the process for deliveries apart says nothing that is known".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_says_arrives_as_it_was_said() {
        for said in [Ok("in force: +- all".to_owned()), Err("- no".to_owned()), Ok(String::new())] {
            assert_eq!(decode(&encode(&said)), said);
        }
        assert!(decode(b"").is_err() && decode(b"\xff").is_err());
    }
}

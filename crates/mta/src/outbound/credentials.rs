//! The file that says as whom this host logs in where (RFC 4954): one line for each host, of three words,
//!
//! ```text
//! # host                   user        password
//! smtp.example.net         shop        correct horse battery
//! smtp.example.net:465     shop        other
//! ```
//!
//! the host as `smarthosts` has it, in brackets or not, the password being the rest of the line. A line with a port counts for that port alone, and before one without. The
//! file is read at each connection, so that it can be changed at any time, and only while nobody but its owner may read
//! or write it.

use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use base::next_hop::NextHop;
use server_config::SecretFile;
use smtp_client::Credentials;

/// Bytes of the file at most.
const BYTES_MAX: u64 = 256 * 1024;

/// As whom to log in at `host`, port `port`; nothing when the file does not name it.
///
/// # Errors
/// The file cannot be read, or others could read it: one line, without a word of its content.
pub fn find(file: &SecretFile, host: &str, port: u16) -> Result<Option<Credentials>, String> {
    let told = |why: &dyn std::fmt::Display| format!("{}: {why}", file.path.display());
    let too_open = file.too_open();
    let file = File::open(&file.path).map_err(|why| told(&why))?;
    let meta = file.metadata().map_err(|why| told(&why))?;
    let mode = meta.permissions().mode() & 0o777;
    if !meta.is_file() {
        return Err(told(&"it is no file"));
    }
    if mode & too_open != 0 {
        return Err(told(&format_args!("others may read or write it (mode {mode:o}); chmod 600 it")));
    }
    if meta.len() > BYTES_MAX {
        return Err(told(&format_args!("it has {} bytes, more than {BYTES_MAX}", meta.size())));
    }
    let mut text = String::new();
    file.take(BYTES_MAX).read_to_string(&mut text).map_err(|why| told(&why))?;
    look_up(&text, host, port).map_err(|line| told(&format_args!("line {line} is not host, user, password")))
}

/// The error is the number of a line that is wrong, from 1.
fn look_up(text: &str, host: &str, port: u16) -> Result<Option<Credentials>, usize> {
    let mut found = None;
    for (number, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line.trim())) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (named, rest) = line.split_once(char::is_whitespace).ok_or(number)?;
        let (user, password) = rest.trim_start().split_once(char::is_whitespace).ok_or(number)?;
        let who = || Credentials { user: user.to_owned(), password: password.trim_start().to_owned() };
        let named = NextHop::parse(named).map_err(|_| number)?;
        if !is_same(&named.host, host) {
            continue;
        }
        if named.port == Some(port) {
            return Ok(Some(who()));
        }
        if found.is_none() && named.port.is_none() {
            found = Some(who());
        }
    }
    Ok(found)
}

/// One name in any case, one address in any notation.
fn is_same(one: &str, other: &str) -> bool {
    match (one.parse::<IpAddr>(), other.parse::<IpAddr>()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one.trim_end_matches('.').eq_ignore_ascii_case(other.trim_end_matches('.')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const TEXT: &str = "# where we log in\n\nrelay.test  shop\tcorrect horse\nrelay.test:465 shop other\n";

    fn password(text: &str, host: &str, port: u16) -> Option<String> {
        look_up(text, host, port).unwrap().map(|who| who.password)
    }

    #[test]
    fn a_line_with_the_port_comes_before_one_without() {
        assert_eq!(password(TEXT, "Relay.test", 587).as_deref(), Some("correct horse"));
        assert_eq!(password(TEXT, "relay.test", 465).as_deref(), Some("other"));
        assert_eq!(password(TEXT, "other.test", 465), None);
        assert_eq!(look_up("relay.test shop\n", "relay.test", 25), Err(1));
        assert_eq!(look_up("\n\nnonsense\n", "relay.test", 25), Err(3));
    }

    #[test]
    fn a_host_may_be_written_as_in_the_list_of_relays() {
        for (line, host, port, expected) in [
            ("[127.0.0.1]:2587", "127.0.0.1", 2587, true),
            ("127.0.0.1:2587", "127.0.0.1", 2587, true),
            ("[127.0.0.1]", "127.0.0.1", 2587, true),
            ("127.0.0.1", "127.0.0.1", 2587, true),
            ("[127.0.0.1]:2587", "127.0.0.1", 25, false),
            ("[Relay.TEST]:587", "relay.test", 587, true),
            ("[2001:DB8:0::1]:587", "2001:db8::1", 587, true),
            ("127.0.0.10", "127.0.0.1", 25, false),
        ] {
            let found = password(&format!("{line} shop secret"), host, port);
            assert_eq!(found.as_deref(), expected.then_some("secret"), "{line} {port}");
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_not_used_and_nothing_of_it_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log-ins");
        fs::write(&path, TEXT).unwrap();
        let found = |is_credential| find(&SecretFile { path: path.clone(), is_credential }, "relay.test", 25);
        let set = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        for mode in [0o644, 0o640, 0o604, 0o620] {
            set(mode);
            let why = found(false).unwrap_err();
            assert!(why.contains(&format!("mode {mode:o}")) && !why.contains("horse"), "{why}");
        }
        assert!(found(true).is_ok(), "the mask of an access control list");
        set(0o644);
        assert!(found(true).unwrap_err().contains("mode 644"));
        set(0o600);
        assert_eq!(found(false).unwrap().unwrap().user, "shop");
        fs::write(&path, "relay.test geheim\n").unwrap();
        let why = found(false).unwrap_err();
        assert!(why.contains("line 1") && !why.contains("geheim"), "{why}");
        fs::remove_file(&path).unwrap();
        assert!(found(false).is_err());
    }
}

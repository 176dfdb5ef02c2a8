//! INPROGRESS (RFC 9585): a client hears that its command is not forgotten, between responses and never within one.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::Site;

/// Messages each of which is more than is read in one slice.
fn site(interval: Option<Duration>) -> Site {
    let site = Site::with_settings("", |settings| settings.progress_interval = interval);
    let mut client = site.user("joe");
    for number in 0..4 {
        let filler = "all work and no play\r\n".repeat(60_000);
        client.append("INBOX", &format!("Subject: {number}\r\n\r\n{filler}needle {number}\r\n"));
    }
    site
}

const AT_ONCE: Option<Duration> = Some(Duration::from_nanos(1));

#[test]
fn a_long_search_tells_how_far_it_has_come() {
    let site = site(AT_ONCE);
    let mut client = site.user("joe");
    assert!(client.ok("CAPABILITY").contains(" INPROGRESS"));
    client.ok("SELECT INBOX");
    for (command, end) in [
        ("SEARCH RETURN (ALL) BODY \"needle 3\"", "* ESEARCH (TAG \"t\") ALL 4\r\n"),
        ("SEARCH BODY \"needle 3\"", "* SEARCH 4\r\n"),
        ("SORT (DATE) UTF-8 BODY \"needle 3\"", "* SORT 4\r\n"),
        ("THREAD REFERENCES UTF-8 BODY \"needle 3\"", "* THREAD (4)\r\n"),
    ] {
        let said = client.ok(command);
        let (told, rest) = said.split_at(said.len() - end.len());
        assert_eq!(rest, end, "{command}");
        let lines: Vec<&str> = told.lines().collect();
        assert!(!lines.is_empty(), "{command}");
        let mut before = 0;
        for line in lines {
            let line = line.strip_prefix("* OK [INPROGRESS (\"t\" ").unwrap_or_else(|| panic!("{line}"));
            let (done, rest) = line.split_once(' ').unwrap();
            assert!(rest.starts_with("4)] "), "{line}");
            let done: u32 = done.parse().unwrap();
            assert!(done >= before && done <= 4, "{command}: {done}");
            before = done;
        }
        assert!(before > 0, "{command}");
    }
}

#[test]
fn nothing_comes_within_a_response() {
    let site = site(AT_ONCE);
    let mut client = site.user("joe");
    client.ok("SELECT INBOX");
    let said = client.ok("SEARCH BODY needle");
    let at = said.find("* SEARCH").unwrap();
    assert_eq!(&said[at..], "* SEARCH 1 2 3 4\r\n");
}

#[test]
fn who_waits_for_a_moment_only_hears_nothing() {
    let site = site(Some(Duration::from_secs(3600)));
    let mut client = site.user("joe");
    client.ok("SELECT INBOX");
    assert_eq!(client.ok("SEARCH BODY \"needle 3\""), "* SEARCH 4\r\n");
}

#[test]
fn zero_is_never() {
    let site = Site::with("service.imap.progressinterval = 0\n");
    assert!(site.server.settings().progress_interval.is_none());
    assert!(!site.user("joe").ok("CAPABILITY").contains("INPROGRESS"));
    let usual = imap_server::Settings::from_config(&server_config::Config::empty());
    assert_eq!(usual.progress_interval, Some(Duration::from_secs(10)));
}

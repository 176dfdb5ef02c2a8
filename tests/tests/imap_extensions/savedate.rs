//! SAVEDATE (RFC 8514).

use super::*;

#[test]
fn the_time_a_message_came_into_its_mailbox_is_kept() {
    let (_instance, mut imap) = mailbox_of(0);
    assert!(is_offered(&mut imap, "SAVEDATE"));
    imap.append("INBOX", "\"17-Jul-1996 02:44:25 -0700\" ", MESSAGE);
    imap.ok("NOOP");
    let row = imap.ok("FETCH 1 (SAVEDATE INTERNALDATE)").remove(0);
    let saved = row.strip_prefix("* 1 FETCH (SAVEDATE \"").unwrap();
    assert!(row.ends_with(" INTERNALDATE \"17-Jul-1996 09:44:25 +0000\")"), "{row}");
    assert_eq!(saved.find('"'), Some(26), "{row}");
    assert!(!saved.contains("-1996 ") || saved.find("-1996").unwrap() > 26, "{row}");
    assert_eq!(imap.ok("SEARCH SAVEDSINCE 1-Jan-2020"), ["* SEARCH 1"]);
    assert_eq!(imap.ok("SEARCH SINCE 1-Jan-2020"), ["* SEARCH"]);
    assert_eq!(imap.ok("SEARCH SAVEDBEFORE 1-Jan-2020"), ["* SEARCH"]);
    assert_eq!(imap.ok(&format!("SEARCH SAVEDON {}", &saved[..11].trim_start())), ["* SEARCH 1"]);
    assert_eq!(imap.ok("SEARCH SAVEDATESUPPORTED"), ["* SEARCH 1"]);
    all_bad(
        &mut imap,
        &["SEARCH SAVEDON", "SEARCH SAVEDON 32-Foo-2000", "SEARCH SAVEDSINCE 5", "FETCH 1 SAVEDATES"],
    );
}

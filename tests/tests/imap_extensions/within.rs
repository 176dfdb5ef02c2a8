//! WITHIN (RFC 5032).

use super::*;

#[test]
fn messages_are_found_by_their_age() {
    let (_instance, mut imap) = mailbox_of(1);
    assert!(is_offered(&mut imap, "WITHIN"));
    assert!(imap.append("INBOX", "\"17-Jul-1996 02:44:25 -0700\" ", MESSAGE).starts_with("OK"));
    assert_eq!(imap.ok("SEARCH YOUNGER 3600"), ["* SEARCH 1"]);
    assert_eq!(imap.ok("SEARCH OLDER 3600"), ["* SEARCH 2"]);
    assert_eq!(imap.ok("SEARCH NOT OLDER 3600"), ["* SEARCH 1"]);
    assert_eq!(imap.ok("SEARCH YOUNGER 4294967295 OLDER 100000000"), ["* SEARCH 2"]);
    assert_eq!(imap.ok("SEARCH OLDER 4294967295"), ["* SEARCH"]);
    all_bad(
        &mut imap,
        &[
            "SEARCH OLDER",
            "SEARCH OLDER 0",
            "SEARCH YOUNGER 4294967296",
            "SEARCH YOUNGER -1",
            "SEARCH OLDER x",
        ],
    );
}

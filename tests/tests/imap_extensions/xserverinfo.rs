//! X-NETSCAPE, XSERVERINFO, XMAILBOXINFO: what clients of the original's family ask for.

use black_box::{Setup, instance};

use super::*;

#[test]
fn pages_that_are_set_are_told_in_the_form_that_thunderbird_reads() {
    let instance = Setup::default()
        .users(&["alice", "bob"])
        .set("gen.accounturl", "https://mail.example.test/account?user=%u")
        .set("gen.filterurl", "https://mail.example.test/a%20b")
        .set("gen.folderurl", "https://mail.example.test/%u/folder?name=%m")
        .start();
    let mut imap = instance.imap("alice");
    assert!(is_offered(&mut imap, "X-NETSCAPE") && is_offered(&mut imap, "XSERVERINFO"));
    assert_eq!(
        imap.ok("XSERVERINFO MANAGEACCOUNTURL MANAGELISTSURL MANAGEFILTERSURL"),
        ["* XSERVERINFO MANAGEACCOUNTURL \"https://mail.example.test/account?user=alice\" \
             MANAGELISTSURL NIL MANAGEFILTERSURL \"https://mail.example.test/a%20b\""]
    );
    assert_eq!(imap.ok("NETSCAPE"), ["* ACCOUNT-URL \"https://mail.example.test/account?user=alice\""]);
    imap.ok("CREATE \"My Work\"");
    assert_eq!(
        imap.ok("XMAILBOXINFO \"My Work\" MANAGEURL POSTURL SOMETHING"),
        ["* XMAILBOXINFO \"My Work\" MANAGEURL \
             \"https://mail.example.test/alice/folder?name=My%20Work\" POSTURL NIL"]
    );
    assert!(imap.refused("XMAILBOXINFO Nowhere MANAGEURL").starts_with("NO [NONEXISTENT]"));
    assert!(imap.refused("XMAILBOXINFO user/bob/INBOX MANAGEURL").starts_with("NO [NONEXISTENT]"));
    all_bad(&mut imap, &["NETSCAPE x", "XSERVERINFO", "XSERVERINFO (X)", "XMAILBOXINFO INBOX"]);
}

#[test]
fn without_pages_nothing_is_offered_and_nothing_told() {
    let instance = Instance::start();
    let mut imap = instance.imap("alice");
    assert!(!is_offered(&mut imap, "X-NETSCAPE") && !is_offered(&mut imap, "XSERVERINFO"));
    assert_eq!(imap.ok("NETSCAPE"), [""; 0]);
    assert_eq!(imap.ok("XSERVERINFO MANAGEACCOUNTURL"), ["* XSERVERINFO MANAGEACCOUNTURL NIL"]);
    assert_eq!(imap.ok("XMAILBOXINFO INBOX MANAGEURL"), ["* XMAILBOXINFO \"INBOX\" MANAGEURL NIL"]);
    let mut stranger = Imap::open(instance.connect(instance::IMAP));
    assert!(stranger.refused("XSERVERINFO MANAGEACCOUNTURL").starts_with("BAD"));
}

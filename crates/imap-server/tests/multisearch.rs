//! ESEARCH: one command, several mailboxes (RFC 7377).
#![allow(clippy::unwrap_used)]

mod common;

use common::{Client, Site, message};

/// joe's INBOX, A, A/B, A/B/C and D, each with the messages "one" and "two"; D has two more. INBOX is selected.
fn joe() -> (Site, Client) {
    let site = Site::new();
    site.put("user/amy/INBOX", message("one").as_bytes());
    let mut joe = site.user("joe");
    for name in ["A", "A/B", "A/B/C", "D"] {
        joe.ok(&format!("CREATE {name}"));
    }
    for name in ["INBOX", "A", "A/B", "A/B/C", "D"] {
        for subject in ["one", "two"] {
            joe.append(name, &message(subject));
        }
    }
    joe.append("D", &message("one more"));
    joe.append("D", &message("three"));
    joe.ok("SELECT INBOX");
    (site, joe)
}

/// The mailboxes of the responses and what is said of each, in order.
fn found(said: &str) -> Vec<(String, String)> {
    let one = |line: &str| {
        let rest = line.strip_prefix("* ESEARCH (TAG \"t\" MAILBOX \"").unwrap_or_else(|| panic!("{line}"));
        let (name, rest) = rest.split_once("\" UIDVALIDITY ").unwrap();
        let (validity, result) = rest.split_once(") UID ").unwrap_or_else(|| panic!("{line}"));
        assert!(validity.parse::<u32>().unwrap() > 0);
        (name.to_owned(), result.to_owned())
    };
    said.lines().map(one).collect()
}

fn names(said: &str) -> Vec<String> {
    found(said).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn every_mailbox_with_hits_is_told_once() {
    let (_site, mut joe) = joe();
    let said = joe.ok("ESEARCH IN (mailboxes (D A) subtree A selected mailboxes (D Nothing)) SUBJECT one");
    let all = |name: &str, uids: &str| (name.to_owned(), format!("ALL {uids}"));
    assert_eq!(
        found(&said),
        [all("D", "1,3"), all("A", "1"), all("A/B", "1"), all("A/B/C", "1"), all("INBOX", "1")]
    );
    assert_eq!(
        found(&joe.ok("ESEARCH IN (personal) RETURN (COUNT MAX) SUBJECT three")),
        [("D".to_owned(), "MAX 4 COUNT 1".to_owned())]
    );
    assert_eq!(joe.ok("ESEARCH IN (personal) RETURN (COUNT) SUBJECT nowhere"), "");
}

#[test]
fn sources_are_what_they_say() {
    let (_site, mut joe) = joe();
    joe.ok("SUBSCRIBE A/B");
    joe.ok("SUBSCRIBE Gone");
    for (sources, expected) in [
        ("personal", &["A", "A/B", "A/B/C", "D", "INBOX"][..]),
        ("inboxes", &["INBOX"]),
        ("subscribed", &["A/B"]),
        ("subtree A", &["A", "A/B", "A/B/C"]),
        ("subtree-one (A)", &["A", "A/B"]),
        ("mailboxes inbox", &["INBOX"]),
        ("selected mailboxes D", &["INBOX", "D"]),
        ("mailboxes (&!x user/amy/INBOX ../x)", &[]),
    ] {
        let said = joe.ok(&format!("ESEARCH IN ({sources}) ALL"));
        let mut told = names(&said);
        if sources == "personal" {
            told.sort();
        }
        assert_eq!(told, expected, "{sources}");
    }
    assert_eq!(joe.ok("ESEARCH RETURN (MIN) ALL"), joe.ok("ESEARCH IN (selected) RETURN (MIN) ALL"));
    assert_eq!(names(&joe.ok("ESEARCH ALL")), ["INBOX"]);
}

#[test]
fn the_selected_mailbox_stays_as_it_is_and_nothing_else_is_touched() {
    let (site, mut joe) = joe();
    let before = joe.ok("FETCH 1:* FLAGS");
    site.put("user/joe/D", message("new").as_bytes());
    assert_eq!(found(&joe.ok("ESEARCH IN (mailboxes D) RECENT"))[0].1, "ALL 1:5");
    assert_eq!(joe.ok("FETCH 1:* FLAGS"), before);
    assert!(joe.ok("STATUS D (RECENT)").contains("RECENT 5)"), "they are recent still");
    // Numbers and $ mean something in the selected mailbox only.
    assert_eq!(found(&joe.ok("ESEARCH RETURN (SAVE COUNT) 2"))[0].1, "COUNT 1");
    assert_eq!(joe.ok("SEARCH $"), "* SEARCH 2\r\n");
    for wrong in ["IN (selected personal) 2", "IN (personal) $", "IN (personal) RETURN (SAVE) ALL"] {
        assert!(joe.refused(&format!("ESEARCH {wrong}")).starts_with("t BAD"), "{wrong}");
    }
    assert_eq!(names(&joe.ok("ESEARCH IN (mailboxes D) UID 4:*")), ["D"]);
    joe.ok("UNSELECT");
    assert_eq!(names(&joe.ok("ESEARCH IN (inboxes) ALL")), ["INBOX"]);
    assert!(joe.refused("ESEARCH ALL").starts_with("t BAD"));
    assert!(joe.refused("ESEARCH IN (selected inboxes) ALL").starts_with("t BAD"));
}

#[test]
fn an_administrator_may_look_elsewhere() {
    let (site, _joe) = joe();
    let mut admin = site.user("admin");
    assert_eq!(names(&admin.ok("ESEARCH IN (mailboxes user/amy/INBOX) ALL")), ["user/amy/INBOX"]);
    assert_eq!(names(&admin.ok("ESEARCH IN (subtree user/joe/A) ALL")).len(), 3);
}

/// What an access control list gives is searched, by the name that the client knows it by, and nothing else below.
#[test]
fn mailboxes_of_others_are_searched_with_the_right_to_read() {
    let (site, mut joe) = joe();
    let mut amy = site.user("amy");
    joe.ok("SETACL A amy lr");
    joe.ok("SETACL A/B amy l");
    let shared = "\"Shared Folders/User/joe/A\"";
    assert_eq!(names(&amy.ok(&format!("ESEARCH IN (subtree {shared}) ALL"))), ["Shared Folders/User/joe/A"]);
    assert_eq!(names(&amy.ok("ESEARCH IN (subtree user/joe/A personal) ALL")).len(), 2);
    joe.ok("DELETEACL A amy");
    assert_eq!(amy.ok(&format!("ESEARCH IN (subtree {shared}) ALL")), "");
}

#[test]
fn more_mailboxes_than_a_page_are_searched_in_turns() {
    let site = Site::new();
    let mut joe = site.user("joe");
    for number in 0..250 {
        joe.ok(&format!("CREATE M{number}"));
        if number % 50 == 0 {
            joe.append(&format!("M{number}"), &message("x"));
        }
    }
    let resumed = joe.resumed;
    assert_eq!(names(&joe.ok("ESEARCH IN (personal) ALL")).len(), 5);
    assert!(joe.resumed - resumed > 250, "each mailbox is a turn");
}

//! Names: CREATE, DELETE, RENAME, LIST, LSUB, STATUS, NAMESPACE.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Site, message};

#[test]
fn mailboxes_are_made_listed_renamed_and_deleted() {
    let site = Site::new();
    let mut joe = site.user("joe");
    joe.ok("CREATE Work/2002/May");
    joe.ok("CREATE Sent");
    joe.ok("CREATE Papers/ (USE (\\Archive))");
    assert!(joe.refused("CREATE Sent").starts_with("t NO [ALREADYEXISTS]"));
    assert!(joe.refused("CREATE inbox").starts_with("t NO [ALREADYEXISTS]"));
    assert!(joe.refused("CREATE x (USE (\\Foo))").starts_with("t NO [USEATTR]"));
    let list = joe.ok("LIST \"\" *");
    for row in [
        "* LIST (\\HasNoChildren) \"/\" \"INBOX\"",
        "* LIST (\\HasNoChildren \\Sent) \"/\" \"Sent\"",
        "* LIST (\\HasNoChildren \\Archive) \"/\" \"Papers\"",
        "\"Work/2002/May\"",
    ] {
        assert!(list.contains(row), "{row} in {list}");
    }
    let top = joe.ok("LIST \"\" %");
    assert!(top.contains("\\HasChildren") && top.contains("\"Work\"") && !top.contains("2002"), "{top}");
    assert_eq!(joe.ok("LIST \"\" inbox"), "* LIST (\\HasNoChildren) \"/\" \"INBOX\"\r\n");
    assert_eq!(joe.ok("LIST Work/ 2002/%").lines().count(), 1);
    assert_eq!(joe.ok("LIST \"\" \"\""), "* LIST (\\Noselect) \"/\" \"\"\r\n");
    joe.ok("RENAME Work Play");
    assert!(joe.ok("LIST \"\" *").contains("\"Play/2002/May\""));
    assert!(joe.refused("RENAME Play Play/2002/x").starts_with("t NO [CANNOT]"));
    assert!(joe.refused("RENAME Play INBOX").starts_with("t NO [ALREADYEXISTS]"));
    assert!(joe.refused("RENAME Nothing x").starts_with("t NO [NONEXISTENT]"));
    joe.ok("DELETE Play/2002/May");
    assert!(joe.refused("DELETE Play/2002/May").starts_with("t NO [NONEXISTENT]"));
    assert!(joe.refused("DELETE INBOX").starts_with("t NO [CANNOT]"));
}

#[test]
fn renaming_inbox_moves_its_messages() {
    let site = Site::new();
    site.put("user/joe/INBOX", message("one").as_bytes());
    let mut joe = site.user("joe");
    joe.ok("RENAME INBOX Old");
    assert!(joe.ok("STATUS Old (MESSAGES)").contains("MESSAGES 1"));
    assert!(joe.ok("STATUS INBOX (MESSAGES)").contains("MESSAGES 0"));
}

#[test]
fn names_are_modified_utf7_on_the_wire_and_nothing_else() {
    let site = Site::new();
    let mut joe = site.user("joe");
    joe.ok("CREATE Entw&APw-rfe");
    joe.ok("CREATE R&-D");
    let list = joe.ok("LIST \"\" Entw*");
    assert!(list.contains("\"Entw&APw-rfe\""), "{list}");
    assert!(joe.ok("STATUS \"R&-D\" (UIDNEXT)").contains("* STATUS \"R&-D\" (UIDNEXT 1)"));
    for bad in ["&", "&AAA", "&Jjo!", "&AAAA-", "&2AA-", "&AEE-"] {
        assert!(joe.refused(&format!("CREATE {bad}")).starts_with("t NO [CANNOT]"), "{bad}");
        assert_eq!(joe.ok(&format!("LIST \"\" {bad}")), "");
    }
    assert!(joe.refused("CREATE \"Entw\u{fc}rfe\"").starts_with("t NO [CANNOT]"));
    for bad in ["../x", "a/../b", "a//b", "/x", ".", "\"\""] {
        assert!(joe.refused(&format!("CREATE {bad}")).starts_with("t NO [CANNOT]"), "{bad}");
    }
    let (long, deep) = ("x".repeat(256), vec!["a"; 200].join("/"));
    assert!(joe.refused(&format!("CREATE {long}")).starts_with("t NO [CANNOT]"));
    assert!(joe.refused(&format!("CREATE {deep}")).starts_with("t NO [CANNOT]"));
    for odd in ["a=b", "+x", "\"100%\"", "\"it*\"", "\"a\\\\b\"", "\"with space\""] {
        joe.ok(&format!("CREATE {odd}"));
        joe.ok(&format!("SELECT {odd}"));
    }
    assert!(joe.ok(&format!("LIST \"\" {}", "%*".repeat(1000))).contains("INBOX"));
}

#[test]
fn mailboxes_of_others_do_not_exist() {
    let site = Site::new();
    site.user("amy").ok("CREATE Secret");
    let mut joe = site.user("joe");
    for command in ["SELECT", "STATUS", "DELETE"] {
        let tail = if command == "STATUS" { " (MESSAGES)" } else { "" };
        let there = joe.refused(&format!("{command} user/amy/Secret{tail}"));
        let missing = joe.refused(&format!("{command} user/amy/Nothing{tail}"));
        assert_eq!(there, missing);
        assert!(there.starts_with("t NO [NONEXISTENT]"), "{there}");
    }
    assert!(joe.refused("CREATE user/amy/x").starts_with("t NO [NOPERM]"));
    assert_eq!(joe.ok("LIST \"\" user/*"), "");
    let namespaces =
        "* NAMESPACE ((\"\" \"/\")) ((\"Shared Folders/User/\" \"/\")) ((\"Shared Folders/\" \"/\"))\r\n";
    assert_eq!(joe.ok("NAMESPACE"), namespaces);
    let mut admin = site.user("admin");
    assert!(admin.ok("LIST \"\" user/*").contains("\"user/amy/Secret\""));
    assert!(admin.ok("NAMESPACE").contains("((\"user/\" \"/\"))"));
    admin.ok("SELECT user/amy/Secret");
}

#[test]
fn subscriptions_are_kept_by_name() {
    let site = Site::new();
    let mut joe = site.user("joe");
    joe.ok("CREATE Work/2002");
    joe.ok("SUBSCRIBE Work/2002");
    joe.ok("SUBSCRIBE inbox");
    joe.ok("SUBSCRIBE Gone");
    let all = joe.ok("LSUB \"\" *");
    assert_eq!(
        all,
        "* LSUB () \"/\" \"Gone\"\r\n* LSUB () \"/\" \"INBOX\"\r\n* LSUB () \"/\" \"Work/2002\"\r\n"
    );
    assert!(joe.ok("LSUB \"\" %").contains("* LSUB (\\Noselect) \"/\" \"Work\"\r\n"));
    joe.ok("UNSUBSCRIBE Gone");
    assert!(!joe.ok("LSUB \"\" *").contains("Gone"));
}

#[test]
fn status_counts_without_selecting() {
    let site = Site::new();
    let first = message("one");
    site.put("user/joe/INBOX", first.as_bytes());
    site.put("user/joe/INBOX", message("two").as_bytes());
    let mut joe = site.user("joe");
    let status = joe.ok("STATUS INBOX (MESSAGES RECENT UIDNEXT UNSEEN SIZE)");
    let size = first.len() * 2;
    assert_eq!(
        status,
        format!("* STATUS \"INBOX\" (MESSAGES 2 RECENT 2 UIDNEXT 3 UNSEEN 2 SIZE {size})\r\n")
    );
    assert!(joe.refused("STATUS Nothing (MESSAGES)").starts_with("t NO [NONEXISTENT]"));
    assert!(joe.refused("STATUS INBOX (FOO)").starts_with("t BAD"));
}

/// However much a user subscribed to, little of it is queued at once.
#[test]
fn subscriptions_are_told_in_pieces() {
    let site = Site::new();
    let mut joe = site.user("joe");
    let long = |number: usize| format!("{number}/{}", vec!["x".repeat(250); 8].join("/"));
    for number in 1000..1200 {
        joe.ok(&format!("SUBSCRIBE {}", long(number)));
    }
    (joe.resumed, joe.sent_most) = (0, 0);
    let said = joe.ok("LSUB \"\" *");
    assert_eq!(said.matches("* LSUB ()").count(), 200);
    assert!(joe.resumed > 3 && joe.sent_most < 100_000, "{} bytes, {} times", joe.sent_most, joe.resumed);
    let levels = joe.ok("LSUB \"\" %");
    let expected: String =
        (1000..1200).map(|number| format!("* LSUB (\\Noselect) \"/\" \"{number}\"\r\n")).collect();
    assert_eq!(levels, expected);
    joe.ok("SUBSCRIBE 1000");
    joe.ok("SUBSCRIBE 1000-a");
    let levels = joe.ok("LSUB \"\" 1000%");
    assert_eq!(levels, "* LSUB () \"/\" \"1000\"\r\n* LSUB () \"/\" \"1000-a\"\r\n");
}

#[test]
fn a_pattern_longer_than_any_name_is_refused_and_a_costly_one_takes_turns() {
    let site = Site::new();
    let mut joe = site.user("joe");
    for command in ["LIST", "LSUB"] {
        let refused = joe.refused(&format!("{command} \"\" \"{}\"", "x*".repeat(3001)));
        assert_eq!(refused, "t NO [LIMIT] The pattern is too long");
        joe.ok(&format!("{command} \"\" \"{}\"", "x*".repeat(3000)));
    }
    for number in 10..14 {
        joe.ok(&format!("CREATE {number}/{}", vec!["x".repeat(250); 8].join("/")));
    }
    joe.resumed = 0;
    joe.ok(&format!("LIST \"\" \"*{}y\"", "x*".repeat(2999)));
    assert!(joe.resumed >= 4, "it went on {} times", joe.resumed);
}

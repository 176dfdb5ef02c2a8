//! LIST-EXTENDED (RFC 5258), LIST-STATUS (RFC 5819), SPECIAL-USE in LIST (RFC 6154).

use super::*;

fn mailboxes() -> (Instance, Imap) {
    let instance = Instance::start();
    let mut imap = instance.imap("alice");
    for name in ["Sent", "Work", "Work/2001", "Work/2002", "Play"] {
        imap.ok(&format!("CREATE {name}"));
    }
    for name in ["INBOX", "Work/2002", "Gone/Long", "Play"] {
        imap.ok(&format!("SUBSCRIBE {name}"));
    }
    (instance, imap)
}

#[test]
fn subscribed_names_are_listed_whether_they_exist_or_not() {
    let (_instance, mut imap) = mailboxes();
    assert!(is_offered(&mut imap, "LIST-EXTENDED"));
    assert_eq!(
        imap.ok("LIST (SUBSCRIBED) \"\" *"),
        [
            "* LIST (\\NonExistent \\Subscribed) \"/\" \"Gone/Long\"",
            "* LIST (\\HasNoChildren \\Subscribed) \"/\" \"INBOX\"",
            "* LIST (\\HasNoChildren \\Subscribed) \"/\" \"Play\"",
            "* LIST (\\HasNoChildren \\Subscribed) \"/\" \"Work/2002\"",
        ]
    );
    assert_eq!(
        imap.ok("LIST (SUBSCRIBED REMOTE) \"Work/\" %"),
        ["* LIST (\\HasNoChildren \\Subscribed) \"/\" \"Work/2002\""]
    );
    assert_eq!(imap.ok("LIST (SUBSCRIBED SPECIAL-USE) \"\" *"), [""; 0]);
}

#[test]
fn levels_above_subscribed_names_are_told_with_recursivematch() {
    let (_instance, mut imap) = mailboxes();
    assert_eq!(
        imap.ok("LIST (RECURSIVEMATCH SUBSCRIBED) \"\" %"),
        [
            "* LIST (\\NonExistent) \"/\" \"Gone\" (\"CHILDINFO\" (\"SUBSCRIBED\"))",
            "* LIST (\\HasNoChildren \\Subscribed) \"/\" \"INBOX\"",
            "* LIST (\\HasNoChildren \\Subscribed) \"/\" \"Play\"",
            "* LIST (\\HasChildren) \"/\" \"Work\" (\"CHILDINFO\" (\"SUBSCRIBED\"))",
        ]
    );
    assert_eq!(
        imap.ok("LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (Work* nothing)"),
        [
            "* LIST (\\HasChildren) \"/\" \"Work\" (\"CHILDINFO\" (\"SUBSCRIBED\"))",
            "* LIST (\\HasNoChildren \\Subscribed) \"/\" \"Work/2002\"",
        ]
    );
}

#[test]
fn several_patterns_give_each_name_once() {
    let (instance, mut imap) = mailboxes();
    let names = |imap: &mut Imap, command: &str| -> Vec<String> {
        imap.ok(command)
            .iter()
            .map(|one| one.rsplit(' ').next().unwrap().trim_matches('"').to_owned())
            .collect()
    };
    assert_eq!(
        names(&mut imap, "LIST \"\" (INBOX inbox Work/% Work*)"),
        ["INBOX", "Work", "Work/2001", "Work/2002"]
    );
    assert_eq!(names(&mut imap, "LIST Work/ (2001 2002 2003)"), ["Work/2001", "Work/2002"]);
    assert_eq!(imap.ok("LIST () \"\" \"\""), [""; 0], "an empty name means nothing in the extended form");
    assert_eq!(imap.ok("LIST \"\" \"\""), ["* LIST (\\Noselect) \"/\" \"\""]);
    let mut admin = instance.imap("admin");
    let all = names(&mut admin, "LIST \"\" (INBOX user/alice/W%)");
    assert_eq!(all, ["INBOX", "user/alice/Work"]);
    assert_eq!(names(&mut imap, "LIST \"\" (user/admin/% user/admin/INBOX)"), [""; 0]);
}

#[test]
fn what_is_returned_can_be_chosen() {
    let (_instance, mut imap) = mailboxes();
    assert!(is_offered(&mut imap, "LIST-STATUS"));
    fill(&mut imap, "Sent", 2);
    assert_eq!(
        imap.ok("LIST (SPECIAL-USE) \"\" * RETURN (SPECIAL-USE CHILDREN)"),
        ["* LIST (\\HasNoChildren \\Sent) \"/\" \"Sent\""]
    );
    assert_eq!(
        imap.ok("LIST \"\" (Sent Play) RETURN (SUBSCRIBED STATUS (MESSAGES UNSEEN))"),
        [
            "* LIST (\\HasNoChildren \\Subscribed) \"/\" \"Play\"",
            "* STATUS \"Play\" (MESSAGES 0 UNSEEN 0)",
            "* LIST (\\HasNoChildren \\Sent) \"/\" \"Sent\"",
            "* STATUS \"Sent\" (MESSAGES 2 UNSEEN 2)",
        ]
    );
    // Of what cannot be selected there are no numbers.
    assert_eq!(
        imap.ok("LIST (SUBSCRIBED) \"\" Gone/* RETURN (STATUS (MESSAGES))"),
        ["* LIST (\\NonExistent \\Subscribed) \"/\" \"Gone/Long\""]
    );
    imap.ok("DELETE Work");
    assert_eq!(
        imap.ok("LIST \"\" Work RETURN (STATUS (MESSAGES))"),
        ["* LIST (\\HasChildren \\Noselect) \"/\" \"Work\""]
    );
}

#[test]
fn a_mailbox_is_created_for_a_use() {
    let (_instance, mut imap) = mailboxes();
    assert!(is_offered(&mut imap, "CREATE-SPECIAL-USE"));
    imap.ok("CREATE Old (USE (\\Archive))");
    assert_eq!(imap.ok("LIST (SPECIAL-USE) \"\" O*"), ["* LIST (\\HasNoChildren \\Archive) \"/\" \"Old\""]);
    assert!(imap.refused("CREATE New (USE (\\Nothing))").starts_with("NO [USEATTR]"));
    assert!(imap.refused("CREATE New (USE (\\Sent \\Junk))").starts_with("NO [USEATTR]"));
    assert_eq!(imap.ok("LIST \"\" New"), [""; 0]);
    all_bad(
        &mut imap,
        &["CREATE New (USE)", "CREATE New (USE \\Sent)", "CREATE New (USE (Sent))", "CREATE New ()"],
    );
}

#[test]
fn nonsense_is_refused() {
    let (_instance, mut imap) = mailboxes();
    all_bad(
        &mut imap,
        &[
            "LIST (RECURSIVEMATCH) \"\" *",
            "LIST (FOO) \"\" *",
            "LIST (SUBSCRIBED \"\" *",
            "LIST \"\" ()",
            "LIST \"\" (a",
            "LIST \"\" * RETURN",
            "LIST \"\" * RETURN (FOO)",
            "LIST \"\" * RETURN (STATUS)",
            "LIST \"\" * RETURN (STATUS ())",
            "LIST \"\" * RETURN (STATUS (FOO))",
            "LIST \"\" * (SUBSCRIBED)",
            "LSUB (SUBSCRIBED) \"\" *",
            "LSUB \"\" (a b)",
        ],
    );
}

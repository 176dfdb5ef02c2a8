//! UTF8=ACCEPT (RFC 9755; APPEND's UTF8 item of RFC 6855).

use super::*;

const GREETING: &str = "From: Zoë <zoë@example.org>\r\nTo: alice@example.test\r\nSubject: Grüße aus Köln\r\n\r\nschöne Grüße\r\n";

/// Two sessions of alice; the second says UTF-8.
fn two() -> (Instance, Imap, Imap) {
    let instance = Instance::start();
    let (old, mut new) = (instance.imap("alice"), instance.imap("alice"));
    assert!(is_offered(&mut new, "UTF8=ACCEPT"));
    assert_eq!(new.ok("ENABLE utf8=accept"), ["* ENABLED UTF8=ACCEPT"]);
    (instance, old, new)
}

#[test]
fn names_are_utf8_for_who_asked_and_modified_utf7_for_everybody_else() {
    let (_instance, mut old, mut new) = two();
    new.ok("CREATE \"Entwürfe & mehr\"");
    new.ok("SUBSCRIBE \"Entwürfe & mehr\"");
    for (imap, name) in [(&mut new, "\"Entwürfe & mehr\""), (&mut old, "\"Entw&APw-rfe &- mehr\"")] {
        assert_eq!(imap.ok("LIST \"\" Entw%"), [format!("* LIST (\\HasNoChildren) \"/\" {name}")]);
        assert_eq!(imap.ok("LSUB \"\" *"), [format!("* LSUB () \"/\" {name}")]);
        let listed = imap.ok("LIST (SUBSCRIBED) \"\" * RETURN (STATUS (MESSAGES))");
        assert_eq!(listed[1], format!("* STATUS {name} (MESSAGES 0)"));
        let status = imap.ok(&format!("STATUS {name} (MESSAGES)"));
        assert_eq!(status, [format!("* STATUS {name} (MESSAGES 0)")]);
        assert!(imap.ok(&format!("GETQUOTAROOT {name}"))[0].starts_with(&format!("* QUOTAROOT {name} ")));
        imap.ok(&format!("SELECT {name}"));
        imap.ok("UNSELECT");
    }
    // Neither understands the other's.
    assert!(old.refused("SELECT \"Entwürfe & mehr\"").starts_with("NO [CANNOT]"));
    assert!(new.refused("SELECT \"Entw&APw-rfe &- mehr\"").starts_with("NO [NONEXISTENT]"));
    // A literal is as good as a quoted string, a pattern may be in UTF-8 too.
    assert_eq!(new.ok("STATUS {16+}\r\nEntwürfe & mehr (UNSEEN)").len(), 1);
    assert_eq!(new.ok("LIST \"\" \"*ürfe*\"").len(), 1);
    new.ok("RENAME \"Entwürfe & mehr\" \"日本語/&\"");
    assert_eq!(old.ok("LIST \"\" &ZeVnLIqe-/%"), ["* LIST (\\HasNoChildren) \"/\" \"&ZeVnLIqe-/&-\""]);
    new.ok("DELETE \"日本語/&\"");
}

#[test]
fn a_new_name_is_composed_and_the_client_is_told() {
    let (_instance, mut old, mut new) = two();
    let told = new.ok("CREATE \"Entwu\u{308}rfe\"");
    let name = "* LIST (\\HasNoChildren) \"/\" \"Entwürfe\"";
    assert_eq!(told, [format!("{name} (\"OLDNAME\" (\"Entwu\u{308}rfe\"))")]);
    new.ok("CREATE plain");
    let told = new.ok("RENAME plain \"A\u{30a}r\"");
    assert_eq!(told, ["* LIST (\\HasNoChildren) \"/\" \"År\" (\"OLDNAME\" (\"plain\"))"]);
    assert!(new.ok("CREATE Ordinary/").is_empty());
    // As modified UTF-7 it is what it is, and can be seen and opened.
    old.ok("CREATE u&Awg-x");
    new.ok("SELECT \"u\u{308}x\"");
}

#[test]
fn what_is_no_name_is_refused() {
    let (_instance, _old, mut new) = two();
    for name in ["a\u{2028}b", "a\u{2029}b", "a\u{85}b", "a\u{7f}b", "../ü"] {
        assert!(new.refused(&format!("CREATE \"{name}\"")).starts_with("NO [CANNOT]"), "{name:?}");
    }
    new.wire.send(b"x CREATE \"Entw\xfcrfe\"\r\n");
    assert!(new.wire.line().starts_with("x NO [CANNOT]"));
    all_bad(&mut new, &["CREATE Entwürfe", "SELECT ü", "LIST \"\" ü*"]);
}

#[test]
fn searches_name_no_charset() {
    let (_instance, mut old, mut new) = two();
    assert!(new.append("INBOX", "", GREETING).starts_with("OK"));
    new.ok("SELECT INBOX");
    assert_eq!(new.ok("SEARCH SUBJECT \"grüße\""), ["* SEARCH 1"]);
    all_bad(&mut new, &["SEARCH CHARSET UTF-8 SUBJECT x", "UID SEARCH CHARSET US-ASCII ALL"]);
    old.ok("SELECT INBOX");
    assert_eq!(old.ok("SEARCH CHARSET UTF-8 SUBJECT \"grüße\""), ["* SEARCH 1"]);
}

#[test]
fn messages_in_utf8_are_appended_with_and_without_the_item() {
    let (instance, mut old, mut new) = two();
    let size = GREETING.len();
    let item = format!("APPEND INBOX (\\Seen) UTF8 (~{{{size}+}}\r\n{GREETING})");
    assert!(old.refused(&item).starts_with("BAD"), "not before ENABLE");
    assert_eq!(old.exists("INBOX"), 0);
    assert!(new.command(&item).1.starts_with("OK [APPENDUID "));
    // Several in one command, with the item and without it.
    let several = format!(
        "APPEND INBOX {{{size}+}}\r\n{GREETING} UTF8 (~{{{size}+}}\r\n{GREETING}) (\\Seen) {{{size}+}}\r\n{GREETING}"
    );
    new.ok(&several);
    assert_eq!(new.exists("INBOX"), 4);
    for behind in ["", "x", "))", ") x", "){3}"] {
        let (_, end) = new.command(&format!("APPEND INBOX UTF8 (~{{{size}+}}\r\n{GREETING}{behind}"));
        assert!(end.starts_with("BAD"), "{behind}: {end}");
    }
    assert_eq!(new.exists("INBOX"), 4);
    // It waits for its go-ahead like every other.
    new.wire.send(format!("y APPEND INBOX UTF8 (~{{{size}}}\r\n").as_bytes());
    assert!(new.wire.line().starts_with('+'));
    new.wire.send(format!("{GREETING})\r\n").as_bytes());
    assert!(new.wire.line().starts_with("y OK"));
    // Everybody gets the same bytes; 8-bit text is in literals, which every client understands.
    let mut bob_knows_nothing = another(&instance);
    for imap in [&mut old, &mut new, &mut bob_knows_nothing] {
        imap.ok("SELECT INBOX");
        let told = imap.ok("FETCH 1:5 (RFC822.SIZE BODY.PEEK[])");
        assert!(
            told.iter().all(|one| one.contains(&format!("RFC822.SIZE {size} ")) && one.contains(GREETING))
        );
        let envelope = imap.ok("FETCH 1 ENVELOPE").concat();
        assert!(envelope.contains("{17}\r\nGrüße aus Köln"), "{envelope}");
    }
}

#[test]
fn the_next_user_of_a_connection_begins_anew() {
    let (_instance, _old, mut new) = two();
    new.ok("CREATE \"ü\"");
    new.ok("UNAUTHENTICATE");
    new.ok("LOGIN alice alice-secret");
    assert_eq!(new.ok("LIST \"\" &APw-"), ["* LIST (\\HasNoChildren) \"/\" \"&APw-\""]);
}

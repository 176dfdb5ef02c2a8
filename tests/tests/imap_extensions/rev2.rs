//! IMAP4rev2 (RFC 9051): Appendix E, the changes from IMAP4rev1, item by item. Items that are the client's to keep (22), or
//! editorial (14, 20, 23, 26, 28 to 30), have no test here.

use super::*;

/// An instance, and a session of alice that speaks IMAP4rev2 and has INBOX selected with so many messages.
fn rev2_with(count: u32) -> (Instance, Imap) {
    let instance = Instance::start();
    let mut imap = rev2(&instance);
    fill(&mut imap, "INBOX", count);
    imap.ok("SELECT INBOX");
    (instance, imap)
}

fn rev2(instance: &Instance) -> Imap {
    let mut imap = instance.imap("alice");
    assert_eq!(imap.ok("ENABLE IMAP4rev2"), ["* ENABLED IMAP4rev2"]);
    imap
}

fn code_of<'a>(told: &'a [String], word: &str) -> Option<&'a String> {
    told.iter().find(|one| one.contains(word))
}

#[test]
fn both_revisions_are_offered_and_enable_changes_no_capability() {
    let instance = Instance::start();
    let mut imap = Imap::open(instance.connect(black_box::instance::IMAP));
    assert!(imap.greeting.starts_with("* OK [CAPABILITY IMAP4rev1 IMAP4rev2 "), "{}", imap.greeting);
    imap.ok("LOGIN alice alice-secret");
    let before = imap.ok("CAPABILITY");
    imap.ok("ENABLE imap4rev2 IMAP4REV2");
    assert_eq!(imap.ok("CAPABILITY"), before);
    // Who did not ask for it has IMAP4rev1.
    let mut old = instance.imap("alice");
    let told = old.ok("SELECT INBOX");
    assert!(code_of(&told, "RECENT").is_some() && code_of(&told, "* LIST").is_none(), "{told:?}");
    assert_eq!(old.ok("SEARCH ALL"), ["* SEARCH"]);
}

#[test]
fn e1_numbers_of_bytes_have_63_bits() {
    let (_instance, mut imap) = rev2_with(2);
    let tag = |imap: &mut Imap, key: &str| imap.ok(&format!("SEARCH RETURN (COUNT) {key}")).concat();
    assert!(tag(&mut imap, "SMALLER 9223372036854775807").ends_with(" COUNT 2"));
    assert!(tag(&mut imap, "LARGER 4294967296").ends_with(" COUNT 0"));
    let told = imap.ok("FETCH 1 BODY.PEEK[]<4294967296.9223372036854775807>");
    assert_eq!(told, ["* 1 FETCH (BODY[]<4294967296> {0}\r\n)"]);
    let told = imap.ok("FETCH 1 BINARY.PEEK[1]<0.9223372036854775807>").concat();
    assert!(told.contains("at noon?"), "{told}");
    all_bad(&mut imap, &["SEARCH LARGER 9223372036854775808", "FETCH 1 BODY[]<0.0>"]);
}

#[test]
fn e2_the_extensions_that_were_folded_in_work() {
    let (_instance, mut imap) = rev2_with(3);
    for name in ["NAMESPACE", "UNSELECT", "UIDPLUS", "ESEARCH", "SEARCHRES", "ENABLE", "IDLE", "SASL-IR"] {
        assert!(is_offered(&mut imap, name), "{name}");
    }
    for name in ["LIST-EXTENDED", "LIST-STATUS", "MOVE", "LITERAL+", "BINARY", "SPECIAL-USE"] {
        assert!(is_offered(&mut imap, name), "{name}");
    }
    assert!(imap.ok("NAMESPACE")[0].starts_with("* NAMESPACE ((\"\" \"/\")) "));
    assert!(imap.ok("SEARCH RETURN (SAVE) 2:3").is_empty());
    assert!(imap.command("COPY $ Trash").1.starts_with("NO [TRYCREATE]"));
    imap.ok("CREATE Sent (USE (\\Sent))");
    assert!(imap.command("COPY $ Sent").1.starts_with("OK [COPYUID "));
    let told = imap.ok("LIST (SPECIAL-USE) \"\" * RETURN (STATUS (MESSAGES))");
    assert_eq!(told, ["* LIST (\\HasNoChildren \\Sent) \"/\" \"Sent\"", "* STATUS \"Sent\" (MESSAGES 2)"]);
    assert!(imap.ok("FETCH 1 BINARY.SIZE[1]").concat().contains("BINARY.SIZE[1] 10"));
    imap.ok("STORE 1 +FLAGS.SILENT (\\Deleted)");
    assert_eq!(imap.ok("UID EXPUNGE 1"), ["* 1 EXPUNGE"]);
    imap.ok("UNSELECT");
    assert!(imap.refused("SELECT Nowhere").starts_with("NO [NONEXISTENT]"));
    assert!(imap.refused("CREATE Sent").starts_with("NO [ALREADYEXISTS]"));
}

#[test]
fn e3_status_has_size_and_deleted() {
    let (_instance, mut imap) = rev2_with(2);
    imap.ok("STORE 2 +FLAGS (\\Deleted)");
    imap.ok("UNSELECT");
    let size = 2 * MESSAGE.len();
    assert_eq!(
        imap.ok("STATUS INBOX (SIZE DELETED)"),
        [format!("* STATUS \"INBOX\" (SIZE {size} DELETED 1)")]
    );
}

#[test]
fn e4_a_search_is_answered_with_esearch() {
    let (_instance, mut imap) = rev2_with(4);
    imap.ok("STORE 2 +FLAGS (\\Flagged)");
    let mut answer = |command: &str| {
        let (told, end) = imap.command(command);
        assert!(end.starts_with("OK"), "{command}: {end}");
        let tag = format!("(TAG \"t{}\")", imap.number());
        told.concat().replace(&tag, "T")
    };
    assert_eq!(answer("SEARCH UNFLAGGED"), "* ESEARCH T ALL 1,3:4");
    assert_eq!(answer("UID SEARCH FLAGGED"), "* ESEARCH T UID ALL 2");
    assert_eq!(answer("SEARCH ANSWERED"), "* ESEARCH T");
    assert_eq!(answer("SEARCH CHARSET UTF-8 SUBJECT lunch"), "* ESEARCH T ALL 1:4");
    assert_eq!(answer("SEARCH RETURN (MIN MAX COUNT) ALL"), "* ESEARCH T MIN 1 MAX 4 COUNT 4");
    assert!(answer("SEARCH MODSEQ 1").contains("* ESEARCH T ALL 1:4 MODSEQ "));
}

#[test]
fn e5_texts_are_found_within_others_and_keywords_are_not() {
    let (_instance, mut imap) = rev2_with(1);
    imap.ok("STORE 1 +FLAGS ($Label1)");
    for (key, found) in [
        ("SUBJECT unc", true),
        ("FROM my@exam", true),
        ("TO LICE", true),
        ("HEADER Subject lunc", true),
        ("BODY oon", true),
        ("TEXT \"ubject: l\"", true),
        ("KEYWORD $Label1", true),
        ("KEYWORD $Label", false),
        ("UNKEYWORD $Label", true),
    ] {
        assert_eq!(imap.ok(&format!("SEARCH {key}")).concat().ends_with(" ALL 1"), found, "{key}");
    }
}

#[test]
fn e6_parameters_of_parts_are_put_together() {
    let (_instance, mut imap) = rev2_with(0);
    let text = "Content-Type: text/plain; name*0=\"long \"; name*1=\"name\"\r\n\r\nx\r\n";
    imap.append("INBOX", "", text);
    imap.ok("NOOP");
    let told = imap.ok("FETCH 1 BODYSTRUCTURE").concat();
    assert!(told.contains("(\"name\" \"long name\" "), "{told}");
}

#[test]
fn e7_a_move_tells_the_new_uids() {
    let (_instance, mut imap) = rev2_with(2);
    imap.ok("CREATE To");
    for command in ["MOVE 1 To", "UID MOVE 2 To"] {
        let told = imap.ok(command);
        assert!(told[0].starts_with("* OK [COPYUID "), "{told:?}");
        assert_eq!(told[1], "* 1 EXPUNGE");
    }
}

#[test]
fn e8_copy_and_move_create_no_mailbox() {
    let (_instance, mut imap) = rev2_with(1);
    for command in ["COPY 1 New", "UID COPY 1 New", "MOVE 1 New", "UID MOVE 1 New"] {
        assert!(imap.refused(command).starts_with("NO [TRYCREATE]"), "{command}");
    }
    assert!(imap.append("New", "", MESSAGE).contains("NO [TRYCREATE]"));
    assert!(imap.ok("LIST \"\" New").is_empty());
}

#[test]
fn e9_the_end_of_the_selected_mailbox_is_told() {
    let (_instance, mut imap) = rev2_with(0);
    assert!(code_of(&imap.ok("EXAMINE INBOX"), "* OK [CLOSED]").is_some());
    let (told, end) = imap.command("SELECT Nowhere");
    assert!(code_of(&told, "* OK [CLOSED]").is_some() && end.starts_with("NO"), "{told:?}");
    assert!(code_of(&imap.ok("SELECT INBOX"), "[CLOSED]").is_none());
}

#[test]
fn e10_a_selected_mailbox_is_listed() {
    let (_instance, mut imap) = rev2_with(0);
    imap.ok("CREATE Work");
    imap.ok("CREATE Work/2002");
    imap.ok("SUBSCRIBE Work");
    for (command, line) in [
        ("SELECT inbox", "* LIST (\\HasNoChildren) \"/\" \"INBOX\""),
        ("EXAMINE Work", "* LIST (\\HasChildren \\Subscribed) \"/\" \"Work\""),
        ("SELECT user/alice/Work/2002", "* LIST (\\HasNoChildren) \"/\" \"Work/2002\""),
        ("SELECT INBOX (CONDSTORE)", "* LIST (\\HasNoChildren) \"/\" \"INBOX\""),
    ] {
        let told = imap.ok(command);
        let lists: Vec<&String> = told.iter().filter(|one| one.starts_with("* LIST")).collect();
        assert_eq!(lists, [line], "{command}");
        for word in ["FLAGS", "EXISTS", "[PERMANENTFLAGS", "[UIDVALIDITY", "[UIDNEXT"] {
            assert!(code_of(&told, word).is_some(), "{word} in {told:?}");
        }
    }
}

#[test]
fn e11_e12_nothing_is_said_of_recent_and_unseen() {
    let (instance, mut imap) = rev2_with(1);
    for command in ["SELECT INBOX", "EXAMINE INBOX", "SELECT INBOX"] {
        let told = imap.ok(command).concat();
        assert!(!told.contains("RECENT") && !told.contains("[UNSEEN"), "{told}");
    }
    fill(&mut instance.imap("alice"), "INBOX", 1);
    assert_eq!(imap.ok("NOOP"), ["* 2 EXISTS"]);
    assert_eq!(imap.ok("FETCH 1:2 FLAGS"), ["* 1 FETCH (FLAGS ())", "* 2 FETCH (FLAGS ())"]);
    // Another session with IMAP4rev1 hears of it as ever.
    let told = another(&instance).ok("EXAMINE INBOX");
    assert!(code_of(&told, " RECENT").is_some() && code_of(&told, "[UNSEEN 1]").is_some(), "{told:?}");
}

#[test]
fn e13_e15_keywords_can_be_set_and_found() {
    let (_instance, mut imap) = rev2_with(1);
    for keyword in ["$MDNSent", "$Forwarded", "$Junk", "$NonJunk", "$Phishing"] {
        let told = imap.ok(&format!("STORE 1 +FLAGS ({keyword})"));
        assert!(told.last().unwrap().contains(keyword), "{told:?}");
        assert!(imap.ok(&format!("SEARCH KEYWORD {keyword}"))[0].ends_with(" ALL 1"), "{keyword}");
    }
}

#[test]
fn e16_names_and_headers_are_utf8() {
    let (_instance, mut imap) = rev2_with(0);
    let told = imap.ok("CREATE \"Entwu\u{308}rfe\"");
    let oldname = "(\"OLDNAME\" (\"Entwu\u{308}rfe\"))";
    assert_eq!(told, [format!("* LIST (\\HasNoChildren) \"/\" \"Entwürfe\" {oldname}")]);
    assert!(imap.append("\"Entwürfe\"", "", "Subject: Grüße\r\n\r\nx\r\n").starts_with("OK"));
    let told = imap.ok("SELECT \"Entwürfe\"");
    assert!(code_of(&told, "* LIST (\\HasNoChildren) \"/\" \"Entwürfe\"").is_some(), "{told:?}");
    assert!(imap.ok("SEARCH SUBJECT \"GRÜSSE\"").concat().ends_with(")"));
    assert!(imap.ok("SEARCH SUBJECT \"grüße\"").concat().ends_with(" ALL 1"));
    assert!(imap.ok("FETCH 1 ENVELOPE").concat().contains("Grüße"));
    assert!(imap.refused("SELECT Entw&APw-rfe").starts_with("NO [NONEXISTENT]"));
}

/// What is gone from IMAP4rev2 is still there for IMAP4rev1, and has what takes its place.
#[test]
fn e17_e18_e19_what_was_removed_has_its_replacement() {
    let (_instance, mut imap) = rev2_with(1);
    assert!(imap.ok("CHECK").is_empty() && imap.ok("NOOP").is_empty());
    for (old, new) in
        [("RFC822", "BODY[]"), ("RFC822.HEADER", "BODY.PEEK[HEADER]"), ("RFC822.TEXT", "BODY[TEXT]")]
    {
        imap.ok("STORE 1 +FLAGS.SILENT (\\Seen)");
        let value = |imap: &mut Imap, item: &str| {
            imap.ok(&format!("FETCH 1 {item}"))
                .concat()
                .split_once(" FETCH (")
                .unwrap()
                .1
                .split_once(' ')
                .unwrap()
                .1
                .to_owned()
        };
        assert_eq!(value(&mut imap, old), value(&mut imap, new), "{old}");
    }
    imap.ok("SUBSCRIBE INBOX");
    assert_eq!(imap.ok("LSUB \"\" *"), ["* LSUB () \"/\" \"INBOX\""]);
    assert_eq!(
        imap.ok("LIST (SUBSCRIBED) \"\" *"),
        ["* LIST (\\HasNoChildren \\Subscribed) \"/\" \"INBOX\""]
    );
}

#[test]
fn e21_changes_of_flags_are_told_with_uids() {
    let (instance, mut imap) = rev2_with(3);
    imap.ok("STORE 1 +FLAGS.SILENT (\\Deleted)");
    imap.ok("EXPUNGE");
    let mut other = another(&instance);
    other.ok("STORE 1 +FLAGS (\\Flagged)");
    assert_eq!(imap.ok("NOOP"), ["* 1 FETCH (UID 2 FLAGS (\\Flagged))"]);
    let told = imap.ok("FETCH 2 BODY[TEXT]").concat();
    assert!(told.contains(" UID 3"), "\\Seen came unasked for: {told}");
}

#[test]
fn e25_e27_mechanisms_are_those_of_today() {
    let instance = Instance::start();
    let imap = Imap::open(instance.connect(black_box::instance::IMAP));
    assert!(
        imap.greeting.contains(" STARTTLS") && imap.greeting.contains(" AUTH=PLAIN"),
        "{}",
        imap.greeting
    );
    assert!(!imap.greeting.contains("DIGEST-MD5"), "{}", imap.greeting);
}

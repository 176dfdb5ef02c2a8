//! SETACL and its kin, names, LIST, inheritance, groups, changes while a mailbox is selected.

use std::fs;
use std::io::Write;

use black_box::instance::wait_for;
use black_box::{Imap, Instance, Setup};

use super::{MESSAGE, flags, name, share, tool};

fn people() -> Instance {
    Setup::default().users(&["alice", "bob", "carol"]).set("store.sharewithanyone", "yes").start()
}

/// Rows of a kind, sorted.
fn rows(imap: &mut Imap, command: &str, kind: &str) -> Vec<String> {
    let mut rows = imap.ok(command);
    rows.retain(|row| row.starts_with(kind));
    rows.sort();
    rows
}

#[test]
fn lists_are_set_added_to_taken_from_and_told() {
    let instance = people();
    let mut alice = instance.imap("alice");
    let capability = alice.ok("CAPABILITY").remove(0);
    for word in ["ACL", "RIGHTS=texk", "LIST-MYRIGHTS"] {
        assert!(capability.split(' ').any(|one| one == word), "{word} in {capability}");
    }
    alice.ok("CREATE Work");
    let acl = |alice: &mut Imap| alice.ok("GETACL Work").remove(0);
    let owner = "* ACL \"Work\" \"alice\" lrswipkxteacd";
    assert_eq!(acl(&mut alice), owner);
    alice.ok("SETACL Work bob lrs");
    alice.ok("SETACL Work bob +cd");
    assert_eq!(acl(&mut alice), format!("{owner} \"bob\" lrskxtecd"));
    alice.ok("SETACL Work bob -kxt");
    alice.ok("SETACL Work ANYONE l");
    alice.ok("SETACL Work -carol l");
    assert_eq!(acl(&mut alice), format!("{owner} \"-carol\" l \"anyone\" l \"bob\" lrsed"));
    // An address is another way to name a user.
    alice.ok("SETACL Work BOB@example.test r");
    alice.ok("DELETEACL Work -carol");
    alice.ok("SETACL Work anyone \"\"");
    assert_eq!(acl(&mut alice), format!("{owner} \"bob\" r"));
    assert_eq!(alice.ok("MYRIGHTS Work"), ["* MYRIGHTS \"Work\" lrswipkxteacd"]);
    assert_eq!(alice.ok("LISTRIGHTS Work alice"), ["* LISTRIGHTS \"Work\" \"alice\" lrswipkxteacd"]);
    let optional = "* LISTRIGHTS \"Work\" \"bob\" \"\" l r s w i p k x t e a c d";
    assert_eq!(alice.ok("LISTRIGHTS Work bob"), [optional]);
    for bad in ["SETACL Work bob lrq", "SETACL Work bob L", "SETACL Work \"\" l", "SETACL Work - l"] {
        assert!(alice.refused(bad).starts_with("BAD"), "{bad}");
    }
    for no in ["SETACL Work nobody l", "SETACL Work group=nobody@example.test l", "SETACL Work alice l"] {
        assert!(alice.refused(no).starts_with("NO [CANNOT]"), "{no}");
    }
    assert_eq!(acl(&mut alice), format!("{owner} \"bob\" r"));
}

/// What all who can log in may do is for administrators to say, unless the parameter gives it to users.
#[test]
fn only_administrators_share_with_anyone() {
    let instance = Setup::default().users(&["alice", "bob"]).start();
    let (mut alice, mut admin) = (instance.imap("alice"), instance.imap("admin"));
    share(&mut alice, "Work", "lra");
    let refused = |imap: &mut Imap, command: &str| {
        let said = imap.refused(command);
        assert!(said.starts_with("NO [NOPERM]"), "{command}: {said}");
    };
    refused(&mut alice, "SETACL Work anyone lr");
    refused(&mut alice, "SETACL Work ANYONE +l");
    refused(&mut instance.imap("bob"), &format!("SETACL {} anyone l", name("Work")));
    assert!(!alice.ok("GETACL Work")[0].contains("anyone"));
    // What takes away, and what is there, is no matter of it.
    alice.ok("SETACL Work -anyone w");
    admin.ok("SETACL user/alice/Work anyone lrs");
    refused(&mut alice, "SETACL Work anyone +i");
    alice.ok("SETACL Work anyone lrs");
    alice.ok("SETACL Work anyone -s");
    refused(&mut alice, "SETACL Work anyone lrs");
    assert!(alice.ok("GETACL Work")[0].contains("\"anyone\" lr "));
    alice.ok("DELETEACL Work anyone");
    assert!(!alice.ok("GETACL Work")[0].contains("\"anyone\""));
}

/// NMS: original.md 4.8; RFC 2342.
#[test]
fn others_and_nobodys_mailboxes_have_the_originals_names() {
    let instance = people();
    tool(&instance, "mboxutil", &["-c", "News"]);
    tool(&instance, "mboxutil", &["-c", "News/2002"]);
    let (mut alice, mut bob) = (instance.imap("alice"), instance.imap("bob"));
    let namespaces =
        "* NAMESPACE ((\"\" \"/\")) ((\"Shared Folders/User/\" \"/\")) ((\"Shared Folders/\" \"/\"))";
    assert_eq!(bob.ok("NAMESPACE"), [namespaces]);
    share(&mut alice, "Work/Plans", "lr");
    let listed = [
        "* LIST (\\HasChildren) \"/\" \"Shared Folders/News\"",
        "* LIST (\\HasNoChildren) \"/\" \"INBOX\"",
        "* LIST (\\HasNoChildren) \"/\" \"Shared Folders/News/2002\"",
        "* LIST (\\HasNoChildren) \"/\" \"Shared Folders/User/alice/Work/Plans\"",
    ];
    assert_eq!(rows(&mut bob, "LIST \"\" *", "* LIST"), listed);
    // Level by level, through levels that bob does not see.
    for (pattern, expected) in [
        ("%", vec![listed[1], "* LIST (\\Noselect \\HasChildren) \"/\" \"Shared Folders\""]),
        (
            "\"Shared Folders/%\"",
            vec![listed[0], "* LIST (\\Noselect \\HasChildren) \"/\" \"Shared Folders/User\""],
        ),
        (
            "\"Shared Folders/User/%\"",
            vec!["* LIST (\\Noselect \\HasChildren) \"/\" \"Shared Folders/User/alice\""],
        ),
        (
            "\"Shared Folders/User/alice/%\"",
            vec!["* LIST (\\Noselect \\HasChildren) \"/\" \"Shared Folders/User/alice/Work\""],
        ),
        ("\"Shared Folders/User/alice/*\"", vec![listed[3]]),
    ] {
        let mut expected = expected;
        expected.sort();
        assert_eq!(rows(&mut bob, &format!("LIST \"\" {pattern}"), "* LIST"), expected, "{pattern}");
    }
    assert_eq!(rows(&mut bob, "LIST \"Shared Folders/\" News/*", "* LIST"), [listed[2]]);
    bob.ok("SELECT \"Shared Folders/News/2002\"");
    assert!(bob.refused("CREATE \"Shared Folders/Mine\"").starts_with("NO [NOPERM]"));
    assert!(bob.refused("CREATE \"Shared Folders\"").starts_with("NO [NOPERM]"));
    // Administrators see all, and what is a user's by the name that they are used to.
    let mut admin = instance.imap("admin");
    assert!(admin.ok("NAMESPACE")[0].contains("((\"user/\" \"/\"))"));
    admin.ok("CREATE \"Shared Folders/Sport\"");
    admin.ok("SETACL \"Shared Folders/Sport\" anyone \"\"");
    assert_eq!(rows(&mut admin, "LIST \"\" \"Shared Folders/S%\"", "* LIST").len(), 1);
    assert!(rows(&mut bob, "LIST \"\" \"Shared Folders/S%\"", "* LIST").is_empty());
    assert_eq!(admin.ok("MYRIGHTS user/alice/INBOX"), ["* MYRIGHTS \"user/alice/INBOX\" lrswipkxteacd"]);
}

/// RFC 4314 §4: a new mailbox begins with the list of what stands above it; a rename keeps lists, a deletion removes them.
#[test]
fn lists_are_inherited_kept_over_renames_and_gone_with_their_mailbox() {
    let instance = people();
    let (mut alice, mut bob) = (instance.imap("alice"), instance.imap("bob"));
    share(&mut alice, "Work", "lrk");
    alice.ok("SETACL INBOX carol lr");
    alice.ok("CREATE Work/2002/May");
    bob.ok(&format!("CREATE {}", name("Work/2002/June")));
    for folder in ["Work/2002/May", "Work/2002/June"] {
        assert!(alice.ok(&format!("GETACL {folder}"))[0].ends_with("\"bob\" lrkc"), "{folder}");
    }
    // INBOX stands above nothing but INBOX/...
    alice.ok("CREATE Other");
    assert!(alice.ok("GETACL Other")[0].ends_with("\"alice\" lrswipkxteacd"));
    alice.ok("CREATE INBOX/Sub");
    assert!(alice.ok("GETACL INBOX/Sub")[0].ends_with("\"carol\" lr"));
    alice.ok("RENAME Work Play");
    assert_eq!(bob.ok(&format!("MYRIGHTS {}", name("Play/2002/May"))).len(), 1);
    bob.refused(&format!("MYRIGHTS {}", name("Work/2002/May")));
    alice.ok("DELETE Play/2002/May");
    alice.ok("CREATE Play/2002/May");
    alice.ok("DELETEACL Play bob");
    alice.ok("CREATE Play/New");
    assert!(alice.ok("GETACL Play/New")[0].ends_with("\"alice\" lrswipkxteacd"));
    // The list does not come back with the name.
    alice.ok("CREATE Once");
    alice.ok("SETACL Once bob lr");
    alice.ok("DELETE Once");
    alice.ok("CREATE Once");
    bob.refused(&format!("SELECT {}", name("Once")));
}

/// With a mailbox go those below it: who took one into his own names would own them all. Only owners give away what is
/// theirs, and only as much as the other may have.
#[test]
fn a_rename_makes_nobody_the_owner_of_what_others_have() {
    let instance = Setup::default()
        .users(&["alice", "bob", "carol"])
        .set("store.quotaenforcement", "yes")
        .set("store.defaultacl", "anyone lrswipkxtea")
        .start();
    let (mut alice, mut bob, mut admin) =
        (instance.imap("alice"), instance.imap("bob"), instance.imap("admin"));
    share(&mut alice, "Work", "lrswipkxte");
    share(&mut alice, "Work/Secret", "");
    let work = name("Work");
    admin.ok("CREATE \"Shared Folders/News\"");
    for (from, to) in
        [(work.as_str(), "Mine"), ("\"Shared Folders/News\"", "Mine"), (&work, "\"Shared Folders/News/x\"")]
    {
        assert!(bob.refused(&format!("RENAME {from} {to}")).starts_with("NO [NOPERM]"), "{from} {to}");
    }
    // Among alice's own it may be moved, and lists stay.
    alice.ok("CREATE Place");
    alice.ok("SETACL Place bob k");
    bob.ok(&format!("RENAME {work} {}", name("Place/Work")));
    bob.ok(&format!("EXAMINE {}", name("Place/Work")));
    bob.refused(&format!("EXAMINE {}", name("Place/Work/Secret")));
    // What bob gives has to fit.
    for folder in ["Gift", "Gift/Below"] {
        bob.ok(&format!("CREATE {folder}"));
        assert!(bob.append(folder, "", MESSAGE).starts_with("OK"));
    }
    admin.ok("SETQUOTA \"user/alice\" (MESSAGE 3)");
    let give = format!("RENAME Gift {}", name("Place/Gift"));
    assert!(bob.refused(&give).starts_with("NO [OVERQUOTA]"));
    assert_eq!((bob.exists("Gift"), bob.exists("Gift/Below")), (1, 1));
    admin.ok("SETQUOTA \"user/alice\" (MESSAGE 4)");
    bob.ok(&give);
    assert_eq!(alice.exists("Place/Gift/Below"), 1);
}

/// What LIST does not show is not found by a search of many mailboxes, though it may be searched by its name.
#[test]
fn a_search_of_a_tree_tells_of_no_hidden_mailbox() {
    let instance = people();
    let (mut alice, mut bob) = (instance.imap("alice"), instance.imap("bob"));
    for (folder, rights) in [("Work", "lr"), ("Work/Hidden", "r"), ("Work/Listed", "l"), ("Work/Both", "lr")]
    {
        share(&mut alice, folder, rights);
    }
    let found = |bob: &mut Imap, source: &str| {
        let rows = rows(bob, &format!("ESEARCH IN ({source}) ALL"), "* ESEARCH");
        let name = |row: &String| row.split("alice/").nth(1).unwrap().split('"').next().unwrap().to_owned();
        rows.iter().map(name).collect::<Vec<_>>()
    };
    let work = name("Work");
    assert_eq!(found(&mut bob, &format!("subtree {work}")), ["Work", "Work/Both"]);
    assert_eq!(found(&mut bob, &format!("subtree-one {work}")), ["Work", "Work/Both"]);
    let hidden = name("Work/Hidden");
    assert_eq!(found(&mut bob, &format!("mailboxes {hidden}")), ["Work/Hidden"]);
    assert_eq!(found(&mut bob, &format!("subtree {hidden}")), ["Work/Hidden"]);
}

/// NOTIFY tells of no children that LIST hides, and GETMETADATA not what a mailbox is to its owner.
#[test]
fn notices_and_annotations_tell_no_more_than_list() {
    let instance = people();
    let (mut alice, mut bob) = (instance.imap("alice"), instance.imap("bob"));
    alice.ok("CREATE Work (USE (\\Archive))");
    share(&mut alice, "Work/Hidden", "");
    let work = name("Work");
    bob.ok(&format!("NOTIFY SET (mailboxes {work} (MailboxName))"));
    alice.ok("SETACL Work bob lr");
    bob.wire.socket().set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
    assert_eq!(bob.response(), format!("* LIST (\\HasNoChildren) \"/\" {work}"));
    assert_eq!(bob.ok(&format!("LIST \"\" {work}")), [format!("* LIST (\\HasNoChildren) \"/\" {work}")]);
    let asked = "/private/specialuse";
    assert_eq!(bob.ok(&format!("GETMETADATA {work} {asked}")), [format!("* METADATA {work} ({asked} NIL)")]);
    assert_eq!(bob.ok(&format!("GETMETADATA (DEPTH infinity) {work} /private")), [""; 0]);
    let told = bob.ok(&format!("LIST \"\" {work} RETURN (METADATA ({asked}))"));
    assert_eq!(told[1], format!("* METADATA {work} ({asked} NIL)"));
    assert!(alice.ok(&format!("GETMETADATA Work {asked}"))[0].contains("Archive"));
}

/// No quota counts mailboxes: they have a limit of their own, whoever makes them.
#[test]
fn a_user_has_so_many_mailboxes() {
    let instance =
        Setup::default().users(&["alice", "bob", "carol"]).set("service.imap.maxmailboxes", "10").start();
    let (mut alice, mut bob) = (instance.imap("alice"), instance.imap("bob"));
    let count = |imap: &mut Imap| rows(imap, "LIST \"\" *", "* LIST").len();
    share(&mut alice, "Work", "lrk");
    for number in count(&mut alice)..10 {
        alice.ok(&format!("CREATE Work/{number}"));
    }
    assert_eq!(count(&mut alice), 10);
    let in_work = name("Work/more");
    assert!(alice.refused("CREATE More").starts_with("NO [LIMIT]"));
    assert!(bob.refused(&format!("CREATE {in_work}")).starts_with("NO [LIMIT]"));
    alice.ok("RENAME Work/9 Work/nine");
    // Levels count, and are left behind.
    alice.ok("RENAME Work/nine a/b/nine");
    assert!(alice.refused("RENAME a/b/nine c/d/nine").starts_with("NO [LIMIT]"));
    bob.ok("CREATE Gift");
    assert!(bob.refused(&format!("RENAME Gift {in_work}")).starts_with("NO [LIMIT]"));
    instance.imap("admin").ok("CREATE user/alice/More");
    for folder in ["a/b/nine", "Work/8", "Work/7", "Work/6", "More"] {
        alice.ok(&format!("DELETE {folder}"));
    }
    alice.ok("CREATE More");
}

#[test]
fn groups_of_the_directory_and_negative_rights() {
    let instance = people();
    let mut directory =
        fs::OpenOptions::new().append(true).open(instance.path("config/directory.ldif")).unwrap();
    directory
        .write_all(
            b"\ndn: cn=staff,o=test\nobjectClass: mailGroup\ncn: staff\nmail: staff@example.test\n\
              mgrpRFC822MailMember: bob@example.test\nmgrpRFC822MailMember: carol@example.test\n\n\
              dn: cn=all,o=test\nobjectClass: mailGroup\ncn: all\nmail: all@example.test\n\
              mgrpRFC822MailMember: staff@example.test\n",
        )
        .unwrap();
    let (mut alice, mut bob, mut carol) =
        (instance.imap("alice"), instance.imap("bob"), instance.imap("carol"));
    alice.ok("CREATE Work");
    wait_for("the directory to be read again", || {
        alice.command("SETACL Work group=Staff@example.test lrs").1.starts_with("OK").then_some(())
    });
    assert!(alice.ok("GETACL Work")[0].ends_with("\"group=staff@example.test\" lrs"));
    assert_eq!(rows(&mut bob, "LIST \"\" *Work", "* LIST").len(), 1);
    bob.ok(&format!("SELECT {}", name("Work")));
    bob.ok("UNSELECT");
    alice.ok("SETACL Work -carol l");
    alice.ok("SETACL Work -group=all@example.test s");
    assert!(rows(&mut carol, "LIST \"\" *Work", "* LIST").is_empty());
    assert_eq!(bob.ok(&format!("MYRIGHTS {}", name("Work"))), [format!("* MYRIGHTS {} lr", name("Work"))]);
    // What is granted to the user comes back only when it is not taken away any more.
    alice.ok("SETACL Work bob s");
    assert!(bob.ok(&format!("MYRIGHTS {}", name("Work")))[0].ends_with(" lr"));
    alice.ok("DELETEACL Work -group=all@example.test");
    assert!(bob.ok(&format!("MYRIGHTS {}", name("Work")))[0].ends_with(" lrs"));
}

/// RFC 4314 §5.1.1: rights are looked up at each command, and a client is told what they mean now.
#[test]
fn a_change_takes_effect_in_running_sessions() {
    let instance = Setup::default().set("service.imap.numprocesses", "2").start();
    let (mut alice, mut bob) = (instance.imap("alice"), instance.imap("bob"));
    share(&mut alice, "Work", "lrswit");
    let selected = bob.ok(&format!("SELECT {}", name("Work")));
    let permitted =
        "* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft \\*)] Flags permitted";
    assert!(selected.iter().any(|row| row == permitted), "{selected:?}");
    bob.ok("STORE 1 +FLAGS (\\Flagged)");
    alice.ok("SETACL Work bob lr");
    let told = bob.ok("NOOP");
    assert!(told.iter().any(|row| row.starts_with("* OK [PERMANENTFLAGS ()]")), "{told:?}");
    assert!(told.iter().any(|row| row.starts_with("* OK [READ-ONLY]")), "{told:?}");
    assert!(bob.refused("STORE 1 +FLAGS (\\Answered)").starts_with("NO [NOPERM]"));
    assert!(bob.command(&format!("EXAMINE {}", name("Work"))).1.starts_with("OK [READ-ONLY]"));
    assert!(bob.command(&format!("SELECT {}", name("Work"))).1.starts_with("OK [READ-ONLY]"));
    // Idle: nothing is told of what bob may not read any more, and all of it when he may again.
    bob.wire.send(b"i IDLE\r\n");
    assert!(bob.response().starts_with('+'));
    alice.ok("DELETEACL Work bob");
    assert!(alice.append("Work", "", MESSAGE).starts_with("OK"));
    assert!(alice.append("Work", "", MESSAGE).starts_with("OK"));
    bob.wire.send(b"DONE\r\n");
    assert!(bob.until_tagged("i").0.iter().all(|row| !row.contains("EXISTS")));
    assert!(bob.refused("FETCH 1 FLAGS").starts_with("NO [NOPERM]"));
    assert!(bob.ok("NOOP").iter().all(|row| !row.contains("EXISTS")));
    alice.ok("SETACL Work bob lr");
    assert!(bob.ok("NOOP").iter().any(|row| row == "* 3 EXISTS"));
    bob.ok("FETCH 1:3 FLAGS");
}

/// A STORE that may change some of its flags changes those (RFC 4314 §4), and FLAGS leaves the others as they are.
#[test]
fn a_store_changes_the_flags_that_it_may() {
    let instance = people();
    let (mut alice, mut bob) = (instance.imap("alice"), instance.imap("bob"));
    share(&mut alice, "Work", "lrt");
    alice.ok("SELECT Work");
    alice.ok("STORE 1 FLAGS (\\Flagged $Work)");
    alice.ok("UNSELECT");
    bob.ok(&format!("SELECT {}", name("Work")));
    bob.ok("STORE 1 FLAGS (\\Deleted \\Answered $Play)");
    assert_eq!(flags(&mut alice, "Work"), "* 1 FETCH (FLAGS (\\Flagged \\Deleted $Work))");
    bob.ok("STORE 1 FLAGS ()");
    assert_eq!(flags(&mut alice, "Work"), "* 1 FETCH (FLAGS (\\Flagged $Work))");
    assert!(bob.refused("STORE 1 -FLAGS (\\Flagged)").starts_with("NO [NOPERM]"));
    bob.ok("UNSELECT");
    // What is copied or added loses what may not be set there; it comes all the same.
    alice.ok("SETACL Work bob lri");
    assert!(bob.append(&name("Work"), "(\\Flagged \\Deleted $Play) ", MESSAGE).starts_with("OK"));
    assert!(flags(&mut alice, "Work").ends_with("* 2 FETCH (FLAGS (\\Recent))"));
}

/// The mailbox list made anew from the folders has the lists too, and a folder that was damaged is what the list says.
#[test]
fn lists_survive_reconstruct() {
    let mut instance = people();
    let (mut alice, mut bob) = (instance.imap("alice"), instance.imap("bob"));
    share(&mut alice, "Work", "lr");
    tool(&instance, "mboxutil", &["-c", "News"]);
    drop((alice, bob));
    instance.kill_all();
    for entry in fs::read_dir(instance.path("store/mboxlist")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    tool(&instance, "reconstruct", &["-m"]);
    instance.start_all();
    bob = instance.imap("bob");
    assert!(bob.ok(&format!("MYRIGHTS {}", name("Work")))[0].ends_with(" lr"));
    assert_eq!(rows(&mut bob, "LIST \"\" *", "* LIST").len(), 3);
    // The file is lost, or damaged: the list has it.
    let file = find(&instance.path("store/partition"), "store.acl", "=+Work");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("lr bob", "lrswipkxtea bob")).unwrap();
    tool(&instance, "reconstruct", &["-m"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    fs::remove_file(&file).unwrap();
    tool(&instance, "reconstruct", &["user/alice/Work"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    assert!(bob.ok(&format!("MYRIGHTS {}", name("Work")))[0].ends_with(" lr"));
}

/// The file of this name in the folder whose last level is `level`.
fn find(top: &std::path::Path, name: &str, level: &str) -> std::path::PathBuf {
    let mut folders = vec![top.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if entry.file_name() == name && folder.ends_with(level) {
                return entry.path();
            }
        }
    }
    panic!("there is no {name} in {level}");
}

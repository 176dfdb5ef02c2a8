//! METADATA, METADATA-SERVER (RFC 5464), LIST-METADATA (RFC 9590), /private/specialuse (RFC 6154 §5.4).

use std::fs;
use std::process::Stdio;

use black_box::{Setup, run};

use super::*;

/// Sends a command whose last argument is a literal; the tagged response.
fn with_literal(imap: &mut Imap, command: &str, binary: bool, value: &[u8], end: &str) -> String {
    let tilde = if binary { "~" } else { "" };
    let head = format!("l {command} {tilde}{{{}+}}\r\n", value.len());
    imap.wire.send(&[head.as_bytes(), value, end.as_bytes(), b"\r\n"].concat());
    imap.until_tagged("l").1
}

#[test]
fn annotations_of_a_mailbox_are_set_told_and_removed() {
    let instance = Instance::start();
    let mut imap = instance.imap("alice");
    for name in ["METADATA", "METADATA-SERVER", "LIST-METADATA"] {
        assert!(is_offered(&mut imap, name), "{name}");
    }
    imap.ok("SETMETADATA INBOX (/private/comment \"my own\" /shared/vendor/x/Color \"#b71c1c\")");
    assert_eq!(
        imap.ok("GETMETADATA INBOX (/shared/comment /PRIVATE/comment)"),
        ["* METADATA \"INBOX\" (/shared/comment NIL /PRIVATE/comment \"my own\")"]
    );
    assert_eq!(
        imap.ok("GETMETADATA (DEPTH infinity) INBOX (/private /shared/vendor)"),
        ["* METADATA \"INBOX\" (/private/comment \"my own\" /shared/vendor/x/Color \"#b71c1c\")"]
    );
    assert_eq!(imap.ok("GETMETADATA (DEPTH 1) INBOX /shared/vendor"), [""; 0]);
    imap.ok("SETMETADATA INBOX (/private/Comment NIL /shared/comment \"\")");
    assert_eq!(
        imap.ok("GETMETADATA INBOX (/private/comment /shared/comment)"),
        ["* METADATA \"INBOX\" (/private/comment NIL /shared/comment \"\")"]
    );
    assert!(imap.refused("GETMETADATA Nowhere /shared/comment").starts_with("NO [NONEXISTENT]"));
    assert!(imap.refused("SETMETADATA Nowhere (/shared/comment \"x\")").starts_with("NO [NONEXISTENT]"));
    assert!(imap.refused("GETMETADATA user/bob/INBOX /shared/comment").starts_with("NO "));
    assert!(imap.refused("SETMETADATA user/bob/INBOX (/shared/comment \"x\")").starts_with("NO "));
    all_bad(
        &mut imap,
        &[
            "GETMETADATA INBOX",
            "GETMETADATA INBOX comment",
            "GETMETADATA INBOX \"/shared/*\"",
            "GETMETADATA (DEPTH 3) INBOX /shared/comment",
            "SETMETADATA INBOX (/shared/comment)",
            "SETMETADATA INBOX (/shared \"x\")",
            "SETMETADATA INBOX (/shared/vendor/x \"x\")",
            "SETMETADATA INBOX (/comment \"x\")",
        ],
    );
}

#[test]
fn long_values_are_left_out_when_the_client_says_so() {
    let instance = Instance::start();
    let mut imap = instance.imap("alice");
    imap.ok(&format!("SETMETADATA INBOX (/shared/a \"{}\" /private/b \"y\")", "x".repeat(900)));
    for command in [
        "GETMETADATA (MAXSIZE 100) INBOX (/shared/a /private/b)",
        "GETMETADATA INBOX (MAXSIZE 100) (/shared/a /private/b)",
    ] {
        let (told, end) = imap.command(command);
        assert_eq!(told, ["* METADATA \"INBOX\" (/private/b \"y\")"]);
        assert!(end.starts_with("OK [METADATA LONGENTRIES 900]"), "{end}");
    }
    assert!(imap.command("GETMETADATA (MAXSIZE 900) INBOX /shared/a").1.starts_with("OK GETMETADATA"));
}

#[test]
fn values_may_be_binary_and_have_limits() {
    let instance = Setup::default()
        .users(&["alice", "bob"])
        .set("service.imap.metadatamaxsize", "2000")
        .set("service.imap.metadatamaxentries", "10")
        .start();
    let mut imap = instance.imap("alice");
    let end = with_literal(&mut imap, "SETMETADATA INBOX (/shared/a", true, b"\0\r\nx", ")");
    assert!(end.starts_with("OK"), "{end}");
    imap.wire.send(b"g GETMETADATA INBOX /shared/a\r\n");
    assert_eq!(imap.wire.line(), "* METADATA \"INBOX\" (/shared/a ~{4}");
    assert_eq!(imap.wire.bytes(5), b"\0\r\nx)");
    imap.until_tagged("g");
    for (binary, size) in [(false, 2001), (true, 2001), (false, 70_000), (true, 70_000)] {
        let value = vec![b'x'; size];
        let command = "SETMETADATA INBOX (/shared/b \"new\" /shared/a";
        let end = with_literal(&mut imap, command, binary, &value, ")");
        assert!(end.starts_with("NO [METADATA MAXSIZE 2000]"), "{size}: {end}");
    }
    assert_eq!(imap.ok("GETMETADATA INBOX /shared/b"), ["* METADATA \"INBOX\" (/shared/b NIL)"]);
    let end = with_literal(&mut imap, "SETMETADATA INBOX (/shared/a", false, &[b'x'; 2000], ")");
    assert!(end.starts_with("OK"), "{end}");
    for number in 0..9 {
        imap.ok(&format!("SETMETADATA INBOX (/shared/{number} \"x\")"));
    }
    let end = imap.refused("SETMETADATA INBOX (/shared/0 \"other\" /shared/9 \"x\")");
    assert!(end.starts_with("NO [METADATA TOOMANY]"), "{end}");
    assert_eq!(imap.ok("GETMETADATA INBOX /shared/0"), ["* METADATA \"INBOX\" (/shared/0 \"x\")"]);
    imap.ok("SETMETADATA INBOX (/shared/9 \"x\" /shared/0 NIL /private/own \"x\")");
    // A literal that is no value of an annotation must not be binary.
    imap.wire.send(b"n LOGIN ~{1+}\r\nx y\r\n");
    assert!(imap.until_tagged("n").1.starts_with("BAD"));
}

#[test]
fn the_server_has_annotations_of_administrators_and_of_each_user() {
    let instance = Setup::default()
        .users(&["alice", "bob", "root"])
        .set("store.admins", "root")
        .set("service.imap.adminurl", "mailto:postmaster@example.test")
        .start();
    let (mut alice, mut bob, mut admin) =
        (instance.imap("alice"), instance.imap("bob"), instance.imap("root"));
    assert_eq!(
        alice.ok("GETMETADATA \"\" (/shared/admin /shared/comment)"),
        ["* METADATA \"\" (/shared/admin \"mailto:postmaster@example.test\" /shared/comment NIL)"]
    );
    assert!(alice.refused("SETMETADATA \"\" (/shared/comment \"x\")").starts_with("NO [NOPERM]"));
    assert!(admin.refused("SETMETADATA \"\" (/shared/admin \"x\")").starts_with("NO [NOPERM]"));
    // Neither of the two is done.
    let both = "SETMETADATA \"\" (/private/vendor/x/y \"1\" /shared/comment \"x\")";
    assert!(alice.refused(both).starts_with("NO [NOPERM]"));
    admin.ok("SETMETADATA \"\" (/shared/comment \"down at noon\" /private/vendor/x/y \"2\")");
    alice.ok("SETMETADATA \"\" (/private/vendor/x/y \"3\")");
    for (imap, own) in [(&mut alice, "\"3\""), (&mut bob, "NIL"), (&mut admin, "\"2\"")] {
        assert_eq!(
            imap.ok("GETMETADATA \"\" (/shared/comment /private/vendor/x/y)"),
            [format!("* METADATA \"\" (/shared/comment \"down at noon\" /private/vendor/x/y {own})")]
        );
    }
    assert_eq!(
        alice.ok("GETMETADATA INBOX /private/vendor/x/y"),
        ["* METADATA \"INBOX\" (/private/vendor/x/y NIL)"]
    );
}

#[test]
fn private_annotations_of_one_mailbox_are_each_users_own() {
    let instance = Setup::default().users(&["alice", "root"]).set("store.admins", "root").start();
    let (mut alice, mut admin) = (instance.imap("alice"), instance.imap("root"));
    alice.ok("SETMETADATA INBOX (/private/comment \"mine\" /shared/comment \"ours\")");
    assert_eq!(
        admin.ok("GETMETADATA (DEPTH infinity) user/alice/INBOX (/private /shared)"),
        ["* METADATA \"user/alice/INBOX\" (/shared/comment \"ours\")"]
    );
    admin.ok("SETMETADATA user/alice/INBOX (/private/comment \"seen\" /shared/comment \"theirs\")");
    assert_eq!(
        alice.ok("GETMETADATA INBOX (/private/comment /shared/comment)"),
        ["* METADATA \"INBOX\" (/private/comment \"mine\" /shared/comment \"theirs\")"]
    );
}

#[test]
fn list_tells_annotations_of_each_mailbox() {
    let instance = Instance::start();
    let mut imap = instance.imap("alice");
    imap.ok("CREATE Work/2001");
    imap.ok("SETMETADATA INBOX (/shared/vendor/x/color \"red\")");
    assert_eq!(
        imap.ok("LIST \"\" * RETURN (METADATA (/shared/vendor/x/color /private/a) STATUS (MESSAGES))"),
        [
            "* LIST (\\HasNoChildren) \"/\" \"INBOX\"",
            "* STATUS \"INBOX\" (MESSAGES 0)",
            "* METADATA \"INBOX\" (/shared/vendor/x/color \"red\" /private/a NIL)",
            "* LIST (\\HasChildren \\Noselect) \"/\" \"Work\"",
            "* LIST (\\HasNoChildren) \"/\" \"Work/2001\"",
            "* STATUS \"Work/2001\" (MESSAGES 0)",
            "* METADATA \"Work/2001\" (/shared/vendor/x/color NIL /private/a NIL)",
        ]
    );
    all_bad(&mut imap, &["LIST \"\" * RETURN (METADATA)", "LIST \"\" * RETURN (METADATA (color))"]);
}

#[test]
fn the_special_use_is_an_annotation_too() {
    let instance = Instance::start();
    let mut imap = instance.imap("alice");
    imap.ok("CREATE Mine (USE (\\Sent))");
    imap.ok("CREATE Other");
    assert_eq!(
        imap.ok("GETMETADATA Mine /private/specialuse"),
        ["* METADATA \"Mine\" (/private/specialuse \"\\\\Sent\")"]
    );
    imap.ok("SETMETADATA Mine (/private/specialuse NIL)");
    imap.ok("SETMETADATA Other (/private/specialuse \"\\\\junk\" /private/comment \"x\")");
    assert_eq!(
        imap.ok("LIST (SPECIAL-USE) \"\" * RETURN (METADATA (/private/specialuse))"),
        [
            "* LIST (\\HasNoChildren \\Junk) \"/\" \"Other\"",
            "* METADATA \"Other\" (/private/specialuse \"\\\\Junk\")",
        ]
    );
    assert_eq!(
        imap.ok("GETMETADATA (DEPTH infinity) Other /private"),
        ["* METADATA \"Other\" (/private/comment \"x\" /private/specialuse \"\\\\Junk\")"]
    );
    for wrong in ["\\\\Nothing", "\\\\Sent \\\\Junk", "Sent"] {
        let command = format!("SETMETADATA Other (/private/comment \"y\" /private/specialuse \"{wrong}\")");
        assert!(imap.refused(&command).starts_with("NO [USEATTR]"));
    }
    assert_eq!(
        imap.ok("GETMETADATA Other /private/comment"),
        ["* METADATA \"Other\" (/private/comment \"x\")"]
    );
}

#[test]
fn annotations_follow_a_rename_and_go_with_a_deletion() {
    let instance = Instance::start();
    let mut imap = instance.imap("alice");
    imap.ok("CREATE Work");
    imap.ok("CREATE Work/Below");
    imap.ok("SETMETADATA Work (/private/comment \"w\")");
    imap.ok("SETMETADATA Work/Below (/private/comment \"b\")");
    imap.ok("SETMETADATA INBOX (/private/comment \"i\")");
    imap.ok("RENAME Work Play");
    imap.ok("RENAME INBOX Old");
    let comments = "LIST \"\" (INBOX Old Play Play/Below) RETURN (METADATA (/private/comment))";
    let comments = |imap: &mut Imap| -> Vec<String> {
        imap.ok(comments).into_iter().filter(|line| line.starts_with("* METADATA")).collect()
    };
    let expected = [("INBOX", "\"i\""), ("Old", "\"i\""), ("Play", "\"w\""), ("Play/Below", "\"b\"")]
        .map(|(name, value)| format!("* METADATA \"{name}\" (/private/comment {value})"));
    assert_eq!(comments(&mut imap), expected);
    imap.ok("DELETE Play");
    imap.ok("CREATE Play");
    assert_eq!(comments(&mut imap)[2], "* METADATA \"Play\" (/private/comment NIL)");
}

#[test]
fn annotations_survive_kills_reconstruct_and_a_backup() {
    let mut instance = Instance::start();
    let mut imap = instance.imap("alice");
    imap.ok("CREATE Work (USE (\\Archive))");
    imap.ok("SETMETADATA Work (/private/comment \"w\" /shared/comment \"s\")");
    imap.ok("SETMETADATA \"\" (/private/vendor/x/y \"own\")");
    instance.kill("imap");
    instance.start_one("imap");
    let asked = "GETMETADATA Work (/private/comment /shared/comment /private/specialuse)";
    let told = [
        "* METADATA \"Work\" (/private/comment \"w\" /shared/comment \"s\" /private/specialuse \"\\\\Archive\")",
    ];
    let mut imap = instance.imap("alice");
    assert_eq!(imap.ok(asked), told);
    run(instance.tool("reconstruct").arg("user/alice/Work"));
    assert_eq!(imap.ok(asked), told);
    run(instance.tool("reconstruct").arg("-m"));
    assert_eq!(imap.ok(asked), told);

    let file = instance.path("all.tar");
    run(instance.tool("imsbackup").arg("-f").arg(&file).arg("/").stderr(Stdio::null()));
    imap.ok("DELETE Work");
    imap.ok("SETMETADATA \"\" (/private/vendor/x/y NIL)");
    imap.ok("SETMETADATA INBOX (/private/comment \"newer\")");
    run(instance.tool("imsrestore").arg("-f").arg(&file));
    assert_eq!(imap.ok(asked), told);
    assert_eq!(
        imap.ok("GETMETADATA \"\" /private/vendor/x/y"),
        ["* METADATA \"\" (/private/vendor/x/y \"own\")"]
    );
    assert_eq!(
        imap.ok("GETMETADATA INBOX /private/comment"),
        ["* METADATA \"INBOX\" (/private/comment \"newer\")"]
    );
}

#[test]
fn damage_is_told_and_put_aside_by_reconstruct() {
    let instance = Instance::start();
    let mut imap = instance.imap("alice");
    imap.ok("SETMETADATA INBOX (/private/comment \"w\")");
    let hash = run(instance.tool("hashdir").arg("alice"));
    let folder = instance.path("store/partition/primary/=user").join(hash.trim()).join("=alice");
    let path = folder.join("store.met");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\nw\n", "\nx\n")).unwrap();
    assert!(imap.refused("GETMETADATA INBOX /private/comment").starts_with("NO [SERVERBUG]"));
    assert!(imap.refused("SETMETADATA INBOX (/private/comment \"y\")").starts_with("NO [SERVERBUG]"));
    imap.ok("SELECT INBOX");
    run(instance.tool("reconstruct").arg("user/alice/INBOX"));
    assert_eq!(
        imap.ok("GETMETADATA INBOX /private/comment"),
        ["* METADATA \"INBOX\" (/private/comment NIL)"]
    );
    imap.ok("SETMETADATA INBOX (/private/comment \"y\")");
    let names = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.into_iter().any(|name| name.to_string_lossy().starts_with("store.met.damaged-")));
}

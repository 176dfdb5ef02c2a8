//! Names of mailboxes, and who may see them.

use std::time::{Duration, Instant};

use black_box::{Instance, Vigil};

use crate::{GROWTH_MAX_BYTES, MESSAGE, instance, line, says, selected};

const NAMES: &[(&str, &str)] = &[
    ("CREATE &", "x NO [CANNOT]"),
    ("CREATE &AAA", "x NO [CANNOT]"),
    ("CREATE &Jjo!", "x NO [CANNOT]"),
    ("CREATE &AAAA-", "x NO [CANNOT]"), // NUL
    ("CREATE &2AA-", "x NO [CANNOT]"),  // unpaired surrogate
    ("CREATE &AEE-", "x NO [CANNOT]"),  // base64 of ASCII
    ("CREATE &U,BTFw-&ZeVnLIqe-", "x NO [CANNOT]"),
    ("CREATE Entw\u{fc}rfe", "x BAD"), // raw UTF-8 in an atom
    ("CREATE \"Entw\u{fc}rfe\"", "x NO [CANNOT]"),
    ("CREATE ../x", "x NO [CANNOT]"),
    ("CREATE a/../b", "x NO [CANNOT]"),
    ("CREATE a//b", "x NO [CANNOT]"),
    ("CREATE /x", "x NO [CANNOT]"),
    ("CREATE .", "x NO [CANNOT]"),
    ("CREATE \"\"", "x NO [CANNOT]"),
    ("CREATE a%b", "x BAD"), // a wildcard in an atom
    ("CREATE INBOX", "x NO [ALREADYEXISTS]"),
    ("CREATE inbox", "x NO [ALREADYEXISTS]"),
    ("DELETE INBOX", "x NO [CANNOT]"),
    ("RENAME x INBOX", "x NO [ALREADYEXISTS]"),
    ("RENAME a a/b", "x NO [CANNOT]"),
    ("CREATE user/bob/x", "x NO [NOPERM]"),
    ("RENAME a user/bob/x", "x NO [NOPERM]"),
    ("SUBSCRIBE &AAA", "x NO [CANNOT]"),
    ("SELECT &AAA", "x NO [CANNOT]"),
    ("SELECT Nothing", "x NO [NONEXISTENT]"),
    ("COPY 1 Nothing", "x BAD"), // nothing is selected any more, since SELECT failed
];

#[test]
fn hostile_names_are_refused() {
    let instance = instance();
    let vigil = Vigil::begin(&instance);
    let mut user = selected(&instance);
    user.ok("CREATE a");
    for (command, answer) in NAMES {
        line(&mut user, command, answer);
    }
    line(&mut user, &format!("CREATE {}", "x".repeat(256)), "x NO [CANNOT]");
    line(&mut user, &format!("CREATE {}", vec!["a"; 200].join("/")), "x NO [CANNOT]");
    // "in LIST never matches"
    for pattern in ["&", "&AAA", "&Jjo!", "&2AA-"] {
        assert_eq!(user.ok(&format!("LIST \"\" {pattern}")), [""; 0], "{pattern}");
    }
    assert_eq!(user.ok("LIST \"\" *").len(), 2, "INBOX and a");
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

/// "name with = + %": stored under a safe name. "trailing / on CREATE" is legal. And a component as long as may be.
#[test]
fn odd_names_are_kept_as_they_are() {
    let instance = instance();
    let vigil = Vigil::begin(&instance);
    let mut user = instance.imap("alice");
    let longest = "y".repeat(254); // one more has no room on the disk
    for name in
        ["a=b", "=c", "a+b", "a%b", "a*b", "a\\b", "a\"b", "~", "-rf", "a b", "&-", "&2DzdeQ-", &longest]
    {
        let quoted = format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
        user.ok(&format!("CREATE {quoted}"));
        assert!(user.refused(&format!("CREATE {quoted}")).starts_with("NO [ALREADYEXISTS]"), "{name}");
        assert!(user.append(&quoted, "", MESSAGE).starts_with("OK"), "{name}");
        assert_eq!(user.exists(&quoted), 1, "{name}");
        let listed = user.ok("LIST \"\" *");
        assert!(listed.iter().any(|one| one.ends_with(&format!(" {quoted}"))), "{name} in {listed:?}");
        user.ok(&format!("DELETE {quoted}"));
    }
    user.ok("CREATE parent/");
    user.ok("CREATE parent/child");
    user.ok("DELETE parent/child");
    user.ok("DELETE parent");
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

/// "missing and unseen folders answer alike"
#[test]
fn what_others_have_cannot_be_told_from_what_nobody_has() {
    let instance = instance();
    let vigil = Vigil::begin(&instance);
    instance.imap("bob").ok("CREATE secret");
    let mut user = selected(&instance);
    let mut answer = |command: &str, name: &str| user.refused(&command.replace('?', name));
    for command in [
        "STATUS ? (MESSAGES)",
        "EXAMINE ?",
        "DELETE ?",
        "RENAME ? mine",
        "CREATE ?",
        "SUBSCRIBE ?",
        "APPEND ? {10}",
    ] {
        let other = answer(command, "user/bob/secret");
        assert_eq!(other, answer(command, "user/bob/nothing"), "{command}");
        assert_eq!(other, answer(command, "user/nobody/nothing"), "{command}");
        assert!(other.starts_with("NO ["), "{command}: {other}");
    }
    let listed = user.ok("LIST \"\" user/*");
    assert_eq!(listed, [""; 0], "{listed:?}");
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

/// "SELECT missing: previously selected folder is closed"
#[test]
fn a_select_that_fails_leaves_nothing_selected() {
    let instance = instance();
    let vigil = Vigil::begin(&instance);
    let mut user = selected(&instance);
    line(&mut user, "SELECT Nothing", "x NO [NONEXISTENT]");
    line(&mut user, "FETCH 1 FLAGS", "x BAD");
    user.ok("SELECT INBOX");
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

/// "LIST "" %*%*...x1000 answers in linear time"
#[test]
fn patterns_cost_little() {
    let instance = instance();
    let vigil = Vigil::begin(&instance);
    let mut user = instance.imap("alice");
    for n in 0..20 {
        user.ok(&format!("CREATE {}{n}", "a".repeat(250)));
    }
    let pattern = "%*".repeat(1000);
    let begun = Instant::now();
    assert_eq!(user.ok(&format!("LIST \"\" {pattern}")).len(), 21);
    for part in ["%*", "a*"] {
        assert_eq!(user.ok(&format!("LIST \"\" {}z", part.repeat(2_990))).len(), 0);
        let refused = user.refused(&format!("LIST \"\" {}z", part.repeat(15_000)));
        assert!(refused.starts_with("NO [LIMIT]"), "{refused}");
    }
    assert_eq!(user.ok(&format!("LSUB \"\" {pattern}")).len(), 0);
    assert!(begun.elapsed() < Duration::from_secs(50), "{:?}", begun.elapsed());
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

/// "APPEND ...": before the literal for those that wait.
#[test]
fn append_is_refused_before_the_message_is_sent() {
    let instance = instance();
    let vigil = Vigil::begin(&instance);
    let mut user = selected(&instance);
    let keywords = |count: usize| (0..count).map(|n| format!("k{n}")).collect::<Vec<_>>().join(" ");
    for (command, answer) in [
        ("APPEND Nothing {10}", "x NO [TRYCREATE]"),
        ("APPEND INBOX \"32-Foo-2002 25:00:00 +0000\" {10}", "x BAD"),
        ("APPEND INBOX \"1-Jan-2002\" {10}", "x BAD"),
        ("APPEND INBOX (\\Recent) {10}", "x BAD"),
        ("APPEND INBOX (\\Foo) {10}", "x BAD"),
        (&format!("APPEND INBOX ({}) {{10}}", keywords(70)), "x NO [LIMIT]"),
        ("APPEND INBOX {4294967295}", "x NO [TOOBIG]"),
        ("APPEND INBOX", "x BAD"),
        ("APPEND INBOX message", "x BAD"),
    ] {
        line(&mut user, command, answer);
    }
    // The same without waiting: the message is read and thrown away.
    says(&mut user, "APPEND to missing", b"x APPEND Nothing {6+}\r\na: b\r\n\r\n", &["x NO [TRYCREATE]"]);
    says(&mut user, "APPEND of \\Recent", b"x APPEND INBOX (\\Recent) {6+}\r\na: b\r\n\r\n", &["x BAD"]);
    says(&mut user, "text behind the message", b"x APPEND INBOX {6+}\r\na: b\r\nmore\r\n", &["x BAD"]);
    // "0 bytes": accepted.
    user.wire.send(b"x APPEND Empty {0+}\r\n\r\n");
    assert!(user.response().starts_with("x NO [TRYCREATE]"));
    user.ok("CREATE Empty");
    assert!(user.append("Empty", "", "").starts_with("OK [APPENDUID"));
    fetches_an_empty_message(&instance);
    assert_eq!(user.exists("INBOX"), 1);
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

fn fetches_an_empty_message(instance: &Instance) {
    let mut user = instance.imap("alice");
    user.ok("SELECT Empty");
    let all = user.ok("FETCH 1 (RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY[] BODY[HEADER] BODY[1])").join("");
    assert!(all.contains("RFC822.SIZE 0") && all.contains("BODY[] {0}"), "{all}");
}

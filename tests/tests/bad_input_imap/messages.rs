//! FETCH, STORE, SEARCH, COPY: sets, sections, keys and flags.

use std::fs;
use std::path::{Path, PathBuf};

use black_box::Vigil;

use crate::{GROWTH_MAX_BYTES, MESSAGE, instance, line, selected};

const SETS: &[&str] =
    &["0", "0:5", "4294967296", "1,,2", "*:", ":1", "1,", ",1", "-1", "2", "1:2", "a", "1.5", "**", "01"];

const ITEMS: &[&str] = &[
    "BODY[0]",
    "BODY[1.0]",
    "BODY[1.]",
    "BODY[.1]",
    "BODY[1",
    "BODY[]<0.0>",
    "BODY[]<-1.5>",
    "BODY[]<9223372036854775808.1>",
    "BODY[]<1>",
    "BODY[HEADER.FIELDS ()]",
    "BODY[HEADER.FIELDS]",
    "BODY[HEADER.FIELDS (a b]",
    "BODY[HEADER.FIELDS (a:b)]",
    "BODY[MIME]",
    "BODY[FROB]",
    "BODY.PEEK",
    "RFC822.FROB",
    "()",
    "(FLAGS",
    "(FLAGS FROB)",
    "(FLAGS  UID)",
    "",
];

const OTHERS: &[(&str, &str)] = &[
    ("UID FETCH 7 FLAGS", "x OK"),
    ("UID FETCH 0 FLAGS", "x BAD"),
    ("UID FETCH 4294967296 FLAGS", "x BAD"),
    ("SEARCH CHARSET X-FOO ALL", "x NO [BADCHARSET (US-ASCII UTF-8)]"),
    ("SEARCH CHARSET X-FOO TEXT \"\u{ff}\"", "x NO [BADCHARSET (US-ASCII UTF-8)]"),
    ("SEARCH CHARSET", "x BAD"),
    ("SEARCH", "x BAD"),
    ("SEARCH 0", "x BAD"),
    ("SEARCH 2", "x BAD"),
    ("SEARCH NOT", "x BAD"),
    ("SEARCH OR ALL", "x BAD"),
    ("SEARCH BEFORE 30-Feb-2002", "x BAD"),
    ("SEARCH BEFORE 1-Foo-2002", "x BAD"),
    ("SEARCH LARGER -1", "x BAD"),
    ("SEARCH LARGER 9223372036854775808", "x BAD"),
    ("SEARCH KEYWORD (a)", "x BAD"),
    ("STORE 1 +FLAGS (\\Foo)", "x BAD"),
    ("STORE 1 +FLAGS (\\Recent)", "x BAD"),
    ("STORE 1 FLAGS", "x BAD"),
    ("STORE 1 LAGS (\\Seen)", "x BAD"),
    ("STORE 2 FLAGS (\\Seen)", "x BAD"),
    ("COPY 2 INBOX", "x BAD"),
    ("COPY 1", "x BAD"),
    ("COPY 1 Nothing", "x NO [TRYCREATE]"),
    ("MOVE 1 Nothing", "x NO [TRYCREATE]"),
    ("UID COPY 7 INBOX", "x OK"),
    ("UID EXPUNGE", "x BAD"),
    ("UID EXPUNGE 0", "x BAD"),
    ("EXPUNGE 1", "x BAD"),
];

#[test]
fn sets_items_and_keys_that_are_none_are_bad() {
    let instance = instance();
    let vigil = Vigil::begin(&instance);
    let mut user = selected(&instance);
    for set in SETS {
        line(&mut user, &format!("FETCH {set} FLAGS"), "x BAD");
        line(&mut user, &format!("STORE {set} FLAGS ()"), "x BAD");
        line(&mut user, &format!("COPY {set} INBOX"), "x BAD");
    }
    for item in ITEMS {
        line(&mut user, &format!("FETCH 1 {item}"), "x BAD");
    }
    line(&mut user, &format!("FETCH 1 BODY[{}1]", "1.".repeat(199)), "x BAD");
    for (command, answer) in OTHERS {
        line(&mut user, command, answer);
    }
    let keywords = (0..70).map(|n| format!("k{n}")).collect::<Vec<_>>().join(" ");
    line(&mut user, &format!("STORE 1 +FLAGS ({keywords})"), "x NO [LIMIT]");
    assert_eq!(user.ok("FETCH 1 FLAGS"), ["* 1 FETCH (FLAGS (\\Recent))"], "nothing has changed");
    assert_eq!(user.exists("INBOX"), 1);
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

#[test]
fn what_is_not_there_is_empty_and_not_an_error() {
    let instance = instance();
    let vigil = Vigil::begin(&instance);
    let mut user = selected(&instance);
    for (item, expected) in [
        ("BODY.PEEK[9]", "BODY[9] NIL"), // missing part
        ("BODY.PEEK[1.2.3]", "BODY[1.2.3] NIL"),
        ("BODY.PEEK[1.HEADER]", "BODY[1.HEADER] NIL"),
        ("BODY.PEEK[]<4294967295.1>", "BODY[]<4294967295> {0}"),
        ("BODY.PEEK[TEXT]<10.4294967295>", "BODY[TEXT]<10> {0}"),
    ] {
        let fetched = user.ok(&format!("FETCH 1 {item}")).join("");
        assert!(fetched.contains(expected), "{item}: {fetched}");
    }
    // "huge valid UID set is accepted and coalesced"
    let set = (1..13_000_u32).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    assert_eq!(user.ok(&format!("UID FETCH {} UID", &set[..set[..65_000].rfind(',').unwrap()])).len(), 1);
    let sparse = (1..13_000_u32).rev().map(|n| (n * 2 - 1).to_string()).collect::<Vec<_>>().join(",");
    let from = sparse[sparse.len() - 65_000..].find(',').unwrap() + sparse.len() - 65_000 + 1;
    assert_eq!(user.ok(&format!("UID FETCH {} UID", &sparse[from..])).len(), 1);
    assert_eq!(user.ok("UID FETCH 4294967295:* UID").len(), 1, "* is the last one");
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

/// "FETCH of message unlinked by cleanup"
#[test]
fn a_message_that_was_unlinked_is_told_to_be_gone_and_the_session_goes_on() {
    let instance = instance();
    let vigil = Vigil::begin(&instance);
    let mut late = selected(&instance);
    let mut other = selected(&instance);
    other.ok("STORE 1 +FLAGS.SILENT (\\Deleted)");
    other.ok("EXPUNGE");
    let mut files = Vec::new();
    find(&instance.path("store/partition"), MESSAGE.as_bytes(), &mut files);
    assert_eq!(files.len(), 1, "{files:?}");
    fs::remove_file(&files[0]).unwrap();
    assert!(late.refused("FETCH 1 BODY.PEEK[]").starts_with("NO [EXPUNGEISSUED]"));
    assert!(late.ok("NOOP").contains(&"* 1 EXPUNGE".to_owned()));
    assert_eq!(late.exists("INBOX"), 0);
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

/// The files below a folder that hold exactly this.
fn find(folder: &Path, content: &[u8], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, content, found);
        } else if fs::read(&path).unwrap() == content {
            found.push(path);
        }
    }
}

//! MULTIAPPEND (RFC 3502).

use super::*;

/// Sends an APPEND of several messages with literals that do not wait; the tagged response.
fn append(imap: &mut Imap, heads: &[(&str, &str)]) -> String {
    let mut bytes = String::from("multi APPEND INBOX");
    for (arguments, message) in heads {
        bytes.push_str(&format!("{arguments} {{{}+}}\r\n{message}", message.len()));
    }
    imap.wire.send(format!("{bytes}\r\n").as_bytes());
    imap.until_tagged("multi").1
}

#[test]
fn all_messages_are_stored_with_what_belongs_to_each() {
    let (instance, mut imap) = mailbox_of(1);
    assert!(is_offered(&mut imap, "MULTIAPPEND"));
    let second = MESSAGE.replace("lunch", "dinner");
    let date = " \"17-Jul-1996 02:44:25 -0700\"";
    let end =
        append(&mut imap, &[(" (\\Seen $a)", MESSAGE), (date, &second), (" (\\Flagged $B $a)", MESSAGE)]);
    assert!(end.starts_with("OK [APPENDUID ") && end.contains(" 2:4] "), "{end}");
    let mut other = another(&instance);
    let rows = other.ok("FETCH 2:4 (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])");
    assert!(rows[0].contains("(\\Seen $a)") && rows[0].contains("lunch"), "{rows:?}");
    assert!(rows[1].contains("FLAGS ()") && rows[1].contains("dinner"), "{rows:?}");
    assert!(rows[2].contains("(\\Flagged $a $B)"), "{rows:?}");
    assert!(other.ok("FETCH 3 INTERNALDATE")[0].contains("17-Jul-1996 09:44:25 +0000"));
    assert!(other.ok("FETCH 3 ENVELOPE")[0].contains("dinner"));
    // With literals that wait, each is invited.
    imap.wire.send(format!("wait APPEND INBOX {{{}}}\r\n", MESSAGE.len()).as_bytes());
    assert!(imap.response().starts_with('+'));
    imap.wire.send(format!("{MESSAGE} (\\Draft) {{{}}}\r\n", second.len()).as_bytes());
    assert!(imap.response().starts_with('+'));
    imap.wire.send(format!("{second}\r\n").as_bytes());
    assert!(imap.until_tagged("wait").1.contains(" 5:6] "));
    assert_eq!(imap.exists("INBOX"), 6);
}

#[test]
fn of_a_command_that_fails_nothing_is_stored() {
    let (instance, mut imap) = mailbox_of(0);
    let with_nul = "a\0b";
    for (heads, answer) in [
        (vec![("", MESSAGE), (" (\\Recent)", MESSAGE)], "BAD "),
        (vec![("", MESSAGE), (" \"no date\"", MESSAGE)], "BAD "),
        (vec![("", MESSAGE), (" x", MESSAGE)], "BAD "),
        (vec![("", MESSAGE), ("", "")], "NO [CANNOT]"),
        (vec![("", with_nul), ("", MESSAGE)], "BAD "),
        (vec![("", MESSAGE), ("", with_nul)], "BAD "),
        (vec![("", MESSAGE); 101], "NO [LIMIT]"),
    ] {
        let end = append(&mut imap, &heads);
        assert!(end.starts_with(answer), "{end}, not {answer}");
        imap.ok("NOOP");
    }
    // Keywords that one of them could have, but not all together.
    let keywords =
        |from: u32| (from..from + 40).map(|number| format!("k{number}")).collect::<Vec<_>>().join(" ");
    let (one, other) = (format!(" ({})", keywords(0)), format!(" ({})", keywords(40)));
    let end = append(&mut imap, &[(&one, MESSAGE), (&other, MESSAGE)]);
    assert!(end.starts_with("NO [LIMIT]"), "{end}");
    // One that is too big is not invited.
    imap.wire.send(format!("big APPEND INBOX {{{}}}\r\n", MESSAGE.len()).as_bytes());
    assert!(imap.response().starts_with('+'));
    imap.wire.send(format!("{MESSAGE} {{4294967295}}\r\n").as_bytes());
    assert!(imap.until_tagged("big").1.starts_with("NO [TOOBIG]"));
    // A client that goes away in the middle leaves nothing.
    let mut gone = instance.imap("alice");
    gone.wire
        .send(format!("gone APPEND INBOX {{{0}+}}\r\n{MESSAGE} {{{0}+}}\r\nhalf", MESSAGE.len()).as_bytes());
    drop(gone);
    assert_eq!(imap.exists("INBOX"), 0);
    assert!(append(&mut imap, &vec![("", MESSAGE); 100]).contains(" 1:100] "));
    assert_eq!(imap.exists("INBOX"), 100);
    let waiting = || {
        let folder = instance.path("store/partition/primary");
        let found = std::process::Command::new("find").arg(folder).args(["-name", "tmp-*"]).output().unwrap();
        String::from_utf8(found.stdout).unwrap()
    };
    black_box::instance::wait_for("no file that is left", || waiting().is_empty().then_some(()));
}

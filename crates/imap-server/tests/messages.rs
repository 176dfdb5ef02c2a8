//! A selected mailbox: SELECT, FETCH, STORE, SEARCH, COPY, MOVE, EXPUNGE, APPEND.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Client, Site, message};

fn joe_with(count: u32) -> (Site, Client) {
    let site = Site::new();
    for number in 1..=count {
        site.put("user/joe/INBOX", message(&format!("number {number}")).as_bytes());
    }
    let mut joe = site.user("joe");
    joe.ok("SELECT INBOX");
    (site, joe)
}

#[test]
fn select_says_what_there_is() {
    let (_site, mut joe) = joe_with(3);
    joe.ok("STORE 1 +FLAGS.SILENT (\\Seen Work)");
    let said = joe.command("SELECT INBOX");
    for line in [
        "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft Work)\r\n",
        "* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft Work \\*)] ",
        "* 3 EXISTS\r\n",
        "* 0 RECENT\r\n", // the first SELECT took them
        "* OK [UNSEEN 2] ",
        "* OK [UIDVALIDITY ",
        "* OK [UIDNEXT 4] ",
        "* OK [HIGHESTMODSEQ ",
        "t OK [READ-WRITE] SELECT completed\r\n",
    ] {
        assert!(said.contains(line), "{line} in {said}");
    }
    assert!(joe.refused("SELECT Nothing").starts_with("t NO [NONEXISTENT]"));
    assert!(joe.refused("FETCH 1 FLAGS").starts_with("t BAD"), "the former mailbox is not selected any more");
}

#[test]
fn recent_is_told_to_one_session_only_and_examine_leaves_it() {
    let site = Site::new();
    site.put("user/joe/INBOX", message("one").as_bytes());
    let (mut one, mut two) = (site.user("joe"), site.user("joe"));
    assert!(one.ok("EXAMINE INBOX").contains("* 0 RECENT") || one.ok("EXAMINE INBOX").contains("* 1 RECENT"));
    assert!(one.ok("SELECT INBOX").contains("* 1 RECENT"));
    assert!(two.ok("SELECT INBOX").contains("* 0 RECENT"));
    assert!(one.ok("FETCH 1 FLAGS").contains("(\\Recent)"));
    assert!(two.ok("FETCH 1 FLAGS").contains("FLAGS ()"));
    assert_eq!(one.ok("SEARCH RECENT"), "* SEARCH 1\r\n");
    assert_eq!(two.ok("SEARCH NEW"), "* SEARCH\r\n");
}

#[test]
fn fetch_gives_every_item() {
    let (_site, mut joe) = joe_with(2);
    let text = message("number 1");
    let (header, body) = text.split_at(text.find("\r\n\r\n").unwrap() + 4);
    assert_eq!(
        joe.ok("FETCH 1 (UID RFC822.SIZE)"),
        format!("* 1 FETCH (UID 1 RFC822.SIZE {})\r\n", text.len())
    );
    assert_eq!(
        joe.ok("FETCH 1 INTERNALDATE"),
        "* 1 FETCH (INTERNALDATE \"09-Sep-2001 01:46:40 +0000\")\r\n".replace("\"0", "\" ")
    );
    let all = joe.ok("FETCH 1 BODY.PEEK[]");
    assert_eq!(all, format!("* 1 FETCH (BODY[] {{{}}}\r\n{text})\r\n", text.len()));
    let said = joe.ok("FETCH 1 (BODY.PEEK[HEADER] BODY.PEEK[TEXT] RFC822.HEADER)");
    assert!(said.contains(&format!("BODY[HEADER] {{{}}}\r\n{header}", header.len())), "{said}");
    assert!(said.contains(&format!("BODY[TEXT] {{{}}}\r\n{body}", body.len())), "{said}");
    let said = joe.ok("FETCH 1 BODY.PEEK[HEADER.FIELDS (subject x-none)]");
    assert!(
        said.contains("BODY[HEADER.FIELDS (subject x-none)] {21}\r\nSubject: number 1\r\n\r\n)"),
        "{said}"
    );
    let said = joe.ok("FETCH 1 BODY.PEEK[TEXT]<5.2>");
    assert!(said.contains("BODY[TEXT]<5> {2}\r\nof)"), "{said}");
    assert!(joe.ok("FETCH 1 BODY[]<4294967295.1>").contains("BODY[]<4294967295> {0}\r\n"));
    let said = joe.ok("FETCH 2 FULL");
    for part in [
        "FLAGS (",
        "INTERNALDATE \"",
        "RFC822.SIZE ",
        "ENVELOPE (\"Mon, 7 Feb 1994 21:52:25 -0800\" \"number 2\" ",
        "BODY (\"text\" \"plain\" ",
    ] {
        assert!(said.to_lowercase().contains(&part.to_lowercase()), "{part} in {said}");
    }
    assert_eq!(joe.ok("UID FETCH 2 FLAGS").matches("UID 2").count(), 1);
    assert_eq!(joe.ok("UID FETCH 77:99 FLAGS"), "");
    assert!(joe.refused("FETCH 3 FLAGS").starts_with("t BAD"));
    assert!(joe.ok("UID FETCH 2:* UID").starts_with("* 2 FETCH (UID 2)\r\n"));
    assert!(joe.ok("UID FETCH 500:* UID").starts_with("* 2 FETCH (UID 2)\r\n"), "* is the last message");
}

#[test]
fn reading_sets_seen_and_peeking_does_not() {
    let (_site, mut joe) = joe_with(2);
    joe.ok("FETCH 1 BODY.PEEK[]");
    assert_eq!(joe.ok("SEARCH SEEN"), "* SEARCH\r\n");
    let said = joe.ok("FETCH 1 BODY[TEXT]");
    assert!(said.contains(" FLAGS (\\Seen"), "{said}");
    assert_eq!(said.matches("FETCH").count(), 1, "told once: {said}");
    assert_eq!(joe.ok("SEARCH SEEN"), "* SEARCH 1\r\n");
    joe.ok("EXAMINE INBOX");
    joe.ok("FETCH 2 RFC822");
    assert_eq!(joe.ok("SEARCH SEEN"), "* SEARCH 1\r\n", "read-only");
}

#[test]
fn parts_of_a_message_are_fetched() {
    let site = Site::new();
    let text = "From: a@b.c\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=XX\r\n\r\n--XX\r\nContent-Type: text/plain\r\n\r\nhello\r\n--XX\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninner text\r\n--XX--\r\n";
    site.put("user/joe/INBOX", text.as_bytes());
    let mut joe = site.user("joe");
    joe.ok("SELECT INBOX");
    let said = joe.ok("FETCH 1 (BODY.PEEK[1] BODY.PEEK[1.MIME] BODY.PEEK[2.HEADER] BODY.PEEK[2.TEXT] BODY.PEEK[2.1] BODY.PEEK[3])");
    for part in [
        "BODY[1] {5}\r\nhello",
        "BODY[1.MIME] {28}\r\nContent-Type: text/plain\r\n\r\n",
        "BODY[2.HEADER] {18}\r\nSubject: inner\r\n\r\n",
        "BODY[2.TEXT] {10}\r\ninner text",
        "BODY[2.1] {10}\r\ninner text",
        "BODY[3] NIL",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert!(joe.ok("FETCH 1 BODYSTRUCTURE").to_lowercase().contains("\"message\" \"rfc822\""));
}

#[test]
fn flags_are_changed_and_told() {
    let (_site, mut joe) = joe_with(3);
    assert_eq!(joe.ok("STORE 2 +FLAGS (\\Flagged)"), "* 2 FETCH (FLAGS (\\Flagged \\Recent))\r\n");
    assert_eq!(joe.ok("STORE 2 -FLAGS.SILENT (\\Flagged)"), "");
    let said = joe.ok("UID STORE 1:2 FLAGS ($Label1 \\Answered)");
    assert!(said.contains("* FLAGS (") && said.contains("$Label1"), "{said}");
    assert!(said.contains("* 1 FETCH (UID 1 FLAGS (\\Answered \\Recent $Label1))"), "{said}");
    assert_eq!(joe.ok("SEARCH KEYWORD $label1 ANSWERED"), "* SEARCH 1 2\r\n");
    assert!(joe.refused("STORE 1 +FLAGS (\\Foo)").starts_with("t BAD"));
    assert!(joe.refused("STORE 1 +FLAGS (\\Recent)").starts_with("t BAD"));
    assert!(joe.refused("STORE 9 +FLAGS (\\Seen)").starts_with("t BAD"));
    let many: Vec<String> = (0..70).map(|number| format!("k{number}")).collect();
    assert!(joe.refused(&format!("STORE 1 +FLAGS ({})", many.join(" "))).starts_with("t NO [LIMIT]"));
    joe.ok("EXAMINE INBOX");
    assert!(joe.refused("STORE 1 +FLAGS (\\Seen)").starts_with("t NO [READ-ONLY]"));
}

#[test]
fn expunge_renumbers() {
    let (_site, mut joe) = joe_with(5);
    joe.ok("STORE 2,4 +FLAGS.SILENT (\\Deleted)");
    assert_eq!(joe.ok("UID EXPUNGE 4"), "* 4 EXPUNGE\r\n");
    assert_eq!(joe.ok("EXPUNGE"), "* 2 EXPUNGE\r\n");
    let left = joe.ok("FETCH 1:* UID");
    assert_eq!(left, "* 1 FETCH (UID 1)\r\n* 2 FETCH (UID 3)\r\n* 3 FETCH (UID 5)\r\n");
    joe.ok("STORE 1 +FLAGS.SILENT (\\Deleted)");
    assert_eq!(joe.ok("CLOSE"), "");
    assert!(joe.refused("CLOSE").starts_with("t BAD"));
    assert!(joe.ok("SELECT INBOX").contains("* 2 EXISTS"));
    joe.ok("STORE 1 +FLAGS.SILENT (\\Deleted)");
    joe.ok("UNSELECT");
    assert!(joe.ok("SELECT INBOX").contains("* 2 EXISTS"), "UNSELECT does not expunge");
}

#[test]
fn messages_are_copied_and_moved() {
    let (_site, mut joe) = joe_with(3);
    assert!(joe.refused("COPY 1 Nothing").starts_with("t NO [TRYCREATE]"));
    joe.ok("CREATE Work");
    let said = joe.command("COPY 1:2 Work");
    assert!(said.starts_with("t OK [COPYUID ") && said.contains(" 1:2 1:2] COPY completed"), "{said}");
    let said = joe.command("UID MOVE 3,1 Work");
    let order = ["* OK [COPYUID ", " 1,3 3:4] ", "* 1 EXPUNGE\r\n* 2 EXPUNGE\r\n", "t OK MOVE completed"];
    let mut at = 0;
    for part in order {
        at += said[at..].find(part).unwrap_or_else(|| panic!("{part} in {said}"));
    }
    assert!(joe.ok("STATUS Work (MESSAGES)").contains("MESSAGES 4"));
    assert!(joe.ok("STATUS INBOX (MESSAGES)").contains("MESSAGES 1"));
    assert_eq!(joe.command("UID COPY 99 Work"), "t OK COPY completed\r\n");
}

#[test]
fn append_is_refused_before_the_message_is_sent() {
    let site = Site::with("service.imap.appendlimit = 1000\n");
    let mut joe = site.user("joe");
    assert_eq!(joe.command("APPEND Nothing {10}"), "t NO [TRYCREATE] No such mailbox; create it first\r\n");
    assert!(joe.command("APPEND INBOX {1001}").starts_with("t NO [TOOBIG]"));
    assert!(joe.command("APPEND INBOX ~{3+}\r\na\0b").starts_with("t NO [UNKNOWN-CTE]"));
    assert!(joe.refused("APPEND INBOX (\\Recent) {10}").starts_with("t BAD"));
    assert!(joe.refused("APPEND INBOX \"1-Foo-2000 00:00:00 +0000\" {10}").starts_with("t BAD"));
    assert!(joe.refused("APPEND INBOX {4294967296}").starts_with("t BAD") || joe.is_closed());
    let said = joe.say(b"t APPEND Nothing {5+}\r\nhello\r\nu NOOP\r\n");
    assert_eq!(said, "t NO [TRYCREATE] No such mailbox; create it first\r\nu OK NOOP completed\r\n");
    let said = joe.say(b"t APPEND INBOX {5+}\r\nhe\0lo\r\nu NOOP\r\n");
    assert!(said.starts_with("t BAD") && said.ends_with("u OK NOOP completed\r\n"), "{said}");
    let said = joe.say(b"t APPEND INBOX {5+}\r\nhello (\\Seen) x {3+}\r\nabc\r\nu NOOP\r\n");
    assert!(said.starts_with("t BAD") && said.ends_with("u OK NOOP completed\r\n"), "{said}");
    assert!(joe.ok("STATUS INBOX (MESSAGES)").contains("MESSAGES 0"));
}

#[test]
fn append_keeps_flags_and_date() {
    let site = Site::new();
    let mut joe = site.user("joe");
    joe.ok("SELECT INBOX");
    let said = joe.say(b"t APPEND {5}\r\n");
    assert_eq!(said, "+ Ready for literal data\r\n");
    let said = joe.say(b"INBOX (\\Seen $f) \"17-Jul-1996 02:44:25 -0700\" {16}\r\n");
    assert_eq!(said, "+ Ready for the message\r\n");
    let said = joe.say(b"Subject: x\r\n\r\nhi\r\n");
    assert!(said.contains("* 1 EXISTS") && said.contains("t OK [APPENDUID "), "{said}");
    let said = joe.ok("FETCH 1 (FLAGS INTERNALDATE BODY.PEEK[])");
    assert!(said.contains("\\Seen") && said.contains("$f"), "{said}");
    assert!(said.contains("INTERNALDATE \"17-Jul-1996 09:44:25 +0000\""), "{said}");
    assert!(said.contains("BODY[] {16}\r\nSubject: x\r\n\r\nhi)"), "{said}");
}

#[test]
fn search_finds_by_every_key() {
    let site = Site::new();
    let mut joe = site.user("joe");
    joe.append("INBOX (\\Seen) \"01-Jan-2001 12:00:00 +0000\"", &message("alpha"));
    joe.append("INBOX (\\Flagged $x) \"02-Jan-2001 12:00:00 +0000\"", &message("=?utf-8?B?w4TDpw==?= beta"));
    let mime = "From: b@c.d\r\nSubject: third\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\nX-Empty:\r\n\r\nGr=FC=DFe aus K=F6ln, so l=\r\nang\r\n";
    joe.append("INBOX \"03-Jan-2001 12:00:00 +0000\"", mime);
    joe.ok("SELECT INBOX");
    for (keys, found) in [
        ("ALL", "1 2 3"),
        ("SEEN", "1"),
        ("UNSEEN", "2 3"),
        ("FLAGGED KEYWORD $x", "2"),
        ("UNKEYWORD $x", "1 3"),
        ("KEYWORD none", ""),
        ("ON 2-Jan-2001", "2"),
        ("BEFORE 2-Jan-2001", "1"),
        ("SINCE 2-Jan-2001", "2 3"),
        ("SENTON 7-Feb-1994", "1 2"),
        ("SENTSINCE 1-Jan-1995", ""),
        ("SUBJECT ALPHA", "1"),
        ("HEADER Subject third", "3"),
        ("HEADER x-empty \"\"", "3"),
        ("FROM amy@", "1 2"),
        ("TO joe", "1 2"),
        ("CC joe", ""),
        ("BODY \"of alpha\"", "1"),
        ("TEXT alpha", "1"),
        ("LARGER 1", "1 2 3"),
        ("SMALLER 10", ""),
        ("OR SEEN FLAGGED", "1 2"),
        ("NOT (OR SEEN FLAGGED)", "3"),
        ("2:3 NOT 3", "2"),
        ("UID 1,3", "1 3"),
        ("CHARSET UTF-8 SUBJECT {4+}\r\n\u{e4}\u{c7}", "2"),
        ("CHARSET UTF-8 BODY {11+}\r\nGR\u{dc}\u{df}E aus", "3"),
        ("BODY \"so lang\"", "3"),
    ] {
        let said = joe.ok(&format!("SEARCH {keys}"));
        let expected =
            if found.is_empty() { "* SEARCH\r\n".to_owned() } else { format!("* SEARCH {found}\r\n") };
        assert_eq!(said, expected, "{keys}");
    }
    assert_eq!(joe.refused("SEARCH CHARSET X-FOO ALL"), "t NO [BADCHARSET (US-ASCII UTF-8)] Unknown charset");
    assert!(joe.refused("SEARCH 9").starts_with("t BAD"));
}

#[test]
fn long_answers_are_given_in_pieces() {
    let (_site, mut joe) = joe_with(2);
    for _ in 0..8 {
        joe.ok("CREATE x");
        joe.ok("DELETE x");
    }
    for _ in 0..9 {
        joe.ok("COPY 1:* INBOX"); // doubles it
    }
    let said = joe.ok("FETCH 1:* (FLAGS BODY.PEEK[] BODY.PEEK[TEXT])");
    assert_eq!(said.matches("* ").count(), 1024);
    assert_eq!(said.matches("BODY[TEXT]").count(), 1024);
    assert!(joe.sent_most < 200_000, "{} bytes were queued", joe.sent_most);
}

/// Breaks the record of a message in the index of joe's INBOX.
fn damage_record(site: &Site, uid: u32) {
    use std::os::unix::fs::FileExt;
    let path = site.find("store.idx");
    let bytes = std::fs::read(&path).unwrap();
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let at = (0..bytes.len() - 32)
        .step_by(4)
        .find(|at| word(*at) == uid && base::crc32(&bytes[*at..at + 28]) == word(at + 28))
        .expect("no such record");
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.write_all_at(&[!bytes[at + 28]], at as u64 + 28).unwrap();
}

/// The last record cannot be read when the index is compacted: the others keep their numbers.
#[test]
fn a_damaged_last_record_renumbers_nothing() {
    let site = Site::new();
    for number in 0..440 {
        site.put("user/joe/INBOX", message(&format!("m{number}")).as_bytes());
    }
    let mut joe = site.user("joe");
    joe.ok("SELECT INBOX");
    let mut other = site.user("joe");
    other.ok("SELECT INBOX");
    other.ok("STORE 1:240 +FLAGS.SILENT (\\Deleted)");
    other.ok("EXPUNGE");
    damage_record(&site, 440);
    let mailbox =
        site.store.open_mailbox(&message_store::MailboxName::parse("user/joe/INBOX").unwrap()).unwrap();
    assert!(mailbox.clean_up(std::time::Duration::ZERO).unwrap().compacted);
    let said = joe.ok("NOOP");
    assert_eq!(said.matches(" EXPUNGE\r\n").count(), 241, "240, and the damaged one");
    let numbered = joe.ok("FETCH 1:* (UID)");
    let lines: Vec<&str> = numbered.lines().collect();
    assert_eq!(lines.len(), 199);
    for (line, number) in lines.iter().zip(1..) {
        assert_eq!(*line, format!("* {number} FETCH (UID {})", number + 240));
    }
    site.put("user/joe/INBOX", message("new").as_bytes());
    assert!(joe.ok("NOOP").contains("* 200 EXISTS"));
}

/// One message, many texts: read once, in pieces, and others have their turn in between.
#[test]
fn a_search_for_many_texts_in_a_large_message_does_not_hold_a_worker() {
    // However long it takes here, nothing is said in between.
    let site = Site::with_settings("", |settings| settings.progress_interval = None);
    let body = "nothing to be found here, line after line\r\n".repeat(100_000);
    site.put("user/joe/INBOX", format!("Subject: large\r\n\r\n{body}the needle99\r\n").as_bytes());
    let mut joe = site.user("joe");
    joe.ok("SELECT INBOX");
    let keys = |count: usize| -> String { (0..count).map(|n| format!(" NOT TEXT needle{n}x")).collect() };
    joe.resumed = 0;
    assert_eq!(joe.ok(&format!("SEARCH{}", keys(100))), "* SEARCH 1\r\n");
    assert!(joe.resumed >= 16, "it went on {} times", joe.resumed);
    assert_eq!(joe.ok(&format!("SEARCH{} TEXT needle99", keys(99))), "* SEARCH 1\r\n");
    assert_eq!(joe.ok(&format!("SEARCH{} NOT TEXT needle99", keys(99))), "* SEARCH\r\n");
    assert_eq!(joe.ok("SEARCH OR BODY needle99 SUBJECT small"), "* SEARCH 1\r\n");
    assert_eq!(joe.ok("SEARCH OR (NOT SUBJECT large BODY needle99) SUBJECT small"), "* SEARCH\r\n");
    let refused = joe.refused(&format!("SEARCH{}", keys(101)));
    assert!(refused.starts_with("t NO [LIMIT] Too many texts"), "{refused}");
    let same = " NOT TEXT again".repeat(450);
    assert_eq!(joe.ok(&format!("SEARCH{same}")), "* SEARCH 1\r\n", "the same text is one");
}

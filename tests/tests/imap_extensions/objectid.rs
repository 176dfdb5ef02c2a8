//! OBJECTID (RFC 8474), APPENDLIMIT (RFC 7889).

use super::*;

fn id_in(text: &str, word: &str) -> String {
    let rest = text.split_once(&format!("{word} (")).unwrap_or_else(|| panic!("no {word} in {text}")).1;
    rest.split_once(')').unwrap().0.to_owned()
}

#[test]
fn a_mailbox_keeps_its_id_over_a_rename() {
    let instance = Instance::start();
    let mut imap = instance.imap("alice");
    assert!(is_offered(&mut imap, "OBJECTID"));
    let (_, created) = imap.command("CREATE One");
    let id = id_in(&created, "OK [MAILBOXID");
    assert!(!id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{created}");
    imap.ok("RENAME One Two");
    assert_eq!(
        imap.ok("STATUS Two (MAILBOXID MESSAGES)"),
        [format!("* STATUS \"Two\" (MAILBOXID ({id}) MESSAGES 0)")]
    );
    let selected = imap.ok("SELECT Two").join("\n");
    assert_eq!(id_in(&selected, "* OK [MAILBOXID"), id);
    let (_, again) = imap.command("CREATE One");
    assert_ne!(id_in(&again, "OK [MAILBOXID"), id);
}

#[test]
fn a_message_keeps_its_id_in_another_mailbox() {
    let (_instance, mut imap) = mailbox_of(1);
    assert!(imap.append("INBOX", "", &MESSAGE.replace("noon", "nine")).starts_with("OK"));
    let rows = imap.ok("FETCH 1 (EMAILID THREADID)");
    let id = id_in(&rows[0], "EMAILID");
    let thread = id_in(&rows[0], "THREADID");
    assert_eq!(rows, [format!("* 1 FETCH (EMAILID ({id}) THREADID ({thread}))")]);
    imap.ok("CREATE Copies");
    imap.ok("COPY 1 Copies");
    imap.ok("NOOP");
    assert_ne!(id_in(&imap.ok("FETCH 2 EMAILID")[0], "EMAILID"), id);
    assert_eq!(imap.ok(&format!("SEARCH EMAILID {id}")), ["* SEARCH 1"]);
    assert_eq!(imap.ok("SEARCH EMAILID M-nobody"), ["* SEARCH"]);
    assert_eq!(imap.ok("SEARCH THREADID T1"), ["* SEARCH"]);
    assert!(imap.ok(&format!("SEARCH THREADID {thread}"))[0].starts_with("* SEARCH 1"));
    all_bad(&mut imap, &["SEARCH EMAILID", "SEARCH EMAILID a.b", "SEARCH THREADID ()", "FETCH 1 EMAILIDS"]);
    imap.ok("SELECT Copies");
    assert_eq!(id_in(&imap.ok("FETCH 1 EMAILID")[0], "EMAILID"), id);
}

/// RFC 8474 section 5.2: what answers another is of its conversation, whichever comes first; it never changes.
#[test]
fn a_conversation_has_one_id() {
    let (_instance, mut imap) = mailbox_of(1);
    for (id, header) in
        [("c@x", "References: <a@x> <b@x>\r\n"), ("a@x", ""), ("b@x", "In-Reply-To: <a@x>\r\n"), ("d@x", "")]
    {
        let message = format!("Message-ID: <{id}>\r\n{header}Subject: x\r\n\r\n{id}\r\n");
        assert!(imap.append("INBOX", "", &message).starts_with("OK"));
    }
    imap.ok("NOOP");
    let ids: Vec<String> =
        (2..=5).map(|n| id_in(&imap.ok(&format!("FETCH {n} THREADID"))[0], "THREADID")).collect();
    assert_eq!((&ids[0], &ids[0]), (&ids[1], &ids[2]));
    assert_ne!(ids[0], ids[3]);
    assert_eq!(imap.ok(&format!("SEARCH THREADID {}", ids[0])), ["* SEARCH 2 3 4"]);
    assert_eq!(imap.ok(&format!("SEARCH OR THREADID {} THREADID {}", ids[3], ids[0])), ["* SEARCH 2 3 4 5"]);
}

#[test]
fn the_limit_of_append_is_told() {
    let instance = black_box::Setup::default().set("service.imap.appendlimit", "1000").start();
    let mut imap = instance.imap("alice");
    assert!(is_offered(&mut imap, "APPENDLIMIT=1000"));
    assert_eq!(imap.ok("STATUS INBOX (APPENDLIMIT)"), ["* STATUS \"INBOX\" (APPENDLIMIT 1000)"]);
    imap.wire.send(b"big APPEND INBOX {1001}\r\n");
    assert!(imap.until_tagged("big").1.starts_with("NO [TOOBIG]"));
    assert!(imap.append("INBOX", "", MESSAGE).starts_with("OK"));
}

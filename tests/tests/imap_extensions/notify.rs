//! NOTIFY (RFC 5465): what is told unasked, to whom, and what is not.

use std::time::{Duration, Instant};

use black_box::{Setup, quick};

use super::*;

/// The next response that nobody asked for.
fn heard(imap: &mut Imap) -> String {
    imap.wire.socket().set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    imap.response()
}

fn hears(imap: &mut Imap, expected: &[&str]) {
    for one in expected {
        assert_eq!(heard(imap), *one);
    }
}

/// Two sessions of alice: the first one is to listen.
fn two() -> (Instance, Imap, Imap) {
    let instance = Instance::start();
    let (listener, other) = (instance.imap("alice"), instance.imap("alice"));
    (instance, listener, other)
}

const BOTH: &str = "MessageNew MessageExpunge";

#[test]
fn messages_of_mailboxes_that_are_not_selected_are_told_by_status() {
    let (instance, mut listener, mut other) = two();
    assert!(is_offered(&mut listener, "NOTIFY"));
    other.ok("CREATE Work");
    other.ok("CREATE Play");
    fill(&mut other, "Work", 2);
    let mut told = listener.ok(&format!("NOTIFY SET STATUS (personal ({BOTH}))"));
    told.sort();
    let validity = |mailbox: &str| {
        number_behind(&instance.imap("alice").ok(&format!("STATUS {mailbox} (UIDVALIDITY)")), "UIDVALIDITY ")
    };
    let expected = [("INBOX", 0, 1), ("Play", 0, 1), ("Work", 2, 3)].map(|(name, exists, next)| {
        format!("* STATUS \"{name}\" (MESSAGES {exists} UIDNEXT {next} UIDVALIDITY {})", validity(name))
    });
    assert_eq!(told, expected);
    fill(&mut other, "Work", 1);
    hears(&mut listener, &["* STATUS \"Work\" (UIDNEXT 4 MESSAGES 3)"]);
    instance.send("alice", "by smtpd");
    hears(&mut listener, &["* STATUS \"INBOX\" (UIDNEXT 2 MESSAGES 1)"]);
    // Flags were not asked for: only the expunge is told.
    other.ok("SELECT Work");
    other.ok("STORE 1 +FLAGS (\\Seen)");
    other.ok("STORE 2 +FLAGS (\\Deleted)");
    other.ok("EXPUNGE");
    hears(&mut listener, &["* STATUS \"Work\" (UIDNEXT 4 MESSAGES 2)"]);
    // Nor what the client puts there itself, while nobody else does.
    assert!(listener.append("Play", "", MESSAGE).starts_with("OK"));
    listener.ok("SELECT Work");
    assert_eq!(listener.ok("COPY 1:* Play"), [""; 0]);
    assert_eq!(listener.ok("NOOP"), [""; 0]);
    fill(&mut other, "Play", 1);
    hears(&mut listener, &["* STATUS \"Play\" (UIDNEXT 5 MESSAGES 4)"]);
    listener.ok("NOTIFY NONE");
    listener.ok("UNSELECT");
    fill(&mut other, "Play", 1);
    listener.ok(&format!("NOTIFY SET (mailboxes (Work Nowhere) ({BOTH}))"));
    fill(&mut other, "Play", 1);
    fill(&mut other, "Work", 1);
    hears(&mut listener, &["* STATUS \"Work\" (UIDNEXT 5 MESSAGES 3)"]);
    assert_eq!(listener.ok("NOOP"), [""; 0]);
}

#[test]
fn changes_of_flags_are_told_by_what_the_client_understands() {
    let (_instance, mut listener, mut other) = two();
    fill(&mut other, "INBOX", 1);
    other.ok("SELECT INBOX");
    let validity = number_behind(&other.ok("STATUS INBOX (UIDVALIDITY)"), "UIDVALIDITY ");
    listener.ok(&format!("NOTIFY SET (personal ({BOTH} FlagChange))"));
    other.ok("STORE 1 +FLAGS (\\Flagged)"); // nothing that the client could understand
    other.ok("STORE 1 +FLAGS (\\Seen)");
    assert_eq!(heard(&mut listener), format!("* STATUS \"INBOX\" (UNSEEN 0 UIDVALIDITY {validity})"));
    listener.ok("ENABLE CONDSTORE");
    other.ok("STORE 1 -FLAGS (\\Flagged)");
    let status = heard(&mut listener);
    assert!(status.starts_with("* STATUS \"INBOX\" (HIGHESTMODSEQ "), "{status}");
    fill(&mut other, "INBOX", 1);
    let status = heard(&mut listener);
    assert!(
        status.starts_with("* STATUS \"INBOX\" (UIDNEXT 3 MESSAGES 2 UNSEEN 1 HIGHESTMODSEQ "),
        "{status}"
    );
}

#[test]
fn the_selected_mailbox_is_told_at_once_with_what_was_asked_of_new_messages() {
    let (_instance, mut listener, mut other) = two();
    fill(&mut other, "INBOX", 2);
    other.ok("SELECT INBOX");
    listener.ok("SELECT INBOX");
    listener.ok(
        "NOTIFY SET (selected (MessageNew (uid body[header.fields (subject)]) MessageExpunge FlagChange))",
    );
    fill(&mut other, "INBOX", 1);
    other.ok("NOOP");
    let expected = "* 3 FETCH (UID 3 BODY[HEADER.FIELDS (SUBJECT)] {18}\r\nSubject: lunch\r\n\r\n)";
    assert_eq!(heard(&mut listener), "* 3 EXISTS");
    assert!(heard(&mut listener).ends_with(" RECENT"));
    assert_eq!(heard(&mut listener).to_uppercase(), expected.to_uppercase());
    other.ok("STORE 2 +FLAGS.SILENT (\\Flagged)");
    hears(&mut listener, &["* 2 FETCH (UID 2 FLAGS (\\Flagged))"]);
    other.ok("STORE 1 +FLAGS.SILENT (\\Deleted)");
    hears(&mut listener, &["* 1 FETCH (UID 1 FLAGS (\\Deleted))"]);
    other.ok("EXPUNGE");
    hears(&mut listener, &["* 1 EXPUNGE"]);
    // What it did itself is answered as ever, once.
    let told = listener.ok("UID STORE 2 +FLAGS (\\Deleted)");
    assert_eq!(told, ["* 1 FETCH (UID 2 FLAGS (\\Flagged \\Deleted))"]);
    assert_eq!(listener.ok("EXPUNGE"), ["* 1 EXPUNGE"]);
    assert_eq!(listener.ok("NOOP"), [""; 0]);
    assert_eq!(listener.ok("FETCH 1 (UID)"), ["* 1 FETCH (UID 3)"]);
    assert!(listener.append("INBOX", "", MESSAGE).starts_with("OK"));
    listener.ok("UID COPY 3 INBOX");
    assert_eq!(listener.ok("NOOP"), [""; 0], "nothing is fetched of its own messages");
    fill(&mut other, "INBOX", 1);
    other.ok("NOOP");
    assert_eq!(heard(&mut listener), "* 4 EXISTS");
    assert!(heard(&mut listener).ends_with(" RECENT"));
    assert!(heard(&mut listener).starts_with("* 4 FETCH (UID 6 BODY["));
}

#[test]
fn delayed_expunges_wait_for_a_command_that_may_tell_them() {
    let (_instance, mut listener, mut other) = two();
    fill(&mut other, "INBOX", 3);
    listener.ok("SELECT INBOX");
    other.ok("SELECT INBOX");
    listener.ok(&format!("NOTIFY SET (selected-delayed ({BOTH}))"));
    other.ok("STORE 1 +FLAGS (\\Deleted)");
    other.ok("EXPUNGE");
    fill(&mut other, "INBOX", 1);
    assert_eq!(heard(&mut listener), "* 4 EXISTS");
    assert!(heard(&mut listener).ends_with(" RECENT"));
    let told = listener.ok("FETCH 2 (UID)");
    assert_eq!(told, ["* 2 FETCH (UID 2)"]);
    assert_eq!(listener.ok("NOOP"), ["* 1 EXPUNGE"]);
    other.ok("STORE 1 +FLAGS (\\Deleted)");
    other.ok("EXPUNGE");
    listener.wire.send(b"i IDLE\r\n");
    hears(&mut listener, &["+ idling", "* 1 EXPUNGE"]);
    listener.wire.send(b"DONE\r\n");
    assert_eq!(listener.until_tagged("i").0, [""; 0]);
}

#[test]
fn who_does_not_ask_for_the_selected_mailbox_is_told_nothing_of_it_but_what_it_does_itself() {
    let (_instance, mut listener, mut other) = two();
    fill(&mut other, "INBOX", 2);
    other.ok("CREATE Work");
    listener.ok("SELECT INBOX");
    fill(&mut other, "INBOX", 1);
    // What had gathered is told with the command.
    let told = listener.ok(&format!("NOTIFY SET (personal ({BOTH}))"));
    assert_eq!(told[0], "* 3 EXISTS");
    fill(&mut other, "INBOX", 1);
    fill(&mut other, "Work", 1);
    hears(&mut listener, &["* STATUS \"Work\" (UIDNEXT 2 MESSAGES 1)"]);
    assert_eq!(listener.ok("NOOP"), [""; 0]);
    listener.ok("STORE 1 +FLAGS.SILENT (\\Deleted)");
    let told = listener.ok("EXPUNGE");
    assert!(told.contains(&"* 1 EXPUNGE".to_owned()), "{told:?}");
    // Behind the selection it is one of the others again.
    fill(&mut other, "INBOX", 1);
    listener.ok("UNSELECT");
    hears(&mut listener, &["* STATUS \"INBOX\" (UIDNEXT 6 MESSAGES 4)"]);
    listener.ok("NOTIFY NONE");
    listener.ok("SELECT INBOX");
    fill(&mut other, "INBOX", 1);
    assert_eq!(listener.ok("NOOP"), [""; 0]);
}

#[test]
fn names_are_told_when_others_make_delete_and_rename_them() {
    let (_instance, mut listener, mut other) = two();
    listener.ok("NOTIFY SET (personal (MailboxName)) (selected NONE)");
    other.ok("CREATE Work");
    hears(&mut listener, &["* LIST (\\HasNoChildren) \"/\" \"Work\""]);
    other.ok("CREATE Work/2001 (USE (\\Archive))");
    hears(
        &mut listener,
        &["* LIST (\\HasChildren) \"/\" \"Work\"", "* LIST (\\HasNoChildren \\Archive) \"/\" \"Work/2001\""],
    );
    other.ok("RENAME Work Toil");
    hears(&mut listener, &["* LIST (\\HasChildren) \"/\" \"Toil\" (\"OLDNAME\" (\"Work\"))"]);
    other.ok("DELETE Toil/2001");
    hears(
        &mut listener,
        &["* LIST (\\HasNoChildren) \"/\" \"Toil\"", "* LIST (\\NonExistent) \"/\" \"Toil/2001\""],
    );
    // Its own doing is no news, not later either; a message in a new mailbox is, for who asked for it.
    for command in ["CREATE Mine", "RENAME Mine Yours", "CREATE Mine/A", "DELETE Yours", "SUBSCRIBE Toil"] {
        assert_eq!(listener.ok(command), [""; 0]);
    }
    other.ok("DELETE Toil");
    hears(&mut listener, &["* LIST (\\NonExistent) \"/\" \"Toil\""]);
    assert_eq!(listener.ok("NOOP"), [""; 0]);
    listener.ok(&format!("NOTIFY SET (subtree New (MailboxName {BOTH}))"));
    other.ok("CREATE Elsewhere");
    other.ok("CREATE Newer");
    other.ok("CREATE New/Below");
    hears(&mut listener, &["* LIST (\\HasNoChildren) \"/\" \"New/Below\""]);
    fill(&mut other, "New/Below", 1);
    let status = heard(&mut listener);
    assert!(status.starts_with("* STATUS \"New/Below\" (UIDNEXT 2 MESSAGES 1"), "{status}");
    // Not what is deeper (RFC 7377 §6).
    listener.ok("NOTIFY SET (subtree-one New (MailboxName))");
    other.ok("CREATE New/Below/Deep");
    other.ok("CREATE New/Side");
    hears(&mut listener, &["* LIST (\\HasNoChildren) \"/\" \"New/Side\""]);
}

#[test]
fn subscriptions_are_told_and_decide_what_is_watched() {
    let (_instance, mut listener, mut other) = two();
    other.ok("CREATE Work");
    listener.ok(&format!("NOTIFY SET (subscribed ({BOTH})) (personal (SubscriptionChange))"));
    fill(&mut other, "Work", 1); // not subscribed to
    other.ok("SUBSCRIBE Work");
    hears(&mut listener, &["* LIST (\\HasNoChildren \\Subscribed) \"/\" \"Work\""]);
    fill(&mut other, "Work", 1);
    hears(&mut listener, &["* STATUS \"Work\" (UIDNEXT 3 MESSAGES 2)"]);
    other.ok("SUBSCRIBE Gone");
    hears(&mut listener, &["* LIST (\\NonExistent \\Subscribed) \"/\" \"Gone\""]);
    other.ok("UNSUBSCRIBE Work");
    hears(&mut listener, &["* LIST (\\HasNoChildren) \"/\" \"Work\""]);
    fill(&mut other, "Work", 1);
    other.ok("UNSUBSCRIBE Gone");
    hears(&mut listener, &["* LIST (\\NonExistent) \"/\" \"Gone\""]);
    assert_eq!(listener.ok("SUBSCRIBE Gone"), [""; 0]);
    assert_eq!(listener.ok("NOOP"), [""; 0]);
}

#[test]
fn annotations_are_told_by_their_names() {
    let instance = Setup::default().users(&["alice", "root"]).set("store.admins", "root").start();
    let (mut listener, mut other, mut admin) =
        (instance.imap("alice"), instance.imap("alice"), instance.imap("root"));
    other.ok("SETMETADATA INBOX (/shared/old \"x\")");
    listener.ok("NOTIFY SET (personal (MailboxMetadataChange)) (inboxes (ServerMetadataChange))");
    other.ok("SETMETADATA INBOX (/shared/comment \"a\" /private/comment \"b\")");
    hears(&mut listener, &["* METADATA \"INBOX\" /private/comment /shared/comment"]);
    admin.ok("SETMETADATA user/alice/INBOX (/private/theirs \"c\")"); // not for alice
    other.ok("SETMETADATA INBOX (/shared/old NIL)");
    hears(&mut listener, &["* METADATA \"INBOX\" /shared/old"]);
    admin.ok("SETMETADATA \"\" (/shared/comment \"news\")");
    hears(&mut listener, &["* METADATA \"\" /shared/comment"]);
    other.ok("SETMETADATA \"\" (/private/vendor/x/y \"news\")");
    hears(&mut listener, &["* METADATA \"\" /private/vendor/x/y"]);
    listener.ok("SETMETADATA INBOX (/shared/comment \"own\")");
    listener.ok("SETMETADATA \"\" (/private/vendor/x/y \"own\")");
    other.ok("SETMETADATA INBOX (/private/last \"x\")");
    hears(&mut listener, &["* METADATA \"INBOX\" /private/last"]);
    assert_eq!(listener.ok("NOOP"), [""; 0]);
}

#[test]
fn what_cannot_be_watched_is_refused_and_too_much_is_ended() {
    let instance =
        Setup::default().users(&["alice", "bob"]).set("service.imap.notifymaxmailboxes", "2").start();
    let (mut listener, mut other) = (instance.imap("alice"), instance.imap("alice"));
    for unknown in ["(personal (FooChange))", "(selected (MessageNew MessageExpunge AnnotationChange))"] {
        let end = listener.refused(&format!("NOTIFY SET {unknown}"));
        assert!(
            end.starts_with(
                "NO [BADEVENT (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange \
                 MailboxMetadataChange ServerMetadataChange)]"
            ),
            "{end}"
        );
    }
    all_bad(
        &mut listener,
        &[
            "NOTIFY",
            "NOTIFY SET",
            "NOTIFY SET (personal (MessageNew))",
            "NOTIFY SET (personal (FlagChange))",
            "NOTIFY SET (selected (MailboxName))",
            "NOTIFY SET (selected NONE) (selected-delayed NONE)",
            "NOTIFY SET (personal (MessageNew (uid) MessageExpunge))",
            "NOTIFY NONE x",
        ],
    );
    // Somebody else's mailbox is as one that is not there.
    listener.ok(&format!("NOTIFY SET (mailboxes user/bob/INBOX ({BOTH} MailboxName))"));
    instance.send("bob", "not for alice");
    instance.wait_for_messages("bob", 1);
    listener.ok(&format!("NOTIFY SET (personal ({BOTH}))"));
    other.ok("CREATE One");
    fill(&mut other, "One", 1);
    let status = heard(&mut listener);
    assert!(status.starts_with("* STATUS \"One\" (UIDNEXT 2 MESSAGES 1"), "{status}");
    other.ok("CREATE Two");
    let end = heard(&mut listener);
    assert!(end.starts_with("* OK [NOTIFICATIONOVERFLOW] "), "{end}");
    fill(&mut other, "One", 1);
    assert_eq!(listener.ok("NOOP"), [""; 0]);
    let refused = listener.refused(&format!("NOTIFY SET (personal ({BOTH}))"));
    assert!(refused.starts_with("NO [NOTIFICATIONOVERFLOW] "), "{refused}");
    listener.ok(&format!("NOTIFY SET (mailboxes (One Two) ({BOTH}))"));
    fill(&mut other, "Two", 1);
    hears(&mut listener, &["* STATUS \"Two\" (UIDNEXT 2 MESSAGES 1)"]);
    listener.ok("UNAUTHENTICATE");
    fill(&mut other, "Two", 1);
    listener.ok("LOGIN alice alice-secret");
    assert_eq!(listener.ok("NOOP"), [""; 0]);
}

#[test]
fn every_process_hears_of_what_the_others_did() {
    let instance = Setup::default().users(&["alice"]).set("service.imap.numprocesses", "3").start();
    let mut listeners: Vec<Imap> = (0..6).map(|_| instance.imap("alice")).collect();
    for (place, listener) in listeners.iter_mut().enumerate() {
        listener.ok(&format!("NOTIFY SET (personal ({BOTH} MailboxName))"));
        if place % 2 == 0 {
            listener.wire.send(b"i IDLE\r\n");
            hears(listener, &["+ idling"]);
        }
    }
    instance.send("alice", "for all");
    let mut other = instance.imap("alice");
    for listener in &mut listeners {
        hears(listener, &["* STATUS \"INBOX\" (UIDNEXT 2 MESSAGES 1)"]);
    }
    other.ok("CREATE Work");
    for listener in &mut listeners {
        hears(listener, &["* LIST (\\HasNoChildren) \"/\" \"Work\""]);
    }
    for listener in listeners.iter_mut().step_by(2) {
        listener.wire.send(b"DONE\r\n");
        assert_eq!(listener.until_tagged("i").0, [""; 0]);
    }
}

#[test]
fn a_thousand_mailboxes_are_watched_at_little_cost() {
    let count = if quick() { 200 } else { 1000 };
    let (instance, mut listener, mut other) = two();
    for number in 0..count {
        other.wire.send(format!("c{number} CREATE Box/{number}\r\n").as_bytes());
    }
    other.until_tagged(&format!("c{}", count - 1));
    let memory = || {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", instance.pid("imap").unwrap())).unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon")).unwrap();
        line.split_ascii_whitespace().nth(1).unwrap().parse::<i64>().unwrap()
    };
    listener.ok("NOOP");
    let before = memory();
    let begun = Instant::now();
    listener.ok(&format!("NOTIFY SET (personal ({BOTH} FlagChange MailboxName))"));
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    let kib = memory() - before;
    assert!(kib < 4096, "{kib} KiB");
    for number in [0, count / 2, count - 1] {
        fill(&mut other, &format!("Box/{number}"), 1);
        let status = heard(&mut listener);
        assert!(status.starts_with(&format!("* STATUS \"Box/{number}\" (UIDNEXT 2 MESSAGES 1")), "{status}");
    }
    // More at once than are noted one by one: nothing is lost.
    for number in 1..count / 2 {
        let text = format!("d{number} APPEND Box/{number} {{3+}}\r\nx\r\n\r\n");
        other.wire.send(text.as_bytes());
    }
    other.until_tagged(&format!("d{}", count / 2 - 1));
    let mut told: Vec<String> = (1..count / 2).map(|_| heard(&mut listener)).collect();
    told.sort();
    told.dedup();
    assert_eq!(told.len(), count / 2 - 1);
    assert!(told.iter().all(|one| one.contains("(UIDNEXT 2 MESSAGES 1")), "{told:?}");
    assert_eq!(listener.ok("NOOP"), [""; 0]);
}

#[test]
fn shared_mailboxes_are_watched_while_the_user_may_look_into_them() {
    let instance = Instance::start();
    let (mut bob, mut alice) = (instance.imap("bob"), instance.imap("alice"));
    for (folder, rights) in [("Open", "lr"), ("Seen", "l"), ("Hidden", "")] {
        alice.ok(&format!("CREATE {folder}"));
        if !rights.is_empty() {
            alice.ok(&format!("SETACL {folder} bob {rights}"));
        }
    }
    let called = |folder: &str| format!("\"Shared Folders/User/alice/{folder}\"");
    let all = format!("{} {} {}", called("Open"), called("Seen"), called("Hidden"));
    let told = bob.ok(&format!("NOTIFY SET STATUS (mailboxes ({all}) ({BOTH} MailboxName))"));
    assert_eq!(told[0], format!("* LIST (\\HasNoChildren \\NoAccess) \"/\" {}", called("Seen")));
    assert!(told[1].starts_with(&format!("* STATUS {} (MESSAGES 0", called("Open"))), "{told:?}");
    assert_eq!(told.len(), 2);
    for folder in ["Hidden", "Seen", "Open"] {
        fill(&mut alice, folder, 1);
    }
    let status = format!("* STATUS {} (UIDNEXT 2 MESSAGES 1)", called("Open"));
    hears(&mut bob, &[&status]);
    alice.ok("SETACL Open bob l");
    hears(&mut bob, &[&format!("* LIST (\\HasNoChildren \\NoAccess) \"/\" {}", called("Open"))]);
    fill(&mut alice, "Open", 1);
    alice.ok("DELETEACL Open bob");
    alice.ok("SETACL Hidden bob lr");
    hears(&mut bob, &[&format!("* LIST (\\HasNoChildren) \"/\" {}", called("Hidden"))]);
    assert!(heard(&mut bob).starts_with(&format!("* STATUS {} (UIDNEXT 2 MESSAGES 1", called("Hidden"))));
    alice.ok("DELETEACL Hidden bob");
    hears(&mut bob, &[&format!("* LIST (\\NonExistent) \"/\" {}", called("Hidden"))]);
    fill(&mut alice, "Hidden", 1);
    assert_eq!(bob.ok("NOOP"), [""; 0]);
}

#[test]
fn results_that_are_kept_up_to_date_are_told_with_the_notices_they_come_from() {
    let (_instance, mut listener, mut other) = two();
    fill(&mut other, "INBOX", 2);
    other.ok("SELECT INBOX");
    listener.ok("SELECT INBOX");
    listener.ok("UID SEARCH RETURN (ALL UPDATE) FLAGGED");
    listener.ok(&format!("NOTIFY SET (selected-delayed ({BOTH}))"));
    let tag = |line: &str, rest: &str| {
        assert!(line.starts_with("* ESEARCH (TAG ") && line.ends_with(rest), "{line}");
    };
    other.ok("STORE 2 +FLAGS (\\Flagged)");
    tag(&heard(&mut listener), "UID ADDTO (0 2)");
    other.ok("STORE 1 +FLAGS (\\Deleted)");
    other.ok("EXPUNGE");
    other.ok("STORE 1 -FLAGS (\\Flagged)");
    tag(&heard(&mut listener), "UID REMOVEFROM (0 2)");
    assert_eq!(listener.ok("NOOP").last().unwrap(), "* 1 EXPUNGE");
}

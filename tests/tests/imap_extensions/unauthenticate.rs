//! UNAUTHENTICATE (RFC 8437).

use super::*;

#[test]
fn the_connection_is_free_for_another_user() {
    let (instance, mut imap) = mailbox_of(1);
    assert!(is_offered(&mut imap, "UNAUTHENTICATE"));
    imap.ok("ENABLE QRESYNC");
    let (told, end) = imap.command("UNAUTHENTICATE");
    assert!(told.is_empty(), "{told:?}");
    assert!(end.starts_with("OK [CAPABILITY IMAP4rev1 ") && end.contains(" AUTH=PLAIN"), "{end}");
    // Nothing is selected, nobody is logged in.
    for command in ["NOOP", "CAPABILITY", "ID NIL"] {
        imap.ok(command);
    }
    all_bad(&mut imap, &["SELECT INBOX", "FETCH 1 FLAGS", "ENABLE CONDSTORE", "UNAUTHENTICATE", "IDLE"]);
    assert!(imap.refused("LOGIN bob wrong").starts_with("NO [AUTHENTICATIONFAILED]"));
    imap.ok("LOGIN bob bob-secret");
    imap.ok("SELECT INBOX");
    assert_eq!(imap.exists("INBOX"), 0);
    // What alice enabled is off for bob.
    fill(&mut imap, "INBOX", 1);
    imap.ok("NOOP");
    imap.ok("STORE 1 +FLAGS (\\Deleted)");
    assert_eq!(imap.ok("EXPUNGE"), ["* 1 EXPUNGE"]);
    assert_eq!(instance.imap("alice").exists("INBOX"), 1);
    all_bad(&mut imap, &["UNAUTHENTICATE now", "UNAUTHENTICATE ()"]);
    // The log has both sessions of the connection.
    imap.ok("LOGOUT");
    let log = black_box::instance::wait_for("the end of bob's session", || {
        Some(instance.log("imap")).filter(|log| log.contains("end: user bob"))
    });
    assert!(log.contains("end: user alice") && log.contains(": unauthenticated"), "{log}");
}

#[test]
fn what_is_recorded_of_one_user_holds_nothing_of_the_next() {
    let instance = Instance::start();
    let folder = instance.path("log/imap/telemetry/alice");
    std::fs::create_dir_all(&folder).unwrap();
    let mut imap = instance.imap("alice");
    imap.ok("STATUS INBOX (MESSAGES)");
    imap.ok("UNAUTHENTICATE");
    imap.ok("LOGIN bob bob-secret");
    imap.ok("STATUS INBOX (UIDNEXT)");
    imap.ok("UNAUTHENTICATE");
    imap.ok("LOGIN alice alice-secret");
    imap.ok("STATUS INBOX (UNSEEN)");
    imap.ok("LOGOUT");
    let recorded = black_box::instance::wait_for("both records of alice", || {
        let files =
            std::fs::read_dir(&folder).unwrap().map(|file| std::fs::read_to_string(file.unwrap().path()));
        Some(files.map(Result::unwrap).collect::<String>()).filter(|text| text.contains("UNSEEN"))
    });
    assert!(recorded.contains("MESSAGES"), "{recorded}");
    assert!(!recorded.contains("UIDNEXT") && !recorded.contains("secret"), "{recorded}");
}

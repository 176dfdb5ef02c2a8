//! MULTISEARCH: ESEARCH in several mailboxes (RFC 7377).

use black_box::Instance;

#[test]
fn one_command_searches_all_mailboxes_of_a_user() {
    let instance = Instance::start();
    let mut imap = instance.imap("alice");
    for name in ["INBOX", "Work", "Work/Old"] {
        if name != "INBOX" {
            imap.ok(&format!("CREATE {name}"));
        }
        for subject in ["apples", "pears"] {
            assert!(
                imap.append(name, "", &format!("Subject: {subject}\r\n\r\nin {name}\r\n")).starts_with("OK")
            );
        }
    }
    let mut others = instance.imap("bob");
    assert!(others.append("INBOX", "", "Subject: apples\r\n\r\nbob's\r\n").starts_with("OK"));
    let names = |said: Vec<String>| -> Vec<String> {
        let name = |line: &String| {
            assert!(
                line.starts_with("* ESEARCH (TAG ")
                    && line.contains(" UIDVALIDITY ")
                    && line.ends_with(") UID ALL 1"),
                "{line}"
            );
            line.split('"').nth(3).unwrap().to_owned()
        };
        let mut names: Vec<String> = said.iter().map(name).collect();
        names.sort();
        names
    };
    assert_eq!(names(imap.ok("ESEARCH IN (personal) SUBJECT apples")), ["INBOX", "Work", "Work/Old"]);
    assert_eq!(
        names(imap.ok("ESEARCH IN (subtree-one Work) RETURN (ALL) UID 1 BODY work")),
        ["Work", "Work/Old"]
    );
    assert!(
        imap.ok("ESEARCH IN (mailboxes user/bob/INBOX) ALL").is_empty(),
        "somebody else's is passed over"
    );
}

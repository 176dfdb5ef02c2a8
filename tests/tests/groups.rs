//! Groups (X3): who is in one, who may write to it, and what its members get (S37).
#![allow(clippy::unwrap_used)]

use std::fs;

use black_box::{Instance, Setup};

/// An instance with these lines behind its directory; not started.
fn with_groups(setup: Setup, groups: &[(&str, &[&str])]) -> Instance {
    let instance = setup.create();
    let path = instance.path("config/directory.ldif");
    let mut text = fs::read_to_string(&path).unwrap();
    for (name, lines) in groups {
        text.push_str(&format!(
            "\ndn: cn={name},ou=Groups,o=example\nobjectClass: groupOfUniqueNames\nobjectClass: mailGroup\n\
             cn: {name}\nmail: {name}@example.test\n"
        ));
        lines.iter().for_each(|line| text.push_str(&format!("{line}\n")));
    }
    fs::write(&path, text).unwrap();
    instance
}

fn users() -> Setup {
    Setup::default().users(&["alice", "bob", "carol"])
}

fn post(instance: &Instance, from: &str, to: &[&str], text: &str) {
    let mut smtp = instance.submission(from);
    let to: Vec<String> = to.iter().map(|name| format!("{name}@example.test")).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    smtp.send_message(&format!("{from}@example.test"), &to, text);
}

/// The text of message `number` in a user's INBOX.
fn text(instance: &Instance, user: &str, number: u32) -> String {
    let mut imap = instance.imap(user);
    imap.ok("SELECT INBOX");
    imap.ok(&format!("FETCH {number} BODY.PEEK[]")).join("\n")
}

fn count(instance: &Instance, user: &str) -> u32 {
    instance.imap(user).exists("INBOX")
}

const ALICE: &str = "mgrpRFC822MailMember: alice@example.test";
const BOB: &str = "mgrpRFC822MailMember: bob@example.test";

/// S37: yes and unset are the same.
#[test]
fn members_see_who_resent_it_unless_that_is_off() {
    for (value, expected) in [(None, true), (Some("yes"), true), (Some("no"), false)] {
        let setup = match value {
            Some(value) => users().set("local.service.smtp.smtp-router.addresentfrom", value),
            None => users(),
        };
        let mut instance = with_groups(setup, &[("staff", &[ALICE, BOB])]);
        instance.start_all();
        post(&instance, "carol", &["staff", "alice"], "Subject: hello\r\n\r\nx\r\n");
        instance.wait_for_messages("bob", 1);
        instance.wait_for_messages("alice", 1);
        instance.wait_for_empty_queue();
        let text = text(&instance, "bob", 1);
        assert_eq!(text.contains("Resent-From: staff@example.test"), expected, "{text}");
        assert_eq!(text.contains("Resent-Date: "), expected, "{text}");
        assert_eq!(text.matches("Received: ").count(), if expected { 2 } else { 1 }, "{text}");
        assert!(text.contains("Return-Path: <carol@example.test>"), "{text}");
        assert_eq!(count(&instance, "alice"), 1, "who has it already does not get it again");
    }
}

#[test]
fn members_are_named_by_address_by_dn_by_search_and_by_groups_in_a_circle() {
    let ldif = users().create();
    let people = fs::read_to_string(ldif.path("config/directory.ldif")).unwrap();
    let dn = |user: &str| {
        let start = format!("dn: uid={user},");
        people.lines().find(|line| line.starts_with(&start)).unwrap()["dn: ".len()..].to_owned()
    };
    let by_dn = format!("uniqueMember: {}", dn("alice"));
    let above = dn("bob").split_once(',').unwrap().1.to_owned();
    let search = format!("memberURL: ldap:///{above}??one?(uid=bo*)");
    drop(ldif);
    let mut instance = with_groups(
        users(),
        &[
            ("named", &[&by_dn]),
            ("found", &[&search, "mgrpRFC822MailMember: one@example.test"]),
            ("one", &["mgrpRFC822MailMember: two@example.test", "mgrpRFC822MailMember: named@example.test"]),
            (
                "two",
                &[
                    "mgrpDeliverTo: ldap:///o=example??sub?(|(cn=one)(cn=found))",
                    "mgrpRFC822MailMember: carol@example.test%Carol",
                    "mgrpDeliverException: found@example.test",
                ],
            ),
        ],
    );
    instance.start_all();
    post(&instance, "carol", &["one", "found"], "Subject: all\r\n\r\nx\r\n");
    for user in ["alice", "bob"] {
        instance.wait_for_messages(user, 1);
    }
    instance.wait_for_empty_queue();
    assert_eq!((count(&instance, "alice"), count(&instance, "bob")), (1, 1));
    assert!(text(&instance, "carol", 1).contains("Subject: all"));
}

#[test]
fn a_list_has_fields_and_an_envelope_sender_of_its_own_and_hears_of_failures() {
    let group: &[&str] = &[
        ALICE,
        "mgrpRFC822MailMember: nobody@example.test",
        "mgrpErrorsTo: mailto:bob@example.test",
        "mgrpAddHeader: X-List: staff$Precedence: list",
        "mgrpRemoveHeader: Reply-To",
    ];
    let mut instance = with_groups(users(), &[("staff", group)]);
    instance.start_all();
    let folded =
        "Subject: hello\r\nReply-To: carol@example.test,\r\n\tx@example.test\r\nX-Last: y\r\n\r\nbody\r\n";
    post(&instance, "carol", &["staff", "bob"], folded);
    instance.wait_for_messages("alice", 1);
    instance.wait_for_messages("bob", 2);
    instance.wait_for_empty_queue();
    let changed = text(&instance, "alice", 1);
    assert!(changed.contains("Return-Path: <bob@example.test>\r\n"), "{changed}");
    assert!(changed.contains("X-List: staff\r\nPrecedence: list\r\n"), "{changed}");
    assert!(!changed.contains("Reply-To") && !changed.contains("x@example.test"), "{changed}");
    assert!(changed.contains("X-Last: y\r\n\r\nbody\r\n"), "{changed}");
    let mut at_bob = [text(&instance, "bob", 1), text(&instance, "bob", 2)];
    at_bob.sort_by_key(|text| text.contains("Final-Recipient"));
    assert!(at_bob[0].contains("Reply-To: carol@example.test"), "the original is as it was: {}", at_bob[0]);
    assert!(at_bob[1].contains("Final-Recipient: rfc822; nobody@example.test"), "{}", at_bob[1]);
    assert_eq!(count(&instance, "carol"), 0, "the list's failures are not its writers'");
}

#[test]
fn who_may_not_write_hears_why_or_the_moderator_decides() {
    let restricted = ["mgrpAllowedBroadcaster: ldap:///??sub?(uid=bob)", "mgrpAllowedDomain: airius.test"];
    let closed: &[&str] = &[ALICE, restricted[0], restricted[1], "mgrpMsgRejectText: Ask$the boss"];
    let moderated: &[&str] = &[
        ALICE,
        restricted[0],
        "mgrpMsgRejectAction: toModerator",
        "mgrpModerator: mailto:carol@example.test",
    ];
    let mut instance = with_groups(users(), &[("closed", closed), ("moderated", moderated)]);
    instance.start_all();
    post(&instance, "bob", &["closed", "moderated"], "Subject: allowed\r\n\r\nx\r\n");
    instance.wait_for_messages("alice", 1);
    let mut stranger = instance.smtp();
    stranger.ok("EHLO mail.airius.test");
    stranger.send_message("x@de.airius.test", &["closed@example.test"], "Subject: domain\r\n\r\nx\r\n");
    instance.wait_for_messages("alice", 2);
    post(&instance, "carol", &["closed"], "Subject: refused\r\n\r\nx\r\n");
    instance.wait_for_messages("carol", 1);
    let report = text(&instance, "carol", 1);
    assert!(report.contains("5.7.2") && report.contains("Ask the boss"), "{report}");
    post(&instance, "alice", &["moderated"], "Subject: please\r\n\r\nx\r\n");
    instance.wait_for_messages("carol", 2);
    assert!(text(&instance, "carol", 2).contains("Subject: please"));
    post(&instance, "carol", &["moderated"], "Subject: passed on\r\n\r\nx\r\n");
    instance.wait_for_messages("alice", 3);
    instance.wait_for_empty_queue();
    assert_eq!(count(&instance, "alice"), 3);
}

#[test]
fn size_log_in_and_password_are_asked_for() {
    let groups: &[(&str, &[&str])] = &[
        ("small", &[ALICE, "mgrpMsgMaxSize: 2000"]),
        ("users", &[ALICE, "mgrpBroadcasterPolicy: AUTH_REQ"]),
        ("secret", &[ALICE, "mgrpApprovePassword: sesame"]),
    ];
    let mut instance = with_groups(users(), groups);
    instance.start_all();
    post(&instance, "bob", &["small", "users"], "Subject: good\r\n\r\nx\r\n");
    instance.wait_for_messages("alice", 1);
    let big = format!("Subject: big\r\n\r\n{}", "0123456789 0123456789\r\n".repeat(100));
    post(&instance, "bob", &["small"], &big);
    post(&instance, "bob", &["secret"], "Subject: closed\r\n\r\nsesame\r\n");
    instance.wait_for_messages("bob", 2);
    let mut stranger = instance.smtp();
    stranger.ok("EHLO client.example");
    stranger.send_message("bob@example.test", &["users@example.test"], "Subject: forged\r\n\r\nx\r\n");
    instance.wait_for_messages("bob", 3);
    let reports: String = (1..=3).map(|number| text(&instance, "bob", number)).collect();
    for word in ["5.2.3", "logged in", "password only"] {
        assert!(reports.contains(word), "{word}: {reports}");
    }
    post(&instance, "bob", &["secret"], "Subject: open\r\nApproved: sesame\r\n\r\none\r\n");
    instance.wait_for_messages("alice", 2);
    post(&instance, "bob", &["secret"], "Subject: open\r\n\r\nApproved: sesame\r\ntwo\r\n");
    instance.wait_for_messages("alice", 3);
    instance.wait_for_empty_queue();
    let open = [text(&instance, "alice", 2), text(&instance, "alice", 3)].concat();
    assert!(open.contains("one") && open.contains("two") && !open.contains("sesame"), "{open}");
}

/// `maxrecipients`: a control file of each copy has so many at most.
#[test]
fn a_big_group_gets_several_copies_and_everybody_one_message() {
    let names: Vec<String> = (0..12).map(|number| format!("user{number}")).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let members: Vec<String> =
        all.iter().map(|name| format!("mgrpRFC822MailMember: {name}@example.test")).collect();
    let members: Vec<&str> = members.iter().map(String::as_str).collect();
    let setup = Setup::default()
        .users(&all)
        .set("service.smtp.smtp-router.maxrecipients", "5")
        .set("local.service.smtp.smtp-router.addresentfrom", "no");
    let mut instance = with_groups(setup, &[("many", &members)]);
    instance.start_all();
    post(&instance, "user0", &["many"], "Subject: many\r\n\r\nx\r\n");
    let mut received = Vec::new();
    for name in &all {
        instance.wait_for_messages(name, 1);
        let text = text(&instance, name, 1);
        received.push(text.lines().find(|line| line.starts_with("Received: by ")).unwrap().to_owned());
    }
    instance.wait_for_empty_queue();
    received.sort();
    received.dedup();
    assert_eq!(received.len(), 3, "5, 5 and 2: {received:?}");
    assert!(all.iter().all(|name| count(&instance, name) == 1));
}

#[test]
fn the_first_address_is_recorded_for_who_has_it_by_another() {
    let setup = users().set("service.smtp.smtp-router.adddeliveredto", "yes");
    let mut instance = with_groups(setup, &[("staff", &[ALICE])]);
    let path = instance.path("config/directory.ldif");
    let text_of = fs::read_to_string(&path).unwrap();
    let bob = text_of.replace("\nuid: bob\n", "\nuid: bob\nmailForwardingAddress: carol@example.test\n");
    assert_ne!(bob, text_of);
    fs::write(&path, bob).unwrap();
    instance.start_all();
    post(&instance, "alice", &["staff", "bob"], "Subject: hello\r\n\r\nx\r\n");
    for (user, by) in [("alice", "staff"), ("carol", "bob")] {
        instance.wait_for_messages(user, 1);
        let text = text(&instance, user, 1);
        assert!(text.contains(&format!("Delivered-To: {by}@example.test\r\n")), "{text}");
    }
    instance.wait_for_empty_queue();
}

/// A copy that was begun, or made and not noted, before a crash is the same one afterwards.
#[test]
fn a_crash_on_the_way_gives_members_one_message_each() {
    let mut instance = with_groups(users(), &[("staff", &[ALICE, BOB])]);
    instance.start_all();
    for round in 1..=6 {
        post(&instance, "carol", &["staff"], &format!("Subject: {round}\r\n\r\nx\r\n"));
        instance.kill("smtp");
        instance.start_one("smtp");
        instance.wait_for_messages("alice", round);
        instance.wait_for_messages("bob", round);
    }
    instance.wait_for_empty_queue();
    assert_eq!((count(&instance, "alice"), count(&instance, "bob")), (6, 6));
}

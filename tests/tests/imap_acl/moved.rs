//! A mailbox that another process moves to another user while sessions have it selected: whose it is now decides.

use black_box::{Imap, Instance, Setup};

use super::{MESSAGE, flags, name, share, tool};

/// The user may change a keyword.
fn marks(imap: &mut Imap) {
    imap.ok("STORE 1 +FLAGS.SILENT ($Mark)");
    imap.ok("STORE 1 -FLAGS.SILENT ($Mark)");
}

fn is_refused(imap: &mut Imap, command: &str) {
    let said = imap.refused(command);
    assert!(said.starts_with("NO [NOPERM]"), "{command}: {said}");
}

/// RFC 4314 §4: rights are asked at each command.
#[test]
fn who_lost_a_mailbox_to_another_has_what_its_list_gives() {
    let instance = Setup::default().users(&["alice", "bob", "carol"]).start();
    let (mut alice, mut bob) = (instance.imap("alice"), instance.imap("bob"));
    share(&mut alice, "Work", "lrs");
    alice.ok("SETACL Work carol l");
    alice.ok("SELECT Work");
    bob.ok(&format!("SELECT {}", name("Work")));
    marks(&mut alice);
    is_refused(&mut bob, "STORE 1 +FLAGS ($Mark)");
    // By a process that is no imapd; mailboxes above and below move with it.
    tool(&instance, "mboxutil", &["-r", "user/alice/Work", "user/bob/Ours"]);
    for command in ["STORE 1 +FLAGS (\\Deleted)", "FETCH 1 BODY[]", "EXPUNGE", "COPY 1 INBOX"] {
        is_refused(&mut alice, command);
    }
    marks(&mut bob);
    // What bob had seen apart he has apart until he selects it as his own; until then none is changed.
    is_refused(&mut bob, "STORE 1 +FLAGS (\\Seen)");
    bob.ok("SELECT Ours");
    bob.ok("STORE 1 +FLAGS (\\Seen)");
    assert!(flags(&mut bob, "Ours").contains("\\Seen"));
    // The list says at once what alice may do there.
    bob.ok("SETACL Ours alice lrw");
    marks(&mut alice);
    alice.ok("FETCH 1 BODY.PEEK[]");
    bob.ok("SETACL Ours alice lrsw");
    is_refused(&mut alice, "STORE 1 -FLAGS (\\Seen)");
    assert!(flags(&mut bob, "Ours").contains("\\Seen"));
    // And back, with what stands above it.
    bob.ok("CREATE Place");
    bob.ok("RENAME Ours Place/Ours");
    marks(&mut alice);
    tool(&instance, "mboxutil", &["-r", "user/bob/Place", "user/alice/Place"]);
    alice.ok("STORE 1 +FLAGS (\\Deleted)");
    alice.ok("EXPUNGE");
    assert!(alice.append("Place/Ours", "", MESSAGE).starts_with("OK"));
    instance.prove();
}

/// Messages that come to it then are news for its owner, and nothing for who has no right to read there.
#[test]
fn nobody_reads_on_in_what_is_not_theirs_any_more() {
    let instance = Instance::start();
    let (mut alice, mut bob) = (instance.imap("alice"), instance.imap("bob"));
    alice.ok("CREATE Work");
    assert!(alice.append("Work", "", MESSAGE).starts_with("OK"));
    alice.ok("SELECT Work");
    tool(&instance, "mboxutil", &["-r", "user/alice/Work", "user/bob/Work"]);
    assert!(bob.append("Work", "", MESSAGE).starts_with("OK"));
    for command in ["FETCH 1:* BODY[]", "UID FETCH 2 BODY[]", "SEARCH TEXT noon"] {
        is_refused(&mut alice, command);
    }
    assert!(flags(&mut bob, "Work").starts_with("* 1 FETCH (FLAGS ("), "nothing was marked");
}

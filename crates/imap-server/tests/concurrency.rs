//! Two sessions on one mailbox: what one does, the other hears at the right moment (RFC 3501 §5.2, §7.4.1).
#![allow(clippy::unwrap_used)]

mod common;

use common::{Client, Site, message};
use connection::Event;

fn two(count: u32) -> (Site, Client, Client) {
    let site = Site::new();
    for number in 1..=count {
        site.put("user/joe/INBOX", message(&format!("number {number}")).as_bytes());
    }
    let (mut one, mut two) = (site.user("joe"), site.user("joe"));
    one.ok("SELECT INBOX");
    two.ok("SELECT INBOX");
    (site, one, two)
}

#[test]
fn an_expunge_is_not_told_while_numbers_are_used() {
    let (_site, mut one, mut two) = two(4);
    one.ok("STORE 2 +FLAGS.SILENT (\\Deleted)");
    one.ok("EXPUNGE");
    for command in ["FETCH 3 UID", "SEARCH UID 3", "STORE 3 +FLAGS (\\Flagged)"] {
        let said = two.ok(command);
        assert!(!said.contains("EXPUNGE"), "{command}: {said}");
        assert!(said.contains('3'), "{command}: {said}");
    }
    let said = two.ok("UID FETCH 4 FLAGS");
    assert!(said.contains("* 4 FETCH (UID 4 ") && said.contains("* 2 EXPUNGE"), "{said}");
    assert_eq!(two.ok("FETCH 2 UID"), "* 2 FETCH (UID 3)\r\n");
}

#[test]
fn flags_and_new_messages_are_told() {
    let (site, mut one, mut two) = two(2);
    one.ok("STORE 1 +FLAGS (\\Seen)");
    let said = two.ok("NOOP");
    assert_eq!(said, "* 1 FETCH (FLAGS (\\Seen))\r\n");
    assert_eq!(two.ok("NOOP"), "", "told once");
    assert_eq!(one.ok("NOOP"), "", "its own change was told already");
    site.put("user/joe/INBOX", message("new").as_bytes());
    let said = two.ok("FETCH 1 UID");
    assert!(said.contains("* 3 EXISTS"), "{said}");
    assert!(one.ok("CHECK").contains("* 3 EXISTS"));
}

#[test]
fn an_idle_client_is_told_at_once() {
    let (site, mut one, mut two) = two(2);
    assert_eq!(two.say(b"i IDLE\r\n"), "+ idling\r\n");
    site.put("user/joe/INBOX", message("new").as_bytes());
    two.bell.wait();
    two.event(Event::Woken);
    let said = two.take();
    assert!(said.contains("* 3 EXISTS"), "{said}");
    one.ok("STORE 1 +FLAGS.SILENT (\\Deleted)");
    one.ok("EXPUNGE");
    let mut said = String::new();
    while !said.contains("* 1 EXPUNGE") {
        two.bell.wait();
        two.event(Event::Woken);
        said.push_str(&two.take());
    }
    assert_eq!(two.say(b"done\r\n"), "i OK IDLE completed\r\n");
    two.say(b"i IDLE\r\n");
    assert!(two.say(b"NOOP\r\n").starts_with("i BAD"), "only DONE ends it");
    assert_eq!(two.ok("NOOP"), "");
}

#[test]
fn what_was_before_idle_is_told_when_it_begins() {
    let (site, mut one, _two) = two(1);
    site.put("user/joe/INBOX", message("new").as_bytes());
    assert!(one.say(b"i IDLE\r\n").contains("* 2 EXISTS"));
    let mut amy = site.user("amy");
    assert_eq!(amy.say(b"i IDLE\r\n"), "+ idling\r\n", "without a mailbox");
    assert_eq!(amy.say(b"DONE\r\n"), "i OK IDLE completed\r\n");
}

#[test]
fn random_work_of_two_sessions_leaves_both_with_the_truth() {
    let (site, mut one, mut two) = two(30);
    let mut seed = 7u32;
    let mut random = move |below: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) % below
    };
    let mut exists = [30u32, 30];
    for _ in 0..300 {
        let who = random(2) as usize;
        let client = if who == 0 { &mut one } else { &mut two };
        let number = random(exists[who].max(1)) + 1;
        let said = match random(6) {
            0 if exists[who] > 0 => client.command(&format!("STORE {number} +FLAGS (\\Deleted)")),
            1 => client.command("EXPUNGE"),
            2 if exists[who] > 0 => client.command(&format!("FETCH {number} (UID FLAGS)")),
            3 => {
                site.put("user/joe/INBOX", message("more").as_bytes());
                String::new()
            }
            4 if exists[who] > 0 => client.command(&format!("UID STORE {number} -FLAGS (\\Deleted)")),
            _ => client.command("NOOP"),
        };
        assert!(!said.contains(" BAD "), "{said}");
        for line in said.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["*", number, "EXISTS"] => exists[who] = number.parse().unwrap(),
                ["*", number, "EXPUNGE"] => {
                    let number: u32 = number.parse().unwrap();
                    assert!(number >= 1 && number <= exists[who], "{said}");
                    exists[who] -= 1;
                }
                _ => {}
            }
        }
    }
    let fetch = |client: &mut Client| {
        client.ok("NOOP");
        client.ok("UID FETCH 1:* FLAGS").replace(" \\Recent", "").replace("\\Recent", "")
    };
    fetch(&mut one);
    let (a, b) = (fetch(&mut one), fetch(&mut two));
    assert_eq!(a, b);
    let mut fresh = site.user("joe");
    fresh.ok("EXAMINE INBOX");
    assert_eq!(fetch(&mut fresh), a);
}

#[test]
fn ten_thousand_expunges_are_told_in_pieces_and_in_order() {
    let (_site, mut one, mut two) = two(5);
    for _ in 0..11 {
        one.ok("COPY 1:* INBOX"); // doubles it
    }
    one.ok("FETCH 1:* (UID)");
    two.ok("NOOP");
    let odd: Vec<String> = (1..10_000).step_by(2).map(|number| number.to_string()).collect();
    one.ok(&format!("STORE {} +FLAGS.SILENT (\\Deleted)", odd.join(",")));
    one.ok("EXPUNGE");
    two.sent_most = 0;
    let said = two.ok("NOOP");
    let told: Vec<&str> = said.lines().filter(|line| line.ends_with("EXPUNGE")).collect();
    assert_eq!(told.len(), odd.len());
    assert!(told.iter().zip(1..).all(|(line, number)| *line == format!("* {number} EXPUNGE")));
    assert!(two.sent_most < 80_000, "{} bytes were queued", two.sent_most);
    assert_eq!(two.ok("FETCH 1 UID"), "* 1 FETCH (UID 2)\r\n");
}

#[test]
fn a_mailbox_that_another_session_deletes_or_renames_does_not_confuse_this_one() {
    let (_site, mut one, mut two) = two(1);
    one.ok("CREATE Work");
    one.ok("COPY 1 Work");
    two.ok("SELECT Work");
    one.ok("RENAME Work Play");
    assert!(two.ok("FETCH 1 (UID BODY.PEEK[])").contains("number 1"));
    one.ok("DELETE Play");
    assert_eq!(two.command("NOOP"), "* BYE The selected mailbox was deleted\r\n");
    assert!(two.is_closed());
}

//! The index of words from outside: stored keeps it behind the deliveries, imapd asks it, and SEARCH says what it says without,
//! also after stored was killed at each of its steps.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use black_box::instance::wait_for;
use black_box::{Instance, Setup, run};

/// Each step of the sources that belongs to the index.
const STEPS: [&str; 4] = [
    "text index: segment written",
    "text index: segment named",
    "text index: segments merged",
    "text index: merged segment named",
];

const QUERIES: [&str; 18] = [
    "TEXT word3",
    "BODY ord4",
    "BODY \"word5 of\"",
    "NOT BODY word6",
    "TEXT alice@example.test",
    "SUBJECT \"number 1\"",
    "OR BODY word1 SUBJECT \"number 2\"",
    "TEXT nowhere",
    // What is behind a comment in an address: the field has it, and the address without it is the envelope's.
    "FROM remark2",
    "HEADER From remark1",
    "TEXT remark2",
    "FROM bob@b.example",
    "TEXT bob@b.example",
    "FROM \"<bob@b.example>\"",
    // The header of a part is the business of TEXT alone (RFC 9051 §6.4.4).
    "TEXT holiday.png",
    "TEXT \"image/png; name\"",
    "BODY holiday.png",
    "HEADER Content-Type image/png",
];

fn inbox(instance: &Instance, user: &str) -> PathBuf {
    let hash = run(instance.tool("hashdir").arg(user));
    instance.path("store/partition/primary/=user").join(hash.trim()).join(format!("={user}"))
}

/// Names in the folder of the index.
fn names(inbox: &Path) -> Vec<String> {
    let entries = fs::read_dir(inbox.join("store.fts")).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Messages of which the index knows.
fn indexed(inbox: &Path) -> u32 {
    let of =
        |name: &String| name.strip_suffix(".4")?.rsplit('-').next().and_then(|docs| docs.parse::<u32>().ok());
    names(inbox).iter().filter_map(of).sum()
}

/// First and last UID of each segment.
fn spans(inbox: &Path) -> Vec<(u32, u32)> {
    let of = |name: &String| {
        let mut numbers = name.strip_suffix(".4")?.split('-').map(str::parse::<u32>);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    };
    names(inbox).iter().filter_map(of).collect()
}

fn message(number: u32) -> String {
    let from = match number % 3 {
        0 => format!("From: Bob (remark{}) <bob(at work)@(his)b.example>\r\n", number % 4),
        1 => "From: amy@b.example (Amy)\r\n".to_owned(),
        _ => String::new(),
    };
    let text = format!("word{} of {number}\r\n", number % 7);
    match number % 5 {
        0 => format!(
            "{from}Subject: number {number}\r\nContent-Type: multipart/mixed; boundary=cut\r\n\r\n\
             --cut\r\nContent-Type: text/plain\r\n\r\n{text}\
             --cut\r\nContent-Type: image/png; name=holiday.png\r\n\r\npixels\r\n--cut--\r\n"
        ),
        _ => format!("{from}Subject: number {number}\r\n\r\n{text}"),
    }
}

fn answers(instance: &Instance) -> Vec<Vec<String>> {
    let mut imap = instance.imap("alice");
    imap.ok("SELECT INBOX");
    QUERIES.iter().map(|query| imap.ok(&format!("UID SEARCH {query}"))).collect()
}

/// The same, by an imapd that asks no index.
fn answers_without(instance: &mut Instance) -> Vec<Vec<String>> {
    instance.set("store.textindex", "no");
    instance.stop("imap");
    instance.start_one("imap");
    let answers = answers(instance);
    instance.set("store.textindex", "yes");
    instance.stop("imap");
    instance.start_one("imap");
    answers
}

#[test]
fn mail_that_comes_is_indexed_and_a_search_says_the_same() {
    let setup = Setup::default().set("store.textindexmessages", "3").set("store.textindexrate", "1000000000");
    let mut instance = setup.start();
    let mut smtp = instance.smtp();
    smtp.ok("EHLO client.example.org");
    for number in 1..=60 {
        smtp.send_message("joe@example.org", &["alice@example.test"], &message(number));
    }
    instance.wait_for_messages("alice", 60);
    let folder = inbox(&instance, "alice");
    wait_for("the index", || (indexed(&folder) > 57).then_some(()));
    let found = answers(&instance);
    assert_eq!(found, answers_without(&mut instance));
    for (query, found) in QUERIES.iter().zip(&found) {
        let is_nowhere =
            ["TEXT nowhere", "BODY holiday.png", "HEADER Content-Type image/png"].contains(query);
        assert_eq!(*found == ["* SEARCH"], is_nowhere, "{query}: {found:?}");
    }
    // What is gone is not found, whether the index has forgotten it or not.
    let mut imap = instance.imap("alice");
    imap.ok("SELECT INBOX");
    imap.ok("UID STORE 1:9,30:37 +FLAGS.SILENT (\\Deleted)");
    imap.ok("EXPUNGE");
    let found = answers(&instance);
    assert_eq!(found, answers_without(&mut instance));
    // The files away, the index alone can know. What came while stored did not run is one segment.
    instance.stop("store");
    for number in 61..=110 {
        smtp.send_message("joe@example.org", &["alice@example.test"], &message(number));
    }
    instance.wait_for_messages("alice", 110 - 17);
    instance.start_one("store");
    wait_for("the rest of the index", || spans(&folder).iter().any(|(_, last)| *last == 110).then_some(()));
    let mut imap = instance.imap("alice");
    imap.ok("SELECT INBOX");
    let found = imap.ok("UID SEARCH BODY word3");
    // The first messages of a segment are looked at, nevertheless.
    let known: Vec<u32> = spans(&folder).iter().flat_map(|(first, last)| (*first..=*last).skip(40)).collect();
    assert!(!known.is_empty(), "{:?}", names(&folder));
    let mut removed = 0;
    for uid in known {
        let file = folder.join(format!("{:02}/{uid}.msg", uid / 100));
        removed += u32::from(fs::remove_file(file).is_ok());
    }
    assert!(removed > 0);
    assert_eq!(imap.ok("UID SEARCH BODY word3"), found);
}

/// What an earlier version left is not asked, and stored replaces it, without any change of the mailbox.
#[test]
fn an_index_of_an_earlier_version_is_made_anew() {
    let setup = Setup::default().set("store.textindexmessages", "1").set("store.textindexrate", "1000000000");
    let mut instance = setup.start();
    let folder = inbox(&instance, "alice");
    let mut imap = instance.imap("alice");
    for number in 1..=30 {
        assert!(imap.append("INBOX", "", &message(number)).starts_with("OK"));
    }
    wait_for("the index", || (indexed(&folder) == 30).then_some(()));
    instance.stop("store");
    let texts = folder.join("store.fts");
    for name in names(&folder).iter().filter(|name| name.as_str() != "new") {
        fs::rename(texts.join(name), texts.join(name.strip_suffix(".4").unwrap())).unwrap();
    }
    assert_eq!(indexed(&folder), 0);
    let found = answers(&instance);
    assert!(!instance.log("imap").contains("the segment is removed"), "{}", instance.log("imap"));
    instance.start_one("store");
    wait_for("the new index", || (indexed(&folder) == 30).then_some(()));
    wait_for("the old one gone", || names(&folder).iter().all(|name| name.ends_with(".4")).then_some(()));
    assert_eq!(answers(&instance), found);
}

/// Lets stored work until it ends itself at this step.
fn crash_at(instance: &mut Instance, step: &str) {
    instance.set_environment("MAILBOAT_CRASH_AT", step);
    instance.begin_one("store");
    instance.wait_for_end("store");
    instance.set_environment("MAILBOAT_CRASH_AT", "");
}

#[test]
fn stored_may_be_killed_at_each_step() {
    let setup = Setup::default().set("store.textindexmessages", "1").set("store.textindexrate", "1000000000");
    let mut instance = setup.create();
    instance.start_one("store");
    instance.start_one("imap");
    let folder = inbox(&instance, "alice");
    let mut count = 0;
    let mut append = |instance: &Instance, more: u32| {
        let mut imap = instance.imap("alice");
        for _ in 0..more {
            count += 1;
            assert!(imap.append("INBOX", "", &message(count)).starts_with("OK"));
        }
        count
    };
    instance.stop("store");
    for step in &STEPS[..2] {
        append(&instance, 20);
        crash_at(&mut instance, step);
        let right = answers(&instance);
        instance.start_one("store");
        wait_for("the index", || (indexed(&folder) % 20 == 0 && indexed(&folder) > 0).then_some(()));
        assert_eq!(answers(&instance), right, "{step}");
        assert!(!names(&folder).contains(&"new".to_owned()), "{step}: {:?}", names(&folder));
        instance.stop("store");
    }
    while names(&folder).len() < 7 {
        let all = append(&instance, 3);
        instance.start_one("store");
        wait_for("the index", || (indexed(&folder) == all).then_some(()));
        instance.stop("store");
    }
    let all = append(&instance, 3);
    for step in &STEPS[2..] {
        crash_at(&mut instance, step);
        let found = answers(&instance);
        assert!(names(&folder).len() > 8, "{step}: {:?}", names(&folder));
        assert_eq!(found[2], ["* SEARCH 5 12 19 26 33 40 47 54"], "{step}");
    }
    instance.start_one("store");
    wait_for("the merged index", || (names(&folder) == [format!("1-{all}-{all}.4")]).then_some(()));
    let found = answers(&instance);
    assert_eq!(found, answers_without(&mut instance));
}

#[test]
fn no_step_of_the_sources_is_forgotten() {
    let sources = black_box::instance::top().join("crates/message-store/src/text_indexing.rs");
    let text = fs::read_to_string(sources).unwrap();
    let named: Vec<&str> =
        text.split("crash::step(\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(named, STEPS);
}

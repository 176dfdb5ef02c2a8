//! What is synced before it is said, by level (S151 to S156), watched with strace.
//!
//! A sync counts only when it is of the right file, has ended, and has ended well before what it must precede has begun.
#![allow(clippy::unwrap_used)]

use std::fs;

use black_box::instance::wait_for;
use black_box::{Call, Imap, Instance, Setup, Trace};

/// A new message of alice's, before it has its name.
const MESSAGE: &[&str] = &["/=alice/tmp-"];
const LOG: &[&str] = &["/=alice/store.log"];

fn started(levels: &[(&str, &str)]) -> Instance {
    levels.iter().fold(Setup::default(), |setup, (name, value)| setup.set(name, value)).start()
}

fn all<'a>(calls: &'a [Call], name: &str, parts: &[&str]) -> Vec<&'a Call> {
    calls.iter().filter(|call| call.is(name, parts)).collect()
}

/// The one call of this name with all of these in its arguments.
fn one<'a>(calls: &'a [Call], name: &str, parts: &[&str]) -> &'a Call {
    let found = all(calls, name, parts);
    assert_eq!(found.len(), 1, "{name} {parts:?} in {calls:#?}");
    found[0]
}

fn said<'a>(calls: &'a [Call], text: &str) -> &'a Call {
    calls.iter().find(|call| call.says(text)).unwrap_or_else(|| panic!("{text} in {calls:#?}"))
}

fn in_order(calls: &[&Call]) {
    for pair in calls.windows(2) {
        assert!(pair[0].is_before(pair[1]), "{:#?}\nhas not ended before\n{:#?}", pair[0], pair[1]);
    }
}

/// No call of this name on a file with this in its path.
fn none(calls: &[Call], name: &str, part: &str) {
    assert!(all(calls, name, &[part]).is_empty(), "{name} {part} in {calls:#?}");
}

/// One message in by SMTP under strace; what smtpd did.
fn delivery(levels: &[(&str, &str)]) -> Vec<Call> {
    let instance = started(levels);
    instance.send("alice", "the mailbox exists now");
    instance.wait_for_messages("alice", 1);
    instance.wait_for_empty_queue();
    let messages = instance.path("queue/messages"); // they go behind their envelopes
    let gone = || fs::read_dir(&messages).unwrap().next().is_none().then_some(());
    wait_for("the message to go", gone);
    let trace = Trace::of(&instance, "smtp");
    instance.send("alice", "traced");
    instance.wait_for_messages("alice", 2);
    instance.wait_for_empty_queue();
    wait_for("the message to go", gone);
    trace.calls()
}

const FILES: (&str, &str) = ("local.store.journalsize", "0");

/// One APPEND, one STORE and one EXPUNGE under strace; what imapd did without a journal.
fn session(levels: &[(&str, &str)]) -> Vec<Call> {
    session_of(&started(&[levels, &[FILES]].concat()), |_, _| {})
}

fn session_of(instance: &Instance, ready: impl FnOnce(&Instance, &mut Imap)) -> Vec<Call> {
    let mut imap = instance.imap("alice");
    assert!(imap.append("INBOX", "", "Subject: first\r\n\r\nx\r\n").starts_with("OK"));
    imap.ok("SELECT INBOX");
    ready(instance, &mut imap);
    let trace = Trace::of(instance, "imap");
    assert!(imap.append("INBOX", "", "Subject: traced\r\n\r\nx\r\n").starts_with("OK"));
    imap.ok("STORE 1 +FLAGS.SILENT (\\Deleted)");
    imap.ok("EXPUNGE");
    trace.calls()
}

/// S151, S155: message and envelope are durable before 250, by a record of the journal that both are in; they have no files of
/// their own. The mailbox is by another record, before the first one is given up. Nothing else is synced.
#[test]
fn at_level_1_the_journal_is_synced_before_250() {
    let calls = delivery(&[]);
    let journal = &["/queue/journal/"];
    let record = calls.iter().find(|call| call.is("pwrite64", journal)).unwrap();
    assert!(record.text.contains("MBJR"), "{record:#?}");
    let all_synced = all(&calls, "fdatasync", journal); // that of the journal's beginning may be among them
    let synced = all_synced.iter().find(|call| record.is_before(call)).unwrap();
    let answer = said(&calls, "\"250 2.0.0 ");
    in_order(&[record, synced, answer]);
    let name = one(&calls, "rename", &[".msg"]);
    let log = one(&calls, "pwrite64", LOG);
    let mailbox_record =
        calls.iter().find(|call| call.is("pwrite64", journal) && call.begun > log.begun).unwrap();
    let mailbox_synced = all_synced.iter().find(|call| mailbox_record.is_before(call)).unwrap();
    let ended = calls.iter().rfind(|call| call.is("pwrite64", journal)).unwrap();
    in_order(&[record, name, log, mailbox_record, mailbox_synced, ended]);
    none(&calls, "unlink", "/queue/");
    none(&calls, "renameat2", "/queue/");
    for part in ["/queue/control", "/=alice/"] {
        none(&calls, "fdatasync", part);
        none(&calls, "fsync", part);
    }
}

/// S153: beside the queue's journal, the mailbox has levels of its own.
#[test]
fn at_another_level_of_the_mailbox_its_files_are_synced_as_that_says() {
    for (level, name) in [("2", "fsync"), ("1", "fdatasync")] {
        let calls = delivery(&[("local.store.indexsynclevel", level), ("local.store.messagesynclevel", "2")]);
        let message = one(&calls, "fsync", &["/=alice/00/2.msg"]);
        let written = one(&calls, "pwrite64", LOG);
        let log = one(&calls, name, LOG);
        let ended = calls.iter().rfind(|call| call.is("pwrite64", &["/queue/journal/"])).unwrap();
        in_order(&[message, written, log, ended]);
    }
}

/// S151, S155: without the journal, message and envelope are each synced before 250.
#[test]
fn at_level_1_message_and_envelope_are_synced_before_250() {
    let calls = delivery(&[("local.service.smtp.journal", "no")]);
    let message = one(&calls, "fdatasync", &["/queue/messages/"]);
    let envelope = one(&calls, "fdatasync", &["/queue/control/env-"]);
    let answer = said(&calls, "\"250 2.0.0 ");
    assert!(answer.text.contains(" accepted"), "{answer:#?}");
    in_order(&[message, answer]);
    in_order(&[envelope, answer]);
    let link = one(&calls, "linkat", &["/queue/messages/", ".msg"]);
    let written = one(&calls, "pwrite64", LOG);
    let log = one(&calls, "fdatasync", LOG);
    let envelope_goes = one(&calls, "unlink", &["/queue/control/env-"]);
    let message_goes = one(&calls, "unlink", &["/queue/messages/"]);
    in_order(&[link, written, log, envelope_goes, message_goes]);
    none(&calls, "fsync", "/queue/messages/");
    none(&calls, "fsync", "/queue/control/");
    none(&calls, "pwrite64", "/queue/journal/");
}

/// S153: level 0 leaves it to the system.
#[test]
fn at_level_0_nothing_is_synced() {
    let levels = [
        ("local.store.synclevel", "0"),
        ("local.service.smtp.envelopesynclevel", "0"),
        ("local.service.smtp.messagesynclevel", "0"),
    ];
    for calls in [delivery(&levels), session(&levels)] {
        for name in ["fdatasync", "fsync", "sync_file_range"] {
            none(&calls, name, "");
        }
    }
}

/// S153, S155: level 2 is fsync, of the files and of the folders that name them.
#[test]
fn at_level_2_files_and_their_folders_are_fsynced() {
    let calls = delivery(&[
        ("local.store.synclevel", "2"),
        ("local.service.smtp.envelopesynclevel", "2"),
        ("local.service.smtp.messagesynclevel", "2"),
    ]);
    let answer = said(&calls, "\"250 2.0.0 ");
    for parts in [["/queue/messages/"], ["/queue/control/env-"], ["/queue/messages>"], ["/queue/control>"]] {
        let synced = all(&calls, "fsync", &parts);
        assert!(!synced.is_empty(), "{parts:?} in {calls:#?}");
        synced.iter().for_each(|sync| in_order(&[sync, answer]));
    }
    let entry_goes = one(&calls, "unlink", &["/queue/control/env-"]);
    in_order(&[one(&calls, "fsync", LOG), entry_goes]);
    in_order(&[one(&calls, "fsync", &["/=alice/00>"]), entry_goes]);
    none(&calls, "fdatasync", "/queue/");
    none(&calls, "fdatasync", "/=alice/");
}

/// S154: the general level is inherited, one that is set overrides it.
#[test]
fn a_level_of_its_own_overrides_the_general_one() {
    let inherited = session(&[("local.store.synclevel", "2")]);
    assert_eq!(all(&inherited, "fsync", LOG).len(), 3, "APPEND, STORE, EXPUNGE: {inherited:#?}");
    one(&inherited, "fsync", MESSAGE);
    none(&inherited, "fdatasync", "/=alice/");
    let index = session(&[("local.store.synclevel", "2"), ("local.store.indexsynclevel", "0")]);
    none(&index, "fsync", LOG[0]);
    none(&index, "fdatasync", "/=alice/");
    one(&index, "fsync", MESSAGE);
    let message = session(&[("local.store.synclevel", "2"), ("local.store.messagesynclevel", "1")]);
    one(&message, "fdatasync", MESSAGE);
    none(&message, "fsync", MESSAGE[0]);
    assert_eq!(all(&message, "fsync", LOG).len(), 3, "{message:#?}");
}

/// S151: what a client was answered with OK is on the disk before: the message itself, its name, its record.
#[test]
fn an_append_is_synced_before_its_ok() {
    let calls = session(&[]);
    let logs = all(&calls, "fdatasync", LOG);
    let [append, store, expunge] = logs.as_slice() else { panic!("three changes: {calls:#?}") };
    let message = one(&calls, "fdatasync", MESSAGE);
    let named = one(&calls, "rename", &["/tmp-", ".msg"]);
    in_order(&[message, named, append, said(&calls, "APPENDUID")]);
    in_order(&[store, said(&calls, "OK STORE")]);
    in_order(&[expunge, said(&calls, "OK EXPUNGE")]);
    none(&calls, "fsync", MESSAGE[0]);
    none(&calls, "fsync", LOG[0]);
}

/// S151: the same by the journal of imapd: a record with the message, synced before OK, and nothing else.
#[test]
fn the_journal_of_imapd_is_synced_before_ok() {
    let calls = session_of(&started(&[]), Instance::wait_for_journal);
    let journal = &["/store/journal/"];
    let (records, syncs) = (all(&calls, "pwrite64", journal), all(&calls, "fdatasync", journal));
    let answers = ["APPENDUID", "OK STORE", "OK EXPUNGE"].map(|text| said(&calls, text));
    let [append, store, expunge] = records.as_slice() else { panic!("three changes: {records:#?}") };
    let logs = all(&calls, "pwrite64", LOG);
    assert_eq!((logs.len(), syncs.len()), (3, 3), "{calls:#?}");
    for (((record, log), sync), answer) in
        [append, store, expunge].into_iter().zip(logs).zip(syncs).zip(answers)
    {
        in_order(&[log, record, sync, answer]);
    }
    assert!(append.text.contains("MBJR"), "{append:#?}");
    none(&calls, "fdatasync", "/=alice/");
    none(&calls, "fsync", "");
}

/// S152: a change of the mailbox list is synced, and with `local.dbtxnsync 1` it is not.
#[test]
fn dbtxnsync_1_stops_the_syncs_of_the_mailbox_list() {
    for (value, synced) in [("0", true), ("1", false)] {
        let instance = started(&[("local.dbtxnsync", value)]);
        let mut imap = instance.imap("alice");
        let trace = Trace::of(&instance, "imap");
        imap.ok("CREATE Work");
        let calls = trace.calls();
        let of_list = |call: &&Call| call.name.contains("sync") && call.text.contains("/mboxlist");
        assert_eq!(calls.iter().any(|call| of_list(&call)), synced, "dbtxnsync {value}: {calls:#?}");
    }
}

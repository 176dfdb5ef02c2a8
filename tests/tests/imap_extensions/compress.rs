//! COMPRESS=DEFLATE (RFC 4978), held against zlib, which Python brings, and mbsync.

use std::process::Command;

use black_box::instance::{IMAP, IMAPS, wait_for};
use black_box::run;

use super::*;

#[test]
fn zlib_and_we_understand_each_other() {
    let instance = Instance::start();
    let script = black_box::instance::top().join("tests/tests/imap_extensions/compress.py");
    let said = run(Command::new("python3")
        .arg(script)
        .arg(instance.address.to_string())
        .args([IMAP, IMAPS].map(|port| port.to_string()))
        .arg(instance.path("config/certs/ca.pem")));
    assert!(said.ends_with("all well\n"), "{said}");
    let log = wait_for("the log of damaged streams", || {
        Some(instance.log("imap")).filter(|log| log.contains("compressed data damaged"))
    });
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn mbsync_uses_it_and_records_hold_plain_text() {
    let instance = Instance::start();
    let folder = instance.path("log/imap/telemetry/alice");
    std::fs::create_dir_all(&folder).unwrap();
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("rc"), mbsync_settings(&instance, home.path())).unwrap();
    let mut imap = instance.imap("alice");
    fill(&mut imap, "INBOX", 30);
    run(Command::new("mbsync").arg("-c").arg(home.path().join("rc")).arg("-a").env("HOME", home.path()));
    let copied = std::fs::read_dir(home.path().join("INBOX/new")).unwrap().count()
        + std::fs::read_dir(home.path().join("INBOX/cur")).unwrap().count();
    assert_eq!(copied, 30);
    let files = std::fs::read_dir(&folder).unwrap();
    let recorded: Vec<u8> = files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
    let recorded = String::from_utf8_lossy(&recorded);
    let behind = recorded.split("COMPRESS DEFLATE").nth(1).expect("mbsync asks for compression");
    assert!(behind.contains(" FETCH ") && behind.contains("Subject: lunch"), "{behind}");
}

fn mbsync_settings(instance: &Instance, home: &std::path::Path) -> String {
    format!(
        "IMAPAccount a\nHost {}\nPort {IMAP}\nUser alice\nPass alice-secret\nSSLType None\nAuthMechs LOGIN\n\n\
         IMAPStore far\nAccount a\n\nMaildirStore near\nPath {home}/\nInbox {home}/INBOX\n\n\
         Channel c\nFar :far:\nNear :near:\nPatterns INBOX\nCreate Near\nSyncState *\n",
        instance.address,
        home = home.display(),
    )
}

/// The administrator says whether it is offered.
#[test]
fn level_zero_does_not_offer_it() {
    let instance = black_box::Setup::default().set("service.imap.compresslevel", "0").start();
    let mut imap = instance.imap("alice");
    assert!(!is_offered(&mut imap, "COMPRESS=DEFLATE"));
    all_bad(&mut imap, &["COMPRESS DEFLATE"]);
}

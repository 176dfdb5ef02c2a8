//! The web mail in a real browser: the suite with mail sent by SMTP, and the tests of `tests/browser` in one chromium.
#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::fs;
use std::process::Command;

use black_box::browser::run_browser_tests;
use black_box::instance::{HTTP, WEB, program, quick, run};
use black_box::{Instance, Setup};

/// Users for tests to take, one each.
const USERS: usize = 120;

fn users() -> Vec<String> {
    (1..=USERS).map(|number| format!("user{number}")).collect()
}

/// An instance that serves the web mail, and its address.
fn served() -> (Instance, String) {
    served_to(&users())
}

fn served_to(users: &[String]) -> (Instance, String) {
    let names: Vec<&str> = users.iter().map(String::as_str).collect();
    let mut instance = Setup::default().users(&names).set("store.quotaenforcement", "yes").start();
    instance.start_one(WEB.0);
    let url = format!("http://{}", instance.at(HTTP));
    (instance, url)
}

/// To the last user, whom no test takes that does not ask for it.
fn leave_room_for_little(instance: &Instance) {
    run(instance.tool("dirutil").args(["change", &format!("user{USERS}"), "--set", "mailQuota=30000"]));
}

#[test]
fn the_browser_harness_counts_and_sets_what_it_says() {
    let (instance, url) = served();
    run_browser_tests(&instance, "harness", &users(), Some(&url));
}

/// `tests/browser/lab/README.md` says which test is for which of the classes W1 to W19.
#[test]
fn hostile_mail_runs_nothing_connects_nowhere_and_stays_in_its_frame() {
    let (instance, url) = served();
    run_browser_tests(&instance, "lab/lab", &users(), Some(&url));
}

/// The reading view, answers, receipts, bombs, links; markup in every field.
#[test]
fn hostile_mail_in_the_application() {
    let (instance, url) = served();
    run_browser_tests(&instance, "lab/application", &users(), Some(&url));
}

/// The negative control.
#[test]
fn hostile_mail_does_harm_where_nothing_is_against_it() {
    let (instance, url) = served();
    run_browser_tests(&instance, "lab/control", &users(), Some(&url));
}

#[test]
fn journeys_through_folders_lists_and_messages() {
    let (instance, url) = served();
    leave_room_for_little(&instance);
    run_browser_tests(&instance, "mail-", &users(), Some(&url));
}

#[test]
fn journeys_through_folders_of_others() {
    let (instance, url) = served();
    run_browser_tests(&instance, "shared", &users(), Some(&url));
}

#[test]
fn journeys_while_others_change_the_mailbox() {
    let (instance, url) = served();
    run_browser_tests(&instance, "changes", &users(), Some(&url));
}

#[test]
fn pages_and_deliveries_cost_no_more_than_they_may() {
    let (instance, url) = served();
    run_browser_tests(&instance, "bytes", &users(), Some(&url));
}

#[test]
fn journeys_of_writing_and_sending() {
    let (instance, url) = served();
    leave_room_for_little(&instance);
    run_browser_tests(&instance, "compose", &users(), Some(&url));
}

#[test]
fn journeys_through_the_settings() {
    let (instance, url) = served();
    run_browser_tests(&instance, "settings", &users(), Some(&url));
}

/// Messages by the minute of a January, `Number 000001` the oldest; every hundredth has the same word.
fn mbox(messages: usize) -> String {
    (1..=messages).fold(String::new(), |mut text, number| {
        let (day, time) = (1 + number / 1440, format!("{:02}:{:02}:00", number / 60 % 24, number % 60));
        let _ = write!(
            text,
            "From mara@example.org Thu Jan {day:2} {time} 2026\n\
             From: \"Mara Okafor\" <mara@example.org>\nTo: large@example.test\n\
             Subject: Number {number:06} of cargo{:03}\nDate: {day:02} Jan 2026 {time} +0000\n\
             Message-ID: <{number}@example.org>\n\nManifest {number}.\n\n",
            number % 100
        );
        text
    })
}

#[test]
fn a_large_mailbox_is_at_hand_anywhere() {
    let mut users = users();
    users.push("large".to_owned());
    let (instance, url) = served_to(&users);
    let messages = if quick() { 3_000 } else { 20_000 };
    let file = instance.path("tmp/mbox");
    fs::write(&file, mbox(messages)).unwrap();
    run(Command::new(program("imsimport"))
        .arg("--instance")
        .arg(&instance.root)
        .args(["large", &format!("mbox:{}", file.display())]));
    users.pop();
    run_browser_tests(&instance, "large", &users, Some(&url));
}

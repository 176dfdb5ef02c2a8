//! Writing and settings of the web mail, in a real browser against the suite: `tests/browser/compose.test.mjs` and
//! `tests/browser/settings.test.mjs`.
#![allow(clippy::unwrap_used)]

use black_box::browser::run_browser_tests;
use black_box::instance::{HTTP, WEB};
use black_box::{Instance, Setup};

/// Users for tests to take, one each: most tests take a sender and a recipient.
const USERS: usize = 60;

fn users() -> Vec<String> {
    (1..=USERS).map(|number| format!("user{number}")).collect()
}

/// An instance that serves the web mail, and its address.
fn served() -> (Instance, String) {
    let users = users();
    let names: Vec<&str> = users.iter().map(String::as_str).collect();
    let mut instance = Setup::default().users(&names).start();
    instance.start_one(WEB.0);
    let url = format!("http://{}", instance.at(HTTP));
    (instance, url)
}

/// Answers, attachments, drafts, undo of sending, hostile quotes; keyboard, phone, dark, right to left.
#[test]
fn messages_are_written_sent_and_taken_back() {
    let (instance, url) = served();
    run_browser_tests(&instance, "compose", &users(), Some(&url));
}

/// S119 to S126, vacation, forwarding, password, sessions.
#[test]
fn settings_are_in_the_directory_and_do_what_they_say() {
    let (instance, url) = served();
    run_browser_tests(&instance, "settings", &users(), Some(&url));
}

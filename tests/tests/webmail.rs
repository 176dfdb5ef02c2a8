//! The web mail in a real browser: the suite with mail sent by SMTP, and the tests of `tests/browser` in one chromium.
#![allow(clippy::unwrap_used)]

use black_box::browser::run_browser_tests;
use black_box::instance::{HTTP, WEB};
use black_box::{Instance, Setup};

/// Users for tests to take, one each.
const USERS: usize = 80;

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

#[test]
fn the_browser_harness_counts_and_sets_what_it_says() {
    let (instance, url) = served();
    run_browser_tests(&instance, "harness", &users(), Some(&url));
}

/// W1 to W8, W15, W16, W19.
#[test]
fn hostile_mail_runs_nothing_connects_nowhere_and_stays_in_its_frame() {
    let (instance, url) = served();
    run_browser_tests(&instance, "lab", &users(), Some(&url));
}

#[test]
fn journeys_through_folders_lists_and_messages() {
    let (instance, url) = served();
    run_browser_tests(&instance, "mail-", &users(), Some(&url));
}

#[test]
fn journeys_of_writing_and_sending() {
    let (instance, url) = served();
    run_browser_tests(&instance, "compose", &users(), Some(&url));
}

#[test]
fn journeys_through_the_settings() {
    let (instance, url) = served();
    run_browser_tests(&instance, "settings", &users(), Some(&url));
}

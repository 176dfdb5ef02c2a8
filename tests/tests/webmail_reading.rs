//! The web mail in a real browser: signing in, folders, the list, reading, and each screen by axe-core (`tests/browser/mail-*`).
#![allow(clippy::unwrap_used)]

use black_box::Setup;
use black_box::browser::run_browser_tests;
use black_box::instance::{HTTP, WEB};

/// Runs the files whose name contains `wanted` against an instance of their own, with a user for each test.
fn run(wanted: &str) {
    let users: Vec<String> = (1..=24).map(|number| format!("user{number}")).collect();
    let names: Vec<&str> = users.iter().map(String::as_str).collect();
    let mut instance = Setup::default().users(&names).start();
    instance.start_one(WEB.0);
    let url = format!("http://{}", instance.at(HTTP));
    run_browser_tests(&instance, wanted, &users, Some(&url));
}

#[test]
fn folders_and_list_show_what_is_so_and_make_it_so() {
    run("mail-list");
}

#[test]
fn messages_are_read() {
    run("mail-reading");
}

#[test]
fn every_screen_is_accessible_in_both_themes_and_both_directions() {
    run("mail-screens");
}

//! The web mail in a real browser: the suite with mail sent by SMTP, and the tests of `tests/browser` in one chromium.
#![allow(clippy::unwrap_used)]

use black_box::Setup;
use black_box::browser::run_browser_tests;

/// Users for tests to take, one each.
const USERS: usize = 20;

fn users() -> Vec<String> {
    (1..=USERS).map(|number| format!("user{number}")).collect()
}

#[test]
fn the_browser_harness_counts_and_sets_what_it_says() {
    let users = users();
    let names: Vec<&str> = users.iter().map(String::as_str).collect();
    let instance = Setup::default().users(&names).start();
    run_browser_tests(&instance, "harness", &users, None);
}

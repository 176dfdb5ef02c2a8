//! Whatever a client sends, a session answers and goes on or ends; it never panics.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Site, message};
use proptest::prelude::*;

const WORDS: &[&str] = &[
    "FETCH",
    "STORE",
    "SEARCH",
    "UID",
    "COPY",
    "MOVE",
    "SELECT",
    "LIST",
    "STATUS",
    "APPEND",
    "EXPUNGE",
    "IDLE",
    "DONE",
    "CREATE",
    "RENAME",
    "INBOX",
    "x",
    "1:*",
    "*",
    "1",
    "2,3",
    "(FLAGS)",
    "+FLAGS",
    "(\\Deleted)",
    "BODY[]",
    "BODY[1]",
    "BODY.PEEK[HEADER]<0.5>",
    "FULL",
    "ALL",
    "NOT",
    "OR",
    "SUBJECT",
    "{3}\r\n",
    "{3+}\r\nabc",
    "\"\"",
    "\"*\"",
    "%",
    "(MESSAGES)",
    "\r\nt",
    "CLOSE",
    "NOOP",
    "LOGOUT",
    "ENABLE",
    "CHECK",
    "(",
    ")",
    "\\",
    "&",
    "\0",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn words_in_any_order(choice in proptest::collection::vec(0..WORDS.len(), 1..60), selected in any::<bool>()) {
        let site = Site::new();
        site.put("user/joe/INBOX", message("one").as_bytes());
        site.put("user/joe/INBOX", message("two").as_bytes());
        let mut joe = site.user("joe");
        if selected {
            joe.ok("SELECT INBOX");
        }
        let text = choice.iter().map(|word| WORDS[*word]).collect::<Vec<_>>().join(" ");
        joe.say(format!("t {text}\r\n").as_bytes());
    }

    #[test]
    fn bytes_of_any_kind(bytes in proptest::collection::vec(any::<u8>(), 0..300), logged_in in any::<bool>()) {
        let site = Site::new();
        let mut client = if logged_in { site.user("joe") } else { site.client() };
        client.say(&bytes);
        client.say(b"\r\n");
    }
}

//! How long a web mail waits for the rows of a large mailbox: windows of a list, what a change of one message costs, searches
//! by subject. A table on standard output; run by `scripts/bench-jmap`, not by `cargo test`.
//!
//! `MAILBOAT_BENCH_MESSAGES` says how many messages there are.
#![allow(clippy::unwrap_used)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::io::Write;
use std::time::{Duration, Instant};

use common::Site;
use message_store::{FlagChange, Flags, How, NewMessage, UidSet};
use serde_json::{Value, json};

/// What a list of messages shows of each.
const ROW: [&str; 9] =
    ["threadId", "mailboxIds", "keywords", "from", "to", "subject", "receivedAt", "preview", "hasAttachment"];
/// Messages of one transaction.
const BATCH: usize = 500;
const WORDS: [&str; 16] = [
    "report", "meeting", "lunch", "invoice", "question", "answer", "photos", "travel", "budget", "minutes",
    "draft", "review", "release", "party", "contract", "news",
];

fn message(number: usize) -> String {
    let word = |step: usize| WORDS[number.wrapping_mul(step).wrapping_add(number / 7) % WORDS.len()];
    let thread = if number % 3 == 0 {
        String::new()
    } else {
        format!("References: <{}@example.com>\r\n", number / 3 * 3)
    };
    let subject = if number % 50_021 == 77 {
        "zanzibar".to_owned()
    } else {
        format!("{} {} {number}", word(3), word(5))
    };
    format!(
        "Received: from a.example.com (a.example.com [192.0.2.1]) by mail.example.com with ESMTP id {number:08x}; \
         Mon, 28 Feb 2000 10:00:00 -0800\r\nFrom: Person {} <p{}@example.com>\r\nTo: Joe <joe@example.com>\r\n{thread}\
         Subject: {subject}\r\nMessage-ID: <{number}@example.com>\r\nDate: Mon, 28 Feb 2000 10:00:00 -0800\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{}\r\n",
        number % 977,
        number % 977,
        "Some text that nobody has written, to be shown in a list and to be read. ".repeat(12)
    )
}

fn fill(site: &Site, count: usize) {
    let inbox = site.mailbox("INBOX");
    for first in (0..count).step_by(BATCH) {
        let batch: Vec<_> = (first..count.min(first + BATCH))
            .map(|number| {
                let mut incoming = inbox.begin_append().unwrap();
                incoming.write_all(message(number).as_bytes()).unwrap();
                let flags = if number % 4 == 0 { Flags::NONE } else { Flags::SEEN };
                let nanos =
                    950_000_000_000_000_000 + (number as i64).wrapping_mul(7_919) % 100_003 * 1_000_000_000;
                (
                    incoming.complete().unwrap(),
                    NewMessage { flags, keywords: Vec::new(), internal_date_ns: nanos },
                )
            })
            .collect();
        inbox.append_all(&batch).unwrap();
    }
}

fn window(site: &Site, position: usize, extra: &Value) -> Value {
    let mut query = json!({ "accountId": "joe", "position": position, "limit": 100, "calculateTotal": true,
        "filter": { "inMailbox": site.mailbox_id("INBOX") }, "sort": [{ "property": "receivedAt", "isAscending": false }] });
    for (name, value) in extra.as_object().unwrap() {
        query[name] = value.clone();
    }
    site.request(json!([
        ["Email/query", query, "0"],
        ["Email/get", { "accountId": "joe", "properties": ROW,
            "#ids": { "resultOf": "0", "name": "Email/query", "path": "/ids" } }, "1"],
    ]))
}

fn time(name: &str, repeats: usize, mut run: impl FnMut() -> Value) {
    let mut times: Vec<Duration> = Vec::new();
    let mut told = Value::Null;
    for _ in 0..repeats {
        let start = Instant::now();
        let response = run();
        times.push(start.elapsed());
        told = response["methodResponses"][0][1]["total"].clone();
    }
    times.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    println!("| {name} | {told} | {:.1} | {:.1} |", ms(times[times.len() / 2]), ms(times[times.len() - 1]));
}

fn main() {
    let count =
        std::env::var("MAILBOAT_BENCH_MESSAGES").ok().and_then(|count| count.parse().ok()).unwrap_or(100_000);
    let site = Site::new();
    fill(&site, count);
    let deep = count * 77_777 / 100_000;
    let none = json!({});
    println!("| request | total | median ms | slowest ms |\n| --- | ---: | ---: | ---: |");
    time("first query and its 100 rows, nothing in memory", 1, || window(&site, 0, &none));
    time(&format!("rows from {deep} on, warm"), 21, || window(&site, deep, &none));
    let mut page = 0;
    time("rows anywhere, each for the first time", 21, || {
        page += count / 23;
        window(&site, page, &none)
    });
    let inbox = site.mailbox("INBOX");
    let mut uid = 0;
    time("one keyword changed, then the same rows", 21, || {
        uid += 997;
        let change = FlagChange { how: How::Add, flags: Flags::FLAGGED, keywords: &[] };
        inbox.change_flags(&UidSet::single(uid), change, None).unwrap();
        window(&site, deep, &none)
    });
    let collapsed = json!({ "collapseThreads": true });
    time("conversations, for the first time", 1, || window(&site, 0, &collapsed));
    time("conversations, warm", 21, || window(&site, deep / 3, &collapsed));
    let by_subject = json!({ "sort": [{ "property": "subject" }] });
    time("sorted by subject, for the first time", 1, || window(&site, 0, &by_subject));
    time("sorted by subject, warm", 21, || window(&site, deep, &by_subject));
    let search = |word: &str| json!({ "filter": { "subject": word, "inMailbox": site.mailbox_id("INBOX") } });
    time("subject with a rare word, without the index", 1, || window(&site, 0, &search("zanzibar")));
    inbox.index_texts(1, &mut |_| true).unwrap();
    time("subject with a rare word, index", 1, || window(&site, 0, &search("zanzi")));
    time("subject with a common word, index", 1, || window(&site, 0, &search("invoice")));
    time("any text, a rare word, index", 1, || {
        window(&site, 0, &json!({ "filter": { "text": "zanzibar" } }))
    });
}

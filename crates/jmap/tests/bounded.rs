//! What one user makes slow takes no worker from the others for long, and what two do at once loses nothing.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use common::{Site, message};
use jmap::Jmap;
use os::lock::{Mode, OfdLock};
use serde_json::{Value, json};

fn ask(site: &Site, calls: Value) -> Vec<Value> {
    ask_of(&site.jmap, calls)
}

fn ask_of(jmap: &Jmap, calls: Value) -> Vec<Value> {
    let using = [
        "urn:ietf:params:jmap:core",
        "urn:ietf:params:jmap:mail",
        "urn:ietf:params:jmap:submission",
        "urn:x-mailboat:jmap:account",
    ];
    let body = json!({ "using": using, "methodCalls": calls }).to_string();
    let answer = jmap.request(&Site::who("joe"), body.as_bytes()).unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    answer["methodResponses"].as_array().unwrap().clone()
}

/// The file below a folder whose name ends so.
fn below(folder: &Path, ending: &str) -> Option<PathBuf> {
    let all = std::fs::read_dir(folder).ok()?.map(|entry| entry.unwrap().path());
    all.into_iter().find_map(|path| match path.is_dir() {
        true => below(&path, ending),
        false => path.to_string_lossy().ends_with(ending).then_some(path),
    })
}

#[test]
fn who_waits_for_another_sending_is_told_so_after_seconds() {
    let site = Site::new();
    let set = || ask(&site, json!([["EmailSubmission/set", { "accountId": "joe" }, "c"]]));
    assert_eq!(set()[0][0], "EmailSubmission/set");
    for ending in ["/joe.sending", "/joe.lock"] {
        let file =
            std::fs::File::options().write(true).open(below(site.folder.path(), ending).unwrap()).unwrap();
        let held = OfdLock::try_acquire(&Arc::new(file), 0, Mode::Exclusive).unwrap().expect("nobody has it");
        let (tell, told) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| tell.send(set()).unwrap());
            let answer = told.recv_timeout(Duration::from_secs(240)); // before the lock is free
            drop(held);
            assert_eq!(answer.expect("an answer")[0][1]["type"], "serverUnavailable", "{ending}");
        });
        assert_eq!(set()[0][0], "EmailSubmission/set");
    }
}

#[test]
fn a_request_has_a_password_checked_once() {
    let site = Site::new();
    let change = json!(["Credential/set", { "accountId": "joe", "oldPassword": "wrong", "newPassword": "long enough" }, "c"]);
    let forward = json!(["Forwarding/set", {
        "accountId": "joe", "password": "wrong", "update": { "singleton": { "addresses": ["x@y.example"] } } }, "f"]);
    let answers = ask(&site, json!([change, change, forward]));
    assert_eq!(answers[0][1]["type"], "wrongPassword");
    assert_eq!(answers[1][1]["type"], "rateLimit");
    assert_eq!(answers[2][1]["notUpdated"]["singleton"]["type"], "rateLimit", "{answers:?}");
    assert_eq!(ask(&site, json!([change]))[0][1]["type"], "wrongPassword", "the next request may again");
}

#[test]
fn two_who_take_an_email_out_of_a_mailbox_each_leave_it_in_one() {
    let site = Site::new();
    let another = Site::another(&site.folder, &site.store);
    let (a, b) = (site.mailbox_id("A"), site.mailbox_id("B"));
    let count = |name: &str| site.ids(json!({ "filter": { "inMailbox": site.mailbox_id(name) } })).len();
    const ROUNDS: u32 = 40;
    for round in 0..ROUNDS {
        site.add("A", &message(round, "x"));
        let id = site.ids(json!({ "filter": { "inMailboxOtherThan": [b] } })).remove(0);
        let both = site.call("Email/set", json!({ "update": { &id: { format!("mailboxIds/{b}"): true } } }));
        assert_eq!(both["updated"], json!({ &id: null }), "{both}");
        let start = Barrier::new(2);
        let refused = std::thread::scope(|scope| {
            let take_out = |jmap, mailbox: &str| {
                let patch = json!({ "accountId": "joe", "update": { &id: { format!("mailboxIds/{mailbox}"): null } } });
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    let answer = ask_of(jmap, json!([["Email/set", patch, "c"]]));
                    answer[0][1]["notUpdated"].as_object().map_or(0, |refused| refused.len())
                })
            };
            let both = [take_out(&site.jmap, &a), take_out(&another, &b)];
            both.into_iter().map(|one| one.join().unwrap()).sum::<usize>()
        });
        assert_eq!(refused, 1, "round {round}");
        let left = site.ids(json!({}));
        assert_eq!(left, std::slice::from_ref(&id), "round {round}: it is lost");
        assert_eq!(count("A") + count("B"), 1);
        site.call("Email/set", json!({ "destroy": [id] }));
    }
}

#[test]
fn what_a_large_thread_has_is_found_out_once() {
    let site = Site::new();
    for number in 0..800 {
        let reply = format!(
            "In-Reply-To: <root@example.com>\r\nReferences: <root@example.com>\r\n{}",
            message(number, "x")
        );
        site.add("INBOX", &reply);
    }
    let conditions: Vec<Value> =
        (0..45).map(|n| json!({ "someInThreadHaveKeyword": format!("k{n}") })).collect();
    let any = json!({ "operator": "OR", "conditions": conditions });
    assert_eq!(site.ids(json!({ "collapseThreads": true })).len(), 1, "it is one thread");
    let took = |filter: &Value| {
        let start = Instant::now();
        assert_eq!(site.ids(json!({ "filter": filter })).len(), 0);
        start.elapsed()
    };
    let plain: Vec<Value> = (0..45).map(|n| json!({ "hasKeyword": format!("k{n}") })).collect();
    let unit = took(&json!({ "operator": "OR", "conditions": plain }));
    // Each condition looks at all of the thread: nearly 29 million looks if that is done for each email, 800 times as many as
    // without threads.
    let threads = took(&any);
    assert!(threads < Duration::from_secs(4).max(unit * 40), "{threads:?}, and {unit:?} without threads");
    let none = json!({ "noneInThreadHaveKeyword": "k" });
    assert_eq!(site.ids(json!({ "filter": none })).len(), 800);
}

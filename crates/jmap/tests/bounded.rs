//! What one user makes slow takes no worker from the others for long.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use common::Site;
use os::lock::{Mode, OfdLock};
use serde_json::{Value, json};

fn ask(site: &Site, calls: Value) -> Vec<Value> {
    let using = [
        "urn:ietf:params:jmap:core",
        "urn:ietf:params:jmap:mail",
        "urn:ietf:params:jmap:submission",
        "urn:x-mailboat:jmap:account",
    ];
    let body = json!({ "using": using, "methodCalls": calls }).to_string();
    let answer = site.jmap.request(&Site::who("joe"), body.as_bytes()).unwrap();
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
            let answer = told.recv_timeout(Duration::from_secs(40)); // before the lock is free
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

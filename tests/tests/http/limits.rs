//! Threads, processes, connections, time: S98 to S106 for HTTP.

use std::fs;
use std::time::Duration;

use black_box::instance::{PATIENCE, in_one_of_ten, wait_for};
use black_box::{Http, Instance, Setup};

use super::requests::web;

fn threads(pid: u32) -> usize {
    let names = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    names
        .filter(|task| {
            fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.starts_with("http-"))
        })
        .count()
}

fn started(setup: Setup) -> Instance {
    let mut instance = setup.create();
    instance.start_web();
    instance
}

/// S98, S99, S103.
#[test]
fn maxthreads_bounds_the_workers_and_not_the_connections() {
    let instance = started(Setup::default().set("service.http.maxthreads", "2"));
    let mut held: Vec<Http> = (0..100).map(|_| instance.http()).collect();
    let session = held[0].sign_in("alice", "alice-secret");
    for http in &mut held {
        assert_eq!(http.get("/auth/session", &session).status, 200);
    }
    assert!((1..=2).contains(&threads(instance.pid("http").unwrap())));
}

/// A wrong password is answered late, and no worker waits for that.
#[test]
fn who_waits_holds_no_worker() {
    let instance = started(Setup::default().set("service.http.maxthreads", "1"));
    in_one_of_ten("an answer before those to guessers", || {
        let mut guessers: Vec<Http> = (0..5).map(|_| instance.http()).collect();
        for guesser in &mut guessers {
            let fields = "Content-Type: application/json\r\n";
            guesser.send("POST", "/auth/sign-in", fields, br#"{"user":"alice","password":"wrong"}"#);
        }
        assert_eq!(instance.http().get("/robots.txt", "").status, 200);
        let was_first = guessers.iter().all(|guesser| !guesser.wire.has_more());
        for guesser in &mut guessers {
            assert_eq!(guesser.response().status, 401);
        }
        was_first
    });
}

/// S100.
#[test]
fn three_processes_share_the_load() {
    let instance = started(Setup::default().set("service.http.numprocesses", "3"));
    let mut http = instance.http();
    http.sign_in("alice", "alice-secret");
    let parent = instance.pid("http").unwrap();
    let workers = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
    let workers: Vec<u32> = workers.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(workers.len(), 3);
    // Which of them takes a connection is the kernel's choice.
    wait_for("connections to go to another process, too", || {
        assert_eq!(instance.http().get("/nowhere-else", "").status, 404);
        (workers.iter().filter(|pid| threads(**pid) > 0).count() >= 2).then_some(())
    });
}

/// S102.
#[test]
fn above_maxsessions_a_connection_waits_until_one_ends() {
    let instance = started(Setup::default().set("service.http.maxsessions", "2"));
    let mut first = instance.http();
    let mut second = instance.http();
    assert_eq!(first.get("/robots.txt", "").status, 200);
    assert_eq!(second.get("/robots.txt", "").status, 200);
    let mut third = instance.http();
    third.send("GET", "/robots.txt", "", b"");
    third.wire.socket().set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    assert_eq!(third.wire.try_line(), None, "it is served though two are open");
    third.wire.socket().set_read_timeout(Some(PATIENCE)).unwrap();
    drop(first);
    assert_eq!(third.response().status, 200);
}

/// S104: minutes, thirty at least, and the log says so.
#[test]
fn an_idle_timeout_below_the_minimum_is_the_minimum() {
    let instance = Setup::default().set("service.http.idletimeout", "1").create();
    let said = black_box::run(instance.tool("configutil").args(["explain", "service.http.idletimeout"]));
    assert!(said.contains("30"), "{said}");
}

/// S105, S106: each connection of a user in a file of its own, without what is secret.
#[test]
fn telemetry_records_each_connection_without_secrets() {
    let instance = web();
    let folder = instance.path("log/http/telemetry/alice");
    fs::create_dir_all(&folder).unwrap();
    let session = instance.http().sign_in("alice", "alice-secret");
    let token = session.lines().nth(1).unwrap().split_once(": ").unwrap().1.to_owned();
    let cookie = session.lines().next().unwrap().split_once(": ").unwrap().1.to_owned();
    let mut bob = instance.http();
    let other = bob.sign_in("bob", "bob-secret");
    for _ in 0..2 {
        let mut http = instance.http();
        let body = r#"{"using":["urn:ietf:params:jmap:core"],"methodCalls":[["Core/echo",{"said":"in-telemetry"},"0"]]}"#;
        assert_eq!(http.post_json("/jmap/api", &session, body).status, 200);
        assert_eq!(http.get("/auth/activity", &session).status, 200);
        assert_eq!(http.get("/auth/sessions", &other).status, 200, "another user on the same connection");
        http.try_sign_in("alice", "alice-secret", "");
    }
    let files: Vec<_> = wait_for("two records", || {
        let files: Vec<_> = fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.path()).collect();
        (files.len() >= 2).then_some(files)
    });
    assert_eq!(files.len(), 2);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        assert!(
            text.contains("POST /jmap/api HTTP/1.1") && text.contains("GET /auth/activity HTTP/1.1"),
            "{text}"
        );
        assert!(text.contains("Cookie: <masked>") && text.contains("HTTP/1.1 200 OK"), "{text}");
        assert!(text.matches("in-telemetry").count() == 2, "what was asked, and what was answered: {text}");
        for secret in ["alice-secret", &token, &cookie, "Set-Cookie"] {
            assert!(!text.contains(secret), "{secret} is in the record: {text}");
        }
        assert!(!text.contains("/auth/sessions"), "another user's request is in it: {text}");
    }
    assert!(!instance.path("log/http/telemetry/bob").exists());
}

/// What the server makes is as secret as what the client says: nothing of a second factor or of a password for an app is recorded.
#[test]
fn telemetry_has_no_secret_that_was_made() {
    let instance = started(Setup::default().set("local.http.forcetelemetry", "yes"));
    fs::create_dir_all(instance.path("log/http/telemetry/alice")).unwrap();
    for user in ["alice", "bob"] {
        let session = instance.http().sign_in(user, &format!("{user}-secret"));
        let mut http = instance.http();
        let account = format!(r#"{{"accountId":"{user}""#);
        let mut ask = |name: &str, arguments: &str| {
            let arguments = format!("{account}{arguments}}}");
            let using = r#""using":["urn:ietf:params:jmap:core","urn:x-mailboat:jmap:account"]"#;
            let body = format!(r#"{{{using},"methodCalls":[["{name}",{arguments},"0"]]}}"#);
            let response = http.post_json("/jmap/api", &session, &body);
            assert_eq!(response.status, 200);
            response.json()["methodResponses"][0][1].clone()
        };
        let begun = ask("SecondFactor/begin", "");
        let escaped = ask(r"\u0053econdFactor/begin", "");
        let app = ask(
            "AppPassword/set",
            &format!(r#","password":"{user}-secret","create":{{"a":{{"label":"Phone"}}}}"#),
        );
        ask("Core/echo", r#","said":"the-last-one""#);
        let mut secrets = vec![app["created"]["a"]["password"].as_str().unwrap().to_owned()];
        for made in [&begun, &escaped] {
            secrets.extend(["secret", "url", "pending"].map(|name| made[name].as_str().unwrap().to_owned()));
        }
        assert!(secrets.iter().all(|secret| secret.len() >= 16), "{secrets:?}");
        let (folder, start) = match user {
            "alice" => ("log/http/telemetry/alice", ""),
            _ => ("log/http/forcetelemetry", "bob."),
        };
        let text = wait_for("what was asked last", || {
            let entries = fs::read_dir(instance.path(folder)).ok()?.flatten();
            let own = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(start));
            let text: String = own.filter_map(|entry| fs::read_to_string(entry.path()).ok()).collect();
            (text.matches("the-last-one").count() == 2).then_some(text)
        });
        for secret in &secrets {
            assert!(!text.contains(secret), "{secret} is in the record: {text}");
        }
        assert!(!text.contains("otpauth:"), "{text}");
        for direction in ['<', '>'] {
            let masked =
                text.lines().filter(|line| line.starts_with(direction) && line.ends_with("<masked>"));
            assert!(masked.count() >= 3, "{text}");
        }
    }
}

/// S105: everybody's, without a folder for anybody, and without what is secret.
#[test]
fn forced_telemetry_records_everybody_without_secrets() {
    let instance = started(Setup::default().set("local.http.forcetelemetry", "yes"));
    for (user, secret) in [("alice", "alice-secret"), ("bob", "bob-secret")] {
        let session = instance.http().sign_in(user, secret);
        assert_eq!(instance.http().get("/auth/activity", &session).status, 200);
        let start = format!("{user}.");
        let texts = wait_for("what was asked", || {
            let entries = fs::read_dir(instance.path("log/http/forcetelemetry")).ok()?.flatten();
            let own = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&start));
            let texts: String = own.filter_map(|entry| fs::read_to_string(entry.path()).ok()).collect();
            texts.contains("HTTP/1.1 200 OK").then_some(texts)
        });
        assert!(texts.contains("GET /auth/activity HTTP/1.1"), "{texts}");
        let token = session.lines().nth(1).unwrap().split_once(": ").unwrap().1;
        let cookie = session.lines().next().unwrap().split_once(": ").unwrap().1;
        for secret in [secret, token, cookie] {
            assert!(!texts.contains(secret), "{secret} is in the record: {texts}");
        }
    }
}

/// S106: a folder that cannot be written disturbs nobody.
#[test]
fn telemetry_that_cannot_be_written_does_not_disturb() {
    let instance = web();
    let telemetry = instance.path("log/http/telemetry");
    fs::create_dir_all(&telemetry).unwrap();
    fs::write(telemetry.join("alice"), "a file where a folder should be").unwrap();
    let mut http = instance.http();
    let session = http.sign_in("alice", "alice-secret");
    assert_eq!(http.get("/auth/session", &session).status, 200);
}

/// Only who is meant to may come: domainnotallowed by address, mailAccessDomain by user and service.
#[test]
fn filters_of_clients_hold_for_the_web_mail() {
    let instance = started(
        Setup::default()
            .set("service.http.domainnotallowed", "ALL: 192.0.2.0/24")
            .set("service.http.trustedproxies", "127.0.0.0/8"),
    );
    let from = |address: &str| format!("X-Forwarded-For: {address}\r\nX-Forwarded-Proto: https\r\n");
    assert_eq!(instance.http().get("/", &from("198.51.100.1")).status, 200);
    assert_eq!(instance.http().get("/", &from("192.0.2.1")).status, 403);
    let forged = format!("Forwarded: for=198.51.100.1;proto=https\r\n{}", from("192.0.2.1"));
    assert_eq!(instance.http().get("/", &forged).status, 403, "a client's word, which the proxy handed on");
    let filter = "mailAccessDomain=+http https:198.51.100.0/24";
    black_box::run(instance.tool("dirutil").args(["change", "bob", "--set", filter, "--force"]));
    let sign_in = |address: &str| instance.http().try_sign_in("bob", "bob-secret", &from(address)).status;
    wait_for("the directory's new entry", || (sign_in("203.0.113.1") == 403).then_some(()));
    assert_eq!(sign_in("198.51.100.1"), 200);
}

/// A password goes over no connection that others can read: it is refused, and the page leads to where it may be said.
#[test]
fn without_encryption_nobody_signs_in_from_elsewhere() {
    let instance = started(Setup::default().set("service.http.trustedproxies", "127.0.0.0/8"));
    let from = "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n";
    let refused = instance.http().try_sign_in("alice", "alice-secret", from);
    assert_eq!((refused.status, refused.json()["type"].as_str()), (403, Some("encryption")));
    let strict = started(Setup::default().set("service.http.plaintextmincipher", "128"));
    assert_eq!(strict.http().try_sign_in("alice", "alice-secret", "").status, 403);
    let led = strict.http().get("/", "Host: mail.example.org:80\r\n");
    assert_eq!((led.status, led.field("location")), (307, "https://mail.example.org:2443/"));
    assert_eq!(strict.https().try_sign_in("alice", "alice-secret", "").status, 200);
}

/// An idle connection that is kept costs no more than one of IMAP.
#[test]
fn connections_that_are_kept_cost_little_memory() {
    let instance = started(Setup::default().set("service.http.maxsessions", "3000"));
    let pid = instance.pid("http").unwrap();
    let resident = || {
        let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
        statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
    };
    let mut first = instance.http();
    let session = first.sign_in("alice", "alice-secret");
    let open = |count: usize| -> Vec<Http> {
        let one = || {
            let mut http = instance.http();
            assert_eq!(http.get("/auth/session", &session).status, 200);
            http
        };
        (0..count).map(|_| one()).collect()
    };
    let warm = open(200);
    let before = resident();
    let kept = open(1000);
    let each = resident().saturating_sub(before) / kept.len();
    println!("{each} bytes for a connection that is kept");
    assert!(each < 4096, "{each} bytes");
    drop(warm);
}

/// Push: an open page holds no thread, and costs 30 KiB at most.
#[test]
fn an_open_page_costs_little_memory_and_no_thread() {
    let users: Vec<String> = (0..20).map(|number| format!("user{number}")).collect();
    let names: Vec<&str> = users.iter().map(String::as_str).collect();
    let instance = started(
        Setup::default()
            .users(&names)
            .set("service.http.maxsessions", "3000")
            .set("service.http.maxthreads", "4"),
    );
    let pid = instance.pid("http").unwrap();
    let resident = || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
    };
    let sessions: Vec<String> =
        users.iter().map(|user| instance.http().sign_in(user, &format!("{user}-secret"))).collect();
    let open = |of_each: usize| -> Vec<Http> {
        let one = |session: &String| {
            let mut http = instance.http();
            http.send("GET", "/jmap/events?types=*&ping=60", session, b"");
            assert_eq!(http.head().status, 200);
            assert!(http.chunk().is_some());
            http
        };
        (0..of_each).flat_map(|_| sessions.iter()).map(one).collect()
    };
    let _warm = open(5);
    let before = resident();
    let pages = open(30);
    let each = resident().saturating_sub(before) / pages.len();
    println!("{each} bytes for an open page");
    assert!(each < 30 * 1024, "{each} bytes");
    assert!(threads(pid) <= 4);
    let mut all = Vec::new();
    for _ in 0..16 {
        let mut http = instance.http();
        http.send("GET", "/jmap/events?types=*&ping=60", &sessions[0], b"");
        let head = http.head();
        all.push((http, head.status));
    }
    assert!(all.iter().any(|(_, status)| *status == 429), "one user may have any number of streams");
}

/// Browsers keep connections that they do not use; when others would have to wait for them, they are not kept.
#[test]
fn connections_are_not_kept_when_others_would_wait() {
    let instance = started(Setup::default().set("service.http.maxsessions", "100"));
    let mut first = instance.http();
    assert_eq!(first.get("/robots.txt", "").field("connection"), "");
    let mut held: Vec<Http> = (0..90).map(|_| instance.http()).collect();
    let mut last = held.pop().unwrap(); // accepted behind all others
    assert_eq!(last.get("/robots.txt", "").field("connection"), "close");
    assert!(last.wire.is_closed());
    drop(held);
    wait_for("room", || instance.http().get("/robots.txt", "").field("connection").is_empty().then_some(()));
}

/// SIGTERM: open pages are told, and nobody is waited for.
#[test]
fn the_daemon_ends_though_pages_are_open() {
    let mut instance = web();
    let session = instance.http().sign_in("alice", "alice-secret");
    let mut page = instance.http();
    page.send("GET", "/jmap/events?types=*", &session, b"");
    assert_eq!(page.head().status, 200);
    assert!(page.chunk().is_some());
    let mut kept = instance.http();
    assert_eq!(kept.get("/auth/session", &session).status, 200);
    let begun = std::time::Instant::now();
    instance.stop("http");
    assert!(begun.elapsed() < Duration::from_secs(50), "{:?}", begun.elapsed());
    assert!(page.chunk().is_none(), "the stream was cut, not ended");
    assert!(kept.wire.is_closed());
}

/// A proxy that speaks the PROXY protocol: the client is the one it names.
#[test]
fn the_proxy_protocol_names_the_client() {
    let instance = started(
        Setup::default()
            .set("local.service.http.proxynetworks", "127.0.0.0/8")
            .set("service.http.plaintextmincipher", "0"),
    );
    let mut http = instance.http();
    http.wire.send(b"PROXY TCP4 192.0.2.1 192.0.2.25 40000 80\r\n");
    let session = http.sign_in("alice", "alice-secret");
    let list = http.get("/auth/sessions", &session).json();
    assert_eq!(list["sessions"][0]["address"], "192.0.2.1");
    let mut other = instance.http();
    other.wire.send(b"PROXY TCP4 192.0.2.2 192.0.2.25 40000 80\r\n");
    assert_eq!(other.get("/auth/sessions", &session).status, 401);
}

/// Answers that nobody reads are counted, and who has too many of them gets no more until they are read.
#[test]
fn answers_that_are_not_read_leave_no_room_for_more_of_the_same_user() {
    let instance = web();
    let session = instance.http().sign_in("alice", "alice-secret");
    let other = instance.http().sign_in("bob", "bob-secret");
    let echo = |text: &str| {
        let using = r#"{"using":["urn:ietf:params:jmap:core"],"methodCalls":[["Core/echo",{"said":""#;
        format!("{using}{text}\"}},\"0\"]]}}")
    };
    let (large, small) = (echo(&"x".repeat(9_000_000)), echo("x"));
    let fields = format!("Content-Type: application/json\r\n{session}");
    let mut deaf: Vec<Http> = (0..4).map(|_| instance.http()).collect();
    for http in &mut deaf {
        http.send("POST", "/jmap/api", &fields, large.as_bytes());
    }
    let ask = |session: &str| instance.http().post_json("/jmap/api", session, &small).status;
    wait_for("no room", || (ask(&session) == 503).then_some(()));
    assert_eq!(ask(&other), 200, "another user's answers are their own");
    for http in &mut deaf {
        let answer = http.response();
        assert!(answer.status == 200 && answer.body.len() > 9_000_000, "whole");
    }
    wait_for("room again", || (ask(&session) == 200).then_some(()));
}

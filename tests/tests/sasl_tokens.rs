//! Log-ins that say no password: bearer tokens of an issuer, CRAM-MD5, ANONYMOUS; by clients of others.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::process::{Command, Output, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use black_box::instance::{IMAP, IMAPS, POP, POPS, SMTP, SUBMISSIONS, WEB, wait_for};
use black_box::token_issuer::Issuer;
use black_box::{Imap, Instance, Pop, Setup, Wire, run};
use serde_json::{Value, json};

fn with_tokens(mechanism: &str) -> (Instance, Issuer) {
    let mut instance = Setup::default()
        .set("service.saslmechanisms", &format!("{mechanism} PLAIN"))
        .set("service.oauthissuer", "https://id.example")
        .set("service.oauthaudience", "mail")
        .create();
    let issuer = Issuer::new(&instance);
    instance.start_all();
    (instance, issuer)
}

/// curl, over TLS, by a token and nothing else.
fn curl(instance: &Instance, port: u16, user: &str, token: &str) -> Output {
    let scheme = match port {
        IMAPS => "imaps",
        POPS => "pop3s",
        _ => "smtps",
    };
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "30", "--cacert"])
        .arg(instance.path("config/certs/ca.pem"))
        .args(["--user", user, "--oauth2-bearer", token])
        .args(["--connect-to", &format!("localhost:{port}:{}", instance.at(port))])
        .arg(format!("{scheme}://localhost:{port}/"));
    if port == SUBMISSIONS {
        curl.args([
            "--mail-from",
            &format!("{user}@example.test"),
            "--mail-rcpt",
            "bob@example.test",
            "--upload-file",
            "-",
        ]);
    }
    let mut child = curl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let message = format!("From: {user}@example.test\r\nSubject: x\r\n\r\nText.\r\n");
    let _ = child.stdin.take().unwrap().write_all(message.as_bytes()); // it may not get that far
    child.wait_with_output().unwrap()
}

fn curl_in_all_three_services(mechanism: &str) {
    let (instance, issuer) = with_tokens(mechanism);
    let address = "alice@example.test";
    let good = issuer.token(address, json!({}));
    let over = issuer.token(address, json!({ "exp": 1_000_000_000 }));
    let of_bob = issuer.token("bob@example.test", json!({}));
    for port in [IMAPS, POPS, SUBMISSIONS] {
        let output = curl(&instance, port, "alice", &good);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{port} {mechanism}: {text}; {}", instance.logs());
        for bad in [&over, &of_bob, &format!("{good}x")] {
            let output = curl(&instance, port, "alice", bad);
            assert_eq!(output.status.code(), Some(67), "{port} {mechanism}: the log-in is refused");
        }
    }
    for service in ["imap", "pop", "smtp"] {
        let log = instance.log(service);
        assert!(log.contains(&format!(" {mechanism}")), "{log}");
        // With XOAUTH2 curl hangs up at the challenge that says what is wrong, before there is a refusal.
        let told = log.contains("the token is over") && log.contains("the token is another user's");
        assert!(told || mechanism == "XOAUTH2", "{log}");
        assert!(!log.contains(&good) && !log.contains(&over), "no token in a log");
    }
}

#[test]
fn curl_logs_in_by_oauthbearer() {
    curl_in_all_three_services("OAUTHBEARER");
}

#[test]
fn curl_logs_in_by_xoauth2() {
    curl_in_all_three_services("XOAUTH2");
}

/// RFC 7628 §3.2.2: what is wrong comes as a challenge, the client says %x01, then it is refused.
#[test]
fn a_client_whose_token_is_not_good_is_told_where_to_get_another() {
    let (instance, issuer) = with_tokens("OAUTHBEARER");
    let over = issuer.token("alice@x.test", json!({ "exp": 1_000_000_000 }));
    let mut wire = Wire::plain(instance.connect(IMAP));
    wire.line();
    let initial = STANDARD.encode(format!("n,a=alice,\u{1}auth=Bearer {over}\u{1}\u{1}"));
    wire.send(format!("a AUTHENTICATE OAUTHBEARER {initial}\r\n").as_bytes());
    let line = wire.line();
    let told = STANDARD.decode(line.strip_prefix("+ ").unwrap()).unwrap();
    let told: Value = serde_json::from_slice(&told).unwrap();
    assert_eq!(told["status"], "invalid_token");
    assert_eq!(told["openid-configuration"], "https://id.example/.well-known/openid-configuration");
    wire.send(b"AQ==\r\n");
    assert!(wire.line().starts_with("a NO [AUTHENTICATIONFAILED]"));
    // The connection is as good as before.
    let good = issuer.token("alice@example.test", json!({}));
    let initial = STANDARD.encode(format!("n,a=alice,\u{1}auth=Bearer {good}\u{1}\u{1}"));
    wire.send(format!("b AUTHENTICATE OAUTHBEARER {initial}\r\n").as_bytes());
    wait_for("the log-in", || wire.line().starts_with("b OK").then_some(()));
}

/// A second AUTH is refused (S190), and none is offered without what it needs.
#[test]
fn what_a_mechanism_needs_must_be_there() {
    let mut instance = Setup::default().set("service.saslmechanisms", "OAUTHBEARER PLAIN").create();
    instance.start_one("store");
    let output = instance.refused_start("imap");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("service.oauthissuer is not set") && said.lines().count() == 1, "{said}");
    instance.set("service.oauthissuer", "https://id.example");
    let said = String::from_utf8(instance.refused_start("imap").stderr).unwrap();
    assert!(said.contains("service.oauthaudience"), "{said}");
}

fn gsasl(instance: &Instance, protocol: &str, port: u16, mechanism: &str, secret: &str) -> bool {
    let output = Command::new("gsasl")
        .args([protocol, "--connect", &instance.at(port).to_string(), "-m", mechanism, "--no-starttls"])
        .args(["-a", "alice", "-p", secret, "--anonymous-token", "somebody", "--quiet"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    output.status.success()
}

#[test]
fn gnu_sasl_logs_in_by_cram_md5_and_as_nobody_in_particular() {
    let mut instance = Setup::default()
        .set("service.saslmechanisms", "PLAIN CRAM-MD5 ANONYMOUS")
        .set("service.anonymoususer", "bob")
        .create();
    run(instance.tool("dirutil").args(["change", "alice", "--set", "userPassword={CLEAR}alice-secret"]));
    instance.start_all();
    for (protocol, port) in [("--imap", IMAP), ("--smtp", SMTP)] {
        assert!(
            gsasl(&instance, protocol, port, "CRAM-MD5", "alice-secret"),
            "{protocol}: {}",
            instance.logs()
        );
        assert!(!gsasl(&instance, protocol, port, "CRAM-MD5", "wrong"), "{protocol}");
    }
    assert!(gsasl(&instance, "--imap", IMAP, "ANONYMOUS", ""));
    let mut wire = Wire::plain(instance.connect(POP));
    wire.line();
    wire.send(b"AUTH ANONYMOUS\r\n");
    assert_eq!(wire.line(), "+ ");
    wire.send(b"c29tZWJvZHk=\r\n");
    assert!(wire.line().starts_with("+OK"));
    assert!(instance.log("pop").contains("bob"), "whose account it opens");
    // Not offered unless it is switched on.
    let instance = Instance::start();
    for mechanism in ["CRAM-MD5", "ANONYMOUS", "OAUTHBEARER"] {
        let mut wire = Wire::plain(instance.connect(IMAP));
        wire.line();
        wire.send(format!("a AUTHENTICATE {mechanism}\r\n").as_bytes());
        assert!(wire.line().starts_with("a NO"), "{mechanism}");
    }
}

/// service.*.allowanonymouslogin: by the name anonymous, with any password, where it is switched on and there is an account.
#[test]
fn anonymous_logs_in_where_it_is_allowed() {
    let basic = "Authorization: Basic YW5vbnltb3VzOmd1ZXN0\r\n"; // anonymous:guest
    for (service, account) in [("imap", "bob"), ("pop", "bob"), ("http", "bob"), ("imap", ""), ("", "bob")] {
        let mut setup = Setup::default().set("service.anonymoususer", account);
        if !service.is_empty() {
            setup = setup.set(&format!("service.{service}.allowanonymouslogin"), "yes");
        }
        let mut instance = setup.start();
        instance.start_one(WEB.0);
        let open = |one: &str| service == one && !account.is_empty();
        let mut imap = Imap::open(instance.connect(IMAP));
        let (_, said) = imap.command("LOGIN Anonymous guest@example.org");
        assert_eq!(said.starts_with("OK"), open("imap"), "{service}: {said}");
        if open("imap") {
            assert!(instance.log("imap").contains(" bob "), "whose account it opens");
            let (_, said) = Imap::open(instance.connect(IMAP)).command("LOGIN alice guest@example.org");
            assert!(said.starts_with("NO"), "{said}"); // nobody else
        }
        let mut pop = Pop::open(instance.connect(POP));
        pop.ask("USER anonymous");
        let said = pop.ask("PASS guest");
        assert_eq!(said.starts_with("+OK"), open("pop"), "{service}: {said}");
        let session = instance.http().get("/jmap/session", basic);
        assert_eq!(session.status == 200, open("http"), "{service}: {}", session.text());
        if open("http") {
            anybody_reads_and_sends_nothing(&instance, basic);
        }
        // The page is for users: it changes what they have.
        assert_ne!(instance.http().try_sign_in("anonymous", "guest", "").status, 200, "{service}");
    }
}

/// Whoever needs no password is no sender, and leaves what the account does with mail alone; the account's own password does all that.
fn anybody_reads_and_sends_nothing(instance: &Instance, anybody: &str) {
    let owner = format!("Authorization: Basic {}\r\n", STANDARD.encode("bob:bob-secret"));
    let ask = |fields: &str, name: &str, arguments: Value| {
        let mut arguments = arguments;
        arguments["accountId"] = json!("bob");
        let using = ["core", "mail", "submission", "vacationresponse"];
        let mut using: Vec<String> = using.iter().map(|one| format!("urn:ietf:params:jmap:{one}")).collect();
        using.push("urn:x-mailboat:jmap:account".into());
        let body = json!({ "using": using, "methodCalls": [[name, arguments, "0"]] });
        let response = instance.http().post_json("/jmap/api", fields, &body.to_string());
        let answer = response.json()["methodResponses"][0].clone();
        if answer[0] == "error" { answer[1]["type"].as_str().unwrap().to_owned() } else { "done".into() }
    };
    let changes =
        ["EmailSubmission/set", "VacationResponse/set", "Forwarding/set", "Preferences/set", "Identity/set"];
    for name in changes {
        assert_eq!(ask(anybody, name, json!({ "update": {} })), "forbidden", "{name}");
        assert_eq!(ask(&owner, name, json!({ "update": {} })), "done", "{name}");
    }
    assert_eq!(ask(anybody, "Mailbox/get", json!({ "ids": null })), "done");
    assert_eq!(ask(anybody, "Identity/get", json!({ "ids": null })), "done");
}

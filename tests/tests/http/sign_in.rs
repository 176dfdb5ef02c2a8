//! Sign-ins: how they begin and end, and who may use them.

use black_box::instance::{IMAP, wait_for};
use black_box::{Imap, Instance, Setup};

use super::requests::web;

fn status(instance: &Instance, session: &str) -> u16 {
    instance.http().get("/auth/sessions", session).status
}

/// The page asks who is signed in before anybody is: that is no error, and tells nothing.
#[test]
fn who_has_not_signed_in_is_told_so_without_a_refusal() {
    let instance = web();
    let mut http = instance.http();
    let ended = http.sign_in("alice", "alice-secret");
    assert_eq!(http.ask("POST", "/auth/sign-out", &ended, b"").status, 204);
    for session in ["", ended.as_str()] {
        let response = http.get("/auth/session", session);
        assert_eq!((response.status, response.json().is_null()), (200, true), "{session:?}");
    }
    let basic = "Authorization: Basic YWxpY2U6d3Jvbmc=\r\n";
    assert_eq!(http.get("/auth/session", basic).status, 401, "a wrong password is refused all the same");
}

/// W10: what the browser has is of one sign-in, and worth nothing after its end.
#[test]
fn a_sign_in_begins_anew_each_time_and_ends_for_good() {
    let instance = web();
    let mut http = instance.http();
    let response = http.try_sign_in("alice", "alice-secret", "");
    let set = response.field("set-cookie");
    assert!(
        set.starts_with("mailboat=") && set.contains("HttpOnly") && set.contains("SameSite=Strict"),
        "{set}"
    );
    let first = http.sign_in("alice", "alice-secret");
    let second = http.sign_in("alice@example.test", "alice-secret");
    assert_ne!(first, second);
    let about = http.get("/auth/session", &first).json();
    assert_eq!((about["uid"].as_str(), about["email"].as_str()), (Some("alice"), Some("alice@example.test")));
    assert_eq!(http.ask("POST", "/auth/sign-out", &first, b"").status, 204);
    assert_eq!((status(&instance, &first), status(&instance, &second)), (401, 200));
    assert_eq!(http.ask("POST", "/auth/sign-out", &first, b"").status, 401, "replayed");
    let chosen =
        "Cookie: mailboat=0123456789abcdef0123456789abcdef.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n";
    let given = http.try_sign_in("bob", "bob-secret", chosen).cookie();
    assert!(!chosen.contains(&given), "an id that somebody else chose was taken");
}

/// With TLS the cookie is one that only this host can set.
#[test]
fn the_cookie_of_an_encrypted_connection_goes_over_no_other() {
    let instance = web();
    let mut https = instance.https();
    let response = https.try_sign_in("alice", "alice-secret", "");
    let set = response.field("set-cookie").to_owned();
    assert!(
        set.starts_with("__Host-mailboat=") && set.contains("; Secure") && set.contains("; Path=/"),
        "{set}"
    );
    let session = format!("Cookie: {}\r\n", response.cookie());
    assert_eq!(https.get("/auth/session", &session).status, 200);
    assert_eq!(status(&instance, &session), 401);
    assert_eq!(status(&instance, &session.replace("__Host-", "")), 200, "it is the same store of sessions");
}

#[test]
fn a_sign_in_outlives_the_daemon_and_is_known_to_all_processes() {
    let mut instance = Setup::default().set("service.http.numprocesses", "2").create();
    instance.start_web();
    let session = instance.http().sign_in("alice", "alice-secret");
    for _ in 0..20 {
        assert_eq!(status(&instance, &session), 200);
    }
    instance.stop("http");
    instance.start_one("http");
    assert_eq!(status(&instance, &session), 200);
    assert_eq!(instance.http().ask("POST", "/auth/sign-out", &session, b"").status, 204);
    for _ in 0..20 {
        assert_eq!(status(&instance, &session), 401, "one process has not heard of the end");
    }
}

/// S118: an address that is not the sign-in's; yes, no and subnet.
#[test]
fn a_session_is_bound_to_its_address_as_ipsecurity_says() {
    let proxied = |from: &str| format!("X-Forwarded-For: {from}\r\nX-Forwarded-Proto: https\r\n");
    for (value, same_network, elsewhere) in [("yes", 401, 401), ("subnet", 200, 401), ("no", 200, 200)] {
        let mut instance = Setup::default()
            .set("service.http.ipsecurity", value)
            .set("service.http.trustedproxies", "127.0.0.0/8")
            .create();
        instance.start_web();
        let mut http = instance.http();
        let response = http.try_sign_in("alice", "alice-secret", &proxied("192.0.2.1"));
        let cookie = format!("Cookie: {}\r\n", response.cookie());
        let mut from = |from: &str| http.get("/auth/sessions", &format!("{cookie}{}", proxied(from))).status;
        assert_eq!(from("192.0.2.1"), 200);
        assert_eq!((from("192.0.2.77"), from("198.51.100.1")), (same_network, elsewhere), "{value}");
        assert_eq!(from("192.0.2.1"), 200, "the owner is not signed out by that");
        if value == "yes" {
            assert!(instance.log("http").contains("session of another address: [198.51.100.1] alice"));
        }
    }
}

/// W9: a page of another site can do nothing, not even sign somebody in or out.
#[test]
fn pages_of_other_sites_are_refused() {
    let instance = web();
    let mut http = instance.http();
    let session = http.sign_in("alice", "alice-secret");
    let cookie = session.lines().next().map(|line| format!("{line}\r\n")).unwrap();
    assert_eq!(http.ask("POST", "/auth/sign-out", &cookie, b"").status, 403, "without its token");
    let other = http.sign_in("alice", "alice-secret");
    let stolen = format!("{cookie}{}\r\n", other.lines().nth(1).unwrap());
    assert_eq!(http.ask("POST", "/auth/sign-out", &stolen, b"").status, 403, "with another session's token");
    for foreign in [
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
        "Origin: http://evil.example\r\n",
        "Origin: null\r\n",
        "Origin: http://localhost:1\r\n",
    ] {
        let fields = format!("{session}{foreign}");
        assert_eq!(http.ask("POST", "/auth/sign-out", &fields, b"").status, 403, "{foreign}");
        assert_eq!(http.get("/auth/session", &fields).status, 403, "{foreign}");
        let mut another = instance.http();
        assert_eq!(another.try_sign_in("alice", "alice-secret", foreign).status, 403, "{foreign}");
        assert_eq!(instance.http().get("/", foreign).status, 200, "a link to the page may stand anywhere");
    }
    let own = "Sec-Fetch-Site: same-origin\r\nOrigin: http://localhost\r\n";
    assert_eq!(http.ask("POST", "/auth/sign-out", &format!("{session}{own}"), b"").status, 204);
}

/// The user sees the sign-ins and ends them, one or all others; nobody else's.
#[test]
fn sign_ins_are_listed_and_revoked_by_their_owner() {
    let instance = web();
    let mut http = instance.http();
    let alice: Vec<String> = (0..3).map(|_| http.sign_in("alice", "alice-secret")).collect();
    let bob = http.sign_in("bob", "bob-secret");
    let list = http.get("/auth/sessions", &alice[0]).json();
    let list = list["sessions"].as_array().unwrap();
    assert_eq!(list.len(), 3);
    assert_eq!(list.iter().filter(|one| one["current"] == true).count(), 1);
    let other = list.iter().find(|one| one["current"] == false).unwrap();
    let body = format!(r#"{{"id":{}}}"#, other["id"]);
    assert_eq!(http.post_json("/auth/sessions/revoke", &bob, &body).status, 404);
    assert_eq!(http.post_json("/auth/sessions/revoke", &alice[0], &body).status, 200);
    let left = alice[1..].iter().filter(|one| status(&instance, one) == 200).count();
    assert_eq!(left, 1);
    assert_eq!(http.post_json("/auth/sessions/revoke", &alice[0], r#"{"id":"others"}"#).json()["ended"], 1);
    assert_eq!((status(&instance, &alice[0]), status(&instance, &bob)), (200, 200));
    let activity = http.get("/auth/activity", &alice[0]).json();
    let deeds: Vec<&str> =
        activity["activity"].as_array().unwrap().iter().map(|deed| deed["what"].as_str().unwrap()).collect();
    assert_eq!(deeds, ["revoked", "revoked", "signed-in", "signed-in", "signed-in"]);
}

/// Another password ends every sign-in, wherever it was changed.
#[test]
fn another_password_ends_the_sign_ins() {
    let instance = web();
    let mut http = instance.http();
    let session = http.sign_in("alice", "alice-secret");
    let made = black_box::run(instance.tool("dirutil").args(["password", "alice"]));
    let password = made.split_whitespace().last().unwrap();
    wait_for("the end of the session", || (status(&instance, &session) == 401).then_some(()));
    http.sign_in("alice", password);
}

/// S109, and W18 in small: who may not, who guesses.
#[test]
fn who_may_not_use_the_web_mail_is_told_so_and_guessers_wait() {
    let instance = web();
    black_box::run(instance.tool("dirutil").args(["change", "bob", "--set", "nsmsgDisallowAccess=http"]));
    let refused = wait_for("the directory's new entry", || {
        let response = instance.http().try_sign_in("bob", "bob-secret", "");
        (response.status != 200).then_some(response)
    });
    assert_eq!((refused.status, refused.json()["type"].as_str()), (403, Some("not-allowed")));
    let begun = std::time::Instant::now();
    let wrong = instance.http().try_sign_in("alice", "wrong", "");
    assert_eq!((wrong.status, wrong.json()["type"].as_str()), (401, Some("refused")));
    let nobody = instance.http().try_sign_in("nobody", "wrong", "");
    assert_eq!(nobody.body, wrong.body, "who exists is not told");
    assert!(begun.elapsed() >= std::time::Duration::from_secs(2), "each is answered late");
    assert!(wrong.field("set-cookie").is_empty() && wrong.field("www-authenticate").is_empty());
    let log = instance.log("http");
    assert!(log.contains("badlogin: [") && log.contains("alice wrong user name or password"), "{log}");
}

/// W10: who may not any more is out, whatever was signed in before.
#[test]
fn a_user_who_is_kept_out_or_gone_is_signed_out() {
    let instance = web();
    let mut http = instance.http();
    let (alice, bob) = (http.sign_in("alice", "alice-secret"), http.sign_in("bob", "bob-secret"));
    black_box::run(instance.tool("dirutil").args(["change", "bob", "--set", "nsmsgDisallowAccess=http"]));
    wait_for("the end of bob's session", || (status(&instance, &bob) == 401).then_some(()));
    black_box::run(instance.tool("dirutil").args(["delete", "alice"]));
    wait_for("the end of alice's session", || (status(&instance, &alice) == 401).then_some(()));
    black_box::run(instance.tool("dirutil").args(["change", "bob", "--remove", "nsmsgDisallowAccess"]));
    let back = || instance.http().try_sign_in("bob", "bob-secret", "").status == 200;
    wait_for("the directory's new entry", || back().then_some(()));
    assert_eq!(status(&instance, &bob), 401, "a session that was ended holds again");
}

/// A user's sign-ins are so many at most; another ends that which was not used for longest.
#[test]
fn sign_ins_of_a_user_have_a_limit() {
    let mut instance = Setup::default().set("service.http.usersessions", "3").create();
    instance.start_web();
    let mut http = instance.http();
    let all: Vec<String> = (0..5).map(|_| http.sign_in("alice", "alice-secret")).collect();
    assert_eq!(all.iter().filter(|one| status(&instance, one) == 200).count(), 3);
}

/// It ends when nothing was asked for sessiontimeout.
#[test]
fn a_sign_in_ends_after_its_time_without_a_request() {
    let mut instance = Setup::default().set("service.http.sessiontimeout", "10").create();
    instance.start_web();
    let session = instance.http().sign_in("alice", "alice-secret");
    let other = instance.http().sign_in("alice", "alice-secret");
    let expires = instance.http().get("/auth/session", &session).json()["expires"].as_i64().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!((expires - now as i64 - 600).abs() < 60, "{expires}");
    for (minutes, expected) in [(9, 200), (18, 200), (29, 401)] {
        instance.stop("http");
        instance.set_environment("MAILBOAT_CLOCK_OFFSET", &format!("{}", minutes * 60));
        instance.start_one("http");
        assert_eq!(status(&instance, &session), expected, "after {minutes} minutes, each time asked for");
    }
    assert_eq!(status(&instance, &other), 401);
}

/// However often it is used, it ends with sessionmaxage, and the page is told when.
#[test]
fn a_sign_in_has_a_longest_life() {
    let mut instance = Setup::default()
        .set("service.http.sessiontimeout", "2000")
        .set("service.http.sessionmaxage", "2")
        .create();
    instance.start_web();
    let session = instance.http().sign_in("alice", "alice-secret");
    for (minutes, expected) in [(1440, 200), (2700, 200), (2900, 401)] {
        instance.stop("http");
        instance.set_environment("MAILBOAT_CLOCK_OFFSET", &format!("{}", minutes * 60));
        instance.start_one("http");
        assert_eq!(status(&instance, &session), expected, "after {minutes} minutes, each time asked for");
        if expected == 200 {
            let expires = instance.http().get("/auth/session", &session).json()["expires"].as_i64().unwrap();
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
            let left = expires - now as i64 - minutes * 60;
            let most = (2880 - minutes).min(2000) * 60;
            assert!((left - most).abs() < 120, "{left} s are left after {minutes} minutes, of {most}");
        }
    }
}

/// What strangers try is one line for each network of theirs, and moves nothing of the owner's out of the list.
#[test]
fn strangers_tries_are_counted_beside_what_the_owner_did() {
    let instance = web();
    let mut http = instance.http();
    let session = http.sign_in("alice", "alice-secret");
    for number in 0..3 {
        let refused = instance.http().try_sign_in("alice", &format!("wrong{number}"), "");
        assert_eq!(refused.status, 401);
    }
    let list = wait_for("the three tries", || {
        let list = http.get("/auth/activity", &session).json();
        let noted = list["activity"].as_array().unwrap().iter().find(|one| one["what"] == "refused").cloned();
        noted.filter(|one| one["times"] == 3).map(|_| list)
    });
    let deeds: Vec<(&str, i64)> = list["activity"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["what"].as_str().unwrap(), one["times"].as_i64().unwrap()))
        .collect();
    assert_eq!(deeds, [("refused", 3), ("signed-in", 1)]);
}

/// The second factor: the password alone opens nothing, a code is good once, programs need a password of their own.
#[test]
fn who_has_a_second_factor_needs_its_code() {
    let instance = web();
    let before = instance.http().sign_in("alice", "alice-secret");
    assert_eq!(status(&instance, &before), 200);
    let made = black_box::run(instance.tool("dirutil").args(["second-factor", "alice", "on"]));
    let wanted = wait_for("the directory's new entry", || {
        let response = instance.http().try_sign_in("alice", "alice-secret", "");
        (response.status == 401).then_some(response)
    });
    assert_eq!(wanted.json()["type"], "code-required");
    assert!(wanted.field("set-cookie").is_empty());
    let with = |code: &str| {
        let body =
            serde_json::json!({ "user": "alice", "password": "alice-secret", "code": code }).to_string();
        instance.http().post_json("/auth/sign-in", "", &body)
    };
    assert_eq!(with("000000").json()["type"], "refused");
    let secret = made.split("secret=").nth(1).unwrap().split(['&', '\n', ' ']).next().unwrap();
    let code = totp(secret);
    let right = with(&code);
    assert_eq!(right.status, 200, "{}", right.text());
    assert_eq!(with(&code).status, 401, "a code was good twice");
    let gone = || (status(&instance, &before) == 401).then_some(());
    wait_for("the end of what was signed in without a code", gone);
    let basic = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, "alice:alice-secret");
    let program = instance.http().get("/jmap/session", &format!("Authorization: Basic {basic}\r\n"));
    assert_eq!(program.status, 401);
}

/// Lines as dirutil prints them: `abcd-efgh-ijkl-mnop`.
fn recovery_codes(printed: &str) -> Vec<String> {
    let is_one = |line: &&str| line.len() == 19 && line.split('-').all(|group| group.len() == 4);
    printed.lines().filter(is_one).map(str::to_owned).collect()
}

fn with_code(instance: &Instance, code: &str) -> u16 {
    let body = serde_json::json!({ "user": "alice", "password": "alice-secret", "code": code }).to_string();
    instance.http().post_json("/auth/sign-in", "", &body).status
}

/// Who has lost the app says a recovery code: each is good once, whichever process is asked, until there are others.
#[test]
fn a_recovery_code_opens_once_in_place_of_the_apps_code() {
    let mut instance = Setup::default()
        .set("service.http.numprocesses", "2")
        .set("service.guessaccountmax", "1000")
        .create();
    instance.start_web();
    let factor = |job: &str| black_box::run(instance.tool("dirutil").args(["second-factor", "alice", job]));
    let codes = recovery_codes(&factor("on"));
    assert_eq!(codes.len(), 10);
    wait_for("the directory's new entry", || {
        let all = (0..6).all(|_| instance.http().try_sign_in("alice", "alice-secret", "").status == 401);
        all.then_some(())
    });
    let at_once: Vec<u16> = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..6).map(|_| scope.spawn(|| with_code(&instance, &codes[0]))).collect();
        tries.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(at_once.iter().filter(|status| **status == 200).count(), 1, "{at_once:?}");
    assert_eq!(factor("codes").trim(), "9");
    assert_eq!(with_code(&instance, &codes[1].to_uppercase().replace('-', " ")), 200, "as it is typed");
    let audit = instance.log("audit");
    let line = "second-factor user=alice from=127.0.0.1 result=recovery-code left=8";
    assert_eq!(audit.lines().filter(|one| one.ends_with(line)).count(), 1, "{audit}");
    let renewed = recovery_codes(&factor("renew-codes"));
    assert_eq!((renewed.len(), factor("codes").trim()), (10, "10"));
    assert_eq!(with_code(&instance, &codes[2]), 401, "there are others");
    assert_eq!(with_code(&instance, &renewed[9]), 200);
    factor("clear-codes");
    assert_eq!(factor("codes").trim(), "0");
    assert_eq!(with_code(&instance, &renewed[0]), 401, "there are none");
    factor("renew-codes");
    let shown = black_box::run(instance.tool("dirutil").args(["show", "alice"]));
    assert!(shown.contains("mailRecoveryCode: (set)") && !shown.contains("SHA256"), "{shown}");
    factor("off");
    let stored = std::fs::read_to_string(instance.path("config/directory.ldif")).unwrap();
    assert!(!stored.contains("mailRecoveryCode"), "they go with the factor");
}

/// They are no way around the rules for guesses.
#[test]
fn wrong_recovery_codes_are_counted_as_wrong_passwords_are() {
    let mut instance = Setup::default().set("service.guessaccountmax", "3").create();
    instance.start_web();
    let made = black_box::run(instance.tool("dirutil").args(["second-factor", "alice", "on"]));
    let codes = recovery_codes(&made);
    wait_for("the directory's new entry", || {
        (instance.http().try_sign_in("alice", "alice-secret", "").status == 401).then_some(())
    });
    let letters = ["a", "b", "c", "d", "e", "f", "g"];
    let tried: Vec<u16> = letters.iter().map(|one| with_code(&instance, &one.repeat(16))).collect();
    assert!(tried.contains(&401) && tried.last() == Some(&429), "{tried:?}");
    assert_eq!(with_code(&instance, &codes[0]), 429, "a right one is not looked at then");
    let left = black_box::run(instance.tool("dirutil").args(["second-factor", "alice", "codes"]));
    assert_eq!(left.trim(), "10", "nor used up");
}

/// A password for one program is for mail: it changes no credentials, sends no mail elsewhere, even with the user's own password
/// in the request, and neither sees nor ends who is signed in.
#[test]
fn an_app_password_changes_nothing_that_a_password_guards() {
    let instance = web();
    let made =
        black_box::run(instance.tool("dirutil").args(["app-password", "add", "alice", "--label", "Phone"]));
    let password = made.trim().split_once(' ').unwrap().1.to_owned();
    let basic =
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("alice:{password}"));
    let fields = format!("Authorization: Basic {basic}\r\n");
    wait_for("mshttpd to know it", || {
        (instance.http().get("/jmap/session", &fields).status == 200).then_some(())
    });
    let page = instance.http().sign_in("alice", "alice-secret");
    for (method, path) in
        [("GET", "/auth/sessions"), ("GET", "/auth/activity"), ("POST", "/auth/sessions/revoke")]
    {
        let body = if method == "POST" { r#"{"id":"others"}"# } else { "" };
        let fields = format!("{fields}Content-Type: application/json\r\n");
        assert_eq!(instance.http().ask(method, path, &fields, body.as_bytes()).status, 403, "{path}");
    }
    assert_eq!(status(&instance, &page), 200, "nobody was signed out");
    let ask = |fields: &str| {
        let body = serde_json::json!({
            "using": ["urn:ietf:params:jmap:core", "urn:x-mailboat:jmap:account"],
            "methodCalls": [
                ["Credential/set", { "accountId": "alice", "oldPassword": "alice-secret", "newPassword": "another-1" }, "0"],
                ["Forwarding/set", { "accountId": "alice", "password": "alice-secret",
                    "update": { "singleton": { "addresses": ["evil@evil.example"] } } }, "1"],
            ]
        });
        let response = instance.http().post_json("/jmap/api", fields, &body.to_string());
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()["methodResponses"].clone()
    };
    let said = ask(&fields);
    assert_eq!(said[0][0], "error", "{said}");
    assert_eq!(said[0][1]["type"], "forbidden", "{said}");
    assert_eq!(said[1][1]["notUpdated"]["singleton"]["type"], "forbidden", "{said}");
    let said = ask(&page);
    assert_eq!(said[0][0], "Credential/set", "by the page it can be changed: {said}");
}

/// Made and taken back by their user in the web mail; another program logs in by one meanwhile.
#[test]
fn app_passwords_are_made_shown_once_and_taken_back() {
    let mut instance = Instance::start();
    instance.start_one("http");
    let page = instance.http().sign_in("alice", "alice-secret");
    let ask = |fields: &str, method: &str, mut arguments: serde_json::Value| {
        arguments["accountId"] = "alice".into();
        let body = serde_json::json!({
            "using": ["urn:ietf:params:jmap:core", "urn:x-mailboat:jmap:account"],
            "methodCalls": [[method, arguments, "0"]]
        });
        let response = instance.http().post_json("/jmap/api", fields, &body.to_string());
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()["methodResponses"][0][1].clone()
    };
    let new = serde_json::json!({ "label": "Phone", "services": ["imap"], "days": 30 });
    let refused =
        ask(&page, "AppPassword/set", serde_json::json!({ "password": "wrong", "create": { "n": new } }));
    assert_eq!(refused["notCreated"]["n"]["type"], "wrongPassword", "{refused}");
    let made = ask(
        &page,
        "AppPassword/set",
        serde_json::json!({ "password": "alice-secret", "create": { "n": new } }),
    );
    let (id, password) = (made["created"]["n"]["id"].clone(), made["created"]["n"]["password"].clone());
    let password = password.as_str().unwrap_or_else(|| panic!("{made}"));
    let list = ask(&page, "AppPassword/get", serde_json::json!({ "ids": null }))["list"].clone();
    assert_eq!((&list[0]["id"], &list[0]["label"]), (&id, &"Phone".into()), "{list}");
    assert_eq!(list[0]["services"], serde_json::json!(["imap"]));
    assert!(!list.to_string().contains(password), "it is shown once");
    let imap = || {
        let mut imap = Imap::open(instance.connect(IMAP));
        imap.command(&format!("LOGIN alice {password}")).1.starts_with("OK")
    };
    wait_for("imapd to know it", || imap().then_some(()));
    let gone = ask(&page, "AppPassword/set", serde_json::json!({ "destroy": [id, "nosuch"] }));
    assert_eq!(gone["destroyed"], serde_json::json!([id]), "{gone}");
    assert_eq!(gone["notDestroyed"]["nosuch"]["type"], "notFound");
    wait_for("imapd to refuse it", || (!imap()).then_some(()));
}

/// RFC 6238 with SHA-1, six digits, thirty seconds.
fn totp(secret: &str) -> String {
    let (mut bits, mut buffer, mut key) = (0u32, 0u64, Vec::new());
    for letter in secret.bytes().filter(|byte| *byte != b'=') {
        let value = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|one| *one == letter).unwrap() as u64;
        (buffer, bits) = (buffer << 5 | value, bits + 5);
        if bits >= 8 {
            bits -= 8;
            key.push((buffer >> bits) as u8);
        }
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let key = openssl::pkey::PKey::hmac(&key).unwrap();
    let mut signer = openssl::sign::Signer::new(openssl::hash::MessageDigest::sha1(), &key).unwrap();
    let mac = signer.sign_oneshot_to_vec(&(now / 30).to_be_bytes()).unwrap();
    let at = usize::from(mac[19] & 15);
    let number = u32::from_be_bytes(mac[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

/// `(by admin)` in front of a browser's name is the server's word: a browser that calls itself so is not believed.
#[test]
fn a_browser_does_not_say_that_an_administrator_signed_in() {
    let mut instance = Setup::default().create();
    instance.start_all();
    instance.start_one("http");
    let names =
        ["(by postmaster) Firefox", ".msc (by postmaster) Firefox", "\u{2028}(by postmaster) Firefox"];
    for name in names {
        let agent = format!("User-Agent: {name}\r\n");
        let mut http = instance.http();
        assert_eq!(http.try_sign_in("alice", "wrong", &agent).status, 401, "{name}");
        let signed_in = http.try_sign_in("alice", "alice-secret", &agent);
        assert_eq!(signed_in.status, 200, "{name}: {}", signed_in.text());
        let cookie = signed_in.field("set-cookie").split(';').next().unwrap().to_owned();
        let fields = format!("Cookie: {cookie}\r\n");
        for list in ["/auth/sessions", "/auth/activity"] {
            let shown = http.get(list, &fields).text();
            assert!(shown.contains("Firefox"), "{name}: {shown}");
            assert!(!shown.contains("\"(by") && !shown.contains("\".msc"), "{name}: {shown}");
        }
    }
}
